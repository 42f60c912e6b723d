#include "controller/controller.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/trace.h"
#include "metadata/features.h"
#include "metadata/image_internal.h"
#include "protocol/begin_transaction_record.h"
#include "protocol/end_transaction_record.h"
#include "protocol/producer_ids_record.h"

struct controller {
    struct shard *shard;
    const struct broker_config *config;
    struct image *image;
    struct quorum *quorum; /* NULL: not leading */
    int32_t epoch;
};

struct controller *controller_create(struct shard *shard, const struct broker_config *config) {
    struct controller *controller = mem_new(struct controller);
    controller->shard = shard;
    controller->config = config;
    controller->image = image_create(NULL);
    return controller;
}

void controller_destroy(struct controller *controller) {
    if (!controller)
        return;
    image_destroy(controller->image);
    mem_free(controller);
}

enum err controller_replay(struct controller *controller, struct slice batches) {
    return controller->quorum ? ERR_OK : image_replay(controller->image, batches);
}

bool controller_is_active(const struct controller *controller) {
    return controller->quorum != NULL;
}
/* ---- decisions -------------------------------------------------------------------------------------------------------- */

void decision_add(struct decision *decision, struct slice record) {
    if (decision->count == decision->capacity) {
        int capacity = decision->capacity ? 2 * decision->capacity : 16;
        struct slice *records = arena_array(decision->arena, struct slice, capacity);
        if (decision->count)
            memcpy(records, decision->records, sizeof *records * (size_t)decision->count);
        decision->records = records;
        decision->capacity = capacity;
    }
    decision->records[decision->count++] = arena_slice(decision->arena, record);
}

void decision_random(struct decision *decision, void *bytes, size_t size) {
    runtime_secure_random(shard_runtime(decision->controller->shard), bytes, size);
}

static struct decision decision_begin(struct controller *controller, struct arena *arena) {
    return (struct decision){.controller = controller,
                             .image = controller->image,
                             .config = controller->config,
                             .arena = arena,
                             .base_offset = log_offsets(quorum_log(controller->quorum)).end};
}

/* Applies the records to the image and appends them; false: there were none. */
static bool decision_commit(struct controller *controller, struct decision *decision, struct quorum_append *append) {
    if (!decision->count)
        return false;
    for (int i = 0; i < decision->count; i++) {
        enum err err = image_apply(controller->image, decision->records[i], decision->base_offset + i, controller->epoch);
        check(err == ERR_OK, "a record of ours does not apply: %s", err_text(err));
    }
    int64_t base = quorum_append(controller->quorum, decision->records, decision->count, append);
    check(base == decision->base_offset, "records went to %lld, not %lld", (long long)base, (long long)decision->base_offset);
    return true;
}

/* ---- calls ------------------------------------------------------------------------------------------------------------- */

static void call_home(struct shard *shard, struct message *message) {
    (void)shard;
    struct controller_call *call = container_of(message, struct controller_call, message);
    call->done(call);
}

static void call_end(struct controller_call *call, enum err err) {
    call->err = err;
    call->message.deliver = call_home;
    shard_post(call->home, &call->message);
}

static void call_committed(struct quorum_append *append, enum err err) {
    call_end(container_of(append, struct controller_call, append), err);
}

static void call_in(struct shard *shard, struct message *message) {
    (void)shard;
    struct controller_call *call = container_of(message, struct controller_call, message);
    struct controller *controller = call->controller;
    if (!controller->quorum || !quorum_log(controller->quorum)) {
        call_end(call, ERR_CANCELED);
        return;
    }
    enum err err = quorum_state(controller->quorum);
    if (err) { /* nothing is decided that cannot be written down */
        call_end(call, err);
        return;
    }
    struct decision decision = decision_begin(controller, call->arena);
    call->decide(call, &decision);
    call->append.done = call_committed;
    if (!decision_commit(controller, &decision, &call->append))
        call_end(call, ERR_OK);
}

void controller_call(struct controller *controller, struct controller_call *call) {
    call->controller = controller;
    call->message.deliver = call_in;
    shard_post(controller->shard, &call->message);
}

/* ---- first activation ---------------------------------------------------------------------------------------------------- */

struct bootstrap {
    struct quorum_append append;
    struct arena arena;
};

static void bootstrap_done(struct quorum_append *append, enum err err) {
    struct bootstrap *bootstrap = container_of(append, struct bootstrap, append);
    if (!err)
        trace_info("controller", "bootstrap records written");
    arena_deinit(&bootstrap->arena);
    mem_free(bootstrap);
}

static void add_default_features(struct decision *decision) {
    int16_t version = features_latest_metadata_version();
    struct feature_range ranges[FEATURES_MAX];
    int count = features_supported(ranges);
    add_feature_record(decision, SLICE_LIT(FEATURE_METADATA_VERSION), version);
    for (int i = 0; i < count; i++)
        if (strcmp(ranges[i].name, FEATURE_METADATA_VERSION) != 0 && strcmp(ranges[i].name, FEATURE_KRAFT_VERSION) != 0)
            add_feature_record(decision, slice_str(ranges[i].name), feature_default(ranges[i].name, version));
}

static bool sets_elr(const struct decision *decision) {
    struct image *image = image_create(NULL);
    bool elr = false;
    for (int i = 1; i < decision->count && !elr; i++) /* past Begin */
        elr = image_apply(image, decision->records[i], 0, 0) == ERR_OK && image_feature(image, FEATURE_ELR) > 0;
    image_destroy(image);
    return elr;
}

static void write_bootstrap(struct controller *controller) {
    struct bootstrap *bootstrap = mem_new(struct bootstrap);
    struct decision decision = decision_begin(controller, &bootstrap->arena);
    struct begin_transaction_record begin;
    begin_transaction_record_init(&begin);
    begin.name = SLICE_LIT("Bootstrap records");
    DECISION_RECORD(&decision, RECORD_BEGIN_TXN, 0, begin_transaction_record, &begin);
    int count;
    const struct slice *records = quorum_bootstrap_records(controller->quorum, &count);
    for (int i = 0; i < count; i++)
        decision_add(&decision, records[i]);
    if (!count)
        add_default_features(&decision);
    if (sets_elr(&decision)) {
        struct slice value = broker_config_get(controller->config, "min.insync.replicas");
        add_config_record(&decision, CONFIG_RESOURCE_BROKER, SLICE_EMPTY, SLICE_LIT("min.insync.replicas"), value);
    }
    struct end_transaction_record end;
    end_transaction_record_init(&end);
    DECISION_RECORD(&decision, RECORD_END_TXN, 0, end_transaction_record, &end);
    bootstrap->append.done = bootstrap_done;
    decision_commit(controller, &decision, &bootstrap->append);
}

void controller_lead(struct controller *controller, struct quorum *quorum) {
    controller->quorum = quorum;
    controller->epoch = quorum_raft(quorum)->epoch;
    if (!controller->image->metadata_version)
        write_bootstrap(controller);
}

int16_t controller_kraft_version(const struct controller *controller) {
    return quorum_raft(controller->quorum)->kraft_version;
}

/* ---- producer ids ---------------------------------------------------------------------------------------------------------- */

int64_t decide_producer_ids(struct decision *decision, int32_t broker, int64_t broker_epoch) {
    int64_t first = decision->image->next_producer_id;
    struct producer_ids_record record;
    producer_ids_record_init(&record);
    record.broker_id = broker;
    record.broker_epoch = broker_epoch;
    record.next_producer_id = first + PRODUCER_ID_BLOCK;
    DECISION_RECORD(decision, RECORD_PRODUCER_IDS, 0, producer_ids_record, &record);
    return first;
}
