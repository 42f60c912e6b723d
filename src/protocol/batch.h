/* Record batches, magic 2: the bytes that are on the wire, in the journal, in segments and sent to consumers.
 *
 *      0  i64 base offset             23  i32 last offset delta      51  i16 producer epoch
 *      8  i32 length after this       27  i64 base timestamp         53  i32 base sequence
 *     12  i32 partition leader epoch  35  i64 max timestamp          57  i32 records count
 *     16  i8  magic                   43  i64 producer id            61  records, one block when compressed
 *     17  u32 CRC-32C of 21..end      21  i16 attributes
 *
 * Base offset and leader epoch lie outside the CRC and are patched in place. The getters and setters take a pointer
 * to BATCH_HEADER_SIZE bytes that the caller knows to be there. */
#ifndef PROTOCOL_BATCH_H
#define PROTOCOL_BATCH_H

#include "base/buf.h"
#include "base/endian.h"
#include "base/err.h"
#include "base/slice.h"

#define BATCH_PREFIX_SIZE 12 /* base offset and length */
#define BATCH_HEADER_SIZE 61
#define BATCH_LENGTH_MIN 14  /* of the length field in any format: the smallest old message */
#define BATCH_CRC_START 21
#define BASE_OFFSET_MAX (INT64_MAX - 1 - INT32_MAX) /* above it a last offset, or what follows it, may be none */

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD, CODEC_COUNT };
const char *codec_name(enum codec codec); /* as in compression.type; "none" for CODEC_NONE */

enum {
    BATCH_CODEC_MASK = 7,
    BATCH_APPEND_TIME = 1 << 3,
    BATCH_TRANSACTIONAL = 1 << 4,
    BATCH_CONTROL = 1 << 5,
    BATCH_DELETE_HORIZON = 1 << 6,
};

#define BATCH_FIELD(name, type, bits, at)                                                  \
    static inline type batch_##name(const uint8_t *b) {                                    \
        return (type)load_be##bits(b + at);                                                \
    }                                                                                      \
    static inline void batch_set_##name(uint8_t *b, type x) {                              \
        store_be##bits(b + at, (uint##bits##_t)x);                                         \
    }
BATCH_FIELD(base_offset, int64_t, 64, 0)
BATCH_FIELD(length, int32_t, 32, 8)
BATCH_FIELD(leader_epoch, int32_t, 32, 12)
BATCH_FIELD(crc, uint32_t, 32, 17)
BATCH_FIELD(attributes, int16_t, 16, 21)
BATCH_FIELD(last_offset_delta, int32_t, 32, 23)
BATCH_FIELD(base_timestamp, int64_t, 64, 27)
BATCH_FIELD(max_timestamp, int64_t, 64, 35)
BATCH_FIELD(producer_id, int64_t, 64, 43)
BATCH_FIELD(producer_epoch, int16_t, 16, 51)
BATCH_FIELD(base_sequence, int32_t, 32, 53)
BATCH_FIELD(count, int32_t, 32, 57)
#undef BATCH_FIELD
static inline int8_t batch_magic(const uint8_t *b) {
    return (int8_t)b[16];
}
static inline size_t batch_size(const uint8_t *b) { /* of the whole batch; its length was checked */
    return BATCH_PREFIX_SIZE + (size_t)batch_length(b);
}
/* Of a batch that was not checked it may be anything: no CRC covers a base offset. */
static inline int64_t batch_last_offset(const uint8_t *b) {
    return (int64_t)((uint64_t)batch_base_offset(b) + (uint64_t)batch_last_offset_delta(b));
}
static inline enum codec batch_codec(const uint8_t *b) {
    return (enum codec)(batch_attributes(b) & BATCH_CODEC_MASK);
}
static inline bool batch_is_control(const uint8_t *b) {
    return batch_attributes(b) & BATCH_CONTROL;
}
static inline bool batch_is_transactional(const uint8_t *b) {
    return batch_attributes(b) & BATCH_TRANSACTIONAL;
}
/* Sequences count from 0 again after 2^31-1. */
static inline int32_t sequence_add(int32_t sequence, int32_t count) {
    return (int32_t)(((int64_t)sequence + count) & INT32_MAX);
}
static inline int32_t batch_last_sequence(const uint8_t *b) {
    return batch_base_sequence(b) < 0 ? -1 : sequence_add(batch_base_sequence(b), batch_last_offset_delta(b));
}
/* Of what stands in a segment: a batch, or a message of magic 0 or 1, of which BATCH_PREFIX_SIZE + BATCH_LENGTH_MIN bytes
 * are there. */
static inline int64_t any_last_offset(const uint8_t *b) {
    return batch_magic(b) == 2 ? batch_last_offset(b) : batch_base_offset(b);
}
static inline int64_t any_max_timestamp(const uint8_t *b) { /* -1: it has none */
    return batch_magic(b) == 2 ? batch_max_timestamp(b) : batch_magic(b) == 1 ? (int64_t)load_be64(b + 18) : -1;
}
uint32_t batch_compute_crc(const uint8_t *b); /* of all its bytes, which are there */
void batch_store_crc(uint8_t *b);

/* Is there a whole magic 2 batch with a right CRC at the start of `bytes`? ERR_TRUNCATED: the bytes end before the
 * batch does (a torn tail). ERR_UNSUPPORTED: a message of magic 0 or 1, whole and with a right CRC, for
 * protocol/old_messages.h. ERR_CORRUPT: anything else. */
enum err batch_check(struct slice bytes) MUST_USE;

/* --- records ------------------------------------------------------------------------------------------------ */

struct record {
    int64_t offset, timestamp;
    struct slice key, value; /* ptr NULL: null. Borrowed from the payload */
    int32_t header_count;
    struct slice headers; /* header_next() walks them */
    int32_t size;         /* bytes in the payload, its length field included */
};

/* Walks the records of a batch whose payload is not compressed, or was decompressed by the caller. */
struct record_iterator {
    const uint8_t *ptr, *end;
    int64_t base_offset, base_timestamp, append_time; /* append_time -1: the record's own */
    int32_t left;
};
/* `payload` is the batch's records uncompressed: for CODEC_NONE what follows the header. */
void record_iterator_init(struct record_iterator *it, const uint8_t *batch, struct slice payload);
/* ERR_NOT_FOUND after the last; ERR_BAD_RECORD when the payload does not hold what the count promises, or more. */
enum err record_next(struct record_iterator *it, struct record *ret_record) MUST_USE;
/* Takes the first header off record->headers. False after the last; they were checked by record_next(). */
bool header_next(struct record *record, struct slice *ret_key, struct slice *ret_value);

/* --- building ------------------------------------------------------------------------------------------------ */

struct record_header {
    struct slice key, value;
};
struct batch_builder {
    struct buf *out; /* the batch is appended here */
    size_t start;    /* where it begins in out */
    int64_t base_timestamp, max_timestamp;
    int32_t count, last_offset_delta;
};
/* Starts a batch at the end of `out` with the given base offset, no producer, leader epoch -1. */
void batch_builder_init(struct batch_builder *builder, struct buf *out, int64_t base_offset);
/* offset_delta must rise. */
void batch_builder_add(struct batch_builder *builder, int32_t offset_delta, int64_t timestamp, struct slice key,
                       struct slice value, const struct record_header *headers, int header_count);
struct compressor;
/* Writes the header. `attributes` are the flags beside the codec. The compressor may be NULL for CODEC_NONE. */
enum err batch_builder_finish(struct batch_builder *builder, int attributes, enum codec codec, int level,
                              struct compressor *compressor, int64_t producer_id, int16_t producer_epoch,
                              int32_t base_sequence) MUST_USE;

/* --- control records ------------------------------------------------------------------------------------------ */

enum control_type {
    CONTROL_ABORT = 0,
    CONTROL_COMMIT = 1,
    CONTROL_LEADER_CHANGE = 2,
    CONTROL_SNAPSHOT_HEADER = 3,
    CONTROL_SNAPSHOT_FOOTER = 4,
    CONTROL_KRAFT_VERSION = 5,
    CONTROL_KRAFT_VOTERS = 6,
};
/* The type in a control record's key; -1 when the key is too short. */
int control_type_of(struct slice key);
/* The 4-byte key of a control record. */
struct slice control_key(enum control_type type, uint8_t bytes[4]);

#endif
