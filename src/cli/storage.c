/* myelin storage format|info|version-mapping|feature-dependencies|random-uuid: what Apache Kafka's kafka-storage.sh does,
 * with its arguments. Messages and exit status are Kafka's, too. */
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/trace.h"
#include "broker/storage.h"
#include "cli/cli.h"
#include "cli/log_tools.h"
#include "cli/output.h"
#include "metadata/features.h"
#include "raft/raft.h"

/* ---- format ---------------------------------------------------------------------------------------------------------------- */

/* id@host:port:directory,... */
static enum err parse_voters(const char *text, struct storage_voter *voters, int *ret_count) {
    int count = 0;
    while (*text) {
        size_t size = strcspn(text, ",");
        char *item = mem_strndup(text, size);
        char *at = strchr(item, '@'), *directory = strrchr(item, ':'), *port = NULL;
        int64_t id = -1, number = -1;
        bool good = at && directory && directory > at && count < RAFT_VOTERS_MAX;
        if (good) {
            *at = *directory = 0;
            port = strrchr(at + 1, ':');
            good = port != NULL;
        }
        if (good) {
            *port = 0;
            good = parse_int(item, &id) && id >= 0 && id <= INT32_MAX && parse_int(port + 1, &number) && number > 0 && number <= UINT16_MAX &&
                   at[1] && strlen(at + 1) < sizeof voters->host && uuid_parse(slice_str(directory + 1), &voters[count].directory);
        }
        if (good) {
            voters[count].id = (int32_t)id;
            voters[count].port = (uint16_t)number;
            snprintf(voters[count].host, sizeof voters->host, "%s", at + 1);
        }
        mem_free(item);
        if (!good)
            return ERR_INVALID;
        count++;
        text += size + (text[size] == ',');
    }
    *ret_count = count;
    return count ? ERR_OK : ERR_INVALID;
}

/* Which quorum the node begins with; 0, or an exit status with the reason said. */
static int choose_quorum(const struct options *options, const struct broker_config *config, struct storage_format *format,
                         struct storage_voter *voters) {
    const char *list = options_text(options, "initial-controllers", NULL);
    bool none = options_has(options, "no-initial-controllers");
    format->standalone = options_has(options, "standalone");
    if (format->standalone + none + (list != NULL) > 1)
        return cli_usage(options, "--standalone, --no-initial-controllers and --initial-controllers exclude one another");
    bool is_static = broker_config_get(config, "controller.quorum.voters").size > 0;
    if (is_static && (format->standalone || list))
        return cli_fail("You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you want to use "
                        "dynamic quorum, please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead.");
    if (!is_static && config->is_controller && !format->standalone && !list && !none)
        return cli_fail("Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone, "
                        "--initial-controllers, or --no-initial-controllers.");
    if (format->standalone && !config->is_controller)
        return cli_fail("You can only use --standalone on a controller.");
    if (list && parse_voters(list, voters, &format->voter_count))
        return cli_usage(options, "--initial-controllers takes id@host:port:directory, separated by commas");
    format->voters = voters;
    return CLI_OK;
}

static int load_config(const struct options *options, struct broker_config **ret_config) {
    const char *file = options_text(options, "config", NULL);
    struct trace_options quiet = {.level = TRACE_ERROR}; /* what a server would say about the settings is not the matter here */
    trace_setup(&quiet);
    struct buf error = {0};
    int status = CLI_OK;
    if (!file)
        status = cli_usage(options, "argument --config/-c is required");
    else if (broker_config_load(file, NULL, 0, ret_config, &error))
        status = cli_fail("%s", buf_text(&error));
    buf_deinit(&error);
    return status;
}

static int format_run(struct options *options) {
    struct broker_config *config;
    const char *features[FEATURES_MAX], *feature, *release = options_text(options, "release-version", NULL);
    struct storage_format format = {.cluster_id = SLICE_NULL, .ignore_formatted = options_has(options, "ignore-formatted"), .features = features};
    const char *cluster_id = options_text(options, "cluster-id", NULL);
    if (!cluster_id)
        return cli_usage(options, "argument --cluster-id/-t is required; `myelin storage random-uuid` makes one");
    if (options_has(options, "add-scram"))
        return cli_fail("--add-scram: users with SCRAM passwords are not there yet; format without it");
    format.cluster_id = slice_str(cluster_id);
    if (!cluster_id[0] || strlen(cluster_id) >= sizeof(struct meta_properties){0}.cluster_id)
        return cli_usage(options, "--cluster-id takes 1 to 127 characters");
    while ((feature = options_list(options, "feature", format.feature_count))) {
        const char *equals = strchr(feature, '=');
        int64_t level;
        if (!equals || (!parse_int(equals + 1, &level) && strncmp(feature, FEATURE_METADATA_VERSION "=", sizeof FEATURE_METADATA_VERSION) != 0) ||
            format.feature_count == FEATURES_MAX)
            return cli_usage(options, "--feature takes feature=level, not %s", feature);
        features[format.feature_count++] = feature;
    }
    if (release && !(format.metadata_version = metadata_version_parse(slice_str(release))))
        return cli_fail("Unknown metadata.version '%s'; `myelin storage version-mapping` knows the latest one", release);
    int status = load_config(options, &config);
    if (status)
        return status;
    struct storage_voter voters[RAFT_VOTERS_MAX];
    status = choose_quorum(options, config, &format, voters);
    if (!status) {
        struct runtime *runtime = cli_runtime();
        struct buf text = {0}, error = {0};
        enum err err = storage_format(runtime, config, &format, &text, &error);
        fputs(buf_text(&text), stdout);
        if (err)
            status = cli_fail("%s", buf_text(&error));
        buf_deinit(&text);
        buf_deinit(&error);
        runtime_destroy(runtime);
    }
    broker_config_free(config);
    return status;
}

/* ---- info ------------------------------------------------------------------------------------------------------------------ */

static int info_run(struct options *options) {
    struct broker_config *config;
    int status = load_config(options, &config);
    if (status)
        return status;
    struct runtime *runtime = cli_runtime();
    json_t *found = json_array(), *problems = json_array(), *metadata = NULL;
    for (int i = 0; i < config->log_dir_count; i++) {
        const char *dir = config->log_dirs[i];
        struct fs_stat stat;
        struct buf error = {0};
        struct meta_properties meta;
        char text[1024];
        if (fs_stat(runtime_fs(runtime), dir, &stat)) {
            snprintf(text, sizeof text, "%s does not exist", dir);
            json_array_append_new(problems, json_string(text));
            continue;
        }
        json_array_append_new(found, json_string(dir));
        enum err err = stat.is_dir ? meta_properties_read(runtime_fs(runtime), dir, &meta, &error) : ERR_INVALID;
        if (err) {
            snprintf(text, sizeof text, "%s", !stat.is_dir ? "not a directory" : error.size ? buf_text(&error) : "");
            if (err == ERR_NOT_FOUND)
                snprintf(text, sizeof text, "%s is not formatted.", dir);
            json_array_append_new(problems, json_string(text));
        } else {
            char id[UUID_TEXT_SIZE];
            json_t *own = json_pack("{s:s,s:i,s:i}", "cluster.id", meta.cluster_id, meta.version ? "node.id" : "broker.id", (int)meta.node_id,
                                    "version", meta.version);
            if (!uuid_is_zero(meta.directory_id))
                json_object_set_new(own, "directory.id", json_string(uuid_text(meta.directory_id, id)));
            if (metadata && strcmp(json_string_value(json_object_get(metadata, "cluster.id")), meta.cluster_id) != 0) {
                snprintf(text, sizeof text, "%s: mismatched cluster.id: %s", dir, meta.cluster_id);
                json_array_append_new(problems, json_string(text));
            }
            if (!metadata)
                metadata = json_incref(own);
            json_decref(own);
        }
        buf_deinit(&error);
    }
    size_t i;
    json_t *item;
    if (options_json(options)) {
        json_t *all = json_pack("{s:O,s:O,s:O}", "directories", found, "metadata", metadata ? metadata : json_null(), "problems", problems);
        output_json(stdout, all);
        json_decref(all);
    } else {
        if (json_array_size(found))
            puts(json_array_size(found) == 1 ? "Found log directory:" : "Found log directories:");
        json_array_foreach(found, i, item)
            printf("  %s\n", json_string_value(item));
        if (json_array_size(found))
            puts("");
        if (metadata) {
            char *text = json_dumps(metadata, JSON_COMPACT);
            printf("Found metadata: %s\n\n", text);
            free(text);
        }
        if (json_array_size(problems))
            puts(json_array_size(problems) == 1 ? "Found problem:" : "Found problems:");
        json_array_foreach(problems, i, item)
            printf("  %s\n", json_string_value(item));
        if (json_array_size(problems))
            puts("");
    }
    status = json_array_size(problems) ? CLI_FAILED : CLI_OK;
    json_decref(found);
    json_decref(problems);
    json_decref(metadata);
    runtime_destroy(runtime);
    broker_config_free(config);
    return status;
}

/* ---- features -------------------------------------------------------------------------------------------------------------- */

static int version_mapping_run(struct options *options) {
    const char *release = options_text(options, "release-version", NULL);
    int16_t version = release ? metadata_version_parse(slice_str(release)) : features_latest_metadata_version();
    if (!version)
        return cli_fail("Unknown release version '%s'", release);
    struct feature_range ranges[FEATURES_MAX];
    int count = features_supported(ranges);
    json_t *all = json_object();
    json_object_set_new(all, FEATURE_METADATA_VERSION, json_integer(version));
    if (!options_json(options))
        printf(FEATURE_METADATA_VERSION "=%d (%s)\n", version, metadata_version_name(version));
    for (int i = 1; i < count; i++) {
        int level = feature_default(ranges[i].name, version);
        json_object_set_new(all, ranges[i].name, json_integer(level));
        if (!options_json(options))
            printf("%s=%d\n", ranges[i].name, level);
    }
    if (options_json(options))
        output_json(stdout, all);
    json_decref(all);
    return CLI_OK;
}

static int dependencies_of(const char *feature) {
    const char *equals = strchr(feature, '=');
    int64_t level;
    if (!equals || !parse_int(equals + 1, &level))
        return cli_fail("Invalid feature string: %s. Expected format: feature=version", feature);
    struct slice name = slice_of(feature, (size_t)(equals - feature));
    if (slice_eq_str(name, FEATURE_METADATA_VERSION)) {
        const char *known = level > 0 && level <= INT16_MAX ? metadata_version_name((int16_t)level) : NULL;
        if (!known)
            return cli_fail("Unknown metadata.version %lld", (long long)level);
        printf("%s=%lld (%s) has no dependencies.\n", FEATURE_METADATA_VERSION, (long long)level, known);
        return CLI_OK;
    }
    for (int i = 0; i < feature_def_count; i++) {
        const struct feature_def *def = &feature_defs[i];
        const char *needs = def->dependencies;
        if (!slice_eq_str(name, def->name) || def->level != level)
            continue;
        if (!*needs) {
            printf("%s=%d has no dependencies.\n", def->name, def->level);
            return CLI_OK;
        }
        const char *value = strchr(needs, '=');
        int64_t needed = 0;
        if (value && !parse_int(value + 1, &needed))
            needed = 0;
        bool is_version = strncmp(needs, FEATURE_METADATA_VERSION, strlen(FEATURE_METADATA_VERSION)) == 0;
        printf("%s=%d requires:\n    %s%s%s%s\n", def->name, def->level, needs, is_version ? " (" : "",
               is_version ? metadata_version_name((int16_t)needed) : "", is_version ? ")" : "");
        return CLI_OK;
    }
    return cli_fail("Unknown feature or level: %s", feature);
}

static int feature_dependencies_run(struct options *options) {
    int status = CLI_OK;
    const char *feature;
    if (!options_list(options, "feature", 0))
        return cli_usage(options, "argument --feature/-f is required");
    for (int i = 0; !status && (feature = options_list(options, "feature", i)); i++)
        status = dependencies_of(feature);
    return status;
}

static int random_uuid_run(struct options *options) {
    (void)options;
    struct runtime *runtime = cli_runtime();
    char text[UUID_TEXT_SIZE];
    puts(uuid_text(storage_random_uuid(runtime), text));
    runtime_destroy(runtime);
    return CLI_OK;
}

/* ---- the table ------------------------------------------------------------------------------------------------------------- */

#define CONFIG_OPTION {.name = "config", .letter = 'c', .kind = OPTION_TEXT, .value = "FILE", .help = "the server.properties to use", .complete = COMPLETE_FILE}
static const struct option_def format_options[] = {
    CONFIG_OPTION,
    {.name = "cluster-id", .letter = 't', .kind = OPTION_TEXT, .value = "ID", .help = "the cluster's id"},
    {.name = "add-scram", .letter = 'S', .kind = OPTION_LIST, .value = "CREDENTIAL", .help = "not there yet"},
    {.name = "ignore-formatted", .letter = 'g', .kind = OPTION_FLAG, .help = "format the other directories when some are formatted already"},
    {.name = "release-version", .letter = 'r', .kind = OPTION_TEXT, .value = "VERSION", .help = "the release whose feature levels the cluster begins with, as 4.2"},
    {.name = "feature", .letter = 'f', .kind = OPTION_LIST, .value = "NAME=LEVEL", .help = "another level for a feature"},
    {.name = "standalone", .letter = 's', .kind = OPTION_FLAG, .help = "this node is the only controller of a dynamic quorum"},
    {.name = "no-initial-controllers", .letter = 'N', .kind = OPTION_FLAG, .help = "a dynamic quorum that is told elsewhere"},
    {.name = "initial-controllers", .letter = 'I', .kind = OPTION_TEXT, .value = "LIST", .help = "id@host:port:directory,... of a dynamic quorum"},
};
static const struct option_def info_options[] = {CONFIG_OPTION};
static const struct option_def mapping_options[] = {
    {.name = "release-version", .letter = 'r', .kind = OPTION_TEXT, .value = "VERSION", .help = "of this release, not of the latest"}};
static const struct option_def dependencies_options[] = {
    {.name = "feature", .letter = 'f', .kind = OPTION_LIST, .value = "NAME=LEVEL", .help = "the feature to look up"}};
static const struct command storage_commands[] = {
    {.name = "format", .summary = "format the log directories of this node", OPTIONS(format_options), .plain = true, .run = format_run,
     .details = "myelin storage format --standalone -t $(myelin storage random-uuid) -c server.properties\n"},
    {.name = "info", .summary = "show whose the log directories of this node are", OPTIONS(info_options), .run = info_run},
    {.name = "version-mapping", .summary = "show the feature levels of a release", OPTIONS(mapping_options), .run = version_mapping_run},
    {.name = "feature-dependencies", .summary = "show what a feature's level asks of others", OPTIONS(dependencies_options), .plain = true,
     .run = feature_dependencies_run},
    {.name = "random-uuid", .summary = "print a random UUID", .plain = true, .run = random_uuid_run},
};
const struct command command_storage = {.name = "storage", .summary = "format log directories and tell about them", SUBCOMMANDS(storage_commands)};
