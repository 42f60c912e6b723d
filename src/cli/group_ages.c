/* The times of the records that a group comes to next, for lag in seconds: what the broker tells as a metric, got over
 * Kafka's protocol, so that it works against Apache Kafka too.
 *
 * Offsets have no times that could be asked for: the batch that holds the offset is fetched. The first round asks for a
 * little of every partition; a broker leaves out batches that are larger, and the next rounds ask for more, until a batch
 * comes alone if it must: the first partition of a request always gets one. */
#include "cli/group.h"

#include <stdlib.h>
#include "cli/batch_records.h"
#include "protocol/errors.h"
#include "protocol/fetch_request.h"
#include "protocol/fetch_response.h"

enum { EARLIEST = -2, ROUND_BYTES = 8 << 20, FIRST_BYTES = 8 << 10, GROWTH = 32 };

struct wanted {
    struct group_offset *offset;
    const struct metadata_response_metadata_response_topic *topic;
    int leader;      /* -1: there is none */
    int64_t from;
    bool done, below; /* below: the log begins behind `from` */
};
struct ages {
    struct client *client;
    struct batch_records records;
    struct wanted *all; /* in order of topic and partition */
    int count;
    int32_t bytes_max;  /* of a partition */
    bool progress;      /* of the round */
};

/* ---- one answer ---------------------------------------------------------------------------------------------------------- */

/* The first record from the offset on that the batch has; -1: none. */
static int64_t time_in(struct ages *ages, const uint8_t *batch, int64_t from) {
    if (batch_magic(batch) < 2)
        return any_max_timestamp(batch);
    if (batch_records_begin(&ages->records, batch, batch_size(batch)))
        return -1;
    struct record record;
    while (!record_next(&ages->records.it, &record))
        if (record.offset >= from)
            return record.timestamp;
    return -1;
}

/* Batches that compaction has emptied are passed over. */
static void take_records(struct ages *ages, struct wanted *wanted, struct slice bytes) {
    while (bytes.size >= BATCH_PREFIX_SIZE + BATCH_LENGTH_MIN && !wanted->done) {
        size_t size = batch_length(bytes.ptr) >= BATCH_LENGTH_MIN ? batch_size(bytes.ptr) : SIZE_MAX;
        if (size > bytes.size || batch_check(slice_of(bytes.ptr, size)))
            return;
        ages->progress = true;
        int64_t last = any_last_offset(bytes.ptr), time = last < wanted->from ? -1 : time_in(ages, bytes.ptr, wanted->from);
        if (time >= 0)
            wanted->offset->next_ms = time;
        if (last >= wanted->from)
            wanted->from = last + 1;
        wanted->done = time >= 0 || wanted->from >= wanted->offset->end;
        bytes = slice_of(bytes.ptr + size, bytes.size - size);
    }
}

static void take_partition(struct ages *ages, struct wanted *wanted, const struct fetch_response_partition_data *answer) {
    if (answer->error_code == KAFKA_OFFSET_OUT_OF_RANGE && !wanted->below) {
        wanted->below = ages->progress = true;
        struct offset_query query = {.topic = wanted->offset->topic, .partition = wanted->offset->partition, .timestamp = EARLIEST};
        wanted->done = offsets_find(ages->client, &query, 1, false) || query.error || query.offset <= wanted->from;
        wanted->from = query.offset;
    } else if (answer->error_code) {
        wanted->done = true;
    } else {
        take_records(ages, wanted, answer->records.bytes);
    }
}

static struct wanted *find_wanted(const struct ages *ages, const struct fetch_response_fetchable_topic_response *topic, int partition) {
    for (int i = 0; i < ages->count; i++) {
        struct wanted *wanted = &ages->all[i];
        if (wanted->offset->partition == partition && (topic->topic.size ? slice_eq_str(topic->topic, wanted->offset->topic)
                                                                         : uuid_eq(topic->topic_id, wanted->topic->topic_id)))
            return wanted;
    }
    return NULL;
}

/* ---- rounds ---------------------------------------------------------------------------------------------------------------- */

static int ask(struct ages *ages, int leader) {
    struct arena *arena = &ages->client->arena;
    struct fetch_request request;
    struct fetch_response response;
    fetch_request_init(&request);
    request.min_bytes = 1;
    request.max_bytes = ROUND_BYTES;
    request.topics = arena_array(arena, struct fetch_request_fetch_topic, ages->count);
    for (int i = 0; i < ages->count; i++) {
        const struct wanted *wanted = &ages->all[i];
        if (wanted->done || wanted->leader != leader)
            continue;
        struct fetch_request_fetch_topic *topic = request.topics_count ? &request.topics[request.topics_count - 1] : NULL;
        if (!topic || !slice_eq_str(topic->topic, wanted->offset->topic)) {
            topic = &request.topics[request.topics_count++];
            fetch_request_fetch_topic_init(topic);
            topic->topic = slice_str(wanted->offset->topic);
            topic->topic_id = wanted->topic->topic_id;
        }
        topic->partitions = arena_grow(arena, topic->partitions, (size_t)topic->partitions_count, sizeof *topic->partitions);
        struct fetch_request_fetch_partition *partition = &topic->partitions[topic->partitions_count++];
        fetch_request_fetch_partition_init(partition);
        partition->partition = wanted->offset->partition;
        partition->fetch_offset = wanted->from;
        partition->partition_max_bytes = ages->bytes_max;
    }
    int status = client_call(ages->client, leader, API_FETCH, &request, &response);
    for (int t = 0; !status && t < response.responses_count; t++)
        for (int p = 0; p < response.responses[t].partitions_count; p++) {
            struct wanted *wanted = find_wanted(ages, &response.responses[t], response.responses[t].partitions[p].partition_index);
            if (wanted && !wanted->done)
                take_partition(ages, wanted, &response.responses[t].partitions[p]);
        }
    return status;
}

static int ask_all(struct ages *ages) {
    int status = CLI_OK;
    for (int i = 0; i < ages->count && !status; i++) {
        bool asked = ages->all[i].done;
        for (int k = 0; k < i && !asked; k++)
            asked = ages->all[k].leader == ages->all[i].leader && !ages->all[k].done;
        if (!asked)
            status = ask(ages, ages->all[i].leader);
    }
    return status;
}

static void choose(struct ages *ages, const struct metadata_response *metadata, struct group_offset *offsets, int count) {
    for (int i = 0; i < count; i++) {
        struct group_offset *offset = &offsets[i];
        const struct metadata_response_metadata_response_topic *topic = NULL;
        if (offset->offset < 0 || offset->end <= offset->offset)
            continue;
        for (int t = 0; t < metadata->topics_count && !topic; t++)
            if (slice_eq_str(metadata->topics[t].name, offset->topic))
                topic = &metadata->topics[t];
        int leader = leader_of_partition(topic, offset->partition);
        if (leader >= 0)
            ages->all[ages->count++] = (struct wanted){.offset = offset, .topic = topic, .leader = leader, .from = offset->offset};
    }
}

int group_ages(struct client *client, struct group_offset *offsets, int count) {
    struct ages ages = {.client = client, .all = arena_array(&client->arena, struct wanted, count + 1), .bytes_max = FIRST_BYTES};
    struct metadata_response metadata;
    int status = client_metadata(client, NULL, 0, &metadata);
    if (status)
        return status;
    choose(&ages, &metadata, offsets, count);
    for (bool left = ages.count > 0; left && !status;) {
        ages.progress = false;
        status = ask_all(&ages);
        left = false;
        for (int i = 0; i < ages.count; i++)
            left |= !ages.all[i].done;
        if (!ages.progress && ages.bytes_max == INT32_MAX)
            break; /* there is nothing to be had */
        ages.bytes_max = ages.bytes_max > INT32_MAX / GROWTH ? INT32_MAX : ages.bytes_max * GROWTH;
    }
    batch_records_deinit(&ages.records);
    return status;
}
