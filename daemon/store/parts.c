#include "store/parts.h"

#include <assert.h>
#include <string.h>

#include "store/walk.h"

enum {
    DAY_FROM_SLACK = QUARTERS_PER_DAY, /* how far a day may begin from where UTC's does */
    DAY_LENGTH_MAX = 2 * QUARTERS_PER_DAY,
    DAY_SEARCH = 4, /* days: from where a quarter's day is looked for, given these two */
};

static const int64_t WINDOWS[LEVEL_COUNT] = {
    [LEVEL_MINUTE] = MINUTES_PER_WINDOW,
    [LEVEL_QUARTER] = QUARTERS_PER_WEEK,
    [LEVEL_DAY] = DAYS_PER_WINDOW,
};

/* --- rows --------------------------------------------------------------------------------------
 */

/* What `list` is called in an error: "the list of ...". */
static bool bad_row(const struct read_txn *txn, const char *list, struct error *err)
{
    return error_set(err, ERROR_CORRUPT,
                     "cannot read the %s of data directory '%s': a row is damaged", list,
                     txn->store->path);
}

/* Takes a row away that has to be there, and lists what it stood for as garbage. */
static bool unlist(struct write_txn *txn, enum database database, const struct schema_key *key,
                   const struct garbage_item *garbage, struct error *err)
{
    struct str ignored;
    bool found = false;

    if (!store_find(&txn->reader, database, store_key(key), &ignored, &found, err))
        return false;
    if (!found)
        return error_set(err, ERROR_CORRUPT,
                         "cannot take number %llu off the list of %s in data directory '%s': it "
                         "is not listed",
                         (unsigned long long)garbage->number,
                         database == DATABASE_RUNS ? "runs" : "partitions",
                         txn->reader.store->path);
    return store_remove(txn, database, store_key(key), err) &&
           parts_add_garbage(txn, garbage->what, garbage->number, err);
}

/* --- runs --------------------------------------------------------------------------------------
 */

static struct schema_key run_key(const struct run *run)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;

    assert(run->tier <= UINT8_MAX);
    schema_put_u8(&key, (uint8_t)run->tier);
    schema_put_u64(&key, run->number);
    return key;
}

bool parts_run_of(struct str key_bytes, struct str value_bytes, struct run *out)
{
    struct schema_reader key = schema_reader_of(key_bytes);
    struct reader value = reader_of(value_bytes);

    out->tier = schema_get_u8(&key);
    out->number = schema_get_u64(&key);
    out->version = read_u64(&value);
    out->min_minute = read_i64(&value);
    out->max_minute = read_i64(&value);
    out->cells = read_u64(&value);
    out->bytes = read_u64(&value);
    return key.ok && key.left == 0 && value.ok && value.left == 0 && out->cells > 0 &&
           out->min_minute <= out->max_minute;
}

bool parts_add_run(struct write_txn *txn, const struct run *run, struct error *err)
{
    struct schema_key key = run_key(run);
    struct buf value = BUF_EMPTY;

    assert(run->cells > 0 && run->min_minute <= run->max_minute);
    buf_u64(&value, run->version);
    buf_i64(&value, run->min_minute);
    buf_i64(&value, run->max_minute);
    buf_u64(&value, run->cells);
    buf_u64(&value, run->bytes);
    bool ok = store_put(txn, DATABASE_RUNS, store_key(&key), buf_view(&value), 0, err);
    buf_fini(&value);
    return ok;
}

bool parts_remove_run(struct write_txn *txn, const struct run *run, struct error *err)
{
    struct schema_key key = run_key(run);
    const struct garbage_item garbage = {run->tier == 0 ? GARBAGE_JOURNAL : GARBAGE_RUN,
                                         run->number};
    return unlist(txn, DATABASE_RUNS, &key, &garbage, err);
}

bool parts_runs(const struct read_txn *txn, struct arena *arena, struct run **out, size_t *count,
                struct error *err)
{
    struct schema_key from = SCHEMA_KEY_EMPTY;
    struct walk walk;
    size_t capacity = 0;

    *out = NULL;
    *count = 0;
    bool ok = walk_begin(&walk, txn, DATABASE_RUNS, &from, err);
    while (ok && walk.found) {
        *out = arena_grow(arena, *out, *count, &capacity, sizeof **out);
        ok = parts_run_of(store_bytes(&walk.key), store_bytes(&walk.value), &(*out)[*count]) ||
             bad_row(txn, "list of runs", err);
        *count += ok;
        ok = ok && walk_next(&walk, err);
    }
    walk_end(&walk);
    return ok;
}

/* --- partitions --------------------------------------------------------------------------------
 */

const char *parts_level_name(enum level level)
{
    static const char *const names[LEVEL_COUNT] = {
        [LEVEL_MINUTE] = "minutes",
        [LEVEL_QUARTER] = "quarters",
        [LEVEL_DAY] = "days",
    };
    return names[level];
}

enum database parts_blocks(enum level level)
{
    static const enum database blocks[LEVEL_COUNT] = {
        [LEVEL_MINUTE] = DATABASE_MINUTES,
        [LEVEL_QUARTER] = DATABASE_QUARTERS,
        [LEVEL_DAY] = DATABASE_DAYS,
    };
    return blocks[level];
}

static struct schema_key partition_key(enum level level, uint32_t calendar, int64_t from,
                                       uint32_t number)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;

    assert(level < LEVEL_COUNT && calendar <= UINT16_MAX);
    schema_put_u8(&key, (uint8_t)level);
    schema_put_u16(&key, (uint16_t)calendar);
    schema_put_i64(&key, from);
    schema_put_u32(&key, number);
    return key;
}

/* Whether `to` comes after `from`, and not too long after it. */
static bool is_span(int64_t from, int64_t to, int64_t max)
{
    return from < to && (uint64_t)to - (uint64_t)from <= (uint64_t)max;
}

bool parts_partition_of(struct str key_bytes, struct str value_bytes, struct partition *out)
{
    struct schema_reader key = schema_reader_of(key_bytes);
    struct reader value = reader_of(value_bytes);
    uint8_t level = schema_get_u8(&key);

    *out = (struct partition){.level = (enum level)level};
    out->calendar = schema_get_u16(&key);
    out->from = schema_get_i64(&key);
    out->number = schema_get_u32(&key);
    out->to = read_i64(&value);
    out->version = read_u64(&value);
    out->series = read_u64(&value);
    out->points = read_u64(&value);
    out->bytes = read_u64(&value);
    out->pruned = read_u8(&value);
    return key.ok && key.left == 0 && value.ok && value.left == 0 && level < LEVEL_COUNT &&
           (out->calendar > 0) == (level == LEVEL_DAY) && out->number > 0 &&
           is_span(out->from, out->to, WINDOWS[level]);
}

bool parts_add_partition(struct write_txn *txn, const struct partition *partition,
                         struct error *err)
{
    struct schema_key key =
        partition_key(partition->level, partition->calendar, partition->from, partition->number);
    struct buf value = BUF_EMPTY;

    assert(partition->number > 0 && partition->pruned <= UINT8_MAX);
    assert((partition->calendar > 0) == (partition->level == LEVEL_DAY));
    assert(is_span(partition->from, partition->to, WINDOWS[partition->level]));
    buf_i64(&value, partition->to);
    buf_u64(&value, partition->version);
    buf_u64(&value, partition->series);
    buf_u64(&value, partition->points);
    buf_u64(&value, partition->bytes);
    buf_u8(&value, (uint8_t)partition->pruned);
    bool ok = store_put(txn, DATABASE_PARTITIONS, store_key(&key), buf_view(&value), 0, err);
    buf_fini(&value);
    return ok;
}

bool parts_remove_partition(struct write_txn *txn, const struct partition *partition,
                            struct error *err)
{
    static const enum garbage kinds[LEVEL_COUNT] = {
        [LEVEL_MINUTE] = GARBAGE_MINUTES,
        [LEVEL_QUARTER] = GARBAGE_QUARTERS,
        [LEVEL_DAY] = GARBAGE_DAYS,
    };
    struct schema_key key =
        partition_key(partition->level, partition->calendar, partition->from, partition->number);
    const struct garbage_item garbage = {kinds[partition->level], partition->number};
    return unlist(txn, DATABASE_PARTITIONS, &key, &garbage, err);
}

bool parts_partitions(const struct read_txn *txn, const struct bucket_range *range,
                      struct arena *arena, struct partition **out, size_t *count, struct error *err)
{
    int64_t window = WINDOWS[range->level];
    /* One that begins before the range may reach into it, by its length. */
    int64_t earliest = range->from < INT64_MIN + window ? INT64_MIN : range->from - window;
    struct schema_key first = partition_key(range->level, range->calendar, earliest, 0);
    struct schema_key prefix = first;
    struct walk walk;
    size_t capacity = 0;

    prefix.len = 3; /* level and calendar */
    *out = NULL;
    *count = 0;
    bool ok = walk_begin(&walk, txn, DATABASE_PARTITIONS, &first, err);
    while (ok && walk.found && walk_has_prefix(&walk, &prefix)) {
        struct partition partition;
        if (!parts_partition_of(store_bytes(&walk.key), store_bytes(&walk.value), &partition)) {
            ok = bad_row(txn, "list of partitions", err);
            break;
        }
        if (partition.from >= range->to)
            break;
        if (partition.to > range->from) {
            *out = arena_grow(arena, *out, *count, &capacity, sizeof **out);
            (*out)[(*count)++] = partition;
        }
        ok = walk_next(&walk, err);
    }
    walk_end(&walk);
    return ok;
}

/* --- numbers -----------------------------------------------------------------------------------
 */

/* A number of eight bytes; `absent` when there is none. One that is damaged must not look as if it
 * had never been: numbers would be given twice. */
static bool read_number(const struct read_txn *txn, const char *name, uint64_t absent,
                        uint64_t *out, struct error *err)
{
    struct str bytes;
    bool found = false;

    if (!store_find(txn, DATABASE_META, store_value(str_of(name)), &bytes, &found, err))
        return false;
    *out = absent;
    if (!found)
        return true;
    struct reader reader = reader_of(bytes);
    *out = read_u64(&reader);
    return (reader.ok && reader.left == 0) ||
           error_set(err, ERROR_CORRUPT,
                     "cannot read '%s' of data directory '%s': it has %zu bytes", name,
                     txn->store->path, bytes.len);
}

static bool next_number(struct write_txn *txn, const char *name, uint64_t max, uint64_t *out,
                        struct error *err)
{
    uint64_t newest = 0;

    if (!read_number(&txn->reader, name, 0, &newest, err))
        return false;
    if (newest >= max)
        return error_set(err, ERROR_FULL,
                         "cannot number another %s in data directory '%s': all numbers were used",
                         name, txn->reader.store->path);
    *out = newest + 1;
    return meta_put(txn, name, *out, err);
}

bool parts_next_run(struct write_txn *txn, uint64_t *out, struct error *err)
{
    return next_number(txn, "run", UINT64_MAX, out, err);
}

bool parts_next_partition(struct write_txn *txn, uint32_t *out, struct error *err)
{
    uint64_t number = 0;
    bool ok = next_number(txn, "partition", UINT32_MAX, &number, err);
    *out = (uint32_t)number;
    return ok;
}

/* --- garbage -----------------------------------------------------------------------------------
 */

static struct schema_key garbage_key(const struct garbage_item *item)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    schema_put_u8(&key, (uint8_t)item->what);
    schema_put_u64(&key, item->number);
    return key;
}

bool parts_add_garbage(struct write_txn *txn, enum garbage what, uint64_t number, struct error *err)
{
    struct schema_key key = garbage_key(&(struct garbage_item){what, number});
    return store_put(txn, DATABASE_GARBAGE, store_key(&key), STR_EMPTY, 0, err);
}

bool parts_remove_garbage(struct write_txn *txn, enum garbage what, uint64_t number,
                          struct error *err)
{
    struct schema_key key = garbage_key(&(struct garbage_item){what, number});
    return store_remove(txn, DATABASE_GARBAGE, store_key(&key), err);
}

bool parts_data_of(const struct garbage_item *item, enum database *database,
                   struct schema_key *prefix)
{
    static const enum database databases[] = {
        [GARBAGE_JOURNAL] = DATABASE_JOURNAL, [GARBAGE_RUN] = DATABASE_RUN,
        [GARBAGE_MINUTES] = DATABASE_MINUTES, [GARBAGE_QUARTERS] = DATABASE_QUARTERS,
        [GARBAGE_DAYS] = DATABASE_DAYS,       [GARBAGE_INDEX] = DATABASE_INDEX,
    };

    *prefix = SCHEMA_KEY_EMPTY;
    if (item->what < GARBAGE_JOURNAL || item->what > GARBAGE_INDEX)
        return false;
    *database = databases[item->what];
    bool is_partition = item->what >= GARBAGE_MINUTES && item->what <= GARBAGE_DAYS;
    if (is_partition && item->number > UINT32_MAX)
        return false;
    if (is_partition)
        schema_put_u32(prefix, (uint32_t)item->number);
    else
        schema_put_u64(prefix, item->number);
    return true;
}

/* Deletes up to `max` rows of the item's data; fewer: there are none left. */
static bool delete_data(struct write_txn *txn, enum database database,
                        const struct schema_key *prefix, size_t max, size_t *deleted,
                        struct error *err)
{
    struct walk walk;

    *deleted = 0;
    bool ok = walk_begin(&walk, &txn->reader, database, prefix, err);
    while (ok && walk.found && walk_has_prefix(&walk, prefix) && *deleted < max) {
        int rc = mdb_cursor_del(walk.cursor, 0);
        if (rc != 0) {
            txn->storage_failed = true;
            ok = store_error(err, rc, "cannot write to data directory '%s'",
                             txn->reader.store->path);
            break;
        }
        txn->wrote = true;
        (*deleted)++;
        ok = walk_next(&walk, err);
    }
    walk_end(&walk);
    return ok;
}

static bool is_skipped(const struct garbage_item *item, const struct garbage_item *skip,
                       size_t skip_count)
{
    for (size_t i = 0; i < skip_count; i++) {
        if (skip[i].what == item->what && skip[i].number == item->number)
            return true;
    }
    return false;
}

/* The first item at or after `*item` that is not skipped. */
static bool next_garbage(struct write_txn *txn, const struct garbage_item *skip, size_t skip_count,
                         struct garbage_item *item, bool *found, struct error *err)
{
    struct schema_key from = garbage_key(item);
    struct walk walk;

    *found = false;
    bool ok = walk_begin(&walk, &txn->reader, DATABASE_GARBAGE, &from, err);
    while (ok && walk.found && !*found) {
        struct schema_reader key = schema_reader_of(store_bytes(&walk.key));
        item->what = (enum garbage)schema_get_u8(&key);
        item->number = schema_get_u64(&key);
        ok = (key.ok && key.left == 0) || bad_row(&txn->reader, "list of garbage", err);
        *found = ok && !is_skipped(item, skip, skip_count);
        ok = ok && walk_next(&walk, err);
    }
    walk_end(&walk);
    return ok;
}

bool parts_collect(struct write_txn *txn, const struct garbage_item *skip, size_t skip_count,
                   size_t max, size_t *deleted, struct error *err)
{
    struct garbage_item item = {0, 0};

    assert(max > 0);
    *deleted = 0;
    while (*deleted < max) {
        enum database database = DATABASE_COUNT;
        struct schema_key prefix;
        bool found = false;
        size_t rows = 0;
        if (!next_garbage(txn, skip, skip_count, &item, &found, err))
            return false;
        if (!found)
            return true;
        /* A row of no kind that is known stands for no data: it is forgotten. */
        if (parts_data_of(&item, &database, &prefix) &&
            !delete_data(txn, database, &prefix, max - *deleted, &rows, err))
            return false;
        *deleted += rows;
        if (*deleted == max)
            return true; /* whether something is left is seen the next time */
        if (!parts_remove_garbage(txn, item.what, item.number, err))
            return false;
        (*deleted)++;
    }
    return true;
}

/* --- marks -------------------------------------------------------------------------------------
 */

static const char *const MARK_NAMES[MARK_COUNT] = {
    [MARK_CLOSED] = "closed",           [MARK_QUARTERED] = "quartered",
    [MARK_KEPT_MINUTE] = "kept_minute", [MARK_KEPT_QUARTER] = "kept_quarter",
    [MARK_KEPT_DAY] = "kept_day",
};

int64_t parts_mark(const struct read_txn *txn, enum mark mark)
{
    return (int64_t)meta_get(txn, MARK_NAMES[mark], (uint64_t)INT64_MIN);
}

bool parts_set_mark(struct write_txn *txn, enum mark mark, int64_t value, struct error *err)
{
    if (value == INT64_MIN)
        return store_remove(txn, DATABASE_META, store_value(str_of(MARK_NAMES[mark])), err);
    return meta_put(txn, MARK_NAMES[mark], (uint64_t)value, err);
}

/* --- calendars ---------------------------------------------------------------------------------
 */

/* 0: the bytes are no calendar's number. */
static uint32_t calendar_of(struct str bytes)
{
    struct reader reader = reader_of(bytes);
    uint32_t number = read_u32(&reader);
    return reader.ok && reader.left == 0 && number <= UINT16_MAX ? number : 0;
}

uint32_t parts_calendar(const struct read_txn *txn, struct str zone)
{
    struct schema_key key = schema_name_key(zone);
    struct str bytes;

    if (!store_get(txn, DATABASE_CALENDARS, (struct str){(char *)key.bytes, key.len}, &bytes))
        return 0;
    return calendar_of(bytes);
}

/* The greatest number that a calendar has; there are a few. */
static bool newest_calendar(const struct read_txn *txn, uint32_t *out, struct error *err)
{
    struct schema_key from = SCHEMA_KEY_EMPTY;
    struct walk walk;

    *out = 0;
    bool ok = walk_begin(&walk, txn, DATABASE_CALENDARS, &from, err);
    while (ok && walk.found) {
        uint32_t number = calendar_of(store_bytes(&walk.value));
        ok = number > 0 || bad_row(txn, "list of calendars", err);
        if (number > *out)
            *out = number;
        ok = ok && walk_next(&walk, err);
    }
    walk_end(&walk);
    return ok;
}

bool parts_add_calendar(struct write_txn *txn, struct str zone, uint32_t *out, struct error *err)
{
    struct schema_key key = schema_name_key(zone);
    struct buf value = BUF_EMPTY;
    uint32_t newest = 0;

    *out = parts_calendar(&txn->reader, zone);
    if (*out > 0)
        return true;
    if (!newest_calendar(&txn->reader, &newest, err))
        return false;
    if (newest >= UINT16_MAX)
        return error_set(err, ERROR_FULL, "cannot number calendar '%.*s': all %d numbers were used",
                         (int)zone.len, zone.text, UINT16_MAX);
    *out = newest + 1;
    buf_u32(&value, *out);
    bool ok = store_put(txn, DATABASE_CALENDARS, store_key(&key), buf_view(&value), 0, err);
    buf_fini(&value);
    return ok;
}

/* --- days --------------------------------------------------------------------------------------
 */

static struct schema_key day_key(uint32_t calendar, int64_t day)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;

    assert(calendar <= UINT16_MAX);
    schema_put_u16(&key, (uint16_t)calendar);
    schema_put_i64(&key, day);
    return key;
}

static bool is_day(const struct day_bounds *day)
{
    int64_t utc = 0;
    int64_t later = 0;

    return !__builtin_mul_overflow(day->day, QUARTERS_PER_DAY, &utc) &&
           !__builtin_sub_overflow(day->from, utc, &later) && later >= -DAY_FROM_SLACK &&
           later <= DAY_FROM_SLACK && is_span(day->from, day->to, DAY_LENGTH_MAX);
}

bool parts_day_of(struct str key_bytes, struct str value_bytes, uint32_t *calendar,
                  struct day_bounds *out)
{
    struct schema_reader key = schema_reader_of(key_bytes);
    struct reader value = reader_of(value_bytes);

    *calendar = schema_get_u16(&key);
    out->day = schema_get_i64(&key);
    out->from = read_i64(&value);
    out->to = read_i64(&value);
    return key.ok && key.left == 0 && value.ok && value.left == 0 && is_day(out);
}

/* The number of the first day whose row may overlap the quarter. */
static int64_t first_day(int64_t quarter)
{
    if (quarter < INT64_MIN / 2)
        return INT64_MIN;
    return quarter / QUARTERS_PER_DAY - DAY_SEARCH;
}

bool parts_days(const struct read_txn *txn, const struct day_range *range, day_fn on_day, void *arg,
                struct error *err)
{
    struct schema_key first = day_key(range->calendar, first_day(range->from));
    struct schema_key prefix = first;
    struct walk walk;

    prefix.len = 2; /* the calendar */
    bool ok = walk_begin(&walk, txn, DATABASE_DAY_BOUNDS, &first, err);
    while (ok && walk.found && walk_has_prefix(&walk, &prefix)) {
        struct day_bounds day;
        uint32_t number = 0;
        if (!parts_day_of(store_bytes(&walk.key), store_bytes(&walk.value), &number, &day)) {
            ok = bad_row(txn, "list of days", err);
            break;
        }
        if (day.from >= range->to || (day.to > range->from && !on_day(&day, arg)))
            break;
        ok = walk_next(&walk, err);
    }
    walk_end(&walk);
    return ok;
}

bool parts_add_day(struct write_txn *txn, uint32_t calendar, const struct day_bounds *day,
                   struct error *err)
{
    struct schema_key key = day_key(calendar, day->day);
    struct buf value = BUF_EMPTY;

    if (!is_day(day))
        return error_set(err, ERROR_INVALID,
                         "cannot list day %lld of calendar %u: it is not from quarter %lld to %lld",
                         (long long)day->day, calendar, (long long)day->from, (long long)day->to);
    buf_i64(&value, day->from);
    buf_i64(&value, day->to);
    bool ok = store_put(txn, DATABASE_DAY_BOUNDS, store_key(&key), buf_view(&value), 0, err);
    buf_fini(&value);
    return ok;
}

bool parts_remove_day(struct write_txn *txn, uint32_t calendar, int64_t day, struct error *err)
{
    struct schema_key key = day_key(calendar, day);
    return store_remove(txn, DATABASE_DAY_BOUNDS, store_key(&key), err);
}
