/* libkpid-client: sends samples to kpid by its own protocol, each counted once.
 *
 * Samples are gathered into batches. A batch goes out when it is full or old enough, is kept until
 * kpid has answered that it is on disk, and is sent again, under the same number, after a
 * connection broke: kpid knows the number and counts it once. What is not answered takes no more
 * memory than was allowed; a sample beyond that is not taken, and the call that brings it says so.
 *
 *   #include <kpid_client.h>
 *   #include <stdio.h>
 *
 *   int main(void)
 *   {
 *       const struct kpid_client_options options = {.address = "tcp:127.0.0.1:8641"};
 *       const struct kpid_label labels[] = {{"plan", "pro"}, {"country", "de"}};
 *       struct kpid_client *client = kpid_client_new(&options);
 *
 *       if (client == NULL)
 *           return 1;
 *       kpid_client_count(client, "signup", labels, 2, 1);
 *       kpid_client_gauge(client, "queue", NULL, 0, 7);
 *       kpid_client_observe(client, "checkout.ms", labels, 1, 41.5);
 *       enum kpid_result result = kpid_client_flush(client, 5000);
 *       if (result != KPID_OK)
 *           fprintf(stderr, "%s: %s\n", kpid_result_words(result), kpid_client_trouble(client));
 *       kpid_client_free(client);
 *       return result == KPID_OK ? 0 : 1;
 *   }
 *
 *   cc example.c $(pkg-config --cflags --libs kpid-client)
 *
 * Threads: the library has none, and no state outside of its clients (but for OpenSSL's own). A
 * client may be used by one thread at a time; several clients by several threads. After fork the
 * child may do nothing with the parent's clients, not even free them.
 *
 * Whoever adds samples all the time needs no more than kpid_client_add: it sends what is due. Who
 * may be silent for longer than `batch_ms` calls kpid_client_work now and then, or has its event
 * loop watch the client (kpid_client_fd). Nothing blocks but kpid_client_wait and
 * kpid_client_flush, for as long as they are told; and a name instead of an IP address in
 * `address`, which is looked up when a connection is made. No call raises SIGPIPE, by TLS neither.
 *
 * Ownership: all that is given to a call is borrowed until it returns; what a callback is given,
 * until that returns. A callback may not call anything with its client.
 *
 * Two programs with the same `producer` at the same time take each other's numbers: do not. Samples
 * that have no answer are lost when the program ends. */
#ifndef KPID_CLIENT_H
#define KPID_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KPID_CLIENT_API __attribute__((visibility("default")))
#else
#define KPID_CLIENT_API
#endif

struct kpid_client;

enum {
    KPID_PRODUCER_SIZE = 16,
    KPID_BATCH_SAMPLES_MAX = 65536,
    KPID_MEMORY_MIN = 16384, /* the least `memory_max` */
    KPID_NAMES_MAX = 2048    /* bytes of `token` and `name` together */
};

enum kpid_result {
    KPID_OK = 0,
    KPID_INVALID,   /* the sample is none: see kpid_client_add */
    KPID_FULL,      /* `memory_max` is reached: the sample was not taken */
    KPID_NO_MEMORY, /* malloc said no: the sample was not taken */
    KPID_TIMEOUT,   /* not all was answered in time; it is still being sent */
    KPID_DENIED,    /* kpid does not let this client speak; nothing is lost, it is tried again */
    KPID_REFUSED,   /* all was answered, but not all of it is stored */
    KPID_UNTRUSTED  /* what answers has no certificate that is good: nothing was sent, it is tried
                       again */
};

/* "out of memory for samples", ...; never NULL. */
KPID_CLIENT_API const char *kpid_result_words(enum kpid_result result);

/* --- answers ---------------------------------------------------------------------------------- */

/* What became of a batch. The numbers are those of the protocol. */
enum kpid_code {
    KPID_CODE_STORED = 0, /* it is on disk; single samples may be rejected */
    KPID_CODE_MALFORMED = 1,
    KPID_CODE_TOO_LARGE = 2,
    KPID_CODE_DENIED = 3,
    KPID_CODE_TOO_OLD = 4 /* kpid cannot tell whether it counted it before */
};

struct kpid_rejected {
    uint32_t sample;     /* the how manieth of its batch, from 0 */
    const char *reason;  /* one word, as in `kpictl ingest` */
    const char *message; /* with the name of the metric */
};

struct kpid_answer {
    uint64_t sequence;   /* the number of the batch, from 1 */
    enum kpid_code code; /* but for KPID_CODE_STORED nothing of the batch is stored now */
    const char *message; /* why not; "" when it is */
    bool
        repeated; /* it was stored by an earlier try, whose answer got lost: the next three are 0 */
    uint64_t stored;
    uint64_t rejected;
    uint64_t dropped;                     /* duplicates, and what is too old to keep */
    const struct kpid_rejected *examples; /* the first rejected ones, at most 16 */
    size_t example_count;
    uint32_t samples;
    uint64_t took_us; /* since it was sent for the first time */
};

/* --- a client --------------------------------------------------------------------------------- */

struct kpid_client_options {
    /* "tcp:HOST:PORT", "tls:HOST:PORT" or "unix:/PATH"; an IPv6 address as [::1]. */
    const char *address;
    const char *token; /* where the listener asks for one; NULL without. Over tcp: in plain text */
    const char *name;  /* of the program and its version, for people; NULL without */
    /* 16 bytes that no other producer has; NULL: random ones. */
    const unsigned char *producer;
    /* Greater than that of any run before under the same producer; 0: milliseconds since 1970. */
    uint64_t epoch;
    size_t batch_samples; /* a batch is full; 0: 1,000 */
    unsigned batch_ms;    /* a batch is old enough; 0: 100 */
    /* Bytes of batches without an answer, as they are sent; 0: 16 MiB. The batch that is being
     * filled needs as much again for what is not sent. */
    size_t memory_max;
    /* For each batch that has its answer; NULL without. Comes from any call but kpid_client_new. */
    void (*on_answer)(const struct kpid_answer *answer, void *arg);
    void *arg;
};

/* Connects when there is something to send. NULL with errno: EINVAL for an option out of its range,
 * ENOMEM. */
KPID_CLIENT_API struct kpid_client *kpid_client_new(const struct kpid_client_options *options);

/* What is not answered is lost: kpid_client_flush first. NULL is fine. */
KPID_CLIENT_API void kpid_client_free(struct kpid_client *client);

/* --- TLS -------------------------------------------------------------------------------------- */

/* An address with "tls:" is spoken to by TLS, 1.2 or later, and never without. kpid's certificate
 * has to be good: of an authority that is trusted, for HOST, and not expired; else nothing is sent,
 * not even the token, and kpid_client_flush says KPID_UNTRUSTED. This needs no call: it is for
 * authorities of one's own, and for listeners that want a certificate of their clients. */
struct kpid_client_tls {
    const char *ca_file;   /* PEM: the authorities that are trusted; NULL: those of this machine */
    const char *cert_file; /* PEM: a certificate to show, and what leads to its root; NULL: none */
    const char *key_file;  /* PEM, without a password; NULL: it stands in `cert_file`, too */
    const char *name;      /* a name or IP address in place of HOST; NULL: HOST */
};

/* Reads the files. Connections that begin from now on use what was read, one that is there stays:
 * so it may be called again, for files that were renewed. False: what was before holds on, and
 * kpid_client_trouble says why. Not for a client whose address is not one of TLS. */
KPID_CLIENT_API bool kpid_client_set_tls(struct kpid_client *client,
                                         const struct kpid_client_tls *files);

/* --- samples ---------------------------------------------------------------------------------- */

enum kpid_kind {
    KPID_UNTYPED = 0, /* what kpid.yaml declares; a declared type beats the others, too */
    KPID_COUNTER = 1,
    KPID_GAUGE = 2,
    KPID_DISTRIBUTION = 3,
    KPID_UNIQUE = 4,
    KPID_SCORE = 5
};

enum kpid_form {
    KPID_PLAIN = 0,      /* increments, levels, values: in any order, each counts */
    KPID_CHANGE = 1,     /* of a gauge, by the value */
    KPID_CUMULATIVE = 2, /* of a counter that counts up since `start_ms` */
    KPID_INCREMENT = 3   /* of a counter: what came after `start_ms` until `time_ms` */
};

struct kpid_label {
    const char *name;
    const char *value;
};

/* Texts are UTF-8. A form of cumulative or increment has to come in the order of time: a batch that
 * has one is sent alone. */
struct kpid_sample {
    const char *name;
    const struct kpid_label *labels;
    size_t label_count;
    enum kpid_kind kind;
    enum kpid_form form;
    double value;       /* finite; without meaning for a KPID_UNIQUE */
    const char *member; /* of a KPID_UNIQUE, else without meaning */
    double rate;        /* one of 1 / rate was kept: from 2^-32 to 1; 0 is 1 */
    int64_t time_ms;    /* since 1970; 0: now */
    int64_t start_ms;   /* 0: not known */
};

/* KPID_OK: it will be sent. KPID_INVALID, KPID_FULL or KPID_NO_MEMORY: it will not. Invalid are a
 * missing text, an empty name, a value that is not finite, a rate out of its range, an unknown kind
 * or form, and a sample that alone is larger than a batch may be. */
KPID_CLIENT_API enum kpid_result kpid_client_add(struct kpid_client *client,
                                                 const struct kpid_sample *sample);

/* The common ones: now, with `labels` (NULL, 0 for none). */
KPID_CLIENT_API enum kpid_result kpid_client_count(struct kpid_client *client, const char *name,
                                                   const struct kpid_label *labels,
                                                   size_t label_count, double increment);
KPID_CLIENT_API enum kpid_result kpid_client_gauge(struct kpid_client *client, const char *name,
                                                   const struct kpid_label *labels,
                                                   size_t label_count, double level);
KPID_CLIENT_API enum kpid_result kpid_client_gauge_add(struct kpid_client *client, const char *name,
                                                       const struct kpid_label *labels,
                                                       size_t label_count, double change);
KPID_CLIENT_API enum kpid_result kpid_client_observe(struct kpid_client *client, const char *name,
                                                     const struct kpid_label *labels,
                                                     size_t label_count, double value);
KPID_CLIENT_API enum kpid_result kpid_client_unique(struct kpid_client *client, const char *name,
                                                    const struct kpid_label *labels,
                                                    size_t label_count, const char *member);
KPID_CLIENT_API enum kpid_result kpid_client_score(struct kpid_client *client, const char *name,
                                                   const struct kpid_label *labels,
                                                   size_t label_count, double score);

/* --- sending ---------------------------------------------------------------------------------- */

/* Ends the batch that is being filled, though it is not full, and sends what can be sent. */
KPID_CLIENT_API void kpid_client_send(struct kpid_client *client);

/* kpid_client_send, then waits until every batch has its answer. KPID_OK: all is stored, but for
 * duplicates. KPID_REFUSED: a batch was refused or a sample rejected since the flush before.
 * KPID_TIMEOUT after `timeout_ms`. KPID_DENIED: as soon as kpid says no; KPID_UNTRUSTED: as soon as
 * its certificate turns out not to be good. */
KPID_CLIENT_API enum kpid_result kpid_client_flush(struct kpid_client *client, unsigned timeout_ms);

/* Connects, sends and reads what is possible now, without waiting. */
KPID_CLIENT_API void kpid_client_work(struct kpid_client *client);

/* Waits for at most `timeout_ms` until there is something to do, and does it. */
KPID_CLIENT_API void kpid_client_wait(struct kpid_client *client, unsigned timeout_ms);

/* For event loops: call kpid_client_work when `events` (of poll.h) are there on `fd`, and after
 * `timeout_ms`; then, and after adding, ask again, for each of the three changes. -1: no
 * connection; no time. */
KPID_CLIENT_API int kpid_client_fd(const struct kpid_client *client);
KPID_CLIENT_API short kpid_client_events(const struct kpid_client *client);
KPID_CLIENT_API int kpid_client_timeout_ms(const struct kpid_client *client);

/* --- what happened ---------------------------------------------------------------------------- */

/* In samples, since kpid_client_new: added = acknowledged + refused + waiting; and
 * acknowledged = stored + rejected + dropped + repeated, as kpid counts. */
struct kpid_client_stats {
    uint64_t added;
    uint64_t waiting;
    uint64_t acknowledged;
    uint64_t stored;
    uint64_t rejected;
    uint64_t dropped;
    uint64_t repeated;  /* were stored, but the answer that told how was lost */
    uint64_t refused;   /* with their whole batch */
    uint64_t uncertain; /* of these: nobody knows whether they were counted (KPID_CODE_TOO_OLD) */
    uint64_t full;      /* not added: memory */
    uint64_t batches;   /* so far, with those that wait */
    uint64_t batches_waiting;
    uint64_t resent; /* batches, each time */
    uint64_t busy;   /* times that kpid said "later" */
    uint64_t connections;
    uint64_t sent_bytes;
    size_t bytes; /* of `memory_max` */
};

KPID_CLIENT_API struct kpid_client_stats kpid_client_stats(const struct kpid_client *client);

/* Whether kpid has welcomed this client on a connection that has not ended since. */
KPID_CLIENT_API bool kpid_client_is_connected(const struct kpid_client *client);

/* Words for what went wrong last, with a connection or a batch; "" when nothing has. Good until the
 * next call. */
KPID_CLIENT_API const char *kpid_client_trouble(const struct kpid_client *client);
/* What may help with it; "" when nothing is known. */
KPID_CLIENT_API const char *kpid_client_hint(const struct kpid_client *client);

#ifdef __cplusplus
}
#endif

#endif
