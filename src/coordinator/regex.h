/* Regular expressions in RE2's syntax, which subscriptions use (Kafka: RE2/J). The library is C++; this is its C side.
 * Time and memory are linear in the text and bounded in the expression, so that a client's expression can do no harm. */
#ifndef COORDINATOR_REGEX_H
#define COORDINATOR_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct regex;
/* NULL: not an expression; *ret_reason says why, in RE2/J's words, static storage. */
struct regex *regex_create(const char *pattern, size_t size, const char **ret_reason);
/* Does it match the whole text? Any thread. */
bool regex_matches(const struct regex *regex, const char *text, size_t size);
void regex_destroy(struct regex *regex); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
