/* Answers of ingest HTTP: words that a client can use, in the form its protocol has (I22, I23, P7,
 * P8, O3 to O5). */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "series/ledger.h"

/* How things are said; the Content-Type follows from it. */
enum http_dialect {
    HTTP_INFLUX_1,      /* {"error":"..."} and X-Influxdb-Error */
    HTTP_INFLUX_2,      /* {"code":"invalid","message":"..."} */
    HTTP_PLAIN,         /* Prometheus: the words as they are */
    HTTP_OTLP_PROTOBUF, /* ExportMetricsServiceResponse and google.rpc.Status */
    HTTP_OTLP_JSON,     /* the same in JSON */
    HTTP_PUSH,          /* {"stored":1}, with "dropped" when that is not 0, and {"error":"..."}, or
                         * both */
    HTTP_DIALECT_COUNT,
};

/* What became of a body, where the dialect has a place for it. */
struct http_counts {
    uint64_t samples, histograms, exemplars; /* stored */
    uint64_t rejected;
    uint64_t dropped; /* of InfluxDB its bad lines too */
};

struct http_answer {
    unsigned status;
    enum http_dialect dialect;
    bool says_written; /* X-Prometheus-Remote-Write-...-Written, whatever the status is (P7) */
    struct http_counts counts;
    const char *allow;      /* the header, of a 405 and of OPTIONS; NULL without */
    unsigned retry_after_s; /* 0 without */
    struct buf words;       /* what is wrong */
    struct buf body;        /* may be empty */
    struct buf list;        /* as http_answer_mistake was given it */
};

#define HTTP_ANSWER_EMPTY                                                                          \
    {                                                                                              \
        0                                                                                          \
    }

void http_answer_fini(struct http_answer *answer);

/* What the answer held before is gone; its dialect, counts and says_written stay. */

/* All is well, or so says the protocol: 204, of a push and of OTLP 200 with a body. OTLP's is a
 * partial success when counts.rejected is not 0 or there are words (O4); a push's has the words too
 * when something of it was rejected. */
void http_answer_stored(struct http_answer *answer, struct str words);

/* What the counts of an answer call stored and what was dropped after all, in the words of its
 * protocol: a push says all of it, remote write what is left (P7), with a mistake too; of OTLP they
 * are rejected points (O4), and InfluxDB calls it a partial write. For these three a duplicate is
 * as good as stored, so that a resend is answered as the first time. `limited` more were dropped
 * before, as beyond a limit of series: a push has counted them, and remote write does not call them
 * stored. */
void http_answer_drop(struct http_answer *answer, const struct ledger_drops *drops,
                      uint64_t limited);

/* An answer that says what is wrong; `list` is JSON for the key "lines" of the JSON dialects but
 * OTLP's, empty without. */
void http_answer_mistake(struct http_answer *answer, unsigned status, struct str words,
                         struct str list);
__attribute__((format(printf, 3, 4))) void http_answer_set(struct http_answer *answer,
                                                           unsigned status, const char *format,
                                                           ...);

/* 503 or 429 with Retry-After: kpid has no room, or the client takes more than its part. */
enum { HTTP_RETRY_AFTER_S = 2 };
void http_answer_busy(struct http_answer *answer, unsigned status, const char *words);

/* The whole response. `head_only`: the request was a HEAD. */
struct http_answer_form {
    bool keep_alive;
    bool head_only;
    wall_ms now;
    uint64_t request_id;
};
void http_answer_format(const struct http_answer *answer, const struct http_answer_form *form,
                        struct buf *out);

/* What is kept with an Idempotency-Key: not the body, which is made again out of the rest, without
 * a list, and of the words the first HTTP_KEPT_WORDS bytes.
 *
 *   u8 0, u8 dialect, u8 flags (1: it says what was written, 2: some was dropped), u32 status,
 * varint samples, histograms, exemplars, rejected, with the second flag dropped, block words before
 * that form: u16 status, u8 dialect, block words, block body */
enum { HTTP_KEPT_WORDS = 256 };
void http_answer_encode(const struct http_answer *answer, struct buf *out);
bool http_answer_decode(struct str bytes, struct http_answer *out);
