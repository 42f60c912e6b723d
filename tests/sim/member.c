/* A member of a group, classic, of KIP-848, or of a streams application (KIP-1071): joins, keeps alive, commits for the
 * partitions that it was given, leaves, falls silent, and comes back. Checked: nobody is given a partition that another was
 * given in the same generation (epoch), and a committed offset never goes back. */
#include <stdio.h>
#include "protocol/consumer_group_heartbeat_request.h"
#include "protocol/consumer_group_heartbeat_response.h"
#include "protocol/heartbeat_request.h"
#include "protocol/heartbeat_response.h"
#include "protocol/join_group_request.h"
#include "protocol/join_group_response.h"
#include "protocol/leave_group_request.h"
#include "protocol/leave_group_response.h"
#include "protocol/offset_commit_request.h"
#include "protocol/offset_commit_response.h"
#include "protocol/offset_fetch_request.h"
#include "protocol/offset_fetch_response.h"
#include "protocol/streams_group_heartbeat_request.h"
#include "protocol/streams_group_heartbeat_response.h"
#include "protocol/sync_group_request.h"
#include "protocol/sync_group_response.h"
#include "tests/sim/sim_test.h"

enum { MEMBERS_IN_GROUP = 16, SESSION_MS = 6000, REBALANCE_MS = 5000 };

struct member {
    struct client client;
    struct world *world;
    struct sim_group *group;
    int index;
    char id[64];         /* the broker's (classic) or ours; "": none yet */
    int32_t generation;  /* or member epoch */
    enum { JOIN, SYNC, LIVE } step;
    bool leads;
    char others[MEMBERS_IN_GROUP][64]; /* the leader's list */
    int other_count;
    bool given[TXN_PARTITIONS];
    bool has_reported;   /* a streams member: what it has, since that changed or an answer did not come */
    bool finishing, done, lost_coordinator;
    int64_t committing, fetched_floor; /* the value under way; what was acknowledged before a fetch was asked */
    int partition;       /* of the commit or fetch under way */
    uint64_t commits;
    struct timer think;
};

static void go_on(struct member *member);

static void think(struct member *member, uint64_t max_ms) {
    if (!timer_is_running(&member->think))
        timer_start(member->client.shard, &member->think, 1 + world_random(member->world, max_ms * NS_PER_MS));
}
static void thought(struct shard *shard, struct timer *timer) {
    (void)shard;
    go_on(container_of(timer, struct member, think));
}

static void forget(struct member *member) {
    member->step = JOIN;
    member->generation = member->group->protocol == GROUP_CLASSIC ? -1 : 0;
    member->has_reported = false;
    memset(member->given, 0, sizeof member->given);
    if (member->group->protocol != GROUP_CLASSIC)
        snprintf(member->id, sizeof member->id, "member-%d-%llu", member->index, (unsigned long long)world_random(member->world, 1u << 30));
    else
        member->id[0] = 0;
}

/* ---- what is checked ------------------------------------------------------------------------------------------------------ */

static void take_partition(struct member *member, int partition) {
    struct group_owner *owner = &member->group->owners[partition];
    if (owner->generation == member->generation && strcmp(owner->member, member->id) != 0)
        violation(member->world, "%s: partition %d is given to %s and to %s in generation %d", member->group->name, partition,
                  owner->member, member->id, (int)member->generation);
    if (owner->generation < member->generation) {
        owner->generation = member->generation;
        snprintf(owner->member, sizeof owner->member, "%s", member->id);
    }
    member->given[partition] = true;
}

static int32_t list_given(const struct member *member, int32_t *partitions) {
    int32_t count = 0;
    for (int p = 0; p < TXN_PARTITIONS; p++)
        if (member->given[p])
            partitions[count++] = p;
    return count;
}

static bool is_expected(int16_t code) {
    return code == KAFKA_NOT_COORDINATOR || code == KAFKA_COORDINATOR_NOT_AVAILABLE || code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS ||
           code == KAFKA_REBALANCE_IN_PROGRESS || code == KAFKA_UNKNOWN_MEMBER_ID || code == KAFKA_ILLEGAL_GENERATION ||
           code == KAFKA_MEMBER_ID_REQUIRED || code == KAFKA_FENCED_MEMBER_EPOCH || code == KAFKA_STALE_MEMBER_EPOCH ||
           code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || code == KAFKA_REQUEST_TIMED_OUT;
}

/* True: fine. An error that tells that it is no member any more makes it join anew. */
static bool accept(struct member *member, const char *what, int16_t code) {
    if (code && !is_expected(code))
        violation(member->world, "%s: %s of %s is answered with error %d", member->group->name, what, member->id, code);
    member->lost_coordinator = code == KAFKA_NOT_COORDINATOR || code == KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (code == KAFKA_UNKNOWN_MEMBER_ID || code == KAFKA_FENCED_MEMBER_EPOCH)
        forget(member);
    else if (code == KAFKA_REBALANCE_IN_PROGRESS || code == KAFKA_ILLEGAL_GENERATION)
        member->step = JOIN;
    if (code) {
        member->has_reported = false;
        think(member, 300);
    }
    return !code;
}

/* ---- the classic protocol --------------------------------------------------------------------------------------------------- */

static void join(struct member *member) {
    struct join_group_request request;
    struct join_group_request_join_group_request_protocol protocol = {SLICE_LIT("simple"), SLICE_LIT("x")};
    int32_t unused;
    join_group_request_init(&request);
    request.group_id = slice_str(member->group->name);
    request.session_timeout_ms = SESSION_MS;
    request.rebalance_timeout_ms = REBALANCE_MS;
    request.member_id = slice_str(member->id);
    request.group_instance_id = SLICE_NULL;
    request.protocol_type = SLICE_LIT("sim");
    request.protocols = &protocol;
    request.protocols_count = 1;
    memset(member->given, 0, sizeof member->given);
    client_send(&member->client, API_JOIN_GROUP, 7, join_group, &request, &unused);
}

static void joined(struct member *member, int version, struct decoder *body) {
    struct join_group_response response;
    if (join_group_response_decode(body, version, &response))
        violation(member->world, "a JoinGroup answer that cannot be read");
    if (response.error_code == KAFKA_MEMBER_ID_REQUIRED || !response.error_code)
        snprintf(member->id, sizeof member->id, "%.*s", SLICE_FMT(response.member_id));
    if (!accept(member, "JoinGroup", response.error_code))
        return;
    if (response.generation_id < member->group->synced) /* one that nobody was given anything in may be lost */
        violation(member->world, "%s: generation %d comes after %d", member->group->name, (int)response.generation_id,
                  (int)member->group->synced);
    member->generation = response.generation_id;
    member->leads = slice_eq(response.leader, response.member_id);
    member->other_count = 0;
    for (int i = 0; member->leads && i < response.members_count && i < MEMBERS_IN_GROUP; i++)
        snprintf(member->others[member->other_count++], sizeof member->others[0], "%.*s", SLICE_FMT(response.members[i].member_id));
    member->step = SYNC;
    think(member, 50);
}

static void sync_group(struct member *member) {
    struct sync_group_request request;
    struct sync_group_request_sync_group_request_assignment assignments[MEMBERS_IN_GROUP];
    uint8_t bytes[MEMBERS_IN_GROUP][TXN_PARTITIONS];
    int32_t unused;
    sync_group_request_init(&request);
    request.group_id = slice_str(member->group->name);
    request.generation_id = member->generation;
    request.member_id = slice_str(member->id);
    request.group_instance_id = SLICE_NULL;
    request.protocol_type = SLICE_LIT("sim");
    request.protocol_name = SLICE_LIT("simple");
    if (member->leads) {
        int first = (int)world_random(member->world, (uint64_t)member->other_count);
        for (int i = 0; i < member->other_count; i++) {
            for (int p = 0; p < TXN_PARTITIONS; p++)
                bytes[i][p] = (p + first) % member->other_count == i;
            assignments[i] = (struct sync_group_request_sync_group_request_assignment){slice_str(member->others[i]),
                                                                                       slice_of(bytes[i], TXN_PARTITIONS)};
        }
        request.assignments = assignments;
        request.assignments_count = member->other_count;
    }
    client_send(&member->client, API_SYNC_GROUP, 5, sync_group, &request, &unused);
}

static void synced(struct member *member, int version, struct decoder *body) {
    struct sync_group_response response;
    if (sync_group_response_decode(body, version, &response))
        violation(member->world, "a SyncGroup answer that cannot be read");
    if (!accept(member, "SyncGroup", response.error_code))
        return;
    if (member->group->synced < member->generation)
        member->group->synced = member->generation;
    for (size_t p = 0; p < response.assignment.size && p < TXN_PARTITIONS; p++)
        if (response.assignment.ptr[p])
            take_partition(member, (int)p);
    member->step = LIVE;
    think(member, 100);
}

static void heartbeat(struct member *member) {
    struct heartbeat_request request;
    int32_t unused;
    heartbeat_request_init(&request);
    request.group_id = slice_str(member->group->name);
    request.generation_id = member->generation;
    request.member_id = slice_str(member->id);
    request.group_instance_id = SLICE_NULL;
    client_send(&member->client, API_HEARTBEAT, 4, heartbeat, &request, &unused);
}

static void leave(struct member *member) {
    struct leave_group_request request;
    struct leave_group_request_member_identity identity;
    int32_t unused;
    leave_group_request_init(&request);
    leave_group_request_member_identity_init(&identity);
    identity.member_id = slice_str(member->id);
    identity.group_instance_id = SLICE_NULL;
    request.group_id = slice_str(member->group->name);
    request.members = &identity;
    request.members_count = 1;
    client_send(&member->client, API_LEAVE_GROUP, 4, leave_group, &request, &unused);
}

/* ---- KIP-848 ------------------------------------------------------------------------------------------------------------------ */

static void consumer_heartbeat(struct member *member, int32_t epoch) {
    struct consumer_group_heartbeat_request request;
    struct consumer_group_heartbeat_request_topic_partitions owned;
    struct slice topic = SLICE_LIT(TXN_TOPIC);
    int32_t partitions[TXN_PARTITIONS], count = list_given(member, partitions), unused;
    consumer_group_heartbeat_request_init(&request);
    request.group_id = slice_str(member->group->name);
    request.member_id = slice_str(member->id);
    request.member_epoch = epoch;
    request.instance_id = request.rack_id = request.server_assignor = request.subscribed_topic_regex = SLICE_NULL;
    request.rebalance_timeout_ms = REBALANCE_MS;
    request.subscribed_topic_names = &topic;
    request.subscribed_topic_names_count = 1;
    owned = (struct consumer_group_heartbeat_request_topic_partitions){member->world->txn_topic->id, partitions, count};
    request.topic_partitions = &owned;
    request.topic_partitions_count = count ? 1 : 0;
    client_send(&member->client, API_CONSUMER_GROUP_HEARTBEAT, 1, consumer_group_heartbeat, &request, &unused);
}

/* True: it is a member. */
static bool take_epoch(struct member *member, int32_t epoch) {
    if (epoch < 0) { /* it has left */
        forget(member);
        think(member, 3000);
        return false;
    }
    if (epoch < member->generation)
        violation(member->world, "%s: epoch %d comes after %d", member->group->name, (int)epoch, (int)member->generation);
    member->generation = epoch;
    member->step = LIVE;
    return true;
}

static void consumer_alive(struct member *member, int version, struct decoder *body) {
    struct consumer_group_heartbeat_response response;
    if (consumer_group_heartbeat_response_decode(body, version, &response))
        violation(member->world, "a ConsumerGroupHeartbeat answer that cannot be read");
    if (!accept(member, "ConsumerGroupHeartbeat", response.error_code) || !take_epoch(member, response.member_epoch))
        return;
    if (response.assignment) {
        memset(member->given, 0, sizeof member->given);
        for (int t = 0; t < response.assignment->topic_partitions_count; t++)
            for (int i = 0; i < response.assignment->topic_partitions[t].partitions_count; i++)
                take_partition(member, response.assignment->topic_partitions[t].partitions[i]);
    }
    think(member, 800);
}

/* ---- KIP-1071: one subtopology, whose tasks are the partitions ------------------------------------------------------------------ */

static void streams_heartbeat(struct member *member, int32_t epoch) {
    struct streams_group_heartbeat_request request;
    struct streams_group_heartbeat_request_topology topology;
    struct streams_group_heartbeat_request_subtopology subtopology;
    struct streams_group_heartbeat_request_task_ids active;
    struct slice topic = SLICE_LIT(TXN_TOPIC);
    int32_t partitions[TXN_PARTITIONS], count = list_given(member, partitions), unused;
    streams_group_heartbeat_request_init(&request);
    streams_group_heartbeat_request_topology_init(&topology);
    streams_group_heartbeat_request_subtopology_init(&subtopology);
    request.group_id = slice_str(member->group->name);
    request.member_id = slice_str(member->id);
    request.member_epoch = epoch;
    request.instance_id = request.rack_id = SLICE_NULL;
    request.process_id = slice_str(member->id);
    request.rebalance_timeout_ms = REBALANCE_MS;
    if (epoch == 0) {
        subtopology.subtopology_id = SLICE_LIT("0");
        subtopology.source_topics = &topic;
        subtopology.source_topics_count = 1;
        topology.subtopologies = &subtopology;
        topology.subtopologies_count = 1;
        request.topology = &topology;
    }
    if (epoch == 0 || !member->has_reported) {
        active = (struct streams_group_heartbeat_request_task_ids){SLICE_LIT("0"), partitions, count};
        request.active_tasks = request.standby_tasks = request.warmup_tasks = &active;
        request.active_tasks_count = count ? 1 : 0;
        request.standby_tasks_count = request.warmup_tasks_count = 0;
        member->has_reported = true;
    }
    client_send(&member->client, API_STREAMS_GROUP_HEARTBEAT, 0, streams_group_heartbeat, &request, &unused);
}

static void streams_alive(struct member *member, int version, struct decoder *body) {
    struct streams_group_heartbeat_response response;
    if (streams_group_heartbeat_response_decode(body, version, &response))
        violation(member->world, "a StreamsGroupHeartbeat answer that cannot be read");
    if (!accept(member, "StreamsGroupHeartbeat", response.error_code) || !take_epoch(member, response.member_epoch))
        return;
    if (response.active_tasks_count >= 0) {
        member->has_reported = false;
        memset(member->given, 0, sizeof member->given);
        for (int t = 0; t < response.active_tasks_count; t++)
            for (int i = 0; i < response.active_tasks[t].partitions_count; i++) {
                int32_t partition = response.active_tasks[t].partitions[i];
                if (partition < 0 || partition >= TXN_PARTITIONS)
                    violation(member->world, "%s: task 0_%d is given to %s", member->group->name, (int)partition, member->id);
                take_partition(member, partition);
            }
    }
    think(member, 800);
}

static void send_heartbeat(struct member *member, int32_t epoch) {
    if (member->group->protocol == GROUP_STREAMS)
        streams_heartbeat(member, epoch);
    else
        consumer_heartbeat(member, epoch);
}

/* ---- offsets ------------------------------------------------------------------------------------------------------------------- */

static void commit(struct member *member, int partition) {
    struct offset_commit_request request;
    struct offset_commit_request_offset_commit_request_topic topic;
    struct offset_commit_request_offset_commit_request_partition data;
    int32_t unused;
    offset_commit_request_init(&request);
    offset_commit_request_offset_commit_request_topic_init(&topic);
    offset_commit_request_offset_commit_request_partition_init(&data);
    member->partition = partition;
    member->committing = ++member->group->next_offset;
    data.partition_index = partition;
    data.committed_offset = member->committing;
    data.committed_metadata = SLICE_EMPTY;
    topic.name = SLICE_LIT(TXN_TOPIC);
    topic.partitions = &data;
    topic.partitions_count = 1;
    request.group_id = slice_str(member->group->name);
    request.generation_id_or_member_epoch = member->generation;
    request.member_id = slice_str(member->id);
    request.group_instance_id = SLICE_NULL;
    request.topics = &topic;
    request.topics_count = 1;
    client_send(&member->client, API_OFFSET_COMMIT, 9, offset_commit, &request, &unused);
}

static void committed(struct member *member, int version, struct decoder *body) {
    struct offset_commit_response response;
    if (offset_commit_response_decode(body, version, &response) || response.topics_count != 1)
        violation(member->world, "an OffsetCommit answer that cannot be read");
    if (!accept(member, "OffsetCommit", response.topics[0].partitions[0].error_code))
        return;
    member->commits++;
    if (member->group->committed[member->partition] < member->committing)
        member->group->committed[member->partition] = member->committing;
    think(member, 200);
}

static void fetch_offset(struct member *member, int partition) {
    struct offset_fetch_request request;
    struct offset_fetch_request_offset_fetch_request_group group;
    struct offset_fetch_request_offset_fetch_request_topics topic;
    int32_t unused;
    offset_fetch_request_init(&request);
    offset_fetch_request_offset_fetch_request_group_init(&group);
    offset_fetch_request_offset_fetch_request_topics_init(&topic);
    member->partition = partition;
    member->fetched_floor = member->group->committed[partition];
    topic.name = SLICE_LIT(TXN_TOPIC);
    topic.partition_indexes = &member->partition;
    topic.partition_indexes_count = 1;
    group.group_id = slice_str(member->group->name);
    group.member_id = SLICE_NULL;
    group.member_epoch = -1;
    group.topics = &topic;
    group.topics_count = 1;
    request.groups = &group;
    request.groups_count = 1;
    client_send(&member->client, API_OFFSET_FETCH, 9, offset_fetch, &request, &unused);
}

static void offset_fetched(struct member *member, int version, struct decoder *body) {
    struct offset_fetch_response response;
    if (offset_fetch_response_decode(body, version, &response) || response.groups_count != 1)
        violation(member->world, "an OffsetFetch answer that cannot be read");
    const struct offset_fetch_response_offset_fetch_response_group *group = &response.groups[0];
    if (!accept(member, "OffsetFetch", group->error_code))
        return;
    int64_t offset = group->topics_count ? group->topics[0].partitions[0].committed_offset : -1;
    if (offset < member->fetched_floor)
        violation(member->world, "%s: partition %d has offset %lld, after %lld was committed", member->group->name, member->partition,
                  (long long)offset, (long long)member->fetched_floor);
    think(member, 200);
}

/* ---- what comes next ------------------------------------------------------------------------------------------------------------ */

static void live(struct member *member) {
    uint64_t what = world_random(member->world, 20);
    int partition = (int)world_random(member->world, TXN_PARTITIONS);
    bool classic = member->group->protocol == GROUP_CLASSIC;
    if (member->finishing && member->commits) {
        member->done = true;
    } else if (what == 0 && !member->finishing) {
        if (classic)
            leave(member);
        else
            send_heartbeat(member, -1);
    } else if (what == 1 && !member->finishing) {
        think(member, 2 * SESSION_MS); /* silent: perhaps long enough to be given up */
    } else if (what < 9 && member->given[partition]) {
        commit(member, partition);
    } else if (what < 12) {
        fetch_offset(member, partition);
    } else if (classic) {
        heartbeat(member);
    } else {
        send_heartbeat(member, member->generation);
    }
}

static void go_on(struct member *member) {
    if (member->done || member->client.waiting_count || !client_is_ready(&member->client))
        return;
    if (!admin_is_ready(member->world->admin)) {
        think(member, 200);
        return;
    }
    if (member->lost_coordinator)
        client_find_coordinator(&member->client, 0, member->group->name);
    else if (member->step == LIVE)
        live(member);
    else if (member->group->protocol != GROUP_CLASSIC)
        send_heartbeat(member, 0);
    else if (member->step == JOIN)
        join(member);
    else
        sync_group(member);
}

static void answered(struct client *client, int32_t correlation, int16_t key, int16_t version, struct decoder *body) {
    struct member *member = container_of(client, struct member, client);
    struct heartbeat_response alive;
    (void)correlation;
    switch (key) {
    case API_FIND_COORDINATOR: member->lost_coordinator = false; think(member, 100); break;
    case API_JOIN_GROUP: joined(member, version, body); break;
    case API_SYNC_GROUP: synced(member, version, body); break;
    case API_CONSUMER_GROUP_HEARTBEAT: consumer_alive(member, version, body); break;
    case API_STREAMS_GROUP_HEARTBEAT: streams_alive(member, version, body); break;
    case API_OFFSET_COMMIT: committed(member, version, body); break;
    case API_OFFSET_FETCH: offset_fetched(member, version, body); break;
    case API_HEARTBEAT:
        if (heartbeat_response_decode(body, version, &alive))
            violation(member->world, "a Heartbeat answer that cannot be read");
        if (accept(member, "Heartbeat", alive.error_code))
            think(member, 800);
        break;
    default: /* it has left */
        forget(member);
        think(member, 3000);
        break;
    }
}

static void connection_lost(struct client *client) {
    struct member *member = container_of(client, struct member, client);
    member->has_reported = false;
    if (member->step == SYNC)
        member->step = JOIN;
}
static void connected(struct client *client) {
    think(container_of(client, struct member, client), 50);
}

struct member *member_create(struct world *world, int index, struct sim_group *group) {
    struct member *member = mem_new(struct member);
    member->world = world;
    member->index = index;
    member->group = group;
    forget(member);
    member->think.fire = thought;
    member->client.on_connected = connected;
    member->client.on_answer = answered;
    member->client.on_lost = connection_lost;
    client_start(&member->client, world);
    return member;
}

void member_finish(struct member *member) {
    member->finishing = true;
    member->commits = 0;
    think(member, 1);
}
bool member_is_idle(const struct member *member) {
    return member->done;
}
void member_describe(const struct member *member) {
    printf("%s, member %s, generation %d, step %d, %llu commits%s\n", member->group->name, member->id, (int)member->generation, member->step,
           (unsigned long long)member->commits, member->done ? ", done" : "");
}
