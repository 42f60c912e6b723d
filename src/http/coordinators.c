/* Coordinators under Kafka's names: of kafka.coordinator.group, and group-, transaction- and share-coordinator-metrics. */
#include <stdio.h>
#include <string.h>
#include "http/numbers.h"

static int64_t groups_of(const struct coordinator_numbers *numbers, int type, int state) { /* state -1: all */
    int64_t sum = 0;
    for (int i = 0; i < GROUP_STATES; i++)
        if (state < 0 || i == state)
            sum += numbers->groups[type][i];
    return sum;
}

static void expose_manager(struct exposition *e, const struct numbers *numbers) { /* classic groups, as Kafka counts here */
    static const struct {
        const char *state, *name;
    } states[] = {{"Empty", "kafka_coordinator_group_groupmetadatamanager_numgroupsempty"},
                  {"PreparingRebalance", "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance"},
                  {"CompletingRebalance", "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance"},
                  {"Stable", "kafka_coordinator_group_groupmetadatamanager_numgroupsstable"},
                  {"Dead", "kafka_coordinator_group_groupmetadatamanager_numgroupsdead"}};
    const struct coordinator_numbers *from = &numbers->lags->coordinators;
    expose_gauge(e, "kafka_coordinator_group_groupmetadatamanager_numgroups", "Classic groups.", (double)groups_of(from, GROUP_CLASSIC, -1));
    for (int i = 0; i < COUNT_OF(states); i++)
        for (int state = 0; state < GROUP_STATES; state++)
            if (!strcmp(states[i].state, group_state_names[state]))
                expose_gauge(e, states[i].name, "Classic groups in a state.", (double)groups_of(from, GROUP_CLASSIC, state));
    expose_gauge(e, "kafka_coordinator_group_groupmetadatamanager_numoffsets", "Committed offsets.", (double)numbers->lags->offsets);
}

static void expose_groups(struct exposition *e, const struct coordinator_numbers *from) {
    static const struct {
        const char *name;
        unsigned states; /* bits, by place in group_state_names */
    } kinds[GROUP_TYPES] = {[GROUP_CONSUMER] = {"consumer", 0xb9}, [GROUP_SHARE] = {"share", 0x89}, [GROUP_STREAMS] = {"streams", 0xf9}};
    expose_family(e, "kafka_server_group_coordinator_metrics_group_count", "gauge", "Groups by protocol.");
    for (int type = 0; type < GROUP_TYPES; type++) {
        expose_begin(e);
        expose_label_str(e, "protocol", group_type_name((enum group_type)type));
        expose_int(e, groups_of(from, type, -1));
    }
    for (int type = 0; type < GROUP_TYPES; type++) {
        char name[96];
        if (!kinds[type].name)
            continue;
        snprintf(name, sizeof name, "kafka_server_group_coordinator_metrics_%s_group_count", kinds[type].name);
        expose_family(e, name, "gauge", "Groups of a protocol by state.");
        for (int state = 0; state < GROUP_STATES; state++) {
            if (!(kinds[type].states & 1u << state))
                continue;
            expose_begin(e);
            expose_label_str(e, "state", group_state_names[state]);
            expose_int(e, groups_of(from, type, state));
        }
        snprintf(name, sizeof name, "kafka_server_group_coordinator_metrics_%s_group_rebalance_count", kinds[type].name);
        expose_counter(e, name, "New epochs of groups of a protocol.", from->rebalances[type]);
    }
    expose_counter(e, "kafka_server_group_coordinator_metrics_group_completed_rebalance_count", "Rebalances of classic groups that ended.",
                   from->rebalances[GROUP_CLASSIC]);
    expose_counter(e, "kafka_server_group_coordinator_metrics_offset_commit_count", "Offsets committed.", from->commits);
    expose_counter(e, "kafka_server_group_coordinator_metrics_offset_expiration_count", "Offsets that expired.", from->expired);
    expose_counter(e, "kafka_server_group_coordinator_metrics_offset_deletion_count", "Offsets deleted.", from->deleted);
}

/* Kafka 4.4's; here the broker keeps what Kafka gives to a plugin, and neither asking nor deleting fails. */
static void expose_descriptions(struct exposition *e, const struct coordinator_numbers *from) {
    const struct {
        const char *name, *help;
        uint64_t value;
    } counts[] = {
        {"set_success", "Descriptions of topologies that were kept.", from->descriptions.stored},
        {"set_error", "Descriptions of topologies that were refused.", from->descriptions.refused},
        {"get_success", "Descriptions of topologies that were told.", from->descriptions.got},
        {"get_error", "Descriptions of topologies that could not be read.", 0},
        {"delete_success", "Descriptions of topologies that were deleted.", from->descriptions.deleted},
        {"delete_error", "Descriptions of topologies that could not be deleted.", 0},
        {"cleanup_cycle", "Rounds that look for groups that have expired.", from->descriptions.cycles},
        {"cleanup_eligible", "Descriptions of topologies of groups that have expired.", from->descriptions.expired},
    };
    for (int i = 0; i < COUNT_OF(counts); i++) {
        char name[128];
        snprintf(name, sizeof name, "kafka_server_group_coordinator_metrics_streams_group_topology_description_%s_count", counts[i].name);
        expose_counter(e, name, counts[i].help, counts[i].value);
    }
}

static void expose_partitions_of(struct exposition *e, const struct coordinator_numbers *from, enum coordinator_type type, const char *kind) {
    static const char *const phases[COORDINATOR_PHASES] = {"loading", "active", "failed"};
    char name[96];
    int64_t active = from->phases[type][COORDINATOR_ACTIVE];
    snprintf(name, sizeof name, "kafka_server_%s_coordinator_metrics_partition_load_time_max", kind);
    expose_gauge(e, name, "Milliseconds that the slowest load of a coordinator here took.", (double)from->load_max_ns[type] / 1e6);
    snprintf(name, sizeof name, "kafka_server_%s_coordinator_metrics_partition_load_time_avg", kind);
    expose_gauge(e, name, "Milliseconds that a load took.", active ? (double)from->load_ns[type] / 1e6 / (double)active : 0);
    if (type == COORDINATOR_TRANSACTION)
        return; /* Kafka's has no count of them */
    snprintf(name, sizeof name, "kafka_server_%s_coordinator_metrics_num_partitions", kind);
    expose_family(e, name, "gauge", "Coordinators here by state.");
    for (int phase = 0; phase < COORDINATOR_PHASES; phase++) {
        expose_begin(e);
        expose_label_str(e, "state", phases[phase]);
        expose_int(e, from->phases[type][phase]);
    }
}

/* ---- operations ---------------------------------------------------------------------------------------------------------- */

static struct histogram recent_of(const struct histogram *now, const struct histogram *before) {
    struct histogram recent = *now;
    if (before)
        histogram_subtract(&recent, before);
    return recent;
}

/* Milliseconds of some operations, as attributes of a bean: _max, _p50, _p95, _p99, _p999. */
static void expose_times(struct exposition *e, const char *kind, const char *name, const char *help, const struct histogram *recent, uint64_t total) {
    static const struct {
        const char *suffix;
        double share;
    } quantiles[] = {{"max", 1}, {"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}};
    for (int i = 0; i < COUNT_OF(quantiles); i++) {
        char family[120];
        snprintf(family, sizeof family, "kafka_server_%s_coordinator_metrics_%s_time_ms_%s", kind, name, quantiles[i].suffix);
        expose_gauge(e, family, help, histogram_quantile(recent, total, quantiles[i].share) / 1000);
    }
}

static void expose_operations(struct exposition *e, const struct numbers *numbers, enum coordinator_type type, const char *kind) {
    static const struct coordinator_metrics none;
    const struct coordinator_metrics *now = &numbers->now->sum->coordinators[type];
    const struct coordinator_metrics *before = numbers->before ? &numbers->before->sum->coordinators[type] : &none;
    const struct coordinator_numbers *at = &numbers->lags->coordinators;
    struct histogram recent;
    char name[96];
#define TIMES(what, field, count, help)                                      \
    recent = recent_of(&now->field, &before->field);                         \
    expose_times(e, kind, what, help, &recent, now->count - before->count)
    TIMES("event_queue", queue, decided, "Milliseconds until an operation was decided.");
    TIMES("event_processing", processing, timed, "Milliseconds that deciding took.");
    TIMES("event_purgatory", purgatory, waited, "Milliseconds until the device had what an operation told of.");
    TIMES("batch_linger", linger, flushes, "Milliseconds that a batch gathered records.");
    TIMES("batch_flush", flush, flushes, "Milliseconds that appending a batch took.");
#undef TIMES
    snprintf(name, sizeof name, "kafka_server_%s_coordinator_metrics_batch_flush_rate", kind);
    expose_gauge(e, name, "Batches a second.", numbers->seconds > 0 ? (double)(now->flushes - before->flushes) / numbers->seconds : 0);
    snprintf(name, sizeof name, "kafka_server_%s_coordinator_metrics_event_queue_size", kind);
    expose_gauge(e, name, "Operations that wait to be decided.", (double)at->queued[type]);
    snprintf(name, sizeof name, "kafka_server_%s_coordinator_metrics_batch_buffer_cache_size_bytes", kind);
    expose_gauge(e, name, "Memory of batches.", (double)at->buffer_bytes[type]);
    snprintf(name, sizeof name, "kafka_server_%s_coordinator_metrics_batch_buffer_cache_discard_count", kind);
    expose_counter(e, name, "Batches so large that their memory was given back.", now->buffers_dropped);
    double idle = 0;
    for (int i = 0; i < numbers->broker->shard_count; i++)
        idle += numbers_idle_share(numbers, i) / numbers->broker->shard_count;
    snprintf(name, sizeof name, "kafka_server_%s_coordinator_metrics_thread_idle_ratio_avg", kind);
    expose_gauge(e, name, "Share of the time that the shards slept.", idle);
}

static void expose_states(struct exposition *e, const struct numbers *numbers) {
    static const struct coordinator_metrics none;
    const struct coordinator_metrics *now = &numbers->now->sum->coordinators[COORDINATOR_SHARE];
    const struct coordinator_metrics *before = numbers->before ? &numbers->before->sum->coordinators[COORDINATOR_SHARE] : &none;
    const struct coordinator_numbers *at = &numbers->lags->coordinators;
    struct histogram recent = recent_of(&now->write, &before->write);
    uint64_t done = now->writes_done - before->writes_done;
    expose_counter(e, "kafka_server_share_coordinator_metrics_write_total", "Writes of share partitions' states.", now->writes);
    expose_gauge(e, "kafka_server_share_coordinator_metrics_write_rate", "Writes a second.",
                 numbers->seconds > 0 ? (double)(now->writes - before->writes) / numbers->seconds : 0);
    expose_gauge(e, "kafka_server_share_coordinator_metrics_write_latency_avg", "Milliseconds until a write is on the device.",
                 done ? (double)recent.sum / 1000 / (double)done : 0);
    expose_gauge(e, "kafka_server_share_coordinator_metrics_write_latency_max", "Milliseconds that the slowest took.",
                 histogram_quantile(&recent, done, 1) / 1000);
    expose_family(e, "kafka_server_share_coordinator_metrics_last_pruned_offset", "gauge", "Records of __share_group_state below it were deleted.");
    for (int i = 0; i < at->pruned_count; i++) {
        expose_begin(e);
        expose_label_str(e, "topic", "__share_group_state");
        expose_label_int(e, "partition", at->pruned[i].partition);
        expose_int(e, at->pruned[i].offset);
    }
    expose_gauge(e, "myelin_share_states", "Share partitions whose state is kept here.", (double)at->share_states);
}

void expose_coordinators(struct exposition *e, const struct numbers *numbers) {
    const struct coordinator_numbers *from = &numbers->lags->coordinators;
    expose_manager(e, numbers);
    expose_groups(e, from);
    expose_descriptions(e, from);
    expose_partitions_of(e, from, COORDINATOR_GROUP, "group");
    expose_partitions_of(e, from, COORDINATOR_TRANSACTION, "transaction");
    expose_partitions_of(e, from, COORDINATOR_SHARE, "share");
    expose_operations(e, numbers, COORDINATOR_GROUP, "group");
    expose_operations(e, numbers, COORDINATOR_SHARE, "share");
    expose_states(e, numbers);
}
