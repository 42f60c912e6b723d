/* What a shard counts. Each shard has its own and nothing is shared: adding is a plain increment. Who wants to see the
 * numbers sends the shards a message (collect.h); http/ shows them under the names of Kafka's metrics. */
#ifndef BROKER_METRICS_H
#define BROKER_METRICS_H

#include "base/histogram.h"
#include "broker/broker.h"
#include "coordinator/coordinator.h"
#include "coordinator/op_metrics.h"

enum { API_VERSIONS = 24, CLIENT_SOFTWARE_MAX = 32 };
_Static_assert(API_VERSIONS > 18, "a version of Fetch has no counter");

struct api_metrics { /* of one API; times in microseconds */
    uint64_t versions[API_VERSIONS]; /* requests */
    uint64_t errors[ENCODER_ERRORS]; /* error codes in answers, 0 (none) too; by code + 1 */
    uint64_t closed;                 /* answered by closing the connection */
    uint64_t response_bytes;
    uint64_t timed; /* requests whose waiting in the turn and handler were timed: each of the first, then one in eight */
    struct histogram queue, local; /* of those */
    struct histogram total, remote, response_queue, response_send, request_bytes;
};
struct listener_metrics {
    uint64_t accepted, closed, expired, requests, responses, bytes_in, bytes_out;
};
struct software_metrics { /* connections of clients that named their software (KIP-511) */
    char name[64], version[64];
    int64_t connections;
};
struct metrics {
    struct api_metrics *apis[API_COUNT]; /* made with the first request */
    struct listener_metrics listeners[LISTENERS_MAX];
    struct software_metrics software[CLIENT_SOFTWARE_MAX]; /* the last one: all that found no room */
    uint64_t bytes_in, bytes_out, messages_in, produce_requests, fetch_requests; /* of topics' data */
    uint64_t failed_produce, failed_fetch, bytes_rejected, corrupt_batches, bad_sequences;
    uint64_t fetch_expired;                      /* parked fetches whose time ran out */
    int64_t produce_waiting, fetch_waiting;      /* now: partitions waited for, requests parked */
    int64_t requests_held, responses_waiting;    /* now: read but not handed out; answered, not yet taken by the socket */
    struct coordinator_metrics coordinators[COORDINATOR_TYPES];
    uint64_t share_loads, share_locks, share_batches; /* of share partitions; the next three are of them, times in microseconds */
    struct histogram share_load;                 /* until the state is read */
    struct histogram share_lock;                 /* how long a fetch has one to itself */
    struct histogram share_batch;                /* records of a batch that a member is given */
};

struct metrics *metrics_create(void);
void metrics_destroy(struct metrics *metrics);
/* Hands the request to its handler, with the clock beside it. */
void metrics_handle(struct broker_shard *shard, struct request *request, request_handler *handler);
/* A request was answered (not yet sent). */
void metrics_answered(struct broker_shard *shard, struct request *request);
/* Its answer goes into the socket. */
void metrics_sending(struct broker_shard *shard, struct request *request);
/* Its answer is in the socket. */
void metrics_sent(struct broker_shard *shard, const struct request *request);
/* Where the error codes of its answer are counted. */
uint64_t *metrics_errors(struct broker_shard *shard, const struct request *request);
uint64_t metrics_requests(const struct api_metrics *api);
/* Names the software of a connection; what comes back is given to metrics_forget_software() when it ends. */
struct software_metrics *metrics_count_software(struct metrics *metrics, struct slice name, struct slice version);
static inline void metrics_forget_software(struct software_metrics *software) {
    if (software)
        software->connections--;
}
/* Counters of `part` are added; gauges too. Memory of sum is its own. */
void metrics_add(struct metrics *sum, const struct metrics *part);

#endif
