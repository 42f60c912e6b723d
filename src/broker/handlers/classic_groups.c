/* JoinGroup, SyncGroup, Heartbeat, LeaveGroup, DescribeGroups: requests of the classic group protocol, on their way to
 * the coordinator of their group (src/coordinator/classic.h) and back. A join or sync that waits for others parks there,
 * also when its connection has gone: what ends the wait answers nobody then. */
#include <arpa/inet.h>
#include "broker/coordinators.h"
#include "broker/handlers/handlers.h"
#include "coordinator/classic.h"
#include "protocol/describe_groups_request.h"
#include "protocol/heartbeat_response.h"

enum {
    JOIN_NULL_PROTOCOL_VERSION = 7,  /* from here on "no protocol" is null, before it is "" */
    SYNC_PROTOCOL_VERSION = 5,       /* from here on type and name must be given */
    LEAVE_BATCH_VERSION = 3,
    DESCRIBE_OPERATIONS_VERSION = 3,
    PROTOCOLS_MAX = 200,             /* of a member: they are compared with those of all others; clients have a few */
};

/* As Java writes an address: IPv6 in full, without leading zeros. */
struct slice client_host(const struct request *request, struct arena *arena) {
    const char *peer = request->conn ? request->conn->peer : "";
    struct in6_addr v6;
    if (inet_pton(AF_INET6, peer, &v6) != 1)
        return slice_str(arena_printf(arena, "/%s", peer));
    if (IN6_IS_ADDR_V4MAPPED(&v6))
        return slice_str(arena_printf(arena, "/%u.%u.%u.%u", v6.s6_addr[12], v6.s6_addr[13], v6.s6_addr[14], v6.s6_addr[15]));
    unsigned units[8];
    for (int i = 0; i < 8; i++)
        units[i] = load_be16(v6.s6_addr + 2 * i);
    return slice_str(arena_printf(arena, "/%x:%x:%x:%x:%x:%x:%x:%x", units[0], units[1], units[2], units[3], units[4], units[5], units[6], units[7]));
}

/* ---- JoinGroup --------------------------------------------------------------------------------------------------------------------- */

struct join_visit {
    struct coordinator_visit visit;
    struct join_group_request message;
    struct classic_join join;
};

static void answer_join(struct request *request, struct join_group_response *response) {
    bool null_is_none = request->header.version >= JOIN_NULL_PROTOCOL_VERSION;
    if (!response->protocol_name.size)
        response->protocol_name = null_is_none ? SLICE_NULL : SLICE_EMPTY;
    request_answer(request, join_group, response);
}

static void decide_join(struct coordinator_op *op, void *state) {
    struct join_visit *join = container_of(op, struct join_visit, visit.op);
    classic_join(state, &join->join);
}

static void join_done(struct coordinator_visit *visit, int16_t error) {
    struct join_visit *join = container_of(visit, struct join_visit, visit);
    if (error) {
        join_group_response_init(&join->join.response);
        join->join.response.error_code = error;
    }
    answer_join(visit->request, &join->join.response);
}

static int16_t check_join(const struct request *request, const struct join_group_request *message) {
    const struct broker_config *config = request->shard->broker->config;
    if (!message->group_id.size)
        return KAFKA_INVALID_GROUP_ID;
    if (message->session_timeout_ms < broker_config_int(config, "group.min.session.timeout.ms") ||
        message->session_timeout_ms > broker_config_int(config, "group.max.session.timeout.ms"))
        return KAFKA_INVALID_SESSION_TIMEOUT;
    return message->protocols_count > PROTOCOLS_MAX ? KAFKA_INCONSISTENT_GROUP_PROTOCOL : 0;
}

void handle_join_group(struct request *request) {
    struct join_visit *join = arena_new(&request->arena, struct join_visit);
    if (!request_decode(request, join_group, &join->message))
        return;
    join_group_response_init(&join->join.response);
    int16_t error = check_join(request, &join->message);
    if (error) {
        join->join.response.error_code = error;
        join->join.response.member_id = join->message.member_id;
        answer_join(request, &join->join.response);
        return;
    }
    join->join.op = &join->visit.op;
    join->join.request = &join->message;
    join->join.version = request->header.version;
    join->join.client_id = request->header.client_id.ptr ? request->header.client_id : SLICE_EMPTY;
    join->join.client_host = client_host(request, &request->arena);
    join->visit.op.decide = decide_join;
    join->visit.request = request;
    join->visit.answer = join_done;
    coordinator_visit(&join->visit, COORDINATOR_GROUP, join->message.group_id, false);
}

/* ---- SyncGroup --------------------------------------------------------------------------------------------------------------------- */

struct sync_visit {
    struct coordinator_visit visit;
    struct sync_group_request message;
    struct classic_sync sync;
};

static void decide_sync(struct coordinator_op *op, void *state) {
    struct sync_visit *sync = container_of(op, struct sync_visit, visit.op);
    classic_sync(state, &sync->sync);
}

static void sync_done(struct coordinator_visit *visit, int16_t error) {
    struct sync_visit *sync = container_of(visit, struct sync_visit, visit);
    if (error) {
        sync_group_response_init(&sync->sync.response);
        sync->sync.response.error_code = error;
    }
    request_answer(visit->request, sync_group, &sync->sync.response);
}

void handle_sync_group(struct request *request) {
    struct sync_visit *sync = arena_new(&request->arena, struct sync_visit);
    if (!request_decode(request, sync_group, &sync->message))
        return;
    sync_group_response_init(&sync->sync.response);
    sync->visit.request = request;
    if (request->header.version >= SYNC_PROTOCOL_VERSION && (!sync->message.protocol_type.ptr || !sync->message.protocol_name.ptr)) {
        sync_done(&sync->visit, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    if (!sync->message.group_id.size) {
        sync_done(&sync->visit, KAFKA_INVALID_GROUP_ID);
        return;
    }
    sync->sync.op = &sync->visit.op;
    sync->sync.request = &sync->message;
    sync->visit.op.decide = decide_sync;
    sync->visit.answer = sync_done;
    coordinator_visit(&sync->visit, COORDINATOR_GROUP, sync->message.group_id, false);
}

/* ---- Heartbeat --------------------------------------------------------------------------------------------------------------------- */

struct heartbeat_visit {
    struct coordinator_visit visit;
    struct heartbeat_request message;
    int16_t error;
};

static void decide_heartbeat(struct coordinator_op *op, void *state) {
    struct heartbeat_visit *heartbeat = container_of(op, struct heartbeat_visit, visit.op);
    heartbeat->error = classic_heartbeat(state, &heartbeat->message);
}

/* While the group is loaded, its members need not know. */
static void heartbeat_done(struct coordinator_visit *visit, int16_t error) {
    struct heartbeat_response response;
    heartbeat_response_init(&response);
    if (error)
        response.error_code = error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS ? 0 : error;
    else
        response.error_code = container_of(visit, struct heartbeat_visit, visit)->error;
    request_answer(visit->request, heartbeat, &response);
}

void handle_heartbeat(struct request *request) {
    struct heartbeat_visit *heartbeat = arena_new(&request->arena, struct heartbeat_visit);
    if (!request_decode(request, heartbeat, &heartbeat->message))
        return;
    heartbeat->visit.request = request;
    if (!heartbeat->message.group_id.size) {
        heartbeat_done(&heartbeat->visit, KAFKA_INVALID_GROUP_ID);
        return;
    }
    heartbeat->visit.op.decide = decide_heartbeat;
    heartbeat->visit.answer = heartbeat_done;
    coordinator_visit(&heartbeat->visit, COORDINATOR_GROUP, heartbeat->message.group_id, false);
}

/* ---- LeaveGroup -------------------------------------------------------------------------------------------------------------------- */

struct leave_visit {
    struct coordinator_visit visit;
    struct leave_group_request message;
    struct leave_group_request_member_identity only; /* of the versions that know one */
    struct classic_leave leave;
};

static void decide_leave(struct coordinator_op *op, void *state) {
    struct leave_visit *leave = container_of(op, struct leave_visit, visit.op);
    classic_leave(state, &leave->leave);
}

static void leave_done(struct coordinator_visit *visit, int16_t error) {
    struct leave_visit *leave = container_of(visit, struct leave_visit, visit);
    struct leave_group_response *response = &leave->leave.response;
    if (error) {
        leave_group_response_init(response);
        response->error_code = error;
    } else if (visit->request->header.version < LEAVE_BATCH_VERSION) {
        if (!response->error_code)
            response->error_code = response->members[0].error_code;
        response->members_count = 0;
    }
    request_answer(visit->request, leave_group, response);
}

void handle_leave_group(struct request *request) {
    struct leave_visit *leave = arena_new(&request->arena, struct leave_visit);
    if (!request_decode(request, leave_group, &leave->message))
        return;
    leave_group_response_init(&leave->leave.response);
    leave->visit.request = request;
    if (request->header.version < LEAVE_BATCH_VERSION) {
        leave_group_request_member_identity_init(&leave->only);
        leave->only.member_id = leave->message.member_id;
        leave->message.members = &leave->only;
        leave->message.members_count = 1;
    }
    if (!leave->message.group_id.size) {
        leave_done(&leave->visit, KAFKA_INVALID_GROUP_ID);
        return;
    }
    leave->leave.op = &leave->visit.op;
    leave->leave.request = &leave->message;
    leave->visit.op.decide = decide_leave;
    leave->visit.answer = leave_done;
    coordinator_visit(&leave->visit, COORDINATOR_GROUP, leave->message.group_id, false);
}

/* ---- DescribeGroups ------------------------------------------------------------------------------------------------------------------ */

struct describe {
    struct coordinator_visit_each each;
    struct describe_groups_request message;
    struct describe_groups_response response;
};

static void look(struct coordinator_visit_each *each, int i, void *state, struct arena *arena) {
    struct describe *describe = container_of(each, struct describe, each);
    classic_describe(state, each->ids[i], each->request->header.version, arena, &describe->response.groups[i]);
}

static void told(struct coordinator_visit_each *each, int i, int16_t error) {
    struct describe *describe = container_of(each, struct describe, each);
    struct describe_groups_response_described_group *group = &describe->response.groups[i];
    if (error) {
        describe_groups_response_described_group_init(group);
        group->group_id = each->ids[i];
        group->error_code = error;
    } else if (!group->error_code && describe->message.include_authorized_operations &&
               each->request->header.version >= DESCRIBE_OPERATIONS_VERSION) {
        group->authorized_operations = GROUP_OPERATIONS_ALL;
    }
}

static void described(struct coordinator_visit_each *each) {
    request_answer(each->request, describe_groups, &container_of(each, struct describe, each)->response);
}

void handle_describe_groups(struct request *request) {
    struct describe *describe = arena_new(&request->arena, struct describe);
    const struct describe_groups_request *message = &describe->message;
    if (!request_decode(request, describe_groups, &describe->message))
        return;
    describe_groups_response_init(&describe->response);
    describe->response.groups = arena_array(&request->arena, struct describe_groups_response_described_group, message->groups_count + 1);
    describe->response.groups_count = message->groups_count;
    describe->each = (struct coordinator_visit_each){
        .request = request, .ids = message->groups, .count = message->groups_count, .look = look, .told = told, .done = described};
    coordinator_visit_each(&describe->each, COORDINATOR_GROUP);
}
