/* The assignors: balanced, sticky, complete, and nobody gets what it does not subscribe to. Groups of random members come
 * and go; after each change everything that is promised is checked, and for a few groups the result itself, as Apache Kafka
 * 4.3.1 gives it. */
#include "coordinator/assign.h"
#include "tests/unit/test.h"

enum { MEMBERS = 12, TOPICS = 5, PARTITIONS = 40 };

struct world { /* a group over time: its topics, who is there, who subscribes to what, who has what */
    struct arena arena;
    int partitions[TOPICS];
    bool present[MEMBERS], subscribed[MEMBERS][TOPICS];
    int owner[TOPICS][PARTITIONS]; /* -1: nobody */
    struct assign_group group;
    int who[MEMBERS]; /* of group.members */
};

static char names[MEMBERS][16];

static void describe(struct world *world, bool is_even) {
    arena_reset(&world->arena);
    struct assign_group *group = &world->group;
    *group = (struct assign_group){.arena = &world->arena, .topic_count = TOPICS, .is_even = is_even};
    group->topics = arena_array(&world->arena, struct assign_topic, TOPICS);
    group->members = arena_array(&world->arena, struct assign_member, MEMBERS);
    for (int t = 0; t < TOPICS; t++)
        group->topics[t] = (struct assign_topic){{7, (uint64_t)t + 1}, world->partitions[t], arena_zalloc(&world->arena, PARTITIONS)};
    for (int m = 0; m < MEMBERS; m++) {
        if (!world->present[m])
            continue;
        struct assign_member *member = &group->members[group->member_count];
        world->who[group->member_count++] = m;
        snprintf(names[m], sizeof names[m], "m%02d", m);
        member->id = slice_str(names[m]);
        int *topics = arena_array(&world->arena, int, TOPICS);
        for (int t = 0; t < TOPICS; t++) {
            if (world->subscribed[m][t])
                topics[member->topic_count++] = t;
            for (int p = 0; p < world->partitions[t]; p++)
                if (world->owner[t][p] == m) {
                    assign_list_add(&world->arena, &member->old, t, p);
                    group->topics[t].taken[p] = 1;
                }
        }
        member->topics = topics;
    }
}

static void take(struct world *world) {
    int given[TOPICS][PARTITIONS];
    memset(given, 0xff, sizeof given);
    for (int i = 0; i < world->group.member_count; i++)
        for (int k = 0; k < world->group.members[i].now.count; k++) {
            struct assign_partition p = world->group.members[i].now.items[k];
            EXPECT(p.partition < world->partitions[p.topic]);
            EXPECT_INT(given[p.topic][p.partition], -1);
            EXPECT(world->subscribed[world->who[i]][p.topic]);
            given[p.topic][p.partition] = world->who[i];
        }
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < world->partitions[t]; p++) {
            bool wanted = false;
            for (int m = 0; m < MEMBERS; m++)
                wanted |= world->present[m] && world->subscribed[m][t];
            EXPECT_INT(given[t][p] >= 0, wanted);
        }
    memcpy(world->owner, given, sizeof given);
}

static int load_of(const struct world *world, int member) {
    int load = 0;
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < world->partitions[t]; p++)
            load += world->owner[t][p] == member;
    return load;
}

static void expect_balance(const struct world *world) {
    int low = 1 << 30, high = 0;
    for (int m = 0; m < MEMBERS; m++)
        if (world->present[m]) {
            int load = load_of(world, m);
            low = load < low ? load : low;
            high = load > high ? load : high;
        }
    EXPECT(high - low <= 1);
}

static void init(struct world *world, bool all) {
    memset(world, 0, sizeof *world);
    memset(world->owner, 0xff, sizeof world->owner);
    for (int t = 0; t < TOPICS; t++)
        world->partitions[t] = 1 + rand() % PARTITIONS;
    for (int m = 0; m < MEMBERS; m++)
        for (int t = 0; t < TOPICS; t++)
            world->subscribed[m][t] = all || rand() % 2;
}

static bool is_anybody_there(const struct world *world) {
    bool any = false;
    for (int m = 0; m < MEMBERS; m++)
        any |= world->present[m];
    return any;
}

static void forget(struct world *world, int member) {
    for (int t = 0; t < TOPICS; t++)
        for (int p = 0; p < PARTITIONS; p++)
            if (world->owner[t][p] == member)
                world->owner[t][p] = -1;
}

TEST(uniform_stays_balanced_and_moves_no_more_than_it_must) {
    srand(1);
    for (int run = 0; run < 50; run++) {
        struct world world;
        init(&world, true);
        for (int step = 0; step < 40; step++) {
            int m = rand() % MEMBERS;
            world.present[m] ^= true;
            if (!world.present[m])
                forget(&world, m);
            if (!is_anybody_there(&world))
                continue;
            int before[TOPICS][PARTITIONS], moved = 0, total = 0, members = 0;
            memcpy(before, world.owner, sizeof before);
            describe(&world, true);
            EXPECT_INT(assign_uniform(&world.group), ERR_OK);
            take(&world);
            expect_balance(&world);
            for (int t = 0; t < TOPICS; t++)
                for (int p = 0; p < world.partitions[t]; p++, total++)
                    moved += before[t][p] >= 0 && before[t][p] != world.owner[t][p];
            for (int i = 0; i < MEMBERS; i++)
                members += world.present[i];
            /* One that came takes its share from the others; one that went leaves what nobody has; beyond that only the
             * members that had one more than the rest may have to change. */
            EXPECT(moved <= (world.present[m] ? total / members + 1 : 0) + members);
        }
        arena_deinit(&world.arena);
    }
}

TEST(uneven_subscriptions_are_served_and_even_ones_balanced) {
    srand(2);
    for (int run = 0; run < 100; run++) {
        struct world world;
        bool all = run % 2;
        init(&world, all);
        for (int step = 0; step < 40; step++) {
            int m = rand() % MEMBERS;
            world.present[m] ^= true;
            if (!world.present[m])
                forget(&world, m);
            if (!all)
                world.subscribed[rand() % MEMBERS][rand() % TOPICS] ^= true;
            describe(&world, false);
            EXPECT_INT(assign_uniform(&world.group), ERR_OK);
            take(&world);
            if (all && is_anybody_there(&world))
                expect_balance(&world);
        }
        arena_deinit(&world.arena);
    }
}

TEST(range_gives_runs_in_order_of_ids) {
    srand(3);
    for (int run = 0; run < 100; run++) {
        struct world world;
        init(&world, run % 2);
        for (int m = 0; m < MEMBERS; m++)
            world.present[m] = rand() % 3;
        describe(&world, run % 2);
        EXPECT_INT(assign_range(&world.group), ERR_OK);
        take(&world);
        for (int t = 0; t < TOPICS; t++)
            for (int p = 1; p < world.partitions[t]; p++)
                EXPECT(world.owner[t][p - 1] <= world.owner[t][p]);
        arena_deinit(&world.arena);
    }
}

TEST(a_second_member_gets_the_upper_half_and_the_first_keeps_the_lower) {
    struct world world;
    init(&world, true);
    memset(world.partitions, 0, sizeof world.partitions);
    world.partitions[0] = 4;
    world.present[0] = world.present[1] = true;
    for (int p = 0; p < 4; p++)
        world.owner[0][p] = 0;
    describe(&world, true);
    EXPECT_INT(assign_uniform(&world.group), ERR_OK);
    take(&world);
    EXPECT_INT(world.owner[0][0], 0);
    EXPECT_INT(world.owner[0][1], 0);
    EXPECT_INT(world.owner[0][2], 1);
    EXPECT_INT(world.owner[0][3], 1);
    arena_deinit(&world.arena);
}

TEST(a_partition_that_two_have_as_target_is_left_over_and_said) {
    struct world world;
    init(&world, true);
    memset(world.partitions, 0, sizeof world.partitions);
    world.partitions[0] = 3;
    world.present[0] = world.present[1] = true;
    describe(&world, true);
    for (int p = 0; p < 3; p++) {
        assign_list_add(&world.arena, &world.group.members[0].old, 0, p);
        assign_list_add(&world.arena, &world.group.members[1].old, 0, p);
        world.group.topics[0].taken[p] = 1;
    }
    EXPECT_INT(assign_uniform(&world.group), ERR_INVALID);
    arena_deinit(&world.arena);
}

TEST(the_order_of_java_is_java_s) {
    EXPECT_INT(java_hash_of_string(SLICE_LIT("hello")), 99162322);
    EXPECT_INT(java_hash_of_string(SLICE_LIT("consumer-1")), -166239206);
    EXPECT_INT(java_hash_of_string(SLICE_LIT("\xf0\x9f\x98\x80")), 1772899);
    EXPECT_INT(java_hash_of_uuid((struct uuid){0x0102030405060708ull, 0x1112131415161718ull}), 0);
    EXPECT_INT(java_hash_of_uuid((struct uuid){0x0000000100000000ull, 0x0000000000000002ull}), 3);
    EXPECT_INT(java_grown_capacity(12), 16);
    EXPECT_INT(java_grown_capacity(13), 32);
    EXPECT_INT(java_copied_capacity(11), 16);
    EXPECT_INT(java_copied_capacity(12), 32);
}

TEST_MAIN
