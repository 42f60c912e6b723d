/* Runs: find, cut, insert, join; and where the window begins. */
#include "share/window.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "share/internal.h"

void window_deinit(struct share_window *window) {
    for (uint32_t i = 1; i < window->member_count; i++)
        mem_free((void *)window->members[i].ptr);
    mem_free(window->members);
    mem_free(window->runs);
    *window = (struct share_window){0};
}

/* ---- runs ------------------------------------------------------------------------------------------------------------- */

int window_find(const struct share_window *window, int64_t offset) {
    int low = 0, high = window->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (run_at(window, middle)->last < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Room for one more run before `index`. */
static struct share_run *open_slot(struct share_window *window, int index) {
    if (window->head + window->count == window->capacity) {
        if (window->head > window->capacity / 2) {
            memmove(window->runs, window->runs + window->head, sizeof *window->runs * (size_t)window->count);
            window->head = 0;
        } else {
            window->capacity = window->capacity ? window->capacity * 2 : 8;
            window->runs = mem_realloc(window->runs, sizeof *window->runs * (size_t)window->capacity);
        }
    }
    struct share_run *slot = run_at(window, index);
    memmove(slot + 1, slot, sizeof *slot * (size_t)(window->count - index));
    window->count++;
    return slot;
}

static void remove_runs(struct share_window *window, int from, int to) {
    if (from == to)
        return;
    if (from == 0) {
        window->head += to;
        window->count -= to;
        if (!window->count)
            window->head = 0;
        return;
    }
    memmove(run_at(window, from), run_at(window, to), sizeof *window->runs * (size_t)(window->count - to));
    window->count -= to - from;
}

int window_cut(struct share_window *window, int64_t offset) {
    int index = window_find(window, offset);
    if (index == window->count || run_at(window, index)->first >= offset)
        return index;
    struct share_run *slot = open_slot(window, index + 1);
    *slot = *run_at(window, index);
    run_at(window, index)->last = offset - 1;
    slot->first = offset;
    return index + 1;
}

void window_insert(struct share_window *window, struct share_run run) {
    int index = window_find(window, run.first);
    check(index == window->count || run_at(window, index)->first > run.last, "records %lld-%lld are in flight already",
          (long long)run.first, (long long)run.last);
    *open_slot(window, index) = run;
}

int window_batch_end(const struct share_window *window, int index) {
    int64_t batch = run_at(window, index)->batch;
    while (index < window->count && run_at(window, index)->batch == batch)
        index++;
    return index;
}

void window_split_batch(struct share_window *window, int index) {
    for (int end = window_batch_end(window, index); index < end; index++)
        run_at(window, index)->split = true;
}

static bool same(const struct share_run *a, const struct share_run *b) {
    return a->last + 1 == b->first && a->batch == b->batch && a->split && b->split && a->state == b->state && a->count == b->count &&
           a->member == b->member && a->transition == b->transition && (a->deadline_ns == b->deadline_ns || !a->member);
}

void window_join(struct share_window *window, int64_t first, int64_t last) {
    int from = window_find(window, first);
    from = from > 0 ? from - 1 : 0;
    if (from >= window->count)
        return;
    int to = from, at = from + 1;
    for (; at < window->count && run_at(window, at - 1)->first <= last; at++) {
        struct share_run *kept = run_at(window, to), *next = run_at(window, at);
        if (same(kept, next))
            kept->last = next->last;
        else
            *run_at(window, ++to) = *next;
    }
    remove_runs(window, to + 1, at);
}

void window_check(const struct share_window *window) {
    check(window->start <= window->end + 1, "W3: start %lld, end %lld", (long long)window->start, (long long)window->end);
    for (int i = 0; i < window->count; i++) {
        const struct share_run *run = run_at(window, i), *before = i ? run_at(window, i - 1) : NULL;
        check(run->first <= run->last && (!before || before->last < run->first), "W1: run %lld-%lld", (long long)run->first, (long long)run->last);
        check(run->split || (run->first == run->batch && (!before || before->batch != run->batch)), "W2: run %lld", (long long)run->first);
        check(run->last <= window->end, "run to %lld, end %lld", (long long)run->last, (long long)window->end);
        check((run->state == SHARE_ACQUIRED || run->transition) == (run->member != 0), "W4: run %lld, state %d", (long long)run->first, run->state);
    }
}

/* ---- members ------------------------------------------------------------------------------------------------------------ */

uint32_t window_find_member(const struct share_window *window, struct slice id) {
    for (uint32_t i = 1; i < window->member_count; i++)
        if (slice_eq(window->members[i], id))
            return i;
    return 0;
}

/* Those who hold nothing any more make room. */
static void sweep_members(struct share_window *window) {
    uint32_t *new_index = mem_zalloc(sizeof *new_index * window->member_count);
    for (int i = 0; i < window->count; i++)
        new_index[run_at(window, i)->member] = 1;
    uint32_t kept = 1;
    for (uint32_t i = 1; i < window->member_count; i++) {
        if (!new_index[i]) {
            mem_free((void *)window->members[i].ptr);
            continue;
        }
        new_index[i] = kept;
        window->members[kept++] = window->members[i];
    }
    new_index[0] = 0;
    for (int i = 0; i < window->count; i++)
        run_at(window, i)->member = new_index[run_at(window, i)->member];
    window->member_count = kept;
    mem_free(new_index);
}

uint32_t window_member(struct share_window *window, struct slice id) {
    uint32_t index = window_find_member(window, id);
    if (index)
        return index;
    if (window->member_count == window->member_capacity) {
        if (window->member_count)
            sweep_members(window);
        if (window->member_count * 2 >= window->member_capacity) {
            window->member_capacity = window->member_capacity ? window->member_capacity * 2 : 8;
            window->members = mem_realloc(window->members, sizeof *window->members * window->member_capacity);
        }
        if (!window->member_count)
            window->members[window->member_count++] = SLICE_NULL;
    }
    window->members[window->member_count] = slice_of(mem_strndup((const char *)id.ptr, id.size), id.size);
    return window->member_count++;
}

/* ---- load, next offset, start ---------------------------------------------------------------------------------------------- */

/* Beyond any log, and far from where sums overflow: what is stored comes from whoever wrote it. */
#define OFFSET_MAX (INT64_MAX / 4)

enum err window_load(struct share_window *window, int64_t start, const struct share_batch *batches, int count) {
    int64_t expected = start;
    if (start > OFFSET_MAX || start < -OFFSET_MAX)
        return ERR_CORRUPT;
    for (int i = 0; i < count; i++) {
        const struct share_batch *batch = &batches[i];
        if (batch->first < expected || batch->last < batch->first || batch->last > OFFSET_MAX ||
            (batch->state != SHARE_AVAILABLE && !share_state_is_terminal(batch->state)))
            return ERR_CORRUPT;
        expected = batch->last + 1;
    }
    *window = (struct share_window){.start = start, .end = start};
    expected = start;
    for (int i = 0; i < count; i++) {
        if (batches[i].first > expected && !window->has_gap) {
            window->has_gap = true;
            window->gap_start = expected;
        }
        expected = batches[i].last + 1;
        window->end = batches[i].last;
        *open_slot(window, window->count) = (struct share_run){.first = batches[i].first, .last = batches[i].last, .batch = batches[i].first,
                                                               .state = (uint8_t)batches[i].state, .count = batches[i].count};
    }
    if (window->count) {
        window->find_next = true;
        window->gap_end = window->end;
        window_advance(window);
    }
    return ERR_OK;
}

static bool is_past_all(const struct share_window *window) {
    return !window->count || window->start > run_at(window, window->count - 1)->last;
}

int64_t window_next_fetch_offset(struct share_window *window) {
    if (is_past_all(window)) {
        window->find_next = false;
        return window->end;
    }
    if (!window->find_next)
        return window->end + 1;
    int64_t gap = window->gap_start;
    bool gap_is_active = window_gap_is_active(window);
    for (int i = 0; i < window->count; i++) {
        const struct share_run *run = run_at(window, i);
        if (gap_is_active && run->batch > gap)
            return gap;
        if (gap_is_active && gap <= run->last)
            gap = run->last + 1;
        if (run->state == SHARE_AVAILABLE && !run->transition)
            return run->first;
    }
    window->find_next = false;
    return window->end + 1;
}

bool window_can_acquire(struct share_window *window, int64_t in_flight_max) {
    return window_next_fetch_offset(window) != window->end + 1 || window_in_flight(window) < in_flight_max;
}

int64_t window_complete_count(const struct share_window *window) {
    int64_t count = 0;
    for (int i = window_find(window, window->start); i < window->count; i++) {
        const struct share_run *run = run_at(window, i);
        if (share_state_is_terminal(run->state))
            count += run->last - (run->first > window->start ? run->first : window->start) + 1;
    }
    return count;
}

uint64_t window_deadline(const struct share_window *window) {
    uint64_t deadline = UINT64_MAX;
    for (int i = 0; i < window->count; i++) {
        const struct share_run *run = run_at(window, i);
        if (run->state == SHARE_ACQUIRED && run->deadline_ns < deadline)
            deadline = run->deadline_ns;
    }
    return deadline;
}

bool window_advance(struct share_window *window) {
    int done = 0; /* runs from the front that nothing more can happen to */
    for (; done < window->count; done++) {
        const struct share_run *run = run_at(window, done);
        if (run->transition || (window_gap_is_active(window) && run->last >= window->gap_start))
            break;
        if (!share_state_is_terminal(run->state) && run->last >= window->start) /* below, nobody asks any more */
            break;
    }
    if (!done)
        return false;
    int64_t before = window->start, behind = run_at(window, done - 1)->last + 1;
    if (done == window->count) {
        remove_runs(window, 0, done);
        window->start = window->end = behind > window->start ? behind : window->start;
        window->has_gap = false;
        return true;
    }
    const struct share_run *next = run_at(window, done);
    bool whole = next->batch != run_at(window, done - 1)->batch;
    int64_t start = whole ? next->first : behind;
    if (window_gap_is_active(window) && start > window->gap_start)
        start = window->gap_start;
    if (start > window->start)
        window->start = start;
    /* A batch goes when all of it is done. */
    int gone = done;
    while (!whole && gone > 0 && run_at(window, gone - 1)->batch == next->batch)
        gone--;
    remove_runs(window, 0, gone);
    return window->start != before;
}

bool window_archive(struct share_window *window, int64_t first, int64_t last, enum share_state from) {
    bool archived = false;
    for (int i = window_find(window, first); i < window->count && run_at(window, i)->first <= last; i++) {
        const struct share_run *run = run_at(window, i);
        if (run->state != from || run->transition)
            continue;
        if (!run->split && (run->first < first || run->last > last))
            window_split_batch(window, i);
        i = window_cut(window, run->first < first ? first : run->first);
        if (run_at(window, i)->last > last)
            i = window_cut(window, last + 1) - 1;
        struct share_run *mine = run_at(window, i);
        mine->state = SHARE_ARCHIVED;
        mine->member = 0;
        archived = true;
    }
    if (archived)
        window_join(window, first, last);
    return archived;
}

void window_raise_start(struct share_window *window, int64_t log_start) {
    if (log_start <= window->start)
        return;
    if (!window->count) {
        window->start = window->end = log_start;
        return;
    }
    if (window_archive(window, window->start, log_start - 1, SHARE_AVAILABLE))
        window->find_next = true;
    window->start = log_start;
    if (window->end < window->start)
        window->end = window->start;
    window_advance(window);
}
