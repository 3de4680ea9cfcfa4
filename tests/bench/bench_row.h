/* How a benchmark prints one figure beside its bar; tools/bench reads these lines. */
#pragma once

#include <stdio.h>

/* `beside`: what the machine itself does in the same run, and what else explains the figure. */
static inline void bench_row(const char *what, double value, const char *unit, double bar,
                             const char *beside)
{
    (void)printf("%-52s %10.3f %-5s bar %10.3f  %-6s %s\n", what, value, unit, bar,
                 value <= bar ? "met" : "MISSED", beside);
    (void)fflush(stdout);
}
