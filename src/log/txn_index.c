#include "log/txn_index.h"

#include "base/endian.h"
#include "base/mem.h"

enum { ENTRY_SIZE = 34 };

void txn_index_add(struct txn_index *index, const struct aborted_txn *aborted) {
    if (index->count == index->capacity) {
        index->capacity = index->capacity ? index->capacity * 2 : 4;
        index->entries = mem_realloc(index->entries, sizeof *index->entries * (size_t)index->capacity);
    }
    index->entries[index->count++] = *aborted;
}

void txn_index_deinit(struct txn_index *index) {
    mem_free(index->entries);
    *index = (struct txn_index){0};
}

void txn_index_encode(const struct txn_index *index, struct buf *buf) {
    for (int i = 0; i < index->count; i++) {
        const struct aborted_txn *aborted = &index->entries[i];
        uint8_t *p = buf_extend(buf, ENTRY_SIZE);
        store_be16(p, 0);
        store_be64(p + 2, (uint64_t)aborted->producer_id);
        store_be64(p + 10, (uint64_t)aborted->first_offset);
        store_be64(p + 18, (uint64_t)aborted->last_offset);
        store_be64(p + 26, (uint64_t)aborted->last_stable_offset);
    }
}

enum err txn_index_decode(struct txn_index *index, struct slice bytes) {
    int64_t last = -1;
    enum err err = bytes.size % ENTRY_SIZE ? ERR_CORRUPT : ERR_OK;
    for (size_t at = 0; !err && at < bytes.size; at += ENTRY_SIZE) {
        const uint8_t *p = bytes.ptr + at;
        struct aborted_txn aborted = {(int64_t)load_be64(p + 2), (int64_t)load_be64(p + 10), (int64_t)load_be64(p + 18),
                                      (int64_t)load_be64(p + 26)};
        if (load_be16(p) != 0 || aborted.last_offset <= last)
            err = ERR_CORRUPT;
        else
            txn_index_add(index, &aborted);
        last = aborted.last_offset;
    }
    if (err)
        txn_index_deinit(index);
    return err;
}
