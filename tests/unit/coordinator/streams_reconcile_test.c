/* One member's steps towards its target: what it keeps, gives up, gets, and waits for. Tasks are "0_1"; "|" parts the roles:
 * active, standby, warm-up. */
#include "coordinator/streams_group.h"

#include "base/mem.h"
#include "tests/unit/test.h"

struct fixture {
    struct arena arena;
    struct streams_group group;
    struct streams_member me, other;
    struct streams_step step;
    struct streams_position now, next;
};

static struct streams_roles roles_of(struct fixture *f, const char *text) {
    struct streams_roles roles;
    for (int role = 0; role < STREAMS_ROLES; role++) {
        roles.of[role] = streams_tasks_create(&f->arena, 16);
        for (; *text && *text != '|'; text += text[3] == ' ' ? 4 : 3)
            streams_tasks_add(&roles.of[role], slice_of(text, 1), text[2] - '0', 5);
        text += *text == '|';
        streams_tasks_sort(&roles.of[role]);
    }
    return roles;
}

static const char *text_of(struct fixture *f, const struct streams_roles *roles) {
    const char *text = "";
    for (int role = 0; role < STREAMS_ROLES; role++) {
        for (int i = 0; i < roles->of[role].count; i++)
            text = arena_printf(&f->arena, "%s%s%.*s_%d", text, i ? " " : "", SLICE_FMT(roles->of[role].tasks[i].subtopology), roles->of[role].tasks[i].partition);
        text = arena_printf(&f->arena, "%s%s", text, role < STREAMS_WARMUP ? "|" : "");
    }
    return text;
}

static const struct streams_roles *kept(struct fixture *f, const char *text) {
    struct streams_roles *roles = arena_alloc(&f->arena, sizeof *roles);
    *roles = roles_of(f, text);
    return roles;
}

/* A member of process "p", stable at 5 with `has`; another of `process` with `others`; the target is of epoch 7. */
static struct fixture *begin(const char *has, const char *target, const char *process, const char *others) {
    struct fixture *f = mem_zalloc(sizeof *f);
    list_init(&f->group.all_members);
    f->me.id = SLICE_LIT("me");
    f->other.id = SLICE_LIT("other");
    f->me.metadata.process_id = SLICE_LIT("p");
    f->other.metadata.process_id = slice_str(process);
    f->other.assigned = (struct streams_roles *)kept(f, others);
    list_push_back(&f->group.all_members, &f->me.all);
    list_push_back(&f->group.all_members, &f->other.all);
    f->now = (struct streams_position){5, 4, STREAMS_MEMBER_STABLE, roles_of(f, has), streams_roles_none};
    f->me.assigned = &f->now.assigned;
    f->step = (struct streams_step){&f->arena, &f->group, SLICE_LIT("me"), SLICE_LIT("p"), kept(f, target), 7, kept(f, has)};
    return f;
}

static void end(struct fixture *f) {
    arena_deinit(&f->arena);
    mem_free(f);
}

#define EXPECT_NEXT(f, expected_state, expected_epoch, expected_assigned, expected_pending)      \
    do {                                                                                         \
        EXPECT(streams_reconcile(&(f)->step, &(f)->now, &(f)->next));                            \
        EXPECT_INT((f)->next.state, expected_state);                                             \
        EXPECT_INT((f)->next.epoch, expected_epoch);                                             \
        EXPECT_STR(text_of(f, &(f)->next.assigned), expected_assigned);                          \
        EXPECT_STR(text_of(f, &(f)->next.pending), expected_pending);                            \
    } while (0)

/* What was decided becomes where it is; `owned` is reported. */
static void go_on(struct fixture *f, const char *owned) {
    f->now = f->next;
    f->me.pending = &f->now.pending;
    f->step.owned = owned ? kept(f, owned) : NULL;
}

TEST(what_nobody_has_is_given_at_once) {
    struct fixture *f = begin("0_0||", "0_0 0_1|1_0|", "q", "||");
    EXPECT_NEXT(f, STREAMS_MEMBER_STABLE, 7, "0_0 0_1|1_0|", "||");
    EXPECT_INT(f->next.assigned.of[STREAMS_ACTIVE].tasks[0].epoch, 5); /* it has had it since then */
    EXPECT_INT(f->next.assigned.of[STREAMS_ACTIVE].tasks[1].epoch, 7);
    EXPECT_INT(f->next.previous_epoch, 5);
    end(f);
}

TEST(a_member_at_the_targets_epoch_stays) {
    struct fixture *f = begin("0_0||", "0_1||", "q", "||");
    f->step.target_epoch = 5;
    EXPECT_NEXT(f, STREAMS_MEMBER_STABLE, 5, "0_0||", "||");
    end(f);
}

TEST(nothing_new_comes_before_the_old_is_given_up) {
    struct fixture *f = begin("0_0 0_1||", "0_0 0_2||", "q", "||");
    EXPECT_NEXT(f, STREAMS_MEMBER_UNREVOKED, 5, "0_0||", "0_1||");
    go_on(f, NULL);
    EXPECT_NEXT(f, STREAMS_MEMBER_UNREVOKED, 5, "0_0||", "0_1||"); /* it does not say what it has */
    go_on(f, "0_0 0_1||");
    EXPECT_NEXT(f, STREAMS_MEMBER_UNREVOKED, 5, "0_0||", "0_1||");
    go_on(f, "0_0||");
    EXPECT_NEXT(f, STREAMS_MEMBER_STABLE, 7, "0_0 0_2||", "||");
    EXPECT_INT(f->next.previous_epoch, 5);
    end(f);
}

TEST(a_member_that_owns_nothing_has_nothing_to_give_up) {
    struct fixture *f = begin("0_0 0_1||", "0_2||", "q", "||");
    f->step.owned = kept(f, "||");
    EXPECT_NEXT(f, STREAMS_MEMBER_STABLE, 7, "0_2||", "||");
    end(f);
}

TEST(what_another_still_has_is_waited_for) {
    struct fixture *f = begin("0_0||", "0_0 0_1 0_2||", "q", "0_1||");
    EXPECT_NEXT(f, STREAMS_MEMBER_UNRELEASED, 7, "0_0 0_2||", "||");
    go_on(f, NULL);
    EXPECT_NEXT(f, STREAMS_MEMBER_UNRELEASED, 7, "0_0 0_2||", "||");
    f->other.pending = f->other.assigned; /* about to go counts as had */
    f->other.assigned = NULL;
    EXPECT_NEXT(f, STREAMS_MEMBER_UNRELEASED, 7, "0_0 0_2||", "||");
    f->other.pending = NULL;
    EXPECT_NEXT(f, STREAMS_MEMBER_STABLE, 7, "0_0 0_1 0_2||", "||");
    end(f);
}

TEST(a_standby_elsewhere_does_not_hold_an_active_task_back_but_one_in_the_process_does) {
    struct fixture *f = begin("||", "0_0||", "q", "|0_0|");
    EXPECT_NEXT(f, STREAMS_MEMBER_STABLE, 7, "0_0||", "||");
    end(f);
    f = begin("||", "0_0||", "p", "|0_0|");
    EXPECT_NEXT(f, STREAMS_MEMBER_UNRELEASED, 7, "||", "||");
    end(f);
    f = begin("||", "|0_0|", "q", "0_0||");
    EXPECT_NEXT(f, STREAMS_MEMBER_STABLE, 7, "|0_0|", "||");
    end(f);
    f = begin("||", "||0_0", "p", "0_0||");
    EXPECT_NEXT(f, STREAMS_MEMBER_UNRELEASED, 7, "||", "||");
    end(f);
}

TEST(an_active_task_becomes_a_standby_at_once) {
    struct fixture *f = begin("0_0 0_1||", "0_0|0_1|", "q", "||");
    EXPECT_NEXT(f, STREAMS_MEMBER_UNREVOKED, 5, "0_0|0_1|", "0_1||");
    go_on(f, "0_0|0_1|");
    EXPECT_NEXT(f, STREAMS_MEMBER_STABLE, 7, "0_0|0_1|", "||");
    end(f);
}

TEST(a_standby_stays_until_the_active_task_takes_its_place) {
    struct fixture *f = begin("|0_0|", "0_0||", "q", "0_0||");
    EXPECT_NEXT(f, STREAMS_MEMBER_UNRELEASED, 7, "|0_0|", "||");
    go_on(f, NULL);
    f->other.assigned = NULL;
    f->me.assigned = &f->now.assigned;
    EXPECT_NEXT(f, STREAMS_MEMBER_STABLE, 7, "0_0||", "||");
    end(f);
}

TEST(standby_and_warm_up_change_places_at_once) {
    struct fixture *f = begin("|0_0|0_1", "|0_1|0_0", "q", "||");
    EXPECT_NEXT(f, STREAMS_MEMBER_STABLE, 7, "|0_1|0_0", "||");
    end(f);
}

TEST(a_state_of_the_future_goes_on_only_without_tasks) {
    struct fixture *f = begin("0_0||", "0_1||", "q", "||");
    f->now.state = STREAMS_MEMBER_UNKNOWN;
    EXPECT(!streams_reconcile(&f->step, &f->now, &f->next));
    f->step.owned = kept(f, "||");
    EXPECT_NEXT(f, STREAMS_MEMBER_STABLE, 7, "0_1||", "||");
    end(f);
}

TEST_MAIN
