#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include "base/check.h"
#include "base/mem.h"

#define CHUNK_SIZE 4096
#define ALIGN 16

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* of bytes */
    alignas(ALIGN) uint8_t bytes[];
};

struct arena_cleanup {
    struct arena_cleanup *next;
    void (*fn)(void *arg);
    void *arg;
};

void arena_init(struct arena *arena, size_t size_max) {
    *arena = (struct arena){.size_max = size_max};
}

static void run_cleanups(struct arena *arena) {
    while (arena->cleanups) {
        struct arena_cleanup *cleanup = arena->cleanups;
        arena->cleanups = cleanup->next; /* first, as fn may add another */
        cleanup->fn(cleanup->arg);
    }
}

static void use_chunk(struct arena *arena, struct arena_chunk *chunk) {
    arena->ptr = chunk ? chunk->bytes : NULL;
    arena->end = chunk ? chunk->bytes + chunk->size : NULL;
}

void arena_reset(struct arena *arena) {
    run_cleanups(arena);
    struct arena_chunk *kept = NULL;
    while (arena->chunks) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        if (!kept && chunk->size == CHUNK_SIZE - sizeof *chunk)
            kept = chunk;
        else
            mem_free(chunk);
    }
    if (kept)
        kept->next = NULL;
    arena->chunks = kept;
    use_chunk(arena, kept);
    arena->size = 0;
}

void arena_deinit(struct arena *arena) {
    arena_reset(arena);
    mem_free(arena->chunks);
    *arena = (struct arena){0};
}

/* A new chunk with room for `size`; NULL when memory is out. */
static void *alloc_slow(struct arena *arena, size_t size) {
    size_t chunk_size = CHUNK_SIZE - sizeof(struct arena_chunk);
    bool own_chunk = size > chunk_size / 2;
    if (own_chunk)
        chunk_size = size;
    struct arena_chunk *chunk = mem_try_alloc(sizeof *chunk + chunk_size);
    if (!chunk)
        return NULL;
    chunk->size = chunk_size;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    if (own_chunk && arena->ptr) /* large ones leave the current chunk in use */
        return chunk->bytes;
    use_chunk(arena, chunk);
    arena->ptr += size;
    return chunk->bytes;
}

void *arena_try_alloc(struct arena *arena, size_t size) {
    if (size > SIZE_MAX / 2 || (arena->size_max && (size > arena->size_max || arena->size > arena->size_max - size)))
        return NULL;
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    void *ptr;
    if ((size_t)(arena->end - arena->ptr) >= size && arena->ptr) {
        ptr = arena->ptr;
        arena->ptr += size;
    } else {
        ptr = alloc_slow(arena, size);
        if (!ptr)
            return NULL;
    }
    arena->size += size;
    return ptr;
}

void *arena_alloc(struct arena *arena, size_t size) {
    size_t size_max = arena->size_max;
    arena->size_max = 0;
    void *ptr = arena_try_alloc(arena, size);
    arena->size_max = size_max;
    check(ptr, "out of memory: %zu bytes", size);
    return ptr;
}

void *arena_zalloc(struct arena *arena, size_t size) {
    return memset(arena_alloc(arena, size), 0, size);
}

struct slice arena_slice(struct arena *arena, struct slice s) {
    if (slice_is_null(s))
        return s;
    uint8_t *copy = arena_alloc(arena, s.size + 1);
    if (s.size)
        memcpy(copy, s.ptr, s.size);
    copy[s.size] = '\0';
    return slice_of(copy, s.size);
}

void *arena_grow(struct arena *arena, void *items, size_t count, size_t item_size) {
    if (count & (count - 1)) /* full at each power of two */
        return items;
    size_t room = count ? 2 * count : 1;
    uint8_t *grown = arena_zalloc(arena, room * item_size);
    if (count)
        memcpy(grown, items, count * item_size);
    return grown;
}

char *arena_printf(struct arena *arena, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, fmt, args);
    char *text = arena_alloc(arena, (size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}

void arena_on_reset(struct arena *arena, void (*fn)(void *arg), void *arg) {
    struct arena_cleanup *cleanup = arena_alloc(arena, sizeof *cleanup);
    *cleanup = (struct arena_cleanup){arena->cleanups, fn, arg};
    arena->cleanups = cleanup;
}
