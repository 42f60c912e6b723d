/* How a transaction ends: once PREPARE_* is on the device the outcome is certain, and its markers go to all partitions; when
 * they are on the device too, COMPLETE_* is written. A crash anywhere in between begins again with the markers, which may
 * then stand twice in a log: the second changes nothing.
 *
 * And what time does to transactions: those that stay open too long are aborted, ids that nobody uses are forgotten. */
#include "base/mem.h"
#include "base/trace.h"
#include "coordinator/transactions.h"
#include "protocol/errors.h"

/* A transaction on its way from PREPARE_* to COMPLETE_*. */
struct ending {
    struct list node;          /* of txns->endings */
    struct transactions *txns; /* NULL: the coordinator is no more, or stops */
    struct coordinator_op op;
    struct arena arena;
    struct slice id;           /* in the arena */
    struct txn_markers markers;
};

static void ending_free(struct ending *ending) {
    struct txn *txn = ending->txns ? transactions_find(ending->txns, ending->id) : NULL;
    if (txn && txn->ending == ending)
        txn->ending = NULL;
    list_remove(&ending->node);
    arena_deinit(&ending->arena);
    mem_free(ending);
}

/* ---- the last step ------------------------------------------------------------------------------------------------------ */

static void complete(struct transactions *txns, struct coordinator_op *op, struct txn *txn) {
    struct txn_fields next = txn_complete(&txn->at, coordinator_now_ms(txns->coordinator));
    *(next.state == TXN_COMPLETE_COMMIT ? &txns->committed : &txns->aborted) += 1;
    txn_topics_clear(&txn->topics);
    transactions_change(txns, op, txn, &next);
    transactions_resume(txns, op, txn);
}

static void decide_complete(struct coordinator_op *op, void *state) {
    struct ending *ending = container_of(op, struct ending, op);
    struct transactions *txns = state;
    struct txn *txn = transactions_find(txns, ending->id);
    if (txn && (txn->at.state == TXN_PREPARE_COMMIT || txn->at.state == TXN_PREPARE_ABORT) && txn->at.epoch == ending->markers.epoch &&
        txn->at.producer_id == ending->markers.producer_id)
        complete(txns, op, txn);
}

static void completed(struct coordinator_op *op, int16_t error) {
    (void)error; /* else the log tells that the markers must be written again */
    ending_free(container_of(op, struct ending, op));
}

static void marked(struct txn_markers *markers) {
    struct ending *ending = container_of(markers, struct ending, markers);
    struct transactions *txns = ending->txns;
    if (!txns || markers->failed) { /* the next load sends them again */
        ending_free(ending);
        return;
    }
    ending->op = (struct coordinator_op){.arena = &ending->arena, .decide = decide_complete, .done = completed};
    coordinator_run(txns->coordinator, &ending->op);
}

/* ---- the first step ------------------------------------------------------------------------------------------------------- */

static struct ending *ending_create(struct transactions *txns, const struct txn *txn) {
    struct ending *ending = mem_new(struct ending);
    ending->txns = txns;
    ending->id = arena_slice(&ending->arena, txn->id);
    list_push_back(&txns->endings, &ending->node);
    struct txn_markers *markers = &ending->markers;
    *markers = (struct txn_markers){.producer_id = txn->at.producer_id,
                                    .epoch = txn->at.epoch,
                                    .transaction_version = txn->at.client_version,
                                    .coordinator_epoch = txns->coordinator->epoch,
                                    .commit = txn->at.state == TXN_PREPARE_COMMIT,
                                    .done = marked};
    markers->all = arena_array(&ending->arena, struct txn_marker, txn_topics_partitions(&txn->topics) + 1);
    for (int32_t t = 0; t < txn->topics.count; t++) {
        struct slice topic = arena_slice(&ending->arena, txn->topics.all[t].name);
        for (int32_t p = 0; p < txn->topics.all[t].count; p++)
            markers->all[markers->count++] = (struct txn_marker){topic, txn->topics.all[t].partitions[p]};
    }
    return ending;
}

static void nothing(struct coordinator_op *op, void *state) {
    (void)op, (void)state;
}

static void prepared(struct coordinator_op *op, int16_t error) {
    struct ending *ending = container_of(op, struct ending, op);
    if (error || !ending->txns) { /* what the log has decides */
        ending_free(ending);
        return;
    }
    struct coordinator_host *host = ending->txns->coordinator->host;
    host->transactions->send_markers(host, &ending->markers);
}

static void begin(struct transactions *txns, struct txn *txn) {
    struct ending *ending = txn->ending = ending_create(txns, txn);
    ending->op = (struct coordinator_op){.arena = &ending->arena, .decide = nothing, .done = prepared};
    coordinator_run(txns->coordinator, &ending->op);
}

void txn_end_begin(struct transactions *txns, struct coordinator_op *op, struct txn *txn) {
    if (txn->topics.count)
        begin(txns, txn);
    else
        complete(txns, op, txn);
}

/* ---- time ------------------------------------------------------------------------------------------------------------------- */

static bool is_timed_out(const struct txn *txn, int64_t now_ms) {
    return txn->at.state == TXN_ONGOING && txn->at.timeout_ms != TXN_TIMEOUT_NEVER && txn->at.start_ms + txn->at.timeout_ms < now_ms;
}

static void abort_one(struct transactions *txns, struct coordinator_op *op, struct txn *txn, int64_t now_ms) {
    struct txn_fields next;
    int level = transactions_level(txns);
    int16_t error = txn_decide_abort(&txn->at, level, -1, now_ms, &next);
    if (error == TXN_NEEDS_ID)
        error = txn_decide_abort(&txn->at, level, transactions_take_id(txns), now_ms, &next);
    if (error) /* no id at hand: the next time */
        return;
    trace_info("coordinator", "a transaction took too long and is aborted", TRACE_SLICE("id", txn->id),
               TRACE_INT("producer", txn->at.producer_id), TRACE_INT("epoch", txn->at.epoch), TRACE_INT("timeout_ms", txn->at.timeout_ms));
    txns->timed_out++;
    transactions_change(txns, op, txn, &next);
    txn_end_begin(txns, op, txn);
}

static void decide_aborts(struct coordinator_op *op, void *state) {
    struct transactions *txns = state;
    int64_t now_ms = coordinator_now_ms(txns->coordinator);
    op->divisible = true;
    list_each_safe(node, &txns->open) {
        struct txn *txn = list_entry(node, struct txn, open);
        if (is_timed_out(txn, now_ms))
            abort_one(txns, op, txn, now_ms);
    }
}

static void start_timer(struct transactions *txns, struct timer *timer, const char *key) {
    int64_t ms = coordinator_config_int(txns->coordinator, key);
    timer_start(txns->coordinator->host->shard, timer, (uint64_t)(ms > 0 ? ms : 1) * NS_PER_MS);
}

/* Its outcome is in the log, and the log had no room for what comes next: all of it once more. Not while markers are out: they
 * wait for their partitions, and those that are there already would be written again and again. */
static bool is_stuck(const struct txn *txn) {
    return (txn->at.state == TXN_PREPARE_COMMIT || txn->at.state == TXN_PREPARE_ABORT) && !txn->ending;
}

static void abort_due(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct transactions *txns = container_of(timer, struct transactions, abort_timer);
    start_timer(txns, timer, "transaction.abort.timed.out.transaction.cleanup.interval.ms");
    int64_t now_ms = coordinator_now_ms(txns->coordinator);
    bool timed_out = false;
    list_each_safe(node, &txns->open) {
        struct txn *txn = list_entry(node, struct txn, open);
        timed_out = timed_out || is_timed_out(txn, now_ms);
        if (is_stuck(txn))
            begin(txns, txn);
    }
    if (timed_out)
        coordinator_chore(txns->coordinator, decide_aborts);
}

static bool is_expired(const struct txn *txn, int64_t before_ms) {
    return (txn->at.state == TXN_EMPTY || txn->at.state == TXN_COMPLETE_COMMIT || txn->at.state == TXN_COMPLETE_ABORT) &&
           txn->at.update_ms <= before_ms;
}

static void decide_expiry(struct coordinator_op *op, void *state) {
    struct transactions *txns = state;
    int64_t before_ms = coordinator_now_ms(txns->coordinator) - coordinator_config_int(txns->coordinator, "transactional.id.expiration.ms");
    op->divisible = true;
    op->applied = true;
    map_each_safe(node, &txns->by_id) {
        struct txn *txn = container_of(node, struct txn, node);
        if (is_expired(txn, before_ms)) {
            coordinator_add(op, txn_record_key(op->arena, txn->id), SLICE_NULL);
            transactions_remove(txns, txn);
        }
    }
}

static void expiry_due(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct transactions *txns = container_of(timer, struct transactions, expire_timer);
    start_timer(txns, timer, "transaction.remove.expired.transaction.cleanup.interval.ms");
    coordinator_chore(txns->coordinator, decide_expiry);
}

/* ---- life --------------------------------------------------------------------------------------------------------------------- */

void txn_end_loaded(struct transactions *txns) {
    txns->abort_timer.fire = abort_due;
    txns->expire_timer.fire = expiry_due;
    start_timer(txns, &txns->abort_timer, "transaction.abort.timed.out.transaction.cleanup.interval.ms");
    start_timer(txns, &txns->expire_timer, "transaction.remove.expired.transaction.cleanup.interval.ms");
    list_each(node, &txns->open) {
        struct txn *txn = list_entry(node, struct txn, open);
        if (txn->at.state != TXN_ONGOING)
            begin(txns, txn);
    }
}

void txn_end_stop(struct transactions *txns) {
    timer_stop(txns->coordinator->host->shard, &txns->abort_timer);
    timer_stop(txns->coordinator->host->shard, &txns->expire_timer);
    for (struct list *node; (node = list_pop_front(&txns->endings));)
        list_entry(node, struct ending, node)->txns = NULL;
}
