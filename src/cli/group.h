/* The subcommands of `myelin group` and what they share: groups of all four kinds, their coordinators, their offsets.
 * group.c: the table, list, delete, finding a group. group_describe.c: members. group_offsets.c: committed offsets and
 * lag; group_ages.c: lag in time. group_reset.c: other offsets. */
#ifndef CLI_GROUP_H
#define CLI_GROUP_H

#include "cli/client.h"
#include "cli/offsets.h"

struct found_group {
    const char *name, *type, *state; /* "consumer", "Stable"; "" when the broker does not tell */
    const char *protocol_type;
    int coordinator;                 /* node id */
    bool exists;
};
/* The group's coordinator, waited for while there is none, and what it lists of the group; a group that is not there is
 * no failure (exists: false). */
int group_find(struct client *client, const char *name, struct found_group *ret_group);
/* Likewise, but it must be there: says which name is near when it is not. */
int group_must_find(struct client *client, const char *name, struct found_group *ret_group);
bool group_is(const struct found_group *group, const char *type);

struct group_offset {
    const char *topic;
    int partition, leader_epoch; /* epoch -1: not known */
    int64_t offset;              /* -1: none is committed */
    int64_t end, stable_end;     /* -1: not known */
    int64_t lag;                 /* of share groups, as the broker counts it; -1: it does not */
    int64_t next_ms;             /* after group_ages(): time of the first record behind the offset; -1: none, or not known */
    const char *metadata;
};
/* All that are committed (of share groups: where they are), in order of topic and partition; ends too, when asked for. */
int group_offsets(struct client *client, const struct found_group *group, bool ends, struct group_offset **ret_offsets, int *ret_count);

/* Fills in next_ms where there are records behind the offset (group_ages.c). They are in order. */
int group_ages(struct client *client, struct group_offset *offsets, int count);

int group_list_run(struct options *options);
int group_describe_run(struct options *options);
int group_reset_run(struct options *options);
int group_delete_run(struct options *options);

#endif
