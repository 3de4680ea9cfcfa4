#include "config/secret.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define SECRET_FILE_WORDS "secret file"

static bool is_own_group(gid_t group)
{
    gid_t groups[256];

    if (group == getegid())
        return true;
    int count = getgroups(sizeof groups / sizeof groups[0], groups);
    for (int i = 0; i < count; i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

static bool check_mode(const char *path, const struct stat *facts, struct error *err)
{
    if ((facts->st_mode & (S_IROTH | S_IWOTH)) != 0) {
        (void)error_set(err, ERROR_DENIED, "secret file '%s' can be read or written by everybody",
                        path);
        return error_hint(err, "chmod o= '%s'", path);
    }
    if ((facts->st_mode & (S_IRGRP | S_IWGRP)) != 0 && !is_own_group(facts->st_gid)) {
        (void)error_set(err, ERROR_DENIED,
                        "secret file '%s' can be read by a group that is not the daemon's", path);
        return error_hint(err, "chmod g= '%s', or give it the daemon's group", path);
    }
    return true;
}

/* What is read, and into what. */
struct reading {
    struct arena *arena;
    bool many_lines;
    struct str *out;
};

static bool take(struct str bytes, const char *what, const char *name,
                 const struct reading *reading, struct error *err)
{
    if (reading->many_lines) {
        *reading->out = arena_str(reading->arena, bytes);
        return true;
    }
    if (bytes.len > 0 && bytes.text[bytes.len - 1] == '\n')
        bytes.len--;
    if (bytes.len > 0 && bytes.text[bytes.len - 1] == '\r')
        bytes.len--;
    if (bytes.len == 0)
        return error_set(err, ERROR_INVALID, "%s '%s' is empty", what, name);
    if (memchr(bytes.text, '\0', bytes.len) != NULL || memchr(bytes.text, '\n', bytes.len) != NULL)
        return error_set(err, ERROR_INVALID, "%s '%s' holds more than one line", what, name);
    *reading->out = arena_str(reading->arena, bytes);
    return true;
}

static bool read_file(const char *path, const struct reading *reading, struct error *err)
{
    size_t max = reading->many_lines ? SECRET_LINES_BYTES_MAX : SECRET_BYTES_MAX;
    struct buf bytes = BUF_EMPTY;
    struct stat facts;
    int fd = file_open(path, SECRET_FILE_WORDS, &facts, err);

    if (fd < 0)
        return false;
    bool ok = check_mode(path, &facts, err) &&
              file_read(fd, path, SECRET_FILE_WORDS, max, &bytes, err) &&
              take(buf_view(&bytes), SECRET_FILE_WORDS, path, reading, err);
    (void)close(fd);
    if (bytes.bytes != NULL)
        explicit_bzero(bytes.bytes, bytes.capacity);
    buf_fini(&bytes);
    return ok;
}

bool secret_is_pasted(struct str name)
{
    static const char address[] = "://";

    return str_starts_with(name, "whsec_") ||
           (name.len > 0 && memmem(name.text, name.len, address, sizeof address - 1) != NULL);
}

bool secret_check_file(const char *path, struct error *err)
{
    struct stat facts;
    int fd = file_open(path, SECRET_FILE_WORDS, &facts, err);

    if (fd < 0)
        return false;
    (void)close(fd);
    return check_mode(path, &facts, err);
}

static bool read_source(enum secret_source source, struct str name, const struct reading *reading,
                        struct error *err)
{
    char *wanted = arena_text(reading->arena, name);

    if (secret_is_pasted(name)) {
        (void)error_set(err, ERROR_INVALID, "a secret does not stand here in words");
        return error_hint(err, "write the name of the variable, file or credential that holds it");
    }
    if (source == SECRET_FILE)
        return read_file(wanted, reading, err);
    if (source == SECRET_ENV) {
        /* Nobody changes the environment: NOLINTNEXTLINE(concurrency-mt-unsafe) */
        const char *value = getenv(wanted);
        if (value == NULL) {
            (void)error_set(err, ERROR_NOT_FOUND, "environment variable '%s' is not set", wanted);
            return error_hint(err, "set it where kpid is started, as %s=... kpid -c FILE", wanted);
        }
        return take(str_of(value), "environment variable", wanted, reading, err);
    }
    /* As above: NOLINTNEXTLINE(concurrency-mt-unsafe) */
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    if (directory == NULL || directory[0] == '\0') {
        (void)error_set(err, ERROR_NOT_FOUND,
                        "no credential '%s': $CREDENTIALS_DIRECTORY is not set", wanted);
        return error_hint(err, "systemd sets it for units with LoadCredential=");
    }
    if (name.len == 0 || strchr(wanted, '/') != NULL || wanted[0] == '.')
        return error_set(err, ERROR_INVALID, "'%s' is not a credential's name", wanted);
    return read_file(arena_printf(reading->arena, "%s/%s", directory, wanted), reading, err);
}

bool secret_read(enum secret_source source, struct str name, struct arena *arena, struct str *out,
                 struct error *err)
{
    const struct reading reading = {arena, false, out};
    return read_source(source, name, &reading, err);
}

bool secret_read_lines(enum secret_source source, struct str name, struct arena *arena,
                       struct str *out, struct error *err)
{
    const struct reading reading = {arena, true, out};
    return read_source(source, name, &reading, err);
}
