/* Inside src/log: one write of a run of tail blocks to their segment, which flush.c makes, and ends. It goes to the device in
 * one of two ways: by itself, direct and flushed (flush.c), or in a bundle with small writes of other logs (bundle.c).
 * A log has at most one under way; it pins its segment and its blocks. */
#ifndef LOG_SEGMENT_WRITE_H
#define LOG_SEGMENT_WRITE_H

#include "log/internal.h"

enum { WRITE_BLOCKS_MAX = 8 };

struct segment_write {
    struct file_io io;
    struct work open_work;
    struct log *log;
    struct log_store *store;
    struct segment *segment;
    struct tail_block *blocks[WRITE_BLOCKS_MAX]; /* referenced */
    struct file_piece pieces[WRITE_BLOCKS_MAX];
    int block_count;
    int64_t from, end;               /* bytes of the segment that it makes whole */
    int64_t end_offset, end_pos;     /* the last batch that ends in it; end_pos 0: none does */
    uint64_t end_total;
    bool behind;                     /* nobody waits for it */
    uint64_t started_ns;
    char *path, *dir_path;           /* for the open */
    bool create, preallocate, sync_names;
    int64_t preallocate_bytes;
    struct file *file, *direct;      /* opened for it; in a bundle file alone, for writes */
    uint8_t *front;                  /* read before the first block can be written direct */
    size_t front_size;
    int64_t front_pos;
    enum err err;
};

/* ---- flush.c ---- */
/* The log learns of the end of its write, which is freed. */
void flush_write_ended(struct segment_write *write, enum err err);
/* After one or more of these: what waited for memory, or for room in a journal, goes on. */
void flush_writes_ended(struct log_store *store);

/* ---- bundle.c ---- */
bool bundle_pays(const struct log_store *store, int dir); /* false: writes had better go by themselves */
bool bundle_has_room(const struct log_store *store, int dir);
void bundle_add(struct segment_write *write);
void bundle_submit(struct log_store *store, int dir); /* sends what was added, when no bundle is in flight */

#endif
