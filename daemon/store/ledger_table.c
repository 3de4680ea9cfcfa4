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

static bool add_entry(struct write_txn *txn, const struct delta_ledger *entry, uint64_t *unreadable,
                      struct error *err)
{
    struct schema_key key = schema_name_key(entry->listener);
    struct ledger sum = {0};
    struct str bytes;
    struct str listener;
    struct buf encoded = BUF_EMPTY;
    bool found = false;

    assert(entry->listener.len > 0);
    if (!store_find(&txn->reader, DATABASE_LEDGER, store_key(&key), &bytes, &found, err))
        return false;
    if (found && !ledger_table_decode(bytes, &listener, &sum)) {
        (*unreadable)++;
        sum = (struct ledger){0};
    }
    ledger_merge(&sum, &entry->counts);
    buf_block(&encoded, entry->listener);
    buf_u64(&encoded, sum.received);
    buf_u64(&encoded, sum.stored);
    encode_counts(sum.rejected, REJECT_REASON_COUNT, &encoded);
    encode_counts(sum.dropped, DROP_REASON_COUNT, &encoded);
    bool ok = store_put(txn, DATABASE_LEDGER, store_key(&key), buf_view(&encoded), 0, err);
    buf_fini(&encoded);
    return ok;
}

bool ledger_table_add(struct write_txn *txn, const struct delta *delta, uint64_t *unreadable,
                      struct error *err)
{
    for (size_t i = 0; i < delta->ledger_count; i++) {
        if (ledger_is_empty(&delta->ledgers[i].counts))
            continue;
        if (!add_entry(txn, &delta->ledgers[i], unreadable, err))
            return false;
    }
    return true;
}
