/* Closing a log, so that its directory is a plain Kafka directory; and deleting one.
 *
 * open --log_close()--> closing: tail written out --> nothing under way --> files cut, indexes, snapshot, epochs --> freed
 * open --log_delete()--> deleted: nothing under way --> directory renamed, freed; removed later (removal.c) */
#include "base/check.h"
#include "base/trace.h"
#include "log/checkpoint.h"
#include "log/internal.h"
#include "log/scan.h"

struct finish {
    struct work work;
    struct log *log;
    struct log_store *store;
    struct fs *fs;
    struct buf snapshot, epochs;
    char *new_path;
    int64_t delay_ms;
    enum err err;
};

enum err log_write_epochs_file(struct fs *fs, const char *path, struct slice text) {
    char *file = mem_printf("%s/" CHECKPOINT_EPOCHS, path);
    enum err err = fs_write_whole(fs, file, text);
    mem_free(file);
    return err;
}

enum err log_write_snapshot_file(struct fs *fs, const char *path, int64_t offset, struct slice bytes, bool sync) {
    char *name = mem_printf("%s/%020lld.snapshot", path, (long long)offset);
    struct file *file;
    enum err err = fs_open(fs, name, FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &file);
    mem_free(name);
    if (err)
        return err;
    err = file_pwrite(file, bytes.ptr, bytes.size, 0);
    if (!err && sync)
        err = file_sync(file);
    file_unref(file);
    return err;
}

/* Of a log that is deleted: what came too late to be written is in no file. */
static void drop_unwritten(struct segment *segment, struct file *file) {
    struct segment_index *index = &segment->index;
    uint32_t at = index->count;
    while (at && index->entries[at - 1].pos >= segment->written)
        at--;
    struct segment_scan scan;
    segment_scan_init(&scan, file, at ? index->entries[at - 1].pos : 0, segment->written);
    scan.headers_only = true;
    int64_t end_offset = segment->base_offset;
    while (segment_scan_next(&scan) == ERR_OK)
        end_offset = any_last_offset(scan.batch) + 1;
    segment->size = scan.pos;
    segment_scan_deinit(&scan);
    while (index->count && index->entries[index->count - 1].pos >= segment->size)
        index->count--;
    while (index->time_count && segment->base_offset + index->times[index->time_count - 1].offset >= end_offset)
        index->time_count--;
    segment->max_timestamp = -1;
}

static enum err finish_segment(struct finish *finish, struct segment *segment) {
    struct log *log = finish->log;
    char *path = segment_path(segment, ".log");
    struct file *file;
    enum err err = fs_open(finish->fs, path, FILE_READ | FILE_WRITE | FILE_CREATE, &file);
    mem_free(path);
    if (err)
        return err;
    if (segment->written < segment->size)
        drop_unwritten(segment, file);
    err = file_truncate(file, segment->size);
    file_unref(file);
    if (!err)
        err = segment_write_index_files(finish->fs, log->path, segment->base_offset, "", &segment->index,
                                        segment->max_timestamp, segment->max_timestamp_offset, false);
    if (!err && segment->aborted.count)
        err = segment_write_txn_index(finish->fs, log->path, segment->base_offset, "", &segment->aborted);
    return err;
}

/* Nothing else touches the log any more: it is closing and has no work under way. Its batches are on the device; lengths
 * and indexes, which recovery would restore, need to be there only when the directory's clean-shutdown mark is. */
static void close_run(struct work *work) {
    struct finish *finish = container_of(work, struct finish, work);
    struct log *log = finish->log;
    enum err err = log->state ? log->state : log->write_block ? ERR_IO : ERR_OK;
    bool changed = log->epochs_dirty;
    for (int i = 0; i < log->segment_count && !err; i++)
        if (!log->segments[i]->sealed) {
            err = finish_segment(finish, log->segments[i]);
            changed = true;
        }
    if (!err && changed)
        err = log_write_snapshot_file(finish->fs, log->path, log->end, buf_slice(&finish->snapshot), false);
    if (!err && log->epochs_dirty)
        err = log_write_epochs_file(finish->fs, log->path, buf_slice(&finish->epochs));
    finish->err = err;
}

static void log_free(struct log *log) {
    struct log_store *store = log->store;
    check(!log->writing && !log->reads && !log->cleaning, "%s is freed with work under way: writing %d, reads %d, cleaning %d", log->path, log->writing != NULL, log->reads, log->cleaning != NULL);
    tail_drop(log);
    for (int i = 0; i < log->segment_count; i++) {
        log->segments[i]->removed = true;
        segment_close_files(log->segments[i]);
        segment_unpin(log->segments[i]);
    }
    mem_free(log->segments);
    store->slots[log->slot].log = NULL;
    store->free_slots[store->free_slot_count++] = log->slot;
    list_remove(&log->dirty);
    list_remove(&log->behind);
    list_remove(&log->progress);
    store->compacted_count -= !list_is_empty(&log->compacted);
    list_remove(&log->compacted);
    producers_clear(&log->producers);
    epochs_deinit(&log->epochs);
    mem_free(log->path);
    mem_free(log->topic);
    mem_free(log);
}

static void finish_free(struct finish *finish) {
    buf_deinit(&finish->snapshot);
    buf_deinit(&finish->epochs);
    mem_free(finish->new_path);
    mem_free(finish);
}

static void close_finished(struct shard *shard, struct work *work) {
    (void)shard;
    struct finish *finish = container_of(work, struct finish, work);
    struct log *log = finish->log;
    void (*done)(enum err err, void *arg) = log->close_done;
    void *arg = log->close_arg;
    enum err err = finish->err ? finish->err : log->state;
    if (finish->err && finish->err != ERR_OFFLINE)
        trace_error("log", "cannot close a log cleanly", TRACE_STR("dir", log->path), TRACE_ERR(finish->err));
    if (err && log->store->dirs[log->dir].state == ERR_OK)
        log->store->dirs[log->dir].state = err; /* its journal has what the segments lack, and stays */
    if (err && log->store->dirs[log->dir].journal)
        journal_keep(log->store->dirs[log->dir].journal);
    log_free(log);
    finish_free(finish);
    done(err, arg);
}

/* The files are left as a stop leaves them: whoever opens the directory finds the deleted log's as well. */
static void delete_run(struct work *work) {
    struct finish *finish = container_of(work, struct finish, work);
    struct log *log = finish->log;
    for (int i = 0; i < log->segment_count; i++)
        if (log->segments[i]->exists && !log->segments[i]->sealed) {
            enum err err = finish_segment(finish, log->segments[i]);
            if (err)
                trace_warn("log", "a deleted log's files are not whole", TRACE_STR("dir", log->path), TRACE_ERR(err));
        }
    finish->err = fs_rename(finish->fs, finish->log->path, finish->new_path);
}

static void delete_renamed(struct shard *shard, struct work *work) {
    (void)shard;
    struct finish *finish = container_of(work, struct finish, work);
    if (finish->err)
        trace_error("log", "cannot delete a log", TRACE_STR("dir", finish->log->path), TRACE_ERR(finish->err));
    void (*done)(enum err err, void *arg) = finish->log->close_done;
    void *arg = finish->log->close_arg;
    struct journal *journal = finish->store->dirs[finish->log->dir].journal;
    log_free(finish->log);
    done(finish->err, arg);
    if (journal) /* its bytes need no room there any more */
        journal_reclaim(journal), journal_submit(journal);
    if (!finish->err)
        log_store_remove_dir(finish->store, finish->new_path, finish->delay_ms);
    finish_free(finish);
}

static void step_start(struct log *log) {
    struct finish *finish = mem_new(struct finish);
    finish->log = log;
    finish->store = log->store;
    finish->fs = log->store->fs;
    if (log->phase == LOG_DELETED) {
        finish->new_path = log_dir_renamed(shard_runtime(log->store->shard), log->path, "delete");
        finish->delay_ms = log->delete_delay_ms;
        finish->work = (struct work){.run = delete_run, .done = delete_renamed};
    } else {
        producers_encode(&log->producers, &finish->snapshot);
        epochs_format(&log->epochs, &finish->epochs);
        finish->work = (struct work){.run = close_run, .done = close_finished};
    }
    log->finishing = true;
    shard_offload(log->store->shard, &finish->work);
}

/* A closing log made progress: is it at the next step? */
void log_close_step(struct log *log) {
    if (log->finishing || log->writing || log->reads || log->renaming || log->cleaning)
        return;
    if (log->phase == LOG_CLOSING && log->state == ERR_OK && (log->write_block || log_pending_bytes(log))) {
        flush_ask(log);
        return;
    }
    step_start(log);
}

void log_close(struct log *log, void (*done)(enum err err, void *arg), void *arg) {
    check(log->phase == LOG_OPEN, "%s is closed twice", log->path);
    log->phase = LOG_CLOSING;
    log->close_done = done;
    log->close_arg = arg;
    log_stop_cleaning(log);
    flush_ask(log);
    flush_progress(log);
}

void log_delete(struct log *log, int64_t delay_ms, void (*done)(enum err err, void *arg), void *arg) {
    check(log->phase == LOG_OPEN, "%s is closed twice", log->path);
    log->phase = LOG_DELETED;
    log->close_done = done;
    log->close_arg = arg;
    log->delete_delay_ms = delay_ms;
    log_stop_cleaning(log);
    log->submitted_end = log->end;
    log->submitted = log->appended;
    list_remove(&log->dirty);
    list_remove(&log->behind);
    flush_progress(log);
}
