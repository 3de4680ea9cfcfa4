/* Native histograms of remote write (P17): what is stored of them, and which are not. */
#include "ingest/remote_histogram.h"
#include "remote_fixture.h"
#include "test.h"

static void put_span(struct buf *histogram, unsigned field, int64_t offset, uint64_t length)
{
    struct buf span = BUF_EMPTY;
    put_signed(&span, 1, offset);
    put_number(&span, 2, length);
    put_message(histogram, field, &span);
    buf_fini(&span);
}

static void put_deltas(struct buf *histogram, unsigned field, const char *text)
{
    struct buf packed = BUF_EMPTY;
    struct str rest = str_of(text);
    while (rest.len > 0) {
        int64_t delta = 0;
        assert_true(str_parse_i64(str_split(&rest, ' '), &delta));
        buf_varint(&packed, (uint64_t)delta << 1 ^ (uint64_t)(delta >> 63));
    }
    put_message(histogram, field, &packed);
    buf_fini(&packed);
}

/* A request of 2.0 with one histogram; `histogram` is empty afterwards. */
static void put_histogram(struct buf *request, struct buf *histogram)
{
    struct symbols symbols = {.count = 0};
    struct buf series = BUF_EMPTY;

    put_references(&symbols, &series, "__name__=t,job=x");
    put_message(&series, 3, histogram);
    put_message(request, 5, &series);
    finish_2(request, &symbols);
    buf_fini(&series);
}

static void histogram_is(struct remote *remote, double q, double expected, double error)
{
    struct cell cell = CELL_EMPTY;
    const struct delta_point *point = &remote->delta->points[0];
    double value = 0;

    tally_cell(point->tally, point->at, 1, &cell);
    assert_non_null(cell.histogram);
    assert_true(
        histogram_quantile(cell.histogram, q, cell.aggregate.min, cell.aggregate.max, &value));
    if (fabs(value - expected) > error)
        fail_msg("quantile %g is %g, not %g", q, value, expected);
    cell_fini(&cell);
}

static void P17_an_integer_histogram_is_a_point_of_a_distribution(void **state)
{
    (void)state;
    struct buf request = BUF_EMPTY;
    struct buf histogram = BUF_EMPTY;
    struct remote remote;

    /* schema 0: bucket 0 is (0.5, 1], 1 is (1, 2], 4 is (8, 16] */
    put_number(&histogram, 1, 10);
    put_double(&histogram, 3, 50);
    put_signed(&histogram, 4, 0);
    put_double(&histogram, 5, 1e-100);
    put_number(&histogram, 6, 1);
    put_span(&histogram, 11, 0, 2);
    put_span(&histogram, 11, 2, 1);
    put_deltas(&histogram, 12, "2 1 -2"); /* 2, 3, 1 */
    put_span(&histogram, 8, 1, 1);
    put_deltas(&histogram, 9, "3");
    put_number(&histogram, 15, (uint64_t)NOW);
    put_number(&histogram, 17, (uint64_t)NOW - 60000);
    put_histogram(&request, &histogram);
    assert_true(remote_take_as(&remote, 2, buf_view(&request)));
    assert_int_equal(remote.answer.status, 204);
    assert_true(remote.answer.counts.histograms == 1 && remote.answer.counts.samples == 0);
    char *points = remote_points(&remote);
    assert_string_equal(points, "distribution t{job=\"x\"} up to 10 values, +0 since -60000\n");
    free(points);
    histogram_is(&remote, 0.1, -1.5, 0.5);   /* 3 in [-2, -1) */
    histogram_is(&remote, 0.35, 0, 1e-9);    /* 1 zero */
    histogram_is(&remote, 0.55, 0.75, 0.25); /* 2 in (0.5, 1] */
    histogram_is(&remote, 0.85, 1.5, 0.5);   /* 3 in (1, 2] */
    histogram_is(&remote, 1, 12, 4);         /* 1 in (8, 16] */
    remote_fini(&remote);
    buf_fini(&histogram);
    buf_fini(&request);
}

static void P17_custom_buckets_keep_their_bounds(void **state)
{
    (void)state;
    struct buf request = BUF_EMPTY;
    struct buf histogram = BUF_EMPTY;
    struct buf bounds = BUF_EMPTY;
    struct remote remote;

    put_number(&histogram, 1, 6);
    put_double(&histogram, 3, 30);
    put_signed(&histogram, 4, -53);
    put_span(&histogram, 11, 1, 1);
    put_span(&histogram, 11, 1, 1); /* the bucket above the last bound */
    put_deltas(&histogram, 12, "4 -2");
    put_number(&histogram, 15, (uint64_t)NOW);
    buf_double(&bounds, 1);
    buf_double(&bounds, 5);
    put_message(&histogram, 16, &bounds);
    put_double(&histogram, 16, 10); /* the third one by itself */
    put_histogram(&request, &histogram);
    assert_true(remote_take_as(&remote, 2, buf_view(&request)));
    assert_int_equal(remote.answer.status, 204);
    char *points = remote_points(&remote);
    assert_string_equal(points, "distribution t{job=\"x\"} up to 6 values, +0\n");
    free(points);
    struct cell cell = CELL_EMPTY;
    tally_cell(remote.delta->points[0].tally, NOW, 1, &cell);
    const struct bounded *bounded = histogram_bounded(cell.histogram);
    assert_non_null(bounded);
    assert_int_equal(bounded_bound_count(bounded), 3);
    assert_true(bounded_bounds(bounded)[2] == 10);
    assert_true(bounded_weight_at_most(bounded, 1) == 0);
    assert_true(bounded_weight_at_most(bounded, 5) == 4 * UINT64_C(65536));
    assert_true(bounded_weight_at_most(bounded, 10) == 4 * UINT64_C(65536));
    assert_true(bounded_count(bounded) == 6 * UINT64_C(65536));
    cell_fini(&cell);
    remote_fini(&remote);
    buf_fini(&bounds);
    buf_fini(&histogram);
    buf_fini(&request);
}

struct histogram_case {
    const char *what;
    uint64_t count;
    double sum;
    int64_t schema;
    uint64_t zeros;
    int64_t offset;
    uint64_t length;
    const char *deltas;
    uint64_t hint;
    const char *bounds; /* of schema -53 */
    enum reject_reason reason;
};

static void put_histogram_case(struct buf *request, const struct histogram_case *one)
{
    struct buf histogram = BUF_EMPTY;
    struct str rest = str_of(one->bounds);

    put_number(&histogram, 1, one->count);
    put_double(&histogram, 3, one->sum);
    put_signed(&histogram, 4, one->schema);
    put_number(&histogram, 6, one->zeros);
    put_span(&histogram, 11, one->offset, one->length);
    put_deltas(&histogram, 12, one->deltas);
    put_number(&histogram, 14, one->hint);
    put_number(&histogram, 15, (uint64_t)NOW);
    while (rest.len > 0) {
        struct str text = str_split(&rest, ' ');
        double bound = INFINITY;
        (void)str_parse_double(text, &bound);
        put_double(&histogram, 16, bound);
    }
    put_histogram(request, &histogram);
    buf_fini(&histogram);
}

static void P17_histograms_that_can_be_stored_and_that_cannot(void **state)
{
    (void)state;
    static const struct histogram_case cases[] = {
        {"empty", 0, 0, 3, 0, 0, 0, "", 0, "", REJECT_NONE},
        {"the coarsest", 2, 3, -4, 0, 0, 1, "2", 0, "", REJECT_NONE},
        {"the finest", 2, 3, 8, 0, 100, 1, "2", 0, "", REJECT_NONE},
        {"very wide", 2, 3, 8, 0, -270000, 1, "2", 0, "", REJECT_NONE},
        {"NaN observed", 3, NAN, 0, 0, 0, 1, "2", 0, "", REJECT_NONE},
        {"infinity observed", 2, INFINITY, 0, 0, 1025, 1, "2", 0, "", REJECT_NONE},
        {"after a reset", 2, 3, 0, 0, 0, 1, "2", 1, "", REJECT_NONE},
        {"a gauge", 2, 3, 0, 0, 0, 1, "2", 3, "", REJECT_unsupported},
        {"schema 9", 2, 3, 9, 0, 0, 1, "2", 0, "", REJECT_unsupported},
        {"schema -5", 2, 3, -5, 0, 0, 1, "2", 0, "", REJECT_unsupported},
        {"a low count", 1, 3, 0, 0, 0, 1, "2", 0, "", REJECT_bad_histogram},
        {"a high count", 3, 3, 0, 0, 0, 1, "2", 0, "", REJECT_bad_histogram},
        {"a low count and NaN", 1, NAN, 0, 0, 0, 1, "2", 0, "", REJECT_bad_histogram},
        {"a span too long", 2, 3, 0, 0, 0, 2, "2", 0, "", REJECT_bad_histogram},
        {"a span too short", 4, 3, 0, 0, 0, 1, "2 0", 0, "", REJECT_bad_histogram},
        {"an endless span", 2, 3, 0, 0, 0, UINT32_MAX, "2", 0, "", REJECT_bad_histogram},
        {"a negative count", 0, 3, 0, 0, 0, 2, "2 -3", 0, "", REJECT_bad_histogram},
        {"no number is there", 2, 3, 0, 0, 1026, 1, "2", 0, "", REJECT_bad_histogram},
        {"nor there", 2, 3, 0, 0, -1080, 1, "2", 0, "", REJECT_bad_histogram},
        {"far away", 2, 3, 8, 0, INT32_MAX, 1, "2", 0, "", REJECT_bad_histogram},
        {"too many", 0, 3, 0, 0, 0, 3, "9223372036854775807 0 0", 0, "", REJECT_bad_histogram},
        {"overflow", 0, 3, 0, 0, 0, 2, "9223372036854775807 1", 0, "", REJECT_bad_histogram},
        {"more than a cell counts", INT64_MAX, 3, 0, 0, 0, 1, "9223372036854775807", 0, "",
         REJECT_bad_histogram},
        {"custom", 2, 3, -53, 0, 2, 1, "2", 0, "1 2", REJECT_NONE},
        {"custom without bounds", 2, 3, -53, 0, 0, 1, "2", 0, "", REJECT_NONE},
        {"custom, above the bounds", 2, 3, -53, 0, 3, 1, "2", 0, "1 2", REJECT_bad_histogram},
        {"custom, below them", 2, 3, -53, 0, -1, 1, "2", 0, "1 2", REJECT_bad_histogram},
        {"custom with zeros", 2, 3, -53, 1, 0, 1, "1", 0, "1 2", REJECT_bad_histogram},
        {"custom not growing", 2, 3, -53, 0, 0, 1, "2", 0, "1 1", REJECT_bad_histogram},
        {"custom infinite", 2, 3, -53, 0, 0, 1, "2", 0, "1 inf", REJECT_bad_histogram},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        const struct histogram_case *one = &cases[i];
        struct buf request = BUF_EMPTY;
        struct remote remote;

        put_histogram_case(&request, one);
        assert_true(remote_take_as(&remote, 2, buf_view(&request)));
        const struct ledger *counts = &remote.body->counts;
        bool is_good = one->reason == REJECT_NONE;
        if (counts->received != 1 || counts->stored != is_good ||
            (!is_good && counts->rejected[one->reason] != 1))
            fail_msg("%s", one->what);
        assert_int_equal(remote.answer.status, is_good ? 204 : 400);
        assert_true(remote.answer.counts.histograms == is_good);
        remote_fini(&remote);
        buf_fini(&request);
    }
}

static void P17_histograms_of_floats_are_rejected_and_counted(void **state)
{
    (void)state;
    struct buf request = BUF_EMPTY;
    struct buf histogram = BUF_EMPTY;
    struct buf counts = BUF_EMPTY;
    struct remote remote;

    put_double(&histogram, 2, 2.5);
    put_double(&histogram, 3, 3);
    put_double(&histogram, 7, 0);
    put_span(&histogram, 11, 0, 1);
    buf_double(&counts, 2.5);
    put_message(&histogram, 13, &counts);
    put_number(&histogram, 15, (uint64_t)NOW);
    put_histogram(&request, &histogram);
    assert_true(remote_take_as(&remote, 2, buf_view(&request)));
    assert_int_equal(remote.answer.status, 400);
    assert_true(remote.body->counts.rejected[REJECT_unsupported] == 1);
    assert_true(remote.answer.counts.histograms == 0);
    remote_fini(&remote);
    buf_fini(&counts);
    buf_fini(&histogram);
    buf_fini(&request);
}

static void P11_a_stale_histogram_is_a_marker(void **state)
{
    (void)state;
    for (unsigned field = 1; field <= 2; field++) { /* of integers, of floats */
        struct buf request = BUF_EMPTY;
        struct buf histogram = BUF_EMPTY;
        struct remote remote;

        if (field == 1)
            put_number(&histogram, 1, 0);
        else
            put_double(&histogram, 2, 0);
        put_bits(&histogram, 3, UINT64_C(0x7ff0000000000002));
        put_number(&histogram, 15, (uint64_t)NOW);
        put_histogram(&request, &histogram);
        assert_true(remote_take_as(&remote, 2, buf_view(&request)));
        assert_int_equal(remote.answer.status, 204);
        assert_true(remote.body->counts.dropped[DROP_stale_marker] == 1);
        assert_true(remote.answer.counts.histograms == 1);
        remote_fini(&remote);
        buf_fini(&histogram);
        buf_fini(&request);
    }
}

static void P17_too_many_spans_buckets_or_bounds_are_rejected(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 3; which++) {
        struct buf request = BUF_EMPTY;
        struct buf histogram = BUF_EMPTY;
        struct remote remote;

        for (unsigned i = 0; i <= REMOTE_SPANS_MAX && which == 0; i++)
            put_span(&histogram, 11, 0, 0);
        for (unsigned i = 0; i <= REMOTE_BUCKETS_MAX && which == 1; i++)
            put_number(&histogram, 12, 0);
        for (unsigned i = 0; i <= BOUNDED_BOUNDS_MAX && which == 2; i++)
            put_double(&histogram, 16, i);
        put_number(&histogram, 15, (uint64_t)NOW);
        put_histogram(&request, &histogram);
        assert_true(remote_take_as(&remote, 2, buf_view(&request)));
        assert_true(remote.body->counts.rejected[REJECT_bad_histogram] == 1);
        remote_fini(&remote);
        buf_fini(&histogram);
        buf_fini(&request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P17_an_integer_histogram_is_a_point_of_a_distribution),
        cmocka_unit_test(P17_custom_buckets_keep_their_bounds),
        cmocka_unit_test(P17_histograms_that_can_be_stored_and_that_cannot),
        cmocka_unit_test(P17_histograms_of_floats_are_rejected_and_counted),
        cmocka_unit_test(P11_a_stale_histogram_is_a_marker),
        cmocka_unit_test(P17_too_many_spans_buckets_or_bounds_are_rejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
