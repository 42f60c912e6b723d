/* The share coordinator on a disk: what it deletes of its log, and when. */
#include "tests/unit/coordinator/world.h"

#include "coordinator/share_state.h"
#include "tests/unit/coordinator/topics.h"

static struct uuid topic;

struct request {
    struct coordinator_op op;
    struct arena arena;
    struct share_call call;
    bool done;
    int16_t error;
};

static void decide(struct coordinator_op *op, void *state) {
    struct request *request = container_of(op, struct request, op);
    share_state_decide(op, state, &request->call);
}
static void done(struct coordinator_op *op, int16_t error) {
    struct request *request = container_of(op, struct request, op);
    request->done = true;
    request->error = error;
}
static void run(void *arg) {
    struct request *request = arg;
    request->call.group = SLICE_LIT("g");
    request->call.topic_id = topic;
    request->op = (struct coordinator_op){.arena = &request->arena, .decide = decide, .done = done};
    coordinator_run(world.coordinator, &request->op);
}

static int64_t log_start(void) {
    return log_offsets(world.partition->log).start;
}

/* Each is a snapshot. */
static void initialize(struct request *request, int32_t epoch) {
    *request = (struct request){.call = {.type = SHARE_INITIALIZE, .state_epoch = epoch, .start_offset = epoch}};
    world_do(run, request);
}
static void initialize_soundly(int32_t epoch) {
    struct request request;
    initialize(&request, epoch);
    world_until(request.done);
    EXPECT_INT(request.error, 0);
    EXPECT_INT(request.call.error, 0);
    arena_deinit(&request.arena);
}

TEST(nothing_is_deleted_for_a_snapshot_that_is_not_on_the_device) {
    static struct request request;
    world_set("share.coordinator.state.topic.prune.interval.ms=1000");
    world_begin(COORDINATOR_SHARE);
    topic = test_topic(world.image, "t", NULL, 1);
    initialize_soundly(1);
    initialize_soundly(2);
    world_sleep_ms(1500);
    EXPECT_INT(log_start(), 1);
    sim_disk_set_slowness(world.disk, 1000000);
    initialize(&request, 3);
    world_sleep_ms(1500);
    EXPECT(!request.done);
    EXPECT_INT(log_start(), 1);
    sim_disk_set_slowness(world.disk, 1);
    world_until(log_durable_end(world.partition->log) == 3);
    EXPECT_INT(log_start(), 1);
    world_sleep_ms(1500);
    EXPECT_INT(log_start(), 2);
    world_crash(true);
    world_open();
    request = (struct request){.call = {.type = SHARE_READ, .leader_epoch = -1}};
    world_do(run, &request);
    world_until(request.done);
    EXPECT_INT(request.call.start_offset, 3);
    world_end();
}

WORLD_LEAKS
TEST_MAIN
