/* A cleaning under way. The shard drives it (compaction.c) in steps, each a piece of blocking work on the pool
 * (cleaning.c), so that it can be stopped between them, waits between them when the rate is limited, and never keeps a
 * thread of the pool for long.
 *
 *   MAP --all dirty segments read, or the map full--> GROUP --> COPY --whole group read--> FINISH --> WAIT (readers of the
 *   old segments) --> SWAP --> COPY of the next group ... --> END
 *   COPY --one segment in which nothing changes--> COPY of the next group
 *
 * Only the pool touches what is marked so while a step is out; between steps the shard may. */
#ifndef LOG_CLEANING_H
#define LOG_CLEANING_H

#include "log/clean_batch.h"
#include "log/internal.h"
#include "log/scan.h"

struct clean_source { /* a segment, sealed */
    int64_t base_offset, size, next_base, created_ms;
    int64_t index_bytes, time_index_bytes;
    bool old_tombstones; /* it is young enough to keep those of magic 0 and 1 */
};
struct clean_group { /* sources that become one segment */
    int first, count;
};

struct cleaning {
    struct log_clean *asked;
    struct work work;
    struct timer timer;
    struct fs *fs;
    char *path;
    enum clean_phase { CLEAN_MAP, CLEAN_GROUP, CLEAN_COPY, CLEAN_FINISH, CLEAN_WAIT, CLEAN_SWAP, CLEAN_END } phase;
    bool stopped;            /* asked to end; the shard's */
    bool in_step;            /* a step is out; the shard's */
    enum clean_phase work_phase; /* of that step */
    uint64_t step_started_ns;
    int64_t settings_segment_bytes, settings_index_bytes;
    int32_t index_interval_bytes;
    int64_t next_base;       /* of the segment behind the group, when it has no file yet; else -1 */
    size_t buffer_bytes;
    int64_t step_bytes;      /* how much a step may read and write */
    struct clean_source *sources;
    int source_count, dirty_first; /* sources from dirty_first on hold what is dirty */
    struct clean_group *groups;
    int group_count, group;
    struct segment *output;  /* of the group; made and taken by the shard */
    /* the pool's */
    int source;
    struct file *source_file;
    bool scanning;
    struct segment_scan scan;
    int64_t floor;           /* what the source's next batch must reach: no checksum covers base offsets */
    struct offset_map map;
    struct clean_rules rules;
    struct clean_txns txns;
    struct clean_batch batch;
    struct aborted_txn *aborted, *dirty_aborted; /* all; those that the map must know */
    int aborted_count;
    struct last_record *producers;
    struct file *file;       /* X.log.cleaned */
    struct buf out;          /* not written yet; its first byte goes to out_pos */
    int64_t out_pos, unsynced;
    struct buf prefix;       /* on its way: bytes of the source before its first change, */
    int64_t prefix_pos, prefix_end; /* those in between are not copied yet */
    bool same;               /* the group is one segment, and so far nothing of it changed: nothing is written */
    bool has_txn_index;
    bool swap_stands;        /* X.*.swap are on the device: what they replace may be gone, and they are all there is */
    int64_t step_done_bytes;
    enum err err;
    char where[96];          /* of an error: file and position */
};

/* Runs the step of the phase; blocking. */
void cleaning_run(struct work *work);
void cleaning_free(struct cleaning *cleaning);

#endif
