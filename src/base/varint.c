#include "base/varint.h"

int varint_read_u64(const uint8_t *ptr, const uint8_t *end, uint64_t *ret) {
    uint64_t value = 0;
    for (int i = 0; i < VARINT64_SIZE_MAX && ptr + i < end; i++) {
        value |= (uint64_t)(ptr[i] & 0x7f) << (7 * i);
        if (!(ptr[i] & 0x80)) {
            *ret = value;
            return i + 1;
        }
    }
    return 0;
}

int varint_read_u32(const uint8_t *ptr, const uint8_t *end, uint32_t *ret) {
    uint32_t value = 0;
    for (int i = 0; i < VARINT32_SIZE_MAX && ptr + i < end; i++) {
        value |= (uint32_t)(ptr[i] & 0x7f) << (7 * i);
        if (!(ptr[i] & 0x80)) {
            *ret = value;
            return i + 1;
        }
    }
    return 0;
}

int varint_write_u64(uint8_t *ptr, uint64_t value) {
    int size = 0;
    for (; value > 0x7f; value >>= 7)
        ptr[size++] = (uint8_t)(value | 0x80);
    ptr[size++] = (uint8_t)value;
    return size;
}

int varint_write_u32(uint8_t *ptr, uint32_t value) {
    return varint_write_u64(ptr, value);
}

int varint_size_u64(uint64_t value) {
    int bits = 64 - __builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

int varint_size_u32(uint32_t value) {
    return varint_size_u64(value);
}
