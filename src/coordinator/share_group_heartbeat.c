/* Members come, say that they are there, and go. A group's epoch rises with its members, their subscriptions, and their
 * topics; then the targets are computed anew, unless that was done a moment ago, and each member learns of its own with its
 * next heartbeat. Nothing is revoked: two members may hold one partition. */
#include <stdlib.h>

#include "base/trace.h"
#include "coordinator/metadata_hash.h"
#include "coordinator/share_group_internal.h"
#include "protocol/errors.h"

struct beat {
    struct groups *groups;
    struct coordinator_op *op;
    const struct share_group_heartbeat_request *request;
    struct share_group *group;
    struct share_member *member;      /* NULL: new */
    struct share_member next;         /* what it will be; borrows */
    int32_t epoch;                    /* of the group, then */
    struct share_set *target;         /* computed here for the member; NULL: not computed */
    struct share_set computed;
};

int16_t share_check_heartbeat(const struct share_group_heartbeat_request *request, const char **ret_message) {
    *ret_message = !request->member_id.size                         ? "MemberId can't be empty."
                   : !request->group_id.size                        ? "GroupId can't be empty."
                   : request->rack_id.ptr && !request->rack_id.size ? "RackId can't be empty."
                   : request->member_epoch == 0 && request->subscribed_topic_names_count <= 0
                       ? "SubscribedTopicNames must be set in first request."
                   : request->member_epoch < -1 ? "MemberEpoch is invalid."
                                                : NULL;
    return *ret_message ? KAFKA_INVALID_REQUEST : 0;
}

/* ---- who is subscribed to what ------------------------------------------------------------------------------------------ */

/* Topics of all members, in the arena; `changed` in place of the member with its id, or as one more; `without`: not that one. */
static struct share_names subscribed(const struct share_group *group, const struct share_member *changed, const struct share_member *without,
                                     struct arena *arena) {
    int count = changed ? changed->topics.count : 0;
    list_each(node, &group->all)
        count += list_entry(node, struct share_member, all)->topics.count;
    struct share_names names = {.names = arena_array(arena, struct slice, count + 1)};
    list_each(node, &group->all) {
        const struct share_member *member = list_entry(node, struct share_member, all);
        if (member == without || (changed && slice_eq(member->id, changed->id)))
            continue;
        for (int i = 0; i < member->topics.count; i++)
            names.names[names.count++] = member->topics.names[i];
    }
    for (int i = 0; changed && i < changed->topics.count; i++)
        names.names[names.count++] = changed->topics.names[i];
    share_names_sort(&names);
    return names;
}

static int64_t hash_of(const struct share_group *group, const struct share_names *names) {
    return metadata_hash_group(group->base.groups->coordinator->host->image, names->names, names->count);
}

/* Of this topic the set, in which places may stand more than once, has all partitions and no others. */
static bool is_what_has(const struct share_set *given, const struct share_topic *topic) {
    int low = 0, high = given->count, there = 0;
    while (low < high) { /* to the first of the topic */
        int middle = (low + high) / 2;
        if (share_place_cmp(&given->places[middle], &(struct share_place){topic->id, INT32_MIN, -1}) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (int i = low; i < given->count && uuid_eq(given->places[i].topic_id, topic->id); i++) {
        if (i > low && given->places[i].partition == given->places[i - 1].partition)
            continue;
        if (there == topic->count || topic->partitions[there++] != given->places[i].partition)
            return false;
    }
    return there == topic->count;
}

/* Some partitions have a state by now, and nobody was given them, or the other way round. */
static bool assignment_is_pending(const struct share_group *group, struct arena *arena) {
    if (!share_member_count(group) || !group->initialized.by_id.count)
        return false;
    struct share_names names = subscribed(group, NULL, NULL, arena);
    int count = 0;
    list_each(node, &group->all)
        count += list_entry(node, struct share_member, all)->target.count;
    struct share_set given = {.places = arena_array(arena, struct share_place, count + 1)};
    list_each(node, &group->all) {
        const struct share_set *target = &list_entry(node, struct share_member, all)->target;
        for (int i = 0; i < target->count; i++)
            given.places[given.count++] = target->places[i];
    }
    qsort(given.places, (size_t)given.count, sizeof *given.places, share_place_cmp);
    list_each(node, &group->initialized.list) {
        const struct share_topic *topic = list_entry(node, struct share_topic, node);
        if (topic->gone || !share_names_have(&names, topic->name))
            continue;
        if (!is_what_has(&given, topic))
            return true;
    }
    return false;
}

/* ---- targets ----------------------------------------------------------------------------------------------------------------- */

static void compute_targets(struct beat *beat) {
    struct arena *arena = beat->op->arena;
    struct share_group *group = beat->group;
    int count = 0, places = 0, others = group ? share_member_count(group) : 0;
    struct share_assignee *members = arena_array(arena, struct share_assignee, others + 1);
    const struct share_member **who = arena_array(arena, const struct share_member *, others + 1);
    struct share_names names = beat->next.topics;
    if (group) {
        names = subscribed(group, &beat->next, NULL, arena);
        list_each(node, &group->all) {
            const struct share_member *member = list_entry(node, struct share_member, all);
            if (member == beat->member)
                continue;
            who[count] = member;
            members[count++] = (struct share_assignee){.topics = &member->topics, .before = &member->target};
        }
        list_each(node, &group->initialized.list)
            places += list_entry(node, struct share_topic, node)->count;
    }
    who[count] = &beat->next;
    members[count++] = (struct share_assignee){.topics = &beat->next.topics, .before = &beat->next.target};
    struct share_set all = {.places = arena_array(arena, struct share_place, places + 1)};
    if (group)
        list_each(node, &group->initialized.list) {
            const struct share_topic *topic = list_entry(node, struct share_topic, node);
            for (int i = 0; i < topic->count && !topic->gone && share_names_have(&names, topic->name); i++)
                all.places[all.count++] = (struct share_place){topic->id, topic->partitions[i], -1};
        }
    qsort(all.places, (size_t)all.count, sizeof *all.places, share_place_cmp);
    struct slice *names_of = arena_array(arena, struct slice, all.count + 1);
    for (int i = 0; i < all.count; i++)
        names_of[i] = share_find_topic(&group->initialized, all.places[i].topic_id)->name;
    share_assign(members, count, &all, names_of, arena);
    for (int i = 0; i < count; i++)
        if (!who[i]->has_target || !share_set_eq(&who[i]->target, &members[i].target))
            share_add_target(beat->op, beat->request->group_id, who[i]->id, &members[i].target);
    beat->computed = members[count - 1].target;
    beat->target = &beat->computed;
}

/* Of the target, what the member is still subscribed to. */
static struct share_set filter(const struct beat *beat, const struct share_set *target) {
    const struct image *image = beat->groups->coordinator->host->image;
    struct share_set kept = {.places = arena_array(beat->op->arena, struct share_place, target->count + 1)};
    for (int i = 0; i < target->count; i++) {
        const struct image_topic *topic = image_find_topic_id(image, target->places[i].topic_id);
        if (topic && share_names_have(&beat->next.topics, topic->name))
            kept.places[kept.count++] = target->places[i];
    }
    return kept;
}

/* ---- a heartbeat ------------------------------------------------------------------------------------------------------------- */

static bool refuse(struct share_group_heartbeat_response *response, int16_t error, const char *message) {
    response->error_code = error;
    response->error_message = slice_str(message);
    return false;
}

static bool check_epoch(struct beat *beat, struct share_group_heartbeat_response *response) {
    int32_t epoch = beat->request->member_epoch;
    const struct share_member *member = beat->member;
    if (epoch > member->epoch)
        return refuse(response, KAFKA_FENCED_MEMBER_EPOCH,
                      arena_printf(beat->op->arena, "The share group member has a greater member epoch (%d) than the one known by the group "
                                                    "coordinator (%d). The member must abandon all its partitions and rejoin.", epoch, member->epoch));
    if (epoch < member->epoch && epoch != member->previous_epoch)
        return refuse(response, KAFKA_FENCED_MEMBER_EPOCH,
                      arena_printf(beat->op->arena, "The share group member has a smaller member epoch (%d) than the one known by the group "
                                                    "coordinator (%d), and it does not match the previous member epoch (%d). The member must "
                                                    "abandon all its partitions and rejoin.", epoch, member->epoch, member->previous_epoch));
    return true;
}

static bool find(struct beat *beat, struct share_group_heartbeat_response *response) {
    const struct share_group_heartbeat_request *request = beat->request;
    struct arena *arena = beat->op->arena;
    bool other;
    beat->group = share_find(beat->groups, request->group_id, &other);
    if (other)
        return refuse(response, KAFKA_GROUP_ID_NOT_FOUND, arena_printf(arena, "Group %.*s is not a share group.", SLICE_FMT(request->group_id)));
    if (!beat->group && request->member_epoch != 0)
        return refuse(response, KAFKA_GROUP_ID_NOT_FOUND,
                      arena_printf(arena, request->member_epoch < 0 ? "Group %.*s not found." : "Share group %.*s not found.", SLICE_FMT(request->group_id)));
    beat->member = beat->group ? share_find_member(beat->group, request->member_id) : NULL;
    int64_t max = coordinator_config_int(beat->groups->coordinator, "group.share.max.size");
    if (request->member_epoch >= 0 && beat->group && !beat->member && share_member_count(beat->group) >= max)
        return refuse(response, KAFKA_GROUP_MAX_SIZE_REACHED,
                      arena_printf(arena, "The share group has reached its maximum capacity of %lld members.", (long long)max));
    if (!beat->member && request->member_epoch != 0)
        return refuse(response, KAFKA_UNKNOWN_MEMBER_ID,
                      arena_printf(arena, "Member %.*s is not a member of group %.*s.", SLICE_FMT(request->member_id), SLICE_FMT(request->group_id)));
    return request->member_epoch <= 0 || check_epoch(beat, response);
}

/* The member as the request has it; true: its topics are others now. */
static bool update_member(struct beat *beat, const struct share_client *client) {
    const struct share_group_heartbeat_request *request = beat->request;
    struct share_member *next = &beat->next;
    const struct share_member *member = beat->member;
    *next = member ? *member : (struct share_member){.id = request->member_id};
    next->client_id = client->id.ptr ? client->id : SLICE_EMPTY;
    next->client_host = client->host;
    if (request->rack_id.ptr)
        next->rack = request->rack_id;
    if (request->subscribed_topic_names_count >= 0) {
        next->topics = (struct share_names){.names = arena_array(beat->op->arena, struct slice, request->subscribed_topic_names_count + 1)};
        for (int i = 0; i < request->subscribed_topic_names_count; i++)
            next->topics.names[next->topics.count++] = request->subscribed_topic_names[i];
        share_names_sort(&next->topics);
    }
    bool topics = !member || !share_names_eq(&member->topics, &next->topics);
    if (topics || !slice_eq(member->rack, next->rack) || !slice_eq(member->client_id, next->client_id) ||
        !slice_eq(member->client_host, next->client_host))
        share_add_member(beat->op, request->group_id, next);
    return topics;
}

static bool raise_epoch(struct beat *beat, bool bump) {
    struct share_group *group = beat->group;
    struct arena *arena = beat->op->arena;
    const struct coordinator *coordinator = beat->groups->coordinator;
    beat->epoch = group ? group->epoch : 1;
    if (group && group->assignment_epoch >= group->epoch)
        bump |= assignment_is_pending(group, arena);
    if (!bump && !group->stale)
        return false;
    struct share_names names = beat->next.topics;
    if (group)
        names = subscribed(group, &beat->next, NULL, arena);
    int64_t hash = metadata_hash_group(coordinator->host->image, names.names, names.count);
    bump |= !group || hash != group->metadata_hash;
    if (group)
        group->stale = false;
    if (!bump)
        return false;
    share_add_epoch(beat->op, beat->request->group_id, ++beat->epoch, hash);
    beat->groups->rebalances[GROUP_SHARE]++;
    return true;
}

static void reconcile(struct beat *beat, int32_t target_epoch, bool bumped) {
    struct share_member *next = &beat->next;
    const struct share_member *member = beat->member;
    const struct share_set *target = beat->target ? beat->target : &next->target;
    if (!bumped && next->epoch == target_epoch)
        return;
    next->assigned = filter(beat, target);
    if (next->epoch != target_epoch) {
        next->previous_epoch = next->epoch;
        next->epoch = target_epoch;
    } else if (share_set_eq(&member->assigned, &next->assigned)) {
        return;
    }
    share_add_current(beat->op, beat->request->group_id, next);
}

static void set_assignment(struct beat *beat, struct share_group_heartbeat_response *response) {
    struct arena *arena = beat->op->arena;
    const struct share_set *set = &beat->next.assigned;
    struct share_group_heartbeat_response_assignment *assignment = arena_new(arena, struct share_group_heartbeat_response_assignment);
    assignment->topic_partitions = arena_array(arena, struct share_group_heartbeat_response_topic_partitions, set->count + 1);
    int32_t *indexes = arena_array(arena, int32_t, set->count + 1);
    for (int i = 0; i < set->count; i++) {
        indexes[i] = set->places[i].partition;
        if (!i || !uuid_eq(set->places[i].topic_id, set->places[i - 1].topic_id))
            assignment->topic_partitions[assignment->topic_partitions_count++] =
                (struct share_group_heartbeat_response_topic_partitions){.topic_id = set->places[i].topic_id, .partitions = &indexes[i]};
        assignment->topic_partitions[assignment->topic_partitions_count - 1].partitions_count++;
    }
    response->assignment = assignment;
}

static void answer(struct beat *beat, struct share_group_heartbeat_response *response) {
    const struct share_member *member = beat->member;
    struct share_group unknown = {.base = {.groups = beat->groups, .id = beat->request->group_id}};
    response->member_id = arena_slice(beat->op->arena, beat->next.id);
    response->member_epoch = beat->next.epoch;
    response->heartbeat_interval_ms =
        (int32_t)share_config(beat->group ? beat->group : &unknown, "share.heartbeat.interval.ms", "group.share.heartbeat.interval.ms");
    if (beat->request->member_epoch == 0 || beat->request->subscribed_topic_names_count >= 0 || !member ||
        !share_set_eq(&member->assigned, &beat->next.assigned))
        set_assignment(beat, response);
}

static void stay(struct beat *beat, const struct share_client *client, struct share_group_heartbeat_response *response,
                 struct share_init *ret_init) {
    struct share_group *group = beat->group;
    struct groups *groups = beat->groups;
    int64_t now = coordinator_now_ms(groups->coordinator);
    bool bumped = raise_epoch(beat, update_member(beat, client));
    struct share_group unknown = {.base = {.groups = groups, .id = beat->request->group_id}};
    int64_t interval = share_config(group ? group : &unknown, "share.assignment.interval.ms", "group.share.assignment.interval.ms");
    int32_t target_epoch = group ? group->assignment_epoch : 1;
    if (target_epoch < beat->epoch && !(group && coordinator_is_recent(groups->coordinator, group->assignment_ms, interval))) {
        compute_targets(beat);
        target_epoch = beat->epoch;
        share_add_target_epoch(beat->op, beat->request->group_id, target_epoch, now);
    }
    reconcile(beat, target_epoch, bumped);
    if (beat->member)
        share_start_session(beat->member);
    struct share_names names = {0};
    if (!group)
        names = beat->next.topics;
    else
        names = subscribed(group, bumped ? &beat->next : NULL, NULL, beat->op->arena);
    share_init_missing(groups, beat->op, group, beat->request->group_id, &names, beat->epoch, ret_init);
    answer(beat, response);
}

void share_leave(struct share_group *group, struct coordinator_op *op, struct share_member *member) {
    struct slice group_id = arena_slice(op->arena, group->base.id), member_id = arena_slice(op->arena, member->id);
    struct share_names names = subscribed(group, NULL, member, op->arena);
    share_add_member_tombstones(op, group_id, member_id);
    share_add_epoch(op, group_id, group->epoch + 1, hash_of(group, &names));
}

void share_heartbeat(struct groups *groups, struct coordinator_op *op, const struct share_group_heartbeat_request *request,
                     const struct share_client *client, struct share_group_heartbeat_response *response, struct share_init *ret_init) {
    struct beat beat = {.groups = groups, .op = op, .request = request};
    *ret_init = (struct share_init){0};
    if (!find(&beat, response))
        return;
    if (request->member_epoch < 0) {
        response->member_id = arena_slice(op->arena, request->member_id);
        response->member_epoch = request->member_epoch;
        share_leave(beat.group, op, beat.member);
        return;
    }
    stay(&beat, client, response, ret_init);
}
