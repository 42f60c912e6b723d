/* The group and its members: who is in, what they offer, which protocol they share. See classic.h. */
#include "coordinator/classic_internal.h"

#include <stdlib.h>
#include "base/mem.h"
#include "protocol/consumer_protocol_subscription.h"

/* ---- bytes that are ours ------------------------------------------------------------------------------------------------------ */

static void own(struct slice *owned, struct slice s) {
    uint8_t *bytes = NULL;
    if (s.ptr) {
        bytes = mem_alloc(s.size + 1);
        memcpy(bytes, s.ptr, s.size);
        bytes[s.size] = 0;
    }
    mem_free((void *)owned->ptr);
    *owned = slice_of(bytes, s.size);
}

static void disown(struct slice *owned) {
    mem_free((void *)owned->ptr);
    *owned = SLICE_NULL;
}

/* ---- timers and sessions ------------------------------------------------------------------------------------------------------------ */

static void run_due(struct coordinator_op *op, void *state) {
    struct groups *groups = state;
    struct list *node = list_pop_front(&groups->classic_due);
    if (!node)
        return; /* it was stopped while this waited */
    struct classic_timer *timer = list_entry(node, struct classic_timer, due);
    timer->run(timer, op);
}

static void timer_fired(struct shard *shard, struct timer *base) {
    struct classic_timer *timer = container_of(base, struct classic_timer, timer);
    (void)shard;
    list_remove(&timer->due);
    list_push_back(&timer->groups->classic_due, &timer->due);
    coordinator_task(timer->groups->coordinator, run_due, NULL);
}

void classic_timer_init(struct classic_timer *timer, struct groups *groups, void (*run)(struct classic_timer *timer, struct coordinator_op *op)) {
    list_init(&timer->due);
    timer->timer.fire = timer_fired;
    timer->run = run;
    timer->groups = groups;
}

void classic_timer_start(struct classic_timer *timer, int64_t delay_ms) {
    list_remove(&timer->due);
    timer_start(timer->groups->coordinator->host->shard, &timer->timer, delay_ms > 0 ? (uint64_t)delay_ms * NS_PER_MS : 0);
}

void classic_timer_stop(struct classic_timer *timer) {
    list_remove(&timer->due);
    timer_stop(timer->groups->coordinator->host->shard, &timer->timer);
}

void classic_session_extend(struct classic_session *session, int64_t timeout_ms) {
    if (timeout_ms < 0)
        timeout_ms = 0; /* of a record that says so */
    session->timeout_ns = (uint64_t)timeout_ms * NS_PER_MS;
    session->deadline_ns = coordinator_now_ns(session->timer.groups->coordinator) + session->timeout_ns;
    if (timer_is_running(&session->timer.timer) && session->armed_ns <= session->deadline_ns)
        return; /* it will find out */
    session->armed_ns = session->deadline_ns;
    classic_timer_start(&session->timer, timeout_ms);
}

bool classic_session_is_over(struct classic_session *session) {
    struct coordinator *coordinator = session->timer.groups->coordinator;
    uint64_t now_ns = coordinator_now_ns(coordinator);
    session->deadline_ns = coordinator_deadline_ns(coordinator, session->deadline_ns, session->timeout_ns);
    if (now_ns >= session->deadline_ns)
        return true;
    session->armed_ns = session->deadline_ns;
    timer_start(coordinator->host->shard, &session->timer.timer, session->deadline_ns - now_ns);
    return false;
}

static void member_is_due(struct classic_timer *timer, struct coordinator_op *op) {
    struct classic_member *member = container_of(timer, struct classic_member, session.timer);
    if (classic_session_is_over(&member->session))
        classic_expire_member(member, op);
}

static void pending_is_due(struct classic_timer *timer, struct coordinator_op *op) {
    struct classic_pending *pending = container_of(timer, struct classic_pending, session.timer);
    if (classic_session_is_over(&pending->session))
        classic_expire_pending(pending, op);
}

static void join_is_due(struct classic_timer *timer, struct coordinator_op *op) {
    classic_join_is_due(container_of(timer, struct classic_group, join_timer), op);
}

static void sync_is_due(struct classic_timer *timer, struct coordinator_op *op) {
    classic_sync_is_due(container_of(timer, struct classic_group, sync_timer), op);
}

/* ---- groups ------------------------------------------------------------------------------------------------------------------- */

struct classic_group *classic_group_create_detached(struct groups *groups) {
    struct classic_group *group = mem_new(struct classic_group);
    group->group.methods = &group_classic_methods;
    group->group.groups = groups;
    group->state = group->previous = CLASSIC_EMPTY;
    group->state_since_ms = coordinator_now_ms(groups->coordinator);
    group->delay_ms = -1;
    list_init(&group->members);
    list_init(&group->support);
    classic_timer_init(&group->join_timer, groups, join_is_due);
    classic_timer_init(&group->sync_timer, groups, sync_is_due);
    return group;
}

struct classic_group *classic_group_create(struct groups *groups, struct slice id) {
    struct classic_group *group = classic_group_create_detached(groups);
    groups_insert(groups, &group->group, id);
    return group;
}

bool classic_group_is_simple(const struct classic_group *group) {
    return !group->protocol_type.ptr && group->state == CLASSIC_EMPTY && !group->pending.count;
}

void classic_enter(struct classic_group *group, enum classic_state state) {
    static const unsigned from[] = { /* which states lead to each */
        [CLASSIC_EMPTY] = 1u << CLASSIC_PREPARING,
        [CLASSIC_PREPARING] = 1u << CLASSIC_EMPTY | 1u << CLASSIC_STABLE | 1u << CLASSIC_COMPLETING,
        [CLASSIC_COMPLETING] = 1u << CLASSIC_PREPARING,
        [CLASSIC_STABLE] = 1u << CLASSIC_COMPLETING,
    };
    check(from[state] & 1u << group->state, "a classic group in state %d cannot enter %d", group->state, state);
    group->previous = group->state;
    group->state = state;
    group->state_since_ms = coordinator_now_ms(group->group.groups->coordinator);
}

/* ---- finding ------------------------------------------------------------------------------------------------------------------ */

static bool id_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct classic_member, by_id)->id, *(const struct slice *)key);
}

static bool instance_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct classic_member, by_instance)->instance_id, *(const struct slice *)key);
}

static bool pending_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct classic_pending, node)->id, *(const struct slice *)key);
}

struct classic_member *classic_member_find(const struct classic_group *group, struct slice id) {
    struct map_node *node = map_find(&group->members_by_id, hash_slice(id), id_is, &id);
    return node ? container_of(node, struct classic_member, by_id) : NULL;
}

struct classic_member *classic_member_by_instance(const struct classic_group *group, struct slice instance_id) {
    struct map_node *node = map_find(&group->members_by_instance, hash_slice(instance_id), instance_is, &instance_id);
    return node ? container_of(node, struct classic_member, by_instance) : NULL;
}

struct classic_pending *classic_pending_find(const struct classic_group *group, struct slice id) {
    struct map_node *node = map_find(&group->pending, hash_slice(id), pending_is, &id);
    return node ? container_of(node, struct classic_pending, node) : NULL;
}

bool classic_is_leader(const struct classic_group *group, const struct classic_member *member) {
    return group->leader.ptr && slice_eq(group->leader, member->id);
}

int16_t classic_check_member(const struct classic_group *group, struct slice id, struct slice instance_id) {
    if (instance_id.ptr) {
        const struct classic_member *holder = classic_member_by_instance(group, instance_id);
        if (!holder)
            return KAFKA_UNKNOWN_MEMBER_ID;
        if (!slice_eq(holder->id, id))
            return KAFKA_FENCED_INSTANCE_ID;
    }
    return classic_member_find(group, id) ? 0 : KAFKA_UNKNOWN_MEMBER_ID;
}

struct slice classic_member_metadata(const struct classic_member *member, struct slice protocol) {
    for (int i = 0; i < member->protocol_count; i++)
        if (slice_eq(member->protocols[i].name, protocol))
            return member->protocols[i].metadata;
    return SLICE_NULL;
}

/* ---- what members offer -------------------------------------------------------------------------------------------------------- */

static struct classic_support *find_support(const struct classic_group *group, struct slice name) {
    list_each(node, &group->support) {
        struct classic_support *support = list_entry(node, struct classic_support, node);
        if (slice_eq(support->name, name))
            return support;
    }
    return NULL;
}

/* A name that a member lists twice counts once: Kafka counts it twice, and then waits for ever to complete the join. */
static bool listed_before(const struct classic_protocol *protocols, int index) {
    for (int i = 0; i < index; i++)
        if (slice_eq(protocols[i].name, protocols[index].name))
            return true;
    return false;
}

static void count_support(struct classic_group *group, const struct classic_member *member, int by) {
    for (int i = 0; i < member->protocol_count; i++) {
        if (listed_before(member->protocols, i))
            continue;
        struct classic_support *support = find_support(group, member->protocols[i].name);
        if (!support) {
            support = mem_new(struct classic_support);
            own(&support->name, member->protocols[i].name);
            list_push_back(&group->support, &support->node);
        }
        support->members += by;
        if (support->members == 0) {
            list_remove(&support->node);
            disown(&support->name);
            mem_free(support);
        }
    }
}

/* One block: the array, then what it names. */
static struct classic_protocol *copy_protocols(const struct classic_protocol *protocols, int count) {
    size_t size = sizeof *protocols * (size_t)count;
    for (int i = 0; i < count; i++)
        size += protocols[i].name.size + protocols[i].metadata.size;
    struct classic_protocol *copy = mem_alloc(size + 1);
    uint8_t *at = (uint8_t *)(copy + count);
    for (int i = 0; i < count; i++) {
        copy[i].name = slice_of(at, protocols[i].name.size);
        copy[i].metadata = slice_of(at + protocols[i].name.size, protocols[i].metadata.size);
        if (protocols[i].name.size)
            memcpy(at, protocols[i].name.ptr, protocols[i].name.size);
        if (protocols[i].metadata.size)
            memcpy(at + protocols[i].name.size, protocols[i].metadata.ptr, protocols[i].metadata.size);
        at += protocols[i].name.size + protocols[i].metadata.size;
    }
    return copy;
}

void classic_member_set_protocols(struct classic_member *member, const struct classic_protocol *protocols, int count) {
    struct classic_protocol *copy = copy_protocols(protocols, count);
    count_support(member->group, member, -1);
    mem_free(member->protocols);
    member->protocols = copy;
    member->protocol_count = count;
    count_support(member->group, member, 1);
}

bool classic_supports(const struct classic_group *group, struct slice protocol_type, const struct classic_protocol *protocols, int count) {
    if (group->state == CLASSIC_EMPTY)
        return protocol_type.size && count > 0;
    if (!group->protocol_type.ptr || !slice_eq(group->protocol_type, protocol_type))
        return false;
    for (int i = 0; i < count; i++) {
        const struct classic_support *support = find_support(group, protocols[i].name);
        if ((support ? support->members : 0) == group->member_count)
            return true;
    }
    return false;
}

/* Where Java's HashMap has a name among `buckets`: the order in which Kafka meets equal votes. */
static uint32_t java_bucket(struct slice name, uint32_t buckets) {
    uint32_t hash = coordinator_hash(name);
    return (hash ^ hash >> 16) & (buckets - 1);
}

struct slice classic_vote(const struct classic_group *group) {
    struct { struct slice name; int count; } *votes = mem_alloc(sizeof *votes * (size_t)(group->member_count + 1));
    int vote_count = 0, best = -1;
    uint32_t buckets = 16;
    classic_each_member(member, group) {
        for (int i = 0; i < member->protocol_count; i++) {
            const struct classic_support *support = find_support(group, member->protocols[i].name);
            if (support->members != group->member_count)
                continue;
            int k = 0;
            while (k < vote_count && !slice_eq(votes[k].name, member->protocols[i].name))
                k++;
            if (k == vote_count) {
                votes[vote_count].name = support->name;
                votes[vote_count++].count = 0;
            }
            votes[k].count++;
            break;
        }
    }
    while ((uint32_t)vote_count > buckets / 4 * 3)
        buckets *= 2;
    for (int i = 0; i < vote_count; i++)
        if (best < 0 || votes[i].count > votes[best].count ||
            (votes[i].count == votes[best].count && java_bucket(votes[i].name, buckets) < java_bucket(votes[best].name, buckets)))
            best = i;
    struct slice name = best < 0 ? SLICE_NULL : votes[best].name;
    mem_free(votes);
    return name;
}

void classic_set_protocol(struct classic_group *group, struct slice protocol) {
    own(&group->protocol, protocol);
}

void classic_set_type(struct classic_group *group, struct slice protocol_type) {
    own(&group->protocol_type, protocol_type);
}

void classic_set_leader(struct classic_group *group, struct slice member_id) {
    own(&group->leader, member_id);
}

/* ---- subscribed topics ----------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* Metadata is read as version 0 of the subscription, with which all versions begin. */
static bool collect_topics(const struct classic_group *group, struct arena *arena, struct slice **ret_topics, int *ret_count) {
    int count = 0, room = 16;
    struct slice *topics = mem_alloc(sizeof *topics * (size_t)room);
    classic_each_member(member, group) {
        struct consumer_protocol_subscription subscription;
        struct decoder decoder = decoder_of(classic_member_metadata(member, group->protocol), arena);
        int16_t version = decode_int16(&decoder);
        if (decoder.err || version < 0 || consumer_protocol_subscription_decode(&decoder, 0, &subscription)) {
            mem_free(topics);
            return false;
        }
        for (int i = 0; i < subscription.topics_count; i++) {
            if (count == room)
                topics = mem_realloc(topics, sizeof *topics * (size_t)(room *= 2));
            topics[count++] = subscription.topics[i];
        }
    }
    qsort(topics, (size_t)count, sizeof *topics, by_name);
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (!kept || !slice_eq(topics[kept - 1], topics[i]))
            topics[kept++] = topics[i];
    *ret_topics = topics;
    *ret_count = kept;
    return true;
}

void classic_find_topics(struct classic_group *group) {
    struct arena arena = {0};
    struct slice *topics = NULL;
    int count = 0;
    mem_free(group->topics);
    group->topics = NULL;
    group->topic_count = 0;
    group->topics_known = false;
    if (!group->protocol_type.ptr || !slice_eq_str(group->protocol_type, "consumer"))
        return;
    if (group->member_count && (!group->protocol.ptr || !collect_topics(group, &arena, &topics, &count))) {
        arena_deinit(&arena);
        return;
    }
    size_t size = sizeof *topics * (size_t)count;
    for (int i = 0; i < count; i++)
        size += topics[i].size;
    group->topics = mem_alloc(size + 1);
    uint8_t *at = (uint8_t *)(group->topics + count);
    for (int i = 0; i < count; i++) {
        group->topics[i] = slice_of(at, topics[i].size);
        memcpy(at, topics[i].ptr, topics[i].size);
        at += topics[i].size;
    }
    group->topic_count = count;
    group->topics_known = true;
    mem_free(topics);
    arena_deinit(&arena);
}

/* ---- members ------------------------------------------------------------------------------------------------------------------------ */

struct classic_member *classic_member_add(struct classic_group *group, const struct classic_member_spec *spec) {
    struct classic_member *member = mem_new(struct classic_member);
    struct classic_pending *pending = classic_pending_find(group, spec->id);
    check(!spec->instance_id.ptr || !classic_member_by_instance(group, spec->instance_id), "an instance id is taken");
    if (pending)
        classic_pending_remove(pending);
    member->group = group;
    own(&member->id, spec->id);
    own(&member->instance_id, spec->instance_id);
    own(&member->client_id, spec->client_id);
    own(&member->client_host, spec->client_host);
    own(&member->assignment, SLICE_EMPTY);
    member->rebalance_timeout_ms = spec->rebalance_timeout_ms;
    member->session_timeout_ms = spec->session_timeout_ms;
    classic_timer_init(&member->session.timer, group->group.groups, member_is_due);
    if (!group->member_count)
        own(&group->protocol_type, spec->protocol_type);
    if (!group->leader.ptr)
        own(&group->leader, spec->id);
    list_push_back(&group->members, &member->all);
    map_insert(&group->members_by_id, &member->by_id, hash_slice(member->id));
    if (member->instance_id.ptr)
        map_insert(&group->members_by_instance, &member->by_instance, hash_slice(member->instance_id));
    group->member_count++;
    classic_member_set_protocols(member, spec->protocols, spec->protocol_count);
    return member;
}

static void member_free(struct classic_member *member) {
    classic_timer_stop(&member->session.timer);
    disown(&member->id);
    disown(&member->instance_id);
    disown(&member->client_id);
    disown(&member->client_host);
    disown(&member->assignment);
    mem_free(member->protocols);
    mem_free(member);
}

void classic_member_remove(struct classic_member *member) {
    struct classic_group *group = member->group;
    check(!member->join && !member->sync, "a member that waits is removed");
    count_support(group, member, -1);
    list_remove(&member->all);
    map_remove(&group->members_by_id, &member->by_id);
    if (member->instance_id.ptr)
        map_remove(&group->members_by_instance, &member->by_instance);
    group->member_count--;
    group->syncs_pending -= member->sync_pending;
    if (classic_is_leader(group, member)) {
        if (group->member_count)
            own(&group->leader, list_entry(group->members.next, struct classic_member, all)->id);
        else
            disown(&group->leader);
    }
    member_free(member);
}

void classic_member_assign(struct classic_member *member, struct slice assignment) {
    own(&member->assignment, assignment);
}

void classic_member_rename(struct classic_member *member, struct slice id) {
    struct classic_group *group = member->group;
    bool leads = classic_is_leader(group, member);
    map_remove(&group->members_by_id, &member->by_id);
    own(&member->id, id);
    map_insert(&group->members_by_id, &member->by_id, hash_slice(member->id));
    if (leads)
        own(&group->leader, id);
    member->is_new = false;
    group->syncs_pending -= member->sync_pending;
    member->sync_pending = false;
}

/* ---- ids that were handed out ------------------------------------------------------------------------------------------------------- */

void classic_pending_add(struct classic_group *group, struct slice id, int32_t session_timeout_ms) {
    struct classic_pending *pending = mem_new(struct classic_pending);
    pending->group = group;
    own(&pending->id, id);
    classic_timer_init(&pending->session.timer, group->group.groups, pending_is_due);
    map_insert(&group->pending, &pending->node, hash_slice(pending->id));
    classic_session_extend(&pending->session, session_timeout_ms);
}

void classic_pending_remove(struct classic_pending *pending) {
    classic_timer_stop(&pending->session.timer);
    map_remove(&pending->group->pending, &pending->node);
    disown(&pending->id);
    mem_free(pending);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------------------ */

void classic_group_free(struct classic_group *group) {
    struct list *node;
    classic_timer_stop(&group->join_timer);
    classic_timer_stop(&group->sync_timer);
    while ((node = list_pop_front(&group->members)))
        member_free(list_entry(node, struct classic_member, all));
    map_each_safe(pending, &group->pending)
        classic_pending_remove(container_of(pending, struct classic_pending, node));
    while ((node = list_pop_front(&group->support))) {
        struct classic_support *support = list_entry(node, struct classic_support, node);
        disown(&support->name);
        mem_free(support);
    }
    map_deinit(&group->members_by_id);
    map_deinit(&group->members_by_instance);
    map_deinit(&group->pending);
    disown(&group->protocol_type);
    disown(&group->protocol);
    disown(&group->leader);
    mem_free(group->topics);
    mem_free(group);
}
