/* The log that the shim writes (tests/faults/shim.c): records one after the other, in the order in
 * which things happened. Little-endian, as the machine that runs the tests. */
#pragma once

#include <stdint.h>

enum shim_what {
    SHIM_WRITE = 1,  /* `length` bytes at `offset` of the data file: they follow */
    SHIM_WRITE_SYNC, /* the same, durable when the call has returned (O_DSYNC) */
    SHIM_SYNC,       /* all that was written before is durable */
    SHIM_TRUNCATE,   /* the data file has `offset` bytes from now on */
    SHIM_ACKS,       /* `length` bytes went to the file of acknowledgements: they follow */
};

struct shim_record {
    uint64_t what;
    uint64_t offset;
    uint64_t length;
};
