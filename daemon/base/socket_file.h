/* The file of a listening Unix socket.
 *
 * Whoever may write to its folder may put another file or a link in its place at any moment. So
 * whatever is done here is done to the file that was made and to no other, and no link is followed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "base/error.h"

/* Zero: there is none, or it is not ours. */
struct socket_file {
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path]; /* where it is now; empty: none */
    uint64_t device;
    uint64_t inode; /* nobody else's while the socket is open */
};

/* The address of a path of 1 to 107 bytes. */
bool socket_file_address(const char *path, struct sockaddr_un *out, struct error *err);

/* Binds a Unix socket of the given type (SOCK_STREAM, SOCK_DGRAM): its file has `mode` afterwards
 * whatever the umask is, and no more than that at any moment. A file that is there is replaced if
 * it is a socket that nobody answers on; else it is ERROR_CONFLICT. `*out` is the new file, also
 * after a failure, for socket_file_remove. `fd` stays the caller's. */
bool socket_file_bind(struct socket_file *out, int fd, int type, const char *path, unsigned mode,
                      struct error *err);

/* Whether it is still where it was made; also true of none. */
bool socket_file_is_there(const struct socket_file *file);

/* An error if something else is on its path now; true of none. It takes /proc. */
bool socket_file_set_mode(const struct socket_file *file, unsigned mode, struct error *err);

/* Swaps what is on the two paths at once: there is always one of them on either. */
bool socket_file_swap(struct socket_file *one, struct socket_file *other, struct error *err);

/* Removes it if it is still there; then it is none. */
void socket_file_remove(struct socket_file *file);

/* Whether the file of a socket that somebody else has opened for us lets no more people in than
 * `mode` would. True of a file that is not there: it lets nobody in. */
bool socket_file_check_mode(const char *path, unsigned mode, struct error *err);
