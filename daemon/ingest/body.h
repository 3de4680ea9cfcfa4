/* What reads the body of one HTTP write and makes a batch of it: one `struct body_format` for each
 * format (influx_body.h, remote_body.h, otlp_body.h, json_body.h, collectd_body.h).
 *
 * Bytes come inflated (http_body.h), in pieces. What cannot be read as a whole is refused as a
 * whole; else good samples are kept and bad ones counted, each with a reason, and the answer says
 * so. No I/O; one thread, the worker's. */
#pragma once

#include "ingest/body_pause.h"
#include "ingest/http_answer.h"
#include "ingest/http_reader.h"
#include "series/batch.h"

enum { BODY_EXAMPLES = 16, BODY_WORDS_SIZE = 160, BODY_DROPS = 4 };

/* What is held is looked at after so many points; a histogram is worth many. */
enum { BODY_LOOK_POINTS = 512, BODY_LOOK_HISTOGRAM = 16 };

struct calendar; /* base/calendar.h */

struct body_request {
    const struct http_head *head;    /* borrowed during `open` alone */
    const struct batch_rules *rules; /* borrowed until `close` */
    size_t line_bytes_max;
    size_t body_bytes_max; /* inflated */
    size_t held_max;       /* what the body may make kpid hold; more is ERROR_FULL. Asked after each
                            * take; a format that makes much of one piece asks on its way too */
    bool skip_single_field;                 /* influx (I11) */
    const char *resource_labels;            /* otlp (ingest.h); as `rules`, and a reload may change
                                               what it says */
    const struct calendar *const *calendar; /* of times without an offset; as `rules`, and a reload
                                               may change it. What it points to may be NULL */
    int64_t now_us;          /* when the request began: of all samples without a time */
    uint64_t *last_arrival;  /* of the thread; grows with each sample */
    struct body_pause pause; /* made every BODY_LOOK_POINTS, and by who reads in other ways */
    struct series_cache
        *cache; /* of the thread, for who takes a body at once; as `rules`; or NULL */
};

/* One of the first samples that were rejected. */
struct body_example {
    uint64_t place; /* of the line or the sample in its body, from 1 on */
    enum reject_reason reason;
    char words[BODY_WORDS_SIZE];
    char example[STR_QUOTED_SIZE]; /* what it looks like: a line, a series; for the log */
    char shown[STR_QUOTED_SIZE];   /* the same for the answer, which quotes by itself */
};

/* The name of a metric of which a sample was dropped, for each reason that a format has. */
struct body_drop {
    enum drop_reason reason;
    char name[METRIC_NAME_MAX];
    size_t name_len;
};

struct body_format;

/* A format's own begins with it. */
struct body {
    const struct body_format *format;
    struct batch *batch; /* NULL once it was taken */
    struct ledger counts;
    uint64_t variant; /* what else than the bytes makes it another batch: a precision */
    enum reject_reason refused_for; /* when it is refused as a whole; REJECT_NONE: by the error */
    struct str id;  /* what the body itself says to be counted once; empty without */
    int until_look; /* points; see body_is_within */
    struct body_pause pause;
    struct body_example examples[BODY_EXAMPLES];
    size_t example_count;
    struct body_drop *drops; /* BODY_DROPS of them; NULL: none */
    size_t drop_count;
};

struct body_format {
    bool has_ids; /* its bodies may set `id` */

    /* NULL, and `answer`: the request is refused before its body is read (415, 400). */
    struct body *(*open)(const struct body_request *request, struct http_answer *answer);
    void (*close)(struct body *body);

    /* False: the body is refused as a whole, ERROR_FULL: as too large, else as malformed. */
    bool (*take)(struct body *body, struct str bytes, struct error *err);
    bool (*end)(struct body *body, struct error *err);

    size_t (*size_bytes)(const struct body *body); /* held, for limits */

    /* After `end`: what the client is told when the batch is stored. */
    void (*verdict)(const struct body *body, struct http_answer *answer);

    /* What it is told when the whole request is refused (err->text goes into it), where the format
     * says more than http_answer_mistake does; else NULL. The answer has its dialect, no counts. */
    void (*refusal)(struct http_answer *answer, unsigned status, struct str words);
};

/* For formats: begins and ends what all have. */
void body_init(struct body *body, const struct body_format *format,
               const struct body_request *request);
void body_fini(struct body *body);

/* Counts a sample that was received and dropped. */
void body_drop(struct body *body, enum drop_reason reason, struct str name);

/* Counts a sample that was received and rejected, with an example while there is room for one. What
 * is beyond a limit of series is dropped instead, as the writer does with it. */
void body_reject(struct body *body, enum reject_reason reason, uint64_t place, struct str example,
                 const char *words);

/* The same; the example is the series of the point, of which nothing else counts. */
void body_reject_point(struct body *body, enum reject_reason reason, uint64_t place,
                       const struct batch_point *point, const char *words);

/* What batch_add_point found wrong, where a format has no words of its own for it. */
const char *body_words_of(enum reject_reason reason);

/* The example alone, for what is counted elsewhere. */
void body_show(struct body *body, enum reject_reason reason, uint64_t place, struct str example,
               const char *words);

uint64_t body_rejected(const struct body *body); /* of all reasons */

/* For the verdict: "2 of 5 data points rejected (bad_histogram 2), the others are taken; point 3,
 * '...': why". One at least was rejected. */
struct body_tally {
    uint64_t rejected, received;
    const char *many, *one; /* "data points", "point" */
};
void body_word_mistakes(const struct body *body, const struct body_tally *tally, struct buf *out);

bool body_looks_within(struct body *body, size_t held_max,
                       struct error *err); /* for body_is_within alone */

/* A few bytes may stand for many. A format of which this is so takes what it adds off `until_look`
 * and asks on its way; false, ERROR_FULL, when more is held. Makes pauses. */
static inline bool body_is_within(struct body *body, size_t held_max, struct error *err)
{
    return body->until_look > 0 || body_looks_within(body, held_max, err);
}
