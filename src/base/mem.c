#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *ptr, size_t size) {
    if (ptr)
        return ptr;
    fprintf(stderr, "FATAL out of memory: %zu bytes wanted\n", size);
    exit(EXIT_FAILURE);
}

void *mem_alloc(size_t size) {
    return must(malloc(size ? size : 1), size);
}

void *mem_zalloc(size_t size) {
    return must(calloc(1, size ? size : 1), size);
}

void *mem_realloc(void *ptr, size_t size) {
    return must(realloc(ptr, size ? size : 1), size);
}

void *mem_try_alloc(size_t size) {
    return malloc(size ? size : 1);
}

void *mem_try_zalloc(size_t size) {
    return calloc(1, size ? size : 1);
}

void *mem_try_realloc(void *ptr, size_t size) {
    return realloc(ptr, size ? size : 1);
}

void *mem_alloc_aligned(size_t align, size_t size) {
    void *ptr = NULL;
    if (posix_memalign(&ptr, align, size ? size : 1) != 0)
        ptr = NULL;
    return must(ptr, size);
}

char *mem_strndup(const char *s, size_t size) {
    char *copy = mem_alloc(size + 1);
    memcpy(copy, s, size);
    copy[size] = '\0';
    return copy;
}

char *mem_strdup(const char *s) {
    return mem_strndup(s, strlen(s));
}

char *mem_printf(const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, fmt, args);
    char *text = mem_alloc((size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, fmt, again);
    va_end(again);
    va_end(args);
    return text;
}

void mem_free(void *ptr) {
    free(ptr);
}
