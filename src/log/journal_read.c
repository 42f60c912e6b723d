#include "log/journal_read.h"

#include <stdlib.h>
#include <string.h>
#include "base/crc32c.h"
#include "log/internal.h"

static bool group_at(struct slice bytes, size_t pos, struct journal_group *ret_group, size_t *ret_size) {
    const uint8_t *p = bytes.ptr + pos;
    size_t left = bytes.size - pos;
    if (left < JOURNAL_HEADER || memcmp(p, JOURNAL_MAGIC, 8) != 0)
        return false;
    uint32_t size = load_be32(p + 40);
    if (size < JOURNAL_HEADER || size > left)
        return false;
    uint32_t crc = crc32c(crc32c(0, p, 52), p + JOURNAL_HEADER, size - JOURNAL_HEADER);
    if (crc != load_be32(p + 52))
        return false;
    *ret_group = (struct journal_group){.number = load_be64(p + 8),
                                        .oldest = load_be64(p + 32),
                                        .entry_count = load_be32(p + 48),
                                        .pos = (int64_t)pos,
                                        .entries = slice_of(p + JOURNAL_HEADER, size - JOURNAL_HEADER)};
    *ret_size = size;
    return true;
}

static int group_compare(const void *a, const void *b) {
    const struct journal_group *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* A group may begin at any block. */
int journal_find_groups(struct slice bytes, struct journal_group **ret_groups) {
    struct journal_group *groups = NULL;
    int count = 0, capacity = 0;
    for (size_t pos = 0; pos < bytes.size;) {
        struct journal_group group;
        size_t size;
        if (!group_at(bytes, pos, &group, &size)) {
            pos += FILE_DIRECT_ALIGN;
            continue;
        }
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            groups = mem_realloc(groups, sizeof *groups * (size_t)capacity);
        }
        groups[count++] = group;
        pos += (size + FILE_DIRECT_ALIGN - 1) & ~(size_t)(FILE_DIRECT_ALIGN - 1);
    }
    if (count)
        qsort(groups, (size_t)count, sizeof *groups, group_compare);
    *ret_groups = groups;
    return count;
}

enum err journal_next_entry(struct journal_group *group, struct journal_group_entry *ret_entry) {
    const uint8_t *p = group->entries.ptr;
    size_t left = group->entries.size;
    if (!left)
        return ERR_NOT_FOUND;
    if (left < JOURNAL_ENTRY_HEADER)
        return ERR_CORRUPT;
    uint32_t size = load_be32(p + 20);
    if (size > left - JOURNAL_ENTRY_HEADER)
        return ERR_CORRUPT;
    *ret_entry = (struct journal_group_entry){.topic_id = uuid_load(p),
                                              .partition = (int32_t)load_be32(p + 16),
                                              .base_offset = (int64_t)load_be64(p + 24),
                                              .batches = slice_of(p + JOURNAL_ENTRY_HEADER, size)};
    size_t padded = JOURNAL_ENTRY_HEADER + (((size_t)size + 7) & ~(size_t)7);
    padded = padded < left ? padded : left;
    group->entries = slice_of(p + padded, left - padded);
    return ERR_OK;
}
