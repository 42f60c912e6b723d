/* Producers in transactions: what must be verified, which markers may come, and what readers of committed data wait for. */
#include "base/mem.h"
#include "log/producers.h"
#include "protocol/batch.h"
#include "tests/unit/test.h"

static struct producers producers;
static int64_t next_offset;

static struct buf make(int64_t id, int16_t epoch, int32_t sequence, int marker) { /* marker: 0 none, 1 abort, 2 commit */
    struct buf buf = {0};
    struct batch_builder builder;
    uint8_t key[4], value[6] = {0};
    batch_builder_init(&builder, &buf, next_offset);
    if (marker)
        batch_builder_add(&builder, 0, 1000, control_key(marker == 2 ? CONTROL_COMMIT : CONTROL_ABORT, key), slice_of(value, 6), NULL, 0);
    else
        batch_builder_add(&builder, 0, 1000, SLICE_NULL, SLICE_LIT("v"), NULL, 0);
    EXPECT_INT(batch_builder_finish(&builder, BATCH_TRANSACTIONAL | (marker ? BATCH_CONTROL : 0), CODEC_NONE, 0, NULL, id, epoch, marker ? -1 : sequence), ERR_OK);
    return buf;
}
static void take(int64_t id, int16_t epoch, int32_t sequence, int marker) {
    struct buf batch = make(id, epoch, sequence, marker);
    struct aborted_txn aborted;
    (void)producers_append(&producers, batch.ptr, &aborted);
    next_offset++;
    buf_deinit(&batch);
}
static enum err may(int64_t id, int16_t epoch, int32_t sequence, uint64_t guard) {
    struct buf batch = make(id, epoch, sequence, 0);
    struct producer_batch old;
    bool duplicate;
    enum err err = producers_check(&producers, batch.ptr, APPEND_CLIENT, guard, &duplicate, &old);
    buf_deinit(&batch);
    return err ? err : duplicate ? ERR_DUPLICATE_SEQUENCE : ERR_OK;
}
static uint64_t verify(int64_t id, int16_t epoch, int32_t sequence, bool new_protocol, uint64_t fresh) {
    uint64_t guard;
    EXPECT_INT(producers_verify(&producers, id, epoch, sequence, new_protocol, fresh, 5, &guard), ERR_OK);
    return guard;
}
static void begin(void) {
    producers_clear(&producers);
    next_offset = 0;
}

TEST(the_first_batch_of_a_transaction_needs_a_guard_that_a_marker_takes_away) {
    begin();
    EXPECT_INT(may(1, 0, 0, GUARD_NONE), ERR_INVALID_TXN_STATE);
    EXPECT_INT(verify(1, 0, 0, false, 71), 71);
    EXPECT_INT(verify(1, 0, 0, false, 72), 71); /* it is the same question */
    EXPECT_INT(may(1, 0, 0, 70), ERR_INVALID_TXN_STATE);
    EXPECT_INT(may(1, 0, 0, 71), ERR_OK);
    take(1, 0, 0, 1);
    EXPECT_INT(may(1, 0, 0, 71), ERR_INVALID_TXN_STATE);
    EXPECT_INT(may(1, 0, 0, GUARD_NOT_NEEDED), ERR_OK);
    EXPECT_INT(verify(1, 0, 0, false, 73), 73);
    take(1, 0, 0, 0);
    EXPECT_INT(may(1, 0, 1, GUARD_NONE), ERR_OK);
    EXPECT_INT(may(1, 0, 0, GUARD_NONE), ERR_DUPLICATE_SEQUENCE);
    EXPECT_INT(verify(1, 0, 1, false, 74), GUARD_NONE);
    begin();
}

TEST(a_guard_of_the_next_transaction_outlives_the_marker_of_the_last) {
    begin();
    take(1, 0, 0, 0);
    EXPECT_INT(verify(1, 1, 0, true, 75), 75);
    take(1, 1, 0, 2);
    EXPECT_INT(may(1, 1, 0, 75), ERR_OK);
    EXPECT_INT(may(1, 1, 3, 75), ERR_OUT_OF_ORDER_SEQUENCE);
    EXPECT_INT(may(1, 0, 1, 75), ERR_INVALID_PRODUCER_EPOCH);
    begin();
}

TEST(a_batch_that_overtakes_an_unverified_one_is_out_of_order) {
    begin();
    EXPECT_INT(verify(1, 0, 0, false, 76), 76);
    EXPECT_INT(verify(1, 0, 4, false, 77), 76);
    EXPECT_INT(may(1, 0, 4, 76), ERR_OUT_OF_ORDER_SEQUENCE);
    EXPECT_INT(may(1, 0, 0, 76), ERR_OK);
    producers_expire(&producers, 6);
    EXPECT_INT(may(1, 0, 0, 76), ERR_INVALID_TXN_STATE);
    begin();
}

TEST(markers_follow_the_rules_of_both_protocols) {
    begin();
    EXPECT_INT(producers_check_marker(&producers, 1, 0, 0, 2), ERR_OK);
    take(1, 3, 0, 0);
    EXPECT_INT(producers_check_marker(&producers, 1, 2, 0, 0), ERR_INVALID_PRODUCER_EPOCH);
    EXPECT_INT(producers_check_marker(&producers, 1, 3, 0, 0), ERR_OK);
    EXPECT_INT(producers_check_marker(&producers, 1, 3, 0, 2), ERR_INVALID_PRODUCER_EPOCH);
    EXPECT_INT(producers_check_marker(&producers, 1, 4, 0, 2), ERR_OK);
    take(1, 4, 0, 2);
    EXPECT_INT(producers_check_marker(&producers, 1, 4, 0, 2), ERR_OK); /* repeated */
    EXPECT_INT(producers_check_marker(&producers, 1, 4, -1, 2), ERR_COORDINATOR_FENCED);
    EXPECT_INT(producers_find(&producers, 1)->batch_count, 0);
    begin();
}

TEST(readers_wait_for_the_earliest_open_transaction_whatever_the_order_of_a_snapshot) {
    enum { MANY = 50 };
    begin();
    for (int i = 0; i < MANY; i++)
        take(100 + i * 7919 % 1000, 0, 0, 0);
    struct buf bytes = {0};
    producers_encode(&producers, &bytes);
    struct producers back = {0};
    EXPECT_INT(producers_decode(&back, buf_slice(&bytes)), ERR_OK);
    EXPECT_INT(producers_first_unstable(&back, MANY), 0);
    for (int i = 0; i < MANY; i++)
        EXPECT_INT(back.txns[i].first_offset, i);
    buf_deinit(&bytes);
    producers_clear(&back);
    begin();
}

TEST_MAIN
