/* Rules that turn dotted names into names and labels, or drop them: the first one that matches a
 * name counts.
 *
 *   match   parts between dots: a text, * for any one part, ** for one part or more; in a part a
 *           text may stand beside one *, as in "host*"
 *   name    what the metric is called then; $1 to $9 are what the first to the ninth star stood for
 *   labels  added to the labels that were sent; one that was sent already stays as it was sent
 *
 * Compiled once, then read by any thread. Shards and batches ask once for each new key, so that a
 * known one costs nothing. What labels say is never changed. */
#pragma once

#include "base/error.h"
#include "series/series_key.h"

enum { MAPPING_RULES_MAX = 1000, MAPPING_STARS_MAX = 9, MAPPING_PARTS_MAX = 64 };

struct mapping_rule {
    const char *match;
    const char *name;           /* NULL: as sent */
    const struct label *labels; /* values with $1 to $9 */
    size_t label_count;         /* at most LABELS_MAX */
    bool drop;                  /* and nothing else */
};

struct mapping;

/* Whether a rule can be compiled; `err` says what is wrong with it. */
bool mapping_check(const struct mapping_rule *rule, struct error *err);

/* `rules` are checked and borrowed; NULL when there are none. */
struct mapping *mapping_new(const struct mapping_rule *rules, size_t count);
void mapping_free(struct mapping *mapping); /* NULL is fine */

/* What becomes of a name: room for all of it, made by its caller and good for one name at a time.
 */
struct mapped {
    struct str name;
    struct label labels[LABELS_MAX]; /* sorted by name, unique */
    size_t label_count;
    char text[METRIC_NAME_MAX + LABEL_BYTES_MAX];
};

enum mapping_verdict {
    MAPPING_NONE,    /* no rule matches: everything stays as it was sent */
    MAPPING_MAPPED,  /* `out` has it */
    MAPPING_DROPPED, /* nobody wants it */
    MAPPING_TOO_BIG, /* the name or the labels would be longer than they may be */
};

/* `labels` are sorted and unique; `out` borrows them, and `name`. `mapping` may be NULL. */
enum mapping_verdict mapping_apply(const struct mapping *mapping, struct str name,
                                   const struct label *labels, size_t count, struct mapped *out);
