#include "coordinator/load.h"

#include "base/mem.h"
#include "base/trace.h"
#include "log/log.h"
#include "protocol/compress.h"
#include "protocol/old_messages.h"

/* A step is of compressed bytes, so that a turn stays short: a few milliseconds. Many partitions load side by side: a piece that
 * is read is smaller than Kafka's 5 MiB, of which it has one. */
enum { STEP_BYTES = 128 << 10, READ_BYTES_MAX = 1 << 20 };

struct coordinator_load {
    struct coordinator *coordinator; /* NULL: stopped while the read was away */
    struct log_read read;
    bool reading, holds_read, waiting; /* waiting: for what is not on the device yet */
    const uint8_t *at, *end;           /* of the read: not replayed yet */
    int64_t next;                      /* the offset to read from */
    int64_t read_bytes;
    struct timer step_timer;
    struct buf plain;
    struct old_messages old;
    uint64_t started_ns;
    int64_t records;
};

static const char *buffer_key(enum coordinator_type type) {
    return type == COORDINATOR_GROUP         ? "offsets.load.buffer.size"
           : type == COORDINATOR_TRANSACTION ? "transaction.state.log.load.buffer.size"
                                             : "share.coordinator.load.buffer.size";
}

static void load_free(struct coordinator_load *load) {
    if (load->holds_read)
        log_read_release(&load->read);
    buf_deinit(&load->plain);
    old_messages_deinit(&load->old);
    mem_free(load);
}

static void finish(struct coordinator_load *load, enum err err) {
    struct coordinator *coordinator = load->coordinator;
    const struct partition *partition = coordinator->partition;
    if (err)
        trace_error("coordinator", "cannot be loaded", TRACE_SLICE("topic", partition->topic), TRACE_INT("partition", partition->index),
                    TRACE_INT("offset", load->next), TRACE_ERR(err));
    else
        trace_info("coordinator", "loaded", TRACE_SLICE("topic", partition->topic), TRACE_INT("partition", partition->index),
                   TRACE_INT("records", load->records),
                   TRACE_INT("ms", (shard_fresh_ns(coordinator->host->shard) - load->started_ns) / NS_PER_MS));
    load_stop(coordinator);
    coordinator_load_done(coordinator, err);
}

/* ---- replaying what was read ------------------------------------------------------------------------------------------- */

static enum err replay_control(struct coordinator_load *load, const struct record *record, const uint8_t *batch) {
    const struct coordinator_kind *kind = load->coordinator->kind;
    int type = control_type_of(record->key);
    if (kind->end_transaction && (type == CONTROL_COMMIT || type == CONTROL_ABORT))
        kind->end_transaction(load->coordinator->state, batch_producer_id(batch), batch_producer_epoch(batch), type == CONTROL_COMMIT);
    return ERR_OK;
}

static enum err replay_record(struct coordinator_load *load, const struct record *record, const uint8_t *batch) {
    if (batch && batch_is_control(batch))
        return replay_control(load, record, batch);
    struct coordinator_record out = {.key = record->key,
                                     .value = record->value,
                                     .offset = record->offset,
                                     .timestamp_ms = record->timestamp,
                                     .producer_id = batch && batch_is_transactional(batch) ? batch_producer_id(batch) : -1,
                                     .producer_epoch = batch ? batch_producer_epoch(batch) : -1};
    load->records++;
    load->next = record->offset; /* for the message when it fails */
    if (!record->key.ptr) /* Kafka writes none; nothing can be told from it */
        return ERR_OK;
    return load->coordinator->kind->replay(load->coordinator->state, &out);
}

static size_t plain_size_max(const struct coordinator_load *load) {
    return VALIDATE_DECOMPRESSED_MAX(log_get_settings(load->coordinator->partition->log)->validate.message_bytes_max);
}

static enum err replay_batch(struct coordinator_load *load, const uint8_t *batch) {
    struct slice payload = slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE);
    enum err err;
    if (batch_codec(batch) != CODEC_NONE) {
        buf_clear(&load->plain);
        err = codec_decompress(load->coordinator->host->compressor, batch_codec(batch), payload, plain_size_max(load), &load->plain);
        if (err)
            return err;
        payload = buf_slice(&load->plain);
    }
    struct record_iterator it;
    struct record record;
    record_iterator_init(&it, batch, payload);
    while (!(err = record_next(&it, &record)))
        if ((err = replay_record(load, &record, batch)))
            return err;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err replay_old(struct coordinator_load *load, struct slice message) {
    load->old.compressor = load->coordinator->host->compressor;
    enum err err = old_messages_begin(&load->old, message, plain_size_max(load));
    struct record record;
    while (!err && !(err = old_messages_next(&load->old, &record)))
        err = replay_record(load, &record, NULL);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void read_more(struct coordinator_load *load);

/* A turn's worth of what was read. */
static void step(struct coordinator_load *load) {
    const uint8_t *until = load->end - load->at > STEP_BYTES ? load->at + STEP_BYTES : load->end;
    while (load->at < until) {
        struct slice bytes = slice_of(load->at, (size_t)(load->end - load->at));
        enum err err = batch_check(bytes);
        if (err == ERR_TRUNCATED && load->at > (const uint8_t *)load->read.pieces[0].ptr)
            break; /* the piece ended inside a batch, which is read again from its start */
        if (!err)
            err = replay_batch(load, load->at);
        else if (err == ERR_UNSUPPORTED)
            err = replay_old(load, slice_of(bytes.ptr, batch_size(bytes.ptr)));
        if (err) {
            finish(load, err);
            return;
        }
        load->next = any_last_offset(load->at) + 1;
        load->at += batch_size(load->at);
    }
    if (load->at < until || load->at == load->end) {
        log_read_release(&load->read);
        load->holds_read = false;
        load->at = load->end = NULL;
    }
    timer_start(load->coordinator->host->shard, &load->step_timer, 1); /* the next turn */
}

/* ---- reading -------------------------------------------------------------------------------------------------------------- */

static void took(struct coordinator_load *load) {
    struct log_read *read = &load->read;
    load->holds_read = true;
    if (read->err) {
        finish(load, read->err);
    } else if (!read->size) { /* nothing up to the bound: the last batches were compacted away */
        log_read_release(read);
        load->holds_read = false;
        load->next = read->bound;
        read_more(load);
    } else {
        load->at = read->pieces[0].ptr;
        load->end = load->at + read->size;
        step(load);
    }
}

static void read_done(struct log_read *read) {
    struct coordinator_load *load = container_of(read, struct coordinator_load, read);
    load->reading = false;
    if (load->coordinator) {
        took(load);
        return;
    }
    load->holds_read = true;
    load_free(load);
}

static void read_more(struct coordinator_load *load) {
    struct coordinator *coordinator = load->coordinator;
    struct log *log = coordinator->partition->log;
    if (!log || log_state(log) == ERR_OFFLINE) {
        finish(load, ERR_OFFLINE);
        return;
    }
    struct log_offsets offsets = log_offsets(log);
    if (load->next < offsets.start)
        load->next = offsets.start;
    if (load->next >= offsets.end) {
        finish(load, ERR_OK);
        return;
    }
    load->waiting = load->next >= offsets.durable_end;
    if (load->waiting)
        return;
    load->read = (struct log_read){.log = log,
                                   .offset = load->next,
                                   .bound = offsets.durable_end,
                                   .bytes_max = load->read_bytes,
                                   .whole_first_batch = true,
                                   .contiguous = true,
                                   .done = read_done};
    load->reading = true;
    if (log_read(&load->read)) {
        load->reading = false;
        took(load);
    }
}

static void next_turn(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct coordinator_load *load = container_of(timer, struct coordinator_load, step_timer);
    if (load->at)
        step(load);
    else
        read_more(load);
}

void load_woken(struct coordinator *coordinator) {
    if (coordinator->load && coordinator->load->waiting)
        read_more(coordinator->load);
}

void load_start(struct coordinator *coordinator) {
    struct coordinator_load *load = mem_new(struct coordinator_load);
    load->coordinator = coordinator;
    coordinator->load_start_ns = coordinator_now_ns(coordinator);
    load->step_timer.fire = next_turn;
    load->read_bytes = coordinator_config_int(coordinator, buffer_key(coordinator->type));
    if (load->read_bytes > READ_BYTES_MAX)
        load->read_bytes = READ_BYTES_MAX;
    load->started_ns = shard_now_ns(coordinator->host->shard);
    coordinator->load = load;
    timer_start(coordinator->host->shard, &load->step_timer, 1);
}

void load_stop(struct coordinator *coordinator) {
    struct coordinator_load *load = coordinator->load;
    coordinator->load = NULL;
    if (!load)
        return;
    timer_stop(coordinator->host->shard, &load->step_timer);
    load->coordinator = NULL;
    if (!load->reading)
        load_free(load);
}
