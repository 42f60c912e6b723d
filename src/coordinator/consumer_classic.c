/* Where the classic protocol and consumer groups meet.
 *
 * A classic group that a member of the consumer protocol joins becomes a consumer group: its members stay, with what they
 * have, marked as classic; each request of theirs is answered as if the group were classic, the generation being the
 * member's epoch. There is no leader: the server assigns. When the last member of the consumer protocol goes, the group
 * becomes classic again, at the generation that is the group's epoch. */
#include <inttypes.h>

#include "base/trace.h"
#include "coordinator/consumer_internal.h"
#include "protocol/consumer_protocol_assignment.h"
#include "protocol/consumer_protocol_subscription.h"

static struct slice migration_policy(const struct coordinator *coordinator) {
    return broker_config_get(coordinator->host->config, "group.consumer.migration.policy");
}
static bool policy_is(const struct coordinator *coordinator, const char *policy) {
    struct slice s = migration_policy(coordinator);
    return s.size == strlen(policy) && strncasecmp((const char *)s.ptr, policy, s.size) == 0;
}

/* ---- the embedded consumer protocol: 2 bytes of version, then what that version says --------------------------------------------- */

enum { PROTOCOL_VERSION_MAX = CONSUMER_PROTOCOL_SUBSCRIPTION_VERSION_MAX };

/* Versions that we do not know are read as the last we know. */
static enum err read_version(struct decoder *d, int *ret_version) {
    int version = decode_int16(d);
    if (d->err || version < 0)
        return ERR_INVALID;
    *ret_version = version > PROTOCOL_VERSION_MAX ? PROTOCOL_VERSION_MAX : version;
    return ERR_OK;
}

static enum err read_subscription(struct slice bytes, struct arena *arena, struct consumer_protocol_subscription *ret_subscription) {
    struct decoder d = decoder_of(bytes, arena);
    int version;
    enum err err = read_version(&d, &version);
    consumer_protocol_subscription_init(ret_subscription);
    return err ? err : consumer_protocol_subscription_decode(&d, version, ret_subscription);
}

static enum err read_assignment(struct slice bytes, struct arena *arena, struct consumer_protocol_assignment *ret_assignment) {
    struct decoder d = decoder_of(bytes, arena);
    int version;
    enum err err = read_version(&d, &version);
    consumer_protocol_assignment_init(ret_assignment);
    return err ? err : consumer_protocol_assignment_decode(&d, version, ret_assignment);
}

/* In the version of a member's metadata. Topics that are gone are left out. */
static struct slice write_assignment(struct coordinator_op *op, struct consumer_partitions partitions, struct slice metadata) {
    const struct image *image = op->coordinator->host->image;
    struct consumer_protocol_assignment assignment;
    consumer_protocol_assignment_init(&assignment);
    assignment.assigned_partitions = arena_array(op->arena, struct consumer_protocol_assignment_topic_partition, partitions.count + 1);
    int32_t *numbers = arena_array(op->arena, int32_t, partitions.count + 1);
    struct consumer_protocol_assignment_topic_partition *at = NULL;
    for (int i = 0; i < partitions.count; i++) {
        const struct consumer_partition *p = &partitions.items[i];
        const struct image_topic *topic = image_find_topic_id(image, p->topic);
        numbers[i] = p->partition;
        if (!topic)
            continue;
        if (!at || !slice_eq(at->topic, topic->name)) {
            at = &assignment.assigned_partitions[assignment.assigned_partitions_count++];
            at->topic = topic->name;
            at->partitions = &numbers[i];
            at->partitions_count = 0;
        }
        at->partitions_count++;
    }
    struct decoder d = decoder_of(metadata, op->arena);
    int version = 0;
    if (read_version(&d, &version))
        version = 0;
    return RECORD_BYTES_(op->arena, version, version, consumer_protocol_assignment, &assignment);
}

/* ---- a classic group becomes a consumer group ------------------------------------------------------------------------------------- */

static bool may_upgrade(struct consumer_step *step, const struct classic_group *classic) {
    struct coordinator *coordinator = step->op->coordinator;
    const char *why = NULL;
    if (!policy_is(coordinator, "bidirectional") && !policy_is(coordinator, "upgrade"))
        why = "online upgrade is disabled";
    else if (!slice_eq_str(classic->protocol_type, "consumer"))
        why = "the group does not use the consumer embedded protocol";
    else if (classic->member_count > coordinator_config_int(coordinator, "group.consumer.max.size"))
        why = "the group size exceeds the consumer group maximum size";
    return !why || consumer_refuse(step, KAFKA_GROUP_ID_NOT_FOUND, "Cannot upgrade classic group %.*s to consumer group because %s.",
                                   SLICE_FMT(step->group_id), why);
}

static bool is_malformed(struct consumer_step *step) {
    return consumer_refuse(step, KAFKA_GROUP_ID_NOT_FOUND,
                           "Cannot upgrade classic group %.*s to consumer group because the embedded consumer protocol is malformed.",
                           SLICE_FMT(step->group_id));
}

static bool assigned_of(struct consumer_step *step, const struct classic_member *member, int32_t epoch, struct consumer_partitions *ret_assigned) {
    struct arena *arena = step->op->arena;
    struct consumer_protocol_assignment assignment;
    *ret_assigned = (struct consumer_partitions){0};
    if (!member->assignment.size)
        return true;
    if (read_assignment(member->assignment, arena, &assignment))
        return is_malformed(step);
    if (assignment.user_data.size)
        return consumer_refuse(step, KAFKA_GROUP_ID_NOT_FOUND,
                               "Cannot upgrade classic group %.*s to consumer group because an unsupported custom assignor is in use. "
                               "Please refer to the documentation or switch to a default assignor before re-attempting the upgrade.",
                               SLICE_FMT(step->group_id));
    int count = 0;
    for (int i = 0; i < assignment.assigned_partitions_count; i++)
        count += assignment.assigned_partitions[i].partitions_count;
    ret_assigned->items = arena_array(arena, struct consumer_partition, count + 1);
    for (int i = 0; i < assignment.assigned_partitions_count; i++) {
        const struct image_topic *topic = image_find_topic(step->op->coordinator->host->image, assignment.assigned_partitions[i].topic);
        for (int k = 0; topic && k < assignment.assigned_partitions[i].partitions_count; k++)
            ret_assigned->items[ret_assigned->count++] =
                (struct consumer_partition){topic->id, assignment.assigned_partitions[i].partitions[k], epoch};
    }
    consumer_partitions_sort(ret_assigned);
    return true;
}

static bool take_over(struct consumer_step *step, struct consumer_group *group, const struct classic_member *from, struct slice protocol) {
    struct arena *arena = step->op->arena;
    struct consumer_protocol_subscription read;
    if (read_subscription(classic_member_metadata(from, protocol), arena, &read))
        return is_malformed(step);
    struct consumer_current current = {.epoch = group->epoch, .previous_epoch = group->epoch};
    if (!assigned_of(step, from, group->epoch, &current.assigned))
        return false;
    struct consumer_subscription subscription = consumer_subscription_new();
    subscription.instance_id = from->instance_id;
    subscription.rack_id = read.rack_id.size ? read.rack_id : SLICE_NULL;
    subscription.client_id = from->client_id;
    subscription.client_host = from->client_host;
    subscription.rebalance_timeout_ms = from->rebalance_timeout_ms;
    subscription.topics = consumer_names_sort(arena, read.topics, read.topics_count, &subscription.topic_count);
    subscription.is_classic = true;
    subscription.session_timeout_ms = from->session_timeout_ms;
    subscription.protocol_count = from->protocol_count;
    subscription.protocols = arena_array(arena, struct consumer_protocol, from->protocol_count + 1);
    for (int i = 0; i < from->protocol_count; i++)
        subscription.protocols[i] = (struct consumer_protocol){from->protocols[i].name, from->protocols[i].metadata};
    struct consumer_member *member = consumer_get_any(group, from->id);
    consumer_set_subscription(member, &subscription);
    consumer_set_current(member, &current);
    consumer_set_target(member, &current.assigned);
    return true;
}

struct consumer_group *consumer_upgrade(struct consumer_step *step, struct groups *groups, struct group *base) {
    struct classic_group *classic = classic_of(base);
    struct coordinator_op *op = step->op;
    if (!may_upgrade(step, classic))
        return NULL;
    struct slice protocol = classic->protocol.ptr ? classic->protocol : classic_vote(classic);
    struct consumer_group *group = consumer_group_create(groups);
    group->epoch = group->target_epoch = classic->generation;
    bool is_good = protocol.ptr || is_malformed(step);
    for (struct list *node = classic->members.next; is_good && node != &classic->members; node = node->next)
        is_good = take_over(step, group, list_entry(node, struct classic_member, all), protocol);
    if (!is_good) {
        consumer_group_free(&group->group);
        return NULL;
    }
    group->metadata_hash = consumer_hash(group, op->arena);
    /* Those who wait join again, for the rebalance that begins now. */
    classic_fail_all(classic, KAFKA_REBALANCE_IN_PROGRESS);
    base->methods->add_tombstones(base, op);
    struct slice id = step->group_id;
    consumer_each_member(member, group)
        consumer_add_member(op, id, member->id, member->subscription);
    consumer_add_epoch(op, id, group->epoch, group->metadata_hash);
    consumer_each_member(member, group)
        consumer_add_target(op, id, member->id, *member->target);
    consumer_add_target_epoch(op, id, group->target_epoch, 0);
    consumer_each_member(member, group)
        consumer_add_current(op, id, member->id, member->current);
    return group;
}

/* ---- and back ------------------------------------------------------------------------------------------------------------------------ */

bool consumer_may_downgrade(const struct consumer_group *group, struct consumer_member *const *leaving, int count, bool replaced) {
    struct coordinator *coordinator = consumer_coordinator(group);
    int classic = group->classic_count, left = group->member_count - count;
    for (int i = 0; i < count; i++)
        classic -= leaving[i]->subscription->is_classic;
    if (classic != left || (replaced && leaving[0]->subscription->is_classic))
        return false;
    if (replaced)
        left++;
    return left > 0 && (policy_is(coordinator, "bidirectional") || policy_is(coordinator, "downgrade")) &&
           left <= coordinator_config_int(coordinator, "group.max.size");
}

static bool is_among(struct consumer_member *const *members, int count, const struct consumer_member *member) {
    for (int i = 0; i < count; i++)
        if (members[i] == member)
            return true;
    return false;
}

static void add_classic(struct classic_group *classic, struct slice id, const struct consumer_subscription *subscription, struct arena *arena) {
    struct classic_protocol *protocols = arena_array(arena, struct classic_protocol, subscription->protocol_count + 1);
    for (int i = 0; i < subscription->protocol_count; i++)
        protocols[i] = (struct classic_protocol){subscription->protocols[i].name, subscription->protocols[i].metadata};
    const struct classic_member_spec spec = {
        .id = id,
        .instance_id = subscription->instance_id,
        .client_id = subscription->client_id,
        .client_host = subscription->client_host,
        .protocol_type = SLICE_LIT("consumer"),
        .rebalance_timeout_ms = subscription->rebalance_timeout_ms,
        .session_timeout_ms = subscription->session_timeout_ms,
        .protocols = protocols,
        .protocol_count = subscription->protocol_count,
    };
    classic_member_add(classic, &spec);
}

static void assign_classic(struct classic_group *classic, struct coordinator_op *op, struct slice id, const struct consumer_member *from,
                           struct slice protocol) {
    struct classic_member *member = classic_member_find(classic, id);
    struct consumer_partitions target = from->target ? *from->target : (struct consumer_partitions){0};
    classic_member_assign(member, write_assignment(op, target, classic_member_metadata(member, protocol)));
}

bool consumer_downgrade(struct consumer_group *group, struct coordinator_op *op, struct consumer_member *const *leaving, int count,
                        const struct consumer_step *joining, bool rebalance) {
    enum { BATCH_SAFE = 512 << 10 };
    struct classic_group *classic = classic_group_create_detached(group->group.groups);
    consumer_each_member(member, group)
        if (!is_among(leaving, count, member) && (!joining || member != joining->replaced))
            add_classic(classic, member->id, member->subscription, op->arena);
    if (joining)
        add_classic(classic, joining->member_id, &joining->is, op->arena);
    struct slice protocol = classic_vote(classic);
    if (!protocol.ptr) { /* of records that should not be */
        classic->group.methods->free(&classic->group);
        return false;
    }
    consumer_each_member(member, group)
        if (joining && member == joining->replaced)
            assign_classic(classic, op, joining->member_id, member, protocol);
        else if (!is_among(leaving, count, member))
            assign_classic(classic, op, member->id, member, protocol);
    consumer_add_group_tombstones(op, group, joining ? joining->replaced : NULL, joining ? joining->member_id : SLICE_NULL);
    int32_t generation = group->epoch;
    op->applied = true;
    trace_info("coordinator", "a consumer group becomes a classic group", TRACE_SLICE("group", group->group.id));
    groups_replace(&group->group, &classic->group);
    classic_stabilize(classic, op, generation);
    op->divisible = op->size > BATCH_SAFE; /* a crash in between costs a rebalance */
    if (rebalance)
        classic_rebalance(classic, op, "the last member of the consumer protocol has gone");
    return true;
}

/* ---- JoinGroup ------------------------------------------------------------------------------------------------------------------------- */

static bool offers(const struct consumer_member *member, struct slice protocol) {
    for (int i = 0; i < member->subscription->protocol_count; i++)
        if (slice_eq(member->subscription->protocols[i].name, protocol))
            return true;
    return false;
}

/* One protocol at least that all classic members have. */
static bool are_supported(const struct consumer_group *group, const struct join_group_request *request) {
    if (!slice_eq_str(request->protocol_type, "consumer"))
        return false;
    for (int i = 0; i < request->protocols_count; i++) {
        int members = 0;
        consumer_each_member(member, group)
            members += offers(member, request->protocols[i].name);
        if (members == group->classic_count)
            return true;
    }
    return false;
}

static void owned_of(struct consumer_step *step, const struct consumer_protocol_subscription *read) {
    struct consumer_group_heartbeat_request_topic_partitions *topics =
        arena_array(step->op->arena, struct consumer_group_heartbeat_request_topic_partitions, read->owned_partitions_count + 1);
    int count = 0;
    for (int i = 0; i < read->owned_partitions_count; i++) {
        const struct image_topic *topic = image_find_topic(step->op->coordinator->host->image, read->owned_partitions[i].topic);
        if (topic)
            topics[count++] = (struct consumer_group_heartbeat_request_topic_partitions){
                topic->id, read->owned_partitions[i].partitions, read->owned_partitions[i].partitions_count};
    }
    step->owned = (struct consumer_owned){topics, count};
}

static void merge(struct consumer_step *step, const struct classic_join *join, const struct consumer_protocol_subscription *read) {
    const struct join_group_request *request = join->request;
    struct arena *arena = step->op->arena;
    struct consumer_subscription *is = &step->is;
    *is = step->was;
    if (request->group_instance_id.ptr)
        is->instance_id = request->group_instance_id;
    if (read->rack_id.size)
        is->rack_id = read->rack_id;
    int32_t rebalance_timeout_ms = join->version == 0 ? request->session_timeout_ms : request->rebalance_timeout_ms;
    if (rebalance_timeout_ms != -1)
        is->rebalance_timeout_ms = rebalance_timeout_ms;
    is->topics = consumer_names_sort(arena, read->topics, read->topics_count, &is->topic_count);
    is->regex = SLICE_EMPTY;
    is->client_id = join->client_id.ptr ? join->client_id : SLICE_EMPTY;
    is->client_host = join->client_host;
    is->is_classic = true;
    is->session_timeout_ms = request->session_timeout_ms;
    is->protocol_count = request->protocols_count;
    is->protocols = arena_array(arena, struct consumer_protocol, request->protocols_count + 1);
    for (int i = 0; i < request->protocols_count; i++)
        is->protocols[i] = (struct consumer_protocol){request->protocols[i].name, request->protocols[i].metadata};
}

/* Who joins; false: it is answered (refused, or told its new id). */
static bool identify(struct consumer_step *step, struct classic_join *join) {
    const struct join_group_request *request = join->request;
    enum { KNOWN_MEMBER_ID_VERSION = 4 };
    bool is_unknown = !request->member_id.size;
    if (policy_is(step->op->coordinator, "disabled"))
        return consumer_refuse(step, KAFKA_INCONSISTENT_GROUP_PROTOCOL, "The group's migration is disabled.");
    if (is_unknown) {
        struct uuid id;
        char *text = arena_alloc(step->op->arena, UUID_TEXT_SIZE);
        coordinator_uuid(step->op->coordinator, &id);
        step->member_id = slice_str(uuid_text(id, text));
    }
    if (consumer_step_full(step))
        return false;
    if (!are_supported(step->group, request))
        return consumer_refuse(step, KAFKA_INCONSISTENT_GROUP_PROTOCOL, "The member's protocols are not supported.");
    if (is_unknown && join->version >= KNOWN_MEMBER_ID_VERSION && !request->group_instance_id.ptr) {
        join->response.member_id = step->member_id;
        join->response.error_code = KAFKA_MEMBER_ID_REQUIRED;
        return false;
    }
    return request->group_instance_id.ptr ? consumer_step_static(step, request->group_instance_id, is_unknown, true)
                                          : consumer_step_dynamic(step, true);
}

static void start_timers(struct consumer_step *step) {
    struct consumer_member *member = consumer_get_any(step->group, step->member_id);
    classic_timer_stop(&member->join);
    classic_session_extend(&member->session, step->is.session_timeout_ms);
    classic_timer_start(&member->sync, step->is.rebalance_timeout_ms);
}

static bool join_group(struct consumer_step *step, struct classic_join *join) {
    struct consumer_protocol_subscription read;
    if (!identify(step, join))
        return false;
    struct consumer_member *holder = consumer_find_instance(step->group, join->request->group_instance_id);
    bool downgrade = holder && consumer_may_downgrade(step->group, &holder, 1, true);
    if (read_subscription(join->request->protocols[0].metadata, step->op->arena, &read))
        return consumer_refuse(step, KAFKA_UNKNOWN_SERVER_ERROR, "The subscription cannot be read.");
    merge(step, join, &read);
    owned_of(step, &read);
    if (!consumer_step_subscribe(step, true))
        return false;
    bool rebalance = downgrade && step->group->target_epoch < step->group_epoch;
    if (!downgrade && !consumer_step_assign(step))
        return false;
    if (downgrade) {
        step->has = step->had;
        step->target_epoch = step->group->target_epoch;
        step->target = holder->target ? *holder->target : (struct consumer_partitions){0};
    }
    if (!rebalance && !consumer_step_reconcile(step))
        return false;
    join->response.generation_id = step->has.epoch;
    if (!downgrade) {
        start_timers(step);
        return true;
    }
    if (!step->replaced)
        step->replaced = holder; /* the same id, now of the other protocol */
    return consumer_downgrade(step->group, step->op, NULL, 0, step, rebalance) ||
           consumer_refuse(step, KAFKA_GROUP_ID_NOT_FOUND, "The classic members share no protocol.");
}

void consumer_classic_join(struct group *base, struct classic_join *join) {
    struct consumer_step step = {.op = join->op, .group = consumer_group_of(base)};
    step.group_id = arena_slice(join->op->arena, base->id);
    step.member_id = join->request->member_id;
    if (join_group(&step, join)) {
        join->response.member_id = step.member_id;
        join->response.protocol_type = SLICE_LIT("consumer");
        join->response.protocol_name = join->request->protocols[0].name;
    } else if (step.error) {
        coordinator_forget(join->op);
        join->response.error_code = step.error;
        join->response.member_id = SLICE_EMPTY;
    }
}

/* ---- SyncGroup, Heartbeat, LeaveGroup ------------------------------------------------------------------------------------------------------ */

static int16_t find_member(const struct consumer_group *group, struct slice id, struct slice instance_id, struct consumer_member **ret_member) {
    *ret_member = instance_id.ptr ? consumer_find_instance(group, instance_id) : consumer_find_member(group, id);
    if (!*ret_member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    return slice_eq((*ret_member)->id, id) ? KAFKA_NONE : KAFKA_FENCED_INSTANCE_ID;
}

static int16_t find_classic(const struct consumer_group *group, struct slice id, struct slice instance_id, int32_t generation,
                            struct consumer_member **ret_member) {
    int16_t error = find_member(group, id, instance_id, ret_member);
    if (error)
        return error;
    if (!(*ret_member)->subscription->is_classic)
        return KAFKA_UNKNOWN_MEMBER_ID;
    return generation == (*ret_member)->current->epoch ? KAFKA_NONE : KAFKA_ILLEGAL_GENERATION;
}

static int16_t tell_to_join(struct consumer_member *member) {
    if (!timer_is_running(&member->join.timer))
        classic_timer_start(&member->join, member->subscription->rebalance_timeout_ms);
    return KAFKA_REBALANCE_IN_PROGRESS;
}

static int16_t sync_group(struct consumer_group *group, struct classic_sync *sync) {
    const struct sync_group_request *request = sync->request;
    struct consumer_member *member;
    int16_t error = find_classic(group, request->member_id, request->group_instance_id, request->generation_id, &member);
    if (error)
        return error;
    const struct consumer_subscription *subscription = member->subscription;
    struct consumer_protocol first = subscription->protocol_count ? subscription->protocols[0] : (struct consumer_protocol){0};
    if ((request->protocol_type.ptr && !slice_eq_str(request->protocol_type, "consumer")) ||
        (request->protocol_name.ptr && !slice_eq(request->protocol_name, first.name)))
        return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    if (group->target_epoch > member->current->epoch && member->current->state != CONSUMER_UNREVOKED)
        return tell_to_join(member);
    classic_timer_stop(&member->sync);
    classic_session_extend(&member->session, subscription->session_timeout_ms);
    sync->response.protocol_type = request->protocol_type;
    sync->response.protocol_name = request->protocol_name;
    sync->response.assignment = write_assignment(sync->op, member->current->assigned, first.metadata);
    return KAFKA_NONE;
}

void consumer_classic_sync(struct group *base, struct classic_sync *sync) {
    sync->response.error_code = sync_group(consumer_group_of(base), sync);
}

static bool waits_for_others(const struct consumer_group *group, const struct consumer_member *member) {
    for (int i = 0; member->target && i < member->target->count; i++) {
        const struct consumer_partition *p = &member->target->items[i];
        if (!consumer_partitions_find(member->current->assigned, p->topic, p->partition) &&
            consumer_owner_epoch(group, p->topic, p->partition) != -1)
            return true;
    }
    return false;
}

int16_t consumer_classic_heartbeat(struct group *base, const struct heartbeat_request *request) {
    const struct consumer_group *group = consumer_group_of(base);
    struct consumer_member *member;
    int16_t error = find_classic(group, request->member_id, request->group_instance_id, request->generation_id, &member);
    if (error)
        return error;
    classic_session_extend(&member->session, member->subscription->session_timeout_ms);
    if (member->current->epoch < group->target_epoch || member->current->state == CONSUMER_UNREVOKED ||
        (member->current->state == CONSUMER_UNRELEASED && !waits_for_others(group, member)))
        return tell_to_join(member);
    return KAFKA_NONE;
}

static int16_t find_leaving(const struct consumer_group *group, const struct leave_group_request_member_identity *identity,
                            struct consumer_member **ret_member) {
    if (identity->member_id.size || !identity->group_instance_id.ptr)
        return find_member(group, identity->member_id, identity->group_instance_id, ret_member);
    *ret_member = consumer_find_instance(group, identity->group_instance_id); /* an administrator's */
    return *ret_member ? KAFKA_NONE : KAFKA_UNKNOWN_MEMBER_ID;
}

void consumer_classic_leave(struct group *base, struct classic_leave *leave) {
    struct consumer_group *group = consumer_group_of(base);
    const struct leave_group_request *request = leave->request;
    struct arena *arena = leave->op->arena;
    struct consumer_member **leaving = arena_array(arena, struct consumer_member *, request->members_count + 1);
    int count = 0;
    leave->response.members = arena_array(arena, struct leave_group_response_member_response, request->members_count + 1);
    for (int i = 0; i < request->members_count; i++) {
        struct consumer_member *member;
        int16_t error = find_leaving(group, &request->members[i], &member);
        leave->response.members[leave->response.members_count++] = (struct leave_group_response_member_response){
            request->members[i].member_id, request->members[i].group_instance_id, error};
        if (!error && !is_among(leaving, count, member))
            leaving[count++] = member;
    }
    consumer_fence(group, leave->op, leaving, count);
}
