/* Which partitions have a state with the share coordinator. One record holds three lists of topics, and is written whole. */
#include "base/mem.h"
#include "coordinator/share_group_internal.h"
#include "protocol/errors.h"

/* The lists as they will be; of the heap, dropped with the arena of the operation. */
struct lists {
    struct share_topics initializing, initialized, deleting;
};

static void drop_lists(void *arg) {
    struct lists *lists = arg;
    share_free_topics(&lists->initializing);
    share_free_topics(&lists->initialized);
    share_free_topics(&lists->deleting);
}

static void copy_topics(struct share_topics *to, const struct share_topics *from) {
    share_topics_init(to);
    if (!from)
        return;
    list_each(node, &from->list) {
        const struct share_topic *topic = list_entry(node, struct share_topic, node);
        share_add_topic(to, topic->id, topic->name, topic->partitions, topic->count)->gone = topic->gone;
    }
}

static struct lists *copy_lists(const struct share_group *group, struct arena *arena) {
    struct lists *lists = arena_new(arena, struct lists);
    copy_topics(&lists->initializing, group ? &group->initializing : NULL);
    copy_topics(&lists->initialized, group ? &group->initialized : NULL);
    copy_topics(&lists->deleting, group ? &group->deleting : NULL);
    arena_on_reset(arena, drop_lists, lists);
    return lists;
}

static void add_record(struct coordinator_op *op, struct slice group_id, const struct lists *lists) {
    share_add_states(op, group_id, &lists->initializing, &lists->initialized, &lists->deleting);
}

static void add_place(struct arena *arena, struct share_init *init, struct share_place place) {
    init->places = arena_grow(arena, init->places, (size_t)init->count, sizeof place);
    init->places[init->count++] = place;
}

static void begin_place(struct lists *lists, const struct share_place *place, struct slice name) {
    share_add_topic(&lists->initializing, place->topic_id, name, &place->partition, 1);
    share_remove_topic(&lists->deleting, place->topic_id);
}

/* ---- heartbeats ----------------------------------------------------------------------------------------------------------- */

void share_init_missing(struct groups *groups, struct coordinator_op *op, const struct share_group *group, struct slice group_id,
                        const struct share_names *names, int32_t epoch, struct share_init *ret_init) {
    const struct image *image = groups->coordinator->host->image;
    int64_t now = coordinator_now_ms(groups->coordinator);
    int64_t retry = coordinator_config_int(groups->coordinator, "group.share.initialize.retry.interval.ms");
    struct lists *lists = NULL;
    for (int n = 0; n < names->count; n++) {
        const struct image_topic *topic = image_find_topic(image, names->names[n]);
        if (!topic)
            continue;
        const struct share_topic *done = group ? share_find_topic(&group->initialized, topic->id) : NULL;
        const struct share_topic *coming = group ? share_find_topic(&group->initializing, topic->id) : NULL;
        if (coming && now - coming->since_ms >= retry)
            coming = NULL;
        if (done && done->count >= topic->partition_count)
            continue;
        for (int32_t p = 0; p < topic->partition_count; p++) {
            if (share_topic_has(done, p) || share_topic_has(coming, p))
                continue;
            if (!lists)
                lists = copy_lists(group, op->arena);
            struct share_place place = {topic->id, p, -1};
            add_place(op->arena, ret_init, place);
            begin_place(lists, &place, topic->name);
        }
    }
    ret_init->state_epoch = epoch;
    ret_init->only_missing = true;
    for (int i = 0; i < ret_init->count && group; i++) /* an administrator has begun to drop it */
        ret_init->only_missing &= !share_find_topic(&group->deleting, ret_init->places[i].topic_id);
    if (lists)
        add_record(op, group_id, lists);
}

void share_group_initialized(struct groups *groups, struct coordinator_op *op, struct slice group_id, const struct share_place *places, int count,
                             bool ok) {
    bool other;
    const struct share_group *group = share_find(groups, group_id, &other);
    if (!group)
        return;
    struct lists *lists = copy_lists(group, op->arena);
    bool changed = false;
    for (int i = 0; i < count; i++) {
        const struct share_topic *topic = share_find_topic(&lists->initializing, places[i].topic_id);
        if (!share_topic_has(topic, places[i].partition))
            continue;
        if (ok)
            share_add_topic(&lists->initialized, topic->id, topic->name, &places[i].partition, 1);
        share_remove_partition(&lists->initializing, &places[i]);
        changed = true;
    }
    if (changed)
        add_record(op, group_id, lists);
}

/* ---- administration -------------------------------------------------------------------------------------------------------- */

int16_t share_group_alter(struct groups *groups, struct coordinator_op *op, struct slice group_id, const struct share_place *places, int count,
                          int32_t *ret_epoch, const char **ret_message) {
    bool other;
    const struct share_group *group = share_find(groups, group_id, &other);
    if (other) {
        *ret_message = arena_printf(op->arena, "Group %.*s is not a share group.", SLICE_FMT(group_id));
        return KAFKA_GROUP_ID_NOT_FOUND;
    }
    if (group && share_member_count(group)) {
        *ret_message = NULL;
        return KAFKA_NON_EMPTY_GROUP;
    }
    *ret_epoch = group ? group->epoch : 1;
    struct lists *lists = copy_lists(group, op->arena);
    for (int i = 0; i < count; i++) {
        const struct image_topic *topic = image_find_topic_id(groups->coordinator->host->image, places[i].topic_id);
        if (topic)
            begin_place(lists, &places[i], topic->name);
    }
    if (count)
        add_record(op, group_id, lists);
    return 0;
}

static void add_places(struct arena *arena, struct share_init *init, const struct share_topic *topic) {
    for (int i = 0; i < topic->count; i++)
        add_place(arena, init, (struct share_place){topic->id, topic->partitions[i], -1});
}

/* Those that stand in deleting from an attempt that failed: all partitions the topic has. */
static void add_deleting(struct arena *arena, const struct image *image, struct share_init *init, struct uuid id) {
    const struct image_topic *topic = image_find_topic_id(image, id);
    for (int32_t p = 0; topic && p < topic->partition_count; p++)
        add_place(arena, init, (struct share_place){id, p, -1});
}

int16_t share_group_delete(struct groups *groups, struct coordinator_op *op, struct slice group_id, const struct uuid *topics, int count,
                           bool *ret_known, struct share_init *ret_places, const char **ret_message) {
    bool other;
    const struct share_group *group = share_find(groups, group_id, &other);
    const struct image *image = groups->coordinator->host->image;
    *ret_places = (struct share_init){0};
    *ret_message = NULL;
    if (!group) {
        *ret_message = arena_printf(op->arena, other ? "Group %.*s is not a share group." : "Group %.*s not found.", SLICE_FMT(group_id));
        return KAFKA_GROUP_ID_NOT_FOUND;
    }
    if (share_member_count(group))
        return KAFKA_NON_EMPTY_GROUP;
    struct lists *lists = copy_lists(group, op->arena);
    struct uuid *ids = arena_array(op->arena, struct uuid, topics ? count + 1 : 1);
    if (topics) {
        memcpy(ids, topics, sizeof *ids * (size_t)count);
    } else { /* all of all lists */
        const struct list *every[] = {&group->initialized.list, &group->initializing.list, &group->deleting.list};
        int all = 0;
        for (int l = 0; l < 3; l++)
            list_each(node, every[l])
                all++;
        ids = arena_array(op->arena, struct uuid, all + 1);
        count = 0;
        for (int l = 0; l < 3; l++)
            list_each(node, every[l])
                ids[count++] = list_entry(node, struct share_topic, node)->id;
    }
    for (int i = 0; i < count; i++) {
        const struct share_topic *done = share_find_topic(&lists->initialized, ids[i]), *coming = share_find_topic(&lists->initializing, ids[i]);
        bool waits = share_find_topic(&lists->deleting, ids[i]) != NULL;
        bool known = done || waits || (!topics && coming);
        if (ret_known)
            ret_known[i] = known;
        if (!known || (!done && !coming && !share_find_topic(&group->deleting, ids[i])))
            continue;
        struct slice name = done ? done->name : coming ? coming->name : share_find_topic(&lists->deleting, ids[i])->name;
        if (done || (!topics && coming)) {
            if (done)
                add_places(op->arena, ret_places, done);
            if (!topics && coming)
                add_places(op->arena, ret_places, coming);
            share_add_topic(&lists->deleting, ids[i], name, NULL, 0);
            share_remove_topic(&lists->initialized, ids[i]);
            if (!topics)
                share_remove_topic(&lists->initializing, ids[i]);
        } else if (waits && share_find_topic(&group->deleting, ids[i])) {
            add_deleting(op->arena, image, ret_places, ids[i]);
        }
    }
    if (group->has_states_record)
        add_record(op, group_id, lists);
    return 0;
}

void share_group_deleted(struct groups *groups, struct coordinator_op *op, struct slice group_id, const struct uuid *topics, int count) {
    bool other;
    const struct share_group *group = share_find(groups, group_id, &other);
    if (!group)
        return;
    struct lists *lists = copy_lists(group, op->arena);
    for (int i = 0; i < count; i++)
        share_remove_topic(&lists->deleting, topics[i]);
    add_record(op, group_id, lists);
}

void share_group_places(struct groups *groups, struct arena *arena, struct slice group_id, struct share_init *ret_places) {
    bool other;
    const struct share_group *group = share_find(groups, group_id, &other);
    *ret_places = (struct share_init){0};
    if (group)
        list_each(node, &group->initialized.list)
            add_places(arena, ret_places, list_entry(node, struct share_topic, node));
}

bool share_group_has_states(const struct group *base) {
    if (base->methods != &group_share_methods)
        return false;
    const struct share_group *group = container_of(base, struct share_group, base);
    return group->initializing.by_id.count || group->initialized.by_id.count || group->deleting.by_id.count;
}

/* ---- topics that were deleted ------------------------------------------------------------------------------------------------- */

static void forget_gone(struct coordinator_op *op, void *state) {
    struct groups *groups = state;
    list_each(node, &groups->all) {
        struct group *base = list_entry(node, struct group, all);
        if (base->methods != &group_share_methods)
            continue;
        struct share_group *group = share_group_of(base);
        if (!group->has_gone)
            continue;
        share_add_states(op, arena_slice(op->arena, base->id), &group->initializing, &group->initialized, &group->deleting);
    }
}

static void mark_gone(struct share_group *group, const struct uuid *id) {
    const struct image *image = group->base.groups->coordinator->host->image;
    struct list *every[] = {&group->initialized.list, &group->initializing.list, &group->deleting.list};
    bool had_gone = group->has_gone;
    for (int l = 0; l < 3; l++)
        list_each(node, every[l]) {
            struct share_topic *topic = list_entry(node, struct share_topic, node);
            if (id ? !uuid_eq(topic->id, *id) : image_find_topic_id(image, topic->id) != NULL)
                continue;
            topic->gone = true;
            group->has_gone = true;
        }
    if (group->has_gone && !had_gone)
        coordinator_task(group->base.groups->coordinator, forget_gone, NULL);
}

void share_topic_gone(struct share_group *group, struct uuid id) {
    mark_gone(group, &id);
}

void share_find_gone(struct share_group *group) {
    mark_gone(group, NULL);
}
