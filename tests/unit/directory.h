/* Temporary directories of tests. */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "test.h"

static inline void make_directory(char path[64])
{
    (void)snprintf(path, 64, "/tmp/kpid-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

/* With the files in it; folders in it are the test's to remove. */
static inline void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry = NULL;

    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        (void)unlinkat(dirfd(directory), entry->d_name, 0);
    (void)closedir(directory);
    assert_int_equal(rmdir(path), 0);
}
