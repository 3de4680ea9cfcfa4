#include "store/mixed.h"

#include <string.h>

#include "store/store_private.h"

bool mixed_decode(struct str row, struct str *metric, struct mixed *out)
{
    struct reader reader = reader_of(row);
    wall_ms before = WALL_NONE;

    *metric = read_block(&reader);
    out->count = read_u32(&reader);
    if (out->count > MIXED_SPANS_MAX)
        return false;
    for (size_t i = 0; i < out->count; i++) {
        struct mixed_span *span = &out->spans[i];
        span->from = read_i64(&reader);
        span->to = read_i64(&reader);
        if (span->from > span->to || (i > 0 && span->from <= before))
            return false;
        before = span->to;
    }
    return reader.ok && reader.left == 0 && out->count > 0;
}

void mixed_of_metric(struct read_txn *txn, struct str metric, struct mixed *out)
{
    struct schema_key key = schema_name_key(metric);
    const struct str name = {(const char *)key.bytes, key.len};
    struct str row;
    struct str stored;

    *out = (struct mixed){.count = 0};
    if (!store_get(txn, DATABASE_MIXED, name, &row))
        return;
    if (!mixed_decode(row, &stored, out) || !str_equal(stored, metric))
        *out = (struct mixed){.count = 0};
}

bool mixed_in(const struct mixed *mixed, wall_ms from, wall_ms to)
{
    for (size_t i = 0; i < mixed->count; i++) {
        if (mixed->spans[i].from < to && mixed->spans[i].to >= from)
            return true;
    }
    return false;
}

static bool are_near(struct mixed_span earlier, struct mixed_span later)
{
    return later.from <= earlier.to || (uint64_t)later.from - (uint64_t)earlier.to <= MIXED_SPAN_MS;
}

/* Makes one of each two neighbours that are near. */
static void join(struct mixed_span *spans, size_t *count)
{
    size_t kept = 0;

    for (size_t i = 1; i < *count; i++) {
        if (are_near(spans[kept], spans[i]))
            spans[kept].to = spans[i].to > spans[kept].to ? spans[i].to : spans[kept].to;
        else
            spans[++kept] = spans[i];
    }
    *count = kept + 1;
}

static void add_span(struct mixed *mixed, struct mixed_span span)
{
    struct mixed_span spans[MIXED_SPANS_MAX + 1];
    size_t count = mixed->count + 1;
    size_t at = mixed->count;

    memcpy(spans, mixed->spans, mixed->count * sizeof *spans);
    for (; at > 0 && spans[at - 1].from > span.from; at--)
        spans[at] = spans[at - 1];
    spans[at] = span;
    join(spans, &count);
    if (count > MIXED_SPANS_MAX) { /* the two oldest are one */
        spans[1].from = spans[0].from;
        memmove(spans, spans + 1, --count * sizeof *spans);
    }
    memcpy(mixed->spans, spans, count * sizeof *spans);
    mixed->count = count;
}

bool mixed_note(struct write_txn *txn, struct str metric, struct mixed_span span, struct error *err)
{
    struct schema_key key = schema_name_key(metric);
    struct buf row = BUF_EMPTY;
    struct mixed mixed;

    mixed_of_metric(&txn->reader, metric, &mixed);
    add_span(&mixed, span);
    buf_block(&row, metric);
    buf_u32(&row, (uint32_t)mixed.count);
    for (size_t i = 0; i < mixed.count; i++) {
        buf_i64(&row, mixed.spans[i].from);
        buf_i64(&row, mixed.spans[i].to);
    }
    bool ok = store_put(txn, DATABASE_MIXED, store_key(&key), buf_view(&row), 0, err);
    buf_fini(&row);
    return ok;
}
