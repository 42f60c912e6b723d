/* What StreamsGroupDescribe tells of a group. Everything is copied: the answer is written when the group may have changed. */
#include "coordinator/streams_group.h"

#include <stdlib.h>

#include "protocol/errors.h"

typedef struct streams_group_describe_response_described_group described_group;
typedef struct streams_group_describe_response_member described_member;
typedef struct streams_group_describe_response_subtopology described_subtopology;
typedef struct streams_group_describe_response_topic_info described_topic;
typedef struct streams_group_describe_response_key_value described_pair;

static int by_bytes(const void *a, const void *b) {
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static struct slice *copy_names(struct arena *arena, const struct slice *names, int count, bool sort) {
    struct slice *copy = arena_array(arena, struct slice, count);
    for (int i = 0; i < count; i++)
        copy[i] = arena_slice(arena, names[i]);
    if (sort)
        qsort(copy, (size_t)count, sizeof copy[0], by_bytes);
    return copy;
}

static int by_topic(const void *a, const void *b) {
    return slice_cmp(((const described_topic *)a)->name, ((const described_topic *)b)->name);
}

/* `counts` NULL: as the application sent them. */
static described_topic *copy_topics(struct arena *arena, const streams_topic_info *infos, const int32_t *counts, int count) {
    described_topic *copy = arena_array(arena, described_topic, count);
    for (int i = 0; i < count; i++) {
        copy[i] = (described_topic){arena_slice(arena, infos[i].name), counts ? counts[i] : infos[i].partitions, infos[i].replication_factor,
                                    arena_array(arena, described_pair, infos[i].topic_configs_count), infos[i].topic_configs_count};
        for (int k = 0; k < infos[i].topic_configs_count; k++)
            copy[i].topic_configs[k] = (described_pair){arena_slice(arena, infos[i].topic_configs[k].key), arena_slice(arena, infos[i].topic_configs[k].value)};
    }
    if (counts)
        qsort(copy, (size_t)count, sizeof copy[0], by_topic);
    return copy;
}

static void describe_subtopology(struct arena *arena, const streams_subtopology *raw, const struct streams_configured_subtopology *configured,
                                 described_subtopology *ret) {
    ret->subtopology_id = arena_slice(arena, raw->subtopology_id);
    ret->source_topics = copy_names(arena, raw->source_topics, raw->source_topics_count, configured);
    ret->source_topics_count = raw->source_topics_count;
    ret->repartition_sink_topics = copy_names(arena, raw->repartition_sink_topics, raw->repartition_sink_topics_count, configured);
    ret->repartition_sink_topics_count = raw->repartition_sink_topics_count;
    ret->state_changelog_topics =
        copy_topics(arena, raw->state_changelog_topics, configured ? configured->changelog_counts : NULL, raw->state_changelog_topics_count);
    ret->state_changelog_topics_count = raw->state_changelog_topics_count;
    ret->repartition_source_topics =
        copy_topics(arena, raw->repartition_source_topics, configured ? configured->repartition_counts : NULL, raw->repartition_source_topics_count);
    ret->repartition_source_topics_count = raw->repartition_source_topics_count;
}

static int by_subtopology(const void *a, const void *b) {
    return slice_cmp(((const described_subtopology *)a)->subtopology_id, ((const described_subtopology *)b)->subtopology_id);
}

static void describe_topology(struct arena *arena, const struct streams_group *group, described_group *ret) {
    if (!group->topology)
        return;
    int count = group->topology->subtopologies_count;
    bool ready = group->is_configured && streams_is_ready(&group->configured);
    ret->topology = arena_zalloc(arena, sizeof *ret->topology);
    ret->topology->epoch = group->topology->epoch;
    ret->topology->subtopologies = arena_array(arena, described_subtopology, count);
    ret->topology->subtopologies_count = count;
    for (int i = 0; i < count; i++) {
        const struct streams_configured_subtopology *configured = ready ? &group->configured.subtopologies[i] : NULL;
        describe_subtopology(arena, ready ? configured->raw : &group->topology->subtopologies[i], configured, &ret->topology->subtopologies[i]);
    }
    qsort(ret->topology->subtopologies, (size_t)count, sizeof ret->topology->subtopologies[0], by_subtopology);
}

static struct streams_group_describe_response_task_ids *copy_tasks(struct arena *arena, const struct streams_tasks *tasks, int32_t *ret_count) {
    streams_task_ids *ids = streams_tasks_to_ids(arena, tasks, ret_count);
    for (int i = 0; i < *ret_count; i++)
        ids[i].subtopology_id = arena_slice(arena, ids[i].subtopology_id);
    return (void *)ids;
}

static void describe_assignment(struct arena *arena, const struct streams_roles *roles, struct streams_group_describe_response_assignment *ret) {
    ret->active_tasks = copy_tasks(arena, &roles->of[STREAMS_ACTIVE], &ret->active_tasks_count);
    ret->standby_tasks = copy_tasks(arena, &roles->of[STREAMS_STANDBY], &ret->standby_tasks_count);
    ret->warmup_tasks = copy_tasks(arena, &roles->of[STREAMS_WARMUP], &ret->warmup_tasks_count);
}

static struct streams_group_describe_response_task_offset *copy_offsets(struct arena *arena, const struct streams_offsets *offsets, int32_t *ret_count) {
    *ret_count = offsets ? offsets->count : 0;
    struct streams_group_describe_response_task_offset *copy = arena_array(arena, struct streams_group_describe_response_task_offset, *ret_count);
    for (int i = 0; i < *ret_count; i++)
        copy[i] = (struct streams_group_describe_response_task_offset){arena_slice(arena, offsets->offsets[i].subtopology), offsets->offsets[i].partition,
                                                                       offsets->offsets[i].offset};
    return copy;
}

static void describe_member(struct arena *arena, const struct streams_member *member, described_member *ret) {
    const streams_member_metadata *metadata = &member->metadata;
    streams_group_describe_response_member_init(ret);
    ret->member_id = arena_slice(arena, member->id);
    ret->member_epoch = member->epoch;
    ret->instance_id = arena_slice(arena, metadata->instance_id);
    ret->rack_id = arena_slice(arena, metadata->rack_id);
    ret->client_id = arena_slice(arena, metadata->client_id);
    ret->client_host = arena_slice(arena, metadata->client_host);
    ret->topology_epoch = metadata->topology_epoch;
    ret->process_id = arena_slice(arena, metadata->process_id);
    if (metadata->user_endpoint) {
        ret->user_endpoint = arena_alloc(arena, sizeof *ret->user_endpoint);
        *ret->user_endpoint =
            (struct streams_group_describe_response_endpoint){arena_slice(arena, metadata->user_endpoint->host), metadata->user_endpoint->port};
    }
    ret->client_tags = arena_array(arena, described_pair, metadata->client_tags_count);
    ret->client_tags_count = metadata->client_tags_count;
    for (int i = 0; i < metadata->client_tags_count; i++)
        ret->client_tags[i] = (described_pair){arena_slice(arena, metadata->client_tags[i].key), arena_slice(arena, metadata->client_tags[i].value)};
    ret->task_offsets = copy_offsets(arena, member->offsets, &ret->task_offsets_count);
    ret->task_end_offsets = copy_offsets(arena, member->end_offsets, &ret->task_end_offsets_count);
    describe_assignment(arena, streams_or_none(member->assigned), &ret->assignment);
    describe_assignment(arena, streams_or_none(member->target), &ret->target_assignment);
}

void streams_describe(struct groups *groups, struct arena *arena, struct slice group_id, bool with_description, described_group *ret) {
    streams_group_describe_response_described_group_init(ret);
    ret->group_id = group_id;
    const char *message;
    const struct streams_group *group = streams_find_group(groups, group_id, arena, &message);
    if (!group) {
        ret->error_code = KAFKA_GROUP_ID_NOT_FOUND;
        ret->error_message = slice_str(message);
        return;
    }
    ret->group_state = slice_str(group->group.methods->state_name(&group->group));
    ret->group_epoch = group->epoch;
    ret->assignment_epoch = group->target_epoch;
    ret->assignor_name = SLICE_LIT(STREAMS_ASSIGNOR);
    if (with_description) {
        ret->topology_description = streams_description_of(group, arena);
        ret->topology_description_status = ret->topology_description ? STREAMS_DESCRIPTION_THERE : STREAMS_DESCRIPTION_NOT_STORED;
        groups->descriptions.got += ret->topology_description != NULL;
    }
    describe_topology(arena, group, ret);
    ret->members = arena_array(arena, described_member, group->members.count);
    streams_each_member(member, group)
        describe_member(arena, member, &ret->members[ret->members_count++]);
}
