#include "base/numbering.h"

#include "base/list.h"

struct numbering {
    struct map map;
    struct arena *arena;
};
struct numbered {
    struct map_node node;
    struct numbering_key key;
    int number;
};

static void drop(void *arg) {
    map_deinit(arg);
}

struct numbering *numbering_create(struct arena *arena) {
    struct numbering *numbering = arena_new(arena, struct numbering);
    numbering->arena = arena;
    arena_on_reset(arena, drop, &numbering->map);
    return numbering;
}

static bool is_thing(const struct map_node *node, const void *arg) {
    const struct numbering_key *a = &container_of(node, struct numbered, node)->key, *b = arg;
    return a->within == b->within && uuid_eq(a->id, b->id) && slice_eq(a->name, b->name);
}

int numbering_get(struct numbering *numbering, struct numbering_key key) {
    uint64_t hash = hash_u64((uint64_t)key.within ^ uuid_hash(key.id) ^ hash_slice(key.name));
    struct map_node *node = map_find(&numbering->map, hash, is_thing, &key);
    if (node)
        return container_of(node, struct numbered, node)->number;
    struct numbered *numbered = arena_new(numbering->arena, struct numbered);
    numbered->key = key;
    numbered->number = (int)numbering->map.count;
    map_insert(&numbering->map, &numbered->node, hash);
    return numbered->number;
}
