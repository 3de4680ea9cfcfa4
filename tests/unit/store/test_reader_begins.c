/* A reader that loses its core while it begins, at any instruction of LMDB, and finds two newer
 * commits when it has it again: what it sees is of the commit that it says it sees.
 *
 * The reader is a thread of a process that this one made and steps through. */
#include <elf.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "directory.h"
#include "store/store_private.h"
#include "test.h"

enum { COMMITS = 2, STEPS_MAX = 5000 };

static const char NAME[] = "number of the commit";

struct seen {
    uint64_t snapshot; /* what the reader calls it */
    uint64_t value;    /* and what was written with this name */
};

/* A request is a byte to the one who does it, and its answer comes back. */
struct road {
    int to[2];
    int back[2];
};

struct stage {
    char path[64];
    struct road reader, writer;
    _Atomic bool *is_beginning; /* in memory of both processes */
    pid_t process;
    pid_t thread;
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* --- the process that is stepped through: no test's words here, an abort is noticed --- */

static void write_commit(struct store *store)
{
    struct error err = ERROR_EMPTY;
    struct write_txn txn;

    must(write_txn_begin(store, NULL, &txn, &err));
    must(meta_put(&txn, NAME, mdb_txn_id(txn.reader.txn), &err));
    must(write_txn_commit(&txn, &err));
}

struct actor {
    struct stage *stage;
    struct store *store;
};

static void *read_on_request(void *arg)
{
    const struct actor *actor = arg;
    struct stage *stage = actor->stage;
    struct error err = ERROR_EMPTY;
    pid_t thread = gettid();
    char request;

    /* What renews a snapshot begins one as the first time, and asks nothing of malloc. */
    struct read_txn *txn = read_txn_begin(actor->store, &err);
    must(txn != NULL);
    must(write(stage->reader.back[1], &thread, sizeof thread) == sizeof thread);
    while (read(stage->reader.to[0], &request, 1) == 1) {
        txn->deadline = 0;
        atomic_store(stage->is_beginning, true);
        (void)raise(SIGTRAP);
        must(read_txn_refresh(txn, &err));
        atomic_store(stage->is_beginning, false);
        struct seen seen = {mdb_txn_id(txn->txn), meta_get(txn, NAME, 0)};
        must(write(stage->reader.back[1], &seen, sizeof seen) == sizeof seen);
    }
    return NULL;
}

static void be_stepped_through(struct stage *stage)
{
    const struct store_options options = {.path = stage->path, .max_size_bytes = 1 << 24};
    struct error err = ERROR_EMPTY;
    struct actor actor = {stage, store_open(&options, &err)};
    pthread_t reader;
    char request;

    must(actor.store != NULL);
    write_commit(actor.store);
    must(pthread_create(&reader, NULL, read_on_request, &actor) == 0);
    while (read(stage->writer.to[0], &request, 1) == 1) {
        for (int i = 0; i < COMMITS; i++)
            write_commit(actor.store);
        must(write(stage->writer.back[1], &request, 1) == 1);
    }
    _exit(0);
}

/* --- the one that steps --- */

static void road_open(struct road *road)
{
    assert_int_equal(pipe(road->to), 0);
    assert_int_equal(pipe(road->back), 0);
}

static void road_keep(struct road *road, bool is_asker)
{
    (void)close(road->to[is_asker ? 0 : 1]);
    (void)close(road->back[is_asker ? 1 : 0]);
}

static void ask(const struct road *road)
{
    assert_int_equal(write(road->to[1], "?", 1), 1);
}

static void hear(const struct road *road, void *out, size_t size)
{
    assert_int_equal(read(road->back[0], out, size), size);
}

static void stage_open(struct stage *stage)
{
    make_directory(stage->path);
    road_open(&stage->reader);
    road_open(&stage->writer);
    stage->is_beginning = mmap(NULL, sizeof *stage->is_beginning, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(stage->is_beginning != MAP_FAILED);
    stage->process = fork();
    assert_true(stage->process >= 0);
    road_keep(&stage->reader, stage->process > 0);
    road_keep(&stage->writer, stage->process > 0);
    if (stage->process == 0)
        be_stepped_through(stage);
    hear(&stage->reader, &stage->thread, sizeof stage->thread);
    if (ptrace(PTRACE_SEIZE, stage->thread, 0, PTRACE_O_EXITKILL) != 0)
        fail_msg("this test steps through a thread of its own, and the system does not let it");
}

static void stage_close(struct stage *stage)
{
    (void)kill(stage->process, SIGKILL);
    (void)waitpid(stage->thread, NULL, __WALL);
    (void)waitpid(stage->process, NULL, __WALL);
    (void)munmap((void *)stage->is_beginning, sizeof *stage->is_beginning);
    (void)close(stage->reader.to[1]);
    (void)close(stage->reader.back[0]);
    (void)close(stage->writer.to[1]);
    (void)close(stage->writer.back[0]);
    remove_directory(stage->path);
}

static void wait_for_trap(const struct stage *stage)
{
    int status = 0;

    assert_int_equal(waitpid(stage->thread, &status, __WALL), stage->thread);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
}

static uintptr_t instruction_of(const struct stage *stage)
{
    struct user_regs_struct registers;
    struct iovec all = {&registers, sizeof registers};

    assert_int_equal(ptrace(PTRACE_GETREGSET, stage->thread, (void *)NT_PRSTATUS, &all), 0);
#ifdef __x86_64__
    return registers.rip;
#else
    return registers.pc;
#endif
}

struct code {
    uintptr_t begin, end;
};

/* Where LMDB's code is: the same in both processes. */
static struct code code_of_lmdb(void)
{
    struct code code = {0, 0};
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");

    assert_non_null(maps);
    while (code.end == 0 && fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, "liblmdb") == NULL || strstr(line, " r-xp ") == NULL)
            continue;
        assert_int_equal(sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &code.begin, &code.end), 2);
    }
    (void)fclose(maps);
    assert_true(code.end > code.begin);
    return code;
}

/* Lets the reader do so many instructions of LMDB while it begins; false: it has begun before. */
static bool step(const struct stage *stage, struct code code, unsigned instructions)
{
    for (unsigned done = 0; atomic_load(stage->is_beginning);) {
        uintptr_t at = instruction_of(stage);
        if (at >= code.begin && at < code.end && done++ == instructions)
            return true;
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, stage->thread, 0, 0), 0);
        wait_for_trap(stage);
    }
    return false;
}

static void a_reader_sees_the_commit_it_names_wherever_it_waits(void **state)
{
    struct stage stage;
    struct code code = code_of_lmdb();
    unsigned instructions = 0;
    char done;
    (void)state;

    stage_open(&stage);
    for (bool is_inside = true; is_inside; instructions++) {
        struct seen seen = {0, 0};
        assert_true(instructions < STEPS_MAX);
        ask(&stage.reader);
        wait_for_trap(&stage);
        is_inside = step(&stage, code, instructions);
        ask(&stage.writer);
        hear(&stage.writer, &done, 1);
        assert_int_equal(ptrace(PTRACE_CONT, stage.thread, 0, 0), 0);
        hear(&stage.reader, &seen, sizeof seen);
        if (seen.value != seen.snapshot)
            fail_msg("after %u instructions: commit %" PRIu64 " shows what %" PRIu64 " wrote",
                     instructions, seen.snapshot, seen.value);
    }
    assert_true(instructions > 50); /* it was somewhere between */
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_sees_the_commit_it_names_wherever_it_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
