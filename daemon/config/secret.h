/* Secrets: never in the configuration, always in a file, an environment variable or a credential of
 * systemd. */
#pragma once

#include "base/arena.h"
#include "base/error.h"

enum secret_source { SECRET_FILE, SECRET_ENV, SECRET_CREDENTIAL };

enum { SECRET_BYTES_MAX = 64 * 1024, SECRET_LINES_BYTES_MAX = 256 * 1024 };

/* Whether the secret itself was written where the name of its source belongs. Such a text is never
 * quoted. */
bool secret_is_pasted(struct str name);

/* Whether the file of a secret may be used: a regular one that others than its owner and the
 * daemon's group cannot read. */
bool secret_check_file(const char *path, struct error *err);

/* As secret_read, of what may have many lines. */
bool secret_read_lines(enum secret_source source, struct str name, struct arena *arena,
                       struct str *out, struct error *err);

/* Reads a secret into `arena`; one newline at its end is left out. A file (and a credential, which
 * is a file in $CREDENTIALS_DIRECTORY) is refused if others than its owner and the daemon's group
 * can read it, if it is no regular file, empty or too long. The error never quotes the secret. */
bool secret_read(enum secret_source source, struct str name, struct arena *arena, struct str *out,
                 struct error *err);
