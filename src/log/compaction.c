/* Compaction: of each key only the newest record stays. Which part of a log is dirty, and the shard's side of a cleaning.
 * cleaning.h has the states; cleaning.c what is done on the pool; clean_batch.h what stays.
 *
 *     segments[0] ... cleaned_end ......... end ......... active
 *     |-- clean ------|-- dirty, cleaned --|-- not yet ---|
 *
 * The map of keys is built from the dirty part; then every segment from the first one on is read and written anew, but for
 * those in which nothing changes. Segments that are cleaned are sealed and lie below the last stable offset and the high
 * watermark: their bytes change no more, and neither the tail nor the journal is needed for them. While a cleaning is under
 * way nobody else removes segments of the log, renames it, closes or deletes it: who wants to asks the cleaning to stop,
 * and waits. */
#include "log/cleaning.h"

#include <stdlib.h>
#include "base/check.h"
#include "base/mem.h"
#include "base/trace.h"

enum {
    STEP_BYTES_MAX = 4 << 20,  /* of I/O in one piece of work on the pool */
    STEP_BYTES_MIN = 64 << 10,
    BUFFER_MIN = 16 << 10,
};

void compaction_set_policy(struct log *log) {
    bool wanted = log->settings.compact_policy && !log->is_copy;
    bool is = !list_is_empty(&log->compacted);
    if (wanted && !is)
        list_push_back(&log->store->compacted_logs, &log->compacted);
    if (!wanted)
        list_remove(&log->compacted);
    log->store->compacted_count += wanted - is;
    if (!log->settings.compact_policy)
        log_stop_cleaning(log);
}

int log_store_compacted_count(const struct log_store *store) {
    return store->compacted_count;
}

struct log *log_store_next_compacted(struct log_store *store) {
    struct list *node = list_pop_front(&store->compacted_logs);
    if (!node)
        return NULL;
    list_push_back(&store->compacted_logs, node);
    return container_of(node, struct log, compacted);
}

bool log_is_compacted(const struct log *log) {
    return !list_is_empty(&log->compacted);
}

void log_write_checkpoint_line(const struct log *log, struct buf *buf) {
    buf_printf(buf, "%s %d %lld\n", log->topic, (int)log->partition, (long long)log->cleaned_end);
}

void *log_user(const struct log *log) {
    return log->user;
}

int64_t log_cleaned_end(const struct log *log) {
    return log->cleaned_end;
}

void log_set_cleaned_end(struct log *log, int64_t offset) {
    log->cleaned_end = offset;
}

bool log_is_cleaning(const struct log *log) {
    return log->cleaning != NULL;
}

bool log_is_uncleanable(const struct log *log) {
    return log->uncleanable;
}

/* ---- what is dirty -------------------------------------------------------------------------------------------------- */

static void check_cleaned_end(struct log *log, struct log_dirtiness *dirt) {
    if (log->cleaned_end < 0 || (log->cleaned_end >= log->start && log->cleaned_end <= log->end))
        return;
    if (log->cleaned_end > log->end || !log->settings.delete_policy)
        trace_warn("log", "all of the log is dirty: what was cleaned ends outside of it", TRACE_STR("dir", log->path),
                   TRACE_INT("cleaned", log->cleaned_end), TRACE_INT("start", log->start), TRACE_INT("end", log->end));
    log->cleaned_end = log->start;
    dirt->start_changed = true;
}

/* End of what may be cleaned: the base of a segment. */
static int64_t find_end(const struct log *log, int64_t start, int64_t high_watermark, int64_t now) {
    const struct log_settings *settings = &log->settings;
    int64_t stable = log_last_stable_offset(log);
    if (high_watermark < stable)
        stable = high_watermark;
    for (int i = 0; i + 1 < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        int64_t next = log->segments[i + 1]->base_offset;
        if (next > stable || !segment->sealed || segment->written < segment->size)
            return segment->base_offset;
        int64_t newest = segment->max_timestamp >= 0 ? segment->max_timestamp : segment->created_ms;
        if (next > start && settings->min_compaction_lag_ms > 0 && newest > now - settings->min_compaction_lag_ms)
            return segment->base_offset;
    }
    return log_last_segment(log)->base_offset;
}

/* Largest first timestamp that may have waited long enough; INT64_MAX: none known. */
static int64_t oldest_dirty(const struct log *log, int64_t start) {
    int64_t oldest = INT64_MAX;
    for (int i = log_find_segment(log, start); i + 1 < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        int64_t first = segment->first_timestamp >= 0 ? segment->first_timestamp : segment->max_timestamp;
        if (first > 0 && first < oldest)
            oldest = first;
    }
    return oldest;
}

void log_measure_dirt(struct log *log, int64_t high_watermark, struct log_dirtiness *ret_dirt) {
    struct log_dirtiness dirt = {0};
    int64_t now = shard_wall_ms(log->store->shard);
    check_cleaned_end(log, &dirt);
    dirt.start = log->cleaned_end >= 0 ? log->cleaned_end : log->start;
    dirt.end = find_end(log, dirt.start, high_watermark, now);
    if (dirt.end < dirt.start)
        dirt.end = dirt.start;
    int first_dirty = log_find_segment(log, dirt.start);
    for (int i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        if (segment->base_offset < dirt.start)
            dirt.clean_bytes += segment->size;
        if (i >= first_dirty && segment->base_offset < dirt.end && dirt.end > dirt.start)
            dirt.dirty_bytes += segment->size;
    }
    int64_t total = dirt.clean_bytes + dirt.dirty_bytes;
    dirt.ratio = total ? (double)dirt.dirty_bytes / (double)total : 0;
    const struct log_settings *settings = &log->settings;
    if (settings->max_compaction_lag_ms < INT64_MAX) {
        int64_t oldest = oldest_dirty(log, dirt.start), until = now - settings->max_compaction_lag_ms;
        dirt.delay_ms = oldest < until ? until - oldest : 0;
    }
    bool able = total > 0 && dirt.end > dirt.start && log->phase == LOG_OPEN && !log->renaming && !log->cleaning && !log->uncleanable &&
                log->state == ERR_OK;
    dirt.due = able && ((dirt.delay_ms > 0 && dirt.dirty_bytes > 0) || dirt.ratio > settings->min_cleanable_dirty_ratio);
    *ret_dirt = dirt;
}

/* ---- the beginning -------------------------------------------------------------------------------------------------- */

static void list_sources(struct cleaning *cleaning, struct log *log) {
    int64_t start = cleaning->asked->start_offset, end = cleaning->asked->end_offset;
    cleaning->sources = mem_zalloc(sizeof *cleaning->sources * (size_t)log->segment_count);
    /* Tombstones of magic 0 and 1 go by the age of the last clean segment. */
    int64_t old_horizon = 0;
    for (int i = 0; i < log->segment_count && log->segments[i]->base_offset < start; i++)
        old_horizon = log->segments[i]->created_ms - log->settings.delete_retention_ms;
    cleaning->dirty_first = log_find_segment(log, start);
    for (int i = 0; i + 1 < log->segment_count && log->segments[i]->base_offset < end; i++) {
        const struct segment *segment = log->segments[i];
        cleaning->sources[cleaning->source_count++] = (struct clean_source){.base_offset = segment->base_offset,
                                                                            .size = segment->size,
                                                                            .next_base = log->segments[i + 1]->base_offset,
                                                                            .created_ms = segment->created_ms,
                                                                            .old_tombstones = segment->created_ms > old_horizon};
    }
    cleaning->source = cleaning->dirty_first;
}

static int by_first_offset(const void *a, const void *b) {
    const struct aborted_txn *x = a, *y = b;
    return x->first_offset < y->first_offset ? -1 : x->first_offset > y->first_offset;
}

/* Of all segments: a marker may lie beyond the data that is cleaned. */
static void list_aborted(struct cleaning *cleaning, const struct log *log) {
    int count = 0;
    for (int i = 0; i < log->segment_count; i++)
        count += log->segments[i]->aborted.count;
    cleaning->aborted = mem_zalloc(sizeof *cleaning->aborted * (size_t)(count ? count : 1));
    for (int i = 0; i < log->segment_count; i++)
        for (int k = 0; k < log->segments[i]->aborted.count; k++)
            cleaning->aborted[cleaning->aborted_count++] = log->segments[i]->aborted.entries[k];
    qsort(cleaning->aborted, (size_t)cleaning->aborted_count, sizeof *cleaning->aborted, by_first_offset);
    clean_txns_init(&cleaning->txns, cleaning->aborted, cleaning->aborted_count);
}

static int by_producer_id(const void *a, const void *b) {
    const struct last_record *x = a, *y = b;
    return x->producer_id < y->producer_id ? -1 : x->producer_id > y->producer_id;
}

static void list_producers(struct cleaning *cleaning, const struct log *log) {
    const struct map *map = &log->producers.map;
    cleaning->producers = mem_zalloc(sizeof *cleaning->producers * (size_t)(map->count ? map->count : 1));
    int count = 0;
    map_each(node, map) {
        const struct producer *producer = container_of(node, struct producer, node);
        cleaning->producers[count++] = (struct last_record){
            .producer_id = producer->id,
            .last_offset = producer->batch_count ? producer->batches[producer->batch_count - 1].last_offset : -1,
            .epoch = producer->epoch,
        };
    }
    qsort(cleaning->producers, (size_t)count, sizeof *cleaning->producers, by_producer_id);
    cleaning->rules.producers = cleaning->producers;
    cleaning->rules.producer_count = count;
}

static void begin_step(struct cleaning *cleaning);
static void step_done(struct shard *shard, struct work *work);

static void timer_fired(struct shard *shard, struct timer *timer) {
    (void)shard;
    begin_step(container_of(timer, struct cleaning, timer));
}

/* Aborted transactions whose marker lies before the dirty part are over when the map is built. */
static void skip_old_aborted(struct cleaning *cleaning) {
    int kept = 0;
    struct aborted_txn *dirty = mem_zalloc(sizeof *dirty * (size_t)(cleaning->aborted_count ? cleaning->aborted_count : 1));
    for (int i = 0; i < cleaning->aborted_count; i++)
        if (cleaning->aborted[i].last_offset >= cleaning->asked->start_offset)
            dirty[kept++] = cleaning->aborted[i];
    cleaning->dirty_aborted = dirty;
    clean_txns_init(&cleaning->txns, dirty, kept);
}

void log_clean_start(struct log_clean *clean) {
    struct log *log = clean->log;
    struct shard *shard = log->store->shard;
    check(log->phase == LOG_OPEN && !log->renaming && !log->cleaning, "%s is cleaned while it is closed, renamed or cleaned", log->path);
    struct log_dirtiness dirt;
    log_measure_dirt(log, clean->high_watermark, &dirt);
    struct cleaning *cleaning = mem_new(struct cleaning);
    clean->private = cleaning;
    clean->err = ERR_OK;
    clean->start_offset = dirt.start;
    clean->end_offset = dirt.end;
    clean->bytes_mapped = clean->bytes_read = clean->bytes_written = clean->records_read = clean->records_kept = clean->keyless = 0;
    clean->map_used = 0;
    clean->started_ns = clean->mapped_ns = clean->ended_ns = shard_now_ns(shard);
    cleaning->asked = clean;
    cleaning->fs = log->store->fs;
    cleaning->path = mem_strdup(log->path);
    cleaning->settings_segment_bytes = log->settings.segment_bytes;
    cleaning->settings_index_bytes = log->settings.segment_index_bytes;
    cleaning->index_interval_bytes = log->settings.index_interval_bytes;
    cleaning->buffer_bytes = clean->buffer_bytes > BUFFER_MIN ? clean->buffer_bytes : BUFFER_MIN;
    cleaning->timer.fire = timer_fired;
    list_sources(cleaning, log);
    list_aborted(cleaning, log);
    list_producers(cleaning, log);
    skip_old_aborted(cleaning);
    cleaning->rules.map = &cleaning->map;
    cleaning->rules.map_end = dirt.start;
    cleaning->rules.round_end = dirt.end;
    cleaning->rules.now_ms = shard_wall_ms(shard);
    cleaning->rules.delete_retention_ms = log->settings.delete_retention_ms;
    cleaning->batch = (struct clean_batch){.rules = &cleaning->rules, .txns = &cleaning->txns, .compressor = compressor_create()};
    uint64_t seed[2] = {shard_random(shard), shard_random(shard)};
    cleaning->err = offset_map_init(&cleaning->map, clean->map_bytes, clean->map_load_factor, (uint64_t)(dirt.end - dirt.start), seed);
    log->cleaning = clean;
    trace_info("log", "cleaning begins", TRACE_STR("dir", log->path), TRACE_INT("from", dirt.start), TRACE_INT("to", dirt.end),
               TRACE_INT("dirty bytes", dirt.dirty_bytes), TRACE_INT("clean bytes", dirt.clean_bytes));
    if (cleaning->err)
        cleaning->phase = CLEAN_END;
    begin_step(cleaning);
}

void log_stop_cleaning(struct log *log) {
    if (!log->cleaning)
        return;
    struct cleaning *cleaning = log->cleaning->private;
    cleaning->stopped = true;
    if (timer_is_running(&cleaning->timer))
        timer_start(log->store->shard, &cleaning->timer, 0);
    flush_progress(log);
}

/* ---- the steps ------------------------------------------------------------------------------------------------------ */

/* A quarter of a second's, so that pauses are short and another rate soon holds. */
static int64_t step_bytes(int64_t bytes_per_second) {
    int64_t bytes = bytes_per_second > 0 ? bytes_per_second / 4 : STEP_BYTES_MAX;
    return bytes > STEP_BYTES_MAX ? STEP_BYTES_MAX : bytes < STEP_BYTES_MIN ? STEP_BYTES_MIN : bytes;
}

static void offload(struct cleaning *cleaning) {
    cleaning->step_bytes = step_bytes(cleaning->asked->bytes_per_second);
    cleaning->in_step = true;
    cleaning->work_phase = cleaning->phase;
    cleaning->step_started_ns = shard_now_ns(cleaning->asked->log->store->shard);
    cleaning->work = (struct work){.run = cleaning_run, .done = step_done};
    shard_offload(cleaning->asked->log->store->shard, &cleaning->work);
}

static void mark_sources(const struct cleaning *cleaning, bool swapping) {
    struct log *log = cleaning->asked->log;
    const struct clean_group *group = &cleaning->groups[cleaning->group];
    int at = log_find_segment(log, cleaning->sources[group->first].base_offset);
    for (int i = 0; i < group->count; i++)
        log->segments[at + i]->swapping = swapping;
}

static bool sources_are_idle(const struct cleaning *cleaning) {
    struct log *log = cleaning->asked->log;
    const struct clean_group *group = &cleaning->groups[cleaning->group];
    int at = log_find_segment(log, cleaning->sources[group->first].base_offset);
    for (int i = 0; i < group->count; i++)
        if (log->segments[at + i]->file_works)
            return false;
    return true;
}

static void resume_held(struct log *log) {
    struct list held, *node;
    list_init(&held);
    list_splice(&held, &log->swap_held);
    while ((node = list_pop_front(&held))) {
        struct log_held *one = container_of(node, struct log_held, node);
        one->resume(one);
    }
}

static void start_swap(struct cleaning *cleaning) {
    const struct log *log = cleaning->asked->log;
    const struct clean_group *group = &cleaning->groups[cleaning->group];
    const struct segment *next = log->segments[log_find_segment(log, cleaning->sources[group->first].base_offset) + group->count];
    cleaning->next_base = next->exists ? -1 : next->base_offset;
    cleaning->phase = CLEAN_SWAP;
    offload(cleaning);
}

bool compaction_holds(struct segment *segment, struct log_held *held, void (*resume)(struct log_held *held)) {
    if (!segment->swapping)
        return false;
    held->resume = resume;
    list_push_back(&segment->log->swap_held, &held->node);
    return true;
}

/* The files are the new ones; so are the segments. */
static void take_output(struct cleaning *cleaning) {
    struct log *log = cleaning->asked->log;
    const struct clean_group *group = &cleaning->groups[cleaning->group];
    struct segment *output = cleaning->output;
    int at = log_find_segment(log, cleaning->sources[group->first].base_offset);
    output->written = output->size;
    output->sealed = output->exists = true;
    output->created_ms = cleaning->sources[group->first + group->count - 1].created_ms;
    output->bytes_since_index = 0;
    if (output->size)
        segment_index_free(output); /* it is read again when it is used */
    for (int i = 0; i < group->count; i++) {
        struct segment *old = log->segments[at + i];
        tail_forget_segment(log, old);
        if (log->durable_segment == old) {
            log->durable_segment = output;
            log->durable_pos = output->size;
        }
        old->removed = true;
        segment_close_files(old);
        segment_unpin(old);
    }
    log->segments[at] = output;
    int after = log->segment_count - at - group->count;
    memmove(log->segments + at + 1, log->segments + at + group->count, sizeof(struct segment *) * (size_t)after);
    log->segment_count -= group->count - 1;
    cleaning->output = NULL;
}

static void drop_output(struct cleaning *cleaning) {
    if (!cleaning->output)
        return;
    cleaning->output->removed = true;
    segment_unpin(cleaning->output);
    cleaning->output = NULL;
}

/* The next group, or the end. */
static void begin_group(struct cleaning *cleaning) {
    struct log *log = cleaning->asked->log;
    if (++cleaning->group >= cleaning->group_count) {
        cleaning->phase = CLEAN_END;
        return;
    }
    const struct clean_group *group = &cleaning->groups[cleaning->group];
    cleaning->source = group->first;
    cleaning->output = segment_create(log, cleaning->sources[group->first].base_offset);
    cleaning->same = group->count == 1;
    cleaning->phase = CLEAN_COPY;
}

static bool is_fault_of_log(enum err err) {
    return err == ERR_CORRUPT || err == ERR_BAD_RECORD || err == ERR_UNSUPPORTED_COMPRESSION || err == ERR_UNSUPPORTED || err == ERR_TOO_LARGE ||
           err == ERR_TRUNCATED || err == ERR_NOT_FOUND || err == ERR_INVALID;
}

static void end(struct cleaning *cleaning) {
    struct log_clean *clean = cleaning->asked;
    struct log *log = clean->log;
    enum err err = cleaning->err ? cleaning->err : cleaning->stopped ? ERR_CANCELED : ERR_OK;
    drop_output(cleaning);
    clean->err = err;
    clean->ended_ns = shard_now_ns(log->store->shard);
    clean->records_read = cleaning->batch.records_read;
    clean->records_kept = cleaning->batch.records_kept;
    clean->keyless = cleaning->batch.keyless;
    clean->end_offset = cleaning->rules.map_end;
    if (!err) {
        log->cleaned_end = clean->end_offset;
        trace_info("log", "cleaning ends", TRACE_STR("dir", log->path), TRACE_INT("cleaned", clean->end_offset),
                   TRACE_INT("bytes read", clean->bytes_read), TRACE_INT("bytes written", clean->bytes_written),
                   TRACE_INT("records read", clean->records_read), TRACE_INT("records kept", clean->records_kept),
                   TRACE_INT("ms", (clean->ended_ns - clean->started_ns) / NS_PER_MS));
        if (clean->keyless)
            trace_warn("log", "records without a key went", TRACE_STR("dir", log->path), TRACE_INT("records", clean->keyless));
    } else if (is_fault_of_log(err)) {
        log->uncleanable = true;
        trace_error("log", "a log cannot be cleaned, and is left as it is until the next start", TRACE_STR("dir", log->path),
                    TRACE_STR("at", cleaning->where), TRACE_ERR(err));
    } else if (err != ERR_CANCELED && err != ERR_OFFLINE) {
        trace_warn("log", "cleaning fails", TRACE_STR("dir", log->path), TRACE_ERR(err));
    }
    log->cleaning = NULL;
    if (err == ERR_IO)
        flush_failed(log->store, log->dir, err, cleaning->path);
    resume_held(log);
    timer_stop(log->store->shard, &cleaning->timer);
    cleaning_free(cleaning);
    clean->private = NULL;
    flush_progress(log); /* who waits for the end */
    clean->done(clean);
}

static void begin_step(struct cleaning *cleaning) {
    struct log *log = cleaning->asked->log;
    if (!cleaning->err && log->state == ERR_OFFLINE)
        cleaning->err = ERR_OFFLINE;
    if (cleaning->err || cleaning->stopped)
        cleaning->phase = CLEAN_END;
    if (cleaning->phase == CLEAN_COPY && cleaning->group < 0)
        begin_group(cleaning);
    if (cleaning->phase == CLEAN_FINISH && cleaning->same) { /* nothing of it changes */
        drop_output(cleaning);
        begin_group(cleaning);
    }
    if (cleaning->phase == CLEAN_WAIT) {
        mark_sources(cleaning, true);
        flush_progress(log);
        return;
    }
    offload(cleaning); /* CLEAN_END: removes what there is, also at the good end */
}

bool compaction_waits(const struct log *log) {
    return log->cleaning && !log->cleaning->private->in_step && log->cleaning->private->phase == CLEAN_WAIT;
}

void compaction_step(struct log *log) {
    struct cleaning *cleaning = log->cleaning->private;
    if (cleaning->stopped || log->state == ERR_OFFLINE) {
        mark_sources(cleaning, false);
        resume_held(log);
        begin_step(cleaning);
    } else if (sources_are_idle(cleaning)) {
        start_swap(cleaning);
    }
}

/* How long the rate makes it wait after a step. */
static uint64_t pause_ns(const struct cleaning *cleaning, uint64_t step_ns) {
    double rate = (double)cleaning->asked->bytes_per_second;
    if (rate <= 0 || !cleaning->step_done_bytes)
        return 0;
    double wanted = (double)cleaning->step_done_bytes / rate * (double)NS_PER_S;
    return wanted > (double)step_ns ? (uint64_t)(wanted - (double)step_ns) : 0;
}

static void step_done(struct shard *shard, struct work *work) {
    struct cleaning *cleaning = container_of(work, struct cleaning, work);
    struct log *log = cleaning->asked->log;
    enum clean_phase done = cleaning->work_phase;
    cleaning->in_step = false;
    uint64_t now = shard_now_ns(shard), step_ns = now - cleaning->step_started_ns;
    if (done == CLEAN_MAP && cleaning->phase == CLEAN_GROUP)
        cleaning->asked->mapped_ns = now;
    if (done == CLEAN_END) {
        end(cleaning);
        return;
    }
    if (done == CLEAN_SWAP) {
        mark_sources(cleaning, false);
        if (!cleaning->err) {
            take_output(cleaning);
            begin_group(cleaning);
        }
        resume_held(log);
    }
    uint64_t pause = cleaning->stopped || cleaning->err ? 0 : pause_ns(cleaning, step_ns);
    if (pause)
        timer_start(shard, &cleaning->timer, pause);
    else
        begin_step(cleaning);
}
