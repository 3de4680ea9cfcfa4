/* kpictl ingest: the ledger of every listener. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
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
    }
    (void)printf("%lld series\n", field_count(answer, "series"));
    listing_free(listing);
}

static enum exit_code run(const struct invocation *invocation)
{
    return ask_and_print(invocation, "/api/v1/ingest", NULL, print_ledger);
}

const struct command COMMAND_INGEST = {
    .name = "ingest",
    .operands = "",
    .help = "what every listener received, stored, rejected and dropped",
    .more = "received = stored + rejected + dropped, in samples; pending ones stand beside it.",
    .run = run,
};
