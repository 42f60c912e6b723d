#include "coordinator/streams_topology.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "coordinator/java_order.h"
#include "protocol/errors.h"

#define SAME(a, b, field) _Static_assert(offsetof(a, field) == offsetof(b, field), "a topology is laid out alike in requests and records")
SAME(struct streams_group_heartbeat_request_topology, streams_topology, subtopologies_count);
SAME(struct streams_group_heartbeat_request_subtopology, streams_subtopology, source_topics);
SAME(struct streams_group_heartbeat_request_subtopology, streams_subtopology, source_topic_regex);
SAME(struct streams_group_heartbeat_request_subtopology, streams_subtopology, state_changelog_topics);
SAME(struct streams_group_heartbeat_request_subtopology, streams_subtopology, repartition_sink_topics);
SAME(struct streams_group_heartbeat_request_subtopology, streams_subtopology, repartition_source_topics);
SAME(struct streams_group_heartbeat_request_subtopology, streams_subtopology, copartition_groups_count);
SAME(struct streams_group_heartbeat_request_topic_info, streams_topic_info, topic_configs_count);
SAME(struct streams_group_heartbeat_request_key_value, struct streams_group_topology_value_topic_config, value);
SAME(struct streams_group_heartbeat_request_copartition_group, struct streams_group_topology_value_copartition_group, repartition_source_topics_count);
_Static_assert(sizeof(struct streams_group_heartbeat_request_subtopology) == sizeof(streams_subtopology) &&
                   sizeof(struct streams_group_heartbeat_request_topic_info) == sizeof(streams_topic_info),
               "a topology is laid out alike in requests and records");

const streams_topology *streams_topology_of_request(const struct streams_group_heartbeat_request_topology *topology) {
    return (const streams_topology *)topology;
}

static int by_id(const void *a, const void *b) {
    const streams_subtopology *x = a, *y = b;
    return slice_cmp(x->subtopology_id, y->subtopology_id);
}

/* A shallow copy with the subtopologies in order. */
static streams_topology in_order(struct arena *arena, const streams_topology *topology) {
    streams_topology copy = *topology;
    copy.subtopologies = arena_array(arena, streams_subtopology, topology->subtopologies_count);
    if (!topology->subtopologies_count)
        return copy;
    memcpy(copy.subtopologies, topology->subtopologies, sizeof(streams_subtopology) * (size_t)topology->subtopologies_count);
    qsort(copy.subtopologies, (size_t)copy.subtopologies_count, sizeof copy.subtopologies[0], by_id);
    return copy;
}

bool streams_topology_has_duplicates(const streams_topology *topology, struct arena *arena) {
    streams_topology sorted = in_order(arena, topology);
    for (int i = 1; i < sorted.subtopologies_count; i++)
        if (slice_eq(sorted.subtopologies[i - 1].subtopology_id, sorted.subtopologies[i].subtopology_id))
            return true;
    return false;
}

static void encode_in_order(const streams_topology *topology, struct buf *buf) {
    struct arena arena = {0};
    struct encoder encoder;
    encoder_init(&encoder, buf, NULL);
    streams_topology sorted = in_order(&arena, topology);
    enum err err = streams_group_topology_value_encode(&encoder, 0, &sorted);
    check(!err, "a topology cannot be encoded: %s", err_text(err));
    arena_deinit(&arena);
}

bool streams_topology_equal(const streams_topology *a, const streams_topology *b) {
    struct buf x = {0}, y = {0};
    encode_in_order(a, &x);
    encode_in_order(b, &y);
    bool equal = slice_eq(buf_slice(&x), buf_slice(&y));
    buf_deinit(&x);
    buf_deinit(&y);
    return equal;
}

const streams_subtopology *streams_topology_reader(const streams_topology *topology, struct slice topic) {
    for (int i = topology->subtopologies_count - 1; i >= 0; i--) {
        const streams_subtopology *subtopology = &topology->subtopologies[i];
        for (int k = 0; k < subtopology->source_topics_count; k++)
            if (slice_eq(subtopology->source_topics[k], topic))
                return subtopology;
        for (int k = 0; k < subtopology->repartition_source_topics_count; k++)
            if (slice_eq(subtopology->repartition_source_topics[k].name, topic))
                return subtopology;
    }
    return NULL;
}

/* ---- names with numbers ------------------------------------------------------------------------------------------------------ */

struct counted {
    struct map_node node;
    struct slice name;
    int32_t count;
    const streams_topic_info *info;
    bool gone;
    struct counted *next; /* in order of insertion */
};
struct counts {
    struct map map;
    struct arena *arena;
    struct counted *first, **last;
};

static struct counts counts_create(struct arena *arena) {
    return (struct counts){.arena = arena};
}

static bool counted_is(const struct map_node *node, const void *key) {
    return slice_eq(container_of(node, struct counted, node)->name, *(const struct slice *)key);
}

static struct counted *counts_find(const struct counts *counts, struct slice name) {
    struct map_node *node = map_find(&counts->map, hash_slice(name), counted_is, &name);
    return node ? container_of(node, struct counted, node) : NULL;
}

static struct counted *counts_put(struct counts *counts, struct slice name, int32_t count) {
    struct counted *counted = counts_find(counts, name);
    if (!counted) {
        counted = arena_zalloc(counts->arena, sizeof *counted);
        counted->name = name;
        map_insert(&counts->map, &counted->node, hash_slice(name));
        *(counts->last ? counts->last : &counts->first) = counted;
        counts->last = &counted->next;
    }
    counted->count = count;
    return counted;
}

static struct counted **counts_in_java_order(const struct counts *counts) {
    int count = (int)counts->map.count, i = 0;
    struct slice *names = arena_array(counts->arena, struct slice, count);
    struct counted **plain = arena_array(counts->arena, struct counted *, count), **sorted = arena_array(counts->arena, struct counted *, count);
    for (struct counted *counted = counts->first; counted; counted = counted->next) {
        names[i] = counted->name;
        plain[i++] = counted;
    }
    int *order = java_map_order(counts->arena, names, count, 0);
    for (i = 0; i < count; i++)
        sorted[i] = plain[order[i]];
    return sorted;
}

static void add_topics(struct counts *counts, const streams_topology *topology) {
    for (int i = 0; i < topology->subtopologies_count; i++) {
        const streams_subtopology *subtopology = &topology->subtopologies[i];
        for (int k = 0; k < subtopology->source_topics_count; k++)
            counts_put(counts, subtopology->source_topics[k], 0);
        for (int k = 0; k < subtopology->repartition_source_topics_count; k++)
            counts_put(counts, subtopology->repartition_source_topics[k].name, 0);
        for (int k = 0; k < subtopology->state_changelog_topics_count; k++)
            counts_put(counts, subtopology->state_changelog_topics[k].name, 0);
    }
}

struct slice *streams_topology_topics(struct arena *arena, const streams_topology *topology, int *ret_count) {
    struct counts counts = counts_create(arena);
    add_topics(&counts, topology);
    struct slice *names = arena_array(arena, struct slice, counts.map.count);
    int count = 0;
    for (struct counted *counted = counts.first; counted; counted = counted->next)
        names[count++] = counted->name;
    map_deinit(&counts.map);
    *ret_count = count;
    return names;
}

/* ---- deciding ---------------------------------------------------------------------------------------------------------------- */

struct configuring { /* a topology, on its way to a verdict */
    struct arena *arena;
    const struct image *image;
    const streams_topology *topology;
    const streams_subtopology **subtopologies; /* as Kafka's map hands them out */
    int count;
    struct counts decided;
    struct counts fixed, flexible; /* repartition sources: those with a count of their own, those without */
    struct streams_configured *configured;
    bool ended; /* a status or an error was found */
};

static void end_with_status(struct configuring *work, enum streams_status status, const char *detail) {
    work->configured->status = (int)status;
    work->configured->detail = detail;
    work->ended = true;
}

static void end_with_error(struct configuring *work, int16_t error, const char *message) {
    work->configured->error = error;
    work->configured->message = message;
    work->ended = true;
}

/* Three names, and how many more. */
static const char *summary(struct arena *arena, const struct slice *names, int count) {
    const char *text = "";
    for (int i = 0; i < count && i < 3; i++)
        text = arena_printf(arena, "%s%s%.*s", text, i ? ", " : "", SLICE_FMT(names[i]));
    return count > 3 ? arena_printf(arena, "%s and %d additional topics", text, count - 3) : text;
}

static int by_name(const void *a, const void *b) {
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void find_missing_sources(struct configuring *work) {
    struct counts missing = counts_create(work->arena);
    for (int i = 0; i < work->count; i++)
        for (int k = 0; k < work->subtopologies[i]->source_topics_count; k++)
            if (!image_find_topic(work->image, work->subtopologies[i]->source_topics[k]))
                counts_put(&missing, work->subtopologies[i]->source_topics[k], 0);
    int count = 0;
    struct slice *names = arena_array(work->arena, struct slice, missing.map.count);
    for (struct counted *counted = missing.first; counted; counted = counted->next)
        names[count++] = counted->name;
    map_deinit(&missing.map);
    if (!count)
        return;
    qsort(names, (size_t)count, sizeof names[0], by_name);
    end_with_status(work, STREAMS_MISSING_SOURCE_TOPICS, arena_printf(work->arena, "Source topics %s are missing.", summary(work->arena, names, count)));
}

/* Of what exists, else of what was decided; false: not known. */
static bool find_count(const struct configuring *work, struct slice topic, int32_t *ret_count) {
    const struct image_topic *found = image_find_topic(work->image, topic);
    const struct counted *counted = found ? NULL : counts_find(&work->decided, topic);
    if (!found && !counted)
        return false;
    *ret_count = found ? found->partition_count : counted->count;
    return true;
}

/* The most partitions that a subtopology's known inputs have; false: none is known. */
static bool sink_count(const struct configuring *work, const struct counts *known, const streams_subtopology *subtopology, int32_t *ret_count) {
    bool found = false;
    int32_t count;
    for (int i = 0; i < subtopology->repartition_source_topics_count; i++) {
        const struct counted *counted = counts_find(known, subtopology->repartition_source_topics[i].name);
        if (counted && (!found || counted->count > *ret_count)) {
            *ret_count = counted->count;
            found = true;
        }
    }
    for (int i = 0; i < subtopology->source_topics_count; i++)
        if (find_count(work, subtopology->source_topics[i], &count) && (!found || count > *ret_count)) {
            *ret_count = count;
            found = true;
        }
    return found;
}

/* One pass over the sinks without a count; how many are left, and whether one got its count. */
static int count_sinks(struct configuring *work, struct counts *known, bool *ret_progress) {
    int left = 0;
    for (int i = 0; i < work->count; i++) {
        const streams_subtopology *subtopology = work->subtopologies[i];
        for (int k = 0; k < subtopology->repartition_sink_topics_count; k++) {
            int32_t count = 0;
            if (counts_find(known, subtopology->repartition_sink_topics[k]))
                continue;
            if (sink_count(work, known, subtopology, &count)) {
                counts_put(known, subtopology->repartition_sink_topics[k], count);
                *ret_progress = true;
            } else {
                left++;
            }
        }
    }
    return left;
}

static void decide_repartition_topics(struct configuring *work) {
    struct counts known = counts_create(work->arena);
    for (int i = 0; i < work->count; i++)
        for (int k = 0; k < work->subtopologies[i]->repartition_source_topics_count; k++) {
            const streams_topic_info *info = &work->subtopologies[i]->repartition_source_topics[k];
            counts_put(info->partitions ? &work->fixed : &work->flexible, info->name, info->partitions);
            if (info->partitions)
                counts_put(&known, info->name, info->partitions);
        }
    bool progress;
    do {
        progress = false;
        if (count_sinks(work, &known, &progress) == 0)
            break;
        if (!progress)
            end_with_error(work, KAFKA_STREAMS_INVALID_TOPOLOGY,
                           "Failed to compute number of partitions for all repartition topics. There may be loops in the topology that cannot be resolved.");
    } while (progress);
    for (int i = 0; i < work->count && !work->ended; i++)
        for (int k = 0; k < work->subtopologies[i]->repartition_source_topics_count && !work->ended; k++)
            if (!counts_find(&known, work->subtopologies[i]->repartition_source_topics[k].name))
                end_with_error(work, KAFKA_STREAMS_INVALID_TOPOLOGY,
                               "Failed to compute number of partitions for all repartition topics, because a repartition source topic is never used as a sink topic.");
    for (struct counted *counted = known.first; counted; counted = counted->next)
        counts_put(&work->decided, counted->name, counted->count);
    map_deinit(&known.map);
}

static int by_counted_name(const void *a, const void *b) {
    return slice_cmp((*(struct counted *const *)a)->name, (*(struct counted *const *)b)->name);
}

static void differ(struct configuring *work, const struct counts *topics) {
    int count = 0;
    struct counted **sorted = arena_array(work->arena, struct counted *, topics->map.count);
    for (struct counted *counted = topics->first; counted; counted = counted->next)
        sorted[count++] = counted;
    qsort(sorted, (size_t)count, sizeof sorted[0], by_counted_name);
    struct buf text = {0};
    for (int i = 0; i < count; i++)
        buf_printf(&text, "%s%.*s=%d", i ? ", " : "", SLICE_FMT(sorted[i]->name), sorted[i]->count);
    end_with_status(work, STREAMS_INCORRECTLY_PARTITIONED_TOPICS,
                    arena_printf(work->arena, "Following topics do not have the same number of partitions: [{%s}]", buf_text(&text)));
    buf_deinit(&text);
}

/* Only repartition topics: what those with a count of their own agree on, anywhere in the topology; else the most. */
static int32_t count_among_repartition_topics(struct configuring *work, const struct counts *topics) {
    int32_t first = 0, count = 0;
    if (work->fixed.first) {
        (void)!find_count(work, work->fixed.first->name, &first);
        for (struct counted *fixed = work->fixed.first; fixed && !work->ended; fixed = fixed->next)
            if (find_count(work, fixed->name, &count) && count != first)
                differ(work, topics);
        return first;
    }
    for (struct counted *counted = topics->first; counted; counted = counted->next)
        first = counted->count > first ? counted->count : first;
    if (!first)
        end_with_error(work, KAFKA_STREAMS_INVALID_TOPOLOGY, "All topics in the copartition group had undefined partition number.");
    return first;
}

static int32_t count_of_sources(struct configuring *work, const struct counts *topics) {
    for (struct counted *counted = topics->first->next; counted; counted = counted->next)
        if (counted->count != topics->first->count) {
            differ(work, topics);
            break;
        }
    return topics->first->count;
}

static void enforce(struct configuring *work, const struct counts *repartition, const struct counts *sources) {
    if (!repartition->first && !sources->first)
        return;
    int32_t use = sources->first ? count_of_sources(work, sources) : count_among_repartition_topics(work, repartition);
    for (struct counted *counted = repartition->first; counted && !work->ended; counted = counted->next) {
        if (counts_find(&work->fixed, counted->name) && counted->count != use)
            end_with_status(work, STREAMS_INCORRECTLY_PARTITIONED_TOPICS,
                            arena_printf(work->arena, "Number of partitions [%d] of repartition topic [%.*s] doesn't match number of partitions [%d] of the source topic.",
                                         counted->count, SLICE_FMT(counted->name), use));
        counts_put(&work->decided, counted->name, use);
    }
}

static void enforce_group(struct configuring *work, const streams_subtopology *subtopology, const struct streams_group_topology_value_copartition_group *group) {
    struct counts repartition = counts_create(work->arena), sources = counts_create(work->arena);
    for (int i = 0; i < group->source_topics_count + group->repartition_source_topics_count && !work->ended; i++) {
        int k = i - group->source_topics_count;
        struct slice name = k < 0 ? subtopology->source_topics[group->source_topics[i]]
                                  : subtopology->repartition_source_topics[group->repartition_source_topics[k]].name;
        bool is_repartition = counts_find(&work->fixed, name) || counts_find(&work->flexible, name);
        int32_t count;
        if (find_count(work, name, &count))
            counts_put(is_repartition ? &repartition : &sources, name, count);
        else
            end_with_error(work, KAFKA_UNKNOWN_SERVER_ERROR, NULL);
    }
    if (!work->ended)
        enforce(work, &repartition, &sources);
    map_deinit(&repartition.map);
    map_deinit(&sources.map);
}

static bool index_is_bad(const int16_t *indexes, int count, int limit) {
    for (int i = 0; i < count; i++)
        if (indexes[i] < 0 || indexes[i] >= limit)
            return true;
    return false;
}

static void check_copartition_indexes(struct configuring *work) {
    for (int i = 0; i < work->count; i++)
        for (int k = 0; k < work->subtopologies[i]->copartition_groups_count; k++) {
            const struct streams_group_topology_value_copartition_group *group = &work->subtopologies[i]->copartition_groups[k];
            if (index_is_bad(group->source_topics, group->source_topics_count, work->subtopologies[i]->source_topics_count) ||
                index_is_bad(group->repartition_source_topics, group->repartition_source_topics_count, work->subtopologies[i]->repartition_source_topics_count))
                end_with_error(work, KAFKA_UNKNOWN_SERVER_ERROR, NULL);
        }
}

/* The tasks of a subtopology: the most partitions that one of its inputs has; -1: it has no input. */
static int32_t task_count(struct configuring *work, const streams_subtopology *subtopology) {
    int32_t max = -1, count;
    for (int i = 0; i < subtopology->source_topics_count; i++)
        if (find_count(work, subtopology->source_topics[i], &count) && count > max)
            max = count;
    for (int i = 0; i < subtopology->repartition_source_topics_count; i++)
        if (find_count(work, subtopology->repartition_source_topics[i].name, &count) && count > max)
            max = count;
    return max;
}

static void decide_changelogs(struct configuring *work) {
    struct counts changelogs = counts_create(work->arena);
    for (int i = 0; i < work->count && !work->ended; i++) {
        const streams_subtopology *subtopology = work->subtopologies[i];
        int32_t count = task_count(work, subtopology);
        if (count < 0)
            end_with_error(work, KAFKA_STREAMS_INVALID_TOPOLOGY,
                           arena_printf(work->arena, "No source topics found for subtopology %.*s", SLICE_FMT(subtopology->subtopology_id)));
        for (int k = 0; k < subtopology->state_changelog_topics_count; k++)
            counts_put(&changelogs, subtopology->state_changelog_topics[k].name, count);
    }
    for (struct counted *counted = changelogs.first; counted; counted = counted->next)
        counts_put(&work->decided, counted->name, counted->count);
    map_deinit(&changelogs.map);
}

static int32_t *counts_of(struct configuring *work, const streams_topic_info *infos, int count) {
    int32_t *counts = arena_array(work->arena, int32_t, count);
    for (int i = 0; i < count; i++) {
        const struct counted *counted = counts_find(&work->decided, infos[i].name);
        counts[i] = infos[i].partitions ? infos[i].partitions : counted ? counted->count : 0;
    }
    return counts;
}

static void configure_subtopologies(struct configuring *work) {
    streams_topology sorted = in_order(work->arena, work->topology);
    work->configured->subtopologies = arena_array(work->arena, struct streams_configured_subtopology, work->count);
    work->configured->count = work->count;
    for (int i = 0; i < work->count; i++) {
        const streams_subtopology *raw = &sorted.subtopologies[i];
        work->configured->subtopologies[i] = (struct streams_configured_subtopology){
            .raw = raw,
            .task_count = task_count(work, raw),
            .repartition_counts = counts_of(work, raw->repartition_source_topics, raw->repartition_source_topics_count),
            .changelog_counts = counts_of(work, raw->state_changelog_topics, raw->state_changelog_topics_count),
        };
    }
}

static void expect_topics(struct counts *expected, const streams_topic_info *infos, const int32_t *counts, int count) {
    for (int i = 0; i < count; i++)
        counts_put(expected, infos[i].name, counts[i])->info = &infos[i];
}

/* Takes those that exist from what is expected. */
static void compare_with_image(struct configuring *work, struct counts *expected) {
    struct counts required = counts_create(work->arena);
    add_topics(&required, work->topology);
    struct counted **order = counts_in_java_order(&required);
    for (int i = 0; i < (int)required.map.count && !work->ended; i++) {
        const struct image_topic *topic = image_find_topic(work->image, order[i]->name);
        struct counted *counted = topic ? counts_find(expected, order[i]->name) : NULL;
        if (!counted)
            continue;
        counted->gone = true;
        if (topic->partition_count != counted->count)
            end_with_status(work, STREAMS_INCORRECTLY_PARTITIONED_TOPICS,
                            arena_printf(work->arena, "Existing topic %.*s has different number of partitions: expected %d, found %d", SLICE_FMT(counted->name),
                                         counted->count, topic->partition_count));
    }
    map_deinit(&required.map);
}

static void find_missing_topics(struct configuring *work) {
    struct counts expected = counts_create(work->arena);
    for (int i = 0; i < work->count; i++) {
        const struct streams_configured_subtopology *subtopology = &work->configured->subtopologies[i];
        expect_topics(&expected, subtopology->raw->repartition_source_topics, subtopology->repartition_counts, subtopology->raw->repartition_source_topics_count);
        expect_topics(&expected, subtopology->raw->state_changelog_topics, subtopology->changelog_counts, subtopology->raw->state_changelog_topics_count);
    }
    compare_with_image(work, &expected);
    int total = (int)expected.map.count, count = 0;
    struct counted **order = counts_in_java_order(&expected);
    struct streams_internal_topic *missing = arena_array(work->arena, struct streams_internal_topic, total);
    struct slice *names = arena_array(work->arena, struct slice, total);
    for (int i = 0; i < total && !work->ended; i++)
        if (!order[i]->gone) {
            names[count] = order[i]->name;
            missing[count++] = (struct streams_internal_topic){order[i]->info, order[i]->count};
        }
    map_deinit(&expected.map);
    if (work->ended) {
        work->configured->count = 0;
        return;
    }
    work->configured->missing = missing;
    work->configured->missing_count = count;
    if (count)
        end_with_status(work, STREAMS_MISSING_INTERNAL_TOPICS, arena_printf(work->arena, "Internal topics are missing: %s", summary(work->arena, names, count)));
}

/* What a target's record can hold for one member; and no topology may fill the broker's memory. */
static void limit_tasks(struct configuring *work) {
    int64_t total = 0;
    for (int i = 0; i < work->configured->count; i++)
        total += work->configured->subtopologies[i].task_count;
    if (total > STREAMS_TASKS_MAX)
        end_with_error(work, KAFKA_STREAMS_INVALID_TOPOLOGY, arena_printf(work->arena, "The topology has %lld tasks; %d are possible.", (long long)total, STREAMS_TASKS_MAX));
}

static void order_subtopologies(struct configuring *work) {
    work->count = work->topology->subtopologies_count;
    work->subtopologies = arena_array(work->arena, const streams_subtopology *, work->count);
    struct slice *ids = arena_array(work->arena, struct slice, work->count);
    for (int i = 0; i < work->count; i++)
        ids[i] = work->topology->subtopologies[i].subtopology_id;
    int *order = java_map_order(work->arena, ids, work->count, 0);
    for (int i = 0; i < work->count; i++)
        work->subtopologies[i] = &work->topology->subtopologies[order[i]];
}

static void enforce_copartitioning(struct configuring *work) {
    for (int i = 0; i < work->count && !work->ended; i++)
        for (int k = 0; k < work->subtopologies[i]->copartition_groups_count && !work->ended; k++)
            enforce_group(work, work->subtopologies[i], &work->subtopologies[i]->copartition_groups[k]);
}

void streams_configure(struct arena *arena, const struct image *image, const streams_topology *topology, struct streams_configured *ret_configured) {
    *ret_configured = (struct streams_configured){.status = -1};
    struct configuring work = {.arena = arena, .image = image, .topology = topology, .configured = ret_configured,
                        .decided = counts_create(arena), .fixed = counts_create(arena), .flexible = counts_create(arena)};
    order_subtopologies(&work);
    void (*const steps[])(struct configuring *) = {check_copartition_indexes, find_missing_sources, decide_repartition_topics, enforce_copartitioning,
                                            decide_changelogs, configure_subtopologies, find_missing_topics, limit_tasks};
    for (int i = 0; i < COUNT_OF(steps) && !work.ended; i++)
        steps[i](&work);
    map_deinit(&work.decided.map);
    map_deinit(&work.fixed.map);
    map_deinit(&work.flexible.map);
}

static int id_cmp(const void *key, const void *element) {
    return slice_cmp(*(const struct slice *)key, ((const struct streams_configured_subtopology *)element)->raw->subtopology_id);
}

const struct streams_configured_subtopology *streams_find_subtopology(const struct streams_configured *configured, struct slice id) {
    return configured->count ? bsearch(&id, configured->subtopologies, (size_t)configured->count, sizeof configured->subtopologies[0], id_cmp) : NULL;
}
