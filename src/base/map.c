#include "base/map.h"

#include "base/check.h"
#include "base/mem.h"

#define BUCKETS_MIN 16
#define MOVED_PER_INSERT 4 /* old buckets; 2 would do to be done before the next doubling */

void map_deinit(struct map *map) {
    mem_free(map->buckets);
    mem_free(map->old_buckets);
    *map = (struct map){0};
}

static void push(struct map_node **buckets, uint64_t bucket_count, struct map_node *node) {
    struct map_node **bucket = &buckets[node->hash & (bucket_count - 1)];
    node->next = *bucket;
    *bucket = node;
}

static void move_some(struct map *map, uint64_t count) {
    for (; map->old_buckets && count > 0; count--) {
        for (struct map_node *node = map->old_buckets[map->moved], *next; node; node = next) {
            next = node->next;
            push(map->buckets, map->bucket_count, node);
        }
        map->old_buckets[map->moved] = NULL;
        if (++map->moved == map->old_bucket_count) {
            mem_free(map->old_buckets);
            map->old_buckets = NULL;
            map->old_bucket_count = map->moved = 0;
        }
    }
}

void map_settle(struct map *map) {
    move_some(map, UINT64_MAX);
}

void map_insert(struct map *map, struct map_node *node, uint64_t hash) {
    move_some(map, MOVED_PER_INSERT);
    if (map->count >= map->bucket_count) {
        map_settle(map);
        map->old_buckets = map->buckets;
        map->old_bucket_count = map->bucket_count;
        map->moved = 0;
        map->bucket_count = map->bucket_count ? map->bucket_count * 2 : BUCKETS_MIN;
        map->buckets = mem_zalloc(map->bucket_count * sizeof *map->buckets);
    }
    node->hash = hash;
    push(map->buckets, map->bucket_count, node);
    map->count++;
}

static struct map_node *find_in(struct map_node *node, uint64_t hash, map_equals *equals, const void *key) {
    for (; node; node = node->next)
        if (node->hash == hash && equals(node, key))
            return node;
    return NULL;
}

struct map_node *map_find(const struct map *map, uint64_t hash, map_equals *equals, const void *key) {
    if (map->count == 0)
        return NULL;
    struct map_node *node = find_in(map->buckets[hash & (map->bucket_count - 1)], hash, equals, key);
    if (!node && map->old_buckets)
        node = find_in(map->old_buckets[hash & (map->old_bucket_count - 1)], hash, equals, key);
    return node;
}

static bool unlink_from(struct map_node **link, struct map_node *node) {
    for (; *link; link = &(*link)->next)
        if (*link == node) {
            *link = node->next;
            return true;
        }
    return false;
}

void map_remove(struct map *map, struct map_node *node) {
    bool found = unlink_from(&map->buckets[node->hash & (map->bucket_count - 1)], node) ||
                 (map->old_buckets && unlink_from(&map->old_buckets[node->hash & (map->old_bucket_count - 1)], node));
    check(found);
    map->count--;
}

static struct map_node *first_from(struct map_node **buckets, uint64_t count, uint64_t i) {
    for (; i < count; i++)
        if (buckets[i])
            return buckets[i];
    return NULL;
}

struct map_node *map_next(const struct map *map, const struct map_node *node) {
    if (node && node->next)
        return node->next;
    struct map_node *next = NULL;
    uint64_t new_from = 0;
    if (map->old_buckets) {
        /* A node is in the old table when its old bucket has not moved yet; the old table is walked first. */
        uint64_t old_from = map->moved;
        bool in_old = false;
        if (node && (node->hash & (map->old_bucket_count - 1)) >= map->moved) {
            for (struct map_node *at = map->old_buckets[node->hash & (map->old_bucket_count - 1)]; at; at = at->next)
                in_old |= at == node;
            old_from = (node->hash & (map->old_bucket_count - 1)) + 1;
        }
        if (!node || in_old)
            next = first_from(map->old_buckets, map->old_bucket_count, old_from);
        if (next)
            return next;
        if (node && !in_old)
            new_from = (node->hash & (map->bucket_count - 1)) + 1;
    } else if (node) {
        new_from = (node->hash & (map->bucket_count - 1)) + 1;
    }
    return first_from(map->buckets, map->bucket_count, new_from);
}

uint64_t hash_bytes(const void *ptr, size_t size) { /* 8 bytes a step, then a strong finish */
    const uint8_t *p = ptr;
    uint64_t h = 0x9e3779b97f4a7c15ull ^ size;
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        h = (h ^ hash_u64(x)) * 0x9fb21c651e98df25ull;
        h ^= h >> 29;
    }
    uint64_t x = 0;
    if (size)
        memcpy(&x, p, size);
    return hash_u64(h ^ hash_u64(x + size));
}
