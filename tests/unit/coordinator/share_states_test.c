/* What the share coordinator answers and writes. Method: calls are answered and their records replayed, as a coordinator does;
 * the state that comes of it is read back, and again from all records of the log. */
#include "base/mem.h"
#include "coordinator/share_state.h"
#include "protocol/errors.h"
#include "tests/unit/test.h"

static struct arena arena;
static struct share_states *states;
static struct {
    struct slice key, value;
} records[4096];
static int record_count, snapshots;

static void replay_one(struct share_states *to, int i) {
    struct coordinator_record record = {.key = records[i].key, .value = records[i].value, .offset = i, .producer_id = -1};
    EXPECT(share_states_replay(to, &record) == ERR_OK);
}
static void add(void *arg, struct slice key, struct slice value) {
    (void)arg;
    records[record_count].key = key;
    records[record_count].value = value;
    snapshots += key.ptr[1] == 0 && value.ptr;
    replay_one(states, record_count++);
}
static void begin(int updates_max) {
    if (states)
        share_states_destroy(states);
    arena_reset(&arena);
    states = share_states_create(updates_max);
    record_count = snapshots = 0;
}
static int64_t now = 1000;
static struct share_call ask(struct share_call call) {
    struct slice key, value;
    call.group = SLICE_LIT("g");
    call.topic_id = (struct uuid){1, 2};
    share_states_answer(states, &call, true, now, &arena, &key, &value);
    if (key.ptr)
        add(NULL, key, value);
    return call;
}
static struct share_call initialize(int32_t epoch, int64_t start) {
    return ask((struct share_call){.type = SHARE_INITIALIZE, .state_epoch = epoch, .start_offset = start});
}
static struct share_call put(int32_t state_epoch, int32_t leader_epoch, int64_t start, int64_t first, int64_t last, int state, int count) {
    struct share_batch batch = {first, last, (int8_t)state, (int16_t)count};
    return ask((struct share_call){.type = SHARE_WRITE, .state_epoch = state_epoch, .leader_epoch = leader_epoch, .start_offset = start,
                                   .batches = &batch, .batch_count = 1});
}
static struct share_call look(int32_t leader_epoch) {
    return ask((struct share_call){.type = SHARE_READ, .leader_epoch = leader_epoch});
}

TEST(epochs_fence_those_who_come_late) {
    begin(500);
    EXPECT_INT(look(0).error, KAFKA_INVALID_REQUEST);
    EXPECT_INT(put(0, 0, 0, 0, 1, 2, 1).error, KAFKA_INVALID_REQUEST);
    EXPECT_INT(initialize(3, -1).error, 0);
    EXPECT_INT(initialize(2, 0).error, KAFKA_FENCED_STATE_EPOCH);
    EXPECT_INT(look(5).error, 0);
    EXPECT_INT(record_count, 2);
    EXPECT_INT(look(4).error, KAFKA_FENCED_LEADER_EPOCH);
    EXPECT_INT(put(3, 4, 0, 0, 1, 2, 1).error, KAFKA_FENCED_LEADER_EPOCH);
    EXPECT_INT(put(2, 5, 0, 0, 1, 2, 1).error, KAFKA_FENCED_STATE_EPOCH);
    EXPECT_INT(put(9, 9, 0, 0, 1, 2, 1).error, 0);
    EXPECT_INT(look(-1).state_epoch, 3); /* a write raises nothing */
    EXPECT_INT(look(6).error, 0);
}

TEST(a_snapshot_comes_behind_so_many_updates) {
    begin(3);
    initialize(1, 0);
    for (int i = 0; i < 8; i++)
        put(1, 0, -1, i, i, SHARE_ACKNOWLEDGED, 1);
    EXPECT_INT(record_count, 9);
    EXPECT_INT(snapshots, 3); /* the first, and two behind three updates each */
    EXPECT_INT(share_states_needed_from(states), 8);
    struct share_call got = look(-1);
    EXPECT_INT(got.batch_count, 1);
    EXPECT_INT(got.batches[0].last, 7);
    /* What lies before the last snapshot is not needed. */
    struct share_states *again = share_states_create(3);
    for (int i = 8; i < record_count; i++)
        replay_one(again, i);
    EXPECT_INT(share_states_count(again), 1);
    share_states_destroy(again);
}

TEST(a_cold_key_gets_a_snapshot_until_all_are_cold) {
    begin(500);
    initialize(1, 0);
    put(1, 0, 0, 0, 4, SHARE_ACKNOWLEDGED, 1);
    now += 1000;
    share_states_cold(states, now, 2000, &arena, add, NULL);
    EXPECT_INT(record_count, 2);
    now += 1000;
    share_states_cold(states, now, 2000, &arena, add, NULL);
    EXPECT_INT(record_count, 3);
    EXPECT_INT(share_states_needed_from(states), 2);
    now += 9000;
    share_states_cold(states, now, 2000, &arena, add, NULL);
    EXPECT_INT(record_count, 3);
    EXPECT_INT(look(-1).batch_count, 1);
}

static bool every(const void *arg, struct uuid topic_id) {
    (void)arg, (void)topic_id;
    return true;
}

TEST(what_was_deleted_is_gone_and_may_begin_anew) {
    begin(500);
    initialize(7, 0);
    EXPECT_INT(ask((struct share_call){.type = SHARE_DELETE}).error, 0);
    EXPECT_INT(ask((struct share_call){.type = SHARE_DELETE}).error, 0);
    EXPECT_INT(record_count, 2);
    EXPECT_INT(share_states_count(states), 0);
    EXPECT_INT(share_states_needed_from(states), 2);
    EXPECT_INT(initialize(0, 5).error, 0);
    share_states_drop(states, every, NULL, &arena, add, NULL);
    EXPECT_INT(share_states_count(states), 0);
}

TEST(a_group_that_asks_again_for_a_new_state_undoes_nothing) {
    begin(500);
    initialize(1, -1);
    put(1, 0, 10, 10, 14, SHARE_ACKNOWLEDGED, 1);
    struct share_call late = {.type = SHARE_INITIALIZE, .state_epoch = 2, .start_offset = -1, .only_missing = true};
    EXPECT_INT(ask(late).error, 0);
    EXPECT_INT(record_count, 2);
    EXPECT_INT(look(-1).start_offset, 10);
    EXPECT_INT(look(-1).batch_count, 1);
    late.state_epoch = 0;
    EXPECT_INT(ask(late).error, KAFKA_FENCED_STATE_EPOCH);
    ask((struct share_call){.type = SHARE_DELETE});
    EXPECT_INT(ask(late).error, 0);
    EXPECT_INT(look(-1).start_offset, -1);
}

TEST(a_version_that_is_not_known_stops_the_load) {
    begin(500);
    initialize(1, 0);
    uint8_t *value = (uint8_t *)records[0].value.ptr;
    value[1] = 1;
    struct coordinator_record record = {.key = records[0].key, .value = records[0].value};
    EXPECT(share_states_replay(states, &record) == ERR_UNSUPPORTED);
    uint8_t key[] = {0, 9};
    record.key = slice_of(key, 2);
    EXPECT(share_states_replay(states, &record) == ERR_OK);
    record.key = slice_of(key, 1);
    EXPECT(share_states_replay(states, &record) != ERR_OK);
}

TEST_MAIN
