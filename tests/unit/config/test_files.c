/* Files: what a configuration includes, and where its secrets stand. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
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
    assert_int_equal(setenv("KPID_TEST_GOOD", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1), 0);
    assert_int_equal(setenv("KPID_TEST_BAD", "hunter2", 1), 0);
    write_file("s.yaml",
               "hooks:\n"
               "  a: { type: slack, url: { env: KPID_TEST_NOT_SET } }\n"
               "  b: { type: slack, url: { env: A, file: b } }\n"
               "  c: { type: webhook, url: \"http://example.com/\" }\n"
               "  d: { type: webhook, url: \"https://example.com/\", secrets: [ plain ] }\n"
               "  e: { type: webhook, url: \"http://127.0.0.1:9/\" }\n"
               "  f:\n"
               "    type: webhook\n"
               "    url: { env: KPID_TEST_NOT_SET }\n"
               "    secrets: [ { file: s.yaml/x }, { credential: ../x } ]\n"
               "  g:\n"
               "    type: webhook\n"
               "    url: https://example.com/\n"
               "    secrets: [ { env: KPID_TEST_GOOD }, { env: KPID_TEST_BAD } ]\n",
               0600);
    assert_null(load(
        "s.yaml",
        "s.yaml:2:33: error: hooks.a.url.env: environment variable 'KPID_TEST_NOT_SET' is not "
        "set\n"
        "  hint: set it where kpid is started, as KPID_TEST_NOT_SET=... kpid -c FILE\n"
        "s.yaml:3:26: error: hooks.b.url: a secret has one source\n"
        "  hint: write { env: NAME }, { file: PATH } or { credential: NAME }\n"
        "s.yaml:4:28: error: hooks.c.url: the url of hook 'c' is not https: 'http://example.com/ "
        "#2a1b40'\n"
        "  hint: messages would travel unencrypted; 'allow_http: true' allows it\n"
        "s.yaml:5:63: error: hooks.d.secrets[0]: a secret does not stand here in words\n"
        "  hint: write { env: NAME }, { file: PATH } or { credential: NAME }\n"
        "s.yaml:9:17: error: hooks.f.url.env: environment variable 'KPID_TEST_NOT_SET' is not "
        "set\n"
        "  hint: set it where kpid is started, as KPID_TEST_NOT_SET=... kpid -c FILE\n"
        "s.yaml:10:24: error: hooks.f.secrets[0].file: cannot read secret file 's.yaml/x': Not a "
        "directory\n"
        "s.yaml:10:50: error: hooks.f.secrets[1].credential: no credential '../x': "
        "$CREDENTIALS_DIRECTORY is not set\n"
        "  hint: systemd sets it for units with LoadCredential=\n"
        "s.yaml:14:41: error: hooks.g.secrets[1]: a webhook's secret is not 'whsec_' and the base64 "
        "of 24 to 64 bytes\n"
        "  hint: one is made by: echo \"whsec_$(openssl rand -base64 32)\"\n"));
}

static void a_secret_in_the_place_of_its_source_is_not_quoted(void **state)
{
    static const char *const pasted[] = {
        "{ env: https://hooks.example.com/hunter2 }", "{ file: https://hooks.example.com/hunter2 }",
        "{ credential: https://hooks.example.com/hunter2 }", "{ env: whsec_hunter2 }"};
    (void)state;

    for (size_t i = 0; i < TEST_COUNT(pasted); i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "hooks: { a: { type: slack, url: %s } }", pasted[i]);
        struct findings findings = FINDINGS_EMPTY;
        assert_null(config_load_text(str_of(text), "kpid.yaml", &findings));
        char *said = findings_text(&findings);
        assert_non_null(strstr(said, "a secret does not stand here in words"));
        assert_null(strstr(said, "hunter2"));
        free(said);
        findings_fini(&findings);
    }
}

static void relative_paths_start_at_the_folder_of_their_file(void **state)
{
    char expected[300];
    (void)state;

    write_file("paths.yaml",
               "include: conf.d/paths.yaml\n"
               "server: { control: kpid.sock }\n"
               "ingest: [ { protocol: statsd, listen: \"unix:in.sock\" },\n"
               "          { protocol: statsd, listen: \"unixgram:/run/in.sock\" } ]\n",
               0600);
    write_file("conf.d/paths.yaml",
               "storage: { path: ../data }\n"
               "hooks: { a: { type: slack, url: { file: secret } } }\n",
               0600);
    write_file("conf.d/secret", "https://hooks.example.com/hunter2\n", 0600);
    struct config *config = load("paths.yaml", "");
    assert_non_null(config);
    assert_string_equal(config->control_path, path_of("kpid.sock"));
    (void)snprintf(expected, sizeof expected, "%s/conf.d/../data", folder);
    assert_string_equal(config->store.path, expected);
    assert_string_equal(config->ingest.listeners[0].address, path_of("in.sock"));
    assert_string_equal(config->ingest.listeners[1].address, "/run/in.sock");
    assert_string_equal(config->hooks.hooks[0].url, "https://hooks.example.com/hunter2");

    struct buf printed = BUF_EMPTY;
    config_print(config, &printed);
    char *text = buf_take_text(&printed);
    (void)snprintf(expected, sizeof expected, "path: %s/conf.d/../data\n", folder);
    assert_non_null(strstr(text, expected));
    (void)snprintf(expected, sizeof expected, "file: %s/conf.d/secret\n", folder);
    assert_non_null(strstr(text, expected));
    assert_null(strstr(text, "hunter2"));
    free(text);
    config_free(config);
}

static void a_pipe_is_waited_for(void **state)
{
    int ends[2];
    char path[40];
    (void)state;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    (void)snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* Written in two parts: between them there is nothing to read. */
        struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
        (void)close(ends[0]);
        bool ok = write(ends[1], "kpis: { a: ", 11) == 11 && nanosleep(&pause, NULL) == 0 &&
                  write(ends[1], "sum(x) }\n", 9) == 9;
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(close(ends[1]), 0);
    struct findings findings = FINDINGS_EMPTY;
    struct config *config = config_load(path, &findings);
    assert_int_equal(findings.count, 0);
    assert_non_null(config);
    assert_int_equal(config->kpis.count, 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(close(ends[0]), 0);
    findings_fini(&findings);
    config_free(config);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {
        "main.yaml",    "more.yaml", "conf.d/1.yaml", "conf.d/2.yaml",
        "conf.d/3.txt", "one.yaml",  "two.yaml",      "loop.yaml",
        "secret",       "open",      "group",         "empty",
        "lines",        "s.yaml",    "paths.yaml",    "conf.d/paths.yaml",
        "conf.d/secret"};
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
        cmocka_unit_test(a_secret_in_the_place_of_its_source_is_not_quoted),
        cmocka_unit_test(relative_paths_start_at_the_folder_of_their_file),
        cmocka_unit_test(a_pipe_is_waited_for),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
