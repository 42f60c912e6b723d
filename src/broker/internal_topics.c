#include "broker/internal_topics.h"

#include "base/mem.h"
#include "protocol/errors.h"

enum { ERRORS_MAX = 1000 };

struct entry { /* a topic on its way, or one that failed */
    struct map_node node;
    struct heap_node expiry;
    struct slice name; /* owned */
    char *error;       /* NULL: on its way */
};
struct internal_topics {
    struct map entries;
    struct heap expiries; /* of failures */
};

struct creation {
    struct controller_call call;
    struct broker_shard *shard;
    struct arena arena;
    struct create_topics_request request;
    struct create_topics_response response;
    int64_t error_ms;
};

static bool entry_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct entry, node)->name, *(const struct slice *)key);
}

static struct entry *find(const struct internal_topics *topics, struct slice name) {
    struct map_node *node = map_find(&topics->entries, hash_slice(name), entry_is, &name);
    return node ? container_of(node, struct entry, node) : NULL;
}

static void drop(struct internal_topics *topics, struct entry *entry) {
    map_remove(&topics->entries, &entry->node);
    heap_remove(&topics->expiries, &entry->expiry);
    mem_free((void *)entry->name.ptr);
    mem_free(entry->error);
    mem_free(entry);
}

static void expire(struct internal_topics *topics, uint64_t now_ns) {
    struct heap_node *first;
    while ((first = heap_min(&topics->expiries)) && (first->key <= now_ns || topics->expiries.count > ERRORS_MAX))
        drop(topics, container_of(first, struct entry, expiry));
}

const char *internal_topics_error(struct broker_shard *shard, struct slice topic) {
    if (!shard->internal_topics)
        return NULL;
    expire(shard->internal_topics, shard_now_ns(shard->shard));
    const struct entry *entry = find(shard->internal_topics, topic);
    return entry ? entry->error : NULL;
}

void internal_topics_free(struct broker_shard *shard) {
    struct internal_topics *topics = shard->internal_topics;
    if (!topics)
        return;
    map_each_safe(node, &topics->entries)
        drop(topics, container_of(node, struct entry, node));
    map_deinit(&topics->entries);
    heap_deinit(&topics->expiries);
    mem_free(topics);
    shard->internal_topics = NULL;
}

/* ---- creating ------------------------------------------------------------------------------------------------------------ */

static void decide(struct controller_call *call, struct decision *decision) {
    struct creation *creation = container_of(call, struct creation, call);
    decide_create_topics(decision, &creation->request, 7, &creation->response);
}

static const char *why(const struct creation *creation, int i) {
    const struct create_topics_response_creatable_topic_result *result = &creation->response.topics[i];
    if (creation->call.err)
        return err_text(creation->call.err);
    if (!result->error_code)
        return NULL;
    return result->error_message.size ? (const char *)result->error_message.ptr : kafka_error_name(result->error_code);
}

static void done(struct controller_call *call) {
    struct creation *creation = container_of(call, struct creation, call);
    struct internal_topics *topics = creation->shard->internal_topics;
    uint64_t now_ns = shard_now_ns(creation->shard->shard);
    for (int i = 0; topics && i < creation->request.topics_count; i++) {
        struct entry *entry = find(topics, creation->request.topics[i].name);
        const char *error = why(creation, i);
        if (entry && error) {
            entry->error = mem_strdup(error);
            heap_insert(&topics->expiries, &entry->expiry, now_ns + (uint64_t)creation->error_ms * NS_PER_MS);
        } else if (entry) {
            drop(topics, entry);
        }
    }
    if (topics)
        expire(topics, now_ns);
    arena_deinit(&creation->arena);
    mem_free(creation);
}

static void add_topic(struct creation *creation, const struct streams_internal_topic *topic) {
    struct arena *arena = &creation->arena;
    struct create_topics_request_creatable_topic *at = &creation->request.topics[creation->request.topics_count];
    create_topics_request_creatable_topic_init(at);
    create_topics_response_creatable_topic_result_init(&creation->response.topics[creation->request.topics_count++]);
    at->name = arena_slice(arena, topic->info->name);
    at->num_partitions = topic->partitions;
    at->replication_factor = topic->info->replication_factor ? topic->info->replication_factor : -1;
    at->configs = arena_array(arena, struct create_topics_request_creatable_topic_config, topic->info->topic_configs_count);
    at->configs_count = topic->info->topic_configs_count;
    for (int i = 0; i < at->configs_count; i++)
        at->configs[i] = (struct create_topics_request_creatable_topic_config){arena_slice(arena, topic->info->topic_configs[i].key),
                                                                               arena_slice(arena, topic->info->topic_configs[i].value)};
}

static void add_entry(struct internal_topics *topics, struct slice name) {
    struct entry *entry = mem_new(struct entry);
    entry->name = slice_of(mem_strndup((const char *)name.ptr, name.size), name.size);
    map_insert(&topics->entries, &entry->node, hash_slice(name));
}

void internal_topics_create(struct broker_shard *shard, const struct streams_internal_topic *topics, int count, int64_t error_ms) {
    if (!shard->internal_topics)
        shard->internal_topics = mem_new(struct internal_topics);
    expire(shard->internal_topics, shard_now_ns(shard->shard));
    struct creation *creation = mem_new(struct creation);
    creation->shard = shard;
    creation->error_ms = error_ms;
    create_topics_request_init(&creation->request);
    create_topics_response_init(&creation->response);
    creation->request.topics = arena_array(&creation->arena, struct create_topics_request_creatable_topic, count);
    creation->response.topics = arena_array(&creation->arena, struct create_topics_response_creatable_topic_result, count);
    for (int i = 0; i < count; i++)
        if (!find(shard->internal_topics, topics[i].info->name)) {
            add_entry(shard->internal_topics, topics[i].info->name);
            add_topic(creation, &topics[i]);
        }
    creation->response.topics_count = creation->request.topics_count;
    if (!creation->request.topics_count) {
        arena_deinit(&creation->arena);
        mem_free(creation);
        return;
    }
    creation->call = (struct controller_call){.home = shard->shard, .arena = &creation->arena, .decide = decide, .done = done};
    controller_call(shard->broker->controller, &creation->call);
}
