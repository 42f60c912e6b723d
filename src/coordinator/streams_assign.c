#include "coordinator/streams_assign.h"

#include <stdlib.h>

#include "base/map.h"
#include "coordinator/java_order.h"

struct process;
struct member {
    struct streams_assign_member *spec;
    struct process *process;
    int count;                       /* of its tasks, in both roles */
    int load_count;                  /* as of the process's queue */
};
struct process {
    struct map_node node;
    struct slice id;
    struct member **members;
    int capacity, task_count;
    struct java_queue by_load;       /* its members; not built when items is NULL */
    int created;                     /* order of creation */
};
struct holder { /* a member that a task goes to, or could go to */
    struct member *member;
    bool is_standby;                 /* of candidates: it has the task now */
    int64_t offset;                  /* INT64_MIN: not told */
    int arrival;
    struct holder *next;
};
struct task {
    int subtopology;
    int32_t partition;
    struct member *previous_active;
    int candidate_count;
    struct holder *candidates;       /* previous standbys, then those that told an offset; the furthest first */
    struct holder *holders;          /* of this assignment */
    struct member *active;
};
struct quota { /* tasks of `capacity` members: who reaches the share leaves, and the others share what is left */
    int64_t tasks, capacity, share;
};
struct assigning {
    struct arena *arena;
    struct streams_assign *assign;
    struct member *members;          /* in Kafka's order */
    struct process **processes;
    int process_count;
    struct task *tasks;              /* in order of subtopology and partition */
    int task_count, *first_task;     /* of each subtopology */
    struct quota active, total;
};

static int64_t share(int64_t tasks, int64_t members) {
    return members ? (tasks + members - 1) / members : 0;
}

static void quota_take(struct quota *quota, int count) {
    if (count != quota->share)
        return;
    quota->capacity--;
    quota->tasks -= count;
    quota->share = share(quota->tasks, quota->capacity);
}

static double process_load(const struct process *process) {
    return (double)process->task_count / process->capacity;
}

static int by_process_load(const void *a, const void *b) {
    double x = process_load(a), y = process_load(b);
    return (x > y) - (x < y);
}

static int by_member_count(const void *a, const void *b) {
    return ((const struct member *)a)->load_count - ((const struct member *)b)->load_count;
}

/* ---- what there is ------------------------------------------------------------------------------------------------------------ */

static bool process_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct process, node)->id, *(const struct slice *)key);
}

static void list_members(struct assigning *a) {
    int count = a->assign->member_count;
    struct slice *ids = arena_array(a->arena, struct slice, count);
    for (int i = 0; i < count; i++)
        ids[i] = a->assign->members[i].id;
    int *order = java_map_order(a->arena, ids, count, 0);
    a->members = arena_array(a->arena, struct member, count);
    for (int i = 0; i < count; i++)
        a->members[i].spec = &a->assign->members[order[i]];
}

static void list_processes(struct assigning *a) {
    int count = a->assign->member_count;
    struct map by_id = {0};
    struct slice *ids = arena_array(a->arena, struct slice, count);
    struct process **created = arena_array(a->arena, struct process *, count);
    for (int i = 0; i < count; i++) {
        struct slice id = a->members[i].spec->process_id;
        struct map_node *node = map_find(&by_id, hash_slice(id), process_is, &id);
        struct process *process = node ? container_of(node, struct process, node) : arena_zalloc(a->arena, sizeof *process);
        if (!node) {
            process->id = ids[a->process_count] = id;
            created[a->process_count++] = process;
            map_insert(&by_id, &process->node, hash_slice(id));
        }
        a->members[i].process = process;
        process->capacity++;
    }
    map_deinit(&by_id);
    int *order = java_map_order(a->arena, ids, a->process_count, count ? count : 1);
    a->processes = arena_array(a->arena, struct process *, a->process_count);
    for (int i = 0; i < a->process_count; i++)
        a->processes[i] = created[order[i]];
}

/* Each process's members, in the order of its own map. */
static void group_members(struct assigning *a) {
    for (int i = 0; i < a->process_count; i++) {
        a->processes[i]->members = arena_array(a->arena, struct member *, a->processes[i]->capacity);
        a->processes[i]->capacity = 0;
    }
    for (int i = 0; i < a->assign->member_count; i++) {
        struct process *process = a->members[i].process;
        process->members[process->capacity++] = &a->members[i];
    }
    for (int i = 0; i < a->process_count; i++) {
        struct process *process = a->processes[i];
        struct slice *ids = arena_array(a->arena, struct slice, process->capacity);
        struct member **members = arena_array(a->arena, struct member *, process->capacity);
        for (int k = 0; k < process->capacity; k++)
            ids[k] = process->members[k]->spec->id;
        int *order = java_map_order(a->arena, ids, process->capacity, 0);
        for (int k = 0; k < process->capacity; k++)
            members[k] = process->members[order[k]];
        process->members = members;
    }
}

static void list_tasks(struct assigning *a) {
    const struct streams_assign *assign = a->assign;
    a->first_task = arena_array(a->arena, int, assign->subtopology_count + 1);
    for (int i = 0; i < assign->subtopology_count; i++) {
        a->first_task[i] = (int)a->active.tasks;
        a->active.tasks += assign->subtopologies[i].task_count;
        a->total.tasks += assign->subtopologies[i].task_count * (1 + (assign->subtopologies[i].is_stateful ? (int64_t)assign->standby_replicas : 0));
    }
    a->active.capacity = a->total.capacity = assign->member_count;
    a->active.share = share(a->active.tasks, a->active.capacity);
    a->total.share = share(a->total.tasks, a->total.capacity);
    a->tasks = arena_array(a->arena, struct task, a->active.tasks);
    for (int i = 0; i < assign->subtopology_count; i++)
        for (int32_t k = 0; k < assign->subtopologies[i].task_count; k++)
            a->tasks[a->task_count++] = (struct task){.subtopology = i, .partition = k};
}

/* NULL: there is no such task any more. */
static struct task *find_task(struct assigning *a, struct slice subtopology, int32_t partition) {
    int low = 0, high = a->assign->subtopology_count;
    while (low < high) {
        int middle = (low + high) / 2;
        int c = slice_cmp(a->assign->subtopologies[middle].id, subtopology);
        if (c == 0)
            return partition >= 0 && partition < a->assign->subtopologies[middle].task_count ? &a->tasks[a->first_task[middle] + partition] : NULL;
        *(c < 0 ? &low : &high) = c < 0 ? middle + 1 : middle;
    }
    return NULL;
}

/* The copies of one member in order of their tasks. */
static int by_place(const void *a, const void *b) {
    const struct streams_task_offset *x = a, *y = b;
    int c = slice_cmp(x->subtopology, y->subtopology);
    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

struct told { /* by a member of its copies: sorted, of one member at a time */
    struct streams_task_offset *offsets;
    int count;
};

static struct told sort_told(struct assigning *a, const struct streams_assign_member *spec) {
    struct told told = {arena_array(a->arena, struct streams_task_offset, spec->offset_count), spec->offset_count};
    for (int i = 0; i < told.count; i++)
        told.offsets[i] = spec->offsets[i];
    if (told.count)
        qsort(told.offsets, (size_t)told.count, sizeof told.offsets[0], by_place);
    return told;
}

static int64_t offset_told(const struct told *told, const struct streams_task *task) {
    struct streams_task_offset key = {task->subtopology, task->partition, 0};
    const struct streams_task_offset *found = told->count ? bsearch(&key, told->offsets, (size_t)told->count, sizeof key, by_place) : NULL;
    return found ? found->offset : INT64_MIN;
}

/* Standbys first, then by offset, the furthest first; equals in order of arrival. */
static int by_rank(const void *a, const void *b) {
    const struct holder *x = *(struct holder *const *)a, *y = *(struct holder *const *)b;
    if (x->is_standby != y->is_standby)
        return x->is_standby ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset > y->offset ? -1 : 1;
    return x->arrival - y->arrival;
}

static void add_candidate(struct assigning *a, struct task *task, struct member *member, bool is_standby, int64_t offset) {
    struct holder *holder = arena_alloc(a->arena, sizeof *holder);
    *holder = (struct holder){member, is_standby, offset, task->candidate_count++, task->candidates};
    task->candidates = holder;
}

static void sort_candidates(struct task *task, struct holder **room) {
    int count = 0;
    for (struct holder *holder = task->candidates; holder; holder = holder->next)
        room[count++] = holder;
    if (count < 2)
        return;
    qsort(room, (size_t)count, sizeof room[0], by_rank);
    for (int i = 0; i < count; i++)
        room[i]->next = i + 1 < count ? room[i + 1] : NULL;
    task->candidates = room[0];
}

static void read_previous(struct assigning *a) {
    for (int i = 0; i < a->assign->member_count; i++) {
        struct member *member = &a->members[i];
        const struct streams_assign_member *spec = member->spec;
        const struct streams_tasks *active = &spec->previous->of[STREAMS_ACTIVE], *standby = &spec->previous->of[STREAMS_STANDBY];
        struct told told = sort_told(a, spec);
        struct task *task;
        for (int k = 0; k < active->count; k++)
            if ((task = find_task(a, active->tasks[k].subtopology, active->tasks[k].partition)))
                task->previous_active = member;
        for (int k = 0; k < standby->count; k++)
            if ((task = find_task(a, standby->tasks[k].subtopology, standby->tasks[k].partition)))
                add_candidate(a, task, member, true, offset_told(&told, &standby->tasks[k]));
        for (int k = 0; k < spec->offset_count; k++) {
            struct streams_task copy = {spec->offsets[k].subtopology, spec->offsets[k].partition, 0};
            if (!streams_tasks_find(standby, &copy) && (task = find_task(a, copy.subtopology, copy.partition)))
                add_candidate(a, task, member, false, spec->offsets[k].offset);
        }
    }
    struct holder **room = arena_array(a->arena, struct holder *, 2 * a->assign->member_count);
    for (int i = 0; i < a->task_count; i++)
        sort_candidates(&a->tasks[i], room);
}

/* ---- giving ------------------------------------------------------------------------------------------------------------------- */

static bool process_holds(const struct process *process, const struct task *task) {
    for (const struct holder *holder = task->holders; holder; holder = holder->next)
        if (holder->member->process == process)
            return true;
    return false;
}

static void give(struct assigning *a, struct task *task, struct member *member, bool active) {
    struct holder *holder = arena_alloc(a->arena, sizeof *holder);
    *holder = (struct holder){.member = member, .next = task->holders};
    task->holders = holder;
    if (active)
        task->active = member;
    member->count++;
    member->process->task_count++;
    if (active)
        quota_take(&a->active, member->count);
    quota_take(&a->total, member->count);
}

/* To a member by name; the order of the process's members by load is not kept over this. */
static void give_to(struct assigning *a, struct task *task, struct member *member, bool active) {
    give(a, task, member, active);
    member->process->by_load.items = NULL;
}

static void give_to_process(struct assigning *a, struct task *task, struct process *process, bool active) {
    if (process->capacity == 1) {
        give(a, task, process->members[0], active);
        return;
    }
    if (!process->by_load.items) {
        process->by_load = (struct java_queue){(void **)arena_array(a->arena, struct member *, process->capacity + 1), 0, by_member_count};
        for (int i = 0; i < process->capacity; i++) {
            process->members[i]->load_count = process->members[i]->count;
            java_queue_add(&process->by_load, process->members[i]);
        }
    }
    struct member *member = java_queue_poll(&process->by_load);
    give(a, task, member, active);
    member->load_count = member->count;
    java_queue_add(&process->by_load, member);
}

/* The first, unless a later one's process and itself both have less to do. `of`: whose processes do not hold it yet. */
static struct member *find_candidate(const struct task *task, bool avoid_holders) {
    struct member *best = NULL;
    for (const struct holder *holder = task->candidates; holder; holder = holder->next) {
        struct member *member = holder->member;
        if (avoid_holders && process_holds(member->process, task))
            continue;
        if (!best || (process_load(member->process) < process_load(best->process) && member->count < best->count))
            best = member;
    }
    return best;
}

static struct java_queue queue_processes(struct assigning *a) {
    struct java_queue queue = {(void **)arena_array(a->arena, struct process *, a->process_count + 1), 0, by_process_load};
    for (int i = 0; i < a->process_count; i++)
        java_queue_add(&queue, a->processes[i]);
    return queue;
}

/* All tasks, partition by partition; `tasks` has room for them. */
static void order_by_partition(struct assigning *a, struct task **tasks) {
    int count = 0;
    for (int32_t partition = 0; count < a->task_count; partition++)
        for (int i = 0; i < a->assign->subtopology_count; i++)
            if (partition < a->assign->subtopologies[i].task_count)
                tasks[count++] = &a->tasks[a->first_task[i] + partition];
}

static bool assign_active(struct assigning *a, struct task **tasks) {
    for (int i = 0; i < a->task_count; i++)
        if (tasks[i]->previous_active && tasks[i]->previous_active->count < a->active.share)
            give_to(a, tasks[i], tasks[i]->previous_active, true);
    for (int i = 0; i < a->task_count; i++) {
        struct member *candidate = tasks[i]->active ? NULL : find_candidate(tasks[i], false);
        if (candidate && candidate->count < a->active.share)
            give_to(a, tasks[i], candidate, true);
    }
    struct java_queue queue = queue_processes(a);
    for (int i = 0; i < a->task_count; i++) {
        if (a->tasks[i].active)
            continue;
        struct process *process = java_queue_poll(&queue);
        if (!process)
            return false;
        give_to_process(a, &a->tasks[i], process, true);
        java_queue_add(&queue, process);
    }
    return true;
}

/* To the least loaded process that does not hold the task; those that do keep their place. */
static bool give_to_least_loaded(struct assigning *a, struct java_queue *queue, struct task *task, struct process **polled) {
    int count = 0;
    bool found = false;
    while (!found && queue->count) {
        struct process *process = java_queue_poll(queue);
        polled[count++] = process;
        if (!process_holds(process, task)) {
            give_to_process(a, task, process, false);
            found = true;
        }
    }
    while (count)
        java_queue_add(queue, polled[--count]);
    return found;
}

static bool give_standby(struct assigning *a, struct task *task) {
    struct member *member = task->previous_active;
    if (!member || process_holds(member->process, task) || member->count >= a->total.share)
        member = find_candidate(task, true);
    if (!member || member->count >= a->total.share)
        return false;
    give_to(a, task, member, false);
    return true;
}

static void assign_standby(struct assigning *a, struct task **tasks) {
    int *left = arena_array(a->arena, int, a->task_count);
    for (int i = a->task_count - 1; i >= 0; i--) {
        if (!a->assign->subtopologies[tasks[i]->subtopology].is_stateful)
            continue;
        int replica = 0;
        while (replica < a->assign->standby_replicas && give_standby(a, tasks[i]))
            replica++;
        left[tasks[i] - a->tasks] = a->assign->standby_replicas - replica;
    }
    struct java_queue queue = queue_processes(a);
    struct process **polled = arena_array(a->arena, struct process *, a->process_count + 1);
    for (int i = a->task_count - 1; i >= 0; i--)
        while (left[i]-- > 0 && give_to_least_loaded(a, &queue, &a->tasks[i], polled))
            ;
}

static void collect(struct assigning *a) {
    for (int i = 0; i < a->assign->member_count; i++)
        for (int role = 0; role < STREAMS_ROLES; role++)
            a->members[i].spec->target.of[role] = streams_tasks_create(a->arena, role == STREAMS_WARMUP ? 0 : a->members[i].count);
    for (int i = 0; i < a->task_count; i++)
        for (const struct holder *holder = a->tasks[i].holders; holder; holder = holder->next)
            streams_tasks_add(&holder->member->spec->target.of[holder->member == a->tasks[i].active ? STREAMS_ACTIVE : STREAMS_STANDBY],
                              a->assign->subtopologies[a->tasks[i].subtopology].id, a->tasks[i].partition, 0);
}

bool streams_assign(struct streams_assign *assign, struct arena *arena) {
    struct assigning a = {.arena = arena, .assign = assign};
    list_members(&a);
    list_processes(&a);
    group_members(&a);
    list_tasks(&a);
    read_previous(&a);
    struct task **tasks = arena_array(arena, struct task *, a.task_count + 1);
    order_by_partition(&a, tasks);
    if (!assign_active(&a, tasks))
        return false;
    if (assign->standby_replicas > 0)
        assign_standby(&a, tasks);
    collect(&a);
    return true;
}
