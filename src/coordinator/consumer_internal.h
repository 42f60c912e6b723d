/* Inside consumer groups (consumer.h): the state, and what its files say to each other.
 *
 * What a record holds is one block of memory, replaced whole: a member's subscription (key 5), its current assignment (key
 * 8), its target (key 7). Decisions copy the struct, change the copy, compare, and add a record; only replay changes state.
 *
 * Invariants: C1 a topic is in `topics` while somebody names it or a resolved expression matches it.
 *             C2 `owners` has each partition that is in some member's assigned or revoking list, at that member's epoch. */
#ifndef COORDINATOR_CONSUMER_INTERNAL_H
#define COORDINATOR_CONSUMER_INTERNAL_H

#include "coordinator/classic.h"
#include "coordinator/consumer.h"
#include "coordinator/regex.h"
#include "protocol/errors.h"

enum { CONSUMER_STABLE = 0, CONSUMER_UNREVOKED = 1, CONSUMER_UNRELEASED = 2, CONSUMER_UNKNOWN = 127 };
enum { CONSUMER_EPOCH_LEAVE = -1, CONSUMER_EPOCH_LEAVE_STATIC = -2 };
enum consumer_record_type { /* keys */
    CONSUMER_RECORD_GROUP = 3, CONSUMER_RECORD_TOPICS = 4, CONSUMER_RECORD_MEMBER = 5, CONSUMER_RECORD_TARGET_EPOCH = 6,
    CONSUMER_RECORD_TARGET = 7, CONSUMER_RECORD_CURRENT = 8, CONSUMER_RECORD_REGEX = 16,
};

struct consumer_partition {
    struct uuid topic;
    int32_t partition;
    int32_t epoch; /* of the assignment that brought it; unused in targets */
};
struct consumer_partitions { /* in order of topic and partition */
    struct consumer_partition *items;
    int count;
};

struct consumer_protocol { /* of a classic member */
    struct slice name, metadata;
};
struct consumer_subscription {
    struct slice instance_id, rack_id, client_id, client_host, regex, assignor; /* null as the record's */
    int32_t rebalance_timeout_ms;
    struct slice *topics; /* in order, each once */
    int topic_count;
    bool is_classic;
    int32_t session_timeout_ms; /* the rest: classic */
    struct consumer_protocol *protocols;
    int protocol_count;
};
struct consumer_current {
    int32_t epoch, previous_epoch;
    int8_t state;
    struct consumer_partitions assigned, revoking;
};

struct consumer_group;
struct consumer_member {
    struct map_node by_id, by_instance;
    struct list all; /* in order of arrival */
    struct consumer_group *group;
    struct slice id; /* owned, as the three below */
    struct consumer_subscription *subscription;
    struct consumer_current *current;
    struct consumer_partitions *target; /* NULL: none */
    bool is_member; /* false: only a target so far, or about to be replayed */
    bool in_instances;
    struct classic_session session;
    struct classic_timer rebalance; /* UNREVOKED: it has to give partitions up by then */
    int32_t rebalance_epoch;        /* unless it came to another epoch */
    struct classic_timer join, sync; /* classic: it was told to join, has joined and is to sync */
};
struct consumer_topic {
    struct map_node node;
    struct slice name; /* owned */
    int by_name, by_regex; /* members that name it, resolved expressions that match it */
};
struct consumer_regex {
    struct map_node node;
    struct slice pattern; /* owned */
    int members;          /* that subscribe by it */
    bool is_resolved;
    struct slice *topics; /* owned, one block; in order */
    int topic_count;
    int64_t version, timestamp_ms; /* of the image, and when */
};
struct consumer_owner {
    struct map_node node;
    struct uuid topic;
    int32_t partition, epoch;
};

struct consumer_group {
    struct group group;
    int32_t epoch, target_epoch; /* target_epoch -1: its record is deleted */
    int64_t target_timestamp_ms; /* 0: unknown, the next target need not wait */
    int64_t metadata_hash;
    int64_t metadata_seen;       /* image's topics_changed when the hash was checked; -1: never */
    bool has_topics_record;      /* of Kafka 4.0 */
    struct map members, instances, topics, regexes, owners;
    struct list all_members;
    int member_count, target_count, classic_count, resolved_count;
};

static inline struct consumer_group *consumer_group_of(const struct group *group) {
    return container_of(group, struct consumer_group, group);
}
static inline struct coordinator *consumer_coordinator(const struct consumer_group *group) {
    return group->group.groups->coordinator;
}
#define consumer_each_member(member, owner)                                                          \
    list_each(member##_node, &(owner)->all_members)                                                  \
        for (struct consumer_member *member = list_entry(member##_node, struct consumer_member, all); member; member = NULL) \
            if (!member->is_member) {} else

/* ---- consumer_group.c ------------------------------------------------------------------------------------------------------- */

struct consumer_group *consumer_group_create(struct groups *groups); /* not in the registry: groups_insert() */
void consumer_group_free(struct group *group);
struct consumer_member *consumer_find_member(const struct consumer_group *group, struct slice id); /* NULL: none, or only a target */
struct consumer_member *consumer_find_any(const struct consumer_group *group, struct slice id);    /* also only a target */
struct consumer_member *consumer_find_instance(const struct consumer_group *group, struct slice instance_id);
/* Finds, or makes one that is no member yet. */
struct consumer_member *consumer_get_any(struct consumer_group *group, struct slice id);
void consumer_set_subscription(struct consumer_member *member, const struct consumer_subscription *subscription); /* makes it a member */
void consumer_set_current(struct consumer_member *member, const struct consumer_current *current);                /* too */
void consumer_set_target(struct consumer_member *member, const struct consumer_partitions *target);              /* NULL: none */
void consumer_remove_member(struct consumer_member *member);
struct consumer_regex *consumer_find_regex(const struct consumer_group *group, struct slice pattern);
void consumer_set_regex(struct consumer_group *group, struct slice pattern, const struct slice *topics, int count, int64_t version,
                        int64_t timestamp_ms);
void consumer_unset_regex(struct consumer_group *group, struct slice pattern);
int32_t consumer_owner_epoch(const struct consumer_group *group, struct uuid topic, int32_t partition); /* -1: nobody's */
/* Counts of subscriptions as they will be: shift, look, shift back with the two exchanged. Either may be NULL. */
void consumer_shift(struct consumer_group *group, const struct consumer_subscription *from, const struct consumer_subscription *to);
/* In the arena: every topic that is subscribed to. */
struct slice *consumer_topic_names(const struct consumer_group *group, struct arena *arena, int *ret_count);
bool consumer_is_even(const struct consumer_group *group, int member_count);
int64_t consumer_hash(const struct consumer_group *group, struct arena *arena);
static inline bool consumer_is_settled(const struct consumer_current *current, int32_t target_epoch) {
    return current->state == CONSUMER_STABLE && current->epoch == target_epoch;
}
const char *consumer_state_name(const struct consumer_group *group);
/* "uniform", or another that the setting names first; what most members ask for. `from` counts as `to`. */
const char *consumer_assignor(const struct consumer_group *group, const struct consumer_subscription *from, const struct consumer_subscription *to);
int64_t consumer_session_timeout_ms(const struct consumer_group *group, const struct consumer_subscription *subscription);
static inline bool slice_is_set(struct slice s) { /* neither null nor empty */
    return s.size > 0;
}

bool consumer_partitions_eq(struct consumer_partitions a, struct consumer_partitions b, bool with_epochs);
int consumer_partition_cmp(const struct consumer_partition *a, const struct consumer_partition *b);
const struct consumer_partition *consumer_partitions_find(struct consumer_partitions partitions, struct uuid topic, int32_t partition);
void consumer_partitions_sort(struct consumer_partitions *partitions); /* and drops doubles */
bool consumer_names_contain(const struct slice *names, int count, struct slice name); /* names in order */
/* Sorted, each once, in the arena; the texts are borrowed. */
struct slice *consumer_names_sort(struct arena *arena, const struct slice *names, int count, int *ret_count);
bool consumer_subscription_eq(const struct consumer_subscription *a, const struct consumer_subscription *b);
bool consumer_names_eq(const struct consumer_subscription *a, const struct consumer_subscription *b);
struct consumer_subscription consumer_subscription_new(void); /* of a member without record */

/* ---- consumer_records.c: adds to the operation ----------------------------------------------------------------------------- */

void consumer_add_member(struct coordinator_op *op, struct slice group, struct slice member, const struct consumer_subscription *subscription);
void consumer_add_epoch(struct coordinator_op *op, struct slice group, int32_t epoch, int64_t hash);
void consumer_bump_epoch(struct coordinator_op *op, struct slice group, int32_t epoch, int64_t hash); /* to a new one: a rebalance */
void consumer_add_target_epoch(struct coordinator_op *op, struct slice group, int32_t epoch, int64_t timestamp_ms);
void consumer_add_target(struct coordinator_op *op, struct slice group, struct slice member, struct consumer_partitions target);
void consumer_add_current(struct coordinator_op *op, struct slice group, struct slice member, const struct consumer_current *current);
void consumer_add_regex(struct coordinator_op *op, struct slice group, struct slice pattern, const struct slice *topics, int count,
                        int64_t version, int64_t timestamp_ms);
/* Of a record about the group, a member, or an expression. */
void consumer_add_tombstone(struct coordinator_op *op, enum consumer_record_type type, struct slice group, struct slice name);
void consumer_add_member_tombstones(struct coordinator_op *op, struct slice group, struct slice member);
/* The whole group; `renamed` (NULL: nobody) goes under another name. */
void consumer_add_group_tombstones(struct coordinator_op *op, const struct consumer_group *group, const struct consumer_member *renamed,
                                   struct slice name);

/* ---- consumer_reconcile.c: pure -------------------------------------------------------------------------------------------- */

struct consumer_owned { /* what a member says it has; count -1: it does not say */
    const struct consumer_group_heartbeat_request_topic_partitions *topics;
    int count;
};
struct consumer_reconcile {
    struct arena *arena;
    int32_t target_epoch;
    struct consumer_partitions target;
    bool subscription_changed;
    struct consumer_owned owned;
    bool (*is_subscribed)(void *arg, struct uuid topic); /* and exists */
    bool (*is_anything_subscribed)(void *arg);
    int32_t (*owner_epoch)(void *arg, struct uuid topic, int32_t partition);
    void *arg;
};
/* The member's next step from *from; false: it is in a state that we do not know, and must come back with nothing. */
bool consumer_reconcile(const struct consumer_reconcile *reconcile, const struct consumer_current *from, struct consumer_current *ret_to);
bool consumer_current_eq(const struct consumer_current *a, const struct consumer_current *b);

/* ---- a member's step: what heartbeats and JoinGroup of classic members have in common (consumer_heartbeat.c) ---------------- */

struct consumer_step {
    struct consumer_group *group;
    struct coordinator_op *op;
    struct slice group_id, member_id;
    struct consumer_member *member;   /* as it was; NULL: new, or in place of `replaced` */
    struct consumer_member *replaced; /* the static member whose place it takes; NULL: none */
    struct consumer_subscription was, is;
    struct consumer_current had, has;
    struct consumer_owned owned;
    bool names_changed, regex_changed, regex_settled; /* settled: what it changed to is resolved */
    int32_t group_epoch, target_epoch;
    struct consumer_partitions target;
    /* the outcome, when it is refused */
    int16_t error;
    struct slice message;
};
/* False. */
#define consumer_refuse(step, code, ...) consumer_refuse_with((step), (code), arena_printf((step)->op->arena, __VA_ARGS__))
static inline bool consumer_refuse_with(struct consumer_step *step, int16_t code, const char *message) {
    step->error = code;
    step->message = slice_str(message);
    return false;
}
bool consumer_step_full(struct consumer_step *step); /* true: refused, there is no room for another member */
/* Fills in what the member was; a static one may take another's place. `receive_epoch`: not of classic members. */
bool consumer_step_dynamic(struct consumer_step *step, bool create);
bool consumer_step_static(struct consumer_step *step, struct slice instance_id, bool create, bool is_classic);
/* `is` is set: adds the records of the subscription, its expressions, the group's epoch. */
bool consumer_step_subscribe(struct consumer_step *step, bool is_classic);
bool consumer_step_assign(struct consumer_step *step);    /* the target (consumer_target.c) */
bool consumer_step_reconcile(struct consumer_step *step);
/* Members leave, or are thrown out. The group may become a classic one. */
void consumer_fence(struct consumer_group *group, struct coordinator_op *op, struct consumer_member *const *members, int count);
void consumer_member_is_due(struct consumer_member *member, struct coordinator_op *op, const char *why); /* a timer fired */

/* ---- consumer_regex.c ------------------------------------------------------------------------------------------------------- */

/* After `is` is set: checks a new expression, adds tombstones of one that nobody has any more; may begin a resolution. */
bool consumer_step_regex(struct consumer_step *step);

/* ---- consumer_classic.c ------------------------------------------------------------------------------------------------------ */

/* A classic group to be joined by a member of the consumer protocol: NULL and the step refused when it may not. The group
 * returned is one to decide with: what it holds is in records of the operation too. */
struct consumer_group *consumer_upgrade(struct consumer_step *step, struct groups *groups, struct group *classic);
/* The members but these all are classic, and the group may become classic. `replaced`: another comes in its one's place. */
bool consumer_may_downgrade(const struct consumer_group *group, struct consumer_member *const *leaving, int count, bool replaced);
/* Does it, with the records; `group` is gone then. `joining` (NULL: nobody) takes the place of its `replaced`. False: it
 * cannot be, they share no protocol; nothing has changed. */
bool consumer_downgrade(struct consumer_group *group, struct coordinator_op *op, struct consumer_member *const *leaving, int count,
                        const struct consumer_step *joining, bool rebalance);
void consumer_classic_join(struct group *group, struct classic_join *join);
void consumer_classic_sync(struct group *group, struct classic_sync *sync);
int16_t consumer_classic_heartbeat(struct group *group, const struct heartbeat_request *request);
void consumer_classic_leave(struct group *group, struct classic_leave *leave);

#endif
