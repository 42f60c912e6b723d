#include "coordinator/streams_group.h"

#include "base/mem.h"
#include "base/trace.h"
#include "log/log.h"
#include "protocol/errors.h"
#include "protocol/myelin_topology_description_value.h"

typedef struct streams_group_topology_description_update_request_topology_description sent_description;
typedef struct streams_group_topology_description_update_request_topology_description_node sent_node;
typedef struct streams_group_describe_response_topology_description told_description;
typedef struct myelin_topology_description_value_topology_description kept_description;

enum { NODE_SOURCE = 1, NODE_PROCESSOR = 2, NODE_SINK = 3 };
static const uint64_t ask_again_ns = 30 * NS_PER_S, ask_again_max_ns = 3600 * NS_PER_S;

/* A description is laid out alike in the request, the record and the answer. */
#define SAME(what, field)                                                                                                              \
    _Static_assert(offsetof(struct streams_group_topology_description_update_request_##what, field) ==                                \
                           offsetof(struct myelin_topology_description_value_##what, field) &&                                        \
                       offsetof(struct streams_group_describe_response_##what, field) == offsetof(struct myelin_topology_description_value_##what, field), \
                   "a description is laid out alike everywhere")
#define SAME_SIZE(what)                                                                                                                \
    _Static_assert(sizeof(struct streams_group_topology_description_update_request_##what) == sizeof(struct myelin_topology_description_value_##what) && \
                       sizeof(struct streams_group_describe_response_##what) == sizeof(struct myelin_topology_description_value_##what), \
                   "a description is laid out alike everywhere")
SAME_SIZE(topology_description);
SAME(topology_description, subtopologies_count);
SAME(topology_description, global_stores);
SAME_SIZE(topology_description_subtopology);
SAME(topology_description_subtopology, nodes);
SAME_SIZE(topology_description_node);
SAME(topology_description_node, node_type);
SAME(topology_description_node, source_topics);
SAME(topology_description_node, sink_topic);
SAME(topology_description_node, stores);
SAME(topology_description_node, successors_count);
SAME_SIZE(topology_description_global_store);
SAME(topology_description_global_store, processor);

/* ---- asking ----------------------------------------------------------------------------------------------------------------------------- */

bool streams_description_is_wanted(const struct streams_group *group, int32_t epoch) {
    return epoch >= 0 && group->failed_description != epoch && !(group->description && group->description->epoch == epoch);
}

/* Longer each time, and not everybody's at once. */
static void put_off(const struct groups *groups, struct streams_asked *asked, int32_t epoch) {
    int attempts = asked->until_ns && asked->epoch == epoch ? asked->attempts + 1 : 0;
    uint64_t delay_ns = attempts < 7 ? ask_again_ns << attempts : ask_again_max_ns;
    if (delay_ns > ask_again_max_ns)
        delay_ns = ask_again_max_ns;
    uint64_t share = 80 + shard_random(groups->coordinator->host->shard) % 41;
    *asked = (struct streams_asked){epoch, attempts, coordinator_now_ns(groups->coordinator) + delay_ns / 100 * share};
}

bool streams_description_ask(struct groups *groups, struct streams_asked *asked, int32_t epoch) {
    if (asked->until_ns && asked->epoch == epoch && coordinator_now_ns(groups->coordinator) < asked->until_ns)
        return false;
    put_off(groups, asked, epoch);
    return true;
}

/* ---- keeping ---------------------------------------------------------------------------------------------------------------------------- */

static int8_t wrong_node(const sent_node *node) { /* 0: it is right */
    return node->node_type < NODE_SOURCE || node->node_type > NODE_SINK ? node->node_type : 0;
}

static const char *wrong_type(struct arena *arena, int8_t type) {
    return arena_printf(arena, "Unknown topology node type: %d", type);
}

/* NULL: nothing is wrong. */
static const char *wrong_description(const sent_description *description, struct arena *arena) {
    for (int i = 0; i < description->subtopologies_count; i++)
        for (int k = 0; k < description->subtopologies[i].nodes_count; k++) {
            const sent_node *node = &description->subtopologies[i].nodes[k];
            if (node->node_type < NODE_SOURCE || node->node_type > NODE_SINK)
                return wrong_type(arena, node->node_type);
        }
    for (int i = 0; i < description->global_stores_count; i++) {
        const sent_node *source = &description->global_stores[i].source, *processor = &description->global_stores[i].processor;
        if (wrong_node(source) || wrong_node(processor))
            return wrong_type(arena, wrong_node(source) ? source->node_type : processor->node_type);
        if (source->node_type != NODE_SOURCE || processor->node_type != NODE_PROCESSOR)
            return "Global store must be composed of a source and a processor node.";
    }
    return NULL;
}

static void refuse(struct streams_description_update *update, int16_t error, const char *message) {
    update->error = error;
    update->message = message;
}

static size_t size_max(const struct groups *groups) {
    size_t batch = (size_t)log_get_settings(groups->coordinator->partition->log)->validate.message_bytes_max;
    return batch / 2 < STREAMS_DESCRIPTION_MAX ? batch / 2 : STREAMS_DESCRIPTION_MAX;
}

static void keep(struct groups *groups, struct streams_group *group, struct coordinator_op *op, struct streams_description_update *update) {
    const struct streams_group_topology_description_update_request *request = update->request;
    struct streams_records records = streams_records_create(op->arena, arena_slice(op->arena, group->group.id));
    struct streams_epoch epoch = streams_epoch_of(group);
    struct slice value = RECORD_VALUE(op->arena, 0, myelin_topology_description_value,
                                      (&(struct myelin_topology_description_value){request->topology_epoch, *(const kept_description *)&request->topology_description}));
    size_t has = group->description ? group->description->size : 0;
    if (value.size > size_max(groups)) {
        refuse(update, KAFKA_STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED,
               arena_printf(op->arena, "The description takes %zu bytes; %zu are kept at most.", value.size, size_max(groups)));
        epoch.failed_description = request->topology_epoch;
        group->asked = (struct streams_asked){0};
    } else if (groups->descriptions.size - has + value.size > STREAMS_DESCRIPTIONS_MAX) {
        refuse(update, KAFKA_STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED, "The descriptions of other groups have taken all the room.");
        put_off(groups, &group->asked, request->topology_epoch);
        groups->descriptions.refused++;
        return;
    } else {
        streams_record_description(&records, value);
        epoch.stored_description = request->topology_epoch;
        group->asked = (struct streams_asked){0};
    }
    streams_record_epoch(&records, &epoch);
    streams_records_add_to(&records, op);
    groups->descriptions.refused += update->error != 0;
    groups->descriptions.stored += update->error == 0;
}

void streams_update_description(struct groups *groups, struct coordinator_op *op, struct streams_description_update *update) {
    const struct streams_group_topology_description_update_request *request = update->request;
    const char *message;
    struct streams_group *group = streams_find_group(groups, request->group_id, op->arena, &message);
    if (!group) {
        refuse(update, KAFKA_GROUP_ID_NOT_FOUND, message);
        return;
    }
    int32_t epoch = group->topology ? group->topology->epoch : -1;
    if (!streams_find_member(group, request->member_id))
        refuse(update, KAFKA_UNKNOWN_MEMBER_ID, arena_printf(op->arena, "Member %.*s is not a member of group %.*s.", SLICE_FMT(request->member_id),
                                                             SLICE_FMT(request->group_id)));
    else if (request->topology_epoch != epoch)
        refuse(update, KAFKA_INVALID_REQUEST,
               arena_printf(op->arena, "Topology epoch %d does not match the group's current topology epoch %d.", request->topology_epoch, epoch));
    else if ((message = wrong_description(&request->topology_description, op->arena)))
        refuse(update, KAFKA_INVALID_REQUEST, message);
    else
        keep(groups, group, op, update);
}

void streams_description_drop(struct streams_group *group) {
    if (!group->description)
        return;
    group->group.groups->descriptions.size -= group->description->size;
    mem_free(group->description);
    group->description = NULL;
}

/* It is there for people to read: one that cannot be read is no reason to lose the partition. */
enum err streams_description_replay(struct streams_group *group, struct group_record *record) {
    if (!group)
        return ERR_OK;
    streams_description_drop(group);
    if (record->tombstone)
        return ERR_OK;
    struct myelin_topology_description_value value;
    enum err err = record->version ? ERR_UNSUPPORTED : myelin_topology_description_value_decode(&record->value, record->version, &value);
    if (err) {
        trace_warn("coordinator", "the description of a topology cannot be read and is passed over", TRACE_SLICE("group", group->group.id), TRACE_ERR(err));
        return ERR_OK;
    }
    struct slice raw = record->raw->value;
    group->description = mem_alloc(sizeof *group->description + raw.size);
    group->description->epoch = value.topology_epoch;
    group->description->size = raw.size;
    memcpy(group->description->value, raw.ptr, raw.size);
    group->group.groups->descriptions.size += raw.size;
    return ERR_OK;
}

told_description *streams_description_of(const struct streams_group *group, struct arena *arena) {
    const struct streams_description *description = group->description;
    if (!description || !group->topology || description->epoch != group->topology->epoch)
        return NULL;
    struct slice value = arena_slice(arena, slice_of(description->value, description->size));
    struct decoder d = decoder_of(slice_of(value.ptr + 2, value.size - 2), arena); /* behind the version */
    struct myelin_topology_description_value *decoded = arena_alloc(arena, sizeof *decoded);
    enum err err = myelin_topology_description_value_decode(&d, 0, decoded);
    check(!err, "a description that was read before cannot be read: %s", err_text(err));
    return (told_description *)&decoded->topology_description;
}
