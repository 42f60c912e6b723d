/* What a leader does with a client's batch: frame, checksum, records, timestamps, recompression, producer state;
 * and messages of the formats before batches. The first byte chooses the settings; checksums are made right, else nothing behind them would be reached. */
#include "log/validate.h"
#include "protocol/old_messages.h"
#include "tests/fuzz/fuzz.h"

static struct compressor *compressor;

static void walk(const uint8_t *batch) {
    struct buf payload = {0};
    struct record_iterator it;
    struct record record;
    struct slice key, value, records = slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE);
    enum err err = codec_decompress(compressor, batch_codec(batch), records, 1 << 20, &payload);
    if (!err) {
        record_iterator_init(&it, batch, buf_slice(&payload));
        while ((err = record_next(&it, &record)) == ERR_OK)
            while (header_next(&record, &key, &value))
                ;
    }
    buf_deinit(&payload);
}

static void walk_old(struct slice message) {
    static struct old_messages messages;
    struct record record;
    uint64_t sum = 0;
    enum err err = old_messages_begin(&messages, message, 1 << 20);
    while (!err && !(err = old_messages_next(&messages, &record)))
        sum += (uint64_t)record.timestamp + record.key.size + (record.value.size ? record.value.ptr[record.value.size - 1] : 0);
    (void)sum;
}

static void append(uint8_t *bytes, size_t size, uint8_t choice) {
    static const int codecs[] = {VALIDATE_CODEC_PRODUCER, CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD};
    struct arena arena = {0};
    const struct validate_settings settings = {
        .codec = codecs[choice % 6], .gzip_level = 1, .lz4_level = 1, .zstd_level = 1,
        .append_time = choice & 8, .compact = choice & 16,
        .timestamp_before_max_ms = INT64_MAX, .timestamp_after_max_ms = 3600000, .message_bytes_max = 1 << 20,
    };
    const struct validate_request request = {
        .bytes = bytes, .size = size, .origin = choice & 32 ? APPEND_COORDINATOR : APPEND_CLIENT, .settings = &settings,
        .base_offset = 1000, .leader_epoch = 7, .now_ms = 1700000000000, .topic = "t", .compressor = compressor, .arena = &arena,
    };
    struct validate_result result = {0};
    struct producers producers = {0};
    struct producer_batch duplicate;
    struct aborted_txn aborted;
    bool is_duplicate;
    if (!validate_header(&request) && !validate_batch(&request, &result)) {
        const uint8_t *done = result.converted.size ? result.converted.ptr : bytes;
        check(batch_check(slice_of(done, batch_size(done))) == ERR_OK, "a batch that was let in is not one");
        check(batch_base_offset(done) == 1000 && batch_leader_epoch(done) == 7, "a batch that was let in is not placed");
        walk(done);
        for (int i = 0; i < 2; i++) /* the second time it is a duplicate, or has no producer */
            if (!producers_check(&producers, done, request.origin, GUARD_NOT_NEEDED, &is_duplicate, &duplicate) && !is_duplicate)
                producers_append(&producers, done, &aborted);
    }
    producers_clear(&producers);
    buf_deinit(&result.converted);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!compressor)
        compressor = compressor_create();
    struct input input = input_of(data, size);
    uint8_t choice = input_byte(&input);
    struct slice bytes = input_rest(&input);
    uint8_t *copy = copy_bytes(bytes);
    if (!(choice & 64))
        fix_batches(copy, bytes.size);
    for (size_t at = 0; at < bytes.size;) {
        enum err err = batch_check(slice_of(copy + at, bytes.size - at));
        if (err && err != ERR_UNSUPPORTED)
            break;
        size_t whole = batch_size(copy + at);
        uint8_t *batch = copy_bytes(slice_of(copy + at, whole));
        if (err) {
            walk_old(slice_of(batch, whole));
        } else {
            walk(batch);
            append(batch, whole, choice);
        }
        mem_free(batch);
        at += whole;
    }
    mem_free(copy);
    return 0;
}
