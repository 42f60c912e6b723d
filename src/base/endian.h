/* Big-endian loads and stores at any address: the byte order of Kafka's wire and files. */
#ifndef BASE_ENDIAN_H
#define BASE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define ENDIAN_ACCESS(bits)                                                                \
    static inline uint##bits##_t load_be##bits(const void *p) {                            \
        uint##bits##_t x;                                                                  \
        memcpy(&x, p, sizeof x);                                                           \
        return be##bits##toh(x);                                                           \
    }                                                                                      \
    static inline void store_be##bits(void *p, uint##bits##_t x) {                         \
        x = htobe##bits(x);                                                                \
        memcpy(p, &x, sizeof x);                                                           \
    }
ENDIAN_ACCESS(16)
ENDIAN_ACCESS(32)
ENDIAN_ACCESS(64)
#undef ENDIAN_ACCESS

#endif
