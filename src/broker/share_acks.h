/* Acknowledgements of a request (ShareAcknowledge, or with a ShareFetch) on their way to the share partitions, into the log of
 * the share coordinator, and back. */
#ifndef BROKER_SHARE_ACKS_H
#define BROKER_SHARE_ACKS_H

#include "base/numbering.h"
#include "broker/fanout.h"
#include "broker/share_partitions.h"

struct share_ack_item {
    struct fanout_item base;
    struct share_acks *acks;
    struct uuid topic_id;
    int32_t index;
    struct share_ack *batches;
    int batch_count;
    bool left_out;       /* not in the answer */
    int16_t error;       /* a Kafka code */
    const char *message; /* NULL: none */
};
struct share_acks {
    struct request *request;
    struct slice group, member;
    struct share_ack_item *items; /* each partition once */
    int count;
    struct numbering *places; /* of the items */
    bool renews;         /* the request may renew locks */
    void (*done)(struct share_acks *acks);
    struct fanout fanout;
};
/* From a request's topics: `partitions` have partition_index and acknowledgement_batches. */
#define SHARE_ACKS_TAKE(acks, message)                                                                              \
    do {                                                                                                            \
        for (int t_ = 0; t_ < (message)->topics_count; t_++)                                                        \
            for (int p_ = 0; p_ < (message)->topics[t_].partitions_count; p_++) {                                   \
                const typeof(*(message)->topics[t_].partitions) *part_ = &(message)->topics[t_].partitions[p_];     \
                struct share_ack_item *item_ = share_acks_add((acks), (message)->topics[t_].topic_id, part_->partition_index, \
                                                              part_->acknowledgement_batches_count);                \
                for (int b_ = 0; item_ && b_ < part_->acknowledgement_batches_count; b_++) {                        \
                    const typeof(*part_->acknowledgement_batches) *batch_ = &part_->acknowledgement_batches[b_];    \
                    item_->batches[b_] = (struct share_ack){batch_->first_offset, batch_->last_offset,              \
                                                            batch_->acknowledge_types, batch_->acknowledge_types_count}; \
                }                                                                                                   \
            }                                                                                                       \
    } while (0)
/* Room for `partitions` comes first. */
void share_acks_init(struct share_acks *acks, struct request *request, struct slice group, struct slice member, bool renews, int partitions);
struct share_ack_item *share_acks_add(struct share_acks *acks, struct uuid topic_id, int32_t index, int batches);
void share_acks_run(struct share_acks *acks);

/* Where the leader is, when an error says that it is not here; else zeros. */
void share_set_leader(const struct request *request, struct uuid topic_id, int32_t index, int16_t error, int32_t *ret_leader, int32_t *ret_epoch);
/* A member id that may come in: not null, not empty, not too long. */
bool share_member_id_is_fine(struct slice id);

#endif
