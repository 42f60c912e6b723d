/* A node's life: start, recover, register, serve, stop. */
#ifndef BROKER_NODE_H
#define BROKER_NODE_H

#include "broker/broker.h"

/* Runs a node until it is told to stop. 0: it stopped cleanly; else what a command exits with, after one line on
 * stderr. Takes the configuration. Blocking. start_services, which may be NULL, runs before the shards, when the ports are
 * bound, and gives what stop_services() gets after them: the parts above the broker (HTTP). An error, told by itself, ends
 * the start. */
int node_run(struct broker_config *config, enum err (*start_services)(struct broker *broker, void **ret_services), void (*stop_services)(void *services));

/* The same in steps, for who has a runtime of its own. node_create() prepares the directories and listeners and blocks;
 * NULL: *ret_error has the line. node_start() is what runtime_run() starts on each shard, node_stop() what it calls for a
 * signal, both with the node as arg; the runtime stops when the node has. node_destroy() comes after that, and tells whether
 * it stopped cleanly. The configuration stays the caller's. */
struct node;
struct node *node_create(struct runtime *runtime, struct broker_config *config, struct buf *ret_error) MUST_USE;
void node_start(struct shard *shard, void *arg);
void node_stop(struct shard *shard, void *arg);
bool node_destroy(struct node *node);
struct broker *node_broker(struct node *node);

#endif
