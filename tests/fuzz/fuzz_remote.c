/* Any bytes as the body of a remote write of either version: the ledger balances, and what is
 * stored is such as may be stored; with a cache it is the same, whatever the cache knows, and so it
 * is when the symbols of 2.0 have other numbers. The first byte says which version. */
#include "base/wire.h"
#include "fuzz_points.h"
#include "ingest/remote_body.h"
#include "ingest/remote_types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_points(const struct delta *delta)
{
    require_points(delta);
    for (size_t i = 0; i < delta->point_count; i++) {
        const struct delta_point *point = &delta->points[i];
        require(point->tally != NULL || point->form == POINT_LEVEL || point->value >= 0);
    }
}

/* What became of it goes to `out`. */
static void check(struct body *body, struct buf *out)
{
    struct http_answer answer = {.dialect = HTTP_PLAIN};
    uint64_t dropped =
        body->counts.dropped[DROP_stale_marker] + body->counts.dropped[DROP_not_finite];

    require(ledger_balances(&body->counts));
    REMOTE_BODY_FORMAT.verdict(body, &answer);
    require(answer.status == (body_rejected(body) == 0 ? 204 : 400));
    require(answer.counts.samples + answer.counts.histograms == body->counts.stored + dropped);
    buf_str(out, buf_view(&answer.words));
    http_answer_fini(&answer);
    struct delta *delta = batch_take(body->batch);
    body->batch = NULL;
    check_points(delta);
    describe_delta(out, delta);
    buf_append(out, &body->counts, sizeof body->counts);
    delta_free(delta);
}

/* False: it would hold too much, which is a little more with a cache or with other numbers. */
static bool take(unsigned version, struct str bytes, struct series_cache *cache, struct buf *out)
{
    const struct http_head head = {
        .encoding = HTTP_SNAPPY,
        .content_type = version == 1
                            ? STR("application/x-protobuf")
                            : STR("application/x-protobuf;proto=io.prometheus.write.v2.Request")};
    uint64_t arrival = 0;
    const struct body_request request = {.head = &head,
                                         .rules = &RULES,
                                         .body_bytes_max = 64 * 1024,
                                         .now_us = NOW * 1000,
                                         .last_arrival = &arrival,
                                         .cache = cache};
    struct http_answer answer = HTTP_ANSWER_EMPTY;
    struct error err = ERROR_EMPTY;
    struct body *body = REMOTE_BODY_FORMAT.open(&request, &answer);

    require(body != NULL);
    buf_clear(out);
    if (REMOTE_BODY_FORMAT.take(body, bytes, &err) && REMOTE_BODY_FORMAT.end(body, &err))
        check(body, out);
    else
        require(err.kind == ERROR_INVALID || err.kind == ERROR_FULL);
    buf_text(out, err.text);
    require(REMOTE_BODY_FORMAT.size_bytes(body) < 4 * 1024 * 1024);
    REMOTE_BODY_FORMAT.close(body);
    return err.kind != ERROR_FULL;
}

/* --- other numbers ---------------------------------------------------------------------------- */

/* The number that symbol `number` of `count` has when those behind the first are in the reverse
 * order, behind one more. */
static uint32_t renumbered(uint64_t varint, uint32_t count)
{
    uint32_t number = (uint32_t)varint;

    if (number >= count)
        return UINT32_MAX;
    return number == 0 ? 0 : count + 1 - number;
}

/* A series with other references; false when it cannot be read. */
static bool renumber_series(struct str bytes, uint32_t count, struct buf *out)
{
    struct wire wire = wire_of(bytes);
    struct buf packed = BUF_EMPTY;
    bool ok = true;

    for (const unsigned char *at = wire.at; wire_next(&wire); at = wire.at) {
        if (wire.tag == WIRE_TAG(1, WIRE_BYTES)) {
            struct wire references = wire_of(wire_bytes(&wire));
            buf_clear(&packed);
            while (wire_more(&references))
                buf_varint(&packed, renumbered(wire_varint(&references), count));
            ok = ok && references.ok;
            buf_varint(out, WIRE_TAG(1, WIRE_BYTES));
            buf_varint(out, packed.len);
            buf_str(out, buf_view(&packed));
        } else if (wire.tag == WIRE_TAG(1, WIRE_VARINT)) {
            buf_varint(out, WIRE_TAG(1, WIRE_VARINT));
            buf_varint(out, renumbered(wire_varint(&wire), count));
        } else {
            wire_skip(&wire);
            buf_append(out, at, (size_t)(wire.at - at));
        }
    }
    buf_fini(&packed);
    return ok && wire.ok;
}

static void put_bytes(struct buf *out, unsigned field, struct str bytes)
{
    buf_varint(out, WIRE_TAG(field, WIRE_BYTES));
    buf_varint(out, bytes.len);
    buf_str(out, bytes);
}

/* A request of 2.0 that says the same with symbols that have other numbers; false when it cannot be
 * read. */
static bool renumber(struct str bytes, struct buf *out)
{
    enum { SYMBOLS_MAX = 4096 };
    static struct str symbols[SYMBOLS_MAX];
    struct wire wire = wire_of(bytes);
    struct buf series = BUF_EMPTY;
    uint32_t count = 0;

    for (; count < SYMBOLS_MAX && wire_next(&wire);) {
        if (wire.tag == WIRE_TAG(4, WIRE_BYTES))
            symbols[count++] = wire_bytes(&wire);
        else
            wire_skip(&wire);
    }
    bool ok = wire.ok && count > 0 && count < SYMBOLS_MAX;
    if (ok) {
        put_bytes(out, 4, symbols[0]);
        put_bytes(out, 4, STR("one more"));
        for (uint32_t i = count - 1; i > 0; i--)
            put_bytes(out, 4, symbols[i]);
    }
    wire = wire_of(bytes);
    while (ok && wire_next(&wire)) {
        if (wire.tag != WIRE_TAG(5, WIRE_BYTES)) {
            wire_skip(&wire);
            continue;
        }
        buf_clear(&series);
        ok = renumber_series(wire_bytes(&wire), count, &series);
        put_bytes(out, 5, buf_view(&series));
    }
    buf_fini(&series);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct series_cache *cache;
    struct buf without = BUF_EMPTY;
    struct buf with = BUF_EMPTY;
    struct buf other = BUF_EMPTY;

    if (size == 0)
        return 0;
    unsigned version = data[0] % 2 == 1 ? 1 : 2;
    struct str bytes = {(const char *)data + 1, size - 1};
    if (cache == NULL)
        cache = series_cache_new(RULES.seed, CACHE_BYTES);
    bool is_told = take(version, bytes, NULL, &without);
    for (int i = 0; i < 2; i++) {
        if (take(version, bytes, cache, &with) && is_told)
            require(str_equal(buf_view(&without), buf_view(&with)));
    }
    if (version == 2 && renumber(bytes, &other) && take(2, buf_view(&other), cache, &with) &&
        is_told)
        require(str_equal(buf_view(&without), buf_view(&with)));
    buf_fini(&without);
    buf_fini(&with);
    buf_fini(&other);
    remote_types_forget();
    return 0;
}
