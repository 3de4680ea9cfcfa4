/* A backup's file of any bytes: it is refused, or its items can be read to the end. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/backup_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Reads all items. The checksum is left alone: nothing would come past it. */
static void read_items(struct backup_reader *reader)
{
    struct error err = ERROR_EMPTY;
    struct backup_item item;
    uint64_t before = 0;

    while (backup_reader_next(reader, &item, &err) && item.kind != BACKUP_END) {
        assert(reader->at > before && reader->at <= reader->size);
        before = reader->at;
        struct backup_place place;
        (void)backup_part_of(DATABASE_RUNS, item.key, &place);
        (void)backup_part_of(DATABASE_PARTITIONS, item.key, &place);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct backup_reader reader;
    struct error err = ERROR_EMPTY;
    char path[64];
    int fd = memfd_create("backup", MFD_CLOEXEC);

    assert(fd >= 0);
    ssize_t put = write(fd, bytes, len);
    assert(put == (ssize_t)len);
    (void)put;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (backup_reader_init(&reader, path, &err)) {
        (void)backup_reader_check(&reader, &err);
        read_items(&reader);
    } else {
        assert(err.text[0] != '\0');
    }
    backup_reader_fini(&reader);
    (void)close(fd);
    return 0;
}
