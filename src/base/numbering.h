/* Numbers for things in the order in which they first come, 0, 1, 2, ...: an answer names a topic once, however the request
 * comes to its partitions, and finds it again without looking through all the others. */
#ifndef BASE_NUMBERING_H
#define BASE_NUMBERING_H

#include "base/arena.h"
#include "base/uuid.h"

struct numbering_key { /* what does not tell the things apart stays zero */
    struct slice name;
    struct uuid id;
    int64_t within; /* the number of what it is a part of, or a number of its own */
};
struct numbering;
/* Lives as long as the arena's content; names are borrowed as long. */
struct numbering *numbering_create(struct arena *arena);
/* The next number when it was not there before. */
int numbering_get(struct numbering *numbering, struct numbering_key key);

#endif
