#include "kpi/coord.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "kpi/coord_private.h"
#include "store/record.h"

/* Who may touch the borrowed memory of a transition. */
enum coord_state {
    COORD_FREE,      /* no transition */
    COORD_WAITING,   /* with the writer, which is not reading it */
    COORD_RUNNING,   /* the writer reads it */
    COORD_ABANDONED, /* nobody reads it any more */
};

struct coord {
    /* set once at start */
    struct writer *writer;
    coord_apply_fn apply;
    coord_committed_fn on_committed;
    void *arg;

    /* shared */
    _Atomic int state;

    /* of the transition under way: written before it is posted */
    struct writer_job job;
    const struct coord_run *run; /* NULL: metrics are declared */
    const struct str *metrics;
    size_t metric_count;
    wall_ms declared_at;
    coord_done_fn done;
    void *done_arg;
};

static struct coord *coord_of(struct writer_job *job)
{
    return (struct coord *)(void *)((char *)job - offsetof(struct coord, job));
}

static bool put_mark(struct write_txn *txn, const struct coord_mark *mark, struct error *err)
{
    struct buf value = BUF_EMPTY;
    buf_i64(&value, mark->last_run);
    buf_i64(&value, mark->next_run);
    bool ok = record_put(txn, RECORD_SCHEDULE, str_of(mark->schedule), buf_view(&value), err);
    buf_fini(&value);
    return ok;
}

static bool put_declared(struct write_txn *txn, struct str metric, wall_ms now, struct error *err)
{
    struct buf value = BUF_EMPTY;
    struct str found;
    struct str key = declared_key(metric);
    if (record_get(write_txn_reader(txn), RECORD_DECLARED, key, &found))
        return true;
    buf_i64(&value, now);
    bool ok = record_put(txn, RECORD_DECLARED, key, buf_view(&value), err);
    buf_fini(&value);
    return ok;
}

static bool put_figure(struct write_txn *txn, const struct coord_figure *figure, struct error *err)
{
    if (figure->value.len == 0)
        return record_remove(txn, RECORD_FIGURE, figure->key, err);
    return record_put(txn, RECORD_FIGURE, figure->key, figure->value, err);
}

static bool write_transition(const struct coord *coord, struct write_txn *txn, struct error *err)
{
    for (size_t i = 0; i < coord->metric_count; i++) {
        if (!put_declared(txn, coord->metrics[i], coord->declared_at, err))
            return false;
    }
    const struct coord_run *run = coord->run;
    if (run == NULL)
        return true;
    for (size_t i = 0; i < run->figure_count; i++) {
        if (!put_figure(txn, &run->figures[i], err))
            return false;
    }
    if (coord->apply != NULL && !coord->apply(txn, run, coord->arg, err))
        return false;
    return run->mark.schedule == NULL || put_mark(txn, &run->mark, err);
}

static bool run_job(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    struct coord *coord = coord_of(job);
    int expected = COORD_WAITING;

    if (!atomic_compare_exchange_strong(&coord->state, &expected, COORD_RUNNING))
        return true; /* abandoned: there is nothing left to write */
    bool ok = write_transition(coord, txn, err);
    atomic_store(&coord->state, COORD_WAITING);
    return ok;
}

static void on_job_done(struct writer_job *job, const struct error *err)
{
    struct coord *coord = coord_of(job);
    coord_done_fn done = coord->done;
    void *done_arg = coord->done_arg;

    if (err == NULL && coord->on_committed != NULL)
        coord->on_committed(coord->arg);
    /* From here on the next transition may be posted. */
    atomic_store(&coord->state, COORD_FREE);
    done(err, done_arg);
}

struct coord *coord_new_local(struct writer *writer, coord_apply_fn apply,
                              coord_committed_fn on_committed, void *arg)
{
    struct coord *coord = memory_zero(1, sizeof *coord);
    coord->writer = writer;
    coord->apply = apply;
    coord->on_committed = on_committed;
    coord->arg = arg;
    atomic_init(&coord->state, COORD_FREE);
    return coord;
}

void coord_free(struct coord *coord)
{
    free(coord);
}

bool coord_may_evaluate(const struct coord *coord)
{
    return coord != NULL;
}

static void post(struct coord *coord)
{
    coord->job = (struct writer_job){.run = run_job, .done = on_job_done, .keep_trying = true};
    atomic_store(&coord->state, COORD_WAITING);
    writer_post_job(coord->writer, &coord->job);
}

void coord_store(struct coord *coord, const struct coord_run *run, coord_done_fn done,
                 void *done_arg)
{
    assert(atomic_load(&coord->state) == COORD_FREE);
    coord->run = run;
    coord->metrics = NULL;
    coord->metric_count = 0;
    coord->done = done;
    coord->done_arg = done_arg;
    post(coord);
}

void coord_declare(struct coord *coord, const struct str *metrics, size_t count, wall_ms now,
                   coord_done_fn done, void *done_arg)
{
    assert(atomic_load(&coord->state) == COORD_FREE);
    coord->run = NULL;
    coord->metrics = metrics;
    coord->metric_count = count;
    coord->declared_at = now;
    coord->done = done;
    coord->done_arg = done_arg;
    post(coord);
}

void coord_abandon(struct coord *coord)
{
    for (;;) {
        int expected = COORD_WAITING;
        if (atomic_compare_exchange_strong(&coord->state, &expected, COORD_ABANDONED) ||
            expected != COORD_RUNNING)
            return;
        (void)usleep(100); /* one run of the job is a few milliseconds at most */
    }
}
