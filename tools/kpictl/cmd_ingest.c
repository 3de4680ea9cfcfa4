/* kpictl ingest: the ledger of every listener. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "ingest_tail.h"
#include "listing.h"

static const struct listing_column COLUMNS[] = {
    {"PROTOCOL", false}, {"LISTEN", false}, {"RECEIVED", true}, {"STORED", true},
    {"REJECTED", true},  {"DROPPED", true}, {"PENDING", true},  {"KERNEL DROPS", true},
};

enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0], NUMBER_SIZE = 24 };

static long long sum_of(json_t *counts)
{
    long long sum = 0;
    const char *reason = NULL;
    json_t *count = NULL;

    json_object_foreach(counts, reason, count)
    {
        sum += json_integer_value(count);
    }
    return sum;
}

static const char *number(long long value, char *out)
{
    (void)snprintf(out, NUMBER_SIZE, "%lld", value);
    return out;
}

static void add_listener(struct listing *listing, const json_t *listener)
{
    char numbers[COLUMN_COUNT][NUMBER_SIZE];
    const char *const cells[COLUMN_COUNT] = {
        field_text(listener, "protocol", ""),
        field_text(listener, "listen", ""),
        number(field_count(listener, "received"), numbers[0]),
        number(field_count(listener, "stored"), numbers[1]),
        number(sum_of(json_object_get(listener, "rejected")), numbers[2]),
        number(sum_of(json_object_get(listener, "dropped")), numbers[3]),
        number(field_count(listener, "pending"), numbers[4]),
        number(field_count(listener, "kernel_drops"), numbers[5]),
    };
    listing_add(listing, cells);
}

static void print_reasons(const json_t *listener, const char *kind)
{
    json_t *counts = json_object_get(listener, kind);
    const char *reason = NULL;
    json_t *count = NULL;

    json_object_foreach(counts, reason, count)
    {
        (void)printf("%s %s: %s %lld %s\n", field_text(listener, "protocol", ""),
                     field_text(listener, "listen", ""), kind, (long long)json_integer_value(count),
                     reason);
    }
}

/* What clients say that they dropped before it came here. */
static void print_clients(const json_t *listener)
{
    size_t i = 0;
    json_t *client = NULL;

    json_array_foreach(json_object_get(listener, "client_drops"), i, client)
    {
        long long packets = field_count(client, "packets");
        long long metrics = field_count(client, "metrics");
        if (packets + metrics == 0)
            continue;
        (void)printf(
            "%s %s: client %s %s over %s dropped %lld packets (%lld bytes), %lld metrics\n",
            field_text(listener, "protocol", ""), field_text(listener, "listen", ""),
            field_text(client, "client", ""), field_text(client, "version", ""),
            field_text(client, "transport", ""), packets, field_count(client, "bytes"), metrics);
    }
}

static void print_tokens(const json_t *answer)
{
    size_t i = 0;
    json_t *token = NULL;

    json_array_foreach(json_object_get(answer, "tokens"), i, token)
    {
        if (field_count(token, "samples") > 0)
            (void)printf("token %s: %lld samples in %lld requests\n", field_text(token, "name", ""),
                         field_count(token, "samples"), field_count(token, "requests"));
    }
}

/* A limit as it is called in the configuration. */
static const char *limit_of(const json_t *offender, char *out, size_t size)
{
    const char *limit = field_text(offender, "limit", "");
    const char *label = field_text(offender, "label", "");
    const char *listener = field_text(offender, "listener", "");

    if (strcmp(limit, "max_series") == 0)
        (void)snprintf(out, size, "metrics.%s.%s = %lld", field_text(offender, "metric", ""), limit,
                       field_count(offender, "allowed"));
    else if (listener[0] != '\0')
        (void)snprintf(out, size, "max_series = %lld of the listener %s",
                       field_count(offender, "allowed"), listener);
    else
        (void)snprintf(out, size, "server.limits.%s = %lld%s%s", limit,
                       field_count(offender, "allowed"), label[0] == '\0' ? "" : " of label ",
                       label);
    return out;
}

/* Metrics with too many series. */
static void print_offenders(const json_t *answer)
{
    size_t i = 0;
    json_t *offender = NULL;

    json_array_foreach(json_object_get(answer, "offenders"), i, offender)
    {
        long long refused = field_count(offender, "refused");
        char limit[1024];
        char totals[64] = "";
        if (refused > 0)
            (void)snprintf(totals, sizeof totals, ", %lld totals were refused", refused);
        (void)printf("%s: %lld samples joined __other__%s, over %s with %lld active series\n",
                     field_text(offender, "metric", ""), field_count(offender, "samples"), totals,
                     limit_of(offender, limit, sizeof limit), field_count(offender, "series"));
    }
}

static void print_ledger(const json_t *answer)
{
    struct listing *listing = listing_new(COLUMNS, COLUMN_COUNT);
    const json_t *listeners = json_object_get(answer, "listeners");
    size_t i = 0;
    json_t *listener = NULL;

    json_array_foreach(listeners, i, listener)
    {
        add_listener(listing, listener);
    }
    if (i == 0)
        (void)printf("no listeners\n");
    else
        listing_print(listing);
    json_array_foreach(listeners, i, listener)
    {
        print_reasons(listener, "rejected");
        print_reasons(listener, "dropped");
        print_clients(listener);
        if (field_count(listener, "max_series") > 0)
            (void)printf("%s %s: brought %lld of max_series = %lld active series\n",
                         field_text(listener, "protocol", ""), field_text(listener, "listen", ""),
                         field_count(listener, "series"), field_count(listener, "max_series"));
        if (json_is_true(json_object_get(listener, "inherited")))
            (void)printf("%s %s: inherited socket\n", field_text(listener, "protocol", ""),
                         field_text(listener, "listen", ""));
        if (field_count(listener, "connections_denied") > 0)
            (void)printf("%s %s: denied %lld connections\n", field_text(listener, "protocol", ""),
                         field_text(listener, "listen", ""),
                         field_count(listener, "connections_denied"));
    }
    print_tokens(answer);
    print_offenders(answer);
    print_certificates(answer);
    (void)printf("%lld series, %lld of them active in the last 24 hours\n",
                 field_count(answer, "series"), field_count(answer, "active_series"));
    listing_free(listing);
}

/* The last samples that were rejected. */
static void print_rejected(const json_t *answer)
{
    const json_t *listeners = json_object_get(answer, "listeners");
    size_t i = 0;
    size_t j = 0;
    size_t shown = 0;
    json_t *listener = NULL;
    json_t *example = NULL;

    json_array_foreach(listeners, i, listener)
    {
        json_array_foreach(json_object_get(listener, "examples"), j, example)
        {
            const char *peer = field_text(example, "peer", "");
            (void)printf("%s %s: %s at %s%s%s: \"%s\"\n", field_text(listener, "protocol", ""),
                         field_text(listener, "listen", ""), field_text(example, "reason", ""),
                         field_text(example, "at", ""), peer[0] == '\0' ? "" : " from ", peer,
                         field_text(example, "example", ""));
            shown++;
        }
    }
    if (shown == 0)
        (void)printf("nothing was rejected since kpid started\n");
}

static enum exit_code run(const struct invocation *invocation)
{
    bool is_tail = invocation->operand_count > 0;
    bool has_reasons = option(invocation, "reasons") != NULL;

    if (is_tail && strcmp(invocation->operands[0], "tail") != 0)
        return usage_error(invocation, "'ingest' knows 'tail', not '%s'", invocation->operands[0]);
    if (is_tail)
        return ingest_tail(invocation);
    if (option(invocation, "rejected") != NULL || option(invocation, "listener") != NULL ||
        option(invocation, "count") != NULL)
        return usage_error(invocation, "--rejected, --listener and --count go with 'ingest tail'");
    return ask_and_print(invocation, "/api/v1/ingest", NULL,
                         has_reasons ? print_rejected : print_ledger);
}

const struct command COMMAND_INGEST = {
    .name = "ingest",
    .operands = "[tail]",
    .help = "what every listener received, stored, rejected and dropped",
    .more = "received = stored + rejected + dropped, in samples; pending ones stand beside it.\n"
            "'ingest tail' shows samples as they come, and what each became.",
    .operands_max = 1,
    .options = {{"reasons", 0, OPTION_FLAG, NULL, "the last samples that were rejected"},
                {"rejected", 0, OPTION_FLAG, NULL, "tail: those that are rejected alone"},
                {"listener", 0, OPTION_TEXT, "TEXT", "tail: of listeners with this in their name"},
                {"count", 'n', OPTION_TEXT, "N", "tail: ends after so many"}},
    .run = run,
};
