/* The command line of kpiload. */
#pragma once

#include "payload.h"
#include "sender.h"

struct load_options {
    struct payload_options payload;
    struct sender_options sender;
    uint64_t repeat;
    const char *totals_path; /* NULL without */
    bool json;
    bool help;
    bool version;
};

/* Reads all of it, checks it and fills in defaults. */
bool options_read(int argc, char **argv, struct load_options *out, struct error *err);

void options_print_help(void);
