/* Files of unfinished work that a crash left in a partition's directory. Blocking, on any thread. */
#ifndef LOG_LEFTOVERS_H
#define LOG_LEFTOVERS_H

#include "runtime/runtime.h"

/* NNNNNNNNNNNNNNNNNNNN.suffix; -1 when the name is something else. */
int64_t segment_name_offset(const char *name, const char *suffix);
bool name_ends_with(const char *name, const char *suffix);
/* Settles what the listing of `path` shows: removes *.deleted, *.cleaned, *.tmp and indexes without a segment, finishes
 * swaps. *ret_changed: list it again. */
enum err leftovers_settle(struct fs *fs, const char *path, const struct fs_entry *entries, int count, bool *ret_changed)
    MUST_USE;

#endif
