/* UpdateFeatures: feature levels of the cluster (KIP-584). */
#include "controller/controller.h"
#include "metadata/features.h"
#include "metadata/image_internal.h"
#include "protocol/errors.h"
#include "protocol/feature_level_record.h"
#include "protocol/no_op_record.h"

enum { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

void add_feature_record(struct decision *decision, struct slice name, int16_t level) {
    struct feature_level_record record;
    feature_level_record_init(&record);
    record.name = name;
    record.feature_level = level;
    DECISION_RECORD(decision, RECORD_FEATURE_LEVEL, 0, feature_level_record, &record);
}

/* Levels at which the format of records changes: going back below one may lose what only it can say. */
static bool changes_records(int level) {
    static const int8_t levels[] = {7, 8, 11, 13, 14, 15, 17, 23, 30};
    for (int i = 0; i < COUNT_OF(levels); i++)
        if (levels[i] == level)
            return true;
    return false;
}

/* Is the level one that this controller and every registered broker can work at? */
static const char *range_error(struct decision *decision, const char *name, int16_t level) {
    struct feature_range ranges[FEATURES_MAX];
    int count = features_supported(ranges), at = 0;
    while (at < count && strcmp(ranges[at].name, name) != 0)
        at++;
    int node = (int)decision->config->node_id;
    if (at == count)
        return level == 0 ? arena_printf(decision->arena, "Feature %s not found.", name)
                          : arena_printf(decision->arena, "Local controller %d does not support this feature.", node);
    if (level < ranges[at].min || level > ranges[at].max)
        return arena_printf(decision->arena, "Local controller %d only supports versions %d-%d", node, ranges[at].min, ranges[at].max);
    map_each(entry, &decision->image->brokers) {
        const struct image_broker *broker = container_of(entry, struct image_broker, node);
        int i = 0;
        while (i < broker->feature_count && !slice_eq_str(broker->features[i].name, name))
            i++;
        if (strcmp(name, FEATURE_KRAFT_VERSION) != 0 && i == broker->feature_count && level > 0)
            return arena_printf(decision->arena, "Broker %d does not support this feature.", (int)broker->id);
        if (i < broker->feature_count && (level < broker->features[i].min || level > broker->features[i].max))
            return arena_printf(decision->arena, "Broker %d only supports versions %d-%d", (int)broker->id,
                                broker->features[i].min, broker->features[i].max);
    }
    return NULL;
}

static const char *metadata_downgrade_error(struct decision *decision, int16_t from, int16_t to, int type) {
    for (int level = to + 1; level <= from; level++)
        if (changes_records(level))
            return type == UNSAFE_DOWNGRADE
                       ? arena_printf(decision->arena,
                                      "Unsupported metadata.version downgrade from %d to %d. Unsafe metadata downgrade is not "
                                      "supported in this version.",
                                      from, to)
                       : arena_printf(decision->arena,
                                      "Unsupported metadata.version downgrade from %d to %d. Refusing to perform the requested "
                                      "downgrade because it might delete metadata information.",
                                      from, to);
    return NULL;
}

/* NULL: the update is fine. */
static const char *update_error(struct decision *decision, struct slice name, int16_t level, int type) {
    const char *why = NULL, *text = (const char *)arena_slice(decision->arena, name).ptr;
    bool is_metadata = slice_eq_str(name, FEATURE_METADATA_VERSION), is_kraft = slice_eq_str(name, FEATURE_KRAFT_VERSION);
    int16_t now = is_metadata ? decision->image->metadata_version
                  : is_kraft  ? controller_kraft_version(decision->controller)
                              : image_feature(decision->image, text);
    if (type < UPGRADE || type > UNSAFE_DOWNGRADE)
        why = "The controller does not support the given upgrade type.";
    else if (level < 0)
        why = "A feature version cannot be less than 0.";
    else
        why = range_error(decision, text, level);
    if (!why && level < now && type == UPGRADE)
        why = "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.";
    if (!why && level > now && type != UPGRADE)
        why = "Can't downgrade to a newer version.";
    if (!why && level < now && is_kraft)
        why = "Can't downgrade the version of this feature.";
    if (!why && level < now && is_metadata) {
        const char *whole = metadata_downgrade_error(decision, now, level, type);
        if (whole)
            return whole;
    }
    return why ? arena_printf(decision->arena, "Invalid update version %d for feature %s. %s", level, text, why) : NULL;
}

static int update_type(const struct update_features_request_feature_update_key *update, int version) {
    return version == 0 ? UPGRADE : update->upgrade_type;
}

/* The first update that is refused names the answer; Kafka comes to kraft.version before all others. NULL: all are fine. */
static const char *first_error(struct decision *decision, const struct update_features_request *request, int version) {
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < request->feature_updates_count; i++) {
            const struct update_features_request_feature_update_key *update = &request->feature_updates[i];
            if (slice_eq_str(update->feature, FEATURE_KRAFT_VERSION) != (pass == 0))
                continue;
            const char *why = update_error(decision, update->feature, update->max_version_level, update_type(update, version));
            if (why)
                return why;
        }
    return NULL;
}

void decide_update_features(struct decision *decision, const struct update_features_request *request, int version,
                            struct update_features_response *response) {
    int count = request->feature_updates_count;
    response->results = arena_array(decision->arena, struct update_features_response_updatable_feature_result, count + 1);
    const char *why = first_error(decision, request, version);
    if (why) {
        response->error_code = KAFKA_INVALID_UPDATE_VERSION;
        response->error_message =
            slice_str(arena_printf(decision->arena, "The update failed for all features since the following feature had an error: %s", why));
        return;
    }
    for (int i = 0; i < count; i++) {
        const struct update_features_request_feature_update_key *update = &request->feature_updates[i];
        if (version <= 1) {
            struct update_features_response_updatable_feature_result *result = &response->results[response->results_count++];
            update_features_response_updatable_feature_result_init(result);
            result->feature = update->feature;
            result->error_message = SLICE_LIT("NONE");
        }
        if (request->validate_only)
            continue;
        if (slice_eq_str(update->feature, FEATURE_KRAFT_VERSION)) {
            struct no_op_record record;
            no_op_record_init(&record);
            DECISION_RECORD(decision, RECORD_NO_OP, 0, no_op_record, &record);
        } else
            add_feature_record(decision, update->feature, update->max_version_level);
    }
}
