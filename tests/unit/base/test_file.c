/* Files that a configuration names: regular ones, and of a bounded size. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"

static char folder[] = "/tmp/kpid-file-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[200];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_bytes(const char *name, size_t count)
{
    FILE *file = fopen(path_of(name), "we");

    assert_non_null(file);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(fputc((int)('a' + i % 26), file), (int)('a' + i % 26));
    assert_int_equal(fclose(file), 0);
}

static void a_file_is_read_whole_up_to_its_limit(void **state)
{
    static const struct {
        size_t size, max;
        bool is_read;
    } cases[] = {
        {0, 1024, true},    {1, 1024, true},     {1024, 1024, true},    {1025, 1024, false},
        {8192, 8192, true}, {8193, 8192, false}, {100000, 8192, false}, {10000, 16384, true},
    };
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        struct buf bytes = BUF_EMPTY;
        struct stat facts;
        char words[300];
        write_bytes("file", cases[i].size);
        int fd = file_open(path_of("file"), "certificate", &facts, &err);
        assert_true(fd >= 0);
        assert_int_equal(facts.st_size, cases[i].size);
        buf_text(&bytes, "before"); /* stays, and does not count */
        bool ok = file_read(fd, path_of("file"), "certificate", cases[i].max, &bytes, &err);
        assert_int_equal(close(fd), 0);
        assert_int_equal(ok, cases[i].is_read);
        if (ok) {
            assert_int_equal(bytes.len, 6 + cases[i].size);
            assert_memory_equal(bytes.bytes, "before", 6);
            for (size_t at = 0; at < cases[i].size; at++)
                assert_int_equal(bytes.bytes[6 + at], 'a' + at % 26);
        } else {
            (void)snprintf(words, sizeof words,
                           "cannot read certificate '%s': it is larger than %zu KiB",
                           path_of("file"), cases[i].max / 1024);
            assert_string_equal(err.text, words);
        }
        buf_fini(&bytes);
    }
    assert_int_equal(unlink(path_of("file")), 0);
}

static void what_is_no_regular_file_is_refused_and_not_waited_for(void **state)
{
    static const struct {
        const char *name;
        const char *why;
    } cases[] = {
        {"none", "No such file or directory"},         {"fifo", "it is not a regular file"},
        {"folder", "it is not a regular file"},        {"device", "it is not a regular file"},
        {"loop", "Too many levels of symbolic links"},
    };
    (void)state;

    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    assert_int_equal(mkdir(path_of("folder"), 0700), 0);
    assert_int_equal(symlink("/dev/zero", path_of("device")), 0);
    assert_int_equal(symlink("loop", path_of("loop")), 0);
    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        struct error err = ERROR_EMPTY;
        struct stat facts;
        char words[300];
        assert_int_equal(file_open(path_of(cases[i].name), "key", &facts, &err), -1);
        (void)snprintf(words, sizeof words, "cannot read key '%s': %s", path_of(cases[i].name),
                       cases[i].why);
        assert_string_equal(err.text, words);
    }
    assert_int_equal(unlink(path_of("fifo")), 0);
    assert_int_equal(rmdir(path_of("folder")), 0);
    assert_int_equal(unlink(path_of("device")), 0);
    assert_int_equal(unlink(path_of("loop")), 0);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_whole_up_to_its_limit),
        cmocka_unit_test(what_is_no_regular_file_is_refused_and_not_waited_for),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
