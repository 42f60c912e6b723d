/* The steps of a cleaning that read and write files.
 *
 * How the files change, so that a crash between any two of these lines costs nothing (leftovers.c is the other half):
 *
 *   X.log.cleaned, X.index.cleaned, ...    written, flushed one by one     a start removes them
 *   X.*.cleaned -> X.*.swap, .log last     then the directory flushed      a start with a .cleaned among them removes all,
 *                                                                          without one it finishes the swap
 *   the sources' files unlinked            then the directory flushed      a start finishes the swap
 *   X.*.swap -> X.*, .log last             then the directory flushed      the same
 *
 * Readers have the old files open, and the shard lets nobody open one by name meanwhile. */
#include "log/cleaning.h"

#include <stdio.h>
#include "base/mem.h"
#include "base/trace.h"

enum {
    COPY_BYTES = 256 << 10,
    UNSYNCED_MAX = 16 << 20, /* of a new segment: one large flush at the end would hold up the journal's */
};

static const char *const log_suffix = ".log";
static const char *const index_suffixes[] = {".index", ".timeindex", ".txnindex"};

static enum err unlink_file(const struct cleaning *cleaning, int64_t base_offset, const char *suffix, const char *more) {
    char *path = mem_printf("%s/%020lld%s%s", cleaning->path, (long long)base_offset, suffix, more);
    enum err err = fs_unlink(cleaning->fs, path);
    mem_free(path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void note_place(struct cleaning *cleaning, int64_t base_offset, int64_t pos) {
    snprintf(cleaning->where, sizeof cleaning->where, "%020lld.log at %lld", (long long)base_offset, (long long)pos);
}

/* ---- sources -------------------------------------------------------------------------------------------------------- */

static enum err open_source(struct cleaning *cleaning) {
    const struct clean_source *source = &cleaning->sources[cleaning->source];
    char *path = mem_printf("%s/%020lld.log", cleaning->path, (long long)source->base_offset);
    enum err err = fs_open(cleaning->fs, path, FILE_READ, &cleaning->source_file);
    mem_free(path);
    if (err) {
        note_place(cleaning, source->base_offset, 0);
        return err;
    }
    segment_scan_init(&cleaning->scan, cleaning->source_file, 0, source->size);
    cleaning->scan.buffer_bytes = cleaning->buffer_bytes;
    cleaning->scanning = true;
    cleaning->floor = source->base_offset;
    return ERR_OK;
}

static void close_source(struct cleaning *cleaning) {
    if (cleaning->scanning)
        segment_scan_deinit(&cleaning->scan);
    file_unref(cleaning->source_file);
    cleaning->source_file = NULL;
    cleaning->scanning = false;
}

/* The next batch of the source, its checksum and offsets looked at: what is wrong is not given a right one. NOT_FOUND at the
 * end. */
static enum err next_batch(struct cleaning *cleaning, struct slice *ret_batch) {
    enum err err = segment_scan_next(&cleaning->scan);
    if (err == ERR_NOT_FOUND)
        return err;
    if (!err) {
        int64_t last = any_last_offset(cleaning->scan.batch), base = batch_magic(cleaning->scan.batch) == 2 ? batch_base_offset(cleaning->scan.batch) : last;
        if (base < cleaning->floor || last < base || last >= cleaning->sources[cleaning->source].next_base)
            err = ERR_CORRUPT;
        else
            cleaning->floor = last + 1;
    }
    if (err) {
        note_place(cleaning, cleaning->sources[cleaning->source].base_offset, cleaning->scan.pos);
        return err;
    }
    cleaning->step_done_bytes += (int64_t)cleaning->scan.batch_size;
    *ret_batch = slice_of(cleaning->scan.batch, cleaning->scan.batch_size);
    return ERR_OK;
}

static void note_batch_place(struct cleaning *cleaning) {
    note_place(cleaning, cleaning->sources[cleaning->source].base_offset, cleaning->scan.batch_pos);
}

/* ---- the map -------------------------------------------------------------------------------------------------------- */

/* What was cleaned of the segment in which the last map was full is passed over by its headers. */
static enum err skip_clean(struct cleaning *cleaning) {
    struct segment_scan *scan = &cleaning->scan;
    enum err err = ERR_OK;
    scan->headers_only = true;
    int64_t pos = 0;
    while (!(err = segment_scan_next(scan)) && any_last_offset(scan->batch) < cleaning->asked->start_offset)
        pos = scan->pos;
    segment_scan_deinit(scan);
    segment_scan_init(scan, cleaning->source_file, pos, cleaning->sources[cleaning->source].size);
    scan->buffer_bytes = cleaning->buffer_bytes;
    return ERR_OK; /* an error is met again, by who says it */
}

static enum err map_batch(struct cleaning *cleaning, struct slice batch, bool *ret_full) {
    *ret_full = false;
    cleaning->asked->bytes_mapped += (int64_t)batch.size;
    int64_t from = cleaning->asked->start_offset;
    if (any_last_offset(batch.ptr) < from)
        return ERR_OK;
    struct aborted_txn unused;
    enum err err = ERR_OK;
    int64_t end = any_last_offset(batch.ptr) + 1, mapped_end = end;
    if (batch_magic(batch.ptr) == 2 && batch_is_control(batch.ptr))
        (void)clean_txns_marker(&cleaning->txns, batch.ptr, &unused);
    else if (batch_magic(batch.ptr) < 2 || !clean_txns_data(&cleaning->txns, batch.ptr))
        err = clean_map_batch(&cleaning->batch, &cleaning->map, batch, from, &mapped_end);
    *ret_full = mapped_end < end;
    if (err)
        note_batch_place(cleaning);
    else
        cleaning->rules.map_end = mapped_end; /* within a batch, when it has more keys than there is room: the next pass goes on there */
    return err;
}

static void end_map(struct cleaning *cleaning) {
    close_source(cleaning);
    clean_txns_deinit(&cleaning->txns);
    clean_txns_init(&cleaning->txns, cleaning->aborted, cleaning->aborted_count);
    cleaning->batch.records_read = 0;
    cleaning->phase = CLEAN_GROUP;
    cleaning->asked->map_used = (double)cleaning->map.count / (double)cleaning->map.count_max;
}

static enum err run_map(struct cleaning *cleaning) {
    enum err err = ERR_OK;
    while (!err && cleaning->step_done_bytes < cleaning->step_bytes) {
        if (cleaning->source == cleaning->source_count) {
            end_map(cleaning);
            return ERR_OK;
        }
        if (!cleaning->scanning) {
            err = open_source(cleaning);
            if (!err && cleaning->sources[cleaning->source].base_offset < cleaning->asked->start_offset)
                err = skip_clean(cleaning);
            if (err)
                return err;
        }
        struct slice batch;
        bool full = false;
        err = next_batch(cleaning, &batch);
        if (!err)
            err = map_batch(cleaning, batch, &full);
        if (full) {
            end_map(cleaning);
            return ERR_OK;
        }
        if (err == ERR_NOT_FOUND) { /* a gap up to the next segment is as good as cleaned */
            cleaning->rules.map_end = cleaning->sources[cleaning->source].next_base;
            close_source(cleaning);
            cleaning->source++;
            err = ERR_OK;
        }
    }
    return err;
}

/* ---- groups --------------------------------------------------------------------------------------------------------- */

static int64_t size_of(const struct cleaning *cleaning, int64_t base_offset, const char *suffix) {
    char *path = mem_printf("%s/%020lld%s", cleaning->path, (long long)base_offset, suffix);
    struct fs_stat stat = {0};
    enum err err = fs_stat(cleaning->fs, path, &stat);
    mem_free(path);
    return err ? 0 : stat.size;
}

/* Neighbours become one segment as long as the sum of their files is no more than one may have. */
static enum err run_group(struct cleaning *cleaning) {
    int count = 0;
    while (count < cleaning->source_count && cleaning->sources[count].base_offset < cleaning->rules.map_end)
        count++;
    cleaning->groups = mem_zalloc(sizeof *cleaning->groups * (size_t)(count ? count : 1));
    int64_t size = 0, index = 0, time_index = 0;
    for (int i = 0; i < count; i++) {
        struct clean_source *source = &cleaning->sources[i];
        source->index_bytes = size_of(cleaning, source->base_offset, ".index");
        source->time_index_bytes = size_of(cleaning, source->base_offset, ".timeindex");
        struct clean_group *group = cleaning->group_count ? &cleaning->groups[cleaning->group_count - 1] : NULL;
        bool joins = group && size + source->size <= cleaning->settings_segment_bytes &&
                     index + source->index_bytes <= cleaning->settings_index_bytes &&
                     time_index + source->time_index_bytes <= cleaning->settings_index_bytes &&
                     (!source->size || source->next_base - 1 - cleaning->sources[group->first].base_offset <= INT32_MAX);
        if (joins) {
            group->count++;
        } else {
            cleaning->groups[cleaning->group_count++] = (struct clean_group){i, 1};
            size = index = time_index = 0;
        }
        size += source->size;
        index += source->index_bytes;
        time_index += source->time_index_bytes;
    }
    cleaning->group = -1; /* the shard begins with the next */
    cleaning->phase = CLEAN_COPY;
    return ERR_OK;
}

/* ---- copying -------------------------------------------------------------------------------------------------------- */

/* Writes all that is in the buffer, and empties it. */
static enum err write_out(struct cleaning *cleaning, struct buf *out, int64_t pos) {
    enum err err = file_pwrite(cleaning->file, out->ptr, out->size, pos);
    if (err)
        return err;
    cleaning->asked->bytes_written += (int64_t)out->size;
    cleaning->step_done_bytes += (int64_t)out->size;
    cleaning->unsynced += (int64_t)out->size;
    buf_clear(out);
    if (cleaning->unsynced < UNSYNCED_MAX)
        return ERR_OK;
    cleaning->unsynced = 0;
    return file_sync(cleaning->file);
}

static enum err flush_out(struct cleaning *cleaning) {
    int64_t size = (int64_t)cleaning->out.size;
    enum err err = size ? write_out(cleaning, &cleaning->out, cleaning->out_pos) : ERR_OK;
    cleaning->out_pos += err ? 0 : size;
    return err;
}

static enum err open_output(struct cleaning *cleaning) {
    char *path = mem_printf("%s/%020lld.log.cleaned", cleaning->path, (long long)cleaning->output->base_offset);
    enum err err = fs_open(cleaning->fs, path, FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &cleaning->file);
    mem_free(path);
    cleaning->out_pos = cleaning->unsynced = cleaning->prefix_pos = cleaning->prefix_end = 0;
    return err;
}

/* The first change of a segment, at `pos`: what came before it is copied as it is, and before anything behind it is read. */
static enum err begin_to_differ(struct cleaning *cleaning, int64_t pos) {
    cleaning->same = false;
    enum err err = open_output(cleaning);
    cleaning->out_pos = cleaning->prefix_end = pos;
    return err;
}

/* A piece of it: it may be all of a large segment, and steps are short. */
static enum err copy_prefix(struct cleaning *cleaning) {
    int64_t left = cleaning->prefix_end - cleaning->prefix_pos;
    size_t wanted = left < COPY_BYTES ? (size_t)left : COPY_BYTES, count = 0;
    enum err err = file_pread(cleaning->source_file, buf_reserve(&cleaning->prefix, wanted), wanted, cleaning->prefix_pos, 0, &count);
    if (!err && count != wanted)
        err = ERR_TRUNCATED;
    if (err)
        return err;
    cleaning->prefix.size = count;
    err = write_out(cleaning, &cleaning->prefix, cleaning->prefix_pos);
    cleaning->prefix_pos += (int64_t)count;
    return err;
}

static enum err put_batch(struct cleaning *cleaning, struct slice batch) {
    struct segment *output = cleaning->output;
    int64_t last = any_last_offset(batch.ptr);
    if (output->size + (int64_t)batch.size > INT32_MAX || last - output->base_offset > INT32_MAX)
        return ERR_TOO_LARGE;
    segment_note_batch(output, batch.ptr, output->size, cleaning->index_interval_bytes);
    output->size += (int64_t)batch.size;
    if (cleaning->same)
        return ERR_OK;
    if (cleaning->out.size && cleaning->out.size + batch.size > cleaning->buffer_bytes) {
        enum err err = flush_out(cleaning);
        if (err)
            return err;
    }
    buf_add_slice(&cleaning->out, batch);
    return ERR_OK;
}

static enum err copy_batch(struct cleaning *cleaning, struct slice batch) {
    cleaning->asked->bytes_read += (int64_t)batch.size;
    cleaning->batch.old_tombstones = cleaning->sources[cleaning->source].old_tombstones;
    enum err err = clean_batch(&cleaning->batch, batch);
    if (err) {
        note_batch_place(cleaning);
        return err;
    }
    if (cleaning->batch.aborted.last_offset >= 0)
        txn_index_add(&cleaning->output->aborted, &cleaning->batch.aborted);
    if (cleaning->same && cleaning->batch.what != CLEAN_SAME) {
        err = begin_to_differ(cleaning, cleaning->scan.batch_pos);
        if (err)
            return err;
    }
    switch (cleaning->batch.what) {
    case CLEAN_DROP:
        return ERR_OK;
    case CLEAN_SAME:
        return put_batch(cleaning, batch);
    case CLEAN_NEW:
        return put_batch(cleaning, buf_slice(&cleaning->batch.out));
    }
    return ERR_OK;
}

/* The shard has made the output and set `source` to the group's first. */
static enum err run_copy(struct cleaning *cleaning) {
    const struct clean_group *group = &cleaning->groups[cleaning->group];
    enum err err = ERR_OK;
    if (!cleaning->same && !cleaning->file)
        err = open_output(cleaning);
    while (!err && cleaning->step_done_bytes < cleaning->step_bytes) {
        if (cleaning->prefix_pos < cleaning->prefix_end) {
            err = copy_prefix(cleaning);
            continue;
        }
        if (cleaning->source == group->first + group->count) {
            cleaning->phase = CLEAN_FINISH;
            return cleaning->same ? ERR_OK : flush_out(cleaning);
        }
        if (!cleaning->scanning && (err = open_source(cleaning)))
            break;
        struct slice batch;
        err = next_batch(cleaning, &batch);
        if (!err)
            err = copy_batch(cleaning, batch);
        if (err == ERR_NOT_FOUND) {
            close_source(cleaning);
            cleaning->source++;
            err = ERR_OK;
        }
    }
    return err;
}

static enum err sync_file(const struct cleaning *cleaning, const char *suffix) {
    char *path = mem_printf("%s/%020lld%s.cleaned", cleaning->path, (long long)cleaning->output->base_offset, suffix);
    struct file *file;
    enum err err = fs_open(cleaning->fs, path, FILE_WRITE, &file);
    mem_free(path);
    if (err)
        return err;
    err = file_sync(file);
    file_unref(file);
    return err;
}

/* Everything of the new segment is on the device, under names that a start removes. */
static enum err run_finish(struct cleaning *cleaning) {
    const struct segment *output = cleaning->output;
    const struct clean_group *group = &cleaning->groups[cleaning->group];
    file_unref(cleaning->file);
    cleaning->file = NULL;
    enum err err = segment_write_index_files(cleaning->fs, cleaning->path, output->base_offset, ".cleaned", &output->index,
                                             output->max_timestamp, output->max_timestamp_offset, true);
    cleaning->has_txn_index = output->aborted.count > 0;
    if (!err && cleaning->has_txn_index)
        err = segment_write_txn_index(cleaning->fs, cleaning->path, output->base_offset, ".cleaned", &output->aborted);
    char *last = mem_printf("%s/%020lld.log", cleaning->path, (long long)cleaning->sources[group->first + group->count - 1].base_offset);
    char *path = mem_printf("%s/%020lld.log.cleaned", cleaning->path, (long long)output->base_offset);
    struct fs_stat stat;
    if (!err)
        err = fs_stat(cleaning->fs, last, &stat);
    if (!err)
        err = fs_set_mtime(cleaning->fs, path, stat.mtime_ms);
    if (!err)
        err = sync_file(cleaning, log_suffix);
    mem_free(last);
    mem_free(path);
    cleaning->phase = CLEAN_WAIT;
    return err;
}

/* ---- the swap ------------------------------------------------------------------------------------------------------- */

static enum err rename_file(const struct cleaning *cleaning, const char *suffix, const char *from, const char *to) {
    char *name = mem_printf("%s/%020lld%s", cleaning->path, (long long)cleaning->output->base_offset, suffix);
    char *old = mem_printf("%s%s", name, from), *new = mem_printf("%s%s", name, to);
    enum err err = fs_rename(cleaning->fs, old, new);
    mem_free(name);
    mem_free(old);
    mem_free(new);
    return err;
}

static enum err rename_all(const struct cleaning *cleaning, const char *from, const char *to) {
    enum err err = ERR_OK;
    for (int i = 0; i < COUNT_OF(index_suffixes) && !err; i++)
        if (i < 2 || cleaning->has_txn_index)
            err = rename_file(cleaning, index_suffixes[i], from, to);
    if (!err)
        err = rename_file(cleaning, log_suffix, from, to);
    return err ? err : fs_sync_dir(cleaning->fs, cleaning->path);
}

/* What the last segment that was written said of the log's end, a cleaned one may say no more: the next one says it, though
 * its records are in the journal alone as yet. Not a later one, which would say that the next one's are in files. */
static enum err make_next_file(const struct cleaning *cleaning) {
    if (cleaning->next_base < 0)
        return ERR_OK;
    char *path = mem_printf("%s/%020lld.log", cleaning->path, (long long)cleaning->next_base);
    struct file *file;
    enum err err = fs_open(cleaning->fs, path, FILE_WRITE | FILE_CREATE, &file);
    mem_free(path);
    if (err)
        return err;
    file_unref(file);
    return fs_sync_dir(cleaning->fs, cleaning->path);
}

static enum err remove_sources(const struct cleaning *cleaning) {
    const struct clean_group *group = &cleaning->groups[cleaning->group];
    enum err err = ERR_OK;
    for (int i = 0; i < group->count && !err; i++) {
        int64_t base = cleaning->sources[group->first + i].base_offset;
        for (int k = 0; k < COUNT_OF(index_suffixes) && !err; k++)
            err = unlink_file(cleaning, base, index_suffixes[k], "");
        if (!err && i)
            err = unlink_file(cleaning, base, ".snapshot", "");
        if (!err && i)
            err = unlink_file(cleaning, base, log_suffix, "");
    }
    return err ? err : fs_sync_dir(cleaning->fs, cleaning->path);
}

static enum err run_swap(struct cleaning *cleaning) {
    enum err err = make_next_file(cleaning);
    if (!err)
        err = rename_all(cleaning, ".cleaned", ".swap");
    if (err)
        return err;
    cleaning->swap_stands = true;
    err = remove_sources(cleaning);
    if (!err)
        err = rename_all(cleaning, ".swap", "");
    if (!err)
        cleaning->swap_stands = false;
    return err ? ERR_IO : ERR_OK; /* a start finishes it */
}

/* Swaps first: without a .cleaned beside them a start would take them for a whole output. */
static void cleaning_drop_files(struct cleaning *cleaning) {
    static const char *const more[] = {".swap", ".cleaned"};
    close_source(cleaning);
    file_unref(cleaning->file);
    cleaning->file = NULL;
    if (!cleaning->output || cleaning->swap_stands)
        return;
    enum err err = ERR_OK;
    for (int m = 0; m < COUNT_OF(more) && !err; m++) {
        for (int i = 0; i < COUNT_OF(index_suffixes) && !err; i++)
            err = unlink_file(cleaning, cleaning->output->base_offset, index_suffixes[i], more[m]);
        if (!err)
            err = unlink_file(cleaning, cleaning->output->base_offset, log_suffix, more[m]);
        if (!err)
            err = fs_sync_dir(cleaning->fs, cleaning->path);
    }
    if (err) /* the next start does it */
        trace_warn("log", "what a cleaning left cannot be removed", TRACE_STR("dir", cleaning->path), TRACE_ERR(err));
}

/* --------------------------------------------------------------------------------------------------------------------- */

void cleaning_run(struct work *work) {
    struct cleaning *cleaning = container_of(work, struct cleaning, work);
    cleaning->step_done_bytes = 0;
    switch (cleaning->phase) {
    case CLEAN_MAP:
        cleaning->err = run_map(cleaning);
        break;
    case CLEAN_GROUP:
        cleaning->err = run_group(cleaning);
        break;
    case CLEAN_COPY:
        cleaning->err = run_copy(cleaning);
        break;
    case CLEAN_FINISH:
        cleaning->err = run_finish(cleaning);
        break;
    case CLEAN_SWAP:
        cleaning->err = run_swap(cleaning);
        break;
    case CLEAN_WAIT:
        break;
    case CLEAN_END:
        cleaning_drop_files(cleaning);
        break;
    }
}

void cleaning_free(struct cleaning *cleaning) {
    close_source(cleaning);
    file_unref(cleaning->file);
    clean_txns_deinit(&cleaning->txns);
    compressor_destroy(cleaning->batch.compressor);
    clean_batch_deinit(&cleaning->batch);
    offset_map_deinit(&cleaning->map);
    buf_deinit(&cleaning->out);
    buf_deinit(&cleaning->prefix);
    mem_free(cleaning->sources);
    mem_free(cleaning->groups);
    mem_free(cleaning->aborted);
    mem_free(cleaning->dirty_aborted);
    mem_free(cleaning->producers);
    mem_free(cleaning->path);
    mem_free(cleaning);
}
