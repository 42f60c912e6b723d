/* How many connections there are, in all and from each address; kept on shard 0, where they are accepted. Obeys
 * max.connections (accepting pauses), max.connections.per.ip and its overrides (accepted, then closed). */
#ifndef BROKER_CONNECTIONS_H
#define BROKER_CONNECTIONS_H

#include "broker/conn.h"

struct connections;
struct connections *connections_create(struct broker *broker);
void connections_destroy(struct connections *connections);
/* On the connection's shard: answered(conn, true) lets it in. The connection must stay until then; one that was let in
 * is told gone once. */
void connections_admit(struct conn *conn, void (*answered)(struct conn *conn, bool fine));
void connections_gone(struct conn *conn);

#endif
