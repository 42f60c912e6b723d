#include "log/clean_batch.h"

#include "base/mem.h"
#include "base/varint.h"
#include "log/internal.h"

enum {
    GROUP = 32,                       /* records looked at together, so that misses of the cache overlap */
    PLAIN_SIZE_MAX = INT32_MAX,
};

/* ---- transactions --------------------------------------------------------------------------------------------------- */

struct met_txn {
    struct map_node node;
    int64_t producer_id;
    bool committed;  /* transactional data that no abort claims was met since the last commit */
    bool aborted;    /* in this aborted transaction, */
    bool aborted_met; /* of which data was met */
    struct aborted_txn entry;
};

static bool met_txn_is(const struct map_node *node, const void *key) {
    return container_of(node, struct met_txn, node)->producer_id == *(const int64_t *)key;
}

static struct met_txn *find_met(struct clean_txns *txns, int64_t id) {
    struct map_node *node = map_find(&txns->open, hash_u64((uint64_t)id), met_txn_is, &id);
    return node ? container_of(node, struct met_txn, node) : NULL;
}

static struct met_txn *get_met(struct clean_txns *txns, int64_t id) {
    struct met_txn *met = find_met(txns, id);
    if (!met) {
        met = mem_new(struct met_txn);
        met->producer_id = id;
        map_insert(&txns->open, &met->node, hash_u64((uint64_t)id));
    }
    return met;
}

static void forget_if_idle(struct clean_txns *txns, struct met_txn *met) {
    if (met->committed || met->aborted)
        return;
    map_remove(&txns->open, &met->node);
    mem_free(met);
}

void clean_txns_init(struct clean_txns *txns, const struct aborted_txn *aborted, int count) {
    *txns = (struct clean_txns){.aborted = aborted, .count = count};
}

void clean_txns_deinit(struct clean_txns *txns) {
    map_each_safe(node, &txns->open) {
        map_remove(&txns->open, node);
        mem_free(container_of(node, struct met_txn, node));
    }
    map_deinit(&txns->open);
}

static void begin_aborted(struct clean_txns *txns, int64_t offset) {
    for (; txns->next < txns->count && txns->aborted[txns->next].first_offset <= offset; txns->next++) {
        struct met_txn *met = get_met(txns, txns->aborted[txns->next].producer_id);
        if (met->aborted)
            continue;
        met->aborted = true;
        met->aborted_met = false;
        met->entry = txns->aborted[txns->next];
    }
}

bool clean_txns_data(struct clean_txns *txns, const uint8_t *batch) {
    begin_aborted(txns, batch_last_offset(batch));
    if (!batch_is_transactional(batch))
        return false;
    struct met_txn *met = get_met(txns, batch_producer_id(batch));
    if (met->aborted)
        met->aborted_met = true;
    else
        met->committed = true;
    return met->aborted;
}

bool clean_txns_marker(struct clean_txns *txns, const uint8_t *batch, struct aborted_txn *ret_kept) {
    ret_kept->last_offset = -1;
    begin_aborted(txns, batch_last_offset(batch));
    struct record_iterator it;
    struct record record;
    record_iterator_init(&it, batch, slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE));
    if (record_next(&it, &record)) /* its record went in an earlier pass */
        return true;
    int type = control_type_of(record.key);
    struct met_txn *met = find_met(txns, batch_producer_id(batch));
    if (type == CONTROL_ABORT) {
        bool was_met = met && met->aborted && met->aborted_met;
        if (was_met)
            *ret_kept = met->entry;
        if (met) {
            met->aborted = met->aborted_met = false;
            forget_if_idle(txns, met);
        }
        return !was_met;
    }
    if (type != CONTROL_COMMIT)
        return false;
    bool was_met = met && met->committed;
    if (met) {
        met->committed = false;
        forget_if_idle(txns, met);
    }
    return !was_met;
}

/* ---- records -------------------------------------------------------------------------------------------------------- */

static enum err plain_records(struct clean_batch *clean, const uint8_t *batch, struct slice *ret_payload) {
    *ret_payload = slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE);
    if (batch_codec(batch) == CODEC_NONE)
        return ERR_OK;
    if (batch_codec(batch) >= CODEC_COUNT)
        return ERR_UNSUPPORTED_COMPRESSION;
    buf_clear(&clean->plain);
    enum err err = batch_count(batch) ? codec_decompress(clean->compressor, batch_codec(batch), *ret_payload, PLAIN_SIZE_MAX, &clean->plain)
                                      : ERR_OK;
    *ret_payload = buf_slice(&clean->plain);
    return err;
}

struct next_records {
    int count;
    struct record records[GROUP];
    const uint8_t *starts[GROUP];
    struct key_hash hashes[GROUP];
};

/* Some records, and their keys hashed and on the way into the cache. NOT_FOUND after the last. */
static enum err read_group(struct record_iterator *it, const struct offset_map *map, int64_t from, int64_t to, struct next_records *next) {
    next->count = 0;
    while (next->count < GROUP) {
        struct record *record = &next->records[next->count];
        next->starts[next->count] = it->ptr;
        enum err err = record_next(it, record);
        if (err)
            return err == ERR_NOT_FOUND && next->count ? ERR_OK : err;
        if (record->key.ptr && record->offset >= from && record->offset < to) {
            next->hashes[next->count] = offset_map_hash(map, record->key);
            offset_map_prefetch(map, &next->hashes[next->count]);
        }
        next->count++;
    }
    return ERR_OK;
}

static enum err map_old_message(struct clean_batch *clean, struct offset_map *map, struct slice message, int64_t from, int64_t *ret_end) {
    clean->old.compressor = clean->compressor;
    enum err err = old_messages_begin(&clean->old, message, PLAIN_SIZE_MAX);
    struct record record;
    while (!err && !(err = old_messages_next(&clean->old, &record))) {
        clean->records_read++;
        if (!record.key.ptr || record.offset < from)
            continue;
        struct key_hash hash = offset_map_hash(map, record.key);
        if (!offset_map_put(map, &hash, record.offset)) {
            *ret_end = record.offset;
            return ERR_OK;
        }
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err clean_map_batch(struct clean_batch *clean, struct offset_map *map, struct slice batch, int64_t from, int64_t *ret_end) {
    *ret_end = any_last_offset(batch.ptr) + 1;
    if (batch_magic(batch.ptr) < 2)
        return map_old_message(clean, map, batch, from, ret_end);
    struct slice payload;
    enum err err = plain_records(clean, batch.ptr, &payload);
    if (err)
        return err;
    struct record_iterator it;
    struct next_records next;
    record_iterator_init(&it, batch.ptr, payload);
    while (!(err = read_group(&it, map, from, INT64_MAX, &next))) {
        for (int i = 0; i < next.count; i++) {
            if (!next.records[i].key.ptr || next.records[i].offset < from)
                continue;
            if (!offset_map_put(map, &next.hashes[i], next.records[i].offset)) {
                *ret_end = next.records[i].offset;
                return ERR_OK;
            }
        }
        clean->records_read += next.count;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* ---- batches that change -------------------------------------------------------------------------------------------- */

static int64_t horizon_of(const uint8_t *batch) { /* INT64_MAX: none */
    return batch_attributes(batch) & BATCH_DELETE_HORIZON ? batch_base_timestamp(batch) : INT64_MAX;
}

/* Once it is so it stays the same, and so does its segment. */
static void write_header_only(struct clean_batch *clean, const uint8_t *batch) {
    buf_clear(&clean->out);
    buf_add(&clean->out, batch, BATCH_HEADER_SIZE);
    uint8_t *b = clean->out.ptr;
    batch_set_length(b, BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE);
    batch_set_attributes(b, batch_attributes(batch) & (BATCH_APPEND_TIME | BATCH_TRANSACTIONAL | BATCH_CONTROL));
    batch_set_base_timestamp(b, -1);
    batch_set_count(b, 0);
    batch_store_crc(b);
    clean->what = slice_eq(buf_slice(&clean->out), slice_of(batch, batch_size(batch))) ? CLEAN_SAME : CLEAN_NEW;
}

/* Makes the time deltas of whole records count from another base. `append_time` -1: each record has its own time. */
static enum err rebase(struct slice records, int64_t old_base, int64_t new_base, int64_t append_time, struct buf *out) {
    const uint8_t *ptr = records.ptr, *end = ptr + records.size;
    while (ptr < end) {
        uint32_t size;
        uint64_t delta;
        int count = varint_read_u32(ptr, end, &size);
        const uint8_t *body = ptr + count, *record_end = body + (int32_t)zigzag_decode32(size);
        int delta_size = count ? varint_read_u64(body + 1, record_end, &delta) : 0;
        if (!delta_size)
            return ERR_BAD_RECORD;
        const uint8_t *rest = body + 1 + delta_size;
        int64_t time = append_time >= 0 ? append_time : (int64_t)((uint64_t)old_base + (uint64_t)zigzag_decode64(delta));
        uint8_t new_delta[VARINT64_SIZE_MAX], new_size[VARINT64_SIZE_MAX];
        int n = varint_write_u64(new_delta, zigzag_encode64((int64_t)((uint64_t)time - (uint64_t)new_base)));
        int m = varint_write_u64(new_size, zigzag_encode64(1 + n + (record_end - rest)));
        buf_add(out, new_size, (size_t)m);
        buf_add_byte(out, body[0]);
        buf_add(out, new_delta, (size_t)n);
        buf_add(out, rest, (size_t)(record_end - rest));
        ptr = record_end;
    }
    return ERR_OK;
}

struct kept { /* of a batch's records */
    struct slice bytes; /* all of them, one after the other */
    int32_t count;
    int64_t max_timestamp;
    bool tombstones;
};

static enum err write_kept(struct clean_batch *clean, const uint8_t *batch, const struct kept *kept, bool set_horizon) {
    struct slice bytes = kept->bytes;
    int attributes = batch_attributes(batch) & (BATCH_CODEC_MASK | BATCH_APPEND_TIME | BATCH_TRANSACTIONAL | BATCH_CONTROL | BATCH_DELETE_HORIZON);
    int64_t base = batch_base_timestamp(batch);
    bool append_time = attributes & BATCH_APPEND_TIME;
    if (set_horizon) {
        int64_t horizon = clean->rules->now_ms > INT64_MAX - clean->rules->delete_retention_ms
                              ? INT64_MAX
                              : clean->rules->now_ms + clean->rules->delete_retention_ms;
        buf_clear(&clean->payload);
        enum err err = rebase(bytes, base, horizon, append_time ? batch_max_timestamp(batch) : -1, &clean->payload);
        if (err)
            return err;
        bytes = buf_slice(&clean->payload);
        attributes |= BATCH_DELETE_HORIZON;
        base = horizon;
    }
    buf_clear(&clean->out);
    buf_add(&clean->out, batch, BATCH_HEADER_SIZE);
    if (batch_codec(batch) == CODEC_NONE) {
        buf_add_slice(&clean->out, bytes);
    } else {
        enum err err = codec_compress(clean->compressor, batch_codec(batch), COMPRESS_LEVEL_DEFAULT, bytes, &clean->out);
        if (err)
            return err;
    }
    if (clean->out.size > INT32_MAX)
        return ERR_TOO_LARGE;
    uint8_t *b = clean->out.ptr;
    batch_set_length(b, (int32_t)clean->out.size - BATCH_PREFIX_SIZE);
    batch_set_attributes(b, (int16_t)attributes);
    batch_set_base_timestamp(b, base);
    if (!append_time)
        batch_set_max_timestamp(b, kept->max_timestamp);
    batch_set_count(b, kept->count);
    batch_store_crc(b);
    clean->what = CLEAN_NEW;
    return ERR_OK;
}

/* ---- the decision --------------------------------------------------------------------------------------------------- */

static bool is_last_of_producer(const struct clean_rules *rules, const uint8_t *batch) {
    int64_t id = batch_producer_id(batch);
    int low = 0, high = id < 0 ? 0 : rules->producer_count;
    while (low < high) {
        int mid = (low + high) / 2;
        if (rules->producers[mid].producer_id < id)
            low = mid + 1;
        else
            high = mid;
    }
    if (id < 0 || low == rules->producer_count || rules->producers[low].producer_id != id)
        return false;
    const struct last_record *last = &rules->producers[low];
    return last->last_offset >= 0 ? batch_last_offset(batch) == last->last_offset
                                  : batch_is_control(batch) && batch_producer_epoch(batch) == last->epoch;
}

static bool stays(struct clean_batch *clean, const struct record *record, const struct key_hash *hash, bool tombstones_stay) {
    if (record->offset >= clean->rules->map_end)
        return true;
    if (!record->key.ptr) {
        clean->keyless++;
        return false;
    }
    return record->offset >= offset_map_find(clean->rules->map, hash) && (record->value.ptr || tombstones_stay);
}

/* Filters the records into kept->bytes: the payload itself when all stay, else clean->kept. */
static enum err filter(struct clean_batch *clean, const uint8_t *batch, struct slice payload, bool *ret_all, struct kept *kept) {
    bool all = true, tombstones_stay = clean->rules->now_ms < horizon_of(batch), control = batch_is_control(batch);
    struct record_iterator it;
    struct next_records next;
    enum err err;
    record_iterator_init(&it, batch, payload);
    *kept = (struct kept){.max_timestamp = -1};
    while (!(err = read_group(&it, clean->rules->map, 0, clean->rules->map_end, &next))) {
        for (int i = 0; i < next.count; i++) {
            const struct record *record = &next.records[i];
            if (!control && !stays(clean, record, &next.hashes[i], tombstones_stay)) {
                if (all) { /* the first that goes: what came before it is kept apart */
                    buf_clear(&clean->kept);
                    buf_add(&clean->kept, payload.ptr, (size_t)(next.starts[i] - payload.ptr));
                    all = false;
                }
                continue;
            }
            if (!all)
                buf_add(&clean->kept, next.starts[i], (size_t)record->size);
            kept->count++;
            kept->tombstones = kept->tombstones || !record->value.ptr;
            if (record->timestamp > kept->max_timestamp)
                kept->max_timestamp = record->timestamp;
        }
        clean->records_read += next.count;
    }
    kept->bytes = all ? payload : buf_slice(&clean->kept);
    *ret_all = all;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err clean_new_format(struct clean_batch *clean, const uint8_t *batch) {
    const struct clean_rules *rules = clean->rules;
    bool control = batch_is_control(batch);
    bool may_go = control ? clean_txns_marker(clean->txns, batch, &clean->aborted) : clean_txns_data(clean->txns, batch);
    bool dead = may_go && (!control || horizon_of(batch) <= rules->now_ms);
    bool keep_empty = is_last_of_producer(rules, batch) || batch_last_offset(batch) + 1 == rules->round_end;
    clean->what = CLEAN_DROP;
    if (dead) {
        if (keep_empty)
            write_header_only(clean, batch);
        return ERR_OK;
    }
    struct slice payload;
    struct kept kept;
    bool all;
    enum err err = plain_records(clean, batch, &payload);
    if (!err)
        err = filter(clean, batch, payload, &all, &kept);
    if (err)
        return err;
    clean->records_kept += kept.count;
    if (!kept.count) {
        if (keep_empty)
            write_header_only(clean, batch);
        return ERR_OK;
    }
    bool set_horizon = (kept.tombstones || (may_go && control)) && horizon_of(batch) == INT64_MAX;
    if (!all || set_horizon)
        return write_kept(clean, batch, &kept, set_horizon);
    clean->what = CLEAN_SAME;
    return ERR_OK;
}

/* ---- magic 0 and 1 -------------------------------------------------------------------------------------------------- */

static enum codec old_codec(struct slice message) {
    return (enum codec)(message.ptr[17] & BATCH_CODEC_MASK);
}

static enum err clean_old_format(struct clean_batch *clean, struct slice message) {
    const struct clean_rules *rules = clean->rules;
    bool append_time = batch_magic(message.ptr) == 1 && message.ptr[17] & BATCH_APPEND_TIME;
    struct batch_builder builder = {0};
    struct record record;
    bool tombstones = false;
    int64_t base = -1;
    clean->old.compressor = clean->compressor;
    buf_clear(&clean->out);
    enum err err = old_messages_begin(&clean->old, message, PLAIN_SIZE_MAX);
    while (!err && !(err = old_messages_next(&clean->old, &record))) {
        clean->records_read++;
        struct key_hash hash = {0};
        if (record.key.ptr)
            hash = offset_map_hash(rules->map, record.key);
        if (!stays(clean, &record, &hash, clean->old_tombstones))
            continue;
        if (base < 0) {
            base = record.offset;
            batch_builder_init(&builder, &clean->out, base);
        }
        if (record.offset < base || record.offset - base > INT32_MAX || (builder.count && record.offset - base <= builder.last_offset_delta))
            return ERR_CORRUPT;
        batch_builder_add(&builder, (int32_t)(record.offset - base), record.timestamp, record.key, record.value, NULL, 0);
        tombstones = tombstones || !record.value.ptr;
    }
    if (err && err != ERR_NOT_FOUND)
        return err;
    clean->what = CLEAN_DROP;
    bool keep_empty = base < 0 && any_last_offset(message.ptr) + 1 == rules->round_end;
    if (base < 0 && !keep_empty)
        return ERR_OK;
    if (keep_empty)
        batch_builder_init(&builder, &clean->out, any_last_offset(message.ptr));
    clean->records_kept += builder.count;
    err = batch_builder_finish(&builder, append_time ? BATCH_APPEND_TIME : 0, builder.count ? old_codec(message) : CODEC_NONE, COMPRESS_LEVEL_DEFAULT, clean->compressor,
                               -1, -1, -1);
    if (err)
        return err;
    clean->what = CLEAN_NEW;
    if (!tombstones)
        return ERR_OK;
    struct buf whole = clean->out; /* once more, with a horizon; a batch as any other now */
    clean->out = (struct buf){0};
    struct slice payload;
    err = plain_records(clean, whole.ptr, &payload);
    if (!err) {
        struct kept kept = {payload, builder.count, builder.max_timestamp, true};
        err = write_kept(clean, whole.ptr, &kept, true);
    }
    buf_deinit(&whole);
    return err;
}

enum err clean_batch(struct clean_batch *clean, struct slice batch) {
    clean->aborted.last_offset = -1;
    return batch_magic(batch.ptr) == 2 ? clean_new_format(clean, batch.ptr) : clean_old_format(clean, batch);
}

void clean_batch_deinit(struct clean_batch *clean) {
    buf_deinit(&clean->out);
    buf_deinit(&clean->plain);
    buf_deinit(&clean->kept);
    buf_deinit(&clean->payload);
    clean->old.compressor = NULL; /* it is the caller's */
    old_messages_deinit(&clean->old);
}
