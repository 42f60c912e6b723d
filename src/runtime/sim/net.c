/* The network: each direction of a connection is bytes under way, which arrive in order, in chunks and late, and bytes
 * that arrived and wait to be taken. Together they are bounded, so that who does not read stops who sends. A node that
 * dies, or a fault, resets connections: what was under way is lost. */
#include <stdio.h>
#include "runtime/sim/internal.h"

enum { WAKE_DELAY_NS = 3000, CLOSE_DELAY_NS = 3000 };

struct chunk { /* under way to a sock */
    struct event event;
    struct list node; /* sock->incoming */
    struct sock *to;
    enum { CHUNK_BYTES, CHUNK_END, CHUNK_RESET } what;
    size_t size;
    uint8_t bytes[];
};

struct sock {
    struct shard *shard;
    struct list node; /* runtime->socks */
    struct sock *peer; /* NULL: it is gone */
    void *user;
    struct sock_address from; /* whom sock_peer() names */

    struct list incoming;
    size_t incoming_size;
    uint64_t last_arrival_ns;
    uint8_t *arrived; /* [taken, arrived_size) waits */
    size_t arrived_size, arrived_capacity, taken;
    bool ended, reset;

    uint8_t *recv_ptr;
    size_t recv_size;
    void (*recv_done)(struct sock *sock, enum err err, size_t count);
    const struct piece *pieces;
    int piece_count, piece_index;
    size_t piece_offset;
    void (*send_done)(struct sock *sock, enum err err);
    enum err send_err;
    bool send_finished;

    struct message move; /* old shard -> new shard */
    void (*moved)(struct sock *sock);

    bool closing;
    void (*closed)(struct shard *shard, void *user);
    struct event recv_event, send_event, close_event;
};

struct listener {
    struct runtime *runtime;
    struct list node;
    uint16_t port;
    bool accepting, paused;
    struct list backlog; /* struct arrival */
    void (*on_accept)(struct shard *shard, struct sock *sock, void *arg);
    void *arg;
};

static void recv_run(struct event *event);
static void send_run(struct event *event);
static void close_run(struct event *event);

static uint64_t delay(struct sim *sim) {
    return sim_between(sim, sim->network.delay_min_ns, sim->network.delay_max_ns);
}

static struct sock *sock_create(struct shard *shard) {
    struct sock *sock = mem_new(struct sock);
    struct runtime *node = shard->runtime;
    sock->shard = shard;
    list_init(&sock->incoming);
    sock->recv_event = (struct event){.kind = EVENT_SOCK, .owner = node, .run = recv_run};
    sock->send_event = (struct event){.kind = EVENT_SOCK, .owner = node, .run = send_run};
    sock->close_event = (struct event){.kind = EVENT_SOCK, .owner = node, .run = close_run};
    list_push_back(&node->socks, &sock->node);
    return sock;
}

static void wake(struct sock *sock, struct event *event) {
    if (!event_is_scheduled(event))
        event_schedule(sock->shard->runtime->sim, event, sim_below(sock->shard->runtime->sim, WAKE_DELAY_NS));
}

/* ---- under way ------------------------------------------------------------------------------------------------------ */

static void chunk_drop(struct event *event) {
    struct chunk *chunk = container_of(event, struct chunk, event);
    list_remove(&chunk->node);
    mem_free(chunk);
}

static void chunk_run(struct event *event) {
    struct chunk *chunk = container_of(event, struct chunk, event);
    struct sock *sock = chunk->to;
    if (chunk->what == CHUNK_BYTES) {
        if (sock->taken) {
            memmove(sock->arrived, sock->arrived + sock->taken, sock->arrived_size - sock->taken);
            sock->arrived_size -= sock->taken;
            sock->taken = 0;
        }
        if (sock->arrived_size + chunk->size > sock->arrived_capacity) {
            sock->arrived_capacity = (sock->arrived_size + chunk->size) * 2;
            sock->arrived = mem_realloc(sock->arrived, sock->arrived_capacity);
        }
        memcpy(sock->arrived + sock->arrived_size, chunk->bytes, chunk->size);
        sock->arrived_size += chunk->size;
        sock->incoming_size -= chunk->size;
        sim_note(sock->shard->runtime->sim, hash_bytes(chunk->bytes, chunk->size));
    } else if (chunk->what == CHUNK_END) {
        sock->ended = true;
    } else {
        sock->reset = true;
        sock->taken = sock->arrived_size;
        wake(sock, &sock->send_event);
    }
    chunk_drop(event);
    wake(sock, &sock->recv_event);
}

static void transmit(struct sock *to, int what, const void *bytes, size_t size) {
    struct sim *sim = to->shard->runtime->sim;
    struct chunk *chunk = mem_alloc(sizeof *chunk + size);
    memset(chunk, 0, sizeof *chunk);
    chunk->event = (struct event){.kind = EVENT_SOCK, .owner = to->shard->runtime, .run = chunk_run, .drop = chunk_drop};
    chunk->to = to;
    chunk->what = what;
    chunk->size = size;
    if (size)
        memcpy(chunk->bytes, bytes, size);
    to->incoming_size += size;
    list_push_back(&to->incoming, &chunk->node);
    uint64_t at = sim->now_ns + delay(sim) + size / 4;
    if (at <= to->last_arrival_ns)
        at = to->last_arrival_ns + 1;
    to->last_arrival_ns = at;
    event_schedule_at(sim, &chunk->event, at);
}

static void sock_free(struct sock *sock) {
    struct sim *sim = sock->shard->runtime->sim;
    if (sock->peer)
        sock->peer->peer = NULL;
    while (!list_is_empty(&sock->incoming)) {
        struct chunk *chunk = list_entry(sock->incoming.next, struct chunk, node);
        event_cancel(sim, &chunk->event);
        chunk_drop(&chunk->event);
    }
    event_cancel(sim, &sock->recv_event);
    event_cancel(sim, &sock->send_event);
    event_cancel(sim, &sock->close_event);
    list_remove(&sock->node);
    mem_free(sock->arrived);
    mem_free(sock);
}

/* ---- receive -------------------------------------------------------------------------------------------------------- */

static void recv_run(struct event *event) {
    struct sock *sock = container_of(event, struct sock, recv_event);
    struct shard *shard = sock->shard;
    struct sim *sim = shard->runtime->sim;
    size_t there = sock->arrived_size - sock->taken;
    if (!sock->recv_done || sock->closing || (!there && !sock->ended && !sock->reset))
        return;
    void (*done)(struct sock *, enum err, size_t) = sock->recv_done;
    sock->recv_done = NULL;
    size_t count = there < sock->recv_size ? there : sock->recv_size;
    if (count > 1 && sim_chance(sim, 8))
        count = 1 + (size_t)sim_below(sim, count);
    if (count)
        memcpy(sock->recv_ptr, sock->arrived + sock->taken, count);
    sock->taken += count;
    if (sock->taken == sock->arrived_size)
        sock->taken = sock->arrived_size = 0;
    if (count && sock->peer && sock->peer->send_done)
        wake(sock->peer, &sock->peer->send_event);
    shard_enter(shard);
    done(sock, count || !sock->reset ? ERR_OK : ERR_CLOSED, count);
    shard_leave(shard);
}

void sock_recv(struct sock *sock, void *ptr, size_t size, void (*done)(struct sock *sock, enum err err, size_t count)) {
    check(!sock->recv_done && !sock->closing && size, "a second receive, or one on a closed connection");
    sock->recv_ptr = ptr;
    sock->recv_size = size;
    sock->recv_done = done;
    if (sock->arrived_size > sock->taken || sock->ended || sock->reset)
        wake(sock, &sock->recv_event);
}

/* ---- send ----------------------------------------------------------------------------------------------------------- */

static void send_finish(struct sock *sock, enum err err) {
    sock->send_finished = true;
    sock->send_err = err;
    wake(sock, &sock->send_event);
}

static void skip_empty(struct sock *sock) {
    while (sock->piece_index < sock->piece_count && sock->pieces[sock->piece_index].size == sock->piece_offset) {
        sock->piece_index++;
        sock->piece_offset = 0;
    }
}

/* Gives the network what it has room for. */
static void send_some(struct sock *sock) {
    struct sim *sim = sock->shard->runtime->sim;
    uint8_t *memory = NULL;
    for (skip_empty(sock); sock->piece_index < sock->piece_count; skip_empty(sock)) {
        struct sock *to = sock->peer;
        if (!to || sock->reset) {
            send_finish(sock, ERR_CLOSED);
            break;
        }
        size_t under_way = to->incoming_size + to->arrived_size - to->taken;
        if (under_way >= sim->network.window_max)
            break;
        const struct piece *piece = &sock->pieces[sock->piece_index];
        size_t count = piece->size - sock->piece_offset, room = sim->network.window_max - under_way;
        size_t most = 1 + (size_t)sim_below(sim, sim->network.chunk_max);
        count = count < room ? count : room;
        count = count < most ? count : most;
        const uint8_t *from = (const uint8_t *)piece->ptr + sock->piece_offset;
        if (!piece->ptr) { /* from a file */
            mem_free(memory);
            from = memory = mem_alloc(count);
            int64_t pos = piece->pos + (int64_t)sock->piece_offset;
            if (pos + (int64_t)count > piece->file->inode->seen.size) {
                send_finish(sock, ERR_IO); /* the file is shorter than the range */
                break;
            }
            inode_read(piece->file->inode, memory, count, pos);
        }
        transmit(to, CHUNK_BYTES, from, count);
        sock->piece_offset += count;
    }
    mem_free(memory);
    if (sock->piece_index == sock->piece_count && !sock->send_finished)
        send_finish(sock, ERR_OK);
}

static void send_run(struct event *event) {
    struct sock *sock = container_of(event, struct sock, send_event);
    if (sock->closing || !sock->send_done)
        return;
    if (!sock->send_finished) {
        send_some(sock);
        return;
    }
    struct shard *shard = sock->shard;
    void (*done)(struct sock *, enum err) = sock->send_done;
    sock->send_done = NULL;
    sock->send_finished = false;
    shard_enter(shard);
    done(sock, sock->send_err);
    shard_leave(shard);
}

void sock_send(struct sock *sock, const struct piece *pieces, int count, void (*done)(struct sock *sock, enum err err)) {
    check(!sock->send_done && !sock->closing, "a second send, or one on a closed connection");
    sock->pieces = pieces;
    sock->piece_count = count;
    sock->piece_index = 0;
    sock->piece_offset = 0;
    sock->send_done = done;
    sock->send_finished = false;
    send_some(sock);
}

size_t sock_send_left(const struct sock *sock) {
    size_t left = 0;
    for (int i = sock->piece_index; sock->send_done && i < sock->piece_count; i++)
        left += sock->pieces[i].size;
    return left - (left ? sock->piece_offset : 0);
}

/* ---- move ----------------------------------------------------------------------------------------------------------- */

static void move_delivered(struct shard *shard, struct message *message) {
    struct sock *sock = container_of(message, struct sock, move);
    sock->shard = shard;
    sock->moved(sock);
}

void sock_move(struct sock *sock, struct shard *to, void (*moved)(struct sock *sock)) {
    check(!sock->recv_done && !sock->send_done && !sock->closing, "a connection moves with something in work");
    sock->moved = moved;
    sock->move.deliver = move_delivered;
    shard_post(to, &sock->move);
}

/* ---- close ---------------------------------------------------------------------------------------------------------- */

void sock_finish(struct sock *sock) {
    check(!sock->send_done && !sock->closing, "bytes are still to be sent");
    if (sock->peer)
        transmit(sock->peer, CHUNK_END, NULL, 0);
}

void sock_close(struct sock *sock, void (*closed)(struct shard *shard, void *user)) {
    check(!sock->closing, "a connection is closed twice");
    sock->closing = true;
    sock->closed = closed;
    struct sim *sim = sock->shard->runtime->sim;
    event_schedule(sim, &sock->close_event, sim_below(sim, CLOSE_DELAY_NS));
}

static void close_run(struct event *event) {
    struct sock *sock = container_of(event, struct sock, close_event);
    struct shard *shard = sock->shard;
    shard_enter(shard);
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
    void (*closed)(struct shard *, void *) = sock->closed;
    void *user = sock->user;
    bool unread = sock->arrived_size > sock->taken || sock->incoming_size;
    if (sock->peer) /* as TCP: who closes with bytes unread resets */
        transmit(sock->peer, unread ? CHUNK_RESET : CHUNK_END, NULL, 0);
    sock_free(sock);
    if (closed)
        closed(shard, user);
    shard_leave(shard);
}

static void reset(struct sock *sock) {
    if (sock->peer)
        transmit(sock->peer, CHUNK_RESET, NULL, 0);
}

void sim_node_reset_connections(struct runtime *node, uint32_t one_in) {
    list_each(pos, &node->socks) {
        struct sock *sock = list_entry(pos, struct sock, node);
        if (!sim_chance(node->sim, one_in) || sock->reset || !sock->peer)
            continue;
        reset(sock);
        reset(sock->peer);
        sock->peer->peer = NULL;
        sock->peer = NULL;
    }
}

/* ---- small things --------------------------------------------------------------------------------------------------- */

void sock_set_user(struct sock *sock, void *user) {
    sock->user = user;
}
void *sock_user(const struct sock *sock) {
    return sock->user;
}
void sock_peer(const struct sock *sock, struct sock_address *ret_address) {
    *ret_address = sock->from;
}

/* ---- connecting ----------------------------------------------------------------------------------------------------- */

struct arrival { /* client -> listener: a connection to accept */
    struct event event;
    struct list node; /* listener->backlog */
    struct sock *sock;
    struct shard *shard;
    void (*on_accept)(struct shard *shard, struct sock *sock, void *arg);
    void *arg;
};

static void arrival_drop(struct event *event) {
    mem_free(container_of(event, struct arrival, event));
}

static void arrival_run(struct event *event) {
    struct arrival *arrival = container_of(event, struct arrival, event);
    struct shard *shard = arrival->shard;
    shard_enter(shard);
    arrival->on_accept(shard, arrival->sock, arrival->arg);
    shard_leave(shard);
    mem_free(arrival);
}

static void accept_some(struct listener *listener) {
    struct list *node;
    while (listener->accepting && !listener->paused && (node = list_pop_front(&listener->backlog))) {
        struct arrival *arrival = list_entry(node, struct arrival, node);
        struct sim *sim = listener->runtime->sim;
        arrival->on_accept = listener->on_accept;
        arrival->arg = listener->arg;
        event_schedule(sim, &arrival->event, sim_below(sim, WAKE_DELAY_NS));
    }
}

struct connecting {
    struct event event;
    struct shard *shard;
    char *host;
    uint16_t port;
    void *arg;
    void (*done)(struct shard *shard, struct sock *sock, enum err err, void *arg);
};

static void connecting_drop(struct event *event) {
    struct connecting *connecting = container_of(event, struct connecting, event);
    mem_free(connecting->host);
    mem_free(connecting);
}

static struct listener *find_listener(struct sim *sim, const char *host, uint16_t port) {
    list_each(pos, &sim->nodes) {
        struct runtime *node = list_entry(pos, struct runtime, node);
        if (node->stopped || strcmp(node->address, host) != 0)
            continue;
        list_each(at, &node->listeners) {
            struct listener *listener = list_entry(at, struct listener, node);
            if (listener->port == port)
                return listener;
        }
    }
    return NULL;
}

static void connecting_run(struct event *event) {
    struct connecting *connecting = container_of(event, struct connecting, event);
    struct shard *shard = connecting->shard;
    struct sim *sim = shard->runtime->sim;
    struct listener *listener = find_listener(sim, connecting->host, connecting->port);
    struct sock *sock = NULL;
    if (listener) {
        struct runtime *node = listener->runtime;
        struct shard *to = &node->shards[node->next_shard++ % node->shard_count];
        sock = sock_create(shard);
        struct sock *other = sock_create(to);
        sock->peer = other;
        other->peer = sock;
        snprintf(sock->from.text, sizeof sock->from.text, "%s", connecting->host);
        sock->from.port = connecting->port;
        snprintf(other->from.text, sizeof other->from.text, "%s", shard->runtime->address);
        other->from.port = (uint16_t)sim_between(sim, 32768, 60999);
        struct arrival *arrival = mem_new(struct arrival);
        arrival->event = (struct event){.kind = EVENT_SOCK, .owner = node, .run = arrival_run, .drop = arrival_drop};
        arrival->sock = other;
        arrival->shard = to;
        list_push_back(&listener->backlog, &arrival->node);
        accept_some(listener);
    }
    void (*done)(struct shard *, struct sock *, enum err, void *) = connecting->done;
    void *arg = connecting->arg;
    connecting_drop(event);
    shard_enter(shard);
    done(shard, sock, sock ? ERR_OK : ERR_CLOSED, arg);
    shard_leave(shard);
}

void sock_connect(struct shard *shard, const char *host, uint16_t port, void *arg,
                  void (*done)(struct shard *shard, struct sock *sock, enum err err, void *arg)) {
    struct sim *sim = shard->runtime->sim;
    struct connecting *connecting = mem_new(struct connecting);
    connecting->event = (struct event){.kind = EVENT_SOCK, .owner = shard->runtime, .run = connecting_run, .drop = connecting_drop};
    connecting->shard = shard;
    connecting->host = mem_strdup(host);
    connecting->port = port;
    connecting->arg = arg;
    connecting->done = done;
    event_schedule(sim, &connecting->event, 2 * delay(sim));
}

/* ---- listeners ------------------------------------------------------------------------------------------------------ */

enum err listener_open(struct runtime *runtime, const struct listen_options *options,
                       void (*on_accept)(struct shard *shard, struct sock *sock, void *arg), void *arg,
                       struct listener **ret_listener) {
    uint16_t port = options->port ? options->port : 40000;
    if (find_listener(runtime->sim, runtime->address, port))
        return ERR_EXISTS;
    struct listener *listener = mem_new(struct listener);
    listener->runtime = runtime;
    listener->port = port;
    listener->on_accept = on_accept;
    listener->arg = arg;
    list_init(&listener->backlog);
    list_push_back(&runtime->listeners, &listener->node);
    *ret_listener = listener;
    return ERR_OK;
}

uint16_t listener_port(const struct listener *listener) {
    return listener->port;
}

void listener_accept(struct listener *listener) {
    listener->accepting = true;
    accept_some(listener);
}

void listener_pause(struct listener *listener, bool paused) {
    listener->paused = paused;
    accept_some(listener);
}

void listener_close(struct listener *listener) {
    if (!listener)
        return;
    struct list *node;
    while ((node = list_pop_front(&listener->backlog))) {
        struct arrival *arrival = list_entry(node, struct arrival, node);
        reset(arrival->sock);
        sock_free(arrival->sock);
        mem_free(arrival);
    }
    list_remove(&listener->node);
    mem_free(listener);
}

void net_forget_node(struct runtime *node) {
    while (!list_is_empty(&node->listeners))
        listener_close(list_entry(node->listeners.next, struct listener, node));
    while (!list_is_empty(&node->socks)) {
        struct sock *sock = list_entry(node->socks.next, struct sock, node);
        reset(sock);
        sock_free(sock);
    }
}
