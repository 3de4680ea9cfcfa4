/* What has to be said before days are taken: which days there are, and which hours are gone.
 * Private to store/. */
#pragma once

#include "store/day_import_private.h"
#include "store/upkeep_private.h"

struct day_marks {
    struct upkeep_step step; /* its upkeep, transaction and arena */
    bool changed;            /* the jobs under way were dropped */
};

/* Lists the days of the zones and moves the marks of the metrics, if all of them can be. */
bool day_marks_set(struct day_marks *marks, const struct day_import *import, struct error *err);

/* False: the day is another one here. */
bool day_marks_other_bounds(const struct day_bounds *day, struct str zone, struct error *err);
