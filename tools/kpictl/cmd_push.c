/* kpictl push NAME=VALUE [LABEL=VALUE ...]: one sample, answered when it is stored; kpictl push -:
 * many. Over HTTP, or with --to by kpid's own protocol. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "command.h"
#include "push_lines.h"
#include "push_sample.h"
#include "push_sink.h"

static bool read_operands(const struct invocation *invocation, struct push_sample *out)
{
    struct str words[OPERANDS_MAX];
    struct error err = ERROR_EMPTY;

    for (size_t i = 0; i < invocation->operand_count; i++)
        words[i] = str_of(invocation->operands[i]);
    if (push_sample_of_words(words, invocation->operand_count, out, &err))
        return true;
    (void)usage_error(invocation, "%s", err.text);
    return false;
}

/* --- one sample over HTTP --- */

static void write_body(const struct invocation *invocation, const struct push_sample *sample,
                       struct buf *body)
{
    struct json json = json_to(body);

    json_open(&json, '{');
    json_key(&json, "samples");
    json_open(&json, '[');
    json_open(&json, '{');
    json_field_str(&json, "name", sample->name);
    json_field_str(&json, "value", sample->value); /* as text: kpid reads the number itself */
    if (option(invocation, "type") != NULL)
        json_field_text(&json, "type", option(invocation, "type"));
    if (option(invocation, "at") != NULL)
        json_field_text(&json, "at", option(invocation, "at"));
    if (option(invocation, "id") != NULL)
        json_field_text(&json, "id", option(invocation, "id"));
    if (sample->label_count > 0) {
        json_key(&json, "labels");
        push_write_labels(&json, sample);
    }
    json_close(&json, '}');
    json_close(&json, ']');
    json_close(&json, '}');
}

static void print_one(bool is_dropped)
{
    (void)printf(is_dropped ? "dropped 1 sample; 'kpictl ingest' counts why\n"
                            : "stored 1 sample\n");
}

static void print_stored(const struct json_t *answer)
{
    print_one(field_count(answer, "dropped") > 0);
}

static enum exit_code push_one(const struct invocation *invocation,
                               const struct push_sample *sample)
{
    struct buf body = BUF_EMPTY;

    write_body(invocation, sample, &body);
    char *text = buf_take_text(&body);
    enum exit_code code = ask_and_print(invocation, "/api/v1/push", text, print_stored);
    free(text);
    return code;
}

/* --- through a sink --- */

static void print_json(const struct push_sink *sink, unsigned long long unanswered)
{
    const struct push_counts *counts = &sink->counts;
    struct buf body = BUF_EMPTY;
    struct json json = json_to(&body);

    json_open(&json, '{');
    json_field_u64(&json, "samples", counts->taken);
    json_field_u64(&json, "stored", counts->stored);
    json_field_u64(&json, "repeated", counts->repeated);
    json_field_u64(&json, "dropped", counts->dropped);
    json_field_u64(&json, "rejected", counts->rejected);
    json_field_u64(&json, "bad", counts->bad);
    json_field_u64(&json, "unanswered", unanswered);
    json_close(&json, '}');
    (void)printf("%.*s\n", STR_ARGS(buf_view(&body)));
    buf_fini(&body);
}

static void print_counts(const struct push_sink *sink, unsigned long long unanswered)
{
    const struct push_counts *counts = &sink->counts;

    (void)printf("%llu stored, %llu rejected", counts->stored, counts->rejected);
    if (counts->repeated > 0)
        (void)printf(", %llu were stored before the connection broke", counts->repeated);
    if (counts->dropped > 0)
        (void)printf(", %llu dropped", counts->dropped);
    if (counts->bad > 0)
        (void)printf(", %llu wrong", counts->bad);
    if (unanswered > 0)
        (void)printf(", %llu not acknowledged", unanswered);
    (void)printf("\n");
}

/* What nobody knows whether kpid has it; `lines` (0: all) were taken of the input. */
static void tell_unanswered(const struct push_waiting *waiting, bool is_one, uint64_t lines)
{
    if (push_signal() != 0)
        push_tell(0, "interrupted");
    if (is_one && waiting->samples > 0)
        (void)fprintf(stderr, "  hint: the sample is not acknowledged; kpid may have stored it\n");
    else if (waiting->samples == 1)
        (void)fprintf(stderr, "  hint: line %llu is not acknowledged; kpid may have stored it\n",
                      (unsigned long long)waiting->first_line);
    else if (waiting->samples > 0)
        (void)fprintf(stderr,
                      "  hint: %llu samples are not acknowledged, from line %llu to line %llu; "
                      "kpid may have stored\n  some of them\n",
                      waiting->samples, (unsigned long long)waiting->first_line,
                      (unsigned long long)waiting->last_line);
    if (lines > 0)
        (void)fprintf(stderr, "  hint: the lines after line %llu were not sent\n",
                      (unsigned long long)lines);
}

static void print_result(const struct push_sink *sink, bool is_one, unsigned long long unanswered)
{
    const struct push_counts *counts = &sink->counts;

    if (sink->invocation->json)
        print_json(sink, unanswered);
    else if (!is_one)
        print_counts(sink, unanswered);
    else if (counts->rejected == 0 && counts->bad == 0 && unanswered == 0)
        print_one(counts->dropped > 0);
}

/* A signal ends kpictl as it would have without being remembered. */
static void end_by_signal(void)
{
    int number = push_signal();

    if (number == 0)
        return;
    (void)fflush(stdout);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static enum exit_code push_all(struct push_sink *sink, const struct push_sample *one)
{
    uint64_t lines = 0;

    push_catch_signals();
    enum exit_code code = one != NULL ? sink->way->add(sink, one, 0) : push_lines(sink, &lines);
    bool is_read = code == EXIT_DONE && push_signal() == 0;
    if (is_read || code == EXIT_USAGE) {
        /* What was read before the input broke is stored, too. */
        enum exit_code end = sink->way->finish(sink);
        code = end == EXIT_DONE ? code : end;
    }
    struct push_waiting waiting = sink->way->waiting(sink);
    if (code != EXIT_DONE || push_signal() != 0)
        tell_unanswered(&waiting, one != NULL, is_read ? 0 : lines);
    print_result(sink, one != NULL, waiting.samples);
    end_by_signal();
    if (code != EXIT_DONE)
        return code;
    if (sink->counts.rejected > 0)
        return EXIT_REFUSED;
    if (sink->counts.bad > 0)
        return one != NULL ? EXIT_USAGE : EXIT_FINDING;
    return EXIT_DONE;
}

static bool id_is_possible(const struct invocation *invocation, bool is_many)
{
    if (option(invocation, "id") == NULL)
        return true;
    if (is_many)
        (void)usage_error(invocation, "'--id' is of one sample, not of those of standard input");
    else if (option(invocation, "to") != NULL)
        (void)usage_error(invocation, "'--id' goes over HTTP alone: with '--to' kpid knows batches "
                                      "by the connection's producer, and would count the same id "
                                      "again");
    else
        return true;
    return false;
}

static enum exit_code run(const struct invocation *invocation)
{
    bool is_many = strcmp(invocation->operands[0], "-") == 0;
    bool is_native = option(invocation, "to") != NULL;
    struct push_sample sample;

    if (is_many && invocation->operand_count > 1)
        return usage_error(invocation, "'-' takes no labels: each line has its own");
    if (!id_is_possible(invocation, is_many))
        return EXIT_USAGE;
    if (!is_many && !read_operands(invocation, &sample))
        return EXIT_USAGE;
    if (!is_many && !is_native)
        return push_one(invocation, &sample);
    struct push_sink *sink = is_native ? push_native_new(invocation) : push_http_new(invocation);
    if (sink == NULL)
        return EXIT_USAGE;
    enum exit_code code = push_all(sink, is_many ? NULL : &sample);
    sink->way->free(sink);
    return code;
}

const struct command COMMAND_PUSH = {
    .name = "push",
    .operands = "NAME=VALUE [LABEL=VALUE...] | -",
    .help = "stores one sample: kpictl push leads=12 source=fair",
    .more =
        "It returns when the sample is stored. A declared type beats '--type'. With '-' samples "
        "come from\nstandard input, one a line; '#' begins a comment.",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .options = {{"at", 0, OPTION_TEXT, "T", "its time (now)"},
                {"id", 0, OPTION_TEXT, "ID", "the same push with it counts once"},
                {"to", 0, OPTION_TEXT, "ADDRESS",
                 "a listener of kpid's own protocol: tcp:HOST:PORT, tls:HOST:PORT or unix:PATH"},
                {"type", 0, OPTION_TEXT, "TYPE",
                 "counter, gauge, distribution, unique, score or untyped (untyped)"}},
    .run = run,
};
