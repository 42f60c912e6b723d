/* Reading a journal's file: its groups and what they hold. For recovery and checks; the format stands in internal.h. */
#ifndef LOG_JOURNAL_READ_H
#define LOG_JOURNAL_READ_H

#include "base/err.h"
#include "base/slice.h"
#include "base/uuid.h"

struct journal_group {
    uint64_t number, oldest; /* oldest: the first group that was still needed when this one was written */
    uint32_t entry_count;
    size_t entry_header_size;
    int64_t pos;             /* in the file */
    struct slice entries;    /* borrowed from the file's bytes, as is the next */
    struct slice blocks;     /* behind the head, with the batches of large entries */
};
/* It begins with a group of a later version's format: it may hold acknowledged records that cannot be read here. */
bool journal_is_of_later_version(struct slice bytes);
/* All valid groups of the bytes, in order of number; mem_free() them. */
int journal_find_groups(struct slice bytes, struct journal_group **ret_groups);

struct journal_group_entry {
    struct uuid topic_id;
    int32_t partition;
    int64_t base_offset;
    struct slice batches;
};
/* Takes the first entry off group->entries. NOT_FOUND: none is left; CORRUPT: the bytes are no entry. */
enum err journal_next_entry(struct journal_group *group, struct journal_group_entry *ret_entry) MUST_USE;

#endif
