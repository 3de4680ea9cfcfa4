/* A Unix socket's path in a folder of its own: a group's setup and teardown. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char socket_path[64];

static int make_path(void **state)
{
    char folder[] = "/tmp/kpid-stream-XXXXXX";
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(socket_path, sizeof socket_path, "%s/s", folder);
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    *strrchr(socket_path, '/') = '\0';
    return rmdir(socket_path);
}
