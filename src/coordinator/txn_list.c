/* DescribeTransactions, ListTransactions (KIP-664, 994, 1152). */
#include "base/mem.h"
#include "coordinator/regex.h"
#include "coordinator/transactions.h"
#include "protocol/errors.h"

void transactions_describe(const struct transactions *txns, struct slice id, struct arena *arena, struct txn_description *ret_description) {
    const struct txn *txn = transactions_find(txns, id);
    *ret_description = (struct txn_description){.state = ""};
    if (!txn) {
        ret_description->error = KAFKA_TRANSACTIONAL_ID_NOT_FOUND;
        return;
    }
    ret_description->state = txn_state_name(txn->at.state);
    ret_description->timeout_ms = txn->at.timeout_ms;
    ret_description->start_ms = txn->at.start_ms;
    ret_description->producer_id = txn->at.producer_id;
    ret_description->epoch = txn->at.epoch;
    struct txn_topics *topics = &ret_description->topics;
    *topics = txn_topics_ordered(&txn->topics, arena);
    for (int32_t i = 0; i < topics->count; i++)
        topics->all[i].name = arena_slice(arena, topics->all[i].name);
}

static bool is_wanted(const struct txn *txn, const struct txn_filter *filter, int64_t now_ms) {
    bool found = filter->state_count == 0 && !filter->no_state;
    for (int32_t i = 0; i < filter->state_count && !found; i++)
        found = filter->states[i] == txn->at.state;
    if (!found)
        return false;
    found = filter->producer_id_count == 0;
    for (int32_t i = 0; i < filter->producer_id_count && !found; i++)
        found = filter->producer_ids[i] == txn->at.producer_id;
    if (!found)
        return false;
    if (filter->duration_ms >= 0 && now_ms - txn->at.start_ms <= filter->duration_ms)
        return false;
    return !filter->pattern || regex_matches(filter->pattern, (const char *)txn->id.ptr, txn->id.size);
}

int32_t transactions_list(const struct transactions *txns, const struct txn_filter *filter, struct arena *arena, struct txn_listing **ret_all) {
    int64_t now_ms = coordinator_now_ms(txns->coordinator);
    struct txn_listing *all = arena_array(arena, struct txn_listing, txns->by_id.count + 1);
    int32_t count = 0;
    map_each(node, &txns->by_id) {
        const struct txn *txn = container_of(node, struct txn, node);
        if (is_wanted(txn, filter, now_ms))
            all[count++] = (struct txn_listing){arena_slice(arena, txn->id), txn->at.producer_id, txn->at.state};
    }
    *ret_all = all;
    return count;
}

int64_t transactions_oldest_start_ms(const struct transactions *txns) {
    int64_t oldest = -1;
    list_each(node, &txns->open) {
        int64_t start = list_entry(node, struct txn, open)->at.start_ms;
        if (oldest < 0 || start < oldest)
            oldest = start;
    }
    return oldest;
}
