/* Which way appended bytes go to the device, and when they are there.
 *
 * At the end of a turn each log with pending bytes is looked at. Few bytes go into the journal's group with those of
 * all other logs. DIRECT_MIN and more go straight to the segment in one flushed write, the not yet written tail before
 * them included. While such a write is on its way the log waits for it, so that pieces become durable in order. What
 * only the journal has is written behind, in pieces of WRITE_BEHIND, when it is old, or when the ring needs the room. */
#include "base/check.h"
#include "base/trace.h"
#include "log/segment_write.h"

enum {
    BUNDLED_MAX = 64 << 10,  /* bytes of a write behind up to which it goes along with others in a bundle */
    CLOSING_WRITES_MAX = 512, /* in flight by themselves when many logs are closed: each keeps two files open */
};

static void write_next(struct log *log, bool behind);

void flush_progress(struct log *log) {
    if (list_is_empty(&log->progress))
        list_push_back(&log->store->progress_logs, &log->progress);
    shard_at_turn_end(log->store->shard, &log->store->progress_hook);
}

static void set_durable(struct log *log, int64_t end_offset, struct segment *segment, int64_t pos) {
    if (end_offset <= log->durable_end)
        return;
    log->durable_end = end_offset;
    log->durable_segment = segment;
    log->durable_pos = pos;
    flush_progress(log);
}

/* Nobody may send more before there is room: what only the journal has is written out. */
void flush_relieve(struct log_store *store) {
    tail_evict(store); /* what is only a cache goes first */
    if (store->tail_bytes <= store->options.tail_bytes_max || !flush_behind_again(store, &store->relieved_at))
        return;
    list_each_safe(node, &store->behind_logs) {
        struct log *log = container_of(node, struct log, behind);
        if (flush_behind_is_full(store, log->dir))
            return;
        if (log->state == ERR_OK)
            flush_behind(log);
    }
}

void flush_journal_done(struct log *log, int64_t end_offset, struct segment *segment, int64_t pos) {
    set_durable(log, end_offset, segment, pos);
    if (log->written_end < log->durable_end && list_is_empty(&log->behind)) {
        log->unflushed_since_ns = shard_now_ns(log->store->shard);
        list_push_back(&log->store->behind_logs, &log->behind);
    }
    if (!log->writing && tail_unwritten(log) >= WRITE_BEHIND)
        flush_behind(log);
}

void flush_failed(struct log_store *store, int dir, enum err err, const char *what) {
    if (store->dirs[dir].state == ERR_OFFLINE)
        return;
    trace_error("log", "log directory goes offline", TRACE_STR("file", what), TRACE_ERR(err),
                TRACE_STR("dir", log_inventory_dir(store->options.inventory, dir)->path));
    log_store_fail_dir(store, dir);
    if (store->options.on_dir_failed)
        store->options.on_dir_failed(store, dir, store->options.arg);
}

/* ---- the write of one block ----------------------------------------------------------------------------------------- */

static void write_free(struct segment_write *write) {
    file_unref(write->direct);
    for (int i = 0; i < write->block_count; i++)
        tail_block_unref(write->store, write->blocks[i]);
    segment_unpin(write->segment);
    mem_free(write->front);
    mem_free(write->path);
    mem_free(write->dir_path);
    mem_free(write);
}

/* A write straight to the segments failed, or stopped for a rename: bytes below submitted_end are in the tail alone. What
 * follows must not become durable before them. */
static bool lacks_direct(const struct log *log) {
    return log->durable_end < log->direct_end;
}

void flush_write_ended(struct segment_write *write, enum err err) {
    struct log_store *store = write->store;
    struct log *log = write->log;
    log->writing = NULL;
    if (err) {
        if (err == ERR_NO_SPACE) {
            /* The tail and the journal keep the bytes; upkeep tries again. */
            trace_warn("log", "no space for a segment", TRACE_STR("file", log->path));
            log->state = ERR_NO_SPACE;
            flush_progress(log);
        } else {
            flush_failed(store, log->dir, err, log->path);
        }
        write_free(write);
        flush_progress(log);
        if (err == ERR_NO_SPACE && store->dirs[log->dir].journal)
            journal_unstick(store->dirs[log->dir].journal);
        return;
    }
    if (log->state == ERR_NO_SPACE) {
        log->state = ERR_OK;
        flush_progress(log);
    }
    tail_written(log, write->segment, write->end);
    if (write->end_pos && write->end_pos <= write->end) {
        if (write->end_offset > log->written_end)
            log->written_end = write->end_offset;
        if (write->end_offset > log->submitted_end) { /* what was pending came along */
            log->submitted_end = write->end_offset;
            log->submitted = write->end_total;
        }
        set_durable(log, write->end_offset, write->segment, write->end_pos);
    }
    if (write->segment != log_last_segment(log) && write->segment->written == write->segment->size)
        segment_seal(write->segment);
    if (!log->write_block && !list_is_empty(&log->behind)) {
        list_remove(&log->behind);
        log->unflushed_since_ns = 0;
    }
    bool behind = write->behind;
    write_free(write);
    if (log->renaming)
        flush_progress(log);
    /* More of the same kind? A flushed write covers all that was submitted, block by block. */
    bool more = behind ? lacks_direct(log) : log->written_end < log->submitted_end;
    if (log->phase == LOG_OPEN && log->write_block && !log->renaming && more)
        write_next(log, false);
    if ((log->phase == LOG_OPEN && log_pending_bytes(log)) || log->phase == LOG_CLOSING)
        flush_ask(log);
    if (log->phase != LOG_OPEN)
        flush_progress(log);
}

void flush_writes_ended(struct log_store *store) {
    store->behind_changes++;
    flush_relieve(store);
    shard_at_turn_end(store->shard, &store->flush_hook); /* closing logs may have waited */
    for (int dir = 0; dir < store->dir_count; dir++)
        if (store->dirs[dir].journal)
            journal_reclaim(store->dirs[dir].journal), journal_submit(store->dirs[dir].journal);
}

static void write_finished(struct segment_write *write, enum err err) {
    struct log_store *store = write->store;
    if (write->behind)
        store->behind_writes--;
    flush_write_ended(write, err);
    flush_writes_ended(store);
}

static void write_done(struct shard *shard, struct file_io *io) {
    struct segment_write *write = container_of(io, struct segment_write, io);
    struct log_metrics *metrics = &write->store->metrics;
    metrics->segment_writes++;
    metrics->segment_bytes += io->size;
    if (!write->behind) {
        metrics->flushes++;
        histogram_add(&metrics->flush_us, (shard_now_ns(shard) - write->started_ns) / 1000);
    }
    write_finished(write, io->err);
}

/* The blocks that follow the first one in its segment go along, up to WRITE_MAX. */
static void add_following(struct segment_write *write) {
    struct log *log = write->log;
    size_t size = write->blocks[0]->size;
    for (const struct list *node = write->blocks[0]->node.next; node != &log->blocks && write->block_count < WRITE_BLOCKS_MAX; node = node->next) {
        struct tail_block *block = container_of(node, struct tail_block, node), *last = write->blocks[write->block_count - 1];
        if (block->segment != write->segment || block->pos != last->pos + last->size || block->start || size + block->size > WRITE_MAX)
            break;
        size += block->size;
        block->refs++;
        write->blocks[write->block_count++] = block;
    }
}

/* All that it takes along, and up to where. */
static void write_gather(struct segment_write *write) {
    add_following(write);
    const struct tail_block *first = write->blocks[0], *last = write->blocks[write->block_count - 1];
    int64_t written = write->segment->written;
    write->from = written > first->pos ? written : first->pos;
    write->end = last->pos + last->size;
    check(write->from >= first->pos + first->start, "%s lacks what lies before its tail", write->log->path);
    for (int i = 0; i < write->block_count; i++) {
        struct tail_block *block = write->blocks[i];
        if (block->end_pos) {
            write->end_offset = block->end_offset;
            write->end_pos = block->end_pos;
            write->end_total = block->end_total;
        }
        int64_t begin = i ? block->pos : write->from;
        write->pieces[i] = (struct file_piece){block->memory + (begin - block->pos), (size_t)(block->pos + block->size - begin)};
    }
}

/* Whole blocks of the file are written. */
static void write_align(struct segment_write *write) {
    struct tail_block *last = write->blocks[write->block_count - 1];
    struct file_piece *first_piece = &write->pieces[0], *last_piece = &write->pieces[write->block_count - 1];
    size_t before = (size_t)write->from & (FILE_DIRECT_ALIGN - 1), behind = (size_t)-write->end & (FILE_DIRECT_ALIGN - 1);
    memset(last->memory + last->size, 0, behind);
    first_piece->ptr = (uint8_t *)first_piece->ptr - before;
    first_piece->size += before;
    last_piece->size += behind;
    write->io.pos = write->from - (int64_t)before;
    write->io.size = (size_t)(write->end - write->from) + before + behind;
}

static void write_start_io(struct segment_write *write) {
    struct segment *segment = write->segment;
    write_gather(write);
    write->direct = file_ref(segment->direct); /* others may close the segment's files meanwhile */
    write->io = (struct file_io){.op = FILE_IO_WRITE,
                                 .file = write->direct,
                                 .pieces = write->pieces,
                                 .piece_count = write->block_count,
                                 .dsync = true, /* `written` means on the device, whatever an answer means */
                                 .done = write_done};
    write_align(write);
    segment_touch(segment);
    write->started_ns = shard_now_ns(write->store->shard);
    file_io_start(write->store->shard, &write->io);
}

/* Opens the segment's files; makes them, and makes their names durable, when they are new. Reads the front of a block
 * that begins inside a block of the file. */
static void open_run(struct work *work) {
    struct segment_write *write = container_of(work, struct segment_write, open_work);
    struct fs *fs = write->store->fs;
    int flags = FILE_READ | FILE_WRITE | FILE_DIRECT | (write->create ? FILE_CREATE : 0);
    write->err = fs_open(fs, write->path, flags, &write->direct);
    if (!write->err)
        write->err = fs_open(fs, write->path, FILE_READ, &write->file);
    if (!write->err && write->front_size) {
        size_t count;
        write->err = file_pread(write->file, write->front, write->front_size, write->front_pos, 0, &count);
        if (!write->err && count < write->front_size)
            write->err = ERR_IO;
    }
    if (!write->err && write->preallocate)
        write->err = file_reserve(write->direct, 0, write->preallocate_bytes);
    if (!write->err && write->create && !write->sync_names)
        write->err = fs_sync_dir(fs, write->dir_path);
    if (!write->err && write->sync_names)
        write->err = log_sync_names(fs, write->dir_path);
}

static void open_done(struct shard *shard, struct work *work) {
    (void)shard;
    struct segment_write *write = container_of(work, struct segment_write, open_work);
    struct segment *segment = write->segment;
    segment->opening = false;
    if (write->err) {
        file_unref(write->file);
        write_finished(write, write->err);
        return;
    }
    file_unref(segment->file); /* a read may have opened it meanwhile */
    segment->file = write->file;
    file_unref(segment->direct);
    segment->direct = write->direct;
    segment->exists = true;
    write->log->names_durable = true;
    memcpy(write->blocks[0]->memory, write->front, write->front_size);
    write->blocks[0]->start = 0;
    segment_touch(segment);
    write_start_io(write);
}

/* Of the first blocks that their file lacks. */
static struct segment_write *write_make(struct log *log, bool behind) {
    struct tail_block *block = log->write_block;
    check(block && !log->writing, "%s: nothing to write, or two writes at once", log->path);
    struct segment_write *write = mem_new(struct segment_write);
    write->log = log;
    write->store = log->store;
    write->segment = block->segment;
    write->blocks[write->block_count++] = block;
    write->behind = behind;
    block->refs++;
    segment_pin(write->segment);
    log->writing = write;
    return write;
}

static void write_name_files(struct segment_write *write) {
    struct log *log = write->log;
    write->path = segment_path(write->segment, ".log");
    write->dir_path = mem_strdup(log->path);
    write->create = !write->segment->exists;
    write->sync_names = !log->names_durable; /* who made the directory did not flush it: most stay empty */
}

static void write_next(struct log *log, bool behind) {
    struct segment_write *write = write_make(log, behind);
    struct tail_block *block = write->blocks[0];
    if (behind)
        log->store->behind_writes++;
    if (write->segment->direct && !block->start) {
        write_start_io(write);
        return;
    }
    write->front_size = block->start;
    write->front_pos = block->pos;
    write->front = mem_alloc(block->start);
    write_name_files(write);
    write->preallocate = log->settings.preallocate && !write->segment->written;
    write->preallocate_bytes = log->settings.segment_bytes;
    write->segment->opening = true;
    write->open_work = (struct work){.lane = log, .run = open_run, .done = open_done};
    shard_offload(log->store->shard, &write->open_work);
}

/* ---- writes behind ------------------------------------------------------------------------------------------------ */

static bool goes_with_others(const struct log *log) {
    return !log->settings.preallocate && tail_unwritten(log) <= BUNDLED_MAX && bundle_pays(log->store, log->dir);
}

/* False: it must wait for others. */
static bool write_behind(struct log *log) {
    if (!goes_with_others(log)) {
        if (log->store->behind_writes >= CLOSING_WRITES_MAX)
            return false;
        write_next(log, true);
        return true;
    }
    if (!bundle_has_room(log->store, log->dir))
        return false;
    struct segment_write *write = write_make(log, true);
    write_gather(write);
    write_name_files(write);
    bundle_add(write);
    return true;
}

bool flush_behind_is_full(const struct log_store *store, int dir) {
    return store->behind_writes >= BEHIND_WRITES_MAX || !bundle_has_room(store, dir);
}

bool flush_behind_again(const struct log_store *store, uint64_t *asked_at) {
    bool under_way = store->behind_writes > 0;
    for (int dir = 0; dir < store->dir_count; dir++)
        under_way = under_way || store->dirs[dir].filling || store->dirs[dir].flying;
    bool again = !under_way || *asked_at != store->behind_changes;
    *asked_at = store->behind_changes;
    return again;
}

void flush_behind(struct log *log) {
    if (log->writing || !log->write_block || log->state == ERR_OFFLINE || log->renaming || log->finishing || log->phase == LOG_DELETED)
        return;
    /* Pending bytes in the block come along; then nothing of them needs the journal. */
    write_behind(log);
}

/* ---- the decision at the end of a turn ---------------------------------------------------------------------------- */

void flush_ask(struct log *log) {
    if (list_is_empty(&log->dirty))
        list_push_back(&log->store->dirty_logs, &log->dirty);
    shard_at_turn_end(log->store->shard, &log->store->flush_hook);
}

static void mark_submitted(struct log *log) {
    log->submitted_end = log->end;
    log->submitted = log->appended;
    list_remove(&log->dirty);
}

static void flush_log(struct log *log) {
    struct journal *journal = log->store->dirs[log->dir].journal;
    if (log->state == ERR_OFFLINE || (!log_pending_bytes(log) && log->phase != LOG_CLOSING)) {
        list_remove(&log->dirty);
        return;
    }
    if (log->phase == LOG_CLOSING) { /* all goes to the segments */
        if (log->writing || log->renaming || log->finishing || (log->write_block && !write_behind(log)))
            return;
        mark_submitted(log);
        if (!log->write_block)
            flush_progress(log);
        return;
    }
    bool sync_write = log->writing && !log->writing->behind;
    if (sync_write)
        return; /* its end asks again */
    int64_t pending = (int64_t)log_pending_bytes(log);
    const struct segment *last = log_last_segment(log);
    /* A batch that a write behind has brought to the segment in part may have left the tail in part. */
    bool direct = pending >= DIRECT_MIN || !journal || journal_is_stuck(journal) || pending > last->size || !tail_holds(log, last, last->size - pending);
    bool may_add = journal && !lacks_direct(log);
    if (log->renaming) {
        if (may_add && journal_add(journal, log))
            mark_submitted(log);
    } else if ((direct || lacks_direct(log)) && !log->writing && log->state == ERR_OK) {
        mark_submitted(log);
        log->direct_end = log->end;
        write_next(log, false);
    } else if ((!direct || log->state == ERR_NO_SPACE) && may_add && journal_add(journal, log)) {
        mark_submitted(log);
    }
}

void flush_resume(struct log *log) {
    for (int i = 0; i + 1 < log->segment_count; i++)
        if (!log->segments[i]->sealed && log->segments[i]->written == log->segments[i]->size)
            segment_seal(log->segments[i]);
    if (log->write_block && !log->writing && log->phase == LOG_OPEN && log->state == ERR_OK)
        write_next(log, false);
    flush_ask(log);
    flush_progress(log);
}

void flush_hook_run(struct turn_hook *hook) {
    struct log_store *store = container_of(hook, struct log_store, flush_hook);
    list_each_safe(node, &store->dirty_logs)
        flush_log(container_of(node, struct log, dirty));
    for (int dir = 0; dir < store->dir_count; dir++) {
        if (store->dirs[dir].journal)
            journal_submit(store->dirs[dir].journal);
        bundle_submit(store, dir);
    }
}
