/* What the log directories held when the process started: partitions' directories, checkpoints, journals of an earlier
 * run. Read once by one thread, then shared by all shards and changed no more. */
#include <stdlib.h>
#include "base/check.h"
#include "base/trace.h"
#include "log/checkpoint.h"
#include "log/internal.h"
#include "log/journal_read.h"

struct found_partition {
    struct map_node node;
    struct slice topic; /* owned */
    int32_t partition;
    int dir;
    const char *suffix;
    char *name; /* of the directory */
};
struct found_checkpoint {
    struct map_node node;
    struct slice topic; /* owned */
    int32_t partition;
    struct inventory_checkpoint values;
};
struct found_entries { /* journal entries of one partition, in order */
    struct map_node node;
    struct uuid topic_id;
    int32_t partition;
    struct journal_entry *entries;
    int count, capacity;
};
struct found_journal {
    char *path;
    uint8_t *bytes;
    struct found_journal *next;
};

struct inventory_dir {
    struct log_inventory_dir pub;
    char *path;
    struct map checkpoints, entries;
    struct found_journal *journals;
};

struct log_inventory {
    struct runtime *runtime;
    int count;
    struct inventory_dir dirs[LOG_DIRS_MAX];
    struct map partitions;
};

struct partition_key {
    struct slice topic;
    int32_t partition;
};

static uint64_t key_hash(struct slice topic, int32_t partition) {
    return hash_slice(topic) ^ hash_u64((uint64_t)partition);
}
static bool found_partition_is(const struct map_node *node, const void *key) {
    const struct found_partition *found = container_of(node, struct found_partition, node);
    const struct partition_key *k = key;
    return found->partition == k->partition && slice_eq(found->topic, k->topic) && !*found->suffix;
}
static bool found_future_is(const struct map_node *node, const void *key) {
    const struct found_partition *found = container_of(node, struct found_partition, node);
    const struct partition_key *k = key;
    return found->partition == k->partition && slice_eq(found->topic, k->topic) && strcmp(found->suffix, "future") == 0;
}
static bool found_checkpoint_is(const struct map_node *node, const void *key) {
    const struct found_checkpoint *found = container_of(node, struct found_checkpoint, node);
    const struct partition_key *k = key;
    return found->partition == k->partition && slice_eq(found->topic, k->topic);
}

static struct slice copy(struct slice s) {
    return slice_of(mem_strndup((const char *)s.ptr, s.size), s.size);
}

/* ---- names of directories ---------------------------------------------------------------------------------------- */

static bool parse_index(struct slice s, int32_t *ret) {
    int64_t number;
    if (!s.size || s.ptr[0] == '-' || !checkpoint_number(s, &number) || number > INT32_MAX)
        return false;
    *ret = (int32_t)number;
    return true;
}

/* `topic-partition`, or `topic-partition.<32 hex>-suffix`. */
static bool parse_dir_name(const char *name, struct slice *ret_topic, int32_t *ret_partition, const char **ret_suffix) {
    static const char *const suffixes[] = {"delete", "future", "stray"};
    struct slice s = slice_str(name);
    *ret_suffix = "";
    for (int i = 0; i < COUNT_OF(suffixes); i++) {
        size_t tail = strlen(suffixes[i]) + 1 + 32 + 1;
        if (s.size > tail && s.ptr[s.size - tail] == '.' && s.ptr[s.size - tail + 33] == '-' &&
            slice_eq_str(slice_of(s.ptr + s.size - tail + 34, tail - 34), suffixes[i])) {
            *ret_suffix = suffixes[i];
            s.size -= tail;
            break;
        }
    }
    size_t dash = s.size;
    while (dash > 0 && s.ptr[dash - 1] != '-')
        dash--;
    if (dash < 2)
        return false;
    *ret_topic = slice_of(s.ptr, dash - 1);
    return parse_index(slice_of(s.ptr + dash, s.size - dash), ret_partition);
}

/* ---- journals ------------------------------------------------------------------------------------------------------- */

static bool found_entries_is(const struct map_node *node, const void *key) {
    const struct found_entries *found = container_of(node, struct found_entries, node), *k = key;
    return found->partition == k->partition && uuid_eq(found->topic_id, k->topic_id);
}

static void add_entry(struct inventory_dir *dir, struct uuid topic_id, int32_t partition, const struct journal_entry *entry) {
    struct found_entries key = {.topic_id = topic_id, .partition = partition};
    uint64_t hash = uuid_hash(topic_id) ^ hash_u64((uint64_t)partition);
    struct map_node *node = map_find(&dir->entries, hash, found_entries_is, &key);
    struct found_entries *found = node ? container_of(node, struct found_entries, node) : NULL;
    if (!found) {
        found = mem_new(struct found_entries);
        found->topic_id = topic_id;
        found->partition = partition;
        map_insert(&dir->entries, &found->node, hash);
    }
    if (found->count == found->capacity) {
        found->capacity = found->capacity ? found->capacity * 2 : 4;
        found->entries = mem_realloc(found->entries, sizeof *found->entries * (size_t)found->capacity);
    }
    found->entries[found->count++] = *entry;
}

/* Those groups that the newest one still names as needed are taken. */
static enum err take_journal(struct inventory_dir *dir, const char *path, const uint8_t *bytes, size_t size) {
    struct journal_group *groups;
    if (journal_is_of_later_version(slice_of(bytes, size))) {
        trace_error("log", "journal of a later version: start that one, and stop it cleanly first", TRACE_STR("file", path));
        return ERR_UNSUPPORTED;
    }
    int count = journal_find_groups(slice_of(bytes, size), &groups);
    uint64_t oldest = count ? groups[count - 1].oldest : 0, expected = oldest;
    enum err err = ERR_OK;
    for (int i = 0; i < count && !err; i++) {
        if (groups[i].number < oldest)
            continue;
        if (groups[i].number != expected)
            trace_error("log", "journal lacks a group: acknowledged records may be lost", TRACE_STR("file", path),
                        TRACE_INT("group", expected));
        expected = groups[i].number + 1;
        struct journal_group_entry from;
        while (!(err = journal_next_entry(&groups[i], &from))) {
            struct journal_entry entry = {from.base_offset, groups[i].number, from.batches};
            add_entry(dir, from.topic_id, from.partition, &entry);
        }
        err = err == ERR_NOT_FOUND ? ERR_OK : err;
    }
    if (count)
        trace_info("log", "journal of an earlier run", TRACE_STR("file", path), TRACE_INT("groups", count));
    mem_free(groups);
    return err;
}

/* ---- checkpoints -------------------------------------------------------------------------------------------------- */

struct checkpoint_arg {
    struct inventory_dir *dir;
    int field; /* 0 recovery point, 1 log start, 2 high watermark, 3 cleaned */
};

static void take_checkpoint(void *arg, struct slice topic, int32_t partition, int64_t offset) {
    struct checkpoint_arg *a = arg;
    struct partition_key key = {topic, partition};
    uint64_t hash = key_hash(topic, partition);
    struct map_node *node = map_find(&a->dir->checkpoints, hash, found_checkpoint_is, &key);
    struct found_checkpoint *found = node ? container_of(node, struct found_checkpoint, node) : NULL;
    if (!found) {
        found = mem_new(struct found_checkpoint);
        found->topic = copy(topic);
        found->partition = partition;
        found->values = (struct inventory_checkpoint){-1, -1, -1, -1};
        map_insert(&a->dir->checkpoints, &found->node, hash);
    }
    int64_t *const fields[] = {&found->values.recovery_point, &found->values.log_start, &found->values.high_watermark,
                               &found->values.cleaned};
    *fields[a->field] = offset;
}

static void read_checkpoint(struct log_inventory *inventory, struct inventory_dir *dir, const char *name, int field) {
    char *path = mem_printf("%s/%s", dir->path, name);
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum err err = fs_read_whole(runtime_fs(inventory->runtime), path, 1u << 30, &bytes, &size);
    if (!err) {
        struct checkpoint_arg arg = {dir, field};
        err = checkpoint_parse_offsets(slice_of(bytes, size), take_checkpoint, &arg);
    }
    if (err && err != ERR_NOT_FOUND)
        trace_warn("log", "checkpoint is unreadable and taken as empty", TRACE_STR("file", path), TRACE_ERR(err));
    mem_free(bytes);
    mem_free(path);
}

/* ---- a directory -------------------------------------------------------------------------------------------------- */

static enum err read_clean_mark(struct log_inventory *inventory, struct inventory_dir *dir) {
    struct fs *fs = runtime_fs(inventory->runtime);
    char *path = mem_printf("%s/.kafka_cleanshutdown", dir->path);
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum err err = fs_read_whole(fs, path, 65536, &bytes, &size);
    dir->pub.clean_broker_epoch = -1;
    if (!err) {
        dir->pub.clean = true;
        const char key[] = "\"brokerEpoch\":";
        const uint8_t *at = size ? memmem(bytes, size, key, sizeof key - 1) : NULL;
        if (at) {
            size_t start = (size_t)(at - bytes) + sizeof key - 1, end = start;
            while (end < size && (bytes[end] == '-' || (bytes[end] >= '0' && bytes[end] <= '9')))
                end++;
            if (!checkpoint_number(slice_of(bytes + start, end - start), &dir->pub.clean_broker_epoch))
                dir->pub.clean_broker_epoch = -1;
        }
        err = fs_unlink(fs, path);
        if (!err)
            err = fs_sync_dir(fs, dir->path);
    } else if (err == ERR_NOT_FOUND) {
        err = ERR_OK;
    }
    mem_free(bytes);
    mem_free(path);
    return err;
}

static void drop_entries(struct inventory_dir *dir) {
    map_each_safe(node, &dir->entries) {
        struct found_entries *found = container_of(node, struct found_entries, node);
        map_remove(&dir->entries, node);
        mem_free(found->entries);
        mem_free(found);
    }
}

static enum err read_dir(struct log_inventory *inventory, int index) {
    struct inventory_dir *dir = &inventory->dirs[index];
    struct fs *fs = runtime_fs(inventory->runtime);
    struct fs_entry *entries;
    int count;
    enum err err = fs_list(fs, dir->path, &entries, &count);
    if (err)
        return err;
    for (int i = 0; i < count && !err; i++) {
        struct slice topic;
        int32_t partition;
        const char *suffix;
        if (!entries[i].is_dir && strncmp(entries[i].name, JOURNAL_PREFIX, strlen(JOURNAL_PREFIX)) == 0) {
            struct found_journal *journal = mem_new(struct found_journal);
            journal->path = mem_printf("%s/%s", dir->path, entries[i].name);
            journal->next = dir->journals;
            dir->journals = journal;
            size_t size;
            err = fs_read_whole(fs, journal->path, (size_t)16 << 30, &journal->bytes, &size);
            if (!err)
                err = take_journal(dir, journal->path, journal->bytes, size);
        } else if (entries[i].is_dir && parse_dir_name(entries[i].name, &topic, &partition, &suffix)) {
            struct found_partition *found = mem_new(struct found_partition);
            found->topic = copy(topic);
            found->partition = partition;
            found->dir = index;
            found->suffix = suffix;
            found->name = mem_strdup(entries[i].name);
            map_insert(&inventory->partitions, &found->node, key_hash(topic, partition));
        }
    }
    fs_list_free(entries, count);
    if (!err)
        err = read_clean_mark(inventory, dir);
    if (!err && dir->pub.clean && dir->entries.count) {
        /* Another program has run on the directory since our crash, and stopped cleanly: its logs have gone on. */
        trace_error("log", "journal is older than a clean stop and is not replayed", TRACE_STR("dir", dir->path));
        drop_entries(dir);
    }
    if (!err) {
        read_checkpoint(inventory, dir, CHECKPOINT_RECOVERY_POINT, 0);
        read_checkpoint(inventory, dir, CHECKPOINT_LOG_START, 1);
        read_checkpoint(inventory, dir, CHECKPOINT_HIGH_WATERMARK, 2);
        read_checkpoint(inventory, dir, CHECKPOINT_CLEANER, 3);
    }
    return err;
}

static int entry_compare(const void *a, const void *b) {
    const struct journal_entry *x = a, *y = b;
    return x->base_offset != y->base_offset ? (x->base_offset > y->base_offset) - (x->base_offset < y->base_offset)
                                            : (x->order > y->order) - (x->order < y->order);
}

struct log_inventory *log_inventory_create(struct runtime *runtime, const char *const *paths, int count) {
    check(count > 0 && count <= LOG_DIRS_MAX, "%d log directories", count);
    struct log_inventory *inventory = mem_new(struct log_inventory);
    inventory->runtime = runtime;
    inventory->count = count;
    for (int i = 0; i < count; i++) {
        struct inventory_dir *dir = &inventory->dirs[i];
        dir->path = mem_strdup(paths[i]);
        dir->pub.path = dir->path;
        dir->pub.err = read_dir(inventory, i);
        if (dir->pub.err)
            trace_error("log", "log directory is offline", TRACE_STR("dir", dir->path), TRACE_ERR(dir->pub.err));
        map_each(node, &dir->entries) {
            struct found_entries *found = container_of(node, struct found_entries, node);
            qsort(found->entries, (size_t)found->count, sizeof *found->entries, entry_compare);
        }
    }
    return inventory;
}

void log_inventory_destroy(struct log_inventory *inventory) {
    if (!inventory)
        return;
    for (int i = 0; i < inventory->count; i++) {
        struct inventory_dir *dir = &inventory->dirs[i];
        map_each_safe(node, &dir->checkpoints) {
            struct found_checkpoint *found = container_of(node, struct found_checkpoint, node);
            mem_free((void *)found->topic.ptr);
            mem_free(found);
        }
        map_deinit(&dir->checkpoints);
        drop_entries(dir);
        map_deinit(&dir->entries);
        for (struct found_journal *journal = dir->journals, *next; journal; journal = next) {
            next = journal->next;
            mem_free(journal->bytes);
            mem_free(journal->path);
            mem_free(journal);
        }
        mem_free(dir->path);
    }
    map_each_safe(node, &inventory->partitions) {
        struct found_partition *found = container_of(node, struct found_partition, node);
        mem_free((void *)found->topic.ptr);
        mem_free(found->name);
        mem_free(found);
    }
    map_deinit(&inventory->partitions);
    mem_free(inventory);
}

const struct log_inventory_dir *log_inventory_dir(const struct log_inventory *inventory, int dir) {
    return &inventory->dirs[dir].pub;
}

int log_inventory_dir_count(const struct log_inventory *inventory) {
    return inventory->count;
}

void log_inventory_each(const struct log_inventory *inventory,
                        void (*fn)(void *arg, int dir, struct slice topic, int32_t partition, const char *suffix, const char *name),
                        void *arg) {
    map_each(node, &inventory->partitions) {
        const struct found_partition *found = container_of(node, struct found_partition, node);
        fn(arg, found->dir, found->topic, found->partition, found->suffix, found->name);
    }
}

int log_inventory_find(const struct log_inventory *inventory, struct slice topic, int32_t partition) {
    struct partition_key key = {topic, partition};
    struct map_node *node = map_find(&inventory->partitions, key_hash(topic, partition), found_partition_is, &key);
    return node ? container_of(node, struct found_partition, node)->dir : -1;
}

int log_inventory_find_future(const struct log_inventory *inventory, struct slice topic, int32_t partition, const char **ret_name) {
    struct partition_key key = {topic, partition};
    struct map_node *node = map_find(&inventory->partitions, key_hash(topic, partition), found_future_is, &key);
    if (!node)
        return -1;
    const struct found_partition *found = container_of(node, struct found_partition, node);
    *ret_name = found->name;
    return found->dir;
}

enum err log_inventory_retire_journals(struct log_inventory *inventory, int dir) {
    struct fs *fs = runtime_fs(inventory->runtime);
    enum err err = ERR_OK;
    for (struct found_journal *journal = inventory->dirs[dir].journals; journal && !err; journal = journal->next) {
        err = fs_unlink(fs, journal->path);
        if (err == ERR_NOT_FOUND) /* retired before */
            err = ERR_OK;
    }
    if (!err && inventory->dirs[dir].journals)
        err = fs_sync_dir(fs, inventory->dirs[dir].path);
    return err;
}

int inventory_journal_entries(const struct log_inventory *inventory, int dir, struct uuid topic_id, int32_t partition,
                              const struct journal_entry **ret_entries) {
    struct found_entries key = {.topic_id = topic_id, .partition = partition};
    uint64_t hash = uuid_hash(topic_id) ^ hash_u64((uint64_t)partition);
    struct map_node *node = map_find(&inventory->dirs[dir].entries, hash, found_entries_is, &key);
    if (!node)
        return 0;
    const struct found_entries *found = container_of(node, struct found_entries, node);
    *ret_entries = found->entries;
    return found->count;
}

struct inventory_checkpoint inventory_checkpoint(const struct log_inventory *inventory, int dir, struct slice topic,
                                                 int32_t partition) {
    struct partition_key key = {topic, partition};
    struct map_node *node =
        map_find(&inventory->dirs[dir].checkpoints, key_hash(topic, partition), found_checkpoint_is, &key);
    return node ? container_of(node, struct found_checkpoint, node)->values : (struct inventory_checkpoint){-1, -1, -1, -1};
}
