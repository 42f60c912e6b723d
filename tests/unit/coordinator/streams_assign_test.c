/* The sticky assignor. Expectations marked "Kafka" were seen on a broker of Kafka's. */
#include "base/mem.h"
#include "coordinator/streams_assign.h"
#include "tests/unit/test.h"

enum { MEMBERS = 8 };
struct fixture {
    struct arena arena;
    struct streams_assign_subtopology subtopologies[4];
    struct streams_assign_member members[MEMBERS];
    struct streams_roles previous[MEMBERS];
    struct streams_assign assign;
};

static void subtopology(struct fixture *f, const char *id, int32_t tasks, bool stateful) {
    f->subtopologies[f->assign.subtopology_count++] = (struct streams_assign_subtopology){slice_str(id), tasks, stateful};
    f->assign.subtopologies = f->subtopologies;
}

/* "0_1 0_2": tasks of one-character subtopologies. */
static struct streams_tasks tasks_of(struct fixture *f, const char *text) {
    struct streams_tasks tasks = streams_tasks_create(&f->arena, (int)strlen(text) / 3 + 1);
    for (const char *p = text; *p; p += p[3] == ' ' ? 4 : 3)
        streams_tasks_add(&tasks, slice_of(p, 1), p[2] - '0', 0);
    streams_tasks_sort(&tasks);
    return tasks;
}

static void member(struct fixture *f, const char *id, const char *process, const char *active, const char *standby) {
    int i = f->assign.member_count++;
    f->previous[i] = (struct streams_roles){{tasks_of(f, active), tasks_of(f, standby), {0}}};
    f->members[i] = (struct streams_assign_member){.id = slice_str(id), .process_id = slice_str(process), .previous = &f->previous[i]};
    f->assign.members = f->members;
}

static const char *text_of(struct fixture *f, const struct streams_tasks *tasks) {
    const char *text = "";
    for (int i = 0; i < tasks->count; i++)
        text = arena_printf(&f->arena, "%s%s%.*s_%d", text, i ? " " : "", SLICE_FMT(tasks->tasks[i].subtopology), tasks->tasks[i].partition);
    return text;
}

/* "A: active | standby". */
static const char *result(struct fixture *f, int i) {
    return arena_printf(&f->arena, "%s | %s", text_of(f, &f->members[i].target.of[STREAMS_ACTIVE]), text_of(f, &f->members[i].target.of[STREAMS_STANDBY]));
}

TEST(members_of_one_process_share_its_tasks_as_with_kafka) {
    struct fixture f = {0};
    subtopology(&f, "0", 3, false);
    subtopology(&f, "1", 3, false);
    member(&f, "a", "p", "", "");
    member(&f, "b", "p", "", "");
    EXPECT(streams_assign(&f.assign, &f.arena));
    EXPECT_STR(result(&f, 0), "0_0 0_2 1_1 | ");
    EXPECT_STR(result(&f, 1), "0_1 1_0 1_2 | ");
    arena_deinit(&f.arena);
}

TEST(a_new_process_takes_half_and_standbys_as_with_kafka) {
    struct fixture f = {.assign.standby_replicas = 1};
    subtopology(&f, "0", 2, false);
    subtopology(&f, "1", 2, true);
    member(&f, "a", "A", "0_0 0_1 1_0 1_1", "");
    member(&f, "b", "B", "", "");
    EXPECT(streams_assign(&f.assign, &f.arena));
    EXPECT_STR(result(&f, 0), "0_0 1_0 | 1_1");
    EXPECT_STR(result(&f, 1), "0_1 1_1 | 1_0");
    arena_deinit(&f.arena);
}

TEST(a_lost_members_tasks_go_to_who_has_their_standbys) {
    struct fixture f = {.assign.standby_replicas = 1};
    subtopology(&f, "0", 4, true);
    member(&f, "b", "B", "0_2", "0_0 0_1");
    member(&f, "c", "C", "0_3", "");
    EXPECT(streams_assign(&f.assign, &f.arena));
    EXPECT_STR(text_of(&f, &f.members[0].target.of[STREAMS_ACTIVE]), "0_0 0_2");
    EXPECT_STR(text_of(&f, &f.members[1].target.of[STREAMS_ACTIVE]), "0_1 0_3");
    EXPECT_STR(text_of(&f, &f.members[0].target.of[STREAMS_STANDBY]), "0_1 0_3");
    EXPECT_STR(text_of(&f, &f.members[1].target.of[STREAMS_STANDBY]), "0_0 0_2");
    arena_deinit(&f.arena);
}

TEST(who_told_the_furthest_offset_gets_the_task) {
    struct fixture f = {0};
    subtopology(&f, "0", 1, true);
    member(&f, "a", "A", "", "");
    member(&f, "b", "B", "", "");
    struct streams_task_offset near = {SLICE_LIT("0"), 0, 5}, far = {SLICE_LIT("0"), 0, 50};
    f.members[0].offsets = &near;
    f.members[1].offsets = &far;
    f.members[0].offset_count = f.members[1].offset_count = 1;
    EXPECT(streams_assign(&f.assign, &f.arena));
    EXPECT_STR(result(&f, 0), " | ");
    EXPECT_STR(result(&f, 1), "0_0 | ");
    arena_deinit(&f.arena);
}

TEST(a_standby_is_never_in_the_process_of_its_task) {
    struct fixture f = {.assign.standby_replicas = 2};
    subtopology(&f, "0", 6, true);
    member(&f, "a", "A", "", "");
    member(&f, "b", "A", "", "");
    member(&f, "c", "B", "", "");
    EXPECT(streams_assign(&f.assign, &f.arena));
    int active = 0, standby = 0;
    for (int i = 0; i < 3; i++) {
        active += f.members[i].target.of[STREAMS_ACTIVE].count;
        standby += f.members[i].target.of[STREAMS_STANDBY].count;
    }
    EXPECT_INT(active, 6);
    EXPECT_INT(standby, 6); /* the second copies have no process to go to */
    EXPECT(!streams_tasks_overlap(&f.members[0].target.of[STREAMS_ACTIVE], &f.members[1].target.of[STREAMS_STANDBY]));
    EXPECT(!streams_tasks_overlap(&f.members[2].target.of[STREAMS_ACTIVE], &f.members[2].target.of[STREAMS_STANDBY]));
    arena_deinit(&f.arena);
}

TEST(nobody_can_have_no_tasks_but_not_some) {
    struct fixture f = {0};
    EXPECT(streams_assign(&f.assign, &f.arena));
    subtopology(&f, "0", 1, false);
    EXPECT(!streams_assign(&f.assign, &f.arena));
    arena_deinit(&f.arena);
}

TEST(a_full_assignment_does_not_move) {
    struct fixture f = {.assign.standby_replicas = 1};
    subtopology(&f, "0", 6, true);
    subtopology(&f, "1", 5, false);
    const char *ids[] = {"one", "two", "three", "four"};
    for (int i = 0; i < 4; i++)
        member(&f, ids[i], ids[i / 2], "", "");
    EXPECT(streams_assign(&f.assign, &f.arena));
    for (int i = 0; i < 4; i++)
        f.previous[i] = f.members[i].target;
    EXPECT(streams_assign(&f.assign, &f.arena));
    for (int i = 0; i < 4; i++)
        EXPECT(streams_roles_equal(&f.previous[i], &f.members[i].target, false));
    arena_deinit(&f.arena);
}

TEST_MAIN
