#include "broker/share_task.h"

#include "broker/share_partitions.h"
#include "protocol/errors.h"

enum {
    ATTEMPTS_MAX = 10,         /* with the waits between them: some 20 s */
    ATTEMPTS_UNKNOWN_MAX = 4,  /* of a topic that the coordinator does not know, or not yet */
    FIRST_WAIT_MS = 20,
};

static void try(struct share_task *task);

static void again(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct share_task *task = container_of(timer, struct share_task, timer);
    list_remove(&task->waiting);
    if (task->renew && !task->renew(task))
        task->done(task);
    else
        try(task);
}

static bool may_pass(const struct share_task *task, int16_t error) {
    if (task->shard->stopping)
        return false;
    if (error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
        return task->attempts < ATTEMPTS_UNKNOWN_MAX;
    return task->attempts < ATTEMPTS_MAX &&
           (error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || error == KAFKA_COORDINATOR_NOT_AVAILABLE || error == KAFKA_NOT_COORDINATOR);
}

static void answered(struct coordinator_visit *visit, int16_t error) {
    struct share_task *task = container_of(visit, struct share_task, visit);
    if (error)
        task->call.error = error;
    if (task->call.error && may_pass(task, task->call.error)) {
        (void)!coordinator_topic_ready(task->shard, COORDINATOR_SHARE);
        list_push_back(share_waiting_tasks(task->shard), &task->waiting);
        timer_start(task->shard->shard, &task->timer, (FIRST_WAIT_MS << (task->attempts - 1)) * NS_PER_MS);
        return;
    }
    task->done(task);
}

static void decide(struct coordinator_op *op, void *state) {
    struct share_task *task = container_of(op, struct share_task, visit.op);
    share_state_decide(op, state, &task->call);
}

static void try(struct share_task *task) {
    arena_reset(&task->arena);
    task->attempts++;
    task->call.error = 0;
    task->visit = (struct coordinator_visit){.op = {.arena = &task->arena, .decide = decide}, .home = task->shard, .answer = answered};
    coordinator_visit(&task->visit, COORDINATOR_SHARE, share_state_key(&task->arena, task->call.group, task->call.topic_id, task->call.partition), false);
}

void share_task_start(struct share_task *task) {
    list_init(&task->waiting);
    task->timer.fire = again;
    task->attempts = 0;
    try(task);
}

void share_task_deinit(struct share_task *task) {
    arena_deinit(&task->arena);
}

int16_t share_task_leader_error(int16_t error) {
    switch (error) {
    case 0: return 0;
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_NOT_COORDINATOR: return KAFKA_COORDINATOR_NOT_AVAILABLE;
    case KAFKA_GROUP_ID_NOT_FOUND:
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION: return error;
    case KAFKA_FENCED_LEADER_EPOCH:
    case KAFKA_FENCED_STATE_EPOCH: return KAFKA_NOT_LEADER_OR_FOLLOWER;
    default: return KAFKA_UNKNOWN_SERVER_ERROR;
    }
}

const char *share_error_text(int16_t error) {
    switch (error) {
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION: return "This server does not host this topic-partition.";
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS: return "The coordinator is loading and hence can't process requests.";
    case KAFKA_COORDINATOR_NOT_AVAILABLE: return "The coordinator is not available.";
    case KAFKA_NOT_COORDINATOR: return "This is not the correct coordinator.";
    case KAFKA_INVALID_GROUP_ID: return "The group id is invalid.";
    case KAFKA_UNSUPPORTED_VERSION: return "The version of API is not supported.";
    case KAFKA_NON_EMPTY_GROUP: return "The group is not empty.";
    case KAFKA_GROUP_ID_NOT_FOUND: return "The group id does not exist.";
    case KAFKA_FENCED_LEADER_EPOCH: return "The leader epoch in the request is older than the epoch on the broker.";
    case KAFKA_FENCED_STATE_EPOCH: return "The share coordinator rejected the request because the share-group state epoch did not match.";
    case KAFKA_INVALID_REQUEST:
        return "This most likely occurs because of a request being malformed by the client library or the message was sent to an "
               "incompatible broker. See the broker logs for more details.";
    default: return "The server experienced an unexpected error when processing the request.";
    }
}
