/* Any bytes where a token, a network or a file of tokens is read: nothing is read beyond them, a
 * network that is taken has the address it is named after, and a token that is shown is never
 * empty when something was shown. The first byte says which. */
#include <stdlib.h>
#include <string.h>

#include "ingest/access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_network(struct str text)
{
    struct network network;
    struct error err = ERROR_EMPTY;

    if (network_parse(text, &network, &err)) {
        require(network.bits <= 128);
        require(network_has(&network, &network.address));
    } else {
        require(err.text[0] != '\0' && err.hint[0] != '\0');
    }
}

static void fuzz_request(struct str text)
{
    struct str query = text;
    struct str authorization = str_split(&query, '\n');
    struct buf room = BUF_EMPTY;
    struct str token = access_token_of(authorization, query, &room);

    require(token.len > 0 || str_trim(authorization).len == 0);
    require(token.len <= text.len + 1);
    require(token_table_find(NULL, token) == NULL);
    buf_fini(&room);
}

static void fuzz_file(struct str text)
{
    struct arena arena = ARENA_EMPTY;
    struct error err = ERROR_EMPTY;
    struct token *tokens = NULL;
    size_t count = 0;

    if (token_file_parse(text, &arena, &tokens, &count, &err)) {
        struct token_table *table = token_table_new(tokens, count, NULL);
        require(token_table_count(table) == count && count <= TOKENS_MAX);
        for (size_t i = 0; i < count; i++)
            require(token_name_check(str_of(token_table_at(table, i)->name), &err));
        token_table_release(table);
    } else {
        require(err.text[0] != '\0');
    }
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(struct str text) = {fuzz_network, fuzz_request, fuzz_file};

    if (size == 0)
        return 0;
    char *copy = malloc(size); /* of exactly this size, for the sanitizer */
    require(copy != NULL);
    memcpy(copy, data, size);
    readers[data[0] % 3]((struct str){copy + 1, size - 1});
    free(copy);
    return 0;
}
