#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *err, enum error_kind kind, const char *format, ...)
{
    va_list args;

    err->kind = kind;
    err->hint[0] = '\0';
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return false;
}

const char *error_errno_words(int errnum, char *out, unsigned long size)
{
    const char *words = strerrordesc_np(errnum);

    (void)snprintf(out, size, "%s", words != NULL ? words : "unknown error");
    return out;
}

static enum error_kind kind_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return ERROR_FULL;
    case EACCES:
    case EPERM:
        return ERROR_DENIED;
    case ENOENT:
        return ERROR_NOT_FOUND;
    default:
        return ERROR_SYSTEM;
    }
}

bool error_set_errno(struct error *err, const char *format, ...)
{
    int saved = errno;
    char what[400];
    char words[100];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return error_set(err, kind_of_errno(saved), "%s: %s", what,
                     error_errno_words(saved, words, sizeof words));
}

bool error_hint(struct error *err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(err->hint, sizeof err->hint, format, args);
    va_end(args);
    return false;
}

const char *error_kind_name(enum error_kind kind)
{
    switch (kind) {
    case ERROR_NONE:
        return "none";
    case ERROR_INVALID:
        return "invalid";
    case ERROR_NOT_FOUND:
        return "not_found";
    case ERROR_DENIED:
        return "denied";
    case ERROR_CONFLICT:
        return "conflict";
    case ERROR_FULL:
        return "full";
    case ERROR_UNAVAILABLE:
        return "unavailable";
    case ERROR_CORRUPT:
        return "corrupt";
    case ERROR_SYSTEM:
        return "system";
    }
    return "unknown";
}
