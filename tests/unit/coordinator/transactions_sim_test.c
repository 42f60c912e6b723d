/* The coordinator of transactions on a simulated disk: crashes in every state, markers that come late or never, requests
 * that wait, time. Its markers go nowhere; the test says when they are written. */
#include "tests/unit/coordinator/world.h"

#include "coordinator/transactions.h"

static struct {
    struct txn_markers *markers; /* sent and not yet written */
    int sent;
    int64_t next_id;
    struct producer_id_waiter *waiter;
    bool no_ids;
} broker;

static int64_t take_id(struct coordinator_host *host) {
    (void)host;
    return broker.no_ids ? -1 : broker.next_id++;
}
static void wait_id(struct coordinator_host *host, struct producer_id_waiter *waiter) {
    (void)host;
    broker.waiter = waiter;
}
static void send(struct coordinator_host *host, struct txn_markers *markers) {
    (void)host;
    broker.markers = markers;
    broker.sent++;
}
static const struct transaction_host host = {take_id, wait_id, send};

static void open_world(void) {
    broker.markers = NULL;
    world_open_loading();
    world.host.transactions = &host;
    world_until(world.coordinator->phase == COORDINATOR_ACTIVE);
}
static void set_level(int16_t level) {
    static struct image_feature feature = {.name = {(const uint8_t *)"transaction.version", 19}};
    feature.level = level;
    world.image->features = &feature;
    world.image->feature_count = 1;
}
static void begin(void) {
    static const struct image_observer none;
    broker.next_id = 1000;
    broker.sent = 0;
    broker.no_ids = false;
    world = (struct world){.type = COORDINATOR_TRANSACTION, .message_bytes_max = 1048588};
    world.overrides[world.override_count++] = "transactional.id.expiration.ms=100000000";
    world.sim = sim_create(1);
    world.disk = sim_disk_create(world.sim, 1 << 30);
    world.image = image_create(&none);
    set_level(2);
    open_world();
}
static void finish(void) {
    world.image->features = NULL;
    world.image->feature_count = 0;
    world_end();
}

struct call {
    struct coordinator_op op;
    struct arena arena;
    struct txn_request txn;
    bool done;
    int16_t error;
};
static void decide(struct coordinator_op *op, void *state) {
    transactions_request(state, op, &container_of(op, struct call, op)->txn);
}
static void done(struct coordinator_op *op, int16_t error) {
    struct call *call = container_of(op, struct call, op);
    call->done = true;
    call->error = error ? error : call->txn.error;
}
static void run_call(void *arg) {
    struct call *call = arg;
    call->op = (struct coordinator_op){.arena = &call->arena, .decide = decide, .done = done};
    coordinator_run(world.coordinator, &call->op);
}
static int16_t ask(struct call *call) {
    world_do(run_call, call);
    world_until(call->done);
    arena_deinit(&call->arena);
    return call->error;
}

static struct call init_of(const char *id) {
    return (struct call){.txn = {.kind = TXN_INIT, .id = slice_str(id), .init = {.timeout_ms = 60000}}};
}
static int32_t partition_zero = 0;
static const struct txn_add_topic one_topic = {{(const uint8_t *)"t", 1}, &partition_zero, 1, NULL};
static struct call add_of(const char *id, int64_t pid, int16_t epoch) {
    return (struct call){.txn = {.kind = TXN_ADD, .id = slice_str(id), .producer_id = pid, .epoch = epoch, .client_version = 2,
                                 .topics = &one_topic, .topic_count = 1}};
}
static struct call end_of(const char *id, int64_t pid, int16_t epoch, bool commit) {
    return (struct call){.txn = {.kind = TXN_END, .id = slice_str(id), .producer_id = pid, .epoch = epoch, .client_version = 2, .commit = commit}};
}
static enum txn_state state_of(const char *id) {
    const struct txn *txn = transactions_find(world.coordinator->state, slice_str(id));
    return txn ? txn->at.state : TXN_DEAD;
}
static void write_markers(void *arg) {
    (void)arg;
    struct txn_markers *markers = broker.markers;
    broker.markers = NULL;
    markers->done(markers);
}

TEST(a_transaction_ends_when_its_markers_are_written) {
    begin();
    struct call init = init_of("x"), add, end;
    EXPECT_INT(ask(&init), 0);
    EXPECT(init.txn.answer_id == 1000 && init.txn.answer_epoch == 0);
    add = add_of("x", 1000, 0);
    EXPECT_INT(ask(&add), 0);
    end = end_of("x", 1000, 0, true);
    EXPECT_INT(ask(&end), 0);
    EXPECT(end.txn.answer_id == 1000 && end.txn.answer_epoch == 1);
    EXPECT_INT(state_of("x"), TXN_PREPARE_COMMIT);
    world_until(broker.markers);
    EXPECT(broker.markers->count == 1 && broker.markers->epoch == 1 && broker.markers->commit && broker.markers->transaction_version == 2);
    EXPECT_INT(transactions_oldest_start_ms(world.coordinator->state) > 0, true);
    world_do(write_markers, NULL);
    world_until(state_of("x") == TXN_COMPLETE_COMMIT);
    EXPECT_INT(transactions_oldest_start_ms(world.coordinator->state), -1);
    EXPECT_INT(broker.sent, 1);
    finish();
}

TEST(who_adds_to_a_transaction_that_ends_waits_for_it) {
    begin();
    struct call init = init_of("x"), add, end, early, late;
    EXPECT_INT(ask(&init), 0);
    add = add_of("x", 1000, 0);
    EXPECT_INT(ask(&add), 0);
    end = end_of("x", 1000, 0, false);
    EXPECT_INT(ask(&end), 0);
    world_until(broker.markers);
    early = add_of("x", 1000, 1);
    world_do(run_call, &early);
    EXPECT(!early.done);
    world_do(write_markers, NULL);
    world_until(early.done);
    EXPECT_INT(early.error, 0);
    EXPECT_INT(state_of("x"), TXN_ONGOING);
    end = end_of("x", 1000, 1, false);
    EXPECT_INT(ask(&end), 0);
    world_until(broker.markers);
    late = add_of("x", 1000, 2);
    EXPECT_INT(ask(&late), KAFKA_CONCURRENT_TRANSACTIONS); /* after add.partitions.to.txn.retry.backoff.max.ms */
    finish();
}

TEST(a_crash_in_any_state_is_gone_on_from) {
    for (int states = 0; states < 6; states++) {
        begin();
        struct call init = init_of("x"), add = add_of("x", 1000, 0), end = end_of("x", 1000, 0, states != 4);
        EXPECT_INT(ask(&init), 0);
        if (states > 0)
            EXPECT_INT(ask(&add), 0);
        if (states > 1)
            EXPECT_INT(ask(&end), 0);
        if (states > 1)
            world_until(broker.markers);
        if (states == 3 || states == 5) {
            world_do(write_markers, NULL);
            world_until(state_of("x") == TXN_COMPLETE_COMMIT);
            world_sleep_ms(100);
        }
        static const enum txn_state before[] = {TXN_EMPTY, TXN_ONGOING, TXN_PREPARE_COMMIT, TXN_COMPLETE_COMMIT, TXN_PREPARE_ABORT, TXN_COMPLETE_COMMIT};
        EXPECT_INT(state_of("x"), before[states]);
        int sent = broker.sent;
        world_crash(true);
        open_world();
        EXPECT_INT(state_of("x"), before[states]);
        if (states == 2 || states == 4) { /* the markers are sent again */
            world_until(broker.markers);
            EXPECT_INT(broker.sent, sent + 1);
            EXPECT_INT(broker.markers->commit, states == 2);
            world_do(write_markers, NULL);
            world_until(state_of("x") == (states == 2 ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT));
        }
        if (states == 1) {
            struct call again = end_of("x", 1000, 0, true);
            EXPECT_INT(ask(&again), 0);
        }
        if (states == 3) {
            struct call again = end_of("x", 1000, 0, true);
            EXPECT_INT(ask(&again), 0);
            EXPECT_INT(again.txn.answer_epoch, 1);
        }
        finish();
    }
}

static void make_coordinator_anew(void *arg) {
    (void)arg;
    coordinator_destroy(world.coordinator);
    world.coordinator = coordinator_create(&world.host, world.type, world.partition);
}

/* "x", with its markers on their way. */
static void send_markers_of_x(void) {
    struct call init = init_of("x"), add = add_of("x", 1000, 0), end = end_of("x", 1000, 0, true);
    EXPECT_INT(ask(&init), 0);
    EXPECT_INT(ask(&add), 0);
    EXPECT_INT(ask(&end), 0);
    world_until(broker.markers);
}

TEST(markers_that_were_given_up_are_sent_again_after_a_while) {
    begin();
    send_markers_of_x();
    broker.markers->failed = true;
    world_do(write_markers, NULL);
    world_sleep_ms(1000);
    EXPECT_INT(state_of("x"), TXN_PREPARE_COMMIT);
    EXPECT_INT(broker.sent, 1);
    world_until(broker.markers);
    EXPECT_INT(broker.sent, 2);
    world_do(write_markers, NULL);
    world_until(state_of("x") == TXN_COMPLETE_COMMIT);
    finish();
}

/* A partition may be offline for days. Those that have their marker get no other one. */
TEST(markers_that_are_on_their_way_are_not_sent_again) {
    begin();
    send_markers_of_x();
    world_sleep_ms(3600000);
    EXPECT_INT(broker.sent, 1);
    world_do(write_markers, NULL);
    world_until(state_of("x") == TXN_COMPLETE_COMMIT);
    EXPECT_INT(broker.sent, 1);
    finish();
}

TEST(markers_that_come_back_when_the_coordinator_is_another_change_nothing) {
    begin();
    send_markers_of_x();
    struct txn_markers *old = broker.markers;
    world_do(make_coordinator_anew, NULL);
    world_until(broker.markers != old);
    struct txn_markers *again = broker.markers;
    broker.markers = old;
    world_do(write_markers, NULL);
    world_sleep_ms(1000);
    EXPECT_INT(state_of("x"), TXN_PREPARE_COMMIT);
    broker.markers = again;
    world_do(write_markers, NULL);
    world_until(state_of("x") == TXN_COMPLETE_COMMIT);
    finish();
}

TEST(transactions_that_take_too_long_are_aborted_and_ids_that_rest_are_forgotten) {
    begin();
    struct call init = init_of("x"), add = add_of("x", 1000, 0);
    EXPECT_INT(ask(&init), 0);
    EXPECT_INT(ask(&add), 0);
    world_sleep_ms(75000);
    EXPECT_INT(state_of("x"), TXN_PREPARE_ABORT);
    world_until(broker.markers);
    EXPECT(!broker.markers->commit && broker.markers->epoch == 1);
    world_do(write_markers, NULL);
    world_until(state_of("x") == TXN_COMPLETE_ABORT);
    for (int i = 0; i < 30; i++)
        world_sleep_ms(3600000);
    EXPECT_INT(state_of("x"), TXN_DEAD);
    struct call late = end_of("x", 1000, 1, true);
    EXPECT_INT(ask(&late), KAFKA_INVALID_PRODUCER_ID_MAPPING);
    world_crash(true);
    open_world();
    EXPECT_INT(state_of("x"), TXN_DEAD);
    finish();
}

static void give_ids(void *arg) {
    (void)arg;
    struct producer_id_waiter *waiter = broker.waiter;
    broker.waiter = NULL;
    broker.no_ids = false;
    waiter->got(waiter, 0);
}

static void make_batches_small(void *arg) {
    (void)arg;
    struct log_settings settings = *log_get_settings(world.partition->log);
    settings.validate.message_bytes_max = 1000;
    log_set_settings(world.partition->log, &settings);
}

TEST(what_no_record_can_hold_did_not_happen) {
    static char id[2000];
    memset(id, 'x', sizeof id - 1);
    begin();
    struct call small = init_of("small"), large = init_of(id), add;
    EXPECT_INT(ask(&small), 0);
    world_do(make_batches_small, NULL);
    EXPECT_INT(ask(&large), KAFKA_UNKNOWN_SERVER_ERROR);
    world_until(world.coordinator->phase == COORDINATOR_ACTIVE);
    EXPECT_INT(state_of(id), TXN_DEAD);
    add = add_of("small", small.txn.answer_id, 0);
    EXPECT_INT(ask(&add), 0);
    finish();
}

TEST(who_needs_a_producer_id_waits_for_a_block) {
    begin();
    broker.no_ids = true;
    struct call first = init_of("x"), second = init_of("y");
    world_do(run_call, &first);
    world_do(run_call, &second);
    EXPECT(!first.done && !second.done && broker.waiter);
    world_do(give_ids, NULL);
    world_until(first.done && second.done);
    EXPECT(!first.error && !second.error && first.txn.answer_id == 1000 && second.txn.answer_id == 1001);
    finish();
}

TEST(at_level_0_the_second_protocol_is_refused_and_nothing_is_stuck) {
    begin();
    struct call init = init_of("x"), add = add_of("x", 1000, 0), end = end_of("x", 1000, 0, true);
    EXPECT_INT(ask(&init), 0);
    EXPECT_INT(ask(&add), 0);
    EXPECT_INT(ask(&end), 0);
    world_until(broker.markers);
    world_do(write_markers, NULL);
    world_until(state_of("x") == TXN_COMPLETE_COMMIT);
    set_level(0);
    struct call refused = add_of("x", 1000, 1), refused_end = end_of("x", 1000, 1, false), again = init_of("x"), old = add_of("x", 1000, 2);
    EXPECT_INT(ask(&refused), KAFKA_UNSUPPORTED_VERSION);
    EXPECT_INT(ask(&refused_end), KAFKA_UNSUPPORTED_VERSION);
    EXPECT_INT(ask(&again), 0);
    EXPECT_INT(again.txn.answer_epoch, 2);
    old.txn.client_version = 0;
    EXPECT_INT(ask(&old), 0);
    world_crash(true);
    open_world();
    EXPECT_INT(state_of("x"), TXN_ONGOING);
    finish();
}

TEST_MAIN
WORLD_LEAKS
