/* How often each name occurs: for requests that must not name a thing twice, however many they name. */
#ifndef BASE_NAMES_H
#define BASE_NAMES_H

#include "base/arena.h"

struct names;
/* Lives as long as the arena's content; names are borrowed as long. */
struct names *names_create(struct arena *arena);
/* How often it was there before. */
int names_add(struct names *names, struct slice name);
int names_count(const struct names *names, struct slice name);

#endif
