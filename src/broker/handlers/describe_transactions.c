/* DescribeTransactions, ListTransactions (KIP-664, 994, 1152). */
#include "broker/handlers/handlers.h"
#include "broker/txn_visit.h"
#include "coordinator/regex.h"
#include "protocol/describe_transactions_request.h"
#include "protocol/describe_transactions_response.h"
#include "protocol/list_transactions_request.h"
#include "protocol/list_transactions_response.h"

/* ---- DescribeTransactions -------------------------------------------------------------------------------------------------- */

struct describe {
    struct coordinator_visit_each each;
    struct describe_transactions_request message;
    struct describe_transactions_response response;
};

static void look(struct coordinator_visit_each *each, int i, void *state, struct arena *arena) {
    struct describe_transactions_response_transaction_state *out = &container_of(each, struct describe, each)->response.transaction_states[i];
    struct txn_description found;
    transactions_describe(state, each->ids[i], arena, &found);
    describe_transactions_response_transaction_state_init(out);
    out->error_code = found.error;
    if (found.error)
        return;
    out->transaction_state = slice_str(found.state);
    out->transaction_timeout_ms = found.timeout_ms;
    out->transaction_start_time_ms = found.start_ms;
    out->producer_id = found.producer_id;
    out->producer_epoch = found.epoch;
    out->topics_count = found.topics.count;
    out->topics = arena_array(arena, struct describe_transactions_response_topic_data, found.topics.count + 1);
    for (int t = 0; t < found.topics.count; t++)
        out->topics[t] = (struct describe_transactions_response_topic_data){found.topics.all[t].name, found.topics.all[t].partitions,
                                                                            found.topics.all[t].count};
}

static void told(struct coordinator_visit_each *each, int i, int16_t error) {
    struct describe_transactions_response_transaction_state *out = &container_of(each, struct describe, each)->response.transaction_states[i];
    if (error) {
        describe_transactions_response_transaction_state_init(out);
        out->error_code = error;
    }
    out->transactional_id = each->ids[i];
}

static void described(struct coordinator_visit_each *each) {
    request_answer(each->request, describe_transactions, &container_of(each, struct describe, each)->response);
}

void handle_describe_transactions(struct request *request) {
    struct describe *describe = arena_new(&request->arena, struct describe);
    const struct describe_transactions_request *message = &describe->message;
    if (!request_decode(request, describe_transactions, &describe->message))
        return;
    describe_transactions_response_init(&describe->response);
    describe->response.transaction_states_count = message->transactional_ids_count;
    describe->response.transaction_states =
        arena_array(&request->arena, struct describe_transactions_response_transaction_state, message->transactional_ids_count + 1);
    describe->each = (struct coordinator_visit_each){.request = request,
                                                     .ids = message->transactional_ids,
                                                     .count = message->transactional_ids_count,
                                                     .empty_refusal = KAFKA_INVALID_REQUEST,
                                                     .look = look,
                                                     .told = told,
                                                     .done = described};
    coordinator_visit_each(&describe->each, COORDINATOR_TRANSACTION);
}

/* ---- ListTransactions -------------------------------------------------------------------------------------------------------- */

struct list_visit {
    struct coordinator_visit visit;
    struct txn_listing *all;
    int32_t count;
};
struct list_transactions {
    struct coordinator_visit_all all;
    struct request *request;
    struct list_transactions_request message;
    struct list_transactions_response response;
    struct txn_filter filter;
    struct regex *pattern;
};

static void decide_list(struct coordinator_op *op, void *state) {
    struct coordinator_visit *visit = container_of(op, struct coordinator_visit, op);
    struct list_visit *own = container_of(visit, struct list_visit, visit);
    struct list_transactions *list = container_of(visit->all, struct list_transactions, all);
    own->count = transactions_list(state, &list->filter, op->arena, &own->all);
}

static void listed(struct coordinator_visit_all *all) {
    struct list_transactions *list = container_of(all, struct list_transactions, all);
    struct list_visit *visits = (struct list_visit *)(void *)all->visits;
    struct list_transactions_response *response = &list->response;
    int32_t total = 0;
    for (int i = 0; i < all->count; i++)
        total += visits[i].visit.error ? 0 : visits[i].count;
    response->transaction_states = arena_array(&list->request->arena, struct list_transactions_response_transaction_state, total + 1);
    for (int i = 0; i < all->count; i++) {
        if (visits[i].visit.error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || visits[i].visit.error == KAFKA_COORDINATOR_NOT_AVAILABLE)
            response->error_code = visits[i].visit.error;
        for (int32_t k = 0; k < visits[i].count && !visits[i].visit.error; k++) {
            const struct txn_listing *in = &visits[i].all[k];
            response->transaction_states[response->transaction_states_count++] =
                (struct list_transactions_response_transaction_state){in->id, in->producer_id, slice_str(txn_state_name(in->state))};
        }
    }
    if (response->error_code)
        response->transaction_states_count = 0;
    regex_destroy(list->pattern);
    request_answer(list->request, list_transactions, response);
}

/* The states that were asked for; names that are none come back. */
static void take_states(struct list_transactions *list) {
    const struct list_transactions_request *message = &list->message;
    struct list_transactions_response *response = &list->response;
    enum txn_state *states = arena_array(&list->request->arena, enum txn_state, message->state_filters_count + 1);
    response->unknown_state_filters = arena_array(&list->request->arena, struct slice, message->state_filters_count + 1);
    for (int i = 0; i < message->state_filters_count; i++) {
        int state = 0;
        while (state < TXN_STATES && !slice_eq_str(message->state_filters[i], txn_state_name((enum txn_state)state)))
            state++;
        if (state < TXN_STATES)
            states[list->filter.state_count++] = (enum txn_state)state;
        else
            response->unknown_state_filters[response->unknown_state_filters_count++] = message->state_filters[i];
    }
    list->filter.states = states;
    list->filter.no_state = message->state_filters_count && !list->filter.state_count;
}

void handle_list_transactions(struct request *request) {
    struct list_transactions *list = arena_zalloc(&request->arena, sizeof *list);
    const struct list_transactions_request *message = &list->message;
    list->request = request;
    if (!request_decode(request, list_transactions, &list->message))
        return;
    list_transactions_response_init(&list->response);
    take_states(list);
    list->filter.producer_ids = message->producer_id_filters;
    list->filter.producer_id_count = message->producer_id_filters_count;
    list->filter.duration_ms = message->duration_filter;
    const char *reason;
    if (message->transactional_id_pattern.size) {
        list->pattern = regex_create((const char *)message->transactional_id_pattern.ptr, message->transactional_id_pattern.size, &reason);
        if (!list->pattern) {
            list->response.error_code = KAFKA_INVALID_REGULAR_EXPRESSION;
            list->response.unknown_state_filters_count = 0;
            request_answer(request, list_transactions, &list->response);
            return;
        }
    }
    list->filter.pattern = list->pattern;
    list->all = (struct coordinator_visit_all){.request = request, .decide = decide_list, .done = listed, .visit_size = sizeof(struct list_visit)};
    coordinator_visit_all(&list->all, COORDINATOR_TRANSACTION);
}
