/* What is wrong with a heartbeat whatever the group is, in Kafka's order and words. */
#include "coordinator/streams_group.h"

#include "protocol/errors.h"

static const char *wrong_tasks(const struct streams_group_heartbeat_request *request) {
    if (request->member_epoch == 0) {
        if (request->rebalance_timeout_ms == -1)
            return "RebalanceTimeoutMs must be provided in first request.";
        if (request->active_tasks_count != 0)
            return "ActiveTasks must be empty when (re-)joining.";
        if (request->standby_tasks_count != 0)
            return "StandbyTasks must be empty when (re-)joining.";
        if (request->warmup_tasks_count != 0)
            return "WarmupTasks must be empty when (re-)joining.";
        if (!request->topology)
            return "Topology must be non-null when (re-)joining.";
    }
    return NULL;
}

static const char *empty_name(const struct streams_group_heartbeat_request *request) {
    for (int i = 0; request->topology && i < request->topology->subtopologies_count; i++)
        if (request->topology->subtopologies[i].source_topic_regex_count)
            return "Regular expressions for source topics are not supported yet.";
    return !request->member_id.size                                  ? "MemberId can't be empty."
           : !request->group_id.size                                 ? "GroupId can't be empty."
           : request->instance_id.ptr && !request->instance_id.size  ? "InstanceId can't be empty."
           : request->rack_id.ptr && !request->rack_id.size          ? "RackId can't be empty."
                                                                     : NULL;
}

/* A changelog with a count of its own. */
static const char *wrong_changelog(const struct streams_group_heartbeat_request_topology *topology, struct arena *arena) {
    for (int i = 0; i < topology->subtopologies_count; i++)
        for (int k = 0; k < topology->subtopologies[i].state_changelog_topics_count; k++) {
            const struct streams_group_heartbeat_request_topic_info *info = &topology->subtopologies[i].state_changelog_topics[k];
            if (info->partitions)
                return arena_printf(arena, "Changelog topic %.*s must have an undefined partition count, but it is set to %d.", SLICE_FMT(info->name), info->partitions);
        }
    return NULL;
}

int16_t streams_check_heartbeat(const struct streams_group_heartbeat_request *request, struct arena *arena, const char **ret_message) {
    *ret_message = empty_name(request);
    if (!*ret_message)
        *ret_message = wrong_tasks(request);
    if (!*ret_message && request->member_epoch == 0) {
        *ret_message = wrong_changelog(request->topology, arena);
        if (*ret_message)
            return KAFKA_STREAMS_INVALID_TOPOLOGY;
    }
    int known = (request->active_tasks_count >= 0) + (request->standby_tasks_count >= 0) + (request->warmup_tasks_count >= 0);
    if (!*ret_message && request->member_epoch == STREAMS_EPOCH_AWAY && !request->instance_id.ptr)
        *ret_message = "InstanceId can't be null.";
    if (!*ret_message && request->member_epoch < STREAMS_EPOCH_AWAY)
        *ret_message = arena_printf(arena, "MemberEpoch is %d, but must be greater than or equal to -2.", request->member_epoch);
    if (!*ret_message && known && known != STREAMS_ROLES)
        *ret_message = "If one task-type is non-null, all must be non-null.";
    if (!*ret_message && request->member_epoch != 0 && request->topology)
        *ret_message = "Topology can only be provided when (re-)joining.";
    return *ret_message ? KAFKA_INVALID_REQUEST : 0;
}
