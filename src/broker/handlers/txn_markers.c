/* WriteTxnMarkers: from coordinators of other nodes, and from administrators who end a hanging transaction (KIP-98, 664). */
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

static out_marker *get_marker(struct write_txn_markers_response *response, int64_t producer_id) {
    for (int i = 0; i < response->markers_count; i++)
        if (response->markers[i].producer_id == producer_id)
            return &response->markers[i];
    out_marker *marker = &response->markers[response->markers_count++];
    marker->producer_id = producer_id;
    return marker;
}

static out_topic *get_topic(out_marker *marker, struct slice name, struct arena *arena) {
    for (int i = 0; i < marker->topics_count; i++)
        if (slice_eq(marker->topics[i].name, name))
            return &marker->topics[i];
    marker->topics = arena_grow(arena, marker->topics, (size_t)marker->topics_count, sizeof *marker->topics);
    out_topic *topic = &marker->topics[marker->topics_count++];
    topic->name = name;
    return topic;
}

static void add_result(struct write_txn_markers_response *response, const struct item *item, struct arena *arena) {
    out_topic *topic = get_topic(get_marker(response, item->producer_id), item->topic, arena);
    int at = 0;
    while (at < topic->partitions_count && topic->partitions[at].partition_index != item->partition)
        at++;
    if (at == topic->partitions_count) {
        topic->partitions = arena_grow(arena, topic->partitions, (size_t)at, sizeof *topic->partitions);
        topic->partitions_count++;
    }
    topic->partitions[at] = (out_partition){item->partition, item->error};
}

static void done(struct fanout *fanout) {
    struct write_markers *write = container_of(fanout, struct write_markers, fanout);
    struct write_txn_markers_response response;
    write_txn_markers_response_init(&response);
    response.markers = arena_array(&fanout->request->arena, out_marker, write->count + 1);
    for (int i = 0; i < write->count; i++)
        add_result(&response, &write->items[i], &fanout->request->arena);
    request_answer(fanout->request, write_txn_markers, &response);
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
