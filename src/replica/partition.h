/* A partition that this node hosts: its log, its leadership, and who waits for it.
 *
 *   OPENING --log open--> ONLINE --topic deleted--> DELETING --directory renamed--> freed
 *      |                     |
 *      +--directory bad------+--> OFFLINE (answers KAFKA_STORAGE_ERROR)
 *
 * Owned by one shard; only that shard touches it. With one replica the high watermark is the log's durable end: a
 * record may be shown once it is on the device (KIP-101 has the rule for more). */
#ifndef REPLICA_PARTITION_H
#define REPLICA_PARTITION_H

#include "base/list.h"
#include "base/map.h"
#include "log/log.h"

struct partition;
struct move;
/* Waits for the partition to move. wake() runs when the durable end, the log's state or the leadership changed, and
 * removes the waiter (list_remove()) when it has what it wanted. */
struct partition_waiter {
    struct list node;
    void (*wake)(struct partition_waiter *waiter, struct partition *partition);
};

struct partition_traffic { /* since the node started; records' data */
    uint64_t bytes_in, bytes_out, messages_in, produce_requests, fetch_requests;
};

struct partition {
    struct map_node node; /* of the shard's partitions, by topic id and index */
    struct list all;      /* of the shard's list of all: for those who walk them over many turns */
    struct partition_traffic traffic;
    struct uuid topic_id;
    struct slice topic; /* owned */
    int32_t index;
    int32_t leader_epoch;
    bool leads;         /* this node is the leader */
    bool created;       /* made in this run */
    struct log *log;    /* NULL: opening, offline or deleting */
    enum err err;       /* why there is no log: AGAIN while it opens, OFFLINE, ...; NOT_FOUND: deleted */
    bool opening, deleting;
    bool checkpointed;  /* checkpoint files may tell of it (broker/checkpoints.c) */
    bool frozen;        /* appends wait: the last moment of a move */
    struct move *move;  /* to another log directory; NULL: none (broker/moves.c) */
    int32_t dir_at_open;     /* index of the directory it is opened in */
    uint64_t removals_seen;  /* see partitions.c */
    int64_t start_epoch_offset; /* log end when this leadership began */
    struct list waiters;
    void *user;         /* the broker's shard */
};

struct partition *partition_create(struct uuid topic_id, struct slice topic, int32_t index);
void partition_free(struct partition *partition);
static inline uint64_t partition_hash(struct uuid topic_id, int32_t index) {
    return uuid_hash(topic_id) ^ hash_u64((uint64_t)index + 1);
}
/* NULL: not hosted here. */
struct partition *partition_find(const struct map *partitions, struct uuid topic_id, int32_t index);
void partition_wait(struct partition *partition, struct partition_waiter *waiter);
/* Calls every waiter's wake(). */
void partition_wake(struct partition *partition);

/* Its log is on the way: partition_wake() tells when it is there, or why not. */
static inline bool partition_is_opening(const struct partition *partition) {
    return partition && !partition->log && !partition->deleting && partition->err == ERR_AGAIN;
}
/* OK: it is online and led here. Else NOT_LEADER, OFFLINE, NOT_FOUND; AGAIN (opening) is told as NOT_LEADER. */
enum err partition_check_leader(const struct partition *partition) MUST_USE;
/* The same, and the client's idea of the leader epoch (-1: none): FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH. */
enum err partition_check_epoch(const struct partition *partition, int32_t current_leader_epoch) MUST_USE;
/* What consumers may see, exclusive. Only when it is online. */
static inline int64_t partition_high_watermark(const struct partition *partition) {
    return log_durable_end(partition->log);
}
int64_t partition_last_stable_offset(const struct partition *partition);

#endif
