/* Cells and series keys as they come from disk and network: any bytes are refused or read; what is
 * read writes the same bytes again. */
#include <stdlib.h>
#include <string.h>

#include "series/cell.h"
#include "series/series_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void read_all(const struct cell *cell)
{
    const struct aggregate *aggregate = &cell->aggregate;
    double before = aggregate->min;

    for (int i = 0; i <= 8; i++) {
        double value = 0;
        double at_most = 0;
        double at_least = 0;
        if (!cell_quantile(cell, i / 8.0, &value)) {
            require(!cell->counts_values);
            return;
        }
        require(value >= before && value <= aggregate->max);
        require(cell_quantile_error(cell, value) >= 0);
        require(cell_share_at_most(cell, value, &at_most) && at_most >= 0 && at_most <= 1);
        require(cell_share_at_least(cell, value, &at_least) && at_least >= 0 && at_least <= 1);
        before = value;
    }
}

static void try_cell(struct str bytes)
{
    struct cell cell;
    struct buf again = BUF_EMPTY;

    if (!cell_decode(bytes, &cell)) {
        require(cell.distinct == NULL && cell.histogram == NULL);
        return;
    }
    cell_encode(&cell, &again);
    require(str_equal(buf_view(&again), bytes));

    /* Merging it with itself must not break what it may be. */
    struct cell merged = CELL_EMPTY;
    cell_merge(&merged, &cell);
    cell_merge(&merged, &cell);
    buf_clear(&again);
    cell_encode(&merged, &again);
    struct cell decoded;
    require(cell_decode(buf_view(&again), &decoded));
    read_all(&cell);
    read_all(&merged);
    cell_fini(&decoded);
    cell_fini(&merged);
    cell_fini(&cell);
    buf_fini(&again);
}

static void try_key(struct str key)
{
    struct label labels[LABELS_MAX];
    struct label label;
    struct str value = STR_EMPTY;
    struct buf again = BUF_EMPTY;
    size_t at = 0;
    size_t count = 0;
    bool is_valid = series_key_is_valid(key);

    while (series_key_next_label(key, &at, &label)) {
        require(at <= key.len && series_key_label(key, label.name, &value));
        if (count < LABELS_MAX)
            labels[count] = label;
        count++;
    }
    if (is_valid) {
        require(count <= LABELS_MAX);
        series_key_write(&again, series_key_kind(key), series_key_metric(key), labels, count);
        require(str_equal(buf_view(&again), key));
    }
    buf_clear(&again);
    series_key_format(&again, key);
    buf_fini(&again);
}

static void try_tags(struct str tags)
{
    static const enum tag_style styles[] = {TAGS_COLON, TAGS_COMMA, TAGS_SEMICOLON};
    struct label labels[LABELS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
        struct buf key = BUF_EMPTY;
        if (labels_parse(tags, styles[i], labels, &count)) {
            series_key_write(&key, METRIC_COUNTER, STR("m"), labels, count);
            require(series_key_is_valid(buf_view(&key)));
        }
        buf_fini(&key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};

    try_cell(bytes);
    try_key(bytes);
    try_tags(bytes);
    return 0;
}
