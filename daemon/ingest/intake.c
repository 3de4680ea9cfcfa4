#include "ingest/intake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "ingest/dogstatsd_intake.h"
#include "ingest/graphite.h"
#include "ingest/statsd.h"

const char *peer_format(const struct sockaddr *peer, char *out)
{
    char host[INET6_ADDRSTRLEN] = "";

    out[0] = '\0';
    if (peer == NULL)
        return out;
    if (peer->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)peer;
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        (void)snprintf(out, PEER_TEXT_SIZE, "%s:%u", host, ntohs(v4->sin_port));
    } else if (peer->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)peer;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        (void)snprintf(out, PEER_TEXT_SIZE, "[%s]:%u", host, ntohs(v6->sin6_port));
    }
    return out;
}

static struct tail_rules tail_rules_of(const struct intake *intake)
{
    return (struct tail_rules){.listener = intake->listener,
                               .metrics = intake->metrics,
                               .shard = intake->shard,
                               .now = clock_mono()};
}

static void tell_rejected(const struct intake *intake, uint64_t count, enum reject_reason why,
                          struct str example, const struct sockaddr *peer)
{
    const struct tail_rules rules = tail_rules_of(intake);
    char text[PEER_TEXT_SIZE];
    char quoted[STR_QUOTED_SIZE];
    const struct tail_rejected rejected = {why, str_quoted(example, quoted),
                                           peer_format(peer, text), count};

    tail_reject(intake->tail, &rules, &rejected);
}

void intake_note_dropped(const struct intake *intake, enum drop_reason why, struct str name)
{
    const struct tail_dropped dropped = {why, name, 1};

    if (intake->tail == NULL)
        return;
    const struct tail_rules rules = tail_rules_of(intake);
    tail_drop(intake->tail, &rules, &dropped);
}

void intake_note_event(const struct intake *intake, const struct annotation *event, bool is_kept)
{
    if (intake->tail == NULL)
        return;
    const struct tail_rules rules = tail_rules_of(intake);
    tail_event(intake->tail, &rules, event, is_kept);
}

static void tell_taken(const struct intake *intake, const enum reject_reason *why)
{
    const struct tail_rules rules = tail_rules_of(intake);

    for (size_t i = 0; i < intake->count; i++) {
        if (why[i] == REJECT_NONE)
            tail_sample(intake->tail, &rules, &intake->samples[i]);
    }
}

/* Only the first example since intake_begin is written out: a flood of bad lines must stay cheap.
 */
void intake_note_rejected(struct intake *intake, uint64_t count, enum reject_reason why,
                          struct str example, const struct sockaddr *peer)
{
    if (intake->rejected == 0) {
        intake->reason = why;
        (void)str_quoted(example, intake->example);
        (void)peer_format(peer, intake->peer_text);
    }
    intake->rejected += count;
    if (intake->tail != NULL)
        tell_rejected(intake, count, why, example, peer);
}

void intake_flush(struct intake *intake)
{
    enum reject_reason why[INTAKE_SAMPLES];

    if (intake->count == 0)
        return;
    shard_add(intake->shard, intake->samples, intake->count, intake->now_us, intake->ledger, why);
    for (size_t i = 0; i < intake->count; i++) {
        if (why[i] == REJECT_series_limit)
            intake_note_dropped(intake, DROP_series_limit, intake->samples[i].name);
        else if (why[i] != REJECT_NONE) /* the samples may be of several senders */
            intake_note_rejected(intake, 1, why[i], intake->samples[i].name, NULL);
    }
    if (intake->tail != NULL)
        tell_taken(intake, why);
    intake->count = 0;
    intake->scratch_len = 0;
}

struct sample *intake_next_sample(struct intake *intake, size_t scratch_bytes)
{
    if (scratch_bytes > 0 && intake->scratch == NULL)
        intake->scratch = memory_alloc(INTAKE_SCRATCH_BYTES);
    if (intake->count == INTAKE_SAMPLES ||
        INTAKE_SCRATCH_BYTES - intake->scratch_len < scratch_bytes)
        intake_flush(intake);
    return &intake->samples[intake->count];
}

/* --- StatsD ----------------------------------------------------------------------------------- */

static void take_any_statsd(struct intake *intake, struct str text)
{
    struct statsd_line line = statsd_line_of(text);

    line.unknown_as_counter = intake->dialect.unknown_as_counter;
    while (line.more) {
        if (intake->count == INTAKE_SAMPLES)
            intake_flush(intake);
        intake->count += statsd_parse(&line, intake->samples + intake->count,
                                      INTAKE_SAMPLES - intake->count, intake->ledger);
    }
    if (line.rejected > 0)
        intake_note_rejected(intake, line.rejected, line.why, text, intake->peer);
}

static void take_statsd(struct intake *intake, struct str text)
{
    if (statsd_parse_plain(text, intake_next_sample(intake, 0)) == 0) {
        take_any_statsd(intake, text);
        return;
    }
    intake->ledger->received++;
    intake->count++;
}

/* Lines that go the short way are not looked for twice, for their end and for what is in them. */
static bool take_statsd_lines(struct intake *intake, struct str *lines)
{
    uint64_t plain = 0;
    bool ok = true;

    while (ok && lines->len > 0) {
        size_t len = statsd_parse_plain(*lines, intake_next_sample(intake, 0));
        if (len > 0 && len <= intake->line_bytes_max) {
            plain++;
            intake->count++;
            *lines = (struct str){lines->text + len, lines->len - len};
        } else {
            ok = intake_line(intake, str_split(lines, '\n'));
        }
    }
    intake->ledger->received += plain;
    return ok;
}

/* --- Graphite --------------------------------------------------------------------------------- */

static void take_graphite(struct intake *intake, struct str text)
{
    enum reject_reason why = REJECT_NONE;
    struct sample *sample = intake_next_sample(intake, 0);

    switch (graphite_parse(text, sample, intake->ledger, &why)) {
    case GRAPHITE_SAMPLE:
        intake->count++;
        break;
    case GRAPHITE_REJECTED:
        intake_note_rejected(intake, 1, why, text, intake->peer);
        break;
    case GRAPHITE_DROPPED:
        intake_note_dropped(intake, DROP_not_finite, sample->name);
        break;
    case GRAPHITE_NOTHING:
        break;
    }
}

static bool is_unique(const struct intake *intake, struct str name)
{
    const struct metric_definition *definition = metric_find(intake->metrics, name);

    return definition != NULL && definition->has_kind && definition->kind == METRIC_UNIQUE;
}

static void take_point(struct intake *intake, size_t i)
{
    enum reject_reason why = REJECT_NONE;
    struct sample *sample = intake_next_sample(intake, STR_DOUBLE_SIZE);

    switch (pickle_point(intake->pickle, i, sample, intake->ledger, &why)) {
    case GRAPHITE_SAMPLE:
        if (sample->text.text == NULL && is_unique(intake, sample->name)) {
            /* A number has no text in a pickle; as the member of a set it needs one. */
            char *text = intake->scratch + intake->scratch_len;
            sample->text = (struct str){text, str_format_double(sample->value, text)};
            intake->scratch_len += sample->text.len;
        }
        intake->count++;
        break;
    case GRAPHITE_REJECTED:
        intake_note_rejected(intake, 1, why, sample->name, intake->peer);
        break;
    case GRAPHITE_DROPPED:
        intake_note_dropped(intake, DROP_not_finite, sample->name);
        break;
    case GRAPHITE_NOTHING:
        break;
    }
}

/* A pickle that cannot be read is one sample received and rejected (G9). */
static void take_pickle(struct intake *intake, struct str bytes)
{
    enum reject_reason why = REJECT_NONE;

    if (intake->pickle == NULL)
        intake->pickle = pickle_new();
    if (pickle_load(intake->pickle, bytes, &why)) {
        for (size_t i = 0; i < pickle_count(intake->pickle); i++)
            take_point(intake, i);
    } else {
        intake_reject(intake, why, bytes);
    }
    intake_flush(intake); /* texts may be in the pickle, which the next one overwrites */
    pickle_clear(intake->pickle);
}

/* --- InfluxDB --------------------------------------------------------------------------------- */

/* What the name and the tags of a field's sample need at most. */
enum { INFLUX_SCRATCH = 2 * (METRIC_NAME_MAX + 1) + LABEL_BYTES_MAX + LABELS_MAX };

/* Not inline: where gcc knows how long texts can be it copies them by an instruction that takes
 * long to begin, and they are short. */
static __attribute__((noinline)) struct str append(struct intake *intake, struct str text)
{
    char *at = intake->scratch + intake->scratch_len;

    memcpy(at, text.text, text.len);
    intake->scratch_len += text.len;
    return (struct str){at, text.len};
}

static struct str no_longer(struct str text, size_t most)
{
    return text.len <= most ? text : (struct str){text.text, most};
}

/* The name of a field's metric (I11), in the scratch unless it is that of the measurement. Of one
 * that is too long enough is taken that it is seen to be so. */
static struct str influx_name(struct intake *intake, const struct influx_line *line,
                              const struct influx_field *field)
{
    struct str name = no_longer(line->measurement, METRIC_NAME_MAX + 1);

    if (intake->dialect.skip_single_field && line->field_count == 1 && str_is(field->key, "value"))
        return name;
    name = append(intake, name);
    name.len += append(intake, STR("_")).len;
    name.len += append(intake, no_longer(field->key, METRIC_NAME_MAX)).len;
    return name;
}

/* Tags with escapes, in a style that can be read again. */
static struct str influx_tags(struct intake *intake, const struct influx_line *line)
{
    struct str tags = {intake->scratch + intake->scratch_len, 0};

    for (size_t i = 0; i < line->label_count; i++) {
        if (i > 0)
            tags.len += append(intake, STR("\0")).len;
        tags.len += append(intake, line->labels[i].name).len;
        tags.len += append(intake, STR("\x01")).len;
        tags.len += append(intake, line->labels[i].value).len;
    }
    return tags;
}

static void take_field(struct intake *intake, const struct influx_line *line,
                       const struct influx_field *field, wall_ms at)
{
    struct sample *sample = intake_next_sample(intake, INFLUX_SCRATCH);
    size_t before = intake->scratch_len;

    intake->ledger->received++;
    sample->name = influx_name(intake, line, field);
    if (field->is_text && !is_unique(intake, sample->name)) {
        intake->ledger->dropped[DROP_string]++; /* I11 */
        intake_note_dropped(intake, DROP_string, sample->name);
        intake->scratch_len = before;
        return;
    }
    if (line->has_escapes && line->label_count > 0) {
        sample->tags = influx_tags(intake, line);
        sample->tag_style = TAGS_KEY;
    } else {
        sample->tags = line->tags;
        sample->tag_style = line->tags.len == 0 ? TAGS_NONE : TAGS_COMMA;
    }
    sample->kind = METRIC_UNTYPED;
    sample->form = SAMPLE_VALUE;
    sample->value = field->value;
    sample->text = field->text;
    sample->weight = WEIGHT_ONE;
    sample->at = at;
    intake->count++;
}

static void take_influx(struct intake *intake, struct str text)
{
    struct influx_mistake mistake = {.reason = REJECT_NONE};
    struct influx_line line;
    wall_ms at = WALL_NONE;

    switch (influx_parse(&intake->influx, text, &line, &mistake)) {
    case INFLUX_NOTHING:
        return;
    case INFLUX_MISTAKE:
        intake_reject(intake, mistake.reason, text);
        return;
    case INFLUX_LINE:
        break;
    }
    if (line.has_time && !influx_time(line.time, intake->dialect.precision, &at)) {
        intake_reject(intake, REJECT_bad_time, text);
        return;
    }
    for (size_t i = 0; i < line.field_count; i++)
        take_field(intake, &line, &line.fields[i], at);
    if (line.has_escapes) /* a text may be in the parser, which the next line overwrites */
        intake_flush(intake);
}

static void take_influx_packet(struct intake *intake, struct str bytes) /* I5 */
{
    while (bytes.len > 0) {
        struct influx_cut cut = {0};
        size_t end = 0;
        size_t newline = influx_cut(&cut, bytes, &end) ? 1 : 0;
        (void)intake_line(intake, (struct str){bytes.text, end});
        bytes = (struct str){bytes.text + end + newline, bytes.len - end - newline};
    }
}

/* --- all of them ------------------------------------------------------------------------------ */

/* How a line of each protocol is taken. */
static void (*const TAKE_LINE[PROTOCOL_COUNT])(struct intake *intake, struct str line) = {
    [PROTOCOL_STATSD] = take_statsd,
    [PROTOCOL_DOGSTATSD] = dogstatsd_take,
    [PROTOCOL_GRAPHITE] = take_graphite,
    [PROTOCOL_INFLUX] = take_influx,
};

static void take_packet_lines(struct intake *intake, struct str lines)
{
    while (lines.len > 0)
        (void)intake_line(intake, str_split(&lines, '\n'));
}

static void take_statsd_packet(struct intake *intake, struct str lines)
{
    while (!take_statsd_lines(intake, &lines)) {
    }
}

/* How a datagram or a frame of each is. */
static void (*const TAKE_PACKET[PROTOCOL_COUNT])(struct intake *intake, struct str bytes) = {
    [PROTOCOL_STATSD] = take_statsd_packet,  [PROTOCOL_DOGSTATSD] = take_packet_lines,
    [PROTOCOL_GRAPHITE] = take_packet_lines, [PROTOCOL_GRAPHITE_PICKLE] = take_pickle,
    [PROTOCOL_INFLUX] = take_influx_packet,
};

void intake_fini(struct intake *intake)
{
    influx_parser_fini(&intake->influx);
    pickle_free(intake->pickle);
    free(intake->scratch);
    dogstatsd_notes_free(intake->notes);
    intake->notes = NULL;
    intake->pickle = NULL;
    intake->scratch = NULL;
}

void intake_begin(struct intake *intake, struct ledger *ledger, struct intake_dialect dialect,
                  int64_t now_us)
{
    intake->ledger = ledger;
    intake->dialect = dialect;
    intake->now_us = now_us;
    intake->peer = NULL;
    intake->rejected = 0;
}

void intake_end(struct intake *intake)
{
    intake_flush(intake);
    intake->ledger = NULL;
}

void intake_reject(struct intake *intake, enum reject_reason why, struct str line)
{
    intake->ledger->received++;
    intake->ledger->rejected[why]++;
    intake_note_rejected(intake, 1, why, line, intake->peer);
}

bool intake_line(struct intake *intake, struct str line)
{
    if (line.len > intake->line_bytes_max) {
        intake_reject(intake, REJECT_too_long, line);
        return false;
    }
    TAKE_LINE[intake->dialect.protocol](intake, line);
    return true;
}

bool intake_lines(struct intake *intake, struct str lines)
{
    if (intake->dialect.protocol == PROTOCOL_STATSD)
        return take_statsd_lines(intake, &lines);
    while (lines.len > 0) {
        if (!intake_line(intake, str_split(&lines, '\n')))
            return false;
    }
    return true;
}

void intake_packet(struct intake *intake, struct str bytes)
{
    TAKE_PACKET[intake->dialect.protocol](intake, bytes);
}
