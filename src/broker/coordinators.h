/* Between requests and coordinators: an id is hashed to a partition of the coordinators' topic, whose shard runs the
 * operation; and those partitions that are led here become coordinators. */
#ifndef BROKER_COORDINATORS_H
#define BROKER_COORDINATORS_H

#include "broker/shard_call.h"
#include "coordinator/coordinator.h"

/* One operation of a request at the coordinator of one id. Embed it, zeroed, in the request's arena (or one's own memory). */
struct coordinator_visit_all;
struct coordinator_visit {
    struct coordinator_op op;  /* set decide */
    struct request *request;   /* NULL: of the broker's own; then set `home` and op.arena */
    struct broker_shard *home;
    /* On the home shard. NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE, COORDINATOR_LOAD_IN_PROGRESS, ...; 0: decide()'s answer holds. */
    void (*answer)(struct coordinator_visit *visit, int16_t error);
    /* private */
    struct shard_call call;
    enum coordinator_type type;
    int32_t partition;
    struct uuid topic_id;
    int16_t error;
    struct arena arena;
    struct coordinator_visit_all *all;
};
/* Runs the operation where the coordinator of `id` is. While it is away it alone uses its arena: the request's, or with
 * `own_arena` (a request that visits several at once) one that goes with the request. answer() may run before this returns. */
void coordinator_visit(struct coordinator_visit *visit, enum coordinator_type type, struct slice id, bool own_arena);
/* The same on every coordinator of the type that is led here, or loads here (ListGroups): one visit a partition.
 * visit_all->done runs on the request's shard. */
struct coordinator_visit_all {
    struct request *request;
    void (*decide)(struct coordinator_op *op, void *state);
    void (*done)(struct coordinator_visit_all *all);
    struct coordinator_visit *visits; /* after it: one each, with error and what decide() left */
    size_t visit_size;                /* of the caller's struct, with the visit first */
    int count, pending;
};
void coordinator_visit_all(struct coordinator_visit_all *all, enum coordinator_type type);
/* One visit for each of several ids (DescribeGroups and the like), each with an arena that goes with the request. Embed it in
 * the request's arena. */
struct coordinator_visit_each {
    struct request *request;
    const struct slice *ids;
    int count;
    int16_t refusal, empty_refusal; /* a Kafka code: nobody is visited, or not those whose id is empty; 0: all are */
    /* In decide() of ids[i]; what it finds goes into the arena. */
    void (*look)(struct coordinator_visit_each *each, int i, void *state, struct arena *arena);
    /* On the request's shard, once for each; 0: look() was called, and what it found holds. */
    void (*told)(struct coordinator_visit_each *each, int i, int16_t error);
    void (*done)(struct coordinator_visit_each *each); /* all were told; may run before coordinator_visit_each() returns */
    struct each_visit *visits;                         /* private, as is the next */
    int pending;
};
void coordinator_visit_each(struct coordinator_visit_each *each, enum coordinator_type type);
/* The coordinator of one partition on this shard; NULL: none. */
int32_t coordinator_slots(const struct broker_shard *shard, enum coordinator_type type); /* above all its partitions here */
struct coordinator *coordinator_find(struct broker_shard *shard, enum coordinator_type type, int32_t partition);
/* Is the topic there? If not, asks the controller to make it with Kafka's settings, and gives COORDINATOR_NOT_AVAILABLE. */
int16_t coordinator_topic_ready(struct broker_shard *shard, enum coordinator_type type);
/* Of the topic; before there is one, what it will have. */
int32_t coordinator_partition_count(const struct broker_shard *shard, enum coordinator_type type);
/* The broker that leads the partition of an id; -1: none. */
int32_t coordinator_leader(const struct broker_shard *shard, enum coordinator_type type, struct slice id);

/* Called by partitions.c. */
void coordinators_init(struct broker_shard *shard);
void coordinators_partition_changed(struct broker_shard *shard, struct partition *partition); /* its log, leadership, or state */
void coordinators_partition_gone(struct broker_shard *shard, struct partition *partition);
void coordinators_topic_changed(struct broker_shard *shard, const struct image_topic *topic, bool removed);
/* The node stops: parked operations are failed, new ones refused. */
void coordinators_stop(struct broker_shard *shard);
/* Before the logs close. */
void coordinators_close(struct broker_shard *shard);
void coordinators_free(struct broker_shard *shard);

#endif
