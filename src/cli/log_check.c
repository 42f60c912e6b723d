/* myelin log check DIR...: reads everything that a log directory holds and says what does not fit together. */
#include "cli/log_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "broker/storage.h"
#include "cli/cli.h"
#include "cli/log_tools.h"
#include "log/checkpoint.h"
#include "log/journal_read.h"
#include "log/log.h"

/* ---- findings -------------------------------------------------------------------------------------------------------------- */

void check_report(struct log_checker *checker, enum finding finding, const char *path, int64_t position, int64_t offset,
                  const char *format, ...) {
    static const char *const names[] = {"wrong", "repaired at start"};
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    *(finding == FINDING_WRONG ? &checker->wrong : &checker->repaired) += 1;
    progress_end(&checker->progress);
    if (checker->json) {
        json_t *item = json_pack("{s:s,s:s}", "finding", finding == FINDING_WRONG ? "wrong" : "repaired_at_start", "file", path);
        if (position >= 0)
            json_object_set_new(item, "position", json_integer(position));
        if (offset >= 0)
            json_object_set_new(item, "offset", json_integer(offset));
        json_object_set_new(item, "what", json_string(what));
        output_json_line(stdout, item);
        json_decref(item);
        return;
    }
    printf("%s: %s:", names[finding], path);
    if (position >= 0)
        printf(" position %lld%s", (long long)position, offset >= 0 ? "," : ":");
    if (offset >= 0)
        printf(" offset %lld:", (long long)offset);
    printf(" %s\n", what);
}

/* ---- checkpoints ----------------------------------------------------------------------------------------------------------- */

static int checkpoint_compare(const void *a, const void *b) {
    const struct check_checkpoint *x = a, *y = b;
    int by_topic = strcmp(x->topic, y->topic);
    return by_topic ? by_topic : (x->partition > y->partition) - (x->partition < y->partition);
}

static void add_checkpoint(void *arg, struct slice topic, int32_t partition, int64_t offset) {
    struct check_checkpoints *checkpoints = arg;
    if (checkpoints->count == checkpoints->capacity) {
        checkpoints->capacity = checkpoints->capacity ? checkpoints->capacity * 2 : 64;
        checkpoints->entries = mem_realloc(checkpoints->entries, sizeof *checkpoints->entries * (size_t)checkpoints->capacity);
    }
    checkpoints->entries[checkpoints->count++] =
        (struct check_checkpoint){mem_strndup((const char *)topic.ptr, topic.size), partition, offset};
}

int64_t check_checkpoint_find(const struct log_checker *checker, int which, struct slice topic, int32_t partition) {
    const struct check_checkpoints *checkpoints = &checker->checkpoints[which];
    char *name = mem_strndup((const char *)topic.ptr, topic.size);
    struct check_checkpoint key = {name, partition, 0};
    const struct check_checkpoint *found =
        checkpoints->count ? bsearch(&key, checkpoints->entries, (size_t)checkpoints->count, sizeof key, checkpoint_compare) : NULL;
    mem_free(name);
    return found ? found->offset : -1;
}

static void read_checkpoints(struct log_checker *checker, const char *dir) {
    static const char *const names[] = {CHECKPOINT_RECOVERY_POINT, CHECKPOINT_LOG_START, CHECKPOINT_HIGH_WATERMARK, CHECKPOINT_CLEANER};
    for (int i = 0; i < CHECKPOINTS; i++) {
        struct check_checkpoints *checkpoints = &checker->checkpoints[i];
        char *path = mem_printf("%s/%s", dir, names[i]);
        uint8_t *bytes = NULL;
        size_t size = 0;
        enum err err = fs_read_whole(checker->fs, path, (size_t)1 << 30, &bytes, &size);
        if (!err)
            err = checkpoint_parse_offsets(slice_of(bytes, size), add_checkpoint, checkpoints);
        if (err && err != ERR_NOT_FOUND)
            check_report(checker, FINDING_WRONG, path, -1, -1, "%s", err == ERR_CORRUPT ? "not a checkpoint, or not as many entries as it says" : err_text(err));
        if (checkpoints->count)
            qsort(checkpoints->entries, (size_t)checkpoints->count, sizeof *checkpoints->entries, checkpoint_compare);
        mem_free(bytes);
        mem_free(path);
    }
}

/* ---- journals -------------------------------------------------------------------------------------------------------------- */

static int journal_compare(const void *a, const void *b) {
    const struct check_journal_entry *x = a, *y = b;
    return x->base_offset != y->base_offset ? (x->base_offset > y->base_offset) - (x->base_offset < y->base_offset)
                                            : (x->order > y->order) - (x->order < y->order);
}

static void add_journal_entry(struct log_checker *checker, const char *path, uint64_t order, const struct journal_group_entry *entry) {
    for (struct slice rest = entry->batches; rest.size;) {
        if (batch_check(rest)) {
            check_report(checker, FINDING_WRONG, path, -1, entry->base_offset, "a bad batch in group %llu", (unsigned long long)order);
            return;
        }
        size_t size = batch_size(rest.ptr);
        rest = slice_of(rest.ptr + size, rest.size - size);
    }
    if (checker->journal_count == checker->journal_capacity) {
        checker->journal_capacity = checker->journal_capacity ? checker->journal_capacity * 2 : 64;
        checker->journal = mem_realloc(checker->journal, sizeof *checker->journal * (size_t)checker->journal_capacity);
    }
    checker->journal[checker->journal_count++] = (struct check_journal_entry){entry->topic_id, entry->partition, entry->base_offset,
                                                                              order, entry->batches, path};
}

/* The bytes stay, the entries point into them. */
static void read_journal(struct log_checker *checker, const char *path, struct slice bytes) {
    struct journal_group *groups;
    int count = journal_find_groups(bytes, &groups);
    uint64_t oldest = count ? groups[count - 1].oldest : 0, expected = oldest;
    for (int i = 0; i < count; i++) {
        if (groups[i].number < oldest)
            continue;
        if (groups[i].number != expected)
            check_report(checker, FINDING_WRONG, path, groups[i].pos, -1, "group %llu is missing before this one, %llu",
                         (unsigned long long)expected, (unsigned long long)groups[i].number);
        expected = groups[i].number + 1;
        struct journal_group_entry entry;
        enum err err;
        while (!(err = journal_next_entry(&groups[i], &entry)))
            add_journal_entry(checker, path, groups[i].number, &entry);
        if (err != ERR_NOT_FOUND)
            check_report(checker, FINDING_WRONG, path, groups[i].pos, -1, "the entries of group %llu do not add up", (unsigned long long)groups[i].number);
    }
    mem_free(groups);
    if (checker->clean)
        check_report(checker, FINDING_WRONG, path, -1, -1, "a journal beside the mark of a clean stop");
}

/* ---- a log directory --------------------------------------------------------------------------------------------------------- */

/* `topic-partition`; false: something else, among it what is renamed to be deleted or set aside. */
static bool partition_of(const char *name, struct slice *ret_topic, int32_t *ret_partition) {
    const char *dash = strrchr(name, '-');
    int64_t number;
    if (!dash || dash == name || !dash[1] || !checkpoint_number(slice_str(dash + 1), &number) || number < 0 || number > INT32_MAX)
        return false;
    *ret_topic = slice_of(name, (size_t)(dash - name));
    *ret_partition = (int32_t)number;
    return true;
}

static bool is_renamed(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && strlen(dot) > 34 && (strcmp(dot + 33, "-delete") == 0 || strcmp(dot + 33, "-stray") == 0 || strcmp(dot + 33, "-future") == 0);
}

static void check_identity(struct log_checker *checker, const char *dir) {
    struct meta_properties meta;
    struct buf error = {0};
    if (meta_properties_read(checker->fs, dir, &meta, &error)) {
        check_report(checker, FINDING_WRONG, dir, -1, -1, "%s", error.size ? buf_text(&error) : "no meta.properties");
    } else {
        if (checker->cluster_id[0] && strcmp(checker->cluster_id, meta.cluster_id) != 0)
            check_report(checker, FINDING_WRONG, dir, -1, -1, "belongs to cluster %s, another directory to %s", meta.cluster_id, checker->cluster_id);
        memcpy(checker->cluster_id, meta.cluster_id, sizeof meta.cluster_id);
    }
    buf_deinit(&error);
}

static void forget_dir(struct log_checker *checker) {
    for (int i = 0; i < CHECKPOINTS; i++) {
        for (int k = 0; k < checker->checkpoints[i].count; k++)
            mem_free(checker->checkpoints[i].entries[k].topic);
        mem_free(checker->checkpoints[i].entries);
        checker->checkpoints[i] = (struct check_checkpoints){0};
    }
    mem_free(checker->journal);
    checker->journal = NULL;
    checker->journal_count = checker->journal_capacity = 0;
}

static void check_bootstrap(struct log_checker *checker, const char *path) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum err err = fs_read_whole(checker->fs, path, 64 << 20, &bytes, &size);
    for (struct slice rest = slice_of(bytes, size); !err && rest.size;) {
        err = batch_check(rest);
        size_t batch = err ? 0 : batch_size(rest.ptr);
        rest = slice_of(rest.ptr + batch, rest.size - batch);
    }
    if (err)
        check_report(checker, FINDING_WRONG, path, -1, -1, "not a snapshot: %s", err_text(err));
    mem_free(bytes);
}

struct journal_file {
    char *path;
    uint8_t *bytes;
};

static void check_log_dir(struct log_checker *checker, const char *dir, const struct fs_entry *entries, int count) {
    check_identity(checker, dir);
    read_checkpoints(checker, dir);
    checker->clean = false;
    for (int i = 0; i < count; i++)
        checker->clean = checker->clean || strcmp(entries[i].name, ".kafka_cleanshutdown") == 0;
    struct journal_file *journals = NULL;
    int journal_count = 0;
    for (int i = 0; i < count; i++) {
        char *path = mem_printf("%s/%s", dir, entries[i].name);
        int64_t base;
        enum log_file_kind kind = log_file_kind(path, &base);
        size_t size;
        uint8_t *bytes;
        if (!entries[i].is_dir && kind == LOG_FILE_JOURNAL) {
            enum err err = fs_read_whole(checker->fs, path, (size_t)16 << 30, &bytes, &size);
            if (err) {
                check_report(checker, FINDING_WRONG, path, -1, -1, "cannot be read: %s", err_text(err));
            } else {
                read_journal(checker, path, slice_of(bytes, size));
                journals = mem_realloc(journals, sizeof *journals * (size_t)(journal_count + 1));
                journals[journal_count++] = (struct journal_file){path, bytes};
                continue;
            }
        } else if (!entries[i].is_dir && kind == LOG_FILE_METADATA_SNAPSHOT) {
            check_bootstrap(checker, path);
        }
        mem_free(path);
    }
    if (checker->journal_count)
        qsort(checker->journal, (size_t)checker->journal_count, sizeof *checker->journal, journal_compare);
    for (int i = 0; i < count; i++) {
        struct slice topic;
        int32_t partition;
        char *path = mem_printf("%s/%s", dir, entries[i].name);
        if (entries[i].is_dir && partition_of(entries[i].name, &topic, &partition))
            check_partition(checker, path, topic, partition, true);
        else if (entries[i].is_dir && !is_renamed(entries[i].name) && strcmp(entries[i].name, "remote-log-index-cache") != 0)
            check_report(checker, FINDING_WRONG, path, -1, -1, "a directory that is no partition's: Apache Kafka refuses to start with it");
        mem_free(path);
    }
    for (int i = 0; i < journal_count; i++) {
        mem_free(journals[i].path);
        mem_free(journals[i].bytes);
    }
    mem_free(journals);
    forget_dir(checker);
}

/* A directory that a server works on changes while it is read. */
static bool is_in_use(struct log_checker *checker, const char *dir) {
    char *path = mem_printf("%s/.lock", dir);
    struct fs_stat stat;
    struct file *lock = NULL;
    bool busy = !fs_stat(checker->fs, path, &stat) && fs_lock(checker->fs, path, &lock) == ERR_BUSY;
    file_unref(lock);
    mem_free(path);
    return busy;
}

static int check_path(struct log_checker *checker, const char *given) {
    char *dir = mem_strdup(given);
    size_t length = strlen(dir);
    while (length > 1 && dir[length - 1] == '/')
        dir[--length] = 0;
    struct fs_entry *entries;
    int count, status = CLI_OK;
    enum err err = fs_list(checker->fs, dir, &entries, &count);
    if (err) {
        status = cli_fail("%s: %s", dir, err_text(err));
        mem_free(dir);
        return status;
    }
    bool partition_dir = false, log_dir = false;
    for (int i = 0; i < count; i++) {
        struct slice topic;
        int32_t partition;
        partition_dir = partition_dir || strcmp(entries[i].name, PARTITION_METADATA) == 0 || (strlen(entries[i].name) == 24 && strcmp(entries[i].name + 20, ".log") == 0);
        log_dir = log_dir || strcmp(entries[i].name, "meta.properties") == 0 || (entries[i].is_dir && partition_of(entries[i].name, &topic, &partition));
    }
    const char *slash = strrchr(dir, '/'), *name = slash ? slash + 1 : dir;
    struct slice topic;
    int32_t partition;
    if (log_dir && is_in_use(checker, dir))
        status = cli_fail("%s: a server is running on it; stop it first, or check a copy", dir);
    else if (log_dir)
        check_log_dir(checker, dir, entries, count);
    else if (partition_dir && partition_of(name, &topic, &partition))
        check_partition(checker, dir, topic, partition, false);
    else
        status = cli_fail("%s: neither a log directory nor that of a partition", dir);
    fs_list_free(entries, count);
    mem_free(dir);
    return status;
}

int log_check_run(struct options *options) {
    struct runtime *runtime = cli_runtime();
    struct log_checker checker = {.fs = runtime_fs(runtime), .json = options_json(options), .quick = options_has(options, "quick")};
    progress_begin(&checker.progress);
    int status = CLI_OK;
    for (int i = 0; i < options->argument_count && status == CLI_OK; i++)
        status = check_path(&checker, options->arguments[i]);
    progress_end(&checker.progress);
    if (status == CLI_OK && checker.json) {
        json_t *sum = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "partitions", (json_int_t)checker.partitions, "segments",
                                (json_int_t)checker.segments, "batches", (json_int_t)checker.batches, "bytes", (json_int_t)checker.bytes,
                                "wrong", (json_int_t)checker.wrong, "repaired_at_start", (json_int_t)checker.repaired);
        output_json_line(stdout, sum);
        json_decref(sum);
    } else if (status == CLI_OK) {
        char size[32];
        printf("%lld partitions, %lld segments, %lld batches, %s: ", (long long)checker.partitions, (long long)checker.segments,
               (long long)checker.batches, size_text(checker.bytes, size));
        if (checker.wrong)
            printf("%lld wrong", (long long)checker.wrong);
        else
            printf("all right");
        if (checker.repaired)
            printf(", %lld that the next start repairs", (long long)checker.repaired);
        putchar('\n');
    }
    batch_records_deinit(&checker.batch_records);
    runtime_destroy(runtime);
    return status ? status : checker.wrong ? CLI_FAILED : CLI_OK;
}
