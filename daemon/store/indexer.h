/* Brings new series into the index and merges its runs, in the background, in steps. Private to
 * store/.
 *
 * Each step is a part of one transaction, of at most INDEX_STEP_CPU_US of CPU and INDEX_STEP_BYTES
 * of changed pages. New series become one run a step, together with small runs that were made
 * before, so that a trickle of series leaves few runs behind. Larger runs are merged when those
 * after them have grown to a quarter of them: at most one run for each power of 4 of what there
 * is. What a merge builds stands in `garbage` until its last step lists it. */
#pragma once

#include "store/index.h"

enum { INDEX_STEP_CPU_US = 12 * 1000, INDEX_STEP_BYTES = 4 << 20 };

struct catalog_indexer;

struct catalog_indexer *catalog_indexer_new(void);
void catalog_indexer_free(struct catalog_indexer *indexer); /* NULL is fine */

/* After a step whose transaction did not hold: begins anew from what is stored. */
void catalog_indexer_forget(struct catalog_indexer *indexer);

/* Does one step. `*more`: it did something, and there may be more to do. An index that cannot be
 * read is made anew from the series. */
bool catalog_index_step(struct catalog_indexer *indexer, struct write_txn *txn, bool *more,
                        struct error *err);

/* The run that is being built over several steps, which parts_collect has to leave alone; 0: none.
 */
uint64_t catalog_indexer_building(const struct catalog_indexer *indexer);
