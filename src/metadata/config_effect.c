#include "metadata/config_effect.h"

#include <string.h>
#include "base/mem.h"

struct rule {
    const char *prefix;
    const char *reason;
};
/* The first rule whose prefix fits decides; a NULL reason means the key is obeyed. */
static const struct rule rules[] = {
    {"num.network.threads", "connections are spread over shards, see myelin.shards"},
    {"num.io.threads", "requests run on the shard of their connection, see myelin.shards"},
    {"background.threads", "background work runs on the shards"},
    {"queued.max.requests", "a connection has a bounded number of requests in work instead of a queue"},
    {"num.recovery.threads.per.data.dir", "logs are recovered on the blocking-work pool"},
    {"ssl.", "TLS is not there yet"},
    {"sasl.", "SASL is not there yet"},
    {"security.", "security providers are the JVM's"},
    {"authorizer.", "ACLs are not there yet"},
    {"super.users", "ACLs are not there yet"},
    {"principal.builder", "it names a Java class"},
    {"connections.max.reauth", "SASL is not there yet"},
    {"connection.failed.authentication", "SASL is not there yet"},
    {"delegation.token", "delegation tokens are not there yet"},
    {"group.initial.rebalance", NULL},
    {"group.max.session", NULL},
    {"group.min.session", NULL},
    {"group.max.size", NULL},
    {"group.coordinator.append", NULL},
    {"group.coordinator.rebalance", NULL},
    {"group.consumer.", NULL},
    {"group.coordinator.", "coordinators run on the shards of their partitions, see myelin.shards"},
    {"group.streams.assignor.offload", "assignments are computed on the shard of the group's coordinator"},
    {"group.streams.topology.description", "it names a Java class; the broker keeps descriptions itself"},
    {"group.share.assignors", "the one assignor there is, simple, is used"},
    {"group.share.persister", "it names a Java class"},
    {"share.coordinator.append", NULL},
    {"share.coordinator.load", NULL},
    {"share.coordinator.state", NULL},
    {"share.coordinator.write", NULL},
    {"share.coordinator.cold", NULL},
    {"share.coordinator.snapshot", NULL},
    {"share.coordinator.", "coordinators run on the shards of their partitions, see myelin.shards"},
    {"share.fetch.purgatory", "what waits is woken by what it waits for, and leaves nothing to purge"},
    {"add.partitions.to.txn.retry.backoff.max", NULL},
    {"add.partitions.to.txn.retry.backoff", "requests wait for a transaction to end, and are not repeated"},
    {"remote.", "tiered storage is not there yet"},
    {"log.local.", "tiered storage is not there yet"},
    {"replica.", "a single node has no followers"},
    {"follower.", "a single node has no followers"},
    {"leader.", "a single node has no followers"},
    {"num.replica.alter.log.dirs", NULL},
    {"num.replica", "a single node has no followers"},
    {"inter.broker", "a single node has no other brokers"},
    {"controlled.shutdown", "a single node has no leadership to move"},
    {"auto.leader.rebalance", "a single node has no leadership to move"},
    {"unclean.leader", "a single node elects no leaders"},
    {"alter.config.policy", "it names a Java class"},
    {"create.topic.policy", "it names a Java class"},
    {"client.quota", "it names a Java class"},
    {"quota.", "quotas are not there yet"},
    {"controller.quota", "quotas are not there yet"},
    {"metric.reporters", "it names Java classes; metrics are at /metrics"},
    {"metrics.", "metrics are at /metrics"},
    {"auto.include.jmx", "there is no JMX; metrics are at /metrics"},
    {"config.providers", "configuration providers are Java classes"},
    {"alter.log.dirs", "quotas are not there yet"},
    {"replication.quota", "quotas are not there yet"},
    {"broker.heartbeat.interval", "broker and controller are one process, which lives or does not"},
    {"broker.session.timeout", "broker and controller are one process, which lives or does not"},
    {"initial.broker.registration", "broker and controller are one process: registration waits for nobody"},
    {"controller.performance", "there is no queue of controller events to sample"},
    {"controller.quorum.voters", NULL},
    {"controller.quorum.", "the quorum is this node alone"},
    {"controller.socket", "a single node has no other controller"},
    {"delete.records.purgatory", "what waits is woken by what it waits for, and leaves nothing to purge"},
    {"fetch.purgatory", "what waits is woken by what it waits for, and leaves nothing to purge"},
    {"producer.purgatory", "what waits is woken by what it waits for, and leaves nothing to purge"},
    {"internal.metadata.log.segment.bytes", NULL},
    {"internal.", "it is internal to Apache Kafka"},
    {"kafka.metrics", "it names Java classes; metrics are at /metrics"},
    {"log.flush.scheduler", "flushing is not polled for: see myelin.journal.flush"},
    {"log.flush.start.offset", "start offsets are written with the other checkpoints: see log.flush.offset.checkpoint.interval.ms"},
    {"request.timeout.ms", "a single node sends no requests to others"},
    {"socket.connection.setup", "a single node connects to no other"},
    {"unstable.", "unstable versions are not served"},
    {"log.dir.failure", "a single node has no controller elsewhere to tell"},
    {"early.start", "there is no authorizer to start early for"},
};

bool config_listener_may_set(const char *key) {
    static const char *const keys[] = {"max.connections", "max.connection.creation.rate"};
    for (int i = 0; i < COUNT_OF(keys); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

const char *config_no_effect(const char *key) {
    for (int i = 0; i < COUNT_OF(rules); i++)
        if (strncmp(key, rules[i].prefix, strlen(rules[i].prefix)) == 0)
            return rules[i].reason;
    return NULL;
}
