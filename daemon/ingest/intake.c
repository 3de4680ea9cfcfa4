#include "ingest/intake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

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

/* Only the first example since intake_begin is written out: a flood of bad lines must stay cheap.
 */
static void note_rejected(struct intake *intake, uint64_t count, enum reject_reason why,
                          struct str example, const struct sockaddr *peer)
{
    if (intake->rejected == 0) {
        intake->reason = why;
        (void)str_quoted(example, intake->example);
        (void)peer_format(peer, intake->peer_text);
    }
    intake->rejected += count;
}

static void hand_to_shard(struct intake *intake)
{
    enum reject_reason why[INTAKE_SAMPLES];

    if (intake->count == 0)
        return;
    shard_add(intake->shard, intake->samples, intake->count, intake->now_us, intake->ledger, why);
    for (size_t i = 0; i < intake->count; i++) {
        if (why[i] != REJECT_NONE) /* the samples may be of several senders */
            note_rejected(intake, 1, why[i], intake->samples[i].name, NULL);
    }
    intake->count = 0;
}

static void take_statsd(struct intake *intake, struct str text)
{
    if (intake->count == INTAKE_SAMPLES)
        hand_to_shard(intake);
    if (statsd_parse_plain(text, &intake->samples[intake->count], intake->ledger)) {
        intake->count++;
        return;
    }
    struct statsd_line line = statsd_line_of(text);
    while (line.more) {
        if (intake->count == INTAKE_SAMPLES)
            hand_to_shard(intake);
        intake->count += statsd_parse(&line, intake->samples + intake->count,
                                      INTAKE_SAMPLES - intake->count, intake->ledger);
    }
    if (line.rejected > 0)
        note_rejected(intake, line.rejected, line.why, text, intake->peer);
}

/* How a line of each protocol is taken. */
static void (*const TAKE_LINE[])(struct intake *intake, struct str line) = {
    [PROTOCOL_STATSD] = take_statsd,
};

void intake_begin(struct intake *intake, struct ledger *ledger, enum protocol protocol,
                  int64_t now_us)
{
    intake->ledger = ledger;
    intake->protocol = protocol;
    intake->now_us = now_us;
    intake->peer = NULL;
    intake->rejected = 0;
}

void intake_end(struct intake *intake)
{
    hand_to_shard(intake);
    intake->ledger = NULL;
}

void intake_reject(struct intake *intake, enum reject_reason why, struct str line)
{
    intake->ledger->received++;
    intake->ledger->rejected[why]++;
    note_rejected(intake, 1, why, line, intake->peer);
}

bool intake_line(struct intake *intake, struct str line)
{
    if (line.len > intake->line_bytes_max) {
        intake_reject(intake, REJECT_too_long, line);
        return false;
    }
    TAKE_LINE[intake->protocol](intake, line);
    return true;
}

void intake_lines(struct intake *intake, struct str lines)
{
    while (lines.len > 0)
        (void)intake_line(intake, str_split(&lines, '\n'));
}
