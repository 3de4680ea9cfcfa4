#include "push_sink.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

void push_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

int push_signal(void)
{
    return caught;
}

bool push_poll(int fd, short events, int timeout_ms)
{
    struct pollfd waiting[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = fd, .events = events}};
    const struct timespec span = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    sigset_t both;
    sigset_t before;
    int ready = 0;

    /* Blocked between the look and the wait, so that none is slept through. */
    (void)sigemptyset(&both);
    (void)sigaddset(&both, SIGINT);
    (void)sigaddset(&both, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &both, &before);
    if (caught == 0)
        ready = ppoll(waiting, 2, timeout_ms < 0 ? NULL : &span, &before);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ready > 0 && waiting[0].revents != 0;
}

void push_tell(uint64_t line, const char *format, ...)
{
    va_list arguments;

    (void)fputs("kpictl: ", stderr);
    if (line > 0)
        (void)fprintf(stderr, "line %llu: ", (unsigned long long)line);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
}

void push_write_labels(struct json *json, const struct push_sample *sample)
{
    json_open(json, '{');
    for (size_t i = 0; i < sample->label_count; i++) {
        json_key_str(json, sample->labels[i].name);
        json_str(json, sample->labels[i].value);
    }
    json_close(json, '}');
}
