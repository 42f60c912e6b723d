/* myelin group: the table of its subcommands; list and delete. */
#include "cli/group.h"

#include <fnmatch.h>
#include <stdlib.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "protocol/delete_groups_request.h"
#include "protocol/delete_groups_response.h"
#include "protocol/errors.h"
#include "protocol/list_groups_request.h"
#include "protocol/list_groups_response.h"

static const char *const types[] = {"classic", "consumer", "share", "streams", NULL};
static const struct option_def list_options[] = {
    {"type", 't', OPTION_TEXT, "TYPE", "only groups of this kind: classic, consumer, share or streams", types, COMPLETE_NOTHING},
    {"state", 's', OPTION_TEXT, "STATE", "only groups in this state, e.g. Stable or Empty", NULL, COMPLETE_NOTHING},
    {"pattern", 0, OPTION_TEXT, "GLOB", "only names that match, e.g. 'orders-*'", NULL, COMPLETE_NOTHING},
    {"quiet", 'q', OPTION_FLAG, NULL, "only the names, one a line", NULL, COMPLETE_NOTHING},
};
static const struct option_def describe_options[] = {
    {"members", 'm', OPTION_FLAG, NULL, "only the members and what they have", NULL, COMPLETE_NOTHING},
    {"offsets", 0, OPTION_FLAG, NULL, "only committed offsets and lag", NULL, COMPLETE_NOTHING},
    {"topology", 0, OPTION_FLAG, NULL, "also what an application of Kafka Streams tells of its topology", NULL, COMPLETE_NOTHING},
};
static const struct option_def reset_options[] = {
    {"topic", 0, OPTION_LIST, "TOPIC[:P,P-P]", "a topic, or some of its partitions", NULL, COMPLETE_TOPIC},
    {"all-topics", 0, OPTION_FLAG, NULL, "all topics that the group has offsets of", NULL, COMPLETE_NOTHING},
    {"to-earliest", 0, OPTION_FLAG, NULL, "to the first record there is", NULL, COMPLETE_NOTHING},
    {"to-latest", 0, OPTION_FLAG, NULL, "behind the last record", NULL, COMPLETE_NOTHING},
    {"to-current", 0, OPTION_FLAG, NULL, "to where it is; without an offset, to the end", NULL, COMPLETE_NOTHING},
    {"to-offset", 0, OPTION_INT, "N", "to this offset", NULL, COMPLETE_NOTHING},
    {"to-datetime", 0, OPTION_TEXT, "TIME", "to the first record of that time: 2026-11-24T21:00:00Z", NULL, COMPLETE_NOTHING},
    {"by-duration", 0, OPTION_TEXT, "DURATION", "to the first record so long ago: P1DT2H, or 90s, 15m, 2h, 7d", NULL, COMPLETE_NOTHING},
    {"shift-by", 0, OPTION_INT, "N", "so many records further; back when negative", NULL, COMPLETE_NOTHING},
    {"execute", 0, OPTION_FLAG, NULL, "do it; without this it is only shown", NULL, COMPLETE_NOTHING},
    {"dry-run", 0, OPTION_FLAG, NULL, "only show it (the default)", NULL, COMPLETE_NOTHING},
};
static const struct option_def delete_options[] = {
    {"if-exists", 0, OPTION_FLAG, NULL, "a group that is not there is no failure", NULL, COMPLETE_NOTHING},
    {"yes", 'y', OPTION_FLAG, NULL, "do not ask on a terminal", NULL, COMPLETE_NOTHING},
};

static const struct command subcommands[] = {
    {.name = "list", .summary = "list groups of all kinds", OPTIONS(list_options), .connects = true, .run = group_list_run},
    {.name = "describe", .summary = "show members, assignments, committed offsets and lag", .arguments = "GROUP...", .argument_min = 1,
     .argument_max = -1, .complete = COMPLETE_GROUP, OPTIONS(describe_options), .connects = true, .run = group_describe_run},
    {.name = "reset", .summary = "set a group's committed offsets; shown first, done with --execute", .arguments = "GROUP", .argument_min = 1,
     .argument_max = 1, .complete = COMPLETE_GROUP, OPTIONS(reset_options), .connects = true, .run = group_reset_run,
     .details = "myelin group reset billing --topic orders --to-earliest --execute\n"
                "myelin group reset billing --topic orders:0,1 --to-datetime 2026-11-24T21:00:00Z\n"
                "myelin group reset billing --all-topics --shift-by -100\n\n"
                "The group must have no members. Offsets beyond the ends of a partition are moved to the nearer end.\n"},
    {.name = "delete", .summary = "delete groups without members, with their offsets", .arguments = "GROUP...", .argument_min = 1,
     .argument_max = -1, .complete = COMPLETE_GROUP, OPTIONS(delete_options), .connects = true, .run = group_delete_run},
};
const struct command command_group = {.name = "group", .summary = "list, describe, reset and delete groups", SUBCOMMANDS(subcommands)};

static const char *text_of(struct client *client, struct slice text) {
    return arena_printf(&client->arena, "%.*s", SLICE_FMT(text));
}

bool group_is(const struct found_group *group, const char *type) {
    return strcasecmp(group->type, type) == 0;
}

/* ---- finding ---------------------------------------------------------------------------------------------------------------- */

static int refused(struct client *client, const char *name, int16_t code, struct slice message) {
    return client_refused(arena_printf(&client->arena, "group '%s'", name), code, message);
}

static int find_coordinator(struct client *client, const char *name, int *ret_node) {
    return client_find_coordinator(client, CLIENT_KEY_GROUP, name, arena_printf(&client->arena, "group '%s'", name), ret_node);
}

static int list_of(struct client *client, int node_id, struct list_groups_response *ret_list) {
    int64_t deadline_us = client_deadline_us(client);
    struct list_groups_request request;
    list_groups_request_init(&request);
    do {
        int status = client_call(client, node_id, API_LIST_GROUPS, &request, ret_list);
        if (status || !ret_list->error_code)
            return status;
    } while (client_asks_again(ret_list->error_code, deadline_us));
    return client_refused("list groups", ret_list->error_code, SLICE_NULL);
}

int group_find(struct client *client, const char *name, struct found_group *ret_group) {
    struct list_groups_response list;
    *ret_group = (struct found_group){.name = name, .type = "", .state = "", .protocol_type = ""};
    int status = find_coordinator(client, name, &ret_group->coordinator);
    if (!status)
        status = list_of(client, ret_group->coordinator, &list);
    for (int i = 0; !status && i < list.groups_count; i++) {
        if (!slice_eq_str(list.groups[i].group_id, name))
            continue;
        ret_group->exists = true;
        ret_group->type = text_of(client, list.groups[i].group_type);
        ret_group->state = text_of(client, list.groups[i].group_state);
        ret_group->protocol_type = text_of(client, list.groups[i].protocol_type);
    }
    return status;
}

struct listed {
    struct list_groups_response_listed_group group;
    int coordinator;
};

/* Of all brokers. */
static int list_all(struct client *client, struct listed **ret_groups, int *ret_count) {
    struct metadata_response metadata;
    int status = client_metadata(client, (const char *const[]){""}, 0, &metadata), count = 0;
    struct list_groups_response *lists = arena_array(&client->arena, struct list_groups_response, status ? 0 : metadata.brokers_count);
    for (int i = 0; !status && i < metadata.brokers_count; i++) {
        status = list_of(client, metadata.brokers[i].node_id, &lists[i]);
        count += status ? 0 : lists[i].groups_count;
    }
    if (status)
        return status;
    *ret_groups = arena_array(&client->arena, struct listed, count);
    *ret_count = 0;
    for (int i = 0; i < metadata.brokers_count; i++)
        for (int k = 0; k < lists[i].groups_count; k++)
            (*ret_groups)[(*ret_count)++] = (struct listed){lists[i].groups[k], metadata.brokers[i].node_id};
    return CLI_OK;
}

int group_must_find(struct client *client, const char *name, struct found_group *ret_group) {
    int status = group_find(client, name, ret_group), count;
    struct listed *groups;
    if (status || ret_group->exists)
        return status;
    status = list_all(client, &groups, &count);
    if (status)
        return status;
    const char **names = arena_array(&client->arena, const char *, count + 1);
    for (int i = 0; i < count; i++)
        names[i] = text_of(client, groups[i].group.group_id);
    const char *near = nearest(name, names);
    if (near)
        return cli_fail("there is no group '%s'; did you mean '%s'?", name, near);
    return cli_fail("there is no group '%s'; `myelin group list` shows those there are", name);
}

/* ---- list --------------------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    return slice_cmp(((const struct listed *)a)->group.group_id, ((const struct listed *)b)->group.group_id);
}

static bool is_wanted(struct client *client, const struct options *options, const struct listed *listed) {
    const char *type = options_text(options, "type", NULL), *state = options_text(options, "state", NULL), *pattern = options_text(options, "pattern", NULL);
    return (!type || strcasecmp(type, text_of(client, listed->group.group_type)) == 0) &&
           (!state || strcasecmp(state, text_of(client, listed->group.group_state)) == 0) &&
           (!pattern || fnmatch(pattern, text_of(client, listed->group.group_id), 0) == 0);
}

int group_list_run(struct options *options) {
    static const struct output_column columns[] = {{"group", "GROUP", OUTPUT_LEFT}, {"type", "TYPE", OUTPUT_LEFT}, {"state", "STATE", OUTPUT_LEFT},
                                                   {"protocol_type", "PROTOCOL", OUTPUT_LEFT}, {"coordinator", "COORDINATOR", OUTPUT_RIGHT}};
    struct client client;
    struct listed *groups = NULL;
    int count = 0, status = client_open(&client, options);
    if (!status)
        status = list_all(&client, &groups, &count);
    if (!status && count)
        qsort(groups, (size_t)count, sizeof groups[0], by_name);
    json_t *rows = json_array();
    for (int i = 0; i < count && !status; i++)
        if (is_wanted(&client, options, &groups[i])) {
            json_array_append_new(rows, json_pack("{s:o, s:o, s:o, s:o, s:i}", "group", json_slice(groups[i].group.group_id), "type",
                                                  json_slice(groups[i].group.group_type), "state", json_slice(groups[i].group.group_state),
                                                  "protocol_type", json_slice(groups[i].group.protocol_type), "coordinator", groups[i].coordinator));
            if (options_has(options, "quiet"))
                printf("%s\n", text_of(&client, groups[i].group.group_id));
        }
    if (status || options_has(options, "quiet"))
        json_decref(rows);
    else
        output_list(options, rows, columns, COUNT_OF(columns));
    client_close(&client);
    return status;
}

/* ---- delete --------------------------------------------------------------------------------------------------------------------- */

static int delete_group(struct client *client, const struct options *options, const char *name, json_t *rows) {
    struct delete_groups_request request;
    struct delete_groups_response response;
    struct slice id = slice_str(name);
    int node, status = find_coordinator(client, name, &node);
    if (status)
        return status;
    delete_groups_request_init(&request);
    request.groups_names = &id;
    request.groups_names_count = 1;
    status = client_call(client, node, API_DELETE_GROUPS, &request, &response);
    if (status)
        return status;
    int16_t code = response.results_count == 1 ? response.results[0].error_code : KAFKA_UNKNOWN_SERVER_ERROR;
    if (code == KAFKA_GROUP_ID_NOT_FOUND && options_has(options, "if-exists"))
        return CLI_OK;
    if (code == KAFKA_GROUP_ID_NOT_FOUND) {
        struct found_group group;
        status = group_must_find(client, name, &group);
        return status ? status : refused(client, name, code, SLICE_NULL);
    }
    if (code == KAFKA_NON_EMPTY_GROUP)
        return cli_fail("group '%s' has members; end them first, `myelin group describe %s` shows them", name, name);
    if (code)
        return refused(client, name, code, response.results[0].error_message);
    json_array_append_new(rows, json_pack("{s:s}", "group", name));
    return CLI_OK;
}

int group_delete_run(struct options *options) {
    static const struct output_column columns[] = {{"group", "DELETED", OUTPUT_LEFT}};
    struct client client;
    int status = client_open(&client, options), worst = status;
    if (!status && !options_has(options, "yes") && !cli_confirm("Delete %d group%s with all offsets?", options->argument_count, options->argument_count == 1 ? "" : "s"))
        worst = cli_fail("nothing was deleted");
    json_t *rows = json_array();
    for (int i = 0; i < options->argument_count && !status && (worst == CLI_OK || i); i++)
        if (delete_group(&client, options, options->arguments[i], rows))
            worst = CLI_FAILED;
    if (json_array_size(rows) || (!worst && options_json(options)))
        output_list(options, rows, columns, COUNT_OF(columns));
    else
        json_decref(rows);
    client_close(&client);
    return worst;
}
