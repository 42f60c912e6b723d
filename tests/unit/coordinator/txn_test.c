/* What may become of a transactional id. The tables of EndTxn are Kafka's; each cell is tried from a state of its own. */
#include "coordinator/txn.h"
#include "protocol/errors.h"
#include "tests/unit/test.h"

enum { P = 1000, N = 2000, NOW = 5000 };

static struct txn_fields at(enum txn_state state, int16_t epoch) {
    return (struct txn_fields){.state = state, .producer_id = P, .previous_id = P, .next_id = -1, .epoch = epoch, .last_epoch = -1,
                               .timeout_ms = 1000, .start_ms = state == TXN_EMPTY ? -1 : 100, .update_ms = 100};
}
static int init(const struct txn_fields *from, bool given, int64_t id, int16_t epoch, int64_t new_id, struct txn_fields *next) {
    struct txn_init init = {.given = given, .producer_id = id, .epoch = epoch, .timeout_ms = 7000};
    return txn_decide_init(from, &init, 2, new_id, NOW, next);
}

TEST(init_raises_the_epoch_and_knows_a_repeated_request) {
    struct txn_fields a, b, c;
    EXPECT_INT(init(NULL, false, -1, -1, -1, &a), TXN_NEEDS_ID);
    EXPECT_INT(init(NULL, true, 77, 5, P, &a), 0);
    EXPECT(a.producer_id == P && a.previous_id == P && a.epoch == 0 && a.timeout_ms == 7000 && a.start_ms == -1);
    EXPECT_INT(init(&a, true, P, 0, -1, &b), 0);
    EXPECT(b.epoch == 1 && b.last_epoch == 0);
    EXPECT_INT(init(&b, true, P, 0, -1, &c), 0); /* the answer was lost */
    EXPECT(c.epoch == 1 && c.last_epoch == 0);
    EXPECT_INT(init(&b, false, -1, -1, -1, &c), 0);
    EXPECT(c.epoch == 2 && c.last_epoch == -1);
    EXPECT_INT(init(&c, true, P, 1, -1, &b), KAFKA_PRODUCER_FENCED);
    EXPECT_INT(init(&c, true, P + 1, 2, -1, &b), KAFKA_PRODUCER_FENCED);
}

TEST(the_last_epoch_leads_to_a_new_producer_id) {
    struct txn_fields from = at(TXN_EMPTY, TXN_EPOCH_LAST), next, again;
    EXPECT_INT(init(&from, true, P, 5, N, &next), KAFKA_UNKNOWN_SERVER_ERROR);
    EXPECT_INT(init(&from, true, P, TXN_EPOCH_LAST, -1, &next), TXN_NEEDS_ID);
    EXPECT_INT(init(&from, true, P, TXN_EPOCH_LAST, N, &next), 0);
    EXPECT(next.producer_id == N && next.previous_id == P && next.epoch == 0 && next.last_epoch == TXN_EPOCH_LAST);
    EXPECT_INT(init(&next, true, P, TXN_EPOCH_LAST, -1, &again), 0); /* once: its record remembers N as the id before */
    EXPECT(again.producer_id == N && again.epoch == 0);
    EXPECT_INT(init(&again, true, P, TXN_EPOCH_LAST, -1, &next), KAFKA_PRODUCER_FENCED);
}

TEST(an_open_transaction_is_aborted_for_whoever_comes) {
    struct txn_fields from = at(TXN_ONGOING, 3), next;
    EXPECT_INT(init(&from, true, P, 0, -1, &next), 0); /* the epoch is not looked at */
    EXPECT(next.state == TXN_PREPARE_ABORT && next.epoch == 4 && next.last_epoch == 3 && next.client_version == 2);
    struct txn_init old = {.timeout_ms = 1};
    EXPECT_INT(txn_decide_init(&from, &old, 1, -1, NOW, &next), 0);
    EXPECT(next.state == TXN_PREPARE_ABORT && next.epoch == 4 && next.last_epoch == -1 && next.client_version == 0);
    from.epoch = TXN_EPOCH_LAST;
    EXPECT_INT(txn_decide_init(&from, &old, 1, -1, NOW, &next), 0);
    EXPECT(next.epoch == INT16_MAX);
    next = txn_complete(&next, NOW);
    EXPECT_INT(init(&next, false, -1, -1, N, &from), 0);
    EXPECT(from.producer_id == N && from.epoch == 0);
}

/* Codes of EndTxn, by state; C: it is prepared, A: likewise with nothing in it. */
enum { C = 1001, A = 1002, R = 1003 /* repeated */ };

static int end(enum txn_state state, int16_t epoch, int16_t sent, bool commit, int16_t version, int64_t id) {
    struct txn_fields from = at(state, epoch), next;
    bool repeated;
    int code = txn_decide_end(&from, id, sent, commit, version, -1, NOW, &next, &repeated);
    if (code)
        return code;
    if (repeated) {
        EXPECT(next.state == state && next.epoch == epoch);
        return R;
    }
    EXPECT(next.state == (commit ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT));
    EXPECT_INT(next.epoch, epoch + (version >= 2));
    EXPECT_INT(next.start_ms, state == TXN_ONGOING ? 100 : NOW);
    return state == TXN_ONGOING ? C : A;
}

TEST(ends_of_the_first_protocol) {
    static const struct { enum txn_state state; int commit, abort; } rows[] = {
        {TXN_EMPTY, 48, 48}, {TXN_ONGOING, C, C}, {TXN_PREPARE_COMMIT, 51, 51}, {TXN_PREPARE_ABORT, 51, 51},
        {TXN_COMPLETE_COMMIT, R, 48}, {TXN_COMPLETE_ABORT, 48, R}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        EXPECT_INT(end(rows[i].state, 4, 4, true, 0, P), rows[i].commit);
        EXPECT_INT(end(rows[i].state, 4, 4, false, 0, P), rows[i].abort);
        EXPECT_INT(end(rows[i].state, 4, 3, true, 0, P), 90);
        EXPECT_INT(end(rows[i].state, 4, 5, true, 0, P), 90);
        EXPECT_INT(end(rows[i].state, 4, 4, true, 0, N), 49);
    }
}

TEST(ends_of_the_second_protocol) {
    static const struct { enum txn_state state; int commit, commit_again, abort, abort_again; } rows[] = {
        {TXN_EMPTY, 48, 90, A, 90}, {TXN_ONGOING, C, 90, C, 90}, {TXN_PREPARE_COMMIT, 51, 51, 51, 51}, {TXN_PREPARE_ABORT, 51, 51, 51, 51},
        {TXN_COMPLETE_COMMIT, 48, R, A, 48}, {TXN_COMPLETE_ABORT, 48, 48, A, R}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool prepared = rows[i].commit == 51;
        EXPECT_INT(end(rows[i].state, 4, 4, true, 2, P), rows[i].commit);
        EXPECT_INT(end(rows[i].state, 4, 3, true, 2, P), rows[i].commit_again);
        EXPECT_INT(end(rows[i].state, 4, 4, false, 2, P), rows[i].abort);
        EXPECT_INT(end(rows[i].state, 4, 3, false, 2, P), rows[i].abort_again);
        EXPECT_INT(end(rows[i].state, 4, 5, true, 2, P), prepared ? 51 : 90);
        EXPECT_INT(end(rows[i].state, 4, 4, true, 2, N), prepared ? 51 : 49);
    }
}

TEST(the_last_epoch_is_used_up_by_a_transaction) {
    struct txn_fields from = at(TXN_ONGOING, TXN_EPOCH_LAST), next, last;
    bool repeated;
    EXPECT_INT(txn_decide_end(&from, P, TXN_EPOCH_LAST, true, 2, -1, NOW, &next, &repeated), TXN_NEEDS_ID);
    EXPECT_INT(txn_decide_end(&from, P, TXN_EPOCH_LAST, true, 2, N, NOW, &next, &repeated), 0);
    EXPECT(next.producer_id == P && next.epoch == INT16_MAX && next.next_id == N && next.last_epoch == TXN_EPOCH_LAST);
    int64_t id;
    int16_t epoch;
    txn_next_producer(&next, &id, &epoch);
    EXPECT(id == N && epoch == 0);
    last = txn_complete(&next, NOW);
    EXPECT(last.state == TXN_COMPLETE_COMMIT && last.producer_id == N && last.previous_id == P && last.epoch == 0 && last.next_id == -1);
    EXPECT_INT(txn_decide_end(&last, P, TXN_EPOCH_LAST, true, 2, -1, NOW, &next, &repeated), 0);
    EXPECT(repeated && next.producer_id == N && next.epoch == 0);
    EXPECT_INT(txn_decide_end(&last, P, TXN_EPOCH_LAST, false, 2, -1, NOW, &next, &repeated), KAFKA_INVALID_TXN_STATE);
}

TEST(partitions_are_added_and_verified) {
    struct txn_fields from = at(TXN_COMPLETE_ABORT, 2), next;
    EXPECT_INT(txn_decide_add(&from, P, 2, 2, NOW, &next), 0);
    EXPECT(next.state == TXN_ONGOING && next.start_ms == NOW && next.client_version == 2);
    from = next;
    EXPECT_INT(txn_decide_add(&from, P, 2, 0, NOW + 9, &next), 0);
    EXPECT(next.start_ms == NOW && next.update_ms == NOW + 9 && next.client_version == 0);
    EXPECT_INT(txn_decide_add(&from, P, 1, 0, NOW, &next), KAFKA_PRODUCER_FENCED);
    EXPECT_INT(txn_decide_add(&from, N, 2, 0, NOW, &next), KAFKA_INVALID_PRODUCER_ID_MAPPING);
    EXPECT_INT(txn_decide_add(NULL, N, 2, 0, NOW, &next), KAFKA_INVALID_PRODUCER_ID_MAPPING);
    from = at(TXN_PREPARE_COMMIT, 2);
    EXPECT_INT(txn_decide_add(&from, N, 9, 0, NOW, &next), KAFKA_CONCURRENT_TRANSACTIONS);
    EXPECT_INT(txn_decide_verify(&from, N, 2), KAFKA_INVALID_PRODUCER_ID_MAPPING);
    EXPECT_INT(txn_decide_verify(&from, P, 2), KAFKA_CONCURRENT_TRANSACTIONS);
}

static void expect_hex(struct slice bytes, const char *hex) {
    char text[400] = "";
    for (size_t i = 0; i < bytes.size; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes.ptr[i]);
    EXPECT_STR(text, hex);
}

TEST(records_are_those_of_kafka) {
    struct arena arena = {0};
    struct txn_topics topics = {0};
    txn_topics_add(&topics, SLICE_LIT("s5"), 70006);
    txn_topics_add(&topics, SLICE_LIT("s5"), 70007);
    struct txn_fields from = {.state = TXN_COMPLETE_ABORT, .producer_id = 5000000001, .previous_id = -1, .next_id = -1, .epoch = 202,
                              .timeout_ms = 70003, .update_ms = 5000000008, .start_ms = 5000000009};
    expect_hex(txn_record_key(&arena, SLICE_LIT("s1")), "000000027331");
    struct slice old = txn_record_value(&arena, &from, &topics, 0);
    expect_hex(old, "0000000000012a05f20100ca00011173050000000100027335000000020001117600011177000000012a05f208000000012a05f209");
    from.previous_id = 5000000002;
    from.next_id = 5000000003;
    from.client_version = 2;
    struct slice value = txn_record_value(&arena, &from, &topics, 2);
    expect_hex(value, "0001000000012a05f20100ca0001117305020373350300011176000111770000"
                      "0000012a05f208000000012a05f209030008000000012a05f2020108000000012a05f20302020002");
    struct slice id;
    struct txn_fields back;
    struct txn_topics got = {0};
    EXPECT_INT(txn_record_read(&arena, txn_record_key(&arena, SLICE_LIT("s1")), value, &id, &back, &got), ERR_OK);
    EXPECT(slice_eq_str(id, "s1") && back.next_id == from.next_id && back.previous_id == from.previous_id && back.client_version == 2);
    EXPECT(txn_topics_contain(&got, SLICE_LIT("s5"), 70007) && txn_topics_partitions(&got) == 2);
    EXPECT_INT(txn_record_read(&arena, SLICE_LIT("\0\1\0\1x"), value, &id, &back, &got), ERR_UNSUPPORTED);
    EXPECT_INT(txn_record_read(&arena, SLICE_LIT("\0\0\0\1x"), SLICE_LIT("\0\2"), &id, &back, &got), ERR_UNSUPPORTED);
    EXPECT(txn_record_read(&arena, SLICE_LIT("\0\0\0\1x"), slice_of(value.ptr, value.size - 30), &id, &back, &got) != ERR_OK);
    txn_topics_clear(&topics);
    txn_topics_clear(&got);
    arena_deinit(&arena);
}

TEST(partitions_are_ordered_as_in_a_hash_set) {
    struct arena arena = {0};
    struct txn_topics topics = {0};
    for (int i = 0; i < 40; i++)
        txn_topics_add(&topics, i % 2 ? SLICE_LIT("a") : SLICE_LIT("b"), i * 7 % 40);
    struct txn_topics ordered = txn_topics_ordered(&topics, &arena);
    EXPECT_INT(txn_topics_partitions(&ordered), 40);
    EXPECT(ordered.count == 2 && slice_eq_str(ordered.all[0].name, "a")); /* 97 and 98, in 16 buckets */
    for (int t = 0; t < 2; t++) /* the same partitions, whatever their order */
        for (int p = 0; p < ordered.all[t].count; p++)
            EXPECT(txn_topics_contain(&topics, ordered.all[t].name, ordered.all[t].partitions[p]));
    txn_topics_clear(&topics);
    arena_deinit(&arena);
}

TEST(a_transaction_may_have_as_many_topics_as_a_record_holds) {
    enum { TOPICS = 40000 }; /* looking through all of them for each would take minutes */
    struct arena arena = {0};
    struct txn_topics topics = {0}, got = {0};
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < TOPICS; i++)
            txn_topics_add(&topics, slice_str(arena_printf(&arena, "topic-%d", i)), i % 3);
    EXPECT(topics.count == TOPICS && txn_topics_partitions(&topics) == TOPICS);
    for (int i = 0; i < TOPICS; i++) {
        struct slice name = slice_str(arena_printf(&arena, "topic-%d", i));
        EXPECT(txn_topics_contain(&topics, name, i % 3) && !txn_topics_contain(&topics, name, i % 3 + 1));
    }
    EXPECT(!txn_topics_contain(&topics, SLICE_LIT("topic"), 0));
    struct txn_fields from = at(TXN_ONGOING, 1), back;
    struct slice id, value = txn_record_value(&arena, &from, &topics, 2);
    EXPECT_INT(txn_record_read(&arena, txn_record_key(&arena, SLICE_LIT("id")), value, &id, &back, &got), ERR_OK);
    EXPECT_INT(txn_topics_partitions(&got), TOPICS);
    txn_topics_clear(&topics);
    txn_topics_clear(&got);
    arena_deinit(&arena);
}

TEST_MAIN
