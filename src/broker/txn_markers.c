#include "broker/txn_markers.h"

#include "base/mem.h"
#include "base/trace.h"
#include "broker/producer_ids.h"
#include "protocol/errors.h"

enum { RETRY_MS = 20 };

/* ---- one marker --------------------------------------------------------------------------------------------------------- */

static void finish(struct marker_write *write, int16_t error) {
    list_remove(&write->node);
    list_remove(&write->waiter.node);
    timer_stop(write->shard->shard, &write->retry_timer);
    write->done(write, error);
}

static void step(struct marker_write *write);

static void woken(struct partition_waiter *waiter, struct partition *partition) {
    (void)partition;
    struct marker_write *write = container_of(waiter, struct marker_write, waiter);
    list_remove(&waiter->node);
    step(write);
}

static void wait(struct marker_write *write, struct partition *partition) {
    write->waiter.wake = woken;
    partition_wait(partition, &write->waiter);
}

static void retry(struct shard *shard, struct timer *timer) {
    (void)shard;
    step(container_of(timer, struct marker_write, retry_timer));
}

static void wait_for_groups(struct marker_write *write) {
    write->retry_timer.fire = retry;
    timer_start(write->shard->shard, &write->retry_timer, RETRY_MS * NS_PER_MS);
}

static void durable(struct partition_waiter *waiter, struct partition *partition) {
    struct marker_write *write = container_of(waiter, struct marker_write, waiter);
    enum err err = partition_check_leader(partition);
    if (!err && log_durable_end(partition->log) >= write->end_offset) {
        finish(write, 0);
        return;
    }
    if (!err && !write->own)
        err = log_state(partition->log);
    if (err && write->own) {
        list_remove(&waiter->node);
        step(write); /* it is written again: once too often does no harm */
    } else if (err) {
        finish(write, err_kafka_code(err));
    }
}

/* ---- at the group coordinator ------------------------------------------------------------------------------------------------- */

static void groups_marked(struct coordinator_marker *marker, int16_t error) {
    struct marker_write *write = container_of(marker, struct marker_write, marker);
    write->at_groups = false;
    bool unavailable = error == KAFKA_NOT_COORDINATOR || error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || error == KAFKA_COORDINATOR_NOT_AVAILABLE ||
                       error == KAFKA_KAFKA_STORAGE_ERROR;
    if (write->own && error == KAFKA_INVALID_PRODUCER_EPOCH)
        finish(write, 0); /* the partition is further than this transaction */
    else if (write->own && unavailable && !write->shard->markers_closed)
        wait_for_groups(write);
    else
        finish(write, unavailable ? KAFKA_NOT_LEADER_OR_FOLLOWER : error);
}

static void mark_groups(struct marker_write *write) {
    struct coordinator *groups = coordinator_find(write->shard, COORDINATOR_GROUP, write->partition);
    write->marker = (struct coordinator_marker){.producer_id = write->producer_id,
                                                .producer_epoch = write->producer_epoch,
                                                .transaction_version = write->transaction_version,
                                                .coordinator_epoch = write->coordinator_epoch,
                                                .commit = write->commit,
                                                .own = write->own,
                                                .done = groups_marked};
    write->at_groups = true;
    if (groups)
        coordinator_mark(groups, &write->marker);
    else
        groups_marked(&write->marker, KAFKA_NOT_COORDINATOR);
}

/* ---- at the partition ------------------------------------------------------------------------------------------------------------ */

/* A marker of its own coordinator is not kept away by one that somebody sent with a coordinator epoch out of the air. */
static enum err append(struct marker_write *write, struct partition *partition) {
    const struct producers *producers = log_producers(partition->log);
    enum err err = producers_check_marker(producers, write->producer_id, write->producer_epoch, write->own ? INT32_MAX : write->coordinator_epoch,
                                          write->transaction_version);
    if (err)
        return err;
    const struct producer *producer = producers_find(producers, write->producer_id);
    struct log_marker marker = {write->producer_id, write->producer_epoch, write->coordinator_epoch, write->commit};
    if (producer && producer->coordinator_epoch > marker.coordinator_epoch)
        marker.coordinator_epoch = producer->coordinator_epoch;
    return log_append_marker(partition->log, &marker, partition->leader_epoch);
}

static void append_or_wait(struct marker_write *write, struct partition *partition) {
    enum err err = append(write, partition);
    if (!err) {
        write->end_offset = log_offsets(partition->log).end;
        write->waiter.wake = durable;
        partition_wait(partition, &write->waiter);
    } else if (!write->own) {
        finish(write, err_kafka_code(err));
    } else if (err == ERR_INVALID_PRODUCER_EPOCH) {
        finish(write, 0); /* the partition is further than this transaction */
    } else {
        wait(write, partition);
    }
}

static void step(struct marker_write *write) {
    struct partition *partition = partition_find(&write->shard->partitions, write->topic_id, write->partition);
    enum err err = partition_check_leader(partition);
    if (err == ERR_NOT_FOUND)
        finish(write, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    else if (partition_is_opening(partition) || (!err && partition->frozen))
        wait(write, partition);
    else if (err && write->own)
        wait(write, partition);
    else if (err)
        finish(write, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    else if (slice_eq_str(partition->topic, "__consumer_offsets"))
        mark_groups(write);
    else
        append_or_wait(write, partition);
}

void marker_write(struct broker_shard *shard, struct marker_write *write) {
    write->shard = shard;
    list_init(&write->waiter.node);
    list_push_back(&shard->marker_writes, &write->node);
    if (shard->markers_closed)
        finish(write, KAFKA_NOT_LEADER_OR_FOLLOWER);
    else
        step(write);
}

/* ---- all markers of a transaction ------------------------------------------------------------------------------------------------- */

struct send_part { /* those of one shard */
    struct shard_call call;
    struct send *send;
    struct marker_write *writes;
    int count, left;
    bool failed;
};
struct send {
    struct list node; /* of home->marker_sends */
    struct txn_markers *markers;
    struct arena arena;
    struct send_part **parts; /* by shard; NULL: none */
    int pending;
    bool failed;
};

static void send_done(struct send *send) {
    struct txn_markers *markers = send->markers;
    markers->failed = send->failed;
    list_remove(&send->node);
    arena_deinit(&send->arena);
    mem_free(send);
    markers->done(markers);
}

static void written(struct marker_write *write, int16_t error) {
    struct send_part *part = write->send_part;
    part->failed = part->failed || (error && error != KAFKA_UNKNOWN_TOPIC_OR_PARTITION); /* of what is no more, no marker is missed */
    if (--part->left == 0)
        shard_call_return(&part->call);
}

static void part_run(struct shard_call *call) {
    struct send_part *part = container_of(call, struct send_part, call);
    part->left = part->count + 1;
    for (int i = 0; i < part->count; i++)
        marker_write(call->at, &part->writes[i]);
    if (--part->left == 0)
        shard_call_return(call);
}

static void part_back(struct shard_call *call) {
    struct send_part *part = container_of(call, struct send_part, call);
    struct send *send = part->send;
    send->failed = send->failed || part->failed;
    if (--send->pending == 0)
        send_done(send);
}

static void add(struct send *send, struct broker_shard *home, struct uuid topic_id, int32_t partition) {
    const struct txn_markers *markers = send->markers;
    int owner = broker_partition_shard(home->broker, topic_id, partition);
    struct send_part *part = send->parts[owner];
    if (!part) {
        part = send->parts[owner] = arena_new(&send->arena, struct send_part);
        part->call = (struct shard_call){.home = home, .at = &home->broker->shards[owner], .run = part_run, .back = part_back};
        part->send = send;
        part->writes = arena_array(&send->arena, struct marker_write, markers->count);
    }
    part->writes[part->count++] = (struct marker_write){.topic_id = topic_id,
                                                        .partition = partition,
                                                        .producer_id = markers->producer_id,
                                                        .producer_epoch = markers->epoch,
                                                        .transaction_version = markers->transaction_version,
                                                        .coordinator_epoch = markers->coordinator_epoch,
                                                        .commit = markers->commit,
                                                        .own = true,
                                                        .done = written,
                                                        .send_part = part};
}

static void send_markers(struct coordinator_host *host, struct txn_markers *markers) {
    struct broker_shard *home = host->user;
    int shard_count = home->broker->shard_count;
    struct send *send = mem_new(struct send);
    send->markers = markers;
    send->parts = arena_array(&send->arena, struct send_part *, shard_count);
    list_push_back(&home->marker_sends, &send->node);
    for (int32_t i = 0; i < markers->count; i++) {
        const struct image_topic *topic = image_find_topic(home->image, markers->all[i].topic);
        if (image_find_partition(topic, markers->all[i].partition))
            add(send, home, topic->id, markers->all[i].partition);
    }
    send->pending = 1;
    for (int i = 0; i < shard_count; i++)
        send->pending += send->parts[i] != NULL;
    for (int i = 0; i < shard_count; i++)
        if (send->parts[i])
            shard_call_send(&send->parts[i]->call);
    if (--send->pending == 0)
        send_done(send);
}

void txn_markers_close(struct broker_shard *shard) {
    shard->markers_closed = true;
    list_each_safe(node, &shard->marker_writes) {
        struct marker_write *write = list_entry(node, struct marker_write, node);
        if (!write->at_groups)
            finish(write, KAFKA_NOT_LEADER_OR_FOLLOWER);
    }
}

/* The loops have ended: what was on its way between shards stays where it was. */
void txn_markers_free(struct broker_shard *shard) {
    while (!list_is_empty(&shard->marker_sends)) {
        struct send *send = list_entry(shard->marker_sends.next, struct send, node);
        send->failed = true;
        send_done(send);
    }
}

static int64_t take_id(struct coordinator_host *host) {
    return producer_id_take(host->user);
}
static void wait_id(struct coordinator_host *host, struct producer_id_waiter *waiter) {
    producer_id_wait(host->user, waiter);
}

const struct transaction_host txn_host = {.take_producer_id = take_id, .wait_producer_id = wait_id, .send_markers = send_markers};
