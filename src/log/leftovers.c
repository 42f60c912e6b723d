/* A cleaner writes X.log.cleaned, renames it to X.log.swap when it is whole, removes what it replaces, and drops the
 * suffix. Where it was interrupted:
 *
 *     any .cleaned file of offset m    its output is not whole: it goes, and so do swaps at or above m (of the same output)
 *     other .swap files                they win: segments in [least swap base, largest swap end) go, the suffix drops */
#include "log/leftovers.h"

#include <string.h>
#include "base/mem.h"
#include "base/trace.h"
#include "log/checkpoint.h"
#include "log/scan.h"

static const char *const segment_suffixes[] = {".log", ".index", ".timeindex", ".txnindex"};

bool name_ends_with(const char *name, const char *suffix) {
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

int64_t segment_name_offset(const char *name, const char *suffix) {
    int64_t offset;
    if (strlen(name) != 20 + strlen(suffix) || strcmp(name + 20, suffix) != 0 ||
        !checkpoint_number(slice_of(name, 20), &offset))
        return -1;
    return offset;
}

static int64_t leading_offset(const char *name) {
    int64_t offset;
    return strlen(name) > 20 && name[20] == '.' && checkpoint_number(slice_of(name, 20), &offset) ? offset : -1;
}

static enum err unlink_name(struct fs *fs, const char *path, const char *name) {
    char *file = mem_printf("%s/%s", path, name);
    enum err err = fs_unlink(fs, file);
    mem_free(file);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err drop_suffix(struct fs *fs, const char *path, const char *name) {
    char *from = mem_printf("%s/%s", path, name), *to = mem_strndup(from, strlen(from) - strlen(".swap"));
    enum err err = fs_rename(fs, from, to);
    mem_free(from);
    mem_free(to);
    return err;
}

/* The offset after the last batch of a swap file, which was synced before it got its name. */
static enum err swap_end(struct fs *fs, const char *path, const char *name, int64_t base_offset, int64_t *ret_end) {
    char *file_name = mem_printf("%s/%s", path, name);
    struct file *file;
    enum err err = fs_open(fs, file_name, FILE_READ, &file);
    mem_free(file_name);
    if (err)
        return err;
    int64_t size = 0, end = base_offset;
    err = file_size(file, &size);
    struct segment_scan scan;
    segment_scan_init(&scan, file, 0, size);
    scan.headers_only = true;
    while (!err && !(err = segment_scan_next(&scan)))
        end = any_last_offset(scan.batch) + 1;
    segment_scan_deinit(&scan);
    file_unref(file);
    *ret_end = end;
    return err == ERR_NOT_FOUND || err == ERR_TRUNCATED || err == ERR_CORRUPT ? ERR_OK : err;
}

static bool has_segment(const struct fs_entry *entries, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strncmp(entries[i].name, name, 20) == 0 &&
            (strcmp(entries[i].name + 20, ".log") == 0 || strcmp(entries[i].name + 20, ".log.swap") == 0))
            return true;
    return false;
}

/* The output of a .cleaned file. Its swaps go before what says that it is not whole: a crash in between must not leave them
 * alone, as if they were. */
static enum err drop_output(struct fs *fs, const char *path, const struct fs_entry *entries, int count, int64_t cleaned_min) {
    enum err err = ERR_OK;
    for (int i = 0; i < count && !err; i++)
        if (name_ends_with(entries[i].name, ".swap") && leading_offset(entries[i].name) >= cleaned_min)
            err = unlink_name(fs, path, entries[i].name);
    return err ? err : fs_sync_dir(fs, path);
}

static enum err finish_swaps(struct fs *fs, const char *path, const struct fs_entry *entries, int count, int64_t cleaned_min) {
    int64_t least = INT64_MAX, end_max = -1;
    enum err err = ERR_OK;
    for (int i = 0; i < count && !err; i++) {
        const char *name = entries[i].name;
        int64_t base = segment_name_offset(name, ".log.swap"), end = 0;
        if (base < 0 || base >= cleaned_min)
            continue;
        err = swap_end(fs, path, name, base, &end);
        least = base < least ? base : least;
        end_max = end > end_max ? end : end_max;
    }
    for (int i = 0; i < count && !err; i++) /* first what they replace goes */
        for (int s = 0; s < COUNT_OF(segment_suffixes) && !err; s++) {
            int64_t base = segment_name_offset(entries[i].name, segment_suffixes[s]);
            if (base >= least && base < end_max)
                err = unlink_name(fs, path, entries[i].name);
        }
    if (!err && end_max >= 0) /* a segment that is replaced must not come back beside the one that has its records */
        err = fs_sync_dir(fs, path);
    for (int log = 0; log < 2; log++) /* a segment's name last: from then on it is one */
        for (int i = 0; i < count && !err; i++) {
            const char *name = entries[i].name;
            if (name_ends_with(name, ".swap") && name_ends_with(name, ".log.swap") == log && leading_offset(name) < cleaned_min)
                err = drop_suffix(fs, path, name);
        }
    if (!err && end_max >= 0)
        trace_info("log", "an interrupted cleaning is finished", TRACE_STR("dir", path), TRACE_INT("from", least),
                   TRACE_INT("to", end_max));
    return err ? err : fs_sync_dir(fs, path);
}

/* The least offset of a .cleaned file; INT64_MAX: there is none. */
static int64_t first_cleaned(const struct fs_entry *entries, int count) {
    int64_t first = INT64_MAX;
    for (int i = 0; i < count; i++) {
        int64_t offset = name_ends_with(entries[i].name, ".cleaned") ? leading_offset(entries[i].name) : -1;
        if (offset >= 0 && offset < first)
            first = offset;
    }
    return first;
}

static bool is_litter(const struct fs_entry *entries, int count, const char *name) {
    bool index = segment_name_offset(name, ".index") >= 0 || segment_name_offset(name, ".timeindex") >= 0 ||
                 segment_name_offset(name, ".txnindex") >= 0;
    return name_ends_with(name, ".cleaned") || (name_ends_with(name, ".deleted") && !name_ends_with(name, ".checkpoint.deleted")) ||
           name_ends_with(name, ".tmp") || (index && !has_segment(entries, count, name));
}

enum err leftovers_settle(struct fs *fs, const char *path, const struct fs_entry *entries, int count, bool *ret_changed) {
    int64_t cleaned_min = first_cleaned(entries, count);
    bool swaps = false;
    enum err err = cleaned_min < INT64_MAX ? drop_output(fs, path, entries, count, cleaned_min) : ERR_OK;
    *ret_changed = false;
    for (int i = 0; i < count && !err; i++) {
        swaps = swaps || name_ends_with(entries[i].name, ".swap");
        if (!is_litter(entries, count, entries[i].name))
            continue;
        err = unlink_name(fs, path, entries[i].name);
        *ret_changed = true;
    }
    if (!err && swaps) {
        err = finish_swaps(fs, path, entries, count, cleaned_min);
        *ret_changed = true;
    }
    return err;
}
