/* The groups whose records lie in one partition of __consumer_offsets: of all four kinds, and their committed offsets.
 *
 * groups.c       the registry: find, make, remove; replay sends each record to the kind it belongs to; list, delete
 * offset*.c      committed offsets (offsets.h): commit, fetch, delete, expiry, those of open transactions
 * classic*.c     JoinGroup and its kin (KIP-62, 345, 394, 429, 814)
 * consumer*.c    KIP-848: heartbeats, reconciliation; assign_*.c the server's assignors; regex.cc
 * share_group*.c KIP-932: membership of share groups
 * streams*.c     KIP-1071: streams groups
 *
 * A group lives while it has members, records or offsets. Memory: a group without members costs its name and offsets. */
#ifndef COORDINATOR_GROUPS_H
#define COORDINATOR_GROUPS_H

#include "coordinator/coordinator.h"

struct group;
struct groups;
struct classic_join;  /* coordinator/classic.h: requests of the classic protocol */
struct classic_sync;
struct classic_leave;
struct heartbeat_request;

enum group_type { GROUP_CLASSIC, GROUP_CONSUMER, GROUP_SHARE, GROUP_STREAMS, GROUP_TYPES };
const char *group_type_name(enum group_type type); /* as ListGroups gives it: "classic", "consumer", "share", "streams" */

/* Who commits or fetches offsets of a group. */
struct group_caller {
    struct slice member_id, instance_id; /* instance_id null: none */
    int32_t generation;                  /* or member epoch; -1: none is claimed */
    int16_t version;                     /* of the request */
    bool transactional;
    bool old_offset_fetch;               /* OffsetFetch below v9: no member is named */
};

/* What the kinds of groups do differently for those who treat them alike. Errors are Kafka codes, 0: fine. */
struct group_methods {
    enum group_type type;
    const char *(*state_name)(const struct group *group);                         /* as ListGroups gives it: "Stable", ... */
    struct slice (*protocol_type)(const struct group *group);                     /* "consumer", "share", "streams", or the classic one */
    bool (*is_empty)(const struct group *group);                                  /* no members */
    bool (*is_subscribed)(const struct group *group, struct slice topic);         /* offsets of it are kept */
    int64_t (*empty_since_ms)(const struct group *group);                         /* for offset expiry; -1: it is not, or not known: the commit's time counts */
    bool (*offsets_expire)(const struct group *group);                            /* in its state; NULL: always, but for topics it is subscribed to */
    int16_t (*check_commit)(struct group *group, const struct group_caller *caller);
    /* NULL: check_commit() said all. Else asked for each partition after it: a member that is behind may commit what it still owns. */
    int16_t (*check_commit_partition)(struct group *group, const struct group_caller *caller, struct uuid topic_id, int32_t partition);
    int16_t (*check_fetch)(struct group *group, const struct group_caller *caller);
    int16_t (*check_delete)(const struct group *group);                           /* NON_EMPTY_GROUP, ... */
    void (*add_tombstones)(struct group *group, struct coordinator_op *op);       /* of all its records, without offsets */
    void (*free)(struct group *group);                                            /* timers stopped, parked operations resumed by their owner before */
    void (*loaded)(struct group *group);                                          /* sessions start; NULL: nothing */
    /* Requests of the classic protocol at a group of another kind; NULL: it has no members that speak it. A join comes
     * here only when the group has members; an empty consumer or streams group becomes a classic one. */
    void (*classic_join)(struct group *group, struct classic_join *join);
    void (*classic_sync)(struct group *group, struct classic_sync *sync);
    int16_t (*classic_heartbeat)(struct group *group, const struct heartbeat_request *request);
    void (*classic_leave)(struct group *group, struct classic_leave *leave);
};
extern const struct group_methods group_classic_methods, group_consumer_methods, group_share_methods, group_streams_methods;

struct group { /* first member of struct classic_group, consumer_group, share_group, streams_group */
    struct map_node node;    /* of groups->by_id */
    struct list all;         /* of groups->all */
    const struct group_methods *methods;
    struct groups *groups;
    struct slice id;         /* owned */
};

/* When a member of a streams group was asked for the topology's description, or could not be served; all zero: never. */
struct streams_asked {
    int32_t epoch;     /* of the topology */
    int attempts;
    uint64_t until_ns; /* nobody is asked before */
};

struct groups { /* the state of a COORDINATOR_GROUP */
    struct coordinator *coordinator;
    struct map by_id;        /* struct group */
    struct list classic_due; /* timers of classic groups that have fired, their operation is to come; classic.c */
    struct list share_due;   /* members of share groups whose session has ended; share_group.c */
    uint64_t rebalances[GROUP_TYPES]; /* since the load: of classic groups those that ended, of others new epochs */
    struct list all;
    struct { /* of topologies of streams groups (streams_description.h); counts since the load */
        size_t size;         /* of all that are kept */
        uint64_t stored, refused, got, deleted, cycles, expired;
    } descriptions;
    struct streams_asked asked_creator; /* what a streams group begins with that the heartbeat which runs may create */
    struct list resolutions; /* of consumer groups' expressions, under way; consumer_regex.c */
    struct offsets *offsets; /* offsets.c */
    struct arena scratch;    /* of the record that is replayed */
    int16_t warned[16];      /* types of records that are not known */
    int warned_count;
};

/* NULL: none. */
struct group *groups_find(const struct groups *groups, struct slice id);
/* Takes a new group (its methods set) in under an id that is free. */
void groups_insert(struct groups *groups, struct group *group, struct slice id);
/* Removes and frees. Its offsets stay. */
void groups_remove(struct group *group);
/* Another kind takes the place of a group under the same id (live conversion, or a record of another kind): the old one is freed. */
void groups_replace(struct group *old, struct group *group);

/* ---- replay: each kind its records. `key` and `value` decoders stand behind type and version. ------------------------------- */

struct group_record {
    int16_t type;               /* of the key */
    struct decoder key;
    bool tombstone;
    int16_t version;            /* of the value */
    struct decoder value;
    const struct coordinator_record *raw;
};
/* An err: the key of a record into the zeroed *ret_key, a NAME_key, and unless it is a tombstone its value into *ret_value. */
#define GROUP_RECORD_DECODE(record, name, ret_key, ret_value)                                        \
    ({                                                                                               \
        enum err decode_err_ = name##_key_decode(&(record)->key, 0, (ret_key));                      \
        if (!decode_err_ && !(record)->tombstone)                                                    \
            decode_err_ = name##_value_decode(&(record)->value, (record)->version, (ret_value));     \
        decode_err_;                                                                                 \
    })
/* Keys 0-1. */
enum err offsets_replay(struct groups *groups, struct group_record *record) MUST_USE;
/* Key 2. */
enum err classic_replay(struct groups *groups, struct group_record *record) MUST_USE;
/* Keys 3-8, 16. */
enum err consumer_replay(struct groups *groups, struct group_record *record) MUST_USE;
void consumer_resolutions_drop(struct groups *groups); /* before the groups go */
/* Keys 10-15. */
enum err share_group_replay(struct groups *groups, struct group_record *record) MUST_USE;
/* Keys 17, 19-23, and 28025, which is ours. */
enum err streams_replay(struct groups *groups, struct group_record *record) MUST_USE;

/* ---- offsets.c -------------------------------------------------------------------------------------------------------------- */

struct offsets *offsets_create(struct groups *groups);
void offsets_destroy(struct offsets *offsets);
void offsets_loaded(struct offsets *offsets); /* expiry begins */
void offsets_topic_removed(struct offsets *offsets, const struct image_topic *topic);
void offsets_end_transaction(struct offsets *offsets, int64_t producer_id, bool commit);
/* Tombstones of all offsets of a group that goes. */
void offsets_add_tombstones(struct offsets *offsets, struct slice group, struct coordinator_op *op);
bool offsets_has_group(const struct offsets *offsets, struct slice group);

#endif
