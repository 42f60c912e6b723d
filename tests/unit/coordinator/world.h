/* One coordinator on one partition of a simulated disk, for tests of what coordinators do with time, appends and crashes.
 *
 *     world_begin(COORDINATOR_GROUP);  world_commit(...) or any operation by world_run_op();
 *     world_crash(true);               the power goes; world_open() loads what was on the device
 *     world_end();
 *
 * The program's end is not clean: what a killed node had allocated is lost on purpose (WORLD_LEAKS). */
#ifndef TESTS_UNIT_COORDINATOR_WORLD_H
#define TESTS_UNIT_COORDINATOR_WORLD_H

#include "base/mem.h"
#include "base/trace.h"
#include "coordinator/coordinator.h"
#include "protocol/compress.h"
#include "protocol/errors.h"
#include "runtime/sim/sim.h"
#include "tests/unit/test.h"

static struct world {
    struct sim *sim;
    struct fs *disk;
    struct runtime *runtime;
    struct log_inventory *inventory;
    struct log_store *store;
    struct image *image;
    struct broker_config *config;
    struct partition *partition;
    struct coordinator_host host;
    struct coordinator *coordinator;
    enum coordinator_type type;
    const char *overrides[8]; /* of the broker's configuration, "key=value" */
    int override_count;
    int32_t message_bytes_max;
    int64_t batches; /* appended: counted by world_batches() */
} world;

enum { WORLD_EVENTS_MAX = 2000000 };

static inline void world_progress(struct log *log, void *user) {
    (void)log;
    partition_wake(user);
}

static inline void world_opened(struct log *log, enum err err, void *user) {
    struct partition *partition = user;
    if (err)
        TEST_FAIL("the log does not open: %s", err_text(err));
    partition->log = log;
    partition->err = ERR_OK;
    partition->leads = true;
    world.host.shard = runtime_shard(world.runtime, 0);
    world.coordinator = coordinator_create(&world.host, world.type, partition);
}

static inline void world_start(struct shard *shard, void *arg) {
    (void)arg;
    struct log_store_options options = {.inventory = world.inventory, .journal_bytes = 2 << 20, .tail_bytes_max = 8 << 20, .journal_flush = true};
    struct log_open_options open = {.topic_id = {1, 2}, .topic = world.partition->topic, .user = world.partition, .on_progress = world_progress};
    log_settings_default(&open.settings);
    open.settings.compact_policy = true;
    open.settings.delete_policy = false;
    open.settings.validate.compact = true;
    open.settings.validate.message_bytes_max = world.message_bytes_max;
    EXPECT_INT(log_store_create(shard, &options, &world.store), ERR_OK);
    log_open(world.store, &open, world_opened);
}

#define world_until(condition)                                                                                   \
    do {                                                                                                         \
        int events_ = 0;                                                                                         \
        while (!(condition)) {                                                                                   \
            if (!sim_step(world.sim) || ++events_ > WORLD_EVENTS_MAX)                                            \
                TEST_FAIL("never comes true: %s", #condition);                                                   \
        }                                                                                                        \
    } while (0)

/* A node on the disk as it is; the coordinator is there, and loads. */
static inline void world_open_loading(void) {
    static const char *dir = "/data";
    struct buf error = {0};
    world.runtime = sim_node_create(world.sim, world.disk, "10.0.0.1", 1);
    (void)!fs_mkdir(world.disk, dir);
    (void)!fs_sync_dir(world.disk, "/");
    world.inventory = log_inventory_create(world.runtime, &dir, 1);
    EXPECT_INT(broker_config_load(NULL, world.overrides, world.override_count, &world.config, &error), ERR_OK);
    struct trace_options quiet = {.level = getenv("WORLD_TRACE") ? TRACE_DEBUG : TRACE_ERROR + 1};
    trace_setup(&quiet);
    static const char *const topics[] = {"__consumer_offsets", "__transaction_state", "__share_group_state"};
    world.partition = partition_create((struct uuid){1, 2}, slice_str(topics[world.type]), 0);
    world.host = (struct coordinator_host){.image = world.image, .config = world.config, .compressor = compressor_create()};
    world.coordinator = NULL;
    sim_node_start(world.runtime, world_start, NULL, NULL);
    world_until(world.coordinator);
}
static inline void world_open(void) {
    world_open_loading();
    world_until(world.coordinator->phase == COORDINATOR_ACTIVE);
}

/* Of the broker's configuration from the next world_open() on, "key=value". */
static inline void world_set(const char *override) {
    EXPECT(world.override_count < (int)(sizeof world.overrides / sizeof *world.overrides));
    world.overrides[world.override_count++] = override;
}

static inline void world_begin_with(enum coordinator_type type, int32_t message_bytes_max, uint64_t seed) {
    static const struct image_observer none;
    struct world fresh = {.type = type, .message_bytes_max = message_bytes_max, .override_count = world.override_count};
    memcpy(fresh.overrides, world.overrides, sizeof fresh.overrides);
    world = fresh;
    world.sim = sim_create(seed);
    world.disk = sim_disk_create(world.sim, 1 << 30);
    world.image = image_create(&none);
    world_open();
}
static inline void world_begin(enum coordinator_type type) {
    world_begin_with(type, 1048588, 1);
}

/* power: what was not flushed is gone. */
static inline void world_crash(bool power) {
    sim_node_kill(world.runtime);
    if (power)
        sim_disk_lose_power(world.disk);
}

static inline void world_end(void) {
    sim_node_kill(world.runtime);
    sim_disk_destroy(world.disk);
    sim_destroy(world.sim);
}

/* ---- on the coordinator's shard ---- */

struct world_call {
    struct message message;
    void (*fn)(void *arg);
    void *arg;
    bool called;
};
static inline void world_called(struct shard *shard, struct message *message) {
    (void)shard;
    struct world_call *call = container_of(message, struct world_call, message);
    call->fn(call->arg);
    call->called = true;
}
/* Runs fn(arg) in an event of the shard. */
static inline void world_do(void (*fn)(void *arg), void *arg) {
    struct world_call call = {.message.deliver = world_called, .fn = fn, .arg = arg};
    shard_post(runtime_shard(world.runtime, 0), &call.message);
    world_until(call.called);
}

/* Lets virtual time pass. */
static inline void world_wake(struct shard *shard, struct timer *timer) {
    (void)shard, (void)timer;
}
struct world_nap {
    struct timer timer;
    uint64_t ns;
};
static inline void world_start_nap(void *arg) {
    struct world_nap *nap = arg;
    nap->timer.fire = world_wake;
    timer_start(runtime_shard(world.runtime, 0), &nap->timer, nap->ns);
}
static inline void world_sleep_ms(uint64_t ms) {
    struct world_nap nap = {.ns = ms * NS_PER_MS};
    world_do(world_start_nap, &nap);
    world_until(!timer_is_running(&nap.timer));
}

/* Until the partition finds no room for what it appended, of which there must be something; and until it has room again. */
static inline void world_fill_disk(void) {
    sim_disk_set_capacity(world.disk, sim_disk_used(world.disk));
    world_until(log_state(world.partition->log) == ERR_NO_SPACE);
}
static inline void world_make_room(void) {
    sim_disk_set_capacity(world.disk, 1 << 30);
    world_until(log_state(world.partition->log) == ERR_OK);
}

/* How many batches the log has, and what the last one's attributes are. Reads the tail; of small logs. */
static inline int world_batches(int16_t *ret_last_attributes) {
    int count = 0;
    struct log *log = world.partition->log;
    for (int64_t offset = log_offsets(log).start; offset < log_durable_end(log);) {
        struct log_read read = {.log = log, .offset = offset, .bound = log_durable_end(log), .bytes_max = 1, .whole_first_batch = true, .contiguous = true};
        EXPECT(log_read(&read) && !read.err && read.piece_count == 1);
        const uint8_t *batch = read.pieces[0].ptr;
        offset = batch_last_offset(batch) + 1;
        if (ret_last_attributes)
            *ret_last_attributes = batch_attributes(batch);
        EXPECT((int32_t)batch_size(batch) <= world.message_bytes_max);
        count++;
        log_read_release(&read);
    }
    return count;
}

#define WORLD_LEAKS                                                                                              \
    const char *__asan_default_options(void);                                                                    \
    const char *__asan_default_options(void) {                                                                   \
        return "detect_leaks=0";                                                                                 \
    }

#endif
