#include "raft/quorum.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/trace.h"
#include "protocol/codec.h"
#include "protocol/kraft_version_record.h"
#include "protocol/leader_change_message.h"
#include "protocol/no_op_record.h"
#include "protocol/voters_record.h"
#include "raft/snapshot.h"

#define METADATA_TOPIC "__cluster_metadata"
enum { READ_BYTES = 1 << 20, RECORD_NO_OP = 20 };

struct quorum {
    struct shard *shard;
    struct quorum_options options;
    struct fs *fs;
    char *path; /* of __cluster_metadata-0 */
    struct raft raft;
    struct quorum_state state;
    struct snapshot snapshot; /* loaded at start */
    struct buf voters_value;  /* of the KRAFT_VOTERS record in force */
    int64_t voters_record_offset;
    struct slice *bootstrap;
    int bootstrap_count;
    struct snapshot bootstrap_file;
    struct log *log;
    int64_t applied;          /* next offset that the shards have not been given */
    bool replaying, leading, stopping, reading, state_writing, state_again;
    struct log_read read;
    struct list appends;      /* quorum_append in order, not yet committed */
    struct timer idle_timer, snapshot_timer;
    int64_t last_append_ms, last_snapshot_ms, bytes_since_snapshot;
    bool snapshot_writing;
};

const struct raft *quorum_raft(const struct quorum *quorum) {
    return &quorum->raft;
}
struct log *quorum_log(struct quorum *quorum) {
    return quorum->log;
}
const struct slice *quorum_bootstrap_records(const struct quorum *quorum, int *ret_count) {
    *ret_count = quorum->bootstrap_count;
    return quorum->bootstrap;
}
int64_t quorum_last_append_ms(const struct quorum *quorum) {
    return quorum->last_append_ms;
}

static void fail(struct quorum *quorum, enum err err, const char *what) {
    trace_error("raft", what, TRACE_STR("dir", quorum->path), TRACE_ERR(err));
    quorum->options.failed(quorum, err, quorum->options.arg);
}

/* ---- control records --------------------------------------------------------------------------------------------------- */

static void take_voters(struct quorum *quorum, struct slice value) {
    struct arena arena = {0};
    struct decoder d = decoder_of(value, &arena);
    struct voters_record record;
    if (!voters_record_decode(&d, 0, &record) && record.voters_count <= RAFT_VOTERS_MAX) {
        struct raft_voter voters[RAFT_VOTERS_MAX] = {0};
        for (int i = 0; i < record.voters_count; i++)
            voters[i] = (struct raft_voter){.id = record.voters[i].voter_id, .directory = record.voters[i].voter_directory_id};
        raft_set_voters(&quorum->raft, voters, record.voters_count, 1);
        buf_clear(&quorum->voters_value);
        buf_add_slice(&quorum->voters_value, value);
    }
    arena_deinit(&arena);
}

static void take_control(void *arg, int type, struct slice value) {
    struct quorum *quorum = arg;
    if (type == CONTROL_KRAFT_VOTERS)
        take_voters(quorum, value);
    else if (type == CONTROL_KRAFT_VERSION && value.size >= 4)
        quorum->raft.kraft_version = (int16_t)load_be16(value.ptr + 2);
}

static void ignore_data(void *arg, struct slice value) {
    (void)arg, (void)value;
}

/* ---- to the shards -------------------------------------------------------------------------------------------------- */

struct to_shard { /* shard 0 -> each shard */
    struct message message;
    struct quorum *quorum;
    struct buf batches;
    bool caught_up;
};

static void to_shard_in(struct shard *shard, struct message *message) {
    struct to_shard *to = container_of(message, struct to_shard, message);
    const struct quorum_options *options = &to->quorum->options;
    if (to->batches.size)
        options->apply(shard, buf_slice(&to->batches), options->arg);
    if (to->caught_up)
        options->caught_up(shard, options->arg);
    buf_deinit(&to->batches);
    mem_free(to);
}

static void publish(struct quorum *quorum, struct slice batches, bool caught_up) {
    struct runtime *runtime = shard_runtime(quorum->shard);
    for (int i = 0; i < runtime_shard_count(runtime); i++) {
        struct to_shard *to = mem_new(struct to_shard);
        to->message.deliver = to_shard_in;
        to->quorum = quorum;
        buf_add_slice(&to->batches, batches);
        to->caught_up = caught_up;
        shard_post(runtime_shard(runtime, i), &to->message);
    }
}

/* ---- committed records: read from the log, handed out ------------------------------------------------------------------ */

static void elect(struct quorum *quorum);
static void read_committed(struct quorum *quorum);

static void read_done(struct log_read *read) {
    struct quorum *quorum = container_of(read, struct quorum, read);
    quorum->reading = false;
    if (read->err) {
        fail(quorum, read->err, "the metadata log cannot be read");
        log_read_release(read);
        return;
    }
    struct slice bytes = read->piece_count ? slice_of(read->pieces[0].ptr, read->pieces[0].size) : SLICE_EMPTY;
    size_t whole = 0; /* reads end inside batches */
    while (bytes.size - whole >= BATCH_HEADER_SIZE && batch_size(bytes.ptr + whole) <= bytes.size - whole) {
        quorum->applied = batch_last_offset(bytes.ptr + whole) + 1;
        whole += batch_size(bytes.ptr + whole);
    }
    struct slice batches = slice_of(bytes.ptr, whole);
    enum err err = snapshot_walk(batches, ignore_data, take_control, quorum);
    if (err) {
        fail(quorum, err, "the metadata log is corrupt");
        log_read_release(read);
        return;
    }
    quorum->bytes_since_snapshot += (int64_t)whole;
    if (whole)
        publish(quorum, batches, false);
    log_read_release(read);
    read_committed(quorum);
}

static void commit_appends(struct quorum *quorum) {
    while (!list_is_empty(&quorum->appends)) {
        struct quorum_append *append = container_of(quorum->appends.next, struct quorum_append, node);
        if (append->end_offset > quorum->applied)
            break;
        list_remove(&append->node);
        append->done(append, ERR_OK);
    }
}

static void read_committed(struct quorum *quorum) {
    int64_t committed = quorum->replaying ? log_durable_end(quorum->log) : quorum->raft.high_watermark;
    if (quorum->reading || quorum->stopping)
        return;
    if (quorum->applied >= committed) {
        if (quorum->replaying) {
            quorum->replaying = false;
            elect(quorum);
        }
        commit_appends(quorum);
        return;
    }
    quorum->reading = true;
    quorum->read = (struct log_read){.log = quorum->log,
                                     .offset = quorum->applied,
                                     .bound = committed,
                                     .bytes_max = READ_BYTES,
                                     .whole_first_batch = true,
                                     .contiguous = true,
                                     .done = read_done};
    if (log_read(&quorum->read))
        read_done(&quorum->read);
}

/* ---- election -------------------------------------------------------------------------------------------------------- */

struct state_write {
    struct fs *fs; /* outlives the quorum: the write may still be under way when the node ends */
    struct work work;
    struct quorum *quorum;
    struct buf text;
    char *path;
    enum err err;
};

static void after(struct quorum *quorum, struct raft_update update);

static void state_run(struct work *work) {
    struct state_write *write = container_of(work, struct state_write, work);
    write->err = fs_write_whole(write->fs, write->path, buf_slice(&write->text));
}

static void write_state(struct quorum *quorum);
static void state_done(struct shard *shard, struct work *work) {
    (void)shard;
    struct state_write *write = container_of(work, struct state_write, work);
    struct quorum *quorum = write->quorum;
    enum err err = write->err;
    buf_deinit(&write->text);
    mem_free(write->path);
    mem_free(write);
    quorum->state_writing = false;
    if (quorum->stopping)
        return;
    if (err) {
        fail(quorum, err, "quorum-state cannot be written");
        return;
    }
    if (quorum->state_again) {
        quorum->state_again = false;
        write_state(quorum);
        return;
    }
    after(quorum, raft_persisted(&quorum->raft, log_offsets(quorum->log).end));
}

static void write_state(struct quorum *quorum) {
    if (quorum->state_writing) {
        quorum->state_again = true;
        return;
    }
    struct state_write *write = mem_new(struct state_write);
    write->quorum = quorum;
    write->fs = quorum->fs;
    write->path = mem_printf("%s/quorum-state", quorum->path);
    quorum_state_format(&quorum->raft, &write->text);
    write->work = (struct work){.lane = quorum, .run = state_run, .done = state_done};
    quorum->state_writing = true;
    shard_offload(quorum->shard, &write->work);
}

static void append_batch(struct quorum *quorum, struct buf *batch) {
    batch_set_leader_epoch(batch->ptr, quorum->raft.epoch);
    struct arena arena = {0};
    struct log_append_result result;
    enum err err = log_append(quorum->log, batch->ptr, batch->size, APPEND_RAFT, quorum->raft.epoch, &arena, &result);
    arena_deinit(&arena);
    quorum->last_append_ms = shard_wall_ms(quorum->shard);
    if (err)
        fail(quorum, err, "the metadata log takes no records");
}

static void append_leader_change(struct quorum *quorum) {
    struct raft *raft = &quorum->raft;
    struct leader_change_message_voter voters[RAFT_VOTERS_MAX] = {0};
    for (int i = 0; i < raft->voter_count; i++)
        voters[i].voter_id = raft->voters[i].id;
    struct leader_change_message_voter self = {.voter_id = raft->id};
    struct leader_change_message message = {.leader_id = raft->id, .voters = voters, .voters_count = raft->voter_count,
                                            .granting_voters = &self, .granting_voters_count = 1};
    struct buf value = {0}, batch = {0};
    struct encoder e;
    encoder_init(&e, &value, NULL);
    check(leader_change_message_encode(&e, 0, &message) == ERR_OK);
    struct batch_builder builder;
    uint8_t key[4];
    int64_t now = shard_wall_ms(quorum->shard);
    batch_builder_init(&builder, &batch, log_offsets(quorum->log).end);
    batch_builder_add(&builder, 0, now, control_key(CONTROL_LEADER_CHANGE, key), buf_slice(&value), NULL, 0);
    int count = 1;
    if (raft->kraft_version > 0 && quorum->voters_value.size && raft->epoch_start == 0) {
        /* A new log repeats what only the bootstrap snapshot said. */
        struct kraft_version_record version = {.kraft_version = raft->kraft_version};
        buf_clear(&value);
        encoder_init(&e, &value, NULL);
        check(kraft_version_record_encode(&e, 0, &version) == ERR_OK);
        batch_builder_add(&builder, count++, now, control_key(CONTROL_KRAFT_VERSION, key), buf_slice(&value), NULL, 0);
        batch_builder_add(&builder, count++, now, control_key(CONTROL_KRAFT_VOTERS, key), buf_slice(&quorum->voters_value),
                          NULL, 0);
    }
    check(batch_builder_finish(&builder, BATCH_CONTROL, CODEC_NONE, 0, NULL, -1, -1, -1) == ERR_OK);
    append_batch(quorum, &batch);
    buf_deinit(&value);
    buf_deinit(&batch);
}

static void after(struct quorum *quorum, struct raft_update update) {
    if (update.became_leader)
        append_leader_change(quorum);
    if (update.persist)
        write_state(quorum);
    if (update.committed) {
        if (!quorum->leading) {
            quorum->leading = true;
            trace_info("raft", "leader", TRACE_INT("epoch", quorum->raft.epoch), TRACE_INT("offset", quorum->raft.epoch_start));
            publish(quorum, SLICE_EMPTY, true);
        }
        read_committed(quorum);
    }
}

static void elect(struct quorum *quorum) {
    if (!quorum->raft.voter_count) { /* kraft.version 0: the voters stand in the configuration, here this node alone */
        struct raft_voter self = {.id = quorum->options.node_id, .directory = quorum->options.directory_id};
        raft_set_voters(&quorum->raft, &self, 1, 0);
    }
    int32_t log_epoch = epochs_latest(log_epochs(quorum->log));
    if (quorum->snapshot.bytes.size && quorum->snapshot.epoch > log_epoch)
        log_epoch = quorum->snapshot.epoch;
    struct raft_update update = raft_start(&quorum->raft, quorum->state.epoch, log_epoch);
    if (!update.persist) {
        fail(quorum, ERR_UNSUPPORTED, "the quorum has other voters than this node");
        return;
    }
    after(quorum, update);
}

/* ---- append ------------------------------------------------------------------------------------------------------------ */

enum err quorum_state(const struct quorum *quorum) {
    return log_state(quorum->log);
}

int64_t quorum_append(struct quorum *quorum, const struct slice *records, int count, struct quorum_append *append) {
    struct buf batch = {0};
    struct batch_builder builder;
    int64_t base = log_offsets(quorum->log).end, now = shard_wall_ms(quorum->shard);
    batch_builder_init(&builder, &batch, base);
    for (int i = 0; i < count; i++)
        batch_builder_add(&builder, i, now, SLICE_NULL, records[i], NULL, 0);
    check(batch_builder_finish(&builder, 0, CODEC_NONE, 0, NULL, -1, -1, -1) == ERR_OK);
    append->end_offset = base + count;
    list_push_back(&quorum->appends, &append->node);
    append_batch(quorum, &batch);
    buf_deinit(&batch);
    return base;
}

static void on_progress(struct log *log, void *user) {
    struct quorum *quorum = user;
    if (log_state(log) == ERR_OFFLINE) {
        fail(quorum, ERR_OFFLINE, "the metadata log's directory is offline");
        return;
    }
    if (!quorum->replaying)
        after(quorum, raft_flushed(&quorum->raft, log_durable_end(log)));
}

static void no_op_done(struct quorum_append *append, enum err err) {
    (void)err;
    mem_free(append);
}

static void idle(struct shard *shard, struct timer *timer) {
    struct quorum *quorum = container_of(timer, struct quorum, idle_timer);
    int64_t interval = quorum->options.idle_interval_ms;
    if (quorum->leading && !quorum->stopping && !quorum_state(quorum) && shard_wall_ms(shard) - quorum->last_append_ms >= interval) {
        static const uint8_t record[] = {1, RECORD_NO_OP, 0, 0};
        struct slice slice = slice_of(record, sizeof record);
        struct quorum_append *append = mem_new(struct quorum_append);
        append->done = no_op_done;
        quorum_append(quorum, &slice, 1, append);
    }
    timer_start(shard, timer, (uint64_t)interval * NS_PER_MS);
}

/* ---- snapshots --------------------------------------------------------------------------------------------------------- */

struct snapshot_write {
    struct work work;
    struct quorum *quorum;
    struct fs *fs; /* the quorum may be gone when the write ends */
    struct buf bytes;
    char *path, *dir;
    struct snapshot_limits limits;
    int64_t needed_from; /* the log is not needed below it; -1: as before */
    enum err err;
};

static void snapshot_run(struct work *work) {
    struct snapshot_write *write = container_of(work, struct snapshot_write, work);
    write->needed_from = -1;
    write->err = fs_write_whole(write->fs, write->path, buf_slice(&write->bytes));
    if (!write->err) /* what is older may go, now that there is a newer one */
        write->err = snapshot_clean(write->fs, write->dir, &write->limits, &write->needed_from);
}

/* Segments that lie wholly below the oldest snapshot go. */
static void cut_log(struct quorum *quorum, int64_t needed_from) {
    if (!quorum->log || needed_from < 0)
        return;
    enum err err = log_raise_start(quorum->log, needed_from);
    if (err)
        trace_error("raft", "the metadata log cannot be cut", TRACE_STR("dir", quorum->path), TRACE_ERR(err));
    else
        log_retain(quorum->log, quorum->raft.high_watermark);
}

static void snapshot_done(struct shard *shard, struct work *work) {
    struct snapshot_write *write = container_of(work, struct snapshot_write, work);
    struct quorum *quorum = write->quorum;
    quorum->snapshot_writing = false;
    quorum->last_snapshot_ms = shard_wall_ms(shard);
    if (write->err)
        trace_error("raft", "no snapshot", TRACE_STR("file", write->path), TRACE_ERR(write->err));
    else
        trace_info("raft", "snapshot", TRACE_STR("file", write->path), TRACE_INT("bytes", write->bytes.size));
    if (!write->err && !quorum->stopping)
        cut_log(quorum, write->needed_from);
    buf_deinit(&write->bytes);
    mem_free(write->path);
    mem_free(write->dir);
    mem_free(write);
}

static void add_record(void *arg, struct slice record) {
    snapshot_add(arg, record);
}

static void write_snapshot(struct quorum *quorum) {
    struct snapshot_write *write = mem_new(struct snapshot_write);
    struct snapshot_writer writer;
    write->quorum = quorum;
    int32_t epoch = epochs_of(log_epochs(quorum->log), quorum->applied - 1);
    snapshot_begin(&writer, &write->bytes, epoch, shard_wall_ms(quorum->shard), quorum->raft.kraft_version,
                   buf_slice(&quorum->voters_value));
    quorum->options.write_image(add_record, &writer, quorum->options.arg);
    snapshot_end(&writer);
    write->fs = quorum->fs;
    write->dir = mem_strdup(quorum->path);
    write->limits = (struct snapshot_limits){.log_start = log_offsets(quorum->log).start, .log_bytes = log_size(quorum->log),
                                             .bytes_max = quorum->options.retention_bytes, .age_max_ms = quorum->options.retention_ms,
                                             .now_ms = shard_wall_ms(quorum->shard)};
    write->path = mem_printf("%s/%020lld-%010d.checkpoint", quorum->path, (long long)quorum->applied, (int)epoch);
    write->work = (struct work){.lane = quorum, .run = snapshot_run, .done = snapshot_done};
    quorum->snapshot_writing = true;
    quorum->bytes_since_snapshot = 0;
    shard_offload(quorum->shard, &write->work);
}

static void snapshot_due(struct shard *shard, struct timer *timer) {
    struct quorum *quorum = container_of(timer, struct quorum, snapshot_timer);
    int64_t now = shard_wall_ms(shard);
    bool due = quorum->bytes_since_snapshot >= quorum->options.snapshot_bytes ||
               (quorum->options.snapshot_interval_ms > 0 && quorum->bytes_since_snapshot &&
                now - quorum->last_snapshot_ms >= quorum->options.snapshot_interval_ms);
    if (due && quorum->leading && !quorum->stopping && !quorum->snapshot_writing && !quorum->reading)
        write_snapshot(quorum);
    timer_start(shard, timer, NS_PER_S);
}

/* ---- start, stop ------------------------------------------------------------------------------------------------------- */

static void opened(struct log *log, enum err err, void *user) {
    struct quorum *quorum = user;
    if (err) {
        fail(quorum, err, "the metadata log cannot be opened");
        return;
    }
    quorum->log = log;
    quorum->applied = quorum->snapshot.bytes.size ? quorum->snapshot.end_offset : 0;
    if (quorum->applied < log_offsets(log).start) {
        fail(quorum, ERR_CORRUPT, "the metadata log begins behind its newest snapshot");
        return;
    }
    if (quorum->applied > log_offsets(log).end) { /* in a later epoch than the snapshot's: neither can be right */
        fail(quorum, ERR_CORRUPT, "the newest snapshot lies beyond the metadata log");
        return;
    }
    quorum->replaying = true;
    read_committed(quorum);
}

static void count_record(void *arg, struct slice value) {
    (void)value;
    ++*(int *)arg;
}
static void take_bootstrap(void *arg, struct slice value) {
    struct quorum *quorum = arg;
    quorum->bootstrap[quorum->bootstrap_count++] = value;
}

/* What a new log begins with: the records of bootstrap.checkpoint, or those beside the voters in the 0-0 snapshot. */
static void load_bootstrap(struct quorum *quorum) {
    char *path = mem_printf("%s/bootstrap.checkpoint", quorum->options.dir);
    struct snapshot *from = &quorum->bootstrap_file;
    enum err err = snapshot_load(quorum->fs, path, from);
    if (err && quorum->snapshot.bytes.size && quorum->snapshot.end_offset == 0)
        from = &quorum->snapshot;
    int count = 0;
    if (from->bytes.size && !snapshot_walk(buf_slice(&from->bytes), count_record, NULL, &count)) {
        quorum->bootstrap = mem_alloc(sizeof *quorum->bootstrap * (size_t)(count + 1));
        if (snapshot_walk(buf_slice(&from->bytes), take_bootstrap, NULL, quorum))
            quorum->bootstrap_count = 0;
    }
    mem_free(path);
}

enum err quorum_start(struct shard *shard, const struct quorum_options *options, struct quorum **ret_quorum) {
    struct quorum *quorum = mem_new(struct quorum);
    quorum->shard = shard;
    quorum->options = *options;
    quorum->fs = runtime_fs(shard_runtime(shard));
    quorum->path = mem_printf("%s/" METADATA_TOPIC "-0", options->dir);
    quorum->state = (struct quorum_state){-1, -1, -1};
    list_init(&quorum->appends);
    raft_init(&quorum->raft, options->node_id, options->directory_id);
    enum err err = snapshot_load_newest(quorum->fs, quorum->path, &quorum->snapshot);
    if (!err)
        err = snapshot_walk(buf_slice(&quorum->snapshot.bytes), ignore_data, take_control, quorum);
    if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    char *path = mem_printf("%s/quorum-state", quorum->path);
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (!err) {
        err = fs_read_whole(quorum->fs, path, 1 << 20, &bytes, &size);
        err = err == ERR_NOT_FOUND ? ERR_OK : err ? err : quorum_state_parse(slice_of(bytes, size), &quorum->state);
        if (err)
            trace_error("raft", "quorum-state is unreadable", TRACE_STR("file", path), TRACE_ERR(err));
    }
    mem_free(bytes);
    mem_free(path);
    if (err) {
        quorum_destroy(quorum);
        return err;
    }
    load_bootstrap(quorum);
    if (quorum->snapshot.bytes.size && quorum->snapshot.end_offset > 0)
        publish(quorum, buf_slice(&quorum->snapshot.bytes), false);
    struct log_open_options open = {.topic_id = UUID_METADATA_TOPIC,
                                    .topic = slice_str(METADATA_TOPIC),
                                    .dir = options->dir_index,
                                    .covered_end = quorum->snapshot.end_offset,
                                    .covered_epoch = quorum->snapshot.epoch,
                                    .always_recover = true,
                                    .user = quorum,
                                    .on_progress = on_progress};
    log_settings_default(&open.settings);
    open.settings.segment_bytes = options->segment_bytes;
    open.settings.segment_ms = options->segment_ms;
    open.settings.delete_policy = false;
    log_open(options->store, &open, opened);
    quorum->last_snapshot_ms = shard_wall_ms(shard);
    quorum->snapshot_timer.fire = snapshot_due;
    timer_start(shard, &quorum->snapshot_timer, NS_PER_S);
    if (options->idle_interval_ms > 0) {
        quorum->idle_timer.fire = idle;
        timer_start(shard, &quorum->idle_timer, (uint64_t)options->idle_interval_ms * NS_PER_MS);
    }
    *ret_quorum = quorum;
    return ERR_OK;
}

void quorum_stop(struct quorum *quorum, void (*done)(enum err err, void *arg), void *arg) {
    quorum->stopping = true;
    timer_stop(quorum->shard, &quorum->idle_timer);
    timer_stop(quorum->shard, &quorum->snapshot_timer);
    while (!list_is_empty(&quorum->appends)) {
        struct quorum_append *append = container_of(list_pop_front(&quorum->appends), struct quorum_append, node);
        append->done(append, ERR_CANCELED);
    }
    if (quorum->log)
        log_close(quorum->log, done, arg);
    else
        done(ERR_OK, arg);
    quorum->log = NULL;
}

void quorum_destroy(struct quorum *quorum) {
    if (!quorum)
        return;
    buf_deinit(&quorum->snapshot.bytes);
    buf_deinit(&quorum->bootstrap_file.bytes);
    buf_deinit(&quorum->voters_value);
    mem_free(quorum->bootstrap);
    mem_free(quorum->path);
    mem_free(quorum);
}
