/* What a shard counts. Each shard has its own and nothing is shared; http/metrics.c gathers them when asked. */
#ifndef BROKER_METRICS_H
#define BROKER_METRICS_H

#include "broker/broker.h"

enum { LATENCY_BUCKETS = 64 }; /* powers of the square root of two microseconds */

struct api_metrics {
    uint64_t requests, errors, request_bytes, response_bytes, total_us;
    uint32_t latency[LATENCY_BUCKETS];
};
struct metrics {
    struct api_metrics apis[API_COUNT];
    uint64_t bytes_in, bytes_out, messages_in, failed_produce, failed_fetch; /* of topics' data */
    uint64_t connections_accepted, connections_closed;
};
struct metrics *metrics_create(void);
/* A request was answered (not yet sent). */
void metrics_answered(struct broker_shard *shard, const struct request *request);
/* Its answer is in the socket. */
void metrics_sent(struct broker_shard *shard, const struct request *request);
void metrics_add(struct metrics *sum, const struct metrics *part);
/* Microseconds that a share of requests did not take longer than, e.g. 0.99. */
double metrics_quantile(const struct api_metrics *api, double share);

#endif
