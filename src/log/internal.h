/* Inside src/log: what its files share. A reading order: log.c (append), tail.c (memory), flush.c (which way the bytes
 * go), bundle.c, journal.c, segment.c (files and indexes), read.c, open.c (recovery), close.c, retention.c, search.c,
 * compaction.c.
 *
 *   segments[0] ... segments[n-1]          files; all but the last are whole
 *                    |-- written --|       bytes of a segment that its file has on the device
 *                           |blocks ...|   the tail: memory for ranges of files, the newest kept as a cache
 *
 * What a log appended is at first in its tail alone ("pending"); a turn later it is on its way, either in a journal
 * group or in a write to the segment. */
#ifndef LOG_INTERNAL_H
#define LOG_INTERNAL_H

#include "log/log.h"
#include "log/txn_index.h"
#include "protocol/batch.h"
#include "protocol/compress.h"

enum {
    TAIL_BLOCK_MIN = 8 << 10,
    TAIL_BLOCK_MAX = 1 << 20,
    DIRECT_MIN = 512 << 10,       /* pending bytes from which a flushed write to the segment beats the journal: below, the
                                      file system's commit for a grown file costs more than writing twice */
    WRITE_BEHIND = 2 << 20,       /* bytes that only the journal has, from which they are written behind */
    WRITE_MAX = 4 << 20,          /* bytes of one write to a segment */
    BEHIND_WRITES_MAX = 16,       /* behind-writes in flight a shard, beyond those that an answer waits for */
    READ_SPARE_SIZE = (1 << 20) + 64, /* of memory that reads use again: consumers' usual 1 MiB a partition, and the next header */
    READ_SPARE_MIN = 128 << 10,   /* reads of less get memory of their size */
    READ_SPARES_MAX = 8,          /* a shard */
    LOOK_BYTES_MAX = 1 << 20,     /* bytes from files whose checksums are looked at on the loop in a turn */
    READ_BYTES_MIN = 64 << 10,    /* what a read may take when readers keep their share of memory already */
    OPEN_SEGMENTS_MAX = 4096,     /* segments with open files a shard; the least recently used are closed */
};

struct index_entry {
    uint32_t offset, pos; /* relative to the segment's base; of the batch's last offset, and its start */
};
struct time_entry {
    int64_t timestamp;
    uint32_t offset;
};

/* A segment's indexes in memory: of the last segment always, of others while they are in use. */
struct segment_index {
    struct index_entry *entries;
    struct time_entry *times;
    uint32_t count, capacity, time_count, time_capacity;
};

struct segment {
    struct log *log;
    int64_t base_offset;
    int64_t size;                  /* bytes of its batches, those still in the tail included */
    int64_t written;               /* bytes that the file has on the device */
    int64_t max_timestamp;         /* largest of its batches; -1 none */
    int64_t max_timestamp_offset;  /* last offset of the batch that has it */
    int64_t first_timestamp;       /* max timestamp of its first batch; -1 none */
    int64_t created_ms;            /* also its mtime when it was loaded */
    int64_t roll_jitter_ms;
    uint32_t bytes_since_index;
    struct segment_index index;
    bool index_loaded;
    struct txn_index aborted;      /* always in memory: few abort */
    bool sealed;                   /* whole, indexes and length on the device */
    bool exists;                   /* the file was made */
    bool opening;                  /* files are being opened */
    struct file *file;             /* for reads, buffered; NULL: not open */
    struct file *direct;           /* for writes */
    struct list lru;               /* of store->open_segments, when files are open */
    int pins;                      /* reads and writes that use it; freed at 0 when removed */
    int file_works;                /* off the loop, which may open its files by name */
    bool removed;
    bool swapping;                 /* a cleaned segment takes its place and its name: nobody opens its files meanwhile */
};

struct tail_block {
    struct list node;              /* of log->blocks */
    struct list lru;               /* of store->clean_blocks when all of it is on the device and it is not the last */
    struct segment *segment;
    int64_t pos;                   /* file position of memory[0]; a multiple of FILE_DIRECT_ALIGN */
    uint32_t capacity, size;
    uint32_t start;                /* memory before it is the file's last partial block, read when it is written */
    int64_t end_offset, end_pos;   /* after the last batch that ends in it; end_pos 0: none does */
    uint64_t end_total;            /* log->appended then */
    int refs;                      /* the log's, and one for each read and write that uses it */
    bool dropped;                  /* the log has it no more: whoever reads it keeps it alive */
    uint8_t *memory;
};

struct log {
    struct log_store *store;
    int slot;                      /* in store->slots: how the journal names it */
    uint32_t generation;
    int dir;
    char *path;                    /* of its directory */
    char *topic;
    struct uuid topic_id;
    int32_t partition;
    struct log_settings settings;
    void *user;
    void (*on_progress)(struct log *log, void *user);
    enum { LOG_OPEN, LOG_CLOSING, LOG_DELETED } phase;
    enum err state;

    int64_t start, durable_end, end;
    int64_t written_end;           /* the segment files have everything below it, on the device */
    int64_t flushed_end;           /* so has the journal, with what the segments have, as far as it was told to flush */
    int64_t submitted_end;         /* below: on its way to the device, or there */
    int64_t direct_end;            /* of what was sent straight to the segments: the journal lacks it */
    uint64_t appended, submitted;  /* bytes up to end and submitted_end, since it was opened */
    int64_t durable_pos;           /* in segments that hold durable_end: the byte after the last durable batch */
    struct segment *durable_segment;
    int64_t recovery_point;
    uint64_t unflushed_since_ns;   /* when the oldest byte of [written_end, durable_end) came; 0: none */

    struct segment **segments;     /* ascending; never empty */
    int segment_count, segment_capacity;
    struct list blocks;
    struct tail_block *write_block; /* first with bytes the file lacks; NULL: none */
    struct segment_write *writing; /* the segment write in flight */
    struct list dirty;             /* of store->dirty_logs: has pending bytes */
    struct list behind;            /* of store->behind_logs: the journal has bytes its segments lack */
    struct list progress;          /* of store->progress_logs */
    struct producers producers;
    struct epochs epochs;
    bool epochs_dirty;             /* differ from the file */
    int32_t epoch_appended;        /* of the last batch of this run; -1: none */
    int reads;                     /* in work off the loop */
    void (*close_done)(enum err err, void *arg);
    void *close_arg;
    bool finishing;                /* the last step of closing is under way */
    struct rename *renaming;       /* rename.c: nothing new may take the path meanwhile */
    struct list held;              /* struct log_held: waits for the end of it */
    struct log_clean *cleaning;    /* compaction.c */
    struct list swap_held;         /* struct log_held: waits for the end of a swap */
    struct list compacted;         /* of store->compacted_logs */
    int64_t cleaned_end;           /* first dirty offset; -1: none is clean */
    bool uncleanable;              /* a cleaning failed on what it read */
    bool is_copy;                  /* a -future directory, until it is renamed */
    bool names_durable;            /* its directory and partition.metadata are on the device, and the segments that exist */
    int64_t delete_delay_ms;
    enum err removal_err;          /* of retention.c's works, which run one after the other */
};

static inline uint64_t log_pending_bytes(const struct log *log) { /* of [submitted_end, end) */
    return log->appended - log->submitted;
}

struct log_slot {
    struct log *log;
    uint32_t generation;
};

struct journal;
struct journal_making;

/* Files with a name that says they go, and a timer: removal.c. */
struct log_removal {
    struct list node; /* of store->removals, while the timer runs */
    struct timer timer;
    void (*due)(struct shard *shard, struct log_removal *removal);
    void (*forget)(struct log_removal *removal);
};

struct log_store {
    struct shard *shard;
    struct fs *fs;
    struct log_store_options options;
    int dir_count;
    struct {
        enum err state;
        struct journal *journal;
        struct bundle *filling, *flying; /* bundle.c */
        uint64_t apart_until_ns;         /* no bundles */
        struct journal_making *making; /* store.c: one is made, after a start on a full disk */
    } dirs[LOG_DIRS_MAX];
    struct log_slot *slots;
    int slot_count, *free_slots, free_slot_count;
    size_t tail_bytes;             /* of all tail blocks, but for dropped ones */
    size_t read_bytes;             /* that readers keep: dropped tail blocks, and memory of reads not released */
    int64_t looked_bytes;          /* of files, in the turn of looked_ns */
    uint64_t looked_ns;
    uint8_t *spares[READ_SPARES_MAX]; /* memory for reads from files */
    int spare_count, spare_unused; /* spare_unused: the least there were since the last upkeep */
    struct list clean_blocks;      /* evictable, oldest first */
    struct list open_segments;     /* least recently used first */
    int open_segment_count;
    struct list dirty_logs, behind_logs, progress_logs;
    struct list compacted_logs;    /* those whose policy is to compact */
    int compacted_count;
    struct list removals;          /* struct log_removal: their time has not come */
    struct list removed_dirs;      /* directories whose time has come; the first one is being removed */
    int removal_works;             /* of removals, off the loop */
    int behind_writes;             /* in flight, but for those in bundles */
    uint64_t behind_changes;       /* counts what makes room for more of them, or lets a log write again */
    uint64_t relieved_at;          /* flush_behind_again() */
    uint64_t journal_retry_ns;     /* when to try again to make those that a full disk had no room for */
    struct store_stop *stopping;   /* store.c */
    struct turn_hook flush_hook, progress_hook;
    struct timer upkeep_timer;
    struct compressor *compressor;
    struct log_metrics metrics;
    void (*stop_done)(struct log_store *store, void *arg);
    void *stop_arg;
};

/* ---- tail.c ---- */
/* Room for size bytes at the end of the last segment's tail. */
void tail_append(struct log *log, const uint8_t *bytes, size_t size, int64_t end_offset);
void tail_block_unref(struct log_store *store, struct tail_block *block);
/* Bytes that the files lack, those of blocks that are all written not counted. */
int64_t tail_unwritten(const struct log *log);
/* After `segment` got its bytes below `written`: blocks that are wholly written may be evicted. */
void tail_written(struct log *log, struct segment *segment, int64_t written);
/* Gives back memory until the tails are inside the limit, as far as what is not written allows. */
void tail_evict(struct log_store *store);
/* The segment's blocks go. */
void tail_forget_segment(struct log *log, struct segment *segment);
/* Drops all blocks of the log. */
void tail_drop(struct log *log);
/* Copies bytes [pos, pos+size) of the segment from the tail; false when the tail does not hold them all. */
bool tail_copy(const struct log *log, const struct segment *segment, int64_t pos, void *ptr, size_t size);
/* The tail holds the segment's bytes from pos to its end. */
bool tail_holds(const struct log *log, const struct segment *segment, int64_t pos);
/* The block that holds the byte at pos of the segment; NULL: none. */
struct tail_block *tail_find(const struct log *log, const struct segment *segment, int64_t pos);
/* First file position of the segment that the tail holds up to its end; segment->size when none. */
int64_t tail_start(const struct log *log, const struct segment *segment);

/* ---- read.c ---- */
void read_forget_spares(struct log_store *store, bool all); /* or those that nobody wanted since it was called */

/* ---- log.c ---- */
void log_roll(struct log *log); /* a new segment at the log's end */

/* Work off the loop that counted in log->reads has come back. */
void log_work_done(struct log *log);

/* ---- rename.c ---- */
void log_rename_step(struct log *log); /* goes on when nothing is under way */
/* True: the log is being renamed, and resume() is called afterwards. */
bool log_rename_holds(struct log *log, struct log_held *held, void (*resume)(struct log_held *held));

/* ---- compaction.c ---- */
/* Puts the log into store->compacted_logs, or takes it out, as its settings want. */
void compaction_set_policy(struct log *log);
void compaction_step(struct log *log); /* goes on when nobody reads the segments that are replaced */
bool compaction_waits(const struct log *log); /* for that */
/* True: the segment is being replaced, and resume() is called afterwards. */
bool compaction_holds(struct segment *segment, struct log_held *held, void (*resume)(struct log_held *held));

/* ---- flush.c ---- */
void flush_resume(struct log *log);          /* after a rename: what was not started */
void flush_ask(struct log *log);             /* the log has pending bytes; decides at the end of the turn */
void flush_hook_run(struct turn_hook *hook);
void flush_behind(struct log *log);          /* starts writing out what only the journal has, unless that is under way */
bool flush_behind_is_full(const struct log_store *store, int dir); /* no room for more of these writes */
/* False: nothing has changed since all logs were asked to write, at *asked_at. */
bool flush_behind_again(const struct log_store *store, uint64_t *asked_at);
void flush_relieve(struct log_store *store); /* writes out what the tails hold beyond their limit */
void flush_journal_done(struct log *log, int64_t end_offset, struct segment *segment, int64_t pos);
void flush_failed(struct log_store *store, int dir, enum err err, const char *what);
void flush_progress(struct log *log);        /* on_progress() at the end of the turn */

/* ---- journal.c ---- */
struct journal *journal_create(struct log_store *store, int dir);
/* Room for it, and as much again, so that it does not take what segments wait for. Blocking, as is the next. */
bool journal_has_room(struct journal *journal);
enum err journal_make_file(struct journal *journal) MUST_USE; /* on any thread, before anything else of it */
/* Takes the log's pending bytes into the group that is filling; false: no room, stays pending. */
bool journal_add(struct journal *journal, struct log *log);
void journal_submit(struct journal *journal);   /* sends the filling group when none is in flight */
void journal_reclaim(struct journal *journal);  /* frees groups whose bytes the segments have; asks for more */
/* The ring is full of what segments lack for which the disk has no room: nothing that is added comes through. */
bool journal_is_stuck(struct journal *journal);
/* Then what waits in it is written to the segments, or refused as theirs is. */
void journal_unstick(struct journal *journal);
/* From now on no group is reclaimed: a log was closed, or its directory failed, before its segments had all. */
void journal_keep(struct journal *journal);
void journal_destroy(struct journal *journal);  /* frees memory; the file stays */
/* Calls back when nothing of it is under way, perhaps at once; nothing is added after this. */
void journal_stop(struct journal *journal, void (*idle)(void *arg), void *arg);
enum err journal_remove(struct journal *journal) MUST_USE; /* blocking */

/* ---- store.c ---- */
void log_store_stop_step(struct log_store *store); /* something that the end of the store waited for is over */

/* ---- removal.c ---- */
/* due() runs after the delay, on the loop; when the store ends first, forget() does. */
void log_removal_start(struct log_store *store, struct log_removal *removal, int64_t delay_ms);
/* The same after a step that began then: so much later that the device has time for others. */
void log_removal_rest(struct log_store *store, struct log_removal *removal, uint64_t begun_ns);
/* Work that the end of the store waits for; done() says log_removal_worked(), last. */
void log_removal_offload(struct log_store *store, struct work *work);
void log_removal_worked(struct log_store *store);
void log_removals_forget(struct log_store *store);
/* Cuts a step's bytes from the end of a large file; false: it is not large, or something is wrong. Blocking. */
bool log_cut_file(struct fs *fs, const char *path);

/* ---- segment.c ---- */
struct segment *segment_create(struct log *log, int64_t base_offset);
void segment_pin(struct segment *segment);
void segment_unpin(struct segment *segment);
char *segment_path(const struct segment *segment, const char *suffix); /* mem_free() it */
/* Notes a batch that is appended at pos: timestamps and index entries. */
void segment_note_batch(struct segment *segment, const uint8_t *batch, int64_t pos, int32_t index_interval_bytes);
void segment_touch(struct segment *segment);    /* most recently used; closes others beyond the maximum */
void segment_close_files(struct segment *segment);
/* Position of the last index entry at or below the offset; 0 when there is none. *ret_last, unless NULL, becomes its offset,
 * the last of the batch there; it is left alone when there is none. */
int64_t segment_index_find(const struct segment *segment, int64_t offset, int64_t *ret_last);
/* Offset of the first index entry at or behind the position; else where the next segment begins, or the log's end. */
int64_t segment_index_upper(const struct segment *segment, int64_t pos);
bool segment_index_is_full(const struct segment *segment);
void segment_index_free(struct segment *segment);
/* Blocking, on any thread, on paths and copies alone: */
/* `suffix` comes behind the names: "" but for files that are to replace others. */
enum err segment_write_index_files(struct fs *fs, const char *path, int64_t base_offset, const char *suffix,
                                   const struct segment_index *index, int64_t max_timestamp, int64_t max_timestamp_offset,
                                   bool sync) MUST_USE;
enum err segment_write_txn_index(struct fs *fs, const char *path, int64_t base_offset, const char *suffix,
                                 const struct txn_index *index) MUST_USE;
enum err segment_read_index_files(struct fs *fs, const char *path, int64_t base_offset, int64_t size,
                                  struct segment_index *ret_index) MUST_USE;
void index_add(struct segment_index *index, uint32_t offset, uint32_t pos);
void index_add_time(struct segment_index *index, int64_t timestamp, uint32_t offset);
struct segment *log_last_segment(const struct log *log);
/* The segment that holds the offset, or would: the last with base <= offset. */
int log_find_segment(const struct log *log, int64_t offset);
void log_add_segment(struct log *log, struct segment *segment);
/* After a roll: the segment before is sealed once it is written. */
void segment_seal(struct segment *segment);

/* ---- close.c ---- */
void log_close_step(struct log *log);
/* Writes the leader-epoch-checkpoint. Blocking. */
enum err log_write_epochs_file(struct fs *fs, const char *path, struct slice text) MUST_USE;
/* Writes the .snapshot of the producer state at `offset`. Blocking. */
enum err log_write_snapshot_file(struct fs *fs, const char *path, int64_t offset, struct slice bytes, bool sync) MUST_USE;

/* ---- dir.c: blocking, on paths alone ---- */
/* Makes the directory and its partition.metadata, unless they are there; a directory of another topic is set aside, or
 * gives INCONSISTENT_TOPIC_ID. Nothing of it is durable before log_sync_names(). *ret_new: what was known of the partition
 * is of another directory. */
enum err log_make_dir(struct runtime *runtime, const char *path, struct uuid topic_id, bool set_aside, bool *ret_new) MUST_USE;
/* Makes the directory durable: its name, its partition.metadata and the names in it. */
enum err log_sync_names(struct fs *fs, const char *path) MUST_USE;
/* PATH.RANDOM-suffix; mem_free() it. */
char *log_dir_renamed(struct runtime *runtime, const char *path, const char *suffix);

/* ---- inventory.c ---- */
struct journal_entry { /* of an earlier run's journal; bytes borrowed from the inventory */
    int64_t base_offset;
    uint64_t order;
    struct slice bytes;
};
int inventory_journal_entries(const struct log_inventory *inventory, int dir, struct uuid topic_id, int32_t partition,
                              const struct journal_entry **ret_entries);

/* ---- journal format, shared by journal.c and journal_read.c ---- */
/* A group starts on a block of its own with its head, which goes on to the next block:
 *    0  8 bytes "MYELINJ2"            32  u64 oldest group still needed    48  u32 entries
 *    8  u64 number                    40  u32 size without padding         52  u32 CRC-32C of [0,52) and [56,head)
 *   16  16 bytes id of this journal   44  u32 size of the head             56  entries, each
 *       0  16 bytes topic id   16  i32 partition   20  u32 size   24  i64 base offset   32  u32 place   36  u32 CRC-32C
 *       of the first JOURNAL_PREFIX_SIZE bytes of each batch   40  the batches, padded to 8, when place is JOURNAL_INLINE
 * Large entries' batches lie in whole blocks after the head's, with what the segment has around them: place counts from
 * the first of these blocks. Their own CRCs stand for what lies behind their prefixes, and nobody reads them twice.
 * A group is valid when magic, id, CRC, and those of large entries are right. Groups from `oldest` of the newest valid one
 * up to it are replayed in order of number; a torn group can only be the newest and was never acknowledged. Big-endian.
 * "MYELINJ1", of earlier versions, is read too: 0 at 44, the head is all; entries of 32 bytes and the batches. */
#define JOURNAL_MAGIC "MYELINJ2"
#define JOURNAL_MAGIC_1 "MYELINJ1"
enum { JOURNAL_HEADER = 56, JOURNAL_ENTRY_HEADER = 40, JOURNAL_ENTRY_HEADER_1 = 32, JOURNAL_PREFIX_SIZE = BATCH_CRC_START };
#define JOURNAL_INLINE UINT32_MAX
#define JOURNAL_PREFIX "myelin-journal-"

#endif
