/* CreateTopics, DeleteTopics, CreatePartitions: checked here as far as one broker can, then decided by the controller. */
#include "base/names.h"
#include "broker/handlers/handlers.h"

/* ---- CreateTopics ------------------------------------------------------------------------------------------------------------ */

typedef struct create_topics_request_creatable_topic creatable;
typedef struct create_topics_response_creatable_topic_result created;

struct create_topics {
    struct controller_call call;
    struct request *request;
    struct create_topics_request message; /* without the duplicates */
    struct create_topics_response response;
    int refused; /* entries behind those that the controller decides */
    struct slice *names; /* of all topics of the request */
    int count;
};

static void create_decide(struct controller_call *call, struct decision *decision) {
    struct create_topics *create = container_of(call, struct create_topics, call);
    decide_create_topics(decision, &create->message, create->request->header.version, &create->response);
}

static void create_done(struct controller_call *call) {
    struct create_topics *create = container_of(call, struct create_topics, call);
    for (int i = 0; i < create->message.topics_count && call->err; i++) {
        create_topics_response_creatable_topic_result_init(&create->response.topics[i]);
        create->response.topics[i].name = create->message.topics[i].name;
        create->response.topics[i].error_message = SLICE_NULL;
        create->response.topics[i].configs_count = -1;
        create->response.topics[i].error_code = controller_call_code(call);
    }
    create->response.topics_count = create->message.topics_count + create->refused;
    request_answer(create->request, create_topics, &create->response);
}

static void init_created(created *result, struct slice name, int16_t code, const char *text) {
    create_topics_response_creatable_topic_result_init(result);
    result->name = name;
    result->error_code = code;
    result->error_message = slice_str(text);
    result->configs_count = 0;
}

/* Keeps the topics that are named once; the others are answered behind them, once a name. */
static void sort_out(struct create_topics *create) {
    struct create_topics_request *message = &create->message;
    int count = message->topics_count, kept = 0;
    created *results = arena_array(&create->request->arena, created, count + 1);
    struct slice *refused = arena_array(&create->request->arena, struct slice, count + 1);
    const char **texts = arena_array(&create->request->arena, const char *, count + 1);
    struct slice *names = arena_array(&create->request->arena, struct slice, count + 1);
    struct names *wanted = names_create(&create->request->arena), *seen = names_create(&create->request->arena);
    for (int i = 0; i < count; i++) {
        names[i] = message->topics[i].name; /* the topics move to the front below */
        names_add(wanted, names[i]);
    }
    create->names = names;
    create->count = count;
    for (int i = 0; i < count; i++) {
        struct slice name = names[i];
        if (names_add(seen, name))
            continue;
        const char *text = names_count(wanted, name) > 1              ? "Duplicate topic name."
                           : slice_eq_str(name, "__cluster_metadata") ? "Creation of internal topic __cluster_metadata is prohibited."
                                                                      : NULL;
        if (text) {
            texts[create->refused] = text;
            refused[create->refused++] = name;
        } else {
            message->topics[kept] = message->topics[i];
            init_created(&results[kept++], name, 0, NULL);
        }
    }
    for (int i = 0; i < create->refused; i++)
        init_created(&results[kept + i], refused[i], KAFKA_INVALID_REQUEST, texts[i]);
    message->topics_count = kept;
    create->response.topics = results;
}

void handle_create_topics(struct request *request) {
    struct create_topics *create = arena_zalloc(&request->arena, sizeof *create);
    create->request = request;
    if (!request_decode(request, create_topics, &create->message))
        return;
    create_topics_response_init(&create->response);
    sort_out(create);
    if (!create->message.topics_count || create->message.timeout_ms <= 0) {
        create->response.topics_count = create->message.topics_count ? create->count : create->refused;
        for (int i = 0; i < create->count && create->message.topics_count; i++) /* too late for each of them */
            init_created(&create->response.topics[i], create->names[i], KAFKA_REQUEST_TIMED_OUT, NULL);
        request_answer(request, create_topics, &create->response);
        return;
    }
    create->call = (struct controller_call){.home = request->shard->shard, .arena = &request->arena, .decide = create_decide, .done = create_done};
    controller_call(request->shard->broker->controller, &create->call);
}

/* ---- DeleteTopics ---------------------------------------------------------------------------------------------------------------- */

typedef struct delete_topics_response_deletable_topic_result deleted;

struct delete_topics {
    struct controller_call call;
    struct request *request;
    struct delete_topics_request message;
    struct delete_topics_response response;
    struct uuid *ids; /* beside the responses */
};

static void delete_decide(struct controller_call *call, struct decision *decision) {
    struct delete_topics *delete = container_of(call, struct delete_topics, call);
    decide_delete_topics(decision, &delete->response, delete->ids);
}

static void delete_done(struct controller_call *call) {
    struct delete_topics *delete = container_of(call, struct delete_topics, call);
    for (int i = 0; i < delete->response.responses_count && call->err; i++)
        if (!delete->response.responses[i].error_code)
            delete->response.responses[i].error_code = controller_call_code(call);
    request_answer(delete->request, delete_topics, &delete->response);
}

static void add_deleted(struct delete_topics *delete, struct slice name, struct uuid id, int16_t code, const char *text) {
    deleted *result = &delete->response.responses[delete->response.responses_count];
    delete_topics_response_deletable_topic_result_init(result);
    result->name = name;
    result->topic_id = id;
    result->error_code = code;
    result->error_message = slice_str(text);
    delete->ids[delete->response.responses_count++] = id;
}

/* An entry that is there already: both become one that is refused. */
static bool refuse_repeated(struct delete_topics *delete, struct slice name, struct uuid id) {
    for (int i = 0; i < delete->response.responses_count; i++) {
        deleted *result = &delete->response.responses[i];
        bool same = name.ptr ? slice_eq(result->name, name) : !result->name.ptr && uuid_eq(delete->ids[i], id);
        if (same && (!result->error_code || result->error_code == KAFKA_INVALID_REQUEST)) {
            result->error_code = KAFKA_INVALID_REQUEST;
            result->error_message = name.ptr ? SLICE_LIT("Duplicate topic name.") : SLICE_LIT("Duplicate topic id.");
            return true;
        }
    }
    return false;
}

static void list_deleted(struct delete_topics *delete) {
    const struct delete_topics_request *message = &delete->message;
    bool named = delete->request->header.version <= 5;
    int count = named ? message->topic_names_count : message->topics_count;
    delete->response.responses = arena_array(&delete->request->arena, deleted, count + 1);
    delete->ids = arena_array(&delete->request->arena, struct uuid, count + 1);
    for (int i = 0; i < count; i++) {
        struct slice name = named ? message->topic_names[i] : message->topics[i].name;
        struct uuid id = named ? UUID_ZERO : message->topics[i].topic_id;
        if (!name.ptr && uuid_is_zero(id))
            add_deleted(delete, name, id, KAFKA_INVALID_REQUEST, "Neither topic name nor id were specified.");
        else if (name.ptr && !uuid_is_zero(id))
            add_deleted(delete, name, id, KAFKA_INVALID_REQUEST, "You may not specify both topic name and topic id.");
        else if (!refuse_repeated(delete, name, id))
            add_deleted(delete, name, id, 0, NULL);
    }
}

void handle_delete_topics(struct request *request) {
    struct delete_topics *delete = arena_zalloc(&request->arena, sizeof *delete);
    delete->request = request;
    if (!request_decode(request, delete_topics, &delete->message))
        return;
    delete_topics_response_init(&delete->response);
    list_deleted(delete);
    int16_t all = !broker_config_bool(request->shard->broker->config, "delete.topic.enable")
                      ? (request->header.version < 3 ? KAFKA_INVALID_REQUEST : KAFKA_TOPIC_DELETION_DISABLED)
                  : delete->message.timeout_ms <= 0 ? KAFKA_REQUEST_TIMED_OUT
                                                    : 0;
    if (all || !delete->response.responses_count) {
        for (int i = 0; i < delete->response.responses_count; i++) {
            delete->response.responses[i].error_code = all;
            delete->response.responses[i].error_message = SLICE_NULL;
        }
        request_answer(request, delete_topics, &delete->response);
        return;
    }
    delete->call = (struct controller_call){.home = request->shard->shard, .arena = &request->arena, .decide = delete_decide, .done = delete_done};
    controller_call(request->shard->broker->controller, &delete->call);
}

/* ---- CreatePartitions ------------------------------------------------------------------------------------------------------------- */

typedef struct create_partitions_response_create_partitions_topic_result grown;

struct create_partitions {
    struct controller_call call;
    struct request *request;
    struct create_partitions_request message; /* without the duplicates */
    struct create_partitions_response response;
    int refused;
};

static void grow_decide(struct controller_call *call, struct decision *decision) {
    struct create_partitions *grow = container_of(call, struct create_partitions, call);
    decide_create_partitions(decision, &grow->message, &grow->response);
}

static void grow_done(struct controller_call *call) {
    struct create_partitions *grow = container_of(call, struct create_partitions, call);
    for (int i = 0; i < grow->message.topics_count && call->err; i++)
        grow->response.results[i].error_code = controller_call_code(call);
    grow->response.results_count = grow->message.topics_count + grow->refused;
    request_answer(grow->request, create_partitions, &grow->response);
}

static void init_grown(grown *result, struct slice name, int16_t code, const char *text) {
    create_partitions_response_create_partitions_topic_result_init(result);
    result->name = name;
    result->error_code = code;
    result->error_message = slice_str(text);
}

void handle_create_partitions(struct request *request) {
    struct create_partitions *grow = arena_zalloc(&request->arena, sizeof *grow);
    grow->request = request;
    if (!request_decode(request, create_partitions, &grow->message))
        return;
    struct create_partitions_request *message = &grow->message;
    create_partitions_response_init(&grow->response);
    int count = message->topics_count, kept = 0;
    grow->response.results = arena_array(&request->arena, grown, count + 1);
    struct slice *twice = arena_array(&request->arena, struct slice, count + 1);
    struct names *wanted = names_create(&request->arena), *seen = names_create(&request->arena);
    for (int i = 0; i < count; i++)
        names_add(wanted, message->topics[i].name);
    for (int i = 0; i < count; i++) {
        struct slice name = message->topics[i].name;
        bool before = names_add(seen, name), again = names_count(wanted, name) > 1;
        if (again && !before)
            twice[grow->refused++] = name;
        if (again)
            continue;
        message->topics[kept] = message->topics[i];
        init_grown(&grow->response.results[kept], message->topics[kept].name, 0, NULL);
        kept++;
    }
    message->topics_count = kept;
    for (int i = 0; i < grow->refused; i++)
        init_grown(&grow->response.results[kept + i], twice[i], KAFKA_INVALID_REQUEST, "Duplicate topic name.");
    if (!kept || message->timeout_ms <= 0) {
        for (int i = 0; i < kept; i++)
            grow->response.results[i].error_code = KAFKA_REQUEST_TIMED_OUT;
        grow->response.results_count = kept + grow->refused;
        request_answer(request, create_partitions, &grow->response);
        return;
    }
    grow->call = (struct controller_call){.home = request->shard->shard, .arena = &request->arena, .decide = grow_decide, .done = grow_done};
    controller_call(request->shard->broker->controller, &grow->call);
}
