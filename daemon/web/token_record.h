/* Tokens as they are stored (ingest/token.h): never the token, its hash alone. */
#pragma once

#include "ingest/token.h"
#include "store/record.h"

enum { TOKEN_BY_MAX = 100 };

struct token_record {
    struct token token; /* without usage */
    wall_ms made_at;
    char by[TOKEN_BY_MAX]; /* who made it: "user 0", "token ana" */
};

/* False: it is no record. */
bool token_record_decode(struct str name, struct str bytes, struct token_record *out);

/* Return false to stop. Records that cannot be read are left out. */
typedef bool (*token_record_fn)(const struct token_record *record, void *arg);
void token_records_read(struct read_txn *txn, token_record_fn on_record, void *arg);

/* ERROR_CONFLICT when there is one of the name, ERROR_FULL when there are TOKENS_MAX. */
bool token_record_add(struct write_txn *txn, const struct token_record *record, struct error *err);

/* ERROR_NOT_FOUND when there is none of the name. */
bool token_record_remove(struct write_txn *txn, struct str name, struct error *err);
