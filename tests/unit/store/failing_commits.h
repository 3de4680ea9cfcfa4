/* Commits of LMDB that fail, for programs that are linked with -Wl,--wrap=mdb_txn_commit. One file
 * of a program includes it. */
#pragma once

#include <errno.h>
#include <lmdb.h>
#include <stdbool.h>

#include "test.h"

static struct {
    int failures; /* so many commits fail */
    bool holds;   /* but are done */
    unsigned all; /* that were tried */
} fault;

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    fault.all++;
    if (fault.failures == 0)
        return __real_mdb_txn_commit(txn);
    fault.failures--;
    if (fault.holds)
        assert_int_equal(__real_mdb_txn_commit(txn), 0);
    else
        mdb_txn_abort(txn);
    return EIO;
}
