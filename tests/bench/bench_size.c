/* What lies in a data directory: the pages of each database and the free ones, as JSON. kpid must
 * not run on it. Nothing is changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/store_private.h"

struct pages {
    uint64_t entries;
    uint64_t pages; /* branches, leaves and overflow */
};

static void fail(const char *what, int rc)
{
    (void)fprintf(stderr, "bench_size: %s: %s\n", what, mdb_strerror(rc));
    exit(1);
}

static struct pages pages_of(MDB_txn *txn, MDB_dbi dbi)
{
    MDB_stat facts;
    int rc = mdb_stat(txn, dbi, &facts);
    if (rc != 0)
        fail("mdb_stat", rc);
    return (struct pages){facts.ms_entries,
                          facts.ms_branch_pages + facts.ms_leaf_pages + facts.ms_overflow_pages};
}

/* The pages on LMDB's list of free ones: database 0, of which each value begins with a count. */
static uint64_t free_pages(MDB_txn *txn)
{
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val value;
    uint64_t count = 0;

    int rc = mdb_cursor_open(txn, 0, &cursor);
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t pages = 0;
        memcpy(&pages, value.mv_data, sizeof pages);
        count += pages;
    }
    if (rc != MDB_NOTFOUND)
        fail("cannot read the free pages", rc);
    mdb_cursor_close(cursor);
    return count;
}

/* Only databases are in the unnamed one. */
static void print_databases(MDB_txn *txn)
{
    MDB_cursor *cursor = NULL;
    MDB_dbi unnamed = 0;
    MDB_val key;
    MDB_val value;

    int rc = mdb_dbi_open(txn, NULL, 0, &unnamed);
    if (rc == 0)
        rc = mdb_cursor_open(txn, unnamed, &cursor);
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        char name[64];
        MDB_dbi dbi = 0;
        (void)snprintf(name, sizeof name, "%.*s", (int)key.mv_size, (const char *)key.mv_data);
        rc = mdb_dbi_open(txn, name, 0, &dbi);
        if (rc != 0)
            fail(name, rc);
        struct pages pages = pages_of(txn, dbi);
        (void)printf(",\n \"%s\": {\"entries\": %llu, \"pages\": %llu}", name,
                     (unsigned long long)pages.entries, (unsigned long long)pages.pages);
    }
    if (rc != MDB_NOTFOUND)
        fail("cannot list the databases", rc);
    mdb_cursor_close(cursor);
}

int main(int argc, char **argv)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_envinfo info;
    MDB_stat facts;

    if (argc != 2) {
        (void)fprintf(stderr, "usage: bench_size DIRECTORY\n");
        return 2;
    }
    int rc = mdb_env_create(&env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(env, 64);
    if (rc == 0)
        rc = mdb_env_open(env, argv[1], MDB_RDONLY, 0600);
    if (rc == 0)
        rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = mdb_env_info(env, &info);
    if (rc == 0)
        rc = mdb_env_stat(env, &facts);
    if (rc != 0)
        fail(argv[1], rc);
    (void)printf("{\"page_bytes\": %u, \"pages\": %llu, \"free_pages\": %llu, \"list_pages\": %llu",
                 facts.ms_psize, (unsigned long long)info.me_last_pgno + 1,
                 (unsigned long long)free_pages(txn), (unsigned long long)pages_of(txn, 0).pages);
    print_databases(txn);
    (void)printf("}\n");
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return 0;
}
