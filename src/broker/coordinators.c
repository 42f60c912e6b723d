#include "broker/coordinators.h"

#include "base/mem.h"
#include "base/trace.h"
#include "broker/auto_create.h"
#include "broker/conn.h"
#include "broker/metrics.h"
#include "broker/txn_markers.h"
#include "protocol/compress.h"
#include "protocol/errors.h"

static const char *const topics[COORDINATOR_TYPES] = {
    [COORDINATOR_GROUP] = "__consumer_offsets",
    [COORDINATOR_TRANSACTION] = "__transaction_state",
    [COORDINATOR_SHARE] = "__share_group_state",
};

struct coordinators { /* of a shard */
    struct coordinator_host host;
    struct list all;
    struct { /* by partition; NULL: not here */
        struct coordinator **by_partition;
        int32_t count;
    } types[COORDINATOR_TYPES];
    bool stopping;
};

/* -1: not a coordinator's. */
static int type_of(struct slice topic) {
    if (!topic_is_internal(topic))
        return -1;
    for (int type = 0; type < COORDINATOR_TYPES; type++)
        if (slice_eq_str(topic, topics[type]))
            return type;
    return -1;
}

struct coordinator *coordinator_find(struct broker_shard *shard, enum coordinator_type type, int32_t partition) {
    const struct coordinators *coordinators = shard->coordinators;
    return partition >= 0 && partition < coordinators->types[type].count ? coordinators->types[type].by_partition[partition] : NULL;
}

int32_t coordinator_slots(const struct broker_shard *shard, enum coordinator_type type) {
    return shard->coordinators->types[type].count;
}

/* ---- partitions become coordinators ------------------------------------------------------------------------------------ */

static void set(struct coordinators *coordinators, enum coordinator_type type, int32_t partition, struct coordinator *coordinator) {
    if (partition >= coordinators->types[type].count) {
        int32_t count = partition + 1;
        struct coordinator **all = mem_realloc(coordinators->types[type].by_partition, sizeof *all * (size_t)count);
        for (int32_t i = coordinators->types[type].count; i < count; i++)
            all[i] = NULL;
        coordinators->types[type].by_partition = all;
        coordinators->types[type].count = count;
    }
    coordinators->types[type].by_partition[partition] = coordinator;
}

static void destroy(struct coordinators *coordinators, struct coordinator *coordinator) {
    set(coordinators, coordinator->type, coordinator->partition->index, NULL);
    list_remove(&coordinator->node);
    coordinator_destroy(coordinator);
}

void coordinators_partition_changed(struct broker_shard *shard, struct partition *partition) {
    struct coordinators *coordinators = shard->coordinators;
    int type = type_of(partition->topic);
    if (type < 0)
        return;
    struct coordinator *coordinator = coordinator_find(shard, (enum coordinator_type)type, partition->index);
    bool wanted = partition->log && partition->leads && !partition->deleting && !coordinators->stopping;
    if (coordinator && coordinator->partition == partition && !wanted) {
        destroy(coordinators, coordinator);
    } else if (coordinator && coordinator->partition == partition) {
        coordinator_raise_epoch(coordinator, partition->leader_epoch);
    } else if (wanted) {
        if (coordinator) /* of the topic that had the name before */
            destroy(coordinators, coordinator);
        coordinator = coordinator_create(&coordinators->host, (enum coordinator_type)type, partition);
        if (!coordinator)
            return;
        set(coordinators, (enum coordinator_type)type, partition->index, coordinator);
        list_push_back(&coordinators->all, &coordinator->node);
    }
}

void coordinators_partition_gone(struct broker_shard *shard, struct partition *partition) {
    int type = type_of(partition->topic);
    struct coordinator *coordinator = type >= 0 ? coordinator_find(shard, (enum coordinator_type)type, partition->index) : NULL;
    if (coordinator && coordinator->partition == partition)
        destroy(shard->coordinators, coordinator);
}

void coordinators_topic_changed(struct broker_shard *shard, const struct image_topic *topic, bool removed) {
    list_each(node, &shard->coordinators->all)
        coordinator_topic_changed(list_entry(node, struct coordinator, node), topic, removed);
}

/* ---- visits -------------------------------------------------------------------------------------------------------------- */

static void visit_back(struct shard_call *call) {
    struct coordinator_visit *visit = container_of(call, struct coordinator_visit, call);
    visit->answer(visit, visit->error);
}

static void visit_done(struct coordinator_op *op, int16_t error) {
    struct coordinator_visit *visit = container_of(op, struct coordinator_visit, op);
    visit->error = error;
    shard_call_return(&visit->call);
}

static int16_t not_here(struct broker_shard *shard, const struct coordinator_visit *visit) {
    if (shard->coordinators->stopping)
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    return partition_is_opening(partition_find(&shard->partitions, visit->topic_id, visit->partition)) ? KAFKA_COORDINATOR_LOAD_IN_PROGRESS
                                                                                                  : KAFKA_NOT_COORDINATOR;
}

static void visit_run(struct shard_call *call) {
    struct coordinator_visit *visit = container_of(call, struct coordinator_visit, call);
    struct coordinator *coordinator = coordinator_find(call->at, visit->type, visit->partition);
    if (coordinator)
        coordinator_run(coordinator, &visit->op);
    else
        visit_done(&visit->op, not_here(call->at, visit));
}

static void drop_arena(void *arg) {
    arena_deinit(arg);
}

static struct broker_shard *home_of(const struct coordinator_visit *visit) {
    return visit->request ? visit->request->shard : visit->home;
}

static void visit_partition(struct coordinator_visit *visit, const struct image_topic *topic, int32_t partition) {
    struct broker_shard *home = home_of(visit);
    struct broker *broker = home->broker;
    visit->partition = partition;
    visit->topic_id = topic->id;
    visit->op.done = visit_done;
    visit->call = (struct shard_call){.home = home,
                                      .at = &broker->shards[broker_partition_shard(broker, topic->id, partition)],
                                      .run = visit_run,
                                      .back = visit_back};
    shard_call_send(&visit->call);
}

static const struct image_topic *topic_of(const struct broker_shard *shard, enum coordinator_type type) {
    return image_find_topic(shard->image, slice_str(topics[type]));
}

static void take_own_arena(struct coordinator_visit *visit) {
    arena_on_reset(&visit->request->arena, drop_arena, &visit->arena);
    visit->op.arena = &visit->arena;
}

void coordinator_visit(struct coordinator_visit *visit, enum coordinator_type type, struct slice id, bool own_arena) {
    struct broker_shard *home = home_of(visit);
    const struct image_topic *topic = topic_of(home, type);
    visit->type = type;
    if (visit->request && own_arena)
        take_own_arena(visit);
    else if (visit->request)
        visit->op.arena = &visit->request->arena;
    if (!topic || home->broker->stopping) {
        visit->answer(visit, topic ? KAFKA_COORDINATOR_NOT_AVAILABLE : KAFKA_NOT_COORDINATOR);
        return;
    }
    int32_t partition = coordinator_partition_of(id, topic->partition_count);
    if (visit->request && visit->request->conn && !own_arena)
        conn_note_owner(visit->request->conn, broker_partition_shard(home->broker, topic->id, partition));
    visit_partition(visit, topic, partition);
}

static struct coordinator_visit *visit_at(const struct coordinator_visit_all *all, int index) {
    return (struct coordinator_visit *)((uint8_t *)all->visits + (size_t)index * all->visit_size);
}

static void one_answered(struct coordinator_visit *visit, int16_t error) {
    visit->error = error;
    struct coordinator_visit_all *all = visit->all;
    if (--all->pending == 0)
        all->done(all);
}

void coordinator_visit_all(struct coordinator_visit_all *all, enum coordinator_type type) {
    struct request *request = all->request;
    const struct image_topic *topic = topic_of(request->shard, type);
    all->count = topic ? topic->partition_count : 0;
    all->visits = arena_zalloc(&request->arena, all->visit_size * (size_t)all->count + 1);
    all->pending = all->count + 1; /* so that it does not end before all were sent */
    for (int i = 0; i < all->count; i++) {
        struct coordinator_visit *visit = visit_at(all, i);
        visit->request = request;
        visit->all = all;
        visit->type = type;
        visit->op.decide = all->decide;
        visit->answer = one_answered;
        take_own_arena(visit);
    }
    for (int i = 0; i < all->count; i++)
        visit_partition(visit_at(all, i), topic, i);
    if (--all->pending == 0)
        all->done(all);
}

struct each_visit {
    struct coordinator_visit visit;
    struct coordinator_visit_each *each;
};

static int index_of(const struct each_visit *visit) {
    return (int)(visit - visit->each->visits);
}

static void each_decide(struct coordinator_op *op, void *state) {
    struct each_visit *visit = container_of(op, struct each_visit, visit.op);
    visit->each->look(visit->each, index_of(visit), state, op->arena);
}

static void each_done(struct coordinator_visit_each *each) {
    if (--each->pending == 0)
        each->done(each);
}

static void each_answered(struct coordinator_visit *base, int16_t error) {
    struct each_visit *visit = container_of(base, struct each_visit, visit);
    visit->each->told(visit->each, index_of(visit), error);
    each_done(visit->each);
}

void coordinator_visit_each(struct coordinator_visit_each *each, enum coordinator_type type) {
    each->visits = arena_array(&each->request->arena, struct each_visit, each->count + 1);
    each->pending = each->count + 1; /* so that it does not end before all were sent */
    for (int i = 0; i < each->count; i++) {
        struct each_visit *visit = &each->visits[i];
        int16_t refusal = each->refusal ? each->refusal : each->ids[i].size ? 0 : each->empty_refusal;
        visit->each = each;
        visit->visit = (struct coordinator_visit){.op.decide = each_decide, .request = each->request, .answer = each_answered};
        if (refusal)
            each_answered(&visit->visit, refusal);
        else
            coordinator_visit(&visit->visit, type, each->ids[i], true);
    }
    each_done(each);
}

int16_t coordinator_topic_ready(struct broker_shard *shard, enum coordinator_type type) {
    if (topic_of(shard, type))
        return 0;
    auto_create_topic(shard, slice_str(topics[type]));
    return KAFKA_COORDINATOR_NOT_AVAILABLE;
}

int32_t coordinator_partition_count(const struct broker_shard *shard, enum coordinator_type type) {
    static const char *const settings[COORDINATOR_TYPES] = {
        [COORDINATOR_GROUP] = "offsets.topic.num.partitions",
        [COORDINATOR_TRANSACTION] = "transaction.state.log.num.partitions",
        [COORDINATOR_SHARE] = "share.coordinator.state.topic.num.partitions",
    };
    const struct image_topic *topic = topic_of(shard, type);
    return topic ? topic->partition_count : (int32_t)broker_config_int(shard->broker->config, settings[type]);
}

int32_t coordinator_leader(const struct broker_shard *shard, enum coordinator_type type, struct slice id) {
    const struct image_topic *topic = topic_of(shard, type);
    const struct image_partition *partition =
        topic ? image_find_partition(topic, coordinator_partition_of(id, topic->partition_count)) : NULL;
    return partition ? partition->leader : -1;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

void coordinators_init(struct broker_shard *shard) {
    struct coordinators *coordinators = mem_new(struct coordinators);
    list_init(&coordinators->all);
    coordinators->host = (struct coordinator_host){.shard = shard->shard,
                                                   .image = shard->image,
                                                   .config = shard->broker->config,
                                                   .compressor = compressor_create(),
                                                   .metrics = shard->metrics->coordinators,
                                                   .transactions = &txn_host,
                                                   .user = shard};
    shard->coordinators = coordinators;
}

void coordinators_stop(struct broker_shard *shard) {
    shard->coordinators->stopping = true;
    list_each(node, &shard->coordinators->all)
        coordinator_stop(list_entry(node, struct coordinator, node));
}

void coordinators_close(struct broker_shard *shard) {
    struct coordinators *coordinators = shard->coordinators;
    coordinators->stopping = true;
    while (!list_is_empty(&coordinators->all))
        destroy(coordinators, list_entry(coordinators->all.next, struct coordinator, node));
    txn_markers_close(shard);
}

void coordinators_free(struct broker_shard *shard) {
    struct coordinators *coordinators = shard->coordinators;
    for (int type = 0; type < COORDINATOR_TYPES; type++)
        mem_free(coordinators->types[type].by_partition);
    compressor_destroy(coordinators->host.compressor);
    txn_markers_free(shard);
    mem_free(coordinators);
}
