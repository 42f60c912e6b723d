/* What a command that talks to a cluster has: where it is, how to reach it, and a connection a node.
 * --bootstrap-server, else bootstrap.servers of --command-config, else MYELIN_BOOTSTRAP, else 127.0.0.1:9092.
 * --command-config is a Kafka client's properties file; librdkafka's own names are taken too. The same file serves both
 * ways to a broker: the wire (administration) and librdkafka (records).
 * Functions that give an int give CLI_OK, or CLI_FAILED after one line on stderr. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <librdkafka/rdkafka.h>
#include "base/properties.h"
#include "cli/output.h"
#include "cli/secure.h"
#include "protocol/metadata_response.h"

struct client_node {
    int node_id; /* -1: reached by its bootstrap address */
    struct wire wire;
    struct client_node *next;
};
struct client {
    const struct options *options;
    struct arena arena; /* of answers; until client_close() */
    const char *bootstrap;
    int timeout_ms;
    struct properties properties;
    struct wire_security security;
    struct client_node *nodes;
    /* what librdkafka tells */
    int64_t down_since_us; /* no broker answers since; 0: one does */
    char denied[256];      /* why the broker does not let librdkafka in; "": it does */
};

/* Reads the settings and connects to the first bootstrap server that answers. */
int client_open(struct client *client, const struct options *options);
void client_close(struct client *client);

enum { CLIENT_ANY_NODE = -1 };
/* One request to a node. `response` borrows from client->arena. */
int client_call(struct client *client, int node_id, enum api_key key, const void *request, void *response);
bool client_offers(struct client *client, enum api_key key); /* the bootstrap server does */

/* Of the named topics, or of all when names is NULL. Creates none. */
int client_metadata(struct client *client, const char *const *names, int count, struct metadata_response *ret_metadata);
/* Of one topic that must be there; says which name is near when it is not. */
int client_topic(struct client *client, const char *name, const struct metadata_response_metadata_response_topic **ret_topic);
/* Likewise, but a broker that creates topics by itself may do so. */
int client_topic_or_create(struct client *client, const char *name, const struct metadata_response_metadata_response_topic **ret_topic);

/* A request that a coordinator may answer with an error that passes (it is made, loads, moves, or a transaction ends) is asked
 * again: true after a short wait; false: this one does not pass, or --timeout is over since client_deadline_us(). */
int64_t client_deadline_us(const struct client *client);
bool client_asks_again(int16_t code, int64_t deadline_us);
enum client_key { CLIENT_KEY_GROUP, CLIENT_KEY_TRANSACTION }; /* as FindCoordinator numbers them */
/* The node that is the coordinator of `id`; `what` it is, for errors. */
int client_find_coordinator(struct client *client, enum client_key type, const char *id, const char *what, int *ret_node);

/* A producer or consumer; the first line of failure is printed and NULL given. `defaults` is NAME, VALUE, ..., NULL: used
 * where the file says nothing. `configure` sets callbacks; may be NULL. Callbacks' opaque is the client. */
rd_kafka_t *client_librdkafka(struct client *client, rd_kafka_type_t type, const char *const *defaults,
                              void (*configure)(rd_kafka_conf_t *conf));
/* After rd_kafka_poll(): CLI_FAILED with a line when it is no use to go on: denied, or no broker for --timeout. */
int client_alive(struct client *client);

/* `WHAT: NAME: message; what to do next` for an error code of an answer; gives CLI_FAILED. */
int client_refused(const char *what, int16_t code, struct slice message);
/* What to do about it; NULL: nothing is known. */
const char *client_hint(int16_t code);
/* "there is no topic ..." with the nearest name. */
int client_no_topic(struct client *client, const char *name);

#endif
