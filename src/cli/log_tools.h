/* Shared by the offline tools on log directories. */
#ifndef CLI_LOG_TOOLS_H
#define CLI_LOG_TOOLS_H

#include "cli/options.h"
#include "runtime/runtime.h"

/* A runtime for its file calls alone; runtime_destroy() it. */
struct runtime *cli_runtime(void);

enum log_file_kind {
    LOG_FILE_OTHER,
    LOG_FILE_SEGMENT,
    LOG_FILE_INDEX,
    LOG_FILE_TIME_INDEX,
    LOG_FILE_TXN_INDEX,
    LOG_FILE_PRODUCERS,
    LOG_FILE_METADATA_SNAPSHOT,
    LOG_FILE_EPOCHS,
    LOG_FILE_OFFSETS, /* `topic partition offset` checkpoints */
    LOG_FILE_PARTITION_METADATA,
    LOG_FILE_META_PROPERTIES,
    LOG_FILE_CLEAN_MARK,
    LOG_FILE_QUORUM_STATE,
    LOG_FILE_JOURNAL,
};
/* By the name; suffixes of unfinished work (.deleted, .cleaned, .swap) do not count. base: the offset in it, or 0. */
enum log_file_kind log_file_kind(const char *path, int64_t *ret_base);
/* Nothing but zeros from pos to size: what a direct write or a preallocation leaves behind the last batch. */
bool tail_is_zero(struct file *file, int64_t pos, int64_t size);

int log_dump_run(struct options *options);
int log_check_run(struct options *options);

#endif
