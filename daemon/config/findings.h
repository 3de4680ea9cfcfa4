/* What reading a configuration found: mistakes and warnings, each with its place and its key.
 *
 * All of them are collected in one run, at most FINDINGS_MAX; the rest is counted. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

struct yaml_node;

enum finding_severity { FINDING_ERROR, FINDING_WARNING };

struct finding {
    enum finding_severity severity;
    const char *file;
    unsigned line; /* from 1; 0: the whole file */
    unsigned column;
    const char *key;  /* "kpis.signups.value"; empty when it belongs to no key */
    const char *text; /* what is wrong */
    const char *hint; /* NULL without */
};

enum { FINDINGS_MAX = 1000 };

/* What reading found, in the order of files and lines. */
struct findings {
    struct arena arena;
    struct finding *items;
    size_t count, capacity;
    size_t errors; /* counted beyond FINDINGS_MAX too */
    bool dropped;  /* the newest one was beyond FINDINGS_MAX */
};

#define FINDINGS_EMPTY                                                                             \
    {                                                                                              \
        ARENA_EMPTY, NULL, 0, 0, 0, false                                                          \
    }

void findings_fini(struct findings *findings);

/* "kpis.yaml:12:14: error: kpis.signups.value: unknown function 'summ'" and "  hint: did you mean
 * 'sum'?", each as a line. */
void finding_format(const struct finding *finding, struct buf *out);

struct place {
    const char *file;
    unsigned line;
    unsigned column;
};

/* All return false, so that `return finding_error(...)` reads well. `key` is copied. */
__attribute__((format(printf, 5, 6))) bool finding_add(struct findings *findings,
                                                       enum finding_severity severity,
                                                       struct place place, const char *key,
                                                       const char *format, ...);

/* At a node of the tree: its place and its path ("kpis.signups.value"). */
__attribute__((format(printf, 3, 4))) bool finding_error(struct findings *findings,
                                                         const struct yaml_node *at,
                                                         const char *format, ...);
__attribute__((format(printf, 3, 4))) bool finding_warning(struct findings *findings,
                                                           const struct yaml_node *at,
                                                           const char *format, ...);

/* The same at the key of a node, for what is said of the object as a whole. */
__attribute__((format(printf, 3, 4))) bool finding_error_key(struct findings *findings,
                                                             const struct yaml_node *at,
                                                             const char *format, ...);
__attribute__((format(printf, 3, 4))) bool finding_warning_key(struct findings *findings,
                                                               const struct yaml_node *at,
                                                               const char *format, ...);

/* Adds a hint to the newest finding. */
__attribute__((format(printf, 2, 3))) bool finding_hint(struct findings *findings,
                                                        const char *format, ...);

/* In the order of `files` (as they were read), lines and columns. */
void findings_sort(struct findings *findings, const char *const *files, size_t file_count);
