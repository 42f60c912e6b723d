#include "coordinator/transactions.h"

#include "base/mem.h"
#include "base/trace.h"
#include "metadata/features.h"
#include "protocol/errors.h"

static const struct transaction_host *host_of(const struct transactions *txns) {
    return txns->coordinator->host->transactions;
}

static struct shard *shard_of(const struct transactions *txns) {
    return txns->coordinator->host->shard;
}

int transactions_level(const struct transactions *txns) {
    return image_feature(txns->coordinator->host->image, FEATURE_TRANSACTION_VERSION);
}

/* ---- the registry ------------------------------------------------------------------------------------------------------- */

static bool txn_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct txn, node)->id, *(const struct slice *)key);
}

struct txn *transactions_find(const struct transactions *txns, struct slice id) {
    struct map_node *node = map_find(&txns->by_id, hash_slice(id), txn_is, &id);
    return node ? container_of(node, struct txn, node) : NULL;
}

static struct txn *insert(struct transactions *txns, struct slice id) {
    struct txn *txn = mem_new(struct txn);
    txn->id = slice_of(mem_strndup((const char *)id.ptr, id.size), id.size);
    txn->at = (struct txn_fields){.producer_id = -1, .previous_id = -1, .next_id = -1, .epoch = -1, .last_epoch = -1, .start_ms = -1};
    list_init(&txn->open);
    list_init(&txn->waiting);
    txns->counts[txn->at.state]++;
    map_insert(&txns->by_id, &txn->node, hash_slice(id));
    return txn;
}

void transactions_remove(struct transactions *txns, struct txn *txn) {
    map_remove(&txns->by_id, &txn->node);
    list_remove(&txn->open);
    txns->counts[txn->at.state]--;
    txn_topics_clear(&txn->topics);
    mem_free((void *)txn->id.ptr);
    mem_free(txn);
}

static bool is_open(const struct txn *txn) {
    return txn->at.state == TXN_ONGOING || txn->at.state == TXN_PREPARE_COMMIT || txn->at.state == TXN_PREPARE_ABORT;
}

static void apply(struct transactions *txns, struct txn *txn, const struct txn_fields *next) {
    txns->counts[txn->at.state]--;
    txn->at = *next;
    txns->counts[txn->at.state]++;
    if (!is_open(txn)) {
        txn_topics_clear(&txn->topics);
        list_remove(&txn->open);
    } else if (list_is_empty(&txn->open)) {
        list_push_back(&txns->open, &txn->open);
    }
}

void transactions_change(struct transactions *txns, struct coordinator_op *op, struct txn *txn, const struct txn_fields *next) {
    op->applied = true;
    apply(txns, txn, next);
    coordinator_add(op, txn_record_key(op->arena, txn->id), txn_record_value(op->arena, &txn->at, &txn->topics, transactions_level(txns)));
}

/* What cannot be read is passed over, loudly: Kafka serves what it had read before, and forgets what comes behind. */
static enum err replay(void *state, const struct coordinator_record *record) {
    struct transactions *txns = state;
    struct arena arena = {0};
    struct slice id;
    struct txn_fields at;
    struct txn_topics topics = {0};
    enum err err = txn_record_read(&arena, record->key, record->value, &id, &at, &topics);
    if (err) {
        trace_error("coordinator", "a record of transactions cannot be read, and is passed over", TRACE_INT("offset", record->offset),
                    TRACE_INT("partition", txns->coordinator->partition->index), TRACE_ERR(err));
        txn_topics_clear(&topics);
        arena_deinit(&arena);
        return ERR_OK;
    }
    struct txn *txn = transactions_find(txns, id);
    if (record->value.ptr) {
        if (!txn)
            txn = insert(txns, id);
        txn_topics_clear(&txn->topics);
        txn->topics = topics;
        apply(txns, txn, &at);
    } else if (txn) {
        transactions_remove(txns, txn);
    }
    arena_deinit(&arena);
    return ERR_OK;
}

/* ---- waiting -------------------------------------------------------------------------------------------------------------- */

enum { WAIT_FOR_ID = TXN_NEEDS_ID, WAIT_FOR_END = TXN_NEEDS_ID - 1 };

static int16_t decide(struct transactions *txns, struct coordinator_op *op, struct txn_request *request, bool may_wait);

/* A request that waited has its answer; records are in `op`. */
static void settled(struct txn_request *request, int16_t error) {
    request->error = error;
    request->waits = false;
    coordinator_resume(request->op);
}

int64_t transactions_take_id(struct transactions *txns) {
    return host_of(txns)->take_producer_id(txns->coordinator->host);
}

static void decide_needy(struct coordinator_op *op, void *state) {
    struct transactions *txns = state;
    struct list needy;
    list_init(&needy);
    list_splice(&needy, &txns->needy);
    for (struct list *node; (node = list_pop_front(&needy));) {
        struct txn_request *request = list_entry(node, struct txn_request, node);
        int16_t error = decide(txns, op, request, true);
        if (error < WAIT_FOR_END)
            settled(request, error);
    }
}

static void got_id(struct producer_id_waiter *waiter, int16_t error) {
    struct transactions *txns = container_of(waiter, struct transactions, id_waiter);
    txns->waits_for_id = false;
    if (!error) {
        coordinator_task(txns->coordinator, decide_needy, NULL);
        return;
    }
    for (struct list *node; (node = list_pop_front(&txns->needy));)
        settled(list_entry(node, struct txn_request, node), error);
}

static void wait_for_id(struct transactions *txns, struct txn_request *request) {
    list_push_back(&txns->needy, &request->node);
    if (txns->waits_for_id)
        return;
    txns->waits_for_id = true;
    host_of(txns)->wait_producer_id(txns->coordinator->host, &txns->id_waiter);
}

static void wait_for_end(struct transactions *txns, struct txn_request *request) {
    struct txn *txn = transactions_find(txns, request->id);
    uint64_t limit_ms = (uint64_t)coordinator_config_int(txns->coordinator, "add.partitions.to.txn.retry.backoff.max.ms");
    request->deadline_ns = coordinator_now_ns(txns->coordinator) + limit_ms * NS_PER_MS;
    list_push_back(&txn->waiting, &request->node);
    list_push_back(&txns->overdue, &request->overdue);
    if (!timer_is_running(&txns->wait_timer))
        timer_start(shard_of(txns), &txns->wait_timer, limit_ms * NS_PER_MS);
}

static void wait_over(struct shard *shard, struct timer *timer) {
    struct transactions *txns = container_of(timer, struct transactions, wait_timer);
    while (!list_is_empty(&txns->overdue)) {
        struct txn_request *request = list_entry(txns->overdue.next, struct txn_request, overdue);
        uint64_t now = shard_now_ns(shard);
        if (request->deadline_ns > now) {
            timer_start(shard, timer, request->deadline_ns - now);
            return;
        }
        list_remove(&request->overdue);
        list_remove(&request->node);
        settled(request, KAFKA_CONCURRENT_TRANSACTIONS);
    }
}

void transactions_resume(struct transactions *txns, struct coordinator_op *op, struct txn *txn) {
    struct list waiting;
    list_init(&waiting);
    list_splice(&waiting, &txn->waiting);
    for (struct list *node; (node = list_pop_front(&waiting));) {
        struct txn_request *request = list_entry(node, struct txn_request, node);
        list_remove(&request->overdue);
        int16_t error = decide(txns, op, request, false);
        settled(request, error < WAIT_FOR_END ? error : KAFKA_CONCURRENT_TRANSACTIONS);
    }
}

/* ---- requests --------------------------------------------------------------------------------------------------------------- */

/* The state, and what a decision would need a producer id for. */
static int64_t id_if_needed(struct transactions *txns, int16_t error) {
    return error == TXN_NEEDS_ID ? transactions_take_id(txns) : -1;
}

static int16_t decide_init(struct transactions *txns, struct coordinator_op *op, struct txn_request *request) {
    struct txn *txn = transactions_find(txns, request->id);
    struct txn_fields next;
    int64_t now_ms = coordinator_now_ms(txns->coordinator);
    int level = transactions_level(txns);
    int16_t error = txn_decide_init(txn ? &txn->at : NULL, &request->init, level, -1, now_ms, &next);
    int64_t new_id = id_if_needed(txns, error);
    if (new_id >= 0)
        error = txn_decide_init(txn ? &txn->at : NULL, &request->init, level, new_id, now_ms, &next);
    if (error)
        return error;
    if (!txn)
        txn = insert(txns, request->id);
    transactions_change(txns, op, txn, &next);
    if (next.state == TXN_PREPARE_ABORT) { /* of the producer that is fenced; this one comes again */
        txn_end_begin(txns, op, txn);
        return KAFKA_CONCURRENT_TRANSACTIONS;
    }
    request->answer_id = next.producer_id;
    request->answer_epoch = next.epoch;
    return 0;
}

/* At transaction.version 0 records cannot say that a client speaks the second protocol. */
static bool is_too_new(const struct transactions *txns, const struct txn_request *request) {
    return request->client_version > 0 && transactions_level(txns) == 0;
}

/* What the record may come to, with its batch around it. */
static bool is_too_large(const struct transactions *txns, const struct txn *txn, const struct txn_request *request) {
    size_t size = 256 + 2 * txn->id.size;
    for (int32_t t = 0; t < txn->topics.count; t++)
        size += txn->topics.all[t].name.size + 8 + 4 * (size_t)txn->topics.all[t].count;
    for (int32_t t = 0; t < request->topic_count; t++) {
        size += request->topics[t].name.size + 8;
        for (int32_t p = 0; p < request->topics[t].count; p++)
            size += txn_topics_contain(&txn->topics, request->topics[t].name, request->topics[t].partitions[p]) ? 0 : 4;
    }
    return size > (size_t)log_get_settings(txns->coordinator->partition->log)->validate.message_bytes_max;
}

static bool contains_all(const struct txn *txn, const struct txn_request *request) {
    for (int32_t t = 0; t < request->topic_count; t++)
        for (int32_t p = 0; p < request->topics[t].count; p++)
            if (!txn_topics_contain(&txn->topics, request->topics[t].name, request->topics[t].partitions[p]))
                return false;
    return true;
}

static int16_t decide_add(struct transactions *txns, struct coordinator_op *op, struct txn_request *request, bool may_wait) {
    struct txn *txn = transactions_find(txns, request->id);
    struct txn_fields next;
    int16_t error = txn_decide_add(txn ? &txn->at : NULL, request->producer_id, request->epoch, request->client_version,
                                   coordinator_now_ms(txns->coordinator), &next);
    if (error)
        return error == KAFKA_CONCURRENT_TRANSACTIONS && may_wait ? WAIT_FOR_END : error;
    if (txn->at.state == TXN_ONGOING && contains_all(txn, request))
        return 0;
    if (is_too_new(txns, request))
        return KAFKA_UNSUPPORTED_VERSION;
    if (is_too_large(txns, txn, request))
        return KAFKA_UNKNOWN_SERVER_ERROR;
    for (int32_t t = 0; t < request->topic_count; t++)
        for (int32_t p = 0; p < request->topics[t].count; p++)
            txn_topics_add(&txn->topics, request->topics[t].name, request->topics[t].partitions[p]);
    transactions_change(txns, op, txn, &next);
    return 0;
}

static int16_t decide_verify(const struct transactions *txns, const struct txn_request *request) {
    const struct txn *txn = transactions_find(txns, request->id);
    int16_t error = txn_decide_verify(txn ? &txn->at : NULL, request->producer_id, request->epoch);
    for (int32_t t = 0; t < request->topic_count; t++)
        for (int32_t p = 0; p < request->topics[t].count; p++)
            request->topics[t].errors[p] =
                error                                                                                               ? error
                : txn_topics_contain(&txn->topics, request->topics[t].name, request->topics[t].partitions[p]) ? 0
                                                                                                               : KAFKA_TRANSACTION_ABORTABLE;
    return 0;
}

static int16_t decide_end(struct transactions *txns, struct coordinator_op *op, struct txn_request *request) {
    struct txn *txn = transactions_find(txns, request->id);
    const struct txn_fields *at = txn ? &txn->at : NULL;
    struct txn_fields next;
    bool repeated;
    int64_t now_ms = coordinator_now_ms(txns->coordinator);
    int16_t error = txn_decide_end(at, request->producer_id, request->epoch, request->commit, request->client_version, -1, now_ms, &next, &repeated);
    int64_t new_id = id_if_needed(txns, error);
    if (new_id >= 0)
        error = txn_decide_end(at, request->producer_id, request->epoch, request->commit, request->client_version, new_id, now_ms, &next, &repeated);
    if (error)
        return error;
    if (!repeated && is_too_new(txns, request))
        return KAFKA_UNSUPPORTED_VERSION;
    if (request->client_version >= 2)
        txn_next_producer(&next, &request->answer_id, &request->answer_epoch);
    if (repeated)
        return 0;
    transactions_change(txns, op, txn, &next);
    txn_end_begin(txns, op, txn);
    return 0;
}

static int16_t decide(struct transactions *txns, struct coordinator_op *op, struct txn_request *request, bool may_wait) {
    int16_t error = 0;
    request->answer_id = -1;
    request->answer_epoch = -1;
    switch (request->kind) {
    case TXN_INIT: error = decide_init(txns, op, request); break;
    case TXN_ADD: error = decide_add(txns, op, request, may_wait); break;
    case TXN_VERIFY: error = decide_verify(txns, request); break;
    case TXN_END: error = decide_end(txns, op, request); break;
    }
    if (error == WAIT_FOR_ID)
        wait_for_id(txns, request);
    else if (error == WAIT_FOR_END)
        wait_for_end(txns, request);
    return error;
}

void transactions_request(struct transactions *txns, struct coordinator_op *op, struct txn_request *request) {
    request->op = op;
    list_init(&request->node);
    list_init(&request->overdue);
    int16_t error = decide(txns, op, request, true);
    request->waits = error >= WAIT_FOR_END;
    if (request->waits)
        coordinator_park(op);
    else
        request->error = error;
}

/* ---- life --------------------------------------------------------------------------------------------------------------------- */

static void *create(struct coordinator *coordinator) {
    struct transactions *txns = mem_new(struct transactions);
    txns->coordinator = coordinator;
    list_init(&txns->open);
    list_init(&txns->endings);
    list_init(&txns->needy);
    list_init(&txns->overdue);
    list_init(&txns->id_waiter.node);
    txns->id_waiter.got = got_id;
    txns->wait_timer.fire = wait_over;
    return txns;
}

/* Who waits here is failed by the coordinator. */
static void stop(void *state) {
    struct transactions *txns = state;
    txn_end_stop(txns);
    timer_stop(shard_of(txns), &txns->wait_timer);
    list_remove(&txns->id_waiter.node);
    for (struct list *node; (node = list_pop_front(&txns->overdue));)
        list_remove(&list_entry(node, struct txn_request, overdue)->node);
    while (list_pop_front(&txns->needy))
        ;
}

static void destroy(void *state) {
    struct transactions *txns = state;
    stop(txns);
    map_each_safe(node, &txns->by_id)
        transactions_remove(txns, container_of(node, struct txn, node));
    map_deinit(&txns->by_id);
    mem_free(txns);
}

static void loaded(void *state) {
    struct transactions *txns = state;
    txn_end_loaded(txns);
}

const struct coordinator_kind coordinator_transaction_kind = {
    .topic = "__transaction_state",
    .create = create,
    .destroy = destroy,
    .replay = replay,
    .loaded = loaded,
    .stop = stop,
};
