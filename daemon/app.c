#include "app.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "alert/alert_engine.h"
#include "alert/dispatcher.h"
#include "base/counters.h"
#include "base/inherited.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "ingest/ingest.h"
#include "kpi/coord.h"
#include "kpi/evaluator.h"
#include "series/room.h"
#include "store/own_metrics.h"
#include "store/writer.h"
#include "web/web.h"

enum {
    DRAIN_MS = 1000,              /* for what waits in the sockets at the end */
    THREAD_SILENT_MS = 20 * 1000, /* a thread that has not turned for so long is stuck */
    STOP_SECONDS = 5,             /* SIGTERM to the end, whatever hangs */
    SIGNAL_COUNT = 3,
};

_Static_assert(INGEST_LISTENERS_MAX <= (int)OWN_METRICS_LISTENERS_MAX,
               "each listener has its own metrics");

struct app {
    /* set once at start */
    struct event_base *base;
    struct event *signals[SIGNAL_COUNT];
    struct event *watchdog;
    struct event *own_timer;
    struct store *store;
    struct writer *writer;
    struct alert_engine *engine;
    struct coord *coord;
    struct dispatcher *dispatcher;
    struct evaluator *evaluator;
    struct ingest *ingest;
    struct web *web;
    struct room *room;           /* the writer tells ingest where no further series are made */
    struct inherited *inherited; /* sockets that kpid was started with; NULL once it runs */

    struct own_metrics *own;          /* main thread only; NULL: they are not wanted */
    struct config *config;            /* main thread only */
    struct alert_config alert_config; /* writer's thread only, once it runs */
    bool stopping;                    /* main thread only */
};

/* --- who talks to whom -------------------------------------------------------------------------
 */

/* Ingest hands its deltas to the writer. */
static bool sink_has_room(void *arg)
{
    struct app *app = arg;
    return writer_has_room(app->writer);
}

static bool sink_post(struct delta *delta, void *arg)
{
    struct app *app = arg;
    return writer_post_delta(app->writer, delta);
}

static span_ms sink_flush_interval(void *arg)
{
    struct app *app = arg;
    return writer_flush_interval(app->writer);
}

/* A committed transition may have queued messages. */
static void on_transition_committed(void *arg)
{
    struct app *app = arg;
    if (app->dispatcher != NULL)
        dispatcher_wake(app->dispatcher);
}

static bool apply_transition(struct write_txn *txn, const struct coord_run *run, void *arg,
                             struct error *err)
{
    const struct app *app = arg;
    return alert_engine_apply(txn, run, app->engine, err);
}

/* The web thread shows what ingest knows beside the committed ledger. */
static size_t list_listeners(struct web_listener *out, size_t max, void *arg)
{
    const struct app *app = arg;
    struct listener_facts *facts = memory_zero(INGEST_LISTENERS_MAX, sizeof *facts);
    size_t count = ingest_listeners(app->ingest, facts, INGEST_LISTENERS_MAX);

    if (count > INGEST_LISTENERS_MAX)
        count = INGEST_LISTENERS_MAX;
    if (count > max)
        count = max;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(out[i].name, sizeof out[i].name, "%s", facts[i].name);
        (void)snprintf(out[i].listen, sizeof out[i].listen, "%s", facts[i].listen);
        out[i].protocol = facts[i].protocol;
        out[i].is_inherited = facts[i].is_inherited;
        out[i].pending = facts[i].received - facts[i].handed_over;
        out[i].kernel_drops = facts[i].kernel_drops;
        out[i].connections_denied = facts[i].connections_denied;
    }
    free(facts);
    return count;
}

static size_t list_clients(struct web_client *out, size_t max, void *arg)
{
    const struct app *app = arg;
    struct client_facts *facts = memory_zero(max, sizeof *facts);
    size_t count = ingest_clients(app->ingest, facts, max);

    for (size_t i = 0; i < count; i++) {
        const struct client_drops *drops = &facts[i].drops;
        out[i] = (struct web_client){
            .packets = drops->packets, .bytes = drops->bytes, .metrics = drops->metrics};
        (void)snprintf(out[i].listener, sizeof out[i].listener, "%s", facts[i].listener);
        (void)snprintf(out[i].name, sizeof out[i].name, "%s", drops->name);
        (void)snprintf(out[i].version, sizeof out[i].version, "%s", drops->version);
        (void)snprintf(out[i].transport, sizeof out[i].transport, "%s", drops->transport);
    }
    free(facts);
    return count;
}

/* What the web thread has stored, or a reload has read, holds for listeners at once. */
static void set_tokens(struct token_table *tokens, void *arg)
{
    const struct app *app = arg;
    ingest_set_tokens(app->ingest, tokens);
}

static size_t list_rejected(struct rejected_facts *out, size_t max, void *arg)
{
    const struct app *app = arg;
    return ingest_rejected(app->ingest, out, max);
}

static void read_tail(const struct tail_request *request, struct tail_lines *out, void *arg)
{
    const struct app *app = arg;
    ingest_tail(app->ingest, request, out);
}

/* Listeners that are open, and then those of `config` that are not yet. */
static size_t own_listeners(const struct config *config, const struct listener_facts *facts,
                            size_t open, struct own_listener *out)
{
    size_t count = 0;

    for (; count < open; count++)
        out[count] = (struct own_listener){facts[count].name, facts[count].kernel_drops,
                                           facts[count].connections_denied};
    for (size_t i = 0; i < config->ingest.listener_count && count < INGEST_LISTENERS_MAX; i++) {
        const char *name = config->ingest.listeners[i].name;
        size_t at = 0;
        while (at < open && strcmp(facts[at].name, name) != 0)
            at++;
        if (at == open)
            out[count++] = (struct own_listener){.name = name};
    }
    return count;
}

/* Posts what kpid counts of itself; nobody waits for it, so it is taken. */
static void post_own(struct app *app, const struct own_listener *listeners, size_t count)
{
    if (app->own == NULL || !writer_has_room(app->writer))
        return;
    struct delta *delta = own_metrics_look(app->own, listeners, count, clock_wall());
    if (delta != NULL)
        (void)writer_post_delta(app->writer, delta);
}

static void look_at_own(struct app *app, const struct config *config)
{
    struct own_listener listeners[INGEST_LISTENERS_MAX];

    if (app->own == NULL)
        return;
    struct listener_facts *facts = memory_zero(INGEST_LISTENERS_MAX, sizeof *facts);
    size_t open =
        app->ingest == NULL ? 0 : ingest_listeners(app->ingest, facts, INGEST_LISTENERS_MAX);
    if (open > INGEST_LISTENERS_MAX)
        open = INGEST_LISTENERS_MAX;
    post_own(app, listeners, own_listeners(config, facts, open, listeners));
    free(facts);
}

static void on_own_timer(evutil_socket_t fd, short events, void *arg)
{
    struct app *app = arg;
    (void)fd;
    (void)events;

    look_at_own(app, app->config);
}

/* Before listeners are opened, so that each is known before it counts anything. */
static void set_own(struct app *app, const struct config *config)
{
    const struct timeval every = {.tv_sec = OWN_METRICS_EVERY_MS / MS_PER_SECOND};

    if (config->own_metrics && app->own == NULL) {
        app->own = own_metrics_new(app->store);
        app->own_timer = event_new(app->base, -1, EV_PERSIST, on_own_timer, app);
        if (app->own_timer == NULL || event_add(app->own_timer, &every) != 0)
            abort();
    }
    look_at_own(app, config);
    if (!config->own_metrics && app->own != NULL) {
        event_free(app->own_timer);
        app->own_timer = NULL;
        own_metrics_free(app->own);
        app->own = NULL;
    }
}

/* The name of a thread that is stuck, NULL if all turn. */
static const char *stuck_thread(const struct app *app)
{
    mono_ms now = clock_mono();
    struct thread *named[] = {writer_thread(app->writer), evaluator_thread(app->evaluator),
                              dispatcher_thread(app->dispatcher)};

    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (thread_silence(named[i], now) > THREAD_SILENT_MS)
            return thread_name(named[i]);
    }
    struct thread *worker = NULL;
    for (size_t i = 0; (worker = ingest_thread(app->ingest, i)) != NULL; i++) {
        if (thread_silence(worker, now) > THREAD_SILENT_MS)
            return thread_name(worker);
    }
    return NULL;
}

static bool is_ready(struct error *why, void *arg)
{
    const struct app *app = arg;
    const char *stuck = stuck_thread(app);

    if (stuck != NULL)
        return error_set(why, ERROR_UNAVAILABLE, "thread '%s' does not answer", stuck);
    if (writer_is_failing(app->writer))
        return error_set(why, ERROR_UNAVAILABLE, "what arrives cannot be stored; see the log");
    return !writer_clock_is_suspect(app->writer, why);
}

/* --- start -------------------------------------------------------------------------------------
 */

static struct web_config web_config_of(const struct config *config)
{
    return (struct web_config){.kpis = &config->kpis,
                               .rules = &config->rules,
                               .hooks = &config->hooks,
                               .calendar = config->calendar,
                               .control_path = config->control_path,
                               .http_listen = config->http.listen,
                               .http_access = {.allow = config->http.allow,
                                               .allow_count = config->http.allow_count,
                                               .tls = config->http.tls,
                                               .tokens = config->http.tokens,
                                               .base_url = config->http.base_url},
                               .tokens = config->tokens,
                               .token_count = config->token_count,
                               .certificates = config->tls,
                               .certificate_count = config->tls_count,
                               .max_future = config->ingest.shard_limits.max_future,
                               .max_past = config->ingest.shard_limits.max_past};
}

/* Ends states of rules that the configuration no longer has. */
struct prune_job {
    struct writer_job job; /* first */
    struct app *app;
};

static bool run_prune(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    const struct app *app = ((struct prune_job *)job)->app;
    return alert_engine_prune(txn, &app->alert_config, clock_wall(), err);
}

static void prune_done(struct writer_job *job, const struct error *err)
{
    struct prune_job *prune = (struct prune_job *)job;
    if (err != NULL)
        log_failure(LOG_LEVEL_ERROR, "alert_states_not_pruned", err);
    on_transition_committed(prune->app);
    free(prune);
}

static void post_prune(struct app *app)
{
    struct prune_job *prune = memory_zero(1, sizeof *prune);
    prune->job.run = run_prune;
    prune->job.done = prune_done;
    prune->job.keep_trying = true;
    prune->app = app;
    writer_post_job(app->writer, &prune->job);
}

static bool start_store(struct app *app, struct error *err)
{
    app->store = store_open(&app->config->store, err);
    if (app->store == NULL)
        return err->kind == ERROR_DENIED && err->hint[0] == '\0'
                   ? error_hint(err, "'storage: { path: DIRECTORY }' in '%s' names another one",
                                app->config->path)
                   : false;
    app->room = room_new((size_t)app->config->series_limits.series);
    app->config->ingest.shard_limits.room = app->room;
    const struct writer_options options = {
        .upkeep = &app->config->upkeep, .limits = app->config->series_limits, .room = app->room};
    app->writer = writer_new(app->store, &options);
    app->alert_config = app->config->alert;
    app->engine = alert_engine_new(&app->alert_config);
    app->coord = coord_new_local(app->writer, apply_transition, on_transition_committed, app);
    return writer_start(app->writer, err);
}

static bool start_judging(struct app *app, struct error *err)
{
    app->dispatcher = dispatcher_new(app->store, app->writer, &app->config->hooks);
    app->evaluator = evaluator_new(app->store, app->coord, &app->config->evaluator);
    if (!dispatcher_start(app->dispatcher, err))
        return false;
    post_prune(app);
    return true;
}

static bool start_ingest(struct app *app, struct error *err)
{
    struct ingest_options options = {.threads = app->config->threads,
                                     .inherited = app->inherited,
                                     .sink = {sink_has_room, sink_post, app, sink_flush_interval}};

    if (getrandom(&options.seed, sizeof options.seed, 0) != (ssize_t)sizeof options.seed)
        return error_set_errno(err, "cannot get random numbers from the system");
    struct web_config web = web_config_of(app->config);
    options.tokens = web_load_tokens(app->store, &web, NULL, err);
    if (options.tokens == NULL)
        return false;
    set_own(app, app->config);
    app->ingest = ingest_start(&options, &app->config->ingest, err);
    token_table_release(options.tokens);
    return app->ingest != NULL;
}

static bool start_web(struct app *app, struct error *err)
{
    struct web_options options = {.store = app->store,
                                  .writer = app->writer,
                                  .room = app->room,
                                  .listeners = list_listeners,
                                  .clients = list_clients,
                                  .rejected = list_rejected,
                                  .tail = read_tail,
                                  .set_tokens = set_tokens,
                                  .inherited = app->inherited,
                                  .is_ready = is_ready,
                                  .arg = app};
    struct web_config web = web_config_of(app->config);

    app->web = web_start(&options, &web, err);
    return app->web != NULL;
}

/* Says what became of the sockets that kpid was started with, and closes those that nobody took. */
static void end_inheritance(struct app *app, bool started)
{
    const char *unwanted = started ? "nothing in the configuration listens there"
                                   : "nobody had taken it when the start failed";

    for (size_t i = 0; app->inherited != NULL && i < app->inherited->count; i++) {
        const struct inherited_socket *socket = &app->inherited->sockets[i];
        if (socket->fd < 0)
            log_info("socket_inherited", "descriptor=%d name=\"%s\" address=\"%s\"", socket->number,
                     socket->name, socket->shown);
        else
            log_warn("socket_closed", "descriptor=%d name=\"%s\" address=\"%s\" reason=\"%s\"",
                     socket->number, socket->name, socket->shown,
                     socket->unfit != NULL ? socket->unfit : unwanted);
    }
    inherited_free(app->inherited);
    app->inherited = NULL;
}

/* The store first, then who reads it, then who fills it; people are let in last. */
static bool start_parts(struct app *app, struct error *err)
{
    return start_store(app, err) && start_judging(app, err) && start_ingest(app, err) &&
           evaluator_start(app->evaluator, err) && start_web(app, err);
}

/* --- stop --------------------------------------------------------------------------------------
 */

/* From the socket to the disk, so that nothing that was taken is left behind. Works on what a
 * failed start has built so far. */
static void stop_parts(struct app *app)
{
    look_at_own(app, app->config);
    if (app->ingest != NULL)
        ingest_stop(app->ingest, DRAIN_MS);
    if (app->evaluator != NULL)
        evaluator_stop(app->evaluator);
    if (app->dispatcher != NULL)
        dispatcher_stop(app->dispatcher);
    post_own(app, NULL, 0);
    if (app->writer != NULL)
        writer_stop(app->writer);
    if (app->own_timer != NULL)
        event_free(app->own_timer);
    own_metrics_free(app->own);
    web_free(app->web);
    ingest_free(app->ingest);
    evaluator_free(app->evaluator);
    dispatcher_free(app->dispatcher);
    coord_free(app->coord);
    writer_free(app->writer);
    room_free(app->room);
    alert_engine_free(app->engine);
    store_close(app->store);
    config_free(app->config);
}

/* --- reload ------------------------------------------------------------------------------------
 */

static void log_findings(const struct findings *findings)
{
    struct buf line = BUF_EMPTY;

    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        char place[160];
        (void)snprintf(place, sizeof place, "%s:%u:%u", finding->file, finding->line,
                       finding->column);
        buf_clear(&line);
        buf_printf(&line, "at=%s key=%s text=\"%s\"", place, finding->key, finding->text);
        if (finding->hint != NULL)
            buf_printf(&line, " hint=\"%s\"", finding->hint);
        if (finding->severity == FINDING_ERROR)
            log_error("configuration", "%.*s", STR_ARGS(buf_view(&line)));
        else
            log_warn("configuration", "%.*s", STR_ARGS(buf_view(&line)));
    }
    buf_fini(&line);
}

struct writer_switch {
    struct app *app;
    const struct config *config;
};

/* On the writer's thread. */
static void switch_writer(void *arg)
{
    const struct writer_switch *request = arg;
    struct app *app = request->app;

    app->alert_config = request->config->alert;
    alert_engine_set_config(app->engine, &app->alert_config);
    writer_set_upkeep(app->writer, &request->config->upkeep);
    writer_set_limits(app->writer, &request->config->series_limits);
}

/* Opening new listeners may fail, so it comes first; nothing after it can. */
static bool apply_config(struct app *app, struct config *fresh, struct error *err)
{
    struct writer_switch request = {app, fresh};
    struct buf restart = BUF_EMPTY;

    fresh->ingest.shard_limits.room = app->room;
    set_own(app, fresh);
    if (!ingest_reload(app->ingest, &fresh->ingest, err)) {
        set_own(app, app->config);
        return false;
    }
    config_keep_started(fresh, app->config, &restart);
    struct web_config web = web_config_of(fresh);
    thread_call(writer_thread(app->writer), switch_writer, &request);
    evaluator_reload(app->evaluator, &fresh->evaluator);
    dispatcher_reload(app->dispatcher, &fresh->hooks);
    web_reload(app->web, &web);
    post_prune(app);

    if (restart.len > 0)
        log_warn("restart_needed", "changes=\"%.*s\"", STR_ARGS(buf_view(&restart)));
    buf_fini(&restart);
    config_free(app->config);
    app->config = fresh;
    return true;
}

static void notify_reloading(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
                     (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static void reload(struct app *app)
{
    struct findings findings = FINDINGS_EMPTY;
    struct error err = ERROR_EMPTY;

    notify_reloading();
    struct config *fresh = config_load(app->config->path, &findings);
    log_findings(&findings);
    if (fresh == NULL) {
        log_error("reload_refused", "mistakes=%zu path=%s kept=\"the configuration in force\"",
                  findings.errors, app->config->path);
        COUNTER_ADD(reload_failures, 1);
    } else if (!apply_config(app, fresh, &err)) {
        log_failure(LOG_LEVEL_ERROR, "reload_refused", &err);
        COUNTER_ADD(reload_failures, 1);
        config_free(fresh);
    } else {
        log_info("reloaded", "path=%s kpis=%zu rules=%zu listeners=%zu", app->config->path,
                 app->config->kpis.count, app->config->rules.count,
                 app->config->ingest.listener_count);
        COUNTER_ADD(reloads, 1);
    }
    findings_fini(&findings);
    (void)sd_notify(0, "READY=1");
}

/* --- the main loop -----------------------------------------------------------------------------
 */

static void on_signal(evutil_socket_t signal_number, short events, void *arg)
{
    struct app *app = arg;
    (void)events;

    if (signal_number == SIGHUP) {
        reload(app);
        return;
    }
    app->stopping = true;
    (void)event_base_loopbreak(app->base);
}

static void on_watchdog(evutil_socket_t fd, short events, void *arg)
{
    struct app *app = arg;
    (void)fd;
    (void)events;

    const char *stuck = stuck_thread(app);
    if (stuck == NULL && thread_silence(web_thread(app->web), clock_mono()) > THREAD_SILENT_MS)
        stuck = thread_name(web_thread(app->web)); /* not above: it is the one who asks there */
    if (stuck == NULL)
        (void)sd_notify(0, "WATCHDOG=1");
    else
        log_error("thread_stuck", "thread=%s", stuck);
}

static void watch_signals(struct app *app)
{
    static const int numbers[SIGNAL_COUNT] = {SIGTERM, SIGINT, SIGHUP};

    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        app->signals[i] = evsignal_new(app->base, numbers[i], on_signal, app);
        if (app->signals[i] == NULL || event_add(app->signals[i], NULL) != 0)
            abort();
    }
}

static void watch_threads(struct app *app)
{
    uint64_t usec = 0;
    if (sd_watchdog_enabled(0, &usec) <= 0)
        return;
    struct timeval half = {.tv_sec = (time_t)(usec / 2000000),
                           .tv_usec = (suseconds_t)(usec / 2 % 1000000)};
    app->watchdog = event_new(app->base, -1, EV_PERSIST, on_watchdog, app);
    if (app->watchdog == NULL || event_add(app->watchdog, &half) != 0)
        abort();
}

/* Many clients mean many descriptors. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void on_libevent_message(int severity, const char *text)
{
    if (severity >= EVENT_LOG_WARN)
        log_warn("libevent", "text=\"%s\"", text);
}

/* Whatever hangs, a stop ends in time; what was acknowledged is on disk already. */
static void end_in_time(void)
{
    (void)signal(SIGALRM, SIG_DFL);
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGALRM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)alarm(STOP_SECONDS);
}

/* Set before the handler is. */
static struct {
    char text[512];
    size_t len;
} last_words;

static void on_bus_error(int signal_number)
{
    ssize_t written = write(STDERR_FILENO, last_words.text, last_words.len);
    (void)written;
    (void)raise(signal_number); /* the default action: see SA_RESETHAND */
}

/* Who reads a page of the database that the disk cannot give gets SIGBUS and cannot go on; a person
 * should know why. */
static void explain_bus_errors(const char *path)
{
    struct sigaction action = {.sa_handler = on_bus_error,
                               .sa_flags = (int)SA_RESETHAND | SA_NODEFER};

    int len = snprintf(last_words.text, sizeof last_words.text,
                       "kpid: cannot read '%.300s/data.mdb': the disk does not give it back, or "
                       "somebody has cut it short; see the kernel's log and check the disk, then "
                       "start kpid again or restore a backup\n",
                       path);
    last_words.len = len < 0 ? 0 : (size_t)len;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, NULL);
}

static void serve(struct app *app)
{
    watch_threads(app);
    log_info("started", "version=%s path=%s kpis=%zu rules=%zu data=%s control=%s", KPID_VERSION,
             app->config->path, app->config->kpis.count, app->config->rules.count,
             app->config->store.path, app->config->control_path);
    if (web_http_address(app->web) != NULL)
        log_info("listening", "protocol=http address=%s", web_http_address(app->web));
    (void)sd_notify(0, "READY=1");
    while (!app->stopping)
        (void)event_base_loop(app->base, EVLOOP_NO_EXIT_ON_EMPTY);
    log_info("stopping", "reason=signal");
    (void)sd_notify(0, "STOPPING=1");
    end_in_time();
}

bool app_run(struct config *config, struct error *err)
{
    /* First, before a descriptor of kpid's own could be taken for one of them. */
    struct app app = {.config = config, .inherited = inherited_open(err)};

    if (app.inherited == NULL) {
        config_free(config);
        return false;
    }
    (void)umask(027);
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    event_set_log_callback(on_libevent_message);
    app.base = event_base_new();
    if (app.base == NULL) {
        inherited_free(app.inherited);
        config_free(config);
        return error_set_errno(err, "cannot make an event loop");
    }

    explain_bus_errors(config->store.path);
    watch_signals(&app); /* first: one that comes early must not end kpid half-way */
    bool started = start_parts(&app, err);
    end_inheritance(&app, started);
    if (started)
        serve(&app);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (app.signals[i] != NULL)
            event_free(app.signals[i]);
    }
    if (app.watchdog != NULL)
        event_free(app.watchdog);
    stop_parts(&app);
    event_base_free(app.base);
    if (started)
        log_info("stopped", "version=%s", KPID_VERSION);
    return started;
}
