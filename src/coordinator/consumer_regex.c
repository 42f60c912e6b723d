/* Subscriptions by regular expression. All expressions of a group are matched with all topics together, on a thread of the
 * blocking-work pool, and come back as an operation: their topics become records, and members learn on their heartbeats.
 *
 * That begins on a heartbeat: when an expression is new, when topics were made since, or after a while; not again within
 * 10 s, and one at a time. Until then a new expression matches nothing. */
#include "base/mem.h"
#include "coordinator/consumer_internal.h"
#include "coordinator/metadata_hash.h"

enum { REFRESH_MS_MIN = 10000 };

struct resolved {
    struct slice pattern;
    struct regex *regex;
    struct slice *topics;
    int count, capacity;
};
struct consumer_resolution {
    struct work work;
    struct list node;             /* of groups->resolutions */
    struct groups *groups;        /* NULL: the coordinator has gone meanwhile */
    struct slice group_id;        /* owned; the group may have gone, or be made just now */
    bool is_matched;              /* its operation is to come */
    int64_t version, begun_ms;
    struct buf names_text;        /* every topic's name */
    struct slice *names;
    int name_count;
    struct resolved *items;
    int count;
};

/* ---- on a thread -------------------------------------------------------------------------------------------------------------------- */

static void match(struct work *work) {
    struct consumer_resolution *resolution = container_of(work, struct consumer_resolution, work);
    for (int i = 0; i < resolution->count; i++) {
        struct resolved *item = &resolution->items[i];
        const char *reason;
        item->regex = regex_create((const char *)item->pattern.ptr, item->pattern.size, &reason);
        for (int k = 0; item->regex && k < resolution->name_count; k++) {
            struct slice name = resolution->names[k];
            if (!regex_matches(item->regex, (const char *)name.ptr, name.size))
                continue;
            if (item->count == item->capacity) {
                item->capacity = item->capacity ? item->capacity * 2 : 16;
                item->topics = mem_realloc(item->topics, sizeof *item->topics * (size_t)item->capacity);
            }
            item->topics[item->count++] = name;
        }
    }
}

/* ---- begin and end --------------------------------------------------------------------------------------------------------------------- */

static void destroy(struct consumer_resolution *resolution) {
    for (int i = 0; i < resolution->count; i++) {
        mem_free((void *)resolution->items[i].pattern.ptr);
        regex_destroy(resolution->items[i].regex);
        mem_free(resolution->items[i].topics);
    }
    mem_free((void *)resolution->group_id.ptr);
    mem_free(resolution->items);
    mem_free(resolution->names);
    buf_deinit(&resolution->names_text);
    mem_free(resolution);
}

static bool topics_eq(const struct consumer_regex *regex, const struct slice *topics, int count) {
    if (regex->topic_count != count)
        return false;
    for (int i = 0; i < count; i++)
        if (!slice_eq(regex->topics[i], topics[i]))
            return false;
    return true;
}

/* The hash of the topics as they will be: the new sets stand in for the old ones for a moment. */
static void add_records(struct consumer_group *group, struct coordinator_op *op, struct consumer_resolution *resolution) {
    struct slice id = group->group.id;
    int count = 0, more = 0;
    bool bump = false;
    for (int i = 0; i < resolution->count; i++)
        more += resolution->items[i].count;
    /* Names that stay: those that somebody names, or another expression has. */
    struct slice *names = arena_array(op->arena, struct slice, group->topics.count + (size_t)more + 1);
    map_each(node, &group->topics) {
        const struct consumer_topic *topic = container_of(node, struct consumer_topic, node);
        int by_regex = topic->by_regex;
        for (int i = 0; by_regex > 0 && i < resolution->count; i++) {
            const struct consumer_regex *regex = consumer_find_regex(group, resolution->items[i].pattern);
            by_regex -= regex && regex->members > 0 && consumer_names_contain(regex->topics, regex->topic_count, topic->name);
        }
        if (topic->by_name > 0 || by_regex > 0)
            names[count++] = topic->name;
    }
    for (int i = 0; i < resolution->count; i++) {
        struct resolved *item = &resolution->items[i];
        const struct consumer_regex *regex = consumer_find_regex(group, item->pattern);
        if (!regex || !regex->members)
            continue; /* nobody subscribes by it any more */
        int sorted_count;
        struct slice *sorted = consumer_names_sort(op->arena, item->topics, item->count, &sorted_count);
        bump |= !topics_eq(regex, sorted, sorted_count);
        consumer_add_regex(op, id, item->pattern, sorted, sorted_count, resolution->version, resolution->begun_ms);
        for (int k = 0; k < sorted_count; k++)
            names[count++] = sorted[k];
    }
    int distinct;
    names = consumer_names_sort(op->arena, names, count, &distinct);
    int64_t hash = metadata_hash_group(op->coordinator->host->image, names, distinct);
    if (bump || hash != group->metadata_hash)
        consumer_bump_epoch(op, id, group->epoch + 1, hash);
}

static void decide(struct coordinator_op *op, void *state) {
    struct groups *groups = state;
    list_each_safe(node, &groups->resolutions) {
        struct consumer_resolution *resolution = list_entry(node, struct consumer_resolution, node);
        if (!resolution->is_matched)
            continue;
        struct group *base = groups_find(groups, resolution->group_id);
        if (base && base->methods->type == GROUP_CONSUMER)
            add_records(consumer_group_of(base), op, resolution);
        list_remove(&resolution->node);
        destroy(resolution);
        return;
    }
}

void consumer_resolutions_drop(struct groups *groups) {
    list_each_safe(node, &groups->resolutions) {
        struct consumer_resolution *resolution = list_entry(node, struct consumer_resolution, node);
        list_remove(&resolution->node);
        resolution->groups = NULL;
        if (resolution->is_matched)
            destroy(resolution);
    }
}

static void matched(struct shard *shard, struct work *work) {
    (void)shard;
    struct consumer_resolution *resolution = container_of(work, struct consumer_resolution, work);
    if (!resolution->groups) {
        destroy(resolution);
        return;
    }
    resolution->is_matched = true;
    coordinator_task(resolution->groups->coordinator, decide, NULL);
}

static bool is_under_way(const struct groups *groups, struct slice group_id) {
    list_each(node, &groups->resolutions)
        if (slice_eq(list_entry(node, struct consumer_resolution, node)->group_id, group_id))
            return true;
    return false;
}

static struct slice own(struct slice s) {
    return slice_of(mem_strndup((const char *)s.ptr, s.size), s.size);
}

static void begin(struct groups *groups, struct slice group_id, const struct slice *patterns, int count) {
    const struct image *image = groups->coordinator->host->image;
    struct consumer_resolution *resolution = mem_new(struct consumer_resolution);
    resolution->groups = groups;
    resolution->group_id = own(group_id);
    list_push_back(&groups->resolutions, &resolution->node);
    resolution->version = image->offset;
    resolution->begun_ms = coordinator_now_ms(groups->coordinator);
    resolution->items = mem_zalloc(sizeof *resolution->items * (size_t)(count + 1));
    resolution->count = count;
    for (int i = 0; i < count; i++)
        resolution->items[i].pattern = own(patterns[i]);
    map_each(node, &image->topics_by_name)
        buf_add_slice(&resolution->names_text, container_of(node, struct image_topic, by_name)->name);
    resolution->names = mem_alloc(sizeof(struct slice) * (image->topics_by_name.count + 1));
    const uint8_t *at = resolution->names_text.ptr;
    map_each(node, &image->topics_by_name) {
        size_t size = container_of(node, struct image_topic, by_name)->name.size;
        resolution->names[resolution->name_count++] = slice_of(at, size);
        at += size;
    }
    resolution->work.run = match;
    resolution->work.done = matched;
    shard_offload(groups->coordinator->host->shard, &resolution->work);
}

/* ---- a member's step --------------------------------------------------------------------------------------------------------------------- */

/* What the member changes; *ret_new: an expression that nobody has. False: it is none. */
static bool change(struct consumer_step *step, bool *ret_new) {
    struct slice was = step->was.regex, is = step->is.regex;
    const struct consumer_regex *old = slice_is_set(was) ? consumer_find_regex(step->group, was) : NULL;
    *ret_new = false;
    step->regex_changed = !slice_eq(was, is);
    if (!step->regex_changed)
        return true;
    if (old && old->members == 1)
        consumer_add_tombstone(step->op, CONSUMER_RECORD_REGEX, step->group_id, was);
    if (!slice_is_set(is)) {
        step->regex_settled = slice_is_set(was);
        return true;
    }
    const struct consumer_regex *regex = consumer_find_regex(step->group, is);
    if (regex && regex->members > 0) {
        step->regex_settled = regex->is_resolved;
        return true;
    }
    const char *reason;
    struct regex *compiled = regex_create((const char *)is.ptr, is.size, &reason);
    regex_destroy(compiled);
    *ret_new = true;
    return compiled || consumer_refuse(step, KAFKA_INVALID_REGULAR_EXPRESSION, "SubscribedTopicRegex `%.*s` is not a valid regular expression: %s.",
                                       SLICE_FMT(is), reason);
}

/* A clock that was set back must not hold expressions up until it has caught up: what is of the future is old. */
static bool is_within(int64_t ms, int64_t since_ms, int64_t now_ms) {
    return since_ms <= now_ms && now_ms - since_ms <= ms;
}

/* The expressions as they will be. */
static int subscribed(const struct consumer_step *step, struct slice *patterns) {
    int count = 0;
    bool gains = step->regex_changed && slice_is_set(step->is.regex);
    map_each(node, &step->group->regexes) {
        const struct consumer_regex *regex = container_of(node, struct consumer_regex, node);
        int members = regex->members - (step->regex_changed && slice_eq(regex->pattern, step->was.regex));
        if (gains && slice_eq(regex->pattern, step->is.regex)) {
            members++;
            gains = false;
        }
        if (members > 0)
            patterns[count++] = regex->pattern;
    }
    if (gains)
        patterns[count++] = step->is.regex;
    return count;
}

bool consumer_step_regex(struct consumer_step *step) {
    struct consumer_group *group = step->group;
    bool is_needed, has_any = false;
    if (!change(step, &is_needed))
        return false;
    int64_t refreshed_ms = INT64_MIN / 2, version = 0;
    map_each(node, &group->regexes) {
        const struct consumer_regex *regex = container_of(node, struct consumer_regex, node);
        has_any |= regex->members > 0;
        if (regex->is_resolved && regex->timestamp_ms > refreshed_ms) {
            refreshed_ms = regex->timestamp_ms;
            version = regex->version;
        }
    }
    struct coordinator *coordinator = step->op->coordinator;
    int64_t now_ms = coordinator_now_ms(coordinator);
    struct groups *groups = group->group.groups;
    if ((!is_needed && !has_any) || is_under_way(groups, step->group_id) || is_within(REFRESH_MS_MIN, refreshed_ms, now_ms))
        return true;
    struct slice *patterns = arena_array(step->op->arena, struct slice, group->regexes.count + 2);
    int count = subscribed(step, patterns);
    is_needed |= count != group->resolved_count || version < coordinator->host->image->topics_added ||
                 !is_within(coordinator_config_int(coordinator, "group.consumer.regex.refresh.interval.ms"), refreshed_ms, now_ms);
    if (is_needed && count)
        begin(groups, step->group_id, patterns, count);
    return true;
}
