/* Compaction of one log on the simulated disk: what stays, batch by batch; when; and that neither readers, nor a stop, nor a
 * crash at any operation of the disk loses what is newest.
 *
 * Records are written as text, "a=1 b=2 c-" is one batch of two values and a tombstone. What is in the log is read back as
 * text, a batch in brackets: "[0-2 0:a=1 2:c-]", with t (transactional), c (control), h (delete horizon), z (compressed) after
 * the offsets. */
#include "tests/unit/test.h"

#include <zlib.h>
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

static void on_progress(struct log *log, void *user) {
    (void)user;
    if (log_state(log) == ERR_OFFLINE)
        f.failed = true;
}

static void tick(struct shard *shard, struct timer *timer) {
    void (*act)(void) = f.act;
    f.act = NULL;
    if (act)
        act();
    timer_start(shard, timer, NS_PER_MS);
}

static void opened(struct log *log, enum err err, void *user) {
    (void)user;
    f.log = log;
    f.failed = f.failed || err;
    f.opened = true;
    f.tick = (struct timer){.fire = tick};
    timer_start(runtime_shard(f.runtime, 0), &f.tick, NS_PER_MS);
}

static void start(struct shard *shard, void *arg) {
    (void)arg;
    struct log_store_options options = {.inventory = f.inventory, .journal_bytes = 2 << 20, .tail_bytes_max = 64 << 10, .journal_flush = true};
    struct log_open_options open = {.topic_id = {1, 2}, .topic = SLICE_LIT("topic"), .on_progress = on_progress, .settings = f.settings};
    if (log_store_create(shard, &options, &f.store))
        f.failed = true;
    else
        log_open(f.store, &open, opened);
}

static bool stop_waiting(void) {
    return f.failed || sim_disk_is_dead(f.disk);
}

/* Steps until *flag, or something failed. */
static void wait_for(const bool *flag) {
    for (int i = 0; i < EVENTS_MAX && !*flag && !stop_waiting(); i++)
        EXPECT(sim_step(f.sim));
    EXPECT(*flag || stop_waiting());
}

static void in_shard(void (*act)(void)) {
    f.act = act;
    for (int i = 0; i < EVENTS_MAX && f.act && !stop_waiting(); i++)
        EXPECT(sim_step(f.sim));
}

static bool open_log(void) {
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

static void begin_world(uint64_t seed) {
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

static void end_world(void) {
    sim_node_kill(f.runtime);
    sim_disk_destroy(f.disk);
    sim_destroy(f.sim);
    compressor_destroy(f.compressor);
}

static void store_stopped(struct log_store *store, void *arg) {
    (void)store, (void)arg;
    f.stopped = true;
}

static void log_closed(enum err err, void *arg) {
    (void)arg;
    f.failed = f.failed || err;
    f.closed = true;
    f.log = NULL;
    log_store_stop(f.store, store_stopped, NULL);
}

static void close_now(void) {
    log_close(f.log, log_closed, NULL);
}

static void close_log(void) {
    in_shard(close_now);
    wait_for(&f.stopped);
}

/* A stop, with the mark of a clean one, and a start. */
static void reopen(bool cleanly) {
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

static void add_records(struct batch_builder *builder) {
    char text[4096];
    snprintf(text, sizeof text, "%s", spec.records);
    int delta = 0;
    for (char *save, *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save), delta++) {
        size_t key = strcspn(word, "=-");
        struct slice value = word[key] == '=' ? slice_str(word + key + 1) : SLICE_NULL;
        batch_builder_add(builder, delta, (spec.time ? spec.time : start_ms) + delta, slice_of(word, key), value, NULL, 0);
    }
}

static void append_spec(void) {
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

static void append(struct batch_spec batch) {
    spec = batch;
    in_shard(append_spec);
    if (!stop_waiting())
        EXPECT_INT(append_err, ERR_OK);
}

static void put(const char *records) {
    append((struct batch_spec){.records = records});
}

static void roll_now(void) {
    log_roll(f.log);
}

static bool is_settled(void) {
    for (int i = 0; i + 1 < f.log->segment_count; i++)
        if (!f.log->segments[i]->sealed)
            return false;
    return f.log->durable_end == f.log->end;
}

/* A new segment, and the old one sealed. */
static void roll(void) {
    in_shard(roll_now);
    for (int i = 0; i < EVENTS_MAX && !stop_waiting() && !is_settled(); i++) {
        if (!f.log->writing)
            flush_behind(f.log); /* what upkeep does when the time comes */
        EXPECT(sim_step(f.sim));
    }
}

/* ---- cleaning ---------------------------------------------------------------------------------------------------- */

static size_t map_bytes = 1 << 20;
static double bytes_per_second;

static void cleaned(struct log_clean *clean) {
    (void)clean;
    f.cleaned = true;
}

static void clean_now(void) {
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

static enum err clean(void) {
    in_shard(clean_now);
    wait_for(&f.cleaned);
    return f.clean.err;
}

static struct log_dirtiness dirt;
static void measure_now(void) {
    log_measure_dirt(f.log, log_durable_end(f.log), &dirt);
}
static void measure(void) {
    in_shard(measure_now);
}

static void pass_time(int64_t ms) {
    static int64_t offset;
    offset = ms;
    sim_node_set_clock(f.runtime, offset);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void say(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    f.text_size += (size_t)vsnprintf(f.text + f.text_size, TEXT_MAX - f.text_size, fmt, args);
    va_end(args);
    check(f.text_size < TEXT_MAX);
}

static void say_batch(const uint8_t *batch) {
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

static void read_on(void);

static void take_read(void) {
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

static void read_done(struct log_read *read) {
    (void)read;
    take_read();
    read_on();
}

static void read_on(void) {
    while (f.read_offset < f.log->durable_end && !f.failed) {
        f.read = (struct log_read){.log = f.log, .offset = f.read_offset, .bound = f.log->durable_end, .bytes_max = 1, .whole_first_batch = true,
                                   .contiguous = true, .done = read_done};
        if (!log_read(&f.read))
            return;
        take_read();
    }
    f.reading = false;
}

static void read_start(void) {
    f.read_offset = f.log->start;
    read_on();
}

static const char *read_all(void) {
    f.text_size = 0;
    f.text[0] = 0;
    f.reading = true;
    in_shard(read_start);
    for (int i = 0; i < EVENTS_MAX && f.reading && !stop_waiting(); i++)
        EXPECT(sim_step(f.sim));
    return f.text;
}

/* ---- what stays ------------------------------------------------------------------------------------------------- */

TEST(the_newest_record_of_each_key_stays_with_its_offset) {
    begin_world(1);
    EXPECT(open_log());
    put("a=1 b=1 c=1");
    put("d=1");
    put("b=2");
    roll();
    put("a=2");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-2 0:a=1 2:c=1][3-3 3:d=1][4-4 4:b=2][5-5 5:a=2]");
    EXPECT_INT(f.clean.end_offset, 5);
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-2 2:c=1][3-3 3:d=1][4-4 4:b=2][5-5 5:a=2][6-6 6:x=1]");
    EXPECT_INT(f.log->segment_count, 2);
    reopen(true);
    EXPECT_STR(read_all(), "[0-2 2:c=1][3-3 3:d=1][4-4 4:b=2][5-5 5:a=2][6-6 6:x=1]");
    end_world();
}

TEST(a_segment_in_which_nothing_changes_is_left_alone) {
    begin_world(2);
    EXPECT(open_log());
    put("a=1 b=1");
    put("c=1");
    roll();
    put("d=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_INT(f.clean.bytes_written, 0);
    EXPECT_INT(log_cleaned_end(f.log), 3);
    f.settings.segment_bytes = 200; /* none that may be joined */
    reopen(true);
    roll();
    put("c=2");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-1 0:a=1 1:b=1][3-3 3:d=1][4-4 4:c=2]");
    end_world();
}

TEST(the_last_batch_of_a_round_stays_empty_so_that_the_end_is_known) {
    begin_world(3);
    EXPECT(open_log());
    put("a=1");
    roll();
    put("b=1");
    put("a=2");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[1-1 1:b=1][2-2 2:a=2]");
    put("b=2 a=3");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[3-4 3:b=2 4:a=3]");
    put("a=4 b=3");
    put("a-");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[5-6 6:b=3][7-7h 7:a-]");
    pass_time(2000000);
    put("b-");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[8-8h 8:b-]");
    pass_time(4000000);
    put("z=1");
    roll();
    put("z=2");
    put("z=3");
    roll();
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[11-11 11:z=3]");
    reopen(false);
    EXPECT_STR(read_all(), "[11-11 11:z=3]");
    EXPECT_INT(log_offsets(f.log).end, 12);
    end_world();
}

TEST(tombstones_stay_until_their_horizon_which_never_moves) {
    begin_world(4);
    EXPECT(open_log());
    put("a=1 b=1");
    put("a- c=1");
    roll();
    put("k=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-1 1:b=1][2-3h 2:a- 3:c=1][4-4 4:k=1]");
    roll();
    put("k=2");
    pass_time(900000); /* not yet */
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-1 1:b=1][2-3h 2:a- 3:c=1][4-4 4:k=1][5-5 5:k=2]");
    roll();
    put("k=3");
    pass_time(1100000);
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-1 1:b=1][2-3h 3:c=1][5-5 5:k=2][6-6 6:k=3]");
    end_world();
}

TEST(times_of_records_stay_when_the_base_becomes_a_horizon) {
    begin_world(5);
    EXPECT(open_log());
    append((struct batch_spec){.records = "a=1 b- c=1", .time = 1234567});
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    f.read = (struct log_read){.log = f.log, .offset = 0, .bound = 4, .bytes_max = 1 << 20, .whole_first_batch = true, .contiguous = true};
    struct segment *segment = f.log->segments[0];
    char *path = segment_path(segment, ".log");
    uint8_t *bytes = NULL;
    size_t size = 0;
    EXPECT(fs_read_whole(f.disk, path, 1 << 20, &bytes, &size) == ERR_OK);
    EXPECT(batch_check(slice_of(bytes, size)) == ERR_OK);
    struct record_iterator it;
    struct record record;
    record_iterator_init(&it, bytes, slice_of(bytes + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE));
    for (int i = 0; i < 3; i++) {
        EXPECT(record_next(&it, &record) == ERR_OK);
        EXPECT_INT(record.timestamp, 1234567 + i);
        EXPECT_INT(record.offset, i);
    }
    EXPECT_INT(batch_max_timestamp(bytes), 1234569);
    EXPECT(batch_base_timestamp(bytes) > start_ms / 1000);
    mem_free(bytes);
    mem_free(path);
    end_world();
}

TEST(compressed_batches_are_written_in_their_codec) {
    for (enum codec codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        begin_world(6);
        EXPECT(open_log());
        append((struct batch_spec){.records = "a=1 b=1 c=1 d=1", .codec = codec});
        append((struct batch_spec){.records = "e=1 f=1", .codec = codec});
        append((struct batch_spec){.records = "b=2 d-", .codec = codec});
        roll();
        put("x=1");
        EXPECT_INT(clean(), ERR_OK);
        EXPECT_STR(read_all(), "[0-3z 0:a=1 2:c=1][4-5z 4:e=1 5:f=1][6-7hz 6:b=2 7:d-][8-8 8:x=1]");
        end_world();
    }
}

TEST(the_last_batch_of_a_producer_stays_and_its_duplicate_is_known_after_a_start) {
    begin_world(7);
    EXPECT(open_log());
    append((struct batch_spec){.records = "a=1", .producer_id = 5, .sequence = 0});
    append((struct batch_spec){.records = "a=2", .producer_id = 5, .sequence = 1});
    put("a=3");
    put("b=1");
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[1-1][2-2 2:a=3][3-3 3:b=1][4-4 4:x=1]");
    EXPECT(fs_unlink(f.disk, "/log/topic-0/00000000000000000004.snapshot") == ERR_OK);
    reopen(false);
    append((struct batch_spec){.records = "a=2", .producer_id = 5, .sequence = 1});
    EXPECT(append_was_duplicate);
    append((struct batch_spec){.records = "a=4", .producer_id = 5, .sequence = 2});
    EXPECT(!append_was_duplicate);
    end_world();
}

static struct log_aborted *aborted;
static int aborted_count;
static struct arena aborted_arena;
static void find_aborted(void) {
    aborted_count = log_aborted(f.log, 0, f.log->end, &aborted_arena, &aborted);
}

TEST(aborted_data_goes_and_then_its_marker_after_the_horizon) {
    begin_world(8);
    EXPECT(open_log());
    append((struct batch_spec){.records = "a=1", .producer_id = 5, .sequence = 0, .transactional = true});
    append((struct batch_spec){.records = "b=1", .producer_id = 6, .sequence = 0, .transactional = true});
    append((struct batch_spec){.marker = CONTROL_ABORT + 1, .producer_id = 5, .transactional = true});
    append((struct batch_spec){.marker = CONTROL_COMMIT + 1, .producer_id = 6, .transactional = true});
    append((struct batch_spec){.records = "p=1", .producer_id = 5, .sequence = 1});
    append((struct batch_spec){.records = "p=1", .producer_id = 6, .sequence = 1});
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    /* The aborted data is gone; its marker was met with it, and stays once more, as does its entry. */
    EXPECT_STR(read_all(), "[1-1t 1:b=1][2-2tc abort][3-3tc commit][4-4][5-5 5:p=1][6-6 6:x=1]");
    in_shard(find_aborted);
    EXPECT_INT(aborted_count, 1);
    roll();
    put("b=2");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[1-1t 1:b=1][2-2tch abort][3-3tc commit][4-4][5-5 5:p=1][6-6 6:x=1][7-7 7:b=2]");
    in_shard(find_aborted);
    EXPECT_INT(aborted_count, 0);
    pass_time(2000000);
    roll();
    put("x=2");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[3-3tc commit][4-4][5-5 5:p=1][6-6 6:x=1][7-7 7:b=2][8-8 8:x=2]");
    roll();
    put("x=3");
    EXPECT_INT(clean(), ERR_OK); /* nothing of the committed one is left either */
    EXPECT_STR(read_all(), "[3-3tch commit][4-4][5-5 5:p=1][7-7 7:b=2][8-8 8:x=2][9-9 9:x=3]");
    reopen(true);
    EXPECT_STR(read_all(), "[3-3tch commit][4-4][5-5 5:p=1][7-7 7:b=2][8-8 8:x=2][9-9 9:x=3]");
    arena_deinit(&aborted_arena);
    end_world();
}

TEST(an_aborted_value_does_not_replace_an_older_one) {
    begin_world(9);
    EXPECT(open_log());
    put("a=1");
    append((struct batch_spec){.records = "a=2", .producer_id = 5, .sequence = 0, .transactional = true});
    append((struct batch_spec){.marker = CONTROL_ABORT + 1, .producer_id = 5, .transactional = true});
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[0-0 0:a=1][1-1t][2-2tc abort][3-3 3:x=1]");
    end_world();
}

TEST(a_full_map_ends_a_round_early_and_the_next_goes_on) {
    begin_world(10);
    EXPECT(open_log());
    char text[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 100; i++) {
            snprintf(text, sizeof text, "k%d=%d", i, round);
            put(text);
            if (i % 30 == 29)
                roll();
        }
    roll();
    put("x=1");
    map_bytes = 64 * 24;
    int rounds = 0;
    for (measure(); dirt.due; measure()) {
        EXPECT_INT(clean(), ERR_OK);
        EXPECT(++rounds < 20);
    }
    EXPECT(rounds > 2);
    map_bytes = 1 << 20;
    EXPECT_INT(log_cleaned_end(f.log), 200);
    const char *all = read_all();
    EXPECT(strncmp(all, "[100-100 100:k0=1][101-101 101:k1=1]", 36) == 0);
    EXPECT(!strstr(all, "=0]"));
    end_world();
}

TEST(small_segments_become_one_up_to_segment_bytes) {
    begin_world(11);
    f.settings.segment_bytes = 1200;
    EXPECT(open_log());
    char text[300];
    for (int i = 0; i < 12; i++) {
        snprintf(text, sizeof text, "k%d=%0200d", i % 4, i);
        put(text);
        if (i % 2)
            roll();
    }
    put("x=1");
    int before = f.log->segment_count;
    EXPECT_INT(clean(), ERR_OK); /* no more than 1200 bytes of sources each */
    EXPECT(f.log->segment_count < before);
    EXPECT(f.log->segment_count > 2);
    for (int i = 0; i < f.log->segment_count; i++)
        EXPECT(f.log->segments[i]->size <= 1200);
    roll();
    put("x=2");
    EXPECT_INT(clean(), ERR_OK); /* empty ones join their neighbours */
    EXPECT_INT(f.log->segment_count, 2);
    EXPECT_INT(f.log->segments[0]->base_offset, 0);
    reopen(true);
    EXPECT(strstr(read_all(), "[11-11 11:k3="));
    end_world();
}

TEST(what_is_dirty_depends_on_ratio_lags_and_open_transactions) {
    begin_world(12);
    f.settings.min_cleanable_dirty_ratio = 0.5;
    EXPECT(open_log());
    int64_t now = sim_wall_ms(f.sim);
    append((struct batch_spec){.records = "a=1 b=1 c=1", .time = now});
    measure();
    EXPECT(!dirt.due); /* the active segment is never cleaned */
    roll();
    measure();
    EXPECT(dirt.due && dirt.ratio == 1.0 && dirt.end == 3);
    EXPECT_INT(clean(), ERR_OK);
    append((struct batch_spec){.records = "a=2", .time = now + 10});
    roll();
    measure();
    EXPECT(!dirt.due && dirt.ratio > 0 && dirt.ratio <= 0.5 && dirt.start == 3 && dirt.end == 4);
    f.log->settings.max_compaction_lag_ms = 50000;
    measure();
    EXPECT(!dirt.due && dirt.delay_ms == 0);
    pass_time(60000);
    measure();
    EXPECT(dirt.due && dirt.delay_ms > 0);
    f.log->settings.max_compaction_lag_ms = INT64_MAX;
    f.log->settings.min_cleanable_dirty_ratio = 0.1;
    measure();
    EXPECT(dirt.due);
    f.log->settings.min_compaction_lag_ms = 3600000;
    measure();
    EXPECT(!dirt.due && dirt.end == 3);
    f.log->settings.min_compaction_lag_ms = 0;
    append((struct batch_spec){.records = "t=1", .producer_id = 5, .transactional = true});
    roll();
    put("x=1");
    roll();
    measure();
    EXPECT_INT(dirt.end, 4);
    append((struct batch_spec){.marker = CONTROL_COMMIT + 1, .producer_id = 5, .transactional = true});
    roll();
    measure();
    EXPECT_INT(dirt.end, 7);
    end_world();
}

TEST(a_rate_makes_a_cleaning_take_its_time) {
    begin_world(13);
    EXPECT(open_log());
    char text[3000];
    for (int i = 0; i < 400; i++) {
        snprintf(text, sizeof text, "k%d=%01000d", i % 10, i);
        put(text);
    }
    roll();
    put("x=1");
    bytes_per_second = 200000;
    uint64_t before = sim_now_ns(f.sim);
    EXPECT_INT(clean(), ERR_OK);
    bytes_per_second = 0;
    double seconds = (double)(sim_now_ns(f.sim) - before) / 1e9;
    if (seconds < 3.5 || seconds > 8)
        TEST_FAIL("%.1f s for some 850 KB at 200 KB/s", seconds);
    end_world();
}

/* ---- others at the same time ------------------------------------------------------------------------------------ */

static void fill(int count, int keys) {
    char text[1300];
    for (int i = 0; i < count && !stop_waiting(); i++) {
        snprintf(text, sizeof text, "k%d=%d.%0*d", i % keys, i, i % 7 * 100 + 1, 0);
        put(text);
        if (i % 40 == 39)
            roll();
    }
}

TEST(a_close_stops_a_cleaning_and_leaves_nothing_behind) {
    for (int steps = 0; steps < 60; steps += 3) {
        begin_world((uint64_t)steps + 100);
        EXPECT(open_log());
        fill(160, 10);
        in_shard(clean_now);
        for (int i = 0; i < steps; i++)
            EXPECT(sim_step(f.sim));
        close_log();
        EXPECT(!f.failed && f.cleaned);
        struct fs_entry *entries;
        int count;
        EXPECT(fs_list(f.disk, "/log/topic-0", &entries, &count) == ERR_OK);
        for (int i = 0; i < count; i++)
            EXPECT(!strstr(entries[i].name, ".cleaned") && !strstr(entries[i].name, ".swap"));
        fs_list_free(entries, count);
        sim_node_kill(f.runtime);
        EXPECT(open_log());
        EXPECT(strstr(read_all(), "159:k9=159."));
        end_world();
    }
}

static bool deleted;
static void log_deleted(enum err err, void *arg) {
    (void)arg;
    deleted = err == ERR_OK;
    f.log = NULL;
}
static void delete_now(void) {
    log_delete(f.log, 1000, log_deleted, NULL);
}

TEST(a_deletion_stops_a_cleaning) {
    for (int steps = 0; steps < 30; steps += 3) {
        begin_world((uint64_t)steps + 200);
        EXPECT(open_log());
        fill(160, 10);
        in_shard(clean_now);
        for (int i = 0; i < steps; i++)
            EXPECT(sim_step(f.sim));
        deleted = false;
        in_shard(delete_now);
        wait_for(&deleted);
        EXPECT(f.cleaned);
        struct fs_stat stat;
        EXPECT(fs_stat(f.disk, "/log/topic-0", &stat) == ERR_NOT_FOUND);
        end_world();
    }
}

/* The disk is cold, so that reads go to the pool and open files by name. */
TEST(a_reader_sees_rising_offsets_and_every_newest_record_through_a_swap) {
    for (uint64_t seed = 300; seed < 330; seed++) {
        begin_world(seed);
        f.settings.segment_bytes = 8000;
        EXPECT(open_log());
        fill(200, 10);
        reopen(true);
        sim_disk_set_cold(f.disk, 2);
        f.text_size = 0;
        f.reading = true;
        in_shard(read_start);
        for (uint64_t i = 0; i < sim_below(f.sim, 60) && f.reading; i++)
            EXPECT(sim_step(f.sim));
        in_shard(clean_now);
        for (int i = 0; i < EVENTS_MAX && (f.reading || !f.cleaned) && !stop_waiting(); i++)
            EXPECT(sim_step(f.sim));
        EXPECT(!f.failed && f.cleaned);
        EXPECT_INT(f.clean.err, ERR_OK);
        long long last = -1;
        for (const char *p = f.text; (p = strchr(p, '[')); p++) {
            long long base = strtoll(p + 1, NULL, 10);
            if (base <= last)
                TEST_FAIL("seed %d: %lld comes after %lld", (int)seed, base, last);
            last = base;
        }
        char wanted[32];
        for (int i = 190; i < 200; i++) {
            snprintf(wanted, sizeof wanted, " %d:k%d=%d.", i, i % 10, i);
            if (!strstr(f.text, wanted))
                TEST_FAIL("seed %d: no%s", (int)seed, wanted);
        }
        end_world();
    }
}

/* ---- what cannot be read ---------------------------------------------------------------------------------------- */

TEST(a_damaged_batch_makes_a_log_uncleanable_and_changes_nothing) {
    begin_world(14);
    EXPECT(open_log());
    put("a=1");
    put("a=2");
    roll();
    put("x=1");
    EXPECT(sim_disk_flip_bit(f.disk, "/log/topic-0/00000000000000000000.log", 66, 3) == ERR_OK);
    EXPECT_INT(clean(), ERR_CORRUPT);
    EXPECT(log_is_uncleanable(f.log));
    measure();
    EXPECT(!dirt.due);
    EXPECT_INT(f.log->segment_count, 2);
    end_world();
}

/* ---- magic 0 and 1 ---------------------------------------------------------------------------------------------- */

static void add_old(struct buf *buf, int64_t offset, int magic, const char *key, const char *value) {
    struct buf body = {0};
    buf_add_byte(&body, (uint8_t)magic);
    buf_add_byte(&body, 0);
    if (magic == 1)
        store_be64(buf_extend(&body, 8), (uint64_t)(start_ms + offset));
    store_be32(buf_extend(&body, 4), key ? (uint32_t)strlen(key) : UINT32_MAX);
    buf_add_str(&body, key ? key : "");
    store_be32(buf_extend(&body, 4), value ? (uint32_t)strlen(value) : UINT32_MAX);
    buf_add_str(&body, value ? value : "");
    store_be64(buf_extend(buf, 8), (uint64_t)offset);
    store_be32(buf_extend(buf, 4), (uint32_t)body.size + 4);
    store_be32(buf_extend(buf, 4), (uint32_t)crc32(0, body.ptr, (uInt)body.size));
    buf_add_slice(buf, buf_slice(&body));
    buf_deinit(&body);
}

TEST(messages_of_old_formats_become_batches) {
    begin_world(15);
    struct buf bytes = {0};
    add_old(&bytes, 0, 0, "a", "1");
    add_old(&bytes, 1, 0, "b", "1");
    add_old(&bytes, 2, 1, "a", "2");
    add_old(&bytes, 3, 1, "c", NULL);
    EXPECT(fs_mkdir(f.disk, dir) == ERR_OK && fs_mkdir(f.disk, "/log/topic-0") == ERR_OK);
    EXPECT(fs_write_whole(f.disk, "/log/topic-0/00000000000000000000.log", buf_slice(&bytes)) == ERR_OK);
    buf_deinit(&bytes);
    EXPECT(open_log());
    EXPECT_INT(log_offsets(f.log).end, 4);
    roll();
    put("b=2");
    roll();
    put("x=1");
    EXPECT_INT(clean(), ERR_OK);
    EXPECT_STR(read_all(), "[2-2 2:a=2][3-3h 3:c-][4-4 4:b=2][5-5 5:x=1]");
    reopen(true);
    EXPECT_STR(read_all(), "[2-2 2:a=2][3-3h 3:c-][4-4 4:b=2][5-5 5:x=1]");
    end_world();
}

/* ---- crashes ---------------------------------------------------------------------------------------------------- */

enum way { FAILS, NO_SPACE, DIES, LOSES_POWER };
enum { KEYS = 6, VALUES = 48, OPERATIONS_MAX = 2000 };

/* Aborted data, tombstones and overwritten keys in several segments; merges and empties some. */
static void fill_mixed(void) {
    char text[200];
    int32_t sequence = 0;
    for (int i = 0; i < VALUES && !stop_waiting(); i++) {
        snprintf(text, sizeof text, "k%d=%d.%0*d", i % KEYS, i, i % 5 * 20 + 1, 0);
        append((struct batch_spec){.records = text, .codec = i % 3 == 2 ? CODEC_LZ4 : CODEC_NONE});
        if (i % 10 == 3) {
            append((struct batch_spec){.records = "k1=aborted", .producer_id = 9, .sequence = sequence++, .transactional = true});
            append((struct batch_spec){.marker = CONTROL_ABORT + 1, .producer_id = 9, .transactional = true});
        }
        if (i % 7 == 6 && !stop_waiting())
            roll();
    }
}

static void check_newest(const char *what, uint64_t operation, enum way way) {
    const char *text = read_all();
    if (f.failed)
        TEST_FAIL("operation %d, way %d, %s: the log cannot be read: %s", (int)operation, way, what, text);
    long long last = -1;
    for (const char *p = text; (p = strchr(p, '[')); p++) {
        char *end;
        long long base = strtoll(p + 1, &end, 10), until = strtoll(end + 1, NULL, 10);
        if (base <= last || until < base)
            TEST_FAIL("operation %d, way %d, %s: %lld comes after %lld: %s", (int)operation, way, what, base, last, text);
        last = until;
    }
    for (int i = VALUES - KEYS; i < VALUES; i++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, ":k%d=%d.", i % KEYS, i);
        if (!strstr(text, wanted))
            TEST_FAIL("operation %d, way %d, %s: no %s in %s", (int)operation, way, what, wanted, text);
    }
}

/* True: the fault was met while the log was being cleaned. */
static bool crash_at(uint64_t operation, enum way way) {
    begin_world(operation * 4 + way + 1000);
    f.settings.segment_bytes = 1500;
    EXPECT(open_log());
    fill_mixed();
    roll();
    int64_t end = log_offsets(f.log).end;
    if (way == FAILS || way == NO_SPACE)
        sim_disk_fail_after(f.disk, operation, way == FAILS ? ERR_IO : ERR_NO_SPACE);
    else
        sim_disk_die_after(f.disk, operation);
    in_shard(clean_now);
    if (!stop_waiting())
        wait_for(&f.cleaned);
    bool met = sim_disk_failure_was_met(f.disk) || sim_disk_is_dead(f.disk);
    if (!met)
        EXPECT_INT(f.clean.err, ERR_OK);
    sim_disk_fail_after(f.disk, 0, ERR_OK);
    if (way == NO_SPACE && met && !f.failed && f.clean.err != ERR_IO) { /* the log is as it was, and can be cleaned when there is room */
        check_newest("after no space", operation, way);
        measure();
        EXPECT_INT(dirt.due ? clean() : ERR_OK, ERR_OK);
        check_newest("cleaned after no space", operation, way);
    }
    sim_node_kill(f.runtime);
    if (way == LOSES_POWER)
        sim_disk_lose_power(f.disk);
    if (!open_log())
        TEST_FAIL("operation %d, way %d: the log does not open", (int)operation, way);
    EXPECT_INT(log_offsets(f.log).end, end);
    check_newest("after the start", operation, way);
    measure();
    if (dirt.due)
        EXPECT_INT(clean(), ERR_OK);
    check_newest("cleaned again", operation, way);
    end_world();
    return met;
}

static void sweep(enum way way) {
    uint64_t operation = 1;
    while (crash_at(operation, way))
        EXPECT(++operation < OPERATIONS_MAX);
    EXPECT(operation > 30);
}

TEST(each_operation_of_the_disk_may_fail_in_a_cleaning) {
    sweep(FAILS);
}
TEST(each_operation_of_a_cleaning_may_find_no_space) {
    sweep(NO_SPACE);
}
TEST(the_process_may_die_at_each_operation_of_a_cleaning) {
    sweep(DIES);
}
TEST(the_power_may_go_at_each_operation_of_a_cleaning) {
    sweep(LOSES_POWER);
}

/* What a killed node had allocated is lost on purpose. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

TEST_MAIN
