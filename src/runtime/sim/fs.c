/* The file calls on a simulated disk. What blocks happens at once; the time it would have taken is added up for the work
 * that made the calls. Asynchronous operations take effect when they end, or in part when the process dies before. */
#include <stdlib.h>
#include "runtime/sim/internal.h"

enum { NAME_SIZE_MAX = 255 };

/* ---- paths ---------------------------------------------------------------------------------------------------------- */

/* The directory that holds the last name of the path, and that name. */
static enum err walk(struct fs *fs, const char *path, struct inode **ret_dir, const char **ret_name) {
    struct inode *dir = fs->root;
    const char *p = path;
    for (;;) {
        while (*p == '/' || (p[0] == '.' && (p[1] == '/' || !p[1])))
            p++;
        const char *slash = strchr(p, '/');
        if (!slash) {
            *ret_dir = dir;
            *ret_name = p;
            return strlen(p) > NAME_SIZE_MAX ? ERR_INVALID : ERR_OK;
        }
        struct name *name = name_find(dir, p, (size_t)(slash - p));
        if (!name)
            return ERR_NOT_FOUND;
        if (!name->inode->is_dir)
            return ERR_INVALID;
        dir = name->inode;
        p = slash + 1;
    }
}

static enum err find(struct fs *fs, const char *path, struct inode **ret_inode) {
    struct inode *dir;
    const char *text;
    enum err err = walk(fs, path, &dir, &text);
    if (err)
        return err;
    struct name *name = *text ? name_find(dir, text, strlen(text)) : NULL;
    if (*text && !name)
        return ERR_NOT_FOUND;
    *ret_inode = name ? name->inode : dir;
    return ERR_OK;
}

/* An operation that is done whole or, when the process dies in it, perhaps still done. False: leave. */
static bool begin(struct fs *fs, bool flush, enum err *ret_err) {
    bool torn;
    *ret_err = disk_begin(fs, disk_cost(fs, 0, flush), &torn);
    return !*ret_err || torn;
}

static void set_name(struct fs *fs, struct inode *dir, const char *text, struct inode *inode) {
    pending_add(fs, dir, text, NULL, NULL, inode);
    name_set(fs, &dir->names, text, inode);
}

/* ---- open, close ---------------------------------------------------------------------------------------------------- */

enum err fs_open(struct fs *fs, const char *path, int flags, struct file **ret_file) {
    struct inode *dir;
    const char *text;
    enum err err;
    if (!begin(fs, false, &err))
        return err;
    enum err walked = walk(fs, path, &dir, &text);
    if (walked)
        return walked;
    struct name *name = name_find(dir, text, strlen(text));
    struct inode *inode = name ? name->inode : NULL;
    if (!inode && !(flags & FILE_CREATE))
        return ERR_NOT_FOUND;
    if (inode && (flags & FILE_EXCLUSIVE))
        return ERR_EXISTS;
    if (inode && inode->is_dir)
        return ERR_INVALID;
    if (!inode) {
        inode = inode_create(fs, false);
        set_name(fs, dir, text, inode);
        inode_unref(fs, inode); /* the names hold it */
    } else if (flags & FILE_TRUNCATE) {
        inode_truncate(fs, inode, 0);
    }
    if (err)
        return err;
    struct file *file = mem_new(struct file);
    file->refs = 1;
    file->fs = fs;
    file->inode = inode_ref(inode);
    file->direct = (flags & FILE_DIRECT) && fs->direct;
    file->dsync = flags & FILE_DSYNC;
    file->readable = flags & FILE_READ;
    file->writable = flags & FILE_WRITE;
    list_push_back(&fs->files, &file->node);
    *ret_file = file;
    return ERR_OK;
}

struct file *file_ref(struct file *file) {
    file->refs++;
    return file;
}

void file_close(struct file *file) {
    if (file->lock)
        file->inode->locked = false;
    list_remove(&file->node);
    inode_unref(file->fs, file->inode);
    mem_free(file);
}

void file_unref(struct file *file) {
    if (file && --file->refs == 0)
        file_close(file);
}

/* ---- reads and writes ----------------------------------------------------------------------------------------------- */

static void check_aligned(const struct file *file, const void *ptr, size_t size, int64_t pos) {
    check(!file->direct || ((uintptr_t)ptr % FILE_DIRECT_ALIGN == 0 && size % FILE_DIRECT_ALIGN == 0 && pos % FILE_DIRECT_ALIGN == 0),
          "direct I/O of %zu bytes at %lld, memory %zu, is not aligned", size, (long long)pos, (size_t)((uintptr_t)ptr % FILE_DIRECT_ALIGN));
}

static size_t read_now(const struct file *file, void *ptr, size_t size, int64_t pos) {
    int64_t left = file->inode->seen.size - pos;
    size_t count = left <= 0 ? 0 : (size_t)left < size ? (size_t)left : size;
    inode_read(file->inode, ptr, count, pos);
    return count;
}

enum err file_pread(struct file *file, void *ptr, size_t size, int64_t pos, int flags, size_t *ret_count) {
    struct fs *fs = file->fs;
    check(file->readable, "a file is read that was not opened for it");
    if (flags & FILE_NOWAIT) {
        if (sim_chance(fs->sim, fs->cold))
            return ERR_AGAIN;
    } else {
        bool torn;
        enum err err = disk_begin(fs, disk_cost(fs, size, false), &torn);
        if (err)
            return err;
        check_aligned(file, ptr, size, pos);
    }
    *ret_count = read_now(file, ptr, size, pos);
    return ERR_OK;
}

/* The first sectors of a write that the end of the process cut short. */
static void write_front(struct file *file, const void *ptr, size_t size, int64_t pos) {
    size_t count = (size_t)sim_below(file->fs->sim, size / SECTOR + 1) * SECTOR;
    if (count && inode_write(file->fs, file->inode, ptr, count, pos) == ERR_OK && file->dsync && sim_chance(file->fs->sim, 2))
        inode_flush_range(file->inode, pos, (int64_t)count);
}

enum err file_pwrite(struct file *file, const void *ptr, size_t size, int64_t pos) {
    bool torn;
    enum err err = disk_begin(file->fs, disk_cost(file->fs, size, file->dsync), &torn);
    check(file->writable, "a file is written that was not opened for it");
    check_aligned(file, ptr, size, pos);
    if (torn)
        write_front(file, ptr, size, pos);
    if (err)
        return err;
    err = inode_write(file->fs, file->inode, ptr, size, pos);
    if (!err && file->dsync)
        inode_flush_range(file->inode, pos, (int64_t)size);
    return err;
}

enum err file_sync(struct file *file) {
    enum err err;
    if (begin(file->fs, true, &err))
        inode_flush(file->inode);
    return err;
}

static void flush_tree(struct inode *dir) {
    map_each(node, &dir->names) {
        struct inode *inode = container_of(node, struct name, node)->inode;
        if (inode->is_dir)
            flush_tree(inode);
        else
            inode_flush(inode);
    }
}

static void flush_all(struct fs *fs) {
    flush_tree(fs->root);
    pending_flush_all(fs);
}

enum err file_sync_all(struct file *file) {
    enum err err;
    if (!file->fs->direct)
        return ERR_UNSUPPORTED;
    if (begin(file->fs, true, &err))
        flush_all(file->fs);
    return err;
}

enum err file_truncate(struct file *file, int64_t size) {
    enum err err;
    check(file->writable, "a file is cut that was not opened for writing");
    if (begin(file->fs, false, &err))
        inode_truncate(file->fs, file->inode, size);
    return err;
}

enum err file_reserve(struct file *file, int64_t pos, int64_t size) {
    enum err err;
    if (begin(file->fs, false, &err) && !err)
        err = inode_reserve(file->fs, file->inode, pos + size);
    return err;
}

enum err file_size(struct file *file, int64_t *ret_size) {
    *ret_size = file->inode->seen.size;
    return file->fs->dead ? ERR_IO : ERR_OK;
}

/* ---- names ---------------------------------------------------------------------------------------------------------- */

enum err fs_stat(struct fs *fs, const char *path, struct fs_stat *ret_stat) {
    struct inode *inode;
    enum err err;
    if (!begin(fs, false, &err) || err)
        return err;
    err = find(fs, path, &inode);
    if (!err)
        *ret_stat = (struct fs_stat){inode->seen.size, inode->mtime_ms, inode->is_dir};
    return err;
}

enum err fs_set_mtime(struct fs *fs, const char *path, int64_t mtime_ms) {
    struct inode *inode;
    enum err err = find(fs, path, &inode);
    if (!err)
        inode->mtime_ms = mtime_ms;
    return err;
}

enum err fs_rename(struct fs *fs, const char *from, const char *to) {
    struct inode *from_dir, *to_dir;
    const char *from_text, *to_text;
    enum err err;
    if (!begin(fs, false, &err))
        return err;
    enum err walked = walk(fs, from, &from_dir, &from_text);
    if (!walked)
        walked = walk(fs, to, &to_dir, &to_text);
    if (walked)
        return walked;
    struct name *name = name_find(from_dir, from_text, strlen(from_text));
    if (!name)
        return ERR_NOT_FOUND;
    struct name *there = name_find(to_dir, to_text, strlen(to_text));
    if (there && there->inode->is_dir && there->inode->names.count)
        return ERR_EXISTS;
    struct inode *inode = inode_ref(name->inode);
    pending_add(fs, from_dir, from_text, to_dir, to_text, inode);
    name_set(fs, &from_dir->names, from_text, NULL);
    name_set(fs, &to_dir->names, to_text, inode);
    inode_unref(fs, inode);
    return err;
}

static enum err remove_name(struct fs *fs, const char *path, bool is_dir) {
    struct inode *dir;
    const char *text;
    enum err err;
    if (!begin(fs, false, &err))
        return err;
    enum err walked = walk(fs, path, &dir, &text);
    if (walked)
        return walked;
    struct name *name = name_find(dir, text, strlen(text));
    if (!name)
        return ERR_NOT_FOUND;
    if (name->inode->is_dir != is_dir || (is_dir && name->inode->names.count))
        return ERR_IO;
    set_name(fs, dir, text, NULL);
    return err;
}

enum err fs_unlink(struct fs *fs, const char *path) {
    return remove_name(fs, path, false);
}

enum err fs_rmdir(struct fs *fs, const char *path) {
    return remove_name(fs, path, true);
}

enum err fs_mkdir(struct fs *fs, const char *path) {
    struct inode *dir;
    const char *text;
    enum err err;
    if (!begin(fs, false, &err))
        return err;
    enum err walked = walk(fs, path, &dir, &text);
    if (walked)
        return walked;
    if (!*text || name_find(dir, text, strlen(text)))
        return ERR_EXISTS;
    struct inode *inode = inode_create(fs, true);
    set_name(fs, dir, text, inode);
    inode_unref(fs, inode);
    return err;
}

enum err fs_sync_all(struct fs *fs, const char *path) {
    struct inode *inode;
    enum err err;
    if (!begin(fs, true, &err))
        return err;
    enum err found = find(fs, path, &inode);
    if (found)
        return found;
    flush_all(fs);
    return err;
}

enum err fs_sync_dir(struct fs *fs, const char *path) {
    struct inode *inode;
    enum err err;
    if (!begin(fs, true, &err))
        return err;
    enum err found = find(fs, path, &inode);
    if (found)
        return found;
    pending_flush(fs, inode);
    return err;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct fs_entry *)a)->name, ((const struct fs_entry *)b)->name);
}

enum err fs_list(struct fs *fs, const char *path, struct fs_entry **ret_entries, int *ret_count) {
    struct inode *inode;
    enum err err;
    if (!begin(fs, false, &err) || err)
        return err;
    err = find(fs, path, &inode);
    if (err)
        return err;
    if (!inode->is_dir)
        return ERR_INVALID;
    int count = 0;
    struct fs_entry *entries = mem_alloc(sizeof *entries * (size_t)(inode->names.count + 1));
    map_each(node, &inode->names) {
        struct name *name = container_of(node, struct name, node);
        entries[count++] = (struct fs_entry){mem_strdup(name->text), name->inode->is_dir};
    }
    qsort(entries, (size_t)count, sizeof *entries, by_name);
    *ret_entries = entries;
    *ret_count = count;
    return ERR_OK;
}

void fs_list_free(struct fs_entry *entries, int count) {
    for (int i = 0; i < count; i++)
        mem_free(entries[i].name);
    mem_free(entries);
}

enum err fs_space(struct fs *fs, const char *path, int64_t *ret_total, int64_t *ret_usable) {
    struct inode *inode;
    enum err err = find(fs, path, &inode);
    if (err)
        return err;
    *ret_total = fs->capacity;
    *ret_usable = fs->capacity > fs->used ? fs->capacity - fs->used : 0;
    return ERR_OK;
}

enum err fs_lock(struct fs *fs, const char *path, struct file **ret_file) {
    struct file *file;
    enum err err = fs_open(fs, path, FILE_READ | FILE_WRITE | FILE_CREATE, &file);
    if (err)
        return err;
    if (file->inode->locked) {
        file_unref(file);
        return ERR_BUSY;
    }
    file->inode->locked = file->lock = true;
    *ret_file = file;
    return ERR_OK;
}

/* ---- asynchronous --------------------------------------------------------------------------------------------------- */

struct io_job {
    struct event event;
    struct list node; /* runtime->ios */
    struct file_io *io;
    struct file *file;
    uint8_t *copy; /* of what is to be written, when the device took it at once */
};

static uint8_t *gather(const struct file_io *io) { /* mem_free() it */
    uint8_t *bytes = mem_alloc(io->size), *p = bytes;
    if (!io->pieces)
        return memcpy(bytes, io->ptr, io->size);
    for (int i = 0; i < io->piece_count; p += io->pieces[i++].size)
        memcpy(p, io->pieces[i].ptr, io->pieces[i].size);
    check(p == bytes + io->size, "pieces of %zu bytes for a write of %zu", (size_t)(p - bytes), io->size);
    return bytes;
}

static void io_free(struct io_job *job) {
    list_remove(&job->node);
    mem_free(job->copy);
    mem_free(job);
}

static enum err io_write(struct file *file, const struct file_io *io, const void *bytes, size_t size) {
    enum err err = inode_write(file->fs, file->inode, bytes, size, io->pos);
    if (!err && (io->dsync || file->dsync))
        inode_flush_range(file->inode, io->pos, (int64_t)size);
    return err;
}

static void io_run(struct event *event) {
    struct io_job *job = container_of(event, struct io_job, event);
    struct file_io *io = job->io;
    struct file *file = job->file;
    bool torn;
    io->err = disk_begin(file->fs, 0, &torn);
    if (file->fs->dead)
        return; /* the process is gone: io_forget() says what becomes of it */
    io->count = 0;
    if (!io->err && io->op == FILE_IO_WRITE) {
        if (!job->copy)
            job->copy = gather(io);
        io->err = io_write(file, io, job->copy, io->size);
        io->count = io->err ? 0 : io->size;
    } else if (!io->err && io->op == FILE_IO_READ) {
        io->count = read_now(file, io->ptr, io->size, io->pos);
    } else if (!io->err) {
        inode_flush(file->inode);
    }
    struct shard *shard = io->private_shard;
    io_free(job);
    shard_enter(shard);
    io->done(shard, io);
    shard_leave(shard);
}

void io_start(struct shard *shard, struct file_io *io) {
    struct sim *sim = shard->runtime->sim;
    struct fs *fs = io->file->fs;
    struct io_job *job = mem_new(struct io_job);
    job->event = (struct event){.kind = EVENT_IO, .owner = shard->runtime, .run = io_run};
    job->io = io;
    job->file = io->file;
    for (int i = 0; i < io->piece_count; i++)
        check_aligned(io->file, io->pieces[i].ptr, io->pieces[i].size, io->pos);
    if (io->op != FILE_IO_SYNC && !io->pieces)
        check_aligned(io->file, io->ptr, io->size, io->pos);
    /* The device reads the memory at some time between start and end: here, at one of the two. */
    if (io->op == FILE_IO_WRITE && sim_chance(sim, 2))
        job->copy = gather(io);
    list_push_back(&shard->runtime->ios, &job->node);
    bool flush = io->op == FILE_IO_SYNC || (io->op == FILE_IO_WRITE && (io->dsync || io->file->dsync));
    event_schedule(sim, &job->event, disk_cost(fs, io->size, flush));
}

void io_forget(struct runtime *node) {
    while (!list_is_empty(&node->ios)) {
        struct io_job *job = list_entry(node->ios.next, struct io_job, node);
        struct sim *sim = node->sim;
        struct file_io *io = job->io;
        event_cancel(sim, &job->event);
        if (io->op == FILE_IO_WRITE && !sim_chance(sim, 3)) {
            if (!job->copy)
                job->copy = gather(io);
            if (sim_chance(sim, 2))
                (void)!io_write(job->file, io, job->copy, io->size);
            else
                write_front(job->file, job->copy, io->size, io->pos);
        }
        io_free(job);
    }
}
