#include "broker/lag.h"

#include "base/mem.h"
#include "broker/coordinators.h"
#include "coordinator/offsets.h"
#include "coordinator/share_state.h"
#include "protocol/batch.h"

enum { LOOKS_PER_TURN = 128 };

static void look(struct shard *shard, struct message *message);

static void visit_next(struct collect_lags *lags) {
    struct broker *broker = lags->broker;
    if (++lags->shard == broker->shard_count) {
        if (lags->second_round) {
            lags->finished(lags);
            return;
        }
        lags->second_round = true;
        lags->shard = 0;
    }
    lags->next = 0;
    shard_post(broker->shards[lags->shard].shard, &lags->message);
}

/* ---- the offsets ------------------------------------------------------------------------------------------------------- */

static void add_topic(struct collect_lags *lags, const struct broker_shard *shard, const struct offset_topic *topic) {
    const struct image_topic *image = image_find_topic(shard->image, topic->name->name);
    struct slice group = SLICE_NULL, name = SLICE_NULL;
    for (int32_t i = 0; i < topic->count && lags->count < lags->lags_max; i++) {
        if (!group.ptr) {
            group = arena_slice(&lags->arena, topic->group->id);
            name = arena_slice(&lags->arena, topic->name->name);
        }
        lags->lags[lags->count++] = (struct group_lag){.group = group,
                                                       .topic = name,
                                                       .partition = topic->committed[i].partition,
                                                       .topic_id = image ? image->id : UUID_ZERO,
                                                       .committed = topic->committed[i].offset,
                                                       .end = -1,
                                                       .last_stable = -1,
                                                       .next_ms = -1};
    }
}

static void take_offsets(struct collect_lags *lags, struct broker_shard *shard, const struct groups *groups) {
    lags->groups += (int64_t)groups->by_id.count;
    lags->offsets += groups->offsets->count;
    for (struct list *node = groups->all.next; node != &groups->all && lags->count < lags->lags_max; node = node->next) {
        const struct offset_group *group = offsets_find_group(groups->offsets, list_entry(node, struct group, all)->id);
        for (struct list *at = group ? group->topics.next : NULL; group && at != &group->topics; at = at->next)
            add_topic(lags, shard, list_entry(at, struct offset_topic, in_group));
    }
}

/* ---- the coordinators ---------------------------------------------------------------------------------------------------- */

const char *const group_state_names[GROUP_STATES] = {"Empty",     "PreparingRebalance", "CompletingRebalance", "Stable",
                                                     "Assigning", "Reconciling",        "NotReady",            "Dead"};

static void count_groups(struct coordinator_numbers *to, const struct groups *groups) {
    for (struct list *node = groups->all.next; node != &groups->all; node = node->next) {
        const struct group *group = list_entry(node, struct group, all);
        const char *name = group->methods->state_name(group);
        int state = 0;
        while (state < GROUP_STATES - 1 && strcmp(name, group_state_names[state]))
            state++;
        to->groups[group->methods->type][state]++;
    }
    for (int type = 0; type < GROUP_TYPES; type++)
        to->rebalances[type] += groups->rebalances[type];
    to->descriptions.stored += groups->descriptions.stored;
    to->descriptions.refused += groups->descriptions.refused;
    to->descriptions.got += groups->descriptions.got;
    to->descriptions.deleted += groups->descriptions.deleted;
    to->descriptions.expired += groups->descriptions.expired;
    if (groups->descriptions.cycles > to->descriptions.cycles) /* each coordinator has its own, all as often */
        to->descriptions.cycles = groups->descriptions.cycles;
    to->commits += groups->offsets->commits;
    to->expired += groups->offsets->expired;
    to->deleted += groups->offsets->deleted;
}

static void count_states(struct collect_lags *lags, const struct coordinator *coordinator) {
    struct coordinator_numbers *to = &lags->coordinators;
    struct share_state_numbers numbers = share_state_numbers(coordinator);
    to->share_states += numbers.keys;
    to->pruned = arena_grow(&lags->arena, to->pruned, (size_t)to->pruned_count, sizeof *to->pruned);
    to->pruned[to->pruned_count++] = (struct pruned_log){coordinator->partition->index, numbers.last_pruned};
}

static void count_coordinators(struct collect_lags *lags, struct broker_shard *shard) {
    struct coordinator_numbers *to = &lags->coordinators;
    for (int type = 0; type < COORDINATOR_TYPES; type++)
        for (int32_t i = 0; i < coordinator_slots(shard, (enum coordinator_type)type); i++) {
            const struct coordinator *coordinator = coordinator_find(shard, (enum coordinator_type)type, i);
            if (!coordinator)
                continue;
            to->phases[type][coordinator->phase]++;
            to->queued[type] += coordinator_queued(coordinator);
            to->buffer_bytes[type] += (int64_t)coordinator->batch.capacity;
            if (coordinator->phase != COORDINATOR_ACTIVE)
                continue;
            to->load_ns[type] += coordinator->load_ns;
            if (coordinator->load_ns > to->load_max_ns[type])
                to->load_max_ns[type] = coordinator->load_ns;
            if (type == COORDINATOR_SHARE)
                count_states(lags, coordinator);
        }
}

/* False: there are more. */
static bool visit_coordinators(struct collect_lags *lags, struct broker_shard *shard) {
    if (lags->next == 0)
        count_coordinators(lags, shard);
    while (lags->next < coordinator_slots(shard, COORDINATOR_GROUP)) {
        const struct coordinator *coordinator = coordinator_find(shard, COORDINATOR_GROUP, (int32_t)lags->next++);
        if (!coordinator || coordinator->phase != COORDINATOR_ACTIVE)
            continue;
        take_offsets(lags, shard, coordinator->state);
        count_groups(&lags->coordinators, coordinator->state);
        return false;
    }
    return true;
}

/* ---- the logs ------------------------------------------------------------------------------------------------------------ */

/* Time of the batch that was found. */
static int64_t time_of(const struct log_read *read) {
    if (read->err || !read->piece_count || read->pieces[0].size < BATCH_HEADER_SIZE)
        return -1;
    const uint8_t *batch = read->pieces[0].ptr;
    return batch_magic(batch) == 2 ? batch_base_timestamp(batch) : any_max_timestamp(batch);
}

static void go_on(struct collect_lags *lags) {
    shard_post(lags->broker->shards[lags->shard].shard, &lags->message);
}

static void read_done(struct log_read *read) {
    struct collect_lags *lags = container_of(read, struct collect_lags, read);
    lags->lags[lags->next++].next_ms = time_of(read);
    log_read_release(read);
    go_on(lags);
}

/* False: goes on when the log has been read. */
static bool look_at(struct collect_lags *lags, struct broker_shard *shard, struct group_lag *lag) {
    const struct partition *partition = partition_find(&shard->partitions, lag->topic_id, lag->partition);
    if (!partition || partition_check_leader(partition))
        return true;
    struct log_offsets offsets = log_offsets(partition->log);
    lag->end = offsets.durable_end;
    lag->last_stable = partition_last_stable_offset(partition);
    if (lag_records(lag, lag->end) == 0)
        return true;
    lags->read = (struct log_read){.log = partition->log,
                                   .offset = lag->committed > offsets.start ? lag->committed : offsets.start,
                                   .bound = offsets.durable_end,
                                   .bytes_max = BATCH_HEADER_SIZE,
                                   .whole_first_batch = true,
                                   .done = read_done};
    if (!log_read(&lags->read))
        return false;
    lag->next_ms = time_of(&lags->read);
    log_read_release(&lags->read);
    return true;
}

static void look(struct shard *shard, struct message *message) {
    struct collect_lags *lags = container_of(message, struct collect_lags, message);
    struct broker_shard *broker_shard = broker_shard_of(shard);
    if (!lags->second_round) {
        if (visit_coordinators(lags, broker_shard))
            visit_next(lags);
        else
            go_on(lags);
        return;
    }
    for (int looks = 0; lags->next < lags->count; lags->next++) {
        struct group_lag *lag = &lags->lags[lags->next];
        if (broker_partition_shard(lags->broker, lag->topic_id, lag->partition) != lags->shard)
            continue;
        if (looks++ == LOOKS_PER_TURN) {
            go_on(lags);
            return;
        }
        if (!look_at(lags, broker_shard, lag))
            return;
    }
    visit_next(lags);
}

void collect_lags_start(struct collect_lags *lags) {
    lags->lags = mem_zalloc(sizeof *lags->lags * (size_t)(lags->lags_max + 1));
    lags->message.deliver = look;
    shard_post(lags->broker->shards[0].shard, &lags->message);
}

void collect_lags_free(struct collect_lags *lags) {
    mem_free(lags->lags);
    arena_deinit(&lags->arena);
}
