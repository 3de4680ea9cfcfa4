#include "kpi/evaluator.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "kpi/coord_private.h"
#include "kpi/restater.h"
#include "store/record.h"

enum { MAILBOX_CAPACITY = 64, DUE_AT_ONCE = 32, TICK_S = 10 };

/* One evaluation of the configuration that waits for its turn. */
struct turn {
    const struct evaluation *evaluation;
    bool due;
    bool scheduled; /* its time came, rather than kpid's start or a reload */
};

struct evaluator {
    /* set once at start */
    struct store *store;
    struct coord *coord;
    struct thread *thread;
    int timer_fd;
    int done_fd; /* the writer's thread says here that the transition is done */
    struct event *timer_event;
    struct event *done_event;
    struct event *tick_event;
    struct event *again_event; /* there is more to look at */
    struct message start_message;
    bool started;

    /* written by the writer's thread before it writes to done_fd */
    struct error done_error;

    /* evaluator thread only */
    struct evaluator_config config;
    struct scheduler *scheduler;
    struct turn *turns;
    size_t turn_count;
    size_t next_turn; /* round robin */
    bool declare_due;
    struct restater *restater;
    bool under_way;    /* a transition is with the writer */
    bool is_restating; /* and it is the restater's */
    bool stopping;
    struct arena arena; /* of the transition under way */
    struct coord_run run;
    struct log_repeat read_failures;
    struct log_repeat transition_failures;
};

/* --- marks --- */

bool evaluator_mark(struct read_txn *txn, struct str schedule, wall_ms *last, wall_ms *next)
{
    struct str value;
    if (!record_get(txn, RECORD_SCHEDULE, schedule, &value))
        return false;
    struct reader reader = reader_of(value);
    *last = read_i64(&reader);
    *next = read_i64(&reader);
    return reader.ok;
}

wall_ms evaluator_declared_at(struct str metric, void *txn)
{
    struct str value;
    if (!record_get(txn, RECORD_DECLARED, declared_key(metric), &value))
        return WALL_NONE;
    struct reader reader = reader_of(value);
    wall_ms at = read_i64(&reader);
    return reader.ok ? at : WALL_NONE;
}

/* --- one transition at a time --- */

static void on_transition_done(const struct error *err, void *arg)
{
    struct evaluator *evaluator = arg;
    const uint64_t one = 1;

    evaluator->done_error.kind = ERROR_NONE;
    if (err != NULL)
        evaluator->done_error = *err;
    ssize_t put = write(evaluator->done_fd, &one, sizeof one);
    assert(put == (ssize_t)sizeof one);
    (void)put;
}

static void note_read_failure(struct evaluator *evaluator, const struct kpi *kpi,
                              const struct error *err)
{
    COUNTER_ADD(evaluation_errors, 1);
    log_repeated(&evaluator->read_failures, clock_mono(), "evaluation_failed", 1,
                 "%s%s%sreason=\"%s\"", kpi == NULL ? "" : "kpi=", kpi == NULL ? "" : kpi->id,
                 kpi == NULL ? "" : " ", err->text);
}

/* Metrics that are declared and have no note of since when; false when there are none. */
static bool start_declaring(struct evaluator *evaluator)
{
    struct error err = ERROR_EMPTY;
    const struct metric_table *metrics = evaluator->config.kpis->metrics;
    const struct table_entry *entry = NULL;
    size_t at = 0;
    size_t count = 0;
    size_t capacity = 0;
    struct str *missing = NULL;

    evaluator->declare_due = false;
    if (metrics == NULL)
        return false;
    struct read_txn *txn = read_txn_begin(evaluator->store, &err);
    if (txn == NULL) {
        note_read_failure(evaluator, NULL, &err);
        return false;
    }
    while ((entry = table_next(&metrics->by_name, &at)) != NULL) {
        if (evaluator_declared_at(entry->key, txn) != WALL_NONE)
            continue;
        missing = arena_grow(&evaluator->arena, missing, count, &capacity, sizeof *missing);
        missing[count++] = arena_str(&evaluator->arena, entry->key);
    }
    read_txn_end(txn);
    if (count == 0)
        return false;
    evaluator->under_way = true;
    coord_declare(evaluator->coord, missing, count, clock_wall(), on_transition_done, evaluator);
    return true;
}

static const struct scheduler_entry *find_entry(const struct evaluator *evaluator,
                                                const struct turn *turn)
{
    const struct scheduler_entry *entry = NULL;
    for (size_t i = 0; (entry = scheduler_entry_at(evaluator->scheduler, i)) != NULL; i++) {
        if (entry->owner == turn)
            return entry;
    }
    return NULL;
}

static void set_mark(struct evaluator *evaluator, const struct turn *turn, wall_ms now)
{
    const struct scheduler_entry *entry = find_entry(evaluator, turn);
    struct str id = str_of(turn->evaluation->schedule->id);
    evaluator->run.mark.schedule = arena_text(&evaluator->arena, id);
    evaluator->run.mark.last_run = turn->scheduled && entry != NULL ? entry->last_run : now;
    evaluator->run.mark.next_run = entry != NULL ? entry->next_run : WALL_NONE;
}

/* Evaluates all KPIs of a schedule, each on one snapshot; returns how many could be. */
static size_t evaluate_kpis(struct evaluator *evaluator, const struct evaluation *evaluation,
                            const struct kpi_inputs *inputs, struct kpi_status *statuses)
{
    size_t count = 0;
    for (size_t i = 0; i < evaluation->kpi_count; i++) {
        struct error err = ERROR_EMPTY;
        const struct kpi *kpi = evaluation->kpis[i];
        if (!read_txn_refresh(inputs->txn, &err)) {
            note_read_failure(evaluator, NULL, &err);
            break;
        }
        if (kpi_evaluate(kpi, inputs, &evaluator->arena, &statuses[count], &err)) {
            restater_look(evaluator->restater, kpi);
            count++;
        } else {
            note_read_failure(evaluator, kpi, &err);
        }
    }
    COUNTER_ADD(evaluations, count);
    return count;
}

/* False when the store cannot be read: then the schedule's next run tries again. */
static bool start_turn(struct evaluator *evaluator, struct turn *turn)
{
    struct error err = ERROR_EMPTY;
    const struct evaluation *evaluation = turn->evaluation;
    wall_ms now = clock_wall();

    turn->due = false;
    struct read_txn *txn = read_txn_begin(evaluator->store, &err);
    if (txn == NULL) {
        note_read_failure(evaluator, NULL, &err);
        return false;
    }
    struct kpi_inputs inputs = {txn, now, evaluator->config.kpis->metrics};
    struct kpi_status *statuses =
        arena_array(&evaluator->arena, evaluation->kpi_count, sizeof *statuses);
    evaluator->run = (struct coord_run){.statuses = statuses};
    evaluator->run.count = evaluate_kpis(evaluator, evaluation, &inputs, statuses);
    evaluator->run.now = now;
    read_txn_end(txn);
    set_mark(evaluator, turn, now);
    turn->scheduled = false;
    evaluator->under_way = true;
    coord_store(evaluator->coord, &evaluator->run, on_transition_done, evaluator);
    return true;
}

static void on_restater_failure(const struct kpi *kpi, const struct error *err, void *arg)
{
    note_read_failure(arg, kpi, err);
}

/* Looks at closed periods of KPIs that were evaluated, when no schedule waits. */
static void start_restating(struct evaluator *evaluator)
{
    static const struct timeval at_once = {0};
    const struct restater_step step = {.now = clock_wall(),
                                       .arena = &evaluator->arena,
                                       .on_failure = on_restater_failure,
                                       .arg = evaluator};

    if (!restater_has_work(evaluator->restater))
        return;
    if (!restater_step(evaluator->restater, &step, &evaluator->run)) {
        (void)event_add(evaluator->again_event, &at_once); /* what came meanwhile is first */
        return;
    }
    evaluator->under_way = true;
    evaluator->is_restating = true;
    coord_store(evaluator->coord, &evaluator->run, on_transition_done, evaluator);
}

/* Begins what is due next, unless a transition is under way: its end comes back here. */
static void start_next(struct evaluator *evaluator)
{
    if (evaluator->under_way || evaluator->stopping || !coord_may_evaluate(evaluator->coord))
        return;
    arena_reset(&evaluator->arena);
    if (evaluator->declare_due && start_declaring(evaluator))
        return;
    for (size_t i = 0; i < evaluator->turn_count; i++) {
        struct turn *turn = &evaluator->turns[evaluator->next_turn];
        evaluator->next_turn = (evaluator->next_turn + 1) % evaluator->turn_count;
        if (turn->due && start_turn(evaluator, turn))
            return;
    }
    start_restating(evaluator);
}

/* Takes the end of the transition from done_fd. */
static void finish_transition(struct evaluator *evaluator)
{
    uint64_t count = 0;
    if (read(evaluator->done_fd, &count, sizeof count) != (ssize_t)sizeof count)
        return;
    evaluator->under_way = false;
    if (evaluator->is_restating)
        restater_done(evaluator->restater, evaluator->done_error.kind == ERROR_NONE);
    evaluator->is_restating = false;
    if (evaluator->done_error.kind != ERROR_NONE)
        log_repeated(&evaluator->transition_failures, clock_mono(), "transition_failed", 1,
                     "reason=\"%s\"", evaluator->done_error.text);
}

static void on_done_readable(evutil_socket_t fd, short events, void *arg)
{
    struct evaluator *evaluator = arg;
    (void)fd;
    (void)events;
    finish_transition(evaluator);
    start_next(evaluator);
}

/* Waits here, outside the loop, since the caller must know that nothing of the old configuration is
 * read any more. */
static void settle_transition(struct evaluator *evaluator)
{
    struct pollfd done = {.fd = evaluator->done_fd, .events = POLLIN};
    mono_ms until = clock_mono() + EVALUATOR_PATIENCE_MS;

    while (evaluator->under_way) {
        mono_ms left = until - clock_mono();
        if (left <= 0) {
            coord_abandon(evaluator->coord);
            return;
        }
        if (poll(&done, 1, (int)left) > 0)
            finish_transition(evaluator);
    }
}

/* --- the schedule --- */

static void arm_timer(struct evaluator *evaluator)
{
    struct itimerspec when;
    wall_ms next = scheduler_next(evaluator->scheduler);

    memset(&when, 0, sizeof when); /* all zero disarms it */
    if (next != WALL_NONE) {
        when.it_value.tv_sec = next > 0 ? next / MS_PER_SECOND : 0;
        when.it_value.tv_nsec = next > 0 ? next % MS_PER_SECOND * 1000000 : 1;
    }
    int rc = timerfd_settime(evaluator->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
                             &when, NULL);
    assert(rc == 0);
    (void)rc;
}

static void take_due(struct evaluator *evaluator, wall_ms now)
{
    struct scheduler_entry *due[DUE_AT_ONCE];
    size_t count = 0;
    do {
        count = scheduler_take_due(evaluator->scheduler, now, due, DUE_AT_ONCE);
        for (size_t i = 0; i < count; i++) {
            struct turn *turn = due[i]->owner;
            turn->due = true;
            turn->scheduled = true;
        }
    } while (count == DUE_AT_ONCE);
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
    struct evaluator *evaluator = arg;
    uint64_t expirations = 0;
    wall_ms now = clock_wall();
    (void)events;

    if (read(fd, &expirations, sizeof expirations) < 0 && errno == ECANCELED)
        scheduler_replan(evaluator->scheduler, now); /* the clock was set */
    take_due(evaluator, now);
    arm_timer(evaluator);
    start_next(evaluator);
}

static void on_again(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    start_next(arg);
}

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
    struct evaluator *evaluator = arg;
    (void)fd;
    (void)events;
    log_repeat_tick(&evaluator->read_failures, clock_mono());
    log_repeat_tick(&evaluator->transition_failures, clock_mono());
}

/* --- configuration --- */

/* "every 10s" is also run at once, to catch up with the time kpid was down. What runs at set times
 * waits for them: nobody who asked for 9 o'clock is to be called at 3 because of a restart. */
static bool runs_at_start(const struct schedule *schedule)
{
    return schedule->kind == SCHEDULE_EVERY && schedule_is_steady(schedule);
}

/* Plans every schedule of the configuration from its stored mark. */
static bool plan(struct evaluator *evaluator, struct error *err)
{
    wall_ms now = clock_wall();
    const struct evaluator_config *config = &evaluator->config;
    struct read_txn *txn = read_txn_begin(evaluator->store, err);

    scheduler_free(evaluator->scheduler);
    free(evaluator->turns);
    evaluator->scheduler = scheduler_new();
    evaluator->turns = memory_zero(config->evaluation_count + 1, sizeof *evaluator->turns);
    evaluator->turn_count = config->evaluation_count;
    evaluator->next_turn = 0;
    evaluator->declare_due = true;
    restater_set_kpis(evaluator->restater, config->kpis);
    for (size_t i = 0; i < config->evaluation_count; i++) {
        const struct schedule *schedule = config->evaluations[i].schedule;
        struct turn *turn = &evaluator->turns[i];
        wall_ms last = WALL_NONE;
        wall_ms next = WALL_NONE;
        *turn =
            (struct turn){.evaluation = &config->evaluations[i], .due = runs_at_start(schedule)};
        if (txn == NULL || !evaluator_mark(txn, str_of(schedule->id), &last, &next))
            last = WALL_NONE;
        scheduler_add(evaluator->scheduler, schedule, turn, last, now);
    }
    read_txn_end(txn);
    return txn != NULL;
}

struct reload {
    struct evaluator *evaluator;
    const struct evaluator_config *config;
};

static void reload_on_thread(void *arg)
{
    struct reload *reload = arg;
    struct evaluator *evaluator = reload->evaluator;
    struct error err = ERROR_EMPTY;

    settle_transition(evaluator);
    evaluator->config = *reload->config;
    if (!plan(evaluator, &err)) /* it is planned all the same, without marks */
        note_read_failure(evaluator, NULL, &err);
    arm_timer(evaluator);
    start_next(evaluator);
}

void evaluator_reload(struct evaluator *evaluator, const struct evaluator_config *config)
{
    struct reload reload = {evaluator, config};
    if (evaluator->started)
        thread_call(evaluator->thread, reload_on_thread, &reload);
    else
        evaluator->config = *config;
}

/* --- life --- */

static struct event *add_event(struct evaluator *evaluator, int fd, event_callback_fn callback,
                               const struct timeval *every)
{
    short what = fd < 0 ? EV_PERSIST : EV_READ | EV_PERSIST;
    struct event *event = event_new(thread_base(evaluator->thread), fd, what, callback, evaluator);
    int rc = event == NULL ? -1 : event_add(event, every);
    assert(rc == 0);
    (void)rc;
    return event;
}

struct evaluator *evaluator_new(struct store *store, struct coord *coord,
                                const struct evaluator_config *config)
{
    const struct timeval tick = {.tv_sec = TICK_S};
    struct evaluator *evaluator = memory_zero(1, sizeof *evaluator);

    evaluator->store = store;
    evaluator->coord = coord;
    evaluator->config = *config;
    evaluator->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    evaluator->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(evaluator->timer_fd >= 0 && evaluator->done_fd >= 0);
    evaluator->thread = thread_new("evaluator", MAILBOX_CAPACITY, evaluator, NULL);
    evaluator->timer_event = add_event(evaluator, evaluator->timer_fd, on_timer, NULL);
    evaluator->done_event = add_event(evaluator, evaluator->done_fd, on_done_readable, NULL);
    evaluator->tick_event = add_event(evaluator, -1, on_tick, &tick);
    evaluator->again_event = evtimer_new(thread_base(evaluator->thread), on_again, evaluator);
    assert(evaluator->again_event != NULL);
    evaluator->restater = restater_new(store);
    return evaluator;
}

static void on_start(struct message *message, void *receiver)
{
    (void)message;
    start_next(receiver);
}

bool evaluator_start(struct evaluator *evaluator, struct error *err)
{
    if (!plan(evaluator, err))
        return false;
    arm_timer(evaluator);
    if (!thread_start(evaluator->thread, err))
        return false;
    evaluator->started = true;
    evaluator->start_message.on_message = on_start;
    mailbox_push_always(thread_mailbox(evaluator->thread), &evaluator->start_message);
    return true;
}

static void stop_on_thread(void *arg)
{
    struct evaluator *evaluator = arg;
    evaluator->stopping = true;
    settle_transition(evaluator);
}

void evaluator_stop(struct evaluator *evaluator)
{
    if (!evaluator->started)
        return;
    thread_call(evaluator->thread, stop_on_thread, evaluator);
    thread_stop(evaluator->thread);
    evaluator->started = false;
}

void evaluator_free(struct evaluator *evaluator)
{
    if (evaluator == NULL)
        return;
    evaluator_stop(evaluator);
    event_free(evaluator->timer_event);
    event_free(evaluator->done_event);
    event_free(evaluator->tick_event);
    event_free(evaluator->again_event);
    thread_free(evaluator->thread);
    (void)close(evaluator->timer_fd);
    (void)close(evaluator->done_fd);
    restater_free(evaluator->restater);
    scheduler_free(evaluator->scheduler);
    free(evaluator->turns);
    arena_fini(&evaluator->arena);
    free(evaluator);
}

struct thread *evaluator_thread(struct evaluator *evaluator)
{
    return evaluator->thread;
}
