#include "broker/fetch_session.h"

#include "base/mem.h"
#include "protocol/errors.h"

enum { EVICTION_MS = 120000 };

struct session_partition {
    struct map_node node;
    struct list order; /* those answered with records go to the end */
    struct fetch_want want;
    int64_t sent_high_watermark, sent_log_start;
};
struct session {
    struct map_node node;
    struct list used; /* least recently used first */
    int32_t id, epoch;
    bool privileged, uses_ids;
    int64_t created_ms, used_ms;
    struct map partitions;
    struct list order;
};
struct fetch_sessions {
    struct broker_shard *shard;
    struct map sessions;
    struct list used;
    int64_t slots;
    uint64_t evictions;
};

static int32_t ids_per_shard(const struct broker *broker) {
    return INT32_MAX / broker->shard_count;
}

struct fetch_sessions *fetch_sessions_create(struct broker_shard *shard) {
    struct fetch_sessions *sessions = mem_new(struct fetch_sessions);
    sessions->shard = shard;
    sessions->slots = broker_config_int(shard->broker->config, "max.incremental.fetch.session.cache.slots") / shard->broker->shard_count;
    list_init(&sessions->used);
    return sessions;
}

int64_t fetch_sessions_count(const struct fetch_sessions *sessions) {
    return (int64_t)sessions->sessions.count;
}
int64_t fetch_sessions_partitions(const struct fetch_sessions *sessions) {
    int64_t count = 0;
    list_each(node, &sessions->used)
        count += (int64_t)container_of(node, struct session, used)->partitions.count;
    return count;
}
uint64_t fetch_sessions_evictions(const struct fetch_sessions *sessions) {
    return sessions->evictions;
}

/* ---- partitions of a session ---------------------------------------------------------------------------------------------- */

static uint64_t want_hash(const struct fetch_want *want) {
    return hash_slice(want->topic) ^ uuid_hash(want->topic_id) ^ hash_u64((uint64_t)want->index);
}
static bool want_is(const struct map_node *node, const void *key) {
    const struct fetch_want *a = &container_of(node, struct session_partition, node)->want, *b = key;
    return a->index == b->index && uuid_eq(a->topic_id, b->topic_id) && slice_eq(a->topic, b->topic);
}

static struct session_partition *find_partition(const struct session *session, const struct fetch_want *want) {
    struct map_node *node = map_find(&session->partitions, want_hash(want), want_is, want);
    return node ? container_of(node, struct session_partition, node) : NULL;
}

static void put_partition(struct session *session, const struct fetch_want *want) {
    struct session_partition *partition = find_partition(session, want);
    if (partition) {
        struct slice topic = partition->want.topic, known_as = partition->want.known_as;
        partition->want = *want;
        partition->want.topic = topic;
        partition->want.known_as = known_as;
        return;
    }
    partition = mem_new(struct session_partition);
    partition->want = *want;
    partition->want.topic = slice_of(mem_strndup((const char *)want->topic.ptr, want->topic.size), want->topic.size);
    partition->want.known_as = SLICE_NULL;
    partition->sent_high_watermark = partition->sent_log_start = -1;
    map_insert(&session->partitions, &partition->node, want_hash(want));
    list_push_back(&session->order, &partition->order);
}

static void drop_partition(struct session *session, struct session_partition *partition) {
    map_remove(&session->partitions, &partition->node);
    list_remove(&partition->order);
    mem_free((void *)partition->want.topic.ptr);
    mem_free((void *)partition->want.known_as.ptr);
    mem_free(partition);
}

/* ---- sessions -------------------------------------------------------------------------------------------------------------- */

static bool session_is(const struct map_node *node, const void *key) {
    return container_of(node, struct session, node)->id == *(const int32_t *)key;
}
static struct session *find_session(const struct fetch_sessions *sessions, int32_t id) {
    struct map_node *node = map_find(&sessions->sessions, hash_u64((uint64_t)id), session_is, &id);
    return node ? container_of(node, struct session, node) : NULL;
}

static void drop_session(struct fetch_sessions *sessions, struct session *session) {
    list_each_safe(node, &session->order)
        drop_partition(session, container_of(node, struct session_partition, order));
    map_deinit(&session->partitions);
    map_remove(&sessions->sessions, &session->node);
    list_remove(&session->used);
    mem_free(session);
}

void fetch_sessions_destroy(struct fetch_sessions *sessions) {
    if (!sessions)
        return;
    list_each_safe(node, &sessions->used)
        drop_session(sessions, container_of(node, struct session, used));
    map_deinit(&sessions->sessions);
    mem_free(sessions);
}

static bool may_be_evicted(const struct session *session, const struct fetch_context *context, int64_t now) {
    bool old = now - session->created_ms > EVICTION_MS;
    if (context->privileged ? session->privileged && !old : session->privileged || !old)
        return false;
    return session->privileged < context->privileged || (uint64_t)context->count > session->partitions.count;
}

/* Makes a slot free, if one may be taken from a session that is worth less. */
static bool make_slot(struct fetch_sessions *sessions, const struct fetch_context *context, int64_t now) {
    if ((int64_t)sessions->sessions.count < sessions->slots)
        return true;
    if (list_is_empty(&sessions->used))
        return false;
    struct session *oldest = container_of(sessions->used.next, struct session, used);
    if (now - oldest->used_ms > EVICTION_MS) {
        drop_session(sessions, oldest);
        sessions->evictions++;
        return true;
    }
    list_each(node, &sessions->used) {
        struct session *session = container_of(node, struct session, used);
        if (may_be_evicted(session, context, now)) {
            drop_session(sessions, session);
            sessions->evictions++;
            return true;
        }
    }
    return false;
}

static struct session *make_session(struct fetch_sessions *sessions, const struct fetch_context *context, int64_t now) {
    if (!make_slot(sessions, context, now))
        return NULL;
    struct session *session = mem_new(struct session);
    int32_t range = ids_per_shard(sessions->shard->broker), low = range * sessions->shard->index;
    do
        session->id = low + (int32_t)(shard_random(sessions->shard->shard) % (uint64_t)range);
    while (session->id < 1 || find_session(sessions, session->id));
    session->epoch = 1;
    session->privileged = context->privileged;
    session->uses_ids = context->uses_ids;
    session->created_ms = session->used_ms = now;
    list_init(&session->order);
    map_insert(&sessions->sessions, &session->node, hash_u64((uint64_t)session->id));
    list_push_back(&sessions->used, &session->used);
    return session;
}

int fetch_session_shard(const struct broker_shard *shard, int32_t session_id, int32_t session_epoch) {
    if (session_id == 0 || (session_id < 0 && session_epoch <= 0))
        return shard->index;
    if (session_id < 0)
        return session_id > -(1 << 28) ? shard->index : -1;
    int owner = session_id / ids_per_shard(shard->broker);
    return owner < shard->broker->shard_count ? owner : -1;
}

/* ---- begin ------------------------------------------------------------------------------------------------------------------ */

static struct fetch_want want_of(const struct fetch_request_fetch_topic *topic, const struct fetch_request_fetch_partition *partition) {
    return (struct fetch_want){.topic = topic->topic,
                               .topic_id = topic->topic_id,
                               .index = partition->partition,
                               .max_bytes = partition->partition_max_bytes,
                               .current_leader_epoch = partition->current_leader_epoch,
                               .last_fetched_epoch = partition->last_fetched_epoch,
                               .offset = partition->fetch_offset};
}

struct listed { /* a partition of a request, by name */
    struct map_node node;
    const struct fetch_want *want;
};
static bool listed_is(const struct map_node *node, const void *key) {
    const struct fetch_want *a = container_of(node, struct listed, node)->want, *b = key;
    return a->index == b->index && uuid_eq(a->topic_id, b->topic_id) && slice_eq(a->topic, b->topic);
}

/* Each once: the place of the first mention, the wishes of the last. */
static void want_all_listed(const struct fetch_request *message, struct arena *arena, struct fetch_context *context) {
    struct map seen = {0};
    int count = 0;
    for (int t = 0; t < message->topics_count; t++)
        count += message->topics[t].partitions_count;
    context->wants = arena_array(arena, struct fetch_want, count + 1);
    struct listed *listed = arena_array(arena, struct listed, count + 1);
    for (int t = 0; t < message->topics_count; t++)
        for (int p = 0; p < message->topics[t].partitions_count; p++) {
            struct fetch_want want = want_of(&message->topics[t], &message->topics[t].partitions[p]);
            struct map_node *node = count > 1 ? map_find(&seen, want_hash(&want), listed_is, &want) : NULL;
            int at = node ? (int)(container_of(node, struct listed, node)->want - context->wants) : context->count++;
            context->wants[at] = want;
            listed[at].want = &context->wants[at];
            if (!node && count > 1)
                map_insert(&seen, &listed[at].node, want_hash(&want));
        }
    map_deinit(&seen);
}

static void update_session(struct session *session, const struct fetch_request *message) {
    for (int t = 0; t < message->topics_count; t++)
        for (int p = 0; p < message->topics[t].partitions_count; p++) {
            struct fetch_want want = want_of(&message->topics[t], &message->topics[t].partitions[p]);
            put_partition(session, &want);
        }
    for (int t = 0; t < message->forgotten_topics_data_count; t++) {
        const struct fetch_request_forgotten_topic *topic = &message->forgotten_topics_data[t];
        for (int p = 0; p < topic->partitions_count; p++) {
            struct fetch_want want = {.topic = topic->topic, .topic_id = topic->topic_id, .index = topic->partitions[p]};
            struct session_partition *partition = find_partition(session, &want);
            if (partition)
                drop_partition(session, partition);
        }
    }
}

static void want_session(const struct session *session, struct arena *arena, struct fetch_context *context) {
    context->wants = arena_array(arena, struct fetch_want, session->partitions.count + 1);
    list_each(node, &session->order) {
        struct fetch_want *want = &context->wants[context->count++];
        *want = container_of(node, struct session_partition, order)->want;
        want->topic = arena_slice(arena, want->topic);
        want->has_records = want->always = want->include = false; /* of the request that made the session */
        if (want->known_as.ptr)
            want->known_as = arena_slice(arena, want->known_as);
    }
}

void fetch_session_begin(struct fetch_sessions *sessions, const struct fetch_request *message, int version, struct arena *arena,
                         struct fetch_context *ret_context) {
    int32_t id = version < 7 ? 0 : message->session_id, epoch = version < 7 ? -1 : message->session_epoch;
    *ret_context = (struct fetch_context){.privileged = message->replica_id >= 0 || message->replica_state.replica_id >= 0,
                                          .uses_ids = version >= 13};
    struct session *session = find_session(sessions, id);
    if (epoch == 0 || epoch == -1) {
        if (session)
            drop_session(sessions, session);
        ret_context->create = epoch == 0;
        want_all_listed(message, arena, ret_context);
        return;
    }
    if (!session)
        ret_context->error = KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    else if (session->epoch != epoch)
        ret_context->error = KAFKA_INVALID_FETCH_SESSION_EPOCH;
    else if (session->uses_ids != ret_context->uses_ids)
        ret_context->error = KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
    if (ret_context->error)
        return;
    update_session(session, message);
    if (!session->partitions.count) { /* nothing left: it goes, and this is a request without one */
        drop_session(sessions, session);
        want_all_listed(message, arena, ret_context);
        return;
    }
    session->used_ms = shard_wall_ms(sessions->shard->shard);
    list_remove(&session->used);
    list_push_back(&sessions->used, &session->used);
    session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
    ret_context->incremental = true;
    ret_context->session_id = session->id;
    ret_context->epoch = session->epoch;
    want_session(session, arena, ret_context);
}

/* ---- end -------------------------------------------------------------------------------------------------------------------- */

static void note_sent(struct session_partition *partition, const struct fetch_want *want) {
    if (!partition->want.known_as.ptr && want->known_as.ptr)
        partition->want.known_as = slice_of(mem_strndup((const char *)want->known_as.ptr, want->known_as.size), want->known_as.size);
    partition->sent_high_watermark = want->error ? -1 : want->high_watermark;
    partition->sent_log_start = want->log_start;
}

static void end_incremental(struct fetch_sessions *sessions, struct fetch_context *context) {
    struct session *session = find_session(sessions, context->session_id);
    if (!session || session->epoch != context->epoch) { /* another request moved it on meanwhile */
        context->error = session ? KAFKA_INVALID_FETCH_SESSION_EPOCH : KAFKA_FETCH_SESSION_ID_NOT_FOUND;
        return;
    }
    for (int i = 0; i < context->count; i++) {
        struct fetch_want *want = &context->wants[i];
        struct session_partition *partition = find_partition(session, want);
        if (!partition)
            continue;
        want->include = want->has_records || want->error || want->always || want->high_watermark != partition->sent_high_watermark ||
                        want->log_start != partition->sent_log_start;
        if (want->include || (want->known_as.ptr && !partition->want.known_as.ptr))
            note_sent(partition, want);
        if (want->has_records) { /* whoever got something is last next time */
            list_remove(&partition->order);
            list_push_back(&session->order, &partition->order);
        }
    }
}

void fetch_session_end(struct fetch_sessions *sessions, struct fetch_context *context) {
    if (context->incremental) {
        end_incremental(sessions, context);
        return;
    }
    struct session *session = NULL;
    if (context->create && sessions->slots > 0)
        session = make_session(sessions, context, shard_wall_ms(sessions->shard->shard));
    for (int i = 0; i < context->count; i++) {
        struct fetch_want *want = &context->wants[i];
        want->include = true;
        if (!session)
            continue;
        put_partition(session, want);
        note_sent(find_partition(session, want), want);
    }
    context->session_id = session ? session->id : 0;
}
