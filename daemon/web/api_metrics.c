/* GET /api/v1/metrics, .../top and .../series: what comes in, and of whom; POST .../drop: series
 * join the `__other__` of their metric.
 *
 * What comes in lately is the writer's to say: a job asks it, and the answer is built when that has
 * come back. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "kpi/formula.h"
#include "store/metric_series.h"
#include "web/web_private.h"

enum {
    LIST_DEFAULT = 1000,
    LIST_MAX = 100 * 1000,
    TOP_DEFAULT = 20,
    TOP_MAX = 1000,
    SERIES_DEFAULT = 100,
    SERIES_MAX = 1000,
    SELECTOR_MAX = 4000,
    DROP_AT_ONCE = 10 * 1000, /* in one transaction: some milliseconds */
    DROP_MAX = 1000 * 1000,
    YEAR_DAYS = 366,
};

/* --- parameters ------------------------------------------------------------------------------ */

static bool read_limit(const struct http_request *request, size_t most, size_t *out,
                       struct error *err)
{
    const char *text = http_request_query(request, "limit");
    int64_t number = 0;

    if (text == NULL)
        return true;
    if (!str_parse_i64(str_of(text), &number) || number < 1 || number > (int64_t)most)
        return error_set(err, ERROR_INVALID, "'limit' is a whole number from 1 to %zu", most);
    *out = (size_t)number;
    return true;
}

/* A metric, with filters as in formulas: orders{plan="pro"}. A name that is none of a formula is
 * taken as it is. */
static bool read_selector(struct str text, struct arena *arena, struct selector *out,
                          struct error *err)
{
    struct formula formula;

    if (text.len == 0 || text.len > SELECTOR_MAX)
        return error_set(err, ERROR_INVALID, "a selector has 1 to %d bytes", SELECTOR_MAX);
    const char *expression = arena_printf(arena, "count(%.*s)", STR_ARGS(text));
    *out = (struct selector){.metric = text};
    if (formula_parse(str_of(expression), NULL, arena, &formula, err) &&
        formula.root->op == FORMULA_CALL) {
        *out = formula.root->selector;
        return true;
    }
    if (memchr(text.text, '{', text.len) == NULL)
        return true;
    (void)error_set(err, ERROR_INVALID, "no selector: '%.100s'", text.text);
    return error_hint(err, "as orders{plan=\"pro\"}");
}

/* --- what the writer knows ------------------------------------------------------------------- */

/* A request that waits for it. */
struct asking {
    struct writer_job job; /* first */
    struct message message;
    struct web *web;
    struct http_request *request;
    struct metric_activity activity; /* nothing when the writer could not say */
    bool (*answer)(struct asking *asking, struct error *err);
    size_t limit;
};

static bool run_asking(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    struct asking *asking = (struct asking *)job;
    (void)txn;
    (void)err;

    metric_activity_fini(&asking->activity);
    writer_activity(asking->web->options.writer, &asking->activity);
    return true;
}

static void asking_done(struct writer_job *job, const struct error *err)
{
    struct asking *asking = (struct asking *)job;
    (void)err; /* what is stored can be told without it */
    mailbox_push_always(thread_mailbox(asking->web->thread), &asking->message);
}

static void on_asked(struct message *message, void *receiver)
{
    struct asking *asking = (struct asking *)((char *)message - offsetof(struct asking, message));
    struct error err = ERROR_EMPTY;
    (void)receiver;

    metric_activity_sort(&asking->activity);
    if (!asking->answer(asking, &err))
        http_reply_error(asking->request, 0, &err);
    metric_activity_fini(&asking->activity);
    free(asking);
}

static void ask(struct web *web, struct http_request *request, size_t limit,
                bool (*answer)(struct asking *asking, struct error *err))
{
    struct asking *asking = memory_zero(1, sizeof *asking);

    asking->job.run = run_asking;
    asking->job.done = asking_done;
    asking->message.on_message = on_asked;
    asking->web = web;
    asking->request = request;
    asking->limit = limit;
    asking->answer = answer;
    writer_post_job(web->options.writer, &asking->job);
}

/* --- list ------------------------------------------------------------------------------------ */

/* A metric that is shown. */
struct shown {
    struct str name;
    struct metric_facts facts;
    struct activity_row activity;
};

struct listing {
    const struct asking *asking;
    struct arena *arena;
    const char *prefix; /* NULL: all */
    bool by_series;
    struct shown *items;
    size_t count, capacity;
    bool more;
};

static void write_kinds(struct json *json, unsigned kinds)
{
    json_key(json, "kinds");
    json_open(json, '[');
    for (int kind = 1; kind <= METRIC_KIND_MAX; kind++) {
        if ((kinds & (1U << kind)) != 0)
            json_text(json, metric_kind_name((enum metric_kind)kind));
    }
    json_close(json, ']');
}

static void write_utc(struct json *json, const char *name, wall_ms at)
{
    char utc[CLOCK_TEXT_SIZE];
    json_field_text(json, name, at == WALL_NONE ? NULL : clock_format_utc(at, utc));
}

static void write_metric(struct json *json, const struct shown *metric)
{
    json_field_str(json, "metric", metric->name);
    write_kinds(json, metric->facts.kinds);
    json_field_u64(json, "series", metric->facts.series);
    json_field_u64(json, "active_series", metric->activity.series);
    json_field_u64(json, "samples", metric->activity.samples);
    write_utc(json, "last", metric->activity.last);
}

static struct shown *add_shown(struct listing *listing, struct str name,
                               const struct metric_facts *facts)
{
    listing->items = arena_grow(listing->arena, listing->items, listing->count, &listing->capacity,
                                sizeof *listing->items);
    struct shown *shown = &listing->items[listing->count++];
    *shown = (struct shown){.name = arena_str(listing->arena, name), .facts = *facts};
    metric_activity_find(&listing->asking->activity, name, &shown->activity);
    return shown;
}

static bool on_listed(struct str name, const struct metric_facts *facts, void *arg)
{
    struct listing *listing = arg;

    if (facts->series == 0 || (listing->prefix != NULL && !str_starts_with(name, listing->prefix)))
        return true;
    listing->more = listing->count == listing->asking->limit;
    if (!listing->more)
        (void)add_shown(listing, name, facts);
    return !listing->more;
}

static void write_labels(struct json *json, struct read_txn *txn, struct str metric,
                         struct arena *arena)
{
    struct str labels[LABELS_MAX];
    size_t count = metric_labels(txn, metric, arena, labels);

    json_key(json, "labels");
    json_open(json, '[');
    for (size_t i = 0; i < count; i++)
        json_str(json, labels[i]);
    json_close(json, ']');
}

static bool begin(const struct asking *asking, struct answer *out, struct error *err)
{
    *out = (struct answer){.body = BUF_EMPTY, .now = clock_wall()};
    out->txn = read_txn_begin(asking->web->options.store, err);
    out->json = json_to(&out->body);
    return out->txn != NULL;
}

static bool answer_list(struct asking *asking, struct error *err)
{
    struct listing listing = {.asking = asking,
                              .arena = http_request_arena(asking->request),
                              .prefix = http_request_query(asking->request, "prefix")};
    struct arena arena = ARENA_EMPTY;
    struct answer answer;

    if (!begin(asking, &answer, err))
        return answer_drop(&answer);
    struct json *json = &answer.json;
    query_metrics(answer.txn, on_listed, &listing);
    json_open(json, '{');
    json_key(json, "metrics");
    json_open(json, '[');
    for (size_t i = 0; i < listing.count && !read_txn_is_over(answer.txn); i++) {
        json_open(json, '{');
        write_metric(json, &listing.items[i]);
        write_labels(json, answer.txn, listing.items[i].name, &arena);
        json_close(json, '}');
        arena_reset(&arena);
    }
    json_close(json, ']');
    json_field_bool(json, "more", listing.more || read_txn_is_over(answer.txn));
    json_field_number(json, "window_s", (double)asking->activity.window / MS_PER_SECOND);
    json_field_u64(json, "unwanted_series", metric_series_unwanted(answer.txn));
    json_close(json, '}');
    arena_fini(&arena);
    return answer_send(asking->request, &answer);
}

bool api_metric_list(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {"prefix", "limit", NULL};
    size_t limit = LIST_DEFAULT;

    if (!http_request_read_query(request, known, err) ||
        !read_limit(request, LIST_MAX, &limit, err))
        return false;
    ask(web, request, limit, answer_list);
    return true;
}

/* --- top ------------------------------------------------------------------------------------- */

static uint64_t rank_of(const struct listing *listing, const struct shown *shown)
{
    return listing->by_series ? shown->activity.series : shown->activity.samples;
}

/* Keeps the greatest, in order. */
static bool on_ranked(struct str name, const struct metric_facts *facts, void *arg)
{
    struct listing *listing = arg;
    struct activity_row row;

    metric_activity_find(&listing->asking->activity, name, &row);
    const struct shown candidate = {.activity = row};
    uint64_t rank = rank_of(listing, &candidate);
    if (rank == 0 || (listing->count == listing->asking->limit &&
                      rank_of(listing, &listing->items[listing->count - 1]) >= rank))
        return true;
    if (listing->count == listing->asking->limit)
        listing->count--;
    struct shown fresh = *add_shown(listing, name, facts);
    size_t at = listing->count - 1;
    for (; at > 0 && rank_of(listing, &listing->items[at - 1]) < rank; at--)
        listing->items[at] = listing->items[at - 1];
    listing->items[at] = fresh;
    return true;
}

static bool answer_top(struct asking *asking, struct error *err)
{
    const char *by = http_request_query(asking->request, "by");
    struct listing listing = {.asking = asking,
                              .arena = http_request_arena(asking->request),
                              .by_series = by != NULL && strcmp(by, "series") == 0};
    struct answer answer;

    if (!begin(asking, &answer, err))
        return answer_drop(&answer);
    struct json *json = &answer.json;
    query_metrics(answer.txn, on_ranked, &listing);
    json_open(json, '{');
    json_key(json, "metrics");
    json_open(json, '[');
    for (size_t i = 0; i < listing.count; i++) {
        json_open(json, '{');
        write_metric(json, &listing.items[i]);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_field_number(json, "window_s", (double)asking->activity.window / MS_PER_SECOND);
    json_close(json, '}');
    return answer_send(asking->request, &answer);
}

bool api_metric_top(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {"by", "limit", NULL};
    size_t limit = TOP_DEFAULT;

    if (!http_request_read_query(request, known, err) || !read_limit(request, TOP_MAX, &limit, err))
        return false;
    const char *by = http_request_query(request, "by");
    if (by != NULL && strcmp(by, "series") != 0 && strcmp(by, "samples") != 0)
        return error_set(err, ERROR_INVALID, "'by' is samples or series, not '%.40s'", by);
    ask(web, request, limit, answer_top);
    return true;
}

/* --- series ---------------------------------------------------------------------------------- */

static void write_series(struct json *json, const struct query_series *series,
                         const struct level_sample *last)
{
    struct buf text = BUF_EMPTY;
    struct label label;
    size_t at = 0;

    series_key_format(&text, series->key);
    json_open(json, '{');
    json_field_str(json, "series", buf_view(&text));
    json_field_text(json, "kind", metric_kind_name(series_key_kind(series->key)));
    json_key(json, "labels");
    json_open(json, '{');
    while (series_key_next_label(series->key, &at, &label)) {
        json_key_str(json, label.name);
        json_str(json, label.value);
    }
    json_close(json, '}');
    write_utc(json, "last", last->at);
    json_field_number(json, "value", last->at == WALL_NONE ? (double)NAN : last->value);
    json_close(json, '}');
    buf_fini(&text);
}

/* The first `limit` of them, with their last samples. */
static bool write_all_series(struct answer *answer, struct arena *arena, const uint32_t *ids,
                             size_t limit, struct error *err)
{
    struct query_series *series = arena_array(arena, limit + 1, sizeof *series);
    struct level_sample *samples = arena_array(arena, limit + 1, sizeof *samples);
    struct coverage coverage = COVERAGE_EMPTY;
    size_t count = 0;

    for (size_t i = 0; i < limit; i++)
        count += metric_series_of(answer->txn, ids[i], arena, &series[count]);
    const struct query_levels levels = {.series = series,
                                        .series_count = count,
                                        .at = answer->now + MS_PER_DAY,
                                        .since = answer->now - YEAR_DAYS * (span_ms)MS_PER_DAY};
    if (count > 0 && !query_levels(answer->txn, &levels, samples, &coverage, err))
        return false;
    json_key(&answer->json, "series");
    json_open(&answer->json, '[');
    for (size_t i = 0; i < count; i++)
        write_series(&answer->json, &series[i], &samples[i]);
    json_close(&answer->json, ']');
    return true;
}

bool api_metric_series(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {"selector", "limit", NULL};
    struct arena *arena = http_request_arena(request);
    size_t limit = SERIES_DEFAULT;
    struct selector selector;
    struct answer answer;
    uint32_t *ids = NULL;
    size_t count = 0;

    if (!answer_begin(web, request, known, &answer, err))
        return answer_drop(&answer);
    const char *text = http_request_query(request, "selector");
    if (!read_selector(text == NULL ? STR_EMPTY : str_of(text), arena, &selector, err) ||
        !read_limit(request, SERIES_MAX, &limit, err) ||
        !metric_series_ids(answer.txn, &selector, arena, &ids, &count, err))
        return answer_drop(&answer);
    answer.json = json_to(&answer.body);
    json_open(&answer.json, '{');
    if (!write_all_series(&answer, arena, ids, count < limit ? count : limit, err))
        return answer_drop(&answer);
    json_field_u64(&answer.json, "count", count);
    json_field_bool(&answer.json, "more", count > limit);
    json_close(&answer.json, '}');
    return answer_send(request, &answer);
}

/* --- drop ------------------------------------------------------------------------------------ */

/* Series that are to go, told to the writer some at a time. */
struct dropping {
    struct writer_job job; /* first */
    struct message message;
    struct web *web;
    struct http_request *request;
    uint32_t *ids;
    size_t count;
    size_t done;
    struct error err;
};

static size_t next_count(const struct dropping *dropping)
{
    size_t left = dropping->count - dropping->done;
    return left < DROP_AT_ONCE ? left : DROP_AT_ONCE;
}

static bool run_dropping(struct writer_job *job, struct write_txn *txn, struct error *err)
{
    struct dropping *dropping = (struct dropping *)job;

    return writer_drop_series(dropping->web->options.writer, txn, dropping->ids + dropping->done,
                              next_count(dropping), err);
}

static void dropping_done(struct writer_job *job, const struct error *err)
{
    struct dropping *dropping = (struct dropping *)job;

    if (err != NULL)
        dropping->err = *err;
    else
        dropping->done += next_count(dropping);
    mailbox_push_always(thread_mailbox(dropping->web->thread), &dropping->message);
}

static void reply_dropped(struct http_request *request, size_t count, bool is_dry)
{
    struct buf body = BUF_EMPTY;
    struct json json = json_to(&body);

    json_open(&json, '{');
    json_field_u64(&json, "series", count);
    json_field_bool(&json, "dry_run", is_dry);
    json_close(&json, '}');
    buf_char(&body, '\n');
    http_reply_json(request, 200, buf_view(&body));
    buf_fini(&body);
}

static void on_dropped(struct message *message, void *receiver)
{
    struct dropping *dropping =
        (struct dropping *)((char *)message - offsetof(struct dropping, message));
    (void)receiver;

    if (dropping->err.kind == ERROR_NONE && dropping->done < dropping->count) {
        writer_post_job(dropping->web->options.writer, &dropping->job);
        return;
    }
    if (dropping->err.kind != ERROR_NONE)
        http_reply_error(dropping->request, 503, &dropping->err);
    else
        reply_dropped(dropping->request, dropping->count, false);
    free(dropping->ids);
    free(dropping);
}

static void drop(struct web *web, struct http_request *request, const uint32_t *ids, size_t count)
{
    struct dropping *dropping = memory_zero(1, sizeof *dropping);

    dropping->job.run = run_dropping;
    dropping->job.done = dropping_done;
    dropping->message.on_message = on_dropped;
    dropping->web = web;
    dropping->request = request;
    dropping->ids = memory_alloc((count + 1) * sizeof *ids);
    memcpy(dropping->ids, ids, count * sizeof *ids);
    dropping->count = count;
    writer_post_job(web->options.writer, &dropping->job);
}

static bool read_drop(struct http_request *request, struct selector *selector, bool *is_dry,
                      struct error *err)
{
    struct arena *arena = http_request_arena(request);
    json_t *body = request_object(request, err);
    const char *text = body == NULL ? NULL : json_string_value(json_object_get(body, "selector"));

    *is_dry = body != NULL && json_is_true(json_object_get(body, "dry_run"));
    bool ok = body != NULL;
    if (ok && text == NULL)
        ok = error_set(err, ERROR_INVALID, "there is no 'selector'");
    ok = ok && read_selector(arena_str(arena, str_of(text)), arena, selector, err);
    json_decref(body);
    return ok;
}

/* What `__other__` has stays there. */
static size_t leave_other(struct read_txn *txn, struct arena *arena, uint32_t *ids, size_t count)
{
    size_t left = 0;
    struct query_series series;
    struct str value;

    for (size_t i = 0; i < count; i++) {
        if (metric_series_of(txn, ids[i], arena, &series) &&
            !(series_key_label(series.key, STR("__other__"), &value) && str_is(value, "true")))
            ids[left++] = ids[i];
    }
    return left;
}

bool api_metric_drop(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};
    struct arena arena = ARENA_EMPTY;
    struct selector selector;
    uint32_t *ids = NULL;
    size_t count = 0;
    bool is_dry = false;

    if (!http_request_read_query(request, known, err) ||
        !read_drop(request, &selector, &is_dry, err))
        return false;
    struct read_txn *txn = read_txn_begin(web->options.store, err);
    bool ok = txn != NULL && metric_series_ids(txn, &selector, &arena, &ids, &count, err);
    if (ok)
        count = leave_other(txn, &arena, ids, count);
    if (ok && count > DROP_MAX)
        ok = error_set(err, ERROR_INVALID, "more than %d series at once", DROP_MAX);
    read_txn_end(txn);
    if (ok && (is_dry || count == 0))
        reply_dropped(request, count, is_dry);
    else if (ok)
        drop(web, request, ids, count);
    arena_fini(&arena);
    return ok;
}
