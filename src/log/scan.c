#include "log/scan.h"

#include "base/mem.h"
#include "log/look.h"

enum { SCAN_BUFFER = 256 << 10 };

void segment_scan_init(struct segment_scan *scan, struct file *file, int64_t pos, int64_t end) {
    *scan = (struct segment_scan){.file = file, .pos = pos, .end = end};
}

void segment_scan_deinit(struct segment_scan *scan) {
    mem_free(scan->memory);
    scan->memory = NULL;
}

/* Makes `size` bytes at scan->pos be in memory; they are in the file. */
static enum err scan_fill(struct segment_scan *scan, size_t size) {
    int64_t have_end = scan->memory_pos + (int64_t)scan->filled;
    if (scan->memory && scan->pos >= scan->memory_pos && scan->pos + (int64_t)size <= have_end)
        return ERR_OK;
    size_t buffer = scan->buffer_bytes ? scan->buffer_bytes : SCAN_BUFFER;
    size_t wanted = size > buffer ? size : buffer;
    if ((int64_t)wanted > scan->end - scan->pos)
        wanted = (size_t)(scan->end - scan->pos);
    if (scan->headers_only && size <= BATCH_HEADER_SIZE && wanted > FILE_DIRECT_ALIGN)
        wanted = FILE_DIRECT_ALIGN; /* headers lie far apart when batches are large */
    if (wanted > scan->capacity) {
        uint8_t *memory = mem_try_realloc(scan->memory, wanted);
        if (!memory)
            return ERR_NO_MEMORY;
        scan->memory = memory;
        scan->capacity = wanted;
    }
    size_t count;
    enum err err = file_pread(scan->file, scan->memory, wanted, scan->pos, 0, &count);
    if (err)
        return err;
    scan->memory_pos = scan->pos;
    scan->filled = count;
    return count >= size ? ERR_OK : ERR_TRUNCATED;
}

enum err segment_scan_next(struct segment_scan *scan) {
    int64_t left = scan->end - scan->pos;
    scan->bad_size = 0;
    if (left <= 0)
        return ERR_NOT_FOUND;
    size_t header = left < BATCH_HEADER_SIZE ? (size_t)left : BATCH_HEADER_SIZE;
    if (left < BATCH_PREFIX_SIZE + BATCH_LENGTH_MIN)
        return ERR_TRUNCATED;
    enum err err = scan_fill(scan, header);
    if (err)
        return err;
    const uint8_t *batch = scan->memory + (scan->pos - scan->memory_pos);
    if (!look_header(batch))
        return ERR_CORRUPT;
    size_t size = batch_size(batch);
    if ((int64_t)size > left)
        return ERR_TRUNCATED;
    if (!scan->headers_only) {
        err = scan_fill(scan, size);
        if (err)
            return err;
        batch = scan->memory + (scan->pos - scan->memory_pos);
        err = batch_check(slice_of(batch, size));
        if (err && err != ERR_UNSUPPORTED) {
            scan->bad_size = size;
            return ERR_CORRUPT;
        }
    }
    scan->batch = batch;
    scan->batch_pos = scan->pos;
    scan->batch_size = size;
    scan->pos += (int64_t)size;
    return ERR_OK;
}
