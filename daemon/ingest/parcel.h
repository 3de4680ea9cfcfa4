/* The counts that go with the deltas of a hand-over, and whose they are.
 *
 * A delta has the counts of exactly the samples that it holds, so that in each snapshot of the
 * store the ledger says as many as there are. Which listener a sample came from nobody knows any
 * more: a part takes counts in the order of listeners, and when the hand-over is over each one's
 * are there. What came and is not settled is pending. */
#pragma once

#include "ingest/ingest_worker.h"

/* The sink tells the delta when it is done with it, or with a part of it. While it is under way the
 * worker `waits` for room, if not NULL, counts it as a part that is. */
void parcel_begin(struct delta *delta, struct ingest_worker *waits);

/* Moves the listeners' counts into the delta: all that were rejected and dropped, and so many that
 * were stored. */
void parcel_add_counts(struct delta *delta, struct ingest_worker *worker, uint64_t samples);

/* The part takes the counts of its samples from those that the last part of its hand-over has. */
void parcel_add_shares(struct delta *part, struct delta *last);

/* Samples that came after the hand-over had begun, of series whose turn it was not yet, went with
 * it: what the delta lacks for them it takes from the listeners. */
void parcel_add_late(struct delta *delta, struct ingest_worker *worker);

/* The delta will not be sent. */
void parcel_forget(struct delta *delta);
