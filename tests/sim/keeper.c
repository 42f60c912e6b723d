/* A compacted topic: a producer of keyed records and tombstones, and a reader that goes through the topic again and again. What
 * the reader ends up with must hold, for each key, the last value that was acknowledged when it began, or a later one. */
#include <stdio.h>
#include "protocol/fetch_request.h"
#include "protocol/fetch_response.h"
#include "protocol/produce_request.h"
#include "protocol/produce_response.h"
#include "tests/sim/sim_test.h"

enum {
    KEYS = 24, WRITES_MAX = 20000, RECORDS_MAX = 8, VALUE_MAX = 500, KEEPER_ID = 3000,
    EMPTY_MAX = 30,
    REORDER = 64,             /* a write whose connection broke may be taken after some that were sent later */
};

struct write {
    int64_t offset;           /* -1: not acknowledged */
    uint8_t key;
    bool tombstone;
};
struct view {
    int64_t offset;           /* of the last record; -1: none */
    bool tombstone;
};

struct keeper {
    struct client client, reader;
    struct world *world;
    struct write writes[WRITES_MAX]; /* by number, from 1 */
    uint32_t count, first;    /* first: of the request under way */
    uint32_t last[KEYS];      /* the write that is acknowledged at the largest offset; 0: none */
    uint32_t *by_offset;      /* number of the write acknowledged there; 0: none */
    int64_t by_offset_count;
    uint64_t acknowledged, think_max_ms, passes;
    bool finishing, verifying, idle;
    /* a pass of the reader */
    uint32_t floor[KEYS];     /* last[], when it began */
    struct view views[KEYS];
    int64_t position, seen;   /* seen: the last offset */
    int empty;
    bool ignoring;
    struct timer think, read_think;
};

static void write_some(struct keeper *keeper);
static void read_some(struct keeper *keeper);

static void think(struct keeper *keeper, struct timer *timer, uint64_t max_ms) {
    if (!timer_is_running(timer))
        timer_start(keeper->client.shard, timer, 1 + world_random(keeper->world, max_ms * NS_PER_MS));
}
static void thought(struct shard *shard, struct timer *timer) {
    (void)shard;
    write_some(container_of(timer, struct keeper, think));
}
static void read_thought(struct shard *shard, struct timer *timer) {
    (void)shard;
    read_some(container_of(timer, struct keeper, read_think));
}

/* ---- writes --------------------------------------------------------------------------------------------------------------- */

static void produce(struct keeper *keeper) {
    static const enum codec codecs[] = {CODEC_NONE, CODEC_NONE, CODEC_LZ4, CODEC_ZSTD};
    struct produce_request request;
    struct produce_request_topic_produce_data topic;
    struct produce_request_partition_produce_data data;
    struct batch_builder builder;
    struct buf batch = {0};
    uint8_t value[VALUE_MAX], key[4];
    struct world *world = keeper->world;
    int32_t unused;
    int count = 1 + (int)world_random(world, RECORDS_MAX);
    if (keeper->count + (uint32_t)count >= WRITES_MAX)
        return;
    keeper->first = keeper->count + 1;
    batch_builder_init(&builder, &batch, 0);
    for (int i = 0; i < count; i++) {
        struct write *write = &keeper->writes[++keeper->count];
        *write = (struct write){-1, (uint8_t)world_random(world, KEYS), world_chance(world, 6)};
        size_t size = RECORD_VALUE_MIN + (size_t)world_random(world, VALUE_MAX - RECORD_VALUE_MIN);
        store_be32(key, write->key);
        record_value((struct record_id){KEEPER_ID, keeper->count}, value, size);
        batch_builder_add(&builder, i, shard_wall_ms(keeper->client.shard), slice_of(key, sizeof key),
                          write->tombstone ? SLICE_NULL : slice_of(value, size), NULL, 0);
    }
    check(batch_builder_finish(&builder, 0, codecs[world_random(world, COUNT_OF(codecs))], 1, world->compressor, -1, -1, -1) == ERR_OK);
    produce_request_init(&request);
    produce_request_topic_produce_data_init(&topic);
    produce_request_partition_produce_data_init(&data);
    data.records.bytes = buf_slice(&batch);
    topic.name = SLICE_LIT(KEPT_TOPIC);
    topic.partition_data = &data;
    topic.partition_data_count = 1;
    request.acks = -1;
    request.timeout_ms = 30000;
    request.topic_data = &topic;
    request.topic_data_count = 1;
    client_send(&keeper->client, API_PRODUCE, 11, produce, &request, &unused);
    buf_deinit(&batch);
}

static void produced(struct client *client, int32_t correlation, int16_t key, int16_t version, struct decoder *body) {
    struct keeper *keeper = container_of(client, struct keeper, client);
    struct produce_response response;
    (void)correlation;
    (void)key;
    if (produce_response_decode(body, version, &response) || response.responses_count != 1)
        violation(keeper->world, "a Produce answer that cannot be read");
    const struct produce_response_partition_produce_response *answer = &response.responses[0].partition_responses[0];
    for (uint32_t n = keeper->first; !answer->error_code && n <= keeper->count; n++) {
        struct write *write = &keeper->writes[n];
        write->offset = answer->base_offset + n - keeper->first;
        if (write->offset < 0 || write->offset >= WRITES_MAX || keeper->by_offset[write->offset])
            violation(keeper->world, KEPT_TOPIC ": write %u is acknowledged at %lld", n, (long long)write->offset);
        keeper->by_offset[write->offset] = n;
        if (!keeper->last[write->key] || keeper->writes[keeper->last[write->key]].offset < write->offset)
            keeper->last[write->key] = n;
        keeper->acknowledged++;
        keeper->world->acknowledged++;
    }
    think(keeper, &keeper->think, keeper->think_max_ms);
}

static void write_some(struct keeper *keeper) {
    if (keeper->finishing || keeper->client.waiting_count || !client_is_ready(&keeper->client))
        return;
    if (!admin_is_ready(keeper->world->admin))
        think(keeper, &keeper->think, 200);
    else
        produce(keeper);
}

/* ---- reads ---------------------------------------------------------------------------------------------------------------- */

static void begin_pass(struct keeper *keeper) {
    memcpy(keeper->floor, keeper->last, sizeof keeper->floor);
    for (int k = 0; k < KEYS; k++)
        keeper->views[k] = (struct view){.offset = -1};
    keeper->position = 0;
    keeper->seen = -1;
    keeper->empty = 0;
}

/* Could a tombstone have taken the write away, and been taken away itself? */
static bool may_be_gone(const struct keeper *keeper, int key, uint32_t number) {
    const struct write *write = &keeper->writes[number];
    for (uint32_t n = number > REORDER ? number - REORDER : 1; n <= keeper->count; n++) {
        const struct write *other = &keeper->writes[n];
        if (other->tombstone && other->key == key && (other->offset < 0 || other->offset >= write->offset))
            return true;
    }
    return false;
}

static void check_pass(const struct keeper *keeper) {
    for (int k = 0; k < KEYS; k++) {
        uint32_t number = keeper->floor[k];
        const struct write *write = &keeper->writes[number];
        if (!number || keeper->views[k].offset >= write->offset || may_be_gone(keeper, k, number))
            continue;
        violation(keeper->world, KEPT_TOPIC ": key %d was written at %lld, and %lld is what is there", k, (long long)write->offset,
                  (long long)keeper->views[k].offset);
    }
    /* Nothing is written any more: an older value than a tombstone's may not come back. */
    for (int k = 0; k < KEYS && keeper->verifying; k++)
        if (keeper->floor[k] && keeper->views[k].offset >= 0 && keeper->views[k].offset < keeper->writes[keeper->floor[k]].offset)
            violation(keeper->world, KEPT_TOPIC ": key %d was deleted at %lld, and %lld is there again", k,
                      (long long)keeper->writes[keeper->floor[k]].offset, (long long)keeper->views[k].offset);
}

static void take_record(struct keeper *keeper, const struct record *record) {
    struct world *world = keeper->world;
    struct ledger where = {.world = world, .topic = world->kept_topic};
    uint32_t key = record->key.size == 4 ? load_be32(record->key.ptr) : KEYS;
    uint32_t number = record->offset < WRITES_MAX ? keeper->by_offset[record->offset] : 0;
    if (record->offset <= keeper->seen)
        violation(world, KEPT_TOPIC ": %lld comes after %lld", (long long)record->offset, (long long)keeper->seen);
    keeper->seen = record->offset;
    if (record->value.ptr) {
        struct record_id id = record_check(&where, record->offset, record->value);
        if (id.producer != KEEPER_ID || !id.number || id.number > keeper->count || (number && number != id.number) ||
            (keeper->writes[id.number].offset >= 0 && keeper->writes[id.number].offset != record->offset))
            violation(world, KEPT_TOPIC ": write %u is at %lld, where write %u was", id.number, (long long)record->offset, number);
        number = id.number;
    }
    if (key >= KEYS || (number && (keeper->writes[number].key != key || keeper->writes[number].tombstone != !record->value.ptr)))
        violation(world, KEPT_TOPIC ": the record at %lld was never sent", (long long)record->offset);
    keeper->views[key] = (struct view){record->offset, !record->value.ptr};
    world->shown++;
}

static void take_batch(struct keeper *keeper, const uint8_t *batch) {
    struct world *world = keeper->world;
    struct slice payload = slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE);
    struct buf plain = {0};
    struct record_iterator it;
    struct record record;
    if (batch_check(slice_of(batch, batch_size(batch))))
        violation(world, KEPT_TOPIC ": the batch at %lld is bad", (long long)batch_base_offset(batch));
    if (batch_codec(batch) != CODEC_NONE) {
        if (codec_decompress(world->compressor, batch_codec(batch), payload, 64 << 20, &plain))
            violation(world, KEPT_TOPIC ": the batch at %lld does not decompress", (long long)batch_base_offset(batch));
        payload = buf_slice(&plain);
    }
    record_iterator_init(&it, batch, payload);
    while (record_next(&it, &record) == ERR_OK)
        if (record.offset >= keeper->position)
            take_record(keeper, &record);
    buf_deinit(&plain);
}

static void fetched(struct client *client, int32_t correlation, int16_t key, int16_t version, struct decoder *body) {
    struct keeper *keeper = container_of(client, struct keeper, reader);
    struct world *world = keeper->world;
    struct fetch_response response;
    (void)correlation;
    (void)key;
    if (fetch_response_decode(body, version, &response) || response.error_code || response.responses_count != 1)
        violation(world, "a Fetch answer that cannot be read, or error %d", response.error_code);
    const struct fetch_response_partition_data *answer = &response.responses[0].partitions[0];
    think(keeper, &keeper->read_think, keeper->verifying ? 1 : 100);
    if (keeper->ignoring) {
        keeper->ignoring = false;
        begin_pass(keeper);
        return;
    }
    if (answer->error_code) {
        if (answer->error_code != KAFKA_UNKNOWN_TOPIC_OR_PARTITION && answer->error_code != KAFKA_NOT_LEADER_OR_FOLLOWER &&
            answer->error_code != KAFKA_KAFKA_STORAGE_ERROR && answer->error_code != KAFKA_LEADER_NOT_AVAILABLE)
            violation(world, KEPT_TOPIC ": reading at %lld is answered with error %d", (long long)keeper->position, answer->error_code);
        return;
    }
    struct slice bytes = answer->records.bytes;
    int64_t next = keeper->position;
    for (size_t at = 0; bytes.size - at >= BATCH_HEADER_SIZE && batch_size(bytes.ptr + at) <= bytes.size - at; at += batch_size(bytes.ptr + at)) {
        take_batch(keeper, bytes.ptr + at);
        next = batch_last_offset(bytes.ptr + at) + 1;
    }
    bool moved = next > keeper->position;
    keeper->position = next;
    keeper->empty = moved ? 0 : keeper->empty + 1;
    if (moved)
        return;
    if (keeper->position < answer->high_watermark) {
        if (keeper->empty > EMPTY_MAX)
            violation(world, KEPT_TOPIC ": nothing is shown at %lld, and the high watermark is %lld", (long long)keeper->position,
                      (long long)answer->high_watermark);
        return;
    }
    check_pass(keeper);
    keeper->passes++;
    keeper->idle = keeper->verifying;
    begin_pass(keeper);
}

static void read_some(struct keeper *keeper) {
    struct fetch_request request;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition partition;
    int32_t unused;
    if (keeper->idle || keeper->reader.waiting_count || !client_is_ready(&keeper->reader))
        return;
    if (!admin_is_ready(keeper->world->admin)) {
        think(keeper, &keeper->read_think, 200);
        return;
    }
    fetch_request_init(&request);
    fetch_request_fetch_topic_init(&topic);
    fetch_request_fetch_partition_init(&partition);
    request.min_bytes = 1;
    request.max_bytes = 1 << 20;
    partition.fetch_offset = keeper->position;
    partition.partition_max_bytes = 1 + (int32_t)world_random(keeper->world, keeper->verifying ? 1 << 20 : 20000);
    topic.topic = SLICE_LIT(KEPT_TOPIC);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.topics = &topic;
    request.topics_count = 1;
    client_send(&keeper->reader, API_FETCH, 12, fetch, &request, &unused);
}

/* ---- life ------------------------------------------------------------------------------------------------------------------- */

static void connected(struct client *client) {
    struct keeper *keeper = container_of(client, struct keeper, client);
    think(keeper, &keeper->think, 20);
}
static void reader_connected(struct client *client) {
    struct keeper *keeper = container_of(client, struct keeper, reader);
    think(keeper, &keeper->read_think, 20);
}
static void connection_lost(struct client *client) {
    (void)client;
}
static void reader_lost(struct client *client) {
    container_of(client, struct keeper, reader)->ignoring = false;
}

struct keeper *keeper_create(struct world *world) {
    static const uint64_t thinks_ms[] = {10, 40, 200};
    struct keeper *keeper = mem_new(struct keeper);
    keeper->world = world;
    keeper->by_offset = mem_zalloc(sizeof *keeper->by_offset * WRITES_MAX);
    keeper->think_max_ms = thinks_ms[world_random(world, COUNT_OF(thinks_ms))];
    keeper->think.fire = thought;
    keeper->read_think.fire = read_thought;
    keeper->client.on_connected = connected;
    keeper->client.on_answer = produced;
    keeper->client.on_lost = connection_lost;
    keeper->reader.on_connected = reader_connected;
    keeper->reader.on_answer = fetched;
    keeper->reader.on_lost = reader_lost;
    begin_pass(keeper);
    client_start(&keeper->client, world);
    client_start(&keeper->reader, world);
    return keeper;
}

void keeper_finish(struct keeper *keeper) {
    keeper->finishing = true;
}
void keeper_verify(struct keeper *keeper) {
    keeper->verifying = true;
    keeper->idle = false;
    keeper->ignoring = keeper->reader.waiting_count > 0;
    begin_pass(keeper);
    think(keeper, &keeper->read_think, 1);
}
bool keeper_has_written(const struct keeper *keeper) {
    return keeper->acknowledged > 0;
}
bool keeper_is_quiet(const struct keeper *keeper) {
    return keeper->finishing && !keeper->client.waiting_count;
}
bool keeper_is_idle(const struct keeper *keeper) {
    return keeper->idle;
}
void keeper_describe(const struct keeper *keeper) {
    printf("keeper: %u writes, %llu acknowledged, read through %llu times, at %lld; views:", keeper->count,
           (unsigned long long)keeper->acknowledged, (unsigned long long)keeper->passes, (long long)keeper->position);
    for (int k = 0; k < KEYS; k++)
        printf(" %lld%s", (long long)keeper->views[k].offset, keeper->views[k].tombstone ? "-" : "");
    printf("\n");
}
