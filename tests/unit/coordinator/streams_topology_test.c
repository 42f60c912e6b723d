/* What the brokers make of a topology: counts of tasks and of internal topics' partitions, and what is wrong. The texts are Kafka's. */
#include "coordinator/streams_topology.h"
#include "protocol/errors.h"
#include "tests/unit/coordinator/topics.h"

struct fixture {
    struct arena arena;
    struct image *image;
    streams_subtopology subtopologies[4];
    streams_topology topology;
    struct streams_configured configured;
};

static struct fixture *begin(void) {
    struct fixture *f = mem_zalloc(sizeof *f);
    f->image = image_create(NULL);
    f->topology.subtopologies = f->subtopologies;
    return f;
}

static void end(struct fixture *f) {
    image_destroy(f->image);
    arena_deinit(&f->arena);
    mem_free(f);
}

/* "a b" to names. */
static struct slice *names(struct fixture *f, const char *text, int32_t *ret_count) {
    struct slice *list = arena_array(&f->arena, struct slice, strlen(text) + 1);
    while (*text) {
        size_t size = strcspn(text, " ");
        list[(*ret_count)++] = slice_of(text, size);
        text += size + (text[size] == ' ');
    }
    return list;
}

/* "a:3 b" to topics with a count of their own, and without. */
static streams_topic_info *infos(struct fixture *f, const char *text, int32_t *ret_count) {
    struct slice *list = names(f, text, ret_count);
    streams_topic_info *topics = arena_array(&f->arena, streams_topic_info, *ret_count);
    for (int i = 0; i < *ret_count; i++) {
        const uint8_t *colon = memchr(list[i].ptr, ':', list[i].size);
        topics[i].name = slice_of(list[i].ptr, colon ? (size_t)(colon - list[i].ptr) : list[i].size);
        topics[i].partitions = colon ? colon[1] - '0' : 0;
    }
    return topics;
}

static streams_subtopology *subtopology(struct fixture *f, const char *id, const char *sources, const char *repartition_sources, const char *sinks,
                                        const char *changelogs) {
    streams_subtopology *s = &f->subtopologies[f->topology.subtopologies_count++];
    s->subtopology_id = slice_str(id);
    s->source_topics = names(f, sources, &s->source_topics_count);
    s->repartition_sink_topics = names(f, sinks, &s->repartition_sink_topics_count);
    s->repartition_source_topics = infos(f, repartition_sources, &s->repartition_source_topics_count);
    s->state_changelog_topics = infos(f, changelogs, &s->state_changelog_topics_count);
    return s;
}

/* All inputs of the subtopology are copartitioned. */
static void copartition(struct fixture *f, streams_subtopology *s) {
    s->copartition_groups_count = 1;
    s->copartition_groups = arena_array(&f->arena, struct streams_group_topology_value_copartition_group, 1);
    s->copartition_groups->source_topics = arena_array(&f->arena, int16_t, 8);
    s->copartition_groups->repartition_source_topics = arena_array(&f->arena, int16_t, 8);
    for (int i = 0; i < s->source_topics_count; i++)
        s->copartition_groups->source_topics[s->copartition_groups->source_topics_count++] = (int16_t)i;
    for (int i = 0; i < s->repartition_source_topics_count; i++)
        s->copartition_groups->repartition_source_topics[s->copartition_groups->repartition_source_topics_count++] = (int16_t)i;
}

static void configure(struct fixture *f) {
    streams_configure(&f->arena, f->image, &f->topology, &f->configured);
}

#define EXPECT_STATUS(f, expected, text)                                                   \
    do {                                                                                   \
        configure(f);                                                                      \
        EXPECT_INT((f)->configured.error, 0);                                              \
        EXPECT_INT((f)->configured.status, expected);                                      \
        EXPECT_STR((f)->configured.detail, text);                                          \
    } while (0)
#define EXPECT_ERROR(f, expected)                                                          \
    do {                                                                                   \
        configure(f);                                                                      \
        EXPECT_INT((f)->configured.error, expected);                                       \
    } while (0)

TEST(tasks_are_as_many_as_the_widest_input_has_partitions) {
    struct fixture *f = begin();
    test_topic(f->image, "in", NULL, 3);
    test_topic(f->image, "other", NULL, 5);
    test_topic(f->image, "store", NULL, 5);
    subtopology(f, "0", "in other", "", "", "store");
    configure(f);
    EXPECT(streams_is_ready(&f->configured));
    EXPECT_INT(f->configured.count, 1);
    EXPECT_INT(f->configured.subtopologies[0].task_count, 5);
    EXPECT_INT(f->configured.subtopologies[0].changelog_counts[0], 5);
    end(f);
}

TEST(missing_sources_are_named_in_order_three_of_them) {
    struct fixture *f = begin();
    subtopology(f, "0", "d c", "", "", "");
    subtopology(f, "1", "e b a", "", "", "");
    EXPECT_STATUS(f, STREAMS_MISSING_SOURCE_TOPICS, "Source topics a, b, c and 2 additional topics are missing.");
    EXPECT_INT(f->configured.count, 0);
    end(f);
}

TEST(repartition_topics_get_the_count_of_what_feeds_them) {
    struct fixture *f = begin();
    test_topic(f->image, "in", NULL, 4);
    subtopology(f, "2", "", "r2", "", "log2");
    subtopology(f, "1", "", "r1", "r2", "");
    subtopology(f, "0", "in", "", "r1", "");
    EXPECT_STATUS(f, STREAMS_MISSING_INTERNAL_TOPICS, "Internal topics are missing: r2, log2, r1");
    EXPECT_INT(f->configured.count, 3);
    EXPECT_INT(f->configured.missing_count, 3);
    for (int i = 0; i < 3; i++) {
        EXPECT_INT(f->configured.missing[i].partitions, 4);
        EXPECT_INT(f->configured.subtopologies[i].task_count, 4);
    }
    end(f);
}

TEST(a_count_of_the_applications_own_holds) {
    struct fixture *f = begin();
    test_topic(f->image, "in", NULL, 4);
    subtopology(f, "0", "in", "", "r", "");
    subtopology(f, "1", "", "r:2", "", "log");
    configure(f);
    EXPECT_INT(f->configured.subtopologies[1].task_count, 2);
    EXPECT_INT(f->configured.subtopologies[1].changelog_counts[0], 2);
    end(f);
}

TEST(loops_and_unfed_repartition_topics_are_refused) {
    struct fixture *f = begin();
    subtopology(f, "0", "", "a", "b", "");
    subtopology(f, "1", "", "b", "a", "");
    EXPECT_ERROR(f, KAFKA_STREAMS_INVALID_TOPOLOGY);
    end(f);
    f = begin();
    test_topic(f->image, "in", NULL, 1);
    subtopology(f, "0", "in", "never", "", "");
    EXPECT_ERROR(f, KAFKA_STREAMS_INVALID_TOPOLOGY);
    end(f);
    f = begin();
    subtopology(f, "s", "", "", "", "");
    EXPECT_ERROR(f, KAFKA_STREAMS_INVALID_TOPOLOGY);
    EXPECT_STR(f->configured.message, "No source topics found for subtopology s");
    end(f);
}

TEST(copartitioned_sources_must_agree) {
    struct fixture *f = begin();
    test_topic(f->image, "in1", NULL, 2);
    test_topic(f->image, "in3", NULL, 3);
    copartition(f, subtopology(f, "0", "in3 in1", "", "", ""));
    EXPECT_STATUS(f, STREAMS_INCORRECTLY_PARTITIONED_TOPICS, "Following topics do not have the same number of partitions: [{in1=2, in3=3}]");
    EXPECT_INT(f->configured.count, 0);
    end(f);
}

TEST(a_copartitioned_repartition_topic_follows_the_source) {
    struct fixture *f = begin();
    test_topic(f->image, "in", NULL, 2);
    test_topic(f->image, "big", NULL, 7);
    subtopology(f, "0", "big", "", "r", "");
    copartition(f, subtopology(f, "1", "in", "r", "", ""));
    configure(f);
    EXPECT_INT(f->configured.subtopologies[1].task_count, 2);
    EXPECT_INT(f->configured.missing[0].partitions, 2);
    end(f);
    f = begin();
    test_topic(f->image, "in", NULL, 2);
    subtopology(f, "0", "in", "", "r", "");
    copartition(f, subtopology(f, "1", "in", "r:5", "", ""));
    EXPECT_STATUS(f, STREAMS_INCORRECTLY_PARTITIONED_TOPICS,
                  "Number of partitions [5] of repartition topic [r] doesn't match number of partitions [2] of the source topic.");
    end(f);
}

TEST(copartitioned_repartition_topics_agree_among_themselves) {
    struct fixture *f = begin();
    test_topic(f->image, "two", NULL, 2);
    test_topic(f->image, "six", NULL, 6);
    subtopology(f, "0", "two", "", "a", "");
    subtopology(f, "1", "six", "", "b", "");
    copartition(f, subtopology(f, "2", "", "a b", "", ""));
    configure(f);
    EXPECT_INT(f->configured.subtopologies[2].task_count, 6);
    for (int i = 0; i < 2; i++)
        EXPECT_INT(f->configured.missing[i].partitions, 6);
    f->subtopologies[2].repartition_source_topics[0].partitions = 3;
    configure(f);
    EXPECT_INT(f->configured.subtopologies[2].task_count, 3);
    end(f);
}

TEST(an_index_that_names_no_topic_is_an_unknown_error) {
    struct fixture *f = begin();
    test_topic(f->image, "in", NULL, 2);
    streams_subtopology *s = subtopology(f, "0", "in", "", "", "");
    copartition(f, s);
    s->copartition_groups->source_topics[0] = 1;
    EXPECT_ERROR(f, KAFKA_UNKNOWN_SERVER_ERROR);
    end(f);
}

TEST(an_existing_internal_topic_of_another_size_is_told) {
    struct fixture *f = begin();
    test_topic(f->image, "in", NULL, 2);
    test_topic(f->image, "log", NULL, 3);
    subtopology(f, "0", "in", "", "", "log");
    EXPECT_STATUS(f, STREAMS_INCORRECTLY_PARTITIONED_TOPICS, "Existing topic log has different number of partitions: expected 2, found 3");
    end(f);
}

TEST(no_subtopologies_are_fine) {
    struct fixture *f = begin();
    configure(f);
    EXPECT(streams_is_ready(&f->configured));
    EXPECT_INT(f->configured.count, 0);
    end(f);
}

/* A short request may ask for tasks without end: each subtopology has one for each partition. */
TEST(a_topology_has_so_many_tasks_at_most) {
    struct fixture *f = begin();
    test_topic(f->image, "in", NULL, 500);
    int count = STREAMS_TASKS_MAX / 500 + 1;
    f->topology.subtopologies = arena_array(&f->arena, streams_subtopology, count);
    for (int i = 0; i < count; i++) {
        f->topology.subtopologies[i].subtopology_id = slice_str(arena_printf(&f->arena, "%d", i));
        f->topology.subtopologies[i].source_topics = names(f, "in", &f->topology.subtopologies[i].source_topics_count);
    }
    f->topology.subtopologies_count = count - 1;
    configure(f);
    EXPECT(streams_is_ready(&f->configured) && !f->configured.error);
    f->topology.subtopologies_count = count;
    EXPECT_ERROR(f, KAFKA_STREAMS_INVALID_TOPOLOGY);
    end(f);
}

TEST(topologies_are_equal_whatever_the_order_of_their_parts) {
    struct fixture *f = begin();
    subtopology(f, "0", "a b", "", "", "");
    subtopology(f, "1", "c", "", "", "");
    streams_topology other = f->topology;
    streams_subtopology swapped[] = {f->subtopologies[1], f->subtopologies[0]};
    other.subtopologies = swapped;
    EXPECT(streams_topology_equal(&f->topology, &other));
    struct slice list[] = {SLICE_LIT("b"), SLICE_LIT("a")};
    swapped[1].source_topics = list;
    EXPECT(!streams_topology_equal(&f->topology, &other));
    EXPECT(!streams_topology_has_duplicates(&other, &f->arena));
    swapped[1].subtopology_id = SLICE_LIT("1");
    EXPECT(streams_topology_has_duplicates(&other, &f->arena));
    end(f);
}

TEST_MAIN
