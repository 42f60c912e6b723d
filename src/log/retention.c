/* Old segments go: below the log start, beyond retention.bytes, older than retention.ms. Each pass takes a prefix of the
 * segments. Files are renamed to `*.deleted` first and removed after file.delete.delay.ms, so that who still reads them
 * can. A large file is cut short in steps before it goes: see removal.c. */
#include "base/trace.h"
#include "log/checkpoint.h"
#include "log/internal.h"

struct removal {
    struct work work;
    struct log_removal later;
    struct fs *fs;
    struct log_store *store;
    struct log *log; /* NULL once the files are renamed */
    struct segment *segment; /* pinned; who else pins it reads its file */
    char *path;
    bool cut;                /* the file is cut first, and */
    bool more;               /* there is more to cut */
    uint64_t begun_ns;
    int64_t base_offset;
    int64_t active_base; /* of the segment that stays alone and has no file yet; -1: none such */
    bool renamed;
    enum err err;
};

/* A directory without any segment would begin again at the log start of the checkpoint, which may be old. */
static enum err make_segment_file(struct removal *removal) {
    char *path = mem_printf("%s/%020lld.log", removal->path, (long long)removal->active_base);
    struct file *file;
    enum err err = fs_open(removal->fs, path, FILE_WRITE | FILE_CREATE, &file);
    mem_free(path);
    if (err)
        return err;
    file_unref(file);
    return fs_sync_dir(removal->fs, removal->path);
}

/* A disk may be so full that even a longer name finds no room: then the file goes at once, which makes some. */
static enum err rename_or_unlink(struct removal *removal, const char *from, const char *to) {
    enum err err = fs_rename(removal->fs, from, to);
    return err == ERR_NO_SPACE ? fs_unlink(removal->fs, from) : err;
}

/* One step; anything that is wrong is left to the unlink. */
static bool cut_file(struct removal *removal) {
    char *path = mem_printf("%s/%020lld.log.deleted", removal->path, (long long)removal->base_offset);
    bool more = log_cut_file(removal->fs, path);
    mem_free(path);
    return more;
}

static void removal_run(struct work *work) {
    static const char *const suffixes[] = {".log", ".index", ".timeindex", ".txnindex", ".snapshot"};
    struct removal *removal = container_of(work, struct removal, work);
    removal->err = ERR_OK;
    removal->more = removal->renamed && removal->cut && cut_file(removal);
    if (removal->more)
        return;
    /* In order, and none after one that failed: a segment that stays before one that went would leave a hole. */
    if (!removal->renamed)
        removal->err = removal->log->removal_err;
    bool make = !removal->err && !removal->renamed && removal->active_base >= 0;
    bool made = make && !(removal->err = make_segment_file(removal));
    if (removal->err == ERR_NO_SPACE && make) /* again when there is room */
        removal->err = ERR_OK;
    for (int i = 0; i < COUNT_OF(suffixes) && !removal->err; i++) {
        char *from = mem_printf("%s/%020lld%s", removal->path, (long long)removal->base_offset, suffixes[i]);
        char *to = mem_printf("%s.deleted", from);
        enum err err = removal->renamed ? fs_unlink(removal->fs, to)
                       : make && !made  ? fs_unlink(removal->fs, from)
                                        : rename_or_unlink(removal, from, to);
        if (err && err != ERR_NOT_FOUND)
            removal->err = err;
        mem_free(from);
        mem_free(to);
    }
    if (!removal->err && make && !made)
        removal->err = make_segment_file(removal);
    if (!removal->renamed)
        removal->log->removal_err = removal->err;
}

static void removal_free(struct removal *removal) {
    segment_unpin(removal->segment);
    mem_free(removal->path);
    mem_free(removal);
}

static void removal_due(struct shard *shard, struct log_removal *later);

static void removal_unlinked(struct shard *shard, struct work *work) {
    struct removal *removal = container_of(work, struct removal, work);
    struct log_store *store = removal->store;
    (void)shard;
    if (removal->err)
        trace_warn("log", "cannot remove a deleted segment", TRACE_STR("dir", removal->path),
                   TRACE_INT("segment", removal->base_offset), TRACE_ERR(removal->err));
    if (removal->more)
        log_removal_rest(store, &removal->later, removal->begun_ns);
    else
        removal_free(removal);
    log_removal_worked(store);
}

static void removal_due(struct shard *shard, struct log_removal *later) {
    struct removal *removal = container_of(later, struct removal, later);
    removal->work = (struct work){.run = removal_run, .done = removal_unlinked};
    removal->cut = removal->segment->pins == 1;
    removal->begun_ns = shard_now_ns(shard);
    log_removal_offload(removal->store, &removal->work);
}

static void removal_forgotten(struct log_removal *later) {
    removal_free(container_of(later, struct removal, later));
}

static void removal_renamed(struct shard *shard, struct work *work) {
    struct removal *removal = container_of(work, struct removal, work);
    (void)shard;
    struct log *log = removal->log;
    struct log_store *store = log->store;
    int64_t delay_ms = log->settings.file_delete_delay_ms;
    if (removal->err == ERR_NO_SPACE) /* the files stay until the next start */
        trace_warn("log", "a segment cannot be deleted", TRACE_STR("dir", removal->path), TRACE_INT("segment", removal->base_offset),
                   TRACE_ERR(removal->err));
    else if (removal->err)
        flush_failed(log->store, log->dir, removal->err, removal->path);
    log_work_done(log);
    removal->log = NULL;
    removal->renamed = true;
    removal->later.due = removal_due;
    removal->later.forget = removal_forgotten;
    log_removal_start(store, &removal->later, delay_ms);
}

static void remove_first(struct log *log) {
    struct segment *segment = log->segments[0];
    struct removal *removal = mem_new(struct removal);
    removal->fs = log->store->fs;
    removal->store = log->store;
    removal->log = log;
    removal->path = mem_strdup(log->path);
    removal->base_offset = segment->base_offset;
    struct segment *last = log_last_segment(log);
    removal->active_base = log->segment_count == 2 && !last->exists ? last->base_offset : -1;
    removal->work = (struct work){.lane = log, .run = removal_run, .done = removal_renamed};
    log->reads++;
    shard_offload(log->store->shard, &removal->work);
    trace_info("log", "segment is deleted", TRACE_STR("dir", log->path), TRACE_INT("segment", segment->base_offset),
               TRACE_INT("bytes", segment->size));
    tail_forget_segment(log, segment);
    memmove(log->segments, log->segments + 1, sizeof(struct segment *) * (size_t)(log->segment_count - 1));
    log->segment_count--;
    if (log->durable_segment == segment) { /* all of it was durable, and nothing behind it is yet */
        log->durable_segment = log->segments[0];
        log->durable_pos = 0;
    }
    segment->removed = true;
    segment_close_files(segment);
    removal->segment = segment; /* with the log's pin */
}

static int64_t largest_timestamp(const struct segment *segment) {
    return segment->max_timestamp >= 0 ? segment->max_timestamp : segment->created_ms;
}

/* May the first segment go at all? The active one only when it is not empty, and after a roll. */
static bool first_may_go(struct log *log, int64_t high_watermark) {
    const struct segment *first = log->segments[0];
    int64_t next = log->segment_count > 1 ? log->segments[1]->base_offset : log->end;
    return high_watermark >= next && first->written == first->size && !(log->segment_count == 1 && first->size == 0);
}

void log_retain(struct log *log, int64_t high_watermark) {
    if (log->state == ERR_OFFLINE || log->phase != LOG_OPEN || log->renaming || log->cleaning)
        return;
    const struct log_settings *settings = &log->settings;
    int64_t now = shard_wall_ms(log->store->shard), total = log_size(log);
    bool changed = false;
    while (first_may_go(log, high_watermark)) {
        const struct segment *first = log->segments[0];
        bool below = log->segment_count > 1 && log->segments[1]->base_offset <= log->start;
        bool size = settings->delete_policy && settings->retention_bytes >= 0 &&
                    total - settings->retention_bytes - first->size >= 0;
        bool age = settings->delete_policy && settings->retention_ms >= 0 &&
                   now - largest_timestamp(first) > settings->retention_ms;
        if (!below && !size && !age)
            break;
        total -= first->size;
        if (log->segment_count == 1)
            log_roll(log);
        remove_first(log);
        changed = true;
    }
    if (changed && log->segments[0]->base_offset > log->start) {
        log->start = log->segments[0]->base_offset;
        if (epochs_truncate_start(&log->epochs, log->start))
            log->epochs_dirty = true;
    }
}

void log_expire_producers(struct log *log) {
    producers_expire(&log->producers, shard_wall_ms(log->store->shard) - log->settings.producer_id_expiration_ms);
}

enum err log_raise_start(struct log *log, int64_t offset) {
    if (log->state)
        return log->state;
    if (offset > log->durable_end)
        return ERR_OFFSET_OUT_OF_RANGE;
    if (offset <= log->start)
        return ERR_OK;
    log->start = offset;
    if (epochs_truncate_start(&log->epochs, offset))
        log->epochs_dirty = true;
    return ERR_OK;
}
