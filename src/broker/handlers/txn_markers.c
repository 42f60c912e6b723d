/* WriteTxnMarkers: from coordinators of other nodes, and from administrators who end a hanging transaction (KIP-98, 664). */
#include "base/numbering.h"
#include "broker/fanout.h"
#include "broker/handlers/handlers.h"
#include "broker/txn_markers.h"
#include "protocol/write_txn_markers_request.h"
#include "protocol/write_txn_markers_response.h"

typedef struct write_txn_markers_response_writable_txn_marker_result out_marker;
typedef struct write_txn_markers_response_writable_txn_marker_topic_result out_topic;
typedef struct write_txn_markers_response_writable_txn_marker_partition_result out_partition;

struct item {
    struct fanout_item base;
    struct marker_write write;
    struct slice topic;
    int64_t producer_id;
    int32_t partition;
    int16_t error;
};
struct write_markers {
    struct fanout fanout;
    struct write_txn_markers_request message;
    struct item *items;
    int count;
};

static void written(struct marker_write *write, int16_t error) {
    struct item *item = container_of(write, struct item, write);
    item->error = error;
    fanout_item_done(&item->base);
}

static void visit(struct fanout_item *base, struct partition *partition) {
    (void)partition;
    struct item *item = container_of(base, struct item, base);
    item->write.done = written;
    marker_write(fanout_shard(base), &item->write);
}

/* ---- the answer: a producer once, with its partitions, of which the last result counts ----------------------------------- */

struct answer {
    struct arena *arena;
    struct write_txn_markers_response response;
    struct numbering *producers, *topics, *partitions;
    int *topic_at, *partition_at; /* by number: where it stands in its marker, in its topic */
    int topic_count, partition_count;
};

static out_marker *get_marker(struct answer *a, int64_t producer_id, int *ret_number) {
    *ret_number = numbering_get(a->producers, (struct numbering_key){.within = producer_id});
    out_marker *marker = &a->response.markers[*ret_number];
    if (*ret_number == a->response.markers_count) {
        a->response.markers_count++;
        marker->producer_id = producer_id;
    }
    return marker;
}

static out_topic *get_topic(struct answer *a, out_marker *marker, int marker_number, struct slice name, int *ret_number) {
    *ret_number = numbering_get(a->topics, (struct numbering_key){.within = marker_number, .name = name});
    if (*ret_number == a->topic_count) {
        a->topic_at[a->topic_count++] = marker->topics_count;
        marker->topics = arena_grow(a->arena, marker->topics, (size_t)marker->topics_count, sizeof *marker->topics);
        marker->topics[marker->topics_count++].name = name;
    }
    return &marker->topics[a->topic_at[*ret_number]];
}

static void add_result(struct answer *a, const struct item *item) {
    int marker_number, topic_number;
    out_marker *marker = get_marker(a, item->producer_id, &marker_number);
    out_topic *topic = get_topic(a, marker, marker_number, item->topic, &topic_number);
    int number = numbering_get(a->partitions, (struct numbering_key){.within = (int64_t)topic_number << 32 | (uint32_t)item->partition});
    if (number == a->partition_count) {
        a->partition_at[a->partition_count++] = topic->partitions_count;
        topic->partitions = arena_grow(a->arena, topic->partitions, (size_t)topic->partitions_count, sizeof *topic->partitions);
        topic->partitions_count++;
    }
    topic->partitions[a->partition_at[number]] = (out_partition){item->partition, item->error};
}

static void done(struct fanout *fanout) {
    struct write_markers *write = container_of(fanout, struct write_markers, fanout);
    struct arena *arena = &fanout->request->arena;
    struct answer a = {.arena = arena,
                       .producers = numbering_create(arena),
                       .topics = numbering_create(arena),
                       .partitions = numbering_create(arena),
                       .topic_at = arena_array(arena, int, write->count + 1),
                       .partition_at = arena_array(arena, int, write->count + 1)};
    write_txn_markers_response_init(&a.response);
    a.response.markers = arena_array(arena, out_marker, write->count + 1);
    for (int i = 0; i < write->count; i++)
        add_result(&a, &write->items[i]);
    request_answer(fanout->request, write_txn_markers, &a.response);
}

/* ---- the request ---------------------------------------------------------------------------------------------------------- */

static int count_partitions(const struct write_txn_markers_request *message) {
    int count = 0;
    for (int m = 0; m < message->markers_count; m++)
        for (int t = 0; t < message->markers[m].topics_count; t++)
            count += message->markers[m].topics[t].partition_indexes_count;
    return count;
}

static void add(struct write_markers *write, const struct write_txn_markers_request_writable_txn_marker *marker, struct slice topic,
                int32_t partition) {
    struct item *item = &write->items[write->count++];
    item->topic = topic;
    item->partition = partition;
    item->producer_id = marker->producer_id;
    item->error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    struct uuid topic_id;
    if (!find_topic_partition(write->fanout.request, topic, partition, &topic_id))
        return;
    item->write = (struct marker_write){.topic_id = topic_id,
                                        .partition = partition,
                                        .producer_id = marker->producer_id,
                                        .producer_epoch = marker->producer_epoch,
                                        .transaction_version = marker->transaction_version,
                                        .coordinator_epoch = marker->coordinator_epoch,
                                        .commit = marker->transaction_result};
    fanout_add(&write->fanout, &item->base, topic_id, partition);
}

void handle_write_txn_markers(struct request *request) {
    struct write_markers *write = arena_zalloc(&request->arena, sizeof *write);
    write->fanout = (struct fanout){.request = request, .visit = visit, .done = done};
    if (!request_decode(request, write_txn_markers, &write->message))
        return;
    const struct write_txn_markers_request *message = &write->message;
    write->items = arena_array(&request->arena, struct item, count_partitions(message) + 1);
    for (int m = 0; m < message->markers_count; m++)
        for (int t = 0; t < message->markers[m].topics_count; t++)
            for (int p = 0; p < message->markers[m].topics[t].partition_indexes_count; p++)
                add(write, &message->markers[m], message->markers[m].topics[t].name, message->markers[m].topics[t].partition_indexes[p]);
    fanout_run(&write->fanout);
}
