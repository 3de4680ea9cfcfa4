#include "store/select.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/index.h"
#include "store/removed.h"
#include "store/series_cursor.h"

enum {
    FEW = 256,           /* candidates whose keys are read rather than more lists */
    SOME = 2048,         /* and rather than the lists of all values that begin alike */
    DENSE = 64,          /* one candidate in so many ids */
    SMALL_METRIC = 4096, /* series of a metric that are a good place to begin */
};

/* --- a key against a selector --- */

static bool matches_one(struct str value, const struct label_match *match)
{
    switch (match->op) {
    case MATCH_EQUAL:
        return match->value_count > 0 && str_equal(value, match->values[0]);
    case MATCH_NOT_EQUAL:
        return match->value_count > 0 && !str_equal(value, match->values[0]);
    case MATCH_IN:
        for (size_t i = 0; i < match->value_count; i++) {
            if (str_equal(value, match->values[i]))
                return true;
        }
        return false;
    case MATCH_PREFIX:
        return match->value_count > 0 && value.len >= match->values[0].len &&
               str_equal((struct str){value.text, match->values[0].len}, match->values[0]);
    }
    return false;
}

static bool matches(struct str key, const struct selector *selector)
{
    if (series_key_kind(key) != selector->kind ||
        !str_equal(series_key_metric(key), selector->metric))
        return false;
    for (size_t i = 0; i < selector->match_count; i++) {
        struct str value = STR_EMPTY;
        if (!series_key_label(key, selector->matches[i].label, &value))
            value = STR_EMPTY;
        if (!matches_one(value, &selector->matches[i]))
            return false;
    }
    return true;
}

/* --- narrowing down --- */

struct selection {
    const struct read_txn *txn;
    const struct selector *selector;
    struct index_runs runs;
    struct removed removed;
    struct arena arena;   /* for keys of the index */
    struct id_list ids;   /* candidates */
    unsigned char *marks; /* of each candidate: 0 or 1; all 0 in between */
    bool read_keys;       /* the lists alone do not say it */
};

/* Whether it is quicker to gather what a key has than to look for the candidates among it. */
static bool is_dense(const struct id_list *list)
{
    return (list->ids[list->count - 1] - list->ids[0]) / DENSE < list->count;
}

static void mark_set(struct selection *selection, const struct id_set *set)
{
    const struct id_list *list = &selection->ids;

    for (size_t i = 0; i < list->count; i++)
        selection->marks[i] |= id_set_has(set, list->ids[i]);
}

/* Marks the candidates that one of the keys has. */
static bool mark_keys(struct selection *selection, const struct index_key *keys, size_t count,
                      struct error *err)
{
    const struct id_list *list = &selection->ids;
    struct id_set set;
    bool ok = true;

    if (list->count == 0)
        return true;
    if (!is_dense(list)) {
        for (size_t i = 0; i < count && ok; i++)
            ok = index_mark(selection->txn, &selection->runs, keys[i], list, selection->marks, err);
        return ok;
    }
    id_set_init(&set, list->ids[0], list->ids[list->count - 1]);
    for (size_t i = 0; i < count && ok; i++)
        ok = index_add(selection->txn, &selection->runs, keys[i], &set, err);
    mark_set(selection, &set);
    id_set_fini(&set);
    return ok;
}

/* Those that have the label with a value that begins like this. */
static bool mark_prefix(struct selection *selection, struct str label, struct str prefix,
                        struct error *err)
{
    const struct id_list *list = &selection->ids;
    const struct index_prefix range = {label, prefix};
    struct id_set set;

    if (list->count == 0)
        return true;
    id_set_init(&set, list->ids[0], list->ids[list->count - 1]);
    bool ok = index_add_prefix(selection->txn, &selection->runs, &range, &set, err);
    mark_set(selection, &set);
    id_set_fini(&set);
    return ok;
}

/* Those that have one of the match's values, of which the empty one stands for: without the label.
 */
static bool mark_values(struct selection *selection, const struct label_match *match,
                        struct error *err)
{
    size_t value_count = match->op == MATCH_IN ? match->value_count : 1;
    struct index_key *keys = arena_array(&selection->arena, value_count, sizeof *keys);
    size_t count = 0;
    bool has_empty = false;

    for (size_t i = 0; i < value_count; i++) {
        if (match->values[i].len == 0)
            has_empty = true;
        else
            keys[count++] = index_value_key(match->label, match->values[i], &selection->arena);
    }
    if (has_empty) {
        if (!mark_prefix(selection, match->label, STR_EMPTY, err))
            return false;
        for (size_t i = 0; i < selection->ids.count; i++)
            selection->marks[i] ^= 1;
    }
    return mark_keys(selection, keys, count, err);
}

/* Keeps the candidates that are marked, or those that are not, and clears the marks. */
static void keep(struct selection *selection, bool marked)
{
    struct id_list *list = &selection->ids;
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        list->ids[count] = list->ids[i];
        count += selection->marks[i] == marked;
    }
    memset(selection->marks, 0, list->count);
    list->count = count;
}

static bool narrow(struct selection *selection, const struct label_match *match, struct error *err)
{
    struct str value = match->value_count > 0 ? match->values[0] : STR_EMPTY;

    if (match->value_count == 0) {
        selection->ids.count = 0;
        return true;
    }
    if (match->op != MATCH_PREFIX) {
        if (!mark_values(selection, match, err))
            return false;
    } else if (value.len > 0) {
        selection->read_keys = selection->read_keys || value.len > INDEX_VALUE_MAX;
        value.len = value.len < INDEX_VALUE_MAX ? value.len : INDEX_VALUE_MAX;
        if (!mark_prefix(selection, match->label, value, err))
            return false;
    } else {
        return true;
    }
    keep(selection, match->op != MATCH_NOT_EQUAL);
    return true;
}

/* Whether all values of the label, or those that begin alike, are asked for. */
static bool is_range(const struct label_match *match)
{
    bool has_empty = false;

    for (size_t i = 0; i < match->value_count; i++)
        has_empty = has_empty || match->values[i].len == 0;
    return match->op == MATCH_PREFIX || has_empty;
}

/* A match whose own list is all that it names. */
static bool is_lookup(const struct label_match *match)
{
    return match->op == MATCH_EQUAL && match->value_count > 0 && match->values[0].len > 0;
}

/* The first match that is one, or the number of matches. */
static size_t first_lookup(const struct selector *selector)
{
    size_t i = 0;

    while (i < selector->match_count && !is_lookup(&selector->matches[i]))
        i++;
    return i;
}

/* The first list of candidates: the metric's when that is known to be short, or else that of a
 * label's value. `*begun`: the match it was, or the number of matches for the metric. */
static bool first_list(struct selection *selection, size_t *begun, struct error *err)
{
    const struct selector *selector = selection->selector;
    struct index_key key = index_metric_key(selector->kind, selector->metric, &selection->arena);
    bool is_long = false;

    *begun = first_lookup(selector);
    if (*begun < selector->match_count &&
        !index_has_more(selection->txn, &selection->runs, key, SMALL_METRIC, &is_long, err))
        return false;
    if (is_long)
        key = index_value_key(selector->matches[*begun].label, selector->matches[*begun].values[0],
                              &selection->arena);
    else
        *begun = selector->match_count;
    return index_find(selection->txn, &selection->runs, key, &selection->ids, err);
}

/* By the matches that are ranges, or by the others but `begun`; those that are left when there are
 * few candidates are for their keys to say. */
static bool narrow_by(struct selection *selection, bool ranges, size_t begun, struct error *err)
{
    const struct selector *selector = selection->selector;
    size_t few = ranges ? SOME : FEW;

    for (size_t i = 0; i < selector->match_count; i++) {
        const struct label_match *match = &selector->matches[i];
        if (i == begun || is_range(match) != ranges)
            continue;
        selection->read_keys = selection->read_keys || selection->ids.count <= few;
        if (selection->ids.count > few && !narrow(selection, match, err))
            return false;
    }
    return true;
}

static bool narrow_all(struct selection *selection, struct error *err)
{
    const struct selector *selector = selection->selector;
    const struct index_key metric =
        index_metric_key(selector->kind, selector->metric, &selection->arena);
    size_t begun = 0;

    if (!first_list(selection, &begun, err))
        return false;
    selection->marks = memory_zero(selection->ids.count, 1);
    if (begun < selector->match_count && selection->ids.count > FEW) {
        if (!mark_keys(selection, &metric, 1, err))
            return false;
        keep(selection, true);
    }
    /* Ranges come last, since they cost the same for few candidates as for many. */
    bool ok = narrow_by(selection, false, begun, err) && narrow_by(selection, true, begun, err);
    selection->read_keys = selection->read_keys || selection->ids.count <= FEW;
    return ok;
}

static void drop_removed(struct selection *selection)
{
    struct id_list *list = &selection->ids;
    size_t count = 0;

    if (selection->removed.row_count == 0)
        return;
    for (size_t i = 0; i < list->count; i++) {
        list->ids[count] = list->ids[i];
        count += !removed_has(&selection->removed, list->ids[i]);
    }
    list->count = count;
}

/* --- keys --- */

static bool filter_by_keys(struct selection *selection, struct series_cursor *cursor,
                           struct error *err)
{
    struct id_list *list = &selection->ids;
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        uint32_t id = list->ids[i];
        if (!series_cursor_seek(cursor, id, err))
            return false;
        if (cursor->has && cursor->id == id && matches(cursor->key, selection->selector))
            list->ids[count++] = id;
    }
    list->count = count;
    return true;
}

/* Adds the series that are after `end`. */
static bool scan(struct selection *selection, struct series_cursor *cursor, uint32_t end,
                 struct error *err)
{
    if (end == UINT32_MAX)
        return true;
    if (!series_cursor_seek(cursor, end + 1, err))
        return false;
    while (cursor->has) {
        if (matches(cursor->key, selection->selector))
            id_list_add(&selection->ids, cursor->id);
        if (!series_cursor_next(cursor, err))
            return false;
    }
    return true;
}

static bool from_index(struct selection *selection, struct series_cursor *cursor, struct error *err)
{
    if (!index_runs_read(&selection->runs, selection->txn, err) || !narrow_all(selection, err))
        return false;
    drop_removed(selection);
    return !selection->read_keys || filter_by_keys(selection, cursor, err);
}

/* Finds all ids. An index that cannot be read is made anew in the background (store/indexer.h);
 * until then all series are looked at. */
static bool find_ids(struct selection *selection, struct error *err)
{
    struct series_cursor cursor;
    uint32_t end = index_end(selection->txn);
    bool ok = series_cursor_init(&cursor, selection->txn, err) &&
              removed_init(&selection->removed, selection->txn, err);

    if (ok && end > 0 && !from_index(selection, &cursor, err)) {
        ok = err->kind == ERROR_CORRUPT;
        end = 0;
        selection->ids.count = 0;
    }
    ok = ok && scan(selection, &cursor, end, err);
    series_cursor_fini(&cursor);
    return ok;
}

static void selection_fini(struct selection *selection)
{
    index_runs_fini(&selection->runs);
    removed_fini(&selection->removed);
    id_list_fini(&selection->ids);
    arena_fini(&selection->arena);
    free(selection->marks);
}

bool catalog_select_ids(const struct read_txn *txn, const struct selector *selector,
                        struct arena *arena, uint32_t **out, size_t *count, struct error *err)
{
    struct selection selection = {.txn = txn, .selector = selector};
    bool ok = find_ids(&selection, err);

    *out = NULL;
    *count = ok ? selection.ids.count : 0;
    if (*count > 0) {
        *out = arena_array(arena, *count, sizeof **out);
        memcpy(*out, selection.ids.ids, *count * sizeof **out);
    }
    selection_fini(&selection);
    return ok;
}

bool catalog_select(const struct read_txn *txn, const struct selector *selector,
                    struct arena *arena, struct query_series **out, size_t *count,
                    struct error *err)
{
    struct selection selection = {.txn = txn, .selector = selector};
    struct series_cursor cursor = {0};
    bool ok = find_ids(&selection, err) && series_cursor_init(&cursor, txn, err);
    const struct id_list *list = &selection.ids;

    *count = 0;
    *out = ok && list->count > 0 ? arena_array(arena, list->count, sizeof **out) : NULL;
    for (size_t i = 0; i < list->count && ok; i++) {
        ok = series_cursor_seek(&cursor, list->ids[i], err);
        if (ok && cursor.has && cursor.id == list->ids[i] && cursor.key.len > 0)
            (*out)[(*count)++] = (struct query_series){cursor.id, arena_str(arena, cursor.key)};
    }
    series_cursor_fini(&cursor);
    selection_fini(&selection);
    return ok;
}
