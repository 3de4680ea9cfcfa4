#include "store/ledger_table.h"

#include <assert.h>

static void encode_counts(const uint64_t *counts, uint32_t count, struct buf *out)
{
    buf_u32(out, count);
    for (uint32_t i = 0; i < count; i++)
        buf_u64(out, counts[i]);
}

static bool decode_counts(struct reader *reader, uint64_t *counts, uint32_t known)
{
    uint32_t count = read_u32(reader);
    if (count > known)
        return false;
    for (uint32_t i = 0; i < count; i++)
        counts[i] = read_u64(reader);
    return reader->ok;
}

bool ledger_table_decode(struct str bytes, struct str *listener, struct ledger *out)
{
    struct reader reader = reader_of(bytes);

    *out = (struct ledger){0};
    *listener = read_block(&reader);
    out->received = read_u64(&reader);
    out->stored = read_u64(&reader);
    return decode_counts(&reader, out->rejected, REJECT_REASON_COUNT) &&
           decode_counts(&reader, out->dropped, DROP_REASON_COUNT) && reader.left == 0;
}

static void drop(struct ledger *counts, enum drop_reason reason, uint64_t *most)
{
    uint64_t samples = *most < counts->stored ? *most : counts->stored;

    counts->stored -= samples;
    counts->dropped[reason] += samples;
    *most -= samples;
}

static bool add_entry(struct write_txn *txn, struct str name, const struct ledger *counts,
                      uint64_t *unreadable, struct error *err)
{
    struct schema_key key = schema_name_key(name);
    struct ledger sum = {0};
    struct str bytes;
    struct str listener;
    struct buf encoded = BUF_EMPTY;
    bool found = false;

    assert(name.len > 0);
    if (!store_find(&txn->reader, DATABASE_LEDGER, store_key(&key), &bytes, &found, err))
        return false;
    if (found && !ledger_table_decode(bytes, &listener, &sum)) {
        (*unreadable)++;
        sum = (struct ledger){0};
    }
    ledger_merge(&sum, counts);
    buf_block(&encoded, name);
    buf_u64(&encoded, sum.received);
    buf_u64(&encoded, sum.stored);
    encode_counts(sum.rejected, REJECT_REASON_COUNT, &encoded);
    encode_counts(sum.dropped, DROP_REASON_COUNT, &encoded);
    bool ok = store_put(txn, DATABASE_LEDGER, store_key(&key), buf_view(&encoded), 0, err);
    buf_fini(&encoded);
    return ok;
}

bool ledger_table_add(struct write_txn *txn, const struct delta_ledger *ledgers, size_t count,
                      const struct ledger_drops *drops, uint64_t *unreadable, struct error *err)
{
    struct ledger_drops left = *drops;

    for (size_t i = 0; i < count; i++) {
        struct ledger counts = ledgers[i].counts;
        for (int j = 0; j < DROP_REASON_COUNT; j++)
            drop(&counts, (enum drop_reason)j, &left.counts[j]);
        if (!ledger_is_empty(&counts) &&
            !add_entry(txn, ledgers[i].listener, &counts, unreadable, err))
            return false;
    }
    return true;
}

struct ledger_drops ledger_drops_all(enum drop_reason reason)
{
    struct ledger_drops drops = {0};

    drops.counts[reason] = UINT64_MAX;
    return drops;
}
