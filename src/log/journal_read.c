#include "log/journal_read.h"

#include <stdlib.h>
#include <string.h>
#include "base/crc32c.h"
#include "log/internal.h"

/* Batches whose own checksums are right, and that of their prefixes. */
static bool batches_are_whole(struct slice batches, uint32_t prefixes_crc) {
    uint32_t crc = 0;
    while (batches.size) {
        if (batch_check(batches))
            return false;
        size_t size = batch_size(batches.ptr);
        crc = crc32c(crc, batches.ptr, JOURNAL_PREFIX_SIZE);
        batches = slice_of(batches.ptr + size, batches.size - size);
    }
    return crc == prefixes_crc;
}

/* Takes the first entry off. */
static enum err next_entry(struct journal_group *group, struct journal_group_entry *ret_entry, uint32_t *ret_crc, bool *ret_inline) {
    const uint8_t *p = group->entries.ptr;
    size_t left = group->entries.size, header = group->entry_header_size;
    if (!left)
        return ERR_NOT_FOUND;
    if (left < header)
        return ERR_CORRUPT;
    uint32_t size = load_be32(p + 20), place = header == JOURNAL_ENTRY_HEADER_1 ? JOURNAL_INLINE : load_be32(p + 32);
    struct slice batches = slice_of(p + header, size);
    *ret_inline = place == JOURNAL_INLINE;
    *ret_crc = *ret_inline ? 0 : load_be32(p + 36);
    if (*ret_inline ? size > left - header : place > group->blocks.size || size > group->blocks.size - place)
        return ERR_CORRUPT;
    if (!*ret_inline)
        batches = slice_of(group->blocks.ptr + place, size);
    *ret_entry = (struct journal_group_entry){.topic_id = uuid_load(p),
                                              .partition = (int32_t)load_be32(p + 16),
                                              .base_offset = (int64_t)load_be64(p + 24),
                                              .batches = batches};
    size_t padded = header + (*ret_inline ? ((size_t)size + 7) & ~(size_t)7 : 0);
    padded = padded < left ? padded : left;
    group->entries = slice_of(p + padded, left - padded);
    return ERR_OK;
}

enum err journal_next_entry(struct journal_group *group, struct journal_group_entry *ret_entry) {
    uint32_t crc;
    bool is_inline;
    return next_entry(group, ret_entry, &crc, &is_inline);
}

/* The blocks behind the head are not under its checksum. */
static bool large_entries_are_whole(struct journal_group group) {
    struct journal_group_entry entry;
    uint32_t crc;
    bool is_inline;
    enum err err;
    while (!(err = next_entry(&group, &entry, &crc, &is_inline)))
        if (!is_inline && !batches_are_whole(entry.batches, crc))
            return false;
    return err == ERR_NOT_FOUND;
}

static bool has_magic(const uint8_t *p) {
    return memcmp(p, JOURNAL_MAGIC, 8) == 0 || memcmp(p, JOURNAL_MAGIC_1, 8) == 0;
}

bool journal_is_of_later_version(struct slice bytes) {
    return bytes.size >= 8 && memcmp(bytes.ptr, JOURNAL_MAGIC, 7) == 0 && bytes.ptr[7] > JOURNAL_MAGIC[7] && bytes.ptr[7] <= '9';
}

static bool group_at(struct slice bytes, size_t pos, struct journal_group *ret_group, size_t *ret_size) {
    const uint8_t *p = bytes.ptr + pos;
    size_t left = bytes.size - pos;
    if (left < JOURNAL_HEADER)
        return false;
    if (!has_magic(p))
        return false;
    /* The ring begins with a group, which names the journal: what a client once sent may look like a group too. */
    if (has_magic(bytes.ptr) && memcmp(p + 16, bytes.ptr + 16, 16) != 0)
        return false;
    bool first = memcmp(p, JOURNAL_MAGIC_1, 8) == 0;
    uint32_t size = load_be32(p + 40), head = first ? size : load_be32(p + 44);
    if (head < JOURNAL_HEADER || head > size || size > left)
        return false;
    uint32_t crc = crc32c(crc32c(0, p, 52), p + JOURNAL_HEADER, head - JOURNAL_HEADER);
    if (crc != load_be32(p + 52))
        return false;
    size_t blocks = ((size_t)head + FILE_DIRECT_ALIGN - 1) & ~(size_t)(FILE_DIRECT_ALIGN - 1);
    *ret_group = (struct journal_group){.number = load_be64(p + 8),
                                        .oldest = load_be64(p + 32),
                                        .entry_count = load_be32(p + 48),
                                        .entry_header_size = first ? JOURNAL_ENTRY_HEADER_1 : JOURNAL_ENTRY_HEADER,
                                        .pos = (int64_t)pos,
                                        .entries = slice_of(p + JOURNAL_HEADER, head - JOURNAL_HEADER),
                                        .blocks = blocks < size ? slice_of(p + blocks, size - blocks) : SLICE_EMPTY};
    *ret_size = size;
    return !ret_group->blocks.size || large_entries_are_whole(*ret_group);
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
