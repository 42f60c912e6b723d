/* The HTTP listener: /metrics for Prometheus, /health (alive) and /ready (serving) for whoever starts and stops us.
 *
 * One thread beside the shards (runtime/side.h) runs libmicrohttpd. It asks shards by message and gets answers by
 * message; a request waits suspended meanwhile, so nothing blocks, and no client of HTTP can cost a shard more than
 * one gathering of numbers at a time. Reading order: server.c (thread, connections), health.c, metrics.c (gathering),
 * kafka.c and own.c (names), exposition.h (text). */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "broker/broker.h"

/* Of node_run(). *ret_services is NULL when there shall be no listener. An error has been told on stderr. */
enum err http_start(struct broker *broker, void **ret_services) MUST_USE;
void http_stop(void *services); /* after the shards have ended */

#endif
