/* What Prometheus' senders say that a metric is, and what its name says where they do not: whether
 * its samples count up.
 *
 * A sender of remote write 1.0 says it in requests of their own, once a minute, on any of its
 * connections. So it is remembered for the whole process: by hash and in REMOTE_TYPES_MAX places at
 * most, newer ones in the place of others when all that a hash may have are taken. Any thread,
 * no locks. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* As both versions of the protocol number them. */
enum remote_type {
    REMOTE_UNKNOWN = 0,
    REMOTE_COUNTER = 1,
    REMOTE_GAUGE = 2,
    REMOTE_HISTOGRAM = 3,
    REMOTE_GAUGE_HISTOGRAM = 4,
    REMOTE_SUMMARY = 5,
    REMOTE_INFO = 6,
    REMOTE_STATESET = 7,
};

enum { REMOTE_TYPES_MAX = 32 * 1024 };

/* `seed` is the same for all callers, and nobody knows it. REMOTE_UNKNOWN and numbers that are no
 * type change nothing. */
void remote_types_remember(uint64_t seed, struct str family, uint64_t type);

/* The type of the family that a series of this name belongs to; REMOTE_UNKNOWN when nobody said. */
enum remote_type remote_types_find(uint64_t seed, struct str name);

/* Grows after anything that remote_types_find says may have changed: what was found later than this
 * was asked for is right as long as it is the same. */
uint32_t remote_types_version(void);

/* Whether a series of this name, in a family of this type, counts up since its sender began:
 * counters, and the buckets, sums and counts of histograms and summaries. Of an unknown type it is
 * what the names end with that these have: _total, _bucket, _sum, _count. */
bool remote_counts_up(struct str name, enum remote_type type);

/* For tests: nothing is remembered any more. */
void remote_types_forget(void);
