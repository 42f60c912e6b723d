#include "share/batches.h"

#include <stdlib.h>

#include "base/mem.h"

/* A sweep over the ends of all ranges. The ranges that are open at a place lie in a heap, the one that holds there on top;
 * those that have ended leave it when they come up. */

static bool outranks(const struct share_batch *a, const struct share_batch *b) {
    return a->count != b->count ? a->count > b->count : a->state > b->state;
}

static int by_first(const void *a, const void *b) {
    int64_t x = (*(const struct share_batch *const *)a)->first, y = (*(const struct share_batch *const *)b)->first;
    return (x > y) - (x < y);
}

static void sift_up(const struct share_batch **heap, int at) {
    while (at > 0 && outranks(heap[at], heap[(at - 1) / 2])) {
        const struct share_batch *up = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = heap[at];
        heap[at] = up;
        at = (at - 1) / 2;
    }
}

static void pop(const struct share_batch **heap, int *count) {
    heap[0] = heap[--*count];
    for (int at = 0;;) {
        int best = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2 && child < *count; child++)
            if (outranks(heap[child], heap[best]))
                best = child;
        if (best == at)
            return;
        const struct share_batch *swap = heap[at];
        heap[at] = heap[best];
        heap[best] = swap;
        at = best;
    }
}

static int add(struct share_batch *out, int count, int64_t first, int64_t last, const struct share_batch *like) {
    if (count && out[count - 1].last == first - 1 && out[count - 1].state == like->state && out[count - 1].count == like->count) {
        out[count - 1].last = last;
        return count;
    }
    out[count] = (struct share_batch){first, last, like->state, like->count};
    return count + 1;
}

int share_batches_combine(const struct share_batch *batches, int count, int64_t start, struct share_batch *out) {
    const struct share_batch **sorted = mem_alloc(sizeof *sorted * (size_t)(2 * count + 1)), **heap = sorted + count;
    int kept = 0, open = 0, out_count = 0;
    int64_t at = start == -1 ? INT64_MIN : start;
    for (int i = 0; i < count; i++)
        if (batches[i].last >= batches[i].first && batches[i].last >= at)
            sorted[kept++] = &batches[i];
    qsort(sorted, (size_t)kept, sizeof *sorted, by_first);
    for (int next = 0;;) {
        while (open && heap[0]->last < at)
            pop(heap, &open);
        if (!open && next == kept)
            break;
        if (!open && sorted[next]->first > at)
            at = sorted[next]->first;
        for (; next < kept && sorted[next]->first <= at; next++) {
            heap[open] = sorted[next];
            sift_up(heap, open++);
        }
        const struct share_batch *top = heap[0];
        if (top->last < at)
            continue;
        /* It holds to its end, or to where one that outranks it begins. */
        int64_t end = top->last;
        for (int i = next; i < kept && sorted[i]->first <= end; i++)
            if (outranks(sorted[i], top)) {
                end = sorted[i]->first - 1;
                break;
            }
        out_count = add(out, out_count, at, end, top);
        if (end == INT64_MAX)
            break;
        at = end + 1;
    }
    mem_free(sorted);
    return out_count;
}
