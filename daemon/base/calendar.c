#include "base/calendar.h"

#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/memory.h"

enum { DAYS_PER_WEEK = 7, ABBREVIATION_SIZE = 12, ZONE_NAME_SIZE = 64, PATH_SIZE = 256 };

/* Zones were as far as 15:56 away from UTC before the railways. */
#define OFFSET_MAX_MS (16 * (int64_t)MS_PER_HOUR)

/* A day inside the years 1 and 9999, so that no offset leads out of them. */
#define INSTANT_FIRST (-719161 * (int64_t)MS_PER_DAY)
#define INSTANT_LAST  (2932895 * (int64_t)MS_PER_DAY)

/* Up to here zone rules are followed: 2100-01-01. */
#define HORIZON_S (INT64_C(47482) * 86400)

/* A span with one offset; it ends where the next one begins. */
struct interval {
    wall_ms from;
    int32_t offset_s;
    char abbreviation[ABBREVIATION_SIZE];
};

/* GLib looks intervals up one by one and counts references; a table of our own is searched in a few
 * steps and shared by all threads without a thought. */
struct calendar {
    char *zone;
    int week_start;
    struct interval *intervals;
    size_t count;
};

/* --- dates -------------------------------------------------------------------------------------
 */

static int64_t floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

static int64_t floor_modulo(int64_t a, int64_t b)
{
    return a - floor_divide(a, b) * b;
}

/* Years run from March, so that the leap day is their last; 400 years are an era of 146097 days. */
int64_t civil_days(const struct civil *date)
{
    int64_t months = (int64_t)date->year * 12 + date->month - 1;
    int64_t from_march = months - 2;
    int64_t year = floor_divide(from_march, 12);
    int64_t month = floor_modulo(from_march, 12); /* 0 is March */
    int64_t era = floor_divide(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * month + 2) / 5 + date->day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

struct civil civil_of_days(int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = floor_divide(shifted, 146097);
    int64_t day_of_era = shifted - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */

    return (struct civil){
        .year = (int)(era * 400 + year_of_era + (month >= 10 ? 1 : 0)),
        .month = (int)(month >= 10 ? month - 9 : month + 3),
        .day = (int)(day_of_year - (153 * month + 2) / 5 + 1),
        .weekday = (int)floor_modulo(days + 3, DAYS_PER_WEEK) + 1, /* 1970 began on a Thursday */
    };
}

int civil_month_length(int year, int month)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return lengths[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* --- zones -------------------------------------------------------------------------------------
 */

static const char *zone_folder(void)
{
    const char *folder = g_getenv("TZDIR"); /* where GLib looks too */
    return folder != NULL ? folder : "/usr/share/zoneinfo";
}

/* GLib takes more for a zone than we want (offsets, POSIX rules, any path) and complains on stderr
 * about files that are none, so the file is looked at first. */
static bool is_zone_file(struct str zone)
{
    char path[PATH_SIZE];
    char magic[4] = "";

    if (zone.len == 0 || zone.len >= ZONE_NAME_SIZE || zone.text[0] == '/')
        return false;
    for (size_t i = 0; i < zone.len; i++) {
        if (!g_ascii_isalnum(zone.text[i]) && strchr("/_+-", zone.text[i]) == NULL)
            return false;
    }
    int len = snprintf(path, sizeof path, "%s/%.*s", zone_folder(), STR_ARGS(zone));
    if (len < 0 || (size_t)len >= sizeof path)
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool found = read(fd, magic, sizeof magic) == (ssize_t)sizeof magic &&
                 memcmp(magic, "TZif", sizeof magic) == 0;
    (void)close(fd);
    return found;
}

/* The names in tzdata's list of zones, copied into `arena`. */
static const char **list_zones(struct arena *arena, size_t *count)
{
    char path[PATH_SIZE];
    char line[256];
    const char **names = NULL;
    size_t capacity = 0;

    *count = 0;
    (void)snprintf(path, sizeof path, "%s/zone.tab", zone_folder());
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    while (fgets(line, sizeof line, file) != NULL) {
        /* country, coordinates, name, comment */
        struct str rest = {line, strcspn(line, "\n")};
        if (line[0] == '#')
            continue;
        (void)str_split(&rest, '\t');
        (void)str_split(&rest, '\t');
        struct str name = str_split(&rest, '\t');
        if (name.len == 0)
            continue;
        names = arena_grow(arena, names, *count, &capacity, sizeof *names);
        names[(*count)++] = arena_text(arena, name);
    }
    (void)fclose(file);
    return names;
}

/* "europe/berlin" and "Berlin" are found at once, what is misspelt by its distance. */
static const char *nearest_zone(struct str zone, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *slash = strrchr(names[i], '/');
        const char *city = slash == NULL ? names[i] : slash + 1;
        if ((strlen(names[i]) == zone.len && strncasecmp(names[i], zone.text, zone.len) == 0) ||
            (strlen(city) == zone.len && strncasecmp(city, zone.text, zone.len) == 0))
            return names[i];
    }
    return str_nearest(zone, names, count);
}

static GTimeZone *unknown_zone(struct str zone, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    struct arena arena = ARENA_EMPTY;
    size_t count = 0;

    (void)error_set(err, ERROR_INVALID, "unknown time zone '%s'", str_quoted(zone, quoted));
    const char **names = list_zones(&arena, &count);
    const char *nearest = zone.len == 0 ? NULL : nearest_zone(zone, names, count);
    if (nearest != NULL)
        (void)error_hint(err, "did you mean '%s'?", nearest);
    else if (count == 0)
        (void)error_hint(err, "is the package tzdata installed?");
    else
        (void)error_hint(err, "zones have names as 'Europe/Berlin', or 'UTC'");
    arena_fini(&arena);
    return NULL;
}

static GTimeZone *open_zone(struct str zone, struct error *err)
{
    char name[ZONE_NAME_SIZE];

    if (zone.len == 0)
        return g_time_zone_new_local();
    if (str_is(zone, "UTC"))
        return g_time_zone_new_utc();
    if (!is_zone_file(zone))
        return unknown_zone(zone, err);
    (void)snprintf(name, sizeof name, "%.*s", STR_ARGS(zone));
    GTimeZone *found = g_time_zone_new_identifier(name);
    return found != NULL ? found : unknown_zone(zone, err);
}

static int interval_at(GTimeZone *zone, int64_t at_s)
{
    return g_time_zone_find_interval(zone, G_TIME_TYPE_UNIVERSAL, at_s);
}

static void add_interval(struct calendar *calendar, GTimeZone *zone, int64_t from_s)
{
    int at = interval_at(zone, from_s);
    struct interval interval = {.from = from_s * MS_PER_SECOND,
                                .offset_s = g_time_zone_get_offset(zone, at)};

    (void)snprintf(interval.abbreviation, sizeof interval.abbreviation, "%s",
                   g_time_zone_get_abbreviation(zone, at));
    if (calendar->count > 0) {
        const struct interval *before = &calendar->intervals[calendar->count - 1];
        if (before->offset_s == interval.offset_s &&
            strcmp(before->abbreviation, interval.abbreviation) == 0)
            return;
    }
    calendar->intervals =
        memory_grow(calendar->intervals, calendar->count + 1, sizeof *calendar->intervals);
    calendar->intervals[calendar->count++] = interval;
}

/* GLib tells the interval of an instant, not where it begins: that is searched. */
static void copy_intervals(struct calendar *calendar, GTimeZone *zone)
{
    int64_t from = INSTANT_FIRST / MS_PER_SECOND;
    int last = interval_at(zone, HORIZON_S);

    add_interval(calendar, zone, from);
    for (int at = interval_at(zone, from); at != last; at = interval_at(zone, from)) {
        int64_t low = from; /* in this interval */
        int64_t high = from;
        for (int64_t step = INT64_C(100) * 86400; interval_at(zone, high) == at; step *= 2) {
            low = high;
            high = high + step < HORIZON_S ? high + step : HORIZON_S;
        }
        while (high - low > 1) {
            int64_t middle = low + (high - low) / 2;
            if (interval_at(zone, middle) == at)
                low = middle;
            else
                high = middle;
        }
        from = high;
        add_interval(calendar, zone, from);
    }
}

struct calendar *calendar_new(struct str zone, int week_start, struct error *err)
{
    if (week_start < 1 || week_start > DAYS_PER_WEEK) {
        (void)error_set(err, ERROR_INVALID, "a week cannot start on day '%d'", week_start);
        (void)error_hint(err, "days are 1 (Monday) to 7 (Sunday)");
        return NULL;
    }
    GTimeZone *rules = open_zone(zone, err);
    if (rules == NULL)
        return NULL;

    struct calendar *calendar = memory_zero(1, sizeof *calendar);
    const char *name = g_time_zone_get_identifier(rules);
    if (name[0] == ':') /* TZ=":Europe/Berlin" */
        name++;
    calendar->zone = memory_copy(name, strlen(name));
    calendar->week_start = week_start;
    copy_intervals(calendar, rules);
    g_time_zone_unref(rules);
    return calendar;
}

void calendar_free(struct calendar *calendar)
{
    if (calendar == NULL)
        return;
    free(calendar->zone);
    free(calendar->intervals);
    free(calendar);
}

const char *calendar_zone(const struct calendar *calendar)
{
    return calendar->zone;
}

int calendar_week_start(const struct calendar *calendar)
{
    return calendar->week_start;
}

/* --- instants ----------------------------------------------------------------------------------
 */

static wall_ms clamp(wall_ms at)
{
    if (at < INSTANT_FIRST)
        return INSTANT_FIRST;
    return at > INSTANT_LAST ? INSTANT_LAST : at;
}

/* The index of the interval that holds `at`. */
static size_t find_interval(const struct calendar *calendar, wall_ms at)
{
    size_t low = 0;
    size_t high = calendar->count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (calendar->intervals[middle].from <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int64_t offset_ms(const struct interval *interval)
{
    return (int64_t)interval->offset_s * MS_PER_SECOND;
}

struct civil calendar_civil(const struct calendar *calendar, wall_ms at)
{
    at = clamp(at);
    const struct interval *interval = &calendar->intervals[find_interval(calendar, at)];
    int64_t local = at + offset_ms(interval);
    int64_t days = floor_divide(local, MS_PER_DAY);
    int64_t rest = local - days * MS_PER_DAY;
    struct civil civil = civil_of_days(days);

    civil.hour = (int)(rest / MS_PER_HOUR);
    civil.minute = (int)(rest / MS_PER_MINUTE % 60);
    civil.second = (int)(rest / MS_PER_SECOND % 60);
    civil.ms = (int)(rest % MS_PER_SECOND);
    civil.offset_s = interval->offset_s;
    return civil;
}

/* The first instant of `local`, a civil time in milliseconds as if the zone were UTC; of one that
 * does not exist the first one after the gap. */
static wall_ms first_instant(const struct calendar *calendar, int64_t local)
{
    size_t i = find_interval(calendar, local - OFFSET_MAX_MS);

    for (;; i++) {
        const struct interval *interval = &calendar->intervals[i];
        wall_ms at = local - offset_ms(interval);
        if (i > 0 && at < interval->from) /* and after the end of the one before */
            return interval->from;
        if (i + 1 == calendar->count || at < interval[1].from)
            return at;
    }
}

static int64_t local_of(const struct civil *civil)
{
    /* Years far out would overflow below; nobody can tell the years beyond apart. */
    struct civil date = *civil;
    if (date.year < -9999 || date.year > 19999)
        date.year = date.year < 0 ? -9999 : 19999;
    return civil_days(&date) * MS_PER_DAY + civil->hour * (int64_t)MS_PER_HOUR +
           civil->minute * (int64_t)MS_PER_MINUTE + civil->second * (int64_t)MS_PER_SECOND +
           civil->ms;
}

wall_ms calendar_instant(const struct calendar *calendar, const struct civil *civil)
{
    return first_instant(calendar, local_of(civil));
}

wall_ms calendar_add_days(const struct calendar *calendar, wall_ms at, int days)
{
    if (days == 0)
        return at; /* and not the first of two */
    struct civil civil = calendar_civil(calendar, at);
    return first_instant(calendar, local_of(&civil) + days * (int64_t)MS_PER_DAY);
}

/* --- periods -----------------------------------------------------------------------------------
 */

/* Hours and minutes: cut out of a span with one offset, so that no clock change is inside. */
static struct period short_period(const struct calendar *calendar, enum period_kind kind,
                                  wall_ms at)
{
    int64_t length = kind == PERIOD_HOUR ? MS_PER_HOUR : MS_PER_MINUTE;
    size_t i = find_interval(calendar, at);
    const struct interval *interval = &calendar->intervals[i];
    int64_t offset = offset_ms(interval);
    wall_ms from = floor_divide(at + offset, length) * length - offset;
    wall_ms to = from + length;

    if (i > 0 && from < interval->from && interval[-1].offset_s != interval->offset_s)
        from = interval->from;
    if (i + 1 < calendar->count && to > interval[1].from &&
        interval[1].offset_s != interval->offset_s)
        to = interval[1].from;
    return (struct period){kind, from, to};
}

/* The first day of the period that holds `date`, or of the one `steps` after it. */
static int64_t first_day(const struct calendar *calendar, enum period_kind kind,
                         const struct civil *date, int steps)
{
    int months = kind == PERIOD_MONTH     ? 1
                 : kind == PERIOD_QUARTER ? 3
                 : kind == PERIOD_HALF    ? 6
                                          : 12;

    if (kind <= PERIOD_DAY)
        return civil_days(date) + steps;
    if (kind == PERIOD_WEEK)
        return civil_days(date) -
               (date->weekday - calendar->week_start + DAYS_PER_WEEK) % DAYS_PER_WEEK +
               (int64_t)steps * DAYS_PER_WEEK;
    const struct civil first = {
        .year = date->year, .month = ((date->month - 1) / months + steps) * months + 1, .day = 1};
    return civil_days(&first);
}

static wall_ms start_of_day(const struct calendar *calendar, int64_t days)
{
    return first_instant(calendar, days * MS_PER_DAY);
}

struct period calendar_period(const struct calendar *calendar, enum period_kind kind, wall_ms at)
{
    at = clamp(at);
    if (kind <= PERIOD_HOUR)
        return short_period(calendar, kind, at);

    /* Where the clock went back over midnight, the end of a day comes again in the next one: the
     * instants decide, not the date. */
    struct civil date = calendar_civil(calendar, at);
    int steps = 0;
    struct period period = {kind, start_of_day(calendar, first_day(calendar, kind, &date, 0)),
                            start_of_day(calendar, first_day(calendar, kind, &date, 1))};
    while (at >= period.to) {
        steps++;
        period.from = period.to;
        period.to = start_of_day(calendar, first_day(calendar, kind, &date, steps + 1));
    }
    return period;
}

struct period calendar_previous(const struct calendar *calendar, const struct period *period)
{
    return calendar_period(calendar, period->kind, period->from - 1);
}

struct period calendar_next(const struct calendar *calendar, const struct period *period)
{
    return calendar_period(calendar, period->kind, period->to);
}

/* --- text --------------------------------------------------------------------------------------
 */

/* A week of ISO 8601 belongs to the year of its Thursday. */
static int week_label(const struct calendar *calendar, const struct civil *date, char *out)
{
    if (calendar->week_start != 1)
        return snprintf(out, CALENDAR_LABEL_SIZE, "%04d-%02d-%02d", date->year, date->month,
                        date->day);
    int64_t days = civil_days(date);
    int64_t thursday = days - date->weekday + 4;
    int year = civil_of_days(thursday).year;
    int64_t january_first = civil_days(&(struct civil){.year = year, .month = 1, .day = 1});
    return snprintf(out, CALENDAR_LABEL_SIZE, "%04d-W%02d", year,
                    (int)((thursday - january_first) / DAYS_PER_WEEK) + 1);
}

const char *calendar_label(const struct calendar *calendar, const struct period *period, char *out)
{
    struct civil from = calendar_civil(calendar, period->from);
    const size_t size = CALENDAR_LABEL_SIZE;

    switch (period->kind) {
    case PERIOD_MINUTE:
    case PERIOD_HOUR:
        (void)snprintf(out, size, "%04d-%02d-%02d %02d:%02d", from.year, from.month, from.day,
                       from.hour, from.minute);
        break;
    case PERIOD_DAY:
        (void)snprintf(out, size, "%04d-%02d-%02d", from.year, from.month, from.day);
        break;
    case PERIOD_WEEK:
        (void)week_label(calendar, &from, out);
        break;
    case PERIOD_MONTH:
        (void)snprintf(out, size, "%04d-%02d", from.year, from.month);
        break;
    case PERIOD_QUARTER:
        (void)snprintf(out, size, "%04d-Q%d", from.year, (from.month - 1) / 3 + 1);
        break;
    case PERIOD_HALF:
        (void)snprintf(out, size, "%04d-H%d", from.year, (from.month - 1) / 6 + 1);
        break;
    case PERIOD_YEAR:
        (void)snprintf(out, size, "%04d", from.year);
        break;
    }
    return out;
}

/* "+02:00"; seconds only where a zone kept local mean time. */
static void format_offset(int offset_s, char *out, size_t size)
{
    int seconds = abs(offset_s);
    int len = snprintf(out, size, "%c%02d:%02d", offset_s < 0 ? '-' : '+', seconds / 3600,
                       seconds / 60 % 60);
    if (seconds % 60 != 0 && len > 0)
        (void)snprintf(out + len, size - (size_t)len, ":%02d", seconds % 60);
}

const char *calendar_format(const struct calendar *calendar, wall_ms at, char *out)
{
    struct civil civil = calendar_civil(calendar, at);
    char fraction[8] = "";
    char offset[16];

    if (civil.ms != 0)
        (void)snprintf(fraction, sizeof fraction, ".%03d", civil.ms);
    format_offset(civil.offset_s, offset, sizeof offset);
    (void)snprintf(out, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d%s%s", civil.year,
                   civil.month, civil.day, civil.hour, civil.minute, civil.second, fraction,
                   offset);
    return out;
}

const char *calendar_format_short(const struct calendar *calendar, wall_ms at, char *out)
{
    struct civil civil = calendar_civil(calendar, at);
    const struct interval *interval = &calendar->intervals[find_interval(calendar, clamp(at))];

    (void)snprintf(out, CLOCK_TEXT_SIZE, "%04d-%02d-%02d %02d:%02d %s", civil.year, civil.month,
                   civil.day, civil.hour, civil.minute, interval->abbreviation);
    return out;
}

/* Takes exactly `digits` digits from the front. */
static bool take_number(struct str *text, size_t digits, int *out)
{
    uint64_t value = 0;
    if (text->len < digits || !str_parse_u64((struct str){text->text, digits}, &value))
        return false;
    text->text += digits;
    text->len -= digits;
    *out = (int)value;
    return true;
}

static bool take_char(struct str *text, char c)
{
    if (text->len == 0 || text->text[0] != c)
        return false;
    text->text++;
    text->len--;
    return true;
}

/* ":SS[.mmm]", one to three digits of a fraction */
static bool take_seconds(struct str *text, struct civil *civil)
{
    static const int scales[] = {100, 10, 1};

    if (!take_char(text, ':'))
        return true;
    if (!take_number(text, 2, &civil->second) || civil->second > 59)
        return false;
    if (!take_char(text, '.'))
        return true;
    for (size_t i = 0; i < 3; i++) {
        int digit = 0;
        if (!take_number(text, 1, &digit))
            return i > 0;
        civil->ms += digit * scales[i];
    }
    return true;
}

/* "Z" or "+02:00"; `*found` is whether there was one. */
static bool take_offset(struct str *text, int64_t *offset, bool *found)
{
    int hours = 0;
    int minutes = 0;

    *found = true;
    *offset = 0;
    if (take_char(text, 'Z'))
        return true;
    bool west = take_char(text, '-');
    if (!west && !take_char(text, '+')) {
        *found = false;
        return true;
    }
    if (!take_number(text, 2, &hours) || !take_char(text, ':') || !take_number(text, 2, &minutes) ||
        hours > 15 || minutes > 59)
        return false;
    *offset = (hours * (int64_t)MS_PER_HOUR + minutes * (int64_t)MS_PER_MINUTE) * (west ? -1 : 1);
    return true;
}

bool calendar_parse(const struct calendar *calendar, struct str text, bool as_end, wall_ms *out)
{
    struct civil civil = {0};
    int64_t offset = 0;
    bool has_offset = false;

    if (!take_number(&text, 4, &civil.year) || !take_char(&text, '-') ||
        !take_number(&text, 2, &civil.month) || !take_char(&text, '-') ||
        !take_number(&text, 2, &civil.day))
        return false;
    if (civil.year < 1 || civil.month < 1 || civil.month > 12 || civil.day < 1 ||
        civil.day > civil_month_length(civil.year, civil.month))
        return false;
    if (text.len == 0) {
        civil.day += as_end ? 1 : 0;
        *out = calendar_instant(calendar, &civil);
        return true;
    }
    if (!take_char(&text, 'T') && !take_char(&text, ' '))
        return false;
    if (!take_number(&text, 2, &civil.hour) || !take_char(&text, ':') ||
        !take_number(&text, 2, &civil.minute) || civil.hour > 23 || civil.minute > 59)
        return false;
    if (!take_seconds(&text, &civil) || !take_offset(&text, &offset, &has_offset) || text.len > 0)
        return false;
    *out = has_offset ? local_of(&civil) - offset : calendar_instant(calendar, &civil);
    return true;
}

static const char *const KIND_NAMES[] = {
    [PERIOD_MINUTE] = "minute", [PERIOD_HOUR] = "hour",   [PERIOD_DAY] = "day",
    [PERIOD_WEEK] = "week",     [PERIOD_MONTH] = "month", [PERIOD_QUARTER] = "quarter",
    [PERIOD_HALF] = "half",     [PERIOD_YEAR] = "year",
};

bool period_kind_parse(struct str text, enum period_kind *out)
{
    for (size_t i = 0; i < sizeof KIND_NAMES / sizeof KIND_NAMES[0]; i++) {
        if (str_is(text, KIND_NAMES[i])) {
            *out = (enum period_kind)i;
            return true;
        }
    }
    return false;
}

const char *period_kind_name(enum period_kind kind)
{
    return KIND_NAMES[kind];
}
