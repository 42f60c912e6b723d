#include "coordinator/share_group.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/trace.h"
#include "coordinator/share_group_internal.h"
#include "protocol/errors.h"

/* ---- sets ----------------------------------------------------------------------------------------------------------- */

int share_place_cmp(const void *left, const void *right) {
    const struct share_place *a = left, *b = right;
    if (a->topic_id.msb != b->topic_id.msb)
        return a->topic_id.msb < b->topic_id.msb ? -1 : 1;
    if (a->topic_id.lsb != b->topic_id.lsb)
        return a->topic_id.lsb < b->topic_id.lsb ? -1 : 1;
    return (a->partition > b->partition) - (a->partition < b->partition);
}

bool share_set_eq(const struct share_set *a, const struct share_set *b) {
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (share_place_cmp(&a->places[i], &b->places[i]))
            return false;
    return true;
}

bool share_set_has(const struct share_set *set, const struct share_place *place) {
    return set->count && bsearch(place, set->places, (size_t)set->count, sizeof *place, share_place_cmp);
}

static int name_cmp(const void *a, const void *b) {
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

void share_names_sort(struct share_names *names) {
    if (names->count < 2)
        return;
    qsort(names->names, (size_t)names->count, sizeof *names->names, name_cmp);
    int kept = 1;
    for (int i = 1; i < names->count; i++)
        if (!slice_eq(names->names[i], names->names[kept - 1]))
            names->names[kept++] = names->names[i];
    names->count = kept;
}

bool share_names_eq(const struct share_names *a, const struct share_names *b) {
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (!slice_eq(a->names[i], b->names[i]))
            return false;
    return true;
}

bool share_names_have(const struct share_names *names, struct slice name) {
    return names->count && bsearch(&name, names->names, (size_t)names->count, sizeof name, name_cmp);
}

static struct slice own(struct slice s) {
    return s.ptr ? slice_of(mem_strndup((const char *)s.ptr, s.size), s.size) : SLICE_NULL;
}

struct share_names share_names_own(const struct share_names *names) {
    struct share_names copy = {.names = mem_alloc(sizeof *copy.names * (size_t)(names->count + 1)), .count = names->count};
    for (int i = 0; i < names->count; i++)
        copy.names[i] = own(names->names[i]);
    return copy;
}

void share_names_free(struct share_names *names) {
    for (int i = 0; i < names->count; i++)
        mem_free((void *)names->names[i].ptr);
    mem_free(names->names);
    *names = (struct share_names){0};
}

static bool topic_is(const struct map_node *node, const void *key) {
    return uuid_eq(container_of(node, struct share_topic, by_id)->id, *(const struct uuid *)key);
}

void share_topics_init(struct share_topics *topics) {
    *topics = (struct share_topics){0};
    list_init(&topics->list);
}

struct share_topic *share_find_topic(const struct share_topics *topics, struct uuid id) {
    struct map_node *node = map_find(&topics->by_id, uuid_hash(id), topic_is, &id);
    return node ? container_of(node, struct share_topic, by_id) : NULL;
}

static void free_topic(struct share_topics *topics, struct share_topic *topic) {
    map_remove(&topics->by_id, &topic->by_id);
    list_remove(&topic->node);
    mem_free((void *)topic->name.ptr);
    mem_free(topic->partitions);
    mem_free(topic);
}

void share_free_topics(struct share_topics *topics) {
    while (!list_is_empty(&topics->list))
        free_topic(topics, list_entry(topics->list.next, struct share_topic, node));
    map_deinit(&topics->by_id);
}

void share_remove_topic(struct share_topics *topics, struct uuid id) {
    struct share_topic *topic = share_find_topic(topics, id);
    if (topic)
        free_topic(topics, topic);
}

/* Where the partition is, or would be. */
static int find_partition(const struct share_topic *topic, int32_t partition) {
    int low = 0, high = topic->count;
    if (high && topic->partitions[high - 1] < partition)
        return high;
    while (low < high) {
        int middle = (low + high) / 2;
        if (topic->partitions[middle] < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool share_topic_has(const struct share_topic *topic, int32_t partition) {
    int at = topic ? find_partition(topic, partition) : 0;
    return topic && at < topic->count && topic->partitions[at] == partition;
}

struct share_topic *share_add_topic(struct share_topics *topics, struct uuid id, struct slice name, const int32_t *partitions, int count) {
    struct share_topic *topic = share_find_topic(topics, id);
    if (!topic) {
        topic = mem_new(struct share_topic);
        topic->id = id;
        topic->name = own(name.ptr ? name : SLICE_EMPTY);
        list_push_back(&topics->list, &topic->node);
        map_insert(&topics->by_id, &topic->by_id, uuid_hash(id));
    }
    if (!count)
        return topic;
    topic->partitions = mem_realloc(topic->partitions, sizeof *topic->partitions * (size_t)(topic->count + count));
    for (int i = 0; i < count; i++) {
        int at = find_partition(topic, partitions[i]);
        if (at < topic->count && topic->partitions[at] == partitions[i])
            continue;
        memmove(topic->partitions + at + 1, topic->partitions + at, sizeof *partitions * (size_t)(topic->count - at));
        topic->partitions[at] = partitions[i];
        topic->count++;
    }
    return topic;
}

void share_remove_partition(struct share_topics *topics, const struct share_place *place) {
    struct share_topic *topic = share_find_topic(topics, place->topic_id);
    if (!share_topic_has(topic, place->partition))
        return;
    int at = find_partition(topic, place->partition);
    topic->count--;
    memmove(topic->partitions + at, topic->partitions + at + 1, sizeof *topic->partitions * (size_t)(topic->count - at));
    if (!topic->count)
        free_topic(topics, topic);
}

/* ---- groups and members ------------------------------------------------------------------------------------------------ */

struct share_group *share_find(const struct groups *groups, struct slice id, bool *ret_is_other) {
    struct group *group = groups_find(groups, id);
    *ret_is_other = group && group->methods != &group_share_methods;
    return group && !*ret_is_other ? share_group_of(group) : NULL;
}

struct share_group *share_create(struct groups *groups, struct slice id) {
    struct share_group *group = mem_new(struct share_group);
    group->base.methods = &group_share_methods;
    group->epoch = group->assignment_epoch = 1;
    group->stale = true;
    list_init(&group->all);
    share_topics_init(&group->initializing);
    share_topics_init(&group->initialized);
    share_topics_init(&group->deleting);
    groups_insert(groups, &group->base, id);
    return group;
}

static bool member_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct share_member, node)->id, *(const struct slice *)key);
}

struct share_member *share_find_member(const struct share_group *group, struct slice id) {
    struct map_node *node = map_find(&group->members, hash_slice(id), member_is, &id);
    return node ? container_of(node, struct share_member, node) : NULL;
}

static struct shard *shard_of(const struct share_group *group) {
    return group->base.groups->coordinator->host->shard;
}

static uint64_t session_ns(const struct share_member *member) {
    return (uint64_t)share_config(member->group, "share.session.timeout.ms", "group.share.session.timeout.ms") * NS_PER_MS;
}

/* In the operation, not here: it is told of in the log, and others may come first. */
static void expire(struct coordinator_op *op, void *state) {
    struct groups *groups = state;
    struct list *node = list_pop_front(&groups->share_due);
    if (!node)
        return;
    struct share_member *member = list_entry(node, struct share_member, due);
    struct share_group *group = member->group;
    if (coordinator_deadline_ns(op->coordinator, 0, session_ns(member)) > coordinator_now_ns(op->coordinator)) {
        share_start_session(member);
        return;
    }
    struct slice id = arena_slice(op->arena, member->id);
    trace_info("coordinator", "a member of a share group said nothing for too long", TRACE_SLICE("group", group->base.id),
               TRACE_SLICE("member", id));
    share_leave(group, op, member);
}

static void session_ended(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct share_member *member = container_of(timer, struct share_member, session);
    struct groups *groups = member->group->base.groups;
    list_remove(&member->due);
    list_push_back(&groups->share_due, &member->due);
    coordinator_task(groups->coordinator, expire, NULL);
}

void share_start_session(struct share_member *member) {
    list_remove(&member->due);
    timer_start(shard_of(member->group), &member->session, session_ns(member));
}

struct share_member *share_create_member(struct share_group *group, struct slice id) {
    struct share_member *member = mem_new(struct share_member);
    member->group = group;
    member->id = own(id);
    member->client_id = own(SLICE_EMPTY);
    member->client_host = own(SLICE_EMPTY);
    member->session.fire = session_ended;
    list_init(&member->due);
    map_insert(&group->members, &member->node, hash_slice(id));
    list_push_back(&group->all, &member->all);
    if (!coordinator_is_loading(group->base.groups->coordinator))
        share_start_session(member);
    return member;
}

void share_remove_member(struct share_member *member) {
    struct share_group *group = member->group;
    timer_stop(shard_of(group), &member->session);
    list_remove(&member->due);
    map_remove(&group->members, &member->node);
    list_remove(&member->all);
    share_names_free(&member->topics);
    mem_free((void *)member->id.ptr);
    mem_free((void *)member->rack.ptr);
    mem_free((void *)member->client_id.ptr);
    mem_free((void *)member->client_host.ptr);
    mem_free(member->target.places);
    mem_free(member->assigned.places);
    mem_free(member);
}

/* What is set for the group, within what the broker allows. */
int64_t share_config(const struct share_group *group, const char *key, const char *broker_key) {
    const struct coordinator *coordinator = group->base.groups->coordinator;
    int64_t value = coordinator_group_config_int(coordinator, group->base.id, key, broker_key);
    char bound[96];
    snprintf(bound, sizeof bound, "group.share.min.%s", key + strlen("share."));
    int64_t min = coordinator_config_int(coordinator, bound);
    snprintf(bound, sizeof bound, "group.share.max.%s", key + strlen("share."));
    int64_t max = coordinator_config_int(coordinator, bound);
    return value < min ? min : value > max ? max : value;
}

/* ---- what other kinds ask ------------------------------------------------------------------------------------------------ */

static bool is_empty(const struct group *base) {
    return !container_of(base, struct share_group, base)->members.count;
}
static const char *state_name(const struct group *base) {
    return is_empty(base) ? "Empty" : "Stable";
}
static struct slice protocol_type(const struct group *base) {
    (void)base;
    return SLICE_LIT("share");
}
static bool is_subscribed(const struct group *base, struct slice topic) {
    (void)base, (void)topic;
    return false; /* no offsets are committed */
}
static int64_t empty_since_ms(const struct group *base) {
    (void)base;
    return -1;
}
static int16_t refuse_offsets(struct group *base, const struct group_caller *caller) {
    (void)base, (void)caller;
    return KAFKA_GROUP_ID_NOT_FOUND;
}
static int16_t check_delete(const struct group *base) {
    return is_empty(base) ? 0 : KAFKA_NON_EMPTY_GROUP;
}

static void add_tombstones(struct group *base, struct coordinator_op *op) {
    struct share_group *group = share_group_of(base);
    share_add_target_epoch(op, base->id, -1, 0);
    if (group->has_states_record)
        share_add_states_tombstone(op, base->id);
    share_add_epoch(op, base->id, -1, 0);
}

static void free_group(struct group *base) {
    struct share_group *group = share_group_of(base);
    list_each_safe(node, &group->all)
        share_remove_member(list_entry(node, struct share_member, all));
    map_deinit(&group->members);
    share_free_topics(&group->initializing);
    share_free_topics(&group->initialized);
    share_free_topics(&group->deleting);
    mem_free(group);
}

static void loaded(struct group *base) {
    struct share_group *group = share_group_of(base);
    list_each(node, &group->all)
        share_start_session(list_entry(node, struct share_member, all));
    share_find_gone(group);
}

const struct group_methods group_share_methods = {
    .type = GROUP_SHARE,
    .state_name = state_name,
    .protocol_type = protocol_type,
    .is_empty = is_empty,
    .is_subscribed = is_subscribed,
    .empty_since_ms = empty_since_ms,
    .check_commit = refuse_offsets,
    .check_fetch = refuse_offsets,
    .check_delete = check_delete,
    .add_tombstones = add_tombstones,
    .free = free_group,
    .loaded = loaded,
};

void share_topic_changed(struct groups *groups, const struct image_topic *topic, bool removed) {
    list_each(node, &groups->all) {
        struct group *base = list_entry(node, struct group, all);
        if (base->methods != &group_share_methods)
            continue;
        struct share_group *group = share_group_of(base);
        group->stale = true;
        if (removed)
            share_topic_gone(group, topic->id);
    }
}
