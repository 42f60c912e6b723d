#include "broker/metrics.h"

#include <math.h>
#include "base/mem.h"

struct metrics *metrics_create(void) {
    return mem_new(struct metrics);
}

static int bucket_of(uint64_t us) {
    if (us < 2)
        return (int)us;
    int bits = 63 - __builtin_clzll(us);
    int bucket = 2 * bits + (int)((us >> (bits - 1)) & 1);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

static double bucket_end(int bucket) {
    return bucket < 2 ? bucket + 1 : ldexp(bucket & 1 ? 2.0 : 1.5, bucket / 2);
}

void metrics_answered(struct broker_shard *shard, const struct request *request) {
    struct api_metrics *api = &shard->metrics->apis[request->header.key];
    api->requests++;
    api->request_bytes += request->frame_size;
    api->response_bytes += request->answer_size;
    if (request->close_after)
        api->errors++;
}

void metrics_sent(struct broker_shard *shard, const struct request *request) {
    struct api_metrics *api = &shard->metrics->apis[request->header.key];
    uint64_t us = (shard_now_ns(shard->shard) - request->received_ns) / 1000;
    api->total_us += us;
    api->latency[bucket_of(us)]++;
}

void metrics_add(struct metrics *sum, const struct metrics *part) {
    for (int i = 0; i < API_COUNT; i++) {
        struct api_metrics *to = &sum->apis[i];
        const struct api_metrics *from = &part->apis[i];
        to->requests += from->requests;
        to->errors += from->errors;
        to->request_bytes += from->request_bytes;
        to->response_bytes += from->response_bytes;
        to->total_us += from->total_us;
        for (int b = 0; b < LATENCY_BUCKETS; b++)
            to->latency[b] += from->latency[b];
    }
    sum->bytes_in += part->bytes_in;
    sum->bytes_out += part->bytes_out;
    sum->messages_in += part->messages_in;
    sum->failed_produce += part->failed_produce;
    sum->failed_fetch += part->failed_fetch;
    sum->connections_accepted += part->connections_accepted;
    sum->connections_closed += part->connections_closed;
}

double metrics_quantile(const struct api_metrics *api, double share) {
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        total += api->latency[i];
    for (int i = 0; i < LATENCY_BUCKETS && total; i++) {
        seen += api->latency[i];
        if ((double)seen >= share * (double)total)
            return bucket_end(i);
    }
    return 0;
}
