/* A producer. Plain: each batch is tried until it is acknowledged or given up, and may be there twice. Idempotent: to one
 * partition, several requests under way, and after a failure all that is not acknowledged is sent again in order, so that
 * every record is there once and in order. */
#include <stdio.h>
#include "protocol/init_producer_id_request.h"
#include "protocol/init_producer_id_response.h"
#include "protocol/produce_request.h"
#include "protocol/produce_response.h"
#include "tests/sim/sim_test.h"

enum { PARTS_MAX = 3, FLIGHTS_MAX = 5, RECORDS_MAX = 40, SIZE_SMALL = 200, SIZE_MIDDLE = 4000, SIZE_LARGE = 150000 };

struct part {
    struct ledger *partition;
    uint32_t first; /* number of its first record */
    int count;
    struct buf batch;
    bool done;
};
struct flight { /* one request, until it is acknowledged or given up */
    struct list node;
    bool sent;
    int32_t correlation;
    int part_count, tries;
    int16_t last_error;
    struct part parts[PARTS_MAX];
};

struct producer {
    struct client client;
    struct world *world;
    uint32_t id;
    bool idempotent, finishing, asking_id, again;
    int16_t acks;
    int flights_max;
    struct ledger *targets[PARTS_MAX];
    int target_count;
    int64_t producer_id;
    int16_t epoch;
    uint32_t next_number;  /* of records, from 1 */
    struct list flights;   /* in order */
    int flight_count;
    uint64_t acknowledged;
    struct timer think;
    uint64_t think_max_ns;
    int size_kind;
};

static void go_on(struct producer *producer);

static void think(struct producer *producer, uint64_t max_ns) {
    if (!timer_is_running(&producer->think))
        timer_start(producer->client.shard, &producer->think, 1 + world_random(producer->world, max_ns));
}

static void thought(struct shard *shard, struct timer *timer) {
    (void)shard;
    go_on(container_of(timer, struct producer, think));
}

/* ---- batches ------------------------------------------------------------------------------------------------------- */

static size_t random_size(struct producer *producer) {
    struct world *world = producer->world;
    int kind = producer->size_kind;
    if (world_chance(world, 60))
        kind = 2;
    size_t max = kind == 0 ? SIZE_SMALL : kind == 1 ? SIZE_MIDDLE : SIZE_LARGE;
    return RECORD_VALUE_MIN + (size_t)world_random(world, max);
}

static void make_part(struct producer *producer, struct part *part, struct ledger *partition) {
    static uint8_t value[SIZE_LARGE + RECORD_VALUE_MIN];
    struct world *world = producer->world;
    part->partition = partition;
    part->first = producer->next_number;
    size_t size = random_size(producer);
    part->count = size > SIZE_MIDDLE ? 1 : 1 + (int)world_random(world, world_chance(world, 3) ? RECORDS_MAX : 4);
    producer->next_number += (uint32_t)part->count;
    struct batch_builder builder;
    batch_builder_init(&builder, &part->batch, 0);
    for (int i = 0; i < part->count; i++) {
        struct record_id id = {producer->id, part->first + (uint32_t)i};
        record_value(id, value, size);
        batch_builder_add(&builder, i, shard_wall_ms(producer->client.shard), SLICE_NULL, slice_of(value, size), NULL, 0);
    }
    enum codec codec = world_chance(world, 8) ? (enum codec)world_random(world, CODEC_COUNT) : CODEC_NONE;
    enum err err = batch_builder_finish(&builder, 0, codec, COMPRESS_LEVEL_DEFAULT, world->compressor, producer->producer_id,
                                        producer->epoch, producer->idempotent ? (int32_t)part->first - 1 : -1);
    check(err == ERR_OK, "a batch cannot be built: %s", err_text(err));
}

static void make_flight(struct producer *producer) {
    struct flight *flight = mem_new(struct flight);
    flight->part_count = 1 + (int)world_random(producer->world, (uint64_t)producer->target_count);
    int first = (int)world_random(producer->world, (uint64_t)producer->target_count);
    for (int i = 0; i < flight->part_count; i++)
        make_part(producer, &flight->parts[i], producer->targets[(first + i) % producer->target_count]);
    list_push_back(&producer->flights, &flight->node);
    producer->flight_count++;
}

static void free_flight(struct producer *producer, struct flight *flight) {
    list_remove(&flight->node);
    producer->flight_count--;
    for (int i = 0; i < flight->part_count; i++)
        buf_deinit(&flight->parts[i].batch);
    mem_free(flight);
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

static void send_flight(struct producer *producer, struct flight *flight) {
    struct produce_request_partition_produce_data data[PARTS_MAX];
    struct produce_request_topic_produce_data topics[PARTS_MAX];
    struct produce_request request;
    bool by_id = world_chance(producer->world, 2);
    int count = 0;
    for (int i = 0; i < flight->part_count; i++)
        by_id = by_id && flight->parts[i].partition->topic->has_id;
    produce_request_init(&request);
    request.acks = producer->acks;
    request.timeout_ms = 30000;
    for (int i = 0; i < flight->part_count; i++) {
        struct part *part = &flight->parts[i];
        if (part->done)
            continue;
        produce_request_partition_produce_data_init(&data[count]);
        data[count].index = part->partition->index;
        data[count].records.bytes = buf_slice(&part->batch);
        produce_request_topic_produce_data_init(&topics[count]);
        if (by_id)
            topics[count].topic_id = part->partition->topic->id;
        else
            topics[count].name = slice_str(part->partition->topic->name);
        topics[count].partition_data = &data[count];
        topics[count].partition_data_count = 1;
        count++;
    }
    request.topic_data = topics;
    request.topic_data_count = count;
    client_send(&producer->client, API_PRODUCE, by_id ? 13 : 9 + (int)world_random(producer->world, 4), produce, &request,
                &flight->correlation);
    flight->sent = true;
    flight->tries++;
}

static void ask_id(struct producer *producer) {
    struct init_producer_id_request request;
    int32_t unused;
    init_producer_id_request_init(&request);
    request.transactional_id = SLICE_NULL;
    request.transaction_timeout_ms = INT32_MAX;
    client_send(&producer->client, API_INIT_PRODUCER_ID, 4, init_producer_id, &request, &unused);
    producer->asking_id = true;
}

static void go_on(struct producer *producer) {
    if (!client_is_ready(&producer->client))
        return;
    if (!admin_is_ready(producer->world->admin)) { /* there are no topics yet */
        think(producer, 200 * NS_PER_MS);
        return;
    }
    if (producer->idempotent && producer->producer_id < 0) {
        if (!producer->asking_id && !producer->finishing)
            ask_id(producer);
        return;
    }
    bool under_way = false;
    list_each(node, &producer->flights)
        under_way |= list_entry(node, struct flight, node)->sent;
    if (producer->again) { /* first all answers, then all that failed once more */
        if (under_way)
            return;
        producer->again = false;
    }
    list_each(node, &producer->flights) {
        struct flight *flight = list_entry(node, struct flight, node);
        if (!flight->sent && client_is_ready(&producer->client))
            send_flight(producer, flight);
    }
    if (producer->finishing || producer->flight_count >= producer->flights_max || !client_is_ready(&producer->client))
        return;
    make_flight(producer);
    send_flight(producer, list_entry(producer->flights.prev, struct flight, node));
    think(producer, producer->think_max_ns);
}

/* ---- answers ------------------------------------------------------------------------------------------------------- */

static void id_answered(struct producer *producer, int version, struct decoder *body) {
    struct init_producer_id_response response;
    producer->asking_id = false;
    if (init_producer_id_response_decode(body, version, &response))
        violation(producer->world, "an InitProducerId answer that cannot be read");
    if (!response.error_code) {
        producer->producer_id = response.producer_id;
        producer->epoch = response.producer_epoch;
    }
    think(producer, 100 * NS_PER_MS);
}

static bool is_retriable(int16_t code) {
    return code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || code == KAFKA_NOT_LEADER_OR_FOLLOWER || code == KAFKA_UNKNOWN_TOPIC_ID ||
           code == KAFKA_KAFKA_STORAGE_ERROR || code == KAFKA_NOT_ENOUGH_REPLICAS || code == KAFKA_REQUEST_TIMED_OUT ||
           code == KAFKA_LEADER_NOT_AVAILABLE;
}

/* True: the part is settled. */
static bool part_answered(struct producer *producer, struct flight *flight, struct part *part, int16_t code, int64_t base_offset) {
    struct ledger *partition = part->partition;
    flight->last_error = code;
    if (!code) {
        model_acknowledged(partition, base_offset, producer->id, part->first, part->count);
        producer->acknowledged += (uint64_t)part->count;
        return true;
    }
    if (code == KAFKA_DUPLICATE_SEQUENCE_NUMBER && producer->idempotent && flight->tries > 1)
        return true; /* there, but the broker does not remember where */
    if (code == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER && producer->idempotent && (producer->again || partition->damaged)) {
        /* what was before it failed; and what a flipped bit took with it cannot be continued */
        if (partition->damaged)
            return true;
        return false;
    }
    if (!is_retriable(code))
        violation(producer->world, "%s-%d: producer %u, record %u, try %d: answered with error %d", partition->topic->name,
                  (int)partition->index, producer->id, part->first, flight->tries, code);
    return !producer->idempotent && world_chance(producer->world, 2); /* given up: it may be there or not */
}

/* A topic that was named twice may come back as one. */
static const struct produce_response_partition_produce_response *find_answer(const struct produce_response *response,
                                                                              const struct ledger *partition) {
    for (int t = 0; t < response->responses_count; t++) {
        const struct produce_response_topic_produce_response *topic = &response->responses[t];
        if (!slice_eq_str(topic->name, partition->topic->name) &&
            (uuid_is_zero(topic->topic_id) || !uuid_eq(topic->topic_id, partition->topic->id)))
            continue;
        for (int p = 0; p < topic->partition_responses_count; p++)
            if (topic->partition_responses[p].index == partition->index)
                return &topic->partition_responses[p];
    }
    return NULL;
}

static void produce_answered(struct producer *producer, int32_t correlation, int version, struct decoder *body) {
    struct flight *flight = NULL;
    list_each(node, &producer->flights) {
        struct flight *candidate = list_entry(node, struct flight, node);
        if (candidate->sent && candidate->correlation == correlation)
            flight = candidate;
    }
    struct produce_response response;
    if (produce_response_decode(body, version, &response))
        violation(producer->world, "a Produce answer that cannot be read");
    check(flight, "an answer to no request");
    flight->sent = false;
    bool settled = true;
    for (int i = 0; i < flight->part_count; i++) {
        struct part *part = &flight->parts[i];
        if (part->done)
            continue;
        const struct produce_response_partition_produce_response *answer = find_answer(&response, part->partition);
        if (!answer)
            violation(producer->world, "a Produce answer lacks a partition");
        part->done = part_answered(producer, flight, part, answer->error_code, answer->base_offset);
        settled &= part->done;
    }
    if (settled)
        free_flight(producer, flight);
    else
        producer->again = true;
    think(producer, settled ? producer->think_max_ns : 300 * NS_PER_MS);
}

static void answered(struct client *client, int32_t correlation, int16_t key, int16_t version, struct decoder *body) {
    struct producer *producer = container_of(client, struct producer, client);
    if (key == API_INIT_PRODUCER_ID)
        id_answered(producer, version, body);
    else
        produce_answered(producer, correlation, version, body);
}

static void connection_lost(struct client *client) {
    struct producer *producer = container_of(client, struct producer, client);
    producer->asking_id = producer->again = false;
    list_each_safe(node, &producer->flights) {
        struct flight *flight = list_entry(node, struct flight, node);
        flight->sent = false;
        if (!producer->idempotent && world_chance(producer->world, 2))
            free_flight(producer, flight); /* given up */
    }
}

static void connected(struct client *client) {
    think(container_of(client, struct producer, client), 50 * NS_PER_MS);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

struct producer *producer_create(struct world *world, int id) {
    static const uint64_t thinks_ms[] = {5, 20, 50, 200, 1000};
    struct producer *producer = mem_new(struct producer);
    producer->world = world;
    producer->id = (uint32_t)id;
    producer->idempotent = world_chance(world, 2);
    producer->acks = world_chance(world, 2) ? -1 : 1;
    if (producer->idempotent)
        producer->acks = -1;
    producer->flights_max = 1 + (int)world_random(world, FLIGHTS_MAX);
    producer->target_count = producer->idempotent ? 1 : 1 + (int)world_random(world, PARTS_MAX);
    if (producer->target_count > world->partition_count)
        producer->target_count = world->partition_count;
    int first = (int)world_random(world, (uint64_t)world->partition_count);
    for (int i = 0; i < producer->target_count; i++)
        producer->targets[i] = &world->partitions[(first + i) % world->partition_count];
    producer->producer_id = -1;
    producer->epoch = -1;
    producer->next_number = 1;
    producer->think_max_ns = thinks_ms[world_random(world, COUNT_OF(thinks_ms))] * NS_PER_MS;
    producer->size_kind = (int)world_random(world, world_chance(world, 3) ? 3 : 2);
    if (producer->size_kind == 2 && producer->think_max_ns < 200 * NS_PER_MS)
        producer->think_max_ns = 200 * NS_PER_MS;
    list_init(&producer->flights);
    producer->think.fire = thought;
    producer->client.on_connected = connected;
    producer->client.on_answer = answered;
    producer->client.on_lost = connection_lost;
    client_start(&producer->client, world);
    return producer;
}

void producer_finish(struct producer *producer) {
    producer->finishing = true;
}
bool producer_is_idle(const struct producer *producer) {
    return list_is_empty(&producer->flights);
}
bool producer_is_idempotent(const struct producer *producer) {
    return producer->idempotent;
}
uint64_t producer_acknowledged(const struct producer *producer) {
    return producer->acknowledged;
}

void producer_describe(const struct producer *producer) {
    printf("producer %u%s, id %lld, %llu records acknowledged, answers that wait %d%s\n", producer->id,
           producer->idempotent ? " (idempotent)" : "", (long long)producer->producer_id, (unsigned long long)producer->acknowledged,
           producer->client.waiting_count, producer->again ? ", will send again" : "");
    list_each(node, &producer->flights) {
        const struct flight *flight = list_entry(node, struct flight, node);
        printf("  request of %d parts, %s, try %d: %s-%d from record %u, last error %d\n", flight->part_count, flight->sent ? "sent" : "not sent",
               flight->tries, flight->parts[0].partition->topic->name, (int)flight->parts[0].partition->index, flight->parts[0].first,
               flight->last_error);
    }
}
