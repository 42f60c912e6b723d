/* What generated decoders and encoders stand on. A decoder never reads past its end, never allocates more than
 * the bytes that are left can justify, and borrows strings and bytes from its input. Errors stick: after the
 * first, reads give zero. Encodings: Kafka's classic (fixed lengths) and flexible (compact lengths, tagged fields). */
#ifndef PROTOCOL_CODEC_H
#define PROTOCOL_CODEC_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/endian.h"
#include "base/err.h"
#include "base/uuid.h"
#include "base/varint.h"
#include "runtime/runtime.h"

/* A field of type `records`. Decoded: bytes. To encode: bytes, or pieces, which the encoder does not copy. */
struct records {
    struct slice bytes; /* ptr NULL with pieces NULL: null */
    const struct piece *pieces;
    int piece_count;
    size_t size; /* of all pieces */
};

struct decoder {
    const uint8_t *ptr, *end;
    struct arena *arena; /* takes the arrays; must outlive what was decoded, as must the input */
    enum err err;
};

static inline struct decoder decoder_of(struct slice bytes, struct arena *arena) {
    return (struct decoder){bytes.ptr, bytes.ptr + bytes.size, arena, ERR_OK};
}
static inline size_t decoder_left(const struct decoder *d) {
    return (size_t)(d->end - d->ptr);
}
static inline void decoder_fail(struct decoder *d, enum err err) {
    if (!d->err)
        d->err = err;
    d->ptr = d->end;
}
static inline const uint8_t *decoder_take(struct decoder *d, size_t size) { /* NULL: not there */
    if (__builtin_expect(decoder_left(d) < size, 0)) {
        decoder_fail(d, ERR_TRUNCATED);
        return NULL;
    }
    const uint8_t *p = d->ptr;
    d->ptr += size;
    return p;
}
#define DECODE_INT(name, type, bits)                                                       \
    static inline type decode_##name(struct decoder *d) {                                  \
        const uint8_t *p = decoder_take(d, bits / 8);                                      \
        return p ? (type)load_be##bits(p) : 0;                                             \
    }
DECODE_INT(int16, int16_t, 16)
DECODE_INT(uint16, uint16_t, 16)
DECODE_INT(int32, int32_t, 32)
DECODE_INT(uint32, uint32_t, 32)
DECODE_INT(int64, int64_t, 64)
#undef DECODE_INT
static inline int8_t decode_int8(struct decoder *d) {
    const uint8_t *p = decoder_take(d, 1);
    return p ? (int8_t)*p : 0;
}
static inline bool decode_bool(struct decoder *d) {
    return decode_int8(d) != 0;
}
static inline double decode_float64(struct decoder *d) {
    int64_t bits = decode_int64(d);
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline struct uuid decode_uuid(struct decoder *d) {
    const uint8_t *p = decoder_take(d, 16);
    return p ? uuid_load(p) : UUID_ZERO;
}
uint32_t decode_uvarint(struct decoder *d);
/* Strings and bytes; a null where none may be is ERR_INVALID. */
struct slice decode_string(struct decoder *d, bool flexible, bool nullable);
struct slice decode_bytes(struct decoder *d, bool flexible, bool nullable);
struct records decode_records(struct decoder *d, bool flexible, bool nullable);
/* The count of an array (-1: null) whose elements take at least element_size_min bytes each, and zeroed memory
 * for it; NULL with the error set when there is not enough. */
void *decode_array(struct decoder *d, bool flexible, bool nullable, size_t element_size_min, size_t element_size,
                   int32_t *ret_count);
void decode_skip_tags(struct decoder *d);

/* ---- encoding ----------------------------------------------------------------------------------------------- */

struct encoder_splice { /* pieces that belong at this place of the encoded bytes */
    size_t at;
    const struct records *records;
};
#define ENCODER_SPLICES_INLINE 8
struct encoder {
    struct buf *buf;
    struct arena *arena; /* for more splices than fit inline; may be NULL when no records are encoded by pieces */
    struct encoder_splice *splices, inline_splices[ENCODER_SPLICES_INLINE];
    int splice_count, splice_capacity;
    size_t splice_size; /* bytes of all pieces, which are not in buf */
    uint64_t *errors;   /* ENCODER_ERRORS counters, by error code + 1; NULL: not counted */
    enum err err;
};
enum { ENCODER_ERRORS = 136 }; /* codes from -1 to 134; those beyond go to the first */

/* Appends to buf. The encoder must not be moved or copied after this. */
static inline void encoder_init(struct encoder *e, struct buf *buf, struct arena *arena) {
    *e = (struct encoder){.buf = buf, .arena = arena, .splice_capacity = ENCODER_SPLICES_INLINE};
    e->splices = e->inline_splices;
}
#define ENCODE_INT(name, type, bits)                                                       \
    static inline void encode_##name(struct encoder *e, type x) {                          \
        store_be##bits(buf_extend(e->buf, bits / 8), (uint##bits##_t)x);                   \
    }
ENCODE_INT(int16, int16_t, 16)
ENCODE_INT(uint16, uint16_t, 16)
ENCODE_INT(int32, int32_t, 32)
ENCODE_INT(uint32, uint32_t, 32)
ENCODE_INT(int64, int64_t, 64)
#undef ENCODE_INT
static inline void encode_error_code(struct encoder *e, int16_t code) {
    if (e->errors)
        e->errors[(unsigned)(code + 1) < ENCODER_ERRORS ? code + 1 : 0]++;
    encode_int16(e, code);
}
static inline void encode_int8(struct encoder *e, int8_t x) {
    buf_add_byte(e->buf, (uint8_t)x);
}
static inline void encode_bool(struct encoder *e, bool x) {
    buf_add_byte(e->buf, x);
}
static inline void encode_float64(struct encoder *e, double x) {
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    encode_int64(e, bits);
}
static inline void encode_uuid(struct encoder *e, struct uuid u) {
    uuid_store(u, buf_extend(e->buf, 16));
}
void encode_uvarint(struct encoder *e, uint32_t x);
void encode_string(struct encoder *e, struct slice s, bool flexible, bool nullable);
void encode_bytes(struct encoder *e, struct slice s, bool flexible, bool nullable);
void encode_records(struct encoder *e, const struct records *records, bool flexible, bool nullable);
void encode_count(struct encoder *e, int32_t count, bool flexible, bool nullable);
/* Around a tagged field's payload: the size goes in front when the payload is known. */
size_t encode_tag_begin(struct encoder *e, uint32_t tag);
void encode_tag_end(struct encoder *e, size_t begin);
static inline void encode_fail(struct encoder *e, enum err err) {
    if (!e->err)
        e->err = err;
}

/* ---- JSON, for dumps ------------------------------------------------------------------------------------------ */

void json_add_string(struct buf *buf, struct slice s);  /* quoted, escaped; null slice: null */
void json_add_bytes(struct buf *buf, struct slice s);   /* hex, quoted */
void json_add_uuid(struct buf *buf, struct uuid u);
void json_add_float64(struct buf *buf, double x);

#endif
