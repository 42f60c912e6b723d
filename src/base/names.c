#include "base/names.h"

#include "base/list.h"
#include "base/map.h"

struct names {
    struct map map;
    struct arena *arena;
};
struct name {
    struct map_node node;
    struct slice text;
    int count;
};

static void drop(void *arg) {
    map_deinit(arg);
}

struct names *names_create(struct arena *arena) {
    struct names *names = arena_new(arena, struct names);
    names->arena = arena;
    arena_on_reset(arena, drop, &names->map);
    return names;
}

static bool name_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct name, node)->text, *(const struct slice *)key);
}

static struct name *find(const struct names *names, struct slice text) {
    struct map_node *node = map_find(&names->map, hash_slice(text), name_is, &text);
    return node ? container_of(node, struct name, node) : NULL;
}

int names_add(struct names *names, struct slice text) {
    struct name *name = find(names, text);
    if (!name) {
        name = arena_zalloc(names->arena, sizeof *name);
        name->text = text;
        map_insert(&names->map, &name->node, hash_slice(text));
    }
    return name->count++;
}

int names_count(const struct names *names, struct slice text) {
    const struct name *name = find(names, text);
    return name ? name->count : 0;
}
