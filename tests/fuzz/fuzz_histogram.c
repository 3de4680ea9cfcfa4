/* Histograms as they come from disk and network: any bytes are refused or read; what is read writes
 * the same bytes again, and merging it keeps the laws. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "series/histogram.h"
#include "series/sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_same(const struct histogram *a, const struct histogram *b)
{
    struct buf one = BUF_EMPTY;
    struct buf other = BUF_EMPTY;
    histogram_encode(a, &one);
    histogram_encode(b, &other);
    require(str_equal(buf_view(&one), buf_view(&other)));
    require(histogram_count(a) == histogram_count(b));
    buf_fini(&one);
    buf_fini(&other);
}

static void read_all(const struct histogram *histogram)
{
    double before = -INFINITY;
    for (int i = 0; i <= 8; i++) {
        double value = 0;
        if (!histogram_quantile(histogram, i / 8.0, -DBL_MAX, DBL_MAX, &value)) {
            require(histogram_count(histogram) == 0);
            return;
        }
        double at_most = 0;
        double at_least = 0;
        require(isfinite(value) && value >= before);
        require(histogram_share_at_most(histogram, value, &at_most));
        require(histogram_share_at_least(histogram, value, &at_least));
        require(at_most >= 0 && at_most <= 1 && at_least >= 0 && at_least <= 1);
        before = value;
    }
}

/* Two encodings, one after the other. */
static void try_decode(struct str bytes)
{
    struct reader reader = reader_of(bytes);
    struct histogram *first = histogram_decode(&reader);
    if (first == NULL) {
        require(!reader.ok);
        return;
    }
    struct buf again = BUF_EMPTY;
    histogram_encode(first, &again);
    require(str_equal(buf_view(&again), (struct str){bytes.text, bytes.len - reader.left}));
    buf_fini(&again);
    read_all(first);

    struct histogram *second = histogram_decode(&reader);
    if (second != NULL) {
        struct histogram *one_way = histogram_copy(first);
        struct histogram *other_way = histogram_copy(second);
        histogram_merge(one_way, second);
        histogram_merge(other_way, first);
        require_same(one_way, other_way);
        read_all(one_way);
        histogram_free(one_way);
        histogram_free(other_way);
    }
    histogram_free(second);
    histogram_free(first);
}

/* Any doubles, added in order and backwards. */
static void try_add(struct str bytes)
{
    struct reader forwards = reader_of(bytes);
    struct histogram *one_way = histogram_new();
    struct histogram *other_way = histogram_new();
    for (size_t i = 0; i < bytes.len / 8; i++)
        histogram_add(one_way, read_double(&forwards), WEIGHT_ONE + i % 2);
    for (size_t i = bytes.len / 8; i-- > 0;) {
        struct reader reader = reader_of((struct str){bytes.text + 8 * i, 8});
        histogram_add(other_way, read_double(&reader), WEIGHT_ONE + i % 2);
    }
    require_same(one_way, other_way);
    read_all(one_way);
    histogram_free(one_way);
    histogram_free(other_way);
}

/* Scale, offset, then one byte for each bucket. */
static void try_import(struct str bytes)
{
    uint64_t counts[64];
    struct reader reader = reader_of(bytes);
    int32_t scale = (int32_t)read_u32(&reader) >> 24;
    struct histogram_buckets positive = {(int32_t)read_u32(&reader) >> 12, 0, counts};
    struct histogram_buckets negative = {0, 0, counts};
    struct error err = ERROR_EMPTY;
    while (reader.left > 0 && positive.count < sizeof counts / sizeof *counts)
        counts[positive.count++] = read_u8(&reader);
    negative.count = positive.count / 2;

    struct histogram *histogram = histogram_new();
    if (histogram_import(histogram, scale, 1, &positive, &negative, &err))
        read_all(histogram);
    else
        require(histogram_count(histogram) == 0 && err.kind == ERROR_INVALID);
    histogram_free(histogram);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};

    try_decode(bytes);
    try_add(bytes);
    try_import(bytes);
    return 0;
}
