/* The work that is not about cells: new series come into the catalogue's index, identities that are
 * too old are forgotten. */
#include "store/identity.h"
#include "store/upkeep_private.h"

enum { IDENTITIES_AT_ONCE = 1000 };

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
