#include "raft/snapshot.h"

#include <stdio.h>
#include "base/check.h"
#include "base/mem.h"
#include "base/trace.h"
#include "protocol/codec.h"
#include "protocol/kraft_version_record.h"
#include "protocol/snapshot_footer_record.h"
#include "protocol/snapshot_header_record.h"

enum { SNAPSHOT_SIZE_MAX = 1 << 30, BATCH_RECORDS = 1024, BATCH_BYTES = 1 << 20 };

/* ---- reading --------------------------------------------------------------------------------------------------------- */

enum err snapshot_walk(struct slice batches, void (*data)(void *arg, struct slice value),
                       void (*control)(void *arg, int type, struct slice value), void *arg) {
    while (batches.size) {
        enum err err = batch_check(batches);
        if (err)
            return err;
        size_t size = batch_size(batches.ptr);
        struct record_iterator it;
        struct record record;
        record_iterator_init(&it, batches.ptr, slice_of(batches.ptr + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE));
        while (!(err = record_next(&it, &record))) {
            if (batch_is_control(batches.ptr)) {
                if (control)
                    control(arg, control_type_of(record.key), record.value);
            } else {
                data(arg, record.value);
            }
        }
        if (err != ERR_NOT_FOUND)
            return ERR_CORRUPT;
        batches = slice_of(batches.ptr + size, batches.size - size);
    }
    return ERR_OK;
}

static void no_data(void *arg, struct slice value) {
    (void)arg, (void)value;
}
static void find_footer(void *arg, int type, struct slice value) {
    (void)value;
    *(bool *)arg = type == CONTROL_SNAPSHOT_FOOTER;
}

enum err snapshot_load(struct fs *fs, const char *path, struct snapshot *ret_snapshot) {
    struct buf bytes = {0};
    enum err err = fs_read_whole(fs, path, SNAPSHOT_SIZE_MAX, &bytes.ptr, &bytes.size);
    bytes.capacity = bytes.size;
    bool whole = false;
    if (!err)
        err = snapshot_walk(buf_slice(&bytes), no_data, find_footer, &whole);
    if (!err && !whole)
        err = ERR_TRUNCATED;
    if (err) {
        buf_deinit(&bytes);
        return err;
    }
    ret_snapshot->bytes = bytes;
    return ERR_OK;
}

static bool parse_name(const char *name, int64_t *ret_offset, int32_t *ret_epoch) {
    long long offset;
    int epoch, end = 0;
    if (sscanf(name, "%20lld-%10d.checkpoint%n", &offset, &epoch, &end) != 2 || !end || name[end])
        return false;
    *ret_offset = offset;
    *ret_epoch = epoch;
    return true;
}

struct snapshot_file {
    char *path;
    int64_t offset, size, mtime_ms;
};

static enum err list_snapshots(struct fs *fs, const char *dir, struct snapshot_file **ret_files, int *ret_count) {
    struct fs_entry *entries;
    int count, found = 0;
    enum err err = fs_list(fs, dir, &entries, &count);
    if (err)
        return err;
    struct snapshot_file *files = mem_alloc(sizeof *files * (size_t)(count + 1));
    for (int i = 0; i < count && !err; i++) { /* names sort as their numbers */
        struct snapshot_file *file = &files[found];
        struct fs_stat stat;
        int32_t epoch;
        if (!parse_name(entries[i].name, &file->offset, &epoch))
            continue;
        file->path = mem_printf("%s/%s", dir, entries[i].name);
        err = fs_stat(fs, file->path, &stat);
        file->size = err ? 0 : stat.size;
        file->mtime_ms = err ? 0 : stat.mtime_ms;
        found++;
    }
    fs_list_free(entries, count);
    *ret_files = files;
    *ret_count = found;
    return err;
}

/* A log that began anew behind a snapshot leaves older ones, that nothing follows any more. */
static bool may_go(const struct snapshot_limits *limits, const struct snapshot_file *file, int64_t total) {
    return file->offset < limits->log_start || (limits->bytes_max >= 0 && total > limits->bytes_max) ||
           (limits->age_max_ms >= 0 && limits->now_ms - file->mtime_ms > limits->age_max_ms);
}

enum err snapshot_clean(struct fs *fs, const char *dir, const struct snapshot_limits *limits, int64_t *ret_first) {
    struct snapshot_file *files = NULL;
    int count = 0, gone = 0;
    enum err err = list_snapshots(fs, dir, &files, &count);
    int64_t total = limits->log_bytes;
    for (int i = 0; i < count; i++)
        total += files[i].size;
    *ret_first = -1;
    for (; gone + 1 < count && !err && may_go(limits, &files[gone], total); gone++) {
        err = fs_unlink(fs, files[gone].path);
        total -= files[gone].size;
        *ret_first = files[gone + 1].offset;
    }
    if (gone && !err)
        err = fs_sync_dir(fs, dir);
    for (int i = 0; i < count; i++)
        mem_free(files[i].path);
    mem_free(files);
    return err;
}

enum err snapshot_load_newest(struct fs *fs, const char *dir, struct snapshot *ret_snapshot) {
    struct fs_entry *entries;
    int count;
    enum err err = fs_list(fs, dir, &entries, &count);
    if (err)
        return err;
    err = ERR_NOT_FOUND;
    for (int i = count; i-- > 0;) { /* names sort as their numbers */
        int64_t offset;
        int32_t epoch;
        const char *name = entries[i].name;
        char *path = mem_printf("%s/%s", dir, name);
        size_t length = strlen(name);
        if ((length > 5 && strcmp(name + length - 5, ".part") == 0) ||
            (length > 19 && strcmp(name + length - 19, ".checkpoint.deleted") == 0)) {
            if (fs_unlink(fs, path))
                trace_warn("raft", "cannot remove", TRACE_STR("file", path));
        } else if (err && parse_name(name, &offset, &epoch)) {
            err = snapshot_load(fs, path, ret_snapshot);
            if (err)
                trace_error("raft", "snapshot is unreadable", TRACE_STR("file", path), TRACE_ERR(err));
            ret_snapshot->end_offset = offset;
            ret_snapshot->epoch = epoch;
        }
        mem_free(path);
    }
    fs_list_free(entries, count);
    return err;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static void start_batch(struct snapshot_writer *writer) {
    batch_builder_init(&writer->builder, writer->out, writer->next_offset);
    writer->count = 0;
}

static void finish_batch(struct snapshot_writer *writer, int attributes) {
    size_t start = writer->builder.start;
    enum err err = batch_builder_finish(&writer->builder, attributes, CODEC_NONE, 0, NULL, -1, -1, -1);
    check(err == ERR_OK, "snapshot batch: %s", err_text(err));
    batch_set_leader_epoch(writer->out->ptr + start, writer->epoch);
    writer->next_offset += writer->count;
    writer->count = 0;
}

static void add_control(struct snapshot_writer *writer, enum control_type type, struct slice value) {
    uint8_t key[4];
    batch_builder_add(&writer->builder, writer->count++, writer->now_ms, control_key(type, key), value, NULL, 0);
}

void snapshot_begin(struct snapshot_writer *writer, struct buf *out, int32_t epoch, int64_t now_ms, int16_t kraft_version,
                    struct slice voters_value) {
    *writer = (struct snapshot_writer){.out = out, .epoch = epoch, .now_ms = now_ms};
    struct buf value = {0};
    struct encoder e;
    struct snapshot_header_record header = {.version = 0, .last_contained_log_timestamp = now_ms};
    start_batch(writer);
    encoder_init(&e, &value, NULL);
    check(snapshot_header_record_encode(&e, 0, &header) == ERR_OK);
    add_control(writer, CONTROL_SNAPSHOT_HEADER, buf_slice(&value));
    if (kraft_version > 0) {
        struct kraft_version_record version = {.version = 0, .kraft_version = kraft_version};
        buf_clear(&value);
        encoder_init(&e, &value, NULL);
        check(kraft_version_record_encode(&e, 0, &version) == ERR_OK);
        add_control(writer, CONTROL_KRAFT_VERSION, buf_slice(&value));
        if (voters_value.size)
            add_control(writer, CONTROL_KRAFT_VOTERS, voters_value);
    }
    finish_batch(writer, BATCH_CONTROL);
    buf_deinit(&value);
}

void snapshot_add(struct snapshot_writer *writer, struct slice record) {
    if (!writer->count)
        start_batch(writer);
    batch_builder_add(&writer->builder, writer->count++, writer->now_ms, SLICE_NULL, record, NULL, 0);
    if (writer->count == BATCH_RECORDS || writer->out->size - writer->builder.start > BATCH_BYTES)
        finish_batch(writer, 0);
}

void snapshot_end(struct snapshot_writer *writer) {
    if (writer->count)
        finish_batch(writer, 0);
    struct buf value = {0};
    struct encoder e;
    struct snapshot_footer_record footer = {.version = 0};
    encoder_init(&e, &value, NULL);
    check(snapshot_footer_record_encode(&e, 0, &footer) == ERR_OK);
    start_batch(writer);
    add_control(writer, CONTROL_SNAPSHOT_FOOTER, buf_slice(&value));
    finish_batch(writer, BATCH_CONTROL);
    buf_deinit(&value);
}
