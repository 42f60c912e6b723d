/* What the coordinators of one type on a shard count of their operations; times in microseconds, in the turns of the loop,
 * but for what says otherwise. The broker shows them under the names of Kafka's coordinator runtime (src/http/coordinators.c). */
#ifndef COORDINATOR_OP_METRICS_H
#define COORDINATOR_OP_METRICS_H

#include "base/histogram.h"

struct coordinator_metrics {
    uint64_t decided;             /* operations */
    uint64_t timed;               /* of them: each of the first, then one in eight; processing is theirs */
    uint64_t flushes;             /* batches given to the log */
    uint64_t buffers_dropped;     /* of batches so large that their memory was not kept */
    uint64_t writes, writes_done; /* of share partitions' states */
    struct histogram queue;       /* from coming to being decided */
    struct histogram processing;  /* decide(), by the clock */
    struct histogram purgatory;   /* from then on until the device has what it told, or saw */
    uint64_t waited;              /* operations that waited for the device */
    struct histogram linger;      /* of a batch, from its first record on */
    struct histogram flush;       /* giving it to the log, by the clock */
    struct histogram write;       /* of a share partition's state, from coming to being on the device */
};
void coordinator_metrics_add(struct coordinator_metrics *sum, const struct coordinator_metrics *part);

#endif
