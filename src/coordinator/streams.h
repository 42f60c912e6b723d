/* Streams groups (KIP-1071): the brokers assign the tasks of a Kafka Streams application to its members.
 *
 *   group epoch      counts changes of members, topology, topics
 *   target epoch     the group epoch for which the target assignment was computed
 *   member epoch     the target epoch a member has come to
 *
 * streams_tasks.c      sets of tasks             streams_topology.c   what the brokers make of a topology
 * streams_assign.c     the sticky assignor       streams_reconcile.c  one member's next step towards its target
 * streams_group.c      the group, its members, what other kinds ask of it
 * streams_replay.c     records into state        streams_records.c    state into records
 * streams_heartbeat.c  joins and heartbeats      streams_leave.c      leaves, timeouts
 * streams_target.c     the target assignment     streams_describe.c   StreamsGroupDescribe
 * streams_check.c      what is wrong whatever the group is
 * streams_settings.c   settings of groups        streams_description.c what an application tells of its topology
 *
 * Everything runs in decide() of an operation (coordinator.h): it reads the state, adds records, fills in the answer; the
 * replay of the records changes the state. Soft state (what the topics look like, endpoints, offsets told, who asked for
 * a shutdown) is lost with the coordinator, and, as in Kafka, what the heartbeat that creates a group said of it. */
#ifndef COORDINATOR_STREAMS_H
#define COORDINATOR_STREAMS_H

#include "coordinator/groups.h"
#include "coordinator/streams_topology.h"
#include "protocol/streams_group_describe_response.h"
#include "protocol/streams_group_heartbeat_request.h"
#include "protocol/streams_group_heartbeat_response.h"

struct streams_heartbeat {
    const struct streams_group_heartbeat_request *request;
    int16_t version;
    struct slice client_id, client_host; /* host is "/127.0.0.1" */
    struct streams_group_heartbeat_response response; /* names things in op->arena */
    struct streams_internal_topic *missing;           /* to create; in op->arena */
    int missing_count;
};

/* What is wrong with a heartbeat whatever the group is: a Kafka code and its message, 0 when nothing is. */
int16_t streams_check_heartbeat(const struct streams_group_heartbeat_request *request, struct arena *arena, const char **ret_message);
/* In decide(): a join, a heartbeat or a leave. */
void streams_heartbeat(struct groups *groups, struct coordinator_op *op, struct streams_heartbeat *heartbeat);
/* In decide(): what is described of a group; also that it is not there. */
void streams_describe(struct groups *groups, struct arena *arena, struct slice group_id, bool with_description,
                      struct streams_group_describe_response_described_group *ret_described);

#endif
