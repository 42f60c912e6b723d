#include "broker/collect.h"
#include "broker/coordinators.h"
#include "broker/cordon.h"

#include <stdio.h>
#include "base/mem.h"
#include "broker/fetch_session.h"
#include "broker/share_sessions.h"
#include "coordinator/transactions.h"
#include "metadata/features.h"

/* A partition out of the cache costs some 200 ns, so that a turn is longer by less than 100 us. */
enum { STEPS_PER_TURN = 256, SEGMENTS_PER_STEP = 64, NAMES_PER_TURN = 512 };
#define LATE_MS 300000 /* after which Kafka counts a transaction as late */

/* ---- the busiest ----------------------------------------------------------------------------------------------------- */

static void sift_down(struct partition_numbers *heap, int count, int at) {
    for (int child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && heap[child + 1].traffic < heap[child].traffic;
        if (heap[at].traffic <= heap[child].traffic)
            return;
        struct partition_numbers swap = heap[at];
        heap[at] = heap[child];
        heap[child] = swap;
    }
}

static void sift_up(struct partition_numbers *heap, int at) {
    for (int parent; at > 0 && heap[parent = (at - 1) / 2].traffic > heap[at].traffic; at = parent) {
        struct partition_numbers swap = heap[at];
        heap[at] = heap[parent];
        heap[parent] = swap;
    }
}

static void keep_if_busy(struct collect_part *part, const struct partition_numbers *numbers) {
    if (part->busiest_count < part->partitions_max) {
        if ((part->busiest_count & (part->busiest_count - 1)) == 0) /* full at each power of two */
            part->busiest = mem_realloc(part->busiest, sizeof *part->busiest * (size_t)(part->busiest_count ? 2 * part->busiest_count : 1));
        part->busiest[part->busiest_count] = *numbers;
        sift_up(part->busiest, part->busiest_count++);
    } else if (part->busiest_count && numbers->traffic > part->busiest[0].traffic) {
        part->busiest[0] = *numbers;
        sift_down(part->busiest, part->busiest_count, 0);
    }
}

/* ---- one partition --------------------------------------------------------------------------------------------------- */

static bool topic_is(const struct map_node *node, const void *key) {
    return uuid_eq(container_of(node, struct topic_numbers, node)->id, *(const struct uuid *)key);
}

static void add_traffic(struct collect_part *part, const struct partition *partition) {
    const struct partition_traffic *from = &partition->traffic;
    if (!from->produce_requests && !from->fetch_requests)
        return;
    struct topic_numbers *topic = part->last_topic; /* partitions of a topic mostly stand together */
    if (!topic || !uuid_eq(topic->id, partition->topic_id)) {
        uint64_t hash = uuid_hash(partition->topic_id);
        struct map_node *node = map_find(&part->topics, hash, topic_is, &partition->topic_id);
        topic = node ? container_of(node, struct topic_numbers, node) : NULL;
        if (!topic) {
            topic = arena_new(&part->arena, struct topic_numbers);
            topic->id = partition->topic_id;
            map_insert(&part->topics, &topic->node, hash);
        }
        part->last_topic = topic;
    }
    topic->traffic.bytes_in += from->bytes_in;
    topic->traffic.bytes_out += from->bytes_out;
    topic->traffic.messages_in += from->messages_in;
    topic->traffic.produce_requests += from->produce_requests;
    topic->traffic.fetch_requests += from->fetch_requests;
}

static void note_uncleanable(struct collect_part *part, const struct partition *partition) {
    struct log_dirtiness dirt;
    log_measure_dirt(partition->log, partition_high_watermark(partition), &dirt);
    part->uncleanable[log_dir_index(partition->log)]++;
    part->uncleanable_bytes[log_dir_index(partition->log)] += dirt.dirty_bytes;
}

/* Its oldest transaction has been open for longer than any may be: nobody is going to end it. */
static bool is_late(const struct broker_shard *shard, const struct producers *producers) {
    for (int i = 0; i < producers->txn_count; i++) {
        if (producers->txns[i].last_offset >= 0)
            continue;
        const struct producer *producer = producers_find(producers, producers->txns[i].producer_id);
        int64_t limit_ms = broker_config_int(shard->broker->config, "transaction.max.timeout.ms") + LATE_MS;
        return producer && producer->last_timestamp > 0 && shard_wall_ms(shard->shard) - producer->last_timestamp > limit_ms;
    }
    return false;
}

/* What it cost, in steps. */
static int visit(struct collect_part *part, const struct partition *partition) {
    struct partition_numbers numbers = {.traffic = partition->traffic.bytes_in + partition->traffic.bytes_out,
                                        .topic_id = partition->topic_id,
                                        .index = partition->index,
                                        .leads = partition->leads};
    part->partitions++;
    add_traffic(part, partition);
    const struct log *log = partition->log;
    numbers.online = log && log_state(log) != ERR_OFFLINE;
    part->leaders += partition->leads && numbers.online;
    part->offline += !numbers.online && !partition->opening && partition->err != ERR_AGAIN;
    if (log) {
        struct log_offsets offsets = log_offsets(log);
        numbers.start = offsets.start;
        numbers.end = offsets.end;
        numbers.last_stable = log_last_stable_offset(log);
        numbers.segments = log_segment_count(log);
        numbers.size = log_size(log);
        numbers.retention_bytes = log_get_settings(log)->retention_bytes;
        part->segments += numbers.segments;
        part->dir_bytes[log_dir_index(log)] += numbers.size;
        if (log_is_uncleanable(log))
            note_uncleanable(part, partition);
        part->producer_ids += (int64_t)log_producers((struct log *)log)->map.count;
        part->late_transactions += is_late(part->shard, log_producers((struct log *)log));
    }
    keep_if_busy(part, &numbers);
    return 1 + numbers.segments / SEGMENTS_PER_STEP;
}

/* ---- counters -------------------------------------------------------------------------------------------------------- */

static void note_cluster(struct broker_shard *shard, struct cluster_numbers *cluster) {
    const struct broker *broker = shard->broker;
    const struct image *image = shard->image;
    cluster->topics = (int64_t)image->topics_by_id.count;
    cluster->partitions = image->partition_count;
    map_each(node, &image->brokers)
        container_of(node, struct image_broker, node)->fenced ? cluster->fenced_brokers++ : cluster->brokers++;
    cluster->applied_offset = image->offset;
    cluster->epoch = image->epoch;
    cluster->metadata_version = image->metadata_version;
    for (int i = 0; i < image->feature_count && i < COUNT_OF(cluster->features); i++) {
        snprintf(cluster->features[i].name, sizeof cluster->features[i].name, "%.*s", SLICE_FMT(image->features[i].name));
        cluster->features[i].level = image->features[i].level;
        cluster->feature_count++;
    }
    for (int i = 0; i < broker->config->log_dir_count; i++) {
        cluster->dir_offline[i] = shard->store && log_store_dir_is_offline(shard->store, i);
        cluster->dir_cordoned[i] = cordon_holds(shard, i);
    }
    struct log *log = broker->quorum && !shard->stopping ? quorum_log(broker->quorum) : NULL;
    if (log) {
        cluster->committed_offset = log_durable_end(log) - 1;
        cluster->log_end_offset = log_offsets(log).end;
        cluster->last_append_ms = quorum_last_append_ms(broker->quorum);
    }
    if (broker->cleaner)
        cleaner_collect(broker->cleaner, &cluster->cleaner);
    cluster->active = broker->controller && controller_is_active(broker->controller);
}

static void count_transactions(struct collect_part *part) {
    const struct broker_shard *shard = part->shard;
    const struct image_topic *topic = image_find_topic(shard->image, SLICE_LIT("__transaction_state"));
    for (int32_t p = 0; topic && p < topic->partition_count; p++) {
        const struct coordinator *coordinator = coordinator_find(part->shard, COORDINATOR_TRANSACTION, p);
        if (!coordinator || coordinator->phase != COORDINATOR_ACTIVE)
            continue;
        const struct transactions *txns = coordinator->state;
        for (int i = 0; i < TXN_STATES; i++)
            part->transactional_ids[i] += txns->counts[i];
        int64_t start_ms = transactions_oldest_start_ms(txns), age_ms = shard_wall_ms(shard->shard) - start_ms;
        if (start_ms >= 0 && age_ms > part->oldest_transaction_ms)
            part->oldest_transaction_ms = age_ms;
        part->transactions_committed += txns->committed;
        part->transactions_aborted += txns->aborted;
        part->transactions_timed_out += txns->timed_out;
    }
    list_each(node, &shard->marker_writes)
        part->markers_waiting++;
}

static void count_shares(struct collect_part *part) {
    struct share_session_numbers sessions = share_session_numbers(part->shard->share_sessions);
    const struct share_numbers *numbers = share_numbers(part->shard);
    part->share_sessions = sessions.sessions;
    part->share_session_partitions = sessions.partitions;
    part->share_session_evictions = sessions.evictions;
    for (int i = 0; i < SHARE_TYPES; i++)
        part->share_acknowledged[i] = numbers->acknowledged[i];
    part->share_lock_timeouts = numbers->lock_timeouts;
    part->share_fetches_waiting = numbers->waiting;
    part->share_fetches = numbers->fetches;
    part->share_fetches_failed = numbers->failed_fetches;
    part->share_acks = numbers->acks;
    part->share_acks_failed = numbers->failed_acks;
    part->share_partition_count = share_partition_count(part->shard);
    part->share_partitions_shown = share_partition_numbers(part->shard, part->partitions_max, &part->arena, &part->share_partitions);
}

static void copy_counters(struct collect_part *part) {
    struct broker_shard *shard = part->shard;
    part->metrics = *shard->metrics;
    for (int i = 0; i < API_COUNT; i++)
        if (part->metrics.apis[i]) {
            part->metrics.apis[i] = mem_alloc(sizeof(struct api_metrics));
            memcpy(part->metrics.apis[i], shard->metrics->apis[i], sizeof(struct api_metrics));
        }
    if (shard->store)
        part->log = *log_store_metrics(shard->store);
    part->idle_ns = shard_idle_ns(shard->shard);
    count_transactions(part);
    part->fetch_sessions = fetch_sessions_count(shard->fetch_sessions);
    part->fetch_session_partitions = fetch_sessions_partitions(shard->fetch_sessions);
    part->fetch_session_evictions = fetch_sessions_evictions(shard->fetch_sessions);
    if (shard->share)
        count_shares(part);
    if (shard->index == 0)
        note_cluster(shard, &part->cluster);
    if (shard->index == 0 && shard->broker->telemetry)
        telemetry_collect(shard->broker->telemetry, &part->arena, &part->telemetry);
}

/* ---- the walk -------------------------------------------------------------------------------------------------------- */

static void walk(struct shard *shard, struct message *message) {
    struct collect_part *part = container_of(message, struct collect_part, message);
    struct list *all = &part->shard->all_partitions;
    int steps = 0;
    while (part->place.next != all && steps < STEPS_PER_TURN) {
        struct list *node = part->place.next;
        list_remove(&part->place);
        list_insert_before(node->next, &part->place);
        steps += visit(part, container_of(node, struct partition, all));
    }
    if (part->place.next != all) {
        shard_post(shard, message);
        return;
    }
    list_remove(&part->place);
    part->finished(part);
}

static void begin(struct shard *shard, struct message *message) {
    struct collect_part *part = container_of(message, struct collect_part, message);
    copy_counters(part);
    list_push_front(&part->shard->all_partitions, &part->place);
    message->deliver = walk;
    walk(shard, message);
}

void collect_part_start(struct collect_part *part) {
    list_init(&part->place);
    part->message.deliver = begin;
    shard_post(part->shard->shard, &part->message);
}

void collect_part_free(struct collect_part *part) {
    for (int i = 0; i < API_COUNT; i++)
        mem_free(part->metrics.apis[i]);
    map_deinit(&part->topics);
    arena_deinit(&part->arena);
    mem_free(part->busiest);
}

/* ---- names ----------------------------------------------------------------------------------------------------------- */

static void look_up(struct shard *shard, struct message *message) {
    struct collect_names *names = container_of(message, struct collect_names, message);
    const struct image *image = broker_shard_of(shard)->image;
    for (int i = 0; i < NAMES_PER_TURN && names->next < names->count; i++, names->next++) {
        const struct image_topic *topic = image_find_topic_id(image, names->ids[names->next]);
        if (topic)
            names->names[names->next] = arena_slice(&names->arena, topic->name);
    }
    if (names->next < names->count)
        shard_post(shard, message);
    else
        names->finished(names);
}

void collect_names_start(struct collect_names *names) {
    names->message.deliver = look_up;
    shard_post(names->broker->shards[0].shard, &names->message);
}
