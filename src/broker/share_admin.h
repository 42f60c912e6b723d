/* States of a group's share partitions made and dropped: the way from the group's coordinator to the share coordinator and
 * back. Each runs on by itself, on the shard where it was started; done() runs there, perhaps inside the call. */
#ifndef BROKER_SHARE_ADMIN_H
#define BROKER_SHARE_ADMIN_H

#include "broker/share_task.h"
#include "coordinator/share_group.h"

/* Initializes the states of these places, and tells the group. done() (may be NULL) gets what each place answered, before
 * the group was told; `errors` are Kafka codes, valid during the call. */
void share_init_states(struct broker_shard *shard, struct slice group, const struct share_init *init,
                       void (*done)(void *arg, const int16_t *errors), void *arg);
/* Deletes the states of these places (which the group has as deleting). */
void share_drop_states(struct broker_shard *shard, struct slice group, const struct share_init *init,
                       void (*done)(void *arg, const int16_t *errors), void *arg);

/* DeleteGroups of a share group, up to its own records: drops all its states. A Kafka code. */
struct share_forget {
    struct coordinator_visit visit; /* zeroed; visit.request set */
    struct slice group;
    void (*done)(struct share_forget *forget, int16_t error);
    struct share_init places;
    int16_t error;
};
void share_forget_group(struct share_forget *forget);

#endif
