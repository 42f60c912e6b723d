/* The epoll backend, for where io_uring is refused: edge-triggered readiness for sockets, file operations on the
 * blocking-work threads. A socket is registered once, when it is first used. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "runtime/linux/internal.h"

#define EVENTS_PER_TURN 256
#define WATCH_TAG 1ull /* in the event's data: the pointer is a watch, not a sock */

struct epoll {
    int fd;
    struct list readable; /* socks with a receive that may go on at once; linked by ready_node below */
};

struct ready { /* a receive to try in the coming turn; one a sock at most */
    struct list node;
    struct sock *sock;
};

static struct epoll *epoll_of(struct shard *shard) {
    return shard->backend_state;
}

static enum err epoll_init(struct shard *shard) {
    struct epoll *epoll = mem_new(struct epoll);
    epoll->fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll->fd < 0) {
        mem_free(epoll);
        return err_from_errno(errno);
    }
    list_init(&epoll->readable);
    shard->backend_state = epoll;
    return ERR_OK;
}

static void epoll_deinit(struct shard *shard) {
    struct epoll *epoll = epoll_of(shard);
    for (struct list *node; (node = list_pop_front(&epoll->readable));)
        mem_free(list_entry(node, struct ready, node));
    close(epoll->fd);
    mem_free(epoll);
    shard->backend_state = NULL;
}

static void epoll_watch(struct shard *shard, struct watch *watch) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = (uint64_t)(uintptr_t)watch | WATCH_TAG};
    check(epoll_ctl(epoll_of(shard)->fd, EPOLL_CTL_ADD, watch->fd, &event) == 0, "errno %d", errno);
    watch->armed = true;
}

static void epoll_unwatch(struct shard *shard, struct watch *watch) {
    epoll_ctl(epoll_of(shard)->fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->armed = false;
}

static void ensure_registered(struct sock *sock) {
    if (sock->registered)
        return;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = sock};
    check(epoll_ctl(epoll_of(sock->shard)->fd, EPOLL_CTL_ADD, sock->fd, &event) == 0, "errno %d", errno);
    sock->registered = true;
    sock->readable = true; /* unknown: the first try tells */
}

/* --- receive: tried in the next turn when the socket may have something, else when its edge comes --- */

static void make_ready(struct sock *sock) {
    struct ready *ready = mem_new(struct ready);
    ready->sock = sock;
    list_push_back(&epoll_of(sock->shard)->readable, &ready->node);
}

static void epoll_recv(struct sock *sock) {
    ensure_registered(sock);
    if (sock->readable)
        make_ready(sock);
}

static void try_recv(struct sock *sock) {
    ssize_t n;
    do
        n = recv(sock->fd, sock->recv_ptr, sock->recv_size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        sock->readable = false;
        return;
    }
    sock_recv_finished(sock, n < 0 ? -errno : n);
}

static void run_readable(struct epoll *epoll) {
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &epoll->readable);
    for (struct list *node; (node = list_pop_front(&batch));) {
        struct ready *ready = list_entry(node, struct ready, node);
        struct sock *sock = ready->sock;
        mem_free(ready);
        if (sock && sock->recv_in_kernel)
            try_recv(sock);
    }
}

static void epoll_wait_write(struct sock *sock) {
    if (sock->registered) { /* asks for the edge again, should it have come and gone */
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = sock};
        epoll_ctl(epoll_of(sock->shard)->fd, EPOLL_CTL_MOD, sock->fd, &event);
    } else {
        ensure_registered(sock);
    }
}

static void epoll_cancel(struct sock *sock) {
    sock->recv_in_kernel = false;
    sock->write_in_kernel = false;
}

static void epoll_forget(struct sock *sock) {
    list_each(pos, &epoll_of(sock->shard)->readable) {
        struct ready *ready = list_entry(pos, struct ready, node);
        if (ready->sock == sock)
            ready->sock = NULL;
    }
    if (sock->registered)
        epoll_ctl(epoll_of(sock->shard)->fd, EPOLL_CTL_DEL, sock->fd, NULL);
    sock->registered = false;
}

/* --- files --- */

struct file_work {
    struct work work;
    struct file_io *io;
};

static void file_work_run(struct work *work) {
    struct file_io *io = container_of(work, struct file_work, work)->io;
    while (!file_io_advance(io, file_io_blocking(io)))
        ;
}

static void file_work_done(struct shard *shard, struct work *work) {
    struct file_work *file_work = container_of(work, struct file_work, work);
    struct file_io *io = file_work->io;
    mem_free(file_work);
    io->done(shard, io);
}

static void epoll_file_io(struct shard *shard, struct file_io *io) {
    struct file_work *file_work = mem_new(struct file_work);
    file_work->work.run = file_work_run;
    file_work->work.done = file_work_done;
    file_work->io = io;
    shard_offload(shard, &file_work->work);
}

/* --- the wait --- */

static void epoll_wait_turn(struct shard *shard, int64_t timeout_ns) {
    struct epoll *epoll = epoll_of(shard);
    if (!list_is_empty(&epoll->readable))
        timeout_ns = 0;
    int timeout_ms = timeout_ns < 0 ? -1 : (int)((timeout_ns + 999999) / 1000000 > 60000 ? 60000 : (timeout_ns + 999999) / 1000000);
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(epoll->fd, events, EVENTS_PER_TURN, timeout_ms);
    shard_update_clock(shard);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 & WATCH_TAG) {
            struct watch *watch = (struct watch *)(uintptr_t)(events[i].data.u64 & ~WATCH_TAG);
            watch->ready(shard, watch);
            continue;
        }
        struct sock *sock = events[i].data.ptr;
        if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
            bool was_readable = sock->readable;
            sock->readable = true;
            if (sock->recv_in_kernel && !was_readable)
                make_ready(sock);
        }
        if ((events[i].events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) && sock->write_in_kernel)
            sock_writable(sock);
    }
    run_readable(epoll);
}

const struct backend backend_epoll = {
    .name = "epoll",
    .init = epoll_init,
    .deinit = epoll_deinit,
    .wait = epoll_wait_turn,
    .watch = epoll_watch,
    .unwatch = epoll_unwatch,
    .file_io = epoll_file_io,
    .recv = epoll_recv,
    .wait_write = epoll_wait_write,
    .cancel = epoll_cancel,
    .forget = epoll_forget,
};
