/* A consumer: asks where a partition starts and ends, reads from somewhere to the end, checks what it is shown, and goes on
 * with another one. At the end of a seed it reads everything, and what was promised must be there. */
#include "protocol/fetch_request.h"
#include "protocol/fetch_response.h"
#include "protocol/list_offsets_request.h"
#include "protocol/list_offsets_response.h"
#include "tests/sim/sim_test.h"

enum { EMPTY_MAX = 30, ROUNDS = 12, EARLIEST = -2, LATEST = -1 };

struct consumer {
    struct client client;
    struct world *world;
    struct ledger *partition;
    enum { START, ASK_END, ASK_START, READ } step;
    int64_t high_asked;   /* the largest end that was told before the request */
    int64_t start, end, position, last_end;
    int rounds_left, empty;
    struct timer think;
    bool verifying, idle;
    bool ignoring;        /* the answer under way is to a question of before */
    int verify_next;
    uint32_t last_number[PRODUCERS_MAX + 1];
    int64_t next_offset;  /* that a full read expects */
};

static void go_on(struct consumer *consumer);

static void think(struct consumer *consumer, uint64_t max_ms) {
    if (!timer_is_running(&consumer->think))
        timer_start(consumer->client.shard, &consumer->think, 1 + world_random(consumer->world, max_ms * NS_PER_MS));
}

static void thought(struct shard *shard, struct timer *timer) {
    (void)shard;
    go_on(container_of(timer, struct consumer, think));
}

/* ---- where ---------------------------------------------------------------------------------------------------------- */

static void ask_offset(struct consumer *consumer, int64_t timestamp) {
    struct list_offsets_request request;
    struct list_offsets_request_list_offsets_topic topic;
    struct list_offsets_request_list_offsets_partition partition;
    int32_t unused;
    list_offsets_request_init(&request);
    list_offsets_request_list_offsets_topic_init(&topic);
    list_offsets_request_list_offsets_partition_init(&partition);
    request.replica_id = -1;
    partition.partition_index = consumer->partition->index;
    partition.timestamp = timestamp;
    topic.name = slice_str(consumer->partition->topic->name);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.topics = &topic;
    request.topics_count = 1;
    consumer->high_asked = consumer->partition->high;
    client_send(&consumer->client, API_LIST_OFFSETS, 7, list_offsets, &request, &unused);
}

static bool is_retriable(int16_t code) {
    return code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || code == KAFKA_NOT_LEADER_OR_FOLLOWER || code == KAFKA_UNKNOWN_TOPIC_ID ||
           code == KAFKA_KAFKA_STORAGE_ERROR || code == KAFKA_LEADER_NOT_AVAILABLE || code == KAFKA_OFFSET_NOT_AVAILABLE;
}

static void offset_answered(struct consumer *consumer, int version, struct decoder *body) {
    struct list_offsets_response response;
    if (list_offsets_response_decode(body, version, &response) || response.topics_count != 1 ||
        response.topics[0].partitions_count != 1)
        violation(consumer->world, "a ListOffsets answer that cannot be read");
    const struct list_offsets_response_list_offsets_partition_response *answer = &response.topics[0].partitions[0];
    struct ledger *partition = consumer->partition;
    if (answer->error_code) {
        if (!is_retriable(answer->error_code))
            violation(consumer->world, "%s-%d: ListOffsets is answered with error %d", partition->topic->name,
                      (int)partition->index, answer->error_code);
        think(consumer, 500);
        return;
    }
    if (consumer->step == ASK_END) {
        model_check_end(partition, answer->offset, consumer->high_asked, "ListOffsets");
        consumer->end = answer->offset;
        consumer->step = ASK_START;
    } else {
        model_check_start(partition, answer->offset);
        consumer->start = consumer->position = consumer->next_offset = answer->offset;
        int64_t range = consumer->end - consumer->start;
        if (!consumer->verifying && range > 0 && world_chance(consumer->world, 2))
            consumer->position += (int64_t)world_random(consumer->world, (uint64_t)range);
        memset(consumer->last_number, 0, sizeof consumer->last_number);
        consumer->rounds_left = ROUNDS;
        consumer->empty = 0;
        consumer->step = READ;
    }
    go_on(consumer);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static void fetch(struct consumer *consumer) {
    struct world *world = consumer->world;
    struct fetch_request request;
    struct fetch_request_fetch_topic topic;
    struct fetch_request_fetch_partition partition;
    int32_t unused;
    bool by_id = consumer->partition->topic->has_id && world_chance(world, 2);
    fetch_request_init(&request);
    fetch_request_fetch_topic_init(&topic);
    fetch_request_fetch_partition_init(&partition);
    request.max_wait_ms = (int32_t)world_random(world, 500);
    request.min_bytes = world_chance(world, 4) ? 10000 : 1;
    request.max_bytes = 1 + (int32_t)world_random(world, world_chance(world, 3) ? 2000 : 1 << 20);
    partition.partition = consumer->partition->index;
    partition.fetch_offset = consumer->position;
    partition.partition_max_bytes = 1 + (int32_t)world_random(world, world_chance(world, 3) ? 2000 : 1 << 20);
    if (consumer->verifying) {
        request.max_wait_ms = 0;
        request.max_bytes = partition.partition_max_bytes = 1 << 20;
    }
    if (by_id)
        topic.topic_id = consumer->partition->topic->id;
    else
        topic.topic = slice_str(consumer->partition->topic->name);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    request.topics = &topic;
    request.topics_count = 1;
    request.session_id = 0;
    consumer->high_asked = consumer->partition->high;
    client_send(&consumer->client, API_FETCH, by_id ? 16 : 12, fetch, &request, &unused);
}

static void take_record(void *arg, struct ledger *partition, int64_t offset, struct record_id id) {
    struct consumer *consumer = arg;
    model_shown(partition, offset, id);
    if (!consumer->verifying || partition->damaged || offset < consumer->start || id.producer > PRODUCERS_MAX || !id.producer)
        return;
    if (offset < consumer->next_offset)
        return; /* the first batch begins before the start */
    if (offset != consumer->next_offset)
        violation(consumer->world, "%s-%d: after offset %lld comes %lld", partition->topic->name, (int)partition->index,
                  (long long)consumer->next_offset - 1, (long long)offset);
    consumer->next_offset = offset + 1;
    uint32_t *last = &consumer->last_number[id.producer];
    if (consumer->world->producers[id.producer - 1] && producer_is_idempotent(consumer->world->producers[id.producer - 1]) && *last &&
        id.number != *last + 1)
        violation(consumer->world, "%s-%d: at %lld is record %u of idempotent producer %u, after its record %u",
                  partition->topic->name, (int)partition->index, (long long)offset, id.number, id.producer, *last);
    *last = id.number;
}

/* The position after the whole batches of an answer. */
static void take_records(struct consumer *consumer, struct slice bytes) {
    struct ledger *partition = consumer->partition;
    size_t at = 0;
    int64_t next = -1;
    while (bytes.size - at >= BATCH_HEADER_SIZE) {
        const uint8_t *batch = bytes.ptr + at;
        size_t size = batch_size(batch);
        if (batch_length(batch) < BATCH_LENGTH_MIN || size > bytes.size - at)
            break;
        int64_t base = batch_base_offset(batch), last = batch_last_offset(batch);
        if (!model_walk_batch(partition, batch, take_record, consumer))
            violation(consumer->world, "%s-%d: the batch at %lld has a wrong CRC", partition->topic->name, (int)partition->index, (long long)base);
        if (!partition->cut && (next < 0 ? base > consumer->position || last < consumer->position : base != next))
            violation(consumer->world, "%s-%d: asked for %lld, shown a batch of %lld to %lld", partition->topic->name,
                      (int)partition->index, (long long)consumer->position, (long long)base, (long long)last);
        next = last + 1;
        if (next > partition->high)
            model_end_told(partition, next);
        at += size;
    }
    if (next > consumer->position)
        consumer->position = next;
}

static void fetch_answered(struct consumer *consumer, int version, struct decoder *body) {
    struct fetch_response response;
    struct ledger *partition = consumer->partition;
    if (fetch_response_decode(body, version, &response) || response.error_code || response.responses_count > 1 ||
        (response.responses_count && response.responses[0].partitions_count != 1))
        violation(consumer->world, "a Fetch answer that cannot be read, or error %d", response.error_code);
    if (!response.responses_count)
        violation(consumer->world, "a Fetch answer without the partition");
    const struct fetch_response_partition_data *answer = &response.responses[0].partitions[0];
    int64_t position = consumer->position;
    if (answer->error_code) {
        bool gone = answer->error_code == KAFKA_OFFSET_OUT_OF_RANGE &&
                    (partition->topic->retention || partition->damaged || position < partition->deleted_to);
        bool corrupt = answer->error_code == KAFKA_CORRUPT_MESSAGE && partition->damaged;
        if (!gone && !corrupt && !is_retriable(answer->error_code))
            violation(consumer->world, "%s-%d: reading at %lld is answered with error %d", partition->topic->name,
                      (int)partition->index, (long long)position, answer->error_code);
        consumer->position += corrupt ? 1 + (int64_t)world_random(consumer->world, 8) : 0; /* past it, somehow */
        consumer->step = gone ? ASK_END : consumer->step;
        think(consumer, corrupt ? 1 : 500);
        return;
    }
    model_check_end(partition, answer->high_watermark, consumer->high_asked, "Fetch");
    take_records(consumer, answer->records.bytes);
    consumer->end = answer->high_watermark;
    consumer->rounds_left--;
    if (consumer->position == position && position < consumer->high_asked) {
        if (++consumer->empty > EMPTY_MAX && !partition->damaged)
            violation(consumer->world, "%s-%d: nothing is shown at %lld, and the end is %lld", partition->topic->name,
                      (int)partition->index, (long long)position, (long long)consumer->end);
    } else {
        consumer->empty = 0;
    }
    think(consumer, consumer->verifying || !world_chance(consumer->world, 4) ? 1 : 300);
}

/* ---- what comes next -------------------------------------------------------------------------------------------------- */

static void check_whole(struct consumer *consumer) {
    struct ledger *partition = consumer->partition;
    if (partition->damaged)
        return;
    if (consumer->next_offset < partition->promised_count)
        violation(consumer->world, "%s-%d: the log ends at %lld, and %lld was promised", partition->topic->name, (int)partition->index,
                  (long long)consumer->next_offset, (long long)partition->promised_count - 1);
}

static void choose(struct consumer *consumer) {
    struct world *world = consumer->world;
    if (consumer->verifying) {
        if (consumer->verify_next == world->partition_count) {
            consumer->idle = true;
            return;
        }
        consumer->partition = &world->partitions[consumer->verify_next++];
    } else {
        consumer->partition = &world->partitions[world_random(world, (uint64_t)world->partition_count)];
    }
    consumer->step = ASK_END;
}

static void go_on(struct consumer *consumer) {
    if (consumer->client.waiting_count || !client_is_ready(&consumer->client))
        return;
    if (!admin_is_ready(consumer->world->admin)) { /* there are no topics yet */
        think(consumer, 200);
        return;
    }
    if (consumer->step == READ) {
        bool at_end = consumer->position >= consumer->end;
        if ((consumer->verifying ? at_end : at_end && consumer->rounds_left <= 0) ||
            (!consumer->verifying && consumer->rounds_left < -ROUNDS)) {
            if (consumer->verifying)
                check_whole(consumer);
            consumer->step = START;
        }
    }
    if (consumer->step == START)
        choose(consumer);
    if (consumer->idle)
        return;
    if (consumer->step == ASK_END)
        ask_offset(consumer, LATEST);
    else if (consumer->step == ASK_START)
        ask_offset(consumer, EARLIEST);
    else
        fetch(consumer);
}

static void answered(struct client *client, int32_t correlation, int16_t key, int16_t version, struct decoder *body) {
    struct consumer *consumer = container_of(client, struct consumer, client);
    (void)correlation;
    if (consumer->ignoring) {
        consumer->ignoring = false;
        go_on(consumer);
    } else if (key == API_FETCH)
        fetch_answered(consumer, version, body);
    else
        offset_answered(consumer, version, body);
}

static void connection_lost(struct client *client) {
    struct consumer *consumer = container_of(client, struct consumer, client);
    consumer->ignoring = false;
    if (consumer->step == READ || consumer->step == ASK_START)
        consumer->step = ASK_END;
}

static void connected(struct client *client) {
    think(container_of(client, struct consumer, client), 20);
}

struct consumer *consumer_create(struct world *world) {
    struct consumer *consumer = mem_new(struct consumer);
    consumer->world = world;
    consumer->think.fire = thought;
    consumer->client.on_connected = connected;
    consumer->client.on_answer = answered;
    consumer->client.on_lost = connection_lost;
    client_start(&consumer->client, world);
    return consumer;
}

void consumer_verify(struct consumer *consumer) {
    consumer->verifying = true;
    consumer->idle = false;
    consumer->verify_next = 0;
    consumer->step = START;
    consumer->ignoring = consumer->client.waiting_count > 0;
    think(consumer, 10);
}

bool consumer_is_idle(const struct consumer *consumer) {
    return consumer->idle;
}
