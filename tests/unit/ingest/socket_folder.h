/* Paths of sockets in a folder of this program's own: a group's setup and teardown. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64];

static inline int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/kpid-sockets-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder); /* every socket's file has gone with its listener */
}

/* Good until the fourth one after it. */
static inline const char *path_of(const char *name)
{
    static char paths[4][108];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}
