/* What a thread does in the midst of a long body. */
#pragma once

#include <stddef.h>

/* Lets the thread do in between what cannot wait until a long body is read: datagrams, which the
 * kernel drops when nobody takes them. What is called does not touch the body. */
struct body_pause {
    void (*call)(void *arg); /* NULL: nothing */
    void *arg;
};

static inline void body_pause(const struct body_pause *pause)
{
    if (pause->call != NULL)
        pause->call(pause->arg);
}
