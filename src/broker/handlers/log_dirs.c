/* DescribeLogDirs: which partitions are in which directory, and how large (KIP-113, KIP-827). AlterReplicaLogDirs: moves
 * them (KIP-113). */
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "broker/cordon.h"
#include "broker/fanout.h"
#include "broker/handlers/handlers.h"
#include "broker/moves.h"
#include "protocol/alter_replica_log_dirs_request.h"
#include "protocol/alter_replica_log_dirs_response.h"
#include "protocol/describe_log_dirs_request.h"
#include "protocol/describe_log_dirs_response.h"

struct found { /* a log, from the shard that owns it */
    struct slice topic;
    int32_t index;
    int dir;
    int64_t size, lag;
    bool future;
};
struct look {
    struct shard_call call;
    struct describe *describe;
    struct arena arena;
    struct found *found;
    int count;
};
struct describe {
    struct request *request;
    struct describe_log_dirs_request message;
    struct look *looks;
    int pending;
    struct work work;
    int64_t total[LOG_DIRS_MAX], usable[LOG_DIRS_MAX];
};

static bool is_asked_for(const struct describe_log_dirs_request *message, const struct partition *partition) {
    for (int t = 0; t < message->topics_count; t++)
        if (slice_eq(message->topics[t].topic, partition->topic))
            for (int p = 0; p < message->topics[t].partitions_count; p++)
                if (message->topics[t].partitions[p] == partition->index)
                    return true;
    return message->topics_count < 0;
}

static void look(struct shard_call *call) {
    struct look *look = container_of(call, struct look, call);
    look->found = arena_array(&look->arena, struct found, 2 * call->at->partitions.count + 1);
    map_each(node, &call->at->partitions) {
        const struct partition *partition = container_of(node, struct partition, node);
        if (partition->log && is_asked_for(&look->describe->message, partition))
            look->found[look->count++] = (struct found){arena_slice(&look->arena, partition->topic), partition->index,
                                                        log_dir_index(partition->log), log_size(partition->log), 0, false};
        const struct log *future = moves_future(partition);
        if (future && partition->log && is_asked_for(&look->describe->message, partition))
            look->found[look->count++] = (struct found){arena_slice(&look->arena, partition->topic), partition->index,
                                                        log_dir_index(future), log_size(future),
                                                        log_offsets(partition->log).end - log_offsets(future).end, true};
    }
    shard_call_return(call);
}

static int compare_found(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    int c = x->dir - y->dir;
    c = c ? c : slice_cmp(x->topic, y->topic);
    return c ? c : x->index - y->index;
}

static void add_found(struct request *request, const struct found *found, int count, int dir,
                      struct describe_log_dirs_response_describe_log_dirs_result *result) {
    result->topics = arena_array(&request->arena, struct describe_log_dirs_response_describe_log_dirs_topic, count + 1);
    for (int i = 0; i < count; i++) {
        if (found[i].dir != dir)
            continue;
        struct describe_log_dirs_response_describe_log_dirs_topic *topic = result->topics_count ? &result->topics[result->topics_count - 1] : NULL;
        if (!topic || !slice_eq(topic->name, found[i].topic)) {
            topic = &result->topics[result->topics_count++];
            topic->name = found[i].topic;
            topic->partitions = arena_array(&request->arena, struct describe_log_dirs_response_describe_log_dirs_partition, count - i);
        }
        topic->partitions[topic->partitions_count++] =
            (struct describe_log_dirs_response_describe_log_dirs_partition){found[i].index, found[i].size, found[i].lag, found[i].future};
    }
}

/* The directory as answers name it: absolute, without doubled slashes and one at the end. */
static struct slice dir_path(struct request *request, int dir) {
    const char *configured = request->shard->broker->config->log_dirs[dir];
    char *whole = *configured == '/' ? NULL : realpath(configured, NULL);
    struct slice path = arena_slice(&request->arena, slice_str(whole ? whole : configured));
    char *text = (char *)path.ptr;
    size_t size = 0;
    free(whole);
    for (size_t i = 0; i < path.size; i++)
        if (text[i] != '/' || !size || text[size - 1] != '/')
            text[size++] = text[i];
    if (size > 1 && text[size - 1] == '/')
        size--;
    return slice_of(text, size);
}

static void answer(struct shard *shard, struct work *work) {
    (void)shard;
    struct describe *describe = container_of(work, struct describe, work);
    struct request *request = describe->request;
    struct broker *broker = request->shard->broker;
    int total = 0, count = 0;
    for (int i = 0; i < broker->shard_count; i++)
        total += describe->looks[i].count;
    struct found *found = arena_array(&request->arena, struct found, total + 1);
    for (int i = 0; i < broker->shard_count; i++)
        for (int k = 0; k < describe->looks[i].count; k++)
            found[count++] = describe->looks[i].found[k];
    qsort(found, (size_t)count, sizeof *found, compare_found);
    struct describe_log_dirs_response response;
    describe_log_dirs_response_init(&response);
    response.results_count = broker->config->log_dir_count;
    response.results = arena_array(&request->arena, struct describe_log_dirs_response_describe_log_dirs_result, response.results_count);
    for (int i = 0; i < response.results_count; i++) {
        struct describe_log_dirs_response_describe_log_dirs_result *result = &response.results[i];
        describe_log_dirs_response_describe_log_dirs_result_init(result);
        result->log_dir = dir_path(request, i);
        if (uuid_is_zero(broker->dir_ids[i]) || log_store_dir_is_offline(request->shard->store, i)) {
            result->error_code = KAFKA_KAFKA_STORAGE_ERROR;
            continue;
        }
        result->is_cordoned = cordon_holds(request->shard, i);
        if (request->header.version >= 4) {
            result->total_bytes = describe->total[i];
            result->usable_bytes = describe->usable[i];
        }
        add_found(request, found, count, i, result);
    }
    request_answer(request, describe_log_dirs, &response);
}

static void ask_file_systems(struct work *work) {
    struct describe *describe = container_of(work, struct describe, work);
    struct broker *broker = describe->request->shard->broker;
    for (int i = 0; i < broker->config->log_dir_count; i++)
        if (fs_space(runtime_fs(broker->runtime), broker->config->log_dirs[i], &describe->total[i], &describe->usable[i]))
            describe->total[i] = describe->usable[i] = -1;
}

static void looked(struct shard_call *call) {
    struct describe *describe = container_of(call, struct look, call)->describe;
    if (--describe->pending)
        return;
    describe->work = (struct work){.run = ask_file_systems, .done = answer};
    shard_offload(describe->request->shard->shard, &describe->work);
}

static void drop_arena(void *arg) {
    arena_deinit(arg);
}

void handle_describe_log_dirs(struct request *request) {
    struct describe *describe = arena_zalloc(&request->arena, sizeof *describe);
    struct broker *broker = request->shard->broker;
    describe->request = request;
    if (!request_decode(request, describe_log_dirs, &describe->message))
        return;
    describe->looks = arena_array(&request->arena, struct look, broker->shard_count);
    describe->pending = broker->shard_count;
    for (int i = 0; i < broker->shard_count; i++) {
        struct look *each = &describe->looks[i];
        each->describe = describe;
        each->call = (struct shard_call){.home = request->shard, .at = &broker->shards[i], .run = look, .back = looked};
        arena_on_reset(&request->arena, drop_arena, &each->arena);
        shard_call_send(&each->call);
    }
}

/* ---- AlterReplicaLogDirs ------------------------------------------------------------------------------------------------------- */

typedef struct alter_replica_log_dirs_response_alter_replica_log_dir_topic_result moved_topic;
typedef struct alter_replica_log_dirs_response_alter_replica_log_dir_partition_result moved_partition;

enum { FUTURE_NAME_EXTRA = 1 + 32 + 7, NAME_MAX_BYTES = 255 };

struct move_item {
    struct fanout_item base;
    int dir;
    moved_partition *out;
};
struct alter_dirs {
    struct fanout fanout;
    struct alter_replica_log_dirs_request message;
    struct alter_replica_log_dirs_response response;
};

static void move_visit(struct fanout_item *base, struct partition *partition) {
    struct move_item *item = container_of(base, struct move_item, base);
    enum err err = partition_check_leader(partition);
    if (err == ERR_OFFLINE)
        item->out->error_code = KAFKA_KAFKA_STORAGE_ERROR;
    else if (!partition || !partition->log)
        item->out->error_code = KAFKA_REPLICA_NOT_AVAILABLE;
    else
        moves_start(partition, item->dir);
    fanout_item_done(base);
}

static void moves_done(struct fanout *fanout) {
    struct alter_dirs *alter = container_of(fanout, struct alter_dirs, fanout);
    request_answer(fanout->request, alter_replica_log_dirs, &alter->response);
}

static int find_dir(struct request *request, struct slice path) {
    for (int i = 0; i < request->shard->broker->config->log_dir_count; i++)
        if (slice_eq(dir_path(request, i), path))
            return i;
    return -1;
}

static int16_t check_move(struct request *request, struct slice topic, int32_t index, int dir, struct uuid *ret_topic_id) {
    struct broker *broker = request->shard->broker;
    char number[16];
    if (topic.size + 1 + (size_t)snprintf(number, sizeof number, "%d", (int)index) + FUTURE_NAME_EXTRA > NAME_MAX_BYTES)
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    if (dir < 0)
        return KAFKA_LOG_DIR_NOT_FOUND;
    if (uuid_is_zero(broker->dir_ids[dir]) || log_store_dir_is_offline(request->shard->store, dir))
        return KAFKA_KAFKA_STORAGE_ERROR;
    if (cordon_holds(request->shard, dir))
        return KAFKA_INVALID_REPLICA_ASSIGNMENT;
    if (find_topic_partition(request, topic, index, ret_topic_id))
        return 0;
    moves_prefer(broker, topic, index, dir);
    return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* The answer's entry of a topic, with room for the partitions of all directories. */
static moved_topic *topic_result(struct alter_dirs *alter, struct slice topic) {
    struct alter_replica_log_dirs_response *response = &alter->response;
    for (int t = 0; t < response->results_count; t++)
        if (slice_eq(response->results[t].topic_name, topic))
            return &response->results[t];
    moved_topic *result = &response->results[response->results_count++];
    int room = 0;
    for (int d = 0; d < alter->message.dirs_count; d++)
        for (int t = 0; t < alter->message.dirs[d].topics_count; t++)
            if (slice_eq(alter->message.dirs[d].topics[t].name, topic))
                room += alter->message.dirs[d].topics[t].partitions_count;
    result->topic_name = topic;
    result->partitions = arena_array(&alter->fanout.request->arena, moved_partition, room + 1);
    return result;
}

void handle_alter_replica_log_dirs(struct request *request) {
    struct alter_dirs *alter = arena_zalloc(&request->arena, sizeof *alter);
    alter->fanout = (struct fanout){.request = request, .visit = move_visit, .done = moves_done};
    if (!request_decode(request, alter_replica_log_dirs, &alter->message))
        return;
    alter_replica_log_dirs_response_init(&alter->response);
    int topics = 0;
    for (int d = 0; d < alter->message.dirs_count; d++)
        topics += alter->message.dirs[d].topics_count;
    alter->response.results = arena_array(&request->arena, moved_topic, topics + 1);
    for (int d = 0; d < alter->message.dirs_count; d++) {
        int dir = find_dir(request, alter->message.dirs[d].path);
        for (int t = 0; t < alter->message.dirs[d].topics_count; t++) {
            const struct alter_replica_log_dirs_request_alter_replica_log_dir_topic *in = &alter->message.dirs[d].topics[t];
            moved_topic *result = topic_result(alter, in->name);
            for (int p = 0; p < in->partitions_count; p++) {
                moved_partition *out = &result->partitions[result->partitions_count++];
                struct uuid topic_id;
                out->partition_index = in->partitions[p];
                out->error_code = check_move(request, in->name, out->partition_index, dir, &topic_id);
                if (out->error_code)
                    continue;
                struct move_item *item = arena_zalloc(&request->arena, sizeof *item);
                item->dir = dir;
                item->out = out;
                fanout_add(&alter->fanout, &item->base, topic_id, out->partition_index);
            }
        }
    }
    fanout_run(&alter->fanout);
}
