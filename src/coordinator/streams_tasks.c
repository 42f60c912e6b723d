#include "coordinator/streams_tasks.h"

#include <stdlib.h>

#include "base/mem.h"
#include "protocol/streams_group_describe_response.h"
#include "protocol/streams_group_heartbeat_response.h"
#include "protocol/streams_group_target_assignment_member_value.h"

const struct streams_roles streams_roles_none;

#define SAME_LAYOUT(type)                                                                                                              \
    _Static_assert(sizeof(type) == sizeof(streams_task_ids) && offsetof(type, partitions) == offsetof(streams_task_ids, partitions) && \
                       offsetof(type, partitions_count) == offsetof(streams_task_ids, partitions_count),                              \
                   "task ids are laid out alike")
SAME_LAYOUT(struct streams_group_heartbeat_response_task_ids);
SAME_LAYOUT(struct streams_group_describe_response_task_ids);
SAME_LAYOUT(struct streams_group_target_assignment_member_value_task_ids);

static int streams_task_cmp(const struct streams_task *a, const struct streams_task *b) {
    int c = slice_cmp(a->subtopology, b->subtopology);
    return c ? c : (a->partition > b->partition) - (a->partition < b->partition);
}

static int task_cmp(const void *a, const void *b) {
    return streams_task_cmp(a, b);
}

struct streams_tasks streams_tasks_create(struct arena *arena, int capacity) {
    return (struct streams_tasks){arena_alloc(arena, sizeof(struct streams_task) * (size_t)(capacity + 1)), 0};
}

void streams_tasks_add(struct streams_tasks *tasks, struct slice subtopology, int32_t partition, int32_t epoch) {
    tasks->tasks[tasks->count++] = (struct streams_task){subtopology, partition, epoch};
}

void streams_tasks_sort(struct streams_tasks *tasks) {
    bool sorted = true;
    for (int i = 1; i < tasks->count && sorted; i++)
        sorted = streams_task_cmp(&tasks->tasks[i - 1], &tasks->tasks[i]) < 0;
    if (sorted)
        return;
    qsort(tasks->tasks, (size_t)tasks->count, sizeof tasks->tasks[0], task_cmp);
    int kept = 1;
    for (int i = 1; i < tasks->count; i++)
        if (streams_task_cmp(&tasks->tasks[kept - 1], &tasks->tasks[i]) != 0)
            tasks->tasks[kept++] = tasks->tasks[i];
    tasks->count = kept;
}

const struct streams_task *streams_tasks_find(const struct streams_tasks *tasks, const struct streams_task *task) {
    return tasks->count ? bsearch(task, tasks->tasks, (size_t)tasks->count, sizeof tasks->tasks[0], task_cmp) : NULL;
}

bool streams_tasks_overlap(const struct streams_tasks *a, const struct streams_tasks *b) {
    for (int i = 0; i < a->count; i++)
        if (streams_tasks_find(b, &a->tasks[i]))
            return true;
    return false;
}

bool streams_tasks_contain(const struct streams_tasks *all, const struct streams_tasks *part) {
    for (int i = 0; i < part->count; i++)
        if (!streams_tasks_find(all, &part->tasks[i]))
            return false;
    return true;
}

static bool streams_tasks_equal(const struct streams_tasks *a, const struct streams_tasks *b, bool with_epochs) {
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (streams_task_cmp(&a->tasks[i], &b->tasks[i]) != 0 || (with_epochs && a->tasks[i].epoch != b->tasks[i].epoch))
            return false;
    return true;
}

bool streams_roles_equal(const struct streams_roles *a, const struct streams_roles *b, bool with_epochs) {
    for (int role = 0; role < STREAMS_ROLES; role++)
        if (!streams_tasks_equal(&a->of[role], &b->of[role], with_epochs && role == STREAMS_ACTIVE))
            return false;
    return true;
}

bool streams_roles_are_empty(const struct streams_roles *roles) {
    return !roles->of[STREAMS_ACTIVE].count && !roles->of[STREAMS_STANDBY].count && !roles->of[STREAMS_WARMUP].count;
}

/* ---- messages ---------------------------------------------------------------------------------------------------------------- */

struct streams_tasks streams_tasks_of_ids(struct arena *arena, const streams_task_ids *ids, int count) {
    int total = 0;
    for (int i = 0; i < count; i++)
        total += ids[i].partitions_count;
    struct streams_tasks tasks = streams_tasks_create(arena, total);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < ids[i].partitions_count; k++)
            streams_tasks_add(&tasks, ids[i].subtopology_id, ids[i].partitions[k], 0);
    streams_tasks_sort(&tasks);
    return tasks;
}

struct streams_tasks streams_tasks_of_epochs(struct arena *arena, const streams_task_epochs *ids, int count, int32_t epoch) {
    int total = 0;
    for (int i = 0; i < count; i++)
        total += ids[i].partitions_count;
    struct streams_tasks tasks = streams_tasks_create(arena, total);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < ids[i].partitions_count; k++)
            streams_tasks_add(&tasks, ids[i].subtopology_id, ids[i].partitions[k],
                              ids[i].assignment_epochs_count == ids[i].partitions_count ? ids[i].assignment_epochs[k] : epoch);
    streams_tasks_sort(&tasks);
    return tasks;
}

static int subtopologies_in(const struct streams_tasks *tasks) {
    int count = 0;
    for (int i = 0; i < tasks->count; i++)
        count += i == 0 || !slice_eq(tasks->tasks[i].subtopology, tasks->tasks[i - 1].subtopology);
    return count;
}

streams_task_epochs *streams_tasks_to_epochs(struct arena *arena, const struct streams_tasks *tasks, bool with_epochs, int32_t *ret_count) {
    streams_task_epochs *ids = arena_array(arena, streams_task_epochs, subtopologies_in(tasks));
    int32_t *partitions = arena_array(arena, int32_t, tasks->count), *epochs = arena_array(arena, int32_t, tasks->count);
    int count = 0;
    for (int i = 0; i < tasks->count; i++) {
        const struct streams_task *task = &tasks->tasks[i];
        if (i == 0 || !slice_eq(task->subtopology, tasks->tasks[i - 1].subtopology))
            ids[count++] = (streams_task_epochs){task->subtopology, partitions + i, 0, epochs + i, 0};
        partitions[i] = task->partition;
        epochs[i] = task->epoch;
        ids[count - 1].partitions_count++;
        ids[count - 1].assignment_epochs_count += with_epochs;
    }
    *ret_count = count;
    return ids;
}

streams_task_ids *streams_tasks_to_ids(struct arena *arena, const struct streams_tasks *tasks, int32_t *ret_count) {
    streams_task_ids *ids = arena_array(arena, streams_task_ids, subtopologies_in(tasks));
    int32_t *partitions = arena_array(arena, int32_t, tasks->count);
    int count = 0;
    for (int i = 0; i < tasks->count; i++) {
        if (i == 0 || !slice_eq(tasks->tasks[i].subtopology, tasks->tasks[i - 1].subtopology))
            ids[count++] = (streams_task_ids){tasks->tasks[i].subtopology, partitions + i, 0};
        partitions[i] = tasks->tasks[i].partition;
        ids[count - 1].partitions_count++;
    }
    *ret_count = count;
    return ids;
}

/* ---- owned ------------------------------------------------------------------------------------------------------------------- */

/* One block: the struct, the tasks of all roles, the names of the subtopologies, each once a run of tasks. */
struct streams_roles *streams_roles_own(const struct streams_roles *roles) {
    size_t count = 0, bytes = 0;
    for (int role = 0; role < STREAMS_ROLES; role++) {
        const struct streams_tasks *tasks = &roles->of[role];
        count += (size_t)tasks->count;
        for (int i = 0; i < tasks->count; i++)
            if (i == 0 || !slice_eq(tasks->tasks[i].subtopology, tasks->tasks[i - 1].subtopology))
                bytes += tasks->tasks[i].subtopology.size;
    }
    struct streams_roles *own = mem_alloc(sizeof *own + count * sizeof(struct streams_task) + bytes);
    struct streams_task *next = (struct streams_task *)(own + 1);
    uint8_t *text = (uint8_t *)(next + count);
    for (int role = 0; role < STREAMS_ROLES; role++) {
        const struct streams_tasks *tasks = &roles->of[role];
        own->of[role] = (struct streams_tasks){next, tasks->count};
        for (int i = 0; i < tasks->count; i++) {
            *next = tasks->tasks[i];
            if (i && slice_eq(tasks->tasks[i].subtopology, tasks->tasks[i - 1].subtopology)) {
                next->subtopology = next[-1].subtopology;
            } else {
                memcpy(text, next->subtopology.ptr, next->subtopology.size);
                next->subtopology.ptr = text;
                text += next->subtopology.size;
            }
            next++;
        }
    }
    return own;
}
