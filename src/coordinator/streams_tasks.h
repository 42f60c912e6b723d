/* Sets of tasks of a Kafka Streams application: which a member has, should have, or gives up.
 *
 * A task is a subtopology and a partition. A set is an array in order of both, without duplicates; it does not change once
 * it is built. Sets borrow from an arena while something is decided; streams_roles_own() makes the one block that a
 * member keeps. */
#ifndef COORDINATOR_STREAMS_TASKS_H
#define COORDINATOR_STREAMS_TASKS_H

#include "base/arena.h"
#include "base/slice.h"
#include "protocol/streams_group_current_member_assignment_value.h"
#include "protocol/streams_group_heartbeat_request.h"

enum streams_role { STREAMS_ACTIVE, STREAMS_STANDBY, STREAMS_WARMUP, STREAMS_ROLES };

struct streams_task {
    struct slice subtopology;
    int32_t partition;
    int32_t epoch; /* of active tasks: the assignment epoch at which the member got it */
};
struct streams_tasks {
    struct streams_task *tasks;
    int count;
};
struct streams_roles { /* what one member has in each role */
    struct streams_tasks of[STREAMS_ROLES];
};
extern const struct streams_roles streams_roles_none;

/* Task ids as messages carry them: those of requests, answers and target records have the same layout. */
typedef struct streams_group_heartbeat_request_task_ids streams_task_ids;
typedef struct streams_group_current_member_assignment_value_task_ids streams_task_epochs; /* with epochs */

/* An empty set with room for `capacity`; add in any order, then sort, which drops duplicates. */
struct streams_tasks streams_tasks_create(struct arena *arena, int capacity);
void streams_tasks_add(struct streams_tasks *tasks, struct slice subtopology, int32_t partition, int32_t epoch);
void streams_tasks_sort(struct streams_tasks *tasks);
/* NULL: not in it. */
const struct streams_task *streams_tasks_find(const struct streams_tasks *tasks, const struct streams_task *task);
bool streams_tasks_overlap(const struct streams_tasks *a, const struct streams_tasks *b);
bool streams_tasks_contain(const struct streams_tasks *all, const struct streams_tasks *part);
bool streams_roles_equal(const struct streams_roles *a, const struct streams_roles *b, bool with_epochs);
bool streams_roles_are_empty(const struct streams_roles *roles);

struct streams_tasks streams_tasks_of_ids(struct arena *arena, const streams_task_ids *ids, int count);
/* Epochs that are missing, or of another count than the partitions, are `epoch`. */
struct streams_tasks streams_tasks_of_epochs(struct arena *arena, const streams_task_epochs *ids, int count, int32_t epoch);
streams_task_ids *streams_tasks_to_ids(struct arena *arena, const struct streams_tasks *tasks, int32_t *ret_count);
streams_task_epochs *streams_tasks_to_epochs(struct arena *arena, const struct streams_tasks *tasks, bool with_epochs, int32_t *ret_count);

/* A copy of everything in one block, freed with mem_free(). */
struct streams_roles *streams_roles_own(const struct streams_roles *roles);

#endif
