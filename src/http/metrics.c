/* One gathering at a time, for all who wait for it:
 *
 *     waiting --start--> serving: parts of all shards -> the busiest -> their names -> text -> answers
 *
 * A request that comes during a gathering waits for the next one, so that it sees everything that was before it. */
#include "base/mem.h"
#include "http/internal.h"
#include "http/numbers.h"

#include <stdlib.h>
#include <time.h>

#define ANSWER_NS (30 * NS_PER_S)
#define BASE_NS (60 * NS_PER_S)

struct scrape {
    struct scrapes *scrapes;
    struct collect_part *parts;
    int out;
    struct numbers numbers;
    struct collect_names names;
    struct collect_lags lags;
    uint64_t begun_ns;
};
struct scrapes {
    struct http *http;
    struct list waiting, serving;
    struct scrape *running;
    struct base *newer, *older; /* taken at least BASE_NS apart; the older one is what is compared with */
    uint64_t started_ns;
};

/* ---- the past -------------------------------------------------------------------------------------------------------- */

static struct base *base_take(const struct collect_part *parts, int shard_count, uint64_t at_ns) {
    struct base *base = mem_new(struct base);
    base->at_ns = at_ns;
    base->sum = metrics_create();
    base->listeners = mem_zalloc(sizeof *base->listeners * (size_t)(shard_count * LISTENERS_MAX));
    base->idle_ns = mem_zalloc(sizeof *base->idle_ns * (size_t)shard_count);
    for (int i = 0; i < shard_count; i++) {
        metrics_add(base->sum, &parts[i].metrics);
        memcpy(base->listeners + i * LISTENERS_MAX, parts[i].metrics.listeners, sizeof parts[i].metrics.listeners);
        base->idle_ns[i] = parts[i].idle_ns;
        const struct log_metrics *log = &parts[i].log;
        base->log.journal_groups += log->journal_groups;
        base->log.journal_entries += log->journal_entries;
        base->log.journal_bytes += log->journal_bytes;
        base->log.segment_writes += log->segment_writes;
        base->log.segment_bytes += log->segment_bytes;
        base->log.flushes += log->flushes;
        histogram_merge(&base->log.flush_us, &log->flush_us);
        histogram_merge(&base->log.group_bytes, &log->group_bytes);
    }
    return base;
}

static void base_free(struct base *base) {
    if (!base)
        return;
    metrics_destroy(base->sum);
    mem_free(base->listeners);
    mem_free(base->idle_ns);
    mem_free(base);
}

/* The scrape's numbers become the past of later ones. */
static void keep_base(struct scrapes *scrapes, struct base *now) {
    if (scrapes->newer && now->at_ns - scrapes->newer->at_ns < BASE_NS) {
        base_free(now);
        return;
    }
    base_free(scrapes->older);
    scrapes->older = scrapes->newer;
    scrapes->newer = now;
}

double numbers_idle_share(const struct numbers *numbers, int shard) {
    uint64_t idle = numbers->now->idle_ns[shard] - (numbers->before ? numbers->before->idle_ns[shard] : 0);
    double share = numbers->seconds > 0 ? (double)idle / 1e9 / numbers->seconds : 0;
    return share > 1 ? 1 : share;
}

/* ---- who is shown ---------------------------------------------------------------------------------------------------- */

static uint64_t topic_weight(const struct topic_numbers *topic) {
    return topic->traffic.bytes_in + topic->traffic.bytes_out;
}

static int busier_topic(const void *a, const void *b) {
    const struct topic_numbers *x = ((const struct shown_topic *)a)->numbers, *y = ((const struct shown_topic *)b)->numbers;
    uint64_t p = topic_weight(x), q = topic_weight(y);
    return p != q ? (p < q ? 1 : -1) : memcmp(&x->id, &y->id, sizeof x->id);
}

static int busier_partition(const void *a, const void *b) {
    const struct partition_numbers *x = ((const struct shown_partition *)a)->numbers, *y = ((const struct shown_partition *)b)->numbers;
    if (x->traffic != y->traffic)
        return x->traffic < y->traffic ? 1 : -1;
    int c = memcmp(&x->topic_id, &y->topic_id, sizeof x->topic_id);
    return c ? c : (x->index > y->index) - (x->index < y->index);
}

static bool topic_is(const struct map_node *node, const void *key) {
    return uuid_eq(container_of(node, struct topic_numbers, node)->id, *(const struct uuid *)key);
}

/* All topics into the first part's map. */
static void merge_topics(struct scrape *scrape, int shard_count) {
    struct map *sum = &scrape->parts[0].topics;
    for (int i = 1; i < shard_count; i++)
        map_each_safe(node, &scrape->parts[i].topics) {
            struct topic_numbers *from = container_of(node, struct topic_numbers, node);
            struct map_node *found = map_find(sum, node->hash, topic_is, &from->id);
            if (!found) {
                uint64_t hash = node->hash;
                map_remove(&scrape->parts[i].topics, node);
                map_insert(sum, node, hash);
                continue;
            }
            struct partition_traffic *to = &container_of(found, struct topic_numbers, node)->traffic;
            to->bytes_in += from->traffic.bytes_in;
            to->bytes_out += from->traffic.bytes_out;
            to->messages_in += from->traffic.messages_in;
            to->produce_requests += from->traffic.produce_requests;
            to->fetch_requests += from->traffic.fetch_requests;
        }
}

static void choose(struct scrape *scrape) {
    struct numbers *numbers = &scrape->numbers;
    const struct broker *broker = numbers->broker;
    merge_topics(scrape, broker->shard_count);
    const struct map *topics = &scrape->parts[0].topics;
    numbers->topics_with_traffic = (int64_t)topics->count;
    numbers->topics = mem_zalloc(sizeof *numbers->topics * (topics->count + 1));
    map_each(node, topics)
        numbers->topics[numbers->topic_count++].numbers = container_of(node, struct topic_numbers, node);
    qsort(numbers->topics, (size_t)numbers->topic_count, sizeof *numbers->topics, busier_topic);
    if (numbers->topic_count > broker->config->metrics_topics_max)
        numbers->topic_count = (int)broker->config->metrics_topics_max;
    int count = 0;
    for (int i = 0; i < broker->shard_count; i++) {
        count += scrape->parts[i].busiest_count;
        numbers->partitions_hosted += scrape->parts[i].partitions;
    }
    numbers->partitions = mem_zalloc(sizeof *numbers->partitions * (size_t)(count + 1));
    for (int i = 0; i < broker->shard_count; i++)
        for (int k = 0; k < scrape->parts[i].busiest_count; k++)
            numbers->partitions[numbers->partition_count++].numbers = &scrape->parts[i].busiest[k];
    qsort(numbers->partitions, (size_t)count, sizeof *numbers->partitions, busier_partition);
    if (numbers->partition_count > broker->config->metrics_partitions_max)
        numbers->partition_count = (int)broker->config->metrics_partitions_max;
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

static void start_next(struct scrapes *scrapes);

static void scrape_free(struct scrape *scrape) {
    for (int i = 0; i < scrape->scrapes->http->broker->shard_count; i++)
        collect_part_free(&scrape->parts[i]);
    arena_deinit(&scrape->names.arena);
    collect_lags_free(&scrape->lags);
    mem_free(scrape->names.ids);
    mem_free(scrape->names.names);
    mem_free(scrape->numbers.topics);
    mem_free(scrape->numbers.partitions);
    mem_free(scrape->parts);
    mem_free(scrape);
}

static void answer_all(struct scrapes *scrapes, struct buf *text) {
    struct http_answer *answer = http_answer_create(MHD_HTTP_OK, text, "text/plain; version=0.0.4; charset=utf-8");
    list_each_safe(node, &scrapes->serving)
        http_answer(list_entry(node, struct http_request, node), answer);
    http_answer_unref(answer);
}

static void render(struct scrape *scrape) {
    struct scrapes *scrapes = scrape->scrapes;
    struct numbers *numbers = &scrape->numbers;
    struct exposition e = {0};
    uint64_t now = side_now_ns();
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    numbers->wall_ms = (int64_t)wall.tv_sec * 1000 + wall.tv_nsec / 1000000;
    numbers->now = base_take(scrape->parts, numbers->broker->shard_count, now);
    numbers->before = scrapes->older;
    numbers->started_ns = scrapes->started_ns;
    numbers->seconds = (double)(now - (numbers->before ? numbers->before->at_ns : scrapes->started_ns)) / 1e9;
    numbers->http_requests = scrapes->http->requests;
    numbers->gather_seconds = (double)(now - scrape->begun_ns) / 1e9;
    for (int i = 0; i < numbers->topic_count; i++)
        numbers->topics[i].name = scrape->names.names[i];
    for (int i = 0; i < numbers->partition_count; i++)
        numbers->partitions[i].name = scrape->names.names[numbers->topic_count + i];
    numbers->lags = &scrape->lags;
    expose_kafka(&e, numbers);
    expose_requests(&e, numbers);
    expose_clients(&e, numbers);
    expose_lags(&e, numbers);
    expose_own(&e, numbers);
    answer_all(scrapes, &e.text);
    keep_base(scrapes, numbers->now);
    scrape_free(scrape);
    scrapes->running = NULL;
    start_next(scrapes);
}

/* ---- lags ------------------------------------------------------------------------------------------------------------ */

static void lags_back(struct shard *none, struct message *message) {
    (void)none;
    render(container_of(container_of(message, struct collect_lags, message), struct scrape, lags));
}

static void lags_finished(struct collect_lags *lags) { /* on the last shard */
    lags->message.deliver = lags_back;
    side_post(container_of(lags, struct scrape, lags)->scrapes->http->side, &lags->message);
}

static void ask_lags(struct scrape *scrape) {
    struct broker *broker = scrape->scrapes->http->broker;
    scrape->lags.broker = broker;
    scrape->lags.finished = lags_finished;
    scrape->lags.lags_max = broker->config->metrics_lags_max;
    collect_lags_start(&scrape->lags);
}

/* ---- names ----------------------------------------------------------------------------------------------------------- */

static void names_back(struct shard *none, struct message *message) {
    (void)none;
    ask_lags(container_of(container_of(message, struct collect_names, message), struct scrape, names));
}

static void names_finished(struct collect_names *names) { /* on shard 0 */
    struct scrape *scrape = container_of(names, struct scrape, names);
    names->message.deliver = names_back;
    side_post(scrape->scrapes->http->side, &names->message);
}

static void ask_names(struct scrape *scrape) {
    struct numbers *numbers = &scrape->numbers;
    struct collect_names *names = &scrape->names;
    names->broker = scrape->scrapes->http->broker;
    names->finished = names_finished;
    names->count = numbers->topic_count + numbers->partition_count;
    names->ids = mem_zalloc(sizeof *names->ids * (size_t)(names->count + 1));
    names->names = mem_zalloc(sizeof *names->names * (size_t)(names->count + 1));
    for (int i = 0; i < numbers->topic_count; i++)
        names->ids[i] = numbers->topics[i].numbers->id;
    for (int i = 0; i < numbers->partition_count; i++)
        names->ids[numbers->topic_count + i] = numbers->partitions[i].numbers->topic_id;
    collect_names_start(names);
}

/* ---- parts ----------------------------------------------------------------------------------------------------------- */

static void part_back(struct shard *none, struct message *message) {
    (void)none;
    struct collect_part *part = container_of(message, struct collect_part, message);
    struct scrape *scrape = part->owner;
    if (--scrape->out)
        return;
    choose(scrape);
    ask_names(scrape);
}

static void part_finished(struct collect_part *part) { /* on its shard */
    struct scrape *scrape = part->owner;
    part->message.deliver = part_back;
    side_post(scrape->scrapes->http->side, &part->message);
}

static void start_next(struct scrapes *scrapes) {
    struct broker *broker = scrapes->http->broker;
    if (scrapes->running || list_is_empty(&scrapes->waiting))
        return;
    list_splice(&scrapes->serving, &scrapes->waiting);
    struct scrape *scrape = scrapes->running = mem_new(struct scrape);
    scrape->scrapes = scrapes;
    scrape->begun_ns = side_now_ns();
    scrape->parts = mem_zalloc(sizeof *scrape->parts * (size_t)broker->shard_count);
    scrape->out = broker->shard_count;
    scrape->numbers.broker = broker;
    scrape->numbers.parts = scrape->parts;
    for (int i = 0; i < broker->shard_count; i++) {
        struct collect_part *part = &scrape->parts[i];
        part->owner = scrape;
        part->shard = &broker->shards[i];
        part->finished = part_finished;
        part->partitions_max = broker->config->metrics_partitions_max;
        collect_part_start(part);
    }
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

struct scrapes *scrapes_create(struct http *http) {
    struct scrapes *scrapes = mem_new(struct scrapes);
    scrapes->http = http;
    scrapes->started_ns = side_now_ns();
    list_init(&scrapes->waiting);
    list_init(&scrapes->serving);
    return scrapes;
}

void scrapes_handle(struct http_request *request) {
    struct scrapes *scrapes = request->http->scrapes;
    http_wait(request, &scrapes->waiting, ANSWER_NS);
    start_next(scrapes);
}

static void give_up(struct list *list, uint64_t deadline_ns, uint64_t *due) {
    list_each_safe(node, list) {
        struct http_request *request = list_entry(node, struct http_request, node);
        if (request->deadline_ns <= deadline_ns) {
            struct buf json = {0};
            buf_add_str(&json, "{\"error\":\"the shards do not answer\"}\n");
            http_answer_json(request, MHD_HTTP_SERVICE_UNAVAILABLE, &json);
        } else if (request->deadline_ns < *due) {
            *due = request->deadline_ns;
        }
    }
}

uint64_t scrapes_check(struct scrapes *scrapes, uint64_t now_ns) {
    uint64_t due = UINT64_MAX;
    give_up(&scrapes->waiting, now_ns, &due);
    give_up(&scrapes->serving, now_ns, &due);
    return due;
}

void scrapes_destroy(struct scrapes *scrapes) {
    scrapes_check(scrapes, UINT64_MAX);
    if (scrapes->running)
        scrape_free(scrapes->running); /* the shards have ended: nobody touches its parts any more */
    base_free(scrapes->newer);
    base_free(scrapes->older);
    mem_free(scrapes);
}
