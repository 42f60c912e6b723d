/* Java .properties text: comments, `key=value` / `key: value`, continued lines, escapes. For
 * server.properties and meta.properties. */
#ifndef BASE_PROPERTIES_H
#define BASE_PROPERTIES_H

#include "base/arena.h"
#include "base/err.h"

struct property {
    struct slice key, value; /* unescaped; NUL-terminated; in the arena */
    int line;                /* from 1 */
};
struct properties {
    struct property *items; /* in file order; a repeated key is there twice, the last wins */
    int count;
};

/* ERR_INVALID with *ret_line set when the text is malformed (bad \u escape). */
enum err properties_parse(struct arena *arena, struct slice text, struct properties *ret_properties, int *ret_line) MUST_USE;
/* The last value of the key; null slice when it is missing. */
struct slice properties_get(const struct properties *properties, const char *key);

#endif
