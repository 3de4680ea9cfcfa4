/* Arguments and exit code, nothing else. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app.h"
#include "base/log.h"

enum exit_code { EXIT_DONE = 0, EXIT_FINDING = 1, EXIT_USAGE = 2 };

static const char DEFAULT_PATH[] = "/etc/kpid/kpid.yaml";

enum action { ACTION_RUN, ACTION_CHECK, ACTION_PRINT };

static void print_usage(FILE *out)
{
    (void)fputs("usage: kpid -c FILE [--check | --print-config]\n"
                "\n"
                "  -c, --config FILE   the configuration (default /etc/kpid/kpid.yaml)\n"
                "      --check         print every mistake and warning of FILE, then end\n"
                "      --print-config  print what is in force, with all defaults, then end\n"
                "      --json-schema   print the language as a JSON Schema, for editors\n"
                "      --man-keys      print the key reference of kpid.yaml(5) in mdoc\n"
                "      --version       print the version\n"
                "  -h, --help          print this\n"
                "\n"
                "SIGHUP reloads the configuration, SIGTERM stops. See kpid(8).\n",
                out);
}

static bool write_all(const struct buf *text, FILE *out)
{
    return text->len == 0 ||
           (fwrite(text->bytes, 1, text->len, out) == text->len && fflush(out) == 0);
}

static void print_findings(const struct findings *findings)
{
    struct buf text = BUF_EMPTY;

    for (size_t i = 0; i < findings->count; i++)
        finding_format(&findings->items[i], &text);
    (void)write_all(&text, stderr);
    buf_fini(&text);
}

static int print_generated(void (*generate)(struct buf *out))
{
    struct buf text = BUF_EMPTY;

    generate(&text);
    int code = write_all(&text, stdout) ? EXIT_DONE : EXIT_FINDING;
    buf_fini(&text);
    return code;
}

static int print_config(const struct config *config)
{
    struct buf text = BUF_EMPTY;

    config_print(config, &text);
    int code = write_all(&text, stdout) ? EXIT_DONE : EXIT_FINDING;
    buf_fini(&text);
    return code;
}

static int print_error(const struct error *err)
{
    (void)fprintf(stderr, "kpid: %s\n", err->text);
    if (err->hint[0] != '\0')
        (void)fprintf(stderr, "  hint: %s\n", err->hint);
    return EXIT_FINDING;
}

static int run(struct config *config)
{
    struct error err = ERROR_EMPTY;
    return app_run(config, &err) ? EXIT_DONE : print_error(&err);
}

/* A file that is not there is no mistake in it. */
static int print_unreadable(const char *path)
{
    struct error err = ERROR_EMPTY;

    (void)error_set_errno(&err, "cannot read configuration '%s'", path);
    if (strcmp(path, DEFAULT_PATH) == 0)
        (void)error_hint(&err, "name your own with -c FILE; README.md and kpid.yaml(5) show some");
    return print_error(&err);
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void print_summary(const struct config *config, const char *path, size_t warnings)
{
    size_t kpis = config->kpis.count;
    size_t rules = config->rules.count;
    size_t hooks = config->hooks.count;
    size_t listeners = config->ingest.listener_count;

    (void)printf("%s: ok: %zu KPI%s, %zu rule%s, %zu hook%s, %zu listener%s, %zu warning%s\n", path,
                 kpis, plural(kpis), rules, plural(rules), hooks, plural(hooks), listeners,
                 plural(listeners), warnings, plural(warnings));
}

static int load_and_act(const char *path, enum action action)
{
    struct findings findings = FINDINGS_EMPTY;

    if (access(path, R_OK) != 0)
        return print_unreadable(path);
    struct config *config = config_load(path, &findings);
    size_t warnings = findings.count - findings.errors;
    size_t errors = findings.errors;

    print_findings(&findings);
    findings_fini(&findings);
    if (config == NULL) {
        (void)fprintf(stderr, "kpid: '%s' has %zu mistake%s\n", path, errors, plural(errors));
        return EXIT_FINDING;
    }
    if (action == ACTION_RUN)
        return run(config); /* takes the configuration over */

    int code = EXIT_DONE;
    if (action == ACTION_PRINT)
        code = print_config(config);
    else
        print_summary(config, path, warnings);
    config_free(config);
    return code;
}

int main(int argc, char **argv)
{
    enum { OPTION_CHECK = 256, OPTION_PRINT, OPTION_SCHEMA, OPTION_MAN, OPTION_VERSION };
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, OPTION_CHECK},
                                            {"print-config", no_argument, NULL, OPTION_PRINT},
                                            {"json-schema", no_argument, NULL, OPTION_SCHEMA},
                                            {"man-keys", no_argument, NULL, OPTION_MAN},
                                            {"version", no_argument, NULL, OPTION_VERSION},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *path = DEFAULT_PATH;
    enum action action = ACTION_RUN;
    int option = 0;

    log_open();
    /* No other thread runs yet: NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case OPTION_CHECK:
            action = ACTION_CHECK;
            break;
        case OPTION_PRINT:
            action = ACTION_PRINT;
            break;
        case OPTION_SCHEMA:
            return print_generated(config_json_schema);
        case OPTION_MAN:
            return print_generated(config_man_keys);
        case OPTION_VERSION:
            (void)printf("kpid %s\n", KPID_VERSION);
            return EXIT_DONE;
        case 'h':
            print_usage(stdout);
            return EXIT_DONE;
        default:
            print_usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind != argc) {
        (void)fprintf(stderr, "kpid: unexpected argument '%s'\n", argv[optind]);
        print_usage(stderr);
        return EXIT_USAGE;
    }
    return load_and_act(path, action);
}
