/* What the logs of a shard share: journals, the pool of tails, upkeep. */
#include "base/check.h"
#include "base/trace.h"
#include "log/internal.h"

enum {
    UPKEEP_MS = 1000,
    BEHIND_AGE_MS = 10000, /* what only the journal has for so long is written behind, */
    AGED_WRITES_MAX = 2,   /* so many logs at a time: nobody waits for it, but answers wait for the device */
    TAIL_BYTES_DEFAULT = 256 << 20,
    JOURNAL_RETRY_S = 5,   /* after a start on a disk without room for one */
};

struct store_stop {
    struct work work;
    struct log_store *store;
    int waiting;
    enum err err;
    void (*done)(struct log_store *store, void *arg);
    void *arg;
};
static void journal_idle(void *arg);

/* ---- a journal for a directory that had no room for one ------------------------------------------------------------------ */

struct journal_making {
    struct work work;
    struct log_store *store;
    struct journal *journal;
    int dir;
    enum err err;
};

static void making_run(struct work *work) {
    struct journal_making *making = container_of(work, struct journal_making, work);
    making->err = journal_has_room(making->journal) ? journal_make_file(making->journal) : ERR_NO_SPACE;
}

static void making_done(struct shard *shard, struct work *work) {
    struct journal_making *making = container_of(work, struct journal_making, work);
    struct log_store *store = making->store;
    int dir = making->dir;
    store->dirs[dir].making = NULL;
    if (making->err) {
        journal_destroy(making->journal);
        store->journal_retry_ns = shard_now_ns(shard) + JOURNAL_RETRY_S * NS_PER_S;
    } else { /* what is appended from now on may go there; what is on its way to a segment is waited for */
        store->dirs[dir].journal = making->journal;
        trace_info("log", "room for a journal", TRACE_STR("dir", log_inventory_dir(store->options.inventory, dir)->path));
    }
    if (store->stopping && store->dirs[dir].journal)
        journal_stop(store->dirs[dir].journal, journal_idle, store);
    else if (store->stopping)
        log_store_stop_step(store);
    mem_free(making);
}

static void make_journals(struct log_store *store) {
    if (store->stopping || shard_now_ns(store->shard) < store->journal_retry_ns)
        return;
    for (int dir = 0; dir < store->dir_count; dir++) {
        if (store->dirs[dir].state || store->dirs[dir].journal || store->dirs[dir].making)
            continue;
        struct journal_making *making = mem_new(struct journal_making);
        making->store = store;
        making->dir = dir;
        making->journal = journal_create(store, dir);
        making->work = (struct work){.run = making_run, .done = making_done};
        store->dirs[dir].making = making;
        shard_offload(store->shard, &making->work);
    }
}

/* -------------------------------------------------------------------------------------------------------------------------- */

static void progress_hook_run(struct turn_hook *hook) {
    struct log_store *store = container_of(hook, struct log_store, progress_hook);
    struct list now;
    list_init(&now);
    list_splice(&now, &store->progress_logs);
    struct list *node;
    while ((node = list_pop_front(&now))) {
        struct log *log = container_of(node, struct log, progress);
        producers_high_watermark(&log->producers, log->durable_end);
        if (log->renaming)
            log_rename_step(log);
        if (compaction_waits(log))
            compaction_step(log);
        if (log->phase != LOG_OPEN)
            log_close_step(log); /* may free it */
        else if (log->on_progress)
            log->on_progress(log, log->user);
    }
}

static void upkeep(struct shard *shard, struct timer *timer) {
    struct log_store *store = container_of(timer, struct log_store, upkeep_timer);
    uint64_t now = shard_now_ns(shard); /* the wall clock may jump */
    int aged = 0;
    list_each_safe(node, &store->behind_logs) {
        struct log *log = container_of(node, struct log, behind);
        if (flush_behind_is_full(store, log->dir))
            break;
        uint64_t age_ms = (now - log->unflushed_since_ns) / NS_PER_MS;
        bool asked = log->state == ERR_NO_SPACE || (log->settings.flush_ms < BEHIND_AGE_MS && age_ms >= (uint64_t)log->settings.flush_ms);
        if (asked || (age_ms >= BEHIND_AGE_MS && aged++ < AGED_WRITES_MAX))
            flush_behind(log);
    }
    for (int i = 0; i < store->slot_count; i++) {
        struct log *log = store->slots[i].log;
        if (log && log->state == ERR_NO_SPACE && log->write_block && !log->writing)
            flush_behind(log);
    }
    tail_evict(store);
    read_forget_spares(store, false);
    make_journals(store);
    timer_start(shard, timer, UPKEEP_MS * NS_PER_MS);
}

enum err log_store_create(struct shard *shard, const struct log_store_options *options, struct log_store **ret_store) {
    struct log_store *store = mem_new(struct log_store);
    store->shard = shard;
    store->fs = runtime_fs(shard_runtime(shard));
    store->options = *options;
    if (!store->options.tail_bytes_max)
        store->options.tail_bytes_max = TAIL_BYTES_DEFAULT;
    store->dir_count = log_inventory_dir_count(options->inventory);
    store->compressor = compressor_create();
    list_init(&store->clean_blocks);
    list_init(&store->open_segments);
    list_init(&store->dirty_logs);
    list_init(&store->behind_logs);
    list_init(&store->progress_logs);
    list_init(&store->compacted_logs);
    list_init(&store->removals);
    list_init(&store->removed_dirs);
    store->flush_hook.run = flush_hook_run;
    store->progress_hook.run = progress_hook_run;
    store->upkeep_timer.fire = upkeep;
    int usable = 0;
    enum err err = ERR_OK;
    for (int dir = 0; dir < store->dir_count; dir++) {
        if (log_inventory_dir(options->inventory, dir)->err) {
            store->dirs[dir].state = ERR_OFFLINE;
            continue;
        }
        struct journal *journal = journal_create(store, dir);
        enum err failed = journal_make_file(journal);
        if (failed)
            journal_destroy(journal);
        else
            store->dirs[dir].journal = journal;
        if (failed == ERR_NO_SPACE) { /* reads go on, and retention may make room */
            trace_warn("log", "no room for a journal: until there is some appends are written to the segments at once",
                       TRACE_STR("dir", log_inventory_dir(options->inventory, dir)->path));
            usable++;
        } else if (failed) {
            trace_error("log", "cannot make journal", TRACE_STR("dir", log_inventory_dir(options->inventory, dir)->path), TRACE_ERR(failed));
            err = failed;
            store->dirs[dir].state = ERR_OFFLINE;
        } else {
            usable++;
        }
    }
    if (!usable) {
        log_store_destroy(store);
        return err ? err : ERR_OFFLINE;
    }
    timer_start(shard, &store->upkeep_timer, UPKEEP_MS * NS_PER_MS);
    *ret_store = store;
    return ERR_OK;
}

/* --------------------------------------------------------------------------------------------------------------------- */

void log_store_destroy(struct log_store *store) {
    if (!store)
        return;
    timer_stop(store->shard, &store->upkeep_timer);
    log_removals_forget(store);
    for (int dir = 0; dir < store->dir_count; dir++)
        journal_destroy(store->dirs[dir].journal);
    compressor_destroy(store->compressor);
    read_forget_spares(store, true);
    mem_free(store->slots);
    mem_free(store->free_slots);
    mem_free(store);
}

bool log_store_is_full(const struct log_store *store) {
    return store->tail_bytes > store->options.tail_bytes_max + store->options.tail_bytes_max / 2;
}

const struct log_metrics *log_store_metrics(const struct log_store *store) {
    return &store->metrics;
}

bool log_store_dir_is_offline(const struct log_store *store, int dir) {
    return store->dirs[dir].state != ERR_OK;
}

void log_store_fail_dir(struct log_store *store, int dir) {
    store->dirs[dir].state = ERR_OFFLINE;
    if (store->dirs[dir].journal)
        journal_keep(store->dirs[dir].journal);
    for (int i = 0; i < store->slot_count; i++) {
        struct log *log = store->slots[i].log;
        if (log && log->dir == dir) {
            log->state = ERR_OFFLINE;
            flush_progress(log);
        }
    }
}

/* ---- stopping ---------------------------------------------------------------------------------------------------------- */

static void stop_run(struct work *work) {
    struct store_stop *stop = container_of(work, struct store_stop, work);
    for (int dir = 0; dir < stop->store->dir_count; dir++)
        if (stop->store->dirs[dir].journal && stop->store->dirs[dir].state == ERR_OK) {
            enum err err = journal_remove(stop->store->dirs[dir].journal);
            if (err)
                stop->err = err;
        }
}

static void stop_done(struct shard *shard, struct work *work) {
    (void)shard;
    struct store_stop *stop = container_of(work, struct store_stop, work);
    if (stop->err)
        trace_warn("log", "cannot remove a journal", TRACE_ERR(stop->err));
    stop->done(stop->store, stop->arg);
    mem_free(stop);
}

/* A journal became idle, or nothing is removed any more; the last one lets the store go on. */
void log_store_stop_step(struct log_store *store) {
    struct store_stop *stop = store->stopping;
    if (--stop->waiting)
        return;
    stop->work = (struct work){.run = stop_run, .done = stop_done};
    shard_offload(store->shard, &stop->work);
}

static void journal_idle(void *arg) {
    log_store_stop_step(arg);
}

void log_store_stop(struct log_store *store, void (*done)(struct log_store *store, void *arg), void *arg) {
    for (int i = 0; i < store->slot_count; i++)
        check(!store->slots[i].log, "log store stops with an open log");
    struct store_stop *stop = mem_new(struct store_stop);
    stop->store = store;
    stop->done = done;
    stop->arg = arg;
    stop->waiting = 1;
    store->stopping = stop;
    for (int dir = 0; dir < store->dir_count; dir++)
        if (store->dirs[dir].making) { /* making_done() goes on */
            stop->waiting++;
        } else if (store->dirs[dir].journal) {
            stop->waiting++;
            journal_stop(store->dirs[dir].journal, journal_idle, store);
        }
    log_removals_forget(store);
    if (store->removal_works)
        stop->waiting++;
    log_store_stop_step(store);
}
