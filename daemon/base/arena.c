#include "base/arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { BLOCK_BYTES = 8192, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size_bytes; /* of `bytes` */
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

void arena_fini(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used_bytes = 0;
    arena->total_bytes = 0;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *kept = arena->blocks;
    if (kept == NULL)
        return;
    while (kept->next != NULL) {
        struct arena_block *next = kept->next;
        kept->next = next->next;
        free(next);
    }
    arena->used_bytes = 0;
    arena->total_bytes = kept->size_bytes;
}

static void add_block(struct arena *arena, size_t at_least)
{
    size_t size = at_least > BLOCK_BYTES ? at_least : BLOCK_BYTES;
    struct arena_block *block = memory_alloc(sizeof *block + size);

    block->next = arena->blocks;
    block->size_bytes = size;
    arena->blocks = block;
    arena->used_bytes = 0;
    arena->total_bytes += size;
}

/* Not zeroed. */
static void *take(struct arena *arena, size_t size)
{
    assert(size < SIZE_MAX / 2);
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (arena->blocks == NULL || arena->blocks->size_bytes - arena->used_bytes < size)
        add_block(arena, size);
    void *found = arena->blocks->bytes + arena->used_bytes;
    arena->used_bytes += size;
    return found;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return memset(take(arena, size), 0, size);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total))
        abort();
    return arena_alloc(arena, total);
}

char *arena_text(struct arena *arena, struct str text)
{
    char *copy = take(arena, text.len + 1);
    if (text.len > 0)
        memcpy(copy, text.text, text.len);
    copy[text.len] = '\0';
    return copy;
}

struct str arena_str(struct arena *arena, struct str text)
{
    return (struct str){arena_text(arena, text), text.len};
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    (void)vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

void *arena_grow(struct arena *arena, void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    size_t more = *capacity == 0 ? 8 : *capacity * 2;
    void *grown = arena_array(arena, more, size);
    if (count > 0)
        memcpy(grown, items, count * size);
    *capacity = more;
    return grown;
}
