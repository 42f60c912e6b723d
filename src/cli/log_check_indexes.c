#include "cli/log_check.h"

#include "base/endian.h"
#include "base/mem.h"
#include "protocol/batch.h"

enum { INDEX_ENTRY = 8, TIME_ENTRY = 12 };
static const size_t INDEX_FILE_MAX = (size_t)1 << 30;

static void bad_index(struct index_check *check, int which, int64_t position, int64_t offset, const char *what) {
    bool *said = which ? &check->time_bad : &check->index_bad;
    if (!*said)
        check_report(check->checker, check->finding, check->paths[which], position, offset, "%s", what);
    *said = true;
}

/* Zeros at the end are what a file that grows is preallocated with: only a crash leaves them, and Kafka 4.4, which stops
 * without closing its metadata log. */
static size_t entries_of(struct index_check *check, int which, const uint8_t *bytes, size_t size, size_t entry, bool metadata_log) {
    if (size % entry)
        bad_index(check, which, (int64_t)size, -1, "the size is no multiple of an entry's");
    size_t count = size / entry, used = count;
    for (; used; used--) {
        const uint8_t *p = bytes + (used - 1) * entry;
        bool zero = true;
        for (size_t i = 0; i < entry; i++)
            zero = zero && !p[i];
        if (!zero)
            break;
    }
    static const char zeros[] = "zeros behind the last entry";
    check->unclosed |= used < count && metadata_log;
    if (used < count && metadata_log)
        check_report(check->checker, FINDING_REPAIRED, check->paths[which], (int64_t)(used * entry), -1, "%s", zeros);
    else if (used < count)
        bad_index(check, which, (int64_t)(used * entry), -1, zeros);
    return used;
}

void index_check_begin(struct index_check *check, struct log_checker *checker, const char *dir, int64_t base_offset,
                       enum finding finding, bool metadata_log) {
    static const char *const suffixes[] = {"index", "timeindex", "txnindex"};
    *check = (struct index_check){.checker = checker, .finding = finding, .base_offset = base_offset, .max_timestamp = -1};
    for (int i = 0; i < 3; i++)
        check->paths[i] = mem_printf("%s/%020lld.%s", dir, (long long)base_offset, suffixes[i]);
    size_t size = 0;
    enum err err = fs_read_whole(checker->fs, check->paths[0], INDEX_FILE_MAX, &check->index, &size);
    if (err)
        bad_index(check, 0, -1, -1, err == ERR_NOT_FOUND ? "missing" : err_text(err));
    else
        check->index_count = entries_of(check, 0, check->index, size, INDEX_ENTRY, metadata_log);
    size = 0;
    err = fs_read_whole(checker->fs, check->paths[1], INDEX_FILE_MAX, &check->times, &size);
    if (err)
        bad_index(check, 1, -1, -1, err == ERR_NOT_FOUND ? "missing" : err_text(err));
    else
        check->time_count = entries_of(check, 1, check->times, size, TIME_ENTRY, metadata_log);
    uint8_t *bytes = NULL;
    size = 0;
    err = metadata_log ? ERR_NOT_FOUND : fs_read_whole(checker->fs, check->paths[2], INDEX_FILE_MAX, &bytes, &size);
    if (!err && txn_index_decode(&check->aborted, slice_of(bytes, size)))
        check_report(checker, finding, check->paths[2], -1, -1, "not a transaction index");
    else if (err && err != ERR_NOT_FOUND)
        check_report(checker, finding, check->paths[2], -1, -1, "%s", err_text(err));
    mem_free(bytes);
}

/* An entry has the batch's last offset; of old formats, any of the batch. */
static void check_offset_entry(struct index_check *check, int64_t position, int64_t base, int64_t last, bool old) {
    while (check->index_at < check->index_count && !check->index_bad) {
        const uint8_t *p = check->index + check->index_at * INDEX_ENTRY;
        int64_t offset = check->base_offset + load_be32(p), at = load_be32(p + 4), file_at = (int64_t)(check->index_at * INDEX_ENTRY);
        if (at > position)
            return;
        if (at < position)
            bad_index(check, 0, file_at, offset, "an entry points to where no batch begins");
        else if (old ? offset < base || offset > last : offset != last)
            bad_index(check, 0, file_at, offset, "an entry points to a batch of other offsets");
        check->index_at++;
    }
}

static void check_time_entry(struct index_check *check, int64_t base, int64_t last, int64_t max_timestamp) {
    while (check->time_at < check->time_count && !check->time_bad) {
        const uint8_t *p = check->times + check->time_at * TIME_ENTRY;
        int64_t timestamp = (int64_t)load_be64(p), offset = check->base_offset + load_be32(p + 8),
                file_at = (int64_t)(check->time_at * TIME_ENTRY);
        if (offset > last)
            return;
        if (check->time_at && timestamp <= (int64_t)load_be64(p - TIME_ENTRY))
            bad_index(check, 1, file_at, offset, "timestamps do not rise");
        else if (offset < base)
            bad_index(check, 1, file_at, offset, "an entry names an offset that no batch has");
        else if (timestamp != max_timestamp)
            bad_index(check, 1, file_at, offset, "an entry has another timestamp than its batch");
        check->time_at++;
    }
}

static void check_aborted(struct index_check *check, const uint8_t *batch, int64_t last, const struct aborted_txn *aborted) {
    const struct aborted_txn *entry = check->aborted_at < check->aborted.count ? &check->aborted.entries[check->aborted_at] : NULL;
    const char *path = check->paths[2];
    while (entry && entry->last_offset < last) {
        check_report(check->checker, check->finding, path, check->aborted_at * 34, entry->last_offset, "an entry's marker is not in the log");
        check->aborted_at++;
        entry = check->aborted_at < check->aborted.count ? entry + 1 : NULL;
    }
    bool here = entry && entry->last_offset == last;
    if (here) {
        check->aborted_at++;
        if (batch_magic(batch) != 2 || !batch_is_control(batch) || batch_producer_id(batch) != entry->producer_id)
            check_report(check->checker, check->finding, path, (check->aborted_at - 1) * 34, last, "an entry names what is no marker of its producer");
        else if (aborted && aborted->first_offset != entry->first_offset)
            check_report(check->checker, check->finding, path, (check->aborted_at - 1) * 34, last,
                         "an entry begins at offset %lld, its transaction at %lld", (long long)entry->first_offset, (long long)aborted->first_offset);
        else if (entry->last_stable_offset > last + 1 ||
                 (aborted && check->from_zero && aborted->last_stable_offset != entry->last_stable_offset))
            check_report(check->checker, check->finding, path, (check->aborted_at - 1) * 34, last, "an entry has a wrong last stable offset, %lld",
                         (long long)entry->last_stable_offset);
    } else if (aborted) {
        check_report(check->checker, check->finding, path, -1, last, "lacks the transaction that producer %lld aborted here",
                     (long long)aborted->producer_id);
    }
}

void index_check_batch(struct index_check *check, const uint8_t *batch, int64_t position, int64_t base, int64_t last,
                       int64_t max_timestamp, const struct aborted_txn *aborted) {
    if (max_timestamp > check->max_timestamp)
        check->max_timestamp = max_timestamp;
    check_offset_entry(check, position, base, last, batch_magic(batch) != 2);
    check_time_entry(check, base, last, max_timestamp);
    check_aborted(check, batch, last, aborted);
}

void index_check_end(struct index_check *check, bool whole, bool is_empty) {
    if (whole && !check->index_bad && check->index_at < check->index_count)
        bad_index(check, 0, (int64_t)(check->index_at * INDEX_ENTRY), -1, "an entry points behind the last batch");
    if (whole && !check->time_bad && check->time_at < check->time_count)
        bad_index(check, 1, (int64_t)(check->time_at * TIME_ENTRY), -1, "an entry names an offset behind the last batch");
    int64_t last = check->time_count ? (int64_t)load_be64(check->times + (check->time_count - 1) * TIME_ENTRY) : -1;
    if (whole && !is_empty && !check->time_bad && !check->unclosed && check->max_timestamp >= 0 && last != check->max_timestamp)
        bad_index(check, 1, -1, -1, "its last entry is not the segment's largest timestamp");
    if (whole)
        for (; check->aborted_at < check->aborted.count; check->aborted_at++)
            check_report(check->checker, check->finding, check->paths[2], check->aborted_at * 34,
                         check->aborted.entries[check->aborted_at].last_offset, "an entry's marker is not in the log");
    for (int i = 0; i < 3; i++)
        mem_free(check->paths[i]);
    mem_free(check->index);
    mem_free(check->times);
    txn_index_deinit(&check->aborted);
}
