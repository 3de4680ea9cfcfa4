/* Borrowed text, and numbers out of text in any locale.
 *
 * A `struct str` points into memory that somebody else owns; it need not end with NUL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct str {
    const char *text; /* may be NULL when len is 0 */
    size_t len;
};

#define STR_EMPTY ((struct str){NULL, 0})
/* For literals. */
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
/* For printf with "%.*s". */
#define STR_ARGS(s) (int)(s).len, ((s).text == NULL ? "" : (s).text)

struct str str_of(const char *text); /* NULL is empty */
bool str_equal(struct str a, struct str b);
bool str_is(struct str a, const char *text);
int str_compare(struct str a, struct str b); /* by bytes, a prefix comes first */
bool str_starts_with(struct str text, const char *prefix);
struct str str_trim(struct str text); /* blanks and tabs at both ends */

/* Splits at the first `separator`: the part before it; `rest` becomes what follows. Without a
 * separator the whole text, and `rest` becomes empty. */
struct str str_split(struct str *rest, char separator);

/* Number grammar, all of it: [+|-] digits [. digits] [e [+|-] digits]; ".5" and "1." are numbers;
 * blanks, hex, inf, nan, commas and an empty text are not. The result is the nearest double
 * (ties to even) in every locale. A number too large for a finite double is not accepted. */
bool str_parse_double(struct str text, double *out);

/* Decimal digits only; false on overflow. */
bool str_parse_u64(struct str text, uint64_t *out);
bool str_parse_i64(struct str text, int64_t *out); /* with an optional sign */

/* A duration: one or more of n (ms|s|m|h|d|w), as "90s" or "1h30m"; a day is 24 hours. */
bool str_parse_span(struct str text, span_ms *out);

/* The shortest text that reads back as `value`, as "6.83", "1e+21", "-0"; finite values only.
 * `out` takes at least STR_DOUBLE_SIZE bytes; returns the length without the NUL. */
enum { STR_DOUBLE_SIZE = 32 };
size_t str_format_double(double value, char *out);

/* Client bytes for a person: printable ASCII as it is, the rest as \xNN, cut at 80 characters with
 * "..." after them. `out` takes STR_QUOTED_SIZE bytes. Returns `out`. */
enum { STR_QUOTED_SIZE = 96 };
const char *str_quoted(struct str bytes, char *out);

/* The same for what escapes quotes by itself, as JSON does: '"' and '\' stay as they are. */
const char *str_printable(struct str bytes, char *out);

/* Whether the text is valid UTF-8 (RFC 3629) without NUL. */
bool str_is_utf8(struct str text);

/* The bytes of the character at `at` when a terminal shows it as it is; 0 when it is a control
 * character, has no width (as a zero-width space), changes the direction of what follows, or is no
 * UTF-8. */
size_t str_visible(struct str text, size_t at);

/* The candidate nearest to `word` (optimal string alignment distance), or NULL when none is near
 * enough to be worth a "did you mean". `count` candidates; NULL entries are skipped. */
const char *str_nearest(struct str word, const char *const *candidates, size_t count);
