/* CreateTopics, DeleteTopics. */
#include <stdlib.h>
#include "controller/controller.h"
#include "metadata/config_check.h"
#include "metadata/image_internal.h"
#include "protocol/clear_elr_record.h"
#include "protocol/errors.h"
#include "protocol/remove_topic_record.h"
#include "protocol/topic_record.h"

enum { TOPIC_NAME_MAX = 249, PARTITIONS_PER_REQUEST_MAX = 10000 };

typedef struct create_topics_request_creatable_topic creatable;
typedef struct create_topics_response_creatable_topic_result created;

/* ---- names ------------------------------------------------------------------------------------------------------------- */

const char *topic_name_error(struct slice name, struct arena *arena) {
    if (!name.size)
        return "Topic name is invalid: the empty string is not allowed";
    if (slice_eq_str(name, "."))
        return "Topic name is invalid: '.' is not allowed";
    if (slice_eq_str(name, ".."))
        return "Topic name is invalid: '..' is not allowed";
    if (name.size > TOPIC_NAME_MAX)
        return arena_printf(arena, "Topic name is invalid: the length of '%.*s' is longer than the max allowed length %d",
                            SLICE_FMT(name), TOPIC_NAME_MAX);
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.ptr[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        if (!fine)
            return arena_printf(arena,
                                "Topic name is invalid: '%.*s' contains one or more characters other than ASCII alphanumerics, "
                                "'.', '_' and '-'",
                                SLICE_FMT(name));
    }
    return NULL;
}

static uint8_t metric_char(uint8_t c) {
    return c == '.' ? '_' : c;
}

/* Names that differ in '.' and '_' alone give the same metric names. */
static const struct image_topic *find_collision(const struct image *image, struct slice name) {
    if (!memchr(name.ptr, '.', name.size) && !memchr(name.ptr, '_', name.size))
        return NULL;
    map_each(node, &image->topics_by_id) {
        const struct image_topic *topic = container_of(node, struct image_topic, by_id);
        size_t i = 0;
        if (topic->name.size != name.size)
            continue;
        while (i < name.size && metric_char(name.ptr[i]) == metric_char(topic->name.ptr[i]))
            i++;
        if (i == name.size && !slice_eq(topic->name, name))
            return topic;
    }
    return NULL;
}

/* ---- one topic ---------------------------------------------------------------------------------------------------------- */

static void refuse(created *result, int16_t code, const char *text) {
    result->error_code = code;
    result->error_message = decision_text(text);
}

static bool name_is_fine(struct decision *decision, const creatable *topic, created *result) {
    const char *text = topic_name_error(topic->name, decision->arena);
    if (text)
        return refuse(result, KAFKA_INVALID_TOPIC_EXCEPTION, text), false;
    if (image_find_topic(decision->image, topic->name))
        return refuse(result, KAFKA_TOPIC_ALREADY_EXISTS,
                      arena_printf(decision->arena, "Topic '%.*s' already exists.", SLICE_FMT(topic->name))), false;
    const struct image_topic *other = find_collision(decision->image, topic->name);
    if (other)
        return refuse(result, KAFKA_INVALID_TOPIC_EXCEPTION,
                      arena_printf(decision->arena, "Topic '%.*s' collides with existing topic: %.*s", SLICE_FMT(topic->name),
                                   SLICE_FMT(other->name))), false;
    return true;
}

static bool configs_are_fine(struct decision *decision, const creatable *topic, created *result) {
    struct config_pair *pairs = arena_array(decision->arena, struct config_pair, topic->configs_count + 1);
    for (int i = 0; i < topic->configs_count; i++) {
        pairs[i] = (struct config_pair){topic->configs[i].name, topic->configs[i].value};
        if (!pairs[i].value.ptr)
            return refuse(result, KAFKA_INVALID_CONFIG,
                          arena_printf(decision->arena, "Null value not supported for topic configs: %.*s", SLICE_FMT(pairs[i].key))), false;
    }
    const char *text;
    if (check_topic_configs(decision, pairs, topic->configs_count, &text))
        return refuse(result, KAFKA_INVALID_CONFIG, text), false;
    return true;
}

struct layout { /* of the new topic's partitions */
    int32_t partitions;
    int16_t factor;
    int32_t *replicas; /* factor for each partition */
    struct uuid *dirs;
};

static bool lay_out_manually(struct decision *decision, const creatable *topic, struct layout *layout, created *result) {
    if (topic->replication_factor != -1)
        return refuse(result, KAFKA_INVALID_REQUEST,
                      "A manual partition assignment was specified, but replication factor was not set to -1."), false;
    if (topic->num_partitions != -1)
        return refuse(result, KAFKA_INVALID_REQUEST,
                      "A manual partition assignment was specified, but numPartitions was not set to -1."), false;
    int count = topic->assignments_count, factor = topic->assignments[0].broker_ids_count;
    layout->partitions = count;
    layout->factor = (int16_t)factor;
    layout->replicas = arena_array(decision->arena, int32_t, (size_t)count * (size_t)factor + 1);
    layout->dirs = arena_array(decision->arena, struct uuid, (size_t)count * (size_t)factor + 1);
    bool *seen = arena_array(decision->arena, bool, count);
    bool consecutive = true;
    for (int i = 0; i < count; i++) {
        int32_t index = topic->assignments[i].partition_index;
        const int32_t *brokers = topic->assignments[i].broker_ids;
        const char *text;
        bool in_range = index >= 0 && index < count;
        if (in_range && seen[index])
            return refuse(result, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                          arena_printf(decision->arena, "Found multiple manual partition assignments for partition %d", (int)index)), false;
        if (check_assignment(decision, index, brokers, topic->assignments[i].broker_ids_count, factor, &text))
            return refuse(result, KAFKA_INVALID_REPLICA_ASSIGNMENT, text), false;
        consecutive &= in_range;
        if (!in_range)
            continue;
        seen[index] = true;
        for (int k = 0; k < factor; k++) {
            layout->replicas[index * factor + k] = brokers[k];
            layout->dirs[index * factor + k] = choose_directory(decision, brokers[k]);
        }
    }
    if (!consecutive)
        return refuse(result, KAFKA_INVALID_REPLICA_ASSIGNMENT, "partitions should be a consecutive 0-based integer sequence"), false;
    return true;
}

static int32_t default_partitions(const struct decision *decision) {
    return (int32_t)broker_config_int(decision->config, "num.partitions");
}

static bool lay_out(struct decision *decision, const creatable *topic, struct layout *layout, created *result) {
    if (topic->assignments_count)
        return lay_out_manually(decision, topic, layout, result);
    if (topic->replication_factor == 0 || topic->replication_factor < -1)
        return refuse(result, KAFKA_INVALID_REPLICATION_FACTOR,
                      "Replication factor must be larger than 0, or -1 to use the default value."), false;
    if (topic->num_partitions == 0 || topic->num_partitions < -1)
        return refuse(result, KAFKA_INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value."), false;
    layout->partitions = topic->num_partitions == -1 ? default_partitions(decision) : topic->num_partitions;
    layout->factor = topic->replication_factor == -1 ? (int16_t)broker_config_int(decision->config, "default.replication.factor")
                                                     : topic->replication_factor;
    const char *text;
    layout->replicas = NULL;
    for (int32_t i = 0; i < layout->partitions; i++) {
        int32_t replicas[64];
        struct uuid dirs[64];
        if (place_replicas(decision, layout->factor, i, replicas, dirs, &text))
            return refuse(result, KAFKA_INVALID_REPLICATION_FACTOR, text), false;
        size_t factor = (size_t)layout->factor;
        if (!layout->replicas) {
            layout->replicas = arena_array(decision->arena, int32_t, (size_t)layout->partitions * factor);
            layout->dirs = arena_array(decision->arena, struct uuid, (size_t)layout->partitions * factor);
        }
        memcpy(layout->replicas + (size_t)i * factor, replicas, factor * sizeof *replicas);
        memcpy(layout->dirs + (size_t)i * factor, dirs, factor * sizeof *dirs);
    }
    return true;
}

static struct uuid new_topic_id(struct decision *decision) {
    for (;;) {
        struct uuid id;
        uint64_t random[2];
        decision_random(decision, random, sizeof random);
        if (uuid_from_random(random[0], random[1], &id) && !image_find_topic_id(decision->image, id))
            return id;
    }
}

static int compare_configs(const void *a, const void *b) {
    return slice_cmp(((const struct create_topics_response_creatable_topic_configs *)a)->name,
                     ((const struct create_topics_response_creatable_topic_configs *)b)->name);
}

/* All effective settings of the topic, in order of name. */
static void describe_configs(struct decision *decision, const creatable *topic, created *result) {
    result->configs = arena_array(decision->arena, struct create_topics_response_creatable_topic_configs, topic_config_def_count);
    for (int i = 0; i < topic_config_def_count; i++) {
        const struct config_def *def = &topic_config_defs[i];
        bool given = false;
        for (int k = 0; k < topic->configs_count; k++)
            given |= slice_eq_str(topic->configs[k].name, def->name);
        if (strncmp(def->name, "internal.", 9) == 0 && !given)
            continue;
        struct create_topics_response_creatable_topic_configs *config = &result->configs[result->configs_count++];
        struct config_synonym synonyms[CONFIG_SYNONYMS_MAX];
        create_topics_response_creatable_topic_configs_init(config);
        config->name = slice_str(def->name);
        config->config_source = CONFIG_SOURCE_DEFAULT;
        config->value = SLICE_NULL;
        if (config_topic_synonyms(decision->config, decision->image, SLICE_NULL, def, decision->arena, synonyms)) {
            config->config_source = (int8_t)synonyms[0].source;
            config->value = arena_slice(decision->arena, synonyms[0].value);
        }
        for (int k = 0; k < topic->configs_count; k++)
            if (slice_eq(topic->configs[k].name, config->name)) {
                config->config_source = CONFIG_SOURCE_TOPIC;
                config->value = topic->configs[k].value;
            }
    }
    qsort(result->configs, (size_t)result->configs_count, sizeof *result->configs, compare_configs);
}

static void add_records(struct decision *decision, const creatable *topic, struct uuid id, const struct layout *layout) {
    struct topic_record record;
    topic_record_init(&record);
    record.name = topic->name;
    record.topic_id = id;
    DECISION_RECORD(decision, RECORD_TOPIC, 0, topic_record, &record);
    for (int i = 0; i < topic->configs_count; i++)
        add_config_record(decision, CONFIG_RESOURCE_TOPIC, topic->name, topic->configs[i].name, topic->configs[i].value);
    for (int32_t i = 0; i < layout->partitions; i++)
        add_partition_record(decision, id, i, layout->replicas + (size_t)i * (size_t)layout->factor, layout->factor,
                             layout->dirs + (size_t)i * (size_t)layout->factor);
}

static void create_one(struct decision *decision, const creatable *topic, bool validate_only, int version, created *result) {
    struct layout layout;
    if (!name_is_fine(decision, topic, result) || !configs_are_fine(decision, topic, result) ||
        !lay_out(decision, topic, &layout, result))
        return;
    result->error_message = SLICE_NULL;
    result->topic_id = new_topic_id(decision);
    if (version >= 5) {
        result->num_partitions = layout.partitions;
        result->replication_factor = layout.factor;
        describe_configs(decision, topic, result);
    }
    if (!validate_only)
        add_records(decision, topic, result->topic_id, &layout);
}

void decide_create_topics(struct decision *decision, const struct create_topics_request *request, int version,
                          struct create_topics_response *response) {
    int64_t partitions = 0;
    for (int i = 0; i < request->topics_count; i++) {
        const creatable *topic = &request->topics[i];
        partitions += topic->assignments_count      ? topic->assignments_count
                      : topic->num_partitions == -1 ? default_partitions(decision)
                      : topic->num_partitions > 0   ? topic->num_partitions
                                                    : 0;
    }
    for (int i = 0; i < request->topics_count; i++) {
        created *result = &response->topics[i];
        if (partitions > PARTITIONS_PER_REQUEST_MAX)
            refuse(result, KAFKA_POLICY_VIOLATION, "Excessively large number of partitions per request.");
        else
            create_one(decision, &request->topics[i], request->validate_only, version, result);
    }
    if (decision->count <= DECISION_RECORDS_MAX)
        return;
    decision_rewind(decision, 0);
    for (int i = 0; i < request->topics_count; i++) {
        created *result = &response->topics[i];
        create_topics_response_creatable_topic_result_init(result);
        result->name = request->topics[i].name;
        refuse(result, KAFKA_POLICY_VIOLATION, "Unable to perform excessively large batch operation.");
    }
}

void decide_delete_topics(struct decision *decision, struct delete_topics_response *response, struct uuid *ids) {
    for (int i = 0; i < response->responses_count; i++) {
        struct delete_topics_response_deletable_topic_result *result = &response->responses[i];
        if (result->error_code)
            continue;
        struct image_topic *topic = uuid_is_zero(ids[i]) ? image_find_topic(decision->image, result->name)
                                                         : image_find_topic_id(decision->image, ids[i]);
        if (!topic && uuid_is_zero(ids[i])) {
            result->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            result->error_message = SLICE_LIT("This server does not host this topic-partition.");
            continue;
        }
        if (!topic) {
            result->error_code = KAFKA_UNKNOWN_TOPIC_ID;
            result->error_message = SLICE_LIT("This server does not host this topic ID.");
            continue;
        }
        bool repeated = false; /* a name and an id that mean the same topic: one entry, and nothing of it is deleted */
        for (int k = i + 1; k < response->responses_count; k++)
            if (!response->responses[k].error_code &&
                (uuid_eq(ids[k], topic->id) || (uuid_is_zero(ids[k]) && slice_eq(response->responses[k].name, topic->name)))) {
                repeated = true;
                response->responses[k] = response->responses[--response->responses_count];
                ids[k] = ids[response->responses_count];
                k--;
            }
        if (repeated) {
            result->name = arena_slice(decision->arena, topic->name);
            result->topic_id = topic->id;
            result->error_code = KAFKA_INVALID_REQUEST;
            result->error_message = SLICE_LIT("The provided topic name maps to an ID that was already supplied.");
            continue;
        }
        result->name = arena_slice(decision->arena, topic->name);
        result->topic_id = topic->id;
        struct remove_topic_record record;
        remove_topic_record_init(&record);
        record.topic_id = topic->id;
        DECISION_RECORD(decision, RECORD_REMOVE_TOPIC, 0, remove_topic_record, &record);
    }
}
