/* A body of remote write, taken, and what became of it as text. */
#pragma once

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "ingest/remote_body.h"
#include "ingest/remote_types.h"
#include "remote_message.h"
#include "series/tally.h"

/* 2026-10-12T07:00:30Z. */
#define NOW INT64_C(1791788430000)

static const struct batch_rules RULES = {
    .series_max = 20000, .max_future = MS_PER_HOUR, .max_past = MS_PER_DAY, .seed = 42};

/* As a listener's thread has one, for bodies with these rules; NULL: none. */
static struct series_cache *fixture_cache;

struct remote {
    struct body *body; /* NULL: refused at once */
    struct http_answer answer;
    struct error err;
    uint64_t arrival;
    struct delta *delta; /* after remote_points */
};

static inline bool remote_open_as(struct remote *remote, const char *content_type,
                                  const struct batch_rules *rules)
{
    const struct http_head head = {.encoding = HTTP_SNAPPY, .content_type = str_of(content_type)};
    const struct body_request request = {.head = &head,
                                         .rules = rules,
                                         .body_bytes_max = 1024 * 1024,
                                         .now_us = NOW * 1000,
                                         .last_arrival = &remote->arrival,
                                         .cache = rules == &RULES ? fixture_cache : NULL};

    *remote = (struct remote){.answer = {.dialect = HTTP_PLAIN}};
    remote->body = REMOTE_BODY_FORMAT.open(&request, &remote->answer);
    return remote->body != NULL;
}

/* From a copy of its own, so that the sanitizer sees its end. */
static inline bool remote_take_bytes(struct remote *remote, struct str bytes)
{
    char *exact = bytes.len == 0 ? NULL : memory_alloc(bytes.len);
    if (exact != NULL)
        memcpy(exact, bytes.text, bytes.len);
    bool ok = REMOTE_BODY_FORMAT.take(remote->body, (struct str){exact, bytes.len}, &remote->err) &&
              REMOTE_BODY_FORMAT.end(remote->body, &remote->err);
    free(exact);
    if (ok)
        REMOTE_BODY_FORMAT.verdict(remote->body, &remote->answer);
    return ok;
}

#define REMOTE_1 "application/x-protobuf"
#define REMOTE_2 "application/x-protobuf;proto=io.prometheus.write.v2.Request"

static inline bool remote_take_as(struct remote *remote, unsigned version, struct str bytes)
{
    return remote_open_as(remote, version == 1 ? REMOTE_1 : REMOTE_2, &RULES) &&
           remote_take_bytes(remote, bytes);
}

static inline void remote_fini(struct remote *remote)
{
    if (remote->body != NULL)
        REMOTE_BODY_FORMAT.close(remote->body);
    delta_free(remote->delta);
    http_answer_fini(&remote->answer);
}

static inline void describe_point(struct buf *out, const struct delta *delta,
                                  const struct delta_point *point)
{
    static const char *const forms[] = {"up to", "more by", "at"};
    struct str key = delta->series[point->series].key;
    struct buf text = BUF_EMPTY;

    series_key_format(&text, key);
    buf_printf(out, "%s %.*s %s ", metric_kind_name(series_key_kind(key)),
               STR_ARGS(buf_view(&text)), forms[point->form]);
    buf_fini(&text);
    if (point->tally == NULL) {
        buf_printf(out, "%.17g", point->value);
    } else {
        struct cell cell = CELL_EMPTY;
        tally_cell(point->tally, point->at, 1, &cell);
        buf_printf(out, "%llu values", (unsigned long long)(cell.aggregate.count >> 16));
        cell_fini(&cell);
    }
    buf_printf(out, ", %+lld", (long long)(point->at - NOW));
    if (point->start != WALL_NONE)
        buf_printf(out, " since %+lld", (long long)(point->start - NOW));
    buf_char(out, '\n');
}

/* A line for each point; the caller frees it. */
static inline char *remote_points(struct remote *remote)
{
    struct buf out = BUF_EMPTY;

    remote->delta = batch_take(remote->body->batch);
    remote->body->batch = NULL;
    for (size_t i = 0; i < remote->delta->point_count; i++)
        describe_point(&out, remote->delta, &remote->delta->points[i]);
    return buf_take_text(&out);
}

/* Runs tests without a cache, with one that fills, and with that again; with one that is full. */
#define RUN_WITH_AND_WITHOUT_CACHE(tests, failed)                                                  \
    do {                                                                                           \
        (failed) = cmocka_run_group_tests_name("without a cache", tests, NULL, NULL);              \
        fixture_cache = series_cache_new(RULES.seed, 1 << 20);                                     \
        (failed) += cmocka_run_group_tests_name("with a cache", tests, NULL, NULL);                \
        (failed) += cmocka_run_group_tests_name("with a cache again", tests, NULL, NULL);          \
        series_cache_free(fixture_cache);                                                          \
        fixture_cache = series_cache_new(RULES.seed, 4096);                                        \
        (failed) += cmocka_run_group_tests_name("with a small cache", tests, NULL, NULL);          \
        series_cache_free(fixture_cache);                                                          \
    } while (0)
