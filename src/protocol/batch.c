#include "protocol/batch.h"

#include <zlib.h>
#include "base/check.h"
#include "base/crc32c.h"
#include "base/varint.h"
#include "protocol/compress.h"

const char *codec_name(enum codec codec) {
    static const char *const names[CODEC_COUNT] = {"none", "gzip", "snappy", "lz4", "zstd"};
    return (unsigned)codec < CODEC_COUNT ? names[codec] : "unknown";
}

uint32_t batch_compute_crc(const uint8_t *b) {
    return crc32c(0, b + BATCH_CRC_START, batch_size(b) - BATCH_CRC_START);
}

void batch_store_crc(uint8_t *b) {
    batch_set_crc(b, batch_compute_crc(b));
}

enum err batch_check(struct slice bytes) {
    if (bytes.size < BATCH_PREFIX_SIZE + BATCH_LENGTH_MIN)
        return ERR_TRUNCATED;
    int32_t length = batch_length(bytes.ptr);
    int magic = batch_magic(bytes.ptr);
    if (length < BATCH_LENGTH_MIN || batch_base_offset(bytes.ptr) < 0 || batch_base_offset(bytes.ptr) > BASE_OFFSET_MAX || magic < 0 || magic > 2)
        return ERR_CORRUPT;
    if (bytes.size - BATCH_PREFIX_SIZE < (size_t)length)
        return ERR_TRUNCATED;
    if (magic < 2) /* CRC-32 of what follows it */
        return load_be32(bytes.ptr + 12) == (uint32_t)crc32(0, bytes.ptr + 16, (uInt)batch_size(bytes.ptr) - 16) ? ERR_UNSUPPORTED
                                                                                                            : ERR_CORRUPT;
    if (batch_size(bytes.ptr) < BATCH_HEADER_SIZE || batch_crc(bytes.ptr) != batch_compute_crc(bytes.ptr))
        return ERR_CORRUPT;
    return ERR_OK;
}

/* --- records --- */

void record_iterator_init(struct record_iterator *it, const uint8_t *batch, struct slice payload) {
    *it = (struct record_iterator){
        .ptr = payload.ptr,
        .end = payload.ptr + payload.size,
        .base_offset = batch_base_offset(batch),
        .base_timestamp = batch_base_timestamp(batch),
        .append_time = (batch_attributes(batch) & BATCH_APPEND_TIME) ? batch_max_timestamp(batch) : -1,
        .left = batch_count(batch),
    };
}

static bool read_long_int(const uint8_t **ptr, const uint8_t *end, int32_t *ret) {
    uint32_t u;
    int size = varint_read_u32(*ptr, end, &u);
    *ptr += size;
    *ret = size ? zigzag_decode32(u) : 0;
    return size > 0;
}

/* Signed varints; false when the bytes end or it is too long. Every record that a producer sends is framed by these: the
 * usual one and two bytes are read in line. */
static inline __attribute__((always_inline)) bool read_int(const uint8_t **ptr, const uint8_t *end, int32_t *ret) {
    const uint8_t *p = *ptr;
    if (p < end && !(p[0] & 0x80)) {
        *ret = zigzag_decode32(p[0]);
        *ptr = p + 1;
        return true;
    }
    if (end - p >= 2 && !(p[1] & 0x80)) {
        *ret = zigzag_decode32((p[0] & 0x7fu) | (uint32_t)p[1] << 7);
        *ptr = p + 2;
        return true;
    }
    return read_long_int(ptr, end, ret);
}

static inline __attribute__((always_inline)) bool read_long(const uint8_t **ptr, const uint8_t *end, int64_t *ret) {
    if (*ptr < end && !(**ptr & 0x80)) {
        *ret = zigzag_decode64(*(*ptr)++);
        return true;
    }
    uint64_t u;
    int size = varint_read_u64(*ptr, end, &u);
    *ptr += size;
    *ret = size ? zigzag_decode64(u) : 0;
    return size > 0;
}

static inline __attribute__((always_inline)) bool read_bytes(const uint8_t **ptr, const uint8_t *end, struct slice *ret) {
    int32_t size;
    if (!read_int(ptr, end, &size))
        return false;
    if (size < 0) {
        *ret = SLICE_NULL;
        return true;
    }
    if (size > end - *ptr)
        return false;
    *ret = slice_of(*ptr, (size_t)size);
    *ptr += size;
    return true;
}

enum err record_next(struct record_iterator *it, struct record *ret_record) {
    if (it->left <= 0)
        return it->ptr == it->end ? ERR_NOT_FOUND : ERR_BAD_RECORD;
    const uint8_t *start = it->ptr, *ptr = it->ptr;
    int32_t size, offset_delta, header_count;
    int64_t timestamp_delta;
    if (!read_int(&ptr, it->end, &size) || size < 0 || size > it->end - ptr)
        return ERR_BAD_RECORD;
    const uint8_t *end = ptr + size;
    if (ptr++ == end) /* attributes, unused */
        return ERR_BAD_RECORD;
    struct record record;
    if (!read_long(&ptr, end, &timestamp_delta) || !read_int(&ptr, end, &offset_delta) ||
        !read_bytes(&ptr, end, &record.key) || !read_bytes(&ptr, end, &record.value) ||
        !read_int(&ptr, end, &header_count) || header_count < 0)
        return ERR_BAD_RECORD;
    const uint8_t *headers = ptr;
    for (int32_t i = 0; i < header_count; i++) {
        struct slice key, value;
        if (!read_bytes(&ptr, end, &key) || slice_is_null(key) || !read_bytes(&ptr, end, &value))
            return ERR_BAD_RECORD;
    }
    if (ptr != end)
        return ERR_BAD_RECORD;
    record.offset = (int64_t)((uint64_t)it->base_offset + (uint64_t)(int64_t)offset_delta);
    record.timestamp = it->append_time >= 0 ? it->append_time
                                            : (int64_t)((uint64_t)it->base_timestamp + (uint64_t)timestamp_delta);
    record.header_count = header_count;
    record.headers = slice_of(headers, (size_t)(end - headers));
    record.size = (int32_t)(end - start);
    it->ptr = end;
    it->left--;
    *ret_record = record;
    return ERR_OK;
}

bool header_next(struct record *record, struct slice *ret_key, struct slice *ret_value) {
    if (record->header_count == 0)
        return false;
    const uint8_t *ptr = record->headers.ptr, *end = ptr + record->headers.size;
    if (!read_bytes(&ptr, end, ret_key) || !read_bytes(&ptr, end, ret_value))
        return false;
    record->headers = slice_of(ptr, (size_t)(end - ptr));
    record->header_count--;
    return true;
}

/* --- building --- */

void batch_builder_init(struct batch_builder *builder, struct buf *out, int64_t base_offset) {
    *builder = (struct batch_builder){.out = out, .start = out->size, .max_timestamp = -1};
    uint8_t *b = memset(buf_extend(out, BATCH_HEADER_SIZE), 0, BATCH_HEADER_SIZE);
    batch_set_base_offset(b, base_offset);
    batch_set_leader_epoch(b, -1);
    b[16] = 2;
}

static void add_int(struct buf *out, int64_t x) {
    uint8_t *at = buf_reserve(out, VARINT64_SIZE_MAX);
    out->size += (size_t)varint_write_u64(at, zigzag_encode64(x));
}

static void add_bytes(struct buf *out, struct slice s) {
    add_int(out, slice_is_null(s) ? -1 : (int64_t)s.size);
    buf_add_slice(out, s);
}

static size_t int_size(int64_t x) {
    return (size_t)varint_size_u64(zigzag_encode64(x));
}

static size_t bytes_size(struct slice s) {
    return int_size(slice_is_null(s) ? -1 : (int64_t)s.size) + s.size;
}

void batch_builder_add(struct batch_builder *builder, int32_t offset_delta, int64_t timestamp, struct slice key,
                       struct slice value, const struct record_header *headers, int header_count) {
    check(builder->count == 0 || offset_delta > builder->last_offset_delta);
    if (builder->count == 0)
        builder->base_timestamp = timestamp;
    if (timestamp > builder->max_timestamp)
        builder->max_timestamp = timestamp;
    int64_t delta = timestamp - builder->base_timestamp;
    size_t size = 1 + int_size(delta) + int_size(offset_delta) + bytes_size(key) + bytes_size(value) + int_size(header_count);
    for (int i = 0; i < header_count; i++)
        size += bytes_size(headers[i].key) + bytes_size(headers[i].value);
    add_int(builder->out, (int64_t)size);
    buf_add_byte(builder->out, 0);
    add_int(builder->out, delta);
    add_int(builder->out, offset_delta);
    add_bytes(builder->out, key);
    add_bytes(builder->out, value);
    add_int(builder->out, header_count);
    for (int i = 0; i < header_count; i++) {
        add_bytes(builder->out, headers[i].key);
        add_bytes(builder->out, headers[i].value);
    }
    builder->count++;
    builder->last_offset_delta = offset_delta;
}

enum err batch_builder_finish(struct batch_builder *builder, int attributes, enum codec codec, int level,
                              struct compressor *compressor, int64_t producer_id, int16_t producer_epoch,
                              int32_t base_sequence) {
    struct buf *out = builder->out;
    if (codec != CODEC_NONE) {
        struct buf packed = {0};
        size_t at = builder->start + BATCH_HEADER_SIZE;
        enum err err = codec_compress(compressor, codec, level, slice_of(out->ptr + at, out->size - at), &packed);
        if (!err) {
            out->size = at;
            buf_add_slice(out, buf_slice(&packed));
        }
        buf_deinit(&packed);
        if (err)
            return err;
    }
    uint8_t *b = out->ptr + builder->start;
    batch_set_length(b, (int32_t)(out->size - builder->start - BATCH_PREFIX_SIZE));
    batch_set_attributes(b, (int16_t)(attributes | (int)codec));
    batch_set_last_offset_delta(b, builder->last_offset_delta);
    batch_set_base_timestamp(b, builder->count ? builder->base_timestamp : -1);
    batch_set_max_timestamp(b, builder->max_timestamp);
    batch_set_producer_id(b, producer_id);
    batch_set_producer_epoch(b, producer_epoch);
    batch_set_base_sequence(b, base_sequence);
    batch_set_count(b, builder->count);
    batch_store_crc(b);
    return ERR_OK;
}

/* --- control records --- */

int control_type_of(struct slice key) {
    return key.size >= 4 ? (int16_t)load_be16(key.ptr + 2) : -1;
}

struct slice control_key(enum control_type type, uint8_t bytes[4]) {
    store_be16(bytes, 0);
    store_be16(bytes + 2, (uint16_t)type);
    return slice_of(bytes, 4);
}
