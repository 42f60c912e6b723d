/* What may become of a transactional id. The order of the checks is Kafka's, since clients see it by the codes. */
#include "coordinator/txn.h"
#include "protocol/errors.h"

const char *txn_state_name(enum txn_state state) {
    static const char *const names[TXN_STATES] = {"Empty",          "Ongoing",       "PrepareCommit", "PrepareAbort",
                                                  "CompleteCommit", "CompleteAbort", "Dead",          "PrepareEpochFence"};
    return names[state];
}

static bool is_prepared(const struct txn_fields *at) {
    return at->state == TXN_PREPARE_COMMIT || at->state == TXN_PREPARE_ABORT;
}

/* Every change remembers the id from which it came. */
static struct txn_fields changed(const struct txn_fields *at, enum txn_state state, int64_t now_ms) {
    struct txn_fields next = *at;
    next.state = state;
    next.previous_id = at->producer_id;
    next.update_ms = now_ms;
    return next;
}

/* ---- init --------------------------------------------------------------------------------------------------------------- */

/* A producer that names an id which is no more is fenced, unless its last epoch was the last of the id that was replaced:
 * then it may have missed the answer. Of the current id the epoch is looked at later. */
static bool may_init(const struct txn_fields *at, const struct txn_init *init) {
    return !init->given || at->epoch < 0 || init->producer_id == at->producer_id ||
           (init->producer_id == at->previous_id && init->epoch >= TXN_EPOCH_LAST);
}

static int16_t raise_epoch(const struct txn_fields *at, const struct txn_init *init, struct txn_fields *next) {
    if (at->epoch >= TXN_EPOCH_LAST)
        return KAFKA_UNKNOWN_SERVER_ERROR; /* the epoch that was named is not the last one */
    if (!init->given || at->epoch < 0 || init->epoch == at->epoch) {
        next->epoch = (int16_t)(at->epoch + 1);
        next->last_epoch = init->given ? at->epoch : -1;
    } else if (init->epoch != at->last_epoch) { /* else the answer was lost, and is repeated */
        return KAFKA_PRODUCER_FENCED;
    }
    return 0;
}

int16_t txn_decide_init(const struct txn_fields *at, const struct txn_init *init, int level, int64_t new_id, int64_t now_ms,
                        struct txn_fields *ret_next) {
    struct txn_fields fresh;
    if (!at) {
        if (new_id < 0)
            return TXN_NEEDS_ID;
        fresh = (struct txn_fields){.producer_id = new_id, .previous_id = -1, .next_id = -1, .epoch = -1, .last_epoch = -1, .start_ms = -1};
        at = &fresh;
    }
    if (is_prepared(at))
        return KAFKA_CONCURRENT_TRANSACTIONS;
    if (!may_init(at, init))
        return KAFKA_PRODUCER_FENCED;
    if (at->state == TXN_ONGOING)
        return txn_decide_abort(at, level, new_id, now_ms, ret_next);
    struct txn_fields next = changed(at, TXN_EMPTY, now_ms);
    if (at->epoch >= TXN_EPOCH_LAST && (!init->given || init->epoch == at->epoch)) {
        if (new_id < 0)
            return TXN_NEEDS_ID;
        next.producer_id = new_id;
        next.epoch = 0;
        next.last_epoch = init->given ? at->epoch : -1;
    } else {
        int16_t error = raise_epoch(at, init, &next);
        if (error)
            return error;
    }
    next.timeout_ms = init->timeout_ms;
    next.start_ms = -1;
    *ret_next = next;
    return 0;
}

/* ---- add, verify ------------------------------------------------------------------------------------------------------------ */

int16_t txn_decide_add(const struct txn_fields *at, int64_t producer_id, int16_t epoch, int16_t client_version, int64_t now_ms,
                       struct txn_fields *ret_next) {
    if (!at)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    if (is_prepared(at)) /* before the id: that of the next transaction is not in force yet */
        return KAFKA_CONCURRENT_TRANSACTIONS;
    if (at->producer_id != producer_id)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    if (at->epoch != epoch)
        return KAFKA_PRODUCER_FENCED;
    *ret_next = changed(at, TXN_ONGOING, now_ms);
    ret_next->client_version = client_version;
    if (at->state != TXN_ONGOING)
        ret_next->start_ms = now_ms;
    return 0;
}

int16_t txn_decide_verify(const struct txn_fields *at, int64_t producer_id, int16_t epoch) {
    if (!at || at->producer_id != producer_id)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    if (at->epoch != epoch)
        return KAFKA_PRODUCER_FENCED;
    return is_prepared(at) ? KAFKA_CONCURRENT_TRANSACTIONS : 0;
}

/* ---- end -------------------------------------------------------------------------------------------------------------------- */

/* The first protocol: the epoch stays. */
static int16_t end_v1(const struct txn_fields *at, int64_t producer_id, int16_t epoch, bool commit, int64_t now_ms, struct txn_fields *next,
                      bool *repeated) {
    if (at->producer_id != producer_id)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    if (at->epoch != epoch)
        return KAFKA_PRODUCER_FENCED;
    if (is_prepared(at))
        return KAFKA_CONCURRENT_TRANSACTIONS;
    if (at->state == (commit ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT)) {
        *repeated = true;
        return 0;
    }
    if (at->state != TXN_ONGOING)
        return KAFKA_INVALID_TXN_STATE;
    *next = changed(at, commit ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT, now_ms);
    next->client_version = 0;
    next->next_id = -1;
    return 0;
}

/* The second protocol's step: the markers and the next transaction have an epoch of their own. */
static int16_t prepare_v2(const struct txn_fields *at, bool commit, int64_t new_id, int64_t now_ms, struct txn_fields *next) {
    bool exhausted = at->epoch >= TXN_EPOCH_LAST;
    if (exhausted && new_id < 0)
        return TXN_NEEDS_ID;
    *next = changed(at, commit ? TXN_PREPARE_COMMIT : TXN_PREPARE_ABORT, now_ms);
    if (at->epoch < INT16_MAX)
        next->epoch = (int16_t)(at->epoch + 1);
    next->last_epoch = at->epoch;
    next->next_id = exhausted ? new_id : -1;
    next->client_version = 2;
    if (at->state != TXN_ONGOING) /* nothing was added: it begins with its end */
        next->start_ms = now_ms;
    return 0;
}

static int16_t end_v2(const struct txn_fields *at, int64_t producer_id, int16_t epoch, bool commit, int64_t new_id, int64_t now_ms,
                      struct txn_fields *next, bool *repeated) {
    if (is_prepared(at)) /* before id and epoch, as above */
        return KAFKA_CONCURRENT_TRANSACTIONS;
    bool over = at->previous_id == producer_id && epoch == TXN_EPOCH_LAST && at->epoch == 0; /* repeated after the id ran out */
    bool again = over || at->epoch == epoch + 1;
    bool complete = at->state == TXN_COMPLETE_COMMIT || at->state == TXN_COMPLETE_ABORT;
    if (at->producer_id != producer_id && !over)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    if (!(complete && again) && at->epoch != epoch)
        return KAFKA_PRODUCER_FENCED;
    if (at->state == TXN_ONGOING)
        return prepare_v2(at, commit, new_id, now_ms, next);
    if (complete && again) {
        *repeated = at->state == (commit ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT);
        return *repeated ? 0 : KAFKA_INVALID_TXN_STATE;
    }
    return commit ? KAFKA_INVALID_TXN_STATE : prepare_v2(at, false, new_id, now_ms, next);
}

int16_t txn_decide_end(const struct txn_fields *at, int64_t producer_id, int16_t epoch, bool commit, int16_t client_version, int64_t new_id,
                       int64_t now_ms, struct txn_fields *ret_next, bool *ret_repeated) {
    *ret_repeated = false;
    if (!at)
        return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    int16_t error = client_version < 2 ? end_v1(at, producer_id, epoch, commit, now_ms, ret_next, ret_repeated)
                                       : end_v2(at, producer_id, epoch, commit, new_id, now_ms, ret_next, ret_repeated);
    if (!error && *ret_repeated)
        *ret_next = *at;
    return error;
}

int16_t txn_decide_abort(const struct txn_fields *at, int level, int64_t new_id, int64_t now_ms, struct txn_fields *ret_next) {
    if (at->state != TXN_ONGOING)
        return KAFKA_INVALID_TXN_STATE;
    if (level >= 2)
        return prepare_v2(at, false, new_id, now_ms, ret_next);
    *ret_next = changed(at, TXN_PREPARE_ABORT, now_ms);
    if (at->epoch < INT16_MAX)
        ret_next->epoch = (int16_t)(at->epoch + 1); /* whoever had the old one is fenced */
    ret_next->last_epoch = -1;
    ret_next->client_version = 0;
    ret_next->next_id = -1;
    return 0;
}

struct txn_fields txn_complete(const struct txn_fields *at, int64_t now_ms) {
    struct txn_fields next = changed(at, at->state == TXN_PREPARE_COMMIT ? TXN_COMPLETE_COMMIT : TXN_COMPLETE_ABORT, now_ms);
    if (at->client_version >= 2 && at->next_id >= 0) {
        next.producer_id = at->next_id;
        next.epoch = 0;
    }
    next.next_id = -1;
    return next;
}
