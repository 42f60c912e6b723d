/* A slice is borrowed bytes: whoever hands it out says until when. ptr NULL means "null" (as a Kafka
 * nullable string), which differs from empty. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *ptr;
    size_t size;
};

#define SLICE_NULL ((struct slice){NULL, 0})
#define SLICE_EMPTY ((struct slice){(const uint8_t *)"", 0})
/* Of a string literal. */
#define SLICE_LIT(lit) ((struct slice){(const uint8_t *)(lit), sizeof(lit) - 1})
/* For "%.*s". */
#define SLICE_FMT(s) (int)(s).size, (const char *)((s).ptr ? (s).ptr : (const uint8_t *)"")

static inline struct slice slice_of(const void *ptr, size_t size) {
    return (struct slice){ptr, size};
}
static inline struct slice slice_str(const char *s) { /* NULL gives the null slice */
    return (struct slice){(const uint8_t *)s, s ? strlen(s) : 0};
}
static inline bool slice_is_null(struct slice s) {
    return s.ptr == NULL;
}
static inline bool slice_eq(struct slice a, struct slice b) { /* null equals only null */
    return (a.ptr == NULL) == (b.ptr == NULL) && a.size == b.size && (a.size == 0 || memcmp(a.ptr, b.ptr, a.size) == 0);
}
static inline bool slice_eq_str(struct slice a, const char *s) {
    return slice_eq(a, slice_str(s));
}
static inline int slice_cmp(struct slice a, struct slice b) { /* by bytes, shorter first */
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return c ? c : (a.size > b.size) - (a.size < b.size);
}

#endif
