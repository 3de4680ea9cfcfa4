/* When two senders were seen under one series of a metric (FIG-24, O11): its figures of that time
 * are partial. One row a metric, as long as it is.
 *
 * mixed: NAME of the metric -> u32 bytes of the name, the name, u32 n, n times i64 from, i64 to:
 * spans of time, the oldest first, disjoint */
#pragma once

#include "store/store.h"

struct write_txn;

/* Spans nearer to each other than this are one, and so are the oldest ones of too many. */
enum { MIXED_SPANS_MAX = 32 };
#define MIXED_SPAN_MS (INT64_C(10) * MS_PER_MINUTE)

struct mixed_span {
    wall_ms from, to; /* to: the last point that said so */
};

struct mixed {
    size_t count; /* 0: never */
    struct mixed_span spans[MIXED_SPANS_MAX];
};

/* What is known of a metric. A row that cannot be read is none. */
void mixed_of_metric(struct read_txn *txn, struct str metric, struct mixed *out);

/* Whether it was mixed in a range of time, half open. */
bool mixed_in(const struct mixed *mixed, wall_ms from, wall_ms to);

/* Adds a span; for the writer. */
bool mixed_note(struct write_txn *txn, struct str metric, struct mixed_span span,
                struct error *err);

/* False: the bytes are no row. */
bool mixed_decode(struct str row, struct str *metric, struct mixed *out);
