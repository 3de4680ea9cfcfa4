#include "alert/event.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>

enum { EVENT_VERSION = 2, HAS_VALUE = 1, HAS_TARGET = 2, HAS_OLD_VALUE = 4, ID_BYTES = 16 };

const char *event_type_name(enum event_type type)
{
    switch (type) {
    case EVENT_FIRING:
        return "kpi.alert.firing";
    case EVENT_RESOLVED:
        return "kpi.alert.resolved";
    case EVENT_ENDED:
        return "kpi.alert.ended";
    case EVENT_TEST:
        return "kpid.test";
    case EVENT_RESTATED:
        return "kpi.period.restated";
    }
    return "kpid.test";
}

void event_new_id(char out[33])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[ID_BYTES];
    ssize_t got = -1;

    do {
        got = getrandom(bytes, sizeof bytes, 0);
    } while (got < 0 && errno == EINTR);
    assert(got == (ssize_t)sizeof bytes); /* up to 256 bytes always come whole */
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * sizeof bytes] = '\0';
}

/* The texts in the order in which they are stored. */
#define EVENT_TEXTS(X)                                                                             \
    X(alert_id)                                                                                    \
    X(rule)                                                                                        \
    X(kpi)                                                                                         \
    X(title)                                                                                       \
    X(severity)                                                                                    \
    X(status)                                                                                      \
    X(unit)                                                                                        \
    X(value_text)                                                                                  \
    X(target_text)                                                                                 \
    X(period)                                                                                      \
    X(reason)                                                                                      \
    X(text)                                                                                        \
    X(action)                                                                                      \
    X(runbook)                                                                                     \
    X(period_from_text)                                                                            \
    X(period_to_text)                                                                              \
    X(at_text)

void event_encode(const struct event *event, struct buf *out)
{
    int flags = (event->has_value ? HAS_VALUE : 0) | (event->has_target ? HAS_TARGET : 0) |
                (event->has_old_value ? HAS_OLD_VALUE : 0);

    buf_u8(out, EVENT_VERSION);
    buf_u8(out, (uint8_t)event->type);
    buf_i64(out, event->at);
    buf_i64(out, event->period_from);
    buf_i64(out, event->period_to);
    buf_u8(out, (uint8_t)flags);
    buf_double(out, event->has_value ? event->value : 0);
    buf_double(out, event->has_target ? event->target : 0);
    buf_block(out, str_of(event->id));
#define EVENT_TEXTS_ENCODE(name) buf_block(out, event->name);
    EVENT_TEXTS(EVENT_TEXTS_ENCODE)
#undef EVENT_TEXTS_ENCODE
    buf_double(out, event->has_old_value ? event->old_value : 0);
    buf_block(out, event->old_value_text);
    buf_block(out, event->old_status);
}

bool event_decode(struct str bytes, struct event *out)
{
    struct reader reader = reader_of(bytes);
    struct event event = {0};

    uint8_t version = read_u8(&reader);
    uint8_t type = read_u8(&reader);
    event.at = read_i64(&reader);
    event.period_from = read_i64(&reader);
    event.period_to = read_i64(&reader);
    uint8_t flags = read_u8(&reader);
    event.value = read_double(&reader);
    event.target = read_double(&reader);
    struct str id = read_block(&reader);
#define EVENT_TEXTS_DECODE(name) event.name = read_block(&reader);
    EVENT_TEXTS(EVENT_TEXTS_DECODE)
#undef EVENT_TEXTS_DECODE
    if (version >= 2) {
        event.old_value = read_double(&reader);
        event.old_value_text = read_block(&reader);
        event.old_status = read_block(&reader);
    }
    unsigned known = HAS_VALUE | HAS_TARGET | (version >= 2 ? HAS_OLD_VALUE : 0);
    if (!reader.ok || reader.left != 0 || version < 1 || version > EVENT_VERSION ||
        type > EVENT_RESTATED || (flags & ~known) != 0 || id.len >= sizeof event.id ||
        (id.len > 0 && memchr(id.text, '\0', id.len) != NULL))
        return false;
    event.type = (enum event_type)type;
    event.has_value = (flags & HAS_VALUE) != 0;
    event.has_target = (flags & HAS_TARGET) != 0;
    event.has_old_value = (flags & HAS_OLD_VALUE) != 0;
    if (id.len > 0)
        memcpy(event.id, id.text, id.len);
    *out = event;
    return true;
}

/* What is empty does not exist. */
static void field_or_null(struct json *json, const char *name, struct str text)
{
    json_key(json, name);
    if (text.len == 0)
        json_text(json, NULL);
    else
        json_str(json, text);
}

/* What a restatement says of before; null in other events. */
static void write_old(const struct event *event, struct json *json)
{
    json_key(json, "old");
    if (event->type != EVENT_RESTATED) {
        json_text(json, NULL);
        return;
    }
    json_open(json, '{');
    json_field_number(json, "value", event->has_old_value ? event->old_value : NAN);
    field_or_null(json, "value_text", event->old_value_text);
    field_or_null(json, "status", event->old_status);
    json_close(json, '}');
}

static void write_figures(const struct event *event, struct json *json)
{
    json_key(json, "value");
    if (event->has_value)
        json_number(json, event->value);
    else
        json_text(json, NULL);
    json_field_str(json, "unit", event->unit);
    field_or_null(json, "value_text", event->value_text);
    json_key(json, "target");
    if (event->has_target) {
        json_open(json, '{');
        json_field_number(json, "to", event->target);
        json_field_str(json, "text", event->target_text);
        json_close(json, '}');
    } else {
        json_text(json, NULL);
    }
    json_key(json, "period");
    if (event->period.len > 0) {
        json_open(json, '{');
        json_field_str(json, "name", event->period);
        json_field_str(json, "from", event->period_from_text);
        json_field_str(json, "to", event->period_to_text);
        json_close(json, '}');
    } else {
        json_text(json, NULL);
    }
}

void event_json(const struct event *event, struct json *json)
{
    char utc[CLOCK_TEXT_SIZE];
    struct str at = event->at_text;

    if (at.len == 0)
        at = str_of(clock_format_utc(event->at, utc));
    json_open(json, '{');
    json_field_text(json, "type", event_type_name(event->type));
    json_field_str(json, "timestamp", at);
    json_key(json, "data");
    json_open(json, '{');
    json_field_text(json, "id", event->id);
    field_or_null(json, "alert_id", event->alert_id);
    field_or_null(json, "rule", event->rule);
    field_or_null(json, "kpi", event->kpi);
    field_or_null(json, "title", event->title);
    field_or_null(json, "severity", event->severity);
    field_or_null(json, "status", event->status);
    write_figures(event, json);
    write_old(event, json);
    field_or_null(json, "reason", event->reason);
    json_field_str(json, "text", event->text);
    field_or_null(json, "do", event->action);
    field_or_null(json, "runbook", event->runbook);
    json_close(json, '}');
    json_close(json, '}');
}
