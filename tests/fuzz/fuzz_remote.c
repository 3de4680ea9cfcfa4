/* Any bytes as the body of a remote write of either version: the ledger balances, and what is
 * stored is such as may be stored; with a cache it is the same, whatever the cache knows. The first
 * byte says which version. */
#include "fuzz_points.h"
#include "ingest/remote_body.h"
#include "ingest/remote_types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_points(const struct delta *delta)
{
    require_points(delta);
    for (size_t i = 0; i < delta->point_count; i++) {
        const struct delta_point *point = &delta->points[i];
        require(point->tally != NULL || point->form == POINT_LEVEL || point->value >= 0);
    }
}

/* What became of it goes to `out`. */
static void check(struct body *body, struct buf *out)
{
    struct http_answer answer = {.dialect = HTTP_PLAIN};
    uint64_t dropped =
        body->counts.dropped[DROP_stale_marker] + body->counts.dropped[DROP_not_finite];

    require(ledger_balances(&body->counts));
    REMOTE_BODY_FORMAT.verdict(body, &answer);
    require(answer.status == (body_rejected(body) == 0 ? 204 : 400));
    require(answer.counts.samples + answer.counts.histograms == body->counts.stored + dropped);
    buf_str(out, buf_view(&answer.words));
    http_answer_fini(&answer);
    struct delta *delta = batch_take(body->batch);
    body->batch = NULL;
    check_points(delta);
    describe_delta(out, delta);
    buf_append(out, &body->counts, sizeof body->counts);
    delta_free(delta);
}

static void take(const uint8_t *data, size_t size, struct series_cache *cache, struct buf *out)
{
    const struct http_head head = {
        .encoding = HTTP_SNAPPY,
        .content_type = data[0] % 2 == 1
                            ? STR("application/x-protobuf")
                            : STR("application/x-protobuf;proto=io.prometheus.write.v2.Request")};
    uint64_t arrival = 0;
    const struct body_request request = {.head = &head,
                                         .rules = &RULES,
                                         .body_bytes_max = 64 * 1024,
                                         .now_us = NOW * 1000,
                                         .last_arrival = &arrival,
                                         .cache = cache};
    struct http_answer answer = HTTP_ANSWER_EMPTY;
    struct error err = ERROR_EMPTY;
    struct body *body = REMOTE_BODY_FORMAT.open(&request, &answer);

    require(body != NULL);
    buf_clear(out);
    if (REMOTE_BODY_FORMAT.take(body, (struct str){(const char *)data + 1, size - 1}, &err) &&
        REMOTE_BODY_FORMAT.end(body, &err))
        check(body, out);
    else
        require(err.kind == ERROR_INVALID || err.kind == ERROR_FULL);
    buf_text(out, err.text);
    require(REMOTE_BODY_FORMAT.size_bytes(body) < 4 * 1024 * 1024);
    REMOTE_BODY_FORMAT.close(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct series_cache *cache;
    struct buf without = BUF_EMPTY;
    struct buf with = BUF_EMPTY;

    if (size == 0)
        return 0;
    if (cache == NULL)
        cache = series_cache_new(RULES.seed, CACHE_BYTES);
    take(data, size, NULL, &without);
    for (int i = 0; i < 2; i++) {
        take(data, size, cache, &with);
        require(str_equal(buf_view(&without), buf_view(&with)));
    }
    buf_fini(&without);
    buf_fini(&with);
    remote_types_forget();
    return 0;
}
