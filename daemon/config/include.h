/* The file and what it includes, as one tree. Maps keyed by id are merged, lists are appended; what
 * stands in two files is a mistake. */
#pragma once

#include <sys/types.h>

#include "config/yaml.h"

enum { INCLUDE_FILES_MAX = 256, INCLUDE_DEPTH_MAX = 8 };

struct source {
    const char *path;
    dev_t device;
    ino_t inode;
};

/* What was read, in that order; in an arena. */
struct sources {
    struct source *files;
    size_t count, capacity;
    uint64_t hash; /* of all contents */
};

/* NULL when the first file cannot be read. */
struct yaml_node *include_read(const char *path, struct arena *arena, struct sources *sources,
                               struct findings *findings);
