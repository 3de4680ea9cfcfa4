#include "store/backup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/memory.h"
#include "store/parts.h"

enum {
    MAGIC_SIZE = 8,
    CHECKSUM_SIZE = 16,
    ITEM_HEAD_MAX = 17, /* of the longest one: u8, u64, u64 */
    WINDOW_BYTES = 1 << 20,
    NAME_MAX_BYTES = 64,
};

static const char MAGIC[MAGIC_SIZE] = {'k', 'p', 'i', 'd', 'b', 'a', 'c', 'k'};

static const char *const NAMES[DATABASE_COUNT] = {
#define DATABASES_NAME(constant, name) [DATABASE_##constant] = (name),
    DATABASES(DATABASES_NAME)
#undef DATABASES_NAME
};

/* --- writing --- */

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, bytes, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        bytes += put;
        len -= (size_t)put;
    }
    return true;
}

bool backup_writer_init(struct backup_writer *writer, const char *path,
                        const struct backup_head *head, struct error *err)
{
    *writer = (struct backup_writer){.path = path, .fd = -1, .checksum = XXH3_createState()};
    (void)XXH3_128bits_reset(writer->checksum);
    writer->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (writer->fd < 0) {
        bool is_forbidden = errno == EROFS || errno == EACCES || errno == EPERM;
        (void)error_set_errno(err, "cannot make '%s'", path);
        if (is_forbidden)
            (void)error_hint(err, "kpid itself writes it: under systemd the folder has to be in "
                                  "ReadWritePaths=");
        return false;
    }
    buf_append(&writer->pending, MAGIC, sizeof MAGIC);
    buf_u32(&writer->pending, BACKUP_VERSION);
    buf_u32(&writer->pending, head->schema);
    buf_append(&writer->pending, head->origin, sizeof head->origin);
    buf_i64(&writer->pending, head->begun_at);
    buf_u8(&writer->pending, DATABASE_COUNT);
    for (int i = 0; i < DATABASE_COUNT; i++)
        buf_block(&writer->pending, str_of(NAMES[i]));
    writer->bytes = writer->pending.len;
    return true;
}

void backup_writer_fini(struct backup_writer *writer)
{
    if (writer->fd >= 0)
        (void)close(writer->fd);
    writer->fd = -1;
    buf_fini(&writer->pending);
    (void)XXH3_freeState(writer->checksum);
    writer->checksum = NULL;
}

void backup_put_section(struct backup_writer *writer, enum database database, uint64_t number)
{
    size_t before = writer->pending.len;
    buf_u8(&writer->pending, BACKUP_SECTION);
    buf_u8(&writer->pending, (uint8_t)database);
    buf_u64(&writer->pending, number);
    writer->bytes += writer->pending.len - before;
}

void backup_put_record(struct backup_writer *writer, struct str key, struct str value)
{
    size_t before = writer->pending.len;
    buf_u8(&writer->pending, BACKUP_RECORD);
    buf_block(&writer->pending, key);
    buf_block(&writer->pending, value);
    writer->bytes += writer->pending.len - before;
    writer->records++;
}

void backup_put_complete(struct backup_writer *writer)
{
    buf_u8(&writer->pending, BACKUP_COMPLETE);
    writer->bytes++;
}

bool backup_writer_flush(struct backup_writer *writer, struct error *err)
{
    (void)XXH3_128bits_update(writer->checksum, writer->pending.bytes, writer->pending.len);
    if (!write_all(writer->fd, writer->pending.bytes, writer->pending.len))
        return error_set_errno(err, "cannot write '%s'", writer->path);
    buf_clear(&writer->pending);
    return true;
}

bool backup_writer_mark(struct backup_writer *writer, struct backup_mark *out, struct error *err)
{
    *out = (struct backup_mark){.checksum = XXH3_createState()};
    if (!backup_writer_flush(writer, err))
        return false;
    out->bytes = writer->bytes;
    out->records = writer->records;
    XXH3_copyState(out->checksum, writer->checksum);
    return true;
}

bool backup_writer_return(struct backup_writer *writer, const struct backup_mark *mark,
                          struct error *err)
{
    buf_clear(&writer->pending);
    if (ftruncate(writer->fd, (off_t)mark->bytes) != 0 ||
        lseek(writer->fd, (off_t)mark->bytes, SEEK_SET) < 0)
        return error_set_errno(err, "cannot write '%s'", writer->path);
    writer->bytes = mark->bytes;
    writer->records = mark->records;
    XXH3_copyState(writer->checksum, mark->checksum);
    return true;
}

void backup_mark_fini(struct backup_mark *mark)
{
    (void)XXH3_freeState(mark->checksum);
    mark->checksum = NULL;
}

bool backup_writer_finish(struct backup_writer *writer, uint64_t commit, struct error *err)
{
    XXH128_canonical_t checksum;

    buf_u8(&writer->pending, BACKUP_END);
    buf_u64(&writer->pending, commit);
    buf_u64(&writer->pending, writer->records);
    writer->bytes += ITEM_HEAD_MAX + CHECKSUM_SIZE;
    if (!backup_writer_flush(writer, err))
        return false;
    XXH128_canonicalFromHash(&checksum, XXH3_128bits_digest(writer->checksum));
    if (!write_all(writer->fd, (const char *)checksum.digest, sizeof checksum.digest) ||
        fsync(writer->fd) != 0)
        return error_set_errno(err, "cannot write '%s'", writer->path);
    return true;
}

/* --- reading --- */

static bool damaged(const struct backup_reader *reader, struct error *err)
{
    (void)error_set(err, ERROR_CORRUPT, "'%s' is damaged at byte %llu", reader->path,
                    (unsigned long long)reader->at);
    return false;
}

/* The next bytes of the file, borrowed until the next call. Fewer when it ends before. */
static bool window(struct backup_reader *reader, size_t len, struct str *out, struct error *err)
{
    size_t skip = (size_t)(reader->at - reader->window_at);

    if (reader->at < reader->window_at || skip > reader->window.len ||
        reader->window.len - skip < len) {
        size_t wanted = len > WINDOW_BYTES ? len : WINDOW_BYTES;
        if (wanted > reader->size - reader->at)
            wanted = (size_t)(reader->size - reader->at);
        buf_clear(&reader->window);
        reader->window_at = reader->at;
        skip = 0;
        if (wanted > reader->window.capacity) {
            reader->window.bytes = memory_grow(reader->window.bytes, wanted, 1);
            reader->window.capacity = wanted;
        }
        while (reader->window.len < wanted) {
            ssize_t got =
                pread(reader->fd, reader->window.bytes + reader->window.len,
                      wanted - reader->window.len, (off_t)(reader->at + reader->window.len));
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0) {
                (void)error_set_errno(err, "cannot read '%s'", reader->path);
                return false;
            }
            if (got == 0)
                break;
            reader->window.len += (size_t)got;
        }
    }
    size_t have = reader->window.len - skip;
    *out = (struct str){reader->window.bytes == NULL ? NULL : reader->window.bytes + skip,
                        have < len ? have : len};
    return true;
}

/* The file less its checksum: items end there. */
static uint64_t items_end(const struct backup_reader *reader)
{
    return reader->size - CHECKSUM_SIZE;
}

/* Exactly so many bytes of what is before the checksum, moving past them. */
static bool take(struct backup_reader *reader, uint64_t len, struct str *out, struct error *err)
{
    if (reader->at > items_end(reader) || len > items_end(reader) - reader->at)
        return damaged(reader, err);
    if (!window(reader, (size_t)len, out, err))
        return false;
    if (out->len != len || out->text == NULL)
        return damaged(reader, err);
    reader->at += len;
    return true;
}

static enum database database_named(struct str name)
{
    for (int i = 0; i < DATABASE_COUNT; i++) {
        if (str_is(name, NAMES[i]))
            return (enum database)i;
    }
    return DATABASE_COUNT;
}

static bool read_names(struct backup_reader *reader, size_t count, struct error *err)
{
    struct str bytes;

    for (size_t i = 0; i < count; i++) {
        if (!take(reader, 4, &bytes, err))
            return false;
        struct reader fields = reader_of(bytes);
        uint32_t len = read_u32(&fields);
        if (len > NAME_MAX_BYTES || !take(reader, len, &bytes, err))
            return damaged(reader, err);
        reader->names[reader->name_count++] = database_named(bytes);
    }
    return true;
}

static bool read_head(struct backup_reader *reader, struct error *err)
{
    enum { HEAD_SIZE = MAGIC_SIZE + 4 + 4 + BACKUP_ORIGIN_SIZE + 8 + 1 };
    struct str bytes = STR_EMPTY;

    if (reader->size < HEAD_SIZE + CHECKSUM_SIZE || !take(reader, HEAD_SIZE, &bytes, err) ||
        memcmp(bytes.text, MAGIC, sizeof MAGIC) != 0)
        return error_set(err, ERROR_INVALID, "'%s' is no backup of kpid", reader->path);
    struct reader fields = reader_of((struct str){bytes.text + MAGIC_SIZE, bytes.len - MAGIC_SIZE});
    uint32_t version = read_u32(&fields);
    reader->head.schema = read_u32(&fields);
    memcpy(reader->head.origin, fields.at, BACKUP_ORIGIN_SIZE);
    fields.at += BACKUP_ORIGIN_SIZE;
    fields.left -= BACKUP_ORIGIN_SIZE;
    reader->head.begun_at = read_i64(&fields);
    uint8_t names = read_u8(&fields);
    if (version != BACKUP_VERSION)
        return error_set(err, ERROR_CONFLICT,
                         "'%s' is a backup of another version of kpid (form %u, this one reads %d)",
                         reader->path, version, BACKUP_VERSION);
    return names < UINT8_MAX ? read_names(reader, names, err) : damaged(reader, err);
}

bool backup_reader_init(struct backup_reader *reader, const char *path, struct error *err)
{
    struct stat facts;

    *reader = (struct backup_reader){.path = path};
    reader->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0 || fstat(reader->fd, &facts) != 0)
        return error_set_errno(err, "cannot open '%s'", path);
    if (!S_ISREG(facts.st_mode))
        return error_set(err, ERROR_INVALID, "'%s' is not a file", path);
    reader->size = (uint64_t)facts.st_size;
    return read_head(reader, err);
}

void backup_reader_fini(struct backup_reader *reader)
{
    if (reader->fd >= 0)
        (void)close(reader->fd);
    reader->fd = -1;
    buf_fini(&reader->window);
}

bool backup_reader_check(struct backup_reader *reader, struct error *err)
{
    XXH3_state_t *state = XXH3_createState();
    XXH128_canonical_t stored;
    uint64_t before = reader->at;
    struct str bytes = STR_EMPTY;
    bool ok = true;

    (void)XXH3_128bits_reset(state);
    reader->at = 0;
    while (ok && reader->at < items_end(reader)) {
        uint64_t left = items_end(reader) - reader->at;
        ok = take(reader, left < WINDOW_BYTES ? left : WINDOW_BYTES, &bytes, err);
        if (ok)
            (void)XXH3_128bits_update(state, bytes.text, bytes.len);
    }
    ok = ok && window(reader, CHECKSUM_SIZE, &bytes, err);
    if (ok) {
        XXH128_hash_t hash = XXH3_128bits_digest(state);
        if (bytes.len == CHECKSUM_SIZE)
            memcpy(stored.digest, bytes.text, CHECKSUM_SIZE);
        if (bytes.len != CHECKSUM_SIZE || !XXH128_isEqual(XXH128_hashFromCanonical(&stored), hash))
            ok = error_set(err, ERROR_CORRUPT,
                           "'%s' is damaged: it was cut short or its checksum is wrong",
                           reader->path);
    }
    (void)XXH3_freeState(state);
    reader->at = before;
    return ok;
}

void backup_reader_seek(struct backup_reader *reader, uint64_t at)
{
    reader->at = at;
}

static bool read_record(struct backup_reader *reader, struct backup_item *out, struct error *err)
{
    struct str bytes;

    if (!take(reader, 4, &bytes, err))
        return false;
    struct reader fields = reader_of(bytes);
    uint32_t key_len = read_u32(&fields);
    uint64_t both = (uint64_t)key_len + 4;
    if (!take(reader, both, &bytes, err))
        return false;
    fields = reader_of((struct str){bytes.text + key_len, 4});
    uint32_t value_len = read_u32(&fields);
    reader->at -= both; /* once more, so that key and value lie in one window */
    if (!take(reader, both + value_len, &bytes, err))
        return false;
    out->key = (struct str){bytes.text, key_len};
    out->value = (struct str){bytes.text + both, value_len};
    reader->records++;
    return true;
}

bool backup_reader_next(struct backup_reader *reader, struct backup_item *out, struct error *err)
{
    struct str bytes;

    *out = (struct backup_item){.database = DATABASE_COUNT};
    if (!take(reader, 1, &bytes, err))
        return false;
    out->kind = (enum backup_item_kind)(unsigned char)bytes.text[0];
    struct reader fields;
    switch (out->kind) {
    case BACKUP_SECTION:
        if (!take(reader, 9, &bytes, err))
            return false;
        fields = reader_of(bytes);
        uint8_t name = read_u8(&fields);
        out->number = read_u64(&fields);
        if (name >= reader->name_count)
            return damaged(reader, err);
        out->database = reader->names[name];
        return true;
    case BACKUP_RECORD:
        return read_record(reader, out, err);
    case BACKUP_COMPLETE:
        return true;
    case BACKUP_END:
        if (!take(reader, 16, &bytes, err))
            return false;
        fields = reader_of(bytes);
        out->number = read_u64(&fields);
        uint64_t records = read_u64(&fields);
        return (records == reader->records && reader->at == items_end(reader)) ||
               damaged(reader, err);
    default:
        return damaged(reader, err);
    }
}

/* --- what the two sides share --- */

int backup_place_order(const struct backup_place *left, const struct backup_place *right)
{
    if (left->database != right->database)
        return left->database < right->database ? -1 : 1;
    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return 0;
}

bool backup_has_parts(enum database database)
{
    switch (database) {
    case DATABASE_JOURNAL:
    case DATABASE_RUN:
    case DATABASE_MINUTES:
    case DATABASE_QUARTERS:
    case DATABASE_DAYS:
    case DATABASE_INDEX:
        return true;
    default:
        return false;
    }
}

bool backup_part_of(enum database list, struct str key, struct backup_place *out)
{
    struct schema_reader reader = schema_reader_of(key);

    switch (list) {
    case DATABASE_RUNS:
        out->database = schema_get_u8(&reader) == 0 ? DATABASE_JOURNAL : DATABASE_RUN;
        out->number = schema_get_u64(&reader);
        break;
    case DATABASE_INDEX_RUNS:
        out->database = DATABASE_INDEX;
        out->number = schema_get_u64(&reader);
        break;
    case DATABASE_PARTITIONS: {
        uint8_t level = schema_get_u8(&reader);
        if (level >= LEVEL_COUNT)
            return false;
        out->database = parts_blocks((enum level)level);
        (void)schema_get_u16(&reader);
        (void)schema_get_i64(&reader);
        out->number = schema_get_u32(&reader);
        break;
    }
    default:
        return false;
    }
    return reader.ok && reader.left == 0;
}

static bool sync_directory_of(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    char *parent = slash == path ? memory_copy("/", 1) : memory_copy(path, len);
    int fd = open(len == 0 && slash == NULL ? "." : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (!ok)
        (void)error_set_errno(err, "cannot finish '%s'", path);
    if (fd >= 0)
        (void)close(fd);
    free(parent);
    return ok;
}

bool backup_give_name(const char *from, const char *to, struct error *err)
{
    int rc = link(from, to);

    /* Not every file system has links. */
    if (rc != 0 && (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS) &&
        access(to, F_OK) != 0)
        rc = rename(from, to);
    if (rc != 0)
        return error_set_errno(err, "cannot make '%s'", to);
    return sync_directory_of(to, err);
}

bool backup_replace(const char *from, const char *to, struct error *err)
{
    if (rename(from, to) != 0)
        return error_set_errno(err, "cannot put '%s' in the place of '%s'", from, to);
    return sync_directory_of(to, err);
}
