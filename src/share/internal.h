/* Runs of a window, for the files of this part. Indexes count from the first run and hold until runs are added or removed. */
#ifndef SHARE_INTERNAL_H
#define SHARE_INTERNAL_H

#include "share/window.h"

static inline struct share_run *run_at(const struct share_window *window, int index) {
    return &window->runs[window->head + index];
}
/* The first run that ends at or behind the offset; window->count: none. */
int window_find(const struct share_window *window, int64_t offset);
/* Makes a run begin at the offset if one holds it; the index of the first run that begins there or behind. */
int window_cut(struct share_window *window, int64_t offset);
/* Puts a run at its place. */
void window_insert(struct share_window *window, struct share_run run);
/* The runs of the batch that run `index` belongs to: up to, without. */
int window_batch_end(const struct share_window *window, int index);
/* From now on each record of the batch counts for itself. */
void window_split_batch(struct share_window *window, int index);
/* Joins neighbours of [first, last] that say the same and belong to one split batch. */
void window_join(struct share_window *window, int64_t first, int64_t last);
uint32_t window_member(struct share_window *window, struct slice id); /* takes it in */
uint32_t window_find_member(const struct share_window *window, struct slice id); /* 0: holds nothing */
static inline bool window_gap_is_active(const struct share_window *window) {
    return window->has_gap && window->gap_end == window->end;
}
/* What lies in [first, last] and is AVAILABLE becomes ARCHIVED. True: something did. */
bool window_archive(struct share_window *window, int64_t first, int64_t last, enum share_state from);

#endif
