#include "coordinator/op_metrics.h"

void coordinator_metrics_add(struct coordinator_metrics *sum, const struct coordinator_metrics *part) {
    sum->decided += part->decided;
    sum->timed += part->timed;
    sum->flushes += part->flushes;
    sum->buffers_dropped += part->buffers_dropped;
    sum->writes += part->writes;
    sum->writes_done += part->writes_done;
    sum->waited += part->waited;
    histogram_merge(&sum->queue, &part->queue);
    histogram_merge(&sum->processing, &part->processing);
    histogram_merge(&sum->purgatory, &part->purgatory);
    histogram_merge(&sum->linger, &part->linger);
    histogram_merge(&sum->flush, &part->flush);
    histogram_merge(&sum->write, &part->write);
}
