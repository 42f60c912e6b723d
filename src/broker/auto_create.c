#include "broker/auto_create.h"

#include "base/mem.h"
#include "base/trace.h"
#include "protocol/errors.h"

struct auto_create {
    struct controller_call call;
    struct arena arena;
    struct create_topics_request request;
    struct create_topics_response response;
    struct create_topics_request_creatable_topic topic;
};

static void decide(struct controller_call *call, struct decision *decision) {
    struct auto_create *create = container_of(call, struct auto_create, call);
    decide_create_topics(decision, &create->request, 7, &create->response);
}

static void done(struct controller_call *call) {
    struct auto_create *create = container_of(call, struct auto_create, call);
    int16_t code = create->response.topics[0].error_code;
    if (!call->err && code && code != KAFKA_TOPIC_ALREADY_EXISTS)
        trace_warn("broker", "a topic cannot be created automatically", TRACE_SLICE("topic", create->topic.name),
                   TRACE_SLICE("why", create->response.topics[0].error_message));
    arena_deinit(&create->arena);
    mem_free(create);
}

static int32_t explicit_or_default(const struct broker_config *config, const char *key) {
    return broker_config_is_set(config, key) ? (int32_t)broker_config_int(config, key) : -1;
}

static void add_config(struct auto_create *create, const char *key, struct slice value) {
    create->topic.configs[create->topic.configs_count++] = (struct create_topics_request_creatable_topic_config){slice_str(key), value};
}

/* Kafka's own topics have settings of their own. */
static const struct internal_topic {
    const char *name, *partitions, *replication_factor, *segment_bytes, *min_isr;
} internal_topics[] = {
    {"__consumer_offsets", "offsets.topic.num.partitions", "offsets.topic.replication.factor", "offsets.topic.segment.bytes", NULL},
    {"__transaction_state", "transaction.state.log.num.partitions", "transaction.state.log.replication.factor",
     "transaction.state.log.segment.bytes", "transaction.state.log.min.isr"},
    {"__share_group_state", "share.coordinator.state.topic.num.partitions", "share.coordinator.state.topic.replication.factor",
     "share.coordinator.state.topic.segment.bytes", "share.coordinator.state.topic.min.isr"},
};

static const struct internal_topic *find_internal(struct slice name) {
    for (int i = 0; i < COUNT_OF(internal_topics); i++)
        if (slice_eq_str(name, internal_topics[i].name))
            return &internal_topics[i];
    return NULL;
}

static void settings_of(struct auto_create *create, const struct broker_config *config) {
    struct create_topics_request_creatable_topic *topic = &create->topic;
    const struct internal_topic *internal = find_internal(topic->name);
    if (!internal) {
        topic->num_partitions = explicit_or_default(config, "num.partitions");
        topic->replication_factor = (int16_t)explicit_or_default(config, "default.replication.factor");
        return;
    }
    bool share = slice_eq_str(topic->name, "__share_group_state");
    topic->num_partitions = (int32_t)broker_config_int(config, internal->partitions);
    topic->replication_factor = (int16_t)broker_config_int(config, internal->replication_factor);
    topic->configs = arena_array(&create->arena, struct create_topics_request_creatable_topic_config, 6);
    add_config(create, "cleanup.policy", share ? SLICE_LIT("delete") : SLICE_LIT("compact"));
    add_config(create, "segment.bytes", broker_config_get(config, internal->segment_bytes));
    add_config(create, "compression.type", internal->min_isr && !share ? SLICE_LIT("uncompressed") : SLICE_LIT("producer"));
    if (internal->min_isr)
        add_config(create, "min.insync.replicas", broker_config_get(config, internal->min_isr));
    if (slice_eq_str(topic->name, "__transaction_state"))
        add_config(create, "unclean.leader.election.enable", SLICE_LIT("false"));
    if (share)
        add_config(create, "retention.ms", SLICE_LIT("-1"));
}

void auto_create_topic(struct broker_shard *shard, struct slice name) {
    struct auto_create *create = mem_new(struct auto_create);
    create_topics_request_init(&create->request);
    create_topics_response_init(&create->response);
    create_topics_request_creatable_topic_init(&create->topic);
    create->topic.name = arena_slice(&create->arena, name);
    settings_of(create, shard->broker->config);
    create->request.topics = &create->topic;
    create->request.topics_count = 1;
    create->response.topics = arena_array(&create->arena, struct create_topics_response_creatable_topic_result, 1);
    create->response.topics_count = 1;
    create_topics_response_creatable_topic_result_init(&create->response.topics[0]);
    create->call = (struct controller_call){.home = shard->shard, .arena = &create->arena, .decide = decide, .done = done};
    controller_call(shard->broker->controller, &create->call);
}
