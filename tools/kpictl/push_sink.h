/* Where the samples of `kpictl push` go: over HTTP, or by kpid's own protocol. */
#pragma once

#include "base/json.h"
#include "command.h"
#include "push_sample.h"

enum {
    PUSH_BATCH_SAMPLES = 1000,
    PUSH_BATCH_MS = 1000, /* a batch waits so long for more */
};

/* In samples. */
struct push_counts {
    unsigned long long taken; /* to be sent */
    unsigned long long stored;
    unsigned long long repeated; /* stored by an earlier try, whose answer was lost */
    unsigned long long
        dropped; /* by a rule of mapping, or by the writer: 'kpictl ingest' says why */
    unsigned long long rejected;
    unsigned long long bad; /* lines that are no sample */
};

/* Those that are not answered. */
struct push_waiting {
    unsigned long long samples;
    uint64_t first_line, last_line;
};

struct push_sink;

/* What goes wrong is said on stderr; then nothing more is to be added. A sample that kpid does not
 * want, or that is none, is said and counted, and is no failure. */
struct push_way {
    /* Blocks while too much waits for kpid's answer. */
    enum exit_code (*add)(struct push_sink *sink, const struct push_sample *sample, uint64_t line);
    /* Sends what was added. */
    enum exit_code (*send)(struct push_sink *sink);
    /* Waits until standard input can be read (true in `*can_read`), for `timeout_ms` at most, and
     * takes what answers come meanwhile. */
    enum exit_code (*wait)(struct push_sink *sink, int timeout_ms, bool *can_read);
    /* Sends, and waits for all answers. */
    enum exit_code (*finish)(struct push_sink *sink);
    struct push_waiting (*waiting)(const struct push_sink *sink);
    void (*free)(struct push_sink *sink);
};

struct push_sink {
    const struct push_way *way;
    const struct invocation *invocation;
    struct push_counts counts;
    size_t batch_count; /* samples in the batch that is being filled */
};

/* NULL, with words on stderr. */
struct push_sink *push_http_new(const struct invocation *invocation);
struct push_sink *push_native_new(const struct invocation *invocation);

/* The labels of a sample as a JSON object. */
void push_write_labels(struct json *json, const struct push_sample *sample);

/* "kpictl: line 3: ..."; line 0: of the command line, "kpictl: ...". */
__attribute__((format(printf, 2, 3))) void push_tell(uint64_t line, const char *format, ...);

/* SIGINT and SIGTERM are remembered from now on; a second one ends kpictl at once. */
void push_catch_signals(void);
/* The signal that came; 0. */
int push_signal(void);
/* Waits until `fd` (-1: none) has `events`, standard input can be read, a signal comes or the time
 * is over; a timeout of -1 is none. Whether standard input can be read. */
bool push_poll(int fd, short events, int timeout_ms);
