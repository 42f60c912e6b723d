/* A client's connection: bytes in, frames out to the dispatcher; answers in order, bytes out.
 *
 * One request is in work at a time and the next is read when it is answered, as Kafka does (KIP-219 throttling rests on
 * it), but for Produce: those behind one another go to the log at once and are answered in order.
 *
 * Memory: a connection that says nothing costs this struct. Until its first request header has been read whole it has
 * FIRST_HEADER_MAX bytes more at most (16 KiB with all else); then there is the frame, and when it sends much at a time,
 * a buffer. A peer that does not read its answers is not read from; one with many Produce requests in work waits.
 *
 * A connection whose requests all go to partitions of one other shard moves to that shard, once nothing of it is in
 * work: from then on its requests cross no thread. */
#ifndef BROKER_CONN_H
#define BROKER_CONN_H

#include "broker/broker.h"

enum {
    CONN_SMALL = 2048,
    CONN_BUFFER = 16384,
    CONN_FIRST_HEADER_MAX = 12288,     /* of the first request's header, which is read before anybody is known */
    CONN_PRODUCE_MAX = 64,             /* requests not yet sent an answer for */
    CONN_PRODUCE_BYTES_MAX = 32 << 20, /* of their frames, beyond the first */
};

struct conn {
    struct broker_shard *shard;
    struct broker_listener *listener;
    struct sock *sock;
    struct list node;      /* of the shard's conns */
    struct list stalled;   /* of the shard's stalled */
    struct list requests;  /* struct request in order of arrival, not yet sent */
    struct list sending;   /* whose answers are in the send in work */
    struct request *held;  /* read; waits until those before it are answered */
    int in_work;           /* handed out, not answered */
    int produce_in_work;
    int holds;                 /* conn_hold() */
    int unsent;            /* in requests and sending */
    int64_t work_bytes;    /* of the frames of requests in work */
    bool spoke;            /* a request's header was read */
    bool direct;           /* the receive in work goes into the frame */
    size_t send_left;      /* when the idle time was last looked at */
    bool receiving, closing, close_when_answered, peer_done;
    bool ending;           /* the node stops: all is sent, the peer is to close */
    int lean_shard, lean_count, lean_needed; /* its last lean_count requests went to lean_shard alone */
    bool moving;           /* to lean_shard: nothing more is read before */
    bool admitting, admitted, gone; /* see connections.h; gone: freed when the admission is answered */
    uint8_t *buffer;       /* what came and is not yet taken: small[], or CONN_BUFFER bytes once that was too small */
    size_t buffer_size, have;
    uint8_t small[CONN_SMALL];
    uint8_t *frame;        /* being read */
    size_t frame_size, frame_have, frame_room;
    struct piece *pieces;
    int piece_capacity;
    struct turn_hook flush;
    uint64_t active_ns;
    char peer[64];
    uint16_t peer_port;
    struct slice software_name, software_version; /* ApiVersions (KIP-511); owned */
    struct software_metrics *software;
    struct share_binding *share; /* the share session that ends with it; NULL: none */
    struct uuid telemetry_instance; /* that pushed its metrics here last; zero: none */
};

void conn_accepted(struct shard *shard, struct sock *sock, void *arg); /* arg: struct broker_listener */
/* A request of it was answered (request->answered). */
void conn_answered(struct conn *conn, struct request *request);
/* All partitions of a request of it belong to one shard; -1: to several. */
void conn_note_owner(struct conn *conn, int shard);
/* A request of the connection must have done its work, or sent it on its way, before a later one may begin: the next is held
 * until the last of those that hold let go. */
void conn_hold(struct conn *conn);
void conn_let_go(struct conn *conn);
/* The node stops: ends each connection as soon as its last request is answered. */
void conn_end_all(struct broker_shard *shard);
/* Calls on_drained() when nothing is in work any more and the peers have closed. */
void conn_check_drained(struct broker_shard *shard);
/* Closes those whose peers did not. */
void conn_close_all(struct broker_shard *shard);
void conn_start_timers(struct broker_shard *shard);
void conn_free_requests(struct broker_shard *shard);

/* dispatch.c: hands a request, whose frame is whole, to its handler. False: close the connection instead. */
bool request_dispatch(struct request *request);
/* Reads the header; false: nothing that may come in on this listener. */
bool request_read_header(struct request *request);

#endif
