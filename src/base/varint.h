/* Kafka's varints: LEB128, and zig-zag for signed values. Readers never read at or past `end`. */
#ifndef BASE_VARINT_H
#define BASE_VARINT_H

#include <stdint.h>

#define VARINT32_SIZE_MAX 5
#define VARINT64_SIZE_MAX 10

/* Bytes read, or 0: too long or the bytes end. *ret is untouched then. */
int varint_read_u32(const uint8_t *ptr, const uint8_t *end, uint32_t *ret);
int varint_read_u64(const uint8_t *ptr, const uint8_t *end, uint64_t *ret);
/* Bytes written; the caller has room for VARINTxx_SIZE_MAX. */
int varint_write_u32(uint8_t *ptr, uint32_t value);
int varint_write_u64(uint8_t *ptr, uint64_t value);
int varint_size_u32(uint32_t value);
int varint_size_u64(uint64_t value);

static inline int32_t zigzag_decode32(uint32_t u) {
    return (int32_t)(u >> 1) ^ -(int32_t)(u & 1);
}
static inline int64_t zigzag_decode64(uint64_t u) {
    return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}
static inline uint32_t zigzag_encode32(int32_t v) {
    return ((uint32_t)v << 1) ^ (uint32_t)(v >> 31);
}
static inline uint64_t zigzag_encode64(int64_t v) {
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

#endif
