/* cordoned.log.dirs (KIP-1066): log directories that take no new replicas. What holds is in the image, with the node's
 * registration; this part brings it there when the setting changes. Owns nothing beyond one call to the controller.
 * Called from: shard 0, but for cordon_holds(). */
#ifndef BROKER_CORDON_H
#define BROKER_CORDON_H

#include "broker/broker.h"

/* The directories that the setting names now, whatever metadata.version is (which a new node learns after its own registration).
 * Gives their number. */
int cordon_named(const struct broker_shard *shard, struct uuid ret_dirs[LOG_DIRS_MAX]);
/* Tells the controller what the setting says, when the registration says something else; from metadata.version 30 on. */
void cordon_settle(struct broker_shard *shard);
/* The directory takes no new replicas. On any shard. */
bool cordon_holds(const struct broker_shard *shard, int dir);

#endif
