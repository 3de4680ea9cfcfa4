/* Allocation that aborts when there is no memory.
 *
 * Out of memory ends the process: state is durable, so a restart loses at most the open second.
 * What a client can make grow has a limit of its own, so this is never an answer to a client. */
#pragma once

#include <stddef.h>

/* `size` bytes, not initialised. Free with free(). */
void *memory_alloc(size_t size);

/* `count` items of `size` bytes, all zero; aborts on overflow of the product. */
void *memory_zero(size_t count, size_t size);

/* realloc that aborts; `count` times `size` is checked for overflow. */
void *memory_grow(void *block, size_t count, size_t size);

/* A copy of `len` bytes with a NUL after them. */
char *memory_copy(const char *text, size_t len);
