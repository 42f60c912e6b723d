/* What settings mean, in a sentence each: topics' all, brokers' through the topic setting that they are a default of, and
 * groups' through the broker's that is their default. */
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "metadata/config_internal.h"

struct doc {
    const char *name, *text;
};
static const struct doc docs[] = {
    {"cleanup.policy", "What becomes of old segments: delete removes them by time and size, compact keeps the last value of each key; both may be given."},
    {"compression.gzip.level", "The level when the broker compresses with gzip."},
    {"compression.lz4.level", "The level when the broker compresses with lz4."},
    {"compression.zstd.level", "The level when the broker compresses with zstd."},
    {"compression.type", "The codec that batches are stored with; producer keeps them as they were sent."},
    {"delete.retention.ms", "How long tombstones of a compacted topic are kept, in milliseconds."},
    {"file.delete.delay.ms", "How long a deleted segment's files stay on disk, in milliseconds."},
    {"flush.messages", "After how many records the log is flushed to the device. With the journal's flush on, every record is flushed before it is acknowledged, whatever this says."},
    {"flush.ms", "After how many milliseconds the log is flushed to the device. With the journal's flush on, every record is flushed before it is acknowledged, whatever this says."},
    {"follower.replication.throttled.replicas", "Replicas whose replication is throttled on the follower: partition:broker pairs, or *."},
    {"leader.replication.throttled.replicas", "Replicas whose replication is throttled on the leader: partition:broker pairs, or *."},
    {"index.interval.bytes", "How many bytes of records lie between two entries of the offset index."},
    {"internal.segment.bytes", "As segment.bytes, without its lower bound; for tests."},
    {"local.retention.bytes", "With tiered storage: how many bytes of a partition stay on local disk."},
    {"local.retention.ms", "With tiered storage: how long records stay on local disk, in milliseconds."},
    {"max.compaction.lag.ms", "How long a record may stay uncompacted, in milliseconds."},
    {"max.message.bytes", "The largest record batch that is taken, in bytes, as it is compressed."},
    {"message.timestamp.after.max.ms", "How far a record's timestamp may lie ahead of the broker's clock, in milliseconds."},
    {"message.timestamp.before.max.ms", "How far a record's timestamp may lie behind the broker's clock, in milliseconds."},
    {"message.timestamp.type", "Whether a record's timestamp is the producer's (CreateTime) or the time of its append (LogAppendTime)."},
    {"min.cleanable.dirty.ratio", "Which share of a compacted log must be dirty before it is compacted."},
    {"min.compaction.lag.ms", "How long a record stays uncompacted at least, in milliseconds."},
    {"min.insync.replicas", "How many replicas must be in sync for a produce with acks=all to be taken."},
    {"preallocate", "Whether a new segment's file gets its whole size at once."},
    {"remote.log.copy.disable", "With tiered storage: whether copying to it is off."},
    {"remote.log.delete.on.disable", "With tiered storage: whether what is in it is deleted when it is turned off for the topic."},
    {"remote.storage.enable", "Whether the topic's segments go to tiered storage."},
    {"retention.bytes", "How large a partition may become before its oldest segments are deleted, in bytes; -1: no limit."},
    {"retention.ms", "How long records are kept before they may be deleted, in milliseconds; -1: for ever."},
    {"segment.bytes", "The size at which a segment is closed and the next one begun, in bytes."},
    {"segment.index.bytes", "The size of a segment's index files, in bytes."},
    {"segment.jitter.ms", "How much is taken at random from segment.ms, so that segments do not all roll at once."},
    {"segment.ms", "The age at which a segment is closed and the next one begun, in milliseconds."},
    {"unclean.leader.election.enable", "Whether a replica that was not in sync may lead when no other can, which loses records."},
};

/* Of groups, what is no setting of brokers; and of client metrics. */
static const struct doc other_docs[] = {
    {"interval.ms", "How often clients push these metrics, in milliseconds."},
    {"match", "Which clients push them: patterns for what they say about themselves, such as client_id=app-.*; empty: all."},
    {"metrics", "The names of the metrics, or how they begin; * names all."},
    {"share.auto.offset.reset", "Where a share group begins on a partition: latest, earliest, or by_duration: so long ago."},
    {"share.isolation.level", "Whether a share group is given only records of transactions that were committed."},
    {"share.renew.acknowledge.enable", "Whether members of a share group may renew the locks of the records that they hold."},
    {"streams.assignor.name", "Who assigns the tasks of a streams group: one of group.streams.assignors; unset: the first of them."},
};

static const char *other_documentation(const char *name) {
    for (int i = 0; i < COUNT_OF(other_docs); i++)
        if (strcmp(other_docs[i].name, name) == 0)
            return other_docs[i].text;
    char key[128];
    snprintf(key, sizeof key, "group.%s", name);
    return config_broker_documentation(key);
}

const char *config_documentation(const char *name) {
    for (int i = 0; i < COUNT_OF(docs); i++)
        if (strcmp(docs[i].name, name) == 0)
            return docs[i].text;
    for (int i = 0; i < topic_config_def_count; i++)
        for (int k = 0; topic_config_defs[i].synonyms && topic_config_defs[i].synonyms[k]; k++)
            if (strcmp(topic_config_defs[i].synonyms[k], name) == 0)
                return config_documentation(topic_config_defs[i].name);
    const char *text = config_broker_documentation(name);
    return text ? text : other_documentation(name);
}
