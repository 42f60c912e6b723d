/* The cluster's state as the metadata log tells it: what every record, applied in order, adds up to.
 *
 * Each shard has an image of its own and applies the same committed records; the controller has one that runs ahead
 * with records not yet committed. Pure: bytes in, state and callbacks out. Strings in it are owned by the image and
 * valid until the entry changes. */
#ifndef METADATA_IMAGE_H
#define METADATA_IMAGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/uuid.h"

enum { CONFIG_RESOURCE_TOPIC = 2, CONFIG_RESOURCE_BROKER = 4, CONFIG_RESOURCE_BROKER_LOGGER = 8,
       CONFIG_RESOURCE_CLIENT_METRICS = 16, CONFIG_RESOURCE_GROUP = 32 };

struct image_partition {
    int32_t leader, leader_epoch, partition_epoch; /* leader -1: none; epoch -1: no such partition (yet) */
    int8_t recovery_state;
    uint8_t replica_count, isr_count, removing_count, adding_count, elr_count, last_elr_count;
    int32_t *ids;            /* replicas, isr, removing, adding, elr, last known elr, one behind the other */
    struct uuid *directories; /* one a replica; NULL: none known */
};
static inline const int32_t *image_replicas(const struct image_partition *p) {
    return p->ids;
}
static inline const int32_t *image_isr(const struct image_partition *p) {
    return p->ids + p->replica_count;
}

struct image_topic {
    struct map_node by_name, by_id;
    struct uuid id;
    struct slice name;
    int32_t partition_count;
    struct image_partition *partitions;
};

struct image_endpoint {
    struct slice name, host;
    uint16_t port;
    int16_t security_protocol;
};
struct image_feature_range {
    struct slice name;
    int16_t min, max;
};
struct image_broker {
    struct map_node node;
    int32_t id;
    int64_t epoch;
    struct uuid incarnation;
    bool fenced, in_controlled_shutdown;
    struct slice rack; /* null: none */
    struct image_endpoint *endpoints;
    int endpoint_count;
    struct image_feature_range *features;
    int feature_count;
    struct uuid *dirs, *cordoned;
    int dir_count, cordoned_count;
    int64_t registration_offset;
};

struct image_config {
    struct slice key, value;
};
struct image_resource { /* the configuration of one resource */
    struct map_node node;
    int8_t type;
    struct slice name;
    struct image_config *configs; /* in order of key */
    int count, capacity;
};

struct image_feature {
    struct slice name;
    int16_t level;
};

/* Records that are kept and written to snapshots as they came: quotas, SCRAM, ACLs, tokens, controllers. */
struct image_kept {
    struct map_node node;
    int32_t type;
    struct slice identity; /* what a later record of the type must equal to replace or remove it */
    struct slice record;   /* framed */
};

struct image;
/* What changed, called after the change. Any may be NULL. */
struct image_observer {
    void (*topic_added)(void *arg, const struct image_topic *topic);
    void (*topic_removed)(void *arg, const struct image_topic *topic); /* still whole */
    void (*partition_changed)(void *arg, const struct image_topic *topic, int32_t partition); /* also when it is new */
    void (*config_changed)(void *arg, int8_t type, struct slice name);
    void (*broker_changed)(void *arg, int32_t id);
    void (*feature_changed)(void *arg, struct slice name, int16_t level);
    void *arg;
};

struct image {
    int64_t offset;   /* last record applied; -1: none */
    int32_t epoch;    /* of that record */
    int64_t topics_added;   /* the last topic that was made is newer than any image whose offset is lower */
    int64_t topics_changed; /* how often a topic or partition came, changed or went */
    struct map topics_by_name, topics_by_id, brokers, resources, kept;
    struct image_feature *features;
    int feature_count;
    int16_t metadata_version; /* 0: not set yet */
    int64_t next_producer_id;
    int64_t partition_count;
    const struct image_observer *observer;
    struct arena scratch; /* of one record */
    bool in_transaction;
    struct buf held; /* records of the metadata transaction that is open */
};

struct image *image_create(const struct image_observer *observer);
void image_destroy(struct image *image);
/* Applies one record: uvar frame version, type, version, body. UNSUPPORTED: a type or version that is not known, which
 * stops a node, since its state would be wrong from there on. CORRUPT: not a record. NOT_FOUND: it speaks of what is not
 * there. */
enum err image_apply(struct image *image, struct slice record, int64_t offset, int32_t epoch) MUST_USE;
/* Applies the records of whole batches (uncompressed, as the metadata log's are); control batches are passed over. */
enum err image_replay(struct image *image, struct slice batches) MUST_USE;
/* Hands every record of a snapshot of the image to fn, in Kafka's order. */
void image_write(struct image *image, void (*fn)(void *arg, struct slice record), void *arg);

/* NULL: not there. */
struct image_topic *image_find_topic(const struct image *image, struct slice name);
struct image_topic *image_find_topic_id(const struct image *image, struct uuid id);
struct image_partition *image_find_partition(const struct image_topic *topic, int32_t partition);
struct image_broker *image_find_broker(const struct image *image, int32_t id);
struct image_resource *image_find_resource(const struct image *image, int8_t type, struct slice name);
/* The value set for a resource; null: not set. */
struct slice image_config(const struct image *image, int8_t type, struct slice name, struct slice key);
int16_t image_feature(const struct image *image, const char *name); /* 0: not finalized */
/* All topics in order of name, in the arena. */
const struct image_topic **image_topics_sorted(const struct image *image, struct arena *arena, int *ret_count);

/* Frames a record: the body is encoded by `encode`. */
#define RECORD_FRAME(buf, type, version, name, message)                                              \
    do {                                                                                             \
        struct encoder encoder_;                                                                     \
        encoder_init(&encoder_, (buf), NULL);                                                        \
        encode_uvarint(&encoder_, 1);                                                                \
        encode_uvarint(&encoder_, (type));                                                           \
        encode_uvarint(&encoder_, (uint32_t)(version));                                              \
        enum err record_err_ = name##_encode(&encoder_, (version), (message));                       \
        check(record_err_ == ERR_OK, "a record of ours cannot be encoded: %s", err_text(record_err_)); \
    } while (0)

#endif
