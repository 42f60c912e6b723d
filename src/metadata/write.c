/* An image as records: what a snapshot holds, in Kafka's order, in the versions of the image's metadata.version. */
#include "base/check.h"
#include "metadata/image_internal.h"
#include "protocol/config_record.h"
#include "protocol/feature_level_record.h"
#include "protocol/partition_record.h"
#include "protocol/producer_ids_record.h"
#include "protocol/register_broker_record.h"
#include "protocol/topic_record.h"

struct writer {
    struct image *image;
    struct buf buf;
    void (*fn)(void *arg, struct slice record);
    void *arg;
};

#define WRITE(w, type, version, name, message)                                                       \
    do {                                                                                             \
        buf_clear(&(w)->buf);                                                                        \
        RECORD_FRAME(&(w)->buf, type, version, name, message);                                       \
        (w)->fn((w)->arg, buf_slice(&(w)->buf));                                                     \
    } while (0)

static void write_feature(struct writer *w, struct slice name, int16_t level) {
    struct feature_level_record record;
    feature_level_record_init(&record);
    record.name = name;
    record.feature_level = level;
    WRITE(w, RECORD_FEATURE_LEVEL, 0, feature_level_record, &record);
}

static void write_broker(struct writer *w, const struct image_broker *broker) {
    struct arena *arena = &w->image->scratch;
    struct register_broker_record record;
    register_broker_record_init(&record);
    record.broker_id = broker->id;
    record.incarnation_id = broker->incarnation;
    record.broker_epoch = broker->epoch;
    record.rack = broker->rack;
    record.fenced = broker->fenced;
    record.in_controlled_shutdown = broker->in_controlled_shutdown;
    record.log_dirs = broker->dirs;
    record.log_dirs_count = broker->dir_count;
    if (broker->cordoned_count) {
        record.cordoned_log_dirs = broker->cordoned;
        record.cordoned_log_dirs_count = broker->cordoned_count;
    }
    record.end_points_count = broker->endpoint_count;
    record.end_points = arena_array(arena, struct register_broker_record_broker_endpoint, broker->endpoint_count + 1);
    for (int i = 0; i < broker->endpoint_count; i++) {
        const struct image_endpoint *e = &broker->endpoints[i];
        record.end_points[i] = (struct register_broker_record_broker_endpoint){e->name, e->host, e->port, e->security_protocol};
    }
    record.features_count = broker->feature_count;
    record.features = arena_array(arena, struct register_broker_record_broker_feature, broker->feature_count + 1);
    for (int i = 0; i < broker->feature_count; i++) {
        const struct image_feature_range *f = &broker->features[i];
        record.features[i] = (struct register_broker_record_broker_feature){f->name, f->min, f->max};
    }
    int mv = w->image->metadata_version, version = mv >= 30 ? 4 : mv >= 17 ? 3 : mv >= 8 ? 2 : 1;
    if (version < 3)
        record.log_dirs_count = 0;
    if (version < 4)
        record.cordoned_log_dirs_count = -1;
    WRITE(w, RECORD_REGISTER_BROKER, version, register_broker_record, &record);
}

static void write_partition(struct writer *w, const struct image_topic *topic, int32_t index) {
    const struct image_partition *partition = &topic->partitions[index];
    if (partition->partition_epoch < 0)
        return;
    int mv = w->image->metadata_version, version = mv >= 23 ? 2 : mv >= 17 ? 1 : 0;
    struct partition_record record;
    partition_record_init(&record);
    record.partition_id = index;
    record.topic_id = topic->id;
    int32_t *at = partition->ids;
    record.replicas = at, record.replicas_count = partition->replica_count, at += partition->replica_count;
    record.isr = at, record.isr_count = partition->isr_count, at += partition->isr_count;
    record.removing_replicas = at, record.removing_replicas_count = partition->removing_count, at += partition->removing_count;
    record.adding_replicas = at, record.adding_replicas_count = partition->adding_count, at += partition->adding_count;
    if (version >= 2 && image_feature(w->image, "eligible.leader.replicas.version")) {
        if (partition->elr_count)
            record.eligible_leader_replicas = at, record.eligible_leader_replicas_count = partition->elr_count;
        at += partition->elr_count;
        if (partition->last_elr_count)
            record.last_known_elr = at, record.last_known_elr_count = partition->last_elr_count;
    }
    record.leader = partition->leader;
    record.leader_epoch = partition->leader_epoch;
    record.partition_epoch = partition->partition_epoch;
    record.leader_recovery_state = partition->recovery_state;
    if (version >= 1) {
        record.directories = partition->directories;
        if (!partition->directories)
            record.directories = arena_array(&w->image->scratch, struct uuid, partition->replica_count + 1);
        record.directories_count = partition->replica_count;
    }
    WRITE(w, RECORD_PARTITION, version, partition_record, &record);
}

static void write_resource(struct writer *w, const struct image_resource *resource) {
    for (int i = 0; i < resource->count; i++) {
        struct config_record record;
        config_record_init(&record);
        record.resource_type = resource->type;
        record.resource_name = resource->name;
        record.name = resource->configs[i].key;
        record.value = resource->configs[i].value;
        WRITE(w, RECORD_CONFIG, 0, config_record, &record);
    }
}

static void write_kept(struct writer *w, int32_t type) {
    map_each(node, &w->image->kept) {
        const struct image_kept *kept = container_of(node, struct image_kept, node);
        if (kept->type == type)
            w->fn(w->arg, kept->record);
    }
}

void image_write(struct image *image, void (*fn)(void *arg, struct slice record), void *arg) {
    struct writer w = {.image = image, .fn = fn, .arg = arg};
    if (image->metadata_version)
        write_feature(&w, SLICE_LIT("metadata.version"), image->metadata_version);
    for (int i = 0; i < image->feature_count; i++)
        if (!slice_eq_str(image->features[i].name, "metadata.version"))
            write_feature(&w, image->features[i].name, image->features[i].level);
    map_each(node, &image->brokers) {
        arena_reset(&image->scratch);
        write_broker(&w, container_of(node, struct image_broker, node));
    }
    write_kept(&w, RECORD_REGISTER_CONTROLLER);
    map_each(node, &image->topics_by_id) {
        const struct image_topic *topic = container_of(node, struct image_topic, by_id);
        struct topic_record record;
        topic_record_init(&record);
        record.name = topic->name;
        record.topic_id = topic->id;
        WRITE(&w, RECORD_TOPIC, 0, topic_record, &record);
        for (int32_t i = 0; i < topic->partition_count; i++) {
            arena_reset(&image->scratch);
            write_partition(&w, topic, i);
        }
    }
    map_each(node, &image->resources)
        write_resource(&w, container_of(node, struct image_resource, node));
    write_kept(&w, RECORD_CLIENT_QUOTA);
    if (image->next_producer_id) {
        struct producer_ids_record record;
        producer_ids_record_init(&record);
        record.broker_id = -1;
        record.next_producer_id = image->next_producer_id;
        WRITE(&w, RECORD_PRODUCER_IDS, 0, producer_ids_record, &record);
    }
    write_kept(&w, RECORD_ACL);
    write_kept(&w, RECORD_USER_SCRAM);
    write_kept(&w, RECORD_DELEGATION_TOKEN);
    buf_deinit(&w.buf);
}
