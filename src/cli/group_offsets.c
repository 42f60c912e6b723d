/* Committed offsets of a group, of whatever kind, and how far they are from the end. */
#include "cli/group.h"

#include <stdlib.h>
#include "protocol/describe_share_group_offsets_request.h"
#include "protocol/describe_share_group_offsets_response.h"
#include "protocol/errors.h"
#include "protocol/offset_fetch_request.h"
#include "protocol/offset_fetch_response.h"

enum { LATEST = -1 };

struct gathered {
    struct client *client;
    struct group_offset *offsets;
    int count, capacity;
};

static struct group_offset *add(struct gathered *all) {
    if (all->count == all->capacity) {
        struct group_offset *old = all->offsets;
        all->capacity = all->capacity ? 2 * all->capacity : 64;
        all->offsets = arena_array(&all->client->arena, struct group_offset, all->capacity);
        if (all->count)
            memcpy(all->offsets, old, sizeof *old * (size_t)all->count);
    }
    struct group_offset *offset = &all->offsets[all->count++];
    *offset = (struct group_offset){.end = -1, .stable_end = -1, .lag = -1, .next_ms = -1, .leader_epoch = -1, .metadata = ""};
    return offset;
}

static int refused(struct client *client, const char *name, int16_t code, struct slice message) {
    return client_refused(arena_printf(&client->arena, "offsets of group '%s'", name), code, message);
}

/* Newer brokers name topics by id only. */
static const char *name_of(struct client *client, const struct metadata_response *metadata, struct slice name, struct uuid id) {
    for (int i = 0; !name.size && i < metadata->topics_count; i++)
        if (uuid_eq(metadata->topics[i].topic_id, id))
            name = metadata->topics[i].name;
    return name.size ? arena_printf(&client->arena, "%.*s", SLICE_FMT(name)) : NULL;
}

static int fetch_committed(struct gathered *all, const struct found_group *group) {
    struct client *client = all->client;
    struct offset_fetch_request request;
    struct offset_fetch_response response;
    struct metadata_response metadata;
    struct offset_fetch_request_offset_fetch_request_group asked;
    offset_fetch_request_init(&request);
    offset_fetch_request_offset_fetch_request_group_init(&asked);
    asked.group_id = slice_str(group->name);
    asked.topics_count = -1;
    request.groups = &asked;
    request.groups_count = 1;
    int64_t deadline_us = client_deadline_us(client);
    int status;
    do
        status = client_call(client, group->coordinator, API_OFFSET_FETCH, &request, &response);
    while (!status && response.groups_count == 1 && client_asks_again(response.groups[0].error_code, deadline_us));
    if (!status)
        status = client_metadata(client, NULL, 0, &metadata);
    if (status)
        return status;
    if (response.groups_count != 1 || response.groups[0].error_code)
        return refused(client, group->name, response.groups_count == 1 ? response.groups[0].error_code : KAFKA_UNSUPPORTED_VERSION, SLICE_NULL);
    for (int t = 0; t < response.groups[0].topics_count; t++) {
        const struct offset_fetch_response_offset_fetch_response_topics *topic = &response.groups[0].topics[t];
        const char *name = name_of(client, &metadata, topic->name, topic->topic_id);
        for (int p = 0; name && p < topic->partitions_count; p++) {
            if (topic->partitions[p].error_code || topic->partitions[p].committed_offset < 0)
                continue;
            struct group_offset *offset = add(all);
            offset->topic = name;
            offset->partition = topic->partitions[p].partition_index;
            offset->offset = topic->partitions[p].committed_offset;
            offset->leader_epoch = topic->partitions[p].committed_leader_epoch;
            offset->metadata = arena_printf(&client->arena, "%.*s", SLICE_FMT(topic->partitions[p].metadata));
        }
    }
    return CLI_OK;
}

static int fetch_share(struct gathered *all, const struct found_group *group) {
    struct client *client = all->client;
    struct describe_share_group_offsets_request request;
    struct describe_share_group_offsets_response response;
    struct describe_share_group_offsets_request_describe_share_group_offsets_request_group asked = {.group_id = slice_str(group->name), .topics_count = -1};
    describe_share_group_offsets_request_init(&request);
    request.groups = &asked;
    request.groups_count = 1;
    int64_t deadline_us = client_deadline_us(client);
    int status;
    do
        status = client_call(client, group->coordinator, API_DESCRIBE_SHARE_GROUP_OFFSETS, &request, &response);
    while (!status && response.groups_count == 1 && client_asks_again(response.groups[0].error_code, deadline_us));
    if (status)
        return status;
    if (response.groups_count != 1 || response.groups[0].error_code)
        return refused(client, group->name, response.groups_count == 1 ? response.groups[0].error_code : KAFKA_UNKNOWN_SERVER_ERROR,
                       response.groups_count == 1 ? response.groups[0].error_message : SLICE_NULL);
    for (int t = 0; t < response.groups[0].topics_count; t++)
        for (int p = 0; p < response.groups[0].topics[t].partitions_count; p++) {
            const struct describe_share_group_offsets_response_describe_share_group_offsets_response_partition *partition =
                &response.groups[0].topics[t].partitions[p];
            if (partition->error_code)
                continue;
            struct group_offset *offset = add(all);
            offset->topic = arena_printf(&client->arena, "%.*s", SLICE_FMT(response.groups[0].topics[t].topic_name));
            offset->partition = partition->partition_index;
            offset->offset = partition->start_offset;
            offset->leader_epoch = partition->leader_epoch;
            offset->lag = partition->lag;
        }
    return CLI_OK;
}

static int by_place(const void *a, const void *b) {
    const struct group_offset *x = a, *y = b;
    int c = strcmp(x->topic, y->topic);
    return c ? c : x->partition - y->partition;
}

static int find_ends(struct client *client, struct group_offset *offsets, int count, bool stable) {
    struct offset_query *queries = arena_array(&client->arena, struct offset_query, count);
    for (int i = 0; i < count; i++)
        queries[i] = (struct offset_query){.topic = offsets[i].topic, .partition = offsets[i].partition, .timestamp = LATEST};
    int status = offsets_find(client, queries, count, stable);
    for (int i = 0; !status && i < count; i++)
        if (!queries[i].error)
            *(stable ? &offsets[i].stable_end : &offsets[i].end) = queries[i].offset;
    return status;
}

int group_offsets(struct client *client, const struct found_group *group, bool ends, struct group_offset **ret_offsets, int *ret_count) {
    struct gathered all = {.client = client};
    int status = group_is(group, "share") ? fetch_share(&all, group) : fetch_committed(&all, group);
    if (status)
        return status;
    if (all.count)
        qsort(all.offsets, (size_t)all.count, sizeof all.offsets[0], by_place);
    if (ends && all.count)
        status = find_ends(client, all.offsets, all.count, false);
    if (ends && all.count && !status)
        status = find_ends(client, all.offsets, all.count, true);
    *ret_offsets = all.offsets;
    *ret_count = all.count;
    return status;
}
