/* Attributes of OpenTelemetry, as protobuf has them, to the labels that a series key takes (O8). No
 * I/O; one thread. Texts are borrowed from the bytes, or are in the struct.
 *
 * Texts stay as they are; booleans, integers and doubles are written as JSON has them, lists and
 * maps are JSON, bytes are base64. An attribute without a value, or with an empty one, is none. */
#pragma once

#include "series/ledger.h"
#include "series/series_key.h"

enum { OTLP_VALUE_DEPTH_MAX = 4 }; /* lists and maps within each other */

struct otlp_labels {
    struct label labels[LABELS_MAX];
    size_t count;
    size_t bytes;
    bool is_unsorted;
    enum reject_reason wrong; /* why what has them cannot be stored; REJECT_NONE */
    const char *words;
    size_t text_len;
    char text[LABEL_BYTES_MAX]; /* of values that did not come as a text */
};

void otlp_labels_begin(struct otlp_labels *labels);

/* A KeyValue; false when these are no bytes of one. */
bool otlp_labels_take(struct otlp_labels *labels, struct str key_value);

/* The key of a KeyValue; empty when there is none. */
struct str otlp_labels_key_of(struct str key_value);

/* The texts are borrowed. */
void otlp_labels_add(struct otlp_labels *labels, struct str name, struct str value);

/* After the last one: sorts. The same pair twice counts once. */
void otlp_labels_end(struct otlp_labels *labels);

void otlp_labels_remove(struct otlp_labels *labels, const char *name);
bool otlp_labels_have(const struct otlp_labels *labels, const char *name);

/* Adds those of `base`, where `labels` has none of the name: both have ended. */
void otlp_labels_join(struct otlp_labels *labels, const struct otlp_labels *base);
