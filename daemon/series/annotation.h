/* Something that happened and that people want to see beside the figures: an event of DogStatsD
 * (D10), a service check that is not well (D11), a note of somebody's.
 *
 * It is no figure: what it says is text from outside. */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"

/* Stored: append only. */
enum annotation_kind {
    ANNOTATION_INFO,
    ANNOTATION_SUCCESS,
    ANNOTATION_WARNING,
    ANNOTATION_ERROR,
    ANNOTATION_KIND_COUNT,
};

enum {
    ANNOTATION_TITLE_MAX = 1024, /* bytes; what is longer is cut, and ends with "..." */
    ANNOTATION_TEXT_MAX = 8192,
    ANNOTATION_WORD_MAX = 256, /* host, key and source */
};

struct annotation {
    wall_ms at;
    enum annotation_kind kind;
    bool is_low;       /* of low priority */
    struct str title;  /* never empty */
    struct str text;   /* may hold newlines */
    struct str host;   /* the next ones are empty where the sender does not say */
    struct str key;    /* those with the same one are about the same thing */
    struct str source; /* what sent it, as "jenkins" */
    struct str tags; /* "k:v,k2:v2", as DogStatsD has them (TAGS_COLON), at most LABEL_BYTES_MAX */
};

const char *annotation_kind_name(enum annotation_kind kind); /* "info", "success", ... */
bool annotation_kind_parse(struct str name, enum annotation_kind *out);

/* The text, or as much of it as `max` bytes take with "..." behind; a character of UTF-8 is not
 * split. A NUL becomes a blank. In the arena. */
struct str annotation_cut(struct arena *arena, struct str text, size_t max);

/* A copy in the arena that keeps the limits: texts are cut, tags too long are left out. */
struct annotation annotation_copy(struct arena *arena, const struct annotation *annotation);
