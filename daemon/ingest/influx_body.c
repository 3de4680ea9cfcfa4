#include "ingest/influx_body.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"

static struct influx_body *influx_of(struct body *body)
{
    return (struct influx_body *)body;
}

/* InfluxDB 3 has names of its own, and guesses without one. */
static void read_precision(struct influx_body *influx, const struct http_head *head)
{
    static const struct {
        const char *name;
        enum influx_precision precision;
    } names[] = {{"nanosecond", INFLUX_NS},
                 {"microsecond", INFLUX_US},
                 {"millisecond", INFLUX_MS},
                 {"second", INFLUX_S}};
    struct str text = http_query_find(head->query, "precision");

    influx->precision = influx_precision_of(text);
    if (!str_is(head->path, "/api/v3/write_lp"))
        return;
    influx->refuses_partial = str_is(http_query_find(head->query, "accept_partial"), "false");
    influx->guesses_precision = text.len == 0 || str_is(text, "auto");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (str_is(text, names[i].name))
            influx->precision = names[i].precision;
    }
}

/* As InfluxDB 3 does: by how large the number is. */
static enum influx_precision precision_of(const struct influx_body *influx, int64_t time)
{
    const uint64_t billion = UINT64_C(1000) * 1000 * 1000;
    uint64_t size = (time < 0 ? 0 - (uint64_t)time : (uint64_t)time) / billion;

    if (!influx->guesses_precision)
        return influx->precision;
    if (size < 5)
        return INFLUX_S;
    if (size < 5000)
        return INFLUX_MS;
    return size < UINT64_C(5000) * 1000 ? INFLUX_US : INFLUX_NS;
}

static struct body *influx_open(const struct body_request *request, struct http_answer *answer)
{
    struct influx_body *influx = memory_zero(1, sizeof *influx);
    (void)answer; /* every request is taken (I25, I26) */

    body_init(&influx->body, &INFLUX_BODY_FORMAT, request);
    influx->request = *request;
    influx->request.head = NULL;
    read_precision(influx, request->head);
    /* The same lines in another unit are another batch. */
    influx->body.variant = (uint64_t)influx->precision + (influx->guesses_precision ? 8 : 0);
    influx->line = 1;
    return &influx->body;
}

static void influx_close(struct body *body)
{
    struct influx_body *influx = influx_of(body);

    body_fini(body);
    influx_parser_fini(&influx->parser);
    buf_fini(&influx->tail);
    buf_fini(&influx->name);
    free(influx);
}

static size_t influx_size_bytes(const struct body *body)
{
    const struct influx_body *influx = (const struct influx_body *)body;

    return sizeof *influx + influx->tail.capacity + influx->name.capacity +
           influx->parser.field_capacity * sizeof *influx->parser.fields +
           influx->parser.unescaped_capacity +
           (body->batch == NULL ? 0 : batch_size_bytes(body->batch));
}

/* --- mistakes --------------------------------------------------------------------------------- */

static const char *words_of(enum reject_reason reason)
{
    return reason == REJECT_bad_number ? "the value is no number" : body_words_of(reason);
}

static void show(struct influx_body *influx, const struct influx_mistake *mistake, struct str line)
{
    body_show(&influx->body, mistake->reason, influx->line, line, mistake->words);
    influx->bad_lines++;
}

/* A line that cannot be parsed is one sample. */
static void reject_line(struct influx_body *influx, const struct influx_mistake *mistake,
                        struct str line)
{
    body_reject(&influx->body, mistake->reason, influx->line, line, mistake->words);
    influx->bad_lines++;
}

/* --- lines ------------------------------------------------------------------------------------ */

static struct str name_of(struct influx_body *influx, const struct influx_line *line,
                          const struct influx_field *field) /* I11 */
{
    if (influx->request.skip_single_field && line->field_count == 1 && str_is(field->key, "value"))
        return line->measurement;
    buf_clear(&influx->name);
    buf_str(&influx->name, line->measurement);
    buf_char(&influx->name, '_');
    buf_str(&influx->name, field->key);
    return buf_view(&influx->name);
}

/* The reason why a field was rejected, REJECT_NONE for one that is stored or dropped. */
static enum reject_reason take_field(struct influx_body *influx, const struct influx_line *line,
                                     const struct influx_field *field, wall_ms at)
{
    const struct body_request *request = &influx->request;
    const struct batch_sample sample = {.name = name_of(influx, line, field),
                                        .labels = line->labels,
                                        .label_count = line->label_count,
                                        .kind = METRIC_UNTYPED,
                                        .is_text = field->is_text,
                                        .value = field->value,
                                        .text = field->text,
                                        .at = at};

    if (field->is_text &&
        batch_kind(request->rules, sample.name, METRIC_UNTYPED) != METRIC_UNIQUE) {
        body_drop(&influx->body, DROP_string, sample.name);
        return REJECT_NONE;
    }
    enum reject_reason reason =
        batch_add(influx->body.batch, &sample, request->now_us / 1000, ++*request->last_arrival);
    if (reason == REJECT_series_limit) {
        body_drop(&influx->body, DROP_series_limit, sample.name);
        return REJECT_NONE;
    }
    influx->body.counts.received++;
    if (reason == REJECT_NONE)
        influx->body.counts.stored++;
    else
        influx->body.counts.rejected[reason]++;
    return reason;
}

static void take_fields(struct influx_body *influx, const struct influx_line *line, wall_ms at,
                        struct str text)
{
    struct influx_mistake first = {.reason = REJECT_NONE};

    for (size_t i = 0; i < line->field_count; i++) {
        enum reject_reason reason = take_field(influx, line, &line->fields[i], at);
        if (reason != REJECT_NONE && first.reason == REJECT_NONE)
            first = (struct influx_mistake){reason, words_of(reason)};
    }
    if (first.reason != REJECT_NONE)
        show(influx, &first, text);
}

static void take_line(struct influx_body *influx, struct str text)
{
    const struct body_request *request = &influx->request;
    struct influx_mistake mistake = {.reason = REJECT_NONE};
    struct influx_line line;
    wall_ms at = request->now_us / 1000;

    switch (influx_parse(&influx->parser, text, &line, &mistake)) {
    case INFLUX_NOTHING:
        return;
    case INFLUX_MISTAKE:
        reject_line(influx, &mistake, text);
        return;
    case INFLUX_LINE:
        break;
    }
    if (line.has_time && !influx_time(line.time, precision_of(influx, line.time), &at)) {
        mistake = (struct influx_mistake){REJECT_bad_time, "bad timestamp"};
        reject_line(influx, &mistake, text);
        return;
    }
    take_fields(influx, &line, at, text);
}

/* Keeps the beginning of a line, or of one that is too long what is shown of it. */
static void keep(struct influx_body *influx, struct str bytes)
{
    if (influx->too_long)
        return;
    if (bytes.len > influx->request.line_bytes_max - influx->tail.len) {
        influx->too_long = true;
        bytes.len = influx->request.line_bytes_max - influx->tail.len;
    }
    buf_append(&influx->tail, bytes.text, bytes.len);
}

static void end_line(struct influx_body *influx, struct str bytes)
{
    const struct influx_mistake too_long = {REJECT_too_long, "the line is too long"};
    struct str line = bytes;

    if (influx->tail.len > 0 || bytes.len > influx->request.line_bytes_max) {
        keep(influx, bytes);
        line = buf_view(&influx->tail);
    }
    if (influx->too_long)
        reject_line(influx, &too_long, line);
    else
        take_line(influx, line);
    influx->line += 1 + influx->cut.newlines;
    influx->cut = (struct influx_cut){0};
    influx->too_long = false;
    buf_clear(&influx->tail);
}

static bool influx_take(struct body *body, struct str bytes, struct error *err)
{
    struct influx_body *influx = influx_of(body);
    size_t end = 0;
    (void)err;

    while (bytes.len > 0) {
        bool ended = influx_cut(&influx->cut, bytes, &end);
        struct str part = {bytes.text, end};
        if (!ended) {
            keep(influx, part);
            return true;
        }
        end_line(influx, part);
        bytes = (struct str){bytes.text + end + 1, bytes.len - end - 1};
    }
    return true;
}

/* What has no newline is a line too. */
static bool influx_end(struct body *body, struct error *err)
{
    struct influx_body *influx = influx_of(body);
    const struct body_example *first = &body->examples[0];

    if (influx->tail.len > 0)
        end_line(influx, STR_EMPTY);
    if (!influx->refuses_partial || influx->bad_lines == 0)
        return true;
    body->refused_for = first->reason;
    return error_set(err, ERROR_INVALID, "unable to parse '%s': %s (line %llu); nothing is stored",
                     first->shown, first->words, (unsigned long long)first->place);
}

/* --- the verdict ------------------------------------------------------------------------------ */

/* The first bad lines in JSON: [{"line", "reason", "error", "example"}, ...]. */
static void list_mistakes(const struct body *body, struct buf *out)
{
    struct json json = json_to(out);

    json_open(&json, '[');
    for (size_t i = 0; i < body->example_count; i++) {
        const struct body_example *shown = &body->examples[i];
        json_open(&json, '{');
        json_field_u64(&json, "line", shown->place);
        json_field_text(&json, "reason", reject_reason_name(shown->reason));
        json_field_text(&json, "error", shown->words);
        json_field_text(&json, "example", shown->shown);
        json_close(&json, '}');
    }
    json_close(&json, ']');
}

/* 204 when nothing was rejected, else 400 and words that say what, as InfluxDB would (I23, I24). */
static void influx_verdict(const struct body *body, struct http_answer *answer)
{
    const struct influx_body *influx = (const struct influx_body *)body;
    const struct body_example *first = &body->examples[0];
    const struct ledger *counts = &body->counts;
    bool is_partial = counts->stored > 0 || counts->dropped[DROP_string] > 0;
    struct buf words = BUF_EMPTY;
    struct buf list = BUF_EMPTY;

    if (influx->bad_lines == 0) {
        http_answer_stored(answer, STR_EMPTY);
        return;
    }
    buf_printf(&words, "%sunable to parse '%s': %s (line %llu)",
               is_partial ? "partial write: " : "", first->shown, first->words,
               (unsigned long long)first->place);
    if (influx->bad_lines > 1)
        buf_printf(&words, " (and %llu other parse errors)",
                   (unsigned long long)(influx->bad_lines - 1));
    answer->counts.dropped = influx->bad_lines;
    list_mistakes(body, &list);
    http_answer_mistake(answer, 400, buf_view(&words), buf_view(&list));
    buf_fini(&words);
    buf_fini(&list);
}

const struct body_format INFLUX_BODY_FORMAT = {
    .open = influx_open,
    .close = influx_close,
    .take = influx_take,
    .end = influx_end,
    .size_bytes = influx_size_bytes,
    .verdict = influx_verdict,
};
