#include "ingest/tail.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "series/mapping.h"

enum { LISTENER_SIZE = 128 };

struct entry {
    uint64_t number; /* 0: none */
    bool is_rejected;
    char listener[LISTENER_SIZE];
    char *json;
    size_t len;
};

/* How many a listener has left in this second, taken and rejected. */
struct quota {
    mono_ms second;
    unsigned used[2];
};

struct tail {
    _Atomic uint64_t *numbers;
    mono_ms asked_at;
    struct entry *entries; /* a ring, made when somebody asks */
    size_t next;
    uint64_t read_up_to;
    uint64_t skipped;
    struct quota quotas[TAIL_QUOTAS];
    struct mapped mapped;
    struct buf key, text, line;
};

struct tail *tail_new(_Atomic uint64_t *numbers)
{
    struct tail *tail = memory_zero(1, sizeof *tail);
    tail->numbers = numbers;
    tail->entries = memory_zero(TAIL_ENTRIES, sizeof *tail->entries);
    return tail;
}

void tail_free(struct tail *tail)
{
    if (tail == NULL)
        return;
    for (size_t i = 0; i < TAIL_ENTRIES; i++)
        free(tail->entries[i].json);
    free(tail->entries);
    buf_fini(&tail->key);
    buf_fini(&tail->text);
    buf_fini(&tail->line);
    free(tail);
}

void tail_ask(struct tail *tail, mono_ms now)
{
    tail->asked_at = now;
}

bool tail_is_over(const struct tail *tail, mono_ms now)
{
    return now - tail->asked_at > TAIL_MS;
}

/* --- noting --- */

static unsigned place_of(const char *listener)
{
    unsigned place = 0;
    for (const char *at = listener; *at != '\0'; at++)
        place = place * 31 + (unsigned char)*at;
    return place % TAIL_QUOTAS;
}

/* Whether there is room for one more; else it is counted. */
static bool may_note(struct tail *tail, const struct tail_rules *rules, bool is_rejected,
                     uint64_t count)
{
    struct quota *quota = &tail->quotas[place_of(rules->listener)];
    mono_ms second = rules->now / 1000;

    if (quota->second != second)
        *quota = (struct quota){.second = second};
    if (quota->used[is_rejected]++ < TAIL_PER_S)
        return true;
    tail->skipped += count;
    return false;
}

static struct json begin(struct tail *tail, const struct tail_rules *rules)
{
    char utc[CLOCK_TEXT_SIZE];
    struct json json;

    buf_clear(&tail->line);
    json = json_to(&tail->line);
    json_open(&json, '{');
    json_field_text(&json, "at", clock_format_utc(clock_wall(), utc));
    json_field_text(&json, "listener", rules->listener);
    return json;
}

/* Takes the line over. */
static void end(struct tail *tail, const struct tail_rules *rules, struct json *json,
                bool is_rejected)
{
    struct entry *entry = &tail->entries[tail->next];

    json_close(json, '}');
    tail->next = (tail->next + 1) % TAIL_ENTRIES;
    tail->skipped += entry->number > tail->read_up_to;
    free(entry->json);
    *entry = (struct entry){
        .number = atomic_fetch_add_explicit(tail->numbers, 1, memory_order_relaxed) + 1,
        .is_rejected = is_rejected,
        .json = memory_copy(tail->line.bytes, tail->line.len),
        .len = tail->line.len};
    (void)snprintf(entry->listener, sizeof entry->listener, "%s", rules->listener);
}

static void write_key(struct tail *tail, struct json *json, struct str key)
{
    struct label label;
    size_t at = 0;

    json_field_str(json, "name", series_key_metric(key));
    json_key(json, "labels");
    json_open(json, '{');
    while (series_key_next_label(key, &at, &label)) {
        json_key_str(json, label.name);
        json_str(json, label.value);
    }
    json_close(json, '}');
    json_field_text(json, "kind", metric_kind_name(series_key_kind(key)));
    buf_clear(&tail->text);
    series_key_format(&tail->text, key);
    json_field_str(json, "series", buf_view(&tail->text));
}

static enum metric_kind kind_of(const struct tail_rules *rules, const struct sample *sample,
                                struct str name)
{
    const struct metric_definition *metric = metric_find(rules->metrics, name);
    return metric != NULL && metric->has_kind ? metric->kind : sample->kind;
}

/* The key of what a sample became, as the shard makes it. False: a rule drops it. */
static bool key_of(struct tail *tail, const struct tail_rules *rules, const struct sample *sample)
{
    struct label parsed[LABELS_MAX];
    const struct label *labels = parsed;
    const struct label other = {STR("__other__"), STR("true")};
    struct str name = sample->name;
    struct series_hash hash;
    size_t count = 0;

    (void)labels_parse(sample->tags, sample->tag_style, parsed, &count);
    const struct mapping *mapping = rules->metrics == NULL ? NULL : rules->metrics->mapping;
    switch (mapping_apply(mapping, name, parsed, count, &tail->mapped)) {
    case MAPPING_DROPPED:
        return false;
    case MAPPING_MAPPED:
        name = tail->mapped.name;
        labels = tail->mapped.labels;
        count = tail->mapped.label_count;
        break;
    case MAPPING_TOO_BIG:
    case MAPPING_NONE:
        break;
    }
    enum metric_kind kind = kind_of(rules, sample, name);
    series_key_write(&tail->key, kind, name, labels, count);
    if (!shard_series_of(rules->shard, sample, &hash) ||
        series_hash_equal(hash, series_key_hash(buf_view(&tail->key))))
        return true;
    series_key_write(&tail->key, kind, name, &other, 1); /* there was no room for it */
    return true;
}

static void write_value(struct json *json, enum metric_kind kind, const struct sample *sample)
{
    if (kind == METRIC_UNIQUE)
        json_field_str(json, "value", sample->text);
    else
        json_field_number(json, sample->form == SAMPLE_CHANGE ? "change" : "value", sample->value);
    if (sample->weight != WEIGHT_ONE)
        json_field_number(json, "weight", (double)sample->weight / (double)WEIGHT_ONE);
}

static void write_dropped(struct json *json, const struct tail_dropped *dropped)
{
    if (dropped->name.len > 0)
        json_field_str(json, "name", dropped->name);
    json_field_text(json, "dropped", drop_reason_name(dropped->reason));
    json_field_u64(json, "samples", dropped->count);
}

void tail_sample(struct tail *tail, const struct tail_rules *rules, const struct sample *sample)
{
    if (!may_note(tail, rules, false, 1))
        return;
    struct json json = begin(tail, rules);
    if (key_of(tail, rules, sample)) {
        struct str key = buf_view(&tail->key);
        write_key(tail, &json, key);
        write_value(&json, series_key_kind(key), sample);
    } else {
        write_dropped(&json, &(struct tail_dropped){DROP_unwanted, sample->name, 1});
    }
    end(tail, rules, &json, false);
}

void tail_drop(struct tail *tail, const struct tail_rules *rules,
               const struct tail_dropped *dropped)
{
    if (!may_note(tail, rules, false, dropped->count))
        return;
    struct json json = begin(tail, rules);
    write_dropped(&json, dropped);
    end(tail, rules, &json, false);
}

void tail_event(struct tail *tail, const struct tail_rules *rules,
                const struct annotation *annotation, bool is_kept)
{
    if (!may_note(tail, rules, false, 1))
        return;
    struct json json = begin(tail, rules);
    json_field_str(&json, "event", annotation->title);
    json_field_text(&json, "kind", annotation_kind_name(annotation->kind));
    if (!is_kept)
        json_field_text(&json, "dropped", drop_reason_name(DROP_event_limit));
    end(tail, rules, &json, false);
}

static void note_series(struct tail *tail, const struct tail_rules *rules,
                        const struct delta_series *series, double value, double samples)
{
    if (!may_note(tail, rules, false, 1))
        return;
    struct json json = begin(tail, rules);
    write_key(tail, &json, series->key);
    if (series_key_kind(series->key) != METRIC_UNIQUE)
        json_field_number(&json, "value", value);
    json_field_number(&json, "samples", samples);
    end(tail, rules, &json, false);
}

void tail_delta(struct tail *tail, const struct tail_rules *rules, const struct delta *delta)
{
    for (size_t i = 0; i < delta->cell_count; i++) {
        const struct delta_cell *cell = &delta->cells[i];
        const struct aggregate *aggregate = &cell->cell.aggregate;
        note_series(tail, rules, &delta->series[cell->series],
                    aggregate->count > 0    ? aggregate->last
                    : cell->changes == NULL ? 0
                                            : cell->changes->total,
                    (double)aggregate->count / (double)WEIGHT_ONE +
                        (cell->changes == NULL ? 0 : (double)cell->changes->count));
    }
    for (size_t i = 0; i < delta->point_count; i++)
        note_series(tail, rules, &delta->series[delta->points[i].series], delta->points[i].value,
                    1);
}

void tail_reject(struct tail *tail, const struct tail_rules *rules,
                 const struct tail_rejected *rejected)
{
    if (!may_note(tail, rules, true, rejected->count))
        return;
    struct json json = begin(tail, rules);
    json_field_text(&json, "rejected", reject_reason_name(rejected->reason));
    json_field_u64(&json, "samples", rejected->count);
    if (rejected->peer[0] != '\0')
        json_field_text(&json, "peer", rejected->peer);
    json_field_text(&json, "example", rejected->example);
    end(tail, rules, &json, true);
}

/* --- reading --- */

static bool is_wanted(const struct entry *entry, const struct tail_request *request, uint64_t last)
{
    if (entry->number <= request->after || entry->number > last ||
        (request->rejected && !entry->is_rejected))
        return false;
    return request->listener.len == 0 ||
           memmem(entry->listener, strlen(entry->listener), request->listener.text,
                  request->listener.len) != NULL;
}

void tail_read(struct tail *tail, const struct tail_request *request, uint64_t last,
               struct tail_lines *out)
{
    out->skipped += tail->skipped;
    tail->read_up_to = last;
    for (size_t i = 0; i < TAIL_ENTRIES; i++) {
        const struct entry *entry = &tail->entries[i];
        if (!is_wanted(entry, request, last))
            continue;
        if (out->count == out->capacity) {
            out->capacity = out->capacity == 0 ? 64 : out->capacity * 2;
            out->items = memory_grow(out->items, out->capacity, sizeof *out->items);
        }
        out->items[out->count++] =
            (struct tail_line){entry->number, memory_copy(entry->json, entry->len), entry->len};
    }
}

static int compare_lines(const void *a, const void *b)
{
    uint64_t one = ((const struct tail_line *)a)->number;
    uint64_t other = ((const struct tail_line *)b)->number;
    return (one > other) - (one < other);
}

void tail_lines_sort(struct tail_lines *lines)
{
    if (lines->count > 1)
        qsort(lines->items, lines->count, sizeof *lines->items, compare_lines);
}

void tail_lines_fini(struct tail_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->items[i].json);
    free(lines->items);
    *lines = (struct tail_lines){0};
}

/* --- examples --- */

void reject_examples_add(struct reject_examples *examples, enum reject_reason reason,
                         const char *text, const char *peer)
{
    struct reject_example *example = &examples->of[reason][examples->next[reason]];

    examples->next[reason] = (unsigned char)((examples->next[reason] + 1) % TAIL_EXAMPLES);
    example->at = clock_wall();
    (void)snprintf(example->text, sizeof example->text, "%s", text);
    (void)snprintf(example->peer, sizeof example->peer, "%s", peer == NULL ? "" : peer);
}

static int compare_examples(const void *a, const void *b)
{
    wall_ms one = ((const struct reject_example *)a)->at;
    wall_ms other = ((const struct reject_example *)b)->at;
    return (one < other) - (one > other);
}

void reject_examples_merge(struct reject_examples *into, const struct reject_examples *from)
{
    struct reject_example both[2 * TAIL_EXAMPLES];

    for (int i = 0; i < REJECT_REASON_COUNT; i++) {
        memcpy(both, into->of[i], sizeof into->of[i]);
        memcpy(&both[TAIL_EXAMPLES], from->of[i], sizeof from->of[i]);
        qsort(both, sizeof both / sizeof both[0], sizeof both[0], compare_examples);
        memcpy(into->of[i], both, sizeof into->of[i]);
    }
}
