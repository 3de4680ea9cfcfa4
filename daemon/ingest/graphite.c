#include "ingest/graphite.h"

#include <endian.h>
#include <math.h>
#include <string.h>

/* --- words ------------------------------------------------------------------------------------ */

/* What Python's split() takes for blanks; a newline has ended the line already. */
static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

/* Sixteen bytes at a time: a vector in every compiler that knows the attribute. */
typedef signed char bytes16 __attribute__((vector_size(16)));

/* The index of the first byte that is ';' or, for a start, may be a blank in the 16 bytes: 16 when
 * there is none. */
static size_t path_end_in_16(const char *text)
{
    bytes16 bytes;
    uint64_t halves[2];

    memcpy(&bytes, text, sizeof bytes);
    bytes16 ends = (bytes16)((bytes == ';') | ((bytes <= ' ') & (bytes >= 0)));
    memcpy(halves, &ends, sizeof halves);
    if (halves[0] != 0)
        return (size_t)__builtin_ctzll(le64toh(halves[0])) / 8;
    return halves[1] == 0 ? 16 : 8 + (size_t)__builtin_ctzll(le64toh(halves[1])) / 8;
}

static const char *blank_or_end(const char *at, const char *end)
{
    while (at < end && !is_blank(*at))
        at++;
    return at;
}

/* The end of the path that begins at `at`; `*opened` is its first ';', or its end. */
static const char *path_end(const char *at, const char *end, const char **opened)
{
    *opened = NULL;
    while (end - at >= (ptrdiff_t)sizeof(bytes16)) {
        size_t next = path_end_in_16(at);
        at += next;
        if (next == sizeof(bytes16))
            continue;
        if (is_blank(*at))
            break;
        if (*at == ';') { /* tags hold no blanks: their end is the path's */
            *opened = at;
            at = blank_or_end(at, end);
            return at;
        }
        at++; /* a control character; whoever makes a series of it says no */
    }
    while (at < end && !is_blank(*at)) {
        if (*at == ';' && *opened == NULL)
            *opened = at;
        at++;
    }
    if (*opened == NULL)
        *opened = at;
    return at;
}

static void set_path(struct sample *out, const char *begin, const char *opened, const char *end)
{
    out->name = (struct str){begin, (size_t)(opened - begin)};
    out->tags = STR_EMPTY;
    out->tag_style = TAGS_NONE;
    if (opened < end) {
        out->tags = (struct str){opened + 1, (size_t)(end - opened) - 1};
        out->tag_style = TAGS_SEMICOLON;
    }
}

/* "metric;" has a tag without a name: what is empty would be no tags at all. */
static bool has_empty_tags(const char *opened, const char *end)
{
    return end - opened == 1;
}

void graphite_path(struct str path, struct sample *out)
{
    const char *opened = path.len == 0 ? NULL : memchr(path.text, ';', path.len);

    set_path(out, path.text, opened == NULL ? path.text + path.len : opened, path.text + path.len);
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && is_blank(*at))
        at++;
    return at;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static bool is_word(struct str text, const char *lower)
{
    size_t len = strlen(lower);

    if (text.len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        if ((text.text[i] | 0x20) != lower[i])
            return false;
    }
    return true;
}

bool graphite_is_nan(struct str text)
{
    if (text.len > 0 && (text.text[0] == '+' || text.text[0] == '-'))
        text = (struct str){text.text + 1, text.len - 1};
    return is_word(text, "nan");
}

/* Further away than any clock shows, and far from where milliseconds would overflow. */
static const double SECONDS_MAX = 1e15;

bool graphite_time(double seconds, wall_ms *out)
{
    if (!(seconds <= SECONDS_MAX && seconds >= -SECONDS_MAX))
        return false;
    *out = seconds == -1 ? WALL_NONE : (wall_ms)floor(seconds * (double)MS_PER_SECOND + 0.5);
    return true;
}

/* What nearly all times are: up to fifteen digits. */
static bool parse_digits(struct str text, wall_ms *out)
{
    int64_t seconds = 0;

    if (text.len == 0 || text.len > 15)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.text[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        seconds = seconds * 10 + digit;
    }
    *out = seconds * MS_PER_SECOND;
    return true;
}

static enum reject_reason parse_time(struct str text, wall_ms *out) /* G3 */
{
    double seconds = 0;

    if (parse_digits(text, out))
        return REJECT_NONE;
    if (!str_parse_double(text, &seconds))
        return REJECT_malformed;
    return graphite_time(seconds, out) ? REJECT_NONE : REJECT_bad_time;
}

/* --- lines ------------------------------------------------------------------------------------ */

static enum graphite_result reject(struct ledger *ledger, enum reject_reason reason,
                                   enum reject_reason *why)
{
    ledger->rejected[reason]++;
    *why = reason;
    return GRAPHITE_REJECTED;
}

/* The next word, and what follows it and its blanks. */
static struct str take_word(const char **at, const char *end)
{
    const char *begin = *at;
    const char *word_end = blank_or_end(begin, end);

    *at = skip_blanks(word_end, end);
    return (struct str){begin, (size_t)(word_end - begin)};
}

enum graphite_result graphite_parse(struct str line, struct sample *out, struct ledger *ledger,
                                    enum reject_reason *why)
{
    const char *opened = NULL;

    if (line.len == 0)
        return GRAPHITE_NOTHING;
    const char *end = line.text + line.len;
    const char *at = skip_blanks(line.text, end);
    if (at == end)
        return GRAPHITE_NOTHING;
    ledger->received++;
    const char *path = at;
    at = path_end(at, end, &opened);
    set_path(out, path, opened, at);
    bool has_bad_tags = has_empty_tags(opened, at);
    at = skip_blanks(at, end);
    out->text = take_word(&at, end);
    struct str time = take_word(&at, end);
    if (time.len == 0 || at < end)
        return reject(ledger, REJECT_malformed, why); /* G1, G4 */
    if (has_bad_tags)
        return reject(ledger, REJECT_bad_tags, why);
    if (out->name.len == 0)
        return reject(ledger, REJECT_bad_name, why);
    if (!str_parse_double(out->text, &out->value)) {
        if (!graphite_is_nan(out->text))
            return reject(ledger, REJECT_bad_number, why);
        ledger->dropped[DROP_not_finite]++; /* G2 */
        return GRAPHITE_DROPPED;
    }
    enum reject_reason reason = parse_time(time, &out->at);
    if (reason != REJECT_NONE)
        return reject(ledger, reason, why);
    out->kind = METRIC_UNTYPED;
    out->form = SAMPLE_VALUE;
    out->weight = WEIGHT_ONE;
    return GRAPHITE_SAMPLE;
}
