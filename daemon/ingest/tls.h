/* TLS of listeners: a certificate with its key, and whose clients may connect.
 *
 * TLS 1.2 and later, no renegotiation, no resumption (tickets that a client never reads would make
 * its close throw away what it has sent). Loaded as part of a configuration and never changed:
 * another certificate is another one, which new connections get. From any thread. */
#pragma once

#include <openssl/types.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/error.h"

struct tls;

struct tls_files {
    const char *cert;      /* PEM: the server's certificate, then those that lead to its root */
    const char *key;       /* PEM, without a password */
    const char *client_ca; /* PEM: a client needs a certificate of one of them; NULL: none */
};

/* NULL, with words that name the file: it cannot be read or used, is larger than 1 MiB, or is no
 * regular file (one that would have to be waited for). The caller holds it. */
struct tls *tls_load(const struct tls_files *files, struct error *err);
struct tls *tls_keep(struct tls *tls); /* returns it; NULL is fine */
void tls_release(struct tls *tls);     /* NULL is fine */

/* Its certificate, not those behind it: where it was read from, and when it expires (WALL_NONE: it
 * says nothing that could be read). */
const char *tls_certificate(const struct tls *tls);
wall_ms tls_expires_at(const struct tls *tls);

/* It has expired, or will within TLS_EXPIRING_DAYS: somebody should be told. */
enum { TLS_EXPIRING_DAYS = 14 };
bool tls_is_expiring(const struct tls *tls, wall_ms now);

/* The server's side of a connection that begins; `fd` -1: it is set later. SSL_free ends it and
 * leaves the descriptor open. */
SSL *tls_session(struct tls *tls, int fd);

/* What went wrong last on this thread, in OpenSSL's words; forgets it. */
const char *tls_words(void);
