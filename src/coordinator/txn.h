/* One transactional id: what is known of it, and what may become of it. Pure: state, request and time in; the next state
 * or a Kafka code out. (KIP-98, 360, 588, 890)
 *
 *                   +--------- init, expires: Dead ----------+
 *                   v                                        |
 *   (unknown) --> EMPTY --add--> ONGOING --end--> PREPARE_* --markers written--> COMPLETE_*
 *                   |              ^  |               ^                            |  |
 *                   |              |  +--timed out,---+                            |  |
 *                   |              |     fenced: abort                             |  |
 *                   |              +-----------------------add--------------------+  |
 *                   +---------------- end: abort, which raises the epoch (v2) -------+---> PREPARE_ABORT
 *
 * Each arrow is one record of __transaction_state. While it is PREPARE_*, everybody is told CONCURRENT_TRANSACTIONS. */
#ifndef COORDINATOR_TXN_H
#define COORDINATOR_TXN_H

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"

enum txn_state { /* as in the record */
    TXN_EMPTY, TXN_ONGOING, TXN_PREPARE_COMMIT, TXN_PREPARE_ABORT, TXN_COMPLETE_COMMIT, TXN_COMPLETE_ABORT,
    TXN_DEAD, TXN_PREPARE_EPOCH_FENCE, /* neither is ever written */
    TXN_STATES
};
/* As clients are told: "Empty", "PrepareCommit", ... */
const char *txn_state_name(enum txn_state state);

enum {
    TXN_EPOCH_LAST = INT16_MAX - 1, /* the last epoch that a client gets */
    TXN_TIMEOUT_NEVER = INT32_MAX,  /* of a two-phase commit */
    TXN_NEEDS_ID = INT16_MAX,       /* no Kafka code: a producer id is needed, and none was given */
};

struct txn_fields { /* what changes with a record */
    enum txn_state state;
    int64_t producer_id;
    int64_t previous_id;     /* the id before the last change, mostly the same */
    int64_t next_id;         /* in PREPARE_*, when the epochs of producer_id are used up; else -1 */
    int16_t epoch;           /* -1: nothing was written yet */
    int16_t last_epoch;      /* that a retried init may still name; -1: none. Not in the record */
    int16_t client_version;  /* 0, or 2: each transaction has an epoch of its own (KIP-890) */
    int32_t timeout_ms;
    int64_t start_ms;        /* -1 when EMPTY */
    int64_t update_ms;
};

struct txn_topic { /* partitions of a transaction, ascending */
    struct slice name;
    int32_t *partitions;
    int32_t count, capacity;
};
struct txn_topics {
    struct txn_topic *all;
    int32_t count, capacity;
    int32_t *index; /* open addressing by the name's hash: 1 + where in `all`; 0: free. NULL while they are few */
    uint32_t index_size;
};
bool txn_topics_contain(const struct txn_topics *topics, struct slice name, int32_t partition);
void txn_topics_add(struct txn_topics *topics, struct slice name, int32_t partition); /* copies the name; nothing when it is there */
void txn_topics_clear(struct txn_topics *topics);
int32_t txn_topics_partitions(const struct txn_topics *topics);

struct transactions;
struct ending;
struct txn {
    struct map_node node;  /* of transactions->by_id */
    struct list open;      /* of transactions->open, when ONGOING or PREPARE_* */
    struct list waiting;   /* struct txn_request: for the end of the transaction that is PREPARE_* */
    struct slice id;       /* owned */
    struct txn_fields at;
    struct txn_topics topics;
    struct ending *ending; /* PREPARE_*: its markers are on their way (txn_end.c); NULL: they are not */
};

/* ---- decisions (txn_decide.c). 0: *ret_next is to be written, unless it says otherwise ------------------------------------ */

struct txn_init {
    bool given;              /* a producer id and epoch came with it */
    int64_t producer_id;
    int16_t epoch;
    int32_t timeout_ms;
};
/* InitProducerId. `at` NULL: the id is unknown. next->state PREPARE_ABORT: a transaction is open, it is aborted, and the
 * client told to come again. `new_id` -1: none at hand. `level`: the finalized transaction.version. */
int16_t txn_decide_init(const struct txn_fields *at, const struct txn_init *init, int level, int64_t new_id, int64_t now_ms,
                        struct txn_fields *ret_next);
/* AddPartitionsToTxn; `client_version` 2: on behalf of a client of the second protocol. */
int16_t txn_decide_add(const struct txn_fields *at, int64_t producer_id, int16_t epoch, int16_t client_version, int64_t now_ms,
                       struct txn_fields *ret_next);
/* May it produce? Then each partition must be in the transaction. */
int16_t txn_decide_verify(const struct txn_fields *at, int64_t producer_id, int16_t epoch);
/* EndTxn. *ret_repeated: it was done before, nothing is written; *ret_next is `at`. */
int16_t txn_decide_end(const struct txn_fields *at, int64_t producer_id, int16_t epoch, bool commit, int16_t client_version, int64_t new_id,
                       int64_t now_ms, struct txn_fields *ret_next, bool *ret_repeated);
/* Timed out, or fenced by another producer: an ONGOING one is aborted, with another epoch. */
int16_t txn_decide_abort(const struct txn_fields *at, int level, int64_t new_id, int64_t now_ms, struct txn_fields *ret_next);
/* All markers are written. */
struct txn_fields txn_complete(const struct txn_fields *at, int64_t now_ms);
/* What the client of an ended transaction goes on with. */
static inline void txn_next_producer(const struct txn_fields *at, int64_t *ret_id, int16_t *ret_epoch) {
    *ret_id = at->next_id >= 0 ? at->next_id : at->producer_id;
    *ret_epoch = at->next_id >= 0 ? 0 : at->epoch;
}

/* ---- records (txn_record.c) --------------------------------------------------------------------------------------------- */

struct slice txn_record_key(struct arena *arena, struct slice id);
/* As Kafka 4.3 writes it at the transaction.version `level`. */
struct slice txn_record_value(struct arena *arena, const struct txn_fields *at, const struct txn_topics *topics, int level);
/* UNSUPPORTED: a type of key, or a version of value, that is not known; CORRUPT. *ret_id lies in `key`. */
enum err txn_record_read(struct arena *arena, struct slice key, struct slice value, struct slice *ret_id, struct txn_fields *ret_at,
                         struct txn_topics *ret_topics) MUST_USE;
/* The partitions in the order in which Kafka's hash tables would give them: topics, and in each its partitions. */
struct txn_topics txn_topics_ordered(const struct txn_topics *topics, struct arena *arena);

#endif
