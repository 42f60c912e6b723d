/* Applying records to an image, a function for each type. What a record lacks keeps its old value. */
#include "base/check.h"
#include "base/mem.h"
#include "metadata/image_internal.h"
#include "protocol/access_control_entry_record.h"
#include "protocol/batch.h"
#include "protocol/broker_registration_change_record.h"
#include "protocol/clear_elr_record.h"
#include "protocol/client_quota_record.h"
#include "protocol/config_record.h"
#include "protocol/delegation_token_record.h"
#include "protocol/feature_level_record.h"
#include "protocol/fence_broker_record.h"
#include "protocol/partition_change_record.h"
#include "protocol/partition_record.h"
#include "protocol/producer_ids_record.h"
#include "protocol/register_broker_record.h"
#include "protocol/register_controller_record.h"
#include "protocol/remove_access_control_entry_record.h"
#include "protocol/remove_delegation_token_record.h"
#include "protocol/remove_topic_record.h"
#include "protocol/remove_user_scram_credential_record.h"
#include "protocol/topic_record.h"
#include "protocol/unfence_broker_record.h"
#include "protocol/unregister_broker_record.h"
#include "protocol/unregister_controller_record.h"
#include "protocol/user_scram_credential_record.h"

enum { PARTITIONS_MAX = 1 << 20 }; /* of one topic: more is no record of a sane controller */

/* Decodes the body into *x or leaves the function. */
#define DECODE(name, x)                                                                              \
    struct name x;                                                                                   \
    do {                                                                                             \
        if (version < name##_VERSION_MIN_ || version > name##_VERSION_MAX_)                          \
            return ERR_UNSUPPORTED;                                                                  \
        enum err decode_err_ = name##_decode(d, version, &x);                                        \
        if (decode_err_)                                                                             \
            return ERR_CORRUPT;                                                                      \
    } while (0)
#define VERSIONS(name, NAME)                                                                         \
    enum { name##_VERSION_MIN_ = NAME##_VERSION_MIN, name##_VERSION_MAX_ = NAME##_VERSION_MAX }
VERSIONS(register_broker_record, REGISTER_BROKER_RECORD);
VERSIONS(unregister_broker_record, UNREGISTER_BROKER_RECORD);
VERSIONS(topic_record, TOPIC_RECORD);
VERSIONS(partition_record, PARTITION_RECORD);
VERSIONS(config_record, CONFIG_RECORD);
VERSIONS(partition_change_record, PARTITION_CHANGE_RECORD);
VERSIONS(fence_broker_record, FENCE_BROKER_RECORD);
VERSIONS(unfence_broker_record, UNFENCE_BROKER_RECORD);
VERSIONS(remove_topic_record, REMOVE_TOPIC_RECORD);
VERSIONS(delegation_token_record, DELEGATION_TOKEN_RECORD);
VERSIONS(user_scram_credential_record, USER_SCRAM_CREDENTIAL_RECORD);
VERSIONS(feature_level_record, FEATURE_LEVEL_RECORD);
VERSIONS(client_quota_record, CLIENT_QUOTA_RECORD);
VERSIONS(producer_ids_record, PRODUCER_IDS_RECORD);
VERSIONS(broker_registration_change_record, BROKER_REGISTRATION_CHANGE_RECORD);
VERSIONS(access_control_entry_record, ACCESS_CONTROL_ENTRY_RECORD);
VERSIONS(remove_access_control_entry_record, REMOVE_ACCESS_CONTROL_ENTRY_RECORD);
VERSIONS(remove_user_scram_credential_record, REMOVE_USER_SCRAM_CREDENTIAL_RECORD);
VERSIONS(remove_delegation_token_record, REMOVE_DELEGATION_TOKEN_RECORD);
VERSIONS(register_controller_record, REGISTER_CONTROLLER_RECORD);
VERSIONS(clear_elr_record, CLEAR_ELR_RECORD);
VERSIONS(unregister_controller_record, UNREGISTER_CONTROLLER_RECORD);

#define NOTIFY(image, fn, ...)                                                                       \
    do {                                                                                             \
        if ((image)->observer && (image)->observer->fn)                                              \
            (image)->observer->fn((image)->observer->arg, __VA_ARGS__);                              \
    } while (0)

/* ---- brokers ------------------------------------------------------------------------------------------------------ */

static struct uuid *copy_uuids(const struct uuid *from, int count) {
    if (count <= 0)
        return NULL;
    struct uuid *to = mem_alloc(sizeof *to * (size_t)count);
    memcpy(to, from, sizeof *to * (size_t)count);
    return to;
}

static void remove_broker(struct image *image, struct image_broker *broker) {
    map_remove(&image->brokers, &broker->node);
    image_free_broker(broker);
}

static enum err apply_register_broker(struct image *image, struct decoder *d, int version, int64_t offset) {
    DECODE(register_broker_record, record);
    struct image_broker *old = image_find_broker(image, record.broker_id);
    if (old)
        remove_broker(image, old);
    struct image_broker *broker = mem_new(struct image_broker);
    broker->id = record.broker_id;
    broker->epoch = record.broker_epoch;
    broker->incarnation = record.incarnation_id;
    broker->fenced = record.fenced;
    broker->in_controlled_shutdown = record.in_controlled_shutdown;
    broker->rack = image_own(record.rack);
    broker->registration_offset = offset;
    broker->endpoint_count = record.end_points_count;
    broker->endpoints = mem_zalloc(sizeof *broker->endpoints * (size_t)(record.end_points_count + 1));
    for (int i = 0; i < record.end_points_count; i++)
        broker->endpoints[i] = (struct image_endpoint){image_own(record.end_points[i].name), image_own(record.end_points[i].host),
                                                       record.end_points[i].port, record.end_points[i].security_protocol};
    broker->feature_count = record.features_count;
    broker->features = mem_zalloc(sizeof *broker->features * (size_t)(record.features_count + 1));
    for (int i = 0; i < record.features_count; i++)
        broker->features[i] = (struct image_feature_range){image_own(record.features[i].name),
                                                           record.features[i].min_supported_version,
                                                           record.features[i].max_supported_version};
    broker->dir_count = record.log_dirs_count;
    broker->dirs = copy_uuids(record.log_dirs, record.log_dirs_count);
    broker->cordoned_count = record.cordoned_log_dirs_count > 0 ? record.cordoned_log_dirs_count : 0;
    broker->cordoned = copy_uuids(record.cordoned_log_dirs, broker->cordoned_count);
    image_add_broker(image, broker);
    NOTIFY(image, broker_changed, broker->id);
    return ERR_OK;
}

static enum err find_broker_epoch(struct image *image, int32_t id, int64_t epoch, struct image_broker **ret_broker) {
    *ret_broker = image_find_broker(image, id);
    return *ret_broker && (*ret_broker)->epoch == epoch ? ERR_OK : ERR_NOT_FOUND;
}

static enum err apply_unregister_broker(struct image *image, struct decoder *d, int version) {
    DECODE(unregister_broker_record, record);
    struct image_broker *broker;
    enum err err = find_broker_epoch(image, record.broker_id, record.broker_epoch, &broker);
    if (err)
        return err;
    remove_broker(image, broker);
    NOTIFY(image, broker_changed, record.broker_id);
    return ERR_OK;
}

static enum err set_fenced(struct image *image, int32_t id, int64_t epoch, bool fenced) {
    struct image_broker *broker;
    enum err err = find_broker_epoch(image, id, epoch, &broker);
    if (err)
        return err;
    broker->fenced = fenced;
    NOTIFY(image, broker_changed, id);
    return ERR_OK;
}
static enum err apply_fence_broker(struct image *image, struct decoder *d, int version) {
    DECODE(fence_broker_record, record);
    return set_fenced(image, record.id, record.epoch, true);
}
static enum err apply_unfence_broker(struct image *image, struct decoder *d, int version) {
    DECODE(unfence_broker_record, record);
    return set_fenced(image, record.id, record.epoch, false);
}

static enum err apply_broker_change(struct image *image, struct decoder *d, int version) {
    DECODE(broker_registration_change_record, record);
    struct image_broker *broker;
    enum err err = find_broker_epoch(image, record.broker_id, record.broker_epoch, &broker);
    if (err)
        return err;
    if (record.fenced)
        broker->fenced = record.fenced > 0;
    if (record.in_controlled_shutdown)
        broker->in_controlled_shutdown = true;
    if (record.log_dirs_count > 0) {
        mem_free(broker->dirs);
        broker->dirs = copy_uuids(record.log_dirs, record.log_dirs_count);
        broker->dir_count = record.log_dirs_count;
    }
    if (record.cordoned_log_dirs_count >= 0) {
        mem_free(broker->cordoned);
        broker->cordoned = copy_uuids(record.cordoned_log_dirs, record.cordoned_log_dirs_count);
        broker->cordoned_count = record.cordoned_log_dirs_count;
    }
    NOTIFY(image, broker_changed, broker->id);
    return ERR_OK;
}

/* ---- topics ------------------------------------------------------------------------------------------------------- */

static enum err apply_topic(struct image *image, struct decoder *d, int version) {
    DECODE(topic_record, record);
    if (image_find_topic_id(image, record.topic_id) || image_find_topic(image, record.name))
        return ERR_EXISTS;
    struct image_topic *topic = mem_new(struct image_topic);
    topic->id = record.topic_id;
    topic->name = image_own(record.name);
    image_add_topic(image, topic);
    image->topics_added = image->offset + 1;
    image->topics_changed++;
    NOTIFY(image, topic_added, topic);
    return ERR_OK;
}

static void drop_resource(struct image *image, int8_t type, struct slice name) {
    struct image_resource *resource = image_find_resource(image, type, name);
    if (!resource)
        return;
    map_remove(&image->resources, &resource->node);
    image_free_resource(resource);
}

static enum err apply_remove_topic(struct image *image, struct decoder *d, int version) {
    DECODE(remove_topic_record, record);
    struct image_topic *topic = image_find_topic_id(image, record.topic_id);
    if (!topic)
        return ERR_NOT_FOUND;
    NOTIFY(image, topic_removed, topic);
    map_remove(&image->topics_by_name, &topic->by_name);
    map_remove(&image->topics_by_id, &topic->by_id);
    image->partition_count -= topic->partition_count;
    drop_resource(image, CONFIG_RESOURCE_TOPIC, topic->name);
    image_free_topic(topic);
    image->topics_changed++;
    return ERR_OK;
}

struct id_list {
    const int32_t *ids;
    int count;
};

/* The six lists of a partition in one block. */
static void set_ids(struct image_partition *partition, const struct id_list lists[6]) {
    int total = 0;
    for (int i = 0; i < 6; i++)
        total += lists[i].count;
    int32_t *ids = mem_alloc(sizeof *ids * (size_t)(total + 1)), *at = ids;
    uint8_t *counts[6] = {&partition->replica_count, &partition->isr_count, &partition->removing_count,
                          &partition->adding_count, &partition->elr_count, &partition->last_elr_count};
    for (int i = 0; i < 6; i++) {
        if (lists[i].count)
            memcpy(at, lists[i].ids, sizeof *ids * (size_t)lists[i].count);
        at += lists[i].count;
    }
    for (int i = 0; i < 6; i++)
        *counts[i] = (uint8_t)lists[i].count;
    mem_free(partition->ids);
    partition->ids = ids;
}

static void get_ids(const struct image_partition *partition, struct id_list lists[6]) {
    const uint8_t counts[6] = {partition->replica_count, partition->isr_count, partition->removing_count,
                               partition->adding_count, partition->elr_count, partition->last_elr_count};
    const int32_t *at = partition->ids;
    for (int i = 0; i < 6; i++) {
        lists[i] = (struct id_list){at, counts[i]};
        at += counts[i];
    }
}

static struct id_list list_of(const int32_t *ids, int32_t count) {
    return (struct id_list){ids, count > 0 ? count : 0};
}
static bool lists_fit(const struct id_list lists[6]) {
    for (int i = 0; i < 6; i++)
        if (lists[i].count > UINT8_MAX)
            return false;
    return true;
}

static enum err apply_partition(struct image *image, struct decoder *d, int version) {
    DECODE(partition_record, record);
    struct image_topic *topic = image_find_topic_id(image, record.topic_id);
    if (!topic)
        return ERR_NOT_FOUND;
    const struct id_list lists[6] = {
        list_of(record.replicas, record.replicas_count),
        list_of(record.isr, record.isr_count),
        list_of(record.removing_replicas, record.removing_replicas_count),
        list_of(record.adding_replicas, record.adding_replicas_count),
        list_of(record.eligible_leader_replicas, record.eligible_leader_replicas_count),
        list_of(record.last_known_elr, record.last_known_elr_count),
    };
    if (record.partition_id < 0 || record.partition_id >= PARTITIONS_MAX || !lists_fit(lists))
        return ERR_CORRUPT;
    if (record.partition_id >= topic->partition_count) {
        int32_t count = record.partition_id + 1;
        topic->partitions = mem_realloc(topic->partitions, sizeof *topic->partitions * (size_t)count);
        for (int32_t i = topic->partition_count; i < count; i++)
            topic->partitions[i] = (struct image_partition){.leader = -1, .partition_epoch = -1};
        image->partition_count += count - topic->partition_count;
        topic->partition_count = count;
    }
    struct image_partition *partition = &topic->partitions[record.partition_id];
    set_ids(partition, lists);
    mem_free(partition->directories);
    partition->directories =
        record.directories_count == record.replicas_count ? copy_uuids(record.directories, record.directories_count) : NULL;
    partition->leader = record.leader;
    partition->leader_epoch = record.leader_epoch;
    partition->partition_epoch = record.partition_epoch < 0 ? 0 : record.partition_epoch;
    partition->recovery_state = record.leader_recovery_state;
    image->topics_changed++;
    NOTIFY(image, partition_changed, topic, record.partition_id);
    return ERR_OK;
}

static enum err apply_partition_change(struct image *image, struct decoder *d, int version) {
    DECODE(partition_change_record, record);
    struct image_topic *topic = image_find_topic_id(image, record.topic_id);
    struct image_partition *partition = image_find_partition(topic, record.partition_id);
    if (!partition)
        return ERR_NOT_FOUND;
    struct id_list lists[6];
    get_ids(partition, lists);
    const struct id_list given[6] = {
        {record.replicas, record.replicas_count},
        {record.isr, record.isr_count},
        {record.removing_replicas, record.removing_replicas_count},
        {record.adding_replicas, record.adding_replicas_count},
        {record.eligible_leader_replicas, record.eligible_leader_replicas_count},
        {record.last_known_elr, record.last_known_elr_count},
    };
    for (int i = 0; i < 6; i++)
        if (given[i].count >= 0)
            lists[i] = given[i];
    if (!lists_fit(lists))
        return ERR_CORRUPT;
    int old_replicas = partition->replica_count;
    set_ids(partition, lists);
    if (record.directories_count >= 0 && record.directories_count == partition->replica_count) {
        mem_free(partition->directories);
        partition->directories = copy_uuids(record.directories, record.directories_count);
    } else if (partition->replica_count != old_replicas) {
        mem_free(partition->directories);
        partition->directories = NULL;
    }
    if (record.leader != -2) {
        partition->leader = record.leader;
        partition->leader_epoch++;
    }
    if (record.leader_recovery_state >= 0)
        partition->recovery_state = record.leader_recovery_state;
    partition->partition_epoch++;
    image->topics_changed++;
    NOTIFY(image, partition_changed, topic, record.partition_id);
    return ERR_OK;
}

static void clear_elr_of(struct image *image, struct image_topic *topic) {
    for (int32_t i = 0; i < topic->partition_count; i++) {
        struct image_partition *partition = &topic->partitions[i];
        if (!partition->elr_count && !partition->last_elr_count)
            continue;
        partition->elr_count = partition->last_elr_count = 0;
        partition->partition_epoch++;
        NOTIFY(image, partition_changed, topic, i);
    }
}

static enum err apply_clear_elr(struct image *image, struct decoder *d, int version) {
    DECODE(clear_elr_record, record);
    if (record.topic_name.size) {
        struct image_topic *topic = image_find_topic(image, record.topic_name);
        if (!topic)
            return ERR_NOT_FOUND;
        clear_elr_of(image, topic);
        return ERR_OK;
    }
    map_each(node, &image->topics_by_id)
        clear_elr_of(image, container_of(node, struct image_topic, by_id));
    return ERR_OK;
}

/* ---- configs, features, producer ids -------------------------------------------------------------------------------- */

static enum err apply_config(struct image *image, struct decoder *d, int version) {
    DECODE(config_record, record);
    struct image_resource *resource = image_get_resource(image, record.resource_type, record.resource_name);
    int at = 0;
    while (at < resource->count && slice_cmp(resource->configs[at].key, record.name) < 0)
        at++;
    bool there = at < resource->count && slice_eq(resource->configs[at].key, record.name);
    if (there) {
        image_disown(resource->configs[at].value);
        resource->configs[at].value = SLICE_NULL;
    }
    if (record.value.ptr && !there) {
        if (resource->count == resource->capacity) {
            resource->capacity = resource->capacity ? resource->capacity * 2 : 4;
            resource->configs = mem_realloc(resource->configs, sizeof *resource->configs * (size_t)resource->capacity);
        }
        memmove(resource->configs + at + 1, resource->configs + at, sizeof *resource->configs * (size_t)(resource->count - at));
        resource->count++;
        resource->configs[at] = (struct image_config){image_own(record.name), SLICE_NULL};
    }
    if (record.value.ptr) {
        resource->configs[at].value = image_own(record.value);
    } else if (there) {
        image_disown(resource->configs[at].key);
        memmove(resource->configs + at, resource->configs + at + 1, sizeof *resource->configs * (size_t)(resource->count - at - 1));
        resource->count--;
    }
    if (!resource->count)
        drop_resource(image, record.resource_type, record.resource_name);
    NOTIFY(image, config_changed, record.resource_type, record.resource_name);
    return ERR_OK;
}

static enum err apply_feature(struct image *image, struct decoder *d, int version) {
    DECODE(feature_level_record, record);
    if (slice_eq_str(record.name, "metadata.version"))
        image->metadata_version = record.feature_level;
    int at = 0;
    while (at < image->feature_count && !slice_eq(image->features[at].name, record.name))
        at++;
    if (at == image->feature_count && record.feature_level) {
        image->features = mem_realloc(image->features, sizeof *image->features * (size_t)(at + 1));
        image->features[at].name = image_own(record.name);
        image->feature_count++;
    }
    if (record.feature_level) {
        image->features[at].level = record.feature_level;
    } else if (at < image->feature_count) {
        image_disown(image->features[at].name);
        image->features[at] = image->features[--image->feature_count];
    }
    NOTIFY(image, feature_changed, record.name, record.feature_level);
    return ERR_OK;
}

static enum err apply_producer_ids(struct image *image, struct decoder *d, int version) {
    DECODE(producer_ids_record, record);
    image->next_producer_id = record.next_producer_id;
    return ERR_OK;
}

/* ---- records that are kept as they came ------------------------------------------------------------------------------ */

struct kept_key {
    int32_t type;
    struct slice identity;
};
static bool kept_is(const struct map_node *node, const void *key) {
    const struct image_kept *kept = container_of(node, struct image_kept, node);
    const struct kept_key *k = key;
    return kept->type == k->type && slice_eq(kept->identity, k->identity);
}

/* record null: removes. */
static enum err keep(struct image *image, int32_t type, struct slice identity, struct slice record) {
    struct kept_key key = {type, identity};
    uint64_t hash = hash_slice(identity) ^ hash_u64((uint64_t)type);
    struct map_node *node = map_find(&image->kept, hash, kept_is, &key);
    if (node) {
        struct image_kept *kept = container_of(node, struct image_kept, node);
        map_remove(&image->kept, node);
        image_free_kept(kept);
    }
    if (!record.ptr)
        return node ? ERR_OK : ERR_NOT_FOUND;
    struct image_kept *kept = mem_new(struct image_kept);
    kept->type = type;
    kept->identity = image_own(identity);
    kept->record = image_own(record);
    map_insert(&image->kept, &kept->node, hash);
    return ERR_OK;
}

static enum err apply_quota(struct image *image, struct decoder *d, int version, struct slice framed) {
    DECODE(client_quota_record, record);
    struct buf identity = {0};
    for (int i = 0; i < record.entity_count; i++) {
        buf_add_slice(&identity, record.entity[i].entity_type);
        buf_add_byte(&identity, record.entity[i].entity_name.ptr ? 1 : 2);
        buf_add_slice(&identity, record.entity[i].entity_name);
        buf_add_byte(&identity, 0);
    }
    buf_add_slice(&identity, record.key);
    enum err err = keep(image, RECORD_CLIENT_QUOTA, buf_slice(&identity), record.remove ? SLICE_NULL : framed);
    buf_deinit(&identity);
    return record.remove && err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err scram_identity(struct image *image, struct slice name, int8_t mechanism, struct slice framed) {
    struct buf identity = {0};
    buf_add_byte(&identity, (uint8_t)mechanism);
    buf_add_slice(&identity, name);
    enum err err = keep(image, RECORD_USER_SCRAM, buf_slice(&identity), framed);
    buf_deinit(&identity);
    return err;
}
static enum err apply_scram(struct image *image, struct decoder *d, int version, struct slice framed) {
    DECODE(user_scram_credential_record, record);
    return scram_identity(image, record.name, record.mechanism, framed);
}
static enum err apply_remove_scram(struct image *image, struct decoder *d, int version) {
    DECODE(remove_user_scram_credential_record, record);
    return scram_identity(image, record.name, record.mechanism, SLICE_NULL);
}
static enum err apply_acl(struct image *image, struct decoder *d, int version, struct slice framed) {
    DECODE(access_control_entry_record, record);
    return keep(image, RECORD_ACL, slice_of(&record.id, sizeof record.id), framed);
}
static enum err apply_remove_acl(struct image *image, struct decoder *d, int version) {
    DECODE(remove_access_control_entry_record, record);
    return keep(image, RECORD_ACL, slice_of(&record.id, sizeof record.id), SLICE_NULL);
}
static enum err apply_token(struct image *image, struct decoder *d, int version, struct slice framed) {
    DECODE(delegation_token_record, record);
    return keep(image, RECORD_DELEGATION_TOKEN, record.token_id, framed);
}
static enum err apply_remove_token(struct image *image, struct decoder *d, int version) {
    DECODE(remove_delegation_token_record, record);
    return keep(image, RECORD_DELEGATION_TOKEN, record.token_id, SLICE_NULL);
}
static enum err apply_controller(struct image *image, struct decoder *d, int version, struct slice framed) {
    DECODE(register_controller_record, record);
    return keep(image, RECORD_REGISTER_CONTROLLER, slice_of(&record.controller_id, sizeof record.controller_id), framed);
}
static enum err apply_remove_controller(struct image *image, struct decoder *d, int version) {
    DECODE(unregister_controller_record, record);
    return keep(image, RECORD_REGISTER_CONTROLLER, slice_of(&record.controller_id, sizeof record.controller_id), SLICE_NULL);
}

/* ---- the switch ------------------------------------------------------------------------------------------------------ */

static enum err apply_typed(struct image *image, uint32_t type, int version, struct decoder *d, struct slice framed,
                            int64_t offset) {
    switch (type) {
    case RECORD_REGISTER_BROKER: return apply_register_broker(image, d, version, offset);
    case RECORD_UNREGISTER_BROKER: return apply_unregister_broker(image, d, version);
    case RECORD_TOPIC: return apply_topic(image, d, version);
    case RECORD_PARTITION: return apply_partition(image, d, version);
    case RECORD_CONFIG: return apply_config(image, d, version);
    case RECORD_PARTITION_CHANGE: return apply_partition_change(image, d, version);
    case RECORD_FENCE_BROKER: return apply_fence_broker(image, d, version);
    case RECORD_UNFENCE_BROKER: return apply_unfence_broker(image, d, version);
    case RECORD_REMOVE_TOPIC: return apply_remove_topic(image, d, version);
    case RECORD_DELEGATION_TOKEN: return apply_token(image, d, version, framed);
    case RECORD_USER_SCRAM: return apply_scram(image, d, version, framed);
    case RECORD_FEATURE_LEVEL: return apply_feature(image, d, version);
    case RECORD_CLIENT_QUOTA: return apply_quota(image, d, version, framed);
    case RECORD_PRODUCER_IDS: return apply_producer_ids(image, d, version);
    case RECORD_BROKER_REGISTRATION_CHANGE: return apply_broker_change(image, d, version);
    case RECORD_ACL: return apply_acl(image, d, version, framed);
    case RECORD_REMOVE_ACL: return apply_remove_acl(image, d, version);
    case RECORD_REMOVE_USER_SCRAM: return apply_remove_scram(image, d, version);
    case RECORD_REMOVE_DELEGATION_TOKEN: return apply_remove_token(image, d, version);
    case RECORD_REGISTER_CONTROLLER: return apply_controller(image, d, version, framed);
    case RECORD_UNREGISTER_CONTROLLER: return apply_remove_controller(image, d, version);
    case RECORD_CLEAR_ELR: return apply_clear_elr(image, d, version);
    case RECORD_NO_OP:
    case RECORD_ZK_MIGRATION:
        return ERR_OK;
    default:
        return ERR_UNSUPPORTED;
    }
}

static enum err apply_one(struct image *image, struct slice record, int64_t offset) {
    arena_reset(&image->scratch);
    struct decoder d = decoder_of(record, &image->scratch);
    uint32_t frame = decode_uvarint(&d), type = decode_uvarint(&d), version = decode_uvarint(&d);
    if (d.err)
        return ERR_CORRUPT;
    if (frame != 1 || version > INT16_MAX)
        return ERR_UNSUPPORTED;
    return apply_typed(image, type, (int)version, &d, record, offset);
}

/* ---- metadata transactions: records between Begin and End are applied together, or, with Abort, not at all ------------- */

struct held_record { /* in image->held, before its bytes */
    int64_t offset;
    uint64_t size;
};

static void hold_record(struct image *image, struct slice record, int64_t offset) {
    struct held_record held = {offset, record.size};
    buf_add(&image->held, &held, sizeof held);
    buf_add_slice(&image->held, record);
}

static enum err apply_held(struct image *image) {
    enum err err = ERR_OK;
    for (size_t at = 0; at < image->held.size && !err;) {
        struct held_record held;
        memcpy(&held, image->held.ptr + at, sizeof held);
        err = apply_one(image, slice_of(image->held.ptr + at + sizeof held, held.size), held.offset);
        at += sizeof held + held.size;
    }
    return err;
}

static enum err apply_in_transaction(struct image *image, struct slice record, int64_t offset) {
    int type = record.size > 1 ? record.ptr[1] : -1; /* types are below 128: one byte */
    if (type == RECORD_BEGIN_TXN || type == RECORD_END_TXN || type == RECORD_ABORT_TXN) {
        if ((type == RECORD_BEGIN_TXN) == image->in_transaction)
            return ERR_CORRUPT;
        enum err err = type == RECORD_END_TXN ? apply_held(image) : ERR_OK;
        image->in_transaction = type == RECORD_BEGIN_TXN;
        buf_deinit(&image->held);
        return err;
    }
    if (!image->in_transaction)
        return apply_one(image, record, offset);
    hold_record(image, record, offset);
    return ERR_OK;
}

enum err image_apply(struct image *image, struct slice record, int64_t offset, int32_t epoch) {
    enum err err = apply_in_transaction(image, record, offset);
    if (err)
        return err;
    image->offset = offset;
    image->epoch = epoch;
    return ERR_OK;
}

enum err image_replay(struct image *image, struct slice batches) {
    for (size_t at = 0; at < batches.size; at += batch_size(batches.ptr + at)) {
        const uint8_t *batch = batches.ptr + at;
        enum err err = batch_check(slice_of(batch, batches.size - at));
        if (err)
            return err;
        image->offset = batch_last_offset(batch);
        image->epoch = batch_leader_epoch(batch);
        if (batch_is_control(batch))
            continue;
        struct record_iterator it;
        struct record record;
        record_iterator_init(&it, batch, slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE));
        while (!(err = record_next(&it, &record))) {
            err = image_apply(image, record.value, record.offset, batch_leader_epoch(batch));
            if (err)
                return err;
        }
        if (err != ERR_NOT_FOUND)
            return err;
    }
    return ERR_OK;
}
