/* StreamsGroupHeartbeat, StreamsGroupDescribe, StreamsGroupTopologyDescriptionUpdate: requests of Kafka Streams
 * applications, on their way to the coordinator of their group (src/coordinator/streams.h) and back. */
#include "base/names.h"
#include "broker/coordinators.h"
#include "broker/handlers/handlers.h"
#include "broker/internal_topics.h"
#include "coordinator/streams.h"
#include "coordinator/streams_description.h"
#include "metadata/config_check.h"
#include "protocol/streams_group_describe_request.h"
#include "protocol/streams_group_topology_description_update_response.h"

static bool is_enabled(const struct request *request) {
    struct slice protocols = broker_config_get(request->shard->broker->config, "group.coordinator.rebalance.protocols");
    return image_feature(request->shard->image, "streams.version") >= 1 && config_list_has(protocols, "streams");
}

/* ---- StreamsGroupHeartbeat --------------------------------------------------------------------------------------------- */

struct heartbeat_visit {
    struct coordinator_visit visit;
    struct streams_group_heartbeat_request message;
    struct streams_heartbeat heartbeat;
    int64_t error_ms; /* how long failures to create topics are remembered */
};

static void refuse(struct request *request, int16_t error, const char *message) {
    struct streams_group_heartbeat_response response;
    streams_group_heartbeat_response_init(&response);
    response.error_code = error;
    response.error_message = slice_str(message);
    request_answer(request, streams_group_heartbeat, &response);
}

static void decide_heartbeat(struct coordinator_op *op, void *state) {
    struct heartbeat_visit *visit = container_of(op, struct heartbeat_visit, visit.op);
    struct groups *groups = state;
    streams_heartbeat(groups, op, &visit->heartbeat);
    visit->error_ms = 2 * visit->heartbeat.response.heartbeat_interval_ms;
}

/* Why the missing topics are still missing, three of them. */
static void tell_errors(struct request *request, struct streams_heartbeat *heartbeat) {
    const char *text = "";
    int count = 0;
    for (int i = 0; i < heartbeat->missing_count; i++) {
        struct slice name = heartbeat->missing[i].info->name;
        const char *error = internal_topics_error(request->shard, name);
        if (error && count < 3)
            text = arena_printf(&request->arena, "%s%s%.*s (%s)", text, count ? ", " : "", SLICE_FMT(name), error);
        count += error != NULL;
    }
    for (int i = 0; count && i < heartbeat->response.status_count; i++) {
        struct streams_group_heartbeat_response_status *status = &heartbeat->response.status[i];
        if (status->status_code != STREAMS_MISSING_INTERNAL_TOPICS)
            continue;
        const char *more = count > 3 ? arena_printf(&request->arena, " and %d more", count - 3) : "";
        status->status_detail = slice_str(arena_printf(&request->arena, "%.*s; Creation failed: %s%s.", SLICE_FMT(status->status_detail), text, more));
    }
}

static void heartbeat_done(struct coordinator_visit *base, int16_t error) {
    struct heartbeat_visit *visit = container_of(base, struct heartbeat_visit, visit);
    struct request *request = base->request;
    struct streams_heartbeat *heartbeat = &visit->heartbeat;
    if (error) {
        refuse(request, error, NULL);
        return;
    }
    if (heartbeat->missing_count) {
        internal_topics_create(request->shard, heartbeat->missing, heartbeat->missing_count, visit->error_ms);
        tell_errors(request, heartbeat);
    }
    request_answer(request, streams_group_heartbeat, &heartbeat->response);
}

/* Source topics, sinks, repartition sources, changelogs: each once, in order. */
struct topic_names {
    struct names *seen;
    struct slice *list;
    int count;
};

static void add_name(struct topic_names *names, struct slice name) {
    if (!names_add(names->seen, name))
        names->list[names->count++] = name;
}

static struct topic_names topics_of(struct request *request, const struct streams_group_heartbeat_request_topology *topology) {
    int room = 0;
    for (int i = 0; i < topology->subtopologies_count; i++) {
        const struct streams_group_heartbeat_request_subtopology *s = &topology->subtopologies[i];
        room += s->source_topics_count + s->repartition_sink_topics_count + s->repartition_source_topics_count + s->state_changelog_topics_count;
    }
    struct topic_names names = {names_create(&request->arena), arena_array(&request->arena, struct slice, room), 0};
    for (int i = 0; i < topology->subtopologies_count; i++) {
        const struct streams_group_heartbeat_request_subtopology *s = &topology->subtopologies[i];
        for (int k = 0; k < s->source_topics_count; k++)
            add_name(&names, s->source_topics[k]);
        for (int k = 0; k < s->repartition_sink_topics_count; k++)
            add_name(&names, s->repartition_sink_topics[k]);
        for (int k = 0; k < s->repartition_source_topics_count; k++)
            add_name(&names, s->repartition_source_topics[k].name);
        for (int k = 0; k < s->state_changelog_topics_count; k++)
            add_name(&names, s->state_changelog_topics[k].name);
    }
    return names;
}

/* "a,b" of those that are wrong; NULL: none is. */
static const char *wrong_names(struct request *request, const struct topic_names *names, bool internal) {
    struct buf text = {0};
    const char *list = NULL;
    for (int i = 0; i < names->count; i++)
        if (internal ? topic_is_internal(names->list[i]) : topic_name_error(names->list[i], &request->arena) != NULL)
            buf_printf(&text, "%s%.*s", text.size ? "," : "", SLICE_FMT(names->list[i]));
    if (text.size)
        list = arena_printf(&request->arena, "%s", buf_text(&text));
    buf_deinit(&text);
    return list;
}

/* What is wrong with the topology's topics; NULL: nothing. */
static const char *check_topics(struct request *request, const struct streams_group_heartbeat_request *message) {
    if (!message->topology)
        return NULL;
    struct topic_names names = topics_of(request, message->topology);
    const char *wrong = wrong_names(request, &names, true);
    if (wrong)
        return arena_printf(&request->arena, "Use of Kafka internal topics %s in a Kafka Streams topology is prohibited.", wrong);
    wrong = wrong_names(request, &names, false);
    return wrong ? arena_printf(&request->arena, "Topic names %s are not valid topic names.", wrong) : NULL;
}

void handle_streams_group_heartbeat(struct request *request) {
    struct heartbeat_visit *visit = arena_new(&request->arena, struct heartbeat_visit);
    if (!request_decode(request, streams_group_heartbeat, &visit->message))
        return;
    if (!is_enabled(request)) {
        refuse(request, KAFKA_UNSUPPORTED_VERSION, NULL);
        return;
    }
    const char *wrong = check_topics(request, &visit->message);
    int16_t error = wrong ? KAFKA_STREAMS_INVALID_TOPOLOGY : streams_check_heartbeat(&visit->message, &request->arena, &wrong);
    if (error) {
        refuse(request, error, wrong);
        return;
    }
    visit->heartbeat.request = &visit->message;
    visit->heartbeat.version = request->header.version;
    visit->heartbeat.client_id = request->header.client_id.ptr ? request->header.client_id : SLICE_EMPTY;
    visit->heartbeat.client_host = client_host(request, &request->arena);
    visit->visit.request = request;
    visit->visit.op.decide = decide_heartbeat;
    visit->visit.answer = heartbeat_done;
    coordinator_visit(&visit->visit, COORDINATOR_GROUP, visit->message.group_id, false);
}

/* ---- StreamsGroupDescribe ------------------------------------------------------------------------------------------------- */

struct describe {
    struct coordinator_visit_each each;
    struct streams_group_describe_request message;
    struct streams_group_describe_response response;
};

/* Descriptions are long, and the same group may be asked for again and again: those of more groups are not told. */
enum { DESCRIPTIONS_TOLD_MAX = 256 };

static void look(struct coordinator_visit_each *each, int i, void *state, struct arena *arena) {
    struct describe *describe = container_of(each, struct describe, each);
    struct streams_group_describe_response_described_group *group = &describe->response.groups[i];
    bool asked = describe->message.include_topology_description;
    streams_describe(state, arena, each->ids[i], asked && i < DESCRIPTIONS_TOLD_MAX, group);
    if (asked && i >= DESCRIPTIONS_TOLD_MAX && !group->error_code)
        group->topology_description_status = STREAMS_DESCRIPTION_ERROR;
}

static void told(struct coordinator_visit_each *each, int i, int16_t error) {
    struct describe *describe = container_of(each, struct describe, each);
    struct streams_group_describe_response_described_group *group = &describe->response.groups[i];
    if (error) {
        streams_group_describe_response_described_group_init(group);
        group->group_id = each->ids[i];
        group->error_code = error;
    } else if (!group->error_code && describe->message.include_authorized_operations) {
        group->authorized_operations = GROUP_OPERATIONS_ALL;
    }
}

static void described(struct coordinator_visit_each *each) {
    request_answer(each->request, streams_group_describe, &container_of(each, struct describe, each)->response);
}

void handle_streams_group_describe(struct request *request) {
    struct describe *describe = arena_new(&request->arena, struct describe);
    const struct streams_group_describe_request *message = &describe->message;
    if (!request_decode(request, streams_group_describe, &describe->message))
        return;
    streams_group_describe_response_init(&describe->response);
    describe->response.groups = arena_array(&request->arena, struct streams_group_describe_response_described_group, message->group_ids_count + 1);
    describe->response.groups_count = message->group_ids_count;
    describe->each = (struct coordinator_visit_each){.request = request,
                                                     .ids = message->group_ids,
                                                     .count = message->group_ids_count,
                                                     .refusal = is_enabled(request) ? 0 : KAFKA_UNSUPPORTED_VERSION,
                                                     .empty_refusal = KAFKA_INVALID_GROUP_ID,
                                                     .look = look,
                                                     .told = told,
                                                     .done = described};
    coordinator_visit_each(&describe->each, COORDINATOR_GROUP);
}

/* ---- StreamsGroupTopologyDescriptionUpdate ---------------------------------------------------------------------------------- */

struct description_visit {
    struct coordinator_visit visit;
    struct streams_group_topology_description_update_request message;
    struct streams_description_update update;
};

static void answer_update(struct request *request, int16_t error, const char *message) {
    struct streams_group_topology_description_update_response response;
    streams_group_topology_description_update_response_init(&response);
    response.error_code = error;
    response.error_message = slice_str(message);
    request_answer(request, streams_group_topology_description_update, &response);
}

static void decide_update(struct coordinator_op *op, void *state) {
    struct description_visit *visit = container_of(op, struct description_visit, visit.op);
    streams_update_description(state, op, &visit->update);
}

static void update_done(struct coordinator_visit *base, int16_t error) {
    struct description_visit *visit = container_of(base, struct description_visit, visit);
    answer_update(base->request, error ? error : visit->update.error, error ? NULL : visit->update.message);
}

void handle_streams_group_topology_description_update(struct request *request) {
    struct description_visit *visit = arena_new(&request->arena, struct description_visit);
    if (!request_decode(request, streams_group_topology_description_update, &visit->message))
        return;
    if (!is_enabled(request)) {
        answer_update(request, KAFKA_UNSUPPORTED_VERSION, "The version of API is not supported.");
        return;
    }
    if (!visit->message.member_id.size || !visit->message.group_id.size) {
        answer_update(request, KAFKA_INVALID_REQUEST, visit->message.member_id.size ? "GroupId can't be empty." : "MemberId can't be empty.");
        return;
    }
    visit->update.request = &visit->message;
    visit->visit.request = request;
    visit->visit.op.decide = decide_update;
    visit->visit.answer = update_done;
    coordinator_visit(&visit->visit, COORDINATOR_GROUP, visit->message.group_id, false);
}
