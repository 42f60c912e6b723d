/* A request's partitions, each visited on the shard that owns it, and back. On the own shard visits are plain calls. */
#ifndef BROKER_FANOUT_H
#define BROKER_FANOUT_H

#include "broker/shard_call.h"

struct fanout_part;
struct fanout_item { /* embedded in the handler's own; memory of the request's arena */
    struct uuid topic_id;
    int32_t index;
    struct fanout_part *part; /* private, as are the next */
    struct fanout_item *next;
    struct partition_waiter waiter;
};
struct fanout {
    struct request *request;
    /* On the owner, when a partition that was just created is open. It is NULL when it is not hosted. Leads to fanout_item_done(), at once or later. */
    void (*visit)(struct fanout_item *item, struct partition *partition);
    void (*done)(struct fanout *fanout); /* on the request's shard, when all items are done */
    struct fanout_part **parts;          /* private: one a shard, NULL where none is needed */
    int pending;
};
/* Zeroed memory of the request's arena, or a fresh one: call for each item, then run once. Without items done() is
 * called at once. */
void fanout_add(struct fanout *fanout, struct fanout_item *item, struct uuid topic_id, int32_t index);
void fanout_run(struct fanout *fanout);
void fanout_item_done(struct fanout_item *item);
/* While visiting: what the answer needs until it is sent. */
struct arena *fanout_arena(struct fanout_item *item);
struct fanout *fanout_of(struct fanout_item *item);
struct broker_shard *fanout_shard(struct fanout_item *item); /* the owner */

/* Topics by name, as most requests have them; false: no such partition in the image. */
bool find_topic_partition(const struct request *request, struct slice topic, int32_t index, struct uuid *ret_topic_id);

#endif
