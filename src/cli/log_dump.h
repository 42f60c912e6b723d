/* Inside `myelin log dump`: log_dump.c walks files and prints, log_dump_files.c knows the small ones. */
#ifndef CLI_LOG_DUMP_H
#define CLI_LOG_DUMP_H

#include <jansson.h>
#include "base/buf.h"
#include "cli/batch_records.h"
#include "cli/record_json.h"
#include "protocol/old_messages.h"
#include "runtime/runtime.h"

struct dump {
    struct fs *fs;
    bool json, records, bare; /* bare: of records only key, value and headers */
    bool family_is_set;
    enum record_family family;
    int64_t bytes_max; /* of each log file; 0: all */
    int64_t bad;       /* what was found to be wrong */
    const char *path;  /* of the file at hand */
    struct batch_records batch_records;
    struct old_messages old_messages;
};

/* Prints an object and releases it: a line of JSON, or `key: value` pairs. */
void dump_item(struct dump *dump, const char *indent, json_t *item);
/* Something of the file is not right; `format` as printf. */
void dump_bad(struct dump *dump, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A batch that is in memory, whole; `position` is only shown. */
void dump_batch(struct dump *dump, enum record_family family, struct slice bytes, int64_t position, const char *indent);

/* log_dump_files.c; `base` is the offset in the file's name. */
void dump_index(struct dump *dump, struct slice bytes, int64_t base);
void dump_time_index(struct dump *dump, struct slice bytes, int64_t base);
void dump_txn_index(struct dump *dump, struct slice bytes);
void dump_producers(struct dump *dump, struct slice bytes);
void dump_checkpoint(struct dump *dump, struct slice bytes, bool epochs);
void dump_properties(struct dump *dump, struct slice bytes);
void dump_partition_metadata(struct dump *dump, struct slice bytes);
void dump_quorum_state(struct dump *dump, struct slice bytes);
void dump_journal(struct dump *dump, struct slice bytes);

#endif
