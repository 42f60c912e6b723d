/* The numbers of a node, gathered without stalling it: each shard copies its counters and walks its partitions, a few a
 * turn, so that 100,000 of them cost the loop nothing that a client could notice. What comes out is bounded: of
 * partitions the busiest are kept, of topics those that had any traffic.
 *
 * Started by any thread; each part is the shard's until it calls finished() there. Names of topics are asked for at the
 * end, for those that are shown. */
#ifndef BROKER_COLLECT_H
#define BROKER_COLLECT_H

#include "broker/cleaner.h"
#include "broker/metrics.h"
#include "broker/share_partitions.h"
#include "broker/telemetry.h"
#include "coordinator/txn.h"

struct topic_numbers {
    struct map_node node;
    struct uuid id;
    struct partition_traffic traffic;
};
struct partition_numbers {
    uint64_t traffic; /* bytes in and out: who is shown */
    struct uuid topic_id;
    int32_t index, segments;
    int64_t start, end, last_stable, size, retention_bytes;
    bool leads, online;
};

/* What shard 0 knows of the cluster. */
struct cluster_numbers {
    int64_t topics, partitions, brokers, fenced_brokers;
    int64_t applied_offset, committed_offset, log_end_offset, last_append_ms;
    int32_t epoch;
    int16_t metadata_version;
    struct {
        char name[48];
        int16_t level;
    } features[16];
    int feature_count;
    bool dir_offline[LOG_DIRS_MAX], dir_cordoned[LOG_DIRS_MAX];
    bool active; /* the controller */
    struct cleaner_numbers cleaner;
};

struct collect_part {
    struct message message; /* free for the owner after finished() */
    void *owner;            /* whoever wants it */
    struct broker_shard *shard;
    void (*finished)(struct collect_part *part);
    int64_t partitions_max;
    /* result */
    struct metrics metrics; /* its apis are copies */
    struct log_metrics log;
    uint64_t idle_ns;
    int64_t partitions, leaders, offline, producer_ids, segments;
    int64_t late_transactions; /* partitions with one that should have timed out long ago */
    int64_t transactional_ids[TXN_STATES]; /* by state; of the coordinators here, as are the next */
    int64_t oldest_transaction_ms;         /* its age; 0: none is open */
    uint64_t transactions_committed, transactions_aborted, transactions_timed_out; /* since their coordinators were loaded */
    int64_t markers_waiting;               /* of partitions that are not ready for them */
    int64_t dir_bytes[LOG_DIRS_MAX];
    int64_t uncleanable[LOG_DIRS_MAX], uncleanable_bytes[LOG_DIRS_MAX];
    int64_t fetch_sessions, fetch_session_partitions;
    uint64_t fetch_session_evictions;
    int64_t share_sessions, share_session_partitions, share_fetches_waiting;
    uint64_t share_session_evictions, share_acknowledged[SHARE_TYPES], share_lock_timeouts;
    uint64_t share_fetches, share_fetches_failed, share_acks, share_acks_failed; /* requests */
    struct share_partition_numbers *share_partitions; /* partitions_max at most, of share_partition_count */
    int share_partitions_shown;
    int64_t share_partition_count;
    struct map topics; /* struct topic_numbers */
    struct arena arena;
    struct partition_numbers *busiest; /* a heap, the least busy first */
    int busiest_count;
    struct cluster_numbers cluster; /* shard 0's, as is the next */
    struct telemetry_numbers telemetry;
    /* private */
    struct list place; /* in the shard's list of partitions */
    struct topic_numbers *last_topic;
};
void collect_part_start(struct collect_part *part);
void collect_part_free(struct collect_part *part); /* what it holds */

/* Names of topics, asked of shard 0; gone ones are null. In the arena. */
struct collect_names {
    struct message message;
    struct broker *broker;
    void (*finished)(struct collect_names *names);
    struct uuid *ids;
    struct slice *names;
    int count, next;
    struct arena arena;
};
void collect_names_start(struct collect_names *names);

#endif
