/* The metadata log of this node: `__cluster_metadata-0`, its snapshots, quorum-state, and the raft core that leads it.
 *
 * Lives on shard 0. Committed records are handed to every shard, in order, through apply(). Nothing else writes the
 * log. Reading order: raft.h (who leads), quorum.c (start, append, commit), snapshot.c (files). */
#ifndef RAFT_QUORUM_H
#define RAFT_QUORUM_H

#include "base/buf.h"
#include "log/log.h"
#include "raft/raft.h"

struct quorum;

struct quorum_options {
    struct log_store *store;  /* shard 0's */
    const char *dir;          /* metadata.log.dir */
    int dir_index;            /* of it in the inventory */
    int32_t node_id;
    struct uuid directory_id;
    int32_t segment_bytes;
    int64_t segment_ms;
    int64_t snapshot_bytes, snapshot_interval_ms; /* metadata.log.max.record.bytes.between.snapshots and .interval.ms */
    int64_t retention_bytes, retention_ms; /* metadata.max.retention: of log and snapshots; below 0: no limit */
    int64_t idle_interval_ms; /* metadata.max.idle.interval.ms; 0: no NoOpRecords */
    /* Committed records for a shard's image, on that shard: bytes are record batches of magic 2. */
    void (*apply)(struct shard *shard, struct slice batches, void *arg);
    /* This node leads, and everything that was committed before has been handed to this shard. */
    void (*caught_up)(struct shard *shard, void *arg);
    void (*failed)(struct quorum *quorum, enum err err, void *arg);
    /* The records of a snapshot of shard 0's image, which has everything below the high watermark. */
    void (*write_image)(void (*fn)(void *arg, struct slice record), void *fn_arg, void *arg);
    void *arg;
};

/* In shard 0's start(): reads snapshots and quorum-state (blocking), opens the log, elects. */
enum err quorum_start(struct shard *shard, const struct quorum_options *options, struct quorum **ret_quorum) MUST_USE;
/* Takes framed records that belong together into one batch. Their base offset comes back; done() runs when they are
 * committed. Only on a leader. */
struct quorum_append { /* the caller sets done and keeps it until then */
    void (*done)(struct quorum_append *append, enum err err);
    struct list node; /* private from here */
    int64_t end_offset;
};
/* NO_SPACE: appends must wait until there is room, of which the log looks out by itself. */
enum err quorum_state(const struct quorum *quorum);
int64_t quorum_append(struct quorum *quorum, const struct slice *records, int count, struct quorum_append *append);
const struct raft *quorum_raft(const struct quorum *quorum);
struct log *quorum_log(struct quorum *quorum);
/* Records for a new log, from bootstrap.checkpoint or the 0-0 snapshot; NULL: none. */
const struct slice *quorum_bootstrap_records(const struct quorum *quorum, int *ret_count);
int64_t quorum_last_append_ms(const struct quorum *quorum);
/* Closes the log; no appends after this. */
void quorum_stop(struct quorum *quorum, void (*done)(enum err err, void *arg), void *arg);
void quorum_destroy(struct quorum *quorum);

#endif
