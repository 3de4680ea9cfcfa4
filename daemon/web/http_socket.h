/* The listening sockets of the control interface. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

struct http_socket {
    int fd;         /* -1: none; taken by the listener that is made from it */
    char name[200]; /* a path, or an address with its real port */
    dev_t device;   /* of the Unix socket's file, to remove it and no other */
    ino_t inode;
};

/* A listening Unix socket, its file with mode 0660. A file that is there is replaced if it is a
 * socket and nobody answers on it. The directory it is in is made if it is not there. */
bool http_socket_open_unix(struct http_socket *out, const char *path, struct error *err);

/* A listening TCP socket; port 0 takes any. An IPv6 address takes IPv6 alone. */
bool http_socket_open_address(struct http_socket *out, const char *address, struct error *err);

/* Closes it if it is still open and removes the Unix socket's file if it is still this one. Twice
 * is fine. */
void http_socket_close(struct http_socket *socket);
