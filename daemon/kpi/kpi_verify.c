#include "kpi/kpi_verify.h"

#include <string.h>

#include "kpi/coord_private.h"
#include "kpi/period_record.h"

enum {
    TIME_BYTES = 8,
    FIGURE_TAIL_BYTES = 1 + TIME_BYTES
}; /* of a key, after the id and its end */

static bool is_damaged(struct error *why)
{
    return error_set(why, ERROR_CORRUPT, "its row is damaged");
}

bool kpi_verify_schedule(struct verify_record *record, struct error *why)
{
    return record->value.len == (size_t)2 * TIME_BYTES || is_damaged(why);
}

bool kpi_verify_declared(struct verify_record *record, struct error *why)
{
    return (record->value.len == TIME_BYTES && record->key.len <= DECLARED_KEY_MAX) ||
           is_damaged(why);
}

/* --- figures --- */

static bool check_commit(struct verify_record *record, uint64_t commit, struct error *why)
{
    uint64_t newest = store_commit_number(record->txn);

    return commit <= newest ||
           error_set(why, ERROR_CORRUPT, "it knows commit %llu, and the newest is %llu",
                     (unsigned long long)commit, (unsigned long long)newest);
}

static bool check_mark(struct verify_record *record, struct error *why)
{
    struct period_mark mark;

    if (!period_mark_decode(record->value, &mark))
        return is_damaged(why);
    return check_commit(record, mark.since > mark.until ? mark.since : mark.until, why);
}

static bool check_period(struct verify_record *record, unsigned kind, struct error *why)
{
    struct arena arena = ARENA_EMPTY;
    struct period_record period;
    wall_ms from = 0;

    bool ok = kind >= 1 && kind <= 1 + PERIOD_YEAR && period_key_from(record->key, &from) &&
              period_record_decode(record->value, &arena, &period);
    if (!ok)
        (void)is_damaged(why);
    else if (period.to <= from)
        ok = error_set(why, ERROR_CORRUPT, "its period ends at %lld, before it begins",
                       (long long)period.to);
    else
        ok = check_commit(record, period.commit, why);
    arena_fini(&arena);
    return ok;
}

bool kpi_verify_figure(struct verify_record *record, struct error *why)
{
    const struct str key = record->key;
    const char *end = key.len == 0 ? NULL : memchr(key.text, '\0', key.len);

    if (end == NULL || end == key.text)
        return is_damaged(why);
    size_t tail = (size_t)(key.text + key.len - end) - 1;
    if (tail == 0)
        return check_mark(record, why);
    return tail == FIGURE_TAIL_BYTES ? check_period(record, (unsigned char)end[1], why)
                                     : is_damaged(why);
}
