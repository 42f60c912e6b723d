#include "protocol/codec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

uint32_t decode_uvarint(struct decoder *d) {
    uint32_t x = 0;
    int size = varint_read_u32(d->ptr, d->end, &x);
    if (size == 0)
        decoder_fail(d, ERR_TRUNCATED);
    d->ptr += size;
    return x;
}

/* A length of a string, bytes or array; -1: null. `wide`: 32 bits when not flexible. */
static int64_t decode_length(struct decoder *d, bool flexible, bool nullable, bool wide) {
    int64_t length;
    if (flexible)
        length = (int64_t)decode_uvarint(d) - 1;
    else
        length = wide ? decode_int32(d) : decode_int16(d);
    if (d->err)
        return 0;
    if (length < 0 && !nullable) {
        decoder_fail(d, ERR_INVALID);
        return 0;
    }
    return length < 0 ? -1 : length;
}

static struct slice decode_sized(struct decoder *d, bool flexible, bool nullable, bool wide) {
    int64_t length = decode_length(d, flexible, nullable, wide);
    if (length < 0)
        return SLICE_NULL;
    const uint8_t *p = decoder_take(d, (size_t)length);
    return p ? slice_of(p, (size_t)length) : SLICE_EMPTY;
}

struct slice decode_string(struct decoder *d, bool flexible, bool nullable) {
    struct slice s = decode_sized(d, flexible, nullable, false);
    if (s.size > INT16_MAX)
        decoder_fail(d, ERR_INVALID);
    return s;
}

struct slice decode_bytes(struct decoder *d, bool flexible, bool nullable) {
    return decode_sized(d, flexible, nullable, true);
}

struct records decode_records(struct decoder *d, bool flexible, bool nullable) {
    struct slice s = decode_sized(d, flexible, nullable, true);
    return (struct records){.bytes = s, .size = s.size};
}

void *decode_array(struct decoder *d, bool flexible, bool nullable, size_t element_size_min, size_t element_size,
                   int32_t *ret_count) {
    int64_t count = decode_length(d, flexible, nullable, true);
    *ret_count = (int32_t)count;
    if (count <= 0)
        return NULL;
    void *elements = NULL;
    if ((uint64_t)count > decoder_left(d) / element_size_min)
        decoder_fail(d, ERR_TRUNCATED);
    else if (!(elements = arena_try_alloc(d->arena, (size_t)count * element_size)))
        decoder_fail(d, ERR_NO_MEMORY);
    if (!elements) {
        *ret_count = 0;
        return NULL;
    }
    return memset(elements, 0, (size_t)count * element_size);
}

void decode_skip_tags(struct decoder *d) {
    for (uint32_t count = decode_uvarint(d); count > 0 && !d->err; count--) {
        decode_uvarint(d);
        decoder_take(d, decode_uvarint(d));
    }
}

void encode_uvarint(struct encoder *e, uint32_t x) {
    uint8_t *at = buf_reserve(e->buf, VARINT32_SIZE_MAX);
    e->buf->size += (size_t)varint_write_u32(at, x);
}

static void encode_length(struct encoder *e, int64_t length, bool flexible, bool nullable, bool wide) {
    if (length < 0 && !nullable) {
        encode_fail(e, ERR_INVALID);
        length = 0;
    }
    if (flexible)
        encode_uvarint(e, (uint32_t)(length + 1));
    else if (wide)
        encode_int32(e, (int32_t)length);
    else
        encode_int16(e, (int16_t)length);
}

void encode_string(struct encoder *e, struct slice s, bool flexible, bool nullable) {
    if (s.size > INT16_MAX) {
        encode_fail(e, ERR_INVALID);
        return;
    }
    encode_length(e, slice_is_null(s) ? -1 : (int64_t)s.size, flexible, nullable, false);
    buf_add_slice(e->buf, s);
}

void encode_bytes(struct encoder *e, struct slice s, bool flexible, bool nullable) {
    encode_length(e, slice_is_null(s) ? -1 : (int64_t)s.size, flexible, nullable, true);
    buf_add_slice(e->buf, s);
}

void encode_records(struct encoder *e, const struct records *records, bool flexible, bool nullable) {
    if (!records->pieces) {
        encode_bytes(e, records->bytes, flexible, nullable);
        return;
    }
    encode_length(e, (int64_t)records->size, flexible, nullable, true);
    if (e->splice_count == e->splice_capacity) {
        struct encoder_splice *more = arena_alloc(e->arena, sizeof *more * (size_t)e->splice_capacity * 2);
        memcpy(more, e->splices, sizeof *more * (size_t)e->splice_count);
        e->splices = more;
        e->splice_capacity *= 2;
    }
    e->splices[e->splice_count++] = (struct encoder_splice){e->buf->size, records};
    e->splice_size += records->size;
}

void encode_count(struct encoder *e, int32_t count, bool flexible, bool nullable) {
    encode_length(e, count, flexible, nullable, true);
}

size_t encode_tag_begin(struct encoder *e, uint32_t tag) {
    encode_uvarint(e, tag);
    return e->buf->size;
}

void encode_tag_end(struct encoder *e, size_t begin) {
    uint32_t size = (uint32_t)(e->buf->size - begin);
    int prefix = varint_size_u32(size);
    buf_extend(e->buf, (size_t)prefix);
    memmove(e->buf->ptr + begin + prefix, e->buf->ptr + begin, size);
    varint_write_u32(e->buf->ptr + begin, size);
}

void json_add_string(struct buf *buf, struct slice s) {
    if (slice_is_null(s)) {
        buf_add_str(buf, "null");
        return;
    }
    buf_reserve(buf, s.size + 2);
    buf_add_byte(buf, '"');
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.ptr[i];
        if (c < 0x20) {
            buf_printf(buf, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\')
            buf_add_byte(buf, '\\');
        buf_add_byte(buf, c);
    }
    buf_add_byte(buf, '"');
}

void json_add_bytes(struct buf *buf, struct slice s) {
    if (slice_is_null(s)) {
        buf_add_str(buf, "null");
        return;
    }
    uint8_t *at = buf_extend(buf, 2 * s.size + 2);
    *at++ = '"';
    for (size_t i = 0; i < s.size; i++) {
        *at++ = (uint8_t)"0123456789abcdef"[s.ptr[i] >> 4];
        *at++ = (uint8_t)"0123456789abcdef"[s.ptr[i] & 15];
    }
    *at = '"';
}

void json_add_uuid(struct buf *buf, struct uuid u) {
    char text[UUID_TEXT_SIZE];
    buf_printf(buf, "\"%s\"", uuid_text(u, text));
}

void json_add_float64(struct buf *buf, double x) {
    char text[32];
    int digits = 15;
    do /* the fewest that read back as the same number */
        snprintf(text, sizeof text, "%.*g", digits, x);
    while (strtod(text, NULL) != x && ++digits <= 17);
    if (isfinite(x))
        buf_add_str(buf, text);
    else
        buf_add_str(buf, isnan(x) ? "\"NaN\"" : x > 0 ? "\"Infinity\"" : "\"-Infinity\"");
}
