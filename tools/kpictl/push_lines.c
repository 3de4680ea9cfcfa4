#include "push_lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_BYTES_MAX = 64 * 1024 };

struct line_reader {
    struct push_sink *sink;
    char bytes[LINE_BYTES_MAX];
    size_t len;       /* of `bytes`: what has no line end yet */
    bool is_skipping; /* the rest of a line that is too long */
    uint64_t lines;   /* taken */
    mono_ms begun_at; /* the batch; with samples in it */
    bool has_begun;
    bool is_at_end;
};

static enum exit_code add(struct line_reader *reader, const struct push_sample *sample)
{
    struct push_sink *sink = reader->sink;
    unsigned long long before = sink->counts.taken + sink->counts.bad;
    enum exit_code code = sink->way->add(sink, sample, reader->lines);

    if (sink->counts.taken + sink->counts.bad == before)
        reader->lines--; /* it was not taken */
    return code;
}

static enum exit_code take_line(struct line_reader *reader, struct str line)
{
    struct push_sample sample;
    struct error err = ERROR_EMPTY;

    reader->lines++;
    if (line.len > 0 && line.text[line.len - 1] == '\r')
        line.len--;
    if (push_line_is_silent(line))
        return EXIT_DONE;
    if (push_sample_of_line(line, &sample, &err))
        return add(reader, &sample);
    reader->sink->counts.bad++;
    push_tell(reader->lines, "%s", err.text);
    return EXIT_DONE;
}

/* The beginning of a line that is too long; what follows of it is skipped, too. */
static void skip_long(struct line_reader *reader)
{
    reader->len = 0;
    if (reader->is_skipping)
        return;
    push_tell(reader->lines + 1, "longer than %d bytes", LINE_BYTES_MAX - 1);
    reader->sink->counts.bad++;
    reader->is_skipping = true;
}

static enum exit_code end_line(struct line_reader *reader, struct str line)
{
    if (!reader->is_skipping)
        return take_line(reader, line);
    reader->is_skipping = false;
    reader->lines++;
    return EXIT_DONE;
}

/* A batch is sent when it is full, or has waited long enough. */
static enum exit_code send_what_is_due(struct line_reader *reader)
{
    struct push_sink *sink = reader->sink;
    mono_ms now = clock_mono();

    if (sink->batch_count == 0) {
        reader->has_begun = false;
        return EXIT_DONE;
    }
    if (!reader->has_begun)
        reader->begun_at = now;
    reader->has_begun = true;
    if (sink->batch_count < PUSH_BATCH_SAMPLES && now - reader->begun_at < PUSH_BATCH_MS)
        return EXIT_DONE;
    reader->has_begun = false;
    return sink->way->send(sink);
}

/* The lines that are complete. */
static enum exit_code take_lines(struct line_reader *reader)
{
    enum exit_code code = EXIT_DONE;
    size_t at = 0;

    while (code == EXIT_DONE && push_signal() == 0) {
        const char *begin = reader->bytes + at;
        const char *end = memchr(begin, '\n', reader->len - at);
        if (end == NULL)
            break;
        size_t len = (size_t)(end - begin);
        at += len + 1;
        code = end_line(reader, (struct str){begin, len});
        if (code == EXIT_DONE)
            code = send_what_is_due(reader);
    }
    reader->len -= at;
    memmove(reader->bytes, reader->bytes + at, reader->len);
    if (reader->len == sizeof reader->bytes)
        skip_long(reader);
    return code;
}

static enum exit_code read_some(struct line_reader *reader)
{
    ssize_t got =
        read(STDIN_FILENO, reader->bytes + reader->len, sizeof reader->bytes - reader->len);
    char words[100];

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return EXIT_DONE;
    if (got < 0) {
        push_tell(0, "cannot read standard input: %s",
                  error_errno_words(errno, words, sizeof words));
        return EXIT_USAGE;
    }
    reader->is_at_end = got == 0;
    reader->len += (size_t)got;
    if (got == 0 && (reader->len > 0 || reader->is_skipping))
        return end_line(reader, (struct str){reader->bytes, reader->len});
    return take_lines(reader);
}

static int timeout_ms(const struct line_reader *reader)
{
    if (!reader->has_begun)
        return -1;
    mono_ms left = reader->begun_at + PUSH_BATCH_MS - clock_mono();
    return left < 0 ? 0 : (int)left;
}

enum exit_code push_lines(struct push_sink *sink, uint64_t *lines)
{
    struct line_reader reader = {.sink = sink};
    enum exit_code code = EXIT_DONE;

    while (code == EXIT_DONE && !reader.is_at_end && push_signal() == 0) {
        bool can_read = false;
        code = sink->way->wait(sink, timeout_ms(&reader), &can_read);
        if (code == EXIT_DONE && can_read)
            code = read_some(&reader);
        if (code == EXIT_DONE)
            code = send_what_is_due(&reader);
    }
    *lines = reader.lines;
    return code;
}
