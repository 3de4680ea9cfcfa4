/* What people ask of a metric's series: which there are, and by what they differ. */
#pragma once

#include "store/query.h"

enum { METRIC_LABELS_SERIES = 20 };

/* The names of its labels, as some METRIC_LABELS_SERIES series of each kind have them, in the arena
 * and in order; returns how many, at most LABELS_MAX. */
size_t metric_labels(struct read_txn *txn, struct str metric, struct arena *arena, struct str *out);

/* The ids of all series that a selector names, of any kind, in the arena. */
bool metric_series_ids(struct read_txn *txn, const struct selector *selector, struct arena *arena,
                       uint32_t **out, size_t *count, struct error *err);

/* The series of an id, copied into the arena; false: there is none any more. */
bool metric_series_of(struct read_txn *txn, uint32_t id, struct arena *arena,
                      struct query_series *out);

/* How many series somebody wants to be gone (writer_drop_series) and are still there. */
uint64_t metric_series_unwanted(struct read_txn *txn);
