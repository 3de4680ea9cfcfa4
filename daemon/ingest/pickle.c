#include "ingest/pickle.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "ingest/pickle_text.h"

/* Each is reached by a pickle that is mostly nothing else: a frame of 4 MiB of usual points needs
 * less, and carbon's own limit is a frame of 1 MiB. */
enum {
    STACK_MAX = 1 << 17,
    MEMO_MAX = 1 << 19,
    CELLS_MAX = 1 << 20, /* of all lists and tuples */
    SEQUENCES_MAX = 1 << 19,
    TEXT_MAX = 64 * 1024, /* bytes of one text */
    KEPT_MAX = 4096,      /* items of each that stay allocated between frames */
    PROTOCOL_MAX = 5,
    NUMBER_TEXT_MAX = 400, /* of what is a number in text */
};

enum kind {
    KIND_ABSENT, /* nothing is in the memo there */
    KIND_MARK,
    KIND_OTHER, /* None */
    KIND_NUMBER,
    KIND_TEXT,
    KIND_SEQUENCE,
};

struct value {
    enum kind kind;
    uint32_t len; /* of a text */
    union {
        double number;
        const char *text;
        uint32_t sequence;
    };
};

/* A list or a tuple: `count` cells from `first` on, with room for `capacity`. */
struct sequence {
    uint32_t first;
    uint32_t count;
    uint32_t capacity;
    bool is_list;
};

struct values {
    struct value *items;
    size_t count, capacity, most;
};

struct pickle {
    struct values stack;
    struct values memo;
    struct values cells;
    struct sequence *sequences;
    size_t sequence_count, sequence_capacity;
    struct buf unescaped; /* reserved before texts point into it */
    uint32_t loaded;      /* the list */
    bool has_loaded;

    /* while loading */
    const char *at;
    const char *end;
    size_t frame_len;
    enum reject_reason why;
};

/* --- memory ----------------------------------------------------------------------------------- */

static void values_fini(struct values *values)
{
    free(values->items);
    values->items = NULL;
    values->count = 0;
    values->capacity = 0;
}

struct pickle *pickle_new(void)
{
    struct pickle *pickle = memory_zero(1, sizeof *pickle);

    pickle->stack.most = STACK_MAX;
    pickle->memo.most = MEMO_MAX;
    pickle->cells.most = CELLS_MAX;
    return pickle;
}

void pickle_free(struct pickle *pickle)
{
    if (pickle == NULL)
        return;
    values_fini(&pickle->stack);
    values_fini(&pickle->memo);
    values_fini(&pickle->cells);
    free(pickle->sequences);
    buf_fini(&pickle->unescaped);
    free(pickle);
}

static void values_clear(struct values *values)
{
    values->count = 0;
    if (values->capacity > KEPT_MAX)
        values_fini(values);
}

void pickle_clear(struct pickle *pickle)
{
    values_clear(&pickle->stack);
    values_clear(&pickle->memo);
    values_clear(&pickle->cells);
    pickle->sequence_count = 0;
    if (pickle->sequence_capacity > KEPT_MAX) {
        free(pickle->sequences);
        pickle->sequences = NULL;
        pickle->sequence_capacity = 0;
    }
    buf_fini(&pickle->unescaped);
    pickle->has_loaded = false;
}

static bool refuse(struct pickle *pickle, enum reject_reason why)
{
    pickle->why = why;
    return false;
}

static bool malformed(struct pickle *pickle)
{
    return refuse(pickle, REJECT_malformed);
}

/* Room for `more` values; false when there would be too many. */
static bool values_reserve(struct pickle *pickle, struct values *values, size_t more)
{
    size_t wanted = values->count + more;

    if (wanted <= values->capacity)
        return true;
    if (more > values->most || wanted > values->most)
        return refuse(pickle, REJECT_too_long);
    size_t capacity = values->capacity == 0 ? 64 : values->capacity * 2;
    capacity = capacity < wanted ? wanted : capacity;
    values->items = memory_grow(values->items, capacity, sizeof *values->items);
    values->capacity = capacity;
    return true;
}

/* --- the stack -------------------------------------------------------------------------------- */

static bool push(struct pickle *pickle, struct value value)
{
    if (!values_reserve(pickle, &pickle->stack, 1))
        return false;
    pickle->stack.items[pickle->stack.count++] = value;
    return true;
}

static bool push_number(struct pickle *pickle, double number)
{
    return push(pickle, (struct value){.kind = KIND_NUMBER, .number = number});
}

static bool push_text(struct pickle *pickle, struct str text)
{
    if (text.len > TEXT_MAX)
        return refuse(pickle, REJECT_too_long);
    return push(pickle,
                (struct value){.kind = KIND_TEXT, .text = text.text, .len = (uint32_t)text.len});
}

/* The topmost value, which is no mark; NULL when there is none. */
static struct value *top(struct pickle *pickle)
{
    struct values *stack = &pickle->stack;

    if (stack->count == 0 || stack->items[stack->count - 1].kind == KIND_MARK)
        return NULL;
    return &stack->items[stack->count - 1];
}

static bool pop(struct pickle *pickle)
{
    if (pickle->stack.count == 0)
        return malformed(pickle);
    pickle->stack.count--;
    return true;
}

/* How many values are above the newest mark; false when there is none. */
static bool above_mark(struct pickle *pickle, size_t *out)
{
    const struct values *stack = &pickle->stack;
    size_t at = stack->count;

    while (at > 0 && stack->items[at - 1].kind != KIND_MARK)
        at--;
    if (at == 0)
        return malformed(pickle);
    *out = stack->count - at;
    return true;
}

/* --- lists and tuples ------------------------------------------------------------------------- */

/* A sequence of the topmost `count` values, which go from the stack, and `below` more with them. */
static bool make_sequence(struct pickle *pickle, size_t count, size_t below, bool is_list)
{
    struct values *stack = &pickle->stack;

    if (stack->count < count + below)
        return malformed(pickle);
    const struct value *from = count == 0 ? NULL : &stack->items[stack->count - count];
    for (size_t i = 0; i < count; i++) {
        if (from[i].kind == KIND_MARK)
            return malformed(pickle);
    }
    if (pickle->sequence_count == SEQUENCES_MAX)
        return refuse(pickle, REJECT_too_long);
    if (!values_reserve(pickle, &pickle->cells, count))
        return false;
    if (pickle->sequence_count == pickle->sequence_capacity) {
        pickle->sequence_capacity =
            pickle->sequence_capacity == 0 ? 64 : pickle->sequence_capacity * 2;
        pickle->sequences =
            memory_grow(pickle->sequences, pickle->sequence_capacity, sizeof *pickle->sequences);
    }
    if (count > 0)
        memcpy(&pickle->cells.items[pickle->cells.count], from, count * sizeof *from);
    pickle->sequences[pickle->sequence_count] =
        (struct sequence){.first = (uint32_t)pickle->cells.count,
                          .count = (uint32_t)count,
                          .capacity = (uint32_t)count,
                          .is_list = is_list};
    pickle->cells.count += count;
    stack->count -= count + below;
    return push(pickle, (struct value){.kind = KIND_SEQUENCE,
                                       .sequence = (uint32_t)pickle->sequence_count++});
}

static bool make_from_mark(struct pickle *pickle, bool is_list)
{
    size_t count = 0;
    return above_mark(pickle, &count) && make_sequence(pickle, count, 1, is_list);
}

/* Room for `more` cells behind a list's: where it ends if nothing follows there, else it moves to
 * the end of all cells. */
static bool reserve_cells(struct pickle *pickle, struct sequence *list, size_t more)
{
    struct values *cells = &pickle->cells;
    size_t wanted = list->count + more;

    if (wanted <= list->capacity)
        return true;
    if ((size_t)list->first + list->capacity == cells->count) {
        if (!values_reserve(pickle, cells, wanted - list->capacity))
            return false;
        cells->count += wanted - list->capacity;
        list->capacity = (uint32_t)wanted;
        return true;
    }
    size_t capacity = wanted < 8 ? 8 : wanted * 2;
    if (!values_reserve(pickle, cells, capacity))
        return false;
    if (list->count > 0)
        memcpy(&cells->items[cells->count], &cells->items[list->first],
               list->count * sizeof *cells->items);
    list->first = (uint32_t)cells->count;
    list->capacity = (uint32_t)capacity;
    cells->count += capacity;
    return true;
}

/* Appends the topmost `count` values to the list below them (and below a mark, if `marks`). */
static bool append(struct pickle *pickle, size_t count, size_t marks)
{
    struct values *stack = &pickle->stack;

    if (stack->count < count + marks + 1)
        return malformed(pickle);
    size_t first = stack->count - count;
    const struct value *target = &stack->items[first - marks - 1];
    if (target->kind != KIND_SEQUENCE || !pickle->sequences[target->sequence].is_list)
        return malformed(pickle);
    struct sequence *list = &pickle->sequences[target->sequence];
    if (marks == 0 && stack->items[first].kind == KIND_MARK)
        return malformed(pickle);
    if (!reserve_cells(pickle, list, count))
        return false;
    if (count > 0)
        memcpy(&pickle->cells.items[list->first + list->count], &stack->items[first],
               count * sizeof *stack->items);
    list->count += (uint32_t)count;
    stack->count = first - marks;
    return true;
}

static bool append_from_mark(struct pickle *pickle)
{
    size_t count = 0;
    return above_mark(pickle, &count) && append(pickle, count, 1);
}

/* --- the memo --------------------------------------------------------------------------------- */

static bool memo_put(struct pickle *pickle, uint64_t index)
{
    struct values *memo = &pickle->memo;
    const struct value *value = top(pickle);

    if (value == NULL)
        return malformed(pickle);
    /* Picklers count; an index that the frame cannot have counted to would make little bytes cost
     * much memory. */
    if (index >= MEMO_MAX || index >= pickle->frame_len)
        return refuse(pickle, REJECT_too_long);
    if (index >= memo->count) {
        size_t more = (size_t)index + 1 - memo->count;
        if (!values_reserve(pickle, memo, more))
            return false;
        memset(&memo->items[memo->count], 0, more * sizeof *memo->items);
        memo->count += more;
    }
    memo->items[index] = *value;
    return true;
}

static bool memo_get(struct pickle *pickle, uint64_t index)
{
    if (index >= pickle->memo.count || pickle->memo.items[index].kind == KIND_ABSENT)
        return malformed(pickle);
    return push(pickle, pickle->memo.items[index]);
}

/* --- arguments -------------------------------------------------------------------------------- */

static bool take(struct pickle *pickle, uint64_t len, struct str *out)
{
    if (len > (uint64_t)(pickle->end - pickle->at))
        return malformed(pickle);
    *out = (struct str){pickle->at, (size_t)len};
    pickle->at += len;
    return true;
}

/* A little-endian number of 1, 2, 4 or 8 bytes. */
static bool take_number(struct pickle *pickle, size_t size, uint64_t *out)
{
    struct str bytes;
    uint64_t number = 0;

    if (!take(pickle, size, &bytes))
        return false;
    memcpy(&number, bytes.text, size);
    *out = le64toh(number);
    return true;
}

/* A text whose length comes first, in `size` bytes. */
static bool take_counted(struct pickle *pickle, size_t size, struct str *out)
{
    uint64_t len = 0;
    return take_number(pickle, size, &len) && take(pickle, len, out);
}

/* What ends with a newline; Python writes "\n" alone. */
static bool take_line(struct pickle *pickle, struct str *out)
{
    const char *newline = memchr(pickle->at, '\n', (size_t)(pickle->end - pickle->at));

    if (newline == NULL)
        return malformed(pickle);
    *out = (struct str){pickle->at, (size_t)(newline - pickle->at)};
    pickle->at = newline + 1;
    return true;
}

static bool take_index(struct pickle *pickle, uint64_t *out)
{
    struct str line;
    return take_line(pickle, &line) && (str_parse_u64(line, out) || malformed(pickle));
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Two's complement, little-endian, of any length. What a double cannot hold exactly is rounded, and
 * what is too large becomes infinite, which no sample may be. */
static double long_of(struct str bytes)
{
    bool is_negative = bytes.len > 0 && ((unsigned char)bytes.text[bytes.len - 1] & 0x80) != 0;
    double number = 0;
    unsigned carry = is_negative ? 1 : 0;
    unsigned char magnitude[256];

    for (size_t i = 0; i < bytes.len; i++) {
        unsigned digit = (unsigned char)bytes.text[i];
        if (is_negative) { /* inverted and one added */
            digit = (digit ^ 0xffU) + carry;
            carry = digit >> 8;
        }
        magnitude[i] = (unsigned char)digit;
    }
    for (size_t i = bytes.len; i > 0; i--)
        number = number * 256 + magnitude[i - 1];
    return is_negative ? -number : number;
}

/* Few numbers are longer than 255 bytes. */
static bool push_long(struct pickle *pickle, size_t size)
{
    struct str bytes;

    if (!take_counted(pickle, size, &bytes))
        return false;
    if (bytes.len > 255)
        return refuse(pickle, REJECT_too_long);
    return push_number(pickle, long_of(bytes));
}

static bool push_double(struct pickle *pickle)
{
    struct str bytes;
    uint64_t bits = 0;
    double number = 0;

    if (!take(pickle, sizeof bits, &bytes))
        return false;
    memcpy(&bits, bytes.text, sizeof bits);
    bits = be64toh(bits);
    memcpy(&number, &bits, sizeof number);
    return push_number(pickle, number);
}

static bool is_whole(struct str text)
{
    size_t at = text.len > 0 && (text.text[0] == '-' || text.text[0] == '+') ? 1 : 0;

    if (at == text.len)
        return false;
    while (at < text.len && text.text[at] >= '0' && text.text[at] <= '9')
        at++;
    return at == text.len;
}

/* INT "5", "01" (True); LONG "5L". */
static bool push_whole(struct pickle *pickle, char code)
{
    struct str text;
    double number = 0;

    if (!take_line(pickle, &text))
        return false;
    if (code == 'L' && text.len > 0 && text.text[text.len - 1] == 'L')
        text.len--;
    if (text.len > NUMBER_TEXT_MAX)
        return refuse(pickle, REJECT_too_long);
    if (!is_whole(text))
        return malformed(pickle);
    return push_number(pickle, str_parse_double(text, &number) ? number : INFINITY);
}

/* FLOAT, as Python's repr() writes it. */
static bool push_float(struct pickle *pickle)
{
    struct str text;
    double number = 0;

    if (!take_line(pickle, &text))
        return false;
    if (text.len > NUMBER_TEXT_MAX)
        return refuse(pickle, REJECT_too_long);
    if (str_parse_double(text, &number))
        return push_number(pickle, number);
    if (graphite_is_nan(text))
        return push_number(pickle, NAN);
    if (str_is(text, "inf") || str_is(text, "-inf"))
        return push_number(pickle, INFINITY);
    return malformed(pickle);
}

/* --- texts ------------------------------------------------------------------------------------ */

/* All that a frame can unescape to: a byte becomes at most two. It never moves, for texts point
 * into it. */
static void reserve_unescaped(struct pickle *pickle)
{
    struct buf *buf = &pickle->unescaped;

    if (buf->bytes != NULL)
        return;
    buf->capacity = 2 * pickle->frame_len;
    buf->bytes = memory_alloc(buf->capacity);
}

/* UNICODE. */
static bool push_unicode(struct pickle *pickle)
{
    struct str text;
    struct buf *out = &pickle->unescaped;

    if (!take_line(pickle, &text))
        return false;
    reserve_unescaped(pickle);
    size_t begin = out->len;
    if (!pickle_unescape_unicode(text, out))
        return malformed(pickle);
    return push_text(pickle, (struct str){out->bytes + begin, out->len - begin});
}

/* STRING, in quotes of either kind. */
static bool push_string(struct pickle *pickle)
{
    struct str text;
    struct buf *out = &pickle->unescaped;

    if (!take_line(pickle, &text))
        return false;
    if (text.len < 2 || (text.text[0] != '\'' && text.text[0] != '"') ||
        text.text[text.len - 1] != text.text[0])
        return malformed(pickle);
    text = (struct str){text.text + 1, text.len - 2};
    if (memchr(text.text, '\\', text.len) == NULL)
        return push_text(pickle, text);
    reserve_unescaped(pickle);
    size_t begin = out->len;
    if (!pickle_unescape_string(text, out))
        return malformed(pickle);
    return push_text(pickle, (struct str){out->bytes + begin, out->len - begin});
}

static bool push_counted(struct pickle *pickle, size_t size)
{
    struct str text;
    return take_counted(pickle, size, &text) && push_text(pickle, text);
}

/* --- opcodes ---------------------------------------------------------------------------------- */

static bool step_number(struct pickle *pickle, unsigned char code)
{
    uint64_t number = 0;

    switch (code) {
    case 'J': /* BININT */
        return take_number(pickle, 4, &number) && push_number(pickle, (int32_t)(uint32_t)number);
    case 'K': /* BININT1 */
        return take_number(pickle, 1, &number) && push_number(pickle, (double)number);
    case 'M': /* BININT2 */
        return take_number(pickle, 2, &number) && push_number(pickle, (double)number);
    case 'G': /* BINFLOAT */
        return push_double(pickle);
    case 'I': /* INT */
    case 'L': /* LONG */
        return push_whole(pickle, (char)code);
    case 'F': /* FLOAT */
        return push_float(pickle);
    case 0x8a: /* LONG1 */
        return push_long(pickle, 1);
    case 0x8b: /* LONG4 */
        return push_long(pickle, 4);
    case 0x88: /* NEWTRUE */
        return push_number(pickle, 1);
    case 0x89: /* NEWFALSE */
        return push_number(pickle, 0);
    default:
        return malformed(pickle);
    }
}

static bool step_text(struct pickle *pickle, unsigned char code)
{
    switch (code) {
    case 'S': /* STRING */
        return push_string(pickle);
    case 'V': /* UNICODE */
        return push_unicode(pickle);
    case 'U':  /* SHORT_BINSTRING */
    case 'C':  /* SHORT_BINBYTES */
    case 0x8c: /* SHORT_BINUNICODE */
        return push_counted(pickle, 1);
    case 'T': /* BINSTRING */
    case 'B': /* BINBYTES */
    case 'X': /* BINUNICODE */
        return push_counted(pickle, 4);
    case 0x8d: /* BINUNICODE8 */
    case 0x8e: /* BINBYTES8 */
        return push_counted(pickle, 8);
    default:
        return step_number(pickle, code);
    }
}

static bool step_memo(struct pickle *pickle, unsigned char code)
{
    uint64_t index = 0;

    switch (code) {
    case 'p': /* PUT */
        return take_index(pickle, &index) && memo_put(pickle, index);
    case 'q': /* BINPUT */
        return take_number(pickle, 1, &index) && memo_put(pickle, index);
    case 'r': /* LONG_BINPUT */
        return take_number(pickle, 4, &index) && memo_put(pickle, index);
    case 0x94: /* MEMOIZE */
        return memo_put(pickle, pickle->memo.count);
    case 'g': /* GET */
        return take_index(pickle, &index) && memo_get(pickle, index);
    case 'h': /* BINGET */
        return take_number(pickle, 1, &index) && memo_get(pickle, index);
    case 'j': /* LONG_BINGET */
        return take_number(pickle, 4, &index) && memo_get(pickle, index);
    default:
        return step_text(pickle, code);
    }
}

static bool pop_mark(struct pickle *pickle)
{
    size_t count = 0;

    if (!above_mark(pickle, &count))
        return false;
    pickle->stack.count -= count + 1;
    return true;
}

static bool duplicate(struct pickle *pickle)
{
    const struct value *value = top(pickle);
    return value == NULL ? malformed(pickle) : push(pickle, *value);
}

static bool step(struct pickle *pickle, unsigned char code)
{
    uint64_t ignored = 0;

    switch (code) {
    case 0x80: /* PROTO */
        return take_number(pickle, 1, &ignored) && (ignored <= PROTOCOL_MAX || malformed(pickle));
    case 0x95: /* FRAME: what it says is known when the bytes are */
        return take_number(pickle, 8, &ignored);
    case '(': /* MARK */
        return push(pickle, (struct value){.kind = KIND_MARK});
    case '0': /* POP */
        return pop(pickle);
    case '1': /* POP_MARK */
        return pop_mark(pickle);
    case '2': /* DUP */
        return duplicate(pickle);
    case 'N': /* NONE */
        return push(pickle, (struct value){.kind = KIND_OTHER});
    case ')':  /* EMPTY_TUPLE */
    case 0x85: /* TUPLE1 */
    case 0x86: /* TUPLE2 */
    case 0x87: /* TUPLE3 */
        return make_sequence(pickle, code == ')' ? 0 : (size_t)code - 0x84, 0, false);
    case 't': /* TUPLE */
        return make_from_mark(pickle, false);
    case ']': /* EMPTY_LIST */
        return make_sequence(pickle, 0, 0, true);
    case 'l': /* LIST */
        return make_from_mark(pickle, true);
    case 'a': /* APPEND */
        return append(pickle, 1, 0);
    case 'e': /* APPENDS */
        return append_from_mark(pickle);
    default:
        return step_memo(pickle, code);
    }
}

/* What STOP leaves is the result; Python takes the topmost value and does not mind others. */
static bool finish(struct pickle *pickle)
{
    const struct value *value = top(pickle);

    if (value == NULL || value->kind != KIND_SEQUENCE)
        return malformed(pickle);
    pickle->loaded = value->sequence;
    pickle->has_loaded = true;
    return true;
}

bool pickle_load(struct pickle *pickle, struct str frame, enum reject_reason *why)
{
    pickle_clear(pickle);
    pickle->at = frame.text;
    pickle->end = frame.text + frame.len;
    pickle->frame_len = frame.len;
    pickle->why = REJECT_malformed;
    while (pickle->at < pickle->end) {
        unsigned char code = (unsigned char)*pickle->at++;
        if (code == '.') { /* STOP; what follows is not looked at, as in Python */
            if (finish(pickle))
                return true;
            break;
        }
        if (!step(pickle, code))
            break;
    }
    *why = pickle->why;
    return false;
}

/* --- points ----------------------------------------------------------------------------------- */

size_t pickle_count(const struct pickle *pickle)
{
    return pickle->has_loaded ? pickle->sequences[pickle->loaded].count : 0;
}

static struct str text_of(const struct value *value)
{
    return (struct str){value->text, value->len};
}

/* The two values of a pair; false when it is none. */
static bool pair_of(const struct pickle *pickle, const struct value *value,
                    const struct value **first, const struct value **second)
{
    if (value->kind != KIND_SEQUENCE || pickle->sequences[value->sequence].count != 2)
        return false;
    *first = &pickle->cells.items[pickle->sequences[value->sequence].first];
    *second = *first + 1;
    return true;
}

enum number_form { NUMBER_FINITE, NUMBER_NAN, NUMBER_NONE };

/* What carbon's float() makes of it. */
static enum number_form number_of(const struct value *value, double *out)
{
    if (value->kind == KIND_TEXT) {
        struct str text = str_trim(text_of(value));
        if (str_parse_double(text, out))
            return NUMBER_FINITE;
        return graphite_is_nan(text) ? NUMBER_NAN : NUMBER_NONE;
    }
    if (value->kind != KIND_NUMBER)
        return NUMBER_NONE;
    *out = value->number;
    if (isnan(value->number))
        return NUMBER_NAN;
    return isfinite(value->number) ? NUMBER_FINITE : NUMBER_NONE;
}

/* REJECT_NONE, and `is_nan` is not set: `out` is the point. */
static enum reject_reason read_point(const struct pickle *pickle, size_t i, struct sample *out,
                                     bool *is_nan)
{
    const struct value *item = &pickle->cells.items[pickle->sequences[pickle->loaded].first + i];
    const struct value *path = NULL;
    const struct value *pair = NULL;
    const struct value *time = NULL;
    const struct value *value = NULL;
    double seconds = 0;

    if (!pair_of(pickle, item, &path, &pair) || path->kind != KIND_TEXT)
        return REJECT_malformed;
    graphite_path(text_of(path), out);
    if (!pair_of(pickle, pair, &time, &value))
        return REJECT_malformed;
    if (out->name.len == 0)
        return REJECT_bad_name;
    if (out->tag_style != TAGS_NONE && out->tags.len == 0)
        return REJECT_bad_tags;
    enum number_form form = number_of(value, &out->value);
    *is_nan = form == NUMBER_NAN;
    if (form == NUMBER_NONE)
        return REJECT_bad_number;
    if (number_of(time, &seconds) != NUMBER_FINITE)
        return REJECT_malformed;
    if (!graphite_time(seconds, &out->at))
        return REJECT_bad_time;
    out->text = value->kind == KIND_TEXT ? str_trim(text_of(value)) : STR_EMPTY;
    return REJECT_NONE;
}

enum graphite_result pickle_point(const struct pickle *pickle, size_t i, struct sample *out,
                                  struct ledger *ledger, enum reject_reason *why)
{
    bool is_nan = false;

    *out = (struct sample){
        .kind = METRIC_UNTYPED, .form = SAMPLE_VALUE, .weight = WEIGHT_ONE, .at = WALL_NONE};
    ledger->received++;
    *why = read_point(pickle, i, out, &is_nan);
    if (*why == REJECT_NONE && !is_nan)
        return GRAPHITE_SAMPLE;
    if (is_nan) { /* G2 */
        *why = REJECT_NONE;
        ledger->dropped[DROP_not_finite]++;
        return GRAPHITE_DROPPED;
    }
    ledger->rejected[*why]++;
    return GRAPHITE_REJECTED;
}
