#include "store/select.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/index.h"
#include "store/metric_table.h"
#include "store/removed.h"
#include "store/series_cursor.h"

enum {
    FEW = 256,           /* candidates whose keys are read rather than more lists */
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
    struct id_list ids;   /* candidates */
    unsigned char *marks; /* one for each of them at the beginning, and as many again */
    bool read_keys;       /* the lists alone do not say it */
};

static bool mark(struct selection *selection, struct series_hash key, unsigned char *marks,
                 struct error *err)
{
    return index_mark(selection->txn, &selection->runs, key, &selection->ids, marks, err);
}

/* Keeps the candidates whose mark is `kept`. */
static void keep(struct selection *selection, const unsigned char *marks, unsigned char kept)
{
    struct id_list *list = &selection->ids;
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++) {
        list->ids[count] = list->ids[i];
        count += marks[i] == kept;
    }
    list->count = count;
}

static bool keep_marked(struct selection *selection, struct series_hash key, bool marked,
                        struct error *err)
{
    memset(selection->marks, 0, selection->ids.count);
    if (!mark(selection, key, selection->marks, err))
        return false;
    keep(selection, selection->marks, marked ? 1 : 0);
    return true;
}

/* One of several values, of which the empty one stands for: not in the list of the label. */
static bool keep_in(struct selection *selection, const struct label_match *match, struct error *err)
{
    size_t count = selection->ids.count;
    unsigned char *marks = selection->marks;
    unsigned char *labelled = marks + count;
    bool has_empty = false;

    memset(marks, 0, 2 * count);
    for (size_t i = 0; i < match->value_count; i++) {
        if (match->values[i].len == 0)
            has_empty = true;
        else if (!mark(selection, index_pair_key(match->label, match->values[i]), marks, err))
            return false;
    }
    if (has_empty) {
        if (!mark(selection, index_label_key(match->label), labelled, err))
            return false;
        for (size_t i = 0; i < count; i++)
            marks[i] |= labelled[i] ^ 1;
    }
    keep(selection, marks, 1);
    return true;
}

static bool narrow(struct selection *selection, const struct label_match *match, struct error *err)
{
    struct str value = match->value_count > 0 ? match->values[0] : STR_EMPTY;
    bool is_not = match->op == MATCH_NOT_EQUAL;

    if (match->value_count == 0) {
        selection->ids.count = 0;
        return true;
    }
    switch (match->op) {
    case MATCH_EQUAL:
    case MATCH_NOT_EQUAL:
        if (value.len == 0)
            return keep_marked(selection, index_label_key(match->label), is_not, err);
        return keep_marked(selection, index_pair_key(match->label, value), !is_not, err);
    case MATCH_IN:
        return keep_in(selection, match, err);
    case MATCH_PREFIX:
        if (value.len == 0)
            return true;
        selection->read_keys = true;
        return keep_marked(selection, index_label_key(match->label), true, err);
    }
    return true;
}

/* A match whose own list is all that it names. */
static bool is_lookup(const struct label_match *match)
{
    return match->op == MATCH_EQUAL && match->value_count > 0 && match->values[0].len > 0;
}

/* The first list of candidates: the metric's when that is known to be short, or else that of a
 * label's value. `*begun`: the match it was, or the number of matches for the metric. */
static bool first_list(struct selection *selection, size_t *begun, struct error *err)
{
    const struct selector *selector = selection->selector;
    struct series_hash key = index_metric_key(selector->kind, selector->metric);
    struct metric_count metric;
    bool found = false;

    if (!metric_table_find(selection->txn, selector->metric, &metric, &found, err))
        return false;
    *begun = selector->match_count;
    for (size_t i = 0; i < selector->match_count && metric.series > SMALL_METRIC; i++) {
        if (!is_lookup(&selector->matches[i]))
            continue;
        *begun = i;
        key = index_pair_key(selector->matches[i].label, selector->matches[i].values[0]);
        break;
    }
    return index_find(selection->txn, &selection->runs, key, &selection->ids, err);
}

static bool narrow_all(struct selection *selection, struct error *err)
{
    const struct selector *selector = selection->selector;
    size_t begun = 0;

    if (!first_list(selection, &begun, err))
        return false;
    selection->marks = memory_alloc(2 * selection->ids.count + 1);
    if (begun < selector->match_count && selection->ids.count > FEW &&
        !keep_marked(selection, index_metric_key(selector->kind, selector->metric), true, err))
        return false;
    for (size_t i = 0; i < selector->match_count && selection->ids.count > FEW; i++) {
        if (i != begun && !narrow(selection, &selector->matches[i], err))
            return false;
    }
    selection->read_keys = selection->read_keys || selection->ids.count <= FEW;
    return true;
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
