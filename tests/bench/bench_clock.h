/* The time of the processor that this thread has had, for others may want it too. */
#pragma once

#include <time.h>

static inline double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
