/* The StatsD line protocol, dialect etsy: rules S1 to S17 of wire-formats.md.
 *
 * Pure: bytes in, samples out; no allocation, no log, no write into the input.
 *
 *   line   = name-and-tags (":" value "|" type {"|" field})+             repeated form (S2)
 *          | name-and-tags (":" value)+ "|" type {"|" field}             packed form (S3)
 *   field  = "@" rate | "#" tags | ("c:" | "e:" | "card:") anything
 *   name-and-tags = name | name,k=v | name;k=v | name#k=v | name[k=v]    (S14)
 *
 * Which form it is decides S3: a ':' in the type means repeated, else several ':' before the first
 * '|' mean packed, else the fields are DogStatsD's. The packed form exists for numbers only: in a
 * set a ':' ends the value (S11), and a value without a type is rejected. DogStatsD's origin fields
 * change no figure and are skipped; a time ("T...") would, so here it is malformed, as any other
 * field. Tags may stand in any field and belong to every value of the line. */
#pragma once

#include "series/ledger.h"
#include "series/sample.h"

/* What the fields after a value say. */
struct statsd_form {
    enum metric_kind kind;
    bool is_timer;
    uint64_t weight;
    enum reject_reason why; /* REJECT_NONE: all can be read */
};

/* A line that is being parsed. Made by statsd_line_of; `more`, `rejected` and `why` are for the
 * caller, the rest is the parser's. */
struct statsd_line {
    bool more;              /* something is left to parse */
    uint32_t rejected;      /* samples rejected so far */
    enum reject_reason why; /* the reason of the newest one */

    bool unknown_as_counter; /* the caller's before the first parse: a type that nobody knows is a
                                counter, as for etsy's own server (S10); else it is rejected */

    struct str text; /* until the name was read */
    struct str values;
    struct str name;
    struct str tags;
    enum tag_style tag_style;
    struct statsd_form form; /* of all values in the packed form */
    bool started;
    bool repeated;
    bool packed;
};

/* The short way for what nearly all lines are: one number, a plain name without tags in it, and
 * behind the type at most a rate and then tags. Takes the first one of `lines`, which ends with a
 * newline or with them, and returns the bytes it has, its newline included: `out` holds its one
 * sample, which the caller counts as received. 0: it goes the long way, which alone says what is
 * wrong. */
size_t statsd_parse_plain(struct str lines, struct sample *out);

/* One line without its newline; a '\r' at the end is fine (S1). An empty line has nothing `more`.
 */
struct statsd_line statsd_line_of(struct str text);

/* Writes up to `max` (at least 1) of the line's samples to `out` and returns how many; call it
 * while there is `more`. Each sample is counted in `ledger` as received; a bad one is counted as
 * rejected by its reason, is not in `out`, and leaves the line's others alone (S17). A line whose
 * name or tags cannot be read is one sample. */
size_t statsd_parse(struct statsd_line *line, struct sample *out, size_t max,
                    struct ledger *ledger);
