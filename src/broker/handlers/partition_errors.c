#include "broker/handlers/partition_errors.h"

#include "base/mem.h"

struct topic_key {
    struct slice name;
    struct uuid id;
};

static bool is_topic(const struct map_node *node, const void *key) {
    const struct partition_errors_topic *topic = container_of(node, struct partition_errors_topic, node);
    const struct topic_key *k = key;
    return slice_eq(topic->name, k->name) && uuid_eq(topic->id, k->id);
}

static void drop_map(void *arg) {
    map_deinit(arg);
}

void partition_errors_init(struct partition_errors *errors, struct arena *arena, int32_t topics, int32_t partitions) {
    *errors = (struct partition_errors){.arena = arena};
    errors->topics = arena_array(arena, struct partition_errors_topic, topics);
    errors->entries = arena_array(arena, struct partition_errors_entry, partitions);
    arena_on_reset(arena, drop_map, &errors->by_topic);
}

void partition_errors_add(struct partition_errors *errors, struct slice name, struct uuid id, int32_t partition, int16_t error) {
    struct topic_key key = {name, id};
    uint64_t hash = hash_slice(name) ^ uuid_hash(id);
    struct partition_errors_entry *entry = &errors->entries[errors->count];
    const struct partition_errors_entry *last = errors->count ? entry - 1 : NULL;
    struct partition_errors_topic *topic = last && is_topic(&errors->topics[last->topic].node, &key) ? &errors->topics[last->topic] : NULL;
    struct map_node *node = topic ? &topic->node : map_find(&errors->by_topic, hash, is_topic, &key);
    if (node) {
        topic = container_of(node, struct partition_errors_topic, node);
    } else {
        topic = &errors->topics[errors->topic_count++];
        topic->name = name;
        topic->id = id;
        map_insert(&errors->by_topic, &topic->node, hash);
    }
    *entry = (struct partition_errors_entry){(int32_t)(topic - errors->topics), {partition, error}};
    errors->count++;
    topic->count++;
}

void partition_errors_sort(struct partition_errors *errors) {
    struct partition_error *all = arena_array(errors->arena, struct partition_error, errors->count);
    for (int32_t t = 0; t < errors->topic_count; t++) {
        errors->topics[t].partitions = all;
        all += errors->topics[t].count;
        errors->topics[t].count = 0;
    }
    for (int32_t i = 0; i < errors->count; i++) {
        struct partition_errors_topic *topic = &errors->topics[errors->entries[i].topic];
        topic->partitions[topic->count++] = errors->entries[i].error;
    }
}
