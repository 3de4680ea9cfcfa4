#include "series/ledger.h"

#include <stddef.h>

#define LEDGER_NAME(name, help) #name,
static const char *const REJECT_NAMES[] = {REJECT_REASONS(LEDGER_NAME)};
static const char *const DROP_NAMES[] = {DROP_REASONS(LEDGER_NAME)};
#undef LEDGER_NAME

const char *reject_reason_name(enum reject_reason reason)
{
    return (int)reason < 0 || reason >= REJECT_REASON_COUNT ? NULL : REJECT_NAMES[reason];
}

const char *drop_reason_name(enum drop_reason reason)
{
    return (int)reason < 0 || reason >= DROP_REASON_COUNT ? NULL : DROP_NAMES[reason];
}

void ledger_merge(struct ledger *into, const struct ledger *from)
{
    into->received += from->received;
    into->stored += from->stored;
    for (int i = 0; i < REJECT_REASON_COUNT; i++)
        into->rejected[i] += from->rejected[i];
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        into->dropped[i] += from->dropped[i];
}

/* Samples that were stored, rejected or dropped. */
static uint64_t accounted(const struct ledger *ledger)
{
    uint64_t total = ledger->stored;
    for (int i = 0; i < REJECT_REASON_COUNT; i++)
        total += ledger->rejected[i];
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        total += ledger->dropped[i];
    return total;
}

bool ledger_is_empty(const struct ledger *ledger)
{
    return ledger->received == 0 && accounted(ledger) == 0;
}

void ledger_drop(struct ledger *ledger, enum drop_reason reason, uint64_t count)
{
    ledger->stored -= count;
    ledger->dropped[reason] += count;
}

void ledger_drops_merge(struct ledger_drops *into, const struct ledger_drops *from)
{
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        into->counts[i] += from->counts[i];
    into->histograms += from->histograms;
}

struct ledger ledger_take(struct ledger *from, uint64_t most)
{
    struct ledger taken = *from;
    uint64_t left = from->stored > most ? from->stored - most : 0;

    taken.stored -= left;
    taken.received -= left;
    *from = (struct ledger){.received = left, .stored = left};
    return taken;
}

bool ledger_balances(const struct ledger *ledger)
{
    return ledger->received == accounted(ledger);
}
