/* Memory from the heap. mem_alloc() is for small things of ours and does not fail: it stops the process
 * with one clear line. mem_try_alloc() is for sizes that a client influences and may give NULL. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_realloc(void *ptr, size_t size) __attribute__((returns_nonnull));
void *mem_try_alloc(size_t size) __attribute__((malloc));
void *mem_try_zalloc(size_t size) __attribute__((malloc)); /* zeroed; of large ones the kernel gives pages as they are used */
void *mem_try_realloc(void *ptr, size_t size);
/* For direct I/O: `align` is a power of two. Freed with mem_free(). */
void *mem_alloc_aligned(size_t align, size_t size) __attribute__((malloc, returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *s, size_t size) __attribute__((malloc, returns_nonnull));
/* printf into fresh memory. */
char *mem_printf(const char *fmt, ...) __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));
void mem_free(void *ptr); /* NULL is fine */

#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))

#ifndef container_of
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#endif
#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

#endif
