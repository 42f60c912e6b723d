/* One connection to a broker over which the command line speaks the protocol itself, with the generated codec: a
 * request, then its answer. librdkafka carries records (produce, consume, bench); administration goes this way, since
 * librdkafka 2.0 knows a part of it only (no incremental configurations, topic ids, log directories, quorum, features).
 *
 * It blocks, on plain POSIX sockets: this is a client program that the simulator never runs, the one part above the
 * runtime seam that may. Every wait has a deadline. What a broker sends is not trusted: sizes are checked before
 * memory is taken, and a malformed answer closes the connection.
 * Errors are one line in `error`: what failed, then what to do next. */
#ifndef CLI_WIRE_H
#define CLI_WIRE_H

#include "protocol/api.h"

struct wire_security; /* secure.h; NULL: plain text */
struct wire {
    int fd; /* -1: not connected */
    char host[256];
    int port, timeout_ms;
    const struct wire_security *security;
    void *tls; /* of secure.c; NULL: plain text */
    int32_t correlation_id;
    struct {
        bool there;
        int16_t version_min, version_max;
    } apis[API_COUNT]; /* as the broker says */
};

void wire_init(struct wire *wire, const char *host, int port, int timeout_ms, const struct wire_security *security);
/* Connects and asks for the broker's versions. */
enum err wire_open(struct wire *wire, struct buf *error) MUST_USE;
void wire_close(struct wire *wire);
/* Sends `request` (the struct of the API's request) in the highest version that both know and fills `response`, which
 * borrows from the arena. */
enum err wire_call(struct wire *wire, enum api_key key, const void *request, void *response, struct arena *arena,
                   struct buf *error) MUST_USE;
/* The version that a call would use; -1: the broker does not know the API. */
int wire_version(const struct wire *wire, enum api_key key);


/* Until the socket can be read or written (poll's events). */
enum err wire_wait(const struct wire *wire, short events, int64_t deadline_us, struct buf *error) MUST_USE;

/* Splits HOST:PORT, [IPV6]:PORT, LISTENER://HOST:PORT or HOST alone (port 9092). */
bool wire_parse_address(struct slice text, char host[256], int *ret_port);

#endif
