/* Segments: their files, their indexes in memory and on disk, and the array of them in a log.
 *
 * Index files are written when a segment is sealed: rolled, wholly on the device, cut to its length. The last segment
 * has its indexes in memory alone; a clean stop seals it too, and after a crash it is scanned anyway.
 *
 * NNN.index       entries i32 offset - base, i32 position.       Rule per batch: when more than index.interval.bytes came
 * NNN.timeindex   entries i64 timestamp, i32 offset - base.      since the last entry, add one for the batch. Sealing adds
 *                                                                a time entry for the largest timestamp of all. */
#include "base/endian.h"
#include "base/trace.h"
#include "log/internal.h"

struct segment *segment_create(struct log *log, int64_t base_offset) {
    struct segment *segment = mem_new(struct segment);
    segment->log = log;
    segment->base_offset = base_offset;
    segment->max_timestamp = segment->max_timestamp_offset = segment->first_timestamp = -1;
    segment->created_ms = shard_wall_ms(log->store->shard);
    int64_t jitter = log->settings.segment_jitter_ms < log->settings.segment_ms ? log->settings.segment_jitter_ms
                                                                                : log->settings.segment_ms;
    if (jitter > 0)
        segment->roll_jitter_ms = (int64_t)(shard_random(log->store->shard) % (uint64_t)jitter);
    segment->index_loaded = true;
    segment->pins = 1;
    list_init(&segment->lru);
    return segment;
}

void segment_index_free(struct segment *segment) {
    mem_free(segment->index.entries);
    mem_free(segment->index.times);
    segment->index = (struct segment_index){0};
    segment->index_loaded = false;
}

static void segment_free(struct segment *segment) {
    segment_close_files(segment);
    segment_index_free(segment);
    txn_index_deinit(&segment->aborted);
    mem_free(segment);
}

void segment_pin(struct segment *segment) {
    segment->pins++;
}

void segment_unpin(struct segment *segment) {
    if (--segment->pins == 0)
        segment_free(segment);
}

char *segment_path(const struct segment *segment, const char *suffix) {
    return mem_printf("%s/%020lld%s", segment->log->path, (long long)segment->base_offset, suffix);
}

void segment_close_files(struct segment *segment) {
    file_unref(segment->file);
    file_unref(segment->direct);
    segment->file = segment->direct = NULL;
    if (!list_is_empty(&segment->lru)) {
        list_remove(&segment->lru);
        segment->log->store->open_segment_count--;
    }
}

void segment_touch(struct segment *segment) {
    struct log_store *store = segment->log->store;
    if (list_is_empty(&segment->lru))
        store->open_segment_count++;
    else
        list_remove(&segment->lru);
    list_push_back(&store->open_segments, &segment->lru);
    /* Work in flight holds references of its own to the files. */
    while (store->open_segment_count > OPEN_SEGMENTS_MAX)
        segment_close_files(container_of(store->open_segments.next, struct segment, lru));
}

/* ---- indexes ----------------------------------------------------------------------------------------------------- */

void index_add(struct segment_index *index, uint32_t offset, uint32_t pos) {
    if (index->count == index->capacity) {
        index->capacity = index->capacity ? index->capacity * 2 : 16;
        index->entries = mem_realloc(index->entries, sizeof *index->entries * index->capacity);
    }
    index->entries[index->count++] = (struct index_entry){offset, pos};
}

void index_add_time(struct segment_index *index, int64_t timestamp, uint32_t offset) {
    if (index->time_count && index->times[index->time_count - 1].timestamp >= timestamp)
        return;
    if (index->time_count == index->time_capacity) {
        index->time_capacity = index->time_capacity ? index->time_capacity * 2 : 16;
        index->times = mem_realloc(index->times, sizeof *index->times * index->time_capacity);
    }
    index->times[index->time_count++] = (struct time_entry){timestamp, offset};
}

void segment_note_batch(struct segment *segment, const uint8_t *batch, int64_t pos, int32_t index_interval_bytes) {
    int64_t last = batch_last_offset(batch), timestamp = batch_max_timestamp(batch);
    segment->sealed = false; /* a clean stop left it whole, and now it grows */
    if (pos == 0)
        segment->first_timestamp = timestamp;
    if (timestamp > segment->max_timestamp) {
        segment->max_timestamp = timestamp;
        segment->max_timestamp_offset = last;
    }
    if (segment->bytes_since_index > (uint32_t)index_interval_bytes) {
        index_add(&segment->index, (uint32_t)(last - segment->base_offset), (uint32_t)pos);
        index_add_time(&segment->index, segment->max_timestamp,
                       (uint32_t)(segment->max_timestamp_offset - segment->base_offset));
        segment->bytes_since_index = 0;
    }
    segment->bytes_since_index += (uint32_t)batch_size(batch);
}

bool segment_index_is_full(const struct segment *segment) {
    uint32_t bytes = (uint32_t)segment->log->settings.segment_index_bytes;
    return segment->index.count >= bytes / 8 || segment->index.time_count + 1 >= bytes / 12;
}

int64_t segment_index_find(const struct segment *segment, int64_t offset, int64_t *ret_last) {
    const struct segment_index *index = &segment->index;
    if (offset < segment->base_offset)
        return 0;
    uint32_t low = 0, high = index->count; /* entries below low are <= offset */
    uint64_t relative = (uint64_t)(offset - segment->base_offset);
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (index->entries[mid].offset <= relative)
            low = mid + 1;
        else
            high = mid;
    }
    if (!low)
        return 0;
    if (ret_last)
        *ret_last = segment->base_offset + (int64_t)index->entries[low - 1].offset;
    return index->entries[low - 1].pos;
}

int64_t segment_index_upper(const struct segment *segment, int64_t pos) {
    const struct segment_index *index = &segment->index;
    const struct log *log = segment->log;
    uint32_t low = 0, high = index->count; /* entries below low lie before pos */
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if ((int64_t)index->entries[mid].pos < pos)
            low = mid + 1;
        else
            high = mid;
    }
    if (low < index->count)
        return segment->base_offset + (int64_t)index->entries[low].offset;
    int at = log_find_segment(log, segment->base_offset);
    return at + 1 < log->segment_count ? log->segments[at + 1]->base_offset : log->end;
}

static enum err write_file(struct fs *fs, const char *path, const struct buf *bytes, bool sync) {
    struct file *file;
    enum err err = fs_open(fs, path, FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &file);
    if (err)
        return err;
    if (bytes->size)
        err = file_pwrite(file, bytes->ptr, bytes->size, 0);
    if (!err && sync)
        err = file_sync(file);
    file_unref(file);
    return err;
}

enum err segment_write_index_files(struct fs *fs, const char *path, int64_t base_offset, const char *suffix,
                                   const struct segment_index *index, int64_t max_timestamp,
                                   int64_t max_timestamp_offset, bool sync) {
    struct buf bytes = {0};
    for (uint32_t i = 0; i < index->count; i++) {
        store_be32(buf_extend(&bytes, 4), index->entries[i].offset);
        store_be32(buf_extend(&bytes, 4), index->entries[i].pos);
    }
    char *name = mem_printf("%s/%020lld.index%s", path, (long long)base_offset, suffix);
    enum err err = write_file(fs, name, &bytes, sync);
    mem_free(name);
    buf_clear(&bytes);
    int64_t last = -1;
    for (uint32_t i = 0; i < index->time_count; i++) {
        store_be64(buf_extend(&bytes, 8), (uint64_t)index->times[i].timestamp);
        store_be32(buf_extend(&bytes, 4), index->times[i].offset);
        last = index->times[i].timestamp;
    }
    if (max_timestamp > last && max_timestamp >= 0) {
        store_be64(buf_extend(&bytes, 8), (uint64_t)max_timestamp);
        store_be32(buf_extend(&bytes, 4), (uint32_t)(max_timestamp_offset - base_offset));
    }
    name = mem_printf("%s/%020lld.timeindex%s", path, (long long)base_offset, suffix);
    if (!err)
        err = write_file(fs, name, &bytes, sync);
    mem_free(name);
    buf_deinit(&bytes);
    return err;
}

enum err segment_write_txn_index(struct fs *fs, const char *path, int64_t base_offset, const char *suffix,
                                 const struct txn_index *index) {
    struct buf bytes = {0};
    txn_index_encode(index, &bytes);
    char *name = mem_printf("%s/%020lld.txnindex%s", path, (long long)base_offset, suffix);
    enum err err = write_file(fs, name, &bytes, true);
    mem_free(name);
    buf_deinit(&bytes);
    return err;
}

enum err segment_read_index_files(struct fs *fs, const char *path, int64_t base_offset, int64_t size,
                                  struct segment_index *ret_index) {
    struct segment_index index = {0};
    uint8_t *bytes = NULL;
    size_t count = 0;
    char *name = mem_printf("%s/%020lld.index", path, (long long)base_offset);
    enum err err = fs_read_whole(fs, name, 1u << 30, &bytes, &count);
    mem_free(name);
    for (size_t at = 0; !err && at + 8 <= count; at += 8) {
        uint32_t offset = load_be32(bytes + at), pos = load_be32(bytes + at + 4);
        if (index.count && (offset <= index.entries[index.count - 1].offset || pos <= index.entries[index.count - 1].pos)) {
            if (offset || pos) /* a crashed Kafka leaves zeros at the end */
                err = ERR_CORRUPT;
            break;
        }
        if (!offset && !pos)
            break;
        if (pos >= size)
            err = ERR_CORRUPT;
        else
            index_add(&index, offset, pos);
    }
    if (!err && count % 8)
        err = ERR_CORRUPT;
    mem_free(bytes);
    bytes = NULL;
    if (!err) {
        name = mem_printf("%s/%020lld.timeindex", path, (long long)base_offset);
        err = fs_read_whole(fs, name, 1u << 30, &bytes, &count);
        mem_free(name);
        for (size_t at = 0; !err && at + 12 <= count; at += 12) {
            int64_t timestamp = (int64_t)load_be64(bytes + at);
            if (index.time_count && timestamp <= index.times[index.time_count - 1].timestamp)
                break;
            index_add_time(&index, timestamp, load_be32(bytes + at + 8));
        }
        mem_free(bytes);
    }
    if (err) {
        mem_free(index.entries);
        mem_free(index.times);
        return err;
    }
    *ret_index = index;
    return ERR_OK;
}

/* ---- the array ------------------------------------------------------------------------------------------------------ */

struct segment *log_last_segment(const struct log *log) {
    return log->segments[log->segment_count - 1];
}

int log_find_segment(const struct log *log, int64_t offset) {
    int low = 0, high = log->segment_count;
    while (high - low > 1) {
        int mid = (low + high) / 2;
        if (log->segments[mid]->base_offset <= offset)
            low = mid;
        else
            high = mid;
    }
    return low;
}

void log_add_segment(struct log *log, struct segment *segment) {
    if (log->segment_count == log->segment_capacity) {
        log->segment_capacity = log->segment_capacity ? log->segment_capacity * 2 : 1;
        log->segments = mem_realloc(log->segments, sizeof(struct segment *) * (size_t)log->segment_capacity);
    }
    log->segments[log->segment_count++] = segment;
}

/* ---- sealing ------------------------------------------------------------------------------------------------------ */

struct seal {
    struct work work;
    struct log *log;
    struct segment *segment;
    struct fs *fs;
    char *path;
    enum err err;
};

static void seal_run(struct work *work) {
    struct seal *seal = container_of(work, struct seal, work);
    struct segment *segment = seal->segment; /* rolled: nothing of it changes any more */
    char *name = mem_printf("%s/%020lld.log", seal->path, (long long)segment->base_offset);
    struct file *file = NULL;
    seal->err = fs_open(seal->fs, name, FILE_WRITE, &file);
    mem_free(name);
    if (!seal->err)
        seal->err = file_truncate(file, segment->size);
    if (!seal->err)
        seal->err = file_sync(file);
    file_unref(file);
    if (!seal->err)
        seal->err = segment_write_index_files(seal->fs, seal->path, segment->base_offset, "", &segment->index,
                                              segment->max_timestamp, segment->max_timestamp_offset, true);
    if (!seal->err && segment->aborted.count)
        seal->err = segment_write_txn_index(seal->fs, seal->path, segment->base_offset, "", &segment->aborted);
    if (!seal->err)
        seal->err = fs_sync_dir(seal->fs, seal->path);
}

static void seal_done(struct shard *shard, struct work *work) {
    (void)shard;
    struct seal *seal = container_of(work, struct seal, work);
    struct log *log = seal->log;
    if (seal->err && seal->err != ERR_NO_SPACE) {
        flush_failed(log->store, log->dir, seal->err, seal->path);
    } else {
        seal->segment->sealed = !seal->err;
        if (!seal->err && log->recovery_point < log->written_end) {
            int at = log_find_segment(log, seal->segment->base_offset);
            bool all = true;
            for (int i = 0; i <= at; i++)
                all = all && (log->segments[i]->sealed || log->segments[i]->base_offset < log->recovery_point);
            if (all && at + 1 < log->segment_count)
                log->recovery_point = log->segments[at + 1]->base_offset;
        }
    }
    segment_unpin(seal->segment);
    mem_free(seal->path);
    mem_free(seal);
    log_work_done(log);
}

void segment_seal(struct segment *segment) {
    if (segment->log->renaming)
        return; /* flush_resume() comes back here */
    struct seal *seal = mem_new(struct seal);
    seal->log = segment->log;
    seal->segment = segment;
    seal->fs = segment->log->store->fs;
    seal->path = mem_strdup(segment->log->path);
    segment_pin(segment);
    segment->log->reads++;
    seal->work = (struct work){.lane = segment->log, .run = seal_run, .done = seal_done};
    shard_offload(segment->log->store->shard, &seal->work);
}
