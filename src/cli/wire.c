#include "cli/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "cli/output.h"
#include "cli/secure.h"
#include "protocol/api_versions_request.h"
#include "protocol/api_versions_response.h"
#include "protocol/errors.h"
#include "protocol/message_table.h"

enum { FRAME_SIZE_MAX = 512 << 20, DEFAULT_PORT = 9092 };

bool wire_parse_address(struct slice text, char host[256], int *ret_port) {
    const char *begin = (const char *)text.ptr, *end = begin + text.size, *scheme = memmem(begin, text.size, "://", 3);
    if (scheme)
        begin = scheme + 3;
    const char *host_end = end, *port = NULL;
    if (begin < end && *begin == '[') {
        begin++;
        host_end = memchr(begin, ']', (size_t)(end - begin));
        if (!host_end)
            return false;
        port = host_end + 1 < end && host_end[1] == ':' ? host_end + 2 : NULL;
        if (!port && host_end + 1 != end)
            return false;
    } else {
        const char *colon = memrchr(begin, ':', (size_t)(end - begin));
        if (colon && memchr(begin, ':', (size_t)(colon - begin)) == NULL) {
            host_end = colon;
            port = colon + 1;
        }
    }
    size_t size = (size_t)(host_end - begin);
    if (size == 0 || size > 255)
        return false;
    int64_t number = DEFAULT_PORT;
    if (port) {
        char digits[8] = {0};
        if (end - port < 1 || end - port > 5)
            return false;
        memcpy(digits, port, (size_t)(end - port));
        if (!parse_int(digits, &number) || number < 1 || number > 65535)
            return false;
    }
    memcpy(host, begin, size);
    host[size] = 0;
    *ret_port = (int)number;
    return true;
}

void wire_init(struct wire *wire, const char *host, int port, int timeout_ms, const struct wire_security *security) {
    *wire = (struct wire){.fd = -1, .port = port, .timeout_ms = timeout_ms, .security = security};
    snprintf(wire->host, sizeof wire->host, "%s", host);
}

void wire_close(struct wire *wire) {
    secure_end(wire);
    if (wire->fd >= 0)
        close(wire->fd);
    wire->fd = -1;
}

/* ---- bytes --------------------------------------------------------------------------------------------------- */

static enum err fail_timeout(const struct wire *wire, struct buf *error) {
    buf_printf(error, "%s:%d does not answer within %d ms; check the address and the network, or wait longer with --timeout",
               wire->host, wire->port, wire->timeout_ms);
    return ERR_TIMEOUT;
}

static enum err fail_closed(const struct wire *wire, struct buf *error) {
    if (wire->security && wire->security->tls)
        buf_printf(error, "%s:%d closed the connection; is it a TLS listener of a broker?", wire->host, wire->port);
    else
        buf_printf(error,
                   "%s:%d closed the connection; is it a plain text listener of a broker? give security.protocol with "
                   "--command-config if it wants TLS or SASL",
                   wire->host, wire->port);
    return ERR_CLOSED;
}

enum err wire_wait(const struct wire *wire, short events, int64_t deadline_us, struct buf *error) {
    struct pollfd fd = {.fd = wire->fd, .events = events};
    for (;;) {
        int64_t left_us = deadline_us - cli_now_us();
        int n = poll(&fd, 1, left_us > 0 ? (int)(left_us / 1000) + 1 : 0);
        if (n > 0)
            return ERR_OK;
        if (n == 0)
            return fail_timeout(wire, error);
        if (errno != EINTR)
            return err_from_errno(errno);
    }
}

/* Moves some bytes: the count, 0 when the peer closed, -1 with the events to wait for, -2 when it failed. */
static ssize_t move(struct wire *wire, void *bytes, size_t size, bool send_it, short *ret_events) {
    if (wire->tls)
        return secure_move(wire, bytes, size, send_it, ret_events);
    ssize_t n = send_it ? send(wire->fd, bytes, size, MSG_NOSIGNAL) : recv(wire->fd, bytes, size, 0);
    *ret_events = send_it ? POLLOUT : POLLIN;
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? -1 : errno == ECONNRESET || errno == EPIPE ? 0 : -2;
}

static enum err move_all(struct wire *wire, void *bytes, size_t size, bool send_it, struct buf *error) {
    int64_t deadline_us = cli_now_us() + (int64_t)wire->timeout_ms * 1000;
    for (size_t done = 0; done < size;) {
        short events = 0;
        ssize_t n = move(wire, (char *)bytes + done, size - done, send_it, &events);
        if (n == 0)
            return fail_closed(wire, error);
        if (n == -2) {
            buf_printf(error, "the connection to %s:%d failed: %s", wire->host, wire->port, strerror(errno));
            return ERR_IO;
        }
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        enum err err = wire_wait(wire, events, deadline_us, error);
        if (err)
            return err;
    }
    return ERR_OK;
}

static enum err wire_send(struct wire *wire, const void *bytes, size_t size, struct buf *error) {
    return move_all(wire, (void *)bytes, size, true, error);
}

static enum err wire_receive(struct wire *wire, void *bytes, size_t size, struct buf *error) {
    return move_all(wire, bytes, size, false, error);
}

/* ---- connecting ---------------------------------------------------------------------------------------------- */

static int connect_address(struct wire *wire, const struct addrinfo *address, struct buf *error) {
    wire->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (wire->fd < 0)
        return errno;
    int one = 1, failure = 0;
    setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(wire->fd, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS) {
        failure = errno;
    } else if (wire_wait(wire, POLLOUT, cli_now_us() + (int64_t)wire->timeout_ms * 1000, error)) {
        failure = ETIMEDOUT;
    } else {
        socklen_t size = sizeof failure;
        getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    }
    if (failure)
        wire_close(wire);
    return failure;
}

static enum err connect_host(struct wire *wire, struct buf *error) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses;
    char port[16];
    snprintf(port, sizeof port, "%d", wire->port);
    int code = getaddrinfo(wire->host, port, &hints, &addresses);
    if (code) {
        buf_printf(error, "host '%s' is not known (%s); check --bootstrap-server", wire->host, gai_strerror(code));
        return ERR_NOT_FOUND;
    }
    int failure = 0;
    for (const struct addrinfo *address = addresses; address; address = address->ai_next) {
        buf_clear(error);
        failure = connect_address(wire, address, error);
        if (!failure)
            break;
    }
    freeaddrinfo(addresses);
    if (!failure)
        return ERR_OK;
    buf_clear(error);
    if (failure == ECONNREFUSED) {
        buf_printf(error,
                   "%s:%d refuses connections; is a broker running there? start one with `myelin server`, or name another "
                   "with -b HOST:PORT",
                   wire->host, wire->port);
        return ERR_CLOSED;
    }
    if (failure == ETIMEDOUT)
        return fail_timeout(wire, error);
    buf_printf(error, "cannot connect to %s:%d: %s; check --bootstrap-server", wire->host, wire->port, strerror(failure));
    return ERR_IO;
}

static enum err ask_versions(struct wire *wire, struct buf *error) {
    struct arena arena = {0};
    struct api_versions_request request;
    struct api_versions_response response = {0};
    api_versions_request_init(&request);
    request.client_software_name = SLICE_LIT("myelin-cli");
    request.client_software_version = SLICE_LIT(MYELIN_VERSION);
    wire->apis[API_API_VERSIONS].there = true;
    wire->apis[API_API_VERSIONS].version_max = 3;
    enum err err = wire_call(wire, API_API_VERSIONS, &request, &response, &arena, error);
    if (!err && response.error_code) {
        buf_printf(error, "%s:%d does not take ApiVersions 3 (%s); it is older than this program supports", wire->host,
                   wire->port, kafka_error_name(response.error_code));
        err = ERR_UNSUPPORTED;
    }
    for (int i = 0; !err && i < response.api_keys_count; i++) {
        int key = response.api_keys[i].api_key;
        if (key < 0 || key >= API_COUNT)
            continue;
        wire->apis[key].there = true;
        wire->apis[key].version_min = response.api_keys[i].min_version;
        wire->apis[key].version_max = response.api_keys[i].max_version;
    }
    arena_deinit(&arena);
    return err;
}

enum err wire_open(struct wire *wire, struct buf *error) {
    enum err err = connect_host(wire, error);
    if (!err && wire->security)
        err = secure_begin(wire, error);
    if (!err)
        err = ask_versions(wire, error);
    if (!err && wire->security)
        err = secure_authenticate(wire, error);
    if (err)
        wire_close(wire);
    return err;
}

/* ---- calls --------------------------------------------------------------------------------------------------- */

int wire_version(const struct wire *wire, enum api_key key) {
    const struct api *api = api_find(key);
    if (!api || !wire->apis[key].there)
        return -1;
    int version = api->version_max - api->unstable_latest;
    if (version > wire->apis[key].version_max)
        version = wire->apis[key].version_max;
    return version < api->version_min || version < wire->apis[key].version_min ? -1 : version;
}

static const struct message_type *find_type(int kind, int key) {
    for (int i = 0; i < message_type_count; i++)
        if ((int)message_types[i].kind == kind && message_types[i].key == key)
            return &message_types[i];
    return NULL;
}

static enum err send_request(struct wire *wire, const struct api_header *header, const void *request, struct buf *error) {
    struct buf frame = {0};
    struct encoder encoder;
    encoder_init(&encoder, &frame, NULL);
    encode_int32(&encoder, 0);
    api_header_encode(&encoder, header);
    enum err err = find_type(MESSAGE_REQUEST, header->key)->encode(&encoder, header->version, request);
    if (err) {
        buf_printf(error, "the broker is too old for this: its %s ends at version %d", api_table[header->key].name,
                   header->version);
    } else {
        store_be32(frame.ptr, (uint32_t)(frame.size - 4));
        err = wire_send(wire, frame.ptr, frame.size, error);
    }
    buf_deinit(&frame);
    return err;
}

static enum err fail_malformed(const struct wire *wire, const char *what, struct buf *error) {
    buf_printf(error, "%s:%d answers with bytes that are not Kafka's (%s); is it a plain text listener of a broker?", wire->host,
               wire->port, what);
    return ERR_CORRUPT;
}

static enum err receive_response(struct wire *wire, const struct api_header *header, void *response, struct arena *arena,
                                 struct buf *error) {
    uint8_t prefix[4];
    enum err err = wire_receive(wire, prefix, sizeof prefix, error);
    if (err)
        return err;
    uint32_t size = load_be32(prefix);
    uint8_t *frame = size >= 4 && size <= FRAME_SIZE_MAX ? arena_try_alloc(arena, size) : NULL;
    if (!frame)
        return fail_malformed(wire, "its size", error);
    err = wire_receive(wire, frame, size, error);
    if (err)
        return err;
    struct decoder decoder = decoder_of(slice_of(frame, size), arena);
    if (decode_int32(&decoder) != header->correlation_id)
        return fail_malformed(wire, "its correlation id", error);
    int version = header->version;
    if (version >= api_table[header->key].response_flexible_from)
        decode_skip_tags(&decoder);
    /* A broker that does not know this version of ApiVersions answers in version 0. */
    if (header->key == API_API_VERSIONS && decoder_left(&decoder) >= 2 && load_be16(decoder.ptr) == KAFKA_UNSUPPORTED_VERSION)
        version = 0;
    err = find_type(MESSAGE_RESPONSE, header->key)->decode(&decoder, version, response);
    return err ? fail_malformed(wire, api_table[header->key].name, error) : ERR_OK;
}

enum err wire_call(struct wire *wire, enum api_key key, const void *request, void *response, struct arena *arena,
                   struct buf *error) {
    int version = wire_version(wire, key);
    if (version < 0) {
        buf_printf(error, "%s:%d does not offer %s in a version that this program knows; `myelin cluster api-versions` lists what it "
                   "offers",
                   wire->host, wire->port, api_find(key) ? api_table[key].name : "this");
        return ERR_UNSUPPORTED;
    }
    struct api_header header = {(int16_t)key, (int16_t)version, ++wire->correlation_id, SLICE_LIT("myelin-cli")};
    enum err err = send_request(wire, &header, request, error);
    if (!err)
        err = receive_response(wire, &header, response, arena, error);
    if (err && err != ERR_UNSUPPORTED)
        wire_close(wire);
    return err;
}
