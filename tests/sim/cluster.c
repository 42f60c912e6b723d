/* The node, its disk and what happens to them.
 *
 * A seed has lives: the node starts on what the last life left, serves, and ends by kill -9, by loss of power or by a clean
 * stop. Meanwhile the disk fills up and gets room again, is slow, bits flip in what is on it, connections break, clocks
 * jump, an operation of the disk fails. When the lives are over the faults are too: everybody must get on by himself, everything that was promised
 * is read, the node stops cleanly, its directories are looked at, and it starts once more and is read once more. */
#include <stdio.h>
#include <stdlib.h>
#include "base/trace.h"
#include "broker/node.h"
#include "tests/sim/sim_test.h"

enum {
    LIFE_MAX_S = 9,
    STOP_MAX_S = 300,
    CALM_MAX_S = 400,
    CAPACITY = 1 << 30,
};

static struct world *the_world; /* for the trace's clock and sink, which have no world */

/* ---- traces --------------------------------------------------------------------------------------------------------- */

static int64_t trace_now(void *arg) {
    (void)arg;
    return the_world ? sim_wall_ms(the_world->sim) : 0;
}

static void trace_line(void *arg, const char *line, size_t size) {
    struct world *world = arg;
    if (world->verbose)
        printf("%12.6f %.*s", (double)sim_now_ns(world->sim) / 1e9, (int)size, line);
}

static void event(struct world *world, const char *what) {
    world->last_event = what;
    sim_note(world->sim, hash_bytes(what, strlen(what)));
    if (world->verbose)
        printf("%12.6f ---- %s\n", (double)sim_now_ns(world->sim) / 1e9, what);
}

/* ---- the node --------------------------------------------------------------------------------------------------------- */

static struct broker_config *make_config(struct world *world) {
    char dirs[300], listeners[64];
    snprintf(dirs, sizeof dirs, "log.dirs=%s", world->dirs);
    snprintf(listeners, sizeof listeners, "listeners=PLAINTEXT://" BROKER_HOST ":%d", BROKER_PORT);
    const char *overrides[] = {dirs, listeners, "log.retention.check.interval.ms=2000", "log.initial.task.delay.ms=1000",
                               "log.flush.offset.checkpoint.interval.ms=3000", "log.segment.delete.delay.ms=1000",
                               "metadata.log.max.record.bytes.between.snapshots=4000", "auto.create.topics.enable=false",
                               "connections.max.idle.ms=600000",
                               "offsets.topic.num.partitions=3", "transaction.state.log.num.partitions=3",
                               "group.initial.rebalance.delay.ms=300", "group.min.session.timeout.ms=1000",
                               "group.consumer.min.session.timeout.ms=1000", "group.consumer.session.timeout.ms=6000",
                               "group.consumer.min.heartbeat.interval.ms=100", "group.consumer.heartbeat.interval.ms=1000",
                               "group.streams.min.session.timeout.ms=1000", "group.streams.session.timeout.ms=6000",
                               "group.streams.min.heartbeat.interval.ms=100", "group.streams.heartbeat.interval.ms=1000",
                               "group.streams.initial.rebalance.delay.ms=300",
                               "log.cleaner.backoff.ms=400", "log.cleaner.dedupe.buffer.size=2097152",
                               "group.share.min.session.timeout.ms=1000", "group.share.session.timeout.ms=6000",
                               "group.share.min.heartbeat.interval.ms=100", "group.share.heartbeat.interval.ms=1000",
                               "group.share.min.record.lock.duration.ms=1000", "share.coordinator.state.topic.num.partitions=3",
                               "share.coordinator.snapshot.update.records.per.snapshot=20",
                               "share.coordinator.state.topic.prune.interval.ms=3000",
                               "share.coordinator.cold.partition.snapshot.interval.ms=4000",
                               "transaction.abort.timed.out.transaction.cleanup.interval.ms=2000"};
    struct broker_config *config;
    struct buf error = {0};
    enum err err = broker_config_load(NULL, overrides, COUNT_OF(overrides), &config, &error);
    check(err == ERR_OK, "the configuration: %s", buf_text(&error));
    buf_deinit(&error);
    /* Smaller than users may have them, so that rings wrap and tails fill in the short time. */
    config->journal_bytes = (2 << 20) + (int64_t)world_random(world, 2 << 20);
    config->tail_bytes = (1 << 20) + (int64_t)world_random(world, 6 << 20);
    config->journal_flush = !world->relaxed;
    return config;
}

static void kill_node(struct world *world, bool power) {
    sim_node_kill(world->broker);
    if (power && !world->relaxed)
        sim_disk_lose_power(world->disk);
    world->broker = NULL;
    world->node = NULL; /* and all it had, with the process */
}

/* False: the disk had no room, or died under it; try again later. */
static bool start_node(struct world *world) {
    struct buf error = {0};
    world->lives++;
    event(world, "start");
    for (int i = 0; i < world->partition_count; i++)
        world->partitions[i].cut = world->partitions[i].damaged;
    world->broker = sim_node_create(world->sim, world->disk, BROKER_HOST, 1 + (int)world_random(world, 3));
    world->config = make_config(world);
    world->node = node_create(world->broker, world->config, &error);
    if (world->node) {
        sim_node_start(world->broker, node_start, node_stop, world->node);
    } else {
        if (!sim_disk_is_dead(world->disk) && world->calm)
            violation(world, "the node does not start: %s", buf_text(&error));
        kill_node(world, sim_disk_is_dead(world->disk) && world_chance(world, 2));
    }
    buf_deinit(&error);
    return world->broker;
}

/* ---- after a clean stop the directories are Kafka's ------------------------------------------------------------------------- */

static void check_segment(struct world *world, const char *path) {
    uint8_t *bytes = NULL;
    size_t size = 0, at = 0;
    if (fs_read_whole(world->disk, path, 1 << 30, &bytes, &size))
        violation(world, "%s cannot be read", path);
    while (size - at >= BATCH_HEADER_SIZE && batch_length(bytes + at) >= BATCH_LENGTH_MIN && batch_size(bytes + at) <= size - at) {
        if (batch_check(slice_of(bytes + at, size - at)))
            violation(world, "after a clean stop %s has a bad batch at %zu", path, at);
        at += batch_size(bytes + at);
    }
    if (at != size)
        violation(world, "after a clean stop %s has %zu bytes behind its last batch", path, size - at);
    mem_free(bytes);
}

static bool ends_with(const char *name, const char *suffix) {
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

static void check_dir(struct world *world, const char *path, bool top) {
    struct fs_entry *entries;
    int count;
    bool marked = false;
    if (fs_list(world->disk, path, &entries, &count))
        violation(world, "%s cannot be listed", path);
    for (int i = 0; i < count; i++) {
        char *child = mem_printf("%s/%s", path, entries[i].name);
        if (entries[i].is_dir && !ends_with(child, "-delete") && !ends_with(child, "-stray"))
            check_dir(world, child, false);
        else if (ends_with(child, ".log") && !world->flips)
            check_segment(world, child);
        else if (strstr(child, "myelin-journal"))
            violation(world, "after a clean stop %s is there", child);
        marked |= strcmp(entries[i].name, ".kafka_cleanshutdown") == 0;
        mem_free(child);
    }
    if (top && !marked)
        violation(world, "after a clean stop %s lacks the mark of it", path);
    fs_list_free(entries, count);
}

static void check_dirs(struct world *world) {
    char dirs[sizeof world->dirs];
    snprintf(dirs, sizeof dirs, "%s", world->dirs);
    char *save = NULL;
    for (char *dir = strtok_r(dirs, ",", &save); dir; dir = strtok_r(NULL, ",", &save))
        check_dir(world, dir, true);
}

/* ---- ends of lives ------------------------------------------------------------------------------------------------------ */

/* Runs until `until`, or until something happens to the node. */
static void run_until(struct world *world, uint64_t until) {
    while (sim_now_ns(world->sim) < until) {
        if (!sim_step(world->sim))
            violation(world, "nothing is going to happen any more");
        if (sim_disk_is_dead(world->disk) || (world->broker && sim_node_has_stopped(world->broker)))
            return;
    }
}

static void end_faults(struct world *world) {
    sim_disk_set_capacity(world->disk, CAPACITY);
    sim_disk_set_slowness(world->disk, 1);
    sim_disk_die_after(world->disk, 0);
    sim_disk_fail_after(world->disk, 0, ERR_OK);
}

static void finish_node(struct world *world) {
    end_faults(world);
    bool clean = node_destroy(world->node);
    runtime_destroy(world->broker);
    broker_config_free(world->config);
    world->broker = NULL;
    world->node = NULL;
    if (clean)
        check_dirs(world);
    else if (world->calm)
        violation(world, "a clean stop was not clean");
}

/* The node stopped by itself, or as it was told. */
static void node_has_stopped(struct world *world, bool asked, bool full) {
    if (!asked && !full)
        violation(world, "the node stopped by itself");
    bool ready = node_broker(world->node)->ready;
    if (asked && ready && !full) {
        finish_node(world);
        if (world_chance(world, 3)) {
            event(world, "power is lost after a clean stop");
            sim_disk_lose_power(world->disk);
        }
    } else {
        node_destroy(world->node);
        runtime_destroy(world->broker);
        broker_config_free(world->config);
        world->broker = NULL;
        world->node = NULL;
    }
}

/* ---- faults -------------------------------------------------------------------------------------------------------------- */

static void flip_bit(struct world *world) {
    struct ledger *partition = &world->partitions[world_random(world, (uint64_t)world->partition_count)];
    char dirs[sizeof world->dirs];
    snprintf(dirs, sizeof dirs, "%s", world->dirs);
    char *save = NULL;
    for (char *dir = strtok_r(dirs, ",", &save); dir; dir = strtok_r(NULL, ",", &save)) {
        char *path = mem_printf("%s/%s-%d", dir, partition->topic->name, (int)partition->index);
        struct fs_entry *entries;
        int count;
        if (fs_list(world->disk, path, &entries, &count) == ERR_OK) {
            struct fs_entry *entry = count ? &entries[world_random(world, (uint64_t)count)] : NULL;
            struct fs_stat stat;
            char *file = mem_printf("%s/%s", path, entry ? entry->name : "");
            if (entry && ends_with(file, ".log") && fs_stat(world->disk, file, &stat) == ERR_OK && stat.size > 0) {
                int64_t pos = (int64_t)world_random(world, (uint64_t)stat.size);
                if (sim_disk_flip_bit(world->disk, file, pos, (int)world_random(world, 8)) == ERR_OK) {
                    partition->damaged = true;
                    world->flips++;
                    event(world, "a bit flips");
                }
            }
            mem_free(file);
            fs_list_free(entries, count);
        }
        mem_free(path);
    }
}

struct faults { /* of one life */
    uint64_t full_from, full_to, slow_from, slow_to, flip_at, reset_at, clock_at, die_at, break_at;
};

static uint64_t sometime(struct world *world, uint64_t from, uint64_t length, uint32_t one_in) {
    return world_chance(world, one_in) ? from + world_random(world, length) : UINT64_MAX;
}

static void choose_faults(struct world *world, uint64_t from, uint64_t length, struct faults *faults) {
    faults->full_from = sometime(world, from, length, 5);
    faults->full_to = faults->full_from == UINT64_MAX ? UINT64_MAX : faults->full_from + world_random(world, 6 * NS_PER_S);
    faults->slow_from = sometime(world, from, length, 4);
    faults->slow_to = faults->slow_from == UINT64_MAX ? UINT64_MAX : faults->slow_from + world_random(world, 5 * NS_PER_S);
    faults->flip_at = world->seed % 8 == 7 ? sometime(world, from, length, 2) : UINT64_MAX;
    faults->reset_at = sometime(world, from, length, 2);
    faults->clock_at = sometime(world, from, length, 6);
    faults->die_at = sometime(world, from, length, 2);
    faults->break_at = sometime(world, from, length, 12);
}

static uint64_t next_fault(const struct faults *faults) {
    const uint64_t *times = (const uint64_t *)faults;
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < sizeof *faults / sizeof *times; i++)
        next = times[i] < next ? times[i] : next;
    return next;
}

/* *full: from now on the node may stop by itself, or not cleanly. */
static void do_faults(struct world *world, struct faults *faults, bool *full) {
    uint64_t now = sim_now_ns(world->sim);
    if (now >= faults->full_from) {
        faults->full_from = UINT64_MAX;
        event(world, "the disk is full");
        sim_disk_set_capacity(world->disk, sim_disk_used(world->disk) + (int64_t)world_random(world, 1 << 20));
        *full = true;
    }
    if (now >= faults->full_to) {
        faults->full_to = UINT64_MAX;
        event(world, "the disk has room");
        sim_disk_set_capacity(world->disk, CAPACITY);
    }
    if (now >= faults->slow_from) {
        faults->slow_from = UINT64_MAX;
        event(world, "the disk is slow");
        sim_disk_set_slowness(world->disk, 2 + (uint32_t)world_random(world, 200));
    }
    if (now >= faults->slow_to) {
        faults->slow_to = UINT64_MAX;
        event(world, "the disk is fast");
        sim_disk_set_slowness(world->disk, 1);
    }
    if (now >= faults->flip_at) {
        faults->flip_at = world_chance(world, 3) ? UINT64_MAX : now + world_random(world, NS_PER_S);
        flip_bit(world);
    }
    if (now >= faults->reset_at) {
        faults->reset_at = UINT64_MAX;
        event(world, "connections break");
        sim_node_reset_connections(world->clients, 1 + (uint32_t)world_random(world, 3));
    }
    if (now >= faults->clock_at) {
        faults->clock_at = UINT64_MAX;
        event(world, "the clock jumps");
        if (world->broker)
            sim_node_set_clock(world->broker, (int64_t)world_random(world, 120000) - 60000);
    }
    if (now >= faults->break_at) { /* its directory goes offline until the next start */
        faults->break_at = UINT64_MAX;
        event(world, "the disk fails an operation");
        sim_disk_fail_after(world->disk, 1 + world_random(world, 20), ERR_IO);
        *full = world->broken = true;
    }
    if (now >= faults->die_at) { /* in the middle of what the disk does */
        faults->die_at = UINT64_MAX;
        sim_disk_die_after(world->disk, 1 + world_random(world, world_chance(world, 2) ? 10 : 400));
    }
}

/* Asks the node to stop and waits for it. */
static void stop_node(struct world *world, bool full) {
    event(world, "stop");
    sim_node_signal(world->broker);
    run_until(world, sim_now_ns(world->sim) + STOP_MAX_S * NS_PER_S);
    if (sim_disk_is_dead(world->disk)) {
        kill_node(world, world_chance(world, 2));
        return;
    }
    if (!sim_node_has_stopped(world->broker))
        violation(world, "no end %d s after it was told to stop", STOP_MAX_S);
    node_has_stopped(world, true, full);
}

/* One life, from start to end. The last one may go over into the calm. */
static void live(struct world *world, bool last) {
    uint64_t from = sim_now_ns(world->sim), length = 1 + world_random(world, LIFE_MAX_S * NS_PER_S);
    struct faults faults;
    bool full = false;
    choose_faults(world, from, length, &faults);
    if (world_chance(world, 6)) /* dies while it starts */
        sim_disk_die_after(world->disk, 1 + world_random(world, 150));
    if (!start_node(world))
        length = world_random(world, NS_PER_S);
    uint64_t end = from + length;
    while (sim_now_ns(world->sim) < end) {
        uint64_t next = next_fault(&faults);
        run_until(world, next < end ? next : end);
        if (sim_disk_is_dead(world->disk))
            break;
        if (world->broker && sim_node_has_stopped(world->broker)) {
            node_has_stopped(world, false, full);
            break;
        }
        do_faults(world, &faults, &full);
    }
    uint64_t how = world_random(world, 10);
    if (last && how < 4 && world->broker && !sim_disk_is_dead(world->disk) && !world->broken) {
        end_faults(world);
        return;
    }
    world->broken = false;
    if (world->broker && !sim_disk_is_dead(world->disk) && how < 2) {
        stop_node(world, full);
    } else if (world->broker) {
        bool power = how < 6;
        event(world, power ? "power is lost" : "kill -9");
        kill_node(world, power);
    }
    end_faults(world);
    run_until(world, sim_now_ns(world->sim) + world_random(world, NS_PER_S));
}

/* ---- the end: calm ----------------------------------------------------------------------------------------------------------- */

static void describe(struct world *world) {
    printf("admin %s\n", admin_is_idle(world->admin) ? "idle" : "waits");
    for (int i = 0; i < world->producer_count; i++)
        producer_describe(world->producers[i]);
    for (int i = 0; i < world->transactor_count; i++)
        transactor_describe(world->transactors[i]);
    for (int i = 0; i < world->member_count; i++)
        member_describe(world->members[i]);
    for (int i = 0; i < world->sharer_count; i++)
        sharer_describe(world->sharers[i]);
    if (world->keeper)
        keeper_describe(world->keeper);
}

static void wait_for(struct world *world, bool (*done)(struct world *world), const char *what) {
    uint64_t until = sim_now_ns(world->sim) + CALM_MAX_S * NS_PER_S;
    while (!done(world)) {
        if (!sim_step(world->sim) || sim_now_ns(world->sim) > until) {
            describe(world);
            violation(world, "%s does not come, though all faults are over", what);
        }
        if (sim_node_has_stopped(world->broker))
            violation(world, "the node stopped by itself");
    }
}

static bool all_is_acknowledged(struct world *world) {
    bool idle = admin_is_ready(world->admin) && admin_is_idle(world->admin);
    for (int i = 0; i < world->producer_count; i++)
        idle &= producer_is_idle(world->producers[i]);
    for (int i = 0; i < world->transactor_count; i++)
        idle &= transactor_is_idle(world->transactors[i]);
    for (int i = 0; i < world->member_count; i++)
        idle &= member_is_idle(world->members[i]);
    for (int i = 0; i < world->sharer_count; i++)
        idle &= sharer_is_idle(world->sharers[i]);
    return idle && (!world->keeper || keeper_is_quiet(world->keeper));
}

static bool all_is_read(struct world *world) {
    return consumer_is_idle(world->consumers[0]) && txn_reader_is_idle(world->txn_reader) &&
           (!world->sharer_count || sharer_is_idle(world->sharers[0])) && (!world->keeper || keeper_is_idle(world->keeper));
}

static void read_all(struct world *world) {
    consumer_verify(world->consumers[0]);
    txn_reader_verify(world->txn_reader);
    if (world->sharer_count)
        sharer_verify(world->sharers[0]);
    if (world->keeper)
        keeper_verify(world->keeper);
}

static bool somebody_got_on(struct world *world) {
    for (int i = 0; i < world->producer_count; i++)
        if (producer_acknowledged(world->producers[i]) == 0)
            return false;
    for (int i = 0; i < world->transactor_count; i++)
        if (transactor_committed(world->transactors[i]) == 0)
            return false;
    return admin_is_ready(world->admin) && (!world->share_writer || share_writer_acknowledged(world->share_writer) > 0) &&
           (!world->keeper || keeper_has_written(world->keeper));
}

static void calm_down(struct world *world) {
    end_faults(world);
    world->calm = true;
    event(world, "calm");
    /* The last fault may have hit the disk while nobody was there; or the node goes on from where it is. */
    if (!world->broker && !start_node(world))
        violation(world, "the node does not start on a sound disk");
    wait_for(world, somebody_got_on, "the first acknowledgement of each producer");
    for (int i = 0; i < world->producer_count; i++)
        producer_finish(world->producers[i]);
    for (int i = 0; i < world->transactor_count; i++)
        transactor_finish(world->transactors[i]);
    for (int i = 0; i < world->member_count; i++)
        member_finish(world->members[i]);
    if (world->share_writer)
        share_writer_finish(world->share_writer);
    for (int i = 0; i < world->sharer_count; i++)
        sharer_finish(world->sharers[i]);
    if (world->keeper)
        keeper_finish(world->keeper);
    admin_finish(world->admin);
    wait_for(world, all_is_acknowledged, "the last acknowledgement");
    if (world->verbose)
        describe(world);
    read_all(world);
    wait_for(world, all_is_read, "the end of the logs");
    stop_node(world, false);
    check(!world->broker);
    if (!start_node(world))
        violation(world, "the node does not start after a clean stop");
    read_all(world);
    wait_for(world, all_is_read, "the end of the logs after a clean stop");
    stop_node(world, false);
}

/* ---- the world ---------------------------------------------------------------------------------------------------------------- */

static void add_topics(struct world *world) {
    static const int64_t segment_bytes[] = {180000, 250000, 400000, 1 << 20};
    world->topic_count = 1 + (int)world_random(world, TOPICS_MAX);
    for (int t = 0; t < world->topic_count; t++) {
        struct topic *topic = &world->topics[t];
        snprintf(topic->name, sizeof topic->name, "topic-%d", t);
        topic->partition_count = 1 + (int)world_random(world, 3);
        topic->retention = world_chance(world, 4);
        topic->segment_bytes = segment_bytes[world_random(world, COUNT_OF(segment_bytes))];
        topic->segment_ms = world_chance(world, 3) || topic->retention ? 500 + (int64_t)world_random(world, 3000) : 604800000;
        topic->flush_messages = world_chance(world, 5) ? 1 + (int64_t)world_random(world, 20) : 0;
        for (int i = 0; i < topic->partition_count; i++)
            world->partitions[world->partition_count++] = (struct ledger){.world = world, .topic = topic, .index = i};
    }
    world->made_count = world->topic_count;
    world->txn_topic = &world->topics[world->made_count++];
    *world->txn_topic = (struct topic){.name = TXN_TOPIC, .partition_count = TXN_PARTITIONS, .segment_bytes = 200000, .segment_ms = 604800000};
}

/* Transactions and groups, whose internal topics the broker makes. */
static void add_users_of_coordinators(struct world *world) {
    world->transactor_count = (int)world_random(world, TRANSACTORS_MAX + 1);
    for (int i = 0; i < world->transactor_count; i++)
        world->transactors[i] = transactor_create(world, i);
    world->txn_reader = txn_reader_create(world);
    int groups = (int)world_random(world, GROUPS_MAX + 1);
    for (int g = 0; g < groups; g++) {
        struct sim_group *group = &world->groups[g];
        snprintf(group->name, sizeof group->name, "group-%d", g);
        group->protocol = (int)world_random(world, GROUP_PROTOCOLS);
        for (int p = 0; p < TXN_PARTITIONS; p++)
            group->owners[p].generation = group->committed[p] = -1;
        int members = 1 + (int)world_random(world, MEMBERS_MAX / GROUPS_MAX);
        for (int i = 0; i < members; i++) {
            world->members[world->member_count] = member_create(world, world->member_count, group);
            world->member_count++;
        }
    }
}

/* A share group, in one world of two. */
static void add_share_group(struct world *world) {
    if (!world_chance(world, 2))
        return;
    world->share_topic = &world->topics[world->made_count++];
    *world->share_topic = (struct topic){.name = SHARE_TOPIC, .partition_count = SHARE_PARTITIONS, .segment_bytes = 200000, .segment_ms = 604800000};
    world->share.delivery_limit = 2 + (int32_t)world_random(world, 9);
    world->share_writer = share_writer_create(world);
    world->sharer_count = 1 + (int)world_random(world, SHARERS_MAX);
    for (int i = 0; i < world->sharer_count; i++)
        world->sharers[i] = sharer_create(world, i);
}

/* A compacted topic, in one world of two. */
static void add_keeper(struct world *world) {
    if (!world_chance(world, 2))
        return;
    world->kept_topic = &world->topics[world->made_count++];
    *world->kept_topic = (struct topic){.name = KEPT_TOPIC, .partition_count = 1, .compacted = true,
                                        .segment_bytes = 15000 + (int64_t)world_random(world, 40000),
                                        .segment_ms = 500 + (int64_t)world_random(world, 5000)};
    world->keeper = keeper_create(world);
}

struct world *world_create(uint64_t seed, bool verbose) {
    struct world *world = mem_new(struct world);
    the_world = world;
    world->seed = seed;
    world->verbose = verbose;
    world->last_event = "nothing";
    world->sim = sim_create(seed);
    struct trace_options trace = {.level = verbose ? TRACE_DEBUG : TRACE_ERROR + 1, .now_ms = trace_now, .write = trace_line, .arg = world};
    trace_setup(&trace);
    world->disk = sim_disk_create(world->sim, CAPACITY);
    sim_disk_set_direct(world->disk, !world_chance(world, 5));
    sim_disk_set_cold(world->disk, world_chance(world, 2) ? 0 : 2 + (uint32_t)world_random(world, 30));
    struct sim_network *network = sim_network(world->sim);
    network->delay_max_ns = NS_PER_MS / 10 * (1 + world_random(world, 50));
    network->window_max = (size_t)1 << (12 + world_random(world, 8));
    network->chunk_max = (size_t)1 << (8 + world_random(world, 10));
    world->relaxed = world_chance(world, 8);
    world->dir_count = 1 + (int)world_random(world, 2);
    snprintf(world->dirs, sizeof world->dirs, "%s", world->dir_count == 1 ? "/data/a" : "/data/a,/data/b");
    world->clients = sim_node_create(world->sim, NULL, CLIENT_HOST, 1);
    world->compressor = compressor_create();
    add_topics(world);
    world->admin = admin_create(world);
    world->producer_count = 1 + (int)world_random(world, PRODUCERS_MAX);
    for (int i = 0; i < world->producer_count; i++)
        world->producers[i] = producer_create(world, i + 1);
    world->consumer_count = 1 + (int)world_random(world, CONSUMERS_MAX);
    for (int i = 0; i < world->consumer_count; i++)
        world->consumers[i] = consumer_create(world);
    add_users_of_coordinators(world);
    add_share_group(world);
    add_keeper(world);
    return world;
}

void world_run(struct world *world) {
    int lives = 1 + (int)world_random(world, 5);
    for (int i = 0; i < lives; i++)
        live(world, i + 1 == lives);
    calm_down(world);
}
