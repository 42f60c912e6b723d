/* One member's next step from what it has to what it should have.
 *
 *   STABLE --the target moved on--> a task to give up that it still has? --yes--> UNREVOKED: keeps the rest, gets nothing new
 *                                     | no                                            | it reports that it gave them up
 *                                     v                                               v
 *                                   tasks it should get that another still has? --yes--> UNRELEASED: asks again each time
 *                                     | no
 *                                     v
 *                                   STABLE at the target's epoch
 *
 * A process holds one copy of a task at most, in whatever role. Inside one member a task changes its role without being
 * given up first: an active task's standby is granted while the active one goes; a standby stays until the active grant
 * takes its place. */
#include "coordinator/streams_group.h"

enum { ROLE_ACTIVE = 1 << STREAMS_ACTIVE, ROLE_COPY = 1 << STREAMS_STANDBY | 1 << STREAMS_WARMUP };

struct reconciling {
    const struct streams_step *step;
    const struct streams_position *position;
    struct streams_roles keep, revoke, grant;
    bool unreleased;
};

static bool roles_hold(const struct streams_roles *roles, const struct streams_task *task, int which) {
    for (int role = 0; roles && role < STREAMS_ROLES; role++)
        if ((which & 1 << role) && streams_tasks_find(&roles->of[role], task))
            return true;
    return false;
}

/* Another member, or what this one is about to give up. `process` null: of any process. */
static bool is_held(const struct reconciling *r, const struct streams_task *task, int roles, struct slice process) {
    streams_each_member(member, r->step->group) {
        if (slice_eq(member->id, r->step->member)) {
            if (roles_hold(member->pending, task, roles))
                return true;
        } else if ((!process.ptr || slice_eq(member->metadata.process_id, process)) &&
                   (roles_hold(member->assigned, task, roles) || roles_hold(member->pending, task, roles))) {
            return true;
        }
    }
    return false;
}

static bool is_unreleased(const struct reconciling *r, const struct streams_task *task, int role) {
    if (role == STREAMS_ACTIVE)
        return is_held(r, task, ROLE_ACTIVE, (struct slice){0}) || is_held(r, task, ROLE_COPY, r->step->process_id);
    return is_held(r, task, ROLE_ACTIVE | ROLE_COPY, r->step->process_id);
}

/* What it has in the role: kept when it should have it, or while the active grant that takes its place is to come. */
static void divide(struct reconciling *r, int role) {
    const struct streams_tasks *assigned = &r->position->assigned.of[role];
    const struct streams_roles *target = r->step->target;
    r->keep.of[role] = streams_tasks_create(r->step->arena, assigned->count + target->of[role].count);
    r->revoke.of[role] = streams_tasks_create(r->step->arena, assigned->count);
    for (int i = 0; i < assigned->count; i++) {
        const struct streams_task *task = &assigned->tasks[i];
        bool promoted = role != STREAMS_ACTIVE && streams_tasks_find(&target->of[STREAMS_ACTIVE], task);
        bool moved = role != STREAMS_ACTIVE && roles_hold(target, task, ROLE_COPY & ~(1 << role));
        if (streams_tasks_find(&target->of[role], task) || promoted)
            r->keep.of[role].tasks[r->keep.of[role].count++] = *task;
        else if (!moved)
            r->revoke.of[role].tasks[r->revoke.of[role].count++] = *task;
    }
}

/* What it should get in the role. Copies of a task that it has in another role already go to `keep` at once. */
static void extend(struct reconciling *r, int role) {
    const struct streams_tasks *target = &r->step->target->of[role];
    r->grant.of[role] = streams_tasks_create(r->step->arena, target->count);
    for (int i = 0; i < target->count; i++) {
        struct streams_task task = target->tasks[i];
        task.epoch = r->step->target_epoch;
        if (streams_tasks_find(&r->position->assigned.of[role], &task))
            continue;
        if (role != STREAMS_ACTIVE && roles_hold(&r->position->assigned, &task, ROLE_ACTIVE | ROLE_COPY))
            r->keep.of[role].tasks[r->keep.of[role].count++] = task;
        else if (is_unreleased(r, &task, role))
            r->unreleased = true;
        else
            r->grant.of[role].tasks[r->grant.of[role].count++] = task;
    }
    streams_tasks_sort(&r->keep.of[role]);
}

static bool has_to_revoke(const struct reconciling *r) {
    for (int role = 0; role < STREAMS_ROLES; role++)
        if (r->revoke.of[role].count && (!r->step->owned || streams_tasks_overlap(&r->revoke.of[role], &r->step->owned->of[role])))
            return true;
    return false;
}

static struct streams_tasks joined(struct arena *arena, const struct streams_tasks *a, const struct streams_tasks *b) {
    struct streams_tasks all = streams_tasks_create(arena, a->count + b->count);
    for (int i = 0; i < a->count + b->count; i++)
        all.tasks[all.count++] = i < a->count ? a->tasks[i] : b->tasks[i - a->count];
    streams_tasks_sort(&all);
    return all;
}

static struct streams_tasks without(struct arena *arena, const struct streams_tasks *tasks, const struct streams_tasks *gone) {
    struct streams_tasks left = streams_tasks_create(arena, tasks->count);
    for (int i = 0; i < tasks->count; i++)
        if (!streams_tasks_find(gone, &tasks->tasks[i]))
            left.tasks[left.count++] = tasks->tasks[i];
    return left;
}

static void compute(const struct streams_step *step, const struct streams_position *position, int32_t epoch, struct streams_position *ret_next) {
    struct reconciling r = {.step = step, .position = position};
    for (int role = 0; role < STREAMS_ROLES; role++)
        divide(&r, role);
    for (int role = 0; role < STREAMS_ROLES; role++)
        extend(&r, role);
    *ret_next = (struct streams_position){.epoch = step->target_epoch, .previous_epoch = position->epoch, .assigned = r.keep};
    if (has_to_revoke(&r)) {
        ret_next->state = STREAMS_MEMBER_UNREVOKED;
        ret_next->epoch = epoch;
        ret_next->pending = r.revoke;
        return;
    }
    ret_next->state = r.unreleased ? STREAMS_MEMBER_UNRELEASED : STREAMS_MEMBER_STABLE;
    for (int role = 0; role < STREAMS_ROLES; role++) {
        ret_next->assigned.of[role] = joined(step->arena, &r.keep.of[role], &r.grant.of[role]);
        if (role != STREAMS_ACTIVE)
            ret_next->assigned.of[role] = without(step->arena, &ret_next->assigned.of[role], &r.grant.of[STREAMS_ACTIVE]);
    }
}

static bool still_owns_pending(const struct streams_step *step, const struct streams_position *position) {
    for (int role = 0; role < STREAMS_ROLES; role++)
        if (streams_tasks_overlap(&position->pending.of[role], &step->owned->of[role]))
            return true;
    return false;
}

bool streams_reconcile(const struct streams_step *step, const struct streams_position *position, struct streams_position *ret_next) {
    *ret_next = *position;
    switch (position->state) {
    case STREAMS_MEMBER_STABLE:
        if (position->epoch != step->target_epoch)
            compute(step, position, position->epoch, ret_next);
        return true;
    case STREAMS_MEMBER_UNREVOKED:
        if (step->owned && !still_owns_pending(step, position))
            compute(step, position, position->epoch + 1, ret_next);
        return true;
    case STREAMS_MEMBER_UNRELEASED: compute(step, position, position->epoch, ret_next); return true;
    default:
        if (!step->owned || !streams_roles_are_empty(step->owned))
            return false;
        compute(step, position, step->target_epoch, ret_next);
        return true;
    }
}
