/* How figures and statuses of the API read in tables. */
#pragma once

struct json_t;

enum { KPI_TEXT_SIZE = 160 };

/* "never_seen" -> "never seen". Returns `out`, which takes KPI_TEXT_SIZE bytes. */
const char *kpi_words(const char *name, char *out);

/* "6.83 %", or "no value (never seen)"; `shown` is the figure's text in the object, or that of its
 * object "shown". Returns `out`, which takes KPI_TEXT_SIZE bytes. */
const char *kpi_value_text(const struct json_t *figure, char *out);
