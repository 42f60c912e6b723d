/* How far groups are behind: each committed offset beside the log it stands in, which mostly another shard has.
 *
 *     shard 0, 1, ...: the offsets of the groups whose coordinators are there, until there are `lags_max`
 *     shard 0, 1, ...: ends of the logs there, and the time of the first record that was not consumed
 *
 * One visit after the other, a coordinator of groups a turn, started by any thread; a scrape of 1000 offsets costs a shard some
 * 100 us a turn. The time comes from the batch that holds the offset: that of its first record, so that seconds behind are
 * rather too many than too few. */
#ifndef BROKER_LAG_H
#define BROKER_LAG_H

#include "broker/broker.h"
#include "coordinator/groups.h"

struct group_lag {
    struct slice group, topic;
    int32_t partition;
    struct uuid topic_id;
    int64_t committed;
    int64_t end, last_stable;   /* -1: not known, the partition is not here */
    int64_t next_ms;            /* time of the first record behind the offset; -1: there is none, or it has no time */
};

/* What there is at the coordinators. Counters count since the loads. */
enum { GROUP_STATES = 8, COORDINATOR_PHASES = 3 };
extern const char *const group_state_names[GROUP_STATES];
struct coordinator_numbers {
    int64_t groups[GROUP_TYPES][GROUP_STATES];
    uint64_t rebalances[GROUP_TYPES]; /* see struct groups */
    uint64_t commits, expired, deleted; /* committed offsets */
    struct { /* of topologies of streams groups; see struct groups */
        uint64_t stored, refused, got, deleted, cycles, expired;
    } descriptions;
    int64_t phases[COORDINATOR_TYPES][COORDINATOR_PHASES]; /* partitions */
    uint64_t load_ns[COORDINATOR_TYPES], load_max_ns[COORDINATOR_TYPES]; /* of the active ones: sum, longest */
    int64_t queued[COORDINATOR_TYPES], buffer_bytes[COORDINATOR_TYPES]; /* operations; memory of batches */
    int64_t share_states;
    struct pruned_log { /* of __share_group_state: records below the offset are gone; 0: none yet */
        int32_t partition;
        int64_t offset;
    } *pruned;
    int pruned_count;
};

struct collect_lags {
    struct message message; /* free for the owner after finished() */
    struct broker *broker;
    void (*finished)(struct collect_lags *lags);
    int64_t lags_max;
    /* result */
    struct group_lag *lags;
    int64_t count, groups, offsets; /* groups and offsets: all there are */
    struct coordinator_numbers coordinators;
    struct arena arena;
    /* private */
    int shard;
    int64_t next;
    bool second_round;
    struct log_read read;
};
/* Zeroed but for broker, finished and lags_max. finished() runs on the shard that is visited last, in a later turn. */
void collect_lags_start(struct collect_lags *lags);
void collect_lags_free(struct collect_lags *lags); /* what it holds */
/* Records from the committed offset to `end`. */
static inline int64_t lag_records(const struct group_lag *lag, int64_t end) {
    return end > lag->committed ? end - lag->committed : 0;
}
/* Seconds since the first record that was not consumed below `end`; negative: not known. */
static inline double lag_seconds(const struct group_lag *lag, int64_t end, int64_t now_ms) {
    if (lag_records(lag, end) == 0)
        return 0;
    return lag->next_ms < 0 ? -1 : now_ms > lag->next_ms ? (double)(now_ms - lag->next_ms) / 1000 : 0;
}

#endif
