/* The file of a Unix socket, while somebody else is busy in its folder. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/socket_file.h"
#include "test.h"

static char folder[64];
static char path[108];
static char precious[108];

/* What somebody does right after bind has made the file. */
static void (*after_bind)(void);

int __real_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    int rc = __real_bind(fd, address, len);
    if (after_bind != NULL)
        after_bind();
    return rc;
}

static int setup(void **state)
{
    (void)state;
    after_bind = NULL;
    (void)snprintf(folder, sizeof folder, "/tmp/kpid-socket-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    (void)snprintf(precious, sizeof precious, "%s/precious", folder);
    FILE *file = fopen(precious, "w");
    return file == NULL || fclose(file) != 0 || chmod(precious, 0600) != 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(precious);
    return rmdir(folder); /* so nothing else was left in it */
}

static int open_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    return fd;
}

static unsigned mode_of(const char *name)
{
    struct stat status;
    assert_int_equal(lstat(name, &status), 0);
    return status.st_mode & 07777;
}

static void it_has_its_mode_whatever_the_umask_is(void **state)
{
    (void)state;
    static const unsigned modes[] = {0600, 0660, 0666, 0777};
    struct error err = ERROR_EMPTY;
    mode_t before = umask(0077);

    for (size_t i = 0; i < TEST_COUNT(modes); i++) {
        struct socket_file file;
        int fd = open_socket();
        if (!socket_file_bind(&file, fd, SOCK_STREAM, path, modes[i], &err))
            fail_msg("%s", err.text);
        assert_int_equal(mode_of(path), modes[i]);
        assert_true(socket_file_set_mode(&file, 0640, &err));
        assert_int_equal(mode_of(path), 0640);
        socket_file_remove(&file);
        assert_int_equal(access(path, F_OK), -1);
        (void)close(fd);
    }
    (void)umask(before);
}

static void put_a_link(void)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(precious, path), 0);
}

static void put_a_hard_link(void)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(link(precious, path), 0);
}

static void put_a_wider_socket(void)
{
    struct sockaddr_un address;
    struct error err = ERROR_EMPTY;

    assert_int_equal(unlink(path), 0);
    assert_true(socket_file_address(path, &address, &err));
    int fd = open_socket();
    assert_int_equal(__real_bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(chmod(path, 0666), 0);
    (void)close(fd);
}

static void what_is_put_in_its_place_at_once_is_neither_opened_to_others_nor_removed(void **state)
{
    (void)state;
    void (*const attacks[])(void) = {put_a_link, put_a_hard_link, put_a_wider_socket};

    for (size_t i = 0; i < TEST_COUNT(attacks); i++) {
        struct socket_file file;
        struct error err = ERROR_EMPTY;
        int fd = open_socket();
        after_bind = attacks[i];
        assert_false(socket_file_bind(&file, fd, SOCK_STREAM, path, 0660, &err));
        assert_int_equal(err.kind, ERROR_CONFLICT);
        assert_non_null(strstr(err.text, "somebody has replaced the socket"));
        assert_int_equal(mode_of(precious), 0600);
        socket_file_remove(&file);
        assert_int_equal(unlink(path), 0); /* it is there */
        (void)close(fd);
    }
}

static void take_it_away(void)
{
    assert_int_equal(unlink(path), 0);
}

static void one_that_is_gone_at_once_is_an_error(void **state)
{
    (void)state;
    struct socket_file file;
    struct error err = ERROR_EMPTY;
    int fd = open_socket();

    after_bind = take_it_away;
    assert_false(socket_file_bind(&file, fd, SOCK_STREAM, path, 0660, &err));
    assert_int_equal(err.kind, ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, path));
    (void)close(fd);
}

static void two_swap_their_places(void **state)
{
    (void)state;
    char beside[120];
    struct socket_file one;
    struct socket_file other;
    struct error err = ERROR_EMPTY;
    int fds[] = {open_socket(), open_socket()};

    (void)snprintf(beside, sizeof beside, "%s.new", path);
    assert_true(socket_file_bind(&one, fds[0], SOCK_STREAM, path, 0600, &err));
    assert_true(socket_file_bind(&other, fds[1], SOCK_STREAM, beside, 0660, &err));
    assert_true(socket_file_swap(&one, &other, &err));
    assert_string_equal(one.path, beside);
    assert_int_equal(mode_of(path), 0660);
    assert_true(socket_file_is_there(&one) && socket_file_is_there(&other));
    socket_file_remove(&one);
    assert_false(socket_file_swap(&one, &other, &err));
    assert_true(socket_file_is_there(&other));
    socket_file_remove(&other);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    char text[140];
    struct sockaddr_un address;
    struct error err = ERROR_EMPTY;

    memset(text, 'a', sizeof text);
    text[107] = '\0';
    assert_true(socket_file_address(text, &address, &err));
    assert_string_equal(address.sun_path, text);
    text[107] = 'a';
    text[108] = '\0';
    assert_false(socket_file_address(text, &address, &err));
    assert_non_null(strstr(err.text, "longer than 107 bytes"));
    assert_false(socket_file_address("", &address, &err));
    assert_non_null(strstr(err.text, "is empty"));
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(it_has_its_mode_whatever_the_umask_is),
        FILE_TEST(what_is_put_in_its_place_at_once_is_neither_opened_to_others_nor_removed),
        FILE_TEST(one_that_is_gone_at_once_is_an_error),
        FILE_TEST(two_swap_their_places),
        FILE_TEST(a_path_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
