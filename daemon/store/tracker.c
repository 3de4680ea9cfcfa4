#include "store/tracker.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"
#include "store/removed.h"
#include "store/series_cursor.h"
#include "store/tracker_private.h"
#include "store/walk.h"

enum {
    PAGE_TRACKERS = 32,
    LEAF_PAGES = 512,
    LEAF_TRACKERS = LEAF_PAGES * PAGE_TRACKERS,
    LIST_MIN = 64,
    OLD_KEPT = 1 << 12, /* room for so many stays */
    PREFETCH_AHEAD = 12,
    ROW_BYTES_MAX = 4080,  /* a page less LMDB's header, as store/chunk.h */
    ENTRIES_SPARED = 4096, /* that the log may have beyond twice the trackers */
    CLEAN_AT_LEAST = 1024, /* entries looked at in a transaction that appends few */
    FILLS_MAX = 1 << 20,
};

/* Of the numbers of rows; what a tracker has of them; and how far apart they are at most. */
#define ROW_NUMBER_MAX (UINT64_C(1) << 48)
#define ROW_MASK       ((UINT64_C(1) << TRACKER_ROW_BITS) - 1)
#define ROWS_MAX       (UINT64_C(1) << (TRACKER_ROW_BITS - 1))

struct page {
    uint32_t count; /* of those there are */
    struct tracker items[PAGE_TRACKERS];
};

/* Pages by id; NULL: none of its trackers is there. */
struct leaf {
    struct page *pages[LEAF_PAGES];
};

/* A tracker as it was before the transaction under way. */
struct old {
    struct tracker tracker;
    uint32_t id;
};

/* What the log looks like. */
struct extent {
    uint64_t first_row, next_row;
    uint64_t entries;
};

/* What a row of the log has. Rows are counted one after the other; after a gap, which is damage, or
 * beyond FILLS_MAX none is until those that are have gone. */
struct fill {
    uint32_t entries;
    uint32_t newest; /* of trackers that no later row has, and that are not taken: those that have
                        to be written anew before it goes */
};

struct tracker_set {
    struct leaf **leaves; /* by id / LEAF_TRACKERS; NULL: there never was one of them */
    size_t leaf_count;
    size_t leaves_held, pages_held;
    size_t count;
    size_t more_bytes;
    struct extent log;
    struct extent old_log;
    struct fill *fills; /* of the rows from `fills_from` on; a row that is not among them is read
                           before it goes */
    uint64_t fills_from;
    size_t fill_count, fill_capacity;
    uint64_t saved_row; /* the last row that the newest transaction has appended; 0: none */
    struct old *old;    /* of the newest transaction */
    size_t old_count, old_capacity;
    struct buf tally; /* the point's, encoded */
    bool is_read;
    bool has_strangers; /* rows with other keys: ours are not the last ones */
    bool is_in_doubt;   /* whether the newest transaction holds */
};

/* --- life ------------------------------------------------------------------------------------- */

struct tracker_set *tracker_set_new(void)
{
    return memory_zero(1, sizeof(struct tracker_set));
}

static void free_old(struct tracker_set *set);

static void free_page(struct page *page)
{
    for (size_t i = 0; page != NULL && i < PAGE_TRACKERS; i++)
        free(page->items[i].more);
    free(page);
}

void tracker_set_free(struct tracker_set *set)
{
    if (set == NULL)
        return;
    free_old(set);
    for (size_t i = 0; i < set->leaf_count; i++) {
        for (size_t j = 0; set->leaves[i] != NULL && j < LEAF_PAGES; j++)
            free_page(set->leaves[i]->pages[j]);
        free(set->leaves[i]);
    }
    free(set->leaves);
    free(set->fills);
    free(set->old);
    buf_fini(&set->tally);
    free(set);
}

size_t tracker_set_count(const struct tracker_set *set)
{
    return set->count;
}

size_t tracker_set_size_bytes(const struct tracker_set *set)
{
    return sizeof *set + set->leaf_count * sizeof(struct leaf *) +
           set->leaves_held * sizeof(struct leaf) + set->pages_held * sizeof(struct page) +
           set->fill_capacity * sizeof *set->fills + set->more_bytes +
           set->old_capacity * sizeof *set->old + set->tally.capacity;
}

/* --- by id ------------------------------------------------------------------------------------ */

/* NULL when there is no page for it. */
static struct tracker *place_of(const struct tracker_set *set, uint32_t id)
{
    size_t leaf = id / LEAF_TRACKERS;
    if (leaf >= set->leaf_count || set->leaves[leaf] == NULL)
        return NULL;
    struct page *page = set->leaves[leaf]->pages[id / PAGE_TRACKERS % LEAF_PAGES];
    return page != NULL ? &page->items[id % PAGE_TRACKERS] : NULL;
}

/* Where the page of a tracker is, whose leaf there is. */
static struct page **page_of(const struct tracker_set *set, uint32_t id)
{
    return &set->leaves[id / LEAF_TRACKERS]->pages[id / PAGE_TRACKERS % LEAF_PAGES];
}

static const struct tracker *find(const struct tracker_set *set, uint32_t id)
{
    const struct tracker *tracker = place_of(set, id);
    return tracker != NULL && tracker->form != 0 ? tracker : NULL;
}

static void make_leaf(struct tracker_set *set, size_t leaf)
{
    if (leaf >= set->leaf_count) {
        size_t count = leaf + leaf / 2 + 1;
        set->leaves = memory_grow(set->leaves, count, sizeof(struct leaf *));
        memset(set->leaves + set->leaf_count, 0, (count - set->leaf_count) * sizeof(struct leaf *));
        set->leaf_count = count;
    }
    if (set->leaves[leaf] == NULL) {
        set->leaves[leaf] = memory_zero(1, sizeof(struct leaf));
        set->leaves_held++;
    }
}

/* Its place, made when there is none. */
static struct tracker *make_place(struct tracker_set *set, uint32_t id)
{
    make_leaf(set, id / LEAF_TRACKERS);
    struct page **page = page_of(set, id);
    if (*page == NULL) {
        *page = memory_zero(1, sizeof(struct page));
        set->pages_held++;
    }
    return &(*page)->items[id % PAGE_TRACKERS];
}

/* Its place, which was empty, is taken. */
static void count_in(struct tracker_set *set, uint32_t id)
{
    (*page_of(set, id))->count++;
    set->count++;
}

/* It is empty again; its page may be gone. */
static void count_out(struct tracker_set *set, uint32_t id)
{
    struct page **page = page_of(set, id);

    set->count--;
    if (--(*page)->count > 0)
        return;
    free(*page);
    *page = NULL;
    set->pages_held--;
}

static size_t size_of_more(const struct tracker_more *more)
{
    return more == NULL ? 0 : sizeof *more + more->len;
}

static void free_more(struct tracker_set *set, struct tracker_more *more)
{
    set->more_bytes -= size_of_more(more);
    free(more);
}

/* --- what rows have ---------------------------------------------------------------------------
 */

static struct fill *fill_of(const struct tracker_set *set, uint64_t row)
{
    if (row < set->fills_from || row - set->fills_from >= set->fill_count)
        return NULL;
    return &set->fills[row - set->fills_from];
}

static struct fill *fill_of_tracker(const struct tracker_set *set, const struct tracker *tracker)
{
    uint64_t place = (tracker->row - set->fills_from) & ROW_MASK;
    return tracker->form == 0 || place >= set->fill_count ? NULL : &set->fills[place];
}

/* A row comes to the end of the log, with nothing in it yet. */
static void add_fill(struct tracker_set *set, uint64_t row)
{
    if (set->fill_count == 0)
        set->fills_from = row;
    if (row != set->fills_from + set->fill_count || set->fill_count == FILLS_MAX)
        return;
    if (set->fill_count == set->fill_capacity) {
        set->fill_capacity = set->fill_capacity * 2 + LIST_MIN;
        set->fills = memory_grow(set->fills, set->fill_capacity, sizeof *set->fills);
    }
    set->fills[set->fill_count++] = (struct fill){0};
}

/* Leaves those of the log's rows, when the log is what it says for good. */
static void trim_fills(struct tracker_set *set)
{
    uint64_t gone = set->log.first_row - set->fills_from;

    if (set->log.first_row <= set->fills_from || gone * 2 < set->fill_count)
        return;
    gone = gone < set->fill_count ? gone : set->fill_count;
    set->fill_count -= gone;
    set->fills_from += gone;
    if (set->fill_count > 0)
        memmove(set->fills, set->fills + gone, set->fill_count * sizeof *set->fills);
}

/* The tracker's row has it no more, or again. */
static void leave_row(const struct tracker_set *set, const struct tracker *tracker)
{
    struct fill *fill = fill_of_tracker(set, tracker);
    if (fill == NULL)
        return;
    assert(fill->newest > 0);
    fill->newest--;
}

static void join_row(const struct tracker_set *set, const struct tracker *tracker)
{
    struct fill *fill = fill_of_tracker(set, tracker);
    if (fill != NULL)
        fill->newest++;
}

/* --- what may be taken back --------------------------------------------------------------------
 */

/* Before a tracker changes. */
static void keep_old(struct tracker_set *set, uint32_t id, struct tracker *tracker)
{
    if (tracker->is_taken)
        return;
    if (set->old_count == set->old_capacity) {
        set->old_capacity = set->old_capacity + set->old_capacity / 2 + LIST_MIN;
        set->old = memory_grow(set->old, set->old_capacity, sizeof *set->old);
    }
    set->old[set->old_count++] = (struct old){*tracker, id};
    leave_row(set, tracker);
    tracker->is_taken = 1;
}

/* The transaction holds: what was before is not needed. */
static void free_old(struct tracker_set *set)
{
    for (size_t i = 0; i < set->old_count; i++) {
        const struct old *old = &set->old[i];
        struct tracker *tracker = place_of(set, old->id);
        if (i + PREFETCH_AHEAD < set->old_count) {
            tracker_prefetch(set, set->old[i + PREFETCH_AHEAD].id);
            __builtin_prefetch(set->old[i + PREFETCH_AHEAD].tracker.more);
        }
        if (tracker->more != old->tracker.more)
            free_more(set, old->tracker.more);
        tracker->is_taken = 0;
        tracker->more_is_new = 0;
        if (tracker->form == 0)
            count_out(set, old->id);
    }
    set->old_count = 0;
    trim_fills(set);
    if (set->old_capacity <= OLD_KEPT)
        return;
    free(set->old);
    set->old = NULL;
    set->old_capacity = 0;
}

/* It does not. */
static void take_back(struct tracker_set *set)
{
    for (size_t i = 0; i < set->old_count; i++) {
        const struct old *old = &set->old[i];
        struct tracker *tracker = place_of(set, old->id);
        if (tracker->more_is_new)
            free_more(set, tracker->more);
        *tracker = old->tracker;
        join_row(set, tracker);
        if (tracker->form == 0)
            count_out(set, old->id);
    }
    set->old_count = 0;
    set->log = set->old_log;
    if (set->fills_from + set->fill_count > set->log.next_row)
        set->fill_count =
            set->log.next_row < set->fills_from ? 0 : (size_t)(set->log.next_row - set->fills_from);
}

/* Takes `more` over. */
static void set_more(struct tracker_set *set, struct tracker *tracker, struct tracker_more *more)
{
    if (tracker->more_is_new)
        free_more(set, tracker->more);
    tracker->more = more;
    tracker->more_is_new = 1;
    set->more_bytes += size_of_more(more);
}

/* --- reading the log --------------------------------------------------------------------------
 */

static struct schema_key row_key(uint64_t row)
{
    struct schema_key key = SCHEMA_KEY_EMPTY;
    schema_put_u64(&key, row);
    return key;
}

/* What the log is read with. */
struct log_read {
    struct removed removed;
    uint32_t newest; /* the greatest id that was ever given: a greater one is damage, and the series
                        that gets it some day is a new one */
};

static void read_row(struct tracker_set *set, const struct log_read *log, uint64_t number,
                     struct str bytes)
{
    struct tracker_row_reader reader;
    struct tracker read;

    add_fill(set, number);
    if (!tracker_row_open(&reader, bytes))
        return;
    while (tracker_row_next(&reader, &read)) {
        struct fill *fill = fill_of(set, number);
        set->log.entries++;
        if (fill != NULL)
            fill->entries++;
        set->more_bytes += size_of_more(read.more);
        if (reader.id > log->newest || removed_has(&log->removed, reader.id)) {
            free_more(set, read.more);
            continue;
        }
        struct tracker *tracker = make_place(set, reader.id);
        if (tracker->form == 0)
            count_in(set, reader.id);
        free_more(set, tracker->more);
        if (tracker->row != (number & ROW_MASK)) /* when a try to read all of it failed */
            leave_row(set, tracker);
        *tracker = read;
        tracker->row = number & ROW_MASK;
        join_row(set, tracker);
    }
}

static bool number_of(const struct walk *walk, uint64_t *out)
{
    struct schema_reader reader = schema_reader_of(store_bytes(&walk->key));
    *out = schema_get_u64(&reader);
    return reader.ok && reader.left == 0 && *out < ROW_NUMBER_MAX;
}

static bool read_log(struct tracker_set *set, const struct read_txn *txn, struct error *err)
{
    struct schema_key from = SCHEMA_KEY_EMPTY;
    struct log_read log = {.newest = 0};
    struct walk walk = {0};
    uint64_t number = 0;

    set->log = (struct extent){.first_row = 1, .next_row = 1};
    set->fill_count = 0;
    bool ok = removed_init(&log.removed, txn, err) && series_newest(txn, &log.newest, err) &&
              walk_begin(&walk, txn, DATABASE_TRACKERS, &from, err);
    while (ok && walk.found) {
        bool is_row = number_of(&walk, &number) &&
                      (set->log.next_row == 1 || number - set->log.first_row < ROWS_MAX);
        set->has_strangers = set->has_strangers || !is_row;
        if (is_row) {
            if (set->log.next_row == 1)
                set->log.first_row = number;
            read_row(set, &log, number, store_bytes(&walk.value));
            set->log.next_row = number + 1;
        }
        ok = walk_next(&walk, err);
    }
    walk_end(&walk);
    removed_fini(&log.removed);
    set->is_read = ok;
    return ok;
}

/* Whether the last transaction's rows are there. */
static bool is_saved(const struct tracker_set *set, const struct read_txn *txn, bool *out,
                     struct error *err)
{
    struct schema_key key = row_key(set->saved_row);
    struct str bytes;

    *out = false;
    return set->saved_row == 0 ||
           store_find(txn, DATABASE_TRACKERS, store_key(&key), &bytes, out, err);
}

bool tracker_set_begin(struct tracker_set *set, const struct read_txn *txn, struct error *err)
{
    bool holds = true;

    if (!set->is_read && !read_log(set, txn, err))
        return false;
    if (set->is_in_doubt && !is_saved(set, txn, &holds, err))
        return false;
    if (holds)
        free_old(set);
    else
        take_back(set);
    set->is_in_doubt = false;
    set->old_log = set->log;
    set->saved_row = 0;
    return true;
}

void tracker_set_forget(struct tracker_set *set)
{
    set->is_in_doubt = set->old_count > 0;
}

void tracker_set_remove(struct tracker_set *set, const uint32_t *ids, size_t count)
{
    if (!set->is_in_doubt)
        free_old(set);
    for (size_t i = 0; i < count; i++) {
        struct tracker *tracker = place_of(set, ids[i]);
        if (tracker == NULL || tracker->form == 0 || tracker->is_taken)
            continue; /* what is in doubt goes when its row does */
        free_more(set, tracker->more);
        leave_row(set, tracker);
        *tracker = (struct tracker){.form = 0};
        count_out(set, ids[i]);
    }
}

/* --- writing it -------------------------------------------------------------------------------
 */

static int compare_old(const void *a, const void *b)
{
    const struct old *left = a;
    const struct old *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

static void sort_old(struct tracker_set *set)
{
    size_t i = 1;

    while (i < set->old_count && set->old[i - 1].id < set->old[i].id)
        i++;
    if (i < set->old_count)
        qsort(set->old, set->old_count, sizeof *set->old, compare_old);
}

/* What only this row has is written anew, unless its series is gone. Returns its entries. */
static uint64_t rescue_row(struct tracker_set *set, const struct removed *removed, uint64_t number,
                           struct str bytes)
{
    struct tracker_row_reader reader;
    struct tracker read;
    uint64_t entries = 0;

    if (!tracker_row_open(&reader, bytes))
        return 0;
    for (; tracker_row_next(&reader, &read); entries++) {
        struct tracker *tracker = place_of(set, reader.id);
        free(read.more);
        if (tracker == NULL || tracker->form == 0 || tracker->row != (number & ROW_MASK) ||
            tracker->is_taken)
            continue;
        keep_old(set, reader.id, tracker);
        if (!removed_has(removed, reader.id))
            continue;
        set_more(set, tracker, NULL);
        tracker->form = 0;
    }
    return entries;
}

static bool clean_row(struct tracker_set *set, struct write_txn *txn, const struct removed *removed,
                      uint64_t *entries, struct error *err)
{
    struct schema_key key = row_key(set->log.first_row);
    struct str bytes;
    bool found = false;

    if (!store_find(&txn->reader, DATABASE_TRACKERS, store_key(&key), &bytes, &found, err))
        return false;
    const struct fill *fill = fill_of(set, set->log.first_row);
    if (fill != NULL && fill->newest == 0)
        *entries = found ? fill->entries : 0; /* mostly: its series have all gone on */
    else
        *entries = found ? rescue_row(set, removed, set->log.first_row, bytes) : 0;
    set->log.first_row++;
    set->log.entries -= *entries < set->log.entries ? *entries : set->log.entries;
    return !found || store_remove(txn, DATABASE_TRACKERS, store_key(&key), err);
}

/* Takes the oldest rows away, as many as it takes in the long run. */
static bool clean(struct tracker_set *set, struct write_txn *txn, struct error *err)
{
    uint64_t budget = 2 * set->old_count + CLEAN_AT_LEAST;
    struct removed removed = {0};
    bool ok = true;

    if (set->log.entries + set->old_count <= 2 * set->count + ENTRIES_SPARED)
        return true;
    ok = removed_init(&removed, &txn->reader, err);
    while (ok && budget > 0 && set->log.first_row < set->log.next_row &&
           set->log.entries + set->old_count > 2 * set->count + ENTRIES_SPARED) {
        uint64_t entries = 0;
        ok = clean_row(set, txn, &removed, &entries, err);
        budget -= entries + 1 < budget ? entries + 1 : budget;
    }
    removed_fini(&removed);
    return ok;
}

static bool put_row(struct tracker_set *set, struct write_txn *txn,
                    struct tracker_row_writer *writer, struct error *err)
{
    struct schema_key key = row_key(set->log.next_row);

    set->saved_row = set->log.next_row++;
    return store_put(txn, DATABASE_TRACKERS, store_key(&key), buf_view(&writer->bytes),
                     set->has_strangers ? 0 : MDB_APPEND, err);
}

static void add_entry(struct tracker_set *set, struct tracker_row_writer *writer, uint32_t id,
                      struct tracker *tracker)
{
    tracker_row_add(writer, id, tracker);
    tracker->row = set->log.next_row & ROW_MASK;
    set->log.entries++;
    struct fill *fill = fill_of(set, set->log.next_row);
    if (fill == NULL)
        return;
    fill->entries++;
    fill->newest++;
}

bool tracker_set_save(struct tracker_set *set, struct write_txn *txn, struct error *err)
{
    struct tracker_row_writer writer = {.bytes = BUF_EMPTY};
    bool is_empty = true;

    if (set->old_count == 0)
        return true;
    bool ok = clean(set, txn, err);
    sort_old(set);
    for (size_t i = 0; i < set->old_count && ok; i++) {
        struct tracker *tracker = place_of(set, set->old[i].id);
        if (i + PREFETCH_AHEAD < set->old_count)
            tracker_prefetch(set, set->old[i + PREFETCH_AHEAD].id);
        if (tracker->form == 0)
            continue;
        if (!is_empty && writer.bytes.len + tracker_row_room(tracker) > ROW_BYTES_MAX) {
            ok = put_row(set, txn, &writer, err);
            is_empty = true;
        }
        if (is_empty) {
            tracker_row_begin(&writer);
            add_fill(set, set->log.next_row);
        }
        add_entry(set, &writer, set->old[i].id, tracker);
        is_empty = false;
    }
    ok = ok && (is_empty || put_row(set, txn, &writer, err));
    buf_fini(&writer.bytes);
    return ok;
}

/* --- counting --------------------------------------------------------------------------------- */

/* A counter that begins as it is reported says nothing of what was before: OTLP's way to say that
 * the start is not known (O10). */
static bool counts_whole(const struct tracker_point *point)
{
    return point->start == WALL_NONE || point->start < point->at;
}

static bool is_same_kind(const struct tracker *tracker, const struct tracker_point *point)
{
    return tracker->form == 1U + (unsigned)point->form &&
           tracker->has_tally == (point->tally != NULL);
}

/* A newer start (P16). A sender that begins to say its start has not begun anew, unless it did so
 * since. */
static bool has_newer_start(const struct tracker *tracker, const struct tracker_point *point)
{
    wall_ms before = tracker->start == WALL_NONE ? tracker->at : tracker->start;
    return point->start != WALL_NONE && point->start > before;
}

/* FIG-23; after points of another form it counts whole when it began after those. */
static bool first_counts(const struct tracker *tracker, const struct tracker_point *point)
{
    if (point->start == WALL_NONE || !counts_whole(point))
        return false;
    if (tracker->form != 0)
        return point->start >= tracker->at;
    return point->metric_first_at != WALL_NONE && point->start > point->metric_first_at;
}

static struct tally *tally_of(const unsigned char *bytes, size_t len)
{
    struct reader reader = reader_of((struct str){(const char *)bytes, len});
    struct tally *tally = tally_decode(&reader);

    if (tally != NULL && reader.left == 0)
        return tally;
    tally_free(tally);
    return NULL;
}

/* What was counted since the tracker's point; false when it began anew. */
static bool count_since(struct tracker_set *set, const struct tracker *tracker,
                        const struct tracker_point *point, struct tracker_answer *out)
{
    bool ok = !has_newer_start(tracker, point);

    if (point->tally == NULL) {
        out->value = point->value - tracker->last.value;
        return ok && point->value >= tracker->last.value;
    }
    struct tally *before =
        tracker->more == NULL ? NULL : tally_of(tracker->more->tally, tracker->more->len);
    out->counted = tally_of((const unsigned char *)set->tally.bytes, set->tally.len);
    ok = ok && before != NULL && out->counted != NULL && tally_subtract(out->counted, before);
    tally_free(before);
    if (ok)
        return true;
    tally_free(out->counted);
    out->counted = NULL;
    return false;
}

static void count_whole(const struct tracker_set *set, const struct tracker_point *point,
                        struct tracker_answer *out)
{
    if (point->tally == NULL)
        out->value = point->value;
    else
        out->counted = tally_of((const unsigned char *)set->tally.bytes, set->tally.len);
}

static void renew_more(struct tracker_set *set, struct tracker *tracker,
                       const struct tracker_point *point, const wall_ms resets[TRACKER_RESETS])
{
    size_t len = point->tally == NULL ? 0 : set->tally.len;

    if (len == 0 && resets[0] == WALL_NONE) {
        if (tracker->more != NULL)
            set_more(set, tracker, NULL);
        return;
    }
    if (len == 0 && tracker->more != NULL && tracker->more->len == 0 &&
        memcmp(tracker->more->reset_at, resets, sizeof tracker->more->reset_at) == 0)
        return;
    struct tracker_more *more = memory_alloc(sizeof *more + len);
    memcpy(more->reset_at, resets, sizeof more->reset_at);
    more->len = len;
    if (len > 0)
        memcpy(more->tally, set->tally.bytes, len);
    set_more(set, tracker, more);
}

static void take_cumulative(struct tracker_set *set, struct tracker *tracker,
                            const struct tracker_point *point, struct tracker_answer *out)
{
    wall_ms resets[TRACKER_RESETS] = {WALL_NONE, WALL_NONE, WALL_NONE};

    if (!is_same_kind(tracker, point)) {
        if (first_counts(tracker, point))
            count_whole(set, point, out);
    } else if (count_since(set, tracker, point, out)) {
        out->since = tracker->at;
        tracker_keep_resets(tracker, point->at, resets);
    } else {
        out->value = 0;
        tracker_note_reset(tracker, point->at, resets, out);
        if (counts_whole(point))
            count_whole(set, point, out);
    }
    renew_more(set, tracker, point, resets);
    tracker->last.value = point->tally == NULL ? point->value + 0.0 : 0;
    if (point->start != WALL_NONE || !is_same_kind(tracker, point))
        tracker->start = point->start;
}

static uint64_t hash_of_tally(const struct tracker_set *set)
{
    return XXH3_64bits(set->tally.bytes, set->tally.len);
}

static void set_gap(struct tracker_set *set, struct tracker *tracker, const struct tracker_gap *gap)
{
    if (tracker->more != NULL && tracker->more_is_new && tracker->more->len == 0) {
        tracker->more->gap = *gap;
        return;
    }
    struct tracker_more *more = memory_zero(1, sizeof *more);
    more->gap = *gap;
    set_more(set, tracker, more);
}

static void renew_gap(struct tracker_set *set, struct tracker *tracker,
                      const struct tracker_point *point)
{
    struct tracker_gap gap;

    if (!tracker_gap_after(tracker, point, &gap)) {
        if (tracker->more != NULL)
            set_more(set, tracker, NULL);
        return;
    }
    bool is_new = gap.to == point->start && gap.to_ns == point->start_ns;
    if (is_new || memcmp(&tracker->more->gap, &gap, sizeof gap) != 0)
        set_gap(set, tracker, &gap);
}

/* Windows of one sender do not overlap (O11). */
static void take_increment(struct tracker_set *set, struct tracker *tracker,
                           const struct tracker_point *point, struct tracker_answer *out)
{
    if (tracker->form != 0 && tracker->form != 1 + POINT_LEVEL && point->start != WALL_NONE &&
        point->start < tracker->at) {
        out->mixed = true;
        out->mixed_from = point->start;
    }
    count_whole(set, point, out);
    out->since = point->start;
    renew_gap(set, tracker, point);
    if (point->tally == NULL)
        tracker->last.value = point->value + 0.0;
    else
        tracker->last.bits = hash_of_tally(set);
    tracker->start = point->start;
}

/* One that comes late, into the gap. */
static bool take_late(struct tracker_set *set, struct tracker *tracker,
                      const struct tracker_point *point, struct tracker_answer *out)
{
    struct tracker_gap left;

    if (point->form != POINT_INCREMENT || !is_same_kind(tracker, point) || tracker->more == NULL ||
        !tracker_gap_takes(&tracker->more->gap, point, &left))
        return false;
    keep_old(set, point->id, tracker);
    if (tracker_gap_is_open(&left))
        set_gap(set, tracker, &left);
    else
        set_more(set, tracker, NULL);
    count_whole(set, point, out);
    out->since = point->start;
    return true;
}

static void take_level(struct tracker_set *set, struct tracker *tracker,
                       const struct tracker_point *point, struct tracker_answer *out)
{
    out->value = point->value;
    if (tracker->more != NULL)
        set_more(set, tracker, NULL);
    tracker->last.value = point->value + 0.0;
    tracker->start = WALL_NONE;
}

/* Whether a point of the same time is the same. */
static bool is_repeated(const struct tracker_set *set, const struct tracker *tracker,
                        const struct tracker_point *point)
{
    if (!is_same_kind(tracker, point))
        return false;
    if (point->form == POINT_INCREMENT && point->start != tracker->start)
        return false;
    if (point->tally == NULL)
        return point->value == tracker->last.value;
    if (point->form == POINT_INCREMENT)
        return hash_of_tally(set) == tracker->last.bits;
    return tracker->more != NULL && tracker->more->len == set->tally.len &&
           memcmp(tracker->more->tally, set->tally.bytes, set->tally.len) == 0;
}

/* As old as the last point, and not the same. */
static bool differs(const struct tracker_set *set, const struct tracker *tracker,
                    const struct tracker_point *point)
{
    bool is_as_old = point->at == tracker->at &&
                     (point->at_ns == tracker->at_ns || tracker->at_ns == TRACKER_NS_UNKNOWN);
    return is_as_old && !is_repeated(set, tracker, point);
}

void tracker_prefetch(const struct tracker_set *set, uint32_t id)
{
    const struct tracker *tracker = place_of(set, id);
    if (tracker != NULL)
        __builtin_prefetch(tracker);
}

bool tracker_has(const struct tracker_set *set, uint32_t id, enum delta_point_form form)
{
    const struct tracker *tracker = find(set, id);
    return tracker != NULL && tracker->form == 1U + (unsigned)form;
}

void tracker_take(struct tracker_set *set, const struct tracker_point *point,
                  struct tracker_answer *out)
{
    struct tracker *tracker = make_place(set, point->id);

    *out = (struct tracker_answer){
        .verdict = TRACKER_COUNTED, .since = WALL_NONE, .mixed_from = WALL_NONE};
    buf_clear(&set->tally);
    if (point->tally != NULL)
        tally_encode(point->tally, &set->tally);
    bool follows =
        point->at > tracker->at ||
        (point->at == tracker->at && (point->by_arrival || point->at_ns > tracker->at_ns));
    if (tracker->form != 0 && !follows) {
        if (take_late(set, tracker, point, out))
            return;
        out->verdict = differs(set, tracker, point) ? TRACKER_CONFLICT : TRACKER_DUPLICATE;
        return;
    }
    keep_old(set, point->id, tracker);
    if (tracker->form == 0)
        count_in(set, point->id);
    if (point->form == POINT_CUMULATIVE)
        take_cumulative(set, tracker, point, out);
    else if (point->form == POINT_INCREMENT)
        take_increment(set, tracker, point, out);
    else
        take_level(set, tracker, point, out);
    tracker->at = point->at;
    tracker->at_ns = point->form == POINT_INCREMENT ? point->at_ns & DELTA_NS_MASK : 0;
    tracker->form = (1U + (unsigned)point->form) & 3;
    tracker->has_tally = point->tally != NULL;
}
