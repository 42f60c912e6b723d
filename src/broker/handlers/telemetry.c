/* GetTelemetrySubscriptions and PushTelemetry (KIP-714). State lives on shard 0 (telemetry.h); what was pushed is taken
 * apart by the blocking-work pool, since decompressing a hostile megabyte would hold up a loop.
 *
 *     push: check on shard 0 -> read in the pool -> keep on shard 0 -> answer */
#include "base/mem.h"
#include "broker/handlers/handlers.h"
#include "broker/storage.h"
#include "broker/telemetry.h"
#include "protocol/compress.h"
#include "protocol/get_telemetry_subscriptions_request.h"
#include "protocol/get_telemetry_subscriptions_response.h"
#include "protocol/push_telemetry_request.h"
#include "protocol/push_telemetry_response.h"

enum { DECOMPRESSED_MAX = 16 << 20, SAMPLES_MAX = 2000 };

struct telemetry_call {
    struct shard_call call;
    struct request *request;
    struct client_attributes client;
    struct uuid instance;
    int16_t error;
    /* get */
    struct telemetry_subscription subscription;
    /* push */
    struct push_telemetry_request push;
    struct work work;
    struct otlp_sample *samples;
    int sample_count, sample_capacity;
    struct arena arena; /* of what was read */
    struct buf plain;
};

static void describe_client(struct telemetry_call *call) {
    struct request *request = call->request;
    const struct conn *conn = request->conn;
    char id[UUID_TEXT_SIZE];
    call->client.instance_id = arena_slice(&request->arena, slice_str(uuid_text(call->instance, id)));
    call->client.client_id = request->header.client_id.ptr ? arena_slice(&request->arena, request->header.client_id) : SLICE_EMPTY;
    call->client.software_name = arena_slice(&request->arena, conn->software_name.ptr ? conn->software_name : SLICE_LIT("unknown"));
    call->client.software_version = arena_slice(&request->arena, conn->software_version.ptr ? conn->software_version : SLICE_LIT("unknown"));
    call->client.source_address = arena_slice(&request->arena, slice_str(conn->peer));
    call->client.source_port = slice_str(arena_printf(&request->arena, "%d", conn->peer_port));
}

static void send_call(struct telemetry_call *call, void (*run)(struct shard_call *call), void (*back)(struct shard_call *call)) {
    struct broker_shard *shard = call->request->shard;
    call->call = (struct shard_call){.home = shard, .at = &shard->broker->shards[0], .run = run, .back = back};
    shard_call_send(&call->call);
}

/* ---- get --------------------------------------------------------------------------------------------------------------- */

static void get_back(struct shard_call *shard_call) {
    struct telemetry_call *call = container_of(shard_call, struct telemetry_call, call);
    static int8_t compressions[] = {CODEC_ZSTD, CODEC_LZ4, CODEC_GZIP, CODEC_SNAPPY};
    struct get_telemetry_subscriptions_response response;
    get_telemetry_subscriptions_response_init(&response);
    response.error_code = call->error;
    if (!call->error) {
        response.client_instance_id = call->instance;
        response.subscription_id = call->subscription.id;
        response.accepted_compression_types = compressions;
        response.accepted_compression_types_count = COUNT_OF(compressions);
        response.push_interval_ms = call->subscription.interval_ms;
        response.telemetry_max_bytes = (int32_t)broker_config_int(call->request->shard->broker->config, "telemetry.max.bytes");
        response.delta_temporality = true;
        response.requested_metrics = call->subscription.metrics;
        response.requested_metrics_count = call->subscription.metric_count;
    }
    request_answer(call->request, get_telemetry_subscriptions, &response);
}

static void get_run(struct shard_call *shard_call) {
    struct telemetry_call *call = container_of(shard_call, struct telemetry_call, call);
    call->error = telemetry_get(shard_call->at->broker->telemetry, call->instance, &call->client, &call->request->arena, &call->subscription);
    shard_call_return(shard_call);
}

void handle_get_telemetry_subscriptions(struct request *request) {
    struct get_telemetry_subscriptions_request message;
    if (!request_decode(request, get_telemetry_subscriptions, &message))
        return;
    struct telemetry_call *call = arena_zalloc(&request->arena, sizeof *call);
    call->request = request;
    call->instance = uuid_is_zero(message.client_instance_id) ? storage_random_uuid(request->shard->broker->runtime) : message.client_instance_id;
    request->conn->telemetry_instance = call->instance;
    describe_client(call);
    send_call(call, get_run, get_back);
}

/* ---- push -------------------------------------------------------------------------------------------------------------- */

static void answer_push(struct telemetry_call *call) {
    struct push_telemetry_response response;
    push_telemetry_response_init(&response);
    response.error_code = call->error;
    request_answer(call->request, push_telemetry, &response);
}

static void kept(struct shard_call *shard_call) {
    struct telemetry_call *call = container_of(shard_call, struct telemetry_call, call);
    arena_deinit(&call->arena);
    buf_deinit(&call->plain);
    mem_free(call->samples);
    answer_push(call);
}

static void keep(struct shard_call *shard_call) {
    struct telemetry_call *call = container_of(shard_call, struct telemetry_call, call);
    telemetry_pushed(shard_call->at->broker->telemetry, call->instance, call->samples, call->error ? 0 : call->sample_count, call->error != 0);
    shard_call_return(shard_call);
}

static void add_sample(void *arg, const struct otlp_sample *sample) {
    struct telemetry_call *call = arg;
    if (call->sample_count == call->sample_capacity) {
        call->sample_capacity = call->sample_capacity ? 2 * call->sample_capacity : 64;
        call->samples = mem_realloc(call->samples, sizeof *call->samples * (size_t)call->sample_capacity);
    }
    call->samples[call->sample_count++] = *sample;
}

static void read_run(struct work *work) {
    struct telemetry_call *call = container_of(work, struct telemetry_call, work);
    struct slice bytes = call->push.metrics;
    enum err err = ERR_OK;
    if (call->push.compression_type != CODEC_NONE) {
        struct compressor *compressor = compressor_create();
        err = codec_decompress(compressor, (enum codec)call->push.compression_type, bytes, DECOMPRESSED_MAX, &call->plain);
        compressor_destroy(compressor);
        bytes = buf_slice(&call->plain);
    }
    if (!err)
        err = otlp_read(bytes, &call->arena, SAMPLES_MAX, add_sample, call);
    if (err)
        call->error = KAFKA_INVALID_RECORD;
}

static void read_done(struct shard *shard, struct work *work) {
    (void)shard;
    send_call(container_of(work, struct telemetry_call, work), keep, kept);
}

static void checked(struct shard_call *shard_call) {
    struct telemetry_call *call = container_of(shard_call, struct telemetry_call, call);
    if (call->error || !call->push.metrics.size) {
        answer_push(call);
        return;
    }
    call->work = (struct work){.run = read_run, .done = read_done};
    shard_offload(call->request->shard->shard, &call->work);
}

static void check_run(struct shard_call *shard_call) {
    struct telemetry_call *call = container_of(shard_call, struct telemetry_call, call);
    struct telemetry_push push = {.instance = call->instance,
                                  .subscription_id = call->push.subscription_id,
                                  .compression = call->push.compression_type,
                                  .terminating = call->push.terminating,
                                  .size = call->push.metrics.size};
    call->error = telemetry_check_push(shard_call->at->broker->telemetry, &push, &call->client);
    shard_call_return(shard_call);
}

void handle_push_telemetry(struct request *request) {
    struct telemetry_call *call = arena_zalloc(&request->arena, sizeof *call);
    call->request = request;
    if (!request_decode(request, push_telemetry, &call->push))
        return;
    call->instance = call->push.client_instance_id;
    if (call->instance.msb == 0 && call->instance.lsb <= 1) { /* reserved */
        call->error = KAFKA_INVALID_REQUEST;
        answer_push(call);
        return;
    }
    request->conn->telemetry_instance = call->instance;
    describe_client(call);
    send_call(call, check_run, checked);
}
