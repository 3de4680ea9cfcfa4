#include "payload.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"

static struct payload_unit *new_unit(struct payload *payload)
{
    if (payload->unit_count == payload->unit_capacity) {
        payload->unit_capacity = payload->unit_capacity == 0 ? 1024 : payload->unit_capacity * 2;
        payload->units =
            memory_grow(payload->units, payload->unit_capacity, sizeof *payload->units);
    }
    struct payload_unit *unit = &payload->units[payload->unit_count++];
    *unit = (struct payload_unit){.offset = payload->bytes.len};
    return unit;
}

static int64_t time_of(const struct payload_options *options, int64_t now, uint64_t sample)
{
    if (options->time != LOAD_TIME_FIXED)
        return now;
    return options->time_start + (int64_t)(sample / options->mix.series) * options->time_step;
}

/* What a unit has becomes what goes out. */
static void end_unit(struct payload *payload, const struct payload_options *options,
                     struct buf *parts)
{
    if (payload->unit_count == 0)
        return;
    struct payload_unit *unit = &payload->units[payload->unit_count - 1];
    encode_request(&options->encoding, buf_view(parts), &payload->bytes);
    unit->len = (uint32_t)(payload->bytes.len - unit->offset);
    unit->len -= options->is_datagram ? 1 : 0;
    buf_clear(parts);
}

void payload_render(struct payload *payload, const struct payload_options *options)
{
    struct mix *mix = mix_new(&options->mix);
    struct payload_unit *unit = NULL;
    const int64_t now = clock_wall() / MS_PER_SECOND;
    struct buf parts = BUF_EMPTY;
    struct buf part = BUF_EMPTY;

    *payload = (struct payload){.bytes = BUF_EMPTY};
    payload->totals = memory_zero(options->mix.series, sizeof *payload->totals);
    for (uint64_t i = 0; i < options->samples; i++) {
        struct load_sample sample = {.mix = mix_next(mix), .at = time_of(options, now, i)};
        struct series_total *total = &payload->totals[sample.mix.series];
        total->sum += sample.mix.hundredths;
        total->last = sample.mix.hundredths;
        total->count++;
        sample.total = total->sum;
        buf_clear(&part);
        encode_sample(&options->encoding, &options->mix, &sample, &part);
        if (unit == NULL || parts.len + part.len > options->unit_bytes) {
            end_unit(payload, options, &parts);
            unit = new_unit(payload);
        }
        buf_str(&parts, buf_view(&part));
        unit->samples++;
    }
    end_unit(payload, options, &parts);
    buf_fini(&parts);
    buf_fini(&part);
    mix_free(mix);
}

void payload_fini(struct payload *payload)
{
    buf_fini(&payload->bytes);
    free(payload->units);
    free(payload->totals);
    *payload = (struct payload){.bytes = BUF_EMPTY};
}

struct kind_total payload_total(const struct payload *payload,
                                const struct payload_options *options, enum load_kind kind,
                                uint64_t repeat)
{
    struct kind_total total = {0};

    for (uint32_t i = 0; i < options->mix.series; i++) {
        const struct series_total *series = &payload->totals[i];
        if (series->count == 0 || mix_kind(&options->mix, i) != kind)
            continue;
        total.series++;
        total.count += series->count * repeat;
        total.sum += series->sum * (int64_t)repeat;
    }
    return total;
}

static void write_series(FILE *file, const struct payload_options *options, uint32_t series,
                         const struct series_total *total, uint64_t repeat)
{
    char name[MIX_NAME_SIZE];
    char sum[HUNDREDTHS_SIZE];
    char last[HUNDREDTHS_SIZE];
    unsigned long long count = total->count * repeat;

    (void)mix_format_name(&options->mix, series, name);
    (void)hundredths_format(total->sum * (int64_t)repeat, sum);
    (void)hundredths_format(total->last, last);
    (void)fprintf(file, "%s %s %llu %s %s\n", name, statsd_type(mix_kind(&options->mix, series)),
                  count, sum, last);
}

bool payload_write_totals(const struct payload *payload, const struct payload_options *options,
                          uint64_t repeat, const char *path, struct error *err)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        return error_set_errno(err, "cannot create '%s'", path);
    for (uint32_t i = 0; i < options->mix.series; i++) {
        if (payload->totals[i].count > 0)
            write_series(file, options, i, &payload->totals[i], repeat);
    }
    bool ok = ferror(file) == 0;
    if (fclose(file) != 0 || !ok)
        return error_set_errno(err, "cannot write '%s'", path);
    return true;
}
