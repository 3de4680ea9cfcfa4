/* Answers of ingest HTTP: words that a client can use, in the form its protocol has (I22, I23). */
#pragma once

#include "base/buf.h"
#include "base/clock.h"

/* How mistakes are worded. */
enum http_dialect {
    HTTP_INFLUX_1, /* {"error":"..."} and X-Influxdb-Error */
    HTTP_INFLUX_2, /* {"code":"invalid","message":"..."} */
};

struct http_answer {
    unsigned status;
    enum http_dialect dialect;
    const char *allow;      /* the header, of a 405 and of OPTIONS; NULL without */
    unsigned retry_after_s; /* 0 without */
    struct buf words;       /* what is wrong; goes into X-Influxdb-Error */
    struct buf body;        /* JSON; may be empty */
};

#define HTTP_ANSWER_EMPTY                                                                          \
    {                                                                                              \
        0                                                                                          \
    }

void http_answer_fini(struct http_answer *answer);

/* An answer that says what is wrong; `list` is JSON for the key "lines", empty without. What the
 * answer held before is gone; its dialect stays. */
void http_answer_mistake(struct http_answer *answer, unsigned status, struct str words,
                         struct str list);
__attribute__((format(printf, 3, 4))) void http_answer_set(struct http_answer *answer,
                                                           unsigned status, const char *format,
                                                           ...);

/* 503 with Retry-After. */
void http_answer_busy(struct http_answer *answer, const char *words);

/* The whole response. `head_only`: the request was a HEAD. */
struct http_answer_form {
    bool keep_alive;
    bool head_only;
    wall_ms now;
    uint64_t request_id;
};
void http_answer_format(const struct http_answer *answer, const struct http_answer_form *form,
                        struct buf *out);

/* What is kept with an Idempotency-Key: u16 status, u8 dialect, block words, block body. */
void http_answer_encode(const struct http_answer *answer, struct buf *out);
bool http_answer_decode(struct str bytes, struct http_answer *out);
