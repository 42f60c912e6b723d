#include "broker/share_partitions.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/trace.h"
#include "broker/metrics.h"
#include "broker/share_sessions.h"
#include "metadata/config_check.h"
#include "protocol/errors.h"
#include "share/reset.h"

enum { FAILED_MS = 100 };

struct share_shard {
    struct map partitions;
    struct list all;
    struct list waiting_tasks;
    struct share_numbers numbers;
    bool stopping;
    struct slice last_group; /* owned; whose settings were asked for last, as of last_offset */
    int64_t last_offset;
    struct share_settings last_settings;
};

struct share_key {
    struct slice group;
    struct uuid topic_id;
    int32_t index;
};

void share_init(struct broker_shard *shard) {
    shard->share = mem_new(struct share_shard);
    list_init(&shard->share->all);
    list_init(&shard->share->waiting_tasks);
    shard->share_sessions = share_sessions_create(shard);
}

struct list *share_waiting_tasks(struct broker_shard *shard) {
    return &shard->share->waiting_tasks;
}
struct share_numbers *share_numbers(struct broker_shard *shard) {
    return &shard->share->numbers;
}
int share_partition_numbers(struct broker_shard *shard, int64_t max, struct arena *arena, struct share_partition_numbers **ret_numbers) {
    int count = 0;
    struct share_partition_numbers *all = NULL;
    for (struct list *node = shard->share->all.next; node != &shard->share->all && count < max; node = node->next) {
        const struct share_partition *sp = list_entry(node, struct share_partition, all);
        const struct image_topic *topic = image_find_topic_id(shard->image, sp->topic_id);
        if (sp->phase != SHARE_ACTIVE || !topic)
            continue;
        all = arena_grow(arena, all, (size_t)count, sizeof *all);
        all[count++] = (struct share_partition_numbers){.group = arena_slice(arena, sp->group),
                                                        .topic = arena_slice(arena, topic->name),
                                                        .index = sp->index,
                                                        .in_flight = window_in_flight(&sp->window),
                                                        .batches = sp->window.count,
                                                        .lock_timeouts = sp->lock_timeouts};
    }
    *ret_numbers = all;
    return count;
}
int64_t share_partition_count(const struct broker_shard *shard) {
    return (int64_t)shard->share->partitions.count;
}

static uint64_t key_hash(struct share_key key) {
    return hash_slice(key.group) ^ partition_hash(key.topic_id, key.index);
}
static bool key_is(const struct map_node *node, const void *arg) {
    const struct share_partition *sp = container_of(node, struct share_partition, node);
    const struct share_key *key = arg;
    return sp->index == key->index && uuid_eq(sp->topic_id, key->topic_id) && slice_eq(sp->group, key->group);
}

struct share_partition *share_find_partition(struct broker_shard *shard, struct slice group, struct uuid topic_id, int32_t index) {
    struct share_key key = {group, topic_id, index};
    struct map_node *node = map_find(&shard->share->partitions, key_hash(key), key_is, &key);
    return node ? container_of(node, struct share_partition, node) : NULL;
}

/* ---- settings ----------------------------------------------------------------------------------------------------------- */

static int64_t setting(const struct broker_shard *shard, struct slice group, const char *name, bool bounded, struct arena *arena) {
    const struct broker_config *config = shard->broker->config;
    struct slice own = image_config(shard->image, CONFIG_RESOURCE_GROUP, group, slice_str(arena_printf(arena, "share.%s", name)));
    int64_t value = config_int(own.ptr ? own : config_broker_value(config, shard->image, arena_printf(arena, "group.share.%s", name), arena));
    if (!bounded)
        return value;
    int64_t min = config_int(config_broker_value(config, shard->image, arena_printf(arena, "group.share.min.%s", name), arena));
    int64_t max = config_int(config_broker_value(config, shard->image, arena_printf(arena, "group.share.max.%s", name), arena));
    return value < min ? min : value > max ? max : value;
}

struct share_settings share_settings_of(const struct broker_shard *shard, struct slice group) {
    struct share_shard *share = shard->share;
    if (share->last_offset == shard->image->offset && slice_eq(share->last_group, group))
        return share->last_settings;
    struct arena arena = {0};
    struct share_settings settings = {0};
    struct slice isolation = image_config(shard->image, CONFIG_RESOURCE_GROUP, group, SLICE_LIT("share.isolation.level"));
    struct slice renew = image_config(shard->image, CONFIG_RESOURCE_GROUP, group, SLICE_LIT("share.renew.acknowledge.enable"));
    settings.lock_ms = (int32_t)setting(shard, group, "record.lock.duration.ms", true, &arena);
    settings.lock_ns = (uint64_t)settings.lock_ms * NS_PER_MS;
    settings.deliveries_max = (int32_t)setting(shard, group, "delivery.count.limit", true, &arena);
    settings.in_flight_max = setting(shard, group, "partition.max.record.locks", true, &arena);
    settings.committed = slice_eq_str(isolation, "read_committed");
    settings.renew = !renew.ptr || slice_eq_str(renew, "true");
    arena_deinit(&arena);
    mem_free((void *)share->last_group.ptr);
    share->last_group = slice_of(mem_strndup((const char *)group.ptr, group.size), group.size);
    share->last_offset = shard->image->offset;
    share->last_settings = settings;
    return settings;
}

const struct share_settings *share_settings(struct share_partition *sp) {
    if (sp->settings_offset != sp->shard->image->offset) {
        sp->settings = share_settings_of(sp->shard, sp->group);
        sp->settings_offset = sp->shard->image->offset;
    }
    return &sp->settings;
}

/* ---- life --------------------------------------------------------------------------------------------------------------- */

static void share_ref(struct share_partition *sp) {
    sp->refs++;
}

static void share_unref(struct share_partition *sp) {
    if (--sp->refs || !sp->removed)
        return;
    window_deinit(&sp->window);
    mem_free((void *)sp->group.ptr);
    mem_free(sp);
}

void share_lock(struct share_partition *sp) {
    sp->locked = true;
    sp->since_ns = shard_now_ns(sp->shard->shard);
    share_ref(sp);
}

void share_unlock(struct share_partition *sp) {
    struct metrics *metrics = sp->shard->metrics;
    sp->locked = false;
    metrics->share_locks++;
    histogram_add(&metrics->share_lock, (shard_now_ns(sp->shard->shard) - sp->since_ns) / 1000);
    if (!list_is_empty(&sp->waiters))
        share_wake(sp);
    share_unref(sp);
}

void share_wait(struct share_partition *sp, struct share_waiter *waiter) {
    list_push_back(&sp->waiters, &waiter->node);
}

void share_wake(struct share_partition *sp) {
    struct list woken;
    list_init(&woken);
    list_splice(&woken, &sp->waiters);
    share_ref(sp);
    for (struct list *node; (node = list_pop_front(&woken));) {
        struct share_waiter *waiter = list_entry(node, struct share_waiter, node);
        waiter->wake(waiter);
    }
    share_unref(sp);
}

void share_remove(struct share_partition *sp, int16_t error) {
    if (sp->removed)
        return;
    share_ref(sp);
    sp->removed = true;
    sp->error = error;
    map_remove(&sp->shard->share->partitions, &sp->node);
    list_remove(&sp->all);
    timer_stop(sp->shard->shard, &sp->lock_timer);
    share_wake(sp);
    share_unref(sp);
}

void share_remove_group(struct broker_shard *shard, struct slice group) {
    list_each_safe(node, &shard->share->all) {
        struct share_partition *sp = list_entry(node, struct share_partition, all);
        if (slice_eq(sp->group, group) && window_deadline(&sp->window) == UINT64_MAX)
            share_remove(sp, 0);
    }
}

void share_topic_removed(struct broker_shard *shard, struct uuid topic_id) {
    list_each_safe(node, &shard->share->all) {
        struct share_partition *sp = list_entry(node, struct share_partition, all);
        if (uuid_eq(sp->topic_id, topic_id))
            share_remove(sp, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
}

void share_remove_all(struct broker_shard *shard) {
    list_each_safe(node, &shard->share->all)
        share_remove(list_entry(node, struct share_partition, all), 0);
}

void share_stop(struct broker_shard *shard) {
    shard->share->stopping = true;
    for (struct list *node; (node = list_pop_front(&shard->share->waiting_tasks));) {
        struct share_task *task = list_entry(node, struct share_task, waiting);
        timer_stop(shard->shard, &task->timer);
        task->done(task);
    }
}

void share_free(struct broker_shard *shard) {
    if (!shard->share)
        return;
    share_remove_all(shard);
    share_sessions_destroy(shard->share_sessions);
    shard->share_sessions = NULL;
    map_deinit(&shard->share->partitions);
    mem_free((void *)shard->share->last_group.ptr);
    mem_free(shard->share);
    shard->share = NULL;
}

/* ---- load --------------------------------------------------------------------------------------------------------------- */

struct load {
    struct share_task task;
    struct share_partition *sp;
    struct log_time_search search;
};

/* It stays for a moment: tried again at once for everybody who waits, it would be loaded in every turn, and nobody be told. */
static void fail_load(struct share_partition *sp, int16_t error) {
    if (sp->removed)
        return;
    sp->phase = SHARE_FAILED;
    sp->error = error;
    timer_start(sp->shard->shard, &sp->lock_timer, FAILED_MS * NS_PER_MS);
    share_wake(sp);
}

static void end_load(struct load *load, int16_t error) {
    struct share_partition *sp = load->sp;
    share_task_deinit(&load->task);
    mem_free(load);
    if (error) {
        sp->shard->share->numbers.load_failures++;
        fail_load(sp, error);
    } else if (!sp->removed) {
        struct metrics *metrics = sp->shard->metrics;
        metrics->share_loads++;
        histogram_add(&metrics->share_load, (shard_now_ns(sp->shard->shard) - sp->since_ns) / 1000);
        sp->phase = SHARE_ACTIVE;
        share_wake(sp);
    }
    share_unref(sp);
}

static struct partition *partition_of(const struct share_partition *sp) {
    struct partition *partition = partition_find(&sp->shard->partitions, sp->topic_id, sp->index);
    return partition_check_leader(partition) || partition->leader_epoch != sp->leader_epoch ? NULL : partition;
}

static void start_written(struct share_task *task) {
    struct load *load = container_of(task, struct load, task);
    load->sp->stored_start = task->call.start_offset;
    end_load(load, share_task_leader_error(task->call.error));
}

/* Where a group begins is written down before anything is given out: found anew after a crash, "latest" would pass over
 * what members had and did not acknowledge. */
static void begin_at(struct load *load, int64_t start) {
    struct share_partition *sp = load->sp;
    if (window_load(&sp->window, start, NULL, 0)) {
        end_load(load, KAFKA_UNKNOWN_SERVER_ERROR);
        return;
    }
    struct share_call call = {.type = SHARE_WRITE, .group = sp->group, .topic_id = sp->topic_id, .partition = sp->index,
                              .state_epoch = sp->state_epoch, .leader_epoch = sp->leader_epoch, .start_offset = start};
    load->task.call = call;
    load->task.done = start_written;
    share_task_start(&load->task);
}

static void time_found(struct log_time_search *search) {
    struct load *load = container_of(search, struct load, search);
    if (search->err || search->found_offset < 0)
        end_load(load, search->err ? err_kafka_code(search->err) : KAFKA_OFFSET_NOT_AVAILABLE);
    else
        begin_at(load, search->found_offset);
}

static void find_start(struct load *load) {
    struct share_partition *sp = load->sp;
    struct partition *partition = partition_of(sp);
    struct slice reset = image_config(sp->shard->image, CONFIG_RESOURCE_GROUP, sp->group, SLICE_LIT("share.auto.offset.reset"));
    int64_t duration_ms;
    if (!partition) {
        end_load(load, KAFKA_NOT_LEADER_OR_FOLLOWER);
    } else if (share_reset_duration(reset, &duration_ms)) {
        load->search = (struct log_time_search){.log = partition->log, .timestamp = shard_wall_ms(sp->shard->shard) - duration_ms, .done = time_found};
        if (load->search.timestamp < 0)
            load->search.timestamp = 0;
        log_time_search(&load->search);
    } else {
        begin_at(load, slice_eq_str(reset, "earliest") ? log_offsets(partition->log).start : partition_high_watermark(partition));
    }
}

static void state_read(struct share_task *task) {
    struct load *load = container_of(task, struct load, task);
    struct share_partition *sp = load->sp;
    const struct share_call *call = &task->call;
    if (call->error || sp->removed) {
        end_load(load, share_task_leader_error(call->error));
        return;
    }
    sp->state_epoch = call->state_epoch;
    if (call->start_offset == -1) {
        find_start(load);
        return;
    }
    sp->stored_start = call->start_offset;
    enum err err = window_load(&sp->window, call->start_offset, call->batches, call->batch_count);
    if (err)
        trace_error("broker", "the stored state of a share partition makes no sense", TRACE_SLICE("group", sp->group),
                    TRACE_INT("partition", sp->index), TRACE_ERR(err));
    end_load(load, err ? KAFKA_UNKNOWN_SERVER_ERROR : 0);
}

static void lock_ended(struct shard *shard, struct timer *timer);

static struct share_partition *make(struct broker_shard *shard, struct slice group, const struct partition *partition) {
    struct share_partition *sp = mem_new(struct share_partition);
    sp->shard = shard;
    sp->group = slice_of(mem_strndup((const char *)group.ptr, group.size), group.size);
    sp->topic_id = partition->topic_id;
    sp->index = partition->index;
    sp->leader_epoch = partition->leader_epoch;
    sp->settings_offset = -2;
    sp->since_ns = shard_now_ns(shard->shard);
    sp->lock_timer.fire = lock_ended;
    list_init(&sp->waiters);
    map_insert(&shard->share->partitions, &sp->node, key_hash((struct share_key){group, sp->topic_id, sp->index}));
    list_push_back(&shard->share->all, &sp->all);
    struct load *load = mem_new(struct load);
    load->sp = sp;
    load->task.shard = shard;
    load->task.call = (struct share_call){.type = SHARE_READ, .group = sp->group, .topic_id = sp->topic_id, .partition = sp->index,
                                          .leader_epoch = sp->leader_epoch};
    load->task.done = state_read;
    share_ref(sp);
    share_ref(sp); /* the caller looks at it, however this ends */
    share_task_start(&load->task);
    return sp;
}

int16_t share_get_partition(struct broker_shard *shard, struct slice group, struct partition *partition, struct share_partition **ret_sp) {
    enum err err = partition_check_leader(partition);
    struct share_partition *sp = partition ? share_find_partition(shard, group, partition->topic_id, partition->index) : NULL;
    if (sp && (err || sp->leader_epoch != partition->leader_epoch)) {
        share_remove(sp, KAFKA_NOT_LEADER_OR_FOLLOWER);
        sp = NULL;
    }
    if (err || shard->share->stopping)
        return err ? err_kafka_code(err) : KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (!sp) {
        sp = make(shard, group, partition);
        int16_t error = sp->removed ? sp->error : 0; /* it failed at once */
        share_unref(sp);
        if (error)
            return error;
    }
    if (sp->phase == SHARE_FAILED)
        return sp->error;
    *ret_sp = sp;
    return 0;
}

/* ---- writes --------------------------------------------------------------------------------------------------------------- */

struct write {
    struct share_task task;
    struct share_partition *sp;
    uint32_t transition;
    struct share_batch *batches; /* owned */
    void (*done)(void *arg, int16_t error);
    void *arg;
};

static void written(struct share_task *task) {
    struct write *write = container_of(task, struct write, task);
    struct share_partition *sp = write->sp;
    int16_t error = share_task_leader_error(task->call.error);
    if (!error && task->call.start_offset > sp->stored_start)
        sp->stored_start = task->call.start_offset;
    bool changed = window_complete(&sp->window, write->transition, !error, shard_now_ns(sp->shard->shard), share_settings(sp)->deliveries_max);
    if (error == KAFKA_NOT_LEADER_OR_FOLLOWER || error == KAFKA_GROUP_ID_NOT_FOUND || error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
        share_remove(sp, error);
    else if (changed)
        share_wake(sp);
    if (error && !sp->removed)
        share_arm_timer(sp); /* what was taken back may be locked again */
    if (write->done)
        write->done(write->arg, error);
    share_task_deinit(task);
    mem_free(write->batches);
    mem_free(write);
    share_unref(sp);
}

/* Others may have been stored while this one waited: where the window begins must not go back in what is stored, or what lies
 * behind would be new again. The batches themselves say the same in any order (share/batches.h). Of a share partition that was
 * removed nothing is written any more: the one in its place has read what was there. */
static bool renew_write(struct share_task *task) {
    struct write *write = container_of(task, struct write, task);
    struct share_partition *sp = write->sp;
    task->call.start_offset = sp->window.start;
    task->call.complete_count = (int32_t)window_complete_count(&sp->window);
    return !sp->removed;
}

void share_write(struct share_partition *sp, const struct share_change *change, void (*done)(void *arg, int16_t error), void *arg) {
    struct write *write = mem_new(struct write);
    write->sp = sp;
    write->transition = change->transition;
    write->done = done;
    write->arg = arg;
    write->batches = mem_alloc(sizeof *write->batches * (size_t)(change->count + 1));
    if (change->count)
        memcpy(write->batches, change->batches, sizeof *write->batches * (size_t)change->count);
    write->task.shard = sp->shard;
    write->task.call = (struct share_call){.type = SHARE_WRITE, .group = sp->group, .topic_id = sp->topic_id, .partition = sp->index,
                                           .state_epoch = sp->state_epoch, .leader_epoch = sp->leader_epoch, .start_offset = sp->window.start,
                                           .complete_count = (int32_t)window_complete_count(&sp->window),
                                           .batches = write->batches, .batch_count = change->count};
    write->task.done = written;
    write->task.renew = renew_write;
    share_ref(sp);
    share_task_start(&write->task);
}

/* ---- locks ------------------------------------------------------------------------------------------------------------------ */

void share_arm_timer(struct share_partition *sp) {
    uint64_t deadline = window_deadline(&sp->window), now = shard_now_ns(sp->shard->shard);
    if (deadline == UINT64_MAX || (timer_is_running(&sp->lock_timer) && sp->timer_at <= deadline))
        return; /* one that comes too early finds nothing and looks again */
    sp->timer_at = deadline;
    timer_start(sp->shard->shard, &sp->lock_timer, deadline > now ? deadline - now : 0);
}

static void lock_ended(struct shard *shard, struct timer *timer) {
    struct share_partition *sp = container_of(timer, struct share_partition, lock_timer);
    if (sp->phase == SHARE_FAILED) {
        share_remove(sp, sp->error);
        return;
    }
    struct arena arena = {0};
    struct share_change change = {.arena = &arena};
    window_expire(&sp->window, shard_now_ns(shard), share_settings(sp)->deliveries_max, &change);
    for (int i = 0; i < change.count; i++) {
        uint64_t records = (uint64_t)(change.batches[i].last - change.batches[i].first + 1);
        sp->shard->share->numbers.lock_timeouts += records;
        sp->lock_timeouts += records;
    }
    share_ref(sp);
    if (change.count) {
        share_write(sp, &change, NULL, NULL);
        share_wake(sp);
    }
    if (!sp->removed)
        share_arm_timer(sp);
    share_unref(sp);
    arena_deinit(&arena);
}

void share_release_member(struct broker_shard *shard, struct slice group, struct uuid topic_id, int32_t index, struct slice member) {
    struct share_partition *sp = share_find_partition(shard, group, topic_id, index);
    if (!sp || sp->phase != SHARE_ACTIVE)
        return;
    struct arena arena = {0};
    struct share_change change = {.arena = &arena};
    window_release(&sp->window, member, share_settings(sp)->deliveries_max, &change);
    if (change.count)
        share_write(sp, &change, NULL, NULL);
    arena_deinit(&arena);
}
