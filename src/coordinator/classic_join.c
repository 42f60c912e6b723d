/* JoinGroup at a classic group: who may come in, as whom, and whether that begins a new generation. See classic.h. */
#include "coordinator/classic_internal.h"

#include <inttypes.h>
#include "base/trace.h"

enum {
    NEW_MEMBER_TIMEOUT_MS = 5 * 60 * 1000, /* of one that waits in its first join: it cannot send heartbeats */
    KNOWN_MEMBER_ID_VERSION = 4,           /* from here on new members are given an id and asked to come back with it */
    SKIP_ASSIGNMENT_VERSION = 9,
    STRING_SIZE_MAX = INT16_MAX,
};

static void refuse(struct classic_join *join, int16_t error, struct slice member_id) {
    join->response.error_code = error;
    join->response.member_id = member_id;
}

/* ---- answers ----------------------------------------------------------------------------------------------------------------------- */

static void fill_members(struct classic_join *join, const struct classic_group *group) {
    struct arena *arena = join->op->arena;
    struct join_group_response *response = &join->response;
    response->members = arena_array(arena, struct join_group_response_join_group_response_member, group->member_count);
    classic_each_member(member, group)
        response->members[response->members_count++] = (struct join_group_response_join_group_response_member){
            .member_id = arena_slice(arena, member->id),
            .group_instance_id = arena_slice(arena, member->instance_id),
            .metadata = arena_slice(arena, classic_member_metadata(member, group->protocol)),
        };
}

void classic_fill_join(struct classic_join *join, const struct classic_group *group, const struct classic_member *member, bool with_members) {
    struct arena *arena = join->op->arena;
    struct join_group_response *response = &join->response;
    join_group_response_init(response);
    response->generation_id = group->generation;
    response->protocol_type = arena_slice(arena, group->protocol_type);
    response->protocol_name = arena_slice(arena, group->protocol);
    response->leader = arena_slice(arena, group->leader);
    response->member_id = arena_slice(arena, member->id);
    if (with_members)
        fill_members(join, group);
}

/* ---- members ------------------------------------------------------------------------------------------------------------------------ */

static struct classic_protocol *offered(const struct classic_join *join) {
    const struct join_group_request *request = join->request;
    struct classic_protocol *protocols = arena_array(join->op->arena, struct classic_protocol, request->protocols_count);
    for (int i = 0; i < request->protocols_count; i++)
        protocols[i] = (struct classic_protocol){request->protocols[i].name, request->protocols[i].metadata};
    return protocols;
}

static int32_t wanted_rebalance_timeout_ms(const struct classic_join *join) {
    return join->version == 0 ? join->request->session_timeout_ms : join->request->rebalance_timeout_ms;
}

static void add_member(struct classic_join *join, struct classic_group *group, struct slice id) {
    const struct join_group_request *request = join->request;
    if (group->state == CLASSIC_PREPARING && group->previous == CLASSIC_EMPTY)
        group->newcomer = true;
    struct classic_member *member = classic_member_add(group, &(struct classic_member_spec){
        .id = id,
        .instance_id = request->group_instance_id,
        .client_id = join->client_id,
        .client_host = join->client_host,
        .protocol_type = request->protocol_type,
        .rebalance_timeout_ms = wanted_rebalance_timeout_ms(join),
        .session_timeout_ms = request->session_timeout_ms,
        .protocols = offered(join),
        .protocol_count = request->protocols_count,
    });
    member->is_new = true;
    classic_park_join(member, join);
    classic_session_extend(&member->session, NEW_MEMBER_TIMEOUT_MS);
    classic_rebalance_or_complete(group, join->op, "a member joins");
}

static void update_member(struct classic_join *join, struct classic_member *member) {
    classic_member_set_protocols(member, offered(join), join->request->protocols_count);
    member->rebalance_timeout_ms = wanted_rebalance_timeout_ms(join);
    member->session_timeout_ms = join->request->session_timeout_ms;
}

static void rejoin(struct classic_join *join, struct classic_member *member, const char *why) {
    update_member(join, member);
    classic_park_join(member, join);
    classic_rebalance_or_complete(member->group, join->op, why);
}

static bool offers_the_same(const struct classic_member *member, const struct join_group_request *request) {
    if (member->protocol_count != request->protocols_count)
        return false;
    for (int i = 0; i < member->protocol_count; i++)
        if (!slice_eq(member->protocols[i].name, request->protocols[i].name) ||
            !slice_eq(member->protocols[i].metadata, request->protocols[i].metadata))
            return false;
    return true;
}

/* ---- a static member comes back under another id -------------------------------------------------------------------------------------- */

struct replacement { /* what to go back to when the record is refused */
    struct classic_group *group;
    struct slice old_id, new_id;
    struct classic_protocol *protocols;
    int protocol_count;
    int32_t rebalance_timeout_ms, session_timeout_ms;
};

static void undo_replacement(struct coordinator_op *op, void *state) {
    const struct replacement *old = op->undo_arg;
    struct classic_member *member = classic_member_find(old->group, old->new_id);
    (void)state;
    classic_member_set_protocols(member, old->protocols, old->protocol_count);
    member->rebalance_timeout_ms = old->rebalance_timeout_ms;
    member->session_timeout_ms = old->session_timeout_ms;
    classic_member_rename(member, old->old_id);
    classic_session_start(member);
}

static struct replacement *remember(struct classic_join *join, const struct classic_member *member, struct slice new_id) {
    struct arena *arena = join->op->arena;
    struct replacement *old = arena_new(arena, struct replacement);
    *old = (struct replacement){
        .group = member->group,
        .old_id = arena_slice(arena, member->id),
        .new_id = new_id,
        .protocols = arena_array(arena, struct classic_protocol, member->protocol_count),
        .protocol_count = member->protocol_count,
        .rebalance_timeout_ms = member->rebalance_timeout_ms,
        .session_timeout_ms = member->session_timeout_ms,
    };
    for (int i = 0; i < member->protocol_count; i++)
        old->protocols[i] = (struct classic_protocol){arena_slice(arena, member->protocols[i].name), arena_slice(arena, member->protocols[i].metadata)};
    return old;
}

/* The others go on as they were. From version 9 on a leader is told that its members are assigned already (KIP-814);
 * earlier ones are made followers, by the name of the leader that was. */
static void answer_in_stable(struct classic_join *join, const struct classic_member *member, struct slice old_leader) {
    bool skips = join->version >= SKIP_ASSIGNMENT_VERSION && classic_is_leader(member->group, member);
    classic_fill_join(join, member->group, member, skips);
    join->response.skip_assignment = skips;
    if (join->version < SKIP_ASSIGNMENT_VERSION)
        join->response.leader = old_leader;
}

static void replace_static(struct classic_join *join, struct classic_member *member, struct slice id) {
    struct classic_group *group = member->group;
    struct slice old_leader = arena_slice(join->op->arena, group->leader);
    struct replacement *old = remember(join, member, id);
    classic_fail_join(member, KAFKA_FENCED_INSTANCE_ID, true);
    classic_fail_sync(member, KAFKA_FENCED_INSTANCE_ID);
    classic_member_rename(member, id);
    classic_session_start(member);
    update_member(join, member);
    if (group->state != CLASSIC_STABLE) {
        classic_park_join(member, join);
        classic_rebalance_or_complete(group, join->op, "a static member came back");
    } else if (slice_eq(classic_vote(group), group->protocol)) {
        classic_add_record(group, join->op);
        join->op->undo = undo_replacement;
        join->op->undo_arg = old;
        answer_in_stable(join, member, old_leader);
    } else {
        classic_park_join(member, join);
        classic_rebalance(group, join->op, "a static member came back and changes the protocol");
    }
}

/* ---- who comes --------------------------------------------------------------------------------------------------------------------------- */

static struct slice new_id(struct classic_join *join, const struct classic_group *group) {
    struct slice base = join->request->group_instance_id.ptr ? join->request->group_instance_id : join->client_id;
    struct uuid u;
    coordinator_uuid(group->group.groups->coordinator, &u);
    char *id = arena_printf(join->op->arena, "%.*s-%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, SLICE_FMT(base), u.msb >> 32,
                            u.msb >> 16 & 0xffff, u.msb & 0xffff, u.lsb >> 48, u.lsb & 0xffffffffffff);
    return slice_str(id);
}

static void join_as_new(struct classic_join *join, struct classic_group *group) {
    const struct join_group_request *request = join->request;
    if (!classic_supports(group, request->protocol_type, offered(join), request->protocols_count)) {
        refuse(join, KAFKA_INCONSISTENT_GROUP_PROTOCOL, SLICE_EMPTY);
        return;
    }
    struct slice id = new_id(join, group);
    struct classic_member *holder = request->group_instance_id.ptr ? classic_member_by_instance(group, request->group_instance_id) : NULL;
    if (id.size > STRING_SIZE_MAX) { /* no record could hold it */
        refuse(join, KAFKA_UNKNOWN_SERVER_ERROR, SLICE_EMPTY);
    } else if (holder) {
        replace_static(join, holder, id);
    } else if (request->group_instance_id.ptr || join->version < KNOWN_MEMBER_ID_VERSION) {
        add_member(join, group, id);
    } else {
        classic_pending_add(group, id, request->session_timeout_ms);
        refuse(join, KAFKA_MEMBER_ID_REQUIRED, id);
    }
}

static void answer_current(struct classic_join *join, const struct classic_member *member) {
    const struct classic_group *group = member->group;
    classic_fill_join(join, group, member, group->state == CLASSIC_COMPLETING && classic_is_leader(group, member));
}

static void join_as_known(struct classic_join *join, struct classic_group *group) {
    const struct join_group_request *request = join->request;
    if (!classic_supports(group, request->protocol_type, offered(join), request->protocols_count)) {
        refuse(join, KAFKA_INCONSISTENT_GROUP_PROTOCOL, request->member_id);
        return;
    }
    if (classic_pending_find(group, request->member_id)) {
        if (request->group_instance_id.ptr) /* a static member is never told to come back */
            refuse(join, KAFKA_UNKNOWN_SERVER_ERROR, SLICE_EMPTY);
        else
            add_member(join, group, request->member_id);
        return;
    }
    int16_t error = classic_check_member(group, request->member_id, request->group_instance_id);
    if (error) {
        refuse(join, error, request->member_id);
        return;
    }
    struct classic_member *member = classic_member_find(group, request->member_id);
    bool changed = !offers_the_same(member, request);
    if (group->state == CLASSIC_PREPARING)
        rejoin(join, member, "");
    else if (changed)
        rejoin(join, member, "a member joins again with other metadata");
    else if (group->state == CLASSIC_STABLE && classic_is_leader(group, member))
        rejoin(join, member, "the leader joins again"); /* what it assigns may have changed */
    else
        answer_current(join, member); /* its first answer may have been lost */
}

/* ---- may it come ---------------------------------------------------------------------------------------------------------------------------- */

/* Members that wait are counted while a rebalance goes on: the last ones to come back are those that are too many. */
static bool has_room(const struct classic_group *group, const struct classic_member *member) {
    int64_t size_max = coordinator_config_int(group->group.groups->coordinator, "group.max.size");
    if (group->state == CLASSIC_EMPTY)
        return true;
    if (group->state == CLASSIC_PREPARING)
        return (member && member->join) || group->members_joining < size_max;
    return member || group->member_count < size_max;
}

static void turn_away(struct classic_join *join, struct classic_group *group, struct classic_member *member) {
    struct classic_pending *pending = classic_pending_find(group, join->request->member_id);
    if (member)
        classic_member_remove(member);
    if (pending)
        classic_pending_remove(pending);
    refuse(join, KAFKA_GROUP_MAX_SIZE_REACHED, SLICE_EMPTY);
}

static void join_classic(struct classic_join *join, struct classic_group *group) {
    struct classic_member *member = classic_member_find(group, join->request->member_id);
    if (!has_room(group, member))
        turn_away(join, group, member);
    else if (!join->request->member_id.size)
        join_as_new(join, group);
    else
        join_as_known(join, group);
}

void classic_join(struct groups *groups, struct classic_join *join) {
    struct group *found = groups_find(groups, join->request->group_id);
    struct classic_group *group = classic_of(found);
    if (group) {
        join_classic(join, group);
        return;
    }
    if (found && (found->methods->type == GROUP_SHARE || !found->methods->is_empty(found))) {
        if (found->methods->classic_join)
            found->methods->classic_join(found, join);
        else
            refuse(join, KAFKA_INCONSISTENT_GROUP_PROTOCOL, SLICE_EMPTY);
        return;
    }
    if (join->request->member_id.size) {
        refuse(join, KAFKA_UNKNOWN_MEMBER_ID, join->request->member_id);
        return;
    }
    if (found) { /* an empty group of another kind gives its id away */
        join->op->applied = true;
        found->methods->add_tombstones(found, join->op);
        groups_remove(found);
    }
    group = classic_group_create(groups, join->request->group_id);
    join_classic(join, group);
    classic_add_bare_record(group, join->op);
}
