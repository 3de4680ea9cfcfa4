#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *check(void *block, size_t size)
{
    if (block == NULL) {
        (void)fprintf(stderr, "kpid: out of memory (%zu bytes)\n", size);
        abort();
    }
    return block;
}

void *memory_alloc(size_t size)
{
    return check(malloc(size == 0 ? 1 : size), size);
}

void *memory_zero(size_t count, size_t size)
{
    return check(calloc(count == 0 ? 1 : count, size == 0 ? 1 : size), size);
}

void *memory_grow(void *block, size_t count, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(count, size, &total))
        check(NULL, SIZE_MAX);
    return check(realloc(block, total == 0 ? 1 : total), total);
}

char *memory_copy(const char *text, size_t len)
{
    char *copy = memory_alloc(len + 1);
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}
