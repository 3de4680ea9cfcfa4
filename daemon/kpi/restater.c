#include "kpi/restater.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/memory.h"
#include "kpi/evaluator.h"
#include "kpi/period_record.h"
#include "kpi/target.h"
#include "store/record.h"

enum {
    STEP_MS = 500,              /* how long a step begins with something else */
    SAVE_MARK_MS = MS_PER_HOUR, /* how old a mark may become where nothing else is stored */
};

#define KINDS (PERIOD_YEAR + 1)

/* What is known of a KPI's closed periods. */
struct watch {
    const struct kpi *kpi;
    bool is_due;
    bool is_loaded;
    bool has_mark;
    struct period_mark mark; /* `since` may be ahead of what is stored: nothing was found there */
    wall_ms stored_at;       /* WALL_NONE: not by this process */
    bool is_pending;         /* `pending` is with the writer */
    struct period_mark pending;
};

struct restater {
    struct store *store;
    const struct kpi_set *kpis;
    struct watch *watches; /* of all KPIs, in their order */
    size_t next;           /* round robin */
    size_t pending_restatements;
    wall_ms pending_at;
};

struct restater *restater_new(struct store *store)
{
    struct restater *restater = memory_zero(1, sizeof *restater);
    restater->store = store;
    return restater;
}

void restater_free(struct restater *restater)
{
    if (restater == NULL)
        return;
    free(restater->watches);
    free(restater);
}

static size_t count_of(const struct restater *restater)
{
    return restater->kpis == NULL ? 0 : restater->kpis->count;
}

void restater_set_kpis(struct restater *restater, const struct kpi_set *kpis)
{
    free(restater->watches);
    restater->kpis = kpis;
    restater->watches = memory_zero(kpis->count + 1, sizeof *restater->watches);
    restater->next = 0;
    restater->pending_restatements = 0;
    for (size_t i = 0; i < kpis->count; i++)
        restater->watches[i] = (struct watch){.kpi = &kpis->kpis[i], .stored_at = WALL_NONE};
}

void restater_look(struct restater *restater, const struct kpi *kpi)
{
    const struct kpi *first = restater->kpis == NULL ? NULL : restater->kpis->kpis;

    if (kpi >= first && kpi < first + count_of(restater))
        restater->watches[kpi - first].is_due = kpi_is_judged(kpi);
}

bool restater_has_work(const struct restater *restater)
{
    for (size_t i = 0; i < count_of(restater); i++) {
        if (restater->watches[i].is_due)
            return true;
    }
    return false;
}

/* --- a step --- */

/* Growing lists of what is to be stored. */
struct stepping {
    const struct restater_step *step;
    const struct metric_table *metrics;
    struct read_txn *txn;
    struct arena scratch;       /* of one KPI */
    struct arena figures_arena; /* of one figure */
    wall_ms now;                /* by which periods close */
    mono_ms until;              /* nothing else is begun after that */
    size_t figures_left;
    struct kpi_restatement *restatements;
    size_t restatement_count, restatement_capacity;
    struct coord_figure *figures;
    size_t figure_count, figure_capacity;
    bool has_oldest; /* `oldest` is of changes since `oldest_since` in this snapshot */
    uint64_t oldest_since;
    wall_ms oldest;
};

static void add_figure(struct stepping *stepping, struct str key, struct str value)
{
    struct arena *arena = stepping->step->arena;

    stepping->figures = arena_grow(arena, stepping->figures, stepping->figure_count,
                                   &stepping->figure_capacity, sizeof *stepping->figures);
    stepping->figures[stepping->figure_count++] = (struct coord_figure){key, value};
}

static bool is_of_kind(const struct kpi *kpi, enum period_kind kind)
{
    if (kpi->period == kind)
        return true;
    for (size_t i = 0; i < kpi->target_count; i++) {
        const struct target *target = &kpi->targets[i];
        if (target->every == kind && !target->retired && target->not_built == NULL)
            return true;
    }
    return false;
}

static struct period newest_settled(const struct kpi *kpi, enum period_kind kind, wall_ms now)
{
    struct period period = calendar_period(kpi->calendar, kind, now - kpi->settle);

    while (now < target_settled_at(kpi, period.to))
        period = calendar_previous(kpi->calendar, &period);
    return period;
}

/* --- the figure of a closed period --- */

static void judge(const struct kpi *kpi, const struct target_period *closed, wall_ms now,
                  struct arena *arena, struct period_record *out)
{
    struct period_verdict *verdicts = arena_array(arena, kpi->target_count, sizeof *verdicts);

    out->verdicts = verdicts;
    for (size_t i = 0; i < kpi->target_count; i++) {
        const struct target *target = &kpi->targets[i];
        if (target->every != closed->period.kind || target->retired || target->not_built != NULL)
            continue;
        verdicts[out->verdict_count++] =
            (struct period_verdict){str_of(target->id), period_target_fingerprint(kpi, target),
                                    target_judge_closed(kpi, target, closed, now)};
    }
}

/* As it is now; the record is in the scratch arena. */
static bool compute(struct stepping *stepping, const struct kpi *kpi, const struct period *period,
                    struct period_record *out, struct error *err)
{
    const struct kpi_inputs inputs = {stepping->txn, stepping->now, stepping->metrics};
    struct target_period closed = {.period = *period};

    assert(stepping->figures_left > 0);
    stepping->figures_left--;
    arena_reset(&stepping->figures_arena);
    if (!kpi_figure(&kpi->formula, period, &inputs, &stepping->figures_arena, &closed.figure, err))
        return false;
    *out = (struct period_record){.to = period->to,
                                  .is_null = closed.figure.is_null,
                                  .is_partial = closed.figure.partial,
                                  .reason = closed.figure.is_null ? closed.figure.reason : NULL_NOT,
                                  .value = closed.figure.value,
                                  .fingerprint = period_fingerprint(kpi, stepping->metrics),
                                  .commit = store_commit_number(stepping->txn),
                                  .at = stepping->step->now};
    judge(kpi, &closed, stepping->now, &stepping->scratch, out);
    return true;
}

static void keep(struct stepping *stepping, const struct kpi *kpi, const struct period *period,
                 const struct period_record *record)
{
    struct arena *arena = stepping->step->arena;

    add_figure(stepping, period_key(str_of(kpi->id), period->kind, period->from, arena),
               period_record_encode(record, arena));
}

/* --- periods that have closed --- */

static span_ms usual_length(enum period_kind kind)
{
    static const int days[KINDS] = {
        [PERIOD_DAY] = 1,      [PERIOD_WEEK] = 7,   [PERIOD_MONTH] = 30,
        [PERIOD_QUARTER] = 91, [PERIOD_HALF] = 182, [PERIOD_YEAR] = 365,
    };

    if (kind == PERIOD_MINUTE)
        return MS_PER_MINUTE;
    return kind == PERIOD_HOUR ? MS_PER_HOUR : days[kind] * (span_ms)MS_PER_DAY;
}

struct trimming {
    struct stepping *stepping;
    wall_ms before;
};

static bool trim(struct str key, struct str value, void *arg)
{
    const struct trimming *trimming = arg;
    wall_ms from = 0;
    (void)value;

    if (period_key_from(key, &from) && from >= trimming->before)
        return false;
    add_figure(trimming->stepping, arena_str(trimming->stepping->step->arena, key), STR_EMPTY);
    return true;
}

/* The first period that is not recorded yet; the newest one where none is. */
static struct period first_unrecorded(struct stepping *stepping, const struct kpi *kpi,
                                      const struct period *newest, struct str prefix)
{
    struct period_record record;
    struct str key;
    struct str value;

    if (!record_last(stepping->txn, RECORD_FIGURE, prefix, &key, &value) ||
        !period_record_decode(value, &stepping->scratch, &record))
        return *newest;
    wall_ms oldest = newest->from - (RESTATER_KEPT - 1) * usual_length(newest->kind);
    return calendar_period(kpi->calendar, newest->kind, record.to > oldest ? record.to : oldest);
}

/* Records what has closed since; `*all` false: as far as the step goes. */
static bool record_closed(struct stepping *stepping, const struct kpi *kpi, enum period_kind kind,
                          bool *all, struct error *err)
{
    struct period newest = newest_settled(kpi, kind, stepping->now);
    struct str prefix = period_key_prefix(str_of(kpi->id), kind, &stepping->scratch);
    struct period next = first_unrecorded(stepping, kpi, &newest, prefix);
    struct trimming trimming = {stepping, newest.from - RESTATER_KEPT * usual_length(kind)};

    if (next.from > newest.from)
        return true;
    record_scan(stepping->txn, RECORD_FIGURE, prefix, trim, &trimming);
    for (; next.from <= newest.from; next = calendar_next(kpi->calendar, &next)) {
        struct period_record record;
        *all = stepping->figures_left > 0;
        if (!*all)
            return true;
        if (!compute(stepping, kpi, &next, &record, err))
            return false;
        keep(stepping, kpi, &next, &record);
    }
    return true;
}

/* --- which of them have changed --- */

struct recorded {
    wall_ms from, to;
    bool is_doubtful; /* what it says depends on when the metric was seen first (FIG-11, FIG-17) */
    bool is_changed;
};

/* The recorded periods of one kind, in order, and what is asked of some of them. */
struct recall {
    struct stepping *stepping;
    const struct kpi *kpi;
    enum period_kind kind;
    uint64_t since;
    wall_ms closed_at;
    struct recorded *items;
    size_t count, capacity;
    size_t first, end; /* those that are asked for now */
};

static bool recall_record(struct str key, struct str value, void *arg)
{
    struct recall *recall = arg;
    struct arena *arena = &recall->stepping->scratch;
    struct period_record record;
    struct recorded item = {0};

    if (!period_key_from(key, &item.from) || !period_record_decode(value, arena, &record))
        return true;
    item.to = record.to;
    item.is_doubtful = record.is_partial ||
                       (record.is_null &&
                        (record.reason == NULL_NEVER_SEEN || record.reason == NULL_BEFORE_FIRST));
    recall->items =
        arena_grow(arena, recall->items, recall->count, &recall->capacity, sizeof *recall->items);
    recall->items[recall->count++] = item;
    return true;
}

static bool note_changed(const struct period *period, void *arg)
{
    struct recall *recall = arg;
    size_t low = recall->first;
    size_t high = recall->end;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (recall->items[middle].from < period->from)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < recall->end && recall->items[low].from == period->from)
        recall->items[low].is_changed = true;
    return true;
}

/* For how long a sample of the metric tells on what comes after it: a level stands (FIG-13). */
static span_ms reach_of(const struct recall *recall, const struct formula_node *call,
                        enum metric_kind kind)
{
    const struct metric_definition *metric =
        metric_find(recall->stepping->metrics, call->selector.metric);
    span_ms period = usual_length(recall->kind) + usual_length(recall->kind) / 10;

    if (kind != METRIC_GAUGE && kind != METRIC_UNTYPED)
        return 0;
    if (metric != NULL && metric->stale_after > 0)
        return metric->stale_after;
    return period > MS_PER_DAY ? period : MS_PER_DAY;
}

/* Notes in which of the periods the samples of one metric and kind have changed. */
static bool recall_series(struct recall *recall, const struct formula_node *call,
                          enum metric_kind kind, struct error *err)
{
    struct stepping *stepping = recall->stepping;
    struct query_series *series = NULL;
    struct selector selector = call->selector;
    size_t count = 0;

    selector.kind = kind;
    arena_reset(&stepping->figures_arena);
    if (!query_series(stepping->txn, &selector, &stepping->figures_arena, &series, &count, err))
        return false;
    if (count == 0)
        return true;
    const struct query_periods periods = {recall->kpi->calendar, recall->kind, recall->closed_at,
                                          reach_of(recall, call, kind)};
    struct query_changes changes = {.series = series,
                                    .series_count = count,
                                    .since = recall->since,
                                    .to = recall->items[recall->end - 1].to};
    if (__builtin_sub_overflow(recall->items[recall->first].from, periods.reach, &changes.from))
        changes.from = INT64_MIN;
    return query_changed_periods(stepping->txn, &changes, &periods, note_changed, recall, err);
}

/* The same of all metrics of a formula. */
static bool recall_calls(struct recall *recall, const struct formula_node *node, struct error *err)
{
    struct metric_facts facts;

    if (node == NULL)
        return true;
    if (node->op == FORMULA_CALL) {
        query_metric(recall->stepping->txn, node->selector.metric, &facts);
        for (unsigned kind = 1; kind <= METRIC_KIND_MAX; kind++) {
            if ((facts.kinds & (1U << kind)) != 0 &&
                !recall_series(recall, node, (enum metric_kind)kind, err))
                return false;
        }
    }
    return recall_calls(recall, node->left, err) && recall_calls(recall, node->right, err);
}

/* --- what has become of them --- */

/* As a person reads it: what differs by less is no news. */
static bool looks_the_same(const struct kpi *kpi, const struct period_record *old,
                           const struct period_record *new)
{
    char was[UNIT_TEXT_SIZE];
    char is[UNIT_TEXT_SIZE];

    if (old->is_null || new->is_null)
        return old->is_null == new->is_null;
    return strcmp(unit_format(&kpi->unit, old->value, NAN, was),
                  unit_format(&kpi->unit, new->value, NAN, is)) == 0;
}

static const struct period_verdict *find_verdict(const struct period_record *record,
                                                 const struct period_verdict *of)
{
    for (size_t i = 0; i < record->verdict_count; i++) {
        if (str_equal(record->verdicts[i].target, of->target) &&
            record->verdicts[i].fingerprint == of->fingerprint)
            return &record->verdicts[i];
    }
    return NULL;
}

static const struct target *find_target(const struct kpi *kpi, struct str id)
{
    for (size_t i = 0; i < kpi->target_count; i++) {
        if (str_is(id, kpi->targets[i].id))
            return &kpi->targets[i];
    }
    return NULL;
}

/* The verdict that is told: one that has changed before others, then the worse one. A target that
 * asks for something else than it did has no verdict of before. `*changed`: it is another one. */
static void choose_verdict(const struct period_record *old, const struct period_record *new,
                           struct kpi_restatement *out, bool *changed)
{
    *changed = false;
    out->old_code = KPI_NO_TARGET;
    out->new_code = KPI_NO_TARGET;
    for (size_t i = 0; i < new->verdict_count; i++) {
        const struct period_verdict *now = &new->verdicts[i];
        const struct period_verdict *before = find_verdict(old, now);
        if (before == NULL)
            continue;
        bool is_other = before->code != now->code;
        bool is_better = out->target == NULL || (is_other && !*changed) ||
                         (is_other == *changed && now->code > out->new_code);
        if (!is_better)
            continue;
        *changed = is_other;
        out->target = find_target(out->kpi, now->target);
        out->old_code = before->code;
        out->new_code = now->code;
    }
}

static double value_of(const struct period_record *record)
{
    return record->is_null ? NAN : record->value;
}

/* Computes a recorded period anew, and takes note of what it has become. */
static bool restate(struct recall *recall, const struct recorded *item, struct error *err)
{
    struct stepping *stepping = recall->stepping;
    const struct kpi *kpi = recall->kpi;
    struct arena *arena = stepping->step->arena;
    const struct period period = calendar_period(kpi->calendar, recall->kind, item->from);
    struct period_record old;
    struct period_record new;
    struct str value;
    bool turned = false;

    struct str key = period_key(str_of(kpi->id), recall->kind, item->from, &stepping->scratch);
    if (period.from != item->from || period.to != item->to || /* of another zone */
        !record_get(stepping->txn, RECORD_FIGURE, key, &value) ||
        !period_record_decode(value, &stepping->scratch, &old))
        return true;
    if (!compute(stepping, kpi, &period, &new, err))
        return false;
    if (old.fingerprint != new.fingerprint) { /* another formula: nothing to compare it with */
        keep(stepping, kpi, &period, &new);
        return true;
    }
    struct kpi_restatement restatement = {.kpi = kpi,
                                          .period = period,
                                          .at = stepping->step->now,
                                          .old_value = value_of(&old),
                                          .new_value = value_of(&new),
                                          .is_newest = period.to == recall->closed_at};
    choose_verdict(&old, &new, &restatement, &turned);
    if (!turned && looks_the_same(kpi, &old, &new))
        return true; /* and it is compared with what was said, however often it changes by little */
    keep(stepping, kpi, &period, &new);
    stepping->restatements =
        arena_grow(arena, stepping->restatements, stepping->restatement_count,
                   &stepping->restatement_capacity, sizeof *stepping->restatements);
    stepping->restatements[stepping->restatement_count++] = restatement;
    return true;
}

/* --- a look at one KPI --- */

static bool find_oldest(struct stepping *stepping, uint64_t since, struct error *err)
{
    if (stepping->has_oldest && stepping->oldest_since == since)
        return true;
    stepping->oldest_since = since;
    stepping->has_oldest = query_oldest_change(stepping->txn, since, &stepping->oldest, err);
    return stepping->has_oldest;
}

/* Some periods of the look. `*all` false: the step is over, and the mark is at the next one. */
static bool look_at_some(struct recall *recall, struct period_mark *mark, bool *all,
                         struct error *err)
{
    struct stepping *stepping = recall->stepping;

    if (!recall_calls(recall, recall->kpi->formula.root, err))
        return false;
    for (size_t i = recall->first; i < recall->end; i++) {
        const struct recorded *item = &recall->items[i];
        if (!item->is_changed && !item->is_doubtful)
            continue;
        mark->next = item->from;
        *all = stepping->figures_left > 0;
        if (!*all)
            return true;
        if (!restate(recall, item, err))
            return false;
    }
    return true;
}

/* All recorded periods of a kind that something has happened in or before, some at a time: what is
 * read to find those that have changed is about what their figures are made of. */
static bool look_at_kind(struct recall *recall, struct period_mark *mark, bool *all,
                         struct error *err)
{
    struct stepping *stepping = recall->stepping;
    struct str prefix =
        period_key_prefix(str_of(recall->kpi->id), recall->kind, &stepping->scratch);

    record_scan(stepping->txn, RECORD_FIGURE, prefix, recall_record, recall);
    for (size_t i = 0; i < recall->count && *all; i = recall->end) {
        const struct recorded *item = &recall->items[i];
        recall->first = i;
        recall->end = i + 1;
        if (item->to <= stepping->oldest || item->from < mark->next)
            continue;
        mark->next = item->from;
        *all = clock_mono() < stepping->until;
        recall->end = recall->count - i < RESTATER_FIGURES ? recall->count : i + RESTATER_FIGURES;
        if (*all && !look_at_some(recall, mark, all, err))
            return false;
    }
    return true;
}

/* Goes on with the look that the mark is at; its `until` is 0 when all was looked at. */
static bool look_back(struct stepping *stepping, const struct kpi *kpi, struct period_mark *mark,
                      struct error *err)
{
    bool all = true;

    if (!find_oldest(stepping, mark->since, err))
        return false;
    for (; mark->kind < KINDS; mark->kind++, mark->next = INT64_MIN) {
        struct recall recall = {
            .stepping = stepping, .kpi = kpi, .kind = mark->kind, .since = mark->since};
        if (!is_of_kind(kpi, mark->kind))
            continue;
        recall.closed_at = newest_settled(kpi, mark->kind, stepping->now).to;
        if (!look_at_kind(&recall, mark, &all, err))
            return false;
        if (!all)
            return true;
    }
    *mark = (struct period_mark){.since = mark->until};
    return true;
}

/* Whether there may be something to find, and the mark where it begins. */
static bool begin_look(struct stepping *stepping, const struct kpi *kpi, struct period_mark *mark,
                       struct error *err)
{
    uint64_t commit = store_commit_number(stepping->txn);
    wall_ms closed_at = INT64_MIN;

    if (mark->until != 0 || commit <= mark->since)
        return true;
    if (!find_oldest(stepping, mark->since, err))
        return false;
    for (int kind = 0; kind < KINDS; kind++) {
        if (!is_of_kind(kpi, (enum period_kind)kind))
            continue;
        struct period newest = newest_settled(kpi, (enum period_kind)kind, stepping->now);
        closed_at = newest.to > closed_at ? newest.to : closed_at;
    }
    if (stepping->oldest >= closed_at)
        mark->since = commit; /* all of it is of the open periods */
    else
        *mark = (struct period_mark){mark->since, commit, PERIOD_MINUTE, INT64_MIN};
    return true;
}

static void load_mark(struct stepping *stepping, struct watch *watch)
{
    struct str value;
    struct str key = period_mark_key(str_of(watch->kpi->id), &stepping->scratch);

    if (watch->is_loaded)
        return;
    watch->is_loaded = true;
    watch->has_mark = record_get(stepping->txn, RECORD_FIGURE, key, &value) &&
                      period_mark_decode(value, &watch->mark);
    if (!watch->has_mark)
        watch->mark = (struct period_mark){.since = store_commit_number(stepping->txn)};
}

static bool record_all(struct stepping *stepping, const struct kpi *kpi, bool *all,
                       struct error *err)
{
    *all = true;
    for (int kind = 0; kind < KINDS && *all; kind++) {
        if (is_of_kind(kpi, (enum period_kind)kind) &&
            !record_closed(stepping, kpi, (enum period_kind)kind, all, err))
            return false;
    }
    return true;
}

static void put_mark(struct stepping *stepping, struct watch *watch, const struct period_mark *mark)
{
    struct arena *arena = stepping->step->arena;

    add_figure(stepping, period_mark_key(str_of(watch->kpi->id), arena),
               period_mark_encode(mark, arena));
    watch->pending = *mark;
    watch->is_pending = true;
}

/* It is what the next look goes from. */
static void hold_mark(struct watch *watch, const struct period_mark *mark)
{
    watch->mark = *mark;
    if (!watch->is_due)
        COUNTER_ADD(period_looks, 1);
}

static bool look(struct stepping *stepping, struct watch *watch, struct error *err)
{
    size_t before = stepping->figure_count;
    bool all = false;

    load_mark(stepping, watch);
    struct period_mark mark = watch->mark;
    if (!record_all(stepping, watch->kpi, &all, err))
        return false;
    if (all && watch->has_mark) {
        if (!begin_look(stepping, watch->kpi, &mark, err) ||
            (mark.until != 0 && !look_back(stepping, watch->kpi, &mark, err)))
            return false;
    }
    /* A look of several steps ends with what was there when it began. */
    watch->is_due = !all || mark.until != 0 || mark.since < store_commit_number(stepping->txn);
    bool is_old = watch->stored_at == WALL_NONE ||
                  stepping->step->now - watch->stored_at >= SAVE_MARK_MS ||
                  stepping->step->now < watch->stored_at;
    bool was_under_way = watch->mark.until != 0;
    if (!watch->has_mark || was_under_way || mark.until != 0 || stepping->figure_count > before ||
        (is_old && mark.since != watch->mark.since))
        put_mark(stepping, watch, &mark);
    else
        hold_mark(watch, &mark);
    return true;
}

/* --- all of them --- */

static wall_ms closing_time(struct read_txn *txn, wall_ms now)
{
    wall_ms guarded = store_time(txn);
    return guarded != WALL_NONE && guarded < now ? guarded : now;
}

/* What a KPI that cannot be read has added is left out. */
static void look_at(struct stepping *stepping, struct watch *watch)
{
    struct error err = ERROR_EMPTY;
    size_t figures = stepping->figure_count;
    size_t restatements = stepping->restatement_count;

    if (look(stepping, watch, &err))
        return;
    stepping->figure_count = figures;
    stepping->restatement_count = restatements;
    watch->is_due = false;
    stepping->step->on_failure(watch->kpi, &err, stepping->step->arg);
}

/* The store cannot be read: all come again with their schedules. */
static void give_up(struct restater *restater, const struct restater_step *step,
                    const struct error *err)
{
    for (size_t i = 0; i < count_of(restater); i++)
        restater->watches[i].is_due = false;
    step->on_failure(NULL, err, step->arg);
}

static bool refresh(struct stepping *stepping, struct error *err)
{
    uint64_t commit = store_commit_number(stepping->txn);

    if (!read_txn_refresh(stepping->txn, err))
        return false;
    stepping->has_oldest = stepping->has_oldest && store_commit_number(stepping->txn) == commit;
    return true;
}

static void look_at_all(struct restater *restater, struct stepping *stepping)
{
    struct error err = ERROR_EMPTY;
    size_t count = count_of(restater);

    for (size_t i = 0; i < count && stepping->figures_left > 0 && clock_mono() < stepping->until;
         i++) {
        struct watch *watch = &restater->watches[restater->next];
        restater->next = (restater->next + 1) % count;
        if (!watch->is_due)
            continue;
        if (!refresh(stepping, &err)) {
            give_up(restater, stepping->step, &err);
            return;
        }
        look_at(stepping, watch);
        arena_reset(&stepping->scratch);
    }
}

bool restater_step(struct restater *restater, const struct restater_step *step,
                   struct coord_run *out)
{
    struct error err = ERROR_EMPTY;
    struct stepping stepping = {.step = step,
                                .metrics = restater->kpis == NULL ? NULL : restater->kpis->metrics,
                                .figures_left = RESTATER_FIGURES};

    *out = (struct coord_run){.now = step->now};
    stepping.txn = read_txn_begin(restater->store, &err);
    if (stepping.txn == NULL) {
        give_up(restater, step, &err);
        return false;
    }
    stepping.now = closing_time(stepping.txn, step->now);
    stepping.until = clock_mono() + STEP_MS;
    look_at_all(restater, &stepping);
    read_txn_end(stepping.txn);
    arena_fini(&stepping.scratch);
    arena_fini(&stepping.figures_arena);
    out->restatements = stepping.restatements;
    out->restatement_count = stepping.restatement_count;
    out->figures = stepping.figures;
    out->figure_count = stepping.figure_count;
    restater->pending_restatements = stepping.restatement_count;
    restater->pending_at = step->now;
    return stepping.figure_count > 0;
}

void restater_done(struct restater *restater, bool is_stored)
{
    if (is_stored)
        COUNTER_ADD(periods_restated, restater->pending_restatements);
    restater->pending_restatements = 0;
    for (size_t i = 0; i < count_of(restater); i++) {
        struct watch *watch = &restater->watches[i];
        if (!watch->is_pending)
            continue;
        watch->is_pending = false;
        watch->is_loaded = is_stored; /* else what is stored says it */
        if (!is_stored) {
            watch->is_due = false; /* its next evaluation tries again */
            continue;
        }
        hold_mark(watch, &watch->pending);
        watch->has_mark = true;
        watch->stored_at = restater->pending_at;
    }
}
