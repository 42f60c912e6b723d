/* Reading: from an offset to pieces of memory and ranges of files.
 *
 * Where the index and the bytes are at hand (tail, page cache) the answer is given at once: tail blocks as memory,
 * older bytes as a range for sendfile. What may touch the device is done on a pool thread, into memory of the read. */
#include "base/trace.h"
#include "log/internal.h"
#include "log/scan.h"

/* Reads a batch header at pos: from the tail, or from the page cache. AGAIN: not at hand. */
static enum err header_at(const struct log *log, const struct segment *segment, int64_t pos, uint8_t *header) {
    if (tail_copy(log, segment, pos, header, BATCH_HEADER_SIZE))
        return ERR_OK;
    if (!segment->file)
        return ERR_AGAIN;
    size_t count;
    enum err err = file_pread(segment->file, header, BATCH_HEADER_SIZE, pos, FILE_NOWAIT, &count);
    return err ? err : count == BATCH_HEADER_SIZE ? ERR_OK : ERR_AGAIN;
}

/* Position of the first batch in [0, end) whose last offset is >= offset; end when there is none. */
static enum err locate(const struct log_read *read, int64_t offset, int64_t end, int64_t *ret_pos, int64_t *ret_size) {
    const struct log *log = read->log;
    const struct segment *segment = read->segment;
    int64_t pos = segment_index_find(segment, offset - 1);
    if (read->searched_base == segment->base_offset && pos < read->searched_to)
        pos = read->searched_to;
    uint8_t header[BATCH_HEADER_SIZE];
    *ret_size = 0;
    while (pos < end) {
        enum err err = header_at(log, segment, pos, header);
        if (err)
            return err;
        if (batch_length(header) < BATCH_LENGTH_MIN || pos + (int64_t)batch_size(header) > end)
            return ERR_AGAIN; /* no batch: who reads the device tells */
        if (any_last_offset(header) >= offset) {
            *ret_size = (int64_t)batch_size(header);
            break;
        }
        pos += (int64_t)batch_size(header);
    }
    *ret_pos = pos;
    return ERR_OK;
}

/* Bytes of the segment that may be shown. */
static int64_t shown_size(const struct log *log, const struct segment *segment) {
    if (segment == log->durable_segment)
        return log->durable_pos;
    return segment->base_offset < log->durable_segment->base_offset ? segment->size : 0;
}

static bool range_is_cached(struct file *file, int64_t pos, int64_t size) {
    uint8_t byte;
    size_t count;
    int64_t probes[3] = {pos, pos + size / 2, pos + size - 1};
    for (int i = 0; i < 3; i++)
        if (file_pread(file, &byte, 1, probes[i], FILE_NOWAIT, &count) || count != 1)
            return false;
    return true;
}

static void add_piece(struct log_read *read, struct piece piece, void *hold) {
    read->holds[read->piece_count] = hold;
    read->pieces[read->piece_count++] = piece;
    read->size += piece.size;
}

/* Adds the tail's bytes [pos, end), as far as there is room for pieces. */
static void add_tail(struct log_read *read, int64_t pos, int64_t end) {
    list_each(node, &read->log->blocks) {
        struct tail_block *block = container_of(node, struct tail_block, node);
        if (block->segment != read->segment || pos >= end || read->piece_count == LOG_READ_PIECES)
            continue;
        int64_t block_end = block->pos + block->size;
        if (pos < block->pos + block->start || pos >= block_end)
            continue;
        int64_t size = (end < block_end ? end : block_end) - pos;
        block->refs++;
        add_piece(read, (struct piece){.ptr = block->memory + (pos - block->pos), .size = (size_t)size}, block);
        pos += size;
    }
}

/* The read keeps memory of its own until it is released. */
static void take_memory(struct log_read *read, uint8_t *memory, size_t size) {
    read->memory = memory;
    read->memory_size = size;
    read->log->store->read_bytes += size;
    add_piece(read, (struct piece){.ptr = memory, .size = size}, NULL);
}

static enum err make_contiguous(struct log_read *read) {
    if (!read->contiguous || (read->piece_count == 1 && read->pieces[0].ptr))
        return ERR_OK;
    uint8_t *memory = mem_try_alloc(read->size ? read->size : 1);
    if (!memory)
        return ERR_NO_MEMORY;
    size_t at = 0;
    for (int i = 0; i < read->piece_count; i++) {
        const struct piece *piece = &read->pieces[i];
        size_t count = piece->size;
        enum err err = ERR_OK;
        if (piece->ptr)
            memcpy(memory + at, piece->ptr, piece->size);
        else
            err = file_pread(piece->file, memory + at, piece->size, piece->pos, FILE_NOWAIT, &count);
        if (err || count != piece->size) {
            mem_free(memory);
            return err ? err : ERR_AGAIN;
        }
        at += piece->size;
    }
    size_t size = read->size;
    log_read_release(read);
    take_memory(read, memory, size);
    return ERR_OK;
}

/* The first batch lies in more tail blocks than there are pieces: it is copied, for readers get it whole. */
static enum err gather(struct log_read *read, size_t size) {
    uint8_t *memory = mem_try_alloc(size);
    if (!memory)
        return ERR_NO_MEMORY;
    size_t at = 0;
    enum err err = ERR_OK;
    if (read->pieces[0].file) {
        err = file_pread(read->pieces[0].file, memory, read->pieces[0].size, read->pos, FILE_NOWAIT, &at);
        if (!err && at != read->pieces[0].size)
            err = ERR_AGAIN;
    }
    if (!err && !tail_copy(read->log, read->segment, read->pos + (int64_t)at, memory + at, size - at))
        err = ERR_AGAIN;
    if (err) {
        mem_free(memory);
        return err;
    }
    log_read_release(read);
    take_memory(read, memory, size);
    return ERR_OK;
}

/* Of what an earlier run left, each byte is read once with a look at its checksum before it is sent from the page cache. */
static bool is_checked(const struct segment *segment, int64_t pos, int64_t size) {
    return !segment->damaged && (pos >= segment->unchecked_to || pos + size <= segment->unchecked_from);
}

static void note_checked(struct segment *segment, int64_t pos, int64_t size) {
    if (pos <= segment->unchecked_from && pos + size > segment->unchecked_from)
        segment->unchecked_from = pos + size;
    else if (pos < segment->unchecked_to && pos + size >= segment->unchecked_to)
        segment->unchecked_to = pos;
}

/* AGAIN: something is not at hand. */
static enum err read_now(struct log_read *read) {
    struct log *log = read->log;
    struct segment *segment = read->segment;
    if (!segment->index_loaded)
        return ERR_AGAIN;
    int64_t end = shown_size(log, segment), pos, batch, unused;
    enum err err = ERR_OK;
    if (read->bound < log->durable_end && read->bound <= (segment == log_last_segment(log) ? log->end : INT64_MAX)) {
        int64_t bound_pos;
        err = locate(read, read->bound, end, &bound_pos, &unused);
        if (err)
            return err;
        end = bound_pos;
    }
    err = locate(read, read->offset, end, &pos, &batch);
    if (err)
        return err;
    read->first_batch_size = pos < end ? batch : 0;
    int64_t size = end - pos;
    if (size > read->bytes_max)
        size = read->whole_first_batch && batch > read->bytes_max ? batch : read->bytes_max;
    if (size < batch && !read->whole_first_batch)
        size = 0; /* not even one batch */
    if (size <= 0)
        return ERR_OK;
    read->pos = pos;
    read->limit_pos = pos + size;
    read->upper_offset = segment_index_upper(segment, pos + size);
    int64_t tail = tail_start(log, segment);
    int64_t file_size = (tail < pos + size ? tail : pos + size) - pos;
    if (file_size > 0) {
        if (!segment->file || !is_checked(segment, pos, file_size) || !range_is_cached(segment->file, pos, file_size))
            return ERR_AGAIN;
        segment_touch(segment);
        add_piece(read, (struct piece){.file = file_ref(segment->file), .pos = pos, .size = (size_t)file_size}, NULL);
    }
    add_tail(read, file_size > 0 ? tail : pos, pos + size);
    int64_t least = size < batch ? size : batch;
    if ((int64_t)read->size < least)
        return gather(read, (size_t)least);
    return make_contiguous(read);
}

/* ---- off the loop ---------------------------------------------------------------------------------------------------- */

struct slow_read {
    struct log_read *read;
    struct log *log;
    struct fs *fs;
    char *dir_path, *path;
    int64_t base_offset, segment_size, written;
    bool load_index;
    struct segment_index index;
    struct file *file; /* given, or opened here */
    bool opened;
    int64_t offset, bound, bytes_max, start_pos, end;
    bool whole_first_batch;
    bool goes_on; /* in the tail: the last batch may be there in part */
    bool damaged;
    size_t reserved; /* of the store's read_bytes, while it is under way */
    /* found */
    int64_t pos, first_batch_size;
    uint8_t *memory;
    size_t size, checked; /* checked: of the first batches, that are whole */
    enum err err;
};

static int64_t slow_index_find(const struct segment_index *index, int64_t base, int64_t offset) {
    struct segment segment = {.base_offset = base, .index = *index};
    return segment_index_find(&segment, offset);
}

static enum err slow_locate(struct slow_read *slow, int64_t from, int64_t offset, int64_t end, int64_t *ret_pos, int64_t *ret_size) {
    struct segment_scan scan;
    segment_scan_init(&scan, slow->file, from, end);
    scan.headers_only = true;
    enum err err;
    *ret_size = 0;
    *ret_pos = end;
    while (!(err = segment_scan_next(&scan)))
        if (any_last_offset(scan.batch) >= offset) {
            *ret_pos = scan.batch_pos;
            *ret_size = (int64_t)scan.batch_size;
            break;
        }
    if (err == ERR_TRUNCATED && slow->goes_on) {
        err = ERR_OK;
        *ret_pos = scan.pos;
    } else if (err == ERR_TRUNCATED || err == ERR_CORRUPT) {
        trace_error("log", "bad batch", TRACE_STR("file", slow->path), TRACE_INT("position", scan.pos), TRACE_ERR(err));
        slow->damaged = true;
        err = ERR_CORRUPT;
    }
    segment_scan_deinit(&scan);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* What comes from the device is looked at once: nothing from a batch with a wrong checksum on is shown. */
static enum err slow_verify(struct slow_read *slow) {
    for (size_t at = 0; slow->size - at >= BATCH_HEADER_SIZE; slow->checked = at) {
        if (batch_magic(slow->memory + at) != 2) { /* their checksums are the reader's affair */
            slow->checked = slow->size;
            break;
        }
        struct slice rest = slice_of(slow->memory + at, slow->size - at);
        enum err err = batch_check(rest);
        if (err == ERR_TRUNCATED)
            break;
        if (err) {
            trace_error("log", "bad batch", TRACE_STR("file", slow->path), TRACE_INT("position", slow->pos + (int64_t)at),
                        TRACE_INT("offset", batch_base_offset(rest.ptr)), TRACE_ERR(err));
            slow->size = at;
            slow->damaged = true;
            return at ? ERR_OK : ERR_CORRUPT;
        }
        at += batch_size(rest.ptr);
    }
    return ERR_OK;
}

static enum err slow_work(struct slow_read *slow) {
    enum err err = ERR_OK;
    if (!slow->file) {
        err = fs_open(slow->fs, slow->path, FILE_READ, &slow->file);
        if (err)
            return err;
        slow->opened = true;
    }
    if (slow->load_index) {
        err = segment_read_index_files(slow->fs, slow->dir_path, slow->base_offset, slow->segment_size, &slow->index);
        if (err == ERR_NOT_FOUND || err == ERR_CORRUPT)
            err = ERR_OK; /* then the segment is walked from its front */
        if (err)
            return err;
        slow->start_pos = slow_index_find(&slow->index, slow->base_offset, slow->offset - 1);
    }
    int64_t end = slow->end, unused, batch;
    if (slow->bound < INT64_MAX) {
        err = slow_locate(slow, slow->start_pos, slow->bound, end, &end, &unused);
        if (err)
            return err;
    }
    err = slow_locate(slow, slow->start_pos, slow->offset, end, &slow->pos, &batch);
    if (err)
        return err;
    slow->first_batch_size = batch;
    int64_t size = end - slow->pos;
    if (size > slow->bytes_max)
        size = slow->whole_first_batch && batch > slow->bytes_max ? batch : slow->bytes_max;
    if (size < batch && !slow->whole_first_batch)
        size = 0;
    if (size <= 0)
        return ERR_OK;
    slow->memory = mem_try_alloc((size_t)size);
    if (!slow->memory)
        return ERR_NO_MEMORY;
    err = file_pread(slow->file, slow->memory, (size_t)size, slow->pos, 0, &slow->size);
    return err ? err : slow_verify(slow);
}

static void slow_run(struct work *work) {
    struct log_read *read = container_of(work, struct log_read, work);
    struct slow_read *slow = read->holds[0];
    slow->err = slow_work(slow);
}

static bool read_from(struct log_read *read, int at);

/* The file has nothing of what is read. On in the tail, where the file did not have all; else the rest of the segment is a
 * gap, as compaction leaves them: on to the next. True: nothing more is to be done. */
static bool read_on(struct log_read *read, int64_t base_offset, bool in_tail) {
    const struct log *log = read->log;
    if (read->offset < log->start) {
        read->err = ERR_OFFSET_OUT_OF_RANGE;
        return true;
    }
    int at = log_find_segment(log, base_offset);
    while (at < log->segment_count && (in_tail ? log->segments[at]->base_offset < base_offset : log->segments[at]->base_offset <= base_offset))
        at++;
    if (log->state == ERR_OFFLINE || at == log->segment_count || log->segments[at]->base_offset >= read->bound)
        return true;
    return read_from(read, at);
}

static void slow_done(struct shard *shard, struct work *work) {
    (void)shard;
    struct log_read *read = container_of(work, struct log_read, work);
    struct slow_read *slow = read->holds[0];
    struct segment *segment = read->segment;
    struct log *log = read->log;
    read->holds[0] = NULL;
    read->err = slow->err;
    log->store->read_bytes -= slow->reserved;
    segment->damaged = segment->damaged || slow->damaged;
    if (!slow->err)
        note_checked(segment, slow->pos, (int64_t)slow->checked);
    if (slow->load_index && !slow->err && !segment->index_loaded && !segment->removed) {
        segment->index = slow->index;
        segment->index_loaded = true;
        slow->index = (struct segment_index){0};
    }
    mem_free(slow->index.entries);
    mem_free(slow->index.times);
    if (slow->opened && !segment->file && !segment->removed) {
        segment->file = slow->file;
        slow->file = NULL;
        segment_touch(segment);
    }
    file_unref(slow->file);
    read->first_batch_size = slow->first_batch_size;
    if (!segment->removed)
        read->upper_offset = segment_index_upper(segment, slow->pos + (int64_t)slow->size);
    if (!slow->err && slow->size) {
        take_memory(read, slow->memory, slow->size);
    } else {
        mem_free(slow->memory);
    }
    int64_t base_offset = segment->base_offset;
    bool nothing = !read->err && !read->first_batch_size, in_tail = slow->goes_on;
    if (nothing && in_tail) {
        read->searched_base = base_offset;
        read->searched_to = slow->end;
    }
    bool on = nothing && (in_tail || segment != log->durable_segment);
    mem_free(slow->path);
    mem_free(slow->dir_path);
    mem_free(slow);
    segment->file_works--;
    segment_unpin(segment);
    bool done = !on || read_on(read, base_offset, in_tail); /* while the log may not close yet */
    log_work_done(log);
    if (done)
        read->done(read);
}

/* Once more from the front: the segment may be another now. */
static void read_resume(struct log_held *held) {
    struct log_read *read = container_of(held, struct log_read, held);
    if (log_read(read))
        read->done(read);
}

static bool read_later(struct log_read *read) {
    struct log *log = read->log;
    if (log_rename_holds(log, &read->held, read_resume) || compaction_holds(read->segment, &read->held, read_resume))
        return false;
    struct segment *segment = read->segment;
    struct slow_read *slow = mem_new(struct slow_read);
    slow->read = read;
    slow->log = log;
    slow->fs = log->store->fs;
    slow->dir_path = mem_strdup(log->path);
    slow->path = segment_path(segment, ".log");
    slow->base_offset = segment->base_offset;
    slow->segment_size = segment->size;
    slow->load_index = !segment->index_loaded;
    slow->file = segment->file ? file_ref(segment->file) : NULL;
    slow->offset = read->offset;
    slow->bound = read->bound < log->durable_end ? read->bound : INT64_MAX;
    slow->bytes_max = read->bytes_max;
    slow->whole_first_batch = read->whole_first_batch;
    slow->start_pos = segment->index_loaded ? segment_index_find(segment, read->offset - 1) : 0;
    int64_t shown = shown_size(log, segment);
    slow->end = shown < segment->written ? shown : segment->written;
    slow->goes_on = shown > segment->written;
    int64_t most = slow->end - slow->start_pos;
    slow->reserved = most <= 0 ? 0 : (size_t)(most < slow->bytes_max ? most : slow->bytes_max);
    log->store->read_bytes += slow->reserved;
    read->holds[0] = slow;
    segment_pin(segment);
    segment->file_works++;
    log->reads++;
    read->work = (struct work){.run = slow_run, .done = slow_done};
    shard_offload(log->store->shard, &read->work);
    return false;
}

/* Peers that read their answers slowly keep what they asked for. Together they get half of what the tails may have; then
 * answers become small, until they are taken. */
static int64_t bytes_allowed(const struct log_store *store) {
    size_t budget = store->options.tail_bytes_max / 2;
    return READ_BYTES_MIN + (store->read_bytes < budget ? (int64_t)(budget - store->read_bytes) : 0);
}

bool log_read(struct log_read *read) {
    struct log *log = read->log;
    read->store = log->store;
    if (!read->contiguous && read->bytes_max > bytes_allowed(log->store))
        read->bytes_max = bytes_allowed(log->store);
    read->err = ERR_OK;
    read->piece_count = 0;
    read->size = 0;
    read->first_batch_size = 0;
    read->upper_offset = log->end;
    read->memory = NULL;
    read->searched_base = -1;
    if (log->state == ERR_OFFLINE) {
        read->err = ERR_OFFLINE;
        return true;
    }
    if (read->offset < log->start || read->offset > log->end) {
        read->err = ERR_OFFSET_OUT_OF_RANGE;
        return true;
    }
    if (read->offset >= read->bound || read->offset >= log->durable_end)
        return true;
    return read_from(read, log_find_segment(log, read->offset));
}

static bool read_from(struct log_read *read, int at) {
    struct log *log = read->log;
    for (; at < log->segment_count; at++) {
        read->segment = log->segments[at];
        enum err err = read_now(read);
        if (err == ERR_AGAIN) {
            log_read_release(read);
            return read_later(read);
        }
        read->err = err;
        if (err || read->first_batch_size || read->segment == log->durable_segment)
            break; /* else the rest of the segment is a gap: on to the next */
    }
    return true;
}

void log_read_release(struct log_read *read) {
    for (int i = 0; i < read->piece_count; i++) {
        if (read->pieces[i].file)
            file_unref(read->pieces[i].file);
        else if (read->holds[i])
            tail_block_unref(read->store, read->holds[i]);
        read->holds[i] = NULL;
    }
    if (read->memory)
        read->store->read_bytes -= read->memory_size;
    mem_free(read->memory);
    read->memory = NULL;
    read->piece_count = 0;
    read->size = 0;
}

/* ---- aborted transactions, sizes ----------------------------------------------------------------------------------- */

int log_aborted(struct log *log, int64_t offset, int64_t end, struct arena *arena, struct log_aborted **ret_aborted) {
    int count = 0, capacity = 0;
    struct log_aborted *found = NULL;
    for (int at = log_find_segment(log, offset); at < log->segment_count; at++) {
        const struct txn_index *index = &log->segments[at]->aborted; /* in order of last_offset */
        int i = 0, high = index->count;
        while (i < high) {
            int middle = (i + high) / 2;
            if (index->entries[middle].last_offset < offset)
                i = middle + 1;
            else
                high = middle;
        }
        for (; i < index->count; i++) {
            const struct aborted_txn *aborted = &index->entries[i];
            if (aborted->last_offset >= offset && aborted->first_offset < end) {
                if (count == capacity) {
                    struct log_aborted *more = arena_array(arena, struct log_aborted, capacity ? capacity * 2 : 8);
                    if (count)
                        memcpy(more, found, sizeof *found * (size_t)count);
                    found = more;
                    capacity = capacity ? capacity * 2 : 8;
                }
                found[count++] = (struct log_aborted){aborted->producer_id, aborted->first_offset};
            }
            if (aborted->last_stable_offset >= end)
                goto out;
        }
    }
out:
    *ret_aborted = found;
    return count;
}

int64_t log_bytes_between(const struct log *log, int64_t from, int64_t to) {
    if (to <= from)
        return 0;
    int first = log_find_segment(log, from), last = log_find_segment(log, to - 1);
    int64_t bytes = -segment_index_find(log->segments[first], from - 1);
    for (int i = first; i < last; i++)
        bytes += log->segments[i]->size;
    const struct segment *segment = log->segments[last];
    bytes += to >= log->durable_end && segment == log->durable_segment ? log->durable_pos : segment_index_find(segment, to);
    return bytes > 0 ? bytes : 1;
}
