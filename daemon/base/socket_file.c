#include "base/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

bool socket_file_address(const char *path, struct sockaddr_un *out, struct error *err)
{
    size_t len = strlen(path);

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len == 0 || len >= sizeof out->sun_path)
        return error_set(err, ERROR_INVALID, "the socket path '%s' is %s", path,
                         len == 0 ? "empty" : "longer than 107 bytes");
    memcpy(out->sun_path, path, len);
    return true;
}

/* What connect says of it; 0: somebody takes connections. */
static int try_to_connect(const struct sockaddr_un *address, int type)
{
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    int why = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ? 0 : errno;
    (void)close(fd);
    return why;
}

/* Whether the path is free, or was left behind by a process that is gone; then it is removed. */
static bool clear_path(const struct sockaddr_un *address, int type, struct error *err)
{
    const char *path = address->sun_path;
    struct stat status;

    if (lstat(path, &status) != 0)
        return errno == ENOENT || error_set_errno(err, "cannot look at '%s'", path);
    if (!S_ISSOCK(status.st_mode))
        return error_set(err, ERROR_CONFLICT, "cannot listen on '%s': the file is no socket", path);
    int why = try_to_connect(address, type);
    if (why == ENOENT)
        return true;
    if (why == ECONNREFUSED) {
        if (unlink(path) == 0 || errno == ENOENT)
            return true;
        return error_set_errno(err, "cannot remove the stale socket '%s'", path);
    }
    /* One of the other type that lives answers with EPROTOTYPE, a full backlog with EAGAIN. */
    if (why == 0 || why == EPROTOTYPE || why == EAGAIN) {
        (void)error_set(err, ERROR_CONFLICT, "cannot listen on '%s': somebody answers there", path);
        return error_hint(err, "is another kpid running? 'ss -lxp' shows who has the socket");
    }
    errno = why;
    return error_set_errno(err, "cannot find out who has the socket '%s'", path);
}

/* Opens what is on the path, whatever it is, without following a link and without any right to it:
 * what is asked of it and done to it then is of one and the same file. */
static int open_any(const char *path, struct stat *out, struct error *err)
{
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0 && fstat(fd, out) == 0)
        return fd;
    (void)error_set_errno(err, "cannot look at '%s'", path);
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static bool is_same(const struct socket_file *file, const struct stat *status)
{
    return S_ISSOCK(status->st_mode) && status->st_dev == file->device &&
           status->st_ino == file->inode;
}

/* Remembers which file bind has made. Who may write to the folder may have been faster and put
 * another one there; that is not taken for ours unless it could be, a socket of our own user that
 * lets no more people in. */
static bool find_bound(struct socket_file *out, const char *path, unsigned mode, struct error *err)
{
    struct stat status;
    int fd = open_any(path, &status, err);

    if (fd < 0)
        return false;
    (void)close(fd);
    if (!S_ISSOCK(status.st_mode) || status.st_uid != geteuid() ||
        (status.st_mode & 07777 & ~mode) != 0)
        return error_set(err, ERROR_CONFLICT,
                         "cannot listen on '%s': somebody has replaced the socket", path);
    (void)snprintf(out->path, sizeof out->path, "%s", path);
    out->device = status.st_dev;
    out->inode = status.st_ino;
    return true;
}

bool socket_file_bind(struct socket_file *out, int fd, int type, const char *path, unsigned mode,
                      struct error *err)
{
    struct sockaddr_un address;

    *out = (struct socket_file){0};
    if (!socket_file_address(path, &address, err) || !clear_path(&address, type, err))
        return false;
    /* bind gives the file the socket's mode less the umask: never more than asked for, not even for
     * a moment. What the umask took is added after it. */
    if (fchmod(fd, mode) != 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return error_set_errno(err, "cannot listen on '%s'", path);
    return find_bound(out, path, mode, err) && socket_file_set_mode(out, mode, err);
}

bool socket_file_is_there(const struct socket_file *file)
{
    struct stat status;

    return file->path[0] == '\0' || (lstat(file->path, &status) == 0 && is_same(file, &status));
}

/* No call changes the mode of a file that was opened without rights, but its name in /proc leads to
 * just that file. */
static bool change_mode(int fd, const char *path, unsigned mode, struct error *err)
{
    char name[32];

    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (chmod(name, mode) == 0)
        return true;
    bool has_proc = errno != ENOENT;
    (void)error_set_errno(err, "cannot set the mode of '%s'", path);
    if (!has_proc)
        (void)error_hint(err, "it takes /proc, which is not there");
    return false;
}

bool socket_file_set_mode(const struct socket_file *file, unsigned mode, struct error *err)
{
    struct stat status;

    if (file->path[0] == '\0')
        return true;
    int fd = open_any(file->path, &status, err);
    if (fd < 0)
        return false;
    bool ok = is_same(file, &status);
    if (!ok)
        (void)error_set(err, ERROR_CONFLICT, "cannot set the mode of '%s': it is another file now",
                        file->path);
    else if ((status.st_mode & 07777) != mode)
        ok = change_mode(fd, file->path, mode, err);
    (void)close(fd);
    return ok;
}

bool socket_file_swap(struct socket_file *one, struct socket_file *other, struct error *err)
{
    char path[sizeof one->path];

    if (renameat2(AT_FDCWD, one->path, AT_FDCWD, other->path, RENAME_EXCHANGE) != 0)
        return error_set_errno(err, "cannot replace the socket '%s'", other->path);
    memcpy(path, one->path, sizeof path);
    memcpy(one->path, other->path, sizeof path);
    memcpy(other->path, path, sizeof path);
    return true;
}

void socket_file_remove(struct socket_file *file)
{
    if (file->path[0] != '\0' && socket_file_is_there(file))
        (void)unlink(file->path);
    *file = (struct socket_file){0};
}

/* Who may write to a socket's file may connect to it, unix(7). */
bool socket_file_check_mode(const char *path, unsigned mode, struct error *err)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return errno == ENOENT || error_set_errno(err, "cannot look at '%s'", path);
    if ((status.st_mode & 0222 & ~mode) == 0)
        return true;
    return error_set(err, ERROR_DENIED,
                     "the socket '%s' was opened with the mode %04o, more than %04o", path,
                     status.st_mode & 07777, mode);
}
