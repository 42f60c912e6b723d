/* Fetch: pieces of logs, straight from the tails in memory, or read from files.
 *
 *   begin (session) -> read every partition on its shard -> enough? -> answer
 *                           ^                                 | no
 *                           +---- something grew, or time ----+ wait on every partition
 */
#include "base/mem.h"
#include "broker/fanout.h"
#include "broker/fetch_session.h"
#include "broker/handlers/handlers.h"
#include "broker/metrics.h"
#include "protocol/fetch_request.h"
#include "protocol/fetch_response.h"

struct fetch_item {
    struct fanout_item base;
    struct fetch *fetch;
    struct fetch_want *want;
    struct fetch_response_partition_data out;
    struct log_read read;
    bool reading, read_held; /* read_held: the read has pieces to give back */
    bool from_read;          /* an error that ends the wait */
    int64_t bound;           /* when it was read */
    int64_t growth;          /* bytes that have come since, as the index knows */
    struct partition_waiter waiter;
    struct watch *watch;
};

/* The items of one shard, waited for there. Coming back means: look again. */
struct watch {
    struct shard_call call, cancel;
    struct fetch *fetch;
    struct fetch_item **items;
    int count;
    int64_t growth, growth_wanted;
    bool sent;
    bool watching, cancelled;
};

struct fetch {
    struct request *request;
    struct fetch_request message;
    struct fetch_context context;
    struct shard_call session_call;
    struct fanout fanout;
    struct fetch_item *items;
    int count;
    int64_t bytes_max, left;
    bool committed; /* read_committed */
    /* waiting */
    struct watch *watches; /* one a shard */
    int watches_out;
    bool cancelling, timed_out, parked_listed;
    struct timer timer;
    struct parked parked;
    uint64_t deadline_ns;
};

static void read_all(struct fetch *fetch);
static void finish(struct fetch *fetch);

/* ---- one partition, on its shard ----------------------------------------------------------------------------------------- */

static void release(struct fetch_item *item) {
    if (item->read_held)
        log_read_release(&item->read);
    item->read_held = false;
}

static int64_t bound_of(const struct fetch *fetch, const struct partition *partition) {
    return fetch->committed ? partition_last_stable_offset(partition) : partition_high_watermark(partition);
}

static void add_aborted(struct fetch_item *item) {
    struct log_aborted *aborted;
    int count = log_aborted(item->read.log, item->want->offset, item->read.upper_offset, fanout_arena(&item->base), &aborted);
    item->out.aborted_transactions = arena_array(fanout_arena(&item->base), struct fetch_response_aborted_transaction, count + 1);
    item->out.aborted_transactions_count = count;
    for (int i = 0; i < count; i++)
        item->out.aborted_transactions[i] = (struct fetch_response_aborted_transaction){aborted[i].producer_id, aborted[i].first_offset};
}

static void fail(struct fetch_item *item, enum err err) {
    item->from_read = true;
    item->out.error_code = err_kafka_code(err);
    if (err == ERR_OFFLINE && item->fetch->request->header.version <= 5)
        item->out.error_code = KAFKA_NOT_LEADER_OR_FOLLOWER;
    item->out.high_watermark = -1;
}

static void read_done(struct log_read *read) {
    struct fetch_item *item = container_of(read, struct fetch_item, read);
    item->reading = false;
    item->read_held = true;
    if (read->err)
        fail(item, read->err);
    else if (item->fetch->committed)
        add_aborted(item);
    fanout_item_done(&item->base);
}

/* A consumer whose last epoch ended before its offset has read what is no more (KIP-320). */
static enum err check_divergence(struct fetch_item *item, struct log *log) {
    const struct fetch_want *want = item->want;
    if (want->last_fetched_epoch < 0)
        return ERR_OK;
    int32_t epoch;
    int64_t end;
    epochs_end_offset(log_epochs(log), want->last_fetched_epoch, log_offsets(log).end, &epoch, &end);
    if (epoch < 0 || end < 0 || want->offset < log_offsets(log).start)
        return ERR_OFFSET_OUT_OF_RANGE;
    if (epoch < want->last_fetched_epoch || end < want->offset) {
        item->out.diverging_epoch = (struct fetch_response_epoch_end_offset){epoch, end};
        item->want->always = item->from_read = true;
    }
    return ERR_OK;
}

/* Who says that it is a replica must be a follower of this leader. */
static enum err check_follower(const struct fetch *fetch, const struct partition *partition, const struct fetch_want *want) {
    const struct fetch_request *message = &fetch->message;
    const struct broker_shard *shard = partition->user;
    int32_t id = message->replica_id >= 0 ? message->replica_id : message->replica_state.replica_id;
    if (id < 0)
        return ERR_OK;
    const struct image_partition *image = image_find_partition(image_find_topic_id(shard->image, partition->topic_id), partition->index);
    for (int i = 0; image && i < image->replica_count; i++)
        if (image_replicas(image)[i] == id && id != shard->broker->config->node_id)
            return ERR_OK;
    return want->current_leader_epoch >= 0 ? ERR_UNKNOWN_LEADER_EPOCH : ERR_NOT_LEADER;
}

static void visit(struct fanout_item *base, struct partition *partition) {
    struct fetch_item *item = container_of(base, struct fetch_item, base);
    struct fetch *fetch = item->fetch;
    const struct fetch_want *want = item->want;
    release(item);
    enum err err = partition_check_epoch(partition, want->current_leader_epoch);
    struct log *log = err ? NULL : partition->log;
    if (log) {
        partition->traffic.fetch_requests++;
        fanout_shard(base)->metrics->fetch_requests++;
    }
    if (!err)
        err = check_follower(fetch, partition, want);
    if (!err)
        err = check_divergence(item, log);
    if (!err && want->max_bytes < 0 && want->offset >= log_offsets(log).start && want->offset < bound_of(fetch, partition))
        err = ERR_UNKNOWN;
    if (!err && !want->always && (want->offset < log_offsets(log).start || want->offset > log_offsets(log).end))
        err = ERR_OFFSET_OUT_OF_RANGE;
    if (err) {
        fail(item, err);
        fanout_item_done(base);
        return;
    }
    item->out.high_watermark = partition_high_watermark(partition);
    item->out.last_stable_offset = partition_last_stable_offset(partition);
    item->out.log_start_offset = log_offsets(log).start;
    int64_t bound = item->bound = bound_of(fetch, partition);
    if (want->offset > bound)
        item->from_read = true; /* nothing to show and nothing to wait for, as Kafka has it */
    if (item->want->always)
        item->out.aborted_transactions_count = -1; /* a diverging reader gets nothing to read */
    else if (fetch->committed)
        item->out.aborted_transactions = arena_new(fanout_arena(base), struct fetch_response_aborted_transaction); /* none, rather than null */
    if (want->offset >= bound || item->want->always) {
        fanout_item_done(base);
        return;
    }
    int64_t limit = want->max_bytes < fetch->bytes_max ? want->max_bytes : fetch->bytes_max;
    item->read = (struct log_read){.log = log, .offset = want->offset, .bound = bound, .bytes_max = limit, .whole_first_batch = true, .done = read_done};
    item->reading = true;
    if (log_read(&item->read))
        read_done(&item->read);
}

/* ---- giving reads back, on their shards, when the answer is sent -------------------------------------------------------------- */

struct given {
    struct log_read read;
    struct uuid topic_id;
    int32_t index;
    size_t sent;
};
struct give_back {
    struct message message;
    int count;
    struct given given[];
};

static void count_sent(struct broker_shard *shard, struct uuid topic_id, int32_t index, size_t size) {
    struct partition *partition = partition_find(&shard->partitions, topic_id, index);
    if (partition)
        partition->traffic.bytes_out += size;
}

static void give_back_in(struct shard *shard, struct message *message) {
    struct give_back *back = container_of(message, struct give_back, message);
    for (int i = 0; i < back->count; i++) {
        count_sent(broker_shard_of(shard), back->given[i].topic_id, back->given[i].index, back->given[i].sent);
        log_read_release(&back->given[i].read);
    }
    mem_free(back);
}

static void give_back_all(void *arg) {
    struct fetch *fetch = arg;
    struct broker *broker = fetch->request->shard->broker;
    for (int s = 0; s < broker->shard_count; s++) {
        struct give_back *back = NULL;
        for (int i = 0; i < fetch->count; i++) {
            struct fetch_item *item = &fetch->items[i];
            if (!item->read_held || broker_partition_shard(broker, item->base.topic_id, item->base.index) != s)
                continue;
            if (s == fetch->request->shard->index) {
                count_sent(fetch->request->shard, item->base.topic_id, item->base.index, item->out.records.size);
                release(item);
                continue;
            }
            if (!back)
                back = mem_zalloc(sizeof *back + sizeof(struct given) * (size_t)(fetch->count - i));
            back->given[back->count++] = (struct given){item->read, item->base.topic_id, item->base.index, item->out.records.size};
            item->read_held = false;
        }
        if (back) {
            back->message.deliver = give_back_in;
            shard_post(broker->shards[s].shard, &back->message);
        }
    }
}

/* ---- waiting -------------------------------------------------------------------------------------------------------------------- */

static void note_growth(struct watch *watch, struct fetch_item *item, const struct partition *partition) {
    int64_t bytes = log_bytes_between(partition->log, item->bound, bound_of(item->fetch, partition));
    if (bytes > item->want->max_bytes && item->want->max_bytes > 0)
        bytes = item->want->max_bytes;
    watch->growth += bytes - item->growth;
    item->growth = bytes;
}

static void watch_end(struct watch *watch) {
    watch->watching = false;
    for (int i = 0; i < watch->count; i++)
        list_remove(&watch->items[i]->waiter.node);
    shard_call_return(&watch->call);
}

static void woken(struct partition_waiter *waiter, struct partition *partition) {
    struct fetch_item *item = container_of(waiter, struct fetch_item, waiter);
    struct watch *watch = item->watch;
    if (partition_check_epoch(partition, item->want->current_leader_epoch) || log_offsets(partition->log).start > item->want->offset) {
        watch_end(watch);
        return;
    }
    note_growth(watch, item, partition);
    if (watch->growth >= watch->growth_wanted)
        watch_end(watch);
}

static void watch_begin(struct shard_call *call) {
    struct watch *watch = container_of(call, struct watch, call);
    bool grown = false;
    watch->watching = true;
    for (int i = 0; i < watch->count; i++) {
        struct fetch_item *item = watch->items[i];
        list_init(&item->waiter.node);
        struct partition *partition = partition_find(&call->at->partitions, item->base.topic_id, item->base.index);
        if (partition_check_epoch(partition, item->want->current_leader_epoch)) {
            grown = true; /* something is wrong with it by now: look again */
            continue;
        }
        note_growth(watch, item, partition);
        item->waiter.wake = woken;
        partition_wait(partition, &item->waiter);
    }
    if (grown || watch->growth >= watch->growth_wanted)
        watch_end(watch);
}

static void watch_cancel(struct shard_call *call) {
    struct watch *watch = container_of(call, struct watch, cancel);
    if (watch->watching)
        watch_end(watch);
    shard_call_return(call);
}

static void look_again(struct fetch *fetch) {
    if (--fetch->watches_out)
        return;
    timer_stop(fetch->request->shard->shard, &fetch->timer);
    list_remove(&fetch->parked.node);
    fetch->request->shard->metrics->fetch_waiting--;
    read_all(fetch);
}

static void watch_cancelled(struct shard_call *call) {
    look_again(container_of(call, struct watch, cancel)->fetch);
}

/* Takes back every watch that is still out. */
static void cancel_watches(struct fetch *fetch) {
    if (fetch->cancelling)
        return;
    fetch->cancelling = true;
    int count = fetch->request->shard->broker->shard_count;
    fetch->watches_out++; /* nothing ends before all were told */
    for (int i = 0; i < count; i++) {
        struct watch *watch = &fetch->watches[i];
        if (!watch->sent || watch->cancelled)
            continue;
        watch->cancel = (struct shard_call){.home = watch->call.home, .at = watch->call.at, .run = watch_cancel, .back = watch_cancelled};
        fetch->watches_out++;
        shard_call_send(&watch->cancel);
    }
    look_again(fetch);
}

static void watch_back(struct shard_call *call) {
    struct watch *watch = container_of(call, struct watch, call);
    struct fetch *fetch = watch->fetch;
    watch->cancelled = true; /* it has ended by itself */
    fetch->watches_out++;
    cancel_watches(fetch);
    fetch->watches_out--;
    look_again(fetch);
}

static void time_over(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct fetch *fetch = container_of(timer, struct fetch, timer);
    fetch->timed_out = true;
    fetch->request->shard->metrics->fetch_expired++;
    cancel_watches(fetch);
}

static void node_stops(struct parked *parked) {
    struct fetch *fetch = container_of(parked, struct fetch, parked);
    list_remove(&parked->node);
    fetch->timed_out = true;
    cancel_watches(fetch);
}

static void wait_for_more(struct fetch *fetch, int64_t missing) {
    struct request *request = fetch->request;
    struct broker *broker = request->shard->broker;
    int shards = 0;
    fetch->watches = arena_array(&request->arena, struct watch, broker->shard_count);
    for (int i = 0; i < fetch->count; i++) {
        struct fetch_item *item = &fetch->items[i];
        if (!item->base.part)
            continue; /* set aside: it waits for nothing */
        struct watch *watch = &fetch->watches[broker_partition_shard(broker, item->base.topic_id, item->base.index)];
        if (!watch->items) {
            watch->items = arena_array(&request->arena, struct fetch_item *, fetch->count);
            shards++;
        }
        watch->items[watch->count++] = item;
        item->watch = watch;
    }
    fetch->cancelling = false;
    fetch->timer.fire = time_over;
    fetch->parked.stop = node_stops;
    list_push_back(&request->shard->parked, &fetch->parked.node);
    timer_start(request->shard->shard, &fetch->timer, fetch->deadline_ns - shard_now_ns(request->shard->shard));
    request->shard->metrics->fetch_waiting++;
    fetch->watches_out = shards + 1;
    for (int i = 0; i < broker->shard_count; i++) {
        struct watch *watch = &fetch->watches[i];
        if (!watch->count)
            continue;
        watch->fetch = fetch;
        /* If all shards together have enough, one of them has its share. */
        watch->growth_wanted = (missing + shards - 1) / shards;
        watch->call = (struct shard_call){.home = request->shard, .at = &broker->shards[i], .run = watch_begin, .back = watch_back};
    }
    for (int i = 0; i < broker->shard_count; i++) {
        struct watch *watch = &fetch->watches[i];
        if (!watch->count)
            continue;
        if (fetch->cancelling) { /* the own shard's has ended inside the call: there is enough */
            fetch->watches_out--;
            continue;
        }
        watch->sent = true;
        shard_call_send(&watch->call);
    }
    look_again(fetch);
}

/* ---- rounds ----------------------------------------------------------------------------------------------------------------------- */

static void collected(struct fanout *fanout) {
    struct fetch *fetch = container_of(fanout, struct fetch, fanout);
    int64_t bytes = 0;
    bool now = fetch->timed_out || fetch->message.max_wait_ms <= 0 || fetch->request->shard->stopping, any = false;
    for (int i = 0; i < fetch->count; i++) {
        const struct fetch_item *item = &fetch->items[i];
        bytes += (int64_t)item->read.size;
        now |= item->from_read;
        any |= item->base.part != NULL;
    }
    int64_t min = fetch->message.min_bytes < fetch->bytes_max ? fetch->message.min_bytes : fetch->bytes_max;
    if (now || !any || bytes >= min || shard_now_ns(fetch->request->shard->shard) >= fetch->deadline_ns)
        finish(fetch);
    else
        wait_for_more(fetch, min - bytes);
}

/* What a partition is called by now: sessions live longer than topics. */
static bool resolve(struct fetch *fetch, struct fetch_item *item, struct uuid *ret_topic_id) {
    const struct image *image = fetch->request->shard->image;
    struct fetch_want *want = item->want;
    bool by_id = fetch->request->header.version >= 13;
    const struct image_topic *topic = by_id ? image_find_topic_id(image, want->topic_id) : image_find_topic(image, want->topic);
    if (topic && by_id && !want->known_as.ptr)
        want->known_as = arena_slice(&fetch->request->arena, topic->name);
    if (!topic && by_id && want->known_as.ptr) /* a session's: its topic is gone, or another one of that name */
        item->out.error_code = image_find_partition(image_find_topic(image, want->known_as), want->index) ? KAFKA_INCONSISTENT_TOPIC_ID
                                                                                                         : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    else if (!topic && by_id)
        item->out.error_code = KAFKA_UNKNOWN_TOPIC_ID;
    else if (!image_find_partition(topic, want->index))
        item->out.error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (item->out.error_code)
        return false;
    *ret_topic_id = topic->id;
    return true;
}

static void read_all(struct fetch *fetch) {
    fetch->fanout = (struct fanout){.request = fetch->request, .visit = visit, .done = collected};
    for (int i = 0; i < fetch->count; i++) {
        struct fetch_item *item = &fetch->items[i];
        struct uuid topic_id;
        fetch_response_partition_data_init(&item->out);
        item->out.partition_index = item->want->index;
        item->out.high_watermark = -1;
        item->out.aborted_transactions_count = fetch->committed ? 0 : -1;
        item->out.records.bytes = SLICE_EMPTY;
        item->from_read = false;
        item->growth = 0;
        item->want->always = false;
        if (!item->read_held)
            item->read.size = 0;
        item->base.part = NULL;
        if (resolve(fetch, item, &topic_id))
            fanout_add(&fetch->fanout, &item->base, topic_id, item->want->index);
        else
            item->out.aborted_transactions_count = 0;
        if (item->out.error_code == KAFKA_INCONSISTENT_TOPIC_ID) { /* found while reading, in Kafka */
            item->from_read = true;
            item->out.aborted_transactions_count = -1;
        }
    }
    fanout_run(&fetch->fanout);
}

/* ---- answer ----------------------------------------------------------------------------------------------------------------------- */

/* Cuts what was read to what may be sent: exact bytes, but for the first batch of the first partition that has one. */
static void cut(struct fetch *fetch, struct fetch_item *item, bool *first) {
    struct log_read *read = &item->read;
    if (item->out.error_code || !item->read_held || !read->size)
        return;
    int64_t limit = item->want->max_bytes < fetch->left ? item->want->max_bytes : fetch->left, size = (int64_t)read->size;
    if (size > limit)
        size = *first && read->first_batch_size > limit ? read->first_batch_size : limit;
    if (!*first && size < read->first_batch_size) { /* not even one batch fits */
        if (limit > 0)
            item->out.aborted_transactions_count = -1;
        return;
    }
    if (size <= 0)
        return;
    *first = false;
    fetch->left = fetch->left > size ? fetch->left - size : 0;
    int64_t at = 0;
    int pieces = 0;
    for (; pieces < read->piece_count && at < size; pieces++) {
        if (at + (int64_t)read->pieces[pieces].size > size)
            read->pieces[pieces].size = (size_t)(size - at);
        at += (int64_t)read->pieces[pieces].size;
    }
    item->out.records = (struct records){.pieces = read->pieces, .piece_count = pieces, .size = (size_t)size};
    item->fetch->request->shard->metrics->bytes_out += (uint64_t)size;
    item->want->has_records = true;
}

/* What cannot be read at all is answered last. */
static bool is_aside(const struct fetch_item *item) {
    return !item->base.part && !item->from_read;
}

static bool same_topic(const struct fetch_item *a, const struct fetch_item *b) {
    return slice_eq(a->want->topic, b->want->topic) && uuid_eq(a->want->topic_id, b->want->topic_id);
}

/* 0, 1, 2: when in the answer. */
static int rank(const struct fetch_item *item) {
    return !is_aside(item) ? 0 : item->out.error_code == KAFKA_UNKNOWN_TOPIC_ID ? 1 : 2;
}

/* In order of the wants, those that were set aside last; neighbours of a topic in one entry. */
static void add_partitions(struct fetch *fetch, struct fetch_response *response) {
    struct arena *arena = &fetch->request->arena;
    struct fetch_item **order = arena_array(arena, struct fetch_item *, fetch->count + 1);
    int count = 0;
    for (int pass = 0; pass < 3; pass++)
        for (int i = 0; i < fetch->count; i++)
            if (fetch->items[i].want->include && rank(&fetch->items[i]) == pass)
                order[count++] = &fetch->items[i];
    response->responses = arena_array(arena, struct fetch_response_fetchable_topic_response, count + 1);
    for (int from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && same_topic(order[from], order[to]); to++)
            ;
        struct fetch_response_fetchable_topic_response *topic = &response->responses[response->responses_count++];
        fetch_response_fetchable_topic_response_init(topic);
        topic->topic = order[from]->want->topic;
        topic->topic_id = order[from]->want->topic_id;
        topic->partitions = arena_array(arena, struct fetch_response_partition_data, to - from);
        for (int i = from; i < to; i++)
            topic->partitions[topic->partitions_count++] = order[i]->out;
    }
}

/* Where the leaders are that consumers are sent to (KIP-951). */
static void add_endpoints(const struct fetch *fetch, struct fetch_response *response) {
    struct request *request = fetch->request;
    if (request->header.version < 16 || fetch->message.replica_state.replica_id >= 0)
        return;
    for (int i = 0; i < fetch->count; i++) {
        int32_t leader = fetch->items[i].out.current_leader.leader_id;
        const struct image_broker *broker = leader >= 0 ? image_find_broker(request->shard->image, leader) : NULL;
        const struct image_endpoint *endpoint = broker ? broker_endpoint(broker, request) : NULL;
        bool there = !endpoint;
        for (int k = 0; k < response->node_endpoints_count && !there; k++)
            there = response->node_endpoints[k].node_id == leader;
        if (there)
            continue;
        if (!response->node_endpoints)
            response->node_endpoints = arena_array(&request->arena, struct fetch_response_node_endpoint, fetch->count);
        response->node_endpoints[response->node_endpoints_count++] =
            (struct fetch_response_node_endpoint){leader, arena_slice(&request->arena, endpoint->host), endpoint->port,
                                                  broker->rack.ptr ? arena_slice(&request->arena, broker->rack) : SLICE_NULL};
    }
}

static void answer(struct fetch *fetch) {
    struct request *request = fetch->request;
    struct fetch_response response;
    fetch_response_init(&response);
    response.error_code = fetch->context.error;
    response.session_id = fetch->context.session_id;
    if (!response.error_code)
        add_partitions(fetch, &response);
    add_endpoints(fetch, &response);
    request_answer(request, fetch, &response);
}

static void session_ended(struct shard_call *call) {
    answer(container_of(call, struct fetch, session_call));
}
static void session_end(struct shard_call *call) {
    struct fetch *fetch = container_of(call, struct fetch, session_call);
    fetch_session_end(call->at->fetch_sessions, &fetch->context);
    shard_call_return(call);
}

static void finish(struct fetch *fetch) {
    bool first = true;
    fetch->left = fetch->bytes_max;
    for (int i = 0; i < fetch->count; i++) {
        struct fetch_item *item = &fetch->items[i];
        cut(fetch, item, &first);
        item->want->error = item->out.error_code;
        item->want->high_watermark = item->out.high_watermark;
        item->want->log_start = item->out.log_start_offset;
        if (item->out.error_code && item->from_read) {
            item->out.last_stable_offset = item->out.log_start_offset = -1;
            item->out.aborted_transactions_count = -1;
        }
        bool moved = item->out.error_code == KAFKA_NOT_LEADER_OR_FOLLOWER || item->out.error_code == KAFKA_FENCED_LEADER_EPOCH;
        if (moved && fetch->request->header.version >= 16) { /* KIP-951; before 12 there is no place for it */
            const struct image_topic *topic = image_find_topic_id(fetch->request->shard->image, item->base.topic_id);
            const struct image_partition *image = image_find_partition(topic, item->base.index);
            if (image)
                item->out.current_leader = (struct fetch_response_leader_id_and_epoch){image->leader, image->leader_epoch};
        }
    }
    fetch->session_call.run = session_end;
    fetch->session_call.back = session_ended;
    shard_call_send(&fetch->session_call);
}

/* ---- begin ------------------------------------------------------------------------------------------------------------------------- */

static void session_begun(struct shard_call *call) {
    struct fetch *fetch = container_of(call, struct fetch, session_call);
    struct request *request = fetch->request;
    if (fetch->context.error) {
        answer(fetch);
        return;
    }
    fetch->count = fetch->context.count;
    fetch->items = arena_array(&request->arena, struct fetch_item, fetch->count + 1);
    for (int i = 0; i < fetch->count; i++) {
        fetch->items[i].fetch = fetch;
        fetch->items[i].want = &fetch->context.wants[i];
        list_init(&fetch->items[i].waiter.node);
    }
    arena_on_reset(&request->arena, give_back_all, fetch);
    read_all(fetch);
}

static void session_begin(struct shard_call *call) {
    struct fetch *fetch = container_of(call, struct fetch, session_call);
    fetch_session_begin(call->at->fetch_sessions, &fetch->message, fetch->request->header.version, &fetch->request->arena, &fetch->context);
    shard_call_return(call);
}

/* Below version 13 every partition says it too. */
static void fail_whole(struct fetch *fetch) {
    struct request *request = fetch->request;
    const struct fetch_request *message = &fetch->message;
    struct fetch_response response;
    fetch_response_init(&response);
    response.error_code = KAFKA_UNKNOWN_SERVER_ERROR;
    response.session_id = message->session_id;
    response.responses = arena_array(&request->arena, struct fetch_response_fetchable_topic_response, message->topics_count + 1);
    for (int t = 0; t < message->topics_count && request->header.version < 13; t++) {
        struct fetch_response_fetchable_topic_response *topic = &response.responses[response.responses_count++];
        fetch_response_fetchable_topic_response_init(topic);
        topic->topic = message->topics[t].topic;
        topic->partitions = arena_array(&request->arena, struct fetch_response_partition_data, message->topics[t].partitions_count + 1);
        for (int p = 0; p < message->topics[t].partitions_count; p++) {
            struct fetch_response_partition_data *out = &topic->partitions[topic->partitions_count++];
            fetch_response_partition_data_init(out);
            out->partition_index = message->topics[t].partitions[p].partition;
            out->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
            out->high_watermark = -1;
            out->aborted_transactions_count = 0;
            out->records.bytes = SLICE_EMPTY;
        }
    }
    request_answer(request, fetch, &response);
}

void handle_fetch(struct request *request) {
    struct fetch *fetch = arena_zalloc(&request->arena, sizeof *fetch);
    fetch->request = request;
    if (!request_decode(request, fetch, &fetch->message))
        return;
    struct broker_shard *shard = request->shard;
    const struct fetch_request *message = &fetch->message;
    int64_t broker_max = shard->broker->fetch_bytes_max;
    fetch->bytes_max = message->max_bytes < broker_max ? message->max_bytes : broker_max;
    fetch->committed = message->isolation_level == 1;
    fetch->deadline_ns = shard_now_ns(shard->shard) + (uint64_t)(message->max_wait_ms > 0 ? message->max_wait_ms : 0) * NS_PER_MS;
    list_init(&fetch->parked.node);
    int owner = request->header.version < 7 ? shard->index : fetch_session_shard(shard, message->session_id, message->session_epoch);
    if (owner < 0 || message->isolation_level < 0 || message->isolation_level > 1) {
        fail_whole(fetch);
        return;
    }
    fetch->session_call = (struct shard_call){.home = shard, .at = &shard->broker->shards[owner], .run = session_begin, .back = session_begun};
    shard_call_send(&fetch->session_call);
}
