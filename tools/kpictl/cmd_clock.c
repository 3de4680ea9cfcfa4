/* kpictl clock: whether kpid trusts the clock, and to say that it is right. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

static void print_clock(const json_t *answer)
{
    if (field_text(answer, "reason", NULL) != NULL)
        (void)printf("%s\n  hint: %s\n", field_text(answer, "reason", ""),
                     field_text(answer, "hint", ""));
    else
        (void)printf("the clock is trusted\n");
}

static enum exit_code run(const struct invocation *invocation)
{
    struct client_answer answer;
    bool accept = invocation->operand_count > 0;

    if (accept && strcmp(invocation->operands[0], "accept") != 0)
        return usage_error(invocation, "'clock' can 'accept', not '%s'", invocation->operands[0]);
    int code = client_call(&invocation->client, "/api/v1/store/clock",
                           accept ? "{\"accept\":true}" : NULL, &answer);
    if (code != EXIT_DONE)
        return (enum exit_code)code;
    if (field_text(answer.json, "reason", NULL) != NULL)
        code = EXIT_FINDING;
    if (invocation->json)
        (void)fwrite(answer.body.bytes, 1, answer.body.len, stdout);
    else
        print_clock(answer.json);
    client_answer_fini(&answer);
    return (enum exit_code)code;
}

const struct command COMMAND_CLOCK = {
    .name = "clock",
    .operands = "[accept]",
    .help = "whether kpid trusts the system's clock; 'accept' says that it is right",
    .more = "While it is not trusted nothing is closed or expired; after a jump of more than 31 "
            "days ahead\nretention waits for 'accept'. The exit code is 1 then.",
    .operands_max = 1,
    .run = run,
};
