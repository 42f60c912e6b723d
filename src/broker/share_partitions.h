/* Share partitions of a shard: a share group's window (share/window.h) on a partition that is led here.
 *
 *   (none) --a fetch--> LOADING --state read--> ACTIVE --not led any more, deleted, fenced, group gone--> removed
 *                          +--failed--> FAILED: those who wait are told, and who comes --a moment--> removed, the next fetch tries again
 *
 * Memory only: what must last is written through the share coordinator (share_task.h) before it is answered. A removed one
 * lives on until nothing of it is under way. */
#ifndef BROKER_SHARE_PARTITIONS_H
#define BROKER_SHARE_PARTITIONS_H

#include "broker/share_task.h"
#include "share/window.h"

struct share_waiter { /* for something to acquire, or to know; wake() removes it */
    struct list node;
    void (*wake)(struct share_waiter *waiter);
};

struct share_settings { /* of a group, as they hold now */
    uint64_t lock_ns;
    int32_t lock_ms, deliveries_max;
    int64_t in_flight_max;
    bool committed, renew;
};

struct share_partition {
    struct map_node node;
    struct list all;
    struct broker_shard *shard;
    struct slice group;  /* owned */
    struct uuid topic_id;
    int32_t index;
    enum { SHARE_LOADING, SHARE_ACTIVE, SHARE_FAILED } phase;
    bool removed;
    int refs;            /* what is under way and comes back to it */
    bool locked;         /* one fetch reads and acquires at a time */
    uint64_t since_ns;   /* LOADING: it began; locked: likewise */
    uint64_t lock_timeouts; /* records, since it was loaded */
    int16_t error;       /* failed, removed: why, for those who wait */
    struct share_window window;
    int32_t state_epoch, leader_epoch;
    int64_t stored_start; /* where the window is known to begin in what is stored; window.start may be further */
    int64_t record_bytes; /* an average, for how much to read */
    struct list waiters;
    struct timer lock_timer; /* failed: the end of the moment */
    uint64_t timer_at;
    struct share_settings settings;
    int64_t settings_offset; /* of the image they were taken from */
};

struct share_numbers { /* of a shard */
    uint64_t acknowledged[SHARE_TYPES];
    uint64_t lock_timeouts, load_failures, fetches, failed_fetches, acks, failed_acks;
    int64_t waiting;
};

struct share_shard; /* broker_shard->share */
void share_init(struct broker_shard *shard);
void share_stop(struct broker_shard *shard); /* the node stops: what waits is failed */
void share_free(struct broker_shard *shard);
struct list *share_waiting_tasks(struct broker_shard *shard);
struct share_numbers *share_numbers(struct broker_shard *shard);
/* For metrics: up to `max` of them; groups in the arena. */
struct share_partition_numbers {
    struct slice group, topic;
    int32_t index;
    int64_t in_flight, batches; /* records between start and end, and the runs of them that are remembered */
    uint64_t lock_timeouts;
};
int share_partition_numbers(struct broker_shard *shard, int64_t max, struct arena *arena, struct share_partition_numbers **ret_numbers);
int64_t share_partition_count(const struct broker_shard *shard);

struct share_settings share_settings_of(const struct broker_shard *shard, struct slice group);
const struct share_settings *share_settings(struct share_partition *sp);
/* NULL: not here. */
struct share_partition *share_find_partition(struct broker_shard *shard, struct slice group, struct uuid topic_id, int32_t index);
/* Made and loaded when it is not there, or is of another leadership. A Kafka code: not led here, ... */
int16_t share_get_partition(struct broker_shard *shard, struct slice group, struct partition *partition, struct share_partition **ret_sp);
/* A fetch has it to itself, and a reference, until it lets go; then who waits is woken. */
void share_lock(struct share_partition *sp);
void share_unlock(struct share_partition *sp);
void share_remove(struct share_partition *sp, int16_t error);
/* All of a group on this shard that have nothing locked. */
void share_remove_group(struct broker_shard *shard, struct slice group);
void share_topic_removed(struct broker_shard *shard, struct uuid topic_id);
void share_remove_all(struct broker_shard *shard); /* share.version fell to 0 */
void share_wait(struct share_partition *sp, struct share_waiter *waiter);
void share_wake(struct share_partition *sp);
/* After something was acquired or renewed. */
void share_arm_timer(struct share_partition *sp);

/* Stores what changed. done(): a Kafka code as the leader tells it; the transition is completed, or taken back. */
void share_write(struct share_partition *sp, const struct share_change *change, void (*done)(void *arg, int16_t error), void *arg);
/* A member's session is over: what it holds is released. */
void share_release_member(struct broker_shard *shard, struct slice group, struct uuid topic_id, int32_t index, struct slice member);
/* share.version is at least 1. */
static inline bool share_is_enabled(const struct broker_shard *shard) {
    return image_feature(shard->image, "share.version") >= 1;
}

#endif
