#include "ingest/json_scan.h"

#include <string.h>

struct json_scan json_scan_of(struct str bytes)
{
    const char *text = bytes.len == 0 ? "" : bytes.text;
    return (struct json_scan){
        .begin = text, .at = text, .end = text + bytes.len, .ok = str_is_utf8(bytes)};
}

bool json_scan_fail(struct json_scan *scan)
{
    scan->ok = false;
    return false;
}

size_t json_scan_place(const struct json_scan *scan)
{
    return (size_t)(scan->at - scan->begin);
}

static void skip_blanks(struct json_scan *scan)
{
    while (scan->at != scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

static bool is_digit(const struct json_scan *scan)
{
    return scan->at != scan->end && *scan->at >= '0' && *scan->at <= '9';
}

/* Takes one character, if it comes next. */
static bool take(struct json_scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

enum json_scan_kind json_scan_kind(struct json_scan *scan)
{
    skip_blanks(scan);
    if (!scan->ok || scan->at == scan->end) {
        (void)json_scan_fail(scan);
        return SCAN_NOTHING;
    }
    switch (*scan->at) {
    case '{':
        return SCAN_OBJECT;
    case '[':
        return SCAN_LIST;
    case '"':
        return SCAN_TEXT;
    case 't':
        return SCAN_TRUE;
    case 'f':
        return SCAN_FALSE;
    case 'n':
        return SCAN_NULL;
    default:
        if (*scan->at == '-' || is_digit(scan))
            return SCAN_NUMBER;
        (void)json_scan_fail(scan);
        return SCAN_NOTHING;
    }
}

/* --- objects and lists ------------------------------------------------------------------------ */

void json_scan_open(struct json_scan *scan)
{
    skip_blanks(scan);
    if (scan->depth == JSON_SCAN_DEPTH_MAX || (!take(scan, '{') && !take(scan, '['))) {
        (void)json_scan_fail(scan);
        return;
    }
    scan->depth++;
    scan->is_first = true;
}

/* Whether a value, or a name, of what is open follows. */
static bool goes_on(struct json_scan *scan, char close)
{
    if (!scan->ok)
        return false;
    skip_blanks(scan);
    if (take(scan, close)) {
        scan->depth--;
        scan->is_first = false;
        return false;
    }
    if (!scan->is_first && !take(scan, ','))
        return json_scan_fail(scan);
    scan->is_first = false;
    return true;
}

bool json_scan_next_item(struct json_scan *scan)
{
    return goes_on(scan, ']');
}

bool json_scan_next_key(struct json_scan *scan, struct buf *key)
{
    buf_clear(key);
    if (!goes_on(scan, '}'))
        return false;
    json_scan_text(scan, key);
    skip_blanks(scan);
    if (scan->ok && !take(scan, ':'))
        return json_scan_fail(scan);
    return scan->ok;
}

bool json_scan_end(struct json_scan *scan)
{
    skip_blanks(scan);
    return scan->ok && scan->at == scan->end;
}

/* --- texts ------------------------------------------------------------------------------------ */

static bool take_hex4(struct json_scan *scan, unsigned *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = '\0';
        if (scan->at != scan->end)
            c = *scan->at;
        unsigned digit = 0;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (unsigned)((c | 0x20) - 'a' + 10);
        else
            return false;
        *out = *out * 16 + digit;
        scan->at++;
    }
    return true;
}

static void put_utf8(struct buf *out, unsigned point)
{
    if (point < 0x80) {
        buf_u8(out, (uint8_t)point);
        return;
    }
    if (point < 0x800) {
        buf_u8(out, (uint8_t)(0xc0 | point >> 6));
    } else if (point < 0x10000) {
        buf_u8(out, (uint8_t)(0xe0 | point >> 12));
        buf_u8(out, (uint8_t)(0x80 | (point >> 6 & 0x3f)));
    } else {
        buf_u8(out, (uint8_t)(0xf0 | point >> 18));
        buf_u8(out, (uint8_t)(0x80 | (point >> 12 & 0x3f)));
        buf_u8(out, (uint8_t)(0x80 | (point >> 6 & 0x3f)));
    }
    buf_u8(out, (uint8_t)(0x80 | (point & 0x3f)));
}

/* After \u: half of a pair of surrogates is no character. */
static bool take_code(struct json_scan *scan, struct buf *out)
{
    unsigned point = 0;
    unsigned low = 0;

    if (!take_hex4(scan, &point))
        return false;
    if (point >= 0xd800 && point < 0xe000) {
        if (point >= 0xdc00 || !take(scan, '\\') || !take(scan, 'u') || !take_hex4(scan, &low) ||
            low < 0xdc00 || low >= 0xe000)
            return false;
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    put_utf8(out, point);
    return true;
}

static bool take_escape(struct json_scan *scan, struct buf *out)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";

    if (scan->at == scan->end)
        return false;
    char c = *scan->at++;
    if (c == 'u')
        return take_code(scan, out);
    const char *letter = memchr(letters, c, sizeof letters - 1);
    if (letter == NULL)
        return false;
    buf_char(out, meant[letter - letters]);
    return true;
}

/* Up to the next character that means something else than itself. */
static size_t plain_length(const struct json_scan *scan)
{
    const char *at = scan->at;
    while (at != scan->end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return (size_t)(at - scan->at);
}

void json_scan_text(struct json_scan *scan, struct buf *out)
{
    skip_blanks(scan);
    bool ok = scan->ok && take(scan, '"');

    while (ok) {
        size_t len = plain_length(scan);
        buf_append(out, scan->at, len);
        scan->at += len;
        if (take(scan, '"'))
            return;
        ok = take(scan, '\\') && take_escape(scan, out);
    }
    (void)json_scan_fail(scan);
}

/* --- numbers and the rest --------------------------------------------------------------------- */

static bool take_digits(struct json_scan *scan)
{
    if (!is_digit(scan))
        return false;
    while (is_digit(scan))
        scan->at++;
    return true;
}

static bool take_number(struct json_scan *scan)
{
    (void)take(scan, '-');
    if (!take(scan, '0') && !take_digits(scan))
        return false;
    if (take(scan, '.') && !take_digits(scan))
        return false;
    if (!take(scan, 'e') && !take(scan, 'E'))
        return true;
    if (!take(scan, '+'))
        (void)take(scan, '-');
    return take_digits(scan);
}

struct str json_scan_number(struct json_scan *scan)
{
    skip_blanks(scan);
    const char *first = scan->at;
    if (!scan->ok || !take_number(scan)) {
        (void)json_scan_fail(scan);
        return STR_EMPTY;
    }
    return (struct str){first, (size_t)(scan->at - first)};
}

static void skip_word(struct json_scan *scan, struct str word)
{
    if ((size_t)(scan->end - scan->at) < word.len || memcmp(scan->at, word.text, word.len) != 0)
        (void)json_scan_fail(scan);
    else
        scan->at += word.len;
}

static void skip_one(struct json_scan *scan, struct buf *ignored)
{
    switch (json_scan_kind(scan)) {
    case SCAN_OBJECT:
        json_scan_open(scan);
        while (json_scan_next_key(scan, ignored))
            skip_one(scan, ignored);
        break;
    case SCAN_LIST:
        json_scan_open(scan);
        while (json_scan_next_item(scan))
            skip_one(scan, ignored);
        break;
    case SCAN_TEXT:
        buf_clear(ignored);
        json_scan_text(scan, ignored);
        break;
    case SCAN_NUMBER:
        (void)json_scan_number(scan);
        break;
    case SCAN_TRUE:
        skip_word(scan, STR("true"));
        break;
    case SCAN_FALSE:
        skip_word(scan, STR("false"));
        break;
    case SCAN_NULL:
        skip_word(scan, STR("null"));
        break;
    case SCAN_NOTHING:
        break;
    }
}

void json_scan_skip(struct json_scan *scan)
{
    struct buf ignored = BUF_EMPTY;

    skip_one(scan, &ignored);
    buf_fini(&ignored);
}
