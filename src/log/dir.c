/* The directory of a partition: its name, its partition.metadata, and what becomes of directories that are nobody's.
 *
 * A directory that the cluster does not know, or that belongs to an earlier topic of the name, is what a crash leaves
 * between the deletion of a topic and that of its files. It is renamed to `-stray` and kept, as Kafka does. */
#include "base/trace.h"
#include "log/checkpoint.h"
#include "log/internal.h"

static enum err sync_above(struct fs *fs, const char *path) {
    char *above = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    enum err err = fs_sync_dir(fs, above);
    mem_free(above);
    return err;
}

char *log_dir_renamed(struct runtime *runtime, const char *path, const char *suffix) {
    struct uuid random;
    runtime_secure_random(runtime, &random, sizeof random);
    char hex[33];
    uuid_hex(random, hex);
    /* Kafka caps the name at 255 bytes by cutting the topic's part. */
    const char *slash = strrchr(path, '/');
    int name_max = 255 - 33 - 1 - (int)strlen(suffix);
    return mem_printf("%.*s/%.*s.%s-%s", (int)(slash - path), path, name_max, slash + 1, hex, suffix);
}

static enum err log_dir_set_aside(struct runtime *runtime, const char *path) {
    struct fs *fs = runtime_fs(runtime);
    char *to = log_dir_renamed(runtime, path, "stray");
    trace_warn("log", "directory of no topic is set aside", TRACE_STR("dir", path), TRACE_STR("to", to));
    enum err err = fs_rename(fs, path, to);
    if (!err)
        err = sync_above(fs, path);
    mem_free(to);
    return err;
}

static enum err write_metadata(struct fs *fs, const char *file_path, struct uuid topic_id) {
    struct buf text = {0};
    struct file *file;
    partition_metadata_format(topic_id, &text);
    enum err err = fs_open(fs, file_path, FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &file);
    if (!err) {
        err = file_pwrite(file, text.ptr, text.size, 0);
        file_unref(file);
    }
    buf_deinit(&text);
    return err;
}

enum err log_make_dir(struct runtime *runtime, const char *path, struct uuid topic_id, bool set_aside, bool *ret_new) {
    struct fs *fs = runtime_fs(runtime);
    enum err err = fs_mkdir(fs, path);
    if (err && err != ERR_EXISTS)
        return err;
    char *file_path = mem_printf("%s/" PARTITION_METADATA, path);
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct uuid id;
    err = fs_read_whole(fs, file_path, 65536, &bytes, &size);
    bool torn = !err && partition_metadata_parse(slice_of(bytes, size), &id);
    if (torn) /* it is flushed before the first segment is written: there was no data yet, or the journal has it */
        trace_warn("log", "partition.metadata is unreadable and made anew", TRACE_STR("dir", path));
    *ret_new = true;
    if (err == ERR_NOT_FOUND || torn) {
        err = write_metadata(fs, file_path, topic_id);
    } else if (!err && !uuid_eq(id, topic_id)) {
        err = set_aside ? log_dir_set_aside(runtime, path) : ERR_INCONSISTENT_TOPIC_ID;
        if (!err)
            err = fs_mkdir(fs, path);
        if (!err)
            err = write_metadata(fs, file_path, topic_id);
    } else {
        *ret_new = false;
    }
    mem_free(bytes);
    mem_free(file_path);
    return err;
}

enum err log_sync_names(struct fs *fs, const char *path) {
    struct file *file;
    char *metadata = mem_printf("%s/" PARTITION_METADATA, path);
    enum err err = fs_open(fs, metadata, FILE_READ, &file);
    mem_free(metadata);
    if (!err) {
        err = file_sync(file);
        file_unref(file);
    }
    if (!err)
        err = fs_sync_dir(fs, path);
    return err ? err : sync_above(fs, path);
}
