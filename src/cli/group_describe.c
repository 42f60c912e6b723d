/* myelin group describe: members with what they have, committed offsets and lag, in one value. */
#include "cli/group.h"

#include "base/mem.h"
#include "protocol/consumer_group_describe_request.h"
#include "protocol/consumer_group_describe_response.h"
#include "protocol/consumer_protocol_assignment.h"
#include "protocol/describe_groups_request.h"
#include "protocol/describe_groups_response.h"
#include "protocol/errors.h"
#include "protocol/share_group_describe_request.h"
#include "protocol/share_group_describe_response.h"
#include "protocol/streams_group_describe_request.h"
#include "protocol/streams_group_describe_response.h"

static int refused(struct client *client, const char *name, int16_t code, struct slice message) {
    return client_refused(arena_printf(&client->arena, "describe group '%s'", name), code, message);
}

/* "topic-0", as partitions are shown. */
static void add_partitions(json_t *list, struct slice topic, const int32_t *partitions, int count) {
    for (int i = 0; i < count; i++)
        json_array_append_new(list, json_sprintf("%.*s-%d", SLICE_FMT(topic), partitions[i]));
}

/* Host as clients are remembered: "/127.0.0.1". */
static json_t *member_of(struct slice id, struct slice client_id, struct slice host, json_t *partitions) {
    struct slice address = host.size && host.ptr[0] == '/' ? slice_of(host.ptr + 1, host.size - 1) : host;
    return json_pack("{s:o, s:o, s:o, s:o}", "member", json_slice(id), "client_id", json_slice(client_id), "host", json_slice(address), "partitions", partitions);
}

static void set(json_t *object, const char *key, json_t *value) {
    json_object_set_new(object, key, value);
}

/* ---- each kind its request ---------------------------------------------------------------------------------------------------- */

/* A consumer's assignment; what is another program's stays unread. */
static json_t *classic_partitions(struct client *client, const struct describe_groups_response_described_group *group, struct slice bytes) {
    struct consumer_protocol_assignment assignment;
    json_t *list = json_array();
    struct decoder d = decoder_of(bytes, &client->arena);
    if (!slice_eq_str(group->protocol_type, "consumer") || !bytes.size)
        return list;
    int version = decode_int16(&d);
    if (d.err || version < 0 || consumer_protocol_assignment_decode(&d, version > 3 ? 3 : version, &assignment))
        return list;
    for (int i = 0; i < assignment.assigned_partitions_count; i++)
        add_partitions(list, assignment.assigned_partitions[i].topic, assignment.assigned_partitions[i].partitions, assignment.assigned_partitions[i].partitions_count);
    return list;
}

static int describe_classic(struct client *client, const struct found_group *found, json_t *ret) {
    struct describe_groups_request request;
    struct describe_groups_response response;
    struct slice id = slice_str(found->name);
    describe_groups_request_init(&request);
    request.groups = &id;
    request.groups_count = 1;
    int status = client_call(client, found->coordinator, API_DESCRIBE_GROUPS, &request, &response);
    if (status)
        return status;
    const struct describe_groups_response_described_group *group = response.groups;
    if (response.groups_count != 1 || group->error_code)
        return refused(client, found->name, response.groups_count == 1 ? group->error_code : KAFKA_UNKNOWN_SERVER_ERROR, SLICE_NULL);
    set(ret, "state", json_slice(group->group_state));
    set(ret, "assignor", group->protocol_data.size ? json_slice(group->protocol_data) : json_null());
    for (int i = 0; i < group->members_count; i++) {
        const struct describe_groups_response_described_group_member *member = &group->members[i];
        json_t *row = member_of(member->member_id, member->client_id, member->client_host, classic_partitions(client, group, member->member_assignment));
        set(row, "instance_id", json_slice(member->group_instance_id));
        json_array_append_new(json_object_get(ret, "members"), row);
    }
    return CLI_OK;
}

/* Consumer and share groups are described alike. */
#define SET_GROUP(ret, group)                                                              \
    do {                                                                                   \
        set(ret, "state", json_slice((group)->group_state));                               \
        set(ret, "epoch", json_integer((group)->group_epoch));                             \
        set(ret, "assignment_epoch", json_integer((group)->assignment_epoch));             \
        set(ret, "assignor", json_slice((group)->assignor_name));                          \
    } while (0)
#define ADD_TOPICS(list, assignment)                                                                                                          \
    for (int t = 0; t < (assignment).topic_partitions_count; t++)                                                                             \
    add_partitions(list, (assignment).topic_partitions[t].topic_name, (assignment).topic_partitions[t].partitions, (assignment).topic_partitions[t].partitions_count)

static int describe_consumer(struct client *client, const struct found_group *found, json_t *ret) {
    struct consumer_group_describe_request request;
    struct consumer_group_describe_response response;
    struct slice id = slice_str(found->name);
    consumer_group_describe_request_init(&request);
    request.group_ids = &id;
    request.group_ids_count = 1;
    int status = client_call(client, found->coordinator, API_CONSUMER_GROUP_DESCRIBE, &request, &response);
    if (status)
        return status;
    const struct consumer_group_describe_response_described_group *group = response.groups;
    if (response.groups_count != 1 || group->error_code)
        return refused(client, found->name, response.groups_count == 1 ? group->error_code : KAFKA_UNKNOWN_SERVER_ERROR,
                       response.groups_count == 1 ? group->error_message : SLICE_NULL);
    SET_GROUP(ret, group);
    for (int i = 0; i < group->members_count; i++) {
        const struct consumer_group_describe_response_member *member = &group->members[i];
        json_t *partitions = json_array(), *row = member_of(member->member_id, member->client_id, member->client_host, partitions);
        ADD_TOPICS(partitions, member->assignment);
        set(row, "instance_id", json_slice(member->instance_id));
        set(row, "epoch", json_integer(member->member_epoch));
        json_array_append_new(json_object_get(ret, "members"), row);
    }
    return CLI_OK;
}

static int describe_share(struct client *client, const struct found_group *found, json_t *ret) {
    struct share_group_describe_request request;
    struct share_group_describe_response response;
    struct slice id = slice_str(found->name);
    share_group_describe_request_init(&request);
    request.group_ids = &id;
    request.group_ids_count = 1;
    int status = client_call(client, found->coordinator, API_SHARE_GROUP_DESCRIBE, &request, &response);
    if (status)
        return status;
    const struct share_group_describe_response_described_group *group = response.groups;
    if (response.groups_count != 1 || group->error_code)
        return refused(client, found->name, response.groups_count == 1 ? group->error_code : KAFKA_UNKNOWN_SERVER_ERROR,
                       response.groups_count == 1 ? group->error_message : SLICE_NULL);
    SET_GROUP(ret, group);
    for (int i = 0; i < group->members_count; i++) {
        const struct share_group_describe_response_member *member = &group->members[i];
        json_t *partitions = json_array(), *row = member_of(member->member_id, member->client_id, member->client_host, partitions);
        ADD_TOPICS(partitions, member->assignment);
        set(row, "epoch", json_integer(member->member_epoch));
        json_array_append_new(json_object_get(ret, "members"), row);
    }
    return CLI_OK;
}

/* Tasks are "subtopology_partition", as Kafka Streams shows them. */
static json_t *tasks_of(const struct streams_group_describe_response_task_ids *tasks, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        for (int k = 0; k < tasks[i].partitions_count; k++)
            json_array_append_new(list, json_sprintf("%.*s_%d", SLICE_FMT(tasks[i].subtopology_id), tasks[i].partitions[k]));
    return list;
}

static json_t *texts(const struct slice *list, int count) {
    json_t *json = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(json, json_slice(list[i]));
    return json;
}

static void add_node(json_t *nodes, json_t *subtopology, const struct streams_group_describe_response_topology_description_node *node) {
    static const char *const types[] = {"source", "processor", "sink"};
    json_t *topics = texts(node->source_topics, node->source_topics_count);
    if (node->sink_topic.ptr)
        json_array_append_new(topics, json_slice(node->sink_topic));
    json_array_append_new(nodes, json_pack("{s:o, s:o, s:s, s:o, s:o, s:o}", "subtopology", subtopology, "node", json_slice(node->name), "type",
                                           node->node_type >= 1 && node->node_type <= COUNT_OF(types) ? types[node->node_type - 1] : "unknown", "topics", topics,
                                           "stores", texts(node->stores, node->stores_count), "successors", texts(node->successors, node->successors_count)));
}

/* What the application tells of its topology: each node of each subtopology, then those of global stores, which have none. */
static json_t *nodes_of(const struct streams_group_describe_response_topology_description *description) {
    json_t *nodes = json_array();
    for (int i = 0; i < description->subtopologies_count; i++)
        for (int k = 0; k < description->subtopologies[i].nodes_count; k++)
            add_node(nodes, json_slice(description->subtopologies[i].subtopology_id), &description->subtopologies[i].nodes[k]);
    for (int i = 0; i < description->global_stores_count; i++) {
        add_node(nodes, json_null(), &description->global_stores[i].source);
        add_node(nodes, json_null(), &description->global_stores[i].processor);
    }
    return nodes;
}

static int describe_streams(struct client *client, const struct found_group *found, json_t *ret) {
    struct streams_group_describe_request request;
    struct streams_group_describe_response response;
    struct slice id = slice_str(found->name);
    streams_group_describe_request_init(&request);
    request.group_ids = &id;
    request.group_ids_count = 1;
    request.include_topology_description = wire_version(&client->nodes->wire, API_STREAMS_GROUP_DESCRIBE) >= 1;
    int status = client_call(client, found->coordinator, API_STREAMS_GROUP_DESCRIBE, &request, &response);
    if (status)
        return status;
    const struct streams_group_describe_response_described_group *group = response.groups;
    if (response.groups_count != 1 || group->error_code)
        return refused(client, found->name, response.groups_count == 1 ? group->error_code : KAFKA_UNKNOWN_SERVER_ERROR,
                       response.groups_count == 1 ? group->error_message : SLICE_NULL);
    SET_GROUP(ret, group);
    set(ret, "topology_epoch", group->topology ? json_integer(group->topology->epoch) : json_null());
    set(ret, "topology", group->topology_description ? nodes_of(group->topology_description) : json_null());
    for (int i = 0; i < group->members_count; i++) {
        const struct streams_group_describe_response_member *member = &group->members[i];
        const struct streams_group_describe_response_assignment *tasks = &member->assignment;
        json_t *row = member_of(member->member_id, member->client_id, member->client_host, json_array());
        json_object_del(row, "partitions");
        set(row, "instance_id", json_slice(member->instance_id));
        set(row, "epoch", json_integer(member->member_epoch));
        set(row, "process_id", json_slice(member->process_id));
        set(row, "active", tasks_of(tasks->active_tasks, tasks->active_tasks_count));
        set(row, "standby", tasks_of(tasks->standby_tasks, tasks->standby_tasks_count));
        set(row, "warmup", tasks_of(tasks->warmup_tasks, tasks->warmup_tasks_count));
        json_array_append_new(json_object_get(ret, "members"), row);
    }
    return CLI_OK;
}

/* ---- offsets --------------------------------------------------------------------------------------------------------------------- */

static json_t *known(int64_t number) {
    return number < 0 ? json_null() : json_integer(number);
}

/* The member that has the partition; null: none. */
static json_t *owner_of(const json_t *members, const char *topic, int partition) {
    char name[300];
    snprintf(name, sizeof name, "%s-%d", topic, partition);
    size_t i, k;
    json_t *member, *value;
    json_array_foreach((json_t *)members, i, member)
        json_array_foreach(json_object_get(member, "partitions"), k, value)
            if (strcmp(json_string_value(value), name) == 0)
                return json_incref(json_object_get(member, "member"));
    return json_null();
}

static int64_t behind(int64_t end, int64_t offset) {
    return end < 0 || offset < 0 ? -1 : end > offset ? end - offset : 0;
}

/* How old the first record is that is not consumed, when some are. */
static json_t *age(const struct group_offset *at, int64_t lag, int64_t now_ms) {
    if (lag <= 0)
        return lag ? json_null() : json_real(0);
    return at->next_ms < 0 ? json_null() : json_real(now_ms > at->next_ms ? (double)(now_ms - at->next_ms) / 1000 : 0);
}

static int describe_offsets(struct client *client, const struct found_group *found, json_t *ret) {
    struct group_offset *offsets;
    int count, status = group_offsets(client, found, true, &offsets, &count);
    if (!status)
        status = group_ages(client, offsets, count);
    int64_t now_ms = cli_now_ms();
    for (int i = 0; !status && i < count; i++) {
        const struct group_offset *at = &offsets[i];
        int64_t lag = at->lag >= 0 ? at->lag : behind(at->end, at->offset), stable_lag = behind(at->stable_end, at->offset);
        json_t *row = json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "topic", at->topic, "partition", at->partition, "offset",
                                known(at->offset), "end_offset", known(at->end), "lag", known(lag), "lag_seconds", age(at, lag, now_ms), "stable_lag",
                                known(stable_lag), "stable_lag_seconds", age(at, stable_lag, now_ms), "leader_epoch", known(at->leader_epoch), "metadata",
                                at->metadata, "member", owner_of(json_object_get(ret, "members"), at->topic, at->partition));
        json_array_append_new(json_object_get(ret, "offsets"), row);
    }
    return status;
}

/* ---- all together ------------------------------------------------------------------------------------------------------------------ */

static int describe(struct client *client, const char *name, bool members, bool offsets, json_t *rows) {
    static const struct {
        const char *type;
        int (*run)(struct client *client, const struct found_group *found, json_t *ret);
    } kinds[] = {{"consumer", describe_consumer}, {"share", describe_share}, {"streams", describe_streams}};
    struct found_group found;
    int status = group_must_find(client, name, &found);
    if (status)
        return status;
    json_t *group = json_pack("{s:s, s:s, s:s, s:s, s:i, s:[], s:[]}", "group", name, "type", found.type, "state", found.state, "protocol_type",
                              found.protocol_type, "coordinator", found.coordinator, "members", "offsets");
    int (*run)(struct client *, const struct found_group *, json_t *) = describe_classic;
    for (int i = 0; i < COUNT_OF(kinds); i++)
        if (group_is(&found, kinds[i].type))
            run = kinds[i].run;
    status = run(client, &found, group);
    if (!status && offsets)
        status = describe_offsets(client, &found, group);
    if (!offsets)
        json_object_del(group, "offsets");
    if (!members)
        json_object_del(group, "members");
    if (status)
        json_decref(group);
    else
        json_array_append_new(rows, group);
    return status;
}

static void show(const json_t *rows, bool topology) {
    static const struct output_column fields[] = {
        {"group", "group", OUTPUT_LEFT}, {"type", "type", OUTPUT_LEFT}, {"state", "state", OUTPUT_LEFT}, {"assignor", "assignor", OUTPUT_LEFT},
        {"epoch", "epoch", OUTPUT_LEFT}, {"assignment_epoch", "assigned", OUTPUT_LEFT}, {"coordinator", "coordinator", OUTPUT_LEFT}};
    static const struct output_column member_columns[] = {
        {"member", "MEMBER", OUTPUT_LEFT}, {"instance_id", "INSTANCE", OUTPUT_LEFT}, {"client_id", "CLIENT", OUTPUT_LEFT}, {"host", "HOST", OUTPUT_LEFT},
        {"epoch", "EPOCH", OUTPUT_RIGHT}, {"partitions", "PARTITIONS", OUTPUT_LEFT}};
    static const struct output_column task_columns[] = {
        {"member", "MEMBER", OUTPUT_LEFT}, {"process_id", "PROCESS", OUTPUT_LEFT}, {"client_id", "CLIENT", OUTPUT_LEFT}, {"host", "HOST", OUTPUT_LEFT},
        {"epoch", "EPOCH", OUTPUT_RIGHT}, {"active", "ACTIVE", OUTPUT_LEFT}, {"standby", "STANDBY", OUTPUT_LEFT}, {"warmup", "WARMUP", OUTPUT_LEFT}};
    static const struct output_column offset_columns[] = {
        {"topic", "TOPIC", OUTPUT_LEFT}, {"partition", "PARTITION", OUTPUT_RIGHT}, {"offset", "OFFSET", OUTPUT_RIGHT}, {"end_offset", "END", OUTPUT_RIGHT},
        {"lag", "LAG", OUTPUT_RIGHT}, {"lag_seconds", "SECONDS", OUTPUT_RIGHT}, {"stable_lag", "STABLE LAG", OUTPUT_RIGHT},
        {"stable_lag_seconds", "STABLE SECONDS", OUTPUT_RIGHT}, {"member", "MEMBER", OUTPUT_LEFT}};
    static const struct output_column node_columns[] = {
        {"subtopology", "SUBTOPOLOGY", OUTPUT_LEFT}, {"node", "NODE", OUTPUT_LEFT}, {"type", "TYPE", OUTPUT_LEFT}, {"topics", "TOPICS", OUTPUT_LEFT},
        {"stores", "STORES", OUTPUT_LEFT}, {"successors", "SUCCESSORS", OUTPUT_LEFT}};
    size_t i;
    json_t *group;
    json_array_foreach((json_t *)rows, i, group) {
        bool streams = strcasecmp(json_string_value(json_object_get(group, "type")), "streams") == 0;
        if (i)
            putchar('\n');
        output_fields(stdout, group, fields, COUNT_OF(fields));
        if (json_array_size(json_object_get(group, "members")))
            output_rows(stdout, json_object_get(group, "members"), streams ? task_columns : member_columns,
                        streams ? COUNT_OF(task_columns) : COUNT_OF(member_columns));
        if (json_array_size(json_object_get(group, "offsets")))
            output_rows(stdout, json_object_get(group, "offsets"), offset_columns, COUNT_OF(offset_columns));
        if (topology && json_array_size(json_object_get(group, "topology")))
            output_rows(stdout, json_object_get(group, "topology"), node_columns, COUNT_OF(node_columns));
    }
}

int group_describe_run(struct options *options) {
    struct client client;
    bool members = options_has(options, "members") || !options_has(options, "offsets"), offsets = options_has(options, "offsets") || !options_has(options, "members");
    json_t *rows = json_array();
    int status = client_open(&client, options), worst = status;
    for (int i = 0; i < options->argument_count && !status; i++)
        if (describe(&client, options->arguments[i], members, offsets, rows))
            worst = CLI_FAILED;
    if (!status && options_json(options))
        output_json(stdout, rows);
    else if (!status)
        show(rows, options_has(options, "topology"));
    json_decref(rows);
    client_close(&client);
    return worst;
}
