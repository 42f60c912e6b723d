/* InitProducerId of idempotent producers: ids come in blocks that the controller hands out (KIP-98, KIP-730). */
#include "base/mem.h"
#include "broker/handlers/handlers.h"
#include "protocol/init_producer_id_request.h"
#include "protocol/init_producer_id_response.h"

struct block_request { /* one is under way a shard at most */
    struct controller_call call;
    struct arena arena;
    struct broker_shard *shard;
    int64_t first;
};
struct waiting { /* in the arena of a request that waits for the block */
    struct list node;
    struct request *request;
};

static void answer(struct request *request, int16_t error, int64_t id) {
    struct init_producer_id_response response;
    init_producer_id_response_init(&response);
    response.error_code = error;
    response.producer_id = error ? -1 : id;
    response.producer_epoch = error ? -1 : 0;
    request_answer(request, init_producer_id, &response);
}

static void decide(struct controller_call *call, struct decision *decision) {
    struct block_request *block = container_of(call, struct block_request, call);
    block->first = decide_producer_ids(decision, decision->config->node_id, block->shard->broker->broker_epoch);
}

static void got_block(struct controller_call *call) {
    struct block_request *block = container_of(call, struct block_request, call);
    struct broker_shard *shard = block->shard;
    struct list waiting, *node;
    if (!call->err) {
        shard->next_producer_id = block->first;
        shard->producer_ids_end = block->first + PRODUCER_ID_BLOCK;
    }
    enum err err = call->err;
    arena_deinit(&block->arena);
    mem_free(block);
    list_init(&waiting);
    list_splice(&waiting, &shard->waiting_for_producer_ids);
    while ((node = list_pop_front(&waiting))) {
        struct request *request = container_of(node, struct waiting, node)->request;
        if (err)
            answer(request, KAFKA_COORDINATOR_LOAD_IN_PROGRESS, -1);
        else
            handle_init_producer_id(request);
    }
}

static void ask_for_block(struct broker_shard *shard) {
    struct block_request *block = mem_new(struct block_request);
    block->shard = shard;
    block->call = (struct controller_call){.home = shard->shard, .arena = &block->arena, .decide = decide, .done = got_block};
    controller_call(shard->broker->controller, &block->call);
}

void handle_init_producer_id(struct request *request) {
    struct broker_shard *shard = request->shard;
    struct init_producer_id_request message;
    struct decoder start = request->body; /* to come back to when the block is there */
    if (!request_decode(request, init_producer_id, &message))
        return;
    if (message.transactional_id.ptr) { /* no transaction coordinator here: what Kafka says while it has none */
        answer(request, message.transactional_id.size ? KAFKA_COORDINATOR_NOT_AVAILABLE : KAFKA_INVALID_REQUEST, -1);
        return;
    }
    if ((message.producer_id == -1) != (message.producer_epoch == -1)) {
        answer(request, KAFKA_INVALID_REQUEST, -1);
        return;
    }
    if (shard->next_producer_id < shard->producer_ids_end) {
        answer(request, 0, shard->next_producer_id++);
        return;
    }
    request->body = start;
    struct waiting *waiting = arena_zalloc(&request->arena, sizeof *waiting);
    waiting->request = request;
    bool asked = !list_is_empty(&shard->waiting_for_producer_ids);
    list_push_back(&shard->waiting_for_producer_ids, &waiting->node);
    if (!asked)
        ask_for_block(shard);
}
