#include "ingest/http_answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/json.h"

enum { RETRY_AFTER_S = 2, STATUS_MAX = 599 };

void http_answer_fini(struct http_answer *answer)
{
    buf_fini(&answer->words);
    buf_fini(&answer->body);
}

static const char *reason_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {{200, "OK"},
                   {204, "No Content"},
                   {400, "Bad Request"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {413, "Content Too Large"},
                   {415, "Unsupported Media Type"},
                   {422, "Unprocessable Content"},
                   {431, "Request Header Fields Too Large"},
                   {503, "Service Unavailable"},
                   {505, "HTTP Version Not Supported"}};

    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Error";
}

/* InfluxDB 2's names of what went wrong. */
static const char *code_of(unsigned status)
{
    switch (status) {
    case 404:
        return "not found";
    case 405:
        return "method not allowed";
    case 413:
        return "request too large";
    case 422:
        return "conflict";
    case 503:
        return "unavailable";
    default:
        return "invalid";
    }
}

void http_answer_mistake(struct http_answer *answer, unsigned status, struct str words,
                         struct str list)
{
    struct json json = json_to(&answer->body);

    answer->status = status;
    buf_clear(&answer->words);
    buf_clear(&answer->body);
    buf_str(&answer->words, words);
    json_open(&json, '{');
    if (answer->dialect == HTTP_INFLUX_2)
        json_field_text(&json, "code", code_of(status));
    json_field_str(&json, answer->dialect == HTTP_INFLUX_2 ? "message" : "error", words);
    if (list.len > 0) {
        json_key(&json, "lines");
        json_raw(&json, list);
    }
    json_close(&json, '}');
    buf_char(&answer->body, '\n');
}

void http_answer_set(struct http_answer *answer, unsigned status, const char *format, ...)
{
    char words[400];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    http_answer_mistake(answer, status, str_of(words), STR_EMPTY);
}

void http_answer_busy(struct http_answer *answer, const char *words)
{
    http_answer_set(answer, 503, "%s", words);
    answer->retry_after_s = RETRY_AFTER_S;
}

/* --- the response -----------------------------------------------------------------------------
 */

/* RFC 9110, whatever the locale. */
static void put_date(struct buf *out, wall_ms now)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(now / 1000);
    struct tm utc;

    if (gmtime_r(&seconds, &utc) == NULL)
        return;
    buf_printf(out, "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n", days[utc.tm_wday], utc.tm_mday,
               months[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

/* A header's value is one line of visible characters, whatever a client sent. */
static void put_words(struct buf *out, struct str words)
{
    buf_text(out, "X-Influxdb-Error: ");
    for (size_t i = 0; i < words.len; i++) {
        char c = words.text[i];
        buf_char(out, (char)(c >= 0x20 && c < 0x7f ? c : '?'));
    }
    buf_text(out, "\r\n");
}

void http_answer_format(const struct http_answer *answer, const struct http_answer_form *form,
                        struct buf *out)
{
    struct str body = buf_view(&answer->body);

    buf_printf(out, "HTTP/1.1 %u %s\r\n", answer->status, reason_of(answer->status));
    put_date(out, form->now);
    buf_text(out, "X-Influxdb-Version: 1.8-kpid-" KPID_VERSION "\r\n");
    buf_printf(out, "Request-Id: %016llx\r\n", (unsigned long long)form->request_id);
    if (answer->words.len > 0 && answer->dialect == HTTP_INFLUX_1)
        put_words(out, buf_view(&answer->words));
    if (answer->allow != NULL)
        buf_printf(out, "Allow: %s\r\n", answer->allow);
    if (answer->retry_after_s > 0)
        buf_printf(out, "Retry-After: %u\r\n", answer->retry_after_s);
    if (body.len > 0)
        buf_text(out, "Content-Type: application/json\r\n");
    if (answer->status != 204)
        buf_printf(out, "Content-Length: %zu\r\n", body.len);
    buf_printf(out, "Connection: %s\r\n\r\n", form->keep_alive ? "keep-alive" : "close");
    if (!form->head_only && answer->status != 204)
        buf_str(out, body);
}

/* --- kept answers ----------------------------------------------------------------------------- */

void http_answer_encode(const struct http_answer *answer, struct buf *out)
{
    buf_u8(out, (uint8_t)(answer->status & 0xff));
    buf_u8(out, (uint8_t)(answer->status >> 8));
    buf_u8(out, (uint8_t)answer->dialect);
    buf_block(out, buf_view(&answer->words));
    buf_block(out, buf_view(&answer->body));
}

bool http_answer_decode(struct str bytes, struct http_answer *out)
{
    struct reader reader = reader_of(bytes);
    unsigned low = read_u8(&reader);
    unsigned status = low | (unsigned)read_u8(&reader) << 8;
    unsigned dialect = read_u8(&reader);
    struct str words = read_block(&reader);
    struct str body = read_block(&reader);

    if (!reader.ok || reader.left > 0 || status < 200 || status > STATUS_MAX ||
        dialect > HTTP_INFLUX_2)
        return false;
    out->status = status;
    out->dialect = (enum http_dialect)dialect;
    buf_clear(&out->words);
    buf_clear(&out->body);
    buf_str(&out->words, words);
    buf_str(&out->body, body);
    return true;
}
