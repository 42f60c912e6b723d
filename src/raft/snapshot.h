/* Files beside the metadata log: snapshots (NNN-EEE.checkpoint, bootstrap.checkpoint) and quorum-state. */
#ifndef RAFT_SNAPSHOT_H
#define RAFT_SNAPSHOT_H

#include "base/buf.h"
#include "protocol/batch.h"
#include "raft/raft.h"
#include "runtime/runtime.h"

struct snapshot {
    int64_t end_offset; /* has all below */
    int32_t epoch;
    struct buf bytes;   /* batches, header and footer included */
};
/* The newest whole snapshot of the directory; NOT_FOUND: none. Removes unfinished ones. Blocking. */
enum err snapshot_load_newest(struct fs *fs, const char *dir, struct snapshot *ret_snapshot) MUST_USE;
enum err snapshot_load(struct fs *fs, const char *path, struct snapshot *ret_snapshot) MUST_USE;
/* Calls fn for the data records, and control() for control records, of batches. CORRUPT: not batches. */
enum err snapshot_walk(struct slice batches, void (*data)(void *arg, struct slice value),
                       void (*control)(void *arg, int type, struct slice value), void *arg) MUST_USE;
/* Writes a snapshot file's bytes: header and control records, data in batches, footer. */
struct snapshot_writer {
    struct buf *out;
    struct batch_builder builder;
    int count;           /* records in the batch being built */
    int64_t next_offset; /* in the file */
    int32_t epoch;
    int64_t now_ms;
};
/* voters_value: that of the KRAFT_VOTERS record in force; empty under kraft.version 0. */
void snapshot_begin(struct snapshot_writer *writer, struct buf *out, int32_t epoch, int64_t now_ms, int16_t kraft_version,
                    struct slice voters_value);
void snapshot_add(struct snapshot_writer *writer, struct slice record);
void snapshot_end(struct snapshot_writer *writer);

/* Which snapshots of a directory may go: those that end below the log's start, as many of the oldest as it takes to bring log and
 * snapshots under bytes_max, and those that are older than age_max_ms; never the newest. They are removed. *ret_first is the end
 * offset of the oldest that stays when some went, else -1: the log is not needed below it. Blocking. */
struct snapshot_limits {
    int64_t log_start, log_bytes;
    int64_t bytes_max, age_max_ms; /* -1: none */
    int64_t now_ms;
};
enum err snapshot_clean(struct fs *fs, const char *dir, const struct snapshot_limits *limits, int64_t *ret_first) MUST_USE;

struct quorum_state {
    int32_t leader_id, epoch, voted_id; /* -1: none */
};
enum err quorum_state_parse(struct slice text, struct quorum_state *ret_state) MUST_USE;
void quorum_state_format(const struct raft *raft, struct buf *buf);

#endif
