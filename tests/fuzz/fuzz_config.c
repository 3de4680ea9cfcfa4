/* Any text as a configuration: it loads or is refused with findings; what loads is printed, loads
 * again and prints the same. */
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* NULL when it is refused. */
static char *print(struct str text)
{
    struct findings findings = FINDINGS_EMPTY;
    struct config *config = config_load_text(text, "kpid.yaml", &findings);
    struct buf out = BUF_EMPTY;
    char *printed = NULL;

    if ((config == NULL) != (findings.errors > 0))
        abort();
    for (size_t i = 0; i < findings.count; i++)
        finding_format(&findings.items[i], &out);
    buf_clear(&out);
    if (config != NULL) {
        config_print(config, &out);
        printed = buf_take_text(&out);
    }
    buf_fini(&out);
    config_free(config);
    findings_fini(&findings);
    return printed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *once = print((struct str){(const char *)data, size});
    char *twice = once == NULL ? NULL : print(str_of(once));

    if (once != NULL && (twice == NULL || strcmp(once, twice) != 0))
        abort();
    free(once);
    free(twice);
    return 0;
}
