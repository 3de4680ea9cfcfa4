/* Which series a load has and which values they get.
 *
 * Series are numbered from 0. A series has one kind for ever, chosen by its number and the mix, and
 * a name that depends on nothing but its number, so two runs with the same options send the same
 * bytes. Values are multiples of 1/100 and counted as such, so that sums are exact. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum load_kind { LOAD_COUNTER, LOAD_TIMER, LOAD_GAUGE, LOAD_KINDS };

enum load_distribution { LOAD_SEQUENCE, LOAD_UNIFORM, LOAD_ZIPF };

struct mix_options {
    const char *prefix; /* the first part of every name; at most MIX_PREFIX_MAX bytes */
    uint32_t series;    /* at least 1 */
    uint32_t seed;
    enum load_distribution distribution;
    double theta; /* of Zipf: the i-th most frequent series comes i^-theta as often */
    unsigned percent[LOAD_KINDS]; /* of the series; together 100 */
};

enum { MIX_PREFIX_MAX = 60, MIX_NAME_SIZE = 128 };

struct mix;

struct mix_sample {
    uint32_t series;
    enum load_kind kind;
    int64_t hundredths;
};

struct mix *mix_new(const struct mix_options *options); /* `options` is borrowed */
void mix_free(struct mix *mix);

struct mix_sample mix_next(struct mix *mix);

enum load_kind mix_kind(const struct mix_options *options, uint32_t series);
const char *mix_kind_name(enum load_kind kind); /* "cnt", "tim", "gau": part of names */

/* "bench.dc1.host007.api.cnt0000007" into `out` of MIX_NAME_SIZE bytes; returns its length. */
size_t mix_format_name(const struct mix_options *options, uint32_t series, char *out);

/* "12", "12.5", "12.05"; `out` takes HUNDREDTHS_SIZE bytes; returns the length. */
enum { HUNDREDTHS_SIZE = 32 };
size_t hundredths_format(int64_t hundredths, char *out);
