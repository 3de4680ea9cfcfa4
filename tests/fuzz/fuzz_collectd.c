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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct fuzz_request request = {&COLLECTD_BODY_FORMAT, "application/json",
                                                HTTP_PUSH, HELD_MAX, NULL};
    struct buf whole = BUF_EMPTY;
    struct buf pieces = BUF_EMPTY;
    struct str bytes = {(const char *)data, size};

    (void)take_body(&request, bytes, size + 1, check_taken, &whole);
    (void)take_body(&request, bytes, 7, check_taken, &pieces);
    require(str_equal(buf_view(&whole), buf_view(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
