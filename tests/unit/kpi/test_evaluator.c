/* The evaluator on its own thread with a real writer; the tests wait for what it hands on. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "base/counters.h"
#include "kpi/evaluator.h"
#include "kpi_fixture.h"

enum { PATIENCE_MS = 20000 };

/* What a fake alert engine got of the schedules' runs; what the restater found is not counted. */
struct heard {
    int fd;            /* one count for each committed transition */
    _Atomic int runs;  /* of apply */
    _Atomic int fails; /* how many more runs fail */
    _Atomic int last_count;
    _Atomic int last_code;
    _Atomic(const struct kpi *) last_kpi;
    bool is_restating; /* of the one under way; on the writer's thread */
};

static bool on_apply(struct write_txn *txn, const struct coord_run *run, void *arg,
                     struct error *err)
{
    struct heard *heard = arg;
    size_t count = run->count;
    (void)txn;
    assert_true(run->now > 0);
    heard->is_restating = run->mark.schedule == NULL;
    if (heard->is_restating) {
        assert_int_equal(count, 0);
        return true;
    }
    atomic_fetch_add(&heard->runs, 1);
    if (atomic_load(&heard->fails) > 0) {
        atomic_fetch_sub(&heard->fails, 1);
        return error_set(err, ERROR_CONFLICT, "the engine does not like it");
    }
    atomic_store(&heard->last_count, (int)count);
    if (count > 0) {
        atomic_store(&heard->last_code, (int)run->statuses[count - 1].code);
        atomic_store(&heard->last_kpi, run->statuses[count - 1].kpi);
    }
    return true;
}

static void on_committed(void *arg)
{
    struct heard *heard = arg;
    const uint64_t one = 1;
    bool is_restating = heard->is_restating;

    heard->is_restating = false;
    if (!is_restating)
        assert_int_equal(write(heard->fd, &one, sizeof one), sizeof one);
}

static void wait_for_commit(struct heard *heard)
{
    struct pollfd commit = {.fd = heard->fd, .events = POLLIN};
    uint64_t count = 0;
    assert_int_equal(poll(&commit, 1, PATIENCE_MS), 1);
    assert_int_equal(read(heard->fd, &count, sizeof count), sizeof count);
}

struct stage {
    struct scene *scene;
    struct heard heard;
    struct coord *coord;
    struct evaluator *evaluator;
    struct kpi kpis[2];
    struct kpi_set set;
    const struct kpi *pointers[2];
    struct schedule schedules[2];
    struct evaluation evaluations[2];
    struct evaluator_config config;
};

static void define(struct stage *stage, size_t i, const char *id, const char *value,
                   const char *schedule)
{
    struct scene *scene = stage->scene;
    struct error err = ERROR_EMPTY;
    struct kpi *kpi = &stage->kpis[i];
    kpi->id = id;
    kpi->title = id;
    kpi->formula = parse(scene, value);
    assert_true(unit_parse(STR_EMPTY, &kpi->unit));
    kpi->period = PERIOD_DAY;
    kpi->calendar = scene->berlin;
    kpi->min_denominator = 1;
    kpi->min_count = 1;
    stage->pointers[i] = kpi;
    if (!schedule_parse(str_of(schedule), scene->berlin, &scene->arena, &stage->schedules[i], &err))
        fail_msg("%s", err.text);
    stage->schedules[i].id = id;
    stage->evaluations[i] = (struct evaluation){&stage->schedules[i],
                                                (const struct kpi *const *)&stage->pointers[i], 1};
}

/* The writer's thread does not run: nothing is committed until the test drains its mailbox. */
static int stuck_setup(void **state)
{
    struct stage *stage = memory_zero(1, sizeof *stage);
    void *scene = NULL;
    assert_int_equal(scene_setup(&scene), 0);
    stage->scene = scene;
    stage->heard.fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    assert_true(stage->heard.fd >= 0);
    stage->coord =
        coord_new_local(stage->scene->store->writer, on_apply, on_committed, &stage->heard);
    assert_true(coord_may_evaluate(stage->coord));
    define(stage, 0, "signups", "sum(signup)", "every 23h");
    define(stage, 1, "stock", "last(stock)", "every 23h");
    stage->set = (struct kpi_set){stage->kpis, 2, &stage->scene->metrics};
    stage->config = (struct evaluator_config){&stage->set, stage->evaluations, 2};
    *state = stage;
    return 0;
}

static int stage_setup(void **state)
{
    struct error err = ERROR_EMPTY;
    assert_int_equal(stuck_setup(state), 0);
    struct stage *stage = *state;
    if (!writer_start(stage->scene->store->writer, &err))
        fail_msg("%s", err.text);
    return 0;
}

static void start(struct stage *stage)
{
    struct error err = ERROR_EMPTY;
    stage->evaluator = evaluator_new(stage->scene->store->store, stage->coord, &stage->config);
    if (!evaluator_start(stage->evaluator, &err))
        fail_msg("%s", err.text);
}

static void stop(struct stage *stage)
{
    evaluator_stop(stage->evaluator);
    writer_stop(stage->scene->store->writer);
    evaluator_free(stage->evaluator);
    stage->evaluator = NULL;
}

static int stage_teardown(void **state)
{
    struct stage *stage = *state;
    void *scene = stage->scene;
    if (stage->evaluator != NULL)
        stop(stage);
    writer_stop(stage->scene->store->writer);
    coord_free(stage->coord);
    (void)close(stage->heard.fd);
    assert_int_equal(scene_teardown(&scene), 0);
    free(stage);
    return 0;
}

#define STAGE_TEST(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)

static bool read_mark(struct stage *stage, const char *schedule, wall_ms *last, wall_ms *next)
{
    struct read_txn *txn = read_begin(stage->scene->store);
    bool found = evaluator_mark(txn, str_of(schedule), last, next);
    read_txn_end(txn);
    return found;
}

static void schedules_of_short_intervals_run_once_at_start(void **state)
{
    struct stage *stage = *state;
    wall_ms before = clock_wall();
    wall_ms last = 0;
    wall_ms next = 0;
    uint64_t evaluated = COUNTER_GET(evaluations);
    start(stage);
    wait_for_commit(&stage->heard);
    wait_for_commit(&stage->heard);
    stop(stage);
    assert_int_equal(atomic_load(&stage->heard.runs), 2);
    assert_int_equal(COUNTER_GET(evaluations) - evaluated, 2);
    assert_int_equal(atomic_load(&stage->heard.last_count), 1);
    assert_int_equal(atomic_load(&stage->heard.last_code), KPI_NO_TARGET);
    static const char *const SCHEDULES[] = {"signups", "stock"};
    for (size_t i = 0; i < TEST_COUNT(SCHEDULES); i++) {
        assert_true(read_mark(stage, SCHEDULES[i], &last, &next));
        assert_true(last >= before && last <= clock_wall());
        assert_true(next == schedule_next(&stage->schedules[i], last));
    }
    assert_false(read_mark(stage, "other", &last, &next));
}

/* A restart at night must not call those who asked to be called at 9. */
static void schedules_of_set_times_wait_for_them(void **state)
{
    struct stage *stage = *state;
    wall_ms last = 0;
    wall_ms next = 0;
    define(stage, 0, "signups", "sum(signup)", "0 0 1 1 *");
    start(stage);
    wait_for_commit(&stage->heard); /* of the other one, which comes later */
    evaluator_reload(stage->evaluator, &stage->config);
    wait_for_commit(&stage->heard);
    stop(stage);
    assert_int_equal(atomic_load(&stage->heard.runs), 2);
    assert_false(read_mark(stage, "signups", &last, &next));
    assert_true(read_mark(stage, "stock", &last, &next));
}

static void a_schedule_runs_again_when_its_time_comes(void **state)
{
    struct stage *stage = *state;
    wall_ms last = 0;
    wall_ms next = 0;
    stage->config.evaluation_count = 1;
    define(stage, 0, "signups", "sum(signup)", "every 1s");
    start(stage);
    wait_for_commit(&stage->heard); /* the start */
    wait_for_commit(&stage->heard);
    wait_for_commit(&stage->heard);
    stop(stage);
    assert_true(read_mark(stage, "signups", &last, &next));
    assert_true(last % MS_PER_SECOND == 0); /* the time that was due, not when it ran */
    assert_true(next > last && next % MS_PER_SECOND == 0);
}

static void newly_declared_metrics_are_noted_once(void **state) /* FIG-11 */
{
    struct stage *stage = *state;
    wall_ms before = clock_wall();
    declare(stage->scene, "refund", METRIC_COUNTER, NULL);
    start(stage);
    for (int i = 0; i < 3; i++) /* the note, then two schedules */
        wait_for_commit(&stage->heard);
    struct read_txn *txn = read_begin(stage->scene->store);
    wall_ms first = evaluator_declared_at(STR("refund"), txn);
    read_txn_end(txn);
    assert_true(first >= before && first <= clock_wall());

    /* As a reload brings it: a table of its own, for the old one may be in use. */
    struct metric_definition metrics[] = {{.name = "refund"}, {.name = "return"}};
    struct metric_table reloaded = {.by_name = TABLE_EMPTY};
    for (size_t i = 0; i < TEST_COUNT(metrics); i++)
        assert_true(table_add(&reloaded.by_name, str_of(metrics[i].name), &metrics[i]));
    struct kpi_set set = {stage->kpis, 2, &reloaded};
    struct evaluator_config config = {&set, stage->evaluations, 2};
    evaluator_reload(stage->evaluator, &config);
    for (int i = 0; i < 3; i++)
        wait_for_commit(&stage->heard);
    stop(stage);
    table_fini(&reloaded.by_name);
    txn = read_begin(stage->scene->store);
    assert_true(evaluator_declared_at(STR("refund"), txn) == first);
    assert_true(evaluator_declared_at(STR("return"), txn) >= first);
    read_txn_end(txn);
}

static void a_reload_takes_the_new_configuration(void **state)
{
    struct stage *stage = *state;
    start(stage);
    wait_for_commit(&stage->heard);
    wait_for_commit(&stage->heard);
    /* The old one is gone when the call returns: its memory may be used for anything. */
    struct stage *fresh = memory_zero(1, sizeof *fresh);
    fresh->scene = stage->scene;
    define(fresh, 0, "orders", "sum(order)", "every 23h");
    fresh->set = (struct kpi_set){fresh->kpis, 1, &stage->scene->metrics};
    fresh->config = (struct evaluator_config){&fresh->set, fresh->evaluations, 1};
    evaluator_reload(stage->evaluator, &fresh->config);
    memset(stage->kpis, 0xa5, sizeof stage->kpis);
    memset(stage->evaluations, 0xa5, sizeof stage->evaluations);
    memset(stage->schedules, 0xa5, sizeof stage->schedules);
    wait_for_commit(&stage->heard);
    assert_ptr_equal(atomic_load(&stage->heard.last_kpi), &fresh->kpis[0]);
    stop(stage);
    free(fresh);
}

static void a_refused_transition_leaves_no_mark_and_the_next_one_runs(void **state)
{
    struct stage *stage = *state;
    wall_ms last = 0;
    wall_ms next = 0;
    atomic_store(&stage->heard.fails, 1);
    start(stage);
    wait_for_commit(&stage->heard); /* of the second schedule */
    stop(stage);
    assert_int_equal(atomic_load(&stage->heard.runs), 2);
    assert_false(read_mark(stage, "signups", &last, &next));
    assert_true(read_mark(stage, "stock", &last, &next));
}

/* A disk that is full for hours must not hold a reload or a stop: what waits is given up, and what
 * it pointed to may go. */
static void a_stuck_writer_holds_nobody_for_long(void **state)
{
    struct stage *stage = *state;
    struct mailbox *mailbox = thread_mailbox(writer_thread(stage->scene->store->writer));
    struct evaluator_config none = {&stage->set, NULL, 0};
    start(stage);
    while (mailbox_length(mailbox) == 0) {
    }
    mono_ms before = clock_mono();
    evaluator_reload(stage->evaluator, &none);
    assert_true(clock_mono() - before >= EVALUATOR_PATIENCE_MS);
    memset(stage->kpis, 0xa5, sizeof stage->kpis);
    memset(stage->evaluations, 0xa5, sizeof stage->evaluations);
    memset(stage->schedules, 0xa5, sizeof stage->schedules);
    commit(stage->scene->store); /* now the disk has room */
    assert_int_equal(atomic_load(&stage->heard.runs), 0);
    stop(stage);
}

static void stopping_at_once_is_fine(void **state)
{
    struct stage *stage = *state;
    start(stage);
    stop(stage);
    stage->evaluator = evaluator_new(stage->scene->store->store, stage->coord, &stage->config);
    evaluator_free(stage->evaluator); /* never started */
    stage->evaluator = NULL;
    evaluator_free(NULL);
}

/* --- coord alone, with the writer's mailbox drained by the test --- */

static void note_done(const struct error *err, void *arg)
{
    int *calls = arg;
    assert_null(err);
    (*calls)++;
}

static void an_abandoned_transition_is_not_read_again(void **state)
{
    struct scene *scene = *state;
    struct heard heard = {.fd = eventfd(0, EFD_CLOEXEC)};
    struct coord *coord = coord_new_local(scene->store->writer, on_apply, NULL, &heard);
    const struct kpi_status status = {.code = KPI_BEHIND};
    const struct coord_run run = {
        .statuses = &status, .count = 1, .mark = {"s", 1000, 2000}, .now = 5};
    wall_ms last = 0;
    wall_ms next = 0;
    int done = 0;

    coord_abandon(coord); /* nothing is under way */
    coord_store(coord, &run, note_done, &done);
    coord_abandon(coord);
    assert_int_equal(done, 0);
    commit(scene->store);
    assert_int_equal(done, 1);
    assert_int_equal(atomic_load(&heard.runs), 0);
    struct read_txn *txn = read_begin(scene->store);
    assert_false(evaluator_mark(txn, STR("s"), &last, &next));
    read_txn_end(txn);

    coord_store(coord, &run, note_done, &done);
    commit(scene->store);
    assert_int_equal(done, 2);
    assert_int_equal(atomic_load(&heard.last_code), KPI_BEHIND);
    txn = read_begin(scene->store);
    assert_true(evaluator_mark(txn, STR("s"), &last, &next));
    read_txn_end(txn);
    assert_int_equal(last, 1000);
    assert_int_equal(next, 2000);
    coord_free(coord);
    (void)close(heard.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGE_TEST(schedules_of_short_intervals_run_once_at_start),
        STAGE_TEST(schedules_of_set_times_wait_for_them),
        STAGE_TEST(a_schedule_runs_again_when_its_time_comes),
        STAGE_TEST(newly_declared_metrics_are_noted_once),
        STAGE_TEST(a_reload_takes_the_new_configuration),
        STAGE_TEST(a_refused_transition_leaves_no_mark_and_the_next_one_runs),
        cmocka_unit_test_setup_teardown(a_stuck_writer_holds_nobody_for_long, stuck_setup,
                                        stage_teardown),
        STAGE_TEST(stopping_at_once_is_fine),
        SCENE_TEST(an_abandoned_transition_is_not_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
