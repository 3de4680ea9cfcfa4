/* A body of OTLP, taken, and what became of it as text. */
#pragma once

#include "ingest/otlp_body.h"
#include "remote_fixture.h" /* describe_point, RULES */

struct otlp {
    struct body *body; /* NULL: refused at once */
    struct http_answer answer;
    struct error err;
    uint64_t arrival;
    struct delta *delta; /* after otlp_points */
};

static const char *otlp_resource_labels; /* of the listener; NULL: the usual ones */

static inline bool otlp_open_as(struct otlp *otlp, const char *content_type,
                                const struct batch_rules *rules)
{
    const struct http_head head = {.content_type = str_of(content_type)};
    const struct body_request request = {.head = &head,
                                         .rules = rules,
                                         .body_bytes_max = 1024 * 1024,
                                         .held_max = 64 * 1024 * 1024,
                                         .resource_labels = otlp_resource_labels,
                                         .now_us = NOW * 1000,
                                         .last_arrival = &otlp->arrival,
                                         .cache = rules == &RULES ? fixture_cache : NULL};
    bool is_json = strstr(content_type, "json") != NULL;

    *otlp = (struct otlp){.answer = {.dialect = is_json ? HTTP_OTLP_JSON : HTTP_OTLP_PROTOBUF}};
    otlp->body = OTLP_BODY_FORMAT.open(&request, &otlp->answer);
    return otlp->body != NULL;
}

/* In pieces of so many bytes. */
static inline bool otlp_take_pieces(struct otlp *otlp, struct str bytes, size_t piece)
{
    bool ok = true;
    for (size_t at = 0; ok && at < bytes.len; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        ok = OTLP_BODY_FORMAT.take(otlp->body, (struct str){bytes.text + at, len}, &otlp->err);
    }
    ok = ok && OTLP_BODY_FORMAT.end(otlp->body, &otlp->err);
    if (ok)
        OTLP_BODY_FORMAT.verdict(otlp->body, &otlp->answer);
    return ok;
}

static inline bool otlp_take_as(struct otlp *otlp, bool is_json, struct str bytes)
{
    return otlp_open_as(otlp, is_json ? "application/json" : "application/x-protobuf", &RULES) &&
           otlp_take_pieces(otlp, bytes, bytes.len + 1);
}

static inline void otlp_fini(struct otlp *otlp)
{
    if (otlp->body != NULL)
        OTLP_BODY_FORMAT.close(otlp->body);
    delta_free(otlp->delta);
    http_answer_fini(&otlp->answer);
}

/* A line for each point; the caller frees it. */
static inline char *otlp_points(struct otlp *otlp)
{
    struct buf out = BUF_EMPTY;

    otlp->delta = batch_take(otlp->body->batch);
    otlp->body->batch = NULL;
    for (size_t i = 0; i < otlp->delta->point_count; i++)
        describe_point(&out, otlp->delta, &otlp->delta->points[i]);
    return buf_take_text(&out);
}
