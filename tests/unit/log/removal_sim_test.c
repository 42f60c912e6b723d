/* How the files of a deleted log go, on the simulated disk: in steps that give back little each, one directory after the other,
 * and what is left at the end of the store goes in the next run. */
#include "tests/unit/test.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/trace.h"
#include "log/log.h"
#include "log/scan.h"
#include "protocol/batch.h"
#include "runtime/sim/sim.h"

enum { LOGS = 2, EVENTS_MAX = 2000000, STEP_MAX = (4 << 20) + 4096 /* with indexes */, RECORD_BYTES = 1000000, RECORDS = 20 };

struct fixture {
    struct sim *sim;
    struct fs *disk;
    struct runtime *runtime;
    struct log_inventory *inventory;
    struct log_store *store;
    struct log *logs[LOGS];
    int opened, deleted, closed;
    bool stopped;
    struct timer tick;
    void (*act)(void);
};
static struct fixture f;
static const char *const dir = "/log";

static void on_progress(struct log *log, void *user) {
    (void)user;
    EXPECT(log_state(log) == ERR_OK);
}

static void tick(struct shard *shard, struct timer *timer) {
    void (*act)(void) = f.act;
    f.act = NULL;
    if (act)
        act();
    timer_start(shard, timer, NS_PER_MS);
}

static void opened(struct log *log, enum err err, void *user) {
    EXPECT_INT(err, ERR_OK);
    f.logs[(intptr_t)user] = log;
    f.opened++;
}

static void start(struct shard *shard, void *arg) {
    struct log_store_options options = {.inventory = f.inventory, .journal_bytes = 2 << 20, .tail_bytes_max = 1 << 20, .journal_flush = true};
    int logs = *(int *)arg;
    EXPECT_INT(log_store_create(shard, &options, &f.store), ERR_OK);
    for (int i = 0; i < logs; i++) {
        struct log_open_options open = {.topic_id = {1, (uint64_t)i + 1}, .topic = SLICE_LIT("topic"), .partition = i,
                                        .on_progress = on_progress, .user = (void *)(intptr_t)i};
        log_settings_default(&open.settings);
        log_open(f.store, &open, opened);
    }
    f.tick = (struct timer){.fire = tick};
    timer_start(shard, &f.tick, NS_PER_MS);
}

static void wait_for(const int *count, int wanted) {
    for (int i = 0; i < EVENTS_MAX && *count < wanted; i++)
        EXPECT(sim_step(f.sim));
    EXPECT_INT(*count, wanted);
}

static void in_shard(void (*act)(void)) {
    f.act = act;
    for (int i = 0; i < EVENTS_MAX && f.act; i++)
        EXPECT(sim_step(f.sim));
}

static void begin_run(int logs) {
    f.opened = f.deleted = f.closed = 0;
    f.stopped = false;
    f.runtime = sim_node_create(f.sim, f.disk, "10.0.0.1", 1);
    f.inventory = log_inventory_create(f.runtime, &dir, 1);
    EXPECT(log_inventory_dir(f.inventory, 0)->err == ERR_OK);
    static int count;
    count = logs;
    sim_node_start(f.runtime, start, NULL, &count);
    wait_for(&f.opened, logs);
}

static void begin_world(uint64_t seed) {
    struct trace_options quiet = {.level = TRACE_ERROR};
    trace_setup(&quiet);
    f = (struct fixture){.sim = sim_create(seed)};
    f.disk = sim_disk_create(f.sim, 1 << 30);
    EXPECT(fs_mkdir(f.disk, dir) == ERR_OK && fs_sync_dir(f.disk, "/") == ERR_OK);
}

static void end_world(void) {
    sim_node_kill(f.runtime);
    sim_disk_destroy(f.disk);
    sim_destroy(f.sim);
}

static void append_all(void) {
    static uint8_t value[RECORD_BYTES];
    for (int i = 0; i < LOGS; i++) {
        struct buf bytes = {0};
        struct batch_builder builder;
        struct log_append_result result;
        struct arena arena = {0};
        batch_builder_init(&builder, &bytes, 0);
        batch_builder_add(&builder, 0, 1000, SLICE_NULL, slice_of(value, sizeof value), NULL, 0);
        EXPECT(batch_builder_finish(&builder, 0, CODEC_NONE, 0, NULL, -1, -1, -1) == ERR_OK);
        EXPECT_INT(log_append(f.logs[i], bytes.ptr, bytes.size, APPEND_CLIENT, 0, &arena, &result), ERR_OK);
        arena_deinit(&arena);
        buf_deinit(&bytes);
    }
}

static void fill(void) {
    for (int i = 0; i < RECORDS; i++) {
        in_shard(append_all);
        for (int l = 0; l < LOGS; l++)
            for (int k = 0; k < EVENTS_MAX && log_durable_end(f.logs[l]) <= i; k++)
                EXPECT(sim_step(f.sim));
    }
}

static void log_deleted(enum err err, void *arg) {
    (void)arg;
    EXPECT_INT(err, ERR_OK);
    f.deleted++;
}
static void delete_all(void) {
    for (int i = 0; i < LOGS; i++)
        log_delete(f.logs[i], 1000, log_deleted, NULL);
}

static void store_stopped(struct log_store *store, void *arg) {
    (void)arg;
    log_store_destroy(store);
    f.stopped = true;
}
static void stop_store(void) {
    log_store_stop(f.store, store_stopped, NULL);
}

static const char *remaining[LOGS]; /* directories that go, by their names */
static struct fs_entry *listed;
static int listed_count;

static int64_t dir_bytes(const char *name) {
    struct fs_entry *entries;
    int count;
    int64_t bytes = 0;
    char *path = mem_printf("%s/%s", dir, name);
    if (fs_list(f.disk, path, &entries, &count)) {
        mem_free(path);
        return -1;
    }
    for (int i = 0; i < count; i++) {
        struct fs_stat stat;
        char *file = mem_printf("%s/%s", path, entries[i].name);
        EXPECT_INT(fs_stat(f.disk, file, &stat), ERR_OK);
        bytes += stat.size;
        mem_free(file);
    }
    fs_list_free(entries, count);
    mem_free(path);
    return bytes;
}

static int find_deleted(void) {
    int found = 0;
    EXPECT_INT(fs_list(f.disk, dir, &listed, &listed_count), ERR_OK);
    for (int i = 0; i < listed_count; i++)
        if (strstr(listed[i].name, "-delete"))
            remaining[found++] = listed[i].name;
    return found;
}

/* Looks after each event until all is gone, or for so many steps. */
static int watch_them_go(int count, int steps_max) {
    int64_t bytes[LOGS];
    int steps = 0;
    for (int i = 0; i < count; i++)
        bytes[i] = dir_bytes(remaining[i]);
    for (int i = 0; i < EVENTS_MAX && steps < steps_max; i++) {
        EXPECT(sim_step(f.sim));
        int changed = 0, left = 0;
        for (int k = 0; k < count; k++) {
            int64_t now = dir_bytes(remaining[k]);
            if (bytes[k] > 0 && bytes[k] - (now < 0 ? 0 : now) > STEP_MAX)
                TEST_FAIL("%lld bytes at once", (long long)(bytes[k] - now));
            changed += now != bytes[k];
            left += now >= 0;
            bytes[k] = now;
        }
        EXPECT(changed <= 1);
        steps += changed;
        if (!left)
            break;
    }
    return steps;
}

/* Kafka opens the files of a deleted log like any other's. */
static int expect_whole(const char *name) {
    struct segment_scan scan;
    struct file *file;
    struct fs_stat stat;
    char *log = mem_printf("%s/%s/%020d.log", dir, name, 0), *index = mem_printf("%s/%s/%020d.index", dir, name, 0);
    EXPECT_INT(fs_stat(f.disk, log, &stat), ERR_OK);
    EXPECT_INT(fs_open(f.disk, log, FILE_READ, &file), ERR_OK);
    segment_scan_init(&scan, file, 0, stat.size);
    enum err err;
    int batches = 0;
    while ((err = segment_scan_next(&scan)) == ERR_OK)
        batches++;
    EXPECT_INT(err, ERR_NOT_FOUND);
    EXPECT_INT(fs_stat(f.disk, index, &stat), ERR_OK);
    EXPECT(stat.size > 0 && stat.size < 8 * (batches + 1));
    segment_scan_deinit(&scan);
    file_unref(file);
    mem_free(log);
    mem_free(index);
    return batches;
}

TEST(deleted_logs_go_in_steps_and_one_after_the_other) {
    begin_world(1);
    begin_run(LOGS);
    fill();
    in_shard(delete_all);
    wait_for(&f.deleted, LOGS);
    EXPECT_INT(find_deleted(), LOGS);
    for (int i = 0; i < LOGS; i++)
        EXPECT(expect_whole(remaining[i]) > RECORDS / 2);
    EXPECT(watch_them_go(LOGS, INT32_MAX) >= LOGS * RECORDS / 2 * RECORD_BYTES / STEP_MAX);
    for (int i = 0; i < LOGS; i++)
        EXPECT_INT(dir_bytes(remaining[i]), -1);
    fs_list_free(listed, listed_count);
    end_world();
}

static void remove_found(void) {
    for (int i = 0; i < LOGS; i++) {
        char *path = mem_printf("%s/%s", dir, remaining[i]);
        log_store_remove_dir(f.store, path, 0);
        mem_free(path);
    }
}

TEST(what_a_stop_leaves_goes_in_the_next_run) {
    int begun_again = 0;
    for (int events = 0; events < 60; events += 4) {
        begin_world((uint64_t)events + 10);
        begin_run(LOGS);
        fill();
        in_shard(delete_all);
        wait_for(&f.deleted, LOGS);
        EXPECT_INT(find_deleted(), LOGS);
        watch_them_go(LOGS, 2);
        for (int i = 0; i < events; i++)
            EXPECT(sim_step(f.sim));
        in_shard(stop_store);
        for (int i = 0; i < EVENTS_MAX && !f.stopped; i++)
            EXPECT(sim_step(f.sim));
        EXPECT(f.stopped);
        int64_t left = dir_bytes(remaining[LOGS - 1]);
        for (int i = 0; i < 1000; i++) /* nothing goes on behind a stop */
            EXPECT(sim_step(f.sim));
        EXPECT_INT(dir_bytes(remaining[LOGS - 1]), left);
        begun_again += left > 0;
        sim_node_kill(f.runtime);
        begin_run(0);
        in_shard(remove_found);
        watch_them_go(LOGS, INT32_MAX);
        for (int i = 0; i < LOGS; i++)
            EXPECT_INT(dir_bytes(remaining[i]), -1);
        fs_list_free(listed, listed_count);
        end_world();
    }
    EXPECT(begun_again > 3);
}

/* What a killed node had allocated is lost on purpose. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

TEST_MAIN
