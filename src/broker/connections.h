/* How many connections there are: in all, on each listener, from each address; kept on shard 0. In Kafka's order of limits:
 * max.connection.creation.rate and max.connections, of the broker and with the prefix of a listener, make connections wait
 * unread while accepting pauses; max.connections.per.ip and its overrides close them. All follow changes while it runs but
 * those with a prefix. */
#ifndef BROKER_CONNECTIONS_H
#define BROKER_CONNECTIONS_H

#include "broker/conn.h"

struct connections;
struct connections *connections_create(struct broker *broker);
void connections_destroy(struct connections *connections);
/* The broker's settings have changed. Shard 0. */
void connections_configure(struct connections *connections);
/* Nobody is let in any more; those that wait are refused. Shard 0. */
void connections_stop(struct connections *connections);
/* On the connection's shard: answered(conn, true) lets it in. The connection must stay until then; one that was let in
 * is told gone once. */
void connections_admit(struct conn *conn, void (*answered)(struct conn *conn, bool fine));
void connections_gone(struct conn *conn);

#endif
