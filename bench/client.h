/* What the load programs share: bytes of the protocol by hand, a connection, clocks, latencies, and what a server used. Small and
 * standing alone, so that a load's own cost stays close to nothing. Whatever fails ends the program. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <arpa/inet.h>
#include <endian.h>
#include <stdbool.h>
#include <netinet/tcp.h>
#include <nmmintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

/* ---- clocks ----------------------------------------------------------------------------------------------------------- */

static inline int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}
static inline int64_t now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

/* ---- bytes that grow --------------------------------------------------------------------------------------------------- */

struct bytes { /* zeroed is empty */
    uint8_t *ptr;
    size_t size, capacity;
};
static inline uint8_t *bytes_reserve(struct bytes *b, size_t size) { /* room for so many more; where they go */
    if (b->size + size > b->capacity) {
        b->capacity = (b->size + size) * 2;
        b->ptr = realloc(b->ptr, b->capacity);
        if (!b->ptr)
            die("memory");
    }
    return b->ptr + b->size;
}
static inline void put(struct bytes *b, const void *ptr, size_t size) {
    memcpy(bytes_reserve(b, size), ptr, size);
    b->size += size;
}
static inline void put8(struct bytes *b, int x) {
    uint8_t byte = (uint8_t)x;
    put(b, &byte, 1);
}
static inline void put16(struct bytes *b, int x) {
    uint16_t be = htobe16((uint16_t)x);
    put(b, &be, 2);
}
static inline void put32(struct bytes *b, int32_t x) {
    uint32_t be = htobe32((uint32_t)x);
    put(b, &be, 4);
}
static inline void put64(struct bytes *b, int64_t x) {
    uint64_t be = htobe64((uint64_t)x);
    put(b, &be, 8);
}
static inline void put_text(struct bytes *b, const char *text) { /* NULL: null */
    put16(b, text ? (int)strlen(text) : -1);
    if (text)
        put(b, text, strlen(text));
}
static inline void put_varint(struct bytes *b, int64_t x) {
    uint64_t zigzag = ((uint64_t)x << 1) ^ (uint64_t)(x >> 63);
    for (; zigzag > 127; zigzag >>= 7)
        put8(b, (int)(zigzag | 128));
    put8(b, (int)zigzag);
}
static inline void store32(uint8_t *at, uint32_t x) {
    x = htobe32(x);
    memcpy(at, &x, 4);
}

static inline int16_t get16(const uint8_t *at) {
    uint16_t x;
    memcpy(&x, at, 2);
    return (int16_t)be16toh(x);
}
static inline int32_t get32(const uint8_t *at) {
    uint32_t x;
    memcpy(&x, at, 4);
    return (int32_t)be32toh(x);
}
static inline int64_t get64(const uint8_t *at) {
    uint64_t x;
    memcpy(&x, at, 8);
    return (int64_t)be64toh(x);
}

static inline uint32_t crc32c(const uint8_t *ptr, size_t size) {
    uint64_t crc = 0xffffffff;
    for (; size >= 8; ptr += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, ptr, 8);
        crc = _mm_crc32_u64(crc, word);
    }
    for (; size; size--)
        crc = _mm_crc32_u8((uint32_t)crc, *ptr++);
    return ~(uint32_t)crc;
}

/* ---- connections -------------------------------------------------------------------------------------------------------- */

static inline int dial(const char *host, int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || connect(fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}
static inline void send_all(int fd, const struct bytes *b) {
    for (size_t sent = 0; sent < b->size;) {
        ssize_t count = send(fd, b->ptr + sent, b->size - sent, MSG_NOSIGNAL);
        if (count <= 0)
            die("send");
        sent += (size_t)count;
    }
}

/* ---- latencies: buckets of a microsecond to a second; the last one is all beyond ------------------------------------------ */

enum { LATENCY_BUCKETS = 1000000 };
struct latencies { /* zeroed */
    uint32_t *buckets;
    uint64_t count;
};
static inline void latencies_add(struct latencies *l, int64_t ns) {
    int64_t us = ns / 1000;
    if (!l->buckets)
        l->buckets = calloc(LATENCY_BUCKETS, sizeof *l->buckets);
    l->buckets[us < LATENCY_BUCKETS ? us : LATENCY_BUCKETS - 1]++;
    l->count++;
}
static inline double latencies_ms(const struct latencies *l, double share) { /* what that share of all took at most */
    uint64_t wanted = (uint64_t)((double)l->count * share), sum = 0;
    for (int i = 0; l->buckets && i < LATENCY_BUCKETS; i++)
        if ((sum += l->buckets[i]) > wanted)
            return i / 1000.0;
    return 1000;
}

/* ---- what was used ---------------------------------------------------------------------------------------------------------- */

static inline double cpu_of(const char *pid) { /* seconds */
    char path[64], line[2048] = "";
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file) || !strrchr(line, ')'))
        die(path);
    fclose(file);
    if (sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        die(path);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}
static inline long peak_memory_mib(const char *pid) {
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%s/status", pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "VmHWM: %ld", &kib);
    if (file)
        fclose(file);
    return kib / 1024;
}
static inline double own_cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

#endif
