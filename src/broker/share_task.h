/* One call to the share coordinator (coordinator/share_state.h), tried again while the coordinator is on its way. */
#ifndef BROKER_SHARE_TASK_H
#define BROKER_SHARE_TASK_H

#include "broker/coordinators.h"
#include "coordinator/share_state.h"

struct share_task { /* of the heap, or embedded; zeroed */
    struct broker_shard *shard;              /* where it is started, and done */
    struct share_call call;                  /* its slices stay until done() */
    void (*done)(struct share_task *task);   /* call.error is 0, or the last error; may run inside share_task_start() */
    /* Before it is tried again: the call may be brought up to date; false: it is done, with the last error. NULL: nothing changes. */
    bool (*renew)(struct share_task *task);
    void *arg;                               /* of whoever waits */
    /* private */
    struct coordinator_visit visit;
    struct arena arena;                      /* has what a Read answers, until share_task_deinit() */
    struct timer timer;
    struct list waiting;
    int attempts;
};
void share_task_start(struct share_task *task);
void share_task_deinit(struct share_task *task);
/* What the leader of a partition is told when its state could not be read or written: a Kafka code. */
int16_t share_task_leader_error(int16_t error);
/* What Kafka says of an error that share groups meet. Static storage. */
const char *share_error_text(int16_t error);

#endif
