/* Incremental fetch sessions (KIP-227): what a consumer wants is remembered, so that requests and answers name only what
 * changed.
 *
 * A session lives on the shard where it was made, which its id tells; a request that comes in on another shard asks
 * there. begin() turns a request into the list of partitions wanted; end() decides which of them are in the answer. */
#ifndef BROKER_FETCH_SESSION_H
#define BROKER_FETCH_SESSION_H

#include "broker/broker.h"
#include "protocol/fetch_request.h"

struct fetch_sessions;

struct fetch_want {
    struct slice topic;    /* empty when the request has ids */
    struct uuid topic_id;  /* zero when it has names */
    struct slice known_as; /* what the id's topic was called when there was one; null before */
    int32_t index, max_bytes, current_leader_epoch, last_fetched_epoch;
    int64_t offset;
    /* for end(): */
    int64_t high_watermark, log_start;
    int16_t error;
    bool has_records, always; /* always: diverging epoch */
    bool include;             /* of end(): it is in the answer */
};
struct fetch_context {
    int16_t error;         /* of the whole request: nothing else counts */
    int32_t session_id;    /* for the answer */
    int32_t epoch;
    bool incremental, create;
    bool privileged, uses_ids; /* for create */
    struct fetch_want *wants;  /* in the arena */
    int count;
};

struct fetch_sessions *fetch_sessions_create(struct broker_shard *shard);
void fetch_sessions_destroy(struct fetch_sessions *sessions);
int64_t fetch_sessions_count(const struct fetch_sessions *sessions);
int64_t fetch_sessions_partitions(const struct fetch_sessions *sessions); /* of all of them */
uint64_t fetch_sessions_evictions(const struct fetch_sessions *sessions);
/* The shard of the session that a request names; the own one when it names none. -1: no shard has such ids. */
int fetch_session_shard(const struct broker_shard *shard, int32_t session_id, int32_t session_epoch);
/* On that shard. */
void fetch_session_begin(struct fetch_sessions *sessions, const struct fetch_request *message, int version, struct arena *arena,
                         struct fetch_context *ret_context);
void fetch_session_end(struct fetch_sessions *sessions, struct fetch_context *context);

#endif
