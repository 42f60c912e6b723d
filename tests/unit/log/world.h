/* One log on the simulated disk, for tests of what a log does with cleanings, stops and crashes.
 *
 *     begin_world(seed);  open_log();  put("a=1 b=2 c-");  roll();  clean();  reopen(true);  read_all();  end_world();
 *
 * Records are written as text, "a=1 b=2 c-" is one batch of two values and a tombstone. What is in the log is read back as
 * text, a batch in brackets: "[0-2 0:a=1 2:c-]", with t (transactional), c (control), h (delete horizon), z (compressed) after
 * the offsets. What a killed node had allocated is lost on purpose. */
#ifndef TESTS_UNIT_LOG_WORLD_H
#define TESTS_UNIT_LOG_WORLD_H

#include "tests/unit/test.h"

#include <stdarg.h>
#include "base/check.h"
#include "base/mem.h"
#include "base/trace.h"
#include "log/internal.h"
#include "runtime/sim/sim.h"

enum { EVENTS_MAX = 2000000, TEXT_MAX = 64 << 10 };
static const int64_t start_ms = 1700000000000;

struct fixture {
    struct sim *sim;
    struct fs *disk;
    struct runtime *runtime;
    struct log_inventory *inventory;
    struct log_store *store;
    struct log *log;
    struct log_settings settings;
    struct timer tick;
    void (*act)(void); /* in the next tick */
    bool failed, opened, closed, stopped;
    struct log_clean clean;
    bool cleaned;
    /* reading */
    struct log_read read;
    int64_t read_offset;
    bool reading;
    struct compressor *compressor;
    char text[TEXT_MAX];
    size_t text_size;
};
static struct fixture f;
static const char *const dir = "/log";

/* ---- the world --------------------------------------------------------------------------------------------------- */

static inline void on_progress(struct log *log, void *user) {
    (void)user;
    if (log_state(log) == ERR_OFFLINE)
        f.failed = true;
}

static inline void tick(struct shard *shard, struct timer *timer) {
    void (*act)(void) = f.act;
    f.act = NULL;
    if (act)
        act();
    timer_start(shard, timer, NS_PER_MS);
}

static inline void opened(struct log *log, enum err err, void *user) {
    (void)user;
    f.log = log;
    f.failed = f.failed || err;
    f.opened = true;
    f.tick = (struct timer){.fire = tick};
    timer_start(runtime_shard(f.runtime, 0), &f.tick, NS_PER_MS);
}

static inline void start(struct shard *shard, void *arg) {
    (void)arg;
    struct log_store_options options = {.inventory = f.inventory, .journal_bytes = 2 << 20, .tail_bytes_max = 64 << 10, .journal_flush = true};
    struct log_open_options open = {.topic_id = {1, 2}, .topic = SLICE_LIT("topic"), .on_progress = on_progress, .settings = f.settings};
    if (log_store_create(shard, &options, &f.store))
        f.failed = true;
    else
        log_open(f.store, &open, opened);
}

static inline bool stop_waiting(void) {
    return f.failed || sim_disk_is_dead(f.disk);
}

/* Steps until *flag, or something failed. */
static inline void wait_for(const bool *flag) {
    for (int i = 0; i < EVENTS_MAX && !*flag && !stop_waiting(); i++)
        EXPECT(sim_step(f.sim));
    EXPECT(*flag || stop_waiting());
}

static inline void in_shard(void (*act)(void)) {
    f.act = act;
    for (int i = 0; i < EVENTS_MAX && f.act && !stop_waiting(); i++)
        EXPECT(sim_step(f.sim));
}

static inline bool open_log(void) {
    f.opened = f.closed = f.stopped = f.failed = false;
    f.log = NULL;
    f.runtime = sim_node_create(f.sim, f.disk, "10.0.0.1", 1);
    enum err err = fs_mkdir(f.disk, dir);
    f.inventory = log_inventory_create(f.runtime, &dir, 1);
    f.failed = (err && err != ERR_EXISTS) || fs_sync_dir(f.disk, "/") || log_inventory_dir(f.inventory, 0)->err;
    if (f.failed)
        return false;
    sim_node_start(f.runtime, start, NULL, NULL);
    wait_for(&f.opened);
    return !stop_waiting();
}

static inline void begin_world(uint64_t seed) {
    struct trace_options quiet = {.level = getenv("COMPACTION_TRACE") ? TRACE_DEBUG : TRACE_ERROR + 1};
    trace_setup(&quiet);
    f = (struct fixture){.sim = sim_create(seed)};
    f.disk = sim_disk_create(f.sim, 1 << 30);
    f.compressor = compressor_create();
    log_settings_default(&f.settings);
    f.settings.compact_policy = f.settings.validate.compact = true;
    f.settings.delete_policy = false;
    f.settings.min_cleanable_dirty_ratio = 0;
    f.settings.validate.timestamp_after_max_ms = INT64_MAX;
    f.settings.delete_retention_ms = 1000000;
}

static inline void end_world(void) {
    sim_node_kill(f.runtime);
    sim_disk_destroy(f.disk);
    sim_destroy(f.sim);
    compressor_destroy(f.compressor);
}

static inline void store_stopped(struct log_store *store, void *arg) {
    (void)store, (void)arg;
    f.stopped = true;
}

static inline void log_closed(enum err err, void *arg) {
    (void)arg;
    f.failed = f.failed || err;
    f.closed = true;
    f.log = NULL;
    log_store_stop(f.store, store_stopped, NULL);
}

static inline void close_now(void) {
    log_close(f.log, log_closed, NULL);
}

static inline void close_log(void) {
    in_shard(close_now);
    wait_for(&f.stopped);
}

/* A stop, with the mark of a clean one, and a start. */
static inline void reopen(bool cleanly) {
    if (cleanly) {
        close_log();
        EXPECT(fs_write_whole(f.disk, "/log/.kafka_cleanshutdown", SLICE_LIT("{\"version\":0,\"brokerEpoch\":1}")) == ERR_OK);
    }
    sim_node_kill(f.runtime);
    EXPECT(open_log());
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct batch_spec {
    const char *records;
    enum codec codec;
    int64_t producer_id, time; /* producer_id 0: none */
    int16_t epoch;
    int32_t sequence;
    bool transactional;
    int marker; /* 0: data; else the control type + 1 */
};
static struct batch_spec spec;
static enum err append_err;
static bool append_was_duplicate;

static inline void add_records(struct batch_builder *builder) {
    char text[4096];
    snprintf(text, sizeof text, "%s", spec.records);
    int delta = 0;
    for (char *save, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save), delta++) {
        size_t key = strcspn(word, "=-");
        struct slice value = word[key] == '=' ? slice_str(word + key + 1) : SLICE_NULL;
        batch_builder_add(builder, delta, (spec.time ? spec.time : start_ms) + delta, slice_of(word, key), value, NULL, 0);
    }
}

static inline void append_spec(void) {
    struct buf bytes = {0};
    struct batch_builder builder;
    uint8_t key[4], value[6] = {0, 0, 0, 0, 0, 7};
    batch_builder_init(&builder, &bytes, 0);
    if (spec.marker)
        batch_builder_add(&builder, 0, spec.time ? spec.time : start_ms, control_key(spec.marker - 1, key), slice_of(value, 6), NULL, 0);
    else
        add_records(&builder);
    int attributes = (spec.transactional ? BATCH_TRANSACTIONAL : 0) | (spec.marker ? BATCH_CONTROL : 0);
    bool producer = spec.producer_id > 0;
    check(batch_builder_finish(&builder, attributes, spec.codec, COMPRESS_LEVEL_DEFAULT, f.compressor, producer ? spec.producer_id : -1,
                               producer ? spec.epoch : -1, producer && !spec.marker ? spec.sequence : -1) == ERR_OK);
    struct log_append_result result;
    struct arena arena = {0};
    append_err = spec.marker ? log_append(f.log, bytes.ptr, bytes.size, APPEND_COORDINATOR, 0, &arena, &result)
                             : log_append_guarded(f.log, bytes.ptr, bytes.size, GUARD_NOT_NEEDED, 0, &arena, &result);
    append_was_duplicate = result.duplicate;
    arena_deinit(&arena);
    buf_deinit(&bytes);
}

static inline void append(struct batch_spec batch) {
    spec = batch;
    in_shard(append_spec);
    if (!stop_waiting())
        EXPECT_INT(append_err, ERR_OK);
}

static inline void put(const char *records) {
    append((struct batch_spec){.records = records});
}

static inline void roll_now(void) {
    log_roll(f.log);
}

static inline bool is_settled(void) {
    for (int i = 0; i + 1 < f.log->segment_count; i++)
        if (!f.log->segments[i]->sealed)
            return false;
    return f.log->durable_end == f.log->end;
}

/* A new segment, and the old one sealed. */
static inline void roll(void) {
    in_shard(roll_now);
    for (int i = 0; i < EVENTS_MAX && !stop_waiting() && !is_settled(); i++) {
        if (!f.log->writing)
            flush_behind(f.log); /* what upkeep does when the time comes */
        EXPECT(sim_step(f.sim));
    }
}

/* ---- cleaning ---------------------------------------------------------------------------------------------------- */

static size_t map_bytes = 1 << 20;
static int64_t bytes_per_second;

static inline void cleaned(struct log_clean *clean) {
    (void)clean;
    f.cleaned = true;
}

static inline void clean_now(void) {
    f.cleaned = false;
    f.clean = (struct log_clean){.log = f.log,
                                 .high_watermark = log_durable_end(f.log),
                                 .map_bytes = map_bytes,
                                 .map_load_factor = 0.9,
                                 .buffer_bytes = 256 << 10,
                                 .bytes_per_second = bytes_per_second,
                                 .done = cleaned};
    log_clean_start(&f.clean);
}

static inline enum err clean(void) {
    in_shard(clean_now);
    wait_for(&f.cleaned);
    return f.clean.err;
}

static struct log_dirtiness dirt;
static inline void measure_now(void) {
    log_measure_dirt(f.log, log_durable_end(f.log), &dirt);
}
static inline void measure(void) {
    in_shard(measure_now);
}

static inline void pass_time(int64_t ms) {
    static int64_t offset;
    offset = ms;
    sim_node_set_clock(f.runtime, offset);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static inline void say(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    f.text_size += (size_t)vsnprintf(f.text + f.text_size, TEXT_MAX - f.text_size, fmt, args);
    va_end(args);
    check(f.text_size < TEXT_MAX);
}

static inline void say_batch(const uint8_t *batch) {
    struct buf plain = {0};
    struct slice payload = slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE);
    say("[%lld-%lld%s%s%s%s", (long long)batch_base_offset(batch), (long long)batch_last_offset(batch), batch_is_transactional(batch) ? "t" : "",
        batch_is_control(batch) ? "c" : "", batch_attributes(batch) & BATCH_DELETE_HORIZON ? "h" : "", batch_codec(batch) ? "z" : "");
    if (batch_codec(batch) && batch_count(batch)) {
        check(codec_decompress(f.compressor, batch_codec(batch), payload, 1 << 20, &plain) == ERR_OK);
        payload = buf_slice(&plain);
    }
    struct record_iterator it;
    struct record record;
    enum err err;
    record_iterator_init(&it, batch, payload);
    while (!(err = record_next(&it, &record))) {
        if (batch_is_control(batch))
            say(" %s", control_type_of(record.key) == CONTROL_COMMIT ? "commit" : "abort");
        else if (record.value.ptr)
            say(" %lld:%.*s=%.*s", (long long)record.offset, SLICE_FMT(record.key), SLICE_FMT(record.value));
        else
            say(" %lld:%.*s-", (long long)record.offset, SLICE_FMT(record.key));
    }
    check(err == ERR_NOT_FOUND);
    say("]");
    buf_deinit(&plain);
}

static inline void read_on(void);

static inline void take_read(void) {
    if (f.read.err) {
        say("{%s}", err_text(f.read.err));
        f.failed = true;
    }
    size_t at = 0;
    const uint8_t *bytes = f.read.piece_count ? f.read.pieces[0].ptr : NULL;
    for (; !f.read.err && at < f.read.size; at += batch_size(bytes + at)) {
        check(batch_check(slice_of(bytes + at, f.read.size - at)) == ERR_OK);
        say_batch(bytes + at);
        f.read_offset = batch_last_offset(bytes + at) + 1;
    }
    if (!at)
        f.read_offset = f.log->durable_end; /* nothing up to the end */
    log_read_release(&f.read);
}

static inline void read_done(struct log_read *read) {
    (void)read;
    take_read();
    read_on();
}

static inline void read_on(void) {
    while (f.read_offset < f.log->durable_end && !f.failed) {
        f.read = (struct log_read){.log = f.log, .offset = f.read_offset, .bound = f.log->durable_end, .bytes_max = 1, .whole_first_batch = true,
                                   .contiguous = true, .done = read_done};
        if (!log_read(&f.read))
            return;
        take_read();
    }
    f.reading = false;
}

static inline void read_start(void) {
    f.read_offset = f.log->start;
    read_on();
}

static inline const char *read_all(void) {
    f.text_size = 0;
    f.text[0] = 0;
    f.reading = true;
    in_shard(read_start);
    for (int i = 0; i < EVENTS_MAX && f.reading && !stop_waiting(); i++)
        EXPECT(sim_step(f.sim));
    return f.text;
}

const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

#endif
