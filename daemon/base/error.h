/* What went wrong, in words.
 *
 * A function that can fail returns bool and takes `struct error *err` last. `err` is never NULL and
 * is written only on failure. The text is one line, lower case, without a full stop: what could not
 * be done, to what (in single quotes), and why. Who handles the error logs or prints it, once. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

enum error_kind {
    ERROR_NONE,
    ERROR_INVALID,     /* the request or the input is wrong */
    ERROR_NOT_FOUND,   /* no such thing */
    ERROR_DENIED,      /* not allowed */
    ERROR_CONFLICT,    /* it contradicts what is there */
    ERROR_FULL,        /* a limit or the disk is full; later it may work */
    ERROR_UNAVAILABLE, /* cannot be done now; later it may work */
    ERROR_CORRUPT,     /* stored bytes are not what they should be */
    ERROR_SYSTEM,      /* the operating system or a library said no */
};

struct error {
    enum error_kind kind;
    char text[512];
    char hint[256]; /* what to do about it; empty if there is nothing to say */
};

#define ERROR_EMPTY                                                                                \
    {                                                                                              \
        ERROR_NONE, "", ""                                                                         \
    }

/* All return false, so that `return error_set(...)` reads well. */
__attribute__((format(printf, 3, 4))) bool error_set(struct error *err, enum error_kind kind,
                                                     const char *format, ...);

/* Adds ": " and the words for errno; ENOSPC and EDQUOT become ERROR_FULL, EACCES and EPERM
 * ERROR_DENIED, ENOENT ERROR_NOT_FOUND, the others ERROR_SYSTEM. */
__attribute__((format(printf, 2, 3))) bool error_set_errno(struct error *err, const char *format,
                                                           ...);

__attribute__((format(printf, 2, 3))) bool error_hint(struct error *err, const char *format, ...);

/* "invalid", "not_found", ...: the kind as the HTTP interface names it. */
const char *error_kind_name(enum error_kind kind);

/* The words for `errnum`, in `out`; returns `out`. */
const char *error_errno_words(int errnum, char *out, unsigned long size);
