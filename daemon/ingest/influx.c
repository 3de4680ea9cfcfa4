#include "ingest/influx.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/memory.h"

/* --- cutting --------------------------------------------------------------------------------- */

enum place {
    AT_START, /* of a line: only spaces so far */
    IN_COMMENT,
    IN_SERIES,
    BEFORE_FIELDS,
    IN_KEY,
    BEFORE_VALUE,
    IN_VALUE,
    IN_TEXT,
    IN_TIME,
};

/* In a place where backslashes escape; a newline has ended the line already. */
static enum place in_escapes(struct influx_cut *cut, enum place place, char c, char separator,
                             enum place next)
{
    bool escaped = cut->escaped;

    cut->escaped = c == '\\';
    return c == separator && !escaped ? next : place;
}

static enum place in_text(struct influx_cut *cut, char c)
{
    bool escaped = cut->escaped;

    cut->escaped = c == '\\' && !escaped;
    cut->newlines += c == '\n';
    return c == '"' && !escaped ? IN_VALUE : IN_TEXT;
}

static enum place in_value(char c)
{
    if (c == ',')
        return IN_KEY;
    return c == ' ' ? IN_TIME : IN_VALUE;
}

/* The place after one more byte. What follows a mistake does not matter, as long as it does not
 * depend on how the bytes came. */
static enum place step(struct influx_cut *cut, char c)
{
    enum place place = (enum place)cut->place;

    switch (place) {
    case AT_START:
        if (c == ' ')
            return AT_START;
        return c == '#' ? IN_COMMENT : in_escapes(cut, IN_SERIES, c, ' ', BEFORE_FIELDS);
    case IN_SERIES:
        return in_escapes(cut, IN_SERIES, c, ' ', BEFORE_FIELDS);
    case BEFORE_FIELDS:
        if (c == ' ')
            return BEFORE_FIELDS;
        return in_escapes(cut, IN_KEY, c, '=', BEFORE_VALUE);
    case IN_KEY:
        return in_escapes(cut, IN_KEY, c, '=', BEFORE_VALUE);
    case BEFORE_VALUE:
        return c == '"' ? IN_TEXT : in_value(c);
    case IN_VALUE:
        return in_value(c);
    case IN_TEXT:
        return in_text(cut, c);
    case IN_COMMENT:
    case IN_TIME:
        break;
    }
    return place;
}

bool influx_cut(struct influx_cut *cut, struct str bytes, size_t *end)
{
    /* Only a text can hold a newline: without a quote the first one ends the line. */
    if (cut->place == AT_START && bytes.len > 0) {
        const char *newline = memchr(bytes.text, '\n', bytes.len);
        size_t len = newline == NULL ? bytes.len : (size_t)(newline - bytes.text);
        if (newline != NULL && memchr(bytes.text, '"', len) == NULL) {
            *end = len;
            return true;
        }
    }
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.text[i] == '\n' && cut->place != IN_TEXT) {
            *end = i;
            return true;
        }
        cut->place = (unsigned char)step(cut, bytes.text[i]);
    }
    *end = bytes.len;
    return false;
}

/* --- parsing --------------------------------------------------------------------------------- */

enum { COMMA = 1, SPACE = 2, EQUALS = 4, BACKSLASH = 8, QUOTE = 16 };

static const unsigned char CLASS[256] = {
    [','] = COMMA, [' '] = SPACE, ['='] = EQUALS, ['\\'] = BACKSLASH, ['"'] = QUOTE};

struct cursor {
    struct influx_parser *parser;
    const char *begin;
    const char *at;
    const char *end;
    bool has_odd_bytes; /* maybe: below 0x02 or above 0x7f */
    bool has_backslash;
    bool has_quote;
    struct influx_mistake *mistake;
};

static bool wrong(const struct cursor *cursor, enum reject_reason reason, const char *words)
{
    *cursor->mistake = (struct influx_mistake){reason, words};
    return false;
}

static unsigned class_at(const struct cursor *cursor)
{
    return cursor->at == cursor->end ? 0 : CLASS[(unsigned char)*cursor->at];
}

/* Sixteen bytes at a time: a vector in every compiler that knows the attribute. */
typedef signed char bytes16 __attribute__((vector_size(16)));

/* One bit for each of sixteen bytes that are 0 or 0xff. */
static inline uint64_t bits_of(bytes16 bytes)
{
#ifdef __SSE2__
    return (unsigned)_mm_movemask_epi8((__m128i)bytes);
#else
    const uint64_t lowest = UINT64_C(0x0101010101010101);
    const uint64_t gather = UINT64_C(0x0102040810204080);
    uint64_t halves[2];

    memcpy(halves, &bytes, sizeof halves);
    return (le64toh(halves[0]) & lowest) * gather >> 56 |
           (le64toh(halves[1]) & lowest) * gather >> 56 << 8;
#endif
}

/* What sixteen bytes have, gathered over a line. */
struct seen {
    bytes16 odd;
    bytes16 backslashes;
    bytes16 quotes;
};

/* The marks of the sixteen bytes at `text`. */
static inline uint64_t marks_of(const char *text, struct seen *seen)
{
    bytes16 bytes;

    memcpy(&bytes, text, sizeof bytes);
    bytes16 backslashes = (bytes16)(bytes == '\\');
    bytes16 quotes = (bytes16)(bytes == '"');
    seen->odd |= (bytes16)(bytes < 2); /* signed: above 0x7f too */
    seen->backslashes |= backslashes;
    seen->quotes |= quotes;
    return bits_of(
        (bytes16)((bytes == ',') | (bytes == ' ') | (bytes == '=') | quotes | backslashes));
}

static bool is_any(bytes16 bytes)
{
    uint64_t halves[2];

    memcpy(halves, &bytes, sizeof halves);
    return (halves[0] | halves[1]) != 0;
}

/* The last bytes of a line: those of a short one are copied, those of a longer one are looked at
 * together with some before them, whose marks are the same again. */
static void mark_last(uint64_t *marks, struct str line, struct seen *seen)
{
    char copy[sizeof(bytes16)];

    if (line.len < sizeof copy) {
        memset(copy, 'x', sizeof copy);
        memcpy(copy, line.text, line.len);
        marks[0] = marks_of(copy, seen);
        return;
    }
    size_t at = line.len - sizeof copy;
    uint64_t bits = marks_of(line.text + at, seen);
    marks[at / 64] |= bits << at % 64;
    if (at % 64 > 64 - sizeof copy)
        marks[at / 64 + 1] |= bits >> (64 - at % 64);
}

/* Looks at all bytes of the line at once, so that its parts are found without a look at each. */
static void mark(struct cursor *cursor)
{
    struct influx_parser *parser = cursor->parser;
    struct str line = {cursor->begin, (size_t)(cursor->end - cursor->begin)};
    size_t words = (line.len + 63) / 64;
    struct seen seen = {.odd = {0}};

    if (words > parser->mark_capacity) {
        free(parser->marks);
        parser->marks = memory_alloc(words * sizeof *parser->marks);
        parser->mark_capacity = words;
    }
    uint64_t *marks = parser->marks;
    for (size_t i = 0; i < words; i++) {
        const char *text = line.text + i * 64;
        size_t left = line.len - i * 64;
        uint64_t bits = 0;
        for (size_t at = 0; at + sizeof(bytes16) <= left && at < 64; at += sizeof(bytes16))
            bits |= marks_of(text + at, &seen) << at;
        marks[i] = bits;
    }
    if (line.len % sizeof(bytes16) != 0)
        mark_last(marks, line, &seen);
    cursor->has_odd_bytes = is_any(seen.odd);
    cursor->has_backslash = is_any(seen.backslashes);
    cursor->has_quote = is_any(seen.quotes);
}

/* The first byte from `at` on that may mean something, or the end. */
static const char *next_mark(const struct cursor *cursor, const char *at)
{
    size_t index = (size_t)(at - cursor->begin);
    size_t words = ((size_t)(cursor->end - cursor->begin) + 63) / 64;

    if (at == cursor->end)
        return at;
    uint64_t bits = cursor->parser->marks[index / 64] >> index % 64;
    if (bits != 0)
        return at + __builtin_ctzll(bits);
    for (size_t word = index / 64 + 1; word < words; word++) {
        bits = cursor->parser->marks[word];
        if (bits != 0)
            return cursor->begin + word * 64 + (size_t)__builtin_ctzll(bits);
    }
    return cursor->end;
}

static void skip_spaces(struct cursor *cursor)
{
    while (class_at(cursor) == SPACE)
        cursor->at++;
}

/* A copy of `raw` without the backslashes before what they escape; there is room for the whole
 * line. */
static struct str unescape(struct cursor *cursor, struct str raw, unsigned escapable)
{
    struct influx_parser *parser = cursor->parser;
    char *out = parser->unescaped + parser->unescaped_len;
    size_t len = 0;

    for (size_t i = 0; i < raw.len; i++) {
        if (raw.text[i] == '\\' && i + 1 < raw.len &&
            (CLASS[(unsigned char)raw.text[i + 1]] & escapable) != 0)
            i++;
        out[len++] = raw.text[i];
    }
    parser->unescaped_len += len;
    return (struct str){out, len};
}

/* Text up to the first byte of a class in `stops` that is not escaped (I3). In texts a backslash
 * escapes a backslash too; elsewhere the last one of several escapes what follows. */
static struct str take(struct cursor *cursor, unsigned stops, unsigned escapable)
{
    const char *begin = cursor->at;
    bool has_escapes = false;

    for (;; cursor->at++) {
        cursor->at = next_mark(cursor, cursor->at);
        unsigned class = class_at(cursor);
        if (class == 0 || (class & stops) != 0)
            break;
        if (class == BACKSLASH && cursor->at + 1 < cursor->end &&
            (CLASS[(unsigned char)cursor->at[1]] & escapable) != 0) {
            has_escapes = true;
            cursor->at++;
        }
    }
    struct str raw = {begin, (size_t)(cursor->at - begin)};
    return has_escapes ? unescape(cursor, raw, escapable) : raw;
}

static bool is_reserved(struct str key) /* I10 */
{
    return (key.len == 4 && memcmp(key.text, "time", 4) == 0) ||
           (key.len == 6 && memcmp(key.text, "_field", 6) == 0) ||
           (key.len == 12 && memcmp(key.text, "_measurement", 12) == 0);
}

/* Puts the newest label where it belongs by the bytes of its name; false when that is there
 * already. */
static bool sort_label(struct influx_parser *parser, size_t newest)
{
    size_t at = newest;
    int order = -1;

    while (at > 0 &&
           (order = str_compare(parser->labels[at - 1].name, parser->labels[newest].name)) > 0)
        at--;
    if (at > 0 && order == 0)
        return false;
    if (at < newest) {
        struct label label = parser->labels[newest];
        memmove(&parser->labels[at + 1], &parser->labels[at],
                (newest - at) * sizeof *parser->labels);
        parser->labels[at] = label;
    }
    return true;
}

/* The label is written where it stays: nearly all clients sort them. */
static bool take_tag(struct cursor *cursor, struct influx_line *line, size_t *bytes) /* I8 */
{
    if (line->label_count == LABELS_MAX)
        return wrong(cursor, REJECT_bad_tags, "too many tags");
    struct label *label = &cursor->parser->labels[line->label_count];
    struct str name = take(cursor, COMMA | SPACE | EQUALS, COMMA | SPACE | EQUALS);
    if (name.len == 0)
        return wrong(cursor, REJECT_bad_tags, "missing tag key");
    if (class_at(cursor) != EQUALS)
        return wrong(cursor, REJECT_bad_tags, "missing tag value");
    cursor->at++;
    struct str value = take(cursor, COMMA | SPACE | EQUALS, COMMA | SPACE | EQUALS);
    if (value.len == 0)
        return wrong(cursor, REJECT_bad_tags, "missing tag value");
    if (class_at(cursor) == EQUALS)
        return wrong(cursor, REJECT_bad_tags, "invalid tag format");
    if (is_reserved(name))
        return wrong(cursor, REJECT_bad_tags, "this tag key is reserved");
    *bytes += name.len + value.len + 2;
    if (*bytes > LABEL_BYTES_MAX)
        return wrong(cursor, REJECT_bad_tags, "too many tags");
    label->name = name;
    label->value = value;
    return sort_label(cursor->parser, line->label_count++) ||
           wrong(cursor, REJECT_bad_tags, "duplicate tags");
}

static bool take_series(struct cursor *cursor, struct influx_line *line)
{
    size_t bytes = 0;

    line->measurement = take(cursor, COMMA | SPACE, COMMA | SPACE);
    if (line->measurement.len == 0)
        return wrong(cursor, REJECT_bad_name, "missing measurement");
    const char *begin = cursor->at;
    while (class_at(cursor) == COMMA) {
        cursor->at++;
        if (!take_tag(cursor, line, &bytes))
            return false;
    }
    if (cursor->at > begin)
        line->tags = (struct str){begin + 1, (size_t)(cursor->at - begin) - 1};
    line->labels = cursor->parser->labels;
    skip_spaces(cursor);
    return cursor->at < cursor->end || wrong(cursor, REJECT_malformed, "missing fields");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* I6: no sign but a minus, no infinity, nothing but digits. */
static bool parse_whole(struct str text, bool is_signed, double *out)
{
    int64_t value = 0;
    uint64_t magnitude = 0;

    if (text.len == 0 || !(is_digit(text.text[0]) || (is_signed && text.text[0] == '-')))
        return false;
    if (is_signed) {
        if (!str_parse_i64(text, &value))
            return false;
        *out = (double)value;
        return true;
    }
    if (!str_parse_u64(text, &magnitude))
        return false;
    *out = (double)magnitude;
    return true;
}

static bool parse_boolean(struct str text, double *out) /* I7 */
{
    static const char *const words[] = {"t", "T", "true",  "True",  "TRUE",
                                        "f", "F", "false", "False", "FALSE"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_is(text, words[i])) {
            *out = i < 5 ? 1 : 0;
            return true;
        }
    }
    return false;
}

static bool parse_value(const struct cursor *cursor, struct str text, double *out)
{
    struct str number = {text.text, text.len - 1};

    switch (text.text[text.len - 1]) {
    case 'i':
        return parse_whole(number, true, out) || wrong(cursor, REJECT_bad_number, "invalid number");
    case 'u':
        return parse_whole(number, false, out) ||
               wrong(cursor, REJECT_bad_number, "invalid number");
    default:
        break;
    }
    if (text.text[0] != '+' && str_parse_double(text, out))
        return true;
    if (is_digit(text.text[0]) || text.text[0] == '-' || text.text[0] == '+' || text.text[0] == '.')
        return wrong(cursor, REJECT_bad_number, "invalid number");
    return parse_boolean(text, out) || wrong(cursor, REJECT_bad_number, "invalid value");
}

static bool take_text(struct cursor *cursor, struct influx_field *field) /* I3, I5 */
{
    cursor->at++;
    field->is_text = true;
    field->text = take(cursor, QUOTE, QUOTE | BACKSLASH);
    if (cursor->at == cursor->end)
        return wrong(cursor, REJECT_malformed, "unbalanced quotes");
    cursor->at++;
    return (class_at(cursor) & (COMMA | SPACE)) != 0 || cursor->at == cursor->end ||
           wrong(cursor, REJECT_malformed, "invalid field format");
}

static bool take_field(struct cursor *cursor, struct influx_field *field)
{
    *field =
        (struct influx_field){.key = take(cursor, COMMA | SPACE | EQUALS, COMMA | SPACE | EQUALS)};
    if (field->key.len == 0)
        return wrong(cursor, REJECT_malformed, "missing field key");
    if (class_at(cursor) != EQUALS)
        return wrong(cursor, REJECT_malformed, "missing field value");
    cursor->at++;
    if (is_reserved(field->key))
        return wrong(cursor, REJECT_bad_name, "this field key is reserved");
    if (class_at(cursor) == QUOTE)
        return take_text(cursor, field);
    const char *begin = cursor->at;
    cursor->at = next_mark(cursor, begin);
    while ((class_at(cursor) & (COMMA | SPACE)) == 0 && cursor->at < cursor->end)
        cursor->at = next_mark(cursor, cursor->at + 1);
    field->text = (struct str){begin, (size_t)(cursor->at - begin)};
    if (field->text.len == 0)
        return wrong(cursor, REJECT_malformed, "missing field value");
    return parse_value(cursor, field->text, &field->value);
}

static struct influx_field *next_field(struct influx_parser *parser, size_t count)
{
    if (count == parser->field_capacity) {
        parser->field_capacity = count == 0 ? 16 : count * 2;
        parser->fields =
            memory_grow(parser->fields, parser->field_capacity, sizeof *parser->fields);
    }
    return &parser->fields[count];
}

static bool take_fields(struct cursor *cursor, struct influx_line *line)
{
    for (;;) {
        if (!take_field(cursor, next_field(cursor->parser, line->field_count)))
            return false;
        line->field_count++;
        if (class_at(cursor) != COMMA)
            break;
        cursor->at++;
    }
    line->fields = cursor->parser->fields;
    skip_spaces(cursor);
    return true;
}

/* The number that eight digits are; false when they are not all digits. Every step adds up pairs of
 * what the step before has. */
static bool eight_digits(const char *text, uint64_t *out)
{
    uint64_t bytes = 0;

    memcpy(&bytes, text, sizeof bytes);
    bytes = le64toh(bytes);
    if (((bytes & (bytes + UINT64_C(0x0606060606060606))) & UINT64_C(0xf0f0f0f0f0f0f0f0)) !=
        UINT64_C(0x3030303030303030))
        return false;
    bytes = (bytes & UINT64_C(0x0f0f0f0f0f0f0f0f)) * (1 + (10 << 8)) >> 8;
    bytes = (bytes & UINT64_C(0x00ff00ff00ff00ff)) * (1 + (100 << 16)) >> 16;
    *out = (bytes & UINT64_C(0x0000ffff0000ffff)) * (1 + (UINT64_C(10000) << 32)) >> 32;
    return true;
}

/* Nanoseconds are nineteen digits, which are most of a line's. */
static bool parse_time(struct str text, int64_t *out)
{
    uint64_t high = 0;
    uint64_t low = 0;
    int64_t rest = 0;

    if (text.len != 19 || !eight_digits(text.text, &high) || !eight_digits(text.text + 8, &low))
        return text.text[0] != '+' && str_parse_i64(text, out);
    for (size_t i = 16; i < 19; i++) {
        if (!is_digit(text.text[i]))
            return false;
        rest = rest * 10 + (text.text[i] - '0');
    }
    int64_t most = (int64_t)(high * UINT64_C(100000000) + low);
    return !__builtin_mul_overflow(most, 1000, out) && !__builtin_add_overflow(*out, rest, out);
}

static bool time_is_near(int64_t time)
{
    static const int64_t furthest = INT64_MAX - 1;
    return time <= furthest && time >= -furthest;
}

static bool take_time(struct cursor *cursor, struct influx_line *line) /* I9 */
{
    const char *begin = cursor->at;

    if (begin == cursor->end)
        return true;
    cursor->at = next_mark(cursor, begin);
    while (cursor->at < cursor->end && class_at(cursor) != SPACE)
        cursor->at = next_mark(cursor, cursor->at + 1);
    struct str text = {begin, (size_t)(cursor->at - begin)};
    skip_spaces(cursor);
    if (cursor->at < cursor->end || !parse_time(text, &line->time))
        return wrong(cursor, REJECT_malformed, "bad timestamp");
    line->has_time = true;
    return time_is_near(line->time) || wrong(cursor, REJECT_bad_time, "bad timestamp");
}

/* I13; 0x00 and 0x01 cannot stand in a series key. */
static bool check_bytes(const struct cursor *cursor, struct str line)
{
    if (!cursor->has_odd_bytes)
        return true;
    if (!str_is_utf8(line))
        return wrong(cursor, REJECT_malformed, "invalid UTF-8");
    return memchr(line.text, 1, line.len) == NULL ||
           wrong(cursor, REJECT_malformed, "control characters");
}

/* --- plain lines ------------------------------------------------------------------------------ */

/* Nearly all lines are plain: nothing is escaped, no field is text, one space stands where one has
 * to, tags are sorted and nothing is wrong. Their parts lie between their marks. What is not plain
 * goes the long way, which knows what is wrong with it. */
enum { PLAIN_MARKS_MAX = 128 };

struct plain {
    const char *text;
    size_t len;
    size_t next;  /* of the marks */
    size_t count; /* of the marks; the end of the line follows them */
    uint32_t at[PLAIN_MARKS_MAX + 1];
};

/* False when there are too many marks. */
static bool plain_begin(struct plain *plain, const struct cursor *cursor)
{
    size_t words = 0;
    size_t count = 0;

    plain->text = cursor->begin;
    plain->len = (size_t)(cursor->end - cursor->begin);
    plain->next = 0;
    words = (plain->len + 63) / 64;
    for (size_t word = 0; word < words; word++) {
        for (uint64_t bits = cursor->parser->marks[word]; bits != 0; bits &= bits - 1) {
            if (count == PLAIN_MARKS_MAX)
                return false;
            plain->at[count++] = (uint32_t)(word * 64 + (size_t)__builtin_ctzll(bits));
        }
    }
    plain->at[count] = (uint32_t)plain->len;
    plain->count = count;
    return plain->len < UINT32_MAX;
}

static inline bool plain_is(const struct plain *plain, char mark)
{
    return plain->next < plain->count && plain->text[plain->at[plain->next]] == mark;
}

/* What stands between the next mark, which is there, and the one after it, which is the next. */
static inline struct str plain_part(struct plain *plain)
{
    size_t begin = plain->at[plain->next++] + (size_t)1;
    return (struct str){plain->text + begin, plain->at[plain->next] - begin};
}

static bool plain_series(struct plain *plain, struct influx_parser *parser,
                         struct influx_line *line)
{
    size_t bytes = 0;

    line->measurement = (struct str){plain->text, plain->at[0]};
    line->labels = parser->labels;
    while (plain_is(plain, ',')) {
        struct label *label = &parser->labels[line->label_count];
        if (line->label_count == LABELS_MAX)
            return false;
        struct str name = plain_part(plain);
        if (!plain_is(plain, '='))
            return false;
        struct str value = plain_part(plain);
        bytes += name.len + value.len + 2;
        if (name.len == 0 || value.len == 0 || bytes > LABEL_BYTES_MAX || is_reserved(name) ||
            (line->label_count > 0 && str_compare(label[-1].name, name) >= 0))
            return false;
        *label = (struct label){name, value};
        line->label_count++;
    }
    size_t end = plain->at[plain->next];
    if (line->label_count > 0)
        line->tags = (struct str){line->measurement.text + line->measurement.len + 1,
                                  end - line->measurement.len - 1};
    return line->measurement.len > 0;
}

/* Few digits, as most numbers are, or whatever a number may be. */
static bool plain_value(const struct cursor *cursor, struct str text, double *out)
{
    enum { DIGITS_MAX = 15 };
    uint64_t value = 0;
    size_t i = 0;

    if (text.len == 0)
        return false;
    if (text.len <= DIGITS_MAX) {
        for (; i < text.len && is_digit(text.text[i]); i++)
            value = value * 10 + (uint64_t)(text.text[i] - '0');
    }
    *out = (double)value;
    return i == text.len || parse_value(cursor, text, out);
}

static bool plain_fields(struct plain *plain, const struct cursor *cursor, struct influx_line *line)
{
    if (!plain_is(plain, ' '))
        return false;
    do {
        struct influx_field *field = next_field(cursor->parser, line->field_count);
        struct str key = plain_part(plain);
        if (key.len == 0 || !plain_is(plain, '=') || is_reserved(key))
            return false;
        field->key = key;
        field->text = plain_part(plain);
        field->is_text = false;
        if (!plain_value(cursor, field->text, &field->value))
            return false;
        line->field_count++;
    } while (plain_is(plain, ','));
    line->fields = cursor->parser->fields;
    return true;
}

/* Up to the end of the line, if there is one. */
static bool plain_time(struct plain *plain, struct influx_line *line)
{
    if (plain->next == plain->count)
        return true;
    if (!plain_is(plain, ' '))
        return false;
    struct str text = plain_part(plain);
    line->has_time = true;
    return text.len > 0 && plain->next == plain->count && parse_time(text, &line->time) &&
           time_is_near(line->time);
}

static bool take_plain(const struct cursor *cursor, struct influx_line *line)
{
    struct plain plain;

    return cursor->at == cursor->begin && !cursor->has_backslash && !cursor->has_quote &&
           !cursor->has_odd_bytes && plain_begin(&plain, cursor) &&
           plain_series(&plain, cursor->parser, line) && plain_fields(&plain, cursor, line) &&
           plain_time(&plain, line);
}

/* --- any line --------------------------------------------------------------------------------- */

/* Room for all that can be unescaped, so that texts never move. */
static void make_room(struct influx_parser *parser, struct str line)
{
    parser->unescaped_len = 0;
    if (line.len <= parser->unescaped_capacity)
        return;
    free(parser->unescaped);
    parser->unescaped = memory_alloc(line.len);
    parser->unescaped_capacity = line.len;
}

enum influx_result influx_parse(struct influx_parser *parser, struct str line,
                                struct influx_line *out, struct influx_mistake *mistake)
{
    if (line.len > 0 && line.text[line.len - 1] == '\r') /* I2 */
        line.len--;
    struct cursor cursor = {.parser = parser, .mistake = mistake};

    if (line.len == 0)
        return INFLUX_NOTHING;
    cursor.begin = cursor.at = line.text;
    cursor.end = line.text + line.len;
    *out = (struct influx_line){.measurement = STR_EMPTY};
    skip_spaces(&cursor);
    if (cursor.at == cursor.end || *cursor.at == '#')
        return INFLUX_NOTHING;
    mark(&cursor);
    if (take_plain(&cursor, out))
        return INFLUX_LINE;
    *out = (struct influx_line){.has_escapes = cursor.has_backslash};
    if (out->has_escapes)
        make_room(parser, line);
    if (!check_bytes(&cursor, line) || !take_series(&cursor, out) || !take_fields(&cursor, out) ||
        !take_time(&cursor, out))
        return INFLUX_MISTAKE;
    return INFLUX_LINE;
}

void influx_parser_fini(struct influx_parser *parser)
{
    free(parser->fields);
    free(parser->unescaped);
    free(parser->marks);
    parser->marks = NULL;
    parser->mark_capacity = 0;
    parser->fields = NULL;
    parser->field_capacity = 0;
    parser->unescaped = NULL;
    parser->unescaped_capacity = 0;
}

/* --- times ------------------------------------------------------------------------------------ */

enum influx_precision influx_precision_of(struct str text)
{
    static const struct {
        const char *name;
        enum influx_precision precision;
    } names[] = {{"u", INFLUX_US}, {"us", INFLUX_US}, {"ms", INFLUX_MS},
                 {"s", INFLUX_S},  {"m", INFLUX_M},   {"h", INFLUX_H}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (str_is(text, names[i].name))
            return names[i].precision;
    }
    return INFLUX_NS;
}

static inline int64_t rounded_down(int64_t time, int64_t unit)
{
    return time / unit - (time % unit < 0 ? 1 : 0);
}

bool influx_time(int64_t time, enum influx_precision precision, wall_ms *out)
{
    static const int64_t units[] = {[INFLUX_MS] = 1,
                                    [INFLUX_S] = MS_PER_SECOND,
                                    [INFLUX_M] = MS_PER_MINUTE,
                                    [INFLUX_H] = MS_PER_HOUR};

    /* By constants, for which no processor needs to divide. */
    if (precision == INFLUX_NS) {
        *out = rounded_down(time, 1000000);
        return true;
    }
    if (precision == INFLUX_US) {
        *out = rounded_down(time, 1000);
        return true;
    }
    return !__builtin_mul_overflow(time, units[precision], out);
}
