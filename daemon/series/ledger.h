/* The ledger's counts of one listener: received = stored + rejected + dropped, in samples.
 *
 * The counts travel with the deltas they describe and are committed with them, so the equation
 * holds in every snapshot. A broken line is one sample received and rejected, a packed line as many
 * as it has values. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Names are part of the stable output and of the store: append only; docs/kpictl.1 explains each of
 * them, in this order.  name, help */
#define REJECT_REASONS(X)                                                                          \
    X(malformed, "not a line of the protocol")                                                     \
    X(bad_number, "the value is not a finite decimal number")                                      \
    X(bad_rate, "the sample rate is not above 0 and at most 1")                                    \
    X(bad_type, "the type is unknown")                                                             \
    X(bad_name, "the metric's name is empty, too long or holds control characters")                \
    X(bad_tags, "the tags cannot be read, contradict each other or mix styles")                    \
    X(negative_timer, "a timer is negative")                                                       \
    X(too_long, "the line is longer than the limit")                                               \
    X(truncated, "the datagram was cut by the receive buffer")                                     \
    X(bad_time, "the time is too far in the future or the past")                                   \
    X(out_of_range, "a score outside its range or not a whole number")                             \
    X(series_limit, "dropped{series_limit} is where it is counted now")                            \
    X(bad_histogram, "the buckets, bounds or counts contradict each other")                        \
    X(bad_temporality, "neither delta nor cumulative")                                             \
    X(unsupported, "the protocol has it, kpid does not")                                           \
    X(denied, "its sender may not speak here")                                                     \
    X(too_slow, "its end did not come in time, and others waited for its room")

#define DROP_REASONS(X)                                                                            \
    X(duplicate, "already stored")                                                                 \
    X(string, "a text, which has no figure")                                                       \
    X(conflict, "another value for a time, or another batch for a key, that is stored already")    \
    X(too_old, "older than what any level keeps, or than what is remembered of its producer")      \
    X(collision, "the series has the hash of another one")                                         \
    X(unknown_series, "the series has no name")                                                    \
    X(not_finite, "NaN or infinity, which the protocol has and figures have not")                  \
    X(stale_marker, "the sender says that the series has ended")                                   \
    X(event_limit, "more events than are kept of a minute")                                        \
    X(series_limit, "beyond the limits of series and of __other__")                                \
    X(unwanted, "a rule of mapping drops it")                                                      \
    X(store_full, "kpid was stopped while its store had no room")

enum reject_reason {
#define LEDGER_REASON(name, help) REJECT_##name,
    REJECT_REASONS(LEDGER_REASON)
#undef LEDGER_REASON
        REJECT_REASON_COUNT,
    REJECT_NONE = -1,
};

enum drop_reason {
#define LEDGER_REASON(name, help) DROP_##name,
    DROP_REASONS(LEDGER_REASON)
#undef LEDGER_REASON
        DROP_REASON_COUNT,
};

/* Samples that were counted as stored and that were not. */
struct ledger_drops {
    uint64_t counts[DROP_REASON_COUNT];
    uint64_t histograms; /* so many of them, without duplicates, have a tally (series/delta.h) */
};

struct ledger {
    uint64_t received;
    uint64_t stored;
    uint64_t rejected[REJECT_REASON_COUNT];
    uint64_t dropped[DROP_REASON_COUNT];
};

const char *reject_reason_name(enum reject_reason reason);
const char *drop_reason_name(enum drop_reason reason);

void ledger_merge(struct ledger *into, const struct ledger *from);
bool ledger_is_empty(const struct ledger *ledger);
/* Of what was counted as stored, so many are dropped instead. */
void ledger_drop(struct ledger *ledger, enum drop_reason reason, uint64_t count);

void ledger_drops_merge(struct ledger_drops *into, const struct ledger_drops *from);

/* Takes counts out: all that were rejected or dropped, and of what was stored up to `most`. Both
 * balance if `from` did. */
struct ledger ledger_take(struct ledger *from, uint64_t most);

bool ledger_balances(const struct ledger *ledger);
