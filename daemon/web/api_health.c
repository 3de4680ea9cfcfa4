/* GET /healthz, /readyz and /metrics: for probes and scrapers. */
#include "base/counters.h"
#include "ingest/tls.h"
#include "web/web_private.h"

static const char PLAIN[] = "text/plain; charset=utf-8";
static const char PROMETHEUS[] = "text/plain; version=0.0.4; charset=utf-8";

/* The thread turns, or nobody would answer. */
bool api_healthz(struct web *web, struct http_request *request, struct error *err)
{
    (void)web;
    (void)err;
    http_reply(request, 200, PLAIN, STR("ok\n"));
    return true;
}

bool api_readyz(struct web *web, struct http_request *request, struct error *err)
{
    if (web->options.is_ready != NULL && !web->options.is_ready(err, web->options.arg)) {
        http_reply_error(request, 503, err);
        return true;
    }
    http_reply(request, 200, PLAIN, STR("ready\n"));
    return true;
}

/* A label's value: backslash, quote and line feed are escaped; what is not UTF-8 is not there,
 * since names of listeners, KPIs and reasons are the configuration's. */
static void write_label(struct buf *out, const char *before, const char *name, struct str value)
{
    buf_printf(out, "%s%s=\"", before, name);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.text[i];
        if (c == '\\' || c == '"')
            buf_char(out, '\\');
        if (c == '\n')
            buf_text(out, "\\n");
        else
            buf_char(out, c);
    }
    buf_char(out, '"');
}

static void write_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_count(struct buf *out, const char *name, const struct listener_line *line,
                        const char *reason, uint64_t count)
{
    buf_text(out, name);
    write_label(out, "{", "listener", line->name);
    if (reason != NULL)
        write_label(out, ",", "reason", str_of(reason));
    buf_printf(out, "} %llu\n", (unsigned long long)count);
}

static void write_reasons(struct buf *out, const struct listener_line *lines, size_t count)
{
    write_head(out, "kpid_samples_rejected_total", "counter", "Samples rejected, by reason");
    for (size_t i = 0; i < count; i++)
        for (int r = 0; r < REJECT_REASON_COUNT; r++)
            if (lines[i].counts.rejected[r] > 0)
                write_count(out, "kpid_samples_rejected_total", &lines[i],
                            reject_reason_name((enum reject_reason)r), lines[i].counts.rejected[r]);
    write_head(out, "kpid_samples_dropped_total", "counter", "Samples dropped, by reason");
    for (size_t i = 0; i < count; i++)
        for (int r = 0; r < DROP_REASON_COUNT; r++)
            if (lines[i].counts.dropped[r] > 0)
                write_count(out, "kpid_samples_dropped_total", &lines[i],
                            drop_reason_name((enum drop_reason)r), lines[i].counts.dropped[r]);
}

static void write_listeners(struct buf *out, const struct listener_line *lines, size_t count)
{
    write_head(out, "kpid_samples_received_total", "counter", "Samples received and committed");
    for (size_t i = 0; i < count; i++)
        write_count(out, "kpid_samples_received_total", &lines[i], NULL, lines[i].counts.received);
    write_head(out, "kpid_samples_stored_total", "counter", "Samples stored");
    for (size_t i = 0; i < count; i++)
        write_count(out, "kpid_samples_stored_total", &lines[i], NULL, lines[i].counts.stored);
    write_reasons(out, lines, count);
    write_head(out, "kpid_samples_pending", "gauge", "Samples seen and not committed yet");
    for (size_t i = 0; i < count; i++)
        write_count(out, "kpid_samples_pending", &lines[i], NULL, lines[i].pending);
    write_head(out, "kpid_kernel_drops_total", "counter", "Datagrams the kernel dropped");
    for (size_t i = 0; i < count; i++)
        write_count(out, "kpid_kernel_drops_total", &lines[i], NULL, lines[i].kernel_drops);
}

/* Figures that do not exist are left out: there is no null in this format. */
static bool write_kpis(struct web *web, struct http_request *request, const struct answer *answer,
                       struct buf *values, struct error *err)
{
    const struct kpi_set *kpis = web->config.kpis;
    const struct kpi_inputs inputs = {answer->txn, answer->now, kpis->metrics};
    struct buf statuses = BUF_EMPTY;
    char number[STR_DOUBLE_SIZE];

    write_head(values, "kpid_kpi_value", "gauge", "Figures of the open periods, in their units");
    write_head(&statuses, "kpid_kpi_status", "gauge", "1 for the status that each KPI has");
    for (size_t i = 0; i < kpis->count; i++) {
        const struct kpi *kpi = &kpis->kpis[i];
        struct kpi_status status;
        if (!kpi_evaluate(kpi, &inputs, http_request_arena(request), &status, err)) {
            buf_fini(&statuses);
            return false;
        }
        buf_text(&statuses, "kpid_kpi_status");
        write_label(&statuses, "{", "kpi", str_of(kpi->id));
        write_label(&statuses, ",", "status", str_of(kpi_status_name(status.code)));
        buf_text(&statuses, "} 1\n");
        if (status.figure.is_null)
            continue;
        buf_text(values, "kpid_kpi_value");
        write_label(values, "{", "kpi", str_of(kpi->id));
        write_label(values, ",", "unit", str_of(kpi->unit.name));
        size_t len = str_format_double(unit_shown(&kpi->unit, status.figure.value), number);
        buf_printf(values, "} %.*s\n", (int)len, number);
    }
    buf_str(values, buf_view(&statuses));
    buf_fini(&statuses);
    return true;
}

/* Of the one that ends first; nothing where there is none. */
static void write_certificates(const struct web *web, struct buf *out)
{
    wall_ms first = WALL_NONE;

    for (size_t i = 0; i < web->config.certificate_count; i++) {
        wall_ms end = tls_expires_at(web->config.certificates[i]);
        if (end != WALL_NONE && (first == WALL_NONE || end < first))
            first = end;
    }
    if (first == WALL_NONE)
        return;
    write_head(out, "kpid_certificate_expires_seconds", "gauge",
               "When the first certificate of TLS expires, in Unix time");
    buf_printf(out, "kpid_certificate_expires_seconds %lld\n", (long long)(first / MS_PER_SECOND));
}

bool api_metrics(struct web *web, struct http_request *request, struct error *err)
{
    static const char *const known[] = {NULL};
    struct answer answer;
    struct store_usage usage;
    size_t count = 0;

    if (!answer_begin(web, request, known, &answer, err))
        return answer_drop(&answer);
    struct buf *out = &answer.body;
    const struct listener_line *lines =
        listener_lines(web, answer.txn, http_request_arena(request), &count);
    counters_format(out);
    write_listeners(out, lines, count);
    store_usage(answer.txn, &usage);
    write_head(out, "kpid_store_bytes", "gauge", "Bytes that the store uses");
    buf_printf(out, "kpid_store_bytes %llu\n", (unsigned long long)usage.used_bytes);
    write_head(out, "kpid_store_series", "gauge", "Series in the store");
    buf_printf(out, "kpid_store_series %llu\n", (unsigned long long)usage.series);
    write_certificates(web, out);
    if (!write_kpis(web, request, &answer, out, err))
        return answer_drop(&answer);
    read_txn_end(answer.txn);
    http_reply(request, 200, PROMETHEUS, buf_view(out));
    buf_fini(out);
    return true;
}
