#include "broker/metrics.h"

#include <stdio.h>
#include "base/mem.h"

enum { TIMED_FIRST = 64, TIMED_EVERY = 8 };

struct metrics *metrics_create(void) {
    return mem_new(struct metrics);
}

void metrics_destroy(struct metrics *metrics) {
    if (!metrics)
        return;
    for (int i = 0; i < API_COUNT; i++)
        mem_free(metrics->apis[i]);
    mem_free(metrics);
}

static struct api_metrics *get_api(struct metrics *metrics, int key) {
    if (!metrics->apis[key])
        metrics->apis[key] = mem_new(struct api_metrics);
    return metrics->apis[key];
}

uint64_t *metrics_errors(struct broker_shard *shard, const struct request *request) {
    return get_api(shard->metrics, request->header.key)->errors;
}

uint64_t metrics_requests(const struct api_metrics *api) {
    uint64_t sum = 0;
    for (int i = 0; i < API_VERSIONS; i++)
        sum += api->versions[i];
    return sum;
}

void metrics_handle(struct broker_shard *shard, struct request *request, request_handler *handler) {
    struct api_metrics *api = get_api(shard->metrics, request->header.key);
    int version = request->header.version < 0 || request->header.version >= API_VERSIONS ? 0 : request->header.version;
    uint64_t count = ++api->versions[version];
    histogram_add(&api->request_bytes, request->frame_size);
    request->handled_ns = shard_now_ns(shard->shard);
    if (count > TIMED_FIRST && count % TIMED_EVERY) {
        handler(request);
        return;
    }
    uint64_t begin = shard_fresh_ns(shard->shard);
    histogram_add(&api->queue, (begin - request->received_ns) / 1000);
    api->timed++;
    handler(request); /* what it answered stays until the turn ends */
    histogram_add(&api->local, (shard_fresh_ns(shard->shard) - begin) / 1000);
}

void metrics_answered(struct broker_shard *shard, struct request *request) {
    struct api_metrics *api = get_api(shard->metrics, request->header.key);
    request->answered_ns = shard_now_ns(shard->shard);
    histogram_add(&api->remote, (request->answered_ns - request->handled_ns) / 1000);
    api->response_bytes += request->answer_size;
    if (request->close_after)
        api->closed++;
    shard->metrics->responses_waiting++;
}

void metrics_sending(struct broker_shard *shard, struct request *request) {
    request->sending_ns = shard_now_ns(shard->shard);
    shard->metrics->responses_waiting--;
}

void metrics_sent(struct broker_shard *shard, const struct request *request) {
    struct api_metrics *api = get_api(shard->metrics, request->header.key);
    uint64_t now = shard_now_ns(shard->shard);
    histogram_add(&api->response_queue, (request->sending_ns - request->answered_ns) / 1000);
    histogram_add(&api->response_send, (now - request->sending_ns) / 1000);
    histogram_add(&api->total, (now - request->received_ns) / 1000);
}

struct software_metrics *metrics_count_software(struct metrics *metrics, struct slice name, struct slice version) {
    char name_text[64], version_text[64];
    snprintf(name_text, sizeof name_text, "%.*s", SLICE_FMT(name));
    snprintf(version_text, sizeof version_text, "%.*s", SLICE_FMT(version));
    struct software_metrics *unused = NULL;
    for (int i = 0; i < CLIENT_SOFTWARE_MAX - 1; i++) {
        struct software_metrics *software = &metrics->software[i];
        if (software->connections > 0 && strcmp(software->name, name_text) == 0 && strcmp(software->version, version_text) == 0) {
            software->connections++;
            return software;
        }
        if (!unused && software->connections == 0)
            unused = software;
    }
    if (unused) {
        memcpy(unused->name, name_text, sizeof name_text);
        memcpy(unused->version, version_text, sizeof version_text);
    } else {
        unused = &metrics->software[CLIENT_SOFTWARE_MAX - 1];
        strcpy(unused->name, "other");
    }
    unused->connections++;
    return unused;
}

static void add_api(struct api_metrics *to, const struct api_metrics *from) {
    for (int i = 0; i < API_VERSIONS; i++)
        to->versions[i] += from->versions[i];
    for (int i = 0; i < ENCODER_ERRORS; i++)
        to->errors[i] += from->errors[i];
    to->closed += from->closed;
    to->response_bytes += from->response_bytes;
    to->timed += from->timed;
    histogram_merge(&to->queue, &from->queue);
    histogram_merge(&to->local, &from->local);
    histogram_merge(&to->total, &from->total);
    histogram_merge(&to->remote, &from->remote);
    histogram_merge(&to->response_queue, &from->response_queue);
    histogram_merge(&to->response_send, &from->response_send);
    histogram_merge(&to->request_bytes, &from->request_bytes);
}

void metrics_add(struct metrics *sum, const struct metrics *part) {
    for (int i = 0; i < API_COUNT; i++)
        if (part->apis[i])
            add_api(get_api(sum, i), part->apis[i]);
    for (int i = 0; i < LISTENERS_MAX; i++) {
        struct listener_metrics *to = &sum->listeners[i];
        const struct listener_metrics *from = &part->listeners[i];
        to->accepted += from->accepted;
        to->closed += from->closed;
        to->expired += from->expired;
        to->requests += from->requests;
        to->responses += from->responses;
        to->bytes_in += from->bytes_in;
        to->bytes_out += from->bytes_out;
    }
    sum->bytes_in += part->bytes_in;
    sum->bytes_out += part->bytes_out;
    sum->messages_in += part->messages_in;
    sum->produce_requests += part->produce_requests;
    sum->fetch_requests += part->fetch_requests;
    sum->failed_produce += part->failed_produce;
    sum->failed_fetch += part->failed_fetch;
    sum->bytes_rejected += part->bytes_rejected;
    sum->corrupt_batches += part->corrupt_batches;
    sum->bad_sequences += part->bad_sequences;
    sum->fetch_expired += part->fetch_expired;
    sum->produce_waiting += part->produce_waiting;
    sum->fetch_waiting += part->fetch_waiting;
    sum->requests_held += part->requests_held;
    sum->responses_waiting += part->responses_waiting;
    for (int i = 0; i < COORDINATOR_TYPES; i++)
        coordinator_metrics_add(&sum->coordinators[i], &part->coordinators[i]);
    sum->share_loads += part->share_loads;
    sum->share_locks += part->share_locks;
    sum->share_batches += part->share_batches;
    histogram_merge(&sum->share_load, &part->share_load);
    histogram_merge(&sum->share_lock, &part->share_lock);
    histogram_merge(&sum->share_batch, &part->share_batch);
}
