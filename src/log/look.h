/* Which of the bytes that come out of a segment file may be believed.
 *
 * A checksum covers a batch but for its base offset and leader epoch; a wrong length or magic makes it wrong, too. Base
 * offsets are held against the neighbours': they rise, and mostly leave no gaps. Where two batches overlap one of them lies:
 * the earlier one if there is a gap before it, which it may have been moved out of; else the later.
 *
 *     10-19  [20-29]  30-39 ...      20-29 says 24-33: a gap before it, it overlaps what follows
 *                                    20-29 says 16-25: it overlaps what comes before, which has no gap before it
 *
 * Pure: no file, no log. Leader epochs are believed. */
#ifndef LOG_LOOK_H
#define LOG_LOOK_H

#include "protocol/batch.h"

/* ---- the batch that holds an offset, by headers alone ------------------------------------------------------------------ */

struct look_batch {
    int64_t pos, size;
    int64_t base, last; /* offsets it says; of an old message only `last` is known, and base is the same */
    int64_t floor;      /* what its offsets must reach: behind those of all before it */
};
struct look_find {
    int64_t offset;
    bool bound;              /* looks for the end of a range: what is wrong before it is not what is looked for */
    int64_t floor;
    bool any, bad, held;     /* before, wrong: there is one. held: `before` is it, if what follows does not overlap it */
    struct look_batch before, wrong;
    struct look_batch found; /* the first batch whose last offset is `offset` or above, or a wrong one that may hold it */
    struct look_batch over;  /* the first that one set aside for it overlaps: its own last offset may be what is wrong; size 0: none */
    struct look_batch prior; /* the one before it, which ends below `offset`; size 0: not known */
};
/* May these BATCH_PREFIX_SIZE + BATCH_LENGTH_MIN bytes begin a batch or an old message? */
bool look_header(const uint8_t *header);
/* floor: what the first header's offsets must reach. */
void look_find_init(struct look_find *find, int64_t offset, int64_t floor);
/* Header after header, in order, of which look_header() thinks well; BATCH_HEADER_SIZE bytes, or a whole old message. True:
 * found. */
bool look_find_next(struct look_find *find, int64_t pos, const uint8_t *header);
/* The same for one whose checksum is known to be wrong. */
void look_find_wrong(struct look_find *find, int64_t pos, const uint8_t *header);
/* There are no more. */
bool look_find_end(struct look_find *find);
/* Nothing that was found holds the offset: it lies in a gap, unless the batch before it, whose checksum tells, says too low
 * a last offset. */
static inline bool look_find_is_gap(const struct look_find *find) {
    return find->prior.size && (!find->found.size || find->found.base > find->offset);
}

/* ---- whole batches ---------------------------------------------------------------------------------------------------------- */

/* Of the begin of the bytes: CORRUPT or TRUNCATED, unless there is a whole batch, or message of an old format, whose checksum is right. */
enum err look_check(struct slice bytes) MUST_USE;
/* How many of the bytes are whole batches that may be believed; a part of one may follow. Their offsets reach `floor` and lie
 * below `ceiling`. CORRUPT: a batch that is wrong follows. */
enum err look_at(struct slice bytes, int64_t floor, int64_t ceiling, size_t *ret_good) MUST_USE;

#endif
