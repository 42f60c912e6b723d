/* What coordinators make of any records in their partitions, as when they load: the first byte chooses the coordinator, then
 * come records of a byte (odd: of a transaction's producer, above 127: a marker that ends it), a key and a value; an empty value
 * is a tombstone. Afterwards the state answers questions, and goes. What is read of a transaction must be written, and read again
 * as the same. */
#include "coordinator/offset_commit.h"
#include "coordinator/offsets.h"
#include "coordinator/streams.h"
#include "coordinator/txn.h"
#include "protocol/compress.h"
#include "tests/fuzz/fuzz.h"

static struct coordinator_host host;

static void make_host(void) {
    static const struct image_observer observer;
    struct broker_config *config;
    struct buf error = {0};
    (void)!fuzz_fs(); /* makes the runtime */
    check(broker_config_load(NULL, NULL, 0, &config, &error) == ERR_OK, "no configuration");
    host = (struct coordinator_host){
        .shard = runtime_shard(fuzz_runtime, 0), .image = image_create(&observer), .config = config, .compressor = compressor_create()};
}

/* Counts that must agree with what is there. */
static void ask_groups(struct groups *groups) {
    struct arena arena = {0};
    int64_t offsets = 0, pending = 0;
    list_each(node, &groups->all) {
        struct group *group = list_entry(node, struct group, all);
        check(groups_find(groups, group->id) == group, "a group is not found");
        (void)group->methods->state_name(group);
        (void)group->methods->protocol_type(group);
        (void)group->methods->is_empty(group);
        (void)group->methods->check_delete(group);
        struct offset_fetch fetch = {.group = group->id, .caller = {.member_id = SLICE_NULL, .generation = -1, .version = 9}, .all = true, .stable = true};
        struct offset_fetch_response_offset_fetch_response_group answer;
        offset_fetch_response_offset_fetch_response_group_init(&answer);
        offsets_fetch(groups, &arena, &fetch, &answer);
        struct streams_group_describe_response_described_group described;
        streams_describe(groups, &arena, group->id, true, &described);
    }
    map_each(node, &groups->offsets->topics) {
        const struct offset_topic *topic = container_of(node, struct offset_topic, node);
        check(topic->count + topic->pending > 0, "a topic without offsets is kept");
        check(offsets_find_topic(groups->offsets, offsets_find_group(groups->offsets, topic->group->id), topic->name->name) == topic,
              "a topic is not found");
        for (int i = 0; i < topic->count; i++)
            check(i == 0 || topic->committed[i - 1].partition < topic->committed[i].partition, "partitions are not in order");
        offsets += topic->count;
        pending += topic->pending;
    }
    check(offsets == groups->offsets->count, "offsets are miscounted");
    check(pending == (int64_t)groups->offsets->pending.count, "pending offsets are miscounted");
    arena_deinit(&arena);
}

/* ---- transactions ---------------------------------------------------------------------------------------------------------- */

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

static void decide_all(const struct txn_fields *at) {
    struct txn_fields next;
    bool repeated;
    for (int commit = 0; commit < 2; commit++)
        for (int version = 0; version <= 2; version += 2)
            (void)!txn_decide_end(at, at->producer_id, at->epoch, commit, (int16_t)version, 9, 1, &next, &repeated);
    struct txn_init init = {.given = at->epoch & 1, .producer_id = at->producer_id, .epoch = at->last_epoch, .timeout_ms = 1};
    (void)!txn_decide_init(at, &init, at->epoch & 3, 9, 1, &next);
    next = txn_complete(at, 1);
    check(next.next_id == -1, "a complete transaction has a next id");
}

static void check_transaction(struct slice key, struct slice value) {
    struct arena arena = {0};
    struct txn_fields at;
    struct txn_topics topics = {0};
    struct slice id;
    if (!txn_record_read(&arena, key, value, &id, &at, &topics) && value.ptr) {
        for (int level = 0; level <= 2; level++)
            check_again(&arena, id, &at, &topics, level);
        decide_all(&at);
    }
    txn_topics_clear(&topics);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = input_of(data, size);
    enum coordinator_type type = (enum coordinator_type)(input_byte(&input) % COORDINATOR_TYPES);
    const struct coordinator_kind *kind = coordinator_kind_of(type);
    if (!kind)
        return 0;
    if (!host.shard)
        make_host();
    struct partition *partition = partition_create((struct uuid){1, 2}, slice_str(kind->topic), 0);
    struct coordinator coordinator = {.host = &host, .kind = kind, .type = type, .partition = partition};
    void *state = coordinator.state = kind->create(&coordinator);
    enum err err = ERR_OK;
    for (int64_t offset = 0; !err && input.ptr < input.end; offset++) {
        uint8_t flags = input_byte(&input);
        int64_t producer_id = flags & 1 ? (flags >> 1) & 3 : -1;
        if (flags > 127) {
            if (kind->end_transaction)
                kind->end_transaction(state, producer_id, 0, flags & 64);
            continue;
        }
        struct slice key = input_piece(&input), value = input_piece(&input);
        if (!key.ptr)
            break;
        uint8_t *key_copy = copy_bytes(key), *value_copy = copy_bytes(value);
        struct coordinator_record record = {.key = slice_of(key_copy, key.size),
                                            .value = value.size ? slice_of(value_copy, value.size) : SLICE_NULL,
                                            .offset = offset,
                                            .timestamp_ms = 1700000000000,
                                            .producer_id = producer_id,
                                            .producer_epoch = producer_id < 0 ? -1 : 0};
        err = kind->replay(state, &record);
        if (type == COORDINATOR_TRANSACTION)
            check_transaction(record.key, record.value);
        mem_free(key_copy);
        mem_free(value_copy);
    }
    if (type == COORDINATOR_GROUP)
        ask_groups(state);
    kind->destroy(state);
    partition_free(partition);
    return 0;
}
