#include "ingest/tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

enum { TLS_FILE_BYTES_MAX = 1024 * 1024 };

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
    return error_set(err, ERROR_INVALID, "cannot use %s '%s': %s", what, path, tls_words());
}

/* --- files -------------------------------------------------------------------------------------
 */

/* A file of PEM while it is read. Not by OpenSSL's functions of paths: they wait for a FIFO. */
struct pem {
    struct buf bytes;
    BIO *bio; /* of the bytes; NULL: there are none */
};

static void pem_fini(struct pem *pem)
{
    BIO_free(pem->bio);
    if (pem->bytes.bytes != NULL)
        explicit_bzero(pem->bytes.bytes, pem->bytes.capacity); /* a key */
    buf_fini(&pem->bytes);
}

static bool pem_read(struct pem *pem, const char *what, const char *path, struct error *err)
{
    struct stat facts;

    *pem = (struct pem){.bytes = BUF_EMPTY};
    int fd = file_open(path, what, &facts, err);
    if (fd < 0)
        return false;
    bool ok = file_read(fd, path, what, TLS_FILE_BYTES_MAX, &pem->bytes, err);
    (void)close(fd);
    if (ok) {
        pem->bio =
            BIO_new_mem_buf(pem->bytes.len == 0 ? "" : pem->bytes.bytes, (int)pem->bytes.len);
        assert(pem->bio != NULL); /* out of memory */
    }
    return ok;
}

/* Whether the last certificate was read, and no broken one stands behind it. */
static bool is_at_end(void)
{
    unsigned long code = ERR_peek_last_error();

    if (ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
        return false;
    ERR_clear_error();
    return true;
}

/* The server's certificate, then those that lead to its root. */
static bool use_certificates(SSL_CTX *context, BIO *bio)
{
    X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL);
    bool ok = certificate != NULL && SSL_CTX_use_certificate(context, certificate) == 1;

    X509_free(certificate);
    while (ok) {
        certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL);
        if (certificate == NULL)
            return is_at_end();
        ok = SSL_CTX_add0_chain_cert(context, certificate) == 1; /* takes it */
        if (!ok)
            X509_free(certificate);
    }
    return false;
}

static bool use_key(SSL_CTX *context, BIO *bio)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    bool ok = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1;

    EVP_PKEY_free(key);
    return ok;
}

static bool has_name(const STACK_OF(X509_NAME) * names, const X509_NAME *name)
{
    for (int i = 0; i < sk_X509_NAME_num(names); i++) {
        if (X509_NAME_cmp(sk_X509_NAME_value(names, i), name) == 0)
            return true;
    }
    return false;
}

/* Authorities of clients: trusted, and their names told to who connects. */
static bool use_authorities(SSL_CTX *context, BIO *bio)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    bool ok = true;

    for (int count = 0; ok; count++) {
        X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL);
        if (certificate == NULL)
            return count > 0 && is_at_end();
        ok = X509_STORE_add_cert(store, certificate) == 1 &&
             (has_name(SSL_CTX_get_client_CA_list(context), X509_get_subject_name(certificate)) ||
              SSL_CTX_add_client_CA(context, certificate) == 1);
        X509_free(certificate);
    }
    return false;
}

static bool load_certificate(SSL_CTX *context, const char *path, struct error *err)
{
    static const char what[] = "certificate";
    struct pem pem;
    bool ok = pem_read(&pem, what, path, err) &&
              (use_certificates(context, pem.bio) || refuse(what, path, err));

    pem_fini(&pem);
    return ok;
}

static bool load_key(SSL_CTX *context, const struct tls_files *files, struct error *err)
{
    static const char what[] = "key";
    struct pem pem;
    bool ok = pem_read(&pem, what, files->key, err);

    if (ok && !use_key(context, pem.bio)) {
        ok = false;
        if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
            (void)error_set(err, ERROR_INVALID, "key '%s' is not that of certificate '%s'",
                            files->key, files->cert);
        else
            (void)refuse(what, files->key, err);
        ERR_clear_error();
    }
    pem_fini(&pem);
    return ok;
}

static bool load_clients(SSL_CTX *context, const char *path, struct error *err)
{
    static const char what[] = "the certificates of clients' authorities";
    struct pem pem;
    bool ok = pem_read(&pem, what, path, err) &&
              (use_authorities(context, pem.bio) || refuse(what, path, err));

    pem_fini(&pem);
    if (ok)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return ok;
}

static bool load(SSL_CTX *context, const struct tls_files *files, struct error *err)
{
    return load_certificate(context, files->cert, err) && load_key(context, files, err) &&
           (files->client_ca == NULL || load_clients(context, files->client_ca, err));
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
