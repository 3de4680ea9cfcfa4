/* What histogram.c and histogram_read.c share. */
#pragma once

#include "series/bounded.h"
#include "series/histogram.h"
#include "series/histogram_side.h"

enum { POSITIVE = 0, NEGATIVE = 1 };

struct histogram {
    struct side sides[2];
    struct bounded *bounded; /* owned; NULL: nothing came so */
    uint64_t zeros;
    uint64_t total;  /* of all, with `bounded` */
    uint8_t coarser; /* HISTOGRAM_SCALE_MAX - scale */
};

/* The point of a bucket whose relative distance to the farthest double in it is least: the harmonic
 * mean of the first and the last one. */
double histogram_middle(int32_t index, unsigned coarser);
