/* A partition's log: an ordered run of record batches in segment files of Kafka's format, and the store that all
 * logs of a shard share: one journal for each log directory and one bounded pool of tail memory.
 *
 * Owns: its directory, segment files, indexes, producer state, epochs. Borrows: the runtime, the store.
 * Called from: the shard that owns the partition; others send that shard a message.
 *
 * An append gets its offsets at once, in call order. It is durable, and may be shown, once log_durable_end() has
 * passed it; log->on_progress() says so. Bytes go three ways:
 *
 *     tail (memory)  --- small --->  journal group, O_DIRECT, flushed       \  either one moves the durable end
 *          |         --- 512 KiB and more --->  segment, O_DIRECT, flushed   /
 *          +-- later, in large pieces, what only the journal has --> segment
 *
 * Invariants: L1 log_start <= durable_end <= end.  L2 only the last segment grows.  L3 what a segment file lacks is
 * in the tail and in the journal.  L4 index entries rise in offset and position.
 * Does not know about leaders, followers or high watermarks; see replica/partition.h for those. */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include "base/histogram.h"
#include "base/uuid.h"
#include "log/epochs.h"
#include "log/producers.h"
#include "log/validate.h"
#include "runtime/runtime.h"

struct log_store; /* of one shard */
struct log;

/* ---- settings of a log ------------------------------------------------------------------------------------------ */

struct log_settings { /* names, units and defaults are Kafka's topic settings */
    int32_t segment_bytes, segment_index_bytes, index_interval_bytes;
    int64_t segment_ms, segment_jitter_ms;
    int64_t retention_bytes, retention_ms; /* negative: none */
    int64_t file_delete_delay_ms;
    int64_t flush_messages, flush_ms;
    bool delete_policy, compact_policy, preallocate;
    double min_cleanable_dirty_ratio;
    int64_t min_compaction_lag_ms, max_compaction_lag_ms, delete_retention_ms;
    struct validate_settings validate; /* compression, timestamps, message size */
    int64_t producer_id_expiration_ms;
};
void log_settings_default(struct log_settings *ret_settings);

/* ---- the store -------------------------------------------------------------------------------------------------- */

#define LOG_DIRS_MAX 32

/* What was found in the log directories at start. Made once, before the shards' stores, and shared by them read-only;
 * journals of an earlier run are read into memory here. Blocking. */
struct log_inventory;
struct log_inventory_dir {
    const char *path;
    enum err err;      /* not OK: the directory is offline */
    bool clean;        /* Kafka's clean-shutdown mark was there; it is removed by reading it */
    int64_t clean_broker_epoch;
};
/* `paths` are log.dirs. metadata_only: a directory that holds only the metadata log. Never fails as a whole. */
struct log_inventory *log_inventory_create(struct runtime *runtime, const char *const *paths, int count);
void log_inventory_destroy(struct log_inventory *inventory);
const struct log_inventory_dir *log_inventory_dir(const struct log_inventory *inventory, int dir);
int log_inventory_dir_count(const struct log_inventory *inventory);
/* Directories of partitions found: calls back for each, with its whole name, and suffix "", "future", "delete" or "stray". */
void log_inventory_each(const struct log_inventory *inventory,
                        void (*fn)(void *arg, int dir, struct slice topic, int32_t partition, const char *suffix, const char *name),
                        void *arg);
/* The directory that holds topic-partition; -1: none. */
int log_inventory_find(const struct log_inventory *inventory, struct slice topic, int32_t partition);
/* The same for a `-future` directory, with its name. */
int log_inventory_find_future(const struct log_inventory *inventory, struct slice topic, int32_t partition, const char **ret_name);
/* What the directory's checkpoint files said of topic-partition at the start. */
struct inventory_checkpoint {
    int64_t recovery_point, log_start, high_watermark, cleaned; /* -1: not there */
};
struct inventory_checkpoint inventory_checkpoint(const struct log_inventory *inventory, int dir, struct slice topic,
                                                 int32_t partition);
/* Removes a directory's journals that were read, when every log that has a share in them is open (and flushed). Blocking. */
enum err log_inventory_retire_journals(struct log_inventory *inventory, int dir) MUST_USE;

struct log_store_options {
    const struct log_inventory *inventory; /* kept */
    int64_t journal_bytes; /* of each ring; 0: the default */
    size_t tail_bytes_max; /* of the shard's tails, soft: log_store_is_full() */
    bool journal_flush;    /* false: an answer means "written", not "on the device" */
    /* A directory failed and went offline, on this shard. */
    void (*on_dir_failed)(struct log_store *store, int dir, void *arg);
    void *arg;
};
/* In the shard's start(), before other messages: makes the rings. Blocking. */
enum err log_store_create(struct shard *shard, const struct log_store_options *options, struct log_store **ret_store)
    MUST_USE;
/* All logs of it must be closed. */
void log_store_destroy(struct log_store *store);
/* The tails hold more than they should: stop taking in data until on_room() runs (once, then forgotten). */
bool log_store_is_full(const struct log_store *store);
/* This shard learns that a directory went offline elsewhere. Its logs answer ERR_OFFLINE from now on. */
void log_store_fail_dir(struct log_store *store, int dir);
bool log_store_dir_is_offline(const struct log_store *store, int dir);
/* What the store has done since it was made. */
struct log_metrics {
    uint64_t journal_groups, journal_entries, journal_bytes; /* written, padding included */
    uint64_t segment_writes, segment_bytes;                  /* those behind the journal included */
    uint64_t flushes;          /* flushed writes that answers waited for: groups, and what went straight to a segment */
    struct histogram flush_us; /* of those */
    struct histogram group_bytes;
};
const struct log_metrics *log_store_metrics(const struct log_store *store);
/* Removes a directory whose name says that it goes, when the time has come: in steps, and one directory after the other. What
 * is left of it when the store stops is the next start's. */
void log_store_remove_dir(struct log_store *store, const char *path, int64_t delay_ms);
/* Empties and removes the journals; every log must have been closed. */
void log_store_stop(struct log_store *store, void (*done)(struct log_store *store, void *arg), void *arg);

/* ---- a log -------------------------------------------------------------------------------------------------------- */

struct log_open_options {
    struct uuid topic_id;
    struct slice topic; /* copied */
    int32_t partition;
    int dir;            /* index in log.dirs */
    const char *future; /* the name of its directory: the -future copy of a move; NULL: a partition's own */
    const char *promoted; /* a -future directory becomes this one first; NULL: none */
    int64_t first_offset; /* where a log that is new begins */
    int64_t covered_end;   /* the metadata log's newest snapshot has all below this: a log that does not reach it, or does not */
    int32_t covered_epoch; /* know its epoch, begins anew there; 0: none */
    bool created;       /* made in this run: checkpoints found at start are of another one */
    bool always_recover; /* as the metadata log: clean or not, from offset 0 */
    struct log_settings settings;
    void *user;
    /* The durable end, or the log's state (offline, no space), changed. At most once a turn. */
    void (*on_progress)(struct log *log, void *user);
};
/* Opens or makes the directory, recovers what the last run left, replays the journals' entries. Off the loop; done()
 * gets the log or why not. */
void log_open(struct log_store *store, const struct log_open_options *options,
              void (*done)(struct log *log, enum err err, void *user));
/* Writes out all it holds, cuts files to size, writes indexes and the producer snapshot. The log is freed. */
void log_close(struct log *log, void (*done)(enum err err, void *arg), void *arg);
/* Renames the directory to `-delete`, then calls done(), and removes it after delay_ms. What was not durable is dropped.
 * The log is freed. */
void log_delete(struct log *log, int64_t delay_ms, void (*done)(enum err err, void *arg), void *arg);

/* Gives the directory another name inside its log directory, on the device when done() runs. Until then reads from files
 * wait, and what is appended goes to the journal alone. Before deleting or closing, not while. */
void log_rename(struct log *log, const char *name, void (*done)(enum err err, void *arg), void *arg);
/* Whom on_progress() tells from now on. */
void log_set_user(struct log *log, void *user, void (*on_progress)(struct log *log, void *user));
/* Takes over the leader epochs of a log with the same records. */
void log_copy_epochs(struct log *log, const struct log *from);

struct log_offsets { /* all of one moment */
    int64_t start, durable_end, end;
};
struct log_offsets log_offsets(const struct log *log);
static inline int64_t log_durable_end(const struct log *log) {
    return log_offsets(log).durable_end;
}
enum err log_state(const struct log *log); /* OK, OFFLINE, NO_SPACE */
int64_t log_size(const struct log *log);   /* bytes of all .log files */
int log_segment_count(const struct log *log);
int64_t log_recovery_point(const struct log *log);
int log_dir_index(const struct log *log);
void log_set_settings(struct log *log, const struct log_settings *settings);
const struct log_settings *log_get_settings(const struct log *log);
struct producers *log_producers(struct log *log);
struct epochs *log_epochs(struct log *log);
/* First offset of the earliest open transaction, else the durable end. */
int64_t log_last_stable_offset(const struct log *log);

struct log_append_result {
    int64_t base_offset, last_offset;
    int64_t append_time_ms; /* -1 with CreateTime */
    bool duplicate;         /* already there: base_offset is the stored batch's */
    struct validate_result validation; /* record errors, messages */
};
/* Takes the batches of `bytes` (a client's: exactly one), which are patched in place and may be dropped afterwards:
 * they are copied to the tail. The arena takes error texts. On failure nothing was appended. */
enum err log_append(struct log *log, uint8_t *bytes, size_t size, enum append_origin origin, int32_t leader_epoch,
                    struct arena *arena, struct log_append_result *ret_result) MUST_USE;

/* The same for the batch of a client's transaction that was verified: see producers_verify(). */
enum err log_append_guarded(struct log *log, uint8_t *bytes, size_t size, uint64_t guard, int32_t leader_epoch, struct arena *arena,
                            struct log_append_result *ret_result) MUST_USE;
/* The end of a producer's transaction: a control batch. */
struct log_marker {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
    bool commit;
};
/* Not checked: that is producers_check_marker()'s. */
enum err log_append_marker(struct log *log, const struct log_marker *marker, int32_t leader_epoch) MUST_USE;

/* ---- reading -------------------------------------------------------------------------------------------------------- */

struct log_held { /* private: what waits until a directory has its new name, or a segment its successor */
    struct list node;
    void (*resume)(struct log_held *held);
};

#define LOG_READ_PIECES 6
struct log_read {
    /* asked */
    struct log *log;
    int64_t offset, bound;  /* read from the batch that holds `offset`, nothing at or above `bound` (<= durable end) */
    int64_t bytes_max;
    bool whole_first_batch; /* the first batch comes whole, whatever bytes_max says */
    bool contiguous;        /* one piece of memory, for those who look into it */
    void (*done)(struct log_read *read); /* in a later turn, when log_read() gave false */
    /* answered; valid until log_read_release() */
    enum err err; /* OFFSET_OUT_OF_RANGE, OFFLINE, CORRUPT, IO */
    struct piece pieces[LOG_READ_PIECES];
    int piece_count;
    size_t size;
    int64_t first_batch_size; /* of the batch at the start; 0: nothing there */
    int64_t upper_offset;     /* beyond all that was read, by the index alone: up to it log_aborted() is asked */
    /* private */
    struct log_store *store;
    void *holds[LOG_READ_PIECES];
    uint8_t *memory;
    size_t memory_size;
    bool memory_is_spare;
    struct work work;
    struct log_held held;
    struct segment *segment;
    int64_t pos, limit_pos;
    int64_t searched_base, searched_to; /* what the file has of a segment was searched in vain */
};
/* True: answered now. False: done() runs later; the log stays until then (log_close() waits for it). */
bool log_read(struct log_read *read);
void log_read_release(struct log_read *read);
/* The aborted transactions that a reader of [offset, end) must know. In the arena. Index entries, as Kafka gives: they may
 * lie beyond what was read. */
struct log_aborted {
    int64_t producer_id, first_offset;
};
int log_aborted(struct log *log, int64_t offset, int64_t end, struct arena *arena, struct log_aborted **ret_aborted);
/* Bytes between two offsets as far as the indexes know without reading: for min.bytes of parked fetches. */
int64_t log_bytes_between(const struct log *log, int64_t from, int64_t to);

/* Search by time, off the loop: first record at or after timestamp (>= 0), or -3: the one with the largest timestamp.
 * Not found: offset -1. */
struct log_time_search {
    struct log *log;
    int64_t timestamp;
    void (*done)(struct log_time_search *search);
    enum err err;
    int64_t found_offset, found_timestamp;
    int32_t found_epoch;
    struct log_held held; /* private */
};
void log_time_search(struct log_time_search *search);

/* ---- upkeep ----------------------------------------------------------------------------------------------------------- */

/* DeleteRecords: nothing below `offset` (<= durable end) is shown any more. */
enum err log_raise_start(struct log *log, int64_t offset) MUST_USE;
/* Deletes segments by log start, size and time, as far as `high_watermark` allows. */
void log_retain(struct log *log, int64_t high_watermark);
/* Forgets producers whose last batch's time lies too far back (producer.id.expiration.ms). */
void log_expire_producers(struct log *log);

/* ---- compaction (compaction.c) ------------------------------------------------------------------------------------------ */

/* The shard's logs whose policy is to compact, without copies that are being made. next gives each in turn, so that a walk
 * may take many turns of the loop; NULL: there is none. */
int log_store_compacted_count(const struct log_store *store);
struct log *log_store_next_compacted(struct log_store *store);
bool log_is_compacted(const struct log *log);
void *log_user(const struct log *log);

/* What could be cleaned now, in Kafka's terms. */
struct log_dirtiness {
    int64_t start, end;   /* the dirty part that may be cleaned; empty when end <= start */
    int64_t clean_bytes, dirty_bytes;
    double ratio;
    int64_t delay_ms;     /* since max.compaction.lag.ms asked for it; 0: it does not */
    bool due;
    bool start_changed;   /* the checkpoint named an offset that is not in the log: log_cleaned_end() is another now */
};
void log_measure_dirt(struct log *log, int64_t high_watermark, struct log_dirtiness *ret_dirt);
/* First offset that was not cleaned yet; -1: nothing was. */
int64_t log_cleaned_end(const struct log *log);
void log_set_cleaned_end(struct log *log, int64_t offset);
/* Its line of cleaner-offset-checkpoint. */
void log_write_checkpoint_line(const struct log *log, struct buf *buf);
bool log_is_cleaning(const struct log *log);
/* A cleaning met what it cannot read: the log is left alone until the next start. */
bool log_is_uncleanable(const struct log *log);
/* Ends the cleaning that is under way, soon and without a trace; closing, deleting and renaming do so themselves. */
void log_stop_cleaning(struct log *log);

/* One pass over a log. The caller's memory until done(). */
struct log_clean {
    /* asked */
    struct log *log;
    int64_t high_watermark;
    size_t map_bytes;          /* of the offset map, at most */
    double map_load_factor;
    size_t buffer_bytes;       /* of a read, and of a write */
    _Atomic int64_t bytes_per_second; /* read and written; 0: no limit. May change meanwhile, by any thread */
    void (*done)(struct log_clean *clean); /* on the log's shard */
    /* answered */
    enum err err;              /* CANCELED, NO_SPACE, NO_MEMORY, OFFLINE: nothing is wrong with the log itself */
    int64_t start_offset, end_offset; /* what was dirty, and is clean */
    int64_t bytes_mapped, bytes_read, bytes_written, records_read, records_kept, keyless;
    double map_used;           /* of what the map may hold */
    uint64_t started_ns, mapped_ns, ended_ns;
    struct cleaning *private;
};
/* The log is open, not being renamed, and log_measure_dirt() says there is something. */
void log_clean_start(struct log_clean *clean);

#endif
