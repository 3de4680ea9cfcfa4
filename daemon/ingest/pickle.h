/* Graphite's pickle protocol: rules G9 and G10 of wire-formats.md.
 *
 * A frame is a Python pickle, protocol 0 to 5, of a list of (path, (time, value)). What is
 * interpreted are lists, tuples, texts, numbers and the memo; whatever would name or call something
 * refuses the whole frame, and so does what is cut off, has too many items, or leaves no list. In a
 * list (or a tuple) that can be read a bad item is rejected alone.
 *
 * Nothing here recurses. Memory is bounded by the limits in the source and used again for each
 * frame; texts point into the frame, or into this memory where Python escapes them. One thread. */
#pragma once

#include "ingest/graphite.h"

struct pickle;

struct pickle *pickle_new(void);
void pickle_free(struct pickle *pickle); /* NULL is fine */

/* Reads a frame without its length. False: it is refused, `why` says for what. */
bool pickle_load(struct pickle *pickle, struct str frame, enum reject_reason *why);

/* Items of the list that was loaded. */
size_t pickle_count(const struct pickle *pickle);

/* One item, as graphite_parse gives a line. `out->name` is the path's, or empty where there is
 * none. A value that was sent as a number has no text: out->text.text is NULL. */
enum graphite_result pickle_point(const struct pickle *pickle, size_t i, struct sample *out,
                                  struct ledger *ledger, enum reject_reason *why);

/* Forgets what was loaded, and what memory a large frame took. */
void pickle_clear(struct pickle *pickle);
