/* Records of __transaction_state: a key and a value, whatever they are. What is read must be written, and read again as the
 * same. */
#include "coordinator/txn.h"
#include "tests/fuzz/fuzz.h"

static void check_again(struct arena *arena, struct slice id, const struct txn_fields *at, const struct txn_topics *topics, int level) {
    struct txn_fields back;
    struct txn_topics got = {0};
    struct slice key = txn_record_key(arena, id), value = txn_record_value(arena, at, topics, level), again;
    enum err err = txn_record_read(arena, key, value, &again, &back, &got);
    check(!err && slice_eq(again, id), "a record of ours cannot be read: %s", err_text(err));
    check(back.state == at->state && back.producer_id == at->producer_id && back.epoch == at->epoch && back.timeout_ms == at->timeout_ms &&
              back.start_ms == at->start_ms && back.update_ms == at->update_ms,
          "a record changes when it is written again");
    check(!level || (back.previous_id == at->previous_id && back.next_id == at->next_id && back.client_version == at->client_version),
          "tags change when they are written again");
    int32_t expected = at->state == TXN_EMPTY ? 0 : txn_topics_partitions(topics);
    check(txn_topics_partitions(&got) == expected, "%d partitions become %d", expected, txn_topics_partitions(&got));
    txn_topics_clear(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = input_of(data, size);
    struct slice key = input_piece(&input), value = input_piece(&input), id;
    if (!key.ptr)
        return 0;
    struct arena arena = {0};
    struct txn_fields at;
    struct txn_topics topics = {0};
    uint8_t *exact_key = copy_bytes(key), *exact_value = value.ptr ? copy_bytes(value) : NULL;
    if (!txn_record_read(&arena, slice_of(exact_key, key.size), slice_of(exact_value, value.size), &id, &at, &topics) && value.ptr) {
        for (int level = 0; level <= 2; level++)
            check_again(&arena, id, &at, &topics, level);
        struct txn_fields next;
        bool repeated;
        for (int commit = 0; commit < 2; commit++)
            for (int version = 0; version <= 2; version += 2)
                (void)!txn_decide_end(&at, at.producer_id, at.epoch, commit, (int16_t)version, 9, 1, &next, &repeated);
        struct txn_init init = {.given = at.epoch & 1, .producer_id = at.producer_id, .epoch = at.last_epoch, .timeout_ms = 1};
        (void)!txn_decide_init(&at, &init, at.epoch & 3, 9, 1, &next);
        next = txn_complete(&at, 1);
        check(next.next_id == -1, "a complete transaction has a next id");
    }
    txn_topics_clear(&topics);
    mem_free(exact_key);
    mem_free(exact_value);
    arena_deinit(&arena);
    return 0;
}
