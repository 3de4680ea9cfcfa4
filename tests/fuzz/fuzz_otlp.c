/* Any bytes as the body of an OTLP request, in protobuf or in JSON as the first byte says: the
 * ledger balances, what is stored is such as may be stored, and JSON is what the protobuf that is
 * made of it is. */
#include "fuzz_points.h"
#include "ingest/otlp_body.h"
#include "ingest/otlp_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HELD_MAX = 8 * 1024 * 1024 };

/* What became of a body, as bytes to compare; empty when it was refused. */
static void take(bool is_json, struct str bytes, struct buf *out)
{
    const struct http_head head = {.content_type = is_json ? STR("application/json")
                                                           : STR("application/x-protobuf")};
    uint64_t arrival = 0;
    const struct body_request request = {.head = &head,
                                         .rules = &RULES,
                                         .body_bytes_max = 64 * 1024,
                                         .held_max = HELD_MAX,
                                         .now_us = NOW * 1000,
                                         .last_arrival = &arrival};
    struct http_answer answer = {.dialect = is_json ? HTTP_OTLP_JSON : HTTP_OTLP_PROTOBUF};
    struct error err = ERROR_EMPTY;
    struct body *body = OTLP_BODY_FORMAT.open(&request, &answer);

    require(body != NULL);
    if (OTLP_BODY_FORMAT.take(body, bytes, &err) && OTLP_BODY_FORMAT.end(body, &err)) {
        require(ledger_balances(&body->counts));
        OTLP_BODY_FORMAT.verdict(body, &answer);
        require(answer.status == 200);
        require((answer.counts.rejected > 0) == (body_rejected(body) > 0));
        require((answer.counts.rejected > 0) == (answer.words.len > 0));
        struct delta *delta = batch_take(body->batch);
        body->batch = NULL;
        require_points(delta);
        buf_printf(out, "%zu %zu %llu ", delta->series_count, delta->point_count,
                   (unsigned long long)body->counts.received);
        buf_str(out, buf_view(&answer.words));
        delta_free(delta);
    } else {
        require(err.text[0] != '\0' && (err.kind == ERROR_INVALID || err.kind == ERROR_FULL));
    }
    require(OTLP_BODY_FORMAT.size_bytes(body) < 2 * HELD_MAX);
    OTLP_BODY_FORMAT.close(body);
    http_answer_fini(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf as_sent = BUF_EMPTY;
    struct buf as_protobuf = BUF_EMPTY;
    struct buf converted = BUF_EMPTY;
    struct error err = ERROR_EMPTY;

    if (size == 0)
        return 0;
    struct str bytes = {(const char *)data + 1, size - 1};
    bool is_json = data[0] == '{';
    if (is_json) /* the brace is the body's own */
        bytes = (struct str){(const char *)data, size};
    take(is_json, bytes, &as_sent);
    if (is_json && otlp_json_convert(bytes, HELD_MAX, &converted, &err)) {
        take(false, buf_view(&converted), &as_protobuf);
        require(str_equal(buf_view(&as_sent), buf_view(&as_protobuf)));
    }
    buf_fini(&as_sent);
    buf_fini(&as_protobuf);
    buf_fini(&converted);
    return 0;
}
