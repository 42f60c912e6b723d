/* myelin group reset: where a group goes on, shown first and done with --execute. The options are named as those of
 * kafka-consumer-groups. */
#include "cli/group.h"

#include <ctype.h>
#include <stdlib.h>
#include "base/mem.h"
#include "protocol/alter_share_group_offsets_request.h"
#include "protocol/alter_share_group_offsets_response.h"
#include "protocol/errors.h"
#include "protocol/offset_commit_request.h"
#include "protocol/offset_commit_response.h"

enum { LATEST = -1, EARLIEST = -2 };

struct target { /* a partition and where it goes */
    const char *topic;
    struct uuid topic_id;
    int partition;
    int64_t current; /* -1: none */
    int64_t offset;  /* to be */
};
struct reset {
    struct client *client;
    struct options *options;
    struct found_group group;
    struct group_offset *committed;
    int committed_count;
    struct target *targets;
    int count, capacity;
    enum { TO_EARLIEST, TO_LATEST, TO_CURRENT, TO_OFFSET, TO_TIME, SHIFT } how;
    int64_t number; /* offset, time or shift */
};

/* ---- what is asked for ------------------------------------------------------------------------------------------------------- */

/* PnDTnHnMnS, or as times ago are written: 90s, 15m, 2h, 7d. */
static bool parse_duration(const char *text, int64_t now_ms, int64_t *ret_time_ms) {
    if (*text != 'P' && *text != 'p') {
        char ago[32];
        snprintf(ago, sizeof ago, "-%s", text);
        return isdigit((unsigned char)*text) && parse_time(ago, now_ms, ret_time_ms);
    }
    int64_t total_ms = 0;
    bool time = false, any = false;
    for (text++; *text;) {
        if ((*text == 'T' || *text == 't') && !time) {
            time = true;
            text++;
            continue;
        }
        char *end;
        long count = strtol(text, &end, 10);
        int unit = toupper((unsigned char)*end);
        int64_t unit_ms = !time && unit == 'D' ? 86400000 : !time ? 0 : unit == 'H' ? 3600000 : unit == 'M' ? 60000 : unit == 'S' ? 1000 : 0;
        if (end == text || !unit_ms || count < 0 || count > 100000000)
            return false;
        total_ms += count * unit_ms;
        any = true;
        text = end + 1;
    }
    *ret_time_ms = now_ms - total_ms;
    return any;
}

static int read_how(struct reset *reset) {
    static const struct { const char *name; int how; } choices[] = {
        {"to-earliest", TO_EARLIEST}, {"to-latest", TO_LATEST}, {"to-current", TO_CURRENT}, {"to-offset", TO_OFFSET},
        {"to-datetime", TO_TIME}, {"by-duration", TO_TIME}, {"shift-by", SHIFT}};
    const struct options *options = reset->options;
    const char *chosen = NULL;
    for (int i = 0; i < COUNT_OF(choices); i++) {
        if (!options_has(options, choices[i].name))
            continue;
        if (chosen)
            return cli_usage(options, "--%s and --%s exclude each other", chosen, choices[i].name);
        chosen = choices[i].name;
        reset->how = choices[i].how;
    }
    if (!chosen)
        return cli_usage(options, "say where to: --to-earliest, --to-latest, --to-offset N, --to-datetime TIME, --by-duration DURATION, --shift-by N");
    if (options_has(options, "execute") && options_has(options, "dry-run"))
        return cli_usage(options, "--execute and --dry-run exclude each other");
    if (options_has(options, "topic") == options_has(options, "all-topics"))
        return cli_usage(options, "give either --topic or --all-topics");
    reset->number = reset->how == TO_OFFSET ? options_int(options, "to-offset", 0) : reset->how == SHIFT ? options_int(options, "shift-by", 0) : 0;
    const char *time = options_text(options, "to-datetime", NULL), *duration = options_text(options, "by-duration", NULL);
    if (time && !parse_time(time, cli_now_ms(), &reset->number))
        return cli_usage(options, "--to-datetime takes a time as 2026-11-24T21:00:00Z, not '%s'", time);
    if (duration && !parse_duration(duration, cli_now_ms(), &reset->number))
        return cli_usage(options, "--by-duration takes P1DT2H30M or 90s, 15m, 2h, 7d; not '%s'", duration);
    return CLI_OK;
}

static int64_t current_of(const struct reset *reset, const char *topic, int partition) {
    for (int i = 0; i < reset->committed_count; i++)
        if (reset->committed[i].partition == partition && strcmp(reset->committed[i].topic, topic) == 0)
            return reset->committed[i].offset;
    return -1;
}

static void add_target(struct reset *reset, const char *topic, struct uuid id, int partition) {
    if (reset->count == reset->capacity) {
        struct target *old = reset->targets;
        reset->capacity = reset->capacity ? 2 * reset->capacity : 64;
        reset->targets = arena_array(&reset->client->arena, struct target, reset->capacity);
        if (reset->count)
            memcpy(reset->targets, old, sizeof *old * (size_t)reset->count);
    }
    reset->targets[reset->count++] = (struct target){topic, id, partition, current_of(reset, topic, partition), -1};
}

/* "orders" or "orders:0,2-3". */
static int add_topic(struct reset *reset, const char *text) {
    const char *colon = strchr(text, ':');
    const struct metadata_response_metadata_response_topic *topic;
    const char *name = arena_printf(&reset->client->arena, "%.*s", colon ? (int)(colon - text) : (int)strlen(text), text);
    int *partitions, count, status = client_topic(reset->client, name, &topic);
    if (!status)
        status = choose_partitions(topic, colon ? colon + 1 : NULL, &partitions, &count);
    if (status)
        return status;
    for (int i = 0; i < count; i++)
        add_target(reset, name, topic->topic_id, partitions[i]);
    mem_free(partitions);
    return CLI_OK;
}

static int add_all(struct reset *reset) {
    const struct metadata_response_metadata_response_topic *topic = NULL;
    for (int i = 0; i < reset->committed_count; i++) {
        const struct group_offset *at = &reset->committed[i];
        if ((i == 0 || strcmp(reset->committed[i - 1].topic, at->topic) != 0) && client_topic(reset->client, at->topic, &topic))
            return CLI_FAILED;
        add_target(reset, at->topic, topic->topic_id, at->partition);
    }
    return reset->count ? CLI_OK : cli_fail("group '%s' has no offsets; name topics with --topic", reset->group.name);
}

static int find_targets(struct reset *reset) {
    int status = group_find(reset->client, reset->options->arguments[0], &reset->group);
    if (!status && (reset->group.exists || options_has(reset->options, "all-topics")))
        status = group_offsets(reset->client, &reset->group, false, &reset->committed, &reset->committed_count);
    if (!status && options_has(reset->options, "all-topics"))
        return add_all(reset);
    const char *text;
    for (int i = 0; !status && (text = options_list(reset->options, "topic", i)); i++)
        status = add_topic(reset, text);
    return status;
}

/* ---- where to ------------------------------------------------------------------------------------------------------------------ */

static int ask(struct reset *reset, int64_t timestamp, struct offset_query **ret_queries) {
    *ret_queries = arena_array(&reset->client->arena, struct offset_query, reset->count);
    for (int i = 0; i < reset->count; i++)
        (*ret_queries)[i] = (struct offset_query){.topic = reset->targets[i].topic, .partition = reset->targets[i].partition, .timestamp = timestamp};
    int status = offsets_find(reset->client, *ret_queries, reset->count, false);
    for (int i = 0; !status && i < reset->count; i++)
        if ((*ret_queries)[i].error)
            status = client_refused(arena_printf(&reset->client->arena, "offsets of %s-%d", reset->targets[i].topic, reset->targets[i].partition),
                                    (*ret_queries)[i].error, SLICE_NULL);
    return status;
}

static int64_t wanted(const struct reset *reset, int i, int64_t first, int64_t end, const struct offset_query *found) {
    int64_t current = reset->targets[i].current;
    switch (reset->how) {
    case TO_EARLIEST: return first;
    case TO_LATEST: return end;
    case TO_CURRENT: return current < 0 ? end : current;
    case TO_OFFSET: return reset->number;
    case TO_TIME: return found[i].offset < 0 ? end : found[i].offset;
    default: return (current < 0 ? first : current) + reset->number;
    }
}

static int decide(struct reset *reset) {
    struct offset_query *first, *end, *found = NULL;
    int status = ask(reset, EARLIEST, &first);
    if (!status)
        status = ask(reset, LATEST, &end);
    if (!status && reset->how == TO_TIME)
        status = ask(reset, reset->number, &found);
    for (int i = 0; !status && i < reset->count; i++) {
        int64_t offset = wanted(reset, i, first[i].offset, end[i].offset, found);
        reset->targets[i].offset = offset < first[i].offset ? first[i].offset : offset > end[i].offset ? end[i].offset : offset;
        if (offset != reset->targets[i].offset)
            cli_warn("%s-%d has offsets from %lld to %lld; %lld is taken", reset->targets[i].topic, reset->targets[i].partition, (long long)first[i].offset,
                     (long long)end[i].offset, (long long)reset->targets[i].offset);
    }
    return status;
}

/* ---- doing it -------------------------------------------------------------------------------------------------------------------- */

static int refused(struct reset *reset, int16_t code, struct slice message) {
    return client_refused(arena_printf(&reset->client->arena, "offsets of group '%s'", reset->group.name), code, message);
}

static int commit(struct reset *reset) {
    struct arena *arena = &reset->client->arena;
    struct offset_commit_request request;
    struct offset_commit_response response;
    offset_commit_request_init(&request);
    request.group_id = slice_str(reset->group.name);
    request.topics = arena_array(arena, struct offset_commit_request_offset_commit_request_topic, reset->count);
    for (int i = 0; i < reset->count; i++) {
        struct offset_commit_request_offset_commit_request_topic *topic = &request.topics[request.topics_count - 1];
        if (i == 0 || strcmp(reset->targets[i - 1].topic, reset->targets[i].topic) != 0) {
            topic = &request.topics[request.topics_count++];
            topic->name = slice_str(reset->targets[i].topic);
            topic->topic_id = reset->targets[i].topic_id;
            topic->partitions = arena_array(arena, struct offset_commit_request_offset_commit_request_partition, reset->count);
        }
        struct offset_commit_request_offset_commit_request_partition *partition = &topic->partitions[topic->partitions_count++];
        offset_commit_request_offset_commit_request_partition_init(partition);
        partition->partition_index = reset->targets[i].partition;
        partition->committed_offset = reset->targets[i].offset;
        partition->committed_metadata = SLICE_EMPTY;
    }
    int status = client_call(reset->client, reset->group.coordinator, API_OFFSET_COMMIT, &request, &response);
    for (int t = 0; !status && t < response.topics_count; t++)
        for (int p = 0; !status && p < response.topics[t].partitions_count; p++)
            if (response.topics[t].partitions[p].error_code)
                status = refused(reset, response.topics[t].partitions[p].error_code, SLICE_NULL);
    return status;
}

static int alter_share(struct reset *reset) {
    struct arena *arena = &reset->client->arena;
    struct alter_share_group_offsets_request request;
    struct alter_share_group_offsets_response response;
    alter_share_group_offsets_request_init(&request);
    request.group_id = slice_str(reset->group.name);
    request.topics = arena_array(arena, struct alter_share_group_offsets_request_alter_share_group_offsets_request_topic, reset->count);
    for (int i = 0; i < reset->count; i++) {
        if (i == 0 || strcmp(reset->targets[i - 1].topic, reset->targets[i].topic) != 0)
            request.topics[request.topics_count++] = (struct alter_share_group_offsets_request_alter_share_group_offsets_request_topic){
                slice_str(reset->targets[i].topic),
                arena_array(arena, struct alter_share_group_offsets_request_alter_share_group_offsets_request_partition, reset->count), 0};
        struct alter_share_group_offsets_request_alter_share_group_offsets_request_topic *topic = &request.topics[request.topics_count - 1];
        topic->partitions[topic->partitions_count++] = (struct alter_share_group_offsets_request_alter_share_group_offsets_request_partition){
            reset->targets[i].partition, reset->targets[i].offset};
    }
    int status = client_call(reset->client, reset->group.coordinator, API_ALTER_SHARE_GROUP_OFFSETS, &request, &response);
    if (!status && response.error_code)
        return refused(reset, response.error_code, response.error_message);
    for (int t = 0; !status && t < response.responses_count; t++)
        for (int p = 0; !status && p < response.responses[t].partitions_count; p++)
            if (response.responses[t].partitions[p].error_code)
                status = refused(reset, response.responses[t].partitions[p].error_code, response.responses[t].partitions[p].error_message);
    return status;
}

static void show(const struct reset *reset) {
    static const struct output_column columns[] = {{"topic", "TOPIC", OUTPUT_LEFT}, {"partition", "PARTITION", OUTPUT_RIGHT},
                                                   {"offset", "OFFSET", OUTPUT_RIGHT}, {"new_offset", "NEW OFFSET", OUTPUT_RIGHT}};
    json_t *rows = json_array();
    for (int i = 0; i < reset->count; i++)
        json_array_append_new(rows, json_pack("{s:s, s:i, s:o, s:I}", "topic", reset->targets[i].topic, "partition", reset->targets[i].partition, "offset",
                                              reset->targets[i].current < 0 ? json_null() : json_integer(reset->targets[i].current), "new_offset",
                                              (json_int_t)reset->targets[i].offset));
    output_list(reset->options, rows, columns, COUNT_OF(columns));
}

int group_reset_run(struct options *options) {
    struct client client;
    struct reset reset = {.client = &client, .options = options};
    int status = read_how(&reset);
    if (status)
        return status;
    status = client_open(&client, options);
    if (!status)
        status = find_targets(&reset);
    if (!status && reset.group.exists && strcasecmp(reset.group.state, "Empty") != 0 && strcasecmp(reset.group.state, "Dead") != 0)
        status = cli_fail("group '%s' is %s; only the offsets of a group without members can be set, `myelin group describe %s` shows them", reset.group.name,
                          reset.group.state, reset.group.name);
    if (!status)
        status = decide(&reset);
    if (!status && options_has(options, "execute"))
        status = group_is(&reset.group, "share") ? alter_share(&reset) : commit(&reset);
    if (!status)
        show(&reset);
    if (!status && !options_has(options, "execute"))
        cli_warn("nothing was changed; --execute does it");
    client_close(&client);
    return status;
}
