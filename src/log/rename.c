/* Another name for a log's directory, while the log is in use: the last step of a move between log directories.
 *
 *   asked --> nothing under way that knows the old path --> renamed, the new name on the device --> what waited goes on
 *
 * Files that are open stay open. Who needs the path meanwhile (the first read of a segment, a search, a write that opens
 * its file, the sealing of a segment) waits; the journal takes what is appended. */
#include "base/check.h"
#include "base/trace.h"
#include "log/internal.h"

struct rename {
    struct work work;
    struct log *log;
    char *path;
    bool started;
    enum err err;
    void (*done)(enum err err, void *arg);
    void *arg;
};

static void rename_run(struct work *work) {
    struct rename *rename = container_of(work, struct rename, work);
    struct log *log = rename->log;
    struct fs *fs = log->store->fs;
    rename->err = fs_rename(fs, log->path, rename->path);
    if (!rename->err)
        rename->err = fs_sync_dir(fs, log_inventory_dir(log->store->options.inventory, log->dir)->path);
}

static void rename_done(struct shard *shard, struct work *work) {
    (void)shard;
    struct rename *rename = container_of(work, struct rename, work);
    struct log *log = rename->log;
    if (rename->err) {
        flush_failed(log->store, log->dir, rename->err, log->path);
        mem_free(rename->path);
    } else {
        mem_free(log->path);
        log->path = rename->path;
        log->is_copy = false;
        compaction_set_policy(log);
    }
    log->renaming = NULL;
    struct list *node;
    while ((node = list_pop_front(&log->held))) {
        struct log_held *held = container_of(node, struct log_held, node);
        held->resume(held);
    }
    flush_resume(log);
    rename->done(rename->err, rename->arg);
    mem_free(rename);
}

void log_rename_step(struct log *log) {
    struct rename *rename = log->renaming;
    if (rename->started || log->writing || log->reads || log->cleaning)
        return;
    rename->started = true;
    rename->work = (struct work){.lane = log, .run = rename_run, .done = rename_done};
    shard_offload(log->store->shard, &rename->work);
}

void log_rename(struct log *log, const char *name, void (*done)(enum err err, void *arg), void *arg) {
    check(log->phase == LOG_OPEN && !log->renaming, "%s is renamed while it is closed or renamed", log->path);
    struct rename *rename = mem_new(struct rename);
    rename->log = log;
    rename->path = mem_printf("%s/%s", log_inventory_dir(log->store->options.inventory, log->dir)->path, name);
    rename->done = done;
    rename->arg = arg;
    log->renaming = rename;
    log_stop_cleaning(log);
    flush_progress(log);
}

bool log_rename_holds(struct log *log, struct log_held *held, void (*resume)(struct log_held *held)) {
    if (!log->renaming)
        return false;
    held->resume = resume;
    list_push_back(&log->held, &held->node);
    return true;
}
