/* How figures and statuses of the API read in tables. */
#pragma once

struct calendar; /* base/calendar.h */
struct json_t;

enum { KPI_TEXT_SIZE = 160 };

/* "never_seen" -> "never seen". Returns `out`, which takes KPI_TEXT_SIZE bytes. */
const char *kpi_words(const char *name, char *out);

/* "6.83 %", or "no value (never seen)"; `shown` is the figure's text in the object, or that of its
 * object "shown". Returns `out`, which takes KPI_TEXT_SIZE bytes. */
const char *kpi_value_text(const struct json_t *figure, char *out);

/* The zone that an answer's times are in, by its "timezone". The caller frees it. */
struct calendar *kpi_calendar(const struct json_t *answer);

/* A time of an answer, as "2026-10-12 09:00 CEST"; "-" for NULL. Returns `out`, which takes
 * KPI_TEXT_SIZE bytes. */
const char *kpi_time_text(const struct calendar *calendar, const char *iso, char *out);
