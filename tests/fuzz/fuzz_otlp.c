/* Any bytes as the body of an OTLP request, in protobuf or in JSON as the first byte says: the
 * ledger balances, what is stored is such as may be stored, and JSON is what the protobuf that is
 * made of it is; with a cache it is the same, whatever the cache knows. */
#include "fuzz_points.h"
#include "ingest/otlp_body.h"
#include "ingest/otlp_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HELD_MAX = 8 * 1024 * 1024 };

static void check_taken(struct body *body, struct http_answer *answer, struct buf *out)
{
    require(answer->status == 200);
    require((answer->counts.rejected > 0) == (body_rejected(body) > 0));
    require((answer->counts.rejected > 0) == (answer->words.len > 0));
    struct delta *delta = batch_take(body->batch);
    body->batch = NULL;
    require_points(delta);
    buf_printf(out, "%zu %zu %llu ", delta->series_count, delta->point_count,
               (unsigned long long)body->counts.received);
    describe_delta(out, delta);
    buf_str(out, buf_view(&answer->words));
    delta_free(delta);
}

/* Empty when it was refused: what is wrong is not said alike. */
static void take_with(bool is_json, struct str bytes, struct series_cache *cache, struct buf *out)
{
    const struct fuzz_request request = {.format = &OTLP_BODY_FORMAT,
                                         .content_type = is_json ? "application/json"
                                                                 : "application/x-protobuf",
                                         .dialect = is_json ? HTTP_OTLP_JSON : HTTP_OTLP_PROTOBUF,
                                         .held_max = HELD_MAX,
                                         .cache = cache};

    if (!take_body(&request, bytes, bytes.len + 1, check_taken, out))
        buf_clear(out);
}

static void take(bool is_json, struct str bytes, struct buf *out)
{
    static struct series_cache *cache;
    struct buf with = BUF_EMPTY;

    if (cache == NULL)
        cache = series_cache_new(RULES.seed, CACHE_BYTES);
    take_with(is_json, bytes, NULL, out);
    for (int i = 0; i < 2; i++) {
        buf_clear(&with);
        take_with(is_json, bytes, cache, &with);
        require(str_equal(buf_view(out), buf_view(&with)));
    }
    buf_fini(&with);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf as_sent = BUF_EMPTY;
    struct buf as_protobuf = BUF_EMPTY;
    struct buf converted = BUF_EMPTY;
    const struct body_pause no_pause = {0};
    struct error err = ERROR_EMPTY;

    if (size == 0)
        return 0;
    struct str bytes = {(const char *)data + 1, size - 1};
    bool is_json = data[0] == '{';
    if (is_json) /* the brace is the body's own */
        bytes = (struct str){(const char *)data, size};
    take(is_json, bytes, &as_sent);
    if (is_json && otlp_json_convert(bytes, HELD_MAX, &no_pause, &converted, &err)) {
        take(false, buf_view(&converted), &as_protobuf);
        require(str_equal(buf_view(&as_sent), buf_view(&as_protobuf)));
    }
    buf_fini(&as_sent);
    buf_fini(&as_protobuf);
    buf_fini(&converted);
    return 0;
}
