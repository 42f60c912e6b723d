/* The runtime of coordinators: what gathers into a batch, when answers go out, what parks, and what a crash, a full disk or a
 * record that cannot be read does. The records are committed offsets. */
#include "tests/unit/coordinator/world.h"

#include "coordinator/offset_commit.h"
#include "coordinator/offsets.h"

struct commit { /* an operation that commits one offset, or several */
    struct coordinator_op op;
    struct arena arena;
    const char *group;
    int64_t offset;
    int partitions;
    size_t metadata_size;
    bool parks, transactional, decided, done;
    int16_t error, group_error;
    int64_t end_when_done, durable_when_done;
};

static void decide_commit(struct coordinator_op *op, void *state) {
    struct commit *commit = container_of(op, struct commit, op);
    commit->decided = true;
    if (commit->parks)
        coordinator_park(op);
    struct offset_commit_topic topic = {.name = SLICE_LIT("t"), .id = {7, 7}, .count = commit->partitions};
    topic.partitions = arena_array(op->arena, struct offset_commit_partition, commit->partitions);
    uint8_t *metadata = arena_zalloc(op->arena, commit->metadata_size + 1);
    memset(metadata, 'm', commit->metadata_size);
    for (int i = 0; i < commit->partitions; i++)
        topic.partitions[i] = (struct offset_commit_partition){
            .partition = i, .leader_epoch = -1, .offset = commit->offset, .metadata = slice_of(metadata, commit->metadata_size)};
    struct offset_commit request = {.group = slice_str(commit->group),
                                    .caller = {.member_id = SLICE_EMPTY, .generation = -1, .version = 9, .transactional = commit->transactional},
                                    .retention_ms = -1,
                                    .topics = &topic,
                                    .count = 1};
    commit->group_error = offsets_commit(state, op, &request);
}

static void commit_done(struct coordinator_op *op, int16_t error) {
    struct commit *commit = container_of(op, struct commit, op);
    EXPECT(!commit->done);
    commit->done = true;
    commit->error = error;
    if (world.partition->log)
        commit->durable_when_done = log_durable_end(world.partition->log);
}

static void run_commit(void *arg) {
    struct commit *commit = arg;
    commit->op = (struct coordinator_op){.arena = &commit->arena, .decide = decide_commit, .done = commit_done};
    if (commit->transactional) {
        commit->op.transactional = true;
        commit->op.producer_id = 4000;
        commit->op.producer_epoch = 3;
        commit->op.guard = GUARD_NOT_NEEDED;
    }
    coordinator_run(world.coordinator, &commit->op);
}

static int64_t committed(const char *group, int32_t partition) {
    const struct groups *groups = world.coordinator->state;
    const struct offset_topic *topic = offsets_find_topic(groups->offsets, offsets_find_group(groups->offsets, slice_str(group)), SLICE_LIT("t"));
    const struct committed_offset *offset = offset_topic_find(topic, partition);
    return offset ? offset->offset : -1;
}
static bool is_pending(const char *group) {
    const struct groups *groups = world.coordinator->state;
    const struct offset_topic *topic = offsets_find_topic(groups->offsets, offsets_find_group(groups->offsets, slice_str(group)), SLICE_LIT("t"));
    return topic && offset_topic_is_pending(groups->offsets, topic, 0);
}

enum { COMMITS = 20 };
static void run_many(void *arg) {
    struct commit *commits = arg;
    for (int i = 0; i < COMMITS; i++)
        run_commit(&commits[i]);
}

static void commit_one(const char *group, int64_t offset) {
    struct commit commit = {.group = group, .offset = offset, .partitions = 1};
    world_do(run_commit, &commit);
    world_until(commit.done);
    EXPECT_INT(commit.error, 0);
    arena_deinit(&commit.arena);
}

TEST(what_comes_in_one_turn_is_one_batch_and_answered_when_it_is_on_the_device) {
    world_begin(COORDINATOR_GROUP);
    struct commit commits[COMMITS] = {0};
    for (int i = 0; i < COMMITS; i++)
        commits[i] = (struct commit){.group = "g", .offset = i, .partitions = 2};
    world_do(run_many, commits);
    EXPECT(commits[0].decided && !commits[0].done);
    for (int i = 0; i < COMMITS; i++) {
        world_until(commits[i].done);
        EXPECT_INT(commits[i].error, 0);
        EXPECT(commits[i].durable_when_done >= 2 * (i + 1));
    }
    EXPECT_INT(world_batches(NULL), 1);
    EXPECT_INT(committed("g", 1), COMMITS - 1);
    world_crash(true);
    world_open();
    EXPECT_INT(committed("g", 0), COMMITS - 1);
    EXPECT_INT(committed("g", 1), COMMITS - 1);
    EXPECT_INT(world_batches(NULL), 1);
    world_end();
}

TEST(what_comes_within_the_linger_time_is_one_batch) {
    world_set("group.coordinator.append.linger.ms=50");
    world_begin(COORDINATOR_GROUP);
    struct commit first = {.group = "a", .offset = 1, .partitions = 1}, second = {.group = "b", .offset = 2, .partitions = 1};
    world_do(run_commit, &first);
    world_sleep_ms(40);
    world_do(run_commit, &second);
    EXPECT(second.decided && !first.done);
    world_until(first.done && second.done);
    EXPECT_INT(world_batches(NULL), 1);
    world.override_count = 0;
    world_end();
}

static void set_frozen(void *arg) {
    world.partition->frozen = *(bool *)arg;
    partition_wake(world.partition);
}

TEST(what_lingers_past_its_time_in_a_frozen_log_is_appended_when_it_thaws) {
    world_set("group.coordinator.append.linger.ms=50");
    world_begin(COORDINATOR_GROUP);
    struct commit commit = {.group = "g", .offset = 5, .partitions = 1};
    world_do(run_commit, &commit);
    world_do(set_frozen, &(bool){true});
    world_sleep_ms(100);
    EXPECT(!commit.done);
    world_do(set_frozen, &(bool){false});
    world_until(commit.done);
    EXPECT_INT(commit.error, 0);
    EXPECT_INT(world_batches(NULL), 1);
    world.override_count = 0;
    world_end();
}

TEST(an_operation_without_records_waits_for_what_it_may_have_seen) {
    world_begin(COORDINATOR_GROUP);
    struct commit commits[COMMITS] = {0};
    for (int i = 0; i < COMMITS; i++)
        commits[i] = (struct commit){.group = "g", .offset = i, .partitions = i < COMMITS - 1};
    world_do(run_many, commits);
    world_until(commits[COMMITS - 1].done);
    EXPECT(commits[COMMITS - 1].durable_when_done >= COMMITS - 1);
    world_end();
}

static void resume(void *arg) {
    coordinator_resume(&((struct commit *)arg)->op);
}

TEST(a_parked_operation_is_done_when_it_is_resumed) {
    world_begin(COORDINATOR_GROUP);
    struct commit commit = {.group = "g", .offset = 5, .partitions = 1, .parks = true};
    world_do(run_commit, &commit);
    world_sleep_ms(10000);
    EXPECT(commit.decided && !commit.done);
    EXPECT_INT(committed("g", 0), 5);
    EXPECT_INT(world_batches(NULL), 1); /* its records do not wait for that */
    world_do(resume, &commit);
    world_until(commit.done);
    EXPECT_INT(commit.error, 0);
    world_end();
}

static void stop(void *arg) {
    (void)arg;
    coordinator_stop(world.coordinator);
}

TEST(a_coordinator_that_stops_fails_what_is_parked_and_ends_what_is_decided) {
    world_begin(COORDINATOR_GROUP);
    struct commit parked = {.group = "g", .partitions = 1, .parks = true}, last = {.group = "g", .offset = 1, .partitions = 1},
                  late = {.group = "g", .offset = 2, .partitions = 1};
    world_do(run_commit, &parked);
    world_sleep_ms(10);
    world_do(run_commit, &last);
    world_do(stop, NULL);
    EXPECT(parked.done && parked.error == KAFKA_NOT_COORDINATOR);
    world_do(run_commit, &late);
    EXPECT(late.done && !late.decided && late.error == KAFKA_COORDINATOR_NOT_AVAILABLE);
    world_until(last.done);
    EXPECT_INT(last.error, 0);
    EXPECT_INT(committed("g", 0), 1);
    world_end();
}

static void destroy(void *arg) {
    (void)arg;
    coordinator_destroy(world.coordinator);
}

TEST(a_coordinator_that_goes_fails_everything_with_not_coordinator) {
    world_begin(COORDINATOR_GROUP);
    struct commit parked = {.group = "g", .partitions = 1, .parks = true}, last = {.group = "g", .offset = 1, .partitions = 1};
    world_do(run_commit, &parked);
    world_do(run_commit, &last);
    world_do(destroy, NULL);
    EXPECT(parked.done && parked.error == KAFKA_NOT_COORDINATOR);
    EXPECT(last.done && last.error == KAFKA_NOT_COORDINATOR);
    world_end();
}

TEST(nothing_is_decided_while_the_past_is_read) {
    world_begin(COORDINATOR_GROUP);
    commit_one("g", 1);
    world_crash(false);
    world_open_loading();
    struct commit early = {.group = "g", .offset = 2, .partitions = 1};
    run_commit(&early);
    EXPECT(early.done && !early.decided && early.error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    world_until(world.coordinator->phase == COORDINATOR_ACTIVE);
    EXPECT_INT(committed("g", 0), 1);
    world_end();
}

TEST(a_batch_is_never_larger_than_the_topic_allows) {
    world_begin_with(COORDINATOR_GROUP, 4000, 1);
    struct commit commits[COMMITS] = {0}, large = {.group = "g", .offset = 1, .partitions = 100, .metadata_size = 50};
    for (int i = 0; i < COMMITS; i++)
        commits[i] = (struct commit){.group = "g", .offset = i, .partitions = 5, .metadata_size = 100};
    world_do(run_many, commits);
    for (int i = 0; i < COMMITS; i++) {
        world_until(commits[i].done);
        EXPECT_INT(commits[i].error, 0);
    }
    EXPECT_INT(world_batches(NULL), COMMITS / 4); /* four fit */
    world_do(run_commit, &large);
    world_until(large.done);
    EXPECT_INT(large.error, KAFKA_UNKNOWN_SERVER_ERROR);
    EXPECT_INT(committed("g", 4), COMMITS - 1);
    EXPECT_INT(committed("g", 5), -1);
    commit_one("g", 77);
    world_crash(true);
    world_open();
    EXPECT_INT(committed("g", 0), 77);
    world_end();
}

/* ---- transactions ---- */

struct mark {
    struct coordinator_marker marker;
    bool done;
    int16_t error;
};
static void mark_done(struct coordinator_marker *marker, int16_t error) {
    struct mark *mark = container_of(marker, struct mark, marker);
    mark->done = true;
    mark->error = error;
}
static void run_mark(void *arg) {
    coordinator_mark(world.coordinator, &((struct mark *)arg)->marker);
}
static void end_transaction(bool commit) {
    struct mark mark = {.marker = {.producer_id = 4000, .producer_epoch = 3, .coordinator_epoch = 1, .commit = commit, .done = mark_done}};
    world_do(run_mark, &mark);
    world_until(mark.done);
    EXPECT_INT(mark.error, 0);
}

TEST(offsets_of_a_transaction_count_when_it_commits) {
    for (int crash = 0; crash < 2; crash++) {
        for (int commits = 0; commits < 2; commits++) {
            world_begin(COORDINATOR_GROUP);
            commit_one("g", 1);
            struct commit pending = {.group = "g", .offset = 9, .partitions = 1, .transactional = true};
            int16_t attributes = 0;
            world_do(run_commit, &pending);
            world_until(pending.done);
            EXPECT_INT(pending.error, 0);
            EXPECT(world_batches(&attributes) == 2 && (attributes & BATCH_TRANSACTIONAL));
            if (crash) {
                world_crash(true);
                world_open();
            }
            EXPECT(is_pending("g"));
            EXPECT_INT(committed("g", 0), 1);
            end_transaction(commits);
            EXPECT(world_batches(&attributes) == 3 && (attributes & BATCH_CONTROL));
            for (int again = 0; again < 2; again++) {
                EXPECT(!is_pending("g"));
                EXPECT_INT(committed("g", 0), commits ? 9 : 1);
                world_crash(true);
                world_open();
            }
            world_end();
        }
    }
}

TEST(a_plain_commit_after_that_of_a_transaction_stays) {
    world_begin(COORDINATOR_GROUP);
    struct commit pending = {.group = "g", .offset = 9, .partitions = 1, .transactional = true};
    world_do(run_commit, &pending);
    commit_one("g", 4);
    end_transaction(true);
    EXPECT_INT(committed("g", 0), 4);
    world_crash(true);
    world_open();
    EXPECT_INT(committed("g", 0), 4);
    world_end();
}

/* ---- faults ---- */

/* Commits without end, each when the one before was answered; after a crash at any moment, what was answered is there. */
TEST(an_answered_commit_survives_the_power_at_any_moment) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        world_begin_with(COORDINATOR_GROUP, 1048588, seed);
        int64_t answered = -1;
        uint64_t events = sim_below(world.sim, 3000);
        struct commit *commit = NULL;
        for (uint64_t i = 0; i < events; i++) {
            if (!commit || commit->done) {
                if (commit)
                    answered = commit->offset;
                commit = mem_new(struct commit);
                *commit = (struct commit){.group = "g", .offset = answered + 1, .partitions = 1};
                world_do(run_commit, commit);
            }
            EXPECT(sim_step(world.sim));
        }
        if (commit && commit->done && !commit->error)
            answered = commit->offset;
        world_crash(true);
        world_open();
        EXPECT(committed("g", 0) >= answered);
        world_end();
    }
}

TEST(a_disk_that_fails_answers_not_coordinator) {
    world_begin(COORDINATOR_GROUP);
    commit_one("g", 1);
    sim_disk_fail_after(world.disk, 1, ERR_IO);
    struct commit commit = {.group = "g", .offset = 2, .partitions = 1}, later = {.group = "g", .offset = 3, .partitions = 1};
    world_do(run_commit, &commit);
    world_until(commit.done);
    EXPECT_INT(commit.error, KAFKA_NOT_COORDINATOR);
    world_do(run_commit, &later);
    world_until(later.done);
    EXPECT(later.error == KAFKA_NOT_COORDINATOR && !later.decided);
    world_end();
}

static struct buf decided; /* who was, in order */

static void decide_task(struct coordinator_op *op, void *state) {
    (void)state;
    buf_add(&decided, coordinator_task_arg(op), 1);
}
static void decide_chore(struct coordinator_op *op, void *state) {
    (void)op, (void)state;
    buf_add(&decided, "c", 1);
}
static void run_tasks(void *arg) {
    coordinator_task(world.coordinator, decide_task, "1");
    coordinator_chore(world.coordinator, decide_chore);
    coordinator_task(world.coordinator, decide_task, "2");
    (void)arg;
}
static void run_task_and_commit(void *arg) {
    coordinator_task(world.coordinator, decide_task, "3");
    run_commit(arg);
}

TEST(what_a_timer_set_off_is_decided_when_the_log_has_room) {
    world_begin(COORDINATOR_GROUP);
    buf_clear(&decided);
    commit_one("g", 1);
    world_fill_disk();
    struct commit refused = {.group = "g", .offset = 2, .partitions = 1}, later = {.group = "g", .offset = 3, .partitions = 1};
    world_do(run_commit, &refused);
    EXPECT(refused.done && !refused.decided && refused.error == KAFKA_NOT_COORDINATOR);
    world_do(run_tasks, NULL);
    world_sleep_ms(5000);
    EXPECT(!decided.size);
    world_make_room();
    world_do(run_task_and_commit, &later);
    EXPECT(slice_eq_str(buf_slice(&decided), "123"));
    world_until(later.done);
    EXPECT_INT(later.error, 0);
    world_end();
}

TEST(what_was_held_ends_with_the_state) {
    for (int stops = 0; stops < 2; stops++) {
        world_begin(COORDINATOR_GROUP);
        buf_clear(&decided);
        commit_one("g", 1);
        world_fill_disk();
        world_do(run_tasks, NULL);
        world_do(stops ? stop : destroy, NULL);
        world_make_room();
        world_sleep_ms(5000);
        EXPECT(!decided.size);
        world_end();
    }
}

/* ---- what cannot be read ---- */

static void append_record(const uint8_t *key, size_t key_size, const uint8_t *value, size_t value_size) {
    struct buf bytes = {0};
    struct batch_builder builder;
    struct log_append_result result;
    struct arena arena = {0};
    batch_builder_init(&builder, &bytes, 0);
    batch_builder_add(&builder, 0, 1, slice_of(key, key_size), slice_of(value, value_size), NULL, 0);
    EXPECT_INT(batch_builder_finish(&builder, 0, CODEC_NONE, 0, NULL, -1, -1, 0), ERR_OK);
    EXPECT_INT(log_append(world.partition->log, bytes.ptr, bytes.size, APPEND_COORDINATOR, 0, &arena, &result), ERR_OK);
    arena_deinit(&arena);
    buf_deinit(&bytes);
}
static void append_unknown(void *arg) {
    (void)arg;
    static const uint8_t key[] = {0, 99, 1, 2, 3}, value[] = {0, 0, 9};
    append_record(key, sizeof key, value, sizeof value);
}
static void append_unreadable(void *arg) {
    (void)arg;
    static const uint8_t key[] = {0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 0}, value[] = {0, 3, 0};
    append_record(key, sizeof key, value, sizeof value);
}
static void append_newer(void *arg) {
    (void)arg;
    static const uint8_t key[] = {0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 0}, value[] = {0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    append_record(key, sizeof key, value, sizeof value);
}

static void append_and_reopen(void (*append)(void *arg)) {
    world_begin(COORDINATOR_GROUP);
    commit_one("g", 1);
    world_do(append, NULL);
    world_until(log_durable_end(world.partition->log) == 2);
    world_crash(false);
    world_open_loading();
    world_until(world.coordinator->phase != COORDINATOR_LOADING);
}

TEST(a_record_of_an_unknown_type_is_passed_over) {
    append_and_reopen(append_unknown);
    EXPECT(world.coordinator->phase == COORDINATOR_ACTIVE);
    EXPECT_INT(committed("g", 0), 1);
    commit_one("g", 2);
    world_end();
}

TEST(a_value_that_cannot_be_read_fails_the_partition) {
    append_and_reopen(append_unreadable);
    EXPECT(world.coordinator->phase == COORDINATOR_FAILED);
    struct commit commit = {.group = "g", .offset = 2, .partitions = 1};
    world_do(run_commit, &commit);
    EXPECT(commit.done && !commit.decided && commit.error == KAFKA_NOT_COORDINATOR);
    world_end();
    append_and_reopen(append_newer);
    EXPECT(world.coordinator->phase == COORDINATOR_FAILED);
    world_end();
}

TEST(when_somebody_else_wrote_the_state_is_loaded_anew) {
    world_begin(COORDINATOR_GROUP);
    commit_one("g", 1);
    world_do(append_unknown, NULL);
    struct commit commit = {.group = "g", .offset = 2, .partitions = 1};
    world_do(run_commit, &commit);
    world_until(commit.done);
    EXPECT_INT(commit.error, KAFKA_NOT_COORDINATOR);
    world_until(world.coordinator->phase == COORDINATOR_ACTIVE);
    EXPECT_INT(committed("g", 0), 1);
    commit_one("g", 3);
    EXPECT_INT(committed("g", 0), 3);
    world_end();
}

/* ---- expiry ---- */

TEST(offsets_and_their_group_expire) {
    world_begin(COORDINATOR_GROUP);
    commit_one("g", 1);
    world_sleep_ms(6ull * 86400000);
    commit_one("h", 1);
    EXPECT_INT(committed("g", 0), 1);
    world_sleep_ms(86400000 + 1200000);
    const struct groups *groups = world.coordinator->state;
    EXPECT(!groups_find(groups, SLICE_LIT("g")) && !offsets_has_group(groups->offsets, SLICE_LIT("g")));
    EXPECT_INT(committed("h", 0), 1);
    world_crash(true);
    world_open();
    EXPECT_INT(committed("g", 0), -1);
    EXPECT_INT(committed("h", 0), 1);
    world_end();
}

TEST(a_time_is_recent_for_so_long_and_not_when_the_clock_was_put_back) {
    world_begin(COORDINATOR_GROUP);
    const struct coordinator *coordinator = world.coordinator;
    int64_t now_ms = coordinator_now_ms(coordinator);
    EXPECT(coordinator_is_recent(coordinator, now_ms, 1) && coordinator_is_recent(coordinator, now_ms - 99, 100));
    EXPECT(!coordinator_is_recent(coordinator, now_ms - 100, 100) && !coordinator_is_recent(coordinator, now_ms, 0));
    EXPECT(!coordinator_is_recent(coordinator, now_ms + 1, 100) && !coordinator_is_recent(coordinator, INT64_MAX, 100));
    EXPECT(!coordinator_is_recent(coordinator, 0, INT64_MAX) && !coordinator_is_recent(coordinator, INT64_MIN, 100));
    world_end();
}

TEST(ids_are_hashed_as_java_hashes_strings) {
    EXPECT_INT((int32_t)coordinator_hash(SLICE_LIT("")), 0);
    EXPECT_INT((int32_t)coordinator_hash(SLICE_LIT("group")), 98629247);
    EXPECT_INT((int32_t)coordinator_hash(SLICE_LIT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")), (int32_t)(((0xe4u * 31 + 0x20acu) * 31 + 0xd83du) * 31 + 0xde00u));
    EXPECT_INT(coordinator_partition_of(SLICE_LIT("polygenelubricants"), 50), 0); /* the hash is the least int */
}

WORLD_LEAKS

TEST_MAIN
