/* A request on its way through the broker: from the bytes of one frame to the bytes of one answer.
 *
 * The connection's shard owns it. A handler (src/broker/handlers/) decodes the body, and answers in the same turn or
 * later, exactly once; until then the request, its arena and its frame stay. Whoever answers later keeps the pointer:
 * a connection that closes meanwhile leaves the request to be answered, and drops the answer. */
#ifndef BROKER_REQUEST_H
#define BROKER_REQUEST_H

#include "base/arena.h"
#include "protocol/api.h"
#include "runtime/runtime.h"

struct broker_shard;
struct conn;

struct request {
    struct broker_shard *shard;
    struct conn *conn;
    bool on_controller;  /* it came in on the controller's listener */
    struct api_header header;
    struct decoder body; /* at the first byte after the header; allocates from the arena */
    struct arena arena;
    uint8_t *frame;      /* the request's bytes */
    size_t frame_size;
    uint64_t received_ns, handled_ns, answered_ns, sending_ns; /* for metrics: starts of the turns */
    /* The answer, while it waits for its turn and is sent. */
    struct list node;    /* of conn->requests, in order of arrival */
    bool answered, silent; /* silent: no answer goes out (acks=0) */
    bool close_after;    /* the connection is closed once what was answered is sent */
    struct buf head;     /* frame size, header, message without its spliced records */
    struct piece *pieces;
    int piece_count;
    size_t answer_size;
    int32_t throttle_ms;
};

typedef void request_handler(struct request *request);
/* Encoders and decoders of generated messages have this shape behind a cast-free macro: */
typedef enum err message_decode_fn(struct decoder *d, int version, void *message);
typedef enum err message_encode_fn(struct encoder *e, int version, const void *message);

/* Decodes the body into *message (zeroed struct NAME_request). On bad bytes the request is answered by closing the
 * connection, one log line is written, and false comes back: the handler just returns. */
#define request_decode(request, name, message)                                                       \
    request_decoded((request), name##_request_decode(&(request)->body, (request)->header.version, (message)))
bool request_decoded(struct request *request, enum err err);

/* Encodes the answer and hands it to the connection. The message and what it names may be dropped afterwards, but for
 * spliced records, whose pieces must stay until the request is freed (arena, or arena_on_reset()). */
#define request_answer(request, name, message)                                                       \
    do {                                                                                             \
        struct encoder encoder_;                                                                     \
        request_answer_begin((request), &encoder_);                                                  \
        enum err err_ = name##_response_encode(&encoder_, (request)->header.version, (message));     \
        request_answer_end((request), &encoder_, err_);                                              \
    } while (0)
void request_answer_begin(struct request *request, struct encoder *ret_encoder);
void request_answer_end(struct request *request, struct encoder *encoder, enum err err);
/* Which handler serves an API, and up to which version; NULL: none does. dispatch.c has the table. */
request_handler *request_handler_of(int key, bool on_controller, int16_t *ret_version_min, int16_t *ret_version_max);
/* Answers nothing (acks=0), or closes the connection. */
void request_answer_nothing(struct request *request, bool close);

#endif
