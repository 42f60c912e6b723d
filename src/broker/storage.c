#include "broker/storage.h"

#include <stdio.h>
#include "base/check.h"
#include "base/mem.h"
#include "base/properties.h"
#include "base/trace.h"
#include "log/checkpoint.h"
#include "metadata/config_check.h"
#include "metadata/features.h"
#include "metadata/image_internal.h"
#include "protocol/feature_level_record.h"
#include "protocol/voters_record.h"
#include "protocol/config_defs.h"
#include "raft/snapshot.h"

#define META_PROPERTIES "meta.properties"
#define METADATA_DIR "__cluster_metadata-0"
enum { META_SIZE_MAX = 65536 };

/* ---- meta.properties ---------------------------------------------------------------------------------------------------- */

static enum err bad_meta(struct buf *error, const char *path, const char *why) {
    buf_printf(error, "%s: %s", path, why);
    return ERR_INVALID;
}

/* A whole number from 0 on. */
static bool is_id(struct slice text) {
    int64_t number;
    return checkpoint_number(text, &number) && number >= 0 && number <= INT32_MAX;
}

/* Printable and written as it is: Kafka's are UUIDs, older ones any such text. */
static bool is_plain(struct slice text) {
    for (size_t i = 0; i < text.size; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 127 || text.ptr[i] == '\\')
            return false;
    return true;
}

static enum err parse_meta(struct slice text, const char *path, struct meta_properties *meta, struct buf *error) {
    struct arena arena = {0};
    struct properties properties;
    int line;
    enum err err = properties_parse(&arena, text, &properties, &line);
    if (err) {
        arena_deinit(&arena);
        return bad_meta(error, path, "not a properties file");
    }
    struct slice version = properties_get(&properties, "version"), cluster = properties_get(&properties, "cluster.id");
    struct slice node = properties_get(&properties, "node.id"), broker = properties_get(&properties, "broker.id");
    struct slice directory = properties_get(&properties, "directory.id");
    meta->version = version.ptr ? (int)config_int(version) : 0;
    struct slice id = meta->version == 0 ? broker : node;
    meta->node_id = id.ptr ? (int32_t)config_int(id) : -1;
    if (meta->version != 0 && meta->version != 1)
        err = bad_meta(error, path, "version is neither 0 nor 1");
    else if (meta->version == 1 && !cluster.size)
        err = bad_meta(error, path, "cluster.id is missing");
    else if (meta->version == 1 && !node.ptr)
        err = bad_meta(error, path, "node.id is missing");
    else if (id.ptr && !is_id(id))
        err = bad_meta(error, path, "the node's id is not a number");
    else if (!is_plain(cluster))
        err = bad_meta(error, path, "cluster.id is not an id");
    else if (cluster.size >= sizeof meta->cluster_id)
        err = bad_meta(error, path, "cluster.id is too long");
    else if (directory.ptr && !uuid_parse(directory, &meta->directory_id))
        err = bad_meta(error, path, "directory.id is not a UUID");
    else
        snprintf(meta->cluster_id, sizeof meta->cluster_id, "%.*s", SLICE_FMT(cluster));
    arena_deinit(&arena);
    return err;
}

enum err meta_properties_read(struct fs *fs, const char *dir, struct meta_properties *ret_meta, struct buf *ret_error) {
    char *path = mem_printf("%s/" META_PROPERTIES, dir);
    uint8_t *bytes = NULL;
    size_t size;
    *ret_meta = (struct meta_properties){.node_id = -1};
    enum err err = fs_read_whole(fs, path, META_SIZE_MAX, &bytes, &size);
    if (!err)
        err = parse_meta(slice_of(bytes, size), path, ret_meta, ret_error);
    else if (err != ERR_NOT_FOUND)
        buf_printf(ret_error, "%s: %s", path, err_text(err));
    mem_free(bytes);
    mem_free(path);
    return err;
}

enum err meta_properties_write(struct fs *fs, const char *dir, const struct meta_properties *meta) {
    struct buf text = {0};
    char id[UUID_TEXT_SIZE];
    buf_printf(&text, "#\n%s=%d\ncluster.id=%s\nversion=%d\n", meta->version ? "node.id" : "broker.id", (int)meta->node_id,
               meta->cluster_id, meta->version);
    if (!uuid_is_zero(meta->directory_id))
        buf_printf(&text, "directory.id=%s\n", uuid_text(meta->directory_id, id));
    char *path = mem_printf("%s/" META_PROPERTIES, dir);
    enum err err = fs_write_whole(fs, path, buf_slice(&text));
    mem_free(path);
    buf_deinit(&text);
    return err;
}

struct uuid storage_random_uuid(struct runtime *runtime) {
    struct uuid id;
    uint64_t random[2];
    do
        runtime_secure_random(runtime, random, sizeof random);
    while (!uuid_from_random(random[0], random[1], &id));
    return id;
}

/* The name of a directory is on the device when the one above it is flushed. One that may be made in, but not read, is
 * left to the file system. */
static enum err sync_above(struct fs *fs, const char *path) {
    const char *slash = strrchr(path, '/');
    char *above = slash ? mem_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : mem_strdup(".");
    enum err err = fs_sync_dir(fs, above);
    mem_free(above);
    return err == ERR_DENIED ? ERR_OK : err;
}

static enum err storage_make_dir(struct fs *fs, const char *path) {
    char *copy = mem_strdup(path);
    enum err err = ERR_OK;
    for (char *at = copy + 1; !err && at[-1]; at++) {
        if (*at != '/' && *at)
            continue;
        char was = *at;
        *at = 0;
        err = fs_mkdir(fs, copy);
        err = err == ERR_EXISTS ? ERR_OK : err;
        if (!err) /* also when it is there: who made it may have died before this */
            err = sync_above(fs, copy);
        *at = was;
    }
    mem_free(copy);
    return err;
}

/* ---- format ---------------------------------------------------------------------------------------------------------------- */

struct levels { /* of the features of the new cluster */
    const char *names[FEATURES_MAX];
    int16_t levels[FEATURES_MAX];
    int count;
    int16_t metadata_version;
};

static int level_of(const struct levels *levels, const char *name, size_t size) {
    for (int i = 0; i < levels->count; i++)
        if (slice_eq_str(slice_of(name, size), levels->names[i]))
            return levels->levels[i];
    return 0;
}

/* What the chosen levels ask of other features; and whether a dynamic quorum can be had. */
static enum err check_dependencies(const struct storage_format *format, const struct levels *levels, struct buf *error) {
    for (int i = 0; i < feature_def_count; i++) {
        const struct feature_def *def = &feature_defs[i];
        const char *equals = strchr(def->dependencies, '=');
        if (!equals || level_of(levels, def->name, strlen(def->name)) < def->level || !def->level)
            continue;
        if (level_of(levels, def->dependencies, (size_t)(equals - def->dependencies)) < config_int(slice_str(equals + 1))) {
            buf_printf(error, "%s=%d requires %s", def->name, def->level, def->dependencies);
            return ERR_INVALID;
        }
    }
    for (int i = 0; i < format->feature_count; i++)
        if (strcmp(format->features[i], FEATURE_KRAFT_VERSION "=0") == 0 && (format->standalone || format->voter_count)) {
            buf_add_str(error, "Cannot set kraft.version to 0 with a dynamic quorum; leave the feature out, or set controller.quorum.voters");
            return ERR_INVALID;
        }
    return ERR_OK;
}

static enum err choose_levels(const struct storage_format *format, struct levels *levels, struct buf *error) {
    struct feature_range ranges[FEATURES_MAX];
    int count = features_supported(ranges);
    levels->metadata_version = format->metadata_version ? format->metadata_version : features_latest_metadata_version();
    for (int i = 0; i < format->feature_count; i++)
        if (strncmp(format->features[i], FEATURE_METADATA_VERSION "=", sizeof FEATURE_METADATA_VERSION) == 0) {
            const char *value = format->features[i] + sizeof FEATURE_METADATA_VERSION;
            int64_t number = config_int(slice_str(value));
            levels->metadata_version = number > 0 ? (int16_t)number : metadata_version_parse(slice_str(value));
        }
    if (levels->metadata_version < ranges[0].min || levels->metadata_version > ranges[0].max) {
        buf_printf(error, "Unknown metadata.version. It must be between %d and %d, %s and %s", ranges[0].min, ranges[0].max,
                   metadata_version_name(ranges[0].min), metadata_version_name(ranges[0].max));
        return ERR_INVALID;
    }
    for (int i = 0; i < count; i++) {
        levels->names[levels->count] = ranges[i].name;
        levels->levels[levels->count++] = i == 0 ? levels->metadata_version : feature_default(ranges[i].name, levels->metadata_version);
    }
    for (int i = 0; i < format->feature_count; i++) {
        const char *equals = strchr(format->features[i], '=');
        int at = 0;
        while (equals && at < count && !slice_eq_str(slice_of(format->features[i], (size_t)(equals - format->features[i])), ranges[at].name))
            at++;
        if (!equals || at == count) {
            buf_printf(error, "Unsupported feature: %s", format->features[i]);
            return ERR_INVALID;
        }
        if (at == 0)
            continue;
        int64_t level = config_int(slice_str(equals + 1));
        if (level < ranges[at].min || level > ranges[at].max) {
            buf_printf(error, "%s: level must be between %d and %d", ranges[at].name, ranges[at].min, ranges[at].max);
            return ERR_INVALID;
        }
        levels->levels[at] = (int16_t)level;
    }
    return check_dependencies(format, levels, error);
}

/* metadata.version goes first, the others by name, as Kafka writes them. */
static void add_levels(struct snapshot_writer *writer, const struct levels *levels) {
    struct buf framed = {0};
    int order[FEATURES_MAX];
    for (int i = 0; i < levels->count; i++) {
        int at = i;
        for (; at > 1 && strcmp(levels->names[order[at - 1]], levels->names[i]) > 0; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    for (int n = 0; n < levels->count; n++) {
        int i = order[n];
        if (!levels->levels[i] || strcmp(levels->names[i], FEATURE_KRAFT_VERSION) == 0)
            continue;
        struct feature_level_record record;
        feature_level_record_init(&record);
        record.name = slice_str(levels->names[i]);
        record.feature_level = levels->levels[i];
        buf_clear(&framed);
        RECORD_FRAME(&framed, RECORD_FEATURE_LEVEL, 0, feature_level_record, &record);
        snapshot_add(writer, buf_slice(&framed));
    }
    buf_deinit(&framed);
}

/* This node as the only voter, at its controller listener. */
static struct storage_voter own_voter(const struct broker_config *config, struct uuid directory) {
    struct storage_voter voter = {.id = config->node_id, .host = "localhost", .port = 9093, .directory = directory};
    const struct config_listener *listener = &config->controller_listener;
    if (config->has_controller_listener) {
        bool any = !listener->host[0] || strcmp(listener->host, "0.0.0.0") == 0;
        if (!any)
            snprintf(voter.host, sizeof voter.host, "%s", listener->host);
        voter.port = listener->port;
    }
    return voter;
}

static void encode_voters(const struct broker_config *config, const struct storage_voter *from, int count, struct buf *value) {
    struct voters_record_voter voters[RAFT_VOTERS_MAX];
    struct voters_record_endpoint endpoints[RAFT_VOTERS_MAX];
    check(count <= RAFT_VOTERS_MAX, "%d voters", count);
    for (int i = 0; i < count; i++) {
        endpoints[i] = (struct voters_record_endpoint){
            .name = config->has_controller_listener ? config->controller_listener.name : SLICE_LIT("CONTROLLER"),
            .host = slice_str(from[i].host),
            .port = from[i].port};
        voters[i] = (struct voters_record_voter){.voter_id = from[i].id, .voter_directory_id = from[i].directory,
                                                 .endpoints = &endpoints[i], .endpoints_count = 1,
                                                 .kraft_version_feature = {0, 1}};
    }
    struct voters_record record = {.voters = voters, .voters_count = count};
    struct encoder e;
    encoder_init(&e, value, NULL);
    enum err err = voters_record_encode(&e, 0, &record);
    check(err == ERR_OK, "voters cannot be encoded: %s", err_text(err));
}

static enum err write_checkpoint(struct fs *fs, const char *path, const struct levels *levels, struct slice voters) {
    struct snapshot_writer writer;
    struct buf bytes = {0};
    snapshot_begin(&writer, &bytes, 0, 0, voters.size ? 1 : 0, voters);
    if (levels)
        add_levels(&writer, levels);
    snapshot_end(&writer);
    enum err err = fs_write_whole(fs, path, buf_slice(&bytes));
    buf_deinit(&bytes);
    return err;
}

/* The dynamic quorum's first voters: what the log begins with. */
static enum err write_voters(struct fs *fs, const struct broker_config *config, const char *dir, const struct storage_voter *voters,
                             int count) {
    char *path = mem_printf("%s/" METADATA_DIR, dir);
    enum err err = storage_make_dir(fs, path);
    mem_free(path);
    struct buf value = {0};
    encode_voters(config, voters, count, &value);
    path = mem_printf("%s/" METADATA_DIR "/00000000000000000000-0000000000.checkpoint", dir);
    if (!err)
        err = write_checkpoint(fs, path, NULL, buf_slice(&value));
    mem_free(path);
    buf_deinit(&value);
    return err;
}

static enum err format_dir(struct runtime *runtime, const struct broker_config *config, const struct storage_format *format, int index,
                           const struct levels *levels, struct meta_properties *meta) {
    struct fs *fs = runtime_fs(runtime);
    const char *dir = config->log_dirs[index];
    bool metadata = index == config->metadata_dir;
    meta->directory_id = storage_random_uuid(runtime);
    for (int i = 0; i < format->voter_count && metadata; i++)
        if (format->voters[i].id == config->node_id)
            meta->directory_id = format->voters[i].directory;
    enum err err = storage_make_dir(fs, dir);
    char *path = mem_printf("%s/bootstrap.checkpoint", dir);
    if (!err)
        err = write_checkpoint(fs, path, levels, SLICE_NULL);
    mem_free(path);
    struct storage_voter self = own_voter(config, meta->directory_id);
    if (!err && metadata && (format->standalone || format->voter_count))
        err = write_voters(fs, config, dir, format->voter_count ? format->voters : &self, format->voter_count ? format->voter_count : 1);
    if (!err) /* last: from here on the directory counts as formatted */
        err = meta_properties_write(fs, dir, meta);
    return err;
}

enum err storage_format(struct runtime *runtime, const struct broker_config *config, const struct storage_format *format,
                        struct buf *ret_text, struct buf *ret_error) {
    struct fs *fs = runtime_fs(runtime);
    struct levels levels = {0};
    enum err err = choose_levels(format, &levels, ret_error);
    if (err)
        return err;
    struct meta_properties meta = {.version = 1, .node_id = config->node_id};
    char id[UUID_TEXT_SIZE];
    if (format->cluster_id.ptr)
        snprintf(meta.cluster_id, sizeof meta.cluster_id, "%.*s", SLICE_FMT(format->cluster_id));
    else
        snprintf(meta.cluster_id, sizeof meta.cluster_id, "%s", uuid_text(storage_random_uuid(runtime), id));
    bool done[LOG_DIRS_MAX] = {0};
    for (int i = 0; i < config->log_dir_count; i++) {
        struct meta_properties there;
        struct buf unreadable = {0};
        err = meta_properties_read(fs, config->log_dirs[i], &there, &unreadable);
        buf_deinit(&unreadable);
        done[i] = err != ERR_NOT_FOUND;
        if (done[i] && !format->ignore_formatted) {
            buf_printf(ret_error, "Log directory %s is already formatted. Use --ignore-formatted to ignore this directory and format the others.",
                       config->log_dirs[i]);
            return ERR_EXISTS;
        }
        if (!err && format->ignore_formatted && !format->cluster_id.ptr)
            snprintf(meta.cluster_id, sizeof meta.cluster_id, "%s", there.cluster_id);
        if (!err && (strcmp(there.cluster_id, meta.cluster_id) != 0 || there.node_id != meta.node_id)) {
            buf_printf(ret_error, "Invalid identity in: %s/" META_PROPERTIES ". Expected cluster.id %s, node.id %d, but read %s, %d", config->log_dirs[i],
                       meta.cluster_id, (int)meta.node_id, there.cluster_id, (int)there.node_id);
            return ERR_INVALID;
        }
    }
    for (int i = 0; i < config->log_dir_count; i++) {
        if (done[i])
            continue;
        err = format_dir(runtime, config, format, i, &levels, &meta);
        if (err) {
            buf_printf(ret_error, "%s: cannot be formatted: %s", config->log_dirs[i], err_text(err));
            return err;
        }
        bool dynamic = format->standalone || format->voter_count;
        buf_printf(ret_text, "Formatting %s directory %s with metadata.version %s.\n",
                   i != config->metadata_dir ? "data" : dynamic ? "dynamic metadata voter" : "metadata", config->log_dirs[i],
                   metadata_version_name(levels.metadata_version));
    }
    if (!ret_text->size)
        buf_add_str(ret_text, "All of the log directories are already formatted.\n");
    return ERR_OK;
}

/* ---- opening ---------------------------------------------------------------------------------------------------------------- */

static enum err lock_dir(struct fs *fs, const char *dir, struct file **ret_file, struct buf *error) {
    char *path = mem_printf("%s/.lock", dir);
    enum err err = fs_lock(fs, path, ret_file);
    mem_free(path);
    if (err == ERR_BUSY)
        buf_printf(error, "%s: another process holds the lock on this directory (.lock)", dir);
    return err;
}

/* OFFLINE: the directory cannot be read. Other errors stop the start. */
static enum err open_dir(struct runtime *runtime, const struct broker_config *config, int i, char cluster_id[128], struct uuid *ids,
                         struct file **locks, struct buf *error) {
    struct fs *fs = runtime_fs(runtime);
    const char *dir = config->log_dirs[i];
    struct meta_properties meta;
    enum err err = storage_make_dir(fs, dir);
    if (!err)
        err = lock_dir(fs, dir, &locks[i], error);
    if (err == ERR_BUSY)
        return err;
    if (err) {
        buf_printf(error, "%s: %s", dir, err_text(err));
        return ERR_OFFLINE;
    }
    err = meta_properties_read(fs, dir, &meta, error);
    if (err == ERR_NOT_FOUND) {
        buf_printf(error, "%s: not formatted (no " META_PROPERTIES "); run `myelin storage format`", dir);
        return err;
    }
    if (err == ERR_INVALID)
        return err;
    if (err)
        return ERR_OFFLINE;
    if (meta.node_id >= 0 && meta.node_id != config->node_id) {
        buf_printf(error, "%s/" META_PROPERTIES ": node.id is %d, but the configuration says %d", dir, (int)meta.node_id, (int)config->node_id);
        return ERR_INVALID;
    }
    if (!meta.cluster_id[0] || (cluster_id[0] && strcmp(cluster_id, meta.cluster_id) != 0)) {
        buf_printf(error, "%s/" META_PROPERTIES ": cluster.id is '%s', but another directory has '%s'", dir, meta.cluster_id, cluster_id);
        return ERR_INVALID;
    }
    memcpy(cluster_id, meta.cluster_id, sizeof meta.cluster_id);
    if (uuid_is_zero(meta.directory_id)) {
        meta.directory_id = storage_random_uuid(runtime);
        err = meta_properties_write(fs, dir, &meta);
    }
    for (int k = 0; k < i; k++)
        if (uuid_eq(ids[k], meta.directory_id)) {
            buf_printf(error, "%s/" META_PROPERTIES ": directory.id is that of %s", dir, config->log_dirs[k]);
            return ERR_INVALID;
        }
    ids[i] = meta.directory_id;
    return err ? ERR_OFFLINE : ERR_OK;
}

enum err storage_open(struct runtime *runtime, const struct broker_config *config, char cluster_id[128], struct uuid *ids,
                      struct file **locks, struct buf *ret_error) {
    cluster_id[0] = 0;
    for (int i = 0; i < config->log_dir_count; i++) {
        enum err err = open_dir(runtime, config, i, cluster_id, ids, locks, ret_error);
        if (err == ERR_OFFLINE && i != config->metadata_dir) {
            trace_error("broker", "log directory is offline", TRACE_STR("why", buf_text(ret_error)));
            buf_clear(ret_error);
            ids[i] = UUID_ZERO;
            continue;
        }
        if (err) {
            if (!ret_error->size)
                buf_printf(ret_error, "%s: cannot be read", config->log_dirs[i]);
            return err;
        }
    }
    return ERR_OK;
}
