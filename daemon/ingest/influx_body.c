#include "ingest/influx_body.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"

struct influx_body *influx_body_new(const struct influx_request *request)
{
    struct influx_body *body = memory_zero(1, sizeof *body);
    uint64_t now_us = request->now_us > 0 ? (uint64_t)request->now_us : 0;

    body->request = *request;
    body->batch = batch_new(request->rules);
    body->line = 1;
    if (*request->last_arrival < now_us)
        *request->last_arrival = now_us;
    return body;
}

void influx_body_free(struct influx_body *body)
{
    if (body == NULL)
        return;
    batch_free(body->batch);
    influx_parser_fini(&body->parser);
    buf_fini(&body->tail);
    buf_fini(&body->name);
    free(body);
}

size_t influx_body_size_bytes(const struct influx_body *body)
{
    return sizeof *body + body->tail.capacity + body->name.capacity +
           body->parser.field_capacity * sizeof *body->parser.fields +
           body->parser.unescaped_capacity +
           (body->batch == NULL ? 0 : batch_size_bytes(body->batch));
}

/* --- mistakes --------------------------------------------------------------------------------- */

static const char *words_of(enum reject_reason reason)
{
    switch (reason) {
    case REJECT_bad_name:
        return "the metric's name is too long or has control characters";
    case REJECT_bad_number:
        return "the value is no number";
    case REJECT_bad_time:
        return "the time is too far in the future or the past";
    case REJECT_out_of_range:
        return "the score is outside its range or not a whole number";
    default:
        return "too many series";
    }
}

static void show(struct influx_body *body, const struct influx_mistake *mistake, struct str line)
{
    if (body->bad_lines < INFLUX_SHOWN_MISTAKES) {
        struct influx_shown *shown = &body->shown[body->bad_lines];
        shown->line = body->line;
        shown->reason = mistake->reason;
        shown->words = mistake->words;
        (void)str_quoted(line, shown->example);
    }
    body->bad_lines++;
}

/* A line that cannot be parsed is one sample. */
static void reject_line(struct influx_body *body, const struct influx_mistake *mistake,
                        struct str line)
{
    body->counts.received++;
    body->counts.rejected[mistake->reason]++;
    show(body, mistake, line);
}

/* --- lines ------------------------------------------------------------------------------------ */

static struct str name_of(struct influx_body *body, const struct influx_line *line,
                          const struct influx_field *field) /* I11 */
{
    if (body->request.skip_single_field && line->field_count == 1 && str_is(field->key, "value"))
        return line->measurement;
    buf_clear(&body->name);
    buf_str(&body->name, line->measurement);
    buf_char(&body->name, '_');
    buf_str(&body->name, field->key);
    return buf_view(&body->name);
}

/* The reason why a field was rejected, REJECT_NONE for one that is stored or dropped. */
static enum reject_reason take_field(struct influx_body *body, const struct influx_line *line,
                                     const struct influx_field *field, wall_ms at)
{
    const struct influx_request *request = &body->request;
    const struct batch_sample sample = {.name = name_of(body, line, field),
                                        .labels = line->labels,
                                        .label_count = line->label_count,
                                        .kind = METRIC_UNTYPED,
                                        .is_text = field->is_text,
                                        .value = field->value,
                                        .text = field->text,
                                        .at = at};

    body->counts.received++;
    if (field->is_text &&
        batch_kind(request->rules, sample.name, METRIC_UNTYPED) != METRIC_UNIQUE) {
        body->counts.dropped[DROP_string]++;
        return REJECT_NONE;
    }
    enum reject_reason reason =
        batch_add(body->batch, &sample, request->now_us / 1000, ++*request->last_arrival);
    if (reason == REJECT_NONE)
        body->counts.stored++;
    else
        body->counts.rejected[reason]++;
    return reason;
}

static void take_fields(struct influx_body *body, const struct influx_line *line, wall_ms at,
                        struct str text)
{
    struct influx_mistake first = {.reason = REJECT_NONE};

    for (size_t i = 0; i < line->field_count; i++) {
        enum reject_reason reason = take_field(body, line, &line->fields[i], at);
        if (reason != REJECT_NONE && first.reason == REJECT_NONE)
            first = (struct influx_mistake){reason, words_of(reason)};
    }
    if (first.reason != REJECT_NONE)
        show(body, &first, text);
}

static void take_line(struct influx_body *body, struct str text)
{
    const struct influx_request *request = &body->request;
    struct influx_mistake mistake = {.reason = REJECT_NONE};
    struct influx_line line;
    wall_ms at = request->now_us / 1000;

    switch (influx_parse(&body->parser, text, &line, &mistake)) {
    case INFLUX_NOTHING:
        return;
    case INFLUX_MISTAKE:
        reject_line(body, &mistake, text);
        return;
    case INFLUX_LINE:
        break;
    }
    if (line.has_time && !influx_time(line.time, request->precision, &at)) {
        mistake = (struct influx_mistake){REJECT_bad_time, "bad timestamp"};
        reject_line(body, &mistake, text);
        return;
    }
    take_fields(body, &line, at, text);
}

/* Keeps the beginning of a line, or of one that is too long what is shown of it. */
static void keep(struct influx_body *body, struct str bytes)
{
    if (body->too_long)
        return;
    if (bytes.len > body->request.line_bytes_max - body->tail.len) {
        body->too_long = true;
        bytes.len = body->request.line_bytes_max - body->tail.len;
    }
    buf_append(&body->tail, bytes.text, bytes.len);
}

static void end_line(struct influx_body *body, struct str bytes)
{
    const struct influx_mistake too_long = {REJECT_too_long, "the line is too long"};
    struct str line = bytes;

    if (body->tail.len > 0 || bytes.len > body->request.line_bytes_max) {
        keep(body, bytes);
        line = buf_view(&body->tail);
    }
    if (body->too_long)
        reject_line(body, &too_long, line);
    else
        take_line(body, line);
    body->line += 1 + body->cut.newlines;
    body->cut = (struct influx_cut){0};
    body->too_long = false;
    buf_clear(&body->tail);
}

void influx_body_take(struct influx_body *body, struct str bytes)
{
    size_t end = 0;

    while (bytes.len > 0) {
        bool ended = influx_cut(&body->cut, bytes, &end);
        struct str part = {bytes.text, end};
        if (!ended) {
            keep(body, part);
            return;
        }
        end_line(body, part);
        bytes = (struct str){bytes.text + end + 1, bytes.len - end - 1};
    }
}

void influx_body_end(struct influx_body *body)
{
    if (body->tail.len > 0)
        end_line(body, STR_EMPTY);
}

/* --- the verdict ------------------------------------------------------------------------------ */

static void list_mistakes(const struct influx_body *body, struct buf *out)
{
    struct json json = json_to(out);

    json_open(&json, '[');
    for (uint64_t i = 0; i < body->bad_lines && i < INFLUX_SHOWN_MISTAKES; i++) {
        const struct influx_shown *shown = &body->shown[i];
        json_open(&json, '{');
        json_field_u64(&json, "line", shown->line);
        json_field_text(&json, "reason", reject_reason_name(shown->reason));
        json_field_text(&json, "error", shown->words);
        json_field_text(&json, "example", shown->example);
        json_close(&json, '}');
    }
    json_close(&json, ']');
}

unsigned influx_body_verdict(const struct influx_body *body, struct buf *words, struct buf *list)
{
    const struct influx_shown *first = &body->shown[0];
    const struct ledger *counts = &body->counts;
    bool is_partial = counts->stored > 0 || counts->dropped[DROP_string] > 0;

    if (body->bad_lines == 0)
        return 204;
    buf_printf(words, "%sunable to parse '%s': %s (line %llu)", is_partial ? "partial write: " : "",
               first->example, first->words, (unsigned long long)first->line);
    if (body->bad_lines > 1)
        buf_printf(words, " (and %llu other parse errors)",
                   (unsigned long long)(body->bad_lines - 1));
    buf_printf(words, " dropped=%llu", (unsigned long long)body->bad_lines);
    list_mistakes(body, list);
    return 400;
}
