#include "coordinator/java_order.h"

#include <stdlib.h>

#include "coordinator/coordinator.h"

struct place {
    uint32_t bucket;
    int index;
};

static int by_bucket(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    return x->bucket != y->bucket ? (x->bucket > y->bucket) - (x->bucket < y->bucket) : x->index - y->index;
}

/* A table that grows splits its buckets without changing the order in them: the order is that of the last table. */
int *java_map_order(struct arena *arena, const struct slice *keys, int count, int initial_capacity) {
    uint32_t size = initial_capacity ? 1 : 16;
    while (size < (uint32_t)initial_capacity)
        size *= 2;
    while ((uint32_t)count > size * 3 / 4 && size < 1u << 30)
        size *= 2;
    struct place *places = arena_array(arena, struct place, count);
    for (int i = 0; i < count; i++) {
        uint32_t hash = coordinator_hash(keys[i]);
        places[i] = (struct place){(hash ^ hash >> 16) & (size - 1), i};
    }
    qsort(places, (size_t)count, sizeof places[0], by_bucket);
    int *order = arena_array(arena, int, count);
    for (int i = 0; i < count; i++)
        order[i] = places[i].index;
    return order;
}

void java_queue_add(struct java_queue *queue, void *item) {
    int at = queue->count++;
    while (at > 0) {
        int parent = (at - 1) / 2;
        if (queue->cmp(item, queue->items[parent]) >= 0)
            break;
        queue->items[at] = queue->items[parent];
        at = parent;
    }
    queue->items[at] = item;
}

void *java_queue_poll(struct java_queue *queue) {
    if (!queue->count)
        return NULL;
    void *first = queue->items[0], *item = queue->items[--queue->count];
    int at = 0;
    while (at < queue->count / 2) {
        int child = 2 * at + 1;
        if (child + 1 < queue->count && queue->cmp(queue->items[child], queue->items[child + 1]) > 0)
            child++;
        if (queue->cmp(item, queue->items[child]) <= 0)
            break;
        queue->items[at] = queue->items[child];
        at = child;
    }
    if (queue->count)
        queue->items[at] = item;
    return first;
}
