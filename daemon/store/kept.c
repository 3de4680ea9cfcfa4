#include "store/kept.h"

#include <string.h>

#include "base/table.h"
#include "store/catalog.h"
#include "store/walk.h"

enum { CALENDAR_BYTES = 12 };

void kept_of_rest(const struct read_txn *txn, struct kept *out)
{
    *out = (struct kept){.from = {[LEVEL_MINUTE] = parts_mark(txn, MARK_KEPT_MINUTE),
                                  [LEVEL_QUARTER] = parts_mark(txn, MARK_KEPT_QUARTER),
                                  [LEVEL_DAY] = parts_mark(txn, MARK_KEPT_DAY)}};
}

int64_t kept_whole_days_from(const struct kept *kept, uint32_t calendar)
{
    for (size_t i = 0; i < kept->calendar_count; i++) {
        if (kept->calendars[i].calendar == calendar)
            return kept->calendars[i].from;
    }
    return INT64_MIN;
}

void kept_set_whole_days(struct kept *kept, uint32_t calendar, int64_t from, struct arena *arena)
{
    struct kept_calendar *calendars =
        arena_array(arena, kept->calendar_count + 1, sizeof *calendars);
    size_t count = 0;

    for (size_t i = 0; i < kept->calendar_count; i++) {
        if (kept->calendars[i].calendar != calendar)
            calendars[count++] = kept->calendars[i];
    }
    calendars[count++] = (struct kept_calendar){calendar, from};
    kept->calendars = calendars;
    kept->calendar_count = count;
}

/* --- rows --- */

bool kept_row_of(struct str value, struct arena *arena, struct kept_row *out)
{
    struct reader reader = reader_of(value);

    *out = (struct kept_row){.metric = STR_EMPTY};
    for (enum level level = 0; level < LEVEL_COUNT; level++)
        out->kept.from[level] = read_i64(&reader);
    uint32_t count = read_u32(&reader);
    if (!reader.ok || count > reader.left / CALENDAR_BYTES)
        return false;
    struct kept_calendar *calendars = arena_array(arena, count, sizeof *calendars);
    for (uint32_t i = 0; i < count; i++) {
        calendars[i].calendar = read_u32(&reader);
        calendars[i].from = read_i64(&reader);
    }
    out->kept.calendars = calendars;
    out->kept.calendar_count = count;
    out->metric = (struct str){(const char *)reader.at, reader.left};
    return reader.ok && out->metric.len > 0;
}

bool kept_put(struct write_txn *txn, const struct kept_row *row, struct error *err)
{
    struct schema_key key = schema_name_key(row->metric);
    struct buf value = BUF_EMPTY;

    for (enum level level = 0; level < LEVEL_COUNT; level++)
        buf_i64(&value, row->kept.from[level]);
    buf_u32(&value, (uint32_t)row->kept.calendar_count);
    for (size_t i = 0; i < row->kept.calendar_count; i++) {
        buf_u32(&value, row->kept.calendars[i].calendar);
        buf_i64(&value, row->kept.calendars[i].from);
    }
    buf_str(&value, row->metric);
    bool ok = store_put(txn, DATABASE_KEPT, store_key(&key), buf_view(&value), 0, err);
    buf_fini(&value);
    return ok;
}

bool kept_remove(struct write_txn *txn, struct str metric, struct error *err)
{
    struct schema_key key = schema_name_key(metric);
    return store_remove(txn, DATABASE_KEPT, store_key(&key), err);
}

static bool damaged(const struct read_txn *txn, struct error *err)
{
    return error_set(err, ERROR_CORRUPT,
                     "cannot read what is kept of a metric in data directory '%s': its row is "
                     "damaged",
                     txn->store->path);
}

bool kept_find(const struct read_txn *txn, struct str metric, struct arena *arena, struct kept *out,
               bool *found, struct error *err)
{
    struct schema_key key = schema_name_key(metric);
    struct kept_row row;
    struct str value;

    *found = false;
    if (metric.len == 0)
        return true; /* of a series that is gone */
    if (!store_find(txn, DATABASE_KEPT, store_key(&key), &value, found, err))
        return false;
    if (!*found)
        return true;
    if (!kept_row_of(value, arena, &row) || !str_equal(row.metric, metric))
        return damaged(txn, err);
    *out = row.kept;
    return true;
}

bool kept_of_metric(const struct read_txn *txn, struct str metric, struct arena *arena,
                    struct kept *out, struct error *err)
{
    bool found = false;

    kept_of_rest(txn, out);
    return kept_find(txn, metric, arena, out, &found, err);
}

bool kept_rows(const struct read_txn *txn, struct arena *arena, struct kept_row **out,
               size_t *count, struct error *err)
{
    const struct schema_key from = SCHEMA_KEY_EMPTY;
    size_t capacity = 0;
    struct walk walk;

    *out = NULL;
    *count = 0;
    bool ok = walk_begin(&walk, txn, DATABASE_KEPT, &from, err);
    while (ok && walk.found) {
        *out = arena_grow(arena, *out, *count, &capacity, sizeof **out);
        struct kept_row *row = &(*out)[(*count)++];
        if (kept_row_of(store_bytes(&walk.value), arena, row)) {
            row->metric = arena_str(arena, row->metric);
            ok = walk_next(&walk, err);
        } else {
            ok = damaged(txn, err);
        }
    }
    walk_end(&walk);
    return ok;
}

/* --- groups of series --- */

/* Series on their way to their groups. */
struct grouping {
    const struct read_txn *txn;
    struct arena *arena;
    struct kept_groups *groups;
    size_t capacity;
    struct table by_metric; /* -> size_t: group */
    struct str last;        /* metric */
    uint32_t last_group;
};

static bool is_same(const struct kept *a, const struct kept *b)
{
    if (memcmp(a->from, b->from, sizeof a->from) != 0 || a->calendar_count != b->calendar_count)
        return false;
    for (size_t i = 0; i < a->calendar_count; i++) {
        if (a->calendars[i].calendar != b->calendars[i].calendar ||
            a->calendars[i].from != b->calendars[i].from)
            return false;
    }
    return true;
}

static uint32_t group_of(struct grouping *grouping, const struct kept *kept)
{
    struct kept_groups *groups = grouping->groups;

    for (size_t i = 0; i < groups->count; i++) {
        if (is_same(&groups->items[i], kept))
            return (uint32_t)i;
    }
    groups->items = arena_grow(grouping->arena, groups->items, groups->count, &grouping->capacity,
                               sizeof *groups->items);
    groups->items[groups->count] = *kept;
    return (uint32_t)groups->count++;
}

static bool group_of_metric(struct grouping *grouping, struct str metric, uint32_t *out,
                            struct error *err)
{
    struct kept kept;

    if (metric.len > 0 && str_equal(metric, grouping->last)) {
        *out = grouping->last_group;
        return true;
    }
    const uint32_t *known = table_find(&grouping->by_metric, metric);
    if (known == NULL) {
        if (!kept_of_metric(grouping->txn, metric, grouping->arena, &kept, err))
            return false;
        uint32_t *made = arena_alloc(grouping->arena, sizeof *made);
        *made = group_of(grouping, &kept);
        (void)table_add(&grouping->by_metric, metric, made);
        known = made;
    }
    *out = *known;
    grouping->last = metric;
    grouping->last_group = *known;
    return true;
}

static struct str metric_of(const struct read_txn *txn, const struct query_series *series)
{
    struct str key = series->key;

    if (key.len == 0 && !catalog_key(txn, series->id, &key))
        return STR_EMPTY;
    return series_key_metric(key);
}

bool kept_group(const struct read_txn *txn, const struct query_series *series, size_t count,
                struct arena *arena, struct kept_groups *out, struct error *err)
{
    struct grouping grouping = {
        .txn = txn, .arena = arena, .groups = out, .by_metric = TABLE_EMPTY};
    MDB_stat facts;
    bool ok = true;

    *out = (struct kept_groups){NULL, 0, NULL};
    int rc = mdb_stat(txn->txn, txn->store->databases[DATABASE_KEPT], &facts);
    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    if (facts.ms_entries == 0 || count == 0) {
        struct kept rest;
        kept_of_rest(txn, &rest);
        (void)group_of(&grouping, &rest);
        return true;
    }
    uint32_t *of = arena_array(arena, count, sizeof *of);
    for (size_t i = 0; ok && i < count; i++)
        ok = group_of_metric(&grouping, metric_of(txn, &series[i]), &of[i], err);
    table_fini(&grouping.by_metric);
    out->of = out->count > 1 ? of : NULL;
    return ok;
}

void kept_members_of(const struct kept_groups *groups, size_t group,
                     const struct query_series *series, size_t count, struct arena *arena,
                     struct kept_members *out)
{
    *out = (struct kept_members){arena_array(arena, count, sizeof *out->series),
                                 arena_array(arena, count, sizeof *out->at), 0};
    for (size_t i = 0; i < count; i++) {
        if (groups->of != NULL && groups->of[i] != group)
            continue;
        out->series[out->count] = series[i];
        out->at[out->count++] = i;
    }
}
