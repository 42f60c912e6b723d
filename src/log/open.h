/* Opening a log, in several files: what they have between themselves. See open.c for the steps. Blocking, on a pool thread, on
 * a struct of their own. */
#ifndef LOG_OPEN_H
#define LOG_OPEN_H

#include "log/internal.h"

struct loaded_segment {
    int64_t base_offset, size, mtime_ms;
    int64_t max_timestamp, max_timestamp_offset, first_timestamp;
    int64_t end_offset; /* after its last batch; known for scanned ones */
    uint32_t bytes_since_index;
    struct segment_index index;
    bool index_loaded, sealed;
    struct txn_index aborted;
};

struct load {
    struct work work;
    struct log_store *store;
    struct fs *fs;
    struct log_open_options options;
    char *topic, *path;
    bool clean;
    struct inventory_checkpoint checkpoint;
    struct loaded_segment *segments;
    int count, capacity;
    int64_t *snapshots; /* offsets, ascending */
    int snapshot_count, snapshot_capacity;
    int first_recovered; /* segments from here on were read whole, their transaction indexes are made anew */
    bool has_txn_indexes;
    int64_t start, end;
    struct producers producers;
    struct epochs epochs;
    bool names_durable;
    struct buf epochs_file; /* what the checkpoint holds */
    bool epochs_dirty;
    void (*done)(struct log *log, enum err err, void *user);
    enum err err;
};

/* ---- open.c ---- */
enum err load_unlink(struct load *load, int64_t offset, const char *suffix) MUST_USE; /* OK when it is not there */
enum err load_remove_segment(struct load *load, int64_t base_offset) MUST_USE;        /* its files */

/* ---- open_segments.c ---- */
enum err load_open_segment(struct load *load, int64_t base_offset, int flags, struct file **ret_file) MUST_USE;
/* A batch at `pos` of the segment: times, index entries, epochs, and where it ends. */
void load_note_batch(struct load *load, struct loaded_segment *segment, const uint8_t *batch, int64_t pos, size_t size);
/* Step 2. Segments behind one that was cut are gone. */
enum err load_segments(struct load *load) MUST_USE;

/* ---- open_producers.c ---- */
/* Step 4, when the log's start and end are known. Writes transaction indexes that are made anew. */
enum err load_producers(struct load *load) MUST_USE;

#endif
