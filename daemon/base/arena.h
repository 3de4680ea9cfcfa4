/* Memory that is freed all at once.
 *
 * For work with one end: a request, an evaluation, a configuration. Not for more than one thread.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used_bytes; /* of the newest block */
    size_t total_bytes;
};

#define ARENA_EMPTY                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

void arena_fini(struct arena *arena);

/* Frees all but one block, so that a loop that fills it each time asks the system once. */
void arena_reset(struct arena *arena);

/* `size` zeroed bytes, aligned for any type; valid until the arena is reset or finished. */
void *arena_alloc(struct arena *arena, size_t size);

/* `count` zeroed items of `size` bytes; aborts on overflow. */
void *arena_array(struct arena *arena, size_t count, size_t size);

/* Copies, with a NUL after the text. */
struct str arena_str(struct arena *arena, struct str text);
char *arena_text(struct arena *arena, struct str text);

__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *arena, const char *format,
                                                         ...);

/* Makes room for one more item of a growing array in the arena: returns the array, moved if it had
 * to grow. `count` items are in use, `*capacity` fit. */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t *capacity, size_t size);
