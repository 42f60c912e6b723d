/* myelin cluster features: what the brokers support, what is in force, and changing it. */
#include <stdlib.h>
#include "base/mem.h"
#include "cli/cluster.h"
#include "protocol/config_defs.h"
#include "protocol/errors.h"
#include "protocol/update_features_request.h"
#include "protocol/update_features_response.h"

enum { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

json_t *feature_level_json(const char *feature, int level) {
    if (strcmp(feature, "metadata.version") != 0)
        return json_integer(level);
    for (int i = 0; i < metadata_version_def_count; i++)
        if (metadata_version_defs[i].level == level)
            return json_string(metadata_version_defs[i].name);
    return level ? json_integer(level) : json_null();
}

/* A level is a number, or for metadata.version a name: 4.3-IV0, or 4.3 for the last of 4.3. */
static bool parse_level(const char *feature, const char *text, int *ret_level) {
    int64_t number;
    bool is_metadata = strcmp(feature, "metadata.version") == 0;
    size_t size = strlen(text);
    *ret_level = -1;
    for (int i = 0; is_metadata && i < metadata_version_def_count; i++) {
        const char *name = metadata_version_defs[i].name;
        if (strcmp(name, text) == 0 || (strchr(text, '.') && strncmp(name, text, size) == 0 && name[size] == '-'))
            if (metadata_version_defs[i].level > *ret_level)
                *ret_level = metadata_version_defs[i].level;
    }
    if (*ret_level < 0 && parse_int(text, &number) && number >= 0 && number <= INT16_MAX)
        *ret_level = (int)number;
    return *ret_level >= 0;
}

static int add_updates(struct client *client, const char *option, int upgrade_type, struct update_features_request *request) {
    const char *text;
    for (int i = 0; (text = options_list(client->options, option, i)); i++) {
        const char *equals = strchr(text, '=');
        char *name = arena_printf(&client->arena, "%.*s", (int)strcspn(text, "="), text);
        int level;
        if (!equals || !parse_level(name, equals + 1, &level))
            return cli_usage(client->options, "'%s' is not NAME=LEVEL", text);
        struct update_features_request_feature_update_key *update = &request->feature_updates[request->feature_updates_count++];
        update_features_request_feature_update_key_init(update);
        update->feature = slice_str(name);
        update->max_version_level = (int16_t)level;
        update->upgrade_type = (int8_t)upgrade_type;
        update->allow_downgrade = wire_version(&client->nodes->wire, API_UPDATE_FEATURES) == 0 && upgrade_type != UPGRADE;
    }
    return CLI_OK;
}

static int update(struct client *client) {
    struct update_features_request request;
    struct update_features_response response;
    update_features_request_init(&request);
    request.timeout_ms = client->timeout_ms;
    request.validate_only = options_has(client->options, "validate-only");
    request.feature_updates = arena_array(&client->arena, struct update_features_request_feature_update_key, client->options->value_count);
    int status = add_updates(client, "upgrade", UPGRADE, &request);
    if (!status)
        status = add_updates(client, "downgrade", options_has(client->options, "unsafe") ? UNSAFE_DOWNGRADE : SAFE_DOWNGRADE, &request);
    if (!status)
        status = client_call(client, CLIENT_ANY_NODE, API_UPDATE_FEATURES, &request, &response);
    if (!status && response.error_code)
        status = client_refused("features", response.error_code, response.error_message);
    for (int i = 0; !status && i < response.results_count; i++)
        if (response.results[i].error_code) {
            char *what = mem_printf("feature %.*s", SLICE_FMT(response.results[i].feature));
            status = client_refused(what, response.results[i].error_code, response.results[i].error_message);
            mem_free(what);
        }
    return status;
}

static int show(struct client *client) {
    static const struct output_column columns[] = {{"feature", "FEATURE", false}, {"min", "MIN", true}, {"max", "MAX", true},
                                                   {"level", "LEVEL", true}, {"name", "NAME", false}};
    struct api_versions_response versions;
    int status = cluster_api_versions(client, CLIENT_ANY_NODE, &versions);
    if (status)
        return status;
    json_t *rows = json_array();
    for (int i = 0; i < versions.supported_features_count; i++) {
        const struct api_versions_response_supported_feature_key *feature = &versions.supported_features[i];
        int level = 0;
        for (int f = 0; f < versions.finalized_features_count; f++)
            if (slice_eq(versions.finalized_features[f].name, feature->name))
                level = versions.finalized_features[f].max_version_level;
        json_t *row = json_pack("{s:o, s:i, s:i, s:i}", "feature", json_slice(feature->name), "min", feature->min_version, "max",
                                feature->max_version, "level", level);
        if (slice_eq_str(feature->name, "metadata.version"))
            json_object_set_new(row, "name", feature_level_json("metadata.version", level));
        json_array_append_new(rows, row);
    }
    output_list(client->options, rows, columns, COUNT_OF(columns));
    return CLI_OK;
}

int cluster_features_run(struct options *options) {
    struct client client;
    int status = client_open(&client, options);
    if (!status && (options_has(options, "upgrade") || options_has(options, "downgrade")))
        status = update(&client);
    if (!status)
        status = show(&client);
    client_close(&client);
    return status;
}
