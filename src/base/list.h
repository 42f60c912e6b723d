/* Intrusive doubly linked list, circular with a head. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include "base/mem.h"

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *list) {
    list->prev = list->next = list;
}
static inline bool list_is_empty(const struct list *list) {
    return list->next == list;
}
static inline void list_insert_before(struct list *at, struct list *node) {
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}
static inline void list_push_back(struct list *list, struct list *node) {
    list_insert_before(list, node);
}
static inline void list_push_front(struct list *list, struct list *node) {
    list_insert_before(list->next, node);
}
/* Also fine for a node that is in no list but was initialised; leaves it initialised. */
static inline void list_remove(struct list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
static inline struct list *list_pop_front(struct list *list) { /* NULL when empty */
    struct list *node = list->next;
    if (node == list)
        return NULL;
    list_remove(node);
    return node;
}
/* Moves all of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from) {
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_each(pos, head) for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
/* The body may remove `pos`. */
#define list_each_safe(pos, head)                                                          \
    for (struct list *pos = (head)->next, *pos##_next = pos->next; pos != (head); pos = pos##_next, pos##_next = pos->next)

#endif
