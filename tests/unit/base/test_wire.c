#include "base/buf.h"
#include "base/wire.h"
#include "test.h"

static struct str of(const struct buf *buf)
{
    return buf_view(buf);
}

/* --- varints ---------------------------------------------------------------------------------- */

static void varints_are_read_whatever_their_length(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 64; bits++) {
        uint64_t top = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
        const uint64_t values[] = {top, top ^ UINT64_C(0x2aaaaaaaaaaaaaaa), top / 3};
        for (size_t v = 0; v < 3; v++) {
            struct buf bytes = BUF_EMPTY;
            buf_varint(&bytes, values[v]);
            size_t len = bytes.len;
            for (size_t padding = 0; padding < 10; padding++) {
                struct wire wire = wire_of(of(&bytes));
                assert_true(wire_varint(&wire) == values[v]);
                assert_true(wire.ok);
                assert_int_equal(wire.end - wire.at, bytes.len - len);
                buf_u8(&bytes, 0xff);
            }
            buf_fini(&bytes);
        }
    }
}

static void varints_need_not_be_the_shortest_form(void **state)
{
    (void)state;
    struct wire wire = wire_of(STR("\x81\x80\x80\x00"
                                   "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"
                                   "\x85\x00"));
    assert_true(wire_varint(&wire) == 1);
    assert_true(wire_varint(&wire) == 0);
    assert_true(wire_varint(&wire) == 5);
    assert_true(wire.ok && !wire_more(&wire));
}

static void what_is_no_varint_ends_the_reading(void **state)
{
    (void)state;
    static const struct str cases[] = {
        STR_EMPTY,
        {"\x80", 1},
        {"\xff\xff\xff\xff\xff\xff\xff\xff", 8},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},                     /* 65 bits */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},                 /* 11 bytes */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x00\x00\x00\x00", 15}, /* 11, all zero */
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct wire wire = wire_of(cases[i]);
        assert_true(wire_varint(&wire) == 0);
        assert_false(wire.ok);
        assert_false(wire_more(&wire));
        assert_true(wire_varint(&wire) == 0);
    }
}

static void varints_that_are_cut_are_none(void **state)
{
    (void)state;
    for (unsigned bits = 8; bits <= 64; bits++) {
        struct buf whole = BUF_EMPTY;
        buf_varint(&whole, bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1);
        for (size_t len = 0; len < whole.len; len++) {
            struct buf bytes = BUF_EMPTY; /* of its own, so that the sanitizer sees the end */
            buf_append(&bytes, whole.bytes, len);
            struct wire wire = wire_of(of(&bytes));
            assert_true(wire_varint(&wire) == 0);
            assert_false(wire.ok || wire_more(&wire));
            buf_fini(&bytes);
        }
        buf_fini(&whole);
    }
}

static void zigzag_has_the_sign_in_its_lowest_bit(void **state)
{
    (void)state;
    assert_true(wire_zigzag(0) == 0);
    assert_true(wire_zigzag(1) == -1);
    assert_true(wire_zigzag(2) == 1);
    assert_true(wire_zigzag(UINT64_MAX) == INT64_MIN);
    assert_true(wire_zigzag(UINT64_MAX - 1) == INT64_MAX);
}

/* --- fields ----------------------------------------------------------------------------------- */

static void a_message_is_read_field_by_field(void **state)
{
    (void)state;
    struct wire wire = wire_of(STR("\x08\x96\x01" /* 1: 150 */
                                   "\x12\x03"     /* 2: "abc" */
                                   "abc"
                                   "\x19\x00\x00\x00\x00\x00\x00\xf8\x3f" /* 3: 1.5 */
                                   "\x25\x01\x02\x03\x04"                 /* 4: fixed32 */
                                   "\x82\x7d\x02\x08\x01"                 /* 2000: a message */
                                   "\xf8\xff\xff\xff\x0f\x07"));          /* the largest number */
    assert_true(wire_next(&wire));
    assert_int_equal(wire.tag, WIRE_TAG(1, WIRE_VARINT));
    assert_true(wire_varint(&wire) == 150);
    assert_true(wire_next(&wire));
    assert_int_equal(wire.tag, WIRE_TAG(2, WIRE_BYTES));
    assert_true(str_is(wire_bytes(&wire), "abc"));
    assert_true(wire_next(&wire));
    assert_int_equal(wire.tag, WIRE_TAG(3, WIRE_FIXED64));
    assert_true(wire_double(wire_fixed64(&wire)) == 1.5);
    assert_true(wire_next(&wire));
    assert_int_equal(wire.tag, WIRE_TAG(4, WIRE_FIXED32));
    assert_true(wire_fixed32(&wire) == 0x04030201);
    assert_true(wire_next(&wire));
    assert_int_equal(wire.tag, WIRE_TAG(2000, WIRE_BYTES));
    struct wire inner = wire_of(wire_bytes(&wire));
    assert_true(wire_next(&inner));
    assert_int_equal(inner.tag, WIRE_TAG(1, WIRE_VARINT));
    assert_true(wire_varint(&inner) == 1);
    assert_false(wire_next(&inner));
    assert_true(inner.ok);
    assert_true(wire_next(&wire));
    assert_int_equal(wire.tag, WIRE_TAG(536870911, WIRE_VARINT));
    assert_true(wire_varint(&wire) == 7);
    assert_false(wire_next(&wire));
    assert_true(wire.ok);
}

static void an_empty_message_is_a_message(void **state)
{
    (void)state;
    struct wire wire = wire_of(STR_EMPTY);
    assert_false(wire_next(&wire));
    assert_true(wire.ok);
}

static void packed_values_are_read_one_by_one(void **state)
{
    (void)state;
    struct str packed = STR("\x01\x80\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    static const uint64_t expected[] = {1, 128, 0, UINT64_MAX};
    struct wire wire = wire_of(packed);
    size_t count = 0;

    assert_int_equal(wire_count_varints(packed), 4);
    while (wire_more(&wire)) {
        assert_true(count < 4);
        assert_true(wire_varint(&wire) == expected[count++]);
    }
    assert_int_equal(count, 4);
    assert_true(wire.ok);
}

static void unknown_fields_of_every_type_are_passed_over(void **state)
{
    (void)state;
    static const struct str cases[] = {
        {"\x08\xff\xff\x01", 4},
        {"\x09\x01\x02\x03\x04\x05\x06\x07\x08", 9},
        {"\x0a\x02xy", 4},
        {"\x0a\x00", 2},
        {"\x0d\x01\x02\x03\x04", 5},
        {"\x0b\x0c", 2},                                          /* an empty group */
        {"\x0b\x08\x01\x12\x01\x0c\x1d\x00\x00\x00\x00\x0c", 12}, /* an end within a text */
        {"\x0b\x0b\x13\x14\x0c\x0c", 6},                          /* groups within groups */
        {"\xfb\xff\xff\xff\x0f\xfc\xff\xff\xff\x0f", 10},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct buf bytes = BUF_EMPTY;
        buf_str(&bytes, cases[i]);
        buf_text(&bytes, "\x10\x2a");
        struct wire wire = wire_of(of(&bytes));
        assert_true(wire_next(&wire));
        wire_skip(&wire);
        assert_true(wire_next(&wire));
        assert_int_equal(wire.tag, WIRE_TAG(2, WIRE_VARINT));
        assert_true(wire_varint(&wire) == 42);
        assert_false(wire_next(&wire));
        assert_true(wire.ok);
        buf_fini(&bytes);
    }
}

static void what_is_no_field_ends_the_reading(void **state)
{
    (void)state;
    static const struct str cases[] = {
        {"\x00", 1},                 /* number 0 */
        {"\x05\x01\x02\x03\x04", 5}, /* number 0, fixed32 */
        {"\x0e", 1},                 /* types 6 and 7 */
        {"\x0f", 1},
        {"\x0c", 1},                     /* the end of no group */
        {"\x80", 1},                     /* half a tag */
        {"\x80\x80\x80\x80\x10\x01", 6}, /* above the largest number */
        {"\x08", 1},                     /* without its value */
        {"\x09\x01\x02\x03\x04\x05\x06\x07", 8},
        {"\x0d\x01\x02\x03", 4},
        {"\x0a", 1},
        {"\x0a\x02x", 3}, /* longer than what is there */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},
        {"\x0b", 1},     /* a group without its end */
        {"\x0b\x14", 2}, /* the end of another one */
        {"\x0b\x08", 2},
        {"\x0b\x0e\x0c", 3},
        {"\x0b\x00\x0c", 3},
    };
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct wire wire = wire_of(cases[i]);
        while (wire_next(&wire))
            wire_skip(&wire);
        assert_false(wire.ok);
        assert_false(wire_more(&wire));
        assert_true(wire_bytes(&wire).len == 0);
        assert_true(wire_fixed64(&wire) == 0);
        assert_true(wire_fixed32(&wire) == 0);
        wire_skip(&wire);
        assert_false(wire_next(&wire));
    }
}

static void groups_may_be_sixteen_deep(void **state)
{
    (void)state;
    for (unsigned depth = 1; depth <= 1000; depth += depth < 20 ? 1 : 490) {
        struct buf bytes = BUF_EMPTY;
        for (unsigned i = 0; i < depth; i++)
            buf_u8(&bytes, 0x0b);
        for (unsigned i = 0; i < depth; i++)
            buf_u8(&bytes, 0x0c);
        struct wire wire = wire_of(of(&bytes));
        assert_true(wire_next(&wire));
        wire_skip(&wire);
        assert_int_equal(wire.ok, depth <= WIRE_DEPTH_MAX);
        assert_false(wire_more(&wire));
        buf_fini(&bytes);
    }
}

static void a_message_that_is_cut_anywhere_is_not_read_past_its_end(void **state)
{
    (void)state;
    struct str whole = STR("\x08\x96\x01\x12\x03"
                           "abc"
                           "\x19\x00\x00\x00\x00\x00\x00\xf8\x3f\x25\x01\x02\x03\x04\x0b\x08\x01"
                           "\x0c\xba\x3e\x01z");
    for (size_t len = 0; len <= whole.len; len++) {
        struct buf bytes = BUF_EMPTY; /* of its own, so that the sanitizer sees the end */
        buf_append(&bytes, whole.text, len);
        struct wire wire = wire_of(of(&bytes));
        while (wire_next(&wire))
            wire_skip(&wire);
        bool is_between = len == 0 || len == 3 || len == 8 || len == 17 || len == 22 || len == 26 ||
                          len == whole.len;
        assert_int_equal(wire.ok, is_between);
        buf_fini(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_are_read_whatever_their_length),
        cmocka_unit_test(varints_need_not_be_the_shortest_form),
        cmocka_unit_test(what_is_no_varint_ends_the_reading),
        cmocka_unit_test(varints_that_are_cut_are_none),
        cmocka_unit_test(zigzag_has_the_sign_in_its_lowest_bit),
        cmocka_unit_test(a_message_is_read_field_by_field),
        cmocka_unit_test(an_empty_message_is_a_message),
        cmocka_unit_test(packed_values_are_read_one_by_one),
        cmocka_unit_test(unknown_fields_of_every_type_are_passed_over),
        cmocka_unit_test(what_is_no_field_ends_the_reading),
        cmocka_unit_test(groups_may_be_sixteen_deep),
        cmocka_unit_test(a_message_that_is_cut_anywhere_is_not_read_past_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
