/* A reader of committed data of the topic "txn": reads each partition from its start to the last stable offset, drops what
 * the answer says was aborted, and checks that transactions are seen whole or not at all. At the end, when all are
 * settled, nothing may hold the last stable offset back, and what was committed must be there once. */
#include <stdio.h>
#include "protocol/fetch_request.h"
#include "protocol/fetch_response.h"
#include "protocol/offset_fetch_request.h"
#include "protocol/offset_fetch_response.h"
#include "tests/sim/sim_test.h"

enum { ABORTED_MAX = 256, EMPTY_MAX = 30, COMMITTED_ONLY = 1 };

struct txn_reader {
    struct client client;
    struct world *world;
    int partition;
    int64_t position;
    bool verifying, idle, ignoring, lost_coordinator;
    int offsets_left;          /* groups whose offsets are still to be asked for, when verifying */
    int64_t aborted[ABORTED_MAX]; /* producers whose open transaction was aborted, where the reader is */
    int aborted_count, empty;
    struct timer think;
};

static void go_on(struct txn_reader *reader);

static void think(struct txn_reader *reader, uint64_t max_ms) {
    if (!timer_is_running(&reader->think))
        timer_start(reader->client.shard, &reader->think, 1 + world_random(reader->world, max_ms * NS_PER_MS));
}
static void thought(struct shard *shard, struct timer *timer) {
    (void)shard;
    go_on(container_of(timer, struct txn_reader, think));
}

/* ---- records ---------------------------------------------------------------------------------------------------------------- */

static void take_record(struct txn_reader *reader, int64_t offset, struct slice value) {
    struct world *world = reader->world;
    struct ledger where = {.world = world, .topic = world->txn_topic, .index = reader->partition};
    struct record_id id = record_check(&where, offset, value);
    int t = (int)id.producer - TRANSACTOR_ID;
    if (t < 0 || t >= world->transactor_count || id.number >= (uint32_t)world->txns[t].count)
        violation(world, TXN_TOPIC "-%d: at %lld is a record of nobody", reader->partition, (long long)offset);
    struct txn *txn = &world->txns[t].all[id.number];
    txn->shown = true;
    if (txn->outcome == TXN_ABORTED)
        violation(world, TXN_TOPIC "-%d: at %lld a reader of committed data is shown aborted transaction %u of transactor %d",
                  reader->partition, (long long)offset, id.number, t);
    if (reader->verifying)
        txn->read[reader->partition]++;
}

static void forget_aborted(struct txn_reader *reader, int64_t producer_id) {
    for (int i = 0; i < reader->aborted_count; i++)
        if (reader->aborted[i] == producer_id)
            reader->aborted[i--] = reader->aborted[--reader->aborted_count];
}

static bool is_aborted(const struct txn_reader *reader, int64_t producer_id) {
    for (int i = 0; i < reader->aborted_count; i++)
        if (reader->aborted[i] == producer_id)
            return true;
    return false;
}

/* As clients do it: an aborted transaction counts from its first offset to its marker. */
static void take_batch(struct txn_reader *reader, const struct fetch_response_partition_data *answer, bool *used, const uint8_t *batch) {
    for (int i = 0; i < answer->aborted_transactions_count; i++)
        if (!used[i] && answer->aborted_transactions[i].first_offset <= batch_last_offset(batch)) {
            used[i] = true;
            if (is_aborted(reader, answer->aborted_transactions[i].producer_id))
                continue;
            check(reader->aborted_count < ABORTED_MAX);
            reader->aborted[reader->aborted_count++] = answer->aborted_transactions[i].producer_id;
        }
    struct record_iterator it;
    struct record record;
    if (batch_check(slice_of(batch, batch_size(batch))))
        violation(reader->world, TXN_TOPIC "-%d: the batch at %lld is bad", reader->partition, (long long)batch_base_offset(batch));
    record_iterator_init(&it, batch, slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE));
    while (record_next(&it, &record) == ERR_OK) {
        if (batch_is_control(batch)) {
            if (control_type_of(record.key) == CONTROL_ABORT)
                forget_aborted(reader, batch_producer_id(batch));
        } else if (!is_aborted(reader, batch_producer_id(batch)) && record.offset >= reader->position) {
            take_record(reader, record.offset, record.value);
        }
    }
}

static void next_partition(struct txn_reader *reader) {
    reader->partition = (reader->partition + 1) % TXN_PARTITIONS;
    reader->position = 0;
    reader->aborted_count = 0;
    if (reader->verifying && reader->partition == 0) {
        reader->offsets_left = reader->world->transactor_count;
        reader->idle = !reader->offsets_left;
    }
}

/* The end of what is stable was reached. */
static void at_end(struct txn_reader *reader, const struct fetch_response_partition_data *answer) {
    if (reader->verifying && answer->last_stable_offset != answer->high_watermark)
        violation(reader->world, TXN_TOPIC "-%d: all transactions are settled, and the last stable offset is %lld of %lld",
                  reader->partition, (long long)answer->last_stable_offset, (long long)answer->high_watermark);
    next_partition(reader);
}

static void fetched(struct txn_reader *reader, int version, struct decoder *body) {
    struct fetch_response response;
    struct world *world = reader->world;
    if (fetch_response_decode(body, version, &response) || response.error_code || response.responses_count != 1 ||
        response.responses[0].partitions_count != 1)
        violation(world, "a Fetch answer that cannot be read, or error %d", response.error_code);
    const struct fetch_response_partition_data *answer = &response.responses[0].partitions[0];
    if (answer->error_code) {
        if (answer->error_code != KAFKA_UNKNOWN_TOPIC_OR_PARTITION && answer->error_code != KAFKA_NOT_LEADER_OR_FOLLOWER &&
            answer->error_code != KAFKA_KAFKA_STORAGE_ERROR && answer->error_code != KAFKA_LEADER_NOT_AVAILABLE)
            violation(world, TXN_TOPIC "-%d: reading at %lld is answered with error %d", reader->partition, (long long)reader->position,
                      answer->error_code);
        think(reader, 500);
        return;
    }
    struct slice bytes = answer->records.bytes;
    bool *used = mem_alloc((size_t)(answer->aborted_transactions_count > 0 ? answer->aborted_transactions_count : 1));
    memset(used, 0, (size_t)(answer->aborted_transactions_count > 0 ? answer->aborted_transactions_count : 1));
    int64_t next = reader->position;
    for (size_t at = 0; bytes.size - at >= BATCH_HEADER_SIZE && batch_size(bytes.ptr + at) <= bytes.size - at; at += batch_size(bytes.ptr + at)) {
        take_batch(reader, answer, used, bytes.ptr + at);
        next = batch_last_offset(bytes.ptr + at) + 1;
        if (next > answer->last_stable_offset)
            violation(world, TXN_TOPIC "-%d: %lld is shown, and the last stable offset is %lld", reader->partition, (long long)next - 1,
                      (long long)answer->last_stable_offset);
    }
    mem_free(used);
    bool moved = next > reader->position;
    if (moved)
        reader->empty = 0;
    reader->position = next;
    if (!moved && reader->position >= answer->last_stable_offset)
        at_end(reader, answer);
    else if (!moved && ++reader->empty > EMPTY_MAX)
        violation(world, TXN_TOPIC "-%d: nothing is shown at %lld, and the last stable offset is %lld", reader->partition,
                  (long long)reader->position, (long long)answer->last_stable_offset);
    think(reader, reader->verifying ? 1 : 300);
}

/* ---- offsets that were committed in transactions ------------------------------------------------------------------------------- */

static void ask_offset(struct txn_reader *reader) {
    struct offset_fetch_request request;
    struct offset_fetch_request_offset_fetch_request_group group;
    char name[24];
    int32_t unused;
    snprintf(name, sizeof name, "offsets-%d", reader->offsets_left - 1);
    offset_fetch_request_init(&request);
    offset_fetch_request_offset_fetch_request_group_init(&group);
    group.group_id = slice_str(name);
    group.member_id = SLICE_NULL;
    group.member_epoch = -1;
    group.topics_count = -1;
    request.groups = &group;
    request.groups_count = 1;
    request.require_stable = true;
    client_send(&reader->client, API_OFFSET_FETCH, 9, offset_fetch, &request, &unused);
}

/* A commit whose answer was lost may have moved it, or not; what was aborted may not. */
static void check_offset(struct txn_reader *reader, int t, int64_t offset) {
    const struct txns *txns = &reader->world->txns[t];
    int64_t least = -1;
    for (int n = 1; n < txns->count; n++)
        if (txns->all[n].with_offset && txns->all[n].outcome == TXN_COMMITTED)
            least = n;
    if (offset < least)
        violation(reader->world, "transactor %d committed offset %lld, and the group has %lld", t, (long long)least, (long long)offset);
    if (offset >= txns->count || offset == 0 || (offset > 0 && (!txns->all[offset].with_offset || txns->all[offset].outcome == TXN_ABORTED)))
        violation(reader->world, "transactor %d: the group has offset %lld, which was never committed", t, (long long)offset);
}

static void check_all(struct world *world) {
    for (int t = 0; t < world->transactor_count; t++)
        for (int n = 1; n < world->txns[t].count; n++) {
            const struct txn *txn = &world->txns[t].all[n];
            bool any = false, all = true;
            for (int p = 0; p < TXN_PARTITIONS; p++) {
                any |= txn->read[p] != 0;
                all &= txn->read[p] == txn->records[p];
            }
            if (txn->outcome == TXN_COMMITTED ? !all : any && !all)
                violation(world, "transaction %d of transactor %d is not whole: of %d %d %d %d records there are %d %d %d %d", n, t,
                          txn->records[0], txn->records[1], txn->records[2], txn->records[3], txn->read[0], txn->read[1],
                          txn->read[2], txn->read[3]);
            if (txn->shown && txn->outcome != TXN_COMMITTED && !any)
                violation(world, "transaction %d of transactor %d was shown once, and is gone", n, t);
        }
}

static void offset_answered(struct txn_reader *reader, int version, struct decoder *body) {
    struct offset_fetch_response response;
    if (offset_fetch_response_decode(body, version, &response) || response.groups_count != 1)
        violation(reader->world, "an OffsetFetch answer that cannot be read");
    const struct offset_fetch_response_offset_fetch_response_group *group = &response.groups[0];
    if (group->error_code) {
        if (group->error_code != KAFKA_COORDINATOR_LOAD_IN_PROGRESS && group->error_code != KAFKA_NOT_COORDINATOR &&
            group->error_code != KAFKA_COORDINATOR_NOT_AVAILABLE)
            violation(reader->world, "OffsetFetch is answered with error %d", group->error_code);
        reader->lost_coordinator = group->error_code != KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
        think(reader, 500);
        return;
    }
    if (group->topics_count && group->topics[0].partitions[0].error_code)
        violation(reader->world, "all transactions are settled, and an offset is answered with error %d",
                  group->topics[0].partitions[0].error_code);
    int t = --reader->offsets_left;
    check_offset(reader, t, group->topics_count ? group->topics[0].partitions[0].committed_offset : -1);
    if (!reader->offsets_left) {
        check_all(reader->world);
        reader->idle = true;
    }
    think(reader, 1);
}

/* ---- what comes next ---------------------------------------------------------------------------------------------------------- */

static void fetch(struct txn_reader *reader) {
    struct fetch_request request;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition partition;
    int32_t unused;
    fetch_request_init(&request);
    fetch_request_fetch_topic_init(&topic);
    fetch_request_fetch_partition_init(&partition);
    request.max_wait_ms = 0;
    request.min_bytes = 1;
    request.max_bytes = 1 << 20;
    request.isolation_level = COMMITTED_ONLY;
    partition.partition = reader->partition;
    partition.fetch_offset = reader->position;
    partition.partition_max_bytes = 1 + (int32_t)world_random(reader->world, reader->verifying ? 1 << 20 : 5000);
    topic.topic = SLICE_LIT(TXN_TOPIC);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.topics = &topic;
    request.topics_count = 1;
    client_send(&reader->client, API_FETCH, 12, fetch, &request, &unused);
}

static void go_on(struct txn_reader *reader) {
    if (reader->idle || reader->client.waiting_count || !client_is_ready(&reader->client))
        return;
    if (!admin_is_ready(reader->world->admin))
        think(reader, 200);
    else if (reader->lost_coordinator)
        client_find_coordinator(&reader->client, 0, "offsets-0");
    else if (reader->offsets_left)
        ask_offset(reader);
    else
        fetch(reader);
}

static void answered(struct client *client, int32_t correlation, int16_t key, int16_t version, struct decoder *body) {
    struct txn_reader *reader = container_of(client, struct txn_reader, client);
    (void)correlation;
    if (reader->ignoring) {
        reader->ignoring = false;
        think(reader, 1);
    } else if (key == API_FIND_COORDINATOR) {
        reader->lost_coordinator = false;
        think(reader, 100);
    } else if (key == API_FETCH)
        fetched(reader, version, body);
    else
        offset_answered(reader, version, body);
}
static void connection_lost(struct client *client) {
    container_of(client, struct txn_reader, client)->ignoring = false;
}
static void connected(struct client *client) {
    think(container_of(client, struct txn_reader, client), 20);
}

struct txn_reader *txn_reader_create(struct world *world) {
    struct txn_reader *reader = mem_new(struct txn_reader);
    reader->world = world;
    reader->think.fire = thought;
    reader->client.on_connected = connected;
    reader->client.on_answer = answered;
    reader->client.on_lost = connection_lost;
    client_start(&reader->client, world);
    return reader;
}

void txn_reader_verify(struct txn_reader *reader) {
    struct world *world = reader->world;
    for (int t = 0; t < world->transactor_count; t++)
        for (int n = 0; n < world->txns[t].count; n++)
            memset(world->txns[t].all[n].read, 0, sizeof world->txns[t].all[n].read);
    reader->verifying = true;
    reader->idle = false;
    reader->ignoring = reader->client.waiting_count > 0;
    reader->partition = 0;
    reader->position = 0;
    reader->aborted_count = 0;
    reader->offsets_left = 0;
    think(reader, 10);
}
bool txn_reader_is_idle(const struct txn_reader *reader) {
    return reader->idle;
}
