/* Records of __transaction_state.
 *
 *   key    i16 0, str transactional id
 *   value  i16 version (0 at transaction.version 0, else 1), i64 producer id, i16 epoch, i32 timeout, i8 state,
 *          []{str topic, []i32}? partitions (null when Empty), i64 last update, i64 start (-1),
 *          tags of version 1: 0 i64 previous producer id, 1 i64 next producer id, 2 i16 version of the client
 *
 * The later record of an id holds; null removes it. */
#include "coordinator/txn.h"

#include <stdlib.h>
#include "base/mem.h"
#include "coordinator/coordinator.h"
#include "protocol/transaction_log_key.h"
#include "protocol/transaction_log_value.h"

/* ---- partitions --------------------------------------------------------------------------------------------------------- */

enum { INDEX_FROM = 16 }; /* topics; fewer are looked through */

static struct txn_topic *find_topic(const struct txn_topics *topics, struct slice name) {
    if (topics->index) {
        uint32_t at = (uint32_t)hash_slice(name) & (topics->index_size - 1);
        for (; topics->index[at]; at = (at + 1) & (topics->index_size - 1))
            if (slice_eq(topics->all[topics->index[at] - 1].name, name))
                return &topics->all[topics->index[at] - 1];
        return NULL;
    }
    for (int32_t i = 0; i < topics->count; i++)
        if (slice_eq(topics->all[i].name, name))
            return &topics->all[i];
    return NULL;
}

static void put_in_index(struct txn_topics *topics, int32_t i) {
    uint32_t at = (uint32_t)hash_slice(topics->all[i].name) & (topics->index_size - 1);
    while (topics->index[at])
        at = (at + 1) & (topics->index_size - 1);
    topics->index[at] = i + 1;
}

/* At most half of it is in use. */
static void index_last(struct txn_topics *topics) {
    if (topics->count < INDEX_FROM)
        return;
    if ((uint32_t)topics->count * 2 <= topics->index_size) {
        put_in_index(topics, topics->count - 1);
        return;
    }
    mem_free(topics->index);
    topics->index_size = topics->index_size ? topics->index_size * 2 : 4 * INDEX_FROM;
    topics->index = mem_zalloc(sizeof *topics->index * topics->index_size);
    for (int32_t i = 0; i < topics->count; i++)
        put_in_index(topics, i);
}

/* Where the partition is, or would be. */
static int32_t search(const struct txn_topic *topic, int32_t partition) {
    int32_t low = 0, high = topic->count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (topic->partitions[middle] < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool txn_topics_contain(const struct txn_topics *topics, struct slice name, int32_t partition) {
    const struct txn_topic *topic = find_topic(topics, name);
    if (!topic)
        return false;
    int32_t at = search(topic, partition);
    return at < topic->count && topic->partitions[at] == partition;
}

static struct txn_topic *add_topic(struct txn_topics *topics, struct slice name) {
    if (topics->count == topics->capacity) {
        topics->capacity = topics->capacity ? topics->capacity * 2 : 1;
        topics->all = mem_realloc(topics->all, sizeof *topics->all * (size_t)topics->capacity);
    }
    struct txn_topic *topic = &topics->all[topics->count++];
    *topic = (struct txn_topic){.name = slice_of(mem_strndup((const char *)name.ptr, name.size), name.size)};
    index_last(topics);
    return topic;
}

void txn_topics_add(struct txn_topics *topics, struct slice name, int32_t partition) {
    struct txn_topic *topic = find_topic(topics, name);
    if (!topic)
        topic = add_topic(topics, name);
    int32_t at = search(topic, partition);
    if (at < topic->count && topic->partitions[at] == partition)
        return;
    if (topic->count == topic->capacity) {
        topic->capacity = topic->capacity ? topic->capacity * 2 : 4;
        topic->partitions = mem_realloc(topic->partitions, sizeof *topic->partitions * (size_t)topic->capacity);
    }
    memmove(topic->partitions + at + 1, topic->partitions + at, sizeof *topic->partitions * (size_t)(topic->count - at));
    topic->partitions[at] = partition;
    topic->count++;
}

void txn_topics_clear(struct txn_topics *topics) {
    for (int32_t i = 0; i < topics->count; i++) {
        mem_free((void *)topics->all[i].name.ptr);
        mem_free(topics->all[i].partitions);
    }
    mem_free(topics->all);
    mem_free(topics->index);
    *topics = (struct txn_topics){0};
}

int32_t txn_topics_partitions(const struct txn_topics *topics) {
    int32_t count = 0;
    for (int32_t i = 0; i < topics->count; i++)
        count += topics->all[i].count;
    return count;
}

/* ---- the order of Java's hash tables -------------------------------------------------------------------------------------- */

struct place {
    uint32_t bucket;
    int32_t topic, partition; /* of `topics` */
};

/* Buckets of a table that grew to hold so many. */
static uint32_t table_size(int32_t count) {
    uint32_t size = 16;
    while ((double)size * 0.75 < (double)count)
        size *= 2;
    return size;
}
static uint32_t bucket_of(uint32_t hash, uint32_t size) {
    return (hash ^ hash >> 16) & (size - 1);
}

static int compare_places(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    if (x->bucket != y->bucket)
        return x->bucket < y->bucket ? -1 : 1;
    if (x->topic != y->topic)
        return x->topic < y->topic ? -1 : 1;
    return (x->partition > y->partition) - (x->partition < y->partition);
}

struct txn_topics txn_topics_ordered(const struct txn_topics *topics, struct arena *arena) {
    int32_t total = txn_topics_partitions(topics), placed = 0;
    struct place *places = arena_array(arena, struct place, total + 1), *order = arena_array(arena, struct place, topics->count + 1);
    uint32_t size = table_size(total), topic_size = table_size(topics->count);
    for (int32_t t = 0; t < topics->count; t++) {
        uint32_t hash = coordinator_hash(topics->all[t].name);
        order[t] = (struct place){bucket_of(hash, topic_size), t, 0};
        for (int32_t p = 0; p < topics->all[t].count; p++) {
            int32_t partition = topics->all[t].partitions[p];
            places[placed++] = (struct place){bucket_of(31 * (31 + (uint32_t)partition) + hash, size), t, partition};
        }
    }
    qsort(places, (size_t)total, sizeof *places, compare_places);
    qsort(order, (size_t)topics->count, sizeof *order, compare_places);
    struct txn_topics sorted = {.all = arena_array(arena, struct txn_topic, topics->count + 1), .count = topics->count, .capacity = topics->count};
    struct txn_topic **to = arena_array(arena, struct txn_topic *, topics->count + 1); /* by the topic's index in `topics` */
    for (int32_t i = 0; i < topics->count; i++) {
        const struct txn_topic *from = &topics->all[order[i].topic];
        to[order[i].topic] = &sorted.all[i];
        sorted.all[i] = (struct txn_topic){.name = from->name, .partitions = arena_array(arena, int32_t, from->count + 1), .capacity = from->count};
    }
    for (int32_t p = 0; p < total; p++)
        to[places[p].topic]->partitions[to[places[p].topic]->count++] = places[p].partition;
    return sorted;
}

/* ---- encoding ----------------------------------------------------------------------------------------------------------------- */

struct slice txn_record_key(struct arena *arena, struct slice id) {
    struct transaction_log_key key = {.transactional_id = id};
    return RECORD_KEY(arena, 0, transaction_log_key, &key);
}

struct slice txn_record_value(struct arena *arena, const struct txn_fields *at, const struct txn_topics *topics, int level) {
    struct transaction_log_value value;
    transaction_log_value_init(&value);
    value.producer_id = at->producer_id;
    value.producer_epoch = at->epoch;
    value.transaction_timeout_ms = at->timeout_ms;
    value.transaction_status = (int8_t)at->state;
    value.transaction_last_update_timestamp_ms = at->update_ms;
    value.transaction_start_timestamp_ms = at->start_ms;
    value.transaction_partitions_count = -1;
    if (level > 0) {
        value.previous_producer_id = at->previous_id;
        value.next_producer_id = at->next_id;
        value.client_transaction_version = at->client_version;
    }
    if (at->state != TXN_EMPTY) {
        struct txn_topics ordered = txn_topics_ordered(topics, arena);
        value.transaction_partitions_count = ordered.count;
        value.transaction_partitions = arena_array(arena, struct transaction_log_value_partitions_schema, ordered.count + 1);
        for (int32_t i = 0; i < ordered.count; i++)
            value.transaction_partitions[i] =
                (struct transaction_log_value_partitions_schema){ordered.all[i].name, ordered.all[i].partitions, ordered.all[i].count};
    }
    return level > 0 ? RECORD_VALUE(arena, 1, transaction_log_value, &value) : RECORD_VALUE(arena, 0, transaction_log_value, &value);
}

/* ---- decoding ------------------------------------------------------------------------------------------------------------------- */

static enum err take_fields(const struct transaction_log_value *value, struct txn_fields *at) {
    if (value->transaction_status < 0 || value->transaction_status >= TXN_PREPARE_EPOCH_FENCE || value->transaction_status == TXN_DEAD ||
        value->client_transaction_version < 0 || value->client_transaction_version > 2)
        return ERR_CORRUPT;
    *at = (struct txn_fields){.state = (enum txn_state)value->transaction_status,
                              .producer_id = value->producer_id,
                              .previous_id = value->previous_producer_id,
                              .next_id = value->next_producer_id,
                              .epoch = value->producer_epoch,
                              .last_epoch = -1,
                              .client_version = value->client_transaction_version,
                              .timeout_ms = value->transaction_timeout_ms,
                              .start_ms = value->transaction_start_timestamp_ms,
                              .update_ms = value->transaction_last_update_timestamp_ms};
    return ERR_OK;
}

enum err txn_record_read(struct arena *arena, struct slice key_bytes, struct slice value_bytes, struct slice *ret_id,
                         struct txn_fields *ret_at, struct txn_topics *ret_topics) {
    struct decoder d = decoder_of(key_bytes, arena);
    struct transaction_log_key key;
    int16_t type = decode_int16(&d);
    if (d.err)
        return ERR_CORRUPT;
    if (type != 0)
        return ERR_UNSUPPORTED;
    enum err err = transaction_log_key_decode(&d, 0, &key);
    if (err)
        return err;
    *ret_id = key.transactional_id;
    if (!value_bytes.ptr)
        return ERR_OK;
    d = decoder_of(value_bytes, arena);
    int16_t version = decode_int16(&d);
    if (d.err)
        return ERR_CORRUPT;
    if (version < TRANSACTION_LOG_VALUE_VERSION_MIN || version > TRANSACTION_LOG_VALUE_VERSION_MAX)
        return ERR_UNSUPPORTED;
    struct transaction_log_value value;
    err = transaction_log_value_decode(&d, version, &value);
    if (!err)
        err = take_fields(&value, ret_at);
    if (err)
        return err;
    for (int32_t t = 0; t < value.transaction_partitions_count; t++) {
        const struct transaction_log_value_partitions_schema *in = &value.transaction_partitions[t];
        for (int32_t p = 0; p < in->partition_ids_count; p++)
            txn_topics_add(ret_topics, in->topic, in->partition_ids[p]);
    }
    return ERR_OK;
}
