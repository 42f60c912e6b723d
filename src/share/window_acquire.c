/* Giving records out.
 *
 * What was read begins at the batch of the log that holds the next offset that may be available. Going through it in
 * order: what is in flight and available is acquired again, holes that the stored state left are acquired as new, and so is
 * what lies behind all that is in flight. Records that failed often are given out in small portions, and alone before
 * their last delivery, so that one bad record does not take its neighbours with it. */
#include <stdlib.h>

#include "protocol/batch.h"
#include "share/internal.h"

struct span { /* a batch of the log */
    int64_t base, last;
};
struct acquiring {
    struct share_window *window;
    struct share_acquire *acquire;
    struct span *spans;
    int span_count;
    int64_t last_offset; /* that may be acquired */
    uint32_t member;
    int throttle_from;   /* deliveries */
};

static void add_result(struct share_acquire *acquire, int64_t first, int64_t last, int count) {
    if (acquire->acquired_count == acquire->acquired_capacity) {
        acquire->acquired_capacity = acquire->acquired_capacity ? acquire->acquired_capacity * 2 : 4;
        struct share_acquired *grown = arena_array(acquire->arena, struct share_acquired, acquire->acquired_capacity);
        if (acquire->acquired_count)
            memcpy(grown, acquire->acquired, sizeof *grown * (size_t)acquire->acquired_count);
        acquire->acquired = grown;
    }
    acquire->acquired[acquire->acquired_count++] = (struct share_acquired){first, last, (int16_t)count};
}

/* The batch at `at`, if it is whole. */
static size_t batch_at(const struct share_acquire *acquire, size_t at) {
    const uint8_t *bytes = acquire->bytes + at;
    size_t left = acquire->size - at;
    if (left < BATCH_PREFIX_SIZE + BATCH_LENGTH_MIN || batch_length(bytes) < BATCH_LENGTH_MIN || batch_size(bytes) > left ||
        (batch_magic(bytes) == 2 && batch_size(bytes) < BATCH_HEADER_SIZE))
        return 0;
    return batch_size(bytes);
}

static void find_spans(struct acquiring *a) {
    struct share_acquire *acquire = a->acquire;
    int capacity = 0;
    for (size_t at = 0, size; (size = batch_at(acquire, at)); at += size) {
        if (a->span_count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            struct span *grown = arena_alloc(acquire->arena, sizeof *grown * (size_t)capacity);
            if (a->span_count)
                memcpy(grown, a->spans, sizeof *grown * (size_t)a->span_count);
            a->spans = grown;
        }
        int64_t base = batch_base_offset(acquire->bytes + at), last = any_last_offset(acquire->bytes + at);
        if (batch_magic(acquire->bytes + at) != 2 && a->span_count) /* a compressed message of old says its last offset only */
            base = a->spans[a->span_count - 1].last + 1;
        if (base < 0 || last < base || last == INT64_MAX || (a->span_count && base <= a->spans[a->span_count - 1].last)) {
            acquire->size = at; /* no log has them so: somebody else wrote it */
            return;
        }
        a->spans[a->span_count++] = (struct span){base, last};
    }
}

/* The end of the log's batch that holds the offset, if one does. */
static int64_t end_of_span(const struct acquiring *a, int64_t offset) {
    int low = 0, high = a->span_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (a->spans[middle].base <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low && a->spans[low - 1].last >= offset ? a->spans[low - 1].last : offset;
}

static void move_gap(struct share_window *window, int64_t offset) {
    if (!window->has_gap)
        return;
    if (window_gap_is_active(window) && offset <= window->gap_end)
        window->gap_start = offset;
    else
        window->has_gap = false;
}

static void take_new(struct acquiring *a, int64_t first, int64_t last) {
    window_insert(a->window, (struct share_run){.first = first, .last = last, .batch = first, .state = SHARE_ACQUIRED, .count = 1,
                                                .member = a->member, .deadline_ns = a->acquire->deadline_ns});
}

/* Records that nobody had yet; how many were acquired. */
static int64_t acquire_new(struct acquiring *a, int64_t first, int64_t last_offset, int64_t max) {
    struct share_window *window = a->window;
    struct share_acquire *acquire = a->acquire;
    if (!window->count && window->end > first)
        first = window->end;
    int64_t last = last_offset;
    if (max < last - first + 1) {
        last = end_of_span(a, first + max - 1);
        if (window_gap_is_active(window) && last > last_offset)
            last = last_offset;
    }
    if (last < first)
        return 0;
    if (acquire->record_limit && last - first + 1 > max) {
        int64_t mine = first + max - 1;
        take_new(a, first, last);
        window_split_batch(window, window_find(window, first));
        struct share_run *rest = run_at(window, window_cut(window, mine + 1));
        rest->state = SHARE_AVAILABLE;
        rest->count = 0;
        rest->member = 0;
        window->find_next = true;
        add_result(acquire, first, mine, 1);
    } else {
        int64_t from = first;
        for (int i = 0; i < a->span_count && !acquire->record_limit && last - first + 1 > acquire->batch_size && a->spans[i].base <= last; i++) {
            int64_t base = a->spans[i].base;
            if (base - from >= acquire->batch_size && base > from) {
                take_new(a, from, base - 1);
                add_result(acquire, from, base - 1, 1);
                from = base;
            }
        }
        take_new(a, from, last);
        add_result(acquire, from, last, 1);
    }
    if (run_at(window, 0)->first == first)
        window->start = first;
    if (last > window->end)
        window->end = last;
    if (acquire->record_limit)
        last = acquire->acquired[acquire->acquired_count - 1].last;
    move_gap(window, last + 1);
    return last - first + 1;
}

static bool is_free(const struct share_run *run) {
    return run->state == SHARE_AVAILABLE && !run->transition;
}

static void take_again(struct acquiring *a, struct share_run *run) {
    run->state = SHARE_ACQUIRED;
    run->count++;
    run->member = a->member;
    run->deadline_ns = a->acquire->deadline_ns;
}

static bool must_throttle(const struct acquiring *a, int from, int to, int64_t first) {
    for (int i = from; i < to; i++) {
        const struct share_run *run = run_at(a->window, i);
        if (is_free(run) && run->last >= first && run->first <= a->last_offset && run->count >= a->throttle_from)
            return true;
    }
    return false;
}

/* Parts of a batch, record for record. */
static int64_t acquire_parts(struct acquiring *a, int64_t first, int64_t batch_first, int64_t batch_last, int64_t max) {
    struct share_window *window = a->window;
    struct share_acquire *acquire = a->acquire;
    int64_t acquired = 0, throttled_max = -1;
    int limit = acquire->deliveries_max;
    bool stop = false, open = false;
    struct share_acquired last = {0};
    for (int i = window_find(window, first > batch_first ? first : batch_first); i < window->count && !stop; i++) {
        if (run_at(window, i)->first > batch_last || run_at(window, i)->first > a->last_offset)
            break;
        if (!is_free(run_at(window, i)))
            continue;
        if (run_at(window, i)->first < first)
            i = window_cut(window, first);
        struct share_run *run = run_at(window, i);
        if (limit > 2 && run->count == limit - 1 && acquired > 0)
            break; /* its last time: alone */
        if (run->count >= a->throttle_from && throttled_max < 0) {
            int shift = run->count - a->throttle_from + 1;
            throttled_max = shift < 63 ? (batch_last - batch_first + 1) >> shift : 0;
            throttled_max = throttled_max < 1 ? 1 : throttled_max;
        }
        int64_t take = (run->last < a->last_offset ? run->last : a->last_offset) - run->first + 1;
        if (limit > 2 && run->count + 1 == limit)
            take = 1, stop = true;
        if (acquire->record_limit && take >= max - acquired)
            take = max - acquired, stop = true;
        if (throttled_max > acquired && take >= throttled_max - acquired)
            take = throttled_max - acquired, stop = true;
        if (run->last >= run->first + take)
            i = window_cut(window, run->first + take) - 1;
        run = run_at(window, i);
        take_again(a, run);
        acquired += take;
        if (open && last.last + 1 == run->first && last.count == run->count) {
            last.last = run->last;
        } else {
            if (open)
                add_result(acquire, last.first, last.last, last.count);
            last = (struct share_acquired){run->first, run->last, run->count};
            open = true;
        }
    }
    if (open)
        add_result(acquire, last.first, last.last, last.count);
    window_join(window, batch_first, batch_last);
    return acquired;
}

/* Goes through the batches that begin in [from, a->last_offset]; how many records were acquired. False in *more: enough. */
static int64_t acquire_in_flight(struct acquiring *a, int64_t from, int64_t base, int64_t max, int64_t *ret_behind, bool *ret_stopped) {
    struct share_window *window = a->window;
    int64_t acquired = 0, gap = base, read_first = a->spans[0].base;
    *ret_stopped = false;
    for (int64_t at = from; acquired < max;) {
        int i = window_find(window, at);
        while (i < window->count && run_at(window, i)->batch < at) /* a batch that begins before */
            i++;
        if (i == window->count || run_at(window, i)->batch > a->last_offset)
            break;
        int64_t batch_first = run_at(window, i)->batch;
        if (window_gap_is_active(window) && gap < batch_first) {
            acquired += acquire_new(a, gap, batch_first - 1, max - acquired);
            i = window_find(window, batch_first);
            if (acquired >= max)
                break;
        }
        int end = window_batch_end(window, i);
        int64_t batch_last = run_at(window, end - 1)->last;
        if (window_gap_is_active(window))
            gap = batch_last + 1;
        at = *ret_behind = batch_last + 1;
        struct share_run *run = run_at(window, i);
        bool throttle = must_throttle(a, i, end, read_first);
        if (throttle && acquired > 0) {
            *ret_stopped = true;
            break;
        }
        bool whole = batch_first >= read_first && batch_last <= a->last_offset;
        bool too_long = a->acquire->record_limit && batch_last - batch_first + 1 > max - acquired;
        if (!whole || run->split || too_long || throttle) {
            if (!run->split && !is_free(run))
                continue;
            window_split_batch(window, i);
            int64_t parts = acquire_parts(a, read_first, batch_first, batch_last, max - acquired);
            acquired += parts;
            if (throttle && parts) {
                *ret_stopped = true;
                break;
            }
            continue;
        }
        if (!is_free(run))
            continue;
        take_again(a, run);
        add_result(a->acquire, run->first, run->last, run->count);
        acquired += batch_last - batch_first + 1;
    }
    return acquired;
}

/* ---- aborted transactions ------------------------------------------------------------------------------------------------- */

static bool is_abort_marker(const uint8_t *batch, size_t size) {
    struct record_iterator it;
    struct record record;
    record_iterator_init(&it, batch, slice_of(batch + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE));
    return batch_is_control(batch) && record_next(&it, &record) == ERR_OK && control_type_of(record.key) == CONTROL_ABORT;
}

/* Takes [first, last] out of what was acquired. */
static void cut_out(struct share_acquire *acquire, int64_t first, int64_t last) {
    struct share_acquired *old = acquire->acquired;
    int count = acquire->acquired_count;
    acquire->acquired = NULL;
    acquire->acquired_count = acquire->acquired_capacity = 0;
    for (int i = 0; i < count; i++) {
        if (old[i].last < first || old[i].first > last) {
            add_result(acquire, old[i].first, old[i].last, old[i].count);
            continue;
        }
        if (old[i].first < first)
            add_result(acquire, old[i].first, first - 1, old[i].count);
        if (old[i].last > last)
            add_result(acquire, last + 1, old[i].last, old[i].count);
    }
}

static void drop_aborted(struct acquiring *a) {
    struct share_acquire *acquire = a->acquire;
    int64_t *ids = arena_array(acquire->arena, int64_t, acquire->aborted_count + 1);
    int open = 0, next = 0;
    for (size_t at = 0, size; (size = batch_at(acquire, at)); at += size) {
        const uint8_t *batch = acquire->bytes + at;
        if (batch_magic(batch) != 2 || batch_producer_id(batch) < 0)
            continue;
        for (; next < acquire->aborted_count && acquire->aborted[next].first_offset <= batch_last_offset(batch); next++)
            ids[open++] = acquire->aborted[next].producer_id;
        int at_id = 0;
        while (at_id < open && ids[at_id] != batch_producer_id(batch))
            at_id++;
        if (at_id == open)
            continue;
        if (is_abort_marker(batch, size)) {
            ids[at_id] = ids[--open];
        } else if (batch_is_transactional(batch) && !batch_is_control(batch)) {
            if (window_archive(a->window, batch_base_offset(batch), batch_last_offset(batch), SHARE_ACQUIRED))
                acquire->archived = true;
            cut_out(acquire, batch_base_offset(batch), batch_last_offset(batch));
        }
    }
}

/* ---- all together ------------------------------------------------------------------------------------------------------------ */

static int64_t base_to_acquire(struct share_window *window, int64_t base) {
    int i = window_find(window, base);
    if (i < window->count && run_at(window, i)->batch <= base)
        return run_at(window, i)->batch; /* in the middle of a batch */
    if (i == 0 && base < window->start)
        return window->start;
    return base;
}

static void acquire_all(struct acquiring *a, int64_t max) {
    struct share_window *window = a->window;
    int64_t read_base = a->spans[0].base, base = base_to_acquire(window, read_base), from = read_base < base ? read_base : base;
    int64_t behind = INT64_MIN;
    bool stopped = false;
    int64_t acquired = acquire_in_flight(a, from, base, max, &behind, &stopped);
    if (behind == INT64_MIN && !acquired) {
        acquire_new(a, base, a->last_offset, max);
        return;
    }
    if (!stopped && acquired < max && behind <= a->last_offset)
        acquired += acquire_new(a, behind, a->last_offset, max - acquired);
    if (a->acquire->acquired_count)
        move_gap(window, a->acquire->acquired[a->acquire->acquired_count - 1].last + 1);
}

void window_acquire(struct share_window *window, struct share_acquire *acquire) {
    struct acquiring a = {.window = window, .acquire = acquire};
    acquire->acquired_count = 0;
    acquire->records = 0;
    acquire->log_end = -1;
    if (acquire->records_max <= 0)
        return;
    find_spans(&a);
    if (!a.span_count || a.spans[a.span_count - 1].last < window->start)
        return;
    a.last_offset = a.spans[a.span_count - 1].last;
    acquire->log_end = a.last_offset + 1;
    int64_t max = acquire->in_flight_max - window_in_flight(window);
    if (max > acquire->records_max)
        max = acquire->records_max;
    if (max <= 0) {
        if (acquire->fetch_offset > window->end)
            return;
        max = window->end - acquire->fetch_offset + 1;
        if (max > acquire->records_max)
            max = acquire->records_max;
        if (a.last_offset > window->end)
            a.last_offset = window->end;
    }
    /* What the log lost to compaction is done with. */
    if (window->count && acquire->fetch_offset < a.spans[0].base &&
        window_archive(window, acquire->fetch_offset, a.spans[0].base - 1, SHARE_AVAILABLE)) {
        window->find_next = true;
        acquire->archived = true;
    }
    if (max <= 0)
        return;
    a.member = window_member(window, acquire->member);
    a.throttle_from = (acquire->deliveries_max + 1) / 2 > 2 ? (acquire->deliveries_max + 1) / 2 : 2;
    acquire_all(&a, max);
    if (acquire->aborted_count)
        drop_aborted(&a);
    for (int i = 0; i < acquire->acquired_count; i++)
        acquire->records += acquire->acquired[i].last - acquire->acquired[i].first + 1;
}

struct slice window_acquired_bytes(const struct share_acquire *acquire) {
    if (!acquire->acquired_count)
        return SLICE_EMPTY;
    int64_t first = acquire->acquired[0].first, last = acquire->acquired[acquire->acquired_count - 1].last;
    size_t from = SIZE_MAX, to = 0;
    for (size_t at = 0, size; (size = batch_at(acquire, at)); at += size) {
        if (any_last_offset(acquire->bytes + at) >= first && from == SIZE_MAX)
            from = at;
        if (from != SIZE_MAX && batch_base_offset(acquire->bytes + at) > last && any_last_offset(acquire->bytes + at) > last)
            break;
        to = at + size;
    }
    return from == SIZE_MAX ? SLICE_EMPTY : slice_of(acquire->bytes + from, to - from);
}
