/* A topic may be deleted and the process killed before its directories are renamed; a topic of the same name could not be
 * made again. Nothing that is not marked as deleted is removed: a stray directory is kept for who knows better. */
#include "broker/strays.h"

#include <string.h>
#include "base/mem.h"
#include "base/trace.h"

struct stray {
    char *path, *new_path;
};
struct settling {
    struct work work;
    struct broker_shard *shard;
    void (*done)(struct broker_shard *shard);
    struct fs *fs;
    struct stray *strays;
    int count, capacity;
};

static char *stray_path(struct broker_shard *shard, const char *dir, struct slice topic, int32_t partition) {
    struct uuid random;
    char hex[33];
    runtime_secure_random(shard->broker->runtime, &random, sizeof random);
    uuid_hex(random, hex);
    char *name = mem_printf("%.*s-%d", SLICE_FMT(topic), (int)partition);
    char *path = mem_printf("%s/%.*s.%s-stray", dir, 255 - 33 - 6, name, hex); /* names are capped as Kafka's */
    mem_free(name);
    return path;
}

static void look_at(void *arg, int dir, struct slice topic, int32_t partition, const char *suffix, const char *name) {
    struct settling *settling = arg;
    struct broker_shard *shard = settling->shard;
    const char *path = shard->broker->config->log_dirs[dir];
    if (strcmp(suffix, "delete") == 0) {
        char *deleted = mem_printf("%s/%s", path, name);
        trace_info("broker", "a deleted directory is removed", TRACE_STR("dir", deleted));
        log_store_remove_dir(shard->store, deleted, 0);
        mem_free(deleted);
        return;
    }
    if (*suffix || /* future copies are the moves' matter */
        slice_eq_str(topic, "__cluster_metadata") || image_find_partition(image_find_topic(shard->image, topic), partition))
        return;
    if (settling->count == settling->capacity) {
        settling->capacity = settling->capacity ? settling->capacity * 2 : 16;
        settling->strays = mem_realloc(settling->strays, sizeof *settling->strays * (size_t)settling->capacity);
    }
    settling->strays[settling->count++] = (struct stray){mem_printf("%s/%s", path, name), stray_path(shard, path, topic, partition)};
}

static void settle_run(struct work *work) {
    struct settling *settling = container_of(work, struct settling, work);
    for (int i = 0; i < settling->count; i++) {
        struct stray *stray = &settling->strays[i];
        enum err err = fs_rename(settling->fs, stray->path, stray->new_path);
        if (err)
            trace_warn("broker", "a directory cannot be put away", TRACE_STR("dir", stray->path), TRACE_ERR(err));
        else
            trace_warn("broker", "a directory of no partition is set aside", TRACE_STR("dir", stray->path),
                       TRACE_STR("as", stray->new_path));
    }
}

static void settle_done(struct shard *shard, struct work *work) {
    (void)shard;
    struct settling *settling = container_of(work, struct settling, work);
    void (*done)(struct broker_shard *shard) = settling->done;
    struct broker_shard *broker_shard = settling->shard;
    for (int i = 0; i < settling->count; i++) {
        mem_free(settling->strays[i].path);
        mem_free(settling->strays[i].new_path);
    }
    mem_free(settling->strays);
    mem_free(settling);
    done(broker_shard);
}

void strays_settle(struct broker_shard *shard, void (*done)(struct broker_shard *shard)) {
    struct settling *settling = mem_new(struct settling);
    settling->shard = shard;
    settling->done = done;
    settling->fs = runtime_fs(shard->broker->runtime);
    log_inventory_each(shard->broker->inventory, look_at, settling);
    settling->work = (struct work){.run = settle_run, .done = settle_done};
    shard_offload(shard->shard, &settling->work);
}
