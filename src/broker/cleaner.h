/* Which log is cleaned when: the node's workers share one offset map's memory and one rate, and each takes the dirtiest log
 * of all shards.
 *
 *     shard 0, for a worker that is free --pick--> every shard: its dirtiest log that is due --> the dirtiest of these
 *     --clean--> the shard that owns it: log_clean_start() --> done: checkpoint, and the worker is free again
 *
 * A worker that finds nothing waits for log.cleaner.backoff.ms. A pick also deletes what the retention of compacted logs
 * lets go. Owned by shard 0; settings are read at each pick. */
#ifndef BROKER_CLEANER_H
#define BROKER_CLEANER_H

#include "broker/broker.h"
#include "broker/checkpoints.h"

struct cleaner;
/* The first pick comes at once; none when log.cleaner.enable is false. */
struct cleaner *cleaner_create(struct broker *broker, struct checkpoints *checkpoints);
void cleaner_stop(struct cleaner *cleaner); /* nothing new is begun */
void cleaner_destroy(struct cleaner *cleaner);

struct cleaner_numbers {
    double max_dirty_ratio;      /* of the last pick */
    double map_used_max;         /* of each worker's last cleaning, as the next two */
    double recopied;             /* bytes written of bytes read */
    double seconds_max;
    int64_t delay_ms_max;        /* how late a log was that max.compaction.lag.ms asked for */
    int64_t since_pick_ms;
    uint64_t cleanings, io_bytes, records_removed;
};
void cleaner_collect(const struct cleaner *cleaner, struct cleaner_numbers *ret_numbers);

#endif
