/* What chunk.c and chunk_read.c share: the numbers of the stored form (store/chunk.h), and places.
 */
#pragma once

#include <endian.h>
#include <string.h>
#include <xxhash.h>

#include "series/sample.h"
#include "store/block_number.h"
#include "store/chunk.h"

enum {
    CHUNK_VERSION = 1,
    COUNT_AT = 1,
    QUARTER_AT = 3,
    HEADER_BYTES = 11,
    RESTART_BYTES = 2,
    CHECKSUM_BYTES = 4,
    CELLS_PER_RESTART = 16,
    CELL_BYTES_MIN = 4,
    FIXED_BYTES_MAX = 160, /* of a cell, but for its sketches: it has less than 140 */
    NIBBLE_BITS = 4,
    NIBBLE_MAX = 15,
};

enum shape { SHAPE_ONE, SHAPE_WEIGHTED, SHAPE_MANY, SHAPE_MORE, SHAPE_EMPTY = SHAPE_MORE };

enum { SHAPE_MASK = 3, ARRIVAL_SHIFT = 2, NUMBER_SHIFT = 4, TIME_SHIFT = 7 };

enum { MORE_DISTINCT = 4, MORE_COUNTS_VALUES = 8, MORE_BYTES = 16, MORE_ALL = 31 };

enum {
    MANY_LAST_SHIFT = 2,
    MANY_ARRIVAL_SHIFT = 4,
    MANY_TIME_SHIFT = 6,
    MANY_FLAT = 128, /* max is min */
    MANY_SUM_SHIFT = 3,
    MANY_SUM_LOW = 64,
};

enum same { SAME_AS_NONE, SAME_AS_MIN, SAME_AS_MAX, SAME_AS_FIRST };

enum arrival_form { ARRIVAL_U16, ARRIVAL_I32, ARRIVAL_ITSELF, ARRIVAL_NONE };

enum number_form {
    NUMBER_ZERO,
    NUMBER_TOP2,
    NUMBER_TOP3,
    NUMBER_TOP4,
    NUMBER_DOUBLE,
    NUMBER_HUNDREDTHS,
    NUMBER_THOUSANDTHS,
    NUMBER_PRODUCT,
    NUMBER_MASK = 7,
};

static const unsigned TIME_BYTES[] = {2, 8};
static const unsigned ARRIVAL_BYTES[] = {2, 4, 8, 0};
static const unsigned NUMBER_BYTES[] = {0, 2, 3, 4, 8, 3, 4, 0};

/* Of the doubles' forms: how far up in the double their bytes belong. */
static const unsigned NUMBER_WORD_SHIFT[] = {0, 48, 40, 32, 0};

static const double HUNDRED = 100;
static const double THOUSAND = 1000;

/* All minutes of such quarters are numbers, too. */
static const int64_t QUARTER_LAST = INT64_MAX / 16;

struct place {
    int64_t quarter;
    uint32_t id;
    unsigned minute; /* within its quarter */
};

static inline struct place place_of(uint32_t id, int64_t minute)
{
    int64_t quarter = quarter_of_minute(minute);
    uint64_t within = (uint64_t)minute - (uint64_t)quarter * MINUTES_PER_QUARTER;
    return (struct place){quarter, id, (unsigned)within};
}

static inline chunk_place place_number(const struct place *place)
{
    uint64_t high = (uint64_t)place->quarter ^ UINT64_C(1) << 63;
    return (chunk_place)high << 64 | (uint64_t)place->id << 32 | place->minute;
}

/* In milliseconds since 1970, where its minute begins. */
static inline uint64_t place_start(const struct place *place)
{
    uint64_t minute = (uint64_t)place->quarter * MINUTES_PER_QUARTER + place->minute;
    return minute * MS_PER_MINUTE;
}

static inline bool place_is_quarter(int64_t quarter)
{
    return quarter >= -QUARTER_LAST && quarter <= QUARTER_LAST;
}

static inline uint32_t chunk_checksum(const void *bytes, size_t len, uint64_t seed)
{
    return (uint32_t)XXH3_64bits_withSeed(bytes, len, seed);
}
