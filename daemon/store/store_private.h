/* What the files of this folder share: the environment, its transactions, and how LMDB's answers
 * become errors. Nobody else includes this. */
#pragma once

#include <lmdb.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "store/schema.h"
#include "store/store.h"

struct store {
    /* set once at start */
    char *path;
    uint64_t max_bytes;
    int lock_fd;

    /* the writer's, and readers' as long as the gate lets them in */
    void *map; /* where the file is mapped; NULL when that is not known */
    size_t map_bytes;
    MDB_env *env;      /* NULL after a reopening that failed */
    bool is_read_only; /* it could be reopened for reading alone */
    MDB_dbi databases[DATABASE_COUNT];

    /* shared: how many readers are in, and STORE_GATE_CLOSED while the environment is reopened */
    _Atomic uint32_t gate;
};

#define STORE_GATE_CLOSED UINT32_C(0x80000000)

struct read_txn {
    struct store *store;
    MDB_txn *txn;
    mono_ms deadline; /* for what a client makes long; 0: none, inside of a write transaction */
};

struct write_txn {
    struct read_txn reader;
    bool wrote;          /* there is something to commit */
    bool is_inner;       /* inside of another one */
    bool storage_failed; /* LMDB said no: nothing of this transaction can be kept */
};

static inline MDB_val store_value(struct str bytes)
{
    return (MDB_val){.mv_size = bytes.len, .mv_data = (void *)bytes.text};
}

static inline MDB_val store_key(const struct schema_key *key)
{
    return (MDB_val){.mv_size = key->len, .mv_data = (void *)key->bytes};
}

static inline struct str store_bytes(const MDB_val *value)
{
    return (struct str){value->mv_data, value->mv_size};
}

/* The minute that contains `at`, also before 1970. */
static inline int64_t minute_of(wall_ms at)
{
    int64_t minute = at / MS_PER_MINUTE;
    return at % MS_PER_MINUTE < 0 ? minute - 1 : minute;
}

/* False, with words, when the snapshot's time is over. Whatever reads for as long as it likes asks
 * each few hundred microseconds. */
bool read_txn_check(const struct read_txn *txn, struct error *err);

/* Sets `err` to `what` and the words for an answer of LMDB; returns false. */
__attribute__((format(printf, 3, 4))) bool store_error(struct error *err, int rc,
                                                       const char *format, ...);

/* Looks up one key: false means that LMDB failed, and `*out` is empty when there is none. */
bool store_find(const struct read_txn *txn, enum database database, MDB_val key, struct str *out,
                bool *found, struct error *err);

/* The same for readers that treat what cannot be read as absent. */
bool store_get(const struct read_txn *txn, enum database database, struct str key, struct str *out);

/* As mdb_put; a failure marks the transaction. */
bool store_put(struct write_txn *txn, enum database database, MDB_val key, struct str value,
               unsigned flags, struct error *err);

/* As mdb_del of the key; true also when there was none. */
bool store_remove(struct write_txn *txn, enum database database, MDB_val key, struct error *err);

/* `parent` NULL begins a transaction of its own, after a panic on an environment opened anew; else
 * one inside `parent`. On the writer's thread. Not moved in memory while it lasts. */
bool write_txn_begin(struct store *store, struct write_txn *parent, struct write_txn *out,
                     struct error *err);
bool write_txn_commit(struct write_txn *txn, struct error *err);
void write_txn_abort(struct write_txn *txn);

/* The newest commit's number, on the writer's thread, whatever state the environment is in. */
bool store_read_commit_number(struct store *store, uint64_t *out, struct error *err);

/* ERROR_FULL with words when the data is larger than it may be; on the writer's thread. */
bool store_has_room(struct store *store, struct error *err);

/* Lets go of the pages of the map that were read: they stay in the system's page cache, and what is
 * needed again is mapped again at once. Without it the process looks as large as what it has read
 * of the file. From any thread, between opening and closing. */
void store_let_go_of_pages(const struct store *store);

/* Fixed values of the meta database. */
uint64_t meta_get(const struct read_txn *txn, const char *name, uint64_t absent);
bool meta_put(struct write_txn *txn, const char *name, uint64_t value, struct error *err);
