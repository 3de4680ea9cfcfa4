#include "kpi/scanner.h"

#include <stdio.h>
#include <string.h>

#include "series/series_key.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_char(char c)
{
    return is_letter(c) || is_digit(c) || c == '.';
}

static bool is_unit_char(char c)
{
    return (is_letter(c) && c != '_') || c == '%' || (unsigned char)c >= 0x80;
}

static void skip_blanks(struct scanner *scanner)
{
    while (scanner->at < scanner->text.len &&
           strchr(" \t\r\n", scanner->text.text[scanner->at]) != NULL &&
           scanner->text.text[scanner->at] != '\0')
        scanner->at++;
}

/* The character `ahead` of the next one, without skipping anything. */
static char look(const struct scanner *scanner, size_t ahead)
{
    if (scanner->at + ahead >= scanner->text.len)
        return '\0';
    return scanner->text.text[scanner->at + ahead];
}

static struct str take(struct scanner *scanner, size_t len)
{
    struct str taken = {scanner->text.text + scanner->at, len};
    scanner->at += len;
    return taken;
}

size_t scanner_column(struct scanner *scanner)
{
    skip_blanks(scanner);
    return scanner->at + 1;
}

bool scanner_is_end(struct scanner *scanner)
{
    skip_blanks(scanner);
    return scanner->at == scanner->text.len;
}

char scanner_peek(struct scanner *scanner)
{
    skip_blanks(scanner);
    return look(scanner, 0);
}

bool scanner_accept(struct scanner *scanner, const char *symbol)
{
    skip_blanks(scanner);
    size_t len = strlen(symbol);
    if (scanner->text.len - scanner->at < len ||
        memcmp(scanner->text.text + scanner->at, symbol, len) != 0)
        return false;
    scanner->at += len;
    return true;
}

static size_t word_length(const struct scanner *scanner)
{
    size_t len = 0;
    if (is_letter(look(scanner, 0))) {
        while (is_word_char(look(scanner, len)))
            len++;
    }
    return len;
}

bool scanner_accept_word(struct scanner *scanner, const char *word)
{
    skip_blanks(scanner);
    size_t len = word_length(scanner);
    if (len == 0 || !str_is((struct str){scanner->text.text + scanner->at, len}, word))
        return false;
    scanner->at += len;
    return true;
}

struct str scanner_word(struct scanner *scanner)
{
    skip_blanks(scanner);
    return take(scanner, word_length(scanner));
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What stands after a backslash in quotes: its last character is not taken. */
static bool escaped(struct scanner *scanner, char *out, struct error *err)
{
    static const char letters[] = "\\\"'nrt";
    static const char stands_for[] = "\\\"'\n\r\t";
    size_t column = scanner->at + 1;

    scanner->at++;
    char c = look(scanner, 0);
    const char *known = c == '\0' ? NULL : strchr(letters, c);
    if (known != NULL) {
        *out = stands_for[known - letters];
        return true;
    }
    int high = hex_digit(look(scanner, 1));
    int low = hex_digit(look(scanner, 2));
    if (c != 'x' || high < 0 || low < 0)
        return scanner_fail(
            column, err, "in quotes '\\' stands before '\\', a quote, n, r, t or x and two digits");
    *out = (char)(high << 4 | low);
    scanner->at += 2;
    return true;
}

static bool quoted_name(struct scanner *scanner, struct arena *arena, struct str *out,
                        struct error *err)
{
    size_t column = scanner->at + 1;
    char quote = look(scanner, 0);
    char *bytes = arena_alloc(arena, scanner->text.len - scanner->at);
    size_t len = 0;

    for (scanner->at++; scanner->at < scanner->text.len; scanner->at++) {
        char c = look(scanner, 0);
        if (c == quote) {
            scanner->at++;
            *out = (struct str){bytes, len};
            return true;
        }
        if (c == '\\' && !escaped(scanner, &c, err))
            return false;
        bytes[len++] = c;
    }
    return scanner_fail(column, err, "the quote %c is never closed", quote);
}

bool scanner_name(struct scanner *scanner, struct arena *arena, struct str *out, struct error *err)
{
    skip_blanks(scanner);
    char first = look(scanner, 0);
    if (first == '"' || first == '\'')
        return quoted_name(scanner, arena, out, err);
    size_t len = 0;
    while (series_key_is_bare(look(scanner, len)))
        len++;
    *out = arena_str(arena, take(scanner, len));
    return true;
}

/* How long the unit after a number is, blanks before it included; 0 without one. */
static size_t unit_length(struct scanner *scanner, size_t at, const char *const *keywords)
{
    size_t start = at;
    while (look(scanner, start) == ' ')
        start++;
    size_t end = start;
    while (is_unit_char(look(scanner, end)))
        end++;
    struct str unit = {scanner->text.text + scanner->at + start, end - start};
    for (size_t i = 0; keywords[i] != NULL; i++) {
        if (str_is(unit, keywords[i]))
            return 0;
    }
    if (end == start || look(scanner, end) == '(')
        return 0;
    return end - at;
}

struct str scanner_number(struct scanner *scanner, const char *const *keywords)
{
    skip_blanks(scanner);
    size_t len = look(scanner, 0) == '-' || look(scanner, 0) == '+';
    size_t start = len;
    while (is_digit(look(scanner, len)) || look(scanner, len) == '.')
        len++;
    if (len == start)
        return STR_EMPTY;
    size_t unit = unit_length(scanner, len, keywords);
    len += unit;
    /* "100K EUR": the unit may stand apart from its thousands. */
    if (unit > 0 && strchr("KMG", look(scanner, len - 1)) != NULL && look(scanner, len) == ' ' &&
        !is_unit_char(look(scanner, len - 2)))
        len += unit_length(scanner, len, keywords);
    return take(scanner, len);
}

struct str scanner_duration(struct scanner *scanner)
{
    skip_blanks(scanner);
    size_t len = 0;
    if (!is_digit(look(scanner, 0)))
        return STR_EMPTY;
    while (is_digit(look(scanner, len)) || is_letter(look(scanner, len)))
        len++;
    struct scanner after = {scanner->text, scanner->at + len};
    bool business = scanner_accept_word(&after, "business") &&
                    (scanner_accept_word(&after, "day") || scanner_accept_word(&after, "days") ||
                     scanner_accept_word(&after, "hour") || scanner_accept_word(&after, "hours"));
    if (business || scanner_accept_word(&after, "evaluations"))
        len = after.at - scanner->at;
    return take(scanner, len);
}

bool scanner_fail(size_t column, struct error *err, const char *format, ...)
{
    char words[384];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return error_set(err, ERROR_INVALID, "column %zu: %s", column, words);
}

bool scanner_expected(struct scanner *scanner, const char *what, struct error *err)
{
    char quoted[STR_QUOTED_SIZE];
    size_t column = scanner_column(scanner);

    if (scanner_is_end(scanner))
        return scanner_fail(column, err, "expected %s, but the text ends", what);
    size_t len = word_length(scanner);
    if (len == 0)
        len = 1;
    (void)str_quoted((struct str){scanner->text.text + scanner->at, len}, quoted);
    return scanner_fail(column, err, "expected %s, found '%s'", what, quoted);
}
