/* The StatsD line protocol, dialect dogstatsd: rules D1 to D11 of wire-formats.md.
 *
 * Pure: bytes in, samples out; no allocation, no log, no write into the input.
 *
 *   metric = name ":" value {":" value} "|" type {"|" field}           D1, D2
 *   type   = "c" | "g" | "ms" | "h" | "d" | "s"
 *   field  = "@" rate | "#" tags | "T" seconds | ("c:" | "e:" | "card:") anything
 *   event  = "_e{" bytes "," bytes "}:" title "|" text {"|" event field}     D10
 *   check  = "_sc|" name "|" status {"|" check field} ["|m:" message]        D11
 *
 * What other dialects read out of a line is no part of this one: there are no relative gauges (D6),
 * no tags in names, no repeated types, and a distribution may be negative. Fields come in any
 * order; of one that comes twice the last counts, and unknown ones are skipped and counted (D1), as
 * Datadog's agent does. In a set a ':' is part of the value (D3). A time belongs to counts and
 * gauges alone (D5). Where the agent throws a packed line away for one bad value, that value alone
 * is rejected here. */
#pragma once

#include "series/annotation.h"
#include "series/ledger.h"
#include "series/sample.h"

/* A metric's line that is being parsed. Made by dogstatsd_line_of; the first ones are for the
 * caller, the rest is the parser's. */
struct dogstatsd_line {
    bool more;              /* something is left to parse */
    uint32_t rejected;      /* samples rejected so far */
    enum reject_reason why; /* the reason of the newest one */
    uint32_t unknown;       /* fields that were skipped */

    struct str text; /* until it was read */
    struct str values;
    struct sample form; /* what all values share */
    bool started;
    bool any; /* a value was there, good or bad */
    enum reject_reason form_why;
};

/* The short way for what nearly all lines are: one number, and behind its type rate, tags and
 * origin. True: `out` holds the line's one sample, which was counted as received. False: nothing
 * was counted, the line goes the long way, which alone says what is wrong. */
bool dogstatsd_parse_plain(struct str text, struct sample *out, struct ledger *ledger);

/* One line without its newline that is neither an event nor a service check; a '\r' at the end is
 * fine. An empty line has nothing `more`. */
struct dogstatsd_line dogstatsd_line_of(struct str text);

/* As statsd_parse. */
size_t dogstatsd_parse(struct dogstatsd_line *line, struct sample *out, size_t max,
                       struct ledger *ledger);

/* Whether a line is an event, or a service check. */
bool dogstatsd_is_event(struct str text);
bool dogstatsd_is_check(struct str text);

/* An event, with texts as they came: see dogstatsd_unescape. `at` is WALL_NONE where it does not
 * say. Bad optional fields are skipped and counted in `*unknown`. False: `*why` says what is wrong.
 */
bool dogstatsd_parse_event(struct str text, struct annotation *out, uint32_t *unknown,
                           enum reject_reason *why);

enum check_status { CHECK_OK, CHECK_WARNING, CHECK_CRITICAL, CHECK_UNKNOWN, CHECK_STATUS_COUNT };

struct dogstatsd_check {
    struct str name; /* never empty */
    enum check_status status;
    wall_ms at; /* WALL_NONE: it does not say */
    struct str host, tags, message;
};

/* The same of a service check. */
bool dogstatsd_parse_check(struct str text, struct dogstatsd_check *out, uint32_t *unknown,
                           enum reject_reason *why);

/* Writes the text with newlines for "\n" (D10), up to `room` bytes of it; returns how many. */
size_t dogstatsd_unescape(struct str text, char *out, size_t room);
