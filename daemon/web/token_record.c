#include "web/token_record.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

enum { RECORD_VERSION = 1 };

static void encode(const struct token_record *record, struct buf *out)
{
    buf_u8(out, RECORD_VERSION);
    buf_u8(out, (uint8_t)record->token.role);
    buf_append(out, record->token.hash, sizeof record->token.hash);
    buf_i64(out, record->made_at);
    buf_block(out, str_of(record->by));
}

bool token_record_decode(struct str name, struct str bytes, struct token_record *out)
{
    struct reader reader = reader_of(bytes);
    struct error ignored = ERROR_EMPTY;

    *out = (struct token_record){.made_at = 0};
    uint8_t version = read_u8(&reader);
    uint8_t role = read_u8(&reader);
    for (size_t i = 0; i < sizeof out->token.hash; i++)
        out->token.hash[i] = read_u8(&reader);
    out->made_at = read_i64(&reader);
    struct str by = read_block(&reader);
    if (!reader.ok || reader.left > 0 || version != RECORD_VERSION || role >= ROLE_COUNT ||
        by.len >= sizeof out->by || !token_name_check(name, &ignored))
        return false;
    out->token.role = (enum role)role;
    memcpy(out->token.name, name.text, name.len);
    if (by.len > 0)
        memcpy(out->by, by.text, by.len);
    return true;
}

struct scan {
    token_record_fn on_record;
    void *arg;
};

static bool on_row(struct str key, struct str value, void *arg)
{
    const struct scan *scan = arg;
    struct token_record record;

    return !token_record_decode(key, value, &record) || scan->on_record(&record, scan->arg);
}

void token_records_read(struct read_txn *txn, token_record_fn on_record, void *arg)
{
    struct scan scan = {on_record, arg};
    record_scan(txn, RECORD_TOKEN, STR_EMPTY, on_row, &scan);
}

static bool count_one(struct str key, struct str value, void *arg)
{
    size_t *count = arg;
    (void)key;
    (void)value;
    (*count)++;
    return true;
}

bool token_record_add(struct write_txn *txn, const struct token_record *record, struct error *err)
{
    struct str name = str_of(record->token.name);
    struct buf bytes = BUF_EMPTY;
    struct str old;
    size_t count = 0;

    if (record_get(write_txn_reader(txn), RECORD_TOKEN, name, &old))
        return error_set(err, ERROR_CONFLICT, "there is a token '%s'", record->token.name);
    record_scan(write_txn_reader(txn), RECORD_TOKEN, STR_EMPTY, count_one, &count);
    if (count >= TOKENS_MAX)
        return error_set(err, ERROR_FULL, "there are %d tokens, as many as may be", TOKENS_MAX);
    encode(record, &bytes);
    bool ok = record_put(txn, RECORD_TOKEN, name, buf_view(&bytes), err);
    buf_fini(&bytes);
    return ok;
}

bool token_record_remove(struct write_txn *txn, struct str name, struct error *err)
{
    struct str old;

    if (!record_get(write_txn_reader(txn), RECORD_TOKEN, name, &old))
        return error_set(err, ERROR_NOT_FOUND, "there is no token '%.*s'", STR_ARGS(name));
    return record_remove(txn, RECORD_TOKEN, name, err);
}
