/* An image with topics, for the tests of what looks at one. */
#ifndef TESTS_UNIT_COORDINATOR_TOPICS_H
#define TESTS_UNIT_COORDINATOR_TOPICS_H

#include "base/check.h"
#include "base/mem.h"
#include "metadata/image_internal.h"
#include "protocol/partition_record.h"
#include "protocol/topic_record.h"
#include "tests/unit/test.h"

static inline void test_apply(struct image *image, struct buf *buf) {
    EXPECT_INT(image_apply(image, buf_slice(buf), image->offset + 1, 1), ERR_OK);
    buf_deinit(buf);
}

/* Adds the partitions from..to-1. */
static inline void test_partitions(struct image *image, struct uuid id, int32_t from, int32_t to) {
    for (int32_t i = from; i < to; i++) {
        struct buf buf = {0};
        struct partition_record record;
        partition_record_init(&record);
        int32_t one = 1;
        record.partition_id = i;
        record.topic_id = id;
        record.replicas = record.isr = &one;
        record.replicas_count = record.isr_count = 1;
        record.leader = 1;
        RECORD_FRAME(&buf, RECORD_PARTITION, 0, partition_record, &record);
        test_apply(image, &buf);
    }
}

/* `id` NULL: any. */
static inline struct uuid test_topic(struct image *image, const char *name, const char *id, int32_t partitions) {
    struct topic_record record;
    topic_record_init(&record);
    record.name = slice_str(name);
    record.topic_id = (struct uuid){hash_slice(record.name), 1};
    if (id)
        EXPECT(uuid_parse(slice_str(id), &record.topic_id));
    struct buf buf = {0};
    RECORD_FRAME(&buf, RECORD_TOPIC, 0, topic_record, &record);
    test_apply(image, &buf);
    test_partitions(image, record.topic_id, 0, partitions);
    return record.topic_id;
}

#endif
