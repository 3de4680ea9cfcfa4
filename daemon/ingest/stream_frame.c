#include "ingest/stream_frame.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    HEADER_BYTES = 4, /* of a frame */
    TAIL_BYTES_MIN = 256,
};

enum framing framing_of(enum protocol protocol, enum transport transport)
{
    switch (protocol) {
    case PROTOCOL_GRAPHITE_PICKLE:
        return FRAMING_BIG_ENDIAN;
    case PROTOCOL_DOGSTATSD:
        return transport == TRANSPORT_UNIX ? FRAMING_LITTLE_ENDIAN : FRAMING_LINES;
    case PROTOCOL_INFLUX:
        return FRAMING_INFLUX;
    default:
        return FRAMING_LINES;
    }
}

static bool has_frames(const struct stream_cut *cut)
{
    return cut->framing == FRAMING_BIG_ENDIAN || cut->framing == FRAMING_LITTLE_ENDIAN;
}

static size_t frame_len(enum framing framing, const char *header)
{
    uint32_t len = 0;

    memcpy(&len, header, sizeof len);
    return framing == FRAMING_BIG_ENDIAN ? be32toh(len) : le32toh(len);
}

struct str stream_cut_tail(const struct stream_cut *cut)
{
    return (struct str){cut->tail, cut->tail_len};
}

void stream_cut_forget(struct stream_cut *cut)
{
    cut->room->bytes -= cut->promised;
    free(cut->tail);
    cut->tail = NULL;
    cut->tail_len = 0;
    cut->tail_capacity = 0;
    cut->promised = 0;
    cut->is_new = false;
}

/* --- room ------------------------------------------------------------------------------------- */

static void promise(struct stream_cut *cut, size_t bytes)
{
    if (bytes <= cut->promised)
        return;
    cut->is_new = cut->is_new || cut->promised == 0;
    cut->room->bytes += bytes - cut->promised;
    cut->promised = bytes;
}

static bool fits(const struct tail_room *room, size_t bytes)
{
    return room->bytes == 0 || room->bytes + bytes <= room->bytes_max;
}

/* As long as any line or frame may be. */
static size_t any_len(const struct stream_cut *cut, const struct intake *intake)
{
    return has_frames(cut) ? HEADER_BYTES + intake->frame_bytes_max : intake->line_bytes_max;
}

/* As long as the one that has begun may be. */
static size_t begun_len(const struct stream_cut *cut, const struct intake *intake)
{
    size_t any = any_len(cut, intake);

    if (!has_frames(cut) || cut->tail_len < HEADER_BYTES)
        return any;
    size_t len = HEADER_BYTES + frame_len(cut->framing, cut->tail);
    return len > any ? any : len;
}

bool stream_cut_admit(struct stream_cut *cut, const struct intake *intake)
{
    size_t len = begun_len(cut, intake);

    if (!fits(cut->room, len))
        return false;
    promise(cut, len);
    return true;
}

/* Where not every line or frame would find room, so much is read that what begins in it needs none:
 * whoever comes to an end leaves its room to those that wait. */
static size_t read_little(const struct stream_cut *cut, size_t size)
{
    size_t most = TAIL_BYTES_FREE;

    if (cut->promised == 0)
        most -= cut->tail_len;
    else if (has_frames(cut) && cut->tail_len >= HEADER_BYTES)
        most += HEADER_BYTES + frame_len(cut->framing, cut->tail) - cut->tail_len;
    return most < size ? most : size;
}

size_t stream_cut_may_read(struct stream_cut *cut, const struct intake *intake, size_t size)
{
    size_t any = any_len(cut, intake);

    if (any <= TAIL_BYTES_FREE || (!cut->room->is_wanted && fits(cut->room, any)))
        return size;
    if (cut->promised == 0 && cut->tail_len >= TAIL_BYTES_FREE &&
        (cut->room->is_wanted || !stream_cut_admit(cut, intake)))
        return 0;
    return read_little(cut, size);
}

/* Makes room for a tail of `len` bytes, which is not going to be longer than `most`. */
static void reserve(struct stream_cut *cut, size_t len, size_t most)
{
    size_t capacity = cut->tail_capacity * 2;

    if (len <= cut->tail_capacity)
        return;
    capacity = capacity < TAIL_BYTES_MIN ? TAIL_BYTES_MIN : capacity;
    most = len <= TAIL_BYTES_FREE && most > TAIL_BYTES_FREE ? TAIL_BYTES_FREE : most;
    capacity = capacity > most ? most : capacity;
    capacity = capacity < len ? len : capacity;
    if (capacity > TAIL_BYTES_FREE)
        promise(cut, most);
    cut->tail = memory_grow(cut->tail, capacity, 1);
    cut->tail_capacity = capacity;
}

/* Adds to the tail; false when it would be longer than `most`. */
static bool keep(struct stream_cut *cut, struct str bytes, size_t most)
{
    size_t len = cut->tail_len + bytes.len;

    if (len > most)
        return false;
    reserve(cut, len, most);
    if (bytes.len > 0)
        memcpy(cut->tail + cut->tail_len, bytes.text, bytes.len);
    cut->tail_len = len;
    return true;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* The tail goes in front of `area`, where it is free; false when it is longer than a line may be
 * now: a reload has lowered the limit. */
static bool join_tail(struct stream_cut *cut, struct intake *intake, char *area)
{
    if (cut->tail_len > intake->line_bytes_max) {
        intake_reject(intake, REJECT_too_long, stream_cut_tail(cut));
        return false;
    }
    memcpy(area - cut->tail_len, cut->tail, cut->tail_len);
    stream_cut_forget(cut);
    return true;
}

/* Keeps the beginning of a line, or rejects it. */
static bool keep_line(struct stream_cut *cut, struct intake *intake, struct str tail)
{
    if (tail.len == 0 || keep(cut, tail, intake->line_bytes_max))
        return true;
    intake_reject(intake, REJECT_too_long, cut->tail_len > 0 ? stream_cut_tail(cut) : tail);
    return false;
}

static bool take_lines(struct stream_cut *cut, struct intake *intake, char *area, size_t len)
{
    const char *newline = memrchr(area, '\n', len);
    size_t whole = newline == NULL ? 0 : (size_t)(newline - area) + 1;
    struct str lines = {area, whole};

    if (whole > 0 && cut->tail_len > 0) {
        size_t tail_len = cut->tail_len;
        if (!join_tail(cut, intake, area))
            return false;
        lines = (struct str){area - tail_len, tail_len + whole};
    }
    return intake_lines(intake, lines) &&
           keep_line(cut, intake, (struct str){area + whole, len - whole});
}

static bool take_influx(struct stream_cut *cut, struct intake *intake, char *area, size_t len)
{
    const char *end = area + len;
    char *at = area;
    size_t part = 0;

    while (at < end) {
        if (!influx_cut(&cut->influx, (struct str){at, (size_t)(end - at)}, &part))
            return keep_line(cut, intake, (struct str){at, part});
        struct str line = {at, part};
        cut->influx = (struct influx_cut){0};
        if (cut->tail_len > 0) { /* then it is the first one of this read */
            size_t tail_len = cut->tail_len;
            if (!join_tail(cut, intake, area))
                return false;
            line = (struct str){area - tail_len, tail_len + part};
        }
        if (!intake_line(intake, line))
            return false;
        at += part + 1;
    }
    return true;
}

/* --- frames ----------------------------------------------------------------------------------- */

/* Rejects a frame that is longer than one may be; its length is told by its first bytes. */
static bool check_frame(const struct stream_cut *cut, struct intake *intake, struct str bytes)
{
    if (frame_len(cut->framing, bytes.text) <= intake->frame_bytes_max)
        return true;
    intake_reject(intake, REJECT_too_long, bytes);
    return false;
}

/* Goes on with the frame that the tail has the beginning of, as far as `bytes` reach; they are what
 * is left then. False: the connection is to be closed. */
static bool fill_frame(struct stream_cut *cut, struct intake *intake, struct str *bytes)
{
    size_t wanted = HEADER_BYTES;

    for (;;) {
        if (cut->tail_len >= HEADER_BYTES) {
            if (!check_frame(cut, intake, stream_cut_tail(cut)))
                return false;
            wanted = HEADER_BYTES + frame_len(cut->framing, cut->tail);
        }
        if (cut->tail_len == wanted) {
            intake_packet(intake,
                          (struct str){cut->tail + HEADER_BYTES, cut->tail_len - HEADER_BYTES});
            intake_flush(intake); /* its samples point into the tail */
            stream_cut_forget(cut);
            return true;
        }
        size_t missing = wanted - cut->tail_len;
        struct str part = {bytes->text, missing < bytes->len ? missing : bytes->len};
        if (part.len == 0)
            return true;
        bool kept = keep(cut, part, wanted);
        assert(kept); /* it is no longer than what is missing */
        (void)kept;
        *bytes = (struct str){bytes->text + part.len, bytes->len - part.len};
    }
}

static bool take_frames(struct stream_cut *cut, struct intake *intake, struct str bytes)
{
    while (bytes.len > 0) {
        size_t len = 0;
        if (cut->tail_len == 0 && bytes.len >= HEADER_BYTES) {
            if (!check_frame(cut, intake, bytes))
                return false;
            len = HEADER_BYTES + frame_len(cut->framing, bytes.text);
        }
        if (len > 0 && len <= bytes.len) { /* all of it is here: no copy */
            intake_packet(intake, (struct str){bytes.text + HEADER_BYTES, len - HEADER_BYTES});
            bytes = (struct str){bytes.text + len, bytes.len - len};
        } else if (!fill_frame(cut, intake, &bytes)) {
            return false;
        }
    }
    return true;
}

/* --- all of them ------------------------------------------------------------------------------ */

bool stream_cut_take(struct stream_cut *cut, struct intake *intake, char *area, size_t len)
{
    switch (cut->framing) {
    case FRAMING_INFLUX:
        return take_influx(cut, intake, area, len);
    case FRAMING_BIG_ENDIAN:
    case FRAMING_LITTLE_ENDIAN:
        return take_frames(cut, intake, (struct str){area, len});
    case FRAMING_LINES:
        break;
    }
    return take_lines(cut, intake, area, len);
}

void stream_cut_end(struct stream_cut *cut, struct intake *intake, bool is_cut)
{
    if (cut->tail_len == 0)
        return;
    if (is_cut || has_frames(cut))
        intake_reject(intake, REJECT_truncated, stream_cut_tail(cut));
    else
        (void)intake_line(intake, stream_cut_tail(cut));
    intake_flush(intake); /* the samples point into the tail */
    stream_cut_forget(cut);
}
