/* kpiload: sends a load whose exact totals are known, so that loss and double counting show. */
#include <stdio.h>

#include "native.h"
#include "options.h"
#include "totals.h"

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int complain(const struct error *err, enum exit_code code)
{
    (void)fprintf(stderr, "kpiload: %s\n", err->text);
    if (err->hint[0] != '\0')
        (void)fprintf(stderr, "  hint: %s\n", err->hint);
    return (int)code;
}

/* Everything is rendered before the clock starts. */
static bool run(const struct load_options *options, struct error *err)
{
    struct payload payload;
    struct sender_result result;
    double started = monotonic_s();

    payload_render(&payload, &options->payload);
    double render_s = monotonic_s() - started;
    bool is_native = options->payload.encoding.protocol == LOAD_NATIVE;
    bool ok = is_native ? native_run(options, &payload, &result, err)
                        : sender_run(&options->sender, &payload, options->repeat, &result, err);
    if (ok)
        totals_print(options, &payload, &result, render_s);
    if (ok && options->totals_path != NULL)
        ok = payload_write_totals(&payload, &options->payload, options->repeat,
                                  options->totals_path, err);
    payload_fini(&payload);
    return ok;
}

int main(int argc, char **argv)
{
    struct load_options options;
    struct error err = ERROR_EMPTY;

    if (!options_read(argc, argv, &options, &err))
        return complain(&err, EXIT_USAGE);
    if (options.help)
        options_print_help();
    else if (options.version)
        (void)printf("kpiload %s\n", KPID_VERSION);
    else if (!run(&options, &err))
        return complain(&err, EXIT_FAILED);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        (void)fprintf(stderr, "kpiload: cannot write to the standard output\n");
        return (int)EXIT_FAILED;
    }
    return (int)EXIT_DONE;
}
