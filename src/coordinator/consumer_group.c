/* A consumer group's state: members, who subscribes to what, who owns which partition. See consumer_internal.h. */
#include "coordinator/consumer_internal.h"

#include <stdlib.h>
#include "base/mem.h"
#include "base/trace.h"
#include "coordinator/metadata_hash.h"
#include "metadata/config_check.h"

static struct slice own(struct slice s) {
    return (struct slice){(const uint8_t *)mem_strndup((const char *)s.ptr, s.size), s.size};
}

/* ---- lists of partitions, names ------------------------------------------------------------------------------------------------ */

int consumer_partition_cmp(const struct consumer_partition *a, const struct consumer_partition *b) {
    if (a->topic.msb != b->topic.msb)
        return a->topic.msb > b->topic.msb ? 1 : -1;
    if (a->topic.lsb != b->topic.lsb)
        return a->topic.lsb > b->topic.lsb ? 1 : -1;
    return (a->partition > b->partition) - (a->partition < b->partition);
}

static int by_place(const void *a, const void *b) {
    return consumer_partition_cmp(a, b);
}

bool consumer_partitions_eq(struct consumer_partitions a, struct consumer_partitions b, bool with_epochs) {
    if (a.count != b.count)
        return false;
    for (int i = 0; i < a.count; i++)
        if (consumer_partition_cmp(&a.items[i], &b.items[i]) || (with_epochs && a.items[i].epoch != b.items[i].epoch))
            return false;
    return true;
}

const struct consumer_partition *consumer_partitions_find(struct consumer_partitions partitions, struct uuid topic, int32_t partition) {
    struct consumer_partition key = {.topic = topic, .partition = partition};
    return partitions.count ? bsearch(&key, partitions.items, (size_t)partitions.count, sizeof key, by_place) : NULL;
}

void consumer_partitions_sort(struct consumer_partitions *partitions) {
    if (partitions->count)
        qsort(partitions->items, (size_t)partitions->count, sizeof partitions->items[0], by_place);
    int kept = 0;
    for (int i = 0; i < partitions->count; i++)
        if (!kept || consumer_partition_cmp(&partitions->items[kept - 1], &partitions->items[i]))
            partitions->items[kept++] = partitions->items[i];
    partitions->count = kept;
}

static int by_name(const void *a, const void *b) {
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

bool consumer_names_contain(const struct slice *names, int count, struct slice name) {
    return count && bsearch(&name, names, (size_t)count, sizeof name, by_name);
}

struct slice *consumer_names_sort(struct arena *arena, const struct slice *names, int count, int *ret_count) {
    struct slice *sorted = arena_array(arena, struct slice, count + 1);
    int kept = 0;
    if (count > 0) {
        memcpy(sorted, names, sizeof *sorted * (size_t)count);
        qsort(sorted, (size_t)count, sizeof *sorted, by_name);
    }
    for (int i = 0; i < count; i++)
        if (!kept || !slice_eq(sorted[kept - 1], sorted[i]))
            sorted[kept++] = sorted[i];
    *ret_count = kept;
    return sorted;
}

/* ---- blocks: a struct with all that it names ------------------------------------------------------------------------------------ */

static struct slice pack(uint8_t **at, struct slice s) {
    if (!s.ptr)
        return SLICE_NULL;
    uint8_t *begin = *at;
    if (s.size)
        memcpy(begin, s.ptr, s.size);
    *at += s.size;
    return slice_of(begin, s.size);
}

static struct consumer_subscription *subscription_copy(const struct consumer_subscription *from) {
    size_t size = sizeof *from + sizeof(struct slice) * (size_t)from->topic_count +
                  sizeof(struct consumer_protocol) * (size_t)from->protocol_count + 1;
    size += from->instance_id.size + from->rack_id.size + from->client_id.size + from->client_host.size + from->regex.size +
            from->assignor.size;
    for (int i = 0; i < from->topic_count; i++)
        size += from->topics[i].size;
    for (int i = 0; i < from->protocol_count; i++)
        size += from->protocols[i].name.size + from->protocols[i].metadata.size;
    struct consumer_subscription *to = mem_alloc(size);
    *to = *from;
    to->topics = (struct slice *)(to + 1);
    to->protocols = (struct consumer_protocol *)(to->topics + from->topic_count);
    uint8_t *at = (uint8_t *)(to->protocols + from->protocol_count);
    to->instance_id = pack(&at, from->instance_id);
    to->rack_id = pack(&at, from->rack_id);
    to->client_id = pack(&at, from->client_id);
    to->client_host = pack(&at, from->client_host);
    to->regex = pack(&at, from->regex);
    to->assignor = pack(&at, from->assignor);
    for (int i = 0; i < from->topic_count; i++)
        to->topics[i] = pack(&at, from->topics[i]);
    for (int i = 0; i < from->protocol_count; i++)
        to->protocols[i] = (struct consumer_protocol){pack(&at, from->protocols[i].name), pack(&at, from->protocols[i].metadata)};
    return to;
}

static struct consumer_current *current_copy(const struct consumer_current *from) {
    size_t assigned = sizeof(struct consumer_partition) * (size_t)from->assigned.count;
    size_t revoking = sizeof(struct consumer_partition) * (size_t)from->revoking.count;
    struct consumer_current *to = mem_alloc(sizeof *to + assigned + revoking);
    *to = *from;
    to->assigned.items = (struct consumer_partition *)(to + 1);
    to->revoking.items = to->assigned.items + from->assigned.count;
    if (assigned)
        memcpy(to->assigned.items, from->assigned.items, assigned);
    if (revoking)
        memcpy(to->revoking.items, from->revoking.items, revoking);
    return to;
}

struct consumer_subscription consumer_subscription_new(void) {
    return (struct consumer_subscription){.client_id = SLICE_EMPTY, .client_host = SLICE_EMPTY, .regex = SLICE_EMPTY,
                                          .rebalance_timeout_ms = -1};
}

bool consumer_names_eq(const struct consumer_subscription *a, const struct consumer_subscription *b) {
    if (a->topic_count != b->topic_count)
        return false;
    for (int i = 0; i < a->topic_count; i++)
        if (!slice_eq(a->topics[i], b->topics[i]))
            return false;
    return true;
}

bool consumer_subscription_eq(const struct consumer_subscription *a, const struct consumer_subscription *b) {
    if (!slice_eq(a->instance_id, b->instance_id) || !slice_eq(a->rack_id, b->rack_id) || !slice_eq(a->client_id, b->client_id) ||
        !slice_eq(a->client_host, b->client_host) || !slice_eq(a->regex, b->regex) || !slice_eq(a->assignor, b->assignor) ||
        a->rebalance_timeout_ms != b->rebalance_timeout_ms || a->is_classic != b->is_classic || !consumer_names_eq(a, b))
        return false;
    if (!a->is_classic)
        return true;
    if (a->session_timeout_ms != b->session_timeout_ms || a->protocol_count != b->protocol_count)
        return false;
    for (int i = 0; i < a->protocol_count; i++)
        if (!slice_eq(a->protocols[i].name, b->protocols[i].name) || !slice_eq(a->protocols[i].metadata, b->protocols[i].metadata))
            return false;
    return true;
}

/* ---- topics and expressions that are subscribed to ------------------------------------------------------------------------------- */

static bool is_topic(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct consumer_topic, node)->name, *(const struct slice *)key);
}

static void count_topic(struct consumer_group *group, struct slice name, int by_name_more, int by_regex_more) {
    uint64_t hash = hash_slice(name);
    struct map_node *node = map_find(&group->topics, hash, is_topic, &name);
    struct consumer_topic *topic = node ? container_of(node, struct consumer_topic, node) : NULL;
    if (!topic) {
        topic = mem_new(struct consumer_topic);
        topic->name = own(name);
        map_insert(&group->topics, &topic->node, hash);
    }
    topic->by_name += by_name_more;
    topic->by_regex += by_regex_more;
    if (topic->by_name <= 0 && topic->by_regex <= 0) {
        map_remove(&group->topics, &topic->node);
        mem_free((void *)topic->name.ptr);
        mem_free(topic);
    }
}

static bool is_regex(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct consumer_regex, node)->pattern, *(const struct slice *)key);
}

struct consumer_regex *consumer_find_regex(const struct consumer_group *group, struct slice pattern) {
    struct map_node *node = map_find(&group->regexes, hash_slice(pattern), is_regex, &pattern);
    return node ? container_of(node, struct consumer_regex, node) : NULL;
}

static struct consumer_regex *get_regex(struct consumer_group *group, struct slice pattern) {
    struct consumer_regex *regex = consumer_find_regex(group, pattern);
    if (!regex) {
        regex = mem_new(struct consumer_regex);
        regex->pattern = own(pattern);
        map_insert(&group->regexes, &regex->node, hash_slice(pattern));
    }
    return regex;
}

static void drop_regex_if_unused(struct consumer_group *group, struct consumer_regex *regex) {
    if (regex->members > 0 || regex->is_resolved)
        return;
    map_remove(&group->regexes, &regex->node);
    mem_free((void *)regex->pattern.ptr);
    mem_free(regex);
}

static void unresolve(struct consumer_group *group, struct consumer_regex *regex) {
    if (!regex->is_resolved)
        return;
    for (int i = 0; i < regex->topic_count; i++)
        count_topic(group, regex->topics[i], 0, -1);
    mem_free(regex->topics);
    regex->topics = NULL;
    regex->topic_count = 0;
    regex->is_resolved = false;
    group->resolved_count--;
}

void consumer_set_regex(struct consumer_group *group, struct slice pattern, const struct slice *topics, int count, int64_t version,
                        int64_t timestamp_ms) {
    struct consumer_regex *regex = get_regex(group, pattern);
    unresolve(group, regex);
    size_t size = sizeof(struct slice) * (size_t)count + 1;
    for (int i = 0; i < count; i++)
        size += topics[i].size;
    regex->topics = mem_alloc(size);
    uint8_t *at = (uint8_t *)(regex->topics + count);
    for (int i = 0; i < count; i++) {
        regex->topics[i] = pack(&at, topics[i]);
        count_topic(group, topics[i], 0, 1);
    }
    regex->topic_count = count;
    regex->is_resolved = true;
    regex->version = version;
    regex->timestamp_ms = timestamp_ms;
    group->resolved_count++;
}

void consumer_unset_regex(struct consumer_group *group, struct slice pattern) {
    struct consumer_regex *regex = consumer_find_regex(group, pattern);
    if (!regex)
        return;
    unresolve(group, regex);
    drop_regex_if_unused(group, regex);
}

static void count_subscription(struct consumer_group *group, const struct consumer_subscription *subscription, int more) {
    for (int i = 0; i < subscription->topic_count; i++)
        count_topic(group, subscription->topics[i], more, 0);
    if (slice_is_set(subscription->regex)) {
        struct consumer_regex *regex = get_regex(group, subscription->regex);
        regex->members += more;
        drop_regex_if_unused(group, regex);
    }
}

/* An expression that loses its last member takes its topics along, and brings them when the shift goes back. */
static void shift_regex(struct consumer_group *group, const struct consumer_subscription *subscription, int more) {
    if (!subscription || !slice_is_set(subscription->regex))
        return;
    struct consumer_regex *regex = get_regex(group, subscription->regex);
    bool toggles = regex->is_resolved && (more > 0 ? regex->members == 0 : regex->members == 1);
    regex->members += more;
    for (int i = 0; toggles && i < regex->topic_count; i++)
        count_topic(group, regex->topics[i], 0, more);
    drop_regex_if_unused(group, regex);
}

void consumer_shift(struct consumer_group *group, const struct consumer_subscription *from, const struct consumer_subscription *to) {
    /* The gains first: what both have never falls to zero in between. */
    for (int i = 0; to && i < to->topic_count; i++)
        count_topic(group, to->topics[i], 1, 0);
    for (int i = 0; from && i < from->topic_count; i++)
        count_topic(group, from->topics[i], -1, 0);
    if (from && to && slice_eq(from->regex, to->regex))
        return;
    shift_regex(group, to, 1);
    shift_regex(group, from, -1);
}

struct slice *consumer_topic_names(const struct consumer_group *group, struct arena *arena, int *ret_count) {
    struct slice *names = arena_array(arena, struct slice, group->topics.count + 1);
    int count = 0;
    map_each(node, &group->topics)
        names[count++] = container_of(node, struct consumer_topic, node)->name;
    *ret_count = count;
    return names;
}

int64_t consumer_hash(const struct consumer_group *group, struct arena *arena) {
    int count;
    struct slice *names = consumer_topic_names(group, arena, &count);
    return metadata_hash_group(consumer_coordinator(group)->host->image, names, count);
}

bool consumer_is_even(const struct consumer_group *group, int member_count) {
    bool has_regex = false;
    map_each(node, &group->regexes) {
        const struct consumer_regex *regex = container_of(node, struct consumer_regex, node);
        if (regex->members > 0 && regex->members != member_count)
            return false;
        has_regex |= regex->members > 0;
    }
    map_each(node, &group->topics) {
        const struct consumer_topic *topic = container_of(node, struct consumer_topic, node);
        if (has_regex ? topic->by_regex != 1 || topic->by_name > 0 : topic->by_name != member_count)
            return false;
    }
    return true;
}

/* ---- owners of partitions ----------------------------------------------------------------------------------------------------------- */

struct owner_key {
    struct uuid topic;
    int32_t partition;
};
static bool is_owner(const struct map_node *node, const void *key) {
    const struct consumer_owner *owner = container_of(node, struct consumer_owner, node);
    const struct owner_key *wanted = key;
    return owner->partition == wanted->partition && uuid_eq(owner->topic, wanted->topic);
}
static struct consumer_owner *find_owner(const struct consumer_group *group, struct uuid topic, int32_t partition, uint64_t *ret_hash) {
    struct owner_key key = {topic, partition};
    *ret_hash = hash_u64(uuid_hash(topic) + (uint32_t)partition);
    struct map_node *node = map_find(&group->owners, *ret_hash, is_owner, &key);
    return node ? container_of(node, struct consumer_owner, node) : NULL;
}

int32_t consumer_owner_epoch(const struct consumer_group *group, struct uuid topic, int32_t partition) {
    uint64_t hash;
    const struct consumer_owner *owner = find_owner(group, topic, partition, &hash);
    return owner ? owner->epoch : -1;
}

static void release(struct consumer_group *group, struct consumer_partitions partitions, int32_t epoch) {
    for (int i = 0; i < partitions.count; i++) {
        uint64_t hash;
        struct consumer_owner *owner = find_owner(group, partitions.items[i].topic, partitions.items[i].partition, &hash);
        if (!owner || owner->epoch != epoch)
            continue; /* somebody else has it by now */
        map_remove(&group->owners, &owner->node);
        mem_free(owner);
    }
}

static void take(struct consumer_group *group, struct consumer_partitions partitions, int32_t epoch) {
    for (int i = 0; i < partitions.count; i++) {
        const struct consumer_partition *p = &partitions.items[i];
        uint64_t hash;
        struct consumer_owner *owner = find_owner(group, p->topic, p->partition, &hash);
        if (!owner) {
            owner = mem_new(struct consumer_owner);
            owner->topic = p->topic;
            owner->partition = p->partition;
            map_insert(&group->owners, &owner->node, hash);
        } else if (owner->epoch >= epoch) {
            trace_warn("coordinator", "a partition has two owners in the records of a consumer group: the later one counts",
                       TRACE_SLICE("group", group->group.id), TRACE_INT("partition", p->partition));
        }
        owner->epoch = epoch;
    }
}

/* ---- members --------------------------------------------------------------------------------------------------------------------- */

static bool is_id(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct consumer_member, by_id)->id, *(const struct slice *)key);
}
static bool is_instance(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct consumer_member, by_instance)->subscription->instance_id, *(const struct slice *)key);
}

struct consumer_member *consumer_find_any(const struct consumer_group *group, struct slice id) {
    struct map_node *node = map_find(&group->members, hash_slice(id), is_id, &id);
    return node ? container_of(node, struct consumer_member, by_id) : NULL;
}

struct consumer_member *consumer_find_member(const struct consumer_group *group, struct slice id) {
    struct consumer_member *member = consumer_find_any(group, id);
    return member && member->is_member ? member : NULL;
}

struct consumer_member *consumer_find_instance(const struct consumer_group *group, struct slice instance_id) {
    if (!instance_id.ptr)
        return NULL;
    struct map_node *node = map_find(&group->instances, hash_slice(instance_id), is_instance, &instance_id);
    return node ? container_of(node, struct consumer_member, by_instance) : NULL;
}

static void session_fired(struct classic_timer *timer, struct coordinator_op *op) {
    struct consumer_member *member = container_of(timer, struct consumer_member, session.timer);
    if (classic_session_is_over(&member->session))
        consumer_member_is_due(member, op, "its session expired");
}
static void rebalance_fired(struct classic_timer *timer, struct coordinator_op *op) {
    struct consumer_member *member = container_of(timer, struct consumer_member, rebalance);
    if (member->current->epoch == member->rebalance_epoch)
        consumer_member_is_due(member, op, "it did not give up partitions in time");
}
static void join_fired(struct classic_timer *timer, struct coordinator_op *op) {
    consumer_member_is_due(container_of(timer, struct consumer_member, join), op, "it did not join again in time");
}
static void sync_fired(struct classic_timer *timer, struct coordinator_op *op) {
    consumer_member_is_due(container_of(timer, struct consumer_member, sync), op, "it did not sync in time");
}

struct consumer_member *consumer_get_any(struct consumer_group *group, struct slice id) {
    struct consumer_member *member = consumer_find_any(group, id);
    if (member)
        return member;
    static const struct consumer_current nothing = {.epoch = 0, .previous_epoch = -1};
    const struct consumer_subscription subscription = consumer_subscription_new();
    member = mem_new(struct consumer_member);
    member->group = group;
    member->id = own(id);
    member->subscription = subscription_copy(&subscription);
    member->current = current_copy(&nothing);
    classic_timer_init(&member->session.timer, group->group.groups, session_fired);
    classic_timer_init(&member->rebalance, group->group.groups, rebalance_fired);
    classic_timer_init(&member->join, group->group.groups, join_fired);
    classic_timer_init(&member->sync, group->group.groups, sync_fired);
    map_insert(&group->members, &member->by_id, hash_slice(id));
    list_push_back(&group->all_members, &member->all);
    return member;
}

static void become_member(struct consumer_member *member) {
    member->group->member_count += !member->is_member;
    member->is_member = true;
}

static void leave_instance(struct consumer_member *member) {
    if (member->in_instances)
        map_remove(&member->group->instances, &member->by_instance);
    member->in_instances = false;
}

void consumer_set_subscription(struct consumer_member *member, const struct consumer_subscription *subscription) {
    struct consumer_group *group = member->group;
    struct consumer_subscription *old = member->subscription;
    become_member(member);
    leave_instance(member);
    if (subscription->instance_id.ptr) {
        struct consumer_member *before = consumer_find_instance(group, subscription->instance_id);
        if (before)
            leave_instance(before);
    }
    member->subscription = subscription_copy(subscription);
    count_subscription(group, member->subscription, 1);
    count_subscription(group, old, -1);
    group->classic_count += member->subscription->is_classic - old->is_classic;
    if (subscription->instance_id.ptr) {
        map_insert(&group->instances, &member->by_instance, hash_slice(subscription->instance_id));
        member->in_instances = true;
    }
    mem_free(old);
}

void consumer_set_current(struct consumer_member *member, const struct consumer_current *current) {
    struct consumer_group *group = member->group;
    struct consumer_current *old = member->current;
    become_member(member);
    release(group, old->assigned, old->epoch);
    release(group, old->revoking, old->epoch);
    member->current = current_copy(current);
    take(group, member->current->assigned, current->epoch);
    take(group, member->current->revoking, current->epoch);
    mem_free(old);
}

static void forget_member(struct consumer_member *member) {
    struct consumer_group *group = member->group;
    classic_timer_stop(&member->session.timer);
    classic_timer_stop(&member->rebalance);
    classic_timer_stop(&member->join);
    classic_timer_stop(&member->sync);
    map_remove(&group->members, &member->by_id);
    list_remove(&member->all);
    mem_free((void *)member->id.ptr);
    mem_free(member->subscription);
    mem_free(member->current);
    mem_free(member->target);
    mem_free(member);
}

void consumer_set_target(struct consumer_member *member, const struct consumer_partitions *target) {
    struct consumer_group *group = member->group;
    group->target_count += (target != NULL) - (member->target != NULL);
    mem_free(member->target);
    member->target = NULL;
    if (target) {
        size_t size = sizeof(struct consumer_partition) * (size_t)target->count;
        member->target = mem_alloc(sizeof *target + size);
        *member->target = (struct consumer_partitions){(struct consumer_partition *)(member->target + 1), target->count};
        if (size)
            memcpy(member->target->items, target->items, size);
    } else if (!member->is_member) {
        forget_member(member);
    }
}

void consumer_remove_member(struct consumer_member *member) {
    struct consumer_group *group = member->group;
    leave_instance(member);
    release(group, member->current->assigned, member->current->epoch);
    release(group, member->current->revoking, member->current->epoch);
    count_subscription(group, member->subscription, -1);
    group->classic_count -= member->subscription->is_classic;
    group->member_count -= member->is_member;
    group->target_count -= member->target != NULL;
    forget_member(member);
}

int64_t consumer_session_timeout_ms(const struct consumer_group *group, const struct consumer_subscription *subscription) {
    if (subscription->is_classic)
        return subscription->session_timeout_ms;
    return coordinator_group_config_int(consumer_coordinator(group), group->group.id, "consumer.session.timeout.ms",
                                        "group.consumer.session.timeout.ms");
}

/* ---- the group --------------------------------------------------------------------------------------------------------------------- */

struct consumer_group *consumer_group_create(struct groups *groups) {
    struct consumer_group *group = mem_new(struct consumer_group);
    group->group.methods = &group_consumer_methods;
    group->group.groups = groups;
    group->epoch = group->target_epoch = 1;
    group->metadata_seen = -1;
    list_init(&group->all_members);
    return group;
}

void consumer_group_free(struct group *base) {
    struct consumer_group *group = consumer_group_of(base);
    list_each_safe(node, &group->all_members)
        consumer_remove_member(list_entry(node, struct consumer_member, all));
    map_each_safe(node, &group->regexes) {
        struct consumer_regex *regex = container_of(node, struct consumer_regex, node);
        regex->members = 0;
        unresolve(group, regex);
        drop_regex_if_unused(group, regex);
    }
    map_each_safe(node, &group->owners)
        mem_free(container_of(node, struct consumer_owner, node));
    check(group->topics.count == 0, "%d topics are left without a subscriber", (int)group->topics.count);
    map_deinit(&group->members);
    map_deinit(&group->instances);
    map_deinit(&group->topics);
    map_deinit(&group->regexes);
    map_deinit(&group->owners);
    mem_free(group);
}

const char *consumer_state_name(const struct consumer_group *group) {
    if (!group->member_count)
        return "Empty";
    if (group->epoch > group->target_epoch)
        return "Assigning";
    consumer_each_member(member, group)
        if (!consumer_is_settled(member->current, group->target_epoch))
            return "Reconciling";
    return "Stable";
}

const char *consumer_assignor(const struct consumer_group *group, const struct consumer_subscription *from, const struct consumer_subscription *to) {
    int uniform = 0, range = 0;
    consumer_each_member(member, group) {
        uniform += slice_eq_str(member->subscription->assignor, "uniform");
        range += slice_eq_str(member->subscription->assignor, "range");
    }
    if (from) {
        uniform -= slice_eq_str(from->assignor, "uniform");
        range -= slice_eq_str(from->assignor, "range");
    }
    if (to) {
        uniform += slice_eq_str(to->assignor, "uniform");
        range += slice_eq_str(to->assignor, "range");
    }
    if (uniform || range)
        return range > uniform ? "range" : "uniform";
    struct slice list = broker_config_get(consumer_coordinator(group)->host->config, "group.consumer.assignors"), first;
    return config_list_next(&list, &first) && (slice_eq_str(first, "range") ||
                                               slice_eq_str(first, "org.apache.kafka.coordinator.group.assignor.RangeAssignor"))
               ? "range"
               : "uniform";
}

/* ---- what all kinds of groups answer (groups.h) -------------------------------------------------------------------------------------- */

static const char *state_name(const struct group *group) {
    return consumer_state_name(consumer_group_of(group));
}
static struct slice protocol_type(const struct group *group) {
    (void)group;
    return SLICE_LIT("consumer");
}
static bool is_empty(const struct group *group) {
    return !consumer_group_of(group)->member_count;
}
static bool is_subscribed(const struct group *base, struct slice topic) {
    return map_find(&consumer_group_of(base)->topics, hash_slice(topic), is_topic, &topic) != NULL;
}
static int64_t empty_since_ms(const struct group *group) {
    (void)group;
    return -1; /* the time of each commit counts */
}

static int16_t stale(const struct consumer_member *member) {
    return member->subscription->is_classic ? KAFKA_ILLEGAL_GENERATION : KAFKA_STALE_MEMBER_EPOCH;
}

static bool names_nobody(const struct group_caller *caller) {
    return caller->transactional && caller->generation == -1 && !caller->member_id.size && !caller->instance_id.ptr;
}

static int16_t check_commit(struct group *base, const struct group_caller *caller) {
    const struct consumer_group *group = consumer_group_of(base);
    if ((caller->generation < 0 && !group->member_count) || names_nobody(caller))
        return KAFKA_NONE;
    const struct consumer_member *member = consumer_find_member(group, caller->member_id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    if (!caller->transactional && !member->subscription->is_classic && caller->version < 9)
        return KAFKA_UNSUPPORTED_VERSION;
    return caller->generation > member->current->epoch ? stale(member) : KAFKA_NONE;
}

static int16_t check_commit_partition(struct group *base, const struct group_caller *caller, struct uuid topic_id, int32_t partition) {
    const struct consumer_group *group = consumer_group_of(base);
    const struct consumer_member *member = consumer_find_member(group, caller->member_id);
    if (!member || names_nobody(caller) || caller->generation >= member->current->epoch)
        return KAFKA_NONE;
    const struct consumer_partition *owned = consumer_partitions_find(member->current->assigned, topic_id, partition);
    if (!owned)
        owned = consumer_partitions_find(member->current->revoking, topic_id, partition);
    return !owned || caller->generation < owned->epoch ? stale(member) : KAFKA_NONE;
}

static int16_t check_fetch(struct group *base, const struct group_caller *caller) {
    if (!caller->member_id.ptr && caller->generation < 0)
        return KAFKA_NONE;
    const struct consumer_member *member = consumer_find_member(consumer_group_of(base), caller->member_id);
    if (!member)
        return KAFKA_UNKNOWN_MEMBER_ID;
    return caller->generation != member->current->epoch ? stale(member) : KAFKA_NONE;
}

static int16_t check_delete(const struct group *group) {
    return is_empty(group) ? KAFKA_NONE : KAFKA_NON_EMPTY_GROUP;
}

static void add_tombstones(struct group *group, struct coordinator_op *op) {
    consumer_add_group_tombstones(op, consumer_group_of(group), NULL, SLICE_NULL);
}

static void loaded(struct group *base) {
    struct consumer_group *group = consumer_group_of(base);
    const struct consumer_subscription consumer = consumer_subscription_new();
    consumer_each_member(member, group) {
        /* The group's timeout for classic members too; their next heartbeat puts theirs in its place. */
        classic_session_extend(&member->session, consumer_session_timeout_ms(group, &consumer));
        if (member->current->state == CONSUMER_UNREVOKED) {
            member->rebalance_epoch = member->current->epoch;
            classic_timer_start(&member->rebalance, member->subscription->rebalance_timeout_ms);
        }
    }
}

const struct group_methods group_consumer_methods = {
    .type = GROUP_CONSUMER,
    .state_name = state_name,
    .protocol_type = protocol_type,
    .is_empty = is_empty,
    .is_subscribed = is_subscribed,
    .empty_since_ms = empty_since_ms,
    .check_commit = check_commit,
    .check_commit_partition = check_commit_partition,
    .check_fetch = check_fetch,
    .check_delete = check_delete,
    .add_tombstones = add_tombstones,
    .free = consumer_group_free,
    .loaded = loaded,
    .classic_join = consumer_classic_join,
    .classic_sync = consumer_classic_sync,
    .classic_heartbeat = consumer_classic_heartbeat,
    .classic_leave = consumer_classic_leave,
};
