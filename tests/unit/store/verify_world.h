/* A store that the background work has made, and what verify says of it. */
#pragma once

#include "store/verify.h"
#include "upkeep_world.h"

enum { FINDINGS_KEPT = 400 };

/* --- what it says ------------------------------------------------------------------------------
 */

struct heard {
    struct {
        char what[16];
        char where[160];
        char text[400];
    } findings[FINDINGS_KEPT];
    size_t count;
    size_t pauses;
    size_t stop_after;   /* pauses; 0: never */
    struct world *world; /* goes on in each pause */
};

static inline void hear(const struct verify_finding *finding, void *arg)
{
    struct heard *heard = arg;
    if (heard->count == FINDINGS_KEPT)
        return;
    (void)snprintf(heard->findings[heard->count].what, 16, "%s", finding->what);
    (void)snprintf(heard->findings[heard->count].where, 160, "%s", finding->where);
    (void)snprintf(heard->findings[heard->count++].text, 400, "%s", finding->text);
}

static inline bool pause_here(const struct verify_progress *progress, void *arg)
{
    struct heard *heard = arg;
    assert_in_range(progress->number, 1, progress->count);
    assert_non_null(progress->step);
    heard->pauses++;
    if (heard->world != NULL) {
        commit_some(heard->world, 2 * 24 * 60);
        pass_time(heard->world, 3 * MS_PER_MINUTE);
        (void)step(heard->world);
    }
    return heard->stop_after == 0 || heard->pauses < heard->stop_after;
}

static inline struct verify_counts verify_now(struct store *store, struct heard *heard,
                                              uint64_t read_rows)
{
    struct error err = ERROR_EMPTY;
    struct verify_counts counts;
    const struct verify_options options = {
        .read_rows = read_rows, .on_finding = hear, .on_progress = pause_here, .arg = heard};
    if (!verify_store(store, &options, &counts, &err))
        fail_msg("%s", err.text);
    return counts;
}

static inline void expect_sound(const struct heard *heard)
{
    if (heard->count > 0)
        fail_msg("%zu findings, the first: %s: %s: %s", heard->count, heard->findings[0].what,
                 heard->findings[0].where, heard->findings[0].text);
}

/* --- a store -----------------------------------------------------------------------------------
 */

static inline void put_row(struct write_txn *txn, enum database database,
                           const struct schema_key *key, struct str value)
{
    struct error err = ERROR_EMPTY;
    if (!store_put(txn, database, store_key(key), value, 0, &err))
        fail_msg("%s", err.text);
}

static inline void remove_row(struct write_txn *txn, enum database database,
                              const struct schema_key *key)
{
    struct error err = ERROR_EMPTY;
    if (!store_remove(txn, database, store_key(key), &err))
        fail_msg("%s", err.text);
}

static inline void begin_writing(struct store *store, struct write_txn *txn)
{
    struct error err = ERROR_EMPTY;
    if (!write_txn_begin(store, NULL, txn, &err))
        fail_msg("%s", err.text);
}

static inline void put_series(struct write_txn *txn, uint32_t id, const char *metric)
{
    static const enum metric_kind kinds[] = {METRIC_COUNTER, METRIC_DISTRIBUTION, METRIC_UNIQUE,
                                             METRIC_COUNTER};
    struct buf key = BUF_EMPTY;
    struct buf value = BUF_EMPTY;
    const struct schema_key name = schema_id_key(id);

    write_key(&key, kinds[id % 4], metric, "");
    buf_i64(&value, 0);
    buf_str(&value, buf_view(&key));
    put_row(txn, DATABASE_SERIES, &name, buf_view(&value));
    buf_fini(&key);
    buf_fini(&value);
}

/* Whatever writes tables, but cells. */
static inline void fill_tables(struct write_txn *txn, wall_ms now)
{
    struct buf value = BUF_EMPTY;
    struct schema_key key = schema_name_key(STR("statsd"));

    buf_block(&value, STR("statsd"));
    buf_u64(&value, 9); /* received: 7 stored, 2 rejected for the first reason */
    buf_u64(&value, 7);
    buf_u32(&value, 1);
    buf_u64(&value, 2);
    buf_u32(&value, 0);
    put_row(txn, DATABASE_LEDGER, &key, buf_view(&value));
    key = schema_id_key(3);
    put_row(txn, DATABASE_GAUGES, &key,
            STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
    key = SCHEMA_KEY_EMPTY;
    schema_put_u64(&key, 1);
    put_row(txn, DATABASE_TRACKERS, &key, STR("\1\3\x09\0\0"));
    for (int is_key = 0; is_key < 2; is_key++) {
        struct schema_key age = SCHEMA_KEY_EMPTY;
        key = schema_hash_key((struct series_hash){(uint64_t)is_key << 63 | 5, 6});
        buf_clear(&value);
        buf_u8(&value, (uint8_t)(1 + is_key));
        buf_i64(&value, now);
        buf_u64(&value, 8);
        buf_u64(&value, 9);
        if (is_key != 0)
            buf_block(&value, STR("answer"));
        for (int i = 0; is_key == 0 && i < 16; i++)
            buf_u64(&value, 0);
        put_row(txn, DATABASE_IDENTITIES, &key, buf_view(&value));
        schema_put_i64(&age, now);
        memcpy(age.bytes + age.len, key.bytes, key.len);
        age.len += key.len;
        put_row(txn, DATABASE_IDENTITY_AGES, &age, STR_EMPTY);
    }
    buf_fini(&value);
}

static inline void open_world(struct world *world, const char *start, uint64_t seed)
{
    struct write_txn txn;
    char metric[16];

    world_open(world, start, seed);
    begin_writing(world->fixture.store, &txn);
    for (uint32_t id = 1; id <= SERIES_MAX; id++) {
        (void)snprintf(metric, sizeof metric, "metric_%u", id);
        put_series(&txn, id, metric);
    }
    fill_tables(&txn, world->clock.mark);
    number_commit(&txn);
}
