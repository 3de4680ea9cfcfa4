#include "store/own_metrics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/memory.h"
#include "series/delta.h"
#include "store/parts.h"
#include "store/query.h"
#include "store/upkeep.h"

static const char RECEIVED[] = "kpid_samples_received_total";
static const char STORED[] = "kpid_samples_stored_total";
static const char REJECTED[] = "kpid_samples_rejected_total";
static const char DROPPED[] = "kpid_samples_dropped_total";
static const char KERNEL_DROPS[] = "kpid_kernel_drops_total";
static const char DENIED[] = "kpid_connections_denied_total";
static const char STORE_BYTES[] = "kpid_store_bytes";
static const char CLOSING_LATE[] = "kpid_closing_late_seconds";

/* Those that grow because something went wrong, or for which people would wait. None that a post of
 * these metrics changes, as commits: each post would be the reason of the next one. */
#define OWN_COUNTERS(X)                                                                            \
    X(commit_failures)                                                                             \
    X(mixed_points)                                                                                \
    X(series_churned)                                                                              \
    X(series_refused)                                                                              \
    X(samples_over_limit)                                                                          \
    X(samples_late)                                                                                \
    X(evaluation_errors)                                                                           \
    X(periods_restated)                                                                            \
    X(alerts_fired)                                                                                \
    X(messages_sent)                                                                               \
    X(messages_failed)                                                                             \
    X(messages_dead)                                                                               \
    X(control_accept_failures)                                                                     \
    X(connections_accepted)                                                                        \
    X(connections_refused)                                                                         \
    X(tls_failures)                                                                                \
    X(tokens_denied)                                                                               \
    X(ingest_requests_refused)                                                                     \
    X(ingest_batches_refused)                                                                      \
    X(ingest_pauses)                                                                               \
    X(unknown_fields)                                                                              \
    X(annotations_skipped)                                                                         \
    X(reloads)                                                                                     \
    X(reload_failures)

#define OWN_GAUGES(X)                                                                              \
    X(series_active)                                                                               \
    X(connections)                                                                                 \
    X(ingest_paused)

struct own_count {
    const char *name;
    const _Atomic uint64_t *count;
};

static const struct own_count COUNTS[] = {
#define OWN_COUNT(name) {"kpid_" #name "_total", &counters.name},
    OWN_COUNTERS(OWN_COUNT)
#undef OWN_COUNT
};

static const struct own_count LEVELS[] = {
#define OWN_LEVEL(name) {"kpid_" #name, &counters.name},
    OWN_GAUGES(OWN_LEVEL)
#undef OWN_LEVEL
};

enum {
    COUNTER_COUNT = sizeof COUNTS / sizeof COUNTS[0],
    GAUGE_COUNT = sizeof LEVELS / sizeof LEVELS[0],
    /* the places of a ledger's counts in struct line */
    AT_RECEIVED = 0,
    AT_STORED = 1,
    AT_REJECTED = 2,
    AT_DROPPED = AT_REJECTED + REJECT_REASON_COUNT,
    TOTALS = AT_DROPPED + DROP_REASON_COUNT,
};

/* A listener, or who else has a ledger. */
struct line {
    char *name;
    uint64_t totals[TOTALS]; /* as of this look */
    uint64_t posted[TOTALS];
    bool is_open; /* said by who calls, of this look */
    bool is_new;  /* nothing of it was posted yet */
    uint64_t kernel_drops, kernel_drops_posted;
    uint64_t denied, denied_posted;
};

struct own_metrics {
    struct store *store;
    struct line *lines;
    size_t line_count, line_capacity;
    uint64_t counts[COUNTER_COUNT]; /* as of the last look */
    uint64_t levels[GAUGE_COUNT];
    uint64_t closing_late; /* UINT64_MAX: not posted yet */
    bool has_looked;
    wall_ms all_at;         /* when all was posted last */
    uint64_t posted_before; /* cells and points of the last post */

    /* of the look that is under way */
    struct delta *delta;
    struct buf key;
    wall_ms now;
    bool is_all;
};

bool own_metrics_has(struct str metric)
{
    static const char *const others[] = {RECEIVED,     STORED, REJECTED,    DROPPED,
                                         KERNEL_DROPS, DENIED, STORE_BYTES, CLOSING_LATE};

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (str_is(metric, others[i]))
            return true;
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        if (str_is(metric, COUNTS[i].name))
            return true;
    for (size_t i = 0; i < GAUGE_COUNT; i++)
        if (str_is(metric, LEVELS[i].name))
            return true;
    return false;
}

static uint64_t value_of(const struct own_count *own)
{
    return atomic_load_explicit(own->count, memory_order_relaxed);
}

struct own_metrics *own_metrics_new(struct store *store)
{
    struct own_metrics *own = memory_zero(1, sizeof *own);

    own->store = store;
    own->closing_late = UINT64_MAX;
    for (size_t i = 0; i < COUNTER_COUNT; i++)
        own->counts[i] = value_of(&COUNTS[i]); /* what was before is history */
    return own;
}

void own_metrics_free(struct own_metrics *own)
{
    if (own == NULL)
        return;
    for (size_t i = 0; i < own->line_count; i++)
        free(own->lines[i].name);
    free(own->lines);
    buf_fini(&own->key);
    free(own);
}

/* --- samples of the delta --- */

/* The series of a metric, NULL for a label that it does not have; UINT32_MAX when it cannot be one:
 * a ledger's name from the disk may be anything. */
static uint32_t series_of(struct own_metrics *own, enum metric_kind kind, const char *metric,
                          const char *listener, const char *reason)
{
    struct label labels[2];
    size_t count = 0;

    if (listener != NULL)
        labels[count++] = (struct label){STR("listener"), str_of(listener)};
    if (reason != NULL)
        labels[count++] = (struct label){STR("reason"), str_of(reason)};
    series_key_write(&own->key, kind, str_of(metric), labels, count);
    struct str key = buf_view(&own->key);
    return series_key_is_valid(key) ? delta_add_series(own->delta, series_key_hash(key), key)
                                    : UINT32_MAX;
}

static uint64_t arrival_at(wall_ms at)
{
    return at < 0 ? 0 : (uint64_t)at * 1000;
}

static void add_total(struct own_metrics *own, uint32_t series, uint64_t total, wall_ms at)
{
    delta_add_point(own->delta, &(const struct delta_point){.series = series,
                                                            .form = POINT_CUMULATIVE,
                                                            .at = at,
                                                            .start = WALL_NONE,
                                                            .arrival = arrival_at(at),
                                                            .value = (double)total});
}

static void add_value(struct own_metrics *own, uint32_t series, uint64_t value)
{
    struct delta_cell *cell = delta_add_cell(own->delta, series, own->now / MS_PER_MINUTE);

    aggregate_add(&cell->cell.aggregate, (double)value, WEIGHT_ONE, own->now, arrival_at(own->now));
}

static void post_increment(struct own_metrics *own, const char *metric, const char *listener,
                           uint64_t by)
{
    if (by == 0 && !own->is_all)
        return;
    uint32_t series = series_of(own, METRIC_COUNTER, metric, listener, NULL);
    if (series != UINT32_MAX)
        add_value(own, series, by);
}

static void post_level(struct own_metrics *own, const char *metric, uint64_t level, bool changed)
{
    if (!changed && !own->is_all)
        return;
    uint32_t series = series_of(own, METRIC_GAUGE, metric, NULL, NULL);
    if (series != UINT32_MAX)
        add_value(own, series, level);
}

/* --- listeners --- */

static struct line *line_of(struct own_metrics *own, struct str name)
{
    for (size_t i = 0; i < own->line_count; i++)
        if (str_is(name, own->lines[i].name))
            return &own->lines[i];
    if (own->line_count == OWN_METRICS_LISTENERS_MAX || memchr(name.text, '\0', name.len) != NULL)
        return NULL;
    if (own->line_count == own->line_capacity) {
        own->line_capacity = own->line_capacity == 0 ? 8 : own->line_capacity * 2;
        own->lines = memory_grow(own->lines, own->line_capacity, sizeof *own->lines);
    }
    struct line *line = &own->lines[own->line_count++];
    *line = (struct line){.name = memory_alloc(name.len + 1), .is_new = true};
    memcpy(line->name, name.text, name.len);
    line->name[name.len] = '\0';
    return line;
}

static bool on_ledger(struct str listener, const struct ledger *ledger, void *arg)
{
    struct line *line = line_of(arg, listener);

    if (line == NULL)
        return true;
    line->totals[AT_RECEIVED] = ledger->received;
    line->totals[AT_STORED] = ledger->stored;
    memcpy(&line->totals[AT_REJECTED], ledger->rejected, sizeof ledger->rejected);
    memcpy(&line->totals[AT_DROPPED], ledger->dropped, sizeof ledger->dropped);
    return true;
}

static void look_at_listeners(struct own_metrics *own, const struct own_listener *listeners,
                              size_t count)
{
    for (size_t i = 0; i < own->line_count; i++)
        own->lines[i].is_open = false;
    for (size_t i = 0; i < count; i++) {
        struct line *line = line_of(own, str_of(listeners[i].name));
        if (line == NULL)
            continue;
        line->is_open = true;
        line->kernel_drops = listeners[i].kernel_drops;
        line->denied = listeners[i].connections_denied;
        if (line->is_new && !own->has_looked) {
            line->kernel_drops_posted = line->kernel_drops;
            line->denied_posted = line->denied;
        }
    }
}

static uint32_t series_of_total(struct own_metrics *own, const struct line *line, size_t at)
{
    if (at == AT_RECEIVED)
        return series_of(own, METRIC_COUNTER, RECEIVED, line->name, NULL);
    if (at == AT_STORED)
        return series_of(own, METRIC_COUNTER, STORED, line->name, NULL);
    if (at < AT_DROPPED)
        return series_of(own, METRIC_COUNTER, REJECTED, line->name,
                         reject_reason_name((enum reject_reason)(at - AT_REJECTED)));
    return series_of(own, METRIC_COUNTER, DROPPED, line->name,
                     drop_reason_name((enum drop_reason)(at - AT_DROPPED)));
}

/* A listener that was not there in the look before had counted nothing then: so all of it counts,
 * from 0. What was there at the first look of all may have come at any time: it counts from what
 * the store says it was posted as, or not. */
static void post_totals(struct own_metrics *own, struct line *line)
{
    for (size_t i = 0; i < TOTALS; i++) {
        if (line->totals[i] == line->posted[i] && !line->is_new && !own->is_all)
            continue;
        uint32_t series = series_of_total(own, line, i);
        if (series == UINT32_MAX)
            continue;
        if (line->is_new && own->has_looked && line->totals[i] > 0)
            add_total(own, series, 0, own->now - 1);
        add_total(own, series, line->totals[i], own->now);
        line->posted[i] = line->totals[i];
    }
}

/* What counts since the listener was opened: less than before means that it was opened anew. */
static uint64_t since(uint64_t now, uint64_t *before)
{
    uint64_t by = now >= *before ? now - *before : now;

    *before = now;
    return by;
}

static void post_lines(struct own_metrics *own)
{
    bool is_all = own->is_all;

    for (size_t i = 0; i < own->line_count; i++) {
        struct line *line = &own->lines[i];
        post_totals(own, line);
        own->is_all = is_all || line->is_new;
        if (line->is_open) {
            post_increment(own, KERNEL_DROPS, line->name,
                           since(line->kernel_drops, &line->kernel_drops_posted));
            post_increment(own, DENIED, line->name, since(line->denied, &line->denied_posted));
        } else
            line->kernel_drops_posted = line->denied_posted = 0; /* the next one begins anew */
        own->is_all = is_all;
        line->is_new = false;
    }
}

/* --- the rest --- */

/* How long a quarter of an hour should have been closed already and is not: the writer, or what it
 * does in the background, is behind, or the clock is not trusted. */
static uint64_t closing_late(const struct read_txn *txn, wall_ms now)
{
    int64_t closed = parts_mark(txn, MARK_CLOSED);

    if (closed == INT64_MIN)
        return 0;
    wall_ms due = (closed + 15) * MS_PER_MINUTE + UPKEEP_LAG_MS;
    return now > due ? (uint64_t)(now - due) / MS_PER_SECOND : 0;
}

/* What the last post may have been refused itself is no reason for another one: each cell and point
 * of it once. */
static uint64_t by_others(const struct own_metrics *own, const struct own_count *count, uint64_t by)
{
    if (count->count != &counters.series_refused && count->count != &counters.samples_over_limit)
        return by;
    return by > own->posted_before ? by - own->posted_before : 0;
}

static void post_rest(struct own_metrics *own, struct read_txn *txn)
{
    struct store_usage usage;
    uint64_t late = closing_late(txn, own->now);

    for (size_t i = 0; i < COUNTER_COUNT; i++)
        post_increment(own, COUNTS[i].name, NULL,
                       by_others(own, &COUNTS[i], since(value_of(&COUNTS[i]), &own->counts[i])));
    for (size_t i = 0; i < GAUGE_COUNT; i++) {
        uint64_t level = value_of(&LEVELS[i]);
        post_level(own, LEVELS[i].name, level, level != own->levels[i]);
        own->levels[i] = level;
    }
    if (own->has_looked || late == 0) { /* a start closes what it has missed before the next look */
        post_level(own, CLOSING_LATE, late, late != own->closing_late);
        own->closing_late = late;
    }
    store_usage(txn, &usage);
    post_level(own, STORE_BYTES, usage.used_bytes, false); /* each post changes it */
}

struct delta *own_metrics_look(struct own_metrics *own, const struct own_listener *listeners,
                               size_t count, wall_ms now)
{
    struct error err = ERROR_EMPTY;
    struct read_txn *txn = read_txn_begin(own->store, &err);

    if (txn == NULL)
        return NULL;
    look_at_listeners(own, listeners, count);
    if (!query_ledgers(txn, on_ledger, own)) { /* a part of them says nothing of the others */
        read_txn_end(txn);
        return NULL;
    }
    own->delta = delta_new();
    own->now = now;
    own->is_all = !own->has_looked || now - own->all_at >= OWN_METRICS_ALL_MS || now < own->all_at;
    if (own->is_all)
        own->all_at = now;
    post_lines(own);
    post_rest(own, txn);
    read_txn_end(txn);
    own->has_looked = true;
    own->posted_before = own->delta->cell_count + own->delta->point_count;
    if (!delta_is_empty(own->delta))
        return own->delta;
    delta_free(own->delta);
    return NULL;
}
