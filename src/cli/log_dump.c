/* myelin log dump FILE...: what stands in the files of a log directory, item by item, in the order of the file. Each item
 * is built as one JSON object; for people it is printed as `key: value` pairs. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/log_dump.h"
#include "cli/log_tools.h"
#include "cli/output.h"
#include "log/checkpoint.h"
#include "log/leftovers.h"
#include "log/scan.h"

static const size_t SMALL_FILE_MAX = (size_t)1 << 30, JOURNAL_MAX = (size_t)16 << 30, OLD_PLAIN_SIZE_MAX = (size_t)1 << 30;

/* ---- printing ------------------------------------------------------------------------------------------------------------ */

void dump_item(struct dump *dump, const char *indent, json_t *item) {
    if (dump->json) {
        json_object_set_new(item, "file", json_string(dump->path));
        output_json_line(stdout, item);
        json_decref(item);
        return;
    }
    const char *key, *gap = indent;
    json_t *value;
    json_object_foreach(item, key, value) {
        if (json_is_null(value) || json_is_false(value))
            continue;
        char *text = json_is_string(value) ? mem_strndup(json_string_value(value), json_string_length(value))
                                           : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        for (char *at = text; *at; at++) /* strings of others: nothing that moves the cursor */
            if ((unsigned char)*at < ' ' || *at == 127)
                *at = '?';
        printf("%s%s: %s", gap, key, text);
        if (json_is_string(value))
            mem_free(text);
        else
            free(text);
        gap = " ";
    }
    putchar('\n');
    json_decref(item);
}

void dump_bad(struct dump *dump, const char *format, ...) {
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    char line[512];
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_add_str(&text, line);
    dump->bad++;
    dump_item(dump, "", json_pack("{s:s}", "error", buf_text(&text)));
    buf_deinit(&text);
}

/* ---- batches ------------------------------------------------------------------------------------------------------------- */

static json_t *batch_json(const uint8_t *b, size_t size, int64_t position) {
    json_t *item = json_pack("{s:I,s:I,s:i,s:I,s:I,s:i,s:s,s:i}", "base_offset", (json_int_t)batch_base_offset(b), "last_offset",
                             (json_int_t)batch_last_offset(b), "count", (int)batch_count(b), "position", (json_int_t)position, "size",
                             (json_int_t)size, "magic", 2, "codec", codec_name(batch_codec(b)), "leader_epoch",
                             (int)batch_leader_epoch(b));
    bool horizon = batch_attributes(b) & BATCH_DELETE_HORIZON;
    json_object_set_new(item, horizon ? "delete_horizon" : "base_timestamp", json_integer(batch_base_timestamp(b)));
    json_object_set_new(item, "max_timestamp", json_integer(batch_max_timestamp(b)));
    json_object_set_new(item, "timestamp_type", json_string(batch_attributes(b) & BATCH_APPEND_TIME ? "LogAppendTime" : "CreateTime"));
    if (batch_producer_id(b) >= 0) {
        json_object_set_new(item, "producer_id", json_integer(batch_producer_id(b)));
        json_object_set_new(item, "producer_epoch", json_integer(batch_producer_epoch(b)));
        json_object_set_new(item, "base_sequence", json_integer(batch_base_sequence(b)));
        json_object_set_new(item, "last_sequence", json_integer(batch_last_sequence(b)));
    }
    json_object_set_new(item, "transactional", json_boolean(batch_is_transactional(b)));
    json_object_set_new(item, "control", json_boolean(batch_is_control(b)));
    json_object_set_new(item, "crc", json_integer(batch_crc(b)));
    return item;
}

/* A message of magic 0 or 1; with the records, what a wrapper holds. */
static void dump_old(struct dump *dump, enum record_family family, struct slice bytes, int64_t position, const char *indent) {
    const uint8_t *b = bytes.ptr;
    int magic = batch_magic(b);
    json_t *item = json_pack("{s:I,s:I,s:I,s:i,s:s}", "offset", (json_int_t)batch_base_offset(b), "position", (json_int_t)position, "size",
                             (json_int_t)bytes.size, "magic", magic, "codec", codec_name((enum codec)(b[17] & BATCH_CODEC_MASK)));
    if (magic == 1)
        json_object_set_new(item, "timestamp", json_integer((json_int_t)any_max_timestamp(b)));
    dump_item(dump, indent, item);
    if (!dump->records)
        return;
    char *inner = mem_printf("%s| ", indent);
    struct record record;
    enum err err = old_messages_begin(&dump->old_messages, bytes, OLD_PLAIN_SIZE_MAX);
    while (!err && !(err = old_messages_next(&dump->old_messages, &record)))
        dump_item(dump, inner, record_json(family, &record, false));
    if (err != ERR_NOT_FOUND)
        dump_bad(dump, "position %lld, offset %lld: the messages cannot be read: %s", (long long)position, (long long)batch_base_offset(b),
                 err_text(err));
    mem_free(inner);
}

void dump_batch(struct dump *dump, enum record_family family, struct slice bytes, int64_t position, const char *indent) {
    const uint8_t *b = bytes.ptr;
    if (batch_magic(b) != 2) {
        dump_old(dump, family, bytes, position, indent);
        return;
    }
    json_t *item = batch_json(b, bytes.size, position);
    json_t *records = dump->records ? json_array() : NULL;
    enum err err = ERR_OK;
    if (dump->records) {
        struct record record;
        err = batch_records_begin(&dump->batch_records, b, bytes.size);
        while (!err && !(err = record_next(&dump->batch_records.it, &record))) {
            json_t *json = record_json(family, &record, batch_is_control(b));
            if (dump->bare)
                json_object_del(json, "offset"), json_object_del(json, "timestamp");
            json_array_append_new(records, json);
        }
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    if (dump->json && records)
        json_object_set(item, "records", records);
    if (!dump->json || !dump->bare)
        dump_item(dump, indent, item);
    else
        json_decref(item);
    if (records && (!dump->json || dump->bare)) {
        size_t i;
        json_t *record;
        char *inner = mem_printf("%s| ", indent);
        json_array_foreach(records, i, record)
            dump_item(dump, inner, json_incref(record));
        mem_free(inner);
    }
    json_decref(records);
    if (err)
        dump_bad(dump, "position %lld, offset %lld: the records cannot be read: %s", (long long)position, (long long)batch_base_offset(b),
                 err_text(err));
}

static enum err dump_log(struct dump *dump, enum record_family family) {
    struct file *file;
    enum err err = fs_open(dump->fs, dump->path, FILE_READ, &file);
    if (err)
        return err;
    int64_t size = 0, next_offset = -1;
    err = file_size(file, &size);
    struct segment_scan scan;
    segment_scan_init(&scan, file, 0, dump->bytes_max && dump->bytes_max < size ? dump->bytes_max : size);
    while (!err) {
        err = segment_scan_next(&scan);
        if (err == ERR_CORRUPT && scan.bad_size) {
            dump_bad(dump, "position %lld, offset %lld: wrong CRC or fields in a batch of %lld bytes", (long long)scan.pos,
                     (long long)next_offset, (long long)scan.bad_size);
            scan.pos += (int64_t)scan.bad_size;
            err = ERR_OK;
        } else if (!err) {
            const uint8_t *b = scan.batch;
            dump_batch(dump, family, slice_of(b, scan.batch_size), scan.batch_pos, "");
            next_offset = (batch_magic(b) == 2 ? batch_last_offset(b) : batch_base_offset(b)) + 1;
        }
    }
    if ((err == ERR_CORRUPT || err == ERR_TRUNCATED) && !(err == ERR_TRUNCATED && scan.end < size)) {
        if (tail_is_zero(file, scan.pos, size))
            dump_item(dump, "", json_pack("{s:I,s:I}", "zeros_from", (json_int_t)scan.pos, "size", (json_int_t)(size - scan.pos)));
        else
            dump_bad(dump, "position %lld, offset %lld: %s; %lld bytes are left", (long long)scan.pos, (long long)next_offset,
                     err == ERR_TRUNCATED ? "the file ends inside a batch" : "not a batch", (long long)(size - scan.pos));
    }
    segment_scan_deinit(&scan);
    file_unref(file);
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT || err == ERR_TRUNCATED ? ERR_OK : err;
}

/* ---- files --------------------------------------------------------------------------------------------------------------- */

static enum err dump_small(struct dump *dump, enum log_file_kind kind, int64_t base) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum err err = fs_read_whole(dump->fs, dump->path, kind == LOG_FILE_JOURNAL ? JOURNAL_MAX : SMALL_FILE_MAX, &bytes, &size);
    if (err)
        return err;
    struct slice s = slice_of(bytes, size);
    switch (kind) {
    case LOG_FILE_INDEX:
        dump_index(dump, s, base);
        break;
    case LOG_FILE_TIME_INDEX:
        dump_time_index(dump, s, base);
        break;
    case LOG_FILE_TXN_INDEX:
        dump_txn_index(dump, s);
        break;
    case LOG_FILE_PRODUCERS:
        dump_producers(dump, s);
        break;
    case LOG_FILE_EPOCHS:
    case LOG_FILE_OFFSETS:
        dump_checkpoint(dump, s, kind == LOG_FILE_EPOCHS);
        break;
    case LOG_FILE_PARTITION_METADATA:
        dump_partition_metadata(dump, s);
        break;
    case LOG_FILE_META_PROPERTIES:
        dump_properties(dump, s);
        break;
    case LOG_FILE_CLEAN_MARK:
    case LOG_FILE_QUORUM_STATE:
        dump_quorum_state(dump, s);
        break;
    default:
        dump_journal(dump, s);
    }
    mem_free(bytes);
    return ERR_OK;
}

static enum err dump_path(struct dump *dump, const char *path, bool named, int depth);

static enum err dump_dir(struct dump *dump, const char *path, int depth) {
    struct fs_entry *entries;
    int count;
    enum err err = fs_list(dump->fs, path, &entries, &count);
    if (err)
        return err;
    for (int i = 0; i < count && !err; i++) {
        char *inner = mem_printf("%s/%s", path, entries[i].name);
        if (!entries[i].is_dir || depth == 0)
            err = dump_path(dump, inner, false, depth + 1);
        mem_free(inner);
    }
    fs_list_free(entries, count);
    return err;
}

static enum record_family family_of_path(const struct dump *dump, const char *path, enum log_file_kind kind) {
    if (dump->family_is_set)
        return dump->family;
    if (kind == LOG_FILE_METADATA_SNAPSHOT)
        return RECORDS_OF_METADATA;
    const char *end = strrchr(path, '/'), *begin = end;
    while (begin && begin > path && begin[-1] != '/')
        begin--;
    return begin ? record_family_of(slice_of(begin, (size_t)(end - begin))) : RECORDS_OF_USERS;
}

static enum err dump_path(struct dump *dump, const char *path, bool named, int depth) {
    struct fs_stat stat;
    enum err err = fs_stat(dump->fs, path, &stat);
    if (!err && stat.is_dir)
        return dump_dir(dump, path, depth);
    int64_t base;
    enum log_file_kind kind = log_file_kind(path, &base);
    if (!err && kind == LOG_FILE_OTHER && !named)
        return ERR_OK; /* of no interest in a directory */
    if (!err && kind == LOG_FILE_OTHER)
        return cli_fail("%s: the name tells no kind of file that is known here", path), ERR_INVALID;
    dump->path = path;
    if (!dump->json)
        printf("%s\n", path);
    if (!err && (kind == LOG_FILE_SEGMENT || kind == LOG_FILE_METADATA_SNAPSHOT)) {
        enum record_family family = family_of_path(dump, path, kind);
        bool records = dump->records;
        dump->records = records || kind == LOG_FILE_METADATA_SNAPSHOT;
        err = dump_log(dump, family);
        dump->records = records;
    } else if (!err) {
        err = dump_small(dump, kind, base);
    }
    if (err)
        cli_fail("%s: %s", path, err_text(err));
    return err;
}

int log_dump_run(struct options *options) {
    static const struct {
        const char *option;
        enum record_family family;
    } decoders[] = {
        {"cluster-metadata-decoder", RECORDS_OF_METADATA},
        {"offsets-decoder", RECORDS_OF_GROUPS},
        {"transaction-log-decoder", RECORDS_OF_TRANSACTIONS},
        {"share-group-state-decoder", RECORDS_OF_SHARE_GROUPS},
        {"remote-log-metadata-decoder", RECORDS_OF_REMOTE_STORAGE},
    };
    struct runtime *runtime = cli_runtime();
    struct dump dump = {.fs = runtime_fs(runtime),
                        .json = options_json(options),
                        .records = options_has(options, "records") || options_has(options, "print-data-log") ||
                                   options_has(options, "deep-iteration"),
                        .bare = options_has(options, "skip-record-metadata"),
                        .bytes_max = options_int(options, "max-bytes", 0)};
    for (int i = 0; i < COUNT_OF(decoders); i++)
        if (options_has(options, decoders[i].option)) {
            dump.family_is_set = dump.records = true;
            dump.family = decoders[i].family;
        }
    dump.records = dump.records || dump.bare;
    enum err err = ERR_OK;
    int count = 0;
    for (int i = 0; i < options->argument_count && !err; i++, count++)
        err = dump_path(&dump, options->arguments[i], true, 0);
    const char *list;
    for (int i = 0; !err && (list = options_list(options, "files", i)); i++) /* as Kafka's tool: separated by commas */
        while (!err && *list) {
            size_t size = strcspn(list, ",");
            char *path = mem_strndup(list, size);
            err = dump_path(&dump, path, true, 0);
            mem_free(path);
            list += size + (list[size] == ',');
            count++;
        }
    batch_records_deinit(&dump.batch_records);
    old_messages_deinit(&dump.old_messages);
    runtime_destroy(runtime);
    if (!count)
        return cli_usage(options, "name a FILE or a directory");
    if (fflush(stdout))
        return cli_fail("the output cannot be written");
    return err || dump.bad ? CLI_FAILED : CLI_OK;
}
