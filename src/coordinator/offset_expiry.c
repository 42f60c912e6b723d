/* Offsets that nobody wants any more: those of groups that have been empty for long, and those of deleted topics. */
#include "base/mem.h"
#include "base/trace.h"
#include "coordinator/offsets.h"

enum { SWEEP_GROUPS = 500, SWEEP_OFFSETS = 5000 }; /* of one turn, about */

struct sweep {
    int64_t now_ms, retention_ms;
    uint64_t offsets, groups;
};

/* When the time of an offset begins to count: when the group became empty, where that is known. */
static int64_t base_time(const struct group *group, const struct committed_offset *committed) {
    int64_t since = group->methods->empty_since_ms ? group->methods->empty_since_ms(group) : -1;
    return since >= 0 ? since : committed->commit_ms;
}

static bool is_expired(const struct sweep *sweep, const struct group *group, const struct committed_offset *committed) {
    if (committed->expire_ms >= 0)
        return sweep->now_ms >= committed->expire_ms;
    return sweep->now_ms - base_time(group, committed) >= sweep->retention_ms;
}

/* True: none is left. */
static bool expire_topic(struct sweep *sweep, struct group *group, const struct offset_topic *topic, struct coordinator_op *op) {
    const struct offsets *offsets = group->groups->offsets;
    bool all = !topic->pending;
    if (topic->count && group->methods->is_subscribed(group, topic->name->name))
        return false;
    for (int i = 0; i < topic->count; i++) {
        const struct committed_offset *committed = &topic->committed[i];
        if (is_expired(sweep, group, committed) && !offset_topic_is_pending(offsets, topic, committed->partition)) {
            offset_add_tombstone(op, group->id, topic->name->name, committed->partition);
            sweep->offsets++;
        } else {
            all = false;
        }
    }
    return all;
}

static void expire_group(struct sweep *sweep, struct group *group, struct coordinator_op *op) {
    const struct offset_group *committed = offsets_find_group(group->groups->offsets, group->id);
    if (group->methods->type == GROUP_SHARE || (committed && group->methods->offsets_expire && !group->methods->offsets_expire(group)))
        return;
    bool all = true;
    for (struct list *node = committed ? committed->topics.next : NULL; committed && node != &committed->topics; node = node->next)
        all &= expire_topic(sweep, group, list_entry(node, struct offset_topic, in_group), op);
    if (all && group->methods->is_empty(group)) {
        uint64_t descriptions = group->groups->descriptions.deleted;
        group->methods->add_tombstones(group, op);
        group->groups->descriptions.expired += group->groups->descriptions.deleted - descriptions;
        sweep->groups++;
    }
}

/* A few groups: each goes to the end of the list, until all have been there. */
static void sweep_some(struct coordinator_op *op, void *state) {
    struct groups *groups = state;
    struct offsets *offsets = groups->offsets;
    struct sweep sweep = {
        .now_ms = coordinator_now_ms(groups->coordinator),
        .retention_ms = coordinator_config_int(groups->coordinator, "offsets.retention.minutes") * 60000,
    };
    op->divisible = true;
    for (int i = 0; i < SWEEP_GROUPS && sweep.offsets < SWEEP_OFFSETS && offsets->sweep_left; i++) {
        struct list *node = list_pop_front(&groups->all);
        offsets->sweep_left = node ? offsets->sweep_left - 1 : 0;
        if (!node)
            break;
        list_push_back(&groups->all, node);
        expire_group(&sweep, list_entry(node, struct group, all), op);
    }
    offsets->expired += sweep.offsets;
    if (sweep.offsets || sweep.groups)
        trace_info("coordinator", "offsets expired", TRACE_INT("partition", groups->coordinator->partition->index),
                   TRACE_INT("offsets", sweep.offsets), TRACE_INT("groups", sweep.groups));
    if (offsets->sweep_left)
        timer_start(groups->coordinator->host->shard, &offsets->expiry_timer, 1); /* the next turn */
}

static void start(struct offsets *offsets) {
    struct coordinator *coordinator = offsets->groups->coordinator;
    timer_start(coordinator->host->shard, &offsets->expiry_timer,
                (uint64_t)coordinator_config_int(coordinator, "offsets.retention.check.interval.ms") * NS_PER_MS);
}

static void fire(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct offsets *offsets = container_of(timer, struct offsets, expiry_timer);
    if (!offsets->sweep_left)
        offsets->sweep_left = offsets->groups->by_id.count;
    offsets->groups->descriptions.cycles++;
    start(offsets); /* first: the sweep may end in a reload, which stops it */
    coordinator_chore(offsets->groups->coordinator, sweep_some);
}

void offsets_loaded(struct offsets *offsets) {
    offsets->expiry_timer.fire = fire;
    start(offsets);
}

/* ---- topics that go ------------------------------------------------------------------------------------------------------ */

struct removed_topic { /* of offsets->removed, until an operation has seen to it */
    struct list node;
    struct uuid id;
    struct slice name; /* owned */
};

static void forget_partition(struct coordinator_op *op, const struct offset_topic *topic, const struct committed_offset *committed,
                             struct uuid topic_id) {
    if (uuid_is_zero(committed->topic_id) || uuid_eq(committed->topic_id, topic_id))
        offset_add_tombstone(op, topic->group->id, topic->name->name, committed->partition);
}

static void forget_topic(struct coordinator_op *op, const struct offsets *offsets, const struct removed_topic *removed) {
    const struct offset_name *name = offsets_find_name(offsets, removed->name);
    for (struct list *node = name ? name->topics.next : NULL; name && node != &name->topics; node = node->next) {
        const struct offset_topic *topic = list_entry(node, struct offset_topic, in_name);
        for (int i = 0; i < topic->count; i++)
            forget_partition(op, topic, &topic->committed[i], removed->id);
        for (const struct pending_offset *pending = topic->first_pending; pending; pending = pending->next)
            forget_partition(op, topic, &pending->value, removed->id);
    }
}

static void free_removed(struct removed_topic *removed) {
    mem_free((void *)removed->name.ptr);
    mem_free(removed);
}

static void forget_topics(struct coordinator_op *op, void *state) {
    struct offsets *offsets = ((struct groups *)state)->offsets;
    op->divisible = true;
    for (struct list *node; (node = list_pop_front(&offsets->removed));) {
        struct removed_topic *removed = list_entry(node, struct removed_topic, node);
        forget_topic(op, offsets, removed);
        free_removed(removed);
    }
}

void offsets_topic_removed(struct offsets *offsets, const struct image_topic *topic) {
    if (!offsets_find_name(offsets, topic->name))
        return;
    struct removed_topic *removed = mem_new(struct removed_topic);
    removed->id = topic->id;
    removed->name = slice_of(mem_strndup((const char *)topic->name.ptr, topic->name.size), topic->name.size);
    list_push_back(&offsets->removed, &removed->node);
    coordinator_task(offsets->groups->coordinator, forget_topics, NULL);
}

void offsets_stop_expiry(struct offsets *offsets) {
    timer_stop(offsets->groups->coordinator->host->shard, &offsets->expiry_timer);
    for (struct list *node; (node = list_pop_front(&offsets->removed));)
        free_removed(list_entry(node, struct removed_topic, node));
}
