/* A streams group as its parts see it. See streams.h for who does what. */
#ifndef COORDINATOR_STREAMS_GROUP_H
#define COORDINATOR_STREAMS_GROUP_H

#include "coordinator/classic.h"
#include "coordinator/streams.h"
#include "coordinator/streams_assign.h"
#include "coordinator/streams_description.h"
#include "coordinator/streams_settings.h"
#include "protocol/streams_group_member_metadata_value.h"
#include "protocol/streams_group_metadata_value.h"

enum streams_member_state { /* numbered as in records */
    STREAMS_MEMBER_UNKNOWN = 0,
    STREAMS_MEMBER_STABLE = 1,
    STREAMS_MEMBER_UNREVOKED = 2,  /* has to give up tasks before it gets new ones */
    STREAMS_MEMBER_UNRELEASED = 3, /* waits for tasks that others still have */
};
enum { STREAMS_EPOCH_LEFT = -1, STREAMS_EPOCH_AWAY = -2 /* a static member, within its session */ };

typedef struct streams_group_member_metadata_value streams_member_metadata;

/* Where a member is on its way to the target. */
struct streams_position {
    int32_t epoch, previous_epoch;
    enum streams_member_state state;
    struct streams_roles assigned, pending; /* pending: to be given up */
};

struct streams_offsets { /* one block */
    int count;
    struct streams_task_offset offsets[];
};

struct streams_member {
    struct map_node node;               /* of group->members */
    struct list all;                    /* of group->all_members */
    struct streams_group *group;
    struct slice id;                    /* owned */
    uint8_t *metadata_bytes;            /* the record's value; NULL: not replayed yet. Owned */
    size_t metadata_size;
    streams_member_metadata metadata;   /* borrows from it, but for the arrays */
    int32_t epoch, previous_epoch;
    enum streams_member_state state;
    struct streams_roles *assigned, *pending, *target; /* owned; NULL: none, of target: no record of it */
    struct streams_offsets *offsets, *end_offsets;     /* told by heartbeats; NULL: none. Owned */
    struct classic_session session;
    struct classic_timer revocation_timer;
    int32_t revocation_epoch;           /* the member's when the timer was started */
};

struct streams_group {
    struct group group;
    struct map members;                 /* struct streams_member */
    struct list all_members;
    int32_t epoch, target_epoch;
    int64_t target_ms;                  /* when the target was computed; 0: not known */
    int64_t metadata_hash;
    int32_t validated_epoch;            /* of the topology; -1: it is not valid */
    struct streams_configs configs;     /* of the last epoch; owned */
    int32_t stored_description, failed_description; /* topology epochs, as the group's record has them; -1: none */
    struct streams_description *description;        /* NULL: none. Owned */
    streams_topology *topology;         /* NULL: none */
    struct arena topology_arena;
    /* soft */
    struct streams_configured configured;
    bool is_configured;
    struct arena configured_arena;
    int64_t image_offset;               /* of the image that metadata_hash was compared with; -1: none */
    int32_t endpoint_epoch;
    struct slice shutdown_member;       /* owned; null: nobody asked */
    struct classic_timer delay_timer;   /* first joins gather */
    bool is_replacing;                  /* the member to come takes the place of the one that goes */
    struct slice joining;               /* owned; null: none. Its member is to come with these offsets */
    struct streams_offsets *joining_offsets, *joining_end_offsets;
    struct streams_asked asked;         /* for the description */
};

static inline struct streams_group *streams_group_of(const struct group *group) {
    return container_of((struct group *)group, struct streams_group, group);
}
#define streams_each_member(member, owner)                                                                                    \
    for (struct list *member##_node = (owner)->all_members.next;                                                             \
         member##_node != &(owner)->all_members; member##_node = member##_node->next)                                        \
        for (struct streams_member *member = list_entry(member##_node, struct streams_member, all); member; member = NULL)

/* ---- streams_group.c ------------------------------------------------------------------------------------------------------------ */

void streams_group_init(struct streams_group *group);       /* as a new one is; belongs to nobody yet */
struct streams_group *streams_group_create(struct groups *groups);
struct streams_member *streams_find_member(const struct streams_group *group, struct slice id);      /* NULL: none */
struct streams_member *streams_find_instance(const struct streams_group *group, struct slice id);    /* NULL: none */
struct streams_member *streams_member_create(struct streams_group *group, struct slice id);
void streams_member_destroy(struct streams_member *member);
void streams_group_drop_configured(struct streams_group *group);
const struct streams_roles *streams_or_none(const struct streams_roles *roles);
struct streams_position streams_position_of(const struct streams_member *member);
struct streams_offsets *streams_offsets_own(const struct streams_group_heartbeat_request_task_offset *offsets, int count);
void streams_start_session(struct streams_member *member);

/* ---- streams_records.c ---------------------------------------------------------------------------------------------------------- */

/* Records of a decision: added to the operation when nothing can go wrong any more. */
struct streams_records {
    struct arena *arena;
    struct slice group_id;
    struct streams_record_pair {
        struct slice key, value;
        struct streams_record_pair *next;
    } *first, **last;
};
struct streams_records streams_records_create(struct arena *arena, struct slice group_id);
void streams_records_add_to(const struct streams_records *records, struct coordinator_op *op);
struct slice streams_metadata_value(struct arena *arena, const streams_member_metadata *metadata); /* framed, as kept by members */
void streams_record_member(struct streams_records *records, struct slice member, struct slice value);
/* What a group's record says of it; its epoch, hash and validity may be new. */
struct streams_epoch {
    int32_t epoch, validated_epoch;
    int64_t metadata_hash;
    struct streams_configs configs;
    int32_t stored_description, failed_description;
};
struct streams_epoch streams_epoch_of(const struct streams_group *group);
void streams_record_epoch(struct streams_records *records, const struct streams_epoch *epoch);
void streams_record_topology(struct streams_records *records, const streams_topology *topology);
void streams_record_target(struct streams_records *records, struct slice member, const struct streams_roles *target);
void streams_record_target_epoch(struct streams_records *records, int32_t epoch, int64_t timestamp_ms);
void streams_record_position(struct streams_records *records, struct slice member, const struct streams_position *position);
void streams_record_tombstone(struct streams_records *records, int16_t type, struct slice member); /* of a group: member null */
void streams_record_classic_tombstone(struct streams_records *records);
enum { STREAMS_KEY_EPOCH = 17, STREAMS_KEY_MEMBER = 19, STREAMS_KEY_TARGET_EPOCH = 20, STREAMS_KEY_TARGET = 21, STREAMS_KEY_POSITION = 22, STREAMS_KEY_TOPOLOGY = 23 };
void streams_record_description(struct streams_records *records, struct slice value); /* null: a tombstone */

/* ---- streams_reconcile.c ---------------------------------------------------------------------------------------------------------- */

/* Who else has tasks: all members but the one that is looked at. */
struct streams_step {
    struct arena *arena;
    const struct streams_group *group;
    struct slice member, process_id;
    const struct streams_roles *target;
    int32_t target_epoch;
    const struct streams_roles *owned;  /* as reported; NULL: not told */
};
/* The next position. false: a state that is not known, and the member has tasks: it is fenced. */
bool streams_reconcile(const struct streams_step *step, const struct streams_position *position, struct streams_position *ret_next);

/* ---- streams_target.c ------------------------------------------------------------------------------------------------------------ */

/* A member as the assignment is to see it, where that is not as it stands in the group. */
struct streams_updated {
    struct slice id, process_id;
    const struct streams_roles *assigned;
    const struct streams_roles *target;     /* has until now; NULL: none */
    const struct streams_member *member;    /* of the group; or the one whose place it takes; NULL: it is new */
};
/* Adds records of the targets that change, and of the epoch. `updated` may be NULL. false: nobody can have the tasks. */
bool streams_compute_target(struct streams_records *records, const struct streams_group *group, const struct streams_configured *configured,
                            int32_t epoch, int standby_replicas, int64_t now_ms, const struct streams_updated *updated, struct streams_roles *ret_target);

/* ---- streams_leave.c -------------------------------------------------------------------------------------------------------------- */

void streams_leave(struct groups *groups, struct coordinator_op *op, struct streams_heartbeat *heartbeat);
void streams_request_shutdown(struct streams_group *group, struct slice member);
void streams_session_is_due(struct classic_timer *timer, struct coordinator_op *op);
void streams_revocation_is_due(struct classic_timer *timer, struct coordinator_op *op);
void streams_delay_is_due(struct classic_timer *timer, struct coordinator_op *op);
/* Answers with an error, and nothing else. */
void streams_refuse(struct streams_heartbeat *heartbeat, int16_t error, const char *message);
/* NULL, with the message to answer: the group is not there, or is of another kind. */
struct streams_group *streams_find_group(const struct groups *groups, struct slice id, struct arena *arena, const char **ret_message);

#endif
