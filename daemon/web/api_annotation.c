/* GET and POST /api/v1/annotations: what happened, beside the figures. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/annotation.h"
#include "web/web_private.h"

enum { DEFAULT_LIMIT = 100, LIMIT_MAX = 1000, POSTED_MAX = 1000, TAGS_TEXT_MAX = 4096 };

/* --- reading -------------------------------------------------------------------------------- */

struct listing {
    struct json json;
    const struct calendar *calendar;
    uint64_t limit;
    uint64_t count;
    bool more;
    struct annotation_place last;
};

static void field_if_any(struct json *json, const char *name, struct str text)
{
    if (text.len > 0)
        json_field_str(json, name, text);
}

static bool write_annotation(const struct annotation_place *place,
                             const struct annotation *annotation, void *arg)
{
    struct listing *listing = arg;
    struct json *json = &listing->json;
    struct str tags = annotation->tags;

    listing->more = listing->count == listing->limit;
    if (listing->more)
        return false;
    listing->count++;
    listing->last = *place;
    json_open(json, '{');
    answer_time(json, "at", listing->calendar, annotation->at);
    json_field_text(json, "kind", annotation_kind_name(annotation->kind));
    json_field_text(json, "priority", annotation->is_low ? "low" : "normal");
    json_field_str(json, "title", annotation->title);
    field_if_any(json, "text", annotation->text);
    field_if_any(json, "host", annotation->host);
    field_if_any(json, "key", annotation->key);
    field_if_any(json, "source", annotation->source);
    json_key(json, "tags");
    json_open(json, '[');
    while (tags.len > 0) {
        struct str tag = str_split(&tags, ',');
        if (tag.len > 0)
            json_str(json, tag);
    }
    json_close(json, ']');
    json_close(json, '}');
    return true;
}

/* "AT.NUMBER", as an answer before has given it. */
static bool read_place(const char *text, struct annotation_place *out, struct error *err)
{
    struct str rest = str_of(text);

    if (str_parse_i64(str_split(&rest, '.'), &out->at) && str_parse_u64(rest, &out->number))
        return true;
    return error_set(err, ERROR_INVALID, "'before' is not what an answer before has given");
}

static bool read_limit(const char *text, uint64_t *out, struct error *err)
{
    *out = DEFAULT_LIMIT;
    if (text == NULL)
        return true;
    if (str_parse_u64(str_of(text), out) && *out >= 1 && *out <= LIMIT_MAX)
        return true;
    return error_set(err, ERROR_INVALID, "'limit' is not a number from 1 to %d", LIMIT_MAX);
}

static bool read_time(const struct web *web, struct http_request *request, const char *name,
                      wall_ms *out, struct error *err)
{
    const char *text = http_request_query(request, name);

    *out = WALL_NONE;
    if (text == NULL ||
        calendar_parse(web->config.calendar, str_of(text), strcmp(name, "to") == 0, out))
        return true;
    return error_set(err, ERROR_INVALID, "'%s' is not a time: '%.80s'", name, text);
}

bool api_annotations(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {"from", "to", "limit", "before", NULL};
    struct listing listing = {.calendar = web->config.calendar};
    struct annotation_query query = {0};
    struct annotation_place before;
    struct answer answer;
    char place[48];

    if (!answer_begin(web, request, known, &answer, err) ||
        !read_time(web, request, "from", &query.from, err) ||
        !read_time(web, request, "to", &query.to, err) ||
        !read_limit(http_request_query(request, "limit"), &listing.limit, err))
        return answer_drop(&answer);
    const char *text = http_request_query(request, "before");
    if (text != NULL && !read_place(text, &before, err))
        return answer_drop(&answer);
    query.before = text == NULL ? NULL : &before;
    listing.json = json_to(&answer.body);
    json_open(&listing.json, '{');
    json_field_text(&listing.json, "timezone", calendar_zone(web->config.calendar));
    json_key(&listing.json, "annotations");
    json_open(&listing.json, '[');
    if (!annotations_read(answer.txn, &query, write_annotation, &listing, err))
        return answer_drop(&answer);
    json_close(&listing.json, ']');
    (void)snprintf(place, sizeof place, "%lld.%llu", (long long)listing.last.at,
                   (unsigned long long)listing.last.number);
    json_field_text(&listing.json, "before", listing.more ? place : NULL);
    json_close(&listing.json, '}');
    return answer_send(request, &answer);
}

/* --- writing -------------------------------------------------------------------------------- */

/* What is read of a body. */
struct posted {
    struct web *web;
    struct delta *delta;
    wall_ms now;
    size_t index;
};

__attribute__((format(printf, 4, 5))) static bool refuse(const struct posted *posted,
                                                         const char *key, struct error *err,
                                                         const char *format, ...)
{
    char why[200];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    return error_set(err, ERROR_INVALID, "annotations[%zu].%s: %s", posted->index, key, why);
}

static bool read_text(const struct posted *posted, const json_t *object, const char *key,
                      size_t max, struct str *out, struct error *err)
{
    const json_t *value = json_object_get(object, key);

    *out = STR_EMPTY;
    if (value == NULL)
        return true;
    if (!json_is_string(value))
        return refuse(posted, key, err, "not a text");
    *out = (struct str){json_string_value(value), json_string_length(value)};
    return out->len <= max || refuse(posted, key, err, "longer than %zu bytes", max);
}

static bool read_tags(const struct posted *posted, const json_t *object, struct buf *tags,
                      struct str *out, struct error *err)
{
    const json_t *list = json_object_get(object, "tags");
    size_t i = 0;
    json_t *tag = NULL;

    buf_clear(tags);
    if (list != NULL && !json_is_array(list))
        return refuse(posted, "tags", err, "not a list");
    json_array_foreach(list, i, tag)
    {
        struct str text = {json_string_value(tag), json_string_length(tag)};
        if (text.len == 0 || memchr(text.text, ',', text.len) != NULL)
            return refuse(posted, "tags", err, "a tag is a text without a comma, as 'env:prod'");
        if (i > 0)
            buf_char(tags, ',');
        buf_str(tags, text);
    }
    *out = buf_view(tags);
    return out->len <= TAGS_TEXT_MAX ||
           refuse(posted, "tags", err, "longer than %d bytes together", TAGS_TEXT_MAX);
}

static bool read_words(const struct posted *posted, const json_t *object, struct annotation *out,
                       struct error *err)
{
    const struct web_config *config = &posted->web->config;
    struct str kind;
    struct str priority;
    struct str at;

    if (!read_text(posted, object, "kind", SIZE_MAX, &kind, err) ||
        !read_text(posted, object, "priority", SIZE_MAX, &priority, err) ||
        !read_text(posted, object, "at", SIZE_MAX, &at, err))
        return false;
    if (kind.len > 0 && !annotation_kind_parse(kind, &out->kind))
        return refuse(posted, "kind", err, "not info, success, warning or error");
    out->is_low = str_is(priority, "low");
    if (priority.len > 0 && !out->is_low && !str_is(priority, "normal"))
        return refuse(posted, "priority", err, "not low or normal");
    if (at.len > 0 && !calendar_parse(config->calendar, at, false, &out->at)) {
        (void)refuse(posted, "at", err, "not a time");
        return error_hint(err, "as 2026-10-12T09:00:00+02:00");
    }
    if (out->at > posted->now + config->max_future)
        return refuse(posted, "at", err, "too far in the future");
    return true;
}

static bool read_annotation(const struct posted *posted, json_t *object, struct error *err)
{
    static const char *const known[] = {"at",   "kind", "priority", "title", "text",
                                        "host", "key",  "source",   "tags"};
    struct annotation annotation = {.at = posted->now, .kind = ANNOTATION_INFO};
    struct buf tags = BUF_EMPTY;
    char quoted[STR_QUOTED_SIZE];
    const char *key = NULL;
    json_t *value = NULL;

    json_object_foreach(object, key, value)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && strcmp(known[i], key) != 0)
            i++;
        if (i == sizeof known / sizeof *known)
            return refuse(posted, str_quoted(str_of(key), quoted), err, "unknown key");
    }
    bool ok = read_text(posted, object, "title", ANNOTATION_TITLE_MAX, &annotation.title, err) &&
              read_text(posted, object, "text", ANNOTATION_TEXT_MAX, &annotation.text, err) &&
              read_text(posted, object, "host", ANNOTATION_WORD_MAX, &annotation.host, err) &&
              read_text(posted, object, "key", ANNOTATION_WORD_MAX, &annotation.key, err) &&
              read_text(posted, object, "source", ANNOTATION_WORD_MAX, &annotation.source, err) &&
              read_words(posted, object, &annotation, err) &&
              read_tags(posted, object, &tags, &annotation.tags, err);
    if (ok && annotation.title.len == 0)
        ok = refuse(posted, "title", err, "missing");
    if (ok)
        delta_add_annotation(posted->delta, &annotation);
    buf_fini(&tags);
    return ok;
}

static bool read_all(struct posted *posted, const json_t *body, struct error *err)
{
    const json_t *list = json_object_get(body, "annotations");
    json_t *object = NULL;

    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > POSTED_MAX) {
        (void)error_set(err, ERROR_INVALID, "'annotations' is not a list of 1 to %d", POSTED_MAX);
        return error_hint(err, "{\"annotations\":[{\"title\":\"release 7\"}]}");
    }
    json_array_foreach(list, posted->index, object)
    {
        if (!json_is_object(object))
            return error_set(err, ERROR_INVALID, "annotations[%zu]: not an object", posted->index);
        if (!read_annotation(posted, object, err))
            return false;
    }
    return true;
}

/* Waits for its commit; comes back to the web thread as a message. */
struct waiting {
    struct message message; /* first */
    struct web *web;
    struct http_request *request;
    size_t count;
    bool repeated;
    struct error err; /* ERROR_NONE: they are stored */
};

static void on_answer(struct message *message, void *receiver)
{
    struct waiting *waiting = (struct waiting *)message;
    struct buf body = BUF_EMPTY;
    (void)receiver;

    if (waiting->err.kind != ERROR_NONE) {
        http_reply_error(waiting->request, 503, &waiting->err);
    } else {
        buf_printf(&body, "{\"stored\":%zu,\"repeated\":%s}\n", waiting->count,
                   waiting->repeated ? "true" : "false");
        http_reply_json(waiting->request, 200, buf_view(&body));
        buf_fini(&body);
    }
    free(waiting);
}

/* On the writer's thread. */
static void on_done(struct delta *delta, const struct error *err)
{
    struct waiting *waiting = delta->on_done_arg;

    if (err != NULL)
        waiting->err = *err;
    waiting->repeated = err == NULL && delta->outcome != DELTA_STORED;
    mailbox_push_always(thread_mailbox(waiting->web->thread), &waiting->message);
}

/* "once": the body is its identity, so that it counts once however often it comes. */
bool api_annotate(struct web *web, struct http_request *request, struct error *err)
{
    struct posted posted = {.web = web, .delta = delta_new(), .now = clock_wall()};
    json_t *body = request_object(request, err);
    bool ok = body != NULL && read_all(&posted, body, err);
    bool once = json_is_true(json_object_get(body, "once"));
    struct ledger counts = {.received = posted.delta->annotation_count,
                            .stored = posted.delta->annotation_count};

    json_decref(body);
    if (!ok) {
        delta_free(posted.delta);
        return false;
    }
    struct waiting *waiting = memory_zero(1, sizeof *waiting);
    waiting->message.on_message = on_answer;
    waiting->web = web;
    waiting->request = request;
    waiting->count = posted.delta->annotation_count;
    if (once) {
        posted.delta->identity.kind = IDENTITY_KEY;
        posted.delta->identity.name = series_key_hash(http_request_body(request));
        posted.delta->identity.body = posted.delta->identity.name;
    }
    delta_add_ledger(posted.delta, PUSH_LISTENER, &counts);
    posted.delta->on_done = on_done;
    posted.delta->on_done_arg = waiting;
    if (writer_post_delta(web->options.writer, posted.delta))
        return true;
    delta_free(posted.delta);
    free(waiting);
    (void)error_set(err, ERROR_UNAVAILABLE, "the writer is busy, nothing was stored");
    return error_hint(err, "try again in a second");
}
