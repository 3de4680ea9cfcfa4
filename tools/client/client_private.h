/* What the files of libkpid-client share. */
#pragma once

#include <netdb.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "batch.h"
#include "tls.h"

enum {
    ANSWER_BYTES_MAX = 64 * 1024, /* of a frame that kpid sends */
    FRAME_BYTES_MAX = 1 << 20,    /* of one that it gets; kpid may ask for less */
    LENGTH_SIZE = 4,              /* before each frame, big-endian */
    TROUBLE_SIZE = 768,           /* a host twice, and words */
    HINT_SIZE = 256,
    HOST_SIZE = 256,
    PORT_SIZE = 8,
    PEER_SIZE = HOST_SIZE + PORT_SIZE + 4,
};

typedef int64_t mono_us; /* microseconds of CLOCK_MONOTONIC */

static const mono_us NEVER = INT64_MAX;

/* A batch that waits for its answer. */
struct kpid_batch {
    TAILQ_ENTRY(kpid_batch) link;
    uint64_t sequence;
    uint32_t samples;
    bool in_order;      /* is sent when no other has no answer */
    bool is_under_way;  /* sent on this connection, or being sent */
    mono_us first_sent; /* 0: never */
    size_t len;
    unsigned char frame[]; /* with its length */
};

TAILQ_HEAD(kpid_batches, kpid_batch);

enum link_state { LINK_DOWN, LINK_CONNECTING, LINK_SECURING, LINK_GREETING, LINK_UP };

struct kpid_link {
    enum link_state state;
    int fd;
    struct addrinfo *addresses; /* of a TCP address that is tried; NULL */
    struct addrinfo *next;      /* is tried next */

    mono_us retry_at;   /* LINK_DOWN */
    mono_us backoff;    /* how long to wait after the next failure */
    mono_us deadline;   /* for the connection, the welcome, or the next answer */
    mono_us busy_until; /* kpid wants no batch before; 0: any time */

    /* what is written: `hello`, or the frame of `sending` */
    struct kpid_batch *sending;
    size_t written;
    unsigned char *hello;
    size_t hello_len;

    unsigned char *input;
    size_t input_len;

    unsigned batches_max; /* as Welcome says */
    size_t frame_bytes_max;
    unsigned under_way;
    uint64_t sequence_sent; /* the highest one */
    uint64_t careful_until; /* batches up to this one are sent alone: one of them is not liked */
    bool is_denied;
};

struct kpid_client {
    /* set once */
    bool is_local;
    struct sockaddr_un path; /* local */
    char host[HOST_SIZE], port[PORT_SIZE];
    char peer[PEER_SIZE]; /* of the address, what is behind the way to it */
    mono_us batch_age;
    size_t memory_max;
    void (*on_answer)(const struct kpid_answer *answer, void *arg);
    void *arg;

    struct open_batch open;
    mono_us open_since; /* its first sample */
    uint64_t next_sequence;
    struct kpid_batches batches; /* in the order of their sequence */
    struct kpid_link link;
    struct kpid_tls tls;
    struct kpid_client_stats stats;
    bool has_refused; /* something since the last flush */
    bool is_calling;  /* on_answer */
    uint64_t random;
    char trouble[TROUBLE_SIZE];
    char hint[HINT_SIZE]; /* what may help */
};

/* --- kpid_client.c --- */

mono_us kpid_client_now(void);
uint64_t kpid_client_random(struct kpid_client *client);
__attribute__((format(printf, 2, 3))) void kpid_client_say(struct kpid_client *client,
                                                           const char *format, ...);
void kpid_client_say_errno(struct kpid_client *client, const char *what, int errnum);
/* After kpid_client_say, what may help. */
__attribute__((format(printf, 2, 3))) void kpid_client_advise(struct kpid_client *client,
                                                              const char *format, ...);
/* A batch has its answer for good: tells the caller, and forgets the batch. */
void kpid_client_answered(struct kpid_client *client, struct kpid_batch *batch,
                          struct kpid_answer *answer);

/* --- link.c --- */

/* False: no memory. */
bool kpid_link_init(struct kpid_client *client, const struct kpid_client_options *options,
                    uint64_t epoch);
void kpid_link_fini(struct kpid_client *client);
void kpid_link_work(struct kpid_client *client, mono_us now);
short kpid_link_events(const struct kpid_client *client);
mono_us kpid_link_due(const struct kpid_client *client); /* NEVER */

/* --- answer.c --- */

/* Takes one frame of kpid. False: the connection has to end; why is said. */
bool kpid_answer_take(struct kpid_client *client, const unsigned char *bytes, size_t len,
                      mono_us now);
