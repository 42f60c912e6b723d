#include "log/producers.h"

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/mem.h"
#include "protocol/batch.h"

enum { SNAPSHOT_HEADER = 10, SNAPSHOT_ENTRY = 46 };

static bool producer_is(const struct map_node *node, const void *key) {
    return container_of(node, struct producer, node)->id == *(const int64_t *)key;
}

static bool verification_is(const struct map_node *node, const void *key) {
    return container_of(node, struct verification, node)->producer_id == *(const int64_t *)key;
}

static struct producer *producer_find(const struct producers *producers, int64_t id) {
    struct map_node *node = map_find(&producers->map, hash_u64((uint64_t)id), producer_is, &id);
    return node ? container_of(node, struct producer, node) : NULL;
}

const struct producer *producers_find(const struct producers *producers, int64_t id) {
    return producer_find(producers, id);
}

static struct verification *verification_find(const struct producers *producers, int64_t id) {
    if (!producers->verifications.count)
        return NULL;
    struct map_node *node = map_find(&producers->verifications, hash_u64((uint64_t)id), verification_is, &id);
    return node ? container_of(node, struct verification, node) : NULL;
}

static void verification_free(struct producers *producers, struct verification *verification) {
    map_remove(&producers->verifications, &verification->node);
    mem_free(verification);
}

static struct producer *producer_get(struct producers *producers, int64_t id) {
    struct producer *producer = producer_find(producers, id);
    if (!producer) {
        producer = mem_new(struct producer);
        producer->id = id;
        producer->epoch = -1;
        producer->coordinator_epoch = -1;
        producer->txn_first_offset = -1;
        producer->last_timestamp = -1;
        map_insert(&producers->map, &producer->node, hash_u64((uint64_t)id));
    }
    return producer;
}

void producers_clear(struct producers *producers) {
    map_each_safe(node, &producers->map) {
        map_remove(&producers->map, node);
        mem_free(container_of(node, struct producer, node));
    }
    map_deinit(&producers->map);
    map_each_safe(node, &producers->verifications)
        verification_free(producers, container_of(node, struct verification, node));
    map_deinit(&producers->verifications);
    mem_free(producers->txns);
    *producers = (struct producers){0};
}

/* ---- may it be appended? -------------------------------------------------------------------------------------------------- */

static bool is_open_at(const struct producer *producer, int16_t epoch) {
    return producer && producer->txn_first_offset >= 0 && producer->epoch == epoch;
}

enum err producers_verify(struct producers *producers, int64_t id, int16_t epoch, int32_t sequence, bool new_protocol, uint64_t fresh,
                          int64_t now_ms, uint64_t *ret_guard) {
    const struct producer *producer = producer_find(producers, id);
    if (producer && epoch < producer->epoch)
        return ERR_INVALID_PRODUCER_EPOCH;
    *ret_guard = GUARD_NONE;
    if (is_open_at(producer, epoch))
        return ERR_OK;
    struct verification *verification = verification_find(producers, id);
    if (!verification) {
        verification = mem_new(struct verification);
        *verification = (struct verification){.producer_id = id, .created_ms = now_ms, .guard = fresh, .epoch = epoch,
                                              .new_protocol = new_protocol, .lowest_sequence = sequence};
        map_insert(&producers->verifications, &verification->node, hash_u64((uint64_t)id));
    } else if (epoch > verification->epoch) {
        verification->epoch = epoch;
        verification->lowest_sequence = sequence;
    } else if (epoch == verification->epoch && sequence < verification->lowest_sequence) {
        verification->lowest_sequence = sequence;
    }
    *ret_guard = verification->guard;
    return ERR_OK;
}

static bool guard_holds(const struct verification *verification, uint64_t guard) {
    return guard == GUARD_NOT_NEEDED || (verification && guard != GUARD_NONE && verification->guard == guard);
}

/* The order of a producer's batches. */
static enum err check_sequence(const struct producer *producer, const struct verification *verification, const uint8_t *batch) {
    int32_t first = batch_base_sequence(batch);
    int16_t epoch = batch_producer_epoch(batch);
    if (verification && verification->new_protocol && first != 0 && (!producer || !producer->batch_count))
        return ERR_OUT_OF_ORDER_SEQUENCE; /* each transaction of it counts from 0 in an epoch of its own */
    if (verification && first > verification->lowest_sequence)
        return ERR_OUT_OF_ORDER_SEQUENCE; /* overtaken: an earlier one was not verified yet */
    if (!producer || producer->epoch < 0)
        return ERR_OK; /* whatever its first sequence: its state may have expired */
    if (epoch != producer->epoch)
        return first == 0 ? ERR_OK : ERR_OUT_OF_ORDER_SEQUENCE;
    int32_t expected = producer->batch_count ? sequence_add(producer->batches[producer->batch_count - 1].last_sequence, 1) : 0;
    return first == expected ? ERR_OK : ERR_OUT_OF_ORDER_SEQUENCE;
}

static bool find_duplicate(const struct producer *producer, const uint8_t *batch, struct producer_batch *ret_batch) {
    int32_t first = batch_base_sequence(batch), last = batch_last_sequence(batch);
    for (int i = 0; producer && batch_producer_epoch(batch) == producer->epoch && i < producer->batch_count; i++) {
        const struct producer_batch *old = &producer->batches[i];
        if (old->first_sequence == first && old->last_sequence == last) {
            *ret_batch = *old;
            return true;
        }
    }
    return false;
}

enum err producers_check(const struct producers *producers, const uint8_t *batch, enum append_origin origin, uint64_t guard,
                         bool *ret_duplicate, struct producer_batch *ret_batch) {
    *ret_duplicate = false;
    int64_t id = batch_producer_id(batch);
    if (id < 0 || origin != APPEND_CLIENT)
        return ERR_OK;
    const struct producer *producer = producer_find(producers, id);
    const struct verification *verification = verification_find(producers, id);
    bool transactional = batch_is_transactional(batch);
    if (!producer && !transactional && !verification)
        return ERR_OK;
    if (find_duplicate(producer, batch, ret_batch)) {
        *ret_duplicate = true;
        return ERR_OK;
    }
    int16_t epoch = batch_producer_epoch(batch);
    if (producer && epoch < producer->epoch)
        return ERR_INVALID_PRODUCER_EPOCH;
    if (transactional && !is_open_at(producer, epoch) && !guard_holds(verification, guard))
        return ERR_INVALID_TXN_STATE;
    enum err err = check_sequence(producer, verification, batch);
    if (!err && !transactional && producer && producer->txn_first_offset >= 0)
        err = ERR_INVALID_TXN_STATE;
    return err;
}

enum err producers_check_offsets(const struct producers *producers, int64_t id, int16_t epoch, uint64_t guard) {
    const struct producer *producer = producer_find(producers, id);
    if (producer && epoch < producer->epoch)
        return ERR_INVALID_PRODUCER_EPOCH;
    return is_open_at(producer, epoch) || guard_holds(verification_find(producers, id), guard) ? ERR_OK : ERR_INVALID_TXN_STATE;
}

enum err producers_check_marker(const struct producers *producers, int64_t id, int16_t epoch, int32_t coordinator_epoch,
                                int transaction_version) {
    const struct producer *producer = producer_find(producers, id);
    if (!producer)
        return ERR_OK;
    bool again = epoch == producer->epoch && (producer->txn_first_offset < 0 || epoch == INT16_MAX);
    if (epoch < producer->epoch || (transaction_version >= 2 && epoch == producer->epoch && !again))
        return ERR_INVALID_PRODUCER_EPOCH;
    return coordinator_epoch < producer->coordinator_epoch ? ERR_COORDINATOR_FENCED : ERR_OK;
}

/* ---- what was appended ------------------------------------------------------------------------------------------------------ */

static void txn_open(struct producers *producers, struct producer *producer, int64_t first_offset) {
    if (producers->txn_count == producers->txn_capacity) {
        producers->txn_capacity = producers->txn_capacity ? producers->txn_capacity * 2 : 4;
        producers->txns = mem_realloc(producers->txns, sizeof *producers->txns * (size_t)producers->txn_capacity);
    }
    int at = producers->txn_count++; /* mostly the last; a snapshot's come in no order */
    for (; at > 0 && producers->txns[at - 1].first_offset > first_offset; at--)
        producers->txns[at] = producers->txns[at - 1];
    producers->txns[at] = (struct open_txn){producer->id, first_offset, -1};
    producer->txn_first_offset = first_offset;
}

/* Transactions end in any order, and begin in the order of their offsets. */
static void txn_end(struct producers *producers, struct producer *producer, int64_t marker_offset) {
    for (int i = 0; i < producers->txn_count; i++) {
        struct open_txn *txn = &producers->txns[i];
        if (txn->producer_id == producer->id && txn->last_offset < 0)
            txn->last_offset = marker_offset;
    }
    producer->txn_first_offset = -1;
}

static bool append_marker(struct producers *producers, const uint8_t *batch, struct aborted_txn *ret_aborted) {
    struct record_iterator it;
    struct record record;
    record_iterator_init(&it, batch, slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE));
    if (record_next(&it, &record))
        return false;
    int type = control_type_of(record.key);
    if (type != CONTROL_ABORT && type != CONTROL_COMMIT)
        return false;
    struct producer *producer = producer_get(producers, batch_producer_id(batch));
    struct verification *verification = verification_find(producers, producer->id);
    if (verification && !(verification->new_protocol && verification->epoch == batch_producer_epoch(batch)))
        verification_free(producers, verification); /* else it is of the next transaction */
    if (batch_producer_epoch(batch) != producer->epoch) {
        producer->epoch = batch_producer_epoch(batch);
        producer->batch_count = 0;
    }
    if (record.value.size >= 6)
        producer->coordinator_epoch = (int32_t)load_be32(record.value.ptr + 2);
    producer->last_timestamp = record.timestamp;
    int64_t first = producer->txn_first_offset, marker = batch_base_offset(batch);
    if (first < 0)
        return false;
    txn_end(producers, producer, marker);
    if (type == CONTROL_COMMIT)
        return false;
    int64_t stable = marker + 1;
    for (int i = 0; i < producers->txn_count; i++)
        if (producers->txns[i].last_offset < 0 && producers->txns[i].first_offset < stable)
            stable = producers->txns[i].first_offset;
    *ret_aborted = (struct aborted_txn){producer->id, first, marker, stable};
    return true;
}

bool producers_append(struct producers *producers, const uint8_t *batch, struct aborted_txn *ret_aborted) {
    int64_t id = batch_producer_id(batch);
    if (id < 0)
        return false;
    if (batch_is_control(batch))
        return append_marker(producers, batch, ret_aborted);
    struct producer *producer = producer_get(producers, id);
    if (batch_producer_epoch(batch) != producer->epoch) {
        producer->epoch = batch_producer_epoch(batch);
        producer->batch_count = 0;
    }
    producer->last_timestamp = batch_max_timestamp(batch);
    if (producer->batch_count == PRODUCER_BATCHES) {
        memmove(producer->batches, producer->batches + 1, sizeof *producer->batches * (PRODUCER_BATCHES - 1));
        producer->batch_count--;
    }
    producer->batches[producer->batch_count++] = (struct producer_batch){
        .first_sequence = batch_base_sequence(batch),
        .last_sequence = batch_last_sequence(batch),
        .last_offset = batch_last_offset(batch),
        .timestamp = batch_max_timestamp(batch),
    };
    if (!batch_is_transactional(batch))
        return false;
    struct verification *verification = verification_find(producers, id);
    if (verification)
        verification_free(producers, verification);
    if (producer->txn_first_offset < 0)
        txn_open(producers, producer, batch_base_offset(batch));
    return false;
}

void producers_recall(struct producers *producers, int64_t id, int16_t epoch, const struct producer_batch *batch) {
    struct producer *producer = producer_find(producers, id);
    if (!producer || producer->epoch != epoch || !producer->batch_count || producer->batch_count == PRODUCER_BATCHES)
        return;
    const struct producer_batch *oldest = &producer->batches[0];
    if (batch->last_offset >= oldest->last_offset || sequence_add(batch->last_sequence, 1) != oldest->first_sequence)
        return;
    memmove(producer->batches + 1, producer->batches, sizeof *producer->batches * (size_t)producer->batch_count++);
    producer->batches[0] = *batch;
}

int64_t producers_first_unstable(const struct producers *producers, int64_t high_watermark) {
    for (int i = 0; i < producers->txn_count; i++)
        if (producers->txns[i].last_offset < 0 || producers->txns[i].last_offset >= high_watermark)
            return producers->txns[i].first_offset;
    return -1;
}

void producers_high_watermark(struct producers *producers, int64_t high_watermark) {
    int kept = 0;
    for (int i = 0; i < producers->txn_count; i++)
        if (producers->txns[i].last_offset < 0 || producers->txns[i].last_offset >= high_watermark)
            producers->txns[kept++] = producers->txns[i];
    producers->txn_count = kept;
}

void producers_expire(struct producers *producers, int64_t before_ms) {
    map_each_safe(node, &producers->map) {
        struct producer *producer = container_of(node, struct producer, node);
        if (producer->txn_first_offset < 0 && producer->last_timestamp < before_ms) {
            map_remove(&producers->map, node);
            mem_free(producer);
        }
    }
    map_each_safe(node, &producers->verifications) {
        struct verification *verification = container_of(node, struct verification, node);
        if (verification->created_ms < before_ms)
            verification_free(producers, verification);
    }
}

void producers_encode(const struct producers *producers, struct buf *buf) {
    size_t start = buf->size;
    uint8_t *head = buf_extend(buf, SNAPSHOT_HEADER);
    store_be16(head, 1);
    store_be32(head + 6, (uint32_t)producers->map.count);
    map_each(node, &producers->map) {
        const struct producer *producer = container_of(node, struct producer, node);
        const struct producer_batch *last =
            producer->batch_count ? &producer->batches[producer->batch_count - 1] : NULL;
        uint8_t *p = buf_extend(buf, SNAPSHOT_ENTRY);
        store_be64(p, (uint64_t)producer->id);
        store_be16(p + 8, (uint16_t)producer->epoch);
        store_be32(p + 10, (uint32_t)(last ? last->last_sequence : -1));
        store_be64(p + 14, (uint64_t)(last ? last->last_offset : -1));
        store_be32(p + 22, last ? (uint32_t)sequence_add(last->last_sequence, -last->first_sequence) : 0);
        store_be64(p + 26, (uint64_t)producer->last_timestamp);
        store_be32(p + 34, (uint32_t)producer->coordinator_epoch);
        store_be64(p + 38, (uint64_t)producer->txn_first_offset);
    }
    uint8_t *bytes = buf->ptr + start;
    store_be32(bytes + 2, crc32c(0, bytes + 6, buf->size - start - 6));
}

enum err producers_decode(struct producers *producers, struct slice bytes) {
    const uint8_t *p = bytes.ptr;
    if (bytes.size < SNAPSHOT_HEADER || load_be16(p) != 1 || load_be32(p + 2) != crc32c(0, p + 6, bytes.size - 6))
        return ERR_CORRUPT;
    uint32_t count = load_be32(p + 6);
    if (bytes.size != SNAPSHOT_HEADER + (size_t)count * SNAPSHOT_ENTRY)
        return ERR_CORRUPT;
    p += SNAPSHOT_HEADER;
    for (uint32_t i = 0; i < count; i++) { /* first: what is not whole leaves nothing behind */
        int32_t last_sequence = (int32_t)load_be32(p + i * SNAPSHOT_ENTRY + 10), delta = (int32_t)load_be32(p + i * SNAPSHOT_ENTRY + 22);
        if (last_sequence < -1 || delta < 0)
            return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < count; i++, p += SNAPSHOT_ENTRY) {
        struct producer *producer = producer_get(producers, (int64_t)load_be64(p));
        producer->epoch = (int16_t)load_be16(p + 8);
        int32_t last_sequence = (int32_t)load_be32(p + 10);
        int64_t last_offset = (int64_t)load_be64(p + 14);
        producer->last_timestamp = (int64_t)load_be64(p + 26);
        producer->coordinator_epoch = (int32_t)load_be32(p + 34);
        if (last_offset >= 0) {
            producer->batch_count = 1;
            producer->batches[0] = (struct producer_batch){
                .first_sequence = sequence_add(last_sequence, -(int32_t)load_be32(p + 22)),
                .last_sequence = last_sequence,
                .last_offset = last_offset,
                .timestamp = producer->last_timestamp,
            };
        }
        int64_t first = (int64_t)load_be64(p + 38);
        if (first >= 0)
            txn_open(producers, producer, first);
    }
    return ERR_OK;
}
