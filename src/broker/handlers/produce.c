/* Produce: the batches of each partition go to the log of the shard that owns it; the answer goes out when all of them
 * are durable (acks 1 and all alike: with one replica the high watermark is what is on the device). */
#include "base/mem.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/produce.h"
#include "broker/metrics.h"
#include "protocol/batch.h"

typedef struct produce_response_partition_produce_response answer_partition;

/* ---- on the partition's shard ---------------------------------------------------------------------------------------------- */

void produce_fail(struct produce_item *item, int16_t code) {
    item->answer->error_code = code;
    item->answer->base_offset = -1;
    fanout_item_done(&item->base);
}

static void durable(struct partition_waiter *waiter, struct partition *partition) {
    struct produce_item *item = container_of(waiter, struct produce_item, waiter);
    if (partition->log && log_durable_end(partition->log) >= item->end_offset) {
        list_remove(&waiter->node);
        fanout_shard(&item->base)->metrics->produce_waiting--;
        fanout_item_done(&item->base);
        return;
    }
    enum err err = partition_check_leader(partition);
    if (!err)
        err = log_state(partition->log);
    if (err) {
        list_remove(&waiter->node);
        fanout_shard(&item->base)->metrics->produce_waiting--;
        produce_fail(item, err_kafka_code(err));
    }
}

/* Errors of which the answer carries where the log starts. */
static bool tells_start(enum err err) {
    return err == ERR_BAD_RECORD || err == ERR_OUT_OF_ORDER_SEQUENCE || err == ERR_INVALID_PRODUCER_EPOCH ||
           err == ERR_INVALID_TXN_STATE || err == ERR_UNKNOWN || err == ERR_BAD_TIMESTAMP;
}

static void answer_rejected(struct produce_item *item, struct log *log, enum err err, const struct log_append_result *result) {
    answer_partition *answer = item->answer;
    if (tells_start(err))
        answer->log_start_offset = log_offsets(log).start;
    if (result->validation.error_count) {
        answer->error_message = slice_str(result->validation.message);
        answer->record_errors_count = result->validation.error_count;
        answer->record_errors =
            arena_array(fanout_arena(&item->base), struct produce_response_batch_index_and_error_message, result->validation.error_count);
        for (int i = 0; i < result->validation.error_count; i++)
            answer->record_errors[i] = (struct produce_response_batch_index_and_error_message){
                result->validation.errors[i].batch_index, slice_str(result->validation.errors[i].message)};
    }
    answer->error_code = err_kafka_code(err);
    answer->base_offset = -1;
}

/* What Kafka counts as a failure is what it did not see coming. */
static void count_rejected(struct metrics *metrics, enum err err, size_t size) {
    if (err == ERR_TOO_LARGE || err == ERR_BATCH_LIST_TOO_LARGE)
        metrics->bytes_rejected += size;
    else if (err == ERR_CORRUPT)
        metrics->corrupt_batches++;
    else if (err != ERR_OFFLINE && err != ERR_NO_SPACE)
        metrics->failed_produce++;
    if (err == ERR_OUT_OF_ORDER_SEQUENCE)
        metrics->bad_sequences++;
}

/* Just created and still being opened, which is over sooner than the client would ask again; or at the last moment of a
 * move. */
static bool holds_appends(const struct partition *partition) {
    return partition_is_opening(partition) || (partition && partition->frozen && !partition_check_leader(partition));
}

static void go_on(struct partition_waiter *waiter, struct partition *partition) {
    if (holds_appends(partition))
        return;
    list_remove(&waiter->node);
    struct produce_item *item = container_of(waiter, struct produce_item, waiter);
    fanout_of(&item->base)->visit(&item->base, partition);
}

bool produce_must_wait(struct produce_item *item, struct partition *partition) {
    if (!holds_appends(partition))
        return false;
    item->waiter.wake = go_on;
    partition_wait(partition, &item->waiter);
    return true;
}

enum err produce_append(struct produce_item *item, struct partition *partition, uint64_t guard) {
    enum err err = partition_check_leader(partition);
    if (err) {
        item->answer->error_code = err_kafka_code(err);
        return err;
    }
    struct log_append_result result;
    struct log *log = partition->log;
    struct metrics *metrics = fanout_shard(&item->base)->metrics;
    int32_t count = batch_count(item->bytes.ptr);
    partition->traffic.produce_requests++;
    metrics->produce_requests++;
    err = log_append_guarded(log, (uint8_t *)item->bytes.ptr, item->bytes.size, guard, partition->leader_epoch, fanout_arena(&item->base), &result);
    if (err) {
        count_rejected(metrics, err, item->bytes.size);
        answer_rejected(item, log, err, &result);
        return err;
    }
    if (!result.duplicate) {
        partition->traffic.bytes_in += item->bytes.size;
        partition->traffic.messages_in += (uint64_t)count;
        metrics->bytes_in += item->bytes.size;
        metrics->messages_in += (uint64_t)count;
    }
    answer_partition *answer = item->answer;
    answer->base_offset = result.base_offset;
    answer->log_append_time_ms = result.append_time_ms;
    answer->log_start_offset = log_offsets(log).start;
    item->end_offset = result.last_offset + 1;
    return ERR_OK;
}

void produce_wait(struct produce_item *item, struct partition *partition) {
    if (item->produce->message.acks == 0 || log_durable_end(partition->log) >= item->end_offset) {
        fanout_item_done(&item->base);
        return;
    }
    item->waiter.wake = durable;
    fanout_shard(&item->base)->metrics->produce_waiting++;
    partition_wait(partition, &item->waiter);
}

static void append(struct fanout_item *base, struct partition *partition) {
    struct produce_item *item = container_of(base, struct produce_item, base);
    if (produce_must_wait(item, partition))
        return;
    if (produce_append(item, partition, GUARD_NONE))
        fanout_item_done(base);
    else
        produce_wait(item, partition);
}

/* ---- on the connection's shard: checks, answer ------------------------------------------------------------------------------- */

/* Where a leader is that the producer is sent to (KIP-951). */
static void add_endpoint(struct produce *produce, int32_t leader) {
    struct request *request = produce->request;
    struct produce_response *response = &produce->response;
    const struct image_broker *broker = image_find_broker(request->shard->image, leader);
    const struct image_endpoint *endpoint = broker ? broker_endpoint(broker, request) : NULL;
    for (int i = 0; i < response->node_endpoints_count; i++)
        if (response->node_endpoints[i].node_id == leader)
            return;
    if (!endpoint)
        return;
    struct produce_response_node_endpoint *all = arena_array(&request->arena, struct produce_response_node_endpoint, response->node_endpoints_count + 1);
    if (response->node_endpoints_count)
        memcpy(all, response->node_endpoints, sizeof *all * (size_t)response->node_endpoints_count);
    all[response->node_endpoints_count++] =
        (struct produce_response_node_endpoint){leader, arena_slice(&request->arena, endpoint->host), endpoint->port,
                                                broker->rack.ptr ? arena_slice(&request->arena, broker->rack) : SLICE_NULL};
    response->node_endpoints = all;
}

void produce_answer(struct produce *produce) {
    struct request *request = produce->request;
    for (int t = 0; t < produce->response.responses_count; t++)
        for (int p = 0; p < produce->response.responses[t].partition_responses_count; p++) {
            answer_partition *partition = &produce->response.responses[t].partition_responses[p];
            produce->failed |= partition->error_code != 0;
            if (partition->error_code == KAFKA_NOT_LEADER_OR_FOLLOWER && request->header.version >= 10) {
                const struct image_topic *topic = request->header.version >= 13
                                                      ? image_find_topic_id(request->shard->image, produce->response.responses[t].topic_id)
                                                      : image_find_topic(request->shard->image, produce->response.responses[t].name);
                const struct image_partition *image = image_find_partition(topic, partition->index);
                if (image) {
                    partition->current_leader = (struct produce_response_leader_id_and_epoch){image->leader, image->leader_epoch};
                    add_endpoint(produce, image->leader);
                }
            }
        }
    if (produce->message.acks == 0)
        request_answer_nothing(request, produce->failed);
    else
        request_answer(request, produce, &produce->response);
}

static void answer(struct fanout *fanout) {
    produce_answer(container_of(fanout, struct produce, fanout));
}

/* The first batch of a partition's bytes, as far as its frame tells. */
enum first_batch { FIRST_OK, FIRST_INCOMPLETE, FIRST_BAD };
static enum first_batch look_at_first(struct slice bytes, const char **ret_text, struct arena *arena) {
    if (bytes.size < BATCH_PREFIX_SIZE)
        return FIRST_INCOMPLETE;
    int32_t length = batch_length(bytes.ptr);
    if (length < BATCH_LENGTH_MIN) {
        *ret_text = arena_printf(arena, "Record size %d is less than the minimum record overhead (14)", (int)length);
        return FIRST_BAD;
    }
    if (bytes.size < 17)
        return FIRST_INCOMPLETE;
    int magic = batch_magic(bytes.ptr);
    if (magic < 0 || magic > 2) {
        *ret_text = arena_printf(arena, "Invalid magic found in record: %d", magic);
        return FIRST_BAD;
    }
    return bytes.size - BATCH_PREFIX_SIZE < (size_t)length ? FIRST_INCOMPLETE : FIRST_OK;
}

enum { ATTRIBUTES_END = 23, PRODUCER_END = 51, FAILS_ALL = INT16_MIN };

/* The error of a partition's record set as such, FAILS_ALL: of the whole request; FIRST_OK's one batch is left in *bytes. */
static int16_t check_records(struct request *request, struct slice *bytes) {
    const char *text;
    if (!bytes->ptr || look_at_first(*bytes, &text, &request->arena) != FIRST_OK)
        return KAFKA_INVALID_RECORD;
    if (batch_magic(bytes->ptr) != 2)
        return KAFKA_INVALID_RECORD;
    size_t size = batch_size(bytes->ptr);
    if (request->header.version < 7 && size >= ATTRIBUTES_END && batch_codec(bytes->ptr) == CODEC_ZSTD)
        return KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    if (request->header.version < 7 && size >= ATTRIBUTES_END && batch_codec(bytes->ptr) > CODEC_ZSTD)
        return FAILS_ALL;
    struct slice rest = slice_of(bytes->ptr + size, bytes->size - size);
    switch (look_at_first(rest, &text, &request->arena)) {
    case FIRST_OK: return KAFKA_INVALID_RECORD; /* exactly one batch a partition (KIP-98) */
    case FIRST_BAD: return KAFKA_CORRUPT_MESSAGE;
    case FIRST_INCOMPLETE: break; /* cut off, silently */
    }
    if (size < PRODUCER_END)
        return FAILS_ALL; /* Kafka looks for the producer and finds no room for it */
    if (size < BATCH_HEADER_SIZE)
        return KAFKA_CORRUPT_MESSAGE;
    bytes->size = size;
    return 0;
}

/* A first batch that cannot be framed, or is transactional without a transactional id, fails the whole request. */
static int16_t check_whole(struct request *request, const struct produce_request *message, const char **ret_text) {
    *ret_text = NULL;
    for (int t = 0; t < message->topic_data_count; t++)
        for (int p = 0; p < message->topic_data[t].partition_data_count; p++) {
            struct slice bytes = message->topic_data[t].partition_data[p].records.bytes;
            enum first_batch first = bytes.ptr ? look_at_first(bytes, ret_text, &request->arena) : FIRST_INCOMPLETE;
            if (first == FIRST_BAD)
                return KAFKA_CORRUPT_MESSAGE;
            if (first == FIRST_OK && batch_magic(bytes.ptr) == 2 && batch_size(bytes.ptr) >= BATCH_HEADER_SIZE &&
                batch_is_transactional(bytes.ptr) && !message->transactional_id.ptr)
                return KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        }
    return 0;
}

static bool is_admin_client(const struct request *request) {
    return slice_eq_str(request->header.client_id, "__admin_client");
}

/* ---- the partitions of a request --------------------------------------------------------------------------------------------- */

/* Each once: of a partition that is named again the last records count. Topics without partitions are not answered. */
struct entry {
    struct map_node node;
    int topic; /* in produce->topics */
    const struct produce_request_partition_produce_data *data;
};
struct topic_entry {
    struct map_node node;
    const struct produce_request_topic_produce_data *in;
    int partitions;
};
struct entries {
    struct map by_partition, by_topic;
    struct entry *all;
    int count;
    struct topic_entry *topics;
    int topic_count;
};
struct entry_key {
    int topic;
    int32_t index;
};

static bool is_entry(const struct map_node *node, const void *key) {
    const struct entry *entry = container_of(node, struct entry, node);
    const struct entry_key *k = key;
    return entry->topic == k->topic && entry->data->index == k->index;
}
static bool is_topic(const struct map_node *node, const void *key) {
    const struct topic_entry *topic = container_of(node, struct topic_entry, node);
    const struct produce_request_topic_produce_data *in = key;
    return slice_eq(topic->in->name, in->name) && uuid_eq(topic->in->topic_id, in->topic_id);
}

static int find_topic(struct entries *entries, const struct produce_request_topic_produce_data *in) {
    uint64_t hash = hash_slice(in->name) ^ uuid_hash(in->topic_id);
    struct map_node *node = map_find(&entries->by_topic, hash, is_topic, in);
    if (node)
        return (int)(container_of(node, struct topic_entry, node) - entries->topics);
    struct topic_entry *topic = &entries->topics[entries->topic_count];
    topic->in = in;
    map_insert(&entries->by_topic, &topic->node, hash);
    return entries->topic_count++;
}

static void collect(struct produce *produce, struct entries *entries) {
    const struct produce_request *message = &produce->message;
    struct arena *arena = &produce->request->arena;
    int total = 0;
    for (int t = 0; t < message->topic_data_count; t++)
        total += message->topic_data[t].partition_data_count;
    entries->all = arena_array(arena, struct entry, total + 1);
    entries->topics = arena_array(arena, struct topic_entry, message->topic_data_count + 1);
    for (int t = 0; t < message->topic_data_count; t++) {
        const struct produce_request_topic_produce_data *in = &message->topic_data[t];
        int topic = in->partition_data_count ? find_topic(entries, in) : 0;
        for (int p = 0; p < in->partition_data_count; p++) {
            struct entry_key key = {topic, in->partition_data[p].index};
            uint64_t hash = hash_u64((uint64_t)topic << 32 ^ (uint32_t)key.index);
            struct map_node *node = map_find(&entries->by_partition, hash, is_entry, &key);
            struct entry *entry = node ? container_of(node, struct entry, node) : &entries->all[entries->count];
            entry->topic = topic;
            entry->data = &in->partition_data[p];
            if (node)
                continue;
            map_insert(&entries->by_partition, &entry->node, hash);
            entries->topics[topic].partitions++;
            entries->count++;
        }
    }
    map_deinit(&entries->by_partition);
    map_deinit(&entries->by_topic);
}

static void begin_answer(struct produce *produce, const struct entries *entries) {
    struct produce_response *response = &produce->response;
    struct arena *arena = &produce->request->arena;
    produce_response_init(response);
    response->responses_count = entries->topic_count;
    response->responses = arena_array(arena, struct produce_response_topic_produce_response, entries->topic_count);
    for (int t = 0; t < entries->topic_count; t++) {
        response->responses[t].name = entries->topics[t].in->name;
        response->responses[t].topic_id = entries->topics[t].in->topic_id;
        response->responses[t].partition_responses = arena_array(arena, answer_partition, entries->topics[t].partitions);
    }
    for (int i = 0; i < entries->count; i++) {
        struct produce_response_topic_produce_response *topic = &response->responses[entries->all[i].topic];
        answer_partition *out = &topic->partition_responses[topic->partition_responses_count++];
        produce_response_partition_produce_response_init(out);
        out->index = entries->all[i].data->index;
        out->base_offset = -1;
        out->error_message = SLICE_NULL;
    }
}

/* The error that is known without the partition's log; records that can go there are left in *bytes. */
static int16_t check_partition(struct produce *produce, const struct image_topic *topic, struct slice name, int32_t index,
                               struct slice *bytes) {
    struct request *request = produce->request;
    if (!topic)
        return request->header.version >= 13 ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (!image_find_partition(topic, index))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    int16_t code = check_records(request, bytes);
    if (code)
        return code;
    if (produce->message.acks < -1 || produce->message.acks > 1)
        return KAFKA_INVALID_REQUIRED_ACKS;
    return topic_is_internal(name) && !is_admin_client(request) ? KAFKA_INVALID_TOPIC_EXCEPTION : 0;
}

/* Not 0: the whole request has failed with it. */
static int16_t add_partitions(struct produce *produce, const struct entries *entries) {
    struct request *request = produce->request;
    const struct image *image = request->shard->image;
    int *at = arena_array(&request->arena, int, entries->topic_count + 1);
    for (int i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->all[i];
        const struct produce_request_topic_produce_data *in = entries->topics[entry->topic].in;
        answer_partition *out = &produce->response.responses[entry->topic].partition_responses[at[entry->topic]++];
        const struct image_topic *topic = request->header.version >= 13 ? image_find_topic_id(image, in->topic_id)
                                                                        : image_find_topic(image, in->name);
        struct slice bytes = entry->data->records.bytes;
        out->error_code = check_partition(produce, topic, topic ? topic->name : in->name, entry->data->index, &bytes);
        if (out->error_code == FAILS_ALL)
            return KAFKA_UNKNOWN_SERVER_ERROR;
        if (out->error_code)
            continue;
        struct produce_item *item = arena_zalloc(&request->arena, sizeof *item);
        item->produce = produce;
        item->bytes = bytes;
        item->answer = out;
        fanout_add(&produce->fanout, &item->base, topic->id, entry->data->index);
        if (produce->message.transactional_id.ptr && !produce_txn_add(produce, item, topic->name))
            return KAFKA_INVALID_PRODUCER_ID_MAPPING;
    }
    return 0;
}

static void fail_whole(struct produce *produce, int16_t code, const char *text) {
    for (int t = 0; t < produce->response.responses_count; t++)
        for (int p = 0; p < produce->response.responses[t].partition_responses_count; p++) {
            answer_partition *out = &produce->response.responses[t].partition_responses[p];
            out->error_code = code;
            out->error_message = slice_str(text);
        }
    produce_answer(produce);
}

void handle_produce(struct request *request) {
    struct produce *produce = arena_zalloc(&request->arena, sizeof *produce);
    produce->request = request;
    produce->fanout = (struct fanout){.request = request, .visit = append, .done = answer};
    if (!request_decode(request, produce, &produce->message))
        return;
    struct entries entries = {0};
    collect(produce, &entries);
    begin_answer(produce, &entries);
    const char *text;
    int16_t whole = check_whole(request, &produce->message, &text);
    if (whole)
        fail_whole(produce, whole, text);
    else if ((whole = add_partitions(produce, &entries)))
        fail_whole(produce, whole, whole == KAFKA_INVALID_PRODUCER_ID_MAPPING ? "Transactional records contained more than one producer ID" : NULL);
    else if (produce->txn)
        produce_txn_run(produce);
    else
        fanout_run(&produce->fanout);
}
