/* myelin consume TOPIC...: records of partitions, from a place to a place, through librdkafka. Partitions are assigned by
 * hand (sources.h); there is no group and nothing is committed. */
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/record.h"
#include "cli/sources.h"

struct consumer {
    struct client client;
    const struct options *options;
    rd_kafka_t *rk;
    struct sources sources;
    int64_t shown, count_max, bytes; /* count_max -1: no limit */
    struct record_format format;
    struct record_style style;
    struct place from, until;
    bool bounded, committed, json;
    struct progress progress;
    struct buf line;
};

/* ---- showing ------------------------------------------------------------------------------------------------- */

static void take_headers(const rd_kafka_message_t *message, struct cli_record *record, struct cli_header *headers, int headers_max) {
    rd_kafka_headers_t *list;
    const char *name;
    const void *value;
    size_t size;
    record->headers = headers;
    if (rd_kafka_message_headers(message, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    while (record->header_count < headers_max &&
           rd_kafka_header_get_all(list, (size_t)record->header_count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR)
        headers[record->header_count++] = (struct cli_header){slice_str(name), value ? slice_of(value, size) : SLICE_NULL};
}

static void show(struct consumer *consumer, const rd_kafka_message_t *message, const struct source *source) {
    struct cli_header headers[256];
    rd_kafka_timestamp_type_t type;
    struct cli_record record = {.topic = source->name, .partition = message->partition, .offset = message->offset};
    record.timestamp = rd_kafka_message_timestamp(message, &type);
    record.timestamp_type = type == RD_KAFKA_TIMESTAMP_CREATE_TIME ? "create" : type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? "append" : NULL;
    record.key = message->key ? slice_of(message->key, message->key_len) : SLICE_NULL;
    record.value = message->payload ? slice_of(message->payload, message->len) : SLICE_NULL;
    take_headers(message, &record, headers, COUNT_OF(headers));
    if (consumer->json) {
        json_t *object = record_to_json(&record, &consumer->style);
        output_json_line(stdout, object);
        json_decref(object);
    } else {
        buf_clear(&consumer->line);
        record_format_show(&consumer->format, &record, &consumer->style, &consumer->line);
        fwrite(consumer->line.ptr, 1, consumer->line.size, stdout);
    }
    consumer->shown++;
    consumer->bytes += (int64_t)(message->len + message->key_len);
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

static void show_progress(struct consumer *consumer) {
    char size[32];
    if (isatty(STDOUT_FILENO) || !progress_due(&consumer->progress))
        return;
    progress_show(&consumer->progress, "%lld records, %s", (long long)consumer->shown, size_text(consumer->bytes, size));
}

static int loop(struct consumer *consumer) {
    int status = CLI_OK;
    while (!status && !interrupted() && consumer->sources.open_count > 0 && consumer->shown != consumer->count_max && !ferror(stdout)) {
        rd_kafka_poll(consumer->rk, 0);
        show_progress(consumer);
        rd_kafka_message_t *message = rd_kafka_consume_queue(consumer->sources.queue, 0);
        if (!message) {
            fflush(stdout); /* nothing more is here now: show what was */
            message = rd_kafka_consume_queue(consumer->sources.queue, 100);
        }
        if (!message) {
            status = client_alive(&consumer->client);
            continue;
        }
        const struct source *source;
        if (sources_take(&consumer->sources, message, &source, &status)) {
            consumer->client.down_since_us = 0;
            show(consumer, message, source);
        }
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
    consumer->style.key = bytes_format_of(options_text(options, "key-format", "text"));
    consumer->style.value = bytes_format_of(options_text(options, "value-format", "text"));
    consumer->style.header = bytes_format_of(options_text(options, "header-format", "text"));
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
        status = sources_add(&consumer.sources, &consumer.client, options->arguments[i], options_text(options, "partition", NULL), consumer.from,
                             consumer.bounded ? &consumer.until : NULL, consumer.committed);
    if (!status) {
        const char *settings[] = {"enable.partition.eof", "true", "auto.offset.reset", "error", "isolation.level",
                                  consumer.committed ? "read_committed" : "read_uncommitted", "fetch.wait.max.ms", "250", NULL};
        consumer.rk = client_librdkafka(&consumer.client, RD_KAFKA_CONSUMER, settings, NULL);
        status = consumer.rk ? CLI_OK : CLI_FAILED;
    }
    if (!status) {
        interrupt_catch();
        progress_begin(&consumer.progress);
        status = sources_start(&consumer.sources, consumer.rk);
        if (!status)
            status = loop(&consumer);
        progress_end(&consumer.progress);
    }
    sources_stop(&consumer.sources);
    if (consumer.rk)
        rd_kafka_destroy(consumer.rk);
    record_format_deinit(&consumer.format);
    buf_deinit(&consumer.line);
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
    {"header-format", 0, OPTION_TEXT, "FORMAT", "likewise, of the headers' values", bytes_format_names, COMPLETE_NOTHING},
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
