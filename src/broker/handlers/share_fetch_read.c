/* ShareFetch, on the shard of a partition: what may be read of it, reading as much as the records asked for are likely to need,
 * and acquiring them. What was read stays where it is until the answer is sent. */
#include "base/mem.h"
#include "broker/handlers/share_fetch.h"
#include "broker/metrics.h"

enum {
    READ_FIRST = 256 << 10,  /* of a share partition whose records were not seen yet */
    READ_MIN = 16 << 10,
    READ_GROWTH = 8,
};

/* ---- one partition, on its shard --------------------------------------------------------------------------------------------- */

int64_t share_fetch_bound(struct share_partition *sp, const struct partition *partition) {
    return share_settings(sp)->committed ? partition_last_stable_offset(partition) : partition_high_watermark(partition);
}

int64_t share_fetch_next_offset(struct share_partition *sp, const struct partition *partition) {
    if (sp->removed || sp->phase != SHARE_ACTIVE || sp->locked)
        return -1;
    int64_t start = log_offsets(partition->log).start;
    if (window_next_fetch_offset(&sp->window) < start)
        window_raise_start(&sp->window, start);
    if (!window_can_acquire(&sp->window, share_settings(sp)->in_flight_max))
        return -1;
    int64_t offset = window_next_fetch_offset(&sp->window);
    return offset < share_fetch_bound(sp, partition) ? offset : -1;
}

void share_fetch_fail(struct share_fetch_item *item, int16_t error) {
    item->error = error;
    item->fetch->any = true;
}

static void note_size(struct share_partition *sp, const struct share_acquire *acquire, size_t size) {
    int64_t records = acquire->log_end - acquire->fetch_offset;
    if (acquire->log_end < 0 || records <= 0)
        return;
    int64_t each = (int64_t)size / records + 1;
    sp->record_bytes = sp->record_bytes ? (3 * sp->record_bytes + each) / 4 : each;
}

static void acquire(struct share_fetch_item *item) {
    struct share_fetch *fetch = item->fetch;
    struct share_partition *sp = item->sp;
    const struct share_settings *settings = share_settings(sp);
    struct share_acquire *acquire = &item->acquire;
    struct share_fetch_part *part = item->part;
    acquire->member = fetch->message.member_id;
    acquire->record_limit = fetch->message.share_acquire_mode == 1;
    acquire->batch_size = fetch->message.batch_size > 0 ? fetch->message.batch_size : 1;
    acquire->records_max = fetch->records_left;
    acquire->bytes = item->read.piece_count ? item->read.pieces[0].ptr : NULL;
    acquire->size = item->read.size;
    acquire->deadline_ns = shard_now_ns(part->call.at->shard) + settings->lock_ns;
    acquire->deliveries_max = settings->deliveries_max;
    acquire->in_flight_max = settings->in_flight_max;
    acquire->arena = &part->arena;
    if (settings->committed) {
        struct log_aborted *aborted;
        int count = log_aborted(item->read.log, acquire->fetch_offset, item->read.bound, &part->arena, &aborted);
        struct share_aborted *list = arena_array(&part->arena, struct share_aborted, count + 1);
        for (int i = 0; i < count; i++)
            list[i] = (struct share_aborted){aborted[i].producer_id, aborted[i].first_offset};
        acquire->aborted = list;
        acquire->aborted_count = count;
    }
    window_acquire(&sp->window, acquire);
    note_size(sp, acquire, acquire->size);
    if (acquire->archived && window_advance(&sp->window))
        share_wake(sp);
    if (!acquire->acquired_count)
        return;
    share_arm_timer(sp);
    struct metrics *metrics = part->call.at->metrics;
    metrics->share_batches += (uint64_t)acquire->acquired_count;
    for (int i = 0; i < acquire->acquired_count; i++)
        histogram_add(&metrics->share_batch, (uint64_t)(acquire->acquired[i].last - acquire->acquired[i].first + 1));
    struct slice bytes = window_acquired_bytes(acquire);
    item->piece = (struct piece){.ptr = bytes.ptr, .size = bytes.size};
    item->records = (struct records){.pieces = &item->piece, .piece_count = bytes.size ? 1 : 0, .size = bytes.size};
    struct partition *partition = partition_find(&part->call.at->partitions, sp->topic_id, sp->index);
    if (partition)
        partition->traffic.bytes_out += bytes.size;
    metrics->bytes_out += bytes.size;
    fetch->records_left = acquire->records >= fetch->records_left ? 0 : fetch->records_left - (int32_t)acquire->records;
    fetch->bytes_left = (int64_t)bytes.size >= fetch->bytes_left ? 0 : fetch->bytes_left - (int64_t)bytes.size;
    fetch->any = true;
}

/* Records that the bytes hold, from the offset on. */
static int64_t records_in(const struct log_read *read, int64_t from) {
    int64_t end = from;
    const uint8_t *bytes = read->piece_count ? read->pieces[0].ptr : NULL;
    for (size_t at = 0; read->size - at >= BATCH_PREFIX_SIZE + BATCH_LENGTH_MIN && read->size;) {
        size_t size = batch_size(bytes + at);
        if (batch_length(bytes + at) < BATCH_LENGTH_MIN || size > read->size - at)
            break;
        end = any_last_offset(bytes + at) + 1;
        at += size;
    }
    return end - from;
}

static void next_item(struct share_fetch_part *part);
static void read_some(struct share_fetch_item *item, int64_t bytes_max);

static void read_done(struct log_read *read) {
    struct share_fetch_item *item = container_of(read, struct share_fetch_item, read);
    struct share_fetch_part *part = item->part;
    struct share_fetch *fetch = item->fetch;
    item->held = true;
    bool cut = read->size && (int64_t)read->size + READ_MIN > item->read_max && item->read_max < item->bytes;
    if (!read->err && cut && records_in(read, item->acquire.fetch_offset) < fetch->records_left) {
        log_read_release(read);
        item->held = false;
        int64_t more = item->read_max * READ_GROWTH;
        read_some(item, more < item->bytes ? more : item->bytes);
        return;
    }
    if (!read->err && !item->sp->removed)
        acquire(item);
    else if (read->err && read->err != ERR_OFFSET_OUT_OF_RANGE)
        share_fetch_fail(item, err_kafka_code(read->err));
    if (!item->records.size) {
        log_read_release(read);
        item->held = false;
    }
    share_unlock(item->sp);
    item->sp = NULL;
    if (part->inside)
        part->done_inside = true;
    else
        next_item(part);
}

/* In item->bytes stands how much it may be. */
static void read_some(struct share_fetch_item *item, int64_t bytes_max) {
    item->read_max = bytes_max;
    item->read = (struct log_read){.log = item->read.log, .offset = item->read.offset, .bound = item->read.bound, .bytes_max = bytes_max,
                                   .whole_first_batch = true, .contiguous = true, .done = read_done};
    if (log_read(&item->read))
        read_done(&item->read);
}

/* True: a read is under way, at whose end next_item() is called. */
static bool begin_read(struct share_fetch_item *item, struct share_partition *sp, const struct partition *partition, int64_t offset) {
    struct share_fetch *fetch = item->fetch;
    int64_t left = fetch->bytes_left / (fetch->items_left > 0 ? fetch->items_left : 1);
    if (fetch->records_left <= 0 || fetch->bytes_left <= 0)
        return false;
    item->sp = sp;
    share_lock(sp);
    item->bytes = left > 0 ? left : 1;
    item->acquire = (struct share_acquire){.fetch_offset = offset};
    item->records = (struct records){.bytes = SLICE_EMPTY};
    item->read = (struct log_read){.log = partition->log, .offset = offset, .bound = share_fetch_bound(sp, partition)};
    int64_t first = sp->record_bytes ? sp->record_bytes * fetch->records_left * 3 / 2 + READ_MIN : READ_FIRST;
    if (first > item->bytes)
        first = item->bytes;
    item->part->inside = true;
    item->part->done_inside = false;
    read_some(item, first);
    item->part->inside = false;
    return !item->part->done_inside;
}

/* As begin_read(). */
static bool visit(struct share_fetch_item *item) {
    struct share_fetch *fetch = item->fetch;
    struct broker_shard *shard = item->part->call.at;
    struct partition *partition = partition_find(&shard->partitions, item->want->topic_id, item->want->index);
    if (item->held || item->error)
        return false;
    if (partition_is_opening(partition))
        return false;
    struct share_partition *sp;
    int16_t error = share_get_partition(shard, fetch->message.group_id, partition, &sp);
    if (error) {
        share_fetch_fail(item, error);
        return false;
    }
    item->taken = sp->phase == SHARE_ACTIVE && !sp->locked && window_can_acquire(&sp->window, share_settings(sp)->in_flight_max);
    int64_t offset = share_fetch_next_offset(sp, partition);
    if (offset < 0)
        return false;
    if (fetch->measuring) {
        fetch->bytes_there += log_bytes_between(partition->log, offset, share_fetch_bound(sp, partition));
        return false;
    }
    partition->traffic.fetch_requests++;
    return begin_read(item, sp, partition, offset);
}

static void next_item(struct share_fetch_part *part) {
    while (part->at) {
        struct share_fetch_item *item = part->at;
        part->at = item->next;
        bool away = visit(item);
        part->fetch->items_left--;
        if (away)
            return;
    }
    shard_call_return(&part->call);
}

void share_fetch_visit(struct shard_call *call) {
    next_item(container_of(call, struct share_fetch_part, call));
}

/* ---- giving reads back, on their shards, when the answer is sent ---------------------------------------------------------------- */

struct give_back {
    struct message message;
    struct log_read read;
};
static void give_back_in(struct shard *shard, struct message *message) {
    (void)shard;
    struct give_back *back = container_of(message, struct give_back, message);
    log_read_release(&back->read);
    mem_free(back);
}

void share_fetch_give_back(void *arg) {
    struct share_fetch *fetch = arg;
    for (int i = 0; i < fetch->count; i++) {
        struct share_fetch_item *item = &fetch->items[i];
        if (!item->held)
            continue;
        struct broker_shard *at = item->part->call.at;
        item->held = false;
        if (at == fetch->request->shard) {
            log_read_release(&item->read);
            continue;
        }
        struct give_back *back = mem_new(struct give_back);
        back->read = item->read;
        back->message.deliver = give_back_in;
        shard_post(at->shard, &back->message);
    }
}
