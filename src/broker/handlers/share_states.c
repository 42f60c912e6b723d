/* Initialize, Read, Write, Delete ShareGroupState and ReadShareGroupStateSummary: what other brokers ask the share coordinator.
 * One visit for each partition named; the answer has them in the request's order. */
#include "broker/coordinators.h"
#include "broker/handlers/handlers.h"
#include "broker/share_task.h"
#include "coordinator/share_state.h"
#include "protocol/delete_share_group_state_request.h"
#include "protocol/delete_share_group_state_response.h"
#include "protocol/initialize_share_group_state_request.h"
#include "protocol/initialize_share_group_state_response.h"
#include "protocol/read_share_group_state_request.h"
#include "protocol/read_share_group_state_response.h"
#include "protocol/read_share_group_state_summary_request.h"
#include "protocol/read_share_group_state_summary_response.h"
#include "protocol/write_share_group_state_request.h"
#include "protocol/write_share_group_state_response.h"

struct call_visit {
    struct coordinator_visit visit;
    struct calls *calls;
    struct share_call call;
};
struct calls {
    struct request *request;
    struct slice group;
    struct call_visit *visits;
    int count, pending;
    void (*answer)(struct calls *calls);
    void *message;
};

static void decide(struct coordinator_op *op, void *state) {
    struct call_visit *visit = container_of(op, struct call_visit, visit.op);
    share_state_decide(op, state, &visit->call);
}

static void answered(struct coordinator_visit *base, int16_t error) {
    struct call_visit *visit = container_of(base, struct call_visit, visit);
    if (error) {
        visit->call.error = error;
        visit->call.message = NULL;
    }
    if (--visit->calls->pending == 0)
        visit->calls->answer(visit->calls);
}

static struct share_call *add(struct calls *calls, enum share_call_type type, struct uuid topic_id, int32_t partition) {
    struct call_visit *visit = &calls->visits[calls->count++];
    visit->calls = calls;
    visit->call = (struct share_call){.type = type, .group = calls->group, .topic_id = topic_id, .partition = partition};
    visit->visit.request = calls->request;
    visit->visit.op.decide = decide;
    visit->visit.answer = answered;
    return &visit->call;
}

/* An empty group, no topics, or a topic without partitions (but for Initialize): an answer without results. */
static void run(struct calls *calls, bool is_empty) {
    if (is_empty || !calls->group.size)
        calls->count = 0;
    calls->pending = calls->count + 1;
    int16_t error = calls->count ? coordinator_topic_ready(calls->request->shard, COORDINATOR_SHARE) : 0;
    for (int i = 0; i < calls->count; i++) {
        struct call_visit *visit = &calls->visits[i];
        if (error) {
            answered(&visit->visit, error);
            continue;
        }
        coordinator_visit(&visit->visit, COORDINATOR_SHARE,
                          share_state_key(&calls->request->arena, calls->group, visit->call.topic_id, visit->call.partition), true);
    }
    if (--calls->pending == 0)
        calls->answer(calls);
}

static struct slice message_of(const struct share_call *call) {
    return slice_str(!call->error ? NULL : call->message ? call->message : share_error_text(call->error));
}

/* What all five handlers do; what comes last sets the call from `part`, `type` names request and response. */
#define BEGIN(request, name, kind, needs_partitions, ...)                                                        \
    do {                                                                                                         \
        struct calls *calls = arena_new(&(request)->arena, struct calls);                                        \
        struct name##_request *message = arena_new(&(request)->arena, struct name##_request);                    \
        if (!request_decode(request, name, message))                                                             \
            return;                                                                                              \
        int count = 0;                                                                                           \
        bool is_empty = !message->topics_count;                                                                  \
        for (int t = 0; t < message->topics_count; t++) {                                                        \
            count += message->topics[t].partitions_count;                                                        \
            is_empty |= (needs_partitions) && !message->topics[t].partitions_count;                              \
        }                                                                                                        \
        *calls = (struct calls){.request = (request), .group = message->group_id, .message = message, .answer = answer_##name}; \
        calls->visits = arena_array(&(request)->arena, struct call_visit, count + 1);                            \
        for (int t = 0; t < message->topics_count; t++)                                                          \
            for (int p = 0; p < message->topics[t].partitions_count; p++) {                                      \
                const typeof(*message->topics[t].partitions) *part = &message->topics[t].partitions[p];          \
                struct share_call *call = add(calls, (kind), message->topics[t].topic_id, part->partition);      \
                __VA_ARGS__                                                                                      \
                (void)call;                                                                                      \
            }                                                                                                    \
        run(calls, is_empty);                                                                                    \
    } while (0)

#define ANSWER(calls, name, result_type, partition_type, ...)                                                    \
    do {                                                                                                         \
        struct arena *arena = &(calls)->request->arena;                                                          \
        const struct name##_request *message = (calls)->message;                                                 \
        struct name##_response response;                                                                         \
        name##_response_init(&response);                                                                         \
        response.results = arena_array(arena, struct result_type, message->topics_count + 1);                    \
        for (int t = 0, at = 0; t < message->topics_count && (calls)->count; t++) {                              \
            struct result_type *result = &response.results[response.results_count++];                            \
            result->topic_id = message->topics[t].topic_id;                                                      \
            result->partitions = arena_array(arena, struct partition_type, message->topics[t].partitions_count + 1); \
            for (int p = 0; p < message->topics[t].partitions_count; p++) {                                      \
                const struct share_call *call = &(calls)->visits[at++].call;                                     \
                struct partition_type *out = &result->partitions[result->partitions_count++];                    \
                partition_type##_init(out);                                                                      \
                out->partition = call->partition;                                                                \
                out->error_code = call->error;                                                                   \
                out->error_message = message_of(call);                                                           \
                if (!call->error) {                                                                              \
                    __VA_ARGS__                                                                                  \
                }                                                                                                \
            }                                                                                                    \
        }                                                                                                        \
        request_answer((calls)->request, name, &response);                                                       \
    } while (0)

static void answer_initialize_share_group_state(struct calls *calls) {
    ANSWER(calls, initialize_share_group_state, initialize_share_group_state_response_initialize_state_result,
           initialize_share_group_state_response_partition_result, );
}
static void answer_delete_share_group_state(struct calls *calls) {
    ANSWER(calls, delete_share_group_state, delete_share_group_state_response_delete_state_result,
           delete_share_group_state_response_partition_result, );
}
static void answer_write_share_group_state(struct calls *calls) {
    ANSWER(calls, write_share_group_state, write_share_group_state_response_write_state_result,
           write_share_group_state_response_partition_result, );
}

static void set_batches(struct arena *arena, const struct share_call *call, struct read_share_group_state_response_partition_result *out) {
    out->state_batches = arena_array(arena, struct read_share_group_state_response_state_batch, call->batch_count + 1);
    for (int i = 0; i < call->batch_count; i++)
        out->state_batches[out->state_batches_count++] = (struct read_share_group_state_response_state_batch){
            call->batches[i].first, call->batches[i].last, call->batches[i].state, call->batches[i].count};
}
static void answer_read_share_group_state(struct calls *calls) {
    ANSWER(calls, read_share_group_state, read_share_group_state_response_read_state_result, read_share_group_state_response_partition_result, {
        out->state_epoch = call->state_epoch;
        out->start_offset = call->start_offset;
        set_batches(arena, call, out);
    });
}
static void answer_read_share_group_state_summary(struct calls *calls) {
    ANSWER(calls, read_share_group_state_summary, read_share_group_state_summary_response_read_state_summary_result,
           read_share_group_state_summary_response_partition_result, {
               out->state_epoch = call->state_epoch;
               out->leader_epoch = call->leader_epoch;
               out->start_offset = call->start_offset;
               out->delivery_complete_count = call->complete_count;
           });
}

void handle_initialize_share_group_state(struct request *request) {
    BEGIN(request, initialize_share_group_state, SHARE_INITIALIZE, false, {
        call->state_epoch = part->state_epoch;
        call->start_offset = part->start_offset;
    });
}
void handle_delete_share_group_state(struct request *request) {
    BEGIN(request, delete_share_group_state, SHARE_DELETE, true, );
}
void handle_read_share_group_state(struct request *request) {
    BEGIN(request, read_share_group_state, SHARE_READ, true, { call->leader_epoch = part->leader_epoch; });
}
void handle_read_share_group_state_summary(struct request *request) {
    BEGIN(request, read_share_group_state_summary, SHARE_SUMMARY, true, );
}
void handle_write_share_group_state(struct request *request) {
    BEGIN(request, write_share_group_state, SHARE_WRITE, true, {
        struct share_batch *batches = arena_array(&request->arena, struct share_batch, part->state_batches_count + 1);
        for (int i = 0; i < part->state_batches_count; i++)
            batches[i] = (struct share_batch){part->state_batches[i].first_offset, part->state_batches[i].last_offset,
                                              part->state_batches[i].delivery_state, part->state_batches[i].delivery_count};
        call->state_epoch = part->state_epoch;
        call->leader_epoch = part->leader_epoch;
        call->start_offset = part->start_offset;
        call->complete_count = part->delivery_complete_count;
        call->batches = batches;
        call->batch_count = part->state_batches_count;
    });
}
