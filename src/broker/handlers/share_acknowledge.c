/* ShareAcknowledge: what became of records that a member was given. Answered when it is stored. */
#include "broker/handlers/handlers.h"
#include "broker/share_acks.h"
#include "broker/share_sessions.h"
#include "protocol/share_acknowledge_request.h"
#include "protocol/share_acknowledge_response.h"

struct acknowledge {
    struct request *request;
    struct share_acknowledge_request message;
    struct share_context context;
    struct share_acks acks;
    struct shard_call session_call;
};

static void fail(struct acknowledge *a, int16_t error, const char *text) {
    struct share_acknowledge_response response;
    share_acknowledge_response_init(&response);
    response.error_code = error;
    response.error_message = slice_str(text);
    share_numbers(a->request->shard)->failed_acks++;
    request_answer(a->request, share_acknowledge, &response);
}

static void answer(struct share_acks *acks) {
    struct acknowledge *a = container_of(acks, struct acknowledge, acks);
    struct arena *arena = &a->request->arena;
    struct share_acknowledge_response response;
    share_acknowledge_response_init(&response);
    response.acquisition_lock_timeout_ms = share_settings_of(a->request->shard, acks->group).lock_ms;
    response.responses = arena_array(arena, struct share_acknowledge_response_share_acknowledge_topic_response, acks->count + 1);
    struct numbering *topics = numbering_create(arena);
    bool failed = false;
    for (int i = 0; i < acks->count; i++) {
        const struct share_ack_item *item = &acks->items[i];
        if (item->left_out)
            continue;
        int number = numbering_get(topics, (struct numbering_key){.id = item->topic_id});
        struct share_acknowledge_response_share_acknowledge_topic_response *topic = &response.responses[number];
        topic->topic_id = item->topic_id;
        response.responses_count += number == response.responses_count;
        topic->partitions = arena_grow(arena, topic->partitions, (size_t)topic->partitions_count, sizeof *topic->partitions);
        struct share_acknowledge_response_partition_data *out = &topic->partitions[topic->partitions_count++];
        share_acknowledge_response_partition_data_init(out);
        out->partition_index = item->index;
        out->error_code = item->error;
        out->error_message = slice_str(item->message);
        failed |= item->error != 0;
        share_set_leader(a->request, item->topic_id, item->index, item->error, &out->current_leader.leader_id, &out->current_leader.leader_epoch);
    }
    if (failed)
        share_numbers(a->request->shard)->failed_acks++;
    if (a->context.final)
        share_session_release(a->request->shard->broker, acks->group, acks->member, a->context.wants, a->context.count);
    if (a->context.last)
        share_forget_idle(a->request->shard->broker, acks->group);
    request_answer(a->request, share_acknowledge, &response);
}

static void session_begun(struct shard_call *call) {
    struct acknowledge *a = container_of(call, struct acknowledge, session_call);
    if (a->context.error) {
        fail(a, a->context.error, NULL);
        return;
    }
    a->acks.done = answer;
    share_acks_run(&a->acks);
}

static void session_begin(struct shard_call *call) {
    struct acknowledge *a = container_of(call, struct acknowledge, session_call);
    share_session_begin(call->at->share_sessions, &a->context, &a->request->arena);
    shard_call_return(call);
}

void handle_share_acknowledge(struct request *request) {
    struct acknowledge *a = arena_new(&request->arena, struct acknowledge);
    a->request = request;
    if (!request_decode(request, share_acknowledge, &a->message))
        return;
    struct broker_shard *shard = request->shard;
    const struct share_acknowledge_request *message = &a->message;
    share_numbers(shard)->acks++;
    if (!share_is_enabled(shard)) {
        fail(a, KAFKA_UNSUPPORTED_VERSION, NULL);
        return;
    }
    if (!message->group_id.ptr || !share_member_id_is_fine(message->member_id)) {
        fail(a, KAFKA_INVALID_REQUEST, NULL);
        return;
    }
    int partitions = 0;
    for (int t = 0; t < message->topics_count; t++)
        partitions += message->topics[t].partitions_count;
    share_acks_init(&a->acks, request, message->group_id, message->member_id, message->is_renew_ack, partitions);
    SHARE_ACKS_TAKE(&a->acks, message);
    a->context = (struct share_context){.group = message->group_id, .member = message->member_id, .epoch = message->share_session_epoch,
                                        .acknowledges = true};
    a->session_call = (struct shard_call){.home = shard, .at = &shard->broker->shards[share_session_shard(shard->broker, message->group_id)],
                                          .run = session_begin, .back = session_begun};
    shard_call_send(&a->session_call);
}
