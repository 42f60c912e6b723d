/* Subscriptions' expressions: what they match, and what is none. */
#include "coordinator/regex.h"
#include "tests/unit/test.h"

static int matches(const char *pattern, const char *text) { /* -1: it is none */
    const char *reason;
    struct regex *regex = regex_create(pattern, strlen(pattern), &reason);
    int result = regex ? regex_matches(regex, text, strlen(text)) : -1;
    regex_destroy(regex);
    return result;
}

TEST(the_whole_name_must_match) {
    EXPECT_INT(matches("a.*", "abc"), 1);
    EXPECT_INT(matches("a", "abc"), 0);
    EXPECT_INT(matches("^a.*$", "abc"), 1);
    EXPECT_INT(matches("a|abc", "abc"), 1);
    EXPECT_INT(matches("(?i)ABC", "abc"), 1);
    EXPECT_INT(matches("\\d+-\\pL", "12-x"), 1);
    EXPECT_INT(matches("", ""), 1);
}

TEST(groups_have_names_in_either_way) {
    EXPECT_INT(matches("(?<n>a)b", "ab"), 1);
    EXPECT_INT(matches("(?P<n>a)b", "ab"), 1);
    EXPECT_INT(matches("[(?<n>]*", "(?<n>"), 1);
    EXPECT_INT(matches("[]](?<n>a)", "]a"), 1);
    EXPECT_INT(matches("[^]a](?<n>a)", "ba"), 1);
    EXPECT_INT(matches("\\Q(?<n>\\E(?<n>a)", "(?<n>a"), 1);
    EXPECT_INT(matches("\\((?<n>a)", "(a"), 1);
    EXPECT_INT(matches("(?<n>a)(?<n>b)", "ab"), -1);
    EXPECT_INT(matches("(?<=a)b", "ab"), -1);
    EXPECT_INT(matches("(?<", "a"), -1);
}

TEST_MAIN
