/* Ids of producers: each shard takes them from a block that the controller has given it (KIP-730). */
#ifndef BROKER_PRODUCER_IDS_H
#define BROKER_PRODUCER_IDS_H

#include "broker/broker.h"
#include "coordinator/transactions.h"

/* -1: the block is used up. */
int64_t producer_id_take(struct broker_shard *shard);
/* Asks for the next block; got() comes in a later turn. The waiter may leave the list before. */
void producer_id_wait(struct broker_shard *shard, struct producer_id_waiter *waiter);

#endif
