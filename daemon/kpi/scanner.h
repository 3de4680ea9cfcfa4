/* Reads a formula or a condition from left to right, with the column of every mistake.
 *
 * No tokens in advance: what a character means depends on where it stands ("-" is a letter of a
 * metric's name and an operator between values). Every read skips the blanks before it. */
#pragma once

#include "base/arena.h"
#include "base/error.h"

struct scanner {
    struct str text;
    size_t at;
};

/* Moves to what is next and returns its column, from 1. */
size_t scanner_column(struct scanner *scanner);
bool scanner_is_end(struct scanner *scanner);

/* The next character, '\0' at the end. */
char scanner_peek(struct scanner *scanner);

/* Takes the symbol (or nothing). "<" does not take half of "<=": try the longer ones first. */
bool scanner_accept(struct scanner *scanner, const char *symbol);

/* Takes the word if it stands there whole. */
bool scanner_accept_word(struct scanner *scanner, const char *word);

/* A word: a letter or "_", then letters, digits, "_" and "."; empty if there is none. */
struct str scanner_word(struct scanner *scanner);

/* A name of a metric, a label or a KPI: letters, digits, "_", ".", ":", "-" and whatever is not
 * ASCII (series_key_is_bare), or any text in quotes. There \\, \", \', \n, \r, \t and \xNN stand
 * for what they do in C, so that what series_key_format shows can be read again; another \ is a
 * mistake. Empty and true if there is none. */
bool scanner_name(struct scanner *scanner, struct arena *arena, struct str *out, struct error *err);

/* The text of a number with its unit (kpi/unit.h), for unit_read_number; empty if there is none.
 * `keywords` are NULL-terminated words that are never a unit. */
struct str scanner_number(struct scanner *scanner, const char *const *keywords);

/* A duration as "90s" or "2 business days"; empty if there is none. */
struct str scanner_duration(struct scanner *scanner);

/* "column N: ", then the words. Returns false. */
__attribute__((format(printf, 3, 4))) bool scanner_fail(size_t column, struct error *err,
                                                        const char *format, ...);

/* "column N: expected WHAT, found 'x'". Returns false. */
bool scanner_expected(struct scanner *scanner, const char *what, struct error *err);
