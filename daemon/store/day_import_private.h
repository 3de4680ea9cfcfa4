/* What takes days in; the writer's. Private to store/. */
#pragma once

#include "store/catalog.h"
#include "store/day_import.h"
#include "store/upkeep.h"

/* Whose it is, on the writer's thread. */
struct day_import_into {
    struct upkeep *upkeep;
    struct catalog *catalog;
    bool *has_group; /* the catalogue's group is that of the transaction; set here */
    struct write_txn *txn;
    wall_ms now;
};

/* In the transaction, which is given up when this fails. Drops the jobs under way when days or
 * marks change. */
bool day_import_apply(const struct day_import_into *into, struct day_import *import,
                      struct error *err);
