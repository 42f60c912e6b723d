/* Search by time: which record is the first at or after a timestamp, or has the largest. The segment is chosen on the
 * shard by the largest timestamps it knows; batches are walked on a pool thread, or in a copy of the tail. */
#include "base/check.h"
#include "base/trace.h"
#include "log/internal.h"
#include "log/look.h"
#include "log/scan.h"
#include "protocol/old_messages.h"

enum { SEARCH_MAX_TIMESTAMP = -3, PLAIN_SIZE_MAX = 1 << 30 };

struct time_scan {
    struct work work;
    struct log_time_search *search;
    struct log *log;
    struct segment *segment;
    struct fs *fs;
    char *path;
    int64_t segment_base;
    int64_t target;      /* timestamp */
    int64_t start_offset; /* records below do not count; -1: all do */
    bool exact;          /* the first record with exactly this batch maximum */
    int64_t from, end;   /* positions in the file */
    uint8_t *tail;       /* a copy of what the file lacks, from `end` on */
    size_t tail_size;
    struct compressor *compressor;
    enum err err;
    bool found;
    int64_t found_offset, found_timestamp;
    int32_t found_epoch;
};

static bool is_wanted(struct time_scan *scan, const struct record *record, int32_t epoch) {
    if (record->timestamp < scan->target || record->offset < scan->start_offset)
        return false;
    scan->found = true;
    scan->found_offset = record->offset;
    scan->found_timestamp = record->timestamp;
    scan->found_epoch = epoch;
    return true;
}

static enum err search_old(struct time_scan *scan, const uint8_t *message, size_t size) {
    struct old_messages messages = {0};
    struct record record;
    enum err err = old_messages_begin(&messages, slice_of(message, size), PLAIN_SIZE_MAX);
    while (!err && !(err = old_messages_next(&messages, &record)))
        if (is_wanted(scan, &record, -1))
            break;
    old_messages_deinit(&messages);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Looks into one batch whose maximum is large enough. */
static enum err search_batch(struct time_scan *scan, const uint8_t *batch, size_t size) {
    if (batch_magic(batch) != 2)
        return search_old(scan, batch, size);
    struct slice payload = slice_of(batch + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE);
    struct buf plain = {0};
    enum err err = ERR_OK;
    if (batch_codec(batch) != CODEC_NONE) {
        err = codec_decompress(scan->compressor, batch_codec(batch), payload, PLAIN_SIZE_MAX, &plain);
        payload = buf_slice(&plain);
    }
    struct record_iterator it;
    struct record record;
    if (!err) {
        record_iterator_init(&it, batch, payload);
        while (!(err = record_next(&it, &record)))
            if (is_wanted(scan, &record, batch_leader_epoch(batch)))
                break;
        if (err == ERR_NOT_FOUND)
            err = ERR_OK;
    }
    buf_deinit(&plain);
    return err;
}

static bool batch_matters(const struct time_scan *scan, const uint8_t *batch) {
    return any_max_timestamp(batch) >= scan->target && any_last_offset(batch) >= scan->start_offset;
}

static enum err search_memory(struct time_scan *time, const uint8_t *bytes, size_t size) {
    enum err err = ERR_OK;
    size_t at = 0;
    while (!err && !time->found && size > at) {
        err = look_check(slice_of(bytes + at, size - at)); /* the first may be from the file in part */
        if (err)
            break;
        if (batch_matters(time, bytes + at))
            err = search_batch(time, bytes + at, batch_size(bytes + at));
        at += batch_size(bytes + at);
    }
    return err;
}

/* Walks the file; a batch that begins in it and ends in the tail is put together. */
static enum err search_file(struct time_scan *time) {
    struct file *file;
    enum err err = fs_open(time->fs, time->path, FILE_READ, &file);
    if (err)
        return err;
    struct segment_scan scan;
    segment_scan_init(&scan, file, time->from, time->end);
    int64_t floor = time->segment_base;
    while (!time->found && !(err = segment_scan_next(&scan))) {
        if (batch_matters(time, scan.batch))
            err = search_batch(time, scan.batch, scan.batch_size);
        if (!err && any_last_offset(scan.batch) < floor)
            err = ERR_CORRUPT; /* no checksum covers a base offset */
        if (err)
            break;
        floor = any_last_offset(scan.batch) + 1;
    }
    if (err == ERR_CORRUPT)
        trace_error("log", "bad batch", TRACE_STR("file", time->path), TRACE_INT("position", scan.pos), TRACE_INT("offset", floor), TRACE_ERR(err));
    if (err == ERR_TRUNCATED || err == ERR_NOT_FOUND) {
        size_t rest = (size_t)(time->end - scan.pos), count = 0;
        uint8_t *bytes = mem_try_alloc(rest + time->tail_size + 1);
        err = bytes ? file_pread(file, bytes, rest, scan.pos, 0, &count) : ERR_NO_MEMORY;
        if (!err && count == rest) {
            if (time->tail_size)
                memcpy(bytes + rest, time->tail, time->tail_size);
            err = search_memory(time, bytes, rest + time->tail_size);
        }
        mem_free(bytes);
    }
    segment_scan_deinit(&scan);
    file_unref(file);
    return err;
}

static void search_run(struct work *work) {
    struct time_scan *time = container_of(work, struct time_scan, work);
    if (time->err)
        return;
    time->compressor = compressor_create();
    time->err = time->end > time->from ? search_file(time) : search_memory(time, time->tail, time->tail_size);
    compressor_destroy(time->compressor);
}

static void search_done(struct shard *shard, struct work *work) {
    (void)shard;
    struct time_scan *time = container_of(work, struct time_scan, work);
    struct log_time_search *search = time->search;
    struct log *log = time->log;
    search->err = time->err;
    if (time->found) {
        search->found_offset = time->found_offset;
        search->found_timestamp = time->found_timestamp;
        search->found_epoch = time->found_epoch;
    }
    time->segment->file_works--;
    segment_unpin(time->segment);
    mem_free(time->tail);
    mem_free(time->path);
    mem_free(time);
    log_work_done(log);
    search->done(search);
}

static int64_t largest(const struct segment *segment) {
    return segment->max_timestamp >= 0 ? segment->max_timestamp : segment->size ? segment->created_ms : -1;
}

static struct segment *choose(const struct log *log, int64_t timestamp, int64_t *ret_target) {
    struct segment *best = NULL;
    for (int i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        if (!segment->size)
            continue;
        if (timestamp >= 0 && largest(segment) >= timestamp) {
            *ret_target = timestamp;
            return segment;
        }
        if (timestamp == SEARCH_MAX_TIMESTAMP && (!best || largest(segment) > largest(best)))
            best = segment;
    }
    if (best)
        *ret_target = best->max_timestamp;
    return best;
}

static void search_resume(struct log_held *held) {
    log_time_search(container_of(held, struct log_time_search, held));
}

void log_time_search(struct log_time_search *search) {
    struct log *log = search->log;
    if (log_rename_holds(log, &search->held, search_resume))
        return;
    search->err = log->state == ERR_OFFLINE ? ERR_OFFLINE : ERR_OK;
    search->found_offset = search->found_timestamp = search->found_epoch = -1;
    int64_t target = 0;
    struct segment *segment = search->err ? NULL : choose(log, search->timestamp, &target);
    if (segment && compaction_holds(segment, &search->held, search_resume))
        return;
    struct time_scan *time = mem_new(struct time_scan);
    time->search = search;
    time->log = log;
    time->fs = log->store->fs;
    time->segment = segment ? segment : log_last_segment(log);
    time->path = segment_path(time->segment, ".log");
    time->segment_base = time->segment->base_offset;
    time->target = target;
    time->start_offset = search->timestamp >= 0 ? log->start : -1;
    if (segment) {
        int64_t written = segment->written;
        if (segment->index_loaded && search->timestamp >= 0) {
            const struct segment_index *index = &segment->index;
            int64_t offset = segment->base_offset;
            for (uint32_t i = 0; i < index->time_count && index->times[i].timestamp <= target; i++)
                offset = segment->base_offset + index->times[i].offset;
            if (offset < log->start)
                offset = log->start;
            time->from = segment_index_find(segment, offset - 1, NULL);
        }
        time->end = written > time->from ? written : time->from;
        if (time->end < segment->size) {
            time->tail_size = (size_t)(segment->size - time->end);
            time->tail = mem_try_alloc(time->tail_size);
            if (!time->tail)
                time->err = ERR_NO_MEMORY;
            else
                check(tail_copy(log, segment, time->end, time->tail, time->tail_size), "%s: a hole before the tail", log->path);
        }
    }
    segment_pin(time->segment);
    time->segment->file_works++;
    log->reads++;
    time->work = (struct work){.run = search_run, .done = search_done};
    shard_offload(log->store->shard, &time->work);
}
