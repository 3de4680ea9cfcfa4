/* Each level with the finer one that it was made of.
 *
 * All levels say the same in every snapshot (store/upkeep.h), so the merge of a series' minutes in
 * a quarter of an hour has to be what the partitions of quarters have there, and the merge of the
 * quarters of a civil day what those of days have. Where retention has dropped the finer ones there
 * is nothing to compare. */
#include <math.h>
#include <string.h>

#include "base/calendar.h"
#include "store/catalog.h"
#include "store/kept.h"
#include "store/partition.h"
#include "store/verify_private.h"

enum { PLACES_MAX = QUARTERS_PER_WINDOW, NAME_SHOWN = 80 };

#define QUARTER_MS ((wall_ms)MINUTES_PER_QUARTER * MS_PER_MINUTE)

/* The partitions of one level in a window. */
struct side {
    enum level level;
    int64_t from, to; /* buckets */
    int64_t width;    /* of them in one place of the comparison */
    struct partition *partitions;
    size_t count;
    struct partition_cursor *cursors;
    bool is_unreadable; /* the series at hand */
    struct cell cells[PLACES_MAX];
};

struct window {
    struct side fine, coarse;
    uint32_t calendar; /* of days */
    size_t places;
    int64_t first_quarter; /* of the first place */
};

/* --- reading a series --- */

/* A damaged block is a finding of the partition's: here its series, or the rest, is left out. */
static bool is_damage(const struct error *err)
{
    return err->kind == ERROR_CORRUPT;
}

static bool open_side(struct verify *verify, struct side *side, uint32_t calendar,
                      struct error *err)
{
    if (!parts_partitions(verify->txn,
                          &(const struct bucket_range){side->level, calendar, side->from, side->to},
                          &verify->arena, &side->partitions, &side->count, err))
        return false;
    side->cursors = arena_array(&verify->arena, side->count, sizeof *side->cursors);
    return true;
}

static void close_cursors(struct side *side)
{
    for (size_t i = 0; i < side->count; i++)
        partition_cursor_fini(&side->cursors[i]);
}

static bool seek_cursors(struct verify *verify, struct side *side, uint32_t id, struct error *err)
{
    for (size_t i = 0; i < side->count; i++) {
        if (!partition_cursor_init(&side->cursors[i], verify->txn, &side->partitions[i], err) ||
            !partition_cursor_seek(&side->cursors[i], id, err))
            return false;
    }
    return true;
}

static uint32_t least_id(const struct side *side, uint32_t least)
{
    for (size_t i = 0; i < side->count; i++) {
        uint32_t id = side->cursors[i].id;
        if (id != 0 && (least == 0 || id < least))
            least = id;
    }
    return least;
}

static bool merge_points(struct side *side, const struct block_points *points)
{
    for (size_t i = 0; i < points->count; i++) {
        size_t place = (size_t)((points->points[i].bucket - side->from) / side->width);
        struct cell cell;
        if (place >= PLACES_MAX || !partition_cell_of(&points->points[i], &cell))
            return false;
        cell_merge(&side->cells[place], &cell);
        cell_fini(&cell);
    }
    return true;
}

/* The cells of a series, and on to the next one. */
static bool read_series(struct verify *verify, struct side *side, uint32_t id, uint64_t *points,
                        struct error *err)
{
    side->is_unreadable = false;
    for (size_t i = 0; i < side->count; i++) {
        struct block_points read;
        if (side->cursors[i].id != id)
            continue;
        if (partition_cursor_points(&side->cursors[i], side->from, side->to, &verify->scratch,
                                    &read, err)) {
            *points += read.count;
            side->is_unreadable = !merge_points(side, &read) || side->is_unreadable;
        } else if (is_damage(err)) {
            side->is_unreadable = true;
        } else {
            return false;
        }
        if (!partition_cursor_next(&side->cursors[i], err))
            return false;
    }
    return true;
}

static void clear_cells(struct side *side)
{
    for (size_t i = 0; i < PLACES_MAX; i++)
        cell_fini(&side->cells[i]);
}

/* --- comparing --- */

/* Sums of the same numbers in another order may round differently, in their last bits; one that is
 * too large for its type says nothing. */
static bool are_sums_alike(const struct aggregate *a, const struct aggregate *b)
{
    double sum = aggregate_sum(a);
    double other = aggregate_sum(b);
    double largest = fmax(fabs(a->min), fabs(a->max));
    double rounding = ldexp(fabs(sum), -51) + ldexp(largest * aggregate_count(a), -80);

    return fabs(sum - other) <= rounding || !isfinite(rounding) || fabs(sum) >= 0x1p1023;
}

static bool are_encodings_alike(const struct cell *a, const struct cell *b)
{
    struct buf one = BUF_EMPTY;
    struct buf other = BUF_EMPTY;

    if (a->histogram != NULL)
        histogram_encode(a->histogram, &one);
    if (b->histogram != NULL)
        histogram_encode(b->histogram, &other);
    buf_char(&one, 0);
    buf_char(&other, 0);
    if (a->distinct != NULL)
        distinct_encode(a->distinct, &one);
    if (b->distinct != NULL)
        distinct_encode(b->distinct, &other);
    bool alike = one.len == other.len && memcmp(one.bytes, other.bytes, one.len) == 0;
    buf_fini(&one);
    buf_fini(&other);
    return alike;
}

/* What of the cells differs; NULL: nothing does. Of two samples with one time either may be the
 * last one, since arrivals are dropped. */
static const char *difference(const struct cell *cell, const struct cell *other)
{
    const struct aggregate *a = &cell->aggregate;
    const struct aggregate *b = &other->aggregate;

    if (a->count != b->count)
        return "count";
    if (a->count > 0 && (a->min != b->min || a->max != b->max))
        return "least and greatest value";
    if (a->count > 0 && (a->first_at != b->first_at || a->last_at != b->last_at))
        return "first and last time";
    if (a->count > 0 && !are_sums_alike(a, b))
        return "sum";
    if (cell->counts_values != other->counts_values || !are_encodings_alike(cell, other))
        return "distribution";
    return NULL;
}

/* Whether retention may have taken something of the series at a place, by the marks of its metric
 * (store/kept.h); also when these cannot be read, which is a finding of their own. */
static bool is_excused(struct verify *verify, const struct window *window, uint32_t id,
                       size_t place)
{
    int64_t quarter = window->first_quarter + (int64_t)place;
    struct error ignored;
    struct kept kept;
    struct str key;

    if (!catalog_key(verify->txn, id, &key))
        return false;
    if (!kept_of_metric(verify->txn, series_key_metric(key), &verify->scratch, &kept, &ignored))
        return true;
    if (quarter < kept.from[LEVEL_QUARTER])
        return true;
    if (window->fine.level == LEVEL_MINUTE)
        return quarter * MINUTES_PER_QUARTER < kept.from[LEVEL_MINUTE];
    return quarter < kept.from[LEVEL_DAY] ||
           quarter < kept_whole_days_from(&kept, window->calendar);
}

static void report_difference(struct verify *verify, const struct window *window, size_t place,
                              uint32_t id, const char *what)
{
    const struct aggregate *fine = &window->fine.cells[place].aggregate;
    const struct aggregate *coarse = &window->coarse.cells[place].aggregate;
    wall_ms at = (window->first_quarter + (int64_t)place) * QUARTER_MS;
    char time[CLOCK_TEXT_SIZE];
    struct buf name = BUF_EMPTY;
    struct str key;

    if (catalog_key(verify->txn, id, &key) && series_key_is_valid(key))
        series_key_format(&name, key);
    verify_report(verify, "level",
                  "series %u '%.*s' at %s has not the %s of its %s: count %.17g, not %.17g; sum "
                  "%.17g, not %.17g",
                  id, (int)(name.len < NAME_SHOWN ? name.len : NAME_SHOWN),
                  name.len > 0 ? name.bytes : "", clock_format_utc(at, time), what,
                  parts_level_name(window->fine.level), aggregate_count(coarse),
                  aggregate_count(fine), aggregate_sum(coarse), aggregate_sum(fine));
    buf_fini(&name);
}

/* One finding for each series, since places that differ mostly have one cause. */
static void compare_cells(struct verify *verify, const struct window *window, uint32_t id)
{
    bool has_told = false;

    for (size_t i = 0; i < window->places; i++) {
        const struct cell *fine = &window->fine.cells[i];
        const struct cell *coarse = &window->coarse.cells[i];
        const char *what = difference(coarse, fine);
        verify->counts->compared += coarse->aggregate.count > 0 || fine->aggregate.count > 0;
        if (what == NULL || has_told || is_excused(verify, window, id, i))
            continue;
        has_told = true;
        report_difference(verify, window, i, id, what);
    }
}

static bool compare_series(struct verify *verify, struct window *window, uint32_t id,
                           uint64_t *points, struct error *err)
{
    arena_reset(&verify->scratch);
    bool ok = read_series(verify, &window->fine, id, points, err) &&
              read_series(verify, &window->coarse, id, points, err);
    if (ok && !window->fine.is_unreadable && !window->coarse.is_unreadable)
        compare_cells(verify, window, id);
    clear_cells(&window->fine);
    clear_cells(&window->coarse);
    return ok;
}

/* Compares series from `*next_id` on; `*finished` when there is none left. */
static bool compare_window(struct verify *verify, struct window *window, uint64_t *next_id,
                           bool *finished, struct error *err)
{
    bool goes_on = true;

    *finished = *next_id > UINT32_MAX;
    if (*finished)
        return true;
    bool ok = seek_cursors(verify, &window->fine, (uint32_t)*next_id, err) &&
              seek_cursors(verify, &window->coarse, (uint32_t)*next_id, err);
    while (ok && goes_on && !*finished) {
        uint64_t points = 0;
        uint32_t id = least_id(&window->coarse, least_id(&window->fine, 0));
        *finished = id == 0;
        if (*finished)
            break;
        ok = compare_series(verify, window, id, &points, err);
        *next_id = (uint64_t)id + 1;
        goes_on = verify_spend(verify, points);
    }
    close_cursors(&window->fine);
    close_cursors(&window->coarse);
    *finished = *finished || (!ok && is_damage(err));
    return ok || is_damage(err);
}

/* --- quarters --- */

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t floor_to(int64_t value, int64_t width)
{
    int64_t rest = value % width;
    return value - (rest < 0 ? rest + width : rest);
}

/* From which quarter on there are minutes and quarters. */
static int64_t quarters_from(const struct verify *verify)
{
    int64_t minute = parts_mark(verify->txn, MARK_KEPT_MINUTE);
    int64_t of_minutes = minute == INT64_MIN ? INT64_MIN : quarter_of_minute(minute - 1) + 1;
    return greater(of_minutes, parts_mark(verify->txn, MARK_KEPT_QUARTER));
}

/* All partitions of a level, by `from`. */
struct list {
    struct partition *partitions;
    size_t count, next;
    int64_t width; /* of their buckets in a quarter */
};

static bool read_list(struct verify *verify, enum level level, struct list *out, struct error *err)
{
    *out = (struct list){.width = level == LEVEL_MINUTE ? MINUTES_PER_QUARTER : 1};
    return parts_partitions(verify->txn,
                            &(const struct bucket_range){level, 0, INT64_MIN, INT64_MAX},
                            &verify->arena, &out->partitions, &out->count, err);
}

/* The quarter after the last one that it has. */
static int64_t end_of(const struct list *list, size_t at)
{
    int64_t last = list->partitions[at].to - 1;
    return floor_to(last, list->width) / list->width + 1;
}

/* The first quarter from `from` on, which grows from call to call, that one of them has;
 * INT64_MAX: none. */
static int64_t first_of(struct list *list, int64_t from)
{
    int64_t width = list->width;

    while (list->next < list->count && end_of(list, list->next) <= from)
        list->next++;
    for (size_t i = list->next; i < list->count; i++) {
        const struct partition *partition = &list->partitions[i];
        if (end_of(list, i) > from)
            return greater(floor_to(partition->from, width) / width, from);
    }
    return INT64_MAX;
}

static bool compare_quarters(struct verify *verify, uint64_t *next_id, int64_t from, int64_t to,
                             bool *finished, struct error *err)
{
    char time[CLOCK_TEXT_SIZE];
    struct window window = {.places = (size_t)(to - from), .first_quarter = from};

    window.fine = (struct side){.level = LEVEL_MINUTE,
                                .from = from * MINUTES_PER_QUARTER,
                                .to = to * MINUTES_PER_QUARTER,
                                .width = MINUTES_PER_QUARTER};
    window.coarse = (struct side){.level = LEVEL_QUARTER, .from = from, .to = to, .width = 1};
    verify_at(verify, "quarters from %s", clock_format_utc(from * QUARTER_MS, time));
    return open_side(verify, &window.fine, 0, err) && open_side(verify, &window.coarse, 0, err) &&
           compare_window(verify, &window, next_id, finished, err);
}

static bool go_on_quarters(struct verify *verify, struct verify_levels_state *state, bool *done,
                           struct error *err)
{
    int64_t end = parts_mark(verify->txn, MARK_QUARTERED);
    int64_t from = greater(state->next, quarters_from(verify));
    struct list minutes;
    struct list quarters;

    if (!read_list(verify, LEVEL_MINUTE, &minutes, err) ||
        !read_list(verify, LEVEL_QUARTER, &quarters, err))
        return false;
    for (;;) {
        bool finished = false;
        int64_t of_minutes = first_of(&minutes, from);
        int64_t of_quarters = first_of(&quarters, from);
        int64_t first = of_minutes < of_quarters ? of_minutes : of_quarters;
        *done = first >= end;
        if (*done)
            return true;
        if (first != state->next)
            state->next_id = 0;
        state->next = first;
        from = floor_to(first, QUARTERS_PER_WINDOW) + QUARTERS_PER_WINDOW;
        if (!compare_quarters(verify, &state->next_id, first, from < end ? from : end, &finished,
                              err))
            return false;
        if (!finished)
            return true;
        state->next = from;
        state->next_id = 0;
        if (!verify_spend(verify, 1))
            return true;
    }
}

bool verify_quarters(struct verify *verify, union verify_state *all, bool *done, struct error *err)
{
    struct verify_levels_state *state = &all->levels;

    if (!state->has_begun)
        state->next = INT64_MIN;
    state->has_begun = true;
    if (go_on_quarters(verify, state, done, err))
        return true;
    *done = true; /* a list that is damaged is a finding of the partitions' */
    return is_damage(err);
}

/* --- days --- */

static bool newest_calendar(struct verify *verify, uint32_t *out, struct error *err)
{
    const struct schema_key from = SCHEMA_KEY_EMPTY;
    struct walk walk;

    *out = 0;
    bool ok = walk_begin(&walk, verify->txn, DATABASE_CALENDARS, &from, err);
    while (ok && walk.found) {
        struct reader value = reader_of(store_bytes(&walk.value));
        uint32_t number = read_u32(&value);
        *out = number > *out && number <= UINT16_MAX ? number : *out;
        ok = walk_next(&walk, err);
    }
    walk_end(&walk);
    return ok;
}

struct first_day {
    int64_t from;
    bool found;
    struct day_bounds day;
};

static bool take_first_day(const struct day_bounds *day, void *arg)
{
    struct first_day *first = arg;

    first->found = day->from >= first->from;
    first->day = *day;
    return !first->found;
}

static bool compare_day(struct verify *verify, struct verify_levels_state *state,
                        const struct day_bounds *day, bool *finished, struct error *err)
{
    const struct civil date = civil_of_days(day->day);
    struct window window = {.calendar = state->calendar, .places = 1, .first_quarter = day->from};

    window.fine = (struct side){
        .level = LEVEL_QUARTER, .from = day->from, .to = day->to, .width = day->to - day->from};
    window.coarse =
        (struct side){.level = LEVEL_DAY, .from = day->day, .to = day->day + 1, .width = 1};
    verify_at(verify, "day %04d-%02d-%02d of calendar %u", date.year, date.month, date.day,
              state->calendar);
    return open_side(verify, &window.fine, 0, err) &&
           open_side(verify, &window.coarse, state->calendar, err) &&
           compare_window(verify, &window, &state->next_id, finished, err);
}

/* The days of one calendar; `*finished`: all of them. */
static bool go_on_days(struct verify *verify, struct verify_levels_state *state, bool *finished,
                       struct error *err)
{
    int64_t kept =
        greater(parts_mark(verify->txn, MARK_KEPT_QUARTER), parts_mark(verify->txn, MARK_KEPT_DAY));

    for (;;) {
        struct first_day first = {.from = greater(state->next, kept)};
        bool is_compared = false;
        if (!parts_days(verify->txn,
                        &(const struct day_range){state->calendar, first.from, INT64_MAX},
                        take_first_day, &first, err))
            return false;
        *finished = !first.found;
        if (*finished)
            return true;
        if (first.day.from != state->next)
            state->next_id = 0;
        state->next = first.day.from;
        if (!compare_day(verify, state, &first.day, &is_compared, err))
            return false;
        if (!is_compared)
            return true;
        state->next = first.day.to;
        state->next_id = 0;
        if (!verify_spend(verify, 1))
            return true;
    }
}

bool verify_days(struct verify *verify, union verify_state *all, bool *done, struct error *err)
{
    struct verify_levels_state *state = &all->levels;
    uint32_t newest = 0;
    bool finished = !state->has_begun;

    state->has_begun = true;
    if (!newest_calendar(verify, &newest, err))
        return false;
    if (!finished && !go_on_days(verify, state, &finished, err)) {
        if (!is_damage(err))
            return false;
        finished = true; /* of the list, which was said when that was looked at */
    }
    if (finished) {
        state->calendar++;
        state->next = INT64_MIN;
        state->next_id = 0;
    }
    *done = state->calendar > newest;
    return true;
}
