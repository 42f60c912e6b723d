/* Everybody subscribes to the same topics. With P partitions and n members each has P div n, and P mod n of them one more.
 * Members keep what they have up to that; who is first in order and has one more already keeps it, others give it up. */
#include "coordinator/assign.h"

void assign_list_add(struct arena *arena, struct assign_list *list, int topic, int32_t partition) {
    if (list->count == list->capacity) {
        int capacity = list->capacity ? list->capacity * 2 : 8;
        struct assign_partition *items = arena_alloc(arena, sizeof *items * (size_t)capacity);
        if (list->count)
            memcpy(items, list->items, sizeof *items * (size_t)list->count);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = (struct assign_partition){topic, partition};
}

/* How many items from `from` on are of the same topic. */
static int run_length(const struct assign_list *list, int from) {
    int end = from + 1;
    while (end < list->count && list->items[end].topic == list->items[from].topic)
        end++;
    return end - from;
}

/* Keeps up to `quota` of what the member has; the rest is free for others. What is left of the quota. */
static int keep(struct assign_group *group, struct assign_member *member, int quota, struct assign_list *ret_free) {
    const struct assign_list *old = &member->old;
    for (int i = 0, size; i < old->count; i += size) {
        size = run_length(old, i);
        if (old->items[i].topic < 0)
            continue;
        for (int k = i; k < i + size; k++) {
            struct assign_partition p = old->items[k];
            if (quota > 0) {
                quota--;
                assign_list_add(group->arena, &member->now, p.topic, p.partition);
            } else {
                assign_list_add(group->arena, ret_free, p.topic, p.partition);
            }
        }
    }
    return quota;
}

enum err assign_uniform(struct assign_group *group) {
    if (!group->is_even)
        return assign_uneven(group);
    struct assign_list left = {0};
    int64_t total = 0;
    for (int t = 0; t < group->topic_count; t++) {
        total += group->topics[t].partition_count;
        for (int32_t p = 0; p < group->topics[t].partition_count; p++)
            if (!group->topics[t].taken[p])
                assign_list_add(group->arena, &left, t, p);
    }
    if (!group->member_count || !group->topic_count)
        return ERR_OK;
    int base = (int)(total / group->member_count), extras = (int)(total % group->member_count);
    int *wanted = arena_array(group->arena, int, group->member_count);
    for (int i = 0; i < group->member_count; i++) {
        bool has_extra = extras > 0;
        int quota = keep(group, &group->members[i], base + has_extra, &left);
        /* One more is not forced on a member that lacks it while enough others are to come. */
        if (quota > 0 && has_extra && group->member_count - i > extras) {
            quota--;
            has_extra = false;
        }
        wanted[i] = quota;
        extras -= has_extra;
    }
    int at = 0;
    for (int i = 0; i < group->member_count; i++)
        for (; wanted[i] > 0 && at < left.count; wanted[i]--, at++)
            assign_list_add(group->arena, &group->members[i].now, left.items[at].topic, left.items[at].partition);
    return at < left.count ? ERR_INVALID : ERR_OK;
}

int32_t java_hash_of_string(struct slice s) {
    uint32_t hash = 0;
    for (size_t i = 0; i < s.size;) {
        uint32_t c = s.ptr[i];
        size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (more)
            c &= 0x3fu >> more;
        for (size_t k = 1; k <= more && i + k < s.size; k++)
            c = c << 6 | (s.ptr[i + k] & 0x3fu);
        if (c >= 0x10000) {
            hash = hash * 31 + (0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        hash = hash * 31 + c;
        i += more + 1;
    }
    return (int32_t)hash;
}

int32_t java_hash_of_uuid(struct uuid id) {
    uint64_t x = id.msb ^ id.lsb;
    return (int32_t)(uint32_t)(x >> 32 ^ x);
}

uint32_t java_grown_capacity(int count) {
    uint32_t capacity = 16;
    while ((int64_t)capacity * 3 / 4 < count)
        capacity *= 2;
    return capacity;
}

uint32_t java_copied_capacity(int count) {
    uint32_t capacity = 16;
    while (capacity < (uint32_t)((float)count / 0.75f) + 1)
        capacity *= 2;
    return capacity;
}

uint32_t java_hash_order(int32_t hash_code, uint32_t capacity) {
    uint32_t hash = (uint32_t)hash_code;
    return (hash ^ hash >> 16) & (capacity - 1);
}
