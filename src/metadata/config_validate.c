/* What Kafka checks across keys when it starts; and what a node of this version cannot be. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "metadata/config_check.h"
#include "metadata/config_internal.h"

static enum err check_roles(const struct broker_config *config, struct buf *error) {
    if (!config_where(config, "node.id") && !config_where(config, "broker.id") && !config->embedded)
        return config_refuse(config, "node.id", error, "is missing and has no default; a number of at least 0 is valid");
    if (config->node_id < 0)
        return config_refuse(config, "node.id", error, "Value must be at least 0");
    if (config_where(config, "broker.id") && broker_config_int(config, "broker.id") != config->node_id)
        return config_refuse(config, "broker.id", error, "You must set `node.id` to the same value as `broker.id`");
    if (!config_where(config, "process.roles") && !config->embedded)
        return config_refuse(config, "process.roles", error, "is missing and has no default; broker,controller is valid");
    if (!config->is_broker || !config->is_controller)
        return config_refuse(config, "process.roles", error, "one node that is both, broker,controller, is what is there yet");
    return ERR_OK;
}

/* id@host:port,... with this node as the only one. */
static enum err check_voters(const struct broker_config *config, struct buf *error) {
    static const char key[] = "controller.quorum.voters";
    struct slice voters = broker_config_get(config, key), item;
    int count = 0;
    bool has_self = false;
    while (config_list_next(&voters, &item)) {
        const uint8_t *at = memchr(item.ptr, '@', item.size), *colon = memrchr(item.ptr, ':', item.size);
        int32_t id;
        if (!at || !colon || colon < at || !config_parse_int32(slice_of(item.ptr, (size_t)(at - item.ptr)), &id))
            return config_refuse(config, key, error, "%.*s is not of the form id@host:port", SLICE_FMT(item));
        has_self = has_self || id == config->node_id;
        count++;
    }
    if (count && !has_self)
        return config_refuse(config, key, error, "the node id %d must be included in the set of voters", (int)config->node_id);
    if (count > 1)
        return config_refuse(config, key, error, "a quorum of this node alone is what is there yet");
    return ERR_OK;
}

static enum err check_bootstrap_servers(const struct broker_config *config, struct buf *error) {
    static const char key[] = "controller.quorum.bootstrap.servers";
    struct slice servers = broker_config_get(config, key), item;
    while (config_list_next(&servers, &item)) {
        const uint8_t *colon = memrchr(item.ptr, ':', item.size);
        int32_t port;
        if (!colon || colon == item.ptr || !config_parse_int32(slice_of(colon + 1, item.size - (size_t)(colon + 1 - item.ptr)), &port) ||
            port < 0 || port > 65535)
            return config_refuse(config, key, error, "%.*s is not of the form host:port", SLICE_FMT(item));
    }
    return ERR_OK;
}

/* The value of the first key that is set, in milliseconds; the last one has the default. */
static int64_t in_ms(const struct broker_config *config, const char *ms, const char *minutes, const char *hours, const char **ret_key) {
    *ret_key = ms;
    if (broker_config_get(config, ms).ptr)
        return broker_config_int(config, ms);
    *ret_key = minutes;
    if (minutes && broker_config_get(config, minutes).ptr)
        return broker_config_int(config, minutes) < 0 ? -1 : broker_config_int(config, minutes) * 60000;
    *ret_key = hours;
    return broker_config_int(config, hours) < 0 ? -1 : broker_config_int(config, hours) * 3600000;
}

static enum err check_log(const struct broker_config *config, struct buf *error) {
    const char *key;
    if (in_ms(config, "log.roll.ms", NULL, "log.roll.hours", &key) < 1)
        return config_refuse(config, key, error, "log.roll.ms must be greater than or equal to 1");
    if (in_ms(config, "log.roll.jitter.ms", NULL, "log.roll.jitter.hours", &key) < 0)
        return config_refuse(config, key, error, "log.roll.jitter.ms must be greater than or equal to 0");
    int64_t retention = in_ms(config, "log.retention.ms", "log.retention.minutes", "log.retention.hours", &key);
    if (retention == 0) /* whatever is negative is unlimited */
        return config_refuse(config, key, error, "log.retention.ms must be unlimited (-1) or, greater than or equal to 1");
    int64_t threads = broker_config_int(config, "log.cleaner.threads");
    if (threads && broker_config_int(config, "log.cleaner.dedupe.buffer.size") / threads <= 1024 * 1024)
        return config_refuse(config, "log.cleaner.dedupe.buffer.size", error, "must be at least 1MB per cleaner thread");
    int64_t wait = broker_config_int(config, "replica.fetch.wait.max.ms");
    if (wait > broker_config_int(config, "replica.socket.timeout.ms"))
        return config_refuse(config, "replica.socket.timeout.ms", error, "should always be at least replica.fetch.wait.max.ms");
    if (wait > broker_config_int(config, "replica.lag.time.max.ms"))
        return config_refuse(config, "replica.fetch.wait.max.ms", error, "should always be less than or equal to replica.lag.time.max.ms");
    return ERR_OK;
}

static bool is_host(struct slice host) {
    for (size_t i = 0; i < host.size; i++) {
        uint8_t c = host.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._%:-", c)))
            return false;
    }
    return host.size > 0;
}

static enum err check_overrides(const struct broker_config *config, struct buf *error) {
    static const char key[] = "max.connections.per.ip.overrides";
    struct slice overrides = broker_config_get(config, key), item;
    int count = 0;
    while (config_list_next(&overrides, &item)) {
        const uint8_t *colon = memrchr(item.ptr, ':', item.size);
        int32_t max;
        if (!colon || !is_host(slice_of(item.ptr, (size_t)(colon - item.ptr))) ||
            !config_parse_int32(slice_of(colon + 1, item.size - (size_t)(colon + 1 - item.ptr)), &max) || max < 0)
            return config_refuse(config, key, error, "%.*s is not of the form host:count", SLICE_FMT(item));
        count++;
    }
    if (!broker_config_int(config, "max.connections.per.ip") && !count)
        return config_refuse(config, "max.connections.per.ip", error, "can be set to zero only if max.connections.per.ip.overrides is set");
    return ERR_OK;
}

static enum err check_network(const struct broker_config *config, struct buf *error) {
    int64_t queued = broker_config_int(config, "queued.max.request.bytes"), idle = broker_config_int(config, "connections.max.idle.ms");
    if (queued > 0 && queued < broker_config_int(config, "socket.request.max.bytes"))
        return config_refuse(config, "queued.max.request.bytes", error, "must be larger or equal to socket.request.max.bytes");
    if (idle >= 0 && broker_config_int(config, "connection.failed.authentication.delay.ms") >= idle)
        return config_refuse(config, "connections.max.idle.ms", error, "must be larger than connection.failed.authentication.delay.ms=%lld",
                             (long long)broker_config_int(config, "connection.failed.authentication.delay.ms"));
    return check_overrides(config, error);
}

static enum err check_inter_broker(const struct broker_config *config, struct buf *error) {
    static const char key[] = "inter.broker.listener.name";
    struct slice name = broker_config_get(config, key);
    if (!name.size)
        return ERR_OK;
    if (config_where(config, "security.inter.broker.protocol"))
        return config_refuse(config, key, error, "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set");
    for (int i = 0; i < config->advertised_count; i++)
        if (config_eq_no_case(config->advertised[i].name, name))
            return ERR_OK;
    return config_refuse(config, key, error, "must be a listener name defined in advertised.listeners");
}

static enum err check_cordoned(const struct broker_config *config, struct buf *error) {
    static const char key[] = "cordoned.log.dirs";
    struct slice dirs = broker_config_get(config, key), item;
    bool all = config_list_has(dirs, "*");
    int count = 0;
    while (config_list_next(&dirs, &item)) {
        bool known = all;
        for (int i = 0; i < config->log_dir_count && !known; i++)
            known = slice_eq_str(item, config->log_dirs[i]);
        if (!known)
            return config_refuse(config, key, error, "all entries must be present in log.dirs or log.dir; %.*s is not", SLICE_FMT(item));
        count++;
    }
    if (all && count > 1)
        return config_refuse(config, key, error, "when it is *, it must not contain other values");
    return ERR_OK;
}

/* Of streams groups: the assignors there are, and tags that are there once. */
static enum err check_streams(const struct broker_config *config, struct buf *error) {
    static const char assignors[] = "group.streams.assignors", tags[] = "group.streams.rack.aware.assignment.tags";
    struct slice list = broker_config_get(config, assignors), item;
    int count = 0;
    while (config_list_next(&list, &item)) {
        if (!slice_eq_str(item, "sticky"))
            return config_refuse(config, assignors, error, "%.*s is not an assignor; sticky is what there is", SLICE_FMT(item));
        count++;
    }
    if (count != 1)
        return config_refuse(config, assignors, error, count ? "values must not be repeated" : "must not be empty");
    if (config_list_has_duplicates(broker_config_get(config, tags)))
        return config_refuse(config, tags, error, "must not contain duplicate tag keys");
    return ERR_OK;
}

/* A value against another key's; whichever of the two was written is to blame. */
static enum err check_order(const struct broker_config *config, const char *key, const char *than, bool upper, bool may_equal, struct buf *error) {
    int64_t value = broker_config_int(config, key), bound = broker_config_int(config, than);
    if (upper ? value < bound + may_equal : value > bound - may_equal)
        return ERR_OK;
    const char *blamed = config_where(config, key) || !config_where(config, than) ? key : than;
    if (blamed == than)
        upper = !upper;
    return config_refuse(config, blamed, error, "must be %s %s=%lld", may_equal ? (upper ? "at most" : "at least") : (upper ? "less than" : "greater than"),
                         blamed == key ? than : key, (long long)(blamed == key ? bound : value));
}

/* Of groups: what has a least and a most of its own lies between them; a session holds more than one heartbeat. */
static enum err check_groups(const struct broker_config *config, struct buf *error) {
    static const char prefix[] = "group.";
    static const char *const kinds[] = {"consumer", "share", "streams"};
    enum err err = ERR_OK;
    for (int i = 0; i < broker_config_def_count && !err; i++) {
        const char *key = broker_config_defs[i].name;
        char bound[CONFIG_GROUP_NAME_MAX];
        if (strncmp(key, prefix, sizeof prefix - 1) != 0)
            continue;
        for (int upper = 0; upper < 2 && !err; upper++)
            if (config_group_bound(slice_str(key + sizeof prefix - 1), upper, bound))
                err = check_order(config, key, bound, upper, true, error);
    }
    for (int i = 0; i < COUNT_OF(kinds) && !err; i++) {
        char beat[CONFIG_GROUP_NAME_MAX], session[CONFIG_GROUP_NAME_MAX];
        snprintf(beat, sizeof beat, "group.%s.heartbeat.interval.ms", kinds[i]);
        snprintf(session, sizeof session, "group.%s.session.timeout.ms", kinds[i]);
        err = check_order(config, beat, session, true, false, error);
    }
    return err ? err : check_order(config, "group.share.max.share.sessions", "group.share.max.size", false, true, error);
}

/* The assignors there are, and the codecs of the coordinators' topics. */
static enum err check_coordinators(const struct broker_config *config, struct buf *error) {
    static const char assignors[] = "group.consumer.assignors";
    static const char *const codecs[] = {"offsets.topic.compression.codec", "share.coordinator.state.topic.compression.codec"};
    struct slice list = broker_config_get(config, assignors), item;
    while (config_list_next(&list, &item))
        if (!slice_eq_str(item, "uniform") && !slice_eq_str(item, "range") && !slice_eq_str(item, "org.apache.kafka.coordinator.group.assignor.UniformAssignor") &&
            !slice_eq_str(item, "org.apache.kafka.coordinator.group.assignor.RangeAssignor"))
            return config_refuse(config, assignors, error, "%.*s is not an assignor; uniform and range are what there is", SLICE_FMT(item));
    for (int i = 0; i < COUNT_OF(codecs); i++)
        if (broker_config_int(config, codecs[i]) < 0 || broker_config_int(config, codecs[i]) > 4)
            return config_refuse(config, codecs[i], error, "must be 0 (none), 1 (gzip), 2 (snappy), 3 (lz4) or 4 (zstd)");
    return ERR_OK;
}

enum err config_validate(const struct broker_config *config, struct buf *error) {
    static enum err (*const checks[])(const struct broker_config *config, struct buf *error) = {
        check_roles, check_voters, check_bootstrap_servers, check_log, check_network, check_inter_broker, check_cordoned, check_streams,
        check_groups, check_coordinators,
    };
    enum err err = ERR_OK;
    for (int i = 0; i < COUNT_OF(checks) && !err; i++)
        err = checks[i](config, error);
    return err;
}
