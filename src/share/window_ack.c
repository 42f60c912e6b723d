/* Taking records back: acknowledged, released, or because a lock has ended. */
#include "share/internal.h"

static void add_change(struct share_change *change, int64_t first, int64_t last, int state, int count) {
    struct share_batch *before = change->count ? &change->batches[change->count - 1] : NULL;
    if (before && before->last + 1 == first && before->state == state && before->count == count) {
        before->last = last;
        return;
    }
    if (change->count == change->capacity) {
        change->capacity = change->capacity ? change->capacity * 2 : 4;
        struct share_batch *grown = arena_array(change->arena, struct share_batch, change->capacity);
        if (change->count)
            memcpy(grown, change->batches, sizeof *grown * (size_t)change->count);
        change->batches = grown;
    }
    change->batches[change->count++] = (struct share_batch){first, last, (int8_t)state, (int16_t)count};
}

static void begin(struct share_window *window, struct share_change *change) {
    change->count = change->capacity = 0;
    if (++window->last_transition == 0)
        window->last_transition = 1;
    change->transition = window->last_transition;
}

/* Back to those who wait, or out of the way. */
static enum share_state state_after(const struct share_window *window, const struct share_run *run, int32_t deliveries_max) {
    return run->last < window->start || run->count >= deliveries_max ? SHARE_ARCHIVED : SHARE_AVAILABLE;
}

/* ---- acknowledge ------------------------------------------------------------------------------------------------------- */

struct acking {
    struct share_window *window;
    struct share_change *change;
    uint32_t member;
    bool renew_enabled;
    uint64_t deadline_ns;
    int32_t deliveries_max;
    const char *why;
};

static enum share_ack_error invalid_state(struct acking *a, const char *why) {
    a->why = why;
    return SHARE_ACK_INVALID_STATE;
}

/* A whole run, which is acquired by the member, is told `type`. */
static enum share_ack_error ack_run(struct acking *a, struct share_run *run, int8_t type) {
    int64_t size = run->last - run->first + 1;
    if (type == SHARE_TYPE_RENEW) {
        if (!a->renew_enabled)
            return invalid_state(a, "Renewing acquisition locks is not enabled for the group.");
        run->deadline_ns = a->deadline_ns;
        a->change->renewed += size;
        return SHARE_ACK_OK;
    }
    enum share_state state = SHARE_ARCHIVED;
    if (type == SHARE_TYPE_ACCEPT) {
        state = SHARE_ACKNOWLEDGED;
        a->change->accepted += size;
    } else if (type == SHARE_TYPE_RELEASE) {
        state = run->count >= a->deliveries_max ? SHARE_ARCHIVED : SHARE_AVAILABLE;
        a->change->released += size;
    } else {
        a->change->rejected += size;
    }
    run->state = (uint8_t)state;
    run->transition = a->change->transition;
    add_change(a->change, run->first, run->last, run->state, run->count);
    return SHARE_ACK_OK;
}

static int8_t type_of(const struct share_ack *ack, int64_t offset) {
    return ack->type_count == 1 ? ack->types[0] : ack->types[offset - ack->first];
}

/* Records of a split batch, from run `index` on. */
static enum share_ack_error ack_parts(struct acking *a, const struct share_ack *ack, int64_t batch_first, int64_t batch_last) {
    struct share_window *window = a->window;
    int64_t first = ack->first > window->start ? ack->first : window->start, last = ack->last < batch_last ? ack->last : batch_last;
    enum share_ack_error error = SHARE_ACK_OK;
    if (first < batch_first)
        first = batch_first;
    for (int64_t at = first; at <= last && !error;) {
        const struct share_run *run = run_at(window, window_find(window, at));
        if (run->state != SHARE_ACQUIRED)
            error = invalid_state(a, "The offset cannot be acknowledged. The offset is not acquired.");
        else if (run->member != a->member)
            error = invalid_state(a, "Member is not the owner of offset");
        if (error)
            break;
        int64_t end = run->last < last ? run->last : last;
        int8_t type = type_of(ack, at);
        for (int64_t next = at + 1; ack->type_count > 1 && next <= end; next++)
            if (type_of(ack, next) != type)
                end = next - 1;
        int i = window_cut(window, at);
        if (run_at(window, i)->last > end)
            i = window_cut(window, end + 1) - 1;
        error = ack_run(a, run_at(window, i), type);
        at = end + 1;
    }
    window_join(window, batch_first, batch_last);
    return error;
}

static enum share_ack_error ack_batch(struct acking *a, const struct share_ack *ack, int index, int64_t batch_last) {
    struct share_window *window = a->window;
    struct share_run *run = run_at(window, index);
    int64_t batch_first = run->batch;
    if (batch_last < window->start)
        return SHARE_ACK_OK;
    if (!run->split) {
        if (!run->member || run->transition)
            return invalid_state(a, "The batch cannot be acknowledged. The batch is not in the acquired state.");
        if (run->member != a->member)
            return invalid_state(a, "Member is not the owner of batch record");
        if (run->first >= ack->first && run->last <= ack->last && ack->type_count == 1 && run->first >= window->start)
            return ack_run(a, run, ack->types[0]);
        window_split_batch(window, index);
    }
    return ack_parts(a, ack, batch_first, batch_last);
}

static enum share_ack_error acknowledge(struct acking *a, const struct share_ack *ack) {
    struct share_window *window = a->window;
    if (ack->last < window->start)
        return SHARE_ACK_OK;
    int index = window_find(window, ack->first); /* the first run that ends at or behind it */
    bool in_one = index < window->count && run_at(window, index)->batch <= ack->first;
    if (!in_one && index == 0 && !(ack->first < window->start && window->count && run_at(window, 0)->first <= window->start))
        return invalid_state(a, "Batch record not found. The request batch offsets are not found in the cache.");
    while (index > 0 && index < window->count && run_at(window, index - 1)->batch == run_at(window, index)->batch)
        index--;
    if (index == window->count || run_at(window, index)->batch > ack->last) {
        a->why = "Batch record not found. The first offset in request is past acquired records.";
        return SHARE_ACK_INVALID_REQUEST;
    }
    int last = window_find(window, ack->last); /* the last batch that begins at or before ack->last must reach it */
    if (last == window->count || run_at(window, last)->batch > ack->last) {
        a->why = "Batch record not found. The last offset in request is past acquired records.";
        return SHARE_ACK_INVALID_REQUEST;
    }
    for (int64_t at = run_at(window, index)->batch;;) {
        int i = window_find(window, at);
        if (i == window->count || run_at(window, i)->batch > ack->last)
            return SHARE_ACK_OK;
        int64_t batch_last = run_at(window, window_batch_end(window, i) - 1)->last;
        enum share_ack_error error = ack_batch(a, ack, i, batch_last);
        if (error)
            return error;
        if (batch_last == INT64_MAX)
            return SHARE_ACK_OK;
        at = batch_last + 1;
    }
}

enum share_ack_error window_acknowledge(struct share_window *window, struct slice member, const struct share_ack *acks, int count,
                                        bool renew_enabled, uint64_t deadline_ns, int32_t deliveries_max, struct share_change *change,
                                        const char **ret_why) {
    struct acking a = {.window = window, .change = change, .member = window_find_member(window, member), .renew_enabled = renew_enabled,
                       .deadline_ns = deadline_ns, .deliveries_max = deliveries_max};
    enum share_ack_error error = SHARE_ACK_OK;
    begin(window, change);
    for (int i = 0; i < count && !error; i++)
        error = acknowledge(&a, &acks[i]);
    if (error) {
        window_complete(window, change->transition, false, 0, deliveries_max);
        int64_t renewed = change->renewed;
        change->accepted = change->released = change->rejected = 0;
        change->renewed = renewed;
        change->count = 0;
        *ret_why = a.why;
    }
    return error;
}

/* ---- release, expire ------------------------------------------------------------------------------------------------------ */

/* Takes back a run, in two parts when the window begins inside it. Returns the index of the last part. */
static int take_back(struct share_window *window, int i, int32_t deliveries_max, uint32_t transition, struct share_change *change) {
    if (run_at(window, i)->first < window->start && run_at(window, i)->last >= window->start) {
        window_split_batch(window, i);
        i = window_cut(window, window->start) - 1;
        take_back(window, i, deliveries_max, transition, change);
        i++;
    }
    struct share_run *run = run_at(window, i);
    run->state = (uint8_t)state_after(window, run, deliveries_max);
    run->transition = transition;
    if (!transition) {
        run->member = 0;
        if (run->state == SHARE_AVAILABLE)
            window->find_next = true;
    }
    add_change(change, run->first, run->last, run->state, run->count);
    return i;
}

void window_release(struct share_window *window, struct slice member, int32_t deliveries_max, struct share_change *change) {
    begin(window, change);
    uint32_t mine = window_find_member(window, member);
    for (int i = 0; mine && i < window->count; i++)
        if (run_at(window, i)->state == SHARE_ACQUIRED && run_at(window, i)->member == mine)
            i = take_back(window, i, deliveries_max, change->transition, change);
}

void window_expire(struct share_window *window, uint64_t now_ns, int32_t deliveries_max, struct share_change *change) {
    change->count = change->capacity = 0;
    change->transition = 0;
    for (int i = 0; i < window->count; i++)
        if (run_at(window, i)->state == SHARE_ACQUIRED && run_at(window, i)->deadline_ns <= now_ns)
            i = take_back(window, i, deliveries_max, 0, change);
    if (change->count)
        window_join(window, run_at(window, 0)->first, INT64_MAX);
}

bool window_complete(struct share_window *window, uint32_t transition, bool stored, uint64_t now_ns, int32_t deliveries_max) {
    bool changed = false, available = false;
    if (!transition)
        return window_advance(window);
    for (int i = 0; i < window->count; i++) {
        struct share_run *run = run_at(window, i);
        if (run->transition != transition)
            continue;
        run->transition = 0;
        changed = true;
        if (!stored && run->deadline_ns > now_ns) {
            run->state = SHARE_ACQUIRED;
            continue;
        }
        if (!stored) /* the lock has ended meanwhile */
            run->state = (uint8_t)state_after(window, run, deliveries_max);
        run->member = 0;
        available |= run->state == SHARE_AVAILABLE;
    }
    if (!changed)
        return false;
    if (available)
        window->find_next = true;
    window_join(window, run_at(window, 0)->first, INT64_MAX);
    return window_advance(window) || available;
}
