/* Intrusive binary min-heap on a 64-bit key; ties in order of insertion. For timers and expiries. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;
    uint64_t sequence; /* set by heap_insert: ties keep their order */
    uint32_t index;    /* 0: in no heap; else place in the array plus 1 */
};

struct heap { /* zero-initialised is empty */
    struct heap_node **nodes;
    uint32_t count, capacity;
    uint64_t next_sequence;
};

void heap_deinit(struct heap *heap);
void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key);
void heap_remove(struct heap *heap, struct heap_node *node); /* fine when it is in no heap */
static inline struct heap_node *heap_min(const struct heap *heap) { /* NULL when empty */
    return heap->count ? heap->nodes[0] : NULL;
}
static inline bool heap_contains(const struct heap_node *node) {
    return node->index != 0;
}

#endif
