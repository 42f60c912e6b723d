#include "broker/producer_ids.h"

#include "base/mem.h"
#include "protocol/errors.h"

struct block_request { /* one is under way a shard at most */
    struct controller_call call;
    struct arena arena;
    struct broker_shard *shard;
    int64_t first;
};

static void decide(struct controller_call *call, struct decision *decision) {
    struct block_request *block = container_of(call, struct block_request, call);
    block->first = decide_producer_ids(decision, decision->config->node_id, block->shard->broker->broker_epoch);
}

static void got_block(struct controller_call *call) {
    struct block_request *block = container_of(call, struct block_request, call);
    struct broker_shard *shard = block->shard;
    shard->asked_for_producer_ids = false;
    if (!call->err) {
        shard->next_producer_id = block->first;
        shard->producer_ids_end = block->first + PRODUCER_ID_BLOCK;
    }
    int16_t error = call->err ? KAFKA_COORDINATOR_LOAD_IN_PROGRESS : 0;
    arena_deinit(&block->arena);
    mem_free(block);
    struct list waiting;
    list_init(&waiting);
    list_splice(&waiting, &shard->waiting_for_producer_ids);
    for (struct list *node; (node = list_pop_front(&waiting));) {
        struct producer_id_waiter *waiter = list_entry(node, struct producer_id_waiter, node);
        waiter->got(waiter, error);
    }
}

int64_t producer_id_take(struct broker_shard *shard) {
    return shard->next_producer_id < shard->producer_ids_end ? shard->next_producer_id++ : -1;
}

void producer_id_wait(struct broker_shard *shard, struct producer_id_waiter *waiter) {
    list_push_back(&shard->waiting_for_producer_ids, &waiter->node);
    if (shard->asked_for_producer_ids)
        return;
    shard->asked_for_producer_ids = true;
    struct block_request *block = mem_new(struct block_request);
    block->shard = shard;
    block->call = (struct controller_call){.home = shard->shard, .arena = &block->arena, .decide = decide, .done = got_block};
    controller_call(shard->broker->controller, &block->call);
}
