/* myelin bench produce|consume: how fast a cluster takes and gives records, through librdkafka. For the floor under it and
 * the comparison with Apache Kafka see bench/. */
#include <stdlib.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/histogram.h"
#include "cli/interrupt.h"
#include "cli/sources.h"

struct bench {
    struct client client;
    const struct options *options;
    rd_kafka_t *rk;
    int64_t records_max, duration_us; /* duration 0: no limit */
    int64_t sent, done, failed, bytes;
    int64_t begin_us, end_us, first_us; /* first_us: until the first record came */
    int64_t begin_ms;                   /* of the wall clock */
    int64_t last_done, last_bytes, last_us; /* at the last line of progress */
    char first_error[256];
    struct histogram latency; /* microseconds */
    struct progress progress;
};

static double mib(int64_t bytes) {
    return (double)bytes / (1 << 20);
}

static void show_progress(struct bench *bench) {
    if (!progress_due(&bench->progress))
        return;
    int64_t now_us = cli_now_us();
    double seconds = (double)(now_us - bench->last_us) / 1e6;
    progress_show(&bench->progress, "%lld records, %.0f records/s, %.2f MiB/s, latency p50 %.2f ms, p99 %.2f ms", (long long)bench->done,
                  (double)(bench->done - bench->last_done) / seconds, mib(bench->bytes - bench->last_bytes) / seconds,
                  (double)histogram_percentile(&bench->latency, 0.5) / 1e3, (double)histogram_percentile(&bench->latency, 0.99) / 1e3);
    bench->last_done = bench->done;
    bench->last_bytes = bench->bytes;
    bench->last_us = now_us;
}

static void begin(struct bench *bench) {
    interrupt_catch();
    progress_begin(&bench->progress);
    bench->begin_us = bench->last_us = cli_now_us();
    bench->begin_ms = cli_now_ms();
}

static json_t *milliseconds(const struct bench *bench, double share) {
    if (!bench->latency.count)
        return json_null();
    double us = share < 0 ? bench->latency.sum / (double)bench->latency.count : (double)histogram_percentile(&bench->latency, share);
    return json_real(us / 1e3);
}

static void report(struct bench *bench) {
    static const struct output_column columns[] = {
        {"records", "records", false}, {"failed", "failed", false}, {"seconds", "seconds", false}, {"records_per_second", "records/s", false},
        {"mib_per_second", "MiB/s", false}, {"first_record_ms", "first record ms", false}, {"latency_avg_ms", "latency avg ms", false},
        {"latency_p50_ms", "latency p50 ms", false}, {"latency_p95_ms", "latency p95 ms", false}, {"latency_p99_ms", "latency p99 ms", false},
        {"latency_p999_ms", "latency p99.9 ms", false}, {"latency_max_ms", "latency max ms", false}};
    progress_end(&bench->progress);
    double seconds = (double)((bench->end_us ? bench->end_us : cli_now_us()) - bench->begin_us) / 1e6;
    if (seconds <= 0)
        seconds = 1e-6;
    json_t *result = json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "topic", bench->options->arguments[0],
                               "records", (json_int_t)bench->done, "failed", (json_int_t)bench->failed, "bytes", (json_int_t)bench->bytes,
                               "seconds", seconds, "records_per_second", (double)bench->done / seconds, "mib_per_second", mib(bench->bytes) / seconds,
                               "first_record_ms", bench->first_us ? json_real((double)bench->first_us / 1e3) : json_null(), "latency_avg_ms",
                               milliseconds(bench, -1), "latency_p50_ms", milliseconds(bench, 0.5), "latency_p95_ms", milliseconds(bench, 0.95),
                               "latency_p99_ms", milliseconds(bench, 0.99), "latency_p999_ms", milliseconds(bench, 0.999), "latency_max_ms",
                               milliseconds(bench, 1));
    if (options_json(bench->options))
        output_json(stdout, result);
    else
        output_fields(stdout, result, columns, COUNT_OF(columns));
    json_decref(result);
}

/* librdkafka's defaults, then what --config says. */
static int add_settings(struct bench *bench, const char **settings, int count, int max) {
    const char *text;
    for (int i = 0; (text = options_list(bench->options, "config", i)); i++) {
        const char *equals = strchr(text, '=');
        if (!equals || equals == text || count + 3 > max)
            return cli_usage(bench->options, "'%s' is not KEY=VALUE of librdkafka", text);
        settings[count++] = arena_printf(&bench->client.arena, "%.*s", (int)(equals - text), text);
        settings[count++] = equals + 1;
    }
    settings[count] = NULL;
    return CLI_OK;
}

/* names: NULL-terminated. */
static int check_positive(const struct options *options, const char *const *names) {
    for (; *names; names++)
        if (options_int(options, *names, 1) < 1)
            return cli_usage(options, "--%s is at least 1", *names);
    return CLI_OK;
}

/* ---- produce ------------------------------------------------------------------------------------------------- */

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg) {
    struct bench *bench = container_of(arg, struct bench, client);
    (void)rk;
    if (message->err) {
        if (bench->failed++ == 0)
            snprintf(bench->first_error, sizeof bench->first_error, "%s", rd_kafka_err2str(message->err));
        return;
    }
    if (bench->done++ == 0)
        bench->first_us = cli_now_us() - bench->begin_us;
    bench->bytes += (int64_t)message->len;
    histogram_add(&bench->latency, rd_kafka_message_latency(message));
}

static void configure_producer(rd_kafka_conf_t *conf) {
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
}

/* Letters that compress about as much as text does; the same in every run. */
static void fill_payload(char *payload, int64_t size) {
    uint32_t x = 2463534242u;
    for (int64_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        payload[i] = (char)('A' + x % 26);
    }
}

static bool more_to_send(const struct bench *bench) {
    return !interrupted() && !bench->client.denied[0] && (bench->records_max < 0 || bench->sent < bench->records_max) &&
           (!bench->duration_us || cli_now_us() - bench->begin_us < bench->duration_us);
}

static int send_all(struct bench *bench, rd_kafka_topic_t *topic, const char *payload, int64_t size, double rate) {
    while (more_to_send(bench)) {
        if (rate > 0 && (double)bench->sent > (double)(cli_now_us() - bench->begin_us) / 1e6 * rate) {
            rd_kafka_poll(bench->rk, 1); /* ahead of the rate */
            show_progress(bench);
            continue;
        }
        if (rd_kafka_produce(topic, (int32_t)options_int(bench->options, "partition", RD_KAFKA_PARTITION_UA), 0, (void *)payload, (size_t)size,
                             NULL, 0, NULL) == 0) {
            if ((++bench->sent & 63) == 0) {
                rd_kafka_poll(bench->rk, 0);
                show_progress(bench);
            }
            continue;
        }
        rd_kafka_resp_err_t err = rd_kafka_last_error();
        if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return cli_fail("record %lld cannot be sent: %s", (long long)bench->sent, rd_kafka_err2str(err));
        rd_kafka_poll(bench->rk, 10);
        show_progress(bench);
    }
    while (rd_kafka_outq_len(bench->rk) > 0) {
        rd_kafka_flush(bench->rk, 200);
        show_progress(bench);
        if (bench->client.denied[0])
            rd_kafka_purge(bench->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    }
    return bench->client.denied[0] ? cli_fail("%s", bench->client.denied) : CLI_OK;
}

static int open_producer(struct bench *bench) {
    const struct options *options = bench->options;
    const struct metadata_response_metadata_response_topic *topic;
    char timeout[24], linger[24], batch_size[24];
    snprintf(timeout, sizeof timeout, "%d", bench->client.timeout_ms);
    snprintf(linger, sizeof linger, "%lld", (long long)options_int(options, "linger", 5));
    snprintf(batch_size, sizeof batch_size, "%lld", (long long)options_int(options, "batch-size", 1000000));
    const char *settings[64] = {"message.timeout.ms", timeout,
                                "queue.buffering.max.messages", "1000000",
                                "queue.buffering.max.kbytes", "262144",
                                "acks", options_text(options, "acks", "all"),
                                "compression.type", options_text(options, "compression", "none"),
                                "linger.ms", linger,
                                "batch.size", batch_size,
                                "enable.idempotence", options_has(options, "idempotent") ? "true" : "false"};
    int status = add_settings(bench, settings, 16, COUNT_OF(settings));
    if (!status)
        status = client_topic_or_create(&bench->client, options->arguments[0], &topic);
    if (!status && options_int(options, "partition", 0) >= topic->partitions_count)
        status = cli_fail("%s has partitions 0 to %d", options->arguments[0], topic->partitions_count - 1);
    if (status)
        return status;
    bench->rk = client_librdkafka(&bench->client, RD_KAFKA_PRODUCER, settings, configure_producer);
    return bench->rk ? CLI_OK : CLI_FAILED;
}

static int bench_produce_run(struct options *options) {
    struct bench *bench = mem_new(struct bench);
    int64_t size = options_int(options, "size", 100);
    bench->options = options;
    bench->duration_us = options_int(options, "duration", 0) * 1000000;
    bench->records_max = options_int(options, "records", options_has(options, "duration") ? -1 : 100000);
    int status = check_positive(options, (const char *const[]){"records", "duration", "size", "rate", "batch-size", NULL});
    if (!status && (size > 1 << 30 || options_int(options, "partition", 0) < 0))
        status = cli_usage(options, size > 1 << 30 ? "--size is too large" : "--partition is a number from 0");
    if (!status)
        status = client_open(&bench->client, options);
    if (!status)
        status = open_producer(bench);
    if (!status) {
        char *payload = mem_alloc((size_t)size);
        fill_payload(payload, size);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(bench->rk, options->arguments[0], NULL);
        begin(bench);
        status = send_all(bench, topic, payload, size, (double)options_int(options, "rate", 0));
        bench->end_us = cli_now_us();
        report(bench);
        if (!status && bench->failed)
            status = cli_fail("%lld of %lld records were not delivered: %s", (long long)bench->failed, (long long)bench->sent, bench->first_error);
        rd_kafka_topic_destroy(topic);
        mem_free(payload);
    }
    if (bench->rk)
        rd_kafka_destroy(bench->rk);
    client_close(&bench->client);
    mem_free(bench);
    return status;
}

/* ---- consume ------------------------------------------------------------------------------------------------- */

enum { TAKE_AT_ONCE = 1000 };

static int take_all(struct bench *bench, struct sources *sources) {
    rd_kafka_message_t *messages[TAKE_AT_ONCE];
    int status = CLI_OK;
    int64_t idle_since_us = cli_now_us();
    while (!status && !interrupted() && sources->open_count > 0 && (bench->records_max < 0 || bench->done < bench->records_max) &&
           (!bench->duration_us || cli_now_us() - bench->begin_us < bench->duration_us)) {
        size_t wanted = bench->records_max >= 0 && bench->records_max - bench->done < TAKE_AT_ONCE ? (size_t)(bench->records_max - bench->done) : TAKE_AT_ONCE;
        ssize_t count = rd_kafka_consume_batch_queue(sources->queue, 0, messages, wanted);
        if (count <= 0 && (messages[0] = rd_kafka_consume_queue(sources->queue, 100))) /* not a batch: that waits until it is full */
            count = 1;
        int64_t now_us = cli_now_us(), now_ms = cli_now_ms();
        if (count > 0)
            idle_since_us = now_us;
        else if (!bench->duration_us && count == 0 && now_us - idle_since_us > (int64_t)bench->client.timeout_ms * 1000)
            status = cli_fail("no record for %d ms; wait longer with --timeout", bench->client.timeout_ms);
        for (ssize_t i = 0; i < count; i++) {
            const struct source *source;
            if (!status && sources_take(sources, messages[i], &source, &status)) {
                rd_kafka_timestamp_type_t type;
                int64_t sent_ms = rd_kafka_message_timestamp(messages[i], &type);
                if (bench->done++ == 0)
                    bench->first_us = now_us - bench->begin_us;
                bench->bytes += (int64_t)(messages[i]->len + messages[i]->key_len);
                if (type == RD_KAFKA_TIMESTAMP_CREATE_TIME && sent_ms >= bench->begin_ms)
                    histogram_add(&bench->latency, (now_ms - sent_ms) * 1000);
                bench->end_us = now_us;
            }
            rd_kafka_message_destroy(messages[i]);
        }
        rd_kafka_poll(bench->rk, 0);
        show_progress(bench);
        if (!status && count > 0)
            bench->client.down_since_us = 0;
        else if (!status)
            status = client_alive(&bench->client);
    }
    return status;
}

static int bench_consume_run(struct options *options) {
    struct bench *bench = mem_new(struct bench);
    struct sources sources = {0};
    struct place from, until = {PLACE_END, 0};
    const char *settings[64] = {"enable.partition.eof", "true", "auto.offset.reset", "error", "queued.min.messages", "1000000",
                                "isolation.level", "read_uncommitted"};
    bench->options = options;
    bench->duration_us = options_int(options, "duration", 0) * 1000000;
    bench->records_max = options_int(options, "records", -1);
    bool bounded = !options_has(options, "records") && !options_has(options, "duration");
    int status = check_positive(options, (const char *const[]){"records", "duration", NULL});
    if (!status && !parse_place(options_text(options, "offset", "beginning"), &from))
        status = cli_usage(options, "--offset is beginning, end, N, -N or @TIME");
    if (!status)
        status = client_open(&bench->client, options);
    if (!status)
        status = add_settings(bench, settings, 8, COUNT_OF(settings));
    if (!status)
        status = sources_add(&sources, &bench->client, options->arguments[0], options_text(options, "partition", NULL), from,
                             bounded ? &until : NULL, false);
    if (!status) {
        bench->rk = client_librdkafka(&bench->client, RD_KAFKA_CONSUMER, settings, NULL);
        status = bench->rk ? CLI_OK : CLI_FAILED;
    }
    if (!status) {
        begin(bench);
        status = sources_start(&sources, bench->rk);
        if (!status)
            status = take_all(bench, &sources);
        report(bench);
    }
    sources_stop(&sources);
    if (bench->rk)
        rd_kafka_destroy(bench->rk);
    client_close(&bench->client);
    mem_free(bench);
    return status;
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

static const char *const compressions[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};
static const char *const ack_choices[] = {"0", "1", "all", "-1", NULL};
static const struct option_def produce_options[] = {
    {"records", 'n', OPTION_INT, "N", "how many (100000)", NULL, COMPLETE_NOTHING},
    {"duration", 'd', OPTION_INT, "S", "for so many seconds instead", NULL, COMPLETE_NOTHING},
    {"size", 's', OPTION_INT, "BYTES", "of a record's value (100)", NULL, COMPLETE_NOTHING},
    {"rate", 'r', OPTION_INT, "N", "records a second; as fast as it goes when not given", NULL, COMPLETE_NOTHING},
    {"partition", 'p', OPTION_INT, "P", "into this partition only", NULL, COMPLETE_NOTHING},
    {"acks", 'a', OPTION_TEXT, "ACKS", "0, 1 or all (the default)", ack_choices, COMPLETE_NOTHING},
    {"compression", 'z', OPTION_TEXT, "CODEC", "none, gzip, snappy, lz4 or zstd", compressions, COMPLETE_NOTHING},
    {"linger", 0, OPTION_INT, "MS", "how long a batch waits for more (5)", NULL, COMPLETE_NOTHING},
    {"batch-size", 0, OPTION_INT, "BYTES", "of a batch at most (1000000)", NULL, COMPLETE_NOTHING},
    {"idempotent", 0, OPTION_FLAG, NULL, "no record twice, none out of order", NULL, COMPLETE_NOTHING},
    {"config", 'X', OPTION_LIST, "KEY=VALUE", "a setting of librdkafka", NULL, COMPLETE_NOTHING},
};
static const struct option_def consume_options[] = {
    {"records", 'n', OPTION_INT, "N", "how many; to the end when not given", NULL, COMPLETE_NOTHING},
    {"duration", 'd', OPTION_INT, "S", "for so many seconds instead", NULL, COMPLETE_NOTHING},
    {"partition", 'p', OPTION_TEXT, "P,P-P,...", "only these partitions", NULL, COMPLETE_NOTHING},
    {"offset", 0, OPTION_TEXT, "PLACE", "where to begin: beginning (default), end, N, -N, @TIME", NULL, COMPLETE_NOTHING},
    {"config", 'X', OPTION_LIST, "KEY=VALUE", "a setting of librdkafka", NULL, COMPLETE_NOTHING},
};
static const struct command subcommands[] = {
    {.name = "produce", .summary = "send records as fast as it goes, or at a rate", .arguments = "TOPIC", .argument_min = 1, .argument_max = 1,
     .complete = COMPLETE_TOPIC, OPTIONS(produce_options), .connects = true, .run = bench_produce_run,
     .details = "myelin bench produce perf --records 1000000 --size 100 --acks all\n"
                "A latency is from handing a record to librdkafka to its acknowledgement.\n"},
    {.name = "consume", .summary = "read records as fast as it goes", .arguments = "TOPIC", .argument_min = 1, .argument_max = 1,
     .complete = COMPLETE_TOPIC, OPTIONS(consume_options), .connects = true, .run = bench_consume_run,
     .details = "A latency is from a record's timestamp to its arrival here, of records sent after the start (--offset end).\n"},
};

const struct command command_bench = {.name = "bench", .summary = "measure how fast records are taken and given", SUBCOMMANDS(subcommands)};
