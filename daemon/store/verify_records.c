/* The records of the layers above (store/record.h), each by who knows its bytes. */
#include <stdio.h>

#include "store/verify_private.h"

enum {
    KEY_TEXT_MAX = 80,
    KEY_REST_MAX = 16,
};

const char *verify_table_name(enum record_table table)
{
    static const char *const names[DATABASE_COUNT] = {
#define DATABASES_NAME(constant, name) [DATABASE_##constant] = (name),
        DATABASES(DATABASES_NAME)
#undef DATABASES_NAME
    };
    return names[DATABASE_RECORDS + (int)table];
}

/* How much of a key is text that a person reads; it ends inside of no character, since what is cut
 * off is written as hex. */
static size_t text_of(struct str key)
{
    size_t len = 0;

    while (len < key.len && len < KEY_TEXT_MAX && key.text[len] >= ' ' && key.text[len] < 0x7f)
        len++;
    return len;
}

/* Keys begin with an id, and some go on with numbers: the one in quotes, the others in hex. */
static void at_record(struct verify *verify, enum record_table table, struct str key)
{
    char rest[2 * KEY_REST_MAX + 4] = "";
    size_t text = text_of(key);
    size_t at = text + (text > 0 && text < key.len && key.text[text] == '\0');
    size_t len = 0;

    for (size_t i = at; i < key.len && i < at + KEY_REST_MAX; i++)
        len += (size_t)snprintf(rest + len, sizeof rest - len, "%02x", (unsigned char)key.text[i]);
    if (key.len > at + KEY_REST_MAX)
        (void)snprintf(rest + len, sizeof rest - len, "...");
    if (text > 0)
        verify_at(verify, "%s '%.*s'%s%s", verify_table_name(table), (int)text, key.text,
                  len > 0 ? " " : "", rest);
    else
        verify_at(verify, "%s %s", verify_table_name(table), rest);
}

static void check_record(struct verify *verify, const struct verify_table *table,
                         const struct walk *row, uint64_t *rows)
{
    struct verify_record record = {
        .key = store_bytes(&row->key), .value = store_bytes(&row->value), .txn = verify->txn};
    struct error why = ERROR_EMPTY;

    verify->counts->rows++;
    verify->counts->records[table->table]++;
    at_record(verify, table->table, record.key);
    if (!table->check(&record, &why))
        verify_report(verify, "record", "%s", why.text);
    *rows = 1 + record.rows;
}

bool verify_records(struct verify *verify, union verify_state *all, bool *done, struct error *err)
{
    struct verify_rows_state *state = &all->rows;
    struct walk walk;
    bool goes_on = true;

    *done = state->table == verify->options->table_count;
    if (*done)
        return true;
    const struct verify_table *table = &verify->options->tables[state->table];
    bool ok = walk_begin(&walk, verify->txn, (enum database)(DATABASE_RECORDS + (int)table->table),
                         &state->next, err);
    while (ok && walk.found && goes_on) {
        uint64_t rows = 1;
        check_record(verify, table, &walk, &rows);
        state->next = walk_after(store_bytes(&walk.key));
        ok = walk_next(&walk, err);
        goes_on = verify_spend(verify, rows);
    }
    if (ok && !walk.found) {
        state->next = (struct schema_key)SCHEMA_KEY_EMPTY;
        state->table++;
    }
    walk_end(&walk);
    return ok;
}
