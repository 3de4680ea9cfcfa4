/* YAML -> a tree that remembers where everything stood.
 *
 * libyaml gives events; all values are texts, so that YAML 1.1's surprises (`no`, `08:30`, `1e3`)
 * do not happen: types come from config/schema.h. Of YAML only maps, lists and texts are allowed:
 * duplicate keys, anchors, aliases, `<<`, tags and a second document are mistakes. */
#pragma once

#include "config/findings.h"

enum yaml_kind { YAML_KIND_TEXT, YAML_KIND_LIST, YAML_KIND_MAP };

enum {
    YAML_DEPTH_MAX = 32,
    YAML_FILE_BYTES_MAX = 4 * 1024 * 1024,
    YAML_NODES_MAX = 200 * 1000 /* of one file */
};

struct yaml_node {
    enum yaml_kind kind;
    const char *file;
    unsigned line; /* from 1; the first character, quotes included */
    unsigned column;
    bool plain;    /* a text without quotes, on one line */
    bool is_clean; /* a text that stands in the file as it is here, so columns can be counted */
    bool is_made;  /* filled in by a default, not written by a person */
    struct str text;
    struct yaml_node *parent;       /* NULL: the root */
    struct yaml_node *key;          /* the key's own text, inside a map; else NULL */
    const struct yaml_node *origin; /* what it was made from: gives the path in messages */
    size_t index;                   /* inside a list */
    struct yaml_node **items;       /* of a list; of a map its values, each with its key */
    size_t count, capacity;
    /* filled by config/check.c */
    bool is_bad;    /* a mistake was found in it: it is not read */
    bool is_later;  /* a choice that is not built yet */
    int64_t whole;  /* bool, whole number, size, span in ms, index of a choice */
    double number;  /* number, percent */
    bool has_words; /* a span in business days or evaluations: not built yet */
};

/* NULL when the text cannot be read to its end; what was found is in `findings`. An empty file is
 * an empty map. `file` is borrowed, everything else is in `arena`. */
struct yaml_node *yaml_read(struct str text, const char *file, struct arena *arena,
                            struct findings *findings);

/* The value of a key of a map; NULL when absent, or when `map` is NULL or no map. */
struct yaml_node *yaml_find(const struct yaml_node *map, struct str key);
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* Whether it is an empty text without quotes, `~` or `null`: a key without a value. */
bool yaml_is_empty(const struct yaml_node *node);

/* "kpis.signups.value", "ingest[0].listen"; empty for the root. */
void yaml_path(const struct yaml_node *node, struct buf *out);

/* Trees that are made, not read; places and paths are those of `origin`. */
struct yaml_node *yaml_make_text(struct arena *arena, struct str text,
                                 const struct yaml_node *origin);
struct yaml_node *yaml_make_map(struct arena *arena, const struct yaml_node *origin);
struct yaml_node *yaml_make_list(struct arena *arena, const struct yaml_node *origin);

/* A second node with the value of `node`, which can stand under another key. */
struct yaml_node *yaml_copy(struct arena *arena, const struct yaml_node *node);

/* Puts `value`, which stands nowhere yet, under a key that is not there yet. */
void yaml_put(struct arena *arena, struct yaml_node *map, const char *key, struct yaml_node *value);
void yaml_append(struct arena *arena, struct yaml_node *list, struct yaml_node *value);

/* Takes a key out of a map; NULL when it is not there. */
struct yaml_node *yaml_remove(struct yaml_node *map, const char *key);
