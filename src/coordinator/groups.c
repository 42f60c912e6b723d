#include "coordinator/groups.h"

#include "base/mem.h"
#include "base/trace.h"
#include "coordinator/share_group.h"
#include "coordinator/streams_description.h"

const char *group_type_name(enum group_type type) {
    static const char *const names[GROUP_TYPES] = {"classic", "consumer", "share", "streams"};
    return names[type];
}

/* ---- the registry ------------------------------------------------------------------------------------------------------ */

static bool group_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct group, node)->id, *(const struct slice *)key);
}

struct group *groups_find(const struct groups *groups, struct slice id) {
    struct map_node *node = map_find(&groups->by_id, hash_slice(id), group_is, &id);
    return node ? container_of(node, struct group, node) : NULL;
}

void groups_insert(struct groups *groups, struct group *group, struct slice id) {
    check(!groups_find(groups, id), "two groups have one id");
    group->groups = groups;
    group->id = slice_of(mem_strndup((const char *)id.ptr, id.size), id.size);
    map_insert(&groups->by_id, &group->node, hash_slice(id));
    list_push_back(&groups->all, &group->all);
}

void groups_remove(struct group *group) {
    struct slice id = group->id;
    map_remove(&group->groups->by_id, &group->node);
    list_remove(&group->all);
    group->methods->free(group);
    mem_free((void *)id.ptr);
}

void groups_replace(struct group *old, struct group *group) {
    struct groups *groups = old->groups;
    struct slice id = slice_of(mem_strndup((const char *)old->id.ptr, old->id.size), old->id.size);
    groups_remove(old);
    groups_insert(groups, group, id);
    mem_free((void *)id.ptr);
}

/* ---- replay ---------------------------------------------------------------------------------------------------------------- */

static void warn_unknown(struct groups *groups, int16_t type) {
    for (int i = 0; i < groups->warned_count; i++)
        if (groups->warned[i] == type)
            return;
    if (groups->warned_count == COUNT_OF(groups->warned))
        return;
    groups->warned[groups->warned_count++] = type;
    trace_warn("coordinator", "records of a type that is not known are passed over", TRACE_INT("type", type),
               TRACE_SLICE("topic", groups->coordinator->partition->topic), TRACE_INT("partition", groups->coordinator->partition->index));
}

static enum err dispatch(struct groups *groups, struct group_record *record) {
    switch (record->type) {
    case 0:
    case 1: return offsets_replay(groups, record);
    case 2: return classic_replay(groups, record);
    case 3 ... 8:
    case 16: return consumer_replay(groups, record);
    case 17:
    case 19 ... 23:
    case STREAMS_KEY_DESCRIPTION: return streams_replay(groups, record);
    case 10 ... 15: return share_group_replay(groups, record);
    default: warn_unknown(groups, record->type); return ERR_OK;
    }
}

static enum err replay(void *state, const struct coordinator_record *raw) {
    struct groups *groups = state;
    arena_reset(&groups->scratch);
    struct group_record record = {.raw = raw, .tombstone = !raw->value.ptr, .key = decoder_of(raw->key, &groups->scratch)};
    record.type = decode_int16(&record.key);
    if (!record.tombstone) {
        record.value = decoder_of(raw->value, &groups->scratch);
        record.version = decode_int16(&record.value);
    }
    if (record.key.err || record.value.err)
        return ERR_CORRUPT;
    return dispatch(groups, &record);
}

/* ---- the coordinator's kind ------------------------------------------------------------------------------------------------- */

static void *create(struct coordinator *coordinator) {
    struct groups *groups = mem_new(struct groups);
    groups->coordinator = coordinator;
    list_init(&groups->all);
    list_init(&groups->classic_due);
    list_init(&groups->resolutions);
    list_init(&groups->share_due);
    groups->offsets = offsets_create(groups);
    return groups;
}

static void destroy(void *state) {
    struct groups *groups = state;
    consumer_resolutions_drop(groups);
    while (!list_is_empty(&groups->all))
        groups_remove(list_entry(groups->all.next, struct group, all));
    offsets_destroy(groups->offsets);
    map_deinit(&groups->by_id);
    arena_deinit(&groups->scratch);
    mem_free(groups);
}

static void end_transaction(void *state, int64_t producer_id, int16_t producer_epoch, bool commit) {
    (void)producer_epoch;
    struct groups *groups = state;
    offsets_end_transaction(groups->offsets, producer_id, commit);
}

static void loaded(void *state) {
    struct groups *groups = state;
    list_each_safe(node, &groups->all) {
        struct group *group = list_entry(node, struct group, all);
        if (group->methods->loaded)
            group->methods->loaded(group);
    }
    offsets_loaded(groups->offsets);
}

static void topic_changed(void *state, const struct image_topic *topic, bool removed) {
    struct groups *groups = state;
    if (removed)
        offsets_topic_removed(groups->offsets, topic);
    share_topic_changed(groups, topic, removed);
}

const struct coordinator_kind coordinator_group_kind = {
    .topic = "__consumer_offsets",
    .create = create,
    .destroy = destroy,
    .replay = replay,
    .end_transaction = end_transaction,
    .loaded = loaded,
    .topic_changed = topic_changed,
};
