/* The sticky assignor of streams groups: which member should have which task, active or standby.
 *
 * Active tasks stay where they are, or go to who has them as a standby, up to an even share; the rest goes to the process
 * with the least load. Standbys then follow the same thought, never two copies of a task in one process. Ties fall as they
 * fall in Kafka, where a hash map and a binary heap decide them (java_order.h). Pure. */
#ifndef COORDINATOR_STREAMS_ASSIGN_H
#define COORDINATOR_STREAMS_ASSIGN_H

#include "coordinator/streams_tasks.h"

struct streams_task_offset { /* how far a member's copy of a task is */
    struct slice subtopology;
    int32_t partition;
    int64_t offset;
};
struct streams_assign_member {
    struct slice id, process_id;
    const struct streams_roles *previous; /* what it has now */
    const struct streams_task_offset *offsets;
    int offset_count;
    struct streams_roles target; /* result, in the arena */
};
struct streams_assign_subtopology {
    struct slice id;
    int32_t task_count;
    bool is_stateful;
};
struct streams_assign {
    struct streams_assign_member *members;
    int member_count;
    const struct streams_assign_subtopology *subtopologies; /* in order of id */
    int subtopology_count;
    int standby_replicas;
};

/* false: there are tasks but nobody to have them. Standbys that find no place are left out. */
bool streams_assign(struct streams_assign *assign, struct arena *arena);

#endif
