/* What the files of the export share. */
#pragma once

#include "store/export.h"
#include "store/kept.h"

enum { EXPORT_SERIES_A_STEP = 4096, EXPORT_SERIES_A_PAGE = 64 * EXPORT_SERIES_A_STEP };

struct export_page {
    struct read_txn *txn;
    struct export *export;
    const struct export_range *range; /* its */
    struct export_place *place;       /* its */
    struct arena arena;               /* for a step */
    size_t visited;                   /* series, those without a cell too */
    bool full;

    /* of cells alone */
    wall_ms from, to; /* what there is of the range */
    span_ms width;    /* of the cells of the series that are read, in the window */
    const struct query_series *series;
};

/* Series of the range from `id` on, in the order of their ids, in the page's arena: up to `max`,
 * and more of one metric, whose series are read together. */
struct export_series {
    struct query_series *items;
    size_t count;
    bool ended; /* there are no others */
};
bool export_select(struct export_page *page, uint32_t id, size_t max, struct export_series *out,
                   struct error *err);

/* The days from the page's place on; `*done`: those were all. */
bool export_days(struct export_page *page, bool *done, struct error *err);
