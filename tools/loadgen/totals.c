#include "totals.h"

#include <stdio.h>
#include <sys/resource.h>

#include "base/json.h"

static double cpu_seconds(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static double per_second(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

/* "cnt_count" and so on. */
static void put_kind(struct json *json, enum load_kind kind, const struct kind_total *total)
{
    char key[32];
    char sum[HUNDREDTHS_SIZE];

    (void)snprintf(key, sizeof key, "%s_series", mix_kind_name(kind));
    json_field_u64(json, key, total->series);
    (void)snprintf(key, sizeof key, "%s_count", mix_kind_name(kind));
    json_field_u64(json, key, total->count);
    (void)snprintf(key, sizeof key, "%s_sum", mix_kind_name(kind));
    json_key(json, key);
    json_raw(json, (struct str){sum, hundredths_format(total->sum, sum)}); /* every digit */
}

static void print_json(const struct load_options *options, const struct payload *payload,
                       const struct sender_result *result, double render_s)
{
    struct buf out = BUF_EMPTY;
    struct json json = json_to(&out);

    json_open(&json, '{');
    json_field_u64(&json, "samples", result->samples);
    json_field_u64(&json, "bytes", result->bytes);
    json_field_u64(&json, "units", result->units);
    json_field_u64(&json, "errors", result->errors);
    json_field_number(&json, "seconds", result->seconds);
    json_field_number(&json, "rate", per_second(result->samples, result->seconds));
    json_field_number(&json, "drained", result->drained);
    json_field_number(&json, "drained_rate", per_second(result->samples, result->drained));
    json_field_bool(&json, "peer_closed", result->peer_closed);
    if (result->has_latency) {
        json_field_number(&json, "p50_ms", result->p50_ms);
        json_field_number(&json, "p99_ms", result->p99_ms);
    }
    json_field_number(&json, "render_s", render_s);
    json_field_number(&json, "cpu_s", cpu_seconds());
    for (int i = 0; i < LOAD_KINDS; i++) {
        struct kind_total total =
            payload_total(payload, &options->payload, (enum load_kind)i, options->repeat);
        put_kind(&json, (enum load_kind)i, &total);
    }
    json_close(&json, '}');
    (void)printf("%.*s\n", STR_ARGS(buf_view(&out)));
    buf_fini(&out);
}

static void print_text(const struct load_options *options, const struct payload *payload,
                       const struct sender_result *result)
{
    (void)printf("sent: samples=%llu bytes=%llu units=%llu errors=%llu seconds=%.3f rate=%.0f/s "
                 "MB/s=%.1f\n",
                 (unsigned long long)result->samples, (unsigned long long)result->bytes,
                 (unsigned long long)result->units, (unsigned long long)result->errors,
                 result->seconds, per_second(result->samples, result->seconds),
                 per_second(result->bytes, result->seconds) / 1e6);
    if (options->sender.wait_s > 0 && !options->payload.is_datagram)
        (void)printf("drained: seconds=%.3f rate=%.0f/s peer_closed=%s\n", result->drained,
                     per_second(result->samples, result->drained),
                     result->peer_closed ? "yes" : "NO");
    if (result->has_latency)
        (void)printf("acknowledged: p50=%.2fms p99=%.2fms\n", result->p50_ms, result->p99_ms);
    for (int i = 0; i < LOAD_KINDS; i++) {
        char sum[HUNDREDTHS_SIZE];
        struct kind_total total =
            payload_total(payload, &options->payload, (enum load_kind)i, options->repeat);
        (void)hundredths_format(total.sum, sum);
        (void)printf("expect %s: series=%llu samples=%llu sum=%s\n",
                     mix_kind_name((enum load_kind)i), (unsigned long long)total.series,
                     (unsigned long long)total.count, sum);
    }
}

void totals_print(const struct load_options *options, const struct payload *payload,
                  const struct sender_result *result, double render_s)
{
    if (options->json)
        print_json(options, payload, result, render_s);
    else
        print_text(options, payload, result);
}
