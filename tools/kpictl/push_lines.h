/* Samples from standard input, one a line. */
#pragma once

#include "push_sink.h"

/* Until the end of the input, a signal or a failure; `*lines` is how many were taken. What is not
 * sent yet stays in the sink. */
enum exit_code push_lines(struct push_sink *sink, uint64_t *lines);
