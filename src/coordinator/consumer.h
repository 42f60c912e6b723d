/* Consumer groups (KIP-848): who is a member, what the server assigns, and how members get there.
 *
 *   group epoch    counts changes of members, subscriptions, topics
 *   target epoch   the group epoch for which the target assignment was computed
 *   member epoch   the target epoch a member has come to
 *
 * consumer_group.c      members, counts of subscriptions, who owns a partition; what other kinds ask of a group
 * consumer_replay.c     records into state          consumer_records.c   state into records
 * consumer_heartbeat.c  joins, heartbeats, leaves   consumer_target.c    the target assignment; assign_*.c the assignors
 * consumer_reconcile.c  one member's next step      consumer_regex.c     subscriptions by regular expression; regex.cc
 * consumer_classic.c    members of the classic protocol; a group's conversion to the other protocol and back
 * consumer_describe.c   ConsumerGroupDescribe
 *
 * Everything runs in decide() of an operation (coordinator.h): it reads the state, adds records, fills in the answer; the
 * replay of the records changes the state. */
#ifndef COORDINATOR_CONSUMER_H
#define COORDINATOR_CONSUMER_H

#include "coordinator/groups.h"
#include "protocol/consumer_group_describe_response.h"
#include "protocol/consumer_group_heartbeat_request.h"
#include "protocol/consumer_group_heartbeat_response.h"

struct consumer_client { /* as members are described: host is "/127.0.0.1" */
    struct slice id, host;
};

/* What is wrong with a heartbeat whatever the group is: a Kafka code and its message, 0 when nothing is. */
int16_t consumer_check_heartbeat(const struct broker_config *config, const struct consumer_group_heartbeat_request *request, int version,
                                 struct arena *arena, struct slice *ret_message);
/* In decide(): a join, a heartbeat or a leave. The answer names things in op->arena. */
void consumer_heartbeat(struct groups *groups, struct coordinator_op *op, const struct consumer_group_heartbeat_request *request,
                        const struct consumer_client *client, struct consumer_group_heartbeat_response *response);
/* In decide(): what is described of a group; also that it is not there. */
void consumer_describe(struct groups *groups, struct arena *arena, struct slice group_id,
                       struct consumer_group_describe_response_described_group *ret_described);

#endif
