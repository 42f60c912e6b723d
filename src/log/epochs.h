/* Which leader epoch began at which offset of a log: `leader-epoch-checkpoint`. Ascending in both. */
#ifndef LOG_EPOCHS_H
#define LOG_EPOCHS_H

#include "base/buf.h"
#include "base/err.h"

struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};
struct epochs { /* zero-initialised is empty */
    struct epoch_entry *entries;
    int count, capacity;
};

void epochs_deinit(struct epochs *epochs);
/* Notes that `epoch` begins at the offset, when it is newer than all known. True when something changed. */
bool epochs_assign(struct epochs *epochs, int32_t epoch, int64_t start_offset);
int32_t epochs_latest(const struct epochs *epochs); /* -1: none */
/* The epoch of an offset; -1 when not known. */
int32_t epochs_of(const struct epochs *epochs, int64_t offset);
/* OffsetForLeaderEpoch: the largest epoch <= the one asked for and where it ends. Both -1 when not known. */
void epochs_end_offset(const struct epochs *epochs, int32_t epoch, int64_t log_end, int32_t *ret_epoch,
                       int64_t *ret_end_offset);
/* Forgets what begins at or after end_offset. */
bool epochs_truncate_end(struct epochs *epochs, int64_t end_offset);
/* Forgets what lies below start_offset; the epoch that holds it begins there from now on. */
bool epochs_truncate_start(struct epochs *epochs, int64_t start_offset);
void epochs_format(const struct epochs *epochs, struct buf *buf);
/* Fills empty epochs. CORRUPT leaves them empty. */
enum err epochs_parse(struct epochs *epochs, struct slice text) MUST_USE;

#endif
