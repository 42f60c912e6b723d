/* ApiVersions (KIP-35, KIP-511, KIP-584): what this listener serves, and the cluster's features. */
#include "base/mem.h"
#include "broker/handlers/handlers.h"
#include "broker/metrics.h"
#include "metadata/features.h"
#include "protocol/api_versions_request.h"
#include "protocol/api_versions_response.h"

static void answer_unsupported(struct request *request) {
    struct api_versions_response_api_version self = {.api_key = API_API_VERSIONS};
    struct api_versions_response response;
    api_versions_response_init(&response);
    request_handler_of(API_API_VERSIONS, request->on_controller, &self.min_version, &self.max_version);
    response.error_code = KAFKA_UNSUPPORTED_VERSION;
    response.api_keys = &self;
    response.api_keys_count = 1;
    request->header.version = 0; /* the one that every client can read */
    request_answer(request, api_versions, &response);
}

static bool is_alphanumeric(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool name_is_valid(struct slice name) {
    if (!name.size || !is_alphanumeric(name.ptr[0]) || !is_alphanumeric(name.ptr[name.size - 1]))
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (!is_alphanumeric(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '.')
            return false;
    return true;
}

static void remember_software(struct conn *conn, const struct api_versions_request *message) {
    if (!conn)
        return;
    mem_free((void *)conn->software_name.ptr);
    mem_free((void *)conn->software_version.ptr);
    conn->software_name = slice_str(mem_strndup((const char *)message->client_software_name.ptr, message->client_software_name.size));
    conn->software_version =
        slice_str(mem_strndup((const char *)message->client_software_version.ptr, message->client_software_version.size));
    metrics_forget_software(conn->software);
    conn->software = metrics_count_software(conn->shard->metrics, conn->software_name, conn->software_version);
}

static void answer_error(struct request *request, int16_t code) {
    struct api_versions_response response;
    api_versions_response_init(&response);
    response.error_code = code;
    request_answer(request, api_versions, &response);
}

static void add_features(struct request *request, struct api_versions_response *response) {
    const struct image *image = request->shard->image;
    struct feature_range ranges[FEATURES_MAX];
    int count = features_supported(ranges);
    response->supported_features = arena_array(&request->arena, struct api_versions_response_supported_feature_key, count);
    for (int i = 0; i < count; i++)
        if (request->header.version >= 4 || ranges[i].min > 0) /* KIP-1022: older clients choke on a minimum of 0 */
            response->supported_features[response->supported_features_count++] =
                (struct api_versions_response_supported_feature_key){slice_str(ranges[i].name), ranges[i].min, ranges[i].max};
    response->finalized_features =
        arena_array(&request->arena, struct api_versions_response_finalized_feature_key, image->feature_count + 2);
    for (int i = 0; i < image->feature_count; i++)
        if (image->features[i].level > 0)
            response->finalized_features[response->finalized_features_count++] =
                (struct api_versions_response_finalized_feature_key){image->features[i].name, image->features[i].level,
                                                                     image->features[i].level};
    int16_t kraft = request->shard->broker->kraft_version; /* a control record's: not in the image */
    if (kraft > 0)
        response->finalized_features[response->finalized_features_count++] =
            (struct api_versions_response_finalized_feature_key){SLICE_LIT(FEATURE_KRAFT_VERSION), kraft, kraft};
    response->finalized_features_epoch = image->offset;
}

void handle_api_versions(struct request *request) {
    int16_t min, max;
    request_handler_of(API_API_VERSIONS, request->on_controller, &min, &max);
    if (request->header.version < min || request->header.version > max) {
        answer_unsupported(request);
        return;
    }
    struct api_versions_request message;
    if (!request_decode(request, api_versions, &message))
        return;
    if (request->header.version >= 3) {
        if (!name_is_valid(message.client_software_name) || !name_is_valid(message.client_software_version)) {
            answer_error(request, KAFKA_INVALID_REQUEST);
            return;
        }
        const struct broker *broker = request->shard->broker;
        if (message.cluster_id.ptr && (!slice_eq_str(message.cluster_id, broker->cluster_id) || message.node_id != broker->config->node_id)) {
            answer_error(request, KAFKA_REBOOTSTRAP_REQUIRED);
            return;
        }
        remember_software(request->conn, &message);
    }
    struct api_versions_response response;
    api_versions_response_init(&response);
    response.api_keys = arena_array(&request->arena, struct api_versions_response_api_version, API_COUNT);
    /* Produce is said to begin at 0, though only 3 and above are served: librdkafka up to 2.8 takes a higher minimum for a
     * broker that knows no gzip, snappy or lz4, and sends uncompressed (KAFKA-18659). */
    for (int key = 0; key < API_COUNT; key++)
        if (request_handler_of(key, request->on_controller, &min, &max))
            response.api_keys[response.api_keys_count++] = (struct api_versions_response_api_version){(int16_t)key, key == API_PRODUCE ? 0 : min, max};
    add_features(request, &response);
    request_answer(request, api_versions, &response);
}
