/* A sample as people write it: NAME=VALUE [LABEL=VALUE...]. Pure. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { PUSH_WORDS_MAX = 80 };

struct push_label {
    struct str name, value;
};

/* Borrows from what it was read from. */
struct push_sample {
    struct str name, value;
    struct push_label labels[PUSH_WORDS_MAX];
    size_t label_count;
};

/* From its words, at least one and at most PUSH_WORDS_MAX. False for one that is not of the form
 * NAME=VALUE or not UTF-8, and for a label that stands twice. */
bool push_sample_of_words(const struct str *words, size_t count, struct push_sample *out,
                          struct error *err);

/* From a line without its end, whose words stand between blanks and tabs. */
bool push_sample_of_line(struct str line, struct push_sample *out, struct error *err);

/* Whether a line says nothing: it is blank, or begins with "#". */
bool push_line_is_silent(struct str line);

/* A time as the API reads it, in milliseconds since 1970. `*has_offset`: it ends with one, or with
 * "Z"; else it was read as one of UTC. */
bool push_time_parse(struct str text, int64_t *out, bool *has_offset);
