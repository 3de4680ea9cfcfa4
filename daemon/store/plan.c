#include "store/plan.h"

/* No civil day is shorter, whatever a zone does. */
enum { DAY_MINUTES_MIN = 20 * 60 };

static int64_t limited(int64_t minute)
{
    if (minute < -PLAN_MINUTE_LIMIT)
        return -PLAN_MINUTE_LIMIT;
    return minute > PLAN_MINUTE_LIMIT ? PLAN_MINUTE_LIMIT : minute;
}

/* A quarter's first minute, also of marks that stand for "none yet". */
static int64_t minute_of_quarter(int64_t quarter)
{
    if (quarter < -PLAN_MINUTE_LIMIT / MINUTES_PER_QUARTER)
        return -PLAN_MINUTE_LIMIT;
    if (quarter > PLAN_MINUTE_LIMIT / MINUTES_PER_QUARTER)
        return PLAN_MINUTE_LIMIT;
    return quarter * MINUTES_PER_QUARTER;
}

static int64_t quarter_from(int64_t minute)
{
    return quarter_of_minute(minute + MINUTES_PER_QUARTER - 1);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greatest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t plan_minute_of(wall_ms at)
{
    int64_t minute = at / MS_PER_MINUTE;
    if (at % MS_PER_MINUTE < 0)
        minute--;
    return limited(minute);
}

/* --- buckets --- */

/* The first of the segment's days that begins at or after the minute. */
static size_t day_from(const struct plan_segment *segment, int64_t minute)
{
    size_t low = 0;
    size_t high = segment->day_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (minute_of_quarter(segment->days[middle].from) < minute)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t plan_bucket_from(const struct plan_segment *segment, int64_t minute)
{
    if (segment->level == LEVEL_MINUTE)
        return minute;
    if (segment->level == LEVEL_QUARTER)
        return quarter_from(minute);
    size_t i = day_from(segment, minute);
    return i < segment->day_count ? segment->days[i].day
                                  : segment->days[segment->day_count - 1].day + 1;
}

/* The first of the segment's days with this number or a greater one. */
static size_t day_at(const struct plan_segment *segment, int64_t day)
{
    size_t low = 0;
    size_t high = segment->day_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (segment->days[middle].day < day)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t plan_bucket_start(const struct plan_segment *segment, int64_t bucket)
{
    if (segment->level == LEVEL_MINUTE)
        return limited(bucket);
    if (segment->level == LEVEL_QUARTER)
        return minute_of_quarter(bucket);
    size_t i = day_at(segment, bucket);
    return i < segment->day_count ? minute_of_quarter(segment->days[i].from) : segment->to;
}

bool plan_bucket_minutes(const struct plan_segment *segment, int64_t bucket, int64_t *from,
                         int64_t *to)
{
    *from = plan_bucket_start(segment, bucket);
    if (segment->level != LEVEL_DAY) {
        *to = *from + (segment->level == LEVEL_MINUTE ? 1 : MINUTES_PER_QUARTER);
        return true;
    }
    size_t i = day_at(segment, bucket);
    if (i == segment->day_count || segment->days[i].day != bucket)
        return false;
    *to = minute_of_quarter(segment->days[i].to);
    return true;
}

/* --- making a plan --- */

/* A plan on its way. All in minutes. */
struct making {
    struct plan_range range;
    const struct kept *kept;
    int64_t kept_minute, kept_quarter, kept_day;
    int64_t quarters_to; /* no quarters are wanted, or there, from here on */
    int64_t days_to;     /* no days that begin here or later */
    bool is_fine;        /* minutes are wanted wherever they are */
    struct arena *arena;
    struct plan_segment *segments;
    size_t count, capacity;
    bool complete;
};

static bool is_aligned(int64_t minute)
{
    return minute % MINUTES_PER_QUARTER == 0;
}

static void making_init(struct making *making, const struct plan_facts *facts,
                        const struct plan_range *range, struct arena *arena)
{
    *making =
        (struct making){.range = *range, .kept = facts->kept, .arena = arena, .complete = true};
    making->kept_minute = limited(facts->kept->from[LEVEL_MINUTE]);
    making->kept_quarter = minute_of_quarter(facts->kept->from[LEVEL_QUARTER]);
    making->kept_day = minute_of_quarter(facts->kept->from[LEVEL_DAY]);
    making->quarters_to = minute_of_quarter(facts->quartered);
    making->days_to = range->to;
    making->is_fine = range->step > 0 && (!is_aligned(range->step) || !is_aligned(range->from));
    if (making->is_fine) {
        making->quarters_to =
            least(making->quarters_to, minute_of_quarter(quarter_from(making->kept_minute)));
        making->days_to = least(making->quarters_to, making->kept_quarter);
    }
    if (range->step > 0 && range->step < MINUTES_PER_QUARTER)
        making->quarters_to = -PLAN_MINUTE_LIMIT;
    if (range->step > 0 && range->step < DAY_MINUTES_MIN)
        making->days_to = -PLAN_MINUTE_LIMIT;
}

/* Whether some steps meet inside (from, to). */
static bool has_step_inside(const struct plan_range *range, int64_t from, int64_t to)
{
    return range->step > 0 &&
           (from - range->from) / range->step != (to - 1 - range->from) / range->step;
}

/* Appends, or lengthens the last one. */
static void add(struct making *making, const struct plan_segment *segment)
{
    struct plan_segment *last = making->count > 0 ? &making->segments[making->count - 1] : NULL;

    /* Days are of one calendar in a plan, and in one array. */
    if (last != NULL && last->to == segment->from && last->level == segment->level &&
        (segment->level != LEVEL_DAY || last->days + last->day_count == segment->days)) {
        last->to = segment->to;
        last->day_count += segment->day_count;
        return;
    }
    making->segments = arena_grow(making->arena, making->segments, making->count, &making->capacity,
                                  sizeof *making->segments);
    making->segments[making->count++] = *segment;
}

static void add_minutes(struct making *making, int64_t from, int64_t to)
{
    if (from >= to)
        return;
    int64_t kept = greatest(from, making->kept_minute);
    if (kept > from)
        making->complete = false;
    if (kept < to)
        add(making, &(struct plan_segment){.level = LEVEL_MINUTE, .from = kept, .to = to});
}

/* What no day covers: quarters, and minutes around them. */
static void fill(struct making *making, int64_t from, int64_t to)
{
    int64_t first = minute_of_quarter(quarter_from(greatest(from, making->kept_quarter)));
    int64_t end = minute_of_quarter(quarter_of_minute(least(to, making->quarters_to)));

    if (first >= end) {
        add_minutes(making, from, to);
        return;
    }
    add_minutes(making, from, first);
    bool may_straddle = making->is_fine && has_step_inside(&making->range, first, end);
    if (may_straddle)
        making->complete = false;
    add(making,
        &(struct plan_segment){
            .level = LEVEL_QUARTER, .from = first, .to = end, .may_straddle = may_straddle});
    add_minutes(making, end, to);
}

static bool is_usable(const struct making *making, const struct day_bounds *day)
{
    int64_t from = minute_of_quarter(day->from);
    int64_t to = minute_of_quarter(day->to);

    return from < to && from >= making->range.from && to <= making->range.to &&
           from >= making->kept_day && from < making->days_to &&
           !has_step_inside(&making->range, from, to);
}

/* Its days that begin before lack something. */
static size_t first_whole_day(const struct making *making, const struct plan_calendar *calendar)
{
    int64_t from = kept_whole_days_from(making->kept, calendar->number);
    size_t i = 0;

    while (i < calendar->count && calendar->days[i].from < from)
        i++;
    return i;
}

/* How many quarters the days of a calendar cover. */
static int64_t quarters_covered(const struct making *making, const struct plan_calendar *calendar)
{
    int64_t quarters = 0;

    for (size_t i = first_whole_day(making, calendar); i < calendar->count; i++) {
        if (is_usable(making, &calendar->days[i]))
            quarters += calendar->days[i].to - calendar->days[i].from;
    }
    return quarters;
}

static const struct plan_calendar *choose_calendar(const struct making *making,
                                                   const struct plan_facts *facts)
{
    const struct plan_calendar *best = NULL;
    int64_t most = 0;

    for (size_t i = 0; i < facts->calendar_count; i++) {
        const struct plan_calendar *calendar = &facts->calendars[i];
        if (making->range.calendar != 0 && making->range.calendar != calendar->number)
            continue;
        int64_t quarters = quarters_covered(making, calendar);
        if (quarters > most) {
            most = quarters;
            best = calendar;
        }
    }
    return best;
}

void plan_make(const struct plan_facts *facts, const struct plan_range *range, struct arena *arena,
               struct plan *out)
{
    struct making making;
    int64_t done = range->from;

    making_init(&making, facts, range, arena);
    const struct plan_calendar *calendar = choose_calendar(&making, facts);
    size_t first = calendar == NULL ? 0 : first_whole_day(&making, calendar);
    for (size_t i = first; calendar != NULL && i < calendar->count; i++) {
        const struct day_bounds *day = &calendar->days[i];
        int64_t from = minute_of_quarter(day->from);
        if (from < done || !is_usable(&making, day))
            continue;
        fill(&making, done, from);
        done = minute_of_quarter(day->to);
        add(&making, &(struct plan_segment){.level = LEVEL_DAY,
                                            .calendar = calendar->number,
                                            .from = from,
                                            .to = done,
                                            .days = day,
                                            .day_count = 1});
    }
    fill(&making, done, range->to);
    *out = (struct plan){making.segments, making.count, making.complete};
}

/* --- from the store --- */

struct day_list {
    struct arena *arena;
    struct day_bounds *days;
    size_t count, capacity;
};

static bool gather_day(const struct day_bounds *day, void *arg)
{
    struct day_list *list = arg;

    list->days =
        arena_grow(list->arena, list->days, list->count, &list->capacity, sizeof *list->days);
    list->days[list->count++] = *day;
    return true;
}

bool plan_count_calendars(const struct read_txn *txn, size_t *out, struct error *err)
{
    MDB_stat stat;
    int rc = mdb_stat(txn->txn, txn->store->databases[DATABASE_CALENDARS], &stat);

    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    *out = stat.ms_entries;
    return true;
}

bool plan_read_days(const struct read_txn *txn, uint32_t calendar, const struct plan_range *range,
                    struct arena *arena, struct plan_calendar *out, struct error *err)
{
    struct day_list list = {.arena = arena};

    if (!parts_days(txn,
                    &(const struct day_range){calendar, quarter_of_minute(range->from),
                                              quarter_from(range->to)},
                    gather_day, &list, err))
        return false;
    *out = (struct plan_calendar){calendar, list.days, list.count};
    return true;
}

static bool read_calendars(const struct read_txn *txn, const struct making *making,
                           struct plan_facts *facts, struct error *err)
{
    struct plan_range range = making->range;

    range.to = least(range.to, making->days_to);
    if (range.to - range.from < (making->is_fine ? 1 : DAY_MINUTES_MIN))
        return true;
    if (!plan_count_calendars(txn, &facts->calendar_count, err))
        return false;
    struct plan_calendar *calendars =
        arena_array(making->arena, facts->calendar_count, sizeof *calendars);
    facts->calendars = calendars;
    for (size_t i = 0; i < facts->calendar_count; i++) {
        if (!plan_read_days(txn, (uint32_t)i + 1, &range, making->arena, &calendars[i], err))
            return false;
    }
    return true;
}

bool plan_read(const struct read_txn *txn, const struct kept *kept, const struct plan_range *range,
               struct arena *arena, struct plan *out, struct error *err)
{
    struct plan_facts facts = {.quartered = parts_mark(txn, MARK_QUARTERED), .kept = kept};
    struct making making;

    making_init(&making, &facts, range, arena);
    if (!read_calendars(txn, &making, &facts, err))
        return false;
    plan_make(&facts, range, arena, out);
    return true;
}
