/* For the files of share groups. */
#ifndef COORDINATOR_SHARE_GROUP_INTERNAL_H
#define COORDINATOR_SHARE_GROUP_INTERNAL_H

#include "coordinator/share_group.h"

struct share_set { /* partitions, in order of topic id and index, each once; owned or in an arena */
    struct share_place *places;
    int count;
};
struct share_names { /* in order, each once */
    struct slice *names;
    int count;
};

struct share_member {
    struct map_node node;
    struct list all;           /* in order of arrival */
    struct list due;           /* of groups->share_due: its session has ended, the operation is to come */
    struct share_group *group;
    struct slice id;           /* owned, as is all that follows */
    struct slice rack;         /* null: none */
    struct slice client_id, client_host;
    struct share_names topics;
    int32_t epoch, previous_epoch;
    bool has_target;
    struct share_set target, assigned;
    struct timer session;
};

/* A topic with states, or on its way there. */
struct share_topic {
    struct list node;
    struct map_node by_id;
    struct uuid id;
    struct slice name;      /* owned */
    int32_t *partitions;    /* owned, in order */
    int count;
    int64_t since_ms;       /* initializing: when that began, as far as known here */
    bool gone;              /* the topic was deleted */
};
struct share_topics { /* in the order in which they came */
    struct list list;
    struct map by_id;
};

struct share_group {
    struct group base;
    int32_t epoch, assignment_epoch;
    int64_t metadata_hash, assignment_ms;
    struct map members;
    struct list all;
    struct share_topics initializing, initialized, deleting;
    bool has_states_record;
    bool stale;             /* topics may have changed since the hash was computed */
    bool has_gone;          /* some share_topic is gone */
};

static inline struct share_group *share_group_of(struct group *group) {
    return container_of(group, struct share_group, base);
}
struct share_group *share_find(const struct groups *groups, struct slice id, bool *ret_is_other);
struct share_group *share_create(struct groups *groups, struct slice id);
struct share_member *share_find_member(const struct share_group *group, struct slice id);
struct share_member *share_create_member(struct share_group *group, struct slice id);
void share_remove_member(struct share_member *member);
void share_start_session(struct share_member *member);
static inline int share_member_count(const struct share_group *group) {
    return (int)group->members.count;
}
int64_t share_config(const struct share_group *group, const char *key, const char *broker_key);

/* In decide(): it goes, whatever the reason. */
void share_leave(struct share_group *group, struct coordinator_op *op, struct share_member *member);
/* Partitions of these topics that have no state and are not on their way to one: begins that. */
void share_init_missing(struct groups *groups, struct coordinator_op *op, const struct share_group *group, struct slice group_id,
                        const struct share_names *names, int32_t epoch, struct share_init *ret_init);
/* A topic is deleted; or was, while nobody was here to see it. */
void share_topic_gone(struct share_group *group, struct uuid id);
void share_find_gone(struct share_group *group);

/* ---- sets ----------------------------------------------------------------------------------------------------------------- */

int share_place_cmp(const void *a, const void *b);
bool share_set_eq(const struct share_set *a, const struct share_set *b);
bool share_set_has(const struct share_set *set, const struct share_place *place);
void share_names_sort(struct share_names *names);
bool share_names_eq(const struct share_names *a, const struct share_names *b);
bool share_names_have(const struct share_names *names, struct slice name);
struct share_names share_names_own(const struct share_names *names);
void share_names_free(struct share_names *names);
void share_topics_init(struct share_topics *topics);
struct share_topic *share_find_topic(const struct share_topics *topics, struct uuid id);
/* The partitions go to those that are there. */
struct share_topic *share_add_topic(struct share_topics *topics, struct uuid id, struct slice name, const int32_t *partitions, int count);
bool share_topic_has(const struct share_topic *topic, int32_t partition); /* NULL has none */
void share_remove_topic(struct share_topics *topics, struct uuid id);
/* The topic goes with its last one. */
void share_remove_partition(struct share_topics *topics, const struct share_place *place);
void share_free_topics(struct share_topics *topics);

/* ---- records -------------------------------------------------------------------------------------------------------------- */

void share_add_member(struct coordinator_op *op, struct slice group, const struct share_member *member);
void share_add_epoch(struct coordinator_op *op, struct slice group, int32_t epoch, int64_t hash);
void share_add_target_epoch(struct coordinator_op *op, struct slice group, int32_t epoch, int64_t time_ms);
void share_add_target(struct coordinator_op *op, struct slice group, struct slice member, const struct share_set *target);
void share_add_current(struct coordinator_op *op, struct slice group, const struct share_member *member);
void share_add_member_tombstones(struct coordinator_op *op, struct slice group, struct slice member);
/* Topics that are gone are left out. */
void share_add_states(struct coordinator_op *op, struct slice group, const struct share_topics *initializing,
                      const struct share_topics *initialized, const struct share_topics *deleting);
void share_add_states_tombstone(struct coordinator_op *op, struct slice group);

/* ---- assignor ------------------------------------------------------------------------------------------------------------- */

struct share_assignee {
    const struct share_names *topics;
    const struct share_set *before; /* its target until now */
    struct share_set target;        /* in the arena */
};
/* `places` in order, all of topics that someone is subscribed to; name_of each. */
void share_assign(struct share_assignee *members, int count, const struct share_set *places, const struct slice *names, struct arena *arena);

#endif
