#include <math.h>
#include <stdio.h>

#include "series/distinct.h"
#include "series/random.h"
#include "test.h"

/* Members with numbers from `from` to `to` - 1 of one population. */
static void add_members(struct distinct *distinct, unsigned population, size_t from, size_t to)
{
    char text[48];
    for (size_t i = from; i < to; i++) {
        int len = snprintf(text, sizeof text, "member-%u-%zu", population, i);
        distinct_add(distinct, (struct str){text, (size_t)len});
    }
}

static struct buf encoded(const struct distinct *distinct)
{
    struct buf bytes = BUF_EMPTY;
    distinct_encode(distinct, &bytes);
    return bytes;
}

static void assert_same(const struct distinct *a, const struct distinct *b)
{
    struct buf one = encoded(a);
    struct buf other = encoded(b);
    assert_int_equal(one.len, other.len);
    assert_memory_equal(one.bytes, other.bytes, one.len);
    buf_fini(&one);
    buf_fini(&other);
}

static void it_is_exact_while_sparse(void **state)
{
    (void)state;
    struct distinct *distinct = distinct_new();
    assert_true(distinct_estimate(distinct) == 0);
    for (size_t i = 0; i < DISTINCT_SPARSE_MAX; i++) {
        add_members(distinct, 0, i, i + 1);
        add_members(distinct, 0, i / 2, i / 2 + 1);
        assert_true(distinct_estimate(distinct) == (double)(i + 1));
    }
    assert_true(distinct_size_bytes(distinct) < 3000);
    add_members(distinct, 0, DISTINCT_SPARSE_MAX, DISTINCT_SPARSE_MAX + 1);
    assert_true(fabs(distinct_estimate(distinct) - DISTINCT_SPARSE_MAX - 1) < 5);
    assert_true(distinct_size_bytes(distinct) < DISTINCT_REGISTERS + 100);
    distinct_free(distinct);
}

static void the_empty_member_is_a_member(void **state)
{
    (void)state;
    struct distinct *distinct = distinct_new();
    distinct_add(distinct, STR_EMPTY);
    distinct_add(distinct, STR(""));
    assert_true(distinct_estimate(distinct) == 1);
    distinct_free(distinct);
}

static void the_error_is_below_two_percent(void **state)
{
    (void)state;
    static const size_t sizes[] = {1000, 10000, 100000, 1000000};
    struct distinct *distinct = distinct_new();
    size_t added = 0;
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        add_members(distinct, 1, added, sizes[i]);
        added = sizes[i];
        double error = distinct_estimate(distinct) / (double)added - 1;
        assert_true(fabs(error) < 0.02);
    }
    distinct_free(distinct);
}

static void the_rms_error_is_below_0_9_percent(void **state)
{
    (void)state;
    enum { SKETCHES = 50, MEMBERS = 20000 };
    double squares = 0;
    for (unsigned i = 0; i < SKETCHES; i++) {
        struct distinct *distinct = distinct_new();
        add_members(distinct, 100 + i, 0, MEMBERS);
        double error = distinct_estimate(distinct) / MEMBERS - 1;
        squares += error * error;
        distinct_free(distinct);
    }
    assert_true(sqrt(squares / SKETCHES) < 0.009);
}

/* FIG-21: basic has Ann, pro has Ann and Bo: total 2. */
static void merging_is_a_union(void **state)
{
    (void)state;
    struct distinct *basic = distinct_new();
    struct distinct *pro = distinct_new();
    distinct_add(basic, STR("Ann"));
    distinct_add(pro, STR("Ann"));
    distinct_add(pro, STR("Bo"));
    distinct_merge(basic, pro);
    distinct_merge(basic, basic);
    assert_true(distinct_estimate(basic) == 2);
    distinct_free(basic);
    distinct_free(pro);
}

/* Three overlapping parts that are sparse, around the border, or dense. */
static void merging_in_any_order_gives_the_same_bits(void **state)
{
    (void)state;
    static const size_t ranges[][6] = {
        {0, 3, 2, 5, 4, 9},     {0, 100, 50, 200, 150, 256}, {0, 100, 50, 200, 150, 257},
        {0, 256, 1, 257, 0, 0}, {0, 257, 10, 20, 5, 6},      {0, 5000, 4000, 9000, 100, 150},
    };
    for (size_t row = 0; row < TEST_COUNT(ranges); row++) {
        struct distinct *parts[3];
        struct distinct *whole = distinct_new();
        for (size_t i = 0; i < 3; i++) {
            parts[i] = distinct_new();
            add_members(parts[i], 2, ranges[row][2 * i], ranges[row][2 * i + 1]);
            add_members(whole, 2, ranges[row][2 * i], ranges[row][2 * i + 1]);
        }
        struct distinct *left = distinct_copy(parts[0]);
        distinct_merge(left, parts[1]);
        distinct_merge(left, parts[2]);
        struct distinct *right = distinct_copy(parts[2]);
        distinct_merge(parts[1], parts[0]);
        distinct_merge(right, parts[1]);
        assert_same(left, right);
        assert_same(left, whole);
        distinct_free(left);
        distinct_free(right);
        distinct_free(whole);
        for (size_t i = 0; i < 3; i++)
            distinct_free(parts[i]);
    }
}

static void a_copy_is_its_own(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 5, 1000};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        struct distinct *distinct = distinct_new();
        add_members(distinct, 3, 0, sizes[i]);
        struct distinct *copy = distinct_copy(distinct);
        assert_same(distinct, copy);
        add_members(copy, 4, 0, 1000);
        assert_true(fabs(distinct_estimate(distinct) - (double)sizes[i]) < 0.02 * 1000);
        distinct_free(distinct);
        assert_true(distinct_estimate(copy) > 950);
        distinct_free(copy);
    }
    distinct_free(NULL);
}

static void encoding_reads_back_and_no_truncation_does(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 20, DISTINCT_SPARSE_MAX, DISTINCT_SPARSE_MAX + 1, 30000};
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        struct distinct *distinct = distinct_new();
        add_members(distinct, 5, 0, sizes[i]);
        struct buf bytes = encoded(distinct);
        struct reader reader = reader_of(buf_view(&bytes));
        struct distinct *decoded = distinct_decode(&reader);
        assert_non_null(decoded);
        assert_true(reader.ok);
        assert_int_equal(reader.left, 0);
        assert_same(distinct, decoded);
        for (size_t len = 0; len < bytes.len; len += 1 + bytes.len / 700) {
            reader = reader_of((struct str){bytes.bytes, len});
            assert_null(distinct_decode(&reader));
            assert_false(reader.ok);
        }
        buf_fini(&bytes);
        distinct_free(decoded);
        distinct_free(distinct);
    }
}

static void what_is_not_a_sketch_is_refused(void **state)
{
    (void)state;
    static char dense[1 + DISTINCT_REGISTERS];
    struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\x00", 1},                                                /* no form */
        {"\x03\x00\x00\x00\x00", 5},                                /* no such form */
        {"\x01\xff\xff\xff\xff", 5},                                /* a count of 4 G */
        {"\x01\x02\0\0\0\x05\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0", 21}, /* the same twice */
        {"\x01\x02\0\0\0\x05\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0", 21}, /* falling */
        {dense, sizeof dense},                                      /* rank 52 */
    };
    dense[0] = 2;
    dense[1 + 77] = 52;
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct reader reader = reader_of((struct str){cases[i].bytes, cases[i].len});
        assert_null(distinct_decode(&reader));
        assert_false(reader.ok);
    }
    dense[1 + 77] = 51;
    struct reader reader = reader_of((struct str){dense, sizeof dense});
    struct distinct *distinct = distinct_decode(&reader);
    assert_non_null(distinct);
    assert_true(isfinite(distinct_estimate(distinct)));
    distinct_free(distinct);
}

static double estimate_of_registers(int even, int odd)
{
    static char dense[1 + DISTINCT_REGISTERS];
    dense[0] = 2;
    for (size_t i = 0; i < DISTINCT_REGISTERS; i++)
        dense[1 + i] = (char)(i % 2 == 0 ? even : odd);
    struct reader reader = reader_of((struct str){dense, sizeof dense});
    struct distinct *distinct = distinct_decode(&reader);
    assert_non_null(distinct);
    double estimate = distinct_estimate(distinct);
    distinct_free(distinct);
    return estimate;
}

/* Registers that only forged bytes hold; the expected value is from the paper's series for tau. */
static void full_registers_have_a_finite_estimate(void **state)
{
    (void)state;
    assert_true(fabs(estimate_of_registers(49, 51) / 1.1571590385065693e+19 - 1) < 1e-9);
    assert_true(estimate_of_registers(51, 51) == 18446744073709551616.0);
    assert_true(estimate_of_registers(0, 0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_exact_while_sparse),
        cmocka_unit_test(the_empty_member_is_a_member),
        cmocka_unit_test(the_error_is_below_two_percent),
        cmocka_unit_test(the_rms_error_is_below_0_9_percent),
        cmocka_unit_test(merging_is_a_union),
        cmocka_unit_test(merging_in_any_order_gives_the_same_bits),
        cmocka_unit_test(a_copy_is_its_own),
        cmocka_unit_test(encoding_reads_back_and_no_truncation_does),
        cmocka_unit_test(what_is_not_a_sketch_is_refused),
        cmocka_unit_test(full_registers_have_a_finite_estimate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
