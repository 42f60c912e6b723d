#include "broker/checkpoints.h"

#include "base/mem.h"
#include "base/trace.h"
#include "broker/shard_call.h"
#include "log/checkpoint.h"

#define CLEAN_SHUTDOWN_FILE ".kafka_cleanshutdown"
enum { RECOVERY, START, WATERMARK, CLEANED, KINDS };
static const char *const names[KINDS] = {CHECKPOINT_RECOVERY_POINT, CHECKPOINT_LOG_START, CHECKPOINT_HIGH_WATERMARK,
                                          CHECKPOINT_CLEANER};

struct dir_text {
    struct buf lines[KINDS];
    int count[KINDS];
};
struct gather { /* one shard's */
    struct shard_call call;
    struct checkpoints *checkpoints;
    bool last, only_cleaned;
    struct dir_text dirs[LOG_DIRS_MAX];
};
struct checkpoints {
    struct broker *broker;
    struct timer timer;
    struct work work;
    struct dir_text dirs[LOG_DIRS_MAX];
    int pending;
    bool busy, last, write_clean;
    bool only_cleaned;  /* under way is one of cleaner-offset-checkpoint alone */
    bool cleaned_again; /* a log was cleaned meanwhile */
    struct list next, current; /* struct checkpoints_wait: of the next writing of all, and of the one under way */
    bool clean[LOG_DIRS_MAX];
    void (*done)(struct broker *broker);
};

static void gather_done(struct checkpoints *checkpoints);

/* ---- on each shard -------------------------------------------------------------------------------------------------------- */

static void add(struct dir_text *dir, int kind, const struct partition *partition, int64_t offset) {
    if (offset < 0)
        return;
    buf_printf(&dir->lines[kind], "%.*s %d %lld\n", SLICE_FMT(partition->topic), (int)partition->index, (long long)offset);
    dir->count[kind]++;
}

static void add_cleaned(struct gather *gather, const struct log *log) {
    struct dir_text *dir = &gather->dirs[log_dir_index(log)];
    if (log_cleaned_end(log) < 0)
        return;
    log_write_checkpoint_line(log, &dir->lines[CLEANED]);
    dir->count[CLEANED]++;
}

/* There are few of them beside all partitions. */
static void gather_cleaned(struct gather *gather, struct log_store *store) {
    for (int i = log_store_compacted_count(store); i > 0; i--) {
        const struct log *log = log_store_next_compacted(store);
        if (log_state(log) != ERR_OFFLINE)
            add_cleaned(gather, log);
    }
}

/* A log that could not be opened keeps what the start found. */
static void add_found(struct gather *gather, const struct broker *broker, const struct partition *partition) {
    if (partition->created || partition->dir_at_open < 0)
        return;
    struct dir_text *dir = &gather->dirs[partition->dir_at_open];
    struct inventory_checkpoint found = inventory_checkpoint(broker->inventory, partition->dir_at_open, partition->topic, partition->index);
    add(dir, RECOVERY, partition, found.recovery_point);
    add(dir, START, partition, found.log_start);
    add(dir, WATERMARK, partition, found.high_watermark);
    add(dir, CLEANED, partition, found.cleaned);
}

static void gather_run(struct shard_call *call) {
    struct gather *gather = container_of(call, struct gather, call);
    if (gather->only_cleaned) {
        gather_cleaned(gather, call->at->store);
        shard_call_return(call);
        return;
    }
    map_each(node, &call->at->partitions) {
        struct partition *partition = container_of(node, struct partition, node);
        partition->checkpointed |= partition->log || !partition->created;
        if (!partition->log)
            add_found(gather, call->at->broker, partition);
        if (!partition->log || log_state(partition->log) == ERR_OFFLINE)
            continue;
        struct dir_text *dir = &gather->dirs[log_dir_index(partition->log)];
        struct log_offsets offsets = log_offsets(partition->log);
        /* A closed log is on the device up to its end. */
        add(dir, RECOVERY, partition, gather->last ? offsets.end : log_recovery_point(partition->log));
        if (offsets.start > 0)
            add(dir, START, partition, offsets.start);
        add(dir, WATERMARK, partition, gather->last ? offsets.end : offsets.durable_end);
        if (log_is_compacted(partition->log))
            add_cleaned(gather, partition->log);
    }
    shard_call_return(call);
}

static void gathered(struct shard_call *call) {
    struct gather *gather = container_of(call, struct gather, call);
    struct checkpoints *checkpoints = gather->checkpoints;
    for (int i = 0; i < LOG_DIRS_MAX; i++)
        for (int kind = 0; kind < KINDS; kind++) {
            buf_add_slice(&checkpoints->dirs[i].lines[kind], buf_slice(&gather->dirs[i].lines[kind]));
            checkpoints->dirs[i].count[kind] += gather->dirs[i].count[kind];
            buf_deinit(&gather->dirs[i].lines[kind]);
        }
    mem_free(gather);
    if (--checkpoints->pending == 0)
        gather_done(checkpoints);
}

static void gather_all(struct checkpoints *checkpoints, bool last, bool only_cleaned) {
    struct broker *broker = checkpoints->broker;
    checkpoints->busy = true;
    checkpoints->last = last;
    checkpoints->only_cleaned = only_cleaned;
    checkpoints->pending = broker->shard_count;
    if (!only_cleaned)
        list_splice(&checkpoints->current, &checkpoints->next);
    for (int i = 0; i < broker->shard_count; i++) {
        struct gather *gather = mem_new(struct gather);
        gather->checkpoints = checkpoints;
        gather->last = last;
        gather->only_cleaned = only_cleaned;
        gather->call = (struct shard_call){.home = &broker->shards[0], .at = &broker->shards[i], .run = gather_run, .back = gathered};
        shard_call_send(&gather->call);
    }
}

/* ---- the files ------------------------------------------------------------------------------------------------------------- */

static enum err write_file(struct fs *fs, const char *dir, const char *name, const struct buf *lines, int count) {
    struct buf text = {0};
    char *path = mem_printf("%s/%s", dir, name);
    buf_printf(&text, "0\n%d\n", count);
    buf_add_slice(&text, buf_slice(lines));
    enum err err = fs_write_whole(fs, path, buf_slice(&text));
    if (err)
        trace_error("broker", "a checkpoint cannot be written", TRACE_STR("file", path), TRACE_ERR(err));
    mem_free(path);
    buf_deinit(&text);
    return err;
}

/* Without the mark the next start reads everything again, and loses nothing. */
static void mark_clean(struct fs *fs, const char *dir, int64_t broker_epoch) {
    struct buf text = {0};
    char *path = mem_printf("%s/" CLEAN_SHUTDOWN_FILE, dir);
    buf_printf(&text, "{\"version\":0,\"brokerEpoch\":%lld}", (long long)broker_epoch);
    enum err err = fs_sync_all(fs, dir);
    if (!err)
        err = fs_write_whole(fs, path, buf_slice(&text));
    if (err)
        trace_error("broker", "a log directory cannot be marked as stopped cleanly", TRACE_STR("file", path), TRACE_ERR(err));
    mem_free(path);
    buf_deinit(&text);
}

static void write_run(struct work *work) {
    struct checkpoints *checkpoints = container_of(work, struct checkpoints, work);
    struct broker *broker = checkpoints->broker;
    struct fs *fs = runtime_fs(broker->runtime);
    for (int i = 0; i < broker->config->log_dir_count; i++) {
        const char *dir = broker->config->log_dirs[i];
        enum err err = uuid_is_zero(broker->dir_ids[i]) || (checkpoints->last && !checkpoints->clean[i]) ? ERR_OFFLINE : ERR_OK;
        for (int kind = checkpoints->only_cleaned ? CLEANED : 0; kind < KINDS && !err; kind++)
            err = write_file(fs, dir, names[kind], &checkpoints->dirs[i].lines[kind], checkpoints->dirs[i].count[kind]);
        if (!err && checkpoints->last)
            mark_clean(fs, dir, broker->broker_epoch);
    }
}

static void clear(struct checkpoints *checkpoints) {
    for (int i = 0; i < LOG_DIRS_MAX; i++)
        for (int kind = 0; kind < KINDS; kind++) {
            buf_deinit(&checkpoints->dirs[i].lines[kind]);
            checkpoints->dirs[i].count[kind] = 0;
        }
}

static void answer(struct list *waits) {
    struct list now, *node;
    list_init(&now);
    list_splice(&now, waits);
    while ((node = list_pop_front(&now))) {
        struct checkpoints_wait *wait = container_of(node, struct checkpoints_wait, node);
        wait->done(wait);
    }
}

static void written(struct shard *shard, struct work *work) {
    struct checkpoints *checkpoints = container_of(work, struct checkpoints, work);
    clear(checkpoints);
    checkpoints->busy = false;
    answer(&checkpoints->current);
    if (checkpoints->busy)
        return; /* who waited wants another */
    if (checkpoints->done)
        checkpoints->last ? checkpoints->done(checkpoints->broker) : gather_all(checkpoints, true, false);
    else if (!list_is_empty(&checkpoints->next))
        gather_all(checkpoints, false, false);
    else if (checkpoints->cleaned_again)
        checkpoints_cleaned(checkpoints);
    if (!checkpoints->done && !timer_is_running(&checkpoints->timer))
        timer_start(shard, &checkpoints->timer,
                    (uint64_t)broker_config_int(checkpoints->broker->config, "log.flush.offset.checkpoint.interval.ms") * NS_PER_MS);
}

static void write_all(struct checkpoints *checkpoints) {
    checkpoints->work = (struct work){.lane = checkpoints, .run = write_run, .done = written};
    shard_offload(checkpoints->broker->shards[0].shard, &checkpoints->work);
}

static void gather_done(struct checkpoints *checkpoints) {
    if (!checkpoints->last) {
        write_all(checkpoints);
        return;
    }
    void (*done)(struct broker *broker) = checkpoints->done;
    checkpoints->done = NULL;
    done(checkpoints->broker);
}

/* ---- when -------------------------------------------------------------------------------------------------------------------- */

static void due(struct shard *shard, struct timer *timer) {
    struct checkpoints *checkpoints = container_of(timer, struct checkpoints, timer);
    if (checkpoints->busy) /* with the cleaner's */
        timer_start(shard, timer, NS_PER_S);
    else
        gather_all(checkpoints, false, false);
}

void checkpoints_cleaned(struct checkpoints *checkpoints) {
    checkpoints->cleaned_again = checkpoints->busy;
    if (!checkpoints->busy && !checkpoints->done)
        gather_all(checkpoints, false, true);
}

void checkpoints_rewrite(struct checkpoints *checkpoints, struct checkpoints_wait *wait) {
    if (checkpoints->done || checkpoints->last) { /* the node stops, and the next start writes before anything else */
        wait->done(wait);
        return;
    }
    list_push_back(&checkpoints->next, &wait->node);
    if (!checkpoints->busy)
        gather_all(checkpoints, false, false);
}

struct checkpoints *checkpoints_create(struct broker *broker) {
    struct checkpoints *checkpoints = mem_new(struct checkpoints);
    checkpoints->broker = broker;
    checkpoints->timer.fire = due;
    list_init(&checkpoints->next);
    list_init(&checkpoints->current);
    timer_start(broker->shards[0].shard, &checkpoints->timer,
                (uint64_t)broker_config_int(broker->config, "log.flush.offset.checkpoint.interval.ms") * NS_PER_MS);
    return checkpoints;
}

void checkpoints_destroy(struct checkpoints *checkpoints) {
    if (!checkpoints)
        return;
    timer_stop(checkpoints->broker->shards[0].shard, &checkpoints->timer); /* a start that is given up takes no last ones */
    clear(checkpoints);
    mem_free(checkpoints);
}

void checkpoints_take_last(struct checkpoints *checkpoints, void (*done)(struct broker *broker)) {
    timer_stop(checkpoints->broker->shards[0].shard, &checkpoints->timer);
    checkpoints->done = done;
    answer(&checkpoints->next);
    if (!checkpoints->busy)
        gather_all(checkpoints, true, false); /* else written() does, when the files of now are whole */
}

void checkpoints_write_last(struct checkpoints *checkpoints, const bool *clean, void (*done)(struct broker *broker)) {
    memcpy(checkpoints->clean, clean, sizeof checkpoints->clean);
    checkpoints->done = done;
    write_all(checkpoints);
}
