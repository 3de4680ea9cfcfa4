/* kpictl version. */
#include <stdio.h>

#include "base/json.h"
#include "command.h"

static enum exit_code run(const struct invocation *invocation)
{
    struct buf out = BUF_EMPTY;

    if (invocation->json) {
        struct json json = json_to(&out);
        json_open(&json, '{');
        json_field_text(&json, "version", KPID_VERSION);
        json_close(&json, '}');
    } else {
        buf_text(&out, "kpictl " KPID_VERSION);
    }
    (void)printf("%.*s\n", STR_ARGS(buf_view(&out)));
    buf_fini(&out);
    return EXIT_DONE;
}

const struct command COMMAND_VERSION = {
    .name = "version",
    .operands = "",
    .help = "the version of kpictl",
    .run = run,
};
