/* One member on its way to its target. A row is a state, what the member says, and the step that follows; then groups at
 * random, in which no partition may ever have two owners. Partitions are of one topic and written as digits; '-' is none. */
#include "coordinator/consumer_internal.h"
#include "tests/unit/test.h"

static const struct uuid topic = {1, 2};
static struct arena arena;
static const char *taken; /* by others */
static bool subscribed;

static struct consumer_partitions list(const char *digits, int32_t epoch) {
    struct consumer_partitions out = {arena_array(&arena, struct consumer_partition, 16), 0};
    for (; *digits && *digits != '-'; digits++)
        out.items[out.count++] = (struct consumer_partition){topic, *digits - '0', epoch};
    return out;
}

static const char *text(struct consumer_partitions partitions) {
    char *out = arena_zalloc(&arena, 20);
    for (int i = 0; i < partitions.count; i++)
        out[i] = (char)('0' + partitions.items[i].partition);
    return partitions.count ? out : "-";
}

static bool is_subscribed(void *arg, struct uuid id) {
    (void)arg;
    return subscribed && uuid_eq(id, topic);
}
static bool is_anything_subscribed(void *arg) {
    (void)arg;
    return subscribed;
}
static int32_t owner_epoch(void *arg, struct uuid id, int32_t partition) {
    (void)arg;
    (void)id;
    return strchr(taken, '0' + partition) ? 5 : -1;
}

static struct consumer_owned says(const char *digits) {
    if (!digits)
        return (struct consumer_owned){NULL, -1};
    struct consumer_group_heartbeat_request_topic_partitions *topics = arena_array(&arena, struct consumer_group_heartbeat_request_topic_partitions, 1);
    topics->topic_id = topic;
    topics->partitions = arena_array(&arena, int32_t, 16);
    for (; *digits && *digits != '-'; digits++)
        topics->partitions[topics->partitions_count++] = *digits - '0';
    return (struct consumer_owned){topics, topics->partitions_count ? 1 : 0};
}

static struct consumer_current step(const struct consumer_current *from, int32_t target_epoch, const char *target, const char *owned, bool changed) {
    struct consumer_current to;
    const struct consumer_reconcile reconcile = {
        .arena = &arena, .target_epoch = target_epoch, .target = list(target, 0), .subscription_changed = changed, .owned = says(owned),
        .is_subscribed = is_subscribed, .is_anything_subscribed = is_anything_subscribed, .owner_epoch = owner_epoch};
    EXPECT(consumer_reconcile(&reconcile, from, &to));
    return to;
}

static void row(int8_t state, int32_t epoch, const char *assigned, const char *revoking, int32_t target_epoch, const char *target, const char *others,
                const char *owned, int8_t then_state, int32_t then_epoch, const char *then_assigned, const char *then_revoking) {
    struct consumer_current from = {epoch, epoch - 1, state, list(assigned, epoch), list(revoking, epoch)};
    taken = others;
    subscribed = true;
    struct consumer_current to = step(&from, target_epoch, target, owned, false);
    EXPECT_INT(to.state, then_state);
    EXPECT_INT(to.epoch, then_epoch);
    EXPECT_STR(text(to.assigned), then_assigned);
    EXPECT_STR(text(to.revoking), then_revoking);
    if (to.epoch != epoch)
        EXPECT_INT(to.previous_epoch, epoch);
    arena_reset(&arena);
}

enum { S = CONSUMER_STABLE, R = CONSUMER_UNREVOKED, L = CONSUMER_UNRELEASED };

TEST(each_state_leads_where_kafka_s_does) {
    /*  state epoch has revoking | target | others' | it says -> state epoch has revoking */
    row(S, 2, "-", "-", 3, "012", "", NULL, S, 3, "012", "-");
    row(S, 2, "-", "-", 3, "012", "12", NULL, L, 3, "0", "-");
    row(S, 2, "-", "-", 3, "012", "012", NULL, L, 3, "-", "-");
    row(S, 2, "012", "-", 3, "0", "", NULL, R, 2, "0", "12");
    row(S, 2, "012", "-", 3, "0", "", "012", R, 2, "0", "12");
    row(S, 2, "012", "-", 3, "0", "", "0", S, 3, "0", "-");
    row(S, 2, "012", "-", 3, "034", "4", "0", L, 3, "03", "-");
    row(S, 2, "01", "-", 2, "0", "", NULL, S, 2, "01", "-");
    row(R, 2, "0", "12", 3, "0", "", NULL, R, 2, "0", "12");
    row(R, 2, "0", "12", 3, "0", "", "02", R, 2, "0", "12");
    row(R, 2, "0", "12", 3, "03", "", "0", S, 3, "03", "-");
    row(R, 2, "0", "12", 4, "01", "12", "0", S, 4, "01", "-"); /* its own, that it gave up, comes back */
    row(R, 2, "01", "2", 4, "0", "", "01", R, 2, "0", "1");   /* the target moved on meanwhile */
    row(L, 3, "0", "-", 3, "012", "12", NULL, L, 3, "0", "-");
    row(L, 3, "0", "-", 3, "012", "1", NULL, L, 3, "02", "-");
    row(L, 3, "0", "-", 3, "012", "", NULL, S, 3, "012", "-");
    row(L, 3, "0", "-", 4, "1", "1", "0", R, 3, "-", "0");
}

TEST(what_is_no_longer_subscribed_to_goes_at_once) {
    struct consumer_current from = {4, 3, S, list("012", 2), {0}};
    taken = "";
    subscribed = false;
    struct consumer_current to = step(&from, 4, "012", NULL, true);
    EXPECT_INT(to.state, R);
    EXPECT_INT(to.epoch, 4);
    EXPECT_STR(text(to.assigned), "-");
    EXPECT_STR(text(to.revoking), "012");
    to = step(&from, 4, "012", "-", true);
    EXPECT_INT(to.state, S);
    EXPECT_STR(text(to.assigned), "-");
    EXPECT_STR(text(to.revoking), "-");
    to = step(&from, 5, "012", "012", true);
    EXPECT_INT(to.state, R);
    EXPECT_STR(text(to.revoking), "012");
    arena_reset(&arena);
}

TEST(a_state_of_a_later_kafka_fences_unless_nothing_is_owned) {
    struct consumer_current from = {4, 3, CONSUMER_UNKNOWN, list("012", 2), {0}}, to;
    struct consumer_reconcile reconcile = {.arena = &arena, .target_epoch = 6, .target = list("01", 0), .owned = says(NULL), .is_subscribed = is_subscribed,
                                           .is_anything_subscribed = is_anything_subscribed, .owner_epoch = owner_epoch};
    taken = "";
    subscribed = true;
    EXPECT(!consumer_reconcile(&reconcile, &from, &to));
    reconcile.owned = says("0");
    EXPECT(!consumer_reconcile(&reconcile, &from, &to));
    reconcile.owned = says("-");
    EXPECT(consumer_reconcile(&reconcile, &from, &to));
    EXPECT_INT(to.epoch, 6);
    EXPECT_STR(text(to.assigned), "01");
    arena_reset(&arena);
}

enum { MEMBERS = 4, PARTITIONS = 9, STEPS = 20000 };

TEST(no_partition_ever_has_two_owners_and_all_come_to_rest) {
    struct {
        struct consumer_current current;
        char has[PARTITIONS + 1], assigned[PARTITIONS + 1], revoking[PARTITIONS + 1], target[PARTITIONS + 1];
    } members[MEMBERS] = {0};
    int32_t epoch = 1;
    srand(4);
    subscribed = true;
    for (int i = 0; i < STEPS; i++) {
        bool calm = i % 400 > 300; /* nothing new for a while */
        if (!calm && rand() % 10 == 0) {
            epoch++;
            for (int m = 0; m < MEMBERS; m++)
                memset(members[m].target, 0, sizeof members[m].target);
            for (int p = 0; p < PARTITIONS; p++) {
                char *target = members[rand() % MEMBERS].target;
                target[strlen(target)] = (char)('0' + p);
            }
        }
        int m = calm ? i % MEMBERS : rand() % MEMBERS;
        char others[MEMBERS * PARTITIONS * 2 + 1] = "";
        for (int k = 0; k < MEMBERS; k++) {
            strcat(others, members[k].assigned);
            strcat(others, members[k].revoking);
        }
        taken = others;
        members[m].current.assigned = list(members[m].assigned, 0);
        members[m].current.revoking = list(members[m].revoking, 0);
        if (!(members[m].current.state == S && members[m].current.epoch == epoch))
            members[m].current = step(&members[m].current, epoch, members[m].target, rand() % 3 || calm ? members[m].has : NULL, false);
        const char *assigned = text(members[m].current.assigned), *revoking = text(members[m].current.revoking);
        strcpy(members[m].assigned, *assigned == '-' ? "" : assigned);
        strcpy(members[m].revoking, *revoking == '-' ? "" : revoking);
        if (rand() % 2 || calm) /* the answer comes: it has just what it is assigned */
            strcpy(members[m].has, members[m].assigned);
        char all[256] = "";
        for (int k = 0; k < MEMBERS; k++) {
            for (const char *p = members[k].assigned; *p; p++)
                EXPECT(!strchr(all, *p));
            strcat(all, members[k].assigned);
            for (const char *p = members[k].revoking; *p; p++)
                EXPECT(!strchr(all, *p));
            strcat(all, members[k].revoking);
        }
        if (i % 400 == 399 && epoch > 1)
            for (int k = 0; k < MEMBERS; k++) {
                EXPECT_INT(members[k].current.state, S);
                EXPECT_INT(members[k].current.epoch, epoch);
                EXPECT_STR(members[k].assigned, members[k].target);
            }
        arena_reset(&arena);
    }
    arena_deinit(&arena);
}

TEST_MAIN
