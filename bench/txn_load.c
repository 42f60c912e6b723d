/* Transactions put on a server of Kafka's protocol, at next to no cost of its own: each producer is a connection and a
 * thread that sends one Produce 12 (its records, one batch a partition) and one EndTxn 5, waits for both, and begins again.
 *
 *     txn_load HOST PORT TOPIC PRODUCERS PARTITIONS RECORDS RECORD_BYTES SECONDS
 *
 * PARTITIONS of the topic are in each transaction; the records are spread over them. A producer that is told to come again
 * (its last transaction is not over yet) does so at once. Printed: transactions a second, latency from the first byte of
 * Produce to the answer of EndTxn, and how often a request was repeated. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = 8 << 20, SAMPLES_MAX = 4 << 20 };
static const char *host, *topic;
static int port, producers, partitions, records, record_bytes;
static double seconds;
static volatile int stop;
static uint64_t begin_us;

struct producer {
    pthread_t thread;
    int index, fd;
    uint8_t *out, *in;
    size_t size, in_size;
    int64_t id;
    int16_t epoch;
    uint64_t done, repeated;
    uint32_t *latency_us;
};

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}
static void die(const char *what) {
    perror(what);
    exit(1);
}

/* ---- encoding --------------------------------------------------------------------------------------------------------- */

static void put(struct producer *p, const void *bytes, size_t size) {
    memcpy(p->out + p->size, bytes, size);
    p->size += size;
}
static void put8(struct producer *p, int x) {
    p->out[p->size++] = (uint8_t)x;
}
static void put16(struct producer *p, int x) {
    put8(p, x >> 8);
    put8(p, x);
}
static void put32(struct producer *p, uint32_t x) {
    put16(p, (int)(x >> 16));
    put16(p, (int)x);
}
static void put64(struct producer *p, uint64_t x) {
    put32(p, (uint32_t)(x >> 32));
    put32(p, (uint32_t)x);
}
static void put_uvar(struct producer *p, uint64_t x) {
    for (; x >= 0x80; x >>= 7)
        put8(p, (int)(x | 0x80));
    put8(p, (int)x);
}
static void put_zigzag(struct producer *p, int64_t x) {
    put_uvar(p, ((uint64_t)x << 1) ^ (uint64_t)(x >> 63));
}
static void put_text(struct producer *p, const char *text) { /* compact */
    put_uvar(p, strlen(text) + 1);
    put(p, text, strlen(text));
}
static void head(struct producer *p, int key, int version) {
    p->size = 4;
    put16(p, key);
    put16(p, version);
    put32(p, 7);
    put16(p, 4);
    put(p, "load", 4);
    put8(p, 0);
}
static const char *id_of(const struct producer *p, char text[32]) {
    snprintf(text, 32, "load-%d", p->index);
    return text;
}

static uint32_t crc32c(const uint8_t *bytes, size_t size) {
    uint64_t crc = 0xffffffff;
    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    for (; size; bytes++, size--)
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *bytes);
    return ~(uint32_t)crc;
}
static void store32(uint8_t *at, uint32_t x) {
    x = htonl(x);
    memcpy(at, &x, 4);
}

static void put_batch(struct producer *p, int count) {
    size_t start = p->size;
    put64(p, 0);
    put32(p, 0);
    put32(p, 0xffffffff);
    put8(p, 2);
    put32(p, 0);
    put16(p, 0x10);
    put32(p, (uint32_t)count - 1);
    put64(p, 1700000000000);
    put64(p, 1700000000000);
    put64(p, (uint64_t)p->id);
    put16(p, p->epoch);
    put32(p, 0);
    put32(p, (uint32_t)count);
    for (int i = 0; i < count; i++) {
        uint8_t key[2] = {(uint8_t)i, (uint8_t)p->index};
        size_t at = p->size;
        put8(p, 0), put_zigzag(p, 0), put_zigzag(p, i), put_zigzag(p, 2), put(p, key, 2), put_zigzag(p, record_bytes);
        size_t body = p->size - at + (size_t)record_bytes + 1;
        p->size = at;
        put_zigzag(p, (int64_t)body);
        put8(p, 0), put_zigzag(p, 0), put_zigzag(p, i), put_zigzag(p, 2), put(p, key, 2), put_zigzag(p, record_bytes);
        memset(p->out + p->size, 'a' + i % 26, (size_t)record_bytes);
        p->size += (size_t)record_bytes;
        put8(p, 0);
    }
    store32(p->out + start + 8, (uint32_t)(p->size - start - 12));
    store32(p->out + start + 17, crc32c(p->out + start + 21, p->size - start - 21));
}

/* ---- asking ----------------------------------------------------------------------------------------------------------------- */

static void receive(struct producer *p, void *ptr, size_t size) {
    for (size_t at = 0; at < size;) {
        ssize_t got = recv(p->fd, (uint8_t *)ptr + at, size - at, 0);
        if (got <= 0)
            die("recv");
        at += (size_t)got;
    }
}
/* The answer's body, behind correlation id and (flexible) header tags. */
static const uint8_t *ask(struct producer *p) {
    store32(p->out, (uint32_t)p->size - 4);
    for (size_t at = 0; at < p->size;) {
        ssize_t sent = send(p->fd, p->out + at, p->size - at, MSG_NOSIGNAL);
        if (sent <= 0)
            die("send");
        at += (size_t)sent;
    }
    uint32_t size;
    receive(p, &size, 4);
    p->in_size = ntohl(size);
    if (p->in_size > FRAME_MAX)
        die("frame");
    receive(p, p->in, p->in_size);
    return p->in + 5;
}
static int16_t get16(const uint8_t *at) {
    return (int16_t)(at[0] << 8 | at[1]);
}
static int64_t get64(const uint8_t *at) {
    uint64_t x = 0;
    for (int i = 0; i < 8; i++)
        x = x << 8 | at[i];
    return (int64_t)x;
}

static int init(struct producer *p) {
    char id[32];
    head(p, 22, 4);
    put_text(p, id_of(p, id));
    put32(p, 60000);
    put64(p, UINT64_MAX);
    put16(p, -1);
    put8(p, 0);
    const uint8_t *a = ask(p);
    int error = get16(a + 4);
    p->id = get64(a + 6);
    p->epoch = get16(a + 14);
    return error;
}

static void find_coordinator(struct producer *p) {
    char id[32];
    head(p, 10, 4);
    put8(p, 1);
    put_uvar(p, 2);
    put_text(p, id_of(p, id));
    put8(p, 0);
    ask(p);
}

/* The first error of a partition; 0: none. */
static int produce(struct producer *p) {
    char id[32];
    head(p, 0, 12);
    put_text(p, id_of(p, id));
    put16(p, -1);
    put32(p, 30000);
    put_uvar(p, 2);
    put_text(p, topic);
    put_uvar(p, (uint64_t)partitions + 1);
    for (int i = 0; i < partitions; i++) {
        put32(p, (uint32_t)((p->index + i) % producers));
        size_t at = p->size; /* the length of a compact field comes first: the batch is built behind room for it */
        p->size += 5;
        size_t start = p->size;
        put_batch(p, records / partitions);
        size_t size = p->size - start;
        p->size = at;
        put_uvar(p, size + 1);
        memmove(p->out + p->size, p->out + start, size);
        p->size += size;
        put8(p, 0);
    }
    put8(p, 0);
    put8(p, 0);
    const uint8_t *a = ask(p);
    a += 1 + 1 + strlen(topic) + 1; /* one topic, its name, its partitions */
    for (int i = 0; i < partitions; i++) {
        int error = get16(a + 4);
        if (error)
            return error;
        a += 4 + 2 + 8 + 8 + 8 + 1 + 1 + 1; /* no record errors, no message, no tags */
    }
    return 0;
}

static int end(struct producer *p) {
    char id[32];
    head(p, 26, 5);
    put_text(p, id_of(p, id));
    put64(p, (uint64_t)p->id);
    put16(p, p->epoch);
    put8(p, 1);
    put8(p, 0);
    const uint8_t *a = ask(p);
    int error = get16(a + 4);
    if (!error) {
        p->id = get64(a + 6);
        p->epoch = get16(a + 14);
    }
    return error;
}

static void *run(void *arg) {
    struct producer *p = arg;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;
    if (connect(p->fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    p->out = malloc(FRAME_MAX);
    p->in = malloc(FRAME_MAX);
    p->latency_us = malloc(sizeof *p->latency_us * SAMPLES_MAX);
    for (int tries = 0; init(p); tries++) {
        if (tries > 3000)
            die("no producer id");
        find_coordinator(p);
        usleep(20000);
    }
    while (now_us() < begin_us)
        usleep(1000);
    while (!stop && p->done < SAMPLES_MAX) {
        uint64_t at = now_us();
        int error;
        while ((error = produce(p)) == 51 || error == 19) /* CONCURRENT_TRANSACTIONS, NOT_ENOUGH_REPLICAS */
            p->repeated++;
        while (!error && (error = end(p)) == 51)
            p->repeated++;
        if (error) {
            fprintf(stderr, "error %d\n", error);
            exit(1);
        }
        p->latency_us[p->done++] = (uint32_t)(now_us() - at);
    }
    return NULL;
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 9) {
        fprintf(stderr, "usage: txn_load HOST PORT TOPIC PRODUCERS PARTITIONS RECORDS RECORD_BYTES SECONDS\n");
        return 2;
    }
    host = argv[1], port = atoi(argv[2]), topic = argv[3], producers = atoi(argv[4]), partitions = atoi(argv[5]);
    records = atoi(argv[6]), record_bytes = atoi(argv[7]), seconds = atof(argv[8]);
    struct producer *all = calloc((size_t)producers, sizeof *all);
    begin_us = now_us() + 2000000;
    for (int i = 0; i < producers; i++) {
        all[i].index = i;
        pthread_create(&all[i].thread, NULL, run, &all[i]);
    }
    while (now_us() < begin_us + (uint64_t)(seconds * 1e6))
        usleep(1000);
    stop = 1;
    uint64_t done = 0, repeated = 0;
    for (int i = 0; i < producers; i++) {
        pthread_join(all[i].thread, NULL);
        done += all[i].done;
        repeated += all[i].repeated;
    }
    uint32_t *latency = malloc(sizeof *latency * (done + 1));
    uint64_t at = 0;
    for (int i = 0; i < producers; i++) {
        memcpy(latency + at, all[i].latency_us, sizeof *latency * all[i].done);
        at += all[i].done;
    }
    qsort(latency, done, sizeof *latency, compare);
    if (!done)
        return 1;
    printf("txns_per_s=%.0f p50_ms=%.2f p99_ms=%.2f p999_ms=%.2f repeated=%llu\n", (double)done / seconds, latency[done / 2] / 1e3,
           latency[done * 99 / 100] / 1e3, latency[done * 999 / 1000] / 1e3, (unsigned long long)repeated);
    return 0;
}
