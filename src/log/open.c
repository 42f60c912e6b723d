/* Opening a log: what the last run left is read, cut where it is torn, and joined with what its journal holds.
 *
 * 1. Files of unfinished work are settled: see leftovers.c.
 * 2. After a clean stop segments are believed; only the batches behind the last index entry of the last one are walked.
 *    Otherwise every segment from the recovery point on is read whole, each CRC checked, cut at the first bad batch,
 *    and its indexes are made anew. What follows a cut segment goes.
 *    (open_segments.c)
 * 3. Journal entries that continue the log are appended to the last segment, flushed. Those below its end are there
 *    already.
 * 4. The producers' state: the newest snapshot that fits, then the batches behind it. (open_producers.c)
 * Steps run on a pool thread on a struct of their own; the shard makes the log of it. */
#include "log/open.h"

#include "base/trace.h"
#include "log/checkpoint.h"
#include "log/leftovers.h"

static void loaded_segment_deinit(struct loaded_segment *segment) {
    mem_free(segment->index.entries);
    mem_free(segment->index.times);
    txn_index_deinit(&segment->aborted);
}

/* ---- step 1: names ------------------------------------------------------------------------------------------------ */

static enum err unlink_in(struct load *load, const char *name) {
    char *path = mem_printf("%s/%s", load->path, name);
    enum err err = fs_unlink(load->fs, path);
    mem_free(path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static char *name_of(int64_t offset, const char *suffix) {
    return mem_printf("%020lld%s", (long long)offset, suffix);
}

enum err load_unlink(struct load *load, int64_t offset, const char *suffix) {
    char *name = name_of(offset, suffix);
    enum err err = unlink_in(load, name);
    mem_free(name);
    return err;
}

enum err load_remove_segment(struct load *load, int64_t base_offset) {
    static const char *const suffixes[] = {".log", ".index", ".timeindex", ".txnindex"};
    enum err err = ERR_OK;
    for (int i = 0; i < COUNT_OF(suffixes) && !err; i++)
        err = load_unlink(load, base_offset, suffixes[i]);
    return err;
}

static void add_segment(struct load *load, int64_t base_offset) {
    if (load->count == load->capacity) {
        load->capacity = load->capacity ? load->capacity * 2 : 1;
        load->segments = mem_realloc(load->segments, sizeof *load->segments * (size_t)load->capacity);
    }
    load->segments[load->count++] = (struct loaded_segment){.base_offset = base_offset,
                                                            .max_timestamp = -1,
                                                            .max_timestamp_offset = -1,
                                                            .first_timestamp = -1,
                                                            .end_offset = base_offset};
}

static void add_snapshot(struct load *load, int64_t offset) {
    if (load->snapshot_count == load->snapshot_capacity) {
        load->snapshot_capacity = load->snapshot_capacity ? load->snapshot_capacity * 2 : 4;
        load->snapshots = mem_realloc(load->snapshots, sizeof *load->snapshots * (size_t)load->snapshot_capacity);
    }
    load->snapshots[load->snapshot_count++] = offset;
}

static enum err list_files(struct load *load) {
    struct fs_entry *entries;
    int count;
    bool changed = false;
    enum err err = fs_list(load->fs, load->path, &entries, &count);
    if (err)
        return err;
    err = leftovers_settle(load->fs, load->path, entries, count, &changed);
    if (!err && changed) {
        fs_list_free(entries, count);
        err = fs_list(load->fs, load->path, &entries, &count);
        if (err)
            return err;
    }
    for (int i = 0; i < count && !err; i++) {
        const char *name = entries[i].name;
        int64_t offset;
        if ((offset = segment_name_offset(name, ".log")) >= 0)
            add_segment(load, offset);
        else if ((offset = segment_name_offset(name, ".snapshot")) >= 0)
            add_snapshot(load, offset);
        else if (segment_name_offset(name, ".txnindex") >= 0)
            load->has_txn_indexes = true;
    }
    fs_list_free(entries, count);
    return err; /* fs_list() sorts, and names of 20 digits sort as numbers */
}

/* ---- step 3: the journal -------------------------------------------------------------------------------------------- */

/* Appends the batches of an entry that the segment lacks. An entry holds what a log got in one turn: a write behind may
 * have brought the first batches of it to the segment, and a crash kept it from the rest. */
static enum err replay_entry(struct load *load, struct loaded_segment *segment, struct file *file, struct slice bytes,
                             int64_t *ret_replayed) {
    for (size_t at = 0; at < bytes.size;) {
        struct slice rest = slice_of(bytes.ptr + at, bytes.size - at);
        if (batch_check(rest))
            return ERR_CORRUPT;
        size_t size = batch_size(rest.ptr);
        at += size;
        if (batch_base_offset(rest.ptr) < load->end)
            continue;
        if (batch_base_offset(rest.ptr) > load->end)
            return ERR_NOT_FOUND;
        enum err err = file_pwrite(file, rest.ptr, size, segment->size);
        if (err)
            return err;
        load_note_batch(load, segment, rest.ptr, segment->size, size);
        segment->size += (int64_t)size;
        load->end = segment->end_offset;
        segment->sealed = false;
        ++*ret_replayed;
    }
    return ERR_OK;
}

static enum err replay_journal(struct load *load) {
    const struct journal_entry *entries;
    int count = inventory_journal_entries(load->store->options.inventory, load->options.dir, load->options.topic_id,
                                          load->options.partition, &entries);
    if (!count)
        return ERR_OK;
    struct loaded_segment *segment = &load->segments[load->count - 1];
    struct file *file;
    enum err err = load_open_segment(load, segment->base_offset, FILE_READ | FILE_WRITE | FILE_CREATE, &file);
    if (err)
        return err;
    int64_t replayed = 0;
    for (int i = 0; i < count && !err; i++) {
        err = replay_entry(load, segment, file, entries[i].bytes, &replayed);
        if (err == ERR_NOT_FOUND && load->options.future) {
            /* A directory that the partition left and came back to may hold entries of its first stay. */
        } else if (err == ERR_NOT_FOUND) {
            trace_error("log", "journal does not continue the log: records between are lost", TRACE_STR("dir", load->path),
                        TRACE_INT("log end", load->end), TRACE_INT("entry", entries[i].base_offset));
        } else if (err == ERR_CORRUPT) {
            trace_error("log", "bad batch in the journal", TRACE_STR("dir", load->path), TRACE_INT("offset", load->end));
        }
    }
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) /* said; what comes before it is good */
        err = ERR_OK;
    if (!err && replayed)
        err = file_sync(file);
    file_unref(file);
    if (!err && replayed && !(err = log_sync_names(load->fs, load->path))) /* before the journal goes */
        load->names_durable = true;
    if (replayed)
        trace_info("log", "batches from the journal", TRACE_STR("dir", load->path), TRACE_INT("batches", replayed),
                   TRACE_INT("end", load->end));
    return err;
}

/* ---- leader epochs -------------------------------------------------------------------------------------------------------- */

static enum err read_epochs(struct load *load) {
    char *path = mem_printf("%s/" CHECKPOINT_EPOCHS, load->path);
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum err err = fs_read_whole(load->fs, path, 64u << 20, &bytes, &size);
    if (!err && epochs_parse(&load->epochs, slice_of(bytes, size)))
        trace_warn("log", "leader epochs are unreadable and taken from the log", TRACE_STR("file", path));
    if (!err)
        buf_add(&load->epochs_file, bytes, size);
    mem_free(bytes);
    mem_free(path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Recovery may know other epochs than the file does. */
static void note_changed_epochs(struct load *load) {
    struct buf text = {0};
    epochs_format(&load->epochs, &text);
    load->epochs_dirty = (load->epochs.count || load->epochs_file.size) && !slice_eq(buf_slice(&text), buf_slice(&load->epochs_file));
    buf_deinit(&text);
    buf_deinit(&load->epochs_file);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

/* A crash came between the two renames at the end of a move: this is the second. */
static enum err promote(struct load *load) {
    const char *dir = log_inventory_dir(load->store->options.inventory, load->options.dir)->path;
    char *from = mem_printf("%s/%s", dir, load->options.promoted);
    enum err err = fs_rename(load->fs, from, load->path);
    if (!err)
        err = fs_sync_dir(load->fs, dir);
    mem_free(from);
    return err;
}

/* One empty segment in place of all there are. */
static enum err begin_anew(struct load *load, int64_t base_offset) {
    enum err err = ERR_OK;
    for (int i = 0; i < load->count && !err; i++) {
        err = load_remove_segment(load, load->segments[i].base_offset);
        loaded_segment_deinit(&load->segments[i]);
    }
    if (load->count && !err) /* those that were may not come back beside the new one */
        err = fs_sync_dir(load->fs, load->path);
    load->count = 0;
    add_segment(load, base_offset);
    load->segments[0].index_loaded = true;
    struct file *file;
    if (!err)
        err = load_open_segment(load, base_offset, FILE_WRITE | FILE_CREATE, &file);
    if (!err)
        file_unref(file);
    return err;
}

static int64_t entry_end(const struct journal_entry *entry) {
    int64_t end = entry->base_offset;
    for (size_t at = 0; at < entry->bytes.size && !batch_check(slice_of(entry->bytes.ptr + at, entry->bytes.size - at));
         at += batch_size(entry->bytes.ptr + at))
        end = batch_last_offset(entry->bytes.ptr + at) + 1;
    return end;
}

/* Where a log without segment files goes on. Retention takes written segments from the front, so that what the journal
 * lacks in between is deleted: the log is what its entries hold without a gap up to the last one. */
static int64_t journal_start(struct load *load, int64_t wanted_start) {
    const struct journal_entry *entries;
    int count = inventory_journal_entries(load->store->options.inventory, load->options.dir, load->options.topic_id,
                                          load->options.partition, &entries);
    if (!count || load->options.future)
        return wanted_start;
    int64_t start = entries[0].base_offset, end = start;
    for (int i = 0; i < count; i++) {
        if (entries[i].base_offset > end)
            start = entries[i].base_offset;
        int64_t own_end = entry_end(&entries[i]);
        end = own_end > end ? own_end : end;
    }
    return end > wanted_start ? start : wanted_start;
}

/* A follower crashed between taking its leader's snapshot and dropping the log that ends below it, or somebody brought a
 * snapshot that is newer than the log. */
static bool snapshot_is_ahead(const struct load *load) {
    int32_t latest = epochs_latest(&load->epochs), known = latest < 0 ? 0 : latest;
    const struct log_open_options *options = &load->options;
    return options->covered_end > 0 && (options->covered_epoch > known || (options->covered_epoch == known && options->covered_end > load->end));
}

static enum err load_log(struct load *load) {
    bool is_new = false;
    enum err err = load->options.promoted ? promote(load) : ERR_OK;
    if (!err)
        err = log_make_dir(shard_runtime(load->store->shard), load->path, load->options.topic_id,
                           !load->options.created, &is_new);
    if (is_new)
        load->checkpoint = (struct inventory_checkpoint){-1, -1, -1, -1};
    if (!err)
        err = list_files(load);
    if (!err)
        err = read_epochs(load);
    if (!err)
        err = load_segments(load);
    if (err)
        return err;
    int64_t wanted_start = load->checkpoint.log_start > 0 ? load->checkpoint.log_start : load->options.first_offset;
    if (!load->count)
        err = begin_anew(load, journal_start(load, wanted_start));
    if (err)
        return err;
    load->end = load->segments[load->count - 1].end_offset;
    err = replay_journal(load);
    /* Only now: what was cut from a segment, up to the start and beyond it, may be in the journal. */
    if (!err && load->end < wanted_start) {
        err = begin_anew(load, wanted_start);
        load->end = wanted_start;
    }
    if (!err && snapshot_is_ahead(load)) {
        trace_warn("log", "a snapshot is newer than the log, which begins anew behind it", TRACE_STR("dir", load->path),
                   TRACE_INT("log end", load->end), TRACE_INT("snapshot", load->options.covered_end));
        err = begin_anew(load, load->options.covered_end);
        load->end = wanted_start = load->options.covered_end;
        load->first_recovered = 0;
        epochs_truncate_end(&load->epochs, 0);
    }
    if (err)
        return err;
    load->start = load->segments[0].base_offset > wanted_start ? load->segments[0].base_offset : wanted_start;
    epochs_truncate_end(&load->epochs, load->end);
    epochs_truncate_start(&load->epochs, load->start);
    note_changed_epochs(load);
    return load_producers(load);
}

static void load_run(struct work *work) {
    struct load *load = container_of(work, struct load, work);
    load->err = load_log(load);
}

static int take_slot(struct log_store *store, struct log *log) {
    if (!store->free_slot_count) {
        int count = store->slot_count ? store->slot_count * 2 : 64;
        store->slots = mem_realloc(store->slots, sizeof *store->slots * (size_t)count);
        store->free_slots = mem_realloc(store->free_slots, sizeof *store->free_slots * (size_t)count);
        for (int i = count; i-- > store->slot_count;) {
            store->slots[i] = (struct log_slot){0};
            store->free_slots[store->free_slot_count++] = i;
        }
        store->slot_count = count;
    }
    int slot = store->free_slots[--store->free_slot_count];
    store->slots[slot].log = log;
    store->slots[slot].generation++;
    return slot;
}

static struct log *make_log(struct load *load) {
    struct log_store *store = load->store;
    struct log *log = mem_new(struct log);
    log->store = store;
    log->slot = take_slot(store, log);
    log->generation = store->slots[log->slot].generation;
    log->dir = load->options.dir;
    log->path = load->path;
    log->topic = load->topic;
    log->topic_id = load->options.topic_id;
    log->partition = load->options.partition;
    log->settings = load->options.settings;
    log->user = load->options.user;
    log->on_progress = load->options.on_progress;
    log->state = store->dirs[log->dir].state;
    log->start = load->start;
    log->end = log->durable_end = log->written_end = log->submitted_end = load->end;
    log->recovery_point = load->end; /* what was found is on the device: it was synced, or stopped cleanly */
    log->producers = load->producers;
    log->epochs = load->epochs;
    log->names_durable = load->names_durable;
    log->epochs_dirty = load->epochs_dirty;
    log->epoch_appended = -1;
    list_init(&log->blocks);
    list_init(&log->dirty);
    list_init(&log->behind);
    list_init(&log->progress);
    list_init(&log->held);
    list_init(&log->swap_held);
    list_init(&log->compacted);
    log->cleaned_end = load->checkpoint.cleaned;
    log->is_copy = load->options.future != NULL;
    for (int i = 0; i < load->count; i++) {
        struct loaded_segment *from = &load->segments[i];
        struct segment *segment = segment_create(log, from->base_offset);
        segment->size = segment->written = from->size;
        segment->max_timestamp = from->max_timestamp;
        segment->max_timestamp_offset = from->max_timestamp_offset;
        segment->first_timestamp = from->first_timestamp;
        if (from->mtime_ms)
            segment->created_ms = from->mtime_ms;
        segment->bytes_since_index = from->bytes_since_index;
        segment->index = from->index;
        segment->index_loaded = from->index_loaded;
        segment->aborted = from->aborted;
        segment->sealed = from->sealed;
        segment->exists = true;
        log_add_segment(log, segment);
    }
    log->durable_segment = log_last_segment(log);
    log->durable_pos = log->durable_segment->size;
    compaction_set_policy(log);
    return log;
}

static void load_done(struct shard *shard, struct work *work) {
    (void)shard;
    struct load *load = container_of(work, struct load, work);
    void (*done)(struct log *log, enum err err, void *user) = load->done;
    void *user = load->options.user;
    struct log *log = NULL;
    enum err err = load->err;
    if (!err) {
        log = make_log(load);
    } else {
        trace_error("log", "cannot open a log", TRACE_STR("dir", load->path), TRACE_ERR(err));
        producers_clear(&load->producers);
        buf_deinit(&load->epochs_file);
        epochs_deinit(&load->epochs);
        for (int i = 0; i < load->count; i++)
            loaded_segment_deinit(&load->segments[i]);
        mem_free(load->topic);
        mem_free(load->path);
    }
    mem_free(load->segments);
    mem_free(load->snapshots);
    mem_free(load);
    done(log, err, user);
}

void log_open(struct log_store *store, const struct log_open_options *options,
              void (*done)(struct log *log, enum err err, void *user)) {
    struct load *load = mem_new(struct load);
    load->store = store;
    load->fs = store->fs;
    load->options = *options;
    load->topic = mem_strndup((const char *)options->topic.ptr, options->topic.size);
    load->options.topic = slice_str(load->topic);
    load->done = done;
    const struct log_inventory_dir *dir = log_inventory_dir(store->options.inventory, options->dir);
    load->path = options->future ? mem_printf("%s/%s", dir->path, options->future)
                                 : mem_printf("%s/%s-%d", dir->path, load->topic, (int)options->partition);
    load->clean = dir->clean && !options->always_recover;
    load->checkpoint.cleaned = -1;
    if (!options->created && !options->future)
        load->checkpoint = inventory_checkpoint(store->options.inventory, options->dir, load->options.topic, options->partition);
    load->work = (struct work){.run = load_run, .done = load_done};
    shard_offload(store->shard, &load->work);
}
