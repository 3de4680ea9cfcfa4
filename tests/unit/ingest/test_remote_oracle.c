/* Remote write beside protobuf-c: random requests, whole and damaged, give the same samples however
 * they are read. What protobuf-c has unpacked is interpreted here again, slowly and simply. */
#include <stdio.h>

#include "remote_fixture.h"
#include "remote_write_1.pb-c.h"
#include "remote_write_2.pb-c.h"
#include "series/random.h"
#include "test.h"

enum { REQUESTS = 300, DAMAGED = 40, SERIES_MAX = 6, INDEX_MAX = 4096 };

static uint64_t random_state = 4;
static struct series_cache *cache;

static uint64_t below(uint64_t limit)
{
    return random_below(&random_state, limit);
}

/* --- what is expected ------------------------------------------------------------------------- */

struct expected {
    struct buf points;
    uint64_t received, stored, dropped;
};

/* One series as protobuf-c has it, whatever the version. */
struct one_series {
    struct label labels[128];
    size_t label_count;
    bool is_wrong;
    enum remote_type type;
    struct str name;
};

static bool is_stored_text(struct str text)
{
    return str_is_utf8(text) && (text.len == 0 || memchr(text.text, 1, text.len) == NULL);
}

static int compare_labels(const void *a, const void *b)
{
    return str_compare(((const struct label *)a)->name, ((const struct label *)b)->name);
}

/* Takes __name__ out, sorts the rest, finds what cannot be stored. */
static void tidy(struct one_series *series, char *le)
{
    size_t kept = 0;

    for (size_t i = 0; i < series->label_count; i++) {
        struct label label = series->labels[i];
        if (label.value.len == 0 && label.name.len > 0)
            continue;
        if (!is_stored_text(label.name) || !is_stored_text(label.value) || label.name.len == 0)
            series->is_wrong = true;
        if (!str_is(label.name, "__name__"))
            series->labels[kept++] = label;
        else if (series->name.len == 0)
            series->name = label.value;
        else
            series->is_wrong = true;
    }
    series->label_count = kept;
    qsort(series->labels, kept, sizeof series->labels[0], compare_labels);
    for (size_t i = 0; i < kept; i++) {
        double bound = 0;
        struct str *value = &series->labels[i].value;
        if (i > 0 && str_equal(series->labels[i - 1].name, series->labels[i].name))
            series->is_wrong = true;
        if (str_is(series->labels[i].name, "le") && series->name.len > 7 &&
            memcmp(series->name.text + series->name.len - 7, "_bucket", 7) == 0 &&
            str_parse_double(*value, &bound))
            *value = (struct str){le, str_format_double(bound + 0.0, le)};
    }
    if (series->name.len == 0)
        series->is_wrong = true;
}

static void expect_key(struct buf *out, const struct one_series *series, enum metric_kind kind)
{
    struct buf key = BUF_EMPTY;
    struct buf text = BUF_EMPTY;
    series_key_write(&key, kind, series->name, series->labels, series->label_count);
    series_key_format(&text, buf_view(&key));
    buf_printf(out, "%s %.*s ", metric_kind_name(kind), STR_ARGS(buf_view(&text)));
    buf_fini(&key);
    buf_fini(&text);
}

static void expect_times(struct buf *out, int64_t at, int64_t start)
{
    buf_printf(out, ", %+lld", (long long)(at - NOW));
    if (start != 0 && start <= at && start != WALL_NONE)
        buf_printf(out, " since %+lld", (long long)(start - NOW));
    buf_char(out, '\n');
}

static bool can_be_stored(const struct one_series *series, int64_t at)
{
    return metric_name_is_clean(series->name) && at <= NOW + RULES.max_future &&
           at >= NOW - RULES.max_past;
}

static void expect_sample(struct expected *expected, const struct one_series *series, double value,
                          int64_t at, int64_t start)
{
    bool counts_up = remote_counts_up(series->name, series->type);

    expected->received++;
    if (series->is_wrong)
        return;
    if (!isfinite(value)) {
        expected->dropped++;
        return;
    }
    if (!can_be_stored(series, at) || (counts_up && value < 0))
        return;
    expected->stored++;
    expect_key(&expected->points, series, counts_up ? METRIC_COUNTER : METRIC_GAUGE);
    buf_printf(&expected->points, "%s %.17g", counts_up ? "up to" : "at", value + 0.0);
    expect_times(&expected->points, at, start);
}

/* A native histogram, with all that both versions have. */
struct one_histogram {
    bool is_float;
    uint64_t count, zeros;
    double sum;
    int32_t schema;
    struct {
        int64_t offsets[64];
        uint64_t lengths[64];
        size_t span_count;
        const int64_t *deltas;
        size_t delta_count;
    } sides[2]; /* negative, positive */
    uint32_t hint;
    int64_t at, start;
    const double *bounds;
    size_t bound_count;
};

static void describe_tally(struct buf *out, const struct tally *tally)
{
    struct buf bytes = BUF_EMPTY;
    tally_encode(tally, &bytes);
    buf_printf(out, "tally %016llx", (unsigned long long)series_key_hash(buf_view(&bytes)).low);
    buf_fini(&bytes);
}

/* Counts by Prometheus' index + INDEX_MAX / 2; false when they make no sense. */
static bool count_side(const struct one_histogram *histogram, size_t side, uint64_t *counts,
                       uint64_t *total)
{
    int64_t index = INDEX_MAX / 2;
    int64_t count = 0;
    size_t delta = 0;

    for (size_t s = 0; s < histogram->sides[side].span_count; s++) {
        index += histogram->sides[side].offsets[s];
        for (uint64_t i = 0; i < histogram->sides[side].lengths[s]; i++, index++) {
            if (delta == histogram->sides[side].delta_count)
                return false;
            count += histogram->sides[side].deltas[delta++];
            if (count < 0 || index < 0 || index >= INDEX_MAX || counts[index] > 0)
                return false;
            counts[index] = (uint64_t)count;
            *total += (uint64_t)count;
        }
    }
    return delta == histogram->sides[side].delta_count;
}

/* The tally; NULL when there can be none. Generated histograms are narrow, so that all is exact. */
static struct tally *expect_tally(const struct one_histogram *histogram)
{
    static uint64_t counts[2][INDEX_MAX];
    struct error err;
    uint64_t total = histogram->zeros;
    struct batch_buckets buckets = {.has_sum = isfinite(histogram->sum), .sum = histogram->sum};

    memset(counts, 0, sizeof counts);
    if (histogram->is_float || histogram->hint == 3 || histogram->schema == 9 ||
        !count_side(histogram, 0, counts[0], &total) ||
        !count_side(histogram, 1, counts[1], &total) || total > histogram->count ||
        (total < histogram->count && !isnan(histogram->sum)))
        return NULL;
    buckets.count = total;
    if (histogram->schema == -53) {
        for (size_t i = 0; i < INDEX_MAX; i++) {
            bool has_place = i >= INDEX_MAX / 2 && i <= INDEX_MAX / 2 + histogram->bound_count;
            if (counts[0][i] > 0 || histogram->zeros > 0 || (counts[1][i] > 0 && !has_place))
                return NULL;
        }
        buckets.bounds = histogram->bounds;
        buckets.bound_count = histogram->bound_count;
        buckets.counts = &counts[1][INDEX_MAX / 2];
    } else {
        buckets.is_exponential = true;
        buckets.scale = histogram->schema;
        buckets.zeros = histogram->zeros;
        buckets.negative = (struct histogram_buckets){-INDEX_MAX / 2 - 1, INDEX_MAX, counts[0]};
        buckets.positive = (struct histogram_buckets){-INDEX_MAX / 2 - 1, INDEX_MAX, counts[1]};
    }
    return tally_new(&buckets, &err);
}

static void expect_histogram(struct expected *expected, const struct one_series *series,
                             const struct one_histogram *histogram)
{
    uint64_t bits = 0;

    expected->received++;
    memcpy(&bits, &histogram->sum, sizeof bits);
    if (series->is_wrong)
        return;
    if (bits == UINT64_C(0x7ff0000000000002)) {
        expected->dropped++;
        return;
    }
    struct tally *tally = can_be_stored(series, histogram->at) ? expect_tally(histogram) : NULL;
    if (tally == NULL)
        return;
    expected->stored++;
    expect_key(&expected->points, series, METRIC_DISTRIBUTION);
    describe_tally(&expected->points, tally);
    expect_times(&expected->points, histogram->at, histogram->start);
    tally_free(tally);
}

/* --- what came out ---------------------------------------------------------------------------- */

static char *points_of(struct remote *remote)
{
    struct buf out = BUF_EMPTY;

    remote->delta = batch_take(remote->body->batch);
    remote->body->batch = NULL;
    for (size_t i = 0; i < remote->delta->point_count; i++) {
        const struct delta_point *point = &remote->delta->points[i];
        struct str key = remote->delta->series[point->series].key;
        struct buf text = BUF_EMPTY;
        if (point->tally == NULL) {
            describe_point(&out, remote->delta, point);
            continue;
        }
        assert_int_equal(point->form, POINT_CUMULATIVE);
        series_key_format(&text, key);
        buf_printf(&out, "%s %.*s ", metric_kind_name(series_key_kind(key)),
                   STR_ARGS(buf_view(&text)));
        describe_tally(&out, point->tally);
        expect_times(&out, point->at, point->start == WALL_NONE ? 0 : point->start);
        buf_fini(&text);
    }
    return buf_take_text(&out);
}

static void compare(struct remote *remote, struct expected *expected)
{
    const struct ledger *counts = &remote->body->counts;
    char *wanted = buf_take_text(&expected->points);
    char *points = points_of(remote);

    assert_string_equal(points, wanted);
    assert_true(ledger_balances(counts));
    assert_true(counts->received == expected->received);
    assert_true(counts->stored == expected->stored);
    assert_true(counts->dropped[DROP_stale_marker] + counts->dropped[DROP_not_finite] ==
                expected->dropped);
    free(points);
    free(wanted);
}

/* --- protobuf-c's messages -------------------------------------------------------------------- */

static struct str text_of(ProtobufCBinaryData data)
{
    return (struct str){(const char *)data.data, data.len};
}

/* Both versions' histograms have the same fields. */
#define READ_HISTOGRAM(out, from, float_case)                                                      \
    do {                                                                                           \
        (out)->is_float = (from)->count_case == (float_case);                                      \
        (out)->count = (out)->is_float ? 0 : (from)->count_int;                                    \
        (out)->zeros = (from)->zero_count_int;                                                     \
        (out)->sum = (from)->sum;                                                                  \
        (out)->schema = (from)->schema;                                                            \
        (out)->hint = (from)->reset_hint;                                                          \
        (out)->at = (from)->timestamp;                                                             \
        (out)->bounds = (from)->custom_values;                                                     \
        (out)->bound_count = (from)->n_custom_values;                                              \
        for (size_t s = 0; s < (from)->n_negative_spans; s++) {                                    \
            (out)->sides[0].offsets[s] = (from)->negative_spans[s]->offset;                        \
            (out)->sides[0].lengths[s] = (from)->negative_spans[s]->length;                        \
        }                                                                                          \
        for (size_t s = 0; s < (from)->n_positive_spans; s++) {                                    \
            (out)->sides[1].offsets[s] = (from)->positive_spans[s]->offset;                        \
            (out)->sides[1].lengths[s] = (from)->positive_spans[s]->length;                        \
        }                                                                                          \
        (out)->sides[0].span_count = (from)->n_negative_spans;                                     \
        (out)->sides[1].span_count = (from)->n_positive_spans;                                     \
        (out)->sides[0].deltas = (from)->negative_deltas;                                          \
        (out)->sides[1].deltas = (from)->positive_deltas;                                          \
        (out)->sides[0].delta_count = (from)->n_negative_deltas;                                   \
        (out)->sides[1].delta_count = (from)->n_positive_deltas;                                   \
    } while (0)

static void expect_1(struct expected *expected, const Remote1__WriteRequest *request)
{
    for (size_t i = 0; i < request->n_timeseries; i++) {
        const Remote1__TimeSeries *from = request->timeseries[i];
        struct one_series series = {.label_count = 0};
        char le[STR_DOUBLE_SIZE];

        for (size_t l = 0; l < from->n_labels; l++)
            series.labels[series.label_count++] =
                (struct label){text_of(from->labels[l]->name), text_of(from->labels[l]->value)};
        tidy(&series, le);
        for (size_t s = 0; s < from->n_samples; s++)
            expect_sample(expected, &series, from->samples[s]->value, from->samples[s]->timestamp,
                          0);
        for (size_t h = 0; h < from->n_histograms; h++) {
            struct one_histogram histogram = {.start = 0};
            READ_HISTOGRAM(&histogram, from->histograms[h], REMOTE_1__HISTOGRAM__COUNT_COUNT_FLOAT);
            expect_histogram(expected, &series, &histogram);
        }
    }
}

static void expect_2(struct expected *expected, const Remote2__Request *request)
{
    for (size_t i = 0; i < request->n_timeseries; i++) {
        const Remote2__TimeSeries *from = request->timeseries[i];
        struct one_series series = {.type = from->metadata == NULL
                                                ? REMOTE_UNKNOWN
                                                : (enum remote_type)from->metadata->type};
        char le[STR_DOUBLE_SIZE];

        series.is_wrong = from->n_labels_refs % 2 != 0;
        for (size_t l = 0; l + 1 < from->n_labels_refs; l += 2) {
            if (from->labels_refs[l] >= request->n_symbols ||
                from->labels_refs[l + 1] >= request->n_symbols) {
                series.is_wrong = true;
                break;
            }
            series.labels[series.label_count++] =
                (struct label){text_of(request->symbols[from->labels_refs[l]]),
                               text_of(request->symbols[from->labels_refs[l + 1]])};
        }
        tidy(&series, le);
        for (size_t s = 0; s < from->n_samples; s++)
            expect_sample(expected, &series, from->samples[s]->value, from->samples[s]->timestamp,
                          from->samples[s]->start_timestamp);
        for (size_t h = 0; h < from->n_histograms; h++) {
            struct one_histogram histogram = {.start = from->histograms[h]->start_timestamp};
            READ_HISTOGRAM(&histogram, from->histograms[h], REMOTE_2__HISTOGRAM__COUNT_COUNT_FLOAT);
            expect_histogram(expected, &series, &histogram);
        }
    }
}

/* --- random requests -------------------------------------------------------------------------- */

static struct str random_text(void)
{
    static const struct str texts[] = {
        {"", 0},
        {"job", 3},
        {"a", 1},
        {"b", 1},
        {"le", 2},
        {"1", 1},
        {"1.0", 3},
        {"0.25", 4},
        {"zone", 4},
        {"\xc3\xa4", 2},
        {"\xff", 1},
        {"x y", 3},
        {"x\x01y", 3},
        {"x\0y", 3},
        {"api.example.org", 15},
        {"+Inf", 4},
        {"quantile", 8},
        {"handler", 7},
        {"/orders/{id}/items", 18},
    };
    return texts[below(sizeof texts / sizeof texts[0])];
}

static struct str random_name(void)
{
    static const struct str names[] = {
        {"hits_total", 10},  {"t_bucket", 8},          {"t_sum", 5}, {"t_count", 7},
        {"temperature", 11}, {"room temperature", 16}, {"a\nb", 3}};
    return names[below(sizeof names / sizeof names[0])];
}

static double random_value(void)
{
    static const uint64_t bits[] = {UINT64_C(0x7ff0000000000002), UINT64_C(0x7ff8000000000001),
                                    UINT64_C(0x7ff0000000000000), UINT64_C(0xfff0000000000000)};
    double value = 0;

    if (below(8) > 0)
        return (double)below(100000) / (double)(1 + below(7)) - (below(10) == 0 ? 1e5 : 0);
    memcpy(&value, &bits[below(4)], sizeof value);
    return value;
}

static int64_t random_time(void)
{
    if (below(10) == 0)
        return (int64_t)random_next(&random_state) >> below(63);
    return NOW - (int64_t)below(100000);
}

static void put_sides(struct buf *out)
{
    for (unsigned side = 0; side < 2; side++) {
        int64_t before = 0;
        struct buf packed = BUF_EMPTY;
        for (uint64_t spans = below(4); spans > 0; spans--) {
            struct buf span = BUF_EMPTY;
            uint64_t length = below(5);
            put_signed(&span, 1, (int64_t)below(20) - (packed.len == 0 ? 10 : 0));
            put_number(&span, 2, length);
            put_message(out, side == 0 ? 8 : 11, &span);
            buf_fini(&span);
            for (; length > 0; length--) {
                int64_t count = (int64_t)below(6);
                int64_t delta = count - before;
                buf_varint(&packed, (uint64_t)delta << 1 ^ (uint64_t)(delta >> 63));
                before = count;
            }
        }
        if (below(40) == 0)
            buf_varint(&packed, 2); /* one too many */
        put_message(out, side == 0 ? 9 : 12, &packed);
        buf_fini(&packed);
    }
}

/* What the buckets of the histogram count in all: by protobuf-c's reading of it. */
static uint64_t bucket_total(struct str bytes)
{
    Remote2__Histogram *read =
        remote_2__histogram__unpack(NULL, bytes.len, (const uint8_t *)bytes.text);
    uint64_t total = read->zero_count_int;
    int64_t count = 0;

    for (size_t i = 0; i < read->n_negative_deltas; i++)
        total += (uint64_t)(count += read->negative_deltas[i]);
    count = 0;
    for (size_t i = 0; i < read->n_positive_deltas; i++)
        total += (uint64_t)(count += read->positive_deltas[i]);
    remote_2__histogram__free_unpacked(read, NULL);
    return total;
}

static void put_histogram(struct buf *series, unsigned field, unsigned version)
{
    struct buf out = BUF_EMPTY;

    put_double(&out, 3, random_value());
    if (below(3) == 0) {
        put_signed(&out, 4, -53);
        for (uint64_t i = 0; i < below(30); i++)
            put_double(&out, 16, (double)i);
    } else {
        put_signed(&out, 4, (int64_t)below(14) - 4);
        put_number(&out, 6, below(4));
    }
    put_sides(&out);
    put_number(&out, 1, bucket_total(buf_view(&out)) + (below(10) == 0));
    if (below(20) == 0)
        put_double(&out, 2, 1.5);
    put_number(&out, 14, below(8) == 0 ? 3 : below(3));
    put_number(&out, 15, (uint64_t)random_time());
    if (version == 2)
        put_number(&out, 17, (uint64_t)random_time());
    put_message(series, field, &out);
    buf_fini(&out);
}

/* The fields of a series but its labels. */
static void put_values(struct buf *series, unsigned version, bool has_histograms)
{
    for (uint64_t samples = below(4); samples > 0; samples--)
        put_sample(series, random_value(), random_time(),
                   version == 2 && below(2) == 0 ? random_time() : 0);
    for (uint64_t left = has_histograms ? below(3) : 0; left > 0; left--)
        put_histogram(series, version == 1 ? 4 : 3, version);
    if (below(4) == 0)
        put_text(series, version == 1 ? 3 : 4, STR_EMPTY); /* an exemplar */
}

static void put_request_1(struct buf *request, bool has_histograms)
{
    for (uint64_t left = below(SERIES_MAX); left > 0; left--) {
        struct buf series = BUF_EMPTY;
        if (below(20) > 0)
            put_label(&series, STR("__name__"), random_name());
        for (uint64_t labels = below(6); labels > 0; labels--)
            put_label(&series, random_text(), random_text());
        put_values(&series, 1, has_histograms);
        put_message(request, 1, &series);
        buf_fini(&series);
    }
}

static void put_request_2(struct buf *request, bool has_histograms)
{
    enum { SYMBOLS = 24 };
    struct buf inner = BUF_EMPTY;

    put_text(request, 4, STR_EMPTY);
    put_text(request, 4, STR("__name__"));
    for (int i = 2; i < SYMBOLS; i++)
        put_text(request, 4, i < 8 ? random_name() : random_text());
    for (uint64_t left = below(SERIES_MAX); left > 0; left--) {
        struct buf series = BUF_EMPTY;
        if (below(20) > 0)
            buf_varint(&inner, 1);
        if (below(20) > 0)
            buf_varint(&inner, 2 + below(6));
        for (uint64_t labels = 2 * below(6); labels > 0; labels--)
            buf_varint(&inner, below(40) == 0 ? SYMBOLS : below(SYMBOLS));
        put_message(&series, 1, &inner);
        put_values(&series, 2, has_histograms);
        put_number(&inner, 1, below(8));
        put_message(&series, 5, &inner);
        put_message(request, 5, &series);
        buf_fini(&series);
    }
    buf_fini(&inner);
}

/* --- the tests -------------------------------------------------------------------------------- */

/* Whether protobuf-c can read it; what it stands for goes to `expected`. */
static bool expect(unsigned version, struct str bytes, struct expected *expected)
{
    const uint8_t *at = (const uint8_t *)bytes.text;

    *expected = (struct expected){.received = 0};
    if (version == 1) {
        Remote1__WriteRequest *request = remote_1__write_request__unpack(NULL, bytes.len, at);
        if (request == NULL || request->n_metadata > 0) {
            remote_1__write_request__free_unpacked(request, NULL);
            return false;
        }
        expect_1(expected, request);
        remote_1__write_request__free_unpacked(request, NULL);
        return true;
    }
    Remote2__Request *request = remote_2__request__unpack(NULL, bytes.len, at);
    if (request == NULL)
        return false;
    expect_2(expected, request);
    remote_2__request__free_unpacked(request, NULL);
    return true;
}

/* What is damaged in a sample is refused by both or none. */
enum expected_damage { WHOLE, IN_SAMPLE, ANYWHERE };

/* Without a cache, with one, and once more, when it knows what may be known. */
static void check(unsigned version, struct str bytes, enum expected_damage damage,
                  unsigned *compared)
{
    bool are_same = false;

    for (unsigned round = 0; round < 3; round++) {
        struct expected expected;
        struct remote remote;
        fixture_cache = round == 0 ? NULL : cache;
        bool ok = remote_take_as(&remote, version, bytes);
        bool is_read = expect(version, bytes, &expected);
        if (damage == WHOLE)
            assert_true(ok && is_read);
        if (damage == IN_SAMPLE)
            assert_true(ok == is_read);
        are_same = ok && is_read;
        if (are_same)
            compare(&remote, &expected);
        else
            buf_fini(&expected.points);
        remote_fini(&remote);
    }
    *compared += are_same;
    remote_types_forget();
}

static void whole_requests_give_the_same_samples(void **state)
{
    (void)state;
    unsigned compared = 0;

    for (unsigned i = 0; i < REQUESTS; i++) {
        struct buf request = BUF_EMPTY;
        unsigned version = 1 + i % 2;
        if (version == 1)
            put_request_1(&request, true);
        else
            put_request_2(&request, true);
        check(version, buf_view(&request), WHOLE, &compared);
        buf_fini(&request);
    }
    assert_int_equal(compared, REQUESTS);
}

/* Bytes changed, cut off or doubled: what both can read is the same to both. */
static void damaged_requests_are_read_alike_or_refused(void **state)
{
    (void)state;
    unsigned compared = 0;

    for (unsigned i = 0; i < REQUESTS * DAMAGED / 10; i++) {
        struct buf request = BUF_EMPTY;
        unsigned version = 1 + i % 2;
        if (version == 1)
            put_request_1(&request, false);
        else
            put_request_2(&request, false);
        for (uint64_t damages = 1 + below(2); damages > 0 && request.len > 0; damages--) {
            size_t at = below(request.len);
            if (below(10) == 0)
                request.len = at;
            else if (below(2) == 0)
                request.bytes[at] = (char)below(256);
            else
                request.bytes[at] = (char)(request.bytes[at] ^ (1 << below(8)));
        }
        check(version, buf_view(&request), ANYWHERE, &compared);
        buf_fini(&request);
    }
    assert_true(compared > REQUESTS * DAMAGED / 10 / 10);
}

/* The usual ones are read by their bytes, which may be other ones in any of them. */
static void a_sample_with_any_bit_of_a_number_changed_is_read_alike_or_refused(void **state)
{
    unsigned compared = 0;
    (void)state;

    for (unsigned version = 1; version <= 2; version++) {
        struct buf request = BUF_EMPTY;
        struct buf series = BUF_EMPTY;
        if (version == 1) {
            put_label(&series, STR("__name__"), STR("hits_total"));
        } else {
            put_text(&request, 4, STR_EMPTY);
            put_text(&request, 4, STR("__name__"));
            put_text(&request, 4, STR("hits_total"));
            put_text(&series, 1, STR("\1\2"));
        }
        put_sample(&series, 5, NOW, version == 1 ? 0 : NOW - 1000);
        put_message(&request, version == 1 ? 1 : 5, &series);
        size_t sample_len = version == 1 ? 16 : 23;
        for (size_t bit = (request.len - sample_len) * 8; bit < request.len * 8; bit++) {
            size_t at = bit / 8 - (request.len - sample_len);
            if (at == 0 || at == 9 || at == 16)
                continue; /* a tag: protobuf-c takes no field with another type */
            request.bytes[bit / 8] = (char)(request.bytes[bit / 8] ^ (1 << bit % 8));
            check(version, buf_view(&request), IN_SAMPLE, &compared);
            request.bytes[bit / 8] = (char)(request.bytes[bit / 8] ^ (1 << bit % 8));
        }
        check(version, buf_view(&request), WHOLE, &compared);
        buf_fini(&series);
        buf_fini(&request);
    }
    assert_true(compared > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_requests_give_the_same_samples),
        cmocka_unit_test(damaged_requests_are_read_alike_or_refused),
        cmocka_unit_test(a_sample_with_any_bit_of_a_number_changed_is_read_alike_or_refused),
    };
    cache = series_cache_new(RULES.seed, 256 * 1024); /* it is full again and again */
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    series_cache_free(cache);
    return failed;
}
