/* The hash of what a group's topics look like: consumer, share and streams groups keep it in their records, and assign
 * anew when it changes. Kafka's computation, bit by bit: XXH3 over the topics' XXH3.
 *
 *   topic   0, id (two int64), name, partition count, and for each partition: its index, each rack of its replicas
 *   name    UTF-16 units, then their count; all numbers little-endian
 *   rack    count of UTF-16 units, then as a name
 *   group   the topics' hashes in order of their names; 0 when there are none */
#ifndef COORDINATOR_METADATA_HASH_H
#define COORDINATOR_METADATA_HASH_H

#include "metadata/image.h"

int64_t metadata_hash_topic(const struct image *image, const struct image_topic *topic);
/* Of those of `names` that exist. No name may be there twice; their order does not matter. */
int64_t metadata_hash_group(const struct image *image, const struct slice *names, int count);

#endif
