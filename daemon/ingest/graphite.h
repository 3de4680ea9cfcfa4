/* Graphite's plaintext protocol: rules G1 to G8 of wire-formats.md.
 *
 *   line = path blanks value blanks time        exactly three words (G1)
 *   path = metric {";" tag "=" value}           (G8)
 *
 * A value is what `base/str.h` calls a number; NaN is dropped and infinity rejected (G2). A time is
 * a number of seconds; -1 is the arrival (G3). A name is kept as it was sent: cleaning is a relay's
 * (G7). What a value means is what its metric is declared to be; undeclared it is untyped (FIG-8,
 * G13).
 *
 * Pure: bytes in, samples out; no allocation, no log, no write into the input. */
#pragma once

#include "series/ledger.h"
#include "series/sample.h"

enum graphite_result { GRAPHITE_NOTHING, GRAPHITE_SAMPLE, GRAPHITE_DROPPED, GRAPHITE_REJECTED };

/* Takes one line without its newline; blanks around it and a '\r' at the end are fine. Whatever the
 * result is but GRAPHITE_NOTHING (an empty line), one sample was counted as received, and as
 * dropped or rejected too where it was; then `why` says what is wrong with it. Tags are not checked
 * yet: whoever makes a series of them does that. */
enum graphite_result graphite_parse(struct str line, struct sample *out, struct ledger *ledger,
                                    enum reject_reason *why);

/* --- for the pickle protocol, which says the same in another form ----------------------------- */

/* The words that Python's float() takes for no number: "nan" and "inf", in any case, with a sign.
 */
bool graphite_is_nan(struct str text);

/* Seconds since 1970; -1 is WALL_NONE. False: no time that a wall clock shows, NaN for one. */
bool graphite_time(double seconds, wall_ms *out);

/* Cuts "metric;tag=value" into name and tags. */
void graphite_path(struct str path, struct sample *out);
