/* Whether somebody may do what they ask: the token they show, and how often they showed a wrong
 * one.
 *
 * Ten wrong tokens of one sender within a minute, and for a minute all wrong ones it shows are
 * refused as too many, so that nobody guesses what can be guessed. Others may share the address
 * (loopback, a proxy) and are not to suffer for it: a right token gets in still, if it is as long
 * as those that kpid makes or nearly so; a short one, of a file that somebody wrote, is not looked
 * at. Each thread keeps its own account, so many threads let some more pass. */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "ingest/network.h"
#include "ingest/token.h"

/* The senders of wrong tokens: at most ATTEMPTS_SENDERS of them, then the one that was wrong
 * longest ago is forgotten. One thread's. */
enum { ATTEMPTS_SENDERS = 1024, ATTEMPTS_MAX = 10, ATTEMPTS_MS = 60 * 1000 };
struct attempts;

struct attempts *attempts_new(uint64_t seed);
void attempts_free(struct attempts *attempts); /* NULL is fine */

void attempts_add_wrong(struct attempts *attempts, const struct network_address *peer, mono_ms now);
bool attempts_is_blocked(const struct attempts *attempts, const struct network_address *peer,
                         mono_ms now);

/* Bytes of a token that nobody guesses, and of which looking at it takes no time to speak of. */
enum { TOKEN_SECURE_MIN = 32, TOKEN_SECURE_MAX = 128 };

enum access_verdict {
    ACCESS_GRANTED,
    ACCESS_NO_TOKEN, /* none was shown */
    ACCESS_WRONG,    /* nobody has this one */
    ACCESS_BLOCKED,  /* too many wrong ones */
    ACCESS_NO_RIGHT, /* its role may not do this */
};

const char *access_verdict_name(enum access_verdict verdict); /* "no_token", ... */

struct access_request {
    const struct sockaddr *peer; /* who has no address is never blocked */
    struct str token;            /* empty: none was shown */
    enum right right;            /* what for */
};

/* `*out` is the token, for ACCESS_GRANTED and ACCESS_NO_RIGHT; it is the table's. */
enum access_verdict access_check(const struct token_table *table, struct attempts *attempts,
                                 const struct access_request *request, mono_ms now,
                                 const struct token **out);

/* For people: what is wrong, and what to do. Neither is empty; nothing for ACCESS_GRANTED. */
void access_explain(enum access_verdict verdict, const struct token *token, struct error *err);

/* The token of an HTTP request (I25), from the header "Bearer TOKEN", "Token TOKEN",
 * "Token USER:TOKEN" or "Basic" (base64 of USER:TOKEN); without the header, from the query's
 * `p=TOKEN`. Empty without one; what cannot be decoded is a wrong one. It may point into `room`. */
struct str access_token_of(struct str authorization, struct str query, struct buf *room);
