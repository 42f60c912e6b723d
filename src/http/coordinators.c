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

void expose_coordinators(struct exposition *e, const struct numbers *numbers) {
    const struct coordinator_numbers *from = &numbers->lags->coordinators;
    expose_manager(e, numbers);
    expose_groups(e, from);
    expose_descriptions(e, from);
    expose_partitions_of(e, from, COORDINATOR_GROUP, "group");
    expose_partitions_of(e, from, COORDINATOR_TRANSACTION, "transaction");
    expose_partitions_of(e, from, COORDINATOR_SHARE, "share");
}
