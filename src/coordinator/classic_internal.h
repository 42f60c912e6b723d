/* What the files of classic groups have between themselves: ids handed out, what timers do, freeing. See classic.h. */
#ifndef COORDINATOR_CLASSIC_INTERNAL_H
#define COORDINATOR_CLASSIC_INTERNAL_H

#include "coordinator/classic.h"
#include "protocol/errors.h"

struct classic_pending *classic_pending_find(const struct classic_group *group, struct slice id); /* NULL: none */
void classic_pending_add(struct classic_group *group, struct slice id, int32_t session_timeout_ms);
void classic_pending_remove(struct classic_pending *pending);
void classic_group_free(struct classic_group *group); /* what is parked is not touched */

/* The member waits for the end of the join phase, or of the sync phase. */
void classic_park_join(struct classic_member *member, struct classic_join *join);
void classic_park_sync(struct classic_member *member, struct classic_sync *sync);
void classic_resume_sync(struct classic_member *member);
/* The answer to a join: the group's generation; `with_members` for the leader. */
void classic_fill_join(struct classic_join *join, const struct classic_group *group, const struct classic_member *member, bool with_members);
/* It has asked for its assignment. */
void classic_sync_came(struct classic_member *member);

/* What timers do, as operations (classic_rebalance.c). */
void classic_expire_member(struct classic_member *member, struct coordinator_op *op);
void classic_expire_pending(struct classic_pending *pending, struct coordinator_op *op);
void classic_join_is_due(struct classic_group *group, struct coordinator_op *op);
void classic_sync_is_due(struct classic_group *group, struct coordinator_op *op);

#endif
