/* Files and directories by system calls. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include "runtime/linux/internal.h"

enum { GUARD_WAIT_MS = 5, GUARD_TRIES = 12000 }; /* a minute: a device may take long */

struct fs {
    int guards[GUARDS_MAX], guard_count;
};

const int *fs_guards(const struct fs *fs, int *ret_count) {
    *ret_count = fs->guard_count;
    return fs->guards;
}

struct fs *fs_create(void) {
    return mem_new(struct fs);
}

void fs_destroy(struct fs *fs) {
    mem_free(fs);
}

static struct file *file_of(int fd, bool direct) {
    struct file *file = mem_new(struct file);
    file->refs = 1;
    file->fd = fd;
    file->direct = direct;
    return file;
}

enum err fs_open(struct fs *fs, const char *path, int flags, struct file **ret_file) {
    (void)fs;
    int mode = (flags & FILE_WRITE) ? (flags & FILE_READ) ? O_RDWR : O_WRONLY : O_RDONLY;
    mode |= O_CLOEXEC | ((flags & FILE_CREATE) ? O_CREAT : 0) | ((flags & FILE_EXCLUSIVE) ? O_EXCL : 0) |
            ((flags & FILE_TRUNCATE) ? O_TRUNC : 0) | ((flags & FILE_DSYNC) ? O_DSYNC : 0);
    bool direct = flags & FILE_DIRECT;
    int fd = open(path, mode | (direct ? O_DIRECT : 0), 0644);
    if (fd < 0 && direct && errno == EINVAL) { /* tmpfs and the like */
        direct = false;
        fd = open(path, mode & ~O_EXCL, 0644); /* the first try may have made it */
    }
    if (fd < 0)
        return err_from_errno(errno);
    *ret_file = file_of(fd, direct);
    return ERR_OK;
}

struct file *file_ref(struct file *file) {
    atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    return file;
}

static void drop_guard(struct fs *fs, int guard) {
    for (int i = 0; i < fs->guard_count; i++)
        if (fs->guards[i] == guard)
            fs->guards[i--] = fs->guards[--fs->guard_count];
    close(guard);
}

void file_unref(struct file *file) {
    if (!file || atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (file->guarded)
        drop_guard(file->guarded, file->guard);
    close(file->fd);
    mem_free(file);
}

enum err file_pread(struct file *file, void *ptr, size_t size, int64_t pos, int flags, size_t *ret_count) {
    size_t count = 0;
    while (count < size) {
        struct iovec iov = {(uint8_t *)ptr + count, size - count};
        ssize_t n = preadv2(file->fd, &iov, 1, pos + (int64_t)count, (flags & FILE_NOWAIT) ? RWF_NOWAIT : 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EOPNOTSUPP && (flags & FILE_NOWAIT))
            return ERR_AGAIN;
        if (n < 0)
            return err_from_errno(errno);
        if (n == 0)
            break;
        count += (size_t)n;
    }
    *ret_count = count;
    return ERR_OK;
}

enum err file_pwrite(struct file *file, const void *ptr, size_t size, int64_t pos) {
    for (size_t count = 0; count < size;) {
        ssize_t n = pwrite(file->fd, (const uint8_t *)ptr + count, size - count, pos + (int64_t)count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        count += (size_t)n;
    }
    return ERR_OK;
}

static enum err result_of(int result) {
    return result < 0 ? err_from_errno(errno) : ERR_OK;
}

enum err file_sync(struct file *file) {
    return result_of(fdatasync(file->fd));
}

/* syncfs() tells of writes that failed since Linux 5.8, where the file system itself keeps count of them: overlayfs, for one,
 * knows nothing of those of the file system below it. */
static bool syncfs_tells(int fd) {
    enum { EXT4 = 0xef53, XFS = 0x58465342 };
    struct utsname system;
    struct statfs st;
    int major = 0, minor = 0;
    if (uname(&system) < 0 || sscanf(system.release, "%d.%d", &major, &minor) != 2 || fstatfs(fd, &st) < 0)
        return false;
    return (major > 5 || (major == 5 && minor >= 8)) && (st.f_type == EXT4 || st.f_type == XFS);
}

/* The second call is for the device: ext4 without a journal writes inodes behind the flush of syncfs(), XFS flushes nothing when
 * its log is clean. It also tells of a journal that failed, which syncfs() did not before Linux 5.17. */
enum err file_sync_all(struct file *file) {
    if (!syncfs_tells(file->fd))
        return ERR_UNSUPPORTED;
    enum err err = result_of(syncfs(file->fd));
    return err ? err : file_sync(file);
}

enum err file_truncate(struct file *file, int64_t size) {
    return result_of(ftruncate(file->fd, size));
}

enum err file_reserve(struct file *file, int64_t pos, int64_t size) {
    if (fallocate(file->fd, FALLOC_FL_KEEP_SIZE, pos, size) < 0 && errno != EOPNOTSUPP)
        return err_from_errno(errno);
    return ERR_OK;
}

enum err file_size(struct file *file, int64_t *ret_size) {
    struct stat st;
    if (fstat(file->fd, &st) < 0)
        return err_from_errno(errno);
    *ret_size = st.st_size;
    return ERR_OK;
}

enum err fs_stat(struct fs *fs, const char *path, struct fs_stat *ret_stat) {
    (void)fs;
    struct stat st;
    if (stat(path, &st) < 0)
        return err_from_errno(errno);
    *ret_stat = (struct fs_stat){.size = st.st_size,
                                 .mtime_ms = st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000,
                                 .is_dir = S_ISDIR(st.st_mode)};
    return ERR_OK;
}

enum err fs_set_mtime(struct fs *fs, const char *path, int64_t mtime_ms) {
    (void)fs;
    struct timespec when = {.tv_sec = mtime_ms / 1000, .tv_nsec = mtime_ms % 1000 * 1000000};
    struct timespec times[2] = {when, when};
    return result_of(utimensat(AT_FDCWD, path, times, 0));
}

enum err fs_rename(struct fs *fs, const char *from, const char *to) {
    (void)fs;
    return result_of(rename(from, to));
}

enum err fs_unlink(struct fs *fs, const char *path) {
    (void)fs;
    return result_of(unlink(path));
}

enum err fs_mkdir(struct fs *fs, const char *path) {
    (void)fs;
    return result_of(mkdir(path, 0755));
}

enum err fs_rmdir(struct fs *fs, const char *path) {
    (void)fs;
    return result_of(rmdir(path));
}

static enum err sync_dir_by(const char *path, int (*sync_fd)(int fd)) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_from_errno(errno);
    enum err err = result_of(sync_fd(fd));
    close(fd);
    return err;
}

enum err fs_sync_dir(struct fs *fs, const char *path) {
    (void)fs;
    return sync_dir_by(path, fsync);
}

enum err fs_sync_all(struct fs *fs, const char *path) {
    (void)fs;
    return sync_dir_by(path, syncfs);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct fs_entry *)a)->name, ((const struct fs_entry *)b)->name);
}

enum err fs_list(struct fs *fs, const char *path, struct fs_entry **ret_entries, int *ret_count) {
    DIR *dir = opendir(path);
    if (!dir)
        return err_from_errno(errno);
    struct fs_entry *entries = NULL;
    int count = 0, capacity = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            entries = mem_realloc(entries, sizeof *entries * (size_t)capacity);
        }
        bool is_dir = entry->d_type == DT_DIR;
        if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) {
            char *full = mem_printf("%s/%s", path, entry->d_name);
            struct fs_stat st;
            is_dir = fs_stat(fs, full, &st) == ERR_OK && st.is_dir;
            mem_free(full);
        }
        entries[count++] = (struct fs_entry){mem_strdup(entry->d_name), is_dir};
    }
    closedir(dir);
    if (count)
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
    (void)fs;
    struct statvfs st;
    if (statvfs(path, &st) < 0)
        return err_from_errno(errno);
    *ret_total = (int64_t)(st.f_blocks * st.f_frsize);
    *ret_usable = (int64_t)(st.f_bavail * st.f_frsize);
    return ERR_OK;
}

/* Where the file system knows no flock() of a directory there is no guard. */
static enum err take_guard(struct fs *fs, const char *path, struct file *lock) {
    const char *slash = strrchr(path, '/');
    char *dir = slash ? mem_strndup(path, (size_t)(slash - path) + 1) : mem_strdup(".");
    int guard = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed = 0;
    mem_free(dir);
    if (guard < 0)
        return ERR_OK;
    for (int tries = 0; flock(guard, LOCK_EX | LOCK_NB) < 0; tries++) {
        failed = errno;
        if (failed != EWOULDBLOCK || tries == GUARD_TRIES)
            break;
        failed = 0;
        nanosleep(&(struct timespec){.tv_nsec = GUARD_WAIT_MS * 1000000}, NULL);
    }
    if (failed || fs->guard_count == GUARDS_MAX) {
        close(guard);
        return failed == EWOULDBLOCK ? ERR_BUSY : ERR_OK;
    }
    fs->guards[fs->guard_count++] = guard;
    lock->guarded = fs;
    lock->guard = guard;
    return ERR_OK;
}

enum err fs_lock(struct fs *fs, const char *path, struct file **ret_file) {
    enum err err = fs_open(fs, path, FILE_READ | FILE_WRITE | FILE_CREATE, ret_file);
    if (err)
        return err;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl((*ret_file)->fd, F_SETLK, &lock) == 0)
        err = take_guard(fs, path, *ret_file);
    else
        err = errno == EACCES || errno == EAGAIN ? ERR_BUSY : err_from_errno(errno);
    if (!err)
        return ERR_OK;
    file_unref(*ret_file);
    *ret_file = NULL;
    return err;
}

/* Pieces are handed to the kernel as they are. */
_Static_assert(sizeof(struct file_piece) == sizeof(struct iovec) && offsetof(struct file_piece, ptr) == offsetof(struct iovec, iov_base) &&
                   offsetof(struct file_piece, size) == offsetof(struct iovec, iov_len),
               "a piece is an iovec");
_Static_assert(FILE_PIECES_MAX <= IOV_MAX, "pieces of one call");

ssize_t file_io_blocking(struct file_io *io) {
    struct iovec whole = {(uint8_t *)io->ptr + io->private_count, io->size - io->private_count};
    struct iovec *iov = io->pieces ? (struct iovec *)io->pieces : &whole;
    int count = io->pieces ? io->piece_count : 1;
    off_t pos = io->pos + (off_t)io->private_count;
    ssize_t n;
    do {
        if (io->op == FILE_IO_READ)
            n = preadv(io->file->fd, &whole, 1, pos);
        else if (io->op == FILE_IO_WRITE)
            n = pwritev2(io->file->fd, iov, count, pos, io->dsync ? RWF_DSYNC : 0);
        else
            n = fdatasync(io->file->fd);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static void skip_pieces(struct file_io *io, size_t count) {
    while (count) {
        size_t part = count < io->pieces->size ? count : io->pieces->size;
        io->pieces->ptr = (uint8_t *)io->pieces->ptr + part;
        io->pieces->size -= part;
        count -= part;
        if (!io->pieces->size) {
            io->pieces++;
            io->piece_count--;
        }
    }
}

bool file_io_advance(struct file_io *io, ssize_t result) {
    if (result == -EINTR || result == -EAGAIN)
        return false;
    io->err = result < 0 ? err_from_errno((int)-result) : ERR_OK;
    if (result > 0)
        io->private_count += (size_t)result;
    if (result > 0 && io->pieces)
        skip_pieces(io, (size_t)result);
    io->count = io->private_count;
    if (io->op == FILE_IO_WRITE && result == 0 && io->private_count < io->size)
        io->err = ERR_IO; /* it would never end */
    if (io->err || io->op == FILE_IO_SYNC || result == 0)
        return true;
    /* A direct read that ends inside a block is at the file's end; asking for the rest would be misaligned. */
    if (io->op == FILE_IO_READ && io->file->direct && io->private_count % FILE_DIRECT_ALIGN)
        return true;
    return io->private_count == io->size;
}
