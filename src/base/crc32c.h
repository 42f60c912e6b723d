/* CRC-32C (Castagnoli), with the processor's instruction where it has one. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of the bytes after those whose CRC is `crc`; start with 0. */
uint32_t crc32c(uint32_t crc, const void *ptr, size_t size);

#endif
