/* ShareFetch: records that nobody else has. Acknowledgements that come with it go their way beside it.
 *
 *   session -> a round: shard after shard, each partition: next offset -> read -> acquire -> any? -> answer
 *                 ^                                                                  | no
 *                 +---- something came, was released, was loaded, or time is over ---+ wait on every partition
 *
 * The partitions of a round are visited one after another, since each takes from what is left of the records asked for. */
#include "base/check.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/share_fetch.h"
#include "broker/metrics.h"
#include "protocol/share_fetch_response.h"

static void begin_round(struct share_fetch *fetch);
static void next_part(struct share_fetch *fetch);
static void fetch_ended(struct share_fetch *fetch);

/* ---- waiting ---------------------------------------------------------------------------------------------------------------------- */

static void watch_end(struct share_fetch_part *part) {
    part->watching = false;
    for (struct share_fetch_item *item = part->first; item; item = item->next) {
        list_remove(&item->share_waiter.node);
        list_remove(&item->log_waiter.node);
    }
    shard_call_return(&part->watch);
}

/* Is there anything to come back for? */
static bool is_worth_it(struct share_fetch_part *part) {
    const struct share_fetch *fetch = part->fetch;
    int64_t bytes = 0;
    for (struct share_fetch_item *item = part->first; item; item = item->next) {
        struct partition *partition = partition_find(&part->call.at->partitions, item->want->topic_id, item->want->index);
        struct share_partition *sp = partition ? share_find_partition(part->call.at, fetch->message.group_id, partition->topic_id, partition->index) : NULL;
        if (partition_is_opening(partition))
            continue;
        if (partition_check_leader(partition) || !sp || sp->phase == SHARE_FAILED)
            return true;
        int64_t offset = share_fetch_next_offset(sp, partition);
        if (offset < 0)
            continue;
        if (fetch->min_bytes <= 1)
            return true;
        bytes += log_bytes_between(partition->log, offset, share_fetch_bound(sp, partition));
    }
    return fetch->min_bytes > 1 && bytes >= fetch->min_bytes;
}

static void share_woken(struct share_waiter *waiter) {
    struct share_fetch_item *item = container_of(waiter, struct share_fetch_item, share_waiter);
    struct share_partition *sp = share_find_partition(item->part->call.at, item->fetch->message.group_id, item->want->topic_id, item->want->index);
    if (is_worth_it(item->part))
        watch_end(item->part);
    else if (sp)
        share_wait(sp, waiter);
}

static void log_woken(struct partition_waiter *waiter, struct partition *partition) {
    (void)partition;
    struct share_fetch_item *item = container_of(waiter, struct share_fetch_item, log_waiter);
    if (is_worth_it(item->part))
        watch_end(item->part);
}

static void watch_begin(struct shard_call *call) {
    struct share_fetch_part *part = container_of(call, struct share_fetch_part, watch);
    part->watching = true;
    for (struct share_fetch_item *item = part->first; item; item = item->next) {
        list_init(&item->share_waiter.node);
        list_init(&item->log_waiter.node);
    }
    if (is_worth_it(part)) {
        watch_end(part);
        return;
    }
    for (struct share_fetch_item *item = part->first; item; item = item->next) {
        struct partition *partition = partition_find(&call->at->partitions, item->want->topic_id, item->want->index);
        struct share_partition *sp = partition ? share_find_partition(call->at, part->fetch->message.group_id, partition->topic_id, partition->index) : NULL;
        item->share_waiter.wake = share_woken;
        item->log_waiter.wake = log_woken;
        if (sp)
            share_wait(sp, &item->share_waiter);
        if (partition)
            partition_wait(partition, &item->log_waiter);
    }
}

static void watch_cancel(struct shard_call *call) {
    struct share_fetch_part *part = container_of(call, struct share_fetch_part, cancel);
    if (part->watching)
        watch_end(part);
    shard_call_return(call);
}

static void look_again(struct share_fetch *fetch) {
    if (--fetch->watches_out)
        return;
    timer_stop(fetch->request->shard->shard, &fetch->timer);
    list_remove(&fetch->parked.node);
    share_numbers(fetch->request->shard)->waiting--;
    begin_round(fetch);
}

static void watch_cancelled(struct shard_call *call) {
    look_again(container_of(call, struct share_fetch_part, cancel)->fetch);
}

static void cancel_watches(struct share_fetch *fetch) {
    if (fetch->cancelling)
        return;
    fetch->cancelling = true;
    fetch->watches_out++; /* nothing ends before all were told */
    for (int i = 0; i < fetch->part_count; i++) {
        struct share_fetch_part *part = fetch->parts[i];
        if (!part->sent || part->ended)
            continue;
        part->cancel = (struct shard_call){.home = part->call.home, .at = part->call.at, .run = watch_cancel, .back = watch_cancelled};
        fetch->watches_out++;
        shard_call_send(&part->cancel);
    }
    look_again(fetch);
}

static void watch_back(struct shard_call *call) {
    struct share_fetch_part *part = container_of(call, struct share_fetch_part, watch);
    struct share_fetch *fetch = part->fetch;
    part->ended = true;
    fetch->watches_out++;
    cancel_watches(fetch);
    fetch->watches_out--;
    look_again(fetch);
}

static void time_over(struct shard *shard, struct timer *timer) {
    (void)shard;
    struct share_fetch *fetch = container_of(timer, struct share_fetch, timer);
    fetch->timed_out = true;
    cancel_watches(fetch);
}

static void node_stops(struct parked *parked) {
    struct share_fetch *fetch = container_of(parked, struct share_fetch, parked);
    list_remove(&parked->node);
    fetch->timed_out = true;
    cancel_watches(fetch);
}

static void wait_for_more(struct share_fetch *fetch) {
    struct broker_shard *shard = fetch->request->shard;
    fetch->cancelling = false;
    fetch->timer.fire = time_over;
    fetch->parked.stop = node_stops;
    list_push_back(&shard->parked, &fetch->parked.node);
    timer_start(shard->shard, &fetch->timer, fetch->deadline_ns - shard_now_ns(shard->shard));
    share_numbers(shard)->waiting++;
    fetch->watches_out = fetch->part_count + 1;
    for (int i = 0; i < fetch->part_count; i++)
        fetch->parts[i]->sent = fetch->parts[i]->ended = false;
    for (int i = 0; i < fetch->part_count; i++) {
        struct share_fetch_part *part = fetch->parts[i];
        if (fetch->cancelling) { /* the own shard's has ended inside the call */
            fetch->watches_out--;
            continue;
        }
        part->watch = (struct shard_call){.home = part->call.home, .at = part->call.at, .run = watch_begin, .back = watch_back};
        part->sent = true;
        shard_call_send(&part->watch);
    }
    look_again(fetch);
}

/* ---- rounds --------------------------------------------------------------------------------------------------------------------------- */

static bool must_answer(const struct share_fetch *fetch) {
    const struct broker_shard *shard = fetch->request->shard;
    return fetch->any || fetch->timed_out || shard->stopping || shard_now_ns(shard->shard) >= fetch->deadline_ns;
}

static void round_done(struct share_fetch *fetch) {
    if (fetch->measuring) {
        fetch->measuring = false;
        if (fetch->bytes_there >= fetch->min_bytes || must_answer(fetch)) {
            fetch->part_at = 0;
            next_part(fetch);
            return;
        }
    }
    if (must_answer(fetch))
        fetch_ended(fetch);
    else
        wait_for_more(fetch);
}

static void part_back(struct shard_call *call) {
    next_part(container_of(call, struct share_fetch_part, call)->fetch);
}

static void next_part(struct share_fetch *fetch) {
    if (fetch->part_at == fetch->part_count) {
        round_done(fetch);
        return;
    }
    struct share_fetch_part *part = fetch->parts[fetch->part_at++];
    if (fetch->part_at == 1)
        fetch->items_left = fetch->count;
    part->at = part->first;
    part->call = (struct shard_call){.home = part->call.home, .at = part->call.at, .run = share_fetch_visit, .back = part_back};
    shard_call_send(&part->call);
}

static void begin_round(struct share_fetch *fetch) {
    if (!fetch->request->conn) { /* nobody to give records to */
        fetch_ended(fetch);
        return;
    }
    fetch->part_at = 0;
    fetch->bytes_there = 0;
    fetch->measuring = fetch->min_bytes > 1 && !must_answer(fetch);
    next_part(fetch);
}

static void drop_arena(void *arg) {
    arena_deinit(arg);
}

static struct share_fetch_part *part_for(struct share_fetch *fetch, int shard_index) {
    struct broker *broker = fetch->request->shard->broker;
    for (int i = 0; i < fetch->part_count; i++)
        if (fetch->parts[i]->call.at->index == shard_index)
            return fetch->parts[i];
    struct share_fetch_part *part = arena_new(&fetch->request->arena, struct share_fetch_part);
    part->fetch = fetch;
    part->last = &part->first;
    part->call = (struct shard_call){.home = fetch->request->shard, .at = &broker->shards[shard_index]};
    arena_on_reset(&fetch->request->arena, drop_arena, &part->arena);
    fetch->parts[fetch->part_count++] = part;
    return part;
}

static void begin_fetch(struct share_fetch *fetch) {
    struct request *request = fetch->request;
    struct broker *broker = request->shard->broker;
    fetch->count = fetch->context.count;
    fetch->items = arena_array(&request->arena, struct share_fetch_item, fetch->count + 1);
    fetch->parts = arena_array(&request->arena, struct share_fetch_part *, broker->shard_count);
    for (int i = 0; i < fetch->count; i++) {
        struct share_fetch_item *item = &fetch->items[i];
        struct share_want *want = item->want = &fetch->context.wants[i];
        const struct image_topic *topic = image_find_topic_id(request->shard->image, want->topic_id);
        item->fetch = fetch;
        item->records.bytes = SLICE_EMPTY;
        item->part = part_for(fetch, broker_partition_shard(broker, want->topic_id, want->index));
        list_init(&item->share_waiter.node);
        list_init(&item->log_waiter.node);
        if (!topic || !image_find_partition(topic, want->index)) {
            share_fetch_fail(item, topic ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_UNKNOWN_TOPIC_ID);
            continue;
        }
        *item->part->last = item;
        item->part->last = &item->next;
    }
    arena_on_reset(&request->arena, share_fetch_give_back, fetch);
    if (request->conn && fetch->part_count)
        conn_note_owner(request->conn, fetch->part_count == 1 ? fetch->parts[0]->call.at->index : -1);
    bool nothing = fetch->message.max_records <= 0 || fetch->bytes_max <= 0 || !fetch->count;
    if (nothing)
        fetch_ended(fetch);
    else
        begin_round(fetch);
}

/* ---- answer ------------------------------------------------------------------------------------------------------------------------------ */

struct answer {
    struct share_fetch *fetch;
    struct share_fetch_response response;
    struct numbering *topics, *places;
    int *at; /* of each place: where it stands in its topic */
    int count;
};

static struct share_fetch_response_partition_data *get_out(struct answer *a, struct uuid topic_id, int32_t index) {
    int number = numbering_get(a->topics, (struct numbering_key){.id = topic_id});
    struct share_fetch_response_share_fetchable_topic_response *topic = &a->response.responses[number];
    if (number == a->response.responses_count) {
        a->response.responses_count++;
        topic->topic_id = topic_id;
    }
    int place = numbering_get(a->places, (struct numbering_key){.id = topic_id, .within = index});
    if (place < a->count)
        return &topic->partitions[a->at[place]];
    a->at[a->count++] = topic->partitions_count;
    topic->partitions = arena_grow(&a->fetch->request->arena, topic->partitions, (size_t)topic->partitions_count, sizeof *topic->partitions);
    struct share_fetch_response_partition_data *out = &topic->partitions[topic->partitions_count++];
    share_fetch_response_partition_data_init(out);
    out->partition_index = index;
    out->records = (struct records){.bytes = SLICE_EMPTY};
    return out;
}

static void add_item(struct answer *a, struct share_fetch_item *item) {
    struct share_fetch *fetch = a->fetch;
    struct share_fetch_response_partition_data *out = get_out(a, item->want->topic_id, item->want->index);
    out->error_code = item->error;
    share_set_leader(fetch->request, item->want->topic_id, item->want->index, item->error, &out->current_leader.leader_id, &out->current_leader.leader_epoch);
    if (!item->records.size)
        return;
    out->records = item->records;
    out->acquired_records = arena_array(&fetch->request->arena, struct share_fetch_response_acquired_records, item->acquire.acquired_count);
    for (int i = 0; i < item->acquire.acquired_count; i++)
        out->acquired_records[out->acquired_records_count++] = (struct share_fetch_response_acquired_records){
            item->acquire.acquired[i].first, item->acquire.acquired[i].last, item->acquire.acquired[i].count};
}

static void answer(struct share_fetch *fetch) {
    struct request *request = fetch->request;
    struct arena *arena = &request->arena;
    int places = fetch->count + fetch->acks.count + 1;
    struct answer a = {.fetch = fetch, .topics = numbering_create(arena), .places = numbering_create(arena), .at = arena_array(arena, int, places)};
    share_fetch_response_init(&a.response);
    a.response.acquisition_lock_timeout_ms = share_settings_of(request->shard, fetch->message.group_id).lock_ms;
    a.response.responses = arena_array(arena, struct share_fetch_response_share_fetchable_topic_response, places);
    bool failed = false;
    for (int i = 0; i < fetch->count; i++) {
        struct share_fetch_item *item = &fetch->items[i];
        failed |= item->error != 0;
        if (item->error || item->records.size || (item->want->is_new && item->taken))
            add_item(&a, item);
    }
    for (int i = 0; i < fetch->acks.count; i++) {
        const struct share_ack_item *item = &fetch->acks.items[i];
        struct share_fetch_response_partition_data *out = get_out(&a, item->topic_id, item->index);
        out->acknowledge_error_code = item->error;
        out->acknowledge_error_message = slice_str(item->message);
        failed |= item->error != 0;
    }
    if (fetch->context.final)
        share_session_release(request->shard->broker, fetch->message.group_id, fetch->message.member_id, fetch->context.wants, fetch->context.count);
    if (fetch->context.last)
        share_forget_idle(request->shard->broker, fetch->message.group_id);
    if (failed)
        share_numbers(request->shard)->failed_fetches++;
    request_answer(request, share_fetch, &a.response);
}

static void both_done(struct share_fetch *fetch) {
    if (fetch->fetch_done && (fetch->acks_done || !fetch->has_acks))
        answer(fetch);
}

static void acks_done(struct share_acks *acks) {
    struct share_fetch *fetch = container_of(acks, struct share_fetch, acks);
    fetch->acks_done = true;
    both_done(fetch);
}

static void session_ended(struct shard_call *call) {
    struct share_fetch *fetch = container_of(call, struct share_fetch, session_call);
    fetch->fetch_done = true;
    both_done(fetch);
}

static void session_end(struct shard_call *call) {
    struct share_fetch *fetch = container_of(call, struct share_fetch, session_call);
    if (call->at->share_sessions)
        share_session_end(call->at->share_sessions, &fetch->context);
    shard_call_return(call);
}

static void fetch_ended(struct share_fetch *fetch) {
    bool tell = false;
    for (int i = 0; i < fetch->count; i++) {
        struct share_fetch_item *item = &fetch->items[i];
        item->want->with_records = item->records.size > 0;
        item->want->error = item->error != 0;
        item->want->answered = item->error || item->records.size || (item->want->is_new && item->taken);
        tell |= item->want->answered;
    }
    fetch->session_call.run = session_end;
    fetch->session_call.back = session_ended;
    if (tell && !fetch->context.final)
        shard_call_send(&fetch->session_call);
    else
        session_ended(&fetch->session_call);
}

/* ---- begin ---------------------------------------------------------------------------------------------------------------------------------- */

static void refuse(struct share_fetch *fetch, int16_t error) {
    struct share_fetch_response response;
    share_fetch_response_init(&response);
    response.error_code = error;
    share_numbers(fetch->request->shard)->failed_fetches++;
    request_answer(fetch->request, share_fetch, &response);
}

static void refuse_now(struct parked *parked) {
    struct share_fetch *fetch = container_of(parked, struct share_fetch, parked);
    list_remove(&parked->node);
    timer_stop(fetch->request->shard->shard, &fetch->timer);
    refuse(fetch, fetch->context.error);
}

static void refuse_late(struct shard *shard, struct timer *timer) {
    (void)shard;
    refuse_now(&container_of(timer, struct share_fetch, timer)->parked);
}

static void session_begun(struct shard_call *call) {
    struct share_fetch *fetch = container_of(call, struct share_fetch, session_call);
    struct request *request = fetch->request;
    const struct share_fetch_request *message = &fetch->message;
    bool stopping = request->shard->stopping;
    if (fetch->context.limit_reached && message->max_wait_ms > 0 && !stopping) { /* so that it does not come again at once */
        fetch->timer.fire = refuse_late;
        fetch->parked.stop = refuse_now;
        list_push_back(&request->shard->parked, &fetch->parked.node);
        timer_start(request->shard->shard, &fetch->timer, (uint64_t)message->max_wait_ms * NS_PER_MS);
        return;
    }
    if (!fetch->context.error && fetch->context.serial && request->conn && message->share_session_epoch == 0)
        share_bind(request->conn, &fetch->context);
    if (!fetch->context.error && (message->share_acquire_mode < 0 || message->share_acquire_mode > 1))
        fetch->context.error = KAFKA_UNKNOWN_SERVER_ERROR;
    if (fetch->context.error) {
        refuse(fetch, fetch->context.error);
        return;
    }
    fetch->acks_done = !fetch->has_acks;
    bool fetches = !message->is_renew_ack && !fetch->context.final;
    if (!fetches)
        fetch->fetch_done = true;
    if (fetch->has_acks) {
        fetch->acks.done = acks_done;
        share_acks_run(&fetch->acks);
    } else if (!fetches) {
        answer(fetch);
    }
    if (fetches)
        begin_fetch(fetch);
}

static void session_begin(struct shard_call *call) {
    struct share_fetch *fetch = container_of(call, struct share_fetch, session_call);
    share_session_begin(call->at->share_sessions, &fetch->context, &fetch->request->arena);
    shard_call_return(call);
}

static void take_topics(struct share_fetch *fetch) {
    const struct share_fetch_request *message = &fetch->message;
    struct arena *arena = &fetch->request->arena;
    int partitions = 0, forgotten = 0, at = 0;
    for (int t = 0; t < message->topics_count; t++)
        partitions += message->topics[t].partitions_count;
    for (int t = 0; t < message->forgotten_topics_data_count; t++)
        forgotten += message->forgotten_topics_data[t].partitions_count;
    struct share_want *added = arena_array(arena, struct share_want, partitions + 1), *gone = arena_array(arena, struct share_want, forgotten + 1);
    for (int t = 0; t < message->topics_count; t++)
        for (int p = 0; p < message->topics[t].partitions_count; p++) {
            added[at++] = (struct share_want){.topic_id = message->topics[t].topic_id, .index = message->topics[t].partitions[p].partition_index};
            fetch->has_acks |= message->topics[t].partitions[p].acknowledgement_batches_count > 0;
        }
    at = 0;
    for (int t = 0; t < message->forgotten_topics_data_count; t++)
        for (int p = 0; p < message->forgotten_topics_data[t].partitions_count; p++)
            gone[at++] = (struct share_want){.topic_id = message->forgotten_topics_data[t].topic_id,
                                             .index = message->forgotten_topics_data[t].partitions[p]};
    fetch->context = (struct share_context){.group = message->group_id, .member = message->member_id, .epoch = message->share_session_epoch,
                                            .has_acks = fetch->has_acks, .added = added, .added_count = partitions, .forgotten = gone,
                                            .forgotten_count = forgotten};
    share_acks_init(&fetch->acks, fetch->request, message->group_id, message->member_id, message->is_renew_ack, fetch->has_acks ? partitions : 0);
    if (fetch->has_acks)
        SHARE_ACKS_TAKE(&fetch->acks, message);
}

void handle_share_fetch(struct request *request) {
    struct share_fetch *fetch = arena_new(&request->arena, struct share_fetch);
    fetch->request = request;
    if (!request_decode(request, share_fetch, &fetch->message))
        return;
    struct broker_shard *shard = request->shard;
    const struct share_fetch_request *message = &fetch->message;
    share_numbers(shard)->fetches++;
    list_init(&fetch->parked.node);
    bool renews_and_fetches = message->is_renew_ack && (message->max_bytes || message->min_bytes || message->max_records || message->max_wait_ms);
    if (!share_is_enabled(shard)) {
        refuse(fetch, KAFKA_UNSUPPORTED_VERSION);
        return;
    }
    if (!message->group_id.ptr || !share_member_id_is_fine(message->member_id) || renews_and_fetches) {
        refuse(fetch, KAFKA_INVALID_REQUEST);
        return;
    }
    fetch->bytes_max = fetch->bytes_left = message->max_bytes < shard->broker->fetch_bytes_max ? message->max_bytes : shard->broker->fetch_bytes_max;
    fetch->min_bytes = message->min_bytes < fetch->bytes_max ? message->min_bytes : fetch->bytes_max;
    fetch->records_left = message->max_records;
    fetch->deadline_ns = shard_now_ns(shard->shard) + (uint64_t)(message->max_wait_ms > 0 ? message->max_wait_ms : 0) * NS_PER_MS;
    take_topics(fetch);
    fetch->session_call = (struct shard_call){.home = shard, .at = &shard->broker->shards[share_session_shard(shard->broker, message->group_id)],
                                              .run = session_begin, .back = session_begun};
    shard_call_send(&fetch->session_call);
}
