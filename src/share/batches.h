/* What is stored of records that a share group is not done with: ranges with a state and a count of deliveries, and how a
 * new word about a range is put over an older one. */
#ifndef SHARE_BATCHES_H
#define SHARE_BATCHES_H

#include <stdbool.h>
#include <stdint.h>

enum share_state { SHARE_AVAILABLE = 0, SHARE_ACQUIRED = 1, SHARE_ACKNOWLEDGED = 2, SHARE_ARCHIVED = 4 }; /* as on disk; ACQUIRED never is */

struct share_batch {
    int64_t first, last;
    int8_t state;
    int16_t count;
};

static inline bool share_state_is_terminal(int state) {
    return state == SHARE_ACKNOWLEDGED || state == SHARE_ARCHIVED;
}

/* The union of `count` ranges in any order, some of which may overlap: sorted, without overlaps, neighbours that say the
 * same joined. Where two overlap the one with more deliveries holds, then the one with the higher state, so that a late
 * "available" does not undo an acknowledgement. What lies below `start` (-1: nothing does) is cut off.
 * `ret_batches` takes up to share_batches_room(count) ranges, and is not `batches`. */
int share_batches_combine(const struct share_batch *batches, int count, int64_t start, struct share_batch *ret_batches);
static inline int share_batches_room(int count) {
    return 2 * count + 1;
}

#endif
