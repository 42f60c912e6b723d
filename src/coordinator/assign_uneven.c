/* Uniform, where members subscribe to different topics:
 *
 *   1. everybody keeps the partitions of topics that they still subscribe to;
 *   2. the free partitions go, topic by topic, to the subscriber that has fewest of all kinds;
 *   3. topic by topic again, partitions move from the subscriber with most to the one with fewest, until a whole round over
 *      the topics moves nothing, or 16 rounds are over.
 *
 * Topics with many partitions a subscriber come first: they are the ones that leave no choice. */
#include "coordinator/assign.h"

#include <stdlib.h>

enum { ROUNDS_MAX = 16 };

struct uneven {
    struct assign_group *group;
    int **subscribers, *subscriber_counts; /* by topic: indices of members, ascending */
    int **owners;                          /* by topic and partition: index of a member, -1: nobody */
    int *loads;                            /* by member: partitions it has */
};

/* Two fronts over the subscribers of one topic, sorted by load: the low one fills its members up to equal loads, growing to
 * the right whenever it reaches the next one's load; the high one empties them, growing to the left.
 *
 *                      #
 *             high    ##
 *             [###<-] ##   <- these have nothing of this topic to give, and are out of the game
 *     [->...]#[#####]#####
 *      low
 */
struct fronts {
    const int *loads;
    int *sorted, count;
    int low_end, low_level, low_next;
    int high_begin, high_end, high_level, high_next;
};

/* Indices, in order of what a table says of them; the lower index first where it says the same. */
static int by_table(const void *a, const void *b, void *arg) {
    int x = *(const int *)a, y = *(const int *)b;
    const int *table = arg;
    return table[x] != table[y] ? (table[x] > table[y] ? 1 : -1) : (x > y) - (x < y);
}
static int by_pressure(const void *a, const void *b, void *arg) {
    int x = *(const int *)a, y = *(const int *)b;
    const struct uneven *u = arg;
    double px = (double)u->group->topics[x].partition_count / u->subscriber_counts[x];
    double py = (double)u->group->topics[y].partition_count / u->subscriber_counts[y];
    if (px != py)
        return px < py ? 1 : -1;
    if (u->subscriber_counts[x] != u->subscriber_counts[y])
        return u->subscriber_counts[x] > u->subscriber_counts[y] ? 1 : -1;
    struct uuid ix = u->group->topics[x].id, iy = u->group->topics[y].id; /* as Java's signed halves compare */
    if (ix.msb != iy.msb)
        return (int64_t)ix.msb > (int64_t)iy.msb ? 1 : -1;
    return ((int64_t)ix.lsb > (int64_t)iy.lsb) - ((int64_t)ix.lsb < (int64_t)iy.lsb);
}

/* How far apart the subscribers' loads are. */
static int fronts_init(struct fronts *fronts, const struct uneven *uneven, int topic) {
    fronts->loads = uneven->loads;
    fronts->count = uneven->subscriber_counts[topic];
    memcpy(fronts->sorted, uneven->subscribers[topic], sizeof(int) * (size_t)fronts->count);
    qsort_r(fronts->sorted, (size_t)fronts->count, sizeof(int), by_table, uneven->loads);
    int lowest = uneven->loads[fronts->sorted[0]], highest = uneven->loads[fronts->sorted[fronts->count - 1]];
    fronts->low_end = fronts->low_next = 0;
    fronts->low_level = lowest - 1;
    fronts->high_begin = fronts->high_end = fronts->count;
    fronts->high_level = highest + 1;
    fronts->high_next = fronts->count - 1;
    return highest - lowest;
}

/* The member with fewest, which is taken to get one. */
static int fronts_low(struct fronts *fronts) {
    if (fronts->low_next >= fronts->low_end) {
        fronts->low_level++;
        while (fronts->low_end < fronts->count && fronts->loads[fronts->sorted[fronts->low_end]] == fronts->low_level)
            fronts->low_end++;
        fronts->low_next = 0;
    }
    return fronts->sorted[fronts->low_next++];
}

/* The member with most, which is taken to lose one; -1: there is none. */
static int fronts_high(struct fronts *fronts) {
    if (fronts->high_next < fronts->high_begin) {
        if (fronts->high_end <= fronts->high_begin && fronts->high_begin > 0)
            fronts->high_level = fronts->loads[fronts->sorted[fronts->high_begin - 1]];
        else
            fronts->high_level--;
        while (fronts->high_begin > 0 && fronts->loads[fronts->sorted[fronts->high_begin - 1]] == fronts->high_level)
            fronts->high_begin--;
        fronts->high_next = fronts->high_end - 1;
    }
    return fronts->high_next < 0 ? -1 : fronts->sorted[fronts->high_next--];
}

/* The one that fronts_high() gave last has nothing to give. */
static void fronts_exclude(struct fronts *fronts) {
    int at = fronts->high_next + 1, last = --fronts->high_end, member = fronts->sorted[at];
    fronts->sorted[at] = fronts->sorted[last];
    fronts->sorted[last] = member;
}

static bool fronts_meet(const struct fronts *fronts) {
    return fronts->high_level - fronts->low_level <= 1;
}

static void give(struct uneven *uneven, int topic, int partition, int member) {
    int *owner = &uneven->owners[topic][partition];
    if (*owner >= 0)
        uneven->loads[*owner]--;
    *owner = member;
    uneven->loads[member]++;
}

static void describe(struct uneven *uneven) {
    struct assign_group *group = uneven->group;
    uneven->subscribers = arena_array(group->arena, int *, group->topic_count);
    uneven->subscriber_counts = arena_array(group->arena, int, group->topic_count);
    uneven->owners = arena_array(group->arena, int *, group->topic_count);
    uneven->loads = arena_array(group->arena, int, group->member_count);
    int *fill = arena_array(group->arena, int, group->topic_count);
    for (int m = 0; m < group->member_count; m++)
        for (int i = 0; i < group->members[m].topic_count; i++)
            uneven->subscriber_counts[group->members[m].topics[i]]++;
    for (int t = 0; t < group->topic_count; t++) {
        uneven->subscribers[t] = arena_array(group->arena, int, uneven->subscriber_counts[t] + 1);
        uneven->owners[t] = arena_alloc(group->arena, sizeof(int) * (size_t)(group->topics[t].partition_count + 1));
        for (int32_t p = 0; p < group->topics[t].partition_count; p++)
            uneven->owners[t][p] = -1;
    }
    for (int m = 0; m < group->member_count; m++)
        for (int i = 0; i < group->members[m].topic_count; i++) {
            int topic = group->members[m].topics[i];
            uneven->subscribers[topic][fill[topic]++] = m;
        }
}

static bool subscribes(const struct assign_member *member, int topic) {
    int low = 0, high = member->topic_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (member->topics[middle] < topic)
            low = middle + 1;
        else
            high = middle;
    }
    return low < member->topic_count && member->topics[low] == topic;
}

static void keep(struct uneven *uneven) {
    struct assign_group *group = uneven->group;
    for (int m = 0; m < group->member_count; m++) {
        const struct assign_list *old = &group->members[m].old;
        for (int i = 0; i < old->count; i++) {
            struct assign_partition p = old->items[i];
            if (p.topic >= 0 && p.partition < group->topics[p.topic].partition_count && subscribes(&group->members[m], p.topic))
                give(uneven, p.topic, p.partition, m);
        }
    }
}

static int balance_topic(struct uneven *uneven, int topic, struct fronts *fronts, int *partitions, int *begins, int *ends) {
    int32_t count = uneven->group->topics[topic].partition_count;
    if (fronts_init(fronts, uneven, topic) <= 1)
        return 0;
    int *owners = uneven->owners[topic];
    for (int32_t p = 0; p < count; p++)
        partitions[p] = p;
    qsort_r(partitions, (size_t)count, sizeof(int), by_table, owners);
    /* Which part of `partitions` is whose. */
    for (int i = 0; i < fronts->count; i++)
        begins[fronts->sorted[i]] = ends[fronts->sorted[i]] = 0;
    for (int i = count - 1; i >= 0; i--)
        begins[owners[partitions[i]]] = i;
    for (int i = 0; i < count; i++)
        ends[owners[partitions[i]]] = i + 1;
    int moved = 0;
    while (!fronts_meet(fronts)) {
        int from = fronts_high(fronts);
        while (from >= 0 && ends[from] <= begins[from]) {
            fronts_exclude(fronts);
            from = fronts_high(fronts);
        }
        if (from < 0)
            break;
        int partition = partitions[--ends[from]], to = fronts_low(fronts);
        if (fronts_meet(fronts))
            break;
        give(uneven, topic, partition, to);
        moved++;
    }
    return moved;
}

static void balance(struct uneven *uneven, const int *topics, int count, struct fronts *fronts) {
    struct arena *arena = uneven->group->arena;
    int32_t partitions_max = 0;
    for (int i = 0; i < count; i++)
        if (uneven->group->topics[topics[i]].partition_count > partitions_max)
            partitions_max = uneven->group->topics[topics[i]].partition_count;
    int *partitions = arena_array(arena, int, partitions_max + 1);
    int *begins = arena_array(arena, int, uneven->group->member_count), *ends = arena_array(arena, int, uneven->group->member_count);
    int last = -1; /* the topic that was moved last: when its turn comes again nothing has changed */
    for (int round = 0; round < ROUNDS_MAX; round++)
        for (int i = 0; i < count; i++) {
            if (i == last)
                return;
            if (balance_topic(uneven, topics[i], fronts, partitions, begins, ends) || last < 0)
                last = i;
        }
}

enum err assign_uneven(struct assign_group *group) {
    struct uneven uneven = {.group = group};
    if (!group->topic_count || !group->member_count)
        return ERR_OK;
    describe(&uneven);
    keep(&uneven);
    int *topics = arena_array(group->arena, int, group->topic_count), count = 0;
    for (int t = 0; t < group->topic_count; t++)
        if (uneven.subscriber_counts[t])
            topics[count++] = t;
    qsort_r(topics, (size_t)count, sizeof(int), by_pressure, &uneven);
    struct fronts fronts = {.sorted = arena_array(group->arena, int, group->member_count)};
    for (int i = 0; i < count; i++) {
        int t = topics[i];
        bool begun = false;
        for (int32_t p = 0; p < group->topics[t].partition_count; p++) {
            if (uneven.owners[t][p] >= 0)
                continue;
            if (!begun)
                fronts_init(&fronts, &uneven, t);
            begun = true;
            give(&uneven, t, p, fronts_low(&fronts));
        }
    }
    int contested = 0;
    for (int i = 0; i < count; i++)
        if (uneven.subscriber_counts[topics[i]] >= 2)
            topics[contested++] = topics[i];
    if (contested)
        balance(&uneven, topics, contested, &fronts);
    for (int t = 0; t < group->topic_count; t++)
        for (int32_t p = 0; p < group->topics[t].partition_count; p++)
            if (uneven.owners[t][p] >= 0)
                assign_list_add(group->arena, &group->members[uneven.owners[t][p]].now, t, p);
    return ERR_OK;
}
