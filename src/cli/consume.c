/* myelin consume TOPIC...: records of partitions, from a place to a place, through librdkafka. Partitions are assigned by
 * hand; there is no group and nothing is committed. Places are looked up first, so that each partition has a first and
 * an end offset as numbers and the command knows when it is done. */
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/offsets.h"
#include "cli/record.h"

enum { END_NONE = -1 };

struct source { /* a partition that is read */
    rd_kafka_topic_t *topic;
    const char *name;
    int32_t partition;
    int64_t first, end; /* END_NONE: goes on for ever */
    bool started, done;
};
struct consumer {
    struct client client;
    const struct options *options;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    struct source *sources;
    int source_count, open_count; /* those not done */
    int64_t shown, count_max, bytes; /* count_max -1: no limit */
    struct record_format format;
    enum bytes_format key_format, value_format;
    struct place from, until;
    bool bounded, committed, json;
    int64_t down_since_us; /* no broker answers since; 0: one does */
    struct progress progress;
    struct buf line;
};

/* ---- what to read -------------------------------------------------------------------------------------------- */

static int add_topic(struct consumer *consumer, const char *name) {
    struct client *client = &consumer->client;
    const struct metadata_response_metadata_response_topic *topic;
    const char *text = options_text(consumer->options, "partition", NULL);
    int *partitions = NULL, count = 0;
    int status = client_topic(client, name, &topic);
    if (status)
        return status;
    if (text && !parse_numbers(text, topic->partitions_count, &partitions, &count))
        return cli_fail("'%s' names no partitions of %s, which has 0 to %d; write them like 0,2 or 0-3", text, name, topic->partitions_count - 1);
    if (!text) {
        count = topic->partitions_count;
        partitions = mem_alloc(sizeof *partitions * (size_t)(count + 1));
        for (int i = 0; i < count; i++)
            partitions[i] = i;
    }
    int64_t *first = arena_array(&client->arena, int64_t, count), *end = arena_array(&client->arena, int64_t, count);
    status = offsets_of_place(client, name, partitions, count, consumer->from, consumer->committed, first);
    if (!status && consumer->bounded)
        status = offsets_of_place(client, name, partitions, count, consumer->until, consumer->committed, end);
    consumer->sources = mem_realloc(consumer->sources, sizeof *consumer->sources * (size_t)(consumer->source_count + count + 1));
    for (int i = 0; i < count && !status; i++)
        consumer->sources[consumer->source_count++] = (struct source){
            .name = name, .partition = partitions[i], .first = first[i], .end = consumer->bounded ? end[i] : END_NONE};
    mem_free(partitions);
    return status;
}

static int start_sources(struct consumer *consumer) {
    rd_kafka_topic_t *topic = NULL;
    for (int i = 0; i < consumer->source_count; i++) {
        struct source *source = &consumer->sources[i];
        if (i == 0 || strcmp(source->name, consumer->sources[i - 1].name) != 0)
            topic = rd_kafka_topic_new(consumer->rk, source->name, NULL);
        else
            rd_kafka_topic_new(consumer->rk, source->name, NULL); /* a reference for each source */
        source->topic = topic;
        source->done = source->end != END_NONE && source->first >= source->end;
        if (source->done)
            continue;
        if (rd_kafka_consume_start_queue(topic, source->partition, source->first, consumer->queue))
            return cli_fail("%s, partition %d cannot be read: %s", source->name, source->partition, rd_kafka_err2str(rd_kafka_last_error()));
        source->started = true;
        consumer->open_count++;
    }
    return CLI_OK;
}

static void stop_sources(struct consumer *consumer) {
    for (int i = 0; i < consumer->source_count; i++) {
        struct source *source = &consumer->sources[i];
        if (source->started)
            rd_kafka_consume_stop(source->topic, source->partition);
        if (source->topic)
            rd_kafka_topic_destroy(source->topic);
    }
}

static void finish(struct consumer *consumer, struct source *source) {
    if (!source->done) {
        source->done = true;
        consumer->open_count--;
    }
}

static struct source *find_source(struct consumer *consumer, const rd_kafka_message_t *message) {
    for (int i = 0; i < consumer->source_count; i++)
        if (consumer->sources[i].topic == message->rkt && consumer->sources[i].partition == message->partition)
            return &consumer->sources[i];
    return NULL;
}

/* ---- showing ------------------------------------------------------------------------------------------------- */

static void take_headers(const rd_kafka_message_t *message, struct record *record, struct record_header *headers, int headers_max) {
    rd_kafka_headers_t *list;
    const char *name;
    const void *value;
    size_t size;
    record->headers = headers;
    if (rd_kafka_message_headers(message, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    while (record->header_count < headers_max &&
           rd_kafka_header_get_all(list, (size_t)record->header_count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR)
        headers[record->header_count++] = (struct record_header){slice_str(name), value ? slice_of(value, size) : SLICE_NULL};
}

static void show(struct consumer *consumer, const rd_kafka_message_t *message, const struct source *source) {
    struct record_header headers[256];
    rd_kafka_timestamp_type_t type;
    struct record record = {.topic = source->name, .partition = message->partition, .offset = message->offset};
    record.timestamp = rd_kafka_message_timestamp(message, &type);
    record.timestamp_type = type == RD_KAFKA_TIMESTAMP_CREATE_TIME ? "create" : type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? "append" : NULL;
    record.key = message->key ? slice_of(message->key, message->key_len) : SLICE_NULL;
    record.value = message->payload ? slice_of(message->payload, message->len) : SLICE_NULL;
    take_headers(message, &record, headers, COUNT_OF(headers));
    if (consumer->json) {
        json_t *object = record_to_json(&record, consumer->key_format, consumer->value_format);
        output_json_line(stdout, object);
        json_decref(object);
    } else {
        buf_clear(&consumer->line);
        record_format_show(&consumer->format, &record, consumer->key_format, consumer->value_format, &consumer->line);
        fwrite(consumer->line.ptr, 1, consumer->line.size, stdout);
    }
    consumer->shown++;
    consumer->bytes += (int64_t)(message->len + message->key_len);
}

static int take(struct consumer *consumer, const rd_kafka_message_t *message) {
    struct source *source = find_source(consumer, message);
    if (!source)
        return message->err ? cli_fail("%s", rd_kafka_message_errstr(message)) : CLI_OK;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (source->end != END_NONE && message->offset >= source->end)
            finish(consumer, source);
        return CLI_OK;
    }
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        return cli_fail("%s, partition %d has no offset %lld; `myelin topic offsets %s` shows where it ends, with --time earliest where it begins",
                        source->name, source->partition, (long long)source->first, source->name);
    if (message->err)
        return cli_fail("%s, partition %d: %s; `myelin topic describe %s` shows its leader", source->name, source->partition,
                        rd_kafka_err2str(message->err), source->name);
    consumer->down_since_us = 0;
    if (source->done)
        return CLI_OK;
    if (source->end == END_NONE || message->offset < source->end)
        show(consumer, message, source);
    if (source->end != END_NONE && message->offset + 1 >= source->end)
        finish(consumer, source);
    return CLI_OK;
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *arg) {
    struct consumer *consumer = arg;
    (void)rk, (void)reason;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !consumer->down_since_us)
        consumer->down_since_us = cli_now_us();
}

static void configure(rd_kafka_conf_t *conf, void *arg) {
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_opaque(conf, arg);
}

static void show_progress(struct consumer *consumer) {
    char size[32];
    if (isatty(STDOUT_FILENO) || !progress_due(&consumer->progress))
        return;
    progress_show(&consumer->progress, "%lld records, %s", (long long)consumer->shown, size_text(consumer->bytes, size));
}

static int loop(struct consumer *consumer) {
    int status = CLI_OK;
    while (!status && !interrupted() && consumer->open_count > 0 && consumer->shown != consumer->count_max && !ferror(stdout)) {
        rd_kafka_poll(consumer->rk, 0);
        show_progress(consumer);
        rd_kafka_message_t *message = rd_kafka_consume_queue(consumer->queue, 0);
        if (!message) {
            fflush(stdout); /* nothing more is here now: show what was */
            message = rd_kafka_consume_queue(consumer->queue, 100);
        }
        if (!message) {
            if (consumer->down_since_us && cli_now_us() - consumer->down_since_us > (int64_t)consumer->client.timeout_ms * 1000)
                status = cli_fail("no broker answers for %d ms; is the cluster up? wait longer with --timeout", consumer->client.timeout_ms);
            continue;
        }
        status = take(consumer, message);
        rd_kafka_message_destroy(message);
    }
    return status;
}

static int read_options(struct consumer *consumer) {
    const struct options *options = consumer->options;
    const char *from = options_text(options, "offset", "beginning"), *until = options_text(options, "until", NULL);
    struct buf error = {0};
    consumer->json = options_json(options);
    consumer->committed = strcmp(options_text(options, "isolation", "uncommitted"), "committed") == 0;
    consumer->key_format = bytes_format_of(options_text(options, "key-format", "text"));
    consumer->value_format = bytes_format_of(options_text(options, "value-format", "text"));
    consumer->count_max = options_int(options, "count", -1);
    consumer->bounded = until != NULL;
    if (options_has(options, "count") && consumer->count_max < 0)
        return cli_usage(options, "--count is a number from 0");
    if (!parse_place(from, &consumer->from))
        return cli_usage(options, "--offset is beginning, end, N, -N or @TIME; not '%s'", from);
    if (until && !parse_place(until, &consumer->until))
        return cli_usage(options, "--until is end, N, -N or @TIME; not '%s'", until);
    int status = CLI_OK;
    if (record_format_parse(&consumer->format, options_text(options, "format", "%v\\n"), &error))
        status = cli_usage(options, "%s", buf_text(&error));
    buf_deinit(&error);
    return status;
}

static int consume_run(struct options *options) {
    struct consumer consumer = {.options = options};
    int status = read_options(&consumer);
    if (!status)
        status = client_open(&consumer.client, options);
    for (int i = 0; i < options->argument_count && !status; i++)
        status = add_topic(&consumer, options->arguments[i]);
    if (!status) {
        const char *settings[] = {"enable.partition.eof", "true", "auto.offset.reset", "error", "isolation.level",
                                  consumer.committed ? "read_committed" : "read_uncommitted", "fetch.wait.max.ms", "250", NULL};
        consumer.rk = client_librdkafka(&consumer.client, RD_KAFKA_CONSUMER, settings, configure, &consumer);
        status = consumer.rk ? CLI_OK : CLI_FAILED;
    }
    if (!status) {
        consumer.queue = rd_kafka_queue_new(consumer.rk);
        interrupt_catch();
        progress_begin(&consumer.progress);
        status = start_sources(&consumer);
        if (!status)
            status = loop(&consumer);
        progress_end(&consumer.progress);
        stop_sources(&consumer);
        rd_kafka_queue_destroy(consumer.queue);
    }
    if (consumer.rk)
        rd_kafka_destroy(consumer.rk);
    record_format_deinit(&consumer.format);
    buf_deinit(&consumer.line);
    mem_free(consumer.sources);
    client_close(&consumer.client);
    return status;
}

static const char *const isolations[] = {"committed", "uncommitted", NULL};
static const struct option_def consume_options[] = {
    {"partition", 'p', OPTION_TEXT, "P,P-P,...", "only these partitions", NULL, COMPLETE_NOTHING},
    {"offset", 0, OPTION_TEXT, "PLACE", "where to begin: beginning (default), end, N, -N (before the end), @TIME", NULL, COMPLETE_NOTHING},
    {"until", 0, OPTION_TEXT, "PLACE", "where to end: end (as it is now), N, -N or @TIME; without: never", NULL, COMPLETE_NOTHING},
    {"count", 'n', OPTION_INT, "N", "end after so many records", NULL, COMPLETE_NOTHING},
    {"format", 'f', OPTION_TEXT, "TEXT", "how a record is shown; '%v\\n' when not given", NULL, COMPLETE_NOTHING},
    {"key-format", 0, OPTION_TEXT, "FORMAT", "text, hex, base64, int or json", bytes_format_names, COMPLETE_NOTHING},
    {"value-format", 0, OPTION_TEXT, "FORMAT", "likewise", bytes_format_names, COMPLETE_NOTHING},
    {"isolation", 0, OPTION_TEXT, "LEVEL", "committed: leave out aborted and open transactions", isolations, COMPLETE_NOTHING},
};

const struct command command_consume = {
    .name = "consume",
    .summary = "show the records of topics",
    .arguments = "TOPIC...",
    .argument_min = 1,
    .argument_max = -1,
    .complete = COMPLETE_TOPIC,
    OPTIONS(consume_options),
    .connects = true,
    .details = "myelin consume greetings --until end\n"
               "myelin consume orders --offset @-1h --format '%t %p %o %T %k %v %h\\n'\n"
               "myelin consume orders --offset -10 --until end --output json\n\n"
               "--format: %t topic  %p partition  %o offset  %T timestamp in ms  %k key  %v or %s value  %K, %S their sizes (-1: null)\n"
               "          %h headers as k=v,...  %%  \\n \\r \\t \\0 \\\\ \\xNN\n"
               "@TIME: ms since 1970, 2026-11-24T21:00:00Z, or -90s, -15m, -2h, -7d for so long ago.\n"
               "--output json: a JSON object a line. Nothing is committed; partitions are read side by side.\n",
    .run = consume_run,
};
