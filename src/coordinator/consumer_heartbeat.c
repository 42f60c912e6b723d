/* ConsumerGroupHeartbeat: a member joins (epoch 0), says that it lives and what it has, or leaves (-1; -2 a static one that
 * will be back). Each step looks at the state and adds records; the order of records is Kafka's. */
#include "base/trace.h"
#include "coordinator/consumer_internal.h"
#include "metadata/config_check.h"

/* ---- the request by itself ----------------------------------------------------------------------------------------------------- */

enum { MEMBER_ID_VERSION = 1 }; /* from here on clients make up their own */

static bool is_blank(struct slice s) { /* null is not */
    for (size_t i = 0; i < s.size; i++)
        if (s.ptr[i] > ' ')
            return false;
    return s.ptr != NULL;
}

static struct slice assignor_name(struct slice configured) {
    if (slice_eq_str(configured, "org.apache.kafka.coordinator.group.assignor.UniformAssignor"))
        return SLICE_LIT("uniform");
    if (slice_eq_str(configured, "org.apache.kafka.coordinator.group.assignor.RangeAssignor"))
        return SLICE_LIT("range");
    return configured;
}

static const char *check_fields(const struct consumer_group_heartbeat_request *request, int version) {
    int32_t epoch = request->member_epoch;
    if ((version >= MEMBER_ID_VERSION || epoch > 0 || epoch == CONSUMER_EPOCH_LEAVE) && is_blank(request->member_id))
        return "MemberId can't be empty.";
    if (is_blank(request->group_id))
        return "GroupId can't be empty.";
    if (is_blank(request->instance_id))
        return "InstanceId can't be empty.";
    if (is_blank(request->rack_id))
        return "RackId can't be empty.";
    if (epoch == 0 && request->rebalance_timeout_ms == -1)
        return "RebalanceTimeoutMs must be provided in first request.";
    if (epoch == 0 && request->topic_partitions_count != 0)
        return "TopicPartitions must be empty when (re-)joining.";
    if (epoch == 0 && request->subscribed_topic_names_count < 0 && !request->subscribed_topic_regex.ptr)
        return "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.";
    if (epoch == CONSUMER_EPOCH_LEAVE_STATIC && !request->instance_id.ptr)
        return "InstanceId can't be null.";
    return epoch < CONSUMER_EPOCH_LEAVE_STATIC ? "MemberEpoch is invalid." : NULL;
}

int16_t consumer_check_heartbeat(const struct broker_config *config, const struct consumer_group_heartbeat_request *request, int version,
                                 struct arena *arena, struct slice *ret_message) {
    const char *text = check_fields(request, version);
    *ret_message = slice_str(text);
    if (text)
        return KAFKA_INVALID_REQUEST;
    if (!request->server_assignor.ptr)
        return KAFKA_NONE;
    struct slice list = broker_config_get(config, "group.consumer.assignors"), item;
    struct buf names = {0};
    bool is_known = false;
    while (config_list_next(&list, &item)) {
        is_known |= slice_eq(assignor_name(item), request->server_assignor);
        buf_printf(&names, "%s%.*s", names.size ? ", " : "", SLICE_FMT(assignor_name(item)));
    }
    if (!is_known)
        *ret_message = slice_str(arena_printf(arena, "ServerAssignor %.*s is not supported. Supported assignors: %.*s.",
                                              SLICE_FMT(request->server_assignor), SLICE_FMT(buf_slice(&names))));
    buf_deinit(&names);
    return is_known ? KAFKA_NONE : KAFKA_UNSUPPORTED_ASSIGNOR;
}

/* ---- who it is --------------------------------------------------------------------------------------------------------------------- */

bool consumer_step_full(struct consumer_step *step) {
    int64_t size_max = coordinator_config_int(step->op->coordinator, "group.consumer.max.size");
    if (step->group->member_count < size_max || (step->member_id.size && consumer_find_member(step->group, step->member_id)))
        return false;
    consumer_refuse(step, KAFKA_GROUP_MAX_SIZE_REACHED, "The consumer group has reached its maximum capacity of %lld members.",
                    (long long)size_max);
    return true;
}

static void take_member(struct consumer_step *step, struct consumer_member *member) {
    step->member = member;
    step->was = *member->subscription;
    step->had = *member->current;
}

static void take_nobody(struct consumer_step *step) {
    step->was = consumer_subscription_new();
    step->had = (struct consumer_current){.epoch = 0, .previous_epoch = -1};
}

bool consumer_step_dynamic(struct consumer_step *step, bool create) {
    struct consumer_member *member = consumer_find_member(step->group, step->member_id);
    if (!member && !create)
        return consumer_refuse(step, KAFKA_UNKNOWN_MEMBER_ID, "Member %.*s is not a member of group %.*s.", SLICE_FMT(step->member_id),
                               SLICE_FMT(step->group_id));
    if (member)
        take_member(step, member);
    else
        take_nobody(step);
    return true;
}

static bool is_fenced(struct consumer_step *step, const struct consumer_member *holder, struct slice instance_id) {
    if (slice_eq(holder->id, step->member_id))
        return false;
    consumer_refuse(step, KAFKA_FENCED_INSTANCE_ID, "Static member %.*s with instance id %.*s was fenced by member %.*s.",
                    SLICE_FMT(step->member_id), SLICE_FMT(instance_id), SLICE_FMT(holder->id));
    return true;
}

static struct consumer_partitions target_of(const struct consumer_member *member) {
    return member && member->target ? *member->target : (struct consumer_partitions){0};
}

/* Another id takes over what the static member has, its target included. */
static void replace(struct consumer_step *step, struct consumer_member *holder) {
    struct coordinator_op *op = step->op;
    step->replaced = holder;
    step->was = *holder->subscription;
    step->had = *holder->current;
    step->had.epoch = step->had.previous_epoch = 0;
    consumer_add_member_tombstones(op, step->group_id, holder->id);
    consumer_add_member(op, step->group_id, step->member_id, &step->was);
    consumer_add_target(op, step->group_id, step->member_id, target_of(holder));
    consumer_add_current(op, step->group_id, step->member_id, &step->had);
}

bool consumer_step_static(struct consumer_step *step, struct slice instance_id, bool create, bool is_classic) {
    struct consumer_member *holder = consumer_find_instance(step->group, instance_id);
    if (!create) {
        if (!holder)
            return consumer_refuse(step, KAFKA_UNKNOWN_MEMBER_ID, "Instance id %.*s is unknown.", SLICE_FMT(instance_id));
        if (is_fenced(step, holder, instance_id))
            return false;
        take_member(step, holder);
        return true;
    }
    if (!holder) { /* a dynamic member may turn into a static one */
        struct consumer_member *member = consumer_find_member(step->group, step->member_id);
        if (member)
            take_member(step, member);
        else
            take_nobody(step);
        return true;
    }
    if (!is_classic && !holder->subscription->is_classic && holder->current->epoch != CONSUMER_EPOCH_LEAVE_STATIC)
        return consumer_refuse(step, KAFKA_UNRELEASED_INSTANCE_ID,
                               "Static member %.*s with instance id %.*s cannot join the group because the instance id is owned by %.*s member.",
                               SLICE_FMT(step->member_id), SLICE_FMT(instance_id), SLICE_FMT(holder->id));
    replace(step, holder);
    return true;
}

/* Are all these among what the member has? It must say. */
static bool owns_no_other(const struct consumer_step *step) {
    if (step->owned.count < 0)
        return false;
    for (int i = 0; i < step->owned.count; i++) {
        struct uuid topic = step->owned.topics[i].topic_id;
        bool has_topic = false;
        for (int k = 0; k < step->had.assigned.count && !has_topic; k++)
            has_topic = uuid_eq(step->had.assigned.items[k].topic, topic);
        if (!has_topic)
            return false;
        for (int k = 0; k < step->owned.topics[i].partitions_count; k++)
            if (!consumer_partitions_find(step->had.assigned, topic, step->owned.topics[i].partitions[k]))
                return false;
    }
    return true;
}

/* One that comes with its previous epoch may have missed an answer. */
static bool check_epoch(struct consumer_step *step, int32_t received) {
    if (received == 0 || received == step->had.epoch ||
        (received < step->had.epoch && received == step->had.previous_epoch && owns_no_other(step)))
        return true;
    return consumer_refuse(step, KAFKA_FENCED_MEMBER_EPOCH,
                           "The consumer group member has a %s member epoch (%d) than the one known by the group coordinator (%d). "
                           "The member must abandon all its partitions and rejoin.",
                           received > step->had.epoch ? "greater" : "smaller", received, step->had.epoch);
}

/* ---- what it subscribes to ----------------------------------------------------------------------------------------------------------- */

bool consumer_step_subscribe(struct consumer_step *step, bool is_classic) {
    struct consumer_group *group = step->group;
    if (!consumer_subscription_eq(&step->was, &step->is)) {
        consumer_add_member(step->op, step->group_id, step->member_id, &step->is);
        step->names_changed = !consumer_names_eq(&step->was, &step->is);
    }
    if (!consumer_step_regex(step))
        return false;
    /* With an expression that is not resolved yet the assignment waits for its topics. */
    bool bump = step->names_changed || (step->regex_changed && (step->regex_settled || is_classic));
    int64_t topics_changed = consumer_coordinator(group)->host->image->topics_changed;
    step->group_epoch = group->epoch;
    if (!bump && group->metadata_seen == topics_changed)
        return true;
    consumer_shift(group, &step->was, &step->is);
    int64_t hash = consumer_hash(group, step->op->arena);
    consumer_shift(group, &step->is, &step->was);
    if (bump || hash != group->metadata_hash)
        consumer_bump_epoch(step->op, step->group_id, ++step->group_epoch, hash);
    group->metadata_seen = topics_changed;
    if (group->has_topics_record)
        consumer_add_tombstone(step->op, CONSUMER_RECORD_TOPICS, step->group_id, SLICE_NULL);
    return true;
}

/* ---- what it gets ------------------------------------------------------------------------------------------------------------------------ */

static bool is_subscribed(void *arg, struct uuid topic_id) {
    const struct consumer_step *step = arg;
    const struct image_topic *topic = image_find_topic_id(step->op->coordinator->host->image, topic_id);
    if (!topic)
        return false;
    if (consumer_names_contain(step->is.topics, step->is.topic_count, topic->name))
        return true;
    const struct consumer_regex *regex = slice_is_set(step->is.regex) ? consumer_find_regex(step->group, step->is.regex) : NULL;
    return regex && consumer_names_contain(regex->topics, regex->topic_count, topic->name);
}

static bool is_anything_subscribed(void *arg) {
    const struct consumer_step *step = arg;
    const struct image *image = step->op->coordinator->host->image;
    for (int i = 0; i < step->is.topic_count; i++)
        if (image_find_topic(image, step->is.topics[i]))
            return true;
    const struct consumer_regex *regex = slice_is_set(step->is.regex) ? consumer_find_regex(step->group, step->is.regex) : NULL;
    for (int i = 0; regex && i < regex->topic_count; i++)
        if (image_find_topic(image, regex->topics[i]))
            return true;
    return false;
}

static int32_t owner_epoch(void *arg, struct uuid topic, int32_t partition) {
    const struct consumer_step *step = arg;
    return consumer_owner_epoch(step->group, topic, partition);
}

bool consumer_step_reconcile(struct consumer_step *step) {
    bool changed = step->names_changed || step->regex_changed;
    step->has = step->had;
    if (!changed && consumer_is_settled(&step->had, step->target_epoch))
        return true;
    struct consumer_reconcile reconcile = {
        .arena = step->op->arena,
        .target_epoch = step->target_epoch,
        .target = step->target,
        .subscription_changed = changed,
        .owned = step->owned,
        .is_subscribed = is_subscribed,
        .is_anything_subscribed = is_anything_subscribed,
        .owner_epoch = owner_epoch,
        .arg = step,
    };
    if (!consumer_reconcile(&reconcile, &step->had, &step->has))
        return consumer_refuse(step, KAFKA_FENCED_MEMBER_EPOCH,
                               "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.");
    if (!consumer_current_eq(&step->had, &step->has))
        consumer_add_current(step->op, step->group_id, step->member_id, &step->has);
    return true;
}

static struct consumer_group_heartbeat_response_assignment *assignment_of(struct arena *arena, struct consumer_partitions partitions) {
    struct consumer_group_heartbeat_response_assignment *assignment = arena_new(arena, struct consumer_group_heartbeat_response_assignment);
    int32_t *numbers = arena_array(arena, int32_t, partitions.count + 1);
    assignment->topic_partitions = arena_array(arena, struct consumer_group_heartbeat_response_topic_partitions, partitions.count + 1);
    struct consumer_group_heartbeat_response_topic_partitions *topic = NULL;
    for (int i = 0; i < partitions.count; i++) {
        if (!topic || !uuid_eq(topic->topic_id, partitions.items[i].topic)) {
            topic = &assignment->topic_partitions[assignment->topic_partitions_count++];
            topic->topic_id = partitions.items[i].topic;
            topic->partitions = &numbers[i];
        }
        numbers[i] = partitions.items[i].partition;
        topic->partitions_count++;
    }
    return assignment;
}

/* ---- joins and heartbeats ------------------------------------------------------------------------------------------------------------------ */

/* The group to decide with. One that is not there yet, or not of this kind, is made for the moment: *ret_temporary. */
static bool find_group(struct consumer_step *step, struct groups *groups, bool create, struct consumer_group **ret_temporary) {
    struct group *base = groups_find(groups, step->group_id);
    struct classic_group *classic = classic_of(base);
    *ret_temporary = NULL;
    if (base && base->methods->type == GROUP_CONSUMER) {
        step->group = consumer_group_of(base);
        return true;
    }
    if (!base && !create)
        return consumer_refuse(step, KAFKA_GROUP_ID_NOT_FOUND, "Consumer group %.*s not found.", SLICE_FMT(step->group_id));
    if (base && (!create || !classic))
        return consumer_refuse(step, KAFKA_GROUP_ID_NOT_FOUND, "Group %.*s is not a consumer group.", SLICE_FMT(step->group_id));
    if (classic && classic->state == CLASSIC_EMPTY)
        base->methods->add_tombstones(base, step->op);
    if (classic && classic->state != CLASSIC_EMPTY)
        *ret_temporary = consumer_upgrade(step, groups, base);
    else
        *ret_temporary = consumer_group_create(groups);
    if (!*ret_temporary)
        return false;
    step->group = *ret_temporary;
    step->group->group.id = step->group_id;
    return true;
}

static void merge(struct consumer_step *step, const struct consumer_group_heartbeat_request *request, const struct consumer_client *client) {
    struct consumer_subscription *is = &step->is;
    *is = step->was;
    if (request->instance_id.ptr)
        is->instance_id = request->instance_id;
    if (request->rack_id.ptr)
        is->rack_id = request->rack_id;
    if (request->rebalance_timeout_ms != -1)
        is->rebalance_timeout_ms = request->rebalance_timeout_ms;
    if (request->server_assignor.ptr)
        is->assignor = request->server_assignor;
    if (request->subscribed_topic_names_count >= 0)
        is->topics = consumer_names_sort(step->op->arena, request->subscribed_topic_names, request->subscribed_topic_names_count, &is->topic_count);
    if (request->subscribed_topic_regex.ptr)
        is->regex = request->subscribed_topic_regex;
    is->client_id = client->id;
    is->client_host = client->host;
    is->is_classic = false;
    is->session_timeout_ms = is->protocol_count = 0;
}

static bool identify(struct consumer_step *step, const struct consumer_group_heartbeat_request *request) {
    bool create = request->member_epoch == 0;
    if (consumer_step_full(step))
        return false;
    if (!step->member_id.size) {
        struct uuid id;
        char *text = arena_alloc(step->op->arena, UUID_TEXT_SIZE);
        coordinator_uuid(step->op->coordinator, &id);
        step->member_id = slice_str(uuid_text(id, text));
    }
    if (request->instance_id.ptr ? !consumer_step_static(step, request->instance_id, create, false) : !consumer_step_dynamic(step, create))
        return false;
    return check_epoch(step, request->member_epoch);
}

static void answer(const struct consumer_step *step, const struct consumer_group_heartbeat_request *request,
                   struct consumer_group_heartbeat_response *response) {
    struct coordinator *coordinator = step->op->coordinator;
    response->member_id = arena_slice(step->op->arena, step->member_id);
    response->member_epoch = step->has.epoch;
    response->heartbeat_interval_ms = (int32_t)coordinator_group_config_int(coordinator, step->group_id, "consumer.heartbeat.interval.ms",
                                                                            "group.consumer.heartbeat.interval.ms");
    bool says_all = request->rebalance_timeout_ms != -1 &&
                    (request->subscribed_topic_names_count >= 0 || request->subscribed_topic_regex.ptr) && request->topic_partitions_count >= 0;
    if (request->member_epoch == 0 || says_all || !consumer_partitions_eq(step->had.assigned, step->has.assigned, true))
        response->assignment = assignment_of(step->op->arena, step->has.assigned);
}

static bool beat(struct consumer_step *step, const struct consumer_group_heartbeat_request *request, const struct consumer_client *client) {
    if (!identify(step, request))
        return false;
    merge(step, request, client);
    if (!consumer_step_subscribe(step, false) || !consumer_step_assign(step) || !consumer_step_reconcile(step))
        return false;
    if (step->member)
        classic_session_extend(&step->member->session, consumer_session_timeout_ms(step->group, &step->is));
    return true;
}

/* ---- leaving --------------------------------------------------------------------------------------------------------------------------------- */

void consumer_fence(struct consumer_group *group, struct coordinator_op *op, struct consumer_member *const *members, int count) {
    if (!count)
        return;
    if (consumer_may_downgrade(group, members, count, false) && consumer_downgrade(group, op, members, count, NULL, true))
        return;
    struct slice id = group->group.id;
    for (int i = 0; i < count; i++)
        consumer_add_member_tombstones(op, id, members[i]->id);
    for (int i = 0; i < count; i++) {
        struct slice pattern = members[i]->subscription->regex;
        int before = 0, leaving = 0;
        for (int k = 0; slice_is_set(pattern) && k < count; k++) {
            before += k < i && slice_eq(members[k]->subscription->regex, pattern);
            leaving += slice_eq(members[k]->subscription->regex, pattern);
        }
        if (leaving && !before && consumer_find_regex(group, pattern)->members == leaving)
            consumer_add_tombstone(op, CONSUMER_RECORD_REGEX, id, pattern);
    }
    for (int i = 0; i < count; i++)
        consumer_shift(group, members[i]->subscription, NULL);
    int64_t hash = consumer_hash(group, op->arena);
    for (int i = 0; i < count; i++)
        consumer_shift(group, NULL, members[i]->subscription);
    consumer_bump_epoch(op, id, group->epoch + 1, hash);
}

void consumer_member_is_due(struct consumer_member *member, struct coordinator_op *op, const char *why) {
    if (!member->is_member)
        return; /* its join was refused in the end */
    trace_info("coordinator", "a member of a consumer group is put out", TRACE_SLICE("group", member->group->group.id),
               TRACE_SLICE("member", member->id), TRACE_STR("why", why));
    consumer_fence(member->group, op, &member, 1);
}

/* A static member goes for a moment: what it has is kept for whoever comes with its instance id. */
static void leave_for_now(struct consumer_step *step, const struct consumer_member *member, struct consumer_group_heartbeat_response *response) {
    struct consumer_current away = *member->current;
    away.epoch = CONSUMER_EPOCH_LEAVE_STATIC;
    away.revoking = (struct consumer_partitions){0};
    away.assigned.items = arena_array(step->op->arena, struct consumer_partition, away.assigned.count + 1);
    for (int i = 0; i < away.assigned.count; i++) {
        away.assigned.items[i] = member->current->assigned.items[i];
        away.assigned.items[i].epoch = 0;
    }
    consumer_add_current(step->op, step->group_id, member->id, &away);
    response->member_id = arena_slice(step->op->arena, member->id);
    response->member_epoch = CONSUMER_EPOCH_LEAVE_STATIC;
}

static bool leave(struct consumer_step *step, struct groups *groups, const struct consumer_group_heartbeat_request *request,
                  struct consumer_group_heartbeat_response *response) {
    struct group *base = groups_find(groups, step->group_id);
    if (!base)
        return consumer_refuse(step, KAFKA_GROUP_ID_NOT_FOUND, "Group %.*s not found.", SLICE_FMT(step->group_id));
    if (base->methods->type != GROUP_CONSUMER)
        return consumer_refuse(step, KAFKA_GROUP_ID_NOT_FOUND, "Group %.*s is not a consumer group.", SLICE_FMT(step->group_id));
    step->group = consumer_group_of(base);
    if (request->instance_id.ptr ? !consumer_step_static(step, request->instance_id, false, false) : !consumer_step_dynamic(step, false))
        return false;
    if (request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC) {
        leave_for_now(step, step->member, response);
        return true;
    }
    response->member_id = arena_slice(step->op->arena, step->member_id);
    response->member_epoch = CONSUMER_EPOCH_LEAVE;
    consumer_fence(step->group, step->op, &step->member, 1);
    return true;
}

void consumer_heartbeat(struct groups *groups, struct coordinator_op *op, const struct consumer_group_heartbeat_request *request,
                        const struct consumer_client *client, struct consumer_group_heartbeat_response *response) {
    struct consumer_step step = {.op = op,
                                 .group_id = request->group_id,
                                 .member_id = request->member_id,
                                 .owned = {request->topic_partitions, request->topic_partitions_count}};
    if (request->member_epoch == CONSUMER_EPOCH_LEAVE || request->member_epoch == CONSUMER_EPOCH_LEAVE_STATIC) {
        leave(&step, groups, request, response);
    } else {
        struct consumer_group *temporary;
        if (find_group(&step, groups, request->member_epoch == 0, &temporary) && beat(&step, request, client))
            answer(&step, request, response);
        if (temporary)
            consumer_group_free(&temporary->group);
    }
    if (step.error) {
        coordinator_forget(op);
        response->error_code = step.error;
        response->error_message = step.message;
    }
}
