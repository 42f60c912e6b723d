#include "broker/cordon.h"

#include <string.h>
#include "base/mem.h"
#include "controller/controller.h"
#include "metadata/config_check.h"
#include "metadata/image_internal.h"
#include "protocol/broker_registration_change_record.h"

enum { METADATA_VERSION_CORDONED = 30 };

struct cordoning {
    struct controller_call call;
    struct arena arena;
    struct broker_shard *shard;
    struct uuid dirs[LOG_DIRS_MAX];
    int count;
};

int cordon_named(const struct broker_shard *shard, struct uuid ret_dirs[LOG_DIRS_MAX]) {
    const struct broker *broker = shard->broker;
    struct arena arena = {0};
    struct slice dirs = config_broker_value(broker->config, shard->image, "cordoned.log.dirs", &arena), item;
    int count = 0;
    while (config_list_next(&dirs, &item))
        for (int i = 0; i < broker->config->log_dir_count; i++)
            if ((slice_eq_str(item, "*") || slice_eq_str(item, broker->config->log_dirs[i])) && !uuid_is_zero(broker->dir_ids[i]) &&
                count < LOG_DIRS_MAX)
                ret_dirs[count++] = broker->dir_ids[i];
    arena_deinit(&arena);
    return count;
}

static bool is_told(const struct image_broker *self, const struct uuid *dirs, int count) {
    if (self->cordoned_count != count)
        return false;
    for (int i = 0; i < count; i++)
        if (!uuid_eq(self->cordoned[i], dirs[i]))
            return false;
    return true;
}

static void decide(struct controller_call *call, struct decision *decision) {
    const struct cordoning *cordoning = container_of(call, struct cordoning, call);
    struct broker_registration_change_record record;
    broker_registration_change_record_init(&record);
    record.broker_id = decision->config->node_id;
    record.broker_epoch = cordoning->shard->broker->broker_epoch;
    record.cordoned_log_dirs = (struct uuid *)cordoning->dirs;
    record.cordoned_log_dirs_count = cordoning->count;
    DECISION_RECORD(decision, RECORD_BROKER_REGISTRATION_CHANGE, 3, broker_registration_change_record, &record);
}

static void done(struct controller_call *call) {
    struct cordoning *cordoning = container_of(call, struct cordoning, call);
    struct broker_shard *shard = cordoning->shard;
    enum err err = call->err;
    shard->broker->cordoning = false;
    arena_deinit(&cordoning->arena);
    mem_free(cordoning);
    if (!err)
        cordon_settle(shard); /* it may have changed again */
}

void cordon_settle(struct broker_shard *shard) {
    struct broker *broker = shard->broker;
    const struct image_broker *self = image_find_broker(shard->image, broker->config->node_id);
    struct uuid dirs[LOG_DIRS_MAX];
    int count = cordon_named(shard, dirs);
    if (broker->cordoning || shard->stopping || !self || shard->image->metadata_version < METADATA_VERSION_CORDONED ||
        is_told(self, dirs, count))
        return;
    struct cordoning *cordoning = mem_new(struct cordoning);
    cordoning->shard = shard;
    cordoning->count = count;
    memcpy(cordoning->dirs, dirs, sizeof *dirs * (size_t)count);
    cordoning->call = (struct controller_call){.home = shard->shard, .arena = &cordoning->arena, .decide = decide, .done = done};
    broker->cordoning = true;
    controller_call(broker->controller, &cordoning->call);
}

bool cordon_holds(const struct broker_shard *shard, int dir) {
    const struct image_broker *self = image_find_broker(shard->image, shard->broker->config->node_id);
    for (int i = 0; self && i < self->cordoned_count; i++)
        if (uuid_eq(self->cordoned[i], shard->broker->dir_ids[dir]))
            return true;
    return false;
}
