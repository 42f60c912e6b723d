/* Sockets and listeners, above the backend. A send is tried at once with the plain system calls, which on a
 * socket with room is cheaper than any queue; what is left waits for the socket to be writable. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "base/trace.h"
#include "runtime/linux/internal.h"

#define IOV_COUNT 64
#define ACCEPT_PER_TURN 64
#define ACCEPT_RETRY_MS 100
#define ADDRESS_WAIT_MS 2000
#define ADDRESS_STEP_MS 10

static struct sock *sock_create(struct shard *shard, int fd) {
    struct sock *sock = mem_new(struct sock);
    sock->shard = shard;
    sock->fd = fd;
    list_init(&sock->deferred);
    list_push_back(&shard->socks, &sock->node);
    return sock;
}

void sock_destroy(struct sock *sock) {
    list_remove(&sock->node);
    list_remove(&sock->deferred);
    if (sock->fd >= 0)
        close(sock->fd);
    mem_free(sock);
}

void sock_set_user(struct sock *sock, void *user) {
    sock->user = user;
}

void *sock_user(const struct sock *sock) {
    return sock->user;
}

void sock_peer(const struct sock *sock, struct sock_address *ret_address) {
    *ret_address = (struct sock_address){0};
    if (sock->peer.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)&sock->peer;
        inet_ntop(AF_INET, &in->sin_addr, ret_address->text, sizeof ret_address->text);
        ret_address->port = ntohs(in->sin_port);
    } else if (sock->peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)&sock->peer;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
            inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], ret_address->text, sizeof ret_address->text);
        else
            inet_ntop(AF_INET6, &in6->sin6_addr, ret_address->text, sizeof ret_address->text);
        ret_address->port = ntohs(in6->sin6_port);
    }
}

/* --- receive --- */

void sock_recv(struct sock *sock, void *ptr, size_t size, void (*done)(struct sock *sock, enum err err, size_t count)) {
    check(!sock->recv_done && !sock->closing);
    sock->recv_ptr = ptr;
    sock->recv_size = size;
    sock->recv_done = done;
    sock->recv_in_kernel = true;
    sock->shard->runtime->backend->recv(sock);
}

void sock_recv_finished(struct sock *sock, ssize_t result) {
    sock->recv_in_kernel = false;
    if (sock->closing) {
        shard_defer(sock);
        return;
    }
    void (*done)(struct sock *, enum err, size_t) = sock->recv_done;
    sock->recv_done = NULL;
    done(sock, result < 0 ? err_from_errno((int)-result) : ERR_OK, result < 0 ? 0 : (size_t)result);
}

/* --- send --- */

/* One system call's worth; bytes or -errno. */
static ssize_t send_once(struct sock *sock) {
    const struct piece *piece = &sock->send_pieces[sock->send_index];
    if (!piece->ptr) {
        off_t pos = piece->pos + (off_t)sock->send_offset;
        ssize_t n = sendfile(sock->fd, piece->file->fd, &pos, piece->size - sock->send_offset);
        if (n == 0)
            return -EIO; /* the file is shorter than the range: the peer must not wait for the rest */
        return n < 0 ? -errno : n;
    }
    struct iovec iov[IOV_COUNT];
    size_t skip = sock->send_offset; /* of the first piece */
    int count = 0, i = sock->send_index;
    for (; i < sock->send_count && count < IOV_COUNT && sock->send_pieces[i].ptr; i++, count++, skip = 0)
        iov[count] = (struct iovec){(uint8_t *)(uintptr_t)sock->send_pieces[i].ptr + skip, sock->send_pieces[i].size - skip};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)count};
    ssize_t n = sendmsg(sock->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT | (i < sock->send_count ? MSG_MORE : 0));
    return n < 0 ? -errno : n;
}

static void send_advance(struct sock *sock, size_t count) {
    while (sock->send_index < sock->send_count) {
        size_t left = sock->send_pieces[sock->send_index].size - sock->send_offset;
        if (count < left) {
            sock->send_offset += count;
            return;
        }
        count -= left;
        sock->send_index++;
        sock->send_offset = 0;
    }
}

static void send_finish(struct sock *sock, enum err err) {
    sock->send_err = err;
    sock->send_finished = true;
    shard_defer(sock);
}

static void send_some(struct sock *sock) {
    while (sock->send_index < sock->send_count) {
        ssize_t n = send_once(sock);
        if (n == -EINTR)
            continue;
        if (n == -EAGAIN) {
            sock->write_in_kernel = true;
            sock->shard->runtime->backend->wait_write(sock);
            return;
        }
        if (n < 0) {
            send_finish(sock, err_from_errno((int)-n));
            return;
        }
        send_advance(sock, (size_t)n);
    }
    send_finish(sock, ERR_OK);
}

void sock_send(struct sock *sock, const struct piece *pieces, int count, void (*done)(struct sock *sock, enum err err)) {
    check(!sock->send_done && !sock->closing);
    sock->send_pieces = pieces;
    sock->send_count = count;
    sock->send_index = 0;
    sock->send_offset = 0;
    sock->send_done = done;
    send_advance(sock, 0); /* past empty pieces */
    send_some(sock);
}

size_t sock_send_left(const struct sock *sock) {
    size_t left = 0;
    for (int i = sock->send_index; sock->send_done && i < sock->send_count; i++)
        left += sock->send_pieces[i].size;
    return left - (left ? sock->send_offset : 0);
}

static void connect_finish(struct sock *sock) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    sock->send_err = error ? err_from_errno(error) : ERR_OK;
    shard_defer(sock);
}

void sock_writable(struct sock *sock) {
    sock->write_in_kernel = false;
    if (sock->closing)
        shard_defer(sock);
    else if (sock->connect_done)
        connect_finish(sock);
    else if (sock->send_done && !sock->send_finished)
        send_some(sock);
}

/* --- move --- */

static void move_delivered(struct shard *shard, struct message *message) {
    struct sock *sock = container_of(message, struct sock, move);
    sock->shard = shard;
    list_push_back(&shard->socks, &sock->node);
    sock->moved(sock);
}

void sock_move(struct sock *sock, struct shard *to, void (*moved)(struct sock *sock)) {
    check(!sock->recv_done && !sock->send_done && !sock->connect_done && !sock->closing);
    sock->shard->runtime->backend->forget(sock);
    list_remove(&sock->node);
    list_remove(&sock->deferred);
    sock->moved = moved;
    sock->move.deliver = move_delivered;
    shard_post(to, &sock->move);
}

/* --- close, and what is told in the next turn --- */

void sock_finish(struct sock *sock) {
    check(!sock->send_done && !sock->closing, "bytes are still to be sent");
    shutdown(sock->fd, SHUT_WR); /* fails when the peer is gone: the receive tells */
}

void sock_close(struct sock *sock, void (*closed)(struct shard *shard, void *user)) {
    check(!sock->closing);
    sock->closing = true;
    sock->closed = closed;
    sock->shard->runtime->backend->cancel(sock);
    shard_defer(sock);
}

static void finish_close(struct sock *sock) {
    if (sock->recv_in_kernel || sock->write_in_kernel)
        return; /* their ends defer it again */
    if (sock->recv_done) {
        void (*done)(struct sock *, enum err, size_t) = sock->recv_done;
        sock->recv_done = NULL;
        done(sock, ERR_CANCELED, 0);
    }
    if (sock->send_done) {
        void (*done)(struct sock *, enum err) = sock->send_done;
        sock->send_done = NULL;
        done(sock, sock->send_finished ? sock->send_err : ERR_CANCELED);
    }
    struct shard *shard = sock->shard;
    void (*closed)(struct shard *, void *) = sock->closed;
    void *user = sock->user;
    shard->runtime->backend->forget(sock);
    sock_destroy(sock);
    if (closed)
        closed(shard, user);
}

void sock_deferred(struct sock *sock) {
    if (sock->closing) {
        finish_close(sock);
    } else if (sock->connect_done && !sock->write_in_kernel) {
        void (*done)(struct shard *, struct sock *, enum err, void *) = sock->connect_done;
        struct shard *shard = sock->shard;
        enum err err = sock->send_err;
        void *arg = sock->connect_arg;
        sock->connect_done = NULL;
        if (err) {
            shard->runtime->backend->forget(sock);
            sock_destroy(sock);
        }
        done(shard, err ? NULL : sock, err, arg);
    } else if (sock->send_finished) {
        void (*done)(struct sock *, enum err) = sock->send_done;
        sock->send_done = NULL;
        sock->send_finished = false;
        done(sock, sock->send_err);
    }
}

/* --- addresses --- */

static enum err resolve(const char *host, uint16_t port, bool passive, struct sockaddr_storage *ret_addr,
                        socklen_t *ret_size) {
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)};
    struct addrinfo *list = NULL;
    bool any = !host || !host[0];
    if (any)
        hints.ai_family = AF_INET6; /* takes IPv4 as well */
    if (getaddrinfo(any ? NULL : host, service, &hints, &list) != 0 || !list)
        return ERR_NOT_FOUND;
    struct addrinfo *chosen = list;
    for (struct addrinfo *ai = list; ai && !any; ai = ai->ai_next)
        if (ai->ai_family == AF_INET) {
            chosen = ai;
            break;
        }
    memcpy(ret_addr, chosen->ai_addr, chosen->ai_addrlen);
    *ret_size = chosen->ai_addrlen;
    freeaddrinfo(list);
    return ERR_OK;
}

/* A name is looked up with a blocking call: outgoing connections go to configured addresses, seldom. */
void sock_connect(struct shard *shard, const char *host, uint16_t port, void *arg,
                  void (*done)(struct shard *shard, struct sock *sock, enum err err, void *arg)) {
    struct sock *sock = sock_create(shard, -1);
    sock->connect_done = done;
    sock->connect_arg = arg;
    socklen_t size = 0;
    sock->send_err = resolve(host, port, false, &sock->peer, &size);
    if (!sock->send_err) {
        sock->fd = socket(sock->peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (sock->fd < 0)
            sock->send_err = err_from_errno(errno);
    }
    if (sock->send_err) {
        shard_defer(sock);
        return;
    }
    int one = 1;
    setsockopt(sock->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(sock->fd, (struct sockaddr *)&sock->peer, size) == 0) {
        shard_defer(sock);
    } else if (errno == EINPROGRESS) {
        sock->write_in_kernel = true;
        shard->runtime->backend->wait_write(sock);
    } else {
        sock->send_err = err_from_errno(errno);
        shard_defer(sock);
    }
}

/* --- listeners --- */

struct listener {
    struct runtime *runtime;
    struct watch watch;
    struct timer retry; /* after running out of descriptors */
    struct listener *next_closed;
    uint16_t port;
    bool paused;
    void (*on_accept)(struct shard *shard, struct sock *sock, void *arg);
    void *arg;
};

struct accepted { /* shard 0 -> the connection's shard */
    struct message message;
    void (*on_accept)(struct shard *shard, struct sock *sock, void *arg); /* copied: the listener may be closed */
    void *arg;
    int fd;
    struct sockaddr_storage peer;
};

static void accepted_delivered(struct shard *shard, struct message *message) {
    struct accepted *accepted = container_of(message, struct accepted, message);
    struct sock *sock = sock_create(shard, accepted->fd);
    sock->peer = accepted->peer;
    accepted->on_accept(shard, sock, accepted->arg);
    mem_free(accepted);
}

static void accept_some(struct shard *shard, struct listener *listener) {
    struct runtime *runtime = listener->runtime;
    for (int i = 0; i < ACCEPT_PER_TURN && !listener->paused; i++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        int fd = accept4(listener->watch.fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0 && errno == EAGAIN)
            return;
        if (fd < 0) {
            trace_warn("runtime", "cannot accept a connection", TRACE_ERR(err_from_errno(errno)), TRACE_INT("errno", errno));
            timer_start(shard, &listener->retry, ACCEPT_RETRY_MS * NS_PER_MS);
            return;
        }
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct accepted *accepted = mem_new(struct accepted);
        *accepted = (struct accepted){{.deliver = accepted_delivered}, listener->on_accept, listener->arg, fd, peer};
        unsigned next = atomic_fetch_add(&runtime->next_shard, 1) % (unsigned)runtime->shard_count;
        shard_post(&runtime->shards[next], &accepted->message);
    }
    /* Readiness is told by its edge: what is still waiting is asked for in the next turn. */
    if (!listener->paused)
        timer_start(shard, &listener->retry, 0);
}

static void listener_ready(struct shard *shard, struct watch *watch) {
    accept_some(shard, container_of(watch, struct listener, watch));
}

static void listener_retry(struct shard *shard, struct timer *timer) {
    accept_some(shard, container_of(timer, struct listener, retry));
}

/* The kernel takes a killed process's ring apart after its parent has seen it die, and until then the sockets that the
 * ring watched stay bound: who starts again at once finds the address in use for some milliseconds. */
static enum err bind_and_listen(int fd, const struct sockaddr *addr, socklen_t size, int backlog) {
    bool bound = false;
    for (int tries = ADDRESS_WAIT_MS / ADDRESS_STEP_MS;; tries--) {
        bound = bound || bind(fd, addr, size) == 0;
        if (bound && listen(fd, backlog) == 0)
            return ERR_OK;
        if (errno != EADDRINUSE)
            return err_from_errno(errno);
        if (!tries)
            return ERR_EXISTS;
        usleep(ADDRESS_STEP_MS * 1000);
    }
}

enum err listener_open(struct runtime *runtime, const struct listen_options *options,
                       void (*on_accept)(struct shard *shard, struct sock *sock, void *arg), void *arg,
                       struct listener **ret_listener) {
    struct sockaddr_storage addr;
    socklen_t size;
    enum err err = resolve(options->host, options->port, true, &addr, &size);
    if (err)
        return err;
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    int one = 1, zero = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (addr.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (options->send_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &options->send_buffer, sizeof(int));
    if (options->receive_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options->receive_buffer, sizeof(int));
    err = bind_and_listen(fd, (struct sockaddr *)&addr, size, options->backlog > 0 ? options->backlog : 50);
    if (err) {
        close(fd);
        return err;
    }
    getsockname(fd, (struct sockaddr *)&addr, &size);
    struct listener *listener = mem_new(struct listener);
    listener->runtime = runtime;
    listener->watch = (struct watch){.fd = fd, .ready = listener_ready};
    listener->retry.fire = listener_retry;
    listener->port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                                      : ((struct sockaddr_in *)&addr)->sin_port);
    listener->on_accept = on_accept;
    listener->arg = arg;
    *ret_listener = listener;
    return ERR_OK;
}

uint16_t listener_port(const struct listener *listener) {
    return listener->port;
}

void listener_accept(struct listener *listener) {
    struct shard *shard = &listener->runtime->shards[0];
    listener->runtime->backend->watch(shard, &listener->watch);
    timer_start(shard, &listener->retry, 0);
}

void listener_pause(struct listener *listener, bool paused) {
    struct shard *shard = &listener->runtime->shards[0];
    listener->paused = paused;
    if (!paused)
        timer_start(shard, &listener->retry, 0);
}

/* Completions of its watch may still be on their way through the kernel: its memory stays until the rings are gone. */
static void closed_listener_ready(struct shard *shard, struct watch *watch) {
    (void)shard;
    (void)watch;
}

void listener_close(struct listener *listener) {
    if (!listener)
        return;
    struct shard *shard = &listener->runtime->shards[0];
    timer_stop(shard, &listener->retry);
    if (listener->watch.armed)
        shard->runtime->backend->unwatch(shard, &listener->watch);
    close(listener->watch.fd);
    listener->watch.ready = closed_listener_ready;
    listener->next_closed = listener->runtime->closed_listeners;
    listener->runtime->closed_listeners = listener;
}

void listeners_free(struct runtime *runtime) {
    while (runtime->closed_listeners) {
        struct listener *listener = runtime->closed_listeners;
        runtime->closed_listeners = listener->next_closed;
        mem_free(listener);
    }
}
