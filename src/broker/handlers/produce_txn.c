/* Produce in a transaction. Where the producer's transaction is open in the partition, the batch is appended as any other.
 * The first batch of a transaction in a partition is appended when the coordinator has said that the partition is part of
 * the transaction (Produce 11 and below, whose clients add partitions themselves), or has added it (12 and above, KIP-890):
 *
 *   first pass    every partition: appended, or left with a guard
 *   coordinator   one request for those that were left
 *   second pass   what was left is appended with its guard; what was appended waits for the device
 *
 * Both passes keep the order in which requests came, and until the second is on its way the connection's next request is
 * held: it could find the transaction open in its first pass, and overtake what waits for its second. */
#include "broker/conn.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/produce.h"
#include "metadata/config_check.h"
#include "protocol/batch.h"

enum { EPOCH_BUMPS = 12 }; /* from this version on the client speaks the second protocol */

struct produce_txn {
    struct produce *produce;
    struct produce_item *first, **last;
    int count;
    int64_t producer_id;
    int16_t epoch;
    bool is_known;      /* the two above */
    bool verifies;      /* transaction.partition.verification.enable; always for the second protocol */
    struct txn_visit visit;
    struct fanout second;
};

static bool is_transactional(const struct produce_item *item) {
    return batch_is_transactional(item->bytes.ptr) && batch_producer_id(item->bytes.ptr) >= 0;
}

bool produce_txn_add(struct produce *produce, struct produce_item *item, struct slice topic) {
    struct produce_txn *txn = produce->txn;
    if (!txn) {
        txn = produce->txn = arena_new(&produce->request->arena, struct produce_txn);
        txn->produce = produce;
        txn->last = &txn->first;
    }
    item->topic = topic;
    *txn->last = item;
    txn->last = &item->next;
    txn->count++;
    if (!is_transactional(item))
        return true;
    const uint8_t *batch = item->bytes.ptr;
    bool same = !txn->is_known || (batch_producer_id(batch) == txn->producer_id && batch_producer_epoch(batch) == txn->epoch);
    txn->is_known = true;
    txn->producer_id = batch_producer_id(batch);
    txn->epoch = batch_producer_epoch(batch);
    return same;
}

static bool bumps_epochs(const struct produce *produce) {
    return produce->request->header.version >= EPOCH_BUMPS;
}

/* ---- first pass ------------------------------------------------------------------------------------------------------------ */

/* True: it is left for later, or has failed. */
static bool must_verify(struct produce_item *item, struct partition *partition) {
    struct produce *produce = item->produce;
    struct broker_shard *shard = fanout_shard(&item->base);
    if (!is_transactional(item) || !produce->txn->verifies)
        return false;
    enum err err = partition_check_leader(partition);
    if (!err)
        err = producers_verify(log_producers(partition->log), produce->txn->producer_id, produce->txn->epoch,
                               batch_base_sequence(item->bytes.ptr), bumps_epochs(produce), ++shard->verifications,
                               shard_wall_ms(shard->shard), &item->guard);
    if (!err && item->guard == GUARD_NONE)
        return false;
    if (err)
        item->answer->error_code = err_kafka_code(err);
    item->state = err ? PRODUCE_DONE : PRODUCE_UNVERIFIED;
    fanout_item_done(&item->base);
    return true;
}

static void append_first(struct fanout_item *base, struct partition *partition) {
    struct produce_item *item = container_of(base, struct produce_item, base);
    if (produce_must_wait(item, partition) || must_verify(item, partition))
        return;
    item->state = PRODUCE_DONE;
    if (produce_append(item, partition, item->produce->txn->verifies ? GUARD_NONE : GUARD_NOT_NEEDED)) {
        fanout_item_done(base);
    } else {
        item->state = PRODUCE_APPENDED;
        fanout_item_done(base);
    }
}

/* ---- second pass ------------------------------------------------------------------------------------------------------------- */

static void append_second(struct fanout_item *base, struct partition *partition) {
    struct produce_item *item = container_of(base, struct produce_item, base);
    if (item->state == PRODUCE_APPENDED) {
        enum err err = partition_check_leader(partition);
        if (err)
            produce_fail(item, err_kafka_code(err));
        else
            produce_wait(item, partition);
    } else if (!produce_must_wait(item, partition)) {
        if (produce_append(item, partition, item->guard))
            fanout_item_done(base);
        else
            produce_wait(item, partition);
    }
}

static void all_done(struct fanout *fanout) {
    produce_answer(container_of(fanout, struct produce_txn, second)->produce);
}

static void run_second(struct produce_txn *txn) {
    txn->second = (struct fanout){.request = txn->produce->request, .visit = append_second, .done = all_done};
    for (struct produce_item *item = txn->first; item; item = item->next)
        if (item->state == PRODUCE_UNVERIFIED || item->state == PRODUCE_APPENDED)
            fanout_add(&txn->second, &item->base, item->base.topic_id, item->base.index);
    fanout_run(&txn->second);
}

/* It may be answered, and its memory gone, when this returns. A connection that has gone is not held. */
static void run_second_and_let_go(struct produce_txn *txn) {
    struct conn *conn = txn->verifies ? txn->produce->request->conn : NULL;
    run_second(txn);
    if (conn)
        conn_let_go(conn);
}

/* ---- the coordinator ---------------------------------------------------------------------------------------------------------- */

/* What a producer makes of it: errors of the coordinator are those of a partition that is not ready, so that it repeats. */
static void answer_unverified(struct produce_item *item, int16_t code) {
    struct request *request = item->produce->request;
    bool retry = code == KAFKA_NETWORK_EXCEPTION || code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || code == KAFKA_COORDINATOR_NOT_AVAILABLE ||
                 code == KAFKA_NOT_COORDINATOR || (code == KAFKA_CONCURRENT_TRANSACTIONS && !bumps_epochs(item->produce));
    if (code == KAFKA_PRODUCER_FENCED)
        code = KAFKA_INVALID_PRODUCER_EPOCH;
    if (code == KAFKA_TRANSACTION_ABORTABLE && request->header.version <= 10)
        code = KAFKA_INVALID_TXN_STATE;
    if (code == KAFKA_INVALID_TXN_STATE)
        item->answer->error_message = SLICE_LIT("Partition was not added to the transaction");
    else if (retry)
        item->answer->error_message = slice_str(arena_printf(
            &request->arena, "Unable to verify the partition has been added to the transaction. Underlying error: %s", kafka_error_name(code)));
    item->answer->error_code = retry ? KAFKA_NOT_ENOUGH_REPLICAS : code;
    item->state = PRODUCE_DONE;
}

static void verified(struct txn_visit *visit, int16_t error) {
    struct produce_txn *txn = container_of(visit, struct produce_txn, visit);
    int at = 0;
    for (struct produce_item *item = txn->first; item; item = item->next) {
        if (item->state != PRODUCE_UNVERIFIED)
            continue;
        int16_t code = !error && visit->txn.kind == TXN_VERIFY ? visit->txn.topics[at].errors[0] : error;
        at++;
        if (code)
            answer_unverified(item, code);
    }
    run_second_and_let_go(txn);
}

static void first_done(struct fanout *fanout) {
    struct produce *produce = container_of(fanout, struct produce, fanout);
    struct produce_txn *txn = produce->txn;
    struct arena *arena = &produce->request->arena;
    struct txn_add_topic *topics = NULL;
    int32_t unverified = 0;
    for (struct produce_item *item = txn->first; item; item = item->next) {
        if (item->state != PRODUCE_UNVERIFIED)
            continue;
        if (!topics)
            topics = arena_array(arena, struct txn_add_topic, txn->count);
        topics[unverified++] = (struct txn_add_topic){item->topic, &item->base.index, 1, arena_new(arena, int16_t)};
    }
    if (!unverified) { /* perhaps nothing at all is left to do: then it is answered there */
        run_second_and_let_go(txn);
        return;
    }
    txn->visit = (struct txn_visit){.txn = {.kind = bumps_epochs(produce) ? TXN_ADD : TXN_VERIFY,
                                            .id = produce->message.transactional_id,
                                            .producer_id = txn->producer_id,
                                            .epoch = txn->epoch,
                                            .client_version = 2,
                                            .topics = topics,
                                            .topic_count = unverified},
                                    .done = verified};
    txn_visit(&txn->visit, produce->request, true);
}

void produce_txn_run(struct produce *produce) {
    const struct broker_shard *shard = produce->request->shard;
    struct produce_txn *txn = produce->txn;
    txn->verifies = bumps_epochs(produce) ||
                    config_bool(config_broker_value(shard->broker->config, shard->image, "transaction.partition.verification.enable",
                                                    &produce->request->arena));
    if (txn->verifies)
        conn_hold(produce->request->conn);
    produce->fanout.visit = append_first;
    produce->fanout.done = first_done;
    fanout_run(&produce->fanout);
}
