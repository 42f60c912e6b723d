/* Appending: what a log does with batches in the turn in which they come. Everything here is memory; flush.c decides at
 * the end of the turn how they reach the device. */
#include "base/check.h"
#include "base/trace.h"
#include "log/internal.h"

void log_settings_default(struct log_settings *ret_settings) {
    *ret_settings = (struct log_settings){
        .segment_bytes = 1 << 30,
        .segment_index_bytes = 10 << 20,
        .index_interval_bytes = 4096,
        .segment_ms = 604800000,
        .retention_bytes = -1,
        .retention_ms = 604800000,
        .file_delete_delay_ms = 60000,
        .flush_messages = INT64_MAX,
        .flush_ms = INT64_MAX,
        .delete_policy = true,
        .min_cleanable_dirty_ratio = 0.5,
        .max_compaction_lag_ms = INT64_MAX,
        .delete_retention_ms = 86400000,
        .producer_id_expiration_ms = 86400000,
        .validate = {.codec = VALIDATE_CODEC_PRODUCER,
                     .gzip_level = COMPRESS_LEVEL_DEFAULT,
                     .lz4_level = COMPRESS_LEVEL_DEFAULT,
                     .zstd_level = COMPRESS_LEVEL_DEFAULT,
                     .timestamp_before_max_ms = INT64_MAX,
                     .timestamp_after_max_ms = 3600000,
                     .message_bytes_max = 1048588},
    };
}

struct log_offsets log_offsets(const struct log *log) {
    return (struct log_offsets){log->start, log->durable_end, log->end};
}

enum err log_state(const struct log *log) {
    return log->state;
}

int64_t log_size(const struct log *log) {
    int64_t size = 0;
    for (int i = 0; i < log->segment_count; i++)
        size += log->segments[i]->size;
    return size;
}

int64_t log_recovery_point(const struct log *log) {
    int64_t point = log->written_end > log->recovery_point ? log->written_end : log->recovery_point;
    /* Recovery believes the files of segments below it, and a rolled one has its indexes only when it is sealed. */
    for (int i = log->segment_count - 2; i >= 0 && !log->segments[i]->sealed; i--)
        point = log->segments[i]->base_offset < point ? log->segments[i]->base_offset : point;
    return point;
}

int log_dir_index(const struct log *log) {
    return log->dir;
}

void log_set_settings(struct log *log, const struct log_settings *settings) {
    log->settings = *settings;
    compaction_set_policy(log);
}

const struct log_settings *log_get_settings(const struct log *log) {
    return &log->settings;
}

struct producers *log_producers(struct log *log) {
    return &log->producers;
}

struct epochs *log_epochs(struct log *log) {
    return &log->epochs;
}

void log_set_user(struct log *log, void *user, void (*on_progress)(struct log *log, void *user)) {
    log->user = user;
    log->on_progress = on_progress;
}

void log_copy_epochs(struct log *log, const struct log *from) {
    struct buf text = {0};
    epochs_format(&from->epochs, &text);
    epochs_deinit(&log->epochs);
    log->epochs = (struct epochs){0};
    if (epochs_parse(&log->epochs, buf_slice(&text)))
        trace_warn("log", "leader epochs were not taken over", TRACE_STR("dir", log->path));
    log->epochs_dirty = true;
    buf_deinit(&text);
}

int64_t log_last_stable_offset(const struct log *log) {
    int64_t unstable = producers_first_unstable(&log->producers, log->durable_end);
    return unstable >= 0 && unstable < log->durable_end ? unstable : log->durable_end;
}

void log_work_done(struct log *log) {
    log->reads--;
    if (log->phase != LOG_OPEN || log->renaming || compaction_waits(log))
        flush_progress(log);
}

/* ---- rolling -------------------------------------------------------------------------------------------------------- */

static bool roll_is_due(const struct log *log, size_t size, const uint8_t *first, const uint8_t *last) {
    const struct segment *segment = log_last_segment(log);
    const struct log_settings *settings = &log->settings;
    if (segment->size > settings->segment_bytes - (int64_t)size)
        return true;
    if (segment->size > 0) {
        int64_t now = shard_wall_ms(log->store->shard);
        int64_t age = segment->first_timestamp >= 0 ? batch_max_timestamp(last) - segment->first_timestamp
                                                    : now - segment->created_ms;
        int64_t roll_ms = settings->compact_policy && settings->max_compaction_lag_ms < settings->segment_ms ? settings->max_compaction_lag_ms
                                                                                                        : settings->segment_ms;
        if (age > roll_ms - segment->roll_jitter_ms)
            return true;
        if (segment_index_is_full(segment))
            return true;
    }
    int64_t relative = batch_last_offset(last) - segment->base_offset;
    (void)first;
    return relative < 0 || relative > INT32_MAX;
}

struct snapshot_write {
    struct work work;
    struct fs *fs;
    struct log *log;
    char *path;
    int64_t offset;
    struct buf bytes, epochs; /* epochs: empty when their file has them all */
    enum err err, epochs_err;
};

static void snapshot_run(struct work *work) {
    struct snapshot_write *snapshot = container_of(work, struct snapshot_write, work);
    snapshot->err = log_write_snapshot_file(snapshot->fs, snapshot->path, snapshot->offset, buf_slice(&snapshot->bytes), false);
    if (snapshot->epochs.size)
        snapshot->epochs_err = log_write_epochs_file(snapshot->fs, snapshot->path, buf_slice(&snapshot->epochs));
}

static void snapshot_done(struct shard *shard, struct work *work) {
    (void)shard;
    struct snapshot_write *snapshot = container_of(work, struct snapshot_write, work);
    struct log *log = snapshot->log;
    if (snapshot->err) /* it is only a shortcut for recovery, which replays the log without it */
        trace_warn("log", "no producer snapshot", TRACE_STR("dir", snapshot->path), TRACE_ERR(snapshot->err));
    if (snapshot->epochs_err) {
        trace_warn("log", "no leader epoch checkpoint", TRACE_STR("dir", snapshot->path), TRACE_ERR(snapshot->epochs_err));
        log->epochs_dirty = true; /* the close tries again */
    }
    buf_deinit(&snapshot->bytes);
    buf_deinit(&snapshot->epochs);
    mem_free(snapshot->path);
    mem_free(snapshot);
    log_work_done(log);
}

/* The producer state below `offset`, beside the segment that begins there; and the leader epochs, which recovery takes
 * from the file for the segments that it does not read. */
static void write_snapshot(struct log *log, int64_t offset) {
    if (log->renaming)
        return; /* recovery does without */
    struct snapshot_write *snapshot = mem_new(struct snapshot_write);
    snapshot->fs = log->store->fs;
    snapshot->log = log;
    snapshot->path = mem_strdup(log->path);
    snapshot->offset = offset;
    producers_encode(&log->producers, &snapshot->bytes);
    if (log->epochs_dirty)
        epochs_format(&log->epochs, &snapshot->epochs);
    log->epochs_dirty = false;
    snapshot->work = (struct work){.lane = log, .run = snapshot_run, .done = snapshot_done};
    log->reads++;
    shard_offload(log->store->shard, &snapshot->work);
}

static void roll(struct log *log, int64_t base_offset) {
    struct segment *old = log_last_segment(log);
    if (old->size == 0 && old->base_offset == base_offset)
        return;
    struct segment *segment = segment_create(log, base_offset);
    log_add_segment(log, segment);
    write_snapshot(log, base_offset);
    if (old->written == old->size && !old->sealed)
        segment_seal(old);
}

void log_roll(struct log *log) {
    roll(log, log->end);
}

/* ---- append ---------------------------------------------------------------------------------------------------------- */

/* The tail takes the batch; indexes, epochs and producers learn of it. */
static void take_batch(struct log *log, const uint8_t *batch, size_t size) {
    int32_t epoch = batch_leader_epoch(batch);
    epochs_assign(&log->epochs, epoch, batch_base_offset(batch));
    if (epoch != log->epoch_appended) { /* who leads may have assigned it before, without a record to keep it for */
        log->epoch_appended = epoch;
        log->epochs_dirty = true;
    }
    struct segment *segment = log_last_segment(log);
    segment_note_batch(segment, batch, segment->size, log->settings.index_interval_bytes);
    struct aborted_txn aborted;
    if (producers_append(&log->producers, batch, &aborted))
        txn_index_add(&segment->aborted, &aborted);
    log->end = batch_last_offset(batch) + 1;
    tail_append(log, batch, size, log->end);
}

static enum err append_one(struct log *log, uint8_t *bytes, size_t size, enum append_origin origin, uint64_t guard, int32_t leader_epoch,
                           struct arena *arena, struct log_append_result *result) {
    struct validate_request request = {
        .bytes = bytes,
        .size = size,
        .origin = origin,
        .settings = &log->settings.validate,
        .base_offset = log->end,
        .leader_epoch = leader_epoch,
        .now_ms = shard_wall_ms(log->store->shard),
        .topic = log->topic,
        .partition = log->partition,
        .compressor = log->store->compressor,
        .arena = arena,
    };
    enum err err = validate_header(&request);
    if (!err && origin != APPEND_RAFT && origin != APPEND_REPLICATION)
        err = validate_batch(&request, &result->validation);
    if (err)
        return err;
    uint8_t *batch = bytes;
    if (result->validation.converted.size) {
        batch = result->validation.converted.ptr;
        size = result->validation.converted.size;
    }
    if ((int64_t)size > log->settings.segment_bytes)
        return ERR_BATCH_LIST_TOO_LARGE;
    if (batch_base_offset(batch) < log->end) /* of origins that bring their own offsets */
        return ERR_INVALID;
    if (roll_is_due(log, size, batch, batch))
        roll(log, log->end);
    struct producer_batch stored;
    bool duplicate;
    err = producers_check(&log->producers, batch, origin, guard, &duplicate, &stored);
    if (err)
        return err;
    if (duplicate) {
        result->duplicate = true;
        result->last_offset = stored.last_offset;
        result->base_offset = stored.last_offset - sequence_add(stored.last_sequence, -stored.first_sequence);
        result->append_time_ms = stored.timestamp;
        return ERR_OK;
    }
    result->base_offset = batch_base_offset(batch);
    result->last_offset = batch_last_offset(batch);
    result->append_time_ms = result->validation.append_time_ms;
    take_batch(log, batch, size);
    return ERR_OK;
}

static enum err append_all(struct log *log, uint8_t *bytes, size_t size, enum append_origin origin, uint64_t guard, int32_t leader_epoch,
                           struct arena *arena, struct log_append_result *ret_result) {
    *ret_result = (struct log_append_result){.base_offset = -1, .last_offset = -1, .append_time_ms = -1};
    ret_result->validation.append_time_ms = -1;
    if (log->state)
        return log->state;
    size_t at = 0;
    enum err err = ERR_OK;
    int64_t first = -1;
    while (at < size && !err) {
        size_t batch = batch_size(bytes + at);
        check(size - at >= BATCH_HEADER_SIZE && batch <= size - at, "append of unframed bytes to %s", log->path);
        err = append_one(log, bytes + at, batch, origin, guard, leader_epoch, arena, ret_result);
        buf_deinit(&ret_result->validation.converted);
        if (first < 0)
            first = ret_result->base_offset;
        at += batch;
    }
    ret_result->base_offset = first;
    if (log_pending_bytes(log))
        flush_ask(log);
    return err;
}

enum err log_append(struct log *log, uint8_t *bytes, size_t size, enum append_origin origin, int32_t leader_epoch,
                    struct arena *arena, struct log_append_result *ret_result) {
    return append_all(log, bytes, size, origin, GUARD_NONE, leader_epoch, arena, ret_result);
}

enum err log_append_guarded(struct log *log, uint8_t *bytes, size_t size, uint64_t guard, int32_t leader_epoch, struct arena *arena,
                            struct log_append_result *ret_result) {
    return append_all(log, bytes, size, APPEND_CLIENT, guard, leader_epoch, arena, ret_result);
}

enum err log_append_marker(struct log *log, const struct log_marker *marker, int32_t leader_epoch) {
    if (log->state)
        return log->state;
    struct buf bytes = {0};
    struct batch_builder builder;
    uint8_t key[4], value[6];
    store_be16(value, 0);
    store_be32(value + 2, (uint32_t)marker->coordinator_epoch);
    batch_builder_init(&builder, &bytes, log->end);
    batch_builder_add(&builder, 0, shard_wall_ms(log->store->shard), control_key(marker->commit ? CONTROL_COMMIT : CONTROL_ABORT, key),
                      slice_of(value, sizeof value), NULL, 0);
    int attributes = BATCH_TRANSACTIONAL | BATCH_CONTROL | (log->settings.validate.append_time ? BATCH_APPEND_TIME : 0);
    enum err err = batch_builder_finish(&builder, attributes, CODEC_NONE, 0, NULL, marker->producer_id, marker->producer_epoch, -1);
    check(err == ERR_OK, "a marker cannot be written: %s", err_text(err));
    batch_set_leader_epoch(bytes.ptr, leader_epoch);
    if (roll_is_due(log, bytes.size, bytes.ptr, bytes.ptr))
        roll(log, log->end);
    take_batch(log, bytes.ptr, bytes.size);
    buf_deinit(&bytes);
    flush_ask(log);
    return ERR_OK;
}

int log_segment_count(const struct log *log) {
    return log->segment_count;
}
