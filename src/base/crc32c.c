/* With SSE4.2 a CRC instruction has a latency of three cycles and a throughput of one, so long inputs are
 * cut into three streams whose CRCs are joined by multiplying with x^(8 * block) in GF(2): a table lookup. */
#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>

#define POLY 0x82f63b78u /* reflected */
#define LONG_BLOCK 4096
#define SHORT_BLOCK 256

static uint32_t byte_table[8][256];                             /* slicing by 8 */
static uint32_t long_shift[4][256], short_shift[4][256];        /* advance a CRC over a block of zeros */
static uint32_t (*update)(uint32_t crc, const uint8_t *p, size_t size);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t update_portable(uint32_t crc, const uint8_t *p, size_t size) {
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t x;
        memcpy(&x, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        x = __builtin_bswap64(x);
#endif
        x ^= crc;
        crc = 0;
        for (int i = 0; i < 8; i++)
            crc ^= byte_table[7 - i][(x >> (8 * i)) & 0xff];
    }
    for (; size; p++, size--)
        crc = byte_table[0][(crc ^ *p) & 0xff] ^ (crc >> 8);
    return crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

static inline uint32_t shift_crc(uint32_t table[4][256], uint32_t crc) {
    return table[0][crc & 0xff] ^ table[1][(crc >> 8) & 0xff] ^ table[2][(crc >> 16) & 0xff] ^ table[3][crc >> 24];
}

__attribute__((target("sse4.2"))) static inline uint64_t step(uint64_t crc, const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, 8);
    return _mm_crc32_u64(crc, x);
}

__attribute__((target("sse4.2"))) static uint32_t update_sse42(uint32_t crc, const uint8_t *p, size_t size) {
    uint64_t a = crc;
    for (int pass = 0; pass < 2; pass++) {
        size_t block = pass ? SHORT_BLOCK : LONG_BLOCK;
        uint32_t(*shift)[256] = pass ? short_shift : long_shift;
        for (; size >= 3 * block; p += 3 * block, size -= 3 * block) {
            uint64_t b = 0, c = 0;
            for (size_t i = 0; i < block; i += 8) {
                a = step(a, p + i);
                b = step(b, p + block + i);
                c = step(c, p + 2 * block + i);
            }
            a = shift_crc(shift, (uint32_t)a) ^ b;
            a = shift_crc(shift, (uint32_t)a) ^ c;
        }
    }
    for (; size >= 8; p += 8, size -= 8)
        a = step(a, p);
    for (; size; p++, size--)
        a = _mm_crc32_u8((uint32_t)a, *p);
    return (uint32_t)a;
}
#endif

static void fill_shift(uint32_t table[4][256], size_t zeros) {
    for (int k = 0; k < 4; k++)
        for (uint32_t n = 0; n < 256; n++) {
            uint32_t crc = n << (8 * k);
            for (size_t i = 0; i < zeros; i++)
                crc = byte_table[0][crc & 0xff] ^ (crc >> 8);
            table[k][n] = crc;
        }
}

static void setup(void) {
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? POLY : 0);
        byte_table[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int k = 1; k < 8; k++)
            byte_table[k][n] = byte_table[0][byte_table[k - 1][n] & 0xff] ^ (byte_table[k - 1][n] >> 8);
    update = update_portable;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2")) {
        fill_shift(long_shift, LONG_BLOCK);
        fill_shift(short_shift, SHORT_BLOCK);
        update = update_sse42;
    }
#else
    (void)fill_shift;
    (void)long_shift;
    (void)short_shift;
#endif
}

uint32_t crc32c(uint32_t crc, const void *ptr, size_t size) {
    pthread_once(&once, setup);
    return ~update(~crc, ptr, size);
}
