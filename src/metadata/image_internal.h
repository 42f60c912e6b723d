/* Shared by image.c, apply.c and write.c. */
#ifndef METADATA_IMAGE_INTERNAL_H
#define METADATA_IMAGE_INTERNAL_H

#include "metadata/image.h"

enum metadata_record_type {
    RECORD_REGISTER_BROKER = 0, RECORD_UNREGISTER_BROKER = 1, RECORD_TOPIC = 2, RECORD_PARTITION = 3, RECORD_CONFIG = 4,
    RECORD_PARTITION_CHANGE = 5, RECORD_FENCE_BROKER = 7, RECORD_UNFENCE_BROKER = 8, RECORD_REMOVE_TOPIC = 9,
    RECORD_DELEGATION_TOKEN = 10, RECORD_USER_SCRAM = 11, RECORD_FEATURE_LEVEL = 12, RECORD_CLIENT_QUOTA = 14,
    RECORD_PRODUCER_IDS = 15, RECORD_BROKER_REGISTRATION_CHANGE = 17, RECORD_ACL = 18, RECORD_REMOVE_ACL = 19,
    RECORD_NO_OP = 20, RECORD_ZK_MIGRATION = 21, RECORD_REMOVE_USER_SCRAM = 22, RECORD_BEGIN_TXN = 23,
    RECORD_END_TXN = 24, RECORD_ABORT_TXN = 25, RECORD_REMOVE_DELEGATION_TOKEN = 26, RECORD_REGISTER_CONTROLLER = 27,
    RECORD_CLEAR_ELR = 28, RECORD_UNREGISTER_CONTROLLER = 29,
};

struct slice image_own(struct slice s); /* a copy on the heap; null stays null */
void image_disown(struct slice s);
void image_free_topic(struct image_topic *topic);
void image_free_broker(struct image_broker *broker);
void image_free_resource(struct image_resource *resource);
void image_free_kept(struct image_kept *kept);
void image_add_topic(struct image *image, struct image_topic *topic);
void image_add_broker(struct image *image, struct image_broker *broker);
struct image_resource *image_get_resource(struct image *image, int8_t type, struct slice name);

#endif
