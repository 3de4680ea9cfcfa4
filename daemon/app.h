/* The whole daemon: builds the parts in order, connects them, reloads, stops.
 *
 * Read this first: it shows who talks to whom. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"

/* Runs kpid on a configuration until SIGTERM or SIGINT; takes the configuration over. False when it
 * could not start; then nothing stays open and nothing was damaged. */
bool app_run(struct config *config, struct error *err);
