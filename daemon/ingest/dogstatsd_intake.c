#include "ingest/dogstatsd_intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/counters.h"
#include "base/memory.h"
#include "ingest/dogstatsd.h"
#include "ingest/intake.h"

#define CHECK_METRIC "service_check."
#define HOST_TAG     "host:"

static const struct {
    const char *word;
    enum annotation_kind kind;
} STATUSES[CHECK_STATUS_COUNT] = {
    [CHECK_OK] = {"ok", ANNOTATION_SUCCESS},
    [CHECK_WARNING] = {"warning", ANNOTATION_WARNING},
    [CHECK_CRITICAL] = {"critical", ANNOTATION_ERROR},
    [CHECK_UNKNOWN] = {"unknown", ANNOTATION_WARNING},
};

/* --- annotations -------------------------------------------------------------------------------
 */

struct dogstatsd_notes *dogstatsd_notes_new(void)
{
    struct dogstatsd_notes *notes = memory_zero(1, sizeof *notes);
    notes->minute = INT64_MIN;
    return notes;
}

void dogstatsd_notes_free(struct dogstatsd_notes *notes)
{
    if (notes == NULL)
        return;
    delta_free(notes->annotations);
    free(notes);
}

struct delta *dogstatsd_take_annotations(struct dogstatsd_notes *notes)
{
    struct delta *taken = notes == NULL ? NULL : notes->annotations;

    if (taken != NULL)
        notes->annotations = NULL;
    return taken;
}

static struct dogstatsd_notes *notes_of(struct intake *intake)
{
    if (intake->notes == NULL)
        intake->notes = dogstatsd_notes_new();
    return intake->notes;
}

static wall_ms now_of(const struct intake *intake)
{
    return intake->now_us / 1000;
}

static struct str unescaped(struct str text, char *out, size_t room)
{
    return (struct str){out, dogstatsd_unescape(text, out, room)};
}

/* Whether there may be one more in this minute, and it is counted. */
static bool may_keep(struct dogstatsd_notes *notes, int64_t minute)
{
    if (notes->minute != minute) {
        notes->minute = minute;
        notes->in_minute = 0;
    }
    if (notes->annotations == NULL)
        notes->annotations = delta_new();
    if (notes->in_minute >= EVENTS_PER_MINUTE_MAX ||
        notes->annotations->annotation_count >= EVENTS_WAITING_MAX)
        return false;
    notes->in_minute++;
    return true;
}

/* Keeps it for the next hand-over, with newlines for what stands for them; false when there are too
 * many. */
static bool keep(struct intake *intake, const struct annotation *annotation)
{
    struct dogstatsd_notes *notes = notes_of(intake);
    bool ok = may_keep(notes, now_of(intake) / MS_PER_MINUTE);
    /* One byte more than is kept, so that it is seen that something is cut. */
    char title[ANNOTATION_TITLE_MAX + 1];
    char text[ANNOTATION_TEXT_MAX + 1];
    struct annotation plain = *annotation;

    if (!ok && intake->tail == NULL)
        return false;
    plain.title = unescaped(annotation->title, title, sizeof title);
    plain.text = unescaped(annotation->text, text, sizeof text);
    if (plain.at == WALL_NONE)
        plain.at = now_of(intake);
    if (ok)
        delta_add_annotation(notes->annotations, &plain);
    intake_note_event(intake, &plain, ok);
    return ok;
}

/* As for a sample (FIG-3). */
static bool is_in_time(const struct intake *intake, wall_ms at)
{
    wall_ms now = now_of(intake);
    return at == WALL_NONE || (at <= now + intake->max_future && at >= now - intake->max_past);
}

static void take_event(struct intake *intake, struct str text)
{
    struct ledger *ledger = intake->ledger;
    struct annotation event;
    uint32_t unknown = 0;
    enum reject_reason why = REJECT_NONE;

    if (!dogstatsd_parse_event(text, &event, &unknown, &why)) {
        intake_reject(intake, why, text);
        return;
    }
    COUNTER_ADD(unknown_fields, unknown);
    if (!is_in_time(intake, event.at)) {
        intake_reject(intake, REJECT_bad_time, text);
        return;
    }
    ledger->received++;
    if (!keep(intake, &event)) {
        ledger->dropped[DROP_event_limit]++;
        return;
    }
    ledger->stored++;
    notes_of(intake)->annotations->events++;
}

/* --- service checks ----------------------------------------------------------------------------
 */

static uint64_t hash_of(const struct dogstatsd_check *check)
{
    uint64_t hash = XXH3_64bits(check->name.text, check->name.len);

    if (check->tags.len > 0)
        hash = XXH3_64bits_withSeed(check->tags.text, check->tags.len, hash);
    if (check->host.len > 0)
        hash = XXH3_64bits_withSeed(check->host.text, check->host.len, hash);
    return hash == 0 ? 1 : hash;
}

/* Whether it is not as it was when it was heard last: what was never heard was well. */
static bool has_changed(struct dogstatsd_notes *notes, const struct dogstatsd_check *check)
{
    uint64_t hash = hash_of(check);
    size_t at = hash % CHECKS_REMEMBERED;
    bool is_known = notes->checks[at].hash == hash;
    uint8_t before = is_known ? notes->checks[at].status : CHECK_OK;

    notes->checks[at].hash = hash;
    notes->checks[at].status = (uint8_t)check->status;
    return before != (uint8_t)check->status;
}

/* A check says the same again and again; only a change is worth an annotation. */
static void note_change(struct intake *intake, const struct dogstatsd_check *check)
{
    char title[ANNOTATION_TITLE_MAX + 1];
    struct annotation annotation = {.at = check->at,
                                    .kind = STATUSES[check->status].kind,
                                    .text = check->message,
                                    .host = check->host,
                                    .key = check->name,
                                    .source = STR("service check"),
                                    .tags = check->tags};

    if (!has_changed(notes_of(intake), check))
        return;
    int len = snprintf(title, sizeof title, "%.*s is %s",
                       (int)(check->name.len < 256 ? check->name.len : 256), check->name.text,
                       STATUSES[check->status].word);
    annotation.title = (struct str){title, (size_t)len};
    COUNTER_ADD(annotations_skipped, !keep(intake, &annotation));
}

static bool has_host(struct str tags)
{
    while (tags.len > 0) {
        if (str_starts_with(str_split(&tags, ','), HOST_TAG))
            return true;
    }
    return false;
}

/* What put may write for one check. */
enum {
    CHECK_SCRATCH =
        sizeof CHECK_METRIC + METRIC_NAME_MAX + sizeof HOST_TAG + 2 * ((size_t)LABEL_BYTES_MAX + 1),
};

/* Copies text to the scratch; what is longer than any series may have is cut where it is still seen
 * to be so. */
static void put(struct intake *intake, struct str text, size_t max)
{
    size_t len = text.len < max ? text.len : max;

    if (len > 0)
        memcpy(intake->scratch + intake->scratch_len, text.text, len);
    intake->scratch_len += len;
}

/* What the shard will reject is no change. */
static bool is_storable(const struct sample *sample)
{
    return metric_name_is_storable(sample->name) && str_is_utf8(sample->tags);
}

static void take_check(struct intake *intake, struct str text)
{
    struct dogstatsd_check check;
    uint32_t unknown = 0;
    enum reject_reason why = REJECT_NONE;

    if (!dogstatsd_parse_check(text, &check, &unknown, &why)) {
        intake_reject(intake, why, text);
        return;
    }
    COUNTER_ADD(unknown_fields, unknown);
    struct sample *sample = intake_next_sample(intake, CHECK_SCRATCH);
    char *name = intake->scratch + intake->scratch_len;
    put(intake, STR(CHECK_METRIC), SIZE_MAX);
    put(intake, check.name, METRIC_NAME_MAX);
    char *tags = intake->scratch + intake->scratch_len;
    if (check.host.len > 0 && !has_host(check.tags)) {
        put(intake, STR(HOST_TAG), SIZE_MAX);
        put(intake, check.host, LABEL_BYTES_MAX + 1);
        put(intake, STR(","), check.tags.len > 0);
    }
    put(intake, check.tags, LABEL_BYTES_MAX + 1);
    size_t tags_len = (size_t)(intake->scratch + intake->scratch_len - tags);
    *sample = (struct sample){.name = {name, (size_t)(tags - name)},
                              .tags = {tags, tags_len},
                              .tag_style = tags_len == 0 ? TAGS_NONE : TAGS_COLON,
                              .kind = METRIC_GAUGE,
                              .form = SAMPLE_VALUE,
                              .value = check.status,
                              .weight = WEIGHT_ONE,
                              .at = check.at};
    intake->ledger->received++;
    intake->count++;
    if (is_in_time(intake, check.at) && is_storable(sample))
        note_change(intake, &check);
}

/* --- lines -------------------------------------------------------------------------------------
 */

static void look_for_drops(struct intake *intake, size_t first)
{
    for (size_t i = first; i < intake->count; i++) {
        const struct sample *sample = &intake->samples[i];
        if (client_drops_is_name(sample->name) && intake->clients != NULL)
            client_drops_take(intake->clients, sample);
    }
}

static void take_metric(struct intake *intake, struct str text)
{
    struct dogstatsd_line line = dogstatsd_line_of(text);

    while (line.more) {
        struct sample *sample = intake_next_sample(intake, 0);
        size_t first = intake->count;
        intake->count += dogstatsd_parse(&line, sample, INTAKE_SAMPLES - first, intake->ledger);
        look_for_drops(intake, first);
    }
    if (line.unknown > 0)
        COUNTER_ADD(unknown_fields, line.unknown);
    if (line.rejected > 0)
        intake_note_rejected(intake, line.rejected, line.why, text, intake->peer);
}

void dogstatsd_take(struct intake *intake, struct str text)
{
    if (text.len > 0 && text.text[0] == '_') {
        if (dogstatsd_is_event(text)) {
            take_event(intake, text);
            return;
        }
        if (dogstatsd_is_check(text)) {
            take_check(intake, text);
            return;
        }
    }
    if (!dogstatsd_parse_plain(text, intake_next_sample(intake, 0), intake->ledger)) {
        take_metric(intake, text);
        return;
    }
    intake->count++;
    look_for_drops(intake, intake->count - 1);
}
