/* A node's life: start, recover, register, serve, stop. */
#ifndef BROKER_NODE_H
#define BROKER_NODE_H

#include "broker/broker.h"

/* Runs a node until it is told to stop. 0: it stopped cleanly; else what a command exits with, after one line on
 * stderr. Takes the configuration. Blocking. start_services, which may be NULL, runs before the shards and gives what
 * stop_services() gets after them: the parts above the broker (HTTP). */
int node_run(struct broker_config *config, void *(*start_services)(struct broker *broker), void (*stop_services)(void *services));

#endif
