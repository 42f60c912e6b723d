/* The transactions whose records lie in one partition of __transaction_state.
 *
 * txn.h, txn_decide.c   what may become of a transactional id: pure
 * txn_record.c          its record
 * transactions.c        the registry: replay, requests, what waits
 * txn_end.c             from PREPARE_* to COMPLETE_*: markers; time-outs; expiry
 * txn_list.c            DescribeTransactions, ListTransactions
 *
 * A request that meets a transaction on its way out, or needs a producer id, waits here a little instead of being sent
 * back: clients of Kafka come again after 20 ms. */
#ifndef COORDINATOR_TRANSACTIONS_H
#define COORDINATOR_TRANSACTIONS_H

#include "coordinator/coordinator.h"
#include "coordinator/txn.h"

/* The markers of one transaction, on their way to its partitions. Made and freed by the coordinator. */
struct txn_marker {
    struct slice topic;
    int32_t partition;
};
struct txn_markers {
    int64_t producer_id;
    int16_t epoch, transaction_version;
    int32_t coordinator_epoch;
    bool commit;
    int32_t count;
    struct txn_marker *all;
    bool failed; /* answer: the node stops; else each is on the device, or its partition is no more */
    void (*done)(struct txn_markers *markers); /* on the coordinator's shard */
};
struct producer_id_waiter {
    struct list node;
    void (*got)(struct producer_id_waiter *waiter, int16_t error); /* 0: take one now */
};
/* What the broker does for transactions; a coordinator_host has it. */
struct transaction_host {
    /* -1: none at hand; then wait for some. */
    int64_t (*take_producer_id)(struct coordinator_host *host);
    void (*wait_producer_id)(struct coordinator_host *host, struct producer_id_waiter *waiter);
    void (*send_markers)(struct coordinator_host *host, struct txn_markers *markers);
};

struct transactions { /* the state of a COORDINATOR_TRANSACTION */
    struct coordinator *coordinator;
    struct map by_id;
    struct list open;              /* struct txn, ONGOING or PREPARE_*, by start_ms as they came */
    struct list endings;           /* txn_end.c: transactions on their way to COMPLETE_* */
    struct list needy;             /* struct txn_request: wait for a producer id */
    struct producer_id_waiter id_waiter;
    bool waits_for_id;
    struct list overdue;           /* struct txn_request: all that wait for a transaction's end, the oldest first */
    struct timer wait_timer, abort_timer, expire_timer;
    int64_t counts[TXN_STATES];    /* of ids, by state */
    uint64_t committed, aborted, timed_out; /* since it was loaded */
};

/* ---- requests at one transactional id ------------------------------------------------------------------------------------ */

struct txn_add_topic {
    struct slice name;
    const int32_t *partitions;
    int32_t count;
    int16_t *errors; /* answer of TXN_VERIFY: one a partition */
};
struct txn_request {
    enum { TXN_INIT, TXN_ADD, TXN_VERIFY, TXN_END } kind;
    struct slice id;
    int64_t producer_id;      /* TXN_INIT: with init.given alone */
    int16_t epoch;
    int16_t client_version;   /* TXN_ADD, TXN_END: 0, or 2 */
    bool commit;              /* TXN_END */
    struct txn_init init;
    const struct txn_add_topic *topics; /* TXN_ADD, TXN_VERIFY */
    int32_t topic_count;
    /* answer */
    int16_t error;
    int64_t answer_id;        /* TXN_INIT, TXN_END */
    int16_t answer_epoch;
    /* private */
    struct coordinator_op *op;
    struct list node, overdue;
    uint64_t deadline_ns;
    bool waits;
};
/* In decide(). The answer holds when done() says so. */
void transactions_request(struct transactions *txns, struct coordinator_op *op, struct txn_request *request);

/* ---- looking (txn_list.c) -------------------------------------------------------------------------------------------------- */

struct txn_description {
    int16_t error;
    const char *state;
    int32_t timeout_ms;
    int64_t start_ms, producer_id;
    int16_t epoch;
    struct txn_topics topics; /* in the arena, in Kafka's order */
};
void transactions_describe(const struct transactions *txns, struct slice id, struct arena *arena, struct txn_description *ret_description);

struct regex;
struct txn_filter {
    const enum txn_state *states; /* none: all, unless `no_state` */
    int32_t state_count;
    bool no_state;                /* states were asked for, and none of them exists */
    const int64_t *producer_ids;
    int32_t producer_id_count;
    int64_t duration_ms;          /* -1: any */
    const struct regex *pattern;  /* NULL: any */
};
struct txn_listing {
    struct slice id;              /* in the arena */
    int64_t producer_id;
    enum txn_state state;
};
int32_t transactions_list(const struct transactions *txns, const struct txn_filter *filter, struct arena *arena, struct txn_listing **ret_all);
/* When the oldest transaction that is open began; -1: none is. */
int64_t transactions_oldest_start_ms(const struct transactions *txns);

/* ---- between transactions.c and txn_end.c ------------------------------------------------------------------------------------ */

struct txn *transactions_find(const struct transactions *txns, struct slice id);
int transactions_level(const struct transactions *txns); /* the finalized transaction.version */
int64_t transactions_take_id(struct transactions *txns);
/* Adds the record to the operation, and applies it. */
void transactions_change(struct transactions *txns, struct coordinator_op *op, struct txn *txn, const struct txn_fields *next);
void transactions_remove(struct transactions *txns, struct txn *txn);
/* In decide(): those that waited for the transaction go on. */
void transactions_resume(struct transactions *txns, struct coordinator_op *op, struct txn *txn);

/* In decide(), when the transaction has become PREPARE_*: on to its end when that is on the device. */
void txn_end_begin(struct transactions *txns, struct coordinator_op *op, struct txn *txn);
void txn_end_loaded(struct transactions *txns);
void txn_end_stop(struct transactions *txns);

#endif
