/* kpictl: shows what kpid knows, and pushes samples into it. */
#include <locale.h>
#include <stdio.h>

#include "command.h"

int main(int argc, char **argv)
{
    struct invocation invocation;
    /* For the widths of characters alone: numbers stay as they are. What kpid sends is UTF-8, also
     * where no locale is set, as in containers. */
    locale_t characters = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

    if (characters != (locale_t)0)
        (void)uselocale(characters);
    if (!command_read(argc, argv, &invocation))
        return EXIT_USAGE;
    if (invocation.help) {
        command_print_help(invocation.command);
        return EXIT_DONE;
    }
    enum exit_code code = invocation.command->run(&invocation);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        (void)fprintf(stderr, "kpictl: cannot write to the standard output\n");
        return EXIT_FINDING;
    }
    return (int)code;
}
