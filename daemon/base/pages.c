#include "base/pages.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; before it is refused, and nothing is lost */
#endif

static size_t whole_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

void *pages_new(size_t size)
{
    size_t whole = whole_pages(size);
    size_t asked = whole + PAGES_HUGE_BYTES;

    char *block = asked < size ? MAP_FAILED
                               : mmap(NULL, asked, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED) {
        (void)fprintf(stderr, "kpid: out of memory (%zu bytes)\n", size);
        abort();
    }
    size_t before = PAGES_HUGE_BYTES - (uintptr_t)block % PAGES_HUGE_BYTES;
    before = before == PAGES_HUGE_BYTES ? 0 : before;
    size_t after = asked - before - whole;
    if (before > 0)
        (void)munmap(block, before);
    if (after > 0)
        (void)munmap(block + before + whole, after);
    return block + before;
}

void pages_free(void *pages, size_t size)
{
    if (pages != NULL)
        (void)munmap(pages, whole_pages(size));
}

void pages_want_huge(void *at, size_t size)
{
    (void)madvise(at, size, MADV_HUGEPAGE);
}

void pages_make_huge(void *at, size_t size)
{
    if (madvise(at, size, MADV_COLLAPSE) != 0)
        (void)madvise(at, size, MADV_HUGEPAGE); /* the system does it when it finds the time */
}
