/* The linux runtime's own: what loop.c, net.c, fs.c, offload.c and the two backends share. */
#ifndef RUNTIME_LINUX_INTERNAL_H
#define RUNTIME_LINUX_INTERNAL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include "base/check.h"
#include "base/mem.h"
#include "runtime/runtime.h"

/* Readiness of a descriptor that is not a sock: wake-ups, signals, listeners. Stays armed until unwatched. */
struct watch {
    int fd;
    bool armed;
    void (*ready)(struct shard *shard, struct watch *watch);
};

struct sock {
    struct shard *shard;
    struct list node;     /* shard->socks */
    struct list deferred; /* shard->deferred, when something is to be told in the next turn */
    int fd;
    void *user;
    struct sockaddr_storage peer;

    uint8_t *recv_ptr;
    size_t recv_size;
    void (*recv_done)(struct sock *sock, enum err err, size_t count);
    bool recv_in_kernel; /* the backend holds recv_ptr */

    const struct piece *send_pieces;
    int send_count, send_index;
    size_t send_offset; /* within send_pieces[send_index] */
    void (*send_done)(struct sock *sock, enum err err);
    enum err send_err;
    bool send_finished;   /* tell send_done */
    bool write_in_kernel; /* the backend waits until it can be written */

    void (*connect_done)(struct shard *shard, struct sock *sock, enum err err, void *arg);
    void *connect_arg;

    struct message move; /* old shard -> new shard */
    void (*moved)(struct sock *sock);

    bool closing;
    void (*closed)(struct shard *shard, void *user);

    bool registered, readable; /* epoll only */
};

struct backend {
    const char *name;
    enum err (*init)(struct shard *shard);
    void (*deinit)(struct shard *shard);
    /* Submits, waits for at most timeout_ns (-1: no limit) unless something is ready, and dispatches. */
    void (*wait)(struct shard *shard, int64_t timeout_ns);
    void (*watch)(struct shard *shard, struct watch *watch);
    void (*unwatch)(struct shard *shard, struct watch *watch);
    void (*file_io)(struct shard *shard, struct file_io *io);
    void (*recv)(struct sock *sock);       /* ends in sock_recv_finished() */
    void (*wait_write)(struct sock *sock); /* ends in sock_writable() */
    void (*cancel)(struct sock *sock);     /* makes what it holds end soon; may end it at once */
    void (*forget)(struct sock *sock);     /* before its descriptor is closed, or moves */
};
extern const struct backend backend_uring, backend_epoll;

struct shard {
    struct runtime *runtime;
    int index;
    void *user;
    pthread_t thread;
    uint64_t now_ns;
    int64_t wall_ms;
    uint64_t sleep_ns, idle_ns; /* when it went to sleep, 0: it did not; all its sleep */
    uint64_t random[4];
    struct heap timers;
    struct list turn_hooks, deferred, socks;

    _Alignas(64) _Atomic(struct message *) inbox; /* newest first */
    atomic_bool sleeping;                         /* a poster must wake it */
    struct watch wake;

    void *backend_state;
};

struct runtime {
    const struct backend *backend;
    struct fs *fs;
    int shard_count;
    struct shard *shards;
    atomic_bool stopping;
    void (*start)(struct shard *shard, void *arg);
    void (*on_signal)(struct shard *shard, void *arg);
    void *arg;
    struct watch signals;
    struct listener *closed_listeners; /* of shard 0 */
    struct offload *offload;
    pthread_barrier_t started;
    atomic_uint next_shard; /* of accepted connections */
};

/* loop.c */
void shard_defer(struct sock *sock);
void shard_update_clock(struct shard *shard);

/* net.c */
void sock_recv_finished(struct sock *sock, ssize_t result); /* bytes, or -errno */
void sock_writable(struct sock *sock);
void sock_deferred(struct sock *sock);
void sock_destroy(struct sock *sock);
void listeners_free(struct runtime *runtime);

/* fs.c */
struct file {
    atomic_int refs;
    int fd;
    bool direct;
    struct fs *guarded; /* a lock with a guard; NULL: none */
    int guard;
};
struct fs *fs_create(void);
/* A killed process is gone, and its record locks with it, before the kernel has ended the writes of its rings. So a lock has
 * a guard: the directory of the lock file, under flock(), which every ring holds too until the last of its writes has ended.
 * Who locks next waits for it. Changes before the shards run and after them alone. */
enum { GUARDS_MAX = 64 };
const int *fs_guards(const struct fs *fs, int *ret_count);
void fs_destroy(struct fs *fs);
ssize_t file_io_blocking(struct file_io *io); /* one attempt: bytes or -errno */

/* Continues a short transfer or ends the operation; true when io->done is due. */
bool file_io_advance(struct file_io *io, ssize_t result);

/* offload.c */
struct offload *offload_create(int threads);
void offload_destroy(struct offload *offload); /* runs what is queued, joins */
void offload_add(struct offload *offload, struct work *work);
void offload_deliver(struct shard *shard, struct work *work); /* loop.c: done() on the shard */

#endif
