/* The target assignment: computed when the group's epoch has moved on, on the heartbeat of whoever comes first, but not
 * more often than group.consumer.assignment.interval.ms, so that many who join at once are assigned together. */
#include <stdlib.h>

#include "base/trace.h"
#include "coordinator/assign.h"
#include "coordinator/consumer_internal.h"

static bool is_time(const struct consumer_step *step) {
    struct coordinator *coordinator = step->op->coordinator;
    int64_t interval_ms = coordinator_group_config_int(coordinator, step->group_id, "consumer.assignment.interval.ms",
                                                       "group.consumer.assignment.interval.ms");
    return !coordinator_is_recent(coordinator, step->group->target_timestamp_ms, interval_ms);
}

/* ---- the description ------------------------------------------------------------------------------------------------------------ */

struct index_entry { /* a topic that somebody subscribes to, and that exists */
    struct map_node by_name, by_id;
    const struct image_topic *topic;
    int index;
};
struct description {
    struct consumer_step *step;
    struct assign_group group;
    struct map by_name, by_id;
    const struct consumer_member **members; /* as group.members; NULL: the one whose step it is */
    const int *shared;                      /* all subscribe to all topics */
};

static bool is_name(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct index_entry, by_name)->topic->name, *(const struct slice *)key);
}
static bool is_topic_id(const struct map_node *node, const void *key) {
    return uuid_eq(container_of(node, struct index_entry, by_id)->topic->id, *(const struct uuid *)key);
}
static int index_of_name(const struct description *d, struct slice name) {
    struct map_node *node = map_find(&d->by_name, hash_slice(name), is_name, &name);
    return node ? container_of(node, struct index_entry, by_name)->index : -1;
}
static int index_of_id(const struct description *d, struct uuid id) {
    struct map_node *node = map_find(&d->by_id, uuid_hash(id), is_topic_id, &id);
    return node ? container_of(node, struct index_entry, by_id)->index : -1;
}

struct ordered { /* something with its place in Java's order */
    uint32_t order;
    const void *what;
    struct slice id; /* of a member */
};
static int by_order(const void *a, const void *b) {
    const struct ordered *x = a, *y = b;
    return x->order != y->order ? (x->order > y->order ? 1 : -1) : slice_cmp(x->id, y->id);
}

static const struct consumer_subscription *subscription_of(const struct description *d, int member) {
    return d->members[member] ? d->members[member]->subscription : &d->step->is;
}
static const struct consumer_regex *regex_of(const struct description *d, const struct consumer_subscription *subscription) {
    const struct consumer_regex *regex = slice_is_set(subscription->regex) ? consumer_find_regex(d->step->group, subscription->regex) : NULL;
    return regex && regex->is_resolved ? regex : NULL;
}

static void add_topics(struct ordered *topics, int *count, const struct image *image, const struct slice *names, int name_count) {
    for (int i = 0; i < name_count; i++) {
        const struct image_topic *topic = image_find_topic(image, names[i]);
        if (topic)
            topics[(*count)++] = (struct ordered){0, topic, topic->name};
    }
}

/* Where all subscribe to the same, the topics of any; else those of all. */
static void describe_topics(struct description *d) {
    struct consumer_step *step = d->step;
    const struct image *image = step->op->coordinator->host->image;
    struct arena *arena = d->group.arena;
    struct ordered *topics;
    int count = 0;
    if (d->group.is_even) {
        const struct consumer_subscription *any = subscription_of(d, 0);
        const struct consumer_regex *regex = regex_of(d, any);
        topics = arena_array(arena, struct ordered, any->topic_count + (regex ? regex->topic_count : 0) + 1);
        add_topics(topics, &count, image, any->topics, any->topic_count);
        if (regex)
            add_topics(topics, &count, image, regex->topics, regex->topic_count);
    } else {
        int name_count;
        struct slice *names = consumer_topic_names(step->group, arena, &name_count);
        topics = arena_array(arena, struct ordered, name_count + 1);
        add_topics(topics, &count, image, names, name_count);
    }
    for (int i = 0; i < count; i++)
        topics[i].order = java_hash_order(java_hash_of_uuid(((const struct image_topic *)topics[i].what)->id), java_copied_capacity(count));
    qsort(topics, (size_t)count, sizeof topics[0], by_order);
    d->group.topics = arena_array(arena, struct assign_topic, count + 1);
    struct index_entry *entries = arena_array(arena, struct index_entry, count + 1);
    for (int i = 0; i < count; i++) {
        const struct image_topic *topic = topics[i].what;
        if (index_of_id(d, topic->id) >= 0)
            continue; /* by name and by expression */
        struct index_entry *entry = &entries[d->group.topic_count];
        entry->topic = topic;
        entry->index = d->group.topic_count;
        map_insert(&d->by_name, &entry->by_name, hash_slice(topic->name));
        map_insert(&d->by_id, &entry->by_id, uuid_hash(topic->id));
        d->group.topics[d->group.topic_count++] = (struct assign_topic){
            topic->id, topic->partition_count, arena_array(arena, uint8_t, topic->partition_count + 1)};
    }
}

static int by_number(const void *a, const void *b) {
    return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static void describe_subscription(struct description *d, struct assign_member *to, const struct consumer_subscription *subscription) {
    struct arena *arena = d->group.arena;
    if (d->group.is_even) {
        to->topics = d->shared;
        to->topic_count = d->group.topic_count;
        return;
    }
    const struct consumer_regex *regex = regex_of(d, subscription);
    int *topics = arena_array(arena, int, subscription->topic_count + (regex ? regex->topic_count : 0) + 1), count = 0, kept = 0;
    for (int i = 0; i < subscription->topic_count; i++)
        topics[count++] = index_of_name(d, subscription->topics[i]);
    for (int i = 0; regex && i < regex->topic_count; i++)
        topics[count++] = index_of_name(d, regex->topics[i]);
    qsort(topics, (size_t)count, sizeof(int), by_number);
    for (int i = 0; i < count; i++)
        if (topics[i] >= 0 && (!kept || topics[kept - 1] != topics[i]))
            topics[kept++] = topics[i];
    to->topics = topics;
    to->topic_count = kept;
}

struct target_order { /* a partition's place in a member's target, as Kafka goes through it: a map of sets */
    uint32_t topic_order, partition_order;
    struct consumer_partition what;
};
static int by_target_order(const void *a, const void *b) {
    const struct target_order *x = a, *y = b;
    if (x->topic_order != y->topic_order)
        return x->topic_order > y->topic_order ? 1 : -1;
    if (uuid_eq(x->what.topic, y->what.topic) && x->partition_order != y->partition_order)
        return x->partition_order > y->partition_order ? 1 : -1;
    return consumer_partition_cmp(&x->what, &y->what);
}

static struct target_order *order_target(struct arena *arena, const struct consumer_partitions *target) {
    struct target_order *order = arena_array(arena, struct target_order, target->count + 1);
    int topics = 0;
    for (int i = 0; i < target->count; i++)
        topics += !i || !uuid_eq(target->items[i].topic, target->items[i - 1].topic);
    for (int i = 0, end; i < target->count; i = end) {
        for (end = i + 1; end < target->count && uuid_eq(target->items[end].topic, target->items[i].topic);)
            end++;
        uint32_t capacity = java_copied_capacity(end - i);
        uint32_t topic_order = java_hash_order(java_hash_of_uuid(target->items[i].topic), java_grown_capacity(topics));
        for (int k = i; k < end; k++)
            order[k] = (struct target_order){topic_order, java_hash_order(target->items[k].partition, capacity), target->items[k]};
    }
    qsort(order, (size_t)target->count, sizeof *order, by_target_order);
    return order;
}

static void describe_target(struct description *d, struct assign_member *to, const struct consumer_partitions *target) {
    if (!target || !target->count)
        return;
    const struct target_order *order = order_target(d->group.arena, target);
    for (int i = 0; i < target->count; i++) {
        int topic = index_of_id(d, order[i].what.topic);
        if (topic >= 0 && order[i].what.partition >= d->group.topics[topic].partition_count)
            topic = -1;
        assign_list_add(d->group.arena, &to->old, topic, order[i].what.partition);
        if (topic >= 0)
            d->group.topics[topic].taken[order[i].what.partition] = 1;
    }
}

/* Whose target the member begins with: its own, or that of the static member whose place it takes. */
static const struct consumer_partitions *old_target(const struct consumer_step *step) {
    const struct consumer_member *holder = slice_is_null(step->is.instance_id) ? NULL : consumer_find_instance(step->group, step->is.instance_id);
    if (!holder)
        holder = consumer_find_any(step->group, step->member_id);
    return holder ? holder->target : NULL;
}

static void order_members(struct description *d) {
    struct consumer_step *step = d->step;
    struct arena *arena = d->group.arena;
    struct ordered *members = arena_array(arena, struct ordered, step->group->member_count + 2);
    int count = 0;
    consumer_each_member(member, step->group)
        if (member != step->member && member != step->replaced)
            members[count++] = (struct ordered){0, member, member->id};
    members[count++] = (struct ordered){0, NULL, step->member_id};
    for (int i = 0; i < count; i++)
        members[i].order = java_hash_order(java_hash_of_string(members[i].id), java_grown_capacity(count));
    qsort(members, (size_t)count, sizeof members[0], by_order);
    d->members = arena_array(arena, const struct consumer_member *, count);
    d->group.members = arena_array(arena, struct assign_member, count);
    d->group.member_count = count;
    for (int i = 0; i < count; i++) {
        d->members[i] = members[i].what;
        d->group.members[i].id = members[i].id;
    }
}

static void describe(struct description *d) {
    order_members(d);
    d->group.is_even = consumer_is_even(d->step->group, d->group.member_count);
    describe_topics(d);
    int *shared = arena_array(d->group.arena, int, d->group.topic_count + 1);
    for (int i = 0; i < d->group.topic_count; i++)
        shared[i] = i;
    d->shared = shared;
    for (int i = 0; i < d->group.member_count; i++) {
        const struct consumer_subscription *subscription = subscription_of(d, i);
        d->group.members[i].instance_id = subscription->instance_id;
        describe_subscription(d, &d->group.members[i], subscription);
        describe_target(d, &d->group.members[i], d->members[i] ? d->members[i]->target : old_target(d->step));
    }
}

/* ---- the result --------------------------------------------------------------------------------------------------------------------- */

static struct consumer_partitions result_of(const struct description *d, const struct assign_member *member) {
    struct consumer_partitions result = {arena_array(d->group.arena, struct consumer_partition, member->now.count + 1), member->now.count};
    for (int i = 0; i < result.count; i++)
        result.items[i] = (struct consumer_partition){d->group.topics[member->now.items[i].topic].id, member->now.items[i].partition, 0};
    consumer_partitions_sort(&result);
    return result;
}

static void add_result(struct description *d) {
    struct consumer_step *step = d->step;
    for (int i = 0; i < d->group.member_count; i++) {
        struct consumer_partitions result = result_of(d, &d->group.members[i]);
        const struct consumer_member *member = d->members[i] ? d->members[i] : consumer_find_any(step->group, step->member_id);
        if (!member || !member->target || !consumer_partitions_eq(*member->target, result, false))
            consumer_add_target(step->op, step->group_id, d->group.members[i].id, result);
        if (!d->members[i])
            step->target = result;
    }
    step->target_epoch = step->group_epoch;
    consumer_add_target_epoch(step->op, step->group_id, step->group_epoch, coordinator_now_ms(step->op->coordinator));
}

bool consumer_step_assign(struct consumer_step *step) {
    struct consumer_group *group = step->group;
    if (group->target_epoch >= step->group_epoch || !is_time(step)) {
        const struct consumer_member *holder =
            step->is.instance_id.ptr ? consumer_find_instance(group, step->is.instance_id) : consumer_find_any(group, step->member_id);
        step->target_epoch = group->target_epoch;
        step->target = holder && holder->target ? *holder->target : (struct consumer_partitions){0};
        return true;
    }
    struct description d = {.step = step, .group = {.arena = step->op->arena}};
    const char *name = consumer_assignor(group, &step->was, &step->is);
    consumer_shift(group, &step->was, &step->is);
    describe(&d);
    consumer_shift(group, &step->is, &step->was);
    enum err err = strcmp(name, "range") == 0 ? assign_range(&d.group) : assign_uniform(&d.group);
    map_deinit(&d.by_name);
    map_deinit(&d.by_id);
    if (err) {
        trace_error("coordinator", "no assignment can be computed", TRACE_SLICE("group", step->group_id), TRACE_STR("assignor", name));
        step->error = KAFKA_UNKNOWN_SERVER_ERROR;
        step->message = SLICE_NULL;
        return false;
    }
    add_result(&d);
    return true;
}
