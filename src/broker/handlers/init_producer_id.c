/* InitProducerId: of idempotent producers, who get a new id at once (KIP-98), and of transactional ones. */
#include "base/mem.h"
#include "broker/handlers/handlers.h"
#include "broker/producer_ids.h"
#include "broker/txn_visit.h"
#include "protocol/init_producer_id_request.h"
#include "protocol/init_producer_id_response.h"

struct init {
    struct txn_visit visit;
    struct producer_id_waiter waiter;
    struct request *request;
    struct init_producer_id_request message;
};

static void answer(struct request *request, int16_t error, int64_t id, int16_t epoch) {
    struct init_producer_id_response response;
    init_producer_id_response_init(&response);
    if (error == KAFKA_PRODUCER_FENCED && request->header.version < 4)
        error = KAFKA_INVALID_PRODUCER_EPOCH;
    response.error_code = error;
    response.producer_id = error ? -1 : id;
    response.producer_epoch = error ? -1 : epoch;
    request_answer(request, init_producer_id, &response);
}

/* ---- idempotent ----------------------------------------------------------------------------------------------------------- */

static void give_id(struct init *init);

static void got(struct producer_id_waiter *waiter, int16_t error) {
    struct init *init = container_of(waiter, struct init, waiter);
    if (error)
        answer(init->request, error, -1, -1);
    else
        give_id(init);
}

static void give_id(struct init *init) {
    int64_t id = producer_id_take(init->request->shard);
    if (id >= 0) {
        answer(init->request, 0, id, 0);
        return;
    }
    init->waiter.got = got;
    producer_id_wait(init->request->shard, &init->waiter);
}

/* ---- transactional -------------------------------------------------------------------------------------------------------- */

static void decided(struct txn_visit *visit, int16_t error) {
    answer(container_of(visit, struct init, visit)->request, error, visit->txn.answer_id, visit->txn.answer_epoch);
}

static int16_t check_request(const struct init *init) {
    const struct init_producer_id_request *message = &init->message;
    const struct broker_config *config = init->request->shard->broker->config;
    if (!message->transactional_id.size)
        return KAFKA_INVALID_REQUEST;
    if (message->enable2_pc && !broker_config_bool(config, "transaction.two.phase.commit.enable"))
        return KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    if (message->keep_prepared_txn) /* nor has Kafka 4.3 that part of KIP-939 */
        return KAFKA_UNSUPPORTED_VERSION;
    if (!message->enable2_pc && (message->transaction_timeout_ms <= 0 ||
                                 message->transaction_timeout_ms > broker_config_int(config, "transaction.max.timeout.ms")))
        return KAFKA_INVALID_TRANSACTION_TIMEOUT;
    return 0;
}

void handle_init_producer_id(struct request *request) {
    struct init *init = arena_zalloc(&request->arena, sizeof *init);
    struct init_producer_id_request *message = &init->message;
    init->request = request;
    if (!request_decode(request, init_producer_id, message))
        return;
    if ((message->producer_id == -1) != (message->producer_epoch == -1)) {
        answer(request, KAFKA_INVALID_REQUEST, -1, -1);
        return;
    }
    if (!message->transactional_id.ptr) {
        give_id(init);
        return;
    }
    int16_t error = check_request(init);
    if (error) {
        answer(request, error, -1, -1);
        return;
    }
    init->visit = (struct txn_visit){
        .txn = {.kind = TXN_INIT,
                .id = message->transactional_id,
                .init = {.given = message->producer_id != -1,
                         .producer_id = message->producer_id,
                         .epoch = message->producer_epoch,
                         .timeout_ms = message->enable2_pc ? TXN_TIMEOUT_NEVER : message->transaction_timeout_ms}},
        .done = decided};
    txn_visit(&init->visit, request, false);
}
