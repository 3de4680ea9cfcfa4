/* Who brings the series of a shard. */
#include <stdlib.h>

#include "base/memory.h"
#include "series/shard_private.h"

enum { LISTENERS_MAX = UINT16_MAX };

/* There are few, and they are those of configurations. */
static uint16_t number_of(struct shard *shard, struct str listener)
{
    for (size_t i = 0; i < shard->listener_count; i++) {
        if (str_equal(shard->listeners[i], listener))
            return (uint16_t)(i + 1);
    }
    if (listener.len == 0 || shard->listener_count == LISTENERS_MAX)
        return 0;
    shard->listeners =
        memory_grow(shard->listeners, shard->listener_count + 1, sizeof *shard->listeners);
    shard->listeners[shard->listener_count++] =
        (struct str){memory_copy(listener.text, listener.len), listener.len};
    return (uint16_t)shard->listener_count;
}

void shard_set_listener(struct shard *shard, struct str listener)
{
    if (!str_equal(listener_name(shard, shard->listener), listener))
        shard->listener = number_of(shard, listener);
}

bool listener_is_full(const struct shard *shard)
{
    return shard->listener != 0 &&
           room_listener_is_full(shard->limits.room, listener_name(shard, shard->listener),
                                 buf_view(&shard->key));
}

void listeners_fini(struct shard *shard)
{
    for (size_t i = 0; i < shard->listener_count; i++)
        free((char *)shard->listeners[i].text);
    free(shard->listeners);
}
