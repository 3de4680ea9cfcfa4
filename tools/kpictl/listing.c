#include "listing.h"

#include <assert.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/memory.h"

struct listing {
    struct libscols_table *table;
    struct libscols_line *line; /* the newest; the table's */
    size_t columns;
};

/* https://no-color.org: whoever sets it to anything wants none. */
static bool wants_color(void)
{
    /* One thread alone: NOLINTNEXTLINE(concurrency-mt-unsafe) */
    const char *refusal = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) == 1 && (refusal == NULL || refusal[0] == '\0');
}

struct listing *listing_new(const struct listing_column *columns, size_t count)
{
    struct listing *listing = memory_zero(1, sizeof *listing);

    listing->table = scols_new_table();
    assert(listing->table != NULL);
    listing->columns = count;
    (void)scols_table_enable_colors(listing->table, wants_color());
    (void)scols_table_enable_noencoding(listing->table, 1); /* listing_add does it */
    (void)scols_table_set_column_separator(listing->table, "  ");
    for (size_t i = 0; i < count; i++) {
        struct libscols_column *column = scols_table_new_column(
            listing->table, columns[i].name, 0, columns[i].is_number ? SCOLS_FL_RIGHT : 0);
        assert(column != NULL);
        (void)column;
    }
    return listing;
}

void listing_free(struct listing *listing)
{
    if (listing == NULL)
        return;
    scols_unref_table(listing->table);
    free(listing);
}

static const char *cell_text(struct buf *out, struct str cell)
{
    buf_clear(out);
    buf_visible(out, cell);
    buf_char(out, '\0');
    return out->bytes;
}

void listing_add(struct listing *listing, const char *const *cells)
{
    struct buf text = BUF_EMPTY;

    listing->line = scols_table_new_line(listing->table, NULL);
    assert(listing->line != NULL);
    for (size_t i = 0; i < listing->columns; i++)
        (void)scols_line_set_data(listing->line, i, cell_text(&text, str_of(cells[i])));
    buf_fini(&text);
}

void listing_color(struct listing *listing, size_t column, const char *color)
{
    struct libscols_cell *cell = scols_line_get_cell(listing->line, column);
    if (cell != NULL && color != NULL)
        (void)scols_cell_set_color(cell, color);
}

void listing_print(struct listing *listing)
{
    (void)scols_print_table(listing->table);
}
