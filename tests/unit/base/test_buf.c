#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "test.h"

static void texts_are_appended(void **state)
{
    struct buf buf = BUF_EMPTY;
    (void)state;
    assert_int_equal(buf_view(&buf).len, 0);
    buf_text(&buf, "kpi");
    buf_char(&buf, '=');
    buf_str(&buf, STR("a\0b"));
    buf_str(&buf, STR_EMPTY);
    buf_append(&buf, NULL, 0);
    buf_printf(&buf, "%d%s", 42, "!");
    assert_true(str_equal(buf_view(&buf), STR("kpi=a\0b42!")));
    buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    buf_printf(&buf, "%s", "");
    assert_int_equal(buf.len, 0);
    buf_fini(&buf);
    buf_fini(&buf);
}

static void what_cannot_be_seen_is_escaped_once(void **state)
{
    struct buf buf = BUF_EMPTY;
    (void)state;
    buf_visible(&buf, STR_EMPTY);
    assert_int_equal(buf.len, 0);
    buf_visible(&buf, STR("a\\ \n\r\t\0\x1b\"\xc3\xbc\xc2\x85\xff"));
    assert_true(str_is(buf_view(&buf), "a\\ \\n\\r\\t\\x00\\x1b\"\xc3\xbc\\xc2\\x85\\xff"));
    buf_fini(&buf);
}

static void a_buffer_grows_as_it_is_filled(void **state)
{
    struct buf buf = BUF_EMPTY;
    char long_text[1000];
    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    for (int i = 0; i < 100; i++) {
        buf_printf(&buf, "%s", long_text);
        buf_u8(&buf, (uint8_t)i);
    }
    assert_int_equal(buf.len, 100 * sizeof long_text);
    for (size_t i = 0; i < 100; i++) {
        assert_memory_equal(buf.bytes + i * sizeof long_text, long_text, sizeof long_text - 1);
        assert_int_equal(buf.bytes[(i + 1) * sizeof long_text - 1], i);
    }
    buf_fini(&buf);
}

static void the_text_is_taken_with_a_nul(void **state)
{
    struct buf buf = BUF_EMPTY;
    (void)state;
    char *empty = buf_take_text(&buf);
    assert_string_equal(empty, "");
    free(empty);
    buf_text(&buf, "taken");
    char *text = buf_take_text(&buf);
    assert_string_equal(text, "taken");
    assert_int_equal(buf.len, 0);
    assert_null(buf.bytes);
    free(text);
}

static void integers_are_little_endian(void **state)
{
    static const unsigned char expected[] = {0x01, 0x05, 0x04, 0x03, 0x02, 0x0d, 0x0c, 0x0b, 0x0a,
                                             0x09, 0x08, 0x07, 0x06, 0xfe, 0xff, 0xff, 0xff, 0xff,
                                             0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                             0xf8, 0x3f, 0x02, 0x00, 0x00, 0x00, 'o',  'k'};
    struct buf buf = BUF_EMPTY;
    (void)state;
    buf_u8(&buf, 1);
    buf_u32(&buf, 0x02030405);
    buf_u64(&buf, 0x060708090a0b0c0d);
    buf_i64(&buf, -2);
    buf_double(&buf, 1.5);
    buf_block(&buf, STR("ok"));
    assert_int_equal(buf.len, sizeof expected);
    assert_memory_equal(buf.bytes, expected, sizeof expected);
    buf_fini(&buf);
}

static void what_was_written_reads_back(void **state)
{
    static const double doubles[] = {0.0, -0.0, 1.5, INFINITY, -INFINITY, 5e-324, 0.1};
    struct buf buf = BUF_EMPTY;
    uint64_t bits = 0;
    (void)state;

    buf_u8(&buf, UINT8_MAX);
    buf_u32(&buf, UINT32_MAX);
    buf_u64(&buf, UINT64_MAX);
    buf_i64(&buf, INT64_MIN);
    buf_block(&buf, STR("a\0b"));
    buf_block(&buf, STR_EMPTY);
    for (size_t i = 0; i < TEST_COUNT(doubles); i++)
        buf_double(&buf, doubles[i]);
    buf_double(&buf, NAN);

    struct reader reader = reader_of(buf_view(&buf));
    assert_int_equal(read_u8(&reader), UINT8_MAX);
    assert_int_equal(read_u32(&reader), UINT32_MAX);
    assert_true(read_u64(&reader) == UINT64_MAX);
    assert_true(read_i64(&reader) == INT64_MIN);
    assert_true(str_equal(read_block(&reader), STR("a\0b")));
    assert_int_equal(read_block(&reader).len, 0);
    for (size_t i = 0; i < TEST_COUNT(doubles); i++) {
        double value = read_double(&reader);
        assert_memory_equal(&value, &doubles[i], sizeof value);
    }
    assert_true(isnan(read_double(&reader)));
    assert_true(reader.ok);
    assert_int_equal(reader.left, 0);

    /* nothing is left, and that stays so */
    assert_int_equal(read_u8(&reader), 0);
    assert_false(reader.ok);
    bits = read_u64(&reader);
    assert_int_equal(bits, 0);
    buf_fini(&buf);
}

/* Bytes cut anywhere: zeros come back, never what lies behind. */
static void truncated_bytes_are_noticed_at_every_length(void **state)
{
    struct buf buf = BUF_EMPTY;
    (void)state;
    buf_u32(&buf, 7);
    buf_u64(&buf, 8);
    buf_block(&buf, STR("block"));
    buf_u8(&buf, 9);
    for (size_t len = 0; len <= buf.len; len++) {
        char *cut = malloc(len == 0 ? 1 : len); /* so that a read past the end is seen */
        assert_non_null(cut);
        memcpy(cut, buf.bytes, len);
        struct reader reader = reader_of((struct str){cut, len});
        uint32_t a = read_u32(&reader);
        uint64_t b = read_u64(&reader);
        struct str block = read_block(&reader);
        uint8_t c = read_u8(&reader);
        assert_int_equal(a, len >= 4 ? 7 : 0);
        assert_int_equal(b, len >= 12 ? 8 : 0);
        assert_int_equal(block.len, len >= 21 ? 5 : 0);
        assert_int_equal(c, len >= 22 ? 9 : 0);
        assert_int_equal(reader.ok, len == buf.len);
        free(cut);
    }
    buf_fini(&buf);
}

static void a_failed_read_stays_failed(void **state)
{
    struct reader reader = reader_of(STR("\x01\x02\x03"));
    (void)state;
    assert_int_equal(read_u32(&reader), 0);
    assert_false(reader.ok);
    assert_int_equal(read_u8(&reader), 0); /* although a byte is there */
    assert_false(reader.ok);
}

static void a_block_longer_than_the_bytes_is_refused(void **state)
{
    struct reader reader = reader_of(STR("\xff\xff\xff\xff"
                                         "abc"));
    (void)state;
    struct str block = read_block(&reader);
    assert_int_equal(block.len, 0);
    assert_false(reader.ok);
    reader = reader_of(STR("\x04\x00\x00\x00"
                           "abc"));
    (void)read_block(&reader);
    assert_false(reader.ok);
    reader = reader_of(STR_EMPTY);
    (void)read_block(&reader);
    assert_false(reader.ok);
}

static void a_varint_has_one_form(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        uint64_t value;
        bool ok;
    } cases[] = {
        {"\0", 1, 0, true},
        {"\x7f", 1, 127, true},
        {"\x80\x01", 2, 128, true},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, UINT64_MAX, true},
        {"\x80\0", 2, 0, false}, /* longer than it must be */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, 0, false},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01", 11, 0, false},
        {"\x80", 1, 0, false},
        {"", 0, 0, false},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct str bytes = {cases[i].bytes, cases[i].len};
        struct reader reader = reader_of(bytes);
        struct buf buf = BUF_EMPTY;
        assert_true(read_varint(&reader) == cases[i].value);
        assert_int_equal(reader.ok, cases[i].ok);
        buf_varint(&buf, cases[i].value);
        assert_int_equal(str_equal(buf_view(&buf), bytes), cases[i].ok);
        buf_fini(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_appended),
        cmocka_unit_test(what_cannot_be_seen_is_escaped_once),
        cmocka_unit_test(a_buffer_grows_as_it_is_filled),
        cmocka_unit_test(the_text_is_taken_with_a_nul),
        cmocka_unit_test(integers_are_little_endian),
        cmocka_unit_test(what_was_written_reads_back),
        cmocka_unit_test(truncated_bytes_are_noticed_at_every_length),
        cmocka_unit_test(a_failed_read_stays_failed),
        cmocka_unit_test(a_block_longer_than_the_bytes_is_refused),
        cmocka_unit_test(a_varint_has_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
