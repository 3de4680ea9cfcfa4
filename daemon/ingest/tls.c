#include "ingest/tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"

struct tls {
    _Atomic unsigned holders;
    SSL_CTX *context;
    char *certificate;
    wall_ms expires_at;
};

const char *tls_words(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *words = code == 0 ? NULL : ERR_reason_error_string(code);

    ERR_clear_error();
    return words == NULL ? "unknown reason" : words;
}

/* Without it OpenSSL would ask on the terminal. */
static int no_password(char *into, int size, int for_writing, void *arg)
{
    (void)size;
    (void)for_writing;
    (void)arg;
    into[0] = '\0';
    return -1;
}

static bool refuse(const char *what, const char *path, struct error *err)
{
    unsigned long code = ERR_peek_error(); /* the first one is the file's, if it is */

    if (ERR_SYSTEM_ERROR(code)) {
        char words[100];
        (void)error_set(err, ERROR_INVALID, "cannot read %s '%s': %s", what, path,
                        error_errno_words(ERR_GET_REASON(code), words, sizeof words));
        ERR_clear_error();
        return false;
    }
    return error_set(err, ERROR_INVALID, "cannot use %s '%s': %s", what, path, tls_words());
}

static bool load_clients(SSL_CTX *context, const char *path, struct error *err)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);

    if (names == NULL || SSL_CTX_load_verify_file(context, path) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return refuse("the certificates of clients' authorities", path, err);
    }
    SSL_CTX_set_client_CA_list(context, names); /* takes them */
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

static bool load(SSL_CTX *context, const struct tls_files *files, struct error *err)
{
    if (SSL_CTX_use_certificate_chain_file(context, files->cert) != 1)
        return refuse("certificate", files->cert, err);
    if (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1) {
        if (ERR_GET_REASON(ERR_peek_last_error()) != X509_R_KEY_VALUES_MISMATCH)
            return refuse("key", files->key, err);
        ERR_clear_error();
        return error_set(err, ERROR_INVALID, "key '%s' is not that of certificate '%s'", files->key,
                         files->cert);
    }
    return files->client_ca == NULL || load_clients(context, files->client_ca, err);
}

static void set_options(SSL_CTX *context)
{
    long rc = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    assert(rc == 1);
    (void)rc;
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                           SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_num_tickets(context, 0);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    /* What waits to be written may move in memory; idle connections give their buffers back. */
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_default_passwd_cb(context, no_password);
}

static wall_ms end_of(const SSL_CTX *context)
{
    const X509 *certificate = SSL_CTX_get0_certificate(context);
    struct tm end;

    if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1)
        return WALL_NONE;
    return (wall_ms)timegm(&end) * MS_PER_SECOND;
}

struct tls *tls_load(const struct tls_files *files, struct error *err)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) {
        (void)error_set(err, ERROR_SYSTEM, "cannot begin TLS: %s", tls_words());
        return NULL;
    }
    set_options(context);
    if (!load(context, files, err)) {
        SSL_CTX_free(context);
        return NULL;
    }
    struct tls *tls = memory_zero(1, sizeof *tls);
    tls->holders = 1;
    tls->context = context;
    tls->certificate = memory_copy(files->cert, strlen(files->cert) + 1);
    tls->expires_at = end_of(context);
    return tls;
}

struct tls *tls_keep(struct tls *tls)
{
    if (tls != NULL)
        (void)atomic_fetch_add_explicit(&tls->holders, 1, memory_order_relaxed);
    return tls;
}

void tls_release(struct tls *tls)
{
    if (tls == NULL || atomic_fetch_sub(&tls->holders, 1) != 1)
        return;
    SSL_CTX_free(tls->context);
    free(tls->certificate);
    free(tls);
}

const char *tls_certificate(const struct tls *tls)
{
    return tls->certificate;
}

wall_ms tls_expires_at(const struct tls *tls)
{
    return tls->expires_at;
}

bool tls_is_expiring(const struct tls *tls, wall_ms now)
{
    return tls->expires_at != WALL_NONE &&
           tls->expires_at - now < TLS_EXPIRING_DAYS * (span_ms)MS_PER_DAY;
}

SSL *tls_session(struct tls *tls, int fd)
{
    SSL *session = SSL_new(tls->context);

    assert(session != NULL); /* out of memory */
    SSL_set_accept_state(session);
    if (fd >= 0) {
        int rc = SSL_set_fd(session, fd);
        assert(rc == 1);
        (void)rc;
    }
    return session;
}
