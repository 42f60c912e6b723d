#include "broker/txn_visit.h"

#include "protocol/errors.h"

static void decide(struct coordinator_op *op, void *state) {
    transactions_request(state, op, &container_of(op, struct txn_visit, visit.op)->txn);
}

static void answer(struct coordinator_visit *visit, int16_t error) {
    struct txn_visit *txn = container_of(visit, struct txn_visit, visit);
    txn->done(txn, error ? error : txn->txn.error);
}

void txn_visit(struct txn_visit *visit, struct request *request, bool own_arena) {
    visit->visit.op.decide = decide;
    visit->visit.request = request;
    visit->visit.answer = answer;
    if (visit->txn.id.size)
        coordinator_visit(&visit->visit, COORDINATOR_TRANSACTION, visit->txn.id, own_arena);
    else
        visit->done(visit, KAFKA_INVALID_REQUEST);
}
