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

/* What a delta of this outcome counts: of one that is not stored nothing is. `left` is what other
 * listeners' counts have to give back. */
static struct ledger counts_of(const struct delta_ledger *entry, enum delta_outcome outcome,
                               struct ledger_drops *left)
{
    struct ledger counts = entry->counts;
    uint64_t all = UINT64_MAX;

    if (outcome == DELTA_CONFLICT)
        drop(&counts, DROP_conflict, &all);
    else if (outcome != DELTA_STORED)
        drop(&counts, DROP_duplicate, &all);
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        drop(&counts, (enum drop_reason)i, &left->counts[i]);
    return counts;
}

/* Adds counts, and takes drops from what is called stored then. */
static bool add_entry(struct write_txn *txn, struct str name, const struct ledger *counts,
                      struct ledger_drops *drops, uint64_t *unreadable, struct error *err)
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
    for (int i = 0; drops != NULL && i < DROP_REASON_COUNT; i++)
        drop(&sum, (enum drop_reason)i, &drops->counts[i]);
    buf_block(&encoded, name);
    buf_u64(&encoded, sum.received);
    buf_u64(&encoded, sum.stored);
    encode_counts(sum.rejected, REJECT_REASON_COUNT, &encoded);
    encode_counts(sum.dropped, DROP_REASON_COUNT, &encoded);
    bool ok = store_put(txn, DATABASE_LEDGER, store_key(&key), buf_view(&encoded), 0, err);
    buf_fini(&encoded);
    return ok;
}

bool ledger_table_add(struct write_txn *txn, const struct delta *delta,
                      const struct ledger_drops *drops, uint64_t *unreadable, struct error *err)
{
    struct ledger_drops left = *drops;

    for (size_t i = 0; i < delta->ledger_count; i++) {
        struct ledger counts = counts_of(&delta->ledgers[i], delta->outcome, &left);
        if (ledger_is_empty(&counts))
            continue;
        if (!add_entry(txn, delta->ledgers[i].listener, &counts, NULL, unreadable, err))
            return false;
    }
    return true;
}

bool ledger_table_drop(struct write_txn *txn, const struct delta *delta,
                       const struct ledger_drops *drops, uint64_t *unreadable, struct error *err)
{
    static const struct ledger nothing;
    struct ledger_drops left = *drops;
    uint64_t count = 0;

    for (int i = 0; i < DROP_REASON_COUNT; i++)
        count += left.counts[i];
    for (size_t i = 0; count > 0 && i < delta->ledger_count; i++) {
        if (!add_entry(txn, delta->ledgers[i].listener, &nothing, &left, unreadable, err))
            return false;
    }
    return true;
}
