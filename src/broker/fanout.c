#include "broker/fanout.h"

#include "base/check.h"
#include "broker/conn.h"

struct fanout_part { /* the items that live on one shard */
    struct shard_call call;
    struct fanout *fanout;
    struct fanout_item *first, **last;
    int left;
    struct arena arena;
};

static void drop_arena(void *arg) {
    arena_deinit(arg);
}

static void changed(struct partition_waiter *waiter, struct partition *partition) {
    struct fanout_item *item = container_of(waiter, struct fanout_item, waiter);
    if (partition_is_opening(partition))
        return;
    list_remove(&waiter->node);
    item->part->fanout->visit(item, partition);
}

/* A partition that was created a moment ago: clients that were told of it need not be told to come again. */
static void visit(struct fanout_item *item, struct partition *partition) {
    if (!partition_is_opening(partition)) {
        item->part->fanout->visit(item, partition);
        return;
    }
    item->waiter.wake = changed;
    partition_wait(partition, &item->waiter);
}

static void visit_all(struct shard_call *call) {
    struct fanout_part *part = container_of(call, struct fanout_part, call);
    part->left++; /* so that the part does not end before all were visited */
    for (struct fanout_item *item = part->first, *next; item; item = next) {
        next = item->next;
        visit(item, partition_find(&call->at->partitions, item->topic_id, item->index));
    }
    if (--part->left == 0)
        shard_call_return(call);
}

static void part_back(struct shard_call *call) {
    struct fanout_part *part = container_of(call, struct fanout_part, call);
    struct fanout *fanout = part->fanout;
    if (--fanout->pending == 0)
        fanout->done(fanout);
}

void fanout_add(struct fanout *fanout, struct fanout_item *item, struct uuid topic_id, int32_t index) {
    struct request *request = fanout->request;
    struct broker *broker = request->shard->broker;
    int owner = broker_partition_shard(broker, topic_id, index);
    if (!fanout->parts)
        fanout->parts = arena_array(&request->arena, struct fanout_part *, broker->shard_count);
    struct fanout_part *part = fanout->parts[owner];
    if (!part) {
        part = fanout->parts[owner] = arena_zalloc(&request->arena, sizeof *part);
        part->call = (struct shard_call){.home = request->shard, .at = &broker->shards[owner], .run = visit_all, .back = part_back};
        part->fanout = fanout;
        part->last = &part->first;
        arena_on_reset(&request->arena, drop_arena, &part->arena);
    }
    item->topic_id = topic_id;
    item->index = index;
    item->part = part;
    item->next = NULL;
    *part->last = item;
    part->last = &item->next;
    part->left++;
}

/* Tells the connection whether one shard has all that the request is about. */
static void note_owner(const struct fanout *fanout, int shard_count) {
    if (!fanout->request->conn || !fanout->parts)
        return;
    int owner = -1, owners = 0;
    for (int i = 0; i < shard_count; i++)
        if (fanout->parts[i]) {
            owner = i;
            owners++;
        }
    conn_note_owner(fanout->request->conn, owners == 1 ? owner : -1);
}

void fanout_run(struct fanout *fanout) {
    int count = fanout->request->shard->broker->shard_count;
    note_owner(fanout, count);
    fanout->pending = 1; /* so that it does not end before all were sent */
    for (int i = 0; fanout->parts && i < count; i++)
        fanout->pending += fanout->parts[i] != NULL;
    for (int i = 0; fanout->parts && i < count; i++)
        if (fanout->parts[i])
            shard_call_send(&fanout->parts[i]->call);
    if (--fanout->pending == 0)
        fanout->done(fanout);
}

void fanout_item_done(struct fanout_item *item) {
    struct fanout_part *part = item->part;
    check(part->left > 0, "an item is done twice");
    if (--part->left == 0)
        shard_call_return(&part->call);
}

struct arena *fanout_arena(struct fanout_item *item) {
    return &item->part->arena;
}
struct fanout *fanout_of(struct fanout_item *item) {
    return item->part->fanout;
}
struct broker_shard *fanout_shard(struct fanout_item *item) {
    return item->part->call.at;
}

bool find_topic_partition(const struct request *request, struct slice name, int32_t index, struct uuid *ret_topic_id) {
    const struct image_topic *topic = image_find_topic(request->shard->image, name);
    if (!topic || !image_find_partition(topic, index))
        return false;
    *ret_topic_id = topic->id;
    return true;
}
