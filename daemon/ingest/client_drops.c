#include "ingest/client_drops.h"

#include <stddef.h>
#include <string.h>

#include "base/memory.h"

#define PREFIX "datadog.dogstatsd.client."

bool client_drops_is_name(struct str name)
{
    return name.len > sizeof PREFIX - 1 && memcmp(name.text, PREFIX, sizeof PREFIX - 1) == 0;
}

/* Which count of a client a metric is for. Those for a queue and a writer apart are in the total.
 */
static const struct {
    const char *name;
    size_t at;
} COUNTS[] = {
    {"packets_dropped", offsetof(struct client, packets)},
    {"bytes_dropped", offsetof(struct client, bytes)},
    {"metric_dropped_on_receive", offsetof(struct client, metrics)},
};

static void put_word(struct str word, char *out)
{
    size_t len = word.len < CLIENT_WORD_SIZE ? word.len : CLIENT_WORD_SIZE - 1;

    if (len > 0)
        memcpy(out, word.text, len);
    out[len] = '\0';
}

static void read_tags(struct str tags, struct client_drops *out)
{
    while (tags.len > 0) {
        struct str value = str_split(&tags, ',');
        struct str key = str_split(&value, ':');
        if (str_is(key, "client"))
            put_word(value, out->name);
        else if (str_is(key, "client_version"))
            put_word(value, out->version);
        else if (str_is(key, "client_transport"))
            put_word(value, out->transport);
    }
}

static bool is_client(const struct client *client, const struct client_drops *wanted)
{
    return strcmp(client->name, wanted->name) == 0 &&
           strcmp(client->version, wanted->version) == 0 &&
           strcmp(client->transport, wanted->transport) == 0;
}

/* The client's row; a new one while there is room, else that of all others. */
static struct client *find_client(struct client_table *table, const struct client_drops *wanted)
{
    uint32_t count = atomic_load_explicit(&table->count, memory_order_relaxed);

    for (uint32_t i = 0; i < count; i++) {
        if (is_client(&table->clients[i], wanted))
            return &table->clients[i];
    }
    if (count > CLIENTS_MAX)
        return &table->clients[CLIENTS_MAX];
    struct client *client = &table->clients[count];
    if (count == CLIENTS_MAX) {
        put_word(STR("other"), client->name);
    } else {
        memcpy(client->name, wanted->name, sizeof client->name);
        memcpy(client->version, wanted->version, sizeof client->version);
        memcpy(client->transport, wanted->transport, sizeof client->transport);
    }
    atomic_store_explicit(&table->count, count + 1, memory_order_release);
    return client;
}

static struct client_table *table_of(client_table_place *place)
{
    struct client_table *table = atomic_load_explicit(place, memory_order_relaxed);

    if (table == NULL) {
        table = memory_zero(1, sizeof *table);
        atomic_store_explicit(place, table, memory_order_release);
    }
    return table;
}

void client_drops_take(client_table_place *place, const struct sample *sample)
{
    struct str what = {sample->name.text + sizeof PREFIX - 1, sample->name.len - sizeof PREFIX + 1};
    double count = sample->value * ((double)sample->weight / (double)WEIGHT_ONE);
    struct client_drops wanted = {0};

    /* More than 2^53 is no count of anything; it also fits into the sum. */
    if (sample->kind != METRIC_COUNTER || !(count >= 0) || count > 0x1p53)
        return;
    for (size_t i = 0; i < sizeof COUNTS / sizeof *COUNTS; i++) {
        if (!str_is(what, COUNTS[i].name))
            continue;
        read_tags(sample->tags, &wanted);
        struct client *client = find_client(table_of(place), &wanted);
        _Atomic uint64_t *sum = (_Atomic uint64_t *)((char *)client + COUNTS[i].at);
        (void)atomic_fetch_add_explicit(sum, (uint64_t)count, memory_order_relaxed);
        return;
    }
}

size_t client_drops_add(client_table_place *place, struct client_drops *out, size_t count,
                        size_t max)
{
    const struct client_table *table = atomic_load_explicit(place, memory_order_acquire);
    uint32_t known = table == NULL ? 0 : atomic_load_explicit(&table->count, memory_order_acquire);

    for (uint32_t i = 0; i < known; i++) {
        const struct client *client = &table->clients[i];
        size_t at = 0;
        while (at < count && !is_client(client, &out[at]))
            at++;
        if (at == max)
            continue;
        if (at == count) {
            out[at] = (struct client_drops){0};
            memcpy(out[at].name, client->name, sizeof client->name);
            memcpy(out[at].version, client->version, sizeof client->version);
            memcpy(out[at].transport, client->transport, sizeof client->transport);
            count++;
        }
        out[at].packets += atomic_load_explicit(&client->packets, memory_order_relaxed);
        out[at].bytes += atomic_load_explicit(&client->bytes, memory_order_relaxed);
        out[at].metrics += atomic_load_explicit(&client->metrics, memory_order_relaxed);
    }
    return count;
}
