/* Work done on another shard, and its answer. On the own shard both are plain calls. */
#ifndef BROKER_SHARD_CALL_H
#define BROKER_SHARD_CALL_H

#include "broker/broker.h"

struct shard_call {
    struct broker_shard *home, *at;
    void (*run)(struct shard_call *call);  /* on `at`; leads to shard_call_return(), at once or later */
    void (*back)(struct shard_call *call); /* on `home`; may free the call */
    struct message message;                /* private */
};
void shard_call_send(struct shard_call *call);   /* on home; run() may have returned the call when this returns */
void shard_call_return(struct shard_call *call); /* on at */

#endif
