/* Batches that are counted once, however often they are sent (design 5). Private to store/.
 *
 * Decided and remembered in the transaction that stores the batch, so two copies in one group are
 * told apart too. Remembered for IDENTITY_KEEP_MS after the last use, and IDENTITIES_MAX of them at
 * most: then the one that was not used for longest is forgotten. What comes again after that counts
 * again (a key), or is a producer that begins anew.
 *
 * identities: 16 bytes name (of a key with its first bit set, of a producer without)
 *   producer  -> u8 1, i64 used_at, u64 epoch, u64 highest sequence, 128 bytes bitmap: bit i of
 *                byte i / 8 (from the lowest) is 1 when sequence highest - 1 - i was stored
 *   key       -> u8 2, i64 used_at, u64 high, u64 low of the body's hash, block answer
 * identity_ages has used_at and the name of each. To save writes used_at moves only when it is off
 * by IDENTITY_AGE_STEP_MS or more, so a forgotten one may be that much younger. */
#pragma once

#include "series/delta.h"
#include "store/store_private.h"

enum { IDENTITY_WINDOW = 1024, IDENTITIES_MAX = 1000 * 1000, IDENTITY_ANSWER_MAX = 64 * 1024 };
#define IDENTITY_KEEP_MS     (INT64_C(7) * MS_PER_DAY)
#define IDENTITY_AGE_STEP_MS (INT64_C(1) * MS_PER_HOUR)

/* Whether the batch is new (DELTA_STORED, and it is remembered now), or what it is. Sets the
 * delta's outcome, and its answer when it is repeated. Without an identity it is always new. An
 * answer of more than IDENTITY_ANSWER_MAX bytes is not kept: repeated, it is empty. What is stored
 * and cannot be read is never taken for new: a producer is DELTA_TOO_OLD, a key DELTA_CONFLICT,
 * until it is forgotten. False: LMDB failed. */
bool identity_decide(struct write_txn *txn, struct delta *delta, wall_ms now, struct error *err);

/* After identity_decide in the same transaction, when answers have changed since: that of a new
 * batch is kept, and one that is repeated gets what is kept. Nothing without a key. */
bool identity_settle_answer(struct write_txn *txn, struct delta *delta, struct error *err);

/* Forgets what is too old or too much, up to `max`; `*removed` says how many. In a transaction of
 * its own. `now` is the guarded clock's (store/guard.h): a jump ahead must not forget all. */
bool identity_expire(struct write_txn *txn, wall_ms now, size_t max, size_t *removed,
                     struct error *err);
