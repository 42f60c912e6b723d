/* Walking the batches of a segment file from the front: for recovery, searches and checks. Blocking, on any thread. */
#ifndef LOG_SCAN_H
#define LOG_SCAN_H

#include "protocol/batch.h"
#include "runtime/runtime.h"

struct segment_scan {
    struct file *file;
    int64_t pos, end;    /* next batch; where the bytes end */
    bool headers_only;   /* batch points to BATCH_HEADER_SIZE bytes (old formats: what is there) and no CRC is checked */
    size_t buffer_bytes; /* of a read; 0: 256 KiB */
    /* the batch found */
    int64_t batch_pos;
    const uint8_t *batch;
    size_t batch_size;
    size_t bad_size;     /* after CORRUPT: of the batch at pos that is wrong inside a plausible frame; 0: none is there */
    /* private */
    uint8_t *memory;
    size_t capacity, filled;
    int64_t memory_pos;
};
void segment_scan_init(struct segment_scan *scan, struct file *file, int64_t pos, int64_t end);
/* ERR_NOT_FOUND at the end. ERR_TRUNCATED: the bytes end inside a batch; ERR_CORRUPT: they are no batch (also zeros);
 * scan->pos is where that is. */
enum err segment_scan_next(struct segment_scan *scan) MUST_USE;
void segment_scan_deinit(struct segment_scan *scan);

#endif
