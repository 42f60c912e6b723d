/* myelin produce TOPIC [FILE]...: records from standard input or files, through librdkafka. Every record's delivery is
 * waited for; the exit status says whether all arrived. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/offsets.h"
#include "cli/record.h"
#include "protocol/errors.h"

struct partition_sum {
    int64_t count, first, last; /* offsets; -1: not told (acks=0) */
};
struct producer {
    struct client client;
    const struct options *options;
    rd_kafka_t *rk;
    const char *topic;
    struct partition_sum *sums; /* a partition */
    int partition_count;
    int64_t sent, delivered, failed, bytes;
    char first_error[512];
    rd_kafka_resp_err_t first_error_code;
    bool first_error_known;
    /* what options say of every record */
    int32_t partition;
    int64_t timestamp;
    struct slice key;
    struct cli_header headers[64];
    int header_count;
    const char *separator;
    bool null_empty, json;
    enum bytes_format key_format, value_format;
    struct progress progress;
    struct buf scratch[2]; /* decoded key and value */
};

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg) {
    struct producer *producer = container_of(arg, struct producer, client);
    (void)rk;
    if (message->err) {
        producer->failed++;
        if (!producer->first_error_known) {
            producer->first_error_known = true;
            producer->first_error_code = message->err;
            snprintf(producer->first_error, sizeof producer->first_error, "%s", rd_kafka_err2str(message->err));
        }
        return;
    }
    producer->delivered++;
    if (message->partition < 0 || message->partition >= producer->partition_count)
        return;
    struct partition_sum *sum = &producer->sums[message->partition];
    if (sum->count++ == 0)
        sum->first = sum->last = message->offset;
    if (message->offset > sum->last)
        sum->last = message->offset;
    if (message->offset < sum->first)
        sum->first = message->offset;
}

static void configure(rd_kafka_conf_t *conf) {
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
}

/* ---- one record ---------------------------------------------------------------------------------------------- */

static void show_progress(struct producer *producer) {
    if (!progress_due(&producer->progress))
        return;
    char size[32];
    progress_show(&producer->progress, "%lld records read, %lld delivered, %lld failed, %s", (long long)producer->sent,
                  (long long)producer->delivered, (long long)producer->failed, size_text(producer->bytes, size));
}

static rd_kafka_headers_t *make_headers(const struct producer *producer, const struct cli_record *record) {
    if (producer->header_count + record->header_count == 0)
        return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new((size_t)(producer->header_count + record->header_count));
    for (int i = 0; i < producer->header_count + record->header_count; i++) {
        const struct cli_header *header = i < producer->header_count ? &producer->headers[i] : &record->headers[i - producer->header_count];
        rd_kafka_header_add(headers, (const char *)header->key.ptr, (ssize_t)header->key.size, header->value.ptr,
                            slice_is_null(header->value) ? -1 : (ssize_t)header->value.size);
    }
    return headers;
}

static int send_record(struct producer *producer, const struct cli_record *record) {
    rd_kafka_headers_t *headers = make_headers(producer, record);
    rd_kafka_resp_err_t err;
    for (;;) {
        err = rd_kafka_producev(producer->rk, RD_KAFKA_V_TOPIC(producer->topic), RD_KAFKA_V_PARTITION(record->partition),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(record->key.ptr, record->key.size),
                                RD_KAFKA_V_VALUE((void *)record->value.ptr, record->value.size),
                                RD_KAFKA_V_TIMESTAMP(record->timestamp < 0 ? 0 : record->timestamp), RD_KAFKA_V_HEADERS(headers),
                                RD_KAFKA_V_END);
        show_progress(producer);
        if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL || producer->client.denied[0])
            break;
        rd_kafka_poll(producer->rk, 100); /* what is on its way makes room */
    }
    rd_kafka_poll(producer->rk, 0);
    producer->sent++;
    producer->bytes += (int64_t)(record->key.size + record->value.size);
    if (!err)
        return CLI_OK;
    if (headers)
        rd_kafka_headers_destroy(headers);
    producer->failed++;
    return cli_fail("record %lld cannot be sent: %s%s", (long long)producer->sent, rd_kafka_err2str(err),
                    err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? "; raise message.max.bytes with --command-config and max.message.bytes of the topic"
                                                                : "");
}

static int decode(struct producer *producer, struct slice *bytes, enum bytes_format format, const char *what, struct buf *scratch) {
    if (producer->null_empty && bytes->size == 0)
        *bytes = SLICE_NULL;
    if (format == BYTES_TEXT || slice_is_null(*bytes))
        return CLI_OK;
    buf_clear(scratch);
    if (!bytes_read(scratch, *bytes, format))
        return cli_fail("record %lld: the %s is not %s; check --%s-format", (long long)producer->sent + 1, what, bytes_format_names[format], what);
    *bytes = buf_slice(scratch);
    return CLI_OK;
}

static int send_text(struct producer *producer, struct slice text) {
    struct cli_record record = {.partition = producer->partition, .timestamp = producer->timestamp, .key = producer->key, .value = text};
    size_t separator_size = producer->separator ? strlen(producer->separator) : 0;
    const uint8_t *at = separator_size ? memmem(text.ptr, text.size, producer->separator, separator_size) : NULL;
    if (separator_size && !at)
        return cli_fail("line %lld has no key: there is no '%s' in it; check --key-separator", (long long)producer->sent + 1, producer->separator);
    if (at) {
        record.key = slice_of(text.ptr, (size_t)(at - text.ptr));
        record.value = slice_of(at + separator_size, text.size - record.key.size - separator_size);
    }
    int status = decode(producer, &record.key, producer->key_format, "key", &producer->scratch[0]);
    if (!status)
        status = decode(producer, &record.value, producer->value_format, "value", &producer->scratch[1]);
    return status ? status : send_record(producer, &record);
}

/* ---- input --------------------------------------------------------------------------------------------------- */

static int send_lines(struct producer *producer, FILE *in) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    int status = CLI_OK;
    while (!status && !interrupted() && (size = getline(&line, &capacity, in)) >= 0) {
        if (size > 0 && line[size - 1] == '\n')
            size--;
        status = send_text(producer, slice_of(line, (size_t)size));
    }
    free(line);
    return status;
}

static int send_json(struct producer *producer, FILE *in, const char *name) {
    int status = CLI_OK;
    struct arena arena = {0};
    struct buf error = {0};
    while (!status && !interrupted()) {
        int c;
        while ((c = getc(in)) != EOF && strchr(" \t\r\n", c)) {
        }
        if (c == EOF)
            break;
        ungetc(c, in);
        json_error_t why;
        struct cli_record record;
        json_t *object = json_loadf(in, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &why);
        buf_clear(&error);
        arena_reset(&arena);
        if (!object) {
            status = cli_fail("%s: record %lld is not JSON: %s", name, (long long)producer->sent + 1, why.text);
        } else if (record_from_json(object, &arena, &record, &error)) {
            status = cli_fail("%s: record %lld: %s", name, (long long)producer->sent + 1, buf_text(&error));
        } else {
            if (producer->partition >= 0)
                record.partition = producer->partition;
            if (producer->timestamp >= 0)
                record.timestamp = producer->timestamp;
            if (!slice_is_null(producer->key))
                record.key = producer->key;
            status = send_record(producer, &record);
        }
        json_decref(object);
    }
    arena_deinit(&arena);
    buf_deinit(&error);
    return status;
}

static int send_whole(struct producer *producer, FILE *in) {
    struct buf text = {0};
    for (;;) {
        size_t n = fread(buf_reserve(&text, 65536), 1, 65536, in);
        text.size += n;
        if (n == 0)
            break;
    }
    int status = interrupted() ? CLI_OK : send_text(producer, buf_slice(&text));
    buf_deinit(&text);
    return status;
}

static int send_stream(struct producer *producer, FILE *in, const char *name) {
    const char *input = options_text(producer->options, "input", "lines");
    int status = strcmp(input, "json") == 0 ? send_json(producer, in, name) : strcmp(input, "raw") == 0 ? send_whole(producer, in) : send_lines(producer, in);
    if (!status && ferror(in) && !interrupted())
        status = cli_fail("%s cannot be read: %s", name, strerror(errno));
    return status;
}

static int send_input(struct producer *producer) {
    const struct options *options = producer->options;
    int status = CLI_OK;
    const char *value;
    if (options_list(options, "value", 0)) {
        for (int i = 0; !status && (value = options_list(options, "value", i)); i++)
            status = send_text(producer, slice_str(value));
        return status;
    }
    if (options->argument_count == 1 && isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
        fputs("a record a line; ^D ends\n", stderr);
    if (options->argument_count == 1)
        return send_stream(producer, stdin, "standard input");
    for (int i = 1; i < options->argument_count && !status && !interrupted(); i++) {
        FILE *in = strcmp(options->arguments[i], "-") == 0 ? stdin : fopen(options->arguments[i], "r");
        if (!in)
            return cli_fail("%s cannot be read: %s", options->arguments[i], strerror(errno));
        status = send_stream(producer, in, options->arguments[i]);
        if (in != stdin)
            fclose(in);
    }
    return status;
}

/* ---- begin and end ------------------------------------------------------------------------------------------- */

static int read_options(struct producer *producer) {
    const struct options *options = producer->options;
    const char *timestamp = options_text(options, "timestamp", NULL), *header;
    int64_t partition = options_int(options, "partition", -1);
    producer->topic = options->arguments[0];
    producer->partition = (int32_t)partition;
    producer->timestamp = -1;
    producer->key = slice_str(options_text(options, "key", NULL));
    producer->separator = options_text(options, "key-separator", NULL);
    producer->null_empty = options_has(options, "null-empty");
    producer->key_format = bytes_format_of(options_text(options, "key-format", "text"));
    producer->value_format = bytes_format_of(options_text(options, "value-format", "text"));
    if (options_has(options, "partition") && (partition < 0 || partition > INT32_MAX))
        return cli_usage(options, "--partition is a number from 0");
    if (timestamp && !parse_time(timestamp, cli_now_ms(), &producer->timestamp))
        return cli_usage(options, "--timestamp is milliseconds since 1970, a date, or -2h for so long ago; not '%s'", timestamp);
    if (producer->separator && options_has(options, "key"))
        return cli_usage(options, "--key and --key-separator exclude each other");
    if (producer->separator && !*producer->separator)
        return cli_usage(options, "--key-separator is empty");
    if (options_has(options, "value") && options->argument_count > 1)
        return cli_usage(options, "--value and files exclude each other");
    while ((header = options_list(options, "header", producer->header_count))) {
        const char *equals = strchr(header, '=');
        if (!equals || producer->header_count == COUNT_OF(producer->headers))
            return cli_usage(options, equals ? "too many headers" : "'%s' is not a header: give KEY=VALUE", header);
        producer->headers[producer->header_count++] =
            (struct cli_header){slice_of(header, (size_t)(equals - header)), slice_str(equals + 1)};
    }
    return CLI_OK;
}

static int open_producer(struct producer *producer) {
    const struct options *options = producer->options;
    const struct metadata_response_metadata_response_topic *topic;
    char timeout[16];
    int status = client_topic_or_create(&producer->client, producer->topic, &topic);
    if (status)
        return status;
    producer->partition_count = topic->partitions_count;
    producer->sums = arena_array(&producer->client.arena, struct partition_sum, topic->partitions_count);
    if (producer->partition >= topic->partitions_count)
        return cli_fail("%s has partitions 0 to %d, not %d; `myelin topic alter %s --partitions %d` adds some", producer->topic,
                        topic->partitions_count - 1, producer->partition, producer->topic, producer->partition + 1);
    snprintf(timeout, sizeof timeout, "%d", producer->client.timeout_ms);
    const char *settings[] = {"partitioner", "murmur2_random", /* as Java's clients do */
                              "linger.ms", "5", "message.timeout.ms", timeout,
                              "compression.type", options_text(options, "compression", "none"),
                              "acks", options_text(options, "acks", "all"),
                              "enable.idempotence", options_has(options, "idempotent") ? "true" : "false", NULL};
    producer->rk = client_librdkafka(&producer->client, RD_KAFKA_PRODUCER, settings, configure);
    return producer->rk ? CLI_OK : CLI_FAILED;
}

static int report(struct producer *producer, int status) {
    static const struct output_column columns[] = {{"partition", "PARTITION", true}, {"count", "RECORDS", true}, {"first_offset", "FIRST", true},
                                                   {"last_offset", "LAST", true}};
    json_t *partitions = json_array();
    for (int i = 0; i < producer->partition_count; i++)
        if (producer->sums[i].count) {
            bool known = producer->sums[i].first >= 0 && strcmp(options_text(producer->options, "acks", "all"), "0") != 0;
            json_array_append_new(partitions, json_pack("{s:i, s:I, s:o, s:o}", "partition", i, "count", (json_int_t)producer->sums[i].count,
                                                        "first_offset", known ? json_integer(producer->sums[i].first) : json_null(), "last_offset",
                                                        known ? json_integer(producer->sums[i].last) : json_null()));
        }
    if (options_json(producer->options)) {
        json_t *sum = json_pack("{s:s, s:I, s:I, s:O}", "topic", producer->topic, "delivered", (json_int_t)producer->delivered, "failed",
                                (json_int_t)producer->failed, "partitions", partitions);
        output_json(stdout, sum);
        json_decref(sum);
    } else if (!options_has(producer->options, "quiet") && json_array_size(partitions)) {
        output_rows(stdout, partitions, columns, COUNT_OF(columns));
    }
    json_decref(partitions);
    if (producer->first_error_known) {
        if (producer->client.denied[0])
            return cli_fail("%s", producer->client.denied);
        const char *hint = producer->first_error_code > 0 ? client_hint((int16_t)producer->first_error_code) : "is the broker up? try again";
        status = cli_fail("%lld of %lld records were not delivered: %s%s%s", (long long)producer->failed, (long long)producer->sent,
                          producer->first_error, hint ? "; " : "", hint ? hint : "");
    }
    return producer->failed ? CLI_FAILED : status;
}

static int produce_run(struct options *options) {
    struct producer producer = {.options = options};
    int status = read_options(&producer);
    if (status)
        return status;
    status = client_open(&producer.client, options);
    if (!status)
        status = open_producer(&producer);
    if (!status) {
        interrupt_catch();
        progress_begin(&producer.progress);
        status = send_input(&producer);
        /* Each record ends by message.timeout.ms, so this does. */
        while (rd_kafka_outq_len(producer.rk) > 0) {
            rd_kafka_flush(producer.rk, 500);
            show_progress(&producer);
            if (producer.client.denied[0])
                rd_kafka_purge(producer.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        }
        progress_end(&producer.progress);
        status = report(&producer, status);
    }
    if (producer.rk)
        rd_kafka_destroy(producer.rk);
    buf_deinit(&producer.scratch[0]);
    buf_deinit(&producer.scratch[1]);
    client_close(&producer.client);
    return status;
}

static const char *const compressions[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};
static const char *const ack_choices[] = {"0", "1", "all", "-1", NULL};
static const char *const inputs[] = {"lines", "raw", "json", NULL};
static const struct option_def produce_options[] = {
    {"key", 'k', OPTION_TEXT, "KEY", "the key of every record", NULL, COMPLETE_NOTHING},
    {"key-separator", 'K', OPTION_TEXT, "TEXT", "what stands between key and value of a line", NULL, COMPLETE_NOTHING},
    {"value", 'v', OPTION_LIST, "VALUE", "a record, instead of reading any", NULL, COMPLETE_NOTHING},
    {"header", 'H', OPTION_LIST, "KEY=VALUE", "a header of every record", NULL, COMPLETE_NOTHING},
    {"input", 'i', OPTION_TEXT, "FORM", "lines: a record a line; raw: a record a file; json: see below", inputs, COMPLETE_NOTHING},
    {"key-format", 0, OPTION_TEXT, "FORMAT", "text, hex, base64, int (8 bytes) or json", bytes_format_names, COMPLETE_NOTHING},
    {"value-format", 0, OPTION_TEXT, "FORMAT", "likewise", bytes_format_names, COMPLETE_NOTHING},
    {"null-empty", 'Z', OPTION_FLAG, NULL, "empty keys and values are null: tombstones", NULL, COMPLETE_NOTHING},
    {"partition", 'p', OPTION_INT, "P", "into this partition", NULL, COMPLETE_NOTHING},
    {"timestamp", 't', OPTION_TEXT, "TIME", "of every record: ms since 1970, a date, or -2h", NULL, COMPLETE_NOTHING},
    {"compression", 'z', OPTION_TEXT, "CODEC", "none, gzip, snappy, lz4 or zstd", compressions, COMPLETE_NOTHING},
    {"acks", 'a', OPTION_TEXT, "ACKS", "0, 1 or all (the default)", ack_choices, COMPLETE_NOTHING},
    {"idempotent", 0, OPTION_FLAG, NULL, "no record twice, none out of order", NULL, COMPLETE_NOTHING},
    {"quiet", 'q', OPTION_FLAG, NULL, "no summary", NULL, COMPLETE_NOTHING},
};

const struct command command_produce = {
    .name = "produce",
    .summary = "send records from standard input or files",
    .arguments = "TOPIC [FILE]...",
    .argument_min = 1,
    .argument_max = -1,
    .complete = COMPLETE_TOPIC,
    OPTIONS(produce_options),
    .connects = true,
    .details = "echo hello | myelin produce greetings\n"
               "myelin produce greetings --key k --value hello\n"
               "seq 1000 | myelin produce numbers --compression lz4\n\n"
               "--input json: objects, one behind the other, as `myelin consume --output json` prints them:\n"
               "  {\"key\": \"k\", \"value\": \"v\", \"headers\": [{\"key\": \"h\", \"value\": \"x\"}], \"partition\": 0, \"timestamp\": 1764000000000}\n"
               "All may be left out. Bytes that are no text are {\"base64\": \"...\"}; other JSON is sent as JSON text.\n\n"
               "The exit status is 0 when every record was delivered, else 1.\n",
    .run = produce_run,
};
