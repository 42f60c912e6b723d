/* The administrator: makes the topics, then deletes records, alters settings, and has one topic come and go under the same
 * name, whose new log must begin at 0. */
#include <stdio.h>
#include "protocol/create_topics_request.h"
#include "protocol/create_topics_response.h"
#include "protocol/delete_records_request.h"
#include "protocol/delete_records_response.h"
#include "protocol/delete_topics_request.h"
#include "protocol/delete_topics_response.h"
#include "protocol/incremental_alter_configs_request.h"
#include "protocol/incremental_alter_configs_response.h"
#include "protocol/metadata_request.h"
#include "protocol/metadata_response.h"
#include "protocol/produce_request.h"
#include "protocol/produce_response.h"
#include "tests/sim/sim_test.h"

enum { TOPIC_CONFIG = 2, CONFIG_SET = 0, CONFIGS_MAX = 10 };
#define CHURN "comes-and-goes"

struct admin {
    struct client client;
    struct world *world;
    bool ready, finishing, busy;
    int making; /* index of the topic that is being made */
    struct timer think;
    struct ledger *deleting;
    int64_t deleting_to;
    enum { UNKNOWN, ABSENT, NEW, PRESENT } churn;
    bool churn_touched; /* a produce to it may have been taken */
};

static void go_on(struct admin *admin);

static void think(struct admin *admin, uint64_t max_ms) {
    if (!timer_is_running(&admin->think))
        timer_start(admin->client.shard, &admin->think, 1 + world_random(admin->world, max_ms * NS_PER_MS));
}

static void thought(struct shard *shard, struct timer *timer) {
    (void)shard;
    go_on(container_of(timer, struct admin, think));
}

/* ---- topics --------------------------------------------------------------------------------------------------------- */

static void create_topic(struct admin *admin, const char *name, int partitions,
                         struct create_topics_request_creatable_topic_config *configs, int config_count) {
    struct create_topics_request request;
    struct create_topics_request_creatable_topic topic;
    int32_t unused;
    create_topics_request_init(&request);
    create_topics_request_creatable_topic_init(&topic);
    topic.name = slice_str(name);
    topic.num_partitions = partitions;
    topic.replication_factor = 1;
    topic.configs = configs;
    topic.configs_count = config_count;
    request.topics = &topic;
    request.topics_count = 1;
    client_send(&admin->client, API_CREATE_TOPICS, 7, create_topics, &request, &unused);
    admin->busy = true;
}

static void make_topic(struct admin *admin) {
    const struct topic *topic = &admin->world->topics[admin->making];
    struct create_topics_request_creatable_topic_config configs[CONFIGS_MAX];
    char values[CONFIGS_MAX][24];
    int count = 0;
#define CONFIG(key, value)                                                                 \
    do {                                                                                   \
        snprintf(values[count], sizeof values[count], "%lld", (long long)(value));         \
        configs[count] = (struct create_topics_request_creatable_topic_config){slice_str(key), slice_str(values[count])}; \
        count++;                                                                           \
    } while (0)
    CONFIG("internal.segment.bytes", topic->segment_bytes);
    CONFIG("segment.ms", topic->segment_ms);
    CONFIG("index.interval.bytes", 1000);
    CONFIG("file.delete.delay.ms", 1000);
    if (topic->retention)
        CONFIG("retention.ms", 8000);
    if (topic->compacted) {
        CONFIG("delete.retention.ms", 1000 + world_random(admin->world, 5000));
        configs[count++] = (struct create_topics_request_creatable_topic_config){SLICE_LIT("cleanup.policy"), SLICE_LIT("compact")};
        configs[count++] = (struct create_topics_request_creatable_topic_config){SLICE_LIT("min.cleanable.dirty.ratio"), SLICE_LIT("0.01")};
    }
    if (topic->flush_messages)
        CONFIG("flush.messages", topic->flush_messages);
    create_topic(admin, topic->name, topic->partition_count, configs, count);
}

static void ask_metadata(struct admin *admin) {
    struct metadata_request request;
    struct metadata_request_metadata_request_topic topic;
    int32_t unused;
    metadata_request_init(&request);
    metadata_request_metadata_request_topic_init(&topic);
    topic.name = slice_str(admin->world->topics[admin->making].name);
    request.topics = &topic;
    request.topics_count = 1;
    request.allow_auto_topic_creation = false;
    client_send(&admin->client, API_METADATA, 12, metadata, &request, &unused);
    admin->busy = true;
}

static void topic_made(struct admin *admin, struct uuid id) {
    struct topic *topic = &admin->world->topics[admin->making];
    topic->created = topic->has_id = true;
    topic->id = id;
    admin->making++;
}

static void made(struct admin *admin, int version, struct decoder *body) {
    struct create_topics_response response;
    if (create_topics_response_decode(body, version, &response) || response.topics_count != 1)
        violation(admin->world, "a CreateTopics answer that cannot be read");
    int16_t code = response.topics[0].error_code;
    bool churn = slice_eq_str(response.topics[0].name, CHURN);
    if (code && code != KAFKA_TOPIC_ALREADY_EXISTS && code != KAFKA_REQUEST_TIMED_OUT && code != KAFKA_NOT_CONTROLLER &&
        code != KAFKA_COORDINATOR_NOT_AVAILABLE && code != KAFKA_KAFKA_STORAGE_ERROR)
        violation(admin->world, "CreateTopics is answered with error %d", code);
    if (churn) {
        admin->churn = code ? UNKNOWN : NEW;
        admin->churn_touched = false;
    } else if (!code) {
        topic_made(admin, response.topics[0].topic_id);
    } else if (code == KAFKA_TOPIC_ALREADY_EXISTS) {
        admin->world->topics[admin->making].created = true; /* by a request whose answer was lost */
    }
    think(admin, 100);
}

static void described(struct admin *admin, int version, struct decoder *body) {
    struct metadata_response response;
    if (metadata_response_decode(body, version, &response) || response.topics_count != 1)
        violation(admin->world, "a Metadata answer that cannot be read");
    if (response.topics[0].error_code == 0)
        topic_made(admin, response.topics[0].topic_id);
    else
        admin->world->topics[admin->making].created = false;
    think(admin, 100);
}

/* ---- comes and goes --------------------------------------------------------------------------------------------------- */

static void delete_churn(struct admin *admin) {
    struct delete_topics_request request;
    struct delete_topics_request_delete_topic_state topic;
    int32_t unused;
    delete_topics_request_init(&request);
    delete_topics_request_delete_topic_state_init(&topic);
    topic.name = SLICE_LIT(CHURN);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = 30000;
    client_send(&admin->client, API_DELETE_TOPICS, 6, delete_topics, &request, &unused);
    admin->busy = true;
    admin->churn = UNKNOWN;
}

static void deleted(struct admin *admin, int version, struct decoder *body) {
    struct delete_topics_response response;
    if (delete_topics_response_decode(body, version, &response) || response.responses_count != 1)
        violation(admin->world, "a DeleteTopics answer that cannot be read");
    int16_t code = response.responses[0].error_code;
    if (code == 0 || code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
        admin->churn = ABSENT;
}

static void produce_churn(struct admin *admin) {
    struct produce_request request;
    struct produce_request_topic_produce_data topic;
    struct produce_request_partition_produce_data data;
    uint8_t value[300];
    struct buf batch = {0};
    struct batch_builder builder;
    struct record_id id = {PRODUCERS_MAX + 1, 1 + (uint32_t)world_random(admin->world, 1 << 30)};
    int32_t unused;
    batch_builder_init(&builder, &batch, 0);
    record_value(id, value, sizeof value);
    batch_builder_add(&builder, 0, shard_wall_ms(admin->client.shard), SLICE_NULL, slice_of(value, sizeof value), NULL, 0);
    check(batch_builder_finish(&builder, 0, CODEC_NONE, 0, NULL, -1, -1, -1) == ERR_OK);
    produce_request_init(&request);
    produce_request_topic_produce_data_init(&topic);
    produce_request_partition_produce_data_init(&data);
    data.records.bytes = buf_slice(&batch);
    topic.name = SLICE_LIT(CHURN);
    topic.partition_data = &data;
    topic.partition_data_count = 1;
    request.acks = -1;
    request.timeout_ms = 30000;
    request.topic_data = &topic;
    request.topic_data_count = 1;
    client_send(&admin->client, API_PRODUCE, 9, produce, &request, &unused);
    buf_deinit(&batch);
    admin->busy = true;
}

static void produced(struct admin *admin, int version, struct decoder *body) {
    struct produce_response response;
    if (produce_response_decode(body, version, &response) || response.responses_count != 1)
        violation(admin->world, "a Produce answer that cannot be read");
    const struct produce_response_partition_produce_response *answer = &response.responses[0].partition_responses[0];
    if (answer->error_code == 0) {
        if (admin->churn == NEW && !admin->churn_touched && answer->base_offset != 0)
            violation(admin->world, "a topic made anew begins at %lld", (long long)answer->base_offset);
        admin->churn = PRESENT;
    }
    admin->churn_touched = true;
}

/* ---- records and settings ----------------------------------------------------------------------------------------------- */

static void delete_records(struct admin *admin) {
    struct delete_records_request request;
    struct delete_records_request_delete_records_topic topic;
    struct delete_records_request_delete_records_partition data;
    int32_t unused;
    struct ledger *partition = &admin->world->partitions[world_random(admin->world, (uint64_t)admin->world->partition_count)];
    if (partition->high <= partition->deleted_to || partition->damaged)
        return;
    int64_t offset = partition->deleted_to + 1 + (int64_t)world_random(admin->world, (uint64_t)(partition->high - partition->deleted_to));
    partition->deleted_to = offset;
    admin->deleting = partition;
    admin->deleting_to = offset;
    delete_records_request_init(&request);
    delete_records_request_delete_records_topic_init(&topic);
    data = (struct delete_records_request_delete_records_partition){partition->index, offset};
    topic.name = slice_str(partition->topic->name);
    topic.partitions = &data;
    topic.partitions_count = 1;
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = 30000;
    client_send(&admin->client, API_DELETE_RECORDS, 2, delete_records, &request, &unused);
    admin->busy = true;
}

static void records_deleted(struct admin *admin, int version, struct decoder *body) {
    struct delete_records_response response;
    if (delete_records_response_decode(body, version, &response) || response.topics_count != 1)
        violation(admin->world, "a DeleteRecords answer that cannot be read");
    const struct delete_records_response_delete_records_partition_result *answer = &response.topics[0].partitions[0];
    struct ledger *partition = admin->deleting;
    if (answer->error_code == KAFKA_OFFSET_OUT_OF_RANGE && !partition->damaged)
        violation(admin->world, "%s-%d: DeleteRecords up to %lld is out of range, and %lld is there", partition->topic->name,
                  (int)partition->index, (long long)admin->deleting_to, (long long)partition->high);
    if (answer->error_code == 0 && answer->low_watermark < admin->deleting_to)
        violation(admin->world, "%s-%d: DeleteRecords up to %lld leaves %lld", partition->topic->name, (int)partition->index,
                  (long long)admin->deleting_to, (long long)answer->low_watermark);
}

static void alter(struct admin *admin) {
    struct incremental_alter_configs_request request;
    struct incremental_alter_configs_request_alter_configs_resource resource;
    struct incremental_alter_configs_request_alterable_config config;
    struct world *world = admin->world;
    char text[24];
    int32_t unused;
    incremental_alter_configs_request_init(&request);
    incremental_alter_configs_request_alter_configs_resource_init(&resource);
    incremental_alter_configs_request_alterable_config_init(&config);
    resource.resource_type = TOPIC_CONFIG;
    resource.resource_name = slice_str(world->topics[world_random(world, (uint64_t)world->topic_count)].name);
    bool bytes = world_chance(world, 2);
    snprintf(text, sizeof text, "%llu", (unsigned long long)(bytes ? 300000 + world_random(world, 1 << 20) : 500 + world_random(world, 30000)));
    config.name = slice_str(bytes ? "internal.segment.bytes" : "segment.ms");
    config.config_operation = CONFIG_SET;
    config.value = slice_str(text);
    resource.configs = &config;
    resource.configs_count = 1;
    request.resources = &resource;
    request.resources_count = 1;
    client_send(&admin->client, API_INCREMENTAL_ALTER_CONFIGS, 1, incremental_alter_configs, &request, &unused);
    admin->busy = true;
}

/* ---- what comes next ------------------------------------------------------------------------------------------------------ */

static void go_on(struct admin *admin) {
    struct world *world = admin->world;
    if (admin->busy || !client_is_ready(&admin->client))
        return;
    if (admin->making < world->made_count) {
        if (world->topics[admin->making].created)
            ask_metadata(admin);
        else
            make_topic(admin);
        return;
    }
    admin->ready = true;
    if (admin->finishing)
        return;
    uint64_t what = world_random(world, 10);
    if (what < 2)
        delete_records(admin);
    else if (what < 4)
        alter(admin);
    else if (admin->churn == ABSENT)
        create_topic(admin, CHURN, 1 + (int)world_random(world, 3), NULL, 0);
    else if (admin->churn == UNKNOWN || world_chance(world, 3))
        delete_churn(admin);
    else
        produce_churn(admin);
    think(admin, 1500);
}

static void answered(struct client *client, int32_t correlation, int16_t key, int16_t version, struct decoder *body) {
    struct admin *admin = container_of(client, struct admin, client);
    struct incremental_alter_configs_response altered;
    (void)correlation;
    admin->busy = false;
    if (key == API_CREATE_TOPICS)
        made(admin, version, body);
    else if (key == API_METADATA)
        described(admin, version, body);
    else if (key == API_DELETE_TOPICS)
        deleted(admin, version, body);
    else if (key == API_PRODUCE)
        produced(admin, version, body);
    else if (key == API_DELETE_RECORDS)
        records_deleted(admin, version, body);
    else if (incremental_alter_configs_response_decode(body, version, &altered))
        violation(admin->world, "an IncrementalAlterConfigs answer that cannot be read");
    think(admin, 1500);
}

static void connection_lost(struct client *client) {
    struct admin *admin = container_of(client, struct admin, client);
    admin->busy = false;
    admin->churn = UNKNOWN;
}

static void connected(struct client *client) {
    think(container_of(client, struct admin, client), 20);
}

struct admin *admin_create(struct world *world) {
    struct admin *admin = mem_new(struct admin);
    admin->world = world;
    admin->think.fire = thought;
    admin->client.on_connected = connected;
    admin->client.on_answer = answered;
    admin->client.on_lost = connection_lost;
    client_start(&admin->client, world);
    return admin;
}

bool admin_is_ready(const struct admin *admin) {
    return admin->ready;
}
void admin_finish(struct admin *admin) {
    admin->finishing = true;
}
bool admin_is_idle(const struct admin *admin) {
    return !admin->busy;
}
