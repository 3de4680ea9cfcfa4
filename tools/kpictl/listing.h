/* Tables for people, by libsmartcols: what cannot be shown is escaped as \n or \xNN, but a
 * backslash stays, since kpid escapes series itself. Colour is for terminals alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct listing;

struct listing_column {
    const char *name;
    bool is_number; /* at the right */
};

struct listing *listing_new(const struct listing_column *columns, size_t count);
void listing_free(struct listing *listing);

/* One line: a text for each column. */
void listing_add(struct listing *listing, const char *const *cells);

/* The colour of a cell of the newest line: "green", "red", ... */
void listing_color(struct listing *listing, size_t column, const char *color);

/* On stdout. */
void listing_print(struct listing *listing);
