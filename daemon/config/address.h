/* Addresses of listeners: "127.0.0.1:8125", "[::1]:8125", "localhost:8125", and paths of Unix
 * sockets. Each has one text that stands for it, however it was written, so that listeners that
 * would be in each other's way are found. */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/* No name but localhost, which is 127.0.0.1, is looked up. */
struct address {
    bool is_v6;
    bool is_local; /* only this machine can reach it */
    uint16_t port; /* 0: any that is free */
    union {
        struct in_addr v4;
        struct in6_addr v6;
    };
};

bool address_parse(struct str text, struct address *out, struct error *err);

/* "127.0.0.1:8125" or "[::1]:8125". `out` takes ADDRESS_TEXT_SIZE bytes; returns it. */
enum { ADDRESS_TEXT_SIZE = INET6_ADDRSTRLEN + 8 };
const char *address_format(const struct address *address, char *out);

/* Whether of two sockets of one kind (UDP, TCP) only one can have its address: they are the same,
 * or one is all of this machine's addresses of IPv4 or IPv6, and their port is not 0. */
bool address_overlaps(const struct address *one, const struct address *other);

/* A path without doubled slashes and without parts that are "."; ".." stays, for what is before it
 * may be a symbolic link. In `arena`. */
const char *address_path(struct str path, struct arena *arena);
