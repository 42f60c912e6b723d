/* A member of a share group (KIP-932): fetches records that nobody else has, accepts, releases and rejects them, keeps them past
 * their locks, leaves, falls silent, loses its connection and comes back, also with acknowledgements for what is not its own any more.
 * Checked: what was settled never comes again, no count of deliveries exceeds the limit, nobody acknowledges what another was
 * given since, and in the end nothing is left open. */
#include <stdio.h>
#include "protocol/share_acknowledge_request.h"
#include "protocol/share_acknowledge_response.h"
#include "protocol/share_fetch_request.h"
#include "protocol/share_fetch_response.h"
#include "protocol/share_group_heartbeat_request.h"
#include "protocol/share_group_heartbeat_response.h"
#include "tests/sim/sim_test.h"

enum { RELEASE = 2, ACCEPT = 1, REJECT = 3, BATCHES_MAX = 60, RUN_MAX = 12, SENT_MAX = BATCHES_MAX * RUN_MAX, VERIFY_FETCHES = 6 };

struct sent_ack {
    int16_t partition, offset;
    int8_t type;
    uint32_t hold;         /* not 0: somebody else had it when this was sent; the number of that delivery */
    uint32_t lost_fetches; /* then */
};

struct sharer {
    struct client client;
    struct world *world;
    int index;
    char id[40];
    int32_t epoch;              /* of the member; 0: joins */
    int32_t session;            /* epoch of the share session; 0: begins one */
    bool given[SHARE_PARTITIONS];
    bool held[SHARE_PARTITIONS][SHARE_OFFSETS_MAX];
    int held_count;
    struct sent_ack sent[SENT_MAX];
    int sent_count;
    bool fetching, leaving, closing, lost_coordinator, finishing, done;
    uint64_t fetch_ns;          /* when it was sent */
    uint32_t fetch_lost;        /* sim_share.lost_fetches, then */
    int verify_fetches;         /* that are still to come */
    uint64_t deliveries, settled;
    int16_t last_error;
    struct timer think;
};

static void go_on(struct sharer *sharer);

static void think(struct sharer *sharer, uint64_t max_ms) {
    if (!timer_is_running(&sharer->think))
        timer_start(sharer->client.shard, &sharer->think, 1 + world_random(sharer->world, max_ms * NS_PER_MS));
}
static void thought(struct shard *shard, struct timer *timer) {
    (void)shard;
    go_on(container_of(timer, struct sharer, think));
}

static void forget_held(struct sharer *sharer) {
    memset(sharer->held, 0, sizeof sharer->held);
    sharer->held_count = 0;
}

/* ---- what is checked ------------------------------------------------------------------------------------------------------ */

bool share_is_open(const struct world *world, const struct share_record *record) {
    return !record->settled_ns && !record->unsure &&
           record->deliveries + (int64_t)(world->share.lost_fetches - record->lost_before) < world->share.delivery_limit;
}

static bool all_is_settled(const struct world *world) {
    for (int p = 0; p < SHARE_PARTITIONS; p++)
        for (int i = 0; i < SHARE_OFFSETS_MAX; i++)
            if (world->share.records[p][i].acknowledged && share_is_open(world, &world->share.records[p][i]))
                return false;
    return true;
}

/* What a batch of the log shows; true: the offset is in it. */
static bool check_record(struct sharer *sharer, int partition, int64_t offset, struct slice bytes) {
    struct world *world = sharer->world;
    struct ledger where = {.world = world, .topic = world->share_topic, .index = partition};
    for (size_t at = 0; bytes.size - at >= BATCH_HEADER_SIZE && batch_size(bytes.ptr + at) <= bytes.size - at; at += batch_size(bytes.ptr + at)) {
        const uint8_t *batch = bytes.ptr + at;
        struct record_iterator it;
        struct record record;
        if (offset < batch_base_offset(batch) || offset > batch_last_offset(batch))
            continue;
        if (batch_check(slice_of(batch, batch_size(batch))))
            violation(world, SHARE_TOPIC "-%d: the batch at %lld is bad", partition, (long long)batch_base_offset(batch));
        record_iterator_init(&it, batch, slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE));
        while (record_next(&it, &record) == ERR_OK) {
            if (record.offset != offset)
                continue;
            struct record_id id = record_check(&where, offset, record.value);
            uint32_t *number = &world->share.records[partition][offset].number;
            if (id.producer != SHARE_WRITER_ID || (*number && *number != id.number))
                violation(world, SHARE_TOPIC "-%d: at %lld is record %u of %u, where record %u was", partition, (long long)offset,
                          id.number, id.producer, *number);
            *number = id.number;
            return true;
        }
    }
    return false;
}

static void take_delivery(struct sharer *sharer, int partition, int64_t offset, int16_t count) {
    struct world *world = sharer->world;
    struct sim_share *share = &world->share;
    struct share_record *record = &share->records[partition][offset];
    if (record->settled_ns && record->settled_ns < sharer->fetch_ns)
        violation(world, SHARE_TOPIC "-%d: %lld is delivered, and was settled", partition, (long long)offset);
    if (count < 1 || count > share->delivery_limit)
        violation(world, SHARE_TOPIC "-%d: %lld is delivered for the %dth time of %d", partition, (long long)offset, count, (int)share->delivery_limit);
    if (count > record->deliveries) {
        record->deliveries = count;
        record->lost_before = sharer->fetch_lost;
    }
    bool sure = !record->hold || record->holder == sharer->index || record->held_ns < sharer->fetch_ns;
    record->hold = sure ? ++share->last_hold : 0;
    record->holder = (int8_t)sharer->index;
    record->held_ns = sim_now_ns(world->sim);
    sharer->held_count += !sharer->held[partition][offset];
    sharer->held[partition][offset] = true;
    sharer->deliveries++;
    world->shown++;
}

static void take_ack(struct sharer *sharer, const struct sent_ack *ack, int16_t code) {
    struct world *world = sharer->world;
    struct share_record *record = &world->share.records[ack->partition][ack->offset];
    bool nothing_done = code == KAFKA_INVALID_RECORD_STATE || code == KAFKA_INVALID_REQUEST;
    if (code == 0 && ack->hold && ack->hold == record->hold && ack->lost_fetches == world->share.lost_fetches && share_is_open(world, record))
        violation(world, SHARE_TOPIC "-%d: %s acknowledges %lld, which sharer %d was given since", ack->partition, sharer->id,
                  (long long)ack->offset, record->holder);
    if (ack->type == RELEASE || nothing_done)
        return;
    if (code) {
        record->unsure = true;
        return;
    }
    if (!record->settled_ns)
        record->settled_ns = sim_now_ns(world->sim);
    sharer->settled++;
}

/* All that was sent to a partition (-1: to all) and is answered by the code. */
static void take_acks(struct sharer *sharer, int partition, int16_t code) {
    int kept = 0;
    for (int i = 0; i < sharer->sent_count; i++) {
        if (partition >= 0 && sharer->sent[i].partition != partition)
            sharer->sent[kept++] = sharer->sent[i];
        else
            take_ack(sharer, &sharer->sent[i], code);
    }
    sharer->sent_count = kept;
}

/* ---- errors --------------------------------------------------------------------------------------------------------------- */

static bool is_expected(int16_t code) {
    return code == KAFKA_NOT_COORDINATOR || code == KAFKA_COORDINATOR_NOT_AVAILABLE || code == KAFKA_COORDINATOR_LOAD_IN_PROGRESS ||
           code == KAFKA_UNKNOWN_MEMBER_ID || code == KAFKA_FENCED_MEMBER_EPOCH || code == KAFKA_GROUP_ID_NOT_FOUND ||
           code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || code == KAFKA_UNKNOWN_TOPIC_ID || code == KAFKA_NOT_LEADER_OR_FOLLOWER ||
           code == KAFKA_KAFKA_STORAGE_ERROR || code == KAFKA_REQUEST_TIMED_OUT || code == KAFKA_SHARE_SESSION_NOT_FOUND ||
           code == KAFKA_INVALID_SHARE_SESSION_EPOCH || code == KAFKA_INVALID_RECORD_STATE || code == KAFKA_INVALID_REQUEST;
}
static bool accept(struct sharer *sharer, const char *what, int16_t code) {
    if (code && !is_expected(code))
        violation(sharer->world, "%s of %s is answered with error %d", what, sharer->id, code);
    if (code)
        sharer->last_error = code;
    return !code;
}

/* ---- membership ----------------------------------------------------------------------------------------------------------- */

static void heartbeat(struct sharer *sharer, int32_t epoch) {
    struct share_group_heartbeat_request request;
    struct slice topic = SLICE_LIT(SHARE_TOPIC);
    int32_t unused;
    share_group_heartbeat_request_init(&request);
    request.group_id = SLICE_LIT(SHARE_GROUP);
    request.member_id = slice_str(sharer->id);
    request.member_epoch = epoch;
    request.rack_id = SLICE_NULL;
    request.subscribed_topic_names = &topic;
    request.subscribed_topic_names_count = 1;
    sharer->leaving = epoch < 0;
    client_send(&sharer->client, API_SHARE_GROUP_HEARTBEAT, 1, share_group_heartbeat, &request, &unused);
}

static void alive(struct sharer *sharer, int version, struct decoder *body) {
    struct share_group_heartbeat_response response;
    struct world *world = sharer->world;
    if (share_group_heartbeat_response_decode(body, version, &response))
        violation(world, "a ShareGroupHeartbeat answer that cannot be read");
    int16_t code = response.error_code;
    if (!accept(sharer, "ShareGroupHeartbeat", code)) {
        sharer->lost_coordinator = code == KAFKA_NOT_COORDINATOR || code == KAFKA_COORDINATOR_NOT_AVAILABLE;
        if (code == KAFKA_UNKNOWN_MEMBER_ID || code == KAFKA_FENCED_MEMBER_EPOCH || code == KAFKA_GROUP_ID_NOT_FOUND)
            sharer->epoch = 0;
        think(sharer, 300);
        return;
    }
    if (sharer->leaving) {
        sharer->epoch = 0;
        memset(sharer->given, 0, sizeof sharer->given);
        think(sharer, sharer->finishing ? 100 : 2000);
        return;
    }
    if (response.member_epoch < sharer->epoch)
        violation(world, "%s: epoch %d comes after %d", sharer->id, (int)response.member_epoch, (int)sharer->epoch);
    sharer->epoch = response.member_epoch;
    if (response.assignment) {
        memset(sharer->given, 0, sizeof sharer->given);
        for (int t = 0; t < response.assignment->topic_partitions_count; t++)
            for (int i = 0; i < response.assignment->topic_partitions[t].partitions_count; i++) {
                int32_t partition = response.assignment->topic_partitions[t].partitions[i];
                if (partition < 0 || partition >= SHARE_PARTITIONS)
                    violation(world, "%s is assigned partition %d", sharer->id, (int)partition);
                sharer->given[partition] = true;
            }
    }
    think(sharer, 100);
}

/* ---- acknowledgements ------------------------------------------------------------------------------------------------------- */

static int8_t choose_type(struct sharer *sharer) {
    uint64_t what = sharer->finishing ? 9 : world_random(sharer->world, 10);
    return what == 0 ? REJECT : what < 3 ? RELEASE : ACCEPT;
}

static void note_sent(struct sharer *sharer, int partition, int64_t offset, int8_t type) {
    struct share_record *record = &sharer->world->share.records[partition][offset];
    bool others = record->hold && record->holder != sharer->index;
    sharer->sent[sharer->sent_count++] = (struct sent_ack){(int16_t)partition, (int16_t)offset, type, others ? record->hold : 0,
                                                           sharer->world->share.lost_fetches};
    if (!others)
        record->hold = 0;
    sharer->held[partition][offset] = false;
    sharer->held_count--;
}

struct ack_batch {
    int16_t partition, first, count, type_count;
    int8_t types[RUN_MAX];
};

/* Runs of what is held, in order; some of them are left for later. */
static int take_batches(struct sharer *sharer, struct ack_batch *batches) {
    struct world *world = sharer->world;
    int count = 0;
    for (int p = 0; p < SHARE_PARTITIONS; p++)
        for (int at = 0; at < SHARE_OFFSETS_MAX && sharer->held_count && count < BATCHES_MAX; at++) {
            if (!sharer->held[p][at])
                continue;
            int run = 0, max = 1 + (int)world_random(world, RUN_MAX);
            while (run < max && at + run < SHARE_OFFSETS_MAX && sharer->held[p][at + run])
                run++;
            if (sharer->finishing || !world_chance(world, 8)) {
                struct ack_batch *batch = &batches[count++];
                *batch = (struct ack_batch){(int16_t)p, (int16_t)at, (int16_t)run, world_chance(world, 2) ? 1 : (int16_t)run, {0}};
                for (int i = 0; i < run; i++) {
                    batch->types[i] = i && batch->type_count == 1 ? batch->types[0] : choose_type(sharer);
                    note_sent(sharer, p, at + i, batch->types[i]);
                }
            }
            at += run - 1;
        }
    return count;
}

static void acknowledge(struct sharer *sharer) {
    struct share_acknowledge_request request;
    struct share_acknowledge_request_acknowledge_topic topic;
    struct share_acknowledge_request_acknowledge_partition partitions[SHARE_PARTITIONS];
    struct share_acknowledge_request_acknowledgement_batch batches[BATCHES_MAX];
    struct ack_batch taken[BATCHES_MAX];
    int count = take_batches(sharer, taken), at = 0;
    int32_t unused;
    share_acknowledge_request_init(&request);
    share_acknowledge_request_acknowledge_topic_init(&topic);
    topic.topic_id = sharer->world->share_topic->id;
    topic.partitions = partitions;
    for (int p = 0; p < SHARE_PARTITIONS; p++) {
        int first = at;
        for (; at < count && taken[at].partition == p; at++)
            batches[at] = (struct share_acknowledge_request_acknowledgement_batch){
                taken[at].first, taken[at].first + taken[at].count - 1, taken[at].types, taken[at].type_count};
        if (at > first)
            partitions[topic.partitions_count++] = (struct share_acknowledge_request_acknowledge_partition){p, batches + first, at - first};
    }
    request.group_id = SLICE_LIT(SHARE_GROUP);
    request.member_id = slice_str(sharer->id);
    request.share_session_epoch = sharer->closing ? -1 : sharer->session;
    request.topics = &topic;
    request.topics_count = count ? 1 : 0;
    client_send(&sharer->client, API_SHARE_ACKNOWLEDGE, 2, share_acknowledge, &request, &unused);
}

static void next_session_epoch(struct sharer *sharer) {
    sharer->session = sharer->closing ? 0 : sharer->session + 1;
    if (sharer->closing)
        forget_held(sharer);
    sharer->closing = false;
}

/* The request as a whole was refused: nothing of it was done. */
static void refused(struct sharer *sharer, int16_t code) {
    sharer->session = 0;
    sharer->closing = false;
    take_acks(sharer, -1, KAFKA_INVALID_REQUEST);
    sharer->last_error = code;
    think(sharer, 300);
}

static void acknowledged(struct sharer *sharer, int version, struct decoder *body) {
    struct share_acknowledge_response response;
    if (share_acknowledge_response_decode(body, version, &response))
        violation(sharer->world, "a ShareAcknowledge answer that cannot be read");
    if (!accept(sharer, "ShareAcknowledge", response.error_code)) {
        refused(sharer, response.error_code);
        return;
    }
    for (int t = 0; t < response.responses_count; t++)
        for (int p = 0; p < response.responses[t].partitions_count; p++) {
            accept(sharer, "an acknowledgement", response.responses[t].partitions[p].error_code);
            take_acks(sharer, response.responses[t].partitions[p].partition_index, response.responses[t].partitions[p].error_code);
        }
    if (sharer->sent_count)
        violation(sharer->world, "%d acknowledgements of %s are not answered", sharer->sent_count, sharer->id);
    next_session_epoch(sharer);
    think(sharer, 100);
}

/* ---- fetches ------------------------------------------------------------------------------------------------------------------ */

static void fetch(struct sharer *sharer) {
    struct share_fetch_request request;
    struct share_fetch_request_fetch_topic topic;
    struct share_fetch_request_fetch_partition partitions[SHARE_PARTITIONS];
    struct share_fetch_request_acknowledgement_batch batches[BATCHES_MAX];
    struct ack_batch taken[BATCHES_MAX];
    struct world *world = sharer->world;
    bool acks = sharer->session > 0 && (sharer->finishing || world_chance(world, 2));
    int count = acks ? take_batches(sharer, taken) : 0, at = 0;
    int32_t unused;
    share_fetch_request_init(&request);
    share_fetch_request_fetch_topic_init(&topic);
    topic.topic_id = world->share_topic->id;
    topic.partitions = partitions;
    for (int p = 0; p < SHARE_PARTITIONS; p++) {
        int first = at;
        for (; at < count && taken[at].partition == p; at++)
            batches[at] = (struct share_fetch_request_acknowledgement_batch){
                taken[at].first, taken[at].first + taken[at].count - 1, taken[at].types, taken[at].type_count};
        if (at > first || sharer->given[p]) {
            share_fetch_request_fetch_partition_init(&partitions[topic.partitions_count]);
            partitions[topic.partitions_count].partition_index = p;
            partitions[topic.partitions_count].acknowledgement_batches = batches + first;
            partitions[topic.partitions_count++].acknowledgement_batches_count = at - first;
        }
    }
    request.group_id = SLICE_LIT(SHARE_GROUP);
    request.member_id = slice_str(sharer->id);
    request.share_session_epoch = sharer->session;
    request.max_wait_ms = (int32_t)world_random(world, 400);
    request.min_bytes = 1;
    request.max_bytes = 1 + (int32_t)world_random(world, 1 << 16);
    request.max_records = 1 + (int32_t)world_random(world, 100);
    request.batch_size = 1 + (int32_t)world_random(world, 20);
    request.share_acquire_mode = (int8_t)world_random(world, 2);
    request.topics = &topic;
    request.topics_count = topic.partitions_count ? 1 : 0;
    sharer->fetching = true;
    sharer->fetch_ns = sim_now_ns(world->sim);
    sharer->fetch_lost = world->share.lost_fetches;
    client_send(&sharer->client, API_SHARE_FETCH, 2, share_fetch, &request, &unused);
}

static void take_partition(struct sharer *sharer, const struct share_fetch_response_partition_data *data) {
    struct world *world = sharer->world;
    int32_t partition = data->partition_index;
    if (partition < 0 || partition >= SHARE_PARTITIONS)
        violation(world, "a ShareFetch answer with partition %d", (int)partition);
    accept(sharer, "an acknowledgement", data->acknowledge_error_code);
    take_acks(sharer, partition, data->acknowledge_error_code);
    if (!accept(sharer, "a partition of ShareFetch", data->error_code))
        return;
    int64_t last = -1;
    for (int i = 0; i < data->acquired_records_count; i++) {
        const struct share_fetch_response_acquired_records *acquired = &data->acquired_records[i];
        if (acquired->first_offset <= last || acquired->last_offset < acquired->first_offset || acquired->last_offset >= SHARE_OFFSETS_MAX)
            violation(world, SHARE_TOPIC "-%d: %lld to %lld is acquired, after %lld", (int)partition, (long long)acquired->first_offset,
                      (long long)acquired->last_offset, (long long)last);
        last = acquired->last_offset;
        for (int64_t offset = acquired->first_offset; offset <= last; offset++) {
            if (!check_record(sharer, partition, offset, data->records.bytes))
                violation(world, SHARE_TOPIC "-%d: %lld is acquired, and is not there", (int)partition, (long long)offset);
            take_delivery(sharer, partition, offset, acquired->delivery_count);
        }
    }
}

static void fetched(struct sharer *sharer, int version, struct decoder *body) {
    struct share_fetch_response response;
    sharer->fetching = false;
    if (share_fetch_response_decode(body, version, &response))
        violation(sharer->world, "a ShareFetch answer that cannot be read");
    if (!accept(sharer, "ShareFetch", response.error_code)) {
        refused(sharer, response.error_code);
        return;
    }
    for (int t = 0; t < response.responses_count; t++)
        for (int p = 0; p < response.responses[t].partitions_count; p++)
            take_partition(sharer, &response.responses[t].partitions[p]);
    if (sharer->sent_count)
        violation(sharer->world, "%d acknowledgements of %s are not answered", sharer->sent_count, sharer->id);
    next_session_epoch(sharer);
    if (sharer->verify_fetches && --sharer->verify_fetches == 0)
        sharer->done = true;
    think(sharer, 100);
}

/* ---- what comes next ------------------------------------------------------------------------------------------------------------ */

static void live(struct sharer *sharer) {
    struct world *world = sharer->world;
    uint64_t what = world_random(world, 60);
    bool has = sharer->given[0] || sharer->given[1];
    if (sharer->finishing && !sharer->verify_fetches && share_writer_is_idle(world->share_writer) && all_is_settled(world)) {
        sharer->done = true;
    } else if (what == 0 && !sharer->finishing) {
        heartbeat(sharer, -1);
    } else if (what < 3 && !sharer->finishing) {
        think(sharer, 3 * SHARE_LOCK_MS); /* past the locks of what it has */
    } else if (what == 3 && !sharer->finishing) {
        client_reset(&sharer->client);
    } else if (what == 4 && !sharer->finishing && sharer->session > 0) {
        sharer->closing = true;
        acknowledge(sharer);
    } else if (what < 16 || !has) {
        heartbeat(sharer, sharer->epoch);
    } else if (what < 30 && sharer->session > 0 && sharer->held_count) {
        acknowledge(sharer);
    } else {
        fetch(sharer);
    }
}

static void go_on(struct sharer *sharer) {
    if (sharer->done || sharer->client.waiting_count || !client_is_ready(&sharer->client))
        return;
    if (!admin_is_ready(sharer->world->admin) || !sharer->world->share.configured)
        think(sharer, 200);
    else if (sharer->lost_coordinator)
        client_find_coordinator(&sharer->client, 0, SHARE_GROUP);
    else if (sharer->epoch == 0)
        heartbeat(sharer, 0);
    else
        live(sharer);
}

static void answered(struct client *client, int32_t correlation, int16_t key, int16_t version, struct decoder *body) {
    struct sharer *sharer = container_of(client, struct sharer, client);
    (void)correlation;
    if (key == API_FIND_COORDINATOR) {
        sharer->lost_coordinator = false;
        think(sharer, 100);
    } else if (key == API_SHARE_GROUP_HEARTBEAT) {
        alive(sharer, version, body);
    } else if (key == API_SHARE_FETCH) {
        fetched(sharer, version, body);
    } else {
        acknowledged(sharer, version, body);
    }
}

static void connection_lost(struct client *client) {
    struct sharer *sharer = container_of(client, struct sharer, client);
    sharer->world->share.lost_fetches += sharer->fetching;
    sharer->fetching = sharer->closing = false;
    sharer->session = 0;
    take_acks(sharer, -1, KAFKA_NETWORK_EXCEPTION);
    if (world_chance(sharer->world, 2)) /* else it tries to acknowledge what it lost */
        forget_held(sharer);
}

static void connected(struct client *client) {
    think(container_of(client, struct sharer, client), 50);
}

struct sharer *sharer_create(struct world *world, int index) {
    struct sharer *sharer = mem_new(struct sharer);
    sharer->world = world;
    sharer->index = index;
    snprintf(sharer->id, sizeof sharer->id, "sharer-%d", index);
    sharer->think.fire = thought;
    sharer->client.on_connected = connected;
    sharer->client.on_answer = answered;
    sharer->client.on_lost = connection_lost;
    client_start(&sharer->client, world);
    return sharer;
}

void sharer_finish(struct sharer *sharer) {
    sharer->finishing = true;
    think(sharer, 1);
}
void sharer_verify(struct sharer *sharer) {
    sharer->verify_fetches = VERIFY_FETCHES;
    sharer->done = false;
    think(sharer, 1);
}
bool sharer_is_idle(const struct sharer *sharer) {
    return sharer->done;
}

void sharer_describe(const struct sharer *sharer) {
    const struct sim_share *share = &sharer->world->share;
    printf("%s, epoch %d, session %d, given %d %d, holds %d, %llu deliveries, %llu settled, last error %d%s\n", sharer->id, (int)sharer->epoch,
           (int)sharer->session, sharer->given[0], sharer->given[1], sharer->held_count, (unsigned long long)sharer->deliveries,
           (unsigned long long)sharer->settled, sharer->last_error, sharer->done ? ", done" : "");
    for (int p = 0; !sharer->index && p < SHARE_PARTITIONS; p++)
        for (int i = 0; i < SHARE_OFFSETS_MAX; i++)
            if (share->records[p][i].acknowledged && share_is_open(sharer->world, &share->records[p][i])) {
                printf(SHARE_TOPIC "-%d: %d is the first that is open, delivered %d times of %d\n", p, i, share->records[p][i].deliveries,
                       (int)share->delivery_limit);
                break;
            }
}
