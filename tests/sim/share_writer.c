/* The producer of the share group's topic: numbered records, each sent once. Before it begins, it gives the group its settings. */
#include <stdio.h>
#include "protocol/incremental_alter_configs_request.h"
#include "protocol/incremental_alter_configs_response.h"
#include "protocol/produce_request.h"
#include "protocol/produce_response.h"
#include "tests/sim/sim_test.h"

enum { GROUP_CONFIG = 32, CONFIG_SET = 0, CONFIGS = 4, RECORDS_MAX = 6 };

struct share_writer {
    struct client client;
    struct world *world;
    bool finishing;
    uint32_t last_number;
    uint64_t acknowledged;
    int sent[SHARE_PARTITIONS];   /* records, taken or not */
    int partition, count;         /* of the request under way */
    uint32_t first, lost_fetches; /* when it was sent */
    uint64_t think_max_ms;
    struct timer think;
};

static void go_on(struct share_writer *writer);

static void think(struct share_writer *writer, uint64_t max_ms) {
    if (!timer_is_running(&writer->think))
        timer_start(writer->client.shard, &writer->think, 1 + world_random(writer->world, max_ms * NS_PER_MS));
}
static void thought(struct shard *shard, struct timer *timer) {
    (void)shard;
    go_on(container_of(timer, struct share_writer, think));
}

/* ---- settings ---------------------------------------------------------------------------------------------------------- */

static void configure(struct share_writer *writer) {
    static const char *const names[CONFIGS] = {"share.auto.offset.reset", "share.record.lock.duration.ms", "share.delivery.count.limit",
                                               "share.partition.max.record.locks"};
    char limit[16], locks[16], lock[16];
    const char *values[CONFIGS] = {"earliest", lock, limit, locks};
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_request_alter_configs_resource resource;
    struct incremental_alter_configs_request_alterable_config configs[CONFIGS];
    int32_t unused;
    snprintf(lock, sizeof lock, "%d", SHARE_LOCK_MS);
    snprintf(limit, sizeof limit, "%d", (int)writer->world->share.delivery_limit);
    snprintf(locks, sizeof locks, "%d", 100 + (int)world_random(writer->world, 400));
    incremental_alter_configs_request_init(&request);
    incremental_alter_configs_request_alter_configs_resource_init(&resource);
    resource.resource_type = GROUP_CONFIG;
    resource.resource_name = SLICE_LIT(SHARE_GROUP);
    for (int i = 0; i < CONFIGS; i++) {
        incremental_alter_configs_request_alterable_config_init(&configs[i]);
        configs[i].name = slice_str(names[i]);
        configs[i].config_operation = CONFIG_SET;
        configs[i].value = slice_str(values[i]);
    }
    resource.configs = configs;
    resource.configs_count = CONFIGS;
    request.resources = &resource;
    request.resources_count = 1;
    client_send(&writer->client, API_INCREMENTAL_ALTER_CONFIGS, 1, incremental_alter_configs, &request, &unused);
}

static void configured(struct share_writer *writer, int version, struct decoder *body) {
    struct incremental_alter_configs_response response;
    if (incremental_alter_configs_response_decode(body, version, &response) || response.responses_count != 1)
        violation(writer->world, "an IncrementalAlterConfigs answer that cannot be read");
    int16_t code = response.responses[0].error_code;
    if (code == KAFKA_INVALID_CONFIG || code == KAFKA_INVALID_REQUEST)
        violation(writer->world, "the settings of the share group are refused with error %d", code);
    writer->world->share.configured = code == 0;
}

/* ---- records ----------------------------------------------------------------------------------------------------------- */

static void produce(struct share_writer *writer) {
    struct produce_request request;
    struct produce_request_topic_produce_data topic;
    struct produce_request_partition_produce_data data;
    struct batch_builder builder;
    struct buf batch = {0};
    uint8_t value[RECORD_VALUE_MIN + 200];
    struct world *world = writer->world;
    int32_t unused;
    writer->partition = (int)world_random(world, SHARE_PARTITIONS);
    writer->count = 1 + (int)world_random(world, RECORDS_MAX);
    if (writer->sent[writer->partition] + writer->count > SHARE_OFFSETS_MAX)
        return;
    writer->sent[writer->partition] += writer->count;
    writer->first = writer->last_number + 1;
    writer->lost_fetches = world->share.lost_fetches;
    size_t size = RECORD_VALUE_MIN + (size_t)world_random(world, sizeof value - RECORD_VALUE_MIN + 1);
    batch_builder_init(&builder, &batch, 0);
    for (int i = 0; i < writer->count; i++) {
        record_value((struct record_id){SHARE_WRITER_ID, ++writer->last_number}, value, size);
        batch_builder_add(&builder, i, shard_wall_ms(writer->client.shard), SLICE_NULL, slice_of(value, size), NULL, 0);
    }
    check(batch_builder_finish(&builder, 0, CODEC_NONE, 0, NULL, -1, -1, -1) == ERR_OK);
    produce_request_init(&request);
    produce_request_topic_produce_data_init(&topic);
    produce_request_partition_produce_data_init(&data);
    data.index = writer->partition;
    data.records.bytes = buf_slice(&batch);
    topic.name = SLICE_LIT(SHARE_TOPIC);
    topic.partition_data = &data;
    topic.partition_data_count = 1;
    request.acks = -1;
    request.timeout_ms = 30000;
    request.topic_data = &topic;
    request.topic_data_count = 1;
    client_send(&writer->client, API_PRODUCE, 11, produce, &request, &unused);
    buf_deinit(&batch);
}

static void produced(struct share_writer *writer, int version, struct decoder *body) {
    struct produce_response response;
    struct world *world = writer->world;
    if (produce_response_decode(body, version, &response) || response.responses_count != 1)
        violation(world, "a Produce answer that cannot be read");
    const struct produce_response_partition_produce_response *answer = &response.responses[0].partition_responses[0];
    if (answer->error_code)
        return;
    for (int i = 0; i < writer->count; i++) {
        int64_t offset = answer->base_offset + i;
        if (offset < 0 || offset >= SHARE_OFFSETS_MAX)
            violation(world, SHARE_TOPIC "-%d: %lld is acknowledged, and less was sent", writer->partition, (long long)offset);
        struct share_record *record = &world->share.records[writer->partition][offset];
        if (record->number && record->number != writer->first + (uint32_t)i)
            violation(world, SHARE_TOPIC "-%d: record %u is acknowledged at %lld, where record %u is", writer->partition,
                      writer->first + (uint32_t)i, (long long)offset, record->number);
        record->number = writer->first + (uint32_t)i;
        record->acknowledged = true;
        if (!record->deliveries)
            record->lost_before = writer->lost_fetches;
    }
    writer->acknowledged += (uint64_t)writer->count;
    world->acknowledged += (uint64_t)writer->count;
}

/* ---- life ---------------------------------------------------------------------------------------------------------------- */

static void go_on(struct share_writer *writer) {
    if (writer->client.waiting_count || !client_is_ready(&writer->client))
        return;
    if (!admin_is_ready(writer->world->admin))
        think(writer, 200);
    else if (!writer->world->share.configured)
        configure(writer);
    else if (!writer->finishing)
        produce(writer);
}

static void answered(struct client *client, int32_t correlation, int16_t key, int16_t version, struct decoder *body) {
    struct share_writer *writer = container_of(client, struct share_writer, client);
    (void)correlation;
    if (key == API_PRODUCE)
        produced(writer, version, body);
    else
        configured(writer, version, body);
    think(writer, writer->think_max_ms);
}
static void connection_lost(struct client *client) {
    (void)client;
}
static void connected(struct client *client) {
    think(container_of(client, struct share_writer, client), 20);
}

struct share_writer *share_writer_create(struct world *world) {
    static const uint64_t thinks_ms[] = {20, 100, 500};
    struct share_writer *writer = mem_new(struct share_writer);
    writer->world = world;
    writer->think_max_ms = thinks_ms[world_random(world, COUNT_OF(thinks_ms))];
    writer->think.fire = thought;
    writer->client.on_connected = connected;
    writer->client.on_answer = answered;
    writer->client.on_lost = connection_lost;
    client_start(&writer->client, world);
    return writer;
}

void share_writer_finish(struct share_writer *writer) {
    writer->finishing = true;
}
bool share_writer_is_idle(const struct share_writer *writer) {
    return writer->finishing && !writer->client.waiting_count;
}
uint64_t share_writer_acknowledged(const struct share_writer *writer) {
    return writer->acknowledged;
}
