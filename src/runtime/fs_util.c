/* File helpers built on the seam alone, the same for every runtime. */
#include <stdio.h>
#include "base/mem.h"
#include "runtime/runtime.h"

enum err fs_read_whole(struct fs *fs, const char *path, size_t size_max, uint8_t **ret_bytes, size_t *ret_size) {
    struct file *file;
    enum err err = fs_open(fs, path, FILE_READ, &file);
    if (err)
        return err;
    uint8_t *bytes = NULL;
    int64_t size;
    size_t count;
    if ((err = file_size(file, &size)))
        goto out;
    if (size < 0 || (uint64_t)size > size_max) {
        err = ERR_TOO_LARGE;
        goto out;
    }
    if (!(bytes = mem_try_alloc((size_t)size + 1))) {
        err = ERR_NO_MEMORY;
        goto out;
    }
    if ((err = file_pread(file, bytes, (size_t)size, 0, 0, &count)))
        goto out;
    bytes[count] = '\0'; /* text files are read as C strings */
    *ret_bytes = bytes;
    *ret_size = count;
    bytes = NULL;
out:
    mem_free(bytes);
    file_unref(file);
    return err;
}

static enum err sync_parent(struct fs *fs, const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return fs_sync_dir(fs, ".");
    char *parent = mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    enum err err = fs_sync_dir(fs, parent);
    mem_free(parent);
    return err;
}

enum err fs_write_whole(struct fs *fs, const char *path, struct slice bytes) {
    char *tmp = mem_printf("%s.tmp", path);
    struct file *file = NULL;
    enum err err = fs_open(fs, tmp, FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &file);
    if (!err && bytes.size)
        err = file_pwrite(file, bytes.ptr, bytes.size, 0);
    if (!err)
        err = file_sync(file);
    file_unref(file);
    if (!err)
        err = fs_rename(fs, tmp, path);
    if (!err)
        err = sync_parent(fs, path);
    mem_free(tmp);
    return err;
}

enum err fs_remove_tree(struct fs *fs, const char *path) {
    struct fs_entry *entries;
    int count;
    enum err err = fs_list(fs, path, &entries, &count);
    if (err)
        return err;
    for (int i = 0; i < count && !err; i++) {
        char *child = mem_printf("%s/%s", path, entries[i].name);
        err = entries[i].is_dir ? fs_remove_tree(fs, child) : fs_unlink(fs, child);
        mem_free(child);
    }
    fs_list_free(entries, count);
    return err ? err : fs_rmdir(fs, path);
}
