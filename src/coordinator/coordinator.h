/* A coordinator: state that is kept as records of one partition of an internal topic, on the shard that leads it.
 *
 *   __consumer_offsets    groups and committed offsets (src/coordinator/groups.h)
 *   __transaction_state   transactions                 (src/coordinator/transactions.h)
 *   __share_group_state   where share groups are       (src/coordinator/share_state.h)
 *
 *   LOADING --log replayed--> ACTIVE --log closed, deleted, offline, not led--> gone
 *                               +--an append failed: the state is ahead of the log--> LOADING again
 *
 * Every request is an operation. decide() looks at the state, adds records, and fills in the answer; the records are
 * replayed into the state at once, gathered with those of other operations into one batch (a turn's worth, or what comes
 * within append.linger.ms), and done() runs when the log has them on the device. An operation without records is done
 * when everything it may have seen is on the device, so that no answer tells of what a crash could take back. An
 * operation can park: whoever completes it later (a rebalance, a timer) resumes it.
 *
 * While the log has no room, requests are refused; their senders ask again. Nobody would ask again for what a timer or the
 * cluster set off: such an operation is held, and decided first when there is room.
 *
 * Pure below this file's API: time comes from coordinator_now_ms(), ids from coordinator_uuid(), what the cluster looks
 * like from coordinator->image. Everything here is called on the partition's shard. */
#ifndef COORDINATOR_COORDINATOR_H
#define COORDINATOR_COORDINATOR_H

#include "base/arena.h"
#include "base/check.h"
#include "metadata/config.h"
#include "metadata/image.h"
#include "protocol/batch.h"
#include "protocol/codec.h"
#include "replica/partition.h"

struct coordinator;
struct coordinator_op;

enum coordinator_type { COORDINATOR_GROUP, COORDINATOR_TRANSACTION, COORDINATOR_SHARE, COORDINATOR_TYPES }; /* as FindCoordinator numbers keys */

/* A record on its way from the log, or just decided, into the state. Slices are valid during the call. */
struct coordinator_record {
    struct slice key, value;  /* value null: a tombstone */
    int64_t offset;           /* in the log */
    int64_t timestamp_ms;
    int64_t producer_id;      /* -1, else it counts only when end_transaction() says commit */
    int16_t producer_epoch;
};

/* What one type of coordinator does with its records. */
struct coordinator_kind {
    const char *topic;
    void *(*create)(struct coordinator *coordinator);
    /* Stops timers, frees. Parked operations have been failed before, if they were not forgotten in stop(). */
    void (*destroy)(void *state);
    /* UNSUPPORTED, CORRUPT: the load of the partition fails, loudly. */
    enum err (*replay)(void *state, const struct coordinator_record *record) MUST_USE;
    /* A transaction marker was replayed. NULL: none are expected. */
    void (*end_transaction)(void *state, int64_t producer_id, int16_t producer_epoch, bool commit);
    void (*loaded)(void *state); /* everything was replayed: timers start here */
    /* A topic came, changed (a partition at a time), or goes (`removed`; it is still whole). Only while ACTIVE. NULL: no matter. */
    void (*topic_changed)(void *state, const struct image_topic *topic, bool removed);
    /* Parked operations are about to be failed, since the node stops: nothing may touch them any more. NULL: nothing would. */
    void (*stop)(void *state);
};
extern const struct coordinator_kind coordinator_group_kind, coordinator_transaction_kind, coordinator_share_kind;

const struct coordinator_kind *coordinator_kind_of(enum coordinator_type type); /* NULL: not there */

/* What a shard's coordinators are given by the broker, and do not know themselves. */
struct coordinator_host {
    struct shard *shard;
    const struct image *image;          /* of the shard; changes between turns */
    const struct broker_config *config;
    struct compressor *compressor;
    struct coordinator_metrics *metrics; /* of each type (coordinator/op_metrics.h); NULL: nobody counts */
    const struct transaction_host *transactions; /* coordinator/transactions.h */
    void *user;                         /* struct broker_shard */
};

struct coordinator {
    struct coordinator_host *host;
    const struct coordinator_kind *kind;
    enum coordinator_type type;
    struct partition *partition;
    int32_t epoch;                      /* leader epoch of this leadership */
    enum { COORDINATOR_LOADING, COORDINATOR_ACTIVE, COORDINATOR_FAILED } phase;
    void *state;                        /* of its kind */
    struct coordinator_load *load;      /* private from here: coordinator.c */
    struct list node;                   /* the host's */
    /* Operations by where they are: before decide(), before it until the log has room, parked, waiting for the device in
     * order of `end`, failed */
    struct list queued, held, parked, ops, failed;
    struct list resumed;                /* by the decide() that runs now */
    struct coordinator_op *deciding;
    struct buf batch;                   /* gathered and not appended; with its builder */
    struct batch_builder builder;
    int64_t applied_end;                /* the log's end when what is gathered will be appended */
    int64_t linger_ms;                  /* 0: each operation by itself, -1: a turn */
    int64_t timeout_ms;                 /* for the device, after which an operation fails; -1: none */
    enum codec codec;
    struct partition_waiter waiter;
    struct turn_hook hook;
    struct timer linger_timer, timeout_timer;
    bool stopping, lacks_room;
    uint64_t room_ns;                   /* when the log had room again, after it had none; 0: it never lacked any */
    uint64_t load_start_ns, load_ns;    /* the last load that ended took so long */
    uint64_t batch_since_ns;            /* the first record of the batch came */
};

/* Made when the partition's log is open and led here; begins to load. */
struct coordinator *coordinator_create(struct coordinator_host *host, enum coordinator_type type, struct partition *partition);
/* Operations that are not done are failed with NOT_COORDINATOR. */
void coordinator_destroy(struct coordinator *coordinator);
/* The node stops: parked operations are failed with NOT_COORDINATOR, new ones refused; those decided end as they should. */
void coordinator_stop(struct coordinator *coordinator);
static inline bool coordinator_is_loading(const struct coordinator *coordinator) { /* replay() is told of the past, not of what was just decided */
    return coordinator->phase == COORDINATOR_LOADING;
}

static inline int64_t coordinator_now_ms(const struct coordinator *coordinator) { /* wall clock, for what is stored */
    return shard_wall_ms(coordinator->host->shard);
}
static inline uint64_t coordinator_now_ns(const struct coordinator *coordinator) { /* monotonic, for timeouts */
    return shard_now_ns(coordinator->host->shard);
}
/* Is a stored time less than so long ago? One that is ahead, since the clock was put back, is not; 0: not known. */
static inline bool coordinator_is_recent(const struct coordinator *coordinator, int64_t at_ms, int64_t within_ms) {
    int64_t now_ms = coordinator_now_ms(coordinator);
    return at_ms > 0 && at_ms <= now_ms && now_ms - at_ms < within_ms;
}
/* When silence is too long: signs of life were refused while the log had no room, and count from then on. */
static inline uint64_t coordinator_deadline_ns(const struct coordinator *coordinator, uint64_t deadline_ns, uint64_t timeout_ns) {
    uint64_t least_ns = coordinator->room_ns ? coordinator->room_ns + timeout_ns : 0;
    return deadline_ns > least_ns ? deadline_ns : least_ns;
}
void coordinator_uuid(struct coordinator *coordinator, struct uuid *ret_uuid);
/* A broker's setting as it holds now; `key` is Kafka's. */
int64_t coordinator_config_int(const struct coordinator *coordinator, const char *key);
/* A group's setting (IncrementalAlterConfigs on GROUP), else the broker's default of it. Both names are Kafka's. */
int64_t coordinator_group_config_int(const struct coordinator *coordinator, struct slice group, const char *key, const char *broker_key);

/* ---- operations ------------------------------------------------------------------------------------------------------- */

struct coordinator_op {
    /* set by the caller, who keeps it until done() */
    struct arena *arena;                /* takes records; may take the answer */
    /* Never runs unless the coordinator is ACTIVE. */
    void (*decide)(struct coordinator_op *op, void *state);
    /* 0: what was decided is on the device. Else a Kafka code: NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS, or why the
     * append failed (see coordinator_error()): answer it, nothing of what decide() filled in holds. */
    void (*done)(struct coordinator_op *op, int16_t error);
    /* The records were refused (too large) and not replayed, the state lives on: takes back what decide() did to it. NULL: nothing. */
    void (*undo)(struct coordinator_op *op, void *state);
    void *undo_arg;                     /* decide()'s, for undo() */
    int64_t producer_id;                /* of a transaction whose records these are; with `transactional` */
    int16_t producer_epoch;
    uint64_t guard;                     /* with `transactional`: of the verification (log/producers.h) */
    bool transactional;
    bool applied;                       /* set in decide(): the state has what its records say, they are not replayed */
    bool divisible;                     /* the records may come in several batches (sweeps) */
    bool is_held;                       /* not refused while the log has no room, but decided when there is some */
    bool is_write;                      /* set in decide(): of a share partition's state; for metrics */
    /* private */
    struct coordinator *coordinator;
    struct list node;
    int64_t end;                        /* durable from here on: done */
    uint64_t deadline_ns;               /* for the device */
    uint64_t come_ns, waits_ns;         /* for metrics, as turns begin: it came, it began to wait for the device */
    int16_t error;
    bool is_parked;
    struct coordinator_pending *records, **last_record;
    size_t size;
};
/* Zero the op and set its first three members. done() may run before this returns (a refusal), else at the end of a turn.
 * From inside a decide(): decided after it. */
void coordinator_run(struct coordinator *coordinator, struct coordinator_op *op);
/* In decide(): adds a record; key and value are framed with their version (RECORD_KEY, RECORD_VALUE below) and live in op->arena. */
void coordinator_add(struct coordinator_op *op, struct slice key, struct slice value);
/* In decide(): it is refused after all, the records added so far are dropped. */
void coordinator_forget(struct coordinator_op *op);
/* In decide(): done() waits for coordinator_resume(). Whoever parks it can resume it in the same turn, also from another
 * operation's decide(), on whose records it then waits too (a leader's SyncGroup answers those of the others). done()
 * never runs inside resume, but at the end of a turn. */
void coordinator_park(struct coordinator_op *op);
void coordinator_resume(struct coordinator_op *op);
/* An operation of the coordinator's own (a timer fired): memory is taken care of. decide() gets `arg` by coordinator_task_arg(op).
 * It comes, unless the state goes before. */
void coordinator_task(struct coordinator *coordinator, void (*decide)(struct coordinator_op *op, void *state), void *arg);
/* The same for what is done again and again: left out while the log has no room. */
void coordinator_chore(struct coordinator *coordinator, void (*decide)(struct coordinator_op *op, void *state));
void *coordinator_task_arg(const struct coordinator_op *op);
/* A marker for the transactions whose records are here (WriteTxnMarkers on __consumer_offsets): appended behind what is
 * gathered, replayed through end_transaction(); done(0) when it is on the device. */
struct coordinator_marker {
    int64_t producer_id;
    int16_t producer_epoch, transaction_version;
    int32_t coordinator_epoch;
    bool commit;
    bool own; /* of this node's coordinator of the transaction, which is the newest whatever a marker from outside said */
    void (*done)(struct coordinator_marker *marker, int16_t error);
    struct coordinator_op op; /* private */
    struct arena arena;
};
void coordinator_mark(struct coordinator *coordinator, struct coordinator_marker *marker);
/* For the host: a topic came, changed or goes. */
void coordinator_topic_changed(struct coordinator *coordinator, const struct image_topic *topic, bool removed);
/* For metrics: operations that wait to be decided. */
int64_t coordinator_queued(const struct coordinator *coordinator);
/* For the host: the partition's leader epoch rose. */
void coordinator_raise_epoch(struct coordinator *coordinator, int32_t epoch);
/* What clients of coordinators are told when an append failed, as Kafka translates it. */
int16_t coordinator_error(enum err err);

/* Encodes a key (2 bytes of type in front) or a value (2 bytes of version in front) into the arena. */
#define RECORD_KEY(arena, type, name, message) RECORD_BYTES_(arena, type, 0, name, message)
#define RECORD_VALUE(arena, version, name, message) RECORD_BYTES_(arena, version, version, name, message)
#define RECORD_BYTES_(arena_, prefix_, version_, name, message)                                      \
    ({                                                                                               \
        struct buf record_buf_ = {0};                                                                \
        struct encoder encoder_;                                                                     \
        encoder_init(&encoder_, &record_buf_, NULL);                                                 \
        encode_int16(&encoder_, (int16_t)(prefix_));                                                 \
        enum err record_err_ = name##_encode(&encoder_, (version_), (message));                      \
        check(record_err_ == ERR_OK, "a record of ours cannot be encoded: %s", err_text(record_err_)); \
        struct slice record_bytes_ = arena_slice((arena_), buf_slice(&record_buf_));                 \
        buf_deinit(&record_buf_);                                                                    \
        record_bytes_;                                                                               \
    })

/* ---- placement ---------------------------------------------------------------------------------------------------------- */

/* abs(Java's hash of the id's UTF-16 units) mod count: which partition holds a group, transactional id or share key. */
int32_t coordinator_partition_of(struct slice id, int32_t partition_count);
/* That hash: also the order in which Kafka walks what it keeps in a hash map. */
uint32_t coordinator_hash(struct slice id);

#endif
