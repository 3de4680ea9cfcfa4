#include "ingest/json_body.h"

#include <stdlib.h>

#include "base/memory.h"
#include "ingest/push.h"

struct json_body {
    struct body body; /* first */
    const struct batch_rules *rules;
    const struct calendar *const *calendar;
    uint64_t *last_arrival;
    wall_ms now;
    struct push_reader reader;
};

static struct json_body *json_of(struct body *body)
{
    return (struct json_body *)body;
}

/* Any Content-Type is taken: curl says another one than it sends unless it is told. But that of
 * another language is a mistake of whoever set it up. */
static struct body *json_open(const struct body_request *request, struct http_answer *answer)
{
    if (http_media_type_is(request->head->content_type, "application/x-protobuf")) {
        http_answer_set(answer, 415, "the Content-Type is not application/json");
        return NULL;
    }
    struct json_body *json = memory_zero(1, sizeof *json);
    body_init(&json->body, &JSON_BODY_FORMAT, request);
    json->rules = request->rules;
    json->calendar = request->calendar;
    json->last_arrival = request->last_arrival;
    json->now = request->now_us / 1000;
    push_reader_init(&json->reader, 0);
    return &json->body;
}

static void json_close(struct body *body)
{
    struct json_body *json = json_of(body);

    body_fini(body);
    push_reader_fini(&json->reader);
    free(json);
}

static bool refused(struct json_body *json)
{
    json->body.refused_for = json->reader.reason;
    return false;
}

static bool json_take(struct body *body, struct str bytes, struct error *err)
{
    struct json_body *json = json_of(body);
    struct push_reader *reader = &json->reader;
    const struct push_rules rules = {
        .batch = json->rules, .calendar = *json->calendar, .now = json->now};
    size_t before = reader->samples;

    /* Other bodies of the thread take arrivals in between. */
    reader->arrival = *json->last_arrival + 1 - before;
    bool ok = push_reader_take(reader, bytes, &rules, body->batch, err);
    *json->last_arrival += reader->samples - before;
    return ok || refused(json);
}

static bool json_end(struct body *body, struct error *err)
{
    struct json_body *json = json_of(body);

    if (!push_reader_end(&json->reader, err))
        return refused(json);
    body->counts.received = json->reader.samples;
    body->counts.stored = json->reader.samples;
    ledger_drop(&body->counts, DROP_series_limit, json->reader.limited);
    body->id = buf_view(&json->reader.id);
    return true;
}

static size_t json_size_bytes(const struct body *body)
{
    const struct json_body *json = (const struct json_body *)body;

    return sizeof *json + push_reader_size_bytes(&json->reader) +
           (body->batch == NULL ? 0 : batch_size_bytes(body->batch));
}

static void json_verdict(const struct body *body, struct http_answer *answer)
{
    answer->counts.samples = body->counts.stored;
    answer->counts.dropped = body->counts.received - body->counts.stored; /* all or nothing */
    http_answer_stored(answer, STR_EMPTY);
}

const struct body_format JSON_BODY_FORMAT = {
    .has_ids = true,
    .open = json_open,
    .close = json_close,
    .take = json_take,
    .end = json_end,
    .size_bytes = json_size_bytes,
    .verdict = json_verdict,
};
