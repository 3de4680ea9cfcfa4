/* Loads configurations for tests, and compares what was found with what was expected. */
#pragma once

#include <stdlib.h>

#include "config/config.h"
#include "test.h"

/* Findings as kpid prints them, in a text that the caller frees. */
static inline char *findings_text(const struct findings *findings)
{
    struct buf out = BUF_EMPTY;

    for (size_t i = 0; i < findings->count; i++)
        finding_format(&findings->items[i], &out);
    return buf_take_text(&out);
}

/* The configuration of a text in which nothing is wrong; `warnings` are what it prints. */
static inline struct config *load_good(const char *text, const char *warnings)
{
    struct findings findings = FINDINGS_EMPTY;
    struct config *config = config_load_text(str_of(text), "kpid.yaml", &findings);
    char *found = findings_text(&findings);

    assert_string_equal(found, warnings);
    assert_non_null(config);
    free(found);
    findings_fini(&findings);
    return config;
}

/* A text that is refused, and everything that is said about it. */
static inline void expect_findings(const char *text, const char *expected)
{
    struct findings findings = FINDINGS_EMPTY;
    struct config *config = config_load_text(str_of(text), "kpid.yaml", &findings);
    char *found = findings_text(&findings);

    assert_string_equal(found, expected);
    assert_null(config);
    free(found);
    findings_fini(&findings);
}
