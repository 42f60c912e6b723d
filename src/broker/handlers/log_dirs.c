/* DescribeLogDirs: which partitions are in which directory, and how large (KIP-113, KIP-827). */
#include <stdlib.h>
#include "base/mem.h"
#include "broker/handlers/handlers.h"
#include "protocol/describe_log_dirs_request.h"
#include "protocol/describe_log_dirs_response.h"

struct found { /* a log, from the shard that owns it */
    struct slice topic;
    int32_t index;
    int dir;
    int64_t size, lag;
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
    look->found = arena_array(&look->arena, struct found, call->at->partitions.count + 1);
    map_each(node, &call->at->partitions) {
        const struct partition *partition = container_of(node, struct partition, node);
        if (partition->log && is_asked_for(&look->describe->message, partition))
            look->found[look->count++] = (struct found){arena_slice(&look->arena, partition->topic), partition->index,
                                                        log_dir_index(partition->log), log_size(partition->log), 0};
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
            (struct describe_log_dirs_response_describe_log_dirs_partition){found[i].index, found[i].size, found[i].lag, false};
    }
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
        char *path = realpath(broker->config->log_dirs[i], NULL);
        describe_log_dirs_response_describe_log_dirs_result_init(result);
        result->log_dir = path ? arena_slice(&request->arena, slice_str(path)) : slice_str(broker->config->log_dirs[i]);
        free(path);
        if (uuid_is_zero(broker->dir_ids[i]) || log_store_dir_is_offline(request->shard->store, i)) {
            result->error_code = KAFKA_KAFKA_STORAGE_ERROR;
            continue;
        }
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
