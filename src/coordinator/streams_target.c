/* The target assignment: who should have which task, for an epoch of the group. */
#include "coordinator/streams_group.h"

#include "base/trace.h"
#include "coordinator/java_order.h"

struct candidate {
    struct slice id;
    const struct streams_roles *target; /* until now; NULL: none */
};

static bool is_updated(const struct streams_updated *updated, const struct streams_member *member) {
    return updated && (member == updated->member || slice_eq(member->id, updated->id));
}

static void take_offsets(struct streams_assign_member *spec, const struct streams_member *member) {
    if (member && member->offsets) {
        spec->offsets = member->offsets->offsets;
        spec->offset_count = member->offsets->count;
    }
}

/* All members, the updated one as it is to be; the count. */
static int list_members(const struct streams_group *group, const struct streams_updated *updated, struct streams_assign_member *specs,
                        struct candidate *candidates) {
    int count = 0;
    streams_each_member(member, group) {
        if (is_updated(updated, member))
            continue;
        specs[count] = (struct streams_assign_member){.id = member->id, .process_id = member->metadata.process_id, .previous = streams_or_none(member->assigned)};
        take_offsets(&specs[count], member);
        candidates[count++] = (struct candidate){member->id, member->target};
    }
    if (updated) {
        specs[count] = (struct streams_assign_member){.id = updated->id, .process_id = updated->process_id, .previous = updated->assigned};
        take_offsets(&specs[count], updated->member);
        candidates[count++] = (struct candidate){updated->id, updated->target};
    }
    return count;
}

static bool assign(struct arena *arena, const struct streams_group *group, const struct streams_configured *configured, struct streams_assign_member *specs, int count, int standby_replicas) {
    if (!streams_is_ready(configured))
        return true; /* nobody has anything */
    struct streams_assign_subtopology *subtopologies = arena_array(arena, struct streams_assign_subtopology, configured->count);
    for (int i = 0; i < configured->count; i++) {
        const struct streams_configured_subtopology *subtopology = &configured->subtopologies[i];
        subtopologies[i] = (struct streams_assign_subtopology){subtopology->raw->subtopology_id, subtopology->task_count,
                                                               subtopology->raw->state_changelog_topics_count > 0};
    }
    struct slice missing = streams_missing_assignor(group->group.groups->coordinator, group->group.id);
    if (missing.ptr)
        trace_warn("coordinator", "the assignor that a streams group asks for is not there; " STREAMS_ASSIGNOR " is used", TRACE_SLICE("group", group->group.id),
                   TRACE_SLICE("assignor", missing));
    struct streams_assign job = {specs, count, subtopologies, configured->count, standby_replicas};
    return streams_assign(&job, arena);
}

bool streams_compute_target(struct streams_records *records, const struct streams_group *group, const struct streams_configured *configured,
                            int32_t epoch, int standby_replicas, int64_t now_ms, const struct streams_updated *updated, struct streams_roles *ret_target) {
    struct arena *arena = records->arena;
    size_t room = group->members.count + 1;
    struct streams_assign_member *specs = arena_array(arena, struct streams_assign_member, room);
    struct candidate *candidates = arena_array(arena, struct candidate, room);
    struct slice *ids = arena_array(arena, struct slice, room);
    int count = list_members(group, updated, specs, candidates);
    if (!assign(arena, group, configured, specs, count, standby_replicas))
        return false;
    for (int i = 0; i < count; i++)
        ids[i] = candidates[i].id;
    int *order = java_map_order(arena, ids, count, 0);
    for (int k = 0; k < count; k++) {
        int i = order[k];
        if (!candidates[i].target || !streams_roles_equal(candidates[i].target, &specs[i].target, false))
            streams_record_target(records, specs[i].id, &specs[i].target);
        if (updated && i == count - 1)
            *ret_target = specs[i].target;
    }
    streams_record_target_epoch(records, epoch, now_ms);
    return true;
}
