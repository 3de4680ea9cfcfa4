/* Histograms as bytes, and those that were made elsewhere. */
#include "series/histogram_test.h"

/* --- import ----------------------------------------------------------------------------------- */

static void an_imported_histogram_is_the_one_of_its_values(void **state)
{
    (void)state;
    struct error err = ERROR_EMPTY;
    uint64_t seed = 10;
    for (int32_t scale = -11; scale <= 20; scale++) { /* as an SDK would count them */
        enum { SPAN = 400 };
        uint64_t counts[2][SPAN] = {{0}};
        struct histogram *expected = histogram_new();
        int at_our_scale = scale < 6 ? scale : 6;
        for (int i = 0; i < 300; i++) {
            int sign = (int)random_below(&seed, 2);
            /* Near 1 lies bucket 0 of every scale; SPAN / 2 buckets around it. */
            double exponent =
                ldexp((double)random_below(&seed, SPAN - 2) - SPAN / 2.0 + 1.5, -scale);
            double value = scale < -1 ? exp2(random_unit(&seed) * 1400 - 700) : exp2(exponent);
            int64_t index = (int64_t)ceill(log2l((long double)value) * exp2l(scale)) - 1;
            counts[sign][index + SPAN / 2]++;
            histogram_add(expected, sign == 0 ? value : -value, WEIGHT_ONE);
        }
        histogram_add(expected, 0, 7 * WEIGHT_ONE);
        struct histogram_buckets positive = {-SPAN / 2, SPAN, counts[0]};
        struct histogram_buckets negative = {-SPAN / 2, SPAN, counts[1]};
        struct histogram *imported = histogram_new();
        assert_true(histogram_import(imported, scale, 7, &positive, &negative, &err));
        assert_true(histogram_count(imported) == 307 * WEIGHT_ONE);
        assert_int_equal(histogram_scale(imported), at_our_scale);
        if (histogram_scale(expected) > at_our_scale) { /* adopts the coarser scale of the other */
            struct histogram *coarse = histogram_copy(expected);
            struct content *of_values = NULL;
            histogram_merge(coarse, imported);
            of_values = content_of(coarse);
            struct content *of_import = content_of(imported);
            assert_int_equal(of_values->scale, at_our_scale);
            for (size_t i = 0; i < 2 * (size_t)INDEX_SPACE; i++) {
                assert_true(of_values->counts[0][i] == 2 * of_import->counts[0][i]);
                assert_true(of_values->counts[1][i] == 2 * of_import->counts[1][i]);
            }
            free(of_values);
            free(of_import);
            histogram_free(coarse);
        } else {
            assert_same(imported, expected);
        }
        histogram_free(imported);
        histogram_free(expected);
    }
}

static void an_import_outside_the_range_of_doubles_changes_nothing(void **state)
{
    (void)state;
    const uint64_t counts[] = {0, 3, 0};
    const struct histogram_buckets none = {0, 0, NULL};
    struct {
        int32_t scale;
        int32_t offset; /* of counts: the bucket that is not empty is the next */
        bool is_valid;
    } cases[] = {
        {6, 65534, true},
        {6, 65535, false},
        {6, -68738, true},
        {6, -68739, false},
        {0, 1022, true},
        {0, 1023, false},
        {0, -1076, true},
        {0, -1077, false},
        {-10, -1, true},
        {-10, 0, false},
        {-10, -3, true},
        {-10, -4, false},
        {-11, -1, true},
        {-11, 0, false},
        {-20, -2, true},
        {-20, -3, false},
        {INT32_MIN, 0, false},
        {INT32_MIN, -1, true},
        {20, 1073741822, true},
        {20, 1073741823, false},
        {20, INT32_MIN, false},
        {40, INT32_MAX, true},
        {INT32_MAX, INT32_MIN, true},
        {70, INT32_MIN, true},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        for (int side = 0; side < 2; side++) {
            struct histogram *histogram = histogram_of_whole((double[]){1, -2, 0}, 3);
            struct histogram *before = histogram_copy(histogram);
            struct histogram_buckets some = {cases[i].offset, 3, counts};
            struct error err = ERROR_EMPTY;
            bool ok = histogram_import(histogram, cases[i].scale, 5, side == 0 ? &some : &none,
                                       side == 0 ? &none : &some, &err);
            assert_int_equal(ok, cases[i].is_valid);
            if (ok) {
                assert_true(histogram_count(histogram) == 11 * WEIGHT_ONE);
                assert_true(isfinite(quantile(histogram, 0)) && isfinite(quantile(histogram, 1)));
            } else {
                assert_same(histogram, before);
                assert_int_equal(err.kind, ERROR_INVALID);
                assert_non_null(strstr(err.text, "histogram bucket"));
            }
            histogram_free(before);
            histogram_free(histogram);
        }
    }
}

static void zeros_alone_have_no_scale(void **state)
{
    (void)state;
    const uint64_t nothing[3] = {0};
    struct histogram_buckets empty = {5000, 3, nothing};
    struct histogram *imported = histogram_new();
    struct histogram *added = histogram_new();
    struct error err = ERROR_EMPTY;
    assert_true(histogram_import(imported, -3, 2, &empty, &empty, &err));
    histogram_add(added, 0, 2 * WEIGHT_ONE);
    assert_same(imported, added);
    assert_int_equal(histogram_scale(imported), 6);
    histogram_free(added);
    histogram_free(imported);
}

/* --- codec ------------------------------------------------------------------------------------ */

static void the_bytes_are_the_documented_ones(void **state)
{
    (void)state;
    struct {
        struct weighted values[6];
        size_t count;
        const char *bytes;
        size_t len;
    } cases[] = {
        {{{0, 0}}, 0, "\x60\x00\x00\x00", 4},
        {{{1, WEIGHT_ONE}}, 1, "\x60\x00\x01\x01\x00\x00", 6},
        {{{-2, 32 * WEIGHT_ONE}, {0, 300 * WEIGHT_ONE}}, 2, "\x60\xac\x02\x00\x01\x7e\x7c", 7},
        {{{-2, 33 * WEIGHT_ONE}}, 1, "\x60\x00\x00\x01\x7e\x80\x01", 7},
        {{{1, 1}}, 1, "\x40\x00\x01\x01\x00\x00", 6},
        {{{1, UINT64_MAX}}, 1, "\x40\x00\x01\x01\xf8\xff\xff\xff\xff\xff\xff\xff\xff\x07\x00", 15},
        /* Buckets -1, 0, 2, 6 and 63: gaps of 0, 1, 3 and 56. */
        {{{1, WEIGHT_ONE},
          {1.005, WEIGHT_ONE},
          {1.03, WEIGHT_ONE},
          {1.075, 2 * WEIGHT_ONE},
          {2, WEIGHT_ONE}},
         5,
         "\x60\x00\x41\x01\x00\x00\x01\x07\x00\x03\x35\x00",
         12},
        {{{0x1p-1074, WEIGHT_ONE}, {DBL_MAX, WEIGHT_ONE}},
         2,
         "\x67\x00\x9a\x08\xb3\x08\x00\x03\x95\x08\x00",
         11},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct histogram *histogram = histogram_of(cases[i].values, cases[i].count);
        struct buf bytes = BUF_EMPTY;
        histogram_encode(histogram, &bytes);
        assert_int_equal(bytes.len, cases[i].len);
        assert_memory_equal(bytes.bytes, cases[i].bytes, bytes.len);
        buf_fini(&bytes);
        histogram_free(histogram);
    }
}

static void encoding_reads_back_and_no_truncation_does(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (uint64_t round = 0; round < 60; round++) {
        struct histogram *histogram = round % 4 == 0 ? imported_at_random(&seed) : histogram_new();
        uint64_t count = random_below(&seed, 200);
        for (uint64_t i = 0; i < count; i++)
            histogram_add(histogram, random_value(&seed, round), random_weight(&seed, round / 3));
        struct buf bytes = BUF_EMPTY;
        histogram_encode(histogram, &bytes);
        size_t len = bytes.len;
        buf_text(&bytes, "what follows");
        struct reader reader = reader_of(buf_view(&bytes));
        struct histogram *decoded = histogram_decode(&reader);
        assert_non_null(decoded);
        assert_true(reader.ok);
        assert_int_equal(reader.left, strlen("what follows"));
        assert_same(decoded, histogram);
        for (size_t cut = 0; cut < len; cut++) {
            char *exactly = memory_alloc(cut + 1); /* so that the sanitizer sees the end */
            memcpy(exactly, bytes.bytes, cut);
            exactly = memory_grow(exactly, cut > 0 ? cut : 1, 1);
            reader = reader_of((struct str){exactly, cut});
            assert_null(histogram_decode(&reader));
            assert_false(reader.ok);
            free(exactly);
        }
        buf_fini(&bytes);
        histogram_free(decoded);
        histogram_free(histogram);
    }
}

static void what_is_not_a_histogram_is_refused(void **state)
{
    (void)state;
    struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\x20\x00\x00\x00", 4},                              /* version 0 */
        {"\xa0\x00\x00\x00", 4},                              /* version 2 */
        {"\x72\x00\x01\x00\x00\x00", 6},                      /* scale -12 */
        {"\x61\x00\x00\x00", 4},                              /* a scale of no buckets */
        {"\x40\x00\x00\x00", 4},                              /* whole, but does not say so */
        {"\x40\x80\x80\x04\x00\x00", 6},                      /* the same with one zero */
        {"\x60\x80\x00\x00\x00", 5},                          /* a varint longer than it must be */
        {"\x60\x00\x81\x00\x01\x00\x00", 7},                  /* the same of a span */
        {"\x60\x80\x80\x80\x80\x80\x80\x80\x01\x00\x00", 11}, /* 2^49 whole zeros */
        {"\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00\x00", 13}, /* 65 bits */
        {"\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00", 14},
        {"\x60\x00\x81\x10\x01\x00\x00", 7},         /* a span of 2,049 */
        {"\x60\x00\x01\x80\x80\x08\x00\x00", 8},     /* index 65,536 */
        {"\x60\x00\x02\xfe\xff\x07\x00\x00\x00", 9}, /* 65,535 and the next */
        {"\x60\x00\x01\x83\xb2\x08\x00\x00", 8},     /* -68,738 */
        {"\x71\x00\x01\x02\x00\x00", 6},             /* index 1 at scale -11 */
        {"\x60\x00\x01\x01\x01\x00", 6},             /* the first is empty */
        {"\x60\x00\x02\x01\x00\x01\x00", 7},         /* beyond the last */
        {"\x60\x00\x05\x01\x00\x03\x01\x00", 8},     /* the same with a long gap */
        {"\x60\x00\x05\x01\x00\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00", 18},
        {"\x60\x00\x01\x01\x80\x00\x00", 7},                                      /* a rest of 0 */
        {"\x60\x00\x01\x01\xfc\xff\xff\xff\xff\xff\xff\x3f\x00", 13},             /* 2^48 whole */
        {"\x40\x00\x01\x01\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x07\x00", 15},     /* 2^64 */
        {"\x40\x00\x02\x01\x00\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x07\x00", 16}, /* 1, 2^64 */
        {"\x40\x00\x01\x01\x80\xff\xff\xff\xff\xff\xff\xff\xff\x0f\x00", 15},     /* 2^65 */
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct reader reader = reader_of((struct str){cases[i].bytes, cases[i].len});
        assert_null(histogram_decode(&reader));
        assert_false(reader.ok);
    }
    struct reader reader = reader_of(STR_EMPTY);
    assert_null(histogram_decode(&reader));
}

/* Random bytes, and encodings with some bytes changed: refused, or written again as they were. */
static void random_bytes_are_refused_or_are_an_encoding(void **state)
{
    (void)state;
    uint64_t seed = 12;
    size_t accepted = 0;
    for (uint64_t round = 0; round < 60000; round++) {
        struct buf bytes = BUF_EMPTY;
        if (round % 2 == 0) {
            struct histogram *histogram = histogram_new();
            for (uint64_t i = random_below(&seed, 20); i > 0; i--)
                histogram_add(histogram, random_value(&seed, round / 2), WEIGHT_ONE);
            histogram_encode(histogram, &bytes);
            histogram_free(histogram);
            for (uint64_t i = random_below(&seed, 3); i > 0; i--)
                bytes.bytes[random_below(&seed, bytes.len)] = (char)random_next(&seed);
        } else {
            buf_u8(&bytes, (uint8_t)(0x40 + random_below(&seed, 0x40)));
            for (uint64_t i = random_below(&seed, 30); i > 0; i--)
                buf_u8(&bytes, (uint8_t)(random_next(&seed) >> random_below(&seed, 8)));
        }
        struct reader reader = reader_of(buf_view(&bytes));
        struct histogram *histogram = histogram_decode(&reader);
        assert_int_equal(histogram != NULL, reader.ok);
        if (histogram != NULL) {
            struct buf again = BUF_EMPTY;
            histogram_encode(histogram, &again);
            assert_int_equal(again.len, bytes.len - reader.left);
            assert_memory_equal(again.bytes, bytes.bytes, again.len);
            buf_fini(&again);
            histogram_free(histogram);
            accepted++;
        }
        buf_fini(&bytes);
    }
    assert_true(accepted > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_imported_histogram_is_the_one_of_its_values),
        cmocka_unit_test(an_import_outside_the_range_of_doubles_changes_nothing),
        cmocka_unit_test(zeros_alone_have_no_scale),
        cmocka_unit_test(the_bytes_are_the_documented_ones),
        cmocka_unit_test(encoding_reads_back_and_no_truncation_does),
        cmocka_unit_test(what_is_not_a_histogram_is_refused),
        cmocka_unit_test(random_bytes_are_refused_or_are_an_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
