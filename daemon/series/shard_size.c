/* How many series a shard knows, how much memory it holds, and how that is freed. */
#include <stdlib.h>

#include "series/shard_private.h"

enum { PAGE_BYTES = 4096 };

size_t shard_series_count(const struct shard *shard)
{
    return shard->series.count;
}

size_t shard_pending_bytes(const struct shard *shard)
{
    size_t bytes = 0;

    for (size_t i = 0; i < 2; i++) {
        const struct pending *pending = &shard->pending[i];
        bytes += pending->touched_count * sizeof *pending->touched +
                 pending->side_count * sizeof(struct side) + pending->spread_count * SPREAD_BYTES +
                 slots_size_bytes(&pending->other_minutes) + pending->owned_bytes +
                 pending->total_count * sizeof *pending->totals + pending->new_keys.len +
                 pending->extra_count * sizeof *pending->extra;
    }
    return bytes;
}

static size_t at_most(size_t size, size_t most)
{
    return size < most ? size : most;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Of pages that have not been touched nothing is there. */
size_t shard_size_bytes(const struct shard *shard)
{
    size_t bytes = sizeof *shard + shard->chunk_capacity * sizeof *shard->chunks +
                   slots_size_bytes(&shard->raw_keys) + slots_size_bytes(&shard->series) +
                   shard->key.capacity;

    if (shard->chunk_count > 0)
        bytes += (shard->chunk_count - 1) * CHUNK_BYTES +
                 at_most(shard->units_used * UNIT_BYTES + PAGE_BYTES, CHUNK_BYTES);
    for (size_t i = 0; i < 2; i++) {
        const struct pending *pending = &shard->pending[i];
        bytes += slots_size_bytes(&pending->other_minutes) +
                 pending->touched_capacity * sizeof *pending->touched + pending->owned_bytes +
                 pending->new_keys.capacity + pending->total_capacity * sizeof *pending->totals +
                 pending->extra_count * sizeof *pending->extra +
                 at_most(most(pending->side_count, pending->side_most) * sizeof(struct side) +
                             PAGE_BYTES,
                         pending->side_chunk_count * SIDES_PER_CHUNK * sizeof(struct side)) +
                 at_most(most(pending->spread_count, pending->spread_most) * SPREAD_BYTES +
                             (size_t)2 * PAGE_BYTES,
                         pending->spread_chunk_count * sizeof(struct spread_chunk));
    }
    return bytes;
}

/* --- the end ----------------------------------------------------------------------------------*/

void chunks_free(char **chunks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pages_free(chunks[i], CHUNK_BYTES);
    free(chunks);
}

static void pending_fini(struct pending *pending)
{
    for (size_t i = 0; i < pending->side_count; i++) {
        struct side *side = side_at(pending, (uint32_t)i);
        cell_fini(&side->cell);
        if (side->changes != NULL)
            gauge_changes_fini(side->changes);
        free(side->changes);
    }
    side_chunks_free(pending, 0);
    spread_chunks_free(pending, 0);
    free(pending->side_chunks);
    free(pending->spread_chunks);
    slots_fini(&pending->other_minutes);
    free(pending->totals);
    free(pending->extra);
    free(pending->touched);
    buf_fini(&pending->new_keys);
}

void shard_free(struct shard *shard)
{
    if (shard == NULL)
        return;
    for (size_t i = 0; i < 2; i++)
        pending_fini(&shard->pending[i]);
    free(shard->other_heads);
    free(shard->other_next);
    chunks_free(shard->chunks, shard->chunk_count);
    slots_fini(&shard->raw_keys);
    slots_fini(&shard->series);
    listeners_fini(shard);
    buf_fini(&shard->key);
    free(shard->mapped);
    free(shard);
}
