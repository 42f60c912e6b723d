/* A join or a heartbeat, in Kafka's order: the member, the topology, what its topics look like, the group's epoch, the
 * target, the member's next step, the answer. Records are added last, when nothing can be refused any more. */
#include "coordinator/streams_group.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/trace.h"
#include "coordinator/metadata_hash.h"
#include "metadata/config_check.h"
#include "protocol/errors.h"

typedef struct streams_group_heartbeat_response answer;
typedef struct streams_group_heartbeat_response_status answer_status;
typedef struct streams_group_heartbeat_response_topic_partition answer_partitions;
typedef struct streams_group_heartbeat_response_endpoint_to_partitions answer_endpoint;

enum { STATUSES_MAX = 5, TAGS_VERSION = 1, DESCRIPTION_VERSION = 1 };

struct heartbeat {
    struct streams_heartbeat *io;
    const struct streams_group_heartbeat_request *request;
    struct coordinator_op *op;
    struct arena *arena;
    struct groups *groups;
    struct coordinator *coordinator;
    struct streams_group *group;       /* or `fresh` */
    struct streams_group *fresh;       /* what a group is that is not there yet; NULL: it is */
    struct group *converted;           /* an empty classic group whose place this one takes */
    struct streams_member *member;     /* NULL: it is new */
    struct streams_member *replaced;   /* a static member whose place this one takes; NULL: none */
    bool joining;
    struct streams_records records;
    struct streams_roles owned;
    bool owned_is_known;
    streams_member_metadata metadata;  /* as it will be */
    struct slice metadata_value;
    const streams_topology *topology;
    struct streams_configured *configured;
    int64_t metadata_hash;
    bool bump, reconfigured;
    int32_t validated_epoch, group_epoch;
    struct streams_configs configs;
    int standby_replicas;
    bool delayed;                      /* first joins gather */
    struct streams_position before, after;
    int32_t target_epoch;
    struct streams_roles target;
    bool has_failed;
};

static void fail(struct heartbeat *h, int16_t error, const char *message) {
    streams_refuse(h->io, error, message);
    h->has_failed = true;
}

static struct slice kept(struct heartbeat *h, struct slice s) {
    return arena_slice(h->arena, s);
}

static int64_t setting(const struct heartbeat *h, const char *key) {
    return streams_setting(h->coordinator, h->request->group_id, key);
}

static void add_status(struct heartbeat *h, enum streams_status status, const char *detail) {
    answer *response = &h->io->response;
    if (!response->status)
        response->status = arena_array(h->arena, answer_status, STATUSES_MAX);
    response->status[response->status_count++] = (answer_status){(int8_t)status, kept(h, slice_str(detail))};
}

/* ---- group and member ------------------------------------------------------------------------------------------------------------------ */

static void make_fresh(struct heartbeat *h) {
    h->fresh = arena_alloc(h->arena, sizeof *h->fresh);
    streams_group_init(h->fresh);
    h->fresh->group.id = h->request->group_id;
    h->fresh->group.groups = h->groups;
    h->group = h->fresh;
}

static void find_group(struct heartbeat *h) {
    struct slice id = h->request->group_id;
    struct group *found = groups_find(h->groups, id);
    bool is_classic = found && found->methods == &group_classic_methods && found->methods->is_empty(found);
    if (!found && !h->joining) {
        fail(h, KAFKA_GROUP_ID_NOT_FOUND, arena_printf(h->arena, "Streams group %.*s not found.", SLICE_FMT(id)));
    } else if (!found || (is_classic && h->joining)) {
        h->converted = found;
        make_fresh(h);
        if (!found && offsets_has_group(h->groups->offsets, id))
            streams_record_classic_tombstone(&h->records);
    } else if (found->methods != &group_streams_methods) {
        fail(h, KAFKA_GROUP_ID_NOT_FOUND, arena_printf(h->arena, "Group %.*s is not a streams group.", SLICE_FMT(id)));
    } else {
        h->group = streams_group_of(found);
    }
}

static void fail_unknown_member(struct heartbeat *h) {
    fail(h, KAFKA_UNKNOWN_MEMBER_ID,
         arena_printf(h->arena, "Member %.*s is not a member of group %.*s.", SLICE_FMT(h->request->member_id), SLICE_FMT(h->request->group_id)));
}

static void find_static_member(struct heartbeat *h) {
    struct slice instance = h->request->instance_id;
    struct streams_member *owner = streams_find_instance(h->group, instance);
    bool is_same = owner && slice_eq(owner->id, h->request->member_id);
    if (h->joining) {
        if (owner && owner->epoch != STREAMS_EPOCH_AWAY)
            fail(h, KAFKA_UNRELEASED_INSTANCE_ID,
                 arena_printf(h->arena, "Static member %.*s with instance id %.*s cannot join the group because the instance id is owned by member %.*s.",
                              SLICE_FMT(h->request->member_id), SLICE_FMT(instance), SLICE_FMT(owner->id)));
        else if (owner && !is_same)
            h->replaced = owner;
        else
            h->member = owner ? owner : streams_find_member(h->group, h->request->member_id);
    } else if (!owner) {
        fail(h, KAFKA_UNKNOWN_MEMBER_ID, arena_printf(h->arena, "Instance id %.*s is unknown.", SLICE_FMT(instance)));
    } else if (!is_same) {
        fail(h, KAFKA_FENCED_INSTANCE_ID, arena_printf(h->arena, "Static member %.*s with instance id %.*s was fenced by member %.*s.",
                                                       SLICE_FMT(h->request->member_id), SLICE_FMT(instance), SLICE_FMT(owner->id)));
    } else {
        h->member = owner;
    }
}

static void find_member(struct heartbeat *h) {
    if (h->request->instance_id.ptr) {
        find_static_member(h);
        return;
    }
    h->member = streams_find_member(h->group, h->request->member_id);
    if (!h->member && !h->joining)
        fail_unknown_member(h);
}

static void check_size(struct heartbeat *h) {
    int64_t max = coordinator_config_int(h->coordinator, "group.streams.max.size");
    if (h->joining && !h->member && !h->replaced && (int64_t)h->group->members.count >= max)
        fail(h, KAFKA_GROUP_MAX_SIZE_REACHED, arena_printf(h->arena, "The streams group has reached its maximum capacity of %lld members.", (long long)max));
}

static void read_owned(struct heartbeat *h) {
    const struct streams_group_heartbeat_request *request = h->request;
    h->owned_is_known = request->active_tasks_count >= 0 && request->standby_tasks_count >= 0 && request->warmup_tasks_count >= 0;
    if (!h->owned_is_known)
        return;
    h->owned.of[STREAMS_ACTIVE] = streams_tasks_of_ids(h->arena, request->active_tasks, request->active_tasks_count);
    h->owned.of[STREAMS_STANDBY] = streams_tasks_of_ids(h->arena, request->standby_tasks, request->standby_tasks_count);
    h->owned.of[STREAMS_WARMUP] = streams_tasks_of_ids(h->arena, request->warmup_tasks, request->warmup_tasks_count);
}

/* The epoch before this one will do when the answer with this one may have been lost. */
static void check_epoch(struct heartbeat *h) {
    if (h->joining)
        return;
    const struct streams_member *member = h->member;
    bool contained = h->owned_is_known;
    for (int role = 0; role < STREAMS_ROLES && contained; role++)
        contained = streams_tasks_contain(&streams_or_none(member->assigned)->of[role], &h->owned.of[role]);
    bool is_greater = h->request->member_epoch > member->epoch;
    if (is_greater || (h->request->member_epoch < member->epoch && (h->request->member_epoch != member->previous_epoch || !contained)))
        fail(h, KAFKA_FENCED_MEMBER_EPOCH,
             arena_printf(h->arena, "The streams group member has a %s member epoch (%d) than the one known by the group coordinator (%d). "
                                    "The member must abandon all its partitions and rejoin.",
                          is_greater ? "greater" : "smaller", h->request->member_epoch, member->epoch));
}

/* ---- 1. what the member says of itself ------------------------------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b) {
    return slice_cmp(((const struct streams_group_member_metadata_value_key_value *)a)->key, ((const struct streams_group_member_metadata_value_key_value *)b)->key);
}

static void take_tags(struct heartbeat *h) {
    int count = h->request->client_tags_count;
    if (count < 0)
        return;
    h->metadata.client_tags = arena_array(h->arena, struct streams_group_member_metadata_value_key_value, count);
    h->metadata.client_tags_count = count;
    for (int i = 0; i < count; i++)
        h->metadata.client_tags[i] = (struct streams_group_member_metadata_value_key_value){h->request->client_tags[i].key, h->request->client_tags[i].value};
    qsort(h->metadata.client_tags, (size_t)count, sizeof h->metadata.client_tags[0], by_key);
    for (int i = 1; i < count && !h->has_failed; i++)
        if (slice_eq(h->metadata.client_tags[i - 1].key, h->metadata.client_tags[i].key))
            fail(h, KAFKA_UNKNOWN_SERVER_ERROR, NULL);
}

static void take_endpoint(struct heartbeat *h) {
    if (h->request->user_endpoint) {
        h->metadata.user_endpoint = arena_alloc(h->arena, sizeof *h->metadata.user_endpoint);
        *h->metadata.user_endpoint =
            (struct streams_group_member_metadata_value_endpoint){h->request->user_endpoint->host, h->request->user_endpoint->port};
    } else if (h->joining) {
        h->metadata.user_endpoint = NULL;
    }
}

static bool tags_equal(const streams_member_metadata *a, const streams_member_metadata *b) {
    if (a->client_tags_count != b->client_tags_count)
        return false;
    for (int i = 0; i < a->client_tags_count; i++)
        if (!slice_eq(a->client_tags[i].key, b->client_tags[i].key) || !slice_eq(a->client_tags[i].value, b->client_tags[i].value))
            return false;
    return true;
}

/* Only this of a static member makes the group assign anew. */
static bool matters(const streams_member_metadata *a, const streams_member_metadata *b) {
    return a->topology_epoch != b->topology_epoch || !slice_eq(a->rack_id, b->rack_id) || !slice_eq(a->process_id, b->process_id) || !tags_equal(a, b);
}

static void update_member(struct heartbeat *h) {
    const struct streams_group_heartbeat_request *request = h->request;
    const struct streams_member *base = h->member ? h->member : h->replaced;
    streams_group_member_metadata_value_init(&h->metadata);
    h->metadata.instance_id = h->metadata.rack_id = (struct slice){0};
    h->metadata.topology_epoch = -1;
    if (base)
        h->metadata = base->metadata;
    if (request->instance_id.ptr)
        h->metadata.instance_id = request->instance_id;
    if (request->rack_id.ptr)
        h->metadata.rack_id = request->rack_id;
    if (request->rebalance_timeout_ms != -1)
        h->metadata.rebalance_timeout_ms = request->rebalance_timeout_ms;
    if (request->topology)
        h->metadata.topology_epoch = request->topology->epoch;
    if (request->process_id.ptr)
        h->metadata.process_id = request->process_id;
    h->metadata.client_id = h->io->client_id;
    h->metadata.client_host = h->io->client_host;
    take_tags(h);
    take_endpoint(h);
    h->metadata_value = streams_metadata_value(h->arena, &h->metadata);
    bool changed = !h->member || !slice_eq(h->metadata_value, slice_of(h->member->metadata_bytes, h->member->metadata_size));
    if (!changed)
        return;
    h->bump = !base || !h->metadata.instance_id.ptr || matters(&base->metadata, &h->metadata);
    if (!h->replaced)
        streams_record_member(&h->records, request->member_id, h->metadata_value);
}

/* The old member's records end; the new one begins where it was. */
static void replace_member(struct heartbeat *h) {
    if (!h->replaced)
        return;
    struct slice old = kept(h, h->replaced->id);
    streams_record_tombstone(&h->records, STREAMS_KEY_POSITION, old);
    streams_record_tombstone(&h->records, STREAMS_KEY_TARGET, old);
    streams_record_tombstone(&h->records, STREAMS_KEY_MEMBER, old);
    streams_record_member(&h->records, h->request->member_id, h->metadata_value);
    if (h->replaced->target)
        streams_record_target(&h->records, h->request->member_id, h->replaced->target);
    streams_record_position(&h->records, h->request->member_id, &h->before);
}

static void find_position(struct heartbeat *h) {
    h->before = (struct streams_position){.state = STREAMS_MEMBER_STABLE};
    if (h->member) {
        h->before = streams_position_of(h->member);
    } else if (h->replaced) {
        h->before.assigned = *streams_or_none(h->replaced->assigned);
    }
}

/* ---- 2. the topology ---------------------------------------------------------------------------------------------------------------------- */

static void update_topology(struct heartbeat *h) {
    const streams_topology *known = h->group->topology;
    h->topology = known;
    if (h->request->topology) {
        const streams_topology *sent = streams_topology_of_request(h->request->topology);
        if (sent->epoch < 0 || streams_topology_has_duplicates(sent, h->arena)) {
            fail(h, KAFKA_UNKNOWN_SERVER_ERROR, NULL);
        } else if (!known) {
            streams_record_topology(&h->records, sent);
            h->topology = sent;
        } else if (known->epoch <= sent->epoch && !(known->epoch == sent->epoch && streams_topology_equal(known, sent))) {
            fail(h, KAFKA_INVALID_REQUEST, "Topology updates are not supported yet.");
        }
    }
    if (!h->has_failed && !h->topology)
        fail(h, KAFKA_UNKNOWN_SERVER_ERROR, NULL);
    if (!h->has_failed && known && h->metadata.topology_epoch < known->epoch)
        add_status(h, STREAMS_STALE_TOPOLOGY, arena_printf(h->arena, "The member's topology epoch %d is behind the group's topology epoch %d.",
                                                           h->metadata.topology_epoch, known->epoch));
}

/* ---- 3. what its topics look like --------------------------------------------------------------------------------------------------------- */

static void configure(struct heartbeat *h) {
    struct streams_configured configured;
    struct arena arena = {0};
    streams_configure(h->fresh ? h->arena : &arena, h->coordinator->host->image, h->topology, &configured);
    if (configured.error) {
        fail(h, configured.error, configured.message ? arena_printf(h->arena, "%s", configured.message) : NULL);
        arena_deinit(&arena);
        return;
    }
    streams_group_drop_configured(h->group);
    h->group->configured_arena = arena;
    h->group->configured = configured;
    h->group->is_configured = true;
}

static void look_at_topics(struct heartbeat *h) {
    const struct image *image = h->coordinator->host->image;
    bool is_new = !h->group->topology;
    h->metadata_hash = h->group->metadata_hash;
    if (is_new || !h->group->is_configured || h->group->image_offset != image->offset) {
        int count;
        struct slice *topics = streams_topology_topics(h->arena, h->topology, &count);
        h->metadata_hash = metadata_hash_group(image, topics, count);
        bool differs = h->metadata_hash != h->group->metadata_hash;
        h->bump |= differs;
        if (is_new || differs || !h->group->is_configured)
            configure(h);
    }
    h->configured = &h->group->configured;
}

static void check_tasks(struct heartbeat *h, const streams_task_ids *tasks, int count) {
    for (int i = 0; i < count && !h->has_failed; i++) {
        const struct streams_configured_subtopology *subtopology = streams_find_subtopology(h->configured, tasks[i].subtopology_id);
        if (!subtopology)
            fail(h, KAFKA_INVALID_REQUEST, arena_printf(h->arena, "Subtopology %.*s does not exist in the topology.", SLICE_FMT(tasks[i].subtopology_id)));
        for (int k = 0; k < tasks[i].partitions_count && !h->has_failed; k++)
            if (tasks[i].partitions[k] < 0 || tasks[i].partitions[k] >= subtopology->task_count)
                fail(h, KAFKA_INVALID_REQUEST, arena_printf(h->arena, "Task %d for subtopology %.*s is invalid. Number of tasks for this subtopology: %d",
                                                            tasks[i].partitions[k], SLICE_FMT(tasks[i].subtopology_id), subtopology->task_count));
    }
}

static void validate(struct heartbeat *h) {
    h->validated_epoch = -1;
    if (streams_is_ready(h->configured)) {
        h->validated_epoch = h->topology->epoch;
        check_tasks(h, h->request->active_tasks, h->request->active_tasks_count);
        check_tasks(h, h->request->standby_tasks, h->request->standby_tasks_count);
        check_tasks(h, h->request->warmup_tasks, h->request->warmup_tasks_count);
    }
    h->bump |= h->validated_epoch != h->group->validated_epoch;
}

static bool has_duplicate(struct heartbeat *h, const struct streams_group_heartbeat_request_task_offset *offsets, int count) {
    struct streams_tasks tasks = streams_tasks_create(h->arena, count > 0 ? count : 0);
    for (int i = 0; i < count; i++)
        streams_tasks_add(&tasks, offsets[i].subtopology_id, offsets[i].partition, 0);
    streams_tasks_sort(&tasks);
    return tasks.count < count;
}

static void take_offsets(struct streams_offsets **at, const struct streams_group_heartbeat_request_task_offset *offsets, int count) {
    if (count < 0)
        return;
    mem_free(*at);
    *at = count ? streams_offsets_own(offsets, count) : NULL;
}

/* How far the member's tasks are: of the member, or for the member to come. */
static void keep_offsets(struct heartbeat *h) {
    const struct streams_group_heartbeat_request *request = h->request;
    if (request->task_offsets_count > STREAMS_TASKS_MAX || request->task_end_offsets_count > STREAMS_TASKS_MAX) {
        fail(h, KAFKA_INVALID_REQUEST, "There are more task offsets than tasks can be.");
        return;
    }
    if (has_duplicate(h, request->task_offsets, request->task_offsets_count) || has_duplicate(h, request->task_end_offsets, request->task_end_offsets_count)) {
        fail(h, KAFKA_INVALID_REQUEST, "Duplicate task in the reported task offsets.");
        return;
    }
    struct streams_group *group = h->group;
    if (h->fresh)
        return;
    if (!h->member) {
        mem_free((void *)group->joining.ptr);
        group->joining = slice_of(mem_strndup((const char *)request->member_id.ptr, request->member_id.size), request->member_id.size);
    }
    take_offsets(h->member ? &h->member->offsets : &group->joining_offsets, request->task_offsets, request->task_offsets_count);
    take_offsets(h->member ? &h->member->end_offsets : &group->joining_end_offsets, request->task_end_offsets, request->task_end_offsets_count);
}

static void bump_epoch(struct heartbeat *h) {
    h->configs = streams_configs_now(h->coordinator, h->request->group_id, h->arena);
    h->standby_replicas = streams_configs_int(&h->configs, "num.standby.replicas");
    h->bump |= !streams_configs_equal(&h->configs, &h->group->configs);
    h->group_epoch = h->group->epoch + h->bump;
    if (!h->bump)
        return;
    h->groups->rebalances[GROUP_STREAMS]++;
    struct streams_epoch epoch = streams_epoch_of(h->group);
    epoch.epoch = h->group_epoch;
    epoch.metadata_hash = h->metadata_hash;
    epoch.validated_epoch = h->validated_epoch;
    epoch.configs = h->configs;
    streams_record_epoch(&h->records, &epoch);
}

/* ---- 4. the target ------------------------------------------------------------------------------------------------------------------------- */

static bool is_delayed(struct heartbeat *h) {
    if (!h->fresh && timer_is_running(&h->group->delay_timer.timer))
        return true;
    return !h->group->members.count && setting(h, "initial.rebalance.delay.ms") > 0;
}

/* Assignments may not follow each other too fast. */
static bool is_too_soon(struct heartbeat *h) {
    return coordinator_is_recent(h->coordinator, h->group->target_ms, setting(h, "assignment.interval.ms"));
}

static void find_target(struct heartbeat *h) {
    const struct streams_member *base = h->member ? h->member : h->replaced;
    h->target_epoch = h->group->target_epoch;
    h->delayed = is_delayed(h);
    if (h->delayed) {
        add_status(h, STREAMS_ASSIGNMENT_DELAYED, "Assignment delayed due to the configured initial rebalance delay.");
        return;
    }
    if (base)
        h->target = *streams_or_none(base->target);
    if (h->group->target_epoch >= h->group_epoch)
        return;
    if (is_too_soon(h)) {
        add_status(h, STREAMS_ASSIGNMENT_DELAYED, "Assignment delayed due to the configured assignment interval.");
        return;
    }
    struct streams_updated updated = {.id = h->request->member_id, .process_id = h->metadata.process_id, .assigned = &h->before.assigned,
                                      .target = base ? base->target : NULL, .member = base};
    if (streams_compute_target(&h->records, h->group, h->configured, h->group_epoch, h->standby_replicas, coordinator_now_ms(h->coordinator), &updated, &h->target))
        h->target_epoch = h->group_epoch;
    else
        fail(h, KAFKA_UNKNOWN_SERVER_ERROR, NULL);
}

/* ---- 5. the next step ------------------------------------------------------------------------------------------------------------------------ */

static void reconcile(struct heartbeat *h) {
    struct streams_step step = {h->arena, h->group, h->request->member_id, h->metadata.process_id, &h->target, h->target_epoch, h->owned_is_known ? &h->owned : NULL};
    if (!streams_reconcile(&step, &h->before, &h->after)) {
        fail(h, KAFKA_FENCED_MEMBER_EPOCH, "The streams group member is in a unknown state. The member must abandon all its tasks and rejoin.");
        return;
    }
    if (h->before.epoch != h->after.epoch || h->before.previous_epoch != h->after.previous_epoch || h->before.state != h->after.state ||
        !streams_roles_equal(&h->before.assigned, &h->after.assigned, true) || !streams_roles_equal(&h->before.pending, &h->after.pending, true))
        streams_record_position(&h->records, h->request->member_id, &h->after);
}

/* ---- the answer ------------------------------------------------------------------------------------------------------------------------------- */

static struct streams_group_heartbeat_response_task_ids *told(struct heartbeat *h, enum streams_role role, int32_t *ret_count) {
    streams_task_ids *ids = streams_tasks_to_ids(h->arena, &h->after.assigned.of[role], ret_count);
    for (int i = 0; i < *ret_count; i++)
        ids[i].subtopology_id = kept(h, ids[i].subtopology_id);
    return (void *)ids;
}

static void add_partitions(struct heartbeat *h, struct slice topic, const struct streams_task *tasks, int count, answer_partitions *list, int32_t *at) {
    const struct image_topic *found = image_find_topic(h->coordinator->host->image, topic);
    if (!found)
        return;
    answer_partitions *partitions = &list[(*at)++];
    partitions->topic = kept(h, topic);
    partitions->partitions = arena_array(h->arena, int32_t, count);
    for (int i = 0; i < count && i < found->partition_count; i++)
        partitions->partitions[partitions->partitions_count++] = tasks[i].partition;
}

/* Where the tasks of the next subtopology begin. */
static int run_end(const struct streams_tasks *tasks, int from) {
    int to = from + 1;
    while (to < tasks->count && slice_eq(tasks->tasks[from].subtopology, tasks->tasks[to].subtopology))
        to++;
    return to;
}

/* What the tasks read: for each subtopology each of its inputs with the tasks' numbers. */
static answer_partitions *inputs_of(struct heartbeat *h, const struct streams_tasks *tasks, int32_t *ret_count) {
    const struct streams_configured_subtopology *subtopology;
    int room = 0;
    for (int from = 0; from < tasks->count; from = run_end(tasks, from))
        if ((subtopology = streams_find_subtopology(h->configured, tasks->tasks[from].subtopology)))
            room += subtopology->raw->source_topics_count + subtopology->raw->repartition_source_topics_count;
    answer_partitions *list = arena_array(h->arena, answer_partitions, room);
    *ret_count = 0;
    for (int from = 0, to; from < tasks->count; from = to) {
        to = run_end(tasks, from);
        subtopology = streams_find_subtopology(h->configured, tasks->tasks[from].subtopology);
        for (int i = 0; subtopology && i < subtopology->raw->source_topics_count; i++)
            add_partitions(h, subtopology->raw->source_topics[i], tasks->tasks + from, to - from, list, ret_count);
        for (int i = 0; subtopology && i < subtopology->raw->repartition_source_topics_count; i++)
            add_partitions(h, subtopology->raw->repartition_source_topics[i].name, tasks->tasks + from, to - from, list, ret_count);
    }
    return list;
}

static void add_endpoint(struct heartbeat *h, const struct streams_group_member_metadata_value_endpoint *endpoint, const struct streams_roles *assigned) {
    answer_endpoint *at = &h->io->response.partitions_by_user_endpoint[h->io->response.partitions_by_user_endpoint_count++];
    at->user_endpoint.host = kept(h, endpoint->host);
    at->user_endpoint.port = endpoint->port;
    at->active_partitions = inputs_of(h, &assigned->of[STREAMS_ACTIVE], &at->active_partitions_count);
    at->standby_partitions = inputs_of(h, &assigned->of[STREAMS_STANDBY], &at->standby_partitions_count);
}

static bool endpoint_changed(const struct streams_group_member_metadata_value_endpoint *a, const struct streams_group_member_metadata_value_endpoint *b) {
    return (a == NULL) != (b == NULL) || (a && (a->port != b->port || !slice_eq(a->host, b->host)));
}

static void answer_endpoints(struct heartbeat *h, bool assigned_changed) {
    const struct streams_member *base = h->member ? h->member : h->replaced;
    answer *response = &h->io->response;
    if (endpoint_changed(base ? base->metadata.user_endpoint : NULL, h->metadata.user_endpoint) || (assigned_changed && h->metadata.user_endpoint))
        h->group->endpoint_epoch++;
    response->endpoint_information_epoch = h->fresh ? 0 : h->group->endpoint_epoch;
    if (h->group->endpoint_epoch == h->request->endpoint_information_epoch)
        return;
    response->partitions_by_user_endpoint = arena_array(h->arena, answer_endpoint, h->group->members.count + 1);
    response->partitions_by_user_endpoint_count = 0;
    streams_each_member(member, h->group)
        if (member != h->member && member != h->replaced && member->metadata.user_endpoint)
            add_endpoint(h, member->metadata.user_endpoint, streams_or_none(member->assigned));
    if (h->metadata.user_endpoint)
        add_endpoint(h, h->metadata.user_endpoint, &h->after.assigned);
}

static streams_topic_info *keep_topic(struct heartbeat *h, const streams_topic_info *info) {
    streams_topic_info *copy = arena_alloc(h->arena, sizeof *copy);
    *copy = *info;
    copy->name = kept(h, info->name);
    copy->topic_configs = arena_array(h->arena, struct streams_group_topology_value_topic_config, info->topic_configs_count);
    for (int i = 0; i < info->topic_configs_count; i++)
        copy->topic_configs[i] = (struct streams_group_topology_value_topic_config){kept(h, info->topic_configs[i].key), kept(h, info->topic_configs[i].value)};
    return copy;
}

static void answer_topics(struct heartbeat *h) {
    const struct streams_configured *configured = h->configured;
    if (streams_is_ready(configured))
        return;
    add_status(h, (enum streams_status)configured->status, configured->detail);
    h->io->missing = arena_array(h->arena, struct streams_internal_topic, configured->missing_count);
    h->io->missing_count = configured->missing_count;
    for (int i = 0; i < configured->missing_count; i++)
        h->io->missing[i] = (struct streams_internal_topic){keep_topic(h, configured->missing[i].info), configured->missing[i].partitions};
}

static bool has_tag(const struct heartbeat *h, struct slice tag) {
    for (int i = 0; i < h->metadata.client_tags_count; i++)
        if (slice_eq(h->metadata.client_tags[i].key, tag))
            return true;
    return false;
}

static void answer_tags(struct heartbeat *h) {
    struct slice tags = streams_required_tags(h->coordinator, h->request->group_id, h->arena), tag;
    const char *missing = "";
    while (h->io->version >= TAGS_VERSION && config_list_next(&tags, &tag))
        if (!has_tag(h, tag))
            missing = arena_printf(h->arena, "%s%s%.*s", missing, *missing ? ", " : "", SLICE_FMT(tag));
    if (*missing)
        add_status(h, STREAMS_MISSING_CLIENT_TAGS,
                   arena_printf(h->arena, "Missing required client tags for rack-aware standby assignment: [%s]. Configure them via 'client.tag.<tagKey>' in "
                                          "your Streams config.",
                                missing));
}

static void ask_for_description(struct heartbeat *h) {
    answer *response = &h->io->response;
    int32_t epoch = h->topology->epoch;
    bool is_stale = response->status_count > 0 && response->status[0].status_code == STREAMS_STALE_TOPOLOGY;
    if (h->io->version < DESCRIPTION_VERSION || is_stale || !streams_description_is_wanted(h->group, epoch))
        return;
    response->topology_description_required = streams_description_ask(h->groups, &h->group->asked, epoch);
    if (h->fresh)
        h->groups->asked_creator = h->fresh->asked;
}

/* It says what it has, and that is not what it was told: the answer that told it may have been lost. Clients say so after
 * each answer that did not come, and its epoch need not have changed by then. While an assignment is on its way, what it
 * was told is no news: it hears of the next. */
static bool has_other_tasks(const struct heartbeat *h) {
    return h->owned_is_known && h->target_epoch == h->group_epoch && !streams_roles_equal(&h->owned, &h->after.assigned, false);
}

static void answer_member(struct heartbeat *h) {
    answer *response = &h->io->response;
    bool assigned_changed = !streams_roles_equal(&h->before.assigned, &h->after.assigned, true);
    response->member_id = h->request->member_id;
    response->member_epoch = h->after.epoch;
    response->heartbeat_interval_ms = (int32_t)setting(h, "heartbeat.interval.ms");
    response->task_offset_interval_ms = (int32_t)setting(h, "task.offset.interval.ms");
    response->acceptable_recovery_lag = setting(h, "acceptable.recovery.lag");
    if (h->joining || assigned_changed || has_other_tasks(h)) {
        response->active_tasks = told(h, STREAMS_ACTIVE, &response->active_tasks_count);
        response->standby_tasks = told(h, STREAMS_STANDBY, &response->standby_tasks_count);
        response->warmup_tasks = told(h, STREAMS_WARMUP, &response->warmup_tasks_count);
    }
    answer_endpoints(h, assigned_changed);
    answer_topics(h);
    if (h->group->shutdown_member.ptr)
        add_status(h, STREAMS_SHUTDOWN_APPLICATION,
                   arena_printf(h->arena, "Streams group member %.*s encountered a fatal error and requested a shutdown for the entire application.",
                                SLICE_FMT(h->group->shutdown_member)));
    answer_tags(h);
    ask_for_description(h);
}

static void request_shutdown(struct heartbeat *h) {
    if (!h->request->shutdown_application)
        return;
    if (h->fresh)
        h->fresh->shutdown_member = h->request->member_id;
    else
        streams_request_shutdown(h->group, h->request->member_id);
}

static void commit(struct heartbeat *h) {
    if (h->converted)
        h->converted->methods->add_tombstones(h->converted, h->op);
    streams_records_add_to(&h->records, h->op);
    if (h->fresh)
        return;
    h->group->image_offset = h->coordinator->host->image->offset;
    h->group->is_replacing = h->replaced != NULL;
    if (h->member)
        streams_start_session(h->member);
}

void streams_heartbeat(struct groups *groups, struct coordinator_op *op, struct streams_heartbeat *io) {
    streams_group_heartbeat_response_init(&io->response);
    groups->asked_creator = (struct streams_asked){0};
    if (io->request->member_epoch < 0) {
        streams_leave(groups, op, io);
        return;
    }
    struct heartbeat h = {.io = io, .request = io->request, .op = op, .arena = op->arena, .groups = groups, .coordinator = groups->coordinator,
                          .joining = io->request->member_epoch == 0};
    h.records = streams_records_create(op->arena, io->request->group_id);
    void (*const steps[])(struct heartbeat *) = {find_group,   find_member,  check_size,  read_owned, check_epoch, find_position, update_member, replace_member,
                                                 update_topology, look_at_topics, validate, keep_offsets, bump_epoch, find_target, reconcile};
    for (int i = 0; i < COUNT_OF(steps) && !h.has_failed; i++)
        steps[i](&h);
    if (h.has_failed)
        return;
    request_shutdown(&h);
    answer_member(&h);
    commit(&h);
}
