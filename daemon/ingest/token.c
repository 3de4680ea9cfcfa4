#include "ingest/token.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/memory.h"

_Static_assert(TOKEN_HASH_SIZE == SHA256_DIGEST_LENGTH, "SHA-256");

enum { RANDOM_BYTES = 32 };

static const char PREFIX[] = "kpid_";

struct token_table {
    _Atomic uint32_t holders;
    size_t count;
    struct token tokens[];
};

/* --- roles -------------------------------------------------------------------------------------
 */

static const char *const ROLE_NAMES[ROLE_COUNT] = {"ingest", "viewer", "editor", "approver",
                                                   "admin"};

const char *role_name(enum role role)
{
    return ROLE_NAMES[role];
}

bool role_parse(struct str text, enum role *out)
{
    for (int i = 0; i < ROLE_COUNT; i++) {
        if (str_is(text, ROLE_NAMES[i])) {
            *out = (enum role)i;
            return true;
        }
    }
    return false;
}

bool role_may(enum role role, enum right right)
{
    enum { READ = 1 << RIGHT_READ, SAMPLES = 1 << RIGHT_SAMPLES, EDIT = 1 << RIGHT_EDIT };
    static const unsigned rights[ROLE_COUNT] = {
        [ROLE_INGEST] = SAMPLES,
        [ROLE_VIEWER] = READ,
        [ROLE_EDITOR] = READ | SAMPLES | EDIT,
        [ROLE_APPROVER] = READ | SAMPLES | EDIT | 1 << RIGHT_APPROVE,
        [ROLE_ADMIN] = READ | SAMPLES | EDIT | 1 << RIGHT_APPROVE | 1 << RIGHT_ADMIN,
    };
    return right == RIGHT_NONE || (rights[role] >> right & 1) != 0;
}

/* --- one token ---------------------------------------------------------------------------------
 */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool token_name_check(struct str name, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    bool ok = name.len > 0 && name.len <= TOKEN_NAME_MAX;

    for (size_t i = 0; i < name.len && ok; i++)
        ok = is_name_char(name.text[i]);
    if (ok)
        return true;
    (void)error_set(err, ERROR_INVALID, "'%s' is not the name of a token",
                    str_quoted(name, quoted));
    return error_hint(err, "1 to %d letters, digits, '.', '_' and '-'", TOKEN_NAME_MAX);
}

bool token_make(char *out, struct error *err)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char random[RANDOM_BYTES];
    unsigned bits = 0;
    unsigned held = 0;

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set_errno(err, "cannot get random numbers from the system");
    memcpy(out, PREFIX, sizeof PREFIX - 1);
    out += sizeof PREFIX - 1;
    for (size_t i = 0; i < sizeof random; i++) {
        held = held << 8 | random[i];
        for (bits += 8; bits >= 6; bits -= 6)
            *out++ = digits[held >> (bits - 6) & 63];
    }
    *out++ = digits[held << (6 - bits) & 63]; /* 256 bits leave four */
    *out = '\0';
    explicit_bzero(random, sizeof random);
    return true;
}

void token_hash(struct str text, unsigned char *out)
{
    (void)SHA256((const unsigned char *)(text.len == 0 ? "" : text.text), text.len, out);
}

void token_usage_keep(struct token_usage *usage)
{
    if (usage != NULL)
        (void)atomic_fetch_add_explicit(&usage->holders, 1, memory_order_relaxed);
}

void token_usage_release(struct token_usage *usage)
{
    if (usage != NULL && atomic_fetch_sub(&usage->holders, 1) == 1)
        free(usage);
}

/* --- files -------------------------------------------------------------------------------------
 */

static struct str next_word(struct str *line)
{
    size_t begin = 0;

    while (begin < line->len && (line->text[begin] == ' ' || line->text[begin] == '\t'))
        begin++;
    size_t end = begin;
    while (end < line->len && line->text[end] != ' ' && line->text[end] != '\t')
        end++;
    struct str word = {line->text + begin, end - begin};
    *line = (struct str){line->text + end, line->len - end};
    return word;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool parse_hash(struct str text, unsigned char *out)
{
    if (text.len != (size_t)2 * TOKEN_HASH_SIZE)
        return false;
    for (size_t i = 0; i < TOKEN_HASH_SIZE; i++) {
        int high = hex_of(text.text[2 * i]);
        int low = hex_of(text.text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* Nothing of the line is quoted but its role and its name: a token may stand where its hash
 * belongs. */
static bool parse_line(struct str line, unsigned long number, struct token *out, struct error *err)
{
    struct error why = ERROR_EMPTY;
    struct str role = next_word(&line);
    struct str name = next_word(&line);
    struct str hash = next_word(&line);

    *out = (struct token){.from_file = true};
    if (!role_parse(role, &out->role)) {
        (void)error_set(err, ERROR_INVALID, "line %lu: it does not begin with a role", number);
        return error_hint(err, "as 'ingest web-1 SHA256'; roles are ingest, viewer, editor, "
                               "approver and admin");
    }
    if (!token_name_check(name, &why)) {
        (void)error_set(err, ERROR_INVALID, "line %lu: %s", number, why.text);
        return error_hint(err, "%s", why.hint);
    }
    if (!parse_hash(hash, out->hash) || next_word(&line).len > 0) {
        (void)error_set(err, ERROR_INVALID,
                        "line %lu: after the name stands the SHA-256 of the token, in 64 hex "
                        "digits, and nothing else",
                        number);
        return error_hint(err, "printf %%s \"$TOKEN\" | sha256sum");
    }
    memcpy(out->name, name.text, name.len);
    return true;
}

/* Two tokens of one text would be one that has two roles. */
static bool is_alone(const struct token *token, const struct token *others, size_t count,
                     unsigned long number, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(others[i].name, token->name) == 0)
            return error_set(err, ERROR_CONFLICT, "line %lu: another token has the name '%s'",
                             number, token->name);
        if (memcmp(others[i].hash, token->hash, sizeof token->hash) == 0) {
            (void)error_set(err, ERROR_CONFLICT, "line %lu: '%s' and '%s' have the same hash",
                            number, others[i].name, token->name);
            return error_hint(err, "a token has one name and one role");
        }
    }
    return true;
}

bool token_file_parse(struct str text, struct arena *arena, struct token **out, size_t *count,
                      struct error *err)
{
    size_t capacity = 0;

    *out = NULL;
    *count = 0;
    for (unsigned long number = 1; text.len > 0; number++) {
        struct str line = str_split(&text, '\n');
        if (line.len > 0 && line.text[line.len - 1] == '\r')
            line.len--;
        line = str_trim(line);
        if (line.len == 0 || line.text[0] == '#')
            continue;
        if (*count == TOKENS_MAX)
            return error_set(err, ERROR_FULL, "line %lu: there are more than %d tokens", number,
                             TOKENS_MAX);
        *out = arena_grow(arena, *out, *count, &capacity, sizeof **out);
        struct token *token = &(*out)[*count];
        if (!parse_line(line, number, token, err))
            return false;
        if (!is_alone(token, *out, *count, number, err))
            return false;
        (*count)++;
    }
    return true;
}

/* --- tables ------------------------------------------------------------------------------------
 */

static struct token_usage *usage_of(const struct token *token, const struct token_table *before)
{
    const struct token *old = token_table_named(before, str_of(token->name));

    if (old != NULL && memcmp(old->hash, token->hash, sizeof old->hash) == 0) {
        token_usage_keep(old->usage);
        return old->usage;
    }
    struct token_usage *usage = memory_zero(1, sizeof *usage);
    usage->holders = 1;
    return usage;
}

struct token_table *token_table_new(const struct token *tokens, size_t count,
                                    const struct token_table *before)
{
    count = count < TOKENS_MAX ? count : TOKENS_MAX;
    struct token_table *table = memory_zero(1, sizeof *table + count * sizeof table->tokens[0]);

    table->holders = 1;
    for (size_t i = 0; i < count; i++) {
        if (token_table_named(table, str_of(tokens[i].name)) != NULL)
            continue;
        struct token *token = &table->tokens[table->count];
        *token = tokens[i];
        token->usage = usage_of(token, before);
        table->count++;
    }
    return table;
}

struct token_table *token_table_keep(struct token_table *table)
{
    if (table != NULL)
        (void)atomic_fetch_add_explicit(&table->holders, 1, memory_order_relaxed);
    return table;
}

void token_table_release(struct token_table *table)
{
    if (table == NULL || atomic_fetch_sub(&table->holders, 1) != 1)
        return;
    for (size_t i = 0; i < table->count; i++)
        token_usage_release(table->tokens[i].usage);
    free(table);
}

size_t token_table_count(const struct token_table *table)
{
    return table == NULL ? 0 : table->count;
}

const struct token *token_table_at(const struct token_table *table, size_t i)
{
    return &table->tokens[i];
}

const struct token *token_table_named(const struct token_table *table, struct str name)
{
    for (size_t i = 0; i < token_table_count(table); i++) {
        if (str_is(name, table->tokens[i].name))
            return &table->tokens[i];
    }
    return NULL;
}

bool token_table_grants(const struct token_table *table, const struct token_usage *usage,
                        enum right right)
{
    for (size_t i = 0; i < token_table_count(table); i++) {
        if (table->tokens[i].usage == usage)
            return role_may(table->tokens[i].role, right);
    }
    return false;
}

const struct token *token_table_find(const struct token_table *table, struct str text)
{
    unsigned char hash[TOKEN_HASH_SIZE];
    const struct token *found = NULL;

    token_hash(text, hash);
    for (size_t i = 0; i < token_table_count(table); i++) {
        if (CRYPTO_memcmp(hash, table->tokens[i].hash, sizeof hash) == 0)
            found = &table->tokens[i];
    }
    return found;
}
