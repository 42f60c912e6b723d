#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include "base/mem.h"

void buf_deinit(struct buf *buf) {
    mem_free(buf->ptr);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf) {
    buf->size = 0;
}

uint8_t *buf_reserve(struct buf *buf, size_t size) {
    if (buf->capacity - buf->size < size || !buf->ptr) {
        size_t capacity = buf->capacity * 2;
        if (capacity < buf->size + size)
            capacity = buf->size + size;
        if (capacity < 64)
            capacity = 64;
        buf->ptr = mem_realloc(buf->ptr, capacity);
        buf->capacity = capacity;
    }
    return buf->ptr + buf->size;
}

uint8_t *buf_extend(struct buf *buf, size_t size) {
    uint8_t *at = buf_reserve(buf, size);
    buf->size += size;
    return at;
}

void buf_add(struct buf *buf, const void *bytes, size_t size) {
    if (size)
        memcpy(buf_extend(buf, size), bytes, size);
}

void buf_add_slice(struct buf *buf, struct slice s) {
    buf_add(buf, s.ptr, s.size);
}

void buf_add_str(struct buf *buf, const char *s) {
    buf_add(buf, s, strlen(s));
}

void buf_add_byte(struct buf *buf, uint8_t byte) {
    *buf_extend(buf, 1) = byte;
}

void buf_printf(struct buf *buf, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, fmt, args);
    vsnprintf((char *)buf_reserve(buf, (size_t)size + 1), (size_t)size + 1, fmt, again);
    buf->size += (size_t)size;
    va_end(again);
    va_end(args);
}

const char *buf_text(struct buf *buf) {
    *buf_reserve(buf, 1) = '\0';
    return (const char *)buf->ptr;
}
