/* The keys of one partition of __share_group_state: records into state, requests into answers and records. Pure. */
#include "base/mem.h"
#include "coordinator/share_state.h"
#include "protocol/errors.h"
#include "protocol/share_snapshot_key.h"
#include "protocol/share_snapshot_value.h"
#include "protocol/share_update_key.h"
#include "protocol/share_update_value.h"

enum { KEY_SNAPSHOT, KEY_UPDATE };

struct share_entry {
    struct map_node node;
    struct list all;
    struct slice group; /* owned */
    struct uuid topic_id;
    int32_t partition;
    int32_t snapshot_epoch, state_epoch, leader_epoch;
    int32_t state_epoch_seen, leader_epoch_seen; /* the highest */
    int64_t start_offset;
    int32_t complete_count;
    int32_t updates;
    int64_t create_ms, write_ms;
    int64_t snapshot_offset; /* in the log */
    struct share_batch *batches; /* owned */
    int batch_count;
};
struct share_states {
    int32_t updates_max; /* then a snapshot */
    struct map by_key;
    struct list all;
    int64_t last_tombstone; /* offset behind it; 0: none */
    struct arena scratch;
};

struct share_states *share_states_create(int32_t updates_max) {
    struct share_states *states = mem_new(struct share_states);
    states->updates_max = updates_max;
    list_init(&states->all);
    return states;
}

static void drop(struct share_states *states, struct share_entry *entry) {
    map_remove(&states->by_key, &entry->node);
    list_remove(&entry->all);
    mem_free((void *)entry->group.ptr);
    mem_free(entry->batches);
    mem_free(entry);
}

void share_states_destroy(struct share_states *states) {
    list_each_safe(node, &states->all)
        drop(states, list_entry(node, struct share_entry, all));
    map_deinit(&states->by_key);
    arena_deinit(&states->scratch);
    mem_free(states);
}

int64_t share_states_count(const struct share_states *states) {
    return (int64_t)states->by_key.count;
}

static bool entry_is(const struct map_node *node, const void *arg) {
    const struct share_entry *entry = container_of(node, struct share_entry, node);
    const struct share_call *key = arg;
    return entry->partition == key->partition && uuid_eq(entry->topic_id, key->topic_id) && slice_eq(entry->group, key->group);
}
static uint64_t key_hash(const struct share_call *key) {
    return hash_slice(key->group) ^ uuid_hash(key->topic_id) ^ hash_u64((uint64_t)key->partition + 1);
}
static struct share_entry *find(const struct share_states *states, const struct share_call *key) {
    struct map_node *node = map_find(&states->by_key, key_hash(key), entry_is, key);
    return node ? container_of(node, struct share_entry, node) : NULL;
}

/* ---- replay ------------------------------------------------------------------------------------------------------------- */

static void set_batches(struct share_entry *entry, const struct share_batch *batches, int count) {
    mem_free(entry->batches);
    entry->batches = NULL;
    entry->batch_count = count;
    if (!count)
        return;
    entry->batches = mem_alloc(sizeof *entry->batches * (size_t)count);
    memcpy(entry->batches, batches, sizeof *entry->batches * (size_t)count);
}

static void see_epochs(struct share_entry *entry, int32_t state_epoch, int32_t leader_epoch) {
    if (state_epoch > entry->state_epoch_seen)
        entry->state_epoch_seen = state_epoch;
    if (leader_epoch > entry->leader_epoch_seen)
        entry->leader_epoch_seen = leader_epoch;
}

/* The generated batches of either kind of record, as ours. */
#define COPY_BATCHES(arena, message, ret_batches)                                                          \
    do {                                                                                                  \
        (ret_batches) = arena_array((arena), struct share_batch, (message).state_batches_count + 1);      \
        for (int i_ = 0; i_ < (message).state_batches_count; i_++)                                        \
            (ret_batches)[i_] = (struct share_batch){(message).state_batches[i_].first_offset, (message).state_batches[i_].last_offset, \
                                                     (message).state_batches[i_].delivery_state, (message).state_batches[i_].delivery_count}; \
    } while (0)

static enum err replay_snapshot(struct share_states *states, struct share_entry *entry, struct decoder *d, const struct coordinator_record *record) {
    struct share_snapshot_value value;
    enum err err = share_snapshot_value_decode(d, 0, &value);
    if (err)
        return err;
    struct share_batch *batches;
    COPY_BATCHES(&states->scratch, value, batches);
    set_batches(entry, batches, value.state_batches_count);
    entry->snapshot_epoch = value.snapshot_epoch;
    entry->state_epoch = value.state_epoch;
    entry->leader_epoch = value.leader_epoch;
    entry->start_offset = value.start_offset;
    entry->complete_count = value.delivery_complete_count;
    entry->create_ms = value.create_timestamp;
    entry->write_ms = value.write_timestamp;
    entry->snapshot_offset = record->offset;
    if (entry->updates >= states->updates_max) /* one that came before goes on counting, as Kafka does */
        entry->updates = 0;
    see_epochs(entry, value.state_epoch, value.leader_epoch);
    return ERR_OK;
}

static enum err replay_update(struct share_states *states, struct share_entry *entry, struct decoder *d) {
    struct share_update_value value;
    enum err err = share_update_value_decode(d, 0, &value);
    if (err)
        return err;
    struct share_batch *over, *all = arena_array(&states->scratch, struct share_batch, value.state_batches_count + entry->batch_count + 1);
    COPY_BATCHES(&states->scratch, value, over);
    if (entry->batch_count)
        memcpy(all, entry->batches, sizeof *all * (size_t)entry->batch_count);
    memcpy(all + entry->batch_count, over, sizeof *all * (size_t)value.state_batches_count);
    int count = entry->batch_count + value.state_batches_count;
    if (value.start_offset != -1)
        entry->start_offset = value.start_offset;
    struct share_batch *merged = arena_array(&states->scratch, struct share_batch, share_batches_room(count));
    set_batches(entry, merged, share_batches_combine(all, count, entry->start_offset, merged));
    if (value.leader_epoch != -1)
        entry->leader_epoch = value.leader_epoch;
    entry->complete_count = value.delivery_complete_count;
    see_epochs(entry, -1, value.leader_epoch);
    return ERR_OK;
}

static struct share_entry *make(struct share_states *states, const struct share_call *key) {
    struct share_entry *entry = mem_new(struct share_entry);
    entry->group = slice_of(mem_strndup((const char *)key->group.ptr, key->group.size), key->group.size);
    entry->topic_id = key->topic_id;
    entry->partition = key->partition;
    entry->state_epoch_seen = entry->leader_epoch_seen = -1;
    map_insert(&states->by_key, &entry->node, key_hash(key));
    list_push_back(&states->all, &entry->all);
    return entry;
}

enum err share_states_replay(struct share_states *states, const struct coordinator_record *record) {
    arena_reset(&states->scratch);
    struct decoder d = decoder_of(record->key, &states->scratch), value = decoder_of(record->value.ptr ? record->value : SLICE_EMPTY, &states->scratch);
    int16_t type = decode_int16(&d);
    if (d.err)
        return ERR_CORRUPT;
    if (type != KEY_SNAPSHOT && type != KEY_UPDATE)
        return ERR_OK; /* of a later version */
    struct share_snapshot_key message; /* both keys are alike */
    enum err err = share_snapshot_key_decode(&d, 0, &message);
    if (err)
        return err;
    struct share_call key = {.group = message.group_id, .topic_id = message.topic_id, .partition = message.partition};
    struct share_entry *entry = find(states, &key);
    if (!record->value.ptr) {
        states->last_tombstone = record->offset + 1;
        if (entry)
            drop(states, entry);
        return ERR_OK;
    }
    if (decode_int16(&value) != 0 && !value.err)
        return ERR_UNSUPPORTED;
    if (value.err)
        return ERR_CORRUPT;
    bool made = !entry;
    if (made && type == KEY_UPDATE) /* its snapshot was deleted, so a later one is there, or a tombstone */
        return ERR_OK;
    if (made)
        entry = make(states, &key);
    err = type == KEY_SNAPSHOT ? replay_snapshot(states, entry, &value, record) : replay_update(states, entry, &value);
    if (err && made)
        drop(states, entry);
    else if (!err && type == KEY_UPDATE)
        entry->updates++;
    return err;
}

/* ---- records ---------------------------------------------------------------------------------------------------------------- */

static struct slice encode_key(struct arena *arena, int type, const struct share_call *key) {
    if (type == KEY_SNAPSHOT) {
        struct share_snapshot_key message = {.group_id = key->group, .topic_id = key->topic_id, .partition = key->partition};
        return RECORD_KEY(arena, KEY_SNAPSHOT, share_snapshot_key, &message);
    }
    struct share_update_key message = {.group_id = key->group, .topic_id = key->topic_id, .partition = key->partition};
    return RECORD_KEY(arena, KEY_UPDATE, share_update_key, &message);
}

#define SET_BATCHES(arena, message, type, batches, count)                                                    \
    do {                                                                                                    \
        (message).state_batches = arena_array((arena), struct type, (count) + 1);                           \
        (message).state_batches_count = (count);                                                            \
        for (int i_ = 0; i_ < (count); i_++)                                                                \
            (message).state_batches[i_] = (struct type){(batches)[i_].first, (batches)[i_].last, (batches)[i_].state, (batches)[i_].count}; \
    } while (0)

static struct slice encode_snapshot(struct arena *arena, const struct share_entry *entry, const struct share_batch *batches, int count) {
    struct share_snapshot_value value;
    share_snapshot_value_init(&value);
    value.snapshot_epoch = entry->snapshot_epoch;
    value.state_epoch = entry->state_epoch;
    value.leader_epoch = entry->leader_epoch;
    value.start_offset = entry->start_offset;
    value.delivery_complete_count = entry->complete_count;
    value.create_timestamp = entry->create_ms;
    value.write_timestamp = entry->write_ms;
    SET_BATCHES(arena, value, share_snapshot_value_state_batch, batches, count);
    return RECORD_VALUE(arena, 0, share_snapshot_value, &value);
}

static int combine(struct arena *arena, const struct share_batch *a, int a_count, const struct share_batch *b, int b_count, int64_t start,
                   struct share_batch **ret_batches) {
    struct share_batch *all = arena_array(arena, struct share_batch, a_count + b_count + 1);
    if (a_count)
        memcpy(all, a, sizeof *all * (size_t)a_count);
    if (b_count)
        memcpy(all + a_count, b, sizeof *all * (size_t)b_count);
    *ret_batches = arena_array(arena, struct share_batch, share_batches_room(a_count + b_count));
    return share_batches_combine(all, a_count + b_count, start, *ret_batches);
}

/* What is written for a Write, or for a Read that raises the leader epoch. */
static void add_write(const struct share_states *states, struct share_entry *entry, const struct share_call *call, int32_t leader_epoch, int64_t now_ms,
                      struct arena *arena, struct slice *ret_key, struct slice *ret_value) {
    struct share_batch *batches;
    if (entry->updates >= states->updates_max) {
        struct share_entry next = *entry;
        next.snapshot_epoch++;
        next.leader_epoch = leader_epoch;
        if (call->start_offset != -1)
            next.start_offset = call->start_offset;
        next.complete_count = call->complete_count;
        next.create_ms = next.write_ms = now_ms;
        int count = combine(arena, entry->batches, entry->batch_count, call->batches, call->batch_count, next.start_offset, &batches);
        *ret_key = encode_key(arena, KEY_SNAPSHOT, call);
        *ret_value = encode_snapshot(arena, &next, batches, count);
        return;
    }
    int count = combine(arena, NULL, 0, call->batches, call->batch_count, call->start_offset, &batches);
    struct share_update_value value;
    share_update_value_init(&value);
    value.snapshot_epoch = entry->snapshot_epoch;
    value.leader_epoch = leader_epoch;
    value.start_offset = call->start_offset;
    value.delivery_complete_count = call->complete_count;
    SET_BATCHES(arena, value, share_update_value_state_batch, batches, count);
    *ret_key = encode_key(arena, KEY_UPDATE, call);
    *ret_value = RECORD_VALUE(arena, 0, share_update_value, &value);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

static bool refuse(struct share_call *call, int16_t error, const char *message) {
    call->error = error;
    call->message = message;
    return false;
}

static bool is_behind(int32_t epoch, int32_t seen) {
    return epoch != -1 && epoch < seen;
}

static bool check_call(struct share_call *call, const struct share_entry *entry, bool exists) {
    bool reads = call->type == SHARE_READ, writes = call->type == SHARE_WRITE;
    if (call->partition < 0)
        return refuse(call, KAFKA_INVALID_REQUEST, "The partition id cannot be a negative number.");
    if (!entry && (reads || writes))
        return refuse(call, KAFKA_INVALID_REQUEST, reads ? "Read operation on uninitialized share partition not allowed."
                                                         : "Write operation on uninitialized share partition not allowed.");
    if (entry && (reads || writes) && is_behind(call->leader_epoch, entry->leader_epoch_seen))
        return refuse(call, KAFKA_FENCED_LEADER_EPOCH, NULL);
    if (entry && (writes || call->type == SHARE_INITIALIZE) && is_behind(call->state_epoch, entry->state_epoch_seen))
        return refuse(call, KAFKA_FENCED_STATE_EPOCH, NULL);
    if (!exists)
        return refuse(call, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, NULL);
    return true;
}

static void answer_initialize(struct share_entry *entry, const struct share_call *call, int64_t now_ms, struct arena *arena,
                              struct slice *ret_key, struct slice *ret_value) {
    if (entry && call->only_missing)
        return;
    struct share_entry fresh = {.snapshot_epoch = entry ? entry->snapshot_epoch + 1 : 0,
                                .state_epoch = call->state_epoch,
                                .start_offset = call->start_offset,
                                .complete_count = call->start_offset == -1 ? -1 : 0,
                                .create_ms = now_ms,
                                .write_ms = now_ms};
    *ret_key = encode_key(arena, KEY_SNAPSHOT, call);
    *ret_value = encode_snapshot(arena, &fresh, NULL, 0);
}

static void answer_read(const struct share_states *states, struct share_entry *entry, struct share_call *call, int64_t now_ms, struct arena *arena,
                        struct slice *ret_key, struct slice *ret_value) {
    struct share_batch *batches = arena_array(arena, struct share_batch, entry->batch_count + 1);
    if (entry->batch_count)
        memcpy(batches, entry->batches, sizeof *batches * (size_t)entry->batch_count);
    int32_t leader_epoch = call->leader_epoch;
    call->start_offset = entry->start_offset;
    call->complete_count = entry->complete_count;
    call->batch_count = 0;
    if (leader_epoch != -1 && leader_epoch != entry->leader_epoch_seen)
        add_write(states, entry, call, leader_epoch, now_ms, arena, ret_key, ret_value);
    call->state_epoch = entry->state_epoch;
    call->leader_epoch = entry->leader_epoch;
    call->batches = batches;
    call->batch_count = entry->batch_count;
}

static void answer_summary(const struct share_entry *entry, struct share_call *call) {
    call->state_epoch = entry ? entry->state_epoch : 0;
    call->leader_epoch = entry ? entry->leader_epoch : 0;
    call->start_offset = entry ? entry->start_offset : -1;
    call->complete_count = entry ? entry->complete_count : -1;
}

void share_states_answer(struct share_states *states, struct share_call *call, bool exists, int64_t now_ms,
                         struct arena *arena, struct slice *ret_key, struct slice *ret_value) {
    *ret_key = *ret_value = SLICE_NULL;
    call->error = 0;
    call->message = NULL;
    struct share_entry *entry = find(states, call);
    if (!check_call(call, entry, exists))
        return;
    switch (call->type) {
    case SHARE_INITIALIZE: answer_initialize(entry, call, now_ms, arena, ret_key, ret_value); break;
    case SHARE_READ: answer_read(states, entry, call, now_ms, arena, ret_key, ret_value); break;
    case SHARE_WRITE: add_write(states, entry, call, entry->leader_epoch, now_ms, arena, ret_key, ret_value); break;
    case SHARE_SUMMARY: answer_summary(entry, call); break;
    case SHARE_DELETE:
        if (entry)
            *ret_key = encode_key(arena, KEY_SNAPSHOT, call);
        break;
    }
}

/* ---- upkeep -------------------------------------------------------------------------------------------------------------------- */

int64_t share_states_needed_from(const struct share_states *states) {
    int64_t from = states->last_tombstone;
    bool any = false;
    list_each(node, &states->all) {
        int64_t offset = list_entry(node, struct share_entry, all)->snapshot_offset;
        if (!any || offset < from)
            from = offset;
        any = true;
    }
    return from;
}

static struct share_call key_of(const struct share_entry *entry) {
    return (struct share_call){.group = entry->group, .topic_id = entry->topic_id, .partition = entry->partition};
}

void share_states_cold(struct share_states *states, int64_t now_ms, int64_t interval_ms, struct arena *arena,
                       void (*add)(void *arg, struct slice key, struct slice value), void *arg) {
    bool any = false;
    list_each(node, &states->all) {
        const struct share_entry *entry = list_entry(node, struct share_entry, all);
        any |= entry->create_ms == entry->write_ms;
    }
    if (!any)
        return; /* all are cold, and were written anew since */
    list_each_safe(node, &states->all) {
        struct share_entry *entry = list_entry(node, struct share_entry, all);
        if (now_ms - entry->write_ms < interval_ms)
            continue;
        struct share_call key = key_of(entry);
        struct share_entry next = *entry;
        next.snapshot_epoch++;
        next.write_ms = now_ms;
        add(arg, encode_key(arena, KEY_SNAPSHOT, &key), encode_snapshot(arena, &next, entry->batches, entry->batch_count));
    }
}

void share_states_drop(struct share_states *states, bool (*is_gone)(const void *arg, struct uuid topic_id), const void *gone_arg,
                       struct arena *arena, void (*add)(void *arg, struct slice key, struct slice value), void *arg) {
    list_each_safe(node, &states->all) {
        struct share_entry *entry = list_entry(node, struct share_entry, all);
        if (!is_gone(gone_arg, entry->topic_id))
            continue;
        struct share_call key = key_of(entry);
        add(arg, encode_key(arena, KEY_SNAPSHOT, &key), SLICE_NULL);
    }
}
