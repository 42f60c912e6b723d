/* Descriptions of topologies: what an application tells of its processors, for people to read.
 *
 *   nothing --a member is asked, by the answer to its heartbeat--> asked --StreamsGroupTopologyDescriptionUpdate--> stored
 *      ^                                                             |
 *      +-- 30 s, then twice as long each time, an hour at most ------+          too large: failed, and not asked for again
 *
 * Kafka's brokers give descriptions to a plugin in Java, and have none without it. Here they are kept beside their group, in
 * a record of our own (key 28025) which Kafka passes over: they survive what the group survives, move with it, and go with
 * it. The group's record has the epochs that Kafka's has, so that each can go on with the other's directory. */
#ifndef COORDINATOR_STREAMS_DESCRIPTION_H
#define COORDINATOR_STREAMS_DESCRIPTION_H

#include "coordinator/groups.h"
#include "protocol/streams_group_describe_response.h"
#include "protocol/streams_group_topology_description_update_request.h"

struct streams_group;

enum {
    STREAMS_KEY_DESCRIPTION = 28025,
    STREAMS_DESCRIPTION_MAX = 256 << 10,         /* bytes of one */
    STREAMS_DESCRIPTIONS_MAX = 8 << 20,          /* bytes of all that a coordinator keeps; then a member is told to come again */
};
enum streams_description_status { /* numbered as on the wire */
    STREAMS_DESCRIPTION_NOT_ASKED,
    STREAMS_DESCRIPTION_NOT_STORED,
    STREAMS_DESCRIPTION_ERROR,
    STREAMS_DESCRIPTION_THERE,
};

struct streams_description { /* one block */
    int32_t epoch;           /* of the topology that is described */
    size_t size;
    uint8_t value[];         /* of the record */
};

struct streams_description_update {
    const struct streams_group_topology_description_update_request *request;
    int16_t error;
    const char *message;     /* NULL: none */
};
/* In decide(): keeps what a member sends. */
void streams_update_description(struct groups *groups, struct coordinator_op *op, struct streams_description_update *update);

/* Shall a member be asked for the description of this epoch? Then nobody else is, for a while. */
bool streams_description_is_wanted(const struct streams_group *group, int32_t epoch);
bool streams_description_ask(struct groups *groups, struct streams_asked *asked, int32_t epoch);
/* NULL: there is none of the group's topology. In the arena. */
struct streams_group_describe_response_topology_description *streams_description_of(const struct streams_group *group, struct arena *arena);
void streams_description_drop(struct streams_group *group);
enum err streams_description_replay(struct streams_group *group, struct group_record *record) MUST_USE;

#endif
