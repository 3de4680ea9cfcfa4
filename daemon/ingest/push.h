/* Samples in JSON, as they come in any pieces -> a batch. The body of POST /push of a listener
 * (json_body.h) and of POST /api/v1/push of the API.
 *
 *   {"samples":[{"name", "value", "labels":{name:value}, "type", "at", "id"}, ...]}
 *
 * `value` is a number or the text of one, for uniques the member's text. `type` is a metric kind; a
 * declared one beats it (FIG-8). Without both it is the only kind that the metric has so far, for
 * two kinds under one name have no figure, where that is known, and else "untyped". `at` is ISO
 * 8601, else the sample's time is its arrival (FIG-3). With an `id` a push of one sample counts
 * once, however often the same body comes (store/identity.h). All or nothing: one bad sample
 * refuses the body.
 *
 * What is around the samples is read byte by byte, a sample's own object is kept until it is
 * complete: so a body of any size needs the memory of one sample. Pure, on any thread. */
#pragma once

#include "base/buf.h"
#include "base/calendar.h"
#include "series/batch.h"

enum {
    PUSH_SAMPLES_MAX = 10000,
    PUSH_SAMPLE_BYTES_MAX = 64 * 1024,
    PUSH_MEMBER_MAX = 1024,
    PUSH_ID_MAX = 255,
};

/* The only kind of a metric that is not declared; 0 when it has none or several. */
typedef enum metric_kind (*push_kind_fn)(struct str metric, void *arg);

struct push_rules {
    const struct batch_rules *batch;
    push_kind_fn kind_of; /* NULL: not known */
    void *kind_arg;
    const struct calendar *calendar; /* of times without an offset; NULL: they need one */
    wall_ms now;
};

enum push_place {
    PUSH_BEGIN,  /* {         */
    PUSH_KEY,    /* "samples" */
    PUSH_COLON,  /* :         */
    PUSH_LIST,   /* [         */
    PUSH_FIRST,  /* { or ]    */
    PUSH_SAMPLE, /* up to }   */
    PUSH_AFTER,  /* , or ]    */
    PUSH_NEXT,   /* {         */
    PUSH_CLOSE,  /* }         */
    PUSH_END,
};

struct push_reader {
    enum push_place place;
    size_t samples; /* read so far */
    size_t limited; /* of these, beyond a limit of series: not taken */
    uint64_t arrival;
    enum reject_reason reason; /* why the body is refused */
    struct buf id;             /* of a push of one sample; empty without */
    unsigned matched;          /* bytes of the key */
    unsigned depth;            /* inside of the sample */
    bool in_text, escaped;
    struct buf text; /* of the sample */
};

/* `arrival` is the first sample's; each that follows has one more. */
void push_reader_init(struct push_reader *reader, uint64_t arrival);
void push_reader_fini(struct push_reader *reader);

/* Takes the next bytes: samples go into the batch, which has the same rules. False: the body is
 * refused, for reader->reason; the error names the sample and the key. */
bool push_reader_take(struct push_reader *reader, struct str bytes, const struct push_rules *rules,
                      struct batch *batch, struct error *err);

/* No more bytes follow. */
bool push_reader_end(struct push_reader *reader, struct error *err);

size_t push_reader_size_bytes(const struct push_reader *reader); /* held, beside itself */

/* A whole body. */
struct push {
    struct delta *delta; /* owned by the caller; without ledger, answer and reply. NULL: refused */
    size_t samples;
    uint64_t unwanted;         /* of these, that a rule of mapping drops */
    uint64_t limited;          /* and that are beyond a limit of series */
    enum reject_reason reason; /* why the body was refused; REJECT_NONE */
};

/* When it returns false only `out->reason` says something. */
bool push_parse(struct str body, const struct push_rules *rules, uint64_t arrival, struct push *out,
                struct error *err);
