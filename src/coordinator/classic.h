/* Classic groups: members choose a protocol together and one of them, the leader, assigns (JoinGroup, SyncGroup).
 *
 *            first join                  all have joined, or time is up               the leader's sync
 *   EMPTY -----------------> PREPARING ------------------------------> COMPLETING ----------------------> STABLE
 *     ^                       | ^  ^                                        |                                |
 *     +----- all have gone ---+ |  +--- a join that changes something, ---+                                |
 *                               |      a sync that did not come                                             |
 *                               +--- a member goes, or joins again ------------------------------------------+
 *
 * PREPARING    joins park until the generation is complete (classic_rebalance.c); what comes else is told to join.
 * COMPLETING   the generation and its leader are known; syncs park until the leader's (classic_sync.c).
 * STABLE       every member has its assignment; the group's record says so.
 *
 * classic.c the group and its members; classic_record.c the record, replay, methods; classic_join.c, classic_sync.c,
 * classic_leave.c (heartbeats too) the requests; classic_rebalance.c what they and timers set off.
 *
 * The state is ahead of what the record tells (pending ids, parked requests), so operations of this kind put the state in
 * place themselves (op->applied). When an append fails, the coordinator loads again: members are back at the generation
 * that is on the device. Invariants:
 * G1 members_joining counts the members with a parked join.  G2 a parked sync only in COMPLETING.
 * G3 STABLE and COMPLETING have members and a protocol that all of them support.  G4 EMPTY has no members. */
#ifndef COORDINATOR_CLASSIC_H
#define COORDINATOR_CLASSIC_H

#include "coordinator/groups.h"
#include "protocol/describe_groups_response.h"
#include "protocol/heartbeat_request.h"
#include "protocol/join_group_request.h"
#include "protocol/join_group_response.h"
#include "protocol/leave_group_request.h"
#include "protocol/leave_group_response.h"
#include "protocol/sync_group_request.h"
#include "protocol/sync_group_response.h"

enum classic_state { CLASSIC_EMPTY, CLASSIC_PREPARING, CLASSIC_COMPLETING, CLASSIC_STABLE };

struct classic_protocol {
    struct slice name, metadata;
};

/* A timer whose work is an operation: it may have to wait, and is then found in groups->classic_due; or not, if its
 * owner has gone meanwhile. */
struct classic_timer {
    struct timer timer;
    struct list due;
    void (*run)(struct classic_timer *timer, struct coordinator_op *op);
    struct groups *groups;
};

void classic_timer_init(struct classic_timer *timer, struct groups *groups, void (*run)(struct classic_timer *timer, struct coordinator_op *op));
void classic_timer_start(struct classic_timer *timer, int64_t delay_ms); /* restarts a running one */
void classic_timer_stop(struct classic_timer *timer);

/* When silence is too long. A heartbeat moves the deadline only; the timer finds out when it fires. */
struct classic_session {
    struct classic_timer timer;
    uint64_t timeout_ns, deadline_ns, armed_ns;
};

struct classic_member {
    struct map_node by_id, by_instance;
    struct list all;                 /* of group->members */
    struct classic_group *group;
    struct slice id;                 /* owned, as are all slices here */
    struct slice instance_id;        /* null: a dynamic member */
    struct slice client_id, client_host;
    int32_t rebalance_timeout_ms, session_timeout_ms;
    struct classic_protocol *protocols; /* as the member prefers them; one block with what they name */
    int protocol_count;
    struct slice assignment;         /* empty: none */
    struct classic_join *join;       /* parked; NULL: it does not wait */
    struct classic_sync *sync;       /* parked */
    bool is_new;                     /* has not been in a generation: may be expired while it waits */
    bool sync_pending;               /* in this generation it has not asked for its assignment */
    struct classic_session session;
};

/* An id that was handed out and has not joined. */
struct classic_pending {
    struct map_node node;
    struct classic_group *group;
    struct slice id; /* owned */
    struct classic_session session;
};

/* How many members offer a protocol. */
struct classic_support {
    struct list node;
    struct slice name; /* owned */
    int members;
};

struct classic_group {
    struct group group;
    enum classic_state state, previous;
    int64_t state_since_ms;          /* -1: not known (old records) */
    struct slice protocol_type;      /* null: never had members, a "simple" group; kept when it empties */
    struct slice protocol;           /* null: none chosen */
    struct slice leader;             /* member id; null: none */
    int32_t generation;
    struct list members;             /* oldest first */
    struct map members_by_id, members_by_instance, pending;
    int member_count, members_joining, syncs_pending;
    struct list support;             /* struct classic_support, of all members */
    bool topics_known;               /* what the members of a generation subscribe to */
    struct slice *topics;            /* sorted, one block with the names */
    int topic_count;
    bool newcomer;                   /* somebody joined during the initial delay */
    struct classic_timer join_timer; /* PREPARING: the initial delay, or the rebalance timeout */
    int32_t delay_ms, delay_left_ms; /* the initial delay under way; -1: it is the rebalance timeout */
    struct classic_timer sync_timer; /* COMPLETING, STABLE: who has not asked for its assignment by then goes */
};

static inline struct classic_group *classic_of(struct group *group) { /* NULL: another kind, or none */
    return group && group->methods->type == GROUP_CLASSIC ? container_of(group, struct classic_group, group) : NULL;
}

/* ---- groups and members (classic.c) ----------------------------------------------------------------------------------------- */

/* A new Empty group under an id that is free. Nothing is written: it lives in memory until something is. */
struct classic_group *classic_group_create(struct groups *groups, struct slice id);
/* The same, for who will put it in another group's place with groups_replace(). */
struct classic_group *classic_group_create_detached(struct groups *groups);
bool classic_group_is_simple(const struct classic_group *group);

#define classic_each_member(member, group)                                                                        \
    for (struct classic_member *member = list_entry((group)->members.next, struct classic_member, all);           \
         &member->all != &(group)->members; member = list_entry(member->all.next, struct classic_member, all))

/* NULL: none. Pending ids are no members. */
struct classic_member *classic_member_find(const struct classic_group *group, struct slice id);
struct classic_member *classic_member_by_instance(const struct classic_group *group, struct slice instance_id);
bool classic_is_leader(const struct classic_group *group, const struct classic_member *member);
/* Kafka's check of who a request says it is: 0, UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID. */
int16_t classic_check_member(const struct classic_group *group, struct slice id, struct slice instance_id);
/* What a member offers under a name; null: it does not offer it. */
struct slice classic_member_metadata(const struct classic_member *member, struct slice protocol);

struct classic_member_spec { /* borrowed during the call */
    struct slice id, instance_id, client_id, client_host, protocol_type;
    int32_t rebalance_timeout_ms, session_timeout_ms;
    const struct classic_protocol *protocols;
    int protocol_count;
};
/* The first member decides the protocol type and leads. Its session starts with classic_session_start(). */
struct classic_member *classic_member_add(struct classic_group *group, const struct classic_member_spec *spec);
/* Its parked requests are the caller's business before. A leader's place goes to the oldest member. */
void classic_member_remove(struct classic_member *member);
void classic_member_set_protocols(struct classic_member *member, const struct classic_protocol *protocols, int count);
void classic_member_assign(struct classic_member *member, struct slice assignment);
/* Another id takes the static member's place: instance, assignment, leadership, client. */
void classic_member_rename(struct classic_member *member, struct slice id);

bool classic_supports(const struct classic_group *group, struct slice protocol_type, const struct classic_protocol *protocols, int count);
/* The protocol that all support and most prefer; null: there is none. */
struct slice classic_vote(const struct classic_group *group);
void classic_set_protocol(struct classic_group *group, struct slice protocol);
void classic_set_type(struct classic_group *group, struct slice protocol_type);
void classic_set_leader(struct classic_group *group, struct slice member_id);
/* Reads the topics out of the members' metadata, if this is a group of consumers. */
void classic_find_topics(struct classic_group *group);
void classic_enter(struct classic_group *group, enum classic_state state);
/* The session lasts that long from now, whatever it was. */
void classic_session_extend(struct classic_session *session, int64_t timeout_ms);
/* Asked when its timer fires. False: there was a sign of life since the timer was set; it runs on. */
bool classic_session_is_over(struct classic_session *session);
static inline void classic_session_start(struct classic_member *member) {
    classic_session_extend(&member->session, member->session_timeout_ms);
}

/* ---- record (classic_record.c) ------------------------------------------------------------------------------------------------ */

/* The group as it is, with its members' assignments; the operation is marked as applied. */
void classic_add_record(struct classic_group *group, struct coordinator_op *op);
/* Of a group that was made just now and has nothing to say. */
void classic_add_bare_record(struct classic_group *group, struct coordinator_op *op);

/* ---- rebalances (classic_rebalance.c) ------------------------------------------------------------------------------------------ */

/* From EMPTY, STABLE or COMPLETING; may complete at once. `why` is for the log. */
void classic_rebalance(struct classic_group *group, struct coordinator_op *op, const char *why);
/* rebalance() in the states it is for, else maybe_complete(). */
void classic_rebalance_or_complete(struct classic_group *group, struct coordinator_op *op, const char *why);
/* The member's parked join or sync, if any, is answered with an error (its own id, or none, in a join's answer). */
void classic_fail_join(struct classic_member *member, int16_t error, bool with_id);
void classic_fail_sync(struct classic_member *member, int16_t error);
/* Everybody's: the group is about to become one of another kind. */
void classic_fail_all(struct classic_group *group, int16_t error);
/* A group of another kind became this one (its members added, assigned; in its predecessor's place by groups_replace()):
 * votes, writes the record, is Stable at that generation and starts the sessions. */
void classic_stabilize(struct classic_group *group, struct coordinator_op *op, int32_t generation);

/* ---- requests. Each runs in decide() and leaves its answer in `response`, which names what lies in the op's arena. --------------- */

struct classic_join {
    struct coordinator_op *op;
    const struct join_group_request *request;
    int16_t version;
    struct slice client_id, client_host; /* "/127.0.0.1" */
    struct join_group_response response; /* initialised by the caller */
};
struct classic_sync {
    struct coordinator_op *op;
    const struct sync_group_request *request;
    struct sync_group_response response;
};
struct classic_leave {
    struct coordinator_op *op;
    const struct leave_group_request *request;
    struct leave_group_response response; /* members[] with ids and errors; versions below 3 are the handler's business */
};
/* Each finds the group, and turns to its kind: group->methods->classic_* when it is no classic one. */
void classic_join(struct groups *groups, struct classic_join *join);
void classic_sync(struct groups *groups, struct classic_sync *sync);
int16_t classic_heartbeat(struct groups *groups, const struct heartbeat_request *request);
void classic_leave(struct groups *groups, struct classic_leave *leave);
/* What DescribeGroups says; unknown ids and other kinds are Dead. Everything is copied into the arena. */
void classic_describe(struct groups *groups, struct slice id, int16_t version, struct arena *arena,
                      struct describe_groups_response_described_group *ret_described);

#endif
