#include "encode.h"

#include <stdio.h>

const char *load_protocol_name(enum load_protocol protocol)
{
    static const char *const names[] = {"statsd", "graphite", "influx"};
    return protocol > LOAD_INFLUX ? NULL : names[protocol];
}

const char *statsd_type(enum load_kind kind)
{
    static const char *const types[LOAD_KINDS] = {"c", "ms", "g"};
    return types[kind];
}

static int encode_influx(const struct encoding *encoding, const struct mix_options *mix,
                         const struct mix_sample *sample, int64_t at, char *out)
{
    char value[HUNDREDTHS_SIZE];
    char time[32] = "";

    (void)hundredths_format(sample->hundredths, value);
    if (encoding->has_time)
        (void)snprintf(time, sizeof time, " %lld000000000", (long long)at);
    return snprintf(out, ENCODE_LINE_SIZE, "%s_api,dc=dc1,host=host%03u,id=%s%07u value=%s%s\n",
                    mix->prefix, sample->series % 1000, mix_kind_name(sample->kind), sample->series,
                    value, time);
}

size_t encode_line(const struct encoding *encoding, const struct mix_options *mix,
                   const struct mix_sample *sample, int64_t at, char *out)
{
    char name[MIX_NAME_SIZE];
    char value[HUNDREDTHS_SIZE];
    int len = 0;

    (void)mix_format_name(mix, sample->series, name);
    (void)hundredths_format(sample->hundredths, value);
    if (encoding->protocol == LOAD_STATSD)
        len = snprintf(out, ENCODE_LINE_SIZE, "%s:%s|%s\n", name, value, statsd_type(sample->kind));
    else if (encoding->protocol == LOAD_GRAPHITE)
        len = snprintf(out, ENCODE_LINE_SIZE, "%s %s %lld\n", name, value, (long long)at);
    else
        len = encode_influx(encoding, mix, sample, at, out);
    return len < 0 ? 0 : (size_t)len;
}
