/* Classic groups in virtual time: how long joins and syncs wait and for whom, when silence is too long, what a crash leaves,
 * and what happens when a record is refused. Answers to single requests are compared with Kafka's elsewhere
 * (tests/interop/differential). */
#include "tests/unit/coordinator/world.h"

#include "coordinator/classic.h"

WORLD_LEAKS

struct call { /* a request under way */
    struct coordinator_op op;
    struct arena arena;
    void (*decide)(struct call *call, struct groups *groups);
    struct join_group_request join_request;
    struct join_group_request_join_group_request_protocol protocol;
    struct classic_join join;
    struct sync_group_request sync_request;
    struct sync_group_request_sync_group_request_assignment assignments[2];
    struct classic_sync sync;
    struct heartbeat_request heartbeat;
    struct leave_group_request leave_request;
    struct leave_group_request_member_identity leaver;
    struct classic_leave leave;
    int16_t error; /* of the operation, or a heartbeat's */
    bool done;
    int64_t done_ms;
    char member[64]; /* who it is after a join */
};

static void decide(struct coordinator_op *op, void *state) {
    struct call *call = container_of(op, struct call, op);
    call->decide(call, state);
}

static void call_done(struct coordinator_op *op, int16_t error) {
    struct call *call = container_of(op, struct call, op);
    EXPECT(!call->done);
    call->done = true;
    call->done_ms = coordinator_now_ms(world.coordinator);
    if (error)
        call->error = error;
}

static void run(void *arg) {
    struct call *call = arg;
    call->op = (struct coordinator_op){.arena = &call->arena, .decide = decide, .done = call_done};
    coordinator_run(world.coordinator, &call->op);
}

static void decide_join(struct call *call, struct groups *groups) {
    classic_join(groups, &call->join);
}
static void decide_sync(struct call *call, struct groups *groups) {
    classic_sync(groups, &call->sync);
}
static void decide_heartbeat(struct call *call, struct groups *groups) {
    call->error = classic_heartbeat(groups, &call->heartbeat);
}
static void decide_leave(struct call *call, struct groups *groups) {
    classic_leave(groups, &call->leave);
}

static int32_t rebalance_ms;
enum { SESSION_MS = 10000, REBALANCE_MS = 20000, VERSION = 3 /* members come in at once */ };

static struct call *begin_join_as(const char *member, const char *instance, int version) {
    struct call *call = mem_new(struct call);
    call->decide = decide_join;
    join_group_request_init(&call->join_request);
    join_group_response_init(&call->join.response);
    call->join_request.group_id = SLICE_LIT("g");
    call->join_request.member_id = slice_str(member);
    call->join_request.group_instance_id = slice_str(instance);
    call->join_request.session_timeout_ms = SESSION_MS;
    call->join_request.rebalance_timeout_ms = rebalance_ms;
    call->join_request.protocol_type = SLICE_LIT("consumer");
    call->protocol.name = SLICE_LIT("range");
    call->protocol.metadata = SLICE_LIT("m");
    call->join_request.protocols = &call->protocol;
    call->join_request.protocols_count = 1;
    call->join = (struct classic_join){.op = &call->op, .request = &call->join_request, .version = (int16_t)version, .client_id = SLICE_LIT("c"),
                                       .client_host = SLICE_LIT("/1.2.3.4"), .response = call->join.response};
    world_do(run, call);
    return call;
}
static struct call *begin_join(const char *member) {
    return begin_join_as(member, NULL, VERSION);
}

static void end(struct call *call) {
    world_until(call->done);
    struct slice id = call->join.response.member_id;
    snprintf(call->member, sizeof call->member, "%.*s", SLICE_FMT(id));
}

static void end_call(struct call *call) {
    arena_deinit(&call->arena);
    mem_free(call);
}

static struct call *begin_sync(const char *member, int32_t generation, const char *first, size_t size) {
    struct call *call = mem_new(struct call);
    call->decide = decide_sync;
    sync_group_request_init(&call->sync_request);
    sync_group_response_init(&call->sync.response);
    call->sync_request.group_id = SLICE_LIT("g");
    call->sync_request.member_id = slice_str(member);
    call->sync_request.generation_id = generation;
    if (first) {
        void *bytes = arena_zalloc(&call->arena, size + 1);
        call->assignments[0].member_id = slice_str(first);
        call->assignments[0].assignment = slice_of(bytes, size);
        call->sync_request.assignments = call->assignments;
        call->sync_request.assignments_count = 1;
    }
    call->sync.op = &call->op;
    call->sync.request = &call->sync_request;
    world_do(run, call);
    return call;
}

static int16_t heartbeat(const char *member, int32_t generation) {
    struct call call = {.decide = decide_heartbeat};
    heartbeat_request_init(&call.heartbeat);
    call.heartbeat.group_id = SLICE_LIT("g");
    call.heartbeat.member_id = slice_str(member);
    call.heartbeat.generation_id = generation;
    world_do(run, &call);
    world_until(call.done);
    arena_deinit(&call.arena);
    return call.error;
}

static int16_t leave(const char *member) {
    struct call call = {.decide = decide_leave};
    leave_group_request_init(&call.leave_request);
    leave_group_response_init(&call.leave.response);
    call.leaver.member_id = slice_str(member);
    call.leave_request.group_id = SLICE_LIT("g");
    call.leave_request.members = &call.leaver;
    call.leave_request.members_count = 1;
    call.leave.op = &call.op;
    call.leave.request = &call.leave_request;
    world_do(run, &call);
    world_until(call.done);
    int16_t error = call.leave.response.members[0].error_code;
    arena_deinit(&call.arena);
    return error;
}

static const struct classic_group *group(void) {
    return classic_of(groups_find(world.coordinator->state, SLICE_LIT("g")));
}

/* Two members, the first of which leads, that have their assignments. */
static void begin_stable(struct call **ret_a, struct call **ret_b) {
    struct call *a = begin_join(""), *b = begin_join("");
    end(a), end(b);
    struct call *waits = begin_sync(b->member, 1, NULL, 0), *leads = begin_sync(a->member, 1, b->member, 5);
    end(leads), end(waits);
    EXPECT_INT(waits->sync.response.assignment.size, 5);
    EXPECT_INT(leads->sync.response.assignment.size, 0);
    EXPECT_INT(group()->state, CLASSIC_STABLE);
    end_call(waits), end_call(leads);
    *ret_a = a;
    *ret_b = b;
}

static void begin(int delay_ms) {
    static char delay[64];
    snprintf(delay, sizeof delay, "group.initial.rebalance.delay.ms=%d", delay_ms);
    world.override_count = 0;
    rebalance_ms = REBALANCE_MS;
    world_set(delay);
    world_begin(COORDINATOR_GROUP);
}

TEST(the_first_rebalance_waits_for_those_who_still_come) {
    begin(500);
    int64_t start_ms = coordinator_now_ms(world.coordinator);
    struct call *a = begin_join("");
    world_sleep_ms(300);
    struct call *b = begin_join("");
    EXPECT(!a->done && !b->done);
    end(a), end(b);
    EXPECT_INT(a->done_ms - start_ms, 1000);
    EXPECT_INT(b->done_ms - start_ms, 1000);
    EXPECT_INT(a->join.response.members_count, 2);
    EXPECT_INT(b->join.response.members_count, 0);
    end_call(a), end_call(b);
    world_end();
}

TEST(a_sole_member_waits_for_the_delay) {
    begin(500);
    int64_t start_ms = coordinator_now_ms(world.coordinator);
    struct call *a = begin_join("");
    end(a);
    EXPECT_INT(a->done_ms - start_ms, 500);
    EXPECT_INT(a->join.response.generation_id, 1);
    end_call(a);
    world_end();
}

TEST(newcomers_delay_the_first_rebalance_up_to_its_timeout_only) {
    begin(7000);
    int64_t start_ms = coordinator_now_ms(world.coordinator);
    struct call *all[8];
    for (int i = 0; i < 8; i++) {
        all[i] = begin_join("");
        world_sleep_ms(2500);
    }
    for (int i = 0; i < 8; i++) {
        end(all[i]);
        EXPECT_INT(all[i]->done_ms - start_ms, 20000);
        end_call(all[i]);
    }
    world_end();
}

TEST(heartbeats_keep_a_member_and_silence_ends_it) {
    struct call *a, *b;
    begin(100);
    begin_stable(&a, &b);
    for (int i = 0; i < 20; i++) {
        world_sleep_ms(SESSION_MS - 1);
        EXPECT_INT(heartbeat(a->member, 1), 0);
        if (i < 10)
            EXPECT_INT(heartbeat(b->member, 1), 0);
        else
            break;
    }
    world_sleep_ms(2);
    EXPECT_INT(heartbeat(b->member, 1), KAFKA_UNKNOWN_MEMBER_ID);
    EXPECT_INT(heartbeat(a->member, 1), KAFKA_REBALANCE_IN_PROGRESS);
    struct call *again = begin_join(a->member);
    end(again);
    EXPECT_INT(again->join.response.generation_id, 2);
    EXPECT_INT(again->join.response.members_count, 1);
    end_call(a), end_call(b), end_call(again);
    world_end();
}

TEST(who_does_not_join_in_time_is_left_out_and_another_leads) {
    struct call *a, *b;
    begin(100);
    begin_stable(&a, &b);
    struct call *c = begin_join(""), *again = begin_join(b->member);
    int64_t start_ms = coordinator_now_ms(world.coordinator);
    while (!c->done) { /* a is alive, but does not join */
        EXPECT_INT(heartbeat(a->member, 1), c->done ? 25 : 27);
        world_sleep_ms(5000);
    }
    end(c), end(again);
    EXPECT_INT(c->done_ms - start_ms, REBALANCE_MS);
    EXPECT_INT(heartbeat(a->member, 1), KAFKA_UNKNOWN_MEMBER_ID);
    EXPECT_INT(again->join.response.generation_id, 2);
    EXPECT(slice_eq(again->join.response.leader, slice_str(b->member)));
    EXPECT_INT(again->join.response.members_count, 2);
    end_call(a), end_call(b), end_call(c), end_call(again);
    world_end();
}

TEST(who_does_not_sync_in_time_is_left_out) {
    begin(100);
    struct call *a = begin_join(""), *b = begin_join("");
    end(a), end(b);
    struct call *leads = begin_sync(a->member, 1, a->member, 1);
    end(leads);
    EXPECT_INT(group()->state, CLASSIC_STABLE);
    for (int i = 0; i < 3; i++) {
        EXPECT_INT(heartbeat(a->member, 1), 0);
        EXPECT_INT(heartbeat(b->member, 1), 0);
        world_sleep_ms(REBALANCE_MS / 3 + 1);
    }
    EXPECT_INT(heartbeat(b->member, 1), KAFKA_UNKNOWN_MEMBER_ID);
    EXPECT_INT(heartbeat(a->member, 1), KAFKA_REBALANCE_IN_PROGRESS);
    end_call(a), end_call(b), end_call(leads);
    world_end();
}

TEST(an_id_that_nobody_comes_back_with_holds_a_rebalance_up_for_a_session) {
    struct call *a, *b;
    begin(100);
    begin_stable(&a, &b);
    struct call *given = begin_join_as("", NULL, 9);
    end(given);
    EXPECT_INT(given->join.response.error_code, KAFKA_MEMBER_ID_REQUIRED);
    int64_t start_ms = coordinator_now_ms(world.coordinator);
    struct call *first = begin_join(a->member), *second = begin_join(b->member);
    end(first), end(second);
    EXPECT_INT(first->done_ms - start_ms, SESSION_MS);
    struct call *late = begin_join_as(given->member, NULL, 9);
    end(late);
    EXPECT_INT(late->join.response.error_code, KAFKA_UNKNOWN_MEMBER_ID);
    end_call(a), end_call(b), end_call(given), end_call(first), end_call(second), end_call(late);
    world_end();
}

TEST(a_new_member_whose_client_has_gone_is_forgotten_after_five_minutes) {
    struct call *a, *b;
    begin(100);
    rebalance_ms = 3600000;
    begin_stable(&a, &b);
    struct call *gone = begin_join("");
    int64_t start_ms = coordinator_now_ms(world.coordinator);
    while (!gone->done) { /* the others live, and do not join */
        world_sleep_ms(SESSION_MS / 2);
        heartbeat(a->member, 1);
        heartbeat(b->member, 1);
    }
    EXPECT_INT(gone->done_ms - start_ms, 300000);
    EXPECT_INT(gone->join.response.error_code, KAFKA_UNKNOWN_MEMBER_ID);
    EXPECT_INT(group()->state, CLASSIC_PREPARING);
    end_call(a), end_call(b), end_call(gone);
    world_end();
}

TEST(a_member_that_joins_twice_is_answered_twice) {
    struct call *a, *b;
    begin(100);
    begin_stable(&a, &b);
    struct call *first = begin_join(a->member), *second = begin_join(a->member);
    end(first);
    EXPECT_INT(first->join.response.error_code, KAFKA_REBALANCE_IN_PROGRESS);
    EXPECT(!second->done);
    EXPECT_INT(leave(b->member), 0);
    end(second);
    EXPECT_INT(second->join.response.error_code, 0);
    EXPECT_INT(second->join.response.generation_id, 2);
    end_call(a), end_call(b), end_call(first), end_call(second);
    world_end();
}

TEST(a_stable_group_survives_a_loss_of_power) {
    struct call *a, *b;
    begin(100);
    begin_stable(&a, &b);
    world_crash(true);
    world_open();
    EXPECT_INT(group()->state, CLASSIC_STABLE);
    EXPECT_INT(group()->generation, 1);
    EXPECT_INT(heartbeat(a->member, 1), 0);
    EXPECT_INT(heartbeat(b->member, 1), 0);
    struct call *late = begin_sync(b->member, 1, NULL, 0);
    end(late);
    EXPECT_INT(late->sync.response.assignment.size, 5);
    world_sleep_ms(SESSION_MS + 1); /* sessions began anew with the load, and end */
    EXPECT_INT(heartbeat(a->member, 1), KAFKA_UNKNOWN_MEMBER_ID);
    world_until(!group() || group()->state == CLASSIC_EMPTY);
    EXPECT_INT(group()->generation, 2);
    end_call(a), end_call(b), end_call(late);
    world_end();
}

TEST(a_rebalance_that_was_under_way_is_lost_in_a_crash) {
    struct call *a, *b;
    begin(100);
    begin_stable(&a, &b);
    EXPECT_INT(leave(b->member), 0);
    struct call *again = begin_join(a->member);
    end(again);
    EXPECT_INT(again->join.response.generation_id, 2);
    world_crash(true);
    world_open();
    EXPECT_INT(group()->state, CLASSIC_STABLE);
    EXPECT_INT(group()->generation, 1);
    EXPECT_INT(group()->member_count, 2); /* the one that left is back until its session ends */
    EXPECT_INT(heartbeat(a->member, 2), KAFKA_ILLEGAL_GENERATION);
    end_call(a), end_call(b), end_call(again);
    world_end();
}

TEST(requests_that_wait_are_answered_when_the_node_stops) {
    struct call *a, *b;
    begin(100);
    begin_stable(&a, &b);
    struct call *waits = begin_join(a->member);
    EXPECT(!waits->done);
    world_do((void (*)(void *))coordinator_stop, world.coordinator);
    world_until(waits->done);
    EXPECT_INT(waits->error, KAFKA_NOT_COORDINATOR);
    end_call(a), end_call(b), end_call(waits);
    world_end();
}

TEST(assignments_that_no_record_can_hold_are_refused_for_all) {
    begin(100);
    struct call *a = begin_join(""), *b = begin_join("");
    end(a), end(b);
    struct call *waits = begin_sync(b->member, 1, NULL, 0), *leads = begin_sync(a->member, 1, b->member, 2 << 20);
    end(leads), end(waits);
    EXPECT_INT(leads->error, KAFKA_UNKNOWN_SERVER_ERROR);
    EXPECT_INT(waits->sync.response.error_code, KAFKA_UNKNOWN_SERVER_ERROR);
    EXPECT_INT(waits->sync.response.assignment.size, 0);
    EXPECT_INT(group()->state, CLASSIC_PREPARING);
    EXPECT_INT(heartbeat(b->member, 1), KAFKA_REBALANCE_IN_PROGRESS);
    struct call *first = begin_join(a->member), *second = begin_join(b->member);
    end(first), end(second);
    EXPECT_INT(first->join.response.generation_id, 2);
    end_call(a), end_call(b), end_call(waits), end_call(leads), end_call(first), end_call(second);
    world_end();
}

TEST(a_join_phase_that_ends_while_there_is_no_room_is_complete_when_there_is) {
    begin(15000);
    struct call *a = begin_join("");
    int64_t start_ms = coordinator_now_ms(world.coordinator);
    world_fill_disk();
    EXPECT(coordinator_now_ms(world.coordinator) - start_ms < 15000);
    world_sleep_ms(15000);
    EXPECT(!a->done);
    world_make_room();
    end(a);
    EXPECT_INT(a->error, 0);
    EXPECT_INT(a->join.response.generation_id, 1);
    end_call(a);
    world_end();
}

TEST(a_member_whose_heartbeats_were_refused_has_a_session_more) {
    struct call *a, *b;
    begin(100);
    begin_stable(&a, &b);
    sim_disk_set_capacity(world.disk, sim_disk_used(world.disk));
    while (log_state(world.partition->log) == ERR_OK) {
        heartbeat(a->member, 1);
        heartbeat(b->member, 1);
        world_sleep_ms(500);
    }
    EXPECT_INT(heartbeat(a->member, 1), KAFKA_NOT_COORDINATOR);
    world_sleep_ms(3 * SESSION_MS);
    world_make_room();
    world_sleep_ms(SESSION_MS - 100);
    EXPECT_INT(heartbeat(a->member, 1), 0);
    world_sleep_ms(200);
    EXPECT_INT(heartbeat(b->member, 1), KAFKA_UNKNOWN_MEMBER_ID);
    EXPECT_INT(heartbeat(a->member, 1), KAFKA_REBALANCE_IN_PROGRESS);
    end_call(a), end_call(b);
    world_end();
}

TEST(a_group_that_was_loaded_too_large_sheds_members) {
    struct call *a, *b;
    begin(100);
    begin_stable(&a, &b);
    world_crash(true);
    world_set("group.max.size=1");
    world_open();
    EXPECT_INT(heartbeat(a->member, 1), KAFKA_REBALANCE_IN_PROGRESS);
    struct call *first = begin_join(a->member), *second = begin_join(b->member);
    end(second);
    EXPECT_INT(second->join.response.error_code, KAFKA_GROUP_MAX_SIZE_REACHED);
    end(first);
    EXPECT_INT(first->join.response.members_count, 1);
    end_call(a), end_call(b), end_call(first), end_call(second);
    world_end();
}

TEST(a_static_member_that_is_away_costs_nothing_when_its_rebalance_timeout_is_zero) {
    begin(100);
    struct call *b = begin_join("");
    rebalance_ms = 0;
    struct call *a = begin_join_as("", "i", 5);
    end(a), end(b);
    struct call *waits = begin_sync(a->member, 1, NULL, 0), *leads = begin_sync(b->member, 1, a->member, 5);
    end(leads), end(waits);
    EXPECT_INT(leave(b->member), 0);
    uint64_t events = sim_event_count(world.sim);
    world_sleep_ms(SESSION_MS / 2);
    EXPECT(sim_event_count(world.sim) - events < 1000);
    EXPECT_INT(group()->state, CLASSIC_PREPARING);
    struct call *back = begin_join_as(a->member, "i", 5);
    end(back);
    EXPECT_INT(back->join.response.generation_id, 2);
    EXPECT_INT(back->join.response.members_count, 1);
    end_call(a), end_call(b), end_call(waits), end_call(leads), end_call(back);
    world_end();
}

TEST_MAIN
