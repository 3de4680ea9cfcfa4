/* Large blocks that are read at random places: whole pages from the system, huge ones where it has
 * them, because a look-up in the tables of pages costs as much as one in the memory itself.
 *
 * Memory is resident only once it is touched, so a block may be made as large as it may become. */
#pragma once

#include <stddef.h>

#define PAGES_HUGE_BYTES ((size_t)2 << 20)

/* `size` bytes of zeros that begin where a huge page may begin. Aborts when there are none. */
void *pages_new(size_t size);

/* `size` as it was asked for; NULL is fine. */
void pages_free(void *pages, size_t size);

/* What of it has not been touched yet is to be resident in huge pages, each as a whole: for what is
 * going to be full. Whether it comes true is the system's to say. */
void pages_want_huge(void *at, size_t size);

/* The same for what is full already; it may be copied. */
void pages_make_huge(void *at, size_t size);
