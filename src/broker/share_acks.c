#include "broker/share_acks.h"

#include "base/mem.h"
#include "protocol/errors.h"

enum { MEMBER_ID_MAX = 36, TYPE_MAX_V1 = SHARE_TYPE_REJECT };

bool share_member_id_is_fine(struct slice id) {
    size_t chars = 0;
    for (size_t i = 0; i < id.size; i++)
        chars += (id.ptr[i] & 0xc0) != 0x80;
    return chars > 0 && chars <= MEMBER_ID_MAX;
}

void share_acks_init(struct share_acks *acks, struct request *request, struct slice group, struct slice member, bool renews, int partitions) {
    acks->request = request;
    acks->group = group;
    acks->member = member;
    acks->renews = renews;
    acks->items = arena_array(&request->arena, struct share_ack_item, partitions + 1);
    acks->places = numbering_create(&request->arena);
    acks->count = 0;
}

struct share_ack_item *share_acks_add(struct share_acks *acks, struct uuid topic_id, int32_t index, int batches) {
    int at = numbering_get(acks->places, (struct numbering_key){.id = topic_id, .within = index});
    struct share_ack_item *item = &acks->items[at]; /* of the same partition, the last word holds */
    acks->count += at == acks->count;
    item->acks = acks;
    item->topic_id = topic_id;
    item->index = index;
    item->batches = arena_array(&acks->request->arena, struct share_ack, batches + 1);
    item->batch_count = batches;
    return item;
}

/* ---- what a request may say ----------------------------------------------------------------------------------------------- */

static bool batches_are_fine(const struct share_ack_item *item) {
    int64_t last = -1;
    int type_max = item->acks->request->header.version < 2 ? TYPE_MAX_V1 : SHARE_TYPE_RENEW;
    for (int i = 0; i < item->batch_count; i++) {
        const struct share_ack *batch = &item->batches[i];
        if (batch->first > batch->last || batch->first < last || batch->type_count < 1 ||
            (batch->type_count > 1 && (uint64_t)batch->last - (uint64_t)batch->first + 1 != (uint64_t)batch->type_count))
            return false;
        for (int t = 0; t < batch->type_count; t++)
            if (batch->types[t] < 0 || batch->types[t] > type_max || (batch->types[t] == SHARE_TYPE_RENEW && !item->acks->renews))
                return false;
        last = batch->last;
    }
    return true;
}

/* ---- on the partition's shard ------------------------------------------------------------------------------------------------ */

static void written(void *arg, int16_t error) {
    struct share_ack_item *item = arg;
    item->error = error;
    fanout_item_done(&item->base);
}

static void count(struct share_numbers *numbers, const struct share_change *change) {
    numbers->acknowledged[SHARE_TYPE_ACCEPT] += (uint64_t)change->accepted;
    numbers->acknowledged[SHARE_TYPE_RELEASE] += (uint64_t)change->released;
    numbers->acknowledged[SHARE_TYPE_REJECT] += (uint64_t)change->rejected;
    numbers->acknowledged[SHARE_TYPE_RENEW] += (uint64_t)change->renewed;
}

/* Of records before the window nobody asks any more, but a lock that ended may have brought them there, and that is stored by the
 * way: until the device has it, a crash would give them out again. */
static bool must_store_start(const struct share_ack_item *item, const struct share_partition *sp) {
    return item->batch_count && item->batches[0].first < sp->window.start && sp->stored_start < sp->window.start;
}

static void visit(struct fanout_item *base, struct partition *partition) {
    (void)partition;
    struct share_ack_item *item = container_of(base, struct share_ack_item, base);
    const struct share_acks *acks = item->acks;
    struct broker_shard *shard = fanout_shard(base);
    struct share_partition *sp = share_find_partition(shard, acks->group, item->topic_id, item->index);
    if (!sp || sp->phase == SHARE_FAILED) {
        item->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        fanout_item_done(base);
        return;
    }
    const struct share_settings *settings = share_settings(sp);
    struct share_change change = {.arena = fanout_arena(base)};
    enum share_ack_error error =
        window_acknowledge(&sp->window, acks->member, item->batches, item->batch_count, settings->renew,
                           shard_now_ns(shard->shard) + settings->lock_ns, settings->deliveries_max, &change, &item->message);
    if (change.renewed && !sp->removed)
        share_arm_timer(sp);
    if (error)
        item->error = error == SHARE_ACK_INVALID_STATE ? KAFKA_INVALID_RECORD_STATE : KAFKA_INVALID_REQUEST;
    else
        count(share_numbers(shard), &change);
    if (error || (!change.count && !must_store_start(item, sp)))
        fanout_item_done(base);
    else
        share_write(sp, &change, written, item);
}

static void all_done(struct fanout *fanout) {
    struct share_acks *acks = container_of(fanout, struct share_acks, fanout);
    acks->done(acks);
}

void share_acks_run(struct share_acks *acks) {
    const struct image *image = acks->request->shard->image;
    bool any = false;
    acks->fanout = (struct fanout){.request = acks->request, .visit = visit, .done = all_done};
    for (int i = 0; i < acks->count; i++) {
        struct share_ack_item *item = &acks->items[i];
        const struct image_topic *topic = image_find_topic_id(image, item->topic_id);
        item->error = !batches_are_fine(item)                          ? KAFKA_INVALID_REQUEST
                      : !topic                                         ? KAFKA_UNKNOWN_TOPIC_ID
                      : !image_find_partition(topic, item->index)      ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                                                       : 0;
        if (item->error || !item->batch_count)
            continue;
        any = true;
        fanout_add(&acks->fanout, &item->base, item->topic_id, item->index);
    }
    for (int i = 0; i < acks->count; i++)
        acks->items[i].left_out = !any && !acks->items[i].error;
    fanout_run(&acks->fanout);
}

void share_set_leader(const struct request *request, struct uuid topic_id, int32_t index, int16_t error, int32_t *ret_leader, int32_t *ret_epoch) {
    const struct image_partition *partition = NULL;
    if (error == KAFKA_NOT_LEADER_OR_FOLLOWER || error == KAFKA_FENCED_LEADER_EPOCH)
        partition = image_find_partition(image_find_topic_id(request->shard->image, topic_id), index);
    *ret_leader = partition ? partition->leader : 0;
    *ret_epoch = partition ? partition->leader_epoch : 0;
}
