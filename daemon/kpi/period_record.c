#include "kpi/period_record.h"

#include "series/series_key.h"

enum { VERSION = 1, IS_NULL = 1, IS_PARTIAL = 2, FROM_BYTES = 8 };

#define SIGN (UINT64_C(1) << 63)

/* --- keys --- */

static struct str copy_out(struct buf *bytes, struct arena *arena)
{
    struct str copy = arena_str(arena, buf_view(bytes));
    buf_fini(bytes);
    return copy;
}

static void write_prefix(struct str kpi, enum period_kind kind, struct buf *out)
{
    buf_str(out, kpi);
    buf_u8(out, 0);
    buf_u8(out, (uint8_t)(1 + kind));
}

struct str period_key_prefix(struct str kpi, enum period_kind kind, struct arena *arena)
{
    struct buf key = BUF_EMPTY;
    write_prefix(kpi, kind, &key);
    return copy_out(&key, arena);
}

struct str period_key(struct str kpi, enum period_kind kind, wall_ms from, struct arena *arena)
{
    struct buf key = BUF_EMPTY;
    uint64_t ordered = (uint64_t)from ^ SIGN;

    write_prefix(kpi, kind, &key);
    for (int shift = 8 * (FROM_BYTES - 1); shift >= 0; shift -= 8)
        buf_u8(&key, (uint8_t)(ordered >> shift));
    return copy_out(&key, arena);
}

struct str period_mark_key(struct str kpi, struct arena *arena)
{
    struct buf key = BUF_EMPTY;
    buf_str(&key, kpi);
    buf_u8(&key, 0);
    return copy_out(&key, arena);
}

bool period_key_from(struct str key, wall_ms *from)
{
    uint64_t ordered = 0;

    if (key.len < FROM_BYTES + 2)
        return false;
    for (size_t i = key.len - FROM_BYTES; i < key.len; i++)
        ordered = ordered << 8 | (unsigned char)key.text[i];
    *from = (wall_ms)(ordered ^ SIGN);
    return true;
}

/* --- values --- */

struct str period_record_encode(const struct period_record *record, struct arena *arena)
{
    struct buf bytes = BUF_EMPTY;

    buf_u8(&bytes, VERSION);
    buf_i64(&bytes, record->to);
    buf_u8(&bytes,
           (uint8_t)((record->is_null ? IS_NULL : 0) | (record->is_partial ? IS_PARTIAL : 0)));
    buf_u8(&bytes, (uint8_t)record->reason);
    buf_double(&bytes, record->is_null ? 0 : record->value);
    buf_u64(&bytes, record->fingerprint);
    buf_u64(&bytes, record->commit);
    buf_i64(&bytes, record->at);
    buf_u32(&bytes, (uint32_t)record->verdict_count);
    for (size_t i = 0; i < record->verdict_count; i++) {
        const struct period_verdict *verdict = &record->verdicts[i];
        buf_block(&bytes, verdict->target);
        buf_u64(&bytes, verdict->fingerprint);
        buf_u8(&bytes, (uint8_t)verdict->code);
    }
    return copy_out(&bytes, arena);
}

static bool decode_verdicts(struct reader *reader, struct arena *arena, struct period_record *out)
{
    uint32_t count = read_u32(reader);

    if (!reader->ok || count > reader->left) /* each is more than a byte */
        return false;
    struct period_verdict *verdicts = arena_array(arena, count, sizeof *verdicts);
    for (uint32_t i = 0; i < count; i++) {
        verdicts[i].target = read_block(reader);
        verdicts[i].fingerprint = read_u64(reader);
        uint8_t code = read_u8(reader);
        if (!reader->ok || code > KPI_MISSED)
            return false;
        verdicts[i].code = (enum kpi_status_code)code;
    }
    out->verdicts = verdicts;
    out->verdict_count = count;
    return true;
}

bool period_record_decode(struct str bytes, struct arena *arena, struct period_record *out)
{
    struct reader reader = reader_of(bytes);
    struct period_record record = {0};

    uint8_t version = read_u8(&reader);
    record.to = read_i64(&reader);
    uint8_t flags = read_u8(&reader);
    uint8_t reason = read_u8(&reader);
    record.value = read_double(&reader);
    record.fingerprint = read_u64(&reader);
    record.commit = read_u64(&reader);
    record.at = read_i64(&reader);
    if (!decode_verdicts(&reader, arena, &record) || reader.left != 0 || version != VERSION ||
        flags > (IS_NULL | IS_PARTIAL) || reason > NULL_TOO_LARGE)
        return false;
    record.is_null = (flags & IS_NULL) != 0;
    record.is_partial = (flags & IS_PARTIAL) != 0;
    record.reason = (enum null_reason)reason;
    *out = record;
    return true;
}

struct str period_mark_encode(const struct period_mark *mark, struct arena *arena)
{
    struct buf bytes = BUF_EMPTY;

    buf_u8(&bytes, VERSION);
    buf_u64(&bytes, mark->since);
    buf_u64(&bytes, mark->until);
    buf_u8(&bytes, (uint8_t)mark->kind);
    buf_i64(&bytes, mark->next);
    return copy_out(&bytes, arena);
}

bool period_mark_decode(struct str bytes, struct period_mark *out)
{
    struct reader reader = reader_of(bytes);

    uint8_t version = read_u8(&reader);
    *out = (struct period_mark){.since = read_u64(&reader)};
    out->until = read_u64(&reader);
    uint8_t kind = read_u8(&reader);
    out->next = read_i64(&reader);
    out->kind = (enum period_kind)kind;
    return reader.ok && reader.left == 0 && version == VERSION && kind <= PERIOD_YEAR;
}

/* --- fingerprints --- */

static uint64_t hash_out(struct buf *bytes)
{
    struct series_hash hash = series_key_hash(buf_view(bytes));

    buf_fini(bytes);
    return hash.low;
}

static void add_unit(struct buf *bytes, const struct unit *unit)
{
    buf_u8(bytes, (uint8_t)unit->dimension);
    buf_double(bytes, unit->scale);
    buf_block(bytes, str_of(unit->name));
}

static void add_metric(struct buf *bytes, const struct metric_definition *metric)
{
    buf_u8(bytes, (uint8_t)(metric->has_kind ? metric->kind : 0));
    buf_block(bytes, str_of(metric->unit == NULL ? "" : metric->unit));
    buf_i64(bytes, metric->stale_after);
    buf_u8(bytes, (uint8_t)metric->over_labels);
    buf_i64(bytes, metric->has_range ? metric->range_low : 0);
    buf_i64(bytes, metric->has_range ? metric->range_high : 0);
}

/* What the metrics of a formula are declared to be. */
static void add_metrics(struct buf *bytes, const struct formula_node *node,
                        const struct metric_table *metrics)
{
    if (node == NULL)
        return;
    if (node->op == FORMULA_CALL) {
        const struct metric_definition *metric = metric_find(metrics, node->selector.metric);
        if (metric != NULL)
            add_metric(bytes, metric);
    }
    add_metrics(bytes, node->left, metrics);
    add_metrics(bytes, node->right, metrics);
}

uint64_t period_fingerprint(const struct kpi *kpi, const struct metric_table *metrics)
{
    struct buf bytes = BUF_EMPTY;

    buf_block(&bytes, str_of(kpi->formula.text));
    add_unit(&bytes, &kpi->unit);
    buf_block(&bytes, str_of(calendar_zone(kpi->calendar)));
    buf_u8(&bytes, (uint8_t)calendar_week_start(kpi->calendar));
    add_metrics(&bytes, kpi->formula.root, metrics);
    return hash_out(&bytes);
}

uint64_t period_target_fingerprint(const struct kpi *kpi, const struct target *target)
{
    struct buf bytes = BUF_EMPTY;

    buf_double(&bytes, kpi->min_denominator);
    buf_double(&bytes, kpi->min_count);
    buf_u8(&bytes, (uint8_t)target->kind);
    buf_double(&bytes, target->to);
    buf_u8(&bytes, (uint8_t)target->every);
    buf_u8(&bytes, target->strict);
    return hash_out(&bytes);
}
