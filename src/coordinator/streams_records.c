/* State into records: keys 17 and 19-23, byte for byte as Kafka writes them. */
#include "coordinator/streams_group.h"

#include "protocol/group_metadata_key.h"
#include "protocol/streams_group_current_member_assignment_key.h"
#include "protocol/streams_group_member_metadata_key.h"
#include "protocol/streams_group_metadata_key.h"
#include "protocol/streams_group_target_assignment_member_value.h"
#include "protocol/streams_group_target_assignment_metadata_value.h"

struct streams_records streams_records_create(struct arena *arena, struct slice group_id) {
    return (struct streams_records){.arena = arena, .group_id = group_id};
}

static void add(struct streams_records *records, struct slice key, struct slice value) {
    struct streams_record_pair *pair = arena_alloc(records->arena, sizeof *pair);
    *pair = (struct streams_record_pair){key, value, NULL};
    *(records->last ? records->last : &records->first) = pair;
    records->last = &pair->next;
}

void streams_records_add_to(const struct streams_records *records, struct coordinator_op *op) {
    for (const struct streams_record_pair *pair = records->first; pair; pair = pair->next)
        coordinator_add(op, pair->key, pair->value);
}

/* Keys are a group's id, or a group's and a member's, whatever the type. */
static struct slice key_of(struct streams_records *records, int16_t type, struct slice member) {
    if (member.ptr)
        return RECORD_KEY(records->arena, type, streams_group_member_metadata_key,
                          (&(struct streams_group_member_metadata_key){records->group_id, member}));
    return RECORD_KEY(records->arena, type, streams_group_metadata_key, &(struct streams_group_metadata_key){records->group_id});
}

void streams_record_tombstone(struct streams_records *records, int16_t type, struct slice member) {
    add(records, key_of(records, type, member), (struct slice){0});
}

void streams_record_classic_tombstone(struct streams_records *records) {
    add(records, RECORD_KEY(records->arena, 2, group_metadata_key, &(struct group_metadata_key){records->group_id}), (struct slice){0});
}

struct slice streams_metadata_value(struct arena *arena, const streams_member_metadata *metadata) {
    return RECORD_VALUE(arena, 0, streams_group_member_metadata_value, metadata);
}

void streams_record_member(struct streams_records *records, struct slice member, struct slice value) {
    add(records, key_of(records, STREAMS_KEY_MEMBER, member), value);
}

struct streams_epoch streams_epoch_of(const struct streams_group *group) {
    return (struct streams_epoch){group->epoch,   group->validated_epoch,    group->metadata_hash,
                                  group->configs, group->stored_description, group->failed_description};
}

void streams_record_epoch(struct streams_records *records, const struct streams_epoch *epoch) {
    struct streams_group_metadata_value value;
    streams_group_metadata_value_init(&value);
    value.epoch = epoch->epoch;
    value.metadata_hash = epoch->metadata_hash;
    value.validated_topology_epoch = epoch->validated_epoch;
    value.stored_description_topology_epoch = epoch->stored_description;
    value.failed_description_topology_epoch = epoch->failed_description;
    value.last_assignment_configs = epoch->configs.pairs;
    value.last_assignment_configs_count = epoch->configs.count;
    add(records, key_of(records, STREAMS_KEY_EPOCH, (struct slice){0}), RECORD_VALUE(records->arena, 0, streams_group_metadata_value, &value));
}

void streams_record_topology(struct streams_records *records, const streams_topology *topology) {
    add(records, key_of(records, STREAMS_KEY_TOPOLOGY, (struct slice){0}), RECORD_VALUE(records->arena, 0, streams_group_topology_value, topology));
}

void streams_record_target(struct streams_records *records, struct slice member, const struct streams_roles *target) {
    struct streams_group_target_assignment_member_value value;
    streams_group_target_assignment_member_value_init(&value);
#define TASKS(field, role) value.field = (void *)streams_tasks_to_ids(records->arena, &target->of[role], &value.field##_count)
    TASKS(active_tasks, STREAMS_ACTIVE);
    TASKS(standby_tasks, STREAMS_STANDBY);
    TASKS(warmup_tasks, STREAMS_WARMUP);
#undef TASKS
    add(records, key_of(records, STREAMS_KEY_TARGET, member), RECORD_VALUE(records->arena, 0, streams_group_target_assignment_member_value, &value));
}

void streams_record_target_epoch(struct streams_records *records, int32_t epoch, int64_t timestamp_ms) {
    struct streams_group_target_assignment_metadata_value value = {epoch, timestamp_ms};
    add(records, key_of(records, STREAMS_KEY_TARGET_EPOCH, (struct slice){0}),
        RECORD_VALUE(records->arena, 0, streams_group_target_assignment_metadata_value, &value));
}

void streams_record_position(struct streams_records *records, struct slice member, const struct streams_position *position) {
    struct streams_group_current_member_assignment_value value;
    streams_group_current_member_assignment_value_init(&value);
    value.member_epoch = position->epoch;
    value.previous_member_epoch = position->previous_epoch;
    value.state = (int8_t)position->state;
#define TASKS(field, from, role) value.field = streams_tasks_to_epochs(records->arena, &position->from.of[role], role == STREAMS_ACTIVE, &value.field##_count)
    TASKS(active_tasks, assigned, STREAMS_ACTIVE);
    TASKS(standby_tasks, assigned, STREAMS_STANDBY);
    TASKS(warmup_tasks, assigned, STREAMS_WARMUP);
    TASKS(active_tasks_pending_revocation, pending, STREAMS_ACTIVE);
    TASKS(standby_tasks_pending_revocation, pending, STREAMS_STANDBY);
    TASKS(warmup_tasks_pending_revocation, pending, STREAMS_WARMUP);
#undef TASKS
    add(records, key_of(records, STREAMS_KEY_POSITION, member), RECORD_VALUE(records->arena, 0, streams_group_current_member_assignment_value, &value));
}

void streams_record_description(struct streams_records *records, struct slice value) {
    add(records, key_of(records, STREAMS_KEY_DESCRIPTION, (struct slice){0}), value);
}
