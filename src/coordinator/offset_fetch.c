#include "coordinator/offset_commit.h"
#include "coordinator/offsets.h"
#include "protocol/errors.h"

typedef struct offset_fetch_response_offset_fetch_response_group answer_group;
typedef struct offset_fetch_response_offset_fetch_response_topics answer_topic;
typedef struct offset_fetch_response_offset_fetch_response_partitions answer_partition;

static void tell(const struct offsets *offsets, const struct offset_topic *topic, const struct committed_offset *committed, int32_t partition,
                 const struct offset_fetch *fetch, struct arena *arena, answer_partition *answer) {
    offset_fetch_response_offset_fetch_response_partitions_init(answer);
    answer->partition_index = partition;
    answer->committed_offset = -1;
    if (fetch->stable && topic && offset_topic_is_pending(offsets, topic, partition)) {
        answer->error_code = KAFKA_UNSTABLE_OFFSET_COMMIT;
    } else if (committed) {
        answer->committed_offset = committed->offset;
        answer->committed_leader_epoch = committed->leader_epoch;
        answer->metadata = arena_slice(arena, committed_metadata(committed));
    }
}

/* Committed for a topic that had the name before. */
static bool is_of_another(const struct committed_offset *committed, struct uuid id) {
    return !uuid_is_zero(committed->topic_id) && !uuid_is_zero(id) && !uuid_eq(committed->topic_id, id);
}

static void fetch_named(const struct offsets *offsets, const struct offset_group *group, struct arena *arena, const struct offset_fetch *fetch,
                        answer_group *answer) {
    answer->topics = arena_array(arena, answer_topic, fetch->count);
    answer->topics_count = fetch->count;
    for (int t = 0; t < fetch->count; t++) {
        const struct offset_fetch_topic *asked = &fetch->topics[t];
        const struct offset_topic *topic = group ? offsets_find_topic(offsets, group, asked->name) : NULL;
        answer_topic *out = &answer->topics[t];
        out->name = asked->name;
        out->topic_id = asked->id;
        out->partitions = arena_array(arena, answer_partition, asked->count);
        out->partitions_count = asked->count;
        for (int p = 0; p < asked->count; p++) {
            const struct committed_offset *committed = offset_topic_find(topic, asked->partitions[p]);
            if (committed && is_of_another(committed, asked->id))
                committed = NULL;
            tell(offsets, topic, committed, asked->partitions[p], fetch, arena, &out->partitions[p]);
        }
    }
}

static void fetch_all(const struct offsets *offsets, const struct offset_group *group, struct arena *arena, const struct offset_fetch *fetch,
                      answer_group *answer) {
    int count = 0;
    list_each(node, &group->topics)
        count++;
    answer->topics = arena_array(arena, answer_topic, count);
    list_each(node, &group->topics) {
        const struct offset_topic *topic = list_entry(node, struct offset_topic, in_group);
        if (!topic->count)
            continue; /* only pending ones */
        answer_topic *out = &answer->topics[answer->topics_count++];
        out->name = arena_slice(arena, topic->name->name);
        out->partitions = arena_array(arena, answer_partition, topic->count);
        out->partitions_count = topic->count;
        for (int p = 0; p < topic->count; p++)
            tell(offsets, topic, &topic->committed[p], topic->committed[p].partition, fetch, arena, &out->partitions[p]);
    }
}

void offsets_fetch(struct groups *groups, struct arena *arena, const struct offset_fetch *fetch, answer_group *answer) {
    const struct offsets *offsets = groups->offsets;
    struct group *group = groups_find(groups, fetch->group);
    int16_t error = group ? group->methods->check_fetch(group, &fetch->caller) : KAFKA_GROUP_ID_NOT_FOUND;
    bool found = error != KAFKA_GROUP_ID_NOT_FOUND; /* else it just has no offsets */
    if (error && found) {
        answer->error_code = error;
        return;
    }
    const struct offset_group *committed = found ? offsets_find_group(offsets, fetch->group) : NULL;
    if (!fetch->all)
        fetch_named(offsets, committed, arena, fetch, answer);
    else if (committed)
        fetch_all(offsets, committed, arena, fetch, answer);
}
