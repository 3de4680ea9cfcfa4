#include "ingest/dogstatsd.h"

#include <assert.h>

#include "ingest/statsd_text.h"

#define EVENT_BEGIN "_e{"
#define CHECK_BEGIN "_sc|"

struct dogstatsd_line dogstatsd_line_of(struct str text)
{
    text = statsd_without_return(text);
    return (struct dogstatsd_line){.more = text.len > 0, .why = REJECT_NONE, .text = text};
}

/* --- fields ------------------------------------------------------------------------------------
 */

/* The next field of "|field|field"; false at the end. */
static bool next_field(struct str *fields, struct str *out)
{
    if (fields->len == 0)
        return false;
    size_t end = statsd_find(*fields, 1, '|');
    *out = statsd_cut(*fields, 1, end);
    *fields = statsd_cut(*fields, end, fields->len);
    return true;
}

/* D4: who sent it, which changes no figure. "card:" begins with a 'c' too. */
static bool is_origin(struct str field)
{
    return str_starts_with(field, "c:") || str_starts_with(field, "e:") ||
           str_starts_with(field, "card:");
}

/* D5: whole seconds, at least 1. */
static bool take_seconds(struct str text, wall_ms *out)
{
    uint64_t seconds = 0;

    if (!str_parse_u64(text, &seconds) || seconds < 1 || seconds > INT64_MAX / MS_PER_SECOND)
        return false;
    *out = (wall_ms)seconds * MS_PER_SECOND;
    return true;
}

static bool take_type(struct str type, enum metric_kind *out)
{
    if (type.len == 2 && type.text[0] == 'm' && type.text[1] == 's') {
        *out = METRIC_DISTRIBUTION;
        return true;
    }
    if (type.len != 1)
        return false;
    switch (type.text[0]) {
    case 'c':
        *out = METRIC_COUNTER;
        return true;
    case 'g':
        *out = METRIC_GAUGE;
        return true;
    case 'h':
    case 'd':
        *out = METRIC_DISTRIBUTION;
        return true;
    case 's':
        *out = METRIC_UNIQUE;
        return true;
    default:
        return false;
    }
}

static void set_tags(struct str tags, struct sample *out)
{
    out->tags = tags.len == 0 ? STR_EMPTY : tags;
    out->tag_style = tags.len == 0 ? TAGS_NONE : TAGS_COLON;
}

/* One field after the type. What it says about the weight counts for numbers that add up alone, but
 * it must be one. */
static enum reject_reason take_field(struct str field, struct sample *form, uint32_t *unknown)
{
    struct str rest = field.len == 0 ? STR_EMPTY : statsd_cut(field, 1, field.len);

    switch (field.len == 0 ? '\0' : field.text[0]) {
    case '@':
        return statsd_take_rate(rest, &form->weight) ? REJECT_NONE : REJECT_bad_rate;
    case '#':
        set_tags(rest, form);
        return REJECT_NONE;
    case 'T':
        return take_seconds(rest, &form->at) ? REJECT_NONE : REJECT_bad_time;
    default:
        *unknown += !is_origin(field);
        return REJECT_NONE;
    }
}

static bool may_be_timed(enum metric_kind kind)
{
    return kind == METRIC_COUNTER || kind == METRIC_GAUGE;
}

static bool is_weighed(enum metric_kind kind)
{
    return kind == METRIC_COUNTER || kind == METRIC_DISTRIBUTION;
}

/* --- a line ------------------------------------------------------------------------------------
 */

/* "type|field|field". */
static void take_form(struct dogstatsd_line *line, struct str fields)
{
    struct sample *form = &line->form;
    struct str field;

    size_t end = statsd_find(fields, 0, '|');
    struct str type = statsd_cut(fields, 0, end);
    if (!take_type(type, &form->kind))
        line->form_why = type.len == 0 ? REJECT_malformed : REJECT_bad_type;
    fields = statsd_cut(fields, end, fields.len);
    while (next_field(&fields, &field)) {
        enum reject_reason why = take_field(field, form, &line->unknown);
        if (line->form_why == REJECT_NONE)
            line->form_why = why;
    }
    if (line->form_why == REJECT_NONE && form->at != WALL_NONE && !may_be_timed(form->kind))
        line->form_why = REJECT_bad_time;
    if (!is_weighed(form->kind))
        form->weight = WEIGHT_ONE;
}

/* Everything but the values; false: it is no line of a metric (D9). */
static bool start(struct dogstatsd_line *line)
{
    struct str text = line->text;

    line->started = true;
    line->form = (struct sample){
        .kind = METRIC_COUNTER, .form = SAMPLE_VALUE, .weight = WEIGHT_ONE, .at = WALL_NONE};
    line->form_why = REJECT_NONE;
    size_t bar = statsd_find(text, 0, '|');
    size_t colon = statsd_find(text, 0, ':');
    if (bar == text.len || colon >= bar) {
        line->form_why = REJECT_malformed;
        return false;
    }
    if (colon == 0) {
        line->form_why = REJECT_bad_name;
        return false;
    }
    line->form.name = statsd_cut(text, 0, colon);
    line->values = statsd_cut(text, colon + 1, bar);
    take_form(line, statsd_cut(text, bar + 1, text.len));
    return true;
}

static void reject(struct dogstatsd_line *line, enum reject_reason why, struct ledger *ledger)
{
    ledger->received++;
    ledger->rejected[why]++;
    line->rejected++;
    line->why = why;
}

static enum reject_reason take_value(struct str text, struct sample *out)
{
    out->text = text;
    if (out->kind == METRIC_UNIQUE)
        return REJECT_NONE;
    if (!str_parse_double(text, &out->value) || !statsd_can_weigh(out->value, out->weight))
        return REJECT_bad_number; /* S5 */
    return REJECT_NONE;
}

/* The next of "1:2:3", or the whole of it for a set (D3); false at the end. Empty ones are skipped
 * (D2). */
static bool next_value(struct dogstatsd_line *line, struct str *out)
{
    *out = STR_EMPTY;
    while (out->len == 0 && line->values.len > 0) {
        if (line->form.kind == METRIC_UNIQUE) {
            *out = line->values;
            line->values = STR_EMPTY;
        } else {
            *out = str_split(&line->values, ':');
        }
    }
    return out->len > 0;
}

size_t dogstatsd_parse(struct dogstatsd_line *line, struct sample *out, size_t max,
                       struct ledger *ledger)
{
    size_t count = 0;

    if (line->more && !line->started && !start(line)) {
        reject(line, line->form_why, ledger);
        line->more = false;
    }
    while (line->more && count < max) {
        struct str value;
        line->more = next_value(line, &value);
        if (!line->more) {
            if (!line->any) /* D2, D9: not one value */
                reject(line, line->form_why == REJECT_NONE ? REJECT_malformed : line->form_why,
                       ledger);
            break;
        }
        line->any = true;
        out[count] = line->form;
        enum reject_reason why =
            line->form_why != REJECT_NONE ? line->form_why : take_value(value, &out[count]);
        if (why != REJECT_NONE) {
            reject(line, why, ledger);
            continue;
        }
        ledger->received++;
        count++;
    }
    return count;
}

/* Where a name ends; at a '|' it has no value. */
static inline statsd_bytes16 value_begins_in(statsd_bytes16 bytes)
{
    return (statsd_bytes16)((bytes == ':') | (bytes == '|'));
}

static inline bool value_begins_at(char c)
{
    return c == ':' || c == '|';
}

bool dogstatsd_parse_plain(struct str text, struct sample *out, struct ledger *ledger)
{
    enum metric_kind kind = METRIC_COUNTER;
    uint32_t unknown = 0;
    struct str field;

    text = statsd_without_return(text);
    size_t colon = statsd_scan(text, value_begins_in, value_begins_at);
    size_t bar = colon + 1;
    while (bar < text.len && text.text[bar] != '|' && text.text[bar] != ':')
        bar++;
    if (colon == 0 || bar >= text.len || text.text[colon] != ':' || text.text[bar] != '|')
        return false;
    size_t end = bar + 2;
    if (end < text.len && text.text[end] == 's')
        end++;
    if (end > text.len || (end < text.len && text.text[end] != '|') ||
        !take_type(statsd_cut(text, bar + 1, end), &kind) || kind == METRIC_UNIQUE)
        return false;
    out->name = statsd_cut(text, 0, colon);
    out->kind = kind;
    out->form = SAMPLE_VALUE;
    out->weight = WEIGHT_ONE;
    out->at = WALL_NONE;
    set_tags(STR_EMPTY, out);
    struct str fields = statsd_cut(text, end, text.len);
    while (next_field(&fields, &field)) {
        if (take_field(field, out, &unknown) != REJECT_NONE)
            return false;
    }
    if (unknown > 0 || (out->at != WALL_NONE && !may_be_timed(kind)))
        return false;
    if (!is_weighed(kind))
        out->weight = WEIGHT_ONE;
    if (take_value(statsd_cut(text, colon + 1, bar), out) != REJECT_NONE)
        return false;
    ledger->received++;
    return true;
}

/* --- events ------------------------------------------------------------------------------------
 */

bool dogstatsd_is_event(struct str text)
{
    return str_starts_with(text, EVENT_BEGIN);
}

bool dogstatsd_is_check(struct str text)
{
    return str_starts_with(text, CHECK_BEGIN);
}

/* "{title's bytes,text's bytes}:"; what follows it into `rest`. */
static bool take_lengths(struct str text, uint64_t *title, uint64_t *body, struct str *rest)
{
    struct str lengths = statsd_cut(text, sizeof EVENT_BEGIN - 1, text.len);
    size_t end = statsd_find(lengths, 0, '}');

    if (end == lengths.len)
        return false;
    *rest = statsd_cut(lengths, end + 1, lengths.len);
    lengths.len = end;
    struct str first = str_split(&lengths, ',');
    if (!str_parse_u64(first, title) || !str_parse_u64(lengths, body) || rest->len == 0 ||
        rest->text[0] != ':')
        return false;
    *rest = statsd_cut(*rest, 1, rest->len);
    return true;
}

/* One optional field; false: it is unknown, or nothing can be made of it (D10). */
static bool take_event_field(struct str field, struct annotation *out)
{
    struct str rest = field.len < 2 ? STR_EMPTY : statsd_cut(field, 2, field.len);

    if (field.len > 0 && field.text[0] == '#') {
        out->tags = statsd_cut(field, 1, field.len);
        return true;
    }
    if (is_origin(field))
        return true;
    if (field.len < 2 || field.text[1] != ':')
        return false;
    switch (field.text[0]) {
    case 'd':
        return take_seconds(rest, &out->at);
    case 'h':
        out->host = rest;
        return true;
    case 'k':
        out->key = rest;
        return true;
    case 's':
        out->source = rest;
        return true;
    case 'p':
        out->is_low = str_is(rest, "low");
        return out->is_low || str_is(rest, "normal");
    case 't':
        return annotation_kind_parse(rest, &out->kind);
    default:
        return false;
    }
}

bool dogstatsd_parse_event(struct str text, struct annotation *out, uint32_t *unknown,
                           enum reject_reason *why)
{
    uint64_t title = 0;
    uint64_t body = 0;
    struct str rest;
    struct str field;

    assert(dogstatsd_is_event(text));
    *out = (struct annotation){.at = WALL_NONE, .kind = ANNOTATION_INFO};
    *why = REJECT_malformed;
    /* Compared one after the other, so that no sum of lengths can overflow. */
    if (!take_lengths(statsd_without_return(text), &title, &body, &rest) || title == 0 ||
        title >= rest.len || rest.text[title] != '|' || body > rest.len - title - 1)
        return false;
    out->title = statsd_cut(rest, 0, title);
    out->text = statsd_cut(rest, title + 1, title + 1 + body);
    struct str fields = statsd_cut(rest, title + 1 + body, rest.len);
    if (fields.len > 0 && fields.text[0] != '|')
        return false;
    while (next_field(&fields, &field))
        *unknown += !take_event_field(field, out);
    *why = REJECT_NONE;
    return true;
}

size_t dogstatsd_unescape(struct str text, char *out, size_t room)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len && len < room; i++) {
        bool is_newline = text.text[i] == '\\' && i + 1 < text.len && text.text[i + 1] == 'n';
        out[len++] = (char)(is_newline ? '\n' : text.text[i]);
        i += is_newline;
    }
    return len;
}

/* --- service checks ----------------------------------------------------------------------------
 */

/* A message may hold a '|'; it ends where the origin begins, which clients put behind it. */
static struct str take_message(struct str *fields)
{
    struct str rest = *fields;
    struct str field;
    size_t end = 0;

    while (next_field(&rest, &field)) {
        if (end > 0 && is_origin(field))
            break;
        end = fields->len - rest.len;
    }
    struct str message = statsd_cut(*fields, sizeof "|m:" - 1, end);
    *fields = statsd_cut(*fields, end, fields->len);
    return message;
}

static bool take_check_field(struct str field, struct dogstatsd_check *out)
{
    if (field.len > 0 && field.text[0] == '#') {
        out->tags = statsd_cut(field, 1, field.len);
        return true;
    }
    if (str_starts_with(field, "d:"))
        return take_seconds(statsd_cut(field, 2, field.len), &out->at);
    if (str_starts_with(field, "h:")) {
        out->host = statsd_cut(field, 2, field.len);
        return true;
    }
    return is_origin(field);
}

bool dogstatsd_parse_check(struct str text, struct dogstatsd_check *out, uint32_t *unknown,
                           enum reject_reason *why)
{
    uint64_t status = 0;
    struct str field;

    assert(dogstatsd_is_check(text));
    text = statsd_without_return(text);
    *out = (struct dogstatsd_check){.at = WALL_NONE};
    *why = REJECT_malformed;
    struct str fields = statsd_cut(text, sizeof CHECK_BEGIN - 2, text.len);
    if (!next_field(&fields, &out->name) || out->name.len == 0)
        return false;
    if (!next_field(&fields, &field))
        return false;
    *why = REJECT_bad_number;
    if (field.len != 1 || !str_parse_u64(field, &status) || status >= CHECK_STATUS_COUNT)
        return false;
    out->status = (enum check_status)status;
    while (fields.len > 0) {
        if (str_starts_with(fields, "|m:"))
            out->message = take_message(&fields);
        else if (next_field(&fields, &field))
            *unknown += !take_check_field(field, out);
    }
    *why = REJECT_NONE;
    return true;
}
