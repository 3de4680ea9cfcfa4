/* Tokens: who shows one may do what its role may.
 *
 * A token is 256 random bits; kpid keeps its SHA-256 alone, so that nobody who reads the store or a
 * backup can use it. A table is made once and never changed; who works with one keeps it, and a
 * change sends everybody another one. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

enum role { ROLE_INGEST, ROLE_VIEWER, ROLE_EDITOR, ROLE_APPROVER, ROLE_ADMIN, ROLE_COUNT };

enum right {
    RIGHT_READ,    /* look at everything */
    RIGHT_EDIT,    /* what people add: annotations, silences, comments */
    RIGHT_SAMPLES, /* send samples */
    RIGHT_APPROVE, /* decide on targets */
    RIGHT_ADMIN,   /* the store, the clock, tokens */
    RIGHT_NONE,    /* needs none: probes */
};

const char *role_name(enum role role); /* "ingest", ... */
bool role_parse(struct str text, enum role *out);

/* ingest may send samples and nothing else; of the others each may do what the one before it may,
 * the editor also send samples. */
bool role_may(enum role role, enum right right);

enum {
    TOKEN_NAME_MAX = 64,
    TOKEN_HASH_SIZE = 32,
    TOKEN_TEXT_SIZE = 49, /* "kpid_", 43 of base64url, NUL */
    TOKENS_MAX = 1000,
};

/* What was done with a token since kpid started; shared by all threads. */
struct token_usage {
    _Atomic uint32_t holders;
    _Atomic uint64_t requests;
    _Atomic uint64_t samples;
};

void token_usage_keep(struct token_usage *usage);    /* NULL is fine */
void token_usage_release(struct token_usage *usage); /* NULL is fine */

struct token {
    char name[TOKEN_NAME_MAX + 1];
    enum role role;
    unsigned char hash[TOKEN_HASH_SIZE];
    bool from_file;            /* of server.auth.tokens, not of `kpictl token add` */
    struct token_usage *usage; /* the table's; not looked at by token_table_new */
};

/* 1 to TOKEN_NAME_MAX of letters, digits, '.', '_' and '-'. */
bool token_name_check(struct str name, struct error *err);

/* A new token's text into `out` (TOKEN_TEXT_SIZE bytes). */
bool token_make(char *out, struct error *err);

void token_hash(struct str text, unsigned char *out); /* TOKEN_HASH_SIZE bytes */

/* A file of tokens: lines of "role name sha256", the hash in 64 hex digits; blanks around and
 * between, empty lines and those that begin with '#' are fine. No two have one name, or one hash.
 * The error names the line. */
bool token_file_parse(struct str text, struct arena *arena, struct token **out, size_t *count,
                      struct error *err);

struct token_table;

/* Of two with one name the first stays. Who was in `before` (NULL is fine) with the same hash goes
 * on counting its usage. At most TOKENS_MAX are taken. The caller holds it. */
struct token_table *token_table_new(const struct token *tokens, size_t count,
                                    const struct token_table *before);
struct token_table *token_table_keep(struct token_table *table); /* returns it; NULL is fine */
void token_table_release(struct token_table *table);             /* NULL is fine */

size_t token_table_count(const struct token_table *table); /* of NULL: 0 */
const struct token *token_table_at(const struct token_table *table, size_t i);
const struct token *token_table_named(const struct token_table *table, struct str name);

/* Whether the token that is used there (NULL: none) is among them and may do this: one that stays
 * has kept its usage. */
bool token_table_grants(const struct token_table *table, const struct token_usage *usage,
                        enum right right);

/* The token that has this text; NULL: none. Takes as long whichever it is. */
const struct token *token_table_find(const struct token_table *table, struct str text);
