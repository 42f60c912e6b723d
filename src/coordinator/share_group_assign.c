/* The assignor `simple`: as many members on each partition as there are members to go round, and as many partitions on each
 * member, with as little change as that allows. */
#include <stdlib.h>

#include "coordinator/share_group_internal.h"

/* A number of members that share a number of partitions. */
struct sharing {
    struct share_assignee **members;
    int member_count;
    const struct share_set *places;
    struct share_set *kept;    /* of each member: what it keeps, then what it gets; in order until `added` */
    int *added;                /* of each: how many of kept were added */
    int *wanted;
    int *holders;              /* of each place */
};

static int find_place(const struct share_set *places, const struct share_place *place) {
    const struct share_place *found =
        places->count ? bsearch(place, places->places, (size_t)places->count, sizeof *place, share_place_cmp) : NULL;
    return found ? (int)(found - places->places) : -1;
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* From before, without surplus: neither of the member nor of the partition. */
static void keep(struct sharing *s, int holders_max, struct arena *arena) {
    for (int m = 0; m < s->member_count; m++) {
        const struct share_set *before = s->members[m]->before;
        struct share_set *kept = &s->kept[m];
        kept->places = arena_array(arena, struct share_place, (before->count > s->wanted[m] ? before->count : s->wanted[m]) + 1);
        for (int i = 0; i < before->count && kept->count < s->wanted[m]; i++) {
            int place = find_place(s->places, &before->places[i]);
            if (place < 0 || s->holders[place] >= holders_max)
                continue;
            s->holders[place]++;
            kept->places[kept->count++] = before->places[i];
        }
    }
}

static bool holds(const struct sharing *s, int m, const struct share_place *place) {
    struct share_set old = {s->kept[m].places, s->kept[m].count - s->added[m]};
    return share_set_has(&old, place) || (s->added[m] && !share_place_cmp(&s->kept[m].places[s->kept[m].count - 1], place));
}

/* Places are gone through in order, so that what a member was given last tells whether it has this one already. */
static void fill(struct sharing *s, int holders_wanted) {
    int turn = 0;
    for (int p = 0; p < s->places->count; p++) {
        const struct share_place *place = &s->places->places[p];
        for (int tries = 0; tries < s->member_count && s->holders[p] < holders_wanted; tries++) {
            int m = turn;
            turn = (turn + 1) % s->member_count;
            if (s->kept[m].count >= s->wanted[m] || holds(s, m, place))
                continue;
            s->kept[m].places[s->kept[m].count++] = *place;
            s->added[m]++;
            s->holders[p]++;
        }
    }
}

static void add_to_target(struct share_assignee *member, const struct share_set *more, struct arena *arena) {
    struct share_set all = {arena_array(arena, struct share_place, member->target.count + more->count + 1), member->target.count};
    if (all.count)
        memcpy(all.places, member->target.places, sizeof *all.places * (size_t)all.count);
    for (int i = 0; i < more->count; i++) {
        all.places[all.count] = more->places[i];
        all.places[all.count++].start_offset = -1;
    }
    qsort(all.places, (size_t)all.count, sizeof *all.places, share_place_cmp);
    member->target = all;
}

static void share_out(struct share_assignee **members, int count, const struct share_set *places, struct arena *arena) {
    if (!count || !places->count)
        return;
    struct sharing s = {.members = members, .member_count = count, .places = places};
    s.kept = arena_array(arena, struct share_set, count);
    s.added = arena_array(arena, int, count);
    s.wanted = arena_array(arena, int, count);
    s.holders = arena_array(arena, int, places->count);
    int64_t holders = ceil_div(count, places->count), all = holders * places->count;
    for (int m = 0; m < count; m++)
        s.wanted[m] = (int)(ceil_div(all * (m + 1), count) - ceil_div(all * m, count));
    keep(&s, (int)holders, arena);
    fill(&s, (int)holders);
    for (int m = 0; m < count; m++)
        add_to_target(members[m], &s.kept[m], arena);
}

void share_assign(struct share_assignee *members, int count, const struct share_set *places, const struct slice *names, struct arena *arena) {
    bool alike = true;
    struct share_assignee **some = arena_array(arena, struct share_assignee *, count + 1);
    for (int m = 0; m < count; m++) {
        members[m].target = (struct share_set){0};
        some[m] = &members[m];
        alike &= share_names_eq(members[m].topics, members[0].topics);
    }
    if (alike) {
        share_out(some, count, places, arena);
        return;
    }
    for (int from = 0, to; from < places->count; from = to) {
        for (to = from + 1; to < places->count && uuid_eq(places->places[to].topic_id, places->places[from].topic_id); to++)
            ;
        int subscribed = 0;
        for (int m = 0; m < count; m++)
            if (share_names_have(members[m].topics, names[from]))
                some[subscribed++] = &members[m];
        share_out(some, subscribed, &(struct share_set){places->places + from, to - from}, arena);
    }
}
