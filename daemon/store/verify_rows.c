/* Series, and the tables that are not measurements: row by row. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/annotation.h"
#include "store/catalog.h"
#include "store/census.h"
#include "store/kept.h"
#include "store/ledger_table.h"
#include "store/mixed.h"
#include "store/removed.h"
#include "store/tracker.h"
#include "store/verify_private.h"

enum {
    GAUGE_BYTES = 32, /* store/schema.h */
    IDENTITY_NAME_BYTES = 16,
    IDENTITY_PRODUCER_BYTES = 153, /* store/identity.h */
    ROW_PRODUCER = 1,
    ROW_KEY = 2,
    UNWANTED_BYTES = 8,
    INDEX_RUN_BYTES = 16,
    BITS_AT_LEAST = 1 << 13,
};

/* --- series --- */

static bool count_entries(const struct verify *verify, enum database database, uint64_t *out,
                          struct error *err)
{
    const struct read_txn *txn = verify->txn;
    MDB_stat facts;

    int rc = mdb_stat(txn->txn, txn->store->databases[database], &facts);
    *out = rc == 0 ? facts.ms_entries : 0;
    return rc == 0 || store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
}

/* Numbers are given one after the other, each to a series that is there or was removed, so how many
 * rows there are says how far they can have come. A row that says more is damaged, and nothing must
 * become as large as it says. */
static bool bound_ids(struct verify *verify, struct error *err)
{
    uint64_t series = 0;
    uint64_t removed = 0;

    if (!count_entries(verify, DATABASE_SERIES, &series, err) ||
        !count_entries(verify, DATABASE_REMOVED, &removed, err))
        return false;
    uint64_t most = series + (removed + 1) * REMOVED_IDS_A_ROW;
    verify->newest_id = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    return true;
}

static void note_series(struct verify *verify, uint32_t id)
{
    if (id > verify->newest_id) {
        verify_at(verify, "series %u", id);
        verify_report(verify, "series", "its number was never given");
        return;
    }
    if (id >= verify->series_end) {
        uint64_t end = verify->series_end == 0 ? BITS_AT_LEAST : verify->series_end;
        while (end <= id)
            end *= 2;
        end = end > UINT32_MAX ? UINT32_MAX : end;
        verify->series = memory_grow(verify->series, (size_t)(end / 8 + 1), 1);
        memset(verify->series + (verify->series_end + 7) / 8, 0,
               (size_t)(end / 8 + 1) - (verify->series_end + 7) / 8);
        verify->series_end = (uint32_t)end;
    }
    verify->series[id / 8] |= (unsigned char)(1U << id % 8);
}

bool verify_series(struct verify *verify, union verify_state *state, bool *done, struct error *err)
{
    struct walk walk;
    bool goes_on = true;

    if (!bound_ids(verify, err))
        return false;
    bool ok = walk_begin(&walk, verify->txn, DATABASE_SERIES, &state->series, err);
    while (ok && walk.found && goes_on) {
        uint32_t id = schema_id_of(store_bytes(&walk.key));
        verify->counts->series += id > 0;
        if (id > 0)
            note_series(verify, id);
        state->series = walk_after(store_bytes(&walk.key));
        ok = walk_next(&walk, err);
        goes_on = verify_spend(verify, 1);
    }
    *done = ok && !walk.found;
    walk_end(&walk);
    return ok;
}

static void on_catalog_finding(const char *finding, void *arg)
{
    verify_report(arg, "catalogue", "%s", finding);
}

static bool count_index(struct verify *verify, struct error *err)
{
    struct index_runs runs;

    bool ok = index_runs_read(&runs, verify->txn, err);
    for (size_t i = 0; ok && i < runs.count; i++)
        verify->counts->index_entries += runs.items[i].entries;
    verify->counts->index_runs = runs.count;
    index_runs_fini(&runs);
    return ok;
}

static bool spend_rows(uint64_t rows, void *arg)
{
    return verify_spend(arg, rows);
}

bool verify_catalogue(struct verify *verify, union verify_state *state, bool *done,
                      struct error *err)
{
    const struct catalog_checker checker = {on_catalog_finding, spend_rows, verify};
    (void)state;

    verify_at(verify, "the catalogue");
    if (verify->catalogue == NULL) {
        verify->catalogue = catalog_check_new(&checker);
        if (!count_index(verify, err))
            return false;
    }
    if (catalog_check_go_on(verify->catalogue, verify->txn, done, err))
        return true;
    if (err->kind != ERROR_CORRUPT)
        return false;
    *done = true;
    verify_report(verify, "catalogue", "%s", err->text);
    return true;
}

/* --- tables --- */

typedef bool (*row_fn)(struct verify *verify, struct verify_rows_state *state,
                       const struct walk *row, struct error *err);

/* Of everything in `meta`; 0: any number. */
static const struct mark_size {
    const char *name;
    size_t bytes;
} MARK_SIZES[] = {
    {"schema", 4},       {"origin", 16},   {"created_at", 8}, {"commit", 8},    {"newest", 8},
    {"run", 8},          {"partition", 8}, {"closed", 8},     {"quartered", 8}, {"kept_minute", 8},
    {"kept_quarter", 8}, {"kept_day", 8},  {"migrating", 0},  {"indexed", 8},   {"index_run", 8},
    {"annotation", 8},   {"clock", 40},
};

static bool is_days_lost(struct str name)
{
    static const char prefix[] = "days_lost_";
    const size_t len = sizeof prefix - 1;

    if (name.len <= len || memcmp(name.text, prefix, len) != 0)
        return false;
    for (size_t i = len; i < name.len; i++) {
        if (name.text[i] < '0' || name.text[i] > '9')
            return false;
    }
    return true;
}

static bool check_mark(struct verify *verify, struct verify_rows_state *state,
                       const struct walk *row, struct error *err)
{
    static const struct mark_size days_lost = {"days_lost", 8};
    const struct str name = store_bytes(&row->key);
    const struct mark_size *size = is_days_lost(name) ? &days_lost : NULL;
    char quoted[STR_QUOTED_SIZE];
    (void)state;
    (void)err;

    for (size_t i = 0; size == NULL && i < sizeof MARK_SIZES / sizeof *MARK_SIZES; i++) {
        if (str_is(name, MARK_SIZES[i].name))
            size = &MARK_SIZES[i];
    }
    verify_at(verify, "the marks");
    if (size == NULL)
        verify_report(verify, "mark", "'%s' is none of them", str_quoted(name, quoted));
    else if (size->bytes != 0 && row->value.mv_size != size->bytes)
        verify_report(verify, "mark", "'%s' has %zu bytes", str_quoted(name, quoted),
                      row->value.mv_size);
    return true;
}

static bool is_mark_of(struct verify *verify, const char *name, int64_t mark, int64_t width)
{
    struct str bytes;

    if (store_get(verify->txn, DATABASE_META, str_of(name), &bytes) && bytes.len != sizeof mark)
        return false; /* check_mark says so */
    if (mark != INT64_MIN && mark % width != 0) {
        verify_report(verify, "mark", "'%s' is %lld, which is inside a window", name,
                      (long long)mark);
        return false;
    }
    return true;
}

static void check_marks(struct verify *verify)
{
    int64_t closed = parts_mark(verify->txn, MARK_CLOSED);
    int64_t quartered = parts_mark(verify->txn, MARK_QUARTERED);

    verify_at(verify, "the marks");
    bool ok = is_mark_of(verify, "closed", closed, MINUTES_PER_QUARTER);
    ok = is_mark_of(verify, "quartered", quartered, QUARTERS_PER_WINDOW) && ok;
    if (ok && quartered != INT64_MIN && quarter_of_minute(closed) < quartered)
        verify_report(verify, "mark",
                      "quarters are built up to %lld, and minutes have closed up to quarter %lld",
                      (long long)quartered, (long long)quarter_of_minute(closed));
    for (int mark = 0; mark < MARK_COUNT; mark++) {
        static const char *const kept[MARK_COUNT] = {[MARK_KEPT_MINUTE] = "kept_minute",
                                                     [MARK_KEPT_QUARTER] = "kept_quarter",
                                                     [MARK_KEPT_DAY] = "kept_day"};
        if (kept[mark] != NULL)
            (void)is_mark_of(verify, kept[mark], parts_mark(verify->txn, (enum mark)mark), 1);
    }
}

static uint32_t calendar_of(const struct walk *row)
{
    struct reader value = reader_of(store_bytes(&row->value));
    uint32_t number = read_u32(&value);
    return value.ok && value.left == 0 && number <= UINT16_MAX ? number : 0;
}

/* How many zones have the number. */
static bool count_calendars(struct verify *verify, uint32_t number, size_t *count,
                            struct error *err)
{
    const struct schema_key from = SCHEMA_KEY_EMPTY;
    struct walk walk;

    *count = 0;
    bool ok = walk_begin(&walk, verify->txn, DATABASE_CALENDARS, &from, err);
    while (ok && walk.found) {
        *count += calendar_of(&walk) == number;
        ok = walk_next(&walk, err);
    }
    walk_end(&walk);
    return ok;
}

static bool check_calendar(struct verify *verify, struct verify_rows_state *state,
                           const struct walk *row, struct error *err)
{
    uint32_t number = calendar_of(row);
    size_t count = 0;
    (void)state;

    verify_at(verify, "calendar '%.*s'", (int)row->key.mv_size, (const char *)row->key.mv_data);
    if (number == 0) {
        verify_report(verify, "calendar", "its row is damaged");
        return true;
    }
    if (!count_calendars(verify, number, &count, err))
        return false;
    if (count > 1)
        verify_report(verify, "calendar", "it has number %u, as another one has", number);
    return true;
}

static bool check_day(struct verify *verify, struct verify_rows_state *state,
                      const struct walk *row, struct error *err)
{
    const struct day_bounds before = state->day;
    bool has_before = state->calendar > 0;
    struct day_bounds *day = &state->day;
    uint32_t calendar = 0;
    size_t zones = 1;

    verify->counts->days++;
    if (!parts_day_of(store_bytes(&row->key), store_bytes(&row->value), &calendar, day)) {
        verify_at(verify, "the list of days");
        verify_report(verify, "day", "a row is damaged");
        state->calendar = 0;
        return true;
    }
    verify_at(verify, "day %lld of calendar %u", (long long)day->day, calendar);
    has_before = has_before && state->calendar == calendar;
    if (!has_before && !count_calendars(verify, calendar, &zones, err))
        return false;
    state->calendar = calendar;
    if (zones == 0)
        verify_report(verify, "day", "there is no such calendar");
    if (has_before &&
        (before.to > day->from || (before.day + 1 == day->day && before.to != day->from)))
        verify_report(verify, "day", "it begins at quarter %lld, and day %lld ends at %lld",
                      (long long)day->from, (long long)before.day, (long long)before.to);
    if (day->to > parts_mark(verify->txn, MARK_QUARTERED))
        verify_report(verify, "day", "it reaches to quarter %lld, which has not been built",
                      (long long)day->to);
    return true;
}

static bool check_kept(struct verify *verify, struct verify_rows_state *state,
                       const struct walk *row, struct error *err)
{
    const size_t shown = row->key.mv_size < 80 ? row->key.mv_size : 80;
    struct kept_row kept;
    (void)state;
    (void)err;

    verify_at(verify, "what is kept of metric '%.*s'", (int)shown, (const char *)row->key.mv_data);
    if (!kept_row_of(store_bytes(&row->value), &verify->scratch, &kept)) {
        verify_report(verify, "mark", "its row is damaged");
        return true;
    }
    const struct schema_key key = schema_name_key(kept.metric);
    if (key.len != row->key.mv_size || memcmp(key.bytes, row->key.mv_data, key.len) != 0)
        verify_report(verify, "mark", "its row is that of '%.*s'",
                      (int)(kept.metric.len < 80 ? kept.metric.len : 80), kept.metric.text);
    arena_reset(&verify->scratch);
    return true;
}

static bool check_ledger(struct verify *verify, struct verify_rows_state *state,
                         const struct walk *row, struct error *err)
{
    struct ledger ledger;
    struct str listener;
    (void)state;
    (void)err;

    verify->counts->ledgers++;
    verify_at(verify, "the ledger of '%.*s'", (int)(row->key.mv_size < 80 ? row->key.mv_size : 80),
              (const char *)row->key.mv_data);
    if (!ledger_table_decode(store_bytes(&row->value), &listener, &ledger)) {
        verify_report(verify, "ledger", "its row is damaged");
        return true;
    }
    const struct schema_key key = schema_name_key(listener);
    if (key.len != row->key.mv_size || memcmp(key.bytes, row->key.mv_data, key.len) != 0)
        verify_report(verify, "ledger", "its row is that of '%.*s'",
                      (int)(listener.len < 80 ? listener.len : 80), listener.text);
    if (!ledger_balances(&ledger))
        verify_report(verify, "ledger",
                      "it received %llu samples, which is not what it stored, rejected and dropped",
                      (unsigned long long)ledger.received);
    return true;
}

/* A row of a series that has the right size. */
static bool check_by_id(struct verify *verify, const struct walk *row, size_t bytes,
                        struct error *err)
{
    uint32_t id = schema_id_of(store_bytes(&row->key));
    bool found = false;

    if (id == 0 || row->value.mv_size != bytes) {
        verify_report(verify, "series", "its row is damaged");
        return true;
    }
    if (!verify_has_series(verify, id, &found, err))
        return false;
    if (!found)
        verify_report(verify, "series", "the series is not in the catalogue");
    return true;
}

static bool check_gauge(struct verify *verify, struct verify_rows_state *state,
                        const struct walk *row, struct error *err)
{
    (void)state;
    verify_at(verify, "the level of series %u", schema_id_of(store_bytes(&row->key)));
    return check_by_id(verify, row, GAUGE_BYTES, err);
}

struct tracker_ids {
    struct verify *verify;
    struct removed removed;
    struct error *err;
    bool ok;
};

static void check_tracker_id(uint32_t id, void *arg)
{
    struct tracker_ids *ids = arg;
    bool found = false;

    /* Those of a series that is gone stay until their row is taken away. */
    if (!ids->ok || removed_has(&ids->removed, id))
        return;
    ids->ok = verify_has_series(ids->verify, id, &found, ids->err);
    if (ids->ok && !found)
        verify_report(ids->verify, "series", "the series %u is not in the catalogue", id);
}

static bool check_tracker(struct verify *verify, struct verify_rows_state *state,
                          const struct walk *row, struct error *err)
{
    struct schema_reader key = schema_reader_of(store_bytes(&row->key));
    struct tracker_ids ids = {.verify = verify, .err = err};

    (void)state;
    verify_at(verify, "row %llu of the trackers", (unsigned long long)schema_get_u64(&key));
    ids.ok = removed_init(&ids.removed, verify->txn, err);
    if (ids.ok && (!key.ok || key.left > 0 ||
                   !tracker_row_each(store_bytes(&row->value), check_tracker_id, &ids)))
        verify_report(verify, "series", "its row is damaged");
    removed_fini(&ids.removed);
    return ids.ok;
}

static bool check_mixed(struct verify *verify, struct verify_rows_state *state,
                        const struct walk *row, struct error *err)
{
    struct mixed mixed;
    struct str metric;

    (void)state;
    (void)err;
    verify_at(verify, "a mark of two senders");
    if (!mixed_decode(store_bytes(&row->value), &metric, &mixed)) {
        verify_report(verify, "series", "its row is damaged");
        return true;
    }
    const struct schema_key key = schema_name_key(metric);
    if (key.len != row->key.mv_size || memcmp(key.bytes, row->key.mv_data, key.len) != 0)
        verify_report(verify, "series", "its row is that of '%.*s'",
                      (int)(metric.len < 80 ? metric.len : 80), metric.text);
    return true;
}

/* Ids that are gone are in no catalogue. */
static bool check_removed(struct verify *verify, struct verify_rows_state *state,
                          const struct walk *row, struct error *err)
{
    struct schema_reader key = schema_reader_of(store_bytes(&row->key));
    const unsigned char *bits = row->value.mv_data;
    uint32_t number = schema_get_u32(&key);
    (void)state;

    verify_at(verify, "row %u of the removed series", number);
    if (!key.ok || key.left > 0 || number > UINT32_MAX / REMOVED_IDS_A_ROW ||
        row->value.mv_size != REMOVED_IDS_A_ROW / 8) {
        verify_report(verify, "series", "its row is damaged");
        return true;
    }
    for (uint32_t bit = 0; bit < REMOVED_IDS_A_ROW; bit++) {
        const uint32_t id = number * REMOVED_IDS_A_ROW + bit;
        const struct schema_key series = schema_id_key(id);
        struct str ignored;
        bool found = false;
        if ((bits[bit / 8] >> (bit % 8) & 1) == 0)
            continue;
        if (id > verify->newest_id) {
            verify_report(verify, "series", "the number of series %u was never given", id);
            return true;
        }
        /* Now, not when the series were listed: it may have gone since. */
        if (!store_find(verify->txn, DATABASE_SERIES, store_key(&series), &ignored, &found, err))
            return false;
        if (found)
            verify_report(verify, "series", "the series %u is in the catalogue", id);
    }
    return true;
}

/* What it lists is read by the catalogue's own check. */
static bool check_index_run(struct verify *verify, struct verify_rows_state *state,
                            const struct walk *row, struct error *err)
{
    struct schema_reader key = schema_reader_of(store_bytes(&row->key));
    const uint64_t number = schema_get_u64(&key);
    (void)state;
    (void)err;

    verify_at(verify, "index run %llu", (unsigned long long)number);
    if (!key.ok || key.left > 0 || row->value.mv_size != INDEX_RUN_BYTES)
        verify_report(verify, "list", "its row is damaged");
    else if (number > meta_get(verify->txn, "index_run", 0))
        verify_report(verify, "list", "its number was never given");
    return true;
}

/* The series may be gone already: then the row goes a day later. */
static bool check_unwanted(struct verify *verify, struct verify_rows_state *state,
                           const struct walk *row, struct error *err)
{
    const uint32_t id = schema_id_of(store_bytes(&row->key));
    (void)state;
    (void)err;

    verify_at(verify, "the wish that series %u goes", id);
    if (id == 0 || row->key.mv_size != SCHEMA_ID_SIZE || row->value.mv_size != UNWANTED_BYTES)
        verify_report(verify, "series", "its row is damaged");
    else if (id > verify->newest_id)
        verify_report(verify, "series", "its number was never given");
    return true;
}

static bool check_seen(struct verify *verify, struct verify_rows_state *state,
                       const struct walk *row, struct error *err)
{
    struct schema_reader key = schema_reader_of(store_bytes(&row->key));
    (void)state;
    (void)err;

    verify_at(verify, "row %u of when series were seen", schema_get_u32(&key));
    if (!key.ok || key.left > 0 || row->value.mv_size != CENSUS_ROW_BYTES)
        verify_report(verify, "series", "its row is damaged");
    return true;
}

/* Numbers of listeners are given one after the other, so whoever has the last one has all. */
static bool check_owned(struct verify *verify, struct str row, struct error *err)
{
    uint16_t greatest = 0;

    for (size_t i = 0; i < CENSUS_OWNER_IDS_A_ROW; i++) {
        uint16_t number = census_owner_number(row, (uint32_t)i);
        greatest = number > greatest ? number : greatest;
    }
    const struct schema_key name = census_owner_key(greatest);
    struct str ignored;
    bool found = greatest == 0;
    if (!found &&
        !store_find(verify->txn, DATABASE_OWNERS, store_key(&name), &ignored, &found, err))
        return false;
    if (!found)
        verify_report(verify, "series", "the name of listener %u is not there", greatest);
    return true;
}

/* Who brought series. */
static bool check_owner(struct verify *verify, struct verify_rows_state *state,
                        const struct walk *row, struct error *err)
{
    struct schema_reader key = schema_reader_of(store_bytes(&row->key));
    const struct str value = store_bytes(&row->value);
    const bool is_name = schema_get_u8(&key) == CENSUS_OWNER_NAME;
    const uint32_t number = is_name ? schema_get_u16(&key) : schema_get_u32(&key);
    (void)state;

    verify_at(verify, is_name ? "listener %u" : "row %u of who brought series", number);
    if (!key.ok || key.left > 0 || (is_name && (number == 0 || value.len == 0)) ||
        (!is_name && (((const unsigned char *)row->key.mv_data)[0] != CENSUS_OWNER_ROW ||
                      value.len != CENSUS_OWNER_ROW_BYTES))) {
        verify_report(verify, "series", "its row is damaged");
        return true;
    }
    return is_name || check_owned(verify, value, err);
}

/* Names are shown by their first bytes. */
static void at_identity(struct verify *verify, struct str name)
{
    struct reader reader = reader_of(name);
    verify_at(verify, "identity %016llx...",
              (unsigned long long)__builtin_bswap64(read_u64(&reader)));
}

static bool is_identity(struct str name, struct str value, int64_t *used_at)
{
    struct reader reader = reader_of(value);
    uint8_t kind = read_u8(&reader);

    *used_at = read_i64(&reader);
    if (name.len != IDENTITY_NAME_BYTES || !reader.ok)
        return false;
    bool is_key = ((unsigned char)name.text[0] & 0x80) != 0;
    if (!is_key)
        return kind == ROW_PRODUCER && value.len == IDENTITY_PRODUCER_BYTES;
    (void)read_u64(&reader);
    (void)read_u64(&reader);
    (void)read_block(&reader);
    return kind == ROW_KEY && reader.ok && reader.left == 0;
}

static bool check_identity(struct verify *verify, struct verify_rows_state *state,
                           const struct walk *row, struct error *err)
{
    const struct str name = store_bytes(&row->key);
    struct schema_key age = SCHEMA_KEY_EMPTY;
    struct str ignored;
    int64_t used_at = 0;
    bool found = false;
    (void)state;

    verify->counts->identities++;
    at_identity(verify, name);
    if (!is_identity(name, store_bytes(&row->value), &used_at)) {
        verify_report(verify, "identity", "its row is damaged");
        return true;
    }
    schema_put_i64(&age, used_at);
    memcpy(age.bytes + age.len, name.text, name.len);
    age.len += name.len;
    if (!store_find(verify->txn, DATABASE_IDENTITY_AGES, store_key(&age), &ignored, &found, err))
        return false;
    if (!found)
        verify_report(verify, "identity", "it is not in the list of ages, so it never goes");
    return true;
}

static bool check_age(struct verify *verify, struct verify_rows_state *state,
                      const struct walk *row, struct error *err)
{
    struct schema_reader key = schema_reader_of(store_bytes(&row->key));
    int64_t listed_at = schema_get_i64(&key);
    const struct str name = {(const char *)key.at, key.left};
    struct str value;
    int64_t used_at = 0;
    bool found = false;
    (void)state;

    at_identity(verify, name);
    if (name.len > 0 &&
        !store_find(verify->txn, DATABASE_IDENTITIES, store_value(name), &value, &found, err))
        return false;
    if (!found || !is_identity(name, value, &used_at) || used_at != listed_at)
        verify_report(verify, "identity", "the list of ages has it at %lld, where it is not",
                      (long long)listed_at);
    return true;
}

static bool check_annotation(struct verify *verify, struct verify_rows_state *state,
                             const struct walk *row, struct error *err)
{
    struct annotation_place place;
    struct annotation annotation;
    (void)state;
    (void)err;

    bool is_whole =
        annotation_row_of(store_bytes(&row->key), store_bytes(&row->value), &place, &annotation);
    verify_at(verify, "annotation %llu", (unsigned long long)place.number);
    if (!is_whole)
        verify_report(verify, "annotation", "its row is damaged");
    else if (place.number > meta_get(verify->txn, "annotation", 0))
        verify_report(verify, "annotation", "its number was never given");
    return true;
}

struct row_table {
    enum database database;
    row_fn check;
};

static const struct row_table TABLES[] = {
    {DATABASE_CALENDARS, check_calendar},  {DATABASE_DAY_BOUNDS, check_day},
    {DATABASE_LEDGER, check_ledger},       {DATABASE_GAUGES, check_gauge},
    {DATABASE_TRACKERS, check_tracker},    {DATABASE_MIXED, check_mixed},
    {DATABASE_IDENTITIES, check_identity}, {DATABASE_IDENTITY_AGES, check_age},
    {DATABASE_KEPT, check_kept},           {DATABASE_ANNOTATIONS, check_annotation},
    {DATABASE_SEEN, check_seen},           {DATABASE_OWNERS, check_owner},
    {DATABASE_REMOVED, check_removed},     {DATABASE_UNWANTED, check_unwanted},
    {DATABASE_META, check_mark},           {DATABASE_INDEX_RUNS, check_index_run},
};

bool verify_rows(struct verify *verify, union verify_state *all, bool *done, struct error *err)
{
    struct verify_rows_state *state = &all->rows;
    const struct row_table *table = &TABLES[state->table];
    struct walk walk;
    bool goes_on = true;

    if (state->table == 0 && state->next.len == 0)
        check_marks(verify);
    if (!bound_ids(verify, err))
        return false;
    bool ok = walk_begin(&walk, verify->txn, table->database, &state->next, err);
    while (ok && walk.found && goes_on) {
        verify->counts->rows++;
        ok = table->check(verify, state, &walk, err);
        state->next = walk_after(store_bytes(&walk.key));
        ok = ok && walk_next(&walk, err);
        goes_on = verify_spend(verify, 1);
    }
    if (ok && !walk.found) {
        state->next = (struct schema_key)SCHEMA_KEY_EMPTY;
        state->table++;
        *done = state->table == sizeof TABLES / sizeof *TABLES;
    }
    walk_end(&walk);
    return ok;
}
