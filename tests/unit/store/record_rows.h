/* Rows of records that are written as they are, past the modules that own them, and what verify
 * says of them. */
#pragma once

#include <stdio.h>

#include "store/store_private.h"
#include "store/verify.h"
#include "test.h"

enum { TOLD_KEPT = 16 };

struct told {
    struct {
        char where[160];
        char text[400];
    } findings[TOLD_KEPT];
    size_t count;
};

static inline void on_told(const struct verify_finding *finding, void *arg)
{
    struct told *told = arg;

    assert_string_equal(finding->what, "record");
    if (told->count < TOLD_KEPT) {
        (void)snprintf(told->findings[told->count].where, 160, "%s", finding->where);
        (void)snprintf(told->findings[told->count].text, 400, "%s", finding->text);
    }
    told->count++;
}

static inline struct verify_counts verify_rows_of(struct store *store,
                                                  const struct verify_table *tables, size_t count,
                                                  struct told *told)
{
    struct error err = ERROR_EMPTY;
    struct verify_counts counts;
    const struct verify_options options = {
        .tables = tables, .table_count = count, .on_finding = on_told, .arg = told};

    told->count = 0;
    if (!verify_store(store, &options, &counts, &err))
        fail_msg("%s", err.text);
    assert_int_equal(counts.findings, told->count);
    return counts;
}

static inline void expect_nothing_told(const struct told *told)
{
    if (told->count > 0)
        fail_msg("%zu findings, the first: %s: %s", told->count, told->findings[0].where,
                 told->findings[0].text);
}

/* One finding among others, maybe. */
static inline void expect_told(const struct told *told, const char *where, const char *text)
{
    for (size_t i = 0; i < told->count && i < TOLD_KEPT; i++) {
        if (strcmp(told->findings[i].where, where) == 0 &&
            strcmp(told->findings[i].text, text) == 0)
            return;
    }
    for (size_t i = 0; i < told->count && i < TOLD_KEPT; i++)
        print_error("%s: %s\n", told->findings[i].where, told->findings[i].text);
    fail_msg("%zu findings, none is %s: %s", told->count, where, text);
}

/* An empty value takes the row away. On the writer's thread, as that is not started. */
static inline void write_row(struct store *store, enum record_table table, struct str key,
                             struct str value)
{
    struct write_txn txn;
    struct error err = ERROR_EMPTY;

    if (!write_txn_begin(store, NULL, &txn, &err) ||
        !(value.len == 0 ? record_remove(&txn, table, key, &err)
                         : record_put(&txn, table, key, value, &err)) ||
        !write_txn_commit(&txn, &err))
        fail_msg("%s", err.text);
}

/* A copy in `out`; false when there is none. */
static inline bool read_row(struct store *store, enum record_table table, struct str key,
                            struct buf *out)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(store, &err);
    struct str value;

    assert_non_null(txn);
    bool found = record_get(txn, table, key, &value);
    buf_clear(out);
    if (found)
        buf_str(out, value);
    read_txn_end(txn);
    return found;
}
