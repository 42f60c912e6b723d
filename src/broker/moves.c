/* A partition's log moves to another log directory while it is written and read.
 *
 *   OPENING --copy open--> COPYING --nearly there--> ASSIGNING --record committed--> ASSIGNED --appends wait, copy whole-->
 *   SWAPPING: the copy serves; old directory renamed to -delete; copy renamed to the partition's name --> appends go on
 *
 * Copies are opened at once, but only num.replica.alter.log.dirs.threads moves of the node copy at a time; the others wait for
 * their turn in the order in which their shard got them.
 *
 * The copy is a log of its own in TOPIC-PARTITION.HEX-future. It gets whole batches, and only such as are on the device.
 * The controller learns of the new directory before the swap (KIP-858): a partition is never led from a directory that
 * the cluster does not know of. After a crash between the two renames there is a copy that is whole and no partition's
 * directory: it is renamed then (partitions.c). A record is acknowledged by the log that a crash would bring back: hence
 * nothing is appended from the moment in which the copy is whole until it has the name. */
#include "broker/moves.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/trace.h"
#include "protocol/batch.h"

enum {
    CHUNK_BYTES = 1 << 20,
    NEARLY_BYTES = 1 << 20, /* behind by less: it is time to tell the controller, and to make appends wait */
    RETRY_MS = 1000,
    PREFERRED_MAX = 1000,
};

struct report { /* to the controller: where a log is */
    struct controller_call call;
    struct arena arena;
    struct broker_shard *shard;
    struct uuid topic_id, dir;
    int32_t index;
    struct move *move; /* waits for it; NULL: nobody does */
};

struct move {
    struct broker_shard *shard;
    struct partition *partition;
    int from, dir;
    struct log *future; /* NULL: not open */
    enum { MOVE_OPENING, MOVE_COPYING, MOVE_ASSIGNING, MOVE_ASSIGNED, MOVE_SWAPPING } phase;
    enum { GO_ON, END_DELETE, END_CLOSE } end;
    bool told;          /* partitions_move_ended() is called at the end */
    int next_dir;       /* where to after the end; -1: nowhere */
    bool reading, ending;
    size_t paced_bytes;      /* of the last chunk, */
    uint64_t paced_since_ns; /* which was copied then */
    bool has_turn;       /* counts in broker->moves_running */
    struct list waiting; /* of shard->waiting_moves: for a turn */
    struct log_read read;
    struct partition_waiter waiter;
    struct timer timer;
    char name[32 + 8 + 1 + 300];
};

static void step(struct move *move);
static void move_free(struct move *move);

/* ---- the controller ---------------------------------------------------------------------------------------------------------- */

static void report_decide(struct controller_call *call, struct decision *decision) {
    struct report *report = container_of(call, struct report, call);
    decide_directory(decision, report->topic_id, report->index, report->shard->broker->config->node_id, report->dir);
}

static void report_done(struct controller_call *call) {
    struct report *report = container_of(call, struct report, call);
    struct move *move = report->move;
    enum err err = call->err;
    arena_deinit(&report->arena);
    mem_free(report);
    if (!move)
        return;
    move->phase = err ? MOVE_COPYING : MOVE_ASSIGNED;
    if (err)
        timer_start(move->shard->shard, &move->timer, RETRY_MS * NS_PER_MS);
    else
        step(move);
    if (err && move->end)
        step(move);
}

static void report_dir(struct broker_shard *shard, const struct partition *partition, int dir, struct move *move) {
    struct report *report = mem_new(struct report);
    report->shard = shard;
    report->topic_id = partition->topic_id;
    report->index = partition->index;
    report->dir = shard->broker->dir_ids[dir];
    report->move = move;
    report->call = (struct controller_call){.home = shard->shard, .arena = &report->arena, .decide = report_decide, .done = report_done};
    controller_call(shard->broker->controller, &report->call);
}

/* ---- turns ---------------------------------------------------------------------------------------------------------------- */

static bool take_turn(struct move *move) {
    struct broker_shard *shard = move->shard;
    if (move->has_turn)
        return true;
    if (list_is_empty(&move->waiting))
        list_push_back(&shard->waiting_moves, &move->waiting);
    int running = shard->broker->moves_running;
    while (shard->waiting_moves.next == &move->waiting && running < shard->broker->moves_max)
        if (atomic_compare_exchange_weak(&shard->broker->moves_running, &running, running + 1)) {
            list_remove(&move->waiting);
            move->has_turn = true;
            break;
        }
    return move->has_turn;
}

/* The shard's next moves may begin; each takes the next one's place at the head. */
static void go_on_in(struct shard *to, struct message *message) {
    struct broker_shard *shard = broker_shard_of(to);
    mem_free(message);
    while (!list_is_empty(&shard->waiting_moves)) {
        struct move *move = container_of(shard->waiting_moves.next, struct move, waiting);
        if (!take_turn(move))
            break;
        step(move);
    }
}

/* One that ended gives its turn to whoever is there first, on any shard. */
static void give_turn_back(struct move *move) {
    struct broker *broker = move->shard->broker;
    bool was_first = move->shard->waiting_moves.next == &move->waiting;
    list_remove(&move->waiting);
    if (move->has_turn)
        broker->moves_running--;
    for (int i = 0; i < broker->shard_count && !broker->stopping && (move->has_turn || was_first); i++) {
        struct message *message = mem_new(struct message);
        message->deliver = go_on_in;
        shard_post(broker->shards[i].shard, message);
    }
}

/* ---- the end ------------------------------------------------------------------------------------------------------------------ */

static void copy_gone(enum err err, void *arg) {
    (void)err; /* the log has said it */
    move_free(arg);
}

static void unfreeze(struct partition *partition) {
    partition->frozen = false;
    partition_wake(partition);
}

static void move_free(struct move *move) {
    struct partition *partition = move->partition;
    int next = move->next_dir;
    bool told = move->told;
    timer_stop(move->shard->shard, &move->timer);
    list_remove(&move->waiter.node);
    give_turn_back(move);
    partition->move = NULL;
    mem_free(move);
    if (told)
        partitions_move_ended(partition);
    else if (next >= 0 && partition->log)
        moves_start(partition, next);
}

/* The move ends unfinished, as soon as nothing of it is under way. */
static void end_step(struct move *move) {
    if (move->ending || move->reading || move->phase == MOVE_OPENING || move->phase == MOVE_ASSIGNING)
        return;
    move->ending = true;
    if (move->partition->frozen)
        unfreeze(move->partition);
    if (move->phase == MOVE_ASSIGNED && move->end == END_DELETE && !move->partition->deleting)
        report_dir(move->shard, move->partition, move->from, NULL);
    if (!move->future)
        move_free(move);
    else if (move->end == END_DELETE)
        log_delete(move->future, broker_config_int(move->shard->broker->config, "log.segment.delete.delay.ms"), copy_gone, move);
    else
        log_close(move->future, copy_gone, move);
}

static void give_up(struct move *move, enum err err, const char *what) {
    trace_error("broker", "a move between log directories ends", TRACE_STR("why", what), TRACE_SLICE("topic", move->partition->topic),
                TRACE_INT("partition", move->partition->index), TRACE_ERR(err));
    if (!move->end)
        move->end = END_CLOSE;
    end_step(move);
}

/* ---- the swap ------------------------------------------------------------------------------------------------------------------- */

static void renamed(enum err err, void *arg) {
    struct move *move = arg;
    struct partition *partition = move->partition;
    if (!err)
        trace_info("broker", "partition has moved", TRACE_SLICE("topic", partition->topic), TRACE_INT("partition", partition->index),
                   TRACE_STR("dir", move->shard->broker->config->log_dirs[move->dir]));
    unfreeze(partition);
    move_free(move);
}

static void old_deleted(enum err err, void *arg) {
    struct move *move = arg;
    (void)err;
    char name[300];
    snprintf(name, sizeof name, "%.*s-%d", SLICE_FMT(move->partition->topic), (int)move->partition->index);
    log_rename(move->partition->log, name, renamed, move);
}

static void swap(struct move *move) {
    struct partition *partition = move->partition;
    struct log *old = partition->log;
    move->phase = MOVE_SWAPPING;
    list_remove(&move->waiter.node);
    log_copy_epochs(move->future, old);
    log_set_cleaned_end(move->future, log_cleaned_end(old));
    partitions_take_log(partition, move->future);
    move->future = NULL;
    log_delete(old, broker_config_int(move->shard->broker->config, "log.segment.delete.delay.ms"), old_deleted, move);
}

/* ---- copying ---------------------------------------------------------------------------------------------------------------------- */

/* replica.alter.log.dirs.io.max.bytes.per.second, which is set at run time only. */
static int64_t bytes_per_second(const struct broker_shard *shard) {
    const struct slice key = SLICE_LIT("replica.alter.log.dirs.io.max.bytes.per.second");
    char id[16], text[24];
    snprintf(id, sizeof id, "%d", (int)shard->broker->config->node_id);
    struct slice value = image_config(shard->image, CONFIG_RESOURCE_BROKER, slice_str(id), key);
    if (!value.ptr)
        value = image_config(shard->image, CONFIG_RESOURCE_BROKER, SLICE_EMPTY, key);
    snprintf(text, sizeof text, "%.*s", SLICE_FMT(value));
    int64_t rate = strtoll(text, NULL, 10);
    return rate > 0 ? rate : INT64_MAX;
}

/* After a chunk the move waits as long as the rate says, which may change meanwhile. True: it waits. */
static bool pace(struct move *move) {
    int64_t rate = bytes_per_second(move->shard);
    uint64_t wanted_ns = rate < (int64_t)1 << 40 ? (uint64_t)move->paced_bytes * NS_PER_S / (uint64_t)rate : 0;
    uint64_t waited_ns = shard_now_ns(move->shard->shard) - move->paced_since_ns;
    if (wanted_ns <= waited_ns)
        return false;
    uint64_t left_ns = wanted_ns - waited_ns;
    timer_start(move->shard->shard, &move->timer, left_ns < RETRY_MS * NS_PER_MS ? left_ns : RETRY_MS * NS_PER_MS);
    return true;
}

/* What was read goes into the copy, whole batches only. */
static void chunk_read(struct log_read *read) {
    struct move *move = container_of(read, struct move, read);
    enum err err = read->err;
    size_t size = 0;
    if (!err && read->size && !move->end) {
        const uint8_t *bytes = read->pieces[0].ptr;
        while (read->size - size >= BATCH_HEADER_SIZE && batch_size(bytes + size) <= read->size - size)
            size += batch_size(bytes + size);
        struct arena arena = {0};
        struct log_append_result result;
        err = log_append(move->future, (uint8_t *)bytes, size, APPEND_REPLICATION, move->partition->leader_epoch, &arena, &result);
        arena_deinit(&arena);
    }
    log_read_release(read);
    move->reading = false;
    if (err == ERR_NO_SPACE || err == ERR_OFFSET_OUT_OF_RANGE || err == ERR_NO_MEMORY) {
        timer_start(move->shard->shard, &move->timer, RETRY_MS * NS_PER_MS);
        return;
    }
    if (err) {
        give_up(move, err, "the log cannot be copied");
        return;
    }
    if (move->end) {
        end_step(move);
        return;
    }
    move->paced_bytes = move->partition->frozen ? 0 : size;
    move->paced_since_ns = shard_now_ns(move->shard->shard);
    if (!size)
        timer_start(move->shard->shard, &move->timer, RETRY_MS * NS_PER_MS);
    else
        pace(move);
    /* the copy's progress is the next step, when nothing is waited for */
}

static void copy_chunk(struct move *move, int64_t from, int64_t bound) {
    move->reading = true;
    move->read = (struct log_read){.log = move->partition->log,
                                   .offset = from,
                                   .bound = bound,
                                   .bytes_max = CHUNK_BYTES,
                                   .whole_first_batch = true,
                                   .contiguous = true,
                                   .done = chunk_read};
    if (log_read(&move->read))
        chunk_read(&move->read);
}

/* The copy lacks what retention took meanwhile, or has what the log lost in a crash: it is begun again. */
static bool does_not_fit(const struct log_offsets *copy, const struct log_offsets *log) {
    return copy->end > log->end || (copy->end < log->start && copy->end > copy->start);
}

static void step(struct move *move) {
    struct partition *partition = move->partition;
    if (move->end) {
        end_step(move);
        return;
    }
    if (move->phase == MOVE_OPENING || move->phase == MOVE_SWAPPING || move->reading || timer_is_running(&move->timer))
        return;
    if (log_state(move->future) == ERR_OFFLINE) {
        give_up(move, ERR_OFFLINE, "the new directory is offline");
        return;
    }
    if (!partition->log || log_state(partition->log))
        return; /* the partition's own trouble */
    if (!take_turn(move))
        return; /* go_on_in() comes back here */
    struct log_offsets log = log_offsets(partition->log), copy = log_offsets(move->future);
    if (does_not_fit(&copy, &log)) {
        move->next_dir = move->dir;
        move->end = END_DELETE;
        end_step(move);
        return;
    }
    if (copy.durable_end < copy.end)
        return;
    int64_t start = log.start < copy.end ? log.start : copy.end;
    if (start > copy.start && log_raise_start(move->future, start))
        return; /* the copy's trouble comes back as its state */
    bool nearly = log.end - copy.end <= 0 || log_bytes_between(partition->log, copy.end, log.end) <= NEARLY_BYTES;
    if (nearly && move->phase == MOVE_COPYING) {
        move->phase = MOVE_ASSIGNING;
        report_dir(move->shard, partition, move->dir, move);
    }
    if (nearly && move->phase == MOVE_ASSIGNED)
        partition->frozen = true;
    if (copy.end < log.durable_end)
        copy_chunk(move, copy.end > log.start ? copy.end : log.start, log.durable_end);
    else if (move->phase == MOVE_ASSIGNED && copy.end == log.end)
        swap(move);
}

static void partition_moved_on(struct partition_waiter *waiter, struct partition *partition) {
    (void)partition;
    step(container_of(waiter, struct move, waiter));
}

static void copy_moved_on(struct log *log, void *user) {
    (void)log;
    step(user);
}

static void due(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct move *move = container_of(timer, struct move, timer);
    if (move->end || !pace(move))
        step(move);
}

/* ---- the beginning ------------------------------------------------------------------------------------------------------------------ */

static void copy_opened(struct log *log, enum err err, void *user) {
    struct move *move = user;
    move->future = log;
    move->phase = MOVE_COPYING;
    if (err)
        give_up(move, err, "its copy cannot be opened");
    else
        step(move);
}

static void open_copy(struct move *move, int64_t first_offset, bool created) {
    struct log_open_options options = partitions_log_options(move->partition, move->dir);
    options.future = move->name;
    options.created = created;
    options.first_offset = first_offset;
    options.user = move;
    options.on_progress = copy_moved_on;
    log_open(move->shard->store, &options, copy_opened);
}

/* The copy begins with the batch that holds the log's start. */
static void first_read(struct log_read *read) {
    struct move *move = container_of(read, struct move, read);
    int64_t first = read->offset;
    if (!read->err && read->size >= BATCH_HEADER_SIZE)
        first = batch_base_offset(read->pieces[0].ptr);
    log_read_release(read);
    move->reading = false;
    if (move->end) {
        move->phase = MOVE_COPYING;
        end_step(move);
        return;
    }
    open_copy(move, first, true);
}

static struct move *move_create(struct partition *partition, int dir) {
    struct move *move = mem_new(struct move);
    move->shard = partition->user;
    move->partition = partition;
    move->from = log_dir_index(partition->log);
    move->dir = dir;
    move->next_dir = -1;
    move->timer.fire = due;
    move->waiter.wake = partition_moved_on;
    list_init(&move->waiting);
    partition_wait(partition, &move->waiter);
    partition->move = move;
    log_stop_cleaning(partition->log); /* until it has moved */
    return move;
}

void moves_start(struct partition *partition, int dir) {
    struct move *move = partition->move;
    if (move && move->dir == dir && !move->end) {
        move->next_dir = -1;
        return;
    }
    if (move) {
        move->next_dir = dir == move->from && move->phase != MOVE_SWAPPING ? -1 : dir;
        if (move->phase == MOVE_SWAPPING || move->end)
            return;
        move->end = END_DELETE;
        end_step(move);
        return;
    }
    if (dir == log_dir_index(partition->log))
        return;
    move = move_create(partition, dir);
    struct uuid random;
    char hex[33];
    runtime_secure_random(shard_runtime(move->shard->shard), &random, sizeof random);
    uuid_hex(random, hex);
    snprintf(move->name, sizeof move->name, "%.*s-%d.%s-future", SLICE_FMT(partition->topic), (int)partition->index, hex);
    struct log_offsets offsets = log_offsets(partition->log);
    move->reading = true;
    move->read = (struct log_read){.log = partition->log,
                                   .offset = offsets.start,
                                   .bound = offsets.durable_end,
                                   .bytes_max = 1,
                                   .whole_first_batch = true,
                                   .contiguous = true,
                                   .done = first_read};
    if (log_read(&move->read))
        first_read(&move->read);
}

void moves_opened(struct partition *partition) {
    struct broker_shard *shard = partition->user;
    const struct broker *broker = shard->broker;
    const char *name;
    int dir = partition->created ? -1 : log_inventory_find_future(broker->inventory, partition->topic, partition->index, &name);
    if (dir >= 0 && dir != log_dir_index(partition->log) && strlen(name) < sizeof partition->move->name) {
        struct move *move = move_create(partition, dir);
        snprintf(move->name, sizeof move->name, "%s", name);
        open_copy(move, 0, false);
        return;
    }
    const struct image_partition *image = image_find_partition(image_find_topic_id(shard->image, partition->topic_id), partition->index);
    for (int i = 0; image && image->directories && i < image->replica_count; i++)
        if (image_replicas(image)[i] == broker->config->node_id &&
            !uuid_eq(image->directories[i], broker->dir_ids[log_dir_index(partition->log)]))
            report_dir(shard, partition, log_dir_index(partition->log), NULL);
}

bool moves_stop(struct partition *partition, bool delete_copy) {
    struct move *move = partition->move;
    if (!move)
        return false;
    move->told = true;
    if (move->phase != MOVE_SWAPPING && (!move->end || delete_copy))
        move->end = delete_copy ? END_DELETE : END_CLOSE;
    timer_start(move->shard->shard, &move->timer, 0); /* not inside the call */
    return true;
}

const struct log *moves_future(const struct partition *partition) {
    return partition->move ? partition->move->future : NULL;
}

void moves_set_settings(struct partition *partition, const struct log_settings *settings) {
    if (partition->move && partition->move->future)
        log_set_settings(partition->move->future, settings);
}

/* ---- directories asked for in advance ---------------------------------------------------------------------------------------------- */

struct preferred {
    struct list node;
    struct slice topic; /* owned */
    int32_t index;
    int dir;
};
struct preference { /* to every shard */
    struct message message;
    struct preferred *preferred;
};

static void forget(struct broker_shard *shard, struct preferred *preferred) {
    list_remove(&preferred->node);
    shard->preferred_count--;
    mem_free((void *)preferred->topic.ptr);
    mem_free(preferred);
}

static struct preferred *find_preferred(const struct broker_shard *shard, struct slice topic, int32_t index) {
    list_each(node, &shard->preferred) {
        struct preferred *preferred = container_of(node, struct preferred, node);
        if (preferred->index == index && slice_eq(preferred->topic, topic))
            return preferred;
    }
    return NULL;
}

static void prefer_in(struct shard *to, struct message *message) {
    struct preference *preference = container_of(message, struct preference, message);
    struct broker_shard *shard = broker_shard_of(to);
    struct preferred *before = find_preferred(shard, preference->preferred->topic, preference->preferred->index);
    if (before)
        forget(shard, before);
    else if (shard->preferred_count == PREFERRED_MAX)
        forget(shard, container_of(shard->preferred.next, struct preferred, node));
    list_push_back(&shard->preferred, &preference->preferred->node);
    shard->preferred_count++;
    mem_free(preference);
}

void moves_prefer(struct broker *broker, struct slice topic, int32_t index, int dir) {
    for (int i = 0; i < broker->shard_count; i++) {
        struct preference *preference = mem_new(struct preference);
        preference->message.deliver = prefer_in;
        preference->preferred = mem_new(struct preferred);
        *preference->preferred = (struct preferred){
            .topic = slice_of(mem_strndup((const char *)topic.ptr, topic.size), topic.size), .index = index, .dir = dir};
        list_init(&preference->preferred->node);
        shard_post(broker->shards[i].shard, &preference->message);
    }
}

int moves_preferred(const struct broker_shard *shard, struct slice topic, int32_t index) {
    const struct preferred *preferred = find_preferred(shard, topic, index);
    return preferred ? preferred->dir : -1;
}

void moves_forget_preferences(struct broker_shard *shard) {
    list_each_safe(node, &shard->preferred)
        forget(shard, container_of(node, struct preferred, node));
}
