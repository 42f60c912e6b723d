/* A buf is owned, growable bytes. Zero-initialised is empty and valid. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

struct buf {
    uint8_t *ptr;
    size_t size; /* used */
    size_t capacity;
};

void buf_deinit(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */
/* Room for `size` more bytes; returns where they go. Does not change buf->size. */
uint8_t *buf_reserve(struct buf *buf, size_t size);
/* Room for `size` more bytes, counted as used at once. */
uint8_t *buf_extend(struct buf *buf, size_t size);
void buf_add(struct buf *buf, const void *bytes, size_t size);
void buf_add_slice(struct buf *buf, struct slice s);
void buf_add_str(struct buf *buf, const char *s);
void buf_add_byte(struct buf *buf, uint8_t byte);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The text so far, NUL-terminated (the NUL is not counted). Valid until the next change. */
const char *buf_text(struct buf *buf);
static inline struct slice buf_slice(const struct buf *buf) {
    return slice_of(buf->ptr ? buf->ptr : (const uint8_t *)"", buf->size);
}

#endif
