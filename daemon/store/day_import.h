/* Taking back the days of an export (store/export.h): what another store has kept of days alone.
 *
 * Cells of minutes come back as what they are, cells like any other, and make quarters and days of
 * every calendar. A day's cell is a day of one calendar and nothing else, so it is added to that
 * alone, and all the rest has to say that it is gone: of the metric's time before its hours are
 * known no minute and no quarter is read or written any more, and days of other calendars are known
 * to lack something. What is refused changes nothing, and says why:
 *
 *   a zone that no calendar of the configuration has: nobody could ask for its days
 *   days that this store has not built yet, though it has data of them: try again later
 *   days that others than these have had data of, which is gone: they would look whole
 *   days that begin or end elsewhere here, by other rules of their zone
 *   a metric that has hours here where the export has none: they would be lost
 *
 * What the store has of such a day already is added to. */
#pragma once

#include "store/export.h"
#include "store/store.h"

struct day_import_cell {
    size_t key;            /* which of the keys */
    struct export_day day; /* without its key and cell */
    struct cell cell;      /* owned */
};

struct day_import {
    struct arena arena;
    struct export_zone *zones;
    size_t zone_count, zone_capacity;
    struct export_metric *metrics;
    size_t metric_count, metric_capacity;
    struct str *keys; /* of series; those that follow each other are one */
    size_t key_count, key_capacity;
    struct day_import_cell *cells;
    size_t cell_count, cell_capacity;
    struct series_hash name; /* of the batch: what was taken under it before is not taken again */

    /* set by writer_import_days */
    bool repeated;
    uint64_t too_old; /* cells of days that are kept no longer; they are left out */
};

struct day_import *day_import_new(void);
void day_import_free(struct day_import *import); /* NULL is fine */
bool day_import_is_empty(const struct day_import *import);

/* All copy what they are given, but for the cell, which is moved. */
void day_import_add_zone(struct day_import *import, const struct export_zone *zone);
void day_import_add_metric(struct day_import *import, const struct export_metric *metric);
void day_import_add_cell(struct day_import *import, struct str key, const struct export_day *day,
                         struct cell *cell);
