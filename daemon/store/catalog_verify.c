/* The catalogue's check, in as many read transactions as it takes, while series come and go.
 *
 * Whether the index has what it should have is seen from sums: over the entries of the series as
 * they stand, and over those of the runs. They are kept for groups of ids, of series that were
 * indexed when the check began. The runs are read by slices of keys, all of them in one
 * transaction, so it does not matter how they are merged meanwhile. What matters is a series that
 * is removed: then the sums of its group say nothing and are made again. Only where they differ
 * series are looked up one by one. */
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/memory.h"
#include "store/catalog.h"
#include "store/removed.h"
#include "store/series_cursor.h"

enum {
    SLICE_BITS = 8, /* of the key */
    SLICES = 1 << SLICE_BITS,
    PASSES_MAX = 8, /* groups that are never at rest are left out then */
    LOOK_UP_ROWS = 16,
};

enum phase { PHASE_SERIES, PHASE_INDEX, PHASE_COMPARE, PHASE_END };

/* REMOVED_IDS_A_ROW ids. */
struct group {
    uint64_t expected, found; /* sums over what the index should have, and has */
    uint64_t removed;         /* which ones were, when the sums were begun */
    bool is_settled;
};

struct run_seen {
    uint64_t number;
    uint64_t entries;
    bool is_whole; /* it was there from the first slice on */
    bool is_broken;
};

struct catalog_check {
    struct catalog_checker checker;
    unsigned findings;
    enum phase phase;
    bool has_begun;
    unsigned pass;
    uint32_t end; /* series up to here are in the index */
    struct group *groups;
    uint32_t group_count;
    uint64_t next_id; /* wider than an id, so that it comes to an end */
    unsigned slice;
    struct run_seen *seen;
    size_t seen_count;
    uint32_t next_group;
    bool has_told_order;
    bool has_extra;
    struct arena arena; /* for one series */

    /* the transaction under way */
    const struct read_txn *txn;
    uint32_t end_now; /* as `end` */
    struct removed removed;
    struct index_runs runs;
};

__attribute__((format(printf, 2, 3))) static void say(struct catalog_check *check,
                                                      const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (check->findings++ < CATALOG_FINDINGS_MAX)
        check->checker.on_finding(text, check->checker.arg);
}

static bool spend(struct catalog_check *check, uint64_t rows)
{
    return check->checker.spend == NULL || check->checker.spend(rows, check->checker.arg);
}

/* Sums of these are equal for the same entries in whatever order they come. */
static uint64_t weight_of(struct index_key key, uint32_t id)
{
    uint64_t text = key.text.len == 0 ? 0 : XXH3_64bits(key.text.text, key.text.len);
    const uint64_t all[] = {key.hash.high, key.hash.low, text, id};
    return XXH3_64bits(all, sizeof all);
}

/* --- groups --- */

/* That of an id, if it is one of those that are summed up in this pass. */
static struct group *group_of(struct catalog_check *check, uint32_t id)
{
    uint32_t number = id / REMOVED_IDS_A_ROW;

    if (id > check->end || check->groups[number].is_settled)
        return NULL;
    return &check->groups[number];
}

/* Ids are only added to those that were removed, so what looks the same is the same. */
static uint64_t removed_of(const struct catalog_check *check, uint32_t group)
{
    const struct removed *removed = &check->removed;

    if (group >= removed->row_count || removed->rows[group] == NULL)
        return 0;
    return XXH3_64bits(removed->rows[group], REMOVED_IDS_A_ROW / 8);
}

static void begin_pass(struct catalog_check *check)
{
    for (uint32_t i = 0; i < check->group_count; i++) {
        check->groups[i].expected = check->groups[i].found = 0;
        check->groups[i].removed = removed_of(check, i);
    }
    check->phase = PHASE_SERIES;
    check->next_id = 0;
    check->slice = 0;
    check->next_group = 0;
}

/* --- the rows of series --- */

/* As it is the first time that the row is looked at. */
static bool check_row(struct catalog_check *check, const struct series_cursor *cursor)
{
    if (removed_has(&check->removed, cursor->id))
        say(check, "series %u was removed and is there", cursor->id);
    if (cursor->key.len > 0 && series_key_is_valid(cursor->key))
        return true;
    say(check, "series %u: its key cannot be read", cursor->id);
    return false;
}

static void check_series(struct catalog_check *check, const struct series_cursor *cursor)
{
    struct index_entry entries[INDEX_ENTRIES_MAX];
    struct group *group = group_of(check, cursor->id);
    bool is_first = check->pass == 0;

    if (is_first ? !check_row(check, cursor) : !series_key_is_valid(cursor->key))
        return;
    if (group == NULL)
        return;
    arena_reset(&check->arena);
    size_t count = index_entries_of(cursor->id, cursor->key, &check->arena, entries);
    for (size_t i = 0; i < count; i++)
        group->expected += weight_of(entries[i].key, cursor->id);
}

/* Later passes look at some groups only. */
static uint64_t skip_settled(const struct catalog_check *check, uint64_t id)
{
    while (check->pass > 0 && id <= check->end && check->groups[id / REMOVED_IDS_A_ROW].is_settled)
        id = (id / REMOVED_IDS_A_ROW + 1) * REMOVED_IDS_A_ROW;
    return check->pass > 0 && id > check->end ? (uint64_t)UINT32_MAX + 1 : id;
}

/* A row under a key that is no id stands somewhere between the others. */
static bool is_in_order(struct catalog_check *check, const struct series_cursor *cursor)
{
    bool is = cursor->id > 0 && cursor->id >= check->next_id;

    if (!is && !check->has_told_order)
        say(check, "a series before series %llu: its number is none",
            (unsigned long long)check->next_id);
    check->has_told_order = check->has_told_order || !is;
    return is;
}

static bool go_on_series(struct catalog_check *check, struct error *err)
{
    struct series_cursor cursor;
    bool goes_on = true;

    check->next_id = skip_settled(check, check->next_id);
    if (check->next_id > UINT32_MAX) {
        check->phase = PHASE_INDEX;
        return true;
    }
    bool ok = series_cursor_init(&cursor, check->txn, err) &&
              series_cursor_seek(&cursor, (uint32_t)check->next_id, err);
    while (ok && goes_on && cursor.has) {
        if (!is_in_order(check, &cursor)) {
            ok = series_cursor_next(&cursor, err);
            continue;
        }
        check_series(check, &cursor);
        check->next_id = skip_settled(check, (uint64_t)cursor.id + 1);
        goes_on = spend(check, 1);
        if (check->next_id > UINT32_MAX)
            break;
        ok = check->next_id == (uint64_t)cursor.id + 1
                 ? series_cursor_next(&cursor, err)
                 : series_cursor_seek(&cursor, (uint32_t)check->next_id, err);
    }
    if (ok && (!cursor.has || check->next_id > UINT32_MAX))
        check->phase = PHASE_INDEX;
    series_cursor_fini(&cursor);
    return ok;
}

/* --- the index --- */

static struct run_seen *seen_of(struct catalog_check *check, uint64_t number)
{
    for (size_t i = 0; i < check->seen_count; i++) {
        if (check->seen[i].number == number)
            return &check->seen[i];
    }
    check->seen = memory_grow(check->seen, check->seen_count + 1, sizeof *check->seen);
    check->seen[check->seen_count] =
        (struct run_seen){.number = number, .is_whole = check->slice == 0};
    return &check->seen[check->seen_count++];
}

/* The ids of one key in one chunk; those of a key grow from chunk to chunk. */
static bool take_ids(struct catalog_check *check, const struct index_cursor *cursor, uint32_t *last,
                     size_t *count, struct error *err)
{
    uint32_t ids[INDEX_CHUNK_IDS_MAX];

    if (!index_cursor_ids(cursor, ids, count, err))
        return false;
    for (size_t i = 0; i < *count; i++) {
        if (ids[i] <= *last || ids[i] > check->end_now)
            return error_set(err, ERROR_CORRUPT,
                             "index run %llu has series %u where it does not belong",
                             (unsigned long long)cursor->number, ids[i]);
        *last = ids[i];
        struct group *group = group_of(check, ids[i]);
        if (group != NULL && !removed_has(&check->removed, ids[i]))
            group->found += weight_of(cursor->key, ids[i]);
    }
    return true;
}

static bool read_slice(struct catalog_check *check, struct run_seen *seen, uint64_t *rows,
                       struct error *err)
{
    const struct series_hash first = {(uint64_t)check->slice << (64 - SLICE_BITS), 0};
    struct index_cursor cursor;
    uint32_t last = 0;
    bool ok = index_cursor_init(&cursor, check->txn, seen->number, err) &&
              index_cursor_seek(&cursor, (struct index_key){first, STR_EMPTY}, 0, err);

    while (ok && cursor.has && cursor.key.hash.high >> (64 - SLICE_BITS) == check->slice) {
        size_t count = 0;
        if (!cursor.goes_on)
            last = 0;
        ok = take_ids(check, &cursor, &last, &count, err) && index_cursor_next(&cursor, err);
        seen->entries += count;
        *rows += count;
    }
    index_cursor_fini(&cursor);
    return ok;
}

/* What is damaged is said once and not read on. */
static bool read_runs(struct catalog_check *check, uint64_t *rows, struct error *err)
{
    for (size_t i = 0; i < check->runs.count; i++) {
        struct run_seen *seen = seen_of(check, check->runs.items[i].number);
        if (seen->is_broken || read_slice(check, seen, rows, err))
            continue;
        if (err->kind != ERROR_CORRUPT)
            return false;
        seen->is_broken = true;
        if (check->pass == 0)
            say(check, "%s", err->text);
    }
    return true;
}

static void check_entries(struct catalog_check *check)
{
    for (size_t i = 0; i < check->runs.count; i++) {
        const struct index_run *run = &check->runs.items[i];
        const struct run_seen *seen = seen_of(check, run->number);
        if (seen->is_whole && !seen->is_broken && seen->entries != run->entries)
            say(check, "index run %llu has %llu entries, its record says %llu",
                (unsigned long long)run->number, (unsigned long long)seen->entries,
                (unsigned long long)run->entries);
    }
}

static bool go_on_index(struct catalog_check *check, struct error *err)
{
    bool goes_on = true;

    while (goes_on && check->slice < SLICES) {
        uint64_t rows = 1;
        if (!read_runs(check, &rows, err))
            return false;
        check->slice++;
        if (check->slice == SLICES && check->pass == 0)
            check_entries(check);
        goes_on = spend(check, rows);
    }
    if (check->slice < SLICES)
        return true;
    check->seen_count = 0;
    check->phase = PHASE_COMPARE;
    return true;
}

/* --- where the sums differ --- */

static void find_missing(struct catalog_check *check, struct series_cursor *cursor)
{
    struct index_entry entries[INDEX_ENTRIES_MAX];
    const struct id_list self = {.ids = &cursor->id, .count = 1};
    struct error err = ERROR_EMPTY;
    size_t missing = 0;

    if (cursor->key.len == 0)
        return;
    arena_reset(&check->arena);
    size_t count = index_entries_of(cursor->id, cursor->key, &check->arena, entries);
    for (size_t i = 0; i < count; i++) {
        unsigned char found = 0;
        if (!index_mark(check->txn, &check->runs, entries[i].key, &self, &found, &err))
            return; /* the run was told already */
        missing += found == 0;
    }
    if (missing > 0)
        say(check, "series %u is not found by %zu of the %zu keys that the index should have",
            cursor->id, missing, count);
}

static bool look_into(struct catalog_check *check, uint32_t group, struct error *err)
{
    struct series_cursor cursor;
    unsigned before = check->findings;
    bool ok = series_cursor_init(&cursor, check->txn, err) &&
              series_cursor_seek(&cursor, group * REMOVED_IDS_A_ROW, err);

    while (ok && cursor.has && cursor.id <= check->end && cursor.id / REMOVED_IDS_A_ROW == group &&
           check->findings < CATALOG_FINDINGS_MAX) {
        find_missing(check, &cursor);
        ok = series_cursor_next(&cursor, err);
    }
    series_cursor_fini(&cursor);
    if (ok && check->findings == before && !check->has_extra) {
        check->has_extra = true;
        say(check, "the index has entries that belong to no series");
    }
    return ok;
}

static bool go_on_comparing(struct catalog_check *check, struct error *err)
{
    bool is_restless = false;

    for (; check->next_group < check->group_count; check->next_group++) {
        struct group *group = &check->groups[check->next_group];
        if (group->is_settled)
            continue;
        group->is_settled = group->expected == group->found;
        if (group->is_settled || group->removed != removed_of(check, check->next_group))
            continue;
        if (!look_into(check, check->next_group, err))
            return false;
        group->is_settled = true;
        if (!spend(check, REMOVED_IDS_A_ROW * (uint64_t)LOOK_UP_ROWS)) {
            check->next_group++;
            return true;
        }
    }
    for (uint32_t i = 0; i < check->group_count; i++)
        is_restless = is_restless || !check->groups[i].is_settled;
    if (is_restless && ++check->pass < PASSES_MAX)
        begin_pass(check);
    else
        check->phase = PHASE_END;
    return true;
}

/* --- all of it --- */

struct catalog_check *catalog_check_new(const struct catalog_checker *checker)
{
    struct catalog_check *check = memory_zero(1, sizeof *check);

    check->checker = *checker;
    return check;
}

void catalog_check_free(struct catalog_check *check)
{
    if (check == NULL)
        return;
    arena_fini(&check->arena);
    free(check->groups);
    free(check->seen);
    free(check);
}

static bool begin(struct catalog_check *check, struct error *err)
{
    uint32_t newest = 0;

    if (!series_newest(check->txn, &newest, err))
        return false;
    if (check->end_now > newest)
        say(check, "the index is said to have all series up to %u, and the newest is %u",
            check->end_now, newest);
    check->has_begun = true;
    check->end = check->end_now;
    check->group_count = check->end / REMOVED_IDS_A_ROW + 1;
    check->groups = memory_zero(check->group_count, sizeof *check->groups);
    begin_pass(check);
    return true;
}

static bool go_on(struct catalog_check *check, struct error *err)
{
    if (!check->has_begun && !begin(check, err))
        return false;
    if (check->end_now < check->end || check->findings >= CATALOG_FINDINGS_MAX)
        check->phase = PHASE_END; /* it is made anew, or enough was said */
    switch (check->phase) {
    case PHASE_SERIES:
        return go_on_series(check, err);
    case PHASE_INDEX:
        return go_on_index(check, err);
    case PHASE_COMPARE:
        return go_on_comparing(check, err);
    default:
        return true;
    }
}

bool catalog_check_go_on(struct catalog_check *check, const struct read_txn *txn, bool *done,
                         struct error *err)
{
    check->txn = txn;
    check->end_now = index_end(txn);
    check->runs = (struct index_runs){NULL, 0};
    bool ok = removed_init(&check->removed, txn, err) && index_runs_read(&check->runs, txn, err) &&
              go_on(check, err);
    *done = check->phase == PHASE_END;
    removed_fini(&check->removed);
    index_runs_fini(&check->runs);
    return ok;
}
