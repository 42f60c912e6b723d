/* The only door to the operating system: time, randomness, threads, files, sockets, messages between shards.
 * Two implementations link behind this header: linux/ (io_uring, or epoll with blocking-work threads) and
 * sim/ (everything in one thread, from one seed). Code above cannot tell which one it is on.
 *
 * A shard is one thread with one event loop. Unless a function says otherwise it is called on the thread of
 * the shard it is given, never blocks, and its completion runs on that same shard, in a later turn of the
 * loop and never from inside the call. A turn: deliver messages, timers and completions; run the turn-end
 * hooks; submit I/O; wait. */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include <sys/types.h>
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/slice.h"

struct runtime; /* a process (one node; in sim: one node of several) */
struct shard;
struct fs;
struct file;
struct sock;
struct listener;

/* ---- process ------------------------------------------------------------------------------------------ */

enum runtime_backend { RUNTIME_AUTO, RUNTIME_IO_URING, RUNTIME_EPOLL };

struct runtime_options {
    int shard_count;              /* 1..64; 0: one a core */
    enum runtime_backend backend; /* AUTO: io_uring where the kernel allows it, else epoll */
    int blocking_threads;         /* of the blocking-work pool; 0: 4 */
};

/* linux only (sim nodes are made by sim.h). One line on stderr when the wanted backend is refused. */
enum err runtime_create(const struct runtime_options *options, struct runtime **ret_runtime) MUST_USE;
/* Starts the threads, runs start(shard, arg) first on each shard's loop, and returns after runtime_stop().
 * SIGTERM and SIGINT call on_signal(shard 0, arg) in shard 0's loop; a second one ends the process. */
void runtime_run(struct runtime *runtime, void (*start)(struct shard *shard, void *arg),
                 void (*on_signal)(struct shard *shard, void *arg), void *arg);
void runtime_stop(struct runtime *runtime); /* any thread; what is still queued is dropped */
void runtime_destroy(struct runtime *runtime);
const char *runtime_backend_name(const struct runtime *runtime); /* "io_uring", "epoll", "sim" */

int runtime_shard_count(const struct runtime *runtime);
struct shard *runtime_shard(struct runtime *runtime, int index); /* any thread */
struct fs *runtime_fs(struct runtime *runtime);                  /* any thread */

/* ---- shard -------------------------------------------------------------------------------------------- */

struct runtime *shard_runtime(struct shard *shard); /* any thread */
int shard_index(const struct shard *shard);         /* any thread */
/* What the node hangs on its shard (struct broker_shard). */
void shard_set_user(struct shard *shard, void *user);
void *shard_user(const struct shard *shard);

uint64_t shard_now_ns(const struct shard *shard);  /* monotonic; the start of this turn, so it costs nothing */
uint64_t shard_fresh_ns(struct shard *shard);      /* monotonic; asks the clock now. For measuring latency */
int64_t shard_wall_ms(const struct shard *shard);  /* since 1970; the start of this turn */
uint64_t shard_idle_ns(const struct shard *shard); /* how long it has slept since the start, waiting for something to do */
uint64_t shard_random(struct shard *shard);        /* 64 bits, not for keys */
/* For keys and UUIDs; any thread. The simulator gives seeded bytes. */
void runtime_secure_random(struct runtime *runtime, void *bytes, size_t size);

/* Runs once at the end of each turn in which it was asked for. For group commit, gathered writes, wake-ups. */
struct turn_hook {
    struct list node;
    bool queued; /* zero-initialise */
    void (*run)(struct turn_hook *hook);
};
void shard_at_turn_end(struct shard *shard, struct turn_hook *hook); /* no effect when already queued */
static inline void turn_hook_cancel(struct turn_hook *hook) {
    if (hook->queued)
        list_remove(&hook->node);
    hook->queued = false;
}

/* ---- messages between shards --------------------------------------------------------------------------- */

/* Embedded in the typed message that travels; whoever receives it owns it until it posts it back. Delivery
 * is in order for each sender and never inside shard_post(), even to the own shard. */
struct message {
    struct message *next;
    void (*deliver)(struct shard *shard, struct message *message); /* runs on the receiver */
};
void shard_post(struct shard *to, struct message *message); /* any thread */

/* ---- timers -------------------------------------------------------------------------------------------- */

struct timer { /* zero-initialise; set fire */
    struct heap_node node;
    void (*fire)(struct shard *shard, struct timer *timer);
};
void timer_start(struct shard *shard, struct timer *timer, uint64_t delay_ns); /* restarts a running one */
void timer_stop(struct shard *shard, struct timer *timer);                     /* fine when not running */
static inline bool timer_is_running(const struct timer *timer) {
    return heap_contains(&timer->node);
}
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* ---- blocking work -------------------------------------------------------------------------------------- */

/* run() on a pool thread, where blocking file calls are allowed and nothing of the shard may be touched;
 * then done() on the shard. Both must be set. Works given in the same `lane` (not NULL) run one after the
 * other, in the order given; the lane is only an identity and is not read. */
struct work {
    struct list node;
    struct shard *shard;
    const void *lane;
    void (*run)(struct work *work);
    void (*done)(struct shard *shard, struct work *work);
};
void shard_offload(struct shard *shard, struct work *work);

/* ---- files: blocking calls ------------------------------------------------------------------------------ */
/* Allowed in run() of blocking work, before runtime_run(), and in start(). NOT elsewhere on a loop, but for
 * file_pread() with FILE_NOWAIT. Paths are absolute or relative to the working directory, UTF-8. */

enum file_flags {
    FILE_READ = 1,
    FILE_WRITE = 2,
    FILE_CREATE = 4,    /* make it when missing */
    FILE_EXCLUSIVE = 8, /* with FILE_CREATE: ERR_EXISTS when it is there */
    FILE_DIRECT = 16,   /* O_DIRECT; where the file system refuses it, buffered */
    FILE_DSYNC = 32,    /* a completed write is on the device */
    FILE_TRUNCATE = 64,
};
enum err fs_open(struct fs *fs, const char *path, int flags, struct file **ret_file) MUST_USE;
struct file *file_ref(struct file *file); /* any thread; files are reference counted */
void file_unref(struct file *file);       /* any thread; the last one closes. NULL is fine */
#define FILE_DIRECT_ALIGN 4096 /* position, size and address of direct I/O */

enum { FILE_NOWAIT = 1 }; /* ERR_AGAIN instead of going to the device; may be called on a loop */
/* Reads up to `size`; *ret_count is less only at the end of the file. */
enum err file_pread(struct file *file, void *ptr, size_t size, int64_t pos, int flags, size_t *ret_count) MUST_USE;
enum err file_pwrite(struct file *file, const void *ptr, size_t size, int64_t pos) MUST_USE; /* all of it */
enum err file_sync(struct file *file) MUST_USE;                                             /* fdatasync */
/* Everything that was written to its file system, names too: one call for what many files need. An error may be one of any
 * write since the file was opened, by whomever. ERR_UNSUPPORTED: nothing was done, the system would not tell of errors. */
enum err file_sync_all(struct file *file) MUST_USE;
enum err file_truncate(struct file *file, int64_t size) MUST_USE;
enum err file_reserve(struct file *file, int64_t pos, int64_t size) MUST_USE; /* reserves blocks, keeps the size */
enum err file_size(struct file *file, int64_t *ret_size) MUST_USE;

struct fs_stat {
    int64_t size, mtime_ms;
    bool is_dir;
};
struct fs_entry {
    char *name;
    bool is_dir;
};
enum err fs_stat(struct fs *fs, const char *path, struct fs_stat *ret_stat) MUST_USE; /* ERR_NOT_FOUND */
enum err fs_set_mtime(struct fs *fs, const char *path, int64_t mtime_ms) MUST_USE;
enum err fs_rename(struct fs *fs, const char *from, const char *to) MUST_USE; /* replaces `to` */
enum err fs_unlink(struct fs *fs, const char *path) MUST_USE;
enum err fs_mkdir(struct fs *fs, const char *path) MUST_USE; /* ERR_EXISTS */
enum err fs_rmdir(struct fs *fs, const char *path) MUST_USE;
enum err fs_sync_dir(struct fs *fs, const char *path) MUST_USE;
/* Everything on the file system that holds `path`: one call for what many files need (a clean stop). */
enum err fs_sync_all(struct fs *fs, const char *path) MUST_USE;
/* Sorted by name, without "." and "..". Freed with fs_list_free(). */
enum err fs_list(struct fs *fs, const char *path, struct fs_entry **ret_entries, int *ret_count) MUST_USE;
void fs_list_free(struct fs_entry *entries, int count);
enum err fs_space(struct fs *fs, const char *path, int64_t *ret_total, int64_t *ret_usable) MUST_USE;
/* Whole-file POSIX record lock (as Kafka's .lock); held until the file is closed. ERR_BUSY. Waits for the end of what a
 * killed holder has left to the kernel to write. */
enum err fs_lock(struct fs *fs, const char *path, struct file **ret_file) MUST_USE;
/* Built on the calls above (src/runtime/fs_util.c). */
enum err fs_read_whole(struct fs *fs, const char *path, size_t size_max, uint8_t **ret_bytes, size_t *ret_size) MUST_USE;
/* To `path`.tmp, flushed, renamed over `path`, directory flushed: old or new after a crash, never a mix. */
enum err fs_write_whole(struct fs *fs, const char *path, struct slice bytes) MUST_USE;
enum err fs_remove_tree(struct fs *fs, const char *path) MUST_USE;

/* ---- files: asynchronous ---------------------------------------------------------------------------------- */

enum { FILE_PIECES_MAX = 1024 };
struct file_piece {
    void *ptr;
    size_t size;
};
/* One operation; the caller's memory, kept until done(). A short write is continued inside; a short read
 * means the end of the file. For a FILE_DIRECT file everything is FILE_DIRECT_ALIGN-ed, each piece too. */
struct file_io {
    enum { FILE_IO_READ, FILE_IO_WRITE, FILE_IO_SYNC } op;
    struct file *file; /* the caller keeps a reference */
    void *ptr;
    size_t size;
    struct file_piece *pieces; /* a write gathers these, of `size` bytes in all, instead of ptr; changed by it */
    int piece_count;
    int64_t pos;
    bool dsync; /* this write is on the device when done (RWF_DSYNC) */
    enum err err; /* result */
    size_t count; /* result: bytes */
    void (*done)(struct shard *shard, struct file_io *io);
    struct file_io *private_next; /* the runtime's, as are the next two */
    struct shard *private_shard;
    size_t private_count;
};
void file_io_start(struct shard *shard, struct file_io *io);

/* ---- sockets ------------------------------------------------------------------------------------------------ */

struct listen_options {
    const char *host; /* address or name; "" or NULL: all addresses */
    uint16_t port;    /* 0: a free one */
    int backlog;      /* Kafka's socket.listen.backlog.size */
    int send_buffer, receive_buffer; /* bytes; -1: the system's */
};
/* Listens, and spreads accepted connections over the shards in turn; on_accept runs on the chosen shard.
 * Returns with the port bound but accepts nothing before listener_accept(). Called on shard 0 or before
 * runtime_run(). *ret_text names what is wrong, static storage. */
enum err listener_open(struct runtime *runtime, const struct listen_options *options,
                       void (*on_accept)(struct shard *shard, struct sock *sock, void *arg), void *arg,
                       struct listener **ret_listener) MUST_USE;
uint16_t listener_port(const struct listener *listener);
void listener_accept(struct listener *listener);
/* While paused nothing is accepted (max.connections, rates). Shard 0. */
void listener_pause(struct listener *listener, bool paused);
void listener_close(struct listener *listener);

/* A connection belongs to one shard. At most one receive and one send are in work at a time. */
struct sock_address {
    char text[64]; /* "127.0.0.1" */
    uint16_t port;
};
void sock_set_user(struct sock *sock, void *user);
void *sock_user(const struct sock *sock);
void sock_peer(const struct sock *sock, struct sock_address *ret_address);
/* done() gets what came (1..size bytes; count 0 with ERR_OK: the peer sent all it will). `ptr` is the
 * caller's and kept until done(). */
void sock_recv(struct sock *sock, void *ptr, size_t size, void (*done)(struct sock *sock, enum err err, size_t count));

/* What a send consists of: memory, or a range of a file (sendfile; should be in the page cache). */
struct piece {
    const void *ptr;   /* memory, or NULL: file */
    struct file *file; /* not direct-only: opened with FILE_READ without FILE_DIRECT */
    int64_t pos;
    size_t size;
};
/* Sends all pieces in order; `pieces` and what they name are kept by the caller until done(). A first
 * attempt may be made at once. */
void sock_send(struct sock *sock, const struct piece *pieces, int count, void (*done)(struct sock *sock, enum err err));
/* Bytes of the send in work that the peer has not taken yet. */
size_t sock_send_left(const struct sock *sock);
/* Hands a connection with nothing in work to another shard, where moved() runs in a later turn; until then nobody may
 * touch it. */
void sock_move(struct sock *sock, struct shard *to, void (*moved)(struct sock *sock));
/* The peer sees the end after all that was sent, and receives go on: who closes with bytes unread takes back what the
 * peer has not read yet. Nothing is sent afterwards. */
void sock_finish(struct sock *sock);
/* Cancels what is in work (its done() runs with ERR_CANCELED), closes, frees. closed() comes last. */
void sock_close(struct sock *sock, void (*closed)(struct shard *shard, void *user));
/* An outgoing connection on this shard. On failure sock is NULL. */
void sock_connect(struct shard *shard, const char *host, uint16_t port, void *arg,
                  void (*done)(struct shard *shard, struct sock *sock, enum err err, void *arg));

#endif
