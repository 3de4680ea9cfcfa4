#include "ingest/http_answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/json.h"

enum { STATUS_MAX = 599 };

void http_answer_fini(struct http_answer *answer)
{
    buf_fini(&answer->words);
    buf_fini(&answer->body);
    buf_fini(&answer->list);
}

static const char *reason_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {{200, "OK"},
                   {204, "No Content"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {413, "Content Too Large"},
                   {415, "Unsupported Media Type"},
                   {422, "Unprocessable Content"},
                   {429, "Too Many Requests"},
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
    case 401:
        return "unauthorized";
    case 404:
        return "not found";
    case 405:
        return "method not allowed";
    case 413:
        return "request too large";
    case 422:
        return "conflict";
    case 429:
        return "too many requests";
    case 503:
        return "unavailable";
    default:
        return "invalid";
    }
}

/* google.rpc.Code, which OTLP's clients log (O5): they judge by the status. */
static unsigned rpc_code_of(unsigned status)
{
    enum {
        INVALID_ARGUMENT = 3,
        DEADLINE_EXCEEDED = 4,
        NOT_FOUND = 5,
        PERMISSION_DENIED = 7,
        RESOURCE_EXHAUSTED = 8,
        FAILED_PRECONDITION = 9,
        UNIMPLEMENTED = 12,
        UNAVAILABLE = 14,
        UNAUTHENTICATED = 16,
    };

    switch (status) {
    case 401:
        return UNAUTHENTICATED;
    case 403:
        return PERMISSION_DENIED;
    case 404:
        return NOT_FOUND;
    case 405:
        return UNIMPLEMENTED;
    case 408:
        return DEADLINE_EXCEEDED;
    case 422:
        return FAILED_PRECONDITION;
    case 429:
        return RESOURCE_EXHAUSTED;
    case 503:
        return UNAVAILABLE;
    default:
        return INVALID_ARGUMENT;
    }
}

/* --- protobuf ---------------------------------------------------------------------------------
 */

static void put_number(struct buf *out, uint8_t field, uint64_t value)
{
    if (value == 0)
        return; /* as proto3 has it */
    buf_u8(out, (uint8_t)(field << 3));
    buf_varint(out, value);
}

static void put_bytes(struct buf *out, uint8_t field, struct str bytes)
{
    buf_u8(out, (uint8_t)(field << 3 | 2));
    buf_varint(out, bytes.len);
    buf_str(out, bytes);
}

/* A string is UTF-8; words that are not were cut or quote somebody. */
static void put_text(struct buf *out, uint8_t field, struct str text)
{
    struct buf ascii = BUF_EMPTY;

    if (text.len == 0)
        return;
    if (str_is_utf8(text)) {
        put_bytes(out, field, text);
        return;
    }
    for (size_t i = 0; i < text.len; i++)
        buf_char(&ascii, (char)((unsigned char)text.text[i] - 1U < 0x7f ? text.text[i] : '?'));
    put_bytes(out, field, buf_view(&ascii));
    buf_fini(&ascii);
}

/* --- bodies -----------------------------------------------------------------------------------
 */

/* google.rpc.Status: int32 code = 1, string message = 2 (O5). */
static void write_rpc_status(struct http_answer *answer, struct str words)
{
    put_number(&answer->body, 1, rpc_code_of(answer->status));
    put_text(&answer->body, 2, words);
}

static void write_rpc_status_json(struct http_answer *answer, struct str words)
{
    struct json json = json_to(&answer->body);

    json_open(&json, '{');
    json_field_u64(&json, "code", rpc_code_of(answer->status));
    json_field_str(&json, "message", words);
    json_close(&json, '}');
}

/* ExportMetricsServiceResponse: partial_success = 1, which has int64 rejected_data_points = 1 and
 * string error_message = 2, and is not there when all is well (O4). */
static void write_partial(struct http_answer *answer, struct str words)
{
    struct buf partial = BUF_EMPTY;

    put_number(&partial, 1, answer->counts.rejected);
    put_text(&partial, 2, words);
    if (partial.len > 0)
        put_bytes(&answer->body, 1, buf_view(&partial));
    buf_fini(&partial);
}

static void write_partial_json(struct http_answer *answer, struct str words)
{
    struct json json = json_to(&answer->body);
    char number[24];

    json_open(&json, '{');
    if (answer->counts.rejected > 0 || words.len > 0) {
        json_key(&json, "partialSuccess");
        json_open(&json, '{');
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)answer->counts.rejected);
        json_field_text(&json, "rejectedDataPoints", number); /* proto3's int64 is a text */
        json_field_str(&json, "errorMessage", words);
        json_close(&json, '}');
    }
    json_close(&json, '}');
}

static bool is_influx(const struct http_answer *answer)
{
    return answer->dialect == HTTP_INFLUX_1 || answer->dialect == HTTP_INFLUX_2;
}

/* What is wrong and, as InfluxDB ends it, how much was dropped (I24). */
static void word_mistake(const struct http_answer *answer, struct buf *out)
{
    buf_str(out, buf_view(&answer->words));
    if (is_influx(answer) && answer->counts.dropped > 0)
        buf_printf(out, " dropped=%llu", (unsigned long long)answer->counts.dropped);
}

static void write_mistake_json(struct http_answer *answer, struct str list)
{
    struct json json = json_to(&answer->body);
    bool is_influx_2 = answer->dialect == HTTP_INFLUX_2;
    struct buf words = BUF_EMPTY;

    word_mistake(answer, &words);
    json_open(&json, '{');
    if (is_influx_2)
        json_field_text(&json, "code", code_of(answer->status));
    json_field_str(&json, is_influx_2 ? "message" : "error", buf_view(&words));
    buf_fini(&words);
    if (list.len > 0) {
        json_key(&json, "lines");
        json_raw(&json, list);
    }
    json_close(&json, '}');
    buf_char(&answer->body, '\n');
}

static void write_stored_json(struct http_answer *answer, struct str words)
{
    struct json json = json_to(&answer->body);

    json_open(&json, '{');
    json_field_u64(&json, "stored", answer->counts.samples);
    if (answer->counts.dropped > 0)
        json_field_u64(&json, "dropped", answer->counts.dropped);
    if (answer->counts.rejected > 0) {
        json_field_u64(&json, "rejected", answer->counts.rejected);
        json_field_str(&json, "error", words);
    }
    json_close(&json, '}');
    buf_char(&answer->body, '\n');
}

static void begin(struct http_answer *answer, unsigned status, struct str words)
{
    answer->status = status;
    answer->retry_after_s = 0;
    buf_clear(&answer->words);
    buf_clear(&answer->body);
    buf_clear(&answer->list);
    buf_str(&answer->words, words);
}

void http_answer_stored(struct http_answer *answer, struct str words)
{
    begin(answer, 204, words);
    switch (answer->dialect) {
    case HTTP_OTLP_PROTOBUF:
        answer->status = 200;
        write_partial(answer, words);
        break;
    case HTTP_OTLP_JSON:
        answer->status = 200;
        write_partial_json(answer, words);
        break;
    case HTTP_PUSH:
        answer->status = 200;
        write_stored_json(answer, words);
        break;
    default:
        break;
    }
}

void http_answer_mistake(struct http_answer *answer, unsigned status, struct str words,
                         struct str list)
{
    begin(answer, status, words);
    buf_str(&answer->list, list);
    switch (answer->dialect) {
    case HTTP_PLAIN:
        buf_str(&answer->body, words);
        buf_char(&answer->body, '\n');
        break;
    case HTTP_OTLP_PROTOBUF:
        write_rpc_status(answer, words);
        break;
    case HTTP_OTLP_JSON:
        write_rpc_status_json(answer, words);
        break;
    default:
        write_mistake_json(answer, list);
        break;
    }
}

/* --- what was dropped after all ---------------------------------------------------------------
 */

static uint64_t take_off(uint64_t *count, uint64_t most)
{
    uint64_t taken = most < *count ? most : *count; /* weights may say more */
    *count -= taken;
    return taken;
}

static uint64_t sum_of(const struct ledger_drops *drops)
{
    uint64_t sum = 0;

    for (int i = 0; i < DROP_REASON_COUNT; i++)
        sum += drops->counts[i];
    return sum;
}

static void drop_of_push(struct http_answer *answer, uint64_t samples)
{
    if (answer->status >= 300 || samples == 0)
        return;
    answer->counts.dropped += take_off(&answer->counts.samples, samples);
    buf_clear(&answer->body);
    write_stored_json(answer, buf_view(&answer->words));
}

/* "25 samples not stored (series_limit 24, too_old 1)", behind the words of the answer. */
static void word_drops(const struct http_answer *answer, const struct ledger_drops *lost,
                       struct buf *out)
{
    const char *before = " (";

    buf_str(out, buf_view(&answer->words));
    uint64_t samples = sum_of(lost);
    buf_printf(out, "%s%llu sample%s not stored", answer->words.len > 0 ? "; " : "",
               (unsigned long long)samples, samples == 1 ? "" : "s");
    for (int i = 0; i < DROP_REASON_COUNT; i++) {
        if (lost->counts[i] == 0)
            continue;
        buf_printf(out, "%s%s %llu", before, drop_reason_name((enum drop_reason)i),
                   (unsigned long long)lost->counts[i]);
        before = ", ";
    }
    buf_char(out, ')');
}

/* As InfluxDB answers what its limits and its retention drop. A list of bad lines stays. */
static void drop_of_influx(struct http_answer *answer, const struct ledger_drops *lost)
{
    struct buf words = BUF_EMPTY;
    struct buf list = answer->list;

    answer->list = (struct buf)BUF_EMPTY;
    if (answer->words.len == 0)
        buf_text(&words, "partial write: ");
    word_drops(answer, lost, &words);
    answer->counts.dropped += sum_of(lost);
    http_answer_mistake(answer, 400, buf_view(&words), buf_view(&list));
    buf_fini(&words);
    buf_fini(&list);
}

static void drop_of_otlp(struct http_answer *answer, const struct ledger_drops *lost)
{
    struct buf words = BUF_EMPTY;

    word_drops(answer, lost, &words);
    answer->counts.rejected += take_off(&answer->counts.samples, sum_of(lost));
    http_answer_stored(answer, buf_view(&words));
    buf_fini(&words);
}

/* The status of what is stored stays: it would make a client drop or send all of it again. */
static void drop_of_remote(struct http_answer *answer, const struct ledger_drops *lost,
                           uint64_t limited)
{
    struct http_counts *counts = &answer->counts;
    struct buf words = BUF_EMPTY;
    uint64_t histograms = take_off(&counts->histograms, lost->histograms);

    (void)take_off(&counts->samples, sum_of(lost) - limited - histograms);
    if (answer->status < 300)
        return;
    word_drops(answer, lost, &words);
    http_answer_mistake(answer, answer->status, buf_view(&words), STR_EMPTY);
    buf_fini(&words);
}

void http_answer_drop(struct http_answer *answer, const struct ledger_drops *drops,
                      uint64_t limited)
{
    struct ledger_drops lost = *drops;

    if (answer->dialect == HTTP_PUSH) {
        drop_of_push(answer, sum_of(drops));
        return;
    }
    lost.counts[DROP_duplicate] = 0;
    lost.counts[DROP_series_limit] += limited;
    if (sum_of(&lost) == 0)
        return;
    switch (answer->dialect) {
    case HTTP_INFLUX_1:
    case HTTP_INFLUX_2:
        drop_of_influx(answer, &lost);
        break;
    case HTTP_OTLP_PROTOBUF:
    case HTTP_OTLP_JSON:
        drop_of_otlp(answer, &lost);
        break;
    default:
        drop_of_remote(answer, &lost, limited);
        break;
    }
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

void http_answer_busy(struct http_answer *answer, unsigned status, const char *words)
{
    http_answer_set(answer, status, "%s", words);
    answer->retry_after_s = HTTP_RETRY_AFTER_S;
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
static void put_words(struct buf *out, const struct http_answer *answer)
{
    struct buf words = BUF_EMPTY;

    word_mistake(answer, &words);
    buf_text(out, "X-Influxdb-Error: ");
    for (size_t i = 0; i < words.len; i++) {
        char c = words.bytes[i];
        buf_char(out, (char)(c >= 0x20 && c < 0x7f ? c : '?'));
    }
    buf_text(out, "\r\n");
    buf_fini(&words);
}

static const char *content_type_of(enum http_dialect dialect)
{
    switch (dialect) {
    case HTTP_PLAIN:
        return "text/plain; charset=utf-8";
    case HTTP_OTLP_PROTOBUF:
        return "application/x-protobuf"; /* of an empty message too (O3) */
    default:
        return "application/json";
    }
}

static void put_written(struct buf *out, const struct http_counts *counts) /* P7 */
{
    static const char prefix[] = "X-Prometheus-Remote-Write";

    buf_printf(out, "%s-Samples-Written: %llu\r\n", prefix, (unsigned long long)counts->samples);
    buf_printf(out, "%s-Histograms-Written: %llu\r\n", prefix,
               (unsigned long long)counts->histograms);
    buf_printf(out, "%s-Exemplars-Written: %llu\r\n", prefix,
               (unsigned long long)counts->exemplars);
}

static void put_headers(const struct http_answer *answer, struct buf *out)
{
    if (is_influx(answer))
        buf_text(out, "X-Influxdb-Version: 1.8-kpid-" KPID_VERSION "\r\n");
    if (answer->words.len > 0 && answer->dialect == HTTP_INFLUX_1)
        put_words(out, answer);
    if (answer->says_written)
        put_written(out, &answer->counts);
    if (answer->status == 401) /* I23 */
        buf_printf(out, "WWW-Authenticate: %s\r\n",
                   is_influx(answer) ? "Basic realm=\"InfluxDB\"" : "Bearer");
    if (answer->allow != NULL)
        buf_printf(out, "Allow: %s\r\n", answer->allow);
    if (answer->retry_after_s > 0)
        buf_printf(out, "Retry-After: %u\r\n", answer->retry_after_s);
}

void http_answer_format(const struct http_answer *answer, const struct http_answer_form *form,
                        struct buf *out)
{
    struct str body = buf_view(&answer->body);
    bool has_body = answer->status != 204;

    buf_printf(out, "HTTP/1.1 %u %s\r\n", answer->status, reason_of(answer->status));
    put_date(out, form->now);
    buf_printf(out, "Request-Id: %016llx\r\n", (unsigned long long)form->request_id);
    put_headers(answer, out);
    if (has_body && (body.len > 0 || answer->dialect == HTTP_OTLP_PROTOBUF))
        buf_printf(out, "Content-Type: %s\r\n", content_type_of(answer->dialect));
    if (has_body)
        buf_printf(out, "Content-Length: %zu\r\n", body.len);
    buf_printf(out, "Connection: %s\r\n\r\n", form->keep_alive ? "keep-alive" : "close");
    if (has_body && !form->head_only)
        buf_str(out, body);
}

/* --- kept answers ----------------------------------------------------------------------------- */

enum { SAYS_WRITTEN = 1, HAS_DROPPED = 2 };

void http_answer_encode(const struct http_answer *answer, struct buf *out)
{
    struct str words = buf_view(&answer->words);

    words.len = words.len < HTTP_KEPT_WORDS ? words.len : HTTP_KEPT_WORDS;
    buf_u8(out, 0);
    buf_u8(out, (uint8_t)answer->dialect);
    buf_u8(out, (uint8_t)((answer->says_written ? SAYS_WRITTEN : 0) |
                          (answer->counts.dropped > 0 ? HAS_DROPPED : 0)));
    buf_u32(out, answer->status);
    buf_varint(out, answer->counts.samples);
    buf_varint(out, answer->counts.histograms);
    buf_varint(out, answer->counts.exemplars);
    buf_varint(out, answer->counts.rejected);
    if (answer->counts.dropped > 0)
        buf_varint(out, answer->counts.dropped);
    buf_block(out, words);
}

static bool is_kept_status(uint32_t status)
{
    return status >= 200 && status <= STATUS_MAX;
}

/* What was kept before the first byte was a form: 0 is the low byte of no status. */
static bool decode_first_form(struct reader reader, struct http_answer *out)
{
    unsigned low = read_u8(&reader);
    unsigned status = low | (unsigned)read_u8(&reader) << 8;
    unsigned dialect = read_u8(&reader);
    struct str words = read_block(&reader);
    struct str body = read_block(&reader);

    if (!reader.ok || reader.left > 0 || !is_kept_status(status) || dialect > HTTP_INFLUX_2)
        return false;
    out->dialect = (enum http_dialect)dialect;
    begin(out, status, words);
    buf_str(&out->body, body);
    return true;
}

bool http_answer_decode(struct str bytes, struct http_answer *out)
{
    struct reader reader = reader_of(bytes);
    bool is_first_form = bytes.len > 0 && bytes.text[0] != 0;

    if (is_first_form)
        return decode_first_form(reader, out);
    (void)read_u8(&reader);
    unsigned dialect = read_u8(&reader);
    unsigned flags = read_u8(&reader);
    uint32_t status = read_u32(&reader);
    struct http_counts counts = {.samples = read_varint(&reader)};
    counts.histograms = read_varint(&reader);
    counts.exemplars = read_varint(&reader);
    counts.rejected = read_varint(&reader);
    counts.dropped = (flags & HAS_DROPPED) != 0 ? read_varint(&reader) : 0;
    struct str words = read_block(&reader);
    if (!reader.ok || reader.left > 0 || !is_kept_status(status) ||
        flags > (SAYS_WRITTEN | HAS_DROPPED) || dialect >= HTTP_DIALECT_COUNT ||
        words.len > HTTP_KEPT_WORDS)
        return false;
    out->dialect = (enum http_dialect)dialect;
    out->says_written = (flags & SAYS_WRITTEN) != 0;
    out->counts = counts;
    if (status < 300)
        http_answer_stored(out, words);
    else
        http_answer_mistake(out, status, words, STR_EMPTY);
    out->status = status;
    return true;
}
