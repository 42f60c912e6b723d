#include "coordinator/metadata_hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>

#include "base/endian.h"
#include "base/mem.h"

static void add_le(struct buf *buf, uint64_t x, int size) {
    for (int i = 0; i < size; i++)
        buf_add_byte(buf, (uint8_t)(x >> (8 * i)));
}

/* Appends the text's UTF-16 units; their count. Bytes that are not UTF-8 count as U+FFFD, as Java reads them. */
static uint32_t add_utf16(struct buf *buf, struct slice s) {
    uint32_t units = 0;
    for (size_t i = 0; i < s.size;) {
        uint32_t c = s.ptr[i];
        size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 9;
        if (more && i + more < s.size && more < 9) {
            c &= 0x3fu >> more;
            for (size_t k = 1; k <= more; k++)
                c = c << 6 | (s.ptr[i + k] & 0x3fu);
        } else if (more) {
            c = 0xfffd;
            more = 0;
        }
        if (c >= 0x10000) {
            add_le(buf, 0xd800 + ((c - 0x10000) >> 10), 2);
            add_le(buf, 0xdc00 + ((c - 0x10000) & 0x3ff), 2);
            units += 2;
        } else {
            add_le(buf, c, 2);
            units++;
        }
        i += more + 1;
    }
    return units;
}

static void add_string(struct buf *buf, struct slice s) {
    uint32_t units = add_utf16(buf, s);
    add_le(buf, units, 4);
}

static void add_rack(struct buf *buf, struct slice rack) {
    struct buf scratch = {0};
    add_le(buf, add_utf16(&scratch, rack), 4);
    buf_deinit(&scratch);
    add_string(buf, rack);
}

static int by_bytes(const void *a, const void *b) {
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void add_racks(struct buf *buf, const struct image *image, const struct image_partition *partition) {
    struct slice racks[256];
    int count = 0;
    for (int i = 0; i < partition->replica_count; i++) {
        const struct image_broker *broker = image_find_broker(image, image_replicas(partition)[i]);
        if (broker && broker->rack.ptr)
            racks[count++] = broker->rack;
    }
    qsort(racks, (size_t)count, sizeof racks[0], by_bytes);
    for (int i = 0; i < count; i++)
        add_rack(buf, racks[i]);
}

int64_t metadata_hash_topic(const struct image *image, const struct image_topic *topic) {
    struct buf buf = {0};
    add_le(&buf, 0, 1);
    add_le(&buf, topic->id.msb, 8);
    add_le(&buf, topic->id.lsb, 8);
    add_string(&buf, topic->name);
    add_le(&buf, (uint64_t)topic->partition_count, 4);
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct image_partition *partition = image_find_partition(topic, i);
        add_le(&buf, (uint64_t)i, 4);
        if (partition)
            add_racks(&buf, image, partition);
    }
    int64_t hash = (int64_t)XXH3_64bits(buf.ptr, buf.size);
    buf_deinit(&buf);
    return hash;
}

int64_t metadata_hash_group(const struct image *image, const struct slice *names, int count) {
    struct slice *sorted = mem_alloc(sizeof *sorted * (size_t)(count + 1));
    memcpy(sorted, names, sizeof *sorted * (size_t)count);
    qsort(sorted, (size_t)count, sizeof sorted[0], by_bytes);
    struct buf buf = {0};
    for (int i = 0; i < count; i++) {
        const struct image_topic *topic = image_find_topic(image, sorted[i]);
        if (topic)
            add_le(&buf, (uint64_t)metadata_hash_topic(image, topic), 8);
    }
    int64_t hash = buf.size ? (int64_t)XXH3_64bits(buf.ptr, buf.size) : 0;
    buf_deinit(&buf);
    mem_free(sorted);
    return hash;
}
