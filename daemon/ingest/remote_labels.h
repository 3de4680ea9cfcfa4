/* The labels of one series of Prometheus as it names them, in any order, to the name and the labels
 * that a series key takes (P13, P14, P18). No I/O, no allocation; texts are borrowed. */
#pragma once

#include "series/ledger.h"
#include "series/series_key.h"

/* What may be done with a text, found out once for each symbol. */
enum remote_text {
    REMOTE_TEXT_PLAIN,   /* UTF-8 without 0x00 and 0x01 */
    REMOTE_TEXT_FOREIGN, /* such as no label may hold */
};

enum remote_text remote_text_of(struct str text);

struct remote_labels {
    struct str name; /* __name__; empty when there is none */
    struct label labels[LABELS_MAX];
    size_t count;
    size_t bytes;
    bool is_unsorted;
    enum reject_reason wrong; /* why its samples cannot be stored; REJECT_NONE */
    const char *words;
    char le[STR_DOUBLE_SIZE];
};

void remote_labels_begin(struct remote_labels *labels);

/* Both texts are REMOTE_TEXT_PLAIN, or `is_foreign`. */
void remote_labels_add(struct remote_labels *labels, struct str name, struct str value,
                       bool is_foreign);

/* The first mistake stays. */
void remote_labels_refuse(struct remote_labels *labels, enum reject_reason reason,
                          const char *words);

/* After the last one: sorts, and finds what only all together show. */
void remote_labels_end(struct remote_labels *labels);
