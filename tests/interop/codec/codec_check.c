/* Answers questions about our codec on stdin/stdout, for CodecCheck.java, which asks and compares. A question and an
 * answer are a u32 size and that many bytes; a question's first byte says what is asked. An answer begins with 0, or
 * with 1 and the text of an error. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "protocol/api.h"
#include "protocol/batch.h"
#include "protocol/compress.h"
#include "protocol/config_defs.h"
#include "protocol/errors.h"
#include "protocol/old_messages.h"
#include "tests/lib/message_values.h"

struct question {
    struct decoder d;
    struct arena arena;
    struct buf *answer;
    struct compressor *compressor;
    bool is_refused;
};

static void refuse(struct question *q, const char *what, enum err err) {
    buf_clear(q->answer);
    buf_printf(q->answer, "%s: %s", what, err_text(err));
    q->is_refused = true;
}

static void add_sized(struct buf *buf, const struct buf *bytes) {
    store_be32(buf_extend(buf, 4), (uint32_t)bytes->size);
    buf_add_slice(buf, buf_slice(bytes));
}

/* Encodes x and answers with the bytes and the dump. */
static void answer_message(struct question *q, const struct message_type *type, int version, const void *x) {
    struct buf bytes = {0}, dump = {0}, json = {0};
    struct encoder e;
    encoder_init(&e, &bytes, &q->arena);
    enum err err = type->encode(&e, version, x);
    message_dump(type, version, x, &dump);
    if (type->json)
        type->json(&json, version, x);
    if (err) {
        refuse(q, "encode", err);
    } else if (type->json && strcmp(buf_text(&json), buf_text(&dump)) != 0) {
        refuse(q, "the generated JSON differs from the walk of the fields", ERR_INVALID);
    } else {
        add_sized(q->answer, &bytes);
        add_sized(q->answer, &dump);
    }
    buf_deinit(&bytes);
    buf_deinit(&dump);
    buf_deinit(&json);
}

static const struct message_type *read_type(struct question *q, int *ret_version) {
    struct slice name = arena_slice(&q->arena, decode_string(&q->d, false, false));
    *ret_version = decode_int16(&q->d);
    const struct message_type *type = message_find((const char *)name.ptr);
    if (!type)
        refuse(q, "no such message", ERR_NOT_FOUND);
    return type;
}

/* D: name, version, bytes. Decoded from memory of exactly that size; what the decoder left is an error. */
static void decode_message(struct question *q) {
    int version;
    const struct message_type *type = read_type(q, &version);
    if (!type)
        return;
    void *x = arena_zalloc(&q->arena, type->size);
    size_t size = decoder_left(&q->d);
    uint8_t *copy = mem_alloc(size);
    if (size)
        memcpy(copy, q->d.ptr, size);
    struct decoder d = decoder_of(slice_of(copy, size), &q->arena);
    enum err err = type->decode(&d, version, x);
    if (err || decoder_left(&d))
        refuse(q, err ? "decode" : "bytes left after decoding", err);
    else
        answer_message(q, type, version, x);
    mem_free(copy);
}

/* G: name, version, seed: a value of ours. */
static void generate_message(struct question *q) {
    int version;
    const struct message_type *type = read_type(q, &version);
    if (!type)
        return;
    void *x = arena_zalloc(&q->arena, type->size);
    message_fill(type, version, decode_uint32(&q->d), &q->arena, x);
    answer_message(q, type, version, x);
}

/* L: every message. */
static void list_messages(struct question *q) {
    static const char *const kinds[] = {"request", "response", "record"};
    for (int i = 0; i < message_type_count; i++) {
        const struct message_type *t = &message_types[i];
        buf_printf(q->answer, "%s\t%s\t%d\t%d\t%d\t%d\n", t->name, kinds[t->kind], t->key, t->version_min, t->version_max,
                   t->flexible_from);
    }
}

/* T: the tables. */
static void list_apis(struct question *q) {
    for (int key = 0; key < API_COUNT; key++) {
        const struct api *api = &api_table[key];
        buf_printf(q->answer, "%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", key, api->name, api->version_min, api->version_max,
                   api->request_flexible_from, api->on_broker, api->on_controller, api->unstable_latest);
    }
}

static void list_errors(struct question *q) {
    for (int code = -1; code < 1000; code++)
        if (strcmp(kafka_error_name(code), "UNKNOWN") != 0)
            buf_printf(q->answer, "%d\t%s\t%s\n", code, kafka_error_name(code), kafka_error_is_retriable(code) ? "true" : "false");
}

static void list_configs(struct question *q) {
    const struct config_def *tables[] = {broker_config_defs, topic_config_defs, group_config_defs};
    const int counts[] = {broker_config_def_count, topic_config_def_count, group_config_def_count};
    static const char *const kinds[] = {"broker", "topic", "group"},
                            *const importances[] = {"HIGH", "MEDIUM", "LOW"},
                            *const types[] = {"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < counts[k]; i++) {
            const struct config_def *def = &tables[k][i];
            buf_printf(q->answer, "%s\t%s\t%s\t%s\t%s\t%s\n", kinds[k], def->name, types[def->type],
                       def->default_value ? def->default_value : "null", importances[def->importance], def->valid);
        }
}

/* H: key, version, correlation id, client id: the header of the request, the header of the answer. */
static void encode_headers(struct question *q) {
    struct api_header header = {.key = decode_int16(&q->d), .version = decode_int16(&q->d)};
    header.correlation_id = decode_int32(&q->d);
    header.client_id = decode_string(&q->d, false, true);
    struct buf request = {0}, response = {0};
    struct encoder e;
    encoder_init(&e, &request, NULL);
    api_header_encode(&e, &header);
    encoder_init(&e, &response, NULL);
    api_response_header_encode(&e, &header);
    struct api_header back;
    struct decoder d = decoder_of(buf_slice(&request), &q->arena);
    if (api_header_decode(&d, &back) || decoder_left(&d) || back.key != header.key || back.version != header.version ||
        back.correlation_id != header.correlation_id || !slice_eq(back.client_id, header.client_id)) {
        refuse(q, "header does not come back", ERR_INVALID);
    } else {
        add_sized(q->answer, &request);
        add_sized(q->answer, &response);
    }
    buf_deinit(&request);
    buf_deinit(&response);
}

/* C: codec, level, bytes: compressed. U: codec, largest size, bytes: decompressed. */
static void compress_bytes(struct question *q) {
    enum codec codec = (enum codec)decode_int8(&q->d);
    int level = decode_int32(&q->d);
    enum err err = codec_compress(q->compressor, codec, level, slice_of(q->d.ptr, decoder_left(&q->d)), q->answer);
    if (err)
        refuse(q, "compress", err);
}

static void decompress_bytes(struct question *q) {
    enum codec codec = (enum codec)decode_int8(&q->d);
    size_t size_max = decode_uint32(&q->d);
    enum err err = codec_decompress(q->compressor, codec, slice_of(q->d.ptr, decoder_left(&q->d)), size_max, q->answer);
    if (err)
        refuse(q, "decompress", err);
}

static void dump_record(struct buf *out, struct record *record) {
    struct slice key, value;
    buf_printf(out, "record %lld %lld ", (long long)record->offset, (long long)record->timestamp);
    json_add_bytes(out, record->key);
    buf_add_byte(out, ' ');
    json_add_bytes(out, record->value);
    while (header_next(record, &key, &value)) {
        buf_add_byte(out, ' ');
        json_add_bytes(out, key);
        buf_add_byte(out, '=');
        json_add_bytes(out, value);
    }
    buf_add_byte(out, '\n');
}

/* R: batches, whole: their headers and records as text. */
static void read_batches(struct question *q) {
    while (decoder_left(&q->d) > 0) {
        const uint8_t *b = q->d.ptr;
        enum err err = batch_check(slice_of(b, decoder_left(&q->d)));
        if (err) {
            refuse(q, "batch_check", err);
            return;
        }
        buf_printf(q->answer, "batch %lld %lld %d %d %lld %lld %d %d %d\n", (long long)batch_base_offset(b),
                   (long long)batch_last_offset(b), batch_leader_epoch(b), batch_attributes(b), (long long)batch_max_timestamp(b),
                   (long long)batch_producer_id(b), batch_producer_epoch(b), batch_base_sequence(b), batch_count(b));
        struct buf payload = {0};
        err = codec_decompress(q->compressor, batch_codec(b), slice_of(b + BATCH_HEADER_SIZE, batch_size(b) - BATCH_HEADER_SIZE),
                               64 << 20, &payload);
        struct record_iterator it;
        struct record record;
        record_iterator_init(&it, b, buf_slice(&payload));
        while (!err && !(err = record_next(&it, &record)))
            dump_record(q->answer, &record);
        buf_deinit(&payload);
        if (err != ERR_NOT_FOUND) {
            refuse(q, "records", err);
            return;
        }
        decoder_take(&q->d, batch_size(b));
    }
}

/* O: messages of magic 0 and 1, whole: their records as text. */
static void read_old_messages(struct question *q) {
    struct old_messages messages = {0};
    while (decoder_left(&q->d) > 0 && !q->is_refused) {
        const uint8_t *b = q->d.ptr;
        enum err err = batch_check(slice_of(b, decoder_left(&q->d)));
        if (err != ERR_UNSUPPORTED) {
            refuse(q, "batch_check", err);
            break;
        }
        struct record record;
        err = old_messages_begin(&messages, slice_of(b, batch_size(b)), 64 << 20);
        while (!err && !(err = old_messages_next(&messages, &record)))
            dump_record(q->answer, &record);
        if (err != ERR_NOT_FOUND)
            refuse(q, "messages", err);
        decoder_take(&q->d, batch_size(b));
    }
    old_messages_deinit(&messages);
}

/* B: builds a batch: base offset, attributes beside the codec, codec, level, producer id, epoch, sequence, then
 * count records: offset delta, timestamp, key, value, count of headers, headers. */
static void build_batch(struct question *q) {
    struct decoder *d = &q->d;
    struct batch_builder builder;
    batch_builder_init(&builder, q->answer, decode_int64(d));
    int attributes = decode_int16(d), codec = decode_int8(d), level = decode_int32(d);
    int64_t producer_id = decode_int64(d);
    int16_t epoch = decode_int16(d);
    int32_t sequence = decode_int32(d);
    for (int32_t count = decode_int32(d); count > 0; count--) {
        int32_t delta = decode_int32(d);
        int64_t timestamp = decode_int64(d);
        struct slice key = decode_bytes(d, false, true), value = decode_bytes(d, false, true);
        int32_t header_count = decode_int32(d);
        struct record_header *headers = arena_array(&q->arena, struct record_header, header_count + 1);
        for (int32_t i = 0; i < header_count; i++)
            headers[i] = (struct record_header){decode_bytes(d, false, false), decode_bytes(d, false, true)};
        batch_builder_add(&builder, delta, timestamp, key, value, headers, header_count);
    }
    enum err err = d->err ? d->err
                          : batch_builder_finish(&builder, attributes, (enum codec)codec, level, q->compressor, producer_id,
                                                 epoch, sequence);
    if (err)
        refuse(q, "build", err);
}

static void answer(struct question *q) {
    static const struct {
        char what;
        void (*fn)(struct question *q);
    } answers[] = {{'D', decode_message}, {'G', generate_message}, {'L', list_messages}, {'A', list_apis}, {'E', list_errors},
                   {'K', list_configs},   {'H', encode_headers},   {'C', compress_bytes}, {'U', decompress_bytes},
                   {'R', read_batches},   {'O', read_old_messages}, {'B', build_batch}};
    char what = (char)decode_int8(&q->d);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        if (answers[i].what == what) {
            answers[i].fn(q);
            return;
        }
    refuse(q, "no such question", ERR_UNSUPPORTED);
}

int main(void) {
    struct buf in = {0};
    struct compressor *compressor = compressor_create();
    uint8_t size[4];
    while (fread(size, 4, 1, stdin) == 1) {
        buf_clear(&in);
        if (fread(buf_extend(&in, load_be32(size)), load_be32(size), 1, stdin) != 1)
            return EXIT_FAILURE;
        struct buf reply = {0};
        struct question q = {.answer = &reply, .compressor = compressor};
        q.d = decoder_of(buf_slice(&in), &q.arena);
        answer(&q);
        store_be32(size, (uint32_t)reply.size + 1);
        fwrite(size, 4, 1, stdout);
        putchar(q.is_refused);
        fwrite(buf_slice(&reply).ptr, 1, reply.size, stdout);
        fflush(stdout);
        buf_deinit(&reply);
        arena_deinit(&q.arena);
    }
    buf_deinit(&in);
    compressor_destroy(compressor);
    return EXIT_SUCCESS;
}
