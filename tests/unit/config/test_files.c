/* Files: what a configuration includes, and where its secrets stand. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/secret.h"
#include "loading.h"

static char folder[] = "/tmp/kpid-config-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[200];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

/* Loads a file of the folder and compares what is said, without the folder's name. */
static struct config *load(const char *name, const char *expected)
{
    struct findings findings = FINDINGS_EMPTY;
    struct config *config = config_load(path_of(name), &findings);
    char *said = findings_text(&findings);
    char *at = NULL;
    size_t len = strlen(folder) + 1;

    while ((at = strstr(said, folder)) != NULL)
        memmove(at, at + len, strlen(at + len) + 1);
    assert_string_equal(said, expected);
    free(said);
    findings_fini(&findings);
    return config;
}

static void included_files_are_merged(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path_of("conf.d"), 0700), 0);
    write_file("main.yaml", "include: [ more.yaml, conf.d, none/*.yaml ]\nkpis: { a: sum(x) }\n",
               0600);
    write_file("more.yaml", "kpid: 1\nkpis: { b: sum(y) }\nserver: { threads: 3 }\n", 0600);
    write_file("conf.d/1.yaml", "kpid: 1\nkpis: { c: sum(z) }\n", 0600);
    write_file("conf.d/2.yaml", "server: { limits: { line: 1K } }\n", 0600);
    write_file("conf.d/3.txt", "not read\n", 0600);

    struct config *config =
        load("main.yaml", "main.yaml:1:31: warning: include[2]: no file matches 'none/*.yaml'\n");
    assert_non_null(config);
    assert_int_equal(config->kpis.count, 3);
    assert_string_equal(config->kpis.kpis[1].id, "b");
    assert_int_equal(config->threads, 3);
    assert_int_equal(config->ingest.line_bytes_max, 1024);
    uint64_t before = config->hash;
    config_free(config);

    write_file("conf.d/2.yaml", "server: { limits: { line: 2K } }\n", 0600);
    config =
        load("main.yaml", "main.yaml:1:31: warning: include[2]: no file matches 'none/*.yaml'\n");
    assert_true(config->hash != before);
    config_free(config);
}

static void what_stands_in_two_files_is_a_mistake(void **state)
{
    (void)state;
    write_file("one.yaml", "include: two.yaml\nkpis: { a: sum(x) }\nstorage: { max_size: 1G }\n",
               0600);
    write_file("two.yaml", "kpis: { a: sum(y), b: summ(z) }\nstorage: { max_size: 2G }\n", 0600);
    assert_null(load("one.yaml", "two.yaml:1:9: error: kpis.a: stands in two files\n"
                                 "  hint: the first one is one.yaml:2\n"
                                 "two.yaml:1:23: error: kpis.b: unknown function 'summ'\n"
                                 "  hint: did you mean 'sum'?\n"
                                 "two.yaml:2:12: error: storage.max_size: stands in two files\n"
                                 "  hint: the first one is one.yaml:3\n"));

    write_file("loop.yaml", "include: [ loop.yaml, gone.yaml ]\n", 0600);
    assert_null(load("loop.yaml",
                     "loop.yaml:1:12: error: include[0]: 'loop.yaml' is included twice\n"
                     "loop.yaml:1:23: error: include[1]: cannot open 'gone.yaml': No such file or "
                     "directory\n"));
    assert_null(
        load("nothing.yaml",
             "nothing.yaml: error: cannot open 'nothing.yaml': No such file or directory\n"));
}

static void expect_secret(enum secret_source source, const char *name, const char *expected)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct str found = STR_EMPTY;

    if (!secret_read(source, str_of(name), &arena, &found, &err))
        fail_msg("%s", err.text);
    assert_true(str_is(found, expected));
    arena_fini(&arena);
}

static void refuse_secret(enum secret_source source, const char *name, const char *part)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct str found = STR_EMPTY;

    assert_false(secret_read(source, str_of(name), &arena, &found, &err));
    if (strstr(err.text, part) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, part);
    assert_null(strstr(err.text, "hunter2"));
    arena_fini(&arena);
}

static void secrets_come_from_files_environment_and_credentials(void **state)
{
    (void)state;
    write_file("secret", "hunter2\n", 0600);
    expect_secret(SECRET_FILE, path_of("secret"), "hunter2");
    write_file("secret", " hunter2 ", 0400);
    expect_secret(SECRET_FILE, path_of("secret"), " hunter2 ");
    assert_int_equal(chown(path_of("secret"), (uid_t)-1, getegid()), 0);
    assert_int_equal(chmod(path_of("secret"), 0640), 0);
    expect_secret(SECRET_FILE, path_of("secret"), " hunter2 "); /* the daemon's own group */

    assert_int_equal(setenv("KPID_TEST_SECRET", "hunter2\n", 1), 0);
    expect_secret(SECRET_ENV, "KPID_TEST_SECRET", "hunter2");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    expect_secret(SECRET_CREDENTIAL, "secret", " hunter2 ");
    refuse_secret(SECRET_CREDENTIAL, "../secret", "is not a credential's name");
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    refuse_secret(SECRET_CREDENTIAL, "secret", "$CREDENTIALS_DIRECTORY is not set");
}

static void secrets_that_others_can_read_are_refused(void **state)
{
    static const mode_t open_modes[] = {0604, 0644, 0602, 0666};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(open_modes); i++) {
        write_file("open", "hunter2\n", open_modes[i]);
        refuse_secret(SECRET_FILE, path_of("open"), "can be read or written by everybody");
    }
    write_file("group", "hunter2\n", 0640);
    if (geteuid() == 0) { /* only root can give a file to a foreign group */
        assert_int_equal(chown(path_of("group"), (uid_t)-1, 54321), 0);
        refuse_secret(SECRET_FILE, path_of("group"), "by a group that is not the daemon's");
    }
    write_file("empty", "\n", 0600);
    refuse_secret(SECRET_FILE, path_of("empty"), "is empty");
    write_file("lines", "hunter2\nmore\n", 0600);
    refuse_secret(SECRET_FILE, path_of("lines"), "more than one line");
    refuse_secret(SECRET_FILE, path_of("missing"), "No such file");
    refuse_secret(SECRET_FILE, folder, "is not a regular file");
    refuse_secret(SECRET_ENV, "KPID_TEST_NOT_SET", "is not set");
}

static void mistakes_of_secrets_stand_at_their_place(void **state)
{
    (void)state;
    write_file("s.yaml",
               "hooks:\n"
               "  a: { type: slack, url: { env: KPID_TEST_NOT_SET } }\n"
               "  b: { type: slack, url: { env: A, file: b } }\n"
               "  c: { type: webhook, url: \"http://example.com/\" }\n"
               "  d: { type: webhook, url: \"https://example.com/\", secrets: [ plain ] }\n"
               "  e: { type: webhook, url: \"http://127.0.0.1:9/\" }\n",
               0600);
    assert_null(load(
        "s.yaml",
        "s.yaml:2:33: error: hooks.a.url.env: environment variable 'KPID_TEST_NOT_SET' is not "
        "set\n"
        "s.yaml:3:26: error: hooks.b.url: a secret has one source\n"
        "  hint: write { env: NAME }, { file: PATH } or { credential: NAME }\n"
        "s.yaml:4:28: error: hooks.c.url: the url of hook 'c' is not https: 'http://example.com/ "
        "#2a1b40'\n"
        "  hint: messages would travel unencrypted; 'allow_http: true' allows it\n"
        "s.yaml:5:63: error: hooks.d.secrets[0]: a secret does not stand here in words\n"
        "  hint: write { env: NAME }, { file: PATH } or { credential: NAME }\n"));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {
        "main.yaml", "more.yaml", "conf.d/1.yaml", "conf.d/2.yaml", "conf.d/3.txt",
        "one.yaml",  "two.yaml",  "loop.yaml",     "secret",        "open",
        "group",     "empty",     "lines",         "s.yaml"};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(names); i++)
        (void)unlink(path_of(names[i]));
    (void)rmdir(path_of("conf.d"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(included_files_are_merged),
        cmocka_unit_test(what_stands_in_two_files_is_a_mistake),
        cmocka_unit_test(secrets_come_from_files_environment_and_credentials),
        cmocka_unit_test(secrets_that_others_can_read_are_refused),
        cmocka_unit_test(mistakes_of_secrets_stand_at_their_place),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
