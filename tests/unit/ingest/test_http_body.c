/* Bodies: what inflates to what (I26), and what is refused. */
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/memory.h"
#include "ingest/http_body.h"
#include "test.h"

static bool collect(struct str bytes, void *arg, struct error *err)
{
    (void)err;
    assert_true(bytes.len > 0);
    buf_str(arg, bytes);
    return true;
}

/* Appends one gzip member. */
static void gzip(struct buf *out, struct str text)
{
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)text.text,
                       .avail_in = (unsigned)text.len};
    unsigned char piece[512];
    int rc = deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);

    assert_int_equal(rc, Z_OK);
    do {
        stream.next_out = piece;
        stream.avail_out = sizeof piece;
        rc = deflate(&stream, Z_FINISH);
        buf_append(out, piece, sizeof piece - stream.avail_out);
    } while (rc == Z_OK);
    assert_int_equal(rc, Z_STREAM_END);
    (void)deflateEnd(&stream);
}

/* Gives all of `sent` in pieces; what came out is in `out`. */
static bool give(struct http_body *body, struct str sent, size_t piece, struct buf *out,
                 struct error *err)
{
    for (size_t at = 0; at < sent.len; at += piece) {
        size_t len = sent.len - at < piece ? sent.len - at : piece;
        if (!http_body_take(body, (struct str){sent.text + at, len}, collect, out, err))
            return false;
    }
    return http_body_end(body, collect, out, err);
}

static void gzip_comes_in_any_pieces_and_members(void **state)
{
    struct buf sent = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    struct error err = ERROR_EMPTY;
    struct str wanted = STR("cpu user=1\ncpu user=2\n");
    (void)state;

    gzip(&sent, STR("cpu user=1\n"));
    gzip(&sent, STR(""));
    gzip(&sent, STR("cpu user=2\n"));
    for (size_t piece = 1; piece <= sent.len; piece++) {
        struct http_body *body = http_body_new(HTTP_GZIP, 1000, true);
        buf_clear(&out);
        assert_true(give(body, buf_view(&sent), piece, &out, &err));
        assert_true(str_equal(buf_view(&out), wanted));
        assert_int_equal(http_body_length(body), wanted.len);
        assert_true(series_hash_equal(http_body_hash(body), series_key_hash(wanted)));
        http_body_free(body);
    }
    buf_fini(&sent);
    buf_fini(&out);
}

static void a_plain_body_is_given_as_it_is(void **state)
{
    struct buf out = BUF_EMPTY;
    struct error err = ERROR_EMPTY;
    struct http_body *body = http_body_new(HTTP_IDENTITY, 5, true);
    (void)state;

    assert_true(give(body, STR("a b=1"), 2, &out, &err));
    assert_true(str_equal(buf_view(&out), STR("a b=1")));
    assert_true(series_hash_equal(http_body_hash(body), series_key_hash(STR("a b=1"))));
    assert_false(http_body_take(body, STR("x"), collect, &out, &err));
    assert_int_equal(err.kind, ERROR_FULL);
    http_body_free(body);
    http_body_free(NULL);
    buf_fini(&out);
}

static void a_bomb_ends_at_the_limit(void **state)
{
    enum { LIMIT = 100000, BOMB = 20 << 20 };
    struct buf sent = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    struct error err = ERROR_EMPTY;
    char *zeros = memory_zero(1, BOMB);
    (void)state;

    gzip(&sent, (struct str){zeros, BOMB});
    assert_true(sent.len < BOMB / 500);
    struct http_body *body = http_body_new(HTTP_GZIP, LIMIT, false);
    assert_false(give(body, buf_view(&sent), sent.len, &out, &err));
    assert_int_equal(err.kind, ERROR_FULL);
    assert_true(out.len <= LIMIT);
    assert_true(http_body_size_bytes(body) < 128 * 1024);
    http_body_free(body);
    free(zeros);
    buf_fini(&sent);
    buf_fini(&out);
}

static void what_is_no_gzip_or_has_no_end_is_refused(void **state)
{
    struct buf sent = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    struct error err = ERROR_EMPTY;
    (void)state;

    gzip(&sent, STR("cpu user=1\n"));
    for (size_t len = 0; len < sent.len; len++) { /* cut anywhere */
        struct http_body *body = http_body_new(HTTP_GZIP, 1000, false);
        assert_false(give(body, (struct str){sent.bytes, len}, 1000, &out, &err));
        assert_int_equal(err.kind, ERROR_INVALID);
        http_body_free(body);
    }
    sent.bytes[sent.len - 5] ^= 1; /* its checksum */
    struct http_body *body = http_body_new(HTTP_GZIP, 1000, false);
    assert_false(give(body, buf_view(&sent), 1000, &out, &err));
    http_body_free(body);
    body = http_body_new(HTTP_GZIP, 1000, false);
    assert_false(give(body, STR("cpu user=1\n"), 1000, &out, &err));
    assert_int_equal(err.kind, ERROR_INVALID);
    http_body_free(body);
    buf_fini(&sent);
    buf_fini(&out);
}

static void snappy(struct buf *out, struct str text)
{
    size_t len = snappy_max_compressed_length(text.len);
    char *packed = memory_alloc(len);

    assert_int_equal(snappy_compress(text.text, text.len, packed, &len), SNAPPY_OK);
    buf_append(out, packed, len);
    free(packed);
}

static void snappy_is_given_at_its_end_whatever_its_pieces(void **state) /* P1 */
{
    struct buf text = BUF_EMPTY;
    struct buf sent = BUF_EMPTY;
    struct buf out = BUF_EMPTY;
    struct error err = ERROR_EMPTY;
    (void)state;

    for (int i = 0; i < 100; i++)
        buf_printf(&text, "sample %d of many;", i);
    snappy(&sent, buf_view(&text));
    for (size_t piece = 1; piece <= sent.len; piece += 7) {
        struct http_body *body = http_body_new(HTTP_SNAPPY, text.len, true);
        http_body_expect(body, piece % 3 == 0 ? UINT64_MAX : piece); /* whatever was announced */
        size_t before = http_body_size_bytes(body);
        buf_clear(&out);
        assert_true(http_body_take(body, (struct str){sent.bytes, 3}, collect, &out, &err));
        assert_true(http_body_size_bytes(body) > before + 3); /* and what it will need */
        for (size_t at = 3; at < sent.len; at += piece) {
            size_t len = sent.len - at < piece ? sent.len - at : piece;
            assert_true(
                http_body_take(body, (struct str){sent.bytes + at, len}, collect, &out, &err));
        }
        assert_int_equal(out.len, 0);
        assert_true(http_body_size_bytes(body) >= before + sent.len + text.len);
        assert_true(http_body_end(body, collect, &out, &err));
        assert_true(str_equal(buf_view(&out), buf_view(&text)));
        assert_true(series_hash_equal(http_body_hash(body), series_key_hash(buf_view(&text))));
        http_body_free(body);
    }
    struct http_body *empty = http_body_new(HTTP_SNAPPY, 10, false);
    buf_clear(&out);
    assert_true(give(empty, STR("\0"), 1, &out, &err));
    assert_int_equal(out.len, 0);
    http_body_free(empty);
    buf_fini(&text);
    buf_fini(&sent);
    buf_fini(&out);
}

/* A length of 4 GiB in 5 bytes, one over the limit, and one that so few bytes cannot stand for. */
static void a_snappy_bomb_is_refused_before_room_is_made(void **state) /* P1 */
{
    static const struct {
        const char *bytes;
        size_t len;
        bool at_once;
        enum error_kind kind;
    } cases[] = {
        {"\xff\xff\xff\xff\x0f", 5, true, ERROR_FULL},
        {"\xa1\x8d\x06", 3, true, ERROR_FULL}, /* 100001 */
        {"\xa0\x8d\x06"
         "abcdefgh",
         11, false, ERROR_INVALID}, /* 100000 */
        {"\xff\xff\xff\xff\xff\xff", 6, true, ERROR_INVALID},
        {"\x80\x80", 2, false, ERROR_INVALID},
        {"", 0, false, ERROR_INVALID},
        {"\x05"
         "abc",
         4, false, ERROR_INVALID},
        {"\x02\x00"
         "a",
         3, false, ERROR_INVALID}, /* less than it says */
        {"\x01\x04"
         "ab",
         4, false, ERROR_INVALID}, /* more */
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct http_body *body = http_body_new(HTTP_SNAPPY, 100000, false);
        struct error err = ERROR_EMPTY;
        struct buf out = BUF_EMPTY;
        struct str bytes = {cases[i].bytes, cases[i].len};
        bool taken = http_body_take(body, bytes, collect, &out, &err);
        assert_int_equal(taken, !cases[i].at_once);
        assert_true(http_body_size_bytes(body) < 4096);
        if (taken)
            assert_false(http_body_end(body, collect, &out, &err));
        assert_int_equal(err.kind, cases[i].kind);
        assert_int_equal(out.len, 0);
        http_body_free(body);
    }
}

static void framed_snappy_is_refused_with_a_word(void **state) /* P1 */
{
    static const char framed[] = "\xff\x06\0\0sNaPpY\x01\x08\0\0\0\0\0\0abcd";
    struct http_body *body = http_body_new(HTTP_SNAPPY, 100000, false);
    struct error err = ERROR_EMPTY;
    struct buf out = BUF_EMPTY;
    (void)state;

    assert_false(give(body, (struct str){framed, sizeof framed - 1}, 4, &out, &err));
    assert_non_null(strstr(err.text, "framed"));
    http_body_free(body);
}

/* Packed bytes that never end do not pile up: no more are kept than the limit can become. */
static void packed_bytes_have_a_limit_too(void **state)
{
    struct http_body *body = http_body_new(HTTP_SNAPPY, 1000, false);
    struct error err = ERROR_EMPTY;
    char zeros[500] = {0};
    struct buf out = BUF_EMPTY;
    (void)state;

    assert_true(http_body_take(body, STR("\xe8\x07"), collect, &out, &err)); /* 1000 */
    assert_true(http_body_take(body, (struct str){zeros, 500}, collect, &out, &err));
    assert_true(http_body_take(body, (struct str){zeros, 500}, collect, &out, &err));
    assert_false(http_body_take(body, (struct str){zeros, 500}, collect, &out, &err));
    assert_int_equal(err.kind, ERROR_FULL);
    http_body_free(body);
}

static bool refuse(struct str bytes, void *arg, struct error *err)
{
    (void)bytes;
    (void)arg;
    return error_set(err, ERROR_NOT_FOUND, "no");
}

static void who_takes_the_bytes_may_refuse_them(void **state)
{
    static const enum http_encoding encodings[] = {HTTP_IDENTITY, HTTP_GZIP, HTTP_SNAPPY};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(encodings); i++) {
        struct http_body *body = http_body_new(encodings[i], 1000, false);
        struct error err = ERROR_EMPTY;
        struct buf sent = BUF_EMPTY;
        if (encodings[i] == HTTP_GZIP)
            gzip(&sent, STR("abc"));
        else if (encodings[i] == HTTP_SNAPPY)
            snappy(&sent, STR("abc"));
        else
            buf_text(&sent, "abc");
        assert_false(http_body_take(body, buf_view(&sent), refuse, NULL, &err) &&
                     http_body_end(body, refuse, NULL, &err));
        assert_int_equal(err.kind, ERROR_NOT_FOUND);
        http_body_free(body);
        buf_fini(&sent);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_comes_in_any_pieces_and_members),
        cmocka_unit_test(a_plain_body_is_given_as_it_is),
        cmocka_unit_test(a_bomb_ends_at_the_limit),
        cmocka_unit_test(what_is_no_gzip_or_has_no_end_is_refused),
        cmocka_unit_test(snappy_is_given_at_its_end_whatever_its_pieces),
        cmocka_unit_test(a_snappy_bomb_is_refused_before_room_is_made),
        cmocka_unit_test(framed_snappy_is_refused_with_a_word),
        cmocka_unit_test(packed_bytes_have_a_limit_too),
        cmocka_unit_test(who_takes_the_bytes_may_refuse_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
