/* What is kept of a period that has closed (FIG-29): its figure and verdicts as they were said
 * last, so that late samples that change them are noticed (FIG-30).
 *
 * RECORD_FIGURE: key KPI's id, u8 0, u8 1 + period kind, i64 from (big-endian, 2^63 added); value
 *   u8 version 1, i64 to, u8 flags (1 null, 2 partial), u8 null reason, f64 value (base units),
 *   u64 fingerprint, u64 commit, i64 evaluated_at,
 *   u32 n, n times: block target's id, u64 fingerprint, u8 status
 * and key KPI's id, u8 0; value (struct period_mark)
 *   u8 version 1, u64 since, u64 until, u8 kind, i64 next */
#pragma once

#include "base/buf.h"
#include "kpi/kpi.h"

/* How a target of that period's kind was met. */
struct period_verdict {
    struct str target;
    uint64_t fingerprint; /* of what the target asks for */
    enum kpi_status_code code;
};

struct period_record {
    wall_ms to;
    bool is_null;
    bool is_partial;
    enum null_reason reason; /* of a null one */
    double value;            /* base units */
    uint64_t fingerprint;    /* of the formula and of what else decides a figure */
    uint64_t commit;         /* the snapshot that it was computed from */
    wall_ms at;              /* when */
    const struct period_verdict *verdicts;
    size_t verdict_count;
};

/* Late samples up to commit `since` were looked for. A look that takes several steps goes from
 * there to `until` and has come to the period of `kind` that begins at `next`; 0: none is under
 * way. */
struct period_mark {
    uint64_t since;
    uint64_t until;
    enum period_kind kind;
    wall_ms next;
};

/* Keys, in the arena. */
struct str period_key(struct str kpi, enum period_kind kind, wall_ms from, struct arena *arena);
struct str period_key_prefix(struct str kpi, enum period_kind kind, struct arena *arena);
struct str period_mark_key(struct str kpi, struct arena *arena);

/* When the period of a key begins; false: it is no such key. */
bool period_key_from(struct str key, wall_ms *from);

/* Values: in the arena; what is decoded points into the bytes. False: they are no such value, to
 * the last byte. */
struct str period_record_encode(const struct period_record *record, struct arena *arena);
bool period_record_decode(struct str bytes, struct arena *arena, struct period_record *out);
struct str period_mark_encode(const struct period_mark *mark, struct arena *arena);
bool period_mark_decode(struct str bytes, struct period_mark *out);

/* Whether two records come from the same definition: what differs between them came with the
 * samples. */
uint64_t period_fingerprint(const struct kpi *kpi, const struct metric_table *metrics);
uint64_t period_target_fingerprint(const struct kpi *kpi, const struct target *target);
