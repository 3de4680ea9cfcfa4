#include "ingest/parcel.h"

#include <assert.h>

/* Whose samples a delta holds: one for each of its ledgers. */
struct origin {
    struct listener *listener;
    struct listener_counts *counts;
    uint64_t pending; /* of the samples received */
};

/* What goes with a delta of a hand-over; in its arena. */
struct parcel {
    struct ingest_worker *waits; /* for room for the next part; NULL: it is the last one */
    struct origin *origins;
    size_t capacity;
};

static void settle(struct origin *origin, uint64_t left)
{
    (void)atomic_fetch_add_explicit(&origin->counts->settled, origin->pending - left,
                                    memory_order_release);
    origin->pending = left;
}

/* On the sink's thread: they are pending no more, committed or lost. */
static void on_settled(struct delta *delta, const struct error *err)
{
    struct parcel *parcel = delta->on_done_arg;
    (void)err; /* the sink says what was lost */

    for (size_t i = 0; i < delta->ledger_count; i++) {
        settle(&parcel->origins[i], 0);
        (void)atomic_fetch_sub(&parcel->origins[i].listener->users, 1);
    }
    if (parcel->waits != NULL)
        (void)atomic_fetch_sub(&parcel->waits->parts_on_the_way, 1);
}

/* The same, when some of them are committed. */
static void on_partly_settled(struct delta *delta)
{
    struct parcel *parcel = delta->on_done_arg;

    for (size_t i = 0; i < delta->ledger_count; i++)
        settle(&parcel->origins[i], delta->ledgers[i].counts.received);
}

void parcel_begin(struct delta *delta, struct ingest_worker *waits)
{
    struct parcel *parcel = arena_alloc(&delta->arena, sizeof *parcel);

    *parcel = (struct parcel){.waits = waits};
    delta->on_done = on_settled;
    delta->on_done_arg = parcel;
    delta->on_part = on_partly_settled;
    delta->keep_trying = true;
    if (waits != NULL)
        (void)atomic_fetch_add(&waits->parts_on_the_way, 1);
}

static void add_counts(struct delta *delta, const struct origin *origin, struct str name,
                       const struct ledger *counts)
{
    struct parcel *parcel = delta->on_done_arg;

    assert(ledger_balances(counts));
    if (ledger_is_empty(counts))
        return;
    parcel->origins = arena_grow(&delta->arena, parcel->origins, delta->ledger_count,
                                 &parcel->capacity, sizeof *parcel->origins);
    parcel->origins[delta->ledger_count] =
        (struct origin){origin->listener, origin->counts, counts->received};
    delta_add_ledger(delta, name, counts);
    (void)atomic_fetch_add(&origin->listener->users, 1);
}

void parcel_add_counts(struct delta *delta, struct ingest_worker *worker, uint64_t samples)
{
    struct listener_part *part = NULL;

    TAILQ_FOREACH(part, &worker->parts, link)
    {
        const struct origin origin = {.listener = part->listener, .counts = part->counts};
        struct ledger counts = ledger_take(&part->ledger, samples);
        samples -= counts.stored;
        part->handed_over += counts.received;
        add_counts(delta, &origin, str_of(part->name), &counts);
    }
}

static uint64_t stored_of(const struct delta *delta)
{
    uint64_t stored = 0;

    for (size_t i = 0; i < delta->ledger_count; i++)
        stored += delta->ledgers[i].counts.stored;
    return stored;
}

void parcel_add_shares(struct delta *part, struct delta *last)
{
    const struct parcel *whole = last->on_done_arg;
    uint64_t samples = part->samples;

    for (size_t i = 0; i < last->ledger_count; i++) {
        struct delta_ledger *from = &last->ledgers[i];
        struct ledger counts = ledger_take(&from->counts, samples);
        samples -= counts.stored;
        whole->origins[i].pending -= counts.received;
        add_counts(part, &whole->origins[i], from->listener, &counts);
    }
}

void parcel_add_late(struct delta *delta, struct ingest_worker *worker)
{
    uint64_t samples = delta->samples + delta->events;
    uint64_t counted = stored_of(delta);

    if (samples > counted)
        parcel_add_counts(delta, worker, samples - counted);
}

void parcel_forget(struct delta *delta)
{
    on_settled(delta, NULL);
}
