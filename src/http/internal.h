/* What the files of src/http share. All of it belongs to the HTTP thread, but for what is posted to shards. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <microhttpd.h>
#include "base/buf.h"
#include "broker/broker.h"
#include "http/http.h"
#include "runtime/side.h"

/* An answer that several requests may share. */
struct http_answer {
    struct MHD_Response *response;
    unsigned status;
    int refs;
};
struct http_request {
    struct list node; /* of what it waits for */
    struct http *http;
    struct MHD_Connection *connection;
    bool suspended;
    struct http_answer *answer; /* set: to be sent next */
    uint64_t deadline_ns;       /* while it waits */
};

struct http {
    struct broker *broker;
    struct side *side;
    struct MHD_Daemon *daemon;
    int listen_fd, epoll_fd;
    struct health *health;
    struct scrapes *scrapes;
    uint64_t requests; /* answered */
};

/* server.c */
/* Begins with one reference, of the caller. The bytes are the answer's now. */
struct http_answer *http_answer_create(unsigned status, struct buf *body, const char *content_type);
void http_answer_unref(struct http_answer *answer);
/* The answer; what waits goes on. Takes a reference of its own. */
void http_answer(struct http_request *request, struct http_answer *answer);
/* The text is the answer's now. */
void http_answer_json(struct http_request *request, unsigned status, struct buf *text);
/* Joins the list, with the time from which it waits no more. */
void http_wait(struct http_request *request, struct list *list, uint64_t timeout_ns);

/* health.c */
struct health *health_create(struct http *http);
void health_destroy(struct health *health);
void health_handle(struct http_request *request);
void ready_handle(struct http_request *request);
/* Answers whoever has waited long enough; the next time something may be due, or UINT64_MAX. */
uint64_t health_check(struct health *health, uint64_t now_ns);

/* metrics.c */
struct scrapes *scrapes_create(struct http *http);
void scrapes_destroy(struct scrapes *scrapes);
void scrapes_handle(struct http_request *request);
uint64_t scrapes_check(struct scrapes *scrapes, uint64_t now_ns);

#endif
