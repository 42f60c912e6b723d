/* The io_uring backend: one ring a shard, one enter a turn. The low three bits of a completion's user data say
 * what the pointer in the rest is. */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include "runtime/linux/internal.h"

enum tag { TAG_IGNORE, TAG_FILE, TAG_RECV, TAG_WRITE, TAG_WATCH };
#define TAG_MASK 7ull
#define RING_SIZE 1024
#define SUBMIT_TRIES 100000 /* some seconds: memory for requests may be short for a while */

struct uring {
    struct io_uring ring;
};

static struct io_uring *ring_of(struct shard *shard) {
    return &((struct uring *)shard->backend_state)->ring;
}

static struct io_uring_sqe *get_sqe(struct shard *shard) {
    struct io_uring *ring = ring_of(shard);
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    int result = 0;
    for (int i = 0; !sqe && i < SUBMIT_TRIES; i++) { /* the submission queue is full: hand it over early */
        result = io_uring_submit(ring);
        if (result < 0) /* completions that do not fit hold it up: they are taken into the ring's memory */
            io_uring_get_events(ring);
        sqe = io_uring_get_sqe(ring);
    }
    check(sqe, "the kernel takes no more from a full submission queue: errno %d", -result);
    return sqe;
}

static void set_data(struct io_uring_sqe *sqe, const void *ptr, enum tag tag) {
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)ptr | tag);
}

static enum err uring_init(struct shard *shard) {
    static const unsigned flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN,
        IORING_SETUP_COOP_TASKRUN,
        0,
    };
    struct uring *uring = mem_new(struct uring);
    int result = -EINVAL;
    for (int i = 0; i < COUNT_OF(flags) && result == -EINVAL; i++) {
        struct io_uring_params params = {.flags = flags[i] | IORING_SETUP_CQSIZE, .cq_entries = RING_SIZE * 8};
        result = io_uring_queue_init_params(RING_SIZE, &uring->ring, &params);
    }
    if (result < 0) {
        mem_free(uring);
        return err_from_errno(-result);
    }
    shard->backend_state = uring;
    int count;
    const int *guards = shard->runtime->fs ? fs_guards(shard->runtime->fs, &count) : NULL;
    if (guards && count && (result = io_uring_register_files(&uring->ring, guards, (unsigned)count)) < 0)
        fprintf(stderr, "runtime: a start right after a kill may come too soon: errno %d\n", -result);
    return ERR_OK;
}

static void uring_deinit(struct shard *shard) {
    io_uring_queue_exit(ring_of(shard));
    mem_free(shard->backend_state);
    shard->backend_state = NULL;
}

static void uring_watch(struct shard *shard, struct watch *watch) {
    watch->armed = true;
    struct io_uring_sqe *sqe = get_sqe(shard);
    io_uring_prep_poll_multishot(sqe, watch->fd, POLLIN);
    set_data(sqe, watch, TAG_WATCH);
}

static void uring_unwatch(struct shard *shard, struct watch *watch) {
    watch->armed = false;
    struct io_uring *ring = ring_of(shard);
    struct io_uring_sqe *sqe = get_sqe(shard);
    io_uring_prep_poll_remove(sqe, (uint64_t)(uintptr_t)watch | TAG_WATCH);
    set_data(sqe, NULL, TAG_IGNORE);
    io_uring_submit(ring);
}

static void submit_file_io(struct shard *shard, struct file_io *io) {
    struct io_uring_sqe *sqe = get_sqe(shard);
    uint8_t *ptr = (uint8_t *)io->ptr + io->private_count;
    unsigned size = io->size - io->private_count > INT32_MAX / 2 ? INT32_MAX / 2 & ~4095
                                                                  : (unsigned)(io->size - io->private_count);
    uint64_t pos = (uint64_t)io->pos + io->private_count;
    if (io->op == FILE_IO_READ) {
        io_uring_prep_read(sqe, io->file->fd, ptr, size, pos);
    } else if (io->op == FILE_IO_WRITE) {
        if (io->pieces)
            io_uring_prep_writev(sqe, io->file->fd, (const struct iovec *)io->pieces, (unsigned)io->piece_count, pos);
        else
            io_uring_prep_write(sqe, io->file->fd, ptr, size, pos);
        if (io->dsync)
            sqe->rw_flags = RWF_DSYNC;
    } else {
        io_uring_prep_fsync(sqe, io->file->fd, IORING_FSYNC_DATASYNC);
    }
    set_data(sqe, io, TAG_FILE);
}

static void file_io_completed(struct shard *shard, struct file_io *io, int result) {
    if (file_io_advance(io, result))
        io->done(shard, io);
    else
        submit_file_io(shard, io);
}

static void uring_recv(struct sock *sock) {
    struct io_uring_sqe *sqe = get_sqe(sock->shard);
    io_uring_prep_recv(sqe, sock->fd, sock->recv_ptr, sock->recv_size, 0);
    set_data(sqe, sock, TAG_RECV);
}

static void uring_wait_write(struct sock *sock) {
    struct io_uring_sqe *sqe = get_sqe(sock->shard);
    io_uring_prep_poll_add(sqe, sock->fd, POLLOUT);
    set_data(sqe, sock, TAG_WRITE);
}

static void cancel_one(struct sock *sock, enum tag tag) {
    struct io_uring_sqe *sqe = get_sqe(sock->shard);
    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)sock | tag, 0);
    set_data(sqe, NULL, TAG_IGNORE);
}

static void uring_cancel(struct sock *sock) {
    if (sock->recv_in_kernel)
        cancel_one(sock, TAG_RECV);
    if (sock->write_in_kernel)
        cancel_one(sock, TAG_WRITE);
}

static void uring_forget(struct sock *sock) {
    (void)sock;
}

static void dispatch(struct shard *shard, uint64_t data, int result, unsigned flags) {
    void *ptr = (void *)(uintptr_t)(data & ~TAG_MASK);
    switch ((enum tag)(data & TAG_MASK)) {
    case TAG_FILE:
        file_io_completed(shard, ptr, result);
        break;
    case TAG_RECV: {
        struct sock *sock = ptr;
        if ((result == -EINTR || result == -EAGAIN) && !sock->closing)
            uring_recv(sock);
        else
            sock_recv_finished(sock, result);
        break;
    }
    case TAG_WRITE:
        sock_writable(ptr);
        break;
    case TAG_WATCH: {
        struct watch *watch = ptr;
        if (!(flags & IORING_CQE_F_MORE) && watch->armed)
            uring_watch(shard, watch);
        if (result > 0)
            watch->ready(shard, watch);
        break;
    }
    case TAG_IGNORE:
        break;
    }
}

static void uring_wait(struct shard *shard, int64_t timeout_ns) {
    struct io_uring *ring = ring_of(shard);
    struct io_uring_cqe *cqe;
    if (timeout_ns < 0) {
        io_uring_submit_and_wait(ring, 1);
    } else if (timeout_ns > 0) {
        struct __kernel_timespec ts = {.tv_sec = timeout_ns / (int64_t)NS_PER_S, .tv_nsec = timeout_ns % (int64_t)NS_PER_S};
        io_uring_submit_and_wait_timeout(ring, &cqe, 1, &ts, NULL);
    } else {
        io_uring_submit_and_get_events(ring);
    }
    shard_update_clock(shard);
    unsigned count = io_uring_cq_ready(ring);
    for (; count > 0 && io_uring_peek_cqe(ring, &cqe) == 0; count--) {
        uint64_t data = cqe->user_data;
        int result = cqe->res;
        unsigned flags = cqe->flags;
        io_uring_cqe_seen(ring, cqe); /* first: what it calls may submit and need the room */
        dispatch(shard, data, result, flags);
    }
}

const struct backend backend_uring = {
    .name = "io_uring",
    .init = uring_init,
    .deinit = uring_deinit,
    .wait = uring_wait,
    .watch = uring_watch,
    .unwatch = uring_unwatch,
    .file_io = submit_file_io,
    .recv = uring_recv,
    .wait_write = uring_wait_write,
    .cancel = uring_cancel,
    .forget = uring_forget,
};
