/* Kafka's text checkpoints: line 1 the version 0, line 2 the number of entries, then an entry a line, fields separated
 * by a blank. recovery-point-, log-start-, replication- and cleaner-offset-checkpoint hold `topic partition offset`,
 * leader-epoch-checkpoint holds `epoch offset`. Also partition.metadata. */
#ifndef LOG_CHECKPOINT_H
#define LOG_CHECKPOINT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/uuid.h"

#define CHECKPOINT_RECOVERY_POINT "recovery-point-offset-checkpoint"
#define CHECKPOINT_LOG_START "log-start-offset-checkpoint"
#define CHECKPOINT_HIGH_WATERMARK "replication-offset-checkpoint"
#define CHECKPOINT_CLEANER "cleaner-offset-checkpoint"
#define CHECKPOINT_EPOCHS "leader-epoch-checkpoint"
#define PARTITION_METADATA "partition.metadata"

/* Calls fn with the fields of each entry (at most 4, borrowed from the text). CORRUPT for another version, a wrong
 * count, or what fn refuses; an empty text has no entries. */
enum err checkpoint_parse(struct slice text, enum err (*fn)(void *arg, const struct slice *fields, int count),
                          void *arg) MUST_USE;
bool checkpoint_number(struct slice text, int64_t *ret_number);
/* `topic partition offset` entries. */
enum err checkpoint_parse_offsets(struct slice text,
                                  void (*fn)(void *arg, struct slice topic, int32_t partition, int64_t offset),
                                  void *arg) MUST_USE;
enum err partition_metadata_parse(struct slice text, struct uuid *ret_topic_id) MUST_USE;
void partition_metadata_format(struct uuid topic_id, struct buf *buf);

#endif
