/* An arena lives as long as its request and is dropped whole. Memory comes in chunks; cleanup hooks run
 * at reset, last added first, for files and references that the request holds. Zero-initialise, or
 * arena_init() with a first chunk of the caller's. Not thread-safe: it belongs to one shard at a time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdalign.h>
#include "base/slice.h"

struct arena_chunk;
struct arena_cleanup;

struct arena {
    uint8_t *ptr, *end;             /* free room in the current chunk */
    struct arena_chunk *chunks;     /* newest first */
    struct arena_cleanup *cleanups; /* newest first */
    size_t size;                    /* bytes handed out since the last reset */
    size_t size_max;                /* arena_try_alloc() refuses beyond this; 0: no limit */
};

void arena_init(struct arena *arena, size_t size_max);
/* Runs the hooks and frees all memory but one ordinary chunk, which the next request uses. */
void arena_reset(struct arena *arena);
void arena_deinit(struct arena *arena);
/* 16-byte aligned, not zeroed. Stops the process when memory is out, like mem_alloc(). */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull));
void *arena_zalloc(struct arena *arena, size_t size) __attribute__((returns_nonnull));
/* For sizes a client influences: NULL beyond size_max or when memory is out. */
void *arena_try_alloc(struct arena *arena, size_t size);
/* Copies; the result is NUL-terminated too, so .ptr is a C string. Null stays null. */
struct slice arena_slice(struct arena *arena, struct slice s);
char *arena_printf(struct arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_on_reset(struct arena *arena, void (*fn)(void *arg), void *arg);
/* An array of `count` items with room for one more, zeroed; `items` is what the last call gave (NULL before the first).
 * Its room doubles, so that many small arrays cost what they hold: one of the greatest size for each would be its square. */
void *arena_grow(struct arena *arena, void *items, size_t count, size_t item_size) __attribute__((returns_nonnull));

#define arena_new(arena, type) ((type *)arena_zalloc((arena), sizeof(type)))
#define arena_array(arena, type, count) ((type *)arena_zalloc((arena), sizeof(type) * (size_t)(count)))

#endif
