/* Kafka's checkpoint files of each log directory (recovery-point-, log-start-, replication-, cleaner-offset-checkpoint), gathered
 * from all shards and written by shard 0, and the mark of a clean stop. */
#ifndef BROKER_CHECKPOINTS_H
#define BROKER_CHECKPOINTS_H

#include "broker/broker.h"

struct checkpoints;
/* Shard 0. Writes every minute from now on (log.flush.offset.checkpoint.interval.ms). */
struct checkpoints *checkpoints_create(struct broker *broker);
void checkpoints_destroy(struct checkpoints *checkpoints);
/* Writes all files once more, and then calls done(). A line must not outlive the topic that it is about, or the next topic
 * of the name would be taken to begin where that one did: hence before the directory of a deleted topic goes, and before
 * the node serves. */
struct checkpoints_wait {
    void (*done)(struct checkpoints_wait *wait); /* perhaps at once; may free it */
    struct list node; /* private */
};
void checkpoints_rewrite(struct checkpoints *checkpoints, struct checkpoints_wait *wait);
/* A log was cleaned: writes cleaner-offset-checkpoint, soon. */
void checkpoints_cleaned(struct checkpoints *checkpoints);
/* Before the logs are closed: takes what the files shall hold when all is on the device. */
void checkpoints_take_last(struct checkpoints *checkpoints, void (*done)(struct broker *broker));
/* After the logs are closed: writes them, with the clean-shutdown mark where `clean` says so for the directory. */
void checkpoints_write_last(struct checkpoints *checkpoints, const bool *clean, void (*done)(struct broker *broker));

#endif
