/* Reading: from an offset to pieces of memory and ranges of files.
 *
 * Where the index and the bytes are at hand (tail, page cache) the answer is given at once: tail blocks where they lie, older
 * bytes copied to memory of the read. What may touch the device, or is much, is done on a pool thread.
 *
 * Whatever comes out of a file has its checksums looked at each time. To look once would not do: nobody is told when the page
 * cache lets a page go and gets it from the device again, or reads ahead of what was asked for. And to look and let sendfile
 * send it would be to look at one thing and send another. Bytes of the tail never left memory since they were validated. */
#include "base/trace.h"
#include "log/internal.h"
#include "log/look.h"
#include "log/scan.h"

static void tell_bad(const char *path, int64_t pos, int64_t offset) {
    trace_error("log", "bad batch", TRACE_STR("file", path), TRACE_INT("position", pos), TRACE_INT("offset", offset), TRACE_ERR(ERR_CORRUPT));
}

static void tell_bad_in(const struct segment *segment, int64_t pos, int64_t offset) {
    char *path = segment_path(segment, ".log");
    tell_bad(path, pos, offset);
    mem_free(path);
}

/* Reads a batch header at pos: from the tail, from the page cache, or its begin from there. AGAIN: not at hand. */
static enum err header_at(const struct log *log, const struct segment *segment, int64_t pos, uint8_t *header) {
    if (tail_copy(log, segment, pos, header, BATCH_HEADER_SIZE))
        return ERR_OK;
    if (!segment->file)
        return ERR_AGAIN;
    int64_t tail = tail_start(log, segment);
    size_t count, wanted = tail > pos && tail - pos < BATCH_HEADER_SIZE ? (size_t)(tail - pos) : BATCH_HEADER_SIZE;
    enum err err = file_pread(segment->file, header, wanted, pos, FILE_NOWAIT, &count);
    if (err)
        return err;
    bool all = count == wanted && (wanted == BATCH_HEADER_SIZE || tail_copy(log, segment, tail, header + wanted, BATCH_HEADER_SIZE - wanted));
    return all ? ERR_OK : ERR_AGAIN;
}

/* Where a search begins: an entry of the index, or the front of the segment. */
struct start {
    int64_t pos;
    int64_t last; /* the batch there ends with this offset, or before it; -1: not known */
};

static struct start start_for(const struct segment *segment, int64_t offset) {
    struct start start = {0, -1};
    start.pos = segment_index_find(segment, offset - 1, &start.last);
    return start;
}

/* What is known of the first batch of a search. False: the index, or the batch's base offset, is wrong. */
static bool begin_find(struct look_find *find, struct start start, const uint8_t *header) {
    if (start.last < 0)
        return true;
    if (any_last_offset(header) == start.last && batch_magic(header) == 2)
        find->floor = batch_base_offset(header);
    return any_last_offset(header) <= start.last;
}

/* The first batch in [0, end) whose last offset is >= offset; none: its size is 0, its pos is end. */
static enum err locate(const struct log_read *read, int64_t offset, bool bound, int64_t end, struct look_find *ret_find) {
    const struct log *log = read->log;
    const struct segment *segment = read->segment;
    struct start start = start_for(segment, offset);
    bool searched = read->searched_base == segment->base_offset && start.pos < read->searched_to;
    if (searched)
        start = (struct start){read->searched_to, -1};
    struct look_find find;
    look_find_init(&find, offset, segment->base_offset);
    find.bound = bound;
    uint8_t header[BATCH_HEADER_SIZE];
    bool found = false;
    for (int64_t pos = start.pos; pos < end && !found; pos += (int64_t)batch_size(header)) {
        enum err err = header_at(log, segment, pos, header);
        if (err)
            return err;
        if (!look_header(header) || pos + (int64_t)batch_size(header) > end) {
            if (!searched || pos != start.pos)
                return ERR_AGAIN; /* who reads the device tells */
            tell_bad_in(segment, pos, offset);
            return ERR_CORRUPT;
        }
        if (pos == start.pos && !begin_find(&find, start, header))
            return ERR_AGAIN;
        found = look_find_next(&find, pos, header);
    }
    if (find.over.size)
        return ERR_AGAIN;
    if (!found && !look_find_end(&find))
        find.found.pos = end;
    *ret_find = find;
    return ERR_OK;
}

/* Bytes of the segment that may be shown. */
static int64_t shown_size(const struct log *log, const struct segment *segment) {
    if (segment == log->durable_segment)
        return log->durable_pos;
    return segment->base_offset < log->durable_segment->base_offset ? segment->size : 0;
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

/* Offsets that may be shown of the segment lie below. */
static int64_t ceiling_of(const struct log_read *read) {
    const struct log *log = read->log;
    int at = log_find_segment(log, read->segment->base_offset);
    int64_t end = read->segment != log->durable_segment && at + 1 < log->segment_count ? log->segments[at + 1]->base_offset : log->durable_end;
    return read->bound < end ? read->bound : end;
}

/* Memory that bytes of files are read into: large pieces of one size are used again and again, which spares the pages' being
 * given back and got anew. */
static uint8_t *memory_get(struct log_store *store, size_t size, bool *ret_spare) {
    *ret_spare = size >= READ_SPARE_MIN && size <= READ_SPARE_SIZE;
    if (!*ret_spare)
        return mem_try_alloc(size ? size : 1);
    if (!store->spare_count)
        return mem_try_alloc(READ_SPARE_SIZE);
    store->spare_count--;
    if (store->spare_unused > store->spare_count)
        store->spare_unused = store->spare_count;
    return store->spares[store->spare_count];
}

static void memory_give(struct log_store *store, uint8_t *memory, bool spare) {
    if (spare && memory && store->spare_count < READ_SPARES_MAX)
        store->spares[store->spare_count++] = memory;
    else
        mem_free(memory);
}

void read_forget_spares(struct log_store *store, bool all) {
    for (int i = all ? store->spare_count : store->spare_unused; i > 0; i--)
        mem_free(store->spares[--store->spare_count]);
    store->spare_unused = store->spare_count;
}

/* The read keeps memory of its own until it is released. */
static void take_memory(struct log_read *read, uint8_t *memory, bool spare, size_t size) {
    read->memory = memory;
    read->memory_is_spare = spare;
    read->memory_size = size;
    read->log->store->read_bytes += size;
    add_piece(read, (struct piece){.ptr = memory, .size = size}, NULL);
}

/* One piece of `size` bytes: what the pieces have, and what more there is in the tail. */
static enum err join_pieces(struct log_read *read, size_t size) {
    bool spare;
    uint8_t *memory = memory_get(read->store, size, &spare);
    if (!memory)
        return ERR_NO_MEMORY;
    size_t at = 0;
    for (int i = 0; i < read->piece_count; i++) {
        memcpy(memory + at, read->pieces[i].ptr, read->pieces[i].size);
        at += read->pieces[i].size;
    }
    if (at < size && !tail_copy(read->log, read->segment, read->pos + (int64_t)at, memory + at, size - at)) {
        memory_give(read->store, memory, spare);
        return ERR_AGAIN;
    }
    log_read_release(read);
    take_memory(read, memory, spare, size);
    return ERR_OK;
}

/* ---- what files have ------------------------------------------------------------------------------------------------ */

/* Behind what is read lies what tells whether the last batch says right offsets: so many bytes are read, too. */
static size_t look_ahead(int64_t pos, int64_t end) {
    return end - pos < BATCH_PREFIX_SIZE ? (size_t)(end > pos ? end - pos : 0) : BATCH_PREFIX_SIZE;
}

/* On the loop no more than so much a turn: others are served there meanwhile. */
static bool may_look(struct log_store *store, int64_t size) {
    uint64_t now = shard_now_ns(store->shard);
    if (store->looked_ns != now)
        store->looked_bytes = 0;
    store->looked_ns = now;
    if (store->looked_bytes + size > LOOK_BYTES_MAX)
        return false;
    store->looked_bytes += size;
    return true;
}

/* The batch at the read's position, of which the file has the first bytes and the tail the others; or the tail has all, in
 * more blocks than there are pieces. It is copied, for readers get it whole. */
static enum err gather(struct log_read *read, const struct look_batch *batch, size_t from_file) {
    struct segment *segment = read->segment;
    log_read_release(read);
    bool spare;
    size_t size = (size_t)batch->size, at = 0, good;
    uint8_t *memory = memory_get(read->store, size, &spare);
    if (!memory)
        return ERR_NO_MEMORY;
    enum err err = from_file ? file_pread(segment->file, memory, from_file, read->pos, FILE_NOWAIT, &at) : ERR_OK;
    if (!err && (at != from_file || !tail_copy(read->log, segment, read->pos + (int64_t)at, memory + at, size - at)))
        err = ERR_AGAIN;
    if (!err && from_file) {
        err = look_at(slice_of(memory, size), batch->floor, ceiling_of(read), &good);
        if (err)
            tell_bad_in(segment, read->pos, batch->floor);
    }
    if (err) {
        memory_give(read->store, memory, spare);
        return err;
    }
    take_memory(read, memory, spare, size);
    return ERR_OK;
}

/* `size` bytes from the file, of which at least the first batch is whole. on: more is to follow from the tail; only whole
 * batches are taken then, and *ret_all says whether all were. AGAIN also when something is wrong: who reads the device tells. */
static enum err add_file(struct log_read *read, const struct look_batch *first, size_t size, bool on, bool *ret_all) {
    struct segment *segment = read->segment;
    if (!may_look(read->store, (int64_t)size))
        return ERR_AGAIN;
    bool spare;
    int64_t next = read->pos + (int64_t)size;
    size_t ahead = on ? BATCH_PREFIX_SIZE : look_ahead(next, segment->written), wanted = on ? size : size + ahead, count = 0, good = 0;
    uint8_t *memory = memory_get(read->store, size + ahead, &spare);
    if (!memory)
        return ERR_NO_MEMORY;
    enum err err = file_pread(segment->file, memory, wanted, read->pos, FILE_NOWAIT, &count);
    if (!err && (count != wanted || (on && !tail_copy(read->log, segment, next, memory + size, ahead))))
        err = ERR_AGAIN;
    if (!err && (look_at(slice_of(memory, size + ahead), first->floor, ceiling_of(read), &good) || !good))
        err = ERR_AGAIN;
    if (err) {
        memory_give(read->store, memory, spare);
        return err;
    }
    *ret_all = good == size;
    take_memory(read, memory, spare, on ? good : size);
    return ERR_OK;
}

/* The offset lies in a gap behind this batch. AGAIN: or in the batch, which is wrong. */
static enum err check_prior(struct log_read *read, const struct look_batch *prior) {
    struct segment *segment = read->segment;
    if (prior->pos >= tail_start(read->log, segment))
        return ERR_OK;
    if (!segment->file || !may_look(read->store, prior->size))
        return ERR_AGAIN;
    bool spare;
    size_t count, size = (size_t)prior->size;
    uint8_t *memory = memory_get(read->store, size, &spare);
    if (!memory)
        return ERR_NO_MEMORY;
    enum err err = file_pread(segment->file, memory, size, prior->pos, FILE_NOWAIT, &count);
    if (!err && (count != size || look_check(slice_of(memory, size))))
        err = ERR_AGAIN;
    memory_give(read->store, memory, spare);
    return err;
}

/* AGAIN: something is not at hand. */
static enum err read_now(struct log_read *read) {
    struct log *log = read->log;
    struct segment *segment = read->segment;
    if (!segment->index_loaded)
        return ERR_AGAIN;
    int64_t end = shown_size(log, segment);
    struct look_find find;
    enum err err = ERR_OK;
    if (read->bound < log->durable_end && read->bound <= (segment == log_last_segment(log) ? log->end : INT64_MAX)) {
        err = locate(read, read->bound, true, end, &find);
        if (err)
            return err;
        end = find.found.pos;
    }
    err = locate(read, read->offset, false, end, &find);
    if (!err && look_find_is_gap(&find))
        err = check_prior(read, &find.prior);
    if (err)
        return err;
    struct look_batch batch = find.found;
    int64_t pos = batch.pos;
    read->first_batch_size = pos < end ? batch.size : 0;
    int64_t size = end - pos;
    if (size > read->bytes_max)
        size = read->whole_first_batch && batch.size > read->bytes_max ? batch.size : read->bytes_max;
    if (size < batch.size && !read->whole_first_batch)
        size = 0; /* not even one batch */
    if (size <= 0)
        return ERR_OK;
    read->pos = pos;
    read->limit_pos = pos + size;
    read->upper_offset = segment_index_upper(segment, pos + size);
    int64_t tail = tail_start(log, segment);
    int64_t file_size = (tail < pos + size ? tail : pos + size) - pos;
    if (file_size > 0) {
        if (!segment->file)
            return ERR_AGAIN;
        segment_touch(segment);
        if (file_size < batch.size)
            return gather(read, &batch, (size_t)file_size);
        bool all = false;
        err = add_file(read, &batch, (size_t)file_size, file_size < size, &all);
        if (err || !all)
            return err;
    }
    add_tail(read, file_size > 0 ? tail : pos, pos + size);
    if ((int64_t)read->size < batch.size)
        return gather(read, &batch, 0);
    int64_t joined = size < LOOK_BYTES_MAX ? size : LOOK_BYTES_MAX;
    if ((int64_t)read->size < joined) /* the tail's blocks are many and small */
        return join_pieces(read, (size_t)joined);
    return read->contiguous && read->piece_count > 1 ? join_pieces(read, read->size) : ERR_OK;
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
    int64_t offset, bound, ceiling, bytes_max, end;
    struct start start, back; /* back: an earlier one, for when the index is wrong */
    bool whole_first_batch;
    bool goes_on; /* in the tail: the last batch may be there in part */
    size_t reserved; /* of the store's read_bytes, while it is under way */
    int64_t wrong_pos; /* of a batch whose checksum is known to be wrong; -1: none is */
    /* found */
    int64_t pos, first_batch_size;
    uint8_t *memory;
    bool spare; /* memory is there already, of READ_SPARE_SIZE */
    size_t size;
    enum err err;
};

static void find_starts(struct slow_read *slow, const struct segment *segment) {
    slow->start = start_for(segment, slow->offset);
    slow->back = slow->start.pos ? start_for(segment, slow->start.last) : slow->start;
}

static enum err find_from(struct slow_read *slow, struct start start, int64_t offset, bool bound, int64_t end, struct look_find *ret_find) {
    struct segment_scan scan;
    segment_scan_init(&scan, slow->file, start.pos, end);
    scan.headers_only = true;
    struct look_find find;
    look_find_init(&find, offset, slow->base_offset);
    find.bound = bound;
    bool found = false;
    enum err err = ERR_OK;
    while (!err && !found && !(err = segment_scan_next(&scan))) {
        if (scan.batch_pos == slow->wrong_pos)
            look_find_wrong(&find, scan.batch_pos, scan.batch);
        else if (scan.batch_pos == start.pos && !begin_find(&find, start, scan.batch))
            err = ERR_CORRUPT;
        else
            found = look_find_next(&find, scan.batch_pos, scan.batch);
    }
    if (err == ERR_TRUNCATED && slow->goes_on) { /* reading the rest now makes it be at hand when the tail's is added */
        uint8_t *rest = mem_try_alloc((size_t)(end - scan.pos));
        size_t count;
        err = rest ? file_pread(slow->file, rest, (size_t)(end - scan.pos), scan.pos, 0, &count) : ERR_NO_MEMORY;
        mem_free(rest);
        end = scan.pos;
    } else if (err == ERR_NOT_FOUND) {
        err = ERR_OK;
    }
    if (!err && !found && !look_find_end(&find))
        find.found.pos = end;
    *ret_find = find;
    segment_scan_deinit(&scan);
    return err == ERR_TRUNCATED ? ERR_CORRUPT : err;
}

/* Says which batch is the first that is wrong, from a place on that leads to one. */
static void tell_first_bad(struct slow_read *slow, int64_t pos, int64_t offset) {
    struct segment_scan scan;
    segment_scan_init(&scan, slow->file, slow->back.pos, slow->end);
    int64_t next = slow->back.pos ? slow->back.last : slow->base_offset;
    while (scan.pos < pos && !segment_scan_next(&scan))
        next = any_last_offset(scan.batch) + 1;
    if (scan.pos < pos)
        tell_bad(slow->path, scan.pos, next);
    else
        tell_bad(slow->path, pos, offset);
    segment_scan_deinit(&scan);
}

static enum err slow_find(struct slow_read *slow, int64_t offset, bool bound, int64_t end, struct look_find *ret_find) {
    enum err err = find_from(slow, slow->start, offset, bound, end, ret_find);
    if (err == ERR_CORRUPT && slow->back.pos != slow->start.pos)
        err = find_from(slow, slow->back, offset, bound, end, ret_find);
    return err;
}

/* Is the checksum of this batch wrong? Then it is not known which offsets it has. */
static bool is_wrong(struct slow_read *slow, const struct look_batch *batch) {
    uint8_t *memory = mem_try_alloc((size_t)batch->size);
    size_t count;
    bool wrong = memory && !file_pread(slow->file, memory, (size_t)batch->size, batch->pos, 0, &count) && count == (size_t)batch->size &&
                 look_check(slice_of(memory, count));
    mem_free(memory);
    return wrong;
}

/* The batch with the offset. Where a wrong one was passed over, once more without believing it. */
static enum err slow_find_first(struct slow_read *slow, int64_t end, struct look_batch *ret_batch) {
    struct look_find find;
    enum err err = slow_find(slow, slow->offset, false, end, &find);
    const struct look_batch *doubtful = find.over.size ? &find.over : &find.prior;
    if (!err && slow->wrong_pos < 0 && (find.over.size || look_find_is_gap(&find)) && is_wrong(slow, doubtful)) {
        slow->wrong_pos = doubtful->pos;
        err = slow_find(slow, slow->offset, false, end, &find);
    }
    if (!err)
        *ret_batch = find.found;
    return err;
}

/* Nothing from a batch on that is wrong is shown. */
static enum err slow_look(struct slow_read *slow, const struct look_batch *first, size_t wanted) {
    size_t good;
    enum err err = look_at(slice_of(slow->memory, slow->size), first->floor, slow->ceiling, &good);
    if (!good)
        err = ERR_CORRUPT; /* or the file is shorter than it was */
    if (err && good) {
        int64_t offset = first->floor;
        for (size_t at = 0; at < good; at += batch_size(slow->memory + at))
            offset = any_last_offset(slow->memory + at) + 1;
        tell_bad(slow->path, slow->pos + (int64_t)good, offset);
    }
    slow->size = err ? good : slow->size < wanted ? slow->size : wanted;
    return good ? ERR_OK : err;
}

/* From the batch on, which is whole. */
static enum err slow_take(struct slow_read *slow, const struct look_batch *batch, int64_t end) {
    slow->pos = batch->pos;
    slow->first_batch_size = batch->size;
    if (!batch->size)
        return ERR_OK; /* none, though the file may have a part of one that the tail has whole */
    int64_t size = end - slow->pos;
    if (size > slow->bytes_max)
        size = slow->whole_first_batch && batch->size > slow->bytes_max ? batch->size : slow->bytes_max;
    if (size < batch->size && !slow->whole_first_batch)
        size = 0;
    if (size <= 0)
        return ERR_OK;
    size_t wanted = (size_t)size + look_ahead(slow->pos + size, slow->written);
    if (!slow->spare || wanted > READ_SPARE_SIZE) {
        mem_free(slow->memory);
        slow->memory = mem_try_alloc(wanted);
        slow->spare = false;
    }
    if (!slow->memory)
        return ERR_NO_MEMORY;
    enum err err = file_pread(slow->file, slow->memory, wanted, slow->pos, 0, &slow->size);
    return err ? err : slow_look(slow, batch, (size_t)size);
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
        struct segment segment = {.base_offset = slow->base_offset, .index = slow->index};
        find_starts(slow, &segment);
    }
    int64_t end = slow->end;
    if (slow->bound < INT64_MAX) {
        struct look_find find;
        err = slow_find(slow, slow->bound, true, end, &find);
        if (err == ERR_CORRUPT)
            tell_first_bad(slow, end, slow->bound);
        if (err)
            return err;
        end = find.found.pos;
    }
    struct look_batch batch = {.pos = end, .floor = slow->offset}, again;
    err = slow_find_first(slow, end, &batch);
    if (!err)
        err = slow_take(slow, &batch, end);
    if (err == ERR_CORRUPT && slow->wrong_pos < 0 && batch.size) { /* the offset may be behind the one that is wrong */
        slow->wrong_pos = batch.pos;
        if (!slow_find_first(slow, end, &again) && again.size && again.pos != batch.pos)
            return slow_take(slow, &again, end);
    }
    if (err == ERR_CORRUPT)
        tell_first_bad(slow, batch.pos, batch.floor);
    return err;
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
        take_memory(read, slow->memory, slow->spare, slow->size);
    } else {
        memory_give(log->store, slow->memory, slow->spare);
    }
    int64_t base_offset = segment->base_offset;
    bool nothing = !read->err && !read->first_batch_size, in_tail = slow->goes_on;
    if (nothing && in_tail) {
        read->searched_base = base_offset;
        read->searched_to = slow->pos;
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
    if (segment->index_loaded)
        find_starts(slow, segment);
    else
        slow->start = slow->back = (struct start){0, -1};
    slow->wrong_pos = -1;
    slow->ceiling = ceiling_of(read);
    slow->written = segment->written;
    int64_t shown = shown_size(log, segment);
    slow->end = shown < segment->written ? shown : segment->written;
    slow->goes_on = shown > segment->written;
    int64_t most = slow->end - slow->start.pos;
    slow->reserved = most <= 0 ? 0 : (size_t)(most < slow->bytes_max ? most : slow->bytes_max);
    if (slow->reserved >= READ_SPARE_MIN && slow->reserved <= READ_SPARE_SIZE)
        slow->memory = memory_get(log->store, READ_SPARE_SIZE, &slow->spare);
    slow->spare = slow->memory;
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
    read->memory_is_spare = false;
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
        if (read->holds[i])
            tail_block_unref(read->store, read->holds[i]);
        read->holds[i] = NULL;
    }
    if (read->memory)
        read->store->read_bytes -= read->memory_size;
    memory_give(read->store, read->memory, read->memory_is_spare);
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
    int64_t bytes = -segment_index_find(log->segments[first], from - 1, NULL);
    for (int i = first; i < last; i++)
        bytes += log->segments[i]->size;
    const struct segment *segment = log->segments[last];
    bytes += to >= log->durable_end && segment == log->durable_segment ? log->durable_pos : segment_index_find(segment, to, NULL);
    return bytes > 0 ? bytes : 1;
}
