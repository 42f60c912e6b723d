/* Share sessions: which partitions a member of a share group fetches from, so that its requests need not say it each time.
 *
 * All sessions of a group live on one shard (share_session_shard()). A session ends when its member says so or its
 * connection closes; what the member holds then goes back. There is no other end, and none is thrown out for another:
 * group.share.max.share.sessions is a limit, of the node: each shard tells the others how many it has, so that sessions
 * which begin at the same moment on several shards may be a few more. Whether a member is one is not asked. */
#ifndef BROKER_SHARE_SESSIONS_H
#define BROKER_SHARE_SESSIONS_H

#include "broker/broker.h"

struct conn;

struct share_want { /* a partition of a session */
    struct uuid topic_id;
    int32_t index;
    bool is_new;         /* nothing was answered about it yet */
    bool answered, with_records; /* set by the fetch, for share_session_end() */
    bool error;
};
struct share_context {
    /* asked; slices stay */
    struct slice group, member;
    int32_t epoch;
    bool acknowledges;              /* ShareAcknowledge: opens nothing */
    bool has_acks;
    const struct share_want *added; /* listed in the request, each once */
    int added_count;
    const struct share_want *forgotten;
    int forgotten_count;
    /* answered */
    int16_t error;
    bool limit_reached;             /* with error: is told late */
    bool final;                     /* the session is gone; share_session_release() is to follow */
    bool last;                      /* final, and the group has no other session */
    uint64_t serial;                /* of the session; 0: none */
    struct share_want *wants;       /* in the arena: whom to fetch from, in order */
    int count;
};

struct share_sessions *share_sessions_create(struct broker_shard *shard);
void share_sessions_destroy(struct share_sessions *sessions);
int share_session_shard(const struct broker *broker, struct slice group);
void share_session_begin(struct share_sessions *sessions, struct share_context *context, struct arena *arena);
/* What was answered: those with records go to the end. */
void share_session_end(struct share_sessions *sessions, const struct share_context *context);
/* What the member of a session that ended holds in those partitions goes back. From any shard. */
void share_session_release(struct broker *broker, struct slice group, struct slice member, const struct share_want *wants, int count);
/* The share partitions of a group that has no session any more, but for those with locks. From any shard. */
void share_forget_idle(struct broker *broker, struct slice group);
/* Share partitions whose state was set anew. From any shard. */
void share_forget_places(struct broker *broker, struct slice group, const struct share_want *wants, int count);

/* The connection that opened the session closes it with itself. */
struct share_binding { /* owned by the connection */
    int shard;
    uint64_t serial;
    struct slice group, member;
};
void share_bind(struct conn *conn, const struct share_context *context);
void share_unbind(struct conn *conn); /* it closes */
void share_sessions_drop_all(struct share_sessions *sessions); /* share.version fell to 0 */

struct share_session_numbers {
    int64_t sessions, partitions;
    uint64_t evictions;
};
struct share_session_numbers share_session_numbers(const struct share_sessions *sessions);

#endif
