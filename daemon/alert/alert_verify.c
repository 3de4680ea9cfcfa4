#include "alert/alert_verify.h"

#include <string.h>

#include "alert/alert_state.h"
#include "alert/outbox.h"
#include "base/buf.h"

static bool is_damaged(struct error *why)
{
    return error_set(why, ERROR_CORRUPT, "its row is damaged");
}

bool alert_verify_state(struct verify_record *record, struct error *why)
{
    struct alert_state state;

    if (!alert_state_decode(record->value, &state))
        return is_damaged(why);
    if (state.phase == ALERT_INACTIVE)
        return error_set(why, ERROR_CORRUPT, "a rule that is inactive has no row");
    return true;
}

/* --- history and outbox --- */

bool alert_verify_event(struct verify_record *record, struct error *why)
{
    struct event event;
    uint64_t sequence = 0;

    return (outbox_event_sequence(record->key, &sequence) && event_decode(record->value, &event)) ||
           is_damaged(why);
}

static bool take_first(struct str key, struct str value, void *arg)
{
    uint64_t *first = arg;
    (void)value;
    if (!outbox_event_sequence(key, first))
        *first = 0; /* it is told of where it is */
    return false;
}

static uint64_t newest_event(struct read_txn *txn)
{
    struct str key;
    struct str value;
    uint64_t newest = 0;

    if (!record_last(txn, RECORD_EVENT, STR_EMPTY, &key, &value) ||
        !outbox_event_sequence(key, &newest))
        return 0;
    return newest;
}

/* The history has no gaps: it forgets its oldest events alone, and an entry may outlive those. Its
 * newest one is always there, as the next event is numbered after it. */
static bool check_history(struct verify_record *record, const struct outbox_entry *entry,
                          struct error *why)
{
    const unsigned long long sequence = entry->sequence;
    uint64_t oldest = 0;
    uint64_t newest = newest_event(record->txn);
    struct str value;
    struct event event;

    record_scan(record->txn, RECORD_EVENT, STR_EMPTY, take_first, &oldest);
    record->rows += 3;
    if (entry->sequence == 0 || entry->sequence > newest)
        return error_set(why, ERROR_CORRUPT, "it is of event %llu, and the newest is %llu",
                         sequence, (unsigned long long)newest);
    if (oldest == 0 || entry->sequence < oldest)
        return true;
    if (!outbox_event_get(record->txn, entry->sequence, &value))
        return error_set(why, ERROR_CORRUPT, "event %llu, which it is of, is not in the history",
                         sequence);
    if (event_decode(value, &event) && strcmp(event.id, entry->event.id) != 0)
        return error_set(why, ERROR_CORRUPT, "event %llu has the id '%s', its own has '%s'",
                         sequence, event.id, entry->event.id);
    return true;
}

bool alert_verify_entry(struct verify_record *record, struct error *why)
{
    struct outbox_entry entry;
    struct str hook;

    if (!outbox_entry_decode(record->key, record->value, &entry))
        return is_damaged(why);
    record->rows++;
    if (!record_get(record->txn, RECORD_HOOK, entry.hook, &hook))
        return error_set(why, ERROR_CORRUPT, "its hook has no row, so nobody sends it");
    return check_history(record, &entry, why);
}

/* --- hooks --- */

struct entries {
    uint64_t queued, dead, rows;
};

static bool count_entry(struct str key, struct str value, void *arg)
{
    struct entries *entries = arg;
    struct outbox_entry entry;

    entries->rows++;
    if (!outbox_entry_decode(key, value, &entry))
        return true; /* told of where it is */
    entries->queued += entry.state == OUTBOX_QUEUED;
    entries->dead += entry.state == OUTBOX_DEAD;
    return true;
}

/* A hook of which no entry is said to wait is never looked at: what waits all the same is lost. */
bool alert_verify_hook(struct verify_record *record, struct error *why)
{
    struct entries entries = {0};
    struct outbox_facts facts;
    struct buf prefix = BUF_EMPTY;

    if (!outbox_facts_decode(record->value, &facts))
        return is_damaged(why);
    buf_str(&prefix, record->key);
    buf_u8(&prefix, 0);
    record_scan(record->txn, RECORD_OUTBOX, buf_view(&prefix), count_entry, &entries);
    buf_fini(&prefix);
    record->rows += entries.rows;
    if (entries.queued != facts.pending)
        return error_set(why, ERROR_CORRUPT, "%llu messages wait in the outbox, it says %llu",
                         (unsigned long long)entries.queued, (unsigned long long)facts.pending);
    if (entries.dead != facts.dead)
        return error_set(why, ERROR_CORRUPT, "%llu dead messages are in the outbox, it says %llu",
                         (unsigned long long)entries.dead, (unsigned long long)facts.dead);
    return true;
}
