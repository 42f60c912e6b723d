/* DescribeShareGroupOffsets, AlterShareGroupOffsets, DeleteShareGroupOffsets: where share groups are, for administrators. */
#include "base/numbering.h"
#include "broker/coordinators.h"
#include "broker/fanout.h"
#include "broker/handlers/handlers.h"
#include "broker/share_admin.h"
#include "broker/share_partitions.h"
#include "protocol/alter_share_group_offsets_request.h"
#include "protocol/alter_share_group_offsets_response.h"
#include "protocol/delete_share_group_offsets_request.h"
#include "protocol/delete_share_group_offsets_response.h"
#include "protocol/describe_share_group_offsets_request.h"
#include "protocol/describe_share_group_offsets_response.h"

typedef struct describe_share_group_offsets_response_describe_share_group_offsets_response_partition described_partition;
typedef struct describe_share_group_offsets_response_describe_share_group_offsets_response_topic described_topic;
typedef struct describe_share_group_offsets_response_describe_share_group_offsets_response_group described_group;

/* ---- DescribeShareGroupOffsets ------------------------------------------------------------------------------------------- */

struct description {
    struct request *request;
    struct describe_share_group_offsets_request message;
    struct describe_share_group_offsets_response response;
    struct fanout fanout; /* for ends of logs, when all summaries are there */
    int pending;
};
struct group_visit { /* which partitions are there */
    struct coordinator_visit visit;
    struct description *description;
    described_group *out;
    struct slice group;
    struct share_init places;
};
struct summary { /* one partition */
    struct coordinator_visit visit;
    struct fanout_item end;
    struct description *description;
    described_partition *out;
    struct share_call call;
    struct uuid topic_id;
};

static void ends_known(struct fanout *fanout) {
    struct description *description = container_of(fanout, struct description, fanout);
    request_answer(description->request, describe_share_group_offsets, &description->response);
}

static void finish(struct description *description) {
    if (--description->pending == 0)
        fanout_run(&description->fanout);
}

static void end_visit(struct fanout_item *item, struct partition *partition) {
    struct summary *summary = container_of(item, struct summary, end);
    if (!partition_check_leader(partition))
        summary->out->lag = partition_high_watermark(partition) - summary->out->start_offset - summary->call.complete_count;
    fanout_item_done(item);
}

static void decide_summary(struct coordinator_op *op, void *state) {
    struct summary *summary = container_of(op, struct summary, visit.op);
    share_state_decide(op, state, &summary->call);
}

/* Errors are not told: it is as if nothing were known. */
static void summary_done(struct coordinator_visit *visit, int16_t error) {
    struct summary *summary = container_of(visit, struct summary, visit);
    struct description *description = summary->description;
    if (!error && !summary->call.error) {
        summary->out->start_offset = summary->call.start_offset;
        summary->out->leader_epoch = summary->call.leader_epoch;
        if (summary->call.start_offset >= 0 && summary->call.complete_count != -1) /* below 0: whoever altered it said so */
            fanout_add(&description->fanout, &summary->end, summary->topic_id, summary->out->partition_index);
    }
    finish(description);
}

static void summarize(struct description *description, struct slice group, struct uuid topic_id, described_partition *out) {
    struct request *request = description->request;
    struct summary *summary = arena_new(&request->arena, struct summary);
    *summary = (struct summary){.description = description, .out = out, .topic_id = topic_id};
    summary->call = (struct share_call){.type = SHARE_SUMMARY, .group = group, .topic_id = topic_id, .partition = out->partition_index};
    summary->visit.request = request;
    summary->visit.op.decide = decide_summary;
    summary->visit.answer = summary_done;
    description->pending++;
    coordinator_visit(&summary->visit, COORDINATOR_SHARE, share_state_key(&request->arena, group, topic_id, out->partition_index), true);
}

static void describe_partition(struct description *description, struct slice group, const struct image_topic *topic, described_topic *out, int32_t index) {
    described_partition *partition = &out->partitions[out->partitions_count++];
    describe_share_group_offsets_response_describe_share_group_offsets_response_partition_init(partition);
    partition->partition_index = index;
    partition->start_offset = -1;
    if (image_find_partition(topic, index))
        summarize(description, group, topic->id, partition);
}

static void describe_places(struct group_visit *visit) {
    struct description *description = visit->description;
    struct arena *arena = &description->request->arena;
    const struct image *image = description->request->shard->image;
    visit->out->topics = arena_array(arena, described_topic, visit->places.count + 1);
    for (int from = 0, to; from < visit->places.count; from = to) {
        const struct image_topic *topic = image_find_topic_id(image, visit->places.places[from].topic_id);
        for (to = from + 1; to < visit->places.count && uuid_eq(visit->places.places[to].topic_id, visit->places.places[from].topic_id); to++)
            ;
        if (!topic)
            continue;
        described_topic *out = &visit->out->topics[visit->out->topics_count++];
        out->topic_name = arena_slice(arena, topic->name);
        out->topic_id = topic->id;
        out->partitions = arena_array(arena, described_partition, to - from);
        for (int i = from; i < to; i++)
            describe_partition(description, visit->group, topic, out, visit->places.places[i].partition);
    }
}

static void decide_places(struct coordinator_op *op, void *state) {
    struct group_visit *visit = container_of(op, struct group_visit, visit.op);
    share_group_places(state, op->arena, visit->group, &visit->places);
}

static void places_done(struct coordinator_visit *base, int16_t error) {
    struct group_visit *visit = container_of(base, struct group_visit, visit);
    visit->out->error_code = error;
    if (error)
        visit->out->error_message = slice_str(share_error_text(error));
    else
        describe_places(visit);
    finish(visit->description);
}

static void describe_group(struct description *description, const struct describe_share_group_offsets_request_describe_share_group_offsets_request_group *asked,
                           described_group *out) {
    struct request *request = description->request;
    out->group_id = asked->group_id;
    if (!share_is_enabled(request->shard)) {
        out->error_code = KAFKA_UNSUPPORTED_VERSION;
        out->error_message = slice_str(share_error_text(KAFKA_UNSUPPORTED_VERSION));
        return;
    }
    if (asked->topics_count < 0) {
        struct group_visit *visit = arena_new(&request->arena, struct group_visit);
        *visit = (struct group_visit){.description = description, .out = out, .group = asked->group_id};
        visit->visit.request = request;
        visit->visit.op.decide = decide_places;
        visit->visit.answer = places_done;
        description->pending++;
        coordinator_visit(&visit->visit, COORDINATOR_GROUP, asked->group_id, true);
        return;
    }
    out->topics = arena_array(&request->arena, described_topic, asked->topics_count + 1);
    for (int t = 0; t < asked->topics_count; t++) {
        const struct image_topic *topic = image_find_topic(request->shard->image, asked->topics[t].topic_name);
        described_topic *told = &out->topics[out->topics_count++];
        told->topic_name = asked->topics[t].topic_name;
        told->topic_id = topic ? topic->id : UUID_ZERO;
        told->partitions = arena_array(&request->arena, described_partition, asked->topics[t].partitions_count + 1);
        for (int p = 0; p < asked->topics[t].partitions_count; p++)
            describe_partition(description, asked->group_id, topic, told, asked->topics[t].partitions[p]);
    }
}

void handle_describe_share_group_offsets(struct request *request) {
    struct description *description = arena_new(&request->arena, struct description);
    if (!request_decode(request, describe_share_group_offsets, &description->message))
        return;
    const struct describe_share_group_offsets_request *message = &description->message;
    describe_share_group_offsets_response_init(&description->response);
    description->request = request;
    description->pending = 1;
    description->fanout = (struct fanout){.request = request, .visit = end_visit, .done = ends_known};
    description->response.groups = arena_array(&request->arena, described_group, message->groups_count + 1);
    description->response.groups_count = message->groups_count;
    for (int i = 0; i < message->groups_count; i++) {
        describe_share_group_offsets_response_describe_share_group_offsets_response_group_init(&description->response.groups[i]);
        describe_group(description, &message->groups[i], &description->response.groups[i]);
    }
    finish(description);
}

/* ---- AlterShareGroupOffsets ------------------------------------------------------------------------------------------------ */

typedef struct alter_share_group_offsets_response_alter_share_group_offsets_response_partition altered_partition;
typedef struct alter_share_group_offsets_response_alter_share_group_offsets_response_topic altered_topic;

struct alteration {
    struct coordinator_visit visit;
    struct request *request;
    struct alter_share_group_offsets_request message;
    struct alter_share_group_offsets_response response;
    struct share_init init;
    altered_partition **outs; /* of init's places */
    int16_t error;
    const char *text;
};

static void alter_refuse(struct alteration *alteration, int16_t error, const char *text) {
    alter_share_group_offsets_response_init(&alteration->response);
    alteration->response.error_code = error;
    alteration->response.error_message = slice_str(text ? text : share_error_text(error));
    request_answer(alteration->request, alter_share_group_offsets, &alteration->response);
}

static void altered(void *arg, const int16_t *errors) {
    struct alteration *alteration = arg;
    for (int i = 0; i < alteration->init.count; i++) {
        alteration->outs[i]->error_code = errors[i];
        alteration->outs[i]->error_message = slice_str(errors[i] ? share_error_text(errors[i]) : NULL);
    }
    request_answer(alteration->request, alter_share_group_offsets, &alteration->response);
}

static void decide_alter(struct coordinator_op *op, void *state) {
    struct alteration *alteration = container_of(op, struct alteration, visit.op);
    alteration->error = share_group_alter(state, op, alteration->message.group_id, alteration->init.places, alteration->init.count,
                                          &alteration->init.state_epoch, &alteration->text);
}

static void alter_marked(struct coordinator_visit *visit, int16_t error) {
    struct alteration *alteration = container_of(visit, struct alteration, visit);
    if (error || alteration->error)
        alter_refuse(alteration, error ? error : alteration->error, alteration->text);
    else if (alteration->init.count)
        share_init_states(alteration->request->shard, alteration->message.group_id, &alteration->init, altered, alteration);
    else
        request_answer(alteration->request, alter_share_group_offsets, &alteration->response);
}

static void take_alterations(struct alteration *alteration) {
    struct request *request = alteration->request;
    const struct alter_share_group_offsets_request *message = &alteration->message;
    int count = 0;
    for (int t = 0; t < message->topics_count; t++)
        count += message->topics[t].partitions_count;
    alteration->init.places = arena_array(&request->arena, struct share_place, count + 1);
    alteration->outs = arena_array(&request->arena, altered_partition *, count + 1);
    alteration->response.responses = arena_array(&request->arena, altered_topic, message->topics_count + 1);
    for (int t = 0; t < message->topics_count; t++) {
        const struct image_topic *topic = image_find_topic(request->shard->image, message->topics[t].topic_name);
        altered_topic *out = &alteration->response.responses[alteration->response.responses_count++];
        alter_share_group_offsets_response_alter_share_group_offsets_response_topic_init(out);
        out->topic_name = message->topics[t].topic_name;
        out->topic_id = topic ? topic->id : UUID_ZERO;
        out->partitions = arena_array(&request->arena, altered_partition, message->topics[t].partitions_count + 1);
        for (int p = 0; p < message->topics[t].partitions_count; p++) {
            altered_partition *told = &out->partitions[out->partitions_count++];
            alter_share_group_offsets_response_alter_share_group_offsets_response_partition_init(told);
            told->partition_index = message->topics[t].partitions[p].partition_index;
            if (!image_find_partition(topic, told->partition_index)) {
                told->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
                told->error_message = slice_str(share_error_text(told->error_code));
                continue;
            }
            alteration->outs[alteration->init.count] = told;
            alteration->init.places[alteration->init.count++] =
                (struct share_place){topic->id, told->partition_index, message->topics[t].partitions[p].start_offset};
        }
    }
}

void handle_alter_share_group_offsets(struct request *request) {
    struct alteration *alteration = arena_new(&request->arena, struct alteration);
    alteration->request = request;
    if (!request_decode(request, alter_share_group_offsets, &alteration->message))
        return;
    alter_share_group_offsets_response_init(&alteration->response);
    if (!share_is_enabled(request->shard)) {
        alter_refuse(alteration, KAFKA_UNSUPPORTED_VERSION, NULL);
        return;
    }
    if (!alteration->message.group_id.size) {
        alter_refuse(alteration, KAFKA_INVALID_GROUP_ID, NULL);
        return;
    }
    take_alterations(alteration);
    alteration->visit.request = request;
    alteration->visit.op.decide = decide_alter;
    alteration->visit.answer = alter_marked;
    coordinator_visit(&alteration->visit, COORDINATOR_GROUP, alteration->message.group_id, true);
}

/* ---- DeleteShareGroupOffsets ------------------------------------------------------------------------------------------------- */

typedef struct delete_share_group_offsets_response_delete_share_group_offsets_response_topic deleted_topic;

struct deletion {
    struct coordinator_visit visit, told;
    struct request *request;
    struct delete_share_group_offsets_request message;
    struct delete_share_group_offsets_response response;
    struct share_init places;
    struct uuid *topics;       /* that exist */
    deleted_topic **outs;      /* of them */
    bool *known;
    int count;
    int16_t error;
    const char *text;
};

static void delete_refuse(struct deletion *deletion, int16_t error, const char *text) {
    delete_share_group_offsets_response_init(&deletion->response);
    deletion->response.error_code = error;
    deletion->response.error_message = slice_str(text ? text : share_error_text(error));
    request_answer(deletion->request, delete_share_group_offsets, &deletion->response);
}

static void decide_deleted(struct coordinator_op *op, void *state) {
    struct deletion *deletion = container_of(op, struct deletion, told.op);
    share_group_deleted(state, op, deletion->message.group_id, deletion->topics, deletion->count);
}

static void deleted_told(struct coordinator_visit *visit, int16_t error) {
    struct deletion *deletion = container_of(visit, struct deletion, told);
    if (error)
        delete_refuse(deletion, error, NULL);
    else
        request_answer(deletion->request, delete_share_group_offsets, &deletion->response);
}

static void states_dropped(void *arg, const int16_t *errors) {
    struct deletion *deletion = arg;
    struct arena *arena = &deletion->request->arena;
    struct numbering *topics = numbering_create(arena);
    int16_t *first = arena_array(arena, int16_t, deletion->places.count + deletion->count + 1); /* of each topic's errors */
    for (int i = 0; i < deletion->places.count; i++) {
        int topic = numbering_get(topics, (struct numbering_key){.id = deletion->places.places[i].topic_id});
        first[topic] = first[topic] ? first[topic] : errors[i];
    }
    int kept = 0;
    for (int t = 0; t < deletion->count; t++) {
        deleted_topic *out = deletion->outs[t];
        out->error_code = first[numbering_get(topics, (struct numbering_key){.id = deletion->topics[t]})];
        if (out->error_code)
            out->error_message = slice_str(share_error_text(out->error_code));
        else
            deletion->topics[kept++] = deletion->topics[t];
    }
    deletion->count = kept;
    struct request *request = deletion->request;
    deletion->told = (struct coordinator_visit){.request = request, .op = {.decide = decide_deleted}, .answer = deleted_told};
    coordinator_visit(&deletion->told, COORDINATOR_GROUP, deletion->message.group_id, false);
}

static void decide_delete(struct coordinator_op *op, void *state) {
    struct deletion *deletion = container_of(op, struct deletion, visit.op);
    deletion->error = share_group_delete(state, op, deletion->message.group_id, deletion->topics, deletion->count, deletion->known,
                                         &deletion->places, &deletion->text);
}

static void delete_marked(struct coordinator_visit *visit, int16_t error) {
    struct deletion *deletion = container_of(visit, struct deletion, visit);
    if (error || deletion->error) {
        delete_refuse(deletion, error ? error : deletion->error, deletion->text);
        return;
    }
    int kept = 0;
    for (int t = 0; t < deletion->count; t++) {
        if (!deletion->known[t]) {
            deletion->outs[t]->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            deletion->outs[t]->error_message = slice_str("There is no offset information to delete.");
            deletion->outs[t]->topic_id = UUID_ZERO;
            continue;
        }
        deletion->outs[kept] = deletion->outs[t];
        deletion->topics[kept++] = deletion->topics[t];
    }
    deletion->count = kept;
    if (deletion->places.count)
        share_drop_states(deletion->request->shard, deletion->message.group_id, &deletion->places, states_dropped, deletion);
    else
        request_answer(deletion->request, delete_share_group_offsets, &deletion->response);
}

void handle_delete_share_group_offsets(struct request *request) {
    struct deletion *deletion = arena_new(&request->arena, struct deletion);
    deletion->request = request;
    if (!request_decode(request, delete_share_group_offsets, &deletion->message))
        return;
    const struct delete_share_group_offsets_request *message = &deletion->message;
    delete_share_group_offsets_response_init(&deletion->response);
    if (!share_is_enabled(request->shard)) {
        delete_refuse(deletion, KAFKA_UNSUPPORTED_VERSION, NULL);
        return;
    }
    if (!message->group_id.size) {
        delete_refuse(deletion, KAFKA_INVALID_GROUP_ID, NULL);
        return;
    }
    struct arena *arena = &request->arena;
    deletion->topics = arena_array(arena, struct uuid, message->topics_count + 1);
    deletion->outs = arena_array(arena, deleted_topic *, message->topics_count + 1);
    deletion->known = arena_array(arena, bool, message->topics_count + 1);
    deletion->response.responses = arena_array(arena, deleted_topic, message->topics_count + 1);
    for (int t = 0; t < message->topics_count; t++) {
        const struct image_topic *topic = image_find_topic(request->shard->image, message->topics[t].topic_name);
        deleted_topic *out = &deletion->response.responses[deletion->response.responses_count++];
        delete_share_group_offsets_response_delete_share_group_offsets_response_topic_init(out);
        out->topic_name = message->topics[t].topic_name;
        out->topic_id = topic ? topic->id : UUID_ZERO;
        if (!topic) {
            out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            out->error_message = slice_str(share_error_text(out->error_code));
            continue;
        }
        deletion->outs[deletion->count] = out;
        deletion->topics[deletion->count++] = topic->id;
    }
    deletion->visit.request = request;
    deletion->visit.op.decide = decide_delete;
    deletion->visit.answer = delete_marked;
    coordinator_visit(&deletion->visit, COORDINATOR_GROUP, message->group_id, true);
}
