#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *cond, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "FATAL %s:%d: check failed: %s", file, line, cond);
    vfprintf(stderr, fmt, args); /* begins with a blank, see check() */
    fputc('\n', stderr);
    va_end(args);
    abort();
}
