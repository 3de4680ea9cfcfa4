/* The file that a backup is: its form, how it is written and read. Private to store/.
 *
 *   file    = head, item..., end, checksum
 *   head    = "kpidback", u32 version (1), u32 schema version, 16 bytes origin of the store,
 *             i64 when it was begun (wall_ms), u8 n, n blocks: the names of databases, by which
 *             items name them from 0
 *   item    = u8 1, u8 database, u64 number: a section begins
 *           | u8 2, block key, block value: a record of the section
 *           | u8 3: the section is complete
 *   end     = u8 4, u64 number of the commit that the backup shows, u64 records
 *   checksum = 16 bytes: XXH3-128 of all before it, the high half first, big-endian
 *
 * Integers are base/buf.h's. A section holds the records of a database in the order of their keys:
 * of a run, a partition or an index run by its number, of new series from the id `number` on, of
 * another database the whole with number 0. One that is not complete (its data was taken away
 * meanwhile) or comes again later does not count: the last complete one does. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "store/schema.h"

enum { BACKUP_VERSION = 1, BACKUP_ORIGIN_SIZE = 16 };

struct XXH3_state_s; /* xxhash.h */

/* --- writing --- */

struct backup_writer {
    const char *path; /* of the unfinished file, borrowed */
    int fd;
    struct buf pending; /* not written yet */
    uint64_t bytes;     /* of the file, with what is pending */
    uint64_t records;
    struct XXH3_state_s *checksum;
};

struct backup_head {
    uint32_t schema;
    unsigned char origin[BACKUP_ORIGIN_SIZE];
    wall_ms begun_at;
};

/* Makes the file, which must not be there. backup_writer_fini frees it in any state and leaves the
 * file. */
bool backup_writer_init(struct backup_writer *writer, const char *path,
                        const struct backup_head *head, struct error *err);
void backup_writer_fini(struct backup_writer *writer);

/* These only add to what is pending. */
void backup_put_section(struct backup_writer *writer, enum database database, uint64_t number);
void backup_put_record(struct backup_writer *writer, struct str key, struct str value);
void backup_put_complete(struct backup_writer *writer);

/* Writes what is pending. */
bool backup_writer_flush(struct backup_writer *writer, struct error *err);

/* A place to come back to; flushed. backup_mark_fini frees it. */
struct backup_mark {
    uint64_t bytes, records;
    struct XXH3_state_s *checksum;
};
bool backup_writer_mark(struct backup_writer *writer, struct backup_mark *out, struct error *err);
bool backup_writer_return(struct backup_writer *writer, const struct backup_mark *mark,
                          struct error *err);
void backup_mark_fini(struct backup_mark *mark);

/* Writes the end and the checksum, and waits until all of it is on the disk. */
bool backup_writer_finish(struct backup_writer *writer, uint64_t commit, struct error *err);

/* --- reading --- */

enum backup_item_kind {
    BACKUP_SECTION = 1,
    BACKUP_RECORD = 2,
    BACKUP_COMPLETE = 3,
    BACKUP_END = 4,
};

struct backup_item {
    enum backup_item_kind kind;
    enum database database; /* BACKUP_SECTION; DATABASE_COUNT: one this version does not know */
    uint64_t number;        /* BACKUP_SECTION; the commit's of BACKUP_END */
    struct str key, value;  /* BACKUP_RECORD: until the next one is read */
};

struct backup_reader {
    const char *path; /* borrowed */
    int fd;
    uint64_t size; /* of the file */
    uint64_t at;   /* of the next item */
    struct backup_head head;
    struct buf window; /* bytes of the file from `window_at` on */
    uint64_t window_at;
    enum database names[UINT8_MAX]; /* of the file's numbers */
    size_t name_count;
    uint64_t records;
};

/* Opens a file and reads its head. A file that is something else, or of another version, is refused
 * with a sentence. backup_reader_fini frees it in any state. */
bool backup_reader_init(struct backup_reader *reader, const char *path, struct error *err);
void backup_reader_fini(struct backup_reader *reader);

/* Whether the checksum is right; reads the whole file. ERROR_CORRUPT when it is not. */
bool backup_reader_check(struct backup_reader *reader, struct error *err);

/* The next item; ERROR_CORRUPT for bytes that are none, and for anything after the end. */
bool backup_reader_next(struct backup_reader *reader, struct backup_item *out, struct error *err);

/* To an item: `at` as it was before that was read. */
void backup_reader_seek(struct backup_reader *reader, uint64_t at);

/* --- what the two sides share --- */

/* Where a section's records are: the database and, of a run, a partition or an index run, the
 * number that their keys begin with. */
struct backup_place {
    enum database database;
    uint64_t number;
};

/* By database, then by number: below, above or at 0. */
int backup_place_order(const struct backup_place *left, const struct backup_place *right);

/* Whether the records of a database are parts: only what is listed of them counts. */
bool backup_has_parts(enum database database);

/* The data that a row of runs, partitions or index_runs lists, by its key. False: the key cannot be
 * read. */
bool backup_part_of(enum database list, struct str key, struct backup_place *out);

/* Gives a finished file its name, which must be free, and waits until that is on the disk. `from`
 * may stay as a second name. */
bool backup_give_name(const char *from, const char *to, struct error *err);

/* The same over a file that is there. */
bool backup_replace(const char *from, const char *to, struct error *err);
