/* A produce request on its way: produce.c, and produce_txn.c for what transactions ask of it. */
#ifndef BROKER_HANDLERS_PRODUCE_H
#define BROKER_HANDLERS_PRODUCE_H

#include "broker/fanout.h"
#include "broker/txn_visit.h"
#include "protocol/produce_request.h"
#include "protocol/produce_response.h"

struct produce;
struct produce_txn;
struct produce_item { /* one partition's batch */
    struct fanout_item base;
    struct produce *produce;
    struct slice bytes;
    struct produce_response_partition_produce_response *answer;
    struct partition_waiter waiter;
    int64_t end_offset; /* durable from here on: done */
    /* of a transactional request */
    struct produce_item *next;
    struct slice topic;
    uint64_t guard;
    enum { PRODUCE_NEW, PRODUCE_UNVERIFIED, PRODUCE_APPENDED, PRODUCE_DONE } state;
};
struct produce {
    struct fanout fanout;
    struct request *request;
    struct produce_request message;
    struct produce_response response;
    bool failed; /* some partition has an error */
    struct produce_txn *txn; /* NULL: no batch is transactional */
};

/* Waits, if need be, for the partition to be ready, and visits it again. */
bool produce_must_wait(struct produce_item *item, struct partition *partition);
/* On the partition's shard: 0, or the error that is answered. */
enum err produce_append(struct produce_item *item, struct partition *partition, uint64_t guard);
/* Ends the item when it is durable, or fails. */
void produce_wait(struct produce_item *item, struct partition *partition);
void produce_fail(struct produce_item *item, int16_t code);
void produce_answer(struct produce *produce);

/* ---- produce_txn.c ---- */
/* Notes an item of the request. False: the request has batches of more than one producer. */
bool produce_txn_add(struct produce *produce, struct produce_item *item, struct slice topic);
/* In place of fanout_run(): items are appended once their transaction is known to be open. */
void produce_txn_run(struct produce *produce);

#endif
