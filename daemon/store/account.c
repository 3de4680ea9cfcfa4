#include "store/account.h"

#include "store/annotation.h"
#include "store/identity.h"
#include "store/ledger_table.h"

bool account_choose(struct write_txn *txn, struct message *first, const struct group *group,
                    struct journal_part *parts, size_t *count, struct error *err)
{
    struct message *message = first;
    wall_ms now = clock_wall();

    *count = 0;
    for (size_t i = 0; i < group->deltas; i++, message = message->next) {
        struct delta *delta = (struct delta *)message;
        if (!identity_decide(txn, delta, now, err))
            return false;
        if (delta->outcome == DELTA_STORED)
            parts[(*count)++] = (struct journal_part){.delta = delta,
                                                      .from = delta->stored_cells,
                                                      .to = delta->cell_count,
                                                      .points_from = delta->stored_points,
                                                      .points_to = delta->point_count};
    }
    if (group->has_part) {
        struct delta *delta = (struct delta *)message;
        parts[(*count)++] = (struct journal_part){.delta = delta,
                                                  .from = delta->stored_cells,
                                                  .to = group->part_to,
                                                  .points_from = delta->stored_points,
                                                  .points_to = group->part_points_to};
    }
    return true;
}

/* --- counts ---------------------------------------------------------------------------------- */

static bool is_begun(const struct delta *delta)
{
    return delta->stored_cells + delta->stored_points > 0;
}

static bool add_annotations(const struct account *account, const struct delta *delta,
                            struct error *err)
{
    return is_begun(delta) || delta->outcome != DELTA_STORED ||
           annotations_add(account->txn, delta->annotations, delta->annotation_count, err);
}

static void note_drops(struct delta *delta, const struct ledger_drops *drops)
{
    delta->not_stored_now = 0;
    delta->drops_now = *drops;
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        delta->not_stored_now += drops->counts[i];
}

static enum drop_reason reason_of(enum delta_outcome outcome)
{
    switch (outcome) {
    case DELTA_CONFLICT:
        return DROP_conflict;
    case DELTA_TOO_OLD:
        return DROP_too_old;
    default:
        return DROP_duplicate;
    }
}

/* All that the ledgers of a delta say, or what is left of it: by its outcome. */
static bool count_delta(const struct account *account, struct delta *delta,
                        const struct journal_part *part, struct error *err)
{
    struct ledger_drops drops = ledger_drops_all(reason_of(delta->outcome));

    delta->not_stored_now = 0;
    delta->drops_now = (struct ledger_drops){0};
    if (part != NULL) {
        drops = part->drops;
        note_drops(delta, &drops);
    }
    return add_annotations(account, delta, err) &&
           ledger_table_add(account->txn, delta->ledgers, delta->ledger_count, &drops,
                            account->unreadable, err);
}

/* The same of a part that others follow. */
static bool count_part(const struct account *account, const struct journal_part *part,
                       struct error *err)
{
    struct delta *delta = part->delta;
    uint64_t samples = part->samples + (is_begun(delta) ? 0 : delta->events);
    struct delta_ledger *shares =
        arena_array(account->scratch, delta->ledger_count + 1, sizeof *shares);

    delta->counted_now = samples;
    note_drops(delta, &part->drops);
    for (size_t i = 0; i < delta->ledger_count; i++) {
        struct ledger left = delta->ledgers[i].counts;
        shares[i].listener = delta->ledgers[i].listener;
        shares[i].counts = ledger_take(&left, samples);
        samples -= shares[i].counts.stored;
    }
    return add_annotations(account, delta, err) &&
           ledger_table_add(account->txn, shares, delta->ledger_count, &part->drops,
                            account->unreadable, err);
}

void account_forget_part(struct delta *delta)
{
    uint64_t samples = delta->counted_now;

    for (size_t i = 0; i < delta->ledger_count; i++)
        samples -= ledger_take(&delta->ledgers[i].counts, samples).stored;
}

bool account_lost(const struct account *account, const struct queue *deltas, struct error *err)
{
    const struct ledger_drops drops = ledger_drops_all(DROP_store_full);

    for (const struct message *message = deltas->first; message != NULL; message = message->next) {
        const struct delta *delta = (const struct delta *)message;
        if (!delta_is_waited_for(delta) &&
            !ledger_table_add(account->txn, delta->ledgers, delta->ledger_count, &drops,
                              account->unreadable, err))
            return false;
    }
    return true;
}

/* --- answers --------------------------------------------------------------------------------- */

/* What is kept of an answer says what became of the batch, also to a copy of it in this group. */
static bool settle_answer(struct write_txn *txn, struct delta *delta, bool *has_changed,
                          struct error *err)
{
    struct str answer = delta->answer;

    if (delta->outcome == DELTA_REPEATED && *has_changed)
        return identity_settle_answer(txn, delta, err);
    if (delta->outcome != DELTA_STORED || delta->on_counted == NULL)
        return true;
    delta->on_counted(delta);
    if (str_equal(answer, delta->answer))
        return true;
    *has_changed = true;
    return identity_settle_answer(txn, delta, err);
}

bool account_settle(const struct account *account, struct message *first, const struct group *group,
                    const struct journal_part *parts, struct error *err)
{
    struct message *message = first;
    const struct journal_part *part = parts;
    bool has_changed = false;

    for (size_t i = 0; i < group->deltas; i++, message = message->next) {
        struct delta *delta = (struct delta *)message;
        const struct journal_part *own = delta->outcome == DELTA_STORED ? part++ : NULL;
        if (!count_delta(account, delta, own, err) ||
            !settle_answer(account->txn, delta, &has_changed, err))
            return false;
    }
    return !group->has_part || count_part(account, part, err);
}
