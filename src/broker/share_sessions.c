#include "broker/share_sessions.h"

#include "base/mem.h"
#include "broker/conn.h"
#include "broker/share_partitions.h"
#include "metadata/config_check.h"
#include "protocol/errors.h"

struct session_place {
    struct map_node node;
    struct list order;
    struct share_want want;
};
struct session_group { /* that has sessions */
    struct map_node node;
    struct slice name; /* owned */
    int count;
};
struct session {
    struct map_node node;
    struct list all;
    struct session_group *group;
    struct slice member;        /* owned */
    uint64_t serial;
    int32_t epoch;              /* of the next request */
    struct map places;
    struct list order;
};
struct share_sessions {
    struct broker_shard *shard;
    struct map sessions, groups;
    struct list all;
    uint64_t last_serial, evictions;
    int64_t elsewhere;          /* sessions of other shards, as these told */
    int64_t told;               /* what was told to them */
    struct turn_hook tell_hook;
};

static void tell(struct turn_hook *hook);

struct share_sessions *share_sessions_create(struct broker_shard *shard) {
    struct share_sessions *sessions = mem_new(struct share_sessions);
    sessions->shard = shard;
    list_init(&sessions->all);
    sessions->tell_hook.run = tell;
    return sessions;
}

int share_session_shard(const struct broker *broker, struct slice group) {
    return (int)(hash_slice(group) % (uint64_t)broker->shard_count);
}

/* ---- places --------------------------------------------------------------------------------------------------------------- */

static bool place_is(const struct map_node *node, const void *key) {
    const struct share_want *a = &container_of(node, struct session_place, node)->want, *b = key;
    return a->index == b->index && uuid_eq(a->topic_id, b->topic_id);
}
static uint64_t place_hash(const struct share_want *want) {
    return partition_hash(want->topic_id, want->index);
}
static struct session_place *find_place(const struct session *session, const struct share_want *want) {
    struct map_node *node = map_find(&session->places, place_hash(want), place_is, want);
    return node ? container_of(node, struct session_place, node) : NULL;
}
static void add_place(struct session *session, const struct share_want *want) {
    if (find_place(session, want))
        return;
    struct session_place *place = mem_new(struct session_place);
    place->want = (struct share_want){.topic_id = want->topic_id, .index = want->index, .is_new = true};
    map_insert(&session->places, &place->node, place_hash(want));
    list_push_back(&session->order, &place->order);
}
static void drop_place(struct session *session, struct session_place *place) {
    map_remove(&session->places, &place->node);
    list_remove(&place->order);
    mem_free(place);
}

/* ---- how many there are, on all shards ---------------------------------------------------------------------------------- */

struct telling { /* a shard -> each other */
    struct message message;
    int64_t change;
};

static void told(struct shard *shard, struct message *message) {
    struct telling *telling = container_of(message, struct telling, message);
    struct share_sessions *sessions = broker_shard_of(shard)->share_sessions;
    if (sessions)
        sessions->elsewhere += telling->change;
    mem_free(telling);
}

static void tell(struct turn_hook *hook) {
    struct share_sessions *sessions = container_of(hook, struct share_sessions, tell_hook);
    struct broker *broker = sessions->shard->broker;
    int64_t count = (int64_t)sessions->sessions.count;
    for (int s = 0; s < broker->shard_count && count != sessions->told; s++) {
        if (s == sessions->shard->index)
            continue;
        struct telling *telling = mem_new(struct telling);
        telling->change = count - sessions->told;
        telling->message.deliver = told;
        shard_post(broker->shards[s].shard, &telling->message);
    }
    sessions->told = count;
}

/* ---- sessions --------------------------------------------------------------------------------------------------------------- */

struct session_key {
    struct slice group, member;
};
static bool session_is(const struct map_node *node, const void *arg) {
    const struct session *session = container_of(node, struct session, node);
    const struct session_key *key = arg;
    return slice_eq(session->group->name, key->group) && slice_eq(session->member, key->member);
}
static uint64_t session_hash(struct session_key key) {
    return hash_slice(key.group) * 31 + hash_slice(key.member);
}
static struct session *find_session(const struct share_sessions *sessions, struct slice group, struct slice member) {
    struct session_key key = {group, member};
    struct map_node *node = map_find(&sessions->sessions, session_hash(key), session_is, &key);
    return node ? container_of(node, struct session, node) : NULL;
}

static bool group_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct session_group, node)->name, *(const struct slice *)key);
}
static struct session_group *find_group(const struct share_sessions *sessions, struct slice name) {
    struct map_node *node = map_find(&sessions->groups, hash_slice(name), group_is, &name);
    return node ? container_of(node, struct session_group, node) : NULL;
}
static struct session_group *join_group(struct share_sessions *sessions, struct slice name) {
    struct session_group *group = find_group(sessions, name);
    if (!group) {
        group = mem_new(struct session_group);
        group->name = slice_of(mem_strndup((const char *)name.ptr, name.size), name.size);
        map_insert(&sessions->groups, &group->node, hash_slice(name));
    }
    group->count++;
    return group;
}
static void leave_group(struct share_sessions *sessions, struct session_group *group) {
    if (--group->count)
        return;
    map_remove(&sessions->groups, &group->node);
    mem_free((void *)group->name.ptr);
    mem_free(group);
}

static void drop_session(struct share_sessions *sessions, struct session *session) {
    list_each_safe(node, &session->order)
        drop_place(session, list_entry(node, struct session_place, order));
    map_deinit(&session->places);
    map_remove(&sessions->sessions, &session->node);
    list_remove(&session->all);
    leave_group(sessions, session->group);
    mem_free((void *)session->member.ptr);
    mem_free(session);
    shard_at_turn_end(sessions->shard->shard, &sessions->tell_hook);
}

void share_sessions_drop_all(struct share_sessions *sessions) {
    list_each_safe(node, &sessions->all)
        drop_session(sessions, list_entry(node, struct session, all));
}

void share_sessions_destroy(struct share_sessions *sessions) {
    share_sessions_drop_all(sessions);
    turn_hook_cancel(&sessions->tell_hook);
    map_deinit(&sessions->sessions);
    map_deinit(&sessions->groups);
    mem_free(sessions);
}

static struct session *make_session(struct share_sessions *sessions, const struct share_context *context) {
    struct arena arena = {0};
    int64_t max = config_int(config_broker_value(sessions->shard->broker->config, sessions->shard->image, "group.share.max.share.sessions", &arena));
    arena_deinit(&arena);
    if ((int64_t)sessions->sessions.count + sessions->elsewhere >= max)
        return NULL;
    struct session *session = mem_new(struct session);
    session->group = join_group(sessions, context->group);
    session->member = slice_of(mem_strndup((const char *)context->member.ptr, context->member.size), context->member.size);
    session->serial = ++sessions->last_serial;
    session->epoch = 1;
    list_init(&session->order);
    map_insert(&sessions->sessions, &session->node, session_hash((struct session_key){context->group, context->member}));
    list_push_back(&sessions->all, &session->all);
    shard_at_turn_end(sessions->shard->shard, &sessions->tell_hook);
    return session;
}

struct share_session_numbers share_session_numbers(const struct share_sessions *sessions) {
    struct share_session_numbers numbers = {.sessions = (int64_t)sessions->sessions.count, .evictions = sessions->evictions};
    list_each(node, &sessions->all)
        numbers.partitions += (int64_t)list_entry(node, struct session, all)->places.count;
    return numbers;
}

/* ---- begin and end of a request ------------------------------------------------------------------------------------------------ */

/* The session's partitions; with a turn, so that all come first in time. */
static void take_wants(const struct session *session, int32_t epoch, struct share_context *context, struct arena *arena) {
    int all = (int)session->places.count, from = all && epoch > 0 ? (int)(epoch % all) : 0, at = 0;
    context->wants = arena_array(arena, struct share_want, all + 1);
    context->count = all;
    list_each(node, &session->order) {
        context->wants[(at - from + all) % all] = list_entry(node, struct session_place, order)->want;
        at++;
    }
}

static void open_session(struct share_sessions *sessions, struct share_context *context, struct arena *arena) {
    if (context->acknowledges || context->has_acks) {
        context->error = context->acknowledges ? KAFKA_INVALID_SHARE_SESSION_EPOCH : KAFKA_INVALID_REQUEST;
        return;
    }
    struct session *session = find_session(sessions, context->group, context->member);
    if (session)
        drop_session(sessions, session); /* its records stay locked */
    session = make_session(sessions, context);
    if (!session) {
        context->error = KAFKA_SHARE_SESSION_LIMIT_REACHED;
        context->limit_reached = true;
        return;
    }
    context->serial = session->serial;
    for (int i = 0; i < context->added_count; i++)
        add_place(session, &context->added[i]);
    take_wants(session, 0, context, arena);
}

void share_session_begin(struct share_sessions *sessions, struct share_context *context, struct arena *arena) {
    if (context->epoch == 0) {
        open_session(sessions, context, arena);
        return;
    }
    struct session *session = find_session(sessions, context->group, context->member);
    if (!session) {
        context->error = KAFKA_SHARE_SESSION_NOT_FOUND;
        return;
    }
    if (context->epoch == -1) {
        take_wants(session, -1, context, arena);
        context->final = true;
        drop_session(sessions, session);
        context->last = !find_group(sessions, context->group);
        return;
    }
    if (session->epoch != context->epoch) {
        context->error = KAFKA_INVALID_SHARE_SESSION_EPOCH;
        return;
    }
    session->epoch = session->epoch == INT32_MAX ? 1 : session->epoch + 1;
    context->serial = session->serial;
    for (int i = 0; i < context->added_count && !context->acknowledges; i++)
        add_place(session, &context->added[i]);
    for (int i = 0; i < context->forgotten_count; i++) {
        struct session_place *place = find_place(session, &context->forgotten[i]);
        if (place)
            drop_place(session, place);
    }
    if (!context->acknowledges)
        take_wants(session, context->epoch, context, arena);
}

void share_session_end(struct share_sessions *sessions, const struct share_context *context) {
    struct session *session = find_session(sessions, context->group, context->member);
    if (!session || session->serial != context->serial)
        return;
    for (int i = 0; i < context->count; i++) {
        const struct share_want *want = &context->wants[i];
        struct session_place *place = want->answered ? find_place(session, want) : NULL;
        if (!place)
            continue;
        place->want.is_new = want->error;
        if (want->with_records) {
            list_remove(&place->order);
            list_push_back(&session->order, &place->order);
        }
    }
}

/* ---- release -------------------------------------------------------------------------------------------------------------------- */

struct release {
    struct message message;
    struct slice group, member; /* behind the wants; member null: share partitions are forgotten, the group's or these */
    int count;
    struct share_want wants[];
};

static void release_in(struct shard *shard, struct message *message) {
    struct release *release = container_of(message, struct release, message);
    struct broker_shard *here = broker_shard_of(shard);
    for (int i = 0; here->share && i < release->count; i++) {
        const struct share_want *want = &release->wants[i];
        struct share_partition *sp = share_find_partition(here, release->group, want->topic_id, want->index);
        if (release->member.ptr)
            share_release_member(here, release->group, want->topic_id, want->index, release->member);
        else if (sp)
            share_remove(sp, 0);
    }
    if (here->share && !release->member.ptr && !release->count)
        share_remove_group(here, release->group);
    mem_free(release);
}

static struct release *make_release(struct slice group, struct slice member, int count) {
    struct release *release = mem_zalloc(sizeof *release + sizeof(struct share_want) * (size_t)count + group.size + member.size + 1);
    uint8_t *text = (uint8_t *)&release->wants[count];
    memcpy(text, group.ptr, group.size);
    release->group = slice_of(text, group.size);
    if (member.ptr) {
        memcpy(text + group.size, member.ptr, member.size);
        release->member = slice_of(text + group.size, member.size);
    }
    release->message.deliver = release_in;
    return release;
}

void share_session_release(struct broker *broker, struct slice group, struct slice member, const struct share_want *wants, int count) {
    for (int s = 0; s < broker->shard_count; s++) {
        struct release *release = NULL;
        for (int i = 0; i < count; i++) {
            if (broker_partition_shard(broker, wants[i].topic_id, wants[i].index) != s)
                continue;
            if (!release)
                release = make_release(group, member, count);
            release->wants[release->count++] = wants[i];
        }
        if (release)
            shard_post(broker->shards[s].shard, &release->message);
    }
}

void share_forget_places(struct broker *broker, struct slice group, const struct share_want *wants, int count) {
    share_session_release(broker, group, SLICE_NULL, wants, count);
}

void share_forget_idle(struct broker *broker, struct slice group) {
    for (int s = 0; s < broker->shard_count; s++)
        shard_post(broker->shards[s].shard, &make_release(group, SLICE_NULL, 0)->message);
}

/* ---- connections ------------------------------------------------------------------------------------------------------------------ */

struct closing {
    struct message message;
    struct share_binding binding;
};

static void free_binding(struct share_binding *binding) {
    mem_free((void *)binding->group.ptr);
    mem_free((void *)binding->member.ptr);
}

static void closed(struct shard *shard, struct message *message) {
    struct closing *closing = container_of(message, struct closing, message);
    struct broker_shard *here = broker_shard_of(shard);
    struct share_sessions *sessions = here->share_sessions;
    const struct share_binding *binding = &closing->binding;
    struct session *session = sessions ? find_session(sessions, binding->group, binding->member) : NULL;
    if (session && session->serial == binding->serial) {
        struct arena arena = {0};
        struct share_context context = {0};
        take_wants(session, -1, &context, &arena);
        share_session_release(here->broker, binding->group, binding->member, context.wants, context.count);
        drop_session(sessions, session);
        sessions->evictions++;
        if (!find_group(sessions, binding->group))
            share_forget_idle(here->broker, binding->group);
        arena_deinit(&arena);
    }
    free_binding(&closing->binding);
    mem_free(closing);
}

static void post_closed(struct broker *broker, const struct share_binding *binding) {
    struct closing *closing = mem_new(struct closing);
    closing->binding = *binding;
    closing->message.deliver = closed;
    shard_post(broker->shards[binding->shard].shard, &closing->message);
}

void share_bind(struct conn *conn, const struct share_context *context) {
    struct share_binding binding = {
        .shard = share_session_shard(conn->shard->broker, context->group),
        .serial = context->serial,
        .group = slice_of(mem_strndup((const char *)context->group.ptr, context->group.size), context->group.size),
        .member = slice_of(mem_strndup((const char *)context->member.ptr, context->member.size), context->member.size)};
    if (conn->closing) {
        post_closed(conn->shard->broker, &binding);
        return;
    }
    if (conn->share)
        free_binding(conn->share);
    else
        conn->share = mem_new(struct share_binding);
    *conn->share = binding;
}

void share_unbind(struct conn *conn) {
    if (!conn->share)
        return;
    post_closed(conn->shard->broker, conn->share);
    mem_free(conn->share);
    conn->share = NULL;
}
