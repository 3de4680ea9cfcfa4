/* A small but complete life of a store: batches of samples over half a day, each acknowledged, with
 * late ones among them, while the background work folds, combines and builds days. Everything
 * follows from the number of a batch, so that what has to be in a store can be told from how many
 * batches it holds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { WORKLOAD_SERIES = 24 };

struct workload_options {
    const char *path;
    uint64_t batches;
    int acks_fd;       /* gets a line for each batch that is stored */
    uint64_t attempts; /* of a commit that fails */
};

/* Goes on after the last batch that the store holds. False when a batch could not be stored in so
 * many attempts. */
bool workload_run(const struct workload_options *options);

/* Opens the store and compares it with what so many batches leave: at least `acknowledged` of them
 * and at most `sent`, each whole and once. Also that every structure is sound. Says what is wrong
 * on standard error. */
bool workload_check(const char *path, uint64_t acknowledged, uint64_t sent);
