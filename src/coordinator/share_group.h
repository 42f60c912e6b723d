/* Share groups (KIP-932): who is a member, which partitions each may fetch from, and which partitions have a state with the
 * share coordinator (share_state.h).
 *
 * share_group.c            the group and its members; what other kinds ask of a group
 * share_group_replay.c     records into state           share_group_records.c   state into records
 * share_group_heartbeat.c  joins, heartbeats, leaves, sessions that end
 * share_group_assign.c     the assignor `simple`
 * share_group_init.c       which partitions have a state: initialized, deleted, altered
 * share_group_describe.c   ShareGroupDescribe
 *
 * A partition is given to members only when its state is there. The heartbeat that meets one without says so in its answer
 * (struct share_init), the broker asks the share coordinator, and comes back with share_group_initialized():
 *
 *   (unknown) --heartbeat, alter--> initializing --done--> initialized --DeleteShareGroupOffsets--> deleting --done--> (unknown)
 *                                        +-----failed, or nobody came back for a while-----> (unknown)
 *
 * Everything runs in decide() of an operation (coordinator.h). */
#ifndef COORDINATOR_SHARE_GROUP_H
#define COORDINATOR_SHARE_GROUP_H

#include "coordinator/groups.h"
#include "protocol/share_group_describe_response.h"
#include "protocol/share_group_heartbeat_request.h"
#include "protocol/share_group_heartbeat_response.h"

/* Partitions whose state the share coordinator is to make or drop. In the operation's arena. */
struct share_place {
    struct uuid topic_id;
    int32_t partition;
    int64_t start_offset; /* to initialize with: -1, or what an administrator wants */
};
struct share_init {
    struct share_place *places;
    int count;
    int32_t state_epoch;
    bool only_missing; /* a state that is there stays as it is */
};

struct share_client { /* as members are described: host is "/127.0.0.1" */
    struct slice id, host;
};
/* What is wrong with a heartbeat whatever the group is: a Kafka code and its message, 0 when nothing is. */
int16_t share_check_heartbeat(const struct share_group_heartbeat_request *request, const char **ret_message);
/* A join, a heartbeat or a leave. The answer and *ret_init name things in op->arena. */
void share_heartbeat(struct groups *groups, struct coordinator_op *op, const struct share_group_heartbeat_request *request,
                     const struct share_client *client, struct share_group_heartbeat_response *response, struct share_init *ret_init);
void share_describe(struct groups *groups, struct arena *arena, struct slice group_id, struct share_group_describe_response_described_group *ret_described);

/* ---- states of partitions ------------------------------------------------------------------------------------------------ */

/* The share coordinator has made the states of these (ok), or not all of them. */
void share_group_initialized(struct groups *groups, struct coordinator_op *op, struct slice group_id, const struct share_place *places, int count,
                             bool ok);
/* AlterShareGroupOffsets: marks the places as initializing. A Kafka code; 0: go on with *ret_epoch as state epoch. */
int16_t share_group_alter(struct groups *groups, struct coordinator_op *op, struct slice group_id, const struct share_place *places, int count,
                          int32_t *ret_epoch, const char **ret_message);
/* DeleteShareGroupOffsets: moves those of `topics` that have states to deleting; gives their places. ret_known[i]: topics[i]
 * has some. DeleteGroups: topics NULL, everything. A Kafka code. */
int16_t share_group_delete(struct groups *groups, struct coordinator_op *op, struct slice group_id, const struct uuid *topics, int count,
                           bool *ret_known, struct share_init *ret_places, const char **ret_message);
/* The states of these topics are deleted. */
void share_group_deleted(struct groups *groups, struct coordinator_op *op, struct slice group_id, const struct uuid *topics, int count);
/* Places that are initialized, in the arena; none of a group of another kind. */
void share_group_places(struct groups *groups, struct arena *arena, struct slice group_id, struct share_init *ret_places);

/* A share group of which the share coordinator knows something. */
bool share_group_has_states(const struct group *group);
/* Called by groups.c. */
void share_topic_changed(struct groups *groups, const struct image_topic *topic, bool removed);

#endif
