/* Intrusive hash map: the value embeds a map_node and says how to compare itself with a key.
 * Grows by doubling, a few buckets a call, so that no insert stalls; never shrinks.
 *
 *     struct topic { struct map_node node; struct slice name; ... };
 *     static bool topic_is(const struct map_node *node, const void *key) {
 *         return slice_eq(container_of(node, struct topic, node)->name, *(const struct slice *)key);
 *     }
 *     map_insert(&topics, &topic->node, hash_slice(topic->name));
 *     struct map_node *node = map_find(&topics, hash_slice(name), topic_is, &name); */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/slice.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map { /* zero-initialised is empty */
    struct map_node **buckets, **old_buckets;
    uint64_t bucket_count, old_bucket_count, moved; /* old buckets below `moved` are moved */
    uint64_t count;
};

typedef bool map_equals(const struct map_node *node, const void *key);

void map_deinit(struct map *map); /* frees the buckets, not the values */
/* The caller has checked that no equal value is in it. */
void map_insert(struct map *map, struct map_node *node, uint64_t hash);
struct map_node *map_find(const struct map *map, uint64_t hash, map_equals *equals, const void *key);
void map_remove(struct map *map, struct map_node *node);
/* Walks all nodes in no order; start with NULL, ends with NULL. The node last returned may be removed
 * only through map_each_safe(). Nothing else may change the map meanwhile. */
struct map_node *map_next(const struct map *map, const struct map_node *node);

#define map_each(pos, owner) for (struct map_node *pos = map_next((owner), NULL); pos; pos = map_next((owner), pos))
/* Ends the growth that is under way: finding the next node then looks at no node before it. */
void map_settle(struct map *map);
/* The body may remove and free `pos`. */
#define map_each_safe(pos, owner)                                                          \
    for (struct map_node *pos = (map_settle(owner), map_next((owner), NULL)),              \
                         *pos##_next = pos ? map_next((owner), pos) : NULL; pos;           \
         pos = pos##_next, pos##_next = pos ? map_next((owner), pos) : NULL)

/* 64-bit hashes; the same in every run, so that simulations repeat. */
uint64_t hash_bytes(const void *ptr, size_t size);
static inline uint64_t hash_slice(struct slice s) {
    return hash_bytes(s.ptr, s.size);
}
static inline uint64_t hash_u64(uint64_t x) {
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ull;
    return x ^ (x >> 33);
}

#endif
