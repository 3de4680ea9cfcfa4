/* What kpid says in its own protocol: frames of the answers to a Hello and to batches. */
#pragma once

#include "base/buf.h"
#include "ingest/native.h"

/* The 4 bytes of length before each frame, big-endian. */
enum { NATIVE_LENGTH_SIZE = 4 };
uint32_t native_frame_length(const unsigned char *bytes);

/* All append a frame to `out`. */
void native_say_welcome(struct buf *out, size_t frame_bytes_max, unsigned batches_max);
void native_say_error(struct buf *out, const struct native_error *error);

struct native_ack {
    uint64_t sequence;
    bool repeated; /* then the others mean nothing */
    uint64_t stored, rejected, dropped;
    const struct native_example *examples;
    size_t example_count;
};

void native_say_ack(struct buf *out, const struct native_ack *ack);
