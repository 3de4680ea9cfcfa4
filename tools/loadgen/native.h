/* A load by kpid's own protocol: each unit of the payload is a batch, each connection a producer
 * (libkpid-client). What is not acknowledged is sent again, so that in the end all of it counts
 * once. */
#pragma once

#include "options.h"

/* False also when a sample is refused. */
bool native_run(const struct load_options *options, const struct payload *payload,
                struct sender_result *result, struct error *err);
