/* One request at the coordinator of a transactional id, wherever that is. */
#ifndef BROKER_TXN_VISIT_H
#define BROKER_TXN_VISIT_H

#include "broker/coordinators.h"
#include "coordinator/transactions.h"

struct txn_visit {
    struct coordinator_visit visit;
    struct txn_request txn; /* set by the caller, with the answer */
    /* On the request's shard. Not 0: txn has no answer. May run before txn_visit() returns. */
    void (*done)(struct txn_visit *visit, int16_t error);
};
/* As coordinator_visit(); without a transactional id it is refused (INVALID_REQUEST). */
void txn_visit(struct txn_visit *visit, struct request *request, bool own_arena);

#endif
