#include "base/heap.h"

#include "base/check.h"
#include "base/mem.h"

static bool before(const struct heap_node *a, const struct heap_node *b) {
    return a->key != b->key ? a->key < b->key : a->sequence < b->sequence;
}

static void place(struct heap *heap, uint32_t i, struct heap_node *node) {
    heap->nodes[i] = node;
    node->index = i + 1;
}

static void sift_up(struct heap *heap, uint32_t i, struct heap_node *node) {
    for (; i > 0; i = (i - 1) / 2) {
        struct heap_node *parent = heap->nodes[(i - 1) / 2];
        if (!before(node, parent))
            break;
        place(heap, i, parent);
    }
    place(heap, i, node);
}

static void sift_down(struct heap *heap, uint32_t i, struct heap_node *node) {
    for (uint32_t child; (child = 2 * i + 1) < heap->count; i = child) {
        if (child + 1 < heap->count && before(heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (!before(heap->nodes[child], node))
            break;
        place(heap, i, heap->nodes[child]);
    }
    place(heap, i, node);
}

void heap_deinit(struct heap *heap) {
    mem_free(heap->nodes);
    *heap = (struct heap){0};
}

void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key) {
    check(node->index == 0);
    if (heap->count == heap->capacity) {
        heap->capacity = heap->capacity ? heap->capacity * 2 : 16;
        heap->nodes = mem_realloc(heap->nodes, heap->capacity * sizeof *heap->nodes);
    }
    node->key = key;
    node->sequence = heap->next_sequence++;
    sift_up(heap, heap->count++, node);
}

void heap_remove(struct heap *heap, struct heap_node *node) {
    if (node->index == 0)
        return;
    uint32_t i = node->index - 1;
    check(i < heap->count && heap->nodes[i] == node);
    struct heap_node *last = heap->nodes[--heap->count];
    node->index = 0;
    if (last == node)
        return;
    if (i > 0 && before(last, heap->nodes[(i - 1) / 2]))
        sift_up(heap, i, last);
    else
        sift_down(heap, i, last);
}
