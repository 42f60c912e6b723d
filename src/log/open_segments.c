/* Opening a log, step 2: segments are believed, or read whole and cut where they are torn. See open.c. */
#include "log/open.h"

#include "base/trace.h"
#include "log/scan.h"

void load_note_batch(struct load *load, struct loaded_segment *segment, const uint8_t *batch, int64_t pos, size_t size) {
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

enum err load_open_segment(struct load *load, int64_t base_offset, int flags, struct file **ret_file) {
    char *path = mem_printf("%s/%020lld.log", load->path, (long long)base_offset);
    enum err err = fs_open(load->fs, path, flags, ret_file);
    mem_free(path);
    return err;
}

/* At its end of batches. *ret_cut: what goes was more than the padding of the last direct write, which is no loss. */
static enum err cut_segment(struct load *load, const struct loaded_segment *segment, struct file *file, int64_t size, bool *ret_cut) {
    bool zeros = true;
    uint8_t head[BATCH_HEADER_SIZE] = {0};
    size_t count = 0;
    if (file_pread(file, head, sizeof head, segment->size, 0, &count))
        count = 0;
    for (size_t i = 0; i < count; i++)
        zeros = zeros && !head[i];
    if (!zeros)
        trace_warn("log", "segment is cut at a bad batch", TRACE_STR("dir", load->path), TRACE_INT("segment", segment->base_offset),
                   TRACE_INT("position", segment->size), TRACE_INT("offset", segment->end_offset), TRACE_INT("bytes", size - segment->size));
    *ret_cut = !zeros;
    return file_truncate(file, segment->size);
}

/* Reads the whole segment and cuts it where its bytes end to be batches. *ret_cut tells whether it was. */
static enum err recover_segment(struct load *load, struct loaded_segment *segment, bool *ret_cut) {
    struct file *file;
    enum err err = load_open_segment(load, segment->base_offset, FILE_READ | FILE_WRITE, &file);
    if (err)
        return err;
    int64_t size;
    err = file_size(file, &size);
    mem_free(segment->index.entries);
    mem_free(segment->index.times);
    segment->index = (struct segment_index){0};
    segment->max_timestamp = segment->max_timestamp_offset = segment->first_timestamp = -1;
    segment->size = 0;
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
        load_note_batch(load, segment, scan.batch, scan.batch_pos, scan.batch_size);
        segment->size = scan.pos;
    }
    if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    else if (err == ERR_CORRUPT || err == ERR_TRUNCATED)
        err = cut_segment(load, segment, file, size, ret_cut);
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

/* Of its first batch; left unknown when that cannot be read. */
static void read_first_timestamp(struct load *load, struct loaded_segment *segment) {
    struct file *file;
    if (load_open_segment(load, segment->base_offset, FILE_READ, &file))
        return;
    struct segment_scan scan;
    segment_scan_init(&scan, file, 0, segment->size);
    scan.headers_only = true;
    if (!segment_scan_next(&scan))
        segment->first_timestamp = any_max_timestamp(scan.batch);
    segment_scan_deinit(&scan);
    file_unref(file);
}

/* Where the last segment ends: its batches behind the last index entry are walked. */
static enum err find_end(struct load *load, struct loaded_segment *segment) {
    const struct segment_index *index = &segment->index;
    struct file *file;
    enum err err = load_open_segment(load, segment->base_offset, FILE_READ, &file);
    if (err)
        return err;
    struct segment_scan scan;
    segment_scan_init(&scan, file, index->count ? index->entries[index->count - 1].pos : 0, segment->size);
    scan.headers_only = true;
    while (!(err = segment_scan_next(&scan))) {
        segment->end_offset = any_last_offset(scan.batch) + 1;
        segment->bytes_since_index += (uint32_t)scan.batch_size;
        if (any_max_timestamp(scan.batch) > segment->max_timestamp) {
            segment->max_timestamp = any_max_timestamp(scan.batch);
            segment->max_timestamp_offset = any_last_offset(scan.batch);
        }
    }
    segment_scan_deinit(&scan);
    file_unref(file);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err make_indexes_anew(struct load *load, struct loaded_segment *segment) {
    bool cut;
    trace_warn("log", "index is made anew", TRACE_STR("dir", load->path), TRACE_INT("segment", segment->base_offset));
    enum err err = recover_segment(load, segment, &cut);
    if (!err)
        err = segment_write_index_files(load->fs, load->path, segment->base_offset, "", &segment->index, segment->max_timestamp,
                                        segment->max_timestamp_offset, true);
    segment->sealed = !err;
    return err;
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
    segment->index_loaded = stat.size == 0;
    if (stat.size == 0)
        return ERR_OK;
    err = segment_read_index_files(load->fs, load->path, segment->base_offset, stat.size, &segment->index);
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT)
        return make_indexes_anew(load, segment);
    if (err)
        return err;
    segment->index_loaded = true;
    const struct segment_index *index = &segment->index;
    if (index->time_count) {
        segment->max_timestamp = index->times[index->time_count - 1].timestamp;
        segment->max_timestamp_offset = segment->base_offset + index->times[index->time_count - 1].offset;
    }
    const struct log_settings *settings = &load->options.settings;
    if (last || (settings->compact_policy && settings->max_compaction_lag_ms < INT64_MAX))
        read_first_timestamp(load, segment);
    if (last) {
        bool cut;
        err = find_end(load, segment);
        return err == ERR_CORRUPT || err == ERR_TRUNCATED ? recover_segment(load, segment, &cut) : err;
    }
    mem_free(segment->index.entries); /* in memory again when it is read */
    mem_free(segment->index.times);
    segment->index = (struct segment_index){0};
    segment->index_loaded = false;
    return ERR_OK;
}

enum err load_segments(struct load *load) {
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
                err = load_remove_segment(load, load->segments[later].base_offset);
            load->count = i + 1;
            load->segments[i].sealed = false;
        }
    }
    return err;
}
