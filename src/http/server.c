/* The thread, the connections and the paths. What a client may cost: CONNECTIONS_MAX sockets of CONNECTION_MEMORY bytes,
 * for IDLE_S seconds without a byte; bodies are thrown away. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/trace.h"
#include "http/internal.h"

enum { CONNECTIONS_MAX = 64, CONNECTION_MEMORY = 16384, IDLE_S = 10, BACKLOG = 64,
       SLEEP_MAX_MS = 1000 }; /* after a full house the daemon may miss who has come meanwhile */

/* ---- answers --------------------------------------------------------------------------------------------------------- */

struct http_answer *http_answer_create(unsigned status, struct buf *body, const char *content_type) {
    struct http_answer *answer = mem_new(struct http_answer);
    answer->response = MHD_create_response_from_buffer(body->size, (void *)buf_text(body), MHD_RESPMEM_MUST_FREE);
    *body = (struct buf){0};
    MHD_add_response_header(answer->response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    MHD_add_response_header(answer->response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(answer->response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    answer->status = status;
    answer->refs = 1;
    return answer;
}

void http_answer_unref(struct http_answer *answer) {
    if (!answer || --answer->refs)
        return;
    MHD_destroy_response(answer->response);
    mem_free(answer);
}

void http_answer(struct http_request *request, struct http_answer *answer) {
    list_remove(&request->node);
    request->answer = answer;
    answer->refs++;
    if (request->suspended) {
        request->suspended = false;
        MHD_resume_connection(request->connection);
    }
}

void http_answer_json(struct http_request *request, unsigned status, struct buf *text) {
    struct http_answer *answer = http_answer_create(status, text, "application/json");
    http_answer(request, answer);
    http_answer_unref(answer);
}

void http_wait(struct http_request *request, struct list *list, uint64_t timeout_ns) {
    request->deadline_ns = side_now_ns() + timeout_ns;
    list_remove(&request->node);
    list_push_back(list, &request->node);
    if (!request->suspended) {
        request->suspended = true;
        MHD_suspend_connection(request->connection);
    }
}

static void answer_error(struct http_request *request, unsigned status, const char *error) {
    struct buf json = {0};
    buf_printf(&json, "{\"error\":\"%s\"}\n", error);
    http_answer_json(request, status, &json);
}

static void index_handle(struct http_request *request) {
    struct buf json = {0};
    buf_add_str(&json, "{\"name\":\"myelin\",\"version\":\"" MYELIN_VERSION "\",\"paths\":[\"/metrics\",\"/health\",\"/ready\"]}\n");
    http_answer_json(request, MHD_HTTP_OK, &json);
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

static const struct route {
    const char *path;
    void (*handle)(struct http_request *request);
} routes[] = {
    {"/", index_handle},
    {"/health", health_handle},
    {"/metrics", scrapes_handle},
    {"/ready", ready_handle},
};

static void route(struct http_request *request, const char *method, const char *path) {
    const struct route *found = NULL;
    for (int i = 0; i < COUNT_OF(routes); i++)
        if (strcmp(path, routes[i].path) == 0)
            found = &routes[i];
    if (!found)
        answer_error(request, MHD_HTTP_NOT_FOUND, "there is no such path; / lists them");
    else if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        answer_error(request, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD");
    else
        found->handle(request);
}

/* Called once when the header is there, then with the body, then to answer, then again after a suspension. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
                                  const char *body, size_t *body_size, void **ret_request) {
    (void)version, (void)body;
    struct http_request *request = *ret_request;
    if (!request) {
        request = mem_new(struct http_request);
        request->http = arg;
        request->connection = connection;
        list_init(&request->node);
        *ret_request = request;
        return MHD_YES;
    }
    if (*body_size) {
        *body_size = 0;
        return MHD_YES;
    }
    if (!request->answer)
        route(request, method, path);
    if (!request->answer)
        return MHD_YES; /* suspended */
    request->http->requests++;
    return MHD_queue_response(connection, request->answer->status, request->answer->response);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **ret_request, enum MHD_RequestTerminationCode code) {
    (void)arg, (void)connection, (void)code;
    struct http_request *request = *ret_request;
    if (!request)
        return;
    list_remove(&request->node);
    http_answer_unref(request->answer);
    mem_free(request);
    *ret_request = NULL;
}

/* ---- the thread ------------------------------------------------------------------------------------------------------ */

static int wait_ms(struct http *http, uint64_t due_ns) {
    MHD_UNSIGNED_LONG_LONG timeout;
    uint64_t now = side_now_ns(), ms = UINT64_MAX;
    if (MHD_get_timeout(http->daemon, &timeout) == MHD_YES)
        ms = timeout;
    if (due_ns != UINT64_MAX) {
        uint64_t due_ms = due_ns > now ? (due_ns - now) / NS_PER_MS + 1 : 0;
        ms = due_ms < ms ? due_ms : ms;
    }
    return ms > SLEEP_MAX_MS ? SLEEP_MAX_MS : (int)ms;
}

static bool is_full(const struct http *http) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info->num_connections >= CONNECTIONS_MAX;
}

static void run(struct side *side, void *arg) {
    struct http *http = arg;
    uint64_t due = UINT64_MAX;
    while (!side_is_stopping(side)) {
        side_wait(side, http->epoll_fd, wait_ms(http, due));
        uint64_t now = side_now_ns();
        uint64_t health = health_check(http->health, now), scrapes = scrapes_check(http->scrapes, now);
        due = health < scrapes ? health : scrapes;
        bool was_full = is_full(http);
        MHD_run(http->daemon);
        if (was_full) /* it looks at its listener again when it next runs, and who waits there wakes nobody */
            MHD_run(http->daemon);
    }
}

/* ---- start and stop -------------------------------------------------------------------------------------------------- */

static enum err listen_on(const char *host, int port, int *ret_fd) {
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
    if (getaddrinfo(host[0] ? host : NULL, service, &hints, &found) != 0)
        return ERR_NOT_FOUND;
    int fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    enum err err = fd < 0 ? err_from_errno(errno) : ERR_OK;
    if (!err)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!err && (bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0))
        err = errno == EADDRINUSE ? ERR_EXISTS : err_from_errno(errno);
    freeaddrinfo(found);
    if (err && fd >= 0)
        close(fd);
    *ret_fd = fd;
    return err;
}

static int bound_port(int fd) {
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char service[16] = "0";
    if (getsockname(fd, (struct sockaddr *)&address, &size) == 0)
        getnameinfo((struct sockaddr *)&address, size, NULL, 0, service, sizeof service, NI_NUMERICSERV);
    return atoi(service);
}

static enum err start_daemon(struct http *http) {
    http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET,
                                    http->listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                                    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                    (size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (!http->daemon) {
        close(http->listen_fd);
        return ERR_UNSUPPORTED;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    http->epoll_fd = info->epoll_fd;
    return ERR_OK;
}

enum err http_start(struct broker *broker, void **ret_services) {
    const struct broker_config *config = broker->config;
    *ret_services = NULL;
    if (config->http_port < 0)
        return ERR_OK;
    struct http *http = mem_new(struct http);
    http->broker = broker;
    enum err err = listen_on(config->http_host, config->http_port, &http->listen_fd);
    if (!err)
        err = start_daemon(http);
    if (err) {
        const char *why = err == ERR_EXISTS ? "the address is in use" : err == ERR_NOT_FOUND ? "no such host" : err_text(err);
        mem_free(http);
        if (!config->http_is_set) { /* nobody has asked for it: a second node on a machine shall start */
            trace_warn("http", "no HTTP listener", TRACE_STR("host", config->http_host), TRACE_INT("port", config->http_port),
                       TRACE_STR("because", why));
            return ERR_OK;
        }
        fprintf(stderr, "myelin: myelin.http.listener %s:%d: %s\n", config->http_host, config->http_port, why);
        return err;
    }
    http->health = health_create(http);
    http->scrapes = scrapes_create(http);
    trace_info("http", "listening", TRACE_STR("host", config->http_host), TRACE_INT("port", bound_port(http->listen_fd)));
    http->side = side_start(run, http);
    *ret_services = http;
    return ERR_OK;
}

void http_stop(void *services) {
    struct http *http = services;
    if (!http)
        return;
    side_stop(http->side);
    health_destroy(http->health); /* answers who waits: a daemon must not end with suspended connections */
    scrapes_destroy(http->scrapes);
    MHD_stop_daemon(http->daemon);
    mem_free(http);
}
