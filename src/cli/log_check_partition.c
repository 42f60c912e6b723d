/* One partition: every batch of every segment in order, and beside them what other files say about them. */
#include "cli/log_check.h"

#include <stdio.h>
#include "base/mem.h"
#include "cli/log_tools.h"
#include "cli/record_json.h"
#include "log/checkpoint.h"
#include "log/leftovers.h"
#include "log/scan.h"
#include "protocol/old_messages.h"
#include "raft/snapshot.h"

static const size_t SMALL_FILE_MAX = (size_t)64 << 20, OLD_PLAIN_SIZE_MAX = (size_t)1 << 30;

struct partition_check {
    struct log_checker *checker;
    const char *path;
    struct slice topic;
    int32_t partition;
    bool clean;            /* what the directory says, or true when nobody knows */
    bool metadata_log, gaps; /* gaps: compacted, offsets may be missing */
    int64_t *segments, *snapshots;
    int segment_count, snapshot_count;
    struct uuid topic_id;
    int64_t end;           /* after the last batch so far */
    struct epochs epochs;  /* of the file */
    bool epochs_bad;
    bool gap_is_known;     /* the batch before was bad, and that was said */
    struct producers producers;
    int snapshot_at;
    enum finding unsure;   /* of the segment at hand: REPAIRED when the next start reads it whole */
};

#define REPORT(finding, path, position, offset, ...) check_report(p->checker, finding, path, position, offset, __VA_ARGS__)

/* ---- batches --------------------------------------------------------------------------------------------------------------- */

static void check_metadata_record(struct partition_check *p, const char *path, int64_t position, const struct record *record) {
    enum err err = metadata_record_check(record->value);
    if (err)
        REPORT(FINDING_WRONG, path, position, record->offset, "a metadata record %s",
               err == ERR_UNSUPPORTED ? "of an unknown type or version" : "is not what its type says");
}

static void check_records(struct partition_check *p, const char *path, const struct segment_scan *scan) {
    const uint8_t *b = scan->batch;
    struct batch_records *records = &p->checker->batch_records;
    struct record record;
    int64_t max = -1, last = batch_base_offset(b) - 1;
    enum err err = batch_records_begin(records, b, scan->batch_size);
    while (!err && !(err = record_next(&records->it, &record))) {
        if (record.offset <= last || record.offset > batch_last_offset(b)) {
            REPORT(FINDING_WRONG, path, scan->batch_pos, record.offset, "record offsets do not rise inside the batch");
            return;
        }
        last = record.offset;
        max = record.timestamp > max ? record.timestamp : max;
        p->checker->records++;
        if (p->metadata_log && !batch_is_control(b))
            check_metadata_record(p, path, scan->batch_pos, &record);
    }
    if (err != ERR_NOT_FOUND)
        REPORT(FINDING_WRONG, path, scan->batch_pos, batch_base_offset(b), "the records cannot be read: %s", err_text(err));
    else if (batch_count(b) > 0 && !(batch_attributes(b) & BATCH_APPEND_TIME) && max > batch_max_timestamp(b))
        REPORT(FINDING_WRONG, path, scan->batch_pos, batch_base_offset(b), "a record is newer than the batch's largest timestamp");
}

static void check_old_batch(struct partition_check *p, const char *path, const struct segment_scan *scan) {
    struct old_messages messages = {0};
    struct record record;
    enum err err = old_messages_begin(&messages, slice_of(scan->batch, scan->batch_size), OLD_PLAIN_SIZE_MAX);
    while (!err && !(err = old_messages_next(&messages, &record)))
        p->checker->records++;
    if (err != ERR_NOT_FOUND)
        REPORT(FINDING_WRONG, path, scan->batch_pos, batch_base_offset(scan->batch), "the messages of magic %d cannot be read: %s",
               batch_magic(scan->batch), err_text(err));
    old_messages_deinit(&messages);
}

static void check_epoch(struct partition_check *p, const char *path, const struct segment_scan *scan) {
    int32_t epoch = batch_leader_epoch(scan->batch), known = epochs_of(&p->epochs, batch_base_offset(scan->batch));
    /* The file may begin above a log start that a crash forgot. */
    if (epoch < 0 || known == epoch || p->epochs_bad || (known < 0 && p->epochs.count))
        return;
    p->epochs_bad = true;
    REPORT(p->clean ? FINDING_WRONG : FINDING_REPAIRED, path, scan->batch_pos, batch_base_offset(scan->batch),
           "the batch has leader epoch %d, " CHECKPOINT_EPOCHS " says %d", (int)epoch, (int)known);
}

/* The producers' state in the file against that of the batches before it. What the file lacks may have expired. */
static void check_snapshot(struct partition_check *p, int64_t offset) {
    char *path = mem_printf("%s/%020lld.snapshot", p->path, (long long)offset);
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct producers stored = {0};
    enum err err = fs_read_whole(p->checker->fs, path, SMALL_FILE_MAX, &bytes, &size);
    if (!err)
        err = producers_decode(&stored, slice_of(bytes, size));
    if (err) {
        REPORT(p->unsure, path, -1, offset, "not a snapshot of producers, or its CRC is wrong");
    } else {
        map_each(node, &stored.map) {
            const struct producer *a = container_of(node, struct producer, node);
            map_each(other, &p->producers.map) {
                const struct producer *b = container_of(other, struct producer, node);
                if (a->id != b->id)
                    continue;
                int64_t a_last = a->batch_count ? a->batches[a->batch_count - 1].last_offset : -1;
                int64_t b_last = b->batch_count ? b->batches[b->batch_count - 1].last_offset : -1;
                bool compacted = p->gaps && b->epoch <= a->epoch && b_last <= a_last; /* what it says of may be cleaned away */
                if (compacted)
                    continue;
                if (a->epoch != b->epoch || (b_last >= 0 && a_last != b_last) || a->txn_first_offset != b->txn_first_offset)
                    REPORT(p->unsure, path, -1, offset, "producer %lld: epoch %d, last offset %lld, transaction from %lld; the log says %d, %lld, %lld",
                           (long long)a->id, a->epoch, (long long)a_last, (long long)a->txn_first_offset, b->epoch, (long long)b_last,
                           (long long)b->txn_first_offset);
            }
        }
    }
    producers_clear(&stored);
    mem_free(bytes);
    mem_free(path);
}

static void check_snapshots_below(struct partition_check *p, int64_t offset) {
    for (; p->snapshot_at < p->snapshot_count && p->snapshots[p->snapshot_at] <= offset; p->snapshot_at++)
        check_snapshot(p, p->snapshots[p->snapshot_at]);
}

/* ---- a segment ------------------------------------------------------------------------------------------------------------- */

static void check_batch(struct partition_check *p, const char *path, struct segment_scan *scan, struct index_check *indexes) {
    const uint8_t *b = scan->batch;
    bool old = batch_magic(b) != 2;
    int64_t base = old ? p->end : batch_base_offset(b), last = old ? batch_base_offset(b) : batch_last_offset(b);
    int64_t timestamp = !old ? batch_max_timestamp(b) : batch_magic(b) == 1 ? (int64_t)load_be64(b + 18) : -1;
    if (last < base || base < p->end)
        REPORT(FINDING_WRONG, path, scan->batch_pos, base, "offsets %lld to %lld follow offset %lld", (long long)base, (long long)last, (long long)p->end - 1);
    else if (base > p->end && !p->gaps && !old && !p->gap_is_known)
        REPORT(FINDING_WRONG, path, scan->batch_pos, base, "offsets %lld to %lld are missing before it", (long long)p->end, (long long)base - 1);
    p->gap_is_known = false;
    struct aborted_txn aborted;
    bool aborts = false;
    check_snapshots_below(p, base);
    if (old) {
        check_old_batch(p, path, scan);
    } else {
        if (!p->checker->quick || p->metadata_log)
            check_records(p, path, scan);
        check_epoch(p, path, scan);
        aborts = producers_append(&p->producers, b, &aborted);
    }
    index_check_batch(indexes, b, scan->batch_pos, base, last, timestamp, aborts ? &aborted : NULL);
    if (last >= p->end)
        p->end = last + 1;
    p->checker->batches++;
    p->checker->bytes += (int64_t)scan->batch_size;
    if (progress_due(&p->checker->progress))
        progress_show(&p->checker->progress, "%lld partitions, %lld MiB", (long long)p->checker->partitions,
                      (long long)(p->checker->bytes >> 20));
}

/* What lies behind the last good batch. A crash leaves a torn batch or zeros at the end of the log, nothing else. */
static void check_tail(struct partition_check *p, const char *path, struct file *file, int64_t pos, int64_t size, bool last) {
    if (tail_is_zero(file, pos, size))
        REPORT(p->unsure, path, pos, p->end, "%lld zeros behind the last batch", (long long)(size - pos));
    else
        REPORT(last ? p->unsure : FINDING_WRONG, path, pos, p->end, "a torn batch: %lld bytes that are none", (long long)(size - pos));
}

static void check_segment(struct partition_check *p, int which) {
    int64_t base = p->segments[which], size = 0;
    char *path = mem_printf("%s/%020lld.log", p->path, (long long)base);
    struct file *file = NULL;
    enum err err = fs_open(p->checker->fs, path, FILE_READ, &file);
    if (!err)
        err = file_size(file, &size);
    if (which && base != p->end && (base < p->end || !p->gaps))
        REPORT(FINDING_WRONG, path, -1, base, base < p->end ? "begins before offset %lld, where the last segment ends"
                                                            : "offsets from %lld on are missing before it", (long long)p->end);
    if (base > p->end || !which)
        p->end = base;
    struct index_check indexes;
    index_check_begin(&indexes, p->checker, p->path, base, p->unsure, p->metadata_log);
    indexes.from_zero = p->segments[0] == 0;
    struct segment_scan scan;
    segment_scan_init(&scan, file, 0, size);
    int64_t bad_pos = -1, bad_size = 0; /* a batch that is wrong: torn when nothing good follows */
    bool last = which + 1 == p->segment_count;
    while (!err) {
        err = segment_scan_next(&scan);
        if (!err || (err == ERR_CORRUPT && scan.bad_size)) {
            if (bad_pos >= 0)
                REPORT(FINDING_WRONG, path, bad_pos, p->end, "wrong CRC or fields in a batch of %lld bytes", (long long)bad_size);
            bad_pos = -1;
        }
        if (!err) {
            check_batch(p, path, &scan, &indexes);
        } else if (err == ERR_CORRUPT && scan.bad_size) {
            bad_pos = scan.pos;
            bad_size = (int64_t)scan.bad_size;
            scan.pos += bad_size;
            p->gap_is_known = true;
            err = ERR_OK;
        }
    }
    bool whole = err == ERR_NOT_FOUND && bad_pos < 0;
    if (err != ERR_NOT_FOUND && err != ERR_CORRUPT && err != ERR_TRUNCATED)
        REPORT(FINDING_WRONG, path, scan.pos, p->end, "cannot be read: %s", err_text(err));
    else if (bad_pos >= 0 && p->clean)
        REPORT(FINDING_WRONG, path, bad_pos, p->end, "wrong CRC or fields in a batch of %lld bytes", (long long)bad_size);
    else if (!whole)
        check_tail(p, path, file, bad_pos >= 0 ? bad_pos : scan.pos, size, last);
    index_check_end(&indexes, whole, size == 0);
    segment_scan_deinit(&scan);
    file_unref(file);
    mem_free(path);
    p->checker->segments++;
}

/* ---- the journal ----------------------------------------------------------------------------------------------------------- */

static void check_journal(struct partition_check *p) {
    const struct log_checker *checker = p->checker;
    for (int i = 0; i < checker->journal_count; i++) {
        const struct check_journal_entry *entry = &checker->journal[i];
        if (!uuid_eq(entry->topic_id, p->topic_id) || entry->partition != p->partition)
            continue;
        for (struct slice rest = entry->batches; rest.size;) {
            size_t size = batch_size(rest.ptr); /* batches were checked when the journal was read */
            if (batch_base_offset(rest.ptr) > p->end) {
                REPORT(FINDING_WRONG, entry->path, -1, batch_base_offset(rest.ptr), "does not continue %s, which ends at offset %lld", p->path, (long long)p->end);
                return;
            }
            struct aborted_txn aborted;
            if (batch_base_offset(rest.ptr) == p->end) {
                if (producers_append(&p->producers, rest.ptr, &aborted)) {
                }
                p->end = batch_last_offset(rest.ptr) + 1;
            }
            rest = slice_of(rest.ptr + size, rest.size - size);
        }
    }
}

/* ---- the files beside ------------------------------------------------------------------------------------------------------ */

static void add_offset(int64_t **array, int *count, int64_t offset) {
    *array = mem_realloc(*array, sizeof **array * (size_t)(*count + 1));
    (*array)[(*count)++] = offset;
}

static void check_names(struct partition_check *p, const struct fs_entry *entries, int count) {
    static const char *const left[] = {".deleted", ".cleaned", ".swap", ".tmp", ".part"};
    for (int i = 0; i < count; i++) {
        const char *name = entries[i].name;
        int64_t offset;
        if ((offset = segment_name_offset(name, ".log")) >= 0)
            add_offset(&p->segments, &p->segment_count, offset);
        else if ((offset = segment_name_offset(name, ".snapshot")) >= 0)
            add_offset(&p->snapshots, &p->snapshot_count, offset);
        for (int k = 0; k < COUNT_OF(left); k++)
            if (name_ends_with(name, left[k])) {
                char *path = mem_printf("%s/%s", p->path, name);
                REPORT(FINDING_REPAIRED, path, -1, -1, "left by unfinished work");
                mem_free(path);
            }
    }
}

static void read_epochs(struct partition_check *p) {
    char *path = mem_printf("%s/" CHECKPOINT_EPOCHS, p->path);
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum err err = fs_read_whole(p->checker->fs, path, SMALL_FILE_MAX, &bytes, &size);
    if (!err)
        err = epochs_parse(&p->epochs, slice_of(bytes, size));
    if (err && err != ERR_NOT_FOUND)
        REPORT(FINDING_WRONG, path, -1, -1, "not a checkpoint of leader epochs");
    p->epochs_bad = err && err != ERR_NOT_FOUND;
    mem_free(bytes);
    mem_free(path);
}

static void read_partition_metadata(struct partition_check *p) {
    char *path = mem_printf("%s/" PARTITION_METADATA, p->path);
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum err err = fs_read_whole(p->checker->fs, path, 65536, &bytes, &size);
    if (err == ERR_NOT_FOUND && p->segment_count == 0)
        REPORT(FINDING_REPAIRED, p->path, -1, -1, "an empty directory");
    else if (err || partition_metadata_parse(slice_of(bytes, size), &p->topic_id)) /* it is flushed before the first segment */
        REPORT(p->clean ? FINDING_WRONG : FINDING_REPAIRED, path, -1, -1, "%s", err ? err_text(err) : "not a partition.metadata");
    mem_free(bytes);
    mem_free(path);
}

static void check_one_snapshot(struct partition_check *p, const char *name, int64_t *ret_newest) {
    long long offset;
    int epoch, end = 0;
    if (sscanf(name, "%20lld-%10d.checkpoint%n", &offset, &epoch, &end) != 2 || !end || name[end])
        return;
    char *path = mem_printf("%s/%s", p->path, name);
    struct snapshot snapshot = {0};
    enum err err = snapshot_load(p->checker->fs, path, &snapshot);
    if (err == ERR_TRUNCATED)
        REPORT(FINDING_WRONG, path, -1, -1, "a snapshot without its footer");
    else if (err)
        REPORT(FINDING_WRONG, path, -1, -1, "not a snapshot: %s", err_text(err));
    struct slice rest = err ? SLICE_EMPTY : buf_slice(&snapshot.bytes);
    while (rest.size) {
        size_t size = batch_size(rest.ptr);
        struct record record;
        struct batch_records *records = &p->checker->batch_records;
        int64_t position = (int64_t)(rest.ptr - snapshot.bytes.ptr);
        err = batch_records_begin(records, rest.ptr, size);
        while (!err && !(err = record_next(&records->it, &record)))
            if (!batch_is_control(rest.ptr))
                check_metadata_record(p, path, position, &record);
        rest = slice_of(rest.ptr + size, rest.size - size);
    }
    buf_deinit(&snapshot.bytes);
    *ret_newest = offset > *ret_newest ? offset : *ret_newest;
    mem_free(path);
}

static void check_metadata_dir(struct partition_check *p, const struct fs_entry *entries, int count) {
    int64_t newest = -1;
    for (int i = 0; i < count; i++)
        check_one_snapshot(p, entries[i].name, &newest);
    if (p->segment_count && p->segments[0] > 0 && newest < p->segments[0])
        REPORT(FINDING_WRONG, p->path, -1, p->segments[0], "the log begins here and no snapshot has what came before");
    char *path = mem_printf("%s/quorum-state", p->path);
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct quorum_state state;
    enum err err = fs_read_whole(p->checker->fs, path, 1 << 20, &bytes, &size);
    if (!err && quorum_state_parse(slice_of(bytes, size), &state))
        REPORT(FINDING_WRONG, path, -1, -1, "not a quorum-state");
    mem_free(bytes);
    mem_free(path);
}

static void check_checkpoints(struct partition_check *p) {
    static const char *const what[] = {"recovery point", "log start", "high watermark"};
    for (int i = 0; i < COUNT_OF(what); i++) {
        int64_t offset = check_checkpoint_find(p->checker, i, p->topic, p->partition);
        if (offset > p->end)
            REPORT(FINDING_WRONG, p->path, -1, offset, "the %s lies behind the log's end, offset %lld: records are lost", what[i], (long long)p->end);
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------- */

void check_partition(struct log_checker *checker, const char *path, struct slice topic, int32_t partition, bool known) {
    struct partition_check check = {.checker = checker, .path = path, .topic = topic, .partition = partition}, *p = &check;
    p->metadata_log = slice_eq_str(topic, "__cluster_metadata");
    p->clean = !known || checker->clean;
    int64_t cleaned = check_checkpoint_find(checker, AT_CLEANER, topic, partition);
    p->gaps = cleaned >= 0 || (record_family_of(topic) != RECORDS_OF_USERS && !p->metadata_log);
    struct fs_entry *entries;
    int count;
    enum err err = fs_list(checker->fs, path, &entries, &count);
    if (err) {
        REPORT(FINDING_WRONG, path, -1, -1, "cannot be read: %s", err_text(err));
        return;
    }
    check_names(p, entries, count); /* sorted: names of 20 digits sort as numbers */
    read_partition_metadata(p);
    read_epochs(p);
    int64_t recovery_point = p->metadata_log ? 0 : check_checkpoint_find(checker, AT_RECOVERY_POINT, topic, partition);
    int first_unsure = p->segment_count;
    if (!p->clean) {
        first_unsure = 0;
        for (int i = 0; i < p->segment_count; i++)
            if (p->segments[i] <= recovery_point)
                first_unsure = i;
    }
    for (int i = 0; i < p->segment_count; i++) {
        p->unsure = i < first_unsure ? FINDING_WRONG : FINDING_REPAIRED;
        check_segment(p, i);
    }
    check_snapshots_below(p, p->end);
    check_journal(p);
    p->unsure = p->clean ? FINDING_WRONG : FINDING_REPAIRED;
    check_snapshots_below(p, INT64_MAX);
    check_checkpoints(p);
    if (p->clean && known && p->producers.map.count && !p->snapshot_count && !p->metadata_log)
        REPORT(FINDING_WRONG, path, -1, p->end, "stopped cleanly without a snapshot of its producers: their state is lost");
    if (p->metadata_log)
        check_metadata_dir(p, entries, count);
    fs_list_free(entries, count);
    producers_clear(&p->producers);
    epochs_deinit(&p->epochs);
    mem_free(p->segments);
    mem_free(p->snapshots);
    checker->partitions++;
}
