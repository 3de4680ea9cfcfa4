/* Any bytes as the body of collectd's write_http: refused with words, or the ledger balances and
 * what is stored is such as may be stored; the same in any pieces. */
#include "fuzz_points.h"
#include "ingest/collectd_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HELD_MAX = 1024 * 1024 };

static void check_points(const struct delta *delta)
{
    require_points(delta);
    for (size_t i = 0; i < delta->point_count; i++) {
        const struct delta_point *point = &delta->points[i];
        enum metric_kind kind = series_key_kind(delta->series[point->series].key);
        require(point->start == WALL_NONE && point->tally == NULL);
        require(kind == METRIC_GAUGE || kind == METRIC_COUNTER);
    }
}

static void check_taken(struct body *body, struct http_answer *answer, struct buf *out)
{
    uint64_t rejected = body_rejected(body);
    bool is_all = rejected > 0 && rejected == body->counts.received;

    require(ledger_balances(&body->counts));
    COLLECTD_BODY_FORMAT.verdict(body, answer);
    require(answer->status == (is_all ? 400 : 200));
    require((rejected > 0) == (answer->words.len > 0));
    require((rejected > 0) == (body->example_count > 0));
    struct delta *delta = batch_take(body->batch);
    body->batch = NULL;
    check_points(delta);
    buf_printf(out, "%zu %zu ", delta->series_count, delta->point_count);
    buf_str(out, buf_view(&answer->body));
    delta_free(delta);
}

/* What became of a body, as bytes to compare. */
static void take(struct str bytes, size_t piece, struct buf *out)
{
    const struct http_head head = {.content_type = STR("application/json")};
    uint64_t arrival = 0;
    const struct body_request request = {.head = &head,
                                         .rules = &RULES,
                                         .body_bytes_max = 64 * 1024,
                                         .held_max = HELD_MAX,
                                         .now_us = NOW * 1000,
                                         .last_arrival = &arrival};
    struct http_answer answer = {.dialect = HTTP_PUSH};
    struct error err = ERROR_EMPTY;
    struct body *body = COLLECTD_BODY_FORMAT.open(&request, &answer);
    bool ok = true;

    require(body != NULL);
    for (size_t at = 0; ok && at < bytes.len; at += piece) {
        size_t len = bytes.len - at < piece ? bytes.len - at : piece;
        ok = COLLECTD_BODY_FORMAT.take(body, (struct str){bytes.text + at, len}, &err);
    }
    ok = ok && COLLECTD_BODY_FORMAT.end(body, &err);
    if (ok) {
        check_taken(body, &answer, out);
    } else {
        require(err.text[0] != '\0' && (err.kind == ERROR_INVALID || err.kind == ERROR_FULL));
        buf_text(out, err.text);
    }
    require(COLLECTD_BODY_FORMAT.size_bytes(body) < 2 * HELD_MAX);
    COLLECTD_BODY_FORMAT.close(body);
    http_answer_fini(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole = BUF_EMPTY;
    struct buf pieces = BUF_EMPTY;
    struct str bytes = {(const char *)data, size};

    take(bytes, size + 1, &whole);
    take(bytes, 7, &pieces);
    require(str_equal(buf_view(&whole), buf_view(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
