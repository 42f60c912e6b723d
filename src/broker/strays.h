/* Directories of partitions that the cluster does not have here: what a crash kept from being deleted, and strangers. */
#ifndef BROKER_STRAYS_H
#define BROKER_STRAYS_H

#include "broker/broker.h"

/* When the image is caught up, on shard 0, before a partition is made: removes directories that were renamed to be deleted,
 * and renames those that the image does not know to `-stray`, as Apache Kafka does. done() on the shard. */
void strays_settle(struct broker_shard *shard, void (*done)(struct broker_shard *shard));

#endif
