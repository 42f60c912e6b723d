/* Files whose names say that they go, and when they do. Whoever still reads them has a while; then they go in steps, for a
 * file system may hand freed blocks to the device at once, and a device that is told to forget a whole segment answers nobody
 * else meanwhile. Nothing waits for any of it, and what is left at the end of the store is found by its name at the next start.
 *
 * Segments that retention took (retention.c) go side by side. Directories of deleted logs go one after the other:
 *
 *   log_store_remove_dir() --delay over--> waits in store->removed_dirs --first of them--> step, rest, step, rest ... gone */
#include "base/check.h"
#include "base/trace.h"
#include "log/internal.h"

enum {
    CUT_STEP = 4 << 20,   /* bytes that one step gives back at most, */
    FILES_STEP = 64,      /* and files that it removes */
    REST_FROM = 1 << 20,  /* bytes from which on there is a rest behind a step, */
    REST_TIMES = 4,       /* so many times as long as the step took */
};

/* ---- when ------------------------------------------------------------------------------------------------------------ */

static void removal_due(struct shard *shard, struct timer *timer) {
    struct log_removal *removal = container_of(timer, struct log_removal, timer);
    list_remove(&removal->node);
    removal->due(shard, removal);
}

void log_removal_start(struct log_store *store, struct log_removal *removal, int64_t delay_ms) {
    list_push_back(&store->removals, &removal->node);
    removal->timer.fire = removal_due;
    if (!store->stopping)
        timer_start(store->shard, &removal->timer, (uint64_t)delay_ms * NS_PER_MS);
}

void log_removal_rest(struct log_store *store, struct log_removal *removal, uint64_t begun_ns) {
    uint64_t rest_ns = (shard_now_ns(store->shard) - begun_ns) * REST_TIMES;
    log_removal_start(store, removal, 1 + (int64_t)(rest_ns / NS_PER_MS));
}

void log_removal_offload(struct log_store *store, struct work *work) {
    store->removal_works++;
    shard_offload(store->shard, work);
}

void log_removal_worked(struct log_store *store) {
    if (--store->removal_works == 0 && store->stopping)
        log_store_stop_step(store);
}

/* ---- files ----------------------------------------------------------------------------------------------------------- */

bool log_cut_file(struct fs *fs, const char *path) {
    struct file *file = NULL;
    int64_t size = 0;
    enum err err = fs_open(fs, path, FILE_WRITE, &file);
    if (!err)
        err = file_size(file, &size);
    bool cut = !err && size > CUT_STEP && file_truncate(file, size - CUT_STEP) == ERR_OK;
    file_unref(file);
    return cut;
}

/* ---- directories ------------------------------------------------------------------------------------------------------- */

struct removed_dir {
    struct log_removal later;
    struct work work;
    struct list node; /* of store->removed_dirs, from when its time has come */
    struct log_store *store;
    struct fs *fs;
    char *path;
    uint64_t begun_ns; /* of the step under way */
    /* the step's result */
    int64_t given_back;
    bool more;
    enum err err;
};

static void dir_free(struct removed_dir *dir) {
    list_remove(&dir->node);
    mem_free(dir->path);
    mem_free(dir);
}

/* One file of the directory, or a part of it. */
static enum err remove_some(struct removed_dir *dir, const struct fs_entry *entry) {
    char *path = mem_printf("%s/%s", dir->path, entry->name);
    struct fs_stat stat = {0};
    enum err err = entry->is_dir ? fs_remove_tree(dir->fs, path) : fs_stat(dir->fs, path, &stat);
    if (!err && !entry->is_dir && stat.size > CUT_STEP && log_cut_file(dir->fs, path)) {
        dir->given_back += CUT_STEP;
        dir->more = true;
    } else if (!err && !entry->is_dir) {
        err = fs_unlink(dir->fs, path);
        dir->given_back += stat.size;
    }
    mem_free(path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void dir_run(struct work *work) {
    struct removed_dir *dir = container_of(work, struct removed_dir, work);
    struct fs_entry *entries;
    int count, at = 0;
    dir->given_back = 0;
    dir->more = false;
    dir->err = fs_list(dir->fs, dir->path, &entries, &count);
    if (dir->err)
        return;
    while (at < count && !dir->err && !dir->more) {
        dir->err = remove_some(dir, &entries[at++]);
        dir->more = dir->more || (at < count && (at == FILES_STEP || dir->given_back >= CUT_STEP));
    }
    fs_list_free(entries, count);
    if (!dir->err && !dir->more)
        dir->err = fs_rmdir(dir->fs, dir->path);
}

static void dir_step(struct log_store *store);

static void dir_rested(struct shard *shard, struct log_removal *later) {
    (void)shard;
    struct removed_dir *dir = container_of(later, struct removed_dir, later);
    struct log_store *store = dir->store;
    if (!dir->more)
        dir_free(dir);
    dir_step(store);
}

static void dir_stepped(struct shard *shard, struct work *work) {
    struct removed_dir *dir = container_of(work, struct removed_dir, work);
    struct log_store *store = dir->store;
    if (dir->err && dir->err != ERR_NOT_FOUND)
        trace_warn("log", "what is left of a deleted log cannot be removed", TRACE_STR("dir", dir->path), TRACE_ERR(dir->err));
    dir->more = dir->more && !dir->err;
    dir->later.due = dir_rested;
    if (store->stopping || dir->given_back >= REST_FROM)
        log_removal_rest(store, &dir->later, dir->begun_ns);
    else
        dir_rested(shard, &dir->later);
    log_removal_worked(store);
}

static void dir_step(struct log_store *store) {
    if (list_is_empty(&store->removed_dirs))
        return;
    struct removed_dir *dir = container_of(store->removed_dirs.next, struct removed_dir, node);
    dir->begun_ns = shard_now_ns(store->shard);
    dir->work = (struct work){.run = dir_run, .done = dir_stepped};
    log_removal_offload(store, &dir->work);
}

static void dir_due(struct shard *shard, struct log_removal *later) {
    (void)shard;
    struct removed_dir *dir = container_of(later, struct removed_dir, later);
    bool first = list_is_empty(&dir->store->removed_dirs);
    list_push_back(&dir->store->removed_dirs, &dir->node);
    if (first)
        dir_step(dir->store);
}

static void dir_forgotten(struct log_removal *later) {
    dir_free(container_of(later, struct removed_dir, later));
}

void log_store_remove_dir(struct log_store *store, const char *path, int64_t delay_ms) {
    struct removed_dir *dir = mem_new(struct removed_dir);
    list_init(&dir->node);
    dir->store = store;
    dir->fs = store->fs;
    dir->path = mem_strdup(path);
    dir->later.due = dir_due;
    dir->later.forget = dir_forgotten;
    log_removal_start(store, &dir->later, delay_ms);
}

/* ---- the end ----------------------------------------------------------------------------------------------------------- */

void log_removals_forget(struct log_store *store) {
    struct list *node;
    while ((node = list_pop_front(&store->removals))) {
        struct log_removal *removal = container_of(node, struct log_removal, node);
        timer_stop(store->shard, &removal->timer);
        removal->forget(removal);
    }
    if (store->removal_works) /* the first of these may be on its way; at the end of the store none is */
        return;
    while (!list_is_empty(&store->removed_dirs))
        dir_free(container_of(store->removed_dirs.next, struct removed_dir, node));
}
