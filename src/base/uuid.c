#include "base/uuid.h"

#include <stdio.h>
#include "base/endian.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool uuid_from_random(uint64_t random_high, uint64_t random_low, struct uuid *ret_uuid) {
    struct uuid u = {(random_high & ~0xf000ull) | 0x4000, (random_low & ~(3ull << 62)) | 1ull << 63};
    char text[UUID_TEXT_SIZE];
    if (uuid_text(u, text)[0] == '-')
        return false;
    *ret_uuid = u;
    return true;
}

struct uuid uuid_load(const uint8_t bytes[16]) {
    return (struct uuid){load_be64(bytes), load_be64(bytes + 8)};
}

void uuid_store(struct uuid u, uint8_t bytes[16]) {
    store_be64(bytes, u.msb);
    store_be64(bytes + 8, u.lsb);
}

const char *uuid_text(struct uuid u, char text[UUID_TEXT_SIZE]) {
    uint8_t bytes[18] = {0};
    uuid_store(u, bytes);
    for (int i = 0; i < 22; i++) {
        int bit = i * 6, at = bit / 8;
        unsigned pair = (unsigned)bytes[at] << 8 | bytes[at + 1];
        text[i] = digits[(pair >> (10 - bit % 8)) & 63];
    }
    text[22] = '\0';
    return text;
}

bool uuid_parse(struct slice text, struct uuid *ret_uuid) {
    if (text.size != 22)
        return false;
    uint8_t bytes[18] = {0};
    for (int i = 0; i < 22; i++) {
        const char *digit = text.ptr[i] ? strchr(digits, text.ptr[i]) : NULL;
        if (!digit)
            return false;
        int bit = i * 6, at = bit / 8;
        unsigned value = (unsigned)(digit - digits) << (10 - bit % 8);
        bytes[at] |= (uint8_t)(value >> 8);
        bytes[at + 1] |= (uint8_t)value;
    }
    *ret_uuid = uuid_load(bytes);
    return bytes[16] == 0; /* the last character carries two bits of the value and four zeros */
}

void uuid_hex(struct uuid u, char text[33]) {
    snprintf(text, 33, "%016llx%016llx", (unsigned long long)u.msb, (unsigned long long)u.lsb);
}
