/* Bodies: what inflates to what (I26), and what is refused. */
#include <stdlib.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/memory.h"
#include "ingest/http_body.h"
#include "test.h"

static void collect(struct str bytes, void *arg)
{
    assert_true(bytes.len > 0);
    buf_str(arg, bytes);
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
    return http_body_end(body, err);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_comes_in_any_pieces_and_members),
        cmocka_unit_test(a_plain_body_is_given_as_it_is),
        cmocka_unit_test(a_bomb_ends_at_the_limit),
        cmocka_unit_test(what_is_no_gzip_or_has_no_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
