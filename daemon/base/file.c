#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int file_open(const char *path, const char *what, struct stat *facts, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        (void)error_set_errno(err, "cannot read %s '%s'", what, path);
        return -1;
    }
    bool ok = fstat(fd, facts) == 0 || error_set_errno(err, "cannot look at %s '%s'", what, path);
    ok = ok && (S_ISREG(facts->st_mode) ||
                error_set(err, ERROR_INVALID, "cannot read %s '%s': it is not a regular file", what,
                          path));
    if (ok)
        return fd;
    (void)close(fd);
    return -1;
}

bool file_read(int fd, const char *path, const char *what, size_t max, struct buf *out,
               struct error *err)
{
    char bytes[4096];
    size_t total = 0;

    for (;;) {
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, "cannot read %s '%s'", what, path);
        if (got == 0)
            return true;
        total += (size_t)got;
        if (total > max)
            return error_set(err, ERROR_INVALID, "cannot read %s '%s': it is larger than %zu KiB",
                             what, path, max / 1024);
        buf_append(out, bytes, (size_t)got);
    }
}
