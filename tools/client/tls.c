/* TLS of a connection: OpenSSL over the socket that link.c has opened, which stays non-blocking.
 * The client looks at kpid's certificate and at the name in it, or there is no connection. */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client_private.h"

/* --- the socket -------------------------------------------------------------------------------
 */

/* OpenSSL's own BIO writes in a way that raises SIGPIPE; this one does not. */
static int write_socket(BIO *bio, const char *bytes, int len)
{
    struct kpid_client *client = BIO_get_data(bio);
    struct kpid_tls *tls = &client->tls;
    ssize_t sent = -1;

    BIO_clear_retry_flags(bio);
    do
        sent = send(client->link.fd, bytes, (size_t)len, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return (int)sent;
    /* What kpid said before it closed is read first. */
    bool has_closed =
        (errno == EPIPE || errno == ECONNRESET) && SSL_is_init_finished(tls->session) == 1;
    if (errno == EAGAIN || has_closed)
        BIO_set_retry_write(bio);
    else
        tls->errnum = errno;
    return -1;
}

static int read_socket(BIO *bio, char *into, int room)
{
    struct kpid_client *client = BIO_get_data(bio);
    struct kpid_tls *tls = &client->tls;
    ssize_t got = -1;

    BIO_clear_retry_flags(bio);
    do
        got = recv(client->link.fd, into, (size_t)room, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return (int)got;
    if (got == 0) {
        tls->has_ended = true;
        return 0;
    }
    if (errno == EAGAIN) {
        tls->is_drained = true;
        BIO_set_retry_read(bio);
    } else {
        tls->errnum = errno;
    }
    return -1;
}

static long control_socket(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "kpid-client");

    if (method == NULL)
        return NULL;
    (void)BIO_meth_set_write(method, write_socket);
    (void)BIO_meth_set_read(method, read_socket);
    (void)BIO_meth_set_ctrl(method, control_socket);
    return method;
}

/* --- files ------------------------------------------------------------------------------------
 */

/* Without it OpenSSL would ask on the terminal. */
static int no_password(char *into, int size, int for_writing, void *arg)
{
    struct kpid_tls *tls = arg;

    (void)size;
    (void)for_writing;
    tls->is_locked = true;
    into[0] = '\0';
    return -1;
}

static bool refuse(struct kpid_client *client, const char *what, const char *path)
{
    unsigned long code = ERR_peek_error(); /* the first one is the file's, if it is */

    if (ERR_SYSTEM_ERROR(code)) {
        const char *words = strerrordesc_np(ERR_GET_REASON(code));
        kpid_client_say(client, "cannot read %s '%s': %s", what, path,
                        words == NULL ? "unknown error" : words);
    } else {
        kpid_client_say(client, "cannot use %s '%s': %s", what, path,
                        client->tls.is_locked ? "it needs a password" : kpid_tls_words());
    }
    return false;
}

static bool load_certificate(struct kpid_client *client, SSL_CTX *context,
                             const struct kpid_client_tls *files)
{
    const char *key = files->key_file != NULL ? files->key_file : files->cert_file;

    if (files->cert_file == NULL && key == NULL)
        return true;
    if (files->cert_file == NULL) {
        kpid_client_say(client, "key '%s' is of no use without its certificate", key);
        return false;
    }
    if (SSL_CTX_use_certificate_chain_file(context, files->cert_file) != 1)
        return refuse(client, "certificate", files->cert_file);
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1)
        return true;
    if (ERR_GET_REASON(ERR_peek_last_error()) != X509_R_KEY_VALUES_MISMATCH)
        return refuse(client, "key", key);
    kpid_client_say(client, "key '%s' is not that of certificate '%s'", key, files->cert_file);
    return false;
}

static bool load(struct kpid_client *client, SSL_CTX *context, const struct kpid_client_tls *files)
{
    if (files->ca_file != NULL && SSL_CTX_load_verify_file(context, files->ca_file) != 1)
        return refuse(client, "the authorities", files->ca_file);
    if (files->ca_file == NULL && SSL_CTX_set_default_verify_paths(context) != 1) {
        kpid_client_say(client, "cannot read the authorities that this machine trusts: %s",
                        kpid_tls_words());
        return false;
    }
    return load_certificate(client, context, files);
}

/* Says why not; OpenSSL then ends the handshake with an alert. */
static int on_verified(int is_good, X509_STORE_CTX *store)
{
    const SSL *session = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct kpid_client *client = SSL_get_app_data(session);

    if (is_good != 1) {
        client->tls.is_untrusted = true;
        kpid_tls_say_untrusted(client, store);
    }
    return is_good;
}

static SSL_CTX *make_context(struct kpid_tls *tls)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (context == NULL)
        return NULL;
    /* Unless this machine wants an even later one. */
    if (SSL_CTX_get_min_proto_version(context) < TLS1_2_VERSION)
        (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(context,
                              SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    /* A write may end in the middle of a batch; idle connections give their buffers back. And a
     * call ends after each record, whatever it holds, so that the other side cannot keep it. */
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, tls);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verified);
    return context;
}

bool kpid_tls_load(struct kpid_client *client, const struct kpid_client_tls *files)
{
    struct kpid_tls *tls = &client->tls;

    ERR_clear_error();
    if (tls->method == NULL)
        tls->method = make_method();
    tls->is_locked = false;
    SSL_CTX *context = tls->method == NULL ? NULL : make_context(tls);
    if (context == NULL) {
        kpid_client_say(client, "cannot begin TLS: %s", kpid_tls_words());
        return false;
    }
    if (!load(client, context, files)) {
        SSL_CTX_free(context);
        ERR_clear_error();
        return false;
    }
    SSL_CTX_free(tls->context); /* a session keeps its own */
    tls->context = context;
    tls->has_ca_file = files->ca_file != NULL;
    tls->has_certificate = files->cert_file != NULL;
    return true;
}

/* --- a connection -----------------------------------------------------------------------------
 */

/* The name, or the IP address, that the certificate has to be for. */
static bool expect(SSL *session, const char *host)
{
    X509_VERIFY_PARAM *expected = SSL_get0_param(session);
    unsigned char address[sizeof(struct in6_addr)];
    char name[HOST_SIZE];
    size_t len = strcspn(host, "%"); /* a zone says through which device, not who */

    if (len == 0)
        return false; /* to OpenSSL that would be any name */
    if (len > 1 && host[len - 1] == '.')
        len--;
    memcpy(name, host, len);
    name[len] = '\0';
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(expected, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                                  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(expected, name, len) == 1 &&
           SSL_set_tlsext_host_name(session, name) == 1;
}

static bool make_session(struct kpid_client *client)
{
    struct kpid_tls *tls = &client->tls;

    tls->session = SSL_new(tls->context);
    BIO *bio = tls->session == NULL ? NULL : BIO_new(tls->method);
    if (bio == NULL)
        return false;
    BIO_set_data(bio, client);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->session, bio, bio); /* takes it */
    SSL_set_connect_state(tls->session);
    return SSL_set_app_data(tls->session, client) == 1 &&
           expect(tls->session, kpid_tls_name(client));
}

bool kpid_tls_begin(struct kpid_client *client)
{
    struct kpid_tls *tls = &client->tls;

    if (tls->context == NULL && !kpid_tls_load(client, &(struct kpid_client_tls){0}))
        return false;
    ERR_clear_error();
    tls->errnum = 0;
    tls->has_ended = false;
    tls->is_drained = false;
    tls->is_broken = false;
    tls->read_events = POLLIN;
    tls->write_events = POLLOUT;
    if (make_session(client))
        return true;
    kpid_client_say(client, "cannot begin TLS: %s", kpid_tls_words());
    return false;
}

void kpid_tls_end(struct kpid_client *client)
{
    struct kpid_tls *tls = &client->tls;

    if (tls->session == NULL)
        return;
    /* One try: whoever does not hear it knows from the frames what is whole. */
    if (!tls->is_broken && SSL_is_init_finished(tls->session) == 1)
        (void)SSL_shutdown(tls->session);
    SSL_free(tls->session);
    tls->session = NULL;
    ERR_clear_error();
}

void kpid_tls_fini(struct kpid_client *client)
{
    kpid_tls_end(client);
    SSL_CTX_free(client->tls.context);
    BIO_meth_free(client->tls.method);
    free(client->tls.name);
}

/* What a call of OpenSSL came to; what it waits for goes to `events`, unless NULL. */
static enum io_result judge(struct kpid_client *client, int rc, short *events)
{
    struct kpid_tls *tls = &client->tls;

    switch (SSL_get_error(tls->session, rc)) {
    case SSL_ERROR_NONE:
        return IO_DONE;
    case SSL_ERROR_WANT_READ:
        *events = POLLIN;
        return IO_LATER;
    case SSL_ERROR_WANT_WRITE:
        *events = POLLOUT;
        return IO_LATER;
    case SSL_ERROR_ZERO_RETURN:
        return IO_ENDED;
    default:
        break;
    }
    tls->is_broken = true;
    if (tls->errnum != 0) {
        kpid_client_say_errno(client, "the connection broke", tls->errnum);
        return IO_BROKEN;
    }
    if (tls->has_ended)
        return IO_ENDED;
    if (!tls->is_untrusted) /* else it is said */
        kpid_tls_say_failure(client, ERR_peek_error());
    return IO_BROKEN;
}

static enum io_result finish_call(struct kpid_client *client, int rc, short *events)
{
    enum io_result result = judge(client, rc, events);

    ERR_clear_error(); /* the program may use OpenSSL, too */
    return result;
}

enum io_result kpid_tls_shake_hands(struct kpid_client *client)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(client->tls.session);
    return finish_call(client, rc, &client->tls.read_events);
}

enum io_result kpid_tls_read(struct kpid_client *client, unsigned char *into, size_t room,
                             size_t *got)
{
    struct kpid_tls *tls = &client->tls;

    *got = 0;
    tls->is_drained = false;
    tls->read_events = POLLIN;
    ERR_clear_error();
    int rc = SSL_read_ex(tls->session, into, room, got);
    enum io_result result = finish_call(client, rc, &tls->read_events);
    bool was_of_tls = result == IO_LATER && tls->read_events == POLLIN && !tls->is_drained;
    return was_of_tls ? IO_DONE : result;
}

enum io_result kpid_tls_write(struct kpid_client *client, const unsigned char *bytes, size_t len,
                              size_t *sent)
{
    struct kpid_tls *tls = &client->tls;

    *sent = 0;
    tls->write_events = POLLOUT;
    ERR_clear_error();
    int rc = SSL_write_ex(tls->session, bytes, len, sent);
    return finish_call(client, rc, &tls->write_events);
}

bool kpid_tls_has_pending(const struct kpid_client *client)
{
    return client->tls.session != NULL && SSL_pending(client->tls.session) > 0;
}
