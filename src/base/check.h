/* check() is for our own mistakes: it stays on in release, prints the values and stops the process.
 * Bytes from disk, network or users are never check()ed: they give ERR_CORRUPT or ERR_INVALID.
 * check_slow() walks whole structures and is on in test and simulation builds (MYELIN_SLOW_CHECKS). */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

void check_failed(const char *file, int line, const char *cond, const char *fmt, ...)
    __attribute__((noreturn, cold, format(printf, 4, 5)));

/* check(cond) or check(cond, "format", values...) */
#define check(cond, ...)                                                                   \
    do {                                                                                   \
        if (__builtin_expect(!(cond), 0))                                                  \
            check_failed(__FILE__, __LINE__, #cond, " " __VA_ARGS__);                      \
    } while (0)

#ifdef MYELIN_SLOW_CHECKS
#define check_slow(...) check(__VA_ARGS__)
#else
#define check_slow(...) ((void)0)
#endif

#endif
