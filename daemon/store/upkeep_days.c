/* Civil days of each calendar, from quarters: every day that is over, from the oldest quarter that
 * is there, has a row in the end, also one without data.
 *
 * Days are looked at in the order of time. One without a row is built; one whose row is not what
 * the calendar says (the rules of its zone have changed) loses its row and its cells together, and
 * is built anew. Should some partition reach over a day that is built, its cells of that day would
 * be counted too: they are taken out first. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/upkeep_private.h"

enum { LOOK_POINTS = 16 }; /* how much work it is to look at a day */

bool upkeep_scans_are_complete(const struct upkeep *upkeep)
{
    for (size_t i = 0; i < upkeep->options->calendar_count; i++) {
        if (!upkeep->scans[i].is_complete)
            return false;
    }
    return true;
}

bool upkeep_calendar_count(const struct read_txn *txn, uint32_t *out, struct error *err)
{
    MDB_stat facts;
    int rc = mdb_stat(txn->txn, txn->store->databases[DATABASE_CALENDARS], &facts);

    if (rc != 0)
        return store_error(err, rc, "cannot read data directory '%s'", txn->store->path);
    *out = (uint32_t)facts.ms_entries;
    return true;
}

const struct calendar *upkeep_calendar_of_zone(const struct upkeep *upkeep, struct str zone)
{
    for (size_t i = 0; i < upkeep->options->calendar_count; i++) {
        if (str_is(zone, calendar_zone(upkeep->options->calendars[i])))
            return upkeep->options->calendars[i];
    }
    return NULL;
}

/* Zones whose offset was no multiple of a quarter of an hour (before 1980) round alike at both ends
 * of each day, so that days still tile. */
static int64_t quarter_of(wall_ms at)
{
    return quarter_of_minute(minute_of(at));
}

struct day_bounds upkeep_day_bounds(const struct calendar *calendar, const struct period *day)
{
    const struct civil date = calendar_civil(calendar, day->from);
    return (struct day_bounds){civil_days(&date), quarter_of(day->from), quarter_of(day->to)};
}

/* What rows say of a day: the same, nothing, or something else. */
struct row_search {
    const struct day_bounds *wanted;
    bool is_there;
    bool has_other;
    struct day_bounds other;
};

static bool compare_row(const struct day_bounds *row, void *arg)
{
    struct row_search *search = arg;
    const struct day_bounds *wanted = search->wanted;

    if (row->day == wanted->day && row->from == wanted->from && row->to == wanted->to) {
        search->is_there = true;
        return true;
    }
    search->has_other = true;
    search->other = *row;
    return false;
}

/* Takes the day's cells out of the partitions that reach over it; `*did` if there was something to
 * do: a row, or such a partition. */
static bool begin_removal(struct upkeep_step *step, uint32_t calendar, const struct day_bounds *day,
                          bool has_row, bool *did, struct error *err)
{
    struct partition *partitions = NULL;
    size_t count = 0;

    if (!parts_partitions(&step->txn->reader,
                          &(const struct bucket_range){LEVEL_DAY, calendar, day->day, day->day + 1},
                          &step->arena, &partitions, &count, err))
        return false;
    if (count == 0) {
        *did = has_row;
        return !has_row || parts_remove_day(step->txn, calendar, day->day, err);
    }
    *did = true;
    struct build_job *job = build_job_new(partitions, count);
    step->upkeep->build = job;
    job->without = day->day;
    job->calendar = calendar;
    job->day = *day;
    job->removes_day = has_row;
    job->counter = offsetof(struct upkeep_counts, combines);
    return build_job_add_replacement(step, job, err);
}

/* A day without quarters is only a row. */
static bool begin_building(struct upkeep_step *step, uint32_t calendar,
                           const struct day_bounds *day, struct error *err)
{
    struct partition *sources = NULL;
    size_t count = 0;

    if (!parts_partitions(&step->txn->reader,
                          &(const struct bucket_range){LEVEL_QUARTER, 0, day->from, day->to},
                          &step->arena, &sources, &count, err))
        return false;
    if (count == 0) {
        step->counts.days++;
        return parts_add_day(step->txn, calendar, day, err) &&
               upkeep_note_day(step, calendar, day, err);
    }
    struct build_job *job = build_job_new(sources, count);
    step->upkeep->build = job;
    job->from = day->from;
    job->to = day->to;
    job->calendar = calendar;
    job->adds_day = true;
    job->day = *day;
    job->counter = offsetof(struct upkeep_counts, days);
    const struct partition facts = {
        .level = LEVEL_DAY, .calendar = calendar, .from = day->day, .to = day->day + 1};
    struct upkeep_output *output = build_job_add_output(step, job, &facts, err);
    if (output == NULL)
        return false;
    output->days = &job->day;
    output->day_count = 1;
    return true;
}

/* One day. `*is_done` when it has its row, and nothing is under way. */
static bool look_at_day(struct upkeep_step *step, uint32_t calendar, const struct day_bounds *day,
                        bool *is_done, struct error *err)
{
    struct row_search search = {.wanted = day};
    bool removes = false;

    *is_done = false;
    if (!parts_days(&step->txn->reader, &(const struct day_range){calendar, day->from, day->to},
                    compare_row, &search, err))
        return false;
    if (search.has_other)
        return begin_removal(step, calendar, &search.other, true, &removes, err);
    if (search.is_there) {
        *is_done = true;
        return true;
    }
    /* The partition that takes their place may still reach over the day. */
    bool is_cleared =
        step->upkeep->cleared_calendar == calendar && step->upkeep->cleared_day == day->day;
    if (!is_cleared && !begin_removal(step, calendar, day, false, &removes, err))
        return false;
    if (removes)
        return true;
    if (!begin_building(step, calendar, day, err))
        return false;
    *is_done = step->upkeep->build == NULL;
    return true;
}

/* Where the days of a calendar that can be built begin: with the one that holds the oldest quarter,
 * unless retention has dropped a part of it. */
static void begin_scan(struct day_scan *scan, const struct calendar *calendar, int64_t oldest,
                       int64_t kept)
{
    const wall_ms quarter_ms = (wall_ms)MINUTES_PER_QUARTER * MS_PER_MINUTE;
    int64_t start = oldest > kept ? oldest : kept;

    if (scan->has_begun && start >= scan->start)
        return;
    struct period day = calendar_period(calendar, PERIOD_DAY, start * quarter_ms);
    *scan = (struct day_scan){.has_begun = true, .start = start, .at = day.from};
    if (quarter_of(day.from) < kept)
        scan->at = day.to;
}

/* Looks at days until one has to be built, all were, or the step is over. */
static bool scan_days(struct upkeep_step *step, size_t index, uint32_t number, struct error *err)
{
    const struct calendar *calendar = step->upkeep->options->calendars[index];
    int64_t quartered = parts_mark(&step->txn->reader, MARK_QUARTERED);
    struct day_scan *scan = &step->upkeep->scans[index];

    scan->is_complete = false;
    do {
        const struct period day = calendar_period(calendar, PERIOD_DAY, scan->at);
        const struct day_bounds bounds = upkeep_day_bounds(calendar, &day);
        bool is_done = false;
        if (bounds.to > quartered || day.to <= scan->at) {
            scan->is_complete = true;
            break;
        }
        if (!look_at_day(step, number, &bounds, &is_done, err))
            return false;
        if (step->upkeep->build != NULL)
            break;
        if (is_done)
            scan->at = day.to;
    } while (upkeep_spend(step, LOOK_POINTS, 0));
    return true;
}

static int64_t greatest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The oldest quarter of all; false in `found`: there is none. */
static bool oldest_quarter(struct upkeep_step *step, int64_t *out, bool *found, struct error *err)
{
    struct partition *partitions = NULL;
    size_t count = 0;

    if (!parts_partitions(&step->txn->reader,
                          &(const struct bucket_range){LEVEL_QUARTER, 0, INT64_MIN, INT64_MAX},
                          &step->arena, &partitions, &count, err))
        return false;
    *found = count > 0;
    if (*found)
        *out = partitions[0].from;
    return true;
}

/* --- days that were never built --- */

struct meta_name {
    char text[32];
};

static struct meta_name name_of_lost(uint32_t calendar)
{
    struct meta_name name;
    (void)snprintf(name.text, sizeof name.text, "days_lost_%u", (unsigned)calendar);
    return name;
}

int64_t upkeep_days_lost_before(const struct read_txn *txn, uint32_t calendar)
{
    return (int64_t)meta_get(txn, name_of_lost(calendar).text, (uint64_t)INT64_MIN);
}

bool upkeep_lose_days(struct write_txn *txn, uint32_t calendar, int64_t before, struct error *err)
{
    if (before <= upkeep_days_lost_before(&txn->reader, calendar))
        return true;
    return meta_put(txn, name_of_lost(calendar).text, (uint64_t)before, err);
}

static bool find_row(const struct day_bounds *day, void *arg)
{
    (void)day;
    *(bool *)arg = true;
    return false;
}

/* A calendar that comes, or comes back, when quarters of which others have days are gone lacks
 * these for ever: late samples must not make them look whole. */
static bool note_gap(struct upkeep_step *step, uint32_t calendar, struct error *err)
{
    const struct read_txn *reader = &step->txn->reader;
    int64_t kept = parts_mark(reader, MARK_KEPT_QUARTER);
    bool goes_on = false;
    bool has_older = false;
    uint32_t count = 0;

    if (kept == INT64_MIN)
        return true;
    if (!parts_days(reader, &(const struct day_range){calendar, kept - 1, INT64_MAX}, find_row,
                    &goes_on, err) ||
        !upkeep_calendar_count(reader, &count, err))
        return false;
    for (uint32_t other = 1; other <= count && !goes_on && !has_older; other++) {
        if (!parts_days(reader, &(const struct day_range){other, INT64_MIN, kept}, find_row,
                        &has_older, err))
            return false;
    }
    return goes_on || !has_older || upkeep_lose_days(step->txn, calendar, kept, err);
}

/* --- all calendars --- */

/* The calendar's number. There are only so many (store/schema.h): a zone that gets none has no
 * days, and nobody waits for them. */
static bool number_calendar(struct upkeep_step *step, size_t index, uint32_t *out,
                            struct error *err)
{
    const struct calendar *calendar = step->upkeep->options->calendars[index];

    if (parts_add_calendar(step->txn, str_of(calendar_zone(calendar)), out, err))
        return true;
    if (err->kind != ERROR_FULL || step->txn->storage_failed)
        return false;
    *out = 0;
    step->upkeep->scans[index] =
        (struct day_scan){.has_begun = true, .is_complete = true, .at = INT64_MAX};
    return true;
}

/* `*did` when something is under way, or there is more to look at. */
static bool scan_calendars(struct upkeep_step *step, int64_t oldest, bool *did, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;
    const struct read_txn *reader = &step->txn->reader;
    int64_t kept =
        greatest(parts_mark(reader, MARK_KEPT_QUARTER), parts_mark(reader, MARK_KEPT_DAY));

    for (size_t i = 0; i < upkeep->options->calendar_count && !*did; i++) {
        const struct calendar *calendar = upkeep->options->calendars[i];
        uint32_t number = 0;
        if (!number_calendar(step, i, &number, err))
            return false;
        if (number == 0)
            continue;
        if (!upkeep->scans[i].has_begun && !note_gap(step, number, err))
            return false;
        begin_scan(&upkeep->scans[i], calendar, oldest, kept);
        if (!scan_days(step, i, number, err))
            return false;
        *did = !upkeep->scans[i].is_complete;
    }
    return true;
}

bool upkeep_days_begin(struct upkeep_step *step, bool *did, struct error *err)
{
    struct upkeep *upkeep = step->upkeep;
    bool were_complete = upkeep_scans_are_complete(upkeep);
    int64_t oldest = 0;
    bool found = false;

    if (upkeep->build != NULL || upkeep->fold != NULL || upkeep->days_seen == upkeep->changes)
        return true;
    if (!oldest_quarter(step, &oldest, &found, err) ||
        (found && !scan_calendars(step, oldest, did, err)))
        return false;
    if (upkeep->build != NULL)
        return upkeep_build_go_on(step, did, err);
    if (*did)
        return true;
    /* Partitions of days wait for it to be combined. */
    *did = !were_complete && upkeep_scans_are_complete(upkeep);
    upkeep->changes += *did;
    upkeep->days_seen = upkeep->changes;
    return true;
}
