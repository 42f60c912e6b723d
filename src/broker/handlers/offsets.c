/* OffsetCommit, OffsetFetch, OffsetDelete: what is known without the group's coordinator (topics, partitions) is looked
 * at here, the rest is decided there (src/coordinator/offset_commit.h). */
#include "broker/coordinators.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/partition_errors.h"
#include "coordinator/offset_commit.h"
#include "protocol/offset_commit_request.h"
#include "protocol/offset_commit_response.h"
#include "protocol/offset_delete_request.h"
#include "protocol/offset_delete_response.h"
#include "protocol/offset_fetch_request.h"

enum {
    COMMIT_IDS_VERSION = 10,   /* topics are named by id */
    FETCH_ERROR_VERSION = 2,   /* there is an error of the whole answer; before it stands in every partition */
    FETCH_BATCH_VERSION = 8,   /* several groups */
    FETCH_MEMBER_VERSION = 9,
    FETCH_IDS_VERSION = 10,
};

/* ---- OffsetCommit ---------------------------------------------------------------------------------------------------------- */

typedef struct offset_commit_request_offset_commit_request_topic commit_topic;
typedef struct offset_commit_response_offset_commit_response_topic commit_answer;
typedef struct offset_commit_response_offset_commit_response_partition commit_answer_partition;

struct commit_visit {
    struct coordinator_visit visit;
    struct offset_commit_request message;
    struct offset_commit commit;
    struct partition_errors errors; /* of topics and partitions that do not exist, until the coordinator has answered */
    int16_t error;
};

static void decide_commit(struct coordinator_op *op, void *state) {
    struct commit_visit *visit = container_of(op, struct commit_visit, visit.op);
    visit->error = offsets_commit(state, op, &visit->commit);
}

static void answer_commit(struct commit_visit *visit) {
    struct request *request = visit->visit.request;
    struct offset_commit_response response;
    offset_commit_response_init(&response);
    partition_errors_sort(&visit->errors);
    response.topics = arena_array(&request->arena, commit_answer, visit->errors.topic_count);
    response.topics_count = visit->errors.topic_count;
    for (int t = 0; t < response.topics_count; t++) {
        const struct partition_errors_topic *topic = &visit->errors.topics[t];
        commit_answer *answer = &response.topics[t];
        answer->name = topic->name;
        answer->topic_id = topic->id;
        answer->partitions = arena_array(&request->arena, commit_answer_partition, topic->count);
        answer->partitions_count = topic->count;
        for (int p = 0; p < topic->count; p++)
            answer->partitions[p] = (commit_answer_partition){topic->partitions[p].partition, topic->partitions[p].error};
    }
    request_answer(request, offset_commit, &response);
}

static void commit_done(struct coordinator_visit *base, int16_t error) {
    struct commit_visit *visit = container_of(base, struct commit_visit, visit);
    bool by_id = base->request->header.version >= COMMIT_IDS_VERSION;
    if (!error)
        error = visit->error;
    for (int t = 0; t < visit->commit.count; t++) {
        const struct offset_commit_topic *topic = &visit->commit.topics[t];
        for (int p = 0; p < topic->count; p++)
            partition_errors_add(&visit->errors, topic->name, by_id ? topic->id : UUID_ZERO, topic->partitions[p].partition,
                                 error ? error : topic->partitions[p].error);
    }
    answer_commit(visit);
}

/* Partitions that exist go to the coordinator, the others into the answer. */
static void check_commit_topic(struct commit_visit *visit, const commit_topic *asked) {
    struct request *request = visit->visit.request;
    bool by_id = request->header.version >= COMMIT_IDS_VERSION;
    const struct image_topic *topic = by_id ? image_find_topic_id(request->shard->image, asked->topic_id)
                                            : image_find_topic(request->shard->image, asked->name);
    struct offset_commit_topic *out = &visit->commit.topics[visit->commit.count];
    *out = (struct offset_commit_topic){.partitions = arena_array(&request->arena, struct offset_commit_partition, asked->partitions_count)};
    if (topic) {
        out->name = arena_slice(&request->arena, topic->name);
        out->id = topic->id;
    }
    for (int p = 0; p < asked->partitions_count; p++) {
        const struct offset_commit_request_offset_commit_request_partition *partition = &asked->partitions[p];
        if (image_find_partition(topic, partition->partition_index)) {
            out->partitions[out->count++] = (struct offset_commit_partition){.partition = partition->partition_index,
                                                                             .leader_epoch = partition->committed_leader_epoch,
                                                                             .offset = partition->committed_offset,
                                                                             .metadata = partition->committed_metadata};
            continue;
        }
        int16_t error = !topic && by_id ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        partition_errors_add(&visit->errors, topic ? out->name : asked->name, by_id ? asked->topic_id : UUID_ZERO, partition->partition_index,
                             error);
    }
    visit->commit.count += out->count > 0;
}

void handle_offset_commit(struct request *request) {
    struct commit_visit *visit = arena_new(&request->arena, struct commit_visit);
    const struct offset_commit_request *message = &visit->message;
    if (!request_decode(request, offset_commit, &visit->message))
        return;
    visit->visit.request = request;
    visit->commit.topics = arena_array(&request->arena, struct offset_commit_topic, message->topics_count + 1);
    int partitions = 0;
    for (int t = 0; t < message->topics_count; t++)
        partitions += message->topics[t].partitions_count;
    partition_errors_init(&visit->errors, &request->arena, message->topics_count, partitions);
    for (int t = 0; t < message->topics_count; t++)
        check_commit_topic(visit, &message->topics[t]);
    if (!visit->commit.count) {
        answer_commit(visit);
        return;
    }
    visit->commit.group = message->group_id;
    visit->commit.retention_ms = message->retention_time_ms;
    visit->commit.caller = (struct group_caller){.member_id = message->member_id,
                                                 .instance_id = message->group_instance_id,
                                                 .generation = message->generation_id_or_member_epoch,
                                                 .version = request->header.version};
    visit->visit.op.decide = decide_commit;
    visit->visit.answer = commit_done;
    coordinator_visit(&visit->visit, COORDINATOR_GROUP, message->group_id, false);
}

/* ---- OffsetFetch ------------------------------------------------------------------------------------------------------------- */

typedef struct offset_fetch_request_offset_fetch_request_group fetch_group;
typedef struct offset_fetch_response_offset_fetch_response_group fetch_answer;
typedef struct offset_fetch_response_offset_fetch_response_topics fetch_answer_topic;
typedef struct offset_fetch_response_offset_fetch_response_partitions fetch_answer_partition;

struct offset_fetch_all { /* of one request */
    struct request *request;
    struct offset_fetch_request message;
    struct offset_fetch_response response;
    int pending;
};
struct fetch_visit { /* of one group */
    struct coordinator_visit visit;
    struct offset_fetch_all *all;
    const fetch_group *group;
    struct offset_fetch fetch;
    struct offset_fetch_topic *topics; /* fetch.topics */
    fetch_answer_topic *unknown;       /* ids that stand for no topic; one each of group->topics at most */
    int unknown_count;
    fetch_answer *answer;
};

static void decide_fetch(struct coordinator_op *op, void *state) {
    struct fetch_visit *visit = container_of(op, struct fetch_visit, visit.op);
    offsets_fetch(state, op->arena, &visit->fetch, visit->answer);
}

/* Before version 8 there is one group, and its answer stands in other fields. */
static void answer_old(struct offset_fetch_all *all) {
    struct offset_fetch_response *response = &all->response;
    const fetch_answer *group = &response->groups[0];
    struct arena *arena = &all->request->arena;
    response->error_code = group->error_code;
    response->topics = arena_array(arena, struct offset_fetch_response_offset_fetch_response_topic, group->topics_count);
    response->topics_count = group->topics_count;
    for (int t = 0; t < group->topics_count; t++) {
        const fetch_answer_topic *from = &group->topics[t];
        struct offset_fetch_response_offset_fetch_response_topic *to = &response->topics[t];
        to->name = from->name;
        to->partitions = arena_array(arena, struct offset_fetch_response_offset_fetch_response_partition, from->partitions_count);
        to->partitions_count = from->partitions_count;
        for (int p = 0; p < from->partitions_count; p++)
            to->partitions[p] = (struct offset_fetch_response_offset_fetch_response_partition){
                .partition_index = from->partitions[p].partition_index,
                .committed_offset = from->partitions[p].committed_offset,
                .committed_leader_epoch = from->partitions[p].committed_leader_epoch,
                .metadata = from->partitions[p].metadata,
                .error_code = from->partitions[p].error_code};
    }
    response->groups_count = 0;
}

static void fetched(struct offset_fetch_all *all) {
    if (--all->pending)
        return;
    if (all->request->header.version < FETCH_BATCH_VERSION)
        answer_old(all);
    request_answer(all->request, offset_fetch, &all->response);
}

/* Every partition asked for, with an error and no offset. */
static void fill_topic(struct arena *arena, const struct offset_fetch_request_offset_fetch_request_topics *asked, int16_t error, fetch_answer_topic *answer) {
    answer->name = asked->name;
    answer->topic_id = asked->topic_id;
    answer->partitions = arena_array(arena, fetch_answer_partition, asked->partition_indexes_count);
    answer->partitions_count = asked->partition_indexes_count;
    for (int p = 0; p < asked->partition_indexes_count; p++) {
        offset_fetch_response_offset_fetch_response_partitions_init(&answer->partitions[p]);
        answer->partitions[p].partition_index = asked->partition_indexes[p];
        answer->partitions[p].committed_offset = -1;
        answer->partitions[p].error_code = error;
    }
}

static void answer_error(struct fetch_visit *visit, int16_t error) {
    const struct request *request = visit->all->request;
    fetch_answer *answer = visit->answer;
    answer->topics_count = 0;
    answer->error_code = error;
    if (request->header.version >= FETCH_ERROR_VERSION)
        return;
    answer->topics = arena_array(&visit->all->request->arena, fetch_answer_topic, visit->group->topics_count);
    answer->topics_count = visit->group->topics_count;
    for (int t = 0; t < answer->topics_count; t++)
        fill_topic(&visit->all->request->arena, &visit->group->topics[t], error, &answer->topics[t]);
}

/* Ids that are known by name only; topics that are gone cannot be told by id. */
static void add_ids(struct fetch_visit *visit) {
    fetch_answer *answer = visit->answer;
    int kept = 0;
    for (int t = 0; t < answer->topics_count; t++) {
        const struct image_topic *topic = image_find_topic(visit->all->request->shard->image, answer->topics[t].name);
        if (topic) {
            answer->topics[kept] = answer->topics[t];
            answer->topics[kept++].topic_id = topic->id;
        }
    }
    answer->topics_count = kept;
}

static void add_unknown(struct fetch_visit *visit) {
    fetch_answer *answer = visit->answer;
    if (!visit->unknown_count)
        return;
    fetch_answer_topic *topics = arena_array(&visit->all->request->arena, fetch_answer_topic, answer->topics_count + visit->unknown_count);
    if (answer->topics_count)
        memcpy(topics, answer->topics, sizeof *topics * (size_t)answer->topics_count);
    memcpy(topics + answer->topics_count, visit->unknown, sizeof *topics * (size_t)visit->unknown_count);
    answer->topics = topics;
    answer->topics_count += visit->unknown_count;
}

static void fetch_done(struct coordinator_visit *base, int16_t error) {
    struct fetch_visit *visit = container_of(base, struct fetch_visit, visit);
    bool by_id = visit->all->request->header.version >= FETCH_IDS_VERSION;
    if (error) {
        answer_error(visit, error);
    } else if (!visit->answer->error_code) {
        if (visit->fetch.all && by_id)
            add_ids(visit);
        add_unknown(visit);
    }
    fetched(visit->all);
}

static void look_at_topics(struct fetch_visit *visit) {
    struct request *request = visit->all->request;
    const fetch_group *group = visit->group;
    bool by_id = request->header.version >= FETCH_IDS_VERSION;
    visit->topics = arena_array(&request->arena, struct offset_fetch_topic, group->topics_count + 1);
    visit->fetch.topics = visit->topics;
    visit->unknown = arena_array(&request->arena, fetch_answer_topic, by_id ? group->topics_count + 1 : 0);
    for (int t = 0; t < group->topics_count; t++) {
        const struct offset_fetch_request_offset_fetch_request_topics *asked = &group->topics[t];
        const struct image_topic *topic = by_id ? image_find_topic_id(request->shard->image, asked->topic_id) : NULL;
        if (by_id && !topic) {
            fill_topic(&request->arena, asked, KAFKA_UNKNOWN_TOPIC_ID, &visit->unknown[visit->unknown_count++]);
            continue;
        }
        visit->topics[visit->fetch.count++] =
            (struct offset_fetch_topic){.name = topic ? arena_slice(&request->arena, topic->name) : asked->name,
                                        .id = asked->topic_id,
                                        .partitions = asked->partition_indexes,
                                        .count = asked->partition_indexes_count};
    }
}

/* The one group of an old request, as the newer ones have it. */
static void take_old(struct offset_fetch_all *all) {
    struct offset_fetch_request *message = &all->message;
    struct arena *arena = &all->request->arena;
    fetch_group *group = arena_alloc(arena, sizeof *group);
    offset_fetch_request_offset_fetch_request_group_init(group);
    group->group_id = message->group_id;
    group->topics_count = message->topics_count;
    group->topics = message->topics_count < 0 ? NULL : arena_array(arena, struct offset_fetch_request_offset_fetch_request_topics, message->topics_count);
    for (int t = 0; t < message->topics_count; t++) {
        group->topics[t].name = message->topics[t].name;
        group->topics[t].partition_indexes = message->topics[t].partition_indexes;
        group->topics[t].partition_indexes_count = message->topics[t].partition_indexes_count;
    }
    message->groups = group;
    message->groups_count = 1;
}

void handle_offset_fetch(struct request *request) {
    struct offset_fetch_all *all = arena_new(&request->arena, struct offset_fetch_all);
    all->request = request;
    if (!request_decode(request, offset_fetch, &all->message))
        return;
    if (request->header.version < FETCH_BATCH_VERSION)
        take_old(all);
    int count = all->message.groups_count;
    offset_fetch_response_init(&all->response);
    all->response.groups = arena_array(&request->arena, fetch_answer, count);
    all->response.groups_count = count;
    struct fetch_visit *visits = arena_array(&request->arena, struct fetch_visit, count);
    all->pending = count + 1; /* so that it does not end before all were sent */
    for (int i = 0; i < count; i++) {
        struct fetch_visit *visit = &visits[i];
        const fetch_group *group = &all->message.groups[i];
        visit->all = all;
        visit->group = group;
        visit->answer = &all->response.groups[i];
        offset_fetch_response_offset_fetch_response_group_init(visit->answer);
        visit->answer->group_id = group->group_id;
        visit->fetch.group = group->group_id;
        visit->fetch.all = group->topics_count < 0;
        visit->fetch.stable = all->message.require_stable;
        visit->fetch.caller = (struct group_caller){.member_id = group->member_id,
                                                    .generation = group->member_epoch,
                                                    .version = request->header.version,
                                                    .old_offset_fetch = request->header.version < FETCH_MEMBER_VERSION};
        visit->visit.request = request;
        visit->visit.op.decide = decide_fetch;
        visit->visit.answer = fetch_done;
        look_at_topics(visit);
    }
    for (int i = 0; i < count; i++)
        coordinator_visit(&visits[i].visit, COORDINATOR_GROUP, visits[i].fetch.group, count > 1);
    fetched(all);
}

/* ---- OffsetDelete --------------------------------------------------------------------------------------------------------------- */

typedef struct offset_delete_response_offset_delete_response_topic delete_answer;
typedef struct offset_delete_response_offset_delete_response_partition delete_answer_partition;

struct delete_visit {
    struct coordinator_visit visit;
    struct offset_delete_request message;
    struct partition_errors errors; /* of what does not exist, until the coordinator has answered */
    struct offset_delete_topic *topics;
    int count;
    int16_t error;
};

static void decide_delete(struct coordinator_op *op, void *state) {
    struct delete_visit *visit = container_of(op, struct delete_visit, visit.op);
    visit->error = offsets_delete(state, op, visit->message.group_id, visit->topics, visit->count);
}

static void answer_delete(struct delete_visit *visit, int16_t error) {
    struct request *request = visit->visit.request;
    struct offset_delete_response response;
    offset_delete_response_init(&response);
    partition_errors_sort(&visit->errors);
    response.error_code = error;
    response.topics = arena_array(&request->arena, delete_answer, visit->errors.topic_count);
    for (int t = 0; !error && t < visit->errors.topic_count; t++) {
        const struct partition_errors_topic *topic = &visit->errors.topics[t];
        delete_answer *answer = &response.topics[response.topics_count++];
        answer->name = topic->name;
        answer->partitions = arena_array(&request->arena, delete_answer_partition, topic->count);
        answer->partitions_count = topic->count;
        for (int p = 0; p < topic->count; p++)
            answer->partitions[p] = (delete_answer_partition){topic->partitions[p].partition, topic->partitions[p].error};
    }
    request_answer(request, offset_delete, &response);
}

static void delete_done(struct coordinator_visit *base, int16_t error) {
    struct delete_visit *visit = container_of(base, struct delete_visit, visit);
    if (!error)
        error = visit->error;
    for (int t = 0; !error && t < visit->count; t++)
        for (int p = 0; p < visit->topics[t].count; p++)
            partition_errors_add(&visit->errors, visit->topics[t].name, UUID_ZERO, visit->topics[t].partitions[p], visit->topics[t].error);
    answer_delete(visit, error);
}

static void look_at_delete_topic(struct delete_visit *visit, const struct offset_delete_request_offset_delete_request_topic *asked) {
    struct request *request = visit->visit.request;
    const struct image_topic *topic = image_find_topic(request->shard->image, asked->name);
    struct offset_delete_topic *out = &visit->topics[visit->count];
    out->name = asked->name;
    out->partitions = arena_array(&request->arena, int32_t, asked->partitions_count);
    for (int p = 0; p < asked->partitions_count; p++)
        if (image_find_partition(topic, asked->partitions[p].partition_index))
            out->partitions[out->count++] = asked->partitions[p].partition_index;
        else
            partition_errors_add(&visit->errors, asked->name, UUID_ZERO, asked->partitions[p].partition_index, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    visit->count += out->count > 0;
}

void handle_offset_delete(struct request *request) {
    struct delete_visit *visit = arena_new(&request->arena, struct delete_visit);
    if (!request_decode(request, offset_delete, &visit->message))
        return;
    visit->visit.request = request;
    int partitions = 0;
    for (int t = 0; t < visit->message.topics_count; t++)
        partitions += visit->message.topics[t].partitions_count;
    partition_errors_init(&visit->errors, &request->arena, visit->message.topics_count, partitions);
    visit->topics = arena_array(&request->arena, struct offset_delete_topic, visit->message.topics_count + 1);
    for (int t = 0; t < visit->message.topics_count; t++)
        look_at_delete_topic(visit, &visit->message.topics[t]);
    visit->visit.op.decide = decide_delete;
    visit->visit.answer = delete_done;
    if (!visit->message.group_id.size) {
        answer_delete(visit, KAFKA_INVALID_GROUP_ID);
        return;
    }
    coordinator_visit(&visit->visit, COORDINATOR_GROUP, visit->message.group_id, false);
}
