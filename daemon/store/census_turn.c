#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/census_private.h"
#include "store/series_cursor.h"

/* --- time --- */

static void free_chunks(struct census *census)
{
    for (size_t i = 0; i < census->chunk_count; i++) {
        struct chunk *chunk = census->chunks[i];
        if (chunk != NULL && chunk->active == 0 && !chunk->is_changed) {
            free(chunk);
            census->chunks[i] = NULL;
        }
    }
}

/* A few nanoseconds an id. */
static void sweep(struct census *census, uint16_t hour)
{
    uint64_t before = census->active;

    for (size_t i = 0; i < census->chunk_count; i++) {
        struct chunk *chunk = census->chunks[i];
        for (uint32_t at = 0; chunk != NULL && chunk->active > 0 && at < CENSUS_IDS_A_ROW; at++) {
            if (chunk->seen[at] == 0 || census_age(chunk->seen[at], hour) <= CENSUS_HOURS)
                continue;
            census_forget_labels(
                census_metric_at(census, chunk->metric[at] & ~IS_OTHER)); /* counted anew */
            census_leave_series(census, chunk, at);
        }
    }
    free_chunks(census);
    for (size_t i = census->offender_count; i-- > 0;)
        census_leave(census, census->offenders[i]); /* of a transaction that failed */
    if (census->room != NULL && room_has_series(census->room) && before > census->active)
        census->has_to_tell = true;
}

bool census_is_free(uint64_t active, uint64_t limit)
{
    uint64_t part = limit / ROOM_PART;
    return limit == 0 || active + (part == 0 ? 1 : part) <= limit;
}

static bool metric_is_free(const struct census *census, const struct metric *metric)
{
    const struct offender *offender = census_offender_of(metric);
    enum room_limit which = ROOM_LIMIT_NONE;

    if (offender->limit != ROOM_LIMIT_LABEL)
        return census_is_free(
            metric->active,
            census_metric_limit(census, (struct str){offender->name, offender->name_len}, &which));
    return census_labels(metric) == NULL ||
           census->limits.label_values == 0; /* to be counted anew */
}

/* What is not full any more is not said to be. */
static void review(struct census *census)
{
    bool has_room = false;

    census->has_changed = false;
    if (census->is_full && census_is_free(census->active, census->limits.series)) {
        census->is_full = false;
        has_room = true;
        if (census->room != NULL)
            room_set_full(census->room, false);
    }
    if (census->has_refused_others && census_is_free(census->others, census->limits.series)) {
        census->has_refused_others = false;
        has_room = true;
    }
    for (size_t i = 0; i < census->offender_count; i++) {
        struct metric *metric = census_metric_at(census, census->offenders[i]);
        struct offender *offender = census_offender_of(metric);
        if (!offender->is_full || !metric_is_free(census, metric))
            continue;
        offender->is_full = false;
        offender->refusals = 0;
        has_room = true;
        if (offender->is_told)
            (void)room_set_metric_full(census->room,
                                       (struct str){offender->name, offender->name_len}, false);
        offender->is_told = false;
    }
    has_room = census_review_owners(census) || has_room;
    census->wants_epoch = census->wants_epoch || has_room;
}

static void show_owner(const struct owner *owner, struct room_offender *out)
{
    size_t len = owner->name_len < ROOM_NAME_SIZE ? owner->name_len : ROOM_NAME_SIZE - 1;

    out->allowed = owner->limit;
    out->series = owner->active;
    memcpy(out->listener, owner->name, len);
}

/* The limit that holds now, of the kind that was met last. */
static void show_limit(const struct census *census, const struct offender *offender,
                       struct room_offender *out)
{
    const struct str name = {offender->name, offender->name_len};

    const struct owner *owner = census_owner_at(census, offender->owner);

    out->limit = offender->limit;
    if (offender->limit == ROOM_LIMIT_LISTENER && owner != NULL)
        show_owner(owner, out);
    else if (offender->limit == ROOM_LIMIT_SERIES)
        out->allowed = census->limits.series;
    else if (offender->limit == ROOM_LIMIT_LABEL)
        out->allowed = census->limits.label_values;
    else
        out->allowed = census_metric_limit(census, name, &out->limit);
}

static void show_one(const struct census *census, const struct metric *metric,
                     struct room_offender *out)
{
    const struct offender *offender = census_offender_of(metric);
    size_t len = offender->name_len < ROOM_NAME_SIZE ? offender->name_len : ROOM_NAME_SIZE - 1;

    *out = (struct room_offender){
        .series = metric->active, .samples = offender->samples, .refused = offender->refused};
    show_limit(census, offender, out);
    memcpy(out->metric, offender->name, len);
    memcpy(out->label, offender->label, sizeof out->label);
}

static uint64_t shown_badness(const struct room_offender *offender)
{
    return offender->samples + offender->refused;
}

/* The worst of all. */
static void show(struct census *census)
{
    struct room_offender shown[ROOM_OFFENDERS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < census->offender_count; i++) {
        const struct metric *metric = census_metric_at(census, census->offenders[i]);
        const struct offender *offender = census_offender_of(metric);
        uint64_t badness = offender->samples + offender->refused;
        size_t at = count < ROOM_OFFENDERS_MAX ? count : ROOM_OFFENDERS_MAX - 1;
        if (badness == 0 || (count == ROOM_OFFENDERS_MAX && shown_badness(&shown[at]) >= badness))
            continue;
        for (; at > 0 && shown_badness(&shown[at - 1]) < badness; at--)
            shown[at] = shown[at - 1];
        show_one(census, metric, &shown[at]);
        count += count < ROOM_OFFENDERS_MAX;
    }
    room_show(census->room, shown, count);
}

/* Counts of samples are of this span and of the last one. */
static void turn_span(struct census *census, wall_ms now)
{
    uint32_t span = (uint32_t)(now / ACTIVITY_SPAN_MS);

    if (span == census->span)
        return;
    for (size_t i = 0; i < census->metric_count && census->span != 0; i++) {
        struct metric *metric = &census->metrics[i];
        metric->samples[1] = span == census->span + 1 ? metric->samples[0] : 0;
        metric->samples[0] = 0;
    }
    census->span = span;
}

void census_activity(const struct census *census, wall_ms now, struct metric_activity *out)
{
    *out = (struct metric_activity){.seed = census->seed,
                                    .window = ACTIVITY_SPAN_MS + now % ACTIVITY_SPAN_MS};
    out->rows = memory_zero(census->metric_count + 1, sizeof *out->rows);
    for (size_t i = 0; i < census->metric_count; i++) {
        const struct metric *metric = &census->metrics[i];
        if (!census_has_metric(census, (uint32_t)i + 1))
            continue;
        out->rows[out->count++] = (struct activity_row){
            .name = metric->name,
            .series = metric->active + metric->others,
            .samples = (uint64_t)metric->samples[0] + metric->samples[1],
            .last = metric->last_minute == 0 ? WALL_NONE
                                             : (wall_ms)metric->last_minute * MS_PER_MINUTE};
    }
}

void census_tick(struct census *census, wall_ms now, mono_ms mono)
{
    uint16_t hour = census_hour(now);
    span_ms between = SHOW_MS * (1 + (span_ms)(census->offender_count / SHOW_AT_ONCE));

    turn_span(census, now);
    census_begin_group(census); /* the last one holds, or was taken back */
    if (hour != census->swept && census->load_next == 0) {
        census->swept = hour;
        sweep(census, hour);
    }
    if (census->has_changed)
        review(census);
    if (census->room == NULL)
        return;
    if (census->wants_epoch && (census->epoch_at == 0 || mono - census->epoch_at >= EPOCH_MS)) {
        census->wants_epoch = false;
        census->epoch_at = mono;
        room_next_epoch(census->room);
    }
    if (mono - census->shown_at >= between) {
        census->shown_at = mono;
        show(census);
        census_show_owners(census);
    }
}

/* --- what lasts --- */

static uint16_t hour_at(const struct str *row, uint32_t at)
{
    const unsigned char *bytes = (const unsigned char *)row->text + (size_t)at * 2;
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

/* The hour in which a series was last seen, as far as it is known; 0: too long ago. */
static uint16_t seen_before(const struct series_cursor *series, const struct str *row,
                            uint16_t hour)
{
    uint16_t seen = row->len == CENSUS_ROW_BYTES ? hour_at(row, series->id % CENSUS_IDS_A_ROW) : 0;
    uint16_t made = census_hour(series->first_seen);

    if (seen != 0 && census_age(seen, hour) <= CENSUS_HOURS)
        return seen;
    return census_age(made, hour) <= CENSUS_HOURS ? made : 0;
}

static bool is_other_key(struct str key, struct buf *scratch)
{
    const struct label other = {STR("__other__"), STR("true")};

    series_key_write(scratch, series_key_kind(key), series_key_metric(key), &other, 1);
    return str_equal(buf_view(scratch), key);
}

static void load_one(struct census *census, const struct series_cursor *series, uint16_t seen,
                     uint16_t owner, struct buf *scratch)
{
    struct str name = series_key_metric(series->key);
    uint32_t metric = census_metric_of(census, name);

    if (is_other_key(series->key, scratch)) {
        (void)census_offender(census, metric, name);
        metric |= IS_OTHER;
    }
    census_forget_labels(census_metric_at(census, metric & ~IS_OTHER));
    census_enter(census, series->id, metric, seen, owner);
}

/* False when it is done. */
static bool load(struct census *census, const struct read_txn *txn, wall_ms now)
{
    uint16_t hour = census_hour(now);
    struct series_cursor series;
    struct error err;
    struct buf scratch = BUF_EMPTY;
    struct str row = STR_EMPTY;
    struct str owners = STR_EMPTY;
    uint32_t row_number = UINT32_MAX;
    uint32_t owners_number = UINT32_MAX;

    if (census->load_next == 0)
        return false;
    bool ok = census_read_owners(census, txn, &err) && series_cursor_init(&series, txn, &err) &&
              series_cursor_seek(&series, census->load_next, &err);
    for (size_t i = 0; ok && series.has && i < LOAD_SERIES; i++) {
        if (series.id / CENSUS_IDS_A_ROW != row_number) {
            struct schema_key key = schema_id_key(series.id / CENSUS_IDS_A_ROW);
            const struct str name = {(const char *)key.bytes, key.len};
            row_number = series.id / CENSUS_IDS_A_ROW;
            if (!store_get(txn, DATABASE_SEEN, name, &row))
                row = STR_EMPTY;
        }
        if (series.id / CENSUS_OWNER_IDS_A_ROW != owners_number) {
            owners_number = series.id / CENSUS_OWNER_IDS_A_ROW;
            owners = census_owner_row(txn, series.id);
        }
        uint16_t seen = seen_before(&series, &row, hour);
        if (series.key.len > 0 && seen != 0 && !census_is_active(census, series.id))
            load_one(census, &series, seen, census_owner_in(census, owners, series.id), &scratch);
        census->load_next = series.id + 1;
        ok = series_cursor_next(&series, &err);
    }
    if (!ok || !series.has)
        census->load_next = 0;
    series_cursor_fini(&series);
    buf_fini(&scratch);
    return census->load_next != 0;
}

/* Beforehand, so that a series that has room is never sent to `__other__`. */
static bool tell(struct census *census, const struct read_txn *txn)
{
    struct series_cursor series;
    struct error err;

    if (census->tell_next == 0) {
        census->has_to_tell = false;
        census->tell_next = 1;
        room_begin_series(census->room);
    }
    bool ok = series_cursor_init(&series, txn, &err) &&
              series_cursor_seek(&series, census->tell_next, &err);
    for (size_t i = 0; ok && series.has && i < LOAD_SERIES; i++) {
        if (series.key.len > 0 && census_is_active(census, series.id))
            room_add_series(census->room, series_key_hash(series.key));
        census->tell_next = series.id + 1;
        ok = series_cursor_next(&series, &err);
    }
    bool more = ok && series.has;
    series_cursor_fini(&series);
    if (more)
        return true;
    census->tell_next = 0;
    if (!ok)
        census->has_to_tell = true; /* nobody asks those, and all are told again */
    else
        room_end_series(census->room);
    for (size_t i = 0; ok && i < census->offender_count; i++)
        census_tell_full(census,
                         census_offender_of(census_metric_at(census, census->offenders[i])));
    for (size_t i = 0; ok && i < census->owner_count; i++)
        census_tell_owner(census, census->owners[i]);
    return false;
}

bool census_is_loading(const struct census *census)
{
    return census->load_next != 0;
}

bool census_work(struct census *census, struct store *store, wall_ms now)
{
    bool has_to_load = census->load_next != 0;
    bool has_to_tell =
        census->tell_next != 0 || (census->has_to_tell && census->room != NULL && !has_to_load);
    struct error ignored;

    if (!has_to_load && !has_to_tell)
        return false;
    struct read_txn *txn = read_txn_begin(store, &ignored);
    if (txn == NULL)
        return false; /* at the next tick */
    bool more = has_to_load ? load(census, txn, now) || census->has_to_tell : tell(census, txn);
    read_txn_end(txn);
    return more;
}

static bool save_chunk(struct write_txn *txn, const struct chunk *chunk, uint32_t number,
                       struct error *err)
{
    struct schema_key key = schema_id_key(number);
    unsigned char row[CENSUS_ROW_BYTES];

    for (size_t i = 0; i < CENSUS_IDS_A_ROW; i++) {
        row[2 * i] = (unsigned char)(chunk->seen[i] & 0xff);
        row[2 * i + 1] = (unsigned char)(chunk->seen[i] >> 8);
    }
    return store_put(txn, DATABASE_SEEN, store_key(&key),
                     (struct str){(const char *)row, sizeof row}, 0, err);
}

/* Whether the transaction holds is not asked: what is lost is saved an hour later. */
bool census_save(struct census *census, struct write_txn *txn, wall_ms now, bool is_end,
                 struct error *err)
{
    uint16_t hour = census_hour(now);
    size_t rows = 0;

    if (!census_save_owners(census, txn, err))
        return false;
    for (size_t i = 0; i < census->chunk_count && (is_end || rows < SAVE_ROWS); i++) {
        size_t number = census->save_next++ % census->chunk_count;
        struct chunk *chunk = census->chunks[number];
        bool is_due =
            chunk != NULL && chunk->is_changed &&
            (is_end || (chunk->saved != 0 && census_age(chunk->saved, hour) >= SAVE_EVERY_HOURS));
        if (chunk != NULL && chunk->saved == 0)
            chunk->saved = hour; /* what is new is known by when it was made */
        if (!is_due)
            continue;
        if (!save_chunk(txn, chunk, (uint32_t)number, err))
            return false;
        chunk->is_changed = false;
        chunk->saved = hour;
        rows++;
    }
    return true;
}
