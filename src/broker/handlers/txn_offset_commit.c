/* TxnOffsetCommit: offsets that hold once the producer's transaction is committed (KIP-98, 447, 890).
 *
 *   the group's partition   is the producer's transaction open in it? else a guard
 *   transactions            the partition is part of the transaction (version 4 and below), or is added to it (5)
 *   the group               commits, in one batch of the producer's, with the guard */
#include "broker/handlers/handlers.h"
#include "broker/handlers/partition_errors.h"
#include "broker/txn_visit.h"
#include "coordinator/offset_commit.h"
#include "metadata/config_check.h"
#include "protocol/txn_offset_commit_request.h"
#include "protocol/txn_offset_commit_response.h"

enum { ABORTABLE_VERSION = 4, ADDS_VERSION = 5, IDS_VERSION = 6 };

typedef struct txn_offset_commit_request_txn_offset_commit_request_topic in_topic;
typedef struct txn_offset_commit_response_txn_offset_commit_response_topic out_topic;
typedef struct txn_offset_commit_response_txn_offset_commit_response_partition out_partition;

struct txn_commit {
    struct coordinator_visit group;
    struct txn_visit txn;
    struct shard_call verify;
    struct request *request;
    struct txn_offset_commit_request message;
    struct offset_commit commit;
    struct partition_errors errors;
    struct uuid topic_id;  /* of __consumer_offsets */
    int32_t partition;
    struct txn_add_topic topic;
    int16_t verified;      /* one partition's answer of TXN_VERIFY */
    bool verifies;
    uint64_t guard;
    int16_t error;
};

/* ---- the answer ---------------------------------------------------------------------------------------------------------------- */

static void answer(struct txn_commit *commit) {
    struct request *request = commit->request;
    struct txn_offset_commit_response response;
    txn_offset_commit_response_init(&response);
    partition_errors_sort(&commit->errors);
    response.topics = arena_array(&request->arena, out_topic, commit->errors.topic_count + 1);
    response.topics_count = commit->errors.topic_count;
    for (int t = 0; t < response.topics_count; t++) {
        const struct partition_errors_topic *topic = &commit->errors.topics[t];
        response.topics[t].name = topic->name;
        response.topics[t].topic_id = topic->id;
        response.topics[t].partitions = arena_array(&request->arena, out_partition, topic->count + 1);
        response.topics[t].partitions_count = topic->count;
        for (int p = 0; p < topic->count; p++)
            response.topics[t].partitions[p] = (out_partition){topic->partitions[p].partition, topic->partitions[p].error};
    }
    request_answer(request, txn_offset_commit, &response);
}

static void finish(struct txn_commit *commit, int16_t error) {
    if (error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS && commit->request->header.version < 2)
        error = KAFKA_COORDINATOR_NOT_AVAILABLE; /* the first clients did not expect the other */
    bool by_id = commit->request->header.version >= IDS_VERSION;
    for (int t = 0; t < commit->commit.count; t++) {
        const struct offset_commit_topic *topic = &commit->commit.topics[t];
        for (int p = 0; p < topic->count; p++)
            partition_errors_add(&commit->errors, topic->name, by_id ? topic->id : UUID_ZERO, topic->partitions[p].partition,
                                 error ? error : topic->partitions[p].error);
    }
    answer(commit);
}

/* ---- the group ------------------------------------------------------------------------------------------------------------------ */

static void decide_commit(struct coordinator_op *op, void *state) {
    struct txn_commit *commit = container_of(op, struct txn_commit, group.op);
    commit->error = offsets_commit(state, op, &commit->commit);
}

static void committed(struct coordinator_visit *visit, int16_t error) {
    struct txn_commit *commit = container_of(visit, struct txn_commit, group);
    finish(commit, error ? error : commit->error);
}

static void go_to_group(struct txn_commit *commit) {
    commit->group = (struct coordinator_visit){.op = {.decide = decide_commit,
                                                      .producer_id = commit->message.producer_id,
                                                      .producer_epoch = commit->message.producer_epoch,
                                                      .transactional = true,
                                                      .guard = commit->guard},
                                               .request = commit->request,
                                               .answer = committed};
    coordinator_visit(&commit->group, COORDINATOR_GROUP, commit->message.group_id, false);
}

/* ---- verification ------------------------------------------------------------------------------------------------------------------ */

static int16_t translate(const struct request *request, int16_t code) {
    switch (code) {
    case KAFKA_NETWORK_EXCEPTION: return KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
    case KAFKA_NOT_ENOUGH_REPLICAS:
    case KAFKA_REQUEST_TIMED_OUT: return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case KAFKA_NOT_LEADER_OR_FOLLOWER:
    case KAFKA_KAFKA_STORAGE_ERROR: return KAFKA_NOT_COORDINATOR;
    case KAFKA_PRODUCER_FENCED: return KAFKA_INVALID_PRODUCER_EPOCH;
    case KAFKA_TRANSACTION_ABORTABLE: return request->header.version < ABORTABLE_VERSION ? KAFKA_INVALID_TXN_STATE : code;
    default: return code;
    }
}

static void verified(struct txn_visit *visit, int16_t error) {
    struct txn_commit *commit = container_of(visit, struct txn_commit, txn);
    int16_t code = !error && visit->txn.kind == TXN_VERIFY ? commit->verified : error;
    if (code)
        finish(commit, translate(commit->request, code));
    else
        go_to_group(commit);
}

static void look(struct shard_call *call) {
    struct txn_commit *commit = container_of(call, struct txn_commit, verify);
    struct partition *partition = partition_find(&call->at->partitions, commit->topic_id, commit->partition);
    enum err err = partition_check_leader(partition);
    commit->error = partition_is_opening(partition) ? KAFKA_COORDINATOR_LOAD_IN_PROGRESS : translate(commit->request, err_kafka_code(err));
    if (!commit->error) {
        err = producers_verify(log_producers(partition->log), commit->message.producer_id, commit->message.producer_epoch, -1,
                               commit->request->header.version >= ADDS_VERSION, ++call->at->verifications, shard_wall_ms(call->at->shard),
                               &commit->guard);
        commit->error = err_kafka_code(err);
    }
    shard_call_return(call);
}

static void looked(struct shard_call *call) {
    struct txn_commit *commit = container_of(call, struct txn_commit, verify);
    if (commit->error) {
        finish(commit, commit->error);
        return;
    }
    if (commit->guard == GUARD_NONE) {
        go_to_group(commit);
        return;
    }
    bool adds = commit->request->header.version >= ADDS_VERSION;
    commit->topic = (struct txn_add_topic){SLICE_LIT("__consumer_offsets"), &commit->partition, 1, &commit->verified};
    commit->txn = (struct txn_visit){.txn = {.kind = adds ? TXN_ADD : TXN_VERIFY,
                                             .id = commit->message.transactional_id,
                                             .producer_id = commit->message.producer_id,
                                             .epoch = commit->message.producer_epoch,
                                             .client_version = 2,
                                             .topics = &commit->topic,
                                             .topic_count = 1},
                                     .done = verified};
    txn_visit(&commit->txn, commit->request, true);
}

static void begin(struct txn_commit *commit) {
    struct broker_shard *shard = commit->request->shard;
    const struct image_topic *topic = image_find_topic(shard->image, SLICE_LIT("__consumer_offsets"));
    if (!commit->message.group_id.size) {
        finish(commit, KAFKA_INVALID_GROUP_ID);
    } else if (!topic) {
        finish(commit, KAFKA_NOT_COORDINATOR);
    } else if (commit->request->header.version < ADDS_VERSION &&
               !config_bool(config_broker_value(shard->broker->config, shard->image, "transaction.partition.verification.enable",
                                                &commit->request->arena))) {
        commit->guard = GUARD_NOT_NEEDED;
        go_to_group(commit);
    } else {
        commit->topic_id = topic->id;
        commit->partition = coordinator_partition_of(commit->message.group_id, topic->partition_count);
        int owner = broker_partition_shard(shard->broker, topic->id, commit->partition);
        commit->verify = (struct shard_call){.home = shard, .at = &shard->broker->shards[owner], .run = look, .back = looked};
        shard_call_send(&commit->verify);
    }
}

/* ---- the request -------------------------------------------------------------------------------------------------------------------- */

/* Partitions that exist go to the group, the others into the answer. */
static void check_topic(struct txn_commit *commit, const in_topic *in) {
    struct request *request = commit->request;
    bool by_id = request->header.version >= IDS_VERSION;
    const struct image_topic *topic = by_id ? image_find_topic_id(request->shard->image, in->topic_id) : image_find_topic(request->shard->image, in->name);
    struct slice name = topic ? arena_slice(&request->arena, topic->name) : in->name;
    struct offset_commit_topic *out = &commit->commit.topics[commit->commit.count];
    *out = (struct offset_commit_topic){.name = name, .id = in->topic_id, .partitions = arena_array(&request->arena, struct offset_commit_partition, in->partitions_count + 1)};
    for (int p = 0; p < in->partitions_count; p++) {
        const struct txn_offset_commit_request_txn_offset_commit_request_partition *partition = &in->partitions[p];
        if (topic && image_find_partition(topic, partition->partition_index))
            out->partitions[out->count++] = (struct offset_commit_partition){.partition = partition->partition_index,
                                                                             .leader_epoch = partition->committed_leader_epoch,
                                                                             .offset = partition->committed_offset,
                                                                             .metadata = partition->committed_metadata};
        else
            partition_errors_add(&commit->errors, name, in->topic_id, partition->partition_index,
                                 by_id && !topic ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    commit->commit.count += out->count > 0;
}

void handle_txn_offset_commit(struct request *request) {
    struct txn_commit *commit = arena_new(&request->arena, struct txn_commit);
    const struct txn_offset_commit_request *message = &commit->message;
    commit->request = request;
    if (!request_decode(request, txn_offset_commit, &commit->message))
        return;
    commit->commit.topics = arena_array(&request->arena, struct offset_commit_topic, message->topics_count + 1);
    int partitions = 0;
    for (int t = 0; t < message->topics_count; t++)
        partitions += message->topics[t].partitions_count;
    partition_errors_init(&commit->errors, &request->arena, message->topics_count, partitions);
    for (int t = 0; t < message->topics_count; t++)
        check_topic(commit, &message->topics[t]);
    if (!commit->commit.count) {
        answer(commit);
        return;
    }
    commit->commit.group = message->group_id;
    commit->commit.retention_ms = -1;
    commit->commit.caller = (struct group_caller){.member_id = message->member_id,
                                                  .instance_id = message->group_instance_id,
                                                  .generation = message->generation_id_or_member_epoch,
                                                  .version = request->header.version,
                                                  .transactional = true};
    begin(commit);
}
