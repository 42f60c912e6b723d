/* What compaction keeps of a batch, by Apache Kafka's rules. Without files and clocks: a batch goes in, and out come
 * nothing, the same bytes, or new ones.
 *
 *     batch                            dead, when                                      otherwise
 *     data of an aborted transaction   always                                          -
 *     transaction marker               nothing of its transaction was met in this      kept; when nothing of it was met, the
 *                                      pass, and its delete horizon has come           horizon is set
 *     data                             -                                               its records are filtered
 *
 * A record stays when it lies at or above the map's end; else when it has a key, is the newest of it, and has a value or a
 * horizon that has not come. A batch of which a null value stays gets its horizon: attribute bit 6, and the base timestamp
 * is the time. A batch that is dead, or without records, goes unless it is the last of an active producer (whose sequence
 * it tells) or the last of the round (whose offset it tells): then its header stays.
 *
 * Records that stay are copied as bytes; only a new horizon makes their time deltas be written anew. Messages of magic 0
 * and 1 become batches. */
#ifndef LOG_CLEAN_BATCH_H
#define LOG_CLEAN_BATCH_H

#include "base/map.h"
#include "log/offset_map.h"
#include "log/txn_index.h"
#include "protocol/old_messages.h"

/* The last batch of a producer that the log knows. */
struct last_record {
    int64_t producer_id, last_offset; /* last_offset -1: only a marker is known of its epoch */
    int16_t epoch;
};

/* Transactions as a pass comes along them. */
struct clean_txns {
    const struct aborted_txn *aborted; /* by first_offset; borrowed */
    int count, next;
    struct map open; /* by producer id: transactions of which something was met */
};
void clean_txns_init(struct clean_txns *txns, const struct aborted_txn *aborted, int count);
void clean_txns_deinit(struct clean_txns *txns);
/* True: it belongs to an aborted transaction. */
bool clean_txns_data(struct clean_txns *txns, const uint8_t *batch);
/* True: the marker may go. *ret_kept: the entry of the transaction index that stays with a marker that may not; else
 * last_offset -1. */
bool clean_txns_marker(struct clean_txns *txns, const uint8_t *batch, struct aborted_txn *ret_kept);

struct clean_rules { /* of a pass */
    const struct offset_map *map;
    int64_t map_end;                   /* records from here on stay unseen */
    int64_t round_end;
    int64_t now_ms, delete_retention_ms;
    const struct last_record *producers; /* by producer id */
    int producer_count;
};
struct clean_batch { /* one batch after the other; zero-initialise, set rules, txns and compressor */
    const struct clean_rules *rules;
    struct clean_txns *txns;
    struct compressor *compressor;
    bool old_tombstones;               /* those of magic 0 and 1 in this segment are young enough to stay */
    /* the result */
    enum { CLEAN_DROP, CLEAN_SAME, CLEAN_NEW } what;
    struct buf out;                    /* CLEAN_NEW: the batch */
    struct aborted_txn aborted;        /* to note in the transaction index; last_offset -1: none */
    int64_t records_read, records_kept; /* since the start */
    int64_t keyless;                   /* records without a key, which go */
    /* private */
    struct buf plain, kept, payload;
    struct old_messages old;
};
/* `batch` was checked by batch_check(). CORRUPT, BAD_RECORD, UNSUPPORTED_COMPRESSION, TOO_LARGE: it cannot be cleaned. */
enum err clean_batch(struct clean_batch *clean, struct slice batch) MUST_USE;
void clean_batch_deinit(struct clean_batch *clean);

/* Puts the keys of a data batch into the map: those at or above `from`. *ret_end: those below it are there; behind the
 * batch, unless the map is full. */
enum err clean_map_batch(struct clean_batch *clean, struct offset_map *map, struct slice batch, int64_t from,
                         int64_t *ret_end) MUST_USE;

#endif
