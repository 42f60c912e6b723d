/* ConsumerGroupDescribe. */
#include "coordinator/consumer_internal.h"

typedef struct consumer_group_describe_response_assignment assignment;
typedef struct consumer_group_describe_response_topic_partitions topic_partitions;

static struct slice *copy_names(struct arena *arena, const struct consumer_subscription *subscription) {
    struct slice *names = arena_array(arena, struct slice, subscription->topic_count + 1);
    for (int i = 0; i < subscription->topic_count; i++)
        names[i] = arena_slice(arena, subscription->topics[i]);
    return names;
}

/* Topics that are gone are left out. */
static assignment describe_partitions(struct arena *arena, const struct image *image, struct consumer_partitions partitions) {
    assignment out = {arena_array(arena, topic_partitions, partitions.count + 1), 0};
    int32_t *numbers = arena_array(arena, int32_t, partitions.count + 1);
    topic_partitions *at = NULL;
    for (int i = 0; i < partitions.count; i++) {
        const struct image_topic *topic = image_find_topic_id(image, partitions.items[i].topic);
        if (!topic)
            continue;
        if (!at || !uuid_eq(at->topic_id, topic->id)) {
            at = &out.topic_partitions[out.topic_partitions_count++];
            *at = (topic_partitions){topic->id, arena_slice(arena, topic->name), &numbers[i], 0};
        }
        numbers[i] = partitions.items[i].partition;
        at->partitions_count++;
    }
    return out;
}

static struct consumer_partitions all_of(struct arena *arena, const struct consumer_current *current) {
    struct consumer_partitions all = {arena_array(arena, struct consumer_partition, current->assigned.count + current->revoking.count + 1), 0};
    for (int i = 0; i < current->assigned.count; i++)
        all.items[all.count++] = current->assigned.items[i];
    for (int i = 0; i < current->revoking.count; i++)
        all.items[all.count++] = current->revoking.items[i];
    consumer_partitions_sort(&all);
    return all;
}

void consumer_describe(struct groups *groups, struct arena *arena, struct slice group_id,
                       struct consumer_group_describe_response_described_group *out) {
    struct group *base = groups_find(groups, group_id);
    consumer_group_describe_response_described_group_init(out);
    out->group_id = arena_slice(arena, group_id);
    if (!base || base->methods->type != GROUP_CONSUMER) {
        out->error_code = KAFKA_GROUP_ID_NOT_FOUND;
        out->error_message = slice_str(base ? arena_printf(arena, "Group %.*s is not a consumer group.", SLICE_FMT(group_id))
                                            : arena_printf(arena, "Group %.*s not found.", SLICE_FMT(group_id)));
        return;
    }
    const struct consumer_group *group = consumer_group_of(base);
    const struct image *image = groups->coordinator->host->image;
    out->group_state = slice_str(consumer_state_name(group));
    out->group_epoch = group->epoch;
    out->assignment_epoch = group->target_epoch;
    out->assignor_name = slice_str(consumer_assignor(group, NULL, NULL));
    out->members = arena_array(arena, struct consumer_group_describe_response_member, group->member_count + 1);
    consumer_each_member(member, group) {
        const struct consumer_subscription *s = member->subscription;
        out->members[out->members_count++] = (struct consumer_group_describe_response_member){
            .member_id = arena_slice(arena, member->id),
            .instance_id = arena_slice(arena, s->instance_id),
            .rack_id = arena_slice(arena, s->rack_id),
            .member_epoch = member->current->epoch,
            .client_id = arena_slice(arena, s->client_id),
            .client_host = arena_slice(arena, s->client_host),
            .subscribed_topic_names = copy_names(arena, s),
            .subscribed_topic_names_count = s->topic_count,
            .subscribed_topic_regex = arena_slice(arena, s->regex),
            .assignment = describe_partitions(arena, image, all_of(arena, member->current)),
            .target_assignment = describe_partitions(arena, image, member->target ? *member->target : (struct consumer_partitions){0}),
            .member_type = s->is_classic ? 0 : 1,
        };
    }
}
