/* The work that is not about cells: new series come into the catalogue's index, identities and
 * annotations that are too old are forgotten. */
#include "store/annotation.h"
#include "store/identity.h"
#include "store/upkeep_private.h"

enum { IDENTITIES_AT_ONCE = 1000, ANNOTATIONS_AT_ONCE = 256 };

bool upkeep_index(struct upkeep_step *step, bool *did, struct error *err)
{
    return catalog_index_step(step->upkeep->indexer, step->txn, did, err);
}

/* Once a minute: each has been there for days. */
bool upkeep_identities(struct upkeep_step *step, bool *did, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;
    size_t removed = 0;
    struct error why;

    if (step->clock->keep_mark == WALL_NONE || guard_is_suspect(step->clock, &why))
        return true;
    int64_t minute = minute_of(step->clock->keep_mark);
    if (minute == upkeep->identities_seen)
        return true;
    if (!identity_expire(step->txn, step->clock->keep_mark, IDENTITIES_AT_ONCE, &removed, err))
        return false;
    if (removed < IDENTITIES_AT_ONCE)
        upkeep->identities_seen = minute;
    *did = removed > 0;
    return true;
}

/* Annotations stay as long as days do. */
bool upkeep_annotations(struct upkeep_step *step, bool *did, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;
    span_ms keep = upkeep->options->keep.day;
    wall_ms before = 0;
    size_t removed = 0;
    struct error why;

    if (keep <= 0 || step->clock->keep_mark == WALL_NONE || guard_is_suspect(step->clock, &why) ||
        __builtin_sub_overflow(step->clock->keep_mark, keep, &before))
        return true;
    int64_t minute = minute_of(step->clock->keep_mark);
    if (minute == upkeep->annotations_seen)
        return true;
    if (!annotations_expire(step->txn, before, ANNOTATIONS_AT_ONCE, &removed, err))
        return false;
    if (removed < ANNOTATIONS_AT_ONCE)
        upkeep->annotations_seen = minute;
    *did = removed > 0;
    return true;
}
