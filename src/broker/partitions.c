/* The topics of the image become logs on the shard that owns each partition: made, opened, re-led, configured, deleted.
 *
 * A topic that is deleted and made again under the same name has the same directory: the new log waits until the old
 * one's has been renamed, on whichever shard that happens; and it is renamed when the checkpoint files tell of it no more. */
#include "base/check.h"
#include "base/mem.h"
#include "base/trace.h"
#include "broker/checkpoints.h"
#include "broker/connections.h"
#include "broker/coordinators.h"
#include "broker/cordon.h"
#include "broker/internal_topics.h"
#include "broker/moves.h"
#include "broker/shard_call.h"
#include "broker/share_partitions.h"
#include "broker/share_sessions.h"
#include "broker/strays.h"
#include "broker/telemetry.h"

enum { OPENING_MAX = 32, REOPEN_MS = 2000 };

struct partitions_state {
    struct image_observer observer;
    bool live;             /* the image is caught up: changes take effect as they come */
    struct partition **queue; /* waiting to be opened */
    int queue_count, queue_next, queue_capacity;
    int opening, closing;
    void (*opened)(struct broker_shard *shard);
    void (*closed)(struct broker_shard *shard, enum err err);
    enum err close_err;
    struct timer reopen_timer; /* partitions that found no room to be opened */
    uint64_t removals;     /* directories that were renamed away since the start, on any shard */
    struct timer retention_timer, expiry_timer;
};

static int broker_find_dir(const struct broker *broker, struct uuid dir_id) {
    for (int i = 0; i < broker->config->log_dir_count; i++)
        if (!uuid_is_zero(dir_id) && uuid_eq(broker->dir_ids[i], dir_id))
            return i;
    return -1;
}

bool topic_is_internal(struct slice name) {
    return slice_eq_str(name, "__consumer_offsets") || slice_eq_str(name, "__transaction_state") ||
           slice_eq_str(name, "__share_group_state");
}

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static void on_progress(struct log *log, void *user) {
    (void)log;
    partition_wake(user);
}

/* Where it is on disk; else where the image says; else the directories in turn. -1: it may be in a directory that is
 * offline, and an empty one elsewhere would take its place. */
static int choose_dir(const struct broker_shard *shard, const struct partition *partition) {
    const struct broker *broker = shard->broker;
    if (!partition->created) {
        int found = log_inventory_find(broker->inventory, partition->topic, partition->index);
        if (found >= 0)
            return found;
    }
    int preferred = moves_preferred(shard, partition->topic, partition->index);
    if (partition->created && preferred >= 0 && !log_store_dir_is_offline(shard->store, preferred))
        return preferred;
    const struct image_partition *image = image_find_partition(image_find_topic_id(shard->image, partition->topic_id), partition->index);
    for (int i = 0; image && image->directories && i < image->replica_count; i++)
        if (image_replicas(image)[i] == broker->config->node_id) {
            int dir = broker_find_dir(broker, image->directories[i]);
            if (dir >= 0)
                return dir;
        }
    for (int i = 0; i < broker->config->log_dir_count && !partition->created; i++)
        if (uuid_is_zero(broker->dir_ids[i]) || log_inventory_dir(broker->inventory, i)->err)
            return -1;
    int count = broker->config->log_dir_count, first = (int)(partition_hash(partition->topic_id, partition->index) % (uint64_t)count);
    for (int i = 0; i < count; i++)
        if (!log_store_dir_is_offline(shard->store, (first + i) % count) && !cordon_holds(shard, (first + i) % count))
            return (first + i) % count;
    for (int i = 0; i < count; i++)
        if (!log_store_dir_is_offline(shard->store, (first + i) % count))
            return (first + i) % count;
    return first;
}

static void open_next(struct broker_shard *shard);
static void queue_open(struct broker_shard *shard, struct partition *partition);
static void delete_partition(struct partition *partition);

static void opened(struct log *log, enum err err, void *user) {
    struct partition *partition = user;
    struct broker_shard *shard = partition->user;
    struct partitions_state *state = shard->partitions_state;
    partition->opening = false;
    partition->log = log;
    partition->err = err;
    state->opening--;
    if (partition->deleting) {
        /* whatever came of it goes */
    } else if (err == ERR_INCONSISTENT_TOPIC_ID && partition->created && partition->removals_seen != state->removals) {
        partition->err = ERR_AGAIN; /* the directory of its name was renamed away meanwhile */
        queue_open(shard, partition);
    } else if (err && err != ERR_INCONSISTENT_TOPIC_ID) {
        trace_error("broker", "partition is offline", TRACE_SLICE("topic", partition->topic), TRACE_INT("partition", partition->index),
                    TRACE_ERR(err));
        shard->open_failed[partition->dir_at_open] = true;
        if (err == ERR_NO_SPACE && !timer_is_running(&state->reopen_timer))
            timer_start(shard->shard, &state->reopen_timer, REOPEN_MS * NS_PER_MS);
    }
    if (log)
        partition->start_epoch_offset = log_offsets(log).end;
    if (log && partition->leads)
        epochs_assign(log_epochs(log), partition->leader_epoch, log_offsets(log).end);
    if (log && !partition->deleting)
        moves_opened(partition);
    if (partition->deleting) {
        delete_partition(partition);
    } else {
        coordinators_partition_changed(shard, partition);
        partition_wake(partition);
    }
    open_next(shard);
}

struct log_open_options partitions_log_options(struct partition *partition, int dir) {
    struct broker_shard *shard = partition->user;
    struct log_open_options options = {.topic_id = partition->topic_id,
                                       .topic = partition->topic,
                                       .partition = partition->index,
                                       .dir = dir,
                                       .created = partition->created,
                                       .user = partition,
                                       .on_progress = on_progress};
    config_log_settings(shard->broker->config, shard->image, partition->topic, &options.settings);
    return options;
}

void partitions_take_log(struct partition *partition, struct log *log) {
    partition->log = log;
    log_set_user(log, partition, on_progress);
}

/* There is no directory of its name, but a whole copy in the directory where the controller knows it: a crash came in the
 * last step of a move. */
static const char *find_promoted(struct broker_shard *shard, const struct partition *partition, int dir) {
    const char *name;
    const struct log_inventory *inventory = shard->broker->inventory;
    return !partition->created && log_inventory_find(inventory, partition->topic, partition->index) < 0 &&
                   log_inventory_find_future(inventory, partition->topic, partition->index, &name) == dir
               ? name
               : NULL;
}

static void open_next(struct broker_shard *shard) {
    struct partitions_state *state = shard->partitions_state;
    while (state->queue_next < state->queue_count && state->opening < OPENING_MAX) {
        struct partition *partition = state->queue[state->queue_next++];
        state->opening++;
        partition->opening = true;
        partition->removals_seen = state->removals;
        partition->dir_at_open = choose_dir(shard, partition);
        if (partition->dir_at_open < 0) {
            partition->opening = false;
            partition->err = ERR_OFFLINE;
            state->opening--;
            partition_wake(partition);
            continue;
        }
        struct log_open_options options = partitions_log_options(partition, partition->dir_at_open);
        options.promoted = find_promoted(shard, partition, partition->dir_at_open);
        log_open(shard->store, &options, opened);
    }
    if (state->queue_next < state->queue_count || state->opening)
        return;
    state->queue_next = state->queue_count = 0;
    if (state->opened) {
        void (*done)(struct broker_shard *) = state->opened;
        state->opened = NULL;
        done(shard);
    }
    if (state->closed)
        partitions_close_all(shard, state->closed);
}

static void queue_open(struct broker_shard *shard, struct partition *partition) {
    struct partitions_state *state = shard->partitions_state;
    /* One place for each that is being opened too: it may have to come back. */
    if (state->queue_count + state->opening + 1 >= state->queue_capacity) {
        state->queue_capacity = 2 * (state->queue_count + state->opening) + 64;
        state->queue = mem_realloc(state->queue, sizeof *state->queue * (size_t)state->queue_capacity);
    }
    state->queue[state->queue_count++] = partition;
}

static void reopen(struct shard *shard, struct timer *timer) {
    (void)timer;
    struct broker_shard *broker_shard = broker_shard_of(shard);
    if (broker_shard->stopping)
        return;
    map_each(node, &broker_shard->partitions) {
        struct partition *partition = container_of(node, struct partition, node);
        if (partition->err != ERR_NO_SPACE || partition->log || partition->opening)
            continue;
        partition->err = ERR_AGAIN;
        queue_open(broker_shard, partition);
    }
    open_next(broker_shard);
}

/* ---- what the image tells --------------------------------------------------------------------------------------------------- */

static bool is_replica(const struct broker_shard *shard, const struct image_partition *image) {
    for (int i = 0; i < image->replica_count; i++)
        if (image_replicas(image)[i] == shard->broker->config->node_id)
            return true;
    return false;
}

static void take_leadership(struct broker_shard *shard, struct partition *partition, const struct image_partition *image) {
    bool leads = image->leader == shard->broker->config->node_id;
    bool changed = leads != partition->leads || image->leader_epoch != partition->leader_epoch;
    partition->leads = leads;
    partition->leader_epoch = image->leader_epoch;
    if (changed && partition->log) {
        partition->start_epoch_offset = log_offsets(partition->log).end;
        if (leads)
            epochs_assign(log_epochs(partition->log), partition->leader_epoch, log_offsets(partition->log).end);
    }
    if (changed) {
        coordinators_partition_changed(shard, partition);
        partition_wake(partition);
    }
}

static void see_partition(struct broker_shard *shard, const struct image_topic *topic, int32_t index, bool created) {
    const struct image_partition *image = image_find_partition(topic, index);
    if (!image || broker_partition_shard(shard->broker, topic->id, index) != shard->index || !is_replica(shard, image))
        return;
    struct partition *partition = partition_find(&shard->partitions, topic->id, index);
    if (!partition) {
        partition = partition_create(topic->id, topic->name, index);
        partition->user = shard;
        partition->created = created;
        map_insert(&shard->partitions, &partition->node, partition_hash(topic->id, index));
        list_push_back(&shard->all_partitions, &partition->all);
        queue_open(shard, partition);
    }
    take_leadership(shard, partition, image);
}

static void partition_changed(void *arg, const struct image_topic *topic, int32_t index) {
    struct broker_shard *shard = arg;
    if (!shard->partitions_state->live || shard->stopping)
        return;
    see_partition(shard, topic, index, true);
    open_next(shard);
    coordinators_topic_changed(shard, topic, false);
}

static void topic_removed(void *arg, const struct image_topic *topic) {
    struct broker_shard *shard = arg;
    if (!shard->partitions_state->live || shard->stopping)
        return;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct partition *partition = partition_find(&shard->partitions, topic->id, i);
        if (partition)
            delete_partition(partition);
    }
    coordinators_topic_changed(shard, topic, true);
    share_topic_removed(shard, topic->id);
}

static void feature_changed(void *arg, struct slice name, int16_t level) {
    struct broker_shard *shard = arg;
    if (slice_eq_str(name, "metadata.version") && shard->index == 0 && shard->partitions_state->live)
        cordon_settle(shard); /* it may be the first that has cordoned directories */
    if (level >= 1 || !slice_eq_str(name, "share.version"))
        return;
    share_sessions_drop_all(shard->share_sessions);
    share_remove_all(shard);
}

static void config_changed(void *arg, int8_t type, struct slice name) {
    struct broker_shard *shard = arg;
    if (!shard->partitions_state->live)
        return;
    if (type == CONFIG_RESOURCE_CLIENT_METRICS && shard->index == 0)
        telemetry_subscriptions_changed(shard->broker->telemetry);
    if (type != CONFIG_RESOURCE_TOPIC && type != CONFIG_RESOURCE_BROKER)
        return;
    if (type == CONFIG_RESOURCE_BROKER && shard->index == 0) {
        connections_configure(shard->broker->connections);
        cordon_settle(shard);
    }
    map_each(node, &shard->partitions) {
        struct partition *partition = container_of(node, struct partition, node);
        if (!partition->log || (type == CONFIG_RESOURCE_TOPIC && !slice_eq(partition->topic, name)))
            continue;
        struct log_settings settings;
        config_log_settings(shard->broker->config, shard->image, partition->topic, &settings);
        log_set_settings(partition->log, &settings);
        moves_set_settings(partition, &settings);
    }
}

void partitions_init(struct broker_shard *shard) {
    struct partitions_state *state = mem_new(struct partitions_state);
    state->observer = (struct image_observer){.topic_removed = topic_removed,
                                              .feature_changed = feature_changed,
                                              .partition_changed = partition_changed,
                                              .config_changed = config_changed,
                                              .arg = shard};
    state->reopen_timer.fire = reopen;
    shard->partitions_state = state;
    shard->image = image_create(&state->observer);
    coordinators_init(shard);
}

void partitions_free(struct broker_shard *shard) {
    coordinators_close(shard); /* of a node that did not get to closing its logs */
    coordinators_free(shard);
    internal_topics_free(shard);
    map_each_safe(node, &shard->partitions)
        partition_free(container_of(node, struct partition, node));
    map_deinit(&shard->partitions);
    moves_forget_preferences(shard);
    mem_free(shard->partitions_state->queue);
    mem_free(shard->partitions_state);
    image_destroy(shard->image);
}

static void strays_settled(struct broker_shard *shard) {
    shard->partitions_state->opening--;
    open_next(shard);
}

void partitions_open_all(struct broker_shard *shard, void (*done)(struct broker_shard *shard)) {
    struct partitions_state *state = shard->partitions_state;
    state->live = true;
    state->opened = done;
    if (shard->index == 0) {
        connections_configure(shard->broker->connections);
        state->opening++; /* as one more log: the node serves when all is done */
        strays_settle(shard, strays_settled);
    }
    map_each(node, &shard->image->topics_by_id) {
        const struct image_topic *topic = container_of(node, struct image_topic, by_id);
        for (int32_t i = 0; i < topic->partition_count; i++)
            see_partition(shard, topic, i, false);
    }
    open_next(shard);
}

/* ---- deleting ------------------------------------------------------------------------------------------------------------------ */

struct removed { /* to every shard: a directory has gone */
    struct message message;
    struct slice topic; /* owned */
    int32_t index;
};

static void retry_open(struct shard *shard, struct message *message) {
    struct removed *removed = container_of(message, struct removed, message);
    struct broker_shard *broker_shard = broker_shard_of(shard);
    broker_shard->partitions_state->removals++;
    const struct image_topic *topic = image_find_topic(broker_shard->image, removed->topic);
    struct partition *partition = topic ? partition_find(&broker_shard->partitions, topic->id, removed->index) : NULL;
    if (partition && !partition->log && !partition->opening && partition->err == ERR_INCONSISTENT_TOPIC_ID && !broker_shard->stopping) {
        partition->err = ERR_AGAIN;
        queue_open(broker_shard, partition);
        open_next(broker_shard);
    }
    mem_free((void *)removed->topic.ptr);
    mem_free(removed);
}

static void tell_removed(struct broker_shard *shard, const struct partition *partition) {
    for (int i = 0; i < shard->broker->shard_count; i++) {
        struct removed *removed = mem_new(struct removed);
        removed->message.deliver = retry_open;
        removed->topic = slice_of(mem_strndup((const char *)partition->topic.ptr, partition->topic.size), partition->topic.size);
        removed->index = partition->index;
        shard_post(shard->broker->shards[i].shard, &removed->message);
    }
}

static void log_deleted(enum err err, void *arg) {
    struct partition *partition = arg;
    struct broker_shard *shard = partition->user;
    (void)err; /* the log has said it */
    tell_removed(shard, partition);
    shard->partitions_state->closing--;
    partition_free(partition);
    if (shard->partitions_state->closed)
        partitions_close_all(shard, shard->partitions_state->closed);
}

static void delete_log(struct partition *partition) {
    struct broker_shard *shard = partition->user;
    struct log *log = partition->log;
    partition->log = NULL;
    log_delete(log, broker_config_int(shard->broker->config, "log.segment.delete.delay.ms"), log_deleted, partition);
}

struct forgetting { /* the partition's shard -> shard 0: rewrite the checkpoints, of which it is no part any more */
    struct shard_call call;
    struct checkpoints_wait wait;
    struct partition *partition;
};
static void forgotten(struct checkpoints_wait *wait) {
    shard_call_return(&container_of(wait, struct forgetting, wait)->call);
}
static void forget_run(struct shard_call *call) {
    struct checkpoints *checkpoints = call->at->broker->checkpoints;
    if (checkpoints)
        checkpoints_rewrite(checkpoints, &container_of(call, struct forgetting, call)->wait);
    else /* the start has yet to write them */
        shard_call_return(call);
}
static void forget_back(struct shard_call *call) {
    struct forgetting *forgetting = container_of(call, struct forgetting, call);
    struct partition *partition = forgetting->partition;
    mem_free(forgetting);
    delete_log(partition);
}

static void delete_partition(struct partition *partition) {
    struct broker_shard *shard = partition->user;
    if (!partition->deleting) {
        partition->deleting = true;
        map_remove(&shard->partitions, &partition->node);
        list_remove(&partition->all);
        partition->err = ERR_NOT_FOUND;
        coordinators_partition_gone(shard, partition);
        partition_wake(partition);
    }
    if (partition->opening)
        return; /* opened() comes back here */
    if (moves_stop(partition, true))
        return; /* partitions_move_ended() comes back here */
    struct partitions_state *state = shard->partitions_state;
    for (int i = state->queue_next; i < state->queue_count; i++)
        if (state->queue[i] == partition)
            state->queue[i--] = state->queue[--state->queue_count];
    if (!partition->log) {
        partition_free(partition);
        return;
    }
    state->closing++;
    if (!partition->checkpointed) {
        delete_log(partition);
        return;
    }
    struct forgetting *forgetting = mem_new(struct forgetting);
    forgetting->partition = partition;
    forgetting->wait.done = forgotten;
    forgetting->call = (struct shard_call){.home = shard, .at = &shard->broker->shards[0], .run = forget_run, .back = forget_back};
    shard_call_send(&forgetting->call);
}

/* ---- closing ------------------------------------------------------------------------------------------------------------------- */

static void check_closed(struct broker_shard *shard) {
    struct partitions_state *state = shard->partitions_state;
    if (state->closing || state->opening || !state->closed)
        return;
    void (*done)(struct broker_shard *, enum err) = state->closed;
    state->closed = NULL;
    done(shard, state->close_err);
}

static void log_closed(enum err err, void *arg) {
    struct broker_shard *shard = arg;
    struct partitions_state *state = shard->partitions_state;
    if (err && !state->close_err)
        state->close_err = err;
    state->closing--;
    check_closed(shard);
}

static void close_partition(struct partition *partition) {
    struct broker_shard *shard = partition->user;
    struct log *log = partition->log;
    partition->log = NULL;
    partition->err = ERR_OFFLINE;
    if (log) {
        log_close(log, log_closed, shard);
    } else {
        partition_wake(partition); /* who waited for it to open */
        log_closed(ERR_OK, shard);
    }
}

void partitions_move_ended(struct partition *partition) {
    if (partition->deleting)
        delete_partition(partition);
    else
        close_partition(partition);
}

void partitions_close_all(struct broker_shard *shard, void (*done)(struct broker_shard *shard, enum err err)) {
    struct partitions_state *state = shard->partitions_state;
    timer_stop(shard->shard, &state->retention_timer);
    timer_stop(shard->shard, &state->expiry_timer);
    timer_stop(shard->shard, &state->reopen_timer);
    state->closed = done;
    state->queue_count = state->queue_next;
    if (state->opening)
        return; /* open_next() comes back here */
    coordinators_close(shard);
    memset(shard->open_failed, 0, sizeof shard->open_failed);
    state->closing++; /* so that nothing ends before all have begun */
    map_each(node, &shard->partitions) {
        struct partition *partition = container_of(node, struct partition, node);
        state->closing++;
        if (!partition->log && !partition->deleting && partition->dir_at_open >= 0)
            shard->open_failed[partition->dir_at_open] = true;
        if (!moves_stop(partition, false))
            close_partition(partition);
    }
    state->closing--;
    check_closed(shard);
}

/* ---- retention ------------------------------------------------------------------------------------------------------------------- */

static void retain(struct shard *shard, struct timer *timer) {
    struct broker_shard *broker_shard = broker_shard_of(shard);
    map_each(node, &broker_shard->partitions) {
        struct partition *partition = container_of(node, struct partition, node);
        if (partition->log)
            log_retain(partition->log, partition_high_watermark(partition));
    }
    timer_start(shard, timer, (uint64_t)broker_config_int(broker_shard->broker->config, "log.retention.check.interval.ms") * NS_PER_MS);
}

static void start_expiry(struct broker_shard *shard) {
    timer_start(shard->shard, &shard->partitions_state->expiry_timer,
                (uint64_t)broker_config_int(shard->broker->config, "producer.id.expiration.check.interval.ms") * NS_PER_MS);
}

static void expire(struct shard *shard, struct timer *timer) {
    (void)timer;
    struct broker_shard *broker_shard = broker_shard_of(shard);
    map_each(node, &broker_shard->partitions) {
        struct partition *partition = container_of(node, struct partition, node);
        if (partition->log)
            log_expire_producers(partition->log);
    }
    start_expiry(broker_shard);
}

void partitions_start_retention(struct broker_shard *shard) {
    struct timer *timer = &shard->partitions_state->retention_timer;
    shard->partitions_state->expiry_timer.fire = expire;
    start_expiry(shard);
    timer->fire = retain;
    timer_start(shard->shard, timer, (uint64_t)broker_config_int(shard->broker->config, "log.initial.task.delay.ms") * NS_PER_MS);
}

/* ---- directories that fail ----------------------------------------------------------------------------------------------------------- */

struct dir_failed {
    struct message message;
    int dir;
};

static void dir_failed_in(struct shard *shard, struct message *message) {
    struct dir_failed *failed = container_of(message, struct dir_failed, message);
    log_store_fail_dir(broker_shard_of(shard)->store, failed->dir);
    mem_free(failed);
}

void partitions_dir_failed(struct log_store *store, int dir, void *arg) {
    (void)store;
    struct broker_shard *shard = arg;
    trace_error("broker", "log directory is offline", TRACE_STR("dir", shard->broker->config->log_dirs[dir]));
    for (int i = 0; i < shard->broker->shard_count; i++) {
        if (i == shard->index)
            continue;
        struct dir_failed *failed = mem_new(struct dir_failed);
        failed->message.deliver = dir_failed_in;
        failed->dir = dir;
        shard_post(shard->broker->shards[i].shard, &failed->message);
    }
}
