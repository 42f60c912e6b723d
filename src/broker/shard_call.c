#include "broker/shard_call.h"

static void call_in(struct shard *shard, struct message *message) {
    (void)shard;
    struct shard_call *call = container_of(message, struct shard_call, message);
    call->run(call);
}
static void call_back(struct shard *shard, struct message *message) {
    (void)shard;
    struct shard_call *call = container_of(message, struct shard_call, message);
    call->back(call);
}

void shard_call_send(struct shard_call *call) {
    if (call->at == call->home) {
        call->run(call);
        return;
    }
    call->message.deliver = call_in;
    shard_post(call->at->shard, &call->message);
}

void shard_call_return(struct shard_call *call) {
    if (call->at == call->home) {
        call->back(call);
        return;
    }
    call->message.deliver = call_back;
    shard_post(call->home->shard, &call->message);
}
