#include "coordinator/share_group_internal.h"
#include "protocol/errors.h"

static void describe_assigned(const struct image *image, struct arena *arena, const struct share_set *set,
                              struct share_group_describe_response_assignment *assignment) {
    assignment->topic_partitions = arena_array(arena, struct share_group_describe_response_topic_partitions, set->count + 1);
    int32_t *indexes = arena_array(arena, int32_t, set->count + 1);
    struct share_group_describe_response_topic_partitions *topic = NULL;
    for (int i = 0; i < set->count; i++) {
        indexes[i] = set->places[i].partition;
        if (!i || !uuid_eq(set->places[i].topic_id, set->places[i - 1].topic_id)) {
            const struct image_topic *known = image_find_topic_id(image, set->places[i].topic_id);
            topic = known ? &assignment->topic_partitions[assignment->topic_partitions_count++] : NULL;
            if (topic)
                *topic = (struct share_group_describe_response_topic_partitions){
                    .topic_id = known->id, .topic_name = arena_slice(arena, known->name), .partitions = &indexes[i]};
        }
        if (topic)
            topic->partitions_count++;
    }
}

void share_describe(struct groups *groups, struct arena *arena, struct slice group_id,
                    struct share_group_describe_response_described_group *ret_described) {
    bool other;
    const struct share_group *group = share_find(groups, group_id, &other);
    share_group_describe_response_described_group_init(ret_described);
    ret_described->group_id = group_id;
    if (!group) {
        ret_described->error_code = KAFKA_GROUP_ID_NOT_FOUND;
        ret_described->error_message =
            slice_str(arena_printf(arena, other ? "Group %.*s is not a share group." : "Group %.*s not found.", SLICE_FMT(group_id)));
        return;
    }
    ret_described->group_state = slice_str(group->base.methods->state_name(&group->base));
    ret_described->group_epoch = group->epoch;
    ret_described->assignment_epoch = group->assignment_epoch;
    ret_described->assignor_name = SLICE_LIT("simple");
    ret_described->members = arena_array(arena, struct share_group_describe_response_member, share_member_count(group) + 1);
    list_each(node, &group->all) {
        const struct share_member *member = list_entry(node, struct share_member, all);
        struct share_group_describe_response_member *out = &ret_described->members[ret_described->members_count++];
        share_group_describe_response_member_init(out);
        out->member_id = arena_slice(arena, member->id);
        out->rack_id = arena_slice(arena, member->rack);
        out->member_epoch = member->epoch;
        out->client_id = arena_slice(arena, member->client_id);
        out->client_host = arena_slice(arena, member->client_host);
        out->subscribed_topic_names = arena_array(arena, struct slice, member->topics.count + 1);
        for (int i = 0; i < member->topics.count; i++)
            out->subscribed_topic_names[out->subscribed_topic_names_count++] = arena_slice(arena, member->topics.names[i]);
        describe_assigned(groups->coordinator->host->image, arena, &member->assigned, &out->assignment);
    }
}
