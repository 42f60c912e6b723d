#include "log/validate.h"

#include <inttypes.h>

enum err validate_header(const struct validate_request *request) {
    const uint8_t *batch = request->bytes;
    bool client = request->origin == APPEND_CLIENT;
    if (client && batch_base_offset(batch) != 0)
        return ERR_BAD_RECORD;
    if (request->origin != APPEND_REPLICATION && request->origin != APPEND_RAFT &&
        (int64_t)request->size > request->settings->message_bytes_max)
        return ERR_TOO_LARGE;
    if (request->size < BATCH_HEADER_SIZE || batch_compute_crc(batch) != batch_crc(batch))
        return ERR_CORRUPT;
    if ((int)batch_codec(batch) >= CODEC_COUNT)
        return ERR_UNKNOWN;
    return ERR_OK;
}

/* The checks on a client's header beyond its CRC. */
static bool client_header_is_good(const uint8_t *batch) {
    int64_t offsets = (int64_t)batch_last_offset_delta(batch) + 1;
    return offsets > 0 && batch_count(batch) > 0 && offsets == batch_count(batch) && !batch_is_control(batch) &&
           !(batch_producer_id(batch) >= 0 && batch_base_sequence(batch) < 0);
}

struct pass {
    const struct validate_request *request;
    struct validate_result *result;
    int64_t max_timestamp;
    int error_capacity;
    bool bad_time;
    enum codec target;
    struct buf records; /* of a conversion: a batch being built */
    struct batch_builder builder;
    bool convert, same_codec;
};

static void add_error(struct pass *pass, int32_t index, const char *message) {
    struct validate_result *result = pass->result;
    if (result->error_count == pass->error_capacity) {
        pass->error_capacity = pass->error_capacity ? pass->error_capacity * 2 : 4;
        struct record_error *errors = arena_array(pass->request->arena, struct record_error, pass->error_capacity);
        if (result->error_count)
            memcpy(errors, result->errors, sizeof *errors * (size_t)result->error_count);
        result->errors = errors;
    }
    result->errors[result->error_count++] = (struct record_error){index, message};
}

static int64_t wrap_sub(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static bool time_is_good(struct pass *pass, int64_t timestamp) {
    const struct validate_settings *settings = pass->request->settings;
    int64_t now = pass->request->now_ms;
    if (settings->append_time)
        return true;
    if (timestamp != -1)
        return wrap_sub(now, timestamp) <= settings->timestamp_before_max_ms &&
               wrap_sub(timestamp, now) <= settings->timestamp_after_max_ms;
    return true;
}

/* Kafka's texts tell null as -1 bytes where it has skipped the bytes, and as 0 where it has not. */
static long long told_size(const struct pass *pass, struct slice s) {
    return pass->same_codec && !s.ptr ? -1 : (long long)s.size;
}

static void check_record(struct pass *pass, int32_t index, const struct record *record) {
    const struct validate_request *request = pass->request;
    const struct validate_settings *settings = request->settings;
    bool control = batch_is_control(request->bytes);
    if (settings->compact && !record->key.ptr && !control) {
        add_error(pass, index,
                  arena_printf(request->arena,
                               "Compacted topic cannot accept message without key in topic partition %s-%" PRId32,
                               request->topic, request->partition));
        return;
    }
    /* A client's batch may not claim append time, unless the range check already spoke for its timestamps. */
    bool claims = (batch_attributes(request->bytes) & BATCH_APPEND_TIME) && request->origin == APPEND_CLIENT &&
                  (settings->append_time || record->timestamp == -1);
    if (claims) {
        pass->bad_time = true;
        add_error(pass, index,
                  arena_printf(request->arena,
                               "Invalid timestamp type in message %sDefaultRecord(offset=%" PRId64 ", timestamp=%" PRId64
                               ", key=%lld bytes, value=%lld bytes). Producer should not set timestamp type to LogAppendTime.",
                               pass->same_codec ? "Partial" : "", record->offset, record->timestamp, told_size(pass, record->key),
                               told_size(pass, record->value)));
    } else if (!time_is_good(pass, record->timestamp)) {
        pass->bad_time = true;
        int64_t now = request->now_ms;
        add_error(pass, index,
                  arena_printf(request->arena,
                               "Timestamp %" PRId64 " of message with offset %" PRId64
                               " is out of range. The timestamp should be within [%" PRId64 ", %" PRId64 "]",
                               record->timestamp, record->offset,
                               wrap_sub(now, settings->timestamp_before_max_ms),
                               (int64_t)((uint64_t)now + (uint64_t)settings->timestamp_after_max_ms)));
    }
}

static void convert_record(struct pass *pass, int32_t index, struct record *record) {
    struct record_header *headers = NULL;
    if (record->header_count)
        headers = arena_array(pass->request->arena, struct record_header, record->header_count);
    int count = record->header_count; /* header_next() counts it down */
    for (int i = 0; i < count && header_next(record, &headers[i].key, &headers[i].value); i++)
        ;
    batch_builder_add(&pass->builder, index, record->timestamp, record->key, record->value, headers, count);
}

/* Nearly all batches are fine: one tight loop over the frames finds that out. False: walk_records() says what is wrong,
 * record by record, in Kafka's order. */
static bool records_are_fine(struct pass *pass, struct slice payload) {
    const struct validate_settings *settings = pass->request->settings;
    const uint8_t *batch = pass->request->bytes;
    struct record_iterator it;
    record_iterator_init(&it, batch, payload);
    int64_t next = it.base_offset, time_min = INT64_MAX, time_max = -1;
    bool keyless = false;
    struct record record;
    enum err err;
    while (!(err = record_next(&it, &record))) {
        time_min = record.timestamp < time_min ? record.timestamp : time_min;
        time_max = record.timestamp > time_max ? record.timestamp : time_max;
        keyless |= !record.key.ptr;
        if (pass->same_codec && record.offset != next++)
            return false;
    }
    if (err != ERR_NOT_FOUND || time_min < 0 || (batch_attributes(batch) & BATCH_APPEND_TIME) || (settings->compact && keyless) ||
        !time_is_good(pass, time_min) || !time_is_good(pass, time_max))
        return false;
    pass->max_timestamp = time_max;
    return true;
}

/* The length of the record there is no number at all: Kafka fails otherwise than over a record that is none. */
static bool length_is_endless(const struct record_iterator *it) {
    int bytes = 0;
    while (bytes < 5 && it->ptr + bytes < it->end && (it->ptr[bytes] & 0x80))
        bytes++;
    return bytes == 5;
}

/* Errors in Kafka's order: what cannot be read, what records are refused for, what cannot be written anew. */
static enum err walk_records(struct pass *pass, struct slice payload) {
    const uint8_t *batch = pass->request->bytes;
    struct record_iterator it;
    record_iterator_init(&it, batch, payload);
    int64_t base = batch_base_offset(batch);
    struct record record;
    enum err err;
    bool cannot_convert = pass->convert && batch_producer_id(batch) >= 0 && batch_producer_epoch(batch) < 0;
    int32_t index = 0;
    for (; !(err = record_next(&it, &record)); index++) {
        if (record.timestamp > pass->max_timestamp)
            pass->max_timestamp = record.timestamp;
        check_record(pass, index, &record);
        cannot_convert |= pass->same_codec ? record.offset - base != index : pass->convert && record.timestamp < -1;
        if (pass->convert && !cannot_convert) {
            int32_t headers = record.header_count;
            convert_record(pass, index, &record);
            record.header_count = headers;
        }
    }
    if (err != ERR_NOT_FOUND)
        return batch_codec(batch) == CODEC_NONE && it.left > 0 && length_is_endless(&it) ? ERR_UNKNOWN : err;
    return cannot_convert && !pass->result->error_count ? ERR_UNKNOWN : ERR_OK;
}

static enum err fail_records(struct pass *pass) {
    struct validate_result *result = pass->result;
    struct arena *arena = pass->request->arena;
    if (pass->bad_time) {
        result->message = "One or more records have been rejected due to invalid timestamp";
        return ERR_BAD_TIMESTAMP;
    }
    struct buf text = {0};
    buf_printf(&text, "One or more records have been rejected due to %d record errors in total, and only showing the first "
                      "three errors at most: [", result->error_count);
    for (int i = 0; i < result->error_count && i < 3; i++)
        buf_printf(&text, "%sRecordError(batchIndex=%" PRId32 ", message='%s')", i ? ", " : "",
                   result->errors[i].batch_index, result->errors[i].message);
    buf_add_str(&text, "]");
    result->message = (const char *)arena_slice(arena, buf_slice(&text)).ptr;
    buf_deinit(&text);
    return ERR_BAD_RECORD;
}

static int level_of(const struct validate_settings *settings, enum codec codec) {
    return codec == CODEC_GZIP   ? settings->gzip_level
           : codec == CODEC_LZ4  ? settings->lz4_level
           : codec == CODEC_ZSTD ? settings->zstd_level
                                 : COMPRESS_LEVEL_DEFAULT;
}

static enum err finish_conversion(struct pass *pass) {
    const struct validate_request *request = pass->request;
    const uint8_t *batch = request->bytes;
    const struct validate_settings *settings = request->settings;
    int attributes = batch_attributes(batch) & (BATCH_TRANSACTIONAL | BATCH_CONTROL);
    enum err err = batch_builder_finish(&pass->builder, attributes, pass->target, level_of(settings, pass->target),
                                        request->compressor, batch_producer_id(batch), batch_producer_epoch(batch),
                                        batch_base_sequence(batch));
    if (!err && (int64_t)pass->records.size > settings->message_bytes_max)
        err = ERR_TOO_LARGE;
    if (err) {
        buf_deinit(&pass->records);
        return err;
    }
    pass->result->converted = pass->records;
    return ERR_OK;
}

/* Gives the batch its place, and the right maxTimestamp; the CRC changes only when bytes under it did. */
static void stamp(struct pass *pass, uint8_t *batch) {
    const struct validate_request *request = pass->request;
    bool append_time = request->settings->append_time;
    int16_t attributes = batch_attributes(batch);
    int64_t max_timestamp = append_time ? request->now_ms : pass->max_timestamp;
    bool flagged = attributes & BATCH_APPEND_TIME;
    if (flagged != append_time || batch_max_timestamp(batch) != max_timestamp) {
        attributes &= 0x77;
        batch_set_attributes(batch, (int16_t)(attributes | (append_time ? BATCH_APPEND_TIME : 0)));
        batch_set_max_timestamp(batch, max_timestamp);
        batch_store_crc(batch);
    }
    batch_set_base_offset(batch, request->base_offset);
    batch_set_leader_epoch(batch, request->leader_epoch);
    pass->result->append_time_ms = append_time ? request->now_ms : -1;
}

enum err validate_batch(const struct validate_request *request, struct validate_result *ret_result) {
    *ret_result = (struct validate_result){.append_time_ms = -1};
    uint8_t *batch = request->bytes;
    if (request->origin == APPEND_CLIENT && !client_header_is_good(batch))
        return ERR_BAD_RECORD;
    const struct validate_settings *settings = request->settings;
    enum codec source = batch_codec(batch);
    struct pass pass = {.request = request, .result = ret_result, .max_timestamp = -1};
    pass.target = settings->codec == VALIDATE_CODEC_PRODUCER ? source : (enum codec)settings->codec;
    if (source == CODEC_NONE && batch_is_control(batch))
        pass.target = CODEC_NONE;
    pass.convert = pass.target != source;
    pass.same_codec = !pass.convert && source != CODEC_NONE;
    struct slice payload = slice_of(batch + BATCH_HEADER_SIZE, request->size - BATCH_HEADER_SIZE);
    struct buf plain = {0};
    enum err err = ERR_OK;
    if (source != CODEC_NONE) {
        err = codec_decompress(request->compressor, source, payload,
                               VALIDATE_DECOMPRESSED_MAX(settings->message_bytes_max), &plain);
        if (err)
            err = ERR_UNKNOWN;
        payload = buf_slice(&plain);
    }
    if (!err && pass.convert)
        batch_builder_init(&pass.builder, &pass.records, request->base_offset);
    if (!err && (pass.convert || !records_are_fine(&pass, payload)))
        err = walk_records(&pass, payload);
    if (err)
        ret_result->error_count = 0; /* what cannot be read has no records to name */
    else if (ret_result->error_count)
        err = fail_records(&pass);
    if (!err && pass.convert)
        err = finish_conversion(&pass);
    else
        buf_deinit(&pass.records);
    buf_deinit(&plain);
    if (!err)
        stamp(&pass, pass.convert ? ret_result->converted.ptr : batch);
    return err;
}
