/* The order in which Java's HashMap and PriorityQueue hand things out. Where Kafka lets that order decide (which of two
 * processes with the same load gets a task, which three of many topics a message names), so do we. */
#ifndef COORDINATOR_JAVA_ORDER_H
#define COORDINATOR_JAVA_ORDER_H

#include "base/arena.h"
#include "base/slice.h"

/* The indexes of `keys`, which were put in that order into a HashMap of an initial capacity (0: the default), in the order
 * of its iteration. Keys are different. */
int *java_map_order(struct arena *arena, const struct slice *keys, int count, int initial_capacity);

/* A PriorityQueue of pointers. */
struct java_queue {
    void **items;
    int count;
    int (*cmp)(const void *a, const void *b);
};
/* `items` has room for all that will be in it at a time. */
void java_queue_add(struct java_queue *queue, void *item);
void *java_queue_poll(struct java_queue *queue); /* NULL: empty */

#endif
