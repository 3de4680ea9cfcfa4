/* What clients say in kpid's own protocol (proto/kpid.proto): one frame of bytes to a Hello, or to
 * a batch for the sink.
 *
 * Before protobuf-c unpacks a frame, a walk over its bytes counts what is in it: no more than the
 * limits below, no deeper than the protocol is, in memory of the size that was counted. What cannot
 * be read, and columns that do not fit together, refuse a batch as a whole; else good samples are
 * kept and bad ones counted, each with a reason. No I/O; one thread. */
#pragma once

#include "series/batch.h"
#include "series/ledger.h"

enum {
    NATIVE_SYMBOLS_MAX = 1 << 18, /* of one batch */
    NATIVE_SERIES_MAX = 1 << 16,
    NATIVE_SAMPLES_MAX = 1 << 20,
    NATIVE_UNPACK_MAX = 64 << 20, /* bytes of memory to unpack one frame */
    NATIVE_HELLO_MAX = 4096,      /* bytes of a Hello's frame */
    NATIVE_PRODUCER_SIZE = 16,
    NATIVE_EXAMPLES = 16,
    NATIVE_WORDS_SIZE = 240,
};

/* As in the protocol. */
enum native_code {
    NATIVE_MALFORMED = 1,
    NATIVE_TOO_LARGE = 2,
    NATIVE_DENIED = 3,
    NATIVE_TOO_OLD = 4,
    NATIVE_BUSY = 5,
};

/* Why nothing of a batch is stored, or why a connection ends. */
struct native_error {
    uint64_t sequence; /* 0: of the connection */
    enum native_code code;
    uint32_t retry_after_ms; /* busy */
    char words[NATIVE_WORDS_SIZE];
};

/* Returns false. */
__attribute__((format(printf, 4, 5))) bool native_refuse(struct native_error *err,
                                                         uint64_t sequence, enum native_code code,
                                                         const char *format, ...);

/* The memory to unpack into, used again and again. */
struct native_reader;

struct native_reader *native_reader_new(void);
void native_reader_free(struct native_reader *reader); /* NULL is fine */

struct native_hello {
    struct delta_identity
        identity;     /* without a sequence; IDENTITY_NONE: the producer has no name */
    struct str token; /* borrowed until the next call */
    struct str client;
};

bool native_read_hello(struct native_reader *reader, struct str bytes, struct native_hello *out,
                       struct native_error *err);

/* One of the first samples that were rejected. */
struct native_example {
    uint32_t sample;
    enum reject_reason reason;
    char message[NATIVE_WORDS_SIZE];
};

struct native_request {
    const struct batch_rules *rules; /* borrowed as long as the batch */
    size_t held_max;                 /* what a batch may make kpid hold: more is TOO_LARGE */
    int64_t now_us;                  /* of samples without a time */
    uint64_t *last_arrival;          /* of the thread; grows with each sample */
};

struct native_batch {
    uint64_t sequence;
    struct batch *batch; /* the caller's */
    struct ledger counts;
    struct native_example examples[NATIVE_EXAMPLES];
    size_t example_count;
};

/* The weight of a value that counts up, or that came after another one, says nothing. */
bool native_read_batch(struct native_reader *reader, struct str bytes,
                       const struct native_request *request, struct native_batch *out,
                       struct native_error *err);
