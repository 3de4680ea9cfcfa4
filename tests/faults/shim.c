/* Preloaded between a program and the C library: writes down everything that happens to the data
 * file, in order, and lets the n-th write or sync fail.
 *
 * Environment:
 *   KPID_FAULT_LOG=FILE      the log, a list of records (tests/faults/shim.h)
 *   KPID_FAULT_FAIL=N:HOW    the N-th write or sync of the data file, counted from 1, fails once
 *                            with HOW: eio, enospc, or short (half of the bytes are written)
 *   KPID_FAULT_WHILE=FILE    while FILE is there, all of them fail with what it holds: eio, enospc,
 * or erofs: of a file system that is read-only, so that the data file cannot be opened for writing
 * either. With remount it becomes so just now: what was written to memory cannot be synced.
 *
 * The data file is the one named data.mdb. What the program writes to a file named acks goes into
 * the log too, so that it is known what it had acknowledged when. One thread at a time writes to
 * either (LMDB's writer), so nothing is locked here. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FD_MAX = 1024, LOG_MODE = 0600 };

enum tracked { TRACKED_NOT, TRACKED_DATA, TRACKED_DATA_SYNC, TRACKED_ACKS };

static unsigned char tracked[FD_MAX];
static int log_fd = -1;
static long countdown; /* until the operation that fails; 0: none does */
static char how[16];
static const char *while_path;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("KPID_FAULT_LOG");
    const char *fail = getenv("KPID_FAULT_FAIL");
    char *end = NULL;

    while_path = getenv("KPID_FAULT_WHILE");

    if (path != NULL)
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                              LOG_MODE);
    if (fail == NULL)
        return;
    countdown = strtol(fail, &end, 10);
    if (*end == ':')
        (void)snprintf(how, sizeof how, "%s", end + 1);
}

static void put(const void *bytes, size_t length)
{
    if (log_fd >= 0 && syscall(SYS_write, log_fd, bytes, length) != (long)length)
        abort();
}

static void note(enum shim_what what, off_t offset, const void *bytes, size_t length)
{
    const struct shim_record record = {what, (uint64_t)offset, length};
    put(&record, sizeof record);
    if (bytes != NULL)
        put(bytes, length);
}

static enum tracked tracked_of(int fd)
{
    return fd >= 0 && fd < FD_MAX ? (enum tracked)tracked[fd] : TRACKED_NOT;
}

static bool is_data(int fd)
{
    return tracked_of(fd) == TRACKED_DATA || tracked_of(fd) == TRACKED_DATA_SYNC;
}

enum deed { DEED_WRITE, DEED_SYNC, DEED_OPEN };

/* The error that such a deed fails with now, as all of its kind; 0: none. */
static int fails_with(enum deed deed)
{
    char text[8] = "";

    int fd = while_path == NULL
                 ? -1
                 : (int)syscall(SYS_openat, AT_FDCWD, while_path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    (void)syscall(SYS_read, fd, text, sizeof text - 1);
    (void)syscall(SYS_close, fd);
    if (strncmp(text, "remount", 7) == 0 && deed == DEED_WRITE)
        return 0;
    if (strncmp(text, "erofs", 5) == 0 || strncmp(text, "remount", 7) == 0)
        return EROFS;
    if (deed == DEED_OPEN)
        return 0;
    return strncmp(text, "enospc", 6) == 0 ? ENOSPC : EIO;
}

/* Whether this operation fails; sets errno. A short write is the caller's. */
static bool fails(enum deed deed, bool *is_short)
{
    int error = fails_with(deed);

    *is_short = false;
    if (error != 0) {
        errno = error;
        return true;
    }
    if (countdown == 0 || --countdown > 0)
        return false;
    *is_short = strcmp(how, "short") == 0;
    errno = strcmp(how, "enospc") == 0 ? ENOSPC : EIO;
    return true;
}

static bool ends_with(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash == NULL ? path : slash + 1, name) == 0;
}

static int opened(int fd, const char *path, int flags)
{
    if (fd < 0 || fd >= FD_MAX)
        return fd;
    tracked[fd] = TRACKED_NOT;
    if (ends_with(path, "data.mdb"))
        tracked[fd] = (flags & O_DSYNC) != 0 ? TRACKED_DATA_SYNC : TRACKED_DATA;
    else if (ends_with(path, "acks"))
        tracked[fd] = TRACKED_ACKS;
    return fd;
}

static int open_as(const char *path, int flags, int mode)
{
    if ((flags & O_ACCMODE) != O_RDONLY && ends_with(path, "data.mdb") &&
        fails_with(DEED_OPEN) == EROFS) {
        errno = EROFS;
        return -1;
    }
    return opened((int)syscall(SYS_openat, AT_FDCWD, path, flags, mode), path, flags);
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    return open_as(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, int) : 0;
    va_end(arguments);
    return open_as(path, flags, mode);
}

int access(const char *path, int how_to)
{
    if ((how_to & W_OK) != 0 && ends_with(path, "data.mdb") && fails_with(DEED_OPEN) == EROFS) {
        errno = EROFS;
        return -1;
    }
    return (int)syscall(SYS_faccessat, AT_FDCWD, path, how_to);
}

int close(int fd)
{
    if (fd >= 0 && fd < FD_MAX)
        tracked[fd] = TRACKED_NOT;
    return (int)syscall(SYS_close, fd);
}

static ssize_t write_data(int fd, const void *bytes, size_t length, off_t offset)
{
    bool is_short = false;

    if (fails(DEED_WRITE, &is_short)) {
        if (!is_short)
            return -1;
        length /= 2;
    }
    ssize_t written = syscall(SYS_pwrite64, fd, bytes, length, offset);
    if (written > 0)
        note(tracked_of(fd) == TRACKED_DATA_SYNC ? SHIM_WRITE_SYNC : SHIM_WRITE, offset, bytes,
             (size_t)written);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
    if (is_data(fd))
        return write_data(fd, bytes, length, offset);
    return syscall(SYS_pwrite64, fd, bytes, length, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset)
{
    return pwrite(fd, bytes, length, offset);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    ssize_t written = syscall(SYS_write, fd, bytes, length);
    if (written > 0 && tracked_of(fd) == TRACKED_ACKS)
        note(SHIM_ACKS, 0, bytes, (size_t)written);
    return written;
}

/* LMDB seeks, then writes several pages at once. */
ssize_t writev(int fd, const struct iovec *parts, int count)
{
    ssize_t total = 0;

    if (!is_data(fd))
        return syscall(SYS_writev, fd, parts, count);
    off_t offset = lseek(fd, 0, SEEK_CUR);
    for (int i = 0; i < count; i++) {
        ssize_t written = write_data(fd, parts[i].iov_base, parts[i].iov_len, offset + total);
        if (written < 0)
            return total > 0 ? total : -1;
        total += written;
        if ((size_t)written < parts[i].iov_len)
            break;
    }
    (void)lseek(fd, offset + total, SEEK_SET);
    return total;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    ssize_t total = 0;

    if (!is_data(fd))
        return syscall(SYS_pwritev, fd, parts, count, (long)offset, 0L);
    for (int i = 0; i < count; i++) {
        ssize_t written = write_data(fd, parts[i].iov_base, parts[i].iov_len, offset + total);
        if (written < 0)
            return total > 0 ? total : -1;
        total += written;
        if ((size_t)written < parts[i].iov_len)
            break;
    }
    return total;
}

static int sync_data(long number, int fd)
{
    bool is_short = false;

    if (is_data(fd) && fails(DEED_SYNC, &is_short)) {
        errno = EIO; /* what a sync can say */
        return -1;
    }
    int rc = (int)syscall(number, fd);
    if (rc == 0 && is_data(fd))
        note(SHIM_SYNC, 0, NULL, 0);
    return rc;
}

int fdatasync(int fd)
{
    return sync_data(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return sync_data(SYS_fsync, fd);
}

int ftruncate(int fd, off_t length)
{
    int rc = (int)syscall(SYS_ftruncate, fd, length);
    if (rc == 0 && is_data(fd))
        note(SHIM_TRUNCATE, length, NULL, 0);
    return rc;
}

int ftruncate64(int fd, off64_t length)
{
    return ftruncate(fd, length);
}
