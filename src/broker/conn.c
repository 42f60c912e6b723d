#include "broker/conn.h"

#include <stdio.h>
#include "base/mem.h"
#include "base/trace.h"
#include "broker/connections.h"
#include "broker/metrics.h"
#include "broker/share_sessions.h"
#include "broker/telemetry.h"

enum {
    FREE_REQUESTS_MAX = 256,
    STALL_NS = 2 * (int)NS_PER_MS,
    HEADER_MAX = 65536, /* of a peer whose first header was good; a client id is at most half of it */
    LINGER_NS = 1000 * (int)NS_PER_MS, /* for peers to close, when the node stops */
    LEAN_FIRST = 32,     /* requests in a row to one other shard before a connection moves there, */
    LEAN_LAST = 1 << 20, /* and twice as many for each move after the first, up to this */
};
_Static_assert(sizeof(struct conn) + CONN_FIRST_HEADER_MAX <= 16384, "what an unknown peer may cost");

static void receive(struct conn *conn);
static void advance(struct conn *conn);
static bool move_when_idle(struct conn *conn);

/* ---- requests ------------------------------------------------------------------------------------------------------------ */

static struct request *request_take(struct broker_shard *shard) {
    if (list_is_empty(&shard->free_requests)) {
        struct request *request = mem_new(struct request);
        arena_init(&request->arena, 0);
        return request;
    }
    shard->free_request_count--;
    return container_of(list_pop_front(&shard->free_requests), struct request, node);
}

static void request_free(struct broker_shard *shard, struct request *request) {
    mem_free(request->frame);
    arena_reset(&request->arena);
    struct arena arena = request->arena;
    struct buf head = request->head;
    if (shard->free_request_count >= FREE_REQUESTS_MAX || head.capacity > 65536) {
        arena_deinit(&request->arena);
        buf_deinit(&head);
        mem_free(request);
        return;
    }
    buf_clear(&head);
    *request = (struct request){.arena = arena, .head = head};
    list_push_front(&shard->free_requests, &request->node);
    shard->free_request_count++;
}

void conn_free_requests(struct broker_shard *shard) {
    while (!list_is_empty(&shard->free_requests)) {
        struct request *request = container_of(list_pop_front(&shard->free_requests), struct request, node);
        arena_deinit(&request->arena);
        buf_deinit(&request->head);
        mem_free(request);
    }
}

static struct listener_metrics *listener_metrics(const struct conn *conn) {
    return &conn->shard->metrics->listeners[conn->listener->index];
}

/* A request is in work for the connection no more. */
static void forget_work(struct conn *conn, const struct request *request) {
    conn->in_work--;
    conn->work_bytes -= (int64_t)request->frame_size;
    if (request->header.key == API_PRODUCE)
        conn->produce_in_work--;
}

static void drop_held(struct conn *conn) {
    conn->shard->frames_bytes -= (int64_t)conn->held->frame_size;
    conn->shard->metrics->requests_held--;
    request_free(conn->shard, conn->held);
    conn->held = NULL;
}

/* ---- closing --------------------------------------------------------------------------------------------------------------- */

static void drop_requests(struct conn *conn, struct list *requests) {
    struct list *node;
    while ((node = list_pop_front(requests))) {
        struct request *request = container_of(node, struct request, node);
        if (request->answered) {
            if (requests == &conn->requests)
                metrics_sending(conn->shard, request);
            request_free(conn->shard, request);
        } else {
            request->conn = NULL; /* freed when it is answered */
            forget_work(conn, request);
        }
    }
}

/* What the frame being read counts for in the shard's frames_bytes. */
static int64_t frame_bytes(const struct conn *conn) {
    return conn->frame && conn->frame_room == conn->frame_size ? (int64_t)conn->frame_size : 0;
}

struct telemetry_end {
    struct message message;
    struct uuid instance;
};
static void telemetry_ended(struct shard *shard, struct message *message) {
    struct telemetry_end *end = container_of(message, struct telemetry_end, message);
    telemetry_disconnected(broker_shard_of(shard)->broker->telemetry, end->instance);
    mem_free(end);
}
static void tell_telemetry(const struct conn *conn) {
    if (conn->shard->index == 0) {
        telemetry_disconnected(conn->shard->broker->telemetry, conn->telemetry_instance);
        return;
    }
    struct telemetry_end *end = mem_new(struct telemetry_end);
    end->message.deliver = telemetry_ended;
    end->instance = conn->telemetry_instance;
    shard_post(conn->shard->broker->shards[0].shard, &end->message);
}

static void closed(struct shard *shard, void *user) {
    (void)shard;
    struct conn *conn = user;
    conn->gone = true;
    if (conn->admitting)
        return;
    check(!conn->flush.queued, "a connection is freed before its hook ran");
    drop_requests(conn, &conn->sending);
    drop_requests(conn, &conn->requests);
    if (conn->held)
        drop_held(conn);
    conn->shard->frames_bytes -= frame_bytes(conn);
    if (conn->admitted) {
        connections_gone(conn);
        listener_metrics(conn)->closed++;
    }
    metrics_forget_software(conn->software);
    if (!uuid_is_zero(conn->telemetry_instance))
        tell_telemetry(conn);
    if (conn->buffer != conn->small)
        mem_free(conn->buffer);
    mem_free(conn->frame);
    mem_free(conn->pieces);
    mem_free((void *)conn->software_name.ptr);
    mem_free((void *)conn->software_version.ptr);
    mem_free(conn);
}

void conn_check_drained(struct broker_shard *shard) {
    if (shard->in_work || !shard->on_drained)
        return;
    if (list_is_empty(&shard->conns)) {
        shard->on_drained(shard);
    } else if (!shard->lingering) {
        shard->lingering = true;
        timer_stop(shard->shard, &shard->drain_timer);
        timer_start(shard->shard, &shard->drain_timer, LINGER_NS);
    }
}

static void conn_close(struct conn *conn) {
    if (conn->closing)
        return;
    conn->closing = true;
    turn_hook_cancel(&conn->flush);
    share_unbind(conn);
    list_remove(&conn->node);
    list_remove(&conn->stalled);
    sock_close(conn->sock, closed);
    conn_check_drained(conn->shard);
}

static void received(struct sock *sock, enum err err, size_t count);

/* What comes now is read and dropped, until the peer has read its last answers and closes. Closing here at once would
 * reset the connection whenever the peer has said more, and with it take away answers that it has not read: a producer
 * would send again what is in the log, and only the last batch of each is known after the next start. */
static void drop_input(struct conn *conn) {
    conn->receiving = true;
    sock_recv(conn->sock, conn->buffer, conn->buffer_size, received);
}

static void end(struct conn *conn) {
    if (conn->ending || conn->closing)
        return;
    conn->ending = true;
    sock_finish(conn->sock);
    if (!conn->receiving)
        drop_input(conn);
}

static void close_if_done(struct conn *conn) {
    if (!conn->close_when_answered || conn->in_work || conn->held || !list_is_empty(&conn->requests) || !list_is_empty(&conn->sending))
        return;
    if (conn->shard->on_drained && !conn->peer_done)
        end(conn);
    else
        conn_close(conn);
}

void conn_end_all(struct broker_shard *shard) {
    list_each_safe(node, &shard->conns) {
        struct conn *conn = container_of(node, struct conn, node);
        list_remove(&conn->stalled);
        if (conn->held) /* the peer asks again elsewhere */
            drop_held(conn);
        conn->close_when_answered = true;
        close_if_done(conn);
    }
}

void conn_close_all(struct broker_shard *shard) {
    list_each_safe(node, &shard->conns)
        conn_close(container_of(node, struct conn, node));
}

/* ---- answers ----------------------------------------------------------------------------------------------------------------- */

static void add_pieces(struct conn *conn, const struct request *request, int *count) {
    int wanted = *count + request->piece_count;
    if (wanted > conn->piece_capacity) {
        conn->piece_capacity = wanted < 16 ? 16 : 2 * wanted;
        conn->pieces = mem_realloc(conn->pieces, sizeof *conn->pieces * (size_t)conn->piece_capacity);
    }
    memcpy(conn->pieces + *count, request->pieces, sizeof *conn->pieces * (size_t)request->piece_count);
    *count = wanted;
}

static void touch(struct conn *conn) {
    conn->active_ns = shard_now_ns(conn->shard->shard);
    list_remove(&conn->node);
    list_push_back(&conn->shard->conns, &conn->node);
}

static void sent(struct sock *sock, enum err err);

static void send_answers(struct conn *conn) {
    int count = 0;
    if (!list_is_empty(&conn->sending))
        return;
    while (!list_is_empty(&conn->requests)) {
        struct request *request = container_of(conn->requests.next, struct request, node);
        if (!request->answered)
            break;
        bool close = request->close_after;
        list_remove(&request->node);
        metrics_sending(conn->shard, request);
        if (request->silent) {
            conn->unsent--;
            metrics_sent(conn->shard, request);
            request_free(conn->shard, request);
        } else {
            add_pieces(conn, request, &count);
            list_push_back(&conn->sending, &request->node);
        }
        if (close) {
            conn->close_when_answered = true;
            drop_requests(conn, &conn->requests);
            if (conn->held)
                drop_held(conn);
            break;
        }
    }
    if (count) {
        sock_send(conn->sock, conn->pieces, count, sent);
        conn->send_left = SIZE_MAX;
    } else {
        close_if_done(conn);
    }
}

static void sent(struct sock *sock, enum err err) {
    struct conn *conn = sock_user(sock);
    struct list *node;
    while ((node = list_pop_front(&conn->sending))) {
        struct request *request = container_of(node, struct request, node);
        metrics_sent(conn->shard, request);
        listener_metrics(conn)->responses++;
        listener_metrics(conn)->bytes_out += request->answer_size;
        request_free(conn->shard, request);
        conn->unsent--;
    }
    if (conn->closing)
        return;
    if (err) {
        conn_close(conn);
        return;
    }
    touch(conn);
    send_answers(conn);
    if (!conn->closing)
        advance(conn);
}

static void flush(struct turn_hook *hook) {
    struct conn *conn = container_of(hook, struct conn, flush);
    if (conn->closing)
        return;
    send_answers(conn);
    if (!conn->closing)
        advance(conn); /* answers that are not sent (acks=0) make room too */
}

void conn_answered(struct conn *conn, struct request *request) {
    struct broker_shard *shard = request->shard;
    shard->frames_bytes -= (int64_t)request->frame_size;
    shard->in_work--;
    conn_check_drained(shard);
    if (!conn) { /* the connection is gone */
        metrics_sending(shard, request);
        request_free(shard, request);
        return;
    }
    forget_work(conn, request);
    if (!conn->closing)
        shard_at_turn_end(shard->shard, &conn->flush);
}

/* ---- frames ------------------------------------------------------------------------------------------------------------------ */

static void refuse_frame(struct conn *conn, const char *why, int64_t size) {
    trace_warn("broker", "connection closed", TRACE_STR("why", why), TRACE_STR("peer", conn->peer), TRACE_INT("size", size));
    conn->close_when_answered = true;
    conn->have = 0;
    close_if_done(conn);
}

/* Who is it that does not speak this protocol? */
static const char *foreign(const uint8_t *p) {
    static const char *const methods[] = {"GET ", "POST", "HEAD", "PUT ", "OPTI"};
    for (int i = 0; i < COUNT_OF(methods); i++)
        if (memcmp(p, methods[i], 4) == 0)
            return "an HTTP request came to a listener of this protocol";
    return p[0] == 0x16 && p[1] == 3 ? "a TLS handshake came to a listener without TLS" : NULL;
}

static bool may_dispatch(const struct conn *conn, const struct request *request) {
    if (conn->holds)
        return false;
    if (!conn->in_work)
        return list_is_empty(&conn->sending) || request->header.key == API_PRODUCE;
    return request->header.key == API_PRODUCE && conn->in_work == conn->produce_in_work && conn->unsent < CONN_PRODUCE_MAX;
}

static void hand_out(struct conn *conn, struct request *request) {
    list_push_back(&conn->requests, &request->node);
    conn->in_work++;
    conn->unsent++;
    conn->work_bytes += (int64_t)request->frame_size;
    conn->shard->in_work++;
    if (request->header.key == API_PRODUCE)
        conn->produce_in_work++;
    if (!request_dispatch(request))
        request_answer_nothing(request, true);
}

/* The frame is whole. */
static void take_frame(struct conn *conn) {
    struct request *request = request_take(conn->shard);
    request->shard = conn->shard;
    request->conn = conn;
    request->on_controller = conn->listener->config->controller;
    request->frame = conn->frame;
    request->frame_size = conn->frame_size;
    request->received_ns = shard_now_ns(conn->shard->shard);
    listener_metrics(conn)->requests++;
    listener_metrics(conn)->bytes_in += conn->frame_size + 4;
    conn->frame = NULL;
    if (request_read_header(request)) {
        conn->spoke = true;
    } else {
        int key = request->header.key, version = request->header.version;
        conn->shard->frames_bytes -= (int64_t)request->frame_size;
        request_free(conn->shard, request);
        trace_warn("broker", "connection closed", TRACE_STR("why", "no such request here"), TRACE_STR("peer", conn->peer),
                   TRACE_INT("api", key), TRACE_INT("version", version));
        conn->close_when_answered = true;
        conn->have = 0;
        close_if_done(conn);
        return;
    }
    if (may_dispatch(conn, request))
        hand_out(conn, request);
    else {
        conn->held = request;
        conn->shard->metrics->requests_held++;
    }
}

static void stall(struct conn *conn) {
    list_remove(&conn->stalled);
    list_push_back(&conn->shard->stalled, &conn->stalled);
    if (!timer_is_running(&conn->shard->stalled_timer))
        timer_start(conn->shard->shard, &conn->shard->stalled_timer, STALL_NS);
}

/* queued.max.request.bytes: like Kafka, whoever comes while there is any left gets all it needs. */
static bool may_take_frame(struct conn *conn) {
    const struct broker *broker = conn->shard->broker;
    if (!broker->frames_bytes_max || conn->shard->frames_bytes < broker->frames_bytes_max)
        return true;
    stall(conn);
    return false;
}

/* More of a header than there is room for yet. */
static bool grow_header(struct conn *conn) {
    size_t max = conn->spoke ? HEADER_MAX : CONN_FIRST_HEADER_MAX, room = conn->frame_room * 2;
    if (conn->frame_have < conn->frame_room)
        return true; /* on its way */
    if (conn->frame_room == max) {
        refuse_frame(conn, "bad request header", (int64_t)conn->frame_size);
        return false;
    }
    if (room > max)
        room = max;
    conn->frame_room = room < conn->frame_size ? room : conn->frame_size - 1; /* all of it only once the header is known */
    conn->frame = mem_realloc(conn->frame, conn->frame_room);
    return true;
}

/* Memory for the whole frame is taken when its header has been read, or fits in what an unknown peer may cost. */
static bool make_room(struct conn *conn) {
    if (conn->frame_room == conn->frame_size)
        return true;
    struct arena arena = {0};
    struct decoder d = decoder_of(slice_of(conn->frame, conn->frame_have), &arena);
    struct api_header header;
    int16_t min, max;
    enum err err = api_header_decode(&d, &header);
    bool served = !err && request_handler_of(header.key, conn->listener->config->controller, &min, &max) != NULL;
    arena_deinit(&arena);
    if (err)
        return grow_header(conn);
    if (served && !may_take_frame(conn))
        return false;
    uint8_t *frame = served ? mem_try_realloc(conn->frame, conn->frame_size) : NULL;
    if (!frame) {
        refuse_frame(conn, served ? "no memory for a request" : "no such request here", (int64_t)conn->frame_size);
        return false;
    }
    conn->spoke = true;
    conn->frame = frame;
    conn->frame_room = conn->frame_size;
    conn->shard->frames_bytes += (int64_t)conn->frame_size;
    return true;
}

static bool begin_frame(struct conn *conn) {
    int32_t size = (int32_t)load_be32(conn->buffer);
    if (size < 8 || size > conn->shard->broker->request_bytes_max) {
        const char *who = foreign(conn->buffer);
        refuse_frame(conn, who ? who : "bad frame size", size);
        return false;
    }
    size_t room = conn->spoke ? CONN_BUFFER : CONN_SMALL;
    bool whole = (size_t)size <= room;
    if (whole && !may_take_frame(conn))
        return false;
    conn->frame_size = (size_t)size;
    conn->frame_have = 0;
    conn->frame_room = whole ? conn->frame_size : room;
    conn->frame = mem_alloc(conn->frame_room);
    if (whole)
        conn->shard->frames_bytes += size;
    conn->have -= 4;
    memmove(conn->buffer, conn->buffer + 4, conn->have);
    return true;
}

static void fill_frame(struct conn *conn) {
    size_t size = conn->frame_room - conn->frame_have;
    if (size > conn->have)
        size = conn->have;
    memcpy(conn->frame + conn->frame_have, conn->buffer, size);
    conn->frame_have += size;
    conn->have -= size;
    memmove(conn->buffer, conn->buffer + size, conn->have);
}

/* Goes on with what is there: the held request, frames in the buffer, then more bytes. */
static void advance(struct conn *conn) {
    if (conn->closing || conn->shard->stopping)
        return;
    if (conn->held && may_dispatch(conn, conn->held)) {
        struct request *request = conn->held;
        conn->held = NULL;
        conn->shard->metrics->requests_held--;
        hand_out(conn, request);
    }
    list_remove(&conn->stalled);
    while (!conn->held && !conn->closing && !conn->close_when_answered) {
        if (!conn->frame && (conn->have < 4 || !begin_frame(conn)))
            break;
        fill_frame(conn);
        if (!make_room(conn))
            break;
        if (conn->have && conn->frame_have < conn->frame_room)
            continue;
        if (conn->frame_have < conn->frame_size)
            break;
        take_frame(conn);
    }
    if (!list_is_empty(&conn->stalled))
        return; /* for memory */
    if (conn->peer_done && !conn->held) {
        conn->close_when_answered = true;
        close_if_done(conn);
    }
    if (!move_when_idle(conn))
        receive(conn);
}

void conn_hold(struct conn *conn) {
    conn->holds++;
}

void conn_let_go(struct conn *conn) {
    if (--conn->holds == 0 && conn->held)
        advance(conn);
}

/* ---- moving ------------------------------------------------------------------------------------------------------------------- */

void conn_note_owner(struct conn *conn, int shard) {
    if (conn->moving)
        return; /* it goes where it was told to */
    if (shard != conn->lean_shard) {
        conn->lean_shard = shard;
        conn->lean_count = 0;
    }
    if (shard < 0 || shard == conn->shard->index || ++conn->lean_count < conn->lean_needed)
        return;
    conn->moving = true;
    conn->lean_needed = conn->lean_needed < LEAN_LAST ? conn->lean_needed * 2 : LEAN_LAST;
}

static void moved(struct sock *sock) {
    struct conn *conn = sock_user(sock);
    conn->shard = &conn->shard->broker->shards[conn->lean_shard];
    conn->moving = false;
    conn->lean_count = 0;
    conn->shard->frames_bytes += frame_bytes(conn);
    if (conn->software_name.ptr)
        conn->software = metrics_count_software(conn->shard->metrics, conn->software_name, conn->software_version);
    list_push_back(&conn->shard->conns, &conn->node);
    touch(conn);
    if (conn->shard->stopping) {
        conn->close_when_answered = true;
        close_if_done(conn);
    } else {
        advance(conn);
    }
}

/* True: it is on its way, and no longer this shard's. */
static bool move_when_idle(struct conn *conn) {
    if (!conn->moving || conn->in_work || conn->held || conn->receiving || conn->flush.queued || conn->close_when_answered ||
        !list_is_empty(&conn->requests) || !list_is_empty(&conn->sending))
        return false;
    list_remove(&conn->node);
    conn->shard->frames_bytes -= frame_bytes(conn);
    metrics_forget_software(conn->software); /* each shard counts its own */
    conn->software = NULL;
    sock_move(conn->sock, conn->shard->broker->shards[conn->lean_shard].shard, moved);
    return true;
}

/* ---- receiving ----------------------------------------------------------------------------------------------------------------- */

static void received(struct sock *sock, enum err err, size_t count) {
    struct conn *conn = sock_user(sock);
    conn->receiving = false;
    if (conn->closing)
        return;
    if (err || (conn->ending && !count)) {
        conn_close(conn);
        return;
    }
    if (conn->ending) {
        drop_input(conn);
        return;
    }
    if (!count) { /* it may still wait for answers */
        conn->peer_done = true;
        conn->close_when_answered = true;
        close_if_done(conn);
        return;
    }
    touch(conn);
    if (conn->direct)
        conn->frame_have += count;
    else
        conn->have += count;
    if (conn->buffer == conn->small && conn->have == conn->buffer_size && conn->spoke) { /* it has much to say */
        conn->buffer = mem_alloc(CONN_BUFFER);
        conn->buffer_size = CONN_BUFFER;
        memcpy(conn->buffer, conn->small, conn->have);
    }
    advance(conn);
}

static bool reads_more(struct conn *conn) {
    if (conn->receiving || conn->closing || conn->moving || conn->held || conn->close_when_answered || conn->peer_done || conn->shard->stopping)
        return false;
    if (conn->in_work > conn->produce_in_work || conn->unsent >= CONN_PRODUCE_MAX || conn->work_bytes >= CONN_PRODUCE_BYTES_MAX)
        return false; /* muted until the answer is out */
    return list_is_empty(&conn->stalled);
}

static void receive(struct conn *conn) {
    if (!reads_more(conn))
        return;
    if (log_store_is_full(conn->shard->store)) {
        stall(conn);
        return;
    }
    conn->receiving = true;
    conn->direct = conn->frame && conn->frame_room == conn->frame_size && conn->frame_room - conn->frame_have >= conn->buffer_size;
    if (conn->direct)
        sock_recv(conn->sock, conn->frame + conn->frame_have, conn->frame_room - conn->frame_have, received);
    else
        sock_recv(conn->sock, conn->buffer + conn->have, conn->buffer_size - conn->have, received);
}

/* Tails are written out by the device at its own pace, requests are answered; whoever waits for room asks again. */
static void stalled(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct broker_shard *broker_shard = container_of(timer, struct broker_shard, stalled_timer);
    struct list waiting, *node;
    list_init(&waiting);
    list_splice(&waiting, &broker_shard->stalled);
    while ((node = list_pop_front(&waiting)))
        advance(container_of(node, struct conn, stalled));
}

/* ---- idle connections ---------------------------------------------------------------------------------------------------------- */

static void idle(struct shard *shard, struct timer *timer) {
    struct broker_shard *broker_shard = container_of(timer, struct broker_shard, idle_timer);
    int64_t max_ms = broker_config_int(broker_shard->broker->config, "connections.max.idle.ms");
    uint64_t max_ns = (uint64_t)max_ms * NS_PER_MS, now = shard_now_ns(shard), next = max_ns;
    while (!list_is_empty(&broker_shard->conns)) {
        struct conn *conn = container_of(broker_shard->conns.next, struct conn, node);
        uint64_t age = now - conn->active_ns;
        if (age < max_ns) {
            next = max_ns - age;
            break;
        }
        size_t left = sock_send_left(conn->sock);
        if (left && left < conn->send_left) { /* slow, not idle */
            conn->send_left = left;
            touch(conn);
            continue;
        }
        trace_debug("broker", "idle connection closed", TRACE_STR("peer", conn->peer));
        listener_metrics(conn)->expired++;
        conn_close(conn);
    }
    timer_start(shard, timer, next + NS_PER_MS);
}

void conn_start_timers(struct broker_shard *shard) {
    shard->idle_timer.fire = idle;
    shard->stalled_timer.fire = stalled;
    int64_t max_ms = broker_config_int(shard->broker->config, "connections.max.idle.ms");
    if (max_ms >= 0)
        timer_start(shard->shard, &shard->idle_timer, (uint64_t)max_ms * NS_PER_MS);
}

/* ---- accepting ------------------------------------------------------------------------------------------------------------------ */

static void admitted(struct conn *conn, bool fine) {
    conn->admitting = false;
    conn->admitted = fine;
    listener_metrics(conn)->accepted += fine;
    if (conn->gone)
        closed(conn->shard->shard, conn);
    else if (conn->closing)
        return;
    else if (fine)
        advance(conn);
    else
        conn_close(conn);
}

void conn_accepted(struct shard *shard, struct sock *sock, void *arg) {
    struct conn *conn = mem_new(struct conn);
    struct sock_address peer;
    conn->shard = broker_shard_of(shard);
    conn->listener = arg;
    conn->sock = sock;
    conn->buffer = conn->small;
    conn->buffer_size = sizeof conn->small;
    conn->flush.run = flush;
    conn->lean_shard = -1;
    conn->lean_needed = LEAN_FIRST;
    conn->active_ns = shard_now_ns(shard);
    list_init(&conn->requests);
    list_init(&conn->sending);
    list_init(&conn->stalled);
    list_push_back(&conn->shard->conns, &conn->node);
    sock_set_user(sock, conn);
    sock_peer(sock, &peer);
    snprintf(conn->peer, sizeof conn->peer, "%s", peer.text);
    conn->peer_port = peer.port;
    if (conn->shard->stopping)
        conn_close(conn);
    else {
        conn->admitting = true;
        connections_admit(conn, admitted);
    }
}
