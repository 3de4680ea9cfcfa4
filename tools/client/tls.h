/* TLS of the connection of a client, for link.c: on the socket that this has opened, and without
 * waiting. */
#pragma once

#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>

struct kpid_client;
struct kpid_client_tls;

/* What became of a try to read, to write or to shake hands. */
enum io_result {
    IO_DONE,
    IO_LATER, /* the socket is not ready */
    IO_ENDED, /* the other side has closed */
    IO_BROKEN /* and why is said */
};

struct kpid_tls {
    bool is_wanted;     /* the address begins with "tls:"; set once */
    char *name;         /* that the certificate has to be for; NULL: the host */
    SSL_CTX *context;   /* NULL: not made so far */
    BIO_METHOD *method; /* how OpenSSL reads and writes the socket */
    bool has_ca_file;   /* what the context has of its own */
    bool has_certificate;
    bool is_locked; /* a key that was read last, by a password */

    SSL *session; /* NULL: there is no connection */
    /* of this session */
    int errnum;        /* why the socket broke; 0: it did not */
    bool has_ended;    /* the socket, by the other side */
    bool is_drained;   /* the socket has no more bytes now */
    bool is_broken;    /* the session; nothing may be done with it */
    bool is_untrusted; /* its certificate is not good; kept until the next connection */
    short read_events; /* of poll.h: what reading, or the handshake, waits for */
    short write_events;
};

/* --- tls.c --- */

/* Reads files for the sessions to come. False: what was before stays, and why is said. */
bool kpid_tls_load(struct kpid_client *client, const struct kpid_client_tls *files);
void kpid_tls_fini(struct kpid_client *client);

/* A session on the socket of the link, which is connected. False: why is said. */
bool kpid_tls_begin(struct kpid_client *client);
void kpid_tls_end(struct kpid_client *client); /* says goodbye where it can */

enum io_result kpid_tls_shake_hands(struct kpid_client *client);
/* IO_DONE with 0 bytes: TLS has talked to itself, and there may be more. */
enum io_result kpid_tls_read(struct kpid_client *client, unsigned char *into, size_t room,
                             size_t *got);
/* Called again with what is left after IO_LATER, and nothing else. */
enum io_result kpid_tls_write(struct kpid_client *client, const unsigned char *bytes, size_t len,
                              size_t *sent);
/* Whether bytes are there that poll does not see. */
bool kpid_tls_has_pending(const struct kpid_client *client);

/* --- tls_words.c --- */

const char *kpid_tls_name(const struct kpid_client *client);

/* What went wrong on this thread, in OpenSSL's words: the first it said, the rest is about it. */
const char *kpid_tls_words(void);
/* Says why kpid's certificate is not good. */
void kpid_tls_say_untrusted(struct kpid_client *client, X509_STORE_CTX *store);
/* Says why a session broke, by OpenSSL's first error of it. */
void kpid_tls_say_failure(struct kpid_client *client, unsigned long code);
