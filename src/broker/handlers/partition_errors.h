/* Errors of partitions in the order in which they become known, put together topic by topic for an answer: a topic that was
 * named twice stands there once, as in Kafka's answers. */
#ifndef BROKER_HANDLERS_PARTITION_ERRORS_H
#define BROKER_HANDLERS_PARTITION_ERRORS_H

#include "base/arena.h"
#include "base/map.h"
#include "base/uuid.h"

struct partition_error {
    int32_t partition;
    int16_t error;
};
struct partition_errors_topic {
    struct map_node node;
    struct slice name;
    struct uuid id; /* zero where names tell topics apart */
    struct partition_error *partitions; /* after partition_errors_sort() */
    int32_t count;
};
struct partition_errors {
    struct arena *arena;
    struct map by_topic;
    struct partition_errors_topic *topics;
    int32_t topic_count;
    struct partition_errors_entry {
        int32_t topic;
        struct partition_error error;
    } *entries;
    int32_t count;
};
/* With room for so many topics and partitions. */
void partition_errors_init(struct partition_errors *errors, struct arena *arena, int32_t topics, int32_t partitions);
void partition_errors_add(struct partition_errors *errors, struct slice topic, struct uuid id, int32_t partition, int16_t error);
/* Fills in topics[].partitions. Once, last. */
void partition_errors_sort(struct partition_errors *errors);

#endif
