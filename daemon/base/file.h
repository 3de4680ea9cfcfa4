/* Small files that a configuration names: secrets, certificates.
 *
 * Whatever stands at the path, it is not waited for: a FIFO, a device or a directory is an error.
 * The file is looked at where it is open, so that nobody can put another one in its place in
 * between. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

struct stat;

/* Opens a regular file for reading, and what fstat says of it; -1 with words. `what` names it in
 * them, as "certificate". */
int file_open(const char *path, const char *what, struct stat *facts, struct error *err);

/* Appends all of it to `out`; more than `max` bytes are an error. */
bool file_read(int fd, const char *path, const char *what, size_t max, struct buf *out,
               struct error *err);
