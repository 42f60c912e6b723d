/* AddPartitionsToTxn, AddOffsetsToTxn, EndTxn: what clients ask the coordinator of their transactional id (KIP-98, 890). */
#include "broker/handlers/handlers.h"
#include "broker/txn_visit.h"
#include "protocol/add_offsets_to_txn_request.h"
#include "protocol/add_offsets_to_txn_response.h"
#include "protocol/add_partitions_to_txn_request.h"
#include "protocol/add_partitions_to_txn_response.h"
#include "protocol/end_txn_request.h"
#include "protocol/end_txn_response.h"

/* Clients of old versions know PRODUCER_FENCED by another name. */
static int16_t code_for(const struct request *request, int16_t error) {
    return error == KAFKA_PRODUCER_FENCED && request->header.version < 2 ? KAFKA_INVALID_PRODUCER_EPOCH : error;
}

/* ---- AddPartitionsToTxn ---------------------------------------------------------------------------------------------------- */

typedef struct add_partitions_to_txn_request_add_partitions_to_txn_topic in_topic;
typedef struct add_partitions_to_txn_response_add_partitions_to_txn_topic_result out_topic;
typedef struct add_partitions_to_txn_response_add_partitions_to_txn_partition_result out_partition;

struct add_partitions;
struct add_one { /* of one transactional id */
    struct txn_visit visit;
    struct add_partitions *add;
    struct add_partitions_to_txn_request_add_partitions_to_txn_transaction in;
    struct add_partitions_to_txn_response_add_partitions_to_txn_result out;
};
struct add_partitions {
    struct request *request;
    struct add_partitions_to_txn_request message;
    struct add_one *all;
    int count, pending;
};

static void answer_add(struct add_partitions *add) {
    struct add_partitions_to_txn_response response;
    add_partitions_to_txn_response_init(&response);
    if (add->request->header.version < 4) {
        response.results_by_topic_v3_and_below = add->all[0].out.topic_results;
        response.results_by_topic_v3_and_below_count = add->all[0].out.topic_results_count;
    } else {
        response.results_by_transaction =
            arena_array(&add->request->arena, struct add_partitions_to_txn_response_add_partitions_to_txn_result, add->count + 1);
        response.results_by_transaction_count = add->count;
        for (int i = 0; i < add->count; i++)
            response.results_by_transaction[i] = add->all[i].out;
    }
    request_answer(add->request, add_partitions_to_txn, &response);
}

static void one_done(struct add_one *one) {
    if (--one->add->pending == 0)
        answer_add(one->add);
}

static void added(struct txn_visit *visit, int16_t error) {
    struct add_one *one = container_of(visit, struct add_one, visit);
    int16_t code = code_for(one->add->request, error);
    for (int t = 0; t < one->out.topic_results_count; t++)
        for (int p = 0; p < one->out.topic_results[t].results_by_partition_count; p++)
            one->out.topic_results[t].results_by_partition[p].partition_error_code =
                !code && visit->txn.kind == TXN_VERIFY ? visit->txn.topics[t].errors[p] : code;
    one_done(one);
}

/* One partition that does not exist, or that no client may write to, and none is added. */
static bool check_partitions(struct add_one *one) {
    struct request *request = one->add->request;
    bool good = true;
    one->out.transactional_id = one->in.transactional_id;
    one->out.topic_results_count = one->in.topics_count;
    one->out.topic_results = arena_array(&request->arena, out_topic, one->in.topics_count + 1);
    for (int t = 0; t < one->in.topics_count; t++) {
        const in_topic *in = &one->in.topics[t];
        const struct image_topic *topic = image_find_topic(request->shard->image, in->name);
        out_topic *out = &one->out.topic_results[t];
        out->name = in->name;
        out->results_by_partition_count = in->partitions_count;
        out->results_by_partition = arena_array(&request->arena, out_partition, in->partitions_count + 1);
        for (int p = 0; p < in->partitions_count; p++) {
            int16_t code = request->header.version < 4 && topic_is_internal(in->name)       ? KAFKA_TOPIC_AUTHORIZATION_FAILED
                           : !topic || !image_find_partition(topic, in->partitions[p]) ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                                                                        : 0;
            out->results_by_partition[p] = (out_partition){in->partitions[p], code};
            good = good && !code;
        }
    }
    for (int t = 0; t < one->out.topic_results_count && !good; t++)
        for (int p = 0; p < one->out.topic_results[t].results_by_partition_count; p++) {
            int16_t *code = &one->out.topic_results[t].results_by_partition[p].partition_error_code;
            *code = *code ? *code : KAFKA_OPERATION_NOT_ATTEMPTED;
        }
    return good;
}

static void add_one(struct add_one *one) {
    struct request *request = one->add->request;
    if (!check_partitions(one)) {
        one_done(one);
        return;
    }
    struct txn_add_topic *topics = arena_array(&request->arena, struct txn_add_topic, one->in.topics_count + 1);
    for (int t = 0; t < one->in.topics_count; t++)
        topics[t] = (struct txn_add_topic){one->in.topics[t].name, one->in.topics[t].partitions, one->in.topics[t].partitions_count,
                                           arena_array(&request->arena, int16_t, one->in.topics[t].partitions_count + 1)};
    one->visit = (struct txn_visit){.txn = {.kind = one->in.verify_only ? TXN_VERIFY : TXN_ADD,
                                            .id = one->in.transactional_id,
                                            .producer_id = one->in.producer_id,
                                            .epoch = one->in.producer_epoch,
                                            .client_version = request->header.version >= 4 ? 2 : 0,
                                            .topics = topics,
                                            .topic_count = one->in.topics_count},
                                    .done = added};
    txn_visit(&one->visit, request, true);
}

void handle_add_partitions_to_txn(struct request *request) {
    struct add_partitions *add = arena_zalloc(&request->arena, sizeof *add);
    struct add_partitions_to_txn_request *message = &add->message;
    add->request = request;
    if (!request_decode(request, add_partitions_to_txn, message))
        return;
    bool old = request->header.version < 4;
    add->count = old ? 1 : message->transactions_count;
    add->all = arena_array(&request->arena, struct add_one, add->count + 1);
    add->pending = add->count + 1; /* so that it does not end before all were sent */
    for (int i = 0; i < add->count; i++) {
        struct add_one *one = &add->all[i];
        one->add = add;
        if (old)
            one->in = (struct add_partitions_to_txn_request_add_partitions_to_txn_transaction){
                .transactional_id = message->v3_and_below_transactional_id,
                .producer_id = message->v3_and_below_producer_id,
                .producer_epoch = message->v3_and_below_producer_epoch,
                .topics = message->v3_and_below_topics,
                .topics_count = message->v3_and_below_topics_count};
        else
            one->in = message->transactions[i];
    }
    for (int i = 0; i < add->count; i++)
        add_one(&add->all[i]);
    if (--add->pending == 0)
        answer_add(add);
}

/* ---- AddOffsetsToTxn --------------------------------------------------------------------------------------------------------- */

struct add_offsets {
    struct txn_visit visit;
    struct request *request;
    struct add_offsets_to_txn_request message;
    struct txn_add_topic topic;
    int32_t partition;
};

static void answer_offsets(struct request *request, int16_t error) {
    struct add_offsets_to_txn_response response;
    add_offsets_to_txn_response_init(&response);
    response.error_code = code_for(request, error);
    request_answer(request, add_offsets_to_txn, &response);
}

static void offsets_added(struct txn_visit *visit, int16_t error) {
    answer_offsets(container_of(visit, struct add_offsets, visit)->request, error);
}

void handle_add_offsets_to_txn(struct request *request) {
    struct add_offsets *add = arena_zalloc(&request->arena, sizeof *add);
    const struct add_offsets_to_txn_request *message = &add->message;
    add->request = request;
    if (!request_decode(request, add_offsets_to_txn, &add->message))
        return;
    const struct image_topic *topic = image_find_topic(request->shard->image, SLICE_LIT("__consumer_offsets"));
    int64_t count = topic ? topic->partition_count : broker_config_int(request->shard->broker->config, "offsets.topic.num.partitions");
    add->partition = coordinator_partition_of(message->group_id, (int32_t)count);
    add->topic = (struct txn_add_topic){SLICE_LIT("__consumer_offsets"), &add->partition, 1, NULL};
    add->visit = (struct txn_visit){.txn = {.kind = TXN_ADD,
                                            .id = message->transactional_id,
                                            .producer_id = message->producer_id,
                                            .epoch = message->producer_epoch,
                                            .topics = &add->topic,
                                            .topic_count = 1},
                                    .done = offsets_added};
    txn_visit(&add->visit, request, false);
}

/* ---- EndTxn ----------------------------------------------------------------------------------------------------------------------- */

struct end {
    struct txn_visit visit;
    struct request *request;
    struct end_txn_request message;
};

static void ended(struct txn_visit *visit, int16_t error) {
    struct request *request = container_of(visit, struct end, visit)->request;
    struct end_txn_response response;
    end_txn_response_init(&response);
    response.error_code = code_for(request, error);
    if (!error) {
        response.producer_id = visit->txn.answer_id;
        response.producer_epoch = visit->txn.answer_epoch;
    }
    request_answer(request, end_txn, &response);
}

void handle_end_txn(struct request *request) {
    struct end *end = arena_zalloc(&request->arena, sizeof *end);
    const struct end_txn_request *message = &end->message;
    end->request = request;
    if (!request_decode(request, end_txn, &end->message))
        return;
    end->visit = (struct txn_visit){.txn = {.kind = TXN_END,
                                            .id = message->transactional_id,
                                            .producer_id = message->producer_id,
                                            .epoch = message->producer_epoch,
                                            .client_version = request->header.version >= 5 ? 2 : 0,
                                            .commit = message->committed},
                                    .done = ended};
    txn_visit(&end->visit, request, false);
}
