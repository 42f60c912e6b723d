/* For a cleaning: the offset of the newest record of each key. Keys are not kept: an entry is a hash of 128 bits and an
 * offset, 24 bytes as in Apache Kafka, and keys with equal hashes are taken for equal. The hash has a random seed of the
 * pass's, so that nobody can prepare keys that meet. A fixed array, probed linearly; nothing is ever removed.
 *
 * A lookup is a miss of the cache as soon as the map is large: whoever has several keys hashes and prefetches all of them
 * first. */
#ifndef LOG_OFFSET_MAP_H
#define LOG_OFFSET_MAP_H

#include "base/err.h"
#include "base/slice.h"

struct offset_entry {
    uint64_t hash[2];
    int64_t next; /* offset + 1; 0: the entry is free */
};
_Static_assert(sizeof(struct offset_entry) == 24, "as Kafka counts it");

struct offset_map {
    struct offset_entry *entries;
    uint64_t capacity, count, count_max;
    uint64_t seed[2];
};
struct key_hash {
    uint64_t hash[2];
};

/* As many entries as `bytes` hold, of which load_factor may be used; no more than count_needed entries ever are. */
enum err offset_map_init(struct offset_map *map, size_t bytes, double load_factor, uint64_t count_needed,
                         const uint64_t seed[2]) MUST_USE;
void offset_map_deinit(struct offset_map *map);
struct key_hash offset_map_hash(const struct offset_map *map, struct slice key);

static inline uint64_t offset_map_home(const struct offset_map *map, const struct key_hash *hash) {
    return (uint64_t)(((unsigned __int128)hash->hash[0] * map->capacity) >> 64);
}
static inline void offset_map_prefetch(const struct offset_map *map, const struct key_hash *hash) {
    __builtin_prefetch(&map->entries[offset_map_home(map, hash)]);
}
/* False: the map is full, and the key is not in it. Later offsets replace earlier ones. */
bool offset_map_put(struct offset_map *map, const struct key_hash *hash, int64_t offset);
/* -1: not in it. */
int64_t offset_map_find(const struct offset_map *map, const struct key_hash *hash);

#endif
