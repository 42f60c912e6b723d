/* This node registers with its own controller, as controller and broker, and leads what it can again. The records are
 * those of a broker that registers fenced and is unfenced by its first heartbeat (KIP-631), in one batch. */
#include "controller/controller.h"
#include "metadata/features.h"
#include "metadata/image_internal.h"
#include "protocol/broker_registration_change_record.h"
#include "protocol/partition_change_record.h"
#include "protocol/register_broker_record.h"
#include "protocol/register_controller_record.h"

static void add_controller(struct decision *decision, const struct controller_registration *registration) {
    const struct broker_config *config = decision->config;
    struct feature_range ranges[FEATURES_MAX];
    struct register_controller_record record;
    register_controller_record_init(&record);
    record.controller_id = config->node_id;
    record.incarnation_id = registration->incarnation;
    struct register_controller_record_controller_endpoint endpoint = {
        config->controller_listener.name, slice_str(config->controller_listener.host), config->controller_listener.port,
        config->controller_listener.protocol};
    record.end_points = &endpoint;
    record.end_points_count = config->has_controller_listener ? 1 : 0;
    record.features_count = features_supported(ranges);
    struct register_controller_record_controller_feature features[FEATURES_MAX];
    for (int i = 0; i < record.features_count; i++)
        features[i] = (struct register_controller_record_controller_feature){slice_str(ranges[i].name), ranges[i].min, ranges[i].max};
    record.features = features;
    DECISION_RECORD(decision, RECORD_REGISTER_CONTROLLER, 0, register_controller_record, &record);
}

static void add_broker(struct decision *decision, const struct controller_registration *registration, int64_t epoch) {
    const struct broker_config *config = decision->config;
    int mv = decision->image->metadata_version, version = mv >= 30 ? 4 : mv >= 17 ? 3 : mv >= 8 ? 2 : 1;
    struct feature_range ranges[FEATURES_MAX];
    struct register_broker_record record;
    register_broker_record_init(&record);
    record.broker_id = config->node_id;
    record.incarnation_id = registration->incarnation;
    record.broker_epoch = epoch;
    record.rack = broker_config_get(config, "broker.rack");
    record.end_points_count = config->advertised_count;
    struct register_broker_record_broker_endpoint endpoints[LISTENERS_MAX];
    for (int i = 0; i < config->advertised_count; i++) {
        const struct config_listener *listener = &config->advertised[i];
        endpoints[i] = (struct register_broker_record_broker_endpoint){
            listener->name, slice_str(listener->host), listener->port ? listener->port : registration->port, listener->protocol};
    }
    record.end_points = endpoints;
    record.features_count = features_supported(ranges);
    struct register_broker_record_broker_feature features[FEATURES_MAX];
    for (int i = 0; i < record.features_count; i++)
        features[i] = (struct register_broker_record_broker_feature){slice_str(ranges[i].name), ranges[i].min, ranges[i].max};
    record.features = features;
    if (version >= 3) {
        record.log_dirs = (struct uuid *)registration->dirs;
        record.log_dirs_count = registration->dir_count;
    }
    if (version >= 4 && registration->cordoned_count) {
        record.cordoned_log_dirs = (struct uuid *)registration->cordoned;
        record.cordoned_log_dirs_count = registration->cordoned_count;
    }
    DECISION_RECORD(decision, RECORD_REGISTER_BROKER, version, register_broker_record, &record);
}

static void add_unfence(struct decision *decision, int64_t epoch) {
    struct broker_registration_change_record record;
    broker_registration_change_record_init(&record);
    record.broker_id = decision->config->node_id;
    record.broker_epoch = epoch;
    record.fenced = -1;
    DECISION_RECORD(decision, RECORD_BROKER_REGISTRATION_CHANGE, 0, broker_registration_change_record, &record);
}

static bool holds(const int32_t *ids, int count, int32_t id) {
    for (int i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Led by nobody: we lead it when we are in the ISR or the ELR, or were the last known leader. Led by us before a crash: a
 * new epoch tells clients and replicas that the log may have been cut. */
static void elect(struct decision *decision, const struct image_topic *topic, int32_t index, bool clean) {
    const struct image_partition *partition = &topic->partitions[index];
    int32_t self = decision->config->node_id;
    const int32_t *elr = partition->ids + partition->replica_count + partition->isr_count + partition->removing_count + partition->adding_count;
    bool in_isr = holds(image_isr(partition), partition->isr_count, self);
    bool in_elr = holds(elr, partition->elr_count, self);
    bool last = !partition->isr_count && !partition->elr_count &&
                holds(elr + partition->elr_count, partition->last_elr_count, self);
    if (partition->leader == self ? clean : partition->leader != -1 || (!in_isr && !in_elr && !last))
        return;
    int mv = decision->image->metadata_version;
    struct partition_change_record record;
    partition_change_record_init(&record);
    record.partition_id = index;
    record.topic_id = topic->id;
    record.leader = self;
    if (!in_isr) {
        record.isr = &self;
        record.isr_count = 1;
        record.eligible_leader_replicas_count = partition->elr_count ? 0 : -1;
        record.last_known_elr_count = partition->last_elr_count ? 0 : -1;
    }
    DECISION_RECORD(decision, RECORD_PARTITION_CHANGE, mv >= 23 ? 2 : mv >= 17 ? 1 : 0, partition_change_record, &record);
}

void decide_registration(struct decision *decision, const struct controller_registration *registration, int64_t *ret_epoch) {
    if (decision->image->metadata_version >= 15)
        add_controller(decision, registration);
    *ret_epoch = decision->base_offset + decision->count;
    if (!decision->config->is_broker)
        return;
    add_broker(decision, registration, *ret_epoch);
    add_unfence(decision, *ret_epoch);
    map_each(node, &decision->image->topics_by_id) {
        const struct image_topic *topic = container_of(node, struct image_topic, by_id);
        for (int32_t i = 0; i < topic->partition_count; i++)
            if (topic->partitions[i].partition_epoch >= 0)
                elect(decision, topic, i, registration->clean);
    }
}
