/* The canonical name of a series: kind, metric and sorted labels.
 *
 *   key  = kind (1 byte, enum metric_kind) metric 0x00 { name 0x01 value 0x00 }
 *   labels sorted by the bytes of their names; names are unique
 *
 * The key's XXH3-128 with seed 0 is the series' name at the interfaces of the store and the network
 * (tests/unit/series/golden_keys.txt pins it). */
#pragma once

#include "base/buf.h"
#include "series/sample.h"

enum { METRIC_NAME_MAX = 1024, LABELS_MAX = 64, LABEL_BYTES_MAX = 4096 };

struct series_hash {
    uint64_t high;
    uint64_t low;
};

struct label {
    struct str name;
    struct str value;
};

/* Reads tags of a style into `out` (at most LABELS_MAX): false when they cannot be read, are not
 * UTF-8, hold 0x00 or 0x01 (but as the signs of TAGS_KEY), an empty name, or the same name with two
 * values; the same pair twice counts once. Of TAGS_COLON a tag without a colon has the value "true"
 * (D7), and one whose value is empty is no label. Labels come back sorted. */
bool labels_parse(struct str tags, enum tag_style style, struct label *out, size_t *count);

/* Whether a metric may be called so: 1 to METRIC_NAME_MAX bytes, no control characters of ASCII. */
bool metric_name_is_valid(struct str name);

/* Whether new samples of it are taken: valid, without the other control characters (U+0080 to
 * U+009F) and UTF-8, or nobody could ask for them. Stores of earlier versions have names and labels
 * that are not. */
bool metric_name_is_storable(struct str name);

/* The same of what is known to be UTF-8. */
bool metric_name_is_clean(struct str name);

/* Writes the key over what `out` held. `labels` are sorted and unique (labels_parse). */
void series_key_write(struct buf *out, enum metric_kind kind, struct str metric,
                      const struct label *labels, size_t count);

struct series_hash series_key_hash(struct str key);
bool series_hash_equal(struct series_hash a, struct series_hash b);

enum metric_kind series_key_kind(struct str key);
struct str series_key_metric(struct str key);

/* Whether the key has the label; its value goes to `out`. */
bool series_key_label(struct str key, struct str name, struct str *out);

/* The labels one by one: `*at` starts at 0. False at the end. */
bool series_key_next_label(struct str key, size_t *at, struct label *out);

/* Checks the form of a key that comes from outside or from disk. */
bool series_key_is_valid(struct str key);

/* Whether a name may have the byte without quotes in a selector (kpi/scanner.h). */
static inline bool series_key_is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-' || c == ':' || (unsigned char)c >= 0x80;
}

/* For people: metric{name="value",...}, a selector of the series. Names that are not bare are in
 * quotes; in quotes \", \\, \n, \r, \t and \xNN stand for what cannot be shown, is hidden (so that
 * two names that differ look so) or is not UTF-8. */
void series_key_format(struct buf *out, struct str key);

/* The same of the name of a metric or label. */
void series_key_format_name(struct buf *out, struct str name);
