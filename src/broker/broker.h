/* The broker: one node's process, and what it hangs on each shard.
 *
 * struct broker is made before the shards run and is read-only afterwards, but for what says otherwise. Each shard has
 * its own struct broker_shard: its copy of the metadata image, its partitions, its connections. */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include "base/map.h"
#include "broker/config.h"
#include "broker/request.h"
#include "log/log.h"
#include "metadata/image.h"

struct quorum; /* raft/quorum.h: the metadata log of this node, on shard 0 */
struct partition;

struct broker {
    struct runtime *runtime;
    struct broker_config *config;
    struct log_inventory *inventory;
    struct uuid cluster_id; /* raw */
    char cluster_id_text[64];
    struct uuid dir_ids[LOG_DIRS_MAX]; /* directory.id of each of log.dirs */
    struct broker_shard *shards;
    int shard_count;
    struct quorum *quorum; /* shard 0's */
};

struct broker_shard {
    struct broker *broker;
    struct shard *shard;
    int index;
    struct image *image;        /* this shard's copy; changes only between turns of handlers */
    struct log_store *store;
    struct map partitions;      /* struct partition by topic id and index: those this shard owns */
};

/* The shard that owns a partition. */
int broker_partition_shard(const struct broker *broker, struct uuid topic_id, int32_t partition);

#endif
