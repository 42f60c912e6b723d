/* Unit tests: a program a file. TEST(name_is_a_sentence) { ... EXPECT(...); } and TEST_MAIN at the end.
 * Every program of the test suite, in any language, prints one line a test:
 *     ok NAME      FAIL NAME: why      SKIP NAME: why
 * and tests/run counts them. A program that exits non-zero or is killed counts as one more failure. */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*fn)(void);
    struct test *next;
};
static struct test *test_first, **test_last = &test_first;
static jmp_buf test_exit;
static int test_failures;
static const char *test_current;

#define TEST(test_name)                                                                    \
    static void test_name(void);                                                           \
    static struct test test_name##_entry = {#test_name, test_name, NULL};                  \
    __attribute__((constructor)) static void test_name##_add(void) {                       \
        *test_last = &test_name##_entry;                                                   \
        test_last = &test_name##_entry.next;                                               \
    }                                                                                      \
    static void test_name(void)

#define TEST_FAIL(...)                                                                     \
    do {                                                                                   \
        printf("FAIL %s: %s:%d: ", test_current, __FILE__, __LINE__);                      \
        printf(__VA_ARGS__);                                                               \
        printf("\n");                                                                      \
        longjmp(test_exit, 1);                                                             \
    } while (0)
#define EXPECT(cond)                                                                       \
    do {                                                                                   \
        if (!(cond))                                                                       \
            TEST_FAIL("%s", #cond);                                                        \
    } while (0)
#define EXPECT_INT(actual, expected)                                                       \
    do {                                                                                   \
        long long a_ = (long long)(actual), e_ = (long long)(expected);                    \
        if (a_ != e_)                                                                      \
            TEST_FAIL("%s is %lld, not %lld", #actual, a_, e_);                            \
    } while (0)
#define EXPECT_STR(actual, expected)                                                       \
    do {                                                                                   \
        const char *a_ = (actual), *e_ = (expected);                                       \
        if (strcmp(a_, e_) != 0)                                                           \
            TEST_FAIL("%s is \"%s\", not \"%s\"", #actual, a_, e_);                        \
    } while (0)

/* In a function of its own, so that no variable of the loop is live across setjmp(). */
static inline void test_run(const struct test *test) {
    test_current = test->name;
    if (setjmp(test_exit)) {
        test_failures++;
        return;
    }
    test->fn();
    printf("ok %s\n", test->name);
}

#define TEST_MAIN                                                                          \
    int main(int argc, char **argv) {                                                      \
        setvbuf(stdout, NULL, _IOLBF, 0);                                                  \
        for (struct test *test = test_first; test; test = test->next)                      \
            if (argc < 2 || strstr(test->name, argv[1]))                                   \
                test_run(test);                                                            \
        return test_failures ? EXIT_FAILURE : EXIT_SUCCESS;                                \
    }

#endif
