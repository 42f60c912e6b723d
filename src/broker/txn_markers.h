/* Transaction markers on their way to the partitions of this node: from its coordinators of transactions (what a
 * coordinator_host's send_markers() does), and from outside (WriteTxnMarkers).
 *
 *   coordinator's shard --one message a shard--> partition's shard: appended, on the device --> back, when all are
 *
 * A coordinator's own marker waits for whatever is in its way: a partition that is opened, a log that has no room, groups
 * that are loaded. Only that the partition is no more ends it otherwise. Markers for other nodes would leave from
 * send_markers() as well. */
#ifndef BROKER_TXN_MARKERS_H
#define BROKER_TXN_MARKERS_H

#include "broker/coordinators.h"
#include "coordinator/transactions.h"

/* One marker for one partition, on the partition's shard. The caller keeps it until done(). */
struct marker_write {
    struct uuid topic_id;
    int32_t partition;
    int64_t producer_id;
    int16_t producer_epoch, transaction_version;
    int32_t coordinator_epoch;
    bool commit;
    bool own; /* of a coordinator of this node */
    void (*done)(struct marker_write *write, int16_t error); /* 0: on the device */
    /* private */
    struct broker_shard *shard;
    struct list node; /* of shard->marker_writes */
    struct partition_waiter waiter;
    struct timer retry_timer;
    struct coordinator_marker marker; /* of a partition of __consumer_offsets */
    bool at_groups;
    struct send_part *send_part; /* txn_markers.c: of a coordinator's own */
    int64_t end_offset; /* durable from here on: done */
};
void marker_write(struct broker_shard *shard, struct marker_write *write);

extern const struct transaction_host txn_host;
/* Before the logs close: what waits is given up, and sent again by the next start. */
void txn_markers_close(struct broker_shard *shard);
void txn_markers_free(struct broker_shard *shard);

#endif
