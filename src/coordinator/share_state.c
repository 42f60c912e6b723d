/* share_states.c as a coordinator: operations, and the timers that keep the topic small. */
#include "coordinator/share_state.h"

#include "base/mem.h"
#include "base/trace.h"
#include "coordinator/op_metrics.h"

struct share_coordinator {
    struct coordinator *coordinator;
    struct share_states *states;
    struct timer cold_timer, prune_timer, gone_timer;
    int64_t last_pruned;
};

struct slice share_state_key(struct arena *arena, struct slice group, struct uuid topic_id, int32_t partition) {
    char id[UUID_TEXT_SIZE];
    return slice_str(arena_printf(arena, "%.*s:%s:%d", SLICE_FMT(group), uuid_text(topic_id, id), partition));
}

static void add(void *op, struct slice key, struct slice value) {
    coordinator_add(op, key, value);
}

void share_state_decide(struct coordinator_op *op, void *arg, struct share_call *call) {
    struct share_coordinator *state = arg;
    const struct image_topic *topic = image_find_topic_id(state->coordinator->host->image, call->topic_id);
    struct slice key, value;
    share_states_answer(state->states, call, image_find_partition(topic, call->partition), coordinator_now_ms(state->coordinator), op->arena,
                        &key, &value);
    op->is_write = call->type == SHARE_WRITE;
    if (state->coordinator->host->metrics && (op->is_write || (key.ptr && call->type == SHARE_READ))) /* reads that write the leader's epoch */
        state->coordinator->host->metrics[COORDINATOR_SHARE].writes++;
    if (key.ptr)
        coordinator_add(op, key, value);
}

/* ---- upkeep ------------------------------------------------------------------------------------------------------------- */

static void start(struct share_coordinator *state, struct timer *timer, const char *setting) {
    timer_start(state->coordinator->host->shard, timer, (uint64_t)coordinator_config_int(state->coordinator, setting) * NS_PER_MS);
}

static void cold_decide(struct coordinator_op *op, void *arg) {
    struct share_coordinator *state = arg;
    int64_t interval = coordinator_config_int(state->coordinator, "share.coordinator.cold.partition.snapshot.interval.ms");
    op->divisible = true;
    share_states_cold(state->states, coordinator_now_ms(state->coordinator), interval, op->arena, add, op);
}

static void cold(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct share_coordinator *state = container_of(timer, struct share_coordinator, cold_timer);
    start(state, timer, "share.coordinator.cold.partition.snapshot.interval.ms");
    coordinator_chore(state->coordinator, cold_decide);
}

struct pruning {
    struct coordinator_op op;
    int64_t from;
};

static void prune_decide(struct coordinator_op *op, void *arg) {
    const struct share_coordinator *state = arg;
    container_of(op, struct pruning, op)->from = share_states_needed_from(state->states);
}

/* All snapshots that `from` counts on are on the device: not before then may go what they stand for. */
static void prune_done(struct coordinator_op *op, int16_t error) {
    struct pruning *pruning = container_of(op, struct pruning, op);
    struct coordinator *coordinator = op->coordinator;
    struct log *log = coordinator->partition->log;
    int64_t from = pruning->from;
    mem_free(pruning);
    if (error || !log || log_state(log) || from <= log_offsets(log).start)
        return;
    struct share_coordinator *state = coordinator->state;
    enum err err = log_raise_start(log, from);
    if (err)
        trace_warn("coordinator", "records that are not needed stay", TRACE_SLICE("topic", coordinator->partition->topic),
                   TRACE_INT("partition", coordinator->partition->index), TRACE_ERR(err));
    else if (state)
        state->last_pruned = from;
}

static void prune(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct share_coordinator *state = container_of(timer, struct share_coordinator, prune_timer);
    start(state, timer, "share.coordinator.state.topic.prune.interval.ms");
    struct pruning *pruning = mem_new(struct pruning);
    pruning->op = (struct coordinator_op){.decide = prune_decide, .done = prune_done};
    coordinator_run(state->coordinator, &pruning->op);
}

static bool is_no_topic(const void *arg, struct uuid topic_id) {
    return !image_find_topic_id(arg, topic_id);
}

static void drop_gone(struct coordinator_op *op, void *arg) {
    struct share_coordinator *state = arg;
    op->divisible = true;
    share_states_drop(state->states, is_no_topic, state->coordinator->host->image, op->arena, add, op);
}

static void gone(struct shard *shard, struct timer *timer) {
    (void)shard;
    coordinator_task(container_of(timer, struct share_coordinator, gone_timer)->coordinator, drop_gone, NULL);
}

/* In a moment: while it goes it is still whole. */
static void topic_changed(void *arg, const struct image_topic *topic, bool removed) {
    (void)topic;
    struct share_coordinator *state = arg;
    if (removed && share_states_count(state->states))
        timer_start(state->coordinator->host->shard, &state->gone_timer, 0);
}

/* ---- the coordinator's kind ------------------------------------------------------------------------------------------------ */

static void *create(struct coordinator *coordinator) {
    struct share_coordinator *state = mem_new(struct share_coordinator);
    state->coordinator = coordinator;
    state->states = share_states_create((int32_t)coordinator_config_int(coordinator, "share.coordinator.snapshot.update.records.per.snapshot"));
    state->cold_timer.fire = cold;
    state->prune_timer.fire = prune;
    state->gone_timer.fire = gone;
    return state;
}

static void destroy(void *arg) {
    struct share_coordinator *state = arg;
    timer_stop(state->coordinator->host->shard, &state->cold_timer);
    timer_stop(state->coordinator->host->shard, &state->prune_timer);
    timer_stop(state->coordinator->host->shard, &state->gone_timer);
    share_states_destroy(state->states);
    mem_free(state);
}

static enum err replay(void *arg, const struct coordinator_record *record) {
    struct share_coordinator *state = arg;
    return share_states_replay(state->states, record);
}

static void loaded(void *arg) {
    struct share_coordinator *state = arg;
    start(state, &state->cold_timer, "share.coordinator.cold.partition.snapshot.interval.ms");
    start(state, &state->prune_timer, "share.coordinator.state.topic.prune.interval.ms");
    if (share_states_count(state->states)) /* topics went while nobody was here to see it */
        timer_start(state->coordinator->host->shard, &state->gone_timer, 0);
}

const struct coordinator_kind coordinator_share_kind = {
    .topic = "__share_group_state",
    .create = create,
    .destroy = destroy,
    .replay = replay,
    .loaded = loaded,
    .topic_changed = topic_changed,
};

struct share_state_numbers share_state_numbers(const struct coordinator *coordinator) {
    const struct share_coordinator *state = coordinator->state;
    if (coordinator->phase != COORDINATOR_ACTIVE || !state)
        return (struct share_state_numbers){0};
    return (struct share_state_numbers){.keys = share_states_count(state->states), .last_pruned = state->last_pruned};
}
