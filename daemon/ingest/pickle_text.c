#include "ingest/pickle_text.h"

static bool is_hex(char c, unsigned *digit)
{
    if (c >= '0' && c <= '9')
        *digit = (unsigned)(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        *digit = (unsigned)((c | 0x20) - 'a' + 10);
    else
        return false;
    return true;
}

/* `count` hexadecimal digits at `at`. */
static bool take_hex(struct str text, size_t at, size_t count, uint32_t *out)
{
    uint32_t number = 0;

    if (text.len < at || text.len - at < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = 0;
        if (!is_hex(text.text[at + i], &digit))
            return false;
        number = number << 4 | digit;
    }
    *out = number;
    return true;
}

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_char(out, (char)c);
        return;
    }
    if (c >= 0x10000) {
        buf_char(out, (char)(0xf0 | c >> 18));
        buf_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
    } else if (c >= 0x800) {
        buf_char(out, (char)(0xe0 | c >> 12));
    }
    if (c >= 0x800)
        buf_char(out, (char)(0x80 | (c >> 6 & 0x3f)));
    else
        buf_char(out, (char)(0xc0 | c >> 6));
    buf_char(out, (char)(0x80 | (c & 0x3f)));
}

bool pickle_unescape_unicode(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        bool has_next = text.text[i] == '\\' && i + 1 < text.len;
        uint32_t c = (unsigned char)text.text[i];
        if (has_next && (text.text[i + 1] == 'u' || text.text[i + 1] == 'U')) {
            size_t digits = text.text[i + 1] == 'u' ? 4 : 8;
            if (!take_hex(text, i + 2, digits, &c) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                return false;
            i += digits + 1;
        } else if (has_next && text.text[i + 1] == '\\') {
            put_utf8(out, c); /* both stay: Python writes one as \u005c */
            i++;
        }
        put_utf8(out, c);
    }
    return true;
}

/* One escape of a STRING at `i`, a backslash; returns the index of its last byte, 0: it is none. */
static size_t unescape_one(struct str text, size_t i, struct buf *out)
{
    static const struct {
        char letter, stands_for;
    } letters[] = {{'\\', '\\'}, {'\'', '\''}, {'"', '"'},  {'n', '\n'}, {'t', '\t'},
                   {'r', '\r'},  {'a', '\a'},  {'b', '\b'}, {'f', '\f'}, {'v', '\v'}};
    uint32_t byte = 0;

    if (i + 1 == text.len)
        return 0;
    if (text.text[i + 1] == 'x') {
        if (!take_hex(text, i + 2, 2, &byte))
            return 0;
        buf_char(out, (char)byte);
        return i + 3;
    }
    for (size_t l = 0; l < sizeof letters / sizeof letters[0]; l++) {
        if (text.text[i + 1] == letters[l].letter) {
            buf_char(out, letters[l].stands_for);
            return i + 1;
        }
    }
    return 0;
}

bool pickle_unescape_string(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.text[i] != '\\') {
            buf_char(out, text.text[i]);
            continue;
        }
        i = unescape_one(text, i, out);
        if (i == 0)
            return false;
    }
    return true;
}
