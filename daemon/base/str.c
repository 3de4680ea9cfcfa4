#include "base/str.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct str str_of(const char *text)
{
    return (struct str){text, text == NULL ? 0 : strlen(text)};
}

bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.text, b.text, a.len) == 0);
}

bool str_is(struct str a, const char *text)
{
    return str_equal(a, str_of(text));
}

int str_compare(struct str a, struct str b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared == 0 ? 0 : memcmp(a.text, b.text, shared);
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool str_starts_with(struct str text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.text, prefix, len) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str text)
{
    while (text.len > 0 && is_blank(text.text[0])) {
        text.text++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.text[text.len - 1]))
        text.len--;
    return text;
}

struct str str_split(struct str *rest, char separator)
{
    struct str whole = *rest;
    const char *found = whole.len == 0 ? NULL : memchr(whole.text, separator, whole.len);
    if (found == NULL) {
        *rest = STR_EMPTY;
        return whole;
    }
    size_t len = (size_t)(found - whole.text);
    *rest = (struct str){found + 1, whole.len - len - 1};
    return (struct str){whole.text, len};
}

/* --- numbers -----------------------------------------------------------------------------------
 */

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c_locale == (locale_t)0)
        abort();
}

static locale_t get_c_locale(void)
{
    (void)pthread_once(&c_locale_once, make_c_locale);
    return c_locale;
}

/* A number as the grammar reads it: (mantissa) * 10^exponent. */
struct decimal {
    uint64_t mantissa;
    int exponent;
    bool negative;
    bool exact; /* every digit fits in `mantissa` */
};

enum { EXPONENT_LIMIT = 100000, MANTISSA_DIGITS = 19 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits from `at` on into the decimal; returns how many there were. */
static size_t take_digits(struct str text, size_t at, bool fraction, struct decimal *out, int *kept)
{
    size_t start = at;
    for (; at < text.len && is_digit(text.text[at]); at++) {
        unsigned digit = (unsigned)(text.text[at] - '0');
        if (*kept < MANTISSA_DIGITS) {
            out->mantissa = out->mantissa * 10 + digit;
            if (out->mantissa != 0)
                (*kept)++;
            if (fraction)
                out->exponent--;
        } else {
            if (digit != 0)
                out->exact = false;
            if (!fraction && out->exponent < EXPONENT_LIMIT)
                out->exponent++;
        }
    }
    return at - start;
}

static bool take_exponent(struct str text, size_t at, struct decimal *out)
{
    bool negative = false;
    int exponent = 0;

    if (at < text.len && (text.text[at] == '+' || text.text[at] == '-'))
        negative = text.text[at++] == '-';
    if (at == text.len)
        return false;
    for (; at < text.len; at++) {
        if (!is_digit(text.text[at]))
            return false;
        if (exponent < EXPONENT_LIMIT)
            exponent = exponent * 10 + (text.text[at] - '0');
    }
    out->exponent += negative ? -exponent : exponent;
    return true;
}

static bool scan_decimal(struct str text, struct decimal *out)
{
    size_t at = 0;
    int kept = 0;

    *out = (struct decimal){.exact = true};
    if (at < text.len && (text.text[at] == '+' || text.text[at] == '-'))
        out->negative = text.text[at++] == '-';
    size_t whole = take_digits(text, at, false, out, &kept);
    at += whole;
    size_t fraction = 0;
    if (at < text.len && text.text[at] == '.') {
        at++;
        fraction = take_digits(text, at, true, out, &kept);
        at += fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (at == text.len)
        return true;
    if (text.text[at] != 'e' && text.text[at] != 'E')
        return false;
    return take_exponent(text, at + 1, out);
}

/* glibc's strtod is exact; it needs a NUL and a fixed locale. Numbers longer than the buffer are
 * legal and rare. */
static bool parse_slowly(struct str text, double *out)
{
    char short_copy[128];
    char *copy = short_copy;

    if (text.len >= sizeof short_copy) {
        copy = malloc(text.len + 1);
        if (copy == NULL)
            abort();
    }
    memcpy(copy, text.text, text.len);
    copy[text.len] = '\0';
    double value = strtod_l(copy, NULL, get_c_locale());
    if (copy != short_copy)
        free(copy);
    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}

static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* What nearly all numbers are: a sign, few digits and a point. False: it takes a closer look. */
static bool parse_short(struct str text, double *out)
{
    enum { LEN_MAX = 17 }; /* fewer digits than 64 bits hold */
    uint64_t mantissa = 0;
    bool negative = false;

    if (text.len == 0 || text.len > LEN_MAX)
        return false;
    const char *at = text.text;
    const char *end = at + text.len;
    if (*at == '+' || *at == '-')
        negative = *at++ == '-';
    const char *digits = at;
    for (; at < end && is_digit(*at); at++)
        mantissa = mantissa * 10 + (unsigned)(*at - '0');
    ptrdiff_t count = at - digits;
    ptrdiff_t fraction = 0;
    if (at < end && *at == '.') {
        for (digits = ++at; at < end && is_digit(*at); at++)
            mantissa = mantissa * 10 + (unsigned)(*at - '0');
        fraction = at - digits;
    }
    if (at < end || count + fraction == 0 || mantissa > (UINT64_C(1) << 53))
        return false;
    double value = (double)mantissa; /* exact, as below */
    if (fraction > 0)
        value /= POWERS[fraction];
    *out = negative ? -value : value;
    return true;
}

bool str_parse_double(struct str text, double *out)
{
    static const int largest = (int)(sizeof POWERS / sizeof POWERS[0]) - 1;
    struct decimal decimal;

    if (parse_short(text, out))
        return true;
    if (!scan_decimal(text, &decimal))
        return false;
    /* A mantissa below 2^53 and a power of ten up to 10^22 are exact doubles, so one IEEE
     * multiplication or division of the two is correctly rounded (Clinger 1990). */
    if (!decimal.exact || decimal.mantissa > (UINT64_C(1) << 53) || decimal.exponent > largest ||
        decimal.exponent < -largest)
        return parse_slowly(text, out);
    double value = (double)decimal.mantissa;
    if (decimal.exponent >= 0)
        value *= POWERS[decimal.exponent];
    else
        value /= POWERS[-decimal.exponent];
    *out = decimal.negative ? -value : value;
    return true;
}

bool str_parse_u64(struct str text, uint64_t *out)
{
    uint64_t value = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.text[i]))
            return false;
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.text[i] - '0'), &value))
            return false;
    }
    *out = value;
    return true;
}

bool str_parse_i64(struct str text, int64_t *out)
{
    bool negative = false;
    uint64_t magnitude = 0;

    if (text.len > 0 && (text.text[0] == '-' || text.text[0] == '+')) {
        negative = text.text[0] == '-';
        text.text++;
        text.len--;
    }
    if (!str_parse_u64(text, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

static bool unit_span(struct str unit, span_ms *out)
{
    static const struct {
        const char *name;
        span_ms span;
    } units[] = {{"ms", 1},          {"s", MS_PER_SECOND}, {"m", MS_PER_MINUTE},
                 {"h", MS_PER_HOUR}, {"d", MS_PER_DAY},    {"w", 7 * (span_ms)MS_PER_DAY}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (str_is(unit, units[i].name)) {
            *out = units[i].span;
            return true;
        }
    }
    return false;
}

bool str_parse_span(struct str text, span_ms *out)
{
    span_ms total = 0;
    size_t at = 0;

    if (text.len == 0)
        return false;
    while (at < text.len) {
        size_t number = at;
        while (at < text.len && is_digit(text.text[at]))
            at++;
        size_t unit = at;
        while (at < text.len && !is_digit(text.text[at]))
            at++;
        uint64_t count = 0;
        span_ms each = 0;
        span_ms part = 0;
        if (!str_parse_u64((struct str){text.text + number, unit - number}, &count) ||
            !unit_span((struct str){text.text + unit, at - unit}, &each) || count > INT64_MAX ||
            __builtin_mul_overflow((span_ms)count, each, &part) ||
            __builtin_add_overflow(total, part, &total))
            return false;
    }
    *out = total;
    return true;
}

size_t str_format_double(double value, char *out)
{
    locale_t before = uselocale(get_c_locale());
    int len = 0;

    /* Any 15 digits survive, and %g drops their zeros; subnormals have fewer. */
    for (int digits = isnormal(value) || value == 0 ? 15 : 1; digits <= 17; digits++) {
        len = snprintf(out, STR_DOUBLE_SIZE, "%.*g", digits, value);
        if (strtod_l(out, NULL, get_c_locale()) == value)
            break;
    }
    (void)uselocale(before);
    return len < 0 ? 0 : (size_t)len;
}

/* --- text for people ---------------------------------------------------------------------------
 */

static const char *show(struct str bytes, const char *escaped, char *out)
{
    static const char hex[] = "0123456789abcdef";
    enum { CUT = 80 };
    size_t used = 0;
    size_t i = 0;

    for (; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.text[i];
        bool plain = c >= 0x20 && c < 0x7f && strchr(escaped, c) == NULL;
        if (used + (plain ? 1 : 4) > CUT)
            break;
        if (plain) {
            out[used++] = (char)c;
        } else {
            out[used++] = '\\';
            out[used++] = 'x';
            out[used++] = hex[c >> 4];
            out[used++] = hex[c & 15];
        }
    }
    if (i < bytes.len) {
        memcpy(out + used, "...", 3);
        used += 3;
    }
    out[used] = '\0';
    return out;
}

const char *str_quoted(struct str bytes, char *out)
{
    return show(bytes, "\"\\", out);
}

const char *str_printable(struct str bytes, char *out)
{
    return show(bytes, "", out);
}

/* Length of the sequence that starts with `lead`, 0 if none may. */
static size_t utf8_length(unsigned char lead)
{
    if (lead < 0x80)
        return lead == 0 ? 0 : 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

static bool is_utf8_sequence(const unsigned char *at, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return false;
    }
    if (len == 3 && at[0] == 0xe0)
        return at[1] >= 0xa0; /* shorter forms exist */
    if (len == 3 && at[0] == 0xed)
        return at[1] <= 0x9f; /* surrogates */
    if (len == 4 && at[0] == 0xf0)
        return at[1] >= 0x90;
    if (len == 4 && at[0] == 0xf4)
        return at[1] <= 0x8f; /* above U+10FFFF */
    return true;
}

bool str_is_utf8(struct str text)
{
    size_t i = 0;
    while (i < text.len) {
        const unsigned char *at = (const unsigned char *)text.text + i;
        size_t len = utf8_length(*at);
        if (len == 0 || len > text.len - i || !is_utf8_sequence(at, len))
            return false;
        i += len;
    }
    return true;
}

static uint32_t code_point(const unsigned char *at, size_t len)
{
    uint32_t code = len == 1 ? at[0] : at[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (at[i] & 0x3fU);
    return code;
}

static bool is_hidden(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x61c, 0x61c},
        {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
    };

    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        if (code >= hidden[i].first && code <= hidden[i].last)
            return true;
    }
    return false;
}

size_t str_visible(struct str text, size_t at)
{
    const unsigned char *from = (const unsigned char *)text.text + at;
    size_t len = utf8_length(*from);

    if (len == 0 || len > text.len - at || !is_utf8_sequence(from, len) ||
        is_hidden(code_point(from, len)))
        return 0;
    return len;
}

enum { WORD_MAX = 40 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: insertions, deletions, replacements and swaps of neighbours. */
static size_t distance(struct str a, struct str b)
{
    size_t rows[3][WORD_MAX + 1];

    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *now = rows[i % 3];
        const size_t *before = rows[(i + 2) % 3];
        const size_t *before_that = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t replace = before[j - 1] + (a.text[i - 1] == b.text[j - 1] ? 0 : 1);
            now[j] = least(replace, least(before[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a.text[i - 1] == b.text[j - 2] && a.text[i - 2] == b.text[j - 1])
                now[j] = least(now[j], before_that[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

const char *str_nearest(struct str word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t best_distance = word.len / 3 + 1; /* one slip in short words, more in long ones */

    if (word.len == 0 || word.len > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct str candidate = str_of(candidates[i]);
        if (candidate.len == 0 || candidate.len > WORD_MAX)
            continue;
        size_t d = distance(word, candidate);
        if (d < best_distance || (d == best_distance && best == NULL && d < candidate.len)) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}
