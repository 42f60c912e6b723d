/* Inside `myelin log check`: log_check.c takes a log directory, log_check_partition.c a partition's, log_check_indexes.c
 * holds indexes against the batches that they point at. Reads only. */
#ifndef CLI_LOG_CHECK_H
#define CLI_LOG_CHECK_H

#include "base/buf.h"
#include "base/uuid.h"
#include "cli/batch_records.h"
#include "cli/output.h"
#include "log/epochs.h"
#include "log/producers.h"
#include "log/txn_index.h"
#include "runtime/runtime.h"

enum finding {
    FINDING_WRONG,    /* counts: exit status 1 */
    FINDING_REPAIRED, /* what a crash left and the next start repairs */
};

struct check_checkpoint { /* an entry of one of the directory's checkpoints */
    char *topic;
    int32_t partition;
    int64_t offset;
};
struct check_checkpoints {
    struct check_checkpoint *entries; /* sorted */
    int count, capacity;
};

struct check_journal_entry {
    struct uuid topic_id;
    int32_t partition;
    int64_t base_offset;
    uint64_t order;
    struct slice batches;
    const char *path;
};

enum { CHECKPOINTS = 4 }; /* recovery point, log start, high watermark, cleaner */
enum { AT_RECOVERY_POINT, AT_LOG_START, AT_HIGH_WATERMARK, AT_CLEANER };

struct log_checker {
    struct fs *fs;
    bool json, quick;
    int64_t wrong, repaired, partitions, segments, batches, records, bytes;
    struct progress progress;
    struct batch_records batch_records;
    char cluster_id[128]; /* of the directories seen so far */
    /* of the log directory at hand */
    bool clean; /* stopped cleanly */
    struct check_checkpoints checkpoints[CHECKPOINTS];
    struct check_journal_entry *journal;
    int journal_count, journal_capacity;
};

/* position, offset: -1 when they say nothing. */
void check_report(struct log_checker *checker, enum finding finding, const char *path, int64_t position, int64_t offset,
                  const char *format, ...) __attribute__((format(printf, 6, 7)));
/* -1: not in the checkpoint. */
int64_t check_checkpoint_find(const struct log_checker *checker, int which, struct slice topic, int32_t partition);
/* `path` is that of `topic-partition`. known: it stands in a log directory that was read. */
void check_partition(struct log_checker *checker, const char *path, struct slice topic, int32_t partition, bool known);

/* ---- indexes of one segment, walked beside its batches ---- */

struct index_check {
    struct log_checker *checker;
    enum finding finding; /* of whatever is wrong with them */
    char *paths[3];       /* offset, time, transaction index */
    int64_t base_offset;
    uint8_t *index, *times;
    size_t index_count, time_count, index_at, time_at;
    bool index_bad, time_bad; /* said already */
    bool unclosed;            /* of a metadata log, as Kafka 4.4 leaves it: the last entries are yet to come */
    struct txn_index aborted;
    int aborted_at;
    int64_t max_timestamp;
    bool from_zero; /* the caller has seen the log from offset 0 on: every transaction is known */
};
void index_check_begin(struct index_check *check, struct log_checker *checker, const char *dir, int64_t base_offset,
                       enum finding finding, bool metadata_log);
/* The next batch; last may be base for old formats. aborted: set when it is a marker that aborts a known transaction. */
void index_check_batch(struct index_check *check, const uint8_t *batch, int64_t position, int64_t base, int64_t last,
                       int64_t max_timestamp, const struct aborted_txn *aborted);
/* whole: the batches were walked to their end. */
void index_check_end(struct index_check *check, bool whole, bool is_empty);

#endif
