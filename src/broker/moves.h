/* Moves of partitions between the log directories of this node (KIP-113, KIP-858), and which directory a partition's log
 * is reported to be in. All on the shard that owns the partition. */
#ifndef BROKER_MOVES_H
#define BROKER_MOVES_H

#include "broker/broker.h"

struct move;

/* The partition is open. Begins a move to the directory, instead of the one that may be under way; to the directory it is
 * in: ends that one. */
void moves_start(struct partition *partition, int dir);
/* The partition was opened: goes on with a move that the last run left, and tells the controller which directory the log
 * is in when the image has another. */
void moves_opened(struct partition *partition);
/* The partition goes: its copy is deleted, or closed so that the next run goes on. partitions_move_ended() follows, not
 * inside the call; false: there is no move. */
bool moves_stop(struct partition *partition, bool delete_copy);
/* The copy; NULL: none. */
const struct log *moves_future(const struct partition *partition);
void moves_set_settings(struct partition *partition, const struct log_settings *settings);

/* A directory that was asked for a partition before there is one, on all shards. Bounded: the oldest is forgotten. */
void moves_prefer(struct broker *broker, struct slice topic, int32_t index, int dir);
int moves_preferred(const struct broker_shard *shard, struct slice topic, int32_t index); /* -1: none */
void moves_forget_preferences(struct broker_shard *shard);

/* In partitions.c: a move that moves_stop() ended is gone. */
void partitions_move_ended(struct partition *partition);

#endif
