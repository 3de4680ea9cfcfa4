/* The listening sockets of the control interface. */
#pragma once

#include "base/error.h"
#include "base/inherited.h"
#include "base/socket_file.h"

struct http_socket {
    int fd;                  /* -1: none; taken by the listener that is made from it */
    char name[200];          /* a path, or an address with its real port */
    struct socket_file file; /* of a Unix socket that we opened ourselves */
};

/* A listening Unix socket, its file with mode 0660. A file that is there is replaced if it is a
 * socket and nobody answers on it. The directory it is in is made if it is not there. An inherited
 * socket with that path is taken instead, and its file stays at the end; others must not be able to
 * open it. */
bool http_socket_open_unix(struct http_socket *out, const char *path, struct inherited *inherited,
                           struct error *err);

/* A listening TCP socket; port 0 takes any. An IPv6 address takes IPv6 alone. An inherited socket
 * with that address is taken as it is instead. */
bool http_socket_open_address(struct http_socket *out, const char *address,
                              struct inherited *inherited, struct error *err);

/* Closes it if it is still open and removes the Unix socket's file if it is still this one. Twice
 * is fine. */
void http_socket_close(struct http_socket *socket);
