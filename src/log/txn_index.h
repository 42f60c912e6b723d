/* `.txnindex`: the aborted transactions of a segment, in order of their abort markers. Entries of 34 bytes:
 * i16 version 0, i64 producer id, i64 first offset, i64 last offset (the marker), i64 last stable offset then. */
#ifndef LOG_TXN_INDEX_H
#define LOG_TXN_INDEX_H

#include "log/producers.h"

struct txn_index { /* zero-initialised is empty */
    struct aborted_txn *entries;
    int count, capacity;
};
void txn_index_add(struct txn_index *index, const struct aborted_txn *aborted);
void txn_index_deinit(struct txn_index *index);
void txn_index_encode(const struct txn_index *index, struct buf *buf);
/* Fills an empty index. CORRUPT: not whole entries of version 0 in ascending order. */
enum err txn_index_decode(struct txn_index *index, struct slice bytes) MUST_USE;

#endif
