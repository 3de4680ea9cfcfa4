#include "ingest/access.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "base/memory.h"
#include "ingest/http_query.h"
#include "ingest/http_reader.h"

/* --- attempts ----------------------------------------------------------------------------------
 */

enum { WAYS = 8, SETS = ATTEMPTS_SENDERS / WAYS };

struct sender {
    struct network_address address;
    unsigned wrong; /* since `since`; 0: nobody */
    mono_ms since;  /* once there are ATTEMPTS_MAX: of the last of them */
};

struct attempts {
    uint64_t seed;
    struct sender senders[SETS][WAYS];
};

struct attempts *attempts_new(uint64_t seed)
{
    struct attempts *attempts = memory_zero(1, sizeof *attempts);
    attempts->seed = seed;
    return attempts;
}

void attempts_free(struct attempts *attempts)
{
    free(attempts);
}

static size_t set_of(const struct attempts *attempts, const struct network_address *address)
{
    return (size_t)(XXH3_64bits_withSeed(address, sizeof *address, attempts->seed) % SETS);
}

static bool is_current(const struct sender *sender, mono_ms now)
{
    return sender->wrong > 0 && now - sender->since < ATTEMPTS_MS;
}

static bool is_of(const struct sender *sender, const struct network_address *address)
{
    return sender->wrong > 0 && memcmp(&sender->address, address, sizeof *address) == 0;
}

bool attempts_is_blocked(const struct attempts *attempts, const struct network_address *peer,
                         mono_ms now)
{
    struct network_address address = network_sender_of(peer);
    const struct sender *set = attempts->senders[set_of(attempts, &address)];

    for (int i = 0; i < WAYS; i++) {
        if (is_of(&set[i], &address))
            return set[i].wrong >= ATTEMPTS_MAX && is_current(&set[i], now);
    }
    return false;
}

/* The sender's own place, else the one whose account ends first: who is nobody has ended. */
static struct sender *place_of(struct attempts *attempts, const struct network_address *address)
{
    struct sender *set = attempts->senders[set_of(attempts, address)];
    struct sender *oldest = &set[0];

    for (int i = 0; i < WAYS; i++) {
        if (is_of(&set[i], address))
            return &set[i];
        if (set[i].wrong == 0 || (oldest->wrong > 0 && set[i].since < oldest->since))
            oldest = &set[i];
    }
    *oldest = (struct sender){.address = *address};
    return oldest;
}

void attempts_add_wrong(struct attempts *attempts, const struct network_address *peer, mono_ms now)
{
    struct network_address address = network_sender_of(peer);
    struct sender *sender = place_of(attempts, &address);

    if (!is_current(sender, now)) {
        sender->wrong = 0;
        sender->since = now;
    }
    sender->wrong++;
    if (sender->wrong >= ATTEMPTS_MAX)
        sender->since = now;
}

/* --- the verdict -------------------------------------------------------------------------------
 */

/* Guessing is hopeless, and to look costs little whatever is shown. */
static bool is_beyond_guessing(struct str token)
{
    return token.len >= TOKEN_SECURE_MIN && token.len <= TOKEN_SECURE_MAX;
}

enum access_verdict access_check(const struct token_table *table, struct attempts *attempts,
                                 const struct access_request *request, mono_ms now,
                                 const struct token **out)
{
    struct network_address address;
    bool has_address = network_address_of(request->peer, &address);
    bool is_blocked = has_address && attempts_is_blocked(attempts, &address, now);

    *out = NULL;
    if (is_blocked && !is_beyond_guessing(request->token))
        return ACCESS_BLOCKED;
    if (request->token.len == 0)
        return ACCESS_NO_TOKEN;
    *out = token_table_find(table, request->token);
    if (*out == NULL) {
        if (is_blocked)
            return ACCESS_BLOCKED;
        if (has_address)
            attempts_add_wrong(attempts, &address, now);
        return ACCESS_WRONG;
    }
    (void)atomic_fetch_add_explicit(&(*out)->usage->requests, 1, memory_order_relaxed);
    return role_may((*out)->role, request->right) ? ACCESS_GRANTED : ACCESS_NO_RIGHT;
}

const char *access_verdict_name(enum access_verdict verdict)
{
    static const char *const names[] = {[ACCESS_GRANTED] = "granted",
                                        [ACCESS_NO_TOKEN] = "no_token",
                                        [ACCESS_WRONG] = "wrong_token",
                                        [ACCESS_BLOCKED] = "blocked",
                                        [ACCESS_NO_RIGHT] = "no_right"};
    return names[verdict];
}

void access_explain(enum access_verdict verdict, const struct token *token, struct error *err)
{
    switch (verdict) {
    case ACCESS_GRANTED:
        return;
    case ACCESS_NO_TOKEN:
        (void)error_set(err, ERROR_DENIED, "a token is needed here, and none was shown");
        (void)error_hint(err, "'kpictl token add NAME --role ROLE' makes one; send it as "
                              "'Authorization: Bearer TOKEN'");
        return;
    case ACCESS_WRONG:
        (void)error_set(err, ERROR_DENIED, "the token is not known");
        (void)error_hint(err, "'kpictl token list' shows which there are");
        return;
    case ACCESS_BLOCKED:
        (void)error_set(err, ERROR_DENIED, "too many wrong tokens came from this address");
        (void)error_hint(err, "wait a minute");
        return;
    case ACCESS_NO_RIGHT:
        (void)error_set(err, ERROR_DENIED, "the token '%s' has the role %s, which may not do this",
                        token->name, role_name(token->role));
        (void)error_hint(err, "use a token of another role");
        return;
    }
}

/* --- tokens in requests ------------------------------------------------------------------------
 */

static int base64_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* Padding may be left out. */
static bool base64_decode(struct str text, struct buf *out)
{
    unsigned held = 0;
    unsigned bits = 0;

    while (text.len > 0 && text.text[text.len - 1] == '=')
        text.len--;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_of(text.text[i]);
        if (digit < 0)
            return false;
        held = (held << 6 | (unsigned)digit) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_u8(out, (uint8_t)(held >> bits));
        }
    }
    return true;
}

static bool is_scheme(struct str word, const char *scheme)
{
    return word.len == strlen(scheme) && strncasecmp(word.text, scheme, word.len) == 0;
}

/* What stands after the first colon; all of it without one. */
static struct str after_colon(struct str text)
{
    struct str rest = text;

    return str_split(&rest, ':').len < text.len ? rest : text;
}

/* Stands for what cannot be read: no token has this text. */
static const struct str UNREADABLE = {"-", 1};

static struct str wrong_if_empty(struct str token)
{
    return token.len == 0 ? UNREADABLE : token;
}

struct str access_token_of(struct str authorization, struct str query, struct buf *room)
{
    struct str rest = str_trim(authorization);
    struct str scheme = str_split(&rest, ' ');
    struct str value = str_trim(rest);

    if (scheme.len > 0) {
        if (is_scheme(scheme, "Bearer"))
            return wrong_if_empty(value);
        if (is_scheme(scheme, "Token"))
            return wrong_if_empty(after_colon(value));
        if (!is_scheme(scheme, "Basic") || !base64_decode(value, room))
            return UNREADABLE;
        return wrong_if_empty(after_colon(buf_view(room)));
    }
    struct str password = http_query_find(query, "p");
    if (password.len == 0)
        return STR_EMPTY;
    return http_form_decode(password, room) ? wrong_if_empty(buf_view(room)) : UNREADABLE;
}
