/* Units of figures: dimensions that convert, nouns that do not (FIG-26, FIG-27).
 *
 * A figure is computed in base units (a fraction, seconds, bytes, the plain number) and shown, sent
 * and compared in its KPI's unit: shown = base / scale. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

enum dimension {
    DIMENSION_ANY,    /* not said: takes any */
    DIMENSION_COUNT,  /* a noun (customers, leads): a label without dimension */
    DIMENSION_RATIO,  /* a fraction; "%" and "percent" show it times 100 */
    DIMENSION_TIME,   /* ms s min h d; base is the second */
    DIMENSION_BYTES,  /* B KB MB GB (powers of 1000), KiB MiB GiB */
    DIMENSION_MONEY,  /* three capital letters; each currency is a dimension of its own */
    DIMENSION_POINTS, /* points: a score; a difference of it is in points */
};

struct unit {
    enum dimension dimension;
    double scale;  /* base units in one of this unit: "%" 0.01, "h" 3600 */
    char name[32]; /* as shown: "%", "h", "EUR", "customers"; empty without a unit */
};

/* Any text is a unit (unknown ones are nouns); an empty one gives DIMENSION_ANY with scale 1. False
 * only when it is longer than the name or holds control characters. */
bool unit_parse(struct str text, struct unit *out);

/* A number as the configuration writes it: [+|-] digits [. digits] [K|M|G] [%|pp|unit], without
 * commas (FIG-27, FIG-28), for a figure with unit `unit`: the result is in base units. A bare
 * number is in `unit`, "%" is always a hundredth, another unit of the same dimension is converted,
 * one of another dimension is an error. `*relative` tells that it had a sign ("+20%", "+5pp"). */
bool unit_parse_number(struct str text, const struct unit *unit, double *out, bool *relative,
                       struct error *err);

/* The same number before it is fitted to a figure: 800 and "ms", 5 and "%". Without a unit
 * `out->unit` is DIMENSION_ANY. `near` is the unit that letters may mean first, or NULL. */
struct unit_number {
    double value; /* in `unit`; K, M and G are multiplied in */
    struct unit unit;
    bool is_signed;
};
bool unit_read_number(struct str text, const struct unit *near, struct unit_number *out,
                      struct error *err);

/* Whether a number in one unit can be compared with or added to one in the other (FIG-26): either
 * takes any, or they have one dimension, and for money and nouns one name. */
bool unit_is_same_dimension(const struct unit *a, const struct unit *b);

/* Between base units and the unit. Both are exact for decimals ("29" and 0.29 with "%"), so that an
 * edge that is met counts as met (STA-15): what is shown has at most 15 significant digits. */
double unit_base(const struct unit *unit, double shown); /* shown * scale */
double unit_shown(const struct unit *unit, double base); /* base / scale */

/* For people: "6.83 %", "131,200 EUR", "13 h", "7"; 4 significant digits, but whole numbers whole
 * and at most 2 decimals from 1 on; thousands with commas. `near` is a number in base units that
 * the shown text must stay on the right side of (FIG-36), or NAN. `out` takes UNIT_TEXT_SIZE bytes.
 */
enum { UNIT_TEXT_SIZE = 80 };
const char *unit_format(const struct unit *unit, double base, double near, char *out);
