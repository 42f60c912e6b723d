/* What a leader asks of record batches before it appends them, in Kafka's order and with Kafka's answers, and the
 * changes it makes: maxTimestamp, append time, recompression. A pure function of bytes and settings. */
#ifndef LOG_VALIDATE_H
#define LOG_VALIDATE_H

#include "base/arena.h"
#include "log/producers.h"
#include "protocol/compress.h"

struct validate_settings {
    int codec;             /* enum codec, or VALIDATE_CODEC_PRODUCER: as the producer sent it */
    int gzip_level, lz4_level, zstd_level;
    bool append_time;      /* message.timestamp.type=LogAppendTime */
    bool compact;          /* every record needs a key */
    int64_t timestamp_before_max_ms, timestamp_after_max_ms;
    int32_t message_bytes_max;
};
enum { VALIDATE_CODEC_PRODUCER = -1 };

/* No batch may grow beyond this when it is decompressed to be checked: a bomb costs at most so much memory. */
#define VALIDATE_DECOMPRESSED_MAX(message_bytes_max)                                                 \
    ((size_t)(message_bytes_max) * 32 > (256u << 20) ? (size_t)(message_bytes_max) * 32 : (size_t)(256u << 20))

struct record_error {
    int32_t batch_index;
    const char *message; /* in the arena */
};
struct validate_result {
    const char *message;         /* of the whole partition, in the arena; NULL: none */
    struct record_error *errors; /* in the arena */
    int error_count;
    int64_t append_time_ms;      /* -1 with CreateTime */
    /* When the batch had to be rewritten: the new bytes, owned by whoever called. */
    struct buf converted;
};

struct validate_request {
    uint8_t *bytes;  /* one batch, framed: BATCH_HEADER_SIZE bytes and its length are there. Patched in place */
    size_t size;
    enum append_origin origin;
    const struct validate_settings *settings;
    int64_t base_offset;
    int32_t leader_epoch;
    int64_t now_ms;
    const char *topic; /* for messages */
    int32_t partition;
    struct compressor *compressor;
    struct arena *arena;
};

/* The header pass: frame, size, CRC. TOO_LARGE, CORRUPT, BAD_RECORD, UNKNOWN. */
enum err validate_header(const struct validate_request *request) MUST_USE;
/* The batch and its records; on success the batch (request->bytes or result->converted) has base_offset and
 * leader_epoch in it and is ready to be appended. BAD_RECORD, BAD_TIMESTAMP, TOO_LARGE, UNKNOWN. */
enum err validate_batch(const struct validate_request *request, struct validate_result *ret_result) MUST_USE;

#endif
