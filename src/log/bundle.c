/* Bundles: small writes behind of many logs, on the device together.
 *
 * When a journal must be reclaimed and thousands of logs have a little in it, a flushed write for each costs more than all
 * else that is done for their records. Here they go through the page cache, one after the other on a thread of the pool, and
 * one flush of the whole file system follows, with the names of the files that are new. While one bundle is in flight the
 * next one fills. A few writes are flushed one by one instead: the file system may hold much that is not ours.
 *
 * Nothing counts as written before the flush; what a crash leaves of a bundle is what it leaves of any write that nobody
 * was told of. The first file is open before anything is written, so that the flush tells of every write that failed since.
 * An error is taken for one of ours, whosever it was: the directory goes offline, as after any write that failed. Where there
 * was no space each file is asked for its own. */
#include "base/check.h"
#include "log/segment_write.h"

enum {
    WRITES_MAX = 512,
    BYTES_MAX = 4 << 20,
    SYNC_ALL_MIN = 16, /* writes from which one flush of all is cheaper */
    SLOW_MS = 2000,    /* a bundle that takes longer met much that is not ours: */
    APART_S = 60,      /* for so long there are none */
};

struct bundle {
    struct work work;
    struct log_store *store;
    int dir;
    int count;
    size_t bytes;
    bool together; /* one flush for all */
    enum err err;  /* of that */
    uint64_t started_ns;
    struct segment_write *writes[WRITES_MAX];
};

static enum err write_one(struct fs *fs, struct segment_write *write) {
    enum err err = fs_open(fs, write->path, FILE_WRITE | (write->create ? FILE_CREATE : 0), &write->file);
    int64_t pos = write->from;
    for (int i = 0; i < write->block_count && !err; i++) {
        err = file_pwrite(write->file, write->pieces[i].ptr, write->pieces[i].size, pos);
        pos += (int64_t)write->pieces[i].size;
    }
    return err;
}

static enum err sync_one(struct fs *fs, const struct segment_write *write) {
    enum err err = file_sync(write->file);
    if (!err && write->sync_names)
        return log_sync_names(fs, write->dir_path);
    return !err && write->create ? fs_sync_dir(fs, write->dir_path) : err;
}

static void bundle_run(struct work *work) {
    struct bundle *bundle = container_of(work, struct bundle, work);
    struct fs *fs = bundle->store->fs;
    struct file *first = NULL; /* open before anything is written */
    for (int i = 0; i < bundle->count; i++) {
        struct segment_write *write = bundle->writes[i];
        write->err = write_one(fs, write);
        first = first ? first : write->file;
    }
    bundle->err = bundle->together && first ? file_sync_all(first) : ERR_UNSUPPORTED;
    bool one_by_one = bundle->err == ERR_UNSUPPORTED || bundle->err == ERR_NO_SPACE;
    for (int i = 0; i < bundle->count; i++) {
        struct segment_write *write = bundle->writes[i];
        if (!write->err)
            write->err = one_by_one ? sync_one(fs, write) : bundle->err;
        file_unref(write->file);
    }
}

/* Whether there are bundles is told by the last one. */
static void judge(const struct bundle *bundle, uint64_t now) {
    uint64_t *apart_until_ns = &bundle->store->dirs[bundle->dir].apart_until_ns;
    if (bundle->together && bundle->err == ERR_UNSUPPORTED)
        *apart_until_ns = UINT64_MAX;
    else if (bundle->together && now - bundle->started_ns >= SLOW_MS * NS_PER_MS)
        *apart_until_ns = now + APART_S * NS_PER_S;
}

static void bundle_done(struct shard *shard, struct work *work) {
    struct bundle *bundle = container_of(work, struct bundle, work);
    struct log_store *store = bundle->store;
    int dir = bundle->dir;
    store->metrics.segment_writes += (uint64_t)bundle->count;
    store->metrics.segment_bytes += bundle->bytes;
    store->dirs[dir].flying = NULL;
    judge(bundle, shard_now_ns(shard));
    for (int i = 0; i < bundle->count; i++) {
        struct segment_write *write = bundle->writes[i];
        if (!write->err) {
            write->segment->exists = true;
            write->log->names_durable = true;
        }
        flush_write_ended(write, write->err);
    }
    mem_free(bundle);
    flush_writes_ended(store);
    bundle_submit(store, dir);
}

bool bundle_pays(const struct log_store *store, int dir) {
    return shard_now_ns(store->shard) >= store->dirs[dir].apart_until_ns;
}

bool bundle_has_room(const struct log_store *store, int dir) {
    const struct bundle *bundle = store->dirs[dir].filling;
    return !bundle || (bundle->count < WRITES_MAX && bundle->bytes < BYTES_MAX);
}

void bundle_add(struct segment_write *write) {
    struct log_store *store = write->store;
    int dir = write->log->dir;
    if (!store->dirs[dir].filling) {
        store->dirs[dir].filling = mem_new(struct bundle);
        store->dirs[dir].filling->store = store;
        store->dirs[dir].filling->dir = dir;
    }
    struct bundle *bundle = store->dirs[dir].filling;
    check(bundle_has_room(store, dir), "a bundle of %d writes takes another", bundle->count);
    bundle->writes[bundle->count++] = write;
    bundle->bytes += (size_t)(write->end - write->from);
    shard_at_turn_end(store->shard, &store->flush_hook);
}

void bundle_submit(struct log_store *store, int dir) {
    struct bundle *bundle = store->dirs[dir].filling;
    if (!bundle || store->dirs[dir].flying)
        return;
    store->dirs[dir].filling = NULL;
    store->dirs[dir].flying = bundle;
    store->behind_changes++;
    bundle->started_ns = shard_now_ns(store->shard);
    bundle->together = bundle->count >= SYNC_ALL_MIN && bundle_pays(store, dir);
    /* One at a time of all shards: others want the pool's threads, too. */
    const void *lane = log_inventory_dir(store->options.inventory, dir);
    bundle->work = (struct work){.lane = lane, .run = bundle_run, .done = bundle_done};
    shard_offload(store->shard, &bundle->work);
}
