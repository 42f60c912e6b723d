/* A Kafka Streams application's topology as its group keeps it, and what the brokers make of it: how many tasks each
 * subtopology has, which internal topics there must be and with how many partitions, and what is wrong with them.
 *
 * Pure: a topology and the image in, a verdict out. Topics that exist win over any count that would be decided. */
#ifndef COORDINATOR_STREAMS_TOPOLOGY_H
#define COORDINATOR_STREAMS_TOPOLOGY_H

#include "metadata/image.h"
#include "protocol/streams_group_heartbeat_request.h"
#include "protocol/streams_group_topology_value.h"

typedef struct streams_group_topology_value streams_topology; /* as the record has it */
typedef struct streams_group_topology_value_subtopology streams_subtopology;
typedef struct streams_group_topology_value_topic_info streams_topic_info;

enum streams_status { /* of a heartbeat's answer; numbered as on the wire */
    STREAMS_STALE_TOPOLOGY,
    STREAMS_MISSING_SOURCE_TOPICS,
    STREAMS_INCORRECTLY_PARTITIONED_TOPICS,
    STREAMS_MISSING_INTERNAL_TOPICS,
    STREAMS_SHUTDOWN_APPLICATION,
    STREAMS_ASSIGNMENT_DELAYED,
    STREAMS_MISSING_CLIENT_TAGS,
};

enum { STREAMS_TASKS_MAX = 250000 }; /* of a topology */

struct streams_internal_topic {
    const streams_topic_info *info;
    int32_t partitions; /* decided */
};
struct streams_configured_subtopology {
    const streams_subtopology *raw;
    int32_t task_count;
    int32_t *repartition_counts, *changelog_counts; /* of raw's repartition sources and changelogs */
};
struct streams_configured { /* borrows from the topology */
    int16_t error; /* a Kafka code: the topology is refused, and nothing below holds */
    const char *message;
    int status;    /* enum streams_status; -1: ready */
    const char *detail;
    struct streams_configured_subtopology *subtopologies; /* in order of id; none when source topics are missing or partitioned wrongly */
    int count;
    struct streams_internal_topic *missing; /* internal topics to create */
    int missing_count;
};

/* A request's topology is laid out like a record's. */
const streams_topology *streams_topology_of_request(const struct streams_group_heartbeat_request_topology *topology);
bool streams_topology_has_duplicates(const streams_topology *topology, struct arena *arena);
/* The order of subtopologies does not count. */
bool streams_topology_equal(const streams_topology *a, const streams_topology *b);
/* Source topics, repartition sources, changelogs: each once. */
struct slice *streams_topology_topics(struct arena *arena, const streams_topology *topology, int *ret_count);
/* NULL: no subtopology reads the topic. When several do: the last. */
const streams_subtopology *streams_topology_reader(const streams_topology *topology, struct slice topic);

void streams_configure(struct arena *arena, const struct image *image, const streams_topology *topology, struct streams_configured *ret_configured);
static inline bool streams_is_ready(const struct streams_configured *configured) {
    return configured->status < 0;
}
const struct streams_configured_subtopology *streams_find_subtopology(const struct streams_configured *configured, struct slice id); /* NULL: none */

#endif
