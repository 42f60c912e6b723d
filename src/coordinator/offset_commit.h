/* What is done with committed offsets, each in decide() of an operation at the group's coordinator. */
#ifndef COORDINATOR_OFFSET_COMMIT_H
#define COORDINATOR_OFFSET_COMMIT_H

#include "coordinator/groups.h"
#include "protocol/offset_fetch_response.h"

/* ---- OffsetCommit, TxnOffsetCommit (offset_commit.c) ---- */

struct offset_commit_partition {
    int32_t partition, leader_epoch;
    int64_t offset;
    struct slice metadata; /* null: empty */
    int16_t error;         /* answer: a Kafka code */
};
struct offset_commit_topic {
    struct slice name;
    struct uuid id;        /* of a transactional commit: not looked at */
    struct offset_commit_partition *partitions;
    int32_t count;
};
struct offset_commit {
    struct slice group;
    struct group_caller caller; /* transactional: set the operation's producer and op->transactional before it runs */
    int64_t retention_ms;       /* -1: as the broker has it */
    struct offset_commit_topic *topics;
    int32_t count;
};
/* Adds the records. Not 0: nothing is committed, and every partition has this error. */
int16_t offsets_commit(struct groups *groups, struct coordinator_op *op, struct offset_commit *commit);

/* ---- OffsetFetch (offset_fetch.c) ---- */

struct offset_fetch_topic {
    struct slice name;
    struct uuid id; /* zero: any */
    const int32_t *partitions;
    int32_t count;
};
struct offset_fetch {
    struct slice group;
    struct group_caller caller;
    bool all;       /* every offset there is; else `topics` */
    bool stable;    /* a partition with an open transaction is not told */
    const struct offset_fetch_topic *topics;
    int32_t count;
};
/* Fills in topics and error code of the group's answer, in the arena. */
void offsets_fetch(struct groups *groups, struct arena *arena, const struct offset_fetch *fetch,
                   struct offset_fetch_response_offset_fetch_response_group *answer);

/* ---- OffsetDelete (offset_commit.c) ---- */

struct offset_delete_topic {
    struct slice name;
    int32_t *partitions;
    int32_t count;
    int16_t error; /* answer: of all its partitions */
};
/* Not 0: an error of the whole request. */
int16_t offsets_delete(struct groups *groups, struct coordinator_op *op, struct slice group, struct offset_delete_topic *topics, int32_t count);

#endif
