#include "options.h"

#include <getopt.h>
#include <kpid_client.h>
#include <stdio.h>
#include <string.h>

/* Which option it is, what it takes, and who reads it. */
struct option_row {
    char letter;
    const char *name;
    const char *argument; /* NULL: it takes none */
    const char *help;
    bool (*read)(struct str text, struct load_options *out);
};

static bool read_count(struct str text, uint64_t least, uint64_t most, uint64_t *out)
{
    return str_parse_u64(text, out) && *out >= least && *out <= most;
}

static bool read_transport(struct str text, struct load_options *out)
{
    for (int i = 0; load_transport_name((enum load_transport)i) != NULL; i++) {
        if (str_is(text, load_transport_name((enum load_transport)i))) {
            out->sender.transport = (enum load_transport)i;
            return true;
        }
    }
    return false;
}

static bool read_protocol(struct str text, struct load_options *out)
{
    for (int i = 0; load_protocol_name((enum load_protocol)i) != NULL; i++) {
        if (str_is(text, load_protocol_name((enum load_protocol)i))) {
            out->payload.encoding.protocol = (enum load_protocol)i;
            return true;
        }
    }
    return false;
}

static bool read_address(struct str text, struct load_options *out)
{
    out->sender.address = text.text;
    return text.len > 0;
}

static bool read_path(struct str text, struct load_options *out)
{
    out->sender.path = text.text;
    return text.len > 0 && text.text[0] == '/';
}

static bool read_samples(struct str text, struct load_options *out)
{
    return read_count(text, 1, UINT64_C(1) << 40, &out->payload.samples);
}

static bool read_repeat(struct str text, struct load_options *out)
{
    return read_count(text, 1, UINT64_C(1) << 40, &out->repeat);
}

static bool read_series(struct str text, struct load_options *out)
{
    uint64_t count = 0;
    bool ok = read_count(text, 1, 100000000, &count);
    out->payload.mix.series = (uint32_t)count;
    return ok;
}

static bool read_seed(struct str text, struct load_options *out)
{
    uint64_t seed = 0;
    bool ok = read_count(text, 0, UINT32_MAX, &seed);
    out->payload.mix.seed = (uint32_t)seed;
    return ok;
}

static bool read_distribution(struct str text, struct load_options *out)
{
    struct mix_options *mix = &out->payload.mix;
    struct str theta = text;
    struct str name = str_split(&theta, ':');

    if (str_is(name, "zipf")) {
        mix->distribution = LOAD_ZIPF;
        return name.len == text.len ||
               (str_parse_double(theta, &mix->theta) && mix->theta >= 0 && mix->theta <= 10);
    }
    mix->distribution = str_is(text, "seq") ? LOAD_SEQUENCE : LOAD_UNIFORM;
    return str_is(text, "seq") || str_is(text, "uniform");
}

static bool read_mix(struct str text, struct load_options *out)
{
    uint64_t sum = 0;

    for (int i = 0; i < LOAD_KINDS; i++) {
        uint64_t percent = 0;
        if (!read_count(str_split(&text, ','), 0, 100, &percent))
            return false;
        out->payload.mix.percent[i] = (unsigned)percent;
        sum += percent;
    }
    return sum == 100 && text.len == 0;
}

static bool read_pack(struct str text, struct load_options *out)
{
    uint64_t bytes = 0;
    bool ok = read_count(text, 0, UINT64_C(1) << 30, &bytes);
    out->payload.unit_bytes = bytes;
    return ok;
}

static bool read_batch(struct str text, struct load_options *out)
{
    uint64_t count = 0;
    bool ok = read_count(text, 1, BATCH_MAX, &count);
    out->sender.batch = (unsigned)count;
    return ok;
}

static bool read_connections(struct str text, struct load_options *out)
{
    uint64_t count = 0;
    bool ok = read_count(text, 1, CONNECTIONS_MAX, &count);
    out->sender.connections = (unsigned)count;
    return ok;
}

static bool read_rate(struct str text, struct load_options *out)
{
    return str_parse_double(text, &out->sender.rate) && out->sender.rate >= 0;
}

static bool read_time(struct str text, struct load_options *out)
{
    struct payload_options *payload = &out->payload;
    struct str step = text;
    struct str start = str_split(&step, ':');

    payload->time = str_is(text, "none") ? LOAD_TIME_NONE : LOAD_TIME_NOW;
    if (str_is(text, "none") || str_is(text, "now"))
        return true;
    payload->time = LOAD_TIME_FIXED;
    payload->time_step = 1;
    return str_parse_i64(start, &payload->time_start) &&
           (start.len == text.len || str_parse_i64(step, &payload->time_step));
}

static bool read_prefix(struct str text, struct load_options *out)
{
    out->payload.mix.prefix = text.text;
    return text.len > 0 && text.len <= MIX_PREFIX_MAX;
}

static bool read_wait(struct str text, struct load_options *out)
{
    return read_count(text, 0, 86400, &out->sender.wait_s);
}

static bool read_totals(struct str text, struct load_options *out)
{
    out->totals_path = text.text;
    return text.len > 0;
}

static bool read_token_file(struct str text, struct load_options *out)
{
    out->sender.token_file = text.text;
    return text.len > 0;
}

static bool read_ca_file(struct str text, struct load_options *out)
{
    out->sender.ca_file = text.text;
    return text.len > 0;
}

static bool read_cert_file(struct str text, struct load_options *out)
{
    out->sender.cert_file = text.text;
    return text.len > 0;
}

static bool read_key_file(struct str text, struct load_options *out)
{
    out->sender.key_file = text.text;
    return text.len > 0;
}

static bool read_tls_name(struct str text, struct load_options *out)
{
    out->sender.tls_name = text.text;
    return text.len > 0;
}

static bool set_segment(struct str text, struct load_options *out)
{
    (void)text;
    out->sender.segment = true;
    return true;
}

static bool set_json(struct str text, struct load_options *out)
{
    (void)text;
    out->json = true;
    return true;
}

static bool set_help(struct str text, struct load_options *out)
{
    (void)text;
    out->help = true;
    return true;
}

static bool set_version(struct str text, struct load_options *out)
{
    (void)text;
    out->version = true;
    return true;
}

static const struct option_row ROWS[] = {
    {'t', "transport", "NAME", "udp, tcp, tls, unix, unixgram or http (udp)", read_transport},
    {'a', "address", "ADDRESS",
     "127.x.y.z:PORT, [::1]:PORT, or the path of a socket (127.0.0.1:8125)", read_address},
    {'H', "path", "PATH",
     "http: what is posted to, with its query (/write, /api/v1/write, /v1/metrics)", read_path},
    {'p', "protocol", "NAME", "statsd, graphite, influx, prometheus, otlp or native (statsd)",
     read_protocol},
    {'k', "token-file", "FILE", "native: a file with the token to show", read_token_file},
    {'C', "ca-file", "FILE", "tls: the authorities that kpid's certificate is of (the system's)",
     read_ca_file},
    {'E', "cert-file", "FILE", "tls: a certificate to show to kpid", read_cert_file},
    {'K', "key-file", "FILE", "tls: its key, where that is not in the same file", read_key_file},
    {'N', "tls-name", "NAME",
     "tls: what kpid's certificate has to be for, where that is not the address", read_tls_name},
    {'n', "samples", "N", "samples to render (1000000)", read_samples},
    {'R', "repeat", "N", "how often to send them (1)", read_repeat},
    {'s', "series", "N", "how many series there are (10000)", read_series},
    {'d', "distribution", "HOW",
     "which series comes next: seq, uniform, or zipf[:THETA], THETA 0.99 (seq)", read_distribution},
    {'m', "mix", "C,T,G", "percent of the series that are counters, timers, gauges (60,30,10)",
     read_mix},
    {'b', "pack", "BYTES",
     "as many samples a datagram, write or request as fit, before they are packed; 0: one "
     "(datagrams 0, else 65536); native: samples a batch (1000)",
     read_pack},
    {'r', "rate", "N", "samples a second; 0: as fast as possible (0)", read_rate},
    {'c', "connections", "N",
     "connections of a stream or of http, up to 1024 (1); of http each has one request under way",
     read_connections},
    {'B', "batch", "N", "datagrams a system call, up to 1024 (64)", read_batch},
    {'g', "segment", NULL, "udp: let the kernel cut runs of datagrams of one size", set_segment},
    {'T', "time", "WHEN",
     "all but statsd: none (influx), now, or START[:STEP] in Unix seconds: the k-th sample of a series "
     "is at START + k * STEP with seq (now)",
     read_time},
    {'P', "prefix", "TEXT", "the first part of every name (bench)", read_prefix},
    {'S', "seed", "N", "of the random numbers (1)", read_seed},
    {'w', "wait", "SECONDS",
     "streams: after the last byte wait so long for the other side to close (0)", read_wait},
    {'x', "totals", "FILE", "write 'name type count sum last' of every series sent", read_totals},
    {'j', "json", NULL, "print one JSON object", set_json},
    {'h', "help", NULL, "print this and exit", set_help},
    {'V', "version", NULL, "print the version and exit", set_version},
};

enum { ROW_COUNT = sizeof ROWS / sizeof ROWS[0] };

/* Prints `text` in lines of at most `width` bytes, all but the first one indented. */
static void print_wrapped(const char *text, int indent, size_t width)
{
    struct str rest = str_of(text);

    while (rest.len > width) {
        size_t cut = width;
        while (cut > 0 && rest.text[cut] != ' ')
            cut--;
        (void)printf("%.*s\n%*s", (int)cut, rest.text, indent, "");
        rest = (struct str){rest.text + cut + 1, rest.len - cut - 1};
    }
    (void)printf("%.*s\n", STR_ARGS(rest));
}

void options_print_help(void)
{
    enum { INDENT = 28, WIDTH = 52 };

    (void)printf("usage: kpiload [options]\n\n"
                 "Sends a reproducible load of metric samples to a listener on this machine and\n"
                 "prints the exact totals that it must end up with.\n\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char option[40];
        (void)snprintf(option, sizeof option, "-%c, --%s%s%s", ROWS[i].letter, ROWS[i].name,
                       ROWS[i].argument == NULL ? "" : " ",
                       ROWS[i].argument == NULL ? "" : ROWS[i].argument);
        (void)printf("  %-*s", INDENT - 2, option);
        print_wrapped(ROWS[i].help, INDENT, WIDTH);
    }
}

static const char *default_path(enum load_protocol protocol)
{
    if (protocol == LOAD_PROMETHEUS)
        return "/api/v1/write";
    return protocol == LOAD_OTLP ? "/v1/metrics" : "/write";
}

static bool goes_over(enum load_protocol protocol, enum load_transport transport)
{
    if (protocol == LOAD_NATIVE)
        return transport == LOAD_TCP || transport == LOAD_TLS || transport == LOAD_UNIX;
    if (transport == LOAD_TLS)
        return false;
    if (transport == LOAD_HTTP)
        return protocol == LOAD_INFLUX || !load_protocol_is_lines(protocol);
    return load_protocol_is_lines(protocol);
}

static bool has_tls_files(const struct sender_options *sender)
{
    return sender->ca_file != NULL || sender->cert_file != NULL || sender->key_file != NULL ||
           sender->tls_name != NULL;
}

static bool check(struct load_options *options, bool has_pack, struct error *err)
{
    struct payload_options *payload = &options->payload;
    enum load_protocol protocol = payload->encoding.protocol;

    payload->is_datagram = load_transport_is_datagram(options->sender.transport);
    if (!has_pack)
        payload->unit_bytes = payload->is_datagram ? 0 : protocol == LOAD_NATIVE ? 1000 : 65536;
    if (protocol == LOAD_NATIVE && payload->unit_bytes > KPID_BATCH_SAMPLES_MAX)
        return error_set(err, ERROR_INVALID, "a batch has at most %d samples",
                         KPID_BATCH_SAMPLES_MAX);
    if (protocol == LOAD_NATIVE)
        payload->unit_bytes *= sizeof(struct load_sample);
    payload->encoding.has_time = payload->time != LOAD_TIME_NONE;
    if (options->sender.segment && options->sender.transport != LOAD_UDP)
        return error_set(err, ERROR_INVALID, "--segment needs --transport udp");
    if (protocol != LOAD_INFLUX && protocol != LOAD_STATSD && !payload->encoding.has_time)
        return error_set(err, ERROR_INVALID, "%s cannot go without a time",
                         load_protocol_name(protocol));
    if (!goes_over(protocol, options->sender.transport))
        return error_set(err, ERROR_INVALID, "--protocol %s does not go over --transport %s",
                         load_protocol_name(protocol),
                         load_transport_name(options->sender.transport));
    if (has_tls_files(&options->sender) && options->sender.transport != LOAD_TLS)
        return error_set(err, ERROR_INVALID,
                         "--ca-file, --cert-file, --key-file and --tls-name need --transport tls");
    if (options->sender.token_file != NULL && protocol != LOAD_NATIVE)
        return error_set(err, ERROR_INVALID, "--token-file needs --protocol native");
    options->sender.headers = load_protocol_headers(protocol);
    if (options->sender.path == NULL)
        options->sender.path = default_path(protocol);
    return true;
}

static const struct option_row *find_row(int letter)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (ROWS[i].letter == letter)
            return &ROWS[i];
    }
    return NULL;
}

/* getopt's own tables, made from ROWS. */
static void fill_tables(char *letters, struct option *names)
{
    size_t used = 0;

    letters[used++] = ':'; /* getopt tells a missing argument from an unknown option, in silence */
    for (size_t i = 0; i < ROW_COUNT; i++) {
        letters[used++] = ROWS[i].letter;
        if (ROWS[i].argument != NULL)
            letters[used++] = ':';
        names[i] = (struct option){.name = ROWS[i].name,
                                   .has_arg = ROWS[i].argument != NULL,
                                   .val = (unsigned char)ROWS[i].letter};
    }
    letters[used] = '\0';
    names[ROW_COUNT] = (struct option){0};
}

static void set_defaults(struct load_options *out)
{
    *out = (struct load_options){
        .payload = {.mix = {.prefix = "bench",
                            .series = 10000,
                            .seed = 1,
                            .theta = 0.99,
                            .percent = {60, 30, 10}},
                    .time = LOAD_TIME_NOW,
                    .samples = 1000000},
        .sender = {.address = "127.0.0.1:8125", .connections = 1, .batch = 64},
        .repeat = 1};
}

bool options_read(int argc, char **argv, struct load_options *out, struct error *err)
{
    char letters[2 * ROW_COUNT + 2];
    struct option names[ROW_COUNT + 1];
    bool has_pack = false;
    int letter = 0;

    set_defaults(out);
    fill_tables(letters, names);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    while ((letter = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        const struct option_row *row = find_row(letter);
        if (row == NULL)
            return error_set(err, ERROR_INVALID,
                             letter == ':' ? "'%s' needs a value" : "unknown option '%s'",
                             argv[optind - 1]);
        struct str text = str_of(row->argument == NULL ? "" : optarg);
        if (!row->read(text, out)) {
            (void)error_set(err, ERROR_INVALID, "--%s cannot be '%.*s'", row->name, STR_ARGS(text));
            return error_hint(err, "%s", row->help);
        }
        if (row->read == read_pack)
            has_pack = true;
    }
    if (optind < argc)
        return error_set(err, ERROR_INVALID, "unexpected argument '%s'", argv[optind]);
    return check(out, has_pack, err);
}
