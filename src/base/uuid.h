/* UUIDs as Kafka has them: 16 bytes, most significant 64 bits first; text is unpadded base64url, 22 characters. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include "base/map.h"

struct uuid {
    uint64_t msb, lsb;
};

#define UUID_TEXT_SIZE 23 /* with the NUL */
#define UUID_ZERO ((struct uuid){0, 0})
#define UUID_METADATA_TOPIC ((struct uuid){0, 1}) /* __cluster_metadata */

static inline bool uuid_eq(struct uuid a, struct uuid b) {
    return a.msb == b.msb && a.lsb == b.lsb;
}
static inline bool uuid_is_zero(struct uuid u) {
    return u.msb == 0 && u.lsb == 0;
}
static inline uint64_t uuid_hash(struct uuid u) {
    return hash_u64(u.msb ^ hash_u64(u.lsb));
}
/* Makes a version 4 UUID of 128 random bits; false when Kafka would not use it (reserved, or its text
 * begins with '-'): then draw again. */
bool uuid_from_random(uint64_t random_high, uint64_t random_low, struct uuid *ret_uuid);
struct uuid uuid_load(const uint8_t bytes[16]);
void uuid_store(struct uuid u, uint8_t bytes[16]);
const char *uuid_text(struct uuid u, char text[UUID_TEXT_SIZE]); /* returns text */
bool uuid_parse(struct slice text, struct uuid *ret_uuid);       /* false: not 22 characters of base64url */
void uuid_hex(struct uuid u, char text[33]);                     /* 32 hex digits, for directory suffixes */

#endif
