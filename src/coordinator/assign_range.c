/* Each topic's partitions in runs over its subscribers, the first ones a partition longer. Static members come first, in
 * order of their instance ids, so that a restart moves nothing; then the others in order of their member ids. */
#include "coordinator/assign.h"

#include <stdlib.h>

static int by_id(const void *a, const void *b) {
    const struct assign_member *x = *(struct assign_member *const *)a, *y = *(struct assign_member *const *)b;
    if (x->instance_id.ptr && y->instance_id.ptr)
        return slice_cmp(x->instance_id, y->instance_id);
    if (x->instance_id.ptr || y->instance_id.ptr)
        return x->instance_id.ptr ? -1 : 1;
    return slice_cmp(x->id, y->id);
}

enum err assign_range(struct assign_group *group) {
    struct assign_member **sorted = arena_array(group->arena, struct assign_member *, group->member_count + 1);
    int *subscribers = arena_array(group->arena, int, group->topic_count + 1), *seen = arena_array(group->arena, int, group->topic_count + 1);
    int32_t *next = arena_array(group->arena, int32_t, group->topic_count + 1);
    for (int i = 0; i < group->member_count; i++) {
        sorted[i] = &group->members[i];
        for (int t = 0; t < group->members[i].topic_count; t++)
            subscribers[group->members[i].topics[t]]++;
    }
    qsort(sorted, (size_t)group->member_count, sizeof sorted[0], by_id);
    for (int i = 0; i < group->member_count; i++)
        for (int t = 0; t < sorted[i]->topic_count; t++) {
            int topic = sorted[i]->topics[t];
            int32_t count = group->topics[topic].partition_count;
            int32_t size = count / subscribers[topic] + (seen[topic]++ < count % subscribers[topic]);
            for (; size > 0; size--)
                assign_list_add(group->arena, &sorted[i]->now, topic, next[topic]++);
        }
    return ERR_OK;
}
