/* Fault sweep of the log: the same work again and again, in which the first, the second, the third ... operation of the disk
 * fails, or is the last one before the process dies or the power goes, until a run meets no failure. After each run the disk is
 * opened soundly, and what was durable must be there. */
#include "tests/unit/test.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/trace.h"
#include "log/log.h"
#include "protocol/batch.h"
#include "runtime/sim/sim.h"

enum { BATCHES = 60, RUN_EVENTS_MAX = 200000, OPERATIONS_MAX = 3000, LOGS_MAX = 20 };
/* FILLS: no space once, in the middle of writes that are too large for the journal; the appends go on when there is room again,
 * and the power goes when all of them are durable. */
enum way { FAILS, NO_SPACE, DIES, LOSES_POWER, FILLS, WAYS };

struct one { /* log */
    struct log *log;
    int appended;
    int64_t durable; /* the largest durable end that was told, of all runs on this disk */
    int64_t found_end;
    struct log_read read;
    int64_t read_offset;
};

struct fixture {
    struct sim *sim;
    struct fs *disk;
    struct runtime *runtime;
    struct log_inventory *inventory;
    struct log_store *store;
    struct one logs[LOGS_MAX];
    int log_count, open_count;
    enum way way;
    bool checking, failed, finished;
    struct timer tick;
};
static struct fixture f;
static const char *const dir = "/log";
static bool buffered; /* a disk as tmpfs: nothing is direct, and no flush stands for many files */

static size_t size_of(int64_t offset) { /* now and then large enough for the way past the journal */
    if (f.way == FILLS)
        return offset % 10 < 8 ? 90000 : 100;
    if (f.log_count > 1)
        return 10 + (size_t)(offset * 37 % 3000);
    return offset % 10 == 9 ? 90000 : 100 + (size_t)(offset * 37 % 900);
}

static void value_of(int64_t offset, uint8_t *ptr, size_t size) {
    for (size_t i = 0; i < size; i++)
        ptr[i] = (uint8_t)(offset * 7 + (int64_t)i);
}

static void append_one(struct one *one) {
    static uint8_t value[100000];
    struct buf bytes = {0};
    struct batch_builder builder;
    int64_t offset = log_offsets(one->log).end;
    size_t size = size_of(offset);
    batch_builder_init(&builder, &bytes, 0);
    value_of(offset, value, size);
    batch_builder_add(&builder, 0, 1000 + offset, SLICE_NULL, slice_of(value, size), NULL, 0);
    check(batch_builder_finish(&builder, 0, CODEC_NONE, 0, NULL, -1, -1, -1) == ERR_OK);
    struct log_append_result result;
    struct arena arena = {0};
    enum err err = log_append(one->log, bytes.ptr, bytes.size, APPEND_CLIENT, 0, &arena, &result);
    if (!err)
        one->appended++;
    else if (err != ERR_NO_SPACE || f.way != FILLS)
        f.failed = true;
    arena_deinit(&arena);
    buf_deinit(&bytes);
}

static void on_progress(struct log *log, void *user) {
    struct one *one = user;
    if (log_durable_end(log) > one->durable)
        one->durable = log_durable_end(log);
    if (log_state(log) == ERR_OFFLINE)
        f.failed = true;
}

static void store_stopped(struct log_store *store, void *arg) {
    (void)store, (void)arg;
    f.finished = true;
}

static void log_closed(enum err err, void *arg) {
    struct one *one = arg;
    one->log = NULL;
    f.failed |= err != ERR_OK;
    if (--f.open_count == 0)
        log_store_stop(f.store, store_stopped, NULL);
}

static void read_next(struct one *one);

static int appended_by(const struct one *one) { /* in this turn */
    if (f.way == FILLS)
        return one->appended % 10 < 8 ? one->appended / 10 * 10 + 8 : one->appended / 10 * 10 + 10;
    return one->appended + 3;
}

static void append_some(struct one *one) {
    int wanted = appended_by(one);
    for (int before = -1; before < one->appended && one->appended < wanted && one->appended < BATCHES && !f.failed;) {
        before = one->appended;
        append_one(one);
    }
}

static bool is_done(const struct one *one) {
    return one->appended == BATCHES && (f.way != FILLS || log_durable_end(one->log) == BATCHES);
}

static void tick(struct shard *shard, struct timer *timer) {
    if (f.failed || f.finished)
        return;
    int done = 0;
    for (int i = 0; i < f.log_count; i++)
        done += is_done(&f.logs[i]);
    if (f.checking || (done == f.log_count && f.way != FILLS)) {
        for (int i = 0; i < f.log_count; i++)
            f.checking ? read_next(&f.logs[i]) : log_close(f.logs[i].log, log_closed, &f.logs[i]);
        return;
    }
    f.finished = done == f.log_count;
    for (int i = 0; i < f.log_count; i++)
        append_some(&f.logs[i]);
    /* The small ones come while the large ones are on their way. */
    timer_start(shard, timer, f.way == FILLS && f.logs[0].appended % 10 == 8 ? NS_PER_MS / 50 : 2 * NS_PER_MS);
}

/* ---- reading all there is ---- */

static void check_batch(const struct one *one) {
    static uint8_t value[100000];
    const struct log_read *read = &one->read;
    size_t size = size_of(one->read_offset);
    value_of(one->read_offset, value, size);
    if (read->err || read->piece_count != 1)
        TEST_FAIL("reading at %lld: %s, %d pieces", (long long)one->read_offset, err_text(read->err), read->piece_count);
    const uint8_t *batch = read->pieces[0].ptr;
    EXPECT(batch_check(slice_of(batch, read->size)) == ERR_OK);
    EXPECT_INT(batch_base_offset(batch), one->read_offset);
    struct record_iterator it;
    struct record record;
    record_iterator_init(&it, batch, slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE));
    EXPECT(record_next(&it, &record) == ERR_OK);
    EXPECT(record.value.size == size && memcmp(record.value.ptr, value, size) == 0);
}

static void read_done(struct log_read *read) {
    struct one *one = container_of(read, struct one, read);
    check_batch(one);
    log_read_release(read);
    one->read_offset++;
    read_next(one);
}

static void read_next(struct one *one) {
    while (one->read_offset < one->found_end) {
        one->read = (struct log_read){.log = one->log, .offset = one->read_offset, .bound = one->found_end, .bytes_max = 1,
                                      .whole_first_batch = true, .contiguous = true, .done = read_done};
        if (!log_read(&one->read))
            return;
        check_batch(one);
        log_read_release(&one->read);
        one->read_offset++;
    }
    log_close(one->log, log_closed, one);
}

static void opened(struct log *log, enum err err, void *user) {
    struct one *one = user;
    one->log = log;
    if (err) {
        f.failed = true;
        return;
    }
    one->found_end = log_offsets(log).end;
    one->appended = (int)one->found_end < BATCHES ? (int)one->found_end : BATCHES;
    if (++f.open_count < f.log_count)
        return;
    f.tick = (struct timer){.fire = tick}; /* that of a killed runtime is no more */
    timer_start(runtime_shard(f.runtime, 0), &f.tick, NS_PER_MS);
}

static void start(struct shard *shard, void *arg) {
    (void)arg;
    struct log_store_options options = {.inventory = f.inventory, .journal_bytes = 2 << 20, .tail_bytes_max = 1 << 20, .journal_flush = true};
    if (log_store_create(shard, &options, &f.store)) {
        f.failed = true;
        return;
    }
    for (int i = 0; i < f.log_count; i++) {
        struct log_open_options open = {.topic_id = {1, 2}, .topic = SLICE_LIT("topic"), .partition = i, .user = &f.logs[i],
                                        .on_progress = on_progress};
        log_settings_default(&open.settings);
        open.settings.segment_bytes = f.way == FILLS ? 1 << 30 : f.log_count > 1 ? 40000 : 200000;
        log_open(f.store, &open, opened);
    }
}

static void forget_logs(void) {
    f.open_count = 0;
    for (int i = 0; i < f.log_count; i++)
        f.logs[i].log = NULL;
}

static bool are_open(void) {
    return f.open_count == f.log_count;
}

/* Runs until the work is done, or something failed. True: done. */
static bool run(bool checking) {
    f.checking = checking;
    f.failed = f.finished = false;
    forget_logs();
    f.runtime = sim_node_create(f.sim, f.disk, "10.0.0.1", 1);
    enum err err = fs_mkdir(f.disk, dir);
    f.inventory = log_inventory_create(f.runtime, &dir, 1);
    f.failed = (err && err != ERR_EXISTS) || fs_sync_dir(f.disk, "/") || log_inventory_dir(f.inventory, 0)->err;
    if (f.failed)
        return false;
    sim_node_start(f.runtime, start, NULL, NULL);
    for (int i = 0; i < RUN_EVENTS_MAX && !f.failed && !f.finished && !sim_disk_is_dead(f.disk); i++)
        EXPECT(sim_step(f.sim));
    return f.finished && !f.failed;
}

/* True: the run met the fault. */
static bool run_with_fault(uint64_t operation, enum way way, int log_count) {
    f = (struct fixture){.sim = sim_create(operation * WAYS + way), .way = way, .log_count = log_count};
    f.disk = sim_disk_create(f.sim, 1 << 30);
    sim_disk_set_direct(f.disk, !buffered);
    if (way == FAILS || way == NO_SPACE || way == FILLS)
        sim_disk_fail_after(f.disk, operation, way == FAILS ? ERR_IO : ERR_NO_SPACE);
    else
        sim_disk_die_after(f.disk, operation);
    bool done = run(false);
    bool met = sim_disk_failure_was_met(f.disk) || sim_disk_is_dead(f.disk);
    if (!met && !done)
        TEST_FAIL("operation %d, way %d: not done, and no fault was met", (int)operation, way);
    if (way == FILLS && !done && !f.failed)
        TEST_FAIL("operation %d: it does not go on when there is room again", (int)operation);
    sim_node_kill(f.runtime);
    if (way == LOSES_POWER || way == FILLS)
        sim_disk_lose_power(f.disk);
    sim_disk_fail_after(f.disk, 0, ERR_OK);
    /* And now soundly: open, look, and close. */
    f.checking = true;
    f.failed = f.finished = false;
    forget_logs();
    f.runtime = sim_node_create(f.sim, f.disk, "10.0.0.1", 1);
    (void)!fs_mkdir(f.disk, dir);
    f.inventory = log_inventory_create(f.runtime, &dir, 1);
    sim_node_start(f.runtime, start, NULL, NULL);
    for (int i = 0; i < RUN_EVENTS_MAX && !f.failed && !f.finished && !are_open(); i++)
        EXPECT(sim_step(f.sim));
    if (f.failed || !are_open())
        TEST_FAIL("operation %d, way %d: the logs do not open", (int)operation, way);
    for (int i = 0; i < f.log_count; i++)
        if (f.logs[i].found_end < f.logs[i].durable)
            TEST_FAIL("operation %d, way %d: log %d ends at %lld, and %lld was durable", (int)operation, way, i,
                      (long long)f.logs[i].found_end, (long long)f.logs[i].durable);
    for (int i = 0; i < RUN_EVENTS_MAX && !f.failed && !f.finished; i++)
        EXPECT(sim_step(f.sim));
    bool read = f.finished && !f.failed;
    for (int i = 0; i < f.log_count; i++)
        read = read && f.logs[i].read_offset == f.logs[i].found_end;
    if (!read)
        TEST_FAIL("operation %d, way %d: the logs cannot be read to their ends and closed", (int)operation, way);
    sim_node_kill(f.runtime);
    sim_disk_destroy(f.disk);
    sim_destroy(f.sim);
    return met;
}

static void sweep(enum way way, int log_count, uint64_t step) {
    struct trace_options quiet = {.level = getenv("SWEEP_TRACE") ? TRACE_DEBUG : TRACE_ERROR + 1};
    trace_setup(&quiet);
    uint64_t operation = 1;
    while (run_with_fault(operation, way, log_count)) {
        operation += step;
        EXPECT(operation < OPERATIONS_MAX);
    }
    EXPECT(operation > 30);
}

TEST(each_operation_of_the_disk_may_fail) {
    sweep(FAILS, 1, 1);
}
TEST(each_operation_of_the_disk_may_find_no_space) {
    sweep(NO_SPACE, 1, 1);
}
TEST(large_appends_go_on_after_each_operation_may_find_no_space) {
    sweep(FILLS, 1, 1);
}
TEST(the_process_may_die_at_each_operation_of_the_disk) {
    sweep(DIES, 1, 1);
}
TEST(the_power_may_go_at_each_operation_of_the_disk) {
    sweep(LOSES_POWER, 1, 1);
}

/* Many logs: each third operation, for there are more of them. */
TEST(operations_of_many_logs_may_fail) {
    sweep(FAILS, LOGS_MAX, 3);
}
TEST(operations_of_many_logs_may_find_no_space) {
    sweep(NO_SPACE, LOGS_MAX, 3);
}
TEST(the_power_may_go_at_operations_of_many_logs) {
    sweep(LOSES_POWER, LOGS_MAX, 3);
}
TEST(where_no_flush_stands_for_many_files_operations_may_fail_too) {
    buffered = true;
    sweep(FAILS, LOGS_MAX, 7);
    sweep(LOSES_POWER, LOGS_MAX, 7);
    buffered = false;
}

/* What a killed node had allocated is lost on purpose. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

TEST_MAIN
