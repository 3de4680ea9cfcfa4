/* Slack's incoming webhooks: text and blocks (hooks.md 3.1). */
#include <string.h>

#include "alert/hook.h"

/* In bytes after escaping, which are never fewer than the characters that Slack counts. Its limits
 * are 150 for a header, 3000 for a section and a button's url, 2000 for a field, and near 13,000
 * for all blocks together. */
enum {
    HEADER_MAX = 150,
    BUTTON_URL_MAX = 3000,
    TEXT_MAX = 2800,
    ACTION_MAX = 2000,
    SHORT_MAX = 300
};

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    default:
        return NULL;
    }
}

static size_t character_len(struct str text, size_t at)
{
    size_t len = 1;
    while (at + len < text.len && ((unsigned char)text.text[at + len] & 0xC0) == 0x80)
        len++;
    return len;
}

/* Appends the text with & < > as entities; what would make it longer than `max` is replaced by
 * "...", and neither a character nor an entity is cut in two. */
static void escape(struct buf *out, struct str text, size_t max)
{
    size_t start = out->len;
    size_t cut_at = start; /* where "..." still fits */
    size_t at = 0;

    while (at < text.len) {
        const char *replaced = entity(text.text[at]);
        size_t len = replaced == NULL ? character_len(text, at) : 1;
        size_t need = replaced == NULL ? len : strlen(replaced);
        size_t used = out->len - start;

        if (used + need > max) {
            out->len = cut_at;
            buf_text(out, "...");
            return;
        }
        if (replaced == NULL)
            buf_append(out, text.text + at, len);
        else
            buf_text(out, replaced);
        if (out->len - start + 3 <= max)
            cut_at = out->len;
        at += len;
    }
}

static void text_object(struct json *json, const char *type, const struct buf *text)
{
    json_open(json, '{');
    json_field_text(json, "type", type);
    json_field_str(json, "text", buf_view(text));
    json_close(json, '}');
}

static void header_words(const struct event *event, struct buf *out)
{
    buf_char(out, '[');
    switch (event->type) {
    case EVENT_FIRING:
        escape(out, event->severity, SHORT_MAX);
        break;
    case EVENT_RESOLVED:
        buf_text(out, "resolved");
        break;
    case EVENT_ENDED:
        buf_text(out, "ended");
        break;
    case EVENT_TEST:
        buf_text(out, "test");
        break;
    case EVENT_RESTATED:
        buf_text(out, "restated");
        break;
    }
    buf_text(out, "] ");
}

static void write_header(const struct event *event, struct json *json)
{
    struct buf text = BUF_EMPTY;

    header_words(event, &text);
    escape(&text, event->title.len > 0 ? event->title : event->rule,
           text.len < HEADER_MAX ? HEADER_MAX - text.len : 0);
    json_open(json, '{');
    json_field_text(json, "type", "header");
    json_key(json, "text");
    text_object(json, "plain_text", &text);
    json_close(json, '}');
    buf_fini(&text);
}

static void write_field(struct json *json, const char *name, struct str value)
{
    struct buf text = BUF_EMPTY;

    if (value.len == 0)
        return;
    buf_printf(&text, "*%s*\n", name);
    escape(&text, value, SHORT_MAX);
    text_object(json, "mrkdwn", &text);
    buf_fini(&text);
}

static bool has_fields(const struct event *event)
{
    return event->value_text.len > 0 || event->target_text.len > 0 || event->status.len > 0 ||
           event->period.len > 0;
}

static void write_section(const struct event *event, struct json *json)
{
    struct buf text = BUF_EMPTY;

    escape(&text, event->text, TEXT_MAX);
    if (text.len == 0)
        buf_text(&text, "-"); /* Slack refuses an empty text */
    json_open(json, '{');
    json_field_text(json, "type", "section");
    json_key(json, "text");
    text_object(json, "mrkdwn", &text);
    if (has_fields(event)) {
        json_key(json, "fields");
        json_open(json, '[');
        write_field(json, "Value", event->value_text);
        write_field(json, "Target", event->target_text);
        write_field(json, "Status", event->status);
        write_field(json, "Period", event->period);
        json_close(json, ']');
    }
    json_close(json, '}');
    buf_fini(&text);
}

static bool is_link(struct str text)
{
    return text.len <= BUTTON_URL_MAX &&
           (str_starts_with(text, "https://") || str_starts_with(text, "http://"));
}

/* What to do, and the runbook when it is no link that a button could hold. */
static void write_action(const struct event *event, struct json *json)
{
    struct buf text = BUF_EMPTY;
    bool runbook_as_text = event->runbook.len > 0 && !is_link(event->runbook);

    if (event->action.len > 0) {
        buf_text(&text, "*Do* ");
        escape(&text, event->action, ACTION_MAX);
    }
    if (runbook_as_text) {
        buf_text(&text, text.len > 0 ? "\n*Runbook* " : "*Runbook* ");
        escape(&text, event->runbook, SHORT_MAX);
    }
    if (text.len > 0) {
        json_open(json, '{');
        json_field_text(json, "type", "section");
        json_key(json, "text");
        text_object(json, "mrkdwn", &text);
        json_close(json, '}');
    }
    buf_fini(&text);
}

static void write_button(struct json *json, const char *label, struct str url)
{
    json_open(json, '{');
    json_field_text(json, "type", "button");
    json_key(json, "text");
    json_open(json, '{');
    json_field_text(json, "type", "plain_text");
    json_field_text(json, "text", label);
    json_close(json, '}');
    json_field_str(json, "url", url);
    json_close(json, '}');
}

/* "https://kpi.acme.example/k/mrr"; empty without a base or a KPI. */
static void kpi_link(const struct hook *hook, const struct event *event, struct buf *out)
{
    struct str base = str_of(hook->base_url);

    while (base.len > 0 && base.text[base.len - 1] == '/')
        base.len--;
    if (base.len == 0 || event->kpi.len == 0)
        return;
    buf_str(out, base);
    buf_text(out, "/k/");
    buf_str(out, event->kpi);
}

static void write_buttons(const struct hook *hook, const struct event *event, struct json *json)
{
    struct buf link = BUF_EMPTY;
    bool has_runbook = is_link(event->runbook);

    kpi_link(hook, event, &link);
    bool has_link = is_link(buf_view(&link));
    if (has_link || has_runbook) {
        json_open(json, '{');
        json_field_text(json, "type", "actions");
        json_key(json, "elements");
        json_open(json, '[');
        if (has_link)
            write_button(json, "Open", buf_view(&link));
        if (has_runbook)
            write_button(json, "Runbook", event->runbook);
        json_close(json, ']');
        json_close(json, '}');
    }
    buf_fini(&link);
}

static void write_context(const struct event *event, struct json *json)
{
    struct buf text = BUF_EMPTY;
    char utc[CLOCK_TEXT_SIZE];

    if (event->at_text.len > 0)
        escape(&text, event->at_text, SHORT_MAX);
    else
        buf_text(&text, clock_format_utc(event->at, utc));
    if (event->rule.len > 0) {
        buf_text(&text, " · rule ");
        escape(&text, event->rule, SHORT_MAX);
    }
    buf_printf(&text, " · #%.6s", event->id);
    json_open(json, '{');
    json_field_text(json, "type", "context");
    json_key(json, "elements");
    json_open(json, '[');
    text_object(json, "mrkdwn", &text);
    json_close(json, ']');
    json_close(json, '}');
    buf_fini(&text);
}

static bool render(const struct hook *hook, const struct event *event, wall_ms now,
                   struct hook_request *out, struct error *err)
{
    struct json json = json_to(&out->body);
    struct buf text = BUF_EMPTY;
    (void)now;
    (void)err;

    header_words(event, &text);
    escape(&text, event->text, TEXT_MAX);
    json_open(&json, '{');
    json_field_str(&json, "text", buf_view(&text));
    json_key(&json, "blocks");
    json_open(&json, '[');
    write_header(event, &json);
    write_section(event, &json);
    write_action(event, &json);
    write_buttons(hook, event, &json);
    write_context(event, &json);
    json_close(&json, ']');
    json_close(&json, '}');
    buf_fini(&text);
    return true;
}

static enum hook_result classify(long status, struct str body)
{
    struct str answer = str_trim(body);

    /* A page instead of Slack's "ok" comes from something in between. */
    if (status == 200)
        return str_starts_with(answer, "<") ? HOOK_RETRY : HOOK_OK;
    if (status > 200 && status < 300)
        return HOOK_OK;
    if (status == 0 || status == 408 || status == 429 || status >= 500)
        return HOOK_RETRY;
    if (status == 404 || status == 410 ||
        (status == 400 && str_starts_with(answer, "invalid_token")))
        return HOOK_DISABLE;
    return HOOK_PERMANENT;
}

const struct hook_kind HOOK_SLACK = {"slack", render, classify};
