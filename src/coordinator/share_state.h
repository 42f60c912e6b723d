/* Where share groups are: the state of a partition of __share_group_state (a COORDINATOR_SHARE).
 *
 * A key is a share partition: group, topic id, partition. What is known of it is its last ShareSnapshot and the ShareUpdates
 * behind that, put over one another (share/batches.h). Every so many updates a snapshot is written; a key that nobody writes
 * to gets one now and then, so that records before the oldest of all last snapshots can be deleted: the topic is not
 * compacted. (KIP-932.)
 *
 * A group may ask twice for the state of a new partition, when the first answer is long in coming; the second time must not
 * undo what members have acknowledged since (only_missing).
 *
 * Epochs: only Initialize sets the state epoch, only Read raises the leader epoch; both fence who comes with a lower one. */
#ifndef COORDINATOR_SHARE_STATE_H
#define COORDINATOR_SHARE_STATE_H

#include "coordinator/coordinator.h"
#include "share/batches.h"

enum share_call_type { SHARE_INITIALIZE, SHARE_READ, SHARE_WRITE, SHARE_SUMMARY, SHARE_DELETE };

/* One request for one key; answered by share_state_decide() in decide(). */
struct share_call {
    enum share_call_type type;
    struct slice group;
    struct uuid topic_id;
    int32_t partition;
    int32_t state_epoch, leader_epoch;   /* -1: not checked. Answer of Read, Summary */
    int64_t start_offset;                /* Initialize, Write; answer of Read, Summary */
    bool only_missing;                   /* Initialize: a state that is there stays as it is */
    int32_t complete_count;              /* Write; answer of Summary */
    const struct share_batch *batches;   /* Write; answer of Read: in op->arena */
    int batch_count;
    int16_t error;                       /* a Kafka code */
    const char *message;                 /* NULL: the code's */
};

struct share_states;
/* What a call answers, and the record it adds, if any (key null: none). Pure. `exists`: the topic has that partition. */
void share_states_answer(struct share_states *states, struct share_call *call, bool exists, int64_t now_ms, struct arena *arena,
                         struct slice *ret_key, struct slice *ret_value);
enum err share_states_replay(struct share_states *states, const struct coordinator_record *record) MUST_USE;
struct share_states *share_states_create(int32_t updates_max); /* updates before a snapshot */
void share_states_destroy(struct share_states *states);
int64_t share_states_count(const struct share_states *states);
/* Records below are not needed any more; 0: all are. */
int64_t share_states_needed_from(const struct share_states *states);
/* Snapshots of keys that were not written to for `interval_ms`, unless all others were last written by a snapshot too. */
void share_states_cold(struct share_states *states, int64_t now_ms, int64_t interval_ms, struct arena *arena,
                       void (*add)(void *arg, struct slice key, struct slice value), void *arg);
/* Tombstones of what belongs to topics that `is_gone` says are gone. */
void share_states_drop(struct share_states *states, bool (*is_gone)(const void *arg, struct uuid topic_id), const void *gone_arg,
                       struct arena *arena, void (*add)(void *arg, struct slice key, struct slice value), void *arg);

/* In decide() of an operation of a COORDINATOR_SHARE. */
void share_state_decide(struct coordinator_op *op, void *state, struct share_call *call);
/* "group:topicId:partition", by which the coordinator is found. In the arena. */
struct slice share_state_key(struct arena *arena, struct slice group, struct uuid topic_id, int32_t partition);
/* For metrics: of one coordinator. */
struct share_state_numbers {
    int64_t keys, last_pruned;
};
struct share_state_numbers share_state_numbers(const struct coordinator *coordinator);

#endif
