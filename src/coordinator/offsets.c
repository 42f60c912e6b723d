#include "coordinator/offsets.h"

#include <stdlib.h>
#include "base/mem.h"
#include "coordinator/classic.h"
#include "protocol/offset_commit_key.h"

struct slice committed_metadata(const struct committed_offset *committed) {
    int32_t size;
    if (!committed->metadata)
        return SLICE_EMPTY;
    memcpy(&size, committed->metadata, sizeof size);
    return slice_of(committed->metadata + sizeof size, (size_t)size);
}

static uint8_t *keep_metadata(struct slice metadata) {
    if (!metadata.size)
        return NULL;
    int32_t size = (int32_t)metadata.size;
    uint8_t *kept = mem_alloc(sizeof size + metadata.size);
    memcpy(kept, &size, sizeof size);
    memcpy(kept + sizeof size, metadata.ptr, metadata.size);
    return kept;
}

static struct slice keep(struct slice s) {
    return slice_of(mem_strndup((const char *)s.ptr, s.size), s.size);
}

/* ---- finding ----------------------------------------------------------------------------------------------------------- */

static bool group_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct offset_group, node)->id, *(const struct slice *)key);
}
static bool name_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct offset_name, node)->name, *(const struct slice *)key);
}
static bool transaction_is(const struct map_node *node, const void *key) {
    return container_of(node, struct offset_transaction, node)->producer_id == *(const int64_t *)key;
}

struct topic_key {
    const struct offset_group *group;
    const struct offset_name *name;
};
static uint64_t hash_topic(struct topic_key key) {
    return hash_u64((uint64_t)(uintptr_t)key.group->node.hash ^ hash_u64(key.name->node.hash));
}
static bool topic_is(const struct map_node *node, const void *key) {
    const struct offset_topic *topic = container_of(node, struct offset_topic, node);
    const struct topic_key *k = key;
    return topic->group == k->group && topic->name == k->name;
}

struct pending_key {
    const struct offset_topic *topic;
    int32_t partition;
    const struct offset_transaction *transaction; /* NULL: any */
};
static uint64_t hash_pending(const struct offset_topic *topic, int32_t partition) {
    return hash_u64(topic->node.hash ^ hash_u64((uint64_t)(uint32_t)partition + 1));
}
static bool pending_is(const struct map_node *node, const void *key) {
    const struct pending_offset *pending = container_of(node, struct pending_offset, node);
    const struct pending_key *k = key;
    return pending->topic == k->topic && pending->value.partition == k->partition &&
           (!k->transaction || pending->transaction == k->transaction);
}

struct offset_group *offsets_find_group(const struct offsets *offsets, struct slice group) {
    struct map_node *node = map_find(&offsets->by_group, hash_slice(group), group_is, &group);
    return node ? container_of(node, struct offset_group, node) : NULL;
}

struct offset_name *offsets_find_name(const struct offsets *offsets, struct slice name) {
    struct map_node *node = map_find(&offsets->by_name, hash_slice(name), name_is, &name);
    return node ? container_of(node, struct offset_name, node) : NULL;
}

static struct offset_topic *find_topic(const struct offsets *offsets, struct topic_key key) {
    struct map_node *node = map_find(&offsets->topics, hash_topic(key), topic_is, &key);
    return node ? container_of(node, struct offset_topic, node) : NULL;
}

struct offset_topic *offsets_find_topic(const struct offsets *offsets, const struct offset_group *group, struct slice topic) {
    struct topic_key key = {group, group ? offsets_find_name(offsets, topic) : NULL};
    return key.name ? find_topic(offsets, key) : NULL;
}

/* Index of the first at or above the partition. */
static int32_t search(const struct offset_topic *topic, int32_t partition) {
    int32_t low = 0, high = topic->count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (topic->committed[middle].partition < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct committed_offset *offset_topic_find(const struct offset_topic *topic, int32_t partition) {
    if (!topic)
        return NULL;
    int32_t index = search(topic, partition);
    return index < topic->count && topic->committed[index].partition == partition ? &topic->committed[index] : NULL;
}

static struct pending_offset *find_pending(const struct offsets *offsets, const struct offset_topic *topic, int32_t partition,
                                           const struct offset_transaction *transaction) {
    struct pending_key key = {topic, partition, transaction};
    struct map_node *node = topic && topic->pending ? map_find(&offsets->pending, hash_pending(topic, partition), pending_is, &key) : NULL;
    return node ? container_of(node, struct pending_offset, node) : NULL;
}

bool offset_topic_is_pending(const struct offsets *offsets, const struct offset_topic *topic, int32_t partition) {
    return find_pending(offsets, topic, partition, NULL) != NULL;
}

static int compare_int32(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int offset_topic_partitions(const struct offset_topic *topic, struct arena *arena, int32_t **ret_partitions) {
    int32_t *all = arena_array(arena, int32_t, topic->count + topic->pending);
    int count = 0, kept = 0;
    for (int32_t i = 0; i < topic->count; i++)
        all[count++] = topic->committed[i].partition;
    for (const struct pending_offset *pending = topic->first_pending; pending; pending = pending->next)
        all[count++] = pending->value.partition;
    if (topic->pending)
        qsort(all, (size_t)count, sizeof *all, compare_int32);
    for (int i = 0; i < count; i++)
        if (!kept || all[i] != all[kept - 1])
            all[kept++] = all[i];
    *ret_partitions = all;
    return kept;
}

bool offsets_has_group(const struct offsets *offsets, struct slice group) {
    return offsets_find_group(offsets, group) != NULL;
}

/* ---- making and freeing ---------------------------------------------------------------------------------------------------- */

static struct offset_topic *get_topic(struct offsets *offsets, struct slice group_id, struct slice topic_name) {
    struct topic_key key = {offsets_find_group(offsets, group_id), offsets_find_name(offsets, topic_name)};
    struct offset_topic *topic = key.group && key.name ? find_topic(offsets, key) : NULL;
    if (topic)
        return topic;
    topic = mem_new(struct offset_topic);
    topic->group = (struct offset_group *)key.group;
    topic->name = (struct offset_name *)key.name;
    if (!topic->group) {
        topic->group = mem_new(struct offset_group);
        topic->group->id = keep(group_id);
        list_init(&topic->group->topics);
        map_insert(&offsets->by_group, &topic->group->node, hash_slice(group_id));
    }
    if (!topic->name) {
        topic->name = mem_new(struct offset_name);
        topic->name->name = keep(topic_name);
        list_init(&topic->name->topics);
        map_insert(&offsets->by_name, &topic->name->node, hash_slice(topic_name));
    }
    list_push_back(&topic->group->topics, &topic->in_group);
    list_push_back(&topic->name->topics, &topic->in_name);
    map_insert(&offsets->topics, &topic->node, hash_topic((struct topic_key){topic->group, topic->name}));
    return topic;
}

static void free_if_empty(struct offsets *offsets, struct offset_topic *topic) {
    if (topic->count || topic->pending)
        return;
    map_remove(&offsets->topics, &topic->node);
    list_remove(&topic->in_group);
    list_remove(&topic->in_name);
    if (list_is_empty(&topic->group->topics)) {
        map_remove(&offsets->by_group, &topic->group->node);
        mem_free((void *)topic->group->id.ptr);
        mem_free(topic->group);
    }
    if (list_is_empty(&topic->name->topics)) {
        map_remove(&offsets->by_name, &topic->name->node);
        mem_free((void *)topic->name->name.ptr);
        mem_free(topic->name);
    }
    mem_free(topic->committed);
    mem_free(topic);
}

/* Takes the value's metadata over. */
static void put(struct offsets *offsets, struct offset_topic *topic, const struct committed_offset *value) {
    int32_t index = search(topic, value->partition);
    if (index < topic->count && topic->committed[index].partition == value->partition) {
        mem_free(topic->committed[index].metadata);
        topic->committed[index] = *value;
        return;
    }
    if (topic->count == topic->capacity) {
        topic->capacity = topic->capacity ? topic->capacity + topic->capacity / 2 + 1 : 1;
        topic->committed = mem_realloc(topic->committed, sizeof *topic->committed * (size_t)topic->capacity);
    }
    memmove(topic->committed + index + 1, topic->committed + index, sizeof *topic->committed * (size_t)(topic->count - index));
    topic->committed[index] = *value;
    topic->count++;
    offsets->count++;
}

static void remove_committed(struct offsets *offsets, struct offset_topic *topic, struct committed_offset *committed) {
    mem_free(committed->metadata);
    size_t behind = (size_t)(topic->committed + topic->count - (committed + 1));
    memmove(committed, committed + 1, sizeof *committed * behind);
    topic->count--;
    offsets->count--;
}

/* ---- transactions ------------------------------------------------------------------------------------------------------------ */

static struct offset_transaction *find_transaction(const struct offsets *offsets, int64_t producer_id) {
    struct map_node *node = map_find(&offsets->transactions, hash_u64((uint64_t)producer_id), transaction_is, &producer_id);
    return node ? container_of(node, struct offset_transaction, node) : NULL;
}

static struct offset_transaction *get_transaction(struct offsets *offsets, int64_t producer_id) {
    struct offset_transaction *transaction = find_transaction(offsets, producer_id);
    if (transaction)
        return transaction;
    transaction = mem_new(struct offset_transaction);
    transaction->producer_id = producer_id;
    list_init(&transaction->pending);
    map_insert(&offsets->transactions, &transaction->node, hash_u64((uint64_t)producer_id));
    return transaction;
}

static void free_transaction(struct offsets *offsets, struct offset_transaction *transaction) {
    map_remove(&offsets->transactions, &transaction->node);
    mem_free(transaction);
}

/* Takes the value's metadata over. */
static void put_pending(struct offsets *offsets, struct offset_transaction *transaction, struct offset_topic *topic,
                        const struct committed_offset *value) {
    struct pending_offset *pending = find_pending(offsets, topic, value->partition, transaction);
    if (pending) {
        mem_free(pending->value.metadata);
        pending->value = *value;
        return;
    }
    pending = mem_new(struct pending_offset);
    pending->transaction = transaction;
    pending->topic = topic;
    pending->value = *value;
    topic->pending++;
    pending->next = topic->first_pending;
    if (pending->next)
        pending->next->previous = pending;
    topic->first_pending = pending;
    list_push_back(&transaction->pending, &pending->in_transaction);
    map_insert(&offsets->pending, &pending->node, hash_pending(topic, value->partition));
}

/* Its metadata is somebody else's from now on, or freed. */
static void remove_pending(struct offsets *offsets, struct pending_offset *pending) {
    map_remove(&offsets->pending, &pending->node);
    list_remove(&pending->in_transaction);
    pending->topic->pending--;
    *(pending->previous ? &pending->previous->next : &pending->topic->first_pending) = pending->next;
    if (pending->next)
        pending->next->previous = pending->previous;
    mem_free(pending);
}

void offsets_end_transaction(struct offsets *offsets, int64_t producer_id, bool commit) {
    struct offset_transaction *transaction = find_transaction(offsets, producer_id);
    if (!transaction)
        return;
    list_each_safe(node, &transaction->pending) {
        struct pending_offset *pending = list_entry(node, struct pending_offset, in_transaction);
        struct offset_topic *topic = pending->topic;
        const struct committed_offset *committed = offset_topic_find(topic, pending->value.partition);
        if (commit && !(committed && committed->log_offset > pending->value.log_offset))
            put(offsets, topic, &pending->value);
        else
            mem_free(pending->value.metadata);
        remove_pending(offsets, pending);
        free_if_empty(offsets, topic);
    }
    free_transaction(offsets, transaction);
}

/* ---- records ------------------------------------------------------------------------------------------------------------------- */

static struct slice key_of(struct coordinator_op *op, struct slice group, struct slice topic, int32_t partition) {
    struct offset_commit_key key = {.group = group, .topic = topic, .partition = partition};
    return RECORD_KEY(op->arena, 1, offset_commit_key, &key);
}

void offset_add_commit(struct coordinator_op *op, struct slice group, struct slice topic, int32_t partition,
                       const struct offset_commit_value *value) {
    int version = value->expire_timestamp >= 0 ? 1 : 4; /* version 1 alone has a time to expire */
    coordinator_add(op, key_of(op, group, topic, partition), RECORD_VALUE(op->arena, version, offset_commit_value, value));
}

void offset_add_tombstone(struct coordinator_op *op, struct slice group, struct slice topic, int32_t partition) {
    coordinator_add(op, key_of(op, group, topic, partition), SLICE_NULL);
}

void offsets_add_tombstones(struct offsets *offsets, struct slice group_id, struct coordinator_op *op) {
    struct offset_group *group = offsets_find_group(offsets, group_id);
    if (!group)
        return;
    list_each(node, &group->topics) {
        const struct offset_topic *topic = list_entry(node, struct offset_topic, in_group);
        int32_t *partitions;
        int count = offset_topic_partitions(topic, op->arena, &partitions);
        for (int i = 0; i < count; i++)
            offset_add_tombstone(op, group_id, topic->name->name, partitions[i]);
        offsets->deleted += (uint64_t)count;
    }
}

static void replay_tombstone(struct offsets *offsets, const struct offset_commit_key *key) {
    struct offset_topic *topic = offsets_find_topic(offsets, offsets_find_group(offsets, key->group), key->topic);
    if (!topic)
        return;
    struct committed_offset *committed = offset_topic_find(topic, key->partition);
    if (committed)
        remove_committed(offsets, topic, committed);
    for (struct pending_offset *pending; (pending = find_pending(offsets, topic, key->partition, NULL));) {
        mem_free(pending->value.metadata);
        remove_pending(offsets, pending);
    }
    free_if_empty(offsets, topic);
}

enum err offsets_replay(struct groups *groups, struct group_record *record) {
    struct offsets *offsets = groups->offsets;
    struct offset_commit_key key;
    enum err err = offset_commit_key_decode(&record->key, 0, &key);
    if (err)
        return err;
    if (record->tombstone) {
        replay_tombstone(offsets, &key);
        return ERR_OK;
    }
    if (record->version < OFFSET_COMMIT_VALUE_VERSION_MIN || record->version > OFFSET_COMMIT_VALUE_VERSION_MAX)
        return ERR_UNSUPPORTED;
    struct offset_commit_value value;
    err = offset_commit_value_decode(&record->value, record->version, &value);
    if (err)
        return err;
    struct committed_offset committed = {.partition = key.partition,
                                         .leader_epoch = value.leader_epoch,
                                         .offset = value.offset,
                                         .commit_ms = value.commit_timestamp,
                                         .expire_ms = value.expire_timestamp,
                                         .log_offset = record->raw->offset,
                                         .topic_id = value.topic_id,
                                         .metadata = keep_metadata(value.metadata)};
    if (!groups_find(groups, key.group))
        classic_group_create(groups, key.group); /* a "simple" one: it has offsets, and no members ever */
    struct offset_topic *topic = get_topic(offsets, key.group, key.topic);
    if (record->raw->producer_id < 0)
        put(offsets, topic, &committed);
    else
        put_pending(offsets, get_transaction(offsets, record->raw->producer_id), topic, &committed);
    return ERR_OK;
}

/* ---- life -------------------------------------------------------------------------------------------------------------------------- */

struct offsets *offsets_create(struct groups *groups) {
    struct offsets *offsets = mem_new(struct offsets);
    offsets->groups = groups;
    offsets->metadata_size_max = (size_t)coordinator_config_int(groups->coordinator, "offset.metadata.max.bytes");
    list_init(&offsets->removed);
    return offsets;
}

void offsets_destroy(struct offsets *offsets) {
    offsets_stop_expiry(offsets);
    map_each_safe(node, &offsets->transactions) {
        struct offset_transaction *transaction = container_of(node, struct offset_transaction, node);
        offsets_end_transaction(offsets, transaction->producer_id, false);
    }
    map_each_safe(node, &offsets->topics) {
        struct offset_topic *topic = container_of(node, struct offset_topic, node);
        while (topic->count)
            remove_committed(offsets, topic, &topic->committed[topic->count - 1]);
        free_if_empty(offsets, topic);
    }
    map_deinit(&offsets->by_group);
    map_deinit(&offsets->by_name);
    map_deinit(&offsets->topics);
    map_deinit(&offsets->pending);
    map_deinit(&offsets->transactions);
    mem_free(offsets);
}
