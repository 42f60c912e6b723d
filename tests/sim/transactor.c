/* A producer of transactions: each writes records to some partitions of the topic "txn", and perhaps an offset of its group,
 * then commits or aborts. Whoever loses its connection or is refused begins anew with InitProducerId, as clients do, which
 * settles what was under way. What readers of committed data may see of each transaction is kept in world->txns. */
#include <stdio.h>
#include "protocol/add_offsets_to_txn_request.h"
#include "protocol/add_offsets_to_txn_response.h"
#include "protocol/add_partitions_to_txn_request.h"
#include "protocol/add_partitions_to_txn_response.h"
#include "protocol/end_txn_request.h"
#include "protocol/end_txn_response.h"
#include "protocol/init_producer_id_request.h"
#include "protocol/init_producer_id_response.h"
#include "protocol/produce_request.h"
#include "protocol/produce_response.h"
#include "protocol/txn_offset_commit_request.h"
#include "protocol/txn_offset_commit_response.h"
#include "tests/sim/sim_test.h"

enum { RECORDS_MAX = 5, TIMEOUT_MS = 8000, TIMEOUT_LONG_MS = 60000 };

struct transactor {
    struct client client;
    struct world *world;
    int index;
    char id[24], group[24];
    bool second;         /* speaks transactions' version 2 (KIP-890) */
    bool finishing, done; /* done: the last transaction is settled */
    enum { INIT, ADD, PRODUCE, ADD_OFFSETS, OFFSETS, END } step;
    int64_t producer_id;
    int16_t epoch;
    int32_t sequences[TXN_PARTITIONS];
    uint32_t number;     /* of the transaction that is open; 0: none */
    int partition;       /* that comes next */
    bool with_offset, commit, end_sent, lost_coordinator;
    uint64_t committed;
    struct timer think;
    uint64_t think_max_ns;
};

static void go_on(struct transactor *transactor);

static void think(struct transactor *transactor, uint64_t max_ns) {
    if (!timer_is_running(&transactor->think))
        timer_start(transactor->client.shard, &transactor->think, 1 + world_random(transactor->world, max_ns));
}
static void thought(struct shard *shard, struct timer *timer) {
    (void)shard;
    go_on(container_of(timer, struct transactor, think));
}

static struct txn *open_txn(struct transactor *transactor) {
    return &transactor->world->txns[transactor->index].all[transactor->number];
}

/* ---- a transaction ------------------------------------------------------------------------------------------------------- */

static void begin(struct transactor *transactor) {
    struct world *world = transactor->world;
    struct txns *txns = &world->txns[transactor->index];
    if (txns->count == 0)
        txns->count = 1; /* they count from 1 */
    if (txns->count == TXNS_MAX) {
        transactor->finishing = true;
        return;
    }
    transactor->number = (uint32_t)txns->count++;
    struct txn *txn = open_txn(transactor);
    for (int p = 0; p < TXN_PARTITIONS; p++)
        txn->records[p] = world_chance(world, 2) ? (uint8_t)(1 + world_random(world, RECORDS_MAX)) : 0;
    transactor->with_offset = txn->with_offset = world_chance(world, 2);
    if (!txn->with_offset && !txn->records[0])
        txn->records[0] = 1;
    transactor->commit = !world_chance(world, 4);
    transactor->end_sent = false;
    transactor->partition = 0;
    bool writes = false;
    for (int p = 0; p < TXN_PARTITIONS; p++)
        writes |= txn->records[p] != 0;
    transactor->step = transactor->second || !writes ? PRODUCE : ADD;
}

/* What becomes of the open transaction is known, or never will be by its answers. */
static void settle(struct transactor *transactor, enum txn_outcome outcome) {
    if (!transactor->number)
        return;
    struct txn *txn = open_txn(transactor);
    txn->outcome = outcome;
    if (txn->shown && outcome == TXN_ABORTED)
        violation(transactor->world, "transaction %u of %s was shown, and is aborted", transactor->number, transactor->id);
    transactor->committed += outcome == TXN_COMMITTED;
    transactor->number = 0;
}

/* Begins anew. A commit that was sent may have been taken. */
static void start_over(struct transactor *transactor) {
    settle(transactor, transactor->end_sent && transactor->commit ? TXN_UNKNOWN : TXN_ABORTED);
    transactor->step = INIT;
}

static void next_epoch(struct transactor *transactor, int64_t producer_id, int16_t epoch) {
    transactor->producer_id = producer_id;
    transactor->epoch = epoch;
    memset(transactor->sequences, 0, sizeof transactor->sequences);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------- */

static void send_init(struct transactor *transactor) {
    struct init_producer_id_request request;
    int32_t unused;
    init_producer_id_request_init(&request);
    request.transactional_id = slice_str(transactor->id);
    request.transaction_timeout_ms = transactor->think_max_ns > NS_PER_S ? TIMEOUT_LONG_MS : TIMEOUT_MS;
    request.producer_id = -1;
    request.producer_epoch = -1;
    client_send(&transactor->client, API_INIT_PRODUCER_ID, 5, init_producer_id, &request, &unused);
}

static void send_add(struct transactor *transactor) {
    struct add_partitions_to_txn_request request;
    struct add_partitions_to_txn_request_add_partitions_to_txn_topic topic;
    int32_t partitions[TXN_PARTITIONS], count = 0, unused;
    for (int p = 0; p < TXN_PARTITIONS; p++)
        if (open_txn(transactor)->records[p])
            partitions[count++] = p;
    add_partitions_to_txn_request_init(&request);
    add_partitions_to_txn_request_add_partitions_to_txn_topic_init(&topic);
    topic.name = SLICE_LIT(TXN_TOPIC);
    topic.partitions = partitions;
    topic.partitions_count = count;
    request.v3_and_below_transactional_id = slice_str(transactor->id);
    request.v3_and_below_producer_id = transactor->producer_id;
    request.v3_and_below_producer_epoch = transactor->epoch;
    request.v3_and_below_topics = &topic;
    request.v3_and_below_topics_count = count ? 1 : 0;
    client_send(&transactor->client, API_ADD_PARTITIONS_TO_TXN, 3, add_partitions_to_txn, &request, &unused);
}

static void send_produce(struct transactor *transactor) {
    struct produce_request request;
    struct produce_request_topic_produce_data topic;
    struct produce_request_partition_produce_data data;
    struct batch_builder builder;
    struct buf batch = {0};
    uint8_t value[RECORD_VALUE_MIN + 100];
    int count = open_txn(transactor)->records[transactor->partition];
    int32_t unused;
    batch_builder_init(&builder, &batch, 0);
    for (int i = 0; i < count; i++) {
        record_value((struct record_id){TRANSACTOR_ID + (uint32_t)transactor->index, transactor->number}, value, sizeof value);
        batch_builder_add(&builder, i, shard_wall_ms(transactor->client.shard), SLICE_NULL, slice_of(value, sizeof value), NULL, 0);
    }
    check(batch_builder_finish(&builder, BATCH_TRANSACTIONAL, CODEC_NONE, 0, NULL, transactor->producer_id, transactor->epoch,
                               transactor->sequences[transactor->partition]) == ERR_OK);
    produce_request_init(&request);
    produce_request_topic_produce_data_init(&topic);
    produce_request_partition_produce_data_init(&data);
    data.index = transactor->partition;
    data.records.bytes = buf_slice(&batch);
    topic.name = SLICE_LIT(TXN_TOPIC);
    topic.partition_data = &data;
    topic.partition_data_count = 1;
    request.transactional_id = slice_str(transactor->id);
    request.acks = -1;
    request.timeout_ms = 30000;
    request.topic_data = &topic;
    request.topic_data_count = 1;
    client_send(&transactor->client, API_PRODUCE, transactor->second ? 12 : 11, produce, &request, &unused);
    buf_deinit(&batch);
}

static void send_add_offsets(struct transactor *transactor) {
    struct add_offsets_to_txn_request request;
    int32_t unused;
    add_offsets_to_txn_request_init(&request);
    request.transactional_id = slice_str(transactor->id);
    request.producer_id = transactor->producer_id;
    request.producer_epoch = transactor->epoch;
    request.group_id = slice_str(transactor->group);
    client_send(&transactor->client, API_ADD_OFFSETS_TO_TXN, 3, add_offsets_to_txn, &request, &unused);
}

static void send_offsets(struct transactor *transactor) {
    struct txn_offset_commit_request request;
    struct txn_offset_commit_request_txn_offset_commit_request_topic topic;
    struct txn_offset_commit_request_txn_offset_commit_request_partition partition;
    int32_t unused;
    txn_offset_commit_request_init(&request);
    txn_offset_commit_request_txn_offset_commit_request_topic_init(&topic);
    txn_offset_commit_request_txn_offset_commit_request_partition_init(&partition);
    partition.committed_offset = transactor->number;
    partition.committed_metadata = SLICE_EMPTY;
    topic.name = SLICE_LIT(TXN_TOPIC);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.transactional_id = slice_str(transactor->id);
    request.group_id = slice_str(transactor->group);
    request.producer_id = transactor->producer_id;
    request.producer_epoch = transactor->epoch;
    request.generation_id_or_member_epoch = -1;
    request.member_id = SLICE_EMPTY;
    request.group_instance_id = SLICE_NULL;
    request.topics = &topic;
    request.topics_count = 1;
    client_send(&transactor->client, API_TXN_OFFSET_COMMIT, transactor->second ? 5 : 4, txn_offset_commit, &request, &unused);
}

static void send_end(struct transactor *transactor) {
    struct end_txn_request request;
    int32_t unused;
    end_txn_request_init(&request);
    request.transactional_id = slice_str(transactor->id);
    request.producer_id = transactor->producer_id;
    request.producer_epoch = transactor->epoch;
    request.committed = transactor->commit;
    transactor->end_sent = true;
    client_send(&transactor->client, API_END_TXN, transactor->second ? 5 : 4, end_txn, &request, &unused);
}

static void go_on(struct transactor *transactor) {
    if (transactor->done || transactor->client.waiting_count || !client_is_ready(&transactor->client))
        return;
    if (!admin_is_ready(transactor->world->admin)) {
        think(transactor, 200 * NS_PER_MS);
        return;
    }
    if (transactor->lost_coordinator) {
        bool group = transactor->step == ADD_OFFSETS || transactor->step == OFFSETS;
        client_find_coordinator(&transactor->client, group ? 0 : 1, group ? transactor->group : transactor->id);
        return;
    }
    if (transactor->step != INIT && !transactor->number) {
        if (!transactor->finishing)
            begin(transactor);
        if (transactor->finishing) {
            transactor->done = true;
            return;
        }
    }
    if (transactor->step == PRODUCE) {
        while (transactor->partition < TXN_PARTITIONS && !open_txn(transactor)->records[transactor->partition])
            transactor->partition++;
        if (transactor->partition == TXN_PARTITIONS)
            transactor->step = !transactor->with_offset ? END : transactor->second ? OFFSETS : ADD_OFFSETS;
    }
    switch (transactor->step) {
    case INIT: send_init(transactor); break;
    case ADD: send_add(transactor); break;
    case PRODUCE: send_produce(transactor); break;
    case ADD_OFFSETS: send_add_offsets(transactor); break;
    case OFFSETS: send_offsets(transactor); break;
    case END: send_end(transactor); break;
    }
}

/* ---- answers ---------------------------------------------------------------------------------------------------------------- */

/* Errors that a client meets in the life of a node that comes and goes, and of a transaction that took too long. */
static bool is_expected(int16_t code) {
    return code == KAFKA_NOT_COORDINATOR || code == KAFKA_COORDINATOR_NOT_AVAILABLE || code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS ||
           code == KAFKA_CONCURRENT_TRANSACTIONS || code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || code == KAFKA_NOT_LEADER_OR_FOLLOWER ||
           code == KAFKA_KAFKA_STORAGE_ERROR || code == KAFKA_NOT_ENOUGH_REPLICAS || code == KAFKA_REQUEST_TIMED_OUT ||
           code == KAFKA_PRODUCER_FENCED || code == KAFKA_INVALID_PRODUCER_EPOCH || code == KAFKA_INVALID_TXN_STATE ||
           code == KAFKA_TRANSACTION_ABORTABLE || code == KAFKA_LEADER_NOT_AVAILABLE || code == KAFKA_OPERATION_NOT_ATTEMPTED;
}

/* The step is over; an error ends the transaction, or is tried again while that is what clients do. */
static void step_answered(struct transactor *transactor, int16_t code) {
    struct world *world = transactor->world;
    if (code && !is_expected(code))
        violation(world, "%s: step %d of transaction %u is answered with error %d", transactor->id, transactor->step,
                  transactor->number, code);
    transactor->lost_coordinator = code == KAFKA_NOT_COORDINATOR || code == KAFKA_COORDINATOR_NOT_AVAILABLE;
    bool again = code == KAFKA_CONCURRENT_TRANSACTIONS || code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    if (code && transactor->step != INIT && (!again || world_chance(world, 10)))
        start_over(transactor);
    think(transactor, code ? 200 * NS_PER_MS : transactor->think_max_ns);
}

static void init_answered(struct transactor *transactor, int version, struct decoder *body) {
    struct init_producer_id_response response;
    if (init_producer_id_response_decode(body, version, &response))
        violation(transactor->world, "an InitProducerId answer that cannot be read");
    if (!response.error_code) {
        next_epoch(transactor, response.producer_id, response.producer_epoch);
        transactor->step = ADD; /* begins one */
    }
    step_answered(transactor, response.error_code);
}

static void add_answered(struct transactor *transactor, int version, struct decoder *body) {
    struct add_partitions_to_txn_response response;
    if (add_partitions_to_txn_response_decode(body, version, &response))
        violation(transactor->world, "an AddPartitionsToTxn answer that cannot be read");
    int16_t code = 0;
    for (int t = 0; t < response.results_by_topic_v3_and_below_count; t++)
        for (int p = 0; p < response.results_by_topic_v3_and_below[t].results_by_partition_count; p++)
            if (response.results_by_topic_v3_and_below[t].results_by_partition[p].partition_error_code)
                code = response.results_by_topic_v3_and_below[t].results_by_partition[p].partition_error_code;
    if (!code)
        transactor->step = PRODUCE;
    step_answered(transactor, code);
}

static void produce_answered(struct transactor *transactor, int version, struct decoder *body) {
    struct produce_response response;
    if (produce_response_decode(body, version, &response) || response.responses_count != 1)
        violation(transactor->world, "a Produce answer that cannot be read");
    int16_t code = response.responses[0].partition_responses[0].error_code;
    if (!code) {
        transactor->sequences[transactor->partition] += open_txn(transactor)->records[transactor->partition];
        transactor->partition++;
    }
    step_answered(transactor, code);
}

static void add_offsets_answered(struct transactor *transactor, int version, struct decoder *body) {
    struct add_offsets_to_txn_response response;
    if (add_offsets_to_txn_response_decode(body, version, &response))
        violation(transactor->world, "an AddOffsetsToTxn answer that cannot be read");
    if (!response.error_code)
        transactor->step = OFFSETS;
    step_answered(transactor, response.error_code);
}

static void offsets_answered(struct transactor *transactor, int version, struct decoder *body) {
    struct txn_offset_commit_response response;
    if (txn_offset_commit_response_decode(body, version, &response) || response.topics_count != 1)
        violation(transactor->world, "a TxnOffsetCommit answer that cannot be read");
    int16_t code = response.topics[0].partitions[0].error_code;
    if (!code)
        transactor->step = END;
    step_answered(transactor, code);
}

static void end_answered(struct transactor *transactor, int version, struct decoder *body) {
    struct end_txn_response response;
    if (end_txn_response_decode(body, version, &response))
        violation(transactor->world, "an EndTxn answer that cannot be read");
    if (!response.error_code) {
        settle(transactor, transactor->commit ? TXN_COMMITTED : TXN_ABORTED);
        transactor->step = ADD;
        if (transactor->second)
            next_epoch(transactor, response.producer_id, response.producer_epoch);
    }
    step_answered(transactor, response.error_code);
}

static void answered(struct client *client, int32_t correlation, int16_t key, int16_t version, struct decoder *body) {
    struct transactor *transactor = container_of(client, struct transactor, client);
    (void)correlation;
    switch (key) {
    case API_FIND_COORDINATOR: transactor->lost_coordinator = false; think(transactor, 100 * NS_PER_MS); break;
    case API_INIT_PRODUCER_ID: init_answered(transactor, version, body); break;
    case API_ADD_PARTITIONS_TO_TXN: add_answered(transactor, version, body); break;
    case API_PRODUCE: produce_answered(transactor, version, body); break;
    case API_ADD_OFFSETS_TO_TXN: add_offsets_answered(transactor, version, body); break;
    case API_TXN_OFFSET_COMMIT: offsets_answered(transactor, version, body); break;
    default: end_answered(transactor, version, body); break;
    }
}

/* What was under way is tried again as it was (a client that only lost its connection), or by a new client. */
static void connection_lost(struct client *client) {
    struct transactor *transactor = container_of(client, struct transactor, client);
    if (transactor->step != INIT && world_chance(transactor->world, 2))
        start_over(transactor);
}

static void connected(struct client *client) {
    think(container_of(client, struct transactor, client), 50 * NS_PER_MS);
}

/* ---- life ------------------------------------------------------------------------------------------------------------------- */

struct transactor *transactor_create(struct world *world, int index) {
    static const uint64_t thinks_ms[] = {1, 20, 200, 3000};
    struct transactor *transactor = mem_new(struct transactor);
    transactor->world = world;
    transactor->index = index;
    snprintf(transactor->id, sizeof transactor->id, "transactor-%d", index);
    snprintf(transactor->group, sizeof transactor->group, "offsets-%d", index);
    transactor->second = world_chance(world, 2);
    transactor->think_max_ns = thinks_ms[world_random(world, COUNT_OF(thinks_ms))] * NS_PER_MS;
    transactor->think.fire = thought;
    transactor->client.on_connected = connected;
    transactor->client.on_answer = answered;
    transactor->client.on_lost = connection_lost;
    client_start(&transactor->client, world);
    return transactor;
}

/* It settles what is open: a client that comes back after a while does the same. */
void transactor_finish(struct transactor *transactor) {
    transactor->finishing = true;
    think(transactor, NS_PER_MS);
}
bool transactor_is_idle(const struct transactor *transactor) {
    return transactor->done;
}
uint64_t transactor_committed(const struct transactor *transactor) {
    return transactor->committed;
}
void transactor_describe(const struct transactor *transactor) {
    printf("%s%s, id %lld epoch %d, step %d of transaction %u, %llu committed%s\n", transactor->id,
           transactor->second ? " (version 2)" : "", (long long)transactor->producer_id, transactor->epoch, transactor->step,
           transactor->number, (unsigned long long)transactor->committed, transactor->done ? ", done" : "");
}
