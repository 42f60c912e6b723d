/* Where replicas live: placement of new partitions, manual assignments, CreatePartitions, directories. */
#include "controller/controller.h"
#include "metadata/image_internal.h"
#include "protocol/errors.h"
#include "protocol/partition_change_record.h"
#include "protocol/partition_record.h"

enum { REPLICAS_MAX = 64 };
#define DIRECTORY_UNASSIGNED ((struct uuid){0, 1})

static bool is_active(const struct image_broker *broker) {
    return !broker->fenced && !broker->in_controlled_shutdown;
}

/* ---- placement ------------------------------------------------------------------------------------------------------------ */

static bool is_cordoned(const struct image_broker *broker, struct uuid dir) {
    for (int i = 0; i < broker->cordoned_count; i++)
        if (uuid_eq(broker->cordoned[i], dir))
            return true;
    return false;
}

struct uuid choose_directory(struct decision *decision, int32_t id) {
    const struct image_broker *broker = image_find_broker(decision->image, id);
    struct uuid open[LOG_DIRS_MAX];
    int count = 0;
    for (int i = 0; broker && i < broker->dir_count && count < LOG_DIRS_MAX; i++)
        if (!is_cordoned(broker, broker->dirs[i]))
            open[count++] = broker->dirs[i];
    /* In turn: what was there before, and what this decision has placed. */
    return count ? open[(decision->image->partition_count + decision->placed++) % count] : DIRECTORY_UNASSIGNED;
}

static bool takes_replicas(const struct image_broker *broker) {
    return broker->dir_count == 0 || broker->cordoned_count < broker->dir_count;
}

/* Brokers that take replicas, those that are up first. */
static int candidates(const struct image *image, int32_t *ids, int *ret_active) {
    int count = 0;
    for (int pass = 0; pass < 2; pass++) {
        map_each(node, &image->brokers) {
            const struct image_broker *broker = container_of(node, struct image_broker, node);
            if (is_active(broker) == (pass == 0) && takes_replicas(broker) && count < REPLICAS_MAX)
                ids[count++] = broker->id;
        }
        if (pass == 0)
            *ret_active = count;
    }
    return count;
}

enum err place_replicas(struct decision *decision, int16_t factor, int32_t partition, int32_t *replicas, struct uuid *dirs,
                        const char **ret_text) {
    int32_t ids[REPLICAS_MAX];
    int active = 0, count = candidates(decision->image, ids, &active);
    if (!active) {
        *ret_text = arena_printf(decision->arena, "Unable to replicate the partition %d time(s): All brokers are currently fenced, "
                                                  "or have all their log directories cordoned.", factor);
        return ERR_INVALID;
    }
    if (factor > count) {
        *ret_text = arena_printf(decision->arena,
                                 "Unable to replicate the partition %d time(s): The target replication factor of %d cannot be "
                                 "reached because only %d broker(s) are registered or some brokers have all their log directories "
                                 "cordoned.",
                                 factor, factor, count);
        return ERR_INVALID;
    }
    int first = (int)((decision->image->partition_count + partition) % active);
    for (int i = 0; i < factor; i++) { /* the leader walks over those that are up, the others follow it */
        replicas[i] = i < active ? ids[(first + i) % active] : ids[i];
        dirs[i] = choose_directory(decision, replicas[i]);
    }
    return ERR_OK;
}

enum err check_assignment(struct decision *decision, int32_t partition, const int32_t *brokers, int count, int factor,
                          const char **ret_text) {
    bool active = false;
    if (count <= 0 || count > REPLICAS_MAX) {
        *ret_text = "The manual partition assignment includes an empty replica list.";
        return ERR_INVALID;
    }
    for (int i = 0; i < count; i++) {
        const struct image_broker *broker = image_find_broker(decision->image, brokers[i]);
        if (!broker) {
            *ret_text = arena_printf(decision->arena, "The manual partition assignment includes broker %d, but no such broker is registered.",
                                     (int)brokers[i]);
            return ERR_INVALID;
        }
        active |= is_active(broker);
        for (int k = 0; k < i; k++)
            if (brokers[k] == brokers[i]) {
                *ret_text = arena_printf(decision->arena, "The manual partition assignment includes the broker %d more than once.",
                                         (int)brokers[i]);
                return ERR_INVALID;
            }
    }
    if (count != factor) {
        *ret_text = arena_printf(decision->arena,
                                 "The manual partition assignment includes a partition with %d replica(s), but this is not "
                                 "consistent with previous partitions, which have %d replica(s).",
                                 count, factor);
        return ERR_INVALID;
    }
    if (!active) {
        *ret_text = arena_printf(decision->arena, "All brokers specified in the manual partition assignment for partition %d are "
                                                  "fenced or in controlled shutdown.", (int)partition);
        return ERR_INVALID;
    }
    return ERR_OK;
}

void add_partition_record(struct decision *decision, struct uuid topic_id, int32_t partition, const int32_t *replicas,
                          int count, const struct uuid *dirs) {
    int32_t isr[REPLICAS_MAX];
    int isr_count = 0, mv = decision->image->metadata_version;
    for (int i = 0; i < count; i++) {
        const struct image_broker *broker = image_find_broker(decision->image, replicas[i]);
        if (broker && is_active(broker))
            isr[isr_count++] = replicas[i];
    }
    struct partition_record record;
    partition_record_init(&record);
    record.partition_id = partition;
    record.topic_id = topic_id;
    record.replicas = (int32_t *)replicas;
    record.replicas_count = count;
    record.isr = isr;
    record.isr_count = isr_count;
    record.leader = isr_count ? isr[0] : -1;
    record.leader_epoch = 0;
    record.partition_epoch = 0;
    if (mv >= 17) {
        record.directories = (struct uuid *)dirs;
        record.directories_count = count;
    }
    DECISION_RECORD(decision, RECORD_PARTITION, mv >= 23 ? 2 : mv >= 17 ? 1 : 0, partition_record, &record);
}

void decide_directory(struct decision *decision, struct uuid topic_id, int32_t index, int32_t broker, struct uuid dir) {
    const struct image_partition *partition = image_find_partition(image_find_topic_id(decision->image, topic_id), index);
    if (!partition || decision->image->metadata_version < 17)
        return;
    struct uuid dirs[REPLICAS_MAX] = {0};
    for (int i = 0; i < partition->replica_count && i < REPLICAS_MAX; i++)
        dirs[i] = image_replicas(partition)[i] == broker ? dir : partition->directories ? partition->directories[i] : UUID_ZERO;
    struct partition_change_record record;
    partition_change_record_init(&record);
    record.partition_id = index;
    record.topic_id = topic_id;
    record.directories = dirs;
    record.directories_count = partition->replica_count;
    DECISION_RECORD(decision, RECORD_PARTITION_CHANGE, decision->image->metadata_version >= 23 ? 2 : 1, partition_change_record, &record);
}

/* ---- CreatePartitions --------------------------------------------------------------------------------------------------------- */

typedef struct create_partitions_request_create_partitions_topic grown;
typedef struct create_partitions_response_create_partitions_topic_result result_of;

static void refuse(result_of *result, int16_t code, const char *text) {
    result->error_code = code;
    result->error_message = slice_str(text);
}

static void grow(struct decision *decision, const grown *request, bool validate_only, result_of *result) {
    const struct image_topic *topic = image_find_topic(decision->image, request->name);
    int before = decision->count;
    if (!topic) {
        refuse(result, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL);
        return;
    }
    int have = (int)topic->partition_count, factor = topic->partitions[0].replica_count;
    if (request->count <= have) {
        refuse(result, KAFKA_INVALID_PARTITIONS,
               request->count == have ? arena_printf(decision->arena, "Topic already has %d partition(s).", have)
                         : arena_printf(decision->arena, "The topic %.*s currently has %d partition(s); %d would not be an increase.",
                                        SLICE_FMT(request->name), have, (int)request->count));
        return;
    }
    int more = request->count - have;
    if (request->assignments_count >= 0 && request->assignments_count != more) {
        refuse(result, KAFKA_INVALID_REPLICA_ASSIGNMENT,
               arena_printf(decision->arena, "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.",
                            more, (int)request->assignments_count));
        return;
    }
    if (more > DECISION_RECORDS_MAX - decision->count) {
        refuse(result, KAFKA_UNKNOWN_SERVER_ERROR, NULL);
        return;
    }
    for (int i = 0; i < more; i++) {
        int32_t placed[REPLICAS_MAX], *replicas = placed;
        struct uuid dirs[REPLICAS_MAX];
        const char *text;
        bool manual = request->assignments_count >= 0;
        enum err err;
        if (manual) {
            replicas = request->assignments[i].broker_ids;
            err = check_assignment(decision, have + i, replicas, request->assignments[i].broker_ids_count, factor, &text);
            for (int k = 0; !err && k < factor; k++)
                dirs[k] = choose_directory(decision, replicas[k]);
        } else
            err = place_replicas(decision, (int16_t)factor, have + i, placed, dirs, &text);
        if (err) {
            refuse(result, manual ? KAFKA_INVALID_REPLICA_ASSIGNMENT : KAFKA_INVALID_REPLICATION_FACTOR, text);
            decision_rewind(decision, before);
            return;
        }
        add_partition_record(decision, topic->id, have + i, replicas, factor, dirs);
    }
    if (validate_only)
        decision_rewind(decision, before);
}

void decide_create_partitions(struct decision *decision, const struct create_partitions_request *request,
                              struct create_partitions_response *response) {
    for (int i = 0; i < request->topics_count; i++)
        grow(decision, &request->topics[i], request->validate_only, &response->results[i]);
}
