#include "coordinator/coordinator.h"

#include <stdlib.h>
#include "base/mem.h"
#include "base/trace.h"
#include "coordinator/load.h"
#include "coordinator/op_metrics.h"
#include "log/log.h"
#include "metadata/config_check.h"
#include "protocol/compress.h"
#include "protocol/errors.h"

struct coordinator_pending { /* a record of an operation, in its arena */
    struct coordinator_pending *next;
    struct slice key, value;
};

enum {
    RECORD_OVERHEAD = 24,   /* at most: lengths, deltas, attributes, no headers */
    BATCH_KEPT = 128 << 10, /* memory of the last batch that is kept for the next */
    TIMED_FIRST = 64,       /* operations that are timed by the clock, */
    TIMED_EVERY = 8,        /* and then one in so many */
};

/* ---- metrics ------------------------------------------------------------------------------------------------------------ */

static struct coordinator_metrics *metrics_of(const struct coordinator *coordinator) {
    return coordinator->host->metrics ? &coordinator->host->metrics[coordinator->type] : NULL;
}

static uint64_t us_since(const struct coordinator *coordinator, uint64_t then_ns) {
    return (shard_now_ns(coordinator->host->shard) - then_ns) / 1000;
}

static void note_done(const struct coordinator *coordinator, const struct coordinator_op *op) {
    struct coordinator_metrics *metrics = metrics_of(coordinator);
    if (!metrics)
        return;
    metrics->waited++;
    histogram_add(&metrics->purgatory, us_since(coordinator, op->waits_ns));
    if (!op->is_write)
        return;
    metrics->writes_done++;
    histogram_add(&metrics->write, us_since(coordinator, op->come_ns));
}

int64_t coordinator_queued(const struct coordinator *coordinator) {
    int64_t count = 0;
    for (const struct list *node = coordinator->queued.next; node != &coordinator->queued; node = node->next)
        count++;
    return count;
}

/* ---- what is done ----------------------------------------------------------------------------------------------------- */

static void ask(struct coordinator *coordinator) {
    shard_at_turn_end(coordinator->host->shard, &coordinator->hook);
}

static void fail(struct coordinator *coordinator, struct coordinator_op *op, int16_t error) {
    op->error = error;
    op->is_parked = false;
    list_push_back(&coordinator->failed, &op->node);
    ask(coordinator);
}

static void fail_all(struct coordinator *coordinator, struct list *ops, int16_t error) {
    for (struct list *node; (node = list_pop_front(ops));)
        fail(coordinator, list_entry(node, struct coordinator_op, node), error);
}

/* Answers those that failed, and those for which all is on the device. done() may lead anywhere, but not to the end of the
 * coordinator. */
static void settle(struct coordinator *coordinator) {
    for (struct list *node; (node = list_pop_front(&coordinator->failed));) {
        struct coordinator_op *op = list_entry(node, struct coordinator_op, node);
        op->done(op, op->error);
    }
    const struct log *log = coordinator->partition->log;
    while (log && !list_is_empty(&coordinator->ops)) {
        struct coordinator_op *op = list_entry(coordinator->ops.next, struct coordinator_op, node);
        if (op->end > log_durable_end(log))
            break;
        list_remove(&op->node);
        note_done(coordinator, op);
        op->done(op, 0);
    }
}

/* ---- life ----------------------------------------------------------------------------------------------------------------- */

static void drop_batch(struct coordinator *coordinator) {
    if (coordinator->batch.capacity > BATCH_KEPT) {
        if (metrics_of(coordinator))
            metrics_of(coordinator)->buffers_dropped++;
        buf_deinit(&coordinator->batch);
    }
    buf_clear(&coordinator->batch);
    coordinator->builder.count = 0;
    timer_stop(coordinator->host->shard, &coordinator->linger_timer);
}

static void drop_state(struct coordinator *coordinator) {
    load_stop(coordinator);
    if (coordinator->state)
        coordinator->kind->destroy(coordinator->state);
    coordinator->state = NULL;
}

/* Those that are not decided, or decided and not complete. */
static void fail_waiting(struct coordinator *coordinator) {
    fail_all(coordinator, &coordinator->parked, KAFKA_NOT_COORDINATOR);
    fail_all(coordinator, &coordinator->held, KAFKA_NOT_COORDINATOR);
    fail_all(coordinator, &coordinator->queued, KAFKA_NOT_COORDINATOR);
}

/* What is in memory may never be on the device: operations that saw more than `sound_end` fail, and the log tells anew. */
static void reload(struct coordinator *coordinator, int64_t sound_end, int16_t error) {
    trace_warn("coordinator", "loads anew, for its state is ahead of its log", TRACE_SLICE("topic", coordinator->partition->topic),
               TRACE_INT("partition", coordinator->partition->index));
    list_each_safe(node, &coordinator->ops) {
        struct coordinator_op *op = list_entry(node, struct coordinator_op, node);
        if (op->end > sound_end) {
            list_remove(node);
            fail(coordinator, op, error);
        }
    }
    fail_all(coordinator, &coordinator->resumed, error);
    fail_waiting(coordinator);
    drop_batch(coordinator);
    drop_state(coordinator);
    coordinator->phase = COORDINATOR_LOADING;
    coordinator->state = coordinator->kind->create(coordinator);
    load_start(coordinator);
}

static void give_up(struct coordinator *coordinator) {
    fail_all(coordinator, &coordinator->ops, KAFKA_NOT_COORDINATOR);
    fail_all(coordinator, &coordinator->resumed, KAFKA_NOT_COORDINATOR);
    fail_waiting(coordinator);
    drop_batch(coordinator);
    drop_state(coordinator);
    coordinator->phase = COORDINATOR_FAILED;
}

void coordinator_load_done(struct coordinator *coordinator, enum err err) {
    if (err) {
        give_up(coordinator);
        return;
    }
    coordinator->phase = COORDINATOR_ACTIVE;
    coordinator->load_ns = coordinator_now_ns(coordinator) - coordinator->load_start_ns;
    coordinator->applied_end = log_offsets(coordinator->partition->log).end;
    if (coordinator->kind->loaded)
        coordinator->kind->loaded(coordinator->state);
}

static void note_room(struct coordinator *coordinator);
static bool run_queued(struct coordinator *coordinator);
static bool flush(struct coordinator *coordinator);

static void turn_end(struct turn_hook *hook) {
    struct coordinator *coordinator = container_of(hook, struct coordinator, hook);
    run_queued(coordinator);
    if (coordinator->linger_ms <= 0 || !timer_is_running(&coordinator->linger_timer)) /* it may have fired while the log was frozen */
        flush(coordinator);
    settle(coordinator);
}

static void lingered(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct coordinator *coordinator = container_of(timer, struct coordinator, linger_timer);
    flush(coordinator);
    settle(coordinator);
}

/* The records stay, and what they did; only the wait is over. */
static void timed_out(struct shard *shard, struct timer *timer) {
    struct coordinator *coordinator = container_of(timer, struct coordinator, timeout_timer);
    uint64_t now = shard_now_ns(shard);
    while (!list_is_empty(&coordinator->ops)) {
        struct coordinator_op *op = list_entry(coordinator->ops.next, struct coordinator_op, node);
        if (op->deadline_ns > now) {
            timer_start(shard, timer, op->deadline_ns - now);
            break;
        }
        list_remove(&op->node);
        fail(coordinator, op, coordinator_error(ERR_TIMEOUT));
    }
}

static void woken(struct partition_waiter *waiter, struct partition *partition) {
    struct coordinator *coordinator = container_of(waiter, struct coordinator, waiter);
    enum err err = partition->log ? log_state(partition->log) : ERR_OFFLINE;
    if (err == ERR_OFFLINE) {
        if (coordinator->phase != COORDINATOR_FAILED)
            give_up(coordinator);
    } else if (err == ERR_NO_SPACE) { /* what was appended is written when there is room; nobody waits for that */
        fail_all(coordinator, &coordinator->ops, coordinator_error(err));
    }
    note_room(coordinator);
    load_woken(coordinator);
    if (!partition->frozen && (coordinator->builder.count || !list_is_empty(&coordinator->queued)))
        ask(coordinator);
    settle(coordinator);
}

static const struct {
    const char *linger, *codec, *timeout;
} setting_names[COORDINATOR_TYPES] = {
    [COORDINATOR_GROUP] = {"group.coordinator.append.linger.ms", "offsets.topic.compression.codec", "offsets.commit.timeout.ms"},
    [COORDINATOR_TRANSACTION] = {NULL, NULL, NULL},
    [COORDINATOR_SHARE] = {"share.coordinator.append.linger.ms", "share.coordinator.state.topic.compression.codec",
                           "share.coordinator.write.timeout.ms"},
};

static int64_t setting(const struct coordinator *coordinator, const char *key, int64_t none) {
    return key ? coordinator_config_int(coordinator, key) : none;
}

static const struct coordinator_kind *const kinds[COORDINATOR_TYPES] = {
    [COORDINATOR_GROUP] = &coordinator_group_kind,
    [COORDINATOR_TRANSACTION] = &coordinator_transaction_kind,
    [COORDINATOR_SHARE] = &coordinator_share_kind,
};

const struct coordinator_kind *coordinator_kind_of(enum coordinator_type type) {
    return kinds[type];
}

struct coordinator *coordinator_create(struct coordinator_host *host, enum coordinator_type type, struct partition *partition) {
    if (!kinds[type])
        return NULL;
    struct coordinator *coordinator = mem_new(struct coordinator);
    coordinator->host = host;
    coordinator->type = type;
    coordinator->kind = kinds[type];
    coordinator->partition = partition;
    coordinator->epoch = partition->leader_epoch;
    coordinator->linger_ms = setting(coordinator, setting_names[type].linger, -1);
    coordinator->timeout_ms = setting(coordinator, setting_names[type].timeout, -1);
    coordinator->codec = (enum codec)setting(coordinator, setting_names[type].codec, CODEC_NONE);
    if (coordinator->codec >= CODEC_COUNT)
        coordinator->codec = CODEC_NONE;
    list_init(&coordinator->node);
    list_init(&coordinator->queued);
    list_init(&coordinator->held);
    list_init(&coordinator->parked);
    list_init(&coordinator->ops);
    list_init(&coordinator->failed);
    list_init(&coordinator->resumed);
    coordinator->hook.run = turn_end;
    coordinator->linger_timer.fire = lingered;
    coordinator->timeout_timer.fire = timed_out;
    coordinator->waiter.wake = woken;
    partition_wait(partition, &coordinator->waiter);
    coordinator->state = coordinator->kind->create(coordinator);
    load_start(coordinator);
    return coordinator;
}

void coordinator_destroy(struct coordinator *coordinator) {
    list_remove(&coordinator->waiter.node);
    give_up(coordinator);
    settle(coordinator);
    timer_stop(coordinator->host->shard, &coordinator->timeout_timer);
    turn_hook_cancel(&coordinator->hook);
    buf_deinit(&coordinator->batch);
    mem_free(coordinator);
}

void coordinator_stop(struct coordinator *coordinator) {
    coordinator->stopping = true;
    if (coordinator->kind->stop && coordinator->phase == COORDINATOR_ACTIVE)
        coordinator->kind->stop(coordinator->state);
    fail_waiting(coordinator);
    flush(coordinator);
    settle(coordinator);
}

void coordinator_topic_changed(struct coordinator *coordinator, const struct image_topic *topic, bool removed) {
    if (coordinator->phase == COORDINATOR_ACTIVE && coordinator->kind->topic_changed)
        coordinator->kind->topic_changed(coordinator->state, topic, removed);
}

void coordinator_raise_epoch(struct coordinator *coordinator, int32_t epoch) {
    coordinator->epoch = epoch;
}

/* ---- appending ---------------------------------------------------------------------------------------------------------------- */

/* To the end of the log, which must be where it was expected. */
static enum err append(struct coordinator *coordinator, struct buf *batch, int64_t base_offset) {
    struct log *log = coordinator->partition->log;
    if (!log)
        return ERR_NOT_LEADER;
    if (log_offsets(log).end != base_offset) {
        trace_error("coordinator", "somebody else wrote to its partition", TRACE_SLICE("topic", coordinator->partition->topic),
                    TRACE_INT("partition", coordinator->partition->index));
        return ERR_NOT_LEADER;
    }
    struct arena arena = {0};
    struct log_append_result result;
    struct coordinator_metrics *metrics = metrics_of(coordinator);
    uint64_t begin_ns = metrics ? shard_fresh_ns(coordinator->host->shard) : 0;
    enum err err = log_append(log, batch->ptr, batch->size, APPEND_COORDINATOR, coordinator->epoch, &arena, &result);
    if (err)
        trace_error("coordinator", "cannot append", TRACE_SLICE("topic", coordinator->partition->topic),
                    TRACE_INT("partition", coordinator->partition->index), TRACE_ERR(err),
                    TRACE_STR("why", result.validation.message ? result.validation.message : ""));
    arena_deinit(&arena);
    if (metrics) {
        metrics->flushes++;
        histogram_add(&metrics->flush, (shard_fresh_ns(coordinator->host->shard) - begin_ns) / 1000);
        histogram_add(&metrics->linger, us_since(coordinator, coordinator->batch_since_ns));
    }
    return err;
}

/* Kafka gives these batches the sequence 0, also those without a producer. */
static bool flush_as(struct coordinator *coordinator, int attributes, int64_t producer_id, int16_t producer_epoch) {
    if (!coordinator->builder.count || coordinator->partition->frozen)
        return true;
    int64_t base_offset = coordinator->applied_end - coordinator->builder.count;
    enum err err = batch_builder_finish(&coordinator->builder, attributes, coordinator->codec, COMPRESS_LEVEL_DEFAULT,
                                        coordinator->host->compressor, producer_id, producer_epoch, 0);
    if (!err)
        err = append(coordinator, &coordinator->batch, base_offset);
    drop_batch(coordinator);
    if (err)
        reload(coordinator, base_offset, coordinator_error(err));
    return !err;
}

/* False: the coordinator loads again. */
static bool flush(struct coordinator *coordinator) {
    return flush_as(coordinator, 0, -1, -1);
}

static size_t size_max(const struct coordinator *coordinator) {
    return (size_t)log_get_settings(coordinator->partition->log)->validate.message_bytes_max;
}

/* Into the state, and into the batch. */
static enum err take_record(struct coordinator *coordinator, const struct coordinator_op *op, const struct coordinator_pending *pending,
                            int64_t now_ms) {
    struct coordinator_record record = {.key = pending->key,
                                        .value = pending->value,
                                        .offset = coordinator->applied_end,
                                        .timestamp_ms = now_ms,
                                        .producer_id = op->transactional ? op->producer_id : -1,
                                        .producer_epoch = op->transactional ? op->producer_epoch : -1};
    enum err err = op->applied ? ERR_OK : coordinator->kind->replay(coordinator->state, &record);
    if (err)
        return err;
    if (!coordinator->builder.count) {
        batch_builder_init(&coordinator->builder, &coordinator->batch, 0);
        coordinator->batch_since_ns = shard_now_ns(coordinator->host->shard);
    }
    batch_builder_add(&coordinator->builder, coordinator->builder.count, now_ms, pending->key, pending->value, NULL, 0);
    coordinator->applied_end++;
    return ERR_OK;
}

/* The records of an operation are refused. What it did to the state by itself is taken back by it, or else forgotten: no
 * operation behind it may build on what the log does not have (a transaction that would end without its record). */
static void refuse_records(struct coordinator *coordinator, struct coordinator_op *op, int16_t error) {
    if (op->undo)
        op->undo(op, coordinator->state);
    else if (op->applied && flush(coordinator))
        reload(coordinator, coordinator->applied_end, error);
}

/* A record of ours does not fit the state: of the batch what came before the operation is kept. */
static int16_t take_back(struct coordinator *coordinator, const struct batch_builder *builder, size_t size, enum err err) {
    trace_error("coordinator", "a record that was just decided cannot be replayed",
                TRACE_SLICE("topic", coordinator->partition->topic), TRACE_INT("partition", coordinator->partition->index), TRACE_ERR(err));
    coordinator->applied_end -= coordinator->builder.count - builder->count;
    coordinator->builder = *builder;
    coordinator->batch.size = size;
    if (flush(coordinator))
        reload(coordinator, coordinator->applied_end, KAFKA_UNKNOWN_SERVER_ERROR);
    return KAFKA_UNKNOWN_SERVER_ERROR;
}

/* A producer may have lost its right to the transaction since it asked. */
static int16_t check_producer(const struct coordinator *coordinator, const struct coordinator_op *op) {
    const struct producers *producers = log_producers(coordinator->partition->log);
    return op->transactional ? err_kafka_code(producers_check_offsets(producers, op->producer_id, op->producer_epoch, op->guard)) : 0;
}

/* What decide() added. Not 0: the operation fails with it. */
static int16_t take_records(struct coordinator *coordinator, struct coordinator_op *op) {
    int16_t error = check_producer(coordinator, op);
    if (error) {
        refuse_records(coordinator, op, error);
        return error;
    }
    size_t limit = size_max(coordinator) - BATCH_HEADER_SIZE;
    if (op->size > limit && !op->divisible && (coordinator->codec == CODEC_NONE || op->size > 16 * limit)) {
        trace_warn("coordinator", "records of one operation are too large for a batch", TRACE_SLICE("topic", coordinator->partition->topic),
                   TRACE_INT("partition", coordinator->partition->index), TRACE_INT("size", op->size), TRACE_INT("limit", limit));
        refuse_records(coordinator, op, coordinator_error(ERR_TOO_LARGE));
        return coordinator_error(ERR_TOO_LARGE);
    }
    bool alone = op->transactional || (!op->divisible && coordinator->batch.size + op->size > limit);
    if (alone && !flush(coordinator))
        return KAFKA_NOT_COORDINATOR;
    struct batch_builder builder = coordinator->builder;
    size_t size = coordinator->batch.size;
    int64_t now_ms = shard_wall_ms(coordinator->host->shard);
    for (const struct coordinator_pending *pending = op->records; pending; pending = pending->next) {
        if (op->divisible && coordinator->batch.size + pending->key.size + pending->value.size + RECORD_OVERHEAD > limit) {
            if (!flush(coordinator))
                return KAFKA_NOT_COORDINATOR;
            builder = coordinator->builder;
            size = 0;
        }
        enum err err = take_record(coordinator, op, pending, now_ms);
        if (err)
            return take_back(coordinator, &builder, size, err);
    }
    if (op->transactional)
        return flush_as(coordinator, BATCH_TRANSACTIONAL, op->producer_id, op->producer_epoch) ? 0 : KAFKA_NOT_COORDINATOR;
    if (coordinator->linger_ms == 0 && !flush(coordinator))
        return KAFKA_NOT_COORDINATOR;
    if (coordinator->linger_ms > 0 && coordinator->builder.count && !timer_is_running(&coordinator->linger_timer))
        timer_start(coordinator->host->shard, &coordinator->linger_timer, (uint64_t)coordinator->linger_ms * NS_PER_MS);
    return 0;
}

/* ---- operations ------------------------------------------------------------------------------------------------------------------ */

/* Waits for the device to have what is known now. */
static void wait_for_device(struct coordinator *coordinator, struct coordinator_op *op) {
    op->end = coordinator->applied_end;
    op->waits_ns = shard_now_ns(coordinator->host->shard);
    list_push_back(&coordinator->ops, &op->node);
    if (coordinator->timeout_ms >= 0) {
        uint64_t timeout_ns = (uint64_t)coordinator->timeout_ms * NS_PER_MS;
        op->deadline_ns = shard_now_ns(coordinator->host->shard) + timeout_ns;
        if (!timer_is_running(&coordinator->timeout_timer)) /* one for many: it looks who is first when it fires */
            timer_start(coordinator->host->shard, &coordinator->timeout_timer, timeout_ns);
    }
    ask(coordinator);
}

static void run_decide(struct coordinator *coordinator, struct coordinator_op *op) {
    struct coordinator_metrics *metrics = metrics_of(coordinator);
    if (metrics) {
        metrics->decided++;
        histogram_add(&metrics->queue, us_since(coordinator, op->come_ns));
    }
    if (!metrics || (metrics->decided > TIMED_FIRST && metrics->decided % TIMED_EVERY)) {
        op->decide(op, coordinator->state);
        return;
    }
    uint64_t begin_ns = shard_fresh_ns(coordinator->host->shard);
    op->decide(op, coordinator->state);
    metrics->timed++;
    histogram_add(&metrics->processing, (shard_fresh_ns(coordinator->host->shard) - begin_ns) / 1000);
}

static void decide(struct coordinator *coordinator, struct coordinator_op *op) {
    op->last_record = &op->records;
    coordinator->deciding = op;
    run_decide(coordinator, op);
    coordinator->deciding = NULL;
    if (!op->error && op->records) {
        op->error = take_records(coordinator, op);
        ask(coordinator);
    }
    if (op->error)
        fail(coordinator, op, op->error);
    else if (op->is_parked)
        list_push_back(&coordinator->parked, &op->node);
    else
        wait_for_device(coordinator, op);
    for (struct list *node; (node = list_pop_front(&coordinator->resumed));)
        wait_for_device(coordinator, list_entry(node, struct coordinator_op, node));
}

static int16_t refusal(const struct coordinator *coordinator) {
    if (coordinator->stopping)
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (coordinator->phase != COORDINATOR_ACTIVE)
        return coordinator->phase == COORDINATOR_LOADING ? KAFKA_COORDINATOR_LOAD_IN_PROGRESS : KAFKA_NOT_COORDINATOR;
    const struct log *log = coordinator->partition->log;
    return log ? coordinator_error(log_state(log)) : KAFKA_NOT_COORDINATOR;
}

/* What was held comes before all that was not: of what it is about nothing has changed. */
static void note_room(struct coordinator *coordinator) {
    const struct log *log = coordinator->partition->log;
    bool lacks_room = log && log_state(log) == ERR_NO_SPACE;
    if (coordinator->lacks_room && !lacks_room) {
        coordinator->room_ns = coordinator_now_ns(coordinator);
        list_splice(&coordinator->held, &coordinator->queued);
        list_splice(&coordinator->queued, &coordinator->held);
    }
    coordinator->lacks_room = lacks_room;
}

static bool may_hold(const struct coordinator *coordinator, const struct coordinator_op *op) {
    return op->is_held && coordinator->lacks_room && coordinator->phase == COORDINATOR_ACTIVE && !coordinator->stopping;
}

/* Nothing is decided inside another decision, or while the partition's log may not be appended to. */
static bool must_wait(const struct coordinator *coordinator) {
    return coordinator->deciding || coordinator->partition->frozen;
}

static bool run_queued(struct coordinator *coordinator) {
    note_room(coordinator);
    while (!must_wait(coordinator) && !list_is_empty(&coordinator->queued)) {
        struct coordinator_op *op = list_entry(list_pop_front(&coordinator->queued), struct coordinator_op, node);
        int16_t error = refusal(coordinator);
        if (!error)
            decide(coordinator, op);
        else if (may_hold(coordinator, op))
            list_push_back(&coordinator->held, &op->node);
        else
            fail(coordinator, op, error);
    }
    return list_is_empty(&coordinator->queued);
}

void coordinator_run(struct coordinator *coordinator, struct coordinator_op *op) {
    op->coordinator = coordinator;
    op->come_ns = shard_now_ns(coordinator->host->shard);
    list_init(&op->node);
    note_room(coordinator);
    int16_t error = refusal(coordinator);
    if (error && !may_hold(coordinator, op)) {
        op->done(op, error);
        return;
    }
    list_push_back(&coordinator->queued, &op->node);
    run_queued(coordinator);
}

void coordinator_add(struct coordinator_op *op, struct slice key, struct slice value) {
    check(op->coordinator->deciding == op, "records are added while their operation is decided");
    struct coordinator_pending *pending = arena_alloc(op->arena, sizeof *pending);
    *pending = (struct coordinator_pending){NULL, key, value};
    *op->last_record = pending;
    op->last_record = &pending->next;
    op->size += key.size + value.size + RECORD_OVERHEAD;
}

void coordinator_forget(struct coordinator_op *op) {
    check(op->coordinator->deciding == op, "records are dropped while their operation is decided");
    op->records = NULL;
    op->last_record = &op->records;
    op->size = 0;
}

void coordinator_park(struct coordinator_op *op) {
    check(op->coordinator->deciding == op && !op->is_parked, "an operation parks while it is decided");
    op->is_parked = true;
}

void coordinator_resume(struct coordinator_op *op) {
    struct coordinator *coordinator = op->coordinator;
    check(op->is_parked, "an operation that is not parked is resumed");
    op->is_parked = false;
    if (coordinator->deciding == op)
        return;
    list_remove(&op->node);
    if (coordinator->deciding)
        list_push_back(&coordinator->resumed, &op->node);
    else
        wait_for_device(coordinator, op);
}

struct task {
    struct coordinator_op op;
    struct arena arena;
    void *arg;
};

static void task_done(struct coordinator_op *op, int16_t error) {
    (void)error; /* what failed is loaded anew, or has gone */
    struct task *task = container_of(op, struct task, op);
    arena_deinit(&task->arena);
    mem_free(task);
}

static void run_task(struct coordinator *coordinator, void (*decide_task)(struct coordinator_op *op, void *state), void *arg, bool is_held) {
    struct task *task = mem_new(struct task);
    task->arg = arg;
    task->op = (struct coordinator_op){.arena = &task->arena, .decide = decide_task, .done = task_done, .is_held = is_held};
    coordinator_run(coordinator, &task->op);
}

void coordinator_task(struct coordinator *coordinator, void (*decide_task)(struct coordinator_op *op, void *state), void *arg) {
    run_task(coordinator, decide_task, arg, true);
}

void coordinator_chore(struct coordinator *coordinator, void (*decide_chore)(struct coordinator_op *op, void *state)) {
    run_task(coordinator, decide_chore, NULL, false);
}

void *coordinator_task_arg(const struct coordinator_op *op) {
    return container_of(op, struct task, op)->arg;
}

/* ---- transaction markers ------------------------------------------------------------------------------------------------------------ */

static void decide_marker(struct coordinator_op *op, void *state) {
    struct coordinator_marker *marker = container_of(op, struct coordinator_marker, op);
    struct coordinator *coordinator = op->coordinator;
    if (!flush(coordinator)) {
        op->error = KAFKA_NOT_COORDINATOR;
        return;
    }
    struct log *log = coordinator->partition->log;
    enum err err = producers_check_marker(log_producers(log), marker->producer_id, marker->producer_epoch,
                                          marker->own ? INT32_MAX : marker->coordinator_epoch, marker->transaction_version);
    if (!err) {
        const struct producer *producer = producers_find(log_producers(log), marker->producer_id);
        struct log_marker out = {marker->producer_id, marker->producer_epoch, marker->coordinator_epoch, marker->commit};
        if (producer && producer->coordinator_epoch > out.coordinator_epoch)
            out.coordinator_epoch = producer->coordinator_epoch;
        err = log_append_marker(log, &out, coordinator->epoch);
    }
    if (err) { /* refused; nothing has changed */
        op->error = err_kafka_code(err);
        return;
    }
    coordinator->applied_end++;
    if (coordinator->kind->end_transaction)
        coordinator->kind->end_transaction(state, marker->producer_id, marker->producer_epoch, marker->commit);
}

static void marker_done(struct coordinator_op *op, int16_t error) {
    struct coordinator_marker *marker = container_of(op, struct coordinator_marker, op);
    arena_deinit(&marker->arena);
    marker->done(marker, error);
}

void coordinator_mark(struct coordinator *coordinator, struct coordinator_marker *marker) {
    marker->op = (struct coordinator_op){.arena = &marker->arena, .decide = decide_marker, .done = marker_done};
    coordinator_run(coordinator, &marker->op);
}

/* ---- what it is told -------------------------------------------------------------------------------------------------------------------- */

int16_t coordinator_error(enum err err) {
    int16_t code = err_kafka_code(err);
    switch (code) {
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_NOT_ENOUGH_REPLICAS:
    case KAFKA_REQUEST_TIMED_OUT: return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case KAFKA_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_KAFKA_STORAGE_ERROR: return KAFKA_NOT_COORDINATOR;
    case KAFKA_MESSAGE_TOO_LARGE:
    case KAFKA_RECORD_LIST_TOO_LARGE:
    case KAFKA_INVALID_FETCH_SIZE: return KAFKA_UNKNOWN_SERVER_ERROR;
    case KAFKA_NETWORK_EXCEPTION: return KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    default: return code;
    }
}

void coordinator_uuid(struct coordinator *coordinator, struct uuid *ret_uuid) {
    uint64_t bits[2];
    do
        runtime_secure_random(shard_runtime(coordinator->host->shard), bits, sizeof bits);
    while (!uuid_from_random(bits[0], bits[1], ret_uuid));
}

int64_t coordinator_config_int(const struct coordinator *coordinator, const char *key) {
    struct arena arena = {0};
    int64_t value = config_int(config_broker_value(coordinator->host->config, coordinator->host->image, key, &arena));
    arena_deinit(&arena);
    return value;
}

int64_t coordinator_group_config_int(const struct coordinator *coordinator, struct slice group, const char *key, const char *broker_key) {
    struct slice own = image_config(coordinator->host->image, CONFIG_RESOURCE_GROUP, group, slice_str(key));
    return own.ptr ? config_group_clamp(coordinator->host->config, slice_str(key), config_int(own)) : coordinator_config_int(coordinator, broker_key);
}

/* ---- placement -------------------------------------------------------------------------------------------------------------------------- */

/* The UTF-16 units of UTF-8; what is no UTF-8 counts as U+FFFD, a byte at a time. */
static uint32_t hash_unit(uint32_t hash, uint32_t unit) {
    return 31 * hash + unit;
}

static int sequence_size(const uint8_t *at, size_t left) {
    int size = *at < 0x80 ? 1 : *at >= 0xc2 && *at < 0xe0 ? 2 : (*at & 0xf0) == 0xe0 ? 3 : *at >= 0xf0 && *at < 0xf5 ? 4 : 0;
    if ((size_t)size > left)
        return 0;
    for (int i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

uint32_t coordinator_hash(struct slice s) {
    uint32_t hash = 0;
    for (size_t at = 0; at < s.size;) {
        const uint8_t *p = s.ptr + at;
        int size = sequence_size(p, s.size - at);
        uint32_t point = 0xfffd;
        if (size == 1)
            point = p[0];
        else if (size == 2)
            point = (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
        else if (size == 3)
            point = (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
        else if (size == 4)
            point = (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
        if (point >= 0x10000) {
            hash = hash_unit(hash, 0xd800 + ((point - 0x10000) >> 10));
            hash = hash_unit(hash, 0xdc00 + ((point - 0x10000) & 0x3ff));
        } else {
            hash = hash_unit(hash, point);
        }
        at += size ? (size_t)size : 1;
    }
    return hash;
}

int32_t coordinator_partition_of(struct slice id, int32_t partition_count) {
    int32_t hash = (int32_t)coordinator_hash(id);
    return (hash == INT32_MIN ? 0 : abs(hash)) % partition_count;
}
