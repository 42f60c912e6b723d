/* Opening a log: what the last run left is read, cut where it is torn, and joined with what its journal holds.
 *
 * 1. Files of unfinished work are settled: see leftovers.c.
 * 2. After a clean stop segments are believed; only the batches behind the last index entry of the last one are walked.
 *    Otherwise every segment from the recovery point on is read whole, each CRC checked, cut at the first bad batch,
 *    and its indexes are made anew. What follows a cut segment goes.
 * 3. Journal entries that continue the log are appended to the last segment, flushed. Those below its end are there
 *    already.
 * 4. The producers' state: the newest snapshot that fits, then the batches behind it.
 * Steps run on a pool thread on a struct of their own; the shard makes the log of it. */
#include <stdlib.h>
#include "base/check.h"
#include "base/trace.h"
#include "log/checkpoint.h"
#include "log/internal.h"
#include "log/recall.h"
#include "log/leftovers.h"
#include "log/scan.h"

struct loaded_segment {
    int64_t base_offset, size, mtime_ms;
    int64_t max_timestamp, max_timestamp_offset, first_timestamp;
    int64_t end_offset; /* after its last batch; known for scanned ones */
    uint32_t bytes_since_index;
    struct segment_index index;
    bool index_loaded, sealed;
    struct txn_index aborted;
};

static void loaded_segment_deinit(struct loaded_segment *segment) {
    mem_free(segment->index.entries);
    mem_free(segment->index.times);
    txn_index_deinit(&segment->aborted);
}

struct load {
    struct work work;
    struct log_store *store;
    struct fs *fs;
    struct log_open_options options;
    char *topic, *path;
    bool clean;
    struct inventory_checkpoint checkpoint;
    struct loaded_segment *segments;
    int count, capacity;
    int64_t *snapshots; /* offsets, ascending */
    int snapshot_count, snapshot_capacity;
    int first_recovered; /* segments from here on were read whole, their transaction indexes are made anew */
    bool has_txn_indexes;
    int64_t start, end;
    struct producers producers;
    struct epochs epochs;
    bool names_durable;
    struct buf epochs_file; /* what the checkpoint holds */
    bool epochs_dirty;
    void (*done)(struct log *log, enum err err, void *user);
    enum err err;
};

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

static enum err unlink_offset(struct load *load, int64_t offset, const char *suffix) {
    char *name = name_of(offset, suffix);
    enum err err = unlink_in(load, name);
    mem_free(name);
    return err;
}

static enum err remove_segment_files(struct load *load, int64_t base_offset) {
    static const char *const suffixes[] = {".log", ".index", ".timeindex", ".txnindex"};
    enum err err = ERR_OK;
    for (int i = 0; i < COUNT_OF(suffixes) && !err; i++)
        err = unlink_offset(load, base_offset, suffixes[i]);
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
    if (!err)
        err = leftovers_settle(load->fs, load->path, entries, count, &changed);
    if (!err && changed) {
        fs_list_free(entries, count);
        err = fs_list(load->fs, load->path, &entries, &count);
    }
    if (err)
        return err;
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

/* ---- step 2: segments ---------------------------------------------------------------------------------------------- */

static void note_batch(struct load *load, struct loaded_segment *segment, const uint8_t *batch, int64_t pos, size_t size) {
    int64_t last = any_last_offset(batch), timestamp = any_max_timestamp(batch);
    if (batch_magic(batch) == 2)
        epochs_assign(&load->epochs, batch_leader_epoch(batch), batch_base_offset(batch));
    if (pos == 0)
        segment->first_timestamp = timestamp;
    if (timestamp > segment->max_timestamp) {
        segment->max_timestamp = timestamp;
        segment->max_timestamp_offset = last;
    }
    if (segment->bytes_since_index > (uint32_t)load->options.settings.index_interval_bytes) {
        index_add(&segment->index, (uint32_t)(last - segment->base_offset), (uint32_t)pos);
        index_add_time(&segment->index, segment->max_timestamp,
                       (uint32_t)(segment->max_timestamp_offset - segment->base_offset));
        segment->bytes_since_index = 0;
    }
    segment->bytes_since_index += (uint32_t)size;
    segment->end_offset = last + 1;
}

static enum err open_segment_file(struct load *load, int64_t base_offset, int flags, struct file **ret_file) {
    char *path = mem_printf("%s/%020lld.log", load->path, (long long)base_offset);
    enum err err = fs_open(load->fs, path, flags, ret_file);
    mem_free(path);
    return err;
}

/* Reads the whole segment and cuts it where its bytes end to be batches. *ret_cut tells whether it was. */
static enum err recover_segment(struct load *load, struct loaded_segment *segment, bool *ret_cut) {
    struct file *file;
    enum err err = open_segment_file(load, segment->base_offset, FILE_READ | FILE_WRITE, &file);
    if (err)
        return err;
    int64_t size;
    err = file_size(file, &size);
    mem_free(segment->index.entries);
    mem_free(segment->index.times);
    segment->index = (struct segment_index){0};
    segment->max_timestamp = segment->max_timestamp_offset = segment->first_timestamp = -1;
    segment->end_offset = segment->base_offset;
    segment->bytes_since_index = 0;
    segment->index_loaded = true;
    segment->sealed = false;
    *ret_cut = false;
    if (err || !size) { /* of an idle partition, and there may be 100,000: nothing to read or to flush */
        file_unref(file);
        return err;
    }
    struct segment_scan scan;
    segment_scan_init(&scan, file, 0, size);
    while (!err && !(err = segment_scan_next(&scan))) {
        if (batch_base_offset(scan.batch) < segment->end_offset) {
            err = ERR_CORRUPT;
            break;
        }
        note_batch(load, segment, scan.batch, scan.batch_pos, scan.batch_size);
        segment->size = scan.pos;
    }
    if (err == ERR_NOT_FOUND) {
        err = ERR_OK;
    } else if (err == ERR_CORRUPT || err == ERR_TRUNCATED) {
        bool zeros = true; /* the padding of the last direct write is no loss */
        uint8_t head[BATCH_HEADER_SIZE] = {0};
        size_t count = 0;
        if (file_pread(file, head, sizeof head, segment->size, 0, &count))
            count = 0;
        for (size_t i = 0; i < count; i++)
            zeros = zeros && !head[i];
        if (!zeros)
            trace_warn("log", "segment is cut at a bad batch", TRACE_STR("dir", load->path),
                       TRACE_INT("segment", segment->base_offset), TRACE_INT("position", segment->size),
                       TRACE_INT("offset", segment->end_offset), TRACE_INT("bytes", size - segment->size));
        *ret_cut = !zeros;
        err = file_truncate(file, segment->size);
    }
    if (!err)
        err = file_sync(file);
    segment_scan_deinit(&scan);
    file_unref(file);
    return err;
}

static enum err read_txn_index(struct load *load, struct loaded_segment *segment) {
    char *path = mem_printf("%s/%020lld.txnindex", load->path, (long long)segment->base_offset);
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum err err = fs_read_whole(load->fs, path, 1u << 30, &bytes, &size);
    if (!err && txn_index_decode(&segment->aborted, slice_of(bytes, size)))
        trace_warn("log", "transaction index is corrupt", TRACE_STR("file", path));
    mem_free(bytes);
    mem_free(path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* A segment as a clean stop left it. */
static enum err trust_segment(struct load *load, struct loaded_segment *segment, bool last) {
    char *path = mem_printf("%s/%020lld.log", load->path, (long long)segment->base_offset);
    struct fs_stat stat;
    enum err err = fs_stat(load->fs, path, &stat);
    mem_free(path);
    if (err)
        return err;
    segment->size = stat.size;
    segment->mtime_ms = stat.mtime_ms;
    segment->sealed = true;
    if (stat.size == 0) {
        segment->index_loaded = true;
        return ERR_OK;
    }
    err = segment_read_index_files(load->fs, load->path, segment->base_offset, stat.size, &segment->index);
    bool cut;
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT) {
        trace_warn("log", "index is made anew", TRACE_STR("dir", load->path), TRACE_INT("segment", segment->base_offset));
        err = recover_segment(load, segment, &cut);
        if (!err)
            err = segment_write_index_files(load->fs, load->path, segment->base_offset, "", &segment->index,
                                            segment->max_timestamp, segment->max_timestamp_offset, true);
        segment->sealed = !err;
        return err;
    }
    if (err)
        return err;
    segment->index_loaded = true;
    const struct segment_index *index = &segment->index;
    if (index->time_count) {
        segment->max_timestamp = index->times[index->time_count - 1].timestamp;
        segment->max_timestamp_offset = segment->base_offset + index->times[index->time_count - 1].offset;
    }
    const struct log_settings *settings = &load->options.settings;
    bool times = settings->compact_policy && settings->max_compaction_lag_ms < INT64_MAX;
    struct file *file;
    if (!last && times && !open_segment_file(load, segment->base_offset, FILE_READ, &file)) {
        struct segment_scan scan;
        segment_scan_init(&scan, file, 0, stat.size);
        scan.headers_only = true;
        if (!segment_scan_next(&scan))
            segment->first_timestamp = any_max_timestamp(scan.batch);
        segment_scan_deinit(&scan);
        file_unref(file);
    }
    if (last)
        err = open_segment_file(load, segment->base_offset, FILE_READ, &file);
    if (last && !err) { /* where does it end, and when did it begin? */
        int64_t from = index->count ? index->entries[index->count - 1].pos : 0;
        struct segment_scan scan;
        segment_scan_init(&scan, file, 0, stat.size);
        scan.headers_only = true;
        if (!(err = segment_scan_next(&scan)))
            segment->first_timestamp = any_max_timestamp(scan.batch);
        int64_t max = segment->max_timestamp, max_offset = segment->max_timestamp_offset;
        scan.pos = from;
        while (!err && !(err = segment_scan_next(&scan))) {
            segment->end_offset = any_last_offset(scan.batch) + 1;
            segment->bytes_since_index += (uint32_t)scan.batch_size;
            if (any_max_timestamp(scan.batch) > max) {
                max = any_max_timestamp(scan.batch);
                max_offset = any_last_offset(scan.batch);
            }
        }
        segment->max_timestamp = max;
        segment->max_timestamp_offset = max_offset;
        segment_scan_deinit(&scan);
        file_unref(file);
        if (err == ERR_NOT_FOUND)
            err = ERR_OK;
        else if (err == ERR_CORRUPT || err == ERR_TRUNCATED)
            err = recover_segment(load, segment, &cut);
    }
    if (!last) { /* in memory again when it is read */
        mem_free(segment->index.entries);
        mem_free(segment->index.times);
        segment->index = (struct segment_index){0};
        segment->index_loaded = false;
    }
    return err;
}

static enum err load_segments(struct load *load) {
    int64_t point = load->options.always_recover ? 0
                    : load->checkpoint.recovery_point > 0 ? load->checkpoint.recovery_point
                                                          : 0;
    load->first_recovered = load->count;
    if (!load->clean) {
        load->first_recovered = 0;
        for (int i = 0; i < load->count; i++)
            if (load->segments[i].base_offset <= point)
                load->first_recovered = i;
    }
    enum err err = ERR_OK;
    for (int i = 0; i < load->count && !err; i++) {
        bool cut = false;
        if (i < load->first_recovered) {
            err = trust_segment(load, &load->segments[i], i + 1 == load->count);
            if (!err)
                err = read_txn_index(load, &load->segments[i]);
        } else {
            epochs_truncate_end(&load->epochs, load->segments[i].base_offset);
            err = recover_segment(load, &load->segments[i], &cut);
            if (!err && i + 1 < load->count) /* rolled: its indexes belong on disk */
                err = segment_write_index_files(load->fs, load->path, load->segments[i].base_offset, "",
                                                &load->segments[i].index, load->segments[i].max_timestamp,
                                                load->segments[i].max_timestamp_offset, true);
            load->segments[i].sealed = i + 1 < load->count;
        }
        if (!err && cut) {
            for (int later = i + 1; later < load->count && !err; later++)
                err = remove_segment_files(load, load->segments[later].base_offset);
            load->count = i + 1;
            load->segments[i].sealed = false;
        }
    }
    return err;
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
        note_batch(load, segment, rest.ptr, segment->size, size);
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
    enum err err = open_segment_file(load, segment->base_offset, FILE_READ | FILE_WRITE | FILE_CREATE, &file);
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

/* ---- step 4: producers, epochs ---------------------------------------------------------------------------------------- */

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

static enum err read_snapshot(struct load *load, int64_t offset) {
    char *path = mem_printf("%s/%020lld.snapshot", load->path, (long long)offset);
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum err err = fs_read_whole(load->fs, path, 1u << 30, &bytes, &size);
    if (!err)
        err = producers_decode(&load->producers, slice_of(bytes, size));
    mem_free(bytes);
    mem_free(path);
    return err;
}

/* Position in the segment from which at least RECALL_BYTES lie before its end. */
static enum err recall_start(struct load *load, const struct loaded_segment *segment, int64_t *ret_pos) {
    *ret_pos = 0;
    if (segment->size <= RECALL_BYTES)
        return ERR_OK;
    struct segment_index read = {0};
    const struct segment_index *index = &segment->index;
    if (!segment->index_loaded) {
        enum err err = segment_read_index_files(load->fs, load->path, segment->base_offset, segment->size, &read);
        if (err)
            return err;
        index = &read;
    }
    for (uint32_t i = 0; i < index->count && index->entries[i].pos <= segment->size - RECALL_BYTES; i++)
        *ret_pos = index->entries[i].pos;
    mem_free(read.entries);
    mem_free(read.times);
    return ERR_OK;
}

/* The producers are those of the snapshot at `offset`. */
static void recall_batches(struct load *load, int64_t offset) {
    int64_t left = RECALL_BYTES;
    for (int at = load->count - 1; at >= 0 && left > 0 && load->producers.map.count; at--) {
        const struct loaded_segment *segment = &load->segments[at];
        struct file *file;
        int64_t pos;
        if (segment->base_offset >= offset || !segment->size)
            continue;
        if (recall_start(load, segment, &pos) || open_segment_file(load, segment->base_offset, FILE_READ, &file))
            return;
        producers_recall_from(&load->producers, file, pos, segment->size, offset);
        file_unref(file);
        left -= segment->size + FILE_DIRECT_ALIGN; /* however many and small they are, it ends */
    }
}

/* A batch that was whole when its segment was written, and is no longer: it is said, and stays, so that consumers see its
 * wrong CRC and offsets do not move. False: not even its length can be believed. */
static bool skip_bad_batch(struct load *load, const struct loaded_segment *segment, struct segment_scan *scan, int64_t offset) {
    trace_error("log", "bad batch in a segment", TRACE_STR("dir", load->path), TRACE_INT("segment", segment->base_offset),
                TRACE_INT("position", scan->pos), TRACE_INT("offset", offset));
    scan->pos += (int64_t)scan->bad_size;
    return scan->bad_size;
}

static enum err replay_producers(struct load *load, int64_t from) {
    enum err err = ERR_OK;
    for (int i = 0; i < load->count && !err; i++) {
        struct loaded_segment *segment = &load->segments[i];
        if (i + 1 < load->count && load->segments[i + 1].base_offset <= from)
            continue;
        if (!segment->size)
            continue;
        struct file *file;
        err = open_segment_file(load, segment->base_offset, FILE_READ, &file);
        if (err)
            break;
        struct segment_scan scan;
        segment_scan_init(&scan, file, 0, segment->size);
        int64_t last_aborted = segment->aborted.count ? segment->aborted.entries[segment->aborted.count - 1].last_offset : -1;
        for (int64_t next = segment->base_offset;; next = batch_last_offset(scan.batch) + 1) {
            while ((err = segment_scan_next(&scan)) == ERR_CORRUPT && skip_bad_batch(load, segment, &scan, next))
                ;
            if (err)
                break;
            struct aborted_txn aborted;
            if (batch_magic(scan.batch) == 2 && batch_last_offset(scan.batch) >= from &&
                producers_append(&load->producers, scan.batch, &aborted) && aborted.last_offset > last_aborted)
                txn_index_add(&segment->aborted, &aborted);
        }
        if (err == ERR_CORRUPT || err == ERR_TRUNCATED)
            err = ERR_NOT_FOUND; /* said; what comes behind it cannot be found */
        if (err == ERR_NOT_FOUND)
            err = ERR_OK;
        segment_scan_deinit(&scan);
        file_unref(file);
    }
    return err;
}

/* The transaction indexes of recovered segments, whose files nobody had synced. */
static enum err rewrite_txn_indexes(struct load *load) {
    enum err err = ERR_OK;
    for (int i = load->first_recovered; i < load->count && !err; i++) {
        struct loaded_segment *segment = &load->segments[i];
        if (segment->aborted.count)
            err = segment_write_txn_index(load->fs, load->path, segment->base_offset, "", &segment->aborted);
        else if (load->has_txn_indexes)
            err = unlink_offset(load, segment->base_offset, ".txnindex");
    }
    return err;
}

static bool is_segment_base(const struct load *load, int64_t offset) {
    for (int i = 0; i < load->count; i++)
        if (load->segments[i].base_offset == offset)
            return true;
    return false;
}

static enum err load_producers(struct load *load) {
    /* Not above the first recovered segment: its transaction index comes from the replay. */
    int64_t newest = load->first_recovered < load->count ? load->segments[load->first_recovered].base_offset : load->end;
    int64_t from = load->start;
    for (int i = load->snapshot_count; i-- > 0;) {
        int64_t offset = load->snapshots[i];
        if (offset > newest || offset < load->start || read_snapshot(load, offset)) {
            enum err err = unlink_offset(load, offset, ".snapshot");
            if (err)
                return err;
            continue;
        }
        from = offset;
        recall_batches(load, from);
        for (int old = 0; old < i; old++) /* older ones serve only where a segment begins */
            if (!is_segment_base(load, load->snapshots[old])) {
                enum err err = unlink_offset(load, load->snapshots[old], ".snapshot");
                if (err)
                    return err;
            }
        break;
    }
    if (from == load->start && load->clean && !load->snapshot_count)
        return ERR_OK; /* as Kafka: a clean directory without snapshots has no producers */
    enum err err = from < load->end ? replay_producers(load, from) : ERR_OK;
    return err ? err : rewrite_txn_indexes(load);
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
        err = remove_segment_files(load, load->segments[i].base_offset);
        loaded_segment_deinit(&load->segments[i]);
    }
    if (load->count && !err) /* those that were may not come back beside the new one */
        err = fs_sync_dir(load->fs, load->path);
    load->count = 0;
    add_segment(load, base_offset);
    load->segments[0].index_loaded = true;
    struct file *file;
    if (!err)
        err = open_segment_file(load, base_offset, FILE_WRITE | FILE_CREATE, &file);
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
        segment->unchecked_to = i < load->first_recovered ? from->size : 0; /* recovery has read the others */
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
