#include "broker/cleaner.h"

#include "base/mem.h"
#include "base/trace.h"
#include "broker/shard_call.h"
#include "metadata/config_check.h"

enum { LOGS_PER_TURN = 64, WORKERS_MAX = 64 };

struct found_log { /* by name: a pick takes turns, and logs come and go */
    struct uuid topic_id;
    int32_t partition;
    double ratio;
};

struct pick { /* a shard's part of one */
    struct shard_call call;
    struct cleaner *cleaner;
    struct message turn;
    int left;
    bool found, start_changed;
    struct found_log dirtiest;
    double ratio_max;
    int64_t delay_ms_max;
};

struct worker {
    struct shard_call call;
    struct cleaner *cleaner;
    struct log_clean clean;
    struct found_log log;
    bool busy, begun;
    enum err err;
    struct { /* of its last cleaning */
        double map_used, seconds;
        int64_t bytes_read, bytes_written, delay_ms;
    } last;
};

struct cleaner {
    struct broker *broker;
    struct checkpoints *checkpoints;
    struct timer timer;
    struct pick *picks; /* one a shard */
    int picks_pending;
    struct worker *workers;
    bool stopping;
    double ratio_max;
    int64_t delay_ms_max;
    uint64_t picked_ns;
    uint64_t cleanings, io_bytes, records_removed;
};

/* ---- settings ------------------------------------------------------------------------------------------------------- */

struct cleaner_settings {
    int workers;
    size_t map_bytes, buffer_bytes;
    double load_factor;
    int64_t bytes_per_second, backoff_ms;
};

static void read_settings(const struct cleaner *cleaner, struct cleaner_settings *ret_settings) {
    const struct broker *broker = cleaner->broker;
    struct arena arena = {0};
#define VALUE(key) config_broker_value(broker->config, broker->shards[0].image, key, &arena)
    int64_t threads = config_int(VALUE("log.cleaner.threads"));
    struct cleaner_settings *s = ret_settings;
    s->workers = (int)(threads < WORKERS_MAX ? threads : WORKERS_MAX);
    int64_t share = threads > 0 ? threads : 1;
    int64_t map = config_int(VALUE("log.cleaner.dedupe.buffer.size")) / share;
    s->map_bytes = (size_t)(map < INT32_MAX ? map : INT32_MAX);
    s->load_factor = config_double(VALUE("log.cleaner.io.buffer.load.factor"));
    s->buffer_bytes = (size_t)(config_int(VALUE("log.cleaner.io.buffer.size")) / share / 2);
    double rate = config_double(VALUE("log.cleaner.io.max.bytes.per.second"));
    s->bytes_per_second = rate > 1e15 ? 0 : rate < 1 ? 1 : (int64_t)rate; /* of all; 0: as good as no limit */
    s->backoff_ms = config_int(VALUE("log.cleaner.backoff.ms"));
#undef VALUE
    arena_deinit(&arena);
}

/* ---- on each shard: what is dirty ----------------------------------------------------------------------------------- */

static void look_at(struct pick *pick, struct log *log) {
    struct partition *partition = log_user(log);
    struct log_dirtiness dirt;
    if (log_is_cleaning(log) || log_state(log) != ERR_OK || partition->log != log || partition->move)
        return;
    int64_t high_watermark = partition_high_watermark(partition);
    log_retain(log, high_watermark);
    log_measure_dirt(log, high_watermark, &dirt);
    pick->start_changed |= dirt.start_changed;
    if (log_is_uncleanable(log))
        return;
    if (dirt.ratio > pick->ratio_max)
        pick->ratio_max = dirt.ratio;
    if (dirt.delay_ms > pick->delay_ms_max)
        pick->delay_ms_max = dirt.delay_ms;
    if (!dirt.due || (pick->found && pick->dirtiest.ratio >= dirt.ratio))
        return;
    pick->found = true;
    pick->dirtiest = (struct found_log){partition->topic_id, partition->index, dirt.ratio};
}

static void look_at_some(struct shard *shard, struct message *message) {
    struct pick *pick = container_of(message, struct pick, turn);
    struct log_store *store = broker_shard_of(shard)->store;
    for (int i = 0; i < LOGS_PER_TURN && pick->left > 0; i++, pick->left--) {
        struct log *log = log_store_next_compacted(store);
        if (!log)
            pick->left = 0;
        else
            look_at(pick, log);
    }
    if (pick->left > 0)
        shard_post(shard, message);
    else
        shard_call_return(&pick->call);
}

static void pick_run(struct shard_call *call) {
    struct pick *pick = container_of(call, struct pick, call);
    pick->left = log_store_compacted_count(call->at->store);
    pick->turn.deliver = look_at_some;
    look_at_some(call->at->shard, &pick->turn);
}

/* ---- on the owner: the cleaning ------------------------------------------------------------------------------------- */

static void cleaned(struct log_clean *clean) {
    struct worker *worker = container_of(clean, struct worker, clean);
    worker->err = clean->err;
    shard_call_return(&worker->call);
}

static void clean_run(struct shard_call *call) {
    struct worker *worker = container_of(call, struct worker, call);
    struct partition *partition = partition_find(&call->at->partitions, worker->log.topic_id, worker->log.partition);
    struct log_dirtiness dirt = {0};
    if (partition && partition->log && !partition->move && log_is_compacted(partition->log))
        log_measure_dirt(partition->log, partition_high_watermark(partition), &dirt);
    worker->begun = dirt.due; /* else it has changed meanwhile */
    if (!dirt.due) {
        worker->err = ERR_AGAIN;
        shard_call_return(call);
        return;
    }
    worker->last.delay_ms = dirt.delay_ms;
    worker->clean.log = partition->log;
    worker->clean.high_watermark = partition_high_watermark(partition);
    worker->clean.done = cleaned;
    log_clean_start(&worker->clean);
}

/* ---- shard 0 -------------------------------------------------------------------------------------------------------- */

static void look_for_work(struct cleaner *cleaner);

/* Those at work have the rate in equal parts: one alone has all of it. */
static void share_rate(struct cleaner *cleaner) {
    struct cleaner_settings settings;
    int busy = 0;
    read_settings(cleaner, &settings);
    for (int i = 0; i < WORKERS_MAX; i++)
        busy += cleaner->workers[i].busy;
    int64_t rate = settings.bytes_per_second;
    for (int i = 0; i < WORKERS_MAX; i++)
        if (cleaner->workers[i].busy)
            cleaner->workers[i].clean.bytes_per_second = rate && rate < busy ? 1 : rate / busy;
}

static void wait_a_while(struct cleaner *cleaner) {
    struct cleaner_settings settings;
    read_settings(cleaner, &settings);
    uint64_t ms = settings.backoff_ms > 0 ? (uint64_t)settings.backoff_ms : 1;
    if (!cleaner->stopping && !timer_is_running(&cleaner->timer))
        timer_start(cleaner->broker->shards[0].shard, &cleaner->timer, ms * NS_PER_MS);
}

static void worker_back(struct shard_call *call) {
    struct worker *worker = container_of(call, struct worker, call);
    struct cleaner *cleaner = worker->cleaner;
    const struct log_clean *clean = &worker->clean;
    worker->busy = false;
    share_rate(cleaner);
    if (worker->begun) {
        cleaner->io_bytes += (uint64_t)(clean->bytes_mapped + clean->bytes_read + clean->bytes_written);
        worker->last.bytes_read = clean->bytes_read;
        worker->last.bytes_written = clean->bytes_written;
        worker->last.map_used = clean->map_used;
        worker->last.seconds = (double)(clean->ended_ns - clean->started_ns) / 1e9;
    }
    if (worker->begun && !worker->err) {
        cleaner->cleanings++;
        cleaner->records_removed += (uint64_t)(clean->records_read - clean->records_kept);
        checkpoints_cleaned(cleaner->checkpoints);
    }
    if (worker->err) /* it may fail the same way again */
        wait_a_while(cleaner);
    else
        look_for_work(cleaner);
}

static void dispatch(struct cleaner *cleaner, struct worker *worker, int shard, const struct found_log *log) {
    struct cleaner_settings settings;
    read_settings(cleaner, &settings);
    worker->busy = true;
    worker->begun = false;
    worker->log = *log;
    worker->clean = (struct log_clean){.map_bytes = settings.map_bytes,
                                       .map_load_factor = settings.load_factor,
                                       .buffer_bytes = settings.buffer_bytes};
    share_rate(cleaner);
    worker->call = (struct shard_call){
        .home = &cleaner->broker->shards[0], .at = &cleaner->broker->shards[shard], .run = clean_run, .back = worker_back};
    shard_call_send(&worker->call);
}

static struct worker *find_free(struct cleaner *cleaner) {
    struct cleaner_settings settings;
    read_settings(cleaner, &settings);
    int busy = 0;
    struct worker *free_worker = NULL;
    for (int i = 0; i < WORKERS_MAX; i++) {
        busy += cleaner->workers[i].busy;
        if (!cleaner->workers[i].busy && !free_worker)
            free_worker = &cleaner->workers[i];
    }
    return busy < settings.workers ? free_worker : NULL;
}

static void picked(struct shard_call *call) {
    struct pick *pick = container_of(call, struct pick, call);
    struct cleaner *cleaner = pick->cleaner;
    if (--cleaner->picks_pending)
        return;
    int best = -1;
    bool start_changed = false;
    cleaner->ratio_max = 0;
    cleaner->delay_ms_max = 0;
    cleaner->picked_ns = shard_now_ns(cleaner->broker->shards[0].shard);
    for (int i = 0; i < cleaner->broker->shard_count; i++) {
        const struct pick *one = &cleaner->picks[i];
        start_changed |= one->start_changed;
        if (one->ratio_max > cleaner->ratio_max)
            cleaner->ratio_max = one->ratio_max;
        if (one->delay_ms_max > cleaner->delay_ms_max)
            cleaner->delay_ms_max = one->delay_ms_max;
        if (one->found && (best < 0 || one->dirtiest.ratio > cleaner->picks[best].dirtiest.ratio))
            best = i;
    }
    struct worker *worker = find_free(cleaner);
    if (start_changed && !cleaner->stopping)
        checkpoints_cleaned(cleaner->checkpoints);
    if (best < 0 || !worker || cleaner->stopping) {
        wait_a_while(cleaner);
        return;
    }
    struct found_log log = cleaner->picks[best].dirtiest;
    dispatch(cleaner, worker, best, &log);
    look_for_work(cleaner); /* for the next worker */
}

static void look_for_work(struct cleaner *cleaner) {
    share_rate(cleaner); /* it may be another now */
    if (cleaner->stopping || cleaner->picks_pending || !find_free(cleaner)) {
        wait_a_while(cleaner);
        return;
    }
    timer_stop(cleaner->broker->shards[0].shard, &cleaner->timer);
    cleaner->picks_pending = cleaner->broker->shard_count;
    for (int i = 0; i < cleaner->broker->shard_count; i++) {
        struct pick *pick = &cleaner->picks[i];
        *pick = (struct pick){.cleaner = cleaner};
        pick->call = (struct shard_call){
            .home = &cleaner->broker->shards[0], .at = &cleaner->broker->shards[i], .run = pick_run, .back = picked};
    }
    for (int i = 0; i < cleaner->broker->shard_count; i++)
        shard_call_send(&cleaner->picks[i].call);
}

static void due(struct shard *shard, struct timer *timer) {
    (void)shard;
    look_for_work(container_of(timer, struct cleaner, timer));
}

struct cleaner *cleaner_create(struct broker *broker, struct checkpoints *checkpoints) {
    struct cleaner *cleaner = mem_new(struct cleaner);
    cleaner->broker = broker;
    cleaner->checkpoints = checkpoints;
    cleaner->picks = mem_zalloc(sizeof *cleaner->picks * (size_t)broker->shard_count);
    cleaner->workers = mem_zalloc(sizeof *cleaner->workers * WORKERS_MAX);
    for (int i = 0; i < WORKERS_MAX; i++)
        cleaner->workers[i].cleaner = cleaner;
    cleaner->timer.fire = due;
    cleaner->picked_ns = shard_now_ns(broker->shards[0].shard);
    if (broker_config_bool(broker->config, "log.cleaner.enable"))
        timer_start(broker->shards[0].shard, &cleaner->timer, 0);
    else
        cleaner->stopping = true;
    return cleaner;
}

void cleaner_stop(struct cleaner *cleaner) {
    cleaner->stopping = true;
    timer_stop(cleaner->broker->shards[0].shard, &cleaner->timer);
}

void cleaner_destroy(struct cleaner *cleaner) {
    if (!cleaner)
        return;
    mem_free(cleaner->picks);
    mem_free(cleaner->workers);
    mem_free(cleaner);
}

void cleaner_collect(const struct cleaner *cleaner, struct cleaner_numbers *ret_numbers) {
    struct cleaner_numbers numbers = {.max_dirty_ratio = cleaner->ratio_max,
                                      .delay_ms_max = cleaner->delay_ms_max,
                                      .cleanings = cleaner->cleanings,
                                      .io_bytes = cleaner->io_bytes,
                                      .records_removed = cleaner->records_removed};
    int64_t read = 0, written = 0;
    for (int i = 0; i < WORKERS_MAX; i++) {
        const struct worker *worker = &cleaner->workers[i];
        read += worker->last.bytes_read;
        written += worker->last.bytes_written;
        if (worker->last.map_used > numbers.map_used_max)
            numbers.map_used_max = worker->last.map_used;
        if (worker->last.seconds > numbers.seconds_max)
            numbers.seconds_max = worker->last.seconds;
    }
    numbers.recopied = (double)written / (double)(read ? read : 1);
    numbers.since_pick_ms = (int64_t)((shard_now_ns(cleaner->broker->shards[0].shard) - cleaner->picked_ns) / NS_PER_MS);
    *ret_numbers = numbers;
}
