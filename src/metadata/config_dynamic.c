#include "metadata/config_dynamic.h"

#include "base/mem.h"
#include "protocol/config_defs.h"

static const char *const per_broker[] = {
    "cordoned.log.dirs", "listener.security.protocol.map", "listeners", "principal.builder.class", "sasl.enabled.mechanisms",
    "sasl.jaas.config", "sasl.kerberos.kinit.cmd", "sasl.kerberos.min.time.before.relogin",
    "sasl.kerberos.principal.to.local.rules", "sasl.kerberos.service.name", "sasl.kerberos.ticket.renew.jitter",
    "sasl.kerberos.ticket.renew.window.factor", "sasl.login.refresh.buffer.seconds", "sasl.login.refresh.min.period.seconds",
    "sasl.login.refresh.window.factor", "sasl.login.refresh.window.jitter", "sasl.mechanism.inter.broker.protocol",
    "ssl.cipher.suites", "ssl.client.auth", "ssl.enabled.protocols", "ssl.endpoint.identification.algorithm",
    "ssl.engine.factory.class", "ssl.key.password", "ssl.keymanager.algorithm", "ssl.keystore.certificate.chain",
    "ssl.keystore.key", "ssl.keystore.location", "ssl.keystore.password", "ssl.keystore.type", "ssl.protocol", "ssl.provider",
    "ssl.secure.random.implementation", "ssl.trustmanager.algorithm", "ssl.truststore.certificates", "ssl.truststore.location",
    "ssl.truststore.password", "ssl.truststore.type",
};
static const char *const cluster_wide[] = {
    "background.threads", "compression.gzip.level", "compression.lz4.level", "compression.type", "compression.zstd.level",
    "config.providers", "follower.fetch.last.tiered.offset.enable", "follower.replication.throttled.rate",
    "leader.replication.throttled.rate", "replica.alter.log.dirs.io.max.bytes.per.second",
    "group.consumer.assignment.interval.ms", "group.share.assignment.interval.ms", "group.streams.assignment.interval.ms",
    "group.coordinator.cached.buffer.max.bytes", "share.coordinator.cached.buffer.max.bytes", "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size", "log.cleaner.delete.retention.ms", "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size", "log.cleaner.io.max.bytes.per.second", "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio", "log.cleaner.min.compaction.lag.ms", "log.cleaner.threads", "log.cleanup.policy",
    "log.flush.interval.messages", "log.flush.interval.ms", "log.index.interval.bytes", "log.index.size.max.bytes",
    "log.local.retention.bytes", "log.local.retention.ms", "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms", "log.message.timestamp.type", "log.preallocate", "log.retention.bytes",
    "log.retention.ms", "log.roll.jitter.ms", "log.roll.ms", "log.segment.bytes", "log.segment.delete.delay.ms",
    "max.connection.creation.rate", "max.connections", "max.connections.per.ip", "max.connections.per.ip.overrides",
    "message.max.bytes", "metric.reporters", "min.insync.replicas", "num.io.threads", "num.network.threads",
    "num.recovery.threads.per.data.dir", "num.replica.fetchers", "producer.id.expiration.ms", "remote.fetch.max.wait.ms",
    "remote.list.offsets.request.timeout.ms", "remote.log.index.file.cache.total.size.bytes",
    "remote.log.manager.copier.thread.pool.size", "remote.log.manager.copy.max.bytes.per.second",
    "remote.log.manager.expiration.thread.pool.size", "remote.log.manager.fetch.max.bytes.per.second",
    "remote.log.manager.follower.thread.pool.size", "remote.log.reader.threads", "transaction.partition.verification.enable",
    "unclean.leader.election.enable",
};
static const char *const listener_only[] = {
    "ssl.key.password", "ssl.keystore.certificate.chain", "ssl.keystore.key", "ssl.keystore.location", "ssl.keystore.password",
    "ssl.keystore.type", "ssl.truststore.certificates", "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.type",
};

static bool has(const char *const *names, int count, struct slice name) {
    for (int i = 0; i < count; i++)
        if (slice_eq_str(name, names[i]))
            return true;
    return false;
}

enum config_scope config_dynamic_scope(struct slice name) {
    if (has(cluster_wide, COUNT_OF(cluster_wide), name))
        return CONFIG_CLUSTER_WIDE;
    return has(per_broker, COUNT_OF(per_broker), name) ? CONFIG_PER_BROKER : CONFIG_READ_ONLY;
}

bool config_needs_listener(struct slice name) {
    return has(listener_only, COUNT_OF(listener_only), name);
}

bool config_strip_listener(struct slice *name) {
    static const char prefix[] = "listener.name.";
    size_t size = sizeof prefix - 1;
    if (name->size <= size || memcmp(name->ptr, prefix, size) != 0)
        return false;
    const uint8_t *dot = memchr(name->ptr + size, '.', name->size - size);
    if (!dot)
        return false;
    *name = slice_of(dot + 1, name->size - (size_t)(dot + 1 - name->ptr));
    return true;
}

const struct config_def *config_find_dynamic_only(struct slice name) {
    static const struct config_def defs[] = {
        {.name = "leader.replication.throttled.rate", .type = CONFIG_LONG, .valid = "[0,...]"},
        {.name = "follower.replication.throttled.rate", .type = CONFIG_LONG, .valid = "[0,...]"},
        {.name = "replica.alter.log.dirs.io.max.bytes.per.second", .type = CONFIG_LONG, .valid = "[0,...]"},
    };
    for (int i = 0; i < COUNT_OF(defs); i++)
        if (slice_eq_str(name, defs[i].name))
            return &defs[i];
    return NULL;
}
