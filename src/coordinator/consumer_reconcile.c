/* How one member gets from what it has to its target, without a partition ever having two owners.
 *
 *             other epoch; nothing to wait for
 *   STABLE <------------------------------------+-------------- UNRELEASED  others still have some of what it shall get;
 *     |  ^                                      |                   ^       every heartbeat takes what is free by now
 *     |  +---------- nothing more to wait for --+                   |
 *     |                                         |                   |
 *     +-- it has what others shall get --> UNREVOKED ---------------+
 *         (stays at its epoch)             it gives up: it no longer reports those partitions
 *
 * Given up is what the member's report lacks; a member that reports nothing is taken to have everything still. */
#include "coordinator/consumer_internal.h"

bool consumer_current_eq(const struct consumer_current *a, const struct consumer_current *b) {
    return a->epoch == b->epoch && a->previous_epoch == b->previous_epoch && a->state == b->state &&
           consumer_partitions_eq(a->assigned, b->assigned, true) && consumer_partitions_eq(a->revoking, b->revoking, true);
}

static struct consumer_partitions list_for(struct arena *arena, int count_max) {
    return (struct consumer_partitions){arena_array(arena, struct consumer_partition, count_max + 1), 0};
}
static void add(struct consumer_partitions *list, struct consumer_partition partition) {
    list->items[list->count++] = partition;
}

/* Does the member still have any of these? */
static bool has_any(const struct consumer_reconcile *r, struct consumer_partitions partitions) {
    if (r->owned.count < 0)
        return true;
    for (int i = 0; i < r->owned.count; i++)
        for (int k = 0; k < r->owned.topics[i].partitions_count; k++)
            if (consumer_partitions_find(partitions, r->owned.topics[i].topic_id, r->owned.topics[i].partitions[k]))
                return true;
    return false;
}

/* Every step notes the epoch it was made at, also when that stays: who missed the answer comes with it. */
static void step_to(struct consumer_current *to, int32_t epoch) {
    to->previous_epoch = to->epoch;
    to->epoch = epoch;
}

/* Towards the target. `epoch`: the one to stay at while partitions are to be given up. */
static void advance(const struct consumer_reconcile *r, const struct consumer_current *from, int32_t epoch, struct consumer_current *to) {
    struct consumer_partitions kept = list_for(r->arena, from->assigned.count + r->target.count);
    struct consumer_partitions revoked = list_for(r->arena, from->assigned.count), gained = list_for(r->arena, r->target.count);
    bool waits = false;
    int a = 0, t = 0;
    while (a < from->assigned.count || t < r->target.count) {
        const struct consumer_partition *have = a < from->assigned.count ? &from->assigned.items[a] : NULL;
        const struct consumer_partition *want = t < r->target.count ? &r->target.items[t] : NULL;
        int order = !have ? 1 : !want ? -1 : consumer_partition_cmp(have, want);
        a += order <= 0;
        t += order >= 0;
        if (order >= 0 && !r->is_subscribed(r->arg, want->topic)) {
            if (order == 0)
                add(&revoked, *have);
        } else if (order < 0) {
            add(&revoked, *have);
        } else if (order == 0) {
            add(&kept, *have);
        } else if (r->owner_epoch(r->arg, want->topic, want->partition) != -1 &&
                   !consumer_partitions_find(from->revoking, want->topic, want->partition)) {
            waits = true; /* somebody else's; one's own that was to be given up is not */
        } else {
            add(&gained, (struct consumer_partition){want->topic, want->partition, r->target_epoch});
        }
    }
    if (revoked.count && has_any(r, revoked)) {
        to->state = CONSUMER_UNREVOKED;
        step_to(to, epoch);
        to->assigned = kept;
        to->revoking = revoked;
        return;
    }
    for (int i = 0; i < gained.count; i++)
        add(&kept, gained.items[i]);
    consumer_partitions_sort(&kept);
    to->state = waits ? CONSUMER_UNRELEASED : CONSUMER_STABLE;
    step_to(to, r->target_epoch);
    to->assigned = kept;
    to->revoking = (struct consumer_partitions){0};
}

/* The subscription changed and the target is the old one: what is no longer subscribed to goes at once. */
static void prune(const struct consumer_reconcile *r, const struct consumer_current *from, struct consumer_current *to) {
    struct consumer_partitions kept = list_for(r->arena, from->assigned.count);
    struct consumer_partitions revoking = list_for(r->arena, from->assigned.count + from->revoking.count);
    for (int i = 0; i < from->revoking.count; i++)
        add(&revoking, from->revoking.items[i]);
    for (int i = 0; i < from->assigned.count; i++)
        add(r->is_subscribed(r->arg, from->assigned.items[i].topic) ? &kept : &revoking, from->assigned.items[i]);
    /* With nothing subscribed and nothing had, Kafka notes a step all the same. */
    bool is_bare = !from->revoking.count && !from->assigned.count && !r->is_anything_subscribed(r->arg);
    if (kept.count == from->assigned.count && !is_bare)
        return;
    consumer_partitions_sort(&revoking);
    if (revoking.count && has_any(r, revoking)) {
        to->state = CONSUMER_UNREVOKED;
        to->revoking = revoking;
    }
    step_to(to, from->epoch);
    to->assigned = kept;
}

bool consumer_reconcile(const struct consumer_reconcile *r, const struct consumer_current *from, struct consumer_current *ret_to) {
    *ret_to = *from;
    switch (from->state) {
    case CONSUMER_STABLE:
        if (from->epoch != r->target_epoch)
            advance(r, from, from->epoch, ret_to);
        else if (r->subscription_changed)
            prune(r, from, ret_to);
        return true;
    case CONSUMER_UNREVOKED:
        if (!has_any(r, from->revoking))
            advance(r, from, from->epoch, ret_to);
        else if (r->subscription_changed)
            prune(r, from, ret_to);
        return true;
    case CONSUMER_UNRELEASED:
        advance(r, from, from->epoch, ret_to);
        return true;
    default: /* of a later version of Kafka */
        if (r->owned.count != 0)
            return false;
        advance(r, from, r->target_epoch, ret_to);
        return true;
    }
}
