/* Samples over HTTP, a request a batch. Each has an id, so that a batch that is tried again counts
 * once. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/json.h"
#include "base/memory.h"
#include "push_sink.h"
#include "series/metric.h"

enum { BATCH_BYTES = 512 * 1024, BUSY_TRIES = 30, RUN_SIZE = 33 };

struct http_sink {
    struct push_sink sink; /* first */
    char run[RUN_SIZE];    /* ids of this run begin with it */
    struct buf rows;       /* a line of JSON each */
    uint64_t lines[PUSH_BATCH_SAMPLES];
    size_t first; /* of `lines`: those before are answered */
};

static struct http_sink *http_of(struct push_sink *sink)
{
    return (struct http_sink *)sink;
}

static void take_rejected(struct http_sink *http, const json_t *list)
{
    size_t i = 0;
    const json_t *item = NULL;

    json_array_foreach(list, i, item)
    {
        size_t row = (size_t)field_count(item, "row") + http->first;
        http->sink.counts.rejected++;
        if (row >= 1 && row <= http->sink.batch_count)
            push_tell(http->lines[row - 1], "%s", field_text(item, "reason", "refused"));
    }
}

/* The rows from the first without an answer on; `*taken` of them have one then. */
static enum exit_code send_rows(struct http_sink *http, const char *rows, size_t *taken)
{
    struct client client = http->sink.invocation->client;
    struct client_answer answer;

    client.busy_tries = BUSY_TRIES;
    int code = client_call(&client, "/api/v1/import/rows", rows, &answer);
    if (code != EXIT_DONE)
        return (enum exit_code)code;
    long long count = field_count(answer.json, "taken");
    http->sink.counts.stored += (unsigned long long)field_count(answer.json, "stored");
    http->sink.counts.repeated += (unsigned long long)field_count(answer.json, "repeated");
    http->sink.counts.dropped += (unsigned long long)field_count(answer.json, "dropped");
    take_rejected(http, json_object_get(answer.json, "rejected"));
    client_answer_fini(&answer);
    *taken = count < 0 ? 0 : (size_t)count;
    if (*taken > 0)
        return EXIT_DONE;
    push_tell(0, "kpid's answer says nothing of the samples");
    return EXIT_REFUSED;
}

static enum exit_code send_batch(struct push_sink *sink)
{
    struct http_sink *http = http_of(sink);
    enum exit_code code = EXIT_DONE;

    if (sink->batch_count == 0)
        return EXIT_DONE;
    char *text = buf_take_text(&http->rows);
    const char *rest = text;
    http->first = 0;
    while (code == EXIT_DONE && http->first < sink->batch_count && push_signal() == 0) {
        size_t taken = 0;
        code = send_rows(http, rest, &taken);
        for (size_t i = 0; code == EXIT_DONE && i < taken && *rest != '\0'; i++)
            rest = strchr(rest, '\n') + 1;
        http->first += taken;
    }
    free(text);
    if (http->first >= sink->batch_count)
        sink->batch_count = http->first = 0;
    return code;
}

static void write_row(struct http_sink *http, const struct push_sample *sample)
{
    const struct invocation *invocation = http->sink.invocation;
    struct json json = json_to(&http->rows);
    char id[RUN_SIZE + 32];

    (void)snprintf(id, sizeof id, "push-%s-%llu", http->run, http->sink.counts.taken);
    json_open(&json, '{');
    json_field_text(&json, "id", id);
    json_field_str(&json, "name", sample->name);
    json_field_str(&json, "value", sample->value); /* as text: kpid reads the number itself */
    if (option(invocation, "at") != NULL)
        json_field_text(&json, "at", option(invocation, "at"));
    if (option(invocation, "type") != NULL)
        json_field_text(&json, "type", option(invocation, "type"));
    json_key(&json, "labels");
    push_write_labels(&json, sample);
    json_close(&json, '}');
    buf_char(&http->rows, '\n');
}

static enum exit_code add(struct push_sink *sink, const struct push_sample *sample, uint64_t line)
{
    struct http_sink *http = http_of(sink);

    sink->counts.taken++;
    write_row(http, sample);
    http->lines[sink->batch_count++] = line;
    if (sink->batch_count == PUSH_BATCH_SAMPLES || http->rows.len > BATCH_BYTES)
        return send_batch(sink);
    return EXIT_DONE;
}

static enum exit_code wait_for_input(struct push_sink *sink, int timeout_ms, bool *can_read)
{
    (void)sink;
    *can_read = push_poll(-1, 0, timeout_ms);
    return EXIT_DONE;
}

static struct push_waiting waiting(const struct push_sink *sink)
{
    const struct http_sink *http = (const struct http_sink *)sink;

    if (sink->batch_count == 0)
        return (struct push_waiting){0};
    return (struct push_waiting){.samples = sink->batch_count - http->first,
                                 .first_line = http->lines[http->first],
                                 .last_line = http->lines[sink->batch_count - 1]};
}

static void free_sink(struct push_sink *sink)
{
    buf_fini(&http_of(sink)->rows);
    free(sink);
}

static bool options_are_right(const struct invocation *invocation)
{
    const char *type = option(invocation, "type");
    const char *at = option(invocation, "at");
    enum metric_kind kind = METRIC_UNTYPED;
    int64_t time = 0;
    bool has_offset = false;

    if (type != NULL && !metric_kind_parse(str_of(type), &kind)) {
        (void)usage_error(invocation, "unknown type '%s'", type);
        return false;
    }
    if (at == NULL || push_time_parse(str_of(at), &time, &has_offset))
        return true;
    (void)usage_error(invocation, "not a time: '%s'", at);
    return false;
}

struct push_sink *push_http_new(const struct invocation *invocation)
{
    static const struct push_way way = {.add = add,
                                        .send = send_batch,
                                        .wait = wait_for_input,
                                        .finish = send_batch,
                                        .waiting = waiting,
                                        .free = free_sink};
    uint64_t random[2] = {0};

    if (!options_are_right(invocation))
        return NULL;
    if (getrandom(random, sizeof random, 0) != sizeof random) {
        push_tell(0, "the system has no random numbers");
        return NULL;
    }
    struct http_sink *http = memory_zero(1, sizeof *http);
    http->sink = (struct push_sink){.way = &way, .invocation = invocation};
    (void)snprintf(http->run, sizeof http->run, "%016llx%016llx", (unsigned long long)random[0],
                   (unsigned long long)random[1]);
    return &http->sink;
}
