/* The StatsD line protocol, dialect etsy: rules S1 to S17 of wire-formats.md.
 *
 * Pure: bytes in, samples out; no allocation, no log, no write into the input. */
#pragma once

#include "series/ledger.h"
#include "series/sample.h"

/* Takes one line (without its newline; a '\r' at the end is fine) and writes its samples.
 * Several values on one line (S2) give several samples; each bad one is rejected alone and counted,
 * as received and by reason. An empty line counts nothing. `out` has room for `max` samples (at
 * least 1); when a line holds more, the call returns `max` and `*rest` is what is left to parse
 * with another call, else empty. */
size_t statsd_parse_line(struct str *rest, struct sample *out, size_t max, struct ledger *ledger);
