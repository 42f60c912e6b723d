/* Load on a broker that is killed again and again, and the check of what came of it: load BOOTSTRAP SEED
 *
 * Producers of librdkafka (acks=all, endless retries) number their records for each partition. A consumer follows all the
 * while, and another one reads everything at the end; both hold what they see against the numbers and the acknowledgements:
 *
 *     loss        an acknowledged record is not at the offset that was acknowledged, or a number is missing
 *     order       numbers of one producer in one partition go back, or jump
 *     duplicate   a number of an idempotent producer comes twice
 *
 * A thread creates topics and deletes them; what was acknowledged must hold at the end.
 * Prints "acked N" as it goes. At the end of its input it finishes what is under way, reads, and prints "ok ..." or "BAD ...". */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PRODUCERS = 5, IDEMPOTENT = 3, PARTITIONS = 6, IN_FLIGHT = 300, TOPICS_MADE_MAX = 4096 };
static const struct {
    const char *topic;
    int partition;
} places[PARTITIONS] = {{"load-a", 0}, {"load-a", 1}, {"load-a", 2}, {"load-a", 3}, {"load-b", 0}, {"load-b", 1}};

struct lane { /* one producer's records in one partition */
    pthread_mutex_t lock;
    int64_t *offsets; /* by number: as acknowledged; -1: not yet, -2: acknowledged without an offset */
    int64_t count, capacity;
};
static struct lane lanes[PRODUCERS][PARTITIONS];
static const char *bootstrap;
static uint64_t seed;
static atomic_bool stopping;
static atomic_llong acked, bad;

static void say_bad(const char *format, ...) {
    va_list args;
    if (atomic_fetch_add(&bad, 1) > 20)
        return;
    char line[512];
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    printf("BAD %s\n", line);
    fflush(stdout);
}

static uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    char error[256];
    if (rd_kafka_conf_set(conf, key, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
}

static void quiet(const rd_kafka_t *rk, int level, const char *fac, const char *text) {
    if (level <= 2)
        fprintf(stderr, "%s %s %s\n", rd_kafka_name(rk), fac, text);
}

static rd_kafka_conf_t *common(void) {
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", bootstrap);
    set(conf, "reconnect.backoff.ms", "5");
    set(conf, "reconnect.backoff.max.ms", "20");
    set(conf, "retry.backoff.ms", "10");
    set(conf, "topic.metadata.refresh.interval.ms", "5000");
    rd_kafka_conf_set_log_cb(conf, quiet);
    return conf;
}

/* ---- producers ------------------------------------------------------------------------------------------------------------ */

struct record_head {
    uint32_t producer, place;
    int64_t number;
};

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg) {
    (void)rk, (void)arg;
    struct record_head head;
    memcpy(&head, message->payload, sizeof head);
    if (message->err) {
        say_bad("producer %u: record %lld of %s-%d failed: %s", head.producer, (long long)head.number, places[head.place].topic,
                places[head.place].partition, rd_kafka_err2str(message->err));
        return;
    }
    struct lane *lane = &lanes[head.producer][head.place];
    pthread_mutex_lock(&lane->lock);
    lane->offsets[head.number] = message->offset >= 0 ? message->offset : -2;
    pthread_mutex_unlock(&lane->lock);
    atomic_fetch_add(&acked, 1);
}

static int64_t take_number(struct lane *lane) {
    pthread_mutex_lock(&lane->lock);
    if (lane->count == lane->capacity) {
        lane->capacity = lane->capacity ? lane->capacity * 2 : 1024;
        lane->offsets = realloc(lane->offsets, sizeof *lane->offsets * (size_t)lane->capacity);
    }
    lane->offsets[lane->count] = -1;
    int64_t number = lane->count++;
    pthread_mutex_unlock(&lane->lock);
    return number;
}

static void *produce(void *arg) {
    uint32_t which = (uint32_t)(intptr_t)arg;
    uint64_t state = seed * 1000003 + which + 1;
    rd_kafka_conf_t *conf = common();
    set(conf, "enable.idempotence", which < IDEMPOTENT ? "true" : "false");
    set(conf, "max.in.flight.requests.per.connection", which < IDEMPOTENT ? "5" : "1"); /* without numbers more would reorder */
    set(conf, "acks", "all");
    set(conf, "message.timeout.ms", "0");
    set(conf, "message.send.max.retries", "10000000");
    set(conf, "linger.ms", which % 2 ? "0" : "2");
    set(conf, "batch.num.messages", "50");
    set(conf, "compression.codec", which == 1 ? "lz4" : "none");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
    enum { SIZE_MAX_BYTES = 200000 };
    char *padding = calloc(1, SIZE_MAX_BYTES);
    char fatal[256];
    while (!atomic_load(&stopping)) {
        if (rd_kafka_outq_len(rk) >= IN_FLIGHT) {
            rd_kafka_poll(rk, 20);
        } else {
            uint64_t draw = random_next(&state);
            uint32_t place = (uint32_t)(draw % PARTITIONS);
            size_t size = sizeof(struct record_head) + (draw >> 8) % ((draw >> 32) % 400 == 0 ? (SIZE_MAX_BYTES - 100) : 300);
            struct record_head head = {which, place, take_number(&lanes[which][place])};
            memcpy(padding, &head, sizeof head);
            rd_kafka_resp_err_t err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(places[place].topic), RD_KAFKA_V_PARTITION(places[place].partition),
                                                        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(padding, size), RD_KAFKA_V_END);
            if (err) {
                say_bad("producer %u: %s", which, rd_kafka_err2str(err));
                break;
            }
            rd_kafka_poll(rk, 0);
        }
        if (rd_kafka_fatal_error(rk, fatal, sizeof fatal)) {
            say_bad("producer %u: fatal: %s", which, fatal);
            break;
        }
    }
    if (rd_kafka_flush(rk, 60000))
        say_bad("producer %u: %d records are not acknowledged", which, rd_kafka_outq_len(rk));
    rd_kafka_destroy(rk);
    free(padding);
    return NULL;
}

/* ---- consumers ------------------------------------------------------------------------------------------------------------ */

struct reader {
    const char *name;
    int64_t next_offset[PARTITIONS], next_number[PRODUCERS][PARTITIONS], read, repeated;
    bool *found[PRODUCERS][PARTITIONS]; /* the final reader's: acknowledged offsets that were met */
    bool final;
};

static void check_record(struct reader *reader, int place, const rd_kafka_message_t *message) {
    struct record_head head;
    const char *topic = places[place].topic;
    int partition = places[place].partition;
    if (message->offset != reader->next_offset[place])
        say_bad("%s: %s-%d: offset %lld follows %lld", reader->name, topic, partition, (long long)message->offset, (long long)reader->next_offset[place] - 1);
    reader->next_offset[place] = message->offset + 1;
    if (message->len < sizeof head || (memcpy(&head, message->payload, sizeof head), head.producer >= PRODUCERS || (int)head.place != place)) {
        say_bad("%s: %s-%d: offset %lld holds what nobody wrote there", reader->name, topic, partition, (long long)message->offset);
        return;
    }
    reader->read++;
    int64_t *next = &reader->next_number[head.producer][place];
    if (head.number > *next)
        say_bad("%s: %s-%d: offset %lld: producer %u: record %lld follows %lld: lost or out of order", reader->name, topic, partition,
                (long long)message->offset, head.producer, (long long)head.number, (long long)*next - 1);
    if (head.number < *next && head.producer < IDEMPOTENT)
        say_bad("%s: %s-%d: offset %lld: producer %u: record %lld is there twice", reader->name, topic, partition, (long long)message->offset,
                head.producer, (long long)head.number);
    if (head.number < *next)
        reader->repeated++;
    else
        *next = head.number + 1;
    if (!reader->final)
        return;
    struct lane *lane = &lanes[head.producer][place];
    int64_t told = head.number < lane->count ? lane->offsets[head.number] : -1;
    if (told == message->offset || told == -2)
        reader->found[head.producer][place][head.number] = true;
}

static void read_all(struct reader *reader, const int64_t *ends) {
    rd_kafka_conf_t *conf = common();
    set(conf, "group.id", "none");
    set(conf, "enable.auto.commit", "false");
    set(conf, "auto.offset.reset", "error");
    set(conf, "fetch.wait.max.ms", "50");
    set(conf, "check.crcs", "true");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_topic_partition_list_add(list, places[i].topic, places[i].partition)->offset = 0;
    rd_kafka_assign(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    while (true) {
        bool done = ends ? true : atomic_load(&stopping);
        for (int i = 0; i < PARTITIONS && ends; i++)
            done = done && reader->next_offset[i] >= ends[i];
        if (done || atomic_load(&bad) > 20)
            break;
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
        if (!message)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
            say_bad("%s: records that were shown are gone: %s", reader->name, rd_kafka_message_errstr(message));
        } else if (!message->err) {
            int place = 0;
            while (strcmp(places[place].topic, rd_kafka_topic_name(message->rkt)) != 0 || places[place].partition != message->partition)
                place++;
            check_record(reader, place, message);
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

static struct reader follower = {.name = "follower"};
static void *follow(void *arg) {
    (void)arg;
    read_all(&follower, NULL);
    return NULL;
}

/* ---- topics ----------------------------------------------------------------------------------------------------------------- */

enum topic_fate { TOPIC_UNSURE, TOPIC_THERE, TOPIC_GONE };
static enum topic_fate fates[TOPICS_MADE_MAX]; /* of "made-N" */
static int made;

static rd_kafka_resp_err_t one_topic(rd_kafka_t *rk, bool create, const char *name, int partitions, const char *const *settings) {
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, create ? RD_KAFKA_ADMIN_OP_CREATETOPICS : RD_KAFKA_ADMIN_OP_DELETETOPICS);
    char error[256];
    rd_kafka_AdminOptions_set_request_timeout(options, 5000, error, sizeof error);
    if (create) {
        rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, error, sizeof error);
        for (; settings && *settings; settings += 2)
            rd_kafka_NewTopic_set_config(topic, settings[0], settings[1]);
        rd_kafka_CreateTopics(rk, &topic, 1, options, queue);
        rd_kafka_NewTopic_destroy(topic);
    } else {
        rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
        rd_kafka_DeleteTopics(rk, &topic, 1, options, queue);
        rd_kafka_DeleteTopic_destroy(topic);
    }
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, -1);
    rd_kafka_resp_err_t err = rd_kafka_event_error(event);
    size_t count = 0;
    const rd_kafka_topic_result_t **results = NULL;
    if (!err && create)
        results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    else if (!err)
        results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    if (count)
        err = rd_kafka_topic_result_error(results[0]);
    rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return err;
}

static void *administer(void *arg) {
    rd_kafka_t *rk = arg;
    for (; !atomic_load(&stopping) && made < TOPICS_MADE_MAX; made++) {
        char name[32];
        snprintf(name, sizeof name, "made-%d", made);
        rd_kafka_resp_err_t err = one_topic(rk, true, name, 1 + made % 3, NULL);
        fates[made] = !err || err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS ? TOPIC_THERE : TOPIC_UNSURE;
        int old = made - 5;
        if (old < 0 || old % 3 == 0 || fates[old] != TOPIC_THERE) /* some stay */
            continue;
        snprintf(name, sizeof name, "made-%d", old);
        err = one_topic(rk, false, name, 0, NULL);
        fates[old] = !err || err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ? TOPIC_GONE : TOPIC_UNSURE;
    }
    return NULL;
}

static int check_topics(rd_kafka_t *rk) {
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 1, NULL, &metadata, 30000);
    if (err) {
        say_bad("metadata: %s", rd_kafka_err2str(err));
        return 0;
    }
    int there = 0;
    for (int i = 0; i < made; i++) {
        char name[32];
        bool found = false;
        snprintf(name, sizeof name, "made-%d", i);
        for (int t = 0; t < metadata->topic_cnt; t++)
            found = found || strcmp(metadata->topics[t].topic, name) == 0;
        if ((fates[i] == TOPIC_THERE && !found) || (fates[i] == TOPIC_GONE && found))
            say_bad("topic %s is %s although the opposite was acknowledged", name, found ? "there" : "gone");
        there += found;
    }
    rd_kafka_metadata_destroy(metadata);
    return there;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------------- */

static void read_finally(rd_kafka_t *rk) {
    struct reader reader = {.name = "final reader", .final = true};
    int64_t ends[PARTITIONS], total = 0, unfound = 0;
    for (int i = 0; i < PARTITIONS; i++) {
        int64_t low = 0;
        rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(rk, places[i].topic, places[i].partition, &low, &ends[i], 30000);
        if (err || low)
            say_bad("watermarks of %s-%d: %s, first offset %lld", places[i].topic, places[i].partition, rd_kafka_err2str(err), (long long)low);
        for (int p = 0; p < PRODUCERS; p++)
            reader.found[p][i] = calloc((size_t)lanes[p][i].count + 1, sizeof(bool));
    }
    read_all(&reader, ends);
    for (int p = 0; p < PRODUCERS; p++)
        for (int i = 0; i < PARTITIONS; i++)
            for (int64_t n = 0; n < lanes[p][i].count; n++) {
                total += lanes[p][i].offsets[n] != -1;
                if (lanes[p][i].offsets[n] != -1 && !reader.found[p][i][n] && unfound++ < 5)
                    say_bad("lost: record %lld of producer %d, acknowledged at offset %lld of %s-%d", (long long)n, p, (long long)lanes[p][i].offsets[n],
                            places[i].topic, places[i].partition);
            }
    int there = check_topics(rk);
    if (!atomic_load(&bad))
        printf("ok acknowledged %lld, read %lld, %lld of plain producers twice, followed %lld, topics %d of %d there\n", (long long)total,
               (long long)reader.read, (long long)reader.repeated, (long long)follower.read, there, made);
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    bootstrap = argv[1];
    seed = strtoull(argv[2], NULL, 10);
    static const char *const settings[] = {"segment.index.bytes", "256", "index.interval.bytes", "2048", "retention.ms", "-1",
                                           "file.delete.delay.ms", "0", NULL};
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, common(), NULL, 0);
    if (one_topic(rk, true, "load-a", 4, settings) || one_topic(rk, true, "load-b", 2, settings)) {
        printf("BAD the topics cannot be made\n");
        return 1;
    }
    pthread_t producers[PRODUCERS], consumer, admin;
    for (int p = 0; p < PRODUCERS; p++)
        for (int i = 0; i < PARTITIONS; i++)
            pthread_mutex_init(&lanes[p][i].lock, NULL);
    for (intptr_t p = 0; p < PRODUCERS; p++)
        pthread_create(&producers[p], NULL, produce, (void *)p);
    pthread_create(&consumer, NULL, follow, NULL);
    pthread_create(&admin, NULL, administer, rk);
    for (char byte; read(0, &byte, 1) == 1;) { /* each byte asks how far it is */
        printf("acked %lld\n", (long long)atomic_load(&acked));
        fflush(stdout);
    }
    atomic_store(&stopping, true);
    for (int p = 0; p < PRODUCERS; p++)
        pthread_join(producers[p], NULL);
    pthread_join(consumer, NULL);
    pthread_join(admin, NULL);
    read_finally(rk);
    rd_kafka_destroy(rk);
    return atomic_load(&bad) ? 1 : 0;
}
