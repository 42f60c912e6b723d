#include "cli/log_tools.h"

#include <string.h>
#include "base/check.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "log/checkpoint.h"
#include "log/internal.h"
#include "log/leftovers.h"

struct runtime *cli_runtime(void) {
    struct runtime_options options = {.shard_count = 1, .backend = RUNTIME_EPOLL, .blocking_threads = 1};
    struct runtime *runtime;
    enum err err = runtime_create(&options, &runtime);
    check(err == ERR_OK, "runtime: %s", err_text(err));
    return runtime;
}

static int64_t prefix_offset(const char *name) {
    int64_t offset;
    return checkpoint_number(slice_of(name, strspn(name, "0123456789")), &offset) ? offset : 0;
}

enum log_file_kind log_file_kind(const char *path, int64_t *ret_base) {
    static const struct {
        const char *suffix;
        enum log_file_kind kind;
    } suffixes[] = {{".log", LOG_FILE_SEGMENT},         {".index", LOG_FILE_INDEX},
                    {".timeindex", LOG_FILE_TIME_INDEX}, {".txnindex", LOG_FILE_TXN_INDEX},
                    {".snapshot", LOG_FILE_PRODUCERS},   {".checkpoint", LOG_FILE_METADATA_SNAPSHOT}};
    static const struct {
        const char *name;
        enum log_file_kind kind;
    } names[] = {{CHECKPOINT_EPOCHS, LOG_FILE_EPOCHS},
                 {CHECKPOINT_RECOVERY_POINT, LOG_FILE_OFFSETS},
                 {CHECKPOINT_LOG_START, LOG_FILE_OFFSETS},
                 {CHECKPOINT_HIGH_WATERMARK, LOG_FILE_OFFSETS},
                 {CHECKPOINT_CLEANER, LOG_FILE_OFFSETS},
                 {PARTITION_METADATA, LOG_FILE_PARTITION_METADATA},
                 {"meta.properties", LOG_FILE_META_PROPERTIES},
                 {".kafka_cleanshutdown", LOG_FILE_CLEAN_MARK},
                 {"quorum-state", LOG_FILE_QUORUM_STATE}};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    *ret_base = 0;
    if (strncmp(name, JOURNAL_PREFIX, strlen(JOURNAL_PREFIX)) == 0)
        return LOG_FILE_JOURNAL;
    for (int i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i].name) == 0)
            return names[i].kind;
    static const char *const unfinished[] = {".deleted", ".cleaned", ".swap"};
    char *plain = mem_strdup(name);
    enum log_file_kind kind = LOG_FILE_OTHER;
    for (int i = 0; i < COUNT_OF(unfinished); i++)
        if (name_ends_with(plain, unfinished[i]))
            plain[strlen(plain) - strlen(unfinished[i])] = 0;
    for (int i = 0; i < COUNT_OF(suffixes); i++)
        if (name_ends_with(plain, suffixes[i].suffix)) {
            kind = suffixes[i].kind;
            *ret_base = prefix_offset(plain);
        }
    mem_free(plain);
    return kind;
}

bool tail_is_zero(struct file *file, int64_t pos, int64_t size) {
    uint8_t bytes[65536];
    while (pos < size) {
        size_t count;
        if (file_pread(file, bytes, sizeof bytes, pos, 0, &count) || !count)
            return false;
        for (size_t i = 0; i < count; i++)
            if (bytes[i])
                return false;
        pos += (int64_t)count;
    }
    return true;
}

static const struct option_def dump_options[] = {
    {.name = "files", .kind = OPTION_LIST, .value = "FILE,...", .help = "as Kafka's tool takes them", .complete = COMPLETE_FILE},
    {.name = "records", .letter = 'r', .kind = OPTION_FLAG, .help = "the records of each batch; those of internal topics are decoded"},
    {.name = "print-data-log", .kind = OPTION_FLAG, .help = "the same, as Kafka's tool calls it"},
    {.name = "deep-iteration", .kind = OPTION_FLAG, .help = "likewise"},
    {.name = "skip-record-metadata", .kind = OPTION_FLAG, .help = "of records only key, value and headers"},
    {.name = "cluster-metadata-decoder", .kind = OPTION_FLAG, .help = "records are those of __cluster_metadata, whatever the directory's name"},
    {.name = "offsets-decoder", .kind = OPTION_FLAG, .help = "likewise __consumer_offsets"},
    {.name = "transaction-log-decoder", .kind = OPTION_FLAG, .help = "likewise __transaction_state"},
    {.name = "share-group-state-decoder", .kind = OPTION_FLAG, .help = "likewise __share_group_state"},
    {.name = "remote-log-metadata-decoder", .kind = OPTION_FLAG, .help = "likewise __remote_log_metadata"},
    {.name = "max-bytes", .kind = OPTION_INT, .value = "N", .help = "only so many bytes of each log file"},
};
static const struct option_def check_options[] = {
    {.name = "quick", .letter = 'q', .kind = OPTION_FLAG, .help = "batches by their CRC alone, without their records"},
};
static const struct command log_commands[] = {
    {.name = "check",
     .summary = "verify log directories, or directories of partitions",
     .arguments = "DIR...",
     .argument_min = 1,
     .argument_max = -1,
     .complete = COMPLETE_FILE,
     OPTIONS(check_options),
     .details = "Nothing is changed, and no server may be running on the directory. What a crash left and the next start\n"
                "repairs is listed as `repaired at start` and is no error. Exit status 1: something is wrong.\n",
     .run = log_check_run},
    {.name = "dump",
     .summary = "print what stands in the files of a log directory",
     .arguments = "FILE|DIR...",
     .argument_max = -1,
     .complete = COMPLETE_FILE,
     OPTIONS(dump_options),
     .details = "Segments, indexes, snapshots, checkpoints, journals, the metadata log. With --output json a line an item.\n",
     .run = log_dump_run},
};
const struct command command_log = {.name = "log", .summary = "verify and show log directories", SUBCOMMANDS(log_commands)};
