/* The rows of the trackers' log (store/tracker.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/tracker_private.h"

enum {
    ROW_VERSION = 1,
    FORM_BITS = 3,
    FLAG_START = 1 << 2,
    FLAG_WHOLE = 1 << 3,
    FLAG_RESETS = 1 << 4,
    FLAG_TALLY = 1 << 5,
    FLAG_NS = 1 << 6,
    FLAG_GAP = 1 << 7,
    VARINT_BYTES = 10,
    NS_BYTES = 3,
    FIXED_BYTES = 5 + 1 + 3 * VARINT_BYTES + NS_BYTES,
    GAP_BYTES = 2 * VARINT_BYTES + 2 * NS_BYTES,
};

/* --- writing --- */

static unsigned char *put_varint(unsigned char *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (unsigned char)value;
    return at;
}

static unsigned char *put_difference(unsigned char *at, wall_ms value, wall_ms before)
{
    uint64_t difference = (uint64_t)value - (uint64_t)before; /* whatever the two are */
    return put_varint(at, difference << 1 ^ (uint64_t)((int64_t)difference >> 63));
}

static unsigned char *put_u64(unsigned char *at, uint64_t value)
{
    for (unsigned shift = 0; shift < 64; shift += 8)
        *at++ = (unsigned char)(value >> shift);
    return at;
}

static bool is_whole(const struct tracker *tracker)
{
    const double exact_max = 9007199254740992.0; /* 2^53 */
    double value = tracker->last.value;

    return !tracker->has_tally && fabs(value) <= exact_max && value == (double)(int64_t)value &&
           !(value == 0 && signbit(value) != 0);
}

static bool is_increment(const struct tracker *tracker)
{
    return tracker->form == 1 + POINT_INCREMENT;
}

static bool has_resets(const struct tracker *tracker)
{
    return tracker->more != NULL && !is_increment(tracker) &&
           tracker->more->reset_at[0] != WALL_NONE;
}

static bool has_gap(const struct tracker *tracker)
{
    return tracker->more != NULL && is_increment(tracker);
}

static bool has_ns(const struct tracker *tracker)
{
    return is_increment(tracker) && tracker->at_ns != TRACKER_NS_UNKNOWN;
}

static bool has_bytes(const struct tracker *tracker)
{
    return tracker->more != NULL && tracker->more->len > 0;
}

void tracker_row_begin(struct tracker_row_writer *writer)
{
    buf_clear(&writer->bytes);
    buf_u8(&writer->bytes, ROW_VERSION);
    writer->id = 0;
    writer->at = 0;
    writer->start = 0;
}

size_t tracker_row_room(const struct tracker *tracker)
{
    size_t room = FIXED_BYTES;

    if (has_resets(tracker))
        room += (size_t)TRACKER_RESETS * VARINT_BYTES;
    if (has_bytes(tracker))
        room += VARINT_BYTES + tracker->more->len;
    if (has_gap(tracker))
        room += GAP_BYTES;
    return room;
}

static unsigned char *put_resets(unsigned char *at, const struct tracker *tracker)
{
    for (int i = 0; i < TRACKER_RESETS; i++) {
        wall_ms reset_at = tracker->more->reset_at[i];
        at = put_varint(at,
                        reset_at == WALL_NONE ? 0 : (uint64_t)tracker->at - (uint64_t)reset_at + 1);
    }
    return at;
}

static unsigned char *put_gap(unsigned char *at, const struct tracker *tracker)
{
    const struct tracker_gap *gap = &tracker->more->gap;

    at = put_varint(at, (uint64_t)tracker->at - (uint64_t)gap->to);
    at = put_varint(at, gap->to_ns);
    if (gap->from == WALL_NONE)
        return put_varint(at, 0);
    at = put_varint(at, (uint64_t)gap->to - (uint64_t)gap->from + 1);
    return put_varint(at, gap->from_ns);
}

void tracker_row_add(struct tracker_row_writer *writer, uint32_t id, const struct tracker *tracker)
{
    unsigned char *bytes = (unsigned char *)buf_room(&writer->bytes, tracker_row_room(tracker));
    bool has_start = tracker->start != WALL_NONE;
    bool whole = is_whole(tracker);
    unsigned flags = (unsigned)tracker->form | (has_start ? FLAG_START : 0) |
                     (whole ? FLAG_WHOLE : 0) | (has_resets(tracker) ? FLAG_RESETS : 0) |
                     (tracker->has_tally ? FLAG_TALLY : 0) | (has_ns(tracker) ? FLAG_NS : 0) |
                     (has_gap(tracker) ? FLAG_GAP : 0);
    unsigned char *at = put_varint(bytes, id - writer->id);

    *at++ = (unsigned char)flags;
    at = put_difference(at, tracker->at, writer->at);
    if (has_start)
        at = put_difference(at, tracker->start, writer->start);
    at = whole ? put_difference(at, (int64_t)tracker->last.value, 0)
               : put_u64(at, tracker->last.bits);
    if (has_resets(tracker))
        at = put_resets(at, tracker);
    if (has_ns(tracker))
        at = put_varint(at, tracker->at_ns);
    if (has_gap(tracker))
        at = put_gap(at, tracker);
    if (has_bytes(tracker))
        at = put_varint(at, tracker->more->len);
    writer->bytes.len += (size_t)(at - bytes);
    if (has_bytes(tracker))
        buf_append(&writer->bytes, tracker->more->tally, tracker->more->len);
    writer->id = id;
    writer->at = tracker->at;
    writer->start = has_start ? tracker->start : writer->start;
}

/* --- reading --- */

static wall_ms read_difference(struct reader *reader, wall_ms before)
{
    uint64_t zigzag = read_varint(reader);
    return (wall_ms)((uint64_t)before + (zigzag >> 1 ^ -(zigzag & 1)));
}

bool tracker_row_open(struct tracker_row_reader *reader, struct str row)
{
    *reader = (struct tracker_row_reader){.reader = reader_of(row)};
    uint8_t version = read_u8(&reader->reader);
    return reader->reader.ok && version == ROW_VERSION;
}

static bool keeps_tally(unsigned flags)
{
    return (flags & FLAG_TALLY) != 0 && (flags & FORM_BITS) == 1 + POINT_CUMULATIVE;
}

static struct tracker_more *read_more(struct tracker_row_reader *row, unsigned flags)
{
    struct reader *reader = &row->reader;
    uint64_t resets[TRACKER_RESETS] = {0};
    uint64_t len = 0;

    for (int i = 0; i < TRACKER_RESETS && (flags & FLAG_RESETS) != 0; i++)
        resets[i] = read_varint(reader);
    if (keeps_tally(flags))
        len = read_varint(reader);
    if (!reader->ok || len > reader->left) {
        reader->ok = false;
        return NULL;
    }
    struct tracker_more *more = memory_alloc(sizeof *more + len);
    more->len = len;
    for (int i = 0; i < TRACKER_RESETS; i++)
        more->reset_at[i] =
            resets[i] == 0 ? WALL_NONE : (wall_ms)((uint64_t)row->at - (resets[i] - 1));
    memcpy(more->tally, reader->at, len);
    reader->at += len;
    reader->left -= len;
    return more;
}

static uint32_t read_ns(struct reader *reader)
{
    uint64_t ns = read_varint(reader);

    reader->ok = reader->ok && ns < TRACKER_NS_PER_MS;
    return (uint32_t)ns;
}

static struct tracker_more *read_gap(struct tracker_row_reader *row)
{
    struct reader *reader = &row->reader;
    struct tracker_gap gap = {.from = WALL_NONE};

    gap.to = (wall_ms)((uint64_t)row->at - read_varint(reader));
    gap.to_ns = read_ns(reader);
    uint64_t length = read_varint(reader);
    if (length > 0) {
        gap.from = (wall_ms)((uint64_t)gap.to - (length - 1));
        gap.from_ns = read_ns(reader);
    }
    reader->ok = reader->ok && gap.to <= row->at && tracker_gap_is_open(&gap);
    if (!reader->ok)
        return NULL;
    struct tracker_more *more = memory_zero(1, sizeof *more);
    more->gap = gap;
    return more;
}

/* What only increments have, at the end of the entry. */
static void read_window(struct tracker_row_reader *row, unsigned flags, struct tracker *out)
{
    out->at_ns = TRACKER_NS_UNKNOWN;
    if ((flags & FLAG_NS) != 0)
        out->at_ns = read_ns(&row->reader) & DELTA_NS_MASK;
    if ((flags & FLAG_GAP) != 0)
        out->more = read_gap(row);
}

static bool flags_are_sound(unsigned flags)
{
    unsigned form = flags & FORM_BITS;
    unsigned others = form == 1 + POINT_INCREMENT ? FLAG_RESETS : FLAG_NS | FLAG_GAP;

    return form != 0 && (flags & others) == 0;
}

static bool value_is_sound(const struct tracker *tracker)
{
    if (tracker->has_tally)
        return true;
    return isfinite(tracker->last.value) &&
           (tracker->form != 1 + POINT_CUMULATIVE || tracker->last.value >= 0);
}

static bool read_entry(struct tracker_row_reader *row, struct tracker *out)
{
    struct reader *reader = &row->reader;
    uint64_t step = read_varint(reader);
    unsigned flags = read_u8(reader);

    if (step == 0 || step > UINT32_MAX - row->id || !flags_are_sound(flags))
        return false;
    row->id += (uint32_t)step;
    row->at = read_difference(reader, row->at);
    *out = (struct tracker){.at = row->at, .start = WALL_NONE, .form = flags & FORM_BITS};
    out->has_tally = (flags & FLAG_TALLY) != 0;
    if ((flags & FLAG_START) != 0)
        out->start = row->start = read_difference(reader, row->start);
    if ((flags & FLAG_WHOLE) != 0)
        out->last.value = (double)read_difference(reader, 0);
    else
        out->last.bits = read_u64(reader);
    if (!reader->ok || out->at == WALL_NONE || !value_is_sound(out))
        return false;
    if (is_increment(out))
        read_window(row, flags, out);
    else if ((flags & FLAG_RESETS) != 0 || keeps_tally(flags))
        out->more = read_more(row, flags);
    return reader->ok;
}

bool tracker_row_next(struct tracker_row_reader *reader, struct tracker *out)
{
    *out = (struct tracker){.at = WALL_NONE};
    if (!reader->reader.ok || reader->reader.left == 0)
        return false;
    if (read_entry(reader, out))
        return true;
    reader->reader.ok = false;
    free(out->more);
    out->more = NULL;
    return false;
}

bool tracker_row_each(struct str row, void (*on_id)(uint32_t id, void *arg), void *arg)
{
    struct tracker_row_reader reader;
    struct tracker tracker;

    if (!tracker_row_open(&reader, row))
        return false;
    while (tracker_row_next(&reader, &tracker)) {
        free(tracker.more);
        on_id(reader.id, arg);
    }
    return reader.reader.ok;
}
