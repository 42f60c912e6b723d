#include "metadata/image.h"

#include <stdlib.h>
#include "base/check.h"
#include "base/mem.h"
#include "metadata/image_internal.h"

static bool topic_name_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct image_topic, by_name)->name, *(const struct slice *)key);
}
static bool topic_id_is(const struct map_node *node, const void *key) {
    return uuid_eq(container_of(node, struct image_topic, by_id)->id, *(const struct uuid *)key);
}
static bool broker_is(const struct map_node *node, const void *key) {
    return container_of(node, struct image_broker, node)->id == *(const int32_t *)key;
}
struct resource_key {
    int8_t type;
    struct slice name;
};
static bool resource_is(const struct map_node *node, const void *key) {
    const struct image_resource *resource = container_of(node, struct image_resource, node);
    const struct resource_key *k = key;
    return resource->type == k->type && slice_eq(resource->name, k->name);
}
static uint64_t resource_hash(int8_t type, struct slice name) {
    return hash_slice(name) ^ hash_u64((uint64_t)type);
}

struct slice image_own(struct slice s) {
    return s.ptr ? slice_of(mem_strndup((const char *)s.ptr, s.size), s.size) : SLICE_NULL;
}
void image_disown(struct slice s) {
    mem_free((void *)s.ptr);
}

struct image *image_create(const struct image_observer *observer) {
    struct image *image = mem_new(struct image);
    image->offset = -1;
    image->epoch = -1;
    image->observer = observer;
    return image;
}

void image_free_topic(struct image_topic *topic) {
    for (int32_t i = 0; i < topic->partition_count; i++) {
        mem_free(topic->partitions[i].ids);
        mem_free(topic->partitions[i].directories);
    }
    mem_free(topic->partitions);
    image_disown(topic->name);
    mem_free(topic);
}

void image_free_broker(struct image_broker *broker) {
    for (int i = 0; i < broker->endpoint_count; i++) {
        image_disown(broker->endpoints[i].name);
        image_disown(broker->endpoints[i].host);
    }
    for (int i = 0; i < broker->feature_count; i++)
        image_disown(broker->features[i].name);
    mem_free(broker->endpoints);
    mem_free(broker->features);
    mem_free(broker->dirs);
    mem_free(broker->cordoned);
    image_disown(broker->rack);
    mem_free(broker);
}

void image_free_resource(struct image_resource *resource) {
    for (int i = 0; i < resource->count; i++) {
        image_disown(resource->configs[i].key);
        image_disown(resource->configs[i].value);
    }
    mem_free(resource->configs);
    image_disown(resource->name);
    mem_free(resource);
}

void image_free_kept(struct image_kept *kept) {
    image_disown(kept->identity);
    image_disown(kept->record);
    mem_free(kept);
}

void image_destroy(struct image *image) {
    if (!image)
        return;
    map_each_safe(node, &image->topics_by_id)
        image_free_topic(container_of(node, struct image_topic, by_id));
    map_each_safe(node, &image->brokers)
        image_free_broker(container_of(node, struct image_broker, node));
    map_each_safe(node, &image->resources)
        image_free_resource(container_of(node, struct image_resource, node));
    map_each_safe(node, &image->kept)
        image_free_kept(container_of(node, struct image_kept, node));
    map_deinit(&image->topics_by_name);
    map_deinit(&image->topics_by_id);
    map_deinit(&image->brokers);
    map_deinit(&image->resources);
    map_deinit(&image->kept);
    for (int i = 0; i < image->feature_count; i++)
        image_disown(image->features[i].name);
    mem_free(image->features);
    arena_deinit(&image->scratch);
    buf_deinit(&image->held);
    mem_free(image);
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

struct image_topic *image_find_topic(const struct image *image, struct slice name) {
    struct map_node *node = map_find(&image->topics_by_name, hash_slice(name), topic_name_is, &name);
    return node ? container_of(node, struct image_topic, by_name) : NULL;
}

struct image_topic *image_find_topic_id(const struct image *image, struct uuid id) {
    struct map_node *node = map_find(&image->topics_by_id, uuid_hash(id), topic_id_is, &id);
    return node ? container_of(node, struct image_topic, by_id) : NULL;
}

struct image_partition *image_find_partition(const struct image_topic *topic, int32_t partition) {
    if (!topic || partition < 0 || partition >= topic->partition_count || topic->partitions[partition].partition_epoch < 0)
        return NULL;
    return &topic->partitions[partition];
}

struct image_broker *image_find_broker(const struct image *image, int32_t id) {
    struct map_node *node = map_find(&image->brokers, hash_u64((uint64_t)id), broker_is, &id);
    return node ? container_of(node, struct image_broker, node) : NULL;
}

struct image_resource *image_find_resource(const struct image *image, int8_t type, struct slice name) {
    struct resource_key key = {type, name};
    struct map_node *node = map_find(&image->resources, resource_hash(type, name), resource_is, &key);
    return node ? container_of(node, struct image_resource, node) : NULL;
}

struct slice image_config(const struct image *image, int8_t type, struct slice name, struct slice key) {
    const struct image_resource *resource = image_find_resource(image, type, name);
    for (int i = 0; resource && i < resource->count; i++)
        if (slice_eq(resource->configs[i].key, key))
            return resource->configs[i].value;
    return SLICE_NULL;
}

int16_t image_feature(const struct image *image, const char *name) {
    for (int i = 0; i < image->feature_count; i++)
        if (slice_eq_str(image->features[i].name, name))
            return image->features[i].level;
    return 0;
}

static int compare_topics(const void *a, const void *b) {
    return slice_cmp((*(const struct image_topic *const *)a)->name, (*(const struct image_topic *const *)b)->name);
}

const struct image_topic **image_topics_sorted(const struct image *image, struct arena *arena, int *ret_count) {
    int count = 0;
    const struct image_topic **topics = arena_array(arena, const struct image_topic *, image->topics_by_id.count + 1);
    map_each(node, &image->topics_by_id)
        topics[count++] = container_of(node, struct image_topic, by_id);
    qsort(topics, (size_t)count, sizeof *topics, compare_topics);
    *ret_count = count;
    return topics;
}

void image_add_topic(struct image *image, struct image_topic *topic) {
    map_insert(&image->topics_by_name, &topic->by_name, hash_slice(topic->name));
    map_insert(&image->topics_by_id, &topic->by_id, uuid_hash(topic->id));
}
void image_add_broker(struct image *image, struct image_broker *broker) {
    map_insert(&image->brokers, &broker->node, hash_u64((uint64_t)broker->id));
}
struct image_resource *image_get_resource(struct image *image, int8_t type, struct slice name) {
    struct image_resource *resource = image_find_resource(image, type, name);
    if (!resource) {
        resource = mem_new(struct image_resource);
        resource->type = type;
        resource->name = image_own(name);
        map_insert(&image->resources, &resource->node, resource_hash(type, name));
    }
    return resource;
}
