/* The broker: one node's process, and what it hangs on each shard.
 *
 * struct broker is made before the shards run and is read-only afterwards, but for what says otherwise. Each shard has
 * its own struct broker_shard: its copy of the metadata image, its partitions, its connections.
 *
 * Follow a record: conn.c (socket to frame) -> dispatch.c (frame to handler) -> handlers/produce.c -> log/log.c ->
 * log/flush.c (device) -> replica/partition.c (who waits) -> handlers/produce.c (answer) -> conn.c. Back out:
 * handlers/fetch.c -> log/read.c -> conn.c. */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include "base/map.h"
#include "broker/request.h"
#include "controller/controller.h"
#include "log/log.h"
#include "metadata/config.h"
#include "metadata/image.h"
#include "replica/partition.h"

struct fetch_sessions; /* broker/fetch_session.h */
struct metrics;        /* broker/metrics.h */
struct connections;    /* broker/connections.h */
struct telemetry;      /* broker/telemetry.h */
struct share_shard;    /* broker/share_partitions.h */
struct share_sessions; /* broker/share_sessions.h */
struct coordinators;   /* broker/coordinators.h */
struct cleaner;        /* broker/cleaner.h */
struct internal_topics; /* broker/internal_topics.h */

struct broker_listener {
    struct broker *broker;
    const struct config_listener *config;
    struct listener *listener;
    int index;
};

struct broker {
    struct runtime *runtime;
    struct broker_config *config;
    struct log_inventory *inventory;
    char cluster_id[128];
    struct uuid dir_ids[LOG_DIRS_MAX]; /* directory.id of each of log.dirs; zero: cannot be read */
    struct file *locks[LOG_DIRS_MAX];
    struct broker_shard *shards;
    int shard_count;
    struct broker_listener listeners[LISTENERS_MAX]; /* the broker's, and last the controller's */
    int listener_count;
    int64_t request_bytes_max; /* socket.request.max.bytes */
    int64_t fetch_bytes_max;   /* fetch.max.bytes */
    int moves_max;             /* between log directories at a time: num.replica.alter.log.dirs.threads */
    int64_t frames_bytes_max;  /* a shard's part of queued.max.request.bytes; 0: no limit */
    /* shard 0's */
    bool cordoning; /* cordon.c: a call is away */
    struct quorum *quorum;
    struct controller *controller;
    struct connections *connections;
    struct telemetry *telemetry;
    struct cleaner *cleaner; /* NULL before the node serves */
    int64_t broker_epoch;
    int16_t kraft_version; /* of the quorum; set before the first client is served */
    struct node *node; /* start and stop (node.c) */
    struct checkpoints *checkpoints; /* shard 0's */
    /* Written by shard 0, read by anyone. */
    _Atomic bool ready, stopping;
    _Atomic int moves_running; /* of all shards, against moves_max */
};

struct broker_shard {
    struct broker *broker;
    struct shard *shard;
    int index;
    struct image *image;   /* this shard's copy; changes only between turns of handlers */
    struct log_store *store;
    struct map partitions; /* struct partition by topic id and index: those this shard owns */
    struct list all_partitions; /* the same; and between them the place that a walk has come to (collect.c) */
    struct partitions_state *partitions_state; /* partitions.c */
    struct coordinators *coordinators;
    struct internal_topics *internal_topics; /* NULL: none were needed yet */
    struct list conns;     /* struct conn, the longest idle first */
    struct timer idle_timer, stalled_timer;
    struct list stalled;   /* connections that wait for room in the tails */
    int64_t frames_bytes;  /* of requests read, or being read, and not yet answered */
    struct list free_requests;
    int free_request_count;
    int64_t next_producer_id, producer_ids_end; /* of the block in use; producer_ids.c */
    struct list waiting_for_producer_ids;
    bool asked_for_producer_ids;
    struct list marker_writes, marker_sends; /* transaction markers on their way; txn_markers.c */
    bool markers_closed;
    uint64_t verifications; /* guards given out; handlers/produce.c */
    struct fetch_sessions *fetch_sessions;
    struct metrics *metrics;
    struct share_shard *share;
    struct share_sessions *share_sessions;
    struct list waiting_moves; /* for a turn; moves.c */
    struct list preferred; /* directories asked for in advance; moves.c */
    int preferred_count;
    struct list parked;    /* struct parked: requests that wait for something to happen */
    int in_work;           /* requests handed out, not answered */
    bool stopping;         /* no new connections or requests */
    bool open_failed[LOG_DIRS_MAX]; /* a log of the directory could not be opened at the start; from the stop on: is not open */
    void (*on_drained)(struct broker_shard *shard); /* stopping, in_work fell to 0, and the connections are gone */
    bool lingering; /* stopping, in_work fell to 0 */
    struct everywhere *step; /* of the stop, while the shard is at it; node.c */
    struct timer drain_timer;
};

/* A request that may wait long: when the node stops it answers at once with what there is. */
struct parked {
    struct list node;
    void (*stop)(struct parked *parked); /* removes itself */
};

static inline struct broker_shard *broker_shard_of(const struct shard *shard) {
    return shard_user(shard);
}
/* The shard that owns a partition. */
static inline int broker_partition_shard(const struct broker *broker, struct uuid topic_id, int32_t partition) {
    return (int)((uuid_hash(topic_id) + (uint64_t)partition) % (uint64_t)broker->shard_count);
}
bool topic_is_internal(struct slice name);

/* ---- partitions.c: the image's topics become logs ------------------------------------------------------------- */

/* The observer of the shard's image. */
void partitions_init(struct broker_shard *shard);
/* Everything committed has been replayed: opens the partitions of this shard, then calls done(). */
void partitions_open_all(struct broker_shard *shard, void (*done)(struct broker_shard *shard));
/* Closes all logs, then calls done() with the first error. */
void partitions_close_all(struct broker_shard *shard, void (*done)(struct broker_shard *shard, enum err err));
/* Deletes what retention lets go; starts the timer that does it again. */
void partitions_start_retention(struct broker_shard *shard);
/* A directory went offline: here and on all shards. */
void partitions_dir_failed(struct log_store *store, int dir, void *arg);
void partitions_free(struct broker_shard *shard);
struct log_open_options partitions_log_options(struct partition *partition, int dir);
/* Another log with the same records serves the partition from now on. */
void partitions_take_log(struct partition *partition, struct log *log);

#endif
