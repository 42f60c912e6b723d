/* What a log knows of idempotent and transactional producers: the last batches of each, to tell duplicates from gaps,
 * and the transactions that are open. Rebuilt from the log; kept across restarts in `.snapshot` files.
 *
 *      0  i16 version 1    2  u32 CRC-32C of 6..end    6  i32 count    10  entries of 46 bytes
 *         i64 producer id, i16 epoch, i32 last sequence, i64 last offset, i32 offset delta, i64 timestamp,
 *         i32 coordinator epoch, i64 first offset of the open transaction (-1: none)
 *
 * Owned by its log and used on the log's shard alone. Memory: at most PRODUCER_BATCHES batches a producer; producers
 * idle for producer.id.expiration.ms are dropped. */
#ifndef LOG_PRODUCERS_H
#define LOG_PRODUCERS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"

enum { PRODUCER_BATCHES = 5 };

/* Who appends: a client's produce, a coordinator, the metadata quorum, or a follower copying its leader. */
enum append_origin { APPEND_CLIENT, APPEND_COORDINATOR, APPEND_RAFT, APPEND_REPLICATION };

struct producer_batch {
    int32_t first_sequence, last_sequence;
    int64_t last_offset, timestamp;
};
struct producer {
    struct map_node node;
    int64_t id;
    int16_t epoch;
    int32_t coordinator_epoch;
    int64_t last_timestamp;
    int64_t txn_first_offset; /* -1: no open transaction */
    int batch_count;
    struct producer_batch batches[PRODUCER_BATCHES]; /* oldest first */
};
/* A producer's first batch of a transaction in this partition is shown to the transaction's coordinator before it is
 * appended (KIP-890). The guard ties the answer to the question: a marker in between takes it away. */
struct verification {
    struct map_node node;
    int64_t producer_id, created_ms;
    uint64_t guard;
    int16_t epoch;
    bool new_protocol; /* the client raises its epoch with each transaction: Produce 12 and above */
    int32_t lowest_sequence;
};
enum { GUARD_NONE = 0 };
#define GUARD_NOT_NEEDED UINT64_MAX /* nothing is verified here */
struct producers { /* zero-initialised is empty */
    struct map map;
    struct map verifications;
    struct open_txn { /* open, or ended by a marker that the high watermark has not passed */
        int64_t producer_id, first_offset, last_offset; /* last_offset -1: open */
    } *txns;          /* in order of first_offset */
    int txn_count, txn_capacity;
};

void producers_clear(struct producers *producers);
/* May this batch of a client be appended? OK with *ret_duplicate false: yes. OK with true: it is in the log already, as
 * *ret_batch (first offset = last_offset - (last_sequence - first_sequence)). Else OUT_OF_ORDER_SEQUENCE,
 * INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE (the first batch of a transaction without a guard that holds, or a plain one
 * in the middle of one). Batches without a producer id pass. */
enum err producers_check(const struct producers *producers, const uint8_t *batch, enum append_origin origin, uint64_t guard,
                         bool *ret_duplicate, struct producer_batch *ret_batch) MUST_USE;
/* Must the batch be verified? *ret_guard NONE: no, the transaction is open here; else yes, and it is appended with that
 * guard, `fresh` or an earlier one. INVALID_PRODUCER_EPOCH. `sequence` is the batch's first. */
enum err producers_verify(struct producers *producers, int64_t id, int16_t epoch, int32_t sequence, bool new_protocol, uint64_t fresh,
                          int64_t now_ms, uint64_t *ret_guard) MUST_USE;
/* The same as producers_check() for what the group coordinator appends in a transaction: epoch and guard. */
enum err producers_check_offsets(const struct producers *producers, int64_t id, int16_t epoch, uint64_t guard) MUST_USE;
/* May this marker be appended? INVALID_PRODUCER_EPOCH, COORDINATOR_FENCED. With transaction_version 2 its epoch must be
 * above that of the transaction's batches. */
enum err producers_check_marker(const struct producers *producers, int64_t id, int16_t epoch, int32_t coordinator_epoch,
                                int transaction_version) MUST_USE;
/* NULL: not known. */
const struct producer *producers_find(const struct producers *producers, int64_t id);
struct aborted_txn {
    int64_t producer_id, first_offset, last_offset, last_stable_offset;
};
/* Notes a batch that has its offsets. True when it was the marker that aborts a transaction: *ret_aborted goes into the
 * transaction index. */
bool producers_append(struct producers *producers, const uint8_t *batch, struct aborted_txn *ret_aborted);
/* A snapshot has only the last batch of each producer. Told of the batches before it, the newest first, they are known
 * again as duplicates. */
void producers_recall(struct producers *producers, int64_t id, int16_t epoch, const struct producer_batch *batch);
/* First offset of the earliest transaction that readers of committed data must wait for; -1: none. */
int64_t producers_first_unstable(const struct producers *producers, int64_t high_watermark);
/* Forgets transactions whose markers lie below the high watermark. */
void producers_high_watermark(struct producers *producers, int64_t high_watermark);
/* Drops verifications and producers that were last heard of before `before_ms` and have no open transaction. */
void producers_expire(struct producers *producers, int64_t before_ms);
/* The bytes of a snapshot file, appended. */
void producers_encode(const struct producers *producers, struct buf *buf);
/* Fills empty producers; CORRUPT leaves them empty. */
enum err producers_decode(struct producers *producers, struct slice bytes) MUST_USE;

#endif
