/* The active controller: turns requests into metadata records.
 *
 * Lives on shard 0, beside the quorum. It has an image of its own that runs ahead of what is committed: a request is
 * decided on it, the records are applied to it and appended as one batch, and the request is answered when they are
 * committed. Deciding is pure: image, configuration and request in; records and answer out.
 *
 * Reading order: controller.c (calls, commits, first activation), registration.c, topics.c, partitions.c,
 * configs.c, features.c. Answers and texts are Kafka's (KIP-500, KIP-631, KIP-778). */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H

#include "base/check.h"
#include "metadata/config.h"
#include "protocol/alter_configs_request.h"
#include "protocol/alter_configs_response.h"
#include "protocol/create_partitions_request.h"
#include "protocol/create_partitions_response.h"
#include "protocol/create_topics_request.h"
#include "protocol/create_topics_response.h"
#include "protocol/delete_topics_request.h"
#include "protocol/delete_topics_response.h"
#include "protocol/incremental_alter_configs_request.h"
#include "protocol/incremental_alter_configs_response.h"
#include "protocol/update_features_request.h"
#include "protocol/update_features_response.h"
#include "raft/quorum.h"

struct controller;
struct decision;

/* Shard 0, before the quorum starts. `config` is kept. */
struct controller *controller_create(struct shard *shard, const struct broker_config *config);
void controller_destroy(struct controller *controller);
/* Committed batches from before this node led. */
enum err controller_replay(struct controller *controller, struct slice batches) MUST_USE;
/* This node leads and everything before has been replayed. The first time ever, writes the bootstrap records. */
void controller_lead(struct controller *controller, struct quorum *quorum);
/* That of the quorum; while leading. */
int16_t controller_kraft_version(const struct controller *controller);
bool controller_is_active(const struct controller *controller);

/* A request to the controller. The caller, on any shard, embeds it, sets the first four, keeps it until done(). */
struct controller_call {
    struct shard *home;
    struct arena *arena; /* for the answer; the controller's while the call is away */
    /* On shard 0: looks at the image, adds records to the decision. */
    void (*decide)(struct controller_call *call, struct decision *decision);
    void (*done)(struct controller_call *call); /* on `home`, when the records are committed */
    enum err err; /* CANCELED: the node is stopping, or cannot write: nothing was done */
    struct message message; /* private from here */
    struct quorum_append append;
    struct controller *controller;
};
void controller_call(struct controller *controller, struct controller_call *call);

/* What is being decided. */
struct decision {
    struct controller *controller;
    struct image *image; /* to look at; records take effect after the decision */
    const struct broker_config *config;
    struct arena *arena;
    int64_t base_offset; /* the first record's */
    struct slice *records;
    int count, capacity;
    int placed; /* replicas that got a directory */
};
enum { DECISION_RECORDS_MAX = 10000 };
/* Adds a framed record. */
void decision_add(struct decision *decision, struct slice record);
#define DECISION_RECORD(decision, type, version, name, message)                                      \
    do {                                                                                             \
        struct buf record_buf_ = {0};                                                                \
        RECORD_FRAME(&record_buf_, type, version, name, message);                                    \
        decision_add((decision), buf_slice(&record_buf_));                                           \
        buf_deinit(&record_buf_);                                                                    \
    } while (0)
/* A text for an answer, which cannot carry more: what was sent may be repeated in it. */
static inline struct slice decision_text(const char *text) {
    struct slice s = slice_str(text);
    if (s.size > INT16_MAX)
        s.size = INT16_MAX;
    return s;
}
/* For topic ids. */
void decision_random(struct decision *decision, void *bytes, size_t size);
/* Takes back what was added since `count`. */
static inline void decision_rewind(struct decision *decision, int count) {
    decision->count = count;
}

/* ---- registration.c ----------------------------------------------------------------------------------------------------- */

struct controller_registration { /* this node, as broker and controller */
    struct uuid incarnation;
    const struct uuid *dirs; /* directory ids */
    int dir_count;
    struct uuid cordoned[LOG_DIRS_MAX]; /* directories that take no new replicas; before metadata.version 30 none */
    int cordoned_count;
    uint16_t port;           /* that the first listener has got */
    bool clean;              /* it was stopped cleanly */
};
/* Registers this node and lets it lead what it can. *ret_epoch is its broker epoch. */
void decide_registration(struct decision *decision, const struct controller_registration *registration, int64_t *ret_epoch);

/* ---- topics.c ------------------------------------------------------------------------------------------------------ */

/* The request without its duplicate names, which the broker answered; response->topics has one entry each. */
void decide_create_topics(struct decision *decision, const struct create_topics_request *request, int version,
                          struct create_topics_response *response);
/* Entries that still stand have error 0 in response->responses, which runs beside the topic ids in `ids`. */
void decide_delete_topics(struct decision *decision, struct delete_topics_response *response, struct uuid *ids);
/* "Topic name is invalid: ..." in the arena; NULL: the name is fine. */
const char *topic_name_error(struct slice name, struct arena *arena);

/* ---- partitions.c --------------------------------------------------------------------------------------------------- */

void decide_create_partitions(struct decision *decision, const struct create_partitions_request *request,
                              struct create_partitions_response *response);
/* A replica moved to another directory of this node (KIP-858). */
void decide_directory(struct decision *decision, struct uuid topic_id, int32_t partition, int32_t broker, struct uuid dir);

/* Where the replicas of new partitions go. `replicas` and `dirs` have room for `factor` each. ERR_INVALID puts Kafka's
 * text into *ret_text. */
enum err place_replicas(struct decision *decision, int16_t factor, int32_t partition, int32_t *replicas, struct uuid *dirs,
                        const char **ret_text) MUST_USE;
/* Checks a manual assignment; "The manual partition assignment includes ..." in *ret_text. */
enum err check_assignment(struct decision *decision, int32_t partition, const int32_t *brokers, int count, int factor,
                          const char **ret_text) MUST_USE;
/* The directory that a new replica gets on a broker; lsb 1 (unassigned): the broker chooses. */
struct uuid choose_directory(struct decision *decision, int32_t broker);
void add_partition_record(struct decision *decision, struct uuid topic_id, int32_t partition, const int32_t *replicas,
                          int count, const struct uuid *dirs);

/* ---- configs.c ------------------------------------------------------------------------------------------------------- */

void decide_incremental_alter_configs(struct decision *decision, const struct incremental_alter_configs_request *request,
                                      struct incremental_alter_configs_response *response);
void decide_alter_configs(struct decision *decision, const struct alter_configs_request *request,
                          struct alter_configs_response *response);
struct config_pair {
    struct slice key, value; /* null value: removed */
};
/* Kafka's checks of the whole configuration of a topic. ERR_INVALID puts the text into *ret_text. */
enum err check_topic_configs(struct decision *decision, const struct config_pair *pairs, int count, const char **ret_text)
    MUST_USE;
void add_config_record(struct decision *decision, int8_t type, struct slice name, struct slice key, struct slice value);

/* ---- features.c ------------------------------------------------------------------------------------------------------- */

void decide_update_features(struct decision *decision, const struct update_features_request *request, int version,
                            struct update_features_response *response);
void add_feature_record(struct decision *decision, struct slice name, int16_t level);

/* ---- producer ids ------------------------------------------------------------------------------------------------------ */

enum { PRODUCER_ID_BLOCK = 1000 };
/* Takes a block of producer ids; the first comes back. */
int64_t decide_producer_ids(struct decision *decision, int32_t broker, int64_t broker_epoch);

#endif
